/* A start reads what waits for a block, not what blocks have; old blocks let their chunks go; a
 * home of the format before is brought up to date. */
#define _GNU_SOURCE
#include "unit/store/store_fixture.h"

#include "store/lmdb_env.h"
#include "store/schema.h"

/* ---- the database from outside, while the store is closed ---- */

static void close_store(struct fixture *f)
{
    dsmr_lmdb_store_close(f->store);
    f->store = NULL;
}

static void open_raw(struct fixture *f, struct dsmr_lmdb_env *env, MDB_txn **txn)
{
    char path[512];

    (void)snprintf(path, sizeof path, "%s/consensus", f->path);
    assert_int_equal(dsmr_lmdb_env_open(env, path, 1u << 30, 0, 8, NULL), DSMR_OK);
    assert_int_equal(mdb_txn_begin(env->env, NULL, 0, txn), 0);
}

static void close_raw(struct dsmr_lmdb_env *env, MDB_txn *txn)
{
    assert_int_equal(mdb_txn_commit(txn), 0);
    dsmr_lmdb_env_close(env);
}

static void put_raw(struct fixture *f, struct dsmr_schema_key *key, const void *value, size_t len)
{
    struct dsmr_lmdb_env env;
    MDB_txn *txn;
    uint8_t copy[64];
    MDB_val k = {key->len, key->bytes}, v = {len, copy};

    memcpy(copy, value, len);
    open_raw(f, &env, &txn);
    assert_int_equal(mdb_put(txn, env.dbi, &k, &v, 0), 0);
    close_raw(&env, txn);
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
    put_raw(f, &key, bytes, wr.at);
}

/* Removes all keys of a space; how many. */
static size_t clear_space(struct fixture *f, enum dsmr_schema_space space)
{
    struct dsmr_lmdb_env env;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, value;
    size_t count = 0;

    open_raw(f, &env, &txn);
    assert_int_equal(mdb_cursor_open(txn, env.dbi, &cursor), 0);
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        if (*(const uint8_t *)key.mv_data == (uint8_t)space) {
            assert_int_equal(mdb_cursor_del(cursor, 0), 0);
            count++;
        }
    }
    mdb_cursor_close(cursor);
    close_raw(&env, txn);
    return count;
}

/* Chunks (len 0: none) and certificates of first..first+count-1, in few commits. */
static void put_many(struct fixture *f, uint64_t first, uint64_t count, uint32_t len)
{
    struct chunk_write **chunks = calloc(count, sizeof(struct chunk_write *));
    struct dsmr_cert *certs = calloc(count, sizeof *certs);
    struct dsmr_store_write *writes = calloc(count, sizeof *writes);

    for (uint64_t i = 0; i < count; i++) {
        chunks[i] = chunk_new(first + i, len > 0 ? len : 1);
        certs[i] = cert_of(first + i, 3);
        writes[i] = (struct dsmr_store_write){.kind = DSMR_STORE_CERT, .u.cert = &certs[i]};
        if (len > 0) {
            send_write(f, &chunks[i]->write);
        }
        send_write(f, &writes[i]);
    }
    wait_all(f);
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(chunks[i]->write.err, DSMR_OK);
        assert_int_equal(writes[i].err, DSMR_OK);
        chunk_free(chunks[i]);
    }
    free(chunks);
    free(certs);
    free(writes);
}

/* ---- what a start reads ---- */

static void check_start(struct fixture *f, size_t chunks, size_t certs)
{
    struct recovered *r = recover_waiting(f);

    assert_int_equal(r->chunks_count, chunks);
    assert_int_equal(r->certs_count, certs);
    for (size_t i = 0; i < chunks; i++) {
        assert_true(r->chunks[i].included_height == NEVER);
    }
    free(r);
}

static void a_start_reads_only_what_waits(void **state)
{
    struct fixture *f = *state;
    struct chunk_write *fetched = chunk_new(900, 100);
    struct recovered *r;

    put_many(f, 0, 400, 100);
    assert_int_equal(put_cert(f, 500, 3), DSMR_OK); /* its chunk has not come */
    fetched->meta.included_height = 7;
    assert_int_equal(do_write(f, &fetched->write), DSMR_OK); /* fetched for a block */
    check_start(f, 400, 401);
    for (uint64_t height = 0; height < 24; height++) {
        assert_int_equal(accept_new(f, height, height * 16, 16), DSMR_OK);
    }
    for (int round = 0; round < 2; round++) {
        check_start(f, 16, 17);
        fixture_reopen(f);
    }
    r = recover_all(f);
    assert_int_equal(r->chunks_count, 401);
    assert_int_equal(r->certs_count, 401);
    free(r);
    /* The certificate of a chunk that a block has does not wait either. */
    assert_int_equal(put_cert(f, 3, 4), DSMR_OK);
    check_start(f, 16, 17);
    chunk_free(fetched);
}

