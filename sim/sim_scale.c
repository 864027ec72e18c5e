#include "sim/sim_scale.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/sim_load.h"
#include "sim/sim_wan.h"

#define EXIT_USAGE 64
#define LOAD_FROM_US (DSMR_SIM_SECOND_US / 2) /* the first views decide where everybody stands */
#define WEIGHT_MAX 127u                       /* so many of 512 bytes are one of the longest */
#define WEIGHT_AUTO_MAX 16u
#define TXS_PER_NODE_S 10u /* simulated ones, at least */
#define MIB (UINT64_C(1) << 20)
/* Enough for a short run, and small: hundreds of nodes share this machine's memory. */
#define TABLES_MAX 24576u

static uint32_t slot_ms, weight; /* of the run that is being made: tune() has no context */

/* What dsmrd has by default. */
static void tune(struct dsmr_driver_config *config)
{
    struct dsmr_params *params = &config->node.params;
    dsmr_params_default(params);
    params->domain.network_id = 7;
    params->domain.chain_id.bytes[0] = 1;
    params->slot_ms = slot_ms;
    params->chunk_txs_max = params->chunk_txs_max / weight + 1u;
    params->block_txs_max = params->block_txs_max / weight + 1u;
    config->bft.params = *params;
    config->node.mempool_bytes_max = 64 * MIB;
    config->node.mempool_txs_max = 262144 / weight;
    config->node.chunk_cache_bytes_max = 128 * MIB;
    config->node.tables_max = TABLES_MAX;
    config->node.retry_ms = 250;
    config->node.fetch_timeout_ms = 500;
    config->node.fetches_max = 32;
    config->bft.view_timeout_ms = 1000;
    config->bft.view_timeout_max_ms = 32000;
    config->bft.retry_ms = 250;
    config->submits_max = 1024;
    config->submit_bytes_max = 64 * MIB;
}

void dsmr_sim_scale_default(struct dsmr_sim_scale_config *config)
{
    *config = (struct dsmr_sim_scale_config){.seed = 1,
                                             .validators = 100,
                                             .txs_per_s = 10000,
                                             .tx_bytes = 512,
                                             .bits_per_s = UINT64_C(1000000000),
                                             .workers = 4,
                                             .slot_ms = 100,
                                             .warm_us = 4 * DSMR_SIM_SECOND_US,
                                             .measured_us = 6 * DSMR_SIM_SECOND_US};
}

static uint32_t weight_of(const struct dsmr_sim_scale_config *config)
{
    uint64_t fits = (DSMR_TX_BYTES_MAX + DSMR_CHUNK_TX_PREFIX_BYTES) /
                    (config->tx_bytes + DSMR_CHUNK_TX_PREFIX_BYTES);
    uint64_t wanted = config->txs_per_s / config->validators / TXS_PER_NODE_S;
    uint64_t most = fits < WEIGHT_MAX ? fits : WEIGHT_MAX;
    wanted = wanted < WEIGHT_AUTO_MAX ? wanted : WEIGHT_AUTO_MAX;
    wanted = config->tx_weight > 0 ? config->tx_weight : wanted;
    wanted = wanted > most ? most : wanted;
    return wanted > 0 ? (uint32_t)wanted : 1;
}

/* So that the same share of each region is gone: one region has every fifth node. */
static void crash_some(struct dsmr_sim *sim, const struct dsmr_sim_scale_config *config)
{
    for (uint32_t i = 0; i < config->crashed; i++) {
        dsmr_sim_crash(sim, (uint32_t)((uint64_t)i * config->validators / config->crashed));
    }
}

