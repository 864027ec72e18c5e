/* store_format.h - which format the directory has, and the way from the one before to this one.
 *
 * Why:     a newer one must not be touched, and a node must not lose its promises because the
 *          program is newer than its home.
 * Threads: at open, on one thread. */
#ifndef DSMR_STORE_STORE_FORMAT_H
#define DSMR_STORE_STORE_FORMAT_H

#include "store/store_state.h"

/* Writes the format into an empty database, and first with it, if not NULL; brings an older one up
 * to date; whole or not at all. NEWER_FORMAT, CORRUPT, IO, DISK_FULL. */
DSMR_MUST_USE enum dsmr_err dsmr_store_format_check(struct dsmr_lmdb_store *store,
                                                    const struct dsmr_store_write *first);

#endif
