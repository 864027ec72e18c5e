#include "api/tracker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

#define EXPIRED_CACHE 4096u /* recently expired ids, by their first bytes; newer replace older */
#define SWEEP_ENDED_MAX 256u

struct ids {
    uint32_t count;
    struct dsmr_id ids[];
};

struct item {
    enum dsmr_notice_kind kind;
    uint64_t at_ms; /* when it was published */
    union {
        struct dsmr_chunk *chunk;
        struct dsmr_block *block;
        struct dsmr_executed *executed;
        struct ids *expired;
    } u;
};

struct dsmr_tracker {
    struct dsmr_tracker_config config;
    struct dsmr_tracker_sink sink;
    const struct dsmr_query *query;
    struct dsmr_places *places;
    uint32_t sweep_position;
    struct {
        enum dsmr_metric_histogram id;
        uint64_t ms, count;
    } observed;                /* one after the other that took the same time: counted together */
    uint64_t news_ms;          /* when the news that is being worked off was published */
    uint64_t executed_time_ms; /* of the last executed block that was seen */
    _Atomic uint64_t dropped;

    pthread_mutex_t lock; /* what follows */
    struct dsmr_task *batches_first;
    struct dsmr_task **batches_last;
    struct item *items; /* DSMR_TRACKER_NOTICES_MAX, filled from 0 */
    struct item *spare; /* the other half: drained without the lock */
    uint32_t items_count;
    struct dsmr_id *expired_cache;
};

static void on_publish(void *self, const struct dsmr_notice *notice);
static const struct dsmr_feed_ops feed_ops = {.publish = on_publish};

struct dsmr_tracker *dsmr_tracker_new(const struct dsmr_tracker_config *config)
{
    struct dsmr_tracker *tracker = calloc(1, sizeof(*tracker));
    if (tracker == NULL) {
        return NULL;
    }
    pthread_mutex_init(&tracker->lock, NULL);
    tracker->config = *config;
    tracker->batches_last = &tracker->batches_first;
    tracker->places = dsmr_places_new(config->flights_max, config->others_max, config->seed);
    tracker->items = calloc(DSMR_TRACKER_NOTICES_MAX, sizeof(*tracker->items));
    tracker->spare = calloc(DSMR_TRACKER_NOTICES_MAX, sizeof(*tracker->spare));
    tracker->expired_cache = calloc(EXPIRED_CACHE, sizeof(*tracker->expired_cache));
    if (tracker->places == NULL || tracker->items == NULL || tracker->spare == NULL ||
        tracker->expired_cache == NULL) {
        dsmr_tracker_free(tracker);
        return NULL;
    }
    return tracker;
}

static void item_close(struct item *item)
{
    switch (item->kind) {
    case DSMR_NOTICE_BUILT:
    case DSMR_NOTICE_CERTIFIED:
    case DSMR_NOTICE_RETURNED:
        dsmr_chunk_unref(item->u.chunk);
        break;
    case DSMR_NOTICE_ACCEPTED:
        dsmr_block_unref(item->u.block);
        break;
    case DSMR_NOTICE_EXECUTED:
        dsmr_executed_unref(item->u.executed);
        break;
    case DSMR_NOTICE_EXPIRED:
        free(item->u.expired);
        break;
    default:
        DSMR_UNREACHABLE();
    }
}

static void free_batches(struct dsmr_task *task)
{
    while (task != NULL) {
        struct dsmr_task *next = task->next;
        dsmr_tracker_batch_free((struct dsmr_submit_batch *)task);
        task = next;
    }
}

void dsmr_tracker_free(struct dsmr_tracker *tracker)
{
    if (tracker == NULL) {
        return;
    }
    for (uint32_t i = 0; i < tracker->items_count; i++) {
        item_close(&tracker->items[i]);
    }
    free_batches(tracker->batches_first);
    pthread_mutex_destroy(&tracker->lock);
    dsmr_places_free(tracker->places);
    free(tracker->items);
    free(tracker->spare);
    free(tracker->expired_cache);
    free(tracker);
}

