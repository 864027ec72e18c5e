#define _GNU_SOURCE /* pthread_setname_np */
#include "store/store_janitor.h"

#include <stdlib.h>

static int by_place(const void *a, const void *b)
{
    const struct dsmr_schema_place *x = a;
    const struct dsmr_schema_place *y = b;

    if (x->segment != y->segment) {
        return x->segment < y->segment ? -1 : 1;
    }
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Bodies that lie side by side go with one call. */
static void release_all(const struct dsmr_segments *segments, struct dsmr_store_janitor_job *job)
{
    uint32_t i = 0;

    qsort(job->released, job->released_count, sizeof job->released[0], by_place);
    while (i < job->released_count) {
        const struct dsmr_schema_place *from = &job->released[i];
        uint64_t end = dsmr_segments_place_end(from);
        for (i++; i < job->released_count && job->released[i].segment == from->segment &&
                  job->released[i].offset == end;
             i++) {
            end = dsmr_segments_place_end(&job->released[i]);
        }
        dsmr_segments_release(segments, from->segment, from->offset, end);
    }
}

void dsmr_store_janitor_work(const struct dsmr_segments *segments,
                             struct dsmr_store_janitor_job *job)
{
    release_all(segments, job);
    for (uint32_t i = 0; i < job->dropped_count; i++) {
        dsmr_segments_drop(segments, job->dropped[i]);
    }
}

static void *run(void *self)
{
    struct dsmr_store_janitor *janitor = self;
    struct dsmr_store_janitor_job job;

    (void)pthread_mutex_lock(&janitor->mutex);
    for (;;) {
        while (janitor->count == 0 && !janitor->is_closing) {
            (void)pthread_cond_wait(&janitor->wake, &janitor->mutex);
        }
        if (janitor->count == 0) {
            break;
        }
        job = janitor->jobs[janitor->first];
        (void)pthread_mutex_unlock(&janitor->mutex);
        dsmr_store_janitor_work(janitor->segments, &job);
        (void)pthread_mutex_lock(&janitor->mutex);
        janitor->first = (janitor->first + 1) % DSMR_STORE_JANITOR_JOBS_MAX;
        janitor->count--;
        janitor->done = job.sequence;
        (void)pthread_cond_broadcast(&janitor->finished);
    }
    (void)pthread_mutex_unlock(&janitor->mutex);
    return NULL;
}

enum dsmr_err dsmr_store_janitor_start(struct dsmr_store_janitor *janitor,
                                       const struct dsmr_segments *segments, uint64_t done)
{
    janitor->segments = segments;
    janitor->done = done;
    (void)pthread_mutex_init(&janitor->mutex, NULL);
    (void)pthread_cond_init(&janitor->wake, NULL);
    (void)pthread_cond_init(&janitor->finished, NULL);
    if (pthread_create(&janitor->thread, NULL, run, janitor) != 0) {
        return DSMR_ERR_NO_MEMORY;
    }
    (void)pthread_setname_np(janitor->thread, "store-janitor");
    return DSMR_OK;
}

void dsmr_store_janitor_stop(struct dsmr_store_janitor *janitor)
{
    (void)pthread_mutex_lock(&janitor->mutex);
    janitor->is_closing = true;
    (void)pthread_cond_signal(&janitor->wake);
    (void)pthread_mutex_unlock(&janitor->mutex);
    (void)pthread_join(janitor->thread, NULL);
    (void)pthread_cond_destroy(&janitor->finished);
    (void)pthread_cond_destroy(&janitor->wake);
    (void)pthread_mutex_destroy(&janitor->mutex);
}

void dsmr_store_janitor_give(struct dsmr_store_janitor *janitor,
                             const struct dsmr_store_janitor_job *job)
{
    (void)pthread_mutex_lock(&janitor->mutex);
    while (janitor->count == DSMR_STORE_JANITOR_JOBS_MAX) {
        (void)pthread_cond_wait(&janitor->finished, &janitor->mutex);
    }
    janitor->jobs[(janitor->first + janitor->count) % DSMR_STORE_JANITOR_JOBS_MAX] = *job;
    janitor->count++;
    (void)pthread_cond_signal(&janitor->wake);
    (void)pthread_mutex_unlock(&janitor->mutex);
}

bool dsmr_store_janitor_drain(struct dsmr_store_janitor *janitor)
{
    bool had_work;

    (void)pthread_mutex_lock(&janitor->mutex);
    had_work = janitor->count > 0;
    while (janitor->count > 0) {
        (void)pthread_cond_wait(&janitor->finished, &janitor->mutex);
    }
    (void)pthread_mutex_unlock(&janitor->mutex);
    return had_work;
}

uint64_t dsmr_store_janitor_done(struct dsmr_store_janitor *janitor)
{
    uint64_t done;

    (void)pthread_mutex_lock(&janitor->mutex);
    done = janitor->done;
    (void)pthread_mutex_unlock(&janitor->mutex);
    return done;
}
