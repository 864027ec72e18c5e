/* cli_view.h - the pipeline of every validator, drawn in place on a terminal.
 *
 * Why:        one look shows where transactions are: mempool, chunks, shares, certificates, blocks,
 *             executed, and how long it takes. When out is not a terminal the same facts come as
 *             one plain line every plain_ms. For scripts: a JSON line a second while the load is
 *             over and the result is not there yet.
 * Threads:    one owner. */
#ifndef DSMR_APP_CLI_VIEW_H
#define DSMR_APP_CLI_VIEW_H

#include <stdio.h>

#include "app/cli_load.h"

struct dsmr_cli_view; /* opaque */

struct dsmr_cli_view_config {
    FILE *out;         /* borrowed; usually stderr, so that stdout stays for JSON */
    const char *title; /* "4 validators on this machine"; copied */
    bool is_plain;     /* lines even on a terminal */
    bool is_json; /* {"event":"draining",...} and {"event":"checking"} (docs/cli.md), no more */
    uint32_t plain_ms; /* 0: 2000; is_json: 1000 */
};

/* NULL if out of memory. Caller ends it. */
struct dsmr_cli_view *dsmr_cli_view_begin(const struct dsmr_cli_view_config *config);
/* Draws snapshot; rates are over the time since the last update. May be called as often as one
 * likes. */
void dsmr_cli_view_update(struct dsmr_cli_view *view,
                          const struct dsmr_cli_load_snapshot *snapshot);
/* Leaves the last picture, gives the cursor back, frees. NULL is fine. */
void dsmr_cli_view_end(struct dsmr_cli_view *view);
/* The summary for people: rates, latencies, the nodes' roots. */
void dsmr_cli_view_summary(FILE *out, const struct dsmr_cli_load_result *result);

#endif
