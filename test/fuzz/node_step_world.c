#include "node_step_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitset.h"
#include "base/bytes.h"
#include "wire/message.h"

void world_broken(const char *what, int line)
{
    fprintf(stderr, "fuzz_node_step.c:%d: broken promise: %s\n", line, what);
    abort();
}

uint8_t world_take_u8(struct world *w)
{
    return w->in_at < w->in_len ? w->in[w->in_at++] : 0;
}

struct dsmr_node_id world_node_id(uint32_t i)
{
    struct dsmr_node_id id = {{0}};
    id.bytes[0] = (uint8_t)(i + 1);
    return id;
}

struct dsmr_bls_sig world_sig(bool is_valid, uint8_t salt)
{
    struct dsmr_bls_sig sig = {{0}};
    sig.bytes[0] = is_valid ? 1 : 2;
    sig.bytes[1] = salt;
    return sig;
}

static enum dsmr_err judge(const struct dsmr_bls_sig *sig)
{
    return sig->bytes[0] == 1 ? DSMR_OK : DSMR_ERR_BAD_SIGNATURE;
}

/* ---- what the node may ask for, and what must be true when it does ---- */

static bool is_among(const struct dsmr_reference *refs, uint32_t count,
                     const struct dsmr_reference *ref)
{
    for (uint32_t i = 0; i < count; i++) {
        if (dsmr_reference_equal(&refs[i], ref)) {
            return true;
        }
    }
    return false;
}

static void remember(struct dsmr_reference *refs, uint32_t *count, const struct dsmr_reference *ref)
{
    if (!is_among(refs, *count, ref)) {
        REQUIRE(*count < DISK_MAX);
        refs[(*count)++] = *ref;
    }
}

static void check_sign(struct world *w, const struct dsmr_reference *ref)
{
    REQUIRE(is_among(w->journal, w->journal_count, ref));
    REQUIRE(world_disk_find(w, &ref->chunk_id) != NULL);
    for (uint32_t i = 0; i < w->signed_count; i++) {
        const struct dsmr_reference *other = &w->signed_refs[i];
        REQUIRE(other->slot != ref->slot || !dsmr_node_id_equal(&other->producer, &ref->producer) ||
                dsmr_id_equal(&other->chunk_id, &ref->chunk_id));
    }
}

static void check_send(struct world *w, const struct dsmr_effect *fx)
{
    struct dsmr_msg msg;
    if (fx->u.send.body != NULL ||
        dsmr_msg_decode(&msg, fx->u.send.head->bytes, fx->u.send.head->len) != DSMR_OK) {
        return; /* a head without its body */
    }
    if (msg.type == DSMR_MSG_CHUNK_SIGNATURE) {
        REQUIRE(is_among(w->signed_refs, w->signed_count, &msg.u.chunk_signature.ref));
    }
}

static void execute(struct world *w, const struct dsmr_plan *plan)
{
    const struct dsmr_block *block = plan->block;
    REQUIRE(block->height == w->executed_height + 1);
    REQUIRE(block->height <= w->accepted_count); /* durable */
    REQUIRE(dsmr_id_equal(&block->id, &w->accepted[block->height - 1]->id));
    for (uint32_t i = 0; i < plan->txs_count; i++) {
        const struct dsmr_chunk *chunk = plan->chunks[plan->txs[i].chunk];
        const struct dsmr_id *id = &chunk->tx_ids[plan->txs[i].tx];
        uint64_t expiry_ms = dsmr_load_be64(chunk->bytes + chunk->tx_offsets[plan->txs[i].tx] + 1);
        REQUIRE(block->time_ms <= expiry_ms);
        REQUIRE(expiry_ms - block->time_ms <= w->params.validity_window_ms);
        for (uint32_t j = 0; j < w->executed_count; j++) {
            REQUIRE(!dsmr_id_equal(id, &w->executed_ids[j]));
        }
        REQUIRE(w->executed_count < EXECUTED_MAX);
        w->executed_expiries_ms[w->executed_count] = expiry_ms;
        w->executed_ids[w->executed_count++] = *id;
    }
    w->executed_height = block->height;
    w->executed_ends[block->height - 1] = w->executed_count;
}

/* Takes the references of fx that its answer needs; the effect is then the world's. */
static void keep_owed(struct world *w, struct dsmr_effect *fx)
{
    REQUIRE(w->owed_count < OWED_MAX);
    w->owed[w->owed_count++] = *fx;
    memset(fx, 0, sizeof(*fx));
    fx->kind = DSMR_FX_BLOCK_READY; /* holds nothing */
}

void world_add_candidate(struct world *w, struct dsmr_block *block)
{
    uint32_t i = w->candidates_count++ % SLOTS;
    dsmr_block_unref(w->candidates[i]);
    w->candidates[i] = dsmr_block_ref(block);
}

