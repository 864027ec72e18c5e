#include "app/localnet.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/cli_load.h"
#include "app/cli_load_check.h"
#include "app/cli_scrape.h"
#include "app/cli_stop.h"
#include "app/cli_view.h"
#include "app/exit_codes.h"
#include "app/files.h"
#include "app/localnet_nodes.h"
#include "app/testnet.h"

/* What it takes to start the processes, generously; the chain waits for it. */
#define START_MS 500u
#define START_NODE_MS 150u
/* Before the first block nodes take transactions and make no chunks: a load that began then would
 * come down on the chain all at once. Longer than this it does not wait for that block. */
#define FIRST_BLOCK_MS 2000u
#define FIRST_BLOCK_POLL_MS 20u

#define OPTIONS(duration, load, rate, accounts)                                                      \
    {"validators", "N", DSMR_CLI_NUMBER,       1, DSMR_TESTNET_NODES_MAX,                            \
     NULL,         "4", "number of validators"},                                                     \
        {"home",                                                                                     \
         "DIR",                                                                                      \
         DSMR_CLI_TEXT,                                                                              \
         0,                                                                                          \
         0,                                                                                          \
         NULL,                                                                                       \
         NULL,                                                                                       \
         "where homes, logs and accounts go, and stay: a new or an empty folder (default: a "        \
         "temporary one)"},                                                                          \
        {"duration",        "TIME",                                                                  \
         DSMR_CLI_DURATION, 0,                                                                       \
         86400000,          NULL,                                                                    \
         duration,          "how long the load lasts; 0 runs until interrupted"},                    \
        {"load",                                                                                     \
         "KIND",                                                                                     \
         DSMR_CLI_CHOICE,                                                                            \
         0,                                                                                          \
         0,                                                                                          \
         "transfers|hotspot|opaque|duplicates|idle-then-burst|none",                                 \
         load,                                                                                       \
         "what is sent: signed transfers, all of them between two accounts, random bytes, random "   \
         "bytes to every node at once, random bytes in bursts, or nothing"},                         \
        {"rate", "N", DSMR_CLI_NUMBER, 1, 10000000, NULL, rate, "transactions a second"},            \
        DSMR_CLI_LOAD_CHECK_BURSTS,                                                                  \
        {"tx-bytes",        "N",  DSMR_CLI_NUMBER, 32,                                               \
         DSMR_TX_BYTES_MAX, NULL, "512",           "size of an opaque transaction"},                 \
        {"accounts", "N",  DSMR_CLI_NUMBER, 2,                                                       \
         100000,     NULL, accounts,        "funded accounts that send transfers"},                  \
        {"slot",                                                                                     \
         "TIME",                                                                                     \
         DSMR_CLI_DURATION,                                                                          \
         10,                                                                                         \
         60000,                                                                                      \
         NULL,                                                                                       \
         "50ms",                                                                                     \
         "a validator makes at most one chunk per slot"},                                            \
        {"warmup",                                                                                   \
         "TIME",                                                                                     \
         DSMR_CLI_DURATION,                                                                          \
         0,                                                                                          \
         600000,                                                                                     \
         NULL,                                                                                       \
         "2s",                                                                                       \
         "start of the load that rates and latencies leave out, shorter than it; by default "        \
         "never "                                                                                    \
         "more than a quarter of a load as short"},                                                  \
        {"workers", "N", DSMR_CLI_NUMBER, 1, 64, NULL, "1", "worker threads of each node"},          \
        {"plain", NULL, DSMR_CLI_FLAG, 0, 0, NULL, "false", "plain lines instead of the live view"}, \
    {                                                                                                \
        "json", NULL, DSMR_CLI_FLAG, 0, 0, NULL, "false",                                            \
            "JSON lines on standard output instead of text"                                          \
    }

const struct dsmr_cli_option dsmr_localnet_options[] = {OPTIONS("0", "none", "1000", "64")};
const size_t dsmr_localnet_options_count =
    sizeof dsmr_localnet_options / sizeof dsmr_localnet_options[0];
