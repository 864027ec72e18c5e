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
    void (*tick)(void *self, struct dsmr_sim *sim, uint32_t node); /* every tick_us */
    uint64_t tick_us;
};

/* Every kind there is, ended by NULL. */
extern const struct dsmr_sim_byz_ops *const dsmr_sim_byz_kinds[];
const struct dsmr_sim_byz_ops *dsmr_sim_byz_find(const char *name); /* NULL if there is none */

/* Makes node a liar from now on. */
void dsmr_sim_byz_set(struct dsmr_sim *sim, uint32_t node, const struct dsmr_sim_byz_ops *ops);
bool dsmr_sim_byz_is(const struct dsmr_sim *sim, uint32_t node);

/* ---- what liars use ---- */
void dsmr_sim_byz_send(struct dsmr_sim *sim, uint32_t from, uint32_t to,
                       const struct dsmr_msg *msg);
void dsmr_sim_byz_send_bytes(struct dsmr_sim *sim, uint32_t from, uint32_t to, const void *bytes,
                             size_t len);
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
const struct dsmr_params *dsmr_sim_byz_params(const struct dsmr_sim *sim);
struct dsmr_validator_set *dsmr_sim_byz_set_of(const struct dsmr_sim *sim, uint64_t epoch);
uint32_t dsmr_sim_byz_nodes(const struct dsmr_sim *sim);
uint64_t dsmr_sim_byz_random(struct dsmr_sim *sim, uint64_t below);

#endif
