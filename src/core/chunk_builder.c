#include "core/chunk_builder.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "core/health.h"
#include "core/share_collector.h"
#include "wire/codec.h"

#define FRAME_BYTES (DSMR_CHUNK_HEADER_BYTES)
#define GATHER_SLOTS 4u  /* how long transactions may gather behind an uncertified chunk */
#define CHUNK_COST_MS 2u /* of a core of each validator: its shares, its certificate */
#define HEAVY_MS 100u    /* between chunks that are costly for what they hold */
/* From here on a chunk's transactions cost a validator as much as its pairings do: where that comes
 * in every slot, processors are what is scarce. */
#define HEAVY_BYTES (768u << 10)

/* Chunks follow each other: the last one is hardly older than a slot. */
static bool is_busy(const struct dsmr_node *node)
{
    return node->built_mono_ms != 0 &&
           node->mono_ms - node->built_mono_ms < 2u * (uint64_t)node->config.params.slot_ms;
}

/* Whether a busy producer has to wait for the next slot: none has started since its last chunk. */
static bool is_out_of_step(const struct dsmr_node *node)
{
    return is_busy(node) &&
           node->mono_ms - node->built_mono_ms <= node->wall_ms % node->config.params.slot_ms;
}

/* Nothing is won by waiting for more. */
static uint32_t worth_bytes(const struct dsmr_node *node)
{
    return node->config.params.chunk_bytes_max;
}

/* Whether a producer with much to send has to wait for the next slot: where slots are short, such
 * chunks leave when a tenth of a second starts, by all clocks, and not more often. */
static bool is_out_of_round(const struct dsmr_node *node)
{
    const struct dsmr_params *params = &node->config.params;
    uint32_t slots = HEAVY_MS / params->slot_ms;
    uint64_t bytes = dsmr_mempool_bytes(node->mempool);
    return slots > 1 && node->built_mono_ms != 0 &&
           node->mono_ms - node->built_mono_ms < HEAVY_MS &&
           node->wall_ms / params->slot_ms % slots != 0 && bytes >= HEAVY_BYTES &&
           bytes < worth_bytes(node) / 2u &&
           dsmr_mempool_txs(node->mempool) < params->chunk_txs_max / 2u;
}

/* A slot for a new chunk: true, or false and *wait_wall_ms is when to try again. */
static bool find_slot(const struct dsmr_node *node, uint64_t *slot, uint64_t *wait_wall_ms)
{
    uint64_t slot_ms = node->config.params.slot_ms;
    uint64_t now_slot = node->wall_ms / slot_ms;
    uint64_t last_slot = now_slot;
    if (dsmr_health_floor_ends_ms(node) > node->wall_ms) { /* 6.3 holds for our own share too */
        *wait_wall_ms = dsmr_health_floor_ends_ms(node);
        return false;
    }
    *wait_wall_ms = (now_slot + 1) * slot_ms;
    if (is_out_of_step(node) || is_out_of_round(node)) {
        return false;
    }
    if (node->own_uncertified_bytes == 0 && !is_busy(node) &&
        (now_slot + 1) * slot_ms <= node->wall_ms + node->config.params.clock_skew_ms) {
        last_slot++;
    }
    for (uint64_t s = now_slot; s <= last_slot; s++) {
        if (dsmr_journal_find(node->journal, &node->config.node_id, s) == NULL) {
            *slot = s;
            return true;
        }
    }
    return false;
}

enum dsmr_err dsmr_chunk_builder_obstacle(struct dsmr_node *node)
{
    const struct dsmr_validator_set *set = dsmr_node_common_set(node, node->accepted->epoch);
    if (node->is_halted) {
        return DSMR_ERR_HALTED;
    }
    if (!node->config.can_produce ||
        (set != NULL && dsmr_validator_set_find(set, &node->config.node_id) < 0)) {
        return DSMR_ERR_NOT_PRODUCING;
    }
    if (node->is_bootstrapping || node->is_behind) {
        return DSMR_ERR_BEHIND;
    }
    if (node->is_disk_low) {
        return DSMR_ERR_DISK_LOW;
    }
    return node->is_started ? DSMR_OK : DSMR_ERR_NOT_YET;
}

uint64_t dsmr_chunk_builder_not_before(const struct dsmr_node *node)
{
    uint64_t floor_ms = dsmr_node_common_floor(node);
    uint64_t lifetime_ms = node->config.params.chunk_lifetime_ms;
    return floor_ms > lifetime_ms ? floor_ms - lifetime_ms : 0;
}

