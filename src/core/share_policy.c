#include "core/share_policy.h"

#include "core/chunk_fetch.h"
#include "core/conflict.h"
#include "wire/codec.h"

static struct dsmr_share_job *find_job(const struct dsmr_node *node, const struct dsmr_id *chunk_id)
{
    const uint32_t *index = dsmr_map_find(node->share_job_of, chunk_id);
    return index == NULL ? NULL : &node->share_jobs[*index];
}

static struct dsmr_share_job *job_of(struct dsmr_node *node, const struct dsmr_request *request)
{
    struct dsmr_share_job *job = &node->share_jobs[request->item];
    return job->stage != DSMR_SHARE_FREE && job->use == request->item_use ? job : NULL;
}

static struct dsmr_share_job *add_job(struct dsmr_node *node, const struct dsmr_reference *ref)
{
    for (uint32_t i = 0; i < DSMR_NODE_SHARE_JOBS_MAX; i++) {
        struct dsmr_share_job *job = &node->share_jobs[i];
        if (job->stage != DSMR_SHARE_FREE) {
            continue;
        }
        uint32_t *index = dsmr_map_add(node->share_job_of, &ref->chunk_id, NULL);
        if (index == NULL) {
            return NULL;
        }
        *index = i;
        uint32_t use = job->use + 1;
        *job = (struct dsmr_share_job){.use = use, .ref = *ref, .included_height = UINT64_MAX};
        node->share_jobs_used = i < node->share_jobs_used ? node->share_jobs_used : i + 1;
        return job;
    }
    return NULL;
}

static void remove_job(struct dsmr_node *node, struct dsmr_share_job *job)
{
    if (job->has_reservation) {
        dsmr_chunk_pool_unreserve(node->chunks, &job->ref.producer, job->ref.chunk_bytes);
    }
    dsmr_chunk_unref(job->chunk);
    dsmr_map_remove(node->share_job_of, &job->ref.chunk_id);
    *job = (struct dsmr_share_job){.use = job->use};
}

static uint32_t index_of(const struct dsmr_node *node, const struct dsmr_share_job *job)
{
    return (uint32_t)(job - node->share_jobs);
}

static void refuse(struct dsmr_node *node, const struct dsmr_reference *ref, enum dsmr_err err)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_CHUNK_REFUSED};
    msg.u.chunk_refused.chunk_id = ref->chunk_id;
    msg.u.chunk_refused.err = (uint16_t)err;
    dsmr_effects_send(node->fx, &ref->producer, &msg, NULL);
    dsmr_effects_trace(node->fx, DSMR_TRACE_SHARE_REFUSED, &ref->chunk_id, (uint64_t)err, 0);
    dsmr_node_common_count(node, DSMR_METRIC_CHUNKS_REFUSED, 1);
    if (dsmr_err_class_of(err) == DSMR_ERR_CLASS_PEER) {
        dsmr_node_common_fault(node, &ref->producer, err);
    } else {
        dsmr_node_common_error(node, err);
    }
}

static void answer(struct dsmr_node *node, const struct dsmr_chunk_entry *entry)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_CHUNK_SIGNATURE};
    msg.u.chunk_signature.ref = entry->ref;
    msg.u.chunk_signature.sig = entry->share;
    dsmr_effects_send(node->fx, &entry->ref.producer, &msg, NULL);
}

static bool is_included(const struct dsmr_node *node, const struct dsmr_id *chunk_id)
{
    return dsmr_accepted_index_find(node->index, chunk_id) != UINT64_MAX;
}

/* Rules 2 and 3, but that the sender is the producer: may be asked again at any time. */
static enum dsmr_err check_place(struct dsmr_node *node, const struct dsmr_reference *ref)
{
    const struct dsmr_params *params = &node->config.params;
    if (!dsmr_node_common_is_epoch_current(node, ref->epoch)) {
        return DSMR_ERR_EPOCH_UNKNOWN;
    }
    struct dsmr_validator_set *set = dsmr_node_common_set(node, ref->epoch);
    if (set == NULL) {
        return DSMR_ERR_EPOCH_UNKNOWN;
    }
    enum dsmr_err err = dsmr_node_common_check_ref(node, ref, set);
    if (err != DSMR_OK) {
        return err;
    }
    if (dsmr_validator_set_find(set, &node->config.node_id) < 0) {
        return DSMR_ERR_UNAVAILABLE; /* we may not sign in that epoch: ask the others */
    }
    uint64_t latest_ms = dsmr_node_common_add(node->wall_ms, params->clock_skew_ms);
    if (dsmr_node_common_slot_start(node, ref->slot) > latest_ms) {
        return DSMR_ERR_SLOT_AHEAD;
    }
    return ref->expiry_ms > dsmr_node_common_floor(node) ? DSMR_OK : DSMR_ERR_EXPIRED;
}

