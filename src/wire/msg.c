#include <string.h>

#include "base/assert.h"
#include "wire/message.h"

_Static_assert(1 + 4 + 4 + DSMR_QUORUM_CERT_BYTES_MAX + 4 <= DSMR_MESSAGE_OVERHEAD_MAX,
               "BFT_BLOCKS: the longest head, and one block's length");
_Static_assert(1 + DSMR_CERT_BYTES_MAX <= DSMR_MESSAGE_OVERHEAD_MAX, "CERTIFICATE has no body");

int dsmr_msg_class_of(uint8_t type)
{
    switch (type) {
#define DSMR_MSG_X(name, number, cls)                                                              \
    case number:                                                                                   \
        return DSMR_MSG_CLASS_##cls;
        DSMR_MSG_MAP(DSMR_MSG_X)
#undef DSMR_MSG_X
    }
    return -1;
}

const char *dsmr_msg_name(uint8_t type)
{
    switch (type) {
#define DSMR_MSG_X(name, number, cls)                                                              \
    case number:                                                                                   \
        return #name;
        DSMR_MSG_MAP(DSMR_MSG_X)
#undef DSMR_MSG_X
    }
    return "unknown";
}

static void read_id(struct dsmr_rd *rd, struct dsmr_id *out)
{
    dsmr_rd_bytes(rd, out->bytes, sizeof(out->bytes));
}

static void read_sig(struct dsmr_rd *rd, struct dsmr_bls_sig *out)
{
    dsmr_rd_bytes(rd, out->bytes, sizeof(out->bytes));
}

/* A number of err.h; others would index tables that have no such place. */
static uint16_t read_err(struct dsmr_rd *rd)
{
    uint16_t err = dsmr_rd_u16(rd);
    if (err >= DSMR_ERR_NUMBER_MAX) {
        dsmr_rd_fail(rd, DSMR_ERR_MALFORMED);
    }
    return err;
}

static void read_body(struct dsmr_rd *rd, const uint8_t **body, uint32_t *len)
{
    *len = dsmr_rd_u32(rd);
    *body = dsmr_rd_view(rd, *len);
}

static void read_body_not_empty(struct dsmr_rd *rd, const uint8_t **body, uint32_t *len)
{
    read_body(rd, body, len);
    if (*len == 0) {
        dsmr_rd_fail(rd, DSMR_ERR_MALFORMED);
    }
}

/* count blocks, each with its length, and nothing else. */
static void check_blocks(struct dsmr_rd *rd, uint32_t count, const uint8_t *blocks, uint32_t len)
{
    struct dsmr_rd inner;
    dsmr_rd_init(&inner, blocks, len);
    for (uint32_t i = 0; i < count && inner.err == DSMR_OK; i++) {
        const uint8_t *block;
        uint32_t block_len;
        read_body_not_empty(&inner, &block, &block_len);
    }
    if (count == 0 || dsmr_rd_end(&inner) != DSMR_OK) {
        dsmr_rd_fail(rd, DSMR_ERR_MALFORMED);
    }
}

static void read_dsmr(struct dsmr_rd *rd, struct dsmr_msg *msg)
{
    switch ((enum dsmr_msg_type)msg->type) {
    case DSMR_MSG_STATUS:
        msg->u.status.accepted_height = dsmr_rd_u64(rd);
        msg->u.status.executed_height = dsmr_rd_u64(rd);
        msg->u.status.wall_ms = dsmr_rd_u64(rd);
        break;
    case DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE:
        read_sig(rd, &msg->u.request_share.sig);
        read_body_not_empty(rd, &msg->u.request_share.chunk, &msg->u.request_share.chunk_len);
        break;
    case DSMR_MSG_CHUNK_SIGNATURE:
        dsmr_reference_decode(rd, &msg->u.chunk_signature.ref);
        read_sig(rd, &msg->u.chunk_signature.sig);
        break;
    case DSMR_MSG_CHUNK_REFUSED:
    case DSMR_MSG_CERTIFICATE_ANSWER:
        read_id(rd, &msg->u.chunk_refused.chunk_id);
        msg->u.chunk_refused.err = read_err(rd);
        break;
    case DSMR_MSG_CERTIFICATE:
        dsmr_cert_decode(rd, &msg->u.certificate, DSMR_VALIDATORS_MAX);
        break;
    case DSMR_MSG_REQUEST_CHUNK:
        read_id(rd, &msg->u.request_chunk.chunk_id);
        msg->u.request_chunk.height = dsmr_rd_u64(rd);
        break;
    case DSMR_MSG_CHUNK:
        read_id(rd, &msg->u.chunk.chunk_id);
        msg->u.chunk.err = read_err(rd);
        read_body(rd, &msg->u.chunk.chunk, &msg->u.chunk.chunk_len);
        if ((msg->u.chunk.err == DSMR_OK) != (msg->u.chunk.chunk_len > 0)) {
            dsmr_rd_fail(rd, DSMR_ERR_MALFORMED);
        }
        break;
    default:
        dsmr_rd_fail(rd, DSMR_ERR_MALFORMED);
        break;
    }
}

