/* What a load generator says: gains over restarts of a node, unknown values, its verdict, how it
 * drains. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "app/cli_load.h"
#include "app/cli_load_check.h"
#include "app/cli_load_gain.h"
#include "app/cli_view.h"
#include "app/exit_codes.h"

/* ---- gains ---- */

static struct dsmr_cli_sample sample(uint64_t executed, uint64_t disk, uint64_t sent,
                                     uint64_t cpu_us)
{
    struct dsmr_cli_sample out = {
        .is_reachable = true, .has_process = cpu_us > 0, .cpu_us = cpu_us};
    out.metrics[DSMR_METRIC_TXS_EXECUTED] = executed;
    out.metrics[DSMR_METRIC_DISK_BYTES] = disk;
    out.metrics[DSMR_METRIC_NET_BYTES_SENT] = sent;
    return out;
}

static void expect_gain(const struct dsmr_cli_load_gain *gain, uint64_t executed, uint64_t disk,
                        uint64_t sent)
{
    assert_int_equal(gain->executed_txs, executed);
    assert_int_equal(gain->disk_bytes, disk);
    assert_int_equal(gain->net_bytes_sent, sent);
}

static void add(struct dsmr_cli_load_gain *gain, struct dsmr_cli_sample now)
{
    dsmr_cli_load_gain_add(gain, &now);
}

static void gains_are_since_the_first_sample(void **state)
{
    struct dsmr_cli_load_gain gain = {0};
    struct dsmr_cli_sample away = {0};
    (void)state;
    add(&gain, away);
    expect_gain(&gain, 0, 0, 0);
    add(&gain, sample(100, 1000, 10, 50));
    expect_gain(&gain, 0, 0, 0);
    add(&gain, sample(130, 1000, 11, 70));
    add(&gain, away); /* an answer that was late is no restart */
    add(&gain, sample(150, 1500, 12, 90));
    expect_gain(&gain, 50, 500, 2);
    assert_true(gain.has_cpu);
    assert_int_equal(gain.cpu_us, 40);
}

static void a_restarted_node_keeps_what_it_had(void **state)
{
    struct dsmr_cli_load_gain gain = {0};
    struct dsmr_cli_sample away = {0};
    (void)state;
    add(&gain, sample(100, 1000, 10, 50));
    add(&gain, sample(700, 9000, 90, 60));
    add(&gain, away);
    add(&gain, sample(0, 10, 0, 60)); /* as it starts */
    add(&gain, sample(40, 50, 5, 60));
    expect_gain(&gain, 640, 8050, 85);
    assert_false(gain.has_cpu);          /* what the new process costs is not seen */
    add(&gain, sample(2000, 49, 6, 60)); /* again: one counter gives it away */
    expect_gain(&gain, 2640, 8099, 91);
}

static void a_gauge_that_falls_is_no_restart(void **state)
{
    struct dsmr_cli_load_gain gain = {0};
    struct dsmr_cli_sample before = sample(100, 10, 1, 5);
    struct dsmr_cli_sample now = sample(101, 10, 1, 6);
    (void)state;
    before.metrics[DSMR_METRIC_MEMPOOL_TXS] = 9;
    before.metrics[DSMR_METRIC_PEERS] = 3;
    add(&gain, before);
    add(&gain, now);
    expect_gain(&gain, 1, 0, 0);
    assert_true(gain.has_cpu);
}

static void without_a_pid_there_is_no_cpu(void **state)
{
    struct dsmr_cli_load_gain gain = {0};
    (void)state;
    add(&gain, sample(1, 1, 1, 0));
    add(&gain, sample(2, 2, 2, 0));
    assert_false(gain.has_cpu);
}

/* ---- stages ---- */

