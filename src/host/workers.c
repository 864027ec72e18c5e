#define _GNU_SOURCE
#include "host/workers.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "base/assert.h"
#include "host/os_random.h"

struct lane {
    struct dsmr_task *first;
    struct dsmr_task **end;
};

struct dsmr_workers {
    pthread_mutex_t mutex;         /* guards lanes and is_closing */
    pthread_cond_t filled;         /* URGENT or BULK */
    pthread_cond_t execute_filled; /* EXECUTE */
    struct lane lanes[DSMR_WORK_LANES];
    bool is_closing;
    struct dsmr_inbox inbox;
    uint32_t threads_count; /* including the execution thread, which is the first */
    pthread_t threads[DSMR_WORKERS_THREADS_MAX + 1];
};

static struct dsmr_task *take(struct lane *lane)
{
    struct dsmr_task *task = lane->first;
    if (task == NULL)
        return NULL;
    lane->first = task->next;
    if (lane->first == NULL)
        lane->end = &lane->first;
    task->next = NULL;
    return task;
}

/* Chains behind task what waits in lane with the same run_many: this thread's share of it. */
static void take_more(struct dsmr_workers *workers, struct lane *lane, struct dsmr_task *task)
{
    uint32_t alike = 0, threads = workers->threads_count - 1; /* one of them executes */
    for (const struct dsmr_task *other = lane->first; other != NULL; other = other->next)
        alike += other->run_many == task->run_many;
    uint32_t left = alike / threads;
    left = left < DSMR_WORKERS_TOGETHER_MAX ? left : DSMR_WORKERS_TOGETHER_MAX - 1u;
    struct dsmr_task **at = &lane->first, *last = task;
    for (; left > 0; left--) {
        while ((*at)->run_many != task->run_many)
            at = &(*at)->next;
        last->next = *at;
        last = *at;
        *at = last->next;
        last->next = NULL;
    }
    while (*at != NULL)
        at = &(*at)->next;
    lane->end = at;
}

/* The oldest of lane, with those that go with it. */
static struct dsmr_task *take_together(struct dsmr_workers *workers, enum dsmr_work_lane lane)
{
    struct dsmr_task *task = take(&workers->lanes[lane]);
    if (task != NULL && task->run_many != NULL)
        take_more(workers, &workers->lanes[lane], task);
    return task;
}

static void run(struct dsmr_workers *workers, struct dsmr_task *task)
{
    if (task->next == NULL)
        task->run(task);
    else
        task->run_many(task);
    while (task != NULL) {
        struct dsmr_task *next = task->next; /* complete() chains it elsewhere */
        workers->inbox.ops->complete(workers->inbox.self, task);
        task = next;
    }
}

static void *work_loop(void *arg)
{
    struct dsmr_workers *workers = arg;
    pthread_mutex_lock(&workers->mutex);
    for (;;) {
        struct dsmr_task *task = take_together(workers, DSMR_WORK_URGENT);
        if (task == NULL)
            task = take_together(workers, DSMR_WORK_BULK);
        if (task != NULL) {
            pthread_mutex_unlock(&workers->mutex);
            run(workers, task);
            pthread_mutex_lock(&workers->mutex);
        } else if (workers->is_closing) {
            break;
        } else {
            pthread_cond_wait(&workers->filled, &workers->mutex);
        }
    }
    pthread_mutex_unlock(&workers->mutex);
    return NULL;
}

static void *execute_loop(void *arg)
{
    struct dsmr_workers *workers = arg;
    pthread_mutex_lock(&workers->mutex);
    for (;;) {
        struct dsmr_task *task = take(&workers->lanes[DSMR_WORK_EXECUTE]);
        if (task != NULL) {
            pthread_mutex_unlock(&workers->mutex);
            run(workers, task);
            pthread_mutex_lock(&workers->mutex);
        } else if (workers->is_closing) {
            break;
        } else {
            pthread_cond_wait(&workers->execute_filled, &workers->mutex);
        }
    }
    pthread_mutex_unlock(&workers->mutex);
    return NULL;
}

