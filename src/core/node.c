/* node.c - the life of a node: memory, dispatch of events, timers, status, invariants. */
#include "dsmr/node.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "core/assembler.h"
#include "core/block_accept.h"
#include "core/block_builder.h"
#include "core/block_load.h"
#include "core/block_verify.h"
#include "core/cert_intake.h"
#include "core/chunk_builder.h"
#include "core/chunk_fetch.h"
#include "core/conflict.h"
#include "core/exec_queue.h"
#include "core/expiry.h"
#include "core/health.h"
#include "core/node_state.h"
#include "core/on_message.h"
#include "core/restore.h"
#include "core/share_collector.h"
#include "core/share_policy.h"
#include "core/submission.h"
#include "crypto/hash.h"

#define SETS_MAX 64u
#define EVIDENCE_MAX 1024u
#define INDEX_MAX (1u << 22)
#define CHUNKS_LIMIT                                                                               \
    (1u << 18) /* entries of the chunk pool, the journal ... however long the set */
#define CHUNKS_SPARE 1024u
#define CERTS_LIMIT (1u << 16)
#define OWN_IDS_LIMIT (1u << 21)
/* On disk the floor trails by up to a lifetime and a quarter: so many lifetimes of entries may be
 * read at a start. */
#define JOURNAL_LIFETIMES 3u
/* A block's epoch and the listed ones may have as many different validators. */
_Static_assert(INDEX_MAX / DSMR_PAST_EPOCHS_MAX >= DSMR_LIFETIME_CHUNKS_LIMIT,
               "the index holds what a lifetime can bring");
#define VERDICTS_MAX (1u << 14)
#define CERTIFICATE_MS_MARK 1000u /* several round trips around the world */
#define LEAST_SHARE 16u           /* of the largest chunk: what a node takes in in any case */
#define BULK_SHARE 8u             /* of the memory for bodies: more of its own is a lot */
#define EXECUTED_ABOVE_MAX 4096u

/* How many chunks of one producer can be neither included nor expired. */
static uint64_t chunks_of_producer(const struct dsmr_params *params)
{
    uint64_t by_slot =
        4u * (((uint64_t)params->chunk_lifetime_ms + params->clock_skew_ms) / params->slot_ms + 2u);
    uint64_t by_quota = params->pending_bytes_max / DSMR_QUOTA_CHUNK_BYTES_MIN + 1u;
    return by_slot < by_quota ? by_slot : by_quota;
}

static uint32_t bounded(uint64_t count, uint32_t limit)
{
    return count < limit ? (uint32_t)count : limit;
}

/* For the executed ids: of the secret, and of the seed for those who have no secret. */
static struct dsmr_executed_ids *new_executed_ids(const struct dsmr_node_config *config)
{
    uint8_t bytes[sizeof(config->secret) + sizeof(config->seed)];
    struct dsmr_id secret;
    memcpy(bytes, &config->secret, sizeof(config->secret));
    dsmr_store_be64(bytes + sizeof(config->secret), config->seed);
    dsmr_hash(&secret, bytes, sizeof(bytes));
    return dsmr_executed_ids_new(config->params.validity_window_ms, &secret);
}

