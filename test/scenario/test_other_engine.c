/* Whole nodes - driver, core, application - under an engine that behaves as AvalancheGo does.
 * Scenarios: the engine port takes such an engine unchanged (protocol.md, sections 3, 9, 12, 14).
 * The world checks equal roots, and that nothing runs twice, at every executed block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lib/engine_story.h"

/* Block 1 has no context and may be built by all at once: it is empty, one of them is accepted, and
 * until a block has an epoch nothing is signed. Above it a block without a context must wait. */
static void test_first_block_has_no_context(void **state)
{
    (void)state;
    struct engine_story story;
    story_begin(&story, 4, 4);
    story_submit(&story, 0, 1);
    dsmr_world_pass(story.world, 500);
    assert_int_equal(story_metric(&story, 0, DSMR_METRIC_CHUNKS_BUILT), 0);
    struct dsmr_block *siblings[2];
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(other_engine_is_ready(story.engine, i)); /* at once: section 8 */
        siblings[i] = story_build(&story, i, story.tip, NONE);
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
    story_set_tip(&story, siblings[1]);
    assert_int_equal(other_engine_build(story.engine, 0, story.tip, NONE, NULL), DSMR_ERR_NOT_YET);
    other_engine_bring_all(story.engine, FIRST);
    story_go_on(&story, 2, FIRST);
    assert_int_equal(story.tip->certs_count, 0);
    story_run_all(&story, 0, FIRST);
    story_end(&story);
}

/* A set that is not there yet: not yet, never wrong. The driver asks again when it is told, and
 * after a while when it is not; who is served follows from the sets. */
static void test_set_comes_late(void **state)
{
    (void)state;
    struct engine_story story;
    story_begin(&story, 4, 4);
    story_go_on(&story, 0, NONE);
    assert_int_equal(other_engine_build(story.engine, 0, story.tip, FIRST, NULL), DSMR_ERR_NOT_YET);
    assert_false(other_engine_serves(story.engine, 0, 1));
    other_engine_bring(story.engine, 0, FIRST, true);
    assert_true(other_engine_serves(story.engine, 0, 1));
    struct dsmr_block *block = story_build(&story, 0, story.tip, FIRST);
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
    story_set_tip(&story, block);
    story_submit(&story, 3, 3);
    story_run_all(&story, 1, FIRST);
    dsmr_world_pass(story.world, 5 * MINUTE_MS); /* nothing is asked for any more */
    for (uint32_t node = 0; node < 4; node++)
        assert_true(dsmr_driver_deadline_ms(dsmr_world_driver(story.world, node)) == UINT64_MAX);
    story_end(&story);
}

/* A build whose set is missing is refused while the node stays ready, and nothing is told when the
 * set has come: an adapter asks again after a while. */
static void test_ready_without_a_set(void **state)
{
    (void)state;
    struct engine_story story;
    story_begin(&story, 4, 4);
    story_go_on(&story, 0, NONE);
    story_submit(&story, 0, 1);
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
    story_go_on(&story, 0, FIRST);
    story_run_all(&story, 0, FIRST);
    story_end(&story);
}

/* The same block with several contexts, in both orders; only its own one is right, and neither
 * answer is remembered for the other. */
static void test_verified_again_with_another_context(void **state)
{
    (void)state;
    struct engine_story story;
    story_begin_epoch(&story, 4, 4);
    other_engine_add_epoch(story.engine, SECOND, 0, 4);
    other_engine_bring_all(story.engine, SECOND);
    story_submit(&story, 0, 2);
    story_await_ready(&story, 1);
    struct dsmr_block *block = story_build(&story, 1, story.tip, FIRST);
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
    story_set_tip(&story, block);
    story_run_all(&story, 0, FIRST);
    story_end(&story);
}

/* Two branches of two blocks. The branch that most had built on loses; what only it had returns to
 * its place and comes in the next block; everything runs once. */
