#include "sim/check_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "sim/check_rules.h"
#include "sim/check_table.h"

#define HEADER_BYTES 153u
#define ARITY 16u

struct dsmr_sim_model {
    const struct dsmr_sim *sim;
    struct dsmr_sim_table *chunks;     /* id -> struct dsmr_sim_model_chunk * */
    struct dsmr_sim_table *ran;        /* id of a transaction -> uint64_t height */
    struct dsmr_sim_table *blocks;     /* uint64_t height -> struct dsmr_block * */
    struct dsmr_sim_model_plan *plans; /* of heights 1 .. plans_count */
    uint64_t plans_count, plans_capacity;
};

struct dsmr_sim_model *dsmr_sim_model_new(const struct dsmr_sim *sim)
{
    struct dsmr_sim_model *model = calloc(1, sizeof(*model));
    DSMR_ASSERT(model != NULL);
    model->sim = sim;
    model->chunks = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(void *));
    model->ran = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(uint64_t));
    model->blocks = dsmr_sim_table_new(sizeof(uint64_t), sizeof(void *));
    return model;
}

static void free_chunk(struct dsmr_sim_model_chunk *chunk)
{
    dsmr_buf_unref(chunk->bytes);
    free(chunk->txs);
    free(chunk);
}

void dsmr_sim_model_free(struct dsmr_sim_model *model)
{
    size_t position = 0;
    void *value;
    while (dsmr_sim_table_next(model->chunks, &position, NULL, &value)) {
        free_chunk(*(struct dsmr_sim_model_chunk **)value);
    }
    position = 0;
    while (dsmr_sim_table_next(model->blocks, &position, NULL, &value)) {
        dsmr_block_unref(*(struct dsmr_block **)value);
    }
    for (uint64_t i = 0; i < model->plans_count; i++) {
        free(model->plans[i].runs);
    }
    free(model->plans);
    dsmr_sim_table_free(model->chunks);
    dsmr_sim_table_free(model->ran);
    dsmr_sim_table_free(model->blocks);
    free(model);
}

/* ---- chunks ---- */

/* docs/wire.md, Merkle root. */
static void merkle_root(struct dsmr_id *out, const struct dsmr_sim_model_tx *txs, uint32_t count)
{
    struct dsmr_id *level = calloc(count + 1u, sizeof(*level));
    uint8_t bytes[1 + ARITY * 32];
    DSMR_ASSERT(level != NULL);
    bytes[0] = 0;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(bytes + 1, txs[i].id.bytes, 32);
        dsmr_hash(&level[i], bytes, 33);
    }
    bytes[0] = 1;
    for (uint32_t left = count; left > 1; left = (left + ARITY - 1) / ARITY) {
        for (uint32_t from = 0; from < left; from += ARITY) {
            uint32_t children = left - from < ARITY ? left - from : ARITY;
            memcpy(bytes + 1, &level[from], (size_t)children * 32);
            dsmr_hash(&level[from / ARITY], bytes, 1 + (size_t)children * 32);
        }
    }
    bytes[0] = 2;
    dsmr_store_be32(bytes + 1, count);
    memcpy(bytes + 5, level[0].bytes, 32);
    dsmr_hash(out, bytes, 37);
    free(level);
}

static const char *read_header(struct dsmr_sim_model_chunk *chunk, const struct dsmr_sim *sim,
                               const uint8_t *bytes, size_t len)
{
    const struct dsmr_params *params = dsmr_sim_check_params(sim);
    if (len < HEADER_BYTES || len > params->chunk_bytes_max || bytes[0] != 1) {
        return "a wrong size or version";
    }
    if (dsmr_load_be32(bytes + 1) != params->domain.network_id ||
        !dsmr_sim_rules_same(bytes + 5, params->domain.chain_id.bytes, 32)) {
        return "another network or chain";
    }
    struct dsmr_reference *ref = &chunk->ref;
    dsmr_hash(&ref->chunk_id, bytes, HEADER_BYTES);
    ref->epoch = dsmr_load_be64(bytes + 37);
    memcpy(ref->producer.bytes, bytes + 45, 20);
    ref->slot = dsmr_load_be64(bytes + 65);
    ref->expiry_ms = dsmr_load_be64(bytes + 73);
    memcpy(chunk->fee_recipient.bytes, bytes + 81, 32);
    ref->tx_count = dsmr_load_be32(bytes + 113);
    ref->chunk_bytes = (uint32_t)len;
    if (ref->expiry_ms != dsmr_sim_rules_expiry(params, ref->slot)) {
        return "another expiry than its slot's";
    }
    if (ref->tx_count == 0 || ref->tx_count > params->chunk_txs_max ||
        dsmr_load_be32(bytes + 117) != len - HEADER_BYTES) {
        return "a wrong count or length";
    }
    return NULL;
}

