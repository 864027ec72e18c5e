/* snow_seat.c - the engine of one node: what it asks its node next.
 *
 * As AvalancheGo: verifies what came and whose parent it has, accepts what was decided, rejects
 * what was not, prefers, builds when it is told that there is something; after a start it first
 * catches up. In what order, and when, is left to chance. */
#include "sim/snow_state.h"

#define RECENT 256u                           /* blocks among which there may be some to reject */
#define ANSWER_US (10 * DSMR_SIM_SECOND_US)   /* in which a call has its answer */
#define PREFERRED_US (3 * DSMR_SIM_SECOND_US) /* for so long an undecided block is, once healed */
#define PAUSE_US (DSMR_SIM_SECOND_US / 50)

static const char *const kind_names[] = {"build",  "verify",        "accept",   "reject",
                                         "prefer", "bootstrapping", "available"};

/* ---- what came ---- */

/* Somebody whom it reaches has the block. */
static bool is_offered(const struct dsmr_sim_snow_seat *seat, uint32_t number)
{
    const struct dsmr_sim_snow *snow = seat->snow;
    for (uint32_t i = 0; i < snow->sim->bodies; i++) {
        bool has_it = i == snow->blocks[number].issuer ||
                      snow->seats[i].views[number].stage == DSMR_SIM_SNOW_GOOD;
        if (i != seat->body && has_it && dsmr_sim_snow_reaches(snow, seat->body, i)) {
            return true;
        }
    }
    return false;
}

static bool has_parent(const struct dsmr_sim_snow_seat *seat, uint32_t number)
{
    uint32_t parent = seat->snow->blocks[number].parent;
    return parent != DSMR_SIM_SNOW_NONE && (parent == seat->snow->chain[seat->accepting] ||
                                            seat->views[parent].stage == DSMR_SIM_SNOW_GOOD);
}

/* Verifies a block that is not decided yet. */
static bool judge(struct dsmr_sim_snow_seat *seat)
{
    struct dsmr_sim_snow *snow = seat->snow;
    uint32_t first = (uint32_t)dsmr_prng_below(&snow->prng, snow->open_count + 1);
    for (uint32_t i = 0; i < snow->open_count; i++) {
        uint32_t number = snow->open[(first + i) % snow->open_count];
        struct dsmr_sim_snow_view *view = &seat->views[number];
        if (view->due_us > snow->sim->now_us) {
            continue;
        }
        if (view->stage == DSMR_SIM_SNOW_AWAY && is_offered(seat, number)) {
            view->stage = DSMR_SIM_SNOW_HERE;
        }
        if (view->stage == DSMR_SIM_SNOW_HERE && has_parent(seat, number) &&
            dsmr_sim_snow_ask(seat, DSMR_SIM_SNOW_VERIFY, number, snow->blocks[number].context) !=
                NULL) {
            view->stage = DSMR_SIM_SNOW_ASKED;
            return true;
        }
    }
    return false;
}

/* ---- what was decided ---- */

static bool has_heard(const struct dsmr_sim_snow_seat *seat, uint32_t number)
{
    const struct dsmr_sim_snow *snow = seat->snow;
    uint64_t lag_us = (number * UINT64_C(7919) + seat->body * UINT64_C(104729)) % snow->lag_us;
    return (seat->is_bootstrapping ||
            snow->sim->now_us >= snow->blocks[number].decided_us + lag_us) &&
           dsmr_sim_snow_hears(snow, seat->body);
}

/* One step towards the next decided block. */
static bool follow(struct dsmr_sim_snow_seat *seat)
{
    struct dsmr_sim_snow *snow = seat->snow;
    if (seat->accepting == snow->decided) {
        return false;
    }
    uint32_t number = snow->chain[seat->accepting + 1];
    struct dsmr_sim_snow_view *view = &seat->views[number];
    if (!has_heard(seat, number)) {
        return false;
    }
    if (view->stage == DSMR_SIM_SNOW_GOOD) {
        if (dsmr_sim_snow_ask(seat, DSMR_SIM_SNOW_ACCEPT, number, 0) == NULL) {
            return false;
        }
        view->stage = DSMR_SIM_SNOW_ACCEPTING;
        seat->accepting++;
        return true;
    }
    if (view->stage == DSMR_SIM_SNOW_BAD && dsmr_sim_snow_is_bound(seat)) {
        dsmr_sim_fail(snow->sim, "9", "node %u found block %u invalid, a quorum did not",
                      seat->body, number);
    }
    bool is_due = view->stage == DSMR_SIM_SNOW_AWAY || view->stage == DSMR_SIM_SNOW_REJECTED ||
                  (view->stage == DSMR_SIM_SNOW_HERE && view->due_us <= snow->sim->now_us);
    if (!is_due || dsmr_sim_snow_ask(seat, DSMR_SIM_SNOW_VERIFY, number,
                                     snow->blocks[number].context) == NULL) {
        return false;
    }
    view->stage = DSMR_SIM_SNOW_ASKED;
    return true;
}