static void test_siblings_and_rejected_branch(void **state)
{
    (void)state;
    struct engine_story story;
    struct dsmr_block *lost[2], *won[2];
    story_begin_epoch(&story, 4, 4);
    story_submit(&story, 0, 3);
    story_await_ready(&story, 0);
    story_await_ready(&story, 1);
    lost[0] = story_build(&story, 0, story.tip, FIRST);
    dsmr_world_pass(story.world, 5);
    won[0] = story_build(&story, 1, story.tip, FIRST);
    for (uint32_t node = 0; node < 4; node++) {
        assert_int_equal(other_engine_verify(story.engine, node, lost[0], FIRST), DSMR_OK);
        assert_int_equal(other_engine_verify(story.engine, node, won[0], FIRST), DSMR_OK);
        other_engine_prefer(story.engine, node, lost[0]);
    }
    assert_true(lost[0]->certs_count > 0);
    assert_int_equal(won[0]->certs_count, lost[0]->certs_count);
    story_submit(&story, 2, 3);
    story_await_ready(&story, 0); /* on the branch that it prefers */
    lost[1] = story_build(&story, 0, lost[0], FIRST);
    assert_true(lost[1]->certs_count > 0);
    for (uint32_t node = 0; node < 4; node++)
        assert_int_equal(other_engine_verify(story.engine, node, lost[1], FIRST), DSMR_OK);
    for (uint32_t node = 0; node < 4; node++) {
        assert_int_equal(other_engine_accept(story.engine, node, won[0]), DSMR_OK);
        other_engine_reject(story.engine, node, lost[0]);
        other_engine_reject(story.engine, node, lost[1]);
        other_engine_prefer(story.engine, node, won[0]);
    }
    story_set_tip(&story, won[0]);
    story_await_ready(&story, 3);
    won[1] = story_build(&story, 3, won[0], FIRST);
    assert_int_equal(won[1]->certs_count, lost[1]->certs_count);
    other_engine_feed_all(story.engine, won[1]);
    story_set_tip(&story, won[1]);
    story_run_all(&story, 0, FIRST);
    dsmr_block_unref(lost[0]);
    dsmr_block_unref(lost[1]);
    story_end(&story);
}

/* The set changes: node 4 comes and node 0 goes. Both are served while they matter. */
static void test_set_changes(void **state)
{
    (void)state;
    struct engine_story story;
    story_begin_epoch(&story, 5, 4);
    story_submit(&story, 0, 2);
    story_await_ready(&story, 0);
    story_go_on(&story, 0, FIRST);
    dsmr_world_pass(story.world, 200);
    assert_false(story_status(&story, 4).is_unserved); /* not all were asked yet */
    dsmr_world_pass(story.world, 10000);
    assert_false(other_engine_serves(story.engine, 0, 4)); /* no validator: no service */
    assert_int_equal(story_status(&story, 0).executed_height, 3);
    assert_int_equal(story_status(&story, 4).height, 3); /* the engine has told it */
    assert_int_equal(story_status(&story, 4).executed_height, 2);
    assert_true(story_status(&story, 4).is_unserved && !story_status(&story, 4).is_ready);
    assert_int_equal(story_metric(&story, 4, DSMR_METRIC_UNSERVED), 1);
    assert_int_equal(dsmr_world_log_lines(story.world, 4, DSMR_LOG_WARN), 1);
    assert_non_null(
        strstr(dsmr_world_log_last(story.world, 4), "accepts blocks and executes none"));
    other_engine_add_epoch(story.engine, SECOND, 1, 4);
    other_engine_bring_all(story.engine, SECOND);
    assert_true(other_engine_serves(story.engine, 0, 4)); /* before its turn */
    story_submit(&story, 1, 2);
    story_await_ready(&story, 1);
    story_go_on(&story, 1, SECOND);
    assert_int_equal(story.tip->past_epochs_count, 1);
    story_run_all(&story, 2, SECOND);
    assert_true(!story_status(&story, 4).is_unserved && story_status(&story, 4).is_ready);
    assert_int_equal(story_metric(&story, 4, DSMR_METRIC_UNSERVED), 0);
    for (uint32_t node = 0; node < 5; node++)
        assert_int_equal(dsmr_world_log_lines(story.world, node, DSMR_LOG_WARN), node == 4);
    story_submit(&story, 4, 2);
    story_run_all(&story, 4, SECOND);
    assert_true(story_metric(&story, 4, DSMR_METRIC_CHUNKS_BUILT) > 0);
    assert_true(other_engine_serves(story.engine, 1, 0));
    other_engine_crash(story.engine, 0);
    dsmr_world_pass(story.world, MINUTE_MS); /* longer than a chunk lives */
    story_submit(&story, 3, 1);
    story_run_all(&story, 3, SECOND);
    assert_int_equal(story.tip->past_epochs_count, 0);
    assert_false(other_engine_serves(story.engine, 1, 0));
    story_end(&story);
}

