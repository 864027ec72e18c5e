/* check_builder.c - a builder leaves nothing out that fits: every certificate on its disk that the
 * block may have and the branch does not have yet (docs/protocol.md, 8.2). So a certificate that a
 * rejected block had is back in its place (8.5), whatever became of it meanwhile.
 *
 * Only an engine that shows the blocks which are built tells this checker of them. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/check_rules.h"
#include "sim/check_table.h"

#define SETTLED_US                                                                                 \
    DSMR_SIM_SECOND_US /* a certificate has been on the disk, a node up, this long                 \
                        */
#define CERT_BYTES_MAX 512u

struct cert {
    struct dsmr_reference ref;
    uint64_t durable_us;
};
struct slot_key {
    struct dsmr_node_id producer;
    uint8_t slot[8];
};
struct builder {
    struct dsmr_sim_table *certs[DSMR_SIM_NODES_MAX]; /* of each node: chunk id -> struct cert */
    struct dsmr_sim_table *blocks;                    /* id -> struct dsmr_block * */
};

static void *make(struct dsmr_sim *sim)
{
    struct builder *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    self->blocks = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(void *));
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim); i++) {
        self->certs[i] = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(struct cert));
    }
    return self;
}

static void free_self(void *ctx)
{
    struct builder *self = ctx;
    size_t position = 0;
    void *value;
    while (dsmr_sim_table_next(self->blocks, &position, NULL, &value)) {
        dsmr_block_unref(*(struct dsmr_block **)value);
    }
    dsmr_sim_table_free(self->blocks);
    for (uint32_t i = 0; i < DSMR_SIM_NODES_MAX && self->certs[i] != NULL; i++) {
        dsmr_sim_table_free(self->certs[i]);
    }
    free(self);
}

/* ---- what it holds ---- */

static void stored(void *ctx, struct dsmr_sim *sim, uint32_t node,
                   const struct dsmr_store_write *write)
{
    struct builder *self = ctx;
    bool is_new = false;
    if (!dsmr_sim_check_has_contexts(sim)) {
        return;
    }
    if (write->kind == DSMR_STORE_CERT) {
        struct cert *cert =
            dsmr_sim_table_add(self->certs[node], &write->u.cert->ref.chunk_id, &is_new);
        if (is_new) {
            *cert = (struct cert){.ref = write->u.cert->ref, .durable_us = dsmr_sim_now_us(sim)};
        }
    }
    for (uint32_t i = 0; write->kind == DSMR_STORE_GC && i < write->u.gc.chunks_count; i++) {
        if (dsmr_sim_table_find(self->certs[node], &write->u.gc.chunks[i]) != NULL) {
            dsmr_sim_table_remove(self->certs[node], &write->u.gc.chunks[i]);
        }
    }
}

static void wiped(void *ctx, struct dsmr_sim *sim, uint32_t node)
{
    struct builder *self = ctx;
    (void)sim;
    dsmr_sim_table_free(self->certs[node]);
    self->certs[node] = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(struct cert));
}

/* ---- what is left out ---- */

struct branch { /* of the block that is judged */
    const struct dsmr_block *block;
    struct dsmr_sim_table *ids, *slots; /* sets */
    dsmr_sim_u128 txs, bytes;
};

static void add_block(struct branch *branch, const struct dsmr_block *block)
{
    for (uint32_t i = 0; i < block->certs_count; i++) {
        struct slot_key key = {.producer = block->certs[i].ref.producer};
        dsmr_store_be64(key.slot, block->certs[i].ref.slot);
        (void)dsmr_sim_table_add(branch->ids, &block->certs[i].ref.chunk_id, NULL);
        (void)dsmr_sim_table_add(branch->slots, &key, NULL);
    }
}

/* lifetime_ms: what expires after block's time stands in no ancestor that is older by more. */
static void open_branch(struct branch *branch, const struct builder *self,
                        const struct dsmr_block *block, uint64_t lifetime_ms)
{
    *branch = (struct branch){.block = block,
                              .ids = dsmr_sim_table_new(sizeof(struct dsmr_id), 0),
                              .slots = dsmr_sim_table_new(sizeof(struct slot_key), 0)};
    for (uint32_t i = 0; i < block->certs_count; i++) {
        branch->txs += block->certs[i].ref.tx_count;
        branch->bytes += block->certs[i].ref.chunk_bytes;
    }
    add_block(branch, block);
    struct dsmr_block *const *up = dsmr_sim_table_find(self->blocks, &block->parent_id);
    while (up != NULL && (*up)->time_ms + (dsmr_sim_u128)lifetime_ms >= block->time_ms) {
        add_block(branch, *up);
        up = dsmr_sim_table_find(self->blocks, &(*up)->parent_id);
    }
}

