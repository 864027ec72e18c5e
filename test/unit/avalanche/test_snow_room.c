/* test_snow_room.c - more undecided blocks than the core keeps. The test plays the core: as many
 * blocks as that keeps, each with its parent, and a rejection takes a block's descendants along. */
#include "unit/avalanche/snow_rig.h"

#define ROOM DSMR_PROCESSING_BLOCKS_MAX
#define SIBLINGS 300u
#define EPOCH 7u
#define ANSWERS_MAX 16

struct answer {
    enum asked what;
    uint64_t request_id;
    enum dsmr_err err;
    struct dsmr_block *block; /* built */
};
static struct {
    struct rig *rig;
    struct dsmr_block *tree[ROOM];
    uint32_t count;
    struct dsmr_id accepted, preference;
    struct answer answers[ANSWERS_MAX];
    uint32_t answers_count;
    uint32_t verified;     /* entered the tree */
    uint32_t rejected;     /* of the tree */
    uint32_t rejected_not; /* were not in it */
    uint32_t lost;         /* went with a rejected ancestor */
    enum dsmr_err refusal; /* of every verification; OK: none */
    struct dsmr_id slow;   /* its verification is begun by hand */
    struct dsmr_block *begun;
    uint64_t begun_id;
} core;

static bool has(const struct dsmr_id *id)
{
    for (uint32_t i = 0; i < core.count; i++)
        if (dsmr_id_equal(&core.tree[i]->id, id))
            return true;
    return dsmr_id_equal(&core.accepted, id);
}

static bool take_out(const struct dsmr_id *id)
{
    for (uint32_t i = 0; i < core.count; i++) {
        if (!dsmr_id_equal(&core.tree[i]->id, id))
            continue;
        dsmr_block_unref(core.tree[i]);
        core.tree[i] = core.tree[--core.count];
        return true;
    }
    return false;
}

static uint32_t prune(void)
{
    uint32_t gone = 0;
    for (uint32_t i = 0; i < core.count; i++) {
        if (has(&core.tree[i]->parent_id))
            continue;
        struct dsmr_id id = core.tree[i]->id;
        gone += take_out(&id);
        i = UINT32_MAX; /* from the start */
    }
    return gone;
}

static enum dsmr_err enter(struct dsmr_block *block)
{
    if (core.refusal != DSMR_OK)
        return core.refusal;
    if (has(&block->id))
        return DSMR_OK;
    if (!has(&block->parent_id))
        return DSMR_ERR_UNKNOWN_PARENT;
    if (core.count == ROOM)
        return DSMR_ERR_BUSY;
    core.tree[core.count++] = dsmr_block_ref(block);
    core.verified++;
    return DSMR_OK;
}

static enum dsmr_err take_accept(const struct dsmr_id *id)
{
    for (uint32_t i = 0; i < core.count; i++) {
        if (!dsmr_id_equal(&core.tree[i]->id, id))
            continue;
        if (!dsmr_id_equal(&core.tree[i]->parent_id, &core.accepted))
            return DSMR_ERR_UNKNOWN_PARENT;
        core.accepted = *id;
        (void)take_out(id);
        (void)prune();
        return DSMR_OK;
    }
    return DSMR_ERR_UNKNOWN;
}

static struct dsmr_block *child(const struct dsmr_id *parent_id, uint64_t height, uint64_t time_ms)
{
    struct dsmr_block fields = {
        .parent_id = *parent_id, .height = height, .time_ms = time_ms, .epoch = EPOCH};
    struct dsmr_block *block = NULL;
    assert_int_equal(dsmr_block_build(&block, &core.rig->params, &fields), DSMR_OK);
    return block;
}

static void push(enum dsmr_err err, struct dsmr_block *block)
{
    assert_true(core.answers_count < ANSWERS_MAX);
    core.answers[core.answers_count++] = (struct answer){asked.what, asked.request_id, err, block};
}

static void play_core(struct dsmr_block *block)
{
    struct dsmr_block *built = NULL;
    enum dsmr_err err;
    switch (asked.what) {
    case VERIFY:
        assert_int_equal(asked.context, EPOCH);
        if (dsmr_id_equal(&core.slow, &block->id)) {
            core.begun = dsmr_block_ref(block);
            core.begun_id = asked.request_id;
            return;
        }
        push(enter(block), NULL);
        return;
    case ACCEPT:
        push(take_accept(&asked.id), NULL);
        return;
    case BUILD:
        assert_int_equal(asked.context, EPOCH);
        built = child(&asked.id, 9, 4000000);
        err = enter(built);
        push(err, built);
        return;
    case REJECT:
        if (!take_out(&asked.id)) {
            core.rejected_not++;
            return;
        }
        core.rejected++;
        core.lost += prune();
        return;
    case PREFER:
        if (has(&asked.id))
            core.preference = asked.id;
        return;
    default:
        return;
    }
}

