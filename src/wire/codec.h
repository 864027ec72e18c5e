/* codec.h - the canonical encoding of everything that is hashed, signed, stored or sent.
 *
 * Described field by field in docs/wire.md, pinned by test/vectors. Rules for every decoder:
 * exact version, no trailing bytes, limits checked before anything is allocated, at most twice the
 * input allocated, one encoding per value. On error outputs are untouched.
 * Pure; any thread. */
#ifndef DSMR_WIRE_CODEC_H
#define DSMR_WIRE_CODEC_H

#include "dsmr/types.h"
#include "wire/cursor.h"

#define DSMR_WIRE_VERSION 1u

/* ---- fixed parts, on cursors (their errors stick to the cursor) ---- */
void dsmr_reference_encode(struct dsmr_wr *wr, const struct dsmr_reference *ref);
void dsmr_reference_decode(struct dsmr_rd *rd, struct dsmr_reference *out);
/* u16 length and big-endian bytes without a leading zero byte, bit 0 the last byte's lowest, as
 * Avalanche's. bits_max: number of validators, or DSMR_VALIDATORS_MAX where the set is not known
 * yet. Empty is BITSET. */
void dsmr_signers_encode(struct dsmr_wr *wr, const struct dsmr_bitset *signers);
void dsmr_signers_decode(struct dsmr_rd *rd, struct dsmr_bitset *out, uint32_t bits_max);
size_t dsmr_signers_encoded_size(const struct dsmr_bitset *signers);
/* The bytes alone, without the length; returns how many. */
size_t dsmr_signers_bytes(uint8_t out[DSMR_VALIDATORS_MAX / 8u], const struct dsmr_bitset *signers);
/* Certificate: reference, signers, signature. */
#define DSMR_CERT_BYTES_MAX (DSMR_REFERENCE_BYTES + 2u + DSMR_VALIDATORS_MAX / 8u + 96u)
void dsmr_cert_encode(struct dsmr_wr *wr, const struct dsmr_cert *cert);
void dsmr_cert_decode(struct dsmr_rd *rd, struct dsmr_cert *out, uint32_t bits_max);
size_t dsmr_cert_encoded_size(const struct dsmr_cert *cert);
/* SHA-256 of the encoding: what verdicts are cached by. */
void dsmr_cert_hash(struct dsmr_id *out, const struct dsmr_cert *cert);

/* ---- signing bytes: nothing else ever feeds sign or verify ---- */
/* Avalanche Warp UnsignedMessage: codec u16 0, network u32, chain 32, payload length u32, payload.
 * Payload: 4-byte tag "DSMR", type u8, version u8, then the fields. */
enum dsmr_signing_type {
    DSMR_SIGNING_SHARE = 1,    /* reference */
    DSMR_SIGNING_BFT_VOTE = 2, /* vote of the built-in engine */
};
#define DSMR_SIGNING_HEAD_BYTES (2u + 4u + 32u + 4u)
#define DSMR_SHARE_SIGNING_BYTES (DSMR_SIGNING_HEAD_BYTES + 6u + DSMR_REFERENCE_BYTES)
void dsmr_share_signing_bytes(uint8_t out[DSMR_SHARE_SIGNING_BYTES],
                              const struct dsmr_domain *domain, const struct dsmr_reference *ref);
/* The certificate as an Avalanche Warp Message: the unsigned message, then type id u32 0, signers
 * u32 length and bytes, signature. Caller's buffer of DSMR_WARP_MESSAGE_BYTES_MAX; returns size. */
#define DSMR_WARP_MESSAGE_BYTES_MAX (DSMR_SHARE_SIGNING_BYTES + 8u + DSMR_VALIDATORS_MAX / 8u + 96u)
size_t dsmr_cert_warp_message(uint8_t *out, const struct dsmr_domain *domain,
                              const struct dsmr_cert *cert);

/* ---- transactions ---- */
struct dsmr_tx_head {
    uint8_t version;
    uint64_t expiry_ms;
};
/* MALFORMED below DSMR_TX_BYTES_MIN, TOO_LARGE above DSMR_TX_BYTES_MAX. Any version passes: it is
 * the application's. */
DSMR_MUST_USE enum dsmr_err dsmr_tx_head_decode(struct dsmr_tx_head *out, const void *bytes,
                                                size_t len);

/* ---- chunks ---- */
/* tx_expiries counts from so long before the chunk's expiry; FAR: the transaction itself tells. */
#define DSMR_CHUNK_TX_EXPIRY_BEFORE_MS (UINT64_C(1) << 31)
#define DSMR_CHUNK_TX_EXPIRY_FAR UINT32_MAX
void dsmr_chunk_header_encode(struct dsmr_wr *wr, const struct dsmr_chunk_header *header);
/* Reads the header of an encoded chunk and checks what needs no body: version, domain, limits of
 * params, expiry and slot arithmetic, total size = chunk_len. */
DSMR_MUST_USE enum dsmr_err dsmr_chunk_header_decode(struct dsmr_chunk_header *out,
                                                     const struct dsmr_params *params,
                                                     const uint8_t *chunk, size_t chunk_len);
