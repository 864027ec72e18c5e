/* never_voted.h - data/never-voted: the mark of a home whose validator key has never voted.
 *
 * Why:        a validator without a journal of votes may have lost it, and then has to abstain; one
 *             whose key was made with its disk has not (docs/bft.md, rule 17.6; decision 011).
 * How:        written once, right after the key. It names the key, and itself by the number of its
 *             inode and the time of its birth: a copy, as from a backup or on another machine, does
 *             not count. The first start makes it the first record of the journal, in the
 *             transaction that makes the database, and removes it before anything can be signed.
 * Not here:   what a snapshot of a whole file system brings back counts again; so does a home in
 *             the layer of a container's image.
 * Threads:    the caller's. */
#ifndef DSMR_APP_NEVER_VOTED_H
#define DSMR_APP_NEVER_VOTED_H

#include "store/lmdb_store.h"

#define DSMR_NEVER_VOTED_REASON_BYTES 640u

/* data: the folder. key was made by this process. An older mark is replaced. OK without a mark
 * where the file system does not say when a file was born. IO, DISK_FULL: errno tells why. */
DSMR_MUST_USE enum dsmr_err dsmr_never_voted_write(const char *data,
                                                   const struct dsmr_bls_public_key *key);
/* OK: it is there, and counts. UNKNOWN: it is not there. CONFIG, with a sentence in reason: it is
 * of another key, a copy, or no mark. IO: errno. */
DSMR_MUST_USE enum dsmr_err dsmr_never_voted_read(char reason[DSMR_NEVER_VOTED_REASON_BYTES],
                                                  const char *data,
                                                  const struct dsmr_bls_public_key *key);
/* Opens the store as its header says, and has taken the mark of its directory when it returns OK: a
 * journal that was made here begins by saying that it is whole, from that epoch on, the schedule's
 * first, and there is no mark any more. One that does not count is told to the config's log and
 * removed as well. IO also if it cannot be removed; then the store is closed. */
DSMR_MUST_USE enum dsmr_err dsmr_never_voted_open_store(struct dsmr_lmdb_store **out,
                                                        const struct dsmr_lmdb_store_config *config,
                                                        const struct dsmr_bls_public_key *key,
                                                        uint64_t epoch);

#endif
