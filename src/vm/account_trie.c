#include "vm/account_trie.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "vm/account_read.h"

struct node {
    bool is_branch;
    bool is_dirty;  /* differs from the store, or something below it does */
    bool is_stored; /* the store has a value under this node's key */
    uint32_t generation;
};
struct branch {
    struct node node;
    /* Of children that are in memory and dirty the link is out of date until finish. */
    struct dsmr_account_branch links;
    struct node *children[DSMR_ACCOUNT_ARITY];
};
struct bucket {
    struct node node;
    uint32_t count;
    uint32_t capacity;
    struct dsmr_account accounts[]; /* by address ascending; balance 0 until finish removes it */
};

struct dsmr_account_trie {
    const struct dsmr_kv *kv; /* NULL between blocks */
    struct dsmr_kv_txn *txn;
    struct dsmr_account_link root_link; /* what the nodes in memory belong to */
    struct node *root;
    int64_t growth;
    uint32_t generation;
    uint64_t cache_bytes;
    uint64_t cache_bytes_max;
    uint64_t generation_bytes; /* cache_bytes when the generation began */
};

static struct branch *as_branch(struct node *node)
{
    DSMR_ASSERT(node->is_branch);
    return (struct branch *)(void *)node;
}

static struct bucket *as_bucket(struct node *node)
{
    DSMR_ASSERT(!node->is_branch);
    return (struct bucket *)(void *)node;
}

static size_t bucket_bytes(uint32_t capacity)
{
    return sizeof(struct bucket) + capacity * sizeof(struct dsmr_account);
}

static size_t node_bytes(struct node *node)
{
    return node->is_branch ? sizeof(struct branch) : bucket_bytes(as_bucket(node)->capacity);
}

static struct branch *branch_new(struct dsmr_account_trie *trie)
{
    struct branch *branch = calloc(1, sizeof *branch);
    if (branch) {
        branch->node.is_branch = true;
        branch->node.generation = trie->generation;
        trie->cache_bytes += sizeof *branch;
    }
    return branch;
}

/* A few more places than asked for, so that not every new account moves its bucket. */
static struct bucket *bucket_new(struct dsmr_account_trie *trie, uint32_t capacity)
{
    capacity = (capacity + 3) & ~3u;
    DSMR_ASSERT(capacity <= DSMR_ACCOUNT_BUCKET_MAX);
    struct bucket *bucket = malloc(bucket_bytes(capacity));
    if (bucket) {
        *bucket = (struct bucket){.capacity = capacity};
        bucket->node.generation = trie->generation;
        trie->cache_bytes += bucket_bytes(capacity);
    }
    return bucket;
}

static void node_free(struct dsmr_account_trie *trie, struct node *node)
{
    trie->cache_bytes -= node_bytes(node);
    free(node);
}

/* Frees the subtree in memory. Depth is bounded by DSMR_ACCOUNT_DEPTH_MAX. */
static void drop(struct dsmr_account_trie *trie, struct node **slot)
{
    struct node *node = *slot;
    *slot = NULL;
    if (!node) {
        return;
    }
    if (node->is_branch) {
        for (uint32_t i = 0; i < DSMR_ACCOUNT_ARITY; i++) {
            drop(trie, &as_branch(node)->children[i]);
        }
    }
    node_free(trie, node);
}

/* Reads the node that link names from the store into *slot. */
static enum dsmr_err load(struct dsmr_account_trie *trie, struct node **slot,
                          const struct dsmr_account_link *link,
                          const struct dsmr_account_place *place)
{
    const uint8_t *value;
    size_t len;
    enum dsmr_err err = dsmr_account_read_node(&value, &len, trie->kv, trie->txn, link, place);
    if (err) {
        return err;
    }
    struct node *node = NULL;
    if (link->kind == DSMR_ACCOUNT_KIND_BRANCH) {
        struct branch *branch = branch_new(trie);
        node = branch ? &branch->node : NULL;
        err = branch ? dsmr_account_branch_decode(&branch->links, value, len) : DSMR_ERR_NO_MEMORY;
    } else {
        struct bucket *bucket = bucket_new(trie, link->kind);
        node = bucket ? &bucket->node : NULL;
        err = bucket ? dsmr_account_bucket_decode(bucket->accounts, &bucket->count, value, len)
                     : DSMR_ERR_NO_MEMORY;
    }
    if (err) {
        if (node) {
            node_free(trie, node);
        }
        return err == DSMR_ERR_MALFORMED ? DSMR_ERR_CORRUPT : err;
    }
    node->is_stored = true;
    *slot = node;
    return DSMR_OK;
}