/* Answers until the core has none. */
static void pump(void)
{
    const struct dsmr_engine *port = &core.rig->port;
    while (core.answers_count > 0) {
        struct answer answer = core.answers[0];
        memmove(&core.answers[0], &core.answers[1], --core.answers_count * sizeof core.answers[0]);
        if (answer.what == VERIFY)
            port->ops->verdict(port->self, answer.request_id, answer.err);
        else if (answer.what == ACCEPT)
            port->ops->accepted(port->self, answer.request_id, answer.err);
        else
            port->ops->built(port->self, answer.request_id, answer.err,
                             answer.err == DSMR_OK ? answer.block : NULL);
        dsmr_block_unref(answer.block);
    }
}

static void open_core(struct rig *rig)
{
    open_rig(rig, 0, 0);
    memset(&core, 0, sizeof core);
    core.rig = rig;
    core.accepted = rig->chain[0]->id;
    overhear = play_core;
}

static void close_core(void)
{
    assert_int_equal(core.lost, 0); /* only leaves make room */
    assert_int_equal(core.rejected_not, 0);
    overhear = NULL;
    close_rig(core.rig);
    while (core.count > 0)
        dsmr_block_unref(core.tree[--core.count]);
    dsmr_block_unref(core.begun);
}

/* ---- calls that end ---- */

static bool verifies(struct dsmr_block *block)
{
    size_t before = core.rig->ended;
    verify(core.rig, block, EPOCH);
    pump();
    ended(core.rig, before + 1);
    return core.rig->err == DSMR_OK;
}

static void ends_accept(size_t before)
{
    pump();
    ended(core.rig, before + 1);
    assert_int_equal(core.rig->err, DSMR_OK);
}

static void starts_accept(const struct dsmr_block *block)
{
    Dsmr__Pb__PutResponse put = DSMR__PB__PUT_RESPONSE__INIT;
    fake_answer(core.rig->fake, &put.base);
    accept(core.rig, block);
    pump();
}

static void accepts(const struct dsmr_block *block)
{
    size_t before = core.rig->ended;
    starts_accept(block);
    ends_accept(before);
    assert_true(dsmr_id_equal(&core.accepted, &block->id));
}

static void prefers(const struct dsmr_block *block)
{
    size_t before = core.rig->ended;
    Dsmr__Pb__SetPreferenceRequest message = DSMR__PB__SET_PREFERENCE_REQUEST__INIT;
    DSMR_PB_BYTES(&message, id, block->id.bytes, 32);
    hand(core.rig, dsmr_snow_engine_prefer, &message.base);
    pump();
    ended(core.rig, before + 1);
    assert_int_equal(core.rig->err, DSMR_OK); /* an error would end the chain */
}

static void rejects(const struct dsmr_block *block)
{
    size_t before = core.rig->ended;
    Dsmr__Pb__BlockRejectRequest message = DSMR__PB__BLOCK_REJECT_REQUEST__INIT;
    DSMR_PB_BYTES(&message, id, block->id.bytes, 32);
    hand(core.rig, dsmr_snow_engine_reject, &message.base);
    ended(core.rig, before + 1);
    assert_int_equal(core.rig->err, DSMR_OK);
}

static bool builds(void)
{
    size_t before = core.rig->ended;
    build(core.rig, EPOCH);
    pump();
    ended(core.rig, before + 1);
    return core.rig->err == DSMR_OK;
}

/* ---- blocks ---- */

static struct dsmr_block *above(const struct dsmr_block *parent, uint64_t number)
{
    return child(&parent->id, parent->height + 1, parent->time_ms + 1000 + number);
}

/* Siblings from number first on, all verified. */
static void add_siblings(struct dsmr_block **out, const struct dsmr_block *parent, uint64_t first,
                         uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i] = above(parent, first + i);
        assert_true(verifies(out[i]));
        assert_true(has(&out[i]->id));
    }
}

