/* four_nodes.c - four validators in one program: libdsmr with real BLS, a store in memory, and the
 * simplest engine there is (what node 0 builds is final when everybody has verified it).
 *
 * It shows each duty of an embedder: give events in, do the effects in order, answer those that ask
 * for an answer by an event with the same request_id. dsmrd does the same with threads, sockets, a
 * disk and a BFT engine (src/driver, src/bft).
 *
 * Build: cc four_nodes.c $(pkg-config --cflags --libs dsmr) */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dsmr/crypto/aggregate.h>
#include <dsmr/crypto/bls.h>
#include <dsmr/crypto/hash.h>
#include <dsmr/crypto/set_builder.h>
#include <dsmr/dsmr.h>
#include <dsmr/wire/codec.h>
#include <dsmr/wire/message.h>

#define NODES 4u
#define CHUNKS_MAX 64u
#define WALL_MS 1700000000000u /* the nodes have no clock of their own: this one is virtual */

struct item { /* one event on its way to one node; everything in it is owned */
    struct item *next;
    uint32_t to;
    struct dsmr_event event;
    struct dsmr_buf *bytes;     /* MESSAGE, SUBMIT */
    struct dsmr_block *block;   /* VERIFY_BLOCK */
    struct dsmr_chunk *chunk;   /* CHUNK_VERIFIED, CHUNK_LOADED */
    struct dsmr_submit_item tx; /* SUBMIT */
    enum dsmr_err *errs;        /* VERIFIED */
};

struct member {
    struct dsmr_node *node;
    struct dsmr_node_id id;
    struct dsmr_bls_secret_key key;
    struct dsmr_effects effects;
    struct dsmr_chunk *chunks[CHUNKS_MAX]; /* the "disk" */
    uint32_t chunks_count;
    uint64_t executed_height;
    struct dsmr_id state_root;
};

static struct member members[NODES];
static struct dsmr_params params;
static struct dsmr_validator_set *set;
static struct item *first, **end = &first;
static uint64_t mono_ms = 1;
static struct dsmr_id tip; /* the sequencer's: id of the last block */
static uint64_t tip_accepts = NODES;
static bool is_ready; /* node 0 has something to build */