/* Goes to where key's account is or would be: *slot holds its bucket, or NULL where there is none
 * yet; *depth is the bucket's. for_write marks the way as changed. */
static enum dsmr_err reach(struct dsmr_account_trie *trie, struct node ***slot, uint32_t *depth,
                           const struct dsmr_account_key *key, bool for_write)
{
    struct dsmr_account_link link = trie->root_link;
    struct node **at = &trie->root;
    for (uint32_t level = 0;; level++) {
        if (!*at && link.kind != DSMR_ACCOUNT_KIND_NONE) {
            struct dsmr_account_place place = {.path = key->path, .depth = level};
            enum dsmr_err err = load(trie, at, &link, &place);
            if (err) {
                return err;
            }
        }
        if (*at) {
            (*at)->generation = trie->generation;
            (*at)->is_dirty |= for_write;
        }
        if (!*at || !(*at)->is_branch) {
            *slot = at;
            *depth = level;
            return DSMR_OK;
        }
        if (level >= DSMR_ACCOUNT_DEPTH_MAX) {
            return DSMR_ERR_CORRUPT;
        }
        struct branch *branch = as_branch(*at);
        uint32_t i = dsmr_account_nibble(&key->path, level);
        at = &branch->children[i];
        if (!*at) {
            link.kind = branch->links.kinds[i];
            link.hash = branch->links.hashes[i];
        }
    }
}

/* Replaces the full bucket at *slot by a branch over its accounts. */
static enum dsmr_err split(struct dsmr_account_trie *trie, struct node **slot, uint32_t depth)
{
    struct bucket *full = as_bucket(*slot);
    struct branch *branch = depth < DSMR_ACCOUNT_DEPTH_MAX ? branch_new(trie) : NULL;
    if (!branch) {
        return depth < DSMR_ACCOUNT_DEPTH_MAX ? DSMR_ERR_NO_MEMORY : DSMR_ERR_CORRUPT;
    }
    uint8_t nibbles[DSMR_ACCOUNT_BUCKET_MAX];
    uint32_t counts[DSMR_ACCOUNT_ARITY] = {0};
    for (uint32_t i = 0; i < full->count; i++) {
        struct dsmr_account_key key;
        dsmr_account_key_init(&key, &full->accounts[i].address);
        nibbles[i] = (uint8_t)dsmr_account_nibble(&key.path, depth);
        counts[nibbles[i]]++;
    }
    struct node *node = &branch->node;
    for (uint32_t i = 0; i < DSMR_ACCOUNT_ARITY; i++) {
        if (counts[i] > 0) {
            struct bucket *child = bucket_new(trie, counts[i]);
            if (!child) {
                drop(trie, &node);
                return DSMR_ERR_NO_MEMORY;
            }
            child->node.is_dirty = true;
            branch->children[i] = &child->node;
        }
    }
    for (uint32_t i = 0; i < full->count; i++) {
        struct bucket *child = as_bucket(branch->children[nibbles[i]]);
        child->accounts[child->count++] = full->accounts[i];
    }
    node->is_dirty = true;
    node->is_stored = full->node.is_stored;
    node_free(trie, &full->node);
    *slot = node;
    return DSMR_OK;
}

/* Makes room for one more account in the bucket at *slot, which is not full. */
static enum dsmr_err grow(struct dsmr_account_trie *trie, struct node **slot)
{
    struct bucket *old = *slot ? as_bucket(*slot) : NULL;
    if (old && old->count < old->capacity) {
        return DSMR_OK;
    }
    struct bucket *bucket = bucket_new(trie, old ? old->count + 1 : 1);
    if (!bucket) {
        return DSMR_ERR_NO_MEMORY;
    }
    bucket->node.is_dirty = true;
    if (old) {
        bucket->count = old->count;
        bucket->node.is_stored = old->node.is_stored;
        memcpy(bucket->accounts, old->accounts, old->count * sizeof old->accounts[0]);
        node_free(trie, &old->node);
    }
    *slot = &bucket->node;
    return DSMR_OK;
}