static void time_it(struct dsmr_cli_sample *sample, uint64_t ms, uint64_t count)
{
    struct dsmr_cli_times *times = &sample->times[DSMR_METRIC_HISTOGRAM_TX_ACCEPTED_EXECUTED];
    for (unsigned i = 0; i < DSMR_METRIC_BUCKETS; i++) {
        times->counts[i] += ms <= dsmr_metrics_bucket_ms(i) ? count : 0;
    }
    times->sum_ms += ms * count;
}

static struct dsmr_cli_load_stage stage_of(const struct dsmr_cli_load_gain *begin,
                                           const struct dsmr_cli_load_gain *end)
{
    struct dsmr_cli_times times = {0};
    struct dsmr_cli_load_stage out;
    dsmr_cli_load_stages_add(&times, DSMR_CLI_LOAD_STAGE_EXECUTED, begin, end);
    dsmr_cli_load_stages_of(&out, &times);
    return out;
}

static void assert_near(double value, double wanted)
{
    if (!(fabs(value - wanted) < 0.001)) {
        fail_msg("%f, not %f", value, wanted);
    }
}

static void stages_are_those_of_the_load(void **state)
{
    struct dsmr_cli_load_gain gain = {0}, begin;
    struct dsmr_cli_sample now = sample(1, 1, 1, 0);
    (void)state;
    time_it(&now, 20000, 500); /* before the load */
    add(&gain, now);
    begin = gain;
    assert_int_equal(stage_of(&begin, &gain).count, 0);
    time_it(&now, 8, 50); /* in (5, 10] */
    time_it(&now, 20, 48);
    time_it(&now, 90, 2);
    add(&gain, now);
    struct dsmr_cli_load_stage stage = stage_of(&begin, &gain);
    assert_int_equal(stage.count, 100);
    assert_near(stage.p50_ms, 10);   /* the 50th of 50 between 5 and 10 */
    assert_near(stage.p99_ms, 87.5); /* the first of two between 75 and 100 */
    assert_near(stage.mean_ms, (50 * 8 + 48 * 20 + 2 * 90) / 100.0);
    time_it(&now, 100000, 9900); /* beyond the last bound it is that bound */
    add(&gain, now);
    assert_near(stage_of(&begin, &gain).p50_ms, 60000);
}

static void a_restart_is_seen_by_its_histograms(void **state)
{
    struct dsmr_cli_load_gain gain = {0};
    const struct dsmr_cli_load_gain nothing = {0};
    struct dsmr_cli_sample now = sample(1, 1, 1, 0), again = sample(1, 1, 1, 0);
    (void)state;
    add(&gain, now);
    time_it(&now, 30, 7);
    add(&gain, now);
    time_it(&again, 30, 4);
    add(&gain, again);
    assert_int_equal(stage_of(&nothing, &gain).count, 11);
    assert_near(stage_of(&nothing, &gain).mean_ms, 30);
}

/* ---- the summary ---- */

static struct dsmr_cli_load_result nothing_known(void)
{
    return (struct dsmr_cli_load_result){.duration_s = 2,
                                         .sent = 5,
                                         .offered_tx_per_s = NAN,
                                         .certified_tx_per_s = NAN,
                                         .executed_tx_per_s = NAN,
                                         .payload_mb_per_s = NAN,
                                         .cpu_us_per_tx = NAN,
                                         .disk_bytes_per_tx = NAN,
                                         .network_bytes_per_tx = NAN,
                                         .rss_max_mb = NAN};
}

static json_t *summary_of(const struct dsmr_cli_load_result *r)
{
    char members[4096], text[4200];
    size_t len = dsmr_cli_load_summary_json(members, sizeof(members), r);
    assert_true(len > 0 && len == strlen(members));
    assert_int_equal(dsmr_cli_load_summary_json(text, len, r), 0); /* no room for the zero byte */
    assert_int_equal(dsmr_cli_load_summary_json(text, len + 1, r), len);
    (void)snprintf(text, sizeof(text), "{%s}", members);
    json_t *summary = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(summary);
    return summary;
}

