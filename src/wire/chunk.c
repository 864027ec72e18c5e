#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "wire/codec.h"
#include "wire/tx_head.h"

#define HEADER_BYTES DSMR_CHUNK_HEADER_BYTES
#define PREFIX_BYTES DSMR_CHUNK_TX_PREFIX_BYTES
#define WALK_AHEAD 16u
#define HASH_TOGETHER 16u /* while they are hashed, memory has time for the same number ahead */
#define BLOCK_BYTES 64u   /* of SHA-256, and a line of the cache */

struct dsmr_chunk *dsmr_chunk_ref(struct dsmr_chunk *chunk)
{
    if (chunk != NULL) {
        uint32_t before = atomic_fetch_add_explicit(&chunk->refs, 1, memory_order_relaxed);
        DSMR_ASSERT(before > 0 && before < UINT32_MAX);
    }
    return chunk;
}

void dsmr_chunk_unref(struct dsmr_chunk *chunk)
{
    if (chunk == NULL) {
        return;
    }
    uint32_t before = atomic_fetch_sub_explicit(&chunk->refs, 1, memory_order_acq_rel);
    DSMR_ASSERT(before > 0);
    if (before == 1) {
        dsmr_buf_unref(chunk->owner);
        free(chunk); /* the arrays lie behind it */
    }
}

/* What a decoded transaction takes beside the input. */
#define TX_MEMORY_BYTES (sizeof(struct dsmr_id) + 2 * sizeof(uint32_t)) /* id, offset, expiry */
_Static_assert(TX_MEMORY_BYTES <= 2 * (PREFIX_BYTES + DSMR_TX_BYTES_MIN) &&
                   sizeof(struct dsmr_chunk) + sizeof(uint32_t) <= 2 * HEADER_BYTES,
               "a chunk takes at most twice its encoding");

/* A chunk and its arrays in one piece. */
static struct dsmr_chunk *chunk_new(const struct dsmr_chunk_header *header)
{
    size_t count = header->tx_count;
    size_t size = sizeof(struct dsmr_chunk) + sizeof(uint32_t) + count * TX_MEMORY_BYTES;
    struct dsmr_chunk *chunk = malloc(size);
    if (chunk == NULL) {
        return NULL;
    }
    atomic_init(&chunk->refs, 1);
    chunk->owner = NULL;
    chunk->header = *header;
    chunk->tx_offsets = (uint32_t *)(void *)(chunk + 1);
    chunk->tx_expiries = chunk->tx_offsets + count + 1;
    chunk->tx_ids = (struct dsmr_id *)(void *)(chunk->tx_expiries + count);
    return chunk;
}

/* Between which times the transactions of a chunk may expire. */
struct window {
    uint64_t first_ms, last_ms;
};

static struct window window_of(const struct dsmr_chunk_header *header,
                               const struct dsmr_params *params)
{
    struct window window;
    uint64_t expiry_ms, most_ms = params->validity_window_ms;
    if (!dsmr_chunk_header_times(&window.first_ms, &expiry_ms, header->slot, params)) {
        return (struct window){.first_ms = UINT64_MAX}; /* there is no such slot: at no time */
    }
    window.last_ms =
        window.first_ms > UINT64_MAX - most_ms ? UINT64_MAX : window.first_ms + most_ms;
    return window;
}

uint64_t dsmr_chunk_tx_expiry_far_ms(const struct dsmr_chunk *chunk, uint32_t i)
{
    return dsmr_tx_expiry_ms(chunk->bytes + chunk->tx_offsets[i]);
}

/* Where transaction i begins, and when it expires. False: at a time that window does not have. */
static bool note_tx(struct dsmr_chunk *chunk, uint32_t i, const uint8_t *bytes, size_t at,
                    const struct window *window)
{
    uint64_t expiry_ms = dsmr_tx_expiry_ms(bytes + at);
    uint64_t after = expiry_ms - (chunk->header.expiry_ms - DSMR_CHUNK_TX_EXPIRY_BEFORE_MS);
    chunk->tx_offsets[i] = (uint32_t)at;
    chunk->tx_expiries[i] =
        after < DSMR_CHUNK_TX_EXPIRY_FAR ? (uint32_t)after : DSMR_CHUNK_TX_EXPIRY_FAR;
    return expiry_ms >= window->first_ms && expiry_ms <= window->last_ms;
}

