/* Garbage collection of the store: see store_apply.h. */
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "store/store_apply.h"

/* What one transaction does at most, so that it fits into the reserve and no share waits long. */
#define STEP_CHUNKS_MAX DSMR_STORE_JANITOR_CHUNKS_MAX
#define STEP_JOURNALS_MAX 512u
#define STEP_WAITING_MAX 256u
/* What one write does at most for old blocks: its answer says whether there is more. */
#define RETAINED_CHUNKS_MAX 256u
#define RETAINED_BLOCKS_MAX 512u
#define RELEASED_BYTES_MAX                                                                         \
    (DSMR_SCHEMA_HEAD_BYTES + 4u + STEP_CHUNKS_MAX * 20u + DSMR_SCHEMA_TAIL_BYTES)

struct gc_progress {
    uint32_t next;                       /* of the chunks that are named */
    uint32_t retained_left, blocks_left; /* of old blocks: what the whole write may still take */
    struct dsmr_schema_key sweep;        /* where the sweep of what waits goes on */
};

struct gc_step {
    uint32_t chunks_max;
    uint32_t journals_max;
    uint32_t waiting_max;
    struct gc_progress at; /* as committed */
    struct dsmr_store_janitor_job job;
};

static void raise_floor(struct dsmr_store_txn *txn, uint64_t floor_ms)
{
    struct dsmr_schema_key key;
    uint64_t old = 0;

    dsmr_schema_key(&key, DSMR_SCHEMA_FLOOR);
    if (dsmr_store_txn_get_u64(txn, &old, &key) != DSMR_OK || old < floor_ms) {
        dsmr_store_txn_put_u64(txn, &key, floor_ms);
    }
}

/* One body less in its segment. */
static void release_body(struct dsmr_store_txn *txn, struct gc_step *step,
                         const struct dsmr_schema_place *place)
{
    struct dsmr_schema_segment segment;
    struct dsmr_schema_key key;

    if (dsmr_store_txn_get_segment(txn, &segment, place->segment) != DSMR_OK) {
        return;
    }
    if (segment.live > 1) {
        segment.live--;
        dsmr_store_txn_put_segment(txn, &segment, place->segment);
        step->job.released[step->job.released_count++] = *place;
    } else {
        dsmr_schema_key_u64(&key, DSMR_SCHEMA_SEGMENT, place->segment);
        dsmr_store_txn_del(txn, &key);
        step->job.dropped[step->job.dropped_count++] = place->segment;
    }
}

/* False: nothing of it was here. */
static bool drop_chunk(struct dsmr_store_txn *txn, struct gc_step *step,
                       const struct dsmr_id *chunk_id)
{
    struct dsmr_schema_chunk chunk;
    struct dsmr_schema_key key;
    struct dsmr_cert cert;
    enum dsmr_err chunk_err = dsmr_store_txn_get_chunk(txn, &chunk, chunk_id);
    enum dsmr_err cert_err = dsmr_store_txn_get_cert(txn, &cert, chunk_id);

    if (chunk_err == DSMR_ERR_UNKNOWN && cert_err == DSMR_ERR_UNKNOWN) {
        return false;
    }
    if (chunk_err == DSMR_OK) {
        release_body(txn, step, &chunk.place);
        dsmr_store_txn_set_waiting(txn, &chunk.meta.ref, false);
    } else if (cert_err == DSMR_OK) {
        dsmr_store_txn_set_waiting(txn, &cert.ref, false);
    }
    dsmr_schema_key_id(&key, DSMR_SCHEMA_CHUNK, chunk_id); /* a damaged record goes, too */
    dsmr_store_txn_del(txn, &key);
    dsmr_schema_key_id(&key, DSMR_SCHEMA_CERT, chunk_id);
    dsmr_store_txn_del(txn, &key);
    return true;
}

/* ---- chunks of accepted blocks ---- */

/* The first block from *height on; sets *height to its own. UNKNOWN: none. CORRUPT: it cannot be
 * read. */
