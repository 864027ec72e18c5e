/* How the store starts and ends: recovery and its order, groups of writes, files that it finds and
 * files that it refuses. */
#define _GNU_SOURCE
#include "unit/store/store_files.h"

#include <fcntl.h>

#include "store/lmdb_env.h"
#include "store/schema.h"
#include "store/store_janitor.h"

/* ---- what a start finds ---- */

static void missing_or_short_bodies_are_not_recovered(void **state)
{
    struct fixture *f = *state;
    struct recovered *r;
    char *path;

    assert_int_equal(put_chunk(f, 1, 5000), DSMR_OK);
    assert_int_equal(put_chunk(f, 2, 5000), DSMR_OK);
    path = only_segment(f);
    assert_int_equal(truncate(path, 8192 + 4999), 0);
    fixture_reopen(f);
    r = recover_all(f);
    assert_true(recovered_has(r, 1));
    assert_false(recovered_has(r, 2));
    assert_int_equal(r->journals_count, 2); /* the promise stays */
    free(r);
    assert_int_equal(check_body(f, 2, 5000), DSMR_ERR_CORRUPT);
    assert_int_equal(unlink(path), 0);
    fixture_reopen(f);
    r = recover_all(f);
    assert_int_equal(r->chunks_count, 0);
    free(r);
    assert_int_equal(check_body(f, 1, 5000), DSMR_ERR_CORRUPT);
    free(path);
}

static void torn_tail_is_cut_at_open(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char *path;
    int fd;

    assert_int_equal(put_chunk(f, 1, 5000), DSMR_OK);
    path = only_segment(f);
    fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "torn", 4, 100000), 4);
    (void)close(fd);
    fixture_reopen(f);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 5000);
    assert_int_equal(check_body(f, 1, 5000), DSMR_OK);
    assert_int_equal(put_chunk(f, 2, 5000), DSMR_OK); /* in a new file */
    assert_int_equal(count_files(f, "chunks"), 2);
    free(path);
}

static void unknown_segment_file_is_removed_at_open(void **state)
{
    struct fixture *f = *state;
    char path[512];

    (void)snprintf(path, sizeof path, "%s/chunks/%016x.seg", f->path, 77u);
    (void)close(open(path, O_RDWR | O_CREAT, 0600));
    (void)snprintf(path, sizeof path, "%s/chunks/notes.txt", f->path);
    (void)close(open(path, O_RDWR | O_CREAT, 0600));
    fixture_reopen(f);
    assert_int_equal(count_files(f, "chunks"), 1); /* not ours: left alone */
}

/* ---- recovery, order, groups ---- */

static void recovery_keeps_its_order_and_stops_at_an_error(void **state)
{
    struct fixture *f = *state;
    struct recovered *r;

    assert_int_equal(put_bft(f, "k", "v"), DSMR_OK);
    assert_int_equal(put_cert(f, 1, 3), DSMR_OK);
    assert_int_equal(put_chunk(f, 1, 100), DSMR_OK);
    assert_int_equal(put_chunk(f, 2, 100), DSMR_OK);
    assert_int_equal(collect(f, 10, NULL, 0, false), DSMR_OK);
    fixture_reopen(f);
    r = recover_all(f);
    assert_string_equal(r->order, "FJJCCTB");
    free(r);
    struct dsmr_store_visitor none = {0};
    assert_int_equal(f->port.ops->recover(f->port.self, &none), DSMR_OK);
}

static enum dsmr_err refuse(void *ctx, const struct dsmr_store_chunk_meta *meta)
{
    (void)meta;
    ++*(int *)ctx;
    return DSMR_ERR_FULL;
}

static void visitor_error_ends_the_walk(void **state)
{
    struct fixture *f = *state;
    int calls = 0;
    struct dsmr_store_visitor visitor = {.ctx = &calls, .chunk = refuse};

    assert_int_equal(put_chunk(f, 1, 100), DSMR_OK);
    assert_int_equal(put_chunk(f, 2, 100), DSMR_OK);
    assert_int_equal(f->port.ops->recover(f->port.self, &visitor), DSMR_ERR_FULL);
    assert_int_equal(calls, 1);
}

static void many_writes_share_few_syncs_and_complete_in_order(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 2000 };
    struct chunk_write **chunks = calloc(COUNT, sizeof(struct chunk_write *));
    uint64_t syncs = dsmr_metrics_get(&f->metrics, DSMR_METRIC_DISK_SYNCS);

    for (uint64_t i = 0; i < COUNT; i++) {
        chunks[i] = chunk_new(i, 200);
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        send_write(f, &chunks[i]->write);
    }
    wait_all(f);
    syncs = dsmr_metrics_get(&f->metrics, DSMR_METRIC_DISK_SYNCS) - syncs;
    assert_true(syncs >= 3);
    assert_true(syncs < COUNT / 4);
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(chunks[i]->write.err, DSMR_OK);
        assert_ptr_equal(f->inbox->order[i], &chunks[i]->write.task);
        chunk_free(chunks[i]);
    }
    free(chunks);
}

