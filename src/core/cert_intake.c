#include "core/cert_intake.h"

#include <stdlib.h>

#include "core/block_builder.h"
#include "core/share_collector.h"
#include "wire/codec.h"

#define PART_OF_SLOT 8u /* how long certificates gather for one batch, at most ... */
#define LONGEST_MS 25u  /* ... and where slots are long */

static struct dsmr_cert_job *add_job(struct dsmr_node *node, const struct dsmr_id *hash)
{
    if (dsmr_map_count(node->cert_job_of) >= DSMR_NODE_CERT_JOBS_MAX) {
        return NULL;
    }
    for (uint32_t i = 0; i < DSMR_NODE_CERT_JOBS_MAX; i++) {
        struct dsmr_cert_job *job = &node->cert_jobs[i];
        if (job->stage != DSMR_CERT_FREE) {
            continue;
        }
        uint32_t *index = dsmr_map_add(node->cert_job_of, hash, NULL);
        if (index == NULL) {
            return NULL;
        }
        *index = i;
        *job = (struct dsmr_cert_job){.use = job->use + 1, .hash = *hash};
        node->cert_jobs_used = i < node->cert_jobs_used ? node->cert_jobs_used : i + 1;
        return job;
    }
    return NULL;
}

static void remove_job(struct dsmr_node *node, struct dsmr_cert_job *job)
{
    dsmr_map_remove(node->cert_job_of, &job->hash);
    job->stage = DSMR_CERT_FREE;
}

static void answer(struct dsmr_node *node, const struct dsmr_node_id *to,
                   const struct dsmr_reference *ref, enum dsmr_err err)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE_ANSWER};
    msg.u.chunk_refused.chunk_id = ref->chunk_id;
    msg.u.chunk_refused.err = (uint16_t)err;
    dsmr_effects_send(node->fx, to, &msg, NULL);
    dsmr_node_common_error(node, err);
}

/* Puts a verified certificate into the pool. OK; DUPLICATE if one as heavy is there; FULL. */
static enum dsmr_err add_to_pool(struct dsmr_node *node, const struct dsmr_cert *cert,
                                 uint64_t weight)
{
    bool is_new;
    enum dsmr_err err = dsmr_cert_pool_add(node->certs, &is_new, cert, weight);
    if (err != DSMR_OK) {
        return err;
    }
    const struct dsmr_chunk_entry *entry = dsmr_chunk_pool_find(node->chunks, &cert->ref.chunk_id);
    if (entry != NULL && entry->state < DSMR_CHUNK_CERTIFIED) {
        dsmr_chunk_pool_set_state(node->chunks, &cert->ref.chunk_id, DSMR_CHUNK_CERTIFIED, 0);
    }
    if (is_new) {
        dsmr_effects_trace(node->fx, DSMR_TRACE_CERT_ADDED, &cert->ref.chunk_id, 0, 0);
        dsmr_node_common_count(node, DSMR_METRIC_CERTS_ADDED, 1);
    }
    dsmr_block_builder_update(node);
    return DSMR_OK;
}

/* Still of use: neither in the chain nor too late for any next block. */
static enum dsmr_err check_use(const struct dsmr_node *node, const struct dsmr_reference *ref)
{
    if (dsmr_accepted_index_find(node->index, &ref->chunk_id) != UINT64_MAX) {
        return DSMR_ERR_DUPLICATE;
    }
    if (dsmr_accepted_index_is_used(node->index, ref, UINT64_MAX)) {
        return DSMR_ERR_CONFLICT; /* a chain takes one chunk of a slot */
    }
    return ref->expiry_ms > node->accepted->time_ms ? DSMR_OK : DSMR_ERR_EXPIRED;
}

