/* wire_samples.h - one sample of everything that has an encoding, with fixed contents.
 *
 * Why: the vectors, the truncation and bit-flip tests and the fuzzers' first inputs all start
 *      from the same list, so that a new message is added once. */
#ifndef DSMR_TEST_WIRE_SAMPLES_H
#define DSMR_TEST_WIRE_SAMPLES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/bitset.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "wire/codec.h"
#include "wire/message.h"

#define WIRE_SAMPLES_TXS 3u
#define WIRE_SAMPLES_SLOT UINT64_C(17000000000)

static inline void samples_fill(void *out, size_t len, uint8_t first)
{
    uint8_t *bytes = out;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(first + i);
    }
}

static inline void samples_params(struct dsmr_params *out)
{
    dsmr_params_default(out);
    out->domain.network_id = 88888;
    samples_fill(out->domain.chain_id.bytes, 32, 0x10);
}

static inline void samples_header(struct dsmr_chunk_header *out)
{
    memset(out, 0, sizeof(*out));
    struct dsmr_params params;
    samples_params(&params);
    out->domain = params.domain;
    out->epoch = 7;
    samples_fill(out->producer.bytes, 20, 0x30);
    out->slot = WIRE_SAMPLES_SLOT;
    out->expiry_ms = WIRE_SAMPLES_SLOT * params.slot_ms + params.chunk_lifetime_ms;
    samples_fill(out->fee_recipient.bytes, 32, 0x50);
}

/* Transaction i: version 1, an expiry within the window, a body of 7 + 10 * i bytes. */
static inline uint32_t samples_tx(uint8_t out[256], uint32_t i)
{
    out[0] = 1;
    dsmr_store_be64(out + 1, WIRE_SAMPLES_SLOT * 100 + 1000 * i);
    samples_fill(out + DSMR_TX_HEAD_BYTES, 7 + 10u * i, (uint8_t)i);
    return DSMR_TX_BYTES_MIN + 10 * i;
}

static inline struct dsmr_chunk *samples_chunk(void)
{
    struct dsmr_params params;
    struct dsmr_chunk_header header;
    struct dsmr_chunk_tx txs[WIRE_SAMPLES_TXS];
    uint8_t bytes[WIRE_SAMPLES_TXS][256];
    struct dsmr_chunk *chunk = NULL;
    samples_params(&params);
    samples_header(&header);
    for (uint32_t i = 0; i < WIRE_SAMPLES_TXS; i++) {
        txs[i].len = samples_tx(bytes[i], i);
        txs[i].bytes = bytes[i];
        dsmr_hash(&txs[i].id, bytes[i], txs[i].len);
    }
    enum dsmr_err err = dsmr_chunk_build(&chunk, &params, &header, txs, WIRE_SAMPLES_TXS);
    DSMR_ASSERT(err == DSMR_OK);
    return chunk;
}

static inline void samples_reference(struct dsmr_reference *out, uint8_t number)
{
    samples_fill(out->chunk_id.bytes, 32, number);
    out->epoch = 7;
    samples_fill(out->producer.bytes, 20, 0x30);
    out->slot = WIRE_SAMPLES_SLOT;
    out->expiry_ms = WIRE_SAMPLES_SLOT * 100 + 30000;
    out->tx_count = 300;
    out->chunk_bytes = 70000;
}

/* Signers 0 and last. */
static inline void samples_cert(struct dsmr_cert *out, uint8_t number, uint32_t last)
{
    memset(out, 0, sizeof(*out));
    samples_reference(&out->ref, number);
    dsmr_bitset_add(&out->signers, 0);
    dsmr_bitset_add(&out->signers, last);
    samples_fill(out->sig.bytes, 96, 0x80);
}

static inline struct dsmr_block *samples_block(uint32_t certs_count)
{
    struct dsmr_params params;
    struct dsmr_cert certs[4];
    struct dsmr_block *block = NULL;
    struct dsmr_block fields = {.height = 42,
                                .time_ms = WIRE_SAMPLES_SLOT * 100 + 500,
                                .epoch = 8,
                                .past_epochs_count = 2,
                                .past_epochs = {{5, 1000}, {7, 2000}},
                                .certs_count = certs_count,
                                .certs = certs};
    DSMR_ASSERT(certs_count <= 4);
    samples_params(&params);
    samples_fill(fields.parent_id.bytes, 32, 0x90);
    for (uint32_t i = 0; i < certs_count; i++) {
        samples_cert(&certs[i], (uint8_t)i, 3 + 60 * i);
    }
    enum dsmr_err err = dsmr_block_build(&block, &params, &fields);
    DSMR_ASSERT(err == DSMR_OK);
    return block;
}

static inline void samples_evidence(struct dsmr_evidence *out)
{
    for (uint8_t i = 0; i < 2; i++) {
        samples_reference(&out->refs[i], i);
        samples_fill(out->sigs[i].bytes, 96, (uint8_t)(0x80 + i));
    }
}

