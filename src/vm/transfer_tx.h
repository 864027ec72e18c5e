/* transfer_tx.h - the one transaction of the transfers application: build, sign, parse, fee.
 *
 * Layout, all integers big-endian (docs/transfers.md):
 *   version u8 | expiry u64 | network u32 | chain 32 | from 32 | to 32 | amount u64 |
 *   fee limit u64 | memo length u8 | memo | signature 64
 * Why:        one value has one encoding, and no third party can alter it: lengths are fixed but
 *             for the memo, points and scalar are canonical, keys of small order are refused.
 * Not here:   balances and expiry (the core's).
 * Limits:     DSMR_TRANSFER_TX_BYTES_MIN..MAX.
 * Threads:    any; pure. */
#ifndef DSMR_VM_TRANSFER_TX_H
#define DSMR_VM_TRANSFER_TX_H

#include "crypto/ed25519.h"
#include "dsmr/types.h"

#define DSMR_TRANSFER_TX_VERSION 1u
#define DSMR_TRANSFER_TX_MEMO_MAX 128u
#define DSMR_TRANSFER_TX_BYTES_MIN 190u
#define DSMR_TRANSFER_TX_BYTES_MAX (DSMR_TRANSFER_TX_BYTES_MIN + DSMR_TRANSFER_TX_MEMO_MAX)

struct dsmr_transfer_tx {
    uint64_t expiry_ms;
    struct dsmr_ed25519_public_key from; /* is also the sender's address */
    struct dsmr_address to;
    uint64_t amount;
    uint64_t fee_limit; /* the sender pays no more than this */
    uint8_t memo_len;
    uint8_t memo[DSMR_TRANSFER_TX_MEMO_MAX];
    struct dsmr_ed25519_sig sig;
};

/* What a transaction costs; from genesis. */
struct dsmr_transfer_tx_fees {
    uint64_t base;
    uint64_t per_byte;      /* of the whole encoded transaction */
    uint64_t per_signature; /* there is one */
};

/* Size with a memo of memo_len bytes. */
size_t dsmr_transfer_tx_bytes(uint8_t memo_len);
/* Never overflows for fees that dsmr_transfer_tx_fees_check accepted. */
uint64_t dsmr_transfer_tx_fee(const struct dsmr_transfer_tx_fees *fees, size_t tx_bytes);
/* LIMIT if the fee of the largest transaction does not fit into 64 bits. */
DSMR_MUST_USE enum dsmr_err dsmr_transfer_tx_fees_check(const struct dsmr_transfer_tx_fees *fees);

/* Encodes *tx for domain and signs it with key; tx->from and tx->sig are filled in. out: room for
 * DSMR_TRANSFER_TX_BYTES_MAX. Returns the size. memo_len over the limit is an assertion. */
size_t dsmr_transfer_tx_sign(uint8_t *out, struct dsmr_transfer_tx *tx,
                             const struct dsmr_domain *domain,
                             const struct dsmr_ed25519_secret_key *key);
/* The same for a caller that signs much. */
size_t dsmr_transfer_tx_sign_as(uint8_t *out, struct dsmr_transfer_tx *tx,
                                const struct dsmr_domain *domain,
                                const struct dsmr_ed25519_signing_key *key);
/* Syntax and domain, not the signature: BAD_TX (length, memo length), VERSION, WRONG_NETWORK,
 * WRONG_CHAIN. On error out is untouched. */
DSMR_MUST_USE enum dsmr_err dsmr_transfer_tx_parse(struct dsmr_transfer_tx *out,
                                                   const struct dsmr_domain *domain,
                                                   const uint8_t *bytes, size_t len);
/* Whether keys and points are ones that may sign: NON_CANONICAL for another encoding of a point,
 * BAD_SIGNATURE for a key of small order, for which anybody can sign. */
DSMR_MUST_USE enum dsmr_err
dsmr_transfer_tx_check_points(const struct dsmr_ed25519_public_key *from,
                              const struct dsmr_ed25519_sig *sig);
/* The message that is signed: the application's tag, then the transaction without its signature.
 * Nothing else feeds sign or verify. bytes: a transaction that parsed. Returns the size. */
#define DSMR_TRANSFER_TX_SIGNING_BYTES_MAX (16u + DSMR_TRANSFER_TX_BYTES_MAX - 64u)
size_t dsmr_transfer_tx_signing_bytes(uint8_t out[DSMR_TRANSFER_TX_SIGNING_BYTES_MAX],
                                      const uint8_t *bytes, size_t len);
/* All of it for one transaction: parse, points, signature. The leaf of batch verification. */
DSMR_MUST_USE enum dsmr_err dsmr_transfer_tx_verify(const struct dsmr_domain *domain,
                                                    const uint8_t *bytes, size_t len);

#endif
