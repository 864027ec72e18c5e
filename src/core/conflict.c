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
    if (signer < 0 ||
        dsmr_evidence_log_begin(node->evidence, &second->producer, evidence.refs[0].epoch) !=
            DSMR_OK) { /* the pair's epoch is its first chunk's, on disk too */
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
    const struct dsmr_reference *first = &job->evidence.refs[0];
    dsmr_evidence_log_abort(node->evidence, &first->producer, first->epoch);
    job->is_used = false;
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
    uint64_t id =
        dsmr_node_common_request(node, DSMR_REQUEST_EVIDENCE_STORE, request->item, job->use);
    struct dsmr_evidence *copy = id == 0 ? NULL : malloc(sizeof(*copy));
    if (copy == NULL) {
        abandon(node, job);
        return;
    }
    *copy = job->evidence;
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_STORE_EVIDENCE);
    fx->request_id = id;
    fx->u.store_evidence = copy;
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
    const struct dsmr_reference *first = &job->evidence.refs[0];
    dsmr_evidence_log_commit(node->evidence, &first->producer, first->epoch);
    dsmr_effects_trace(node->fx, DSMR_TRACE_EVIDENCE, &job->evidence.refs[1].chunk_id, 0, 0);
    dsmr_node_common_count(node, DSMR_METRIC_EVIDENCE, 1);
    job->is_used = false;
}
