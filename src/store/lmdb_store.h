/* lmdb_store.h - the store and kv ports on a disk: two LMDB databases and files of chunk bodies.
 *
 * Why:        what the node has promised (consensus/, chunks/) and what it has computed (state/)
 *             are two databases, so that the long commit of a block never delays a share.
 * How:        one thread takes the queued writes in groups: bodies are appended and synced, then
 *             one transaction holds all records of the group; then the completions, in order.
 * Not here:   no protocol rule. What to keep, sign and drop is decided by the core.
 * Invariants: INV-03 a journal entry of (producer, slot) is never replaced by one of another
 *             chunk: such a write is refused with CONFLICT.
 *             A record never stands without what it points to: bodies are durable before it.
 *             Accepted heights have no gap: an ACCEPT above the next height is refused.
 * Failure:    DISK_FULL: the write was not done; later ones may succeed once there is space.
 *             IO: fail-stop. The outcome is unknown, every later write answers IO.
 * Limits:     config; a group holds up to group_bytes_max of bodies, 512 writes and 64 MiB of
 * pages. Threads:    as ports/store.h and ports/kv.h say. */
#ifndef DSMR_STORE_LMDB_STORE_H
#define DSMR_STORE_LMDB_STORE_H

#include "base/metrics.h"
#include "ports/kv.h"
#include "ports/log.h"
#include "ports/store.h"
#include "ports/task.h"

/* What a group and the reserve need, whatever genesis says, and as much again for what is kept. */
#define DSMR_LMDB_STORE_MAP_BYTES_MIN (256ull << 20)

struct dsmr_lmdb_store; /* opaque */

/* Zero means the default for each number. */
struct dsmr_lmdb_store_config {
    const char *directory;        /* made if its parent exists; borrowed during open */
    struct dsmr_inbox inbox;      /* completions; borrowed until close */
    struct dsmr_log log;          /* borrowed until close */
    struct dsmr_metrics *metrics; /* borrowed until close; NULL: none */
    uint64_t consensus_map_bytes; /* address space of the database, 64 GiB */
    uint64_t state_map_bytes;     /* 256 GiB */
    uint64_t segment_bytes;       /* a file of bodies is closed at this size, 64 MiB */
    uint64_t reserve_bytes;       /* disk kept for garbage collection, 8 MiB */
    uint32_t group_bytes_max;     /* bodies in one commit, 4 MiB */
    uint32_t readers_max;         /* reads and snapshots at one time, per database, 512 */
    /* Stands in the database from the moment that there is one, and is not put into one that is
     * there already. Its task is not used; borrowed during open; NULL: none. */
    const struct dsmr_store_write *first;
    char *reason; /* if open fails: which file, and what is wrong; NULL: not said */
    size_t reason_bytes;
    /* LMDB has met pages that cannot be, and aborts when this returns; NULL: it aborts. */
    void (*give_up)(const char *path, const char *what);
};

/* LOCKED: another process, or this one, has it open. NEWER_FORMAT, CORRUPT, IO, DISK_FULL,
 * NO_MEMORY. Caller closes. */
DSMR_MUST_USE enum dsmr_err dsmr_lmdb_store_open(struct dsmr_lmdb_store **out,
                                                 const struct dsmr_lmdb_store_config *config);
/* Finishes all queued writes, gives their completions to the inbox, and closes. No write may be
 * queued, no read and no kv transaction be open from here on. NULL is fine. */
void dsmr_lmdb_store_close(struct dsmr_lmdb_store *store);

struct dsmr_store dsmr_lmdb_store_port(struct dsmr_lmdb_store *store); /* valid until close */
struct dsmr_kv dsmr_lmdb_store_kv(struct dsmr_lmdb_store *store);      /* valid until close */

#endif
