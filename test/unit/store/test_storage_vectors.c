/* test_storage_vectors.c - pins every kind of record on disk to test/vectors/storage.json, as a
 * store that was given one of each write leaves them; and reads what the file has.
 *
 * UPDATE=1 rewrites the file; that is a change of the storage format. */
#define _GNU_SOURCE
#include "unit/store/store_fixture.h"

#include "store/lmdb_env.h"
#include "store/schema.h"
#include "unit/vectors.h"
#include "unit/wire/wire_samples.h"

#define FILE_NAME "test/vectors/storage.json"
#define BODY_BYTES 300u
#define FLOOR_MS 30250u /* above chunk 2's expiry, below chunk 3's */

static void chunk_of(struct fixture *f, uint64_t n, bool is_own, bool is_signed)
{
    struct chunk_write *chunk = chunk_new(n, BODY_BYTES);
    chunk->meta.is_own = is_own;
    chunk->meta.is_signed = is_signed;
    assert_int_equal(do_write(f, &chunk->write), DSMR_OK);
    chunk_free(chunk);
}

/* Own and included; collected; signed for another; held without a share. */
static void write_one_of_each(struct fixture *f)
{
    struct dsmr_evidence evidence;
    struct dsmr_store_write write = {.kind = DSMR_STORE_EVIDENCE, .u.evidence.pair = &evidence};
    struct test_block *block = block_new(7, 1, 1, 0);
    struct dsmr_quorum_cert qc = qc_of(7);
    struct dsmr_id collected = id_of(2);
    chunk_of(f, 1, true, true);
    chunk_of(f, 2, false, true);
    chunk_of(f, 3, false, true);
    chunk_of(f, 4, false, false);
    assert_int_equal(put_cert(f, 1, 3), DSMR_OK);
    assert_int_equal(put_bft(f, "vote", "bytes of the engine"), DSMR_OK);
    samples_evidence(&evidence);
    assert_int_equal(do_write(f, &write), DSMR_OK);
    assert_int_equal(accept_block(f, block, &qc), DSMR_OK);
    assert_int_equal(collect(f, FLOOR_MS, &collected, 1, true), DSMR_OK);
    block_free(block);
}

static struct fixture *open_new(void)
{
    void *state = NULL;
    fixture_setup(&state);
    return state;
}

static void close_and_remove(struct fixture *f)
{
    void *state = f;
    fixture_teardown(&state);
}

static void consensus_open(struct dsmr_lmdb_env *env, const struct fixture *f)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/consensus", f->path);
    assert_int_equal(dsmr_lmdb_env_open(env, path, 1u << 30, 0, 8, NULL), DSMR_OK);
}

