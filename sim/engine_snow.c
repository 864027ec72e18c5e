/* engine_snow.c - the model as a whole: the other chain, what is issued, what is decided. */
#include "sim/engine_snow.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "sim/check_rules.h"
#include "sim/check_table.h"
#include "sim/snow_state.h"
#include "wire/codec.h"

#define EPOCH_FIRST UINT64_C(1000) /* a height of the other chain */
#define EPOCH_STEP UINT64_C(17)
#define RETIRE_US (20 * DSMR_SIM_SECOND_US) /* what no quorum wants */
#define RETIRE_HEALED_US (3 * DSMR_SIM_SECOND_US)
#define LATE_US (40 * DSMR_SIM_SECOND_US) /* at most, of a height of the other chain at a node */
#define HEALED_US (DSMR_SIM_SECOND_US / 5)

bool dsmr_sim_snow_chance(struct dsmr_sim_snow *snow, uint32_t per_mille)
{
    return dsmr_prng_below(&snow->prng, 1000) < per_mille;
}

uint64_t dsmr_sim_snow_about(struct dsmr_sim_snow *snow, uint64_t mean_us)
{
    return 1 + dsmr_prng_below(&snow->prng, 2 * mean_us + 1);
}

bool dsmr_sim_snow_is_healed(const struct dsmr_sim_snow *snow)
{
    return snow->sim->is_quorum_healed;
}

bool dsmr_sim_snow_is_honest(const struct dsmr_sim_snow *snow, uint32_t body)
{
    return snow->sim->nodes[body].byz == NULL;
}

/* ---- the other chain ---- */

void dsmr_sim_snow_sets(struct dsmr_sim_config *config)
{
    struct dsmr_prng prng;
    struct dsmr_sim_set sets[DSMR_SIM_SETS_MAX];
    uint32_t given = config->sets_count, count = 0;
    dsmr_prng_init(&prng, config->seed ^ UINT64_C(0x65706f6368));
    if (given == 0) {
        config->sets[given++] = (struct dsmr_sim_set){.count = config->nodes};
    }
    for (uint32_t i = 0; i < given; i++) { /* each for one height of that chain, or for some */
        uint64_t room = DSMR_SIM_SETS_MAX - count - (given - i);
        uint64_t more = dsmr_prng_below(&prng, 1 + (room < 8 ? room : 8));
        for (uint64_t k = 0; k <= more; k++) {
            sets[count] = config->sets[i];
            sets[count].from_height = EPOCH_FIRST + count * EPOCH_STEP;
            count++;
        }
    }
    memcpy(config->sets, sets, count * sizeof(sets[0]));
    config->sets_count = count;
}

uint32_t dsmr_sim_snow_epoch(const struct dsmr_sim_snow *snow, uint64_t epoch)
{
    uint32_t i = 0;
    while (i < snow->sim->schedule_count && snow->sim->schedule[i].from_height != epoch) {
        i++;
    }
    return i;
}

bool dsmr_sim_snow_has_set(const struct dsmr_sim_snow *snow, uint32_t node, uint64_t epoch)
{
    uint32_t place = dsmr_sim_snow_epoch(snow, epoch);
    return place < snow->sim->schedule_count &&
           snow->seats[node].sees_us[place] <= snow->sim->now_us;
}

bool dsmr_sim_snow_choose_context(struct dsmr_sim_snow *snow, const struct dsmr_sim_snow_seat *seat,
                                  uint32_t parent, uint64_t *context)
{
    const struct dsmr_sim_snow_block *block = &snow->blocks[parent];
    uint32_t low = 0, high = 0;
    *context = DSMR_EPOCH_NONE;
    if (block->block->height == 0) {
        return true;
    }
    if (block->context != DSMR_EPOCH_NONE) {
        low = dsmr_sim_snow_epoch(snow, block->context);
    }
    while (high < snow->sim->schedule_count && seat->sees_us[high] <= snow->sim->now_us) {
        high++;
    }
    if (high <= low) {
        return false;
    }
    uint64_t which = dsmr_prng_below(&snow->prng, 10);
    uint64_t place = which < 6   ? high - 1
                     : which < 9 ? low
                                 : low + dsmr_prng_below(&snow->prng, high - low);
    *context = snow->sim->schedule[place].from_height;
    return true;
}

