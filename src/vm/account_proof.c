#include "vm/account_proof.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "vm/account_read.h"

/* Goes one step down from a branch's value. MALFORMED if it is none. */
static enum dsmr_err descend(struct dsmr_account_link *link, struct dsmr_account_place *place,
                             const uint8_t *value, size_t len)
{
    struct dsmr_account_branch branch;
    if (place->depth >= DSMR_ACCOUNT_DEPTH_MAX || dsmr_account_branch_decode(&branch, value, len)) {
        return DSMR_ERR_MALFORMED;
    }
    uint32_t i = dsmr_account_nibble(&place->path, place->depth++);
    link->kind = branch.kinds[i];
    link->hash = branch.hashes[i];
    return DSMR_OK;
}

enum dsmr_err dsmr_account_proof_make(struct dsmr_wr *out, struct dsmr_id *root,
                                      const struct dsmr_kv *kv, struct dsmr_kv_txn *snapshot,
                                      const struct dsmr_address *address)
{
    struct dsmr_transfers_state state;
    enum dsmr_err err = dsmr_transfers_state_get(&state, kv, snapshot);
    if (err) {
        return err;
    }
    struct dsmr_account_key key;
    dsmr_account_key_init(&key, address);
    struct dsmr_account_place place = {.path = key.path, .depth = 0};
    struct dsmr_account_link link = state.trie;
    dsmr_wr_u8(out, DSMR_ACCOUNT_PROOF_VERSION);
    dsmr_transfers_state_encode_head(out, &state);
    size_t count_at = out->at;
    uint8_t count = 0;
    dsmr_wr_u8(out, 0);
    while (link.kind != DSMR_ACCOUNT_KIND_NONE) {
        const uint8_t *value;
        size_t len;
        err = dsmr_account_read_node(&value, &len, kv, snapshot, &link, &place);
        if (err) {
            return err;
        }
        count++;
        dsmr_wr_u16(out, (uint16_t)len);
        dsmr_wr_bytes(out, value, len);
        if (link.kind != DSMR_ACCOUNT_KIND_BRANCH) {
            break;
        }
        if (descend(&link, &place, value, len)) {
            return DSMR_ERR_CORRUPT;
        }
    }
    if (out->err) {
        return DSMR_ERR_LIMIT;
    }
    out->bytes[count_at] = count;
    dsmr_transfers_state_root(root, &state);
    return DSMR_OK;
}

/* The balance of address in a bucket's value. */
static enum dsmr_err find(uint64_t *balance, const struct dsmr_address *address,
                          const uint8_t *value, size_t len)
{
    struct dsmr_account accounts[DSMR_ACCOUNT_BUCKET_MAX];
    uint32_t count;
    if (dsmr_account_bucket_decode(accounts, &count, value, len)) {
        return DSMR_ERR_MALFORMED;
    }
    bool is_found;
    uint32_t at = dsmr_account_search(accounts, count, address, &is_found);
    *balance = is_found ? accounts[at].balance : 0;
    return DSMR_OK;
}

/* Follows the nodes of the proof from link down. */
static enum dsmr_err follow(uint64_t *balance, struct dsmr_rd *rd, struct dsmr_account_link link,
                            const struct dsmr_address *address)
{
    struct dsmr_account_key key;
    dsmr_account_key_init(&key, address);
    struct dsmr_account_place place = {.path = key.path, .depth = 0};
    uint8_t left = dsmr_rd_u8(rd);
    *balance = 0;
    for (; link.kind != DSMR_ACCOUNT_KIND_NONE && left > 0; left--) {
        size_t len = dsmr_rd_u16(rd);
        const uint8_t *value = dsmr_rd_view(rd, len);
        if (!value) {
            return rd->err;
        }
        struct dsmr_id hash;
        dsmr_hash(&hash, value, len);
        if (dsmr_account_node_kind(value, len) != link.kind || !dsmr_id_equal(&hash, &link.hash)) {
            return DSMR_ERR_TX_MERKLE_PROOF;
        }
        if (link.kind != DSMR_ACCOUNT_KIND_BRANCH) {
            enum dsmr_err err = find(balance, address, value, len);
            return err || left == 1 ? err : DSMR_ERR_MALFORMED;
        }
        enum dsmr_err err = descend(&link, &place, value, len);
        if (err) {
            return err;
        }
    }
    /* Without a bucket at its end the proof is whole only where the trie has nothing. */
    return link.kind == DSMR_ACCOUNT_KIND_NONE && left == 0 ? DSMR_OK : DSMR_ERR_TX_MERKLE_PROOF;
}

enum dsmr_err dsmr_account_proof_check(uint64_t *balance, const struct dsmr_id *root,
                                       const struct dsmr_address *address, const void *proof,
                                       size_t len)
{
    struct dsmr_rd rd;
    struct dsmr_transfers_state state = {.height = 0};
    dsmr_rd_init(&rd, proof, len);
    if (dsmr_rd_u8(&rd) != DSMR_ACCOUNT_PROOF_VERSION) {
        return rd.err ? rd.err : DSMR_ERR_VERSION;
    }
    dsmr_transfers_state_decode_head(&rd, &state);
    if (rd.err) {
        return rd.err;
    }
    struct dsmr_id computed;
    dsmr_transfers_state_root(&computed, &state);
    if (!dsmr_id_equal(&computed, root)) {
        return DSMR_ERR_TX_MERKLE_PROOF;
    }
    uint64_t found;
    enum dsmr_err err = follow(&found, &rd, state.trie, address);
    if (!err) {
        err = dsmr_rd_end(&rd);
    }
    if (!err) {
        *balance = found;
    }
    return err;
}
