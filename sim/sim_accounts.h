/* sim_accounts.h - the accounts of a simulated chain, and transactions from them.
 *
 * Threads: one. */
#ifndef DSMR_SIM_SIM_ACCOUNTS_H
#define DSMR_SIM_SIM_ACCOUNTS_H

#include "dsmr/types.h"

#define DSMR_SIM_ACCOUNTS 64u
#define DSMR_SIM_ACCOUNT_BALANCE UINT64_C(1000000)
#define DSMR_SIM_FEE UINT64_C(1) /* base, per byte and per signature */
#define DSMR_SIM_TX_BYTES_MAX 4096u

/* The member "app" of genesis, as text. */
void dsmr_sim_accounts_genesis(char *out, size_t capacity, bool is_transfers);
struct dsmr_address dsmr_sim_accounts_address(uint32_t account);
/* Writes a transfer of amount; returns its size. number makes it differ from all others. */
uint32_t dsmr_sim_accounts_transfer(uint8_t out[DSMR_SIM_TX_BYTES_MAX],
                                    const struct dsmr_domain *domain, uint64_t number,
                                    uint64_t amount, uint64_t expiry_ms);
/* An opaque one of len bytes. */
uint32_t dsmr_sim_accounts_opaque(uint8_t out[DSMR_SIM_TX_BYTES_MAX], uint32_t len, uint64_t number,
                                  uint64_t expiry_ms);

#endif
