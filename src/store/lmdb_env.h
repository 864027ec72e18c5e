/* lmdb_env.h - one LMDB environment: opening, errors, and room on the disk for the next write.
 *
 * Why:        LMDB copies every page that it changes, so even a deletion needs free pages, and on a
 *             full disk it fails. So the pages behind the end of the data are allocated before they
 *             are needed, and the last reserve_bytes of them are for garbage collection alone.
 * Invariants: a writer that had make_room() == OK meets no full disk (file systems that copy on
 *             write, or cannot allocate ahead, may still answer DISK_FULL; nothing is lost then).
 * Threads:    write transactions and make_room from one thread; readers from any. */
#ifndef DSMR_STORE_LMDB_ENV_H
#define DSMR_STORE_LMDB_ENV_H

#include <lmdb.h>

#include "dsmr/types.h"
#include "store/store_cause.h"

struct dsmr_lmdb_env {
    MDB_env *env;
    MDB_dbi dbi;
    uint64_t map_bytes;
    uint64_t reserve_bytes;
    uint64_t allocated_bytes; /* of the file: writes below meet no full disk */
    uint32_t page_bytes;
    bool allocates;                 /* the file system can allocate ahead */
    char *path;                     /* of the file */
    struct dsmr_store_cause *cause; /* of the owner, who sets it; NULL: none */
};

/* Makes directory/name with an empty database in it, if it is not there: whole or not at all,
 * whatever happens meanwhile. IO, DISK_FULL, NO_MEMORY. */
DSMR_MUST_USE enum dsmr_err dsmr_lmdb_env_create(const char *directory, const char *name);
/* path: existing directory. reserve_bytes 0: no allocating ahead, make_room only looks at the map.
 * cause: hears why it failed, and is kept; NULL: none. IO, DISK_FULL, NO_MEMORY, CORRUPT,
 * NEWER_FORMAT. */
DSMR_MUST_USE enum dsmr_err dsmr_lmdb_env_open(struct dsmr_lmdb_env *out, const char *path,
                                               uint64_t map_bytes, uint64_t reserve_bytes,
                                               uint32_t readers_max,
                                               struct dsmr_store_cause *cause);
/* The same for reading only: nothing is made or changed but LMDB's table of readers, if there is
 * one. */
DSMR_MUST_USE enum dsmr_err dsmr_lmdb_env_open_readonly(struct dsmr_lmdb_env *out, const char *path,
                                                        uint64_t map_bytes, uint32_t readers_max,
                                                        struct dsmr_store_cause *cause);
void dsmr_lmdb_env_close(struct dsmr_lmdb_env *env); /* no transaction may be open */

/* What an LMDB return code means to us. */
enum dsmr_err dsmr_lmdb_env_err(int rc);
/* Remembers why a write failed, and what that means to us. */
enum dsmr_err dsmr_lmdb_env_fail(struct dsmr_lmdb_env *env, int rc);
/* Commits; ends txn in every case. DISK_FULL (nothing changed), IO, NO_MEMORY. IO, too, if the file
 * was deleted: what was committed is nowhere. */
DSMR_MUST_USE enum dsmr_err dsmr_lmdb_env_commit(struct dsmr_lmdb_env *env, MDB_txn *txn);
/* Makes sure that a transaction that changes up to pages pages finds room and leaves the reserve
 * whole. DISK_FULL if not. Outside of any write transaction. */
DSMR_MUST_USE enum dsmr_err dsmr_lmdb_env_make_room(struct dsmr_lmdb_env *env, uint64_t pages);

#endif
