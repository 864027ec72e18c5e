/* check_blocks.c - every accepted block is valid by docs/protocol.md, 3.5 to 3.7 and 9, but for its
 * signatures (check_certs.c); each node accepts height after height (docs/bft.md, S4). */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "sim/check_rules.h"
#include "sim/check_table.h"

struct link { /* one accepted block of the chain */
    struct dsmr_id id;
    uint64_t time_ms, epoch;
    uint64_t scheduled; /* the epoch that its height falls into */
    struct dsmr_past_epoch past[DSMR_PAST_EPOCHS_MAX];
    uint32_t past_count;
};
struct slot_key {
    struct dsmr_node_id producer;
    uint8_t slot[8];
};
struct blocks {
    struct link *chain; /* by height */
    uint64_t count, capacity;
    uint64_t durable[DSMR_SIM_NODES_MAX]; /* height that the node has accepted durably */
    uint64_t told[DSMR_SIM_NODES_MAX];    /* and that it has said so of, if it lived to do so */
    struct dsmr_sim_table *ids;           /* chunk id -> height */
    struct dsmr_sim_table *slots;         /* struct slot_key -> height */
};

static struct link *push(struct blocks *self)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity == 0 ? 256 : self->capacity * 2;
        self->chain = realloc(self->chain, self->capacity * sizeof(*self->chain));
        DSMR_ASSERT(self->chain != NULL);
    }
    memset(&self->chain[self->count], 0, sizeof(self->chain[0]));
    return &self->chain[self->count++];
}

static void *make(struct dsmr_sim *sim)
{
    struct blocks *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    self->ids = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(uint64_t));
    self->slots = dsmr_sim_table_new(sizeof(struct slot_key), sizeof(uint64_t));
    const struct dsmr_block *genesis = dsmr_sim_check_genesis(sim);
    *push(self) = (struct link){
        .id = genesis->id, .time_ms = genesis->time_ms, .epoch = DSMR_EPOCH_NONE, .scheduled = 0};
    return self;
}

static void free_self(void *ctx)
{
    struct blocks *self = ctx;
    dsmr_sim_table_free(self->ids);
    dsmr_sim_table_free(self->slots);
    free(self->chain);
    free(self);
}

static void fail(struct dsmr_sim *sim, const char *rule, const struct dsmr_block *block,
                 const char *what)
{
    dsmr_sim_fail(sim, rule, "block %llu (%s), accepted: %s", (unsigned long long)block->height,
                  dsmr_sim_rules_name(&block->id), what);
}

/* 3.6 */
static void make_list(struct link *next, const struct link *parent,
                      const struct dsmr_params *params)
{
    struct dsmr_past_epoch all[DSMR_PAST_EPOCHS_MAX + 1];
    uint32_t count = 0;
    for (uint32_t i = 0; i < parent->past_count; i++) {
        all[count++] = parent->past[i];
    }
    if (next->epoch != parent->epoch && parent->epoch != DSMR_EPOCH_NONE) {
        all[count++] =
            (struct dsmr_past_epoch){.epoch = parent->epoch, .ended_at_ms = next->time_ms};
    }
    for (uint32_t i = 0; i < count; i++) {
        bool is_over =
            (dsmr_sim_u128)all[i].ended_at_ms + params->chunk_lifetime_ms < next->time_ms;
        if (!is_over && next->past_count == DSMR_PAST_EPOCHS_MAX) { /* the newest are kept */
            memmove(&next->past[0], &next->past[1],
                    (DSMR_PAST_EPOCHS_MAX - 1) * sizeof(next->past[0]));
            next->past_count--;
        }
        if (!is_over) {
            next->past[next->past_count++] = all[i];
        }
    }
}

/* The epoch that it has to have: the context that the engine gave, or by the schedule. */
static uint64_t epoch_of(const struct dsmr_sim *sim, const struct link *parent,
                         const struct dsmr_block *block)
{
    if (dsmr_sim_check_has_contexts(sim)) {
        return dsmr_sim_check_context(sim, block);
    }
    return dsmr_sim_check_set(sim, block->height) != NULL ? block->height : parent->scheduled;
}