/* Out of memory ends the example; a real program would stop in order. */
static void *must(void *pointer)
{
    if (pointer == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return pointer;
}

static void must_be_ok(enum dsmr_err err)
{
    if (err != DSMR_OK) {
        fprintf(stderr, "%s\n", dsmr_err_text(err));
        exit(1);
    }
}

static struct item *push(uint32_t to, enum dsmr_ev_kind kind, uint64_t request_id)
{
    struct item *item = must(calloc(1, sizeof(*item)));
    item->to = to;
    item->event.kind = kind;
    item->event.request_id = request_id;
    *end = item;
    end = &item->next;
    return item;
}

static void free_item(struct item *item)
{
    dsmr_buf_unref(item->bytes);
    dsmr_block_unref(item->block);
    dsmr_chunk_unref(item->chunk);
    free(item->errs);
    free(item);
}

/* ---- duty 1: carry messages. The body of a chunk follows the head without having been copied. */

static void send_to(uint32_t from, uint32_t to, const struct dsmr_effect *fx)
{
    const struct dsmr_buf *head = fx->u.send.head;
    const struct dsmr_chunk *body = fx->u.send.body;
    uint32_t body_len = body == NULL ? 0 : body->ref.chunk_bytes;
    struct item *item = push(to, DSMR_EV_MESSAGE, 0);
    item->bytes = must(dsmr_buf_new(head->len + body_len));
    memcpy(item->bytes->bytes, head->bytes, head->len);
    if (body != NULL) {
        memcpy(item->bytes->bytes + head->len, body->bytes, body_len);
    }
    item->event.u.message.from = members[from].id; /* the transport vouches for it: TLS does */
}

static void send_all(uint32_t from, const struct dsmr_effect *fx)
{
    for (uint32_t to = 0; to < NODES; to++) {
        bool is_meant = fx->kind == DSMR_FX_BROADCAST
                            ? to != from
                            : memcmp(&fx->u.send.to, &members[to].id, sizeof(fx->u.send.to)) == 0;
        if (is_meant) {
            send_to(from, to, fx);
        }
    }
}

/* ---- duty 2: keep what is to be kept, and answer only when it is durable ---- */

static void store(uint32_t number, const struct dsmr_effect *fx)
{
    struct member *member = &members[number];
    if (fx->kind == DSMR_FX_STORE_CHUNK && member->chunks_count < CHUNKS_MAX) {
        member->chunks[member->chunks_count++] = dsmr_chunk_ref(fx->u.store_chunk.chunk);
    }
    push(number, DSMR_EV_STORED, fx->request_id);
}

static void load(uint32_t number, const struct dsmr_effect *fx)
{
    struct item *item = push(number, DSMR_EV_CHUNK_LOADED, fx->request_id);
    item->event.err = DSMR_ERR_UNKNOWN;
    for (uint32_t i = 0; i < members[number].chunks_count; i++) {
        struct dsmr_chunk *chunk = members[number].chunks[i];
        if (memcmp(&chunk->ref.chunk_id, &fx->u.load_chunk, sizeof(fx->u.load_chunk)) == 0) {
            item->event.err = DSMR_OK;
            item->event.u.chunk = item->chunk = dsmr_chunk_ref(chunk);
            return;
        }
    }
}

/* ---- duty 3: signatures. All of this may run on other threads. ---- */

static void sign(uint32_t number, const struct dsmr_effect *fx)
{
    uint8_t message[DSMR_SHARE_SIGNING_BYTES];
    struct item *item = push(number, DSMR_EV_SIGNED, fx->request_id);
    dsmr_share_signing_bytes(message, &params.domain, &fx->u.sign);
    dsmr_bls_sign(&item->event.u.sig, &members[number].key, message, sizeof(message));
}

static void verify_chunk(uint32_t number, const struct dsmr_effect *fx)
{
    uint8_t message[DSMR_SHARE_SIGNING_BYTES];
    struct item *item = push(number, DSMR_EV_CHUNK_VERIFIED, fx->request_id);
    struct dsmr_chunk *chunk = NULL;
    enum dsmr_err err = dsmr_chunk_decode(&chunk, &params, fx->u.verify_chunk.owner,
                                          fx->u.verify_chunk.bytes, fx->u.verify_chunk.len);
    if (err == DSMR_OK && fx->u.verify_chunk.set != NULL) {
        const struct dsmr_validator_set *of = fx->u.verify_chunk.set;
        dsmr_share_signing_bytes(message, &params.domain, &chunk->ref);
        err = dsmr_bls_verify(&of->validators[fx->u.verify_chunk.producer].point,
                              &fx->u.verify_chunk.producer_sig, message, sizeof(message));
        err = err == DSMR_OK ? DSMR_OK : DSMR_ERR_PRODUCER_KEY;
    }
    if (err == DSMR_OK && fx->u.verify_chunk.check_txs) {
        err = dsmr_chunk_check_txs(chunk, &params);
        /* and here the application would verify its own signatures */
    }
    if (err != DSMR_OK) {
        dsmr_chunk_unref(chunk);
        chunk = NULL;
    }
    item->event.err = err;
    item->event.u.chunk = item->chunk = chunk;
}

static void aggregate(uint32_t number, const struct dsmr_effect *fx)
{
    uint8_t message[DSMR_SHARE_SIGNING_BYTES];
    struct item *item = push(number, DSMR_EV_AGGREGATED, fx->request_id);
    dsmr_share_signing_bytes(message, &params.domain, &fx->u.aggregate.ref);
    item->event.err = dsmr_aggregate_shares(
        &item->event.u.aggregated.sig, &item->event.u.aggregated.signers,
        &item->event.u.aggregated.bad, fx->u.aggregate.set, fx->u.aggregate.shares,
        fx->u.aggregate.shares_count, message, sizeof(message));
}

/* One by one; dsmr_bls_verify_batch is several times as fast and needs random numbers. */
static void verify_certs(uint32_t number, const struct dsmr_effect *fx)
{
    uint32_t count = fx->u.verify_certs.count;
    struct item *item = push(number, DSMR_EV_VERIFIED, fx->request_id);
    item->errs = must(calloc(count, sizeof(*item->errs)));
    for (uint32_t i = 0; i < count; i++) {
        uint8_t message[DSMR_SHARE_SIGNING_BYTES];
        const struct dsmr_cert *cert = &fx->u.verify_certs.certs[i];
        dsmr_share_signing_bytes(message, &params.domain, &cert->ref);
        item->errs[i] = dsmr_bls_verify_aggregate(fx->u.verify_certs.sets[i], &cert->signers,
                                                  &cert->sig, message, sizeof(message));
    }
    item->event.u.verified.errs = item->errs;
    item->event.u.verified.count = count;
}

/* ---- duty 4: execute. The state of this application is a hash over all payloads. ---- */

static void execute(uint32_t number, const struct dsmr_effect *fx)
{
    struct member *member = &members[number];
    const struct dsmr_plan *plan = fx->u.execute;
    for (uint32_t i = 0; i < plan->txs_count; i++) {
        const struct dsmr_chunk *chunk = plan->chunks[plan->txs[i].chunk];
        struct dsmr_id pair[2] = {member->state_root, chunk->tx_ids[plan->txs[i].tx]};
        dsmr_hash(&member->state_root, pair, sizeof(pair));
        struct dsmr_tx_view tx = dsmr_chunk_tx(chunk, plan->txs[i].tx);
        printf("node %" PRIu32 " executes \"%.*s\" in block %" PRIu64 "\n", number, (int)tx.len - 9,
               (const char *)tx.bytes + 9, plan->block->height);
    }
    member->executed_height = plan->block->height;
    struct item *item = push(number, DSMR_EV_EXECUTED, fx->request_id);
    item->event.u.executed.height = plan->block->height;
    item->event.u.executed.state_root = member->state_root;
}

/* ---- the engine: build, verify, accept. A BFT engine asks the same three questions. ---- */

static void ask_for_block(void)
{
    if (is_ready && tip_accepts == NODES) {
        tip_accepts = 0;
        struct item *item = push(0, DSMR_EV_BUILD, 1);
        item->event.u.engine.block_id = tip;
        item->event.u.engine.epoch = 0;
    }
}

static void on_built(const struct dsmr_effect *fx)
{
    if (fx->u.answer.err != DSMR_OK) { /* not now; READY will be said again */
        tip_accepts = NODES;
        is_ready = false;
        return;
    }
    tip = fx->u.answer.block->id;
    for (uint32_t i = 0; i < NODES; i++) {
        struct item *item = push(i, DSMR_EV_VERIFY_BLOCK, 1);
        item->event.u.engine.block = item->block = dsmr_block_ref(fx->u.answer.block);
        item->event.u.engine.epoch = 0;
    }
}

static void on_engine_answer(uint32_t number, const struct dsmr_effect *fx)
{
    if (fx->kind == DSMR_FX_BUILT) {
        on_built(fx);
        return;
    }
    must_be_ok(fx->u.answer.err);
    if (fx->kind == DSMR_FX_VERDICT) {
        push(number, DSMR_EV_ACCEPT, 1)->event.u.engine.block_id = tip;
        return;
    }
    tip_accepts++; /* ACCEPTED: durable on this node */
    ask_for_block();
}

/* ---- the loop ---- */

static void perform(uint32_t number, const struct dsmr_effect *fx)
{
    switch (fx->kind) {
    case DSMR_FX_SEND:
    case DSMR_FX_BROADCAST:
        send_all(number, fx);
        break;
    case DSMR_FX_STORE_CHUNK:
    case DSMR_FX_STORE_CERT:
    case DSMR_FX_STORE_ACCEPT:
    case DSMR_FX_STORE_EVIDENCE:
    case DSMR_FX_STORE_GC:
        store(number, fx);
        break;
    case DSMR_FX_LOAD_CHUNK:
        load(number, fx);
        break;
    case DSMR_FX_SIGN:
        sign(number, fx);
        break;
    case DSMR_FX_VERIFY_CHUNK:
        verify_chunk(number, fx);
        break;
    case DSMR_FX_AGGREGATE:
        aggregate(number, fx);
        break;
    case DSMR_FX_VERIFY_CERTS:
        verify_certs(number, fx);
        break;
    case DSMR_FX_EXECUTE:
        execute(number, fx);
        break;
    case DSMR_FX_BLOCK_READY:
        is_ready = number == 0 ? fx->u.block_ready : is_ready;
        ask_for_block();
        break;
    case DSMR_FX_BUILT:
    case DSMR_FX_VERDICT:
    case DSMR_FX_ACCEPTED:
        on_engine_answer(number, fx);
        break;
    case DSMR_FX_HALT:
        fprintf(stderr, "node %" PRIu32 " halts: %s\n", number, fx->u.halt);
        exit(1);
    default: /* SUBMITTED, NOTICE, TRACE, FAULT: for the curious. WANT_SET, VERIFY_SIG, SERVE_CHUNK:
                another epoch, a liar, a node that was away; none of them occurs here. */
        break;
    }
}

static void step(struct item *item)
{
    struct member *member = &members[item->to];
    struct dsmr_msg msg;
    item->event.mono_ms = mono_ms;
    item->event.wall_ms = WALL_MS + mono_ms;
    if (item->event.kind == DSMR_EV_MESSAGE) {
        must_be_ok(dsmr_msg_decode(&msg, item->bytes->bytes, item->bytes->len));
        item->event.u.message.msg = &msg;
        item->event.u.message.bytes = item->bytes;
    }
    dsmr_node_step(member->node, &member->effects, &item->event);
    for (uint32_t i = 0; i < member->effects.count; i++) {
        perform(item->to, &member->effects.items[i]);
    }
    dsmr_effects_clear(&member->effects);
}

/* Handles what is on its way; then lets time pass up to the nodes' next deadlines. */
static void run_until(uint64_t until_ms)
{
    while (mono_ms < until_ms) {
        while (first != NULL) {
            struct item *item = first;
            first = item->next;
            end = first == NULL ? &first : end;
            step(item);
            free_item(item);
        }
        uint64_t next_ms = until_ms;
        for (uint32_t i = 0; i < NODES; i++) {
            uint64_t deadline_ms = dsmr_node_deadline_ms(members[i].node);
            if (deadline_ms <= mono_ms) {
                push(i, DSMR_EV_TICK, 0);
                next_ms = mono_ms;
            } else if (deadline_ms < next_ms) {
                next_ms = deadline_ms;
            }
        }
        mono_ms = next_ms;
    }
}

static void submit(uint32_t number, const char *text)
{
    size_t len = 9 + strlen(text); /* {version u8, expiry u64 big-endian, body}: 16 or more */
    uint64_t expiry_ms = WALL_MS + mono_ms + 30000;
    struct item *item = push(number, DSMR_EV_SUBMIT, 1);
    item->bytes = must(dsmr_buf_new(len));
    item->bytes->bytes[0] = 1;
    for (uint32_t i = 0; i < 8; i++) {
        item->bytes->bytes[1 + i] = (uint8_t)(expiry_ms >> (56 - 8 * i));
    }
    memcpy(item->bytes->bytes + 9, text, strlen(text));
    item->tx.bytes = item->bytes->bytes;
    item->tx.len = (uint32_t)len;
    item->tx.expiry_ms = expiry_ms;
    dsmr_hash(&item->tx.id, item->tx.bytes, len);
    item->event.u.submit.owner = item->bytes;
    item->event.u.submit.items = &item->tx;
    item->event.u.submit.count = 1;
}

static void make_set(void)
{
    struct dsmr_set_builder_entry entries[NODES];
    size_t bad = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        uint8_t entropy[32] = {(uint8_t)(i + 1)}; /* an example's keys; a real one asks the OS */
        struct dsmr_bls_public_key key;
        struct dsmr_bls_point point;
        dsmr_bls_keygen(&members[i].key, entropy);
        dsmr_bls_public_key(&key, &members[i].key);
        members[i].id.bytes[0] = (uint8_t)(i + 1);
        entries[i] =
            (struct dsmr_set_builder_entry){.node_id = members[i].id, .weight = 1, .has_key = true};
        must_be_ok(dsmr_bls_key_decode(&entries[i].key, &point, &key));
    }
    must_be_ok(dsmr_set_builder_build(&set, &bad, 0, entries, NODES));
}

