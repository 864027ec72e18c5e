/* check_transactions.c - which transactions run, in which order: those of the accepted chunks, each
 * once and within its window (docs/protocol.md, 4.3, 6.6, 10.2 to 10.6). */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "sim/check_model.h"
#include "sim/check_rules.h"
#include "sim/check_table.h"

#define OPAQUE_TAG "DSMR/opaque/1"
#define OPAQUE_TAG_BYTES (sizeof(OPAQUE_TAG) - 1)

struct transactions {
    struct dsmr_sim_model *model;
    struct dsmr_sim_table *judged; /* ids of chunks that somebody signed */
    struct dsmr_id *roots;         /* of the opaque application, by height */
    uint64_t roots_count, roots_capacity;
};

static void *make(struct dsmr_sim *sim)
{
    struct transactions *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    self->model = dsmr_sim_model_new(sim);
    self->judged = dsmr_sim_table_new(sizeof(struct dsmr_id), 0);
    return self;
}

static void free_self(void *ctx)
{
    struct transactions *self = ctx;
    dsmr_sim_model_free(self->model);
    dsmr_sim_table_free(self->judged);
    free(self->roots);
    free(self);
}

/* ---- chunks ---- */

/* 6.6, without what only the application knows. */
static const char *judge_txs(const struct dsmr_sim_model_chunk *chunk,
                             const struct dsmr_params *params)
{
    dsmr_sim_u128 start_ms = dsmr_sim_rules_slot_start(params, chunk->ref.slot);
    const char *wrong = NULL;
    struct dsmr_sim_table *seen = dsmr_sim_table_new(sizeof(struct dsmr_id), 0);
    for (uint32_t i = 0; i < chunk->ref.tx_count; i++) {
        bool is_new = false;
        (void)dsmr_sim_table_add(seen, &chunk->txs[i].id, &is_new);
        if (!is_new) {
            wrong = "a transaction that stands in it twice";
        }
        if (chunk->txs[i].expiry_ms < start_ms ||
            chunk->txs[i].expiry_ms > start_ms + params->validity_window_ms) {
            wrong = "a transaction that expires outside its window";
        }
    }
    dsmr_sim_table_free(seen);
    return wrong;
}

static void on_chunk(struct transactions *self, struct dsmr_sim *sim, uint32_t node,
                     const struct dsmr_store_write *write)
{
    const struct dsmr_store_chunk_meta *meta = write->u.chunk.meta;
    const char *wrong = dsmr_sim_model_add_chunk(self->model, &meta->ref.chunk_id,
                                                 write->u.chunk.bytes, write->u.chunk.len);
    const char *rule = "4.3";
    const struct dsmr_sim_model_chunk *chunk =
        dsmr_sim_model_chunk(self->model, &meta->ref.chunk_id);
    if (wrong == NULL && !dsmr_reference_equal(&chunk->ref, &meta->ref)) {
        wrong = "another reference than its own";
    }
    bool is_new = false;
    if (wrong == NULL && meta->is_signed) {
        (void)dsmr_sim_table_add(self->judged, &meta->ref.chunk_id, &is_new);
    }
    if (is_new) {
        wrong = judge_txs(chunk, dsmr_sim_check_params(sim));
        rule = "6.6";
    }
    if (wrong != NULL) {
        dsmr_sim_fail(sim, rule, "node %u stores chunk %s with %s", node,
                      dsmr_sim_rules_name(&meta->ref.chunk_id), wrong);
    }
}

static void stored(void *ctx, struct dsmr_sim *sim, uint32_t node,
                   const struct dsmr_store_write *write)
{
    struct transactions *self = ctx;
    if (write->kind == DSMR_STORE_CHUNK) {
        on_chunk(self, sim, node, write);
    } else if (write->kind == DSMR_STORE_ACCEPT) {
        dsmr_sim_model_add_block(self->model, write->u.accept.block);
    }
}

/* ---- what ran ---- */