static void check_epoch(struct dsmr_sim *sim, struct link *next, const struct link *parent,
                        const struct dsmr_block *block)
{
    next->scheduled = epoch_of(sim, parent, block);
    if (block->epoch != next->scheduled) {
        fail(sim, "3.5", block, "it has another epoch than its context or the schedule");
    }
    if (block->epoch == DSMR_EPOCH_NONE && block->height > 1) {
        fail(sim, "9.7", block, "no context above block 1");
    }
    make_list(next, parent, dsmr_sim_check_params(sim));
    bool is_same = block->past_epochs_count == next->past_count;
    for (uint32_t i = 0; is_same && i < next->past_count; i++) {
        is_same = block->past_epochs[i].epoch == next->past[i].epoch &&
                  block->past_epochs[i].ended_at_ms == next->past[i].ended_at_ms;
    }
    if (!is_same) {
        fail(sim, "3.6", block, "another list of past epochs");
    }
}

/* A quorum has voted for it: each honest one of it once saw a clock that allowed its time. */
static void check_time(struct dsmr_sim *sim, const struct link *parent,
                       const struct dsmr_block *block)
{
    const struct dsmr_params *params = dsmr_sim_check_params(sim);
    const struct dsmr_validator_set *set = dsmr_sim_check_set(sim, block->epoch);
    uint64_t gap_ms = params->min_block_gap_ms > 0 ? params->min_block_gap_ms : 1;
    dsmr_sim_u128 weight = 0, total = 0;
    if (block->time_ms < (dsmr_sim_u128)parent->time_ms + gap_ms) {
        fail(sim, "9.2", block, "too soon after its parent");
    }
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        uint32_t node = dsmr_sim_check_number(&set->validators[i].node_ids[0]);
        bool may_vote = !dsmr_sim_check_is_honest(sim, node) ||
                        block->time_ms <= (dsmr_sim_u128)dsmr_sim_check_latest_ms(sim, node) +
                                              params->clock_skew_ms;
        weight += may_vote ? set->validators[i].weight : 0;
        total += set->validators[i].weight;
    }
    if (set != NULL && !dsmr_sim_rules_is_quorum(weight, total)) {
        fail(sim, "9.2", block, "its time lies too far ahead of a quorum's clocks");
    }
}

static void check_limits(struct dsmr_sim *sim, const struct link *parent,
                         const struct dsmr_block *block)
{
    const struct dsmr_params *params = dsmr_sim_check_params(sim);
    dsmr_sim_u128 txs = 0, bytes = 0;
    for (uint32_t i = 0; i < block->certs_count; i++) {
        txs += block->certs[i].ref.tx_count;
        bytes += block->certs[i].ref.chunk_bytes;
    }
    if (block->bytes->len > params->block_bytes_max ||
        block->certs_count > params->block_certs_max || txs > params->block_txs_max ||
        bytes > params->block_payload_bytes_max) {
        fail(sim, "9.4", block, "over a limit");
    }
    bool may_be_empty =
        parent->epoch == DSMR_EPOCH_NONE || block->epoch != parent->epoch ||
        block->time_ms >= (dsmr_sim_u128)parent->time_ms + params->chunk_lifetime_ms;
    if (block->certs_count == 0 && !may_be_empty) {
        fail(sim, "8.3", block, "empty without a reason");
    }
}

static bool is_listed(const struct link *next, uint64_t epoch)
{
    for (uint32_t i = 0; i < next->past_count; i++) {
        if (next->past[i].epoch == epoch) {
            return true;
        }
    }
    return next->epoch == epoch && epoch != DSMR_EPOCH_NONE;
}

static void check_ref(struct blocks *self, struct dsmr_sim *sim, const struct link *next,
                      const struct dsmr_block *block, const struct dsmr_reference *ref)
{
    const struct dsmr_params *params = dsmr_sim_check_params(sim);
    const struct dsmr_validator_set *set = dsmr_sim_check_set(sim, ref->epoch);
    struct slot_key key = {.producer = ref->producer};
    bool is_new = false;
    dsmr_store_be64(key.slot, ref->slot);
    if (!is_listed(next, ref->epoch) || set == NULL) {
        fail(sim, "3.7", block, "a certificate of an epoch that is neither its own nor listed");
    } else if (dsmr_sim_rules_entry(set, &ref->producer) < 0) {
        fail(sim, "3.2", block, "a chunk of somebody who may not produce in its epoch");
    }
    if (dsmr_sim_rules_slot_start(params, ref->slot) > block->time_ms ||
        block->time_ms > ref->expiry_ms ||
        ref->expiry_ms != dsmr_sim_rules_expiry(params, ref->slot)) {
        fail(sim, "9.5", block, "a chunk outside its time");
    }
    if (ref->chunk_bytes > params->chunk_bytes_max || ref->tx_count > params->chunk_txs_max) {
        fail(sim, "4.2", block, "a chunk over its limits");
    }
    *(uint64_t *)dsmr_sim_table_add(self->ids, &ref->chunk_id, &is_new) = block->height;
    if (!is_new) {
        fail(sim, "9.5", block, "a chunk that is in the chain already");
    }
    *(uint64_t *)dsmr_sim_table_add(self->slots, &key, &is_new) = block->height;
    if (!is_new) {
        fail(sim, "9.5", block, "a producer's slot that is in the chain already");
    }
}

