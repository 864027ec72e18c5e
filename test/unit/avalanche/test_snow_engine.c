/* test_snow_engine.c - what AvalancheGo decides, states, the pointer, the end. */
#include "unit/avalanche/snow_rig.h"

static void test_initialize_and_states(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 5, 3); /* the store is ahead */
    dsmr_snow_engine_answer_initialize(rig.engine, begin(&rig));
    ended(&rig, 1);
    Dsmr__Pb__InitializeResponse *response =
        dsmr__pb__initialize_response__unpack(NULL, rig.answer->len, rig.answer->bytes);
    assert_int_equal(response->height, 3);
    assert_memory_equal(response->last_accepted_id.data, rig.chain[3]->id.bytes, 32);
    assert_memory_equal(response->last_accepted_parent_id.data, rig.chain[2]->id.bytes, 32);
    assert_int_equal(response->timestamp->seconds, rig.chain[3]->time_ms / 1000);
    assert_int_equal(response->timestamp->nanos, rig.chain[3]->time_ms % 1000 * 1000000);
    dsmr__pb__initialize_response__free_unpacked(response, NULL);
    Dsmr__Pb__SetStateRequest message = DSMR__PB__SET_STATE_REQUEST__INIT;
    DSMR_PB_SET(&message, state, DSMR__PB__STATE__STATE_BOOTSTRAPPING);
    hand(&rig, dsmr_snow_engine_set_state, &message.base);
    ended(&rig, 2);
    assert_int_equal(asked.what, BOOTSTRAPPING);
    assert_true(asked.flag);
    message.state = DSMR__PB__STATE__STATE_NORMAL_OP;
    hand(&rig, dsmr_snow_engine_set_state, &message.base);
    ended(&rig, 3);
    assert_false(asked.flag);
    close_rig(&rig);
}

static void test_verify_accept_and_the_pointer(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    verify(&rig, rig.chain[1], 77);
    assert_int_equal(asked.what, VERIFY);
    assert_int_equal(asked.context, 77);
    assert_int_equal(rig.ended, 0); /* the driver thinks */
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_OK);
    ended(&rig, 1);
    assert_int_equal(rig.err, DSMR_OK);
    assert_true(gets(&rig, &rig.chain[1]->id));
    verify(&rig, rig.chain[1], DSMR_EPOCH_NONE); /* once more, with another context */
    assert_int_equal(asked.context, DSMR_EPOCH_NONE);
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_OK);
    ended(&rig, 3);
    accept(&rig, rig.chain[1]);
    assert_int_equal(asked.what, ACCEPT);
    assert_int_equal(fake_unread(rig.fake), 0); /* the pointer waits for the node's own disk */
    rig.port.ops->accepted(rig.port.self, asked.request_id, DSMR_OK);
    const struct fake_call *put = fake_next_call(rig.fake);
    assert_string_equal(put->method, "/rpcdb.Database/Put");
    Dsmr__Pb__PutRequest *message =
        dsmr__pb__put_request__unpack(NULL, put->bytes->len, put->bytes->bytes);
    assert_int_equal(message->value.len, 40);
    assert_int_equal(dsmr_load_be64(message->value.data), 1);
    assert_memory_equal(message->value.data + 8, rig.chain[1]->id.bytes, 32);
    dsmr__pb__put_request__free_unpacked(message, NULL);
    ended(&rig, 4);
    assert_int_equal(rig.err, DSMR_OK);
    assert_true(gets(&rig, &rig.chain[1]->id));
    close_rig(&rig);
}

static void test_a_pointer_that_is_not_written_fails_the_accept(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    verify(&rig, rig.chain[1], 1);
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_OK);
    ended(&rig, 1);
    rig.fake->failure = "closed";
    accept(&rig, rig.chain[1]);
    rig.port.ops->accepted(rig.port.self, asked.request_id, DSMR_OK);
    ended(&rig, 2);
    assert_int_equal(rig.err, DSMR_ERR_MALFORMED);
    close_rig(&rig);
}

static void test_accept_of_what_was_not_verified(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    accept(&rig, rig.chain[1]);
    ended(&rig, 1);
    assert_int_equal(rig.err, DSMR_ERR_MALFORMED);
    assert_int_equal(asked.count, 0);
    verify(&rig, rig.chain[1], 1);
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_ERR_BAD_HEIGHT);
    ended(&rig, 2);
    assert_int_equal(rig.err, DSMR_ERR_MALFORMED);
    assert_false(gets(&rig, &rig.chain[1]->id));
    close_rig(&rig);
}

