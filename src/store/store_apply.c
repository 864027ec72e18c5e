#include "store/store_apply.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "wire/codec.h"
#include "wire/message.h"

#define PAGES_PER_RECORD 8u /* the path to a leaf, a split and the list of free pages */
#define PAGES_PER_PRUNE 64u
#define PAGE_BYTES_MIN 4096u

/* ---- chunks ---- */

/* OK if there is no other chunk's entry for this (producer, slot); *is_new if there is none. */
static enum dsmr_err check_journal(struct dsmr_store_txn *txn, bool *is_new,
                                   const struct dsmr_store_journal *entry)
{
    struct dsmr_store_journal found;
    struct dsmr_schema_key key;
    struct dsmr_rd rd;
    enum dsmr_err err;

    dsmr_schema_key_journal(&key, entry);
    err = dsmr_store_txn_read(txn, &rd, &key);
    *is_new = err == DSMR_ERR_UNKNOWN;
    if (*is_new) {
        return DSMR_OK;
    }
    if (err == DSMR_OK) {
        dsmr_schema_journal_decode(&rd, &found);
        err = dsmr_schema_end(&rd);
    }
    if (err != DSMR_OK) { /* a damaged entry is an entry: of which chunk, nobody knows */
        return err == DSMR_ERR_CORRUPT ? DSMR_ERR_CONFLICT : err;
    }
    return dsmr_id_equal(&found.chunk_id, &entry->chunk_id) ? DSMR_OK : DSMR_ERR_CONFLICT;
}

static void put_journal(struct dsmr_store_txn *txn, const struct dsmr_store_journal *entry)
{
    uint8_t bytes[DSMR_SCHEMA_RECORD_BYTES_MAX];
    struct dsmr_schema_key key;
    struct dsmr_wr wr;

    dsmr_schema_key_journal(&key, entry);
    dsmr_schema_begin(&wr, bytes, sizeof bytes);
    dsmr_schema_journal_encode(&wr, entry);
    dsmr_store_txn_put_record(txn, &key, &wr);
}

/* The segment's record: one more body, and where its data ends. */
static void count_body(struct dsmr_store_txn *txn, const struct dsmr_schema_place *place)
{
    struct dsmr_schema_segment segment = {0};
    enum dsmr_err err = dsmr_store_txn_get_segment(txn, &segment, place->segment);

    if (err == DSMR_ERR_UNKNOWN) { /* the first body of a new segment */
        struct dsmr_schema_key key;
        dsmr_schema_key(&key, DSMR_SCHEMA_SEGMENT_LAST);
        dsmr_store_txn_put_u64(txn, &key, place->segment);
    }
    segment.live++;
    segment.end_bytes = place->offset + place->len;
    dsmr_store_txn_put_segment(txn, &segment, place->segment);
}

/* A body that cannot be read no longer holds its segment. */
static void discount_body(struct dsmr_store_txn *txn, const struct dsmr_schema_place *place)
{
    struct dsmr_schema_segment segment;

    if (dsmr_store_txn_get_segment(txn, &segment, place->segment) == DSMR_OK && segment.live > 0) {
        segment.live--; /* 0: the file goes at the next open */
        dsmr_store_txn_put_segment(txn, &segment, place->segment);
    }
}

/* What an earlier write of the same chunk said and this one may not know. */
static void merge_meta(struct dsmr_store_chunk_meta *meta, const struct dsmr_store_chunk_meta *old)
{
    if (old->is_signed && !meta->is_signed) { /* fetched: from whom says nothing of the producer */
        meta->producer_sig = old->producer_sig;
    }
    meta->is_own = meta->is_own || old->is_own;
    meta->is_signed = meta->is_signed || old->is_signed;
    if (meta->included_height == UINT64_MAX) {
        meta->included_height = old->included_height;
        meta->included_time_ms = old->included_time_ms;
        meta->accepted_wall_ms = old->accepted_wall_ms;
    }
}