static bool may_build(struct dsmr_node *node, struct dsmr_validator_set **set)
{
    if (!node->config.can_produce || !dsmr_node_common_is_healthy(node) ||
        dsmr_mempool_txs(node->mempool) == 0 || node->accepted->epoch == DSMR_EPOCH_NONE) {
        return false;
    }
    *set = dsmr_node_common_set(node, node->accepted->epoch);
    return *set != NULL && dsmr_validator_set_find(*set, &node->config.node_id) >= 0 &&
           node->own_count < DSMR_NODE_OWN_MAX && dsmr_chunk_pool_has_room(node->chunks) &&
           dsmr_journal_has_room(node->journal) && dsmr_requests_has_room(node->requests, 1);
}

void dsmr_chunk_builder_backlogs(const struct dsmr_node *node, struct dsmr_backlogs *out)
{
    *out = (struct dsmr_backlogs){.uncertified_bytes = node->own_uncertified_bytes,
                                  .waiting_bytes = node->own_waiting_bytes,
                                  .backlog_bytes = node->queue.backlog_bytes};
    for (uint32_t i = 0; node->own_uncertified_bytes > 0 && i < DSMR_NODE_OWN_MAX; i++) {
        const struct dsmr_own_chunk *own = &node->own[i];
        if (own->state < DSMR_OWN_COLLECTING || own->has_cert) {
            continue; /* free, not sent yet, or certified */
        }
        uint64_t waited_ms =
            node->mono_ms > own->first_sent_ms ? node->mono_ms - own->first_sent_ms : 0;
        out->uncertified_ms = waited_ms > out->uncertified_ms ? waited_ms : out->uncertified_ms;
    }
}

/* What backpressure allows is for a slot. The slots that went by without a chunk count too, so that
 * a builder which has to be slow makes fewer chunks, not smaller ones: a network that is late for
 * lack of processors would only become later by more pairings for each transaction. */
static uint32_t saved_bytes(const struct dsmr_node *node, uint32_t bytes)
{
    uint64_t passed_ms = node->mono_ms - node->built_mono_ms;
    uint64_t slots = node->built_mono_ms == 0 ? 1u : passed_ms / node->config.params.slot_ms;
    slots = slots < 1u ? 1u : slots;
    uint64_t saved = (uint64_t)bytes * (slots < GATHER_SLOTS ? slots : GATHER_SLOTS);
    uint32_t most = bytes > worth_bytes(node) ? bytes : worth_bytes(node);
    return saved < most ? (uint32_t)saved : most;
}

/* Bytes that the next chunk may have; 0: none now. */
static uint32_t allowed_bytes(struct dsmr_node *node)
{
    struct dsmr_backlogs backlogs;
    dsmr_chunk_builder_backlogs(node, &backlogs);
    uint32_t rate = dsmr_backpressure_allow(&node->backpressure, &backlogs, node->mono_ms);
    uint32_t bytes = saved_bytes(node, rate);
    uint64_t used = dsmr_chunk_pool_pending_bytes(node->chunks, &node->config.node_id);
    uint64_t quota = node->config.params.pending_bytes_max;
    uint64_t left = used < quota ? quota - used : 0;
    dsmr_node_common_gauge(node, DSMR_METRIC_BUILDER_RATE_BYTES, rate);
    if (left < DSMR_QUOTA_CHUNK_BYTES_MIN || bytes == 0) { /* the others would refuse it */
        return 0;
    }
    return left < bytes ? (uint32_t)left : bytes;
}

/* What the largest transaction needs: a small chunk must not leave it stuck. */
static uint32_t lowest_bytes(const struct dsmr_node *node)
{
    uint64_t used = dsmr_chunk_pool_pending_bytes(node->chunks, &node->config.node_id);
    uint64_t left = node->config.params.pending_bytes_max - used; /* allowed_bytes saw some */
    uint32_t lowest =
        FRAME_BYTES + DSMR_CHUNK_TX_PREFIX_BYTES + dsmr_params_tx_bytes_max(&node->config.params);
    return left < lowest ? (uint32_t)left : lowest;
}

