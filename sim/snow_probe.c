/* snow_probe.c - questions that a good engine has no reason to ask, and what must not be answered
 * to them: other contexts, blocks without ancestors, decided and lost ones, accepts of what was not
 * verified, builds on nothing. None of them may change what is answered to the others. */
#include "base/bytes.h"
#include "sim/snow_state.h"

static enum dsmr_sim_snow_stage stage_of(const struct dsmr_sim_snow_seat *seat, uint32_t number)
{
    return seat->views[number].stage;
}

static uint32_t tip_of(const struct dsmr_sim_snow_seat *seat)
{
    return seat->snow->chain[seat->accepted];
}

/* Any of the latest blocks. */
static uint32_t any_block(const struct dsmr_sim_snow_seat *seat)
{
    struct dsmr_sim_snow *snow = seat->snow;
    uint64_t recent = snow->blocks_count < 40 ? snow->blocks_count : 40;
    return snow->blocks_count - 1 - (uint32_t)dsmr_prng_below(&snow->prng, recent);
}

static void ask(struct dsmr_sim_snow_seat *seat, enum dsmr_sim_snow_kind kind, uint32_t number,
                uint64_t context)
{
    struct dsmr_sim_snow_ask *ask = dsmr_sim_snow_ask(seat, kind, number, context);
    if (ask != NULL) {
        ask->is_probe = true;
    }
}

/* ---- verify ---- */

static void verify_in_another_context(struct dsmr_sim_snow_seat *seat)
{
    struct dsmr_sim_snow *snow = seat->snow;
    uint32_t number = any_block(seat);
    uint64_t which = dsmr_prng_below(&snow->prng, snow->sim->schedule_count + 2u);
    uint64_t context = which < snow->sim->schedule_count    ? snow->sim->schedule[which].from_height
                       : which == snow->sim->schedule_count ? DSMR_EPOCH_NONE
                                                            : UINT64_C(999999);
    if (number > 0 && context != snow->blocks[number].block->epoch) {
        ask(seat, DSMR_SIM_SNOW_VERIFY, number, context);
    }
}

/* Whether the node cannot know the parent of the block. */
static bool is_orphan(const struct dsmr_sim_snow_seat *seat, uint32_t number)
{
    const struct dsmr_sim_snow *snow = seat->snow;
    uint32_t parent = snow->blocks[number].parent;
    if (parent == DSMR_SIM_SNOW_NONE) {
        return true;
    }
    return snow->blocks[parent].block->height > seat->accepting &&
           (stage_of(seat, parent) == DSMR_SIM_SNOW_AWAY ||
            stage_of(seat, parent) == DSMR_SIM_SNOW_HERE ||
            stage_of(seat, parent) == DSMR_SIM_SNOW_BAD);
}

/* One whose ancestors it does not know, or that is below the last accepted one. */
static bool is_out_of_place(const struct dsmr_sim_snow_seat *seat, uint32_t number)
{
    const struct dsmr_sim_snow_block *block = &seat->snow->blocks[number];
    bool is_below = block->block->height < seat->accepted;
    bool is_beside = block->block->height == seat->accepted && number != tip_of(seat);
    enum dsmr_sim_snow_stage stage = stage_of(seat, number);
    bool is_known = stage == DSMR_SIM_SNOW_GOOD || stage == DSMR_SIM_SNOW_ASKED ||
                    stage == DSMR_SIM_SNOW_ACCEPTING;
    bool is_tip = number == tip_of(seat) || number == seat->snow->chain[seat->accepting];
    return !is_tip && (is_below || is_beside || (!is_known && is_orphan(seat, number)));
}

static void verify_out_of_place(struct dsmr_sim_snow_seat *seat)
{
    uint32_t number = any_block(seat);
    if (number > 0 && is_out_of_place(seat, number)) {
        ask(seat, DSMR_SIM_SNOW_VERIFY, number, seat->snow->blocks[number].context);
    }
}

/* What was verified, once more: still good, if nothing was decided against it. */
static void verify_again(struct dsmr_sim_snow_seat *seat)
{
    uint32_t number = any_block(seat);
    if (stage_of(seat, number) == DSMR_SIM_SNOW_GOOD) {
        ask(seat, DSMR_SIM_SNOW_VERIFY, number, seat->snow->blocks[number].context);
    } else if (seat->accepted > 0 && seat->accepting == seat->accepted) {
        ask(seat, DSMR_SIM_SNOW_VERIFY, tip_of(seat), seat->snow->blocks[tip_of(seat)].context);
    }
}

/* ---- accept, reject, prefer ---- */

