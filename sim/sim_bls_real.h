/* sim_bls_real.h - keys and signatures of real BLS, for runs that want them: every pairing is
 * computed, so such a run is a hundred times slower. Verification and aggregation are the daemon's
 * (dsmr_bls_real of driver/driver.h).
 *
 * Limits:  DSMR_SIM_NODES_MAX validators.
 * Threads: one: keys are kept. */
#ifndef DSMR_SIM_SIM_BLS_REAL_H
#define DSMR_SIM_SIM_BLS_REAL_H

#include "dsmr/types.h"

/* The key of validator number, in both of its forms. */
void dsmr_sim_bls_real_key(struct dsmr_validator *out, uint32_t number);
void dsmr_sim_bls_real_sign(struct dsmr_bls_sig *out, uint32_t number, const void *message,
                            size_t len);
/* sum: all zero, or a sum. Both have to be signatures. */
void dsmr_sim_bls_real_add(struct dsmr_bls_sig *sum, const struct dsmr_bls_sig *sig);
/* What takes sig away when it is added. */
struct dsmr_bls_sig dsmr_sim_bls_real_negative(const struct dsmr_bls_sig *sig);

#endif
