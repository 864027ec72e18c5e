/* Order, limits, wake-ups and the ready call of the inbox, alone and with threads. */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host/host_clock.h"
#include "host/host_inbox.h"

static struct dsmr_host_inbox *make(size_t offers_max, size_t bytes_max, size_t per_pop)
{
    struct dsmr_host_inbox_config config = {offers_max, bytes_max, per_pop};
    struct dsmr_host_inbox *inbox = dsmr_host_inbox_new(&config);
    assert_non_null(inbox);
    return inbox;
}

static bool offer(struct dsmr_host_inbox *inbox, struct dsmr_task *task, size_t bytes)
{
    struct dsmr_inbox port = dsmr_host_inbox_port(inbox);
    task->bytes = bytes;
    return port.ops->offer(port.self, task);
}

static void complete(struct dsmr_host_inbox *inbox, struct dsmr_task *task)
{
    struct dsmr_inbox port = dsmr_host_inbox_port(inbox);
    port.ops->complete(port.self, task);
}

static size_t list_len(const struct dsmr_task *task)
{
    size_t n = 0;
    for (; task != NULL; task = task->next)
        n++;
    return n;
}

static void test_pops_completions_before_offers(void **state)
{
    (void)state;
    struct dsmr_host_inbox *inbox = make(8, 100, 8);
    struct dsmr_task t[4] = {0};
    assert_true(offer(inbox, &t[0], 1));
    complete(inbox, &t[1]);
    assert_true(offer(inbox, &t[2], 1));
    complete(inbox, &t[3]);
    struct dsmr_task *list = dsmr_host_inbox_pop(inbox, 0);
    assert_ptr_equal(list, &t[1]);
    assert_ptr_equal(list->next, &t[3]);
    assert_ptr_equal(list->next->next, &t[0]);
    assert_ptr_equal(list->next->next->next, &t[2]);
    assert_null(t[2].next);
    assert_null(dsmr_host_inbox_pop(inbox, 0));
    dsmr_host_inbox_free(inbox);
}

static void test_pop_takes_a_bounded_number_of_offers(void **state)
{
    (void)state;
    struct dsmr_host_inbox *inbox = make(8, 100, 2);
    struct dsmr_task t[5] = {0};
    for (int i = 0; i < 5; i++)
        assert_true(offer(inbox, &t[i], 1));
    struct dsmr_task late = {0};
    assert_int_equal(list_len(dsmr_host_inbox_pop(inbox, 0)), 2);
    complete(inbox, &late);
    struct dsmr_task *list = dsmr_host_inbox_pop(inbox, 0);
    assert_ptr_equal(list, &late); /* overtakes the offers that are left */
    assert_ptr_equal(list->next, &t[2]);
    assert_int_equal(list_len(list), 3);
    assert_int_equal(list_len(dsmr_host_inbox_pop(inbox, 0)), 1);
    dsmr_host_inbox_free(inbox);
}

static void test_offers_are_bounded_by_count(void **state)
{
    (void)state;
    struct dsmr_host_inbox *inbox = make(2, 100, 8);
    struct dsmr_task t[4] = {0};
    assert_true(offer(inbox, &t[0], 0));
    assert_true(offer(inbox, &t[1], 0));
    assert_false(offer(inbox, &t[2], 0));
    complete(inbox, &t[3]); /* never refused */
    struct dsmr_host_inbox_level level;
    dsmr_host_inbox_level(inbox, &level);
    assert_int_equal(level.offers, 2);
    assert_int_equal(level.completions, 1);
    assert_int_equal(level.refused, 1);
    assert_int_equal(list_len(dsmr_host_inbox_pop(inbox, 0)), 3);
    assert_true(offer(inbox, &t[2], 0));
    assert_int_equal(list_len(dsmr_host_inbox_pop(inbox, 0)), 1);
    dsmr_host_inbox_free(inbox);
}