static void drop_all(struct dsmr_block **blocks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        dsmr_block_unref(blocks[i]);
}

/* ---- tests ---- */

/* One proposer makes 300 siblings; then one that the core has is accepted, or one that it has not.
 */
static void test_siblings_beyond_the_room(void **state)
{
    static const uint32_t winners[] = {279, 3};
    struct rig rig;
    struct dsmr_block *siblings[SIBLINGS];
    (void)state;
    for (int round = 0; round < 2; round++) {
        const struct dsmr_block *winner;
        open_core(&rig);
        add_siblings(siblings, rig.chain[0], 0, SIBLINGS);
        winner = siblings[winners[round]];
        assert_int_equal(core.count, ROOM);
        assert_int_equal(core.rejected, SIBLINGS - ROOM);
        assert_int_equal(has(&winner->id), round == 0);
        for (uint32_t i = 0; i < SIBLINGS; i++)
            assert_true(gets(&rig, &siblings[i]->id));
        prefers(winner);
        accepts(winner);
        for (uint32_t i = 0; i < SIBLINGS; i++)
            if (siblings[i] != winner)
                rejects(siblings[i]);
        struct dsmr_block *next = above(winner, 0);
        size_t before = rig.ended;
        core.refusal = DSMR_ERR_BUSY; /* there is room: it is the disk that is late */
        verify(&rig, next, EPOCH);
        pump();
        assert_int_equal(rig.ended, before);
        core.refusal = DSMR_OK;
        rig.fake->now_ms = dsmr_snow_engine_deadline_ms(rig.engine);
        dsmr_snow_engine_tick(rig.engine);
        pump();
        ended(&rig, before + 1);
        assert_int_equal(rig.err, DSMR_OK);
        accepts(next);
        assert_int_equal(core.count, 0);
        dsmr_block_unref(next);
        drop_all(siblings, SIBLINGS);
        close_core();
    }
}

/* The whole way to it is verified once more, the lowest first. */
static void test_a_child_of_what_was_forgotten(void **state)
{
    struct rig rig;
    struct dsmr_block *siblings[SIBLINGS], *way[4];
    (void)state;
    open_core(&rig);
    for (int i = 0; i < 4; i++)
        way[i] = above(i == 0 ? rig.chain[0] : way[i - 1], 5000);
    for (int i = 0; i < 3; i++)
        assert_true(verifies(way[i]));
    add_siblings(siblings, rig.chain[0], 0, SIBLINGS);
    for (int i = 0; i < 3; i++)
        assert_false(has(&way[i]->id));
    assert_true(verifies(way[3]));
    for (int i = 0; i < 4; i++)
        assert_true(has(&way[i]->id));
    assert_int_equal(core.count, ROOM);
    for (int i = 0; i < 4; i++)
        accepts(way[i]);
    drop_all(siblings, SIBLINGS);
    drop_all(way, 4);
    close_core();
}

static void test_the_preference_is_never_forgotten(void **state)
{
    struct rig rig;
    struct dsmr_block *siblings[2 * SIBLINGS], *way[3];
    (void)state;
    open_core(&rig);
    for (int i = 0; i < 3; i++)
        way[i] = above(i == 0 ? rig.chain[0] : way[i - 1], 5000);
    assert_true(verifies(way[0]) && verifies(way[1]));
    prefers(way[1]);
    for (uint32_t i = 0; i < 2 * SIBLINGS; i++) {
        add_siblings(&siblings[i], rig.chain[0], i, 1);
        assert_true(has(&way[0]->id) && has(&way[1]->id));
    }
    assert_true(dsmr_id_equal(&core.preference, &way[1]->id));
    assert_int_equal(core.count, ROOM);
    assert_true(builds()); /* room for that is made too */
    assert_int_equal(core.count, ROOM);
    assert_true(verifies(way[2]));
    assert_int_equal(core.verified, 2 + 2 * SIBLINGS + 2); /* each once */
    accepts(way[0]);
    accepts(way[1]);
    drop_all(siblings, 2 * SIBLINGS);
    drop_all(way, 3);
    close_core();
}