static void check_refs(struct transactions *self, struct dsmr_sim *sim, uint32_t node,
                       const struct dsmr_block *block)
{
    for (uint32_t i = 0; i < block->certs_count; i++) {
        const struct dsmr_reference *ref = &block->certs[i].ref;
        if (!dsmr_reference_equal(ref, &dsmr_sim_model_chunk(self->model, &ref->chunk_id)->ref)) {
            dsmr_sim_fail(sim, "10.2", "node %u runs chunk %s by a reference of other fields", node,
                          dsmr_sim_rules_name(&ref->chunk_id));
        }
    }
}

static void check_ids(struct dsmr_sim *sim, uint32_t node, const struct dsmr_sim_model_plan *plan,
                      const struct dsmr_executed *executed)
{
    for (uint32_t i = 0; i < plan->count && i < executed->count; i++) {
        if (!dsmr_id_equal(&plan->runs[i].tx->id, &executed->ids[i])) {
            dsmr_sim_fail(
                sim, "10.3", "node %u runs %s in block %llu where %s has to run, place %u", node,
                dsmr_sim_rules_name(&executed->ids[i]), (unsigned long long)executed->height,
                dsmr_sim_rules_name(&plan->runs[i].tx->id), i);
            return;
        }
    }
    if (plan->count != executed->count) {
        dsmr_sim_fail(sim, "10.4", "node %u runs %u transactions in block %llu instead of %u", node,
                      executed->count, (unsigned long long)executed->height, plan->count);
    }
    if (executed->time_ms != plan->block->time_ms) {
        dsmr_sim_fail(sim, "10.4", "node %u runs block %llu at another time than its own", node,
                      (unsigned long long)executed->height);
    }
}

/* docs/transfers.md, The opaque application. */
static const struct dsmr_id *opaque_root(struct transactions *self, uint64_t height)
{
    for (; self->roots_count <= height; self->roots_count++) {
        uint64_t at = self->roots_count;
        const struct dsmr_sim_model_plan *plan =
            at == 0 ? NULL : dsmr_sim_model_plan(self->model, at);
        uint32_t count = plan == NULL ? 0 : plan->count;
        uint8_t *bytes = malloc(OPAQUE_TAG_BYTES + 44u + (size_t)count * 32u);
        if (at == self->roots_capacity) {
            self->roots_capacity = at == 0 ? 64 : at * 2;
            self->roots = realloc(self->roots, self->roots_capacity * sizeof(*self->roots));
        }
        DSMR_ASSERT(bytes != NULL && self->roots != NULL);
        memcpy(bytes, OPAQUE_TAG, OPAQUE_TAG_BYTES);
        size_t len = OPAQUE_TAG_BYTES;
        if (at > 0) {
            memcpy(bytes + len, self->roots[at - 1].bytes, 32);
            dsmr_store_be64(bytes + len + 32, at);
            dsmr_store_be32(bytes + len + 40, count);
            len += 44;
        }
        for (uint32_t i = 0; i < count; i++, len += 32) {
            memcpy(bytes + len, plan->runs[i].tx->id.bytes, 32);
        }
        dsmr_hash(&self->roots[at], bytes, len);
        free(bytes);
    }
    return &self->roots[height];
}

static void executed(void *ctx, struct dsmr_sim *sim, uint32_t node,
                     const struct dsmr_executed *executed)
{
    struct transactions *self = ctx;
    const struct dsmr_sim_model_plan *plan = dsmr_sim_model_plan(self->model, executed->height);
    if (plan == NULL) {
        dsmr_sim_fail(sim, "10.6",
                      "node %u runs block %llu, of which no honest node has stored all", node,
                      (unsigned long long)executed->height);
        return;
    }
    check_refs(self, sim, node, plan->block);
    check_ids(sim, node, plan, executed);
    if (!dsmr_sim_check_is_transfers(sim) && !dsmr_sim_has_failed(sim) &&
        !dsmr_id_equal(opaque_root(self, executed->height), &executed->state_root)) {
        dsmr_sim_fail(sim, "10.6", "node %u has a wrong root after block %llu", node,
                      (unsigned long long)executed->height);
    }
}

const struct dsmr_sim_checker_ops dsmr_sim_check_transactions = {.name = "transactions",
                                                                 .make = make,
                                                                 .free = free_self,
                                                                 .stored = stored,
                                                                 .executed = executed};
