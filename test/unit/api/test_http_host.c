/* Which Host headers are ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/http_host.h"

static const char *const hosts[] = {"node.example", "Other.Example"};

static bool local(const char *host)
{
    return dsmr_http_host_is_allowed(host, false, hosts, 2);
}

static void loopback_and_listed_names_pass(void **state)
{
    static const char *const good[] = {
        "localhost", "LocalHost:26657", "127.0.0.1",    "127.0.0.1:1",     "127.255.0.9:65535",
        "[::1]",     "[::1]:26657",     "node.example", "NODE.example:80", "other.example"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!local(good[i])) {
            fail_msg("%s should pass", good[i]);
        }
    }
}

static void everything_else_does_not(void **state)
{
    static const char *const bad[] = {"",
                                      ":80",
                                      "evil.example",
                                      "localhost.evil.example",
                                      "localhost:",
                                      "localhost:x",
                                      "localhost:123456",
                                      "localhost:80:80",
                                      "127.0.0.1.evil.example",
                                      "128.0.0.1",
                                      "10.0.0.1",
                                      "0.0.0.0",
                                      "127.1",
                                      "2130706433",
                                      "[::2]",
                                      "[::1",
                                      "[::1]x",
                                      "[localhost]",
                                      "[127.0.0.1]",
                                      "::1",
                                      "node.example.",
                                      "xnode.example",
                                      "<script>",
                                      "localhost\r\nx",
                                      "[]",
                                      "localhost "};
    char longer[400];
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (local(bad[i])) {
            fail_msg("%s should not pass", bad[i]);
        }
    }
    memset(longer, 'a', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    assert_false(local(longer));
}

static void remote_nodes_take_numeric_addresses(void **state)
{
    (void)state;
    assert_true(dsmr_http_host_is_allowed("10.0.0.1:80", true, NULL, 0));
    assert_true(dsmr_http_host_is_allowed("[2001:db8::1]", true, NULL, 0));
    assert_true(dsmr_http_host_is_allowed("localhost", true, NULL, 0));
    assert_false(dsmr_http_host_is_allowed("evil.example", true, NULL, 0));
    assert_false(dsmr_http_host_is_allowed("2130706433", true, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loopback_and_listed_names_pass),
        cmocka_unit_test(everything_else_does_not),
        cmocka_unit_test(remote_nodes_take_numeric_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
