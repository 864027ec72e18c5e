/* cli_load_check.h - whether all nodes agree: one state root, and every transaction that was
 * reported executed in the blocks of every node.
 *
 * Threads: blocks the caller. */
#ifndef DSMR_APP_CLI_LOAD_CHECK_H
#define DSMR_APP_CLI_LOAD_CHECK_H

#include "app/cli_load.h"
#include "app/cli_options.h"

/* Options of verbs that have --load: what idle-then-burst looks like. */
#define DSMR_CLI_LOAD_CHECK_BURSTS                                                                 \
    {"idle",                                                                                       \
     "TIME",                                                                                       \
     DSMR_CLI_DURATION,                                                                            \
     100,                                                                                          \
     3600000,                                                                                      \
     NULL,                                                                                         \
     "3s",                                                                                         \
     "of idle-then-burst: one transaction every 500 ms for so long, then a burst at --rate, and "  \
     "again"},                                                                                     \
    {                                                                                              \
        "burst", "TIME", DSMR_CLI_DURATION, 10, 600000, NULL, "1s",                                \
            "of idle-then-burst: how long each burst lasts"                                        \
    }
/* Reads --load, --rate, --tx-bytes, --idle, --burst, --duration and --warmup into *config. A
 * sentence and an exit code, or -1. */
int dsmr_cli_load_check_options(const struct dsmr_cli_values *values,
                                struct dsmr_cli_load_config *config);
/* Reads --duration and --warmup into *config. A warm-up that is not shorter than the load is a
 * mistake if it was asked for; else it is a quarter of the load. A sentence and an exit code, or
 * -1. */
int dsmr_cli_load_check_times(const struct dsmr_cli_values *values,
                              struct dsmr_cli_load_config *config);
/* Waits at most wait_ms until every node has executed height_min, then compares state roots at the
 * lowest executed height; once *config->stop is set, no longer than config->quiet_ms without a node
 * that comes nearer to it. Roots are equal only if every node could be asked for its own. Sets
 * height, state_root, state_roots_equal and nodes_reachable of *result. */
void dsmr_cli_load_check_roots(struct dsmr_cli_load_result *result,
                               const struct dsmr_cli_load_config *config, uint64_t height_min,
                               uint32_t wait_ms);
/* Reads the executed ids of blocks from_height + 1 to result->height on every reachable node and
 * looks for ids (first eight bytes of each). Sets missing_txs, adds to notices_twice what a node's
 * blocks hold twice, and is_verified if everything could be read. */
void dsmr_cli_load_check_ids(struct dsmr_cli_load_result *result,
                             const struct dsmr_cli_load_config *config, uint64_t from_height,
                             const uint64_t *ids, size_t ids_count);
/* Whether a node has too little space on its disk to build chunks: DSMR_EXIT_DISK_LOW after a
 * sentence, else DSMR_EXIT_OK. */
int dsmr_cli_load_check_disks(const struct dsmr_cli_values *values,
                              const struct dsmr_cli_load_result *result,
                              const struct dsmr_cli_load_config *config);
/* What makes a load good: there is space on every disk (the sentence says that first, for it
 * explains the rest), something was executed, at least 99 of 100 admitted transactions, with
 * one root on all nodes, and (if config says verify) each found on every node once. Returns
 * DSMR_EXIT_OK, or another exit code after a sentence. */
int dsmr_cli_load_check_judge(const struct dsmr_cli_values *values,
                              const struct dsmr_cli_load_result *result,
                              const struct dsmr_cli_load_config *config);

#endif