struct dsmr_feed dsmr_tracker_feed(struct dsmr_tracker *tracker)
{
    return (struct dsmr_feed){.self = tracker, .ops = &feed_ops};
}

void dsmr_tracker_attach(struct dsmr_tracker *tracker, const struct dsmr_query *query,
                         const struct dsmr_tracker_sink *sink)
{
    tracker->query = query;
    tracker->sink = *sink;
}

struct dsmr_submit_batch *dsmr_tracker_batch_new(struct dsmr_buf *bytes, uint32_t count)
{
    struct dsmr_submit_batch *batch =
        calloc(1, sizeof(*batch) + (size_t)count * sizeof(batch->txs[0]));
    if (batch != NULL) {
        batch->bytes = dsmr_buf_ref(bytes);
        batch->count = count;
        batch->task.bytes =
            sizeof(*batch) + (size_t)count * sizeof(batch->txs[0]) + (size_t)bytes->len;
    }
    return batch;
}

void dsmr_tracker_batch_free(struct dsmr_submit_batch *batch)
{
    if (batch != NULL) {
        dsmr_buf_unref(batch->bytes);
        free(batch);
    }
}

/* References to what it names, or a copy of the ids; false for nothing, or out of memory. */
static bool item_init(struct item *item, const struct dsmr_notice *notice)
{
    item->kind = notice->kind;
    switch (notice->kind) {
    case DSMR_NOTICE_BUILT:
    case DSMR_NOTICE_CERTIFIED:
    case DSMR_NOTICE_RETURNED:
        item->u.chunk = dsmr_chunk_ref(notice->u.chunk);
        return true;
    case DSMR_NOTICE_ACCEPTED:
        item->u.block = dsmr_block_ref(notice->u.block);
        return true;
    case DSMR_NOTICE_EXECUTED:
        item->u.executed = dsmr_executed_ref(notice->u.executed);
        return true;
    case DSMR_NOTICE_EXPIRED: {
        size_t bytes = (size_t)notice->u.expired.count * sizeof(struct dsmr_id);
        item->u.expired = bytes > 0 ? malloc(sizeof(struct ids) + bytes) : NULL;
        if (item->u.expired == NULL) {
            return false;
        }
        item->u.expired->count = notice->u.expired.count;
        memcpy(item->u.expired->ids, notice->u.expired.ids, bytes);
        return true;
    }
    default:
        return false;
    }
}

static void on_publish(void *self, const struct dsmr_notice *notice)
{
    struct dsmr_tracker *tracker = self;
    struct item item;
    bool is_batch = notice->kind == DSMR_NOTICE_SUBMITTED;
    if (!is_batch && !item_init(&item, notice)) {
        return;
    }
    uint64_t now_ms = tracker->config.clock.ops->mono_ms(tracker->config.clock.self);
    pthread_mutex_lock(&tracker->lock);
    bool was_empty = tracker->items_count == 0 && tracker->batches_first == NULL;
    bool is_dropped = false;
    if (is_batch) {
        struct dsmr_task *task = &notice->u.batch->task;
        task->next = NULL;
        notice->u.batch->returned_ms = now_ms;
        *tracker->batches_last = task;
        tracker->batches_last = &task->next;
    } else if (tracker->items_count < DSMR_TRACKER_NOTICES_MAX) {
        item.at_ms = now_ms;
        tracker->items[tracker->items_count++] = item;
    } else {
        is_dropped = true;
    }
    pthread_mutex_unlock(&tracker->lock);
    if (is_dropped) {
        item_close(&item);
        tracker->dropped++;
    }
    if (was_empty) {
        tracker->config.wake(tracker->config.wake_ctx);
    }
}

enum dsmr_err dsmr_tracker_add(struct dsmr_tracker *tracker, const struct dsmr_id *id,
                               const struct dsmr_flight *flight)
{
    const struct dsmr_place place = {.owner = flight->owner,
                                     .seq = flight->seq,
                                     .expiry_ms = flight->expiry_ms,
                                     .admitted_ms = tracker->news_ms,
                                     .wants_certified = flight->wants_certified,
                                     .wants_executed = flight->wants_executed};
    return dsmr_places_add(tracker->places, id, &place);
}