static void close_finishes_what_was_queued(void **state)
{
    struct fixture *f = *state;
    struct chunk_write *chunks[300];

    for (uint64_t i = 0; i < 300; i++) {
        chunks[i] = chunk_new(i, 3000);
        send_write(f, &chunks[i]->write);
    }
    fixture_reopen(f);
    assert_int_equal(f->inbox->count, 300);
    for (uint64_t i = 0; i < 300; i++) {
        assert_int_equal(chunks[i]->write.err, DSMR_OK);
        assert_int_equal(check_body(f, i, 3000), DSMR_OK);
        chunk_free(chunks[i]);
    }
}

/* ---- opening ---- */

static void second_open_is_locked(void **state)
{
    struct fixture *f = *state;
    struct dsmr_lmdb_store *second = NULL;

    assert_int_equal(dsmr_lmdb_store_open(&second, &f->config), DSMR_ERR_LOCKED);
    assert_null(second);
    assert_int_equal(put_chunk(f, 1, 100), DSMR_OK);
    assert_int_equal(check_body(f, 1, 100), DSMR_OK);
}

static void put_raw(struct fixture *f, const void *key, size_t key_len, const void *value,
                    size_t value_len)
{
    struct dsmr_lmdb_env env;
    uint8_t k[128];
    static uint8_t v[8192];
    MDB_val mk = {key_len, k}, mv = {value_len, v};
    MDB_txn *txn;
    char path[512];

    memcpy(k, key, key_len);
    memcpy(v, value, value_len);
    (void)snprintf(path, sizeof path, "%s/consensus", f->path);
    assert_int_equal(dsmr_lmdb_env_open(&env, path, 1u << 30, 0, 8, NULL), DSMR_OK);
    assert_int_equal(mdb_txn_begin(env.env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_put(txn, env.dbi, &mk, &mv, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    dsmr_lmdb_env_close(&env);
}

static void put_format(struct fixture *f, uint64_t format)
{
    struct dsmr_schema_key key;
    struct dsmr_wr wr;
    uint8_t bytes[64];

    dsmr_schema_key(&key, DSMR_SCHEMA_FORMAT_KEY);
    dsmr_schema_begin(&wr, bytes, sizeof bytes);
    dsmr_wr_u64(&wr, format);
    assert_true(dsmr_schema_seal(&wr, key.bytes, key.len));
    put_raw(f, key.bytes, key.len, bytes, wr.at);
}

static void newer_format_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put_chunk(f, 1, 100), DSMR_OK);
    dsmr_lmdb_store_close(f->store);
    f->store = NULL;
    put_format(f, DSMR_SCHEMA_FORMAT + 1);
    assert_int_equal(fixture_open(f), DSMR_ERR_NEWER_FORMAT);
    put_format(f, 0);
    assert_int_equal(fixture_open(f), DSMR_ERR_CORRUPT);
    put_raw(f, "F", 1, "garbage", 7);
    assert_int_equal(fixture_open(f), DSMR_ERR_CORRUPT);
    put_format(f, DSMR_SCHEMA_FORMAT);
    assert_int_equal(fixture_open(f), DSMR_OK);
    assert_int_equal(check_body(f, 1, 100), DSMR_OK);
}

static void damaged_records_are_reported(void **state)
{
    struct fixture *f = *state;
    struct dsmr_store_visitor visitor = {.ctx = NULL, .journal = on_journal};
    struct dsmr_schema_key key;
    struct dsmr_store_journal entry = {.slot = 4, .expiry_ms = 9};
    struct dsmr_store_chunk_meta meta;
    struct dsmr_cert cert;
    struct dsmr_id id = id_of(1);
    struct recovered *r;

    assert_int_equal(put_chunk(f, 2, 100), DSMR_OK);
    dsmr_lmdb_store_close(f->store);
    f->store = NULL;
    dsmr_schema_key_id(&key, DSMR_SCHEMA_CHUNK, &id);
    put_raw(f, key.bytes, key.len, "\1damaged", 8);
    dsmr_schema_key_id(&key, DSMR_SCHEMA_CERT, &id);
    put_raw(f, key.bytes, key.len, "", 0);
    assert_int_equal(fixture_open(f), DSMR_OK);
    assert_int_equal(f->port.ops->load_chunk_meta(f->port.self, &meta, &id), DSMR_ERR_CORRUPT);
    assert_int_equal(f->port.ops->load_cert(f->port.self, &cert, &id), DSMR_ERR_CORRUPT);
    assert_int_equal(check_body(f, 1, 100), DSMR_ERR_CORRUPT);
    r = recover_all(f);
    assert_int_equal(r->chunks_count, 1);
    assert_int_equal(r->certs_count, 0);
    free(r);
    assert_int_equal(put_chunk(f, 1, 100), DSMR_OK); /* written anew */
    assert_int_equal(check_body(f, 1, 100), DSMR_OK);
    dsmr_lmdb_store_close(f->store);
    f->store = NULL;
    /* A promise that cannot be read stops the start. */
    dsmr_schema_key_journal(&key, &entry);
    put_raw(f, key.bytes, key.len, "\1damaged", 8);
    assert_int_equal(fixture_open(f), DSMR_OK);
    assert_int_equal(f->port.ops->recover(f->port.self, &visitor), DSMR_ERR_CORRUPT);
}

/* Places to give back: more than one step lets go, with all of its places or without any. */
static void lists_of_places_that_are_too_long_are_left_alone(void **state)
{
    static const uint32_t step = DSMR_STORE_JANITOR_CHUNKS_MAX;
    static const uint32_t counts[] = {1, DSMR_STORE_JANITOR_CHUNKS_MAX + 1, 1u << 24, UINT32_MAX};
    struct fixture *f = *state;
    struct dsmr_schema_key key;
    struct dsmr_wr wr;
    static uint8_t bytes[DSMR_STORE_JANITOR_CHUNKS_MAX * 20 + 64];

    assert_int_equal(put_chunk(f, 1, 100), DSMR_OK);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        dsmr_lmdb_store_close(f->store);
        f->store = NULL;
        dsmr_schema_key_u64(&key, DSMR_SCHEMA_RELEASED, 1);
        dsmr_schema_begin(&wr, bytes, sizeof bytes);
        dsmr_wr_u32(&wr, counts[i]);
        for (uint32_t k = 0; k < step && i > 0; k++) {
            dsmr_wr_u64(&wr, 1);
            dsmr_wr_u64(&wr, 0);
            dsmr_wr_u32(&wr, 100);
        }
        assert_true(dsmr_schema_seal(&wr, key.bytes, key.len));
        put_raw(f, key.bytes, key.len, bytes, wr.at);
        assert_int_equal(fixture_open(f), DSMR_OK);
        assert_int_equal(check_body(f, 1, 100), DSMR_OK); /* nothing was punched out of it */
    }
}

