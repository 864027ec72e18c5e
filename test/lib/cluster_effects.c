/* cluster_effects.c - the cluster answers what nodes want done. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "lib/cluster_item.h"
#include "sim/sim_bls.h"
#include "wire/codec.h"

static void trace(struct cluster *cluster, uint32_t number, const char *what,
                  const struct dsmr_id *id, uint64_t a, uint64_t b)
{
    static int is_on = -1;
    if (is_on < 0) {
        is_on = getenv("CLUSTER_TRACE") != NULL;
    }
    if (!is_on && !cluster->is_told) {
        return;
    }
    char line[128];
    snprintf(line, sizeof(line), "%8llu n%u %-16s %02x%02x%02x %llu %llu\n",
             (unsigned long long)cluster->mono_ms, number, what, id->bytes[0], id->bytes[1],
             id->bytes[2], (unsigned long long)a, (unsigned long long)b);
    if (is_on) {
        fputs(line, stdout);
        fflush(stdout);
    }
    if (cluster->is_told) {
        cluster_story_add(cluster, line);
    }
}

static const char *const trace_names[] = {
    "CHUNK_BUILT", "SHARE_GIVEN",   "SHARE_REFUSED",  "SHARE_RECEIVED", "CERT_FORMED",
    "CERT_ADDED",  "BLOCK_BUILT",   "BLOCK_VERIFIED", "BLOCK_ACCEPTED", "BLOCK_REJECTED",
    "FETCH_SENT",  "CHUNK_FETCHED", "ASSEMBLED",      "EXECUTED",       "CHUNK_EXPIRED",
    "EVIDENCE",    "BEHIND",        "CHUNK_PRUNED"};

static uint32_t number_of(const struct cluster *cluster, const struct dsmr_node_id *id)
{
    for (uint32_t i = 0; i < cluster->config.nodes; i++) {
        if (dsmr_node_id_equal(&cluster->nodes[i].id, id)) {
            return i;
        }
    }
    return UINT32_MAX;
}

static void post(struct cluster *cluster, uint32_t from, uint32_t to, struct dsmr_buf *bytes)
{
    struct dsmr_msg msg;
    enum dsmr_err err = dsmr_msg_decode(&msg, bytes->bytes, bytes->len);
    DSMR_ASSERT(err == DSMR_OK); /* what leaves a node decodes */
    cluster->messages[msg.type & 63u]++;
    if (cluster->passes != NULL && !cluster->passes(cluster, from, to, &msg)) {
        return;
    }
    struct cluster_item item = {.kind = CLUSTER_MESSAGE,
                                .from = from,
                                .to = to,
                                .life = cluster->nodes[to].life,
                                .bytes = dsmr_buf_ref(bytes)};
    cluster_push(cluster, &item, cluster->delay_ms);
}

static void on_send(struct cluster *cluster, uint32_t number, const struct dsmr_effect *fx)
{
    uint32_t body_len = fx->u.send.body == NULL ? 0 : fx->u.send.body->ref.chunk_bytes;
    struct dsmr_buf *bytes = dsmr_buf_new(fx->u.send.head->len + body_len);
    DSMR_ASSERT(bytes != NULL);
    memcpy(bytes->bytes, fx->u.send.head->bytes, fx->u.send.head->len);
    if (body_len > 0) {
        memcpy(bytes->bytes + fx->u.send.head->len, fx->u.send.body->bytes, body_len);
    }
    for (uint32_t to = 0; to < cluster->config.nodes; to++) {
        bool is_meant = fx->kind == DSMR_FX_SEND
                            ? dsmr_node_id_equal(&fx->u.send.to, &cluster->nodes[to].id)
                            : dsmr_validator_set_find(fx->u.send.set, &cluster->nodes[to].id) >= 0;
        if (is_meant && to != number) {
            post(cluster, number, to, bytes);
        }
    }
    dsmr_buf_unref(bytes);
}

