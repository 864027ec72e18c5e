#include "store/store_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "store/store_apply.h"
#include "store/store_format.h"
#include "store/store_txn.h"
#include "wire/codec.h"
#include "wire/message.h"

/* ---- loads ---- */

static enum dsmr_err find_chunk(struct dsmr_lmdb_store *store, struct dsmr_schema_chunk *out,
                                const struct dsmr_id *chunk_id)
{
    struct dsmr_store_txn txn;
    enum dsmr_err err = dsmr_store_txn_begin(&txn, store, false);

    if (err == DSMR_OK) {
        err = dsmr_store_txn_get_chunk(&txn, out, chunk_id);
        dsmr_store_txn_abort(&txn);
    }
    return err;
}

enum dsmr_err dsmr_store_read_chunk(void *self, struct dsmr_buf **out,
                                    const struct dsmr_id *chunk_id)
{
    struct dsmr_lmdb_store *store = self;
    struct dsmr_schema_chunk chunk;
    struct dsmr_schema_place last = {0}; /* none: segments begin with 1 */
    enum dsmr_err read_err = DSMR_OK;
    enum dsmr_err err = find_chunk(store, &chunk, chunk_id);

    /* Garbage collection may come between record and file: then the record is gone, too, or the
     * chunk has come back in another place. */
    while (err == DSMR_OK && memcmp(&chunk.place, &last, sizeof last) != 0) {
        last = chunk.place;
        read_err = dsmr_segments_read(&store->segments, out, &last);
        if (read_err == DSMR_OK || read_err == DSMR_ERR_NO_MEMORY) {
            return read_err;
        }
        err = find_chunk(store, &chunk, chunk_id);
    }
    if (err != DSMR_OK && err != DSMR_ERR_CORRUPT) {
        return err;
    }
    dsmr_store_damage_note(&store->damage, store->metrics, &store->log, chunk_id,
                           err == DSMR_OK ? &last : NULL, read_err);
    return read_err == DSMR_ERR_IO ? DSMR_ERR_IO : DSMR_ERR_CORRUPT;
}

enum dsmr_err dsmr_store_read_chunk_meta(void *self, struct dsmr_store_chunk_meta *out,
                                         const struct dsmr_id *chunk_id)
{
    struct dsmr_schema_chunk chunk;
    enum dsmr_err err = find_chunk(self, &chunk, chunk_id);

    if (err == DSMR_OK) {
        *out = chunk.meta;
    }
    return err;
}

enum dsmr_err dsmr_store_read_cert(void *self, struct dsmr_cert *out,
                                   const struct dsmr_id *chunk_id)
{
    struct dsmr_store_txn txn;
    enum dsmr_err err = dsmr_store_txn_begin(&txn, self, false);

    if (err == DSMR_OK) {
        err = dsmr_store_txn_get_cert(&txn, out, chunk_id);
        dsmr_store_txn_abort(&txn);
    }
    return err;
}

static enum dsmr_err get_finalization(struct dsmr_store_txn *txn, struct dsmr_quorum_cert *out,
                                      bool *has, uint64_t height)
{
    struct dsmr_schema_key key;
    struct dsmr_rd rd;
    enum dsmr_err err;

    dsmr_schema_key_u64(&key, DSMR_SCHEMA_FINALIZATION, height);
    err = dsmr_store_txn_read(txn, &rd, &key);
    *has = err == DSMR_OK;
    if (err == DSMR_OK) {
        dsmr_quorum_cert_decode(&rd, out, DSMR_VALIDATORS_MAX);
        err = dsmr_schema_end(&rd);
    }
    return err == DSMR_ERR_UNKNOWN ? DSMR_OK : err;
}