static void store(struct dsmr_node *node, struct dsmr_cert_job *job)
{
    struct dsmr_cert *copy = malloc(sizeof(*copy));
    uint64_t id = copy == NULL
                      ? 0
                      : dsmr_node_common_request(node, DSMR_REQUEST_CERT_STORE,
                                                 (uint32_t)(job - node->cert_jobs), job->use);
    if (id == 0) {
        free(copy);
        remove_job(node, job); /* not acknowledged: it comes again */
        return;
    }
    *copy = job->cert;
    job->stage = DSMR_CERT_STORING;
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_STORE_CERT);
    fx->request_id = id;
    fx->u.store_cert = copy;
}

/* A peer may have as many certificates verified as its producer's slots allow, several times. */
static bool take_budget(struct dsmr_node *node, const struct dsmr_node_id *from)
{
    struct dsmr_peer *peer = dsmr_peer_table_add(node->peers, from);
    uint64_t per_second = 4u * (1000u / node->config.params.slot_ms + 1u);
    uint64_t burst =
        2u * (node->config.params.chunk_lifetime_ms / node->config.params.slot_ms + 1u);
    return peer != NULL && dsmr_peer_budget_take(&peer->work, 1, per_second, burst, node->mono_ms);
}

/* The filters of section 7, cheap to dear. OK: worth a verification. */
static enum dsmr_err filter(struct dsmr_node *node, const struct dsmr_cert *cert, uint64_t *weight)
{
    if (!dsmr_node_common_is_epoch_current(node, cert->ref.epoch)) {
        return DSMR_ERR_EPOCH_UNKNOWN;
    }
    const struct dsmr_validator_set *set = dsmr_node_common_set(node, cert->ref.epoch);
    if (set == NULL) {
        return DSMR_ERR_EPOCH_UNKNOWN;
    }
    enum dsmr_err err = dsmr_node_common_check_ref(node, &cert->ref, set);
    if (err == DSMR_OK) {
        err = dsmr_node_common_check_signers(&cert->signers, weight, set);
    }
    if (err == DSMR_OK) {
        err = check_use(node, &cert->ref);
    }
    if (err == DSMR_OK && !dsmr_cert_pool_wants(node->certs, &cert->ref, *weight)) {
        err = dsmr_cert_pool_find(node->certs, &cert->ref.chunk_id) != NULL ? DSMR_ERR_DUPLICATE
                                                                            : DSMR_ERR_FULL;
    }
    return err;
}

/* Whether a certificate of the chunk is on its way, and as far as that. */
static bool has_job(const struct dsmr_node *node, const struct dsmr_id *chunk_id,
                    enum dsmr_cert_stage least)
{
    size_t left = dsmr_map_count(node->cert_job_of);
    for (uint32_t i = 0; left > 0 && i < node->cert_jobs_used; i++) {
        const struct dsmr_cert_job *job = &node->cert_jobs[i];
        if (job->stage >= least && dsmr_id_equal(&job->cert.ref.chunk_id, chunk_id)) {
            return true;
        }
        left -= job->stage != DSMR_CERT_FREE;
    }
    return false;
}

/* One that the pool holds and the disk did not take (it was full, say): it is written again, and
 * acknowledged after that (5.9). */
static void store_again(struct dsmr_node *node, const struct dsmr_node_id *from,
                        const struct dsmr_cert *held)
{
    struct dsmr_id hash;
    dsmr_cert_hash(&hash, held);
    if (dsmr_map_find(node->cert_job_of, &hash) != NULL) {
        return; /* on its way */
    }
    struct dsmr_cert_job *job = add_job(node, &hash);
    if (job == NULL) {
        answer(node, from, &held->ref, DSMR_ERR_BUSY);
        return;
    }
    job->cert = *held;
    job->from = *from;
    store(node, job);
}

