#include "core/evidence_log.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/map.h"
#include "core/slot_key.h"

enum pair_state { VERIFYING = 1, STORING, RECORDED, LEAVING };
#define STATES (LEAVING + 1)

struct pair {
    enum pair_state state;
    uint64_t expiry_ms; /* of its chunks: how old it is */
};

struct dsmr_evidence_log {
    uint32_t pairs_max;
    struct dsmr_map *pairs; /* (producer, epoch), laid out like a slot key -> struct pair */
    uint32_t counts[STATES];
};

struct dsmr_evidence_log *dsmr_evidence_log_new(uint32_t pairs_max, uint32_t verifying_max,
                                                uint64_t seed)
{
    struct dsmr_evidence_log *log = calloc(1, sizeof(*log));
    if (log == NULL) {
        return NULL;
    }
    log->pairs_max = pairs_max;
    log->pairs = dsmr_map_new(sizeof(struct dsmr_slot_key), sizeof(struct pair),
                              pairs_max + verifying_max, seed);
    if (log->pairs == NULL) {
        dsmr_evidence_log_free(log);
        return NULL;
    }
    return log;
}

void dsmr_evidence_log_free(struct dsmr_evidence_log *log)
{
    if (log != NULL) {
        dsmr_map_free(log->pairs);
        free(log);
    }
}

static struct pair *find(const struct dsmr_evidence_log *log, const struct dsmr_evidence_key *key)
{
    struct dsmr_slot_key slot_key = dsmr_slot_key(&key->producer, key->epoch);
    return dsmr_map_find(log->pairs, &slot_key);
}

static void set_state(struct dsmr_evidence_log *log, struct pair *pair, enum pair_state state)
{
    log->counts[pair->state]--;
    log->counts[state]++;
    pair->state = state;
}

/* NULL if the map is full. */
static struct pair *add(struct dsmr_evidence_log *log, const struct dsmr_evidence_key *key,
                        enum pair_state state, uint64_t expiry_ms)
{
    struct dsmr_slot_key slot_key = dsmr_slot_key(&key->producer, key->epoch);
    struct pair *pair = dsmr_map_add(log->pairs, &slot_key, NULL);
    if (pair != NULL) {
        *pair = (struct pair){.state = state, .expiry_ms = expiry_ms};
        log->counts[state]++;
    }
    return pair;
}

static void drop(struct dsmr_evidence_log *log, const struct dsmr_evidence_key *key)
{
    struct dsmr_slot_key slot_key = dsmr_slot_key(&key->producer, key->epoch);
    const struct pair *pair = dsmr_map_find(log->pairs, &slot_key);
    DSMR_ASSERT(pair != NULL);
    log->counts[pair->state]--;
    bool was_there = dsmr_map_remove(log->pairs, &slot_key);
    DSMR_ASSERT(was_there);
}

static bool is_live(const struct dsmr_evidence_epochs *live, uint64_t epoch)
{
    for (uint32_t i = 0; i < live->count; i++) {
        if (live->epochs[i] == epoch) {
            return true;
        }
    }
    return false;
}

static bool has_room(const struct dsmr_evidence_log *log)
{
    return log->counts[STORING] + log->counts[RECORDED] < log->pairs_max;
}

/* The oldest pair that may give way; false: none may. */
static bool find_oldest(const struct dsmr_evidence_log *log, struct dsmr_evidence_key *out,
                        const struct dsmr_evidence_epochs *live)
{
    uint64_t expiry_ms = UINT64_MAX;
    size_t position = 0;
    const void *key;
    void *value;
    bool is_found = false;
    while (dsmr_map_next(log->pairs, &position, &key, &value)) {
        const struct pair *pair = value;
        const uint8_t *bytes = key;
        uint64_t epoch = dsmr_load_be64(bytes + sizeof(out->producer));
        if (pair->state == RECORDED && (!is_found || pair->expiry_ms < expiry_ms) &&
            !is_live(live, epoch)) {
            memcpy(&out->producer, bytes, sizeof(out->producer));
            out->epoch = epoch;
            expiry_ms = pair->expiry_ms;
            is_found = true;
        }
    }
    return is_found;
}

enum dsmr_err dsmr_evidence_log_begin(struct dsmr_evidence_log *log,
                                      const struct dsmr_evidence_key *key, uint64_t expiry_ms,
                                      const struct dsmr_evidence_epochs *live)
{
    struct dsmr_evidence_key oldest;
    if (find(log, key) != NULL) {
        return DSMR_ERR_DUPLICATE;
    }
    if (!has_room(log) && !find_oldest(log, &oldest, live)) {
        return DSMR_ERR_FULL;
    }
    return add(log, key, VERIFYING, expiry_ms) != NULL ? DSMR_OK : DSMR_ERR_FULL;
}

enum dsmr_err dsmr_evidence_log_record(struct dsmr_evidence_log *log,
                                       const struct dsmr_evidence_key *key,
                                       const struct dsmr_evidence_epochs *live,
                                       struct dsmr_evidence_key *gone, bool *has_gone)
{
    struct pair *pair = find(log, key);
    DSMR_ASSERT(pair != NULL && pair->state == VERIFYING);
    *has_gone = false;
    if (!has_room(log)) {
        if (!find_oldest(log, gone, live)) {
            return DSMR_ERR_FULL;
        }
        set_state(log, find(log, gone), LEAVING);
        *has_gone = true;
    }
    set_state(log, pair, STORING);
    return DSMR_OK;
}

void dsmr_evidence_log_commit(struct dsmr_evidence_log *log, const struct dsmr_evidence_key *key,
                              const struct dsmr_evidence_key *gone)
{
    struct pair *pair = find(log, key);
    DSMR_ASSERT(pair != NULL && pair->state == STORING);
    set_state(log, pair, RECORDED);
    if (gone != NULL) {
        drop(log, gone);
    }
}

void dsmr_evidence_log_abort(struct dsmr_evidence_log *log, const struct dsmr_evidence_key *key,
                             const struct dsmr_evidence_key *gone)
{
    const struct pair *pair = find(log, key);
    DSMR_ASSERT(pair != NULL && (pair->state == VERIFYING || pair->state == STORING));
    drop(log, key);
    if (gone != NULL) {
        set_state(log, find(log, gone), RECORDED);
    }
}

enum dsmr_err dsmr_evidence_log_restore(struct dsmr_evidence_log *log,
                                        const struct dsmr_evidence_key *key, uint64_t expiry_ms)
{
    if (find(log, key) != NULL) {
        return DSMR_OK;
    }
    return has_room(log) && add(log, key, RECORDED, expiry_ms) != NULL ? DSMR_OK : DSMR_ERR_FULL;
}

uint32_t dsmr_evidence_log_count(const struct dsmr_evidence_log *log)
{
    return log->counts[RECORDED] + log->counts[LEAVING];
}
