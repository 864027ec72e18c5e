/* check_evidence.c - what an honest node keeps as evidence is one: two chunks of one slot, both
 * signed by the producer, who is a liar or has lost its journal; one pair of a producer and epoch
 * in a life (docs/protocol.md, 6.9, 12.4). Of several lives the store keeps the first. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/check_rules.h"
#include "sim/check_table.h"

struct pair_key {
    uint8_t node[4], life[4];
    struct dsmr_node_id producer;
    uint8_t epoch[8];
};
struct evidence {
    struct dsmr_sim_table *pairs;       /* set of struct pair_key */
    uint32_t lives[DSMR_SIM_NODES_MAX]; /* how often a node began again */
    bool is_wiped[DSMR_SIM_NODES_MAX];
};

static void *make(struct dsmr_sim *sim)
{
    (void)sim;
    struct evidence *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    self->pairs = dsmr_sim_table_new(sizeof(struct pair_key), 0);
    return self;
}

static void free_self(void *ctx)
{
    struct evidence *self = ctx;
    dsmr_sim_table_free(self->pairs);
    free(self);
}

static const char *judge(const struct evidence *self, const struct dsmr_sim *sim,
                         const struct dsmr_evidence *evidence)
{
    const struct dsmr_reference *a = &evidence->refs[0], *b = &evidence->refs[1];
    uint32_t producer = dsmr_sim_check_number(&a->producer);
    if (!dsmr_node_id_equal(&a->producer, &b->producer) || a->slot != b->slot ||
        dsmr_id_equal(&a->chunk_id, &b->chunk_id)) {
        return "which is not two chunks of one slot";
    }
    if (producer >= dsmr_sim_check_nodes(sim)) {
        return "about nobody";
    }
    for (int i = 0; i < 2; i++) {
        uint8_t bytes[DSMR_SIM_RULES_SHARE_BYTES];
        dsmr_sim_rules_share_bytes(bytes, sim, &evidence->refs[i]);
        struct dsmr_bls_sig want = dsmr_sim_check_signature(producer, bytes, sizeof(bytes));
        if (!dsmr_sim_rules_same(&want, &evidence->sigs[i], sizeof(want))) {
            return "with a signature that is not the producer's";
        }
    }
    if (dsmr_sim_check_is_honest(sim, producer) && !self->is_wiped[producer]) {
        return "against an honest producer";
    }
    return NULL;
}

static void stored(void *ctx, struct dsmr_sim *sim, uint32_t node,
                   const struct dsmr_store_write *write)
{
    struct evidence *self = ctx;
    struct pair_key key;
    bool is_new = false;
    if (write->kind != DSMR_STORE_EVIDENCE) {
        return;
    }
    const struct dsmr_reference *ref = &write->u.evidence.pair->refs[0];
    const char *wrong = judge(self, sim, write->u.evidence.pair);
    dsmr_store_be32(key.node, node);
    dsmr_store_be32(key.life, self->lives[node]);
    key.producer = ref->producer;
    dsmr_store_be64(key.epoch, ref->epoch);
    (void)dsmr_sim_table_add(self->pairs, &key, &is_new);
    if (wrong == NULL && !is_new) {
        wrong = "of a producer and epoch that it has a pair of";
    }
    if (wrong != NULL) {
        dsmr_sim_fail(sim, "6.9", "node %u stores evidence about n%u's slot %llu %s", node,
                      dsmr_sim_check_number(&ref->producer), (unsigned long long)ref->slot, wrong);
    }
}

static void started(void *ctx, struct dsmr_sim *sim, uint32_t node, uint64_t executed_height)
{
    (void)sim, (void)executed_height;
    ((struct evidence *)ctx)->lives[node]++;
}

static void wiped(void *ctx, struct dsmr_sim *sim, uint32_t node)
{
    (void)sim;
    ((struct evidence *)ctx)->is_wiped[node] = true;
}

const struct dsmr_sim_checker_ops dsmr_sim_check_evidence = {.name = "evidence",
                                                             .make = make,
                                                             .free = free_self,
                                                             .stored = stored,
                                                             .started = started,
                                                             .wiped = wiped};
