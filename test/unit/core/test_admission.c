#include "core/admission.h"

#include "leaf_fixture.h"

enum { LEAST = 4000, CHUNK = 5000 /* of ref_of */, LATE_MS = 600, TARGET_MS = 900 };
enum { BULK_LATE_MS = 400, BULK_TARGET_MS = 600 };

static struct dsmr_admission adm;
static uint64_t built, executed; /* chunks */

static void begin_with(uint64_t bulk_bytes)
{
    dsmr_admission_init(&adm, LEAST, bulk_bytes);
    built = executed = 0;
}

static void begin(void) /* nothing is ever a lot */
{
    begin_with(UINT64_MAX);
}

static void build(uint32_t bytes, uint64_t since_ms, uint64_t mono_ms)
{
    struct dsmr_reference ref = ref_of(built++, 1, 1);
    ref.chunk_bytes = bytes;
    dsmr_admission_on_built(&adm, &ref, since_ms, mono_ms);
}

static void execute(uint64_t mono_ms)
{
    struct dsmr_id id = id_of(executed++);
    dsmr_admission_on_executed(&adm, &id, mono_ms);
}

/* A chunk is built each 100 ms, and executed wait_ms after it. At most the queue is without the one
 * that was executed last. */
static void flow(uint64_t from_ms, uint64_t until_ms, uint64_t wait_ms)
{
    for (uint64_t at = from_ms; at < until_ms; at += 100) {
        build(CHUNK, at, at);
        if (at >= from_ms + wait_ms) {
            execute(at);
        }
    }
}

static uint64_t inside(void)
{
    return (built - executed) * CHUNK;
}

static void test_no_bound_while_waits_are_short(void **state)
{
    (void)state;
    begin();
    assert_true(dsmr_admission_room(&adm, 0, 1) == UINT64_MAX);
    flow(100, 20000, LATE_MS - 50);
    assert_true(dsmr_admission_room(&adm, 1u << 30, 20000) == UINT64_MAX);
}

/* 50 000 bytes a second are executed, so as many may be inside as take 0.9 s. */
static void test_what_is_late_has_a_bound(void **state)
{
    (void)state;
    begin();
    flow(100, 20000, LATE_MS + 50);
    uint64_t room = dsmr_admission_room(&adm, 0, 20000);
    uint64_t bound = room + inside();
    assert_in_range(bound, 50 * TARGET_MS * 9 / 10, 50 * TARGET_MS * 12 / 10);
    assert_int_equal(dsmr_admission_room(&adm, 3000, 20000), room - 3000);
    assert_int_equal(dsmr_admission_room(&adm, room, 20000), 0);
    assert_int_equal(dsmr_admission_room(&adm, room + 1, 20000), 0);
}

/* The time in the mempool counts. */
static void test_the_mempool_counts(void **state)
{
    (void)state;
    begin();
    for (uint64_t at = 1000; at < 9000; at += 100) {
        build(CHUNK, at - LATE_MS, at);
        if (at > 1000) {
            execute(at);
        }
    }
    assert_true(dsmr_admission_room(&adm, 0, 9000) < UINT64_MAX);
}

/* A load that grows is not held to what was executed when it was small. */
static void test_follows_a_load_that_grows(void **state)
{
    (void)state;
    begin();
    flow(100, 20000, LATE_MS + 50);
    uint64_t before = dsmr_admission_room(&adm, 0, 20000) + inside();
    for (uint64_t at = 20000; at < 21500; at += 25) {
        build(CHUNK, at - LATE_MS - 50, at);
        execute(at);
    }
    assert_in_range(dsmr_admission_room(&adm, 0, 21500), 2 * before, 5 * before);
    assert_true(dsmr_admission_room(&adm, 0, 21500) + inside() > 3 * before);
}

/* 13.5: without a quorum nothing is executed; that ends by itself. */
static void test_no_bound_while_nothing_runs(void **state)
{
    (void)state;
    begin();
    flow(100, 20000, LATE_MS + 50);
    assert_true(dsmr_admission_room(&adm, 1u << 30, 20000) == 0);
    assert_true(dsmr_admission_room(&adm, 1u << 30, 20000 + 3250) == UINT64_MAX);
    assert_true(dsmr_admission_room(&adm, 1u << 30, UINT64_MAX) == UINT64_MAX);
}

static void test_an_empty_queue_has_no_bound(void **state)
{
    (void)state;
    begin();
    flow(100, 20000, LATE_MS + 50);
    while (executed < built) {
        execute(20000);
    }
    assert_true(dsmr_admission_room(&adm, 1u << 30, 20000) == UINT64_MAX);
}

