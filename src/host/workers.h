/* workers.h - threads that do the heavy work: ports/work.h.
 *
 * Why:     signatures, checks and execution must not hold up the logic thread.
 * Order:   URGENT before BULK, each first in, first out, on config.threads threads; EXECUTE on one
 *          thread of its own, strictly in order.
 * Together: of what waits in a lane, tasks with the same run_many go to it together, as many as
 *          there are for each thread, up to DSMR_WORKERS_TOGETHER_MAX.
 * Limits:  queues are not bounded here: the driver bounds what it asks for.
 * Threads: submit and random from any; new and free from the owner. */
#ifndef DSMR_HOST_WORKERS_H
#define DSMR_HOST_WORKERS_H

#include "ports/task.h"
#include "ports/work.h"

#define DSMR_WORKERS_THREADS_MAX 64u
#define DSMR_WORKERS_TOGETHER_MAX 16u

struct dsmr_workers; /* opaque */

/* Starts threads (1..DSMR_WORKERS_THREADS_MAX) and the execution thread. inbox: where finished
 * tasks go; must outlive the pool. NULL if out of memory or threads. Caller frees. */
struct dsmr_workers *dsmr_workers_new(const struct dsmr_inbox *inbox, uint32_t threads);
/* Runs and completes all that was submitted, then ends the threads: no task is lost. NULL is
 * fine. */
void dsmr_workers_free(struct dsmr_workers *workers);

struct dsmr_work dsmr_workers_port(struct dsmr_workers *workers);

/* Number of processors that this process may use, at least 1: a sensible number of threads. */
uint32_t dsmr_workers_processors(void);

#endif