void dsmr_sim_scale_run(const struct dsmr_sim_scale_config *config,
                        struct dsmr_sim_scale_result *result)
{
    memset(result, 0, sizeof(*result));
    result->tx_weight = weight = weight_of(config);
    slot_ms = config->slot_ms;
    struct dsmr_sim_config world = {.seed = config->seed,
                                    .nodes = config->validators,
                                    .tx_weight = result->tx_weight,
                                    .tune = tune,
                                    .is_traced = config->is_traced,
                                    .is_unchecked = true};
    dsmr_sim_wan_configure(&world, config->bits_per_s);
    world.cores = config->workers;
    struct dsmr_sim_load_config offered = {.seed = config->seed + 1,
                                           .txs_per_s = config->txs_per_s,
                                           .tx_bytes = config->tx_bytes,
                                           .from_us = LOAD_FROM_US};
    struct dsmr_sim *sim = dsmr_sim_new(&world);
    struct dsmr_sim_recorder *recorder = dsmr_sim_recorder_new(sim);
    crash_some(sim, config);
    struct dsmr_sim_load *load = dsmr_sim_load_new(sim, &offered);
    dsmr_sim_pass(sim, config->warm_us);
    dsmr_sim_recorder_begin(recorder);
    dsmr_sim_pass(sim, config->measured_us);
    dsmr_sim_recorder_end(recorder, &result->report);
    result->hash = dsmr_sim_hash(sim);
    result->events = dsmr_sim_events(sim);
    snprintf(result->failure, sizeof(result->failure), "%s", dsmr_sim_failure(sim));
    dsmr_sim_free(sim);
    dsmr_sim_load_free(load);
}

/* ---- output ---- */

static void print_spread(FILE *out, const char *name, const struct dsmr_sim_spread *spread)
{
    fprintf(out, "\"%s\":{\"count\":%llu,\"mean\":%.1f,\"p50\":%.1f,\"p95\":%.1f,\"p99\":%.1f}",
            name, (unsigned long long)spread->count, spread->mean, spread->p50, spread->p95,
            spread->p99);
}

static void print_share(FILE *out, const char *name, const struct dsmr_sim_share *share)
{
    fprintf(out, "\"%s\":{\"mean\":%.4f,\"max\":%.4f}", name, share->mean, share->max);
}

static void print_network(FILE *out, const struct dsmr_sim_report *r)
{
    static const char *const classes[] = {"vote", "cert", "chunk", "tx"};
    fprintf(out,
            ",\"messages_per_s\":%.0f,\"up_bytes_per_s\":%.0f,\"up_bytes_max\":%.0f,"
            "\"down_bytes_per_s\":%.0f,\"down_bytes_max\":%.0f,\"stored_bytes_per_s\":%.0f",
            r->messages_per_s, r->up_bytes_per_s, r->up_bytes_max, r->down_bytes_per_s,
            r->down_bytes_max, r->stored_bytes_per_s);
    for (int cls = 0; cls < DSMR_MSG_CLASS_COUNT; cls++) {
        fprintf(out, ",\"up_%s_bytes_per_s\":%.0f,\"up_%s_wait_ms\":%.1f", classes[cls],
                r->up_class_per_s[cls], classes[cls], r->up_wait_ms[cls]);
    }
    fprintf(out,
            ",\"down_wait_ms\":%.2f,\"logic_wait_ms\":%.3f,\"refused_sends\":%llu,"
            "\"proposal_bytes\":%.0f,\"proposal_ms\":%.1f",
            r->down_wait_ms, r->logic_wait_ms, (unsigned long long)r->refused_sends,
            r->proposal_bytes, r->proposal_ms);
}

