#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "crypto/hash.h"
#include "wire/codec.h"

#define KIND_CERTIFICATE 1u /* others are kept free for later kinds of entries */
#define FIXED_BYTES (1u + 4u + 32u + 32u + 8u + 8u + 8u + 1u + 4u)
#define PAST_EPOCH_BYTES 16u

_Static_assert(DSMR_BLOCK_HEADER_BYTES_MAX == FIXED_BYTES + DSMR_PAST_EPOCHS_MAX * PAST_EPOCH_BYTES,
               "docs/wire.md, Block");
/* An entry takes at least one byte of signers: the decoded array is below twice the input. */
_Static_assert(sizeof(struct dsmr_cert) <= 2 * (DSMR_BLOCK_ENTRY_BYTES_MIN + 1),
               "docs/wire.md, Limits");

struct dsmr_block *dsmr_block_ref(struct dsmr_block *block)
{
    if (block != NULL) {
        uint32_t before = atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed);
        DSMR_ASSERT(before > 0 && before < UINT32_MAX);
    }
    return block;
}

void dsmr_block_unref(struct dsmr_block *block)
{
    if (block == NULL) {
        return;
    }
    uint32_t before = atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel);
    DSMR_ASSERT(before > 0);
    if (before == 1) {
        dsmr_buf_unref(block->bytes);
        free(block); /* the certificates lie behind it */
    }
}

/* A block with room for its certificates in one piece; no bytes yet. */
static struct dsmr_block *block_new(uint32_t certs_count)
{
    struct dsmr_block *block = calloc(1, sizeof(*block) + certs_count * sizeof(*block->certs));
    if (block != NULL) {
        atomic_init(&block->refs, 1);
        block->certs = (struct dsmr_cert *)(void *)(block + 1);
        block->certs_count = certs_count;
    }
    return block;
}

size_t dsmr_block_encoded_size(const struct dsmr_block *fields)
{
    size_t size = FIXED_BYTES + fields->past_epochs_count * PAST_EPOCH_BYTES;
    for (uint32_t i = 0; i < fields->certs_count; i++) {
        size += 1 + dsmr_cert_encoded_size(&fields->certs[i]);
    }
    return size;
}

static void encode(struct dsmr_wr *wr, const struct dsmr_params *params,
                   const struct dsmr_block *fields)
{
    dsmr_wr_u8(wr, DSMR_WIRE_VERSION);
    dsmr_wr_domain(wr, &params->domain);
    dsmr_wr_bytes(wr, fields->parent_id.bytes, sizeof(fields->parent_id.bytes));
    dsmr_wr_u64(wr, fields->height);
    dsmr_wr_u64(wr, fields->time_ms);
    dsmr_wr_u64(wr, fields->epoch);
    dsmr_wr_u8(wr, (uint8_t)fields->past_epochs_count);
    for (uint32_t i = 0; i < fields->past_epochs_count; i++) {
        dsmr_wr_u64(wr, fields->past_epochs[i].epoch);
        dsmr_wr_u64(wr, fields->past_epochs[i].ended_at_ms);
    }
    dsmr_wr_u32(wr, fields->certs_count);
    for (uint32_t i = 0; i < fields->certs_count; i++) {
        dsmr_wr_u8(wr, KIND_CERTIFICATE);
        dsmr_cert_encode(wr, &fields->certs[i]);
    }
}

enum dsmr_err dsmr_block_build(struct dsmr_block **out, const struct dsmr_params *params,
                               const struct dsmr_block *fields)
{
    DSMR_ASSERT(fields->past_epochs_count <= DSMR_PAST_EPOCHS_MAX);
    size_t size = dsmr_block_encoded_size(fields);
    if (size > params->block_bytes_max) {
        return DSMR_ERR_TOO_LARGE;
    }
    struct dsmr_block *block = block_new(fields->certs_count);
    struct dsmr_buf *bytes = dsmr_buf_new(size);
    if (block == NULL || bytes == NULL) {
        dsmr_block_unref(block);
        dsmr_buf_unref(bytes);
        return DSMR_ERR_NO_MEMORY;
    }
    block->parent_id = fields->parent_id;
    block->height = fields->height;
    block->time_ms = fields->time_ms;
    block->epoch = fields->epoch;
    block->past_epochs_count = fields->past_epochs_count;
    memcpy(block->past_epochs, fields->past_epochs,
           fields->past_epochs_count * sizeof(fields->past_epochs[0]));
    if (fields->certs_count > 0) {
        memcpy(block->certs, fields->certs, fields->certs_count * sizeof(*fields->certs));
    }
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, bytes->bytes, bytes->len);
    encode(&wr, params, fields);
    DSMR_ASSERT(wr.err == DSMR_OK && wr.at == size);
    dsmr_hash(&block->id, bytes->bytes, bytes->len);
    block->bytes = bytes;
    *out = block;
    return DSMR_OK;
}

