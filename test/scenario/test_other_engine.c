/* Whole nodes - driver, core, application - under an engine that behaves as AvalancheGo does.
 * Scenarios: the engine port takes such an engine unchanged (protocol.md, sections 3, 9, 12, 14).
 * The world checks equal roots, and that nothing runs twice, at every executed block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lib/other_engine.h"

#define NONE DSMR_EPOCH_NONE
#define FIRST UINT64_C(100) /* epochs: heights of the chain elsewhere */
#define SECOND UINT64_C(200)
#define MINUTE_MS UINT64_C(60000)

struct story {
    struct other_engine *engine;
    struct dsmr_world *world;
    struct dsmr_block *tip;
    struct dsmr_block *chain[64]; /* those that all accepted, by height */
    uint64_t txs;
};

static void begin(struct story *story, uint32_t nodes, uint32_t validators)
{
    struct dsmr_world_config config = {.nodes = nodes, .seed = 21};
    story->engine = other_engine_new(&config);
    story->world = other_engine_world(story->engine);
    story->tip = story->chain[0] = dsmr_block_ref(other_engine_genesis(story->engine));
    story->txs = 0;
    other_engine_add_epoch(story->engine, FIRST, 0, validators);
    dsmr_world_pass(story->world, 10);
}

static void end(struct story *story)
{
    for (uint64_t height = 0; height <= story->tip->height; height++)
        dsmr_block_unref(story->chain[height]);
    other_engine_free(story->engine);
}

static void set_tip(struct story *story, struct dsmr_block *block) /* takes over block */
{
    assert_int_equal(block->height, story->tip->height + 1);
    assert_true(block->height < 64);
    story->tip = story->chain[block->height] = block;
}

static struct dsmr_block *build(struct story *story, uint32_t node, const struct dsmr_block *parent,
                                uint64_t context)
{
    struct dsmr_block *block = NULL;
    assert_int_equal(other_engine_build(story->engine, node, parent, context, &block), DSMR_OK);
    return block;
}

static void go_on(struct story *story, uint32_t node, uint64_t context)
{
    struct dsmr_block *block = build(story, node, story->tip, context);
    other_engine_feed_all(story->engine, block);
    set_tip(story, block);
}

/* Blocks 1, without a context, and 2, which brings the first epoch. */
static void begin_epoch(struct story *story, uint32_t nodes, uint32_t validators)
{
    begin(story, nodes, validators);
    go_on(story, 0, NONE);
    other_engine_bring_all(story->engine, FIRST);
    go_on(story, 0, FIRST);
    dsmr_world_pass(story->world, 10);
}

static void submit(struct story *story, uint32_t node, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        dsmr_world_submit(story->world, node, ++story->txs);
}

struct want {
    struct story *story;
    uint32_t node;
};

static bool is_ready(struct dsmr_world *world, void *ctx)
{
    const struct want *want = ctx;
    (void)world;
    return other_engine_is_ready(want->story->engine, want->node);
}

/* Until node says that there is something to build on its preference. */
static void await_ready(struct story *story, uint32_t node)
{
    struct want want = {story, node};
    assert_true(dsmr_world_run(story->world, is_ready, &want, MINUTE_MS));
}

static bool has_run_all(struct dsmr_world *world, void *ctx)
{
    const struct story *story = ctx;
    return dsmr_world_executed(world) == story->txs && dsmr_world_is_level(world);
}

static bool is_ready_or_done(struct dsmr_world *world, void *ctx)
{
    struct want *want = ctx;
    return is_ready(world, want) || has_run_all(world, want->story);
}

/* Blocks until all that was submitted has run on all nodes that are up. */
static void run_all(struct story *story, uint32_t builder, uint64_t context)
{
    struct want want = {story, builder};
    for (uint32_t i = 0; i < 20 && !has_run_all(story->world, story); i++) {
        assert_true(dsmr_world_run(story->world, is_ready_or_done, &want, MINUTE_MS));
        if (is_ready(story->world, &want))
            go_on(story, builder, context);
    }
    assert_true(has_run_all(story->world, story));
}

static uint64_t metric(struct story *story, uint32_t node, enum dsmr_metric id)
{
    return dsmr_metrics_get(dsmr_world_metrics(story->world, node), id);
}