/* Rule 4. OK: the slot is free; DUPLICATE: it belongs to this very chunk. */
static enum dsmr_err check_slot(const struct dsmr_node *node, const struct dsmr_reference *ref)
{
    const struct dsmr_journal_entry *entry =
        dsmr_journal_find(node->journal, &ref->producer, ref->slot);
    if (entry == NULL) {
        return dsmr_journal_has_room(node->journal) ? DSMR_OK : DSMR_ERR_BUSY;
    }
    return dsmr_id_equal(&entry->chunk_id, &ref->chunk_id) ? DSMR_ERR_DUPLICATE : DSMR_ERR_CONFLICT;
}

/* Rule 5, without the reservation. */
static enum dsmr_err check_load(const struct dsmr_node *node)
{
    if (!dsmr_node_common_is_healthy(node) ||
        node->queue.backlog_bytes > node->config.params.backlog_bytes_max) {
        return DSMR_ERR_BUSY;
    }
    return DSMR_OK;
}

static void sign(struct dsmr_node *node, struct dsmr_share_job *job)
{
    uint64_t id =
        dsmr_node_common_request(node, DSMR_REQUEST_SHARE_SIGN, index_of(node, job), job->use);
    if (id == 0) {
        refuse(node, &job->ref, DSMR_ERR_BUSY);
        remove_job(node, job);
        return;
    }
    job->stage = DSMR_SHARE_SIGNING;
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_SIGN);
    fx->request_id = id;
    fx->u.sign = job->ref;
}

/* Reads the body that the disk lists: a share is a promise to serve it. */
static void load(struct dsmr_node *node, const struct dsmr_reference *ref)
{
    struct dsmr_share_job *job = add_job(node, ref);
    uint64_t id = job == NULL ? 0
                              : dsmr_node_common_request(node, DSMR_REQUEST_SHARE_LOAD,
                                                         index_of(node, job), job->use);
    if (id == 0) {
        if (job != NULL) {
            remove_job(node, job);
        }
        refuse(node, ref, DSMR_ERR_BUSY);
        return;
    }
    job->stage = DSMR_SHARE_LOADING;
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_LOAD_CHUNK);
    fx->request_id = id;
    fx->u.load_chunk = ref->chunk_id;
}

/* The same chunk again: the same share, from the journal (rule 4). true: dealt with. */
static bool repeat(struct dsmr_node *node, const struct dsmr_reference *ref)
{
    const struct dsmr_chunk_entry *entry = dsmr_chunk_pool_find(node->chunks, &ref->chunk_id);
    const struct dsmr_journal_entry *claim =
        dsmr_journal_find(node->journal, &ref->producer, ref->slot);
    if (entry == NULL || !entry->is_signed || entry->is_unreadable || claim == NULL ||
        claim->state != DSMR_JOURNAL_DURABLE) {
        return false; /* not held, or fetched for a block after its body had been lost: it must be
                         verified and stored (again) */
    }
    if (entry->has_share) {
        answer(node, entry);
    } else {
        load(node, ref); /* BLS is deterministic: the same again, if the body is there */
    }
    return true;
}

void dsmr_share_policy_on_loaded(struct dsmr_node *node, const struct dsmr_request *request,
                                 enum dsmr_err err)
{
    struct dsmr_share_job *job = job_of(node, request);
    if (job == NULL) {
        return;
    }
    DSMR_ASSERT(job->stage == DSMR_SHARE_LOADING);
    struct dsmr_chunk_entry *entry = dsmr_chunk_pool_find(node->chunks, &job->ref.chunk_id);
    if (err != DSMR_OK) {
        dsmr_node_common_error(node, err);
        if (entry != NULL) {
            entry->is_unreadable = true;
        }
        err = DSMR_ERR_BUSY; /* its producer sends it again */
    } else {
        err = entry != NULL && entry->is_signed ? check_place(node, &job->ref) : DSMR_ERR_EXPIRED;
    }
    if (err != DSMR_OK) {
        refuse(node, &job->ref, err);
        remove_job(node, job);
        return;
    }
    sign(node, job);
}