static void on_verify_chunk(struct cluster *cluster, uint32_t number, const struct dsmr_effect *fx)
{
    struct dsmr_event event = {.kind = DSMR_EV_CHUNK_VERIFIED, .request_id = fx->request_id};
    struct dsmr_chunk *chunk = NULL;
    event.err = dsmr_chunk_decode(&chunk, &cluster->params, fx->u.verify_chunk.owner,
                                  fx->u.verify_chunk.bytes, fx->u.verify_chunk.len);
    if (event.err == DSMR_OK && fx->u.verify_chunk.set != NULL) {
        uint8_t bytes[DSMR_SHARE_SIGNING_BYTES];
        dsmr_share_signing_bytes(bytes, &cluster->params.domain, &chunk->ref);
        if (dsmr_sim_bls_ops_in_use()->verify(fx->u.verify_chunk.set, fx->u.verify_chunk.producer,
                                              &fx->u.verify_chunk.producer_sig, bytes,
                                              sizeof(bytes)) != DSMR_OK) {
            event.err = DSMR_ERR_PRODUCER_KEY;
        }
    }
    if (event.err == DSMR_OK && fx->u.verify_chunk.check_txs) {
        event.err = dsmr_chunk_check_txs(chunk, &cluster->params);
        for (uint32_t i = 0; event.err == DSMR_OK && i < chunk->ref.tx_count; i++) {
            /* The application: version 1 only, and a body that starts with 0xEE is forged. */
            struct dsmr_tx_view tx = dsmr_chunk_tx(chunk, i);
            if (tx.bytes[0] != 1 || (tx.len > 9 && tx.bytes[9] == 0xEE)) {
                event.err = DSMR_ERR_BAD_TX;
            }
        }
    }
    if (event.err != DSMR_OK) {
        dsmr_chunk_unref(chunk);
        chunk = NULL;
    }
    event.u.chunk = chunk; /* owned by the item */
    cluster->nodes[number].chunk_verifies++;
    cluster_answer(cluster, number, cluster->work_ms, &event);
}

static void push_verdicts(struct cluster *cluster, uint32_t number, uint64_t request_id,
                          enum dsmr_err *errs, uint32_t count)
{
    struct cluster_item item = {
        .kind = CLUSTER_ANSWER, .to = number, .life = cluster->nodes[number].life, .errs = errs};
    item.event.kind = DSMR_EV_VERIFIED;
    item.event.request_id = request_id;
    item.event.u.verified.errs = errs;
    item.event.u.verified.count = count;
    cluster_push(cluster, &item, cluster->work_ms);
}

static void on_verify_certs(struct cluster *cluster, uint32_t number, const struct dsmr_effect *fx)
{
    uint32_t count = fx->u.verify_certs.count;
    enum dsmr_err *errs = calloc(count + 1u, sizeof(*errs));
    DSMR_ASSERT(errs != NULL);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t bytes[DSMR_SHARE_SIGNING_BYTES];
        uint8_t random[8] = {1};
        const struct dsmr_cert *cert = &fx->u.verify_certs.certs[i];
        dsmr_share_signing_bytes(bytes, &cluster->params.domain, &cert->ref);
        struct dsmr_bls_batch_entry entry = {.set = fx->u.verify_certs.sets[i],
                                             .signers = &cert->signers,
                                             .sig = &cert->sig,
                                             .message = bytes,
                                             .len = sizeof(bytes)};
        enum dsmr_err err = dsmr_sim_bls_ops_in_use()->verify_batch(&errs[i], &entry, 1, random);
        DSMR_ASSERT(err == DSMR_OK);
    }
    cluster->nodes[number].cert_verifies += count;
    cluster->nodes[number].cert_batches++;
    push_verdicts(cluster, number, fx->request_id, errs, count);
}

static void on_verify_sig(struct cluster *cluster, uint32_t number, const struct dsmr_effect *fx)
{
    uint8_t bytes[DSMR_SHARE_SIGNING_BYTES];
    enum dsmr_err *errs = calloc(1, sizeof(*errs));
    DSMR_ASSERT(errs != NULL);
    dsmr_share_signing_bytes(bytes, &cluster->params.domain, &fx->u.verify_sig.ref);
    *errs = dsmr_sim_bls_ops_in_use()->verify(fx->u.verify_sig.set, fx->u.verify_sig.signer,
                                              &fx->u.verify_sig.sig, bytes, sizeof(bytes));
    push_verdicts(cluster, number, fx->request_id, errs, 1);
}