/* Ids of transactions from first on; it is known where the one behind them begins, or would. */
static void hash_txs(struct dsmr_chunk *chunk, const uint8_t *bytes, uint32_t first, uint32_t count)
{
    struct dsmr_hash_message messages[HASH_TOGETHER];
    DSMR_ASSERT(count <= HASH_TOGETHER);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t begin = chunk->tx_offsets[first + i];
        messages[i] = (struct dsmr_hash_message){bytes + begin, chunk->tx_offsets[first + i + 1] -
                                                                    PREFIX_BYTES - begin};
    }
    dsmr_hash_many(&chunk->tx_ids[first], messages, count);
}

/* Computes everything about the chunk that is not in the header alone. */
static enum dsmr_err read_body(struct dsmr_chunk *chunk, const struct dsmr_params *params,
                               const uint8_t *bytes, size_t len)
{
    struct window window = window_of(&chunk->header, params);
    bool is_expiry_good = true;
    size_t at = HEADER_BYTES;
    uint32_t hashed = 0; /* the ids of as many are there */
    for (uint32_t i = 0; i < chunk->header.tx_count; i++) {
        if (len - at < PREFIX_BYTES) {
            return DSMR_ERR_BODY_MISMATCH;
        }
        uint32_t tx_len = dsmr_load_be32(bytes + at);
        at += PREFIX_BYTES;
        if (tx_len > len - at) {
            return DSMR_ERR_BODY_MISMATCH;
        }
        if (tx_len < DSMR_TX_BYTES_MIN || tx_len > DSMR_TX_BYTES_MAX) {
            return DSMR_ERR_BAD_TX;
        }
        is_expiry_good = note_tx(chunk, i, bytes, at, &window) && is_expiry_good;
        at += tx_len;
        chunk->tx_offsets[i + 1] = (uint32_t)(at + PREFIX_BYTES);
        /* Most have one length: where the prefix of a later one is likely to be. */
        size_t later = at + (size_t)WALK_AHEAD * (PREFIX_BYTES + tx_len);
        if (later + PREFIX_BYTES + BLOCK_BYTES <= len) {
            __builtin_prefetch(bytes + later);
            __builtin_prefetch(bytes + later + PREFIX_BYTES + BLOCK_BYTES - 1);
        }
        if (i + 1 - hashed == HASH_TOGETHER) {
            hash_txs(chunk, bytes, hashed, HASH_TOGETHER);
            hashed = i + 1;
        }
    }
    hash_txs(chunk, bytes, hashed, chunk->header.tx_count - hashed);
    chunk->is_expiry_good = is_expiry_good;
    if (at != len) {
        return DSMR_ERR_BODY_MISMATCH;
    }
    struct dsmr_id root;
    dsmr_hash_merkle_root(&root, chunk->tx_ids, chunk->header.tx_count);
    return dsmr_id_equal(&root, &chunk->header.tx_root) ? DSMR_OK : DSMR_ERR_BODY_MISMATCH;
}

void dsmr_chunk_reference(struct dsmr_reference *out, const struct dsmr_chunk_header *header)
{
    uint8_t bytes[HEADER_BYTES];
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, bytes, sizeof(bytes));
    dsmr_chunk_header_encode(&wr, header);
    DSMR_ASSERT(wr.err == DSMR_OK && wr.at == sizeof(bytes));
    dsmr_hash(&out->chunk_id, bytes, sizeof(bytes));
    out->epoch = header->epoch;
    out->producer = header->producer;
    out->slot = header->slot;
    out->expiry_ms = header->expiry_ms;
    out->tx_count = header->tx_count;
    out->chunk_bytes = HEADER_BYTES + header->tx_bytes;
}

