/* What /metrics says is what happened, once each: exact numbers on whole nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lib/world.h"
#include "sim/sim_bls.h"

#define MINUTE_MS UINT64_C(60000)

struct fixture {
    struct dsmr_world *world;
    uint64_t values[DSMR_METRIC_COUNT]; /* of node 0 when last looked at */
    uint64_t errors[DSMR_ERR_NUMBER_MAX];
};

static bool has_dropped(struct dsmr_world *world, void *ctx)
{
    const uint32_t *chunks = ctx;
    for (uint32_t i = 0; i < 4; i++)
        if (dsmr_metrics_get(dsmr_world_metrics(world, i), DSMR_METRIC_CERTS_FORMED) < *chunks)
            return false;
    return dsmr_world_is_level(world);
}

static void look(struct fixture *f)
{
    const struct dsmr_metrics *metrics = dsmr_world_metrics(f->world, 0);
    for (uint32_t i = 0; i < DSMR_METRIC_COUNT; i++)
        f->values[i] = dsmr_metrics_get(metrics, (enum dsmr_metric)i);
    for (uint32_t i = 0; i < DSMR_ERR_NUMBER_MAX; i++)
        f->errors[i] = metrics->errors[i];
}

/* Since the last look exactly count of err were counted, and of no other error any. */
static void assert_only(struct fixture *f, enum dsmr_err err, uint64_t count)
{
    const struct dsmr_metrics *metrics = dsmr_world_metrics(f->world, 0);
    for (uint32_t i = 0; i < DSMR_ERR_NUMBER_MAX; i++)
        assert_int_equal(metrics->errors[i] - f->errors[i], i == (uint32_t)err ? count : 0);
    look(f);
}

static uint64_t grown(const struct fixture *f, enum dsmr_metric metric)
{
    return dsmr_metrics_get(dsmr_world_metrics(f->world, 0), metric) - f->values[metric];
}

static void open_world(struct fixture *f)
{
    struct dsmr_world_config config = {.nodes = 4, .seed = 31};
    f->world = dsmr_world_new(&config);
    dsmr_world_pass(f->world, 1000);
}

/* One transaction given to all four: it runs once, and three of its copies are dropped; the second
 * time it is refused. */
static void test_duplicates(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t chunks = 1;
    open_world(&f);
    look(&f);
    for (uint32_t i = 0; i < 4; i++)
        dsmr_world_submit(f.world, i, 7);
    assert_true(dsmr_world_run(f.world, has_dropped, &chunks, MINUTE_MS));
    dsmr_world_pass(f.world, 2000);
    for (uint32_t i = 0; i < 4; i++) {
        const struct dsmr_metrics *metrics = dsmr_world_metrics(f.world, i);
        assert_int_equal(dsmr_metrics_get(metrics, DSMR_METRIC_TXS_ADMITTED), 1);
        assert_int_equal(dsmr_metrics_get(metrics, DSMR_METRIC_TXS_EXECUTED), 1);
        assert_int_equal(dsmr_metrics_get(metrics, DSMR_METRIC_TXS_DUPLICATE), 3);
        assert_int_equal(dsmr_metrics_get(metrics, DSMR_METRIC_TXS_EXPIRED), 0);
        assert_int_equal(dsmr_metrics_get(metrics, DSMR_METRIC_INDEX_CHUNKS), 4);
    }
    dsmr_world_free(f.world);
}

static void offer(struct fixture *f, uint64_t expiry_ms)
{
    struct dsmr_submit_batch *batch = calloc(1, sizeof *batch + sizeof batch->txs[0]);
    assert_non_null(batch);
    batch->bytes = dsmr_buf_new(40);
    assert_non_null(batch->bytes);
    memset(batch->bytes->bytes, 0, batch->bytes->len);
    batch->bytes->bytes[0] = 1;
    dsmr_store_be64(batch->bytes->bytes + 1, expiry_ms);
    batch->count = 1;
    batch->txs[0].len = batch->bytes->len;
    struct dsmr_submit submit = dsmr_driver_submit_port(dsmr_world_driver(f->world, 0));
    assert_true(submit.ops->submit(submit.self, batch));
}

/* The same transaction after it has run, one that expires too late, and one that has just expired.
 */
static void test_refused(void **state)
{
    (void)state;
    struct fixture f;
    open_world(&f);
    uint64_t expiry_ms = dsmr_world_now_ms(f.world) + 30000;
    offer(&f, expiry_ms);
    dsmr_world_pass(f.world, 2000);
    look(&f);
    offer(&f, expiry_ms);
    dsmr_world_pass(f.world, 2000);
    assert_int_equal(grown(&f, DSMR_METRIC_TXS_ADMITTED), 0);
    assert_int_equal(grown(&f, DSMR_METRIC_TXS_REFUSED), 1);
    assert_int_equal(grown(&f, DSMR_METRIC_SUBMIT_TXS), 0); /* who talks to clients counts them */
    assert_only(&f, DSMR_ERR_DUPLICATE, 1);
    offer(&f, expiry_ms + MINUTE_MS);
    dsmr_world_pass(f.world, 2000);
    assert_int_equal(grown(&f, DSMR_METRIC_TXS_REFUSED), 1);
    assert_only(&f, DSMR_ERR_TX_EXPIRY, 1);
    offer(&f, dsmr_world_now_ms(f.world) - 1);
    dsmr_world_pass(f.world, 2000);
    assert_int_equal(grown(&f, DSMR_METRIC_TXS_REFUSED), 1);
    assert_only(&f, DSMR_ERR_EXPIRED, 1);
    dsmr_world_free(f.world);
}

/* Bytes as if from node 3. */
static void say(struct fixture *f, const struct dsmr_node_id *from, struct dsmr_buf *bytes)
{
    struct dsmr_driver *driver = dsmr_world_driver(f->world, 0);
    dsmr_driver_net_handler()->message(driver, from, bytes);
    dsmr_driver_tick(driver);
    dsmr_buf_unref(bytes);
}

static void test_faults(void **state)
{
    (void)state;
    struct fixture f;
    const uint8_t garbage[] = {0xEE, 1, 2, 3};
    uint8_t chunk[8] = {0};
    struct dsmr_node_id peer = dsmr_sim_bls_node_id(3), stranger = dsmr_sim_bls_node_id(99);
    open_world(&f);
    look(&f);
    say(&f, &peer, dsmr_buf_copy(garbage, sizeof garbage)); /* found by the driver */
    assert_only(&f, DSMR_ERR_MALFORMED, 1);
    struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE};
    msg.u.request_share.chunk = chunk;
    msg.u.request_share.chunk_len = sizeof chunk;
    say(&f, &peer, dsmr_msg_encode(&msg, true)); /* by the core */
    assert_only(&f, DSMR_ERR_MALFORMED, 1);
    memset(&msg, 0, sizeof msg);
    msg.type = DSMR_MSG_BFT_REQUEST_BLOCKS;
    msg.u.request_blocks.from_height = 1;
    say(&f, &stranger, dsmr_msg_encode(&msg, true)); /* by the engine */
    assert_only(&f, DSMR_ERR_NOT_VALIDATOR, 1);
    dsmr_world_free(f.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