/* Slot start and expiry of a slot (protocol.md, Chunk); false if they overflow, outputs untouched.
 */
DSMR_MUST_USE bool dsmr_chunk_header_times(uint64_t *slot_start_ms, uint64_t *expiry_ms,
                                           uint64_t slot, const struct dsmr_params *params);
/* chunk_id = SHA-256 of the encoded header. */
void dsmr_chunk_reference(struct dsmr_reference *out, const struct dsmr_chunk_header *header);
/* The whole chunk: header as above, then each transaction hashed once, then count, bytes and root
 * compared (BODY_MISMATCH). Takes a reference on owner; bytes must lie in it. Transaction expiry
 * and duplicates are not judged here (dsmr_chunk_check_txs). BAD_TX: a length is outside
 * DSMR_TX_BYTES_MIN to _MAX. NO_MEMORY. Caller unrefs. */
DSMR_MUST_USE enum dsmr_err dsmr_chunk_decode(struct dsmr_chunk **out,
                                              const struct dsmr_params *params,
                                              struct dsmr_buf *owner, const uint8_t *bytes,
                                              size_t len);
/* Of a chunk: one transaction; and when it expires, which is known without a look at its bytes,
 * unless that is weeks before or after the chunk's own. */
static inline struct dsmr_tx_view dsmr_chunk_tx(const struct dsmr_chunk *chunk, uint32_t i)
{
    uint32_t begin = chunk->tx_offsets[i];
    return (struct dsmr_tx_view){.bytes = chunk->bytes + begin,
                                 .len =
                                     chunk->tx_offsets[i + 1] - DSMR_CHUNK_TX_PREFIX_BYTES - begin};
}
uint64_t dsmr_chunk_tx_expiry_far_ms(const struct dsmr_chunk *chunk, uint32_t i);
static inline uint64_t dsmr_chunk_tx_expiry_ms(const struct dsmr_chunk *chunk, uint32_t i)
{
    uint32_t after = chunk->tx_expiries[i];
    return after == DSMR_CHUNK_TX_EXPIRY_FAR
               ? dsmr_chunk_tx_expiry_far_ms(chunk, i)
               : chunk->header.expiry_ms - DSMR_CHUNK_TX_EXPIRY_BEFORE_MS + after;
}
/* protocol.md, Signing, rule 6, without the application's part: every expiry within [slot start,
 * slot start + validity window], no id twice. TX_EXPIRY, TX_TWICE, EXPIRY_MISMATCH, NO_MEMORY. */
DSMR_MUST_USE enum dsmr_err dsmr_chunk_check_txs(const struct dsmr_chunk *chunk,
                                                 const struct dsmr_params *params);
struct dsmr_chunk_tx { /* what the builder puts into a chunk; id as SHA-256 of bytes */
    const uint8_t *bytes;
    uint32_t len;
    struct dsmr_id id;
};
/* Builds the chunk from header (tx_count, tx_bytes, tx_root are computed) and txs, whose ids are
 * trusted. Other fields are taken as they are: a chunk that no one would sign can be built too.
 * MALFORMED without txs, BAD_TX for one of a wrong length, TOO_LARGE over params, NO_MEMORY.
 * Caller unrefs. */
DSMR_MUST_USE enum dsmr_err dsmr_chunk_build(struct dsmr_chunk **out,
                                             const struct dsmr_params *params,
                                             const struct dsmr_chunk_header *header,
                                             const struct dsmr_chunk_tx *txs, uint32_t txs_count);

/* ---- blocks ---- */
/* Encodes a block's fields (id and bytes are computed) into a new block; certs are copied.
 * TOO_LARGE over block_bytes_max, NO_MEMORY. Caller unrefs. */
DSMR_MUST_USE enum dsmr_err dsmr_block_build(struct dsmr_block **out,
                                             const struct dsmr_params *params,
                                             const struct dsmr_block *fields);
/* Takes a reference on owner: bytes must be all of it or lie in it (then they are copied). */
DSMR_MUST_USE enum dsmr_err dsmr_block_decode(struct dsmr_block **out,
                                              const struct dsmr_params *params,
                                              struct dsmr_buf *owner, const uint8_t *bytes,
                                              size_t len);
size_t dsmr_block_encoded_size(const struct dsmr_block *fields);
/* The block that every node of the chain starts from: height 0, epoch NONE, no parent. */
DSMR_MUST_USE enum dsmr_err dsmr_block_genesis(struct dsmr_block **out,
                                               const struct dsmr_params *params, uint64_t time_ms);

/* ---- evidence ---- */
#define DSMR_EVIDENCE_BYTES (1u + 2u * (DSMR_REFERENCE_BYTES + 96u))
void dsmr_evidence_encode(uint8_t out[DSMR_EVIDENCE_BYTES], const struct dsmr_evidence *evidence);
DSMR_MUST_USE enum dsmr_err dsmr_evidence_decode(struct dsmr_evidence *out, const void *bytes,
                                                 size_t len);
#endif