/* Verdicts that wait for something are asked for again; others are final. */
static void test_verdicts_for_later(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    verify(&rig, rig.chain[1], 9);
    uint64_t start_ms = rig.fake->now_ms;
    uint32_t tries = 1;
    while (rig.fake->now_ms < start_ms + DSMR_SNOW_ENGINE_WAIT_MS) {
        rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_ERR_EPOCH_UNKNOWN);
        assert_int_equal(rig.ended, 0);
        uint64_t due_ms = dsmr_snow_engine_deadline_ms(rig.engine);
        assert_true(due_ms > rig.fake->now_ms && due_ms != UINT64_MAX);
        rig.fake->now_ms = due_ms;
        dsmr_snow_engine_tick(rig.engine);
        assert_int_equal(asked.count, ++tries);
    }
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_ERR_EPOCH_UNKNOWN);
    ended(&rig, 1);
    assert_int_equal(rig.err, DSMR_ERR_MALFORMED);
    assert_string_equal(rig.reason, dsmr_err_text(DSMR_ERR_EPOCH_UNKNOWN));
    verify(&rig, rig.chain[1], 9);
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_ERR_NOT_YET);
    rig.fake->now_ms = dsmr_snow_engine_deadline_ms(rig.engine);
    dsmr_snow_engine_tick(rig.engine);
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_OK);
    ended(&rig, 2);
    assert_int_equal(rig.err, DSMR_OK);
    close_rig(&rig);
}

/* A proposer sets the time of its block, and AvalancheGo's consensus stands still while we wait. */
static void test_no_wait_for_what_cannot_come(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    uint64_t reach_ms = rig.fake->now_ms + rig.params.clock_skew_ms + DSMR_SNOW_ENGINE_WAIT_MS;
    uint64_t far[] = {reach_ms + 1, UINT64_MAX};
    size_t done = 0;
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
        struct dsmr_block *block = make_block(&rig, rig.chain[0], far[i]);
        verify(&rig, block, 9);
        rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_ERR_NOT_YET);
        ended(&rig, ++done);
        assert_string_equal(rig.reason, dsmr_err_text(DSMR_ERR_NOT_YET));
        dsmr_block_unref(block);
    }
    verify(&rig, rig.chain[2], DSMR_EPOCH_NONE); /* above block 1 it never verifies without */
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_ERR_NOT_YET);
    ended(&rig, ++done);
    struct dsmr_block *near = make_block(&rig, rig.chain[0], reach_ms);
    verify(&rig, near, 9);
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_ERR_NOT_YET);
    assert_int_not_equal(dsmr_snow_engine_deadline_ms(rig.engine), UINT64_MAX); /* asked again */
    rig.fake->now_ms = dsmr_snow_engine_deadline_ms(rig.engine);
    dsmr_snow_engine_tick(rig.engine);
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_OK);
    ended(&rig, ++done);
    assert_int_equal(rig.err, DSMR_OK);
    dsmr_block_unref(near);
    close_rig(&rig);
}

/* Where the core has no room for more and what it has is needed, only an accept makes some, and
 * AvalancheGo accepts nothing while it waits for us. */
static void test_no_wait_for_room(void **state)
{
    struct rig rig;
    Dsmr__Pb__SetPreferenceRequest prefer = DSMR__PB__SET_PREFERENCE_REQUEST__INIT;
    (void)state;
    open_rig(&rig, 0, 0);
    size_t done = 0;
    struct dsmr_block *tip = dsmr_block_ref(rig.chain[0]);
    for (uint64_t i = 0; i <= DSMR_PROCESSING_BLOCKS_MAX; i++) {
        struct dsmr_block *block = make_block(&rig, tip, rig.fake->now_ms);
        verify(&rig, block, 9);
        rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_ERR_BUSY);
        if (i < DSMR_PROCESSING_BLOCKS_MAX) { /* a late disk: asked again */
            assert_int_equal(rig.ended, done);
            rig.fake->now_ms = dsmr_snow_engine_deadline_ms(rig.engine);
            dsmr_snow_engine_tick(rig.engine);
            rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_OK);
        }
        ended(&rig, ++done);
        assert_int_equal(rig.err, i < DSMR_PROCESSING_BLOCKS_MAX ? DSMR_OK : DSMR_ERR_MALFORMED);
        if (i < DSMR_PROCESSING_BLOCKS_MAX) {
            DSMR_PB_BYTES(&prefer, id, block->id.bytes, 32);
            hand(&rig, dsmr_snow_engine_prefer, &prefer.base);
            ended(&rig, ++done);
        }
        dsmr_block_unref(tip);
        tip = block;
    }
    assert_string_equal(rig.reason, dsmr_err_text(DSMR_ERR_BUSY));
    assert_int_equal(asked.what, VERIFY); /* nothing was rejected for it */
    dsmr_block_unref(tip);
    close_rig(&rig);
}