static enum dsmr_err next_block(struct dsmr_store_txn *txn, struct dsmr_schema_block *out,
                                uint64_t *height)
{
    struct dsmr_schema_key from;
    MDB_val key;
    enum dsmr_err err;

    dsmr_schema_key_u64(&from, DSMR_SCHEMA_BLOCK, *height);
    err = dsmr_store_txn_first(txn, &key, &from);
    if (err != DSMR_OK || key.mv_size != from.len ||
        *(const uint8_t *)key.mv_data != DSMR_SCHEMA_BLOCK) {
        return err == DSMR_OK ? DSMR_ERR_UNKNOWN : err;
    }
    *height = dsmr_load_be64((const uint8_t *)key.mv_data + 1);
    return dsmr_store_txn_get_block(txn, out, *height);
}

static bool may_go(const struct dsmr_store_retained *retained, uint64_t height,
                   const struct dsmr_schema_block *block)
{
    return height <= retained->height_max && block->time_ms <= retained->time_max_ms &&
           block->wall_ms <= retained->wall_max_ms;
}

/* Drops what is here of a block's chunks. False: the room in this transaction, or what one write
 * may take, was not enough for all. */
static bool drop_chunks_of(struct dsmr_store_txn *txn, struct gc_step *step, uint32_t *room,
                           const struct dsmr_schema_block *block)
{
    struct dsmr_id ids[DSMR_BLOCK_CERTS_LIMIT]; /* block is a view that the first change ends */
    uint32_t count = block->chunks_count;

    DSMR_ASSERT(count <= DSMR_BLOCK_CERTS_LIMIT);
    memcpy(ids, block->chunk_ids, (size_t)count * sizeof ids[0]);
    for (uint32_t i = 0; i < count; i++) {
        if (*room == 0 || step->at.retained_left == 0) {
            return false;
        }
        if (drop_chunk(txn, step, &ids[i])) {
            --*room;
            step->at.retained_left--;
        }
    }
    return true;
}

/* Lets the chunks of old blocks go, the oldest first, up to room of them. True: that is all that
 * this write does. */
static bool drop_retained(struct dsmr_store_txn *txn, struct gc_step *step,
                          struct dsmr_store_gc *gc, uint32_t room)
{
    struct dsmr_schema_block block;
    struct dsmr_schema_key key;
    uint64_t kept = 0, height;
    bool is_over = false, is_done = true;

    dsmr_schema_key(&key, DSMR_SCHEMA_RETAINED);
    if (dsmr_store_txn_get_u64(txn, &kept, &key) != DSMR_OK) {
        kept = 0; /* never written, or damaged: from the first block on */
    }
    height = kept;
    while (!is_over) {
        enum dsmr_err err = next_block(txn, &block, &height);
        gc->oldest_time_ms = err == DSMR_OK ? block.time_ms : UINT64_MAX;
        gc->oldest_wall_ms = err == DSMR_OK ? block.wall_ms : UINT64_MAX;
        if (err == DSMR_ERR_CORRUPT && height < UINT64_MAX) {
            height++; /* what it names is not known: that stays */
        } else if (err != DSMR_OK || !may_go(&gc->retained, height, &block) ||
                   step->at.blocks_left == 0) {
            is_over = true;
        } else if (drop_chunks_of(txn, step, &room, &block)) {
            height++;
            step->at.blocks_left--;
        } else {
            is_over = true;
            is_done = step->at.retained_left == 0;
        }
    }
    if (height > kept && txn->failed == DSMR_OK) {
        dsmr_store_txn_put_u64(txn, &key, height);
    }
    return is_done;
}

/* ---- what has waited for a block in vain ---- */

/* Up to step->waiting_max entries that expired before floor_ms, from step->at.sweep on: it moves.
 */
static uint32_t list_late(struct dsmr_store_txn *txn, struct gc_step *step,
                          struct dsmr_reference *refs, uint64_t floor_ms)
{
    struct dsmr_reference floor = {.expiry_ms = floor_ms}; /* and the smallest id */
    struct dsmr_schema_key end;
    MDB_cursor *cursor = NULL;
    MDB_val key = {.mv_size = step->at.sweep.len, .mv_data = step->at.sweep.bytes};
    MDB_val value;
    uint32_t count = 0;

