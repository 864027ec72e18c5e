/* lmdb_peek.h - what is in a store's directory, without opening the store.
 *
 * Why:     who wants to know whose data it is must not change it, nor keep its node from starting.
 * How:     the databases are mapped read-only; LMDB's own table of readers keeps what is read from
 *          being overwritten, if a node starts meanwhile.
 * Not here: bodies of chunks; loads of them are not offered, nor is anything that writes.
 * Threads: one. */
#ifndef DSMR_STORE_LMDB_PEEK_H
#define DSMR_STORE_LMDB_PEEK_H

#include "ports/kv.h"
#include "ports/store.h"

struct dsmr_lmdb_peek; /* opaque */

struct dsmr_lmdb_peek_config {
    const char *directory; /* borrowed during open */
    char *reason;          /* if open fails: which file, and what is wrong; NULL: not said */
    size_t reason_bytes;
    void (*give_up)(const char *path, const char *what); /* as struct dsmr_lmdb_store_config's */
};

/* UNKNOWN: there is no database. LOCKED: a store has it open. NEWER_FORMAT, CORRUPT, IO, NO_MEMORY.
 * Caller closes. */
DSMR_MUST_USE enum dsmr_err dsmr_lmdb_peek_open(struct dsmr_lmdb_peek **out,
                                                const struct dsmr_lmdb_peek_config *config);
void dsmr_lmdb_peek_close(struct dsmr_lmdb_peek *peek); /* NULL is fine */

/* Valid until close; loads but those of bodies, nothing else. False: that database is not there. */
bool dsmr_lmdb_peek_store(struct dsmr_lmdb_peek *peek, struct dsmr_store *out);
bool dsmr_lmdb_peek_kv(struct dsmr_lmdb_peek *peek, struct dsmr_kv *out); /* read transactions */

#endif