static void take_again(struct engine_story *story, uint32_t node, struct dsmr_block *block)
{
    for (uint32_t i = 0; i < 1000; i++) {
        if (other_engine_verify(story->engine, node, block, block->epoch) == DSMR_OK)
            break;
        dsmr_world_pass(story->world, 20);
    }
    assert_int_equal(other_engine_accept(story->engine, node, block), DSMR_OK);
}

/* A validator of today is served the chunks of a time when it was none, though it cannot know yet
 * that it will be one: it does not say that nobody serves it. */
static void test_a_late_validator_is_served(void **state)
{
    (void)state;
    struct engine_story story;
    story_begin_epoch(&story, 5, 4);
    story_submit(&story, 0, 1); /* which leaves the set: more would have to wait for a slot */
    story_await_ready(&story, 0);
    story_go_on(&story, 0, FIRST);
    other_engine_add_epoch(story.engine, SECOND, 1, 4);
    other_engine_bring_all(story.engine, SECOND);
    story_submit(&story, 1, 2);
    story_await_ready(&story, 1);
    story_go_on(&story, 1, SECOND);
    story_run_all(&story, 2, SECOND);
    other_engine_crash(story.engine, 4);
    dsmr_world_wipe(story.world, 4);
    other_engine_set_tip(story.engine, 4, 0, &story.chain[0]->id);
    other_engine_take(story.engine, 4, SECOND);
    other_engine_restart(story.engine, 4);
    other_engine_set_bootstrapping(story.engine, 4, true);
    for (uint64_t height = 1; height <= 3; height++)
        take_again(&story, 4, story.chain[height]);
    for (uint32_t i = 0; i < 500 && story_status(&story, 4).executed_height < 3; i++) {
        assert_false(story_status(&story, 4).is_unserved);
        dsmr_world_pass(story.world, 10);
    }
    assert_int_equal(story_status(&story, 4).executed_height, 3);
    other_engine_bring(story.engine, 4, SECOND, true);
    for (uint64_t height = 4; height <= story.tip->height; height++)
        take_again(&story, 4, story.chain[height]);
    other_engine_set_bootstrapping(story.engine, 4, false);
    assert_true(dsmr_world_run(story.world, story_has_run_all, &story, MINUTE_MS));
    story_end(&story);
}

/* Whoever was a validator in some epoch and is one no more takes no place from those who come. */
static void test_old_peers_are_forgotten(void **state)
{
    (void)state;
    struct engine_story story;
    story_begin_epoch(&story, 5, 4);
    const struct dsmr_net_handler *net = dsmr_driver_net_handler();
    struct dsmr_driver *driver = dsmr_world_driver(story.world, 1);
    for (uint32_t i = 0; i < DSMR_VALIDATORS_MAX + 64u; i++) {
        struct dsmr_node_id id = {{0xee}};
        dsmr_store_be32(id.bytes + 1, i);
        net->peer(driver, &id, true);
        net->peer(driver, &id, false);
    }
    dsmr_world_pass(story.world, 100);
    assert_int_equal(story_metric(&story, 1, DSMR_METRIC_PEERS), 3);
    other_engine_add_epoch(story.engine, SECOND, 1, 4);
    other_engine_bring_all(story.engine, SECOND);
    dsmr_world_pass(story.world, 100);
    assert_int_equal(story_metric(&story, 1, DSMR_METRIC_PEERS), 4); /* node 4 was known before */
    struct dsmr_node_id id = {{0xef}};
    for (uint32_t i = 0; i < 3; i++) {
        net->peer(driver, &id, i % 2 == 0);
        dsmr_driver_tick(driver);
        assert_int_equal(story_metric(&story, 1, DSMR_METRIC_PEERS), 5 - i % 2);
    }
    story_end(&story);
}