/* True if the body that a record points to can be served: then it need not be written again. */
static bool has_body(struct dsmr_store_txn *txn, const struct dsmr_schema_chunk *chunk)
{
    struct dsmr_lmdb_store *store = txn->store;
    struct dsmr_buf *body;
    enum dsmr_err err = dsmr_segments_read(&store->segments, &body, &chunk->place);

    if (err != DSMR_OK) {
        if (err != DSMR_ERR_NO_MEMORY) {
            dsmr_store_damage_note(&store->damage, store->metrics, &store->log,
                                   &chunk->meta.ref.chunk_id, &chunk->place, err);
        }
        return false;
    }
    dsmr_buf_unref(body);
    return true;
}

static enum dsmr_err apply_chunk(struct dsmr_store_txn *txn, const struct dsmr_store_write *write)
{
    const struct dsmr_store_chunk_meta *meta = write->u.chunk.meta;
    struct dsmr_schema_chunk chunk = {.meta = *meta};
    struct dsmr_schema_chunk old;
    struct dsmr_store_journal entry = {.producer = meta->ref.producer,
                                       .slot = meta->ref.slot,
                                       .chunk_id = meta->ref.chunk_id,
                                       .epoch = meta->ref.epoch,
                                       .expiry_ms = meta->ref.expiry_ms};
    bool is_new_entry = false;
    enum dsmr_err err;

    if (meta->is_signed) {
        err = check_journal(txn, &is_new_entry, &entry);
        if (err != DSMR_OK) {
            return err;
        }
    }
    err = dsmr_store_txn_get_chunk(txn, &old, &meta->ref.chunk_id);
    if (txn->failed != DSMR_OK) {
        return txn->failed;
    }
    if (err == DSMR_OK) {
        merge_meta(&chunk.meta, &old.meta);
    }
    if (err == DSMR_OK && has_body(txn, &old)) {
        chunk.place = old.place;
    } else {
        bool is_damaged = err == DSMR_OK;
        err = dsmr_segments_append(&txn->store->segments, &chunk.place, write->u.chunk.bytes,
                                   write->u.chunk.len);
        if (err != DSMR_OK) {
            return err;
        }
        count_body(txn, &chunk.place);
        if (is_damaged) {
            discount_body(txn, &old.place);
        }
    }
    dsmr_store_txn_put_chunk(txn, &chunk);
    dsmr_store_txn_set_waiting(txn, &meta->ref, chunk.meta.included_height == UINT64_MAX);
    if (is_new_entry) {
        put_journal(txn, &entry);
    }
    return DSMR_OK;
}

static void apply_cert(struct dsmr_store_txn *txn, const struct dsmr_cert *cert)
{
    uint8_t bytes[DSMR_SCHEMA_RECORD_BYTES_MAX];
    struct dsmr_schema_chunk chunk;
    struct dsmr_schema_key key;
    struct dsmr_wr wr;

    dsmr_schema_key_id(&key, DSMR_SCHEMA_CERT, &cert->ref.chunk_id);
    dsmr_schema_begin(&wr, bytes, sizeof bytes);
    dsmr_cert_encode(&wr, cert);
    dsmr_store_txn_put_record(txn, &key, &wr);
    if (dsmr_store_txn_get_chunk(txn, &chunk, &cert->ref.chunk_id) != DSMR_OK ||
        chunk.meta.included_height == UINT64_MAX) {
        dsmr_store_txn_set_waiting(txn, &cert->ref, true);
    }
}

/* ---- blocks ---- */

/* Marks the chunk if it is here; of others the core says it when they arrive. */
static void include_chunk(struct dsmr_store_txn *txn, const struct dsmr_reference *ref,
                          const struct dsmr_block *block, uint64_t wall_ms)
{
    struct dsmr_schema_chunk chunk;

    dsmr_store_txn_set_waiting(txn, ref, false);
    if (dsmr_store_txn_get_chunk(txn, &chunk, &ref->chunk_id) != DSMR_OK ||
        chunk.meta.included_height == block->height) {
        return;
    }
    chunk.meta.included_height = block->height;
    chunk.meta.included_time_ms = block->time_ms;
    chunk.meta.accepted_wall_ms = wall_ms;
    dsmr_store_txn_put_chunk(txn, &chunk);
}