enum dsmr_err dsmr_store_read_block(void *self, struct dsmr_buf **out,
                                    struct dsmr_quorum_cert *finalization, bool *has_finalization,
                                    uint64_t height)
{
    struct dsmr_schema_block block;
    struct dsmr_store_txn txn;
    struct dsmr_quorum_cert qc;
    struct dsmr_buf *bytes = NULL;
    bool has = false;
    enum dsmr_err err = dsmr_store_txn_begin(&txn, self, false);

    if (err != DSMR_OK) {
        return err;
    }
    memset(&qc, 0, sizeof qc);
    err = dsmr_store_txn_get_block(&txn, &block, height);
    if (err == DSMR_OK && finalization != NULL) {
        err = get_finalization(&txn, &qc, &has, height);
    }
    if (err == DSMR_OK) {
        bytes = dsmr_buf_copy(block.bytes, block.bytes_len);
        err = bytes == NULL ? DSMR_ERR_NO_MEMORY : DSMR_OK;
    }
    dsmr_store_txn_abort(&txn);
    if (err != DSMR_OK) {
        return err;
    }
    *out = bytes;
    if (finalization != NULL) {
        *finalization = qc;
    }
    if (has_finalization != NULL) {
        *has_finalization = has;
    }
    return DSMR_OK;
}

enum dsmr_err dsmr_store_read_height(void *self, uint64_t *height, const struct dsmr_id *block_id)
{
    struct dsmr_schema_key key;
    struct dsmr_store_txn txn;
    enum dsmr_err err = dsmr_store_txn_begin(&txn, self, false);

    if (err == DSMR_OK) {
        dsmr_schema_key_id(&key, DSMR_SCHEMA_BLOCK_ID, block_id);
        err = dsmr_store_txn_get_u64(&txn, height, &key);
        dsmr_store_txn_abort(&txn);
    }
    return err;
}

enum dsmr_err dsmr_store_read_accepted(void *self, uint64_t *height, struct dsmr_id *block_id)
{
    struct dsmr_store_txn txn;
    enum dsmr_err err = dsmr_store_txn_begin(&txn, self, false);

    if (err == DSMR_OK) {
        err = dsmr_store_txn_get_accepted(&txn, height, block_id);
        dsmr_store_txn_abort(&txn);
    }
    return err;
}

enum dsmr_err dsmr_store_read_evidence(void *self, struct dsmr_evidence *out, uint64_t *cursor)
{
    const uint8_t *view;
    struct dsmr_schema_key key;
    struct dsmr_store_txn txn;
    struct dsmr_evidence evidence;
    struct dsmr_rd rd;
    MDB_val found;
    uint64_t sequence = *cursor;
    enum dsmr_err err = dsmr_store_txn_begin(&txn, self, false);

    if (err != DSMR_OK) {
        return err;
    }
    /* Sequence numbers start with 1 and have gaps where a pair gave way. */
    dsmr_schema_key_u64(&key, DSMR_SCHEMA_EVIDENCE, sequence + 1);
    err = sequence == UINT64_MAX ? DSMR_ERR_UNKNOWN : dsmr_store_txn_first(&txn, &found, &key);
    if (err == DSMR_OK) {
        const uint8_t *bytes = found.mv_data;
        bool is_one = found.mv_size == 1 + sizeof(uint64_t) && bytes[0] == DSMR_SCHEMA_EVIDENCE;
        sequence = is_one ? dsmr_load_be64(bytes + 1) : sequence;
        dsmr_schema_key_u64(&key, DSMR_SCHEMA_EVIDENCE, sequence);
        err = is_one ? dsmr_store_txn_read(&txn, &rd, &key) : DSMR_ERR_UNKNOWN;
    }
    if (err == DSMR_OK) {
        view = dsmr_rd_view(&rd, DSMR_EVIDENCE_BYTES);
        err = dsmr_schema_end(&rd);
        if (err == DSMR_OK &&
            dsmr_evidence_decode(&evidence, view, DSMR_EVIDENCE_BYTES) != DSMR_OK) {
            err = DSMR_ERR_CORRUPT;
        }
    }
    dsmr_store_txn_abort(&txn);
    if (err == DSMR_OK) {
        *out = evidence;
        *cursor = sequence;
    }
    return err;
}

/* ---- recovery ---- */

