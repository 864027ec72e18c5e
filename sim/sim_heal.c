#include "sim/sim_heal.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "sim/check.h"

#define HEAL_US (240 * DSMR_SIM_SECOND_US) /* the bound of progress after the last fault */
#define HEAL_TXS 20u
#define WELL_US                                                                                    \
    (60 * DSMR_SIM_SECOND_US) /* after all is level: until nodes know it of each other */
#define FLOOR_US (60 * DSMR_SIM_SECOND_US) /* the longest lifetime and skew, and more */

static bool is_left_out(const struct dsmr_sim_healing *healing, uint32_t node)
{
    return healing->left != NULL && healing->left->nodes[node];
}

/* The set of the highest block that an honest node has accepted. Others need not follow. */
static const struct dsmr_validator_set *
current_set(struct dsmr_sim *sim, const struct dsmr_sim_healing *healing, uint64_t *height)
{
    uint64_t epoch = 0;
    *height = 0;
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim); i++) {
        struct dsmr_query_status status;
        if (!dsmr_sim_check_is_honest(sim, i) || !dsmr_sim_is_up(sim, i) ||
            is_left_out(healing, i)) {
            continue;
        }
        dsmr_sim_status(sim, i, &status);
        if (status.height >= *height && status.epoch != DSMR_EPOCH_NONE) {
            *height = status.height;
            epoch = status.epoch;
        }
    }
    return dsmr_sim_check_set(sim, epoch);
}

/* It was away for longer than others keep chunks, and says so: only another one's state helps. */
static bool is_left_behind(const struct dsmr_sim *sim, const struct dsmr_query_status *status)
{
    return status->needs_state_sync && dsmr_sim_check_params(sim)->retention_ms != UINT64_MAX;
}

/* The honest validators have accepted and executed all there is. */
static bool is_level(struct dsmr_sim *sim, const struct dsmr_sim_healing *healing)
{
    uint64_t height;
    const struct dsmr_validator_set *set = current_set(sim, healing, &height);
    for (uint32_t i = 0; i < set->count; i++) {
        struct dsmr_query_status status;
        uint32_t node = dsmr_sim_check_number(&set->validators[i].node_ids[0]);
        if (!dsmr_sim_check_is_honest(sim, node) || is_left_out(healing, node)) {
            continue;
        }
        if (!dsmr_sim_is_up(sim, node)) {
            return false;
        }
        dsmr_sim_status(sim, node, &status);
        if (status.height != height ||
            (status.executed_height != height && !is_left_behind(sim, &status))) {
            return false;
        }
    }
    return true;
}

/* So that what it admits is executed: who leaves the set with transactions in its mempool has
 * nobody to hand them to, and they expire there. */
static bool is_validator(struct dsmr_sim *sim, uint32_t node, bool must_stay)
{
    const struct dsmr_sim_config *config = dsmr_sim_check_config(sim);
    struct dsmr_query_status status;
    dsmr_sim_status(sim, node, &status);
    for (uint32_t i = 0; must_stay && i < config->sets_count; i++) {
        const struct dsmr_sim_set *set = &config->sets[i];
        bool is_later = status.epoch == DSMR_EPOCH_NONE || set->from_height > status.epoch;
        if (is_later && (node < set->first || node - set->first >= set->count)) {
            return false;
        }
    }
    /* 12.4: its chunks would get no shares; 13.5: it would refuse them at the door. */
    return status.is_validator && !status.is_under_floor && !status.is_behind;
}

/* Of those that are asked: how many are under the floor (12.4), how many are not. */
static uint32_t count_under_floor(struct dsmr_sim *sim, const struct dsmr_sim_healing *healing,
                                  uint32_t *others)
{
    uint32_t count = 0;
    *others = 0;
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim); i++) {
        struct dsmr_query_status status;
        if (i == healing->forgetful || is_left_out(healing, i) || !dsmr_sim_is_up(sim, i) ||
            !dsmr_sim_check_is_honest(sim, i)) {
            continue;
        }
        dsmr_sim_status(sim, i, &status);
        count += status.is_validator && status.is_under_floor;
        *others += status.is_validator && !status.is_under_floor;
    }
    return count;
}