static void test_what_was_forgotten_is_preferred(void **state)
{
    struct rig rig;
    struct dsmr_block *siblings[SIBLINGS];
    (void)state;
    open_core(&rig);
    add_siblings(siblings, rig.chain[0], 0, SIBLINGS);
    prefers(siblings[0]);
    assert_true(has(&siblings[0]->id));
    assert_true(dsmr_id_equal(&core.preference, &siblings[0]->id));
    assert_true(builds());
    core.refusal = DSMR_ERR_NOT_YET; /* the set of its epoch is on its way */
    prefers(siblings[1]);
    assert_false(builds());
    assert_string_equal(rig.reason, dsmr_err_text(DSMR_ERR_NOT_YET));
    core.refusal = DSMR_OK;
    assert_false(has(&siblings[1]->id));
    assert_true(builds());
    assert_true(dsmr_id_equal(&core.preference, &siblings[1]->id));
    core.refusal = DSMR_ERR_NOT_YET;
    prefers(siblings[2]);
    core.refusal = DSMR_OK;
    prefers(siblings[2]); /* the same again, as after each poll */
    assert_true(dsmr_id_equal(&core.preference, &siblings[2]->id));
    drop_all(siblings, SIBLINGS);
    close_core();
}

static void test_what_was_forgotten_is_rejected(void **state)
{
    struct rig rig;
    struct dsmr_block *siblings[SIBLINGS];
    (void)state;
    open_core(&rig);
    add_siblings(siblings, rig.chain[0], 0, SIBLINGS);
    uint32_t rejected = core.rejected;
    assert_false(has(&siblings[0]->id));
    rejects(siblings[0]);
    rejects(siblings[0]);
    assert_int_equal(core.rejected, rejected);
    assert_false(gets(&rig, &siblings[0]->id));
    assert_true(has(&siblings[299]->id));
    rejects(siblings[299]);
    assert_int_equal(core.rejected, ++rejected);
    assert_false(has(&siblings[299]->id));
    assert_true(verifies(siblings[0])); /* into the place of the last one */
    assert_int_equal(core.rejected, rejected);
    assert_true(verifies(siblings[1])); /* by AvalancheGo, once more: it is known */
    assert_int_equal(core.rejected, rejected + 1);
    assert_true(has(&siblings[1]->id));
    drop_all(siblings, SIBLINGS);
    close_core();
}

/* An accept that fails has AvalancheGo shut the chain down. */
static void test_an_accept_waits_for_its_block(void **state)
{
    static const enum dsmr_err reasons[] = {DSMR_ERR_NOT_YET, DSMR_ERR_BUSY};
    struct rig rig;
    struct dsmr_block *siblings[SIBLINGS];
    (void)state;
    open_core(&rig);
    add_siblings(siblings, rig.chain[0], 0, SIBLINGS);
    size_t before = rig.ended;
    core.refusal = reasons[0];
    starts_accept(siblings[0]);
    for (uint32_t i = 0; i < 1000; i++) {
        core.refusal = reasons[i % 2];
        rig.fake->now_ms = dsmr_snow_engine_deadline_ms(rig.engine);
        dsmr_snow_engine_tick(rig.engine);
        pump();
    }
    assert_int_equal(rig.ended, before);
    assert_int_equal(warned.count, 1);
    assert_true(core.count >= ROOM - 1); /* a disk that is late takes no blocks from the core */
    core.refusal = DSMR_OK;
    rig.fake->now_ms = dsmr_snow_engine_deadline_ms(rig.engine);
    dsmr_snow_engine_tick(rig.engine);
    ends_accept(before);
    assert_true(dsmr_id_equal(&core.accepted, &siblings[0]->id));
    drop_all(siblings, SIBLINGS);
    close_core();
}

/* All that the core has leads to the preferred block. Nothing makes room but an accept beside it.
 */
static void test_a_preference_that_fills_the_room(void **state)
{
    struct rig rig;
    struct dsmr_block *way[ROOM], *beside[2];
    (void)state;
    open_core(&rig);
    add_siblings(beside, rig.chain[0], 0, 1);
    for (uint32_t i = 0; i < ROOM; i++) {
        add_siblings(&way[i], i == 0 ? rig.chain[0] : way[i - 1], 5000, 1);
        prefers(way[i]);
    }
    assert_false(has(&beside[0]->id));
    beside[1] = above(rig.chain[0], 1);
    assert_false(verifies(beside[1]));
    assert_string_equal(rig.reason, dsmr_err_text(DSMR_ERR_BUSY));
    assert_int_equal(core.rejected, 1);
    struct dsmr_block *block = above(way[ROOM - 1], 0); /* a call that needs all of it */
    core.slow = block->id;
    size_t before = rig.ended;
    verify(&rig, block, EPOCH);
    starts_accept(beside[0]);
    assert_int_equal(rig.ended, before);
    rig.port.ops->verdict(rig.port.self, core.begun_id, enter(core.begun));
    ended(&rig, before + 1);
    assert_string_equal(rig.reason, dsmr_err_text(DSMR_ERR_BUSY));
    assert_int_equal(core.rejected, 1);
    rig.fake->now_ms = dsmr_snow_engine_deadline_ms(rig.engine);
    dsmr_snow_engine_tick(rig.engine);
    ends_accept(before + 1);
    assert_true(dsmr_id_equal(&core.accepted, &beside[0]->id));
    assert_int_equal(core.count, 0);
    dsmr_block_unref(block);
    drop_all(way, ROOM);
    drop_all(beside, 2);
    close_core();
}