/* A chunk costs every validator several pairings, whatever its size. So while one of ours waits for
 * its certificate, transactions gather until that comes, or until there is a chunk of them,
 * but not for long: Nagle's rule (RFC 896). Where many produce, they gather in any case for as long
 * as a core needs for a chunk of each. A lonely transaction never waits. UINT64_MAX: build now. */
static uint64_t gather_until(const struct dsmr_node *node, uint32_t bytes)
{
    uint32_t slot_ms = node->config.params.slot_ms;
    uint64_t round_ms = (uint64_t)dsmr_chunk_pool_producers(node->chunks) * CHUNK_COST_MS;
    uint64_t turn_ms = dsmr_node_common_add(node->built_mono_ms, round_ms > slot_ms ? round_ms : 0);
    uint64_t until_ms = dsmr_node_common_add(node->built_mono_ms, GATHER_SLOTS * (uint64_t)slot_ms);
    bool has_enough = bytes >= worth_bytes(node) &&
                      (dsmr_mempool_bytes(node->mempool) >= worth_bytes(node) ||
                       dsmr_mempool_txs(node->mempool) >= node->config.params.chunk_txs_max);
    if (node->built_mono_ms == 0) {
        return UINT64_MAX;
    }
    if (node->mono_ms < turn_ms) {
        return turn_ms;
    }
    return node->own_uncertified_bytes == 0 || has_enough || node->mono_ms >= until_ms ? UINT64_MAX
                                                                                       : until_ms;
}

static void put_back(struct dsmr_node *node, uint32_t count)
{
    for (uint32_t i = count; i-- > 0;) {
        enum dsmr_err err = dsmr_mempool_put_back(node->mempool, &node->take_txs[i]);
        if (err != DSMR_OK) {
            dsmr_node_common_error(node, err);
            dsmr_buf_unref(node->take_txs[i].owner);
        }
    }
}

/* Most lie beside each other in the buffer that they came in. */
static void unref_taken(struct dsmr_node *node, uint32_t count)
{
    for (uint32_t i = 0, run = 0; i < count; i++) {
        struct dsmr_buf *owner = node->take_txs[i].owner;
        run++;
        if (i + 1 == count || node->take_txs[i + 1].owner != owner) {
            dsmr_buf_unref_many(owner, run);
            run = 0;
        }
    }
}

/* Of the transactions that were taken: when the one came that has waited longest. */
static uint64_t oldest_ms(const struct dsmr_node *node, uint32_t count)
{
    uint64_t oldest = node->mono_ms;
    for (uint32_t i = 0; i < count; i++) {
        oldest = node->take_txs[i].since_ms < oldest ? node->take_txs[i].since_ms : oldest;
    }
    return oldest;
}

static struct dsmr_chunk *make_chunk(struct dsmr_node *node, uint64_t slot, uint32_t bytes_max)
{
    const struct dsmr_params *params = &node->config.params;
    uint64_t start_ms = slot * params->slot_ms;
    struct dsmr_mempool_wish wish = {.txs_max = params->chunk_txs_max,
                                     .bytes_max = bytes_max - FRAME_BYTES,
                                     .overhead_bytes = DSMR_CHUNK_TX_PREFIX_BYTES};
    wish.expiry_min_ms = start_ms > node->wall_ms ? start_ms : node->wall_ms;
    wish.expiry_max_ms = start_ms + params->validity_window_ms;
    uint32_t count = dsmr_mempool_take(node->mempool, node->take_txs, &wish);
    if (count == 0) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        node->build_txs[i].bytes = node->take_txs[i].bytes;
        node->build_txs[i].len = node->take_txs[i].len;
        node->build_txs[i].id = node->take_txs[i].id;
    }
    struct dsmr_chunk_header header = {.domain = params->domain,
                                       .epoch = node->accepted->epoch,
                                       .producer = node->config.node_id,
                                       .slot = slot,
                                       .expiry_ms = start_ms + params->chunk_lifetime_ms,
                                       .fee_recipient = node->config.fee_recipient};
    struct dsmr_chunk *chunk = NULL;
    enum dsmr_err err = dsmr_chunk_build(&chunk, params, &header, node->build_txs, count);
    if (err == DSMR_OK && dsmr_chunk_pool_reserve(node->chunks, &node->config.node_id,
                                                  chunk->ref.chunk_bytes) != DSMR_OK) {
        dsmr_chunk_unref(chunk);
        chunk = NULL;
        err = DSMR_ERR_QUOTA_FULL;
    }
    if (err != DSMR_OK) {
        dsmr_node_common_error(node, err);
        put_back(node, count);
        return NULL;
    }
    dsmr_admission_on_built(&node->admission, &chunk->ref, oldest_ms(node, count), node->mono_ms);
    unref_taken(node, count);
    return chunk;
}

