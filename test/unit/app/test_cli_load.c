/* The load generator against the real API over a node that admits, certifies and executes at once;
 * then with a node that hides transactions, one that runs them twice, one of another root. */
#include "unit/app/fake_chain.h"

#include <jansson.h>
#include <sys/wait.h>

#include "app/cli_load_tx.h"
#include "app/cli_view.h"
#include "app/files.h"
#include "vm/transfer_tx.h"

#define FOLDER_BYTES sizeof "/tmp/dsmr-test-XXXXXX"

static int progress_calls;

static void make_folder(char folder[FOLDER_BYTES])
{
    assert_int_equal(dsmr_files_make_temporary(folder, FOLDER_BYTES, "/tmp", "dsmr-test"), DSMR_OK);
}

static void on_progress(void *ctx, const struct dsmr_cli_load_snapshot *snapshot)
{
    dsmr_cli_view_update(ctx, snapshot);
    assert_int_equal(snapshot->nodes_count, 1);
    assert_true(snapshot->nodes[0].sample.is_reachable);
    progress_calls++;
}

static void an_honest_node_is_measured(void **state)
{
    struct chain *chain = chain_open();
    struct dsmr_cli_load_config config = config_for(chain);
    static struct dsmr_cli_load_result r;
    const char *reason = "";
    FILE *sink = tmpfile();
    (void)state;
    const struct dsmr_cli_view_config view = {.out = sink, .title = "test", .plain_ms = 50};
    config.progress = on_progress;
    config.ctx = dsmr_cli_view_begin(&view);
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_OK);
    dsmr_cli_view_end(config.ctx);
    dsmr_cli_view_summary(sink, &r);
    assert_true(ftell(sink) > 200);
    (void)fclose(sink);
    assert_true(progress_calls > 0);
    assert_int_equal(r.sent, 600); /* open loop: exactly what the rate says */
    assert_int_equal(r.admitted, 600);
    assert_int_equal(r.executed_txs, 600);
    assert_int_equal(r.refused + r.failed_txs + r.expired_txs, 0);
    assert_true(r.is_drained && r.is_verified && r.state_roots_equal);
    assert_int_equal(r.missing_txs + r.notices_twice, 0);
    assert_int_equal(r.height, chain->height);
    assert_int_equal(r.executed_height_max, chain->height);
    assert_int_equal(r.executed.count, 400); /* those meant for after the warm-up */
    assert_true(r.executed.p50_ms <= r.executed.p95_ms && r.executed.p99_ms <= r.executed.max_ms);
    assert_true(r.offered_tx_per_s > 1999 && r.offered_tx_per_s < 2001);
    assert_true(r.rss_max_mb > 0);
    assert_int_equal(r.nodes_reachable, 1);
    assert_string_equal(r.engine, "test");
    assert_int_equal(r.validators, 4);
    assert_true(r.cpu_us_per_tx >= 0); /* not NAN */
    assert_int_equal(r.nodes_count, 1);
    assert_true(r.node_cpu_us_per_tx[0] == r.cpu_us_per_tx); /* the only one */
    char members[4096], json[4200];
    assert_true(dsmr_cli_load_summary_json(members, sizeof(members), &r) > 0);
    assert_int_equal(dsmr_cli_load_summary_json(members, 10, &r), 0);
    assert_true(dsmr_cli_load_summary_json(members, sizeof(members), &r) < sizeof(members));
    (void)snprintf(json, sizeof(json), "{%s}", members);
    json_t *summary = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    static const char *const names[] = {"offered_tx_per_s",  "certified_tx_per_s",
                                        "executed_tx_per_s", "payload_mb_per_s",
                                        "latency_ms",        "cpu_us_per_tx",
                                        "disk_bytes_per_tx", "network_bytes_per_tx",
                                        "rss_max_mb",        "height",
                                        "state_roots_equal", "executed_txs"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_non_null(json_object_get(summary, names[i]));
    }
    const json_t *latency = json_object_get(json_object_get(summary, "latency_ms"), "executed");
    assert_non_null(json_object_get(latency, "p99"));
    json_decref(summary);
    chain_close(chain);
}