static void flush_observed(struct dsmr_tracker *tracker)
{
    if (tracker->observed.count > 0) {
        dsmr_metrics_observe(tracker->config.metrics, tracker->observed.id, tracker->observed.ms,
                             tracker->observed.count);
        tracker->observed.count = 0;
    }
}

static void observe(struct dsmr_tracker *tracker, enum dsmr_metric_histogram id,
                    const struct dsmr_place *place)
{
    uint64_t now_ms = tracker->news_ms;
    uint64_t ms = now_ms > place->admitted_ms ? now_ms - place->admitted_ms : 0;
    if (tracker->observed.id != id || tracker->observed.ms != ms) {
        flush_observed(tracker);
        tracker->observed.id = id;
        tracker->observed.ms = ms;
    }
    tracker->observed.count++;
}

/* One transaction of an HTTP request. */
static void on_submitted_tx(struct dsmr_tracker *tracker, const struct dsmr_submit_tx *tx)
{
    struct dsmr_query_tx known = {.state = DSMR_TX_UNKNOWN};
    if (tx->err == DSMR_OK) {
        const struct dsmr_flight flight = {.owner = DSMR_PLACES_NOBODY, .expiry_ms = tx->expiry_ms};
        /* At the limit it runs all the same; only where it is will not be known. */
        dsmr_places_lock(tracker->places);
        (void)!dsmr_tracker_add(tracker, &tx->id, &flight);
        dsmr_places_unlock(tracker->places);
    } else if (tx->err == DSMR_ERR_DUPLICATE &&
               dsmr_tracker_where(tracker, &known, &tx->id) != DSMR_OK) {
        known.state = DSMR_TX_UNKNOWN;
    }
    if (tx->tag != 0) {
        dsmr_waits_submitted(tracker->config.waits, tx->tag, tx->err, &known);
    }
}

static void on_submitted(struct dsmr_tracker *tracker, struct dsmr_submit_batch *batch)
{
    tracker->news_ms = batch->returned_ms;
    if (batch->origin != NULL) {
        dsmr_places_lock(tracker->places); /* once for all that the sink adds */
        tracker->sink.submitted(tracker->sink.self, batch);
        dsmr_places_unlock(tracker->places);
        return;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        on_submitted_tx(tracker, &batch->txs[i]);
    }
}

static void certify(void *ctx, uint32_t index, struct dsmr_place *place)
{
    struct dsmr_tracker *tracker = ctx;
    (void)index;
    if (!place->is_certified) { /* a chunk may be certified again with more signers */
        place->is_certified = true;
        observe(tracker, DSMR_METRIC_HISTOGRAM_TX_CERTIFIED, place);
    }
    if (place->wants_certified) {
        place->wants_certified = false;
        tracker->sink.certified(tracker->sink.self, place->owner, place->seq);
        if (!place->wants_executed) {
            tracker->sink.landed(tracker->sink.self, place->owner);
            dsmr_places_disown(tracker->places, place);
        }
    }
}

static void on_certified(struct dsmr_tracker *tracker, const struct dsmr_chunk *chunk)
{
    uint32_t count = chunk->header.tx_count;
    dsmr_places_certified(tracker->places, chunk);
    dsmr_waits_certified(tracker->config.waits, chunk->tx_ids, count);
    dsmr_places_lock(tracker->places);
    dsmr_places_find_all(tracker->places, chunk->tx_ids, count, certify, tracker);
    dsmr_places_unlock(tracker->places);
    flush_observed(tracker);
}

/* It has run: its owner hears of it and the entry goes. */
static void end_executed(struct dsmr_tracker *tracker, struct dsmr_place *place, uint64_t height,
                         uint32_t code)
{
    if (place->wants_executed) {
        tracker->sink.executed(tracker->sink.self, place->owner, place->seq, height, code);
    }
    if (place->owner != DSMR_PLACES_NOBODY) {
        tracker->sink.landed(tracker->sink.self, place->owner);
    }
    dsmr_places_remove(tracker->places, place);
}

