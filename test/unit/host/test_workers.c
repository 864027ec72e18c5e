/* Lanes, order and the end of the worker pool. */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/host_inbox.h"
#include "host/os_random.h"
#include "host/workers.h"

struct job {
    struct dsmr_task task;
    sem_t *started, *gate; /* NULL: does not wait */
    atomic_uint *sequence;
    unsigned ran_as;
};

static void run_job(struct dsmr_task *task)
{
    struct job *job = (struct job *)task;
    if (job->started != NULL)
        sem_post(job->started);
    if (job->gate != NULL)
        while (sem_wait(job->gate) != 0) {
        }
    job->ran_as = atomic_fetch_add(job->sequence, 1);
}

static struct dsmr_host_inbox *make_inbox(void)
{
    struct dsmr_host_inbox_config config;
    dsmr_host_inbox_config_default(&config);
    struct dsmr_host_inbox *inbox = dsmr_host_inbox_new(&config);
    assert_non_null(inbox);
    return inbox;
}

static struct dsmr_workers *make_workers(struct dsmr_host_inbox *inbox, uint32_t threads)
{
    struct dsmr_inbox port = dsmr_host_inbox_port(inbox);
    struct dsmr_workers *workers = dsmr_workers_new(&port, threads);
    assert_non_null(workers);
    return workers;
}

static void submit(struct dsmr_workers *workers, enum dsmr_work_lane lane, struct job *job)
{
    struct dsmr_work work = dsmr_workers_port(workers);
    job->task.run = run_job;
    work.ops->submit(work.self, lane, &job->task);
}

static size_t pop_all(struct dsmr_host_inbox *inbox)
{
    size_t n = 0;
    for (struct dsmr_task *t = dsmr_host_inbox_pop(inbox, 0); t != NULL; t = t->next)
        n++;
    return n;
}

static void test_urgent_overtakes_bulk(void **state)
{
    (void)state;
    struct dsmr_host_inbox *inbox = make_inbox();
    struct dsmr_workers *workers = make_workers(inbox, 1);
    sem_t started, gate;
    sem_init(&started, 0, 0);
    sem_init(&gate, 0, 0);
    atomic_uint sequence = 0;
    struct job blocker = {.started = &started, .gate = &gate, .sequence = &sequence};
    submit(workers, DSMR_WORK_BULK, &blocker);
    sem_wait(&started); /* the only thread is busy: the rest queues up */
    struct job bulk[2] = {{.sequence = &sequence}, {.sequence = &sequence}};
    struct job urgent[2] = {{.sequence = &sequence}, {.sequence = &sequence}};
    submit(workers, DSMR_WORK_BULK, &bulk[0]);
    submit(workers, DSMR_WORK_BULK, &bulk[1]);
    submit(workers, DSMR_WORK_URGENT, &urgent[0]);
    submit(workers, DSMR_WORK_URGENT, &urgent[1]);
    sem_post(&gate);
    dsmr_workers_free(workers);
    assert_int_equal(urgent[0].ran_as, 1);
    assert_int_equal(urgent[1].ran_as, 2);
    assert_int_equal(bulk[0].ran_as, 3);
    assert_int_equal(bulk[1].ran_as, 4);
    assert_int_equal(pop_all(inbox), 5);
    dsmr_host_inbox_free(inbox);
    sem_destroy(&started);
    sem_destroy(&gate);
}

struct group_job {
    struct job job;
    unsigned together; /* how many ran with it */
};

static void run_group(struct dsmr_task *first)
{
    unsigned count = 0;
    for (struct dsmr_task *task = first; task != NULL; task = task->next)
        count++;
    for (struct dsmr_task *task = first; task != NULL; task = task->next) {
        ((struct group_job *)task)->together = count;
        run_job(task);
    }
}

static void run_other_group(struct dsmr_task *first)
{
    run_group(first);
}

/* What waits and is alike goes together, up to a limit; the rest keeps its order and its lane. */
static void test_alike_tasks_run_together(void **state)
{
    (void)state;
    struct dsmr_host_inbox *inbox = make_inbox();
    struct dsmr_workers *workers = make_workers(inbox, 1);
    struct dsmr_work work = dsmr_workers_port(workers);
    sem_t started, gate;
    sem_init(&started, 0, 0);
    sem_init(&gate, 0, 0);
    atomic_uint sequence = 0;
    struct job blocker = {.started = &started, .gate = &gate, .sequence = &sequence};
    submit(workers, DSMR_WORK_URGENT, &blocker);
    sem_wait(&started);
    enum { alike = DSMR_WORKERS_TOGETHER_MAX + 2, others = 3 };
    struct group_job jobs[alike], other[others], bulk;
    struct job plain[2];
    memset(jobs, 0, sizeof(jobs));
    memset(other, 0, sizeof(other));
    memset(&bulk, 0, sizeof(bulk));
    memset(plain, 0, sizeof(plain));
    plain[0].sequence = plain[1].sequence = bulk.job.sequence = &sequence;
    for (int i = 0; i < alike; i++) {
        jobs[i].job.sequence = &sequence;
        jobs[i].job.task = (struct dsmr_task){.run = run_job, .run_many = run_group};
        work.ops->submit(work.self, DSMR_WORK_URGENT, &jobs[i].job.task);
        if (i < others) {
            other[i].job.sequence = &sequence;
            other[i].job.task = (struct dsmr_task){.run = run_job, .run_many = run_other_group};
            work.ops->submit(work.self, DSMR_WORK_URGENT, &other[i].job.task);
        }
        if (i == 0)
            submit(workers, DSMR_WORK_URGENT, &plain[0]);
    }
    submit(workers, DSMR_WORK_URGENT, &plain[1]);
    bulk.job.task = (struct dsmr_task){.run = run_job, .run_many = run_group};
    work.ops->submit(work.self, DSMR_WORK_BULK, &bulk.job.task);
    sem_post(&gate);
    dsmr_workers_free(workers);
    for (unsigned i = 0; i < DSMR_WORKERS_TOGETHER_MAX; i++) {
        assert_int_equal(jobs[i].together, DSMR_WORKERS_TOGETHER_MAX);
        assert_int_equal(jobs[i].job.ran_as, 1 + i);
    }
    for (unsigned i = 0; i < others; i++) {
        assert_int_equal(other[i].together, others);
        assert_int_equal(other[i].job.ran_as, 1 + DSMR_WORKERS_TOGETHER_MAX + i);
    }
    assert_int_equal(plain[0].ran_as, 1 + DSMR_WORKERS_TOGETHER_MAX + others);
    assert_int_equal(jobs[alike - 2].together, 2);
    assert_int_equal(jobs[alike - 1].together, 2);
    assert_int_equal(plain[1].ran_as, alike + others + 2);
    assert_int_equal(bulk.together, 0); /* alone, in its own lane, last */
    assert_int_equal(bulk.job.ran_as, alike + others + 3);
    assert_int_equal(pop_all(inbox), alike + others + 4);
    dsmr_host_inbox_free(inbox);
    sem_destroy(&started);
    sem_destroy(&gate);
}

