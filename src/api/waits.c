#include "api/waits.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/map.h"

#define NONE UINT32_MAX

struct wait {
    struct dsmr_waits_news news;
    uint64_t deadline_ms;
    dsmr_waits_done_fn done;
    void *ctx;
    uint32_t generation;
    uint32_t next; /* of the free list, or of the waits for the same id */
    bool is_used;
};

struct dsmr_waits {
    pthread_mutex_t lock;
    struct wait *slots;
    uint32_t capacity;
    uint32_t free_first;
    struct dsmr_map *by_id; /* id -> u32, first wait of the chain */
    bool is_closed;
    _Atomic uint32_t count;
    void (*wake)(void *ctx); /* NULL: nobody sleeps */
    void *wake_ctx;
};

struct dsmr_waits *dsmr_waits_new(uint32_t capacity, uint64_t seed)
{
    DSMR_ASSERT(capacity > 0 && capacity < NONE);
    struct dsmr_waits *waits = calloc(1, sizeof(*waits));
    if (waits == NULL) {
        return NULL;
    }
    waits->slots = calloc(capacity, sizeof(*waits->slots));
    waits->by_id = dsmr_map_new(sizeof(struct dsmr_id), sizeof(uint32_t), capacity, seed);
    if (waits->slots == NULL || waits->by_id == NULL) {
        dsmr_map_free(waits->by_id);
        free(waits->slots);
        free(waits);
        return NULL;
    }
    pthread_mutex_init(&waits->lock, NULL);
    waits->capacity = capacity;
    for (uint32_t i = 0; i < capacity; i++) {
        waits->slots[i].next = i + 1 < capacity ? i + 1 : NONE;
        waits->slots[i].generation = 1;
    }
    return waits;
}

void dsmr_waits_free(struct dsmr_waits *waits)
{
    if (waits == NULL) {
        return;
    }
    DSMR_ASSERT(waits->count == 0);
    pthread_mutex_destroy(&waits->lock);
    dsmr_map_free(waits->by_id);
    free(waits->slots);
    free(waits);
}

void dsmr_waits_set_wake(struct dsmr_waits *waits, void (*wake)(void *ctx), void *ctx)
{
    waits->wake = wake;
    waits->wake_ctx = ctx;
}

uint32_t dsmr_waits_count(const struct dsmr_waits *waits)
{
    return atomic_load_explicit(&waits->count, memory_order_relaxed);
}

static uint64_t ticket_of(const struct dsmr_waits *waits, uint32_t at)
{
    return (uint64_t)waits->slots[at].generation << 32 | at;
}

static struct wait *find(struct dsmr_waits *waits, uint64_t ticket)
{
    uint32_t at = (uint32_t)ticket;
    if (at >= waits->capacity || !waits->slots[at].is_used ||
        waits->slots[at].generation != (uint32_t)(ticket >> 32)) {
        return NULL;
    }
    return &waits->slots[at];
}

enum dsmr_err dsmr_waits_add(struct dsmr_waits *waits, uint64_t *ticket,
                             const struct dsmr_waits_news *what, uint64_t deadline_ms,
                             dsmr_waits_done_fn done, void *ctx)
{
    enum dsmr_err err = DSMR_ERR_FULL;
    bool is_first = false;
    pthread_mutex_lock(&waits->lock);
    if (waits->is_closed) {
        err = DSMR_ERR_CLOSED;
        goto out;
    }
    uint32_t at = waits->free_first;
    if (at == NONE) {
        goto out;
    }
    bool is_new = false;
    uint32_t *first = dsmr_map_add(waits->by_id, &what->id, &is_new);
    if (first == NULL) {
        goto out;
    }
    struct wait *wait = &waits->slots[at];
    waits->free_first = wait->next;
    wait->next = is_new ? NONE : *first;
    *first = at;
    wait->news = *what;
    wait->deadline_ms = deadline_ms;
    wait->done = done;
    wait->ctx = ctx;
    wait->is_used = true;
    is_first = waits->count++ == 0;
    *ticket = ticket_of(waits, at);
    err = DSMR_OK;
out:
    pthread_mutex_unlock(&waits->lock);
    if (is_first && waits->wake != NULL) {
        waits->wake(waits->wake_ctx);
    }
    return err;
}

/* Takes the wait out of its id's chain and gives its slot back. */
static void release(struct dsmr_waits *waits, struct wait *wait)
{
    uint32_t at = (uint32_t)(wait - waits->slots);
    uint32_t *first = dsmr_map_find(waits->by_id, &wait->news.id);
    DSMR_ASSERT(first != NULL);
    uint32_t *link = first;
    while (*link != at) {
        DSMR_ASSERT(*link < waits->capacity);
        link = &waits->slots[*link].next;
    }
    *link = wait->next;
    if (*first == NONE) {
        dsmr_map_remove(waits->by_id, &wait->news.id);
    }
    wait->is_used = false;
    wait->generation = wait->generation == UINT32_MAX ? 1 : wait->generation + 1;
    wait->next = waits->free_first;
    waits->free_first = at;
    waits->count--;
}

static void finish(struct dsmr_waits *waits, struct wait *wait, enum dsmr_err err,
                   enum dsmr_query_tx_state state)
{
    wait->news.err = err;
    wait->news.state = state;
    dsmr_waits_done_fn done = wait->done;
    void *ctx = wait->ctx;
    struct dsmr_waits_news news = wait->news;
    release(waits, wait);
    done(ctx, &news);
}

