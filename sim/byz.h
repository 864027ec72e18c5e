/* byz.h - validators that lie. Each kind is a file byz_<kind>.c.
 *
 * How:     a liar runs the honest code, and its kind stands between that code and the network: it
 *          sees what is sent and received, may hold it back or change it, and sends what it likes
 *          under its own identity. It has its own key and nobody else's.
 * Threads: one. */
#ifndef DSMR_SIM_BYZ_H
#define DSMR_SIM_BYZ_H

#include "sim/sim.h"
#include "wire/message.h"

struct dsmr_sim_byz_ops {
    const char *name;
    void *(*make)(struct dsmr_sim *sim, uint32_t node); /* NULL member: no state of its own */
    void (*free)(void *self);
    /* Of the honest code of this node. True: it goes on its way. NULL members pass everything. */
    bool (*sends)(void *self, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                  const struct dsmr_msg *msg, struct dsmr_buf *bytes);
    bool (*receives)(void *self, struct dsmr_sim *sim, uint32_t node, uint32_t from,
                     const struct dsmr_msg *msg, struct dsmr_buf *bytes);
    /* Under engine_snow.h: a block that the honest code has built. True: it is issued as it is. */
    bool (*issues)(void *self, struct dsmr_sim *sim, uint32_t node, struct dsmr_block *block,
                   uint64_t context);
    void (*tick)(void *self, struct dsmr_sim *sim,
                 uint32_t node); /* every tick_us while it is up */
    uint64_t tick_us;
};

/* Every kind there is, ended by NULL; the shifter, which is each of the others in turn, last. */
extern const struct dsmr_sim_byz_ops *const dsmr_sim_byz_kinds[];
const struct dsmr_sim_byz_ops *dsmr_sim_byz_find(const char *name); /* NULL if there is none */

/* Makes node a liar from now on. */
void dsmr_sim_byz_set(struct dsmr_sim *sim, uint32_t node, const struct dsmr_sim_byz_ops *ops);
bool dsmr_sim_byz_is(const struct dsmr_sim *sim, uint32_t node);

/* ---- what liars use ---- */
/* Nothing is sent while from is down. */
void dsmr_sim_byz_send(struct dsmr_sim *sim, uint32_t from, uint32_t to,
                       const struct dsmr_msg *msg);
void dsmr_sim_byz_send_bytes(struct dsmr_sim *sim, uint32_t from, uint32_t to, const void *bytes,
                             size_t len);
void dsmr_sim_byz_send_all(struct dsmr_sim *sim, uint32_t from, const struct dsmr_msg *msg);
/* Under engine_snow.h: node issues another block than its honest code has built. */
void dsmr_sim_byz_issue(struct dsmr_sim *sim, uint32_t node, struct dsmr_block *block,
                        uint64_t context);
/* The honest code of node is told msg, as if from had sent it. */
void dsmr_sim_byz_deliver(struct dsmr_sim *sim, uint32_t node, uint32_t from,
                          const struct dsmr_msg *msg);
/* Chunk of node: count transactions that nobody submitted. Caller unrefs. NULL if there is no set.
 */
struct dsmr_chunk *dsmr_sim_byz_chunk(struct dsmr_sim *sim, uint32_t node, uint64_t epoch,
                                      uint64_t slot, uint32_t count);
struct dsmr_bls_sig dsmr_sim_byz_share(struct dsmr_sim *sim, uint32_t node,
                                       const struct dsmr_reference *ref);
struct dsmr_bls_sig dsmr_sim_byz_vote(struct dsmr_sim *sim, uint32_t node,
                                      const struct dsmr_vote_subject *subject);
/* The epoch that node's own status names; DSMR_EPOCH_NONE if it is down. */
uint64_t dsmr_sim_byz_epoch(struct dsmr_sim *sim, uint32_t node);
uint64_t dsmr_sim_byz_slot(const struct dsmr_sim *sim); /* of now */
/* All epochs of the schedule, past and future; returns how many. */
uint32_t dsmr_sim_byz_epochs(const struct dsmr_sim *sim, uint64_t out[DSMR_SIM_SETS_MAX]);
/* The block of a BFT_PROPOSAL that lies in bytes; NULL: none, or none that decodes. Caller unrefs.
 */
struct dsmr_block *dsmr_sim_byz_block(const struct dsmr_sim *sim, const struct dsmr_msg *msg,
                                      struct dsmr_buf *bytes);
uint32_t dsmr_sim_byz_number(const struct dsmr_node_id *id); /* of a node */
const struct dsmr_params *dsmr_sim_byz_params(const struct dsmr_sim *sim);
struct dsmr_validator_set *dsmr_sim_byz_set_of(const struct dsmr_sim *sim, uint64_t epoch);
uint32_t dsmr_sim_byz_nodes(const struct dsmr_sim *sim);
uint64_t dsmr_sim_byz_random(struct dsmr_sim *sim, uint64_t below);
void dsmr_sim_byz_random_id(struct dsmr_sim *sim, struct dsmr_id *out);

/* ---- what liars of a run agree on: it follows from the seed ---- */
uint32_t dsmr_sim_byz_side(const struct dsmr_sim *sim, uint32_t node); /* 0, 1: half of the nodes */
uint32_t dsmr_sim_byz_victim(const struct dsmr_sim *sim);              /* one that does not lie */

/* ---- the same key twice ---- */
/* Starts a second body of node: with the same key, and a disk, memory and process of its own. Each
 * other node sees one of the two: node i the second if bit i of the mask is set. */
void dsmr_sim_byz_twin(struct dsmr_sim *sim, uint32_t node);
void dsmr_sim_byz_twin_mask(struct dsmr_sim *sim, uint32_t node, uint64_t mask);
void dsmr_sim_byz_twin_restart(struct dsmr_sim *sim, uint32_t node); /* if the second is down */

#endif
