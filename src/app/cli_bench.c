#include <stdlib.h>
#include <string.h>

#include "app/cli_common.h"
#include "app/cli_load.h"
#include "app/cli_load_check.h"
#include "app/cli_stop.h"
#include "app/cli_verbs.h"
#include "app/cli_view.h"
#include "app/exit_codes.h"

#define NODES "HOST:HTTP_PORT:SUBMIT_PORT[:PID][,...]"

struct views { /* NULL: not wanted */
    struct dsmr_cli_view *lines;
    struct dsmr_cli_view *live;
};

static void begin_views(struct views *views, const struct dsmr_cli_values *values)
{
    bool is_json = dsmr_cli_flag(values, "json");
    struct dsmr_cli_view_config config = {
        .out = stderr, .title = "bench", .is_plain = dsmr_cli_flag(values, "plain")};
    memset(views, 0, sizeof(*views));
    if (!is_json || dsmr_cli_flag(values, "view")) {
        views->live = dsmr_cli_view_begin(&config);
    }
    config.out = stdout;
    config.is_json = true;
    if (is_json) {
        views->lines = dsmr_cli_view_begin(&config);
    }
}

static void end_views(struct views *views)
{
    dsmr_cli_view_end(views->live);
    dsmr_cli_view_end(views->lines);
}

static void on_progress(void *ctx, const struct dsmr_cli_load_snapshot *snapshot)
{
    struct views *views = ctx;
    if (views->live != NULL) {
        dsmr_cli_view_update(views->live, snapshot);
    }
    if (views->lines != NULL) {
        dsmr_cli_view_update(views->lines, snapshot);
    }
}

/* One node twice: as far as host and ports tell. */
static bool is_again(const struct dsmr_cli_load_config *config, const struct dsmr_cli_node *node)
{
    for (const struct dsmr_cli_node *other = config->nodes; other < node; other++) {
        if (strcmp(other->host, node->host) == 0 &&
            (other->http_port == node->http_port || other->submit_port == node->submit_port)) {
            return true;
        }
    }
    return false;
}

/* A sentence and an exit code, or -1. */
static int read_nodes(const struct dsmr_cli_values *values, struct dsmr_cli_load_config *config)
{
    const char *at = dsmr_cli_text(values, "nodes");
    char item[128];
    while (*at != '\0') {
        size_t len = strcspn(at, ",");
        struct dsmr_cli_node *node = &config->nodes[config->nodes_count];
        if (config->nodes_count == DSMR_CLI_NODES_MAX) {
            return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "--nodes takes at most %u nodes",
                                 DSMR_CLI_NODES_MAX);
        }
        (void)snprintf(item, sizeof(item), "%.*s", (int)len, at);
        if (!dsmr_cli_common_node(node, item) || node->submit_port == 0) {
            return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "--nodes must be " NODES ", not \"%s\"",
                                 item);
        }
        if (is_again(config, node)) {
            return dsmr_cli_fail(values, DSMR_EXIT_USAGE,
                                 "--nodes names a port of %s twice: \"%s\"", node->host, item);
        }
        config->nodes_count++;
        at += len + (at[len] == ',' ? 1 : 0);
    }
    return -1;
}

static int read_config(const struct dsmr_cli_values *values, struct dsmr_cli_load_config *config)
{
    dsmr_cli_load_config_default(config);
    config->accounts_dir = dsmr_cli_text(values, "keys");
    config->verify = dsmr_cli_flag(values, "verify");
    int code = dsmr_cli_load_check_options(values, config);
    return code < 0 ? read_nodes(values, config) : code;
}

static void print_result(const struct dsmr_cli_values *values, uint32_t nodes,
                         const struct dsmr_cli_load_result *result)
{
    char members[4096];
    if (!dsmr_cli_flag(values, "json")) {
        dsmr_cli_view_summary(stdout, result);
        return;
    }
    size_t len = dsmr_cli_load_summary_json(members, sizeof(members), result);
    printf("{\"event\":\"summary\",\"nodes\":%u,%.*s}\n", nodes, (int)len, members);
}

static int exit_code(enum dsmr_err err)
{
    switch (err) {
    case DSMR_ERR_CONFIG:
        return DSMR_EXIT_USAGE;
    case DSMR_ERR_WRONG_CHAIN:
        return DSMR_EXIT_REFUSED;
    case DSMR_ERR_UNAVAILABLE:
        return DSMR_EXIT_UNAVAILABLE;
    default:
        return DSMR_EXIT_INTERNAL;
    }
}

int dsmr_cli_bench_run(const struct dsmr_cli_values *values)
{
    static struct dsmr_cli_load_config config;
    static struct dsmr_cli_load_result result;
    const char *reason = "";
    if (dsmr_cli_flag(values, "calibrate")) {
        int code = dsmr_cli_calibrate_run(values);
        if (code != DSMR_EXIT_OK || !dsmr_cli_has(values, "nodes")) {
            return code;
        }
    }
    if (!dsmr_cli_has(values, "nodes")) {
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "bench needs --nodes " NODES);
    }
    int code = read_config(values, &config);
    if (code >= 0) {
        return code;
    }
    config.stop = dsmr_cli_stop_catch();
    struct views views;
    begin_views(&views, values);
    config.progress = on_progress;
    config.ctx = &views;
    enum dsmr_err err = dsmr_cli_load_run(&result, &reason, &config);
    end_views(&views);
    if (err != DSMR_OK) {
        return dsmr_cli_fail(values, exit_code(err), "%s", reason);
    }
    print_result(values, config.nodes_count, &result);
    return dsmr_cli_load_check_judge(values, &result, &config);
}
