#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/cli_load_sender_state.h"
#include "base/bytes.h"
#include "crypto/hash.h"

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

enum dsmr_cli_load_phase dsmr_cli_load_sender_phase(struct dsmr_cli_load_sender *s)
{
    pthread_mutex_lock(&s->lock);
    enum dsmr_cli_load_phase phase = s->phase;
    pthread_mutex_unlock(&s->lock);
    return phase;
}

uint64_t dsmr_cli_load_sender_elapsed_ms(struct dsmr_cli_load_sender *s)
{
    return (now_us() - s->start_us) / 1000u;
}

void dsmr_cli_load_sender_snapshot(struct dsmr_cli_load_sender *s,
                                   struct dsmr_cli_load_snapshot *out)
{
    pthread_mutex_lock(&s->lock);
    out->elapsed_ms = (now_us() - s->start_us) / 1000u;
    out->is_draining = s->phase >= DSMR_CLI_LOAD_DRAINING;
    out->nodes_count = s->config->nodes_count;
    for (uint32_t i = 0; i < out->nodes_count; i++) {
        struct dsmr_cli_load_sender_node *node = &s->nodes[i];
        struct dsmr_cli_load_node *to = &out->nodes[i];
        to->is_connected = dsmr_submit_client_is_connected(node->client);
        to->sent = node->totals.sent;
        to->admitted = node->totals.admitted;
        to->refused = node->totals.refused;
        to->certified = node->totals.certified;
        to->executed = node->totals.executed;
        to->failed = node->totals.failed;
        to->expired = node->totals.expired;
        to->lost = node->totals.lost;
        to->certified_p50_us = (uint32_t)dsmr_histogram_percentile(&node->interval[0], 0.5);
        to->executed_p50_us = (uint32_t)dsmr_histogram_percentile(&node->interval[1], 0.5);
        dsmr_histogram_clear(&node->interval[0]);
        dsmr_histogram_clear(&node->interval[1]);
    }
    pthread_mutex_unlock(&s->lock);
}

void dsmr_cli_load_sender_totals(struct dsmr_cli_load_sender *s,
                                 struct dsmr_cli_load_sender_totals *out)
{
    memset(out, 0, sizeof(*out));
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->config->nodes_count; i++) {
        const struct dsmr_cli_load_sender_totals *t = &s->nodes[i].totals;
        out->sent += t->sent;
        out->admitted += t->admitted;
        out->refused += t->refused;
        out->certified += t->certified;
        out->executed += t->executed;
        out->failed += t->failed;
        out->expired += t->expired;
        out->lost += t->lost;
        out->twice += t->twice;
        out->measured_sent += t->measured_sent;
        out->window_certified += t->window_certified;
        if (t->executed_height_max > out->executed_height_max) {
            out->executed_height_max = t->executed_height_max;
        }
    }
    pthread_mutex_unlock(&s->lock);
}

void dsmr_cli_load_sender_latency(struct dsmr_cli_load_sender *s, struct dsmr_histogram *certified,
                                  struct dsmr_histogram *executed, unsigned parts)
{
    dsmr_histogram_clear(certified);
    dsmr_histogram_clear(executed);
    pthread_mutex_lock(&s->lock);
    for (unsigned part = 0; part < DSMR_CLI_LOAD_PARTS; part++) {
        if ((parts >> part & 1u) != 0) {
            dsmr_histogram_merge(certified, &s->latency[part][0]);
            dsmr_histogram_merge(executed, &s->latency[part][1]);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

/* The first bytes of the id, of what note_id has kept. bytes: room for a transaction. */
static uint64_t id_of(const struct dsmr_cli_load_sender *s, uint64_t kept, uint8_t *bytes)
{
    struct dsmr_id id;
    if (s->config->kind != DSMR_CLI_LOAD_OPAQUE) {
        return kept;
    }
    uint32_t len =
        dsmr_cli_load_tx_make(&s->maker, bytes, kept >> 32, s->expiry_base_ms + (uint32_t)kept);
    dsmr_hash(&id, bytes, len);
    return dsmr_load_be64(id.bytes);
}

enum dsmr_err dsmr_cli_load_sender_executed(struct dsmr_cli_load_sender *s, uint64_t **out,
                                            size_t *count)
{
    size_t n = 0;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->config->nodes_count; i++) {
        n += (size_t)s->nodes[i].totals.executed;
    }
    uint64_t *ids = malloc((n + 1) * sizeof(*ids));
    uint8_t *bytes = malloc(s->maker.tx_bytes);
    size_t at = 0;
    for (uint32_t i = 0; i < s->config->nodes_count && ids != NULL && bytes != NULL; i++) {
        const struct dsmr_cli_load_sender_node *node = &s->nodes[i];
        for (size_t seq = 0; seq < node->ids_count && at < n; seq++) {
            if ((node->seen[seq] & DSMR_CLI_LOAD_SENDER_SEEN) != 0) {
                ids[at++] = id_of(s, node->ids[seq], bytes);
            }
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (bytes == NULL) {
        free(ids);
        ids = NULL;
    }
    free(bytes);
    *out = ids;
    *count = at;
    return ids != NULL ? DSMR_OK : DSMR_ERR_NO_MEMORY;
}