static bool is_floor_over(struct dsmr_sim *sim, void *ctx)
{
    uint32_t others;
    return count_under_floor(sim, ctx, &others) == 0;
}

/* A node that made its journal while its clock was ahead signs nothing until that time has come,
 * and is one of the f. Beside those that are left out it may be one too many; and there may be
 * nobody else. */
static bool may_stand(struct dsmr_sim *sim, const struct dsmr_sim_healing *healing)
{
    uint32_t others;
    uint32_t count = count_under_floor(sim, healing, &others);
    return count > 0 && (healing->left != NULL || others == 0);
}

/* The operator's supervisor: what has stopped on a bad disk is started again. */
static void restart_stopped(struct dsmr_sim *sim, const struct dsmr_sim_healing *healing)
{
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim); i++) {
        if (!dsmr_sim_is_up(sim, i) && !is_left_out(healing, i)) {
            dsmr_sim_restart(sim, i);
        }
    }
}

static bool is_drained(struct dsmr_sim *sim, void *ctx)
{
    const struct dsmr_sim_healing *healing = ctx;
    restart_stopped(sim, healing);
    return !dsmr_sim_client_has_open(healing->clients) && is_level(sim, healing);
}

/* Executed and accepted height, view, and what keeps a node from signing: b behind, d disk low. */
static void say_levels(struct dsmr_sim *sim, char *text, size_t capacity)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim) && used + 64 < capacity; i++) {
        struct dsmr_query_status status;
        if (dsmr_sim_is_up(sim, i)) {
            dsmr_sim_status(sim, i, &status);
            used +=
                (size_t)snprintf(text + used, capacity - used, " n%u %llu/%llu v%llu%s%s", i,
                                 (unsigned long long)status.executed_height,
                                 (unsigned long long)status.height, (unsigned long long)status.view,
                                 status.is_behind ? "b" : "", status.is_disk_low ? "d" : "");
        }
    }
}

/* 12.4: for as long as a clock was ahead, its own or those that made chain time, and no longer. */
static bool is_under_floor_too_long(struct dsmr_sim *sim, uint32_t node,
                                    const struct dsmr_query_status *status)
{
    uint64_t soon_ms = dsmr_sim_wall_ms(sim) + 1000;
    return status->is_under_floor && status->chain_time_ms <= soon_ms &&
           dsmr_sim_check_latest_ms(sim, node) <= soon_ms;
}

/* What keeps an honest validator from being one like any other again; NULL: nothing. Beside those
 * who are left out it may see too few peers, which it counts and does not weigh, or hear too few to
 * know what it has voted. */
static const char *ails(struct dsmr_sim *sim, const struct dsmr_sim_healing *healing, uint32_t node,
                        const struct dsmr_query_status *status)
{
    if (is_left_behind(sim, status)) {
        return NULL;
    }
    if (healing->left == NULL && (status->votes_from != 0 || !status->has_peers)) {
        return status->has_peers ? "does not vote" : "sees too few peers";
    }
    return status->is_behind                            ? "is behind"
           : status->is_disk_low                        ? "has a low disk"
           : status->is_backlog_full                    ? "has a full backlog"
           : status->is_final_refused                   ? "cannot take a final block"
           : is_under_floor_too_long(sim, node, status) ? "is under the floor"
                                                        : NULL;
}

/* Nobody still ails; else *first does. */
static bool is_well(struct dsmr_sim *sim, const struct dsmr_sim_healing *healing, uint32_t *first,
                    const char **why)
{
    uint64_t height;
    const struct dsmr_validator_set *set = current_set(sim, healing, &height);
    for (uint32_t i = 0; i < set->count; i++) {
        struct dsmr_query_status status;
        uint32_t node = dsmr_sim_check_number(&set->validators[i].node_ids[0]);
        if (!dsmr_sim_check_is_honest(sim, node) || is_left_out(healing, node) ||
            !dsmr_sim_is_up(sim, node)) {
            continue;
        }
        dsmr_sim_status(sim, node, &status);
        *first = node;
        *why = ails(sim, healing, node, &status);
        if (*why != NULL) {
            return false;
        }
    }
    return true;
}

