/* fuzz_node_step.c - the core under any sequence of events that a driver could give it.
 *
 * Why:  peers choose messages, the operating system chooses the order in which writes, signatures
 *       and executions end, and clocks jump; whatever the order, no assertion of the core may fail
 *       and the promises below must hold.
 * How:  each input byte chooses an operation. The world around the node is honest where the driver
 *       is (answers belong to requests, the engine accepts only what was verified, in order) and
 *       arbitrary where peers are. Signatures are fakes: valid if the first byte is 1.
 * Checks, derived here again from docs/protocol.md, not asked of the core:
 *       a share is signed only for a chunk that is stored and journalled, and never for two chunks
 *       of a slot, also across crashes; a share leaves only after it was signed; only durable
 * blocks execute, in order, once, and no transaction twice or outside its window; what garbage
 *       collection deletes has expired. */
#include <stdint.h>
#include <stdlib.h>

#include "base/bitset.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "dsmr/dsmr.h"
#include "node_step_world.h"
#include "wire/message.h"
#include "wire/tx_head.h"

enum { STEPS_MAX = 1500 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* ---- peers ---- */

static void send_message(struct world *w, const struct dsmr_msg *msg, uint32_t from)
{
    struct dsmr_buf *bytes = dsmr_msg_encode(msg, true);
    REQUIRE(bytes != NULL);
    struct dsmr_msg decoded;
    if (dsmr_msg_decode(&decoded, bytes->bytes, bytes->len) == DSMR_OK &&
        decoded.type < DSMR_MSG_BFT_FIRST) {
        struct dsmr_event event = {.kind = DSMR_EV_MESSAGE};
        event.u.message.from = world_node_id(from);
        event.u.message.msg = &decoded;
        event.u.message.bytes = bytes;
        world_step(w, &event);
    }
    dsmr_buf_unref(bytes);
}

/* A transaction: version, expiry, a byte that tells it from others. Most expiries are round, so
 * that the same transaction comes again in other chunks. */
static uint32_t make_tx(struct world *w, uint8_t out[DSMR_TX_BYTES_MIN], uint64_t from_ms)
{
    uint8_t choice = world_take_u8(w);
    uint64_t expiry_ms = choice < 192 ? (from_ms / 10000 + 1 + choice % 4) * 10000
                                      : from_ms + (choice - 192) * UINT64_C(1200);
    memset(out, 0, DSMR_TX_BYTES_MIN);
    out[0] = 1;
    dsmr_store_be64(out + 1, expiry_ms);
    out[9] = world_take_u8(w) % 8;
    return DSMR_TX_BYTES_MIN;
}

static struct dsmr_chunk *make_chunk(struct world *w, uint32_t producer)
{
    uint8_t bytes[4][DSMR_TX_BYTES_MIN];
    struct dsmr_chunk_tx txs[4];
    uint8_t shape = world_take_u8(w);
    struct dsmr_chunk_header header = {
        .domain = w->params.domain, .epoch = shape >> 7, .producer = world_node_id(producer)};
    header.slot = w->wall_ms / w->params.slot_ms - 2 + world_take_u8(w) % 8;
    header.expiry_ms = header.slot * w->params.slot_ms + w->params.chunk_lifetime_ms;
    uint32_t count = 1 + shape % 4;
    for (uint32_t i = 0; i < count; i++) {
        txs[i].len = make_tx(w, bytes[i], header.slot * w->params.slot_ms);
        txs[i].bytes = bytes[i];
        dsmr_hash(&txs[i].id, bytes[i], txs[i].len);
    }
    struct dsmr_chunk *chunk = NULL;
    REQUIRE(dsmr_chunk_build(&chunk, &w->params, &header, txs, count) == DSMR_OK);
    uint32_t i = w->made_count++ % SLOTS;
    dsmr_chunk_unref(w->made[i]);
    w->made[i] = chunk;
    return chunk;
}

/* A chunk that exists somewhere: of a peer, or of this node. NULL: none yet. */
static struct dsmr_chunk *any_chunk(struct world *w)
{
    uint8_t choice = world_take_u8(w);
    if (choice & 128) {
        return w->disk_count == 0 ? NULL : w->disk[choice % w->disk_count].chunk;
    }
    uint32_t count = w->made_count < SLOTS ? w->made_count : SLOTS;
    return count == 0 ? NULL : w->made[choice % count];
}

static void request_share(struct world *w)
{
    uint8_t choice = world_take_u8(w);
    uint32_t producer = 1 + choice % (NODES - 1);
    struct dsmr_chunk *chunk = choice & 64 ? any_chunk(w) : make_chunk(w, producer);
    if (chunk == NULL) {
        return;
    }
    struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE};
    msg.u.request_share.sig = world_sig(choice % 16 != 15, choice);
    msg.u.request_share.chunk = chunk->bytes;
    msg.u.request_share.chunk_len = chunk->ref.chunk_bytes;
    send_message(w, &msg, choice & 32 ? choice % NODES : producer);
}