static bool reject(struct dsmr_sim_snow_seat *seat)
{
    struct dsmr_sim_snow *snow = seat->snow;
    uint32_t count = snow->blocks_count < RECENT ? snow->blocks_count : RECENT;
    bool is_upwards = dsmr_sim_snow_chance(snow, 500);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = snow->blocks_count - 1 - (is_upwards ? count - 1 - i : i);
        const struct dsmr_sim_snow_block *block = &snow->blocks[number];
        bool is_beaten = block->block->height <= seat->accepting;
        if (block->fate != DSMR_SIM_SNOW_LOST || seat->views[number].stage != DSMR_SIM_SNOW_GOOD ||
            (!is_beaten && dsmr_sim_snow_chance(snow, 900))) {
            continue;
        }
        seat->views[number].stage = DSMR_SIM_SNOW_REJECTED;
        if (!is_beaten || dsmr_sim_snow_chance(snow, 800)) { /* else the node finds out */
            dsmr_sim_snow_tell(seat, DSMR_SIM_SNOW_REJECT, &block->block->id, 0);
        }
        return true;
    }
    return false;
}

/* ---- preference, building ---- */

static bool is_good_child(const struct dsmr_sim_snow_seat *seat, uint32_t number, uint32_t parent)
{
    const struct dsmr_sim_snow *snow = seat->snow;
    const struct dsmr_sim_snow_block *block = &snow->blocks[number];
    bool is_fresh =
        !dsmr_sim_snow_is_healed(snow) || snow->sim->now_us - block->issued_us < PREFERRED_US;
    return block->parent == parent && is_fresh && seat->views[number].stage == DSMR_SIM_SNOW_GOOD;
}

/* The next one on the way up; NONE: parent is the last. */
static uint32_t child_of(struct dsmr_sim_snow_seat *seat, uint32_t parent, bool is_any)
{
    struct dsmr_sim_snow *snow = seat->snow;
    uint32_t children[DSMR_SIM_SNOW_OPEN_MAX], count = 0;
    for (uint32_t i = 0; i < snow->open_count; i++) {
        if (is_good_child(seat, snow->open[i], parent)) {
            children[count++] = snow->open[i];
        }
    }
    if (count == 0 || (is_any && dsmr_sim_snow_chance(snow, 300))) {
        return DSMR_SIM_SNOW_NONE;
    }
    return children[is_any ? dsmr_prng_below(&snow->prng, count) : 0];
}

static bool prefer(struct dsmr_sim_snow_seat *seat)
{
    struct dsmr_sim_snow *snow = seat->snow;
    bool is_flip = dsmr_sim_snow_chance(snow, snow->flips);
    uint32_t number = snow->chain[seat->accepting];
    /* Decided, and verified here, but not accepted yet: the way goes over them. */
    for (uint64_t at = seat->accepting + 1; at <= snow->decided; at++) {
        if (seat->views[snow->chain[at]].stage != DSMR_SIM_SNOW_GOOD) {
            break;
        }
        number = snow->chain[at];
    }
    for (uint32_t next; (next = child_of(seat, number, is_flip)) != DSMR_SIM_SNOW_NONE;) {
        number = next;
    }
    if (number == seat->preference) {
        return false;
    }
    seat->preference = number;
    dsmr_sim_snow_tell(seat, DSMR_SIM_SNOW_PREFER, &snow->blocks[number].block->id, 0);
    return true;
}

static bool has_build(const struct dsmr_sim_snow_seat *seat)
{
    for (uint32_t i = 0; i < seat->asks_max; i++) {
        if (seat->asks[i].is_used && seat->asks[i].kind == DSMR_SIM_SNOW_BUILD) {
            return true;
        }
    }
    return false;
}

static bool build(struct dsmr_sim_snow_seat *seat)
{
    struct dsmr_sim_snow *snow = seat->snow;
    uint32_t parent = seat->preference;
    uint64_t context;
    bool is_known =
        parent == snow->chain[seat->accepting] || seat->views[parent].stage == DSMR_SIM_SNOW_GOOD;
    bool is_wanted = seat->is_ready || dsmr_sim_snow_chance(snow, 5);
    if (!is_wanted || !is_known || snow->sim->now_us < seat->build_due_us || has_build(seat) ||
        dsmr_sim_snow_depth(snow, parent) >= snow->depth_max ||
        snow->open_count + 8 > DSMR_SIM_SNOW_OPEN_MAX ||
        !dsmr_sim_snow_choose_context(snow, seat, parent, &context) ||
        dsmr_sim_snow_ask(seat, DSMR_SIM_SNOW_BUILD, parent, context) == NULL) {
        return false;
    }
    seat->build_due_us = snow->sim->now_us + dsmr_sim_snow_about(snow, snow->build_us);
    return true;
}

