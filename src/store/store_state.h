/* store_state.h - what the files of the store share. Not for other folders: see lmdb_store.h.
 *
 * Threads: the queue is under its mutex; segments and write transactions belong to the store
 *          thread; the rest is fixed while the store is open. */
#ifndef DSMR_STORE_STORE_STATE_H
#define DSMR_STORE_STORE_STATE_H

#include <pthread.h>

#include "store/lmdb_env.h"
#include "store/lmdb_kv.h"
#include "store/lmdb_store.h"
#include "store/segments.h"
#include "store/store_damage.h"
#include "store/store_janitor.h"

struct dsmr_lmdb_store {
    struct dsmr_inbox inbox;
    struct dsmr_log log;
    struct dsmr_metrics *metrics;
    uint32_t group_bytes_max;
    int dir_fd;
    int lock_fd;
    struct dsmr_store_cause cause; /* of consensus and the bodies */
    struct dsmr_store_cause state_cause;
    struct dsmr_store_damage damage; /* bodies that could not be read */
    struct dsmr_lmdb_env consensus;
    struct dsmr_lmdb_kv state;
    struct dsmr_segments segments;
    struct dsmr_store_janitor janitor;
    uint64_t released_last; /* store thread: sequence of the last job that was recorded */

    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct dsmr_store_write *first; /* queue, under mutex */
    struct dsmr_store_write *last;
    bool is_closing; /* under mutex */

    bool is_stopped;   /* store thread: after an IO error nothing is written any more */
    bool is_disk_full; /* store thread: the last write that needed space found none */
};

#endif