static struct dsmr_query_status status_of(struct story *story, uint32_t node)
{
    struct dsmr_query_status status;
    dsmr_world_status(story->world, node, &status);
    return status;
}

/* Block 1 has no context and may be built by all at once: it is empty, one of them is accepted, and
 * until a block has an epoch nothing is signed. Above it a block without a context must wait. */
static void test_first_block_has_no_context(void **state)
{
    (void)state;
    struct story story;
    begin(&story, 4, 4);
    submit(&story, 0, 1);
    dsmr_world_pass(story.world, 500);
    assert_int_equal(metric(&story, 0, DSMR_METRIC_CHUNKS_BUILT), 0);
    struct dsmr_block *siblings[2];
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(other_engine_is_ready(story.engine, i)); /* at once: section 8 */
        siblings[i] = build(&story, i, story.tip, NONE);
        assert_int_equal(siblings[i]->certs_count, 0);
        dsmr_world_pass(story.world, 7);
    }
    assert_false(dsmr_id_equal(&siblings[0]->id, &siblings[1]->id));
    for (uint32_t node = 0; node < 4; node++) {
        for (uint32_t i = 0; i < 2; i++)
            assert_int_equal(other_engine_verify(story.engine, node, siblings[i], NONE), DSMR_OK);
        other_engine_prefer(story.engine, node, siblings[1]);
        assert_int_equal(other_engine_accept(story.engine, node, siblings[1]), DSMR_OK);
        other_engine_reject(story.engine, node, siblings[0]);
        assert_int_not_equal(other_engine_accept(story.engine, node, siblings[0]), DSMR_OK);
        assert_true(other_engine_is_ready(story.engine, node)); /* for the first epoch */
    }
    dsmr_block_unref(siblings[0]);
    set_tip(&story, siblings[1]);
    assert_int_equal(other_engine_build(story.engine, 0, story.tip, NONE, NULL), DSMR_ERR_NOT_YET);
    other_engine_bring_all(story.engine, FIRST);
    go_on(&story, 2, FIRST);
    assert_int_equal(story.tip->certs_count, 0);
    run_all(&story, 0, FIRST);
    end(&story);
}

/* A set that is not there yet: not yet, never wrong. The driver asks again when it is told, and
 * after a while when it is not; who is served follows from the sets. */
static void test_set_comes_late(void **state)
{
    (void)state;
    struct story story;
    begin(&story, 4, 4);
    go_on(&story, 0, NONE);
    assert_int_equal(other_engine_build(story.engine, 0, story.tip, FIRST, NULL), DSMR_ERR_NOT_YET);
    assert_false(other_engine_serves(story.engine, 0, 1));
    other_engine_bring(story.engine, 0, FIRST, true);
    assert_true(other_engine_serves(story.engine, 0, 1));
    struct dsmr_block *block = build(&story, 0, story.tip, FIRST);
    for (uint32_t node = 1; node < 4; node++)
        assert_int_equal(other_engine_verify(story.engine, node, block, FIRST), DSMR_ERR_NOT_YET);
    other_engine_bring(story.engine, 1, FIRST, true);
    assert_int_equal(other_engine_verify(story.engine, 1, block, FIRST), DSMR_OK);
    other_engine_bring(story.engine, 2, FIRST, false); /* the adapter says nothing */
    other_engine_bring(story.engine, 3, FIRST, false);
    assert_int_equal(other_engine_verify(story.engine, 2, block, FIRST), DSMR_ERR_NOT_YET);
    dsmr_world_pass(story.world, 2000);
    assert_int_equal(other_engine_verify(story.engine, 2, block, FIRST), DSMR_OK);
    other_engine_feed_all(story.engine, block);
    set_tip(&story, block);
    submit(&story, 3, 3);
    run_all(&story, 1, FIRST);
    dsmr_world_pass(story.world, 5 * MINUTE_MS); /* nothing is asked for any more */
    for (uint32_t node = 0; node < 4; node++)
        assert_true(dsmr_driver_deadline_ms(dsmr_world_driver(story.world, node)) == UINT64_MAX);
    end(&story);
}

/* A build whose set is missing is refused while the node stays ready, and nothing is told when the
 * set has come: an adapter asks again after a while. */
