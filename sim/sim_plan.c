#include "sim/sim_plan.h"

#include <stdio.h>
#include <string.h>

#include "sim/sim_state.h"

const char *const dsmr_sim_fault_names[DSMR_SIM_FAULT_KINDS] = {
    "crash",  "crash-mid", "kill-all",  "pause",      "partition", "cut",   "slow",   "lossy",
    "narrow", "clock",     "eio",       "disk-full",  "wipe",      "tight", "patchy", "unreadable",
    "damage", "slow-disk", "state-eio", "state-full", "one-way",   "tail"};

struct armed {
    struct dsmr_sim_plan *plan;
    uint32_t *counts;
};
/* What an act is told: which fault of which plan. One run at a time in a process. */
static struct armed armed;

/* ---- making ---- */

/* One of the kinds first .. last - 1. */
static enum dsmr_sim_fault_kind pick(struct dsmr_prng *prng, const struct dsmr_sim_plan_mix *mix,
                                     int first, int last)
{
    uint64_t sum = 0;
    for (int i = first; i < last; i++) {
        sum += mix->weights[i];
    }
    uint64_t at = dsmr_prng_below(prng, sum);
    int kind = first;
    while (at >= mix->weights[kind]) {
        at -= mix->weights[kind++];
    }
    return (enum dsmr_sim_fault_kind)kind;
}

static uint64_t between(struct dsmr_prng *prng, uint64_t low, uint64_t high)
{
    return low + dsmr_prng_below(prng, high - low + 1);
}

static struct dsmr_sim_fault make_fault(struct dsmr_prng *prng, enum dsmr_sim_fault_kind kind,
                                        uint32_t nodes)
{
    static const int64_t skews_ms[] = {-86400000, -31000, -5000, -800, 800, 5000, 31000, 86400000};
    struct dsmr_sim_fault fault = {.kind = kind};
    fault.node = (uint32_t)dsmr_prng_below(prng, nodes);
    fault.other =
        (fault.node + 1 + (uint32_t)dsmr_prng_below(prng, nodes > 1 ? nodes - 1 : 1)) % nodes;
    fault.mask = dsmr_prng_next(prng);
    fault.flag = dsmr_prng_below(prng, 2) == 0;
    /* Mostly short, now and then longer than a chunk lives. */
    fault.lasts_us = dsmr_prng_below(prng, 8) == 0 ? between(prng, 30000000, 45000000)
                                                   : between(prng, 10000, 6000000);
    fault.amount = fault.kind == DSMR_SIM_FAULT_CLOCK
                       ? skews_ms[dsmr_prng_below(prng, sizeof(skews_ms) / sizeof(skews_ms[0]))]
                       : (int64_t)dsmr_prng_below(prng, 200);
    return fault;
}

static uint32_t count_faults(uint64_t lasts_us, uint32_t per_minute, uint32_t max)
{
    uint64_t count = lasts_us * per_minute / (60 * DSMR_SIM_SECOND_US);
    return (uint32_t)(count > max ? max : count);
}

void dsmr_sim_plan_more(struct dsmr_sim_plan *plan, struct dsmr_prng *prng,
                        const struct dsmr_sim_plan_mix *mix, uint32_t nodes, uint64_t from_us,
                        uint64_t until_us)
{
    uint64_t lasts_us = until_us > from_us ? until_us - from_us : 0;
    uint32_t count =
        count_faults(lasts_us, mix->more_per_minute, DSMR_SIM_FAULTS_MAX - plan->count);
    for (uint32_t i = 0; i < count; i++) {
        enum dsmr_sim_fault_kind kind = pick(prng, mix, DSMR_SIM_FAULT_MORE, DSMR_SIM_FAULT_KINDS);
        struct dsmr_sim_fault fault = make_fault(prng, kind, nodes);
        fault.at_us = between(prng, from_us, until_us);
        plan->faults[plan->count++] = fault;
    }
}

void dsmr_sim_plan_make(struct dsmr_sim_plan *plan, struct dsmr_prng *prng,
                        const struct dsmr_sim_plan_mix *mix, uint32_t nodes, uint32_t wipeable,
                        uint64_t from_us, uint64_t until_us)
{
    memset(plan, 0, sizeof(*plan));
    plan->wipeable = wipeable;
    if (until_us <= from_us) {
        return; /* a run shorter than its quiet beginning */
    }
    uint32_t count = count_faults(until_us - from_us, mix->faults_per_minute, DSMR_SIM_FAULTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        enum dsmr_sim_fault_kind kind = pick(prng, mix, 0, DSMR_SIM_FAULT_MORE);
        struct dsmr_sim_fault fault = make_fault(prng, kind, nodes);
        fault.at_us = between(prng, from_us, until_us);
        if (fault.kind == DSMR_SIM_FAULT_WIPE) {
            if (wipeable == UINT32_MAX) {
                continue;
            }
            fault.node = wipeable;
        }
        plan->faults[plan->count++] = fault;
    }
}