static void test_offers_are_bounded_by_bytes(void **state)
{
    (void)state;
    struct dsmr_host_inbox *inbox = make(100, 100, 8);
    struct dsmr_task t[4] = {0};
    assert_true(offer(inbox, &t[0], 60));
    assert_true(offer(inbox, &t[1], 40)); /* exactly at the limit */
    assert_false(offer(inbox, &t[2], 1));
    assert_false(offer(inbox, &t[2], SIZE_MAX));
    struct dsmr_host_inbox_level level;
    dsmr_host_inbox_level(inbox, &level);
    assert_int_equal(level.offer_bytes, 100);
    assert_int_equal(list_len(dsmr_host_inbox_pop(inbox, 0)), 2);
    dsmr_host_inbox_level(inbox, &level);
    assert_int_equal(level.offer_bytes, 0);
    assert_true(offer(inbox, &t[2], 101)); /* alone, also what is larger than the limit */
    assert_false(offer(inbox, &t[3], 1));
    assert_int_equal(list_len(dsmr_host_inbox_pop(inbox, 0)), 1);
    dsmr_host_inbox_free(inbox);
}

static void count_call(void *ctx)
{
    ++*(int *)ctx;
}

static void test_listeners_hear_when_half_is_free_again(void **state)
{
    (void)state;
    struct dsmr_host_inbox *inbox = make(4, 1000, 1);
    int calls = 0;
    assert_int_equal(dsmr_host_inbox_add_listener(inbox, count_call, &calls), DSMR_OK);
    struct dsmr_task t[5] = {0};
    for (int i = 0; i < 4; i++)
        assert_true(offer(inbox, &t[i], 1));
    assert_int_equal(list_len(dsmr_host_inbox_pop(inbox, 0)), 1);
    assert_int_equal(list_len(dsmr_host_inbox_pop(inbox, 0)), 1);
    assert_int_equal(calls, 0); /* nobody was refused */
    assert_true(offer(inbox, &t[0], 1));
    assert_true(offer(inbox, &t[1], 1));
    assert_false(offer(inbox, &t[4], 1));
    assert_int_equal(list_len(dsmr_host_inbox_pop(inbox, 0)), 1);
    assert_int_equal(calls, 0); /* three of four are left */
    assert_int_equal(list_len(dsmr_host_inbox_pop(inbox, 0)), 1);
    assert_int_equal(calls, 1);
    assert_int_equal(list_len(dsmr_host_inbox_pop(inbox, 0)), 1);
    assert_int_equal(list_len(dsmr_host_inbox_pop(inbox, 0)), 1);
    assert_int_equal(calls, 1); /* once for each refusal's spell */
    dsmr_host_inbox_free(inbox);
}

static void test_listeners_are_bounded(void **state)
{
    (void)state;
    struct dsmr_host_inbox *inbox = make(4, 1000, 1);
    int calls = 0;
    for (unsigned i = 0; i < DSMR_HOST_INBOX_LISTENERS_MAX; i++)
        assert_int_equal(dsmr_host_inbox_add_listener(inbox, count_call, &calls), DSMR_OK);
    assert_int_equal(dsmr_host_inbox_add_listener(inbox, count_call, &calls), DSMR_ERR_FULL);
    dsmr_host_inbox_free(inbox);
}

static void test_closed_inbox_refuses_offers_only(void **state)
{
    (void)state;
    struct dsmr_host_inbox *inbox = make(4, 1000, 1);
    struct dsmr_task t[5] = {0};
    assert_true(offer(inbox, &t[0], 1));
    assert_true(offer(inbox, &t[3], 1));
    assert_true(offer(inbox, &t[4], 1));
    dsmr_host_inbox_close(inbox);
    assert_false(offer(inbox, &t[1], 1));
    complete(inbox, &t[2]);
    assert_int_equal(list_len(dsmr_host_inbox_pop(inbox, 0)), 4); /* not one offer a pop */
    dsmr_host_inbox_free(inbox);
}

static void test_wake_ends_the_next_pop(void **state)
{
    (void)state;
    struct dsmr_host_inbox *inbox = make(4, 1000, 1);
    dsmr_host_inbox_wake(inbox);
    assert_null(dsmr_host_inbox_pop(inbox, UINT64_MAX)); /* would wait for ever otherwise */
    dsmr_host_inbox_free(inbox);
}