#define SIZES_CACHED 256u

struct recovery {
    struct dsmr_lmdb_store *store;
    struct dsmr_store_txn *txn;
    const struct dsmr_store_visitor *visitor;
    uint64_t damaged; /* records and bodies that were not handed over */
    struct {
        uint64_t number, bytes;
    } sizes[SIZES_CACHED]; /* of segment files, so that each is looked at about once */
};

static bool is_body_there(struct recovery *recovery, const struct dsmr_schema_place *place)
{
    size_t i = place->segment % SIZES_CACHED;

    if (recovery->sizes[i].number != place->segment) {
        recovery->sizes[i].number = place->segment;
        recovery->sizes[i].bytes =
            dsmr_segments_file_bytes(&recovery->store->segments, place->segment);
    }
    return place->offset <= recovery->sizes[i].bytes &&
           place->len <= recovery->sizes[i].bytes - place->offset;
}

typedef enum dsmr_err (*visit_record)(struct recovery *recovery, const MDB_val *key,
                                      struct dsmr_rd *rd);

static enum dsmr_err visit_journal(struct recovery *recovery, const MDB_val *key,
                                   struct dsmr_rd *rd)
{
    struct dsmr_store_journal entry;
    enum dsmr_err err = dsmr_schema_journal_key_decode(&entry, key->mv_data, key->mv_size);

    dsmr_schema_journal_decode(rd, &entry);
    if (err != DSMR_OK || dsmr_schema_end(rd) != DSMR_OK) {
        /* A promise that cannot be read cannot be kept: do not start. */
        return DSMR_ERR_CORRUPT;
    }
    return recovery->visitor->journal(recovery->visitor->ctx, &entry);
}

static enum dsmr_err hand_over_chunk(struct recovery *recovery, const struct dsmr_schema_chunk *c)
{
    if (!is_body_there(recovery, &c->place)) {
        recovery->damaged++; /* to have a chunk is to be able to serve it */
        return DSMR_OK;
    }
    return recovery->visitor->chunk(recovery->visitor->ctx, &c->meta);
}

static enum dsmr_err visit_chunk(struct recovery *recovery, const MDB_val *key, struct dsmr_rd *rd)
{
    struct dsmr_schema_chunk chunk;

    (void)key;
    dsmr_schema_chunk_decode(rd, &chunk);
    if (dsmr_schema_end(rd) != DSMR_OK) {
        recovery->damaged++;
        return DSMR_OK;
    }
    return hand_over_chunk(recovery, &chunk);
}

static enum dsmr_err visit_cert(struct recovery *recovery, const MDB_val *key, struct dsmr_rd *rd)
{
    struct dsmr_cert cert;

    (void)key;
    memset(&cert, 0, sizeof cert);
    dsmr_cert_decode(rd, &cert, DSMR_VALIDATORS_MAX);
    if (dsmr_schema_end(rd) != DSMR_OK) {
        recovery->damaged++;
        return DSMR_OK;
    }
    return recovery->visitor->cert(recovery->visitor->ctx, &cert);
}

/* What a waiting entry points to: the chunk may be here, its certificate, or both. */
static enum dsmr_err visit_waiting(struct recovery *recovery, const MDB_val *key, bool wants_chunk)
{
    struct dsmr_schema_chunk chunk;
    struct dsmr_cert cert;
    struct dsmr_reference ref;
    enum dsmr_err err = dsmr_schema_waiting_key_decode(&ref, key->mv_data, key->mv_size);

    if (err == DSMR_OK && wants_chunk) {
        err = dsmr_store_txn_get_chunk(recovery->txn, &chunk, &ref.chunk_id);
        if (err == DSMR_OK) {
            return hand_over_chunk(recovery, &chunk);
        }
    } else if (err == DSMR_OK) {
        err = dsmr_store_txn_get_cert(recovery->txn, &cert, &ref.chunk_id);
        if (err == DSMR_OK) {
            return recovery->visitor->cert(recovery->visitor->ctx, &cert);
        }
    }
    recovery->damaged += err == DSMR_ERR_CORRUPT;
    return err == DSMR_ERR_UNKNOWN || err == DSMR_ERR_CORRUPT ? DSMR_OK : err;
}