static struct dsmr_cert cert_of(struct world *w, const struct dsmr_chunk *chunk)
{
    struct dsmr_cert cert = {.ref = chunk->ref};
    uint8_t choice = world_take_u8(w);
    uint32_t mask = choice % 16 < 4 ? choice % 16 : 0xfu & ~(1u << choice % 8);
    for (uint32_t i = 0; i < NODES; i++) {
        if (mask >> i & 1u) {
            dsmr_bitset_add(&cert.signers, i);
        }
    }
    if (mask == 0) {
        dsmr_bitset_add(&cert.signers, 5); /* beyond the set */
    }
    cert.sig = world_sig(choice < 240, choice);
    return cert;
}

static void send_cert(struct world *w)
{
    const struct dsmr_chunk *chunk = any_chunk(w);
    if (chunk != NULL) {
        struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE};
        msg.u.certificate = cert_of(w, chunk);
        send_message(w, &msg, world_take_u8(w) % (NODES + 1));
    }
}

static void send_small(struct world *w)
{
    struct dsmr_msg msg = {0};
    const struct dsmr_chunk *chunk = any_chunk(w);
    uint8_t choice = world_take_u8(w);
    uint32_t from = world_take_u8(w) % (NODES + 1);
    if (chunk == NULL) {
        choice = 0;
    }
    switch (choice % 6) {
    case 0:
        msg.type = DSMR_MSG_STATUS;
        msg.u.status.accepted_height = w->tip->height + (choice & 64 ? 20 : 0);
        msg.u.status.wall_ms = choice & 128 ? UINT64_MAX : w->wall_ms + choice;
        break;
    case 1:
        msg.type = DSMR_MSG_CHUNK_SIGNATURE;
        msg.u.chunk_signature.ref = chunk->ref;
        msg.u.chunk_signature.sig = world_sig(choice < 200, choice);
        break;
    case 2:
    case 3:
        msg.type = choice % 6 == 2 ? DSMR_MSG_CHUNK_REFUSED : DSMR_MSG_CERTIFICATE_ANSWER;
        msg.u.chunk_refused.chunk_id = chunk->ref.chunk_id;
        msg.u.chunk_refused.err = world_take_u8(w);
        break;
    case 4:
        msg.type = DSMR_MSG_REQUEST_CHUNK;
        msg.u.request_chunk.chunk_id = chunk->ref.chunk_id;
        msg.u.request_chunk.height = choice / 6;
        break;
    default:
        msg.type = DSMR_MSG_CHUNK;
        msg.u.chunk.chunk_id = chunk->ref.chunk_id;
        msg.u.chunk.err = choice & 128 ? DSMR_ERR_PRUNED : DSMR_ERR_UNKNOWN;
        msg.u.chunk.err = choice & 64 ? msg.u.chunk.err : 0;
        msg.u.chunk.chunk = choice & 64 ? NULL : chunk->bytes;
        msg.u.chunk.chunk_len = choice & 64 ? 0 : chunk->ref.chunk_bytes;
        break;
    }
    send_message(w, &msg, from);
}