/* A call for a block whose time lies so far ahead of this clock. If later_ms is not 0 it is asked
 * again so much later, and then it is good. */
static void verify_ahead(struct rig *rig, uint64_t by_ms, uint64_t later_ms)
{
    size_t before = rig->ended;
    struct dsmr_block *block = make_block(rig, rig->chain[0], rig->fake->now_ms + by_ms);
    verify(rig, block, 9);
    if (by_ms > 0)
        rig->port.ops->verdict(rig->port.self, asked.request_id, DSMR_ERR_NOT_YET);
    if (later_ms > 0) {
        assert_int_equal(rig->ended, before);
        rig->fake->now_ms += later_ms;
        dsmr_snow_engine_tick(rig->engine);
    } else { /* not asked again */
        assert_int_equal(dsmr_snow_engine_deadline_ms(rig->engine), UINT64_MAX);
    }
    if (by_ms == 0 || later_ms > 0)
        rig->port.ops->verdict(rig->port.self, asked.request_id, DSMR_OK);
    ended(rig, before + 1);
    assert_int_equal(rig->err, by_ms == 0 || later_ms > 0 ? DSMR_OK : DSMR_ERR_MALFORMED);
    dsmr_block_unref(block);
}

/* One block of the future may be its proposer's fault. If they all are, for seconds, the operator
 * hears of this node's clock, once a minute. */
static void test_a_clock_that_is_behind_is_said(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    uint64_t far_ms = rig.params.clock_skew_ms + DSMR_SNOW_ENGINE_WAIT_MS + 1234;
    verify_ahead(&rig, far_ms, 0);
    rig.fake->now_ms += 4999;
    verify_ahead(&rig, far_ms, 0);
    assert_int_equal(warned.count, 0);
    rig.fake->now_ms += 1;
    verify_ahead(&rig, far_ms, 0);
    assert_int_equal(warned.count, 1);
    assert_string_equal(warned.text, "for 5 s now the blocks of others lie ahead of this node's "
                                     "clock, the last one by 7234 ms, and 1000 are allowed: they "
                                     "wait or are refused. Is the clock behind?");
    rig.fake->now_ms += 59999;
    verify_ahead(&rig, far_ms, 0);
    assert_int_equal(warned.count, 1);
    rig.fake->now_ms += 1;
    verify_ahead(&rig, far_ms, 0);
    assert_int_equal(warned.count, 2);
    rig.fake->now_ms += 59999;
    verify_ahead(&rig, 0, 0); /* one that is not ahead: it was not the clock */
    rig.fake->now_ms += 1;
    verify_ahead(&rig, far_ms, 0);
    rig.fake->now_ms += 4999;
    verify_ahead(&rig, far_ms, 0);
    assert_int_equal(warned.count, 2);
    rig.fake->now_ms += 60000; /* an hour's odd block says nothing about the last one */
    verify_ahead(&rig, far_ms, 0);
    assert_int_equal(warned.count, 2);
    close_rig(&rig);
}

/* The block that was verified last is accepted. */
static void accept_last(struct rig *rig)
{
    size_t before = rig->ended;
    Dsmr__Pb__PutResponse put = DSMR__PB__PUT_RESPONSE__INIT;
    const struct dsmr_block named = {.id = asked.id};
    fake_answer(rig->fake, &put.base);
    accept(rig, &named);
    rig->port.ops->accepted(rig->port.self, asked.request_id, DSMR_OK);
    ended(rig, before + 1);
    assert_int_equal(rig->err, DSMR_OK);
}

/* A validator may propose any number of blocks that lie ahead, and AvalancheGo's consensus stands
 * still during each wait. Between an accept and the next they share the time of one. */