    dsmr_schema_key_waiting(&end, &floor);
    if (txn->failed != DSMR_OK ||
        mdb_cursor_open(txn->txn, txn->store->consensus.dbi, &cursor) != 0) {
        return 0;
    }
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && count < step->waiting_max &&
           dsmr_schema_waiting_key_decode(&refs[count], key.mv_data, key.mv_size) == DSMR_OK &&
           memcmp(key.mv_data, end.bytes, end.len) < 0) {
        count++;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (count > 0) {
        dsmr_schema_key_waiting(&step->at.sweep, &refs[count - 1]);
        step->at.sweep.bytes[step->at.sweep.len++] = 0; /* the next key that is possible */
    }
    return count;
}

/* A certificate that was stored and whose chunk never came has nobody who remembers it after a
 * restart: it goes once it has expired. Chunks go when the core says so. True: there may be more.
 */
static bool sweep_waiting(struct dsmr_store_txn *txn, struct gc_step *step, uint64_t floor_ms)
{
    struct dsmr_reference refs[STEP_WAITING_MAX];
    struct dsmr_schema_chunk chunk;
    struct dsmr_schema_key key;
    uint32_t count = list_late(txn, step, refs, floor_ms);

    for (uint32_t i = 0; i < count; i++) {
        enum dsmr_err err = dsmr_store_txn_get_chunk(txn, &chunk, &refs[i].chunk_id);
        if (err == DSMR_OK && chunk.meta.included_height == UINT64_MAX) {
            continue;
        }
        dsmr_store_txn_set_waiting(txn, &refs[i], false);
        if (err == DSMR_ERR_UNKNOWN) {
            dsmr_schema_key_id(&key, DSMR_SCHEMA_CERT, &refs[i].chunk_id);
            dsmr_store_txn_del(txn, &key);
        }
    }
    return count == step->waiting_max;
}

/* Writes down what is let go, so that a crash before it has been given back leaks nothing; and
 * removes what was written down and has been done. */
static void put_released(struct dsmr_store_txn *txn, struct dsmr_store_janitor_job *job)
{
    struct dsmr_lmdb_store *store = txn->store;
    uint8_t bytes[RELEASED_BYTES_MAX];
    struct dsmr_schema_key key, from;
    struct dsmr_wr wr;

    if (txn->written_bytes == 0) {
        return;
    }
    dsmr_schema_key(&from, DSMR_SCHEMA_RELEASED);
    dsmr_schema_key_u64(&key, DSMR_SCHEMA_RELEASED, dsmr_store_janitor_done(&store->janitor) + 1);
    (void)dsmr_store_txn_del_range(txn, &from, &key, UINT32_MAX);
    job->sequence = store->released_last + 1;
    dsmr_schema_key_u64(&key, DSMR_SCHEMA_RELEASED, job->sequence);
    dsmr_schema_begin(&wr, bytes, sizeof bytes);
    dsmr_wr_u32(&wr, job->released_count);
    for (uint32_t i = 0; i < job->released_count; i++) {
        dsmr_wr_u64(&wr, job->released[i].segment);
        dsmr_wr_u64(&wr, job->released[i].offset);
        dsmr_wr_u32(&wr, job->released[i].len);
    }
    if (job->released_count > 0) {
        dsmr_store_txn_put_record(txn, &key, &wr);
    }
}

static void give_back(struct dsmr_lmdb_store *store, const struct dsmr_store_janitor_job *job)
{
    if (job->released_count == 0 && job->dropped_count == 0) {
        return;
    }
    for (uint32_t i = 0; i < job->dropped_count; i++) {
        dsmr_segments_leave(&store->segments, job->dropped[i]);
    }
    store->released_last = job->sequence;
    dsmr_store_janitor_give(&store->janitor, job);
}

/* One transaction: floor, chunks that are named, chunks of old blocks, journal entries. */
static enum dsmr_err run_step(struct dsmr_lmdb_store *store, struct gc_step *step, bool *is_done,
                              struct dsmr_store_gc *gc)
{
    struct gc_progress before = step->at;
    struct dsmr_schema_key from, to;
    struct dsmr_store_txn txn;
    uint32_t room = step->chunks_max;
    enum dsmr_err err = dsmr_store_txn_begin(&txn, store, true);