static uint64_t pick(struct dsmr_sim_snow *snow, const uint64_t *values, uint64_t count)
{
    return values[dsmr_prng_below(&snow->prng, count)];
}

static void choose_heights(struct dsmr_sim_snow *snow)
{
    uint64_t at_us = dsmr_prng_below(&snow->prng, 2 * DSMR_SIM_SECOND_US);
    uint64_t mean_us = pick(snow, (const uint64_t[]){1000000, 4000000, 15000000}, 3);
    for (uint32_t i = 0; i < snow->sim->schedule_count; i++) {
        snow->born_us[i] = at_us;
        at_us += dsmr_sim_snow_about(snow, mean_us);
    }
    for (uint32_t body = 0; body < snow->seats_count; body++) {
        for (uint32_t i = 0; i < snow->sim->schedule_count; i++) {
            uint64_t late_us = dsmr_sim_snow_chance(snow, 700)   ? 300000
                               : dsmr_sim_snow_chance(snow, 900) ? 5 * DSMR_SIM_SECOND_US
                                                                 : LATE_US;
            snow->seats[body].sees_us[i] = snow->born_us[i] + dsmr_prng_below(&snow->prng, late_us);
        }
    }
}

/* All nodes see that chain now; who is not told has to ask again. */
static void heal(struct dsmr_sim_snow *snow)
{
    for (uint32_t body = 0; body < snow->seats_count; body++) {
        struct dsmr_sim_snow_seat *seat = &snow->seats[body];
        for (uint32_t i = 0; i < snow->sim->schedule_count; i++) {
            uint64_t due_us = snow->born_us[i] + HEALED_US;
            due_us = due_us < snow->sim->now_us ? snow->sim->now_us : due_us;
            seat->sees_us[i] = seat->sees_us[i] < due_us ? seat->sees_us[i] : due_us;
        }
    }
    snow->decide_us = snow->decide_us < HEALED_US ? snow->decide_us : HEALED_US;
    snow->build_us = snow->build_us < HEALED_US ? snow->build_us : HEALED_US;
    snow->lag_us = snow->lag_us < HEALED_US ? snow->lag_us : HEALED_US;
    snow->waits = 0;
    snow->flips = 0;
    snow->is_healing_done = true;
}

/* ---- who hears whom ---- */

bool dsmr_sim_snow_reaches(const struct dsmr_sim_snow *snow, uint32_t a, uint32_t b)
{
    const struct dsmr_sim *sim = snow->sim;
    bool is_there = sim->nodes[a].driver != NULL && sim->nodes[b].driver != NULL &&
                    !sim->nodes[a].is_paused && !sim->nodes[b].is_paused;
    return is_there && (a == b || (!dsmr_sim_net_path(sim, a, b)->is_cut &&
                                   !dsmr_sim_net_path(sim, b, a)->is_cut));
}

static uint32_t body_seen(const struct dsmr_sim_snow *snow, uint32_t body,
                          const struct dsmr_validator *validator)
{
    uint32_t number = dsmr_sim_net_number(&validator->node_ids[0]);
    return snow->sim->nodes[body].identity == number ? body
                                                     : dsmr_sim_net_body(snow->sim, body, number);
}

static const struct dsmr_validator_set *set_of(const struct dsmr_sim_snow *snow, uint64_t context)
{
    uint32_t place = context == DSMR_EPOCH_NONE ? 0 : dsmr_sim_snow_epoch(snow, context);
    return snow->sim->schedule[place].set;
}

