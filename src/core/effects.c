#include "core/effects.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum dsmr_err dsmr_effects_init(struct dsmr_effects *effects)
{
    effects->count = 0;
    effects->items = malloc(DSMR_EFFECTS_MAX * sizeof(effects->items[0]));
    return effects->items == NULL ? DSMR_ERR_NO_MEMORY : DSMR_OK;
}

static void clear_certs(struct dsmr_effect *fx)
{
    for (uint32_t i = 0; i < fx->u.verify_certs.count; i++) {
        dsmr_validator_set_unref(fx->u.verify_certs.sets[i]);
    }
    free(fx->u.verify_certs.sets);
    free(fx->u.verify_certs.certs);
}

static void clear_one(struct dsmr_effect *fx)
{
    switch (fx->kind) {
    case DSMR_FX_SEND:
    case DSMR_FX_BROADCAST:
        dsmr_validator_set_unref(fx->u.send.set);
        dsmr_buf_unref(fx->u.send.head);
        dsmr_chunk_unref(fx->u.send.body);
        break;
    case DSMR_FX_STORE_CHUNK:
        dsmr_chunk_unref(fx->u.store_chunk.chunk);
        break;
    case DSMR_FX_STORE_CERT:
        free(fx->u.store_cert);
        break;
    case DSMR_FX_STORE_ACCEPT:
        dsmr_block_unref(fx->u.store_accept.block);
        break;
    case DSMR_FX_STORE_EVIDENCE:
        free(fx->u.store_evidence.pair);
        break;
    case DSMR_FX_STORE_GC:
        free(fx->u.store_gc.chunks);
        break;
    case DSMR_FX_VERIFY_CHUNK:
        dsmr_buf_unref(fx->u.verify_chunk.owner);
        dsmr_validator_set_unref(fx->u.verify_chunk.set);
        break;
    case DSMR_FX_VERIFY_SIG:
        dsmr_validator_set_unref(fx->u.verify_sig.set);
        break;
    case DSMR_FX_AGGREGATE:
        dsmr_validator_set_unref(fx->u.aggregate.set);
        free(fx->u.aggregate.shares);
        break;
    case DSMR_FX_VERIFY_CERTS:
        clear_certs(fx);
        break;
    case DSMR_FX_EXECUTE:
        dsmr_plan_unref(fx->u.execute);
        break;
    case DSMR_FX_BUILT:
    case DSMR_FX_VERDICT:
    case DSMR_FX_ACCEPTED:
        dsmr_block_unref(fx->u.answer.block);
        break;
    case DSMR_FX_SUBMITTED:
        free(fx->u.submitted.errs);
        break;
    case DSMR_FX_NOTICE:
        dsmr_chunk_unref(fx->u.notice.chunk);
        free(fx->u.notice.tx_ids);
        break;
    case DSMR_FX_SIGN:
    case DSMR_FX_LOAD_CHUNK:
    case DSMR_FX_LOAD_BLOCK:
    case DSMR_FX_SERVE_CHUNK:
    case DSMR_FX_BLOCK_READY:
    case DSMR_FX_WANT_SET:
    case DSMR_FX_FAULT:
    case DSMR_FX_HALT:
    case DSMR_FX_TRACE:
        break;
    }
}

void dsmr_effects_clear(struct dsmr_effects *effects)
{
    for (uint32_t i = 0; i < effects->count; i++) {
        clear_one(&effects->items[i]);
    }
    effects->count = 0;
}

void dsmr_effects_close(struct dsmr_effects *effects)
{
    dsmr_effects_clear(effects);
    free(effects->items);
    effects->items = NULL;
}

struct dsmr_effect *dsmr_effects_add(struct dsmr_effects *effects, enum dsmr_fx_kind kind)
{
    DSMR_ASSERT(effects->count < DSMR_EFFECTS_MAX);
    struct dsmr_effect *fx = &effects->items[effects->count++];
    memset(fx, 0, sizeof(*fx));
    fx->kind = kind;
    return fx;
}

uint32_t dsmr_effects_room(const struct dsmr_effects *effects)
{
    return DSMR_EFFECTS_MAX - effects->count;
}

static void add_message(struct dsmr_effects *effects, const struct dsmr_node_id *to,
                        struct dsmr_validator_set *set, const struct dsmr_msg *msg,
                        struct dsmr_chunk *body)
{
    struct dsmr_buf *head = dsmr_msg_encode(msg, false);
    if (head == NULL) {
        return;
    }
    struct dsmr_effect *fx =
        dsmr_effects_add(effects, set == NULL ? DSMR_FX_SEND : DSMR_FX_BROADCAST);
    if (to != NULL) {
        fx->u.send.to = *to;
    }
    fx->u.send.set = dsmr_validator_set_ref(set);
    fx->u.send.cls = (uint8_t)dsmr_msg_class_of(msg->type);
    fx->u.send.head = head;
    fx->u.send.body = dsmr_chunk_ref(body);
}

void dsmr_effects_send(struct dsmr_effects *effects, const struct dsmr_node_id *to,
                       const struct dsmr_msg *msg, struct dsmr_chunk *body)
{
    add_message(effects, to, NULL, msg, body);
}

void dsmr_effects_broadcast(struct dsmr_effects *effects, struct dsmr_validator_set *set,
                            const struct dsmr_msg *msg, struct dsmr_chunk *body)
{
    add_message(effects, NULL, set, msg, body);
}

void dsmr_effects_fault(struct dsmr_effects *effects, const struct dsmr_node_id *peer,
                        enum dsmr_err err)
{
    struct dsmr_effect *fx = dsmr_effects_add(effects, DSMR_FX_FAULT);
    fx->u.fault.peer = *peer;
    fx->u.fault.err = err;
}

void dsmr_effects_answer(struct dsmr_effects *effects, enum dsmr_fx_kind kind, uint64_t request_id,
                         enum dsmr_err err, struct dsmr_block *block)
{
    struct dsmr_effect *fx = dsmr_effects_add(effects, kind);
    fx->request_id = request_id;
    fx->u.answer.err = err;
    fx->u.answer.block = dsmr_block_ref(block);
}

void dsmr_effects_notice_chunk(struct dsmr_effects *effects, enum dsmr_notice_what what,
                               struct dsmr_chunk *chunk)
{
    struct dsmr_effect *fx = dsmr_effects_add(effects, DSMR_FX_NOTICE);
    fx->u.notice.what = what;
    fx->u.notice.chunk = dsmr_chunk_ref(chunk);
}

void dsmr_effects_trace(struct dsmr_effects *effects, enum dsmr_trace what,
                        const struct dsmr_id *id, uint64_t a, uint64_t b)
{
    struct dsmr_effect *fx = dsmr_effects_add(effects, DSMR_FX_TRACE);
    fx->u.trace.what = what;
    fx->u.trace.id = *id;
    fx->u.trace.a = a;
    fx->u.trace.b = b;
}
