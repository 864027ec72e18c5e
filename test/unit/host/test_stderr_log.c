/* Levels by module and the three formats. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/stderr_log.h"

static uint64_t fixed_ms(void *self)
{
    (void)self;
    return UINT64_C(1786529730123); /* 2026-08-12T10:15:30.123Z */
}
static const struct dsmr_clock_ops clock_ops = {fixed_ms, fixed_ms};
static const struct dsmr_clock fixed_clock = {NULL, &clock_ops};

static enum dsmr_err init(struct dsmr_stderr_log *log, const char *levels)
{
    const char *reason = NULL;
    enum dsmr_err err =
        dsmr_stderr_log_init(log, &reason, levels, DSMR_STDERR_LOG_PLAIN, 2, fixed_clock);
    assert_true((err == DSMR_OK) == (reason == NULL));
    return err;
}

static void test_levels_by_module(void **state)
{
    (void)state;
    struct dsmr_stderr_log log;
    assert_int_equal(init(&log, "*:info,p2p:warn,exec:none"), DSMR_OK);
    assert_true(dsmr_stderr_log_is_on(&log, DSMR_LOG_WARN, "p2p"));
    assert_false(dsmr_stderr_log_is_on(&log, DSMR_LOG_INFO, "p2p"));
    assert_true(dsmr_stderr_log_is_on(&log, DSMR_LOG_INFO, "main"));
    assert_false(dsmr_stderr_log_is_on(&log, DSMR_LOG_DEBUG, "main"));
    assert_false(dsmr_stderr_log_is_on(&log, DSMR_LOG_ERROR, "exec"));
    assert_int_equal(init(&log, "debug"), DSMR_OK);
    assert_true(dsmr_stderr_log_is_on(&log, DSMR_LOG_DEBUG, "main"));
    assert_int_equal(init(&log, ""), DSMR_OK);
    assert_true(dsmr_stderr_log_is_on(&log, DSMR_LOG_INFO, "main"));
    assert_false(dsmr_stderr_log_is_on(&log, DSMR_LOG_DEBUG, "main"));
}

static void test_wrong_levels(void **state)
{
    (void)state;
    static const char *const wrong[] = {"p2p:loud",  "p2p:",     ":warn",
                                        "p2p:warn,", ",",        "p2p",
                                        "INFO",      "a:b:info", "much-too-long-a-module:info"};
    struct dsmr_stderr_log log;
    memset(&log, 0x5a, sizeof(log));
    struct dsmr_stderr_log before = log;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(init(&log, wrong[i]), DSMR_ERR_CONFIG);
    assert_memory_equal(&log, &before, sizeof(log));
    char many[512] = "a:info";
    for (unsigned i = 1; i < DSMR_STDERR_LOG_RULES_MAX; i++)
        strcat(many, ",a:info");
    assert_int_equal(init(&log, many), DSMR_OK);
    strcat(many, ",a:info");
    assert_int_equal(init(&log, many), DSMR_ERR_CONFIG);
}

static size_t log_to_pipe(char *out, size_t size, enum dsmr_stderr_log_format format,
                          const char *text)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct dsmr_stderr_log log;
    const char *reason;
    assert_int_equal(dsmr_stderr_log_init(&log, &reason, "*:info", format, fds[1], fixed_clock),
                     DSMR_OK);
    struct dsmr_log port = dsmr_stderr_log_port(&log);
    port.ops->line(port.self, DSMR_LOG_DEBUG, "p2p", "not written");
    port.ops->line(port.self, DSMR_LOG_WARN, "p2p", text);
    close(fds[1]);
    ssize_t n = read(fds[0], out, size - 1);
    close(fds[0]);
    assert_true(n > 0);
    out[n] = '\0';
    return (size_t)n;
}

static void test_formats(void **state)
{
    (void)state;
    char out[4096];
    log_to_pipe(out, sizeof(out), DSMR_STDERR_LOG_PLAIN, "peer \"a\" is\ngone");
    assert_string_equal(out, "2026-08-12T10:15:30.123Z warn  p2p: peer \"a\" is?gone\n");
    log_to_pipe(out, sizeof(out), DSMR_STDERR_LOG_JOURNAL, "gone");
    assert_string_equal(out, "<4>p2p: gone\n");
    log_to_pipe(out, sizeof(out), DSMR_STDERR_LOG_JSON, "peer \"a\\\" is\ngone");
    assert_string_equal(out, "{\"time\":\"2026-08-12T10:15:30.123Z\",\"level\":\"warn\","
                             "\"module\":\"p2p\",\"text\":\"peer \\\"a\\\\\\\" is\\u000agone\"}\n");
}

static void test_long_lines_are_cut_and_stay_whole(void **state)
{
    (void)state;
    char text[3000], out[4096];
    for (int format = DSMR_STDERR_LOG_PLAIN; format <= DSMR_STDERR_LOG_JOURNAL; format++) {
        for (size_t start = 0; start < 7; start++) { /* an escape at every place of the cut */
            memset(text, '\n', sizeof(text));
            memset(text, 'x', start);
            text[sizeof(text) - 1] = '\0';
            size_t n = log_to_pipe(out, sizeof(out), (enum dsmr_stderr_log_format)format, text);
            assert_true(n <= DSMR_STDERR_LOG_LINE_BYTES_MAX);
            assert_true(n > DSMR_STDERR_LOG_LINE_BYTES_MAX - 16);
            assert_int_equal(out[n - 1], '\n');
            if (format == DSMR_STDERR_LOG_JSON)
                assert_memory_equal(out + n - 9, "\\u000a\"}\n", 9);
        }
    }
}

static void test_a_broken_pipe_is_survived(void **state)
{
    (void)state;
    struct dsmr_stderr_log log;
    const char *reason;
    assert_int_equal(
        dsmr_stderr_log_init(&log, &reason, "", DSMR_STDERR_LOG_PLAIN, -1, fixed_clock), DSMR_OK);
    struct dsmr_log port = dsmr_stderr_log_port(&log);
    port.ops->line(port.self, DSMR_LOG_ERROR, "main", "nobody reads this");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_by_module),
        cmocka_unit_test(test_wrong_levels),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_long_lines_are_cut_and_stay_whole),
        cmocka_unit_test(test_a_broken_pipe_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