static void insert(struct bucket *bucket, uint32_t at, const struct dsmr_address *address,
                   uint64_t balance)
{
    DSMR_ASSERT(bucket->count < bucket->capacity);
    memmove(&bucket->accounts[at + 1], &bucket->accounts[at],
            (bucket->count - at) * sizeof bucket->accounts[0]);
    bucket->accounts[at] = (struct dsmr_account){.address = *address, .balance = balance};
    bucket->count++;
}

enum dsmr_err dsmr_account_trie_balance(struct dsmr_account_trie *trie, uint64_t *balance,
                                        const struct dsmr_account_key *key)
{
    DSMR_ASSERT(trie->kv);
    struct node **slot;
    uint32_t depth;
    enum dsmr_err err = reach(trie, &slot, &depth, key, false);
    if (err) {
        return err;
    }
    *balance = 0;
    if (*slot) {
        bool is_found;
        struct bucket *bucket = as_bucket(*slot);
        uint32_t at =
            dsmr_account_search(bucket->accounts, bucket->count, &key->address, &is_found);
        *balance = is_found ? bucket->accounts[at].balance : 0;
    }
    return DSMR_OK;
}

enum dsmr_err dsmr_account_trie_take(struct dsmr_account_trie *trie,
                                     const struct dsmr_account_key *key, uint64_t amount)
{
    DSMR_ASSERT(trie->kv);
    if (amount == 0) {
        return DSMR_OK;
    }
    struct node **slot;
    uint32_t depth;
    enum dsmr_err err = reach(trie, &slot, &depth, key, true);
    if (err || !*slot) {
        return err ? err : DSMR_ERR_CORRUPT;
    }
    bool is_found;
    struct bucket *bucket = as_bucket(*slot);
    uint32_t at = dsmr_account_search(bucket->accounts, bucket->count, &key->address, &is_found);
    if (!is_found || bucket->accounts[at].balance < amount) {
        return DSMR_ERR_CORRUPT;
    }
    bucket->accounts[at].balance -= amount;
    trie->growth -= bucket->accounts[at].balance == 0;
    return DSMR_OK;
}

enum dsmr_err dsmr_account_trie_give(struct dsmr_account_trie *trie,
                                     const struct dsmr_account_key *key, uint64_t amount)
{
    DSMR_ASSERT(trie->kv);
    if (amount == 0) {
        return DSMR_OK;
    }
    for (;;) {
        struct node **slot;
        uint32_t depth;
        enum dsmr_err err = reach(trie, &slot, &depth, key, true);
        if (err) {
            return err;
        }
        bool is_found = false;
        uint32_t at = 0;
        struct bucket *bucket = *slot ? as_bucket(*slot) : NULL;
        if (bucket) {
            at = dsmr_account_search(bucket->accounts, bucket->count, &key->address, &is_found);
        }
        if (is_found) {
            uint64_t *balance = &bucket->accounts[at].balance;
            if (amount > UINT64_MAX - *balance) {
                return DSMR_ERR_CORRUPT;
            }
            trie->growth += *balance == 0;
            *balance += amount;
            return DSMR_OK;
        }
        if (!bucket || bucket->count < DSMR_ACCOUNT_BUCKET_MAX) {
            err = grow(trie, slot);
            if (!err) {
                insert(as_bucket(*slot), at, &key->address, amount);
                trie->growth++;
            }
            return err;
        }
        err = split(trie, slot, depth);
        if (err) {
            return err;
        }
    }
}