static bool are_all_well(struct dsmr_sim *sim, void *ctx)
{
    uint32_t first;
    const char *why;
    return is_well(sim, ctx, &first, &why);
}

/* 12.5, 13.5, bft 17: what is healed signs, builds and votes again, and does not only follow. */
static void demand_health(struct dsmr_sim *sim, struct dsmr_sim_healing *healing, const char *who)
{
    uint32_t first = 0;
    const char *why = "";
    (void)dsmr_sim_run(sim, are_all_well, healing, WELL_US);
    if (!dsmr_sim_has_failed(sim) && !is_well(sim, healing, &first, &why)) {
        dsmr_sim_fail(sim, "L1", "node %u still %s %llu s after all that was sent after %s has run",
                      first, why, (unsigned long long)(WELL_US / DSMR_SIM_SECOND_US), who);
    }
}

static void forgive_all(struct dsmr_sim *sim, const struct dsmr_sim_healing *healing)
{
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim); i++) {
        dsmr_sim_client_forgive(healing->clients, i);
    }
}

/* To honest validators, as many to each as to the others. Returns how many: fewer than HEAL_TXS if
 * nobody may produce. */
static uint32_t send_txs(struct dsmr_sim *sim, const struct dsmr_sim_healing *healing)
{
    uint64_t window_ms = dsmr_sim_check_params(sim)->validity_window_ms;
    bool must_stay = true; /* if anybody does */
    uint32_t sent = 0;
    for (uint32_t i = 0; sent < HEAL_TXS && i < HEAL_TXS * dsmr_sim_check_nodes(sim); i++) {
        uint32_t node = i % dsmr_sim_check_nodes(sim);
        must_stay = must_stay && (sent > 0 || i < dsmr_sim_check_nodes(sim));
        if (node != healing->forgetful && dsmr_sim_check_is_honest(sim, node) &&
            !is_left_out(healing, node) && is_validator(sim, node, must_stay)) {
            dsmr_sim_client_submit(healing->clients, node, window_ms - 2000);
            sent++;
        }
    }
    return sent;
}

/* What is sent now, to honest validators on a healed network, has to be executed: it lives longer
 * than the bound. forgetful: one that may have been wiped while its clock was a day ahead; it signs
 * nothing for that long, and counts among the f. */
void dsmr_sim_heal_demand(struct dsmr_sim *sim, struct dsmr_sim_healing *healing)
{
    struct dsmr_sim_client_counts before, after;
    char levels[384];
    const char *who = healing->left != NULL ? "the healing of a quorum" : "the healing";
    dsmr_sim_plan_heal(sim, healing->left);
    /* First whatever was going on comes to its end: what lives only a while expires. */
    (void)dsmr_sim_run(sim, is_drained, healing, HEAL_US);
    if (dsmr_sim_has_failed(sim)) {
        return;
    }
    if (!dsmr_sim_run(sim, is_floor_over, healing, FLOOR_US) && may_stand(sim, healing)) {
        forgive_all(sim, healing);
        return;
    }
    dsmr_sim_client_counts(healing->clients, &before);
    if (send_txs(sim, healing) < HEAL_TXS) {
        dsmr_sim_fail(sim, "L1", "no honest validator may produce after %s", who);
        return;
    }
    bool is_done = dsmr_sim_run(sim, is_drained, healing, HEAL_US);
    if (dsmr_sim_has_failed(sim)) {
        return;
    }
    dsmr_sim_client_counts(healing->clients, &after);
    if (after.executed - before.executed < HEAL_TXS) {
        say_levels(sim, levels, sizeof(levels));
        dsmr_sim_fail(sim, "L1", "%llu of %u transactions were executed after %s:%s",
                      (unsigned long long)(after.executed - before.executed), HEAL_TXS, who,
                      levels);
    } else if (!is_done) {
        say_levels(sim, levels, sizeof(levels));
        dsmr_sim_fail(sim, "L1", "%llu s after %s:%s",
                      (unsigned long long)(2 * HEAL_US / DSMR_SIM_SECOND_US), who, levels);
    } else {
        demand_health(sim, healing, who);
    }
}
