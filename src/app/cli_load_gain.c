#include "app/cli_load_gain.h"

static const bool is_counter[DSMR_METRIC_COUNT] = {
#define counter true
#define gauge false
#define CLI_LOAD_GAIN_X(id, type, name, help) type,
    DSMR_METRIC_MAP(CLI_LOAD_GAIN_X)
#undef CLI_LOAD_GAIN_X
#undef counter
#undef gauge
};

/* A counter never goes down in a process: one that did tells of another process, even where the
 * others have grown beyond what they were. */
static bool is_restarted(const struct dsmr_cli_sample *before, const struct dsmr_cli_sample *now)
{
    for (size_t i = 0; i < DSMR_METRIC_COUNT; i++) {
        if (is_counter[i] && now->metrics[i] < before->metrics[i]) {
            return true;
        }
    }
    for (size_t i = 0; i < DSMR_METRIC_HISTOGRAM_COUNT; i++) {
        for (size_t k = 0; k < DSMR_METRIC_BUCKETS; k++) {
            if (now->times[i].counts[k] < before->times[i].counts[k]) {
                return true;
            }
        }
        if (now->times[i].sum_ms < before->times[i].sum_ms) {
            return true;
        }
    }
    return false;
}

static void add_times(struct dsmr_cli_times *gain, const struct dsmr_cli_times *before,
                      const struct dsmr_cli_times *now)
{
    for (size_t i = 0; i < DSMR_METRIC_BUCKETS; i++) {
        gain->counts[i] += now->counts[i] - before->counts[i];
    }
    gain->sum_ms += now->sum_ms - before->sum_ms;
}

void dsmr_cli_load_gain_add(struct dsmr_cli_load_gain *gain, const struct dsmr_cli_sample *sample)
{
    static const struct dsmr_cli_sample nothing;
    if (!sample->is_reachable) {
        return;
    }
    if (!gain->has_last) {
        gain->has_cpu = sample->has_process;
    } else {
        bool is_new = is_restarted(&gain->last, sample);
        const struct dsmr_cli_sample *last = is_new ? &nothing : &gain->last;
        const uint64_t *before = last->metrics;
        const uint64_t *now = sample->metrics;
        gain->executed_txs += now[DSMR_METRIC_TXS_EXECUTED] - before[DSMR_METRIC_TXS_EXECUTED];
        gain->disk_bytes += now[DSMR_METRIC_DISK_BYTES] - before[DSMR_METRIC_DISK_BYTES];
        gain->net_bytes_sent +=
            now[DSMR_METRIC_NET_BYTES_SENT] - before[DSMR_METRIC_NET_BYTES_SENT];
        for (size_t i = 0; i < DSMR_METRIC_HISTOGRAM_COUNT; i++) {
            add_times(&gain->times[i], &last->times[i], &sample->times[i]);
        }
        if (is_new || !sample->has_process || sample->cpu_us < gain->last.cpu_us) {
            gain->has_cpu = false;
        } else {
            gain->cpu_us += sample->cpu_us - gain->last.cpu_us;
        }
    }
    gain->has_last = true;
    gain->last = *sample;
}