static void refuse(struct dsmr_node *node, const struct dsmr_node_id *from,
                   const struct dsmr_cert *cert, enum dsmr_err err)
{
    if (dsmr_err_class_of(err) == DSMR_ERR_CLASS_PEER && err != DSMR_ERR_CONFLICT) {
        dsmr_node_common_fault(node, from, err);
        return;
    }
    if (err == DSMR_ERR_DUPLICATE) {
        const struct dsmr_cert *held = dsmr_cert_pool_find(node->certs, &cert->ref.chunk_id);
        /* What the pool holds is acknowledged once its write is over. */
        if (has_job(node, &cert->ref.chunk_id, DSMR_CERT_STORING)) {
            return;
        }
        if (held != NULL && !dsmr_cert_pool_is_stored(node->certs, &cert->ref.chunk_id)) {
            store_again(node, from, held);
            return;
        }
        err = DSMR_OK; /* we have what it says, or the chain has */
    }
    answer(node, from, &cert->ref, err);
}

static void finish(struct dsmr_node *node, struct dsmr_cert_job *job, enum dsmr_err verdict)
{
    if (verdict == DSMR_OK || verdict == DSMR_ERR_BAD_SIGNATURE) {
        dsmr_verdict_cache_add(node->verdicts, &job->hash, verdict);
    }
    if (verdict != DSMR_OK) {
        if (dsmr_err_class_of(verdict) == DSMR_ERR_CLASS_PEER) {
            dsmr_node_common_fault(node, &job->from, verdict);
        }
        remove_job(node, job);
        return;
    }
    enum dsmr_err err = check_use(node, &job->cert.ref);
    if (err == DSMR_OK && !dsmr_node_common_is_epoch_current(node, job->cert.ref.epoch)) {
        err = DSMR_ERR_EPOCH_UNKNOWN;
    }
    if (err == DSMR_OK) {
        err = add_to_pool(node, &job->cert, job->weight);
    }
    if (err != DSMR_OK) {
        struct dsmr_cert_job done = *job;
        remove_job(node, job);
        refuse(node, &done.from, &done.cert, err);
        return;
    }
    store(node, job);
}

static bool has_come(const struct dsmr_node *node, const struct dsmr_id *chunk_id)
{
    return has_job(node, chunk_id, DSMR_CERT_QUEUED);
}

/* Whether more certificates are about to come, which one batch would check for half as much. */
static bool is_gathering(struct dsmr_node *node)
{
    uint64_t until_ms =
        node->certs_queued_ms + dsmr_cert_gather_wait_ms(node, PART_OF_SLOT, LONGEST_MS);
    if (node->mono_ms >= until_ms || !dsmr_cert_gather_expects(node, has_come)) {
        return false;
    }
    dsmr_node_common_arm(node, DSMR_TIMER_CERTS, until_ms);
    return true;
}

/* The next one of the queue into the batch, unless it is settled already. */
static void take_next(struct dsmr_node *node, struct dsmr_cert_batch *batch,
                      struct dsmr_cert *certs, struct dsmr_validator_set **sets)
{
    uint32_t item = node->cert_queue[node->cert_queue_head];
    struct dsmr_cert_job *job = &node->cert_jobs[item];
    node->cert_queue_head = (node->cert_queue_head + 1) % DSMR_NODE_CERT_JOBS_MAX;
    node->cert_queue_count--;
    struct dsmr_validator_set *set = dsmr_epochs_find(node->epochs, job->cert.ref.epoch);
    if (set == NULL) { /* its epoch has left the registry meanwhile */
        remove_job(node, job);
        return;
    }
    enum dsmr_err verdict;
    if (dsmr_verdict_cache_find(node->verdicts, &verdict, &job->hash)) {
        finish(node, job, verdict); /* a block brought it meanwhile */
        return;
    }
    job->stage = DSMR_CERT_VERIFYING;
    certs[batch->count] = job->cert;
    sets[batch->count] = dsmr_validator_set_ref(set);
    batch->jobs[batch->count++] = item;
}

