/* check_shares.c - what an honest node signs for chunks: nothing before chunk and journal are
 * durable, one chunk of a (producer, slot) in all its lives, nothing outside 6.2 and 6.3, nothing
 * up to the floor (docs/protocol.md, 3.8, 5.2, 6, 12.1, 12.4).
 *
 * Writes become durable in the order in which they were given; so what is durable when a chunk with
 * a journal entry becomes it, is what the node went by when it claimed the slot. A full disk breaks
 * that: a block may be refused and a later chunk taken. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "sim/check_rules.h"
#include "sim/check_table.h"

#define HEADER_BYTES 153u

struct claim_key {
    uint8_t node[4];
    struct dsmr_node_id producer;
    uint8_t slot[8];
};
struct claim {
    struct dsmr_id chunk_id;
    uint32_t life; /* of the node: how often its disk had been lost */
};
struct node {
    uint64_t start_ms; /* what its clock said at the latest start without a floor */
    uint64_t floor_ms; /* durable */
    bool has_accepted; /* since its journal was made */
    uint64_t time_ms, epoch;
    struct dsmr_past_epoch past[DSMR_PAST_EPOCHS_MAX]; /* of the last block that it stored */
    uint32_t past_count;
    uint32_t life;
    bool went_back;           /* its clock, over the latest loss */
    uint64_t wiped_latest_ms; /* the latest time that its clock had told when it was wiped */
};
struct shares {
    struct dsmr_sim_table *sent;    /* struct claim_key -> struct claim; also of earlier lives */
    struct dsmr_sim_table *journal; /* the same, durable */
    struct node nodes[DSMR_SIM_NODES_MAX];
};

static void *make(struct dsmr_sim *sim)
{
    struct shares *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    self->sent = dsmr_sim_table_new(sizeof(struct claim_key), sizeof(struct claim));
    self->journal = dsmr_sim_table_new(sizeof(struct claim_key), sizeof(struct claim));
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim); i++) {
        self->nodes[i].start_ms = dsmr_sim_check_wall_ms(sim, i);
        self->nodes[i].epoch = DSMR_EPOCH_NONE;
    }
    return self;
}

static void free_self(void *ctx)
{
    struct shares *self = ctx;
    dsmr_sim_table_free(self->sent);
    dsmr_sim_table_free(self->journal);
    free(self);
}

static struct claim_key key_of(uint32_t node, const struct dsmr_node_id *producer, uint64_t slot)
{
    struct claim_key key;
    dsmr_store_be32(key.node, node);
    key.producer = *producer;
    dsmr_store_be64(key.slot, slot);
    return key;
}

/* 12.4 looks at the clock: one that was further ahead before the disk was lost may have signed for
 * later slots than the floor covers. */
static bool is_forgiven(const struct node *node, const struct claim *claim)
{
    return claim->life < node->life && node->went_back;
}

/* One chunk for each key, for ever. */
static void add_claim(struct shares *self, struct dsmr_sim *sim, struct dsmr_sim_table *table,
                      uint32_t node, const struct dsmr_reference *ref, const char *what)
{
    struct claim_key key = key_of(node, &ref->producer, ref->slot);
    bool is_new = false;
    struct claim *claim = dsmr_sim_table_add(table, &key, &is_new);
    if (!is_new && !dsmr_id_equal(&claim->chunk_id, &ref->chunk_id) &&
        !is_forgiven(&self->nodes[node], claim)) {
        dsmr_sim_fail(sim, "6.4", "node %u %s chunk %s of n%u's slot %llu after chunk %s", node,
                      what, dsmr_sim_rules_name(&ref->chunk_id),
                      dsmr_sim_check_number(&ref->producer), (unsigned long long)ref->slot,
                      dsmr_sim_rules_name(&claim->chunk_id));
    }
    *claim = (struct claim){.chunk_id = ref->chunk_id, .life = self->nodes[node].life};
}

/* ---- what becomes durable ---- */

static bool is_current(const struct node *node, uint64_t epoch)
{
    for (uint32_t i = 0; i < node->past_count; i++) {
        if (node->past[i].epoch == epoch) {
            return true;
        }
    }
    return node->epoch == epoch && epoch != DSMR_EPOCH_NONE;
}

