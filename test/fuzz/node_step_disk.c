#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "node_step_world.h"

static struct on_disk *find(struct world *w, const struct dsmr_id *chunk_id)
{
    for (uint32_t i = 0; i < w->disk_count; i++) {
        if (dsmr_id_equal(&w->disk[i].chunk->ref.chunk_id, chunk_id)) {
            return &w->disk[i];
        }
    }
    return NULL;
}

struct dsmr_chunk *world_disk_find(struct world *w, const struct dsmr_id *chunk_id)
{
    const struct on_disk *held = find(w, chunk_id);
    return held != NULL ? held->chunk : NULL;
}

static void write_journal(struct world *w, const struct dsmr_reference *ref)
{
    for (uint32_t i = 0; i < w->journal_count; i++) {
        const struct dsmr_reference *other = &w->journal[i];
        bool is_same_slot =
            other->slot == ref->slot && dsmr_node_id_equal(&other->producer, &ref->producer);
        REQUIRE(!is_same_slot || dsmr_id_equal(&other->chunk_id, &ref->chunk_id));
        if (is_same_slot) {
            return;
        }
    }
    REQUIRE(w->journal_count < DISK_MAX);
    w->journal[w->journal_count++] = *ref;
}

static void write_chunk(struct world *w, const struct dsmr_effect *fx)
{
    struct dsmr_chunk *chunk = fx->u.store_chunk.chunk;
    struct on_disk *held = find(w, &chunk->ref.chunk_id);
    if (held == NULL) {
        REQUIRE(w->disk_count < DISK_MAX);
        held = &w->disk[w->disk_count++];
        memset(held, 0, sizeof(*held));
        held->chunk = dsmr_chunk_ref(chunk);
        held->included_height = UINT64_MAX;
    }
    held->producer_sig = fx->u.store_chunk.producer_sig;
    held->is_own = fx->u.store_chunk.is_own;
    held->is_signed = held->is_signed || fx->u.store_chunk.is_signed;
    if (fx->u.store_chunk.included_height != UINT64_MAX) {
        held->included_height = fx->u.store_chunk.included_height;
    }
    if (fx->u.store_chunk.is_signed) {
        write_journal(w, &chunk->ref);
    }
}

static void write_accept(struct world *w, struct dsmr_block *block)
{
    uint64_t height = block->height;
    if (height <= w->accepted_count) {
        REQUIRE(dsmr_id_equal(&w->accepted[height - 1]->id, &block->id));
        return;
    }
    REQUIRE(height == w->accepted_count + 1 && height <= DISK_MAX);
    w->accepted_wall_ms[w->accepted_count] = w->wall_ms;
    w->accepted[w->accepted_count++] = dsmr_block_ref(block);
    for (uint32_t i = 0; i < block->certs_count; i++) {
        struct on_disk *held = find(w, &block->certs[i].ref.chunk_id);
        if (held != NULL) {
            held->included_height = height;
        }
    }
}

static void write_cert(struct world *w, const struct dsmr_cert *cert)
{
    uint32_t i = 0;
    while (i < w->certs_count && !dsmr_id_equal(&w->certs[i].ref.chunk_id, &cert->ref.chunk_id)) {
        i++;
    }
    REQUIRE(i < DISK_MAX);
    w->certs[i] = *cert;
    w->certs_count += i == w->certs_count;
}

/* A chunk that is deleted may not be one that this node still has to serve. */
static void delete_chunk(struct world *w, const struct dsmr_id *chunk_id, uint64_t floor_ms)
{
    struct on_disk *held = find(w, chunk_id);
    if (held != NULL) {
        REQUIRE(held->chunk->ref.expiry_ms < floor_ms);
        dsmr_chunk_unref(held->chunk);
        *held = w->disk[--w->disk_count];
    }
    for (uint32_t i = 0; i < w->certs_count; i++) {
        if (dsmr_id_equal(&w->certs[i].ref.chunk_id, chunk_id)) {
            w->certs[i] = w->certs[--w->certs_count];
            return;
        }
    }
}

