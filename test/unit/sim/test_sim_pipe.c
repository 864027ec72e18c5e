/* The uplink that connections share: nothing is lost, equal shares, classes, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "sim/sim_pipe.h"

#define RATE UINT64_C(1000000) /* a byte in a microsecond */

static bool push(struct dsmr_sim_pipe *pipe, uint32_t flow, enum dsmr_msg_class cls, uint32_t bytes,
                 uint64_t now_us)
{
    struct dsmr_sim_pipe_frame frame = {.flow = flow, .cls = cls, .bytes = bytes};
    return dsmr_sim_pipe_push(pipe, &frame, bytes, now_us);
}

/* Waits for the next frame. */
static uint64_t next(struct dsmr_sim_pipe *pipe, struct dsmr_sim_pipe_frame *out)
{
    for (;;) {
        uint64_t due_us = dsmr_sim_pipe_due_us(pipe);
        assert_true(due_us < UINT64_MAX);
        if (dsmr_sim_pipe_pop(pipe, out, due_us)) {
            return due_us;
        }
    }
}

static void is_next(struct dsmr_sim_pipe *pipe, uint32_t flow, enum dsmr_msg_class cls,
                    uint64_t at_us)
{
    struct dsmr_sim_pipe_frame frame;
    uint64_t due_us = next(pipe, &frame);
    assert_int_equal(frame.flow, flow);
    assert_int_equal(frame.cls, cls);
    assert_in_range(due_us, at_us, at_us + 2);
}

static void test_alone(void **state)
{
    (void)state;
    struct dsmr_sim_pipe *pipe = dsmr_sim_pipe_new(4, RATE);
    assert_int_equal(dsmr_sim_pipe_due_us(pipe), UINT64_MAX);
    assert_true(push(pipe, 1, DSMR_MSG_CLASS_VOTE, 300, 50));
    assert_true(push(pipe, 1, DSMR_MSG_CLASS_VOTE, 200, 60));
    is_next(pipe, 1, DSMR_MSG_CLASS_VOTE, 350);
    is_next(pipe, 1, DSMR_MSG_CLASS_VOTE, 550);
    assert_int_equal(dsmr_sim_pipe_due_us(pipe), UINT64_MAX);
    assert_in_range(dsmr_sim_pipe_busy_us(pipe), 500, 504);
    dsmr_sim_pipe_free(pipe);
}

/* Two share; when one has ended the other has all. */
static void test_equal_shares(void **state)
{
    (void)state;
    struct dsmr_sim_pipe *pipe = dsmr_sim_pipe_new(4, RATE);
    assert_true(push(pipe, 0, DSMR_MSG_CLASS_CHUNK, 10000, 0));
    assert_true(push(pipe, 3, DSMR_MSG_CLASS_CHUNK, 2000, 1000));
    is_next(pipe, 3, DSMR_MSG_CLASS_CHUNK, 5000);
    is_next(pipe, 0, DSMR_MSG_CLASS_CHUNK, 12000);
    dsmr_sim_pipe_free(pipe);
}

/* What a broadcast takes is shared by all: everybody has it at the same time. */
static void test_broadcast(void **state)
{
    (void)state;
    struct dsmr_sim_pipe *pipe = dsmr_sim_pipe_new(300, 12500000);
    struct dsmr_sim_pipe_frame frame;
    for (uint32_t i = 0; i < 300; i++) {
        assert_true(push(pipe, i, DSMR_MSG_CLASS_VOTE, 250, 7));
    }
    for (uint32_t i = 0; i < 300; i++) {
        uint64_t due_us = next(pipe, &frame);
        assert_in_range(due_us, 6007, 6010);
        assert_int_equal(frame.queued_us, 7);
        assert_int_equal(frame.begun_us, 7);
    }
    dsmr_sim_pipe_free(pipe);
}

/* docs/transport.md, sections 5 and 6: a vote waits for what has begun, two pieces at most, and
 * goes before the rest of the chunk. */
static void test_classes(void **state)
{
    (void)state;
    struct dsmr_sim_pipe *pipe = dsmr_sim_pipe_new(2, RATE);
    for (int i = 0; i < 3; i++) {
        assert_true(push(pipe, 0, DSMR_MSG_CLASS_CHUNK, 500000, 0));
    }
    assert_true(push(pipe, 0, DSMR_MSG_CLASS_CERT, 1000, 100));
    assert_true(push(pipe, 0, DSMR_MSG_CLASS_VOTE, 1000, 200));
    is_next(pipe, 0, DSMR_MSG_CLASS_VOTE, 33768);
    is_next(pipe, 0, DSMR_MSG_CLASS_CERT, 34768);
    is_next(pipe, 0, DSMR_MSG_CLASS_CHUNK, 502000);
    uint64_t due_us;
    while ((due_us = dsmr_sim_pipe_due_us(pipe)) < 950000) {
        struct dsmr_sim_pipe_frame frame;
        assert_false(dsmr_sim_pipe_pop(pipe, &frame, due_us));
    }
    assert_true(push(pipe, 0, DSMR_MSG_CLASS_VOTE, 1000, 950000));
    is_next(pipe, 0, DSMR_MSG_CLASS_VOTE, 978136);
    is_next(pipe, 0, DSMR_MSG_CLASS_CHUNK, 1003000);
    is_next(pipe, 0, DSMR_MSG_CLASS_CHUNK, 1503000);
    assert_int_equal(dsmr_sim_pipe_due_us(pipe), UINT64_MAX);
    dsmr_sim_pipe_free(pipe);
}