static void what_is_not_known_is_null(void **state)
{
    static const char *const names[] = {"engine",
                                        "validators",
                                        "offered_tx_per_s",
                                        "certified_tx_per_s",
                                        "executed_tx_per_s",
                                        "payload_mb_per_s",
                                        "cpu_us_per_tx",
                                        "disk_bytes_per_tx",
                                        "network_bytes_per_tx",
                                        "rss_max_mb",
                                        "height",
                                        "state_root",
                                        "missing_txs",
                                        "executed_twice_txs"};
    struct dsmr_cli_load_result r = nothing_known();
    (void)state;
    json_t *summary = summary_of(&r);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!json_is_null(json_object_get(summary, names[i]))) {
            fail_msg("%s is not null", names[i]);
        }
    }
    const json_t *executed = json_object_get(json_object_get(summary, "latency_ms"), "executed");
    assert_true(json_is_null(json_object_get(executed, "p50")));
    const json_t *stages = json_object_get(summary, "stages_ms");
    assert_int_equal(json_object_size(stages), 3);
    executed = json_object_get(stages, "accepted_executed");
    assert_true(json_is_null(json_object_get(executed, "p99")));
    assert_int_equal(json_integer_value(json_object_get(summary, "sent_txs")), 5);
    assert_true(json_is_integer(json_object_get(summary, "executed_txs")));
    json_decref(summary);
}

static void what_is_known_is_told(void **state)
{
    struct dsmr_cli_load_result r = nothing_known();
    (void)state;
    (void)snprintf(r.engine, sizeof(r.engine), "bft");
    r.validators = 7;
    r.cpu_us_per_tx = 0; /* zero is a value */
    r.nodes_count = 2;
    r.node_cpu_us_per_tx[0] = 4.25;
    r.node_cpu_us_per_tx[1] = NAN;
    r.executed = (struct dsmr_cli_load_latency){.count = 1, .p50_ms = 1.5};
    r.stages[DSMR_CLI_LOAD_STAGE_ACCEPTED] =
        (struct dsmr_cli_load_stage){.count = 1, .p50_ms = 7.5, .p99_ms = 9, .mean_ms = 8};
    r.backlog_blocks_max = 3;
    r.nodes_reachable = 4;
    r.height = 0;
    r.has_state_root = true;
    r.notices_twice = 2; /* a fault, whatever else was not read */
    json_t *summary = summary_of(&r);
    assert_string_equal(json_string_value(json_object_get(summary, "engine")), "bft");
    assert_int_equal(json_integer_value(json_object_get(summary, "validators")), 7);
    assert_true(json_is_real(json_object_get(summary, "cpu_us_per_tx")));
    const json_t *nodes = json_object_get(summary, "node_cpu_us_per_tx");
    assert_int_equal(json_array_size(nodes), 2);
    assert_near(json_real_value(json_array_get(nodes, 0)), 4.25);
    assert_true(json_is_null(json_array_get(nodes, 1)));
    assert_true(json_is_integer(json_object_get(summary, "height")));
    assert_int_equal(json_string_length(json_object_get(summary, "state_root")), 64);
    assert_int_equal(json_integer_value(json_object_get(summary, "executed_twice_txs")), 2);
    assert_true(json_is_null(json_object_get(summary, "missing_txs")));
    const json_t *latency = json_object_get(summary, "latency_ms");
    assert_true(json_is_real(json_object_get(json_object_get(latency, "executed"), "p50")));
    assert_true(json_is_null(json_object_get(json_object_get(latency, "certified"), "p50")));
    const json_t *stage =
        json_object_get(json_object_get(summary, "stages_ms"), "certified_accepted");
    assert_near(json_real_value(json_object_get(stage, "p50")), 7.5);
    assert_near(json_real_value(json_object_get(stage, "p99")), 9);
    assert_near(json_real_value(json_object_get(stage, "mean")), 8);
    assert_int_equal(json_integer_value(json_object_get(summary, "backlog_blocks_max")), 3);
    json_decref(summary);
}

