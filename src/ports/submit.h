/* submit.h - transactions on their way in, and what becomes of them on its way back.
 *
 * Why:     HTTP, the submit stream and the plugin hand over batches and hear of them by notices;
 *          they never see the core.
 * Threads: submit() from any thread; publish() is called on the logic thread and must not block. */
#ifndef DSMR_PORTS_SUBMIT_H
#define DSMR_PORTS_SUBMIT_H

#include "dsmr/types.h"
#include "ports/app.h"
#include "ports/task.h"

struct dsmr_submit_tx {
    uint32_t offset; /* in bytes */
    uint32_t len;
    uint64_t tag;       /* the submitter's own */
    struct dsmr_id id;  /* out */
    uint64_t expiry_ms; /* out: of its head, if err is OK */
    enum dsmr_err err;  /* out: OK admitted; DUPLICATE, MEMPOOL_FULL, BAD_TX, EXPIRED, ... */
};
/* One allocation, count transactions that lie in one buffer. */
struct dsmr_submit_batch {
    struct dsmr_task task;
    void *driver_ctx;       /* the driver's while it holds the batch */
    void *origin;           /* the submitter's */
    uint64_t came_ms;       /* the driver's: monotonic time at which it was handed over */
    uint64_t returned_ms;   /* the feed's: monotonic time at which it came back */
    struct dsmr_buf *bytes; /* a reference of the batch's own */
    uint32_t count;
    struct dsmr_submit_tx txs[];
};
struct dsmr_submit_ops {
    /* Hands the batch over; it comes back as a SUBMITTED notice. false: the inbox is full, the
     * caller keeps it (answer mempool_full). */
    bool (*submit)(void *self, struct dsmr_submit_batch *batch);
};
struct dsmr_submit {
    void *self;
    const struct dsmr_submit_ops *ops;
};

/* Results of one executed block, in execution order. Shared: dsmr_executed_ref and _unref. */
struct dsmr_executed {
    _Atomic uint32_t refs;
    uint64_t height;
    uint64_t time_ms;
    struct dsmr_id block_id;
    struct dsmr_id state_root;
    uint32_t count;
    struct dsmr_id *ids;
    struct dsmr_app_result *results;
};
struct dsmr_executed *dsmr_executed_ref(struct dsmr_executed *executed);
void dsmr_executed_unref(struct dsmr_executed *executed); /* NULL is fine */

enum dsmr_notice_kind {
    DSMR_NOTICE_SUBMITTED, /* batch: goes back to its origin, which frees it */
    DSMR_NOTICE_BUILT,     /* chunk: own, its transactions left the mempool */
    DSMR_NOTICE_CERTIFIED, /* chunk: own, its certificate is stored */
    DSMR_NOTICE_ACCEPTED,  /* block */
    DSMR_NOTICE_EXECUTED,  /* executed */
    DSMR_NOTICE_RETURNED,  /* chunk: own, expired; valid transactions are in the mempool again */
    DSMR_NOTICE_EXPIRED    /* ids: admitted transactions that expired without execution */
};
struct dsmr_notice { /* borrowed during publish(): take references on what you keep */
    enum dsmr_notice_kind kind;
    union {
        struct dsmr_submit_batch *batch; /* ownership passes */
        struct dsmr_chunk *chunk;
        struct dsmr_block *block;
        struct dsmr_executed *executed;
        struct {
            const struct dsmr_id *ids;
            uint32_t count;
        } expired;
    } u;
};
struct dsmr_feed_ops {
    void (*publish)(void *self, const struct dsmr_notice *notice);
};
struct dsmr_feed {
    void *self;
    const struct dsmr_feed_ops *ops; /* NULL: nobody listens */
};

#endif