void dsmr_sim_plan_print(const struct dsmr_sim_fault *fault)
{
    printf("  %8.3f s  %-9s n%u n%u for %.3f s, mask %llx, amount %lld%s\n",
           (double)fault->at_us / 1e6, dsmr_sim_fault_names[fault->kind], fault->node, fault->other,
           (double)fault->lasts_us / 1e6, (unsigned long long)fault->mask, (long long)fault->amount,
           fault->flag ? ", seen" : "");
}

/* ---- beginning and end of a fault ---- */

static void cut_off(struct dsmr_sim *sim, const struct dsmr_sim_fault *fault, bool is_cut)
{
    uint32_t nodes = sim->config.nodes;
    for (uint32_t i = 0; i < nodes; i++) {
        for (uint32_t k = 0; k < nodes; k++) {
            uint64_t from = fault->mask >> (i % 64) & 1, to = fault->mask >> (k % 64) & 1;
            bool is_across =
                fault->kind == DSMR_SIM_FAULT_ONE_WAY ? from == 1 && to == 0 : from != to;
            if (i != k && is_across) {
                dsmr_sim_cut(sim, i, k, is_cut, fault->flag);
            }
        }
    }
}

static void set_links(struct dsmr_sim *sim, const struct dsmr_sim_fault *fault, bool is_bad)
{
    for (uint32_t k = 0; k < sim->config.nodes; k++) {
        struct dsmr_sim_link link = dsmr_sim_node_link(sim, fault->node, k);
        if (is_bad && fault->kind == DSMR_SIM_FAULT_LOSSY) {
            link.loss_ppm = (uint32_t)fault->amount * 1500; /* up to 30% */
            link.duplicate_ppm = fault->flag ? 50000 : 0;
            link.reorder_ppm = fault->flag ? 200000 : 0;
            link.jitter_us += 500000;
        } else if (is_bad && fault->kind == DSMR_SIM_FAULT_TAIL) {
            link.tail_ppm = 50000 + (uint32_t)fault->amount * 1000; /* up to a quarter */
            link.latency_us += 5000;
        } else if (is_bad) {
            link.latency_us += 1000000;
        }
        if (k != fault->node && (fault->kind != DSMR_SIM_FAULT_SLOW || k == fault->other)) {
            dsmr_sim_set_link(sim, fault->node, k, &link);
        }
    }
}

static void restart_if_down(struct dsmr_sim *sim, uint32_t node)
{
    if (!dsmr_sim_is_up(sim, node)) {
        dsmr_sim_restart(sim, node);
    }
}

/* Half of the clocks are good ones, the others wrong by up to 3%. */
static int32_t drift_ppm(const struct dsmr_sim_fault *fault)
{
    int32_t ppm = fault->mask % 2 == 0 ? 100 : (int32_t)(fault->mask % 30000);
    return fault->flag ? ppm : -ppm;
}

/* A node that starts while it cannot read knows nothing from before. */
static void restart_if_seen(struct dsmr_sim *sim, const struct dsmr_sim_fault *fault)
{
    if (fault->flag && dsmr_sim_is_up(sim, fault->node)) {
        dsmr_sim_crash(sim, fault->node);
        dsmr_sim_restart(sim, fault->node);
    }
}

static void begin_more(struct dsmr_sim *sim, const struct dsmr_sim_fault *fault)
{
    static const enum dsmr_sim_disk states[DSMR_SIM_FAULT_KINDS] = {
        [DSMR_SIM_FAULT_TIGHT] = DSMR_SIM_DISK_TIGHT,
        [DSMR_SIM_FAULT_PATCHY] = DSMR_SIM_DISK_PATCHY,
        [DSMR_SIM_FAULT_UNREADABLE] = DSMR_SIM_DISK_UNREADABLE,
        [DSMR_SIM_FAULT_SLOW_DISK] = DSMR_SIM_DISK_SLOW};
    if (fault->kind == DSMR_SIM_FAULT_STATE_EIO) {
        dsmr_sim_set_state_disk(sim, fault->node, DSMR_SIM_DISK_EIO);
    } else if (fault->kind == DSMR_SIM_FAULT_STATE_FULL) {
        dsmr_sim_set_state_disk(sim, fault->node, DSMR_SIM_DISK_FULL);
    } else if (fault->kind == DSMR_SIM_FAULT_ONE_WAY) {
        cut_off(sim, fault, true);
    } else if (fault->kind == DSMR_SIM_FAULT_TAIL) {
        set_links(sim, fault, true);
    } else if (fault->kind == DSMR_SIM_FAULT_DAMAGE) {
        (void)dsmr_sim_damage(sim, fault->node, armed.plan->wipeable, 1 + (uint32_t)fault->amount);
        restart_if_seen(sim, fault);
    } else {
        dsmr_sim_set_disk(sim, fault->node, states[fault->kind]);
        if (fault->kind == DSMR_SIM_FAULT_UNREADABLE) {
            restart_if_seen(sim, fault);
        }
    }
}

