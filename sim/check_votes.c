/* check_votes.c - what an honest node votes: nothing before its journal has it durably, one block
 * for NOTARIZE in a view, never NULLIFY and FINALIZE in one view, in all its lives (docs/bft.md,
 * S2, S3, rules 3 and 12). A node that lost its disk may begin again: docs/bft.md says so. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/check_rules.h"
#include "sim/check_table.h"

#define KEY_BYTES 17u
#define VALUE_BYTES_MIN 41u

struct view_key {
    uint8_t node[4], life[4]; /* life: how often its disk was lost */
    uint8_t epoch[8], view[8];
};
struct view {
    bool has[DSMR_VOTE_FINALIZE + 1]; /* by kind */
    struct dsmr_id ids[DSMR_VOTE_FINALIZE + 1];
};
struct votes {
    struct dsmr_sim_table *sent, *journal; /* struct view_key -> struct view */
    uint32_t lives[DSMR_SIM_NODES_MAX];
};

static void *make(struct dsmr_sim *sim)
{
    (void)sim;
    struct votes *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    self->sent = dsmr_sim_table_new(sizeof(struct view_key), sizeof(struct view));
    self->journal = dsmr_sim_table_new(sizeof(struct view_key), sizeof(struct view));
    return self;
}

static void free_self(void *ctx)
{
    struct votes *self = ctx;
    dsmr_sim_table_free(self->sent);
    dsmr_sim_table_free(self->journal);
    free(self);
}

static struct view_key key_of(const struct votes *self, uint32_t node, uint64_t epoch,
                              uint64_t view)
{
    struct view_key key;
    dsmr_store_be32(key.node, node);
    dsmr_store_be32(key.life, self->lives[node]);
    dsmr_store_be64(key.epoch, epoch);
    dsmr_store_be64(key.view, view);
    return key;
}

/* Adds a vote to those of its view, which must agree with it. */
static void add(struct votes *self, struct dsmr_sim *sim, struct dsmr_sim_table *table,
                uint32_t node, const struct dsmr_vote_subject *vote)
{
    struct view_key key = key_of(self, node, vote->epoch, vote->view);
    struct view *view = dsmr_sim_table_add(table, &key, NULL);
    const char *where = table == self->sent ? "sends" : "journals";
    if (view->has[vote->kind] && !dsmr_id_equal(&view->ids[vote->kind], &vote->block_id)) {
        dsmr_sim_fail(
            sim, "S2", "node %u %s two votes of kind %u in view %llu of epoch %llu: %s, %s", node,
            where, vote->kind, (unsigned long long)vote->view, (unsigned long long)vote->epoch,
            dsmr_sim_rules_name(&view->ids[vote->kind]), dsmr_sim_rules_name(&vote->block_id));
    }
    view->has[vote->kind] = true;
    view->ids[vote->kind] = vote->block_id;
    if (view->has[DSMR_VOTE_NULLIFY] && view->has[DSMR_VOTE_FINALIZE]) {
        dsmr_sim_fail(sim, "S2", "node %u %s NULLIFY and FINALIZE in view %llu of epoch %llu", node,
                      where, (unsigned long long)vote->view, (unsigned long long)vote->epoch);
    }
}

static bool is_journalled(const struct votes *self, uint32_t node,
                          const struct dsmr_vote_subject *vote)
{
    struct view_key key = key_of(self, node, vote->epoch, vote->view);
    const struct view *view = dsmr_sim_table_find(self->journal, &key);
    return view != NULL && view->has[vote->kind] &&
           dsmr_id_equal(&view->ids[vote->kind], &vote->block_id);
}

static void sent(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                 const struct dsmr_msg *msg)
{
    struct votes *self = ctx;
    struct dsmr_vote_subject vote = {.kind = DSMR_VOTE_NOTARIZE};
    (void)to;
    if (msg->type == DSMR_MSG_BFT_VOTE) {
        vote = msg->u.vote.subject;
    } else if (msg->type == DSMR_MSG_BFT_PROPOSAL) { /* a leader votes for what it proposes */
        vote.epoch = msg->u.proposal.epoch;
        vote.view = msg->u.proposal.view;
        vote.block_id = msg->u.proposal.block_id;
    } else {
        return;
    }
    if (!is_journalled(self, node, &vote)) {
        dsmr_sim_fail(sim, "S3", "node %u sends a vote of kind %u in view %llu that is not durable",
                      node, vote.kind, (unsigned long long)vote.view);
    }
    add(self, sim, self->sent, node, &vote);
}

static void stored(void *ctx, struct dsmr_sim *sim, uint32_t node,
                   const struct dsmr_store_write *write)
{
    struct votes *self = ctx;
    struct dsmr_vote_subject vote;
    if (write->kind != DSMR_STORE_BFT_PUT || write->u.bft.key_len != KEY_BYTES ||
        write->u.bft.key[16] > DSMR_VOTE_FINALIZE) {
        return; /* a certificate's record, for one */
    }
    if (write->u.bft.key[16] == 0 || write->u.bft.value_len < VALUE_BYTES_MIN ||
        (write->u.bft.value[0] != 1 && write->u.bft.value[0] != 2)) { /* 2: with a certificate */
        dsmr_sim_fail(sim, "S3", "node %u journals a vote that is none", node);
        return;
    }
    memset(&vote, 0, sizeof(vote));
    vote.epoch = dsmr_load_be64(write->u.bft.key);
    vote.view = dsmr_load_be64(write->u.bft.key + 8);
    vote.kind = write->u.bft.key[16];
    memcpy(vote.block_id.bytes, write->u.bft.value + 9, sizeof(vote.block_id.bytes));
    add(self, sim, self->journal, node, &vote);
}

static void wiped(void *ctx, struct dsmr_sim *sim, uint32_t node)
{
    (void)sim;
    ((struct votes *)ctx)->lives[node]++;
}

const struct dsmr_sim_checker_ops dsmr_sim_check_votes = {.name = "votes",
                                                          .make = make,
                                                          .free = free_self,
                                                          .sent = sent,
                                                          .stored = stored,
                                                          .wiped = wiped};