static void start_chunk(struct dsmr_node *node, struct dsmr_chunk *chunk,
                        struct dsmr_validator_set *set)
{
    enum dsmr_err err = dsmr_journal_claim(node->journal, &chunk->ref);
    DSMR_ASSERT(err == DSMR_OK); /* find_slot saw it free, and there was room */
    struct dsmr_own_chunk *own = dsmr_share_collector_add(node, &chunk->ref, chunk, set);
    DSMR_ASSERT(own != NULL); /* may_build saw room */
    own->state = DSMR_OWN_STORING;
    node->built_mono_ms = node->mono_ms;
    dsmr_own_ids_add(node->own_ids, chunk);
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_STORE_CHUNK);
    fx->request_id = dsmr_node_common_request(node, DSMR_REQUEST_OWN_STORE,
                                              (uint32_t)(own - node->own), own->use);
    fx->u.store_chunk.chunk = dsmr_chunk_ref(chunk);
    fx->u.store_chunk.included_height = UINT64_MAX;
    fx->u.store_chunk.is_own = true;
    fx->u.store_chunk.is_signed = true;
    dsmr_effects_notice_chunk(node->fx, DSMR_NOTICE_OWN_BUILT, chunk);
    dsmr_effects_trace(node->fx, DSMR_TRACE_CHUNK_BUILT, &chunk->ref.chunk_id, chunk->ref.tx_count,
                       chunk->ref.chunk_bytes);
    dsmr_node_common_count(node, DSMR_METRIC_CHUNKS_BUILT, 1);
    dsmr_node_common_count(node, DSMR_METRIC_CHUNK_TXS_BUILT, chunk->ref.tx_count);
}

void dsmr_chunk_builder_run(struct dsmr_node *node)
{
    struct dsmr_validator_set *set = NULL;
    uint64_t slot = 0;
    uint64_t wait_wall_ms = 0;
    if (!may_build(node, &set)) {
        return;
    }
    if (!find_slot(node, &slot, &wait_wall_ms)) {
        dsmr_node_common_arm(node, DSMR_TIMER_CHUNK, dsmr_node_common_mono_at(node, wait_wall_ms));
        return;
    }
    uint32_t bytes = allowed_bytes(node);
    uint64_t gather_ms = gather_until(node, bytes);
    if (bytes > FRAME_BYTES && gather_ms != UINT64_MAX) {
        dsmr_node_common_arm(node, DSMR_TIMER_CHUNK, gather_ms);
        return;
    }
    struct dsmr_chunk *chunk = bytes <= FRAME_BYTES ? NULL : make_chunk(node, slot, bytes);
    if (chunk == NULL && bytes > FRAME_BYTES && bytes < lowest_bytes(node)) {
        chunk = make_chunk(node, slot, lowest_bytes(node));
    }
    if (chunk == NULL) { /* full, or nothing whose expiry suits this slot: the next one may do */
        wait_wall_ms = node->wall_ms + node->config.params.slot_ms;
        dsmr_node_common_arm(node, DSMR_TIMER_CHUNK, dsmr_node_common_mono_at(node, wait_wall_ms));
        return;
    }
    start_chunk(node, chunk, set);
    dsmr_chunk_unref(chunk);
    if (dsmr_mempool_txs(node->mempool) > 0) {
        wait_wall_ms =
            (node->wall_ms / node->config.params.slot_ms + 1) * node->config.params.slot_ms;
        dsmr_node_common_arm(node, DSMR_TIMER_CHUNK, dsmr_node_common_mono_at(node, wait_wall_ms));
    }
}

