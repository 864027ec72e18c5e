/* task.h - one unit of work that crosses threads, and the inbox that it comes home to.
 *
 * Why:     the logic thread owns all protocol state. Other threads hand it finished work, received
 *          messages and submissions through one inbox, and nothing else is shared.
 * Threads: run() on a worker (if the task is given to a work lane), done() on the logic thread. */
#ifndef DSMR_PORTS_TASK_H
#define DSMR_PORTS_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embedded as the first member of the structs that carry the data. Whoever holds the task owns
 * it; done() frees it. */
struct dsmr_task {
    struct dsmr_task *next; /* of the queue that holds it */
    void (*run)(struct dsmr_task *task);
    /* NULL, or runs first and those that follow by next, all of the same lane and with the same
     * run_many. Tasks that wait may be run so instead of each by run. */
    void (*run_many)(struct dsmr_task *first);
    void (*done)(struct dsmr_task *task, void *owner); /* owner: the driver */
    size_t bytes; /* what it holds in memory: counts against the inbox's limit for offers */
};

struct dsmr_inbox_ops {
    /* Offers a task from outside (peer, client). false: full; the caller keeps the task, and
     * stops reading from whoever sent it until ready() says so. Any thread. */
    bool (*offer)(void *self, struct dsmr_task *task);
    /* Brings a completion home; never refused: the driver bounds what it has asked for. */
    void (*complete)(void *self, struct dsmr_task *task);
};
struct dsmr_inbox {
    void *self;
    const struct dsmr_inbox_ops *ops;
};

#endif
