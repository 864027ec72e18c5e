/* byz_offer.h - a chunk that a liar shows itself, past its honest code, and the shares that it
 * gets.
 *
 * Threads: one. */
#ifndef DSMR_SIM_BYZ_OFFER_H
#define DSMR_SIM_BYZ_OFFER_H

#include "sim/byz.h"

struct dsmr_sim_byz_offer {
    struct dsmr_chunk *chunk; /* NULL: none */
    struct dsmr_cert cert;    /* of the shares so far */
    uint64_t weight;
    bool is_certified;
};

/* In place of what was there: node's chunk of count transactions, with its own share. False: there
 * is no such set, or node is not in it. */
bool dsmr_sim_byz_offer_make(struct dsmr_sim_byz_offer *offer, struct dsmr_sim *sim, uint32_t node,
                             uint64_t epoch, uint64_t slot, uint32_t count);
void dsmr_sim_byz_offer_drop(struct dsmr_sim_byz_offer *offer);
/* Asks to for its share; the chunk goes with it. */
void dsmr_sim_byz_offer_show(const struct dsmr_sim_byz_offer *offer, struct dsmr_sim *sim,
                             uint32_t node, uint32_t to);
/* A message of from. True: it is the share that makes the certificate. */
bool dsmr_sim_byz_offer_take(struct dsmr_sim_byz_offer *offer, struct dsmr_sim *sim, uint32_t from,
                             const struct dsmr_msg *msg);
/* Every other liar of the set signs, seen or not. */
void dsmr_sim_byz_offer_collude(struct dsmr_sim_byz_offer *offer, struct dsmr_sim *sim);
void dsmr_sim_byz_offer_send_cert(const struct dsmr_sim_byz_offer *offer, struct dsmr_sim *sim,
                                  uint32_t node);

#endif