static void test_blocks_that_lie_ahead_share_one_wait(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    uint64_t skew_ms = rig.params.clock_skew_ms;
    for (int round = 0; round < 2; round++) {
        verify_ahead(&rig, skew_ms + 3000, 3000);
        rig.fake->now_ms += 100000; /* time in which nobody waits does not count */
        verify_ahead(&rig, skew_ms + 2001, 0);
        verify_ahead(&rig, skew_ms + 1500, 1500);
        verify_ahead(&rig, skew_ms + 500, 500);
        verify_ahead(&rig, skew_ms + 1, 0);
        verify_ahead(&rig, skew_ms, 100); /* that much is allowed: something else was missing */
        accept_last(&rig);
    }
    Dsmr__Pb__SetStateRequest bootstrapping = DSMR__PB__SET_STATE_REQUEST__INIT;
    DSMR_PB_SET(&bootstrapping, state, DSMR__PB__STATE__STATE_BOOTSTRAPPING);
    size_t before = rig.ended;
    hand(&rig, dsmr_snow_engine_set_state, &bootstrapping.base);
    ended(&rig, before + 1);
    for (int i = 0; i < 4; i++) /* there a refusal would end the chain */
        verify_ahead(&rig, skew_ms + 4000, 4000);
    close_rig(&rig);
}

/* A clock that is a little behind: nothing is refused, but each block waits. */
static void test_blocks_that_wait_for_the_clock_are_said(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    uint64_t by_ms = rig.params.clock_skew_ms + 2000;
    verify_ahead(&rig, by_ms, 2000);
    verify_ahead(&rig, by_ms, 2000);
    accept_last(&rig);
    verify_ahead(&rig, by_ms, 2000);
    assert_int_equal(warned.count, 0);
    verify_ahead(&rig, by_ms, 2000);
    assert_int_equal(warned.count, 1);
    close_rig(&rig);
    open_rig(&rig, 0, 0);
    verify_ahead(&rig, by_ms, by_ms); /* its time has come long since when it is good */
    accept_last(&rig);
    verify_ahead(&rig, by_ms, by_ms);
    assert_int_equal(warned.count, 0);
    accept_last(&rig);
    verify_ahead(&rig, by_ms, by_ms);
    assert_int_equal(warned.count, 1);
    close_rig(&rig);
    open_rig(&rig, 0, 0);
    for (int i = 0; i < 20; i++) { /* within the skew: that is allowed */
        verify_ahead(&rig, rig.params.clock_skew_ms, 1000);
    }
    assert_int_equal(warned.count, 0);
    close_rig(&rig);
}

static void test_rejected_and_outrun_blocks_go(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    struct dsmr_block *siblings[3];
    size_t done = 0;
    for (int i = 0; i < 3; i++) {
        siblings[i] = make_block(&rig, rig.chain[0], 2000000 + (uint64_t)i);
        verify(&rig, siblings[i], 1);
        rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_OK);
        ended(&rig, ++done);
    }
    Dsmr__Pb__BlockRejectRequest message = DSMR__PB__BLOCK_REJECT_REQUEST__INIT;
    DSMR_PB_BYTES(&message, id, siblings[0]->id.bytes, 32);
    hand(&rig, dsmr_snow_engine_reject, &message.base);
    ended(&rig, ++done);
    assert_int_equal(asked.what, REJECT);
    assert_false(gets(&rig, &siblings[0]->id));
    assert_true(gets(&rig, &siblings[2]->id));
    done += 2;
    accept(&rig, siblings[1]);
    rig.port.ops->accepted(rig.port.self, asked.request_id, DSMR_OK);
    ended(&rig, ++done);
    assert_false(
        gets(&rig, &siblings[2]->id)); /* nobody said so, but it lies at a decided height */
    assert_true(gets(&rig, &siblings[1]->id));
    for (int i = 0; i < 3; i++)
        dsmr_block_unref(siblings[i]);
    close_rig(&rig);
}