/* A node that begins again at zero in the middle of the load, and runs as much again. */
struct restart {
    struct chain *chain;
    atomic_int stop;
    bool has_begun, has_first, is_done;
    uint64_t first, before; /* its counter when it was surely measured, and at its first end */
    uint64_t after;         /* at the first sample after the load */
    double seconds;
};

static void restart_in_the_middle(void *ctx, const struct dsmr_cli_load_snapshot *snapshot)
{
    struct restart *restart = ctx;
    uint64_t executed = snapshot->nodes[0].sample.metrics[DSMR_METRIC_TXS_EXECUTED];
    restart->seconds = (double)snapshot->elapsed_ms / 1000.0;
    if (!restart->has_first) { /* measuring begins at the latest behind the first that ran */
        restart->first = executed;
        restart->has_first = restart->has_begun;
        restart->has_begun = executed > 0;
    } else if (restart->is_done && executed >= 300) {
        restart->stop = 1;
        restart->after = snapshot->is_draining && restart->after == 0 ? executed : restart->after;
    } else if (!restart->is_done && executed >= restart->first + 300) {
        restart->is_done = true;
        restart->before = executed;
        for (size_t i = 0; i < DSMR_METRIC_COUNT; i++) {
            dsmr_metrics_set(&restart->chain->node.metrics, (enum dsmr_metric)i, 0);
        }
    }
}

static void a_node_that_restarts_keeps_its_rate(void **state)
{
    struct chain *chain = chain_open();
    struct dsmr_cli_load_config config = config_for(chain);
    static struct dsmr_cli_load_result r;
    struct restart restart = {.chain = chain};
    const char *reason = "";
    (void)state;
    config.duration_ms = 0;
    config.warmup_ms = 0;
    config.stop = &restart.stop;
    config.progress = restart_in_the_middle;
    config.ctx = &restart;
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_OK);
    assert_true(restart.is_done && restart.after >= 300);
    assert_true(r.executed_tx_per_s * restart.seconds >=
                (double)(restart.before - restart.first + restart.after));
    assert_false(r.cpu_us_per_tx >= 0); /* NAN: whose would it be? */
    chain_close(chain);
}

static void a_load_that_the_application_does_not_take(void **state)
{
    static const struct {
        const char *app;
        enum dsmr_cli_load_kind kind;
        bool is_taken; /* a load of transfers then lacks the accounts */
    } table[] = {
        {"transfers", DSMR_CLI_LOAD_OPAQUE, false}, {"opaque", DSMR_CLI_LOAD_TRANSFERS, false},
        {"mine", DSMR_CLI_LOAD_TRANSFERS, false},   {"transfers", DSMR_CLI_LOAD_TRANSFERS, true},
        {"opaque", DSMR_CLI_LOAD_OPAQUE, true},     {"mine", DSMR_CLI_LOAD_OPAQUE, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct chain *chain = chain_open_app(table[i].app);
        struct dsmr_cli_load_config config = config_for(chain);
        static struct dsmr_cli_load_result r;
        char name[16];
        const char *reason = "";
        config.kind = table[i].kind;
        config.duration_ms = 20;
        config.warmup_ms = 0;
        enum dsmr_err err = dsmr_cli_load_run(&r, &reason, &config);
        assert_int_equal(err == DSMR_ERR_WRONG_CHAIN, !table[i].is_taken);
        if (!table[i].is_taken) {
            (void)snprintf(name, sizeof(name), "`%s`", table[i].app);
            assert_non_null(strstr(reason, name));
            assert_int_equal(chain->node.batches_count, 0); /* nothing was sent */
        }
        config.rate = 0; /* only looking is no mistake */
        assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_OK);
        chain_close(chain);
    }
}