/* ---- clients and the engine ---- */

static void submit(struct world *w)
{
    struct dsmr_submit_item items[4];
    struct dsmr_buf *owner = dsmr_buf_new(4 * DSMR_TX_BYTES_MIN);
    REQUIRE(owner != NULL);
    uint32_t count = 1 + world_take_u8(w) % 4;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *bytes = owner->bytes + DSMR_TX_BYTES_MIN * (size_t)i;
        items[i].len = make_tx(w, bytes, w->wall_ms);
        items[i].bytes = bytes;
        items[i].expiry_ms = dsmr_tx_expiry_ms(bytes);
        items[i].err = DSMR_OK;
        dsmr_hash(&items[i].id, bytes, items[i].len);
    }
    struct dsmr_event event = {.kind = DSMR_EV_SUBMIT};
    event.request_id = ++w->engine_request;
    event.u.submit.owner = owner;
    event.u.submit.items = items;
    event.u.submit.count = count;
    world_step(w, &event);
    dsmr_buf_unref(owner);
}

/* The tip or a processing block. */
static struct dsmr_block *any_parent(struct world *w)
{
    uint32_t i = world_take_u8(w) % (w->processing_count + 1);
    return i == 0 ? w->tip : w->processing[i - 1];
}

/* What the epoch of a child may be: that of its parent, or the next. */
static uint64_t context_of(struct world *w, const struct dsmr_block *parent)
{
    uint8_t choice = world_take_u8(w);
    if (choice % 16 == 0) {
        return DSMR_EPOCH_NONE;
    }
    return parent->epoch == DSMR_EPOCH_NONE ? 0 : choice % 8 == 1 ? 1 : parent->epoch;
}

static void build_on(struct world *w, const struct dsmr_block *parent, uint64_t epoch)
{
    struct dsmr_event event = {.kind = DSMR_EV_BUILD, .request_id = ++w->engine_request};
    event.u.engine.block_id = parent->id;
    event.u.engine.epoch = epoch;
    world_step(w, &event);
}

static void build(struct world *w)
{
    const struct dsmr_block *parent = any_parent(w);
    build_on(w, parent, context_of(w, parent));
}

/* A peer's block: of certificates it likes, on a parent that it likes. */
static void make_block(struct world *w)
{
    const struct dsmr_block *parent = any_parent(w);
    struct dsmr_cert certs[3];
    struct dsmr_block fields = {.parent_id = parent->id, .height = parent->height + 1};
    uint8_t choice = world_take_u8(w);
    fields.time_ms = parent->time_ms + 1 + world_take_u8(w) * UINT64_C(20);
    fields.epoch = context_of(w, parent);
    fields.certs = certs;
    for (uint32_t i = 0; i < choice % 4u; i++) {
        const struct dsmr_chunk *chunk = any_chunk(w);
        if (chunk != NULL) {
            certs[fields.certs_count++] = cert_of(w, chunk);
        }
    }
    if (parent->epoch != fields.epoch && parent->epoch != DSMR_EPOCH_NONE) {
        fields.past_epochs[0].epoch = parent->epoch;
        fields.past_epochs[0].ended_at_ms = fields.time_ms;
        fields.past_epochs_count = 1;
    }
    struct dsmr_block *block = NULL;
    if (dsmr_block_build(&block, &w->params, &fields) == DSMR_OK) {
        world_add_candidate(w, block);
        dsmr_block_unref(block);
    }
}

static void verify_in(struct world *w, struct dsmr_block *block, uint64_t epoch)
{
    struct dsmr_event event = {.kind = DSMR_EV_VERIFY_BLOCK, .request_id = ++w->engine_request};
    event.u.engine.block_id = block->id;
    event.u.engine.block = block;
    event.u.engine.epoch = epoch;
    w->verifying[w->verifying_count].request_id = event.request_id;
    w->verifying[w->verifying_count++].block = dsmr_block_ref(block);
    world_step(w, &event);
}

