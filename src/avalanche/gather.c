#include "avalanche/gather.h"

#include <metrics.pb-c.h>
#include <stdlib.h>
#include <string.h>

#include "avalanche/pb.h"

#define FAMILIES_MAX (DSMR_METRIC_COUNT + DSMR_METRIC_HISTOGRAM_COUNT + 1u)

enum type { TYPE_counter, TYPE_gauge }; /* as the table of metrics.h names them */

static const struct {
    const char *name, *help;
    enum type type;
} plain[] = {
#define GATHER_X(id, type, name, help) {"dsmr_" name, help, TYPE_##type},
    DSMR_METRIC_MAP(GATHER_X)
#undef GATHER_X
};
static const struct {
    const char *name, *help;
} timed[] = {
#define GATHER_X(id, name, help) {"dsmr_" name, help},
    DSMR_METRIC_HISTOGRAM_MAP(GATHER_X)
#undef GATHER_X
};
static const enum dsmr_err errors[] = {
#define GATHER_X(name, number, cls, text) DSMR_ERR_##name,
    DSMR_ERR_MAP(GATHER_X)
#undef GATHER_X
};
#define ERRORS_COUNT (sizeof errors / sizeof errors[0])
#define METRICS_MAX (FAMILIES_MAX + ERRORS_COUNT)

/* All messages of one answer; they point into each other. */
struct answer {
    Dsmr__Pb__GatherResponse response;
    Dsmr__Pb__MetricFamily families[FAMILIES_MAX], *family_list[FAMILIES_MAX];
    Dsmr__Pb__Metric metrics[METRICS_MAX], *metric_list[METRICS_MAX];
    Dsmr__Pb__Counter counters[METRICS_MAX];
    Dsmr__Pb__Gauge gauges[METRICS_MAX];
    Dsmr__Pb__LabelPair labels[ERRORS_COUNT], *label_list[ERRORS_COUNT];
    Dsmr__Pb__Histogram histograms[DSMR_METRIC_HISTOGRAM_COUNT];
    Dsmr__Pb__Bucket buckets[DSMR_METRIC_HISTOGRAM_COUNT][DSMR_METRIC_BUCKETS];
    Dsmr__Pb__Bucket *bucket_list[DSMR_METRIC_HISTOGRAM_COUNT][DSMR_METRIC_BUCKETS];
    size_t families_count, metrics_count;
};

static Dsmr__Pb__MetricFamily *add_family(struct answer *a, const char *name, const char *help,
                                          Dsmr__Pb__MetricType type)
{
    Dsmr__Pb__MetricFamily *family = &a->families[a->families_count];
    dsmr__pb__metric_family__init(family);
    family->name = (char *)(uintptr_t)name;
    family->help = (char *)(uintptr_t)help;
    DSMR_PB_SET(family, type, type);
    family->metric = &a->metric_list[a->metrics_count];
    a->family_list[a->families_count++] = family;
    return family;
}

static Dsmr__Pb__Metric *add_metric(struct answer *a, Dsmr__Pb__MetricFamily *family)
{
    Dsmr__Pb__Metric *metric = &a->metrics[a->metrics_count];
    dsmr__pb__metric__init(metric);
    a->metric_list[a->metrics_count++] = metric;
    family->n_metric++;
    return metric;
}

static void set_counter(struct answer *a, Dsmr__Pb__Metric *metric, uint64_t value)
{
    Dsmr__Pb__Counter *counter = &a->counters[metric - a->metrics];
    dsmr__pb__counter__init(counter);
    DSMR_PB_SET(counter, value, (double)value);
    metric->counter = counter;
}

static void add_plain(struct answer *a, const struct dsmr_metrics *metrics, size_t i)
{
    uint64_t value = dsmr_metrics_get(metrics, (enum dsmr_metric)i);
    bool is_gauge = plain[i].type == TYPE_gauge;
    Dsmr__Pb__MetricFamily *family =
        add_family(a, plain[i].name, plain[i].help,
                   is_gauge ? DSMR__PB__METRIC_TYPE__GAUGE : DSMR__PB__METRIC_TYPE__COUNTER);
    Dsmr__Pb__Metric *metric = add_metric(a, family);
    if (!is_gauge) {
        set_counter(a, metric, value);
        return;
    }
    Dsmr__Pb__Gauge *gauge = &a->gauges[metric - a->metrics];
    dsmr__pb__gauge__init(gauge);
    DSMR_PB_SET(gauge, value, (double)value);
    metric->gauge = gauge;
}

/* The last bucket has no bound: it is the count. */
static void add_timed(struct answer *a, const struct dsmr_metrics *metrics, size_t i)
{
    Dsmr__Pb__Histogram *histogram = &a->histograms[i];
    uint64_t count = 0;
    dsmr__pb__histogram__init(histogram);
    for (unsigned k = 0; k < DSMR_METRIC_BUCKETS; k++) {
        uint64_t bound_ms = dsmr_metrics_bucket_ms(k);
        count += atomic_load_explicit(&metrics->histograms[i].counts[k], memory_order_relaxed);
        if (bound_ms == UINT64_MAX)
            break;
        Dsmr__Pb__Bucket *bucket = &a->buckets[i][k];
        dsmr__pb__bucket__init(bucket);
        DSMR_PB_SET(bucket, cumulative_count, count);
        DSMR_PB_SET(bucket, upper_bound, (double)bound_ms / 1000.0);
        a->bucket_list[i][histogram->n_bucket++] = bucket;
    }
    uint64_t sum_ms = atomic_load_explicit(&metrics->histograms[i].sum_ms, memory_order_relaxed);
    DSMR_PB_SET(histogram, sample_count, count);
    DSMR_PB_SET(histogram, sample_sum, (double)sum_ms / 1000.0);
    histogram->bucket = a->bucket_list[i];
    add_metric(a, add_family(a, timed[i].name, timed[i].help, DSMR__PB__METRIC_TYPE__HISTOGRAM))
        ->histogram = histogram;
}

static void add_errors(struct answer *a, const struct dsmr_metrics *metrics)
{
    Dsmr__Pb__MetricFamily *family =
        add_family(a, "dsmr_errors_total", "errors by name", DSMR__PB__METRIC_TYPE__COUNTER);
    for (size_t i = 0; i < ERRORS_COUNT; i++) {
        if (errors[i] == DSMR_OK)
            continue;
        Dsmr__Pb__Metric *metric = add_metric(a, family);
        Dsmr__Pb__LabelPair *label = &a->labels[i];
        dsmr__pb__label_pair__init(label);
        label->name = (char *)(uintptr_t) "name";
        label->value = (char *)(uintptr_t)dsmr_err_name(errors[i]);
        a->label_list[i] = label;
        metric->n_label = 1;
        metric->label = &a->label_list[i];
        set_counter(a, metric,
                    atomic_load_explicit(&metrics->errors[errors[i]], memory_order_relaxed));
    }
}

void dsmr_gather_answer(struct dsmr_grpc_call *call, const struct dsmr_metrics *metrics)
{
    struct answer *a = calloc(1, sizeof *a);
    if (a == NULL) {
        dsmr_grpc_server_fail(call, DSMR_GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        add_plain(a, metrics, i);
    for (size_t i = 0; i < sizeof timed / sizeof timed[0]; i++)
        add_timed(a, metrics, i);
    add_errors(a, metrics);
    dsmr__pb__gather_response__init(&a->response);
    a->response.n_metric_families = a->families_count;
    a->response.metric_families = a->family_list;
    dsmr_pb_reply(call, &a->response.base);
    free(a);
}
