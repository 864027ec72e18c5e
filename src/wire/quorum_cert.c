#include "wire/message.h"

void dsmr_quorum_cert_encode(struct dsmr_wr *wr, const struct dsmr_quorum_cert *qc)
{
    dsmr_vote_subject_encode(wr, &qc->subject);
    dsmr_signers_encode(wr, &qc->signers);
    dsmr_wr_bytes(wr, qc->sig.bytes, sizeof(qc->sig.bytes));
}

void dsmr_quorum_cert_decode(struct dsmr_rd *rd, struct dsmr_quorum_cert *out, uint32_t bits_max)
{
    dsmr_vote_subject_decode(rd, &out->subject);
    dsmr_signers_decode(rd, &out->signers, bits_max);
    dsmr_rd_bytes(rd, out->sig.bytes, sizeof(out->sig.bytes));
}