/* The chunk, or the certificate of one that is not here, waits for a block again. */
static void exclude_chunk(struct dsmr_store_txn *txn, const struct dsmr_id *chunk_id)
{
    struct dsmr_schema_chunk chunk;
    struct dsmr_cert cert;

    if (dsmr_store_txn_get_chunk(txn, &chunk, chunk_id) == DSMR_OK) {
        chunk.meta.included_height = UINT64_MAX;
        chunk.meta.included_time_ms = 0;
        chunk.meta.accepted_wall_ms = 0;
        dsmr_store_txn_put_chunk(txn, &chunk);
        dsmr_store_txn_set_waiting(txn, &chunk.meta.ref, true);
    } else if (dsmr_store_txn_get_cert(txn, &cert, chunk_id) == DSMR_OK) {
        dsmr_store_txn_set_waiting(txn, &cert.ref, true);
    }
}

/* Takes an accepted block back: the engine restarted below it and went another way. */
static void remove_block(struct dsmr_store_txn *txn, uint64_t height)
{
    struct dsmr_schema_block block;
    struct dsmr_schema_key key;
    struct dsmr_id ids[DSMR_BLOCK_CERTS_LIMIT];

    if (dsmr_store_txn_get_block(txn, &block, height) == DSMR_OK) {
        DSMR_ASSERT(block.chunks_count <= DSMR_BLOCK_CERTS_LIMIT);
        memcpy(ids, block.chunk_ids, (size_t)block.chunks_count * sizeof ids[0]);
        for (uint32_t i = 0; i < block.chunks_count; i++) {
            exclude_chunk(txn, &ids[i]);
        }
        dsmr_schema_key_id(&key, DSMR_SCHEMA_BLOCK_ID, &block.id);
        dsmr_store_txn_del(txn, &key);
    }
    dsmr_schema_key_u64(&key, DSMR_SCHEMA_BLOCK, height);
    dsmr_store_txn_del(txn, &key);
    dsmr_schema_key_u64(&key, DSMR_SCHEMA_FINALIZATION, height);
    dsmr_store_txn_del(txn, &key);
}

/* What will be accepted from height on has its chunks. */
static void lower_retained(struct dsmr_store_txn *txn, uint64_t height)
{
    struct dsmr_schema_key key;
    uint64_t kept = 0;

    dsmr_schema_key(&key, DSMR_SCHEMA_RETAINED);
    if (dsmr_store_txn_get_u64(txn, &kept, &key) == DSMR_OK && kept > height) {
        dsmr_store_txn_put_u64(txn, &key, height);
    }
}

static void put_block(struct dsmr_store_txn *txn, const struct dsmr_block *block, uint64_t wall_ms)
{
    size_t size = dsmr_schema_block_size(block);
    struct dsmr_schema_key key;
    struct dsmr_wr wr;
    void *room;

    dsmr_schema_key_u64(&key, DSMR_SCHEMA_BLOCK, block->height);
    room = dsmr_store_txn_reserve(txn, &key, size);
    if (room == NULL) {
        return;
    }
    dsmr_schema_begin(&wr, room, size);
    dsmr_schema_block_encode(&wr, block, wall_ms);
    bool is_sealed = dsmr_schema_seal(&wr, key.bytes, key.len);
    DSMR_ASSERT(is_sealed);
    DSMR_ASSERT(wr.at == size);
    dsmr_schema_key_id(&key, DSMR_SCHEMA_BLOCK_ID, &block->id);
    dsmr_store_txn_put_u64(txn, &key, block->height);
}

static void put_finalization(struct dsmr_store_txn *txn, const struct dsmr_quorum_cert *qc,
                             uint64_t height)
{
    uint8_t bytes[DSMR_SCHEMA_RECORD_BYTES_MAX];
    struct dsmr_schema_key key;
    struct dsmr_wr wr;

    dsmr_schema_key_u64(&key, DSMR_SCHEMA_FINALIZATION, height);
    dsmr_schema_begin(&wr, bytes, sizeof bytes);
    dsmr_quorum_cert_encode(&wr, qc);
    dsmr_store_txn_put_record(txn, &key, &wr);
}