static void bursts_are_told_beside_the_idle_time(void **state)
{
    struct dsmr_cli_load_result r = nothing_known();
    (void)state;
    json_t *summary = summary_of(&r);
    assert_true(json_is_null(json_object_get(summary, "bursts_ms")));
    json_decref(summary);
    r.has_bursts = true;
    r.idle.executed = (struct dsmr_cli_load_latency){.count = 1, .p50_ms = 11};
    r.burst_first.certified = (struct dsmr_cli_load_latency){.count = 1, .p99_ms = 22};
    r.burst.executed = (struct dsmr_cli_load_latency){.count = 1, .max_ms = 33};
    static const struct {
        const char *part, *kind, *at;
        double value; /* NAN: null */
    } table[] = {{"idle", "executed", "p50", 11},         {"idle", "certified", "p50", NAN},
                 {"burst_first", "certified", "p99", 22}, {"burst_first", "executed", "max", NAN},
                 {"burst", "executed", "max", 33},        {"burst", "certified", "p95", NAN}};
    summary = summary_of(&r);
    const json_t *bursts = json_object_get(summary, "bursts_ms");
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const json_t *part = json_object_get(bursts, table[i].part);
        const json_t *at = json_object_get(json_object_get(part, table[i].kind), table[i].at);
        assert_true(isnan(table[i].value) ? json_is_null(at) : json_is_real(at));
        if (json_is_real(at)) {
            assert_near(json_real_value(at), table[i].value);
        }
    }
    json_decref(summary);
}

/* What was written to file, which is emptied. */
static const char *written(FILE *file)
{
    static char text[8192];
    fflush(file);
    rewind(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    rewind(file);
    assert_int_equal(ftruncate(fileno(file), 0), 0);
    return text;
}

static void people_read_unknown(void **state)
{
    struct dsmr_cli_load_result r = nothing_known();
    FILE *file = tmpfile();
    (void)state;
    dsmr_cli_view_summary(file, &r);
    const char *text = written(file);
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "0.0"));
    assert_non_null(
        strstr(text, "CPU unknown us, bytes to disk unknown, bytes between nodes unknown"));
    assert_non_null(strstr(text, "memory                 unknown\n"));
    assert_non_null(strstr(text, "executed               unknown\n"));
    assert_non_null(strstr(text, "state roots            unknown\n"));
    assert_null(strstr(text, "burst"));
    r.has_bursts = true;
    r.idle.executed.count = r.burst_first.executed.count = r.burst.certified.count = 1;
    r.idle.executed.p50_ms = 11;
    r.burst_first.executed.p99_ms = 22;
    r.burst.certified.max_ms = 33;
    dsmr_cli_view_summary(file, &r);
    text = written(file);
    assert_non_null(strstr(text, "  idle, executed         p50 11.0 ms"));
    assert_non_null(strstr(text, "  first 0.1 s, executed  p50 0.0 ms   p95 0.0 ms   p99 22.0 ms"));
    assert_non_null(strstr(text, "max 33.0 ms\n"));
    assert_null(strstr(text, "idle, certified")); /* none */
    (void)fclose(file);
}

/* ---- judgement ---- */

static const struct dsmr_cli_program program = {.name = "prog"};

/* The verdict on r; on stderr is one sentence with part, or nothing if part is NULL. */
static int judged(const struct dsmr_cli_load_result *r, const char *part)
{
    const struct dsmr_cli_load_config config = {.nodes_count = 4, .verify = true};
    const struct dsmr_cli_values values = {.program = &program};
    char said[512];
    FILE *file = tmpfile();
    fflush(stderr);
    int saved = dup(2);
    assert_true(dup2(fileno(file), 2) >= 0);
    int code = dsmr_cli_load_check_judge(&values, r, &config);
    fflush(stderr);
    (void)dup2(saved, 2);
    close(saved);
    rewind(file);
    said[fread(said, 1, sizeof(said) - 1, file)] = '\0';
    (void)fclose(file);
    if (part == NULL) {
        assert_string_equal(said, "");
    } else if (strstr(said, part) == NULL) {
        fail_msg("\"%s\" is not in: %s", part, said);
    }
    return code;
}

