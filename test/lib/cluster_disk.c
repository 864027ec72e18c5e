/* cluster_disk.c - what survives a crash: a store in memory, written when STORED is answered. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "lib/cluster.h"
#include "wire/codec.h"

static void *add_item(void *items, uint32_t *count, size_t size)
{
    void *grown = realloc(items, (*count + 1u) * size);
    DSMR_ASSERT(grown != NULL);
    memset((uint8_t *)grown + *count * size, 0, size);
    (*count)++;
    return grown;
}

struct cluster_stored *cluster_disk_find(struct cluster_disk *disk, const struct dsmr_id *chunk_id)
{
    for (uint32_t i = 0; i < disk->chunks_count; i++) {
        if (dsmr_id_equal(&disk->chunks[i].ref.chunk_id, chunk_id)) {
            return &disk->chunks[i];
        }
    }
    return NULL;
}

static void write_journal(struct cluster_disk *disk, const struct dsmr_reference *ref)
{
    for (uint32_t i = 0; i < disk->journals_count; i++) {
        struct cluster_journal *entry = &disk->journals[i];
        if (entry->slot == ref->slot && dsmr_node_id_equal(&entry->producer, &ref->producer)) {
            /* The rule that everything hangs on, checked by the disk itself. */
            DSMR_ASSERT(dsmr_id_equal(&entry->chunk_id, &ref->chunk_id));
            return;
        }
    }
    disk->journals = add_item(disk->journals, &disk->journals_count, sizeof(disk->journals[0]));
    disk->journals[disk->journals_count - 1] = (struct cluster_journal){.producer = ref->producer,
                                                                        .slot = ref->slot,
                                                                        .epoch = ref->epoch,
                                                                        .expiry_ms = ref->expiry_ms,
                                                                        .chunk_id = ref->chunk_id};
}

static void write_chunk(struct cluster_disk *disk, const struct dsmr_effect *fx)
{
    struct dsmr_chunk *chunk = fx->u.store_chunk.chunk;
    struct cluster_stored *stored = cluster_disk_find(disk, &chunk->ref.chunk_id);
    if (stored == NULL) {
        disk->chunks = add_item(disk->chunks, &disk->chunks_count, sizeof(disk->chunks[0]));
        stored = &disk->chunks[disk->chunks_count - 1];
        stored->included_height = UINT64_MAX;
    }
    stored->ref = chunk->ref;
    if (!stored->is_signed || fx->u.store_chunk.is_signed) {
        stored->producer_sig = fx->u.store_chunk.producer_sig;
    }
    if (fx->u.store_chunk.included_height != UINT64_MAX) {
        stored->included_height = fx->u.store_chunk.included_height;
        stored->included_time_ms = fx->u.store_chunk.included_time_ms;
    }
    stored->is_own |= fx->u.store_chunk.is_own;
    stored->is_signed |= fx->u.store_chunk.is_signed;
    dsmr_buf_unref(stored->bytes);
    stored->bytes = dsmr_buf_copy(chunk->bytes, chunk->ref.chunk_bytes);
    if (fx->u.store_chunk.is_signed) {
        write_journal(disk, &chunk->ref);
    }
}

static void write_cert(struct cluster_disk *disk, const struct dsmr_cert *cert)
{
    for (uint32_t i = 0; i < disk->certs_count; i++) {
        if (dsmr_id_equal(&disk->certs[i].ref.chunk_id, &cert->ref.chunk_id)) {
            disk->certs[i] = *cert;
            return;
        }
    }
    disk->certs = add_item(disk->certs, &disk->certs_count, sizeof(disk->certs[0]));
    disk->certs[disk->certs_count - 1] = *cert;
}