static void test_ready_without_a_set(void **state)
{
    (void)state;
    struct story story;
    begin(&story, 4, 4);
    go_on(&story, 0, NONE);
    submit(&story, 0, 1);
    dsmr_world_pass(story.world, 2000);
    assert_true(other_engine_is_ready(story.engine, 0));
    uint64_t readies = other_engine_readies(story.engine, 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(other_engine_build(story.engine, 0, story.tip, FIRST, NULL),
                         DSMR_ERR_NOT_YET);
        dsmr_world_pass(story.world, i * 5000);
        assert_true(other_engine_is_ready(story.engine, 0));
    }
    other_engine_bring_all(story.engine, FIRST);
    dsmr_world_pass(story.world, 5000);
    assert_int_equal(other_engine_readies(story.engine, 0), readies);
    go_on(&story, 0, FIRST);
    run_all(&story, 0, FIRST);
    end(&story);
}

/* The same block with several contexts, in both orders; only its own one is right, and neither
 * answer is remembered for the other. */
static void test_verified_again_with_another_context(void **state)
{
    (void)state;
    struct story story;
    begin_epoch(&story, 4, 4);
    other_engine_add_epoch(story.engine, SECOND, 0, 4);
    other_engine_bring_all(story.engine, SECOND);
    submit(&story, 0, 2);
    await_ready(&story, 1);
    struct dsmr_block *block = build(&story, 1, story.tip, FIRST);
    assert_true(block->certs_count > 0);
    struct other_engine *engine = story.engine;
    assert_int_equal(other_engine_verify(engine, 0, block, SECOND), DSMR_ERR_EPOCH_NOT_ALLOWED);
    assert_int_equal(other_engine_verify(engine, 0, block, NONE), DSMR_ERR_NOT_YET);
    assert_int_equal(other_engine_verify(engine, 0, block, FIRST), DSMR_OK);
    assert_int_equal(other_engine_verify(engine, 0, block, SECOND), DSMR_ERR_EPOCH_NOT_ALLOWED);
    assert_int_equal(other_engine_verify(engine, 0, block, NONE), DSMR_ERR_NOT_YET);
    assert_int_equal(other_engine_accept(engine, 0, block), DSMR_OK); /* it is not forgotten */
    for (uint32_t node = 1; node < 4; node++)
        other_engine_feed(engine, node, block);
    set_tip(&story, block);
    run_all(&story, 0, FIRST);
    end(&story);
}

/* Two branches of two blocks. The branch that most had built on loses; what only it had returns to
 * its place and comes in the next block; everything runs once. */
static void test_siblings_and_rejected_branch(void **state)
{
    (void)state;
    struct story story;
    struct dsmr_block *lost[2], *won[2];
    begin_epoch(&story, 4, 4);
    submit(&story, 0, 3);
    await_ready(&story, 0);
    await_ready(&story, 1);
    lost[0] = build(&story, 0, story.tip, FIRST);
    dsmr_world_pass(story.world, 5);
    won[0] = build(&story, 1, story.tip, FIRST);
    for (uint32_t node = 0; node < 4; node++) {
        assert_int_equal(other_engine_verify(story.engine, node, lost[0], FIRST), DSMR_OK);
        assert_int_equal(other_engine_verify(story.engine, node, won[0], FIRST), DSMR_OK);
        other_engine_prefer(story.engine, node, lost[0]);
    }
    assert_true(lost[0]->certs_count > 0);
    assert_int_equal(won[0]->certs_count, lost[0]->certs_count);
    submit(&story, 2, 3);
    await_ready(&story, 0); /* on the branch that it prefers */
    lost[1] = build(&story, 0, lost[0], FIRST);
    assert_true(lost[1]->certs_count > 0);
    for (uint32_t node = 0; node < 4; node++)
        assert_int_equal(other_engine_verify(story.engine, node, lost[1], FIRST), DSMR_OK);
    for (uint32_t node = 0; node < 4; node++) {
        assert_int_equal(other_engine_accept(story.engine, node, won[0]), DSMR_OK);
        other_engine_reject(story.engine, node, lost[0]);
        other_engine_reject(story.engine, node, lost[1]);
        other_engine_prefer(story.engine, node, won[0]);
    }
    set_tip(&story, won[0]);
    await_ready(&story, 3);
    won[1] = build(&story, 3, won[0], FIRST);
    assert_int_equal(won[1]->certs_count, lost[1]->certs_count);
    other_engine_feed_all(story.engine, won[1]);
    set_tip(&story, won[1]);
    run_all(&story, 0, FIRST);
    dsmr_block_unref(lost[0]);
    dsmr_block_unref(lost[1]);
    end(&story);
}

