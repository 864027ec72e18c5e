/* home_lock.h - one daemon per home (adversary 54, double-start).
 *
 * The kernel drops the lock when the process ends, however it ends: a lock file that was left
 * behind never keeps anybody out. The process id in it is for people only.
 * Threads: one owner. */
#ifndef DSMR_HOST_HOME_LOCK_H
#define DSMR_HOST_HOME_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "dsmr/err.h"

struct dsmr_home_lock {
    int fd;
};

/* Locks the file path (made if absent, mode 0600). LOCKED: another process has it, *holder_pid is
 * its id or 0 if unknown; IO. */
DSMR_MUST_USE enum dsmr_err dsmr_home_lock_take(struct dsmr_home_lock *lock, int64_t *holder_pid,
                                                const char *path);
/* Whether another process has it; *holder_pid as above. Changes nothing; a file that cannot be read
 * is not held. */
bool dsmr_home_lock_is_held(int64_t *holder_pid, const char *path);
void dsmr_home_lock_drop(struct dsmr_home_lock *lock); /* the file stays */

#endif