const struct dsmr_cli_option dsmr_localnet_demo_options[] = {
    OPTIONS("30s", "transfers", "2000", "64")};
const size_t dsmr_localnet_demo_options_count =
    sizeof dsmr_localnet_demo_options / sizeof dsmr_localnet_demo_options[0];

struct localnet {
    const struct dsmr_cli_values *values;
    char directory[PATH_MAX];
    bool is_temporary;
    struct dsmr_testnet_config testnet;
    struct dsmr_localnet_nodes nodes;
    struct dsmr_cli_load_config load;
    struct dsmr_cli_load_result result;
    struct dsmr_cli_view *view;
    uint32_t nodes_failed;
};

/* ---- making and starting it ---- */

static int choose_directory(struct localnet *net)
{
    const char *home = dsmr_cli_text(net->values, "home");
    if (home != NULL) {
        snprintf(net->directory, sizeof net->directory, "%.*s", PATH_MAX - 256, home);
        return -1;
    }
    const char *base = getenv("TMPDIR");
    if (dsmr_files_make_temporary(net->directory, PATH_MAX - 256,
                                  base == NULL || base[0] == 0 ? "/tmp" : base,
                                  "dsmr-localnet") != DSMR_OK)
        return dsmr_cli_fail(net->values, DSMR_EXIT_IO, "%s: cannot be made: %s", net->directory,
                             strerror(errno));
    net->is_temporary = true;
    return -1;
}

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static int make(struct localnet *net)
{
    char reason[DSMR_HOME_REASON_BYTES] = "";
    struct dsmr_testnet_config *testnet = &net->testnet;
    testnet->directory = net->directory;
    testnet->validators = (uint32_t)dsmr_cli_number(net->values, "validators");
    testnet->node_prefix = "node";
    testnet->is_local = true;
    /* Without load it is a chain for trying things: it moves money. */
    testnet->app =
        net->load.kind == DSMR_CLI_LOAD_OPAQUE && net->load.rate > 0 ? "opaque" : "transfers";
    testnet->accounts = (uint32_t)dsmr_cli_number(net->values, "accounts");
    testnet->network_id = 1337;
    testnet->slot_ms = (uint32_t)dsmr_cli_number(net->values, "slot");
    testnet->retention_ms = UINT64_MAX;
    /* The chain begins when all nodes run. A node that starts after the first block must take
     * itself for one that was wiped, and signs nothing for a chunk's lifetime. */
    testnet->time_ms = wall_ms() + START_MS + START_NODE_MS * testnet->validators;
    testnet->workers = (uint32_t)dsmr_cli_number(net->values, "workers");
    if (dsmr_localnet_nodes_ports(testnet->ports, testnet->validators) != DSMR_OK)
        return dsmr_cli_fail(net->values, DSMR_EXIT_UNAVAILABLE, "no free ports: %s",
                             strerror(errno));
    enum dsmr_err err = dsmr_testnet_make(reason, testnet);
    if (err != DSMR_OK)
        return dsmr_cli_fail(net->values, err == DSMR_ERR_CONFIG ? DSMR_EXIT_CONFIG : DSMR_EXIT_IO,
                             "%s", reason);
    return -1;
}

static int start(struct localnet *net)
{
    char reason[DSMR_LOCALNET_REASON_BYTES] = "";
    net->nodes.count = net->testnet.validators;
    for (uint32_t i = 0; i < net->nodes.count; i++)
        dsmr_testnet_home(net->nodes.nodes[i].home, &net->testnet, i);
    if (dsmr_localnet_nodes_start(&net->nodes, reason) != DSMR_OK)
        return dsmr_cli_fail(net->values, DSMR_EXIT_UNAVAILABLE, "%s", reason);
    return -1;
}

