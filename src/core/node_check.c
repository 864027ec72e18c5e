/* node_check.c - the invariants across the parts of a node; each part checks its own. */
#include "core/exec_queue.h"
#include "core/node_state.h"

static void check_own(const struct dsmr_node *node)
{
    uint32_t count = 0, uncertified_count = 0;
    uint64_t uncertified = 0;
    uint64_t waiting = 0;
    for (uint32_t i = 0; i < DSMR_NODE_OWN_MAX; i++) {
        const struct dsmr_own_chunk *own = &node->own[i];
        if (own->state == DSMR_OWN_FREE) {
            continue;
        }
        const struct dsmr_journal_entry *claim =
            dsmr_journal_find(node->journal, &own->ref.producer, own->ref.slot);
        const struct dsmr_chunk_entry *entry =
            dsmr_chunk_pool_find(node->chunks, &own->ref.chunk_id);
        count++;
        uncertified_count += !own->has_cert;
        *(own->has_cert ? &waiting : &uncertified) += own->ref.chunk_bytes;
        DSMR_ASSERT(dsmr_node_id_equal(&own->ref.producer, &node->config.node_id));
        if (claim != NULL) { /* INV-03 */
            DSMR_ASSERT(dsmr_id_equal(&claim->chunk_id, &own->ref.chunk_id));
        }
        if (own->state >= DSMR_OWN_COLLECTING) { /* INV-01: it left, so it is stored */
            DSMR_ASSERT(entry != NULL && entry->is_signed);
            DSMR_ASSERT(entry->state != DSMR_CHUNK_INCLUDED);
        }
        if (own->state == DSMR_OWN_CERTIFIED) {
            DSMR_ASSERT(own->has_cert);
        }
    }
    DSMR_ASSERT(count == node->own_count);
    DSMR_ASSERT(uncertified_count == node->own_uncertified);
    /* Nothing is remembered of a chunk that has gone its whole way. */
    DSMR_ASSERT(count > 0 || dsmr_exec_queue_length(&node->queue) > 0 ||
                dsmr_own_ids_count(node->own_ids) == 0);
    DSMR_ASSERT(uncertified == node->own_uncertified_bytes);
    DSMR_ASSERT(waiting == node->own_waiting_bytes);
}

static void check_chunks(const struct dsmr_node *node)
{
    size_t position = 0;
    const struct dsmr_chunk_entry *entry;
    while ((entry = dsmr_chunk_pool_next(node->chunks, &position)) != NULL) {
        uint64_t height = dsmr_accepted_index_find(node->index, &entry->ref.chunk_id);
        if (entry->state == DSMR_CHUNK_INCLUDED) {
            DSMR_ASSERT(entry->pending_bytes == 0);
        } else {
            DSMR_ASSERT(height == UINT64_MAX);
        }
        if (entry->has_share) { /* INV-03, and 6.8: journalled before it was signed */
            DSMR_ASSERT(entry->is_signed);
        }
        const struct dsmr_journal_entry *claim =
            dsmr_journal_find(node->journal, &entry->ref.producer, entry->ref.slot);
        if (entry->is_signed && claim != NULL) {
            DSMR_ASSERT(dsmr_id_equal(&claim->chunk_id, &entry->ref.chunk_id));
        }
    }
}

static void check_jobs(const struct dsmr_node *node)
{
    size_t shares = 0;
    size_t certs = 0;
    uint32_t fetches = 0;
    uint32_t pruned = 0;
    for (uint32_t i = 0; i < node->share_jobs_used; i++) {
        const struct dsmr_share_job *job = &node->share_jobs[i];
        shares += job->stage != DSMR_SHARE_FREE;
        DSMR_ASSERT(job->stage != DSMR_SHARE_STORING || job->chunk != NULL);
    }
    for (uint32_t i = 0; i < node->cert_jobs_used; i++) {
        certs += node->cert_jobs[i].stage != DSMR_CERT_FREE;
    }
    for (uint32_t i = 0; i < node->config.fetches_max; i++) {
        fetches += node->fetches[i].stage != DSMR_FETCH_FREE;
        pruned += node->fetches[i].stage != DSMR_FETCH_FREE && node->fetches[i].is_pruned;
    }
    DSMR_ASSERT(shares == dsmr_map_count(node->share_job_of));
    DSMR_ASSERT(certs == dsmr_map_count(node->cert_job_of));
    DSMR_ASSERT(fetches == node->fetches_count);
    DSMR_ASSERT(pruned == node->fetches_pruned);
}

/* What waits has something that ends the wait: an answer, or a timer. */
static void check_waits(const struct dsmr_node *node)
{
    bool is_any_busy = false;
    for (uint32_t b = 0; b < DSMR_NODE_CERT_BATCHES_MAX; b++) {
        is_any_busy = is_any_busy || node->cert_batches[b].count > 0;
    }
    DSMR_ASSERT(node->cert_queue_count <= dsmr_map_count(node->cert_job_of));
    DSMR_ASSERT(node->cert_queue_count == 0 || is_any_busy ||
                node->timers[DSMR_TIMER_CERTS] != UINT64_MAX);
    DSMR_ASSERT(node->gather.since_ms == 0 || node->is_ready || node->is_halted ||
                node->timers[DSMR_TIMER_READY] != UINT64_MAX);
}

void dsmr_node_check(const struct dsmr_node *node)
{
    dsmr_mempool_check(node->mempool);
    dsmr_own_ids_check(node->own_ids);
    dsmr_chunk_pool_check(node->chunks);
    dsmr_cert_pool_check(node->certs);
    dsmr_journal_check(node->journal);
    dsmr_block_tree_check(node->tree);
    dsmr_accepted_index_check(node->index);
    dsmr_epochs_check(node->epochs);
    dsmr_exec_queue_check(&node->queue);
    check_own(node);
    check_chunks(node);
    check_jobs(node);
    check_waits(node);
    if (node->is_started && node->queue.count > 0) { /* INV-02: nothing between, nothing twice */
        uint64_t first = node->queue.first_height;
        DSMR_ASSERT(node->is_halted || first == node->executed_height + 1);
        DSMR_ASSERT(first + dsmr_exec_queue_length(&node->queue) - 1 == node->accepted->height);
    }
}