static void on_verdict(struct world *w, const struct dsmr_effect *fx)
{
    for (uint32_t i = 0; i < w->verifying_count; i++) {
        if (w->verifying[i].request_id != fx->request_id) {
            continue;
        }
        struct dsmr_block *block = w->verifying[i].block;
        w->verifying[i] = w->verifying[--w->verifying_count];
        bool is_new = fx->u.answer.err == DSMR_OK && w->processing_count < SLOTS;
        for (uint32_t j = 0; j < w->processing_count; j++) {
            is_new = is_new && !dsmr_id_equal(&w->processing[j]->id, &block->id);
        }
        if (is_new && block->height > w->tip->height) {
            w->processing[w->processing_count++] = block;
        } else {
            dsmr_block_unref(block);
        }
        return;
    }
    world_broken("no verdict that was not asked for", __LINE__);
}

static void on_effect(struct world *w, struct dsmr_effect *fx)
{
    switch (fx->kind) {
    case DSMR_FX_SEND:
        check_send(w, fx);
        break;
    case DSMR_FX_SIGN:
        check_sign(w, &fx->u.sign);
        keep_owed(w, fx);
        break;
    case DSMR_FX_EXECUTE:
        keep_owed(w, fx);
        break;
    case DSMR_FX_STORE_CHUNK:
    case DSMR_FX_STORE_CERT:
    case DSMR_FX_STORE_ACCEPT:
    case DSMR_FX_STORE_EVIDENCE:
    case DSMR_FX_STORE_GC:
    case DSMR_FX_VERIFY_CHUNK:
    case DSMR_FX_VERIFY_SIG:
    case DSMR_FX_AGGREGATE:
    case DSMR_FX_VERIFY_CERTS:
    case DSMR_FX_LOAD_CHUNK:
    case DSMR_FX_LOAD_BLOCK:
        keep_owed(w, fx);
        break;
    case DSMR_FX_BUILT:
        if (fx->u.answer.err == DSMR_OK) {
            world_add_candidate(w, fx->u.answer.block);
        }
        break;
    case DSMR_FX_VERDICT:
        on_verdict(w, fx);
        break;
    case DSMR_FX_HALT:
        w->is_halted = true;
        break;
    default:
        break;
    }
}

void world_step(struct world *w, struct dsmr_event *event)
{
    event->wall_ms = w->wall_ms;
    event->mono_ms = w->mono_ms;
    dsmr_node_step(w->node, &w->effects, event);
    if (++w->steps % CHECK_EVERY == 0) {
        dsmr_node_check(w->node);
    }
    for (uint32_t i = 0; i < w->effects.count; i++) {
        on_effect(w, &w->effects.items[i]);
    }
    dsmr_effects_clear(&w->effects);
}

/* ---- answers ---- */

static enum dsmr_err verify_chunk(struct world *w, struct dsmr_chunk **out,
                                  const struct dsmr_effect *fx)
{
    enum dsmr_err err = dsmr_chunk_decode(out, &w->params, fx->u.verify_chunk.owner,
                                          fx->u.verify_chunk.bytes, fx->u.verify_chunk.len);
    if (err == DSMR_OK && fx->u.verify_chunk.set != NULL &&
        judge(&fx->u.verify_chunk.producer_sig) != DSMR_OK) {
        err = DSMR_ERR_PRODUCER_KEY;
    }
    if (err == DSMR_OK && fx->u.verify_chunk.check_txs) {
        err = dsmr_chunk_check_txs(*out, &w->params);
    }
    if (err != DSMR_OK) {
        dsmr_chunk_unref(*out);
        *out = NULL;
    }
    return err;
}

static void answer_aggregate(struct dsmr_event *event, const struct dsmr_effect *fx)
{
    event->kind = DSMR_EV_AGGREGATED;
    event->u.aggregated.sig = world_sig(true, 0);
    for (uint32_t i = 0; i < fx->u.aggregate.shares_count; i++) {
        const struct dsmr_share *share = &fx->u.aggregate.shares[i];
        bool is_good = judge(&share->sig) == DSMR_OK;
        dsmr_bitset_add(is_good ? &event->u.aggregated.signers : &event->u.aggregated.bad,
                        share->signer);
    }
    if (dsmr_bitset_is_empty(&event->u.aggregated.signers)) {
        event->err = DSMR_ERR_BAD_SHARE;
    }
}

/* Answers fx, whose references the caller gives back; way chooses success or one of the failures.
 */