static void announce_json(const struct localnet *net)
{
    char accounts[PATH_MAX];
    snprintf(accounts, sizeof accounts, "%.*s/accounts", PATH_MAX - 64, net->directory);
    printf("{\"event\":\"started\",\"directory\":");
    dsmr_cli_print_json(stdout, net->directory);
    printf(",\"accounts\":");
    dsmr_cli_print_json(stdout, accounts);
    printf(",\"nodes\":[");
    for (uint32_t i = 0; i < net->nodes.count; i++) {
        const struct dsmr_localnet_node *node = &net->nodes.nodes[i];
        printf("%s{\"home\":", i == 0 ? "" : ",");
        dsmr_cli_print_json(stdout, node->home);
        printf(",\"pid\":%d,\"node_id\":\"%s\",\"p2p_port\":%u,\"http_port\":%u,"
               "\"submit_port\":%u}",
               (int)node->pid, node->node_id, node->p2p_port, node->http_port, node->submit_port);
    }
    printf("]}\n");
}

static void announce(const struct localnet *net)
{
    if (dsmr_cli_flag(net->values, "json")) {
        announce_json(net);
    } else {
        printf("%u validators in %s\n", net->nodes.count, net->directory);
        for (uint32_t i = 0; i < net->nodes.count; i++) {
            const struct dsmr_localnet_node *node = &net->nodes.nodes[i];
            printf("  node%u  http://127.0.0.1:%u  submit stream 127.0.0.1:%u  pid %d\n", i,
                   node->http_port, node->submit_port, (int)node->pid);
        }
    }
    fflush(stdout);
}

/* ---- load ---- */

/* A sentence and an exit code, or -1. */
static int configure_load(struct localnet *net)
{
    struct dsmr_cli_load_config *load = &net->load;
    dsmr_cli_load_config_default(load);
    load->stop = dsmr_cli_stop_catch();
    int code = dsmr_cli_load_check_options(net->values, load);
    load->verify = load->duration_ms != 0;
    return code;
}

static void on_progress(void *ctx, const struct dsmr_cli_load_snapshot *snapshot)
{
    struct localnet *net = ctx;
    dsmr_cli_view_update(net->view, snapshot);
}

/* Until the chain has begun on all nodes; what it takes too long for, the load will show. */
static void await_first_block(const struct localnet *net)
{
    struct timespec poll = {.tv_nsec = (long)FIRST_BLOCK_POLL_MS * 1000000};
    for (uint32_t begun = 0; begun < net->nodes.count && !atomic_load(net->load.stop);) {
        struct dsmr_cli_sample sample;
        (void)dsmr_cli_scrape(&sample, &net->load.nodes[begun], true, 1000);
        if (sample.has_status && sample.height > 0)
            begun++;
        else if (wall_ms() > net->testnet.time_ms + FIRST_BLOCK_MS)
            break;
        else
            (void)nanosleep(&poll, NULL);
    }
}

static int load(struct localnet *net)
{
    static char accounts[PATH_MAX];
    char title[128];
    const char *reason = "";
    snprintf(accounts, sizeof accounts, "%.*s/accounts", PATH_MAX - 64, net->directory);
    snprintf(title, sizeof title, "%u validators on this machine", net->nodes.count);
    for (uint32_t i = 0; i < net->nodes.count; i++) {
        struct dsmr_cli_node *node = &net->load.nodes[i];
        snprintf(node->host, sizeof node->host, "127.0.0.1");
        node->http_port = net->nodes.nodes[i].http_port;
        node->submit_port = net->nodes.nodes[i].submit_port;
        node->pid = (int)net->nodes.nodes[i].pid;
    }
    net->load.nodes_count = net->nodes.count;
    if (net->load.rate != 0)
        await_first_block(net);
    net->load.accounts_dir = accounts;
    bool is_json = dsmr_cli_flag(net->values, "json");
    if (!is_json || net->load.rate != 0) { /* an idle network is left alone if nobody looks */
        struct dsmr_cli_view_config view = {.out = stdout,
                                            .title = title,
                                            .is_plain = dsmr_cli_flag(net->values, "plain"),
                                            .is_json = is_json};
        net->view = dsmr_cli_view_begin(&view);
        net->load.progress = on_progress;
        net->load.ctx = net;
    }
    enum dsmr_err err = dsmr_cli_load_run(&net->result, &reason, &net->load);
    dsmr_cli_view_end(net->view);
    net->view = NULL;
    if (err != DSMR_OK)
        return dsmr_cli_fail(net->values, DSMR_EXIT_UNAVAILABLE, "load: %s", reason);
    return -1;
}