static void read_bft(struct dsmr_rd *rd, struct dsmr_msg *msg)
{
    switch ((enum dsmr_msg_type)msg->type) {
    case DSMR_MSG_BFT_PROPOSAL:
        msg->u.proposal.epoch = dsmr_rd_u64(rd);
        msg->u.proposal.view = dsmr_rd_u64(rd);
        msg->u.proposal.parent_view = dsmr_rd_u64(rd);
        read_id(rd, &msg->u.proposal.parent_id);
        read_id(rd, &msg->u.proposal.block_id);
        read_body(rd, &msg->u.proposal.block, &msg->u.proposal.block_len);
        break;
    case DSMR_MSG_BFT_VOTE:
        dsmr_vote_subject_decode(rd, &msg->u.vote.subject);
        read_sig(rd, &msg->u.vote.sig);
        break;
    case DSMR_MSG_BFT_QUORUM_CERT:
        dsmr_quorum_cert_decode(rd, &msg->u.quorum_cert, DSMR_VALIDATORS_MAX);
        break;
    case DSMR_MSG_BFT_REQUEST_BLOCKS:
        msg->u.request_blocks.from_height = dsmr_rd_u64(rd);
        break;
    case DSMR_MSG_BFT_BLOCKS:
        dsmr_quorum_cert_decode(rd, &msg->u.blocks.finalization, DSMR_VALIDATORS_MAX);
        msg->u.blocks.count = dsmr_rd_u32(rd);
        read_body(rd, &msg->u.blocks.blocks, &msg->u.blocks.blocks_len);
        if (rd->err == DSMR_OK) {
            check_blocks(rd, msg->u.blocks.count, msg->u.blocks.blocks, msg->u.blocks.blocks_len);
        }
        break;
    case DSMR_MSG_BFT_REQUEST_VIEW:
        msg->u.request_view.epoch = dsmr_rd_u64(rd);
        msg->u.request_view.from_view = dsmr_rd_u64(rd);
        msg->u.request_view.to_view = dsmr_rd_u64(rd);
        break;
    case DSMR_MSG_BFT_REQUEST_BLOCK:
        read_id(rd, &msg->u.request_block.block_id);
        break;
    case DSMR_MSG_BFT_BLOCK:
        read_body_not_empty(rd, &msg->u.block.block, &msg->u.block.block_len);
        break;
    case DSMR_MSG_BFT_POSITION:
        msg->u.position.epoch = dsmr_rd_u64(rd);
        msg->u.position.view = dsmr_rd_u64(rd);
        msg->u.position.height = dsmr_rd_u64(rd);
        msg->u.position.votes_from = dsmr_rd_u64(rd);
        msg->u.position.heard_view = dsmr_rd_u64(rd);
        msg->u.position.question = dsmr_rd_u64(rd);
        break;
    default:
        dsmr_rd_fail(rd, DSMR_ERR_MALFORMED);
        break;
    }
}

enum dsmr_err dsmr_msg_decode(struct dsmr_msg *out, const void *bytes, size_t len)
{
    struct dsmr_rd rd;
    struct dsmr_msg msg;
    memset(&msg, 0, sizeof(msg));
    dsmr_rd_init(&rd, bytes, len);
    msg.type = dsmr_rd_u8(&rd);
    if (msg.type >= DSMR_MSG_BFT_FIRST) {
        read_bft(&rd, &msg);
    } else {
        read_dsmr(&rd, &msg);
    }
    enum dsmr_err err = dsmr_rd_end(&rd);
    if (err == DSMR_OK) {
        *out = msg;
    }
    return err;
}