/* Chunks of accepted blocks go only when the block has run here and both times have passed. */
static void drop_retained(struct world *w, const struct dsmr_effect *fx, struct dsmr_event *answer)
{
    for (; w->retained < w->accepted_count; w->retained++) {
        const struct dsmr_block *block = w->accepted[w->retained];
        uint64_t wall_ms = w->accepted_wall_ms[w->retained];
        if (block->height > fx->u.store_gc.retained.height_max ||
            block->time_ms > fx->u.store_gc.retained.time_max_ms ||
            wall_ms > fx->u.store_gc.retained.wall_max_ms) {
            break;
        }
        REQUIRE(block->height <= w->executed_height);
        REQUIRE(block->time_ms + w->params.retention_ms <
                w->accepted[w->executed_height - 1]->time_ms);
        for (uint32_t i = 0; i < block->certs_count; i++) {
            delete_chunk(w, &block->certs[i].ref.chunk_id, w->floor_ms);
        }
    }
    bool is_none = w->retained == w->accepted_count;
    answer->u.stored_gc.oldest_time_ms = is_none ? UINT64_MAX : w->accepted[w->retained]->time_ms;
    answer->u.stored_gc.oldest_wall_ms = is_none ? UINT64_MAX : w->accepted_wall_ms[w->retained];
}

static void write_gc(struct world *w, const struct dsmr_effect *fx, struct dsmr_event *answer)
{
    uint64_t floor_ms = fx->u.store_gc.floor_ms;
    REQUIRE(floor_ms >= w->floor_ms);
    w->floor_ms = floor_ms;
    for (uint32_t i = 0; i < fx->u.store_gc.chunks_count; i++) {
        delete_chunk(w, &fx->u.store_gc.chunks[i], floor_ms);
    }
    if (fx->u.store_gc.retained.is_wanted) {
        drop_retained(w, fx, answer);
    }
    for (uint32_t i = 0; fx->u.store_gc.drop_journals && i < w->journal_count;) {
        if (w->journal[i].expiry_ms < floor_ms) {
            w->journal[i] = w->journal[--w->journal_count];
        } else {
            i++;
        }
    }
}

void world_disk_write(struct world *w, const struct dsmr_effect *fx, struct dsmr_event *answer)
{
    switch (fx->kind) {
    case DSMR_FX_STORE_CHUNK:
        write_chunk(w, fx);
        break;
    case DSMR_FX_STORE_ACCEPT:
        write_accept(w, fx->u.store_accept.block);
        break;
    case DSMR_FX_STORE_CERT:
        write_cert(w, fx->u.store_cert);
        break;
    case DSMR_FX_STORE_GC:
        write_gc(w, fx, answer);
        break;
    default: /* evidence is not read back */
        break;
    }
}

/* ---- recovery ---- */

static void restore_chunks(struct world *w)
{
    struct dsmr_event event = {.kind = DSMR_EV_RESTORE_FLOOR};
    event.u.floor_ms = w->floor_ms;
    world_step(w, &event);
    for (uint32_t i = 0; i < w->journal_count; i++) {
        const struct dsmr_reference *ref = &w->journal[i];
        event = (struct dsmr_event){.kind = DSMR_EV_RESTORE_JOURNAL};
        event.u.journal.producer = ref->producer;
        event.u.journal.slot = ref->slot;
        event.u.journal.chunk_id = ref->chunk_id;
        event.u.journal.epoch = ref->epoch;
        event.u.journal.expiry_ms = ref->expiry_ms;
        world_step(w, &event);
    }
    for (uint32_t i = 0; i < w->disk_count; i++) {
        const struct on_disk *held = &w->disk[i];
        if (held->included_height != UINT64_MAX) {
            continue;
        }
        event = (struct dsmr_event){.kind = DSMR_EV_RESTORE_CHUNK};
        event.u.restore_chunk.ref = held->chunk->ref;
        event.u.restore_chunk.producer_sig = held->producer_sig;
        event.u.restore_chunk.is_own = held->is_own;
        event.u.restore_chunk.is_signed = held->is_signed;
        world_step(w, &event);
    }
}

