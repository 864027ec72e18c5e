/* types.h - the values that the protocol speaks of. Plain data; see docs/glossary.md.
 *
 * Byte strings are structs, so that an id cannot pass for a key. Integers are in host order here;
 * the wire order is the business of src/wire. */
#ifndef DSMR_TYPES_H
#define DSMR_TYPES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dsmr/buf.h"
#include "dsmr/err.h"
#include "dsmr/limits.h"

struct dsmr_id { /* SHA-256: of a transaction, a chunk header, a block, a state */
    uint8_t bytes[32];
};
struct dsmr_node_id { /* names a node: from its TLS key or from the engine */
    uint8_t bytes[20];
};
struct dsmr_address { /* fee recipient; its meaning is the application's */
    uint8_t bytes[32];
};
struct dsmr_bls_public_key { /* compressed G1 */
    uint8_t bytes[48];
};
struct dsmr_bls_public_key_raw { /* uncompressed G1; the canonical order of a set is by these */
    uint8_t bytes[96];
};
struct dsmr_bls_sig { /* compressed G2: the only form on the wire and on disk */
    uint8_t bytes[96];
};
struct dsmr_bls_point { /* a checked G1 key as the BLS library computes with it; opaque */
    uint64_t limbs[12];
};

/* Where a signature counts: everything that is signed begins with both. */
struct dsmr_domain {
    uint32_t network_id;
    struct dsmr_id chain_id;
};

/* Parameters of a chain (protocol.md, Parameters). Every node of a chain has the same. */
struct dsmr_params {
    struct dsmr_domain domain;
    uint32_t slot_ms;
    uint32_t chunk_bytes_max; /* the whole encoded chunk */
    uint32_t chunk_txs_max;
    uint32_t chunk_lifetime_ms;
    uint32_t validity_window_ms;
    uint32_t clock_skew_ms;
    uint32_t block_bytes_max; /* the encoded block of certificates */
    uint32_t block_certs_max;
    uint32_t block_txs_max;
    uint32_t min_block_gap_ms;
    uint64_t block_payload_bytes_max; /* sum of the chunks that a block names */
    uint64_t pending_bytes_max;       /* per producer: signed, neither included nor expired */
    uint64_t backlog_bytes_max;       /* accepted, not executed */
    uint64_t retention_ms;            /* UINT64_MAX: for ever */
};

/* The defaults of docs/protocol.md; domain is zero. */
void dsmr_params_default(struct dsmr_params *params);
/* LIMIT if the parameters do not fit together; then *reason is a static sentence.
 * validators_max: the largest set that the chain will have. */
DSMR_MUST_USE enum dsmr_err dsmr_params_check(const struct dsmr_params *params, const char **reason,
                                              uint32_t validators_max);
/* Largest message that a chain with these parameters needs, without the frame's length field. */
uint32_t dsmr_params_message_bytes_max(const struct dsmr_params *params);
/* How many chunks of validators_max producers can be unexpired at one time. */
uint64_t dsmr_params_lifetime_chunks(const struct dsmr_params *params, uint32_t validators_max);
/* Largest transaction that fits into a chunk of this chain: what a mempool may admit. */
uint32_t dsmr_params_tx_bytes_max(const struct dsmr_params *params);

/* ---- validator sets ---- */
struct dsmr_validator {
    struct dsmr_bls_public_key_raw public_key;
    struct dsmr_bls_point point; /* filled when the set was checked */
    uint64_t weight;
    uint32_t node_ids_count; /* only an entry with exactly one may produce and sign */
    struct dsmr_node_id node_ids[DSMR_NODE_IDS_PER_KEY_MAX];
};

/* Fixed, ordered set of one epoch: by public_key, ascending, equal keys merged. Immutable and
 * shared: reference-counted by dsmr_validator_set_ref and _unref. */
struct dsmr_validator_set {
    _Atomic uint32_t refs;
    uint32_t count; /* entries with a key: what the signer bitsets index */
    uint64_t epoch;
    uint64_t total_weight; /* including validators without a key */
    /* Of dsmr_validator_set_find, which makes it when it is first asked; NULL before. From then on
     * node ids do not change. */
    uint16_t *_Atomic places;
    /* What all keys add up to, and more behind it (crypto/key_sum.h): of crypto, which makes it
     * when it first helps; NULL before. From then on keys do not change. */
    struct dsmr_bls_point *_Atomic all_keys;
    struct dsmr_validator validators[];
};