static void write_accept(struct cluster_disk *disk, struct dsmr_block *block, uint64_t wall_ms)
{
    DSMR_ASSERT(block->height < CLUSTER_BLOCKS_MAX);
    dsmr_block_unref(disk->blocks[block->height]);
    disk->blocks[block->height] = dsmr_block_ref(block);
    disk->accepted_height = block->height;
    disk->accepted_wall_ms[block->height] = wall_ms;
    disk->retained = disk->retained > block->height ? block->height : disk->retained;
    for (uint32_t i = 0; i < block->certs_count; i++) {
        struct cluster_stored *stored = cluster_disk_find(disk, &block->certs[i].ref.chunk_id);
        if (stored != NULL) {
            stored->included_height = block->height;
            stored->included_time_ms = block->time_ms;
        }
    }
}

static void drop_chunk(struct cluster_disk *disk, const struct dsmr_id *id)
{
    struct cluster_stored *stored = cluster_disk_find(disk, id);
    if (stored != NULL) {
        dsmr_buf_unref(stored->bytes);
        *stored = disk->chunks[--disk->chunks_count];
    }
    for (uint32_t i = 0; i < disk->certs_count; i++) {
        if (dsmr_id_equal(&disk->certs[i].ref.chunk_id, id)) {
            disk->certs[i] = disk->certs[--disk->certs_count];
            return;
        }
    }
}

/* Of blocks that ran here, in their order, and no others. */
static void drop_retained(struct cluster_disk *disk, const struct dsmr_effect *fx,
                          struct dsmr_event *answer)
{
    uint64_t height = disk->retained > 0 ? disk->retained : 1;
    for (; height <= disk->accepted_height; height++) {
        const struct dsmr_block *block = disk->blocks[height];
        if (height > fx->u.store_gc.retained.height_max ||
            block->time_ms > fx->u.store_gc.retained.time_max_ms ||
            disk->accepted_wall_ms[height] > fx->u.store_gc.retained.wall_max_ms) {
            break;
        }
        DSMR_ASSERT(height <= disk->executed_height);
        for (uint32_t i = 0; i < block->certs_count; i++) {
            drop_chunk(disk, &block->certs[i].ref.chunk_id);
        }
    }
    disk->retained = height;
    bool is_none = height > disk->accepted_height;
    answer->u.stored_gc.oldest_time_ms = is_none ? UINT64_MAX : disk->blocks[height]->time_ms;
    answer->u.stored_gc.oldest_wall_ms = is_none ? UINT64_MAX : disk->accepted_wall_ms[height];
}

static void write_gc(struct cluster_disk *disk, const struct dsmr_effect *fx,
                     struct dsmr_event *answer)
{
    disk->gc_writes++;
    DSMR_ASSERT(fx->u.store_gc.floor_ms >= disk->floor_ms);
    disk->floor_ms = fx->u.store_gc.floor_ms;
    for (uint32_t i = 0; i < fx->u.store_gc.chunks_count; i++) {
        drop_chunk(disk, &fx->u.store_gc.chunks[i]);
    }
    if (fx->u.store_gc.retained.is_wanted) {
        drop_retained(disk, fx, answer);
    }
    for (uint32_t i = 0; fx->u.store_gc.drop_journals && i < disk->journals_count;) {
        if (disk->journals[i].expiry_ms < disk->floor_ms) {
            disk->journals[i] = disk->journals[--disk->journals_count];
        } else {
            i++;
        }
    }
}

static void write_evidence(struct cluster_disk *disk, const struct dsmr_effect *fx)
{
    const struct dsmr_evidence_key *gone = &fx->u.store_evidence.gone;
    DSMR_ASSERT(disk->evidence_count < 64);
    disk->evidence[disk->evidence_count++] = *fx->u.store_evidence.pair;
    for (uint32_t i = 0; fx->u.store_evidence.has_gone; i++) {
        DSMR_ASSERT(i < disk->evidence_count); /* what goes was there */
        const struct dsmr_reference *ref = &disk->evidence[i].refs[0];
        if (ref->epoch == gone->epoch && dsmr_node_id_equal(&ref->producer, &gone->producer)) {
            disk->evidence[i] = disk->evidence[--disk->evidence_count];
            break;
        }
    }
}

