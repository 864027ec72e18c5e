/* test_driver_oom.c - every allocation on the way of a batch of transactions fails once: the batch
 * goes home to its submitter all the same, with an error for each transaction that was not taken.
 *
 * Linked with malloc, calloc and realloc wrapped (cmake/tests.cmake). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "driver/driver_state.h"
#include "lib/failing_malloc.h"
#include "wire/codec.h"

#define TXS 3u
#define TX_BYTES 20u
#define NOW_MS UINT64_C(1700000000000)

/* ---- a driver whose ports do just enough ---- */

struct fixture {
    struct dsmr_driver *driver;
    struct dsmr_block *genesis;
    struct dsmr_metrics metrics;
    struct dsmr_task *task;         /* given to a worker */
    struct dsmr_submit_batch *home; /* what came back */
};

static uint64_t wall_ms(void *self)
{
    (void)self;
    return NOW_MS;
}

static void work_submit(void *self, enum dsmr_work_lane lane, struct dsmr_task *task)
{
    struct fixture *f = self;
    (void)lane;
    assert_null(f->task);
    f->task = task;
}

static uint32_t app_check(const void *self, enum dsmr_err *errs, const struct dsmr_tx_view *txs,
                          uint32_t count)
{
    (void)self, (void)txs;
    for (uint32_t i = 0; i < count; i++)
        errs[i] = DSMR_OK;
    return 0;
}

static void publish(void *self, const struct dsmr_notice *notice)
{
    struct fixture *f = self;
    assert_int_equal(notice->kind, DSMR_NOTICE_SUBMITTED);
    assert_null(f->home);
    f->home = notice->u.batch;
}

static void engine_ready(void *self, bool is_ready) /* and nothing is built here */
{
    (void)self, (void)is_ready;
}

static const struct dsmr_clock_ops clock_ops = {.wall_ms = wall_ms, .mono_ms = wall_ms};
static const struct dsmr_work_ops work_ops = {.submit = work_submit};
static const struct dsmr_app_ops app_ops = {.check = app_check};
static const struct dsmr_feed_ops feed_ops = {.publish = publish};
static const struct dsmr_engine_ops engine_ops = {.ready = engine_ready};
static const struct dsmr_store_ops store_ops = {0};

static void open_driver(struct fixture *f)
{
    struct dsmr_driver_config config;
    memset(f, 0, sizeof *f);
    memset(&config, 0, sizeof config);
    dsmr_params_default(&config.node.params);
    config.node.seed = 1;
    config.node.validators_max = 4;
    config.node.mempool_bytes_max = 1u << 20;
    config.node.mempool_txs_max = 64;
    config.node.chunk_cache_bytes_max = 1u << 20;
    config.node.fetches_max = 1;
    config.node.can_produce = true;
    assert_int_equal(dsmr_block_genesis(&f->genesis, &config.node.params, NOW_MS), DSMR_OK);
    config.genesis = f->genesis;
    config.engine.ops = &engine_ops;
    config.submits_max = 1;
    config.submit_bytes_max = 1u << 20;
    config.store.ops = &store_ops;
    config.work = (struct dsmr_work){.self = f, .ops = &work_ops};
    config.clock.ops = &clock_ops;
    config.app.ops = &app_ops;
    config.feed = (struct dsmr_feed){.self = f, .ops = &feed_ops};
    config.metrics = &f->metrics;
    assert_int_equal(dsmr_driver_new(&f->driver, &config), DSMR_OK);
    struct dsmr_event start = {.kind = DSMR_EV_START}; /* nothing was on disk */
    dsmr_driver_core_event(f->driver, &start);
}

static void close_driver(struct fixture *f)
{
    dsmr_driver_free(f->driver);
    dsmr_block_unref(f->genesis);
}