static const char *read_body(struct dsmr_sim_model_chunk *chunk, const uint8_t *bytes, size_t len)
{
    size_t at = HEADER_BYTES;
    struct dsmr_id root;
    chunk->txs = calloc(chunk->ref.tx_count, sizeof(*chunk->txs));
    DSMR_ASSERT(chunk->txs != NULL);
    for (uint32_t i = 0; i < chunk->ref.tx_count; i++) {
        struct dsmr_sim_model_tx *tx = &chunk->txs[i];
        if (len - at < 4) {
            return "fewer transactions than it says";
        }
        tx->len = dsmr_load_be32(bytes + at);
        at += 4;
        if (tx->len < 9 || tx->len > 65536 || tx->len > len - at) {
            return "a transaction of a wrong length";
        }
        tx->bytes = bytes + at;
        tx->expiry_ms = dsmr_load_be64(tx->bytes + 1);
        dsmr_hash(&tx->id, tx->bytes, tx->len);
        at += tx->len;
    }
    if (at != len) {
        return "bytes after its transactions";
    }
    merkle_root(&root, chunk->txs, chunk->ref.tx_count);
    return dsmr_sim_rules_same(root.bytes, bytes + 121, 32) ? NULL : "another root than its body's";
}

const char *dsmr_sim_model_add_chunk(struct dsmr_sim_model *model, const struct dsmr_id *id,
                                     const uint8_t *bytes, size_t len)
{
    if (dsmr_sim_table_find(model->chunks, id) != NULL) {
        return NULL;
    }
    struct dsmr_sim_model_chunk *chunk = calloc(1, sizeof(*chunk));
    DSMR_ASSERT(chunk != NULL);
    chunk->bytes = dsmr_buf_copy(bytes, len);
    DSMR_ASSERT(chunk->bytes != NULL);
    const char *wrong = read_header(chunk, model->sim, chunk->bytes->bytes, len);
    wrong = wrong != NULL ? wrong : read_body(chunk, chunk->bytes->bytes, len);
    if (wrong == NULL && !dsmr_sim_rules_same(id, &chunk->ref.chunk_id, sizeof(*id))) {
        wrong = "another id than its header's";
    }
    if (wrong != NULL) {
        free_chunk(chunk);
        return wrong;
    }
    *(struct dsmr_sim_model_chunk **)dsmr_sim_table_add(model->chunks, id, NULL) = chunk;
    return NULL;
}

const struct dsmr_sim_model_chunk *dsmr_sim_model_chunk(const struct dsmr_sim_model *model,
                                                        const struct dsmr_id *id)
{
    struct dsmr_sim_model_chunk *const *chunk = dsmr_sim_table_find(model->chunks, id);
    return chunk == NULL ? NULL : *chunk;
}

/* ---- blocks and what runs in them ---- */

void dsmr_sim_model_add_block(struct dsmr_sim_model *model, const struct dsmr_block *block)
{
    bool is_new = false;
    struct dsmr_block **place = dsmr_sim_table_add(model->blocks, &block->height, &is_new);
    if (is_new) { /* only the count of references is written */
        *place = dsmr_block_ref((struct dsmr_block *)(uintptr_t)block);
    }
}

static bool may_run(struct dsmr_sim_model *model, const struct dsmr_block *block,
                    const struct dsmr_sim_model_tx *tx)
{
    uint64_t window_ms = dsmr_sim_check_params(model->sim)->validity_window_ms;
    bool is_new = false;
    if (tx->expiry_ms < block->time_ms ||
        tx->expiry_ms > (dsmr_sim_u128)block->time_ms + window_ms) {
        return false;
    }
    uint64_t *height = dsmr_sim_table_add(model->ran, &tx->id, &is_new);
    *height = is_new ? block->height : *height;
    return is_new;
}

static bool make_plan(struct dsmr_sim_model *model, struct dsmr_sim_model_plan *plan,
                      uint64_t height)
{
    struct dsmr_block *const *block = dsmr_sim_table_find(model->blocks, &height);
    uint64_t count = 0;
    if (block == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < (*block)->certs_count; i++) {
        const struct dsmr_id *id = &(*block)->certs[i].ref.chunk_id;
        if (dsmr_sim_model_chunk(model, id) == NULL) {
            return false;
        }
        count += dsmr_sim_model_chunk(model, id)->ref.tx_count;
    }
    *plan = (struct dsmr_sim_model_plan){.block = *block};
    plan->runs = calloc(count + 1, sizeof(*plan->runs));
    DSMR_ASSERT(plan->runs != NULL);
    for (uint32_t i = 0; i < (*block)->certs_count; i++) {
        const struct dsmr_sim_model_chunk *chunk =
            dsmr_sim_model_chunk(model, &(*block)->certs[i].ref.chunk_id);
        for (uint32_t k = 0; k < chunk->ref.tx_count; k++) {
            if (may_run(model, *block, &chunk->txs[k])) {
                plan->runs[plan->count++] =
                    (struct dsmr_sim_model_run){.chunk = chunk, .tx = &chunk->txs[k]};
            }
        }
    }
    return true;
}

const struct dsmr_sim_model_plan *dsmr_sim_model_plan(struct dsmr_sim_model *model, uint64_t height)
{
    while (model->plans_count < height) {
        if (model->plans_count == model->plans_capacity) {
            model->plans_capacity = model->plans_capacity == 0 ? 64 : model->plans_capacity * 2;
            model->plans = realloc(model->plans, model->plans_capacity * sizeof(*model->plans));
            DSMR_ASSERT(model->plans != NULL);
        }
        if (!make_plan(model, &model->plans[model->plans_count], model->plans_count + 1)) {
            return NULL;
        }
        model->plans_count++;
    }
    return height == 0 ? NULL : &model->plans[height - 1];
}
