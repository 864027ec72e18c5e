/* The smallest database that the options allow holds the largest writes that genesis allows. */
#define _GNU_SOURCE
#include "unit/store/store_fixture.h"

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    f->path = make_tree();
    f->inbox = test_inbox_new();
    fixture_config(f);
    f->config.consensus_map_bytes = DSMR_LMDB_STORE_MAP_BYTES_MIN;
    f->config.state_map_bytes = DSMR_LMDB_STORE_MAP_BYTES_MIN;
    f->config.reserve_bytes = 0; /* the default */
    assert_int_equal(fixture_open(f), DSMR_OK);
    *state = f;
    return 0;
}

/* A block of the largest size with as many certificates as there can be. */
static void the_largest_blocks_can_be_accepted(void **state)
{
    struct fixture *f = *state;
    enum { BLOCKS = 8 };
    struct dsmr_store_write writes[BLOCKS];
    struct test_block *blocks[BLOCKS];
    struct dsmr_cert *certs = calloc(DSMR_BLOCK_CERTS_LIMIT, sizeof *certs);

    for (uint32_t i = 0; i < DSMR_BLOCK_CERTS_LIMIT; i++) {
        certs[i] = cert_of(i, 3);
    }
    for (uint64_t height = 0; height < BLOCKS; height++) {
        blocks[height] = block_new(height, 0, 0, 0);
        blocks[height]->block.certs = certs;
        blocks[height]->block.certs_count = DSMR_BLOCK_CERTS_LIMIT;
        dsmr_buf_unref(blocks[height]->block.bytes);
        blocks[height]->block.bytes = dsmr_buf_new(DSMR_BLOCK_BYTES_LIMIT);
        memset(blocks[height]->block.bytes->bytes, 7, DSMR_BLOCK_BYTES_LIMIT);
        writes[height] = (struct dsmr_store_write){.kind = DSMR_STORE_ACCEPT};
        writes[height].u.accept.block = &blocks[height]->block;
        send_write(f, &writes[height]);
    }
    wait_all(f);
    for (uint64_t height = 0; height < BLOCKS; height++) {
        assert_int_equal(writes[height].err, DSMR_OK);
        block_free(blocks[height]);
    }
    free(certs);
}

static void the_longest_group_fits(void **state)
{
    struct fixture *f = *state;
    enum { WRITES = 2000 };
    struct chunk_write *chunks[WRITES];

    for (uint64_t n = 0; n < WRITES; n++) {
        chunks[n] = chunk_new(n, 100);
        send_write(f, &chunks[n]->write);
    }
    wait_all(f);
    for (uint64_t n = 0; n < WRITES; n++) {
        assert_int_equal(chunks[n]->write.err, DSMR_OK);
        chunk_free(chunks[n]);
    }
}

/* One value of the largest size and its copy in the next commit. */
static void the_largest_value_can_be_replaced(void **state)
{
    struct fixture *f = *state;
    uint8_t *value = calloc(1, DSMR_KV_VALUE_BYTES_MAX + 1u);

    assert_non_null(value);
    for (int round = 0; round < 3; round++) {
        struct dsmr_kv_txn *txn = NULL;
        assert_int_equal(f->kv.ops->begin(f->kv.self, &txn, true), DSMR_OK);
        assert_int_equal(f->kv.ops->put(f->kv.self, txn, "x", 1, value, DSMR_KV_VALUE_BYTES_MAX),
                         DSMR_OK);
        assert_int_equal(
            f->kv.ops->put(f->kv.self, txn, "x", 1, value, DSMR_KV_VALUE_BYTES_MAX + 1u),
            DSMR_ERR_TOO_LARGE);
        assert_int_equal(f->kv.ops->commit(f->kv.self, txn), DSMR_OK);
    }
    free(value);
}

/* A state that may not grow any more: the node will halt, and say which limit it was. */
static void a_full_state_says_so(void **state)
{
    struct fixture *f = *state;
    uint8_t *value = calloc(1, DSMR_KV_VALUE_BYTES_MAX);
    enum dsmr_err err = DSMR_OK;
    char text[1024] = "";

    for (uint8_t n = 0; err == DSMR_OK; n++) {
        struct dsmr_kv_txn *txn = NULL;
        assert_true(n < 8);
        assert_int_equal(f->kv.ops->begin(f->kv.self, &txn, true), DSMR_OK);
        err = f->kv.ops->put(f->kv.self, txn, &n, 1, value, DSMR_KV_VALUE_BYTES_MAX);
        if (err == DSMR_OK) {
            f->kv.ops->cause(f->kv.self, text, sizeof text);
            assert_string_equal(text, "");
            err = f->kv.ops->commit(f->kv.self, txn);
        } else {
            f->kv.ops->abort(f->kv.self, txn);
        }
    }
    assert_int_equal(err, DSMR_ERR_DISK_FULL);
    f->kv.ops->cause(f->kv.self, text, sizeof text);
    assert_non_null(strstr(text, "/state/data.mdb"));
    assert_non_null(strstr(text, "store-map-bytes"));
    free(value);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_largest_blocks_can_be_accepted),
        TEST(the_longest_group_fits),
        TEST(the_largest_value_can_be_replaced),
        TEST(a_full_state_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