static enum dsmr_err put(struct dsmr_account_trie *trie, struct node *node,
                         struct dsmr_account_link *link, const struct dsmr_account_place *place)
{
    uint8_t key[DSMR_ACCOUNT_NODE_KEY_BYTES_MAX];
    uint8_t value[DSMR_ACCOUNT_NODE_BYTES_MAX];
    size_t len = node->is_branch ? dsmr_account_branch_encode(value, &as_branch(node)->links)
                                 : dsmr_account_bucket_encode(value, as_bucket(node)->accounts,
                                                              as_bucket(node)->count);
    link->kind = dsmr_account_node_kind(value, len);
    dsmr_hash(&link->hash, value, len);
    node->is_dirty = false;
    node->is_stored = true;
    return trie->kv->ops->put(trie->kv->self, trie->txn, key, dsmr_account_node_key(key, place),
                              value, len);
}

/* Takes the node at *slot out of memory and out of the store. */
static enum dsmr_err erase(struct dsmr_account_trie *trie, struct node **slot,
                           const struct dsmr_account_place *place)
{
    bool is_stored = (*slot)->is_stored;
    drop(trie, slot);
    if (!is_stored) {
        return DSMR_OK;
    }
    uint8_t key[DSMR_ACCOUNT_NODE_KEY_BYTES_MAX];
    return trie->kv->ops->del(trie->kv->self, trie->txn, key, dsmr_account_node_key(key, place));
}

static struct dsmr_account_place child_place(const struct dsmr_account_place *place, uint32_t i)
{
    struct dsmr_account_place child = {.path = place->path, .depth = place->depth + 1};
    uint8_t *byte = &child.path.bytes[place->depth / 2];
    *byte = (uint8_t)(place->depth % 2 == 0 ? i << 4 : (*byte & 0xf0u) | i);
    return child;
}

/* Replaces the branch at *slot, whose children are buckets of at most 32 accounts in all, by one
 * bucket; *slot becomes NULL if there is none. The children leave the store. */
static enum dsmr_err collapse(struct dsmr_account_trie *trie, struct node **slot,
                              const struct dsmr_account_place *place)
{
    struct branch *branch = as_branch(*slot);
    struct bucket *bucket = bucket_new(trie, DSMR_ACCOUNT_BUCKET_MAX);
    if (!bucket) {
        return DSMR_ERR_NO_MEMORY;
    }
    bucket->node.is_dirty = true;
    bucket->node.is_stored = branch->node.is_stored;
    enum dsmr_err err = DSMR_OK;
    for (uint32_t i = 0; i < DSMR_ACCOUNT_ARITY && !err; i++) {
        struct node **child = &branch->children[i];
        if (!*child && branch->links.kinds[i] == DSMR_ACCOUNT_KIND_NONE) {
            continue;
        }
        struct dsmr_account_place below = child_place(place, i);
        struct dsmr_account_link link = {.kind = branch->links.kinds[i],
                                         .hash = branch->links.hashes[i]};
        err = *child ? DSMR_OK : load(trie, child, &link, &below);
        if (!err) {
            const struct bucket *from = as_bucket(*child);
            for (uint32_t k = 0; k < from->count; k++) {
                bool is_found;
                const struct dsmr_account *account = &from->accounts[k];
                uint32_t at = dsmr_account_search(bucket->accounts, bucket->count,
                                                  &account->address, &is_found);
                insert(bucket, at, &account->address, account->balance);
            }
            err = erase(trie, child, &below);
        }
    }
    drop(trie, slot);
    *slot = &bucket->node;
    return err;
}

/* Brings the subtree at *slot into its one form, hashes and writes it; *link then names it. */
static enum dsmr_err flush(struct dsmr_account_trie *trie, struct node **slot,
                           struct dsmr_account_link *link, const struct dsmr_account_place *place)
{
    if (!*slot || !(*slot)->is_dirty) {
        return DSMR_OK;
    }
    if ((*slot)->is_branch) {
        struct branch *branch = as_branch(*slot);
        for (uint32_t i = 0; i < DSMR_ACCOUNT_ARITY; i++) {
            if (!branch->children[i] || !branch->children[i]->is_dirty) {
                continue;
            }
            struct dsmr_account_place below = child_place(place, i);
            struct dsmr_account_link child = {.kind = DSMR_ACCOUNT_KIND_NONE};
            enum dsmr_err err = flush(trie, &branch->children[i], &child, &below);
            if (err) {
                return err;
            }
            branch->links.kinds[i] = child.kind;
            branch->links.hashes[i] = child.hash;
        }
        if (dsmr_account_branch_total(&branch->links) > DSMR_ACCOUNT_BUCKET_MAX) {
            return put(trie, *slot, link, place);
        }
        enum dsmr_err err = collapse(trie, slot, place);
        if (err) {
            return err;
        }
    }
    struct bucket *bucket = as_bucket(*slot);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < bucket->count; i++) {
        if (bucket->accounts[i].balance > 0) {
            bucket->accounts[kept++] = bucket->accounts[i];
        }
    }
    bucket->count = kept;
    if (kept == 0) {
        *link = (struct dsmr_account_link){.kind = DSMR_ACCOUNT_KIND_NONE};
        return erase(trie, slot, place);
    }
    return put(trie, *slot, link, place);
}