/* 5.4, with a set that comes only after the start: the same bytes are sent again. */
static void test_own_chunk_waits_for_its_set(void **state)
{
    (void)state;
    struct engine_story story;
    story_begin_epoch(&story, 4, 4);
    for (uint32_t i = 1; i < 4; i++)
        dsmr_world_link(story.world, 0, i, false);
    story_submit(&story, 0, 1);
    dsmr_world_pass(story.world, 300);
    assert_int_equal(story_metric(&story, 0, DSMR_METRIC_CHUNKS_BUILT), 1);
    other_engine_crash(story.engine, 0);
    other_engine_take(story.engine, 0, FIRST);
    other_engine_restart(story.engine, 0);
    dsmr_world_pass(story.world, 500);
    assert_int_equal(story_metric(&story, 0, DSMR_METRIC_CERTS_FORMED), 0);
    other_engine_bring(story.engine, 0, FIRST, true);
    story_run_all(&story, 1, FIRST);
    assert_int_equal(story_metric(&story, 0, DSMR_METRIC_CHUNKS_BUILT), 1);
    assert_int_equal(story_metric(&story, 0, DSMR_METRIC_CERTS_FORMED), 1);
    story_end(&story);
}

/* The engine's pointer is four blocks behind ours: they are not accepted until they are accepted
 * again, and do not run again. */
static void test_restart_four_blocks_back(void **state)
{
    (void)state;
    struct engine_story story;
    story_begin_epoch(&story, 4, 4);
    for (uint32_t i = 0; i < 5; i++) {
        story_submit(&story, i % 4, 2);
        story_run_all(&story, 1, FIRST);
    }
    uint64_t height = story.tip->height;
    uint64_t ran = story_metric(&story, 0, DSMR_METRIC_TXS_EXECUTED);
    other_engine_crash(story.engine, 0);
    other_engine_set_tip(story.engine, 0, height - 4, &story.chain[height - 4]->id);
    other_engine_restart(story.engine, 0);
    assert_int_equal(story_status(&story, 0).height, height - 4);
    assert_int_equal(story_status(&story, 0).executed_height, height);
    dsmr_world_pass(story.world, 1000);
    for (uint64_t at = height - 3; at <= height; at++)
        other_engine_feed(story.engine, 0, story.chain[at]);
    assert_int_equal(story_status(&story, 0).height, height);
    story_submit(&story, 0, 2); /* it signs and produces as before */
    story_run_all(&story, 0, FIRST);
    assert_int_equal(story_metric(&story, 0, DSMR_METRIC_TXS_EXECUTED), ran + 2);
    story_end(&story);
}

/* What an operator sees of a halt: the same sentence in /health, of which the status is the source,
 * and in the log. */
static void expect_halted(struct engine_story *story, uint32_t node, enum dsmr_err err)
{
    const char *reason = NULL;
    struct dsmr_query_status status = story_status(story, node);
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
    struct engine_story story;
    story_begin_epoch(&story, 4, 4);
    struct dsmr_block *parent = story.tip;
    story_submit(&story, 1, 1);
    story_await_ready(&story, 1);
    dsmr_world_pass(story.world, 50);
    struct dsmr_block *other = story_build(&story, 2, parent, FIRST);
    dsmr_world_pass(story.world, 5);
    story_go_on(&story, 1, FIRST);
    story_run_all(&story, 1, FIRST);
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
    story_end(&story);
}

/* What was asked before it halted is not answered either: a disk breaks under an accept. */
static void test_halt_leaves_questions_open(void **state)
{
    (void)state;
    struct engine_story story;
    story_begin_epoch(&story, 4, 4);
    story_submit(&story, 1, 1);
    story_await_ready(&story, 1);
    dsmr_world_pass(story.world, 50);
    struct dsmr_block *parent = story.tip;
    struct dsmr_block *block = story_build(&story, 1, parent, FIRST);
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
    story_end(&story);
}

/* Accepted and durable, but neither run nor known to the engine when the node dies. A validator
 * alone has nobody to fetch from: its own disk must do. */
