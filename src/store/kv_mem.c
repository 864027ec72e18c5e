#include "store/kv_mem.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/prng.h"

#define PRIORITY_SEED 0x6b765f6d656dull

struct entry { /* immutable; shared by every version of the tree that has it */
    _Atomic uint32_t refs;
    uint32_t key_len;
    size_t value_len;
    uint8_t bytes[]; /* key, then value */
};

/* Nodes of the writer's own stamp are seen by nobody else and may be changed in place. */
struct node {
    _Atomic uint32_t refs;
    uint64_t stamp;
    uint64_t priority;
    struct entry *entry;
    struct node *children[2];
};

struct dsmr_kv_txn {
    struct node *root; /* one reference */
    uint64_t count;
    uint64_t stamp;
    bool is_write;
};

struct dsmr_kv_mem {
    atomic_flag lock; /* guards root and count: held for a few instructions */
    struct node *root;
    uint64_t count;
    uint64_t stamp;
    bool has_writer;
    struct dsmr_prng prng;
    uint64_t fail_after;
    enum dsmr_err fail_err;
    bool has_failed;
};

static void lock(struct dsmr_kv_mem *mem)
{
    while (atomic_flag_test_and_set_explicit(&mem->lock, memory_order_acquire)) {
    }
}

static void unlock(struct dsmr_kv_mem *mem)
{
    atomic_flag_clear_explicit(&mem->lock, memory_order_release);
}

/* Counts down to the failure that a test asked for. Not synchronised: tests with failures have one
 * thread; without one nothing is written here. */
static enum dsmr_err injected(struct dsmr_kv_mem *mem)
{
    if (mem->fail_after == UINT64_MAX) {
        return DSMR_OK;
    }
    if (mem->fail_after > 0) {
        mem->fail_after--;
        return DSMR_OK;
    }
    mem->fail_after = UINT64_MAX;
    mem->has_failed = true;
    return mem->fail_err;
}

static int compare(const void *a, size_t a_len, const void *b, size_t b_len)
{
    size_t common = a_len < b_len ? a_len : b_len;
    int order = common == 0 ? 0 : memcmp(a, b, common);
    if (order != 0) {
        return order;
    }
    return a_len < b_len ? -1 : a_len > b_len;
}

static int compare_entry(const void *key, size_t key_len, const struct node *node)
{
    return compare(key, key_len, node->entry->bytes, node->entry->key_len);
}

static void entry_unref(struct entry *entry)
{
    if (atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) == 1) {
        free(entry);
    }
}

static struct node *node_ref(struct node *node)
{
    if (node) {
        atomic_fetch_add_explicit(&node->refs, 1, memory_order_relaxed);
    }
    return node;
}

/* Recursion is as deep as the treap: logarithmic in the number of keys, whatever the keys are. */
static void node_unref(struct node *node)
{
    if (node && atomic_fetch_sub_explicit(&node->refs, 1, memory_order_acq_rel) == 1) {
        node_unref(node->children[0]);
        node_unref(node->children[1]);
        entry_unref(node->entry);
        free(node);
    }
}

static struct node *node_new(struct entry *entry, uint64_t priority, uint64_t stamp)
{
    struct node *node = malloc(sizeof *node);
    if (node) {
        *node = (struct node){.stamp = stamp, .priority = priority, .entry = entry};
        atomic_init(&node->refs, 1);
    }
    return node;
}

/* Makes *slot a node that this transaction may change. */
static enum dsmr_err own(struct node **slot, uint64_t stamp)
{
    struct node *old = *slot;
    if (old->stamp == stamp) {
        return DSMR_OK;
    }
    struct node *copy = node_new(old->entry, old->priority, stamp);
    if (!copy) {
        return DSMR_ERR_NO_MEMORY;
    }
    atomic_fetch_add_explicit(&old->entry->refs, 1, memory_order_relaxed);
    copy->children[0] = node_ref(old->children[0]);
    copy->children[1] = node_ref(old->children[1]);
    node_unref(old);
    *slot = copy;
    return DSMR_OK;
}

