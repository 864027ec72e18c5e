/* sim_bls.h - the BLS work answered by a keyed hash: as strict about who signed what, as blind for
 * errors that cancel in a sum, and a thousand times faster. The public key of validator i holds i;
 * everything else follows from it.
 *
 * Threads: one: the latest signatures are kept. */
#ifndef DSMR_SIM_SIM_BLS_H
#define DSMR_SIM_SIM_BLS_H

#include "ports/bls_ops.h"
#include "ports/signer.h"

/* Real keys and signatures from now on, or the keyed hash again; it is the keyed hash at first.
 * What was made before must not be in use any more. */
void dsmr_sim_bls_use_real(bool has_real);
const struct dsmr_bls_ops *dsmr_sim_bls_ops_in_use(void);

/* Validators first .. first + count - 1; weights of the first weights_count, 1 otherwise. */
struct dsmr_validator_set *dsmr_sim_bls_set(uint64_t epoch, uint32_t first, uint32_t count,
                                            const uint64_t *weights, uint32_t weights_count);
struct dsmr_node_id dsmr_sim_bls_node_id(uint32_t number);
/* What validator number signs over message. */
void dsmr_sim_bls_sign(struct dsmr_bls_sig *out, uint32_t number, const void *message, size_t len);
/* Adds an error to a and takes it from b: each is wrong then, their sum is what it was. error: a
 * signature of whatever. */
void dsmr_sim_bls_cancel(struct dsmr_bls_sig *a, struct dsmr_bls_sig *b,
                         const struct dsmr_bls_sig *error);
/* Adds a signature to an aggregate, which is all zero at first. */
void dsmr_sim_bls_add(struct dsmr_bls_sig *sum, const struct dsmr_bls_sig *sig);
/* The signer port of validator *number, which must stay valid. */
struct dsmr_signer dsmr_sim_bls_signer(uint32_t *number);

#endif