static void on_sign(struct cluster *cluster, uint32_t number, const struct dsmr_effect *fx)
{
    struct cluster_node *node = &cluster->nodes[number];
    const struct dsmr_reference *ref = &fx->u.sign;
    struct cluster_stored *stored = cluster_disk_find(&node->disk, &ref->chunk_id);
    /* INV-01 seen from outside: the promise is on disk before it is signed. */
    DSMR_ASSERT(stored != NULL && stored->is_signed && dsmr_reference_equal(&stored->ref, ref));
    DSMR_ASSERT(stored->bytes != NULL); /* and can be served */
    struct dsmr_event event = {.kind = DSMR_EV_SIGNED, .request_id = fx->request_id};
    event.u.sig = cluster_share(cluster, number, ref);
    node->signs++;
    cluster_answer(cluster, number, cluster->work_ms, &event);
}

static void on_aggregate(struct cluster *cluster, uint32_t number, const struct dsmr_effect *fx)
{
    uint8_t bytes[DSMR_SHARE_SIGNING_BYTES];
    struct dsmr_event event = {.kind = DSMR_EV_AGGREGATED, .request_id = fx->request_id};
    dsmr_share_signing_bytes(bytes, &cluster->params.domain, &fx->u.aggregate.ref);
    event.err = dsmr_sim_bls_ops_in_use()->aggregate(
        &event.u.aggregated.sig, &event.u.aggregated.signers, &event.u.aggregated.bad,
        fx->u.aggregate.set, fx->u.aggregate.shares, fx->u.aggregate.shares_count, bytes,
        sizeof(bytes));
    cluster_answer(cluster, number, cluster->work_ms, &event);
}

static void on_store(struct cluster *cluster, uint32_t number, struct dsmr_effect *fx)
{
    struct cluster_item item = {.kind = CLUSTER_ANSWER,
                                .to = number,
                                .life = cluster->nodes[number].life,
                                .has_store = true,
                                .store = *fx};
    item.event.kind = DSMR_EV_STORED;
    item.event.request_id = fx->request_id;
    cluster->nodes[number].chunk_stores += fx->kind == DSMR_FX_STORE_CHUNK;
    fx->kind = DSMR_FX_SIGN; /* what it holds belongs to the item now */
    cluster_push(cluster, &item, cluster->work_ms);
}

static struct dsmr_chunk *load(struct cluster *cluster, uint32_t number, const struct dsmr_id *id)
{
    struct cluster_stored *stored = cluster_disk_find(&cluster->nodes[number].disk, id);
    struct dsmr_chunk *chunk = NULL;
    if (stored != NULL && stored->bytes != NULL) {
        enum dsmr_err err = dsmr_chunk_decode(&chunk, &cluster->params, stored->bytes,
                                              stored->bytes->bytes, stored->bytes->len);
        chunk = err == DSMR_OK ? chunk : NULL; /* the test has damaged it */
    }
    return chunk;
}

static void on_load(struct cluster *cluster, uint32_t number, const struct dsmr_effect *fx)
{
    struct dsmr_event event = {.kind = DSMR_EV_CHUNK_LOADED, .request_id = fx->request_id};
    event.u.chunk = load(cluster, number, &fx->u.load_chunk);
    event.err = event.u.chunk == NULL ? DSMR_ERR_UNKNOWN : DSMR_OK;
    cluster_answer(cluster, number, cluster->work_ms, &event);
}