static void print_report(FILE *out, const struct dsmr_sim_report *r)
{
    const struct {
        const char *name;
        const struct dsmr_sim_spread *is;
    } spreads[] = {{"built_ms", &r->built},
                   {"certified_ms", &r->certified},
                   {"executed_ms", &r->executed},
                   {"chunk_to_certified_ms", &r->to_cert},
                   {"certified_to_accepted_ms", &r->to_accept},
                   {"accepted_to_executed_ms", &r->to_execute}};
    const struct {
        const char *name;
        const struct dsmr_sim_share *is;
    } shares[] = {
        {"uplink", &r->uplink}, {"downlink", &r->downlink},    {"logic", &r->logic},
        {"net", &r->net},       {"workers_busy", &r->workers}, {"execution", &r->execution},
        {"disk", &r->disk}};
    fprintf(out,
            ",\"up\":%u,\"admitted_per_s\":%.0f,\"refused_per_s\":%.0f,\"certified_per_s\":%.0f,"
            "\"executed_per_s\":%.0f,\"executed_min_per_s\":%.0f,\"blocks_per_s\":%.3f,"
            "\"views_per_s\":%.3f,\"certs_per_block\":%.1f,\"chunks_per_s\":%.1f,"
            "\"chunk_bytes\":%.0f,\"cpu_us_per_tx\":%.2f",
            r->up, r->admitted_per_s, r->refused_per_s, r->certified_per_s, r->executed_per_s,
            r->executed_min_per_s, r->blocks_per_s, r->views_per_s, r->certs_per_block,
            r->chunks_per_s, r->chunk_bytes, r->cpu_us_per_tx);
    for (size_t i = 0; i < sizeof(spreads) / sizeof(spreads[0]); i++) {
        fputc(',', out);
        print_spread(out, spreads[i].name, spreads[i].is);
    }
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        fputc(',', out);
        print_share(out, shares[i].name, shares[i].is);
    }
    print_network(out, r);
}

void dsmr_sim_scale_print(FILE *out, const struct dsmr_sim_scale_config *config,
                          const struct dsmr_sim_scale_result *result)
{
    fprintf(out,
            "{\"seed\":%llu,\"validators\":%u,\"crashed\":%u,\"offered_per_s\":%llu,"
            "\"tx_bytes\":%u,\"tx_weight\":%u,\"mbit_per_s\":%llu,\"workers\":%u,\"slot_ms\":%u,"
            "\"warm_s\":%.1f,\"measured_s\":%.1f",
            (unsigned long long)config->seed, config->validators, config->crashed,
            (unsigned long long)config->txs_per_s, config->tx_bytes, result->tx_weight,
            (unsigned long long)(config->bits_per_s / 1000000u), config->workers, config->slot_ms,
            (double)config->warm_us / 1e6, (double)config->measured_us / 1e6);
    print_report(out, &result->report);
    fprintf(out, ",\"limit\":\"%s\",\"events\":%llu,\"hash\":\"%016llx\",\"failure\":\"%s\"}\n",
            dsmr_sim_report_limit(&result->report), (unsigned long long)result->events,
            (unsigned long long)result->hash, result->failure);
}

/* ---- options ---- */

static void print_help(void)
{
    printf(
        "usage: dsmr-sim --report [options]\n\n"
        "One run of a wide network under an offered load; prints a line of JSON "
        "(docs/scale.md).\n\n"
        "  --validators N    4 to 512 (default 100), over five regions\n"
        "  --crashed N       of them, from the start; less than a third (default 0)\n"
        "  --rate N          transactions a second, offered to all nodes together (default 10000)\n"
        "  --tx-bytes B      of each (default 512)\n"
        "  --weight N        transactions that one simulated one stands for (default: by the "
        "rate)\n"
        "  --mbit N          of each uplink and downlink, in a second (default 1000)\n"
        "  --workers N       worker threads of a node, 1 to 16 (default 4)\n"
        "  --slot MS         (default 100)\n"
        "  --warm S          virtual seconds before the measurement (default 4)\n"
        "  --seconds S       virtual seconds that are measured (default 6)\n"
        "  --seed N          (default 1)\n"
        "  --repeat          runs twice and compares the hashes of the runs\n"
        "  --trace           what happens, on standard error\n");
}

