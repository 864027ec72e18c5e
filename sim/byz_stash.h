/* byz_stash.h - certificates that a liar has made with the shares of honest validators and shows to
 * nobody: valid, and in no block.
 *
 * Threads: one. */
#ifndef DSMR_SIM_BYZ_STASH_H
#define DSMR_SIM_BYZ_STASH_H

#include "sim/byz_offer.h"

#define DSMR_SIM_BYZ_STASH_OFFERS 32u

struct dsmr_sim_byz_stash {
    struct dsmr_sim_byz_offer offers[DSMR_SIM_BYZ_STASH_OFFERS];
    uint32_t next;
};

void dsmr_sim_byz_stash_close(struct dsmr_sim_byz_stash *stash);
/* Asks everybody for shares of one more chunk; the oldest is forgotten. */
void dsmr_sim_byz_stash_grow(struct dsmr_sim_byz_stash *stash, struct dsmr_sim *sim, uint32_t node);
void dsmr_sim_byz_stash_take(struct dsmr_sim_byz_stash *stash, struct dsmr_sim *sim, uint32_t from,
                             const struct dsmr_msg *msg);
/* fields has room for certs_max certificates. Makes a block of it that breaks one rule with valid
 * certificates. False, and fields as it was: it has none that would. */
bool dsmr_sim_byz_stash_break(struct dsmr_sim_byz_stash *stash, struct dsmr_sim *sim,
                              struct dsmr_block *fields, uint32_t certs_max);

#endif