/* Drops what was not used in this generation; what is used hangs from what is used. */
static void drop_unused(struct dsmr_account_trie *trie, struct node **slot)
{
    struct node *node = *slot;
    if (!node) {
        return;
    }
    if (node->generation != trie->generation) {
        drop(trie, slot);
        return;
    }
    if (node->is_branch) {
        for (uint32_t i = 0; i < DSMR_ACCOUNT_ARITY; i++) {
            drop_unused(trie, &as_branch(node)->children[i]);
        }
    }
}

/* Keeps the cache within its limit. A generation lasts until the cache has grown by half of it, so
 * that what many blocks use survives what one block used once. */
static void evict(struct dsmr_account_trie *trie)
{
    bool is_over = trie->cache_bytes > trie->cache_bytes_max;
    if (is_over) {
        drop_unused(trie, &trie->root);
    }
    if (trie->cache_bytes > trie->cache_bytes_max) {
        drop(trie, &trie->root);
    }
    if (is_over || trie->cache_bytes > trie->generation_bytes + trie->cache_bytes_max / 2) {
        trie->generation++;
        trie->generation_bytes = trie->cache_bytes;
    }
}

struct dsmr_account_trie *dsmr_account_trie_new(uint64_t cache_bytes_max)
{
    struct dsmr_account_trie *trie = calloc(1, sizeof *trie);
    if (trie) {
        trie->cache_bytes_max = cache_bytes_max;
    }
    return trie;
}

void dsmr_account_trie_free(struct dsmr_account_trie *trie)
{
    if (trie) {
        drop(trie, &trie->root);
        DSMR_ASSERT(trie->cache_bytes == 0);
        free(trie);
    }
}

void dsmr_account_trie_begin(struct dsmr_account_trie *trie, const struct dsmr_kv *kv,
                             struct dsmr_kv_txn *txn, const struct dsmr_account_link *root)
{
    DSMR_ASSERT(!trie->kv);
    if (trie->root_link.kind != root->kind || !dsmr_id_equal(&trie->root_link.hash, &root->hash)) {
        drop(trie, &trie->root);
        trie->generation_bytes = 0;
        trie->root_link = *root;
    }
    trie->kv = kv;
    trie->txn = txn;
    trie->growth = 0;
}

int64_t dsmr_account_trie_growth(const struct dsmr_account_trie *trie)
{
    return trie->growth;
}

enum dsmr_err dsmr_account_trie_finish(struct dsmr_account_trie *trie,
                                       struct dsmr_account_link *root)
{
    DSMR_ASSERT(trie->kv);
    struct dsmr_account_place top = {.depth = 0};
    struct dsmr_account_link link = trie->root_link;
    enum dsmr_err err = flush(trie, &trie->root, &link, &top);
    if (err) {
        return err;
    }
    trie->kv = NULL;
    trie->txn = NULL;
    trie->root_link = link;
    *root = link;
    evict(trie);
    return DSMR_OK;
}

void dsmr_account_trie_cancel(struct dsmr_account_trie *trie)
{
    drop(trie, &trie->root);
    trie->kv = NULL;
    trie->txn = NULL;
    trie->root_link = (struct dsmr_account_link){.kind = DSMR_ACCOUNT_KIND_NONE};
}

uint64_t dsmr_account_trie_cache_bytes(const struct dsmr_account_trie *trie)
{
    return trie->cache_bytes;
}
