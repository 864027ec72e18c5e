#include "api/tracker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/map.h"

#define EXPIRED_CACHE 4096u /* recently expired ids, by their first bytes; newer replace older */
#define SWEEP_ENDED_MAX 256u

struct ids {
    uint32_t count;
    struct dsmr_id ids[];
};

struct item {
    enum dsmr_notice_kind kind;
    union {
        struct dsmr_chunk *chunk;
        struct dsmr_executed *executed;
        struct ids *expired;
    } u;
};

struct dsmr_tracker {
    struct dsmr_tracker_config config;
    struct dsmr_tracker_sink sink;
    const struct dsmr_query *query;
    struct dsmr_map *flights; /* id -> struct dsmr_flight */
    size_t sweep_position;
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
    tracker->flights = dsmr_map_new(sizeof(struct dsmr_id), sizeof(struct dsmr_flight),
                                    config->flights_max, config->seed);
    tracker->items = calloc(DSMR_TRACKER_NOTICES_MAX, sizeof(*tracker->items));
    tracker->spare = calloc(DSMR_TRACKER_NOTICES_MAX, sizeof(*tracker->spare));
    tracker->expired_cache = calloc(EXPIRED_CACHE, sizeof(*tracker->expired_cache));
    if (tracker->flights == NULL || tracker->items == NULL || tracker->spare == NULL ||
        tracker->expired_cache == NULL) {
        dsmr_tracker_free(tracker);
        return NULL;
    }
    return tracker;
}