static void put_accepted(struct dsmr_store_txn *txn, uint64_t height, const struct dsmr_id *id)
{
    uint8_t bytes[DSMR_SCHEMA_RECORD_BYTES_MAX];
    struct dsmr_schema_key key;
    struct dsmr_wr wr;

    dsmr_schema_key(&key, DSMR_SCHEMA_ACCEPTED);
    dsmr_schema_begin(&wr, bytes, sizeof bytes);
    dsmr_wr_u64(&wr, height);
    dsmr_wr_bytes(&wr, id->bytes, sizeof id->bytes);
    dsmr_store_txn_put_record(txn, &key, &wr);
}

static enum dsmr_err apply_accept(struct dsmr_store_txn *txn, const struct dsmr_store_write *write)
{
    const struct dsmr_block *block = write->u.accept.block;
    struct dsmr_schema_block old;
    struct dsmr_id last_id;
    uint64_t last = 0;
    enum dsmr_err err = dsmr_store_txn_get_accepted(txn, &last, &last_id);
    bool has_last = err == DSMR_OK;

    if (err != DSMR_OK && err != DSMR_ERR_UNKNOWN) {
        return err == DSMR_ERR_CORRUPT ? DSMR_ERR_IO : err;
    }
    if (has_last && block->height > last && block->height - last > 1) {
        return txn->store->is_disk_full ? DSMR_ERR_DISK_FULL : DSMR_ERR_HALTED;
    }
    err = dsmr_store_txn_get_block(txn, &old, block->height);
    if (err != DSMR_OK || !dsmr_id_equal(&old.id, &block->id)) {
        for (uint64_t h = last; has_last && h >= block->height; h--) {
            remove_block(txn, h);
            if (h == 0) {
                break;
            }
        }
        lower_retained(txn, block->height);
        put_block(txn, block, write->u.accept.wall_ms);
        put_accepted(txn, block->height, &block->id);
    }
    for (uint32_t i = 0; i < block->certs_count; i++) {
        include_chunk(txn, &block->certs[i].ref, block, write->u.accept.wall_ms);
    }
    if (write->u.accept.finalization != NULL) {
        put_finalization(txn, write->u.accept.finalization, block->height);
    }
    return DSMR_OK;
}

/* ---- evidence and the engine's journal ---- */

static void drop_evidence(struct dsmr_store_txn *txn, const struct dsmr_evidence_key *pair)
{
    struct dsmr_schema_key of, key;
    uint64_t sequence = 0;

    dsmr_schema_key_evidence_of(&of, &pair->producer, pair->epoch);
    if (dsmr_store_txn_get_u64(txn, &sequence, &of) == DSMR_OK) {
        dsmr_schema_key_u64(&key, DSMR_SCHEMA_EVIDENCE, sequence);
        dsmr_store_txn_del(txn, &key);
    }
    dsmr_store_txn_del(txn, &of);
}

static void put_evidence(struct dsmr_store_txn *txn, const struct dsmr_evidence *evidence)
{
    uint8_t bytes[DSMR_SCHEMA_RECORD_BYTES_MAX];
    uint8_t encoded[DSMR_EVIDENCE_BYTES];
    struct dsmr_schema_key of, key;
    struct dsmr_wr wr;
    MDB_val last;
    uint64_t sequence = 1;

    dsmr_schema_key_evidence_of(&of, &evidence->refs[0].producer, evidence->refs[0].epoch);
    if (dsmr_store_txn_get(txn, &of, &last) != DSMR_ERR_UNKNOWN) {
        return; /* one pair per (producer, epoch); the first is as good as any */
    }
    if (dsmr_store_txn_last(txn, &last, DSMR_SCHEMA_EVIDENCE) == DSMR_OK && last.mv_size == 9 &&
        *(const uint8_t *)last.mv_data == DSMR_SCHEMA_EVIDENCE) {
        sequence = dsmr_load_be64((const uint8_t *)last.mv_data + 1) + 1;
    }
    dsmr_store_txn_put_u64(txn, &of, sequence);
    dsmr_schema_key_u64(&key, DSMR_SCHEMA_EVIDENCE, sequence);
    dsmr_evidence_encode(encoded, evidence);
    dsmr_schema_begin(&wr, bytes, sizeof bytes);
    dsmr_wr_bytes(&wr, encoded, sizeof encoded);
    dsmr_store_txn_put_record(txn, &key, &wr);
}

