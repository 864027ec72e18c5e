/* A disk that has damaged the bodies of chunks, under a whole node: what it still has to execute it
 * fetches from the others and stores again; what it is asked for it does not have; and it goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lib/world.h"
#include "wire/codec.h"

#define VICTIM 3u
#define TXS 60u
#define STORED_MAX 512u

/* ---- the victim's store: bodies that were written before the damage cannot be read ---- */

static struct {
    struct dsmr_store inner;
    struct dsmr_store_ops ops;
    struct {
        struct dsmr_id id;
        struct dsmr_bls_sig producer_sig;
        bool is_damaged;
    } chunks[STORED_MAX];
    uint32_t chunks_count;
    enum dsmr_err err;    /* what a read of a damaged body answers */
    uint32_t failed;      /* reads that were answered so */
    uint32_t rewritten;   /* damaged bodies that were written again */
    struct dsmr_id first; /* that was damaged */
} disk;

static uint32_t find(const struct dsmr_id *id)
{
    uint32_t i = 0;
    while (i < disk.chunks_count && !dsmr_id_equal(&disk.chunks[i].id, id))
        i++;
    return i;
}

static void write_or_heal(void *self, struct dsmr_store_write *write)
{
    if (write->kind == DSMR_STORE_CHUNK) {
        const struct dsmr_id *id = &write->u.chunk.meta->ref.chunk_id;
        uint32_t i = find(id);
        assert_true(i < STORED_MAX);
        disk.rewritten += i < disk.chunks_count && disk.chunks[i].is_damaged;
        disk.chunks_count += i == disk.chunks_count;
        disk.chunks[i].id = *id;
        if (write->u.chunk.meta->is_signed)
            disk.chunks[i].producer_sig = write->u.chunk.meta->producer_sig;
        disk.chunks[i].is_damaged = false;
    }
    disk.inner.ops->write(self, write);
}

static enum dsmr_err load_or_fail(void *self, struct dsmr_buf **out, const struct dsmr_id *id)
{
    uint32_t i = find(id);
    if (i < disk.chunks_count && disk.chunks[i].is_damaged) {
        disk.failed++;
        return disk.err;
    }
    return disk.inner.ops->load_chunk(self, out, id);
}

static void tune(struct dsmr_driver_config *config)
{
    if (config->store.ops == NULL || config->node.node_id.bytes[19] != VICTIM)
        return;
    disk.inner = config->store;
    disk.ops = *config->store.ops;
    disk.ops.write = write_or_heal;
    disk.ops.load_chunk = load_or_fail;
    config->store.ops = &disk.ops;
}

static void damage_all(enum dsmr_err err)
{
    assert_true(disk.chunks_count > 0);
    disk.err = err;
    disk.first = disk.chunks[0].id;
    for (uint32_t i = 0; i < disk.chunks_count; i++)
        disk.chunks[i].is_damaged = true;
}

static struct dsmr_world *start(uint64_t seed)
{
    struct dsmr_world_config config = {.nodes = 4, .seed = seed, .tune = tune};
    memset(&disk, 0, sizeof disk);
    return dsmr_world_new(&config);
}

static bool has_executed(struct dsmr_world *world, void *ctx)
{
    return dsmr_world_executed(world) >= *(const uint64_t *)ctx && dsmr_world_is_level(world);
}

static void submit(struct dsmr_world *world, uint64_t first)
{
    for (uint32_t i = 0; i < TXS; i++) {
        (void)dsmr_world_submit(world, i % 3, first + i);
        dsmr_world_pass(world, 20);
    }
}

static void check_level(struct dsmr_world *world, uint64_t count)
{
    assert_true(dsmr_world_run(world, has_executed, &count, 60000));
    assert_int_equal(dsmr_world_executed(world), count);
    assert_true(dsmr_world_is_up(world, VICTIM)); /* a halt fails the test as well */
}

