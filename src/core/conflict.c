#include "core/conflict.h"

#include <stdlib.h>

#include "core/share_policy.h"

/* Reference and signature of the chunk that holds the slot. */
static bool find_first(const struct dsmr_node *node, const struct dsmr_reference *second,
                       struct dsmr_reference *ref, struct dsmr_bls_sig *sig)
{
    const struct dsmr_journal_entry *claim =
        dsmr_journal_find(node->journal, &second->producer, second->slot);
    if (claim == NULL) {
        return false;
    }
    const struct dsmr_chunk_entry *entry = dsmr_chunk_pool_find(node->chunks, &claim->chunk_id);
    const struct dsmr_share_job *job = dsmr_share_policy_find(node, &claim->chunk_id);
    if (entry != NULL && entry->is_signed && !entry->is_own) {
        *ref = entry->ref;
        *sig = entry->producer_sig;
        return true;
    }
    if (entry == NULL && job != NULL) { /* verified, on its way to the disk */
        *ref = job->ref;
        *sig = job->producer_sig;
        return true;
    }
    return false;
}

static struct dsmr_evidence_key key_of(const struct dsmr_evidence *evidence)
{
    /* the pair's epoch is its first chunk's, on disk too */
    return (struct dsmr_evidence_key){evidence->refs[0].producer, evidence->refs[0].epoch};
}

/* The epochs that are not over, into epochs. */
static struct dsmr_evidence_epochs live_epochs(const struct dsmr_node *node,
                                               uint64_t epochs[DSMR_PAST_EPOCHS_MAX + 1])
{
    const struct dsmr_block *tip = node->accepted;
    for (uint32_t i = 0; i < tip->past_epochs_count; i++) {
        epochs[i] = tip->past_epochs[i].epoch;
    }
    epochs[tip->past_epochs_count] = tip->epoch;
    return (struct dsmr_evidence_epochs){epochs, tip->past_epochs_count + 1u};
}

static void count_full(struct dsmr_node *node, enum dsmr_err err)
{
    if (err == DSMR_ERR_FULL) {
        dsmr_node_common_count(node, DSMR_METRIC_EVIDENCE_LOST, 1);
    }
}

void dsmr_conflict_on_found(struct dsmr_node *node, const struct dsmr_reference *second,
                            const struct dsmr_bls_sig *sig)
{
    struct dsmr_evidence evidence = {.refs[1] = *second, .sigs[1] = *sig};
    struct dsmr_validator_set *set = dsmr_node_common_set(node, second->epoch);
    uint32_t item = 0;
    while (item < DSMR_NODE_EVIDENCE_JOBS_MAX && node->evidence_jobs[item].is_used) {
        item++;
    }
    if (set == NULL || item == DSMR_NODE_EVIDENCE_JOBS_MAX ||
        !dsmr_requests_has_room(node->requests, 1) ||
        !find_first(node, second, &evidence.refs[0], &evidence.sigs[0])) {
        return;
    }
    int signer = dsmr_validator_set_find(set, &second->producer);
    if (signer < 0) {
        return;
    }
    uint64_t epochs[DSMR_PAST_EPOCHS_MAX + 1];
    struct dsmr_evidence_epochs live = live_epochs(node, epochs);
    struct dsmr_evidence_key key = key_of(&evidence);
    enum dsmr_err err =
        dsmr_evidence_log_begin(node->evidence, &key, evidence.refs[0].expiry_ms, &live);
    if (err != DSMR_OK) {
        count_full(node, err);
        return;
    }
    struct dsmr_evidence_job *job = &node->evidence_jobs[item];
    *job = (struct dsmr_evidence_job){.is_used = true, .use = job->use + 1, .evidence = evidence};
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_VERIFY_SIG);
    fx->request_id = dsmr_node_common_request(node, DSMR_REQUEST_EVIDENCE_VERIFY, item, job->use);
    fx->u.verify_sig.ref = *second;
    fx->u.verify_sig.sig = *sig;
    fx->u.verify_sig.set = dsmr_validator_set_ref(set);
    fx->u.verify_sig.signer = (uint32_t)signer;
}

static void abandon(struct dsmr_node *node, struct dsmr_evidence_job *job)
{
    struct dsmr_evidence_key key = key_of(&job->evidence);
    dsmr_evidence_log_abort(node->evidence, &key, job->has_gone ? &job->gone : NULL);
    job->is_used = false;
}

static void store(struct dsmr_node *node, struct dsmr_evidence_job *job, uint32_t item)
{
    uint64_t epochs[DSMR_PAST_EPOCHS_MAX + 1];
    struct dsmr_evidence_epochs live = live_epochs(node, epochs);
    struct dsmr_evidence_key key = key_of(&job->evidence);
    struct dsmr_evidence *copy =
        dsmr_requests_has_room(node->requests, 1) ? malloc(sizeof(*copy)) : NULL;
    enum dsmr_err err = copy == NULL ? DSMR_ERR_NO_MEMORY
                                     : dsmr_evidence_log_record(node->evidence, &key, &live,
                                                                &job->gone, &job->has_gone);
    if (err != DSMR_OK) {
        count_full(node, err);
        free(copy);
        abandon(node, job);
        return;
    }
    *copy = job->evidence;
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_STORE_EVIDENCE);
    fx->request_id = dsmr_node_common_request(node, DSMR_REQUEST_EVIDENCE_STORE, item, job->use);
    fx->u.store_evidence.pair = copy;
    fx->u.store_evidence.has_gone = job->has_gone;
    fx->u.store_evidence.gone = job->gone;
}

void dsmr_conflict_on_verified(struct dsmr_node *node, const struct dsmr_request *request,
                               enum dsmr_err err)
{
    struct dsmr_evidence_job *job = &node->evidence_jobs[request->item];
    if (!job->is_used || job->use != request->item_use) {
        return;
    }
    if (err != DSMR_OK) {
        if (dsmr_err_class_of(err) == DSMR_ERR_CLASS_PEER) {
            dsmr_node_common_fault(node, &job->evidence.refs[1].producer, DSMR_ERR_PRODUCER_KEY);
        }
        abandon(node, job);
        return;
    }
    store(node, job, request->item);
}

void dsmr_conflict_on_stored(struct dsmr_node *node, const struct dsmr_request *request,
                             enum dsmr_err err)
{
    struct dsmr_evidence_job *job = &node->evidence_jobs[request->item];
    if (!job->is_used || job->use != request->item_use) {
        return;
    }
    if (err != DSMR_OK) {
        abandon(node, job);
        return;
    }
    struct dsmr_evidence_key key = key_of(&job->evidence);
    dsmr_evidence_log_commit(node->evidence, &key, job->has_gone ? &job->gone : NULL);
    dsmr_effects_trace(node->fx, DSMR_TRACE_EVIDENCE, &job->evidence.refs[1].chunk_id, 0, 0);
    dsmr_node_common_count(node, DSMR_METRIC_EVIDENCE, 1);
    job->is_used = false;
}

void dsmr_conflict_restore(struct dsmr_node *node, const struct dsmr_evidence *evidence)
{
    struct dsmr_evidence_key key = key_of(evidence);
    enum dsmr_err err =
        dsmr_evidence_log_restore(node->evidence, &key, evidence->refs[0].expiry_ms);
    dsmr_node_common_error(node, err); /* more than the budget: from another build */
}
