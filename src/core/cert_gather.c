#include "core/cert_gather.h"

#include "core/node_state.h"

#define PART_OF_SLOT 2u
#define LONGEST_MS 100u /* where slots are long: a view has to end in time */

void dsmr_cert_gather_on_share(struct dsmr_node *node, const struct dsmr_id *chunk_id)
{
    struct dsmr_cert_gather *gather = &node->gather;
    gather->chunks[gather->next] = *chunk_id;
    gather->signed_ms[gather->next] = node->mono_ms;
    gather->next = (gather->next + 1u) % DSMR_CERT_GATHER_CHUNKS;
}

uint32_t dsmr_cert_gather_wait_ms(const struct dsmr_node *node, uint32_t part_of_slot,
                                  uint32_t longest_ms)
{
    uint32_t wait_ms = node->config.params.slot_ms / part_of_slot;
    return wait_ms < longest_ms ? wait_ms : longest_ms;
}

void dsmr_cert_gather_reset(struct dsmr_node *node)
{
    node->gather.since_ms = 0;
}

static const struct dsmr_chunk_entry *expected(const struct dsmr_node *node, uint32_t i)
{
    const struct dsmr_cert_gather *gather = &node->gather;
    if (gather->signed_ms[i] == 0 ||
        node->mono_ms - gather->signed_ms[i] >= node->config.params.slot_ms) {
        return NULL;
    }
    const struct dsmr_chunk_entry *entry = dsmr_chunk_pool_find(node->chunks, &gather->chunks[i]);
    return entry != NULL && entry->state < DSMR_CHUNK_CERTIFIED ? entry : NULL;
}

bool dsmr_cert_gather_expects(const struct dsmr_node *node,
                              bool (*has_come)(const struct dsmr_node *node,
                                               const struct dsmr_id *chunk_id))
{
    for (uint32_t i = 0; i < DSMR_CERT_GATHER_CHUNKS; i++) {
        const struct dsmr_chunk_entry *entry = expected(node, i);
        if (entry != NULL && !entry->is_own && !has_come(node, &entry->ref.chunk_id)) {
            return true;
        }
    }
    return false;
}

uint64_t dsmr_cert_gather_until(struct dsmr_node *node)
{
    struct dsmr_cert_gather *gather = &node->gather;
    if (gather->since_ms == 0) {
        gather->since_ms = node->mono_ms;
    }
    uint64_t until_ms = gather->since_ms + dsmr_cert_gather_wait_ms(node, PART_OF_SLOT, LONGEST_MS);
    for (uint32_t i = 0; node->mono_ms < until_ms && i < DSMR_CERT_GATHER_CHUNKS; i++) {
        if (expected(node, i) != NULL) {
            return until_ms;
        }
    }
    return 0;
}
