/* transfers_genesis.h - the "app" object of genesis.json for the transfers application.
 *
 * {"name": "transfers",
 *  "fee": {"base": 100, "per_byte": 1, "per_signature": 50},
 *  "accounts": [{"address": "dsmr1... or hex", "balance": "1000000"}, ...]}
 * name may be left out; everything else must be there, once; nothing else may. Numbers may be
 * strings. A balance is above zero, an address stands once, the sum fits into 64 bits.
 * Threads: any; pure. */
#ifndef DSMR_VM_TRANSFERS_GENESIS_H
#define DSMR_VM_TRANSFERS_GENESIS_H

#include "ports/app.h"
#include "vm/genesis_json.h"
#include "vm/transfers_state.h"

/* Takes one account into the state; DUPLICATE if the address was there before. */
typedef enum dsmr_err (*dsmr_transfers_genesis_add)(void *self, const struct dsmr_account *account);

/* Reads genesis: supply, accounts and fees of *state; every account goes to add, in order. CONFIG
 * with a sentence in *problem that names the field and the byte; otherwise what add returned. */
DSMR_MUST_USE enum dsmr_err dsmr_transfers_genesis_read(struct dsmr_transfers_state *state,
                                                        struct dsmr_app_text *problem,
                                                        struct dsmr_genesis_json *genesis,
                                                        dsmr_transfers_genesis_add add,
                                                        void *add_self);

#endif
