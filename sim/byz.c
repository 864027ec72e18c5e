#include "sim/byz.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "crypto/hash.h"
#include "sim/sim_accounts.h"
#include "sim/sim_bls.h"
#include "sim/sim_state.h"
#include "wire/codec.h"

const struct dsmr_sim_byz_ops *dsmr_sim_byz_find(const char *name)
{
    for (uint32_t i = 0; dsmr_sim_byz_kinds[i] != NULL; i++) {
        if (strcmp(dsmr_sim_byz_kinds[i]->name, name) == 0) {
            return dsmr_sim_byz_kinds[i];
        }
    }
    return NULL;
}

static void next_tick(struct dsmr_sim *sim, uint32_t number)
{
    const struct dsmr_sim_node *node = &sim->nodes[number];
    if (node->byz->tick != NULL) {
        dsmr_sim_queue_push(&sim->queue,
                            (struct dsmr_sim_event){.due_us = sim->now_us + node->byz->tick_us,
                                                    .kind = DSMR_SIM_BYZ,
                                                    .node = number});
    }
}

void dsmr_sim_byz_tick(struct dsmr_sim *sim, uint32_t number)
{
    struct dsmr_sim_node *node = &sim->nodes[number];
    if (node->driver != NULL && !node->is_paused) {
        node->byz->tick(node->byz_self, sim, number);
    }
    next_tick(sim, number);
}

void dsmr_sim_byz_set(struct dsmr_sim *sim, uint32_t number, const struct dsmr_sim_byz_ops *ops)
{
    struct dsmr_sim_node *node = &sim->nodes[number];
    DSMR_ASSERT(node->byz == NULL);
    node->byz = ops;
    node->byz_self = ops->make == NULL ? NULL : ops->make(sim, number);
    next_tick(sim, number);
}

bool dsmr_sim_byz_is(const struct dsmr_sim *sim, uint32_t node)
{
    return sim->nodes[node].byz != NULL;
}

void dsmr_sim_byz_send_bytes(struct dsmr_sim *sim, uint32_t from, uint32_t to, const void *bytes,
                             size_t len)
{
    if (sim->nodes[from].driver == NULL || sim->nodes[from].is_dying) {
        return;
    }
    struct dsmr_buf *copy = dsmr_buf_copy(bytes, len);
    DSMR_ASSERT(copy != NULL);
    dsmr_sim_net_send(sim, from, to, copy);
    dsmr_buf_unref(copy);
}

void dsmr_sim_byz_send(struct dsmr_sim *sim, uint32_t from, uint32_t to, const struct dsmr_msg *msg)
{
    struct dsmr_buf *bytes = dsmr_msg_encode(msg, true);
    DSMR_ASSERT(bytes != NULL);
    dsmr_sim_byz_send_bytes(sim, from, to, bytes->bytes, bytes->len);
    dsmr_buf_unref(bytes);
}

void dsmr_sim_byz_send_all(struct dsmr_sim *sim, uint32_t from, const struct dsmr_msg *msg)
{
    for (uint32_t to = 0; to < sim->config.nodes; to++) {
        if (to != from) {
            dsmr_sim_byz_send(sim, from, to, msg);
        }
    }
}

void dsmr_sim_byz_issue(struct dsmr_sim *sim, uint32_t node, struct dsmr_block *block,
                        uint64_t context)
{
    dsmr_sim_snow_issue(sim->snow, node, block, context);
}

void dsmr_sim_byz_deliver(struct dsmr_sim *sim, uint32_t number, uint32_t from,
                          const struct dsmr_msg *msg)
{
    struct dsmr_sim_node *node = &sim->nodes[number];
    struct dsmr_sim_item *item = calloc(1, sizeof(*item));
    DSMR_ASSERT(item != NULL && node->driver != NULL);
    item->from = from;
    item->bytes = dsmr_msg_encode(msg, true);
    DSMR_ASSERT(item->bytes != NULL);
    dsmr_sim_node_push(node, item);
}

struct dsmr_chunk *dsmr_sim_byz_chunk(struct dsmr_sim *sim, uint32_t node, uint64_t epoch,
                                      uint64_t slot, uint32_t count)
{
    struct dsmr_chunk_header header = {.domain = sim->params.domain,
                                       .epoch = epoch,
                                       .producer = dsmr_sim_bls_node_id(node),
                                       .slot = slot};
    uint64_t start_ms = 0;
    uint8_t bytes[16][DSMR_SIM_TX_BYTES_MAX];
    struct dsmr_chunk_tx txs[16];
    struct dsmr_chunk *chunk = NULL;
    DSMR_ASSERT(count >= 1 && count <= 16);
    if (!dsmr_chunk_header_times(&start_ms, &header.expiry_ms, slot, &sim->params)) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = dsmr_prng_next(&sim->byz_prng) | UINT64_C(1) << 63;
        uint64_t expiry_ms = start_ms + sim->params.validity_window_ms / 2;
        txs[i].len =
            sim->config.app == DSMR_SIM_TRANSFERS
                ? dsmr_sim_accounts_transfer(bytes[i], &sim->params.domain, number, 1, expiry_ms)
                : dsmr_sim_accounts_opaque(bytes[i], 100, number, expiry_ms);
        txs[i].bytes = bytes[i];
        dsmr_hash(&txs[i].id, bytes[i], txs[i].len);
    }
    enum dsmr_err err = dsmr_chunk_build(&chunk, &sim->params, &header, txs, count);
    return err == DSMR_OK ? chunk : NULL;
}

