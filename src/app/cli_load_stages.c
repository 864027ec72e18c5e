#include "app/cli_load_stages.h"

#include <string.h>

static const struct {
    enum dsmr_metric_histogram histogram;
    const char *name;
} stages[DSMR_CLI_LOAD_STAGES] = {
    [DSMR_CLI_LOAD_STAGE_CERTIFIED] = {DSMR_METRIC_HISTOGRAM_TX_CERTIFIED, "admitted_certified"},
    [DSMR_CLI_LOAD_STAGE_ACCEPTED] = {DSMR_METRIC_HISTOGRAM_TX_CERTIFIED_ACCEPTED,
                                      "certified_accepted"},
    [DSMR_CLI_LOAD_STAGE_EXECUTED] = {DSMR_METRIC_HISTOGRAM_TX_ACCEPTED_EXECUTED,
                                      "accepted_executed"},
};

const char *dsmr_cli_load_stages_name(enum dsmr_cli_load_stage_id id)
{
    return stages[id].name;
}

void dsmr_cli_load_stages_add(struct dsmr_cli_times *times, enum dsmr_cli_load_stage_id id,
                              const struct dsmr_cli_load_gain *begin,
                              const struct dsmr_cli_load_gain *end)
{
    const struct dsmr_cli_times *from = &begin->times[stages[id].histogram];
    const struct dsmr_cli_times *to = &end->times[stages[id].histogram];
    for (unsigned i = 0; i < DSMR_METRIC_BUCKETS; i++) {
        times->counts[i] += to->counts[i] - from->counts[i];
    }
    times->sum_ms += to->sum_ms - from->sum_ms;
}

static double percentile(const struct dsmr_cli_times *times, double share)
{
    double rank = share * (double)times->counts[DSMR_METRIC_BUCKETS - 1];
    uint64_t below = 0;
    double from_ms = 0;
    for (unsigned i = 0; i < DSMR_METRIC_BUCKETS - 1; i++) {
        double to_ms = (double)dsmr_metrics_bucket_ms(i);
        uint64_t inside = times->counts[i] - below;
        if (inside > 0 && (double)times->counts[i] >= rank) {
            return from_ms + (to_ms - from_ms) * (rank - (double)below) / (double)inside;
        }
        below = times->counts[i];
        from_ms = to_ms;
    }
    return from_ms;
}

void dsmr_cli_load_stages_of(struct dsmr_cli_load_stage *out, const struct dsmr_cli_times *times)
{
    memset(out, 0, sizeof(*out));
    out->count = times->counts[DSMR_METRIC_BUCKETS - 1];
    if (out->count > 0) {
        out->p50_ms = percentile(times, 0.50);
        out->p99_ms = percentile(times, 0.99);
        out->mean_ms = (double)times->sum_ms / (double)out->count;
    }
}