static void restore_chain(struct world *w)
{
    struct dsmr_event event;
    for (uint32_t i = 0; i < w->accepted_count; i++) {
        event = (struct dsmr_event){.kind = DSMR_EV_RESTORE_BLOCK};
        event.u.restore_block.block = w->accepted[i];
        event.u.restore_block.is_executed = w->accepted[i]->height <= w->executed_height;
        world_step(w, &event);
    }
    uint32_t from = 0;
    for (uint64_t height = 1; height <= w->executed_height; height++) {
        uint32_t end = w->executed_ends[height - 1];
        event = (struct dsmr_event){.kind = DSMR_EV_RESTORE_EXECUTED};
        event.u.restore_executed.height = height;
        event.u.restore_executed.time_ms = w->accepted[height - 1]->time_ms;
        event.u.restore_executed.ids = &w->executed_ids[from];
        event.u.restore_executed.expiries_ms = &w->executed_expiries_ms[from];
        event.u.restore_executed.count = end - from;
        event.u.restore_executed.state_root = w->accepted[height - 1]->id;
        world_step(w, &event);
        from = end;
    }
    for (uint32_t i = 0; i < w->certs_count; i++) {
        event = (struct dsmr_event){.kind = DSMR_EV_RESTORE_CERT};
        event.u.cert = &w->certs[i];
        world_step(w, &event);
    }
}

static bool is_store(enum dsmr_fx_kind kind)
{
    return kind == DSMR_FX_STORE_CHUNK || kind == DSMR_FX_STORE_CERT ||
           kind == DSMR_FX_STORE_ACCEPT || kind == DSMR_FX_STORE_EVIDENCE ||
           kind == DSMR_FX_STORE_GC;
}

/* Ends the node; of the writes under way the first few, as the input says, reached the disk. */
static void crash(struct world *w)
{
    uint32_t written = world_take_u8(w) % 8;
    dsmr_node_free(w->node);
    w->node = NULL;
    for (uint32_t i = 0; i < w->owed_count; i++) {
        if (is_store(w->owed[i].kind) && written > 0) {
            struct dsmr_event lost;
            world_disk_write(w, &w->owed[i], &lost);
            written--;
        }
        world_drop_owed(&w->owed[i]);
    }
    w->owed_count = 0;
    for (uint32_t i = 0; i < w->processing_count; i++) {
        dsmr_block_unref(w->processing[i]);
    }
    w->processing_count = 0;
    for (uint32_t i = 0; i < w->verifying_count; i++) {
        dsmr_block_unref(w->verifying[i].block);
    }
    w->verifying_count = 0;
}

void world_restart(struct world *w)
{
    crash(w);
    dsmr_block_unref(w->tip);
    w->tip =
        dsmr_block_ref(w->accepted_count > 0 ? w->accepted[w->accepted_count - 1] : w->genesis);
    REQUIRE(w->executed_height <= w->accepted_count); /* nothing runs that is not durable */
    world_start(w);
}

void world_start(struct world *w)
{
    const struct dsmr_node_config config = {.params = w->params,
                                            .node_id = world_node_id(0),
                                            .seed = 1,
                                            .validators_max = NODES,
                                            .mempool_bytes_max = 4096,
                                            .mempool_txs_max = 64,
                                            .chunk_cache_bytes_max = 2048,
                                            .retry_ms = 100,
                                            .fetch_timeout_ms = 200,
                                            .fetches_max = 4,
                                            .exec_blocks_max = 1,
                                            .can_produce = true,
                                            .genesis = w->genesis};
    w->node = dsmr_node_new(&config);
    REQUIRE(w->node != NULL);
    struct dsmr_event event = {.kind = DSMR_EV_SET};
    event.u.set = w->sets[0];
    world_step(w, &event);
    restore_chunks(w);
    restore_chain(w);
    event = (struct dsmr_event){.kind = DSMR_EV_START};
    event.u.start.executed_height = w->executed_height;
    if (w->executed_height > 0) {
        event.u.start.state_root = w->accepted[w->executed_height - 1]->id;
    }
    world_step(w, &event);
}

void world_disk_free(struct world *w)
{
    for (uint32_t i = 0; i < w->disk_count; i++) {
        dsmr_chunk_unref(w->disk[i].chunk);
    }
    for (uint32_t i = 0; i < w->accepted_count; i++) {
        dsmr_block_unref(w->accepted[i]);
    }
}
