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
struct node {
    struct dsmr_sim_table *certs; /* chunk id -> struct cert: on its disk, in no accepted block */
    uint64_t height;              /* accepted durably */
};
struct builder {
    struct node nodes[DSMR_SIM_NODES_MAX];
    struct dsmr_sim_table *blocks; /* id -> struct dsmr_block * */
};

static void *make(struct dsmr_sim *sim)
{
    struct builder *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    self->blocks = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(void *));
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim); i++) {
        self->nodes[i].certs = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(struct cert));
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
    for (uint32_t i = 0; i < DSMR_SIM_NODES_MAX && self->nodes[i].certs != NULL; i++) {
        dsmr_sim_table_free(self->nodes[i].certs);
    }
    free(self);
}

/* ---- what it holds ---- */

/* Both stand for one slot of one producer: a chain has one of them. */
static bool is_same_slot(const struct dsmr_reference *a, const struct dsmr_reference *b)
{
    return a->slot == b->slot && dsmr_node_id_equal(&a->producer, &b->producer);
}

static bool has_slot(const struct dsmr_block *block, const struct dsmr_reference *ref)
{
    for (uint32_t i = 0; i < block->certs_count; i++) {
        if (is_same_slot(&block->certs[i].ref, ref)) {
            return true;
        }
    }
    return false;
}

/* Takes out what has expired, and what the block (NULL: none) has. */
static void forget(struct node *node, const struct dsmr_block *block, uint64_t time_ms)
{
    struct dsmr_id gone[64];
    uint32_t count = 0;
    size_t position = 0;
    const void *id;
    void *value;
    while (count < 64 && dsmr_sim_table_next(node->certs, &position, &id, &value)) {
        const struct dsmr_reference *ref = &((const struct cert *)value)->ref;
        if (ref->expiry_ms < time_ms || (block != NULL && has_slot(block, ref))) {
            memcpy(&gone[count++], id, sizeof(gone[0]));
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        dsmr_sim_table_remove(node->certs, &gone[i]);
    }
    if (count == 64) {
        forget(node, block, time_ms);
    }
}

static void add_cert(struct node *node, const struct dsmr_sim *sim,
                     const struct dsmr_reference *ref)
{
    bool is_new = false;
    struct cert *cert = dsmr_sim_table_add(node->certs, &ref->chunk_id, &is_new);
    if (is_new) {
        *cert = (struct cert){.ref = *ref, .durable_us = dsmr_sim_now_us(sim)};
    }
}

static void stored(void *ctx, struct dsmr_sim *sim, uint32_t number,
                   const struct dsmr_store_write *write)
{
    struct node *node = &((struct builder *)ctx)->nodes[number];
    if (!dsmr_sim_check_has_contexts(sim)) {
        return;
    }
    if (write->kind == DSMR_STORE_CERT) {
        add_cert(node, sim, &write->u.cert->ref);
    } else if (write->kind == DSMR_STORE_ACCEPT) {
        const struct dsmr_block *block = write->u.accept.block;
        forget(node, block, 0);
        node->height = block->height > node->height ? block->height : node->height;
    }
    for (uint32_t i = 0; write->kind == DSMR_STORE_GC && i < write->u.gc.chunks_count; i++) {
        if (dsmr_sim_table_find(node->certs, &write->u.gc.chunks[i]) != NULL) {
            dsmr_sim_table_remove(node->certs, &write->u.gc.chunks[i]);
        }
    }
}

static void wiped(void *ctx, struct dsmr_sim *sim, uint32_t number)
{
    struct node *node = &((struct builder *)ctx)->nodes[number];
    (void)sim;
    dsmr_sim_table_free(node->certs);
    *node = (struct node){.certs = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(struct cert))};
}

/* ---- what is left out ---- */

/* Whether the block or an ancestor that node has not accepted yet has the chunk or its slot. */
static bool is_in_branch(const struct builder *self, const struct node *node,
                         const struct dsmr_block *block, const struct dsmr_reference *ref)
{
    while (block != NULL && block->height > node->height) {
        if (has_slot(block, ref)) {
            return true;
        }
        struct dsmr_block *const *up = dsmr_sim_table_find(self->blocks, &block->parent_id);
        block = up == NULL ? NULL : *up;
    }
    return false;
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

/* Whether the block has room for it, and may have it. */
static bool is_usable(const struct dsmr_sim *sim, const struct dsmr_block *block,
                      const struct cert *cert)
{
    const struct dsmr_params *params = dsmr_sim_check_params(sim);
    const struct dsmr_reference *ref = &cert->ref;
    dsmr_sim_u128 txs = ref->tx_count, bytes = ref->chunk_bytes;
    for (uint32_t i = 0; i < block->certs_count; i++) {
        txs += block->certs[i].ref.tx_count;
        bytes += block->certs[i].ref.chunk_bytes;
    }
    return ref->expiry_ms >= block->time_ms &&
           dsmr_sim_rules_slot_start(params, ref->slot) <= block->time_ms &&
           may_have(block, ref->epoch) && txs <= params->block_txs_max &&
           bytes <= params->block_payload_bytes_max &&
           /* A liar may have filled its own part of the pool. */
           dsmr_sim_check_is_honest(sim, dsmr_sim_check_number(&ref->producer)) &&
           dsmr_sim_now_us(sim) - cert->durable_us >= SETTLED_US;
}

static void judge(const struct builder *self, struct dsmr_sim *sim, uint32_t number,
                  const struct dsmr_block *block)
{
    const struct node *node = &self->nodes[number];
    size_t position = 0;
    const void *id;
    void *value;
    while (dsmr_sim_table_next(node->certs, &position, &id, &value)) {
        const struct cert *cert = value;
        if (is_usable(sim, block, cert) && !is_in_branch(self, node, block, &cert->ref)) {
            dsmr_sim_fail(sim, "8.2",
                          "node %u leaves chunk %s of n%u, which it has a certificate of since "
                          "%.3f s, out of a block of height %llu",
                          number, dsmr_sim_rules_name(id),
                          dsmr_sim_check_number(&cert->ref.producer),
                          (double)cert->durable_us / 1e6, (unsigned long long)block->height);
            return;
        }
    }
}

static void issued(void *ctx, struct dsmr_sim *sim, uint32_t number, const struct dsmr_block *block,
                   bool is_built)
{
    struct builder *self = ctx;
    const struct dsmr_params *params = dsmr_sim_check_params(sim);
    bool is_full = block->certs_count == params->block_certs_max ||
                   block->bytes->len + CERT_BYTES_MAX > params->block_bytes_max;
    bool is_new = false;
    if (is_built && !is_full && !dsmr_sim_check_has_bad_disk(sim, number) &&
        dsmr_sim_check_steady_us(sim, number) >= SETTLED_US) {
        judge(self, sim, number, block);
    }
    if (is_built && block->time_ms <= dsmr_sim_wall_ms(sim)) {
        forget(&self->nodes[number], NULL, block->time_ms);
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