/* Starts one thread with every signal blocked: signals belong to the thread that waits for them. */
static bool start_thread(struct dsmr_workers *workers, void *(*loop)(void *), const char *name)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t *thread = &workers->threads[workers->threads_count];
    bool is_started = pthread_create(thread, NULL, loop, workers) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (is_started) {
        pthread_setname_np(*thread, name);
        workers->threads_count++;
    }
    return is_started;
}

struct dsmr_workers *dsmr_workers_new(const struct dsmr_inbox *inbox, uint32_t threads)
{
    DSMR_ASSERT(threads > 0);
    DSMR_ASSERT(threads <= DSMR_WORKERS_THREADS_MAX);
    struct dsmr_workers *workers = calloc(1, sizeof(*workers));
    if (workers == NULL)
        return NULL;
    for (int i = 0; i < DSMR_WORK_LANES; i++)
        workers->lanes[i].end = &workers->lanes[i].first;
    workers->inbox = *inbox;
    if (pthread_mutex_init(&workers->mutex, NULL) != 0)
        goto no_mutex;
    if (pthread_cond_init(&workers->filled, NULL) != 0)
        goto no_filled;
    if (pthread_cond_init(&workers->execute_filled, NULL) != 0)
        goto no_execute_filled;
    bool is_started = start_thread(workers, execute_loop, "dsmr-exec");
    for (uint32_t i = 0; is_started && i < threads; i++)
        is_started = start_thread(workers, work_loop, "dsmr-work");
    if (!is_started) {
        dsmr_workers_free(workers);
        return NULL;
    }
    return workers;

no_execute_filled:
    pthread_cond_destroy(&workers->filled);
no_filled:
    pthread_mutex_destroy(&workers->mutex);
no_mutex:
    free(workers);
    return NULL;
}

void dsmr_workers_free(struct dsmr_workers *workers)
{
    if (workers == NULL)
        return;
    pthread_mutex_lock(&workers->mutex);
    workers->is_closing = true;
    pthread_cond_broadcast(&workers->filled);
    pthread_cond_broadcast(&workers->execute_filled);
    pthread_mutex_unlock(&workers->mutex);
    for (uint32_t i = 0; i < workers->threads_count; i++)
        pthread_join(workers->threads[i], NULL);
    for (int i = 0; i < DSMR_WORK_LANES; i++)
        DSMR_ASSERT(workers->lanes[i].first == NULL);
    pthread_cond_destroy(&workers->execute_filled);
    pthread_cond_destroy(&workers->filled);
    pthread_mutex_destroy(&workers->mutex);
    free(workers);
}

static void submit(void *self, enum dsmr_work_lane lane, struct dsmr_task *task)
{
    struct dsmr_workers *workers = self;
    DSMR_ASSERT(lane < DSMR_WORK_LANES);
    task->next = NULL;
    pthread_mutex_lock(&workers->mutex);
    DSMR_ASSERT(!workers->is_closing);
    *workers->lanes[lane].end = task;
    workers->lanes[lane].end = &task->next;
    pthread_cond_signal(lane == DSMR_WORK_EXECUTE ? &workers->execute_filled : &workers->filled);
    pthread_mutex_unlock(&workers->mutex);
}

static void random_bytes(void *self, uint8_t *out, size_t len)
{
    (void)self;
    dsmr_os_random(out, len);
}

struct dsmr_work dsmr_workers_port(struct dsmr_workers *workers)
{
    static const struct dsmr_work_ops ops = {submit, random_bytes};
    return (struct dsmr_work){workers, &ops};
}

uint32_t dsmr_workers_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    if (count < 1)
        return 1;
    return count > (int)DSMR_WORKERS_THREADS_MAX ? DSMR_WORKERS_THREADS_MAX : (uint32_t)count;
}