/* The child on `side` goes up into *slot; both nodes are own. */
static void rotate(struct node **slot, int side)
{
    struct node *node = *slot;
    struct node *child = node->children[side];
    node->children[side] = child->children[!side];
    child->children[!side] = node;
    *slot = child;
}

/* Adds or replaces; *is_new tells which. entry: its reference passes to the tree on OK. */
static enum dsmr_err insert(struct node **slot, struct entry *entry, uint64_t priority,
                            uint64_t stamp, bool *is_new)
{
    if (!*slot) {
        *slot = node_new(entry, priority, stamp);
        *is_new = true;
        return *slot ? DSMR_OK : DSMR_ERR_NO_MEMORY;
    }
    enum dsmr_err err = own(slot, stamp);
    if (err) {
        return err;
    }
    struct node *node = *slot;
    int order = compare_entry(entry->bytes, entry->key_len, node);
    if (order == 0) {
        entry_unref(node->entry);
        node->entry = entry;
        *is_new = false;
        return DSMR_OK;
    }
    int side = order > 0;
    err = insert(&node->children[side], entry, priority, stamp, is_new);
    if (!err && node->children[side]->priority > node->priority) {
        rotate(slot, side);
    }
    return err;
}

/* Removes the node at *slot by rotating it down. On NO_MEMORY the tree still has all its keys. */
static enum dsmr_err sink(struct node **slot, uint64_t stamp)
{
    enum dsmr_err err = own(slot, stamp);
    struct node *node = *slot;
    while (!err && node->children[0] && node->children[1]) {
        int side = node->children[1]->priority > node->children[0]->priority;
        err = own(&node->children[side], stamp);
        if (!err) {
            rotate(slot, side);
            slot = &(*slot)->children[!side];
        }
    }
    if (!err) {
        *slot = node->children[0] ? node->children[0] : node->children[1];
        node->children[0] = NULL;
        node->children[1] = NULL;
        node_unref(node);
    }
    return err;
}

static const struct node *find(const struct node *node, const void *key, size_t key_len)
{
    while (node) {
        int order = compare_entry(key, key_len, node);
        if (order == 0) {
            break;
        }
        node = node->children[order > 0];
    }
    return node;
}

static enum dsmr_err mem_begin(void *self, struct dsmr_kv_txn **out, bool write)
{
    struct dsmr_kv_mem *mem = self;
    enum dsmr_err err = injected(mem);
    struct dsmr_kv_txn *txn = err ? NULL : malloc(sizeof *txn);
    if (!txn) {
        return err ? err : DSMR_ERR_NO_MEMORY;
    }
    lock(mem);
    bool is_second_writer = write && mem->has_writer;
    *txn = (struct dsmr_kv_txn){.root = node_ref(mem->root), .count = mem->count};
    txn->is_write = write;
    if (write) {
        mem->has_writer = true;
        txn->stamp = ++mem->stamp;
    }
    unlock(mem);
    DSMR_ASSERT(!is_second_writer);
    *out = txn;
    return DSMR_OK;
}

static void mem_abort(void *self, struct dsmr_kv_txn *txn)
{
    struct dsmr_kv_mem *mem = self;
    if (txn->is_write) {
        lock(mem);
        mem->has_writer = false;
        unlock(mem);
    }
    node_unref(txn->root);
    free(txn);
}

static enum dsmr_err mem_commit(void *self, struct dsmr_kv_txn *txn)
{
    struct dsmr_kv_mem *mem = self;
    enum dsmr_err err = injected(mem);
    if (!err && txn->is_write) {
        lock(mem);
        struct node *old = mem->root;
        mem->root = txn->root;
        mem->count = txn->count;
        unlock(mem);
        txn->root = old;
    }
    mem_abort(self, txn);
    return err;
}

static enum dsmr_err mem_get(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                             const uint8_t **value, size_t *value_len)
{
    enum dsmr_err err = injected(self);
    if (err) {
        return err;
    }
    const struct node *node = find(txn->root, key, key_len);
    if (!node) {
        return DSMR_ERR_UNKNOWN;
    }
    *value = node->entry->bytes + node->entry->key_len;
    *value_len = node->entry->value_len;
    return DSMR_OK;
}

