/* work.h - heavy work off the logic thread: BLS, hashing, application checks, execution. */
#ifndef DSMR_PORTS_WORK_H
#define DSMR_PORTS_WORK_H

#include "ports/task.h"

enum dsmr_work_lane {
    DSMR_WORK_URGENT,  /* votes, shares, certificates: before everything in BULK */
    DSMR_WORK_BULK,    /* chunk bodies, submitted transactions */
    DSMR_WORK_EXECUTE, /* one thread, strictly in order */
    DSMR_WORK_LANES
};

struct dsmr_work_ops {
    /* Runs task->run, or task->run_many with others, on a worker, then completes it into the inbox.
     * Never blocks, never refuses. */
    void (*submit)(void *self, enum dsmr_work_lane lane, struct dsmr_task *task);
    /* Fresh random bytes of the operating system. Any thread. */
    void (*random)(void *self, uint8_t *out, size_t len);
};
struct dsmr_work {
    void *self;
    const struct dsmr_work_ops *ops;
};

#endif