static void a_node_that_hides_transactions_is_found_out(void **state)
{
    struct chain *chain = chain_open();
    struct dsmr_cli_load_config config = config_for(chain);
    static struct dsmr_cli_load_result r;
    const char *reason = "";
    (void)state;
    chain->hide_every = 3; /* at least the first of every block */
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_OK);
    assert_true(r.is_verified);
    assert_int_equal(r.executed_txs, 600);
    assert_true(r.missing_txs >= chain->height && r.missing_txs < 600);
    chain_close(chain);
}

static void a_node_that_runs_one_twice_is_found_out(void **state)
{
    struct chain *chain = chain_open();
    struct dsmr_cli_load_config config = config_for(chain);
    static struct dsmr_cli_load_result r;
    const char *reason = "";
    (void)state;
    chain->twice_every = 2;
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_OK);
    assert_true(r.notices_twice > 0);
    assert_int_equal(r.missing_txs, r.notices_twice);
    chain_close(chain);
}

static void each_to_all_is_offered_once(void **state)
{
    struct chain *a = chain_open();
    struct chain *b = chain_open();
    struct dsmr_cli_load_config config = config_for(a);
    static struct dsmr_cli_load_result r;
    const char *reason = "";
    (void)state;
    config.nodes[1] = config.nodes[0];
    config.nodes[1].http_port = dsmr_api_http_port(b->api);
    config.nodes[1].submit_port = dsmr_api_submit_port(b->api);
    config.nodes_count = 2;
    config.to_all = true;
    config.roots_wait_ms = 1; /* each is a chain of its own */
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_OK);
    assert_int_equal(r.sent, 1200);
    assert_int_equal(r.admitted, 1200);
    assert_int_equal(r.executed_txs, 1200);
    assert_true(r.offered_tx_per_s > 1999 && r.offered_tx_per_s < 2001);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(r.last.nodes[i].sent, 600);
        assert_int_equal(r.last.nodes[i].executed, 600);
    }
    assert_true(r.missing_txs < 600); /* copies are not looked for twice */
    chain_close(b);
    chain_close(a);
}

/* Three times 60 ms with two lonely ones, then 140 ms at the rate; the first time is warm-up. */
static void bursts_have_latencies_of_their_own(void **state)
{
    struct chain *chain = chain_open();
    struct dsmr_cli_load_config config = config_for(chain);
    static struct dsmr_cli_load_result r;
    const char *reason = "";
    (void)state;
    config.idle_ms = 60;
    config.burst_ms = 140;
    config.lonely_ms = 20;
    config.duration_ms = 600;
    config.warmup_ms = 200;
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_OK);
    assert_true(r.has_bursts && r.is_drained && r.is_verified);
    assert_int_equal(r.sent, 3 * (2 + 280));
    assert_int_equal(r.executed_txs, r.sent);
    assert_int_equal(r.missing_txs + r.notices_twice, 0);
    assert_int_equal(r.idle.executed.count, 2 * 2);
    assert_int_equal(r.burst_first.executed.count, 2 * 200); /* of the first 100 ms */
    assert_int_equal(r.burst.executed.count, 2 * 280);
    assert_int_equal(r.executed.count, 2 * 282);
    assert_true(r.burst_first.executed.max_ms <= r.burst.executed.max_ms);
    assert_true(r.burst.executed.max_ms <= r.executed.max_ms);
    assert_true(r.offered_tx_per_s > 1409 && r.offered_tx_per_s < 1411); /* on the average */
    config.burst_ms = 0;
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_ERR_CONFIG);
    chain_close(chain);
}

static void different_roots_are_not_equal(void **state)
{
    struct chain *a = chain_open();
    struct chain *b = chain_open();
    struct dsmr_cli_load_config config = config_for(a);
    static struct dsmr_cli_load_result r;
    const char *reason = "";
    atomic_int stop = 1; /* at once: no transaction, both at height 0 */
    (void)state;
    config.nodes[1] = config.nodes[0];
    config.nodes[1].http_port = dsmr_api_http_port(b->api);
    config.nodes[1].submit_port = dsmr_api_submit_port(b->api);
    config.nodes_count = 2;
    config.rate = 0;
    config.stop = &stop;
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_OK);
    assert_true(r.state_roots_equal);
    b->hide_every = 1; /* its root is another now */
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_OK);
    assert_false(r.state_roots_equal);
    chain_close(b);
    chain_close(a);
}