static void start(uint32_t number, struct dsmr_block *genesis)
{
    struct member *member = &members[number];
    struct dsmr_node_config config = {.params = params,
                                      .node_id = member->id,
                                      .seed = number + 1,
                                      .validators_max = NODES,
                                      .mempool_bytes_max = 1 << 20,
                                      .mempool_txs_max = 1000,
                                      .chunk_cache_bytes_max = 1 << 24,
                                      .retry_ms = 200,
                                      .fetch_timeout_ms = 500,
                                      .fetches_max = 8,
                                      .can_produce = true,
                                      .genesis = genesis};
    must_be_ok(dsmr_effects_init(&member->effects));
    member->node = must(dsmr_node_new(&config));
    push(number, DSMR_EV_START, 0); /* nothing to restore: the chain is new */
    push(number, DSMR_EV_SET, 0)->event.u.set = set;
    for (uint32_t peer = 0; peer < NODES; peer++) {
        if (peer != number) {
            struct item *item = push(number, DSMR_EV_PEER, 0);
            item->event.u.peer.node_id = members[peer].id;
            item->event.u.peer.is_up = true;
        }
    }
}

int main(void)
{
    struct dsmr_block *genesis = NULL;
    const char *reason = "";
    dsmr_params_default(&params);
    params.domain.network_id = 1;
    if (dsmr_params_check(&params, &reason, NODES) != DSMR_OK) {
        fprintf(stderr, "parameters: %s\n", reason);
        return 1;
    }
    must_be_ok(dsmr_block_genesis(&genesis, &params, WALL_MS));
    tip = genesis->id;
    make_set();
    for (uint32_t i = 0; i < NODES; i++) {
        start(i, genesis);
    }
    run_until(1000);
    submit(0, "hello from 0");
    submit(2, "hello from 2");
    run_until(3000);

    int failed = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        struct dsmr_node_status status;
        dsmr_node_status(members[i].node, &status);
        failed |=
            status.executed_height < 2 || memcmp(&members[i].state_root, &members[0].state_root,
                                                 sizeof(members[0].state_root)) != 0;
        printf("node %" PRIu32 ": height %" PRIu64 ", state %02x%02x%02x%02x\n", i,
               status.executed_height, members[i].state_root.bytes[0],
               members[i].state_root.bytes[1], members[i].state_root.bytes[2],
               members[i].state_root.bytes[3]);
        for (uint32_t k = 0; k < members[i].chunks_count; k++) {
            dsmr_chunk_unref(members[i].chunks[k]);
        }
        dsmr_node_free(members[i].node);
        dsmr_effects_close(&members[i].effects);
        dsmr_bls_wipe(&members[i].key);
    }
    dsmr_validator_set_unref(set);
    dsmr_block_unref(genesis);
    return failed;
}