enum dsmr_err dsmr_chunk_decode(struct dsmr_chunk **out, const struct dsmr_params *params,
                                struct dsmr_buf *owner, const uint8_t *bytes, size_t len)
{
    DSMR_ASSERT(bytes >= owner->bytes && len <= owner->len &&
                (size_t)(bytes - owner->bytes) <= owner->len - len);
    struct dsmr_chunk_header header;
    enum dsmr_err err = dsmr_chunk_header_decode(&header, params, bytes, len);
    if (err != DSMR_OK) {
        return err;
    }
    struct dsmr_chunk *chunk = chunk_new(&header);
    if (chunk == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    err = read_body(chunk, params, bytes, len);
    if (err != DSMR_OK) {
        free(chunk);
        return err;
    }
    dsmr_chunk_reference(&chunk->ref, &header);
    chunk->owner = dsmr_buf_ref(owner);
    chunk->bytes = bytes;
    *out = chunk;
    return DSMR_OK;
}

/* Bytes of the body, or over the limits. */
static enum dsmr_err measure(uint32_t *tx_bytes, const struct dsmr_params *params,
                             const struct dsmr_chunk_tx *txs, uint32_t txs_count)
{
    if (txs_count == 0) {
        return DSMR_ERR_MALFORMED;
    }
    if (txs_count > params->chunk_txs_max) {
        return DSMR_ERR_TOO_LARGE;
    }
    uint64_t sum = 0;
    for (uint32_t i = 0; i < txs_count; i++) {
        if (txs[i].len < DSMR_TX_BYTES_MIN || txs[i].len > DSMR_TX_BYTES_MAX) {
            return DSMR_ERR_BAD_TX;
        }
        sum += PREFIX_BYTES + txs[i].len;
    }
    if (HEADER_BYTES + sum > params->chunk_bytes_max) {
        return DSMR_ERR_TOO_LARGE;
    }
    *tx_bytes = (uint32_t)sum;
    return DSMR_OK;
}

enum dsmr_err dsmr_chunk_build(struct dsmr_chunk **out, const struct dsmr_params *params,
                               const struct dsmr_chunk_header *header,
                               const struct dsmr_chunk_tx *txs, uint32_t txs_count)
{
    struct dsmr_chunk_header full = *header;
    enum dsmr_err err = measure(&full.tx_bytes, params, txs, txs_count);
    if (err != DSMR_OK) {
        return err;
    }
    full.tx_count = txs_count;
    struct dsmr_chunk *chunk = chunk_new(&full);
    struct dsmr_buf *buf = dsmr_buf_new(HEADER_BYTES + full.tx_bytes);
    if (chunk == NULL || buf == NULL) {
        free(chunk);
        dsmr_buf_unref(buf);
        return DSMR_ERR_NO_MEMORY;
    }
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, buf->bytes, buf->len);
    wr.at = HEADER_BYTES;
    struct window window = window_of(&full, params);
    chunk->is_expiry_good = true;
    for (uint32_t i = 0; i < txs_count; i++) {
        dsmr_wr_u32(&wr, txs[i].len);
        size_t at = wr.at;
        chunk->tx_ids[i] = txs[i].id;
        dsmr_wr_bytes(&wr, txs[i].bytes, txs[i].len);
        chunk->is_expiry_good = note_tx(chunk, i, buf->bytes, at, &window) && chunk->is_expiry_good;
    }
    chunk->tx_offsets[txs_count] = (uint32_t)(wr.at + PREFIX_BYTES);
    DSMR_ASSERT(wr.err == DSMR_OK && wr.at == buf->len);
    dsmr_hash_merkle_root(&chunk->header.tx_root, chunk->tx_ids, txs_count);
    dsmr_wr_init(&wr, buf->bytes, HEADER_BYTES);
    dsmr_chunk_header_encode(&wr, &chunk->header);
    DSMR_ASSERT(wr.err == DSMR_OK);
    dsmr_chunk_reference(&chunk->ref, &chunk->header);
    chunk->owner = buf;
    chunk->bytes = buf->bytes;
    *out = chunk;
    return DSMR_OK;
}
