/* test_state_without_head.c - what recovery says of a state that cannot be the node's: its file is
 * to blame, not the application, unless that has read its part of genesis and refused it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "driver/driver.h"
#include "store/kv_mem.h"

#define NOW_MS UINT64_C(1700000000000)

static enum dsmr_err genesis_err;
static uint32_t genesis_calls;
static char logged[256];

static uint64_t now_ms(void *self)
{
    (void)self;
    return NOW_MS;
}

static enum dsmr_err app_genesis(void *self, struct dsmr_id *root, const char **reason,
                                 const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                 const char *genesis, size_t genesis_len)
{
    (void)self, (void)root, (void)kv, (void)txn, (void)genesis, (void)genesis_len;
    genesis_calls++;
    if (genesis_err == DSMR_ERR_CONFIG)
        *reason = "an account stands twice";
    return genesis_err;
}

static void log_line(void *self, enum dsmr_log_level level, const char *module, const char *text)
{
    (void)self, (void)level, (void)module;
    assert_true(strlen(logged) + strlen(text) + 2 < sizeof logged);
    strcat(strcat(logged, text), "\n");
}

static const struct dsmr_clock_ops clock_ops = {.wall_ms = now_ms, .mono_ms = now_ms};
static const struct dsmr_app_ops app_ops = {.genesis = app_genesis};
static const struct dsmr_engine_ops engine_ops = {0};
static const struct dsmr_store_ops store_ops = {0}; /* the state is read first */
static const struct dsmr_log_ops log_ops = {.line = log_line};

/* How recovery over kv ends; it is the state's fault. *reason: its sentence, or NULL. */
static enum dsmr_err recover(struct dsmr_kv_mem *kv, const char **reason)
{
    struct dsmr_driver_config config;
    struct dsmr_driver *driver = NULL;
    static struct dsmr_metrics metrics;
    memset(&config, 0, sizeof config);
    logged[0] = '\0';
    genesis_calls = 0;
    dsmr_params_default(&config.node.params);
    config.node.seed = 1;
    config.node.validators_max = 4;
    config.node.mempool_bytes_max = 1u << 20;
    config.node.mempool_txs_max = 64;
    config.node.chunk_cache_bytes_max = 1u << 20;
    config.node.fetches_max = 1;
    assert_int_equal(dsmr_block_genesis(&config.genesis, &config.node.params, NOW_MS), DSMR_OK);
    config.engine.ops = &engine_ops;
    config.store.ops = &store_ops;
    config.kv = dsmr_kv_mem_port(kv);
    config.clock.ops = &clock_ops;
    config.app.ops = &app_ops;
    config.log.ops = &log_ops;
    config.metrics = &metrics;
    assert_int_equal(dsmr_driver_new(&driver, &config), DSMR_OK);
    enum dsmr_err err = dsmr_driver_recover(driver);
    assert_int_equal(dsmr_driver_recovered_to(driver, reason), DSMR_DRIVER_PART_STATE);
    dsmr_driver_free(driver);
    dsmr_block_unref(config.genesis);
    return err;
}

static void test_records_without_their_head(void **state)
{
    (void)state;
    const char *reason = NULL;
    struct dsmr_kv_mem *kv = dsmr_kv_mem_new();
    struct dsmr_kv port = dsmr_kv_mem_port(kv);
    struct dsmr_kv_txn *txn = NULL;
    assert_int_equal(port.ops->begin(port.self, &txn, true), DSMR_OK);
    assert_int_equal(port.ops->put(port.self, txn, "account", 7, "rich", 4), DSMR_OK);
    assert_int_equal(port.ops->commit(port.self, txn), DSMR_OK);
    assert_int_equal(recover(kv, &reason), DSMR_ERR_CORRUPT);
    assert_non_null(reason);
    assert_non_null(strstr(logged, reason));
    assert_int_equal(genesis_calls, 0); /* nothing is written over what is left */
    dsmr_kv_mem_free(kv);
}

/* Version 1 had longer records: they are not taken for damage, and nothing is written over them. */
static void test_state_of_an_older_version(void **state)
{
    (void)state;
    static const uint8_t head[1 + 8 + 32 + 32 + 8] = {1};
    const char *reason = NULL;
    struct dsmr_kv_mem *kv = dsmr_kv_mem_new();
    struct dsmr_kv port = dsmr_kv_mem_port(kv);
    struct dsmr_kv_txn *txn = NULL;
    assert_int_equal(port.ops->begin(port.self, &txn, true), DSMR_OK);
    assert_int_equal(port.ops->put(port.self, txn, "xh", 2, head, sizeof head), DSMR_OK);
    assert_int_equal(port.ops->commit(port.self, txn), DSMR_OK);
    assert_int_equal(recover(kv, &reason), DSMR_ERR_CORRUPT);
    assert_non_null(reason);
    assert_non_null(strstr(reason, "older version"));
    assert_non_null(strstr(logged, reason));
    assert_int_equal(genesis_calls, 0);
    dsmr_kv_mem_free(kv);
}

static void test_who_refused(void **state)
{
    (void)state;
    const char *reason = NULL;
    struct dsmr_kv_mem *kv = dsmr_kv_mem_new();
    genesis_err = DSMR_ERR_IO;
    assert_int_equal(recover(kv, &reason), DSMR_ERR_IO);
    assert_int_equal(genesis_calls, 1);
    assert_null(strstr(logged, "application"));
    genesis_err = DSMR_ERR_CONFIG;
    assert_int_equal(recover(kv, &reason), DSMR_ERR_CONFIG);
    assert_non_null(strstr(logged, "an account stands twice"));
    dsmr_kv_mem_free(kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_without_their_head),
        cmocka_unit_test(test_state_of_an_older_version),
        cmocka_unit_test(test_who_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
