#include "vm/opaque.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "vm/app_text.h"
#include "vm/genesis_json.h"
#include "wire/cursor.h"

#define TAG "DSMR/opaque/1"
#define TAG_BYTES (sizeof TAG - 1)
#define STATE_VERSION 1u
#define STATE_BYTES (1u + 8u + 8u + 32u)
#define PREIMAGE_HEAD_BYTES (TAG_BYTES + 32u + 8u + 4u)

static const uint8_t state_key[2] = {DSMR_KV_SPACE_APP, 'm'};

struct state { /* the one value in the store */
    uint64_t height;
    uint64_t txs; /* executed since genesis */
    struct dsmr_id root;
};

struct opaque {
    uint8_t *preimage; /* scratch of the execution thread */
    size_t preimage_capacity;
};

static enum dsmr_err state_get(struct state *out, const struct dsmr_kv *kv, struct dsmr_kv_txn *txn)
{
    const uint8_t *value;
    size_t len;
    enum dsmr_err err = kv->ops->get(kv->self, txn, state_key, sizeof state_key, &value, &len);
    if (err) {
        return err == DSMR_ERR_UNKNOWN ? DSMR_ERR_CORRUPT : err;
    }
    struct dsmr_rd rd;
    dsmr_rd_init(&rd, value, len);
    uint8_t version = dsmr_rd_u8(&rd);
    out->height = dsmr_rd_u64(&rd);
    out->txs = dsmr_rd_u64(&rd);
    dsmr_rd_bytes(&rd, out->root.bytes, sizeof out->root.bytes);
    return dsmr_rd_end(&rd) || version != STATE_VERSION ? DSMR_ERR_CORRUPT : DSMR_OK;
}

static enum dsmr_err state_put(const struct state *state, const struct dsmr_kv *kv,
                               struct dsmr_kv_txn *txn)
{
    uint8_t value[STATE_BYTES];
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, value, sizeof value);
    dsmr_wr_u8(&wr, STATE_VERSION);
    dsmr_wr_u64(&wr, state->height);
    dsmr_wr_u64(&wr, state->txs);
    dsmr_wr_bytes(&wr, state->root.bytes, sizeof state->root.bytes);
    return kv->ops->put(kv->self, txn, state_key, sizeof state_key, value, wr.at);
}

static uint32_t opaque_check(const void *self, enum dsmr_err *errs, const struct dsmr_tx_view *txs,
                             uint32_t count)
{
    (void)self;
    uint32_t bad = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool fits = txs[i].len >= DSMR_TX_BYTES_MIN && txs[i].len <= DSMR_TX_BYTES_MAX;
        errs[i] = fits ? DSMR_OK : DSMR_ERR_BAD_TX;
        bad += !fits;
    }
    return bad;
}

static const char *read_genesis(const char *genesis, size_t genesis_len)
{
    struct dsmr_genesis_json json;
    struct dsmr_genesis_json_string string;
    dsmr_genesis_json_init(&json, genesis, genesis_len);
    bool has_name = false;
    if (dsmr_genesis_json_object(&json)) {
        while (dsmr_genesis_json_member(&json, &string)) {
            if (has_name || !dsmr_genesis_json_is(&string, "name")) {
                return "app: the opaque application knows no member but \"name\"";
            }
            has_name = true;
            if (dsmr_genesis_json_string(&json, &string) &&
                !dsmr_genesis_json_is(&string, "opaque")) {
                return "app.name is not \"opaque\"";
            }
        }
    }
    return dsmr_genesis_json_end(&json) ? NULL : "app is not a JSON object of plain strings";
}

static enum dsmr_err opaque_genesis(void *self, struct dsmr_id *root, const char **reason,
                                    const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                    const char *genesis, size_t genesis_len)
{
    (void)self;
    const char *problem = read_genesis(genesis, genesis_len);
    if (problem) {
        *reason = problem;
        return DSMR_ERR_CONFIG;
    }
    struct state state = {.height = 0, .txs = 0};
    dsmr_hash(&state.root, TAG, TAG_BYTES);
    enum dsmr_err err = state_put(&state, kv, txn);
    if (!err) {
        *root = state.root;
    }
    return err;
}

