/* cli_load_tx.h - the transactions of a load: opaque ones, or signed transfers.
 *
 * How:        opaque ones are random bytes that are made once, with expiry, seed and index of the
 *             run in front: what is made for each costs the nodes' cores as much as they do.
 *
 * Invariants: no two of a run are equal, nor of two runs with different seeds.
 * Threads:    init and close by one owner; make from any thread. */
#ifndef DSMR_APP_CLI_LOAD_TX_H
#define DSMR_APP_CLI_LOAD_TX_H

#include "app/cli_load.h"
#include "crypto/ed25519.h"
#include "dsmr/types.h"

#define DSMR_CLI_LOAD_TX_ACCOUNTS_MAX 100000u
#define DSMR_CLI_LOAD_TX_OPAQUE_MIN (DSMR_TX_HEAD_BYTES + 16u)

struct dsmr_cli_load_tx {
    enum dsmr_cli_load_kind kind;
    uint32_t tx_bytes; /* the largest that make gives; opaque: all */
    uint64_t seed;
    uint8_t *filler; /* opaque: tx_bytes */
    uint64_t amount;
    struct dsmr_domain domain;
    struct dsmr_ed25519_signing_key *accounts;
    uint32_t accounts_count;
    uint32_t accounts_used; /* of them, the first */
    uint32_t accounts_room;
};

/* Reads the accounts of config->accounts_dir for transfers. CONFIG with a sentence in *reason
 * (static or thread-local), NO_MEMORY. Caller closes. */
DSMR_MUST_USE enum dsmr_err dsmr_cli_load_tx_init(struct dsmr_cli_load_tx *maker,
                                                  const char **reason,
                                                  const struct dsmr_cli_load_config *config,
                                                  const struct dsmr_domain *domain);
void dsmr_cli_load_tx_close(struct dsmr_cli_load_tx *maker); /* wipes the keys */
/* Writes transaction index into out, which has room for tx_bytes; returns its size. The same index
 * and expiry give the same bytes. */
uint32_t dsmr_cli_load_tx_make(const struct dsmr_cli_load_tx *maker, uint8_t *out, uint64_t index,
                               uint64_t expiry_ms);
/* One account file as testnet and `dsmr keys` write it. CONFIG, IO. */
DSMR_MUST_USE enum dsmr_err dsmr_cli_load_tx_account(struct dsmr_ed25519_secret_key *out,
                                                     const char *path);
#endif