static void test_pop_returns_after_its_deadline(void **state)
{
    (void)state;
    struct dsmr_host_inbox *inbox = make(4, 1000, 1);
    struct dsmr_clock clock = dsmr_host_clock();
    uint64_t deadline = clock.ops->mono_ms(clock.self) + 20;
    assert_null(dsmr_host_inbox_pop(inbox, deadline));
    assert_true(clock.ops->mono_ms(clock.self) >= deadline);
    assert_null(dsmr_host_inbox_pop(inbox, deadline)); /* in the past: at once */
    dsmr_host_inbox_free(inbox);
}

#define FLOOD 20000u

struct flood_task {
    struct dsmr_task task;
    uint32_t producer, number;
};
struct flood {
    struct dsmr_host_inbox *inbox;
    uint32_t producer;
    pthread_mutex_t mutex;
    pthread_cond_t ready;
    unsigned ready_count;
};

static void on_ready(void *ctx)
{
    struct flood *flood = ctx;
    pthread_mutex_lock(&flood->mutex);
    flood->ready_count++;
    pthread_cond_signal(&flood->ready);
    pthread_mutex_unlock(&flood->mutex);
}

static void *flood_loop(void *arg)
{
    struct flood *flood = arg;
    for (uint32_t i = 0; i < FLOOD; i++) {
        struct flood_task *t = calloc(1, sizeof(*t));
        t->producer = flood->producer;
        t->number = i;
        for (;;) {
            pthread_mutex_lock(&flood->mutex);
            unsigned seen = flood->ready_count;
            pthread_mutex_unlock(&flood->mutex);
            if (offer(flood->inbox, &t->task, 7))
                break;
            pthread_mutex_lock(&flood->mutex);
            while (flood->ready_count == seen)
                pthread_cond_wait(&flood->ready, &flood->mutex);
            pthread_mutex_unlock(&flood->mutex);
        }
    }
    return NULL;
}

/* Three threads that wait for ready() after each refusal: nothing is lost, nothing out of order,
 * and nobody waits for ever (else the test would not end). */
static void test_refused_offerers_resume_without_loss(void **state)
{
    (void)state;
    struct dsmr_host_inbox *inbox = make(16, 1 << 20, 4);
    struct flood floods[3];
    pthread_t threads[3];
    for (uint32_t i = 0; i < 3; i++) {
        floods[i] = (struct flood){.inbox = inbox, .producer = i};
        pthread_mutex_init(&floods[i].mutex, NULL);
        pthread_cond_init(&floods[i].ready, NULL);
        assert_int_equal(dsmr_host_inbox_add_listener(inbox, on_ready, &floods[i]), DSMR_OK);
    }
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, flood_loop, &floods[i]);
    uint32_t next[3] = {0};
    for (uint32_t got = 0; got < 3 * FLOOD;) {
        struct dsmr_task *task = dsmr_host_inbox_pop(inbox, UINT64_MAX);
        while (task != NULL) {
            struct flood_task *t = (struct flood_task *)task;
            task = task->next;
            assert_int_equal(t->number, next[t->producer]);
            next[t->producer]++;
            got++;
            free(t);
        }
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        pthread_cond_destroy(&floods[i].ready);
        pthread_mutex_destroy(&floods[i].mutex);
    }
    dsmr_host_inbox_free(inbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pops_completions_before_offers),
        cmocka_unit_test(test_pop_takes_a_bounded_number_of_offers),
        cmocka_unit_test(test_offers_are_bounded_by_count),
        cmocka_unit_test(test_offers_are_bounded_by_bytes),
        cmocka_unit_test(test_listeners_hear_when_half_is_free_again),
        cmocka_unit_test(test_listeners_are_bounded),
        cmocka_unit_test(test_closed_inbox_refuses_offers_only),
        cmocka_unit_test(test_wake_ends_the_next_pop),
        cmocka_unit_test(test_pop_returns_after_its_deadline),
        cmocka_unit_test(test_refused_offerers_resume_without_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