void dsmr_chunk_builder_on_stored(struct dsmr_node *node, const struct dsmr_request *request,
                                  enum dsmr_err err)
{
    struct dsmr_own_chunk *own = dsmr_share_collector_of(node, request);
    if (own == NULL) {
        return;
    }
    DSMR_ASSERT(own->state == DSMR_OWN_STORING);
    if (err == DSMR_OK) {
        dsmr_journal_confirm(node->journal, &own->ref);
        struct dsmr_chunk_entry fields = {
            .ref = own->ref, .included_height = UINT64_MAX, .is_own = true, .is_signed = true};
        err = dsmr_chunk_pool_add(node->chunks, &fields, own->chunk, true);
    } else {
        dsmr_journal_doubt(node->journal, &own->ref);
    }
    if (err != DSMR_OK) { /* never signed, so never sent: its transactions may go elsewhere */
        dsmr_node_common_error(node, err);
        dsmr_chunk_pool_unreserve(node->chunks, &own->ref.producer, own->ref.chunk_bytes);
        dsmr_chunk_builder_return(node, own->chunk);
        dsmr_share_collector_remove(node, own);
        return;
    }
    dsmr_share_collector_sign(node, own);
}

void dsmr_chunk_builder_on_loaded(struct dsmr_node *node, const struct dsmr_request *request,
                                  enum dsmr_err err, struct dsmr_chunk *chunk)
{
    struct dsmr_own_chunk *own = dsmr_share_collector_of(node, request);
    if (own == NULL) {
        return; /* included meanwhile */
    }
    if (own->state == DSMR_OWN_LOADING) {
        dsmr_share_collector_on_loaded(node, request, err, chunk);
        own = dsmr_share_collector_of(node, request);
        if (own != NULL) {
            dsmr_own_ids_add(node->own_ids, own->chunk);
        }
    } else if (err == DSMR_OK && dsmr_reference_equal(&chunk->ref, &own->ref)) {
        own->kept = dsmr_chunk_ref(chunk);
        dsmr_own_ids_add(node->own_ids, chunk);
    } else { /* others hold it; only its transactions are not known here */
        dsmr_node_common_error(node, err == DSMR_OK ? DSMR_ERR_CORRUPT : err);
    }
}

static void announce_lost(struct dsmr_node *node, const struct dsmr_id *ids, uint32_t count)
{
    struct dsmr_id *copy = count == 0 ? NULL : malloc((size_t)count * sizeof(*copy));
    if (copy == NULL) {
        return;
    }
    memcpy(copy, ids, (size_t)count * sizeof(*copy));
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_NOTICE);
    fx->u.notice.what = DSMR_NOTICE_TXS_EXPIRED;
    fx->u.notice.tx_ids = copy;
    fx->u.notice.tx_ids_count = count;
}

void dsmr_chunk_builder_return(struct dsmr_node *node, struct dsmr_chunk *chunk)
{
    uint32_t lost = 0;
    struct dsmr_id *lost_ids = malloc((size_t)chunk->ref.tx_count * sizeof(*lost_ids));
    dsmr_own_ids_remove(node->own_ids, chunk);
    dsmr_admission_on_returned(&node->admission, &chunk->ref.chunk_id, node->mono_ms);
    uint32_t kept = 0;
    dsmr_buf_ref_many(chunk->owner, chunk->ref.tx_count);
    for (uint32_t i = chunk->ref.tx_count; i-- > 0;) {
        struct dsmr_tx_view view = dsmr_chunk_tx(chunk, i);
        struct dsmr_mempool_tx tx = {.owner = chunk->owner,
                                     .bytes = view.bytes,
                                     .len = view.len,
                                     .expiry_ms = dsmr_chunk_tx_expiry_ms(chunk, i),
                                     .since_ms = node->mono_ms,
                                     .id = chunk->tx_ids[i]};
        bool is_gone = tx.expiry_ms < node->wall_ms;
        if (!is_gone && !dsmr_executed_ids_has(node->executed_ids, &tx.id, tx.expiry_ms)) {
            enum dsmr_err err = dsmr_mempool_put_back(node->mempool, &tx);
            is_gone = err == DSMR_ERR_MEMPOOL_FULL;
            kept += err == DSMR_OK;
        }
        if (is_gone && lost_ids != NULL) {
            lost_ids[lost++] = tx.id;
        }
    }
    dsmr_buf_unref_many(chunk->owner, chunk->ref.tx_count - kept);
    dsmr_effects_notice_chunk(node->fx, DSMR_NOTICE_OWN_RETURNED, chunk);
    announce_lost(node, lost_ids, lost);
    free(lost_ids);
    dsmr_node_common_arm(node, DSMR_TIMER_CHUNK, node->mono_ms);
    dsmr_node_common_arm(
        node, DSMR_TIMER_MEMPOOL,
        dsmr_node_common_add(node->mono_ms, node->config.params.validity_window_ms / 8u + 1u));
}
