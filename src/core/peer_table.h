/* peer_table.h - what this node knows of its peers, and what they may cost it.
 *
 * Why:     who is connected, the heights that they report (protocol.md, section 12: behind), and a
 *          budget for each, so that one peer cannot use up what belongs to the others.
 * How:     a budget is a token bucket: tokens flow in at rate per second up to burst.
 * Limits:  peers_max; FULL beyond (a peer that is down and holds nothing new gives way).
 * Threads: one owner. */
#ifndef DSMR_CORE_PEER_TABLE_H
#define DSMR_CORE_PEER_TABLE_H

#include "core/peer_pace.h"
#include "dsmr/types.h"

struct dsmr_peer_table; /* opaque */

struct dsmr_peer_budget {
    uint64_t tokens;
    uint64_t filled_mono_ms; /* when it was last filled */
    uint32_t thousandths;    /* of a token, that have flowed beside tokens */
};
struct dsmr_peer {
    struct dsmr_node_id node_id;
    bool is_up;
    bool has_status;
    uint64_t accepted_height; /* as it said last; kept when it goes down */
    uint64_t executed_height;
    uint64_t told_wall_ms; /* its clock, as its last status told */
    uint64_t heard_mono_ms;
    struct dsmr_peer_budget egress; /* bytes of chunks served */
    struct dsmr_peer_budget work;   /* certificates and chunks verified for it */
    struct dsmr_peer_pace pace;     /* of its answers to our chunks */
    uint32_t faults;
};

DSMR_MUST_USE struct dsmr_peer_table *dsmr_peer_table_new(uint32_t peers_max, uint64_t seed);
void dsmr_peer_table_free(struct dsmr_peer_table *table); /* NULL is fine */
/* The peer, made if it is not there (budgets zero, filled_mono_ms 0); NULL at the limit. Borrowed
 * until the next add. */
struct dsmr_peer *dsmr_peer_table_add(struct dsmr_peer_table *table,
                                      const struct dsmr_node_id *node_id);
struct dsmr_peer *dsmr_peer_table_find(const struct dsmr_peer_table *table,
                                       const struct dsmr_node_id *node_id);
/* Walks all: start with *position 0; NULL at the end. No add meanwhile. */
struct dsmr_peer *dsmr_peer_table_next(const struct dsmr_peer_table *table, size_t *position);
/* Fills the budget for the time that has passed, then takes amount if it is there. A first use
 * starts with a full burst. rate: tokens per second. No overflow for any input. */
bool dsmr_peer_budget_take(struct dsmr_peer_budget *budget, uint64_t amount, uint64_t rate,
                           uint64_t burst, uint64_t mono_ms);
/* Weight of those validators of set that report an accepted height above height. */
uint64_t dsmr_peer_table_weight_above(const struct dsmr_peer_table *table,
                                      const struct dsmr_validator_set *set, uint64_t height);

#endif