static bool new_pools(struct dsmr_node *node)
{
    const struct dsmr_node_config *config = &node->config;
    const struct dsmr_params *params = &config->params;
    uint64_t seed = dsmr_prng_next(&node->prng);
    uint64_t each = chunks_of_producer(params);
    uint32_t tables_max = config->tables_max > 0 ? config->tables_max : UINT32_MAX;
    uint64_t pending = each * config->validators_max;
    uint64_t included = dsmr_params_lifetime_chunks(params, config->validators_max);
    uint32_t chunks_max =
        bounded(pending + (included > pending ? included : pending) + CHUNKS_SPARE, CHUNKS_LIMIT);
    uint32_t certs_max = bounded(pending, CERTS_LIMIT);
    uint32_t certs_each = bounded(each, certs_max);
    uint32_t journal_max =
        bounded(JOURNAL_LIFETIMES * dsmr_params_lifetime_chunks(params, config->validators_max),
                JOURNAL_LIFETIMES * DSMR_LIFETIME_CHUNKS_LIMIT);
    chunks_max = bounded(chunks_max, tables_max);
    certs_max = bounded(certs_max, tables_max);
    certs_each = bounded(certs_each, certs_max);
    journal_max = bounded(journal_max, tables_max);
    struct dsmr_chunk_pool_config chunks = {.chunks_max = chunks_max,
                                            .producers_max = config->validators_max * 4u,
                                            .body_bytes_max = config->chunk_cache_bytes_max,
                                            .pending_bytes_max = params->pending_bytes_max,
                                            .seed = seed};
    node->mempool = dsmr_mempool_new(config->mempool_txs_max, config->mempool_bytes_max, seed);
    node->own_ids = dsmr_own_ids_new(
        bounded((uint64_t)DSMR_NODE_OWN_MAX * params->chunk_txs_max, OWN_IDS_LIMIT), seed);
    node->chunks = dsmr_chunk_pool_new(&chunks);
    node->certs = dsmr_cert_pool_new(certs_max, certs_each, seed);
    node->journal = dsmr_journal_new(chunks_max > journal_max ? chunks_max : journal_max, seed);
    node->verdicts = dsmr_verdict_cache_new(VERDICTS_MAX, seed);
    node->evidence =
        dsmr_evidence_log_new(config->evidence_max > 0 ? config->evidence_max : EVIDENCE_MAX,
                              DSMR_NODE_EVIDENCE_JOBS_MAX, seed);
    node->peers = dsmr_peer_table_new(config->validators_max * 4u + 64u, seed);
    node->tree = dsmr_block_tree_new(DSMR_PROCESSING_BLOCKS_MAX, seed);
    node->index = dsmr_accepted_index_new(INDEX_MAX, seed);
    node->epochs = dsmr_epochs_new(SETS_MAX);
    node->executed_ids = new_executed_ids(config);
    node->requests = dsmr_requests_new(DSMR_NODE_REQUESTS_MAX);
    node->share_job_of =
        dsmr_map_new(sizeof(struct dsmr_id), sizeof(uint32_t), DSMR_NODE_SHARE_JOBS_MAX, seed);
    node->cert_job_of =
        dsmr_map_new(sizeof(struct dsmr_id), sizeof(uint32_t), DSMR_NODE_CERT_JOBS_MAX, seed);
    node->executed_above = dsmr_map_new(sizeof(uint64_t), sizeof(struct dsmr_executed_above),
                                        EXECUTED_ABOVE_MAX, seed);
    return node->mempool != NULL && node->own_ids != NULL && node->chunks != NULL &&
           node->certs != NULL && node->journal != NULL && node->verdicts != NULL &&
           node->evidence != NULL && node->peers != NULL && node->tree != NULL &&
           node->index != NULL && node->epochs != NULL && node->executed_ids != NULL &&
           node->requests != NULL && node->share_job_of != NULL && node->cert_job_of != NULL &&
           node->executed_above != NULL;
}