bool dsmr_sim_snow_hears(const struct dsmr_sim_snow *snow, uint32_t body)
{
    const struct dsmr_validator_set *set =
        set_of(snow, snow->blocks[snow->chain[snow->decided]].context);
    dsmr_sim_u128 weight = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        bool is_near =
            dsmr_sim_snow_reaches(snow, body, body_seen(snow, body, &set->validators[i]));
        weight += is_near ? set->validators[i].weight : 0;
    }
    return dsmr_sim_rules_is_quorum(weight, set->total_weight);
}

/* ---- issuing ---- */

static uint32_t find(const struct dsmr_sim_snow *snow, const struct dsmr_id *id)
{
    const uint32_t *number = dsmr_sim_table_find(snow->numbers, id);
    return number == NULL ? DSMR_SIM_SNOW_NONE : *number;
}

static void grow(struct dsmr_sim_snow *snow)
{
    uint32_t old = snow->blocks_capacity;
    snow->blocks_capacity = old == 0 ? 256 : old * 2;
    snow->blocks = realloc(snow->blocks, snow->blocks_capacity * sizeof(*snow->blocks));
    DSMR_ASSERT(snow->blocks != NULL);
    for (uint32_t i = 0; i < snow->seats_count; i++) {
        struct dsmr_sim_snow_seat *seat = &snow->seats[i];
        seat->views = realloc(seat->views, snow->blocks_capacity * sizeof(*seat->views));
        DSMR_ASSERT(seat->views != NULL);
        memset(seat->views + old, 0, (snow->blocks_capacity - old) * sizeof(*seat->views));
    }
}

/* When a block that body issues now comes to seat. */
static uint64_t arrival_us(struct dsmr_sim_snow *snow, uint32_t body, uint32_t seat)
{
    const struct dsmr_sim_path *path = dsmr_sim_net_path(snow->sim, body, seat);
    uint64_t extra_us = dsmr_sim_snow_chance(snow, 50) && !dsmr_sim_snow_is_healed(snow)
                            ? dsmr_prng_below(&snow->prng, 3 * DSMR_SIM_SECOND_US)
                            : 0;
    return snow->sim->now_us + path->link.latency_us +
           dsmr_prng_below(&snow->prng, path->link.jitter_us + 1) + extra_us;
}

/* Whether it may still be decided: it descends from the last decided block, or from nowhere. */
static bool is_possible(const struct dsmr_sim_snow *snow, uint32_t number)
{
    uint32_t up = number;
    while (up != DSMR_SIM_SNOW_NONE && snow->blocks[up].fate == DSMR_SIM_SNOW_OPEN) {
        up = snow->blocks[up].parent;
    }
    return up == DSMR_SIM_SNOW_NONE ? snow->blocks[number].block->height > snow->decided
                                    : up == snow->chain[snow->decided];
}

static void tell_checkers(struct dsmr_sim *sim, uint32_t body, const struct dsmr_block *block,
                          bool is_built)
{
    for (uint32_t i = 0; i < sim->checkers_count; i++) {
        const struct dsmr_sim_checker *checker = &sim->checkers[i];
        if (checker->ops->issued != NULL) {
            checker->ops->issued(checker->self, sim, body, block, is_built);
        }
    }
}

