/* Memory for large buffers: places do not overlap, the lowest is taken, and what is free goes back
 * to the kernel but for a part. */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/prng.h"
#include "host/large_bufs.h"

#define UNIT ((size_t)DSMR_LARGE_BUFS_UNIT_BYTES)
#define UNITS 64u
#define SPARE 8u
#define HELD_MAX 24u

struct piece {
    uint8_t *memory;
    size_t len;
    uint8_t mark;
};

static struct dsmr_large_bufs *make(void)
{
    struct dsmr_large_bufs *bufs = dsmr_large_bufs_new(UNITS * UNIT, SPARE * UNIT);
    assert_non_null(bufs);
    return bufs;
}

static void assert_sizes(struct dsmr_large_bufs *bufs, size_t taken_units, size_t spare_units)
{
    size_t taken, spare;
    dsmr_large_bufs_check(bufs);
    dsmr_large_bufs_sizes(bufs, &taken, &spare);
    assert_int_equal(taken, taken_units * UNIT);
    assert_int_equal(spare, spare_units * UNIT);
}

static uint8_t *take(struct dsmr_large_bufs *bufs, size_t len)
{
    uint8_t *memory = dsmr_large_bufs_take(bufs, len);
    assert_non_null(memory);
    memset(memory, 1, len);
    return memory;
}

static void lowest_place_that_is_long_enough(void **state)
{
    (void)state;
    struct dsmr_large_bufs *bufs = make();
    uint8_t *a = take(bufs, 3 * UNIT), *b = take(bufs, UNIT), *c = take(bufs, 2 * UNIT - 1);
    assert_ptr_equal(b, a + 3 * UNIT);
    assert_ptr_equal(c, b + UNIT);
    assert_sizes(bufs, 6, 0);
    assert_true(dsmr_large_bufs_give(bufs, a, 3 * UNIT));
    assert_true(dsmr_large_bufs_give(bufs, c, 2 * UNIT - 1));
    assert_sizes(bufs, 1, 5);
    uint8_t *d = take(bufs, 3 * UNIT + 1); /* not into the hole of three */
    assert_ptr_equal(d, c);
    uint8_t *e = take(bufs, 2 * UNIT + 1);
    assert_ptr_equal(e, a);
    assert_sizes(bufs, 8, 0);
    assert_true(dsmr_large_bufs_give(bufs, b, UNIT));
    assert_true(dsmr_large_bufs_give(bufs, d, 3 * UNIT + 1));
    assert_true(dsmr_large_bufs_give(bufs, e, 2 * UNIT + 1));
    dsmr_large_bufs_free(bufs);
}

/* Pages that the kernel has of this memory. */
static size_t resident_units(uint8_t *memory, size_t units)
{
    static unsigned char pages[UNITS * DSMR_LARGE_BUFS_UNIT_BYTES / 4096u];
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE), count = 0;
    assert_int_equal(mincore(memory, units * UNIT, pages), 0);
    for (size_t i = 0; i < units * UNIT / page_bytes; i++)
        count += pages[i] & 1u;
    assert_int_equal(count % (UNIT / page_bytes), 0);
    return count / (UNIT / page_bytes);
}

static void highest_free_ones_go_back(void **state)
{
    (void)state;
    struct dsmr_large_bufs *bufs = make();
    uint8_t *low = take(bufs, 6 * UNIT), *middle = take(bufs, 2 * UNIT),
            *high = take(bufs, 9 * UNIT);
    assert_int_equal(resident_units(low, 20), 17);
    assert_true(dsmr_large_bufs_give(bufs, low, 6 * UNIT));
    assert_sizes(bufs, 11, 6);
    assert_true(dsmr_large_bufs_give(bufs, high, 9 * UNIT)); /* 15 are free, 8 may stay */
    assert_sizes(bufs, 2, SPARE);
    assert_int_equal(resident_units(low, 20), 2 + SPARE);
    assert_int_equal(resident_units(low, 8), 8); /* the low ones are there */
    assert_true(dsmr_large_bufs_give(bufs, middle, 2 * UNIT));
    assert_sizes(bufs, 0, SPARE);
    assert_int_equal(resident_units(low, UNITS), SPARE);
    uint8_t *all = take(bufs, UNITS * UNIT); /* with memory and without, in one piece */
    assert_ptr_equal(all, low);
    assert_sizes(bufs, UNITS, 0);
    assert_true(dsmr_large_bufs_give(bufs, all, UNITS * UNIT));
    assert_sizes(bufs, 0, SPARE);
    assert_int_equal(resident_units(low, UNITS), SPARE);
    dsmr_large_bufs_free(bufs);
}

static void without_a_place_there_is_none(void **state)
{
    (void)state;
    struct dsmr_large_bufs *bufs = make();
    assert_null(dsmr_large_bufs_take(bufs, 0));
    assert_null(dsmr_large_bufs_take(bufs, UNITS * UNIT + 1));
    assert_null(dsmr_large_bufs_take(bufs, SIZE_MAX));
    uint8_t *most = take(bufs, (UNITS - 2) * UNIT);
    assert_null(dsmr_large_bufs_take(bufs, 2 * UNIT + 1));
    uint8_t *rest = take(bufs, 2 * UNIT);
    assert_null(dsmr_large_bufs_take(bufs, 1));
    assert_false(dsmr_large_bufs_give(bufs, state, UNIT)); /* not from here, above or below */
    assert_false(dsmr_large_bufs_give(bufs, rest + 2 * UNIT, UNIT));
    assert_false(dsmr_large_bufs_give(bufs, most - UNIT, UNIT));
    assert_true(dsmr_large_bufs_give(bufs, most, (UNITS - 2) * UNIT));
    assert_true(dsmr_large_bufs_give(bufs, rest, 2 * UNIT));
    dsmr_large_bufs_free(bufs);
    dsmr_large_bufs_free(NULL);
}

