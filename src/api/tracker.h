/* tracker.h - from the driver's notices to those who submitted.
 *
 * Why:        the logic thread must not spend its time on clients: publish() takes a reference and
 *             returns; the stream thread looks ids up and tells connections and HTTP requests.
 * How:        a flight is an admitted transaction of a stream connection. It ends when it was
 *             executed, when it expired, or at its certificate if its owner wants no more. Where
 *             it is, and where those are that nobody wants to hear of, is in places.h. A
 *             transaction whose expiry lies before an executed block's time can never run, so a
 *             sweep ends what no notice ended.
 * Invariants: every batch that comes back is freed once, here. A batch is seen before the notices
 *             about its transactions.
 * Limits:     flights_max flights (the stream stops reading before); others_max
 *             transactions without an owner: beyond that their state is not known before they have
 *             run; DSMR_TRACKER_NOTICES_MAX queued notices: beyond that they are dropped and
 *             counted, and the sweep asks the store instead.
 * Threads:    publish from the logic thread, wake is called there; where from any; all else from
 *             the one stream thread. */
#ifndef DSMR_API_TRACKER_H
#define DSMR_API_TRACKER_H

#include "api/places.h"
#include "api/waits.h"
#include "base/metrics.h"
#include "dsmr/types.h"
#include "ports/clock.h"
#include "ports/query.h"
#include "ports/submit.h"

#define DSMR_TRACKER_NOTICES_MAX 4096u
#define DSMR_TRACKER_SWEEP_MAX 8192u /* entries a sweep looks at */

/* What became of flights; called on the stream thread. All but flush are called under the lock of
 * places.h, and only submitted may call dsmr_tracker_add. */
struct dsmr_tracker_sink {
    void *self;
    /* A batch with origin not NULL came back; borrowed. */
    void (*submitted)(void *self, const struct dsmr_submit_batch *batch);
    void (*certified)(void *self, uint64_t owner, uint64_t seq);
    void (*executed)(void *self, uint64_t owner, uint64_t seq, uint64_t height, uint32_t code);
    void (*expired)(void *self, uint64_t owner, uint64_t seq);
    /* A flight has ended, after the calls above. */
    void (*landed)(void *self, uint64_t owner);
    /* All news of this drain were told: a good time to send. */
    void (*flush)(void *self);
};

struct dsmr_tracker_config {
    uint32_t flights_max;
    uint32_t others_max;
    uint64_t seed;
    struct dsmr_waits *waits; /* borrowed until free */
    struct dsmr_clock clock;
    struct dsmr_metrics *metrics; /* borrowed until free: times to certificate and result */
    void (*wake)(void *ctx);      /* something was queued in an empty queue; any thread */
    void *wake_ctx;
};

struct dsmr_flight {
    uint64_t owner; /* the stream's name of the connection; DSMR_PLACES_NOBODY: only its place */
    uint64_t seq;
    uint64_t expiry_ms; /* of the transaction */
    bool wants_certified;
    bool wants_executed;
};

struct dsmr_tracker; /* opaque */

struct dsmr_tracker *dsmr_tracker_new(const struct dsmr_tracker_config *config); /* or NULL */
void dsmr_tracker_free(struct dsmr_tracker *tracker); /* frees what is queued; NULL is fine */
struct dsmr_feed dsmr_tracker_feed(struct dsmr_tracker *tracker);
/* Before anything is drained. query: borrowed until free. */
void dsmr_tracker_attach(struct dsmr_tracker *tracker, const struct dsmr_query *query,
                         const struct dsmr_tracker_sink *sink);

/* Called within sink.submitted for what was admitted. FULL; DUPLICATE: the id is there already. */
DSMR_MUST_USE enum dsmr_err dsmr_tracker_add(struct dsmr_tracker *tracker, const struct dsmr_id *id,
                                             const struct dsmr_flight *flight);
/* It will be added soon: memory may begin. */
void dsmr_tracker_expect(const struct dsmr_tracker *tracker, const struct dsmr_id *id);
/* Works off what is queued. */
void dsmr_tracker_drain(struct dsmr_tracker *tracker);
/* Looks at up to DSMR_TRACKER_SWEEP_MAX flights and ends those that can never run; at none while
 * the counts by expiry say that there is nothing to end. */
void dsmr_tracker_sweep(struct dsmr_tracker *tracker);
uint32_t dsmr_tracker_flights(const struct dsmr_tracker *tracker);
bool dsmr_tracker_is_idle(const struct dsmr_tracker *tracker);     /* there is nothing to sweep */
uint64_t dsmr_tracker_dropped(const struct dsmr_tracker *tracker); /* notices; any thread */
/* Where a transaction is: what the store knows of its result, else what was seen here. UNKNOWN;
 * errors of the store. Any thread. */
DSMR_MUST_USE enum dsmr_err dsmr_tracker_where(struct dsmr_tracker *tracker,
                                               struct dsmr_query_tx *out, const struct dsmr_id *id);

/* Allocates a batch of count transactions in bytes (takes a reference). NULL if out of memory;
 * freed by the tracker when it comes back, by dsmr_tracker_batch_free if it was never handed
 * over. */
struct dsmr_submit_batch *dsmr_tracker_batch_new(struct dsmr_buf *bytes, uint32_t count);
void dsmr_tracker_batch_free(struct dsmr_submit_batch *batch); /* NULL is fine */

#endif