/* The set changes: node 4 comes and node 0 goes. Both are served while they matter. */
static void test_set_changes(void **state)
{
    (void)state;
    struct story story;
    begin_epoch(&story, 5, 4);
    submit(&story, 0, 2);
    await_ready(&story, 0);
    go_on(&story, 0, FIRST);
    dsmr_world_pass(story.world, 3000);
    assert_false(other_engine_serves(story.engine, 0, 4)); /* no validator: no service */
    assert_int_equal(status_of(&story, 0).executed_height, 3);
    assert_int_equal(status_of(&story, 4).height, 3); /* the engine has told it */
    assert_int_equal(status_of(&story, 4).executed_height, 2);
    other_engine_add_epoch(story.engine, SECOND, 1, 4);
    other_engine_bring_all(story.engine, SECOND);
    assert_true(other_engine_serves(story.engine, 0, 4)); /* before its turn */
    submit(&story, 1, 2);
    await_ready(&story, 1);
    go_on(&story, 1, SECOND);
    assert_int_equal(story.tip->past_epochs_count, 1);
    run_all(&story, 2, SECOND);
    submit(&story, 4, 2);
    run_all(&story, 4, SECOND);
    assert_true(metric(&story, 4, DSMR_METRIC_CHUNKS_BUILT) > 0);
    assert_true(other_engine_serves(story.engine, 1, 0));
    other_engine_crash(story.engine, 0);
    dsmr_world_pass(story.world, MINUTE_MS); /* longer than a chunk lives */
    submit(&story, 3, 1);
    run_all(&story, 3, SECOND);
    assert_int_equal(story.tip->past_epochs_count, 0);
    assert_false(other_engine_serves(story.engine, 1, 0));
    end(&story);
}

/* Whoever was a validator in some epoch and is one no more takes no place from those who come. */
static void test_old_peers_are_forgotten(void **state)
{
    (void)state;
    struct story story;
    begin_epoch(&story, 5, 4);
    const struct dsmr_net_handler *net = dsmr_driver_net_handler();
    struct dsmr_driver *driver = dsmr_world_driver(story.world, 1);
    for (uint32_t i = 0; i < DSMR_VALIDATORS_MAX + 64u; i++) {
        struct dsmr_node_id id = {{0xee}};
        dsmr_store_be32(id.bytes + 1, i);
        net->peer(driver, &id, true);
        net->peer(driver, &id, false);
    }
    dsmr_world_pass(story.world, 100);
    assert_int_equal(metric(&story, 1, DSMR_METRIC_PEERS), 3);
    other_engine_add_epoch(story.engine, SECOND, 1, 4);
    other_engine_bring_all(story.engine, SECOND);
    dsmr_world_pass(story.world, 100);
    assert_int_equal(metric(&story, 1, DSMR_METRIC_PEERS), 4); /* node 4 was known before */
    struct dsmr_node_id id = {{0xef}};
    for (uint32_t i = 0; i < 3; i++) {
        net->peer(driver, &id, i % 2 == 0);
        dsmr_driver_tick(driver);
        assert_int_equal(metric(&story, 1, DSMR_METRIC_PEERS), 5 - i % 2);
    }
    end(&story);
}