enum dsmr_err cluster_disk_write(struct cluster *cluster, uint32_t number,
                                 const struct dsmr_effect *fx, struct dsmr_event *answer)
{
    struct cluster_node *node = &cluster->nodes[number];
    struct cluster_disk *disk = &node->disk;
    if (fx->kind == DSMR_FX_STORE_CHUNK && node->fail_store != DSMR_OK) {
        enum dsmr_err err = node->fail_store;
        node->fail_store = DSMR_OK;
        return err;
    }
    if (fx->kind == DSMR_FX_STORE_CERT && node->fail_certs > 0) {
        node->fail_certs--;
        return DSMR_ERR_DISK_FULL;
    }
    if (fx->kind == DSMR_FX_STORE_GC && node->fail_gcs > 0) {
        node->fail_gcs--;
        return DSMR_ERR_DISK_FULL;
    }
    disk->writes++;
    switch (fx->kind) {
    case DSMR_FX_STORE_CHUNK:
        write_chunk(disk, fx);
        break;
    case DSMR_FX_STORE_CERT:
        write_cert(disk, fx->u.store_cert);
        break;
    case DSMR_FX_STORE_ACCEPT:
        write_accept(disk, fx->u.store_accept.block,
                     (uint64_t)((int64_t)cluster_wall_ms(cluster) + node->skew_ms));
        break;
    case DSMR_FX_STORE_EVIDENCE:
        write_evidence(disk, fx);
        break;
    case DSMR_FX_STORE_GC:
        write_gc(disk, fx, answer);
        break;
    default:
        DSMR_UNREACHABLE();
    }
    return DSMR_OK;
}

static bool was_executed(const struct cluster_disk *disk, const struct dsmr_id *id)
{
    for (uint64_t height = 1; height <= disk->executed_height; height++) {
        for (uint32_t i = 0; i < disk->executed[height].count; i++) {
            if (dsmr_id_equal(&disk->executed[height].ids[i], id)) {
                return true;
            }
        }
    }
    return false;
}

void cluster_disk_execute(struct cluster *cluster, uint32_t number, struct dsmr_plan *plan,
                          struct dsmr_id *root)
{
    struct cluster_disk *disk = &cluster->nodes[number].disk;
    uint64_t height = plan->block->height;
    DSMR_ASSERT(height == disk->executed_height + 1 && height <= disk->accepted_height);
    struct cluster_executed *record = &disk->executed[height];
    record->ids = calloc(plan->txs_count + 1u, sizeof(record->ids[0]));
    record->expiries_ms = calloc(plan->txs_count + 1u, sizeof(record->expiries_ms[0]));
    DSMR_ASSERT(record->ids != NULL && record->expiries_ms != NULL);
    *root = disk->executed[height - 1].root;
    for (uint32_t i = 0; i < plan->txs_count; i++) {
        const struct dsmr_chunk *chunk = plan->chunks[plan->txs[i].chunk];
        const uint8_t *tx = chunk->bytes + chunk->tx_offsets[plan->txs[i].tx];
        uint8_t both[64];
        record->ids[i] = chunk->tx_ids[plan->txs[i].tx];
        record->expiries_ms[i] = dsmr_load_be64(tx + 1);
        DSMR_ASSERT(!was_executed(disk, &record->ids[i]));
        for (uint32_t k = 0; k < i; k++) {
            DSMR_ASSERT(!dsmr_id_equal(&record->ids[k], &record->ids[i]));
        }
        memcpy(both, root->bytes, 32);
        memcpy(both + 32, record->ids[i].bytes, 32);
        dsmr_hash(root, both, sizeof(both));
    }
    record->count = plan->txs_count;
    record->root = *root;
    disk->executed_height = height;
    for (uint32_t other = 0; other < cluster->config.nodes; other++) {
        const struct cluster_disk *theirs = &cluster->nodes[other].disk;
        if (theirs->executed_height >= height) {
            DSMR_ASSERT(dsmr_id_equal(&theirs->executed[height].root, root));
        }
    }
}

static void restore_event(struct cluster *cluster, uint32_t number, struct dsmr_event *event)
{
    cluster_event(cluster, number, event);
}

