#include "core/chunk_server.h"

/* A validator that catches up may take this many of the largest chunks a second, and at once. */
#define EGRESS_CHUNKS_PER_SECOND 32u
#define EGRESS_CHUNKS_BURST 64u

static void answer(struct dsmr_node *node, const struct dsmr_node_id *to,
                   const struct dsmr_id *chunk_id, enum dsmr_err err, struct dsmr_chunk *body)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_CHUNK};
    msg.u.chunk.chunk_id = *chunk_id;
    msg.u.chunk.err = (uint16_t)err;
    if (body != NULL) {
        msg.u.chunk.chunk = body->bytes;
        msg.u.chunk.chunk_len = body->ref.chunk_bytes;
    }
    dsmr_effects_send(node->fx, to, &msg, body);
    dsmr_node_common_error(node, err);
}

/* Chunks of executed blocks below this time have gone, or go now (11.3); 0: none. */
static uint64_t horizon_ms(const struct dsmr_node *node)
{
    uint64_t retention_ms = node->config.params.retention_ms;
    return node->executed_time_ms > retention_ms ? node->executed_time_ms - retention_ms : 0;
}

void dsmr_chunk_server_on_request(struct dsmr_node *node, const struct dsmr_node_id *from,
                                  const struct dsmr_id *chunk_id, uint64_t height)
{
    struct dsmr_peer *peer = dsmr_peer_table_add(node->peers, from);
    /* Also who will be, or was, a validator by the schedule: it follows, to be ready at its turn.
     */
    if (peer == NULL || !dsmr_epochs_has_member(node->epochs, from)) {
        dsmr_node_common_error(node, DSMR_ERR_NOT_VALIDATOR);
        return;
    }
    const struct dsmr_chunk_entry *entry = dsmr_chunk_pool_find(node->chunks, chunk_id);
    uint64_t largest = node->config.params.chunk_bytes_max;
    uint64_t bytes = entry == NULL ? largest / 4u + 1u : entry->ref.chunk_bytes;
    if (!dsmr_peer_budget_take(&peer->egress, bytes, largest * EGRESS_CHUNKS_PER_SECOND,
                               largest * EGRESS_CHUNKS_BURST, node->mono_ms)) {
        answer(node, from, chunk_id, DSMR_ERR_BUSY, NULL);
        return;
    }
    struct dsmr_chunk *body = dsmr_chunk_pool_body(node->chunks, chunk_id);
    if (body != NULL) {
        answer(node, from, chunk_id, DSMR_OK, body);
        return;
    }
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_SERVE_CHUNK);
    fx->u.serve_chunk.chunk_id = *chunk_id;
    fx->u.serve_chunk.to = *from;
    fx->u.serve_chunk.height = height <= node->executed_height ? height : 0;
    fx->u.serve_chunk.horizon_ms = horizon_ms(node);
}