uint32_t dsmr_sim_snow_add(struct dsmr_sim_snow *snow, uint32_t body, struct dsmr_block *block,
                           uint64_t context, bool is_honest)
{
    uint32_t number = find(snow, &block->id);
    tell_checkers(snow->sim, body, block, is_honest);
    if (number != DSMR_SIM_SNOW_NONE) {
        return number; /* two have built the same */
    }
    if (snow->blocks_count == snow->blocks_capacity) {
        grow(snow);
    }
    uint32_t parent = find(snow, &block->parent_id);
    number = snow->blocks_count++;
    *(uint32_t *)dsmr_sim_table_add(snow->numbers, &block->id, NULL) = number;
    snow->blocks[number] = (struct dsmr_sim_snow_block){.block = dsmr_block_ref(block),
                                                        .context = context,
                                                        .parent = parent,
                                                        .issuer = body,
                                                        .is_honest = is_honest,
                                                        .issued_us = snow->sim->now_us};
    bool is_late = !is_possible(snow, number) || snow->open_count == DSMR_SIM_SNOW_OPEN_MAX;
    snow->blocks[number].fate = is_late ? DSMR_SIM_SNOW_LOST : DSMR_SIM_SNOW_OPEN;
    if (!is_late) {
        snow->open[snow->open_count++] = number;
    }
    for (uint32_t i = 0; i < snow->seats_count; i++) {
        snow->seats[i].views[number].due_us = arrival_us(snow, body, i);
    }
    dsmr_sim_trace(snow->sim, "snow: n%u issues block %u on %d, height %llu, context %lld%s", body,
                   number, (int)parent, (unsigned long long)block->height, (long long)context,
                   is_honest ? "" : ", a liar's");
    return number;
}

void dsmr_sim_snow_issue(struct dsmr_sim_snow *snow, uint32_t node, struct dsmr_block *block,
                         uint64_t context)
{
    struct dsmr_block *copy = NULL;
    if (dsmr_block_decode(&copy, &snow->sim->params, block->bytes, block->bytes->bytes,
                          block->bytes->len) == DSMR_OK) {
        (void)dsmr_sim_snow_add(snow, node, copy, context, false);
        dsmr_block_unref(copy);
    } else {
        snow->counts.bad++; /* nobody gets beyond parsing it */
    }
}

uint32_t dsmr_sim_snow_depth(const struct dsmr_sim_snow *snow, uint32_t number)
{
    uint32_t depth = 0;
    while (number != DSMR_SIM_SNOW_NONE && snow->blocks[number].fate == DSMR_SIM_SNOW_OPEN) {
        number = snow->blocks[number].parent;
        depth++;
    }
    return depth;
}

/* ---- deciding ---- */

/* Liars are for any block, three times out of four; always the same for one block. */
static bool is_for(const struct dsmr_sim_snow *snow, uint32_t body, uint32_t number)
{
    if (dsmr_sim_snow_is_honest(snow, body)) {
        return snow->seats[body].views[number].stage == DSMR_SIM_SNOW_GOOD;
    }
    return (number * 7u + body * 3u + (uint32_t)snow->sim->config.seed) % 4u != 0;
}

static bool has_quorum_at(const struct dsmr_sim_snow *snow, uint32_t number, uint32_t body,
                          const struct dsmr_validator_set *set)
{
    dsmr_sim_u128 weight = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        uint32_t other = body_seen(snow, body, &set->validators[i]);
        if (dsmr_sim_snow_reaches(snow, body, other) && is_for(snow, other, number)) {
            weight += set->validators[i].weight;
        }
    }
    return dsmr_sim_rules_is_quorum(weight, set->total_weight);
}

/* Some honest node sees a quorum that has verified it. */
static bool has_quorum(const struct dsmr_sim_snow *snow, uint32_t number)
{
    const struct dsmr_validator_set *set = set_of(snow, snow->blocks[number].context);
    for (uint32_t i = 0; i < set->count; i++) {
        uint32_t body = dsmr_sim_net_number(&set->validators[i].node_ids[0]);
        if (dsmr_sim_snow_is_honest(snow, body) && is_for(snow, body, number) &&
            has_quorum_at(snow, number, body, set)) {
            return true;
        }
    }
    return false;
}

static void lose(struct dsmr_sim_snow *snow, uint32_t number)
{
    snow->blocks[number].fate = DSMR_SIM_SNOW_LOST;
    snow->counts.lost++;
    snow->counts.bad += snow->blocks[number].is_bad;
}

