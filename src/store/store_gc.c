/* Garbage collection of the store: see store_apply.h. */
#include "base/bytes.h"
#include "store/store_apply.h"

/* What one transaction does at most, so that it fits into the reserve and no share waits long. */
#define STEP_CHUNKS_MAX DSMR_STORE_JANITOR_CHUNKS_MAX
#define STEP_JOURNALS_MAX 512u
#define RELEASED_BYTES_MAX                                                                         \
    (DSMR_SCHEMA_HEAD_BYTES + 4u + STEP_CHUNKS_MAX * 20u + DSMR_SCHEMA_TAIL_BYTES)

struct gc_step {
    uint32_t chunks_max;
    uint32_t journals_max;
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

static void drop_chunk(struct dsmr_store_txn *txn, struct gc_step *step,
                       const struct dsmr_id *chunk_id)
{
    struct dsmr_schema_chunk chunk;
    struct dsmr_schema_key key;

    if (dsmr_store_txn_get_chunk(txn, &chunk, chunk_id) == DSMR_OK) {
        release_body(txn, step, &chunk.place);
    }
    dsmr_schema_key_id(&key, DSMR_SCHEMA_CHUNK, chunk_id); /* a damaged record goes, too */
    dsmr_store_txn_del(txn, &key);
    dsmr_schema_key_id(&key, DSMR_SCHEMA_CERT, chunk_id);
    dsmr_store_txn_del(txn, &key);
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

/* One transaction: floor, then chunks from *next, then journal entries. */
static enum dsmr_err run_step(struct dsmr_lmdb_store *store, struct gc_step *step, uint32_t *next,
                              bool *is_done, const struct dsmr_store_gc *gc)
{
    struct dsmr_schema_key from, to;
    struct dsmr_store_txn txn;
    uint32_t end =
        gc->chunks_count - *next > step->chunks_max ? *next + step->chunks_max : gc->chunks_count;
    uint32_t journals = 0;
    enum dsmr_err err = dsmr_store_txn_begin(&txn, store, true);

    if (err != DSMR_OK) {
        return err;
    }
    step->job.released_count = 0;
    step->job.dropped_count = 0;
    raise_floor(&txn, gc->floor_ms);
    for (uint32_t i = *next; i < end; i++) {
        drop_chunk(&txn, step, &gc->chunks[i]);
    }
    if (gc->drop_journals) {
        dsmr_schema_key(&from, DSMR_SCHEMA_JOURNAL);
        dsmr_schema_key_u64(&to, DSMR_SCHEMA_JOURNAL, gc->floor_ms);
        journals = dsmr_store_txn_del_range(&txn, &from, &to, step->journals_max);
    }
    put_released(&txn, &step->job);
    err = dsmr_store_txn_commit(&txn);
    if (err == DSMR_OK) {
        give_back(store, &step->job);
        *next = end;
        *is_done = end == gc->chunks_count && journals < step->journals_max;
    }
    return err;
}

enum dsmr_err dsmr_store_gc_run(struct dsmr_lmdb_store *store, const struct dsmr_store_gc *gc)
{
    struct gc_step step = {.chunks_max = STEP_CHUNKS_MAX, .journals_max = STEP_JOURNALS_MAX};
    uint32_t next = 0;
    bool is_done = false;
    enum dsmr_err err = DSMR_OK;

    /* The index of accepted chunks is computed from the blocks, which stay:
     * index_before_height lets nothing go here. */
    while (err == DSMR_OK && !is_done) {
        err = run_step(store, &step, &next, &is_done, gc);
        if (err == DSMR_ERR_DISK_FULL && step.chunks_max > 1) {
            step.chunks_max = 1; /* the reserve was smaller than thought: as little as possible */
            step.journals_max = 1;
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
    for (uint32_t i = 0; i < count && i < STEP_CHUNKS_MAX; i++) {
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
