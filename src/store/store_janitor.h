/* store_janitor.h - gives disk space back on a thread of its own.
 *
 * Why:        removing a file or punching a hole takes a millisecond or more, and the store thread
 *             has shares waiting. The records are gone before the janitor hears of a job, so
 *             nothing depends on when it is done.
 * Invariants: a job whose sequence is above done() has a record in the database, which is done
 *             again at open if a crash comes first.
 * Limits:     16 jobs wait; give() then waits for the oldest.
 * Threads:    give and drain from the store thread; done from any. */
#ifndef DSMR_STORE_STORE_JANITOR_H
#define DSMR_STORE_STORE_JANITOR_H

#include <pthread.h>

#include "store/segments.h"

#define DSMR_STORE_JANITOR_CHUNKS_MAX 32u
#define DSMR_STORE_JANITOR_JOBS_MAX 16u

struct dsmr_store_janitor_job {
    uint64_t sequence;
    uint32_t released_count;
    uint32_t dropped_count;
    struct dsmr_schema_place released[DSMR_STORE_JANITOR_CHUNKS_MAX]; /* their segments stay */
    uint64_t dropped[DSMR_STORE_JANITOR_CHUNKS_MAX]; /* segments without a living body */
};

struct dsmr_store_janitor {
    const struct dsmr_segments *segments;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_cond_t finished;
    struct dsmr_store_janitor_job jobs[DSMR_STORE_JANITOR_JOBS_MAX]; /* ring, under mutex */
    uint32_t first;
    uint32_t count; /* including the one being done */
    uint64_t done;  /* highest sequence done */
    bool is_closing;
};

/* segments: borrowed until stop. done: all jobs up to it have been done. NO_MEMORY. */
DSMR_MUST_USE enum dsmr_err dsmr_store_janitor_start(struct dsmr_store_janitor *janitor,
                                                     const struct dsmr_segments *segments,
                                                     uint64_t done);
void dsmr_store_janitor_stop(struct dsmr_store_janitor *janitor); /* finishes all jobs first */
void dsmr_store_janitor_give(struct dsmr_store_janitor *janitor,
                             const struct dsmr_store_janitor_job *job);
/* Waits until all is done; false if there was nothing to do. */
bool dsmr_store_janitor_drain(struct dsmr_store_janitor *janitor);
uint64_t dsmr_store_janitor_done(struct dsmr_store_janitor *janitor);

/* What the thread does with a job; at open it is done in place. Sorts job->released. */
void dsmr_store_janitor_work(const struct dsmr_segments *segments,
                             struct dsmr_store_janitor_job *job);

#endif