static enum dsmr_err mem_put(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                             const void *value, size_t value_len)
{
    struct dsmr_kv_mem *mem = self;
    DSMR_ASSERT(txn->is_write);
    DSMR_ASSERT(key_len >= 1 && key_len <= DSMR_KV_KEY_BYTES_MAX);
    DSMR_ASSERT(value_len <= DSMR_KV_VALUE_BYTES_MAX);
    enum dsmr_err err = injected(mem);
    if (err) {
        return err;
    }
    struct entry *entry = malloc(sizeof *entry + key_len + value_len);
    if (!entry) {
        return DSMR_ERR_NO_MEMORY;
    }
    atomic_init(&entry->refs, 1);
    entry->key_len = (uint32_t)key_len;
    entry->value_len = value_len;
    memcpy(entry->bytes, key, key_len);
    if (value_len > 0) {
        memcpy(entry->bytes + key_len, value, value_len);
    }
    bool is_new = false;
    err = insert(&txn->root, entry, dsmr_prng_next(&mem->prng), txn->stamp, &is_new);
    if (err) {
        entry_unref(entry);
    } else if (is_new) {
        txn->count++;
    }
    return err;
}

static enum dsmr_err mem_del(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len)
{
    DSMR_ASSERT(txn->is_write);
    enum dsmr_err err = injected(self);
    if (err || !find(txn->root, key, key_len)) {
        return err;
    }
    struct node **slot = &txn->root;
    for (;;) {
        err = own(slot, txn->stamp);
        if (err) {
            return err;
        }
        int order = compare_entry(key, key_len, *slot);
        if (order == 0) {
            break;
        }
        slot = &(*slot)->children[order > 0];
    }
    err = sink(slot, txn->stamp);
    if (!err) {
        txn->count--;
    }
    return err;
}

static enum dsmr_err mem_seek(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                              bool reverse, const uint8_t **found, size_t *found_len,
                              const uint8_t **value, size_t *value_len)
{
    enum dsmr_err err = injected(self);
    if (err) {
        return err;
    }
    const struct node *best = NULL;
    const struct node *node = txn->root;
    while (node) {
        int order = compare_entry(key, key_len, node);
        bool fits = reverse ? order >= 0 : order <= 0;
        if (fits) {
            best = node;
        }
        if (order == 0) {
            break;
        }
        node = node->children[order > 0];
    }
    if (!best) {
        return DSMR_ERR_UNKNOWN;
    }
    *found = best->entry->bytes;
    *found_len = best->entry->key_len;
    *value = best->entry->bytes + best->entry->key_len;
    *value_len = best->entry->value_len;
    return DSMR_OK;
}

static const struct dsmr_kv_ops mem_ops = {
    .begin = mem_begin,
    .commit = mem_commit,
    .abort = mem_abort,
    .get = mem_get,
    .put = mem_put,
    .del = mem_del,
    .seek = mem_seek,
};

struct dsmr_kv_mem *dsmr_kv_mem_new(void)
{
    struct dsmr_kv_mem *mem = malloc(sizeof *mem);
    if (mem) {
        *mem = (struct dsmr_kv_mem){.lock = ATOMIC_FLAG_INIT, .fail_after = UINT64_MAX};
        dsmr_prng_init(&mem->prng, PRIORITY_SEED);
    }
    return mem;
}

void dsmr_kv_mem_free(struct dsmr_kv_mem *mem)
{
    if (mem) {
        DSMR_ASSERT(!mem->has_writer);
        node_unref(mem->root);
        free(mem);
    }
}

struct dsmr_kv dsmr_kv_mem_port(struct dsmr_kv_mem *mem)
{
    return (struct dsmr_kv){.self = mem, .ops = &mem_ops};
}

uint64_t dsmr_kv_mem_count(const struct dsmr_kv_mem *mem)
{
    return mem->count;
}

void dsmr_kv_mem_fail_after(struct dsmr_kv_mem *mem, uint64_t operations, enum dsmr_err err)
{
    mem->fail_after = operations;
    mem->fail_err = err;
    mem->has_failed = false;
}

bool dsmr_kv_mem_has_failed(const struct dsmr_kv_mem *mem)
{
    return mem->has_failed;
}