static bool may_have(const struct dsmr_block *block, uint64_t epoch)
{
    for (uint32_t i = 0; i < block->past_epochs_count; i++) {
        if (block->past_epochs[i].epoch == epoch) {
            return true;
        }
    }
    return block->epoch == epoch;
}

static bool is_left_out(const struct branch *branch, const struct dsmr_sim *sim,
                        const struct cert *cert)
{
    const struct dsmr_params *params = dsmr_sim_check_params(sim);
    const struct dsmr_reference *ref = &cert->ref;
    struct slot_key key = {.producer = ref->producer};
    dsmr_store_be64(key.slot, ref->slot);
    bool is_usable = ref->expiry_ms >= branch->block->time_ms &&
                     dsmr_sim_rules_slot_start(params, ref->slot) <= branch->block->time_ms &&
                     may_have(branch->block, ref->epoch) &&
                     dsmr_sim_now_us(sim) - cert->durable_us >= SETTLED_US;
    bool fits = branch->txs + ref->tx_count <= params->block_txs_max &&
                branch->bytes + ref->chunk_bytes <= params->block_payload_bytes_max;
    /* A liar may have filled its own part of the pool. */
    return is_usable && fits &&
           dsmr_sim_check_is_honest(sim, dsmr_sim_check_number(&ref->producer)) &&
           dsmr_sim_table_find(branch->ids, &ref->chunk_id) == NULL &&
           dsmr_sim_table_find(branch->slots, &key) == NULL;
}

static void judge(const struct builder *self, struct dsmr_sim *sim, uint32_t node,
                  const struct dsmr_block *block)
{
    struct branch branch;
    size_t position = 0;
    const void *id;
    void *value;
    open_branch(&branch, self, block, dsmr_sim_check_params(sim)->chunk_lifetime_ms);
    while (dsmr_sim_table_next(self->certs[node], &position, &id, &value)) {
        const struct cert *cert = value;
        if (is_left_out(&branch, sim, cert)) {
            dsmr_sim_fail(sim, "8.2",
                          "node %u leaves chunk %s of n%u, which it has a certificate of since "
                          "%.3f s, out of a block of height %llu",
                          node, dsmr_sim_rules_name(id), dsmr_sim_check_number(&cert->ref.producer),
                          (double)cert->durable_us / 1e6, (unsigned long long)block->height);
            break;
        }
    }
    dsmr_sim_table_free(branch.ids);
    dsmr_sim_table_free(branch.slots);
}

/* What has expired by the block's time is of no more use to it or later ones. */
static void forget_expired(struct builder *self, uint32_t node, uint64_t time_ms)
{
    struct dsmr_id gone[64];
    uint32_t count = 0;
    size_t position = 0;
    const void *id;
    void *value;
    while (count < 64 && dsmr_sim_table_next(self->certs[node], &position, &id, &value)) {
        if (((const struct cert *)value)->ref.expiry_ms < time_ms) {
            memcpy(&gone[count++], id, sizeof(gone[0]));
        }
    }
    while (count > 0) {
        dsmr_sim_table_remove(self->certs[node], &gone[--count]);
    }
}

static void issued(void *ctx, struct dsmr_sim *sim, uint32_t node, const struct dsmr_block *block,
                   bool is_built)
{
    struct builder *self = ctx;
    const struct dsmr_params *params = dsmr_sim_check_params(sim);
    bool is_full = block->certs_count == params->block_certs_max ||
                   block->bytes->len + CERT_BYTES_MAX > params->block_bytes_max;
    bool is_new = false;
    if (is_built && !is_full && !dsmr_sim_check_has_bad_disk(sim, node) &&
        dsmr_sim_check_steady_us(sim, node) >= SETTLED_US) {
        judge(self, sim, node, block);
    }
    if (is_built && block->time_ms <= dsmr_sim_wall_ms(sim)) {
        forget_expired(self, node, block->time_ms);
    }
    struct dsmr_block **place = dsmr_sim_table_add(self->blocks, &block->id, &is_new);
    if (is_new) { /* only the count of references is written */
        *place = dsmr_block_ref((struct dsmr_block *)(uintptr_t)block);
    }
}

const struct dsmr_sim_checker_ops dsmr_sim_check_builder = {.name = "builder",
                                                            .make = make,
                                                            .free = free_self,
                                                            .stored = stored,
                                                            .wiped = wiped,
                                                            .issued = issued};