static void item_close(struct item *item)
{
    switch (item->kind) {
    case DSMR_NOTICE_CERTIFIED:
        dsmr_chunk_unref(item->u.chunk);
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
    dsmr_map_free(tracker->flights);
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

/* The chunk, the results or a copy of the ids; false for what nobody here wants. */
static bool item_init(struct item *item, const struct dsmr_notice *notice)
{
    item->kind = notice->kind;
    switch (notice->kind) {
    case DSMR_NOTICE_CERTIFIED:
        item->u.chunk = dsmr_chunk_ref(notice->u.chunk);
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
    pthread_mutex_lock(&tracker->lock);
    bool was_empty = tracker->items_count == 0 && tracker->batches_first == NULL;
    bool is_dropped = false;
    if (is_batch) {
        struct dsmr_task *task = &notice->u.batch->task;
        task->next = NULL;
        *tracker->batches_last = task;
        tracker->batches_last = &task->next;
    } else if (tracker->items_count < DSMR_TRACKER_NOTICES_MAX) {
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
    bool is_new = false;
    struct dsmr_flight *slot = dsmr_map_add(tracker->flights, id, &is_new);
    if (slot == NULL) {
        return DSMR_ERR_FULL;
    }
    if (!is_new) {
        return DSMR_ERR_DUPLICATE;
    }
    *slot = *flight;
    return DSMR_OK;
}

static void land(struct dsmr_tracker *tracker, const struct dsmr_id *id, uint64_t owner)
{
    dsmr_map_remove(tracker->flights, id);
    tracker->sink.landed(tracker->sink.self, owner);
}

static void on_submitted(struct dsmr_tracker *tracker, struct dsmr_submit_batch *batch)
{
    if (batch->origin != NULL) {
        tracker->sink.submitted(tracker->sink.self, batch);
        return;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct dsmr_submit_tx *tx = &batch->txs[i];
        struct dsmr_query_tx known = {.state = DSMR_TX_UNKNOWN};
        if (tx->tag == 0) {
            continue;
        }
        if (tx->err == DSMR_ERR_DUPLICATE &&
            tracker->query->ops->tx(tracker->query->self, &known, &tx->id) != DSMR_OK) {
            known.state = DSMR_TX_UNKNOWN;
        }
        dsmr_waits_submitted(tracker->config.waits, tx->tag, tx->err, &known);
    }
}

static void on_certified(struct dsmr_tracker *tracker, const struct dsmr_chunk *chunk)
{
    uint32_t count = chunk->header.tx_count;
    dsmr_waits_certified(tracker->config.waits, chunk->tx_ids, count);
    for (uint32_t i = 0; i < count && dsmr_map_count(tracker->flights) > 0; i++) {
        struct dsmr_flight *flight = dsmr_map_find(tracker->flights, &chunk->tx_ids[i]);
        if (flight == NULL || !flight->wants_certified) {
            continue;
        }
        uint64_t owner = flight->owner;
        flight->wants_certified = false; /* a chunk may be certified again with more signers */
        tracker->sink.certified(tracker->sink.self, owner, flight->seq);
        if (!flight->wants_executed) {
            land(tracker, &chunk->tx_ids[i], owner);
        }
    }
}

static void on_executed(struct dsmr_tracker *tracker, const struct dsmr_executed *executed)
{
    if (executed->time_ms > tracker->executed_time_ms) {
        tracker->executed_time_ms = executed->time_ms;
    }
    dsmr_waits_executed(tracker->config.waits, executed);
    for (uint32_t i = 0; i < executed->count && dsmr_map_count(tracker->flights) > 0; i++) {
        const struct dsmr_flight *flight = dsmr_map_find(tracker->flights, &executed->ids[i]);
        if (flight == NULL) {
            continue;
        }
        uint64_t owner = flight->owner;
        if (flight->wants_executed) {
            tracker->sink.executed(tracker->sink.self, owner, flight->seq, executed->height,
                                   executed->results[i].code);
        }
        land(tracker, &executed->ids[i], owner);
    }
}

static void remember_expired(struct dsmr_tracker *tracker, const struct dsmr_id *id)
{
    pthread_mutex_lock(&tracker->lock);
    tracker->expired_cache[dsmr_load_be32(id->bytes) % EXPIRED_CACHE] = *id;
    pthread_mutex_unlock(&tracker->lock);
}

bool dsmr_tracker_has_expired(struct dsmr_tracker *tracker, const struct dsmr_id *id)
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
    const struct dsmr_flight *flight = dsmr_map_find(tracker->flights, id);
    remember_expired(tracker, id);
    if (flight != NULL) {
        uint64_t owner = flight->owner;
        tracker->sink.expired(tracker->sink.self, owner, flight->seq);
        land(tracker, id, owner);
    }
}

static void on_item(struct dsmr_tracker *tracker, const struct item *item)
{
    switch (item->kind) {
    case DSMR_NOTICE_CERTIFIED:
        on_certified(tracker, item->u.chunk);
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
        const struct dsmr_flight *flight = dsmr_map_find(tracker->flights, id);
        uint64_t owner = flight->owner;
        tracker->sink.executed(tracker->sink.self, owner, flight->seq, known.height,
                               known.result.code);
        land(tracker, id, owner);
        return;
    }
    expire(tracker, id);
}

void dsmr_tracker_sweep(struct dsmr_tracker *tracker)
{
    struct dsmr_id ended[SWEEP_ENDED_MAX];
    uint32_t ended_count = 0;
    if (dsmr_map_count(tracker->flights) == 0) {
        return;
    }
    for (uint32_t i = 0; i < DSMR_TRACKER_SWEEP_MAX && ended_count < SWEEP_ENDED_MAX; i++) {
        const void *key = NULL;
        void *value = NULL;
        if (!dsmr_map_next(tracker->flights, &tracker->sweep_position, &key, &value)) {
            tracker->sweep_position = 0;
            break;
        }
        const struct dsmr_flight *flight = value;
        if (flight->expiry_ms < tracker->executed_time_ms) {
            memcpy(&ended[ended_count++], key, sizeof(ended[0]));
        }
    }
    for (uint32_t i = 0; i < ended_count; i++) {
        end_swept(tracker, &ended[i]);
    }
    if (ended_count > 0) {
        tracker->sink.flush(tracker->sink.self);
    }
}

uint32_t dsmr_tracker_flights(const struct dsmr_tracker *tracker)
{
    return (uint32_t)dsmr_map_count(tracker->flights);
}

uint64_t dsmr_tracker_dropped(const struct dsmr_tracker *tracker)
{
    return atomic_load_explicit(&tracker->dropped, memory_order_relaxed);
}
