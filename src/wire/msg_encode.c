#include <string.h>

#include "base/assert.h"
#include "wire/message.h"

/* The body of a message: what a caller may send behind the head instead of copying it. */
struct body {
    const uint8_t *bytes;
    uint32_t len;
};

static void write_id(struct dsmr_wr *wr, const struct dsmr_id *id)
{
    dsmr_wr_bytes(wr, id->bytes, sizeof(id->bytes));
}

static void write_sig(struct dsmr_wr *wr, const struct dsmr_bls_sig *sig)
{
    dsmr_wr_bytes(wr, sig->bytes, sizeof(sig->bytes));
}

/* The length belongs to the head. */
static struct body write_length(struct dsmr_wr *wr, const uint8_t *bytes, uint32_t len)
{
    dsmr_wr_u32(wr, len);
    return (struct body){.bytes = bytes, .len = len};
}

static struct body write_dsmr(struct dsmr_wr *wr, const struct dsmr_msg *msg)
{
    struct body none = {.len = 0};
    switch ((enum dsmr_msg_type)msg->type) {
    case DSMR_MSG_STATUS:
        dsmr_wr_u64(wr, msg->u.status.accepted_height);
        dsmr_wr_u64(wr, msg->u.status.executed_height);
        dsmr_wr_u64(wr, msg->u.status.wall_ms);
        return none;
    case DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE:
        write_sig(wr, &msg->u.request_share.sig);
        return write_length(wr, msg->u.request_share.chunk, msg->u.request_share.chunk_len);
    case DSMR_MSG_CHUNK_SIGNATURE:
        dsmr_reference_encode(wr, &msg->u.chunk_signature.ref);
        write_sig(wr, &msg->u.chunk_signature.sig);
        return none;
    case DSMR_MSG_CHUNK_REFUSED:
    case DSMR_MSG_CERTIFICATE_ANSWER:
        write_id(wr, &msg->u.chunk_refused.chunk_id);
        dsmr_wr_u16(wr, msg->u.chunk_refused.err);
        return none;
    case DSMR_MSG_CERTIFICATE:
        dsmr_cert_encode(wr, &msg->u.certificate);
        return none;
    case DSMR_MSG_REQUEST_CHUNK:
        write_id(wr, &msg->u.request_chunk.chunk_id);
        dsmr_wr_u64(wr, msg->u.request_chunk.height);
        return none;
    case DSMR_MSG_CHUNK:
        write_id(wr, &msg->u.chunk.chunk_id);
        dsmr_wr_u16(wr, msg->u.chunk.err);
        return write_length(wr, msg->u.chunk.chunk, msg->u.chunk.chunk_len);
    default:
        DSMR_UNREACHABLE();
    }
}

static struct body write_bft(struct dsmr_wr *wr, const struct dsmr_msg *msg)
{
    struct body none = {.len = 0};
    switch ((enum dsmr_msg_type)msg->type) {
    case DSMR_MSG_BFT_PROPOSAL:
        dsmr_wr_u64(wr, msg->u.proposal.epoch);
        dsmr_wr_u64(wr, msg->u.proposal.view);
        dsmr_wr_u64(wr, msg->u.proposal.parent_view);
        write_id(wr, &msg->u.proposal.parent_id);
        write_id(wr, &msg->u.proposal.block_id);
        return write_length(wr, msg->u.proposal.block, msg->u.proposal.block_len);
    case DSMR_MSG_BFT_VOTE:
        dsmr_vote_subject_encode(wr, &msg->u.vote.subject);
        write_sig(wr, &msg->u.vote.sig);
        return none;
    case DSMR_MSG_BFT_QUORUM_CERT:
        dsmr_quorum_cert_encode(wr, &msg->u.quorum_cert);
        return none;
    case DSMR_MSG_BFT_REQUEST_BLOCKS:
        dsmr_wr_u64(wr, msg->u.request_blocks.from_height);
        return none;
    case DSMR_MSG_BFT_BLOCKS:
        dsmr_quorum_cert_encode(wr, &msg->u.blocks.finalization);
        dsmr_wr_u32(wr, msg->u.blocks.count);
        return write_length(wr, msg->u.blocks.blocks, msg->u.blocks.blocks_len);
    case DSMR_MSG_BFT_REQUEST_VIEW:
        dsmr_wr_u64(wr, msg->u.request_view.epoch);
        dsmr_wr_u64(wr, msg->u.request_view.from_view);
        dsmr_wr_u64(wr, msg->u.request_view.to_view);
        return none;
    case DSMR_MSG_BFT_REQUEST_BLOCK:
        write_id(wr, &msg->u.request_block.block_id);
        return none;
    case DSMR_MSG_BFT_BLOCK:
        return write_length(wr, msg->u.block.block, msg->u.block.block_len);
    case DSMR_MSG_BFT_POSITION:
        dsmr_wr_u64(wr, msg->u.position.epoch);
        dsmr_wr_u64(wr, msg->u.position.view);
        dsmr_wr_u64(wr, msg->u.position.height);
        dsmr_wr_u64(wr, msg->u.position.votes_from);
        dsmr_wr_u64(wr, msg->u.position.heard_view);
        dsmr_wr_u64(wr, msg->u.position.question);
        return none;
    default:
        DSMR_UNREACHABLE();
    }
}

struct dsmr_buf *dsmr_msg_encode(const struct dsmr_msg *msg, bool with_body)
{
    uint8_t head[DSMR_MESSAGE_OVERHEAD_MAX];
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, head, sizeof(head));
    dsmr_wr_u8(&wr, msg->type);
    struct body body = msg->type >= DSMR_MSG_BFT_FIRST ? write_bft(&wr, msg) : write_dsmr(&wr, msg);
    DSMR_ASSERT(wr.err == DSMR_OK);
    uint32_t body_len = with_body ? body.len : 0;
    struct dsmr_buf *buf = dsmr_buf_new(wr.at + body_len);
    if (buf == NULL) {
        return NULL;
    }
    memcpy(buf->bytes, head, wr.at);
    if (body_len > 0) {
        memcpy(buf->bytes + wr.at, body.bytes, body_len);
    }
    return buf;
}