static void assert_marked(const struct piece *piece)
{
    assert_int_equal(piece->memory[0], piece->mark);
    assert_int_equal(piece->memory[piece->len / 2], piece->mark);
    assert_int_equal(piece->memory[piece->len - 1], piece->mark);
}

/* Each piece keeps what was written to it, whatever comes and goes around it. */
static void pieces_do_not_overlap(void **state)
{
    (void)state;
    struct dsmr_large_bufs *bufs = make();
    struct piece pieces[HELD_MAX] = {{0}};
    struct dsmr_prng prng;
    uint32_t none = 0;
    dsmr_prng_init(&prng, 7);
    for (uint32_t step = 0; step < 20000; step++) {
        struct piece *piece = &pieces[dsmr_prng_below(&prng, HELD_MAX)];
        if (piece->memory != NULL) {
            assert_marked(piece);
            assert_true(dsmr_large_bufs_give(bufs, piece->memory, piece->len));
            piece->memory = NULL;
        } else {
            piece->len = 1 + dsmr_prng_below(&prng, 9 * UNIT);
            piece->mark = (uint8_t)step;
            piece->memory = dsmr_large_bufs_take(bufs, piece->len);
            none += piece->memory == NULL;
            if (piece->memory != NULL) {
                piece->memory[0] = piece->memory[piece->len / 2] = piece->mark;
                piece->memory[piece->len - 1] = piece->mark;
            }
        }
        dsmr_large_bufs_check(bufs);
    }
    assert_in_range(none, 1000, 9000); /* it was full often, and not always */
    for (uint32_t i = 0; i < HELD_MAX; i++)
        if (pieces[i].memory != NULL)
            assert_true(dsmr_large_bufs_give(bufs, pieces[i].memory, pieces[i].len));
    size_t taken, spare;
    dsmr_large_bufs_sizes(bufs, &taken, &spare);
    assert_int_equal(taken, 0);
    assert_in_range(spare, 1, SPARE * UNIT);
    dsmr_large_bufs_free(bufs);
}

struct thread {
    struct dsmr_large_bufs *bufs;
    uint64_t seed;
    uint32_t wrong;
};

static bool is_marked(const struct piece *piece)
{
    for (size_t at = 0; at < piece->len; at += UNIT / 4)
        if (piece->memory[at] != piece->mark)
            return false;
    return true;
}

static void *take_and_give(void *arg)
{
    struct thread *thread = arg;
    struct piece pieces[4] = {{0}};
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, thread->seed);
    for (uint32_t step = 0; step < 4000; step++) {
        struct piece *piece = &pieces[step < 3990 ? dsmr_prng_below(&prng, 4) : step % 4u];
        if (piece->memory != NULL) {
            thread->wrong += is_marked(piece) ? 0u : 1u;
            thread->wrong += dsmr_large_bufs_give(thread->bufs, piece->memory, piece->len) ? 0 : 1;
            piece->memory = NULL;
        } else if (step < 3990) {
            piece->len = 1 + dsmr_prng_below(&prng, 6 * UNIT);
            piece->mark = (uint8_t)(1 + step % 255);
            piece->memory = dsmr_large_bufs_take(thread->bufs, piece->len);
            for (size_t at = 0; piece->memory != NULL && at < piece->len; at += UNIT / 4)
                piece->memory[at] = piece->mark;
        }
    }
    return NULL;
}

/* Some take what others have just given, while the kernel takes memory back beside them. */
static void threads_do_not_meet(void **state)
{
    (void)state;
    struct thread threads[4];
    pthread_t ids[4];
    struct dsmr_large_bufs *bufs = make();
    for (uint32_t i = 0; i < 4; i++) {
        threads[i] = (struct thread){.bufs = bufs, .seed = i + 1};
        assert_int_equal(pthread_create(&ids[i], NULL, take_and_give, &threads[i]), 0);
    }
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(ids[i], NULL), 0);
        assert_int_equal(threads[i].wrong, 0);
    }
    assert_sizes(bufs, 0, SPARE);
    dsmr_large_bufs_free(bufs);
}

/* The last test: it stays so for the process. */
static void large_buffers_of_a_process_lie_there(void **state)
{
    (void)state;
    dsmr_large_bufs_use();
    struct dsmr_buf *small = dsmr_buf_new(DSMR_LARGE_BUFS_LEN_MIN - 1);
    struct dsmr_buf *first = dsmr_buf_new(DSMR_LARGE_BUFS_LEN_MIN);
    struct dsmr_buf *second = dsmr_buf_new(DSMR_LARGE_BUFS_LEN_MIN);
    assert_true(small != NULL && first != NULL && second != NULL);
    memset(first->bytes, 1, first->len);
    memset(second->bytes, 2, second->len);
#ifndef __SANITIZE_ADDRESS__
    assert_ptr_equal(second, (uint8_t *)first + 3 * UNIT);
    dsmr_buf_unref(first);
    first = dsmr_buf_new(2 * DSMR_LARGE_BUFS_LEN_MIN);
    assert_ptr_equal(first, (uint8_t *)second + 3 * UNIT);
#endif
    dsmr_buf_unref(first);
    dsmr_buf_unref(second);
    dsmr_buf_unref(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lowest_place_that_is_long_enough),
        cmocka_unit_test(highest_free_ones_go_back),
        cmocka_unit_test(without_a_place_there_is_none),
        cmocka_unit_test(pieces_do_not_overlap),
        cmocka_unit_test(threads_do_not_meet),
        cmocka_unit_test(large_buffers_of_a_process_lie_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