/* Room for the preimage of a block with count ids. */
static enum dsmr_err reserve(struct opaque *opaque, uint32_t count)
{
    size_t needed = PREIMAGE_HEAD_BYTES + (size_t)count * sizeof(struct dsmr_id);
    if (needed <= opaque->preimage_capacity) {
        return DSMR_OK;
    }
    uint8_t *preimage = realloc(opaque->preimage, needed);
    if (!preimage) {
        return DSMR_ERR_NO_MEMORY;
    }
    opaque->preimage = preimage;
    opaque->preimage_capacity = needed;
    return DSMR_OK;
}

static enum dsmr_err opaque_execute(void *self, struct dsmr_id *root,
                                    struct dsmr_app_result *results, const struct dsmr_kv *kv,
                                    struct dsmr_kv_txn *txn, const struct dsmr_app_block *block)
{
    struct opaque *opaque = self;
    struct state state;
    enum dsmr_err err = state_get(&state, kv, txn);
    if (!err && block->height != state.height + 1) {
        err = DSMR_ERR_APP_FAILED;
    }
    if (!err) {
        err = reserve(opaque, block->txs_count);
    }
    if (err) {
        return err;
    }
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, opaque->preimage, opaque->preimage_capacity);
    dsmr_wr_bytes(&wr, TAG, TAG_BYTES);
    dsmr_wr_bytes(&wr, state.root.bytes, sizeof state.root.bytes);
    dsmr_wr_u64(&wr, block->height);
    dsmr_wr_u32(&wr, block->txs_count);
    dsmr_wr_bytes(&wr, block->ids, block->txs_count * sizeof *block->ids);
    for (uint32_t i = 0; i < block->txs_count; i++) {
        results[i] = (struct dsmr_app_result){.code = 0, .fee = 0};
    }
    dsmr_hash(&state.root, opaque->preimage, wr.at);
    state.height = block->height;
    state.txs += block->txs_count;
    err = state_put(&state, kv, txn);
    if (!err) {
        *root = state.root;
    }
    return err;
}

static enum dsmr_err opaque_query(const void *self, struct dsmr_app_text *out,
                                  const struct dsmr_kv *kv, struct dsmr_kv_txn *snapshot,
                                  const char *path)
{
    (void)self;
    if (strcmp(path, "state") != 0) {
        return DSMR_ERR_UNKNOWN;
    }
    struct state state;
    enum dsmr_err err = state_get(&state, kv, snapshot);
    if (err) {
        return err;
    }
    dsmr_app_text_init(out, out->bytes, out->capacity);
    dsmr_app_text_add(out, "{\"height\":");
    dsmr_app_text_add_u64(out, state.height);
    dsmr_app_text_add(out, ",\"txs\":");
    dsmr_app_text_add_u64(out, state.txs);
    dsmr_app_text_add(out, ",\"root\":\"");
    dsmr_app_text_add_hex(out, state.root.bytes, sizeof state.root.bytes);
    dsmr_app_text_add(out, "\"}");
    return dsmr_app_text_end(out);
}

static const char *opaque_code_text(uint32_t code)
{
    return code == 0 ? "ok" : "unknown result code";
}

static void opaque_free(void *self)
{
    struct opaque *opaque = self;
    if (opaque) {
        free(opaque->preimage);
        free(opaque);
    }
}

static const struct dsmr_app_ops opaque_ops = {
    .name = "opaque",
    .check = opaque_check,
    .genesis = opaque_genesis,
    .execute = opaque_execute,
    .query = opaque_query,
    .code_text = opaque_code_text,
    .free = opaque_free,
};

enum dsmr_err dsmr_opaque_new(struct dsmr_app *out)
{
    struct opaque *opaque = calloc(1, sizeof *opaque);
    if (!opaque) {
        return DSMR_ERR_NO_MEMORY;
    }
    *out = (struct dsmr_app){.self = opaque, .ops = &opaque_ops};
    return DSMR_OK;
}