static void verify(struct dsmr_node *node, const struct dsmr_reference *ref,
                   const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct dsmr_share_job *job = add_job(node, ref);
    uint64_t id = job == NULL ? 0
                              : dsmr_node_common_request(node, DSMR_REQUEST_SHARE_VERIFY,
                                                         index_of(node, job), job->use);
    if (id == 0) {
        if (job != NULL) {
            remove_job(node, job);
        }
        refuse(node, ref, DSMR_ERR_BUSY);
        return;
    }
    /* An included chunk reserves nothing; what is listed has its bytes reserved. */
    bool has_bytes = is_included(node, &ref->chunk_id) ||
                     dsmr_chunk_pool_find(node->chunks, &ref->chunk_id) != NULL;
    if (!has_bytes) {
        enum dsmr_err err = dsmr_chunk_pool_reserve(node->chunks, &ref->producer, ref->chunk_bytes);
        if (err != DSMR_OK) {
            struct dsmr_request gone;
            (void)dsmr_requests_end(node->requests, &gone, id);
            remove_job(node, job);
            refuse(node, ref, err == DSMR_ERR_FULL ? DSMR_ERR_BUSY : err);
            return;
        }
        job->has_reservation = true;
    }
    struct dsmr_validator_set *set = dsmr_node_common_set(node, ref->epoch);
    DSMR_ASSERT(set != NULL);
    job->stage = DSMR_SHARE_VERIFYING;
    job->producer_sig = msg->u.request_share.sig;
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_VERIFY_CHUNK);
    fx->request_id = id;
    fx->u.verify_chunk.owner = dsmr_buf_ref(bytes);
    fx->u.verify_chunk.bytes = msg->u.request_share.chunk;
    fx->u.verify_chunk.len = msg->u.request_share.chunk_len;
    fx->u.verify_chunk.check_txs = true;
    fx->u.verify_chunk.set = dsmr_validator_set_ref(set);
    fx->u.verify_chunk.producer = (uint32_t)dsmr_validator_set_find(set, &ref->producer);
    fx->u.verify_chunk.producer_sig = msg->u.request_share.sig;
}

/* One producer may not fill the table of jobs for the others. */
static bool has_job_share(const struct dsmr_node *node, const struct dsmr_node_id *producer)
{
    uint32_t used = 0;
    uint32_t jobs_max = DSMR_NODE_SHARE_JOBS_MAX / (node->config.validators_max + 1u);
    jobs_max = jobs_max < 4 ? 4 : jobs_max;
    if (dsmr_map_count(node->share_job_of) < jobs_max) {
        return true;
    }
    for (uint32_t i = 0; i < node->share_jobs_used; i++) {
        used += node->share_jobs[i].stage != DSMR_SHARE_FREE &&
                dsmr_node_id_equal(&node->share_jobs[i].ref.producer, producer);
    }
    return used < jobs_max;
}

void dsmr_share_policy_on_request(struct dsmr_node *node, const struct dsmr_node_id *from,
                                  const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct dsmr_chunk_header header;
    struct dsmr_reference ref;
    enum dsmr_err err =
        dsmr_chunk_header_decode(&header, &node->config.params, msg->u.request_share.chunk,
                                 msg->u.request_share.chunk_len); /* rule 1, but the body */
    if (err == DSMR_OK && !dsmr_node_id_equal(&header.producer, from)) {
        err = DSMR_ERR_NOT_PRODUCER; /* rule 2: the authenticated peer, not a field */
    }
    if (err != DSMR_OK) {
        dsmr_node_common_count(node, DSMR_METRIC_CHUNKS_REFUSED, 1);
        dsmr_node_common_fault(node, from, err);
        return;
    }
    dsmr_chunk_reference(&ref, &header);
    if (find_job(node, &ref.chunk_id) != NULL) {
        return; /* its answer is on the way: one verification, one write */
    }
    err = check_place(node, &ref);
    if (err == DSMR_OK) {
        err = check_slot(node, &ref);
    }
    if (err == DSMR_ERR_DUPLICATE && repeat(node, &ref)) {
        return;
    }
    if (err == DSMR_OK || err == DSMR_ERR_DUPLICATE) {
        err = check_load(node);
    }
    if (err == DSMR_OK && (!has_job_share(node, from) || !dsmr_chunk_pool_has_room(node->chunks))) {
        err = DSMR_ERR_BUSY;
    }
    if (err != DSMR_OK) {
        refuse(node, &ref, err);
        if (err == DSMR_ERR_CONFLICT) {
            dsmr_conflict_on_found(node, &ref, &msg->u.request_share.sig);
        }
        return;
    }
    verify(node, &ref, msg, bytes);
}