static void begin(struct dsmr_sim *sim, const struct dsmr_sim_fault *fault)
{
    uint32_t node = fault->node;
    bool is_up = dsmr_sim_is_up(sim, node);
    switch (fault->kind) {
    case DSMR_SIM_FAULT_CRASH:
    case DSMR_SIM_FAULT_WIPE:
        if (is_up) {
            dsmr_sim_crash(sim, node);
        }
        if (fault->kind == DSMR_SIM_FAULT_WIPE) {
            dsmr_sim_wipe(sim, node);
        }
        break;
    case DSMR_SIM_FAULT_CRASH_MID:
        dsmr_sim_crash_after(sim, node, 1 + (uint64_t)fault->amount);
        break;
    case DSMR_SIM_FAULT_KILL_ALL:
        for (uint32_t i = 0; i < sim->config.nodes; i++) {
            if (dsmr_sim_is_up(sim, i)) {
                dsmr_sim_crash(sim, i);
            }
        }
        break;
    case DSMR_SIM_FAULT_PAUSE:
        dsmr_sim_pause(sim, node, true);
        break;
    case DSMR_SIM_FAULT_PARTITION:
        cut_off(sim, fault, true);
        break;
    case DSMR_SIM_FAULT_CUT:
        dsmr_sim_cut(sim, node, fault->other, true, fault->flag);
        break;
    case DSMR_SIM_FAULT_SLOW:
    case DSMR_SIM_FAULT_LOSSY:
        set_links(sim, fault, true);
        break;
    case DSMR_SIM_FAULT_NARROW:
        dsmr_sim_set_uplink(sim, node, 20000);
        break;
    case DSMR_SIM_FAULT_CLOCK:
        dsmr_sim_set_clock(sim, node, fault->amount, drift_ppm(fault));
        break;
    case DSMR_SIM_FAULT_EIO:
        dsmr_sim_set_disk(sim, node, DSMR_SIM_DISK_EIO);
        break;
    case DSMR_SIM_FAULT_DISK_FULL:
        dsmr_sim_set_disk(sim, node, DSMR_SIM_DISK_FULL);
        break;
    case DSMR_SIM_FAULT_TIGHT:
    case DSMR_SIM_FAULT_PATCHY:
    case DSMR_SIM_FAULT_UNREADABLE:
    case DSMR_SIM_FAULT_DAMAGE:
    case DSMR_SIM_FAULT_SLOW_DISK:
    case DSMR_SIM_FAULT_STATE_EIO:
    case DSMR_SIM_FAULT_STATE_FULL:
    case DSMR_SIM_FAULT_ONE_WAY:
    case DSMR_SIM_FAULT_TAIL:
        begin_more(sim, fault);
        break;
    case DSMR_SIM_FAULT_KINDS:
        DSMR_UNREACHABLE();
    }
}