static void restore_chunks(struct cluster *cluster, uint32_t number)
{
    struct cluster_disk *disk = &cluster->nodes[number].disk;
    struct dsmr_event event = {.kind = DSMR_EV_RESTORE_FLOOR, .u.floor_ms = disk->floor_ms};
    restore_event(cluster, number, &event);
    for (uint32_t i = 0; i < disk->journals_count; i++) {
        const struct cluster_journal *entry = &disk->journals[i];
        struct dsmr_event journal = {.kind = DSMR_EV_RESTORE_JOURNAL};
        journal.u.journal.producer = entry->producer;
        journal.u.journal.slot = entry->slot;
        journal.u.journal.chunk_id = entry->chunk_id;
        journal.u.journal.epoch = entry->epoch;
        journal.u.journal.expiry_ms = entry->expiry_ms;
        restore_event(cluster, number, &journal);
    }
    for (uint32_t i = 0; i < disk->chunks_count; i++) {
        const struct cluster_stored *stored = &disk->chunks[i];
        if (stored->bytes == NULL) {
            continue; /* as a store does it: to have a chunk is to be able to serve it */
        }
        struct dsmr_event chunk = {.kind = DSMR_EV_RESTORE_CHUNK};
        if (stored->included_height != UINT64_MAX) {
            continue;
        }
        chunk.u.restore_chunk.ref = stored->ref;
        chunk.u.restore_chunk.producer_sig = stored->producer_sig;
        chunk.u.restore_chunk.is_own = stored->is_own;
        chunk.u.restore_chunk.is_signed = stored->is_signed;
        restore_event(cluster, number, &chunk);
    }
}

void cluster_disk_restore(struct cluster *cluster, uint32_t number)
{
    struct cluster_disk *disk = &cluster->nodes[number].disk;
    uint64_t top = disk->accepted_height > disk->executed_height ? disk->accepted_height
                                                                 : disk->executed_height;
    restore_chunks(cluster, number);
    for (uint64_t height = 1; height <= top; height++) {
        struct dsmr_event block = {.kind = DSMR_EV_RESTORE_BLOCK};
        block.u.restore_block.block = disk->blocks[height];
        block.u.restore_block.is_executed = height <= disk->executed_height;
        block.u.restore_block.is_above_pointer = height > disk->accepted_height;
        restore_event(cluster, number, &block);
    }
    for (uint64_t height = 1; height <= disk->executed_height; height++) {
        const struct cluster_executed *record = &disk->executed[height];
        struct dsmr_event executed = {.kind = DSMR_EV_RESTORE_EXECUTED};
        executed.u.restore_executed.height = height;
        executed.u.restore_executed.time_ms = disk->blocks[height]->time_ms;
        executed.u.restore_executed.ids = record->ids;
        executed.u.restore_executed.expiries_ms = record->expiries_ms;
        executed.u.restore_executed.count = record->count;
        executed.u.restore_executed.state_root = record->root;
        restore_event(cluster, number, &executed);
    }
    for (uint32_t i = 0; i < disk->certs_count; i++) {
        struct dsmr_event cert = {.kind = DSMR_EV_RESTORE_CERT, .u.cert = &disk->certs[i]};
        restore_event(cluster, number, &cert);
    }
    for (uint32_t i = 0; i < disk->evidence_count; i++) {
        struct dsmr_event pair = {.kind = DSMR_EV_RESTORE_EVIDENCE,
                                  .u.evidence = &disk->evidence[i]};
        restore_event(cluster, number, &pair);
    }
}

void cluster_disk_close(struct cluster_disk *disk)
{
    for (uint32_t i = 0; i < disk->chunks_count; i++) {
        dsmr_buf_unref(disk->chunks[i].bytes);
    }
    for (uint32_t i = 0; i < CLUSTER_BLOCKS_MAX; i++) {
        dsmr_block_unref(disk->blocks[i]);
        free(disk->executed[i].ids);
        free(disk->executed[i].expiries_ms);
    }
    free(disk->chunks);
    free(disk->journals);
    free(disk->certs);
    memset(disk, 0, sizeof(*disk));
}