/* Garbage collection passes a block that it cannot read; behind the last height there is none. */
static void a_damaged_block_at_the_last_height_ends_the_walk(void **state)
{
    struct fixture *f = *state;
    struct dsmr_schema_key key;
    struct dsmr_store_write write;

    dsmr_lmdb_store_close(f->store);
    f->store = NULL;
    dsmr_schema_key_u64(&key, DSMR_SCHEMA_BLOCK, UINT64_MAX);
    put_raw(f, key.bytes, key.len, "\1damaged", 8);
    assert_int_equal(fixture_open(f), DSMR_OK);
    assert_int_equal(retain(f, &write, NEVER, NEVER, NEVER), DSMR_OK);
    assert_true(write.u.gc.oldest_time_ms == NEVER);
}

static void unusable_directory_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct dsmr_lmdb_store_config config = f->config;
    struct dsmr_lmdb_store *store = NULL;

    config.directory = "/proc/no-such-directory/x";
    assert_int_equal(dsmr_lmdb_store_open(&store, &config), DSMR_ERR_IO);
    assert_null(store);
    assert_true(f->port.ops->disk_free_bytes(f->port.self) > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(missing_or_short_bodies_are_not_recovered),
        TEST(torn_tail_is_cut_at_open),
        TEST(unknown_segment_file_is_removed_at_open),
        TEST(recovery_keeps_its_order_and_stops_at_an_error),
        TEST(visitor_error_ends_the_walk),
        TEST(many_writes_share_few_syncs_and_complete_in_order),
        TEST(close_finishes_what_was_queued),
        TEST(second_open_is_locked),
        TEST(newer_format_is_refused_and_left_alone),
        TEST(damaged_records_are_reported),
        TEST(lists_of_places_that_are_too_long_are_left_alone),
        TEST(a_damaged_block_at_the_last_height_ends_the_walk),
        TEST(unusable_directory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