static bool is_unverified(enum dsmr_sim_snow_stage stage)
{
    return stage == DSMR_SIM_SNOW_AWAY || stage == DSMR_SIM_SNOW_HERE ||
           stage == DSMR_SIM_SNOW_BAD || stage == DSMR_SIM_SNOW_REJECTED;
}

/* What was not verified, or refused, or whose parent is not the last accepted one. */
static bool is_unacceptable(const struct dsmr_sim_snow_seat *seat, uint32_t number)
{
    const struct dsmr_sim_snow_block *block = &seat->snow->blocks[number];
    bool is_lost = block->fate == DSMR_SIM_SNOW_LOST && block->block->height <= seat->accepted;
    bool is_early = block->block->height > seat->accepting + 1;
    bool is_old = block->block->height < seat->accepted;
    return number != tip_of(seat) &&
           (is_lost || is_early || is_old || is_unverified(stage_of(seat, number)));
}

static void accept_wrong(struct dsmr_sim_snow_seat *seat)
{
    uint32_t number = any_block(seat);
    if (number > 0 && is_unacceptable(seat, number)) {
        ask(seat, DSMR_SIM_SNOW_ACCEPT, number, 0);
    }
}

static void accept_again(struct dsmr_sim_snow_seat *seat)
{
    if (seat->accepted > 0 && seat->accepting == seat->accepted) {
        ask(seat, DSMR_SIM_SNOW_ACCEPT, tip_of(seat), 0);
    }
}

static bool has_child(const struct dsmr_sim_snow_seat *seat, uint32_t number)
{
    for (uint32_t i = 0; i < seat->asks_max; i++) {
        if (seat->asks[i].is_used && seat->asks[i].block == number) {
            return true; /* perhaps soon */
        }
    }
    for (uint32_t i = 0; i < seat->snow->blocks_count; i++) {
        if (seat->snow->blocks[i].parent == number && stage_of(seat, i) != DSMR_SIM_SNOW_AWAY) {
            return true;
        }
    }
    return false;
}

/* Something else than what was lost; what was verified has to be verified again then. */
static void reject_wrong(struct dsmr_sim_snow_seat *seat)
{
    struct dsmr_sim_snow *snow = seat->snow;
    uint32_t number = any_block(seat);
    struct dsmr_id id = snow->blocks[number].block->id;
    enum dsmr_sim_snow_stage stage = stage_of(seat, number);
    if (dsmr_sim_snow_chance(snow, 100)) {
        id.bytes[0] ^= 1;
    } else if (stage == DSMR_SIM_SNOW_GOOD && !has_child(seat, number) &&
               snow->blocks[number].fate == DSMR_SIM_SNOW_OPEN) {
        seat->views[number].stage = DSMR_SIM_SNOW_HERE;
    } else if (stage == DSMR_SIM_SNOW_GOOD || stage == DSMR_SIM_SNOW_ASKED ||
               stage == DSMR_SIM_SNOW_ACCEPTING) {
        return;
    }
    dsmr_sim_snow_tell(seat, DSMR_SIM_SNOW_REJECT, &id, 0);
}

static void prefer_wrong(struct dsmr_sim_snow_seat *seat)
{
    struct dsmr_sim_snow *snow = seat->snow;
    uint32_t number = any_block(seat);
    struct dsmr_id id = snow->blocks[number].block->id;
    if (stage_of(seat, number) == DSMR_SIM_SNOW_GOOD) {
        seat->preference = number;
    } else if (dsmr_sim_snow_chance(snow, 300)) {
        id.bytes[0] ^= 1;
    } else if (!is_unverified(stage_of(seat, number))) {
        return;
    }
    dsmr_sim_snow_tell(seat, DSMR_SIM_SNOW_PREFER, &id, 0);
}

/* ---- build ---- */

static void build_wrong(struct dsmr_sim_snow_seat *seat)
{
    struct dsmr_sim_snow *snow = seat->snow;
    uint32_t number = any_block(seat);
    uint64_t context = snow->sim->schedule[0].from_height;
    bool is_known = stage_of(seat, number) == DSMR_SIM_SNOW_GOOD || number == tip_of(seat);
    if (is_known && snow->blocks[number].block->height > 0) {
        context = dsmr_sim_snow_chance(snow, 500) ? DSMR_EPOCH_NONE : UINT64_C(999999);
    } else if (!is_out_of_place(seat, number)) {
        return;
    }
    ask(seat, DSMR_SIM_SNOW_BUILD, number, context);
}

/* ---- old blocks, heights of the other chain ---- */

