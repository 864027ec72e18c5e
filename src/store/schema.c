#include "store/schema.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "store/crc32c.h"
#include "wire/codec.h"

#define RECORD_VERSION 1u
#define ID_BYTES 32u
#define NODE_ID_BYTES 20u
#define FLAG_OWN 1u
#define FLAG_SIGNED 2u

/* ---- keys ---- */

static void key_add(struct dsmr_schema_key *key, const void *bytes, uint32_t len)
{
    DSMR_ASSERT(len <= DSMR_SCHEMA_KEY_BYTES_MAX - key->len);
    memcpy(key->bytes + key->len, bytes, len);
    key->len += len;
}

static void key_add_u64(struct dsmr_schema_key *key, uint64_t v)
{
    uint8_t bytes[8];

    dsmr_store_be64(bytes, v);
    key_add(key, bytes, sizeof bytes);
}

void dsmr_schema_key(struct dsmr_schema_key *out, enum dsmr_schema_space space)
{
    out->len = 1;
    out->bytes[0] = (uint8_t)space;
}

void dsmr_schema_key_id(struct dsmr_schema_key *out, enum dsmr_schema_space space,
                        const struct dsmr_id *id)
{
    dsmr_schema_key(out, space);
    key_add(out, id->bytes, ID_BYTES);
}

void dsmr_schema_key_u64(struct dsmr_schema_key *out, enum dsmr_schema_space space, uint64_t v)
{
    dsmr_schema_key(out, space);
    key_add_u64(out, v);
}

void dsmr_schema_key_journal(struct dsmr_schema_key *out, const struct dsmr_store_journal *entry)
{
    /* Expiry first: what has expired is one range. It follows from the slot, so (producer, slot)
     * is still the whole identity of an entry. */
    dsmr_schema_key_u64(out, DSMR_SCHEMA_JOURNAL, entry->expiry_ms);
    key_add(out, entry->producer.bytes, NODE_ID_BYTES);
    key_add_u64(out, entry->slot);
}

void dsmr_schema_key_waiting(struct dsmr_schema_key *out, const struct dsmr_reference *ref)
{
    /* Expiry first: entries are made and go in nearly this order, and what is late is one range. */
    dsmr_schema_key_u64(out, DSMR_SCHEMA_WAITING, ref->expiry_ms);
    key_add(out, ref->chunk_id.bytes, ID_BYTES);
}

enum dsmr_err dsmr_schema_waiting_key_decode(struct dsmr_reference *out, const void *key,
                                             size_t key_len)
{
    struct dsmr_rd rd;

    dsmr_rd_init(&rd, key, key_len);
    if (dsmr_rd_u8(&rd) != DSMR_SCHEMA_WAITING) {
        return DSMR_ERR_CORRUPT;
    }
    out->expiry_ms = dsmr_rd_u64(&rd);
    dsmr_rd_bytes(&rd, out->chunk_id.bytes, ID_BYTES);
    return dsmr_schema_end(&rd);
}

void dsmr_schema_key_evidence_of(struct dsmr_schema_key *out, const struct dsmr_node_id *producer,
                                 uint64_t epoch)
{
    dsmr_schema_key(out, DSMR_SCHEMA_EVIDENCE_OF);
    key_add(out, producer->bytes, NODE_ID_BYTES);
    key_add_u64(out, epoch);
}

void dsmr_schema_key_bft(struct dsmr_schema_key *out, const uint8_t *key, uint32_t len)
{
    dsmr_schema_key(out, DSMR_SCHEMA_BFT);
    key_add(out, key, len);
}

/* ---- records ---- */

void dsmr_schema_begin(struct dsmr_wr *wr, void *bytes, size_t size)
{
    dsmr_wr_init(wr, bytes, size);
    dsmr_wr_u8(wr, RECORD_VERSION);
}

bool dsmr_schema_seal(struct dsmr_wr *wr, const void *key, size_t key_len)
{
    uint32_t crc = dsmr_crc32c(0, key, key_len);

    if (wr->err != DSMR_OK) {
        return false;
    }
    dsmr_wr_u32(wr, dsmr_crc32c(crc, wr->bytes, wr->at));
    return wr->err == DSMR_OK;
}

enum dsmr_err dsmr_schema_open(struct dsmr_rd *rd, const void *key, size_t key_len,
                               const void *value, size_t value_len)
{
    uint32_t crc = dsmr_crc32c(0, key, key_len);
    const uint8_t *bytes = value;
    size_t body_len;

    if (value_len < DSMR_SCHEMA_HEAD_BYTES + DSMR_SCHEMA_TAIL_BYTES) {
        return DSMR_ERR_CORRUPT;
    }
    body_len = value_len - DSMR_SCHEMA_TAIL_BYTES;
    if (dsmr_load_be32(bytes + body_len) != dsmr_crc32c(crc, bytes, body_len)) {
        return DSMR_ERR_CORRUPT;
    }
    if (bytes[0] != RECORD_VERSION) {
        return DSMR_ERR_CORRUPT;
    }
    dsmr_rd_init(rd, bytes + DSMR_SCHEMA_HEAD_BYTES, body_len - DSMR_SCHEMA_HEAD_BYTES);
    return DSMR_OK;
}

enum dsmr_err dsmr_schema_end(struct dsmr_rd *rd)
{
    return dsmr_rd_end(rd) == DSMR_OK ? DSMR_OK : DSMR_ERR_CORRUPT;
}