static void a_root_that_could_not_be_read_is_not_equal(void **state)
{
    struct chain *a = chain_open();
    struct chain *b = chain_open();
    struct dsmr_cli_load_config config = config_for(a);
    static struct dsmr_cli_load_result r;
    const char *reason = "";
    (void)state;
    config.nodes[1] = config.nodes[0];
    config.nodes[1].http_port = dsmr_api_http_port(b->api);
    config.nodes[1].submit_port = dsmr_api_submit_port(b->api);
    config.nodes_count = 2;
    config.roots_wait_ms = 1;
    chain_close(b);
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_OK);
    assert_true(r.executed_txs > 0);
    assert_int_equal(r.nodes_reachable, 1);
    assert_false(r.state_roots_equal);
    chain_close(a);
}

static void wrong_configs_have_a_sentence(void **state)
{
    struct chain *chain = chain_open();
    static struct dsmr_cli_load_result r;
    const char *reason = "";
    struct dsmr_cli_load_config config = config_for(chain);
    (void)state;
    config.nodes_count = 0;
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_ERR_CONFIG);
    config = config_for(chain);
    config.warmup_ms = config.duration_ms;
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_ERR_CONFIG);
    config = config_for(chain);
    config.tx_bytes = DSMR_CLI_LOAD_TX_OPAQUE_MIN - 1;
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_ERR_CONFIG);
    config = config_for(chain);
    config.kind = DSMR_CLI_LOAD_TRANSFERS;
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_ERR_CONFIG);
    config.accounts_dir = "/nonexistent";
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_ERR_CONFIG);
    assert_non_null(strstr(reason, "/nonexistent"));
    char folder[FOLDER_BYTES];
    char path[64];
    make_folder(folder);
    config.accounts_dir = folder;
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_ERR_CONFIG);
    assert_non_null(strstr(reason, "at least two accounts"));
    (void)snprintf(path, sizeof(path), "%s/x.json", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_ERR_CONFIG);
    assert_non_null(strstr(reason, path));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    config = config_for(chain);
    chain_close(chain);
    assert_int_equal(dsmr_cli_load_run(&r, &reason, &config), DSMR_ERR_UNAVAILABLE);
}

/* folder: made here, of so many accounts, which config sends from. */
static void make_accounts(struct dsmr_cli_load_config *config, char folder[FOLDER_BYTES], int count)
{
    make_folder(folder);
    for (int i = 0; i < count; i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "%s/a%d.json", folder, i);
        FILE *file = fopen(path, "w");
        fprintf(file, "{\"secret_key\":\"%064d\"}", i + 1);
        (void)fclose(file);
    }
    dsmr_cli_load_config_default(config);
    config->kind = DSMR_CLI_LOAD_TRANSFERS;
    config->accounts_dir = folder;
}