static const struct named {
    const char *name;
    double low, high;
} numbers[] = {{"validators", 4, DSMR_SIM_NODES_MAX},
               {"crashed", 0, DSMR_SIM_NODES_MAX},
               {"rate", 1, 1e8},
               {"tx-bytes", 32, 65536},
               {"weight", 1, WEIGHT_MAX},
               {"mbit", 1, 100000},
               {"workers", 1, DSMR_SIM_CORES_MAX},
               {"slot", 10, 10000},
               {"warm", 1, 3600},
               {"seconds", 0.5, 3600},
               {"seed", 0, 1e15}};

static void set(struct dsmr_sim_scale_config *config, int what, double value)
{
    uint64_t whole = (uint64_t)value;
    switch (what) {
    case 0:
        config->validators = (uint32_t)whole;
        break;
    case 1:
        config->crashed = (uint32_t)whole;
        break;
    case 2:
        config->txs_per_s = whole;
        break;
    case 3:
        config->tx_bytes = (uint32_t)whole;
        break;
    case 4:
        config->tx_weight = (uint32_t)whole;
        break;
    case 5:
        config->bits_per_s = whole * 1000000u;
        break;
    case 6:
        config->workers = (uint32_t)whole;
        break;
    case 7:
        config->slot_ms = (uint32_t)whole;
        break;
    case 8:
        config->warm_us = (uint64_t)(value * 1e6);
        break;
    case 9:
        config->measured_us = (uint64_t)(value * 1e6);
        break;
    default:
        config->seed = whole;
        break;
    }
}

static int read_number(struct dsmr_sim_scale_config *config, int what, const char *text)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= numbers[what].low) ||
        !(value <= numbers[what].high)) {
        fprintf(stderr, "dsmr-sim: --%s: '%s' is not a value for it; see --report --help\n",
                numbers[what].name, text);
        return EXIT_USAGE;
    }
    set(config, what, value);
    return 0;
}

static int run(const struct dsmr_sim_scale_config *config, bool has_to_repeat)
{
    struct dsmr_sim_scale_result result, again;
    dsmr_sim_scale_run(config, &result);
    dsmr_sim_scale_print(stdout, config, &result);
    if (has_to_repeat) {
        dsmr_sim_scale_run(config, &again);
        if (again.hash != result.hash) {
            fprintf(stderr, "dsmr-sim: the same seed gave another run\n");
            return 1;
        }
    }
    return result.failure[0] == '\0' ? 0 : 1;
}

int dsmr_sim_scale_main(int argc, char **argv)
{
    enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]), REPEAT = 100, TRACE, HELP };
    struct option names[NUMBERS + 4] = {[NUMBERS] = {"repeat", no_argument, NULL, REPEAT},
                                        [NUMBERS + 1] = {"trace", no_argument, NULL, TRACE},
                                        [NUMBERS + 2] = {"help", no_argument, NULL, HELP}};
    struct dsmr_sim_scale_config config;
    bool has_to_repeat = false;
    int what;
    for (int i = 0; i < NUMBERS; i++) {
        names[i] = (struct option){numbers[i].name, required_argument, NULL, i};
    }
    dsmr_sim_scale_default(&config);
    opterr = 0;
    while ((what = getopt_long(argc, argv, ":", names, NULL)) != -1) {
        if (what == HELP) {
            print_help();
            return 0;
        }
        if (what == '?' || what == ':') {
            fprintf(stderr, "dsmr-sim: '%s' %s; see --report --help\n", argv[optind - 1],
                    what == ':' ? "needs a value" : "is no option");
            return EXIT_USAGE;
        }
        has_to_repeat |= what == REPEAT;
        config.is_traced |= what == TRACE;
        int code = what == REPEAT || what == TRACE ? 0 : read_number(&config, what, optarg);
        if (code != 0) {
            return code;
        }
    }
    if (optind < argc || 3 * config.crashed >= config.validators) {
        fprintf(stderr,
                optind < argc ? "dsmr-sim: '%s' is no option; see --report --help\n"
                              : "dsmr-sim: --crashed: not less than a third of all\n",
                optind < argc ? argv[optind] : "");
        return EXIT_USAGE;
    }
    return run(&config, has_to_repeat);
}