static bool new_tables(struct dsmr_node *node)
{
    const struct dsmr_params *params = &node->config.params;
    node->share_jobs = calloc(DSMR_NODE_SHARE_JOBS_MAX, sizeof(node->share_jobs[0]));
    node->own = calloc(DSMR_NODE_OWN_MAX, sizeof(node->own[0]));
    node->cert_jobs = calloc(DSMR_NODE_CERT_JOBS_MAX, sizeof(node->cert_jobs[0]));
    node->cert_queue = calloc(DSMR_NODE_CERT_JOBS_MAX, sizeof(node->cert_queue[0]));
    node->verifications = calloc(DSMR_NODE_VERIFICATIONS_MAX, sizeof(node->verifications[0]));
    node->fetches = calloc(node->config.fetches_max, sizeof(node->fetches[0]));
    node->select_certs = calloc(params->block_certs_max, sizeof(node->select_certs[0]));
    node->cert_order = calloc(params->block_certs_max, sizeof(struct dsmr_reference *));
    node->take_txs = calloc(params->chunk_txs_max, sizeof(node->take_txs[0]));
    node->build_txs = calloc(params->chunk_txs_max, sizeof(node->build_txs[0]));
    node->clock_samples = calloc(node->config.validators_max, sizeof(node->clock_samples[0]));
    uint32_t exec_blocks =
        node->config.exec_blocks_max > 0 ? node->config.exec_blocks_max : DSMR_NODE_EXEC_BLOCKS;
    if (!dsmr_exec_queue_init(&node->queue, exec_blocks)) {
        return false;
    }
    if (node->share_jobs == NULL || node->own == NULL || node->cert_jobs == NULL ||
        node->cert_queue == NULL || node->verifications == NULL || node->fetches == NULL ||
        node->select_certs == NULL || node->cert_order == NULL || node->take_txs == NULL ||
        node->build_txs == NULL || node->clock_samples == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < DSMR_NODE_OWN_MAX; i++) {
        node->own[i].shares = calloc(node->config.validators_max, sizeof(struct dsmr_share));
        if (node->own[i].shares == NULL) {
            return false;
        }
        node->own[i].shares_max = node->config.validators_max;
    }
    for (uint32_t i = 0; i < DSMR_NODE_VERIFICATIONS_MAX; i++) {
        node->verifications[i].unknown = calloc(params->block_certs_max, sizeof(uint32_t));
        if (node->verifications[i].unknown == NULL) {
            return false;
        }
    }
    return true;
}

static void init_rates(struct dsmr_node *node)
{
    const struct dsmr_params *params = &node->config.params;
    uint64_t largest = params->chunk_bytes_max;
    struct dsmr_backpressure_config config = {
        .chunk_bytes_max = params->chunk_bytes_max,
        .uncertified_bytes_mark = 8u * largest,
        .waiting_bytes_mark = 32u * largest,
        .backlog_bytes_mark = params->backlog_bytes_max / 2u,
        .uncertified_ms_mark = CERTIFICATE_MS_MARK,
        .interval_ms = params->slot_ms,
    };
    if (config.waiting_bytes_mark > params->pending_bytes_max / 2u) {
        config.waiting_bytes_mark = params->pending_bytes_max / 2u;
    }
    dsmr_backpressure_init(&node->backpressure, &config);
    uint32_t least = params->chunk_bytes_max / LEAST_SHARE;
    uint32_t tx_bytes_max = dsmr_params_tx_bytes_max(params);
    dsmr_admission_init(&node->admission, least > tx_bytes_max ? least : tx_bytes_max,
                        node->config.chunk_cache_bytes_max / BULK_SHARE);
    dsmr_retry_init(&node->hold, 1000u, 1000u + (uint64_t)params->chunk_lifetime_ms);
    for (uint32_t i = 0; i < DSMR_TIMERS; i++) {
        node->timers[i] = UINT64_MAX;
    }
}

struct dsmr_node *dsmr_node_new(const struct dsmr_node_config *config)
{
    struct dsmr_node *node = calloc(1, sizeof(*node));
    if (node == NULL) {
        return NULL;
    }
    node->config = *config;
    dsmr_block_ref(node->config.genesis);
    dsmr_prng_init(&node->prng, config->seed);
    init_rates(node);
    if (!new_pools(node) || !new_tables(node)) {
        dsmr_node_free(node);
        return NULL;
    }
    node->accepted = dsmr_block_ref(config->genesis);
    node->preference = config->genesis->id;
    return node;
}

static void free_own(struct dsmr_node *node)
{
    for (uint32_t i = 0; node->own != NULL && i < DSMR_NODE_OWN_MAX; i++) {
        dsmr_chunk_unref(node->own[i].chunk);
        dsmr_chunk_unref(node->own[i].kept);
        dsmr_validator_set_unref(node->own[i].set);
        free(node->own[i].shares);
    }
}