static void answer(struct world *w, const struct dsmr_effect *fx, uint8_t way)
{
    struct dsmr_event event = {.request_id = fx->request_id};
    struct dsmr_chunk *chunk = NULL;
    enum dsmr_err errs[1024];
    bool fails = way % 16 == 0;
    switch (fx->kind) {
    case DSMR_FX_SIGN:
        event.kind = DSMR_EV_SIGNED;
        event.err = fails ? DSMR_ERR_UNAVAILABLE : DSMR_OK;
        event.u.sig = world_sig(true, way);
        if (!fails) {
            remember(w->signed_refs, &w->signed_count, &fx->u.sign);
        }
        break;
    case DSMR_FX_VERIFY_CHUNK:
        event.kind = DSMR_EV_CHUNK_VERIFIED;
        event.err = fails ? DSMR_ERR_BAD_TX : verify_chunk(w, &chunk, fx);
        event.u.chunk = chunk;
        break;
    case DSMR_FX_LOAD_CHUNK:
        event.kind = DSMR_EV_CHUNK_LOADED;
        chunk = dsmr_chunk_ref(fails ? NULL : world_disk_find(w, &fx->u.load_chunk));
        event.err = chunk != NULL ? DSMR_OK : DSMR_ERR_UNKNOWN;
        event.u.chunk = chunk;
        break;
    case DSMR_FX_LOAD_BLOCK:
        event.kind = DSMR_EV_BLOCK_LOADED;
        REQUIRE(fx->u.load_block >= 1 && fx->u.load_block <= w->accepted_count); /* durable */
        event.err = fails ? DSMR_ERR_BUSY : DSMR_OK;
        event.u.block = fails ? NULL : w->accepted[fx->u.load_block - 1];
        break;
    case DSMR_FX_AGGREGATE:
        answer_aggregate(&event, fx);
        break;
    case DSMR_FX_VERIFY_SIG:
        event.kind = DSMR_EV_VERIFIED;
        errs[0] = judge(&fx->u.verify_sig.sig);
        event.u.verified.errs = errs;
        event.u.verified.count = 1;
        break;
    case DSMR_FX_VERIFY_CERTS:
        event.kind = DSMR_EV_VERIFIED;
        REQUIRE(fx->u.verify_certs.count <= 1024);
        for (uint32_t i = 0; i < fx->u.verify_certs.count; i++) {
            errs[i] = judge(&fx->u.verify_certs.certs[i].sig);
        }
        event.u.verified.errs = errs;
        event.u.verified.count = fx->u.verify_certs.count;
        break;
    case DSMR_FX_EXECUTE:
        execute(w, fx->u.execute);
        event.kind = DSMR_EV_EXECUTED;
        event.u.executed.height = fx->u.execute->block->height;
        event.u.executed.state_root = fx->u.execute->block->id;
        break;
    default: /* the stores */
        event.kind = DSMR_EV_STORED;
        if (fails && fx->kind != DSMR_FX_STORE_ACCEPT) {
            event.err = DSMR_ERR_DISK_FULL; /* an unknown outcome stops a node: see crash */
        } else {
            world_disk_write(w, fx, &event);
        }
        break;
    }
    world_step(w, &event);
    dsmr_chunk_unref(chunk);
}

void world_drop_owed(struct dsmr_effect *fx)
{
    struct dsmr_effects one = {.items = fx, .count = 1};
    dsmr_effects_clear(&one);
}

enum lane { LANE_WORKERS, LANE_STORE, LANE_EXECUTE };

static enum lane lane_of(enum dsmr_fx_kind kind)
{
    switch (kind) {
    case DSMR_FX_STORE_CHUNK:
    case DSMR_FX_STORE_CERT:
    case DSMR_FX_STORE_ACCEPT:
    case DSMR_FX_STORE_EVIDENCE:
    case DSMR_FX_STORE_GC:
        return LANE_STORE;
    case DSMR_FX_EXECUTE:
        return LANE_EXECUTE;
    default:
        return LANE_WORKERS;
    }
}

void world_answer_one(struct world *w)
{
    if (w->owed_count == 0) {
        return;
    }
    uint32_t i = world_take_u8(w) % w->owed_count;
    uint8_t way = world_take_u8(w);
    struct dsmr_effect fx = w->owed[i];
    /* One thread executes and one writes, each in the order in which it was told. */
    uint32_t first = 0;
    while (lane_of(w->owed[first].kind) != lane_of(fx.kind)) {
        first++;
    }
    if (lane_of(fx.kind) != LANE_WORKERS) {
        i = first;
        fx = w->owed[i];
    }
    memmove(&w->owed[i], &w->owed[i + 1], (--w->owed_count - i) * sizeof(w->owed[0]));
    answer(w, &fx, way);
    world_drop_owed(&fx);
}

void world_catch_up(struct world *w, uint32_t left)
{
    for (uint32_t guard = 0; w->owed_count > left && guard < OWED_MAX; guard++) {
        struct dsmr_effect fx = w->owed[0];
        memmove(&w->owed[0], &w->owed[1], --w->owed_count * sizeof(w->owed[0]));
        answer(w, &fx, 1);
        world_drop_owed(&fx);
    }
}
