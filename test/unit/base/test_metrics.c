/* test_metrics.c - counting; and assert.h's hook, seen from a child that dies. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/metrics.h"

static void values_add_and_set(void **state)
{
    (void)state;
    static struct dsmr_metrics metrics;
    dsmr_metrics_add(&metrics, DSMR_METRIC_CHUNKS_BUILT, 2);
    dsmr_metrics_add(&metrics, DSMR_METRIC_CHUNKS_BUILT, 3);
    dsmr_metrics_set(&metrics, DSMR_METRIC_PEERS, 9);
    dsmr_metrics_set(&metrics, DSMR_METRIC_PEERS, 4);
    assert_int_equal(dsmr_metrics_get(&metrics, DSMR_METRIC_CHUNKS_BUILT), 5);
    assert_int_equal(dsmr_metrics_get(&metrics, DSMR_METRIC_PEERS), 4);
    assert_int_equal(dsmr_metrics_get(&metrics, DSMR_METRIC_BEHIND), 0);
}

static void errors_count_only_within_the_table(void **state)
{
    (void)state;
    static struct dsmr_metrics metrics;
    dsmr_metrics_count_error(&metrics, DSMR_ERR_MALFORMED);
    dsmr_metrics_count_error(&metrics, DSMR_ERR_MALFORMED);
    dsmr_metrics_count_error(&metrics, (enum dsmr_err)(DSMR_ERR_NUMBER_MAX - 1));
    dsmr_metrics_count_error(&metrics, (enum dsmr_err)DSMR_ERR_NUMBER_MAX);
    dsmr_metrics_count_error(&metrics, (enum dsmr_err)65535);
    uint64_t sum = 0;
    for (unsigned i = 0; i < DSMR_ERR_NUMBER_MAX; i++) {
        sum += metrics.errors[i];
    }
    assert_int_equal(metrics.errors[DSMR_ERR_MALFORMED], 2);
    assert_int_equal(metrics.errors[DSMR_ERR_NUMBER_MAX - 1], 1);
    assert_int_equal(sum, 3);
}

static void a_percentile_that_doubles_is_seen(void **state)
{
    (void)state;
    for (unsigned i = 0; dsmr_metrics_bucket_ms(i) < 1000; i++) {
        uint64_t bound = dsmr_metrics_bucket_ms(i);
        assert_true(bound < 50 || 2 * dsmr_metrics_bucket_ms(i + 1) <= 3 * bound);
    }
}

static void a_time_falls_into_the_first_bucket_that_holds_it(void **state)
{
    (void)state;
    static struct dsmr_metrics metrics;
    const unsigned last = DSMR_METRIC_BUCKETS - 1;
    assert_true(dsmr_metrics_bucket_ms(last) == UINT64_MAX);
    for (unsigned i = 0; i < last; i++) { /* its bound lies in it, the next number does not */
        uint64_t bound = dsmr_metrics_bucket_ms(i);
        assert_true(bound < dsmr_metrics_bucket_ms(i + 1));
        dsmr_metrics_observe(&metrics, DSMR_METRIC_HISTOGRAM_TX_EXECUTED, bound, 1);
        dsmr_metrics_observe(&metrics, DSMR_METRIC_HISTOGRAM_TX_EXECUTED, bound + 1, 1);
    }
    uint64_t sum = 0;
    for (unsigned i = 0; i <= last; i++) {
        assert_int_equal(metrics.histograms[DSMR_METRIC_HISTOGRAM_TX_EXECUTED].counts[i],
                         i == 0 || i == last ? 1 : 2);
        sum += i < last ? 2 * dsmr_metrics_bucket_ms(i) + 1 : 0;
        assert_int_equal(metrics.histograms[DSMR_METRIC_HISTOGRAM_TX_CERTIFIED].counts[i], 0);
    }
    assert_int_equal(metrics.histograms[DSMR_METRIC_HISTOGRAM_TX_EXECUTED].sum_ms, sum);
    dsmr_metrics_observe(&metrics, DSMR_METRIC_HISTOGRAM_TX_CERTIFIED, 0, 1);
    assert_int_equal(metrics.histograms[DSMR_METRIC_HISTOGRAM_TX_CERTIFIED].counts[0], 1);
    dsmr_metrics_observe(&metrics, DSMR_METRIC_HISTOGRAM_TX_CERTIFIED, 1, 3);
    assert_int_equal(metrics.histograms[DSMR_METRIC_HISTOGRAM_TX_CERTIFIED].counts[0], 4);
    assert_int_equal(metrics.histograms[DSMR_METRIC_HISTOGRAM_TX_CERTIFIED].sum_ms, 3);
}

static int hook_pipe[2];

static void hook(const char *condition, const char *file, int line)
{
    (void)file;
    if (line > 0) {
        ssize_t written = write(hook_pipe[1], condition, 5);
        (void)written;
    }
    DSMR_ASSERT(0 > 1); /* a hook that fails must not be called again */
}

static void failed_assertion_calls_the_hook_once_and_aborts(void **state)
{
    (void)state;
    DSMR_ASSERT(1 + 1 == 2);
    assert_int_equal(pipe(hook_pipe), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dsmr_assert_set_hook(hook);
        DSMR_ASSERT(2 < 1);
        _exit(0);
    }
    int status = 0;
    char seen[16] = {0};
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    close(hook_pipe[1]);
    assert_int_equal(read(hook_pipe[0], seen, sizeof(seen)), 5);
    assert_string_equal(seen, "2 < 1");
    close(hook_pipe[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_add_and_set),
        cmocka_unit_test(errors_count_only_within_the_table),
        cmocka_unit_test(a_percentile_that_doubles_is_seen),
        cmocka_unit_test(a_time_falls_into_the_first_bucket_that_holds_it),
        cmocka_unit_test(failed_assertion_calls_the_hook_once_and_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