/* 5.4, with a set that comes only after the start: the same bytes are sent again. */
static void test_own_chunk_waits_for_its_set(void **state)
{
    (void)state;
    struct story story;
    begin_epoch(&story, 4, 4);
    for (uint32_t i = 1; i < 4; i++)
        dsmr_world_link(story.world, 0, i, false);
    submit(&story, 0, 1);
    dsmr_world_pass(story.world, 300);
    assert_int_equal(metric(&story, 0, DSMR_METRIC_CHUNKS_BUILT), 1);
    other_engine_crash(story.engine, 0);
    other_engine_take(story.engine, 0, FIRST);
    other_engine_restart(story.engine, 0);
    dsmr_world_pass(story.world, 500);
    assert_int_equal(metric(&story, 0, DSMR_METRIC_CERTS_FORMED), 0);
    other_engine_bring(story.engine, 0, FIRST, true);
    run_all(&story, 1, FIRST);
    assert_int_equal(metric(&story, 0, DSMR_METRIC_CHUNKS_BUILT), 1);
    assert_int_equal(metric(&story, 0, DSMR_METRIC_CERTS_FORMED), 1);
    end(&story);
}

/* The engine's pointer is four blocks behind ours: they are not accepted until they are accepted
 * again, and do not run again. */
static void test_restart_four_blocks_back(void **state)
{
    (void)state;
    struct story story;
    begin_epoch(&story, 4, 4);
    for (uint32_t i = 0; i < 5; i++) {
        submit(&story, i % 4, 2);
        run_all(&story, 1, FIRST);
    }
    uint64_t height = story.tip->height;
    uint64_t ran = metric(&story, 0, DSMR_METRIC_TXS_EXECUTED);
    other_engine_crash(story.engine, 0);
    other_engine_set_tip(story.engine, 0, height - 4, &story.chain[height - 4]->id);
    other_engine_restart(story.engine, 0);
    assert_int_equal(status_of(&story, 0).height, height - 4);
    assert_int_equal(status_of(&story, 0).executed_height, height);
    dsmr_world_pass(story.world, 1000);
    for (uint64_t at = height - 3; at <= height; at++)
        other_engine_feed(story.engine, 0, story.chain[at]);
    assert_int_equal(status_of(&story, 0).height, height);
    submit(&story, 0, 2); /* it signs and produces as before */
    run_all(&story, 0, FIRST);
    assert_int_equal(metric(&story, 0, DSMR_METRIC_TXS_EXECUTED), ran + 2);
    end(&story);
}

/* What an operator sees of a halt: the same sentence in /health, of which the status is the source,
 * and in the log. */
static void expect_halted(struct story *story, uint32_t node, enum dsmr_err err)
{
    const char *reason = NULL;
    struct dsmr_query_status status = status_of(story, node);
    assert_int_equal(dsmr_driver_halted(dsmr_world_driver(story->world, node), &reason), err);
    assert_non_null(reason);
    assert_true(status.is_halted);
    assert_false(status.is_ready);
    assert_int_equal(status.halt_reason, err);
    assert_string_equal(status.halt_text, reason);
    assert_string_equal(dsmr_world_log_last(story->world, node), reason);
    assert_int_equal(dsmr_world_log_lines(story->world, node, DSMR_LOG_ERROR), 1);
}

/* 12.3: going back and then another way, over what has run. */
static void test_another_block_where_one_ran(void **state)
{
    (void)state;
    struct story story;
    begin_epoch(&story, 4, 4);
    struct dsmr_block *parent = story.tip;
    submit(&story, 1, 1);
    await_ready(&story, 1);
    dsmr_world_pass(story.world, 50);
    struct dsmr_block *other = build(&story, 2, parent, FIRST);
    dsmr_world_pass(story.world, 5);
    go_on(&story, 1, FIRST);
    run_all(&story, 1, FIRST);
    other_engine_crash(story.engine, 0);
    other_engine_set_tip(story.engine, 0, parent->height, &parent->id);
    other_engine_restart(story.engine, 0);
    assert_int_equal(other_engine_verify(story.engine, 0, other, FIRST), DSMR_OK);
    assert_int_equal(other_engine_accept(story.engine, 0, other), DSMR_ERR_HALTED);
    expect_halted(&story, 0, DSMR_ERR_HALTED);
    dsmr_world_may_halt(story.world, 0); /* it says nothing any more, whatever it is asked */
    uint64_t answers = other_engine_answers(story.engine, 0);
    uint64_t readies = other_engine_readies(story.engine, 0);
    other_engine_ask_all(story.engine, 0, parent, other);
    dsmr_world_pass(story.world, MINUTE_MS);
    assert_int_equal(other_engine_answers(story.engine, 0), answers);
    assert_int_equal(other_engine_readies(story.engine, 0), readies);
    dsmr_block_unref(other);
    end(&story);
}