/* ---- a turn ---- */

static bool catch_up(struct dsmr_sim_snow_seat *seat)
{
    struct dsmr_sim_snow *snow = seat->snow;
    if (seat->bootstrap_to == UINT64_MAX) {
        if (dsmr_sim_snow_hears(snow, seat->body)) {
            seat->bootstrap_to = snow->decided;
        }
        return false;
    }
    if (seat->accepting < seat->bootstrap_to) {
        return follow(seat);
    }
    if (seat->accepted < seat->bootstrap_to) {
        return false;
    }
    if (snow->decided - seat->accepted > 8) { /* it has taken long: once more */
        seat->bootstrap_to = snow->decided;
        return false;
    }
    seat->is_bootstrapping = false;
    dsmr_sim_snow_tell(seat, DSMR_SIM_SNOW_BOOTSTRAPPING, NULL, false);
    return true;
}

static void say_heights(struct dsmr_sim_snow_seat *seat)
{
    struct dsmr_sim_snow *snow = seat->snow;
    for (uint32_t i = 0; i < snow->sim->schedule_count; i++) {
        if (seat->is_told[i] || seat->sees_us[i] > snow->sim->now_us) {
            continue;
        }
        seat->is_told[i] = true;
        if (dsmr_sim_snow_chance(snow, 500)) {
            dsmr_sim_snow_tell(seat, DSMR_SIM_SNOW_AVAILABLE, NULL,
                               snow->sim->schedule[i].from_height);
        } /* else the node has to ask again by and by */
    }
}

static void look_for_answers(const struct dsmr_sim_snow_seat *seat)
{
    const struct dsmr_sim *sim = seat->snow->sim;
    for (uint32_t i = 0; i < seat->asks_max; i++) {
        const struct dsmr_sim_snow_ask *ask = &seat->asks[i];
        if (ask->is_used && sim->now_us - ask->since_us > ANSWER_US &&
            dsmr_sim_snow_is_bound(seat) && dsmr_sim_check_steady_us(sim, seat->body) > ANSWER_US) {
            dsmr_sim_fail(seat->snow->sim, "14.1", "node %u owes an answer to %s since %.3f s",
                          seat->body, kind_names[ask->kind], (double)ask->since_us / 1e6);
        }
    }
}

static void turn(struct dsmr_sim_snow_seat *seat)
{
    static bool (*const actions[])(struct dsmr_sim_snow_seat *) = {follow, judge, reject, prefer,
                                                                   build};
    const uint32_t count = sizeof(actions) / sizeof(actions[0]);
    struct dsmr_sim_snow *snow = seat->snow;
    say_heights(seat);
    look_for_answers(seat);
    if (!dsmr_sim_snow_has_room(seat)) {
        return;
    }
    if (dsmr_sim_snow_chance(snow, snow->probes)) {
        dsmr_sim_snow_probe(seat);
        return;
    }
    if (seat->is_bootstrapping) {
        (void)catch_up(seat);
        return;
    }
    uint32_t first = (uint32_t)dsmr_prng_below(&snow->prng, count);
    for (uint32_t i = 0; i < count && !actions[(first + i) % count](seat); i++) {
    }
}

static void on_turn(struct dsmr_sim *sim, void *ctx)
{
    struct dsmr_sim_snow_seat *seat = ctx;
    if (seat->turn_us != sim->now_us) {
        return; /* another one was earlier */
    }
    seat->turn_us = UINT64_MAX;
    if (!seat->is_up) {
        return;
    }
    bool is_paused = sim->nodes[seat->body].is_paused;
    if (!is_paused) {
        turn(seat);
    }
    dsmr_sim_snow_seat_wake(seat, is_paused ? PAUSE_US
                                            : dsmr_sim_snow_about(seat->snow, seat->snow->turn_us));
}

void dsmr_sim_snow_seat_wake(struct dsmr_sim_snow_seat *seat, uint64_t in_us)
{
    uint64_t at_us = seat->snow->sim->now_us + in_us;
    if (at_us < seat->turn_us) {
        seat->turn_us = at_us;
        dsmr_sim_at(seat->snow->sim, at_us, on_turn, seat);
    }
}