static void a_load_is_judged(void **state)
{
    (void)state;
    const struct dsmr_cli_load_result good = {.sent = 100,
                                              .admitted = 100,
                                              .executed_txs = 99,
                                              .nodes_reachable = 4,
                                              .state_roots_equal = true,
                                              .is_verified = true};
    struct dsmr_cli_load_result r = good;
    assert_int_equal(judged(&r, NULL), DSMR_EXIT_OK);
    r.executed_txs = 96;
    r.expired_txs = 1;
    r.lost_txs = 1;
    assert_int_equal(judged(&r, "only 96 of 100 admitted transactions were executed, 1 expired, "
                                "1 were lost with a node, 2 are not known"),
                     DSMR_EXIT_REFUSED);
    r.executed_txs = r.admitted = 0;
    r.refused = 100;
    assert_int_equal(judged(&r, "100 refused"), DSMR_EXIT_REFUSED);
    r.last.nodes[2].sample.is_reachable = true; /* explains it */
    r.last.nodes[2].sample.metrics[DSMR_METRIC_DISK_LOW] = 1;
    assert_int_equal(judged(&r, "the disk of node 2 is nearly full (1 of 4"), DSMR_EXIT_DISK_LOW);
    r = good;
    r.nodes_reachable = 3;
    assert_int_equal(judged(&r, "3 of 4 nodes"), DSMR_EXIT_UNAVAILABLE);
    r = good;
    r.state_roots_equal = false;
    assert_int_equal(judged(&r, "state roots"), DSMR_EXIT_HALTED);
    r = good;
    r.is_verified = false;
    assert_int_equal(judged(&r, "could not be read"), DSMR_EXIT_UNAVAILABLE);
    r = good;
    r.missing_txs = 1;
    assert_int_equal(judged(&r, "1 executed transactions were not found"), DSMR_EXIT_HALTED);
    r = good;
    r.notices_twice = 2;
    assert_int_equal(judged(&r, "2 were executed twice"), DSMR_EXIT_HALTED);
}