/* The chunk's producer has lost its own state, and asks for the share once more. */
static void ask_again(struct dsmr_world *world)
{
    struct dsmr_query query = dsmr_driver_query_port(dsmr_world_driver(world, 0));
    const struct dsmr_metrics *metrics = dsmr_world_metrics(world, VICTIM);
    uint64_t shared = dsmr_metrics_get(metrics, DSMR_METRIC_CHUNKS_SHARED);
    struct dsmr_chunk *chunk = NULL;
    struct dsmr_cert cert;
    bool has_cert = false;
    assert_int_equal(query.ops->chunk(query.self, &chunk, &cert, &has_cert, &disk.first), DSMR_OK);
    struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE};
    msg.u.request_share.chunk = chunk->bytes;
    msg.u.request_share.chunk_len = chunk->ref.chunk_bytes;
    msg.u.request_share.sig = disk.chunks[find(&disk.first)].producer_sig;
    dsmr_world_send(world, chunk->ref.producer.bytes[19], VICTIM, &msg);
    dsmr_world_pass(world, 1000);
    assert_int_equal(dsmr_metrics_get(metrics, DSMR_METRIC_CHUNKS_SHARED), shared + 1);
    assert_true(dsmr_world_is_up(world, VICTIM));
    dsmr_chunk_unref(chunk);
}

/* Accepted, not executed, and in no memory any more: execution has only the disk and the others. */
static void test_what_has_to_be_executed_is_fetched_again(void **state)
{
    const enum dsmr_err errs[] = {DSMR_ERR_CORRUPT, DSMR_ERR_IO};
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct dsmr_world *world = start(91 + i);
        struct dsmr_query_status status;
        dsmr_world_hold_execution(world, VICTIM, true);
        submit(world, 1);
        dsmr_world_pass(world, 2000);
        dsmr_world_status(world, VICTIM, &status);
        assert_true(status.height > status.executed_height);
        dsmr_world_crash(world, VICTIM);
        damage_all(errs[i]);
        uint64_t fetched =
            dsmr_metrics_get(dsmr_world_metrics(world, VICTIM), DSMR_METRIC_CHUNKS_FETCHED);
        dsmr_world_restart(world, VICTIM);
        check_level(world, TXS);
        fetched = dsmr_metrics_get(dsmr_world_metrics(world, VICTIM), DSMR_METRIC_CHUNKS_FETCHED) -
                  fetched;
        assert_true(disk.failed > 0);
        assert_true(fetched > 0);
        assert_int_equal(disk.rewritten, fetched); /* and on disk again, before it is run */
        ask_again(world); /* the journal knows its slot, and what was fetched is no promise yet */
        submit(world, 1000); /* it takes part as before */
        check_level(world, 2 * TXS);
        dsmr_world_free(world);
    }
}

/* The chunk of an executed block: nobody needs it here, so nothing is fetched; who asks for it is
 * told that it is not here. */
static void test_what_is_executed_is_only_not_held(void **state)
{
    (void)state;
    struct dsmr_world *world = start(97);
    submit(world, 1);
    check_level(world, TXS);
    dsmr_world_crash(world, VICTIM);
    damage_all(DSMR_ERR_CORRUPT);
    dsmr_world_restart(world, VICTIM);
    submit(world, 1000);
    check_level(world, 2 * TXS);
    assert_int_equal(disk.rewritten, 0);

    struct dsmr_metrics *metrics = dsmr_world_metrics(world, VICTIM);
    uint64_t unknown = metrics->errors[DSMR_ERR_UNKNOWN], failed = disk.failed;
    struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK};
    msg.u.request_chunk.chunk_id = disk.first;
    dsmr_world_send(world, 0, VICTIM, &msg);
    dsmr_world_pass(world, 1000);
    assert_int_equal(disk.failed, failed + 1);
    assert_true(metrics->errors[DSMR_ERR_UNKNOWN] > unknown);

    struct dsmr_query query = dsmr_driver_query_port(dsmr_world_driver(world, VICTIM));
    struct dsmr_chunk *chunk = NULL;
    struct dsmr_cert cert;
    bool has_cert = false;
    assert_int_equal(query.ops->chunk(query.self, &chunk, &cert, &has_cert, &disk.first),
                     DSMR_ERR_UNKNOWN);
    disk.err = DSMR_ERR_IO; /* the system's own error stays one */
    assert_int_equal(query.ops->chunk(query.self, &chunk, &cert, &has_cert, &disk.first),
                     DSMR_ERR_IO);
    assert_true(dsmr_world_is_up(world, VICTIM));
    dsmr_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_has_to_be_executed_is_fetched_again),
        cmocka_unit_test(test_what_is_executed_is_only_not_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