static inline void samples_vote(struct dsmr_vote_subject *out, uint8_t kind)
{
    memset(out, 0, sizeof(*out));
    out->epoch = 7;
    out->view = 19;
    out->kind = kind;
    if (kind != DSMR_VOTE_NULLIFY) {
        out->height = 43;
        samples_fill(out->block_id.bytes, 32, 0xa0);
    }
}

static inline void samples_quorum_cert(struct dsmr_quorum_cert *out, uint8_t kind)
{
    memset(out, 0, sizeof(*out));
    samples_vote(&out->subject, kind);
    dsmr_bitset_add(&out->signers, 1);
    dsmr_bitset_add(&out->signers, 9);
    samples_fill(out->sig.bytes, 96, 0x81);
}

/* What a message of a type holds when nothing in it is large. */
static inline void samples_small_message(struct dsmr_msg *out, uint8_t type)
{
    memset(out, 0, sizeof(*out));
    out->type = type;
    switch (type) {
    case DSMR_MSG_STATUS:
        out->u.status.accepted_height = 1000;
        out->u.status.executed_height = 990;
        out->u.status.wall_ms = UINT64_C(1700000000123);
        break;
    case DSMR_MSG_CHUNK_SIGNATURE:
        samples_reference(&out->u.chunk_signature.ref, 3);
        samples_fill(out->u.chunk_signature.sig.bytes, 96, 0x82);
        break;
    case DSMR_MSG_CHUNK_REFUSED:
    case DSMR_MSG_CERTIFICATE_ANSWER:
        samples_fill(out->u.chunk_refused.chunk_id.bytes, 32, 4);
        out->u.chunk_refused.err = DSMR_ERR_QUOTA_FULL;
        break;
    case DSMR_MSG_CERTIFICATE:
        samples_cert(&out->u.certificate, 5, 100);
        break;
    case DSMR_MSG_REQUEST_CHUNK:
        samples_fill(out->u.request_chunk.chunk_id.bytes, 32, 6);
        out->u.request_chunk.height = 43;
        break;
    case DSMR_MSG_BFT_VOTE:
        samples_vote(&out->u.vote.subject, DSMR_VOTE_FINALIZE);
        samples_fill(out->u.vote.sig.bytes, 96, 0x83);
        break;
    case DSMR_MSG_BFT_QUORUM_CERT:
        samples_quorum_cert(&out->u.quorum_cert, DSMR_VOTE_NULLIFY);
        break;
    case DSMR_MSG_BFT_REQUEST_BLOCKS:
        out->u.request_blocks.from_height = 77;
        break;
    case DSMR_MSG_BFT_REQUEST_VIEW:
        out->u.request_view.epoch = 7;
        out->u.request_view.from_view = 18;
        out->u.request_view.to_view = 20;
        break;
    case DSMR_MSG_BFT_REQUEST_BLOCK:
        samples_fill(out->u.request_block.block_id.bytes, 32, 7);
        break;
    case DSMR_MSG_BFT_POSITION:
        out->u.position.epoch = 7;
        out->u.position.view = 20;
        out->u.position.height = 43;
        out->u.position.votes_from = 22;
        out->u.position.heard_view = 19;
        out->u.position.question = 4711;
        break;
    default:
        break;
    }
}

/* A message of a type with a body: body stays the caller's. */
static inline void samples_message(struct dsmr_msg *out, uint8_t type, const uint8_t *body,
                                   uint32_t body_len)
{
    samples_small_message(out, type);
    switch (type) {
    case DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE:
        samples_fill(out->u.request_share.sig.bytes, 96, 0x84);
        out->u.request_share.chunk = body;
        out->u.request_share.chunk_len = body_len;
        break;
    case DSMR_MSG_CHUNK:
        samples_fill(out->u.chunk.chunk_id.bytes, 32, 8);
        out->u.chunk.chunk = body;
        out->u.chunk.chunk_len = body_len;
        break;
    case DSMR_MSG_BFT_PROPOSAL:
        out->u.proposal.epoch = 7;
        out->u.proposal.view = 20;
        out->u.proposal.parent_view = 19;
        samples_fill(out->u.proposal.parent_id.bytes, 32, 9);
        samples_fill(out->u.proposal.block_id.bytes, 32, 10);
        out->u.proposal.block = body;
        out->u.proposal.block_len = body_len;
        break;
    case DSMR_MSG_BFT_BLOCKS:
        samples_quorum_cert(&out->u.blocks.finalization, DSMR_VOTE_FINALIZE);
        out->u.blocks.count = 2;
        out->u.blocks.blocks = body;
        out->u.blocks.blocks_len = body_len;
        break;
    case DSMR_MSG_BFT_BLOCK:
        out->u.block.block = body;
        out->u.block.block_len = body_len;
        break;
    default:
        break;
    }
}

static const uint8_t samples_types[] = {
#define DSMR_MSG_X(name, number, cls) number,
    DSMR_MSG_MAP(DSMR_MSG_X)
#undef DSMR_MSG_X
};
#define SAMPLES_TYPES (sizeof(samples_types))
/* Two blocks of 3 and 2 bytes, as BFT_BLOCKS frames them; a body for every other message too. */
static const uint8_t samples_body[] = {0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 2, 'd', 'e'};

#endif