static void finish(struct dsmr_sim *sim, const struct dsmr_sim_fault *fault)
{
    uint32_t node = fault->node;
    switch (fault->kind) {
    case DSMR_SIM_FAULT_CRASH:
    case DSMR_SIM_FAULT_CRASH_MID:
    case DSMR_SIM_FAULT_WIPE:
        restart_if_down(sim, node);
        break;
    case DSMR_SIM_FAULT_KILL_ALL:
        for (uint32_t i = 0; i < sim->config.nodes; i++) {
            restart_if_down(sim, i);
        }
        break;
    case DSMR_SIM_FAULT_PAUSE:
        dsmr_sim_pause(sim, node, false);
        break;
    case DSMR_SIM_FAULT_PARTITION:
    case DSMR_SIM_FAULT_ONE_WAY:
        cut_off(sim, fault, false);
        break;
    case DSMR_SIM_FAULT_CUT:
        dsmr_sim_cut(sim, node, fault->other, false, false);
        break;
    case DSMR_SIM_FAULT_SLOW:
    case DSMR_SIM_FAULT_LOSSY:
    case DSMR_SIM_FAULT_TAIL:
        set_links(sim, fault, false);
        break;
    case DSMR_SIM_FAULT_NARROW:
        dsmr_sim_set_uplink(sim, node, 0);
        break;
    case DSMR_SIM_FAULT_CLOCK:
        dsmr_sim_set_clock(sim, node, 0, 0);
        break;
    case DSMR_SIM_FAULT_EIO:
    case DSMR_SIM_FAULT_DISK_FULL:
    case DSMR_SIM_FAULT_TIGHT:
    case DSMR_SIM_FAULT_PATCHY:
    case DSMR_SIM_FAULT_UNREADABLE:
    case DSMR_SIM_FAULT_SLOW_DISK:
        dsmr_sim_set_disk(sim, node, DSMR_SIM_DISK_OK);
        restart_if_down(sim, node);
        break;
    case DSMR_SIM_FAULT_STATE_EIO:
    case DSMR_SIM_FAULT_STATE_FULL:
        dsmr_sim_set_state_disk(sim, node, DSMR_SIM_DISK_OK);
        restart_if_down(sim, node);
        break;
    case DSMR_SIM_FAULT_DAMAGE: /* for good */
        break;
    case DSMR_SIM_FAULT_KINDS:
        DSMR_UNREACHABLE();
    }
}

static void on_end(struct dsmr_sim *sim, void *ctx)
{
    if (armed.plan != NULL) {
        finish(sim, ctx);
    }
}

static void on_begin(struct dsmr_sim *sim, void *ctx)
{
    const struct dsmr_sim_fault *fault = ctx;
    if (armed.plan == NULL) {
        return; /* healed before */
    }
    dsmr_sim_trace(sim, "fault %s n%u for %.3f s", dsmr_sim_fault_names[fault->kind], fault->node,
                   (double)fault->lasts_us / 1e6);
    dsmr_sim_story_fault(sim->story, sim->now_us, fault->node, dsmr_sim_fault_names[fault->kind]);
    armed.counts[fault->kind]++;
    begin(sim, fault);
    dsmr_sim_at(sim, sim->now_us + fault->lasts_us, on_end, ctx);
}

void dsmr_sim_plan_start(struct dsmr_sim_plan *plan, struct dsmr_sim *sim, uint32_t *counts)
{
    armed = (struct armed){.plan = plan, .counts = counts};
    for (uint32_t i = 0; i < plan->count; i++) {
        if (!plan->is_left_out[i]) {
            dsmr_sim_at(sim, plan->faults[i].at_us, on_begin, &plan->faults[i]);
        }
    }
}

static void heal_node(struct dsmr_sim *sim, uint32_t node, bool has_to_run)
{
    dsmr_sim_set_disk(sim, node, DSMR_SIM_DISK_OK);
    dsmr_sim_set_state_disk(sim, node, DSMR_SIM_DISK_OK);
    dsmr_sim_set_clock(sim, node, 0, 0);
    dsmr_sim_set_uplink(sim, node, 0);
    sim->nodes[node].crash_at = UINT64_MAX;
    if (dsmr_sim_is_up(sim, node)) {
        dsmr_sim_pause(sim, node, false);
    }
    if (has_to_run) {
        restart_if_down(sim, node);
    } else if (dsmr_sim_is_up(sim, node)) {
        dsmr_sim_crash(sim, node);
    }
}

void dsmr_sim_plan_heal(struct dsmr_sim *sim, const struct dsmr_sim_plan_left *left)
{
    static const struct dsmr_sim_plan_left nobody;
    uint32_t nodes = sim->config.nodes;
    armed.plan = NULL;
    sim->is_quorum_healed = true;
    sim->healed_us = left == NULL ? sim->now_us : UINT64_MAX;
    left = left == NULL ? &nobody : left;
    for (uint32_t i = 0; i < nodes; i++) {
        heal_node(sim, i, !left->nodes[i] || left->is_cut_off);
    }
    for (uint32_t i = 0; i < nodes; i++) {
        for (uint32_t k = 0; k < nodes; k++) {
            bool is_cut = left->is_cut_off && (left->nodes[i] || left->nodes[k]);
            if (i != k) {
                struct dsmr_sim_link link = dsmr_sim_node_link(sim, i, k);
                dsmr_sim_set_link(sim, i, k, &link);
                dsmr_sim_cut(sim, i, k, is_cut, !left->is_half_open);
            }
        }
    }
}
