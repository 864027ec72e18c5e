#include "base/assert.h"
#include "bft/engine_state.h"

struct dsmr_bft_effect *dsmr_bft_outbox_push(struct dsmr_bft *bft, enum dsmr_bft_effect_kind kind)
{
    DSMR_ASSERT(bft->out != NULL);
    DSMR_ASSERT(bft->out->count < DSMR_BFT_EFFECTS_MAX);
    struct dsmr_bft_effect *effect = &bft->out->items[bft->out->count++];
    *effect = (struct dsmr_bft_effect){.kind = kind};
    return effect;
}

static void send(struct dsmr_bft *bft, enum dsmr_bft_effect_kind kind, uint32_t peer,
                 const struct dsmr_msg *msg, struct dsmr_buf *body)
{
    struct dsmr_buf *head = dsmr_msg_encode(msg, false);
    if (head == NULL) {
        return; /* as if the network had lost it: it is sent again */
    }
    struct dsmr_bft_effect *effect = dsmr_bft_outbox_push(bft, kind);
    if (kind == DSMR_BFT_FX_SEND) {
        effect->u.send.to = bft->peers[peer].node_id;
    } else {
        effect->u.send.set = dsmr_validator_set_ref(bft->set);
    }
    effect->u.send.cls = (enum dsmr_msg_class)dsmr_msg_class_of(msg->type);
    effect->u.send.head = head;
    effect->u.send.body = dsmr_buf_ref(body);
}

void dsmr_bft_outbox_send(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg,
                          struct dsmr_buf *body)
{
    DSMR_ASSERT(peer < bft->peers_count);
    send(bft, DSMR_BFT_FX_SEND, peer, msg, body);
}

void dsmr_bft_outbox_broadcast(struct dsmr_bft *bft, const struct dsmr_msg *msg,
                               struct dsmr_buf *body)
{
    send(bft, DSMR_BFT_FX_BROADCAST, DSMR_BFT_NO_PEER, msg, body);
}

void dsmr_bft_outbox_fault(struct dsmr_bft *bft, uint32_t peer, enum dsmr_err err)
{
    if (peer != DSMR_BFT_NO_PEER) {
        struct dsmr_bft_effect *effect = dsmr_bft_outbox_push(bft, DSMR_BFT_FX_FAULT);
        effect->u.fault.peer = bft->peers[peer].node_id;
        effect->u.fault.err = err;
    }
}

void dsmr_bft_outbox_trace(struct dsmr_bft *bft, enum dsmr_bft_trace what, uint64_t a, uint64_t b)
{
    if (bft->out != NULL) { /* none before START */
        struct dsmr_bft_effect *effect = dsmr_bft_outbox_push(bft, DSMR_BFT_FX_TRACE);
        effect->u.trace.what = what;
        effect->u.trace.a = a;
        effect->u.trace.b = b;
    }
}

void dsmr_bft_outbox_block(struct dsmr_bft *bft, enum dsmr_bft_effect_kind kind,
                           struct dsmr_block *block)
{
    struct dsmr_bft_effect *effect = dsmr_bft_outbox_push(bft, kind);
    effect->u.block.parent_id = block->parent_id;
    effect->u.block.block = dsmr_block_ref(block);
    effect->u.block.epoch = bft->schedule[dsmr_bft_instance_of(bft, block->height)].set->epoch;
}