static void on_load_block(struct cluster *cluster, uint32_t number, const struct dsmr_effect *fx)
{
    struct cluster_node *node = &cluster->nodes[number];
    const struct cluster_disk *disk = &node->disk;
    uint64_t height = fx->u.load_block;
    struct dsmr_event event = {.kind = DSMR_EV_BLOCK_LOADED, .request_id = fx->request_id};
    DSMR_ASSERT(height >= 1 &&
                height <= disk->accepted_height); /* durable before it is asked for */
    if (node->fail_block_loads > 0) {
        node->fail_block_loads--;
        event.err = DSMR_ERR_BUSY;
    } else {
        event.u.block = dsmr_block_ref(disk->blocks[height]);
        event.err = event.u.block == NULL ? DSMR_ERR_UNKNOWN : DSMR_OK;
    }
    cluster_answer(cluster, number, cluster->work_ms, &event);
}

/* What a driver reads from its own blocks. */
static bool is_pruned(const struct cluster_disk *disk, const struct dsmr_effect *fx)
{
    const struct dsmr_block *block = disk->blocks[fx->u.serve_chunk.height];
    for (uint32_t i = 0; block != NULL && i < block->certs_count; i++) {
        if (dsmr_id_equal(&block->certs[i].ref.chunk_id, &fx->u.serve_chunk.chunk_id)) {
            return block->time_ms < fx->u.serve_chunk.horizon_ms;
        }
    }
    return false;
}

static void on_serve(struct cluster *cluster, uint32_t number, const struct dsmr_effect *fx)
{
    uint32_t to = number_of(cluster, &fx->u.serve_chunk.to);
    struct dsmr_chunk *chunk = load(cluster, number, &fx->u.serve_chunk.chunk_id);
    struct dsmr_msg msg = {.type = DSMR_MSG_CHUNK};
    msg.u.chunk.chunk_id = fx->u.serve_chunk.chunk_id;
    if (chunk == NULL) {
        msg.u.chunk.err =
            is_pruned(&cluster->nodes[number].disk, fx) ? DSMR_ERR_PRUNED : DSMR_ERR_UNKNOWN;
    }
    if (chunk != NULL) {
        msg.u.chunk.chunk = chunk->bytes;
        msg.u.chunk.chunk_len = chunk->ref.chunk_bytes;
    }
    struct dsmr_buf *bytes = dsmr_msg_encode(&msg, true);
    DSMR_ASSERT(bytes != NULL);
    if (to != UINT32_MAX) {
        post(cluster, number, to, bytes);
    }
    dsmr_buf_unref(bytes);
    dsmr_chunk_unref(chunk);
}

static void on_execute(struct cluster *cluster, uint32_t number, const struct dsmr_effect *fx)
{
    struct cluster_item item = {.kind = CLUSTER_ANSWER,
                                .to = number,
                                .life = cluster->nodes[number].life,
                                .plan = dsmr_plan_ref(fx->u.execute)};
    item.event.kind = DSMR_EV_EXECUTED;
    item.event.request_id = fx->request_id;
    cluster_push(cluster, &item, cluster->work_ms);
}

static void on_want_set(struct cluster *cluster, uint32_t number, const struct dsmr_effect *fx)
{
    struct dsmr_validator_set *set = cluster_set(cluster, fx->u.want_set);
    if (set != NULL) {
        struct dsmr_event event = {.kind = DSMR_EV_SET, .u.set = set};
        cluster_answer(cluster, number, cluster->work_ms, &event);
    }
}

static void on_submitted(struct cluster_node *node, const struct dsmr_effect *fx)
{
    for (uint32_t i = 0; i < fx->u.submitted.count; i++) {
        node->last_submit = fx->u.submitted.errs[i];
        node->submitted_ok += fx->u.submitted.errs[i] == DSMR_OK;
        node->submitted_refused += fx->u.submitted.errs[i] != DSMR_OK;
    }
}

