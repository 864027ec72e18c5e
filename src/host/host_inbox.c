#define _GNU_SOURCE
#include "host/host_inbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/assert.h"

struct task_list {
    struct dsmr_task *first;
    struct dsmr_task **end;
    size_t count;
};

struct listener {
    void (*ready)(void *ctx);
    void *ctx;
};

struct dsmr_host_inbox {
    pthread_mutex_t mutex; /* guards everything below */
    pthread_cond_t filled;
    struct dsmr_host_inbox_config config;
    struct task_list completions;
    struct task_list offers;
    size_t offer_bytes;
    uint64_t refused;
    bool has_refused; /* since listeners were last called */
    bool is_woken;
    bool is_closed;
    bool is_waiting; /* the owner sleeps: only then a signal is needed */
    size_t listeners_count;
    struct listener listeners[DSMR_HOST_INBOX_LISTENERS_MAX];
};

static void list_init(struct task_list *list)
{
    list->first = NULL;
    list->end = &list->first;
    list->count = 0;
}

static void list_add(struct task_list *list, struct dsmr_task *task)
{
    task->next = NULL;
    *list->end = task;
    list->end = &task->next;
    list->count++;
}

static struct dsmr_task *list_take_first(struct task_list *list)
{
    struct dsmr_task *task = list->first;
    DSMR_ASSERT(task != NULL);
    list->first = task->next;
    list->count--;
    if (list->first == NULL)
        list->end = &list->first;
    return task;
}

void dsmr_host_inbox_config_default(struct dsmr_host_inbox_config *config)
{
    *config = (struct dsmr_host_inbox_config){
        .offers_max = 16384, .offer_bytes_max = (size_t)64 << 20, .offers_per_pop = 64};
}

struct dsmr_host_inbox *dsmr_host_inbox_new(const struct dsmr_host_inbox_config *config)
{
    DSMR_ASSERT(config->offers_per_pop > 0);
    DSMR_ASSERT(config->offers_max > 0);
    struct dsmr_host_inbox *inbox = calloc(1, sizeof(*inbox));
    if (inbox == NULL)
        return NULL;
    inbox->config = *config;
    list_init(&inbox->completions);
    list_init(&inbox->offers);
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);
    DSMR_ASSERT(rc == 0);
    rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    DSMR_ASSERT(rc == 0);
    rc = pthread_mutex_init(&inbox->mutex, NULL);
    if (rc == 0) {
        rc = pthread_cond_init(&inbox->filled, &attr);
        if (rc != 0)
            pthread_mutex_destroy(&inbox->mutex);
    }
    pthread_condattr_destroy(&attr);
    if (rc != 0) {
        free(inbox);
        return NULL;
    }
    return inbox;
}

void dsmr_host_inbox_free(struct dsmr_host_inbox *inbox)
{
    if (inbox == NULL)
        return;
    DSMR_ASSERT(inbox->completions.count == 0);
    DSMR_ASSERT(inbox->offers.count == 0);
    pthread_cond_destroy(&inbox->filled);
    pthread_mutex_destroy(&inbox->mutex);
    free(inbox);
}

/* With the lock held. */
static void wake_owner(struct dsmr_host_inbox *inbox)
{
    if (inbox->is_waiting)
        pthread_cond_signal(&inbox->filled);
}

static bool can_take(const struct dsmr_host_inbox *inbox, size_t bytes)
{
    if (inbox->is_closed)
        return false;
    if (inbox->offers.count == 0)
        return true; /* else what is larger than the limit would never come in */
    if (inbox->offers.count >= inbox->config.offers_max)
        return false;
    return inbox->offer_bytes <= inbox->config.offer_bytes_max &&
           bytes <= inbox->config.offer_bytes_max - inbox->offer_bytes;
}

static bool offer(void *self, struct dsmr_task *task)
{
    struct dsmr_host_inbox *inbox = self;
    pthread_mutex_lock(&inbox->mutex);
    bool is_taken = can_take(inbox, task->bytes);
    if (is_taken) {
        inbox->offer_bytes += task->bytes;
        list_add(&inbox->offers, task);
        wake_owner(inbox);
    } else {
        inbox->has_refused = true;
        inbox->refused++;
    }
    pthread_mutex_unlock(&inbox->mutex);
    return is_taken;
}

static void complete(void *self, struct dsmr_task *task)
{
    struct dsmr_host_inbox *inbox = self;
    pthread_mutex_lock(&inbox->mutex);
    list_add(&inbox->completions, task);
    wake_owner(inbox);
    pthread_mutex_unlock(&inbox->mutex);
}

