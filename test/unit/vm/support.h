/* support.h - what the tests of vm share: a store, keys, and roots computed the slow way.
 *
 * The slow way re-derives docs/transfers.md from lists; it calls nothing of src/vm. */
#ifndef DSMR_TEST_UNIT_VM_SUPPORT_H
#define DSMR_TEST_UNIT_VM_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "crypto/ed25519.h"
#include "crypto/hash.h"
#include "store/kv_mem.h"
#include "vm/account_node.h"

struct fixture {
    struct dsmr_kv_mem *mem;
    struct dsmr_kv kv;
};

static inline void fixture_init(struct fixture *f)
{
    f->mem = dsmr_kv_mem_new();
    assert_non_null(f->mem);
    f->kv = dsmr_kv_mem_port(f->mem);
}

static inline void fixture_close(struct fixture *f)
{
    dsmr_kv_mem_free(f->mem);
}

static inline struct dsmr_kv_txn *begin(struct fixture *f, bool write)
{
    struct dsmr_kv_txn *txn = NULL;
    assert_int_equal(f->kv.ops->begin(f->kv.self, &txn, write), DSMR_OK);
    return txn;
}

static inline void commit(struct fixture *f, struct dsmr_kv_txn *txn)
{
    assert_int_equal(f->kv.ops->commit(f->kv.self, txn), DSMR_OK);
}

static inline void abort_txn(struct fixture *f, struct dsmr_kv_txn *txn)
{
    f->kv.ops->abort(f->kv.self, txn);
}

static inline struct dsmr_address address_of(uint64_t number)
{
    struct dsmr_id id;
    struct dsmr_address address;
    uint8_t bytes[9] = {'a'};
    memcpy(bytes + 1, &number, sizeof number);
    dsmr_hash(&id, bytes, sizeof bytes);
    memcpy(address.bytes, id.bytes, sizeof address.bytes);
    return address;
}

static inline struct dsmr_ed25519_secret_key secret_of(uint64_t number)
{
    struct dsmr_ed25519_secret_key key;
    struct dsmr_id id;
    uint8_t bytes[9] = {'s'};
    memcpy(bytes + 1, &number, sizeof number);
    dsmr_hash(&id, bytes, sizeof bytes);
    memcpy(key.bytes, id.bytes, sizeof key.bytes);
    return key;
}

static inline struct dsmr_address address_of_secret(const struct dsmr_ed25519_secret_key *secret)
{
    struct dsmr_ed25519_public_key key;
    struct dsmr_address address;
    dsmr_ed25519_public(&key, secret);
    memcpy(address.bytes, key.bytes, sizeof address.bytes);
    return address;
}

static inline void slow_u64(uint8_t *out, uint64_t v)
{
    for (int i = 7; i >= 0; i--) {
        out[i] = (uint8_t)v;
        v >>= 8;
    }
}

static inline int slow_by_address(const void *a, const void *b)
{
    return memcmp(((const struct dsmr_account *)a)->address.bytes,
                  ((const struct dsmr_account *)b)->address.bytes, 32);
}

/* Hash and kind of the subtree over accounts (all below one place at depth); *nodes counts. */
static inline struct dsmr_account_link slow_link(const struct dsmr_account *accounts, size_t count,
                                                 uint32_t depth, uint64_t *nodes)
{
    struct dsmr_account_link link = {.kind = 0};
    uint8_t preimage[2048];
    size_t len = 0;
    if (count == 0) {
        return link;
    }
    ++*nodes;
    struct dsmr_account *part = malloc(count * sizeof *part);
    assert_non_null(part);
    if (count <= 32) {
        memcpy(part, accounts, count * sizeof *part);
        qsort(part, count, sizeof *part, slow_by_address);
        preimage[len++] = 0x10;
        for (size_t i = 0; i < count; i++) {
            memcpy(preimage + len, part[i].address.bytes, 32);
            slow_u64(preimage + len + 32, part[i].balance);
            len += 40;
        }
        link.kind = (uint8_t)count;
    } else {
        preimage[len++] = 0x11;
        len += 16;
        for (uint32_t nibble = 0; nibble < 16; nibble++) {
            size_t n = 0;
            for (size_t i = 0; i < count; i++) {
                struct dsmr_id path;
                dsmr_hash(&path, accounts[i].address.bytes, 32);
                uint32_t digit = path.bytes[depth / 2] >> (depth % 2 ? 0 : 4) & 15;
                if (digit == nibble) {
                    part[n++] = accounts[i];
                }
            }
            struct dsmr_account_link child = slow_link(part, n, depth + 1, nodes);
            preimage[1 + nibble] = child.kind;
            if (child.kind) {
                memcpy(preimage + len, child.hash.bytes, 32);
                len += 32;
            }
        }
        link.kind = 255;
    }
    dsmr_hash(&link.hash, preimage, len);
    free(part);
    return link;
}

/* The state root over accounts, those with balance 0 left out. fees: base, per byte, per sig. */
static inline struct dsmr_id slow_root(const struct dsmr_account *accounts, size_t count,
                                       const uint64_t fees[3])
{
    struct dsmr_account *existing = malloc((count + 1) * sizeof *existing);
    assert_non_null(existing);
    size_t n = 0;
    uint64_t supply = 0;
    uint64_t nodes = 0;
    for (size_t i = 0; i < count; i++) {
        if (accounts[i].balance > 0) {
            existing[n++] = accounts[i];
            supply += accounts[i].balance;
        }
    }
    struct dsmr_account_link link = slow_link(existing, n, 0, &nodes);
    uint8_t preimage[74] = {0x12};
    slow_u64(preimage + 1, n);
    slow_u64(preimage + 9, supply);
    slow_u64(preimage + 17, fees[0]);
    slow_u64(preimage + 25, fees[1]);
    slow_u64(preimage + 33, fees[2]);
    preimage[41] = link.kind;
    memcpy(preimage + 42, link.hash.bytes, 32);
    struct dsmr_id root;
    dsmr_hash(&root, preimage, sizeof preimage);
    free(existing);
    return root;
}

#endif