/* Another connection's chunk costs a vote half of the rate, not its turn. */
static void test_other_connections(void **state)
{
    (void)state;
    struct dsmr_sim_pipe *pipe = dsmr_sim_pipe_new(2, RATE);
    assert_true(push(pipe, 0, DSMR_MSG_CLASS_CHUNK, 1000000, 0));
    assert_true(push(pipe, 1, DSMR_MSG_CLASS_VOTE, 1000, 5000));
    is_next(pipe, 1, DSMR_MSG_CLASS_VOTE, 7000);
    is_next(pipe, 0, DSMR_MSG_CLASS_CHUNK, 1001000);
    dsmr_sim_pipe_free(pipe);
}

static void test_limits(void **state)
{
    (void)state;
    struct dsmr_sim_pipe *pipe = dsmr_sim_pipe_new(2, RATE);
    struct dsmr_sim_pipe_frame frame;
    uint32_t taken = 0;
    while (push(pipe, 0, DSMR_MSG_CLASS_CHUNK, 1u << 20, 0)) {
        taken++;
    }
    assert_int_equal(taken, 65); /* one has begun, 64 MiB wait */
    assert_true(push(pipe, 1, DSMR_MSG_CLASS_CHUNK, 1u << 20, 0));
    assert_true(push(pipe, 0, DSMR_MSG_CLASS_VOTE, 1000, 0));
    dsmr_sim_pipe_set_rate(pipe, 10 * RATE, 1000);
    is_next(pipe, 0, DSMR_MSG_CLASS_VOTE, 1000 + (2 * 17384 - 1000) / 10 - 1);
    for (uint32_t i = 0; i < 66; i++) {
        assert_true(dsmr_sim_pipe_drop(pipe, &frame));
    }
    assert_false(dsmr_sim_pipe_drop(pipe, &frame));
    assert_int_equal(dsmr_sim_pipe_due_us(pipe), UINT64_MAX);
    dsmr_sim_pipe_free(pipe);
}

/* Whatever comes when: all of it leaves, in order within connection and class, and the uplink never
 * carries more than its rate. */
static void test_nothing_is_lost(void **state)
{
    (void)state;
    struct dsmr_prng prng;
    struct dsmr_sim_pipe *pipe = dsmr_sim_pipe_new(50, 12500000);
    struct dsmr_sim_pipe_frame frame;
    uint64_t in = 0, out = 0, bytes = 0, now_us = 0, first_us = UINT64_MAX;
    uint64_t last[50][DSMR_MSG_CLASS_COUNT] = {{0}};
    dsmr_prng_init(&prng, 5);
    while (out < 20000) {
        uint64_t due_us = dsmr_sim_pipe_due_us(pipe);
        uint64_t push_us = now_us + dsmr_prng_below(&prng, 900);
        if (in < 20000 && push_us < due_us) {
            frame = (struct dsmr_sim_pipe_frame){
                .flow = (uint32_t)dsmr_prng_below(&prng, 50),
                .cls = (enum dsmr_msg_class)dsmr_prng_below(&prng, DSMR_MSG_CLASS_COUNT),
                .bytes = 1 + (uint32_t)dsmr_prng_below(&prng, in % 50 == 0 ? 200000 : 9000),
                .item = (void *)(uintptr_t)(in + 1)};
            in++;
            now_us = push_us;
            first_us = first_us == UINT64_MAX ? now_us : first_us;
            assert_true(dsmr_sim_pipe_push(pipe, &frame, frame.bytes, now_us));
            continue;
        }
        now_us = due_us;
        while (dsmr_sim_pipe_pop(pipe, &frame, now_us)) {
            uint64_t number = (uintptr_t)frame.item;
            assert_true(number > last[frame.flow][frame.cls]);
            last[frame.flow][frame.cls] = number;
            bytes += frame.bytes;
            out++;
            assert_true(bytes <= (now_us - first_us) * 125 / 10 + 50 * 2);
        }
    }
    assert_int_equal(dsmr_sim_pipe_due_us(pipe), UINT64_MAX);
    assert_in_range(dsmr_sim_pipe_busy_us(pipe), bytes * 10 / 125, bytes * 10 / 125 * 101 / 100);
    dsmr_sim_pipe_free(pipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_equal_shares),
        cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_other_connections),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
