/* test_ring.c - the bounded queue: order, limits, and many threads at once. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/ring.h"

static void first_in_first_out_up_to_the_capacity(void **state)
{
    (void)state;
    static const struct {
        size_t asked, given;
    } sizes[] = {{0, 2}, {1, 2}, {2, 2}, {3, 4}, {8, 8}, {9, 16}};
    char items[16];
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct dsmr_ring *ring = dsmr_ring_new(sizes[s].asked);
        assert_non_null(ring);
        for (unsigned round = 0; round < 5; round++) { /* around the end of the table */
            assert_null(dsmr_ring_pop(ring));
            for (size_t i = 0; i < sizes[s].given; i++) {
                assert_true(dsmr_ring_push(ring, &items[i]));
                assert_int_equal(dsmr_ring_count(ring), i + 1);
            }
            assert_false(dsmr_ring_push(ring, &items[0]));
            for (size_t i = 0; i < sizes[s].given; i++) {
                assert_ptr_equal(dsmr_ring_pop(ring), &items[i]);
            }
            assert_int_equal(dsmr_ring_count(ring), 0);
            assert_true(dsmr_ring_push(ring, &items[0])); /* shifts the start of the next round */
            assert_ptr_equal(dsmr_ring_pop(ring), &items[0]);
        }
        dsmr_ring_free(ring);
    }
    dsmr_ring_free(NULL);
    assert_null(dsmr_ring_new(SIZE_MAX));
}

#define THREADS 3u
#define ITEMS 4000u

struct crowd {
    struct dsmr_ring *ring;
    _Atomic uint32_t popped;
    _Atomic uint8_t seen[THREADS * ITEMS];
    _Atomic bool out_of_order;
};
struct member {
    struct crowd *crowd;
    uint32_t number;
    pthread_t thread;
};

static void *produce(void *arg)
{
    struct member *member = arg;
    for (uintptr_t i = 0; i < ITEMS; i++) {
        while (!dsmr_ring_push(member->crowd->ring, (void *)(member->number * ITEMS + i + 1))) {
            sched_yield();
        }
    }
    return NULL;
}

static void *consume(void *arg)
{
    struct member *member = arg;
    struct crowd *crowd = member->crowd;
    uintptr_t last[THREADS] = {0};
    while (atomic_load(&crowd->popped) < THREADS * ITEMS) {
        uintptr_t item = (uintptr_t)dsmr_ring_pop(crowd->ring);
        if (item == 0) {
            sched_yield();
            continue;
        }
        uintptr_t producer = (item - 1) / ITEMS;
        if (item <= last[producer]) {
            atomic_store(&crowd->out_of_order, true);
        }
        last[producer] = item;
        atomic_fetch_add(&crowd->seen[item - 1], 1);
        atomic_fetch_add(&crowd->popped, 1);
    }
    return NULL;
}

static void threads_lose_and_double_nothing(void **state)
{
    (void)state;
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    assert_non_null(crowd);
    crowd->ring = dsmr_ring_new(16);
    assert_non_null(crowd->ring);
    struct member producers[THREADS], consumers[THREADS];
    for (uint32_t t = 0; t < THREADS; t++) {
        producers[t] = (struct member){.crowd = crowd, .number = t};
        consumers[t] = (struct member){.crowd = crowd, .number = t};
        assert_int_equal(pthread_create(&producers[t].thread, NULL, produce, &producers[t]), 0);
        assert_int_equal(pthread_create(&consumers[t].thread, NULL, consume, &consumers[t]), 0);
    }
    for (uint32_t t = 0; t < THREADS; t++) {
        pthread_join(producers[t].thread, NULL);
        pthread_join(consumers[t].thread, NULL);
    }
    for (uint32_t i = 0; i < THREADS * ITEMS; i++) {
        assert_int_equal(crowd->seen[i], 1);
    }
    assert_false(crowd->out_of_order);
    dsmr_ring_free(crowd->ring);
    free(crowd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_in_first_out_up_to_the_capacity),
        cmocka_unit_test(threads_lose_and_double_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
