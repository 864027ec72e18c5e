/* Where a node is, as an option names it, and what is said of one that gives no answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/cli_common.h"

static void reads(const char *text, const char *host, uint16_t http, uint16_t submit, int pid)
{
    struct dsmr_cli_node node;
    assert_true(dsmr_cli_common_node(&node, text));
    assert_string_equal(node.host, host);
    assert_int_equal(node.http_port, http);
    assert_int_equal(node.submit_port, submit);
    assert_int_equal(node.pid, pid);
}

static void each_form_is_read(void **state)
{
    (void)state;
    reads("localhost:1", "localhost", 1, 0, 0);
    reads("http://127.0.0.1:65535/", "127.0.0.1", 65535, 0, 0);
    reads("[::1]:80", "::1", 80, 0, 0);
    reads("a.b:80:81", "a.b", 80, 81, 0);
    reads("[::1]:80:81:7", "::1", 80, 81, 7);
    reads("127.0.0.1:80:81:4194304", "127.0.0.1", 80, 81, 4194304);
}

static void other_forms_are_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "a",
                                        "a:",
                                        "a:0",
                                        "a:65536",
                                        "a:80x",
                                        ":80",
                                        "a:80:",
                                        "a:80:0",
                                        "a:80:65536",
                                        "a:80:81:",
                                        "a:80:81:0",
                                        "[::1",
                                        "a:80:81:x",
                                        "a:80:81:-1",
                                        "a:80::7",
                                        "a:80:81:7:8",
                                        "a:80/x",
                                        "a:80:/",
                                        "a:80:81/",
                                        "a:80:81:7/",
                                        "a: 80",
                                        "a:80:81:123456789012345"};
    struct dsmr_cli_node node;
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (dsmr_cli_common_node(&node, wrong[i])) {
            fail_msg("taken: %s", wrong[i]);
        }
    }
}

static void what_is_no_node_is_named(void **state)
{
    static const struct {
        enum dsmr_err err;
        bool was_connected;
        const char *why;
    } table[] = {
        {DSMR_ERR_UNAVAILABLE, false, "no answer from here port 9: no connection"},
        {DSMR_ERR_UNAVAILABLE, true,
         "no answer from here port 9: the connection was closed (is it a node's HTTP port?)"},
        {DSMR_ERR_MALFORMED, true,
         "no sensible answer from here port 9 (is it a node's HTTP port?)"},
        {DSMR_ERR_CONFIG, false, "no answer from here port 9: the host is not known"},
    };
    char why[DSMR_CLI_COMMON_WHY_BYTES];
    const struct dsmr_http_reply none = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct dsmr_http_client client = {
            .host = "here", .port = 9, .fd = -1, .was_connected = table[i].was_connected};
        dsmr_cli_common_why(why, &client, table[i].err, &none);
        assert_string_equal(why, table[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_is_read),
        cmocka_unit_test(other_forms_are_refused),
        cmocka_unit_test(what_is_no_node_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