/* What was asked before it halted is not answered either: a disk breaks under an accept. */
static void test_halt_leaves_questions_open(void **state)
{
    (void)state;
    struct story story;
    begin_epoch(&story, 4, 4);
    submit(&story, 1, 1);
    await_ready(&story, 1);
    dsmr_world_pass(story.world, 50);
    struct dsmr_block *parent = story.tip;
    struct dsmr_block *block = build(&story, 1, parent, FIRST);
    assert_int_equal(other_engine_verify(story.engine, 0, block, FIRST), DSMR_OK);
    dsmr_world_may_halt(story.world, 0);
    dsmr_world_hold_store(story.world, 0, true);
    uint64_t answers = other_engine_answers(story.engine, 0);
    other_engine_ask_all(story.engine, 0, parent, block);
    uint64_t at_once = other_engine_answers(story.engine, 0) - answers;
    assert_int_equal(at_once, 2); /* a build, a verdict; the accept waits for the disk */
    dsmr_world_fail_store(story.world, 0, DSMR_ERR_IO);
    dsmr_world_hold_store(story.world, 0, false);
    dsmr_world_pass(story.world, MINUTE_MS);
    expect_halted(&story, 0, DSMR_ERR_IO);
    assert_int_equal(other_engine_answers(story.engine, 0) - answers, 2);
    dsmr_block_unref(block);
    end(&story);
}

/* Accepted and durable, but neither run nor known to the engine when the node dies. A validator
 * alone has nobody to fetch from: its own disk must do. */
static void accept_and_die(struct story *story, struct dsmr_block **block)
{
    begin_epoch(story, 1, 1);
    submit(story, 0, 1);
    await_ready(story, 0);
    *block = build(story, 0, story->tip, FIRST);
    assert_int_equal(other_engine_verify(story->engine, 0, *block, FIRST), DSMR_OK);
    assert_int_equal(other_engine_accept(story->engine, 0, *block), DSMR_OK);
    assert_int_equal(status_of(story, 0).executed_height, story->tip->height);
    other_engine_crash(story->engine, 0);
    other_engine_set_tip(story->engine, 0, story->tip->height, &story->tip->id);
    other_engine_restart(story->engine, 0);
    assert_int_equal(status_of(story, 0).height, story->tip->height);
    dsmr_world_pass(story->world, 1000);
    assert_int_equal(dsmr_world_executed(story->world), 0); /* not before it is accepted again */
}

static void test_accepted_again_from_disk(void **state)
{
    (void)state;
    struct story story;
    struct dsmr_block *block;
    accept_and_die(&story, &block);
    other_engine_feed(story.engine, 0, block);
    set_tip(&story, block);
    assert_true(dsmr_world_run(story.world, has_run_all, &story, MINUTE_MS));
    end(&story);
}

/* Where nothing has run yet the engine may go another way, with the same chunks. */
static void test_another_block_where_none_ran(void **state)
{
    (void)state;
    struct story story;
    struct dsmr_block *block;
    accept_and_die(&story, &block);
    await_ready(&story, 0);
    go_on(&story, 0, FIRST);
    assert_int_equal(story.tip->height, block->height);
    assert_false(dsmr_id_equal(&story.tip->id, &block->id));
    assert_int_equal(story.tip->certs_count, block->certs_count);
    assert_true(dsmr_world_run(story.world, has_run_all, &story, MINUTE_MS));
    dsmr_block_unref(block);
    other_engine_crash(story.engine, 0);
    other_engine_restart(story.engine, 0);
    submit(&story, 0, 1);
    run_all(&story, 0, FIRST);
    end(&story);
}

/* The same on a network whose producer does not come back: the certificate, which stands in no
 * other place than the block that was replaced, is not lost. */
