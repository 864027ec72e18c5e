#include "base/assert.h"
#include "base/bytes.h"
#include "wire/message.h"
#include "wire/signing.h"

_Static_assert(DSMR_VOTE_SUBJECT_BYTES == 1 + 8 + 8 + 8 + 32, "docs/wire.md, Vote");

void dsmr_vote_subject_encode(struct dsmr_wr *wr, const struct dsmr_vote_subject *subject)
{
    dsmr_wr_u8(wr, subject->kind);
    dsmr_wr_u64(wr, subject->epoch);
    dsmr_wr_u64(wr, subject->view);
    dsmr_wr_u64(wr, subject->height);
    dsmr_wr_bytes(wr, subject->block_id.bytes, sizeof(subject->block_id.bytes));
}

void dsmr_vote_subject_decode(struct dsmr_rd *rd, struct dsmr_vote_subject *out)
{
    out->kind = dsmr_rd_u8(rd);
    out->epoch = dsmr_rd_u64(rd);
    out->view = dsmr_rd_u64(rd);
    out->height = dsmr_rd_u64(rd);
    dsmr_rd_bytes(rd, out->block_id.bytes, sizeof(out->block_id.bytes));
    if (out->kind < DSMR_VOTE_NOTARIZE || out->kind > DSMR_VOTE_FINALIZE) {
        dsmr_rd_fail(rd, DSMR_ERR_MALFORMED);
    }
    if (out->kind == DSMR_VOTE_NULLIFY && (out->height != 0 || !dsmr_id_is_zero(&out->block_id))) {
        dsmr_rd_fail(rd, DSMR_ERR_NON_CANONICAL);
    }
}

void dsmr_vote_signing_bytes(uint8_t out[DSMR_VOTE_SIGNING_BYTES], const struct dsmr_domain *domain,
                             const struct dsmr_vote_subject *subject)
{
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, out, DSMR_VOTE_SIGNING_BYTES);
    dsmr_signing_head(&wr, domain, DSMR_SIGNING_BFT_VOTE, DSMR_VOTE_SUBJECT_BYTES);
    dsmr_vote_subject_encode(&wr, subject);
    DSMR_ASSERT(wr.err == DSMR_OK && wr.at == DSMR_VOTE_SIGNING_BYTES);
}

bool dsmr_vote_subject_equal(const struct dsmr_vote_subject *a, const struct dsmr_vote_subject *b)
{
    return a->kind == b->kind && a->epoch == b->epoch && a->view == b->view &&
           a->height == b->height && dsmr_id_equal(&a->block_id, &b->block_id);
}