static void what_a_block_gives_back_waits_again(void **state)
{
    struct fixture *f = *state;
    struct test_block *other = block_new(2, 40, 1, 1);

    for (uint64_t n = 0; n < 12; n++) {
        assert_int_equal(put_chunk(f, n, 100), DSMR_OK);
    }
    assert_int_equal(put_cert(f, 12, 3), DSMR_OK); /* in a block, its chunk elsewhere */
    for (uint64_t height = 0; height < 4; height++) {
        assert_int_equal(accept_new(f, height, height * 4, 4), DSMR_OK);
    }
    check_start(f, 0, 0);
    assert_int_equal(accept_block(f, other, NULL), DSMR_OK); /* instead of heights 2 and 3 */
    check_start(f, 4, 1);
    fixture_reopen(f);
    check_start(f, 4, 1);
    block_free(other);
}

static void garbage_leaves_no_entry_behind(void **state)
{
    struct fixture *f = *state;
    struct dsmr_id ids[3] = {id_of(1), id_of(2), id_of(3)};

    assert_int_equal(put_chunk(f, 1, 100), DSMR_OK);
    assert_int_equal(put_chunk(f, 2, 100), DSMR_OK);
    assert_int_equal(put_cert(f, 2, 3), DSMR_OK);
    assert_int_equal(put_cert(f, 3, 3), DSMR_OK);
    assert_int_equal(collect(f, 1, ids, 3, false), DSMR_OK);
    check_start(f, 0, 0);
    close_store(f);
    assert_int_equal(clear_space(f, DSMR_SCHEMA_WAITING), 0);
    assert_int_equal(fixture_open(f), DSMR_OK);
}

/* After a restart nobody remembers a certificate whose chunk never came and that has expired. */
static void a_late_certificate_without_a_chunk_goes(void **state)
{
    struct fixture *f = *state;
    struct dsmr_cert cert;
    struct dsmr_id id = id_of(5), last = id_of(699);
    uint64_t floor_ms = meta_of(699, 1).ref.expiry_ms;

    put_many(f, 0, 700, 0); /* more than one step takes */
    assert_int_equal(put_chunk(f, 10, 100), DSMR_OK);
    assert_int_equal(collect(f, floor_ms, NULL, 0, false), DSMR_OK);
    assert_int_equal(f->port.ops->load_cert(f->port.self, &cert, &id), DSMR_OK);
    assert_int_equal(collect(f, floor_ms, NULL, 0, true), DSMR_OK);
    assert_int_equal(f->port.ops->load_cert(f->port.self, &cert, &id), DSMR_ERR_UNKNOWN);
    assert_int_equal(f->port.ops->load_cert(f->port.self, &cert, &last), DSMR_OK);
    check_start(f, 1, 2); /* the chunk is the core's to drop, and its certificate with it */
}

/* ---- the format before ---- */

static void the_format_before_is_brought_up_to_date(void **state)
{
    struct fixture *f = *state;
    uint64_t syncs;

    put_many(f, 0, 1500, 10);
    put_many(f, 2000, 300, 0);
    for (uint64_t height = 0; height < 20; height++) {
        assert_int_equal(accept_new(f, height, height * 16, 16), DSMR_OK);
    }
    check_start(f, 1180, 1480);
    close_store(f);
    assert_int_equal(clear_space(f, DSMR_SCHEMA_WAITING), 1480);
    put_format(f, 1);
    assert_int_equal(fixture_open(f), DSMR_OK);
    check_start(f, 1180, 1480);
    assert_int_equal(put_chunk(f, 5000, 10), DSMR_OK);
    syncs = dsmr_metrics_get(&f->metrics, DSMR_METRIC_DISK_SYNCS);
    fixture_reopen(f); /* once is enough */
    assert_int_equal(dsmr_metrics_get(&f->metrics, DSMR_METRIC_DISK_SYNCS), syncs);
    check_start(f, 1181, 1480);
}

/* ---- chunks of old blocks ---- */

/* count blocks from height 0 on with 16 chunks each; chunks and certificates are here. */
static void fill_blocks(struct fixture *f, uint64_t count)
{
    put_many(f, 0, count * 16, 100);
    for (uint64_t height = 0; height < count; height++) {
        assert_int_equal(accept_new(f, height, height * 16, 16), DSMR_OK);
    }
}

/* The blocks below height have let their chunks go, and no others. */
static void check_kept_from(struct fixture *f, uint64_t height, uint64_t blocks)
{
    struct recovered *r = recover_all(f);

    assert_int_equal(r->chunks_count, (blocks - height) * 16);
    assert_int_equal(r->certs_count, (blocks - height) * 16);
    for (size_t i = 0; i < r->chunks_count; i++) {
        assert_true(r->chunks[i].included_height >= height);
    }
    free(r);
    for (uint64_t n = 0; n < blocks * 16; n += 7) {
        assert_int_equal(check_body(f, n, 100), n < height * 16 ? DSMR_ERR_UNKNOWN : DSMR_OK);
    }
}

