/* test_plugin_config.c - the configuration of one chain: defaults, every key, one sentence for each
 * mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/plugin_config.h"

static void expect_error(const char *text, const char *part)
{
    struct dsmr_plugin_config config;
    char reason[DSMR_PLUGIN_CONFIG_REASON_BYTES] = "";
    assert_int_equal(dsmr_plugin_config_read(&config, reason, text, strlen(text)), DSMR_ERR_CONFIG);
    if (strstr(reason, part) == NULL)
        fail_msg("\"%s\" gives \"%s\"", text, reason);
}

static void test_defaults(void **state)
{
    struct dsmr_plugin_config config;
    char reason[DSMR_PLUGIN_CONFIG_REASON_BYTES] = "";
    (void)state;
    assert_int_equal(dsmr_plugin_config_read(&config, reason, NULL, 0), DSMR_OK);
    assert_false(config.is_direct);
    assert_int_equal(config.peer_bytes_per_s, 393216); /* below AvalancheGo's 512 KiB/s */
    assert_string_equal(config.submit_listen, "");
    assert_string_equal(config.http_listen, "");
    assert_int_equal(dsmr_plugin_config_read(&config, reason, "{}", 2), DSMR_OK);
    assert_false(config.is_direct);
}

static void test_every_key(void **state)
{
    static const char text[] =
        "{\"log_level\":\"p2p:debug,*:warn\",\"data_plane\":\"direct\",\"peer_bytes_per_s\":100000,"
        "\"peer_burst_bytes\":200000,\"direct_listen\":\"0.0.0.0:9\",\"direct_announce\":\"h\","
        "\"http_listen\":\"127.0.0.1:1\",\"submit_listen\":\"127.0.0.1:2\",\"allow_remote\":true,"
        "\"workers\":3,\"mempool_bytes\":4000000,\"mempool_txs\":5000,\"chunk_cache_bytes\":"
        "6000000,"
        "\"store_map_bytes\":700000000,\"disk_low_bytes\":8,\"retry_ms\":90,"
        "\"fetch_timeout_ms\":100}";
    struct dsmr_plugin_config config;
    char reason[DSMR_PLUGIN_CONFIG_REASON_BYTES] = "";
    (void)state;
    assert_int_equal(dsmr_plugin_config_read(&config, reason, text, strlen(text)), DSMR_OK);
    assert_string_equal(config.log_level, "p2p:debug,*:warn");
    assert_true(config.is_direct);
    assert_int_equal(config.peer_bytes_per_s, 100000);
    assert_int_equal(config.peer_burst_bytes, 200000);
    assert_string_equal(config.direct_listen, "0.0.0.0:9");
    assert_string_equal(config.direct_announce, "h");
    assert_string_equal(config.http_listen, "127.0.0.1:1");
    assert_string_equal(config.submit_listen, "127.0.0.1:2");
    assert_true(config.allow_remote);
    assert_int_equal(config.workers, 3);
    assert_int_equal(config.mempool_bytes, 4000000);
    assert_int_equal(config.mempool_txs, 5000);
    assert_int_equal(config.chunk_cache_bytes, 6000000);
    assert_int_equal(config.store_map_bytes, 700000000);
    assert_int_equal(config.disk_low_bytes, 8);
    assert_int_equal(config.retry_ms, 90);
    assert_int_equal(config.fetch_timeout_ms, 100);
}

static void test_mistakes(void **state)
{
    char large[400];
    (void)state;
    expect_error("{", "line 1");
    expect_error("[]", "must be an object");
    expect_error("{\"workers\":1,\"workers\":2}", "line 1");
    expect_error("{\"colour\":1}", "\"colour\" is not a key");
    expect_error("{\"a\\nb\\u007f\":1}", "\"a?b?\" is not a key"); /* one line */
    expect_error("{\"workers\":0}", "workers must be a whole number from 1 to 64");
    expect_error("{\"workers\":65}", "workers");
    expect_error("{\"workers\":\"2\"}", "workers");
    expect_error("{\"workers\":1.5}", "workers");
    expect_error("{\"peer_bytes_per_s\":1}", "from 16384");
    expect_error("{\"allow_remote\":1}", "allow_remote must be true or false");
    expect_error("{\"data_plane\":\"carrier pigeon\"}", "\"avalanche\" or \"direct\"");
    expect_error("{\"log_level\":3}", "log_level must be a text");
    expect_error("{\"fee_recipient\":\"xy\"}", "fee_recipient");
    memset(large, 'a', sizeof large);
    memcpy(large, "{\"http_listen\":\"", 16);
    memcpy(large + sizeof large - 3, "\"}", 3);
    expect_error(large, "shorter");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