static void send_batch(struct dsmr_node *node, uint32_t b)
{
    struct dsmr_cert_batch *batch = &node->cert_batches[b];
    uint32_t count = node->cert_queue_count < DSMR_NODE_CERT_BATCH_MAX ? node->cert_queue_count
                                                                       : DSMR_NODE_CERT_BATCH_MAX;
    struct dsmr_cert *certs = calloc(count, sizeof(*certs));
    struct dsmr_validator_set **sets = calloc(count, sizeof(struct dsmr_validator_set *));
    if (certs == NULL || sets == NULL) {
        free(certs);
        free(sets);
        return;
    }
    batch->use++;
    for (uint32_t i = 0; i < count; i++) {
        take_next(node, batch, certs, sets);
    }
    if (batch->count == 0) {
        free(certs);
        free(sets);
        return;
    }
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_VERIFY_CERTS);
    fx->request_id = dsmr_node_common_request(node, DSMR_REQUEST_CERT_VERIFY, b, batch->use);
    fx->u.verify_certs.certs = certs;
    fx->u.verify_certs.sets = sets;
    fx->u.verify_certs.count = batch->count;
}

/* Sends what waits in the queue for verification, as far as batches are free. What is left over
 * then waits for one of them; or, where none could be made (all were settled, or there is no room),
 * for the timer: their senders would not wake us, for to them they are on their way. */
static void flush(struct dsmr_node *node)
{
    bool is_any_busy = false;
    if (node->cert_queue_count == 0 || is_gathering(node)) {
        return;
    }
    for (uint32_t b = 0; b < DSMR_NODE_CERT_BATCHES_MAX; b++) {
        if (node->cert_queue_count > 0 && node->cert_batches[b].count == 0 &&
            dsmr_requests_has_room(node->requests, 1)) {
            send_batch(node, b);
        }
        is_any_busy = is_any_busy || node->cert_batches[b].count > 0;
    }
    if (node->cert_queue_count > 0 && !is_any_busy) {
        dsmr_node_common_arm(node, DSMR_TIMER_CERTS, node->mono_ms + 1);
    }
}

void dsmr_cert_intake_on_message(struct dsmr_node *node, const struct dsmr_node_id *from,
                                 const struct dsmr_cert *cert)
{
    uint64_t weight = 0;
    if (!dsmr_node_common_is_validator(node, from)) {
        if (node->accepted->epoch == DSMR_EPOCH_NONE) {
            answer(node, from, &cert->ref, DSMR_ERR_EPOCH_UNKNOWN);
        } else {
            dsmr_node_common_error(node, DSMR_ERR_NOT_VALIDATOR);
        }
        return;
    }
    enum dsmr_err err = filter(node, cert, &weight);
    if (err != DSMR_OK) {
        refuse(node, from, cert, err);
        return;
    }
    struct dsmr_id hash;
    enum dsmr_err verdict = DSMR_ERR_UNKNOWN;
    dsmr_cert_hash(&hash, cert);
    if (dsmr_map_find(node->cert_job_of, &hash) != NULL) {
        return; /* on its way */
    }
    if (dsmr_verdict_cache_find(node->verdicts, &verdict, &hash) && verdict != DSMR_OK) {
        dsmr_node_common_fault(node, from, verdict);
        return;
    }
    if (verdict != DSMR_OK && !take_budget(node, from)) {
        answer(node, from, &cert->ref, DSMR_ERR_RATE_LIMITED);
        return;
    }
    struct dsmr_cert_job *job = add_job(node, &hash);
    if (job == NULL) {
        answer(node, from, &cert->ref, DSMR_ERR_BUSY);
        return;
    }
    job->cert = *cert;
    job->weight = weight;
    job->from = *from;
    if (verdict == DSMR_OK) {
        finish(node, job, DSMR_OK); /* seen in a block before */
        return;
    }
    job->stage = DSMR_CERT_QUEUED;
    node->certs_queued_ms = node->cert_queue_count == 0 ? node->mono_ms : node->certs_queued_ms;
    uint32_t tail = (node->cert_queue_head + node->cert_queue_count) % DSMR_NODE_CERT_JOBS_MAX;
    node->cert_queue[tail] = (uint32_t)(job - node->cert_jobs);
    node->cert_queue_count++;
    flush(node);
}