/* ---- the end ---- */

static void print_summary(struct localnet *net)
{
    char members[4096];
    net->result.validators = net->nodes.count; /* we made them, whatever they say before a block */
    if (!dsmr_cli_flag(net->values, "json")) {
        dsmr_cli_view_summary(stdout, &net->result);
        return;
    }
    size_t len = dsmr_cli_load_summary_json(members, sizeof members, &net->result);
    printf("{\"event\":\"summary\",%.*s}\n", (int)len, members);
    fflush(stdout);
}

/* Nodes that ended because there was no space left: DSMR_EXIT_DISK_LOW after a sentence. */
static int judge_disks(const struct localnet *net)
{
    uint32_t full = 0, first = 0;
    for (uint32_t i = net->nodes.count; i-- > 0;) {
        bool is_full = net->nodes.nodes[i].exit_code == DSMR_EXIT_DISK_LOW;
        first = is_full ? i : first;
        full += is_full ? 1u : 0u;
    }
    if (full == 0)
        return dsmr_cli_load_check_disks(net->values, &net->result, &net->load);
    return dsmr_cli_fail(net->values, DSMR_EXIT_DISK_LOW,
                         "the disk of node %u is full and it has ended (%u of %u nodes): see "
                         "node.log in %s",
                         first, full, net->nodes.count, net->nodes.nodes[first].home);
}

static int judge(const struct localnet *net)
{
    int code = judge_disks(net);
    if (code != DSMR_EXIT_OK)
        return code;
    if (net->load.rate != 0)
        code = dsmr_cli_load_check_judge(net->values, &net->result, &net->load);
    else if (net->result.nodes_reachable != net->nodes.count)
        code = dsmr_cli_fail(net->values, DSMR_EXIT_UNAVAILABLE,
                             "only %u of %u nodes answered at the end", net->result.nodes_reachable,
                             net->nodes.count);
    if (code == DSMR_EXIT_OK && net->nodes_failed > 0)
        return dsmr_cli_fail(net->values, DSMR_EXIT_INTERNAL,
                             "%u of %u nodes did not end well: see node.log in their homes",
                             net->nodes_failed, net->nodes.count);
    return code;
}

int dsmr_localnet_run(const struct dsmr_cli_values *values)
{
    struct localnet *net = calloc(1, sizeof *net);
    if (net == NULL)
        return dsmr_cli_fail(values, DSMR_EXIT_INTERNAL, "out of memory");
    net->values = values;
    signal(SIGPIPE, SIG_IGN);
    int code = configure_load(net);
    if (code < 0)
        code = choose_directory(net);
    if (code < 0)
        code = make(net);
    if (code < 0)
        code = start(net);
    if (code < 0) {
        announce(net);
        code = load(net);
        net->nodes_failed = dsmr_localnet_nodes_stop(&net->nodes);
        if (code < 0) {
            print_summary(net);
            code = judge(net);
        }
    }
    /* After a failure the homes and logs are what there is to look at. */
    if (net->is_temporary && code == DSMR_EXIT_OK)
        dsmr_files_remove_folder(net->directory);
    else if (net->is_temporary && code != DSMR_EXIT_OK)
        fprintf(stderr, "homes and logs are kept in %s\n", net->directory);
    free(net);
    return code;
}