static void apply_bft_put(struct dsmr_store_txn *txn, const struct dsmr_store_write *write)
{
    size_t size = DSMR_SCHEMA_HEAD_BYTES + write->u.bft.value_len + DSMR_SCHEMA_TAIL_BYTES;
    struct dsmr_schema_key key;
    struct dsmr_wr wr;
    void *room;

    DSMR_ASSERT(write->u.bft.key_len >= 1 && write->u.bft.key_len <= DSMR_SCHEMA_BFT_KEY_BYTES_MAX);
    dsmr_schema_key_bft(&key, write->u.bft.key, write->u.bft.key_len);
    room = dsmr_store_txn_reserve(txn, &key, size);
    if (room != NULL) {
        dsmr_schema_begin(&wr, room, size);
        dsmr_wr_bytes(&wr, write->u.bft.value, write->u.bft.value_len);
        bool is_sealed = dsmr_schema_seal(&wr, key.bytes, key.len);
        DSMR_ASSERT(is_sealed);
    }
}

static void apply_bft_prune(struct dsmr_store_txn *txn, const struct dsmr_store_write *write)
{
    struct dsmr_schema_key from, to;

    dsmr_schema_key(&from, DSMR_SCHEMA_BFT);
    dsmr_schema_key_bft(&to, write->u.bft.key, write->u.bft.key_len);
    (void)dsmr_store_txn_del_range(txn, &from, &to, UINT32_MAX);
}

/* ---- all ---- */

enum dsmr_err dsmr_store_apply(struct dsmr_store_txn *txn, const struct dsmr_store_write *write)
{
    switch (write->kind) {
    case DSMR_STORE_CHUNK:
        return apply_chunk(txn, write);
    case DSMR_STORE_CERT:
        apply_cert(txn, write->u.cert);
        return DSMR_OK;
    case DSMR_STORE_ACCEPT:
        return apply_accept(txn, write);
    case DSMR_STORE_EVIDENCE:
        put_evidence(txn, write->u.evidence.pair);
        if (write->u.evidence.gone != NULL) { /* after it: no sequence number is used again */
            drop_evidence(txn, write->u.evidence.gone);
        }
        return DSMR_OK;
    case DSMR_STORE_BFT_PUT:
        apply_bft_put(txn, write);
        return DSMR_OK;
    case DSMR_STORE_BFT_PRUNE:
        apply_bft_prune(txn, write);
        return DSMR_OK;
    case DSMR_STORE_GC:
        break;
    }
    DSMR_UNREACHABLE();
}

uint64_t dsmr_store_apply_pages(const struct dsmr_store_write *write)
{
    switch (write->kind) {
    case DSMR_STORE_CHUNK:
        return 4u * PAGES_PER_RECORD; /* meta, waiting, journal, segment */
    case DSMR_STORE_ACCEPT:
        return (4u + 2u * write->u.accept.block->certs_count) * (uint64_t)PAGES_PER_RECORD +
               dsmr_schema_block_size(write->u.accept.block) / PAGE_BYTES_MIN + 1u;
    case DSMR_STORE_BFT_PUT:
        return PAGES_PER_RECORD + write->u.bft.value_len / PAGE_BYTES_MIN + 1u;
    case DSMR_STORE_BFT_PRUNE:
        return PAGES_PER_PRUNE;
    case DSMR_STORE_EVIDENCE:
        return 4u * PAGES_PER_RECORD; /* with its index; the same of what gives way */
    case DSMR_STORE_CERT:
    case DSMR_STORE_GC:
        break;
    }
    return 2u * PAGES_PER_RECORD;
}

uint64_t dsmr_store_apply_body_bytes(const struct dsmr_store_write *write)
{
    return write->kind == DSMR_STORE_CHUNK ? write->u.chunk.len : 0;
}