void dsmr_node_free(struct dsmr_node *node)
{
    if (node == NULL) {
        return;
    }
    dsmr_share_policy_free(node);
    dsmr_block_verify_free(node);
    dsmr_chunk_fetch_free(node);
    free_own(node);
    dsmr_mempool_free(node->mempool);
    dsmr_own_ids_free(node->own_ids);
    dsmr_chunk_pool_free(node->chunks);
    dsmr_cert_pool_free(node->certs);
    dsmr_journal_free(node->journal);
    dsmr_verdict_cache_free(node->verdicts);
    dsmr_evidence_log_free(node->evidence);
    dsmr_peer_table_free(node->peers);
    dsmr_block_tree_free(node->tree);
    dsmr_accepted_index_free(node->index);
    dsmr_epochs_free(node->epochs);
    dsmr_executed_ids_free(node->executed_ids);
    dsmr_requests_free(node->requests);
    dsmr_map_free(node->share_job_of);
    dsmr_map_free(node->cert_job_of);
    dsmr_map_free(node->executed_above);
    free(node->share_jobs);
    free(node->own);
    free(node->cert_jobs);
    free(node->cert_queue);
    free(node->verifications);
    free(node->fetches);
    free(node->select_certs);
    free(node->cert_order);
    free(node->take_txs);
    free(node->build_txs);
    free(node->clock_samples);
    dsmr_block_unref(node->accepted);
    dsmr_block_unref(node->config.genesis);
    free(node);
}

/* ---- timers ---- */
static void (*const timer_handlers[DSMR_TIMERS])(struct dsmr_node *node) = {
    [DSMR_TIMER_CHUNK] = dsmr_chunk_builder_run,
    [DSMR_TIMER_OWN] = dsmr_share_collector_on_timer,
    [DSMR_TIMER_READY] = dsmr_block_builder_update,
    [DSMR_TIMER_CERTS] = dsmr_cert_intake_on_timer,
    [DSMR_TIMER_HOLD] = dsmr_block_builder_on_hold,
    [DSMR_TIMER_BUILD] = dsmr_block_builder_on_timer,
    [DSMR_TIMER_STATUS] = dsmr_health_on_timer,
    [DSMR_TIMER_FETCH] = dsmr_chunk_fetch_on_timer,
    [DSMR_TIMER_MEMPOOL] = dsmr_expiry_on_mempool,
    [DSMR_TIMER_GC] = dsmr_expiry_run,
};

/* Each due timer fires once in a step; its handler arms it again if it wants. */
static void run_timers(struct dsmr_node *node)
{
    for (uint32_t i = 0; i < DSMR_TIMERS && !node->is_halted; i++) {
        if (node->timers[i] <= node->mono_ms) {
            node->timers[i] = UINT64_MAX;
            timer_handlers[i](node);
        }
    }
}

uint64_t dsmr_node_deadline_ms(const struct dsmr_node *node)
{
    uint64_t deadline_ms = UINT64_MAX;
    for (uint32_t i = 0; i < DSMR_TIMERS && node->is_started && !node->is_halted; i++) {
        deadline_ms = node->timers[i] < deadline_ms ? node->timers[i] : deadline_ms;
    }
    return deadline_ms;
}

/* ---- events ---- */
static void on_set(struct dsmr_node *node, struct dsmr_validator_set *set)
{
    dsmr_epochs_add(node->epochs, set);
    for (uint32_t i = 0; i < node->wanted_count; i++) {
        if (node->wanted[i] == set->epoch) {
            node->wanted[i] = node->wanted[--node->wanted_count];
            break;
        }
    }
    dsmr_restore_on_set(node);
    dsmr_node_common_arm(node, DSMR_TIMER_CHUNK, node->mono_ms);
    dsmr_block_builder_on_set(node);
}