static void verify(struct world *w)
{
    uint32_t held = w->candidates_count < SLOTS ? w->candidates_count : SLOTS;
    if (held > 0 && w->verifying_count < SLOTS) {
        struct dsmr_block *block = w->candidates[world_take_u8(w) % held];
        verify_in(w, block, world_take_u8(w) % 16 == 0 ? 1 : block->epoch);
    }
}

static void reject(struct world *w, uint32_t i)
{
    struct dsmr_block *block = w->processing[i];
    w->processing[i] = w->processing[--w->processing_count];
    struct dsmr_event event = {.kind = DSMR_EV_REJECT};
    event.u.engine.block_id = block->id;
    world_step(w, &event);
    dsmr_block_unref(block);
}

/* The engine's contract: what loses against an accepted block is rejected, parents first. */
static void reject_losers(struct world *w)
{
    for (uint32_t i = 0; i < w->processing_count;) {
        const struct dsmr_block *block = w->processing[i];
        bool has_parent = dsmr_id_equal(&block->parent_id, &w->tip->id);
        for (uint32_t j = 0; j < w->processing_count; j++) {
            has_parent = has_parent || dsmr_id_equal(&block->parent_id, &w->processing[j]->id);
        }
        if (has_parent && block->height > w->tip->height) {
            i++;
        } else {
            reject(w, i);
            i = 0;
        }
    }
}

static void accept(struct world *w)
{
    for (uint32_t i = 0; i < w->processing_count; i++) {
        struct dsmr_block *block = w->processing[i];
        if (!dsmr_id_equal(&block->parent_id, &w->tip->id)) {
            continue;
        }
        w->processing[i] = w->processing[--w->processing_count];
        dsmr_block_unref(w->tip);
        w->tip = block;
        struct dsmr_event event = {.kind = DSMR_EV_ACCEPT, .request_id = ++w->engine_request};
        event.u.engine.block_id = block->id;
        world_step(w, &event);
        reject_losers(w);
        return;
    }
}

static void simple_event(struct world *w)
{
    struct dsmr_event event = {0};
    uint8_t choice = world_take_u8(w);
    switch (choice % 5) {
    case 0:
        event.kind = DSMR_EV_PEER;
        event.u.peer.node_id = world_node_id(1 + choice / 5 % NODES);
        event.u.peer.is_up = choice & 128;
        break;
    case 1:
        event.kind = DSMR_EV_SET;
        event.u.set = w->sets[choice / 5 % 2];
        break;
    case 2:
        event.kind = DSMR_EV_BOOTSTRAPPING;
        event.u.flag = choice & 128;
        break;
    case 3:
        event.kind = DSMR_EV_DISK_LOW;
        event.u.flag = choice & 128;
        break;
    default:
        event.kind = DSMR_EV_PREFER;
        event.u.engine.block_id = any_parent(w)->id;
        break;
    }
    world_step(w, &event);
}

static void pass_time(struct world *w)
{
    uint8_t choice = world_take_u8(w);
    uint64_t deadline = dsmr_node_deadline_ms(w->node);
    uint64_t passed = choice < 200 ? choice : UINT64_C(1000) * (choice - 199);
    if (choice == 255 && deadline != UINT64_MAX && deadline > w->mono_ms) {
        passed = deadline - w->mono_ms;
    }
    w->mono_ms += passed;
    w->wall_ms += choice % 32 == 31 ? 0 : passed; /* the wall clock may lag behind */
    struct dsmr_event event = {.kind = DSMR_EV_TICK};
    world_step(w, &event);
}

/* Everything goes well for a while: a block of what waits is built, accepted and executed. */
static void run_well(struct world *w)
{
    world_catch_up(w, 0);
    build_on(w, w->tip, w->tip->epoch == DSMR_EPOCH_NONE ? 0 : w->tip->epoch);
    w->wall_ms += 1;
    w->mono_ms += 1;
    if (w->candidates_count > 0 && w->verifying_count < SLOTS) {
        struct dsmr_block *block = w->candidates[(w->candidates_count - 1) % SLOTS];
        verify_in(w, block, block->epoch);
    }
    world_catch_up(w, 0);
    accept(w);
    world_catch_up(w, 0);
}

