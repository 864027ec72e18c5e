/* sim_verdicts.h - what the application's check said of a transaction, remembered.
 *
 * Why:     all nodes of a network ask about the same transactions, and a signature of a user costs
 *          more than all else that a node does with the transaction here.
 * How:     the check sees the bytes alone (ports/app.h), so the same bytes have the same verdict on
 *          every node. All bytes are compared, not a digest of them.
 * Limits:  DSMR_SIM_VERDICTS transactions; a later one takes an earlier one's place.
 * Threads: one. */
#ifndef DSMR_SIM_SIM_VERDICTS_H
#define DSMR_SIM_SIM_VERDICTS_H

#include "ports/app.h"

#define DSMR_SIM_VERDICTS 4096u

struct dsmr_sim_verdicts; /* opaque */

/* Asserts that there is memory. */
struct dsmr_sim_verdicts *dsmr_sim_verdicts_new(void);
void dsmr_sim_verdicts_free(struct dsmr_sim_verdicts *verdicts);
/* Says that tx is good: whoever says so has signed it. */
void dsmr_sim_verdicts_vouch(struct dsmr_sim_verdicts *verdicts, const struct dsmr_tx_view *tx);
/* As the check of app; asks it about what is not remembered. */
uint32_t dsmr_sim_verdicts_check(struct dsmr_sim_verdicts *verdicts, const struct dsmr_app *app,
                                 enum dsmr_err *errs, const struct dsmr_tx_view *txs,
                                 uint32_t count);

#endif