/* Blocks of the fixture have time height * 1000 and were accepted at 5000 + height. */
static void blocks_within_all_three_limits_let_their_chunks_go(void **state)
{
    struct fixture *f = *state;
    struct dsmr_store_write write;

    fill_blocks(f, 8);
    assert_int_equal(retain(f, &write, 7, 999, NEVER), DSMR_OK);
    check_kept_from(f, 1, 8);
    assert_int_equal(write.u.gc.oldest_time_ms, 1000);
    assert_int_equal(write.u.gc.oldest_wall_ms, 5001);
    assert_int_equal(retain(f, &write, 2, NEVER, NEVER), DSMR_OK);
    check_kept_from(f, 3, 8);
    assert_int_equal(retain(f, &write, NEVER, NEVER, 5004), DSMR_OK);
    check_kept_from(f, 5, 8);
    fixture_reopen(f); /* how far it is, it knows from the disk */
    assert_int_equal(retain(f, &write, NEVER, 5999, NEVER), DSMR_OK);
    check_kept_from(f, 6, 8);
    assert_int_equal(write.u.gc.oldest_time_ms, 6000);
    uint64_t syncs = dsmr_metrics_get(&f->metrics, DSMR_METRIC_DISK_SYNCS);
    assert_int_equal(retain(f, &write, NEVER, 5999, NEVER), DSMR_OK);
    assert_int_equal(dsmr_metrics_get(&f->metrics, DSMR_METRIC_DISK_SYNCS), syncs);
    assert_int_equal(retain(f, &write, NEVER, NEVER, NEVER), DSMR_OK);
    check_kept_from(f, 8, 8);
    assert_true(write.u.gc.oldest_time_ms == NEVER && write.u.gc.oldest_wall_ms == NEVER);
}

static void one_write_takes_a_bounded_number(void **state)
{
    struct fixture *f = *state;
    struct dsmr_store_write write;
    uint32_t writes = 0;

    fill_blocks(f, 40);
    do {
        struct recovered *r;
        size_t before, after;
        r = recover_all(f);
        before = r->chunks_count;
        free(r);
        assert_int_equal(retain(f, &write, NEVER, 38000, NEVER), DSMR_OK);
        r = recover_all(f);
        after = r->chunks_count;
        free(r);
        assert_in_range(before - after, 1, 256);
        writes++;
    } while (write.u.gc.oldest_time_ms <= 38000);
    assert_int_equal(writes, 3); /* 624 chunks */
    check_kept_from(f, 39, 40);
}

static void a_block_taken_back_is_counted_again(void **state)
{
    struct fixture *f = *state;
    struct dsmr_store_write write;
    struct test_block *other = block_new(2, 100, 16, 1);

    fill_blocks(f, 5);
    assert_int_equal(retain(f, &write, 3, NEVER, NEVER), DSMR_OK);
    check_kept_from(f, 4, 5);
    for (uint64_t n = 100; n < 116; n++) {
        assert_int_equal(put_chunk(f, n, 100), DSMR_OK);
    }
    assert_int_equal(accept_block(f, other, NULL), DSMR_OK); /* instead of heights 2, 3 and 4 */
    assert_int_equal(retain(f, &write, NEVER, NEVER, NEVER), DSMR_OK);
    assert_int_equal(check_body(f, 100, 100), DSMR_ERR_UNKNOWN);
    assert_int_equal(check_body(f, 64, 100), DSMR_OK); /* was in height 4: waits again */
    check_start(f, 16, 16);
    block_free(other);
}

static void damaged_records_do_not_stop_it(void **state)
{
    struct fixture *f = *state;
    struct dsmr_store_write write;
    struct dsmr_schema_key key;

    fill_blocks(f, 4);
    assert_int_equal(retain(f, &write, 0, NEVER, NEVER), DSMR_OK);
    close_store(f);
    dsmr_schema_key(&key, DSMR_SCHEMA_RETAINED);
    put_raw(f, &key, "damaged", 7);
    dsmr_schema_key_u64(&key, DSMR_SCHEMA_BLOCK, 1);
    put_raw(f, &key, "damaged", 7);
    assert_int_equal(fixture_open(f), DSMR_OK);
    assert_int_equal(retain(f, &write, 2, NEVER, NEVER), DSMR_OK);
    assert_int_equal(write.u.gc.oldest_time_ms, 3000);
    assert_int_equal(check_body(f, 16, 100), DSMR_OK); /* which chunks it had nobody knows */
    assert_int_equal(check_body(f, 32, 100), DSMR_ERR_UNKNOWN);
    assert_int_equal(check_body(f, 48, 100), DSMR_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_start_reads_only_what_waits),
        TEST(what_a_block_gives_back_waits_again),
        TEST(garbage_leaves_no_entry_behind),
        TEST(a_late_certificate_without_a_chunk_goes),
        TEST(the_format_before_is_brought_up_to_date),
        TEST(blocks_within_all_three_limits_let_their_chunks_go),
        TEST(one_write_takes_a_bounded_number),
        TEST(a_block_taken_back_is_counted_again),
        TEST(damaged_records_do_not_stop_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