/* After the verification: rules 2 to 5 again and the claim, in one step (rule 7). */
static enum dsmr_err claim(struct dsmr_node *node, struct dsmr_share_job *job)
{
    enum dsmr_err err = check_place(node, &job->ref);
    if (err == DSMR_OK) {
        err = check_slot(node, &job->ref);
    }
    if (err == DSMR_OK || err == DSMR_ERR_DUPLICATE) {
        err = check_load(node);
    }
    if (err == DSMR_OK && !dsmr_requests_has_room(node->requests, 1)) {
        err = DSMR_ERR_BUSY;
    }
    if (err != DSMR_OK) {
        return err;
    }
    if (job->has_reservation && is_included(node, &job->ref.chunk_id)) {
        dsmr_chunk_pool_unreserve(node->chunks, &job->ref.producer, job->ref.chunk_bytes);
        job->has_reservation = false;
    }
    err = dsmr_journal_claim(node->journal, &job->ref);
    return err == DSMR_ERR_DUPLICATE ? DSMR_OK : err;
}

void dsmr_share_policy_on_verified(struct dsmr_node *node, const struct dsmr_request *request,
                                   enum dsmr_err err, struct dsmr_chunk *chunk)
{
    struct dsmr_share_job *job = job_of(node, request);
    if (job == NULL) {
        return;
    }
    DSMR_ASSERT(job->stage == DSMR_SHARE_VERIFYING);
    if (err == DSMR_OK && !dsmr_reference_equal(&chunk->ref, &job->ref)) {
        err = DSMR_ERR_REFERENCE_MISMATCH;
    }
    if (err == DSMR_OK) {
        err = claim(node, job);
    }
    if (err != DSMR_OK) {
        enum dsmr_err told =
            dsmr_err_class_of(err) == DSMR_ERR_CLASS_LOCAL && err != DSMR_ERR_UNAVAILABLE
                ? DSMR_ERR_BUSY
                : err;
        refuse(node, &job->ref, told);
        if (err == DSMR_ERR_CONFLICT) {
            dsmr_conflict_on_found(node, &job->ref, &job->producer_sig);
        }
        remove_job(node, job);
        return;
    }
    uint64_t id =
        dsmr_node_common_request(node, DSMR_REQUEST_SHARE_STORE, index_of(node, job), job->use);
    DSMR_ASSERT(id != 0);
    job->stage = DSMR_SHARE_STORING;
    job->chunk = dsmr_chunk_ref(chunk);
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_STORE_CHUNK);
    fx->request_id = id;
    fx->u.store_chunk.chunk = dsmr_chunk_ref(chunk);
    fx->u.store_chunk.producer_sig = job->producer_sig;
    fx->u.store_chunk.is_signed = true;
    dsmr_chunk_fetch_included(node, &job->ref.chunk_id, &fx->u.store_chunk.included_height,
                              &fx->u.store_chunk.included_time_ms);
    job->included_height = fx->u.store_chunk.included_height;
}

void dsmr_share_policy_on_included(struct dsmr_node *node, const struct dsmr_id *chunk_id,
                                   uint64_t height)
{
    struct dsmr_share_job *job = find_job(node, chunk_id);
    if (job != NULL) {
        job->included_height = height;
    }
}