static void on_stored(struct dsmr_node *node, const struct dsmr_request *request,
                      const struct dsmr_event *event)
{
    enum dsmr_err err = event->err;
    switch (request->kind) {
    case DSMR_REQUEST_SHARE_STORE:
        dsmr_share_policy_on_stored(node, request, err);
        break;
    case DSMR_REQUEST_OWN_STORE:
        dsmr_chunk_builder_on_stored(node, request, err);
        break;
    case DSMR_REQUEST_CERT_STORE:
        dsmr_cert_intake_on_stored(node, request, err);
        break;
    case DSMR_REQUEST_ACCEPT_STORE:
        dsmr_block_accept_on_stored(node, request, err);
        break;
    case DSMR_REQUEST_FETCH_STORE:
        dsmr_chunk_fetch_on_stored(node, request, err);
        break;
    case DSMR_REQUEST_EVIDENCE_STORE:
        dsmr_conflict_on_stored(node, request, err);
        break;
    case DSMR_REQUEST_GC:
        dsmr_expiry_on_gc(node, request, event);
        break;
    default:
        DSMR_UNREACHABLE();
    }
}

static void on_verified(struct dsmr_node *node, const struct dsmr_request *request,
                        const struct dsmr_event *event)
{
    enum dsmr_err err = event->err;
    switch (request->kind) {
    case DSMR_REQUEST_CERT_VERIFY:
        dsmr_cert_intake_on_verified(node, request, event);
        break;
    case DSMR_REQUEST_BLOCK_VERIFY:
        dsmr_block_verify_on_verified(node, request, event);
        break;
    case DSMR_REQUEST_EVIDENCE_VERIFY:
        if (err == DSMR_OK) {
            err = event->u.verified.count == 1 ? event->u.verified.errs[0] : DSMR_ERR_UNAVAILABLE;
        }
        dsmr_conflict_on_verified(node, request, err);
        break;
    default:
        DSMR_UNREACHABLE();
    }
}

/* An answer: of a request that is not there any more, or a second one, it is ignored. */
static void on_answer(struct dsmr_node *node, const struct dsmr_event *event)
{
    struct dsmr_request request;
    if (!dsmr_requests_end(node->requests, &request, event->request_id)) {
        return;
    }
    switch (event->kind) {
    case DSMR_EV_STORED:
        on_stored(node, &request, event);
        break;
    case DSMR_EV_SIGNED:
        if (request.kind == DSMR_REQUEST_OWN_SIGN) {
            dsmr_share_collector_on_signed(node, &request, event->err, &event->u.sig);
        } else {
            DSMR_ASSERT(request.kind == DSMR_REQUEST_SHARE_SIGN);
            dsmr_share_policy_on_signed(node, &request, event->err, &event->u.sig);
        }
        break;
    case DSMR_EV_CHUNK_VERIFIED:
        if (request.kind == DSMR_REQUEST_FETCH_VERIFY) {
            dsmr_chunk_fetch_on_verified(node, &request, event->err, event->u.chunk);
        } else {
            DSMR_ASSERT(request.kind == DSMR_REQUEST_SHARE_VERIFY);
            dsmr_share_policy_on_verified(node, &request, event->err, event->u.chunk);
        }
        break;
    case DSMR_EV_VERIFIED:
        on_verified(node, &request, event);
        break;
    case DSMR_EV_AGGREGATED:
        DSMR_ASSERT(request.kind == DSMR_REQUEST_OWN_AGGREGATE);
        dsmr_share_collector_on_aggregated(node, &request, event);
        break;
    case DSMR_EV_CHUNK_LOADED:
        if (request.kind == DSMR_REQUEST_OWN_LOAD) {
            dsmr_chunk_builder_on_loaded(node, &request, event->err, event->u.chunk);
        } else if (request.kind == DSMR_REQUEST_SHARE_LOAD) {
            dsmr_share_policy_on_loaded(node, &request, event->err);
        } else {
            DSMR_ASSERT(request.kind == DSMR_REQUEST_BODY_LOAD);
            dsmr_chunk_fetch_on_loaded(node, &request, event->err, event->u.chunk);
        }
        break;
    case DSMR_EV_BLOCK_LOADED:
        DSMR_ASSERT(request.kind == DSMR_REQUEST_BLOCK_LOAD);
        dsmr_block_load_on_loaded(node, &request, event->err, event->u.block);
        break;
    case DSMR_EV_EXECUTED:
        DSMR_ASSERT(request.kind == DSMR_REQUEST_EXECUTE);
        dsmr_assembler_on_executed(node, &request, event);
        break;
    default:
        DSMR_UNREACHABLE();
    }
}