struct running {
    struct dsmr_tracker *tracker;
    const struct dsmr_executed *executed;
};

static void has_run(void *ctx, uint32_t index, struct dsmr_place *place)
{
    const struct running *running = ctx;
    observe(running->tracker, DSMR_METRIC_HISTOGRAM_TX_EXECUTED, place);
    end_executed(running->tracker, place, running->executed->height,
                 running->executed->results[index].code);
}

static void on_executed(struct dsmr_tracker *tracker, const struct dsmr_executed *executed)
{
    struct running running = {.tracker = tracker, .executed = executed};
    if (executed->time_ms > tracker->executed_time_ms) {
        tracker->executed_time_ms = executed->time_ms;
    }
    dsmr_waits_executed(tracker->config.waits, executed);
    dsmr_places_lock(tracker->places);
    dsmr_places_find_all(tracker->places, executed->ids, executed->count, has_run, &running);
    dsmr_places_unlock(tracker->places);
    flush_observed(tracker);
}

static void remember_expired(struct dsmr_tracker *tracker, const struct dsmr_id *id)
{
    pthread_mutex_lock(&tracker->lock);
    tracker->expired_cache[dsmr_load_be32(id->bytes) % EXPIRED_CACHE] = *id;
    pthread_mutex_unlock(&tracker->lock);
}

static bool has_expired(struct dsmr_tracker *tracker, const struct dsmr_id *id)
{
    pthread_mutex_lock(&tracker->lock);
    bool found =
        dsmr_id_equal(&tracker->expired_cache[dsmr_load_be32(id->bytes) % EXPIRED_CACHE], id) &&
        !dsmr_id_is_zero(id);
    pthread_mutex_unlock(&tracker->lock);
    return found;
}

static void expire(struct dsmr_tracker *tracker, const struct dsmr_id *id)
{
    remember_expired(tracker, id);
    dsmr_places_lock(tracker->places);
    struct dsmr_place *place = dsmr_places_find(tracker->places, id);
    if (place != NULL && place->owner != DSMR_PLACES_NOBODY) {
        tracker->sink.expired(tracker->sink.self, place->owner, place->seq);
        tracker->sink.landed(tracker->sink.self, place->owner);
    }
    if (place != NULL) {
        dsmr_places_remove(tracker->places, place);
    }
    dsmr_places_unlock(tracker->places);
}

/* What was seen here is read first: a result is in the store before its entry goes. */
enum dsmr_err dsmr_tracker_where(struct dsmr_tracker *tracker, struct dsmr_query_tx *out,
                                 const struct dsmr_id *id)
{
    struct dsmr_query_tx seen = {.state = DSMR_TX_UNKNOWN};
    struct dsmr_query_tx stored = {.state = DSMR_TX_UNKNOWN};
    bool is_seen = dsmr_places_where(tracker->places, &seen, id);
    enum dsmr_err err = tracker->query->ops->tx(tracker->query->self, &stored, id);
    if (err == DSMR_OK && stored.state != DSMR_TX_UNKNOWN) {
        *out = stored;
        out->chunk_id = dsmr_id_is_zero(&stored.chunk_id) ? seen.chunk_id : stored.chunk_id;
        return DSMR_OK;
    }
    if (err != DSMR_OK && err != DSMR_ERR_UNKNOWN) {
        return err;
    }
    if (!is_seen && has_expired(tracker, id)) {
        seen.state = DSMR_TX_EXPIRED;
    }
    *out = seen;
    return seen.state != DSMR_TX_UNKNOWN ? DSMR_OK : DSMR_ERR_UNKNOWN;
}