void dsmr_schema_chunk_encode(struct dsmr_wr *wr, const struct dsmr_schema_chunk *chunk)
{
    const struct dsmr_store_chunk_meta *meta = &chunk->meta;
    uint8_t flags =
        (uint8_t)((meta->is_own ? FLAG_OWN : 0u) | (meta->is_signed ? FLAG_SIGNED : 0u));

    dsmr_reference_encode(wr, &meta->ref);
    dsmr_wr_bytes(wr, meta->producer_sig.bytes, sizeof meta->producer_sig.bytes);
    dsmr_wr_u64(wr, meta->included_height);
    dsmr_wr_u64(wr, meta->included_time_ms);
    dsmr_wr_u64(wr, meta->accepted_wall_ms);
    dsmr_wr_u8(wr, flags);
    dsmr_wr_u64(wr, chunk->place.segment);
    dsmr_wr_u64(wr, chunk->place.offset);
    dsmr_wr_u32(wr, chunk->place.len);
    dsmr_wr_u32(wr, chunk->place.crc);
}

void dsmr_schema_chunk_decode(struct dsmr_rd *rd, struct dsmr_schema_chunk *out)
{
    struct dsmr_store_chunk_meta *meta = &out->meta;
    uint8_t flags;

    memset(out, 0, sizeof *out);
    dsmr_reference_decode(rd, &meta->ref);
    dsmr_rd_bytes(rd, meta->producer_sig.bytes, sizeof meta->producer_sig.bytes);
    meta->included_height = dsmr_rd_u64(rd);
    meta->included_time_ms = dsmr_rd_u64(rd);
    meta->accepted_wall_ms = dsmr_rd_u64(rd);
    flags = dsmr_rd_u8(rd);
    if ((flags & ~(FLAG_OWN | FLAG_SIGNED)) != 0) {
        dsmr_rd_fail(rd, DSMR_ERR_NON_CANONICAL);
    }
    meta->is_own = (flags & FLAG_OWN) != 0;
    meta->is_signed = (flags & FLAG_SIGNED) != 0;
    out->place.segment = dsmr_rd_u64(rd);
    out->place.offset = dsmr_rd_u64(rd);
    out->place.len = dsmr_rd_u32(rd);
    out->place.crc = dsmr_rd_u32(rd);
}

void dsmr_schema_journal_encode(struct dsmr_wr *wr, const struct dsmr_store_journal *entry)
{
    dsmr_wr_bytes(wr, entry->chunk_id.bytes, ID_BYTES);
    dsmr_wr_u64(wr, entry->epoch);
}

void dsmr_schema_journal_decode(struct dsmr_rd *rd, struct dsmr_store_journal *out)
{
    dsmr_rd_bytes(rd, out->chunk_id.bytes, ID_BYTES);
    out->epoch = dsmr_rd_u64(rd);
}

enum dsmr_err dsmr_schema_journal_key_decode(struct dsmr_store_journal *out, const void *key,
                                             size_t key_len)
{
    struct dsmr_rd rd;

    dsmr_rd_init(&rd, key, key_len);
    if (dsmr_rd_u8(&rd) != DSMR_SCHEMA_JOURNAL) {
        return DSMR_ERR_CORRUPT;
    }
    out->expiry_ms = dsmr_rd_u64(&rd);
    dsmr_rd_bytes(&rd, out->producer.bytes, NODE_ID_BYTES);
    out->slot = dsmr_rd_u64(&rd);
    return dsmr_schema_end(&rd);
}

void dsmr_schema_segment_encode(struct dsmr_wr *wr, const struct dsmr_schema_segment *segment)
{
    dsmr_wr_u64(wr, segment->live);
    dsmr_wr_u64(wr, segment->end_bytes);
}

void dsmr_schema_segment_decode(struct dsmr_rd *rd, struct dsmr_schema_segment *out)
{
    out->live = dsmr_rd_u64(rd);
    out->end_bytes = dsmr_rd_u64(rd);
}

size_t dsmr_schema_block_size(const struct dsmr_block *block)
{
    return DSMR_SCHEMA_HEAD_BYTES + ID_BYTES + 8u + 8u + 4u +
           (size_t)block->certs_count * ID_BYTES + 4u + block->bytes->len + DSMR_SCHEMA_TAIL_BYTES;
}

void dsmr_schema_block_encode(struct dsmr_wr *wr, const struct dsmr_block *block, uint64_t wall_ms)
{
    dsmr_wr_bytes(wr, block->id.bytes, ID_BYTES);
    dsmr_wr_u64(wr, block->time_ms);
    dsmr_wr_u64(wr, wall_ms);
    dsmr_wr_u32(wr, block->certs_count);
    for (uint32_t i = 0; i < block->certs_count; i++) {
        dsmr_wr_bytes(wr, block->certs[i].ref.chunk_id.bytes, ID_BYTES);
    }
    dsmr_wr_u32(wr, block->bytes->len);
    dsmr_wr_bytes(wr, block->bytes->bytes, block->bytes->len);
}

void dsmr_schema_block_decode(struct dsmr_rd *rd, struct dsmr_schema_block *out)
{
    dsmr_rd_bytes(rd, out->id.bytes, ID_BYTES);
    out->time_ms = dsmr_rd_u64(rd);
    out->wall_ms = dsmr_rd_u64(rd);
    out->chunks_count = dsmr_rd_u32(rd);
    if (out->chunks_count > DSMR_BLOCK_CERTS_LIMIT) {
        dsmr_rd_fail(rd, DSMR_ERR_TOO_LARGE);
    }
    out->chunk_ids = dsmr_rd_view(rd, (size_t)out->chunks_count * ID_BYTES);
    out->bytes_len = dsmr_rd_u32(rd);
    out->bytes = dsmr_rd_view(rd, out->bytes_len);
}