static void accept_and_die(struct engine_story *story, struct dsmr_block **block)
{
    story_begin_epoch(story, 1, 1);
    story_submit(story, 0, 1);
    story_await_ready(story, 0);
    *block = story_build(story, 0, story->tip, FIRST);
    assert_int_equal(other_engine_verify(story->engine, 0, *block, FIRST), DSMR_OK);
    assert_int_equal(other_engine_accept(story->engine, 0, *block), DSMR_OK);
    assert_int_equal(story_status(story, 0).executed_height, story->tip->height);
    other_engine_crash(story->engine, 0);
    other_engine_set_tip(story->engine, 0, story->tip->height, &story->tip->id);
    other_engine_restart(story->engine, 0);
    assert_int_equal(story_status(story, 0).height, story->tip->height);
    dsmr_world_pass(story->world, 1000);
    assert_int_equal(dsmr_world_executed(story->world), 0); /* not before it is accepted again */
}

static void test_accepted_again_from_disk(void **state)
{
    (void)state;
    struct engine_story story;
    struct dsmr_block *block;
    accept_and_die(&story, &block);
    other_engine_feed(story.engine, 0, block);
    story_set_tip(&story, block);
    assert_true(dsmr_world_run(story.world, story_has_run_all, &story, MINUTE_MS));
    story_end(&story);
}

/* Where nothing has run yet the engine may go another way, with the same chunks. */
static void test_another_block_where_none_ran(void **state)
{
    (void)state;
    struct engine_story story;
    struct dsmr_block *block;
    accept_and_die(&story, &block);
    story_await_ready(&story, 0);
    story_go_on(&story, 0, FIRST);
    assert_int_equal(story.tip->height, block->height);
    assert_false(dsmr_id_equal(&story.tip->id, &block->id));
    assert_int_equal(story.tip->certs_count, block->certs_count);
    assert_true(dsmr_world_run(story.world, story_has_run_all, &story, MINUTE_MS));
    dsmr_block_unref(block);
    other_engine_crash(story.engine, 0);
    other_engine_restart(story.engine, 0);
    story_submit(&story, 0, 1);
    story_run_all(&story, 0, FIRST);
    story_end(&story);
}

/* The same on a network whose producer does not come back: the certificate, which stands in no
 * other place than the block that was replaced, is not lost. */
static void test_certificate_of_a_replaced_block(void **state)
{
    (void)state;
    struct engine_story story;
    story_begin_epoch(&story, 4, 4);
    story_submit(&story, 0, 1);
    story_await_ready(&story, 1);
    struct dsmr_block *block = story_build(&story, 1, story.tip, FIRST);
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
    story_await_ready(&story, 2);
    story_go_on(&story, 2, FIRST);
    assert_int_equal(story.tip->height, block->height);
    assert_int_equal(story.tip->certs_count, 1);
    assert_true(dsmr_world_run(story.world, story_has_run_all, &story, MINUTE_MS));
    dsmr_block_unref(block);
    story_end(&story);
}

/* An engine that stands where our disk has no such block: the node does not start. */
static void test_tip_that_is_not_here(void **state)
{
    (void)state;
    struct engine_story story;
    story_begin_epoch(&story, 4, 4);
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
    story_end(&story);
}

/* While the engine catches up the node follows, but neither signs nor builds. */
static void test_bootstrapping(void **state)
{
    (void)state;
    struct engine_story story;
    story_begin_epoch(&story, 4, 4);
    other_engine_set_bootstrapping(story.engine, 0, true);
    story_submit(&story, 1, 2);
    story_await_ready(&story, 1);
    assert_false(other_engine_is_ready(story.engine, 0));
    assert_int_equal(other_engine_build(story.engine, 0, story.tip, FIRST, NULL), DSMR_ERR_BEHIND);
    story_run_all(&story, 1, FIRST);
    assert_int_equal(story_metric(&story, 0, DSMR_METRIC_CHUNKS_SHARED), 0);
    other_engine_set_bootstrapping(story.engine, 0, false);
    story_submit(&story, 0, 1);
    story_submit(&story, 1, 1);
    story_run_all(&story, 0, FIRST);
    assert_true(story_metric(&story, 0, DSMR_METRIC_CHUNKS_SHARED) > 0);
    story_end(&story);
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
        cmocka_unit_test(test_a_late_validator_is_served),
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