/* Parents stand before their children. */
static void prune(struct dsmr_sim_snow *snow)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < snow->open_count; i++) {
        uint32_t number = snow->open[i];
        if (snow->blocks[number].fate == DSMR_SIM_SNOW_OPEN) {
            if (is_possible(snow, number)) {
                snow->open[left++] = number;
            } else {
                lose(snow, number);
            }
        }
    }
    snow->open_count = left;
}

static void decide(struct dsmr_sim_snow *snow, uint32_t number)
{
    struct dsmr_sim_snow_block *block = &snow->blocks[number];
    if (snow->decided + 1 == snow->chain_capacity) {
        snow->chain_capacity *= 2;
        snow->chain = realloc(snow->chain, snow->chain_capacity * sizeof(*snow->chain));
        DSMR_ASSERT(snow->chain != NULL);
    }
    block->fate = DSMR_SIM_SNOW_DECIDED;
    block->decided_us = snow->sim->now_us;
    snow->chain[++snow->decided] = number;
    snow->counts.decided++;
    dsmr_sim_trace(snow->sim, "snow: block %u is decided at height %llu", number,
                   (unsigned long long)snow->decided);
    prune(snow);
}

/* What no quorum wants for long is given up. */
static void retire(struct dsmr_sim_snow *snow)
{
    uint64_t us = dsmr_sim_snow_is_healed(snow) ? RETIRE_HEALED_US : RETIRE_US;
    bool is_any = false;
    for (uint32_t i = 0; i < snow->open_count; i++) {
        struct dsmr_sim_snow_block *block = &snow->blocks[snow->open[i]];
        if (snow->sim->now_us - block->issued_us > us && !has_quorum(snow, snow->open[i])) {
            lose(snow, snow->open[i]);
            is_any = true;
        }
    }
    if (is_any) {
        prune(snow);
    }
}

static void on_decide(struct dsmr_sim *sim, void *ctx)
{
    struct dsmr_sim_snow *snow = ctx;
    uint32_t ready[DSMR_SIM_SNOW_OPEN_MAX], count = 0;
    if (dsmr_sim_snow_is_healed(snow) && !snow->is_healing_done) {
        heal(snow);
    }
    retire(snow);
    for (uint32_t i = 0; i < snow->open_count; i++) {
        if (snow->blocks[snow->open[i]].parent == snow->chain[snow->decided] &&
            has_quorum(snow, snow->open[i])) {
            ready[count++] = snow->open[i];
        }
    }
    if (count > 0 && !dsmr_sim_snow_chance(snow, snow->waits)) {
        decide(snow, ready[dsmr_prng_below(&snow->prng, count)]);
    }
    dsmr_sim_at(sim, sim->now_us + dsmr_sim_snow_about(snow, snow->decide_us), on_decide, snow);
}

/* ---- for checkers ---- */

bool dsmr_sim_snow_context(const struct dsmr_sim_snow *snow, const struct dsmr_block *block,
                           uint64_t *context)
{
    if (block->height == 0 || block->height > snow->decided) {
        return false;
    }
    const struct dsmr_sim_snow_block *decided = &snow->blocks[snow->chain[block->height]];
    *context = decided->context;
    return dsmr_id_equal(&decided->block->id, &block->id);
}

void dsmr_sim_snow_counts(const struct dsmr_sim_snow *snow, struct dsmr_sim_snow_counts *out)
{
    *out = snow->counts;
}

/* ---- making ---- */