/* Chunks that leave when a slot starts are executed before the next slot does. That is no end of a
 * load: half a second without any is. */
static void test_between_two_slots_nothing_is_forgotten(void **state)
{
    (void)state;
    begin();
    uint64_t at = 1000;
    for (; at < 20000; at += 100) {
        build(CHUNK, at - LATE_MS, at);
        execute(at + 60);
        for (uint64_t into = 60; into < 100 && at > 4000; into += 13) {
            uint64_t bound = dsmr_admission_room(&adm, 0, at + into);
            assert_in_range(bound, 50 * TARGET_MS * 9 / 10, 50 * TARGET_MS * 12 / 10);
        }
    }
    uint64_t emptied = at - 100 + 60;
    assert_true(dsmr_admission_room(&adm, 0, emptied + 499) < UINT64_MAX);
    assert_true(dsmr_admission_room(&adm, 0, emptied + 500) == UINT64_MAX);
    build(CHUNK, emptied, emptied + 500); /* and what was does not come back with the next one */
    assert_true(dsmr_admission_room(&adm, 0, emptied + 501) == UINT64_MAX);
    assert_true(dsmr_admission_room(&adm, 0, emptied + 1400) == UINT64_MAX);
}

/* Of the last three seconds a byte is left. */
static void test_never_below_the_least(void **state)
{
    (void)state;
    begin();
    build(10 * CHUNK, 1000, 1000);
    build(10, 2000, 2000);
    build(1, 5000, 5000);
    execute(3000);
    execute(5500);
    assert_in_range(dsmr_admission_room(&adm, 0, 5600), LEAST + 1, 10 * CHUNK);
    assert_int_equal(dsmr_admission_room(&adm, 0, 6100), LEAST - 1);
}

/* A lonely small chunk takes 1.5 s: the network is that slow. So 2.2 s is not late, and what is
 * late may wait 3 s. A large one, or one behind others, may have waited for a queue. */
static void test_a_slow_network_is_no_overload(void **state)
{
    (void)state;
    for (int is_lonely = 0; is_lonely <= 1; is_lonely++) {
        begin();
        build(is_lonely ? 100 : 2 * LEAST, 1000, 1000);
        execute(2500);
        flow(10000, 30000, 2000);
        assert_true((dsmr_admission_room(&adm, 1u << 30, 30000) == UINT64_MAX) == is_lonely);
        begin();
        build(is_lonely ? 100 : 2 * LEAST, 1000, 1000);
        execute(2500);
        flow(10000, 30000, 2500);
        uint64_t room = dsmr_admission_room(&adm, 0, 30000);
        assert_in_range(room, is_lonely ? 50 * 200 : 0, is_lonely ? 50 * 1100 : 0);
    }
}

/* Snowman's polls take a second under load, and 1.3 s from the door to the result is no queue. */
static void test_a_slow_engine_is_no_overload(void **state)
{
    (void)state;
    for (int is_slow = 0; is_slow <= 1; is_slow++) {
        begin();
        for (int i = 0; is_slow && i < 50; i++) {
            dsmr_admission_on_accepted(&adm, 1100);
        }
        flow(10000, 30000, 1300);
        assert_true((dsmr_admission_room(&adm, 1u << 30, 30000) == UINT64_MAX) == is_slow);
        begin();
        for (int i = 0; is_slow && i < 50; i++) { /* that long is a queue of the engine's */
            dsmr_admission_on_accepted(&adm, UINT64_MAX);
        }
        flow(10000, 30000, 2500);
        uint64_t room = dsmr_admission_room(&adm, 1u << 30, 30000);
        assert_int_equal(room, 0);
    }
}

/* What is known of the network is of a minute in which it could be known. */
static void test_a_network_may_become_faster(void **state)
{
    (void)state;
    begin();
    build(100, 1000, 1000);
    execute(2500);
    for (uint64_t at = 100000; at < 200000; at += 10000) {
        build(100, at, at);
        execute(at + 100);
    }
    flow(300000, 320000, 1000);
    uint64_t bound = dsmr_admission_room(&adm, 0, 320000) + inside();
    assert_in_range(bound / 50, TARGET_MS * 9 / 10, TARGET_MS * 12 / 10);
}

/* Held at the least there is no queue: what waits there waits for the network. Without this a node
 * that has never seen it idle would stay at the least. */
static void test_the_least_teaches(void **state)
{
    (void)state;
    begin();
    for (uint64_t at = 100; at < 20000; at += 1000) {
        build(4000, at, at);
        if (at >= 2000) {
            execute(at);
        }
    }
    assert_true(dsmr_admission_room(&adm, 0, 20000) > LEAST);
}

