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
    return false;
}

void dsmr_cli_load_gain_add(struct dsmr_cli_load_gain *gain, const struct dsmr_cli_sample *sample)
{
    static const uint64_t zeros[DSMR_METRIC_COUNT];
    if (!sample->is_reachable) {
        return;
    }
    if (!gain->has_last) {
        gain->has_cpu = sample->has_process;
    } else {
        bool is_new = is_restarted(&gain->last, sample);
        const uint64_t *before = is_new ? zeros : gain->last.metrics;
        const uint64_t *now = sample->metrics;
        gain->executed_txs += now[DSMR_METRIC_TXS_EXECUTED] - before[DSMR_METRIC_TXS_EXECUTED];
        gain->disk_bytes += now[DSMR_METRIC_DISK_BYTES] - before[DSMR_METRIC_DISK_BYTES];
        gain->net_bytes_sent +=
            now[DSMR_METRIC_NET_BYTES_SENT] - before[DSMR_METRIC_NET_BYTES_SENT];
        if (is_new || !sample->has_process || sample->cpu_us < gain->last.cpu_us) {
            gain->has_cpu = false;
        } else {
            gain->cpu_us += sample->cpu_us - gain->last.cpu_us;
        }
    }
    gain->has_last = true;
    gain->last = *sample;
}