static void test_bytes_that_are_no_requests(void **state)
{
    struct rig rig;
    static const engine_fn fns[] = {
        dsmr_snow_engine_set_state,   dsmr_snow_engine_build,         dsmr_snow_engine_parse,
        dsmr_snow_engine_parse_batch, dsmr_snow_engine_get_block,     dsmr_snow_engine_get_id_at,
        dsmr_snow_engine_prefer,      dsmr_snow_engine_get_ancestors, dsmr_snow_engine_verify,
        dsmr_snow_engine_accept,      dsmr_snow_engine_reject};
    (void)state;
    open_rig(&rig, 0, 0);
    struct dsmr_buf *garbage = dsmr_buf_copy("\x0a\xff\xff\xff\xff\x7f", 6);
    for (size_t i = 0; i < sizeof fns / sizeof fns[0]; i++) {
        fns[i](rig.engine, begin(&rig), garbage);
        ended(&rig, i + 1);
        assert_int_equal(rig.err, DSMR_ERR_MALFORMED);
        assert_int_equal(counted(&rig, DSMR_ERR_MALFORMED), i + 1);
    }
    dsmr_buf_unref(garbage);
    Dsmr__Pb__BlockRejectRequest reject = DSMR__PB__BLOCK_REJECT_REQUEST__INIT;
    Dsmr__Pb__SetPreferenceRequest prefer = DSMR__PB__SET_PREFERENCE_REQUEST__INIT;
    DSMR_PB_BYTES(&reject, id, "short", 5);
    DSMR_PB_BYTES(&prefer, id, "short", 5);
    hand(&rig, dsmr_snow_engine_reject, &reject.base);
    ended(&rig, 12);
    hand(&rig, dsmr_snow_engine_prefer, &prefer.base);
    ended(&rig, 13);
    assert_int_equal(rig.err, DSMR_OK); /* an error would end the chain */
    assert_int_equal(counted(&rig, DSMR_ERR_MALFORMED), 13);
    assert_int_equal(asked.count, 0);
    close_rig(&rig);
}

static void test_closed(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    verify(&rig, rig.chain[1], 1);
    uint64_t request_id = asked.request_id;
    wait_for_event(&rig);
    dsmr_snow_engine_close(rig.engine, "halted: the disk");
    ended(&rig, 2);
    assert_int_equal(rig.err, DSMR_ERR_UNAVAILABLE);
    assert_string_equal(rig.reason, "halted: the disk");
    rig.port.ops->verdict(rig.port.self, request_id, DSMR_OK); /* comes too late */
    build(&rig, 1);
    ended(&rig, 3);
    assert_int_equal(rig.err, DSMR_ERR_UNAVAILABLE);
    close_rig(&rig);
}

static void test_the_pointer_is_read(void **state)
{
    struct rig rig;
    struct dsmr_engine_tip tip;
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES];
    Dsmr__Pb__GetResponse response = DSMR__PB__GET_RESPONSE__INIT;
    uint8_t value[40] = {0, 0, 0, 0, 0, 0, 0, 6, 1, 2, 3};
    (void)state;
    open_rig(&rig, 0, 0);
    DSMR_PB_SET(&response, err, DSMR__PB__ERROR__ERROR_NOT_FOUND);
    fake_answer(rig.fake, &response.base);
    assert_int_equal(dsmr_snow_engine_read_tip(rig.engine, &tip, reason), DSMR_OK);
    assert_int_equal(tip.height, 0);
    assert_memory_equal(tip.block_id.bytes, rig.chain[0]->id.bytes, 32);
    response.err = 0;
    DSMR_PB_BYTES(&response, value, value, sizeof value);
    fake_answer(rig.fake, &response.base);
    assert_int_equal(dsmr_snow_engine_read_tip(rig.engine, &tip, reason), DSMR_OK);
    assert_int_equal(tip.height, 6);
    assert_memory_equal(tip.block_id.bytes, value + 8, 32);
    DSMR_PB_BYTES(&response, value, value, 39);
    fake_answer(rig.fake, &response.base);
    assert_int_equal(dsmr_snow_engine_read_tip(rig.engine, &tip, reason), DSMR_ERR_CORRUPT);
    rig.fake->failure = "closed";
    assert_int_not_equal(dsmr_snow_engine_read_tip(rig.engine, &tip, reason), DSMR_OK);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_initialize_and_states),
        cmocka_unit_test(test_verify_accept_and_the_pointer),
        cmocka_unit_test(test_a_pointer_that_is_not_written_fails_the_accept),
        cmocka_unit_test(test_accept_of_what_was_not_verified),
        cmocka_unit_test(test_verdicts_for_later),
        cmocka_unit_test(test_no_wait_for_what_cannot_come),
        cmocka_unit_test(test_no_wait_for_room),
        cmocka_unit_test(test_a_clock_that_is_behind_is_said),
        cmocka_unit_test(test_blocks_that_lie_ahead_share_one_wait),
        cmocka_unit_test(test_blocks_that_wait_for_the_clock_are_said),
        cmocka_unit_test(test_rejected_and_outrun_blocks_go),
        cmocka_unit_test(test_bytes_that_are_no_requests),
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_the_pointer_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