static struct dsmr_submit_batch *make_batch(void)
{
    struct dsmr_submit_batch *batch =
        __real_calloc(1, sizeof *batch + TXS * sizeof(struct dsmr_submit_tx));
    assert_non_null(batch);
    batch->bytes = dsmr_buf_new((size_t)TXS * TX_BYTES);
    assert_non_null(batch->bytes);
    memset(batch->bytes->bytes, 0, batch->bytes->len);
    batch->count = TXS;
    for (uint32_t i = 0; i < TXS; i++) {
        struct dsmr_wr wr;
        batch->txs[i].offset = i * TX_BYTES;
        batch->txs[i].len = TX_BYTES;
        dsmr_wr_init(&wr, batch->bytes->bytes + batch->txs[i].offset, TX_BYTES);
        dsmr_wr_u8(&wr, 1);
        dsmr_wr_u64(&wr, NOW_MS + 1000);
        dsmr_wr_u64(&wr, i);
    }
    return batch;
}

static void free_batch(struct dsmr_submit_batch *batch)
{
    dsmr_buf_unref(batch->bytes);
    free(batch);
}

/* One batch through the driver with the nth allocation failing. Returns how many were admitted. */
static uint32_t submit_failing(struct fixture *f, uint32_t nth)
{
    struct dsmr_submit submit = dsmr_driver_submit_port(f->driver);
    struct dsmr_submit_batch *batch = make_batch();
    uint32_t admitted = 0;
    has_failed = false;
    allocations_left = nth;
    assert_true(submit.ops->submit(submit.self, batch));
    struct dsmr_task *task = f->task;
    f->task = NULL;
    task->run(task);
    dsmr_driver_task(f->driver, task);
    allocations_left = NEVER;
    assert_ptr_equal(f->home, batch);
    assert_true(batch->came_ms == NOW_MS);
    f->home = NULL;
    for (uint32_t i = 0; i < TXS; i++) {
        assert_true(batch->txs[i].err == DSMR_OK || batch->txs[i].err == DSMR_ERR_NO_MEMORY);
        admitted += batch->txs[i].err == DSMR_OK;
    }
    free_batch(batch);
    return admitted;
}

static void test_batch_comes_home_when_memory_is_out(void **state)
{
    (void)state;
    uint32_t nth = 0, refused = 0;
    do {
        struct fixture f;
        const char *reason = NULL;
        open_driver(&f);
        uint32_t admitted = submit_failing(&f, nth++);
        struct dsmr_metrics *metrics = &f.metrics;
        assert_int_equal(dsmr_driver_halted(f.driver, &reason), DSMR_OK);
        assert_int_equal(dsmr_metrics_get(metrics, DSMR_METRIC_TXS_ADMITTED), admitted);
        assert_true(admitted == TXS || has_failed);
        refused += admitted == 0;
        close_driver(&f);
    } while (has_failed);
    /* On the worker (two), on the way into the core, and in the core. */
    assert_true(refused >= 4);
}

/* 13.6: what the core has no room for costs no check; what is on its way already needs room, too.
 */
static void test_batch_without_room_is_not_checked(void **state)
{
    (void)state;
    struct fixture f;
    open_driver(&f);
    struct dsmr_submit submit = dsmr_driver_submit_port(f.driver);
    struct dsmr_submit_batch *batch = make_batch();
    atomic_store(&f.driver->room_bytes, 0);
    assert_false(submit.ops->submit(submit.self, batch));
    atomic_store(&f.driver->room_bytes, 100);
    atomic_store(&f.driver->submit_bytes, 100);
    assert_false(submit.ops->submit(submit.self, batch));
    assert_null(f.task);
    assert_int_equal(atomic_load(&f.driver->submits), 0);
    assert_int_equal(atomic_load(&f.driver->submit_bytes), 100);
    atomic_store(&f.driver->submit_bytes, 0);
    free_batch(batch);
    assert_int_equal(submit_failing(&f, NEVER), TXS);
    assert_true(atomic_load(&f.driver->room_bytes) == UINT64_MAX); /* the core has said so */
    close_driver(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_comes_home_when_memory_is_out),
        cmocka_unit_test(test_batch_without_room_is_not_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
