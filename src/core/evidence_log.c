#include "core/evidence_log.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/map.h"
#include "core/slot_key.h"

enum pair_state { VERIFYING = 1, RECORDED };

struct dsmr_evidence_log {
    uint32_t pairs_max;
    struct dsmr_map *pairs; /* (producer, epoch), laid out like a slot key -> enum pair_state */
    struct dsmr_slot_key *forgotten; /* scratch of forget */
};

struct dsmr_evidence_log *dsmr_evidence_log_new(uint32_t pairs_max, uint64_t seed)
{
    struct dsmr_evidence_log *log = calloc(1, sizeof(*log));
    if (log == NULL) {
        return NULL;
    }
    log->pairs_max = pairs_max;
    log->pairs =
        dsmr_map_new(sizeof(struct dsmr_slot_key), sizeof(enum pair_state), pairs_max, seed);
    log->forgotten = calloc(pairs_max > 0 ? pairs_max : 1, sizeof(*log->forgotten));
    if (log->pairs == NULL || log->forgotten == NULL) {
        dsmr_evidence_log_free(log);
        return NULL;
    }
    return log;
}

void dsmr_evidence_log_free(struct dsmr_evidence_log *log)
{
    if (log != NULL) {
        dsmr_map_free(log->pairs);
        free(log->forgotten);
        free(log);
    }
}

enum dsmr_err dsmr_evidence_log_begin(struct dsmr_evidence_log *log,
                                      const struct dsmr_node_id *producer, uint64_t epoch)
{
    struct dsmr_slot_key key = dsmr_slot_key(producer, epoch);
    if (dsmr_map_find(log->pairs, &key) != NULL) {
        return DSMR_ERR_DUPLICATE;
    }
    enum pair_state *state = dsmr_map_add(log->pairs, &key, NULL);
    if (state == NULL) {
        return DSMR_ERR_FULL;
    }
    *state = VERIFYING;
    return DSMR_OK;
}

void dsmr_evidence_log_abort(struct dsmr_evidence_log *log, const struct dsmr_node_id *producer,
                             uint64_t epoch)
{
    struct dsmr_slot_key key = dsmr_slot_key(producer, epoch);
    const enum pair_state *state = dsmr_map_find(log->pairs, &key);
    DSMR_ASSERT(state != NULL && *state == VERIFYING);
    bool was_there = dsmr_map_remove(log->pairs, &key);
    DSMR_ASSERT(was_there);
}

void dsmr_evidence_log_commit(struct dsmr_evidence_log *log, const struct dsmr_node_id *producer,
                              uint64_t epoch)
{
    struct dsmr_slot_key key = dsmr_slot_key(producer, epoch);
    enum pair_state *state = dsmr_map_find(log->pairs, &key);
    DSMR_ASSERT(state != NULL && *state == VERIFYING);
    *state = RECORDED;
}

static bool is_kept(const uint64_t *keep_epochs, uint32_t keep_count, uint64_t epoch)
{
    for (uint32_t i = 0; i < keep_count; i++) {
        if (keep_epochs[i] == epoch) {
            return true;
        }
    }
    return false;
}

void dsmr_evidence_log_forget(struct dsmr_evidence_log *log, const uint64_t *keep_epochs,
                              uint32_t keep_count)
{
    uint32_t count = 0;
    size_t position = 0;
    const void *key;
    void *state;
    while (dsmr_map_next(log->pairs, &position, &key, &state)) {
        struct dsmr_slot_key pair;
        memcpy(&pair, key, sizeof(pair));
        uint64_t epoch = dsmr_load_be64(pair.bytes + sizeof(struct dsmr_node_id));
        if (*(const enum pair_state *)state == RECORDED &&
            !is_kept(keep_epochs, keep_count, epoch)) {
            log->forgotten[count++] = pair;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        bool was_there = dsmr_map_remove(log->pairs, &log->forgotten[i]);
        DSMR_ASSERT(was_there);
    }
}

uint32_t dsmr_evidence_log_count(const struct dsmr_evidence_log *log)
{
    return (uint32_t)dsmr_map_count(log->pairs);
}