static void test_returned_and_forgotten(void **state)
{
    (void)state;
    begin();
    flow(100, 20000, LATE_MS + 50);
    uint64_t room = dsmr_admission_room(&adm, 0, 20000);
    struct dsmr_id id = id_of(built - 1);
    dsmr_admission_on_returned(&adm, &id, 0);
    assert_int_equal(dsmr_admission_room(&adm, 0, 20000), room + CHUNK);
    dsmr_admission_on_returned(&adm, &id, 0); /* twice is once */
    id = id_of(1u << 20);
    dsmr_admission_on_executed(&adm, &id, 20000); /* another one's */
    assert_int_equal(dsmr_admission_room(&adm, 0, 20000), room + CHUNK);
    for (uint32_t i = 0; i < 3 * DSMR_ADMISSION_CHUNKS_MAX; i++) {
        build(CHUNK, 20000, 20000);
    }
    assert_int_equal(adm.built_bytes, DSMR_ADMISSION_CHUNKS_MAX * CHUNK);
}

/* Chunks that wait_ms is enough for, then for some seconds such that wait longer. */
static void flow_that_slows(uint64_t wait_ms, uint64_t later_ms)
{
    flow(100, 12000, wait_ms);
    flow(12000, 20000, later_ms - wait_ms);
}

/* 50 000 bytes a second, some 25 000 of them inside: half a second is too long where that is a
 * lot. */
static void test_much_may_not_wait_so_long(void **state)
{
    (void)state;
    begin_with(5 * CHUNK);
    flow_that_slows(100, BULK_LATE_MS + 100);
    assert_int_equal(inside(), 5 * CHUNK);
    uint64_t bound = dsmr_admission_room(&adm, 0, 20000) + inside();
    assert_in_range(bound, 50 * BULK_TARGET_MS * 9 / 10, 50 * BULK_TARGET_MS * 12 / 10);
    begin_with(20 * CHUNK); /* for so much there is room */
    flow_that_slows(100, BULK_LATE_MS + 100);
    assert_int_equal(dsmr_admission_room(&adm, 0, 20000), 20 * CHUNK - inside());
    assert_int_equal(dsmr_admission_room(&adm, 1u << 30, 20000), 0);
    begin_with(3 * CHUNK);
    flow_that_slows(100, BULK_LATE_MS);
    assert_true(dsmr_admission_room(&adm, 0, 20000) == UINT64_MAX);
}

/* Who has waited for 0.5 s all the time (0.65 s is too long for all), in a far network, waits for
 * no queue; where it was 0.16 s a moment ago, 0.48 s is late, and where it was 0.16 s half a minute
 * ago, nothing is known of it. */
static void test_much_in_a_far_network_is_no_queue(void **state)
{
    (void)state;
    begin_with(3 * CHUNK);
    flow(100, 20000, LATE_MS + 50);
    assert_true(dsmr_admission_room(&adm, 0, 20000) < UINT64_MAX);
    begin_with(3 * CHUNK);
    flow(100, 20000, LATE_MS - 100);
    assert_true(dsmr_admission_room(&adm, 0, 20000) == UINT64_MAX);
    build(CHUNK, 20000 - 160, 20000);
    struct dsmr_id id = id_of(built - 1);
    dsmr_admission_on_executed(&adm, &id, 20000);
    flow(20000, 23000, 0);
    uint64_t bound = dsmr_admission_room(&adm, 0, 23000) + inside();
    assert_in_range(bound, 50 * 720 * 9 / 10, 50 * 720 * 12 / 10);
    flow(23000, 45000, 0);
    assert_true(dsmr_admission_room(&adm, 0, 45000) == UINT64_MAX);
}

/* What is late by the longer time has no shorter queue than what is not a lot. */
static void test_what_is_not_much_is_let_in(void **state)
{
    (void)state;
    const uint64_t bulk[] = {40000, 100000};
    const uint64_t least[] = {40000, 50 * TARGET_MS * 9 / 10};
    const uint64_t most[] = {40000, 50 * TARGET_MS * 12 / 10};
    for (int i = 0; i < 2; i++) {
        begin_with(bulk[i]);
        flow_that_slows(100, LATE_MS + 50);
        uint64_t bound = dsmr_admission_room(&adm, 0, 20000) + inside();
        assert_in_range(bound, least[i], most[i]);
    }
}

/* Where much is inside nobody waits for what stands still to come out. Where there is room a pause
 * of the engine is no reason to refuse anything, and in both what is over is forgotten. */