static void on_claim(struct shares *self, struct dsmr_sim *sim, uint32_t number,
                     const struct dsmr_reference *ref)
{
    const struct node *node = &self->nodes[number];
    const struct dsmr_params *params = dsmr_sim_check_params(sim);
    const struct dsmr_validator_set *set = dsmr_sim_check_set(sim, ref->epoch);
    const char *rule = NULL;
    struct claim_key key = key_of(number, &ref->producer, ref->slot);
    const struct claim *old = dsmr_sim_table_find(self->journal, &key);
    bool is_again =
        old != NULL && old->life == node->life && dsmr_id_equal(&old->chunk_id, &ref->chunk_id);
    add_claim(self, sim, self->journal, number, ref, "journals");
    if (is_again || dsmr_sim_check_has_bad_disk(sim, number)) {
        return; /* the chunk again: it was judged when it came; or what it went by was not stored */
    }
    dsmr_sim_u128 latest_ms =
        (dsmr_sim_u128)dsmr_sim_check_latest_ms(sim, number) + params->clock_skew_ms;
    if (set == NULL || !is_current(node, ref->epoch)) {
        rule = node->epoch == DSMR_EPOCH_NONE ? "3.8" : "6.2";
    } else if (dsmr_sim_rules_entry(set, &ref->producer) < 0) {
        rule = "6.2";
    } else if (dsmr_sim_rules_slot_start(params, ref->slot) > latest_ms ||
               ref->expiry_ms <= node->time_ms) {
        rule = "6.3";
    } else if (ref->expiry_ms <= node->floor_ms) {
        rule = "12.1";
    }
    if (rule != NULL) {
        dsmr_sim_fail(sim, rule,
                      "node %u claims slot %llu of n%u, epoch %llu, expiry %llu, with chain time "
                      "%llu, floor %llu",
                      number, (unsigned long long)ref->slot, dsmr_sim_check_number(&ref->producer),
                      (unsigned long long)ref->epoch, (unsigned long long)ref->expiry_ms,
                      (unsigned long long)node->time_ms, (unsigned long long)node->floor_ms);
    }
}

/* 12.4: a first block that is older than the node's start. The clock may have been set back
 * meanwhile, so the earlier of two times is what can be asked for. */
static void on_first_accept(struct dsmr_sim *sim, uint32_t number, struct node *node,
                            const struct dsmr_store_write *write)
{
    const struct dsmr_params *params = dsmr_sim_check_params(sim);
    uint64_t now_ms = write->u.accept.wall_ms; /* when it was accepted: it is durable later */
    uint64_t low_ms = now_ms < node->start_ms ? now_ms : node->start_ms;
    node->has_accepted = true;
    node->went_back |= now_ms < node->wiped_latest_ms || node->start_ms < node->wiped_latest_ms;
    if (write->u.accept.block->time_ms < low_ms &&
        node->floor_ms < low_ms + params->clock_skew_ms + params->chunk_lifetime_ms) {
        dsmr_sim_fail(sim, "12.4",
                      "node %u has a new journal, its first block is older than its start, and its "
                      "floor is %llu at %llu",
                      number, (unsigned long long)node->floor_ms, (unsigned long long)low_ms);
    }
}

static void on_accept(struct dsmr_sim *sim, uint32_t number, struct node *node,
                      const struct dsmr_store_write *write)
{
    const struct dsmr_block *block = write->u.accept.block;
    if (!node->has_accepted) {
        on_first_accept(sim, number, node, write);
    }
    if (block->time_ms < node->time_ms) {
        return; /* the same again, with its finalization */
    }
    node->time_ms = block->time_ms;
    node->epoch = block->epoch;
    node->past_count = block->past_epochs_count;
    memcpy(node->past, block->past_epochs, sizeof(node->past));
}

static void on_gc(struct dsmr_sim *sim, uint32_t number, struct node *node,
                  const struct dsmr_store_gc *gc)
{
    uint64_t floor_ms = gc->floor_ms;
    if (floor_ms > node->time_ms && floor_ms > node->floor_ms && node->has_accepted &&
        !dsmr_sim_check_has_bad_disk(sim, number)) {
        dsmr_sim_fail(sim, "12.1", "node %u collects with floor %llu at chain time %llu", number,
                      (unsigned long long)floor_ms, (unsigned long long)node->time_ms);
    }
    node->floor_ms = floor_ms > node->floor_ms ? floor_ms : node->floor_ms;
}

static void stored(void *ctx, struct dsmr_sim *sim, uint32_t node,
                   const struct dsmr_store_write *write)
{
    struct shares *self = ctx;
    if (write->kind == DSMR_STORE_CHUNK && write->u.chunk.meta->is_signed) {
        on_claim(self, sim, node, &write->u.chunk.meta->ref);
    } else if (write->kind == DSMR_STORE_ACCEPT) {
        on_accept(sim, node, &self->nodes[node], write);
    } else if (write->kind == DSMR_STORE_GC) {
        on_gc(sim, node, &self->nodes[node], &write->u.gc);
    }
}

/* ---- what leaves ---- */

