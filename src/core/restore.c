#include "core/restore.h"

#include "core/block_accept.h"
#include "core/block_builder.h"
#include "core/cert_intake.h"
#include "core/chunk_fetch.h"
#include "core/conflict.h"
#include "core/exec_queue.h"
#include "core/health.h"
#include "core/share_collector.h"

#define EXPIRY_MS 1000u /* after a start */

/* Garbage collection comes now and then: the disk may hold more entries than memory. Those that
 * expire first give way, and the floor rises over them: nothing that they could contradict is
 * signed (6.3). False: the entry that needs the room is such a one itself. */
static bool make_room(struct dsmr_node *node, uint64_t expiry_ms)
{
    uint64_t first_ms = dsmr_journal_expiry_min_ms(node->journal);
    node->floor_ms = first_ms < expiry_ms ? first_ms : expiry_ms;
    return dsmr_journal_prune(node->journal, node->floor_ms + 1, UINT32_MAX) > 0 &&
           expiry_ms > node->floor_ms;
}

static void on_journal(struct dsmr_node *node, const struct dsmr_event *event)
{
    struct dsmr_journal_entry entry = {.chunk_id = event->u.journal.chunk_id,
                                       .epoch = event->u.journal.epoch,
                                       .expiry_ms = event->u.journal.expiry_ms,
                                       .state = DSMR_JOURNAL_DURABLE};
    if (entry.expiry_ms <= node->floor_ms) {
        return; /* 6.3 refuses it anyway; the next GC drops it */
    }
    enum dsmr_err err = dsmr_journal_restore(node->journal, &event->u.journal.producer,
                                             event->u.journal.slot, &entry);
    if (err == DSMR_ERR_FULL && make_room(node, entry.expiry_ms)) {
        err = dsmr_journal_restore(node->journal, &event->u.journal.producer, event->u.journal.slot,
                                   &entry);
    }
    if (err != DSMR_OK && err != DSMR_ERR_FULL) {
        dsmr_node_common_error(node, err);
        dsmr_node_common_halt(node, "the journal on disk holds two chunks of one slot");
    }
}

/* Chunks of accepted blocks are found through their blocks; here are those that wait for one. */
static void on_chunk(struct dsmr_node *node, const struct dsmr_event *event)
{
    struct dsmr_chunk_entry fields = {.ref = event->u.restore_chunk.ref,
                                      .producer_sig = event->u.restore_chunk.producer_sig,
                                      .included_height = UINT64_MAX,
                                      .is_own = event->u.restore_chunk.is_own,
                                      .is_signed = event->u.restore_chunk.is_signed};
    enum dsmr_err err = dsmr_chunk_pool_restore(node->chunks, &fields);
    if (err == DSMR_ERR_FULL) {
        dsmr_node_common_halt(node, "more chunks on disk than the limits of genesis allow");
    }
}

static void on_block(struct dsmr_node *node, const struct dsmr_event *event)
{
    struct dsmr_block *block = event->u.restore_block.block;
    if (event->u.restore_block.is_above_pointer) {
        struct dsmr_executed_above *above =
            dsmr_map_add(node->executed_above, &block->height, NULL);
        if (above == NULL) {
            dsmr_node_common_halt(node, "the engine restarted too far back");
            return;
        }
        above->id = block->id;
        return;
    }
    dsmr_block_accept_set_tip(node, block);
    dsmr_block_accept_include(node, block);
    /* No more may be in the index than in the life of a node, however long the way is. */
    (void)dsmr_accepted_index_prune(node->index, block->time_ms, 2u * block->certs_count + 1u);
    node->preference = block->id;
    if (event->u.restore_block.is_executed) {
        if (block->height > node->executed_height) {
            node->executed_height = block->height;
            node->executed_time_ms = block->time_ms;
        }
    } else {
        dsmr_chunk_fetch_push(node, block, true);
    }
}

static void on_executed(struct dsmr_node *node, const struct dsmr_event *event)
{
    for (uint32_t i = 0; i < event->u.restore_executed.count; i++) {
        enum dsmr_err err =
            dsmr_executed_ids_add(node->executed_ids, &event->u.restore_executed.ids[i],
                                  event->u.restore_executed.expiries_ms[i]);
        if (err == DSMR_ERR_NO_MEMORY) {
            dsmr_node_common_halt(node, "out of memory for executed transactions");
            return;
        }
    }
    if (event->u.restore_executed.height >= node->executed_height) {
        node->executed_height = event->u.restore_executed.height;
        node->executed_time_ms = event->u.restore_executed.time_ms;
        node->state_root = event->u.restore_executed.state_root;
    }
}

static void on_cert(struct dsmr_node *node, const struct dsmr_event *event)
{
    dsmr_cert_intake_restore(node, event->u.cert);
}