static void transactions_are_distinct_and_authentic(void **state)
{
    char folder[FOLDER_BYTES];
    char path[64];
    struct dsmr_cli_load_tx maker;
    struct dsmr_cli_load_config config;
    struct dsmr_domain domain = {.network_id = 3};
    const char *reason = "";
    uint8_t a[DSMR_TRANSFER_TX_BYTES_MAX], b[DSMR_TRANSFER_TX_BYTES_MAX];
    (void)state;
    make_accounts(&config, folder, 2);
    config.seed = 9;
    assert_int_equal(dsmr_cli_load_tx_init(&maker, &reason, &config, &domain), DSMR_OK);
    uint32_t len = dsmr_cli_load_tx_make(&maker, a, 0, 1000);
    assert_int_equal(len, maker.tx_bytes);
    assert_int_equal(dsmr_transfer_tx_verify(&domain, a, len), DSMR_OK);
    assert_int_equal(dsmr_cli_load_tx_make(&maker, b, 2, 1000), len); /* the same two accounts */
    assert_memory_not_equal(a, b, len);
    dsmr_cli_load_tx_close(&maker);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof(path), "%s/a%d.json", folder, i);
        if (i == 1) { /* one account is too few, a broken file is a mistake */
            assert_int_equal(dsmr_cli_load_tx_init(&maker, &reason, &config, &domain),
                             DSMR_ERR_CONFIG);
            FILE *file = fopen(path, "w");
            fputs("{\"secret_key\":\"12\"}", file);
            (void)fclose(file);
            assert_int_equal(dsmr_cli_load_tx_init(&maker, &reason, &config, &domain),
                             DSMR_ERR_CONFIG);
        }
        (void)unlink(path);
    }
    (void)rmdir(folder);
    config.kind = DSMR_CLI_LOAD_OPAQUE;
    for (uint32_t size = DSMR_CLI_LOAD_TX_OPAQUE_MIN; size < 60; size++) {
        config.tx_bytes = size;
        assert_int_equal(dsmr_cli_load_tx_init(&maker, &reason, &config, &domain), DSMR_OK);
        a[size] = 0xee;
        assert_int_equal(dsmr_cli_load_tx_make(&maker, a, 1, 1000), size);
        assert_int_equal(dsmr_cli_load_tx_make(&maker, b, 2, 1000), size);
        assert_int_equal(a[size], 0xee);
        assert_memory_not_equal(a, b, size);
        assert_int_equal(dsmr_load_be64(a + 1), 1000);
        dsmr_cli_load_tx_close(&maker);
    }
}

static struct dsmr_transfer_tx transfer_of(const struct dsmr_cli_load_tx *maker, uint64_t index)
{
    uint8_t bytes[DSMR_TRANSFER_TX_BYTES_MAX];
    struct dsmr_transfer_tx tx;
    uint32_t len = dsmr_cli_load_tx_make(maker, bytes, index, 1000);
    assert_int_equal(dsmr_transfer_tx_parse(&tx, &maker->domain, bytes, len), DSMR_OK);
    return tx;
}