static void on_engine(struct dsmr_node *node, const struct dsmr_event *event)
{
    switch (event->kind) {
    case DSMR_EV_BUILD:
        dsmr_block_builder_on_build(node, event->request_id, &event->u.engine.block_id,
                                    event->u.engine.epoch);
        break;
    case DSMR_EV_VERIFY_BLOCK:
        dsmr_block_verify_on_block(node, event->request_id, event->u.engine.block,
                                   event->u.engine.epoch);
        break;
    case DSMR_EV_ACCEPT:
        dsmr_block_accept_on_accept(node, event->request_id, &event->u.engine.block_id);
        break;
    case DSMR_EV_REJECT:
        dsmr_block_accept_on_reject(node, &event->u.engine.block_id);
        break;
    case DSMR_EV_PREFER:
        dsmr_block_accept_on_prefer(node, &event->u.engine.block_id);
        break;
    default:
        DSMR_UNREACHABLE();
    }
}

static void dispatch(struct dsmr_node *node, const struct dsmr_event *event)
{
    if (event->kind < DSMR_EV_START) {
        dsmr_restore_on_event(node, event);
        return;
    }
    if (event->kind >= DSMR_EV_STORED) {
        on_answer(node, event);
        return;
    }
    if (event->kind >= DSMR_EV_BUILD) {
        on_engine(node, event);
        return;
    }
    switch (event->kind) {
    case DSMR_EV_START:
        dsmr_restore_on_start(node, event);
        break;
    case DSMR_EV_TICK:
        break;
    case DSMR_EV_MESSAGE:
        dsmr_on_message(node, event);
        break;
    case DSMR_EV_PEER:
        dsmr_health_on_peer(node, &event->u.peer.node_id, event->u.peer.is_up);
        break;
    case DSMR_EV_SET:
        on_set(node, event->u.set);
        break;
    case DSMR_EV_SUBMIT:
        dsmr_submission_on_items(node, event);
        break;
    case DSMR_EV_BOOTSTRAPPING:
        dsmr_health_on_flag(node, &node->is_bootstrapping, event->u.flag);
        break;
    case DSMR_EV_DISK_LOW:
        dsmr_health_on_flag(node, &node->is_disk_low, event->u.flag);
        break;
    default:
        DSMR_UNREACHABLE();
    }
}

static void set_gauges(struct dsmr_node *node)
{
    if (node->config.metrics == NULL) {
        return;
    }
    dsmr_node_common_gauge(node, DSMR_METRIC_MEMPOOL_TXS, dsmr_mempool_txs(node->mempool));
    dsmr_node_common_gauge(node, DSMR_METRIC_MEMPOOL_BYTES, dsmr_mempool_bytes(node->mempool));
    dsmr_node_common_gauge(node, DSMR_METRIC_CERTS_WAITING, dsmr_cert_pool_count(node->certs));
    dsmr_node_common_gauge(node, DSMR_METRIC_PENDING_BYTES,
                           dsmr_chunk_pool_pending_total(node->chunks));
    dsmr_node_common_gauge(node, DSMR_METRIC_BACKLOG_BYTES, node->queue.backlog_bytes);
    dsmr_node_common_gauge(node, DSMR_METRIC_BACKLOG_BLOCKS, dsmr_exec_queue_length(&node->queue));
    dsmr_node_common_gauge(node, DSMR_METRIC_BACKLOG_BLOCKS_HELD, node->queue.count);
    dsmr_node_common_gauge(node, DSMR_METRIC_STATE_SYNC_NEEDED, node->fetches_pruned > 0);
    dsmr_node_common_gauge(node, DSMR_METRIC_INDEX_CHUNKS, dsmr_accepted_index_count(node->index));
    dsmr_node_common_gauge(node, DSMR_METRIC_EVIDENCE_KEPT,
                           dsmr_evidence_log_count(node->evidence));
    dsmr_node_common_gauge(node, DSMR_METRIC_CHUNKS_UNCERTIFIED, node->own_uncertified);
}

