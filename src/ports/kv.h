/* kv.h - the state store: ordered keys, transactions, snapshots.
 *
 * Why:     the application's state, the results and the executed ids of a block are one commit.
 * Limits:  keys 1..DSMR_KV_KEY_BYTES_MAX bytes; values up to DSMR_KV_VALUE_BYTES_MAX.
 * Threads: one write transaction at a time, used by one thread; any number of readers, each used
 *          by one thread. */
#ifndef DSMR_PORTS_KV_H
#define DSMR_PORTS_KV_H

#include "dsmr/types.h"

#define DSMR_KV_KEY_BYTES_MAX 128u
#define DSMR_KV_VALUE_BYTES_MAX (64u << 20)

struct dsmr_kv_txn; /* opaque, of the adapter */

struct dsmr_kv_ops {
    /* write: the write transaction; otherwise a snapshot. NO_MEMORY, IO, CLOSED. */
    enum dsmr_err (*begin)(void *self, struct dsmr_kv_txn **out, bool write);
    /* Ends the transaction in every case. Durable when it returns OK. DISK_FULL, IO. */
    enum dsmr_err (*commit)(void *self, struct dsmr_kv_txn *txn);
    void (*abort)(void *self, struct dsmr_kv_txn *txn); /* also ends a snapshot */
    /* *value is borrowed until the next write through txn or its end. UNKNOWN if absent. */
    enum dsmr_err (*get)(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                         const uint8_t **value, size_t *value_len);
    enum dsmr_err (*put)(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                         const void *value, size_t value_len);
    /* OK also if absent. */
    enum dsmr_err (*del)(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len);
    /* Smallest key >= key (or, if reverse, the largest <= key). Borrowed as get. UNKNOWN at the
     * end. Keys are compared as bytes, shorter first. */
    enum dsmr_err (*seek)(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                          bool reverse, const uint8_t **found, size_t *found_len,
                          const uint8_t **value, size_t *value_len);
    /* Whether the value of a key, of what is committed, will be read soon or hardly ever: what the
     * operating system keeps of it in memory may be fetched, or go. A hint; any thread, but not one
     * with a write transaction. NULL: none is taken. */
    void (*advise)(void *self, const void *key, size_t key_len, bool is_needed);
    /* Which file and why, of the last write that failed; empty if none has. Any thread. NULL:
     * nothing of the kind is known. size 1 or more. */
    void (*cause)(void *self, char *text, size_t size);
};
struct dsmr_kv {
    void *self;
    const struct dsmr_kv_ops *ops;
};

/* First byte of every key. The application sees only what lies under APP: its helpers put the
 * byte in front. */
#define DSMR_KV_SPACE_APP 'a'  /* application state */
#define DSMR_KV_SPACE_EXEC 'x' /* executed height, root; executed ids and results by height */

#endif