enum dsmr_err dsmr_block_genesis(struct dsmr_block **out, const struct dsmr_params *params,
                                 uint64_t time_ms)
{
    struct dsmr_block fields = {.time_ms = time_ms, .epoch = DSMR_EPOCH_NONE};
    return dsmr_block_build(out, params, &fields);
}

/* Everything before the certificates; sets fields->certs_count to what the bytes can hold. */
static void read_head(struct dsmr_rd *rd, const struct dsmr_params *params,
                      struct dsmr_block *fields)
{
    if (dsmr_rd_u8(rd) != DSMR_WIRE_VERSION) {
        dsmr_rd_fail(rd, DSMR_ERR_VERSION);
    }
    dsmr_rd_domain(rd, &params->domain);
    dsmr_rd_bytes(rd, fields->parent_id.bytes, sizeof(fields->parent_id.bytes));
    fields->height = dsmr_rd_u64(rd);
    fields->time_ms = dsmr_rd_u64(rd);
    fields->epoch = dsmr_rd_u64(rd);
    fields->past_epochs_count = dsmr_rd_u8(rd);
    if (fields->past_epochs_count > DSMR_PAST_EPOCHS_MAX) {
        dsmr_rd_fail(rd, DSMR_ERR_BLOCK_LIMIT);
        return;
    }
    for (uint32_t i = 0; i < fields->past_epochs_count; i++) {
        fields->past_epochs[i].epoch = dsmr_rd_u64(rd);
        fields->past_epochs[i].ended_at_ms = dsmr_rd_u64(rd);
    }
    fields->certs_count = dsmr_rd_u32(rd);
    if (fields->certs_count > params->block_certs_max) {
        dsmr_rd_fail(rd, DSMR_ERR_BLOCK_LIMIT);
    } else if (fields->certs_count > dsmr_rd_left(rd) / (DSMR_BLOCK_ENTRY_BYTES_MIN + 1)) {
        dsmr_rd_fail(rd, DSMR_ERR_MALFORMED);
    }
}

static enum dsmr_err read_entries(struct dsmr_rd *rd, struct dsmr_block *block)
{
    for (uint32_t i = 0; i < block->certs_count && rd->err == DSMR_OK; i++) {
        if (dsmr_rd_u8(rd) != KIND_CERTIFICATE) {
            dsmr_rd_fail(rd, DSMR_ERR_MALFORMED);
        }
        dsmr_cert_decode(rd, &block->certs[i], DSMR_VALIDATORS_MAX);
    }
    return dsmr_rd_end(rd);
}

enum dsmr_err dsmr_block_decode(struct dsmr_block **out, const struct dsmr_params *params,
                                struct dsmr_buf *owner, const uint8_t *bytes, size_t len)
{
    DSMR_ASSERT(bytes >= owner->bytes && len <= owner->len &&
                (size_t)(bytes - owner->bytes) <= owner->len - len);
    if (len > params->block_bytes_max) {
        return DSMR_ERR_TOO_LARGE;
    }
    struct dsmr_rd rd;
    struct dsmr_block fields = {.certs_count = 0};
    dsmr_rd_init(&rd, bytes, len);
    read_head(&rd, params, &fields);
    if (rd.err != DSMR_OK) {
        return rd.err;
    }
    struct dsmr_block *block = block_new(fields.certs_count);
    if (block == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    block->parent_id = fields.parent_id;
    block->height = fields.height;
    block->time_ms = fields.time_ms;
    block->epoch = fields.epoch;
    block->past_epochs_count = fields.past_epochs_count;
    memcpy(block->past_epochs, fields.past_epochs, sizeof(fields.past_epochs));
    enum dsmr_err err = read_entries(&rd, block);
    if (err == DSMR_OK) {
        block->bytes = len == owner->len ? dsmr_buf_ref(owner) : dsmr_buf_copy(bytes, len);
        err = block->bytes != NULL ? DSMR_OK : DSMR_ERR_NO_MEMORY;
    }
    if (err != DSMR_OK) {
        dsmr_block_unref(block);
        return err;
    }
    dsmr_hash(&block->id, bytes, len);
    *out = block;
    return DSMR_OK;
}