/* What a call that has not ended is about stays in the core. */
static void test_what_a_call_needs_is_not_forgotten(void **state)
{
    struct rig rig;
    struct dsmr_block *siblings[SIBLINGS], *parent[1];
    (void)state;
    open_core(&rig);
    add_siblings(parent, rig.chain[0], 5000, 1);
    struct dsmr_block *block = above(parent[0], 0);
    core.slow = block->id;
    size_t before = rig.ended;
    verify(&rig, block, EPOCH);
    add_siblings(siblings, rig.chain[0], 0, SIBLINGS);
    assert_true(has(&parent[0]->id));
    rejects(siblings[SIBLINGS - 1]);
    enum dsmr_err err = enter(core.begun);
    assert_int_equal(err, DSMR_OK);
    rig.port.ops->verdict(rig.port.self, core.begun_id, err);
    ended(&rig, before + SIBLINGS + 2);
    assert_int_equal(rig.err, DSMR_OK);
    drop_all(siblings, SIBLINGS);
    dsmr_block_unref(parent[0]);
    dsmr_block_unref(block);
    close_core();
}

static void test_the_table_has_a_bound(void **state)
{
    struct rig rig;
    static struct dsmr_block *siblings[DSMR_SNOW_ENGINE_BLOCKS_MAX];
    (void)state;
    open_core(&rig);
    add_siblings(siblings, rig.chain[0], 0, DSMR_SNOW_ENGINE_BLOCKS_MAX);
    struct dsmr_block *block = above(rig.chain[0], DSMR_SNOW_ENGINE_BLOCKS_MAX);
    assert_false(verifies(block));
    assert_string_equal(rig.reason, dsmr_err_text(DSMR_ERR_FULL));
    assert_false(has(&block->id)); /* else nobody ever took it out */
    prefers(siblings[0]);
    assert_false(builds());
    assert_int_equal(core.count, ROOM - 1);
    accepts(siblings[0]);
    dsmr_block_unref(block);
    drop_all(siblings, DSMR_SNOW_ENGINE_BLOCKS_MAX);
    close_core();
}

/* Neither the core nor the engine knows an undecided block afterwards: all are new. */
static void test_restart(void **state)
{
    struct rig rig;
    struct dsmr_block *siblings[SIBLINGS];
    (void)state;
    open_core(&rig);
    add_siblings(siblings, rig.chain[0], 0, SIBLINGS);
    close_core();
    open_core(&rig);
    assert_false(gets(&rig, &siblings[0]->id));
    for (uint32_t i = SIBLINGS; i-- > 0;)
        assert_true(verifies(siblings[i]));
    assert_int_equal(core.verified, SIBLINGS);
    assert_int_equal(core.rejected, SIBLINGS - ROOM);
    accepts(siblings[SIBLINGS - 1]); /* forgotten this time */
    drop_all(siblings, SIBLINGS);
    close_core();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_siblings_beyond_the_room),
        cmocka_unit_test(test_a_child_of_what_was_forgotten),
        cmocka_unit_test(test_the_preference_is_never_forgotten),
        cmocka_unit_test(test_what_was_forgotten_is_preferred),
        cmocka_unit_test(test_what_was_forgotten_is_rejected),
        cmocka_unit_test(test_an_accept_waits_for_its_block),
        cmocka_unit_test(test_a_preference_that_fills_the_room),
        cmocka_unit_test(test_what_a_call_needs_is_not_forgotten),
        cmocka_unit_test(test_the_table_has_a_bound),
        cmocka_unit_test(test_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