static void on_item(struct dsmr_tracker *tracker, const struct item *item)
{
    tracker->news_ms = item->at_ms;
    switch (item->kind) {
    case DSMR_NOTICE_BUILT:
        dsmr_places_built(tracker->places, item->u.chunk);
        break;
    case DSMR_NOTICE_CERTIFIED:
        on_certified(tracker, item->u.chunk);
        break;
    case DSMR_NOTICE_ACCEPTED:
        dsmr_places_accepted(tracker->places, item->u.block);
        break;
    case DSMR_NOTICE_RETURNED:
        dsmr_places_returned(tracker->places, item->u.chunk);
        break;
    case DSMR_NOTICE_EXECUTED:
        on_executed(tracker, item->u.executed);
        break;
    case DSMR_NOTICE_EXPIRED:
        for (uint32_t i = 0; i < item->u.expired->count; i++) {
            expire(tracker, &item->u.expired->ids[i]);
        }
        dsmr_waits_expired(tracker->config.waits, item->u.expired->ids, item->u.expired->count);
        break;
    default:
        DSMR_UNREACHABLE();
    }
}

void dsmr_tracker_expect(const struct dsmr_tracker *tracker, const struct dsmr_id *id)
{
    dsmr_places_expect(tracker->places, id);
}

void dsmr_tracker_drain(struct dsmr_tracker *tracker)
{
    pthread_mutex_lock(&tracker->lock);
    struct dsmr_task *batches = tracker->batches_first;
    tracker->batches_first = NULL;
    tracker->batches_last = &tracker->batches_first;
    struct item *items = tracker->items;
    uint32_t count = tracker->items_count;
    tracker->items = tracker->spare;
    tracker->spare = items;
    tracker->items_count = 0;
    pthread_mutex_unlock(&tracker->lock);

    for (struct dsmr_task *task = batches; task != NULL; task = task->next) {
        on_submitted(tracker, (struct dsmr_submit_batch *)task);
    }
    free_batches(batches);
    for (uint32_t i = 0; i < count; i++) {
        on_item(tracker, &items[i]);
        item_close(&items[i]);
    }
    tracker->sink.flush(tracker->sink.self);
}

/* With notices lost, the store knows whether it ran; otherwise nothing need be asked. */
static void end_swept(struct dsmr_tracker *tracker, const struct dsmr_id *id)
{
    struct dsmr_query_tx known = {.state = DSMR_TX_UNKNOWN};
    if (tracker->dropped > 0 &&
        tracker->query->ops->tx(tracker->query->self, &known, id) == DSMR_OK &&
        (known.state == DSMR_TX_EXECUTED || known.state == DSMR_TX_FAILED)) {
        dsmr_places_lock(tracker->places);
        struct dsmr_place *place = dsmr_places_find(tracker->places, id);
        DSMR_ASSERT(place != NULL); /* only this thread removes */
        end_executed(tracker, place, known.height, known.result.code);
        dsmr_places_unlock(tracker->places);
        return;
    }
    expire(tracker, id);
}

void dsmr_tracker_sweep(struct dsmr_tracker *tracker)
{
    struct dsmr_id ended[SWEEP_ENDED_MAX];
    uint32_t ended_count = 0;
    if (!dsmr_places_may_expire(tracker->places, tracker->executed_time_ms)) {
        return;
    }
    dsmr_places_lock(tracker->places);
    for (uint32_t i = 0; i < DSMR_TRACKER_SWEEP_MAX && ended_count < SWEEP_ENDED_MAX; i++) {
        const struct dsmr_id *id = NULL;
        const struct dsmr_place *place =
            dsmr_places_next(tracker->places, &tracker->sweep_position, &id);
        if (place == NULL) {
            tracker->sweep_position = 0;
            break;
        }
        if (place->expiry_ms < tracker->executed_time_ms) {
            ended[ended_count++] = *id;
        }
    }
    dsmr_places_unlock(tracker->places);
    for (uint32_t i = 0; i < ended_count; i++) {
        end_swept(tracker, &ended[i]);
    }
    if (ended_count > 0) {
        tracker->sink.flush(tracker->sink.self);
    }
}

uint32_t dsmr_tracker_flights(const struct dsmr_tracker *tracker)
{
    return dsmr_places_flights(tracker->places);
}

bool dsmr_tracker_is_idle(const struct dsmr_tracker *tracker)
{
    return dsmr_places_is_empty(tracker->places);
}

uint64_t dsmr_tracker_dropped(const struct dsmr_tracker *tracker)
{
    return atomic_load_explicit(&tracker->dropped, memory_order_relaxed);
}