static void on_share(struct shares *self, struct dsmr_sim *sim, uint32_t node,
                     const struct dsmr_reference *ref, const char *rule)
{
    struct claim_key key = key_of(node, &ref->producer, ref->slot);
    const struct claim *entry = dsmr_sim_table_find(self->journal, &key);
    if (entry == NULL || !dsmr_id_equal(&entry->chunk_id, &ref->chunk_id)) {
        dsmr_sim_fail(sim, rule,
                      "node %u signs chunk %s of n%u's slot %llu without a journal entry", node,
                      dsmr_sim_rules_name(&ref->chunk_id), dsmr_sim_check_number(&ref->producer),
                      (unsigned long long)ref->slot);
    }
    if (!dsmr_sim_check_has_chunk(sim, node, &ref->chunk_id)) {
        dsmr_sim_fail(sim, rule, "node %u signs chunk %s of n%u's slot %llu and does not hold it",
                      node, dsmr_sim_rules_name(&ref->chunk_id),
                      dsmr_sim_check_number(&ref->producer), (unsigned long long)ref->slot);
    }
    if (dsmr_sim_check_was_damaged(sim, node, &ref->chunk_id)) {
        dsmr_sim_fail(sim, rule,
                      "node %u signs chunk %s of n%u's slot %llu, whose body it cannot read", node,
                      dsmr_sim_rules_name(&ref->chunk_id), dsmr_sim_check_number(&ref->producer),
                      (unsigned long long)ref->slot);
    }
    add_claim(self, sim, self->sent, node, ref, "signs");
}

/* The producer's own share goes out with its chunk. */
static void on_own_chunk(struct shares *self, struct dsmr_sim *sim, uint32_t node,
                         const uint8_t *chunk, uint32_t len)
{
    struct dsmr_reference ref = {.tx_count = 0};
    if (len < HEADER_BYTES) {
        dsmr_sim_fail(sim, "4.2", "node %u sends a chunk without a header", node);
        return;
    }
    dsmr_hash(&ref.chunk_id, chunk, HEADER_BYTES);
    memcpy(ref.producer.bytes, chunk + 45, sizeof(ref.producer.bytes));
    ref.slot = dsmr_load_be64(chunk + 65);
    if (dsmr_sim_check_number(&ref.producer) != node) {
        dsmr_sim_fail(sim, "5.2", "node %u asks for shares of a chunk of n%u", node,
                      dsmr_sim_check_number(&ref.producer));
    }
    on_share(self, sim, node, &ref, "5.2");
}

static void sent(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                 const struct dsmr_msg *msg)
{
    (void)to;
    if (msg->type == DSMR_MSG_CHUNK_SIGNATURE) {
        on_share(ctx, sim, node, &msg->u.chunk_signature.ref, "6.8");
    } else if (msg->type == DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE) {
        on_own_chunk(ctx, sim, node, msg->u.request_share.chunk, msg->u.request_share.chunk_len);
    }
}

/* ---- lives ---- */

/* The node wanted to accept its first block before, and its disk took the floor and not the block:
 * this life tries again under the same floor. It is enough if it covers all that the clock had told
 * when the disk was lost, or if the clock has been set back since, which 12.4 cannot help. */
static void keep_floor(struct dsmr_sim *sim, uint32_t number, struct node *node)
{
    const struct dsmr_params *params = dsmr_sim_check_params(sim);
    uint64_t past_ms = (uint64_t)params->clock_skew_ms + params->chunk_lifetime_ms;
    bool is_back = dsmr_sim_check_wall_ms(sim, number) < node->wiped_latest_ms;
    if ((is_back || node->floor_ms >= node->wiped_latest_ms + past_ms) &&
        node->floor_ms - past_ms < node->start_ms) {
        node->start_ms = node->floor_ms - past_ms;
    }
}

static void started(void *ctx, struct dsmr_sim *sim, uint32_t number, uint64_t executed_height)
{
    struct node *node = &((struct shares *)ctx)->nodes[number];
    (void)executed_height;
    if (node->floor_ms == 0) { /* else the journal began with an earlier start */
        node->start_ms = dsmr_sim_check_wall_ms(sim, number);
    } else if (!node->has_accepted) {
        keep_floor(sim, number, node);
    }
}

static void wiped(void *ctx, struct dsmr_sim *sim, uint32_t number)
{
    struct node *node = &((struct shares *)ctx)->nodes[number];
    *node = (struct node){.epoch = DSMR_EPOCH_NONE,
                          .life = node->life + 1,
                          .wiped_latest_ms = dsmr_sim_check_latest_ms(sim, number)};
}

const struct dsmr_sim_checker_ops dsmr_sim_check_shares = {.name = "shares",
                                                           .make = make,
                                                           .free = free_self,
                                                           .stored = stored,
                                                           .sent = sent,
                                                           .started = started,
                                                           .wiped = wiped};