struct dsmr_bls_sig dsmr_sim_byz_share(struct dsmr_sim *sim, uint32_t node,
                                       const struct dsmr_reference *ref)
{
    uint8_t message[DSMR_SHARE_SIGNING_BYTES];
    struct dsmr_bls_sig sig;
    dsmr_share_signing_bytes(message, &sim->params.domain, ref);
    dsmr_sim_bls_sign(&sig, node, message, sizeof(message));
    return sig;
}

struct dsmr_bls_sig dsmr_sim_byz_vote(struct dsmr_sim *sim, uint32_t node,
                                      const struct dsmr_vote_subject *subject)
{
    uint8_t message[DSMR_VOTE_SIGNING_BYTES];
    struct dsmr_bls_sig sig;
    dsmr_vote_signing_bytes(message, &sim->params.domain, subject);
    dsmr_sim_bls_sign(&sig, node, message, sizeof(message));
    return sig;
}

uint64_t dsmr_sim_byz_epoch(struct dsmr_sim *sim, uint32_t node)
{
    struct dsmr_query_status status;
    if (sim->nodes[node].driver == NULL) {
        return DSMR_EPOCH_NONE;
    }
    dsmr_sim_status(sim, node, &status);
    return status.epoch;
}

const struct dsmr_params *dsmr_sim_byz_params(const struct dsmr_sim *sim)
{
    return &sim->params;
}

struct dsmr_validator_set *dsmr_sim_byz_set_of(const struct dsmr_sim *sim, uint64_t epoch)
{
    for (uint32_t i = 0; i < sim->schedule_count; i++) {
        if (sim->schedule[i].from_height == epoch) {
            return sim->schedule[i].set;
        }
    }
    return NULL;
}

uint32_t dsmr_sim_byz_nodes(const struct dsmr_sim *sim)
{
    return sim->config.nodes;
}

uint64_t dsmr_sim_byz_random(struct dsmr_sim *sim, uint64_t below)
{
    return dsmr_prng_below(&sim->byz_prng, below);
}

void dsmr_sim_byz_random_id(struct dsmr_sim *sim, struct dsmr_id *out)
{
    for (size_t i = 0; i < sizeof(out->bytes); i += 8) {
        dsmr_store_be64(out->bytes + i, dsmr_prng_next(&sim->byz_prng));
    }
}

uint64_t dsmr_sim_byz_slot(const struct dsmr_sim *sim)
{
    return dsmr_sim_wall_ms(sim) / sim->params.slot_ms;
}

uint32_t dsmr_sim_byz_epochs(const struct dsmr_sim *sim, uint64_t out[DSMR_SIM_SETS_MAX])
{
    for (uint32_t i = 0; i < sim->schedule_count; i++) {
        out[i] = sim->schedule[i].from_height;
    }
    return sim->schedule_count;
}

struct dsmr_block *dsmr_sim_byz_block(const struct dsmr_sim *sim, const struct dsmr_msg *msg,
                                      struct dsmr_buf *bytes)
{
    struct dsmr_block *block = NULL;
    if (msg->u.proposal.block_len == 0 ||
        dsmr_block_decode(&block, &sim->params, bytes, msg->u.proposal.block,
                          msg->u.proposal.block_len) != DSMR_OK) {
        return NULL;
    }
    return block;
}

uint32_t dsmr_sim_byz_number(const struct dsmr_node_id *id)
{
    return dsmr_sim_net_number(id);
}

/* ---- the common plan ---- */

uint32_t dsmr_sim_byz_side(const struct dsmr_sim *sim, uint32_t node)
{
    return (uint32_t)((node + sim->config.seed) % 2);
}

uint32_t dsmr_sim_byz_victim(const struct dsmr_sim *sim)
{
    uint32_t node = (uint32_t)(sim->config.seed / 2 % sim->config.nodes);
    while (dsmr_sim_byz_is(sim, node)) { /* less than a third lies */
        node = (node + 1) % sim->config.nodes;
    }
    return node;
}

/* ---- twins ---- */

void dsmr_sim_byz_twin(struct dsmr_sim *sim, uint32_t number)
{
    struct dsmr_sim_node *first = &sim->nodes[number];
    uint32_t twin = sim->bodies;
    DSMR_ASSERT(first->twin == 0 && twin < sim->config.nodes + DSMR_SIM_TWINS_MAX);
    sim->bodies++;
    dsmr_sim_node_init(sim, twin, number);
    sim->nodes[twin].byz = first->byz;
    first->twin = twin;
    dsmr_sim_restart(sim, twin);
}

void dsmr_sim_byz_twin_mask(struct dsmr_sim *sim, uint32_t number, uint64_t mask)
{
    DSMR_ASSERT(sim->nodes[number].twin != 0);
    sim->nodes[number].twin_mask = mask;
    dsmr_sim_net_regroup(sim, number);
}

void dsmr_sim_byz_twin_restart(struct dsmr_sim *sim, uint32_t number)
{
    uint32_t twin = sim->nodes[number].twin;
    if (twin != 0 && sim->nodes[twin].driver == NULL) {
        dsmr_sim_restart(sim, twin);
    }
}