static enum dsmr_err visit_waiting_chunk(struct recovery *recovery, const MDB_val *key,
                                         struct dsmr_rd *rd)
{
    (void)rd;
    return visit_waiting(recovery, key, true);
}

static enum dsmr_err visit_waiting_cert(struct recovery *recovery, const MDB_val *key,
                                        struct dsmr_rd *rd)
{
    (void)rd;
    return visit_waiting(recovery, key, false);
}

static enum dsmr_err visit_bft(struct recovery *recovery, const MDB_val *key, struct dsmr_rd *rd)
{
    size_t len = dsmr_rd_left(rd);
    const uint8_t *value = dsmr_rd_view(rd, len);

    return recovery->visitor->bft(recovery->visitor->ctx, (const uint8_t *)key->mv_data + 1,
                                  (uint32_t)(key->mv_size - 1), value, (uint32_t)len);
}

/* Every record of one space, in order. must_read: a damaged one is an error, not a loss. */
static enum dsmr_err walk(struct recovery *recovery, enum dsmr_schema_space space,
                          visit_record visit, bool must_read)
{
    MDB_cursor *cursor;
    uint8_t start = (uint8_t)space;
    MDB_val key = {.mv_size = 1, .mv_data = &start};
    MDB_val value;
    struct dsmr_rd rd;
    enum dsmr_err err = DSMR_OK;
    int rc = mdb_cursor_open(recovery->txn->txn, recovery->store->consensus.dbi, &cursor);

    if (rc != 0) {
        return dsmr_lmdb_env_err(rc);
    }
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && err == DSMR_OK && *(const uint8_t *)key.mv_data == (uint8_t)space) {
        if (dsmr_schema_open(&rd, key.mv_data, key.mv_size, value.mv_data, value.mv_size) ==
            DSMR_OK) {
            err = visit(recovery, &key, &rd);
        } else if (must_read) {
            err = DSMR_ERR_CORRUPT;
        } else {
            recovery->damaged++;
        }
        if (err == DSMR_OK) {
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        }
    }
    mdb_cursor_close(cursor);
    if (err == DSMR_OK && rc != 0 && rc != MDB_NOTFOUND) {
        err = dsmr_lmdb_env_err(rc);
    }
    return err;
}

/* A file of bodies that is not what its record says, said by its name: nothing else may ask for
 * what was in it for a long time. */
static enum dsmr_err visit_segment(struct recovery *recovery, const MDB_val *key,
                                   struct dsmr_rd *rd)
{
    const struct dsmr_log *log = &recovery->store->log;
    struct dsmr_schema_segment segment;
    char text[200];

    dsmr_schema_segment_decode(rd, &segment);
    if (key->mv_size != 9 || dsmr_schema_end(rd) != DSMR_OK) {
        recovery->damaged++;
        return DSMR_OK;
    }
    uint64_t number = dsmr_load_be64((const uint8_t *)key->mv_data + 1);
    uint64_t bytes = dsmr_segments_file_bytes(&recovery->store->segments, number);
    if (segment.live > 0 && bytes < segment.end_bytes && log->ops != NULL) {
        (void)snprintf(text, sizeof(text),
                       "chunks/%016" PRIx64 ".seg %s: bodies of up to %" PRIu64
                       " chunks are lost, and not served",
                       number, bytes == 0 ? "is missing" : "is cut off", segment.live);
        log->ops->line(log->self, DSMR_LOG_WARN, "store", text);
    }
    return DSMR_OK;
}

static enum dsmr_err visit_floor(struct recovery *recovery, struct dsmr_store_txn *txn)
{
    struct dsmr_schema_key key;
    uint64_t floor_ms;
    enum dsmr_err err;