struct dsmr_inbox dsmr_host_inbox_port(struct dsmr_host_inbox *inbox)
{
    static const struct dsmr_inbox_ops ops = {offer, complete};
    return (struct dsmr_inbox){inbox, &ops};
}

static bool has_something(const struct dsmr_host_inbox *inbox)
{
    return inbox->is_woken || inbox->completions.count > 0 || inbox->offers.count > 0;
}

/* With the lock held: sleeps until there is something or the deadline has passed. */
static void wait_filled(struct dsmr_host_inbox *inbox, uint64_t deadline_mono_ms)
{
    /* Far deadlines overflow time_t arithmetic nowhere, but "never" is its own case. */
    struct timespec until = {.tv_sec = (time_t)(deadline_mono_ms / 1000u),
                             .tv_nsec = (long)(deadline_mono_ms % 1000u) * 1000000L};
    inbox->is_waiting = true;
    while (!has_something(inbox)) {
        int rc;
        if (deadline_mono_ms == UINT64_MAX)
            rc = pthread_cond_wait(&inbox->filled, &inbox->mutex);
        else
            rc = pthread_cond_timedwait(&inbox->filled, &inbox->mutex, &until);
        if (rc == ETIMEDOUT)
            break;
        DSMR_ASSERT(rc == 0);
    }
    inbox->is_waiting = false;
}

/* With the lock held. */
static struct dsmr_task *take_tasks(struct dsmr_host_inbox *inbox)
{
    struct task_list out = inbox->completions;
    if (out.first == NULL)
        list_init(&out);
    list_init(&inbox->completions);
    /* After close nobody is left to be fair to: all that is there is to be ended. */
    size_t count = inbox->is_closed ? SIZE_MAX : inbox->config.offers_per_pop;
    for (size_t i = 0; i < count && inbox->offers.count > 0; i++) {
        struct dsmr_task *task = list_take_first(&inbox->offers);
        DSMR_ASSERT(inbox->offer_bytes >= task->bytes);
        inbox->offer_bytes -= task->bytes;
        list_add(&out, task);
    }
    return out.first;
}

struct dsmr_task *dsmr_host_inbox_pop(struct dsmr_host_inbox *inbox, uint64_t deadline_mono_ms)
{
    pthread_mutex_lock(&inbox->mutex);
    if (deadline_mono_ms != 0 && !has_something(inbox))
        wait_filled(inbox, deadline_mono_ms);
    inbox->is_woken = false;
    struct dsmr_task *tasks = take_tasks(inbox);
    bool is_ready = inbox->has_refused && !inbox->is_closed &&
                    inbox->offers.count <= inbox->config.offers_max / 2 &&
                    inbox->offer_bytes <= inbox->config.offer_bytes_max / 2;
    if (is_ready)
        inbox->has_refused = false;
    pthread_mutex_unlock(&inbox->mutex);
    for (size_t i = 0; is_ready && i < inbox->listeners_count; i++)
        inbox->listeners[i].ready(inbox->listeners[i].ctx);
    return tasks;
}

void dsmr_host_inbox_wake(struct dsmr_host_inbox *inbox)
{
    pthread_mutex_lock(&inbox->mutex);
    inbox->is_woken = true;
    wake_owner(inbox);
    pthread_mutex_unlock(&inbox->mutex);
}

void dsmr_host_inbox_close(struct dsmr_host_inbox *inbox)
{
    pthread_mutex_lock(&inbox->mutex);
    inbox->is_closed = true;
    pthread_mutex_unlock(&inbox->mutex);
}

enum dsmr_err dsmr_host_inbox_add_listener(struct dsmr_host_inbox *inbox, void (*ready)(void *ctx),
                                           void *ctx)
{
    enum dsmr_err err = DSMR_ERR_FULL;
    pthread_mutex_lock(&inbox->mutex);
    if (inbox->listeners_count < DSMR_HOST_INBOX_LISTENERS_MAX) {
        inbox->listeners[inbox->listeners_count++] = (struct listener){ready, ctx};
        err = DSMR_OK;
    }
    pthread_mutex_unlock(&inbox->mutex);
    return err;
}

void dsmr_host_inbox_level(struct dsmr_host_inbox *inbox, struct dsmr_host_inbox_level *out)
{
    pthread_mutex_lock(&inbox->mutex);
    *out = (struct dsmr_host_inbox_level){.completions = inbox->completions.count,
                                          .offers = inbox->offers.count,
                                          .offer_bytes = inbox->offer_bytes,
                                          .refused = inbox->refused};
    pthread_mutex_unlock(&inbox->mutex);
}