    if (err != DSMR_OK) {
        return err;
    }
    step->job.released_count = 0;
    step->job.dropped_count = 0;
    raise_floor(&txn, gc->floor_ms);
    for (; step->at.next < gc->chunks_count && room > 0; step->at.next++, room--) {
        (void)drop_chunk(&txn, step, &gc->chunks[step->at.next]);
    }
    *is_done = step->at.next == gc->chunks_count;
    if (gc->retained.is_wanted && !drop_retained(&txn, step, gc, room)) {
        *is_done = false;
    }
    if (gc->drop_journals) {
        dsmr_schema_key(&from, DSMR_SCHEMA_JOURNAL);
        dsmr_schema_key_u64(&to, DSMR_SCHEMA_JOURNAL, gc->floor_ms);
        if (dsmr_store_txn_del_range(&txn, &from, &to, step->journals_max) == step->journals_max) {
            *is_done = false;
        }
        if (sweep_waiting(&txn, step, gc->floor_ms)) {
            *is_done = false;
        }
    }
    put_released(&txn, &step->job);
    err = dsmr_store_txn_commit(&txn);
    if (err == DSMR_OK) {
        give_back(store, &step->job);
    } else {
        step->at = before;
    }
    return err;
}

enum dsmr_err dsmr_store_gc_run(struct dsmr_lmdb_store *store, struct dsmr_store_gc *gc)
{
    struct gc_step step = {
        .chunks_max = STEP_CHUNKS_MAX,
        .journals_max = STEP_JOURNALS_MAX,
        .waiting_max = STEP_WAITING_MAX,
        .at = {.retained_left = RETAINED_CHUNKS_MAX, .blocks_left = RETAINED_BLOCKS_MAX}};
    bool is_done = false;
    enum dsmr_err err = DSMR_OK;

    dsmr_schema_key(&step.at.sweep, DSMR_SCHEMA_WAITING);
    /* The index of accepted chunks is computed from the blocks, which stay:
     * index_before_height lets nothing go here. */
    while (err == DSMR_OK && !is_done) {
        err = run_step(store, &step, &is_done, gc);
        if (err == DSMR_ERR_DISK_FULL && step.chunks_max > 1) {
            step.chunks_max = 1; /* the reserve was smaller than thought: as little as possible */
            step.journals_max = 1;
            step.waiting_max = 1;
            is_done = false;
            err = DSMR_OK;
        }
    }
    return err;
}

/* Reads one record of places; a damaged one only leaks space, to punch there could hurt. */
static void read_released(struct dsmr_store_janitor_job *job, const MDB_val *key,
                          const MDB_val *value)
{
    struct dsmr_rd rd;
    uint32_t count;

    job->released_count = 0;
    if (dsmr_schema_open(&rd, key->mv_data, key->mv_size, value->mv_data, value->mv_size) !=
        DSMR_OK) {
        return;
    }
    count = dsmr_rd_u32(&rd);
    if (count > STEP_CHUNKS_MAX) { /* no step lets so many go */
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        job->released[i].segment = dsmr_rd_u64(&rd);
        job->released[i].offset = dsmr_rd_u64(&rd);
        job->released[i].len = dsmr_rd_u32(&rd);
    }
    if (dsmr_schema_end(&rd) == DSMR_OK) {
        job->released_count = count;
    }
}

enum dsmr_err dsmr_store_gc_resume(struct dsmr_lmdb_store *store)
{
    struct dsmr_store_janitor_job job = {0};
    struct dsmr_store_txn txn;
    MDB_cursor *cursor = NULL;
    uint8_t space = DSMR_SCHEMA_RELEASED;
    MDB_val key = {.mv_size = 1, .mv_data = &space};
    MDB_val value;
    int rc;
    enum dsmr_err err = dsmr_store_txn_begin(&txn, store, false);

    if (err != DSMR_OK) {
        return err;
    }
    rc = mdb_cursor_open(txn.txn, store->consensus.dbi, &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    }
    /* Places are never used twice, so what was done before the crash may be done again. */
    while (rc == 0 && key.mv_size == 9 && *(const uint8_t *)key.mv_data == space) {
        read_released(&job, &key, &value);
        dsmr_store_janitor_work(&store->segments, &job);
        store->released_last = dsmr_load_be64((const uint8_t *)key.mv_data + 1);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    if (cursor != NULL) {
        mdb_cursor_close(cursor);
    }
    dsmr_store_txn_abort(&txn);
    return rc == MDB_NOTFOUND ? DSMR_OK : dsmr_lmdb_env_err(rc);
}
