#include "base/assert.h"
#include "base/bytes.h"
#include "wire/codec.h"

void dsmr_evidence_encode(uint8_t out[DSMR_EVIDENCE_BYTES], const struct dsmr_evidence *evidence)
{
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, out, DSMR_EVIDENCE_BYTES);
    dsmr_wr_u8(&wr, DSMR_WIRE_VERSION);
    for (unsigned i = 0; i < 2; i++) {
        dsmr_reference_encode(&wr, &evidence->refs[i]);
        dsmr_wr_bytes(&wr, evidence->sigs[i].bytes, sizeof(evidence->sigs[i].bytes));
    }
    DSMR_ASSERT(wr.err == DSMR_OK && wr.at == DSMR_EVIDENCE_BYTES);
}

/* Two chunks of one producer and slot: without that it proves nothing. */
static bool is_conflict(const struct dsmr_reference *a, const struct dsmr_reference *b)
{
    return dsmr_node_id_equal(&a->producer, &b->producer) && a->slot == b->slot &&
           !dsmr_id_equal(&a->chunk_id, &b->chunk_id);
}

enum dsmr_err dsmr_evidence_decode(struct dsmr_evidence *out, const void *bytes, size_t len)
{
    struct dsmr_rd rd;
    struct dsmr_evidence evidence;
    dsmr_rd_init(&rd, bytes, len);
    if (dsmr_rd_u8(&rd) != DSMR_WIRE_VERSION) {
        dsmr_rd_fail(&rd, DSMR_ERR_VERSION);
    }
    for (unsigned i = 0; i < 2; i++) {
        dsmr_reference_decode(&rd, &evidence.refs[i]);
        dsmr_rd_bytes(&rd, evidence.sigs[i].bytes, sizeof(evidence.sigs[i].bytes));
    }
    enum dsmr_err err = dsmr_rd_end(&rd);
    if (err == DSMR_OK && !is_conflict(&evidence.refs[0], &evidence.refs[1])) {
        err = DSMR_ERR_MALFORMED;
    }
    if (err == DSMR_OK) {
        *out = evidence;
    }
    return err;
}