static void read_old(struct dsmr_sim_snow_seat *seat)
{
    struct dsmr_sim_snow *snow = seat->snow;
    struct dsmr_query query = dsmr_driver_query_port(snow->sim->nodes[seat->body].driver);
    uint64_t height = dsmr_prng_below(&snow->prng, seat->accepted + 1), found = UINT64_MAX;
    const struct dsmr_block *wanted = snow->blocks[snow->chain[height]].block;
    struct dsmr_block *block = NULL;
    enum dsmr_err err = query.ops->block(query.self, &block, height);
    bool is_it = err == DSMR_OK && dsmr_id_equal(&block->id, &wanted->id);
    bool is_found = query.ops->find_block(query.self, &found, &wanted->id) == DSMR_OK;
    dsmr_block_unref(block);
    if ((!is_it || !is_found || found != height) && dsmr_sim_snow_is_bound(seat)) {
        dsmr_sim_fail(snow->sim, "14.1", "node %u does not have its accepted block %llu: %s",
                      seat->body, (unsigned long long)height, dsmr_err_text(err));
    }
}

/* One that it does not see yet, or that there is not. */
static void say_height(struct dsmr_sim_snow_seat *seat)
{
    struct dsmr_sim_snow *snow = seat->snow;
    uint64_t which = dsmr_prng_below(&snow->prng, snow->sim->schedule_count + 1u);
    bool is_one = which < snow->sim->schedule_count && seat->sees_us[which] > snow->sim->now_us;
    uint64_t epoch = is_one ? snow->sim->schedule[which].from_height : UINT64_C(999999);
    dsmr_sim_snow_tell(seat, DSMR_SIM_SNOW_AVAILABLE, NULL, epoch);
}

void dsmr_sim_snow_probe(struct dsmr_sim_snow_seat *seat)
{
    static void (*const probes[])(struct dsmr_sim_snow_seat *) = {verify_in_another_context,
                                                                  verify_in_another_context,
                                                                  verify_out_of_place,
                                                                  verify_again,
                                                                  accept_wrong,
                                                                  accept_again,
                                                                  reject_wrong,
                                                                  prefer_wrong,
                                                                  build_wrong,
                                                                  read_old,
                                                                  say_height};
    uint64_t which = dsmr_prng_below(&seat->snow->prng, sizeof(probes) / sizeof(probes[0]));
    seat->snow->counts.probes++;
    probes[which](seat);
}

/* ---- answers ---- */

/* Whether the answer must be OK. */
static bool is_sure(const struct dsmr_sim_snow_seat *seat, const struct dsmr_sim_snow_ask *ask)
{
    const struct dsmr_sim_snow_block *block = &seat->snow->blocks[ask->block];
    bool is_tip = ask->block == tip_of(seat) && seat->accepting == seat->accepted;
    if (ask->kind == DSMR_SIM_SNOW_ACCEPT) {
        return is_tip;
    }
    return ask->kind == DSMR_SIM_SNOW_VERIFY && ask->context == block->block->epoch &&
           (is_tip || (stage_of(seat, ask->block) == DSMR_SIM_SNOW_GOOD &&
                       block->fate != DSMR_SIM_SNOW_LOST));
}

/* Whether it must not be OK. */
static bool is_wrong(const struct dsmr_sim_snow_seat *seat, const struct dsmr_sim_snow_ask *ask)
{
    const struct dsmr_sim_snow_block *block = &seat->snow->blocks[ask->block];
    switch (ask->kind) {
    case DSMR_SIM_SNOW_VERIFY:
        return ask->context != block->block->epoch || is_out_of_place(seat, ask->block);
    case DSMR_SIM_SNOW_ACCEPT:
        return is_unacceptable(seat, ask->block);
    case DSMR_SIM_SNOW_BUILD:
        return true;
    default:
        DSMR_UNREACHABLE();
    }
}

void dsmr_sim_snow_probe_answer(struct dsmr_sim_snow_seat *seat,
                                const struct dsmr_sim_snow_ask *ask, enum dsmr_err err)
{
    static const char *const rules[] = {"8", "9", "10.1"}, *const words[] = {"build on", "verify",
                                                                             "accept"};
    struct dsmr_sim *sim = seat->snow->sim;
    uint64_t height = seat->snow->blocks[ask->block].block->height;
    if (!dsmr_sim_snow_is_bound(seat)) {
        return;
    }
    if (err == DSMR_OK && is_wrong(seat, ask)) {
        dsmr_sim_fail(sim, rules[ask->kind],
                      "node %u says yes to %s block %u, height %llu, in context %lld, where it "
                      "must not",
                      seat->body, words[ask->kind], ask->block, (unsigned long long)height,
                      (long long)ask->context);
    } else if (err != DSMR_OK && err != DSMR_ERR_BUSY && is_sure(seat, ask)) {
        dsmr_sim_fail(sim, rules[ask->kind],
                      "node %u does not %s block %u, height %llu, once more: %s", seat->body,
                      words[ask->kind], ask->block, (unsigned long long)height, dsmr_err_text(err));
    }
}