void dsmr_restore_on_event(struct dsmr_node *node, const struct dsmr_event *event)
{
    DSMR_ASSERT(!node->is_started);
    switch (event->kind) {
    case DSMR_EV_RESTORE_FLOOR:
        if (event->u.floor_ms > node->floor_ms) {
            node->floor_ms = event->u.floor_ms;
        }
        break;
    case DSMR_EV_RESTORE_JOURNAL:
        on_journal(node, event);
        break;
    case DSMR_EV_RESTORE_CHUNK:
        on_chunk(node, event);
        break;
    case DSMR_EV_RESTORE_BLOCK:
        on_block(node, event);
        break;
    case DSMR_EV_RESTORE_EXECUTED:
        on_executed(node, event);
        break;
    case DSMR_EV_RESTORE_CERT:
        on_cert(node, event);
        break;
    case DSMR_EV_RESTORE_EVIDENCE:
        dsmr_conflict_restore(node, event->u.evidence);
        break;
    default:
        DSMR_UNREACHABLE();
    }
}

/* Own chunks that wait for a certificate or for inclusion are taken up again: the same bytes. */
static void resume_own(struct dsmr_node *node)
{
    size_t position = 0;
    const struct dsmr_chunk_entry *entry;
    while ((entry = dsmr_chunk_pool_next(node->chunks, &position)) != NULL) {
        if (!entry->is_own || entry->state == DSMR_CHUNK_INCLUDED ||
            entry->ref.expiry_ms <= dsmr_node_common_floor(node) ||
            dsmr_share_collector_find(node, &entry->ref.chunk_id) != NULL) {
            continue;
        }
        struct dsmr_validator_set *set = dsmr_node_common_set(node, entry->ref.epoch);
        if (set == NULL) {
            node->is_resume_due = true; /* when the set comes */
            continue;
        }
        if (dsmr_validator_set_find(set, &node->config.node_id) < 0) {
            continue; /* it expires, or is included by the certificate that is already out */
        }
        const struct dsmr_cert *cert = dsmr_cert_pool_find(node->certs, &entry->ref.chunk_id);
        struct dsmr_own_chunk *own = dsmr_share_collector_add(node, &entry->ref, NULL, set);
        if (own == NULL) {
            return;
        }
        uint64_t weight = 0;
        if (cert != NULL &&
            dsmr_node_common_check_signers(&cert->signers, &weight, set) == DSMR_OK) {
            dsmr_share_collector_restore_cert(node, own, cert, weight);
        }
        uint64_t id = dsmr_node_common_request(node, DSMR_REQUEST_OWN_LOAD,
                                               (uint32_t)(own - node->own), own->use);
        if (id == 0 && own->has_cert) {
            continue;
        }
        if (id == 0) {
            dsmr_share_collector_remove(node, own);
            return;
        }
        struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_LOAD_CHUNK);
        fx->request_id = id;
        fx->u.load_chunk = entry->ref.chunk_id;
    }
}

void dsmr_restore_on_set(struct dsmr_node *node)
{
    if (node->is_started && node->is_resume_due && !node->is_halted) {
        node->is_resume_due = false;
        resume_own(node);
    }
}

/* Accepted blocks that were read as not executed may be executed after all, if the state is ahead.
 */
static void check_heights(struct dsmr_node *node, uint64_t executed_height)
{
    if (node->executed_height < executed_height) {
        node->executed_height = executed_height;
    }
    uint64_t next = node->queue.count == 0 ? node->accepted->height + 1 : node->queue.first_height;
    if (next > node->executed_height + 1) {
        dsmr_node_common_halt(node, "accepted blocks that are not executed are missing on disk");
    } else if (node->queue.count > 0 && next <= node->executed_height) {
        dsmr_node_common_halt(node, "the state is ahead of what the disk says was executed");
    }
}

void dsmr_restore_on_start(struct dsmr_node *node, const struct dsmr_event *event)
{
    if (node->is_started) {
        return;
    }
    check_heights(node, event->u.start.executed_height);
    node->state_root = event->u.start.state_root;
    node->queue.durable_height = node->accepted->height; /* it comes from the disk */
    node->is_started = true;
    node->start_wall_ms = node->wall_ms;
    node->is_fresh = node->floor_ms == 0 && node->accepted->height == 0 &&
                     dsmr_journal_count(node->journal) == 0 && !event->u.start.has_blocks;
    node->gc_journal_floor_ms = dsmr_node_common_floor(node);
    if (node->executed_time_ms > 0) {
        dsmr_executed_ids_advance(node->executed_ids, node->executed_time_ms);
    }
    dsmr_node_common_gauge(node, DSMR_METRIC_EXECUTED_HEIGHT, node->executed_height);
    resume_own(node);
    /* What has expired frees its quota also if no block comes: without a share there may be none.
     * Own chunks are read before, for their transactions return. */
    dsmr_node_common_arm(node, DSMR_TIMER_GC, dsmr_node_common_add(node->mono_ms, EXPIRY_MS));
    dsmr_health_on_start(node);
    dsmr_chunk_fetch_run(node);
    dsmr_block_builder_update(node);
}
