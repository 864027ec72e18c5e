#include "vm/account_read.h"

#include "base/bytes.h"
#include "crypto/hash.h"

enum dsmr_err dsmr_account_read_node(const uint8_t **value, size_t *value_len,
                                     const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                     const struct dsmr_account_link *link,
                                     const struct dsmr_account_place *place)
{
    uint8_t key[DSMR_ACCOUNT_NODE_KEY_BYTES_MAX];
    const uint8_t *bytes = NULL;
    size_t len = 0;
    enum dsmr_err err =
        kv->ops->get(kv->self, txn, key, dsmr_account_node_key(key, place), &bytes, &len);
    if (err) {
        return err == DSMR_ERR_UNKNOWN ? DSMR_ERR_CORRUPT : err;
    }
    struct dsmr_id hash;
    dsmr_hash(&hash, bytes, len);
    if (dsmr_account_node_kind(bytes, len) != link->kind || !dsmr_id_equal(&hash, &link->hash)) {
        return DSMR_ERR_CORRUPT;
    }
    *value = bytes;
    *value_len = len;
    return DSMR_OK;
}

enum dsmr_err dsmr_account_read_balance(uint64_t *balance, const struct dsmr_kv *kv,
                                        struct dsmr_kv_txn *snapshot,
                                        const struct dsmr_account_link *root,
                                        const struct dsmr_account_key *key)
{
    struct dsmr_account_place place = {.path = key->path, .depth = 0};
    struct dsmr_account_link link = *root;
    struct dsmr_account accounts[DSMR_ACCOUNT_BUCKET_MAX];
    uint32_t count = 0;
    while (link.kind != DSMR_ACCOUNT_KIND_NONE) {
        const uint8_t *value;
        size_t len;
        enum dsmr_err err = dsmr_account_read_node(&value, &len, kv, snapshot, &link, &place);
        if (err) {
            return err;
        }
        if (link.kind != DSMR_ACCOUNT_KIND_BRANCH) {
            if (dsmr_account_bucket_decode(accounts, &count, value, len)) {
                return DSMR_ERR_CORRUPT;
            }
            break;
        }
        struct dsmr_account_branch branch;
        if (place.depth >= DSMR_ACCOUNT_DEPTH_MAX ||
            dsmr_account_branch_decode(&branch, value, len)) {
            return DSMR_ERR_CORRUPT;
        }
        uint32_t i = dsmr_account_nibble(&key->path, place.depth++);
        link.kind = branch.kinds[i];
        link.hash = branch.hashes[i];
    }
    bool is_found;
    uint32_t at = dsmr_account_search(accounts, count, &key->address, &is_found);
    *balance = is_found ? accounts[at].balance : 0;
    return DSMR_OK;
}