void dsmr_node_step(struct dsmr_node *node, struct dsmr_effects *effects,
                    const struct dsmr_event *event)
{
    DSMR_ASSERT(effects->count == 0);
    node->wall_ms = event->wall_ms;
    node->mono_ms = event->mono_ms;
    node->fx = effects;
    dispatch(node, event);
    if (node->is_started && !node->is_halted) {
        run_timers(node);
        dsmr_block_builder_on_step(node);
        dsmr_health_on_step(node);
    }
    set_gauges(node);
    node->fx = NULL;
}

/* ---- questions ---- */
void dsmr_node_status(const struct dsmr_node *node, struct dsmr_node_status *out)
{
    memset(out, 0, sizeof(*out));
    out->accepted_height = node->accepted->height;
    out->accepted_id = node->accepted->id;
    out->chain_time_ms = node->accepted->time_ms;
    out->epoch = node->accepted->epoch;
    out->executed_height = node->executed_height;
    out->state_root = node->state_root;
    out->mempool_txs = dsmr_mempool_txs(node->mempool);
    out->mempool_bytes = dsmr_mempool_bytes(node->mempool);
    out->room_bytes = dsmr_admission_room(&node->admission, out->mempool_bytes, node->mono_ms);
    out->backlog_bytes = node->queue.backlog_bytes;
    out->pending_bytes = dsmr_chunk_pool_pending_total(node->chunks);
    out->certs_waiting = dsmr_cert_pool_count(node->certs);
    out->own_uncertified = node->own_uncertified;
    out->is_behind = node->is_behind || node->is_bootstrapping;
    out->needs_state_sync = node->fetches_pruned > 0;
    out->is_unserved = dsmr_chunk_fetch_is_in_vain(node) &&
                       !dsmr_epochs_has_member(node->epochs, &node->config.node_id);
    out->is_backlog_full = node->queue.backlog_bytes > node->config.params.backlog_bytes_max;
    out->clock_offset_ms = node->clock_offset_ms;
    out->is_under_floor = dsmr_health_floor_ends_ms(node) > node->wall_ms;
}

uint32_t dsmr_node_served_sets(const struct dsmr_node *node, struct dsmr_validator_set **out,
                               uint32_t max)
{
    const struct dsmr_block *tip = node->accepted;
    uint32_t count =
        dsmr_epochs_since(node->epochs, out, max, tip->epoch == DSMR_EPOCH_NONE ? 0 : tip->epoch);
    for (uint32_t i = 0; i < tip->past_epochs_count && count < max; i++) {
        struct dsmr_validator_set *set = dsmr_epochs_find(node->epochs, tip->past_epochs[i].epoch);
        if (set != NULL && (tip->epoch == DSMR_EPOCH_NONE || set->epoch < tip->epoch)) {
            out[count++] = set;
        }
    }
    return count;
}

bool dsmr_node_has_shared(const struct dsmr_node *node, struct dsmr_bls_sig *share,
                          const struct dsmr_reference *ref)
{
    const struct dsmr_journal_entry *journaled =
        dsmr_journal_find(node->journal, &ref->producer, ref->slot);
    const struct dsmr_chunk_entry *chunk = dsmr_chunk_pool_find(node->chunks, &ref->chunk_id);
    bool is_shared = journaled != NULL && journaled->state == DSMR_JOURNAL_DURABLE &&
                     chunk != NULL && chunk->has_share &&
                     dsmr_id_equal(&journaled->chunk_id, &ref->chunk_id) &&
                     dsmr_reference_equal(&chunk->ref, ref);
    if (is_shared && share != NULL) {
        *share = chunk->share;
    }
    return is_shared;
}

bool dsmr_node_has_pending_tx(const struct dsmr_node *node, const struct dsmr_id *tx_id)
{
    return dsmr_mempool_has(node->mempool, tx_id);
}