static void a_hotspot_is_two_accounts(void **state)
{
    char folder[FOLDER_BYTES];
    char path[64];
    const struct dsmr_domain domain = {.network_id = 3};
    struct dsmr_cli_load_config config;
    const char *reason = "";
    (void)state;
    make_accounts(&config, folder, 3);
    for (config.accounts_max = 0; config.accounts_max <= 4; config.accounts_max += 2) {
        struct dsmr_cli_load_tx maker;
        assert_int_equal(dsmr_cli_load_tx_init(&maker, &reason, &config, &domain), DSMR_OK);
        const struct dsmr_transfer_tx first = transfer_of(&maker, 0),
                                      third = transfer_of(&maker, 2);
        bool is_same = memcmp(&first.from, &third.from, sizeof(first.from)) == 0 &&
                       memcmp(&first.to, &third.to, sizeof(first.to)) == 0;
        assert_int_equal(is_same, config.accounts_max == 2); /* there are no four */
        dsmr_cli_load_tx_close(&maker);
    }
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s/a%d.json", folder, i);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void histograms_are_read(void **state)
{
    struct dsmr_cli_sample sample;
    const struct dsmr_cli_times *times = &sample.times[DSMR_METRIC_HISTOGRAM_TX_ACCEPTED_EXECUTED];
    (void)state;
    assert_int_equal(
        dsmr_cli_scrape_parse(
            &sample, "dsmr_peers 3\n"
                     "dsmr_tx_accepted_executed_seconds_bucket{le=\"0.005\"} 2\n"
                     "dsmr_tx_accepted_executed_seconds_bucket{le=\"0.0049\"} 77\n" /* 5 ms */
                     "dsmr_tx_accepted_executed_seconds_bucket{le=\"0.007\"} 78\n"  /* not ours */
                     "dsmr_tx_accepted_executed_seconds_bucket{le=\"nan\"} 79\n"
                     "dsmr_tx_accepted_executed_seconds_bucket{le=\"60\"} 5\n"
                     "dsmr_tx_accepted_executed_seconds_bucket{le=\"+Inf\"} 6\n"
                     "dsmr_tx_accepted_executed_seconds_bucket{le=\"1e999\"} 80\n"
                     "dsmr_tx_accepted_executed_seconds_bucket 81\n"
                     "dsmr_tx_accepted_executed_seconds_sum 70.052\n"
                     "dsmr_tx_accepted_executed_seconds_count 6\n"
                     "dsmr_tx_executed_seconds_sum 1.5e9\n"),
        DSMR_OK);
    assert_int_equal(times->counts[0], 77);
    assert_int_equal(times->counts[1], 0);
    assert_int_equal(times->counts[DSMR_METRIC_BUCKETS - 2], 5);
    assert_int_equal(times->counts[DSMR_METRIC_BUCKETS - 1], 6);
    assert_int_equal(times->sum_ms, 70052);
    assert_int_equal(sample.times[DSMR_METRIC_HISTOGRAM_TX_EXECUTED].sum_ms, 1500);
}

static void metrics_text_is_read(void **state)
{
    struct dsmr_cli_sample sample;
    (void)state;
    assert_int_equal(dsmr_cli_scrape_parse(&sample, ""), DSMR_ERR_MALFORMED);
    assert_int_equal(dsmr_cli_scrape_parse(&sample, "other 5\n# dsmr_peers 3\n"),
                     DSMR_ERR_MALFORMED);
    assert_int_equal(dsmr_cli_scrape_parse(&sample, "# TYPE dsmr_peers gauge\ndsmr_peers 3\n"
                                                    "dsmr_peers_x 9\ndsmr_errors_total{name=\"a\"} "
                                                    "4\ndsmr_errors_total{name=\"b\"} 5\n"
                                                    "dsmr_txs_executed_total 18446744073709551615"),
                     DSMR_OK);
    assert_int_equal(sample.metrics[DSMR_METRIC_PEERS], 3);
    assert_int_equal(sample.errors_total, 9);
    assert_true(sample.metrics[DSMR_METRIC_TXS_EXECUTED] == UINT64_MAX);
    assert_int_equal(sample.times[DSMR_METRIC_HISTOGRAM_TX_CERTIFIED].counts[0], 0);
    dsmr_cli_scrape_process(&sample, getpid());
    assert_true(sample.has_process && sample.rss_anon_bytes > 0);
    pid_t ended = fork();
    if (ended == 0) {
        _exit(0);
    }
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOWAIT), 0);
    dsmr_cli_scrape_process(&sample, ended); /* there, but nobody */
    assert_false(sample.has_process);
    assert_int_equal(waitpid(ended, NULL, 0), ended);
    dsmr_cli_scrape_process(&sample, 0);
    assert_false(sample.has_process);
    assert_int_equal(sample.rss_anon_bytes + sample.cpu_us, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_node_is_measured),
        cmocka_unit_test(a_node_that_restarts_keeps_its_rate),
        cmocka_unit_test(a_load_that_the_application_does_not_take),
        cmocka_unit_test(a_node_that_hides_transactions_is_found_out),
        cmocka_unit_test(a_node_that_runs_one_twice_is_found_out),
        cmocka_unit_test(each_to_all_is_offered_once),
        cmocka_unit_test(bursts_have_latencies_of_their_own),
        cmocka_unit_test(different_roots_are_not_equal),
        cmocka_unit_test(a_root_that_could_not_be_read_is_not_equal),
        cmocka_unit_test(wrong_configs_have_a_sentence),
        cmocka_unit_test(transactions_are_distinct_and_authentic),
        cmocka_unit_test(a_hotspot_is_two_accounts),
        cmocka_unit_test(metrics_text_is_read),
        cmocka_unit_test(histograms_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
