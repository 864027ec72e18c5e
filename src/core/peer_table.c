#include "core/peer_table.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/map.h"

struct dsmr_peer_table {
    struct dsmr_map *by_id; /* struct dsmr_node_id -> uint32_t index in peers */
    uint32_t peers_max;
    uint32_t count;
    struct dsmr_peer *peers; /* dense */
};

struct dsmr_peer_table *dsmr_peer_table_new(uint32_t peers_max, uint64_t seed)
{
    struct dsmr_peer_table *table = calloc(1, sizeof(*table));
    if (table == NULL) {
        return NULL;
    }
    table->peers_max = peers_max;
    table->by_id = dsmr_map_new(sizeof(struct dsmr_node_id), sizeof(uint32_t), peers_max, seed);
    table->peers = calloc(peers_max > 0 ? peers_max : 1, sizeof(*table->peers));
    if (table->by_id == NULL || table->peers == NULL) {
        dsmr_peer_table_free(table);
        return NULL;
    }
    return table;
}

void dsmr_peer_table_free(struct dsmr_peer_table *table)
{
    if (table != NULL) {
        dsmr_map_free(table->by_id);
        free(table->peers);
        free(table);
    }
}

/* Of the peers that are down: one that never said its height, else the one furthest behind. NULL:
 * all are up. */
static struct dsmr_peer *least_useful(const struct dsmr_peer_table *table)
{
    struct dsmr_peer *least = NULL;
    for (uint32_t i = 0; i < table->count; i++) {
        struct dsmr_peer *peer = &table->peers[i];
        if (peer->is_up) {
            continue;
        }
        if (!peer->has_status) {
            return peer;
        }
        if (least == NULL || peer->accepted_height < least->accepted_height) {
            least = peer;
        }
    }
    return least;
}

struct dsmr_peer *dsmr_peer_table_add(struct dsmr_peer_table *table,
                                      const struct dsmr_node_id *node_id)
{
    struct dsmr_peer *peer = dsmr_peer_table_find(table, node_id);
    if (peer != NULL) {
        return peer;
    }
    if (table->count < table->peers_max) {
        peer = &table->peers[table->count++];
    } else {
        peer = least_useful(table);
        if (peer == NULL) {
            return NULL;
        }
        bool was_there = dsmr_map_remove(table->by_id, &peer->node_id);
        DSMR_ASSERT(was_there);
    }
    *peer = (struct dsmr_peer){.node_id = *node_id};
    uint32_t *index = dsmr_map_add(table->by_id, node_id, NULL);
    DSMR_ASSERT(index != NULL);
    *index = (uint32_t)(peer - table->peers);
    return peer;
}

struct dsmr_peer *dsmr_peer_table_find(const struct dsmr_peer_table *table,
                                       const struct dsmr_node_id *node_id)
{
    const uint32_t *index = dsmr_map_find(table->by_id, node_id);
    return index != NULL ? &table->peers[*index] : NULL;
}

struct dsmr_peer *dsmr_peer_table_next(const struct dsmr_peer_table *table, size_t *position)
{
    return *position < table->count ? &table->peers[(*position)++] : NULL;
}

static void fill(struct dsmr_peer_budget *budget, uint64_t rate, uint64_t burst, uint64_t mono_ms)
{
    if (budget->filled_mono_ms == 0) {
        budget->tokens = burst;
    }
    if (budget->filled_mono_ms == 0 || rate == 0) {
        budget->filled_mono_ms = mono_ms > 0 ? mono_ms : 1;
        return;
    }
    if (mono_ms <= budget->filled_mono_ms) {
        return;
    }
    uint64_t passed_ms = mono_ms - budget->filled_mono_ms;
    uint64_t missing = burst > budget->tokens ? burst - budget->tokens : 0;
    bool is_more_than_all = passed_ms > (UINT64_MAX - 999u) / rate;
    uint64_t flowed = is_more_than_all ? 0 : passed_ms * rate + budget->thousandths;
    budget->filled_mono_ms = mono_ms; /* used up, whoever asks again in this millisecond */
    if (is_more_than_all || flowed / 1000u >= missing) {
        budget->tokens = burst;
        budget->thousandths = 0;
        return;
    }
    budget->tokens += flowed / 1000u;
    budget->thousandths = (uint32_t)(flowed % 1000u); /* so that small steps lose nothing */
}

bool dsmr_peer_budget_take(struct dsmr_peer_budget *budget, uint64_t amount, uint64_t rate,
                           uint64_t burst, uint64_t mono_ms)
{
    fill(budget, rate, burst, mono_ms);
    if (budget->tokens > burst) {
        budget->tokens = burst; /* the burst was lowered */
    }
    if (amount > budget->tokens) {
        return false;
    }
    budget->tokens -= amount;
    return true;
}

static bool is_above(const struct dsmr_peer_table *table, const struct dsmr_validator *validator,
                     uint64_t height)
{
    for (uint32_t i = 0; i < validator->node_ids_count; i++) {
        const struct dsmr_peer *peer = dsmr_peer_table_find(table, &validator->node_ids[i]);
        if (peer != NULL && peer->has_status && peer->accepted_height > height) {
            return true;
        }
    }
    return false;
}

uint64_t dsmr_peer_table_weight_above(const struct dsmr_peer_table *table,
                                      const struct dsmr_validator_set *set, uint64_t height)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        if (is_above(table, &set->validators[i], height)) {
            uint64_t weight = set->validators[i].weight;
            sum = weight > UINT64_MAX - sum ? UINT64_MAX : sum + weight;
        }
    }
    return sum;
}