static void test_what_stands_still_waits(void **state)
{
    (void)state;
    for (int is_much = 0; is_much <= 1; is_much++) {
        begin_with(is_much ? 3 * CHUNK : UINT64_MAX);
        flow(100, 20000, 100);
        uint64_t oldest = executed * 100 + 100; /* since when it is inside */
        for (uint64_t at = 20000; at <= oldest + BULK_LATE_MS; at += 100) {
            build(CHUNK, at, at);
            assert_true(dsmr_admission_room(&adm, 0, at) == UINT64_MAX);
        }
        uint64_t late = oldest + BULK_LATE_MS + 1;
        assert_true((dsmr_admission_room(&adm, 0, late) == UINT64_MAX) == !is_much);
        assert_int_equal(dsmr_admission_room(&adm, 1u << 30, late), is_much ? 0 : UINT64_MAX);
        struct dsmr_id id = id_of(executed); /* the next one came 100 ms later */
        dsmr_admission_on_returned(&adm, &id, late);
        assert_true(dsmr_admission_room(&adm, 0, late + 99) == UINT64_MAX);
        assert_true((dsmr_admission_room(&adm, 0, late + 100) == UINT64_MAX) == !is_much);
        assert_true(dsmr_admission_room(&adm, 1u << 30, 20000 + 3250) == UINT64_MAX);
    }
}

/* What is executed does not wait, nor does what comes in this moment. */
static void test_what_is_gone_does_not_wait(void **state)
{
    (void)state;
    begin_with(0);
    flow(100, 20000, 100);
    while (executed < built) {
        execute(20000);
    }
    assert_true(dsmr_admission_room(&adm, 1u << 30, 20000 + BULK_LATE_MS + 50) == UINT64_MAX);
    build(CHUNK, 20005, 20000);
    assert_true(dsmr_admission_room(&adm, 1u << 30, 20000) == UINT64_MAX);
}

/* A wait of long ago is none of lately, however quiet it was since. */
static void test_quick_is_forgotten(void **state)
{
    (void)state;
    for (int is_lately = 0; is_lately <= 1; is_lately++) {
        begin_with(3 * CHUNK);
        flow(100, 4000, 100);
        while (executed < built) {
            execute(4000);
        }
        uint64_t from_ms = is_lately ? 10000 : 60000;
        flow(from_ms, from_ms + 4000, LATE_MS - 100);
        bool is_open = dsmr_admission_room(&adm, 0, from_ms + 4000) == UINT64_MAX;
        assert_true(is_open == !is_lately);
    }
}

/* Also where the table of chunks has come round, and where it was empty. */
static void test_the_oldest_is_known(void **state)
{
    (void)state;
    begin_with(0);
    for (uint32_t i = 0; i < DSMR_ADMISSION_CHUNKS_MAX + 10; i++) {
        build(CHUNK, i, i);
    }
    assert_int_equal(adm.chunks[adm.oldest].since_ms, 10);
    executed = 11; /* before 10 */
    execute(500);
    assert_int_equal(adm.chunks[adm.oldest].since_ms, 10);
    executed = 10;
    execute(500);
    assert_int_equal(adm.chunks[adm.oldest].since_ms, 12);
    executed = 12;
    while (executed < built) {
        execute(500);
    }
    build(CHUNK, 777, 777);
    assert_int_equal(adm.chunks[adm.oldest].since_ms, 777);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_bound_while_waits_are_short),
        cmocka_unit_test(test_what_is_late_has_a_bound),
        cmocka_unit_test(test_the_mempool_counts),
        cmocka_unit_test(test_follows_a_load_that_grows),
        cmocka_unit_test(test_no_bound_while_nothing_runs),
        cmocka_unit_test(test_an_empty_queue_has_no_bound),
        cmocka_unit_test(test_between_two_slots_nothing_is_forgotten),
        cmocka_unit_test(test_never_below_the_least),
        cmocka_unit_test(test_a_slow_network_is_no_overload),
        cmocka_unit_test(test_a_slow_engine_is_no_overload),
        cmocka_unit_test(test_a_network_may_become_faster),
        cmocka_unit_test(test_the_least_teaches),
        cmocka_unit_test(test_returned_and_forgotten),
        cmocka_unit_test(test_much_may_not_wait_so_long),
        cmocka_unit_test(test_much_in_a_far_network_is_no_queue),
        cmocka_unit_test(test_what_is_not_much_is_let_in),
        cmocka_unit_test(test_what_stands_still_waits),
        cmocka_unit_test(test_what_is_gone_does_not_wait),
        cmocka_unit_test(test_quick_is_forgotten),
        cmocka_unit_test(test_the_oldest_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