static void a_warm_up_is_shorter_than_its_load(void **state)
{
    static const struct dsmr_cli_option options[] = {{.name = "duration"}, {.name = "warmup"}};
    static const struct {
        uint64_t duration_ms, warmup_ms;
        enum dsmr_cli_source source;
        uint32_t taken_ms; /* UINT32_MAX: refused */
    } table[] = {
        {4000, 3000, DSMR_CLI_FROM_DEFAULT, 3000},   {4000, 3999, DSMR_CLI_FROM_FLAG, 3999},
        {3000, 3000, DSMR_CLI_FROM_DEFAULT, 750},    {3000, 3000, DSMR_CLI_FROM_FLAG, UINT32_MAX},
        {3000, 9000, DSMR_CLI_FROM_ENV, UINT32_MAX}, {0, 3000, DSMR_CLI_FROM_FLAG, 3000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct dsmr_cli_values values = {.program = &program, .values_count = 2};
        struct dsmr_cli_load_config config;
        values.values[0].option = &options[0];
        values.values[0].number = table[i].duration_ms;
        values.values[1].option = &options[1];
        values.values[1].number = table[i].warmup_ms;
        values.values[1].source = table[i].source;
        dsmr_cli_load_config_default(&config);
        bool is_refused = table[i].taken_ms == UINT32_MAX;
        assert_int_equal(dsmr_cli_load_check_times(&values, &config),
                         is_refused ? DSMR_EXIT_USAGE : -1);
        assert_int_equal(config.duration_ms, table[i].duration_ms);
        assert_true(is_refused || config.warmup_ms == table[i].taken_ms);
    }
}

/* The options of `dsmr bench` and `dsmr localnet`, read from a command line. */
static int read_options(struct dsmr_cli_load_config *config, int argc, char **argv)
{
    static const struct dsmr_cli_option options[] = {
        {"load", "KIND", DSMR_CLI_CHOICE, 0, 0,
         "transfers|hotspot|opaque|duplicates|idle-then-burst|none", "opaque", ""},
        {"rate", "N", DSMR_CLI_NUMBER, 1, 1000, NULL, "9", ""},
        {"tx-bytes", "N", DSMR_CLI_NUMBER, 1, 1000, NULL, "77", ""},
        {"duration", "TIME", DSMR_CLI_DURATION, 0, 86400000, NULL, "30s", ""},
        {"warmup", "TIME", DSMR_CLI_DURATION, 0, 86400000, NULL, "3s", ""},
        DSMR_CLI_LOAD_CHECK_BURSTS,
    };
    static const struct dsmr_cli_verb verb = {
        .name = "load", .options = options, .options_count = sizeof(options) / sizeof(options[0])};
    static const struct dsmr_cli_program loads = {.name = "prog", .verbs = &verb, .verbs_count = 1};
    static struct dsmr_cli_values values;
    assert_int_equal(dsmr_cli_parse(&values, &loads, argc, argv), -1);
    dsmr_cli_load_config_default(config);
    return dsmr_cli_load_check_options(&values, config);
}

static void loads_are_read_from_options(void **state)
{
    static const struct {
        const char *load, *duration;
        uint32_t rate, idle_ms, burst_ms;
        enum dsmr_cli_load_kind kind;
        bool to_all, is_refused;
    } table[] = {
        {"transfers", "1s", 9, 0, 0, DSMR_CLI_LOAD_TRANSFERS, false, false},
        {"hotspot", "1s", 9, 0, 0, DSMR_CLI_LOAD_TRANSFERS, false, false},
        {"opaque", "1s", 9, 0, 0, DSMR_CLI_LOAD_OPAQUE, false, false},
        {"duplicates", "1s", 9, 0, 0, DSMR_CLI_LOAD_OPAQUE, true, false},
        {"none", "1s", 0, 0, 0, DSMR_CLI_LOAD_OPAQUE, false, false},
        {"idle-then-burst", "0", 9, 5000, 250, DSMR_CLI_LOAD_OPAQUE, false, false},
        {"idle-then-burst", "5001ms", 9, 5000, 250, DSMR_CLI_LOAD_OPAQUE, false, false},
        {"idle-then-burst", "5s", 9, 5000, 250, DSMR_CLI_LOAD_OPAQUE, false, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct dsmr_cli_load_config config;
        char *argv[] = {"prog",       "load",
                        "--load",     (char *)table[i].load,
                        "--duration", (char *)table[i].duration,
                        "--idle",     "5s",
                        "--burst",    "250ms"};
        int code = read_options(&config, sizeof(argv) / sizeof(argv[0]), argv);
        assert_int_equal(code, table[i].is_refused ? DSMR_EXIT_USAGE : -1);
        assert_int_equal(config.kind, table[i].kind);
        assert_int_equal(config.to_all, table[i].to_all);
        assert_int_equal(config.accounts_max, strcmp(table[i].load, "hotspot") == 0 ? 2 : 0);
        assert_int_equal(config.rate, table[i].rate);
        assert_int_equal(config.tx_bytes, 77);
        assert_int_equal(config.idle_ms, table[i].idle_ms);
        assert_int_equal(config.burst_ms, table[i].burst_ms);
    }
}

/* ---- draining ---- */

static struct dsmr_cli_load_snapshot at(uint64_t elapsed_ms, bool is_draining, uint64_t executed)
{
    struct dsmr_cli_load_snapshot out = {
        .elapsed_ms = elapsed_ms, .is_draining = is_draining, .nodes_count = 2};
    out.nodes[0].admitted = 60;
    out.nodes[1].admitted = 40;
    out.nodes[0].executed = executed;
    out.nodes[1].expired = 3;
    return out;
}

static void draining_is_told_once_a_second(void **state)
{
    static const struct {
        uint64_t elapsed_ms;
        bool is_draining;
        const char *said;
    } table[] = {
        {100, false, ""},
        {9000, false, ""},
        {9050, true,
         "{\"event\":\"draining\",\"elapsed_s\":9.1,\"admitted_txs\":100,\"executed_txs\":50,"
         "\"expired_txs\":3,\"lost_txs\":0,\"waiting_txs\":47}\n"},
        {9250, true, ""},
        {10049, true, ""},
        {10050, true,
         "{\"event\":\"draining\",\"elapsed_s\":10.1,\"admitted_txs\":100,\"executed_txs\":50,"
         "\"expired_txs\":3,\"lost_txs\":0,\"waiting_txs\":47}\n"},
    };
    FILE *file = tmpfile();
    (void)state;
    const struct dsmr_cli_view_config config = {.out = file, .is_json = true};
    struct dsmr_cli_view *view = dsmr_cli_view_begin(&config);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct dsmr_cli_load_snapshot now = at(table[i].elapsed_ms, table[i].is_draining, 50);
        dsmr_cli_view_update(view, &now);
        assert_string_equal(written(file), table[i].said);
    }
    struct dsmr_cli_load_snapshot last = at(10060, true, 99); /* one more than was admitted */
    last.is_checking = true;
    dsmr_cli_view_update(view, &last);
    assert_string_equal(
        written(file), "{\"event\":\"checking\",\"elapsed_s\":10.1,\"admitted_txs\":100,"
                       "\"executed_txs\":99,\"expired_txs\":3,\"lost_txs\":0,\"waiting_txs\":0}\n");
    dsmr_cli_view_end(view);
    assert_string_equal(written(file), "");
    (void)fclose(file);
}

static void plain_lines_say_what_is_waited_for(void **state)
{
    FILE *file = tmpfile();
    (void)state;
    const struct dsmr_cli_view_config config = {.out = file, .is_plain = true};
    struct dsmr_cli_view *view = dsmr_cli_view_begin(&config);
    struct dsmr_cli_load_snapshot now = at(10, false, 50);
    dsmr_cli_view_update(view, &now);
    assert_null(strstr(written(file), "waiting"));
    now = at(3000, true, 50);
    dsmr_cli_view_update(view, &now);
    assert_non_null(strstr(written(file), "waiting for the last 47\n"));
    now.is_checking = true; /* at once, however soon */
    dsmr_cli_view_update(view, &now);
    assert_non_null(strstr(written(file), "comparing the nodes' blocks and roots\n"));
    dsmr_cli_view_end(view);
    (void)fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gains_are_since_the_first_sample),
        cmocka_unit_test(a_restarted_node_keeps_what_it_had),
        cmocka_unit_test(a_gauge_that_falls_is_no_restart),
        cmocka_unit_test(without_a_pid_there_is_no_cpu),
        cmocka_unit_test(stages_are_those_of_the_load),
        cmocka_unit_test(a_restart_is_seen_by_its_histograms),
        cmocka_unit_test(what_is_not_known_is_null),
        cmocka_unit_test(what_is_known_is_told),
        cmocka_unit_test(bursts_are_told_beside_the_idle_time),
        cmocka_unit_test(people_read_unknown),
        cmocka_unit_test(a_load_is_judged),
        cmocka_unit_test(a_warm_up_is_shorter_than_its_load),
        cmocka_unit_test(loads_are_read_from_options),
        cmocka_unit_test(draining_is_told_once_a_second),
        cmocka_unit_test(plain_lines_say_what_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