bool dsmr_waits_cancel(struct dsmr_waits *waits, uint64_t ticket)
{
    pthread_mutex_lock(&waits->lock);
    struct wait *wait = find(waits, ticket);
    if (wait != NULL) {
        release(waits, wait);
    }
    pthread_mutex_unlock(&waits->lock);
    return wait != NULL;
}

/* A transaction that was here before: it may already be where the request wants it. */
static void resubmitted(struct dsmr_waits *waits, struct wait *wait,
                        const struct dsmr_query_tx *known)
{
    enum dsmr_query_tx_state state = known != NULL ? known->state : DSMR_TX_UNKNOWN;
    if (wait->news.mode == DSMR_WAITS_ADMITTED) {
        wait->news.is_counted = true;
        finish(waits, wait, DSMR_ERR_DUPLICATE, state);
    } else if (state == DSMR_TX_EXECUTED || state == DSMR_TX_FAILED) {
        wait->news.height = known->height;
        wait->news.result = known->result;
        finish(waits, wait, DSMR_OK, state);
    } else if (state == DSMR_TX_EXPIRED) {
        finish(waits, wait, DSMR_ERR_EXPIRED, state);
    } else if (wait->news.mode == DSMR_WAITS_CERTIFIED &&
               (state == DSMR_TX_CERTIFIED || state == DSMR_TX_IN_BLOCK)) {
        wait->news.height = known->height;
        finish(waits, wait, DSMR_OK, state);
    } else {
        wait->news.state = state;
    }
}

void dsmr_waits_submitted(struct dsmr_waits *waits, uint64_t ticket, enum dsmr_err err,
                          const struct dsmr_query_tx *known)
{
    pthread_mutex_lock(&waits->lock);
    struct wait *wait = find(waits, ticket);
    if (wait != NULL) {
        if (err == DSMR_ERR_DUPLICATE) {
            resubmitted(waits, wait, known);
        } else if (err != DSMR_OK) {
            wait->news.is_counted = true;
            finish(waits, wait, err, DSMR_TX_UNKNOWN);
        } else if (wait->news.mode == DSMR_WAITS_ADMITTED) {
            finish(waits, wait, DSMR_OK, DSMR_TX_PENDING);
        } else {
            wait->news.state = DSMR_TX_PENDING;
        }
    }
    pthread_mutex_unlock(&waits->lock);
}

static uint32_t first_of(const struct dsmr_waits *waits, const struct dsmr_id *id)
{
    const uint32_t *first = dsmr_map_find(waits->by_id, id);
    return first != NULL ? *first : NONE;
}

void dsmr_waits_certified(struct dsmr_waits *waits, const struct dsmr_id *ids, uint32_t count)
{
    if (dsmr_waits_count(waits) == 0) {
        return;
    }
    pthread_mutex_lock(&waits->lock);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t at = first_of(waits, &ids[i]), next; at != NONE; at = next) {
            struct wait *wait = &waits->slots[at];
            next = wait->next;
            if (wait->news.mode == DSMR_WAITS_CERTIFIED) {
                finish(waits, wait, DSMR_OK, DSMR_TX_CERTIFIED);
            } else {
                wait->news.state = DSMR_TX_CERTIFIED;
            }
        }
    }
    pthread_mutex_unlock(&waits->lock);
}

void dsmr_waits_executed(struct dsmr_waits *waits, const struct dsmr_executed *executed)
{
    if (dsmr_waits_count(waits) == 0) {
        return;
    }
    pthread_mutex_lock(&waits->lock);
    for (uint32_t i = 0; i < executed->count; i++) {
        for (uint32_t at = first_of(waits, &executed->ids[i]), next; at != NONE; at = next) {
            struct wait *wait = &waits->slots[at];
            next = wait->next;
            wait->news.height = executed->height;
            wait->news.result = executed->results[i];
            finish(waits, wait, DSMR_OK,
                   executed->results[i].code == 0 ? DSMR_TX_EXECUTED : DSMR_TX_FAILED);
        }
    }
    pthread_mutex_unlock(&waits->lock);
}

void dsmr_waits_expired(struct dsmr_waits *waits, const struct dsmr_id *ids, uint32_t count)
{
    if (dsmr_waits_count(waits) == 0) {
        return;
    }
    pthread_mutex_lock(&waits->lock);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t at = first_of(waits, &ids[i]), next; at != NONE; at = next) {
            next = waits->slots[at].next;
            finish(waits, &waits->slots[at], DSMR_ERR_EXPIRED, DSMR_TX_EXPIRED);
        }
    }
    pthread_mutex_unlock(&waits->lock);
}

void dsmr_waits_tick(struct dsmr_waits *waits, uint64_t mono_ms)
{
    if (dsmr_waits_count(waits) == 0) {
        return;
    }
    pthread_mutex_lock(&waits->lock);
    for (uint32_t at = 0; at < waits->capacity && waits->count > 0; at++) {
        struct wait *wait = &waits->slots[at];
        if (wait->is_used && wait->deadline_ms <= mono_ms) {
            finish(waits, wait, DSMR_ERR_TIMEOUT, wait->news.state);
        }
    }
    pthread_mutex_unlock(&waits->lock);
}

void dsmr_waits_close(struct dsmr_waits *waits)
{
    pthread_mutex_lock(&waits->lock);
    waits->is_closed = true;
    for (uint32_t at = 0; at < waits->capacity; at++) {
        if (waits->slots[at].is_used) {
            finish(waits, &waits->slots[at], DSMR_ERR_CLOSED, waits->slots[at].news.state);
        }
    }
    pthread_mutex_unlock(&waits->lock);
}