/* The chunk is durable: it is held from now on. */
static enum dsmr_err hold(struct dsmr_node *node, struct dsmr_share_job *job)
{
    dsmr_journal_confirm(node->journal, &job->ref);
    struct dsmr_chunk_entry *old = dsmr_chunk_pool_find(node->chunks, &job->ref.chunk_id);
    if (old != NULL) { /* it was fetched meanwhile, or could not be read */
        old->is_signed = true;
        old->is_unreadable = false;
        old->producer_sig = job->producer_sig; /* for evidence */
        return DSMR_OK;
    }
    struct dsmr_chunk_entry fields = {.ref = job->ref,
                                      .producer_sig = job->producer_sig,
                                      .included_height = job->included_height,
                                      .is_signed = true};
    enum dsmr_err err =
        dsmr_chunk_pool_add(node->chunks, &fields, job->chunk, job->has_reservation);
    if (err == DSMR_OK) {
        job->has_reservation = false;
        if (fields.included_height == UINT64_MAX &&
            dsmr_cert_pool_find(node->certs, &job->ref.chunk_id) != NULL) {
            dsmr_chunk_pool_set_state(node->chunks, &job->ref.chunk_id, DSMR_CHUNK_CERTIFIED, 0);
        }
    }
    return err;
}

void dsmr_share_policy_on_stored(struct dsmr_node *node, const struct dsmr_request *request,
                                 enum dsmr_err err)
{
    struct dsmr_share_job *job = job_of(node, request);
    if (job == NULL) {
        return;
    }
    DSMR_ASSERT(job->stage == DSMR_SHARE_STORING);
    if (err != DSMR_OK) { /* the outcome is unknown: the claim stays (rule 7) */
        dsmr_journal_doubt(node->journal, &job->ref);
        dsmr_node_common_error(node, err);
    } else {
        err = hold(node, job);
    }
    if (err == DSMR_OK) {
        dsmr_chunk_fetch_on_held(node, job->chunk);
        err = check_place(node, &job->ref); /* a promise for the past is worth nothing */
    }
    if (err != DSMR_OK) {
        refuse(node, &job->ref,
               dsmr_err_class_of(err) == DSMR_ERR_CLASS_STATE ? err : DSMR_ERR_BUSY);
        remove_job(node, job);
        return;
    }
    sign(node, job);
}

void dsmr_share_policy_on_signed(struct dsmr_node *node, const struct dsmr_request *request,
                                 enum dsmr_err err, const struct dsmr_bls_sig *sig)
{
    struct dsmr_share_job *job = job_of(node, request);
    if (job == NULL) {
        return;
    }
    DSMR_ASSERT(job->stage == DSMR_SHARE_SIGNING);
    struct dsmr_chunk_entry *entry = dsmr_chunk_pool_find(node->chunks, &job->ref.chunk_id);
    if (err != DSMR_OK) {
        refuse(node, &job->ref, DSMR_ERR_BUSY);
    } else if (entry == NULL || !entry->is_signed) { /* it left while it was signed (and a block */
        refuse(node, &job->ref, DSMR_ERR_EXPIRED);   /* brought it back): INV-03 */
    } else {
        entry->share = *sig;
        entry->has_share = true;
        if (entry->state == DSMR_CHUNK_STORED) {
            dsmr_chunk_pool_set_state(node->chunks, &job->ref.chunk_id, DSMR_CHUNK_SHARED, 0);
        }
        dsmr_cert_gather_on_share(node, &job->ref.chunk_id);
        answer(node, entry);
        dsmr_effects_trace(node->fx, DSMR_TRACE_SHARE_GIVEN, &job->ref.chunk_id, 0, 0);
        dsmr_node_common_count(node, DSMR_METRIC_CHUNKS_SHARED, 1);
    }
    remove_job(node, job);
}

bool dsmr_share_policy_is_storing(const struct dsmr_node *node, const struct dsmr_id *chunk_id)
{
    const struct dsmr_share_job *job = find_job(node, chunk_id);
    return job != NULL && job->stage == DSMR_SHARE_STORING;
}

const struct dsmr_share_job *dsmr_share_policy_find(const struct dsmr_node *node,
                                                    const struct dsmr_id *chunk_id)
{
    const struct dsmr_share_job *job = find_job(node, chunk_id);
    return job != NULL && job->stage >= DSMR_SHARE_STORING ? job : NULL;
}

void dsmr_share_policy_free(struct dsmr_node *node)
{
    for (uint32_t i = 0; i < node->share_jobs_used; i++) {
        dsmr_chunk_unref(node->share_jobs[i].chunk);
    }
}