static void on_engine_answer(struct cluster *cluster, uint32_t number, struct dsmr_effect *fx)
{
    struct cluster_node *node = &cluster->nodes[number];
    bool is_by_hand = fx->request_id >= 10;
    enum dsmr_err err = fx->u.answer.err;
    if (fx->kind == DSMR_FX_BUILT) {
        node->builds++;
        node->last_build = err;
        dsmr_block_unref(node->built);
        node->built = dsmr_block_ref(fx->u.answer.block);
        if (!is_by_hand) {
            cluster_engine_on_built(cluster, number, err, fx->u.answer.block);
        }
        return;
    }
    struct cluster_item item = {.kind = CLUSTER_ENGINE, .to = number, .life = node->life};
    item.event.err = err;
    if (fx->kind == DSMR_FX_VERDICT) {
        node->verdicts++;
        node->last_verdict = err;
        item.from = 1;
    } else {
        node->accepts++;
        node->last_accept = err;
        item.from = 2;
    }
    if (!is_by_hand) {
        cluster_push(cluster, &item, 0);
    }
}

static void on_trace(struct cluster *cluster, uint32_t number, const struct dsmr_effect *fx)
{
    uint32_t what = (uint32_t)fx->u.trace.what;
    cluster->nodes[number].traces[what]++;
    trace(cluster, number, trace_names[what], &fx->u.trace.id, fx->u.trace.a, fx->u.trace.b);
}

void cluster_effect(struct cluster *cluster, uint32_t number, struct dsmr_effect *fx)
{
    struct cluster_node *node = &cluster->nodes[number];
    static const struct dsmr_id none;
    switch (fx->kind) {
    case DSMR_FX_SEND:
    case DSMR_FX_BROADCAST:
        on_send(cluster, number, fx);
        break;
    case DSMR_FX_STORE_CHUNK:
    case DSMR_FX_STORE_CERT:
    case DSMR_FX_STORE_ACCEPT:
    case DSMR_FX_STORE_EVIDENCE:
    case DSMR_FX_STORE_GC:
        on_store(cluster, number, fx);
        break;
    case DSMR_FX_SIGN:
        on_sign(cluster, number, fx);
        break;
    case DSMR_FX_VERIFY_CHUNK:
        on_verify_chunk(cluster, number, fx);
        break;
    case DSMR_FX_VERIFY_SIG:
        on_verify_sig(cluster, number, fx);
        break;
    case DSMR_FX_AGGREGATE:
        on_aggregate(cluster, number, fx);
        break;
    case DSMR_FX_VERIFY_CERTS:
        on_verify_certs(cluster, number, fx);
        break;
    case DSMR_FX_LOAD_CHUNK:
        on_load(cluster, number, fx);
        break;
    case DSMR_FX_LOAD_BLOCK:
        on_load_block(cluster, number, fx);
        break;
    case DSMR_FX_SERVE_CHUNK:
        on_serve(cluster, number, fx);
        break;
    case DSMR_FX_EXECUTE:
        on_execute(cluster, number, fx);
        break;
    case DSMR_FX_BLOCK_READY:
        node->is_ready = fx->u.block_ready;
        cluster_wake_engine(cluster, 1);
        break;
    case DSMR_FX_BUILT:
    case DSMR_FX_VERDICT:
    case DSMR_FX_ACCEPTED:
        on_engine_answer(cluster, number, fx);
        break;
    case DSMR_FX_SUBMITTED:
        on_submitted(node, fx);
        break;
    case DSMR_FX_NOTICE:
        node->returned += fx->u.notice.what == DSMR_NOTICE_OWN_RETURNED;
        node->told_certified += fx->u.notice.what == DSMR_NOTICE_OWN_CERTIFIED;
        node->txs_expired += fx->u.notice.tx_ids_count;
        break;
    case DSMR_FX_WANT_SET:
        on_want_set(cluster, number, fx);
        break;
    case DSMR_FX_FAULT:
        node->faults++;
        node->last_fault = fx->u.fault.err;
        trace(cluster, number, "FAULT", &none, number_of(cluster, &fx->u.fault.peer),
              (uint64_t)fx->u.fault.err);
        break;
    case DSMR_FX_HALT:
        node->is_halted = true;
        node->halt_reason = fx->u.halt;
        trace(cluster, number, "HALT", &none, 0, 0);
        break;
    case DSMR_FX_TRACE:
        on_trace(cluster, number, fx);
        break;
    }
}