static void check_block(struct blocks *self, struct dsmr_sim *sim, const struct dsmr_block *block)
{
    struct dsmr_id id;
    if (block->height < self->count) {
        return; /* it was looked at; whether this is the same one is check_agreement.c's matter */
    }
    if (block->height != self->count) {
        fail(sim, "9.1", block, "nobody accepted its parent");
        return;
    }
    struct link *next = push(self);
    const struct link *parent = next - 1;
    *next = (struct link){.id = block->id, .time_ms = block->time_ms, .epoch = block->epoch};
    dsmr_hash(&id, block->bytes->bytes, block->bytes->len);
    if (!dsmr_id_equal(&id, &block->id)) {
        fail(sim, "9.1", block, "its id is not its hash");
    }
    if (!dsmr_id_equal(&block->parent_id, &parent->id)) {
        fail(sim, "9.1", block, "its parent is not the block before it");
    }
    check_epoch(sim, next, parent, block);
    check_time(sim, parent, block);
    check_limits(sim, parent, block);
    for (uint32_t i = 0; i < block->certs_count; i++) {
        check_ref(self, sim, next, block, &block->certs[i].ref);
    }
}

static void accepted(void *ctx, struct dsmr_sim *sim, uint32_t node, const struct dsmr_block *block)
{
    struct blocks *self = ctx;
    check_block(self, sim, block);
    if (self->durable[node] < block->height) {
        dsmr_sim_fail(sim, "10.1",
                      "node %u says that it accepted block %llu, and has not stored it", node,
                      (unsigned long long)block->height);
    }
    self->told[node] = block->height > self->told[node] ? block->height : self->told[node];
}

static void executed(void *ctx, struct dsmr_sim *sim, uint32_t node,
                     const struct dsmr_executed *executed)
{
    const struct blocks *self = ctx;
    if (executed->height > self->told[node]) {
        dsmr_sim_fail(sim, "10.1", "node %u runs block %llu and has not said that it accepted it",
                      node, (unsigned long long)executed->height);
    }
}

static void started(void *ctx, struct dsmr_sim *sim, uint32_t node, uint64_t executed_height)
{
    struct blocks *self = ctx;
    (void)sim, (void)executed_height;
    self->told[node] = self->durable[node];
}

static void stored(void *ctx, struct dsmr_sim *sim, uint32_t node,
                   const struct dsmr_store_write *write)
{
    struct blocks *self = ctx;
    if (write->kind != DSMR_STORE_ACCEPT) {
        return;
    }
    const struct dsmr_block *block = write->u.accept.block;
    if (block->height == 0 || block->height > self->durable[node] + 1) {
        dsmr_sim_fail(sim, "S4", "node %u stores block %llu after block %llu", node,
                      (unsigned long long)block->height, (unsigned long long)self->durable[node]);
    }
    if (block->height > self->durable[node]) {
        self->durable[node] = block->height;
    }
    check_block(self, sim, block);
}

static void wiped(void *ctx, struct dsmr_sim *sim, uint32_t node)
{
    (void)sim;
    struct blocks *self = ctx;
    self->durable[node] = 0;
    self->told[node] = 0;
}

const struct dsmr_sim_checker_ops dsmr_sim_check_blocks = {.name = "blocks",
                                                           .make = make,
                                                           .free = free_self,
                                                           .accepted = accepted,
                                                           .executed = executed,
                                                           .started = started,
                                                           .stored = stored,
                                                           .wiped = wiped};