static void operate(struct world *w)
{
    switch (world_take_u8(w) % 16) {
    case 0:
    case 1:
        submit(w);
        break;
    case 2:
    case 3:
        request_share(w);
        break;
    case 4:
        send_cert(w);
        break;
    case 5:
        send_small(w);
        break;
    case 6:
        build(w);
        break;
    case 7:
        make_block(w);
        break;
    case 8:
        verify(w);
        break;
    case 9:
        accept(w);
        break;
    case 10:
        simple_event(w);
        break;
    case 11:
        pass_time(w);
        break;
    case 13:
        run_well(w);
        break;
    case 12:
        if (world_take_u8(w) % 8 == 0) {
            world_restart(w);
        }
        break;
    default:
        world_answer_one(w);
        break;
    }
    world_catch_up(w, OWED_MANY); /* a driver does not fall behind without end */
}

/* ---- begin and end ---- */

static struct dsmr_validator_set *make_set(uint64_t epoch)
{
    struct dsmr_validator_set *set =
        calloc(1, sizeof(*set) + NODES * sizeof(struct dsmr_validator));
    REQUIRE(set != NULL);
    set->refs = 1;
    set->count = NODES;
    set->epoch = epoch;
    for (uint32_t i = 0; i < NODES; i++) {
        set->validators[i].public_key.bytes[0] = (uint8_t)i;
        set->validators[i].weight = 10 + epoch * i;
        set->validators[i].node_ids_count = 1;
        set->validators[i].node_ids[0] = world_node_id(i);
        set->total_weight += set->validators[i].weight;
    }
    return set;
}

static void begin(struct world *w)
{
    const char *reason = "";
    dsmr_params_default(&w->params);
    w->params.domain.network_id = 7;
    w->params.retention_ms = 60000;
    w->params.pending_bytes_max = UINT64_C(10) * w->params.chunk_bytes_max;
    REQUIRE(dsmr_params_check(&w->params, &reason, NODES) == DSMR_OK);
    REQUIRE(dsmr_block_genesis(&w->genesis, &w->params, START_MS) == DSMR_OK);
    REQUIRE(dsmr_effects_init(&w->effects) == DSMR_OK);
    w->tip = dsmr_block_ref(w->genesis);
    w->wall_ms = START_MS + 1000;
    w->mono_ms = 1000;
    for (uint64_t epoch = 0; epoch < 2; epoch++) {
        w->sets[epoch] = make_set(epoch);
    }
    world_start(w);
}

static void end(struct world *w)
{
    dsmr_node_check(w->node);
    dsmr_node_free(w->node);
    for (uint32_t i = 0; i < w->owed_count; i++) {
        world_drop_owed(&w->owed[i]);
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        dsmr_chunk_unref(w->made[i]);
        dsmr_block_unref(w->candidates[i]);
    }
    for (uint32_t i = 0; i < w->processing_count; i++) {
        dsmr_block_unref(w->processing[i]);
    }
    for (uint32_t i = 0; i < w->verifying_count; i++) {
        dsmr_block_unref(w->verifying[i].block);
    }
    world_disk_free(w);
    dsmr_block_unref(w->tip);
    dsmr_block_unref(w->genesis);
    dsmr_validator_set_unref(w->sets[0]);
    dsmr_validator_set_unref(w->sets[1]);
    dsmr_effects_close(&w->effects);
    free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct world *w = calloc(1, sizeof(*w));
    REQUIRE(w != NULL);
    w->in = bytes;
    w->in_len = len;
    begin(w);
    for (unsigned i = 0; i < STEPS_MAX && w->in_at < w->in_len && !w->is_halted; i++) {
        operate(w);
    }
    end(w);
    return 0;
}
