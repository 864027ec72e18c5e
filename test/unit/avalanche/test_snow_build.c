/* test_snow_build.c - when AvalancheGo is told to build, and what it gets. */
#include "unit/avalanche/snow_rig.h"

static void test_events_and_builds(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    wait_for_event(&rig);
    assert_int_equal(rig.ended, 0);
    rig.port.ops->ready(rig.port.self, true);
    ended(&rig, 1);
    Dsmr__Pb__WaitForEventResponse *event =
        dsmr__pb__wait_for_event_response__unpack(NULL, rig.answer->len, rig.answer->bytes);
    assert_int_equal(event->message, DSMR__PB__MESSAGE__MESSAGE_BUILD_BLOCK);
    dsmr__pb__wait_for_event_response__free_unpacked(event, NULL);
    build(&rig, 5);
    assert_int_equal(asked.what, BUILD);
    assert_memory_equal(asked.id.bytes, rig.chain[0]->id.bytes, 32);
    assert_int_equal(asked.context, 5);
    rig.port.ops->built(rig.port.self, asked.request_id, DSMR_OK, rig.chain[1]);
    ended(&rig, 2);
    Dsmr__Pb__BuildBlockResponse *built =
        dsmr__pb__build_block_response__unpack(NULL, rig.answer->len, rig.answer->bytes);
    assert_int_equal(built->height, 1);
    assert_true(built->verify_with_context);
    assert_non_null(built->timestamp);
    assert_memory_equal(built->id.data, rig.chain[1]->id.bytes, 32);
    dsmr__pb__build_block_response__free_unpacked(built, NULL);
    assert_true(gets(&rig, &rig.chain[1]->id));
    /* On the new block, once it is preferred. */
    Dsmr__Pb__SetPreferenceRequest prefer = DSMR__PB__SET_PREFERENCE_REQUEST__INIT;
    DSMR_PB_BYTES(&prefer, id, rig.chain[1]->id.bytes, 32);
    hand(&rig, dsmr_snow_engine_prefer, &prefer.base);
    ended(&rig, 4);
    assert_int_equal(asked.what, PREFER);
    build(&rig, DSMR_EPOCH_NONE);
    assert_memory_equal(asked.id.bytes, rig.chain[1]->id.bytes, 32);
    assert_int_equal(asked.context, DSMR_EPOCH_NONE);
    close_rig(&rig);
}

/* AvalancheGo asks again at once after a build that failed: the event is held back, longer each
 * time, until another block is preferred or a build succeeds. */
static void test_builds_that_fail_hold_the_event(void **state)
{
    struct rig rig;
    uint64_t pause_ms = 0;
    (void)state;
    open_rig(&rig, 0, 0);
    rig.port.ops->ready(rig.port.self, true);
    size_t done = 0;
    for (int i = 0; i < 8; i++) {
        build(&rig, 1);
        rig.port.ops->built(rig.port.self, asked.request_id, DSMR_ERR_NOT_YET, NULL);
        ended(&rig, ++done);
        wait_for_event(&rig);
        assert_int_equal(rig.ended, done);
        uint64_t due_ms = dsmr_snow_engine_deadline_ms(rig.engine);
        assert_true(due_ms - rig.fake->now_ms >= pause_ms);
        pause_ms = due_ms - rig.fake->now_ms;
        rig.fake->now_ms = due_ms;
        dsmr_snow_engine_tick(rig.engine);
        ended(&rig, ++done);
    }
    assert_int_equal(pause_ms, 1000);
    build(&rig, 1);
    rig.port.ops->built(rig.port.self, asked.request_id, DSMR_OK, rig.chain[1]);
    ended(&rig, ++done);
    wait_for_event(&rig);
    ended(&rig, ++done); /* at once */
    close_rig(&rig);
}

static void test_cancelled_waits(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    struct dsmr_grpc_call *calls[6];
    for (int i = 0; i < 6; i++) { /* more than are kept: the oldest end */
        calls[i] = begin(&rig);
        dsmr_snow_engine_wait_for_event(rig.engine, calls[i]);
    }
    ended(&rig, 2);
    dsmr_snow_engine_cancelled(rig.engine, dsmr_grpc_server_serial(calls[4]));
    ended(&rig, 3);
    dsmr_snow_engine_cancelled(rig.engine, 1u << 30); /* one that has ended meanwhile */
    rig.port.ops->ready(rig.port.self, true);
    ended(&rig, 6);
    close_rig(&rig);
}

/* Where nobody validates the subnet yet, the first block is not built. */
static void test_the_first_block_waits_for_validators(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    rig.has_no_validators = true;
    rig.port.ops->ready(rig.port.self, true);
    assert_int_equal(rig.begin_asked, 0); /* AvalancheGo has not asked either */
    wait_for_event(&rig);
    for (uint32_t i = 1; i < 8; i++) {
        assert_int_equal(rig.begin_asked, i);
        assert_int_equal(rig.ended, 0);
        uint64_t due_ms = dsmr_snow_engine_deadline_ms(rig.engine);
        assert_true(due_ms > rig.fake->now_ms && due_ms <= rig.fake->now_ms + 1000);
        rig.fake->now_ms = due_ms;
        dsmr_snow_engine_tick(rig.engine);
    }
    rig.has_no_validators = false;
    rig.fake->now_ms = dsmr_snow_engine_deadline_ms(rig.engine);
    dsmr_snow_engine_tick(rig.engine);
    ended(&rig, 1);
    close_rig(&rig);
}

/* Later ones are not asked for: their epoch has a set, or they wait for it. */
static void test_later_blocks_do_not(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 1, 1);
    rig.has_no_validators = true;
    rig.port.ops->ready(rig.port.self, true);
    wait_for_event(&rig);
    ended(&rig, 1);
    assert_int_equal(rig.begin_asked, 0);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_and_builds),
        cmocka_unit_test(test_builds_that_fail_hold_the_event),
        cmocka_unit_test(test_cancelled_waits),
        cmocka_unit_test(test_the_first_block_waits_for_validators),
        cmocka_unit_test(test_later_blocks_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
