/* transfers.h - the application that moves money: accounts, signed transfers, fees, a state root.
 *
 * Format, rules and result codes: docs/transfers.md.
 * Invariants: the sum of all balances never changes. The root depends on the accounts alone.
 * Limits:     config.cache_bytes_max between blocks, plus what one block touches.
 * Threads:    as ports/app.h. An aborted transaction needs no word to the application: the next
 *             block finds by the root in the store that its cache is not of that state. */
#ifndef DSMR_VM_TRANSFERS_H
#define DSMR_VM_TRANSFERS_H

#include "ports/app.h"

#define DSMR_TRANSFERS_CACHE_BYTES_DEFAULT (64u << 20)

struct dsmr_transfers_config {
    struct dsmr_domain domain;
    uint64_t cache_bytes_max; /* 0: the default */
};

/* Numbers are never reused: they are stored and stand in answers. */
enum dsmr_transfers_code {
    DSMR_TRANSFERS_DONE = 0,
    DSMR_TRANSFERS_MALFORMED = 1,    /* does not parse or has an unknown version; no fee */
    DSMR_TRANSFERS_WRONG_DOMAIN = 2, /* of another network or chain; no fee */
    DSMR_TRANSFERS_OVER_LIMIT = 3,   /* the fee is above the sender's limit; no fee */
    DSMR_TRANSFERS_CANNOT_PAY = 4,   /* the balance does not cover the fee; no fee */
    DSMR_TRANSFERS_INSUFFICIENT = 5, /* covers the fee, but not the amount: the fee is charged */
};

/* NO_MEMORY. Caller frees with out->ops->free(out->self). */
DSMR_MUST_USE enum dsmr_err dsmr_transfers_new(struct dsmr_app *out,
                                               const struct dsmr_transfers_config *config);

#endif
