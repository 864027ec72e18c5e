#include "vm/transfers_state.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/hash.h"

#define TAG_ROOT 0x12u
#define STATE_VERSION 1u
#define STATE_BYTES (1u + 8u + DSMR_TRANSFERS_STATE_HEAD_BYTES)

static const uint8_t state_key[2] = {DSMR_KV_SPACE_APP, 'm'};

void dsmr_transfers_state_encode_head(struct dsmr_wr *wr, const struct dsmr_transfers_state *state)
{
    dsmr_wr_u64(wr, state->accounts);
    dsmr_wr_u64(wr, state->supply);
    dsmr_wr_u64(wr, state->fees.base);
    dsmr_wr_u64(wr, state->fees.per_byte);
    dsmr_wr_u64(wr, state->fees.per_signature);
    dsmr_wr_u8(wr, state->trie.kind);
    dsmr_wr_bytes(wr, state->trie.hash.bytes, sizeof state->trie.hash.bytes);
}

void dsmr_transfers_state_decode_head(struct dsmr_rd *rd, struct dsmr_transfers_state *out)
{
    out->accounts = dsmr_rd_u64(rd);
    out->supply = dsmr_rd_u64(rd);
    out->fees.base = dsmr_rd_u64(rd);
    out->fees.per_byte = dsmr_rd_u64(rd);
    out->fees.per_signature = dsmr_rd_u64(rd);
    out->trie.kind = dsmr_rd_u8(rd);
    dsmr_rd_bytes(rd, out->trie.hash.bytes, sizeof out->trie.hash.bytes);
    bool is_kind = out->trie.kind == DSMR_ACCOUNT_KIND_NONE
                       ? dsmr_id_is_zero(&out->trie.hash)
                       : out->trie.kind <= DSMR_ACCOUNT_BUCKET_MAX ||
                             out->trie.kind == DSMR_ACCOUNT_KIND_BRANCH;
    if (!is_kind || dsmr_transfer_tx_fees_check(&out->fees)) {
        dsmr_rd_fail(rd, DSMR_ERR_MALFORMED);
    }
}

void dsmr_transfers_state_root(struct dsmr_id *out, const struct dsmr_transfers_state *state)
{
    uint8_t preimage[1 + DSMR_TRANSFERS_STATE_HEAD_BYTES];
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, preimage, sizeof preimage);
    dsmr_wr_u8(&wr, TAG_ROOT);
    dsmr_transfers_state_encode_head(&wr, state);
    DSMR_ASSERT(wr.err == DSMR_OK && wr.at == sizeof preimage);
    dsmr_hash(out, preimage, sizeof preimage);
}

enum dsmr_err dsmr_transfers_state_get(struct dsmr_transfers_state *out, const struct dsmr_kv *kv,
                                       struct dsmr_kv_txn *txn)
{
    const uint8_t *value;
    size_t len;
    enum dsmr_err err = kv->ops->get(kv->self, txn, state_key, sizeof state_key, &value, &len);
    if (err) {
        return err == DSMR_ERR_UNKNOWN ? DSMR_ERR_CORRUPT : err;
    }
    struct dsmr_transfers_state state;
    struct dsmr_rd rd;
    dsmr_rd_init(&rd, value, len);
    uint8_t version = dsmr_rd_u8(&rd);
    state.height = dsmr_rd_u64(&rd);
    dsmr_transfers_state_decode_head(&rd, &state);
    if (dsmr_rd_end(&rd) || version != STATE_VERSION) {
        return DSMR_ERR_CORRUPT;
    }
    *out = state;
    return DSMR_OK;
}

enum dsmr_err dsmr_transfers_state_put(const struct dsmr_transfers_state *state,
                                       const struct dsmr_kv *kv, struct dsmr_kv_txn *txn)
{
    uint8_t value[STATE_BYTES];
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, value, sizeof value);
    dsmr_wr_u8(&wr, STATE_VERSION);
    dsmr_wr_u64(&wr, state->height);
    dsmr_transfers_state_encode_head(&wr, state);
    DSMR_ASSERT(wr.err == DSMR_OK && wr.at == sizeof value);
    return kv->ops->put(kv->self, txn, state_key, sizeof state_key, value, wr.at);
}