/* Two threads: none takes what the other could do meanwhile. */
static void test_threads_share_what_is_alike(void **state)
{
    (void)state;
    struct dsmr_host_inbox *inbox = make_inbox();
    struct dsmr_workers *workers = make_workers(inbox, 2);
    struct dsmr_work work = dsmr_workers_port(workers);
    sem_t started, gate;
    sem_init(&started, 0, 0);
    sem_init(&gate, 0, 0);
    atomic_uint sequence = 0;
    struct job blockers[2];
    memset(blockers, 0, sizeof(blockers));
    for (int i = 0; i < 2; i++) {
        blockers[i] = (struct job){.started = &started, .gate = &gate, .sequence = &sequence};
        submit(workers, DSMR_WORK_URGENT, &blockers[i]);
        sem_wait(&started);
    }
    struct group_job jobs[8];
    memset(jobs, 0, sizeof(jobs));
    for (int i = 0; i < 8; i++) {
        jobs[i].job.sequence = &sequence;
        jobs[i].job.task = (struct dsmr_task){.run = run_job, .run_many = run_group};
        work.ops->submit(work.self, DSMR_WORK_URGENT, &jobs[i].job.task);
    }
    sem_post(&gate); /* one thread goes on, perhaps the other as well */
    sem_post(&gate);
    dsmr_workers_free(workers);
    assert_int_equal(jobs[0].together, 4); /* itself, and half of the seven others */
    assert_int_equal(pop_all(inbox), 10);
    dsmr_host_inbox_free(inbox);
    sem_destroy(&started);
    sem_destroy(&gate);
}

static void test_execute_has_its_own_thread_and_order(void **state)
{
    (void)state;
    struct dsmr_host_inbox *inbox = make_inbox();
    struct dsmr_workers *workers = make_workers(inbox, 1);
    sem_t started, gate;
    sem_init(&started, 0, 0);
    sem_init(&gate, 0, 0);
    atomic_uint sequence = 0, executed = 0;
    struct job blocker = {.started = &started, .gate = &gate, .sequence = &sequence};
    submit(workers, DSMR_WORK_BULK, &blocker);
    sem_wait(&started);
    struct job jobs[100];
    memset(jobs, 0, sizeof(jobs));
    for (int i = 0; i < 100; i++) {
        jobs[i].sequence = &executed;
        submit(workers, DSMR_WORK_EXECUTE, &jobs[i]);
    }
    size_t done = 0; /* they finish although the only worker is busy */
    while (done < 100)
        for (struct dsmr_task *t = dsmr_host_inbox_pop(inbox, UINT64_MAX); t != NULL; t = t->next)
            done++;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(jobs[i].ran_as, i);
    sem_post(&gate);
    dsmr_workers_free(workers);
    assert_int_equal(pop_all(inbox), 1);
    dsmr_host_inbox_free(inbox);
    sem_destroy(&started);
    sem_destroy(&gate);
}

static void test_free_runs_what_is_left(void **state)
{
    (void)state;
    struct dsmr_host_inbox *inbox = make_inbox();
    struct dsmr_workers *workers = make_workers(inbox, 3);
    atomic_uint sequence = 0;
    struct job jobs[300];
    memset(jobs, 0, sizeof(jobs));
    for (int i = 0; i < 300; i++) {
        jobs[i].sequence = &sequence;
        submit(workers, (enum dsmr_work_lane)(i % DSMR_WORK_LANES), &jobs[i]);
    }
    dsmr_workers_free(workers);
    assert_int_equal(atomic_load(&sequence), 300);
    assert_int_equal(pop_all(inbox), 300);
    dsmr_host_inbox_free(inbox);
}

static void test_random_fills_all_of_it(void **state)
{
    (void)state;
    uint8_t a[1000] = {0}, b[1000] = {0};
    dsmr_os_random(a, sizeof(a));
    dsmr_os_random(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    size_t zeros = 0;
    for (size_t i = 0; i < sizeof(a); i++)
        zeros += a[i] == 0;
    assert_true(zeros < 100); /* about 4 are expected */
    assert_true(dsmr_workers_processors() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urgent_overtakes_bulk),
        cmocka_unit_test(test_alike_tasks_run_together),
        cmocka_unit_test(test_threads_share_what_is_alike),
        cmocka_unit_test(test_execute_has_its_own_thread_and_order),
        cmocka_unit_test(test_free_runs_what_is_left),
        cmocka_unit_test(test_random_fills_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
