#include "base/assert.h"
#include "bft/engine_state.h"

struct dsmr_bft_op *dsmr_bft_op_add(struct dsmr_bft *bft, enum dsmr_bft_op_kind kind)
{
    for (uint32_t i = 0; i < DSMR_BFT_OPS_MAX; i++) {
        if (bft->ops[i].kind == DSMR_BFT_OP_FREE) {
            bft->ops[i] = (struct dsmr_bft_op){
                .request_id = ++bft->request_id,
                .begun_ms = bft->now_ms,
                .kind = (uint8_t)kind,
                .peer = DSMR_BFT_NO_PEER,
            };
            bft->ops_end = i + 1 > bft->ops_end ? i + 1 : bft->ops_end;
            return &bft->ops[i];
        }
    }
    return NULL;
}

bool dsmr_bft_op_has_room(const struct dsmr_bft *bft)
{
    for (uint32_t i = 0; i < bft->ops_end; i++) {
        if (bft->ops[i].kind == DSMR_BFT_OP_FREE) {
            return true;
        }
    }
    return bft->ops_end < DSMR_BFT_OPS_MAX;
}

struct dsmr_bft_op *dsmr_bft_op_find(struct dsmr_bft *bft, enum dsmr_bft_op_kind kind,
                                     uint64_t request_id)
{
    for (uint32_t i = 0; i < bft->ops_end; i++) {
        if (bft->ops[i].request_id == request_id && bft->ops[i].kind == (uint8_t)kind) {
            return &bft->ops[i];
        }
    }
    return NULL;
}

void dsmr_bft_op_end(struct dsmr_bft *bft, struct dsmr_bft_op *op)
{
    if (op->kind != DSMR_BFT_OP_FREE) {
        dsmr_block_unref(op->block);
        *op = (struct dsmr_bft_op){.kind = DSMR_BFT_OP_FREE};
    }
    while (bft->ops_end > 0 && bft->ops[bft->ops_end - 1].kind == DSMR_BFT_OP_FREE) {
        bft->ops_end--;
    }
}