    dsmr_schema_key(&key, DSMR_SCHEMA_FLOOR);
    err = dsmr_store_txn_get_u64(txn, &floor_ms, &key);
    if (err == DSMR_OK) {
        return recovery->visitor->floor(recovery->visitor->ctx, floor_ms);
    }
    return err == DSMR_ERR_UNKNOWN ? DSMR_OK : err;
}

enum dsmr_err dsmr_store_read_recover(void *self, const struct dsmr_store_visitor *visitor)
{
    struct dsmr_lmdb_store *store = self;
    struct dsmr_store_txn txn;
    struct recovery recovery = {.store = store, .txn = &txn, .visitor = visitor};
    enum dsmr_err err = dsmr_store_txn_begin(&txn, store, false);

    if (err != DSMR_OK) {
        return err;
    }
    if (visitor->floor != NULL) {
        err = visit_floor(&recovery, &txn);
    }
    if (err == DSMR_OK && visitor->journal != NULL) {
        err = walk(&recovery, DSMR_SCHEMA_JOURNAL, visit_journal, true);
    }
    if (err == DSMR_OK && visitor->chunk != NULL) {
        err = walk(&recovery, DSMR_SCHEMA_SEGMENT, visit_segment, false);
    }
    if (err == DSMR_OK && visitor->chunk != NULL) {
        err = visitor->with_history
                  ? walk(&recovery, DSMR_SCHEMA_CHUNK, visit_chunk, false)
                  : walk(&recovery, DSMR_SCHEMA_WAITING, visit_waiting_chunk, false);
    }
    if (err == DSMR_OK && visitor->cert != NULL) {
        err = visitor->with_history
                  ? walk(&recovery, DSMR_SCHEMA_CERT, visit_cert, false)
                  : walk(&recovery, DSMR_SCHEMA_WAITING, visit_waiting_cert, false);
    }
    if (err == DSMR_OK && visitor->bft != NULL) {
        err = walk(&recovery, DSMR_SCHEMA_BFT, visit_bft, true);
    }
    dsmr_store_txn_abort(&txn);
    if (recovery.damaged > 0 && store->log.ops != NULL) {
        store->log.ops->line(store->log.self, DSMR_LOG_WARN, "store",
                             "damaged chunks or certificates were left out at recovery");
    }
    return err;
}

/* ---- open ---- */

/* A file is used up to where its record says; without one, or without bodies, not at all. */
static enum dsmr_err used_bytes(void *ctx, uint64_t *end_bytes, uint64_t number)
{
    struct dsmr_schema_segment segment;
    enum dsmr_err err = dsmr_store_txn_get_segment(ctx, &segment, number);

    if (err == DSMR_OK) {
        *end_bytes = segment.live > 0 ? segment.end_bytes : 0;
    } else if (err == DSMR_ERR_UNKNOWN) {
        *end_bytes = 0;
    } else if (err == DSMR_ERR_CORRUPT) {
        *end_bytes = UINT64_MAX; /* keep all of it */
    } else {
        return err;
    }
    return DSMR_OK;
}

enum dsmr_err dsmr_store_read_prepare(struct dsmr_lmdb_store *store,
                                      const struct dsmr_store_write *first)
{
    struct dsmr_schema_key key;
    struct dsmr_store_txn txn;
    uint64_t last = 0;
    enum dsmr_err err = dsmr_store_format_check(store, first);

    if (err != DSMR_OK) {
        return err;
    }
    err = dsmr_store_txn_begin(&txn, store, false);
    if (err != DSMR_OK) {
        return err;
    }
    dsmr_schema_key(&key, DSMR_SCHEMA_SEGMENT_LAST);
    err = dsmr_store_txn_get_u64(&txn, &last, &key);
    if (err == DSMR_OK || err == DSMR_ERR_UNKNOWN) {
        store->segments.last = last;
        err = dsmr_segments_tidy(&store->segments, used_bytes, &txn);
    }
    dsmr_store_txn_abort(&txn);
    return err == DSMR_OK ? dsmr_store_gc_resume(store) : err;
}