/* A quarter of the engines are gentle. */
static void choose_mood(struct dsmr_sim_snow *snow)
{
    static const uint64_t decides_us[] = {5000, 20000, 100000, 500000};
    static const uint64_t builds_us[] = {10000, 50000, 200000, 1000000};
    static const uint64_t turns_us[] = {2000, 5000, 20000};
    static const uint64_t lags_us[] = {50000, 300000, 3000000};
    static const uint64_t depths[] = {1, 2, 4, 10};
    bool is_gentle = dsmr_prng_below(&snow->prng, 4) == 0;
    snow->decide_us = pick(snow, decides_us, 4);
    snow->build_us = pick(snow, builds_us, 4);
    snow->turn_us = pick(snow, turns_us, 3);
    snow->lag_us = pick(snow, lags_us, is_gentle ? 1 : 3);
    snow->depth_max = (uint32_t)pick(snow, depths, 4);
    snow->probes = is_gentle ? 5 : 20 + (uint32_t)dsmr_prng_below(&snow->prng, 100);
    snow->flips = is_gentle ? 5 : (uint32_t)dsmr_prng_below(&snow->prng, 100);
    snow->waits = is_gentle ? 0 : (uint32_t)dsmr_prng_below(&snow->prng, 900);
    snow->back = is_gentle ? 100 : (uint32_t)dsmr_prng_below(&snow->prng, 700);
    dsmr_sim_trace(snow->sim, "snow: decides in %llu us, builds in %llu, turns in %llu, depth %u",
                   (unsigned long long)snow->decide_us, (unsigned long long)snow->build_us,
                   (unsigned long long)snow->turn_us, snow->depth_max);
}

static void add_genesis(struct dsmr_sim_snow *snow)
{
    grow(snow);
    snow->numbers = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(uint32_t));
    *(uint32_t *)dsmr_sim_table_add(snow->numbers, &snow->sim->genesis->id, NULL) = 0;
    snow->blocks_count = 1;
    snow->blocks[0] = (struct dsmr_sim_snow_block){.block = dsmr_block_ref(snow->sim->genesis),
                                                   .context = DSMR_EPOCH_NONE,
                                                   .parent = DSMR_SIM_SNOW_NONE,
                                                   .fate = DSMR_SIM_SNOW_DECIDED};
    snow->chain_capacity = 256;
    snow->chain = calloc(snow->chain_capacity, sizeof(*snow->chain));
    DSMR_ASSERT(snow->chain != NULL);
}

struct dsmr_sim_snow *dsmr_sim_snow_new(struct dsmr_sim *sim)
{
    struct dsmr_sim_snow *snow = calloc(1, sizeof(*snow));
    DSMR_ASSERT(snow != NULL);
    snow->sim = sim;
    dsmr_prng_init(&snow->prng, sim->config.seed ^ UINT64_C(0x736e6f77));
    snow->seats_count = sim->config.nodes + DSMR_SIM_TWINS_MAX;
    snow->seats = calloc(snow->seats_count, sizeof(*snow->seats));
    DSMR_ASSERT(snow->seats != NULL);
    add_genesis(snow);
    choose_mood(snow);
    choose_heights(snow);
    for (uint32_t i = 0; i < snow->seats_count; i++) {
        struct dsmr_sim_snow_seat *seat = &snow->seats[i];
        seat->snow = snow;
        seat->body = i;
        seat->turn_us = UINT64_MAX;
        seat->asks_max =
            (uint32_t)pick(snow, (const uint64_t[]){1, 1, 6, DSMR_SIM_SNOW_ASKS_MAX}, 4);
        seat->tip.block_id = sim->genesis->id;
    }
    dsmr_sim_at(sim, dsmr_sim_snow_about(snow, snow->decide_us), on_decide, snow);
    return snow;
}

void dsmr_sim_snow_free(struct dsmr_sim_snow *snow)
{
    if (snow == NULL) {
        return;
    }
    for (uint32_t i = 0; i < snow->blocks_count; i++) {
        dsmr_block_unref(snow->blocks[i].block);
    }
    for (uint32_t i = 0; i < snow->seats_count; i++) {
        free(snow->seats[i].views);
    }
    dsmr_sim_table_free(snow->numbers);
    free(snow->seats);
    free(snow->blocks);
    free(snow->chain);
    free(snow);
}
