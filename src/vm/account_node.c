#include "vm/account_node.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "ports/kv.h"

#define TAG_BUCKET 0x10u
#define TAG_BRANCH 0x11u
#define BRANCH_HEAD_BYTES (1u + DSMR_ACCOUNT_ARITY)

_Static_assert(BRANCH_HEAD_BYTES + DSMR_ACCOUNT_ARITY * 32u <= DSMR_ACCOUNT_NODE_BYTES_MAX,
               "a branch fits where a bucket does");
_Static_assert(DSMR_ACCOUNT_NODE_KEY_BYTES_MAX <= DSMR_KV_KEY_BYTES_MAX, "key fits");

void dsmr_account_key_init(struct dsmr_account_key *out, const struct dsmr_address *address)
{
    out->address = *address;
    dsmr_hash(&out->path, address->bytes, sizeof address->bytes);
}

uint32_t dsmr_account_nibble(const struct dsmr_id *path, uint32_t depth)
{
    DSMR_ASSERT(depth < DSMR_ACCOUNT_DEPTH_MAX);
    uint8_t byte = path->bytes[depth / 2];
    return depth % 2 == 0 ? byte >> 4 : byte & 15u;
}

size_t dsmr_account_node_key(uint8_t *out, const struct dsmr_account_place *place)
{
    DSMR_ASSERT(place->depth <= DSMR_ACCOUNT_DEPTH_MAX);
    size_t whole = place->depth / 2;
    out[0] = DSMR_KV_SPACE_APP;
    out[1] = 't';
    out[2] = (uint8_t)place->depth;
    memcpy(out + 3, place->path.bytes, whole);
    if (place->depth % 2 == 0) {
        return 3 + whole;
    }
    out[3 + whole] = place->path.bytes[whole] & 0xf0;
    return 4 + whole;
}

size_t dsmr_account_bucket_encode(uint8_t *out, const struct dsmr_account *accounts, uint32_t count)
{
    DSMR_ASSERT(count >= 1 && count <= DSMR_ACCOUNT_BUCKET_MAX);
    out[0] = TAG_BUCKET;
    uint8_t *at = out + 1;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(at, accounts[i].address.bytes, sizeof accounts[i].address.bytes);
        dsmr_store_be64(at + 32, accounts[i].balance);
        at += DSMR_ACCOUNT_ENTRY_BYTES;
    }
    return (size_t)(at - out);
}

size_t dsmr_account_branch_encode(uint8_t *out, const struct dsmr_account_branch *branch)
{
    out[0] = TAG_BRANCH;
    memcpy(out + 1, branch->kinds, DSMR_ACCOUNT_ARITY);
    uint8_t *at = out + BRANCH_HEAD_BYTES;
    for (uint32_t i = 0; i < DSMR_ACCOUNT_ARITY; i++) {
        if (branch->kinds[i] != DSMR_ACCOUNT_KIND_NONE) {
            memcpy(at, branch->hashes[i].bytes, sizeof branch->hashes[i].bytes);
            at += sizeof branch->hashes[i].bytes;
        }
    }
    return (size_t)(at - out);
}

uint8_t dsmr_account_node_kind(const uint8_t *value, size_t len)
{
    if (len >= 1 && value[0] == TAG_BRANCH) {
        return DSMR_ACCOUNT_KIND_BRANCH;
    }
    if (len <= 1 || value[0] != TAG_BUCKET || len > DSMR_ACCOUNT_NODE_BYTES_MAX ||
        (len - 1) % DSMR_ACCOUNT_ENTRY_BYTES != 0) {
        return DSMR_ACCOUNT_KIND_NONE;
    }
    return (uint8_t)((len - 1) / DSMR_ACCOUNT_ENTRY_BYTES);
}

enum dsmr_err dsmr_account_bucket_decode(struct dsmr_account *accounts, uint32_t *count,
                                         const uint8_t *value, size_t len)
{
    uint8_t kind = dsmr_account_node_kind(value, len);
    if (kind == DSMR_ACCOUNT_KIND_NONE || kind == DSMR_ACCOUNT_KIND_BRANCH) {
        return DSMR_ERR_MALFORMED;
    }
    const uint8_t *at = value + 1;
    for (uint32_t i = 0; i < kind; i++) {
        memcpy(accounts[i].address.bytes, at, sizeof accounts[i].address.bytes);
        accounts[i].balance = dsmr_load_be64(at + 32);
        bool is_ordered = i == 0 || memcmp(at - DSMR_ACCOUNT_ENTRY_BYTES, at, 32) < 0;
        if (!is_ordered || accounts[i].balance == 0) {
            return DSMR_ERR_MALFORMED;
        }
        at += DSMR_ACCOUNT_ENTRY_BYTES;
    }
    *count = kind;
    return DSMR_OK;
}

enum dsmr_err dsmr_account_branch_decode(struct dsmr_account_branch *out, const uint8_t *value,
                                         size_t len)
{
    if (len < BRANCH_HEAD_BYTES || value[0] != TAG_BRANCH) {
        return DSMR_ERR_MALFORMED;
    }
    size_t expected = BRANCH_HEAD_BYTES;
    for (uint32_t i = 0; i < DSMR_ACCOUNT_ARITY; i++) {
        uint8_t kind = value[1 + i];
        if (kind > DSMR_ACCOUNT_BUCKET_MAX && kind != DSMR_ACCOUNT_KIND_BRANCH) {
            return DSMR_ERR_MALFORMED;
        }
        expected += kind == DSMR_ACCOUNT_KIND_NONE ? 0 : sizeof out->hashes[i].bytes;
    }
    if (len != expected) {
        return DSMR_ERR_MALFORMED;
    }
    memset(out, 0, sizeof *out);
    memcpy(out->kinds, value + 1, DSMR_ACCOUNT_ARITY);
    const uint8_t *at = value + BRANCH_HEAD_BYTES;
    for (uint32_t i = 0; i < DSMR_ACCOUNT_ARITY; i++) {
        if (out->kinds[i] != DSMR_ACCOUNT_KIND_NONE) {
            memcpy(out->hashes[i].bytes, at, sizeof out->hashes[i].bytes);
            at += sizeof out->hashes[i].bytes;
        }
    }
    /* Fewer accounts would have to be one bucket. */
    return dsmr_account_branch_total(out) > DSMR_ACCOUNT_BUCKET_MAX ? DSMR_OK : DSMR_ERR_MALFORMED;
}

uint32_t dsmr_account_branch_total(const struct dsmr_account_branch *branch)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < DSMR_ACCOUNT_ARITY; i++) {
        total += branch->kinds[i]; /* KIND_BRANCH alone is over the limit */
    }
    return total;
}

uint32_t dsmr_account_search(const struct dsmr_account *accounts, uint32_t count,
                             const struct dsmr_address *address, bool *is_found)
{
    uint32_t low = 0;
    uint32_t high = count;
    *is_found = false;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int order = memcmp(accounts[middle].address.bytes, address->bytes, sizeof address->bytes);
        if (order == 0) {
            *is_found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}