bool dsmr_cert_intake_add_own(struct dsmr_node *node, struct dsmr_own_chunk *own)
{
    struct dsmr_id hash;
    dsmr_cert_hash(&hash, &own->cert);
    if (!dsmr_requests_has_room(node->requests, 1)) {
        return false;
    }
    struct dsmr_cert_job *job = add_job(node, &hash);
    if (job == NULL) {
        return false;
    }
    job->cert = own->cert;
    job->weight = own->cert_weight;
    job->from = node->config.node_id;
    dsmr_verdict_cache_add(node->verdicts, &hash, DSMR_OK); /* the aggregate was just verified */
    if (check_use(node, &own->ref) == DSMR_OK) {
        (void)add_to_pool(node, &own->cert, own->cert_weight);
    }
    store(node, job);
    return job->stage == DSMR_CERT_STORING;
}

void dsmr_cert_intake_on_timer(struct dsmr_node *node)
{
    flush(node);
}

void dsmr_cert_intake_on_verified(struct dsmr_node *node, const struct dsmr_request *request,
                                  const struct dsmr_event *event)
{
    struct dsmr_cert_batch *batch = &node->cert_batches[request->item];
    if (batch->count == 0 || batch->use != request->item_use) {
        return;
    }
    uint32_t count = batch->count;
    batch->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct dsmr_cert_job *job = &node->cert_jobs[batch->jobs[i]];
        DSMR_ASSERT(job->stage == DSMR_CERT_VERIFYING);
        enum dsmr_err verdict = event->err != DSMR_OK ? event->err : DSMR_ERR_UNAVAILABLE;
        if (event->err == DSMR_OK && i < event->u.verified.count) {
            verdict = event->u.verified.errs[i];
        }
        finish(node, job, verdict);
    }
    flush(node);
}

void dsmr_cert_intake_on_stored(struct dsmr_node *node, const struct dsmr_request *request,
                                enum dsmr_err err)
{
    struct dsmr_cert_job *job = &node->cert_jobs[request->item];
    if (job->stage != DSMR_CERT_STORING || job->use != request->item_use) {
        return;
    }
    dsmr_node_common_error(node, err);
    bool is_own = dsmr_node_id_equal(&job->from, &node->config.node_id);
    struct dsmr_own_chunk *own =
        is_own ? dsmr_share_collector_find(node, &job->cert.ref.chunk_id) : NULL;
    struct dsmr_cert_job done = *job;
    remove_job(node, job);
    if (err == DSMR_OK) {
        dsmr_cert_pool_set_stored(node->certs, &done.cert.ref.chunk_id);
    }
    if (own != NULL && own->state == DSMR_OWN_CERT_STORING) {
        dsmr_share_collector_on_cert_stored(node, own, err);
    } else if (!is_own && err == DSMR_OK) {
        answer(node, &done.from, &done.cert.ref, DSMR_OK);
    }
}

void dsmr_cert_intake_restore(struct dsmr_node *node, const struct dsmr_cert *cert)
{
    struct dsmr_id hash;
    uint64_t weight = 0;
    struct dsmr_validator_set *set = dsmr_node_common_set(node, cert->ref.epoch);
    if (set != NULL && dsmr_node_common_check_signers(&cert->signers, &weight, set) != DSMR_OK) {
        return; /* only what was verified is stored: the disk is damaged; it comes again */
    }
    if (check_use(node, &cert->ref) != DSMR_OK || add_to_pool(node, cert, weight) != DSMR_OK) {
        return;
    }
    dsmr_cert_pool_set_stored(node->certs, &cert->ref.chunk_id);
    dsmr_cert_hash(&hash, cert);
    dsmr_verdict_cache_add(node->verdicts, &hash, DSMR_OK);
}