struct dsmr_validator_set *dsmr_validator_set_ref(struct dsmr_validator_set *set);
void dsmr_validator_set_unref(struct dsmr_validator_set *set); /* NULL is fine */
/* Index of the entry that may sign as node_id, or -1: unknown, or its key is shared. */
int dsmr_validator_set_find(const struct dsmr_validator_set *set,
                            const struct dsmr_node_id *node_id);
/* Smallest weight w with 3w > 2 * total, exact for every total. */
uint64_t dsmr_quorum_weight(uint64_t total_weight);
/* True if weight reaches it, that is 3 * weight > 2 * total. */
static inline bool dsmr_is_quorum(uint64_t weight, uint64_t total_weight)
{
    return weight >= dsmr_quorum_weight(total_weight);
}

/* ---- signers ---- */
struct dsmr_bitset { /* validator i of the set is bit i % 64 of word i / 64 */
    uint64_t words[DSMR_VALIDATORS_MAX / 64];
};

/* ---- transactions ---- */
struct dsmr_tx_view { /* borrowed bytes of one transaction: {version u8, expiry u64, body} */
    const uint8_t *bytes;
    uint32_t len;
};

/* ---- chunks and certificates ---- */
struct dsmr_chunk_header {
    struct dsmr_domain domain;
    uint64_t epoch;
    struct dsmr_node_id producer;
    uint64_t slot;
    uint64_t expiry_ms;
    struct dsmr_address fee_recipient;
    uint32_t tx_count;
    uint32_t tx_bytes; /* of the body: length prefixes and transactions */
    struct dsmr_id tx_root;
};

/* What a share signs and a block names. Rebuilt by each signer from the chunk itself. */
struct dsmr_reference {
    struct dsmr_id chunk_id;
    uint64_t epoch;
    struct dsmr_node_id producer;
    uint64_t slot;
    uint64_t expiry_ms;
    uint32_t tx_count;
    uint32_t chunk_bytes; /* whole encoded chunk */
};

struct dsmr_cert {
    struct dsmr_reference ref;
    struct dsmr_bitset signers;
    struct dsmr_bls_sig sig; /* aggregate */
};

struct dsmr_share {
    uint32_t signer; /* index in the set of the reference's epoch */
    struct dsmr_bls_sig sig;
};

/* A chunk whose body matches its header. Immutable; dsmr_chunk_ref and _unref. */
struct dsmr_chunk {
    _Atomic uint32_t refs;
    bool is_expiry_good;    /* of every transaction: rule 6.6, by the params it was made with */
    struct dsmr_buf *owner; /* keeps bytes alive */
    const uint8_t *bytes;   /* ref.chunk_bytes of them: the encoding */
    struct dsmr_chunk_header header;
    struct dsmr_reference ref;
    uint32_t *tx_offsets;  /* tx_count + 1: of each transaction's first byte behind its prefix
                              relative to bytes; the last entry is where one more would begin */
    uint32_t *tx_expiries; /* dsmr_chunk_tx_expiry_ms reads them */
    struct dsmr_id *tx_ids;
};
struct dsmr_chunk *dsmr_chunk_ref(struct dsmr_chunk *chunk);
void dsmr_chunk_unref(struct dsmr_chunk *chunk); /* NULL is fine */

/* ---- blocks ---- */
struct dsmr_past_epoch {
    uint64_t epoch;
    uint64_t ended_at_ms; /* time of the first block of a later epoch */
};

/* Immutable; dsmr_block_ref and _unref. */
struct dsmr_block {
    _Atomic uint32_t refs;
    struct dsmr_id id; /* SHA-256 of bytes */
    struct dsmr_id parent_id;
    uint64_t height;
    uint64_t time_ms;
    uint64_t epoch;
    uint32_t past_epochs_count;
    struct dsmr_past_epoch past_epochs[DSMR_PAST_EPOCHS_MAX]; /* oldest first */
    uint32_t certs_count;
    struct dsmr_cert *certs;
    struct dsmr_buf *bytes; /* the encoding */
};
struct dsmr_block *dsmr_block_ref(struct dsmr_block *block);
void dsmr_block_unref(struct dsmr_block *block); /* NULL is fine */

/* ---- evidence ---- */
/* Two chunks of one (producer, slot), each signed by the producer: a provable fault. */
struct dsmr_evidence {
    struct dsmr_reference refs[2];
    struct dsmr_bls_sig sigs[2]; /* the producer's share over each */
};
struct dsmr_evidence_key { /* there is one pair of each: the epoch is that of refs[0] */
    struct dsmr_node_id producer;
    uint64_t epoch;
};

#endif