static void test_certificate_of_a_replaced_block(void **state)
{
    (void)state;
    struct story story;
    begin_epoch(&story, 4, 4);
    submit(&story, 0, 1);
    await_ready(&story, 1);
    struct dsmr_block *block = build(&story, 1, story.tip, FIRST);
    for (uint32_t node = 1; node < 4; node++) {
        dsmr_world_hold_execution(story.world, node, true);
        assert_int_equal(other_engine_verify(story.engine, node, block, FIRST), DSMR_OK);
        assert_int_equal(other_engine_accept(story.engine, node, block), DSMR_OK);
    }
    for (uint32_t node = 0; node < 4; node++)
        other_engine_crash(story.engine, node);
    for (uint32_t node = 1; node < 4; node++) {
        other_engine_set_tip(story.engine, node, story.tip->height, &story.tip->id);
        other_engine_restart(story.engine, node);
    }
    dsmr_world_pass(story.world, 100);
    await_ready(&story, 2);
    go_on(&story, 2, FIRST);
    assert_int_equal(story.tip->height, block->height);
    assert_int_equal(story.tip->certs_count, 1);
    assert_true(dsmr_world_run(story.world, has_run_all, &story, MINUTE_MS));
    dsmr_block_unref(block);
    end(&story);
}

/* An engine that stands where our disk has no such block: the node does not start. */
static void test_tip_that_is_not_here(void **state)
{
    (void)state;
    struct story story;
    begin_epoch(&story, 4, 4);
    struct dsmr_id id = story.tip->id;
    uint64_t height = story.tip->height;
    other_engine_crash(story.engine, 0);
    other_engine_set_tip(story.engine, 0, height + 1, &id);
    assert_int_equal(other_engine_try_recover(story.engine, 0), DSMR_ERR_CORRUPT);
    other_engine_set_tip(story.engine, 0, 0, &id);
    assert_int_equal(other_engine_try_recover(story.engine, 0), DSMR_ERR_CORRUPT);
    id.bytes[0] ^= 1;
    other_engine_set_tip(story.engine, 0, height, &id);
    assert_int_equal(other_engine_try_recover(story.engine, 0), DSMR_ERR_CORRUPT);
    other_engine_set_tip(story.engine, 0, height, &story.tip->id);
    assert_int_equal(other_engine_try_recover(story.engine, 0), DSMR_OK);
    other_engine_set_tip(story.engine, 0, 0, &other_engine_genesis(story.engine)->id);
    assert_int_equal(other_engine_try_recover(story.engine, 0), DSMR_OK);
    end(&story);
}

/* While the engine catches up the node follows, but neither signs nor builds. */
static void test_bootstrapping(void **state)
{
    (void)state;
    struct story story;
    begin_epoch(&story, 4, 4);
    other_engine_set_bootstrapping(story.engine, 0, true);
    submit(&story, 1, 2);
    await_ready(&story, 1);
    assert_false(other_engine_is_ready(story.engine, 0));
    assert_int_equal(other_engine_build(story.engine, 0, story.tip, FIRST, NULL), DSMR_ERR_BEHIND);
    run_all(&story, 1, FIRST);
    assert_int_equal(metric(&story, 0, DSMR_METRIC_CHUNKS_SHARED), 0);
    other_engine_set_bootstrapping(story.engine, 0, false);
    submit(&story, 0, 1);
    submit(&story, 1, 1);
    run_all(&story, 0, FIRST);
    assert_true(metric(&story, 0, DSMR_METRIC_CHUNKS_SHARED) > 0);
    end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_block_has_no_context),
        cmocka_unit_test(test_set_comes_late),
        cmocka_unit_test(test_ready_without_a_set),
        cmocka_unit_test(test_verified_again_with_another_context),
        cmocka_unit_test(test_siblings_and_rejected_branch),
        cmocka_unit_test(test_set_changes),
        cmocka_unit_test(test_old_peers_are_forgotten),
        cmocka_unit_test(test_own_chunk_waits_for_its_set),
        cmocka_unit_test(test_restart_four_blocks_back),
        cmocka_unit_test(test_another_block_where_one_ran),
        cmocka_unit_test(test_halt_leaves_questions_open),
        cmocka_unit_test(test_accepted_again_from_disk),
        cmocka_unit_test(test_another_block_where_none_ran),
        cmocka_unit_test(test_certificate_of_a_replaced_block),
        cmocka_unit_test(test_tip_that_is_not_here),
        cmocka_unit_test(test_bootstrapping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
