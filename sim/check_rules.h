/* check_rules.h - the rules that several checkers need, derived from docs/protocol.md and
 * docs/wire.md once more: weights, quorums, what is signed, times of slots.
 *
 * Rule:    nothing here calls the code that is checked.
 * Threads: one. */
#ifndef DSMR_SIM_CHECK_RULES_H
#define DSMR_SIM_CHECK_RULES_H

#include "sim/check.h"

__extension__ typedef unsigned __int128 dsmr_sim_u128;

/* 3.4: the smallest weight w with 3w > 2 * total, or more. */
bool dsmr_sim_rules_is_quorum(dsmr_sim_u128 weight, dsmr_sim_u128 total);
bool dsmr_sim_rules_is_third(dsmr_sim_u128 weight, dsmr_sim_u128 total); /* 3w >= total */
/* Slot start and expiry (4.2), in 128 bits: nothing overflows. */
dsmr_sim_u128 dsmr_sim_rules_slot_start(const struct dsmr_params *params, uint64_t slot);
dsmr_sim_u128 dsmr_sim_rules_expiry(const struct dsmr_params *params, uint64_t slot);

/* The entry of set that may sign as node (3.2); -1: none. */
int dsmr_sim_rules_entry(const struct dsmr_validator_set *set, const struct dsmr_node_id *node);
/* NULL if signers are entries of set that may sign, weigh a quorum, and signature is the sum of
 * what each of them signs over the bytes; else what is wrong. */
const char *dsmr_sim_rules_aggregate(const struct dsmr_validator_set *set,
                                     const struct dsmr_bitset *signers,
                                     const struct dsmr_bls_sig *signature, const void *bytes,
                                     size_t len);
const char *dsmr_sim_rules_cert(const struct dsmr_sim *sim, const struct dsmr_cert *cert);
const char *dsmr_sim_rules_quorum_cert(const struct dsmr_sim *sim,
                                       const struct dsmr_quorum_cert *qc);
/* What a share over ref signs (docs/wire.md, What is signed), and a vote. */
#define DSMR_SIM_RULES_SHARE_BYTES 132u
#define DSMR_SIM_RULES_VOTE_BYTES 105u
void dsmr_sim_rules_share_bytes(uint8_t out[DSMR_SIM_RULES_SHARE_BYTES], const struct dsmr_sim *sim,
                                const struct dsmr_reference *ref);
void dsmr_sim_rules_vote_bytes(uint8_t out[DSMR_SIM_RULES_VOTE_BYTES], const struct dsmr_sim *sim,
                               const struct dsmr_vote_subject *subject);

bool dsmr_sim_rules_same(const void *a, const void *b, size_t len);
/* The first bytes of an id, for a sentence; at most 4 in it. */
const char *dsmr_sim_rules_name(const struct dsmr_id *id);

#endif
