/* host_inbox.h - the inbox of the logic thread: ports/task.h over a mutex and a condition.
 *
 * Why:        everything that other threads have for the logic thread comes in here, and the
 *             logic thread sleeps here, and nowhere else.
 * Order:      completions in the order in which they came, before offers in theirs. A pop takes
 *             every completion but at most offers_per_pop offers, so neither starves the other and
 *             a completion never waits behind more than that many offers.
 * Invariants: the sum of task->bytes and the number of queued offers stay within the limits, but
 *             for one offer that is larger than the limit alone and comes when none is queued.
 * Limits:     config; completions are not bounded here: the driver bounds what it asks for.
 * Threads:    offer, complete and wake from any; pop from the one owner; listeners are added before
 *             other threads know the inbox and run on the owner's thread. */
#ifndef DSMR_HOST_HOST_INBOX_H
#define DSMR_HOST_HOST_INBOX_H

#include "dsmr/err.h"
#include "ports/task.h"

#define DSMR_HOST_INBOX_LISTENERS_MAX 8u

struct dsmr_host_inbox; /* opaque */

struct dsmr_host_inbox_config {
    size_t offers_max;      /* queued offers */
    size_t offer_bytes_max; /* sum of their task.bytes */
    size_t offers_per_pop;  /* 1 or more */
};

/* 16384 offers, 64 MiB, 64 a pop. */
void dsmr_host_inbox_config_default(struct dsmr_host_inbox_config *config);

/* NULL if out of memory. Caller frees. */
struct dsmr_host_inbox *dsmr_host_inbox_new(const struct dsmr_host_inbox_config *config);
/* Only when no other thread can reach the inbox and everything was popped (asserted). NULL is
 * fine. */
void dsmr_host_inbox_free(struct dsmr_host_inbox *inbox);

/* The port; valid as long as inbox is. */
struct dsmr_inbox dsmr_host_inbox_port(struct dsmr_host_inbox *inbox);

/* Waits until there is a task, a wake, or the monotonic clock reaches deadline_mono_ms
 * (UINT64_MAX: no deadline; 0: do not wait), and takes what is there as a list by task->next,
 * NULL if nothing. The caller owns the tasks: it reads next before it calls done(). */
struct dsmr_task *dsmr_host_inbox_pop(struct dsmr_host_inbox *inbox, uint64_t deadline_mono_ms);

/* Makes the current or the next pop return at once. Any thread; not from a signal handler. */
void dsmr_host_inbox_wake(struct dsmr_host_inbox *inbox);

/* Refuses every offer from now on; completions still come, and a pop takes all offers that are
 * left. For shutdown. */
void dsmr_host_inbox_close(struct dsmr_host_inbox *inbox);

/* ready(ctx) is called from pop when offers had been refused and half of both limits is free
 * again: whoever stopped reading for that may go on. It must not block. FULL beyond
 * DSMR_HOST_INBOX_LISTENERS_MAX. */
DSMR_MUST_USE enum dsmr_err dsmr_host_inbox_add_listener(struct dsmr_host_inbox *inbox,
                                                         void (*ready)(void *ctx), void *ctx);

struct dsmr_host_inbox_level {
    size_t completions;
    size_t offers;
    size_t offer_bytes;
    uint64_t refused; /* offers refused since the start */
};
/* For metrics. Any thread. */
void dsmr_host_inbox_level(struct dsmr_host_inbox *inbox, struct dsmr_host_inbox_level *out);

#endif