static void make_all(void)
{
    struct fixture *f = open_new();
    struct dsmr_lmdb_env env;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, value;
    write_one_of_each(f);
    dsmr_lmdb_store_close(f->store);
    f->store = NULL;
    consensus_open(&env, f);
    assert_int_equal(mdb_txn_begin(env.env, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_cursor_open(txn, env.dbi, &cursor), 0);
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        char name[2 * DSMR_SCHEMA_KEY_BYTES_MAX + 1];
        assert_true(key.mv_size <= DSMR_SCHEMA_KEY_BYTES_MAX);
        dsmr_hex_encode(name, key.mv_data, key.mv_size);
        vectors_add(name, value.mv_data, value.mv_size);
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    dsmr_lmdb_env_close(&env);
    close_and_remove(f);
}

static void every_vector_is_exact(void **state)
{
    (void)state;
    make_all();
    vectors_compare(FILE_NAME);
    vectors_forget();
}

static void there_is_one_of_every_kind(void **state)
{
    (void)state;
    static const uint8_t kinds[] = {
        DSMR_SCHEMA_FORMAT_KEY, DSMR_SCHEMA_FLOOR,        DSMR_SCHEMA_ACCEPTED,
        DSMR_SCHEMA_BLOCK,      DSMR_SCHEMA_BLOCK_ID,     DSMR_SCHEMA_FINALIZATION,
        DSMR_SCHEMA_CHUNK,      DSMR_SCHEMA_CERT,         DSMR_SCHEMA_JOURNAL,
        DSMR_SCHEMA_EVIDENCE,   DSMR_SCHEMA_EVIDENCE_OF,  DSMR_SCHEMA_BFT,
        DSMR_SCHEMA_SEGMENT,    DSMR_SCHEMA_SEGMENT_LAST, DSMR_SCHEMA_RELEASED,
    };
    json_t *kept = vectors_load(FILE_NAME);
    const char *name;
    json_t *value;
    for (size_t i = 0; i < sizeof kinds; i++) {
        unsigned count = 0;
        char head[3];
        dsmr_hex_encode(head, &kinds[i], 1);
        json_object_foreach(kept, name, value)
        {
            count += strncmp(name, head, 2) == 0;
        }
        assert_true(count > 0);
    }
    json_decref(kept);
}

/* Puts the kept records, and the bodies that they point to, into an empty store. */
static void restore(struct fixture *f)
{
    struct dsmr_lmdb_env env;
    MDB_txn *txn;
    uint8_t body[BODY_BYTES];
    char path[512];
    json_t *kept = vectors_load(FILE_NAME);
    const char *name;
    json_t *value;
    consensus_open(&env, f);
    assert_int_equal(mdb_txn_begin(env.env, NULL, 0, &txn), 0);
    json_object_foreach(kept, name, value)
    {
        uint8_t key[DSMR_SCHEMA_KEY_BYTES_MAX], bytes[4096];
        size_t key_len = strlen(name) / 2;
        assert_true(key_len <= sizeof key);
        assert_int_equal(dsmr_hex_decode(key, key_len, name, strlen(name)), DSMR_OK);
        MDB_val k = {key_len, key};
        MDB_val v = {vectors_bytes(bytes, sizeof bytes, kept, name), bytes};
        assert_int_equal(mdb_put(txn, env.dbi, &k, &v, 0), 0);
    }
    assert_int_equal(mdb_txn_commit(txn), 0);
    dsmr_lmdb_env_close(&env);
    json_decref(kept);
    (void)snprintf(path, sizeof path, "%s/chunks/0000000000000001.seg", f->path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (uint64_t n = 1; n <= 4; n++) { /* each at a multiple of 4096, in order of arrival */
        fill_body(body, BODY_BYTES, n);
        assert_int_equal(fseek(file, (long)(n - 1) * 4096, SEEK_SET), 0);
        assert_int_equal(fwrite(body, 1, BODY_BYTES, file), BODY_BYTES);
    }
    assert_int_equal(fclose(file), 0);
}

/* A store that was written then is read now. */
static void kept_records_are_read(void **state)
{
    (void)state;
    struct fixture *f = open_new();
    struct dsmr_evidence evidence, want;
    struct dsmr_quorum_cert qc;
    struct dsmr_buf *block = NULL;
    struct dsmr_id id, block_id;
    uint64_t height = 0, cursor = 0;
    bool has_finalization = false;
    dsmr_lmdb_store_close(f->store);
    f->store = NULL;
    restore(f);
    assert_int_equal(fixture_open(f), DSMR_OK);
    struct recovered *r = recover_all(f);
    assert_int_equal(r->floor_ms, FLOOR_MS);
    assert_int_equal(r->journals_count, 1); /* of 1 and 2 they have expired */
    assert_int_equal(r->journals[0].slot, 3);
    assert_int_equal(r->chunks_count, 3);
    assert_true(recovered_has(r, 1) && recovered_has(r, 3) && recovered_has(r, 4));
    assert_int_equal(r->certs_count, 1);
    assert_int_equal(r->bft_count, 1);
    assert_string_equal(r->bft[0][0], "vote");
    assert_string_equal(r->bft[0][1], "bytes of the engine");
    free(r);
    assert_int_equal(check_body(f, 1, BODY_BYTES), DSMR_OK);
    assert_int_equal(check_body(f, 3, BODY_BYTES), DSMR_OK);
    assert_int_equal(f->port.ops->last_accepted(f->port.self, &height, &block_id), DSMR_OK);
    assert_int_equal(height, 7);
    assert_int_equal(f->port.ops->find_block(f->port.self, &height, &block_id), DSMR_OK);
    assert_int_equal(f->port.ops->load_block(f->port.self, &block, &qc, &has_finalization, height),
                     DSMR_OK);
    assert_true(has_finalization);
    id = id_of(7);
    assert_memory_equal(&qc.subject.block_id, &id, sizeof id);
    dsmr_buf_unref(block);
    samples_evidence(&want);
    assert_int_equal(f->port.ops->next_evidence(f->port.self, &evidence, &cursor), DSMR_OK);
    assert_memory_equal(&evidence.refs[1].chunk_id, &want.refs[1].chunk_id, sizeof id);
    close_and_remove(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_is_exact),
        cmocka_unit_test(there_is_one_of_every_kind),
        cmocka_unit_test(kept_records_are_read),
    };
    if (getenv("UPDATE") != NULL) {
        make_all();
        return vectors_save(FILE_NAME);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
