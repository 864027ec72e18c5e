/* snow_state.h - the inside of the snow model, for its own files.
 *
 * Blocks:  each that was ever issued has a number, by which seats speak of it. It is OPEN until one
 *          of its height is decided; then it is that one, or lost. Genesis is number 0.
 * Seats:   stages of a block at a seat are those of one life:
 *
 *      AWAY --> HERE <--> ASKED --> GOOD --> ACCEPTING --> ACCEPTED
 *                           |         '--> REJECTED
 *                           '--> BAD                                                            */
#ifndef DSMR_SIM_SNOW_STATE_H
#define DSMR_SIM_SNOW_STATE_H

#include "sim/engine_snow.h"
#include "sim/sim_state.h"

#define DSMR_SIM_SNOW_OPEN_MAX 64u
#define DSMR_SIM_SNOW_ASKS_MAX 160u /* calls of one seat that wait for an answer */
#define DSMR_SIM_SNOW_NONE UINT32_MAX

enum dsmr_sim_snow_fate { DSMR_SIM_SNOW_OPEN, DSMR_SIM_SNOW_DECIDED, DSMR_SIM_SNOW_LOST };
struct dsmr_sim_snow_block {
    struct dsmr_block *block;
    uint64_t context;
    uint32_t parent; /* its number; NONE: no such block was issued */
    uint32_t issuer;
    enum dsmr_sim_snow_fate fate;
    bool is_honest; /* as an honest node's own code built it */
    bool is_bad;    /* an honest node found it invalid */
    uint64_t issued_us, decided_us;
};

enum dsmr_sim_snow_stage {
    DSMR_SIM_SNOW_AWAY,
    DSMR_SIM_SNOW_HERE,
    DSMR_SIM_SNOW_ASKED,
    DSMR_SIM_SNOW_GOOD,
    DSMR_SIM_SNOW_BAD,
    DSMR_SIM_SNOW_ACCEPTING,
    DSMR_SIM_SNOW_ACCEPTED,
    DSMR_SIM_SNOW_REJECTED
};
struct dsmr_sim_snow_view { /* of one block at one seat */
    enum dsmr_sim_snow_stage stage;
    uint64_t due_us; /* not before: it arrives; it is verified again */
};

enum dsmr_sim_snow_kind {
    DSMR_SIM_SNOW_BUILD,
    DSMR_SIM_SNOW_VERIFY,
    DSMR_SIM_SNOW_ACCEPT,
    DSMR_SIM_SNOW_REJECT,
    DSMR_SIM_SNOW_PREFER,
    DSMR_SIM_SNOW_BOOTSTRAPPING,
    DSMR_SIM_SNOW_AVAILABLE
};
struct dsmr_sim_snow_ask { /* a call that has an answer to come */
    bool is_used;
    bool is_probe; /* the answer may be anything but OK */
    enum dsmr_sim_snow_kind kind;
    uint64_t request_id, since_us;
    uint32_t block; /* of a build: the parent */
    uint64_t context;
};

struct dsmr_sim_snow_seat {
    struct dsmr_sim_snow *snow;
    uint32_t body;
    bool is_up;
    uint32_t asks_max; /* 1: one call at a time, as AvalancheGo makes them */
    uint64_t turn_us;

    /* On the engine's disk */
    struct dsmr_engine_tip tip;

    /* Of this life */
    uint64_t accepting, accepted; /* heights: asked for; answered */
    uint32_t preference;
    bool is_ready, is_bootstrapping;
    uint64_t bootstrap_to; /* height; 0: not known yet */
    uint64_t build_due_us;
    struct dsmr_sim_snow_view *views; /* of all blocks of the model */
    struct dsmr_sim_snow_ask asks[DSMR_SIM_SNOW_ASKS_MAX];

    /* When it sees each height of the other chain, and whether it has said so */
    uint64_t sees_us[DSMR_SIM_SETS_MAX];
    bool is_told[DSMR_SIM_SETS_MAX];
};

struct dsmr_sim_snow {
    struct dsmr_sim *sim;
    struct dsmr_prng prng;
    struct dsmr_sim_snow_block *blocks;
    uint32_t blocks_count, blocks_capacity;
    struct dsmr_sim_table *numbers; /* id -> uint32_t */
    uint32_t *chain;                /* numbers of the decided ones, by height */
    uint64_t decided, chain_capacity;
    uint32_t open[DSMR_SIM_SNOW_OPEN_MAX]; /* numbers, oldest first */
    uint32_t open_count;
    struct dsmr_sim_snow_seat *seats; /* by body */
    uint32_t seats_count;
    uint64_t requests;
    uint64_t born_us[DSMR_SIM_SETS_MAX]; /* of each height of the schedule, on the other chain */
    struct dsmr_sim_snow_counts counts;
    bool is_healing_done;

    /* What the seed has chosen */
    uint64_t decide_us, build_us, turn_us; /* means */
    uint64_t lag_us;                       /* from a decision to who hears of it, at most */
    uint32_t depth_max;                    /* of undecided blocks on each other */
    uint32_t probes, flips, waits;         /* in a thousand turns; of a decision: waits */
    uint32_t back;                         /* in a thousand stops: the engine's disk goes back */
};

/* engine_snow.c */
bool dsmr_sim_snow_chance(struct dsmr_sim_snow *snow, uint32_t per_mille);
/* About mean: up to twice of it. */
uint64_t dsmr_sim_snow_about(struct dsmr_sim_snow *snow, uint64_t mean_us);
bool dsmr_sim_snow_is_healed(const struct dsmr_sim_snow *snow);
/* Whether messages pass between the two bodies, both ways. */
bool dsmr_sim_snow_reaches(const struct dsmr_sim_snow *snow, uint32_t a, uint32_t b);
/* Whether it reaches a quorum of the set by which the chain now decides. */
bool dsmr_sim_snow_hears(const struct dsmr_sim_snow *snow, uint32_t body);
/* Place of epoch in the schedule; the schedule's end if it is not there. */
uint32_t dsmr_sim_snow_epoch(const struct dsmr_sim_snow *snow, uint64_t epoch);
/* A context for a block on parent, as the engine of seat may choose it. False: it sees none yet. */
bool dsmr_sim_snow_choose_context(struct dsmr_sim_snow *snow, const struct dsmr_sim_snow_seat *seat,
                                  uint32_t parent, uint64_t *context);
/* OPEN ancestors of a block, itself included. */
uint32_t dsmr_sim_snow_depth(const struct dsmr_sim_snow *snow, uint32_t number);
bool dsmr_sim_snow_is_honest(const struct dsmr_sim_snow *snow, uint32_t body);
/* The number of a block that seat's own code has built. */
uint32_t dsmr_sim_snow_add(struct dsmr_sim_snow *snow, uint32_t body, struct dsmr_block *block,
                           uint64_t context, bool is_honest);

/* snow_seat.c */
void dsmr_sim_snow_seat_wake(struct dsmr_sim_snow_seat *seat, uint64_t in_us);

/* snow_calls.c */
/* Whether the node may be held to what it answers: it is honest, and its disk is good. */
bool dsmr_sim_snow_is_bound(const struct dsmr_sim_snow_seat *seat);
bool dsmr_sim_snow_has_room(struct dsmr_sim_snow_seat *seat); /* for one more call now */
/* Gives a call with an answer to the node; NULL: there is no room. */
struct dsmr_sim_snow_ask *dsmr_sim_snow_ask(struct dsmr_sim_snow_seat *seat,
                                            enum dsmr_sim_snow_kind kind, uint32_t number,
                                            uint64_t context);
/* Gives a call without one. */
void dsmr_sim_snow_tell(struct dsmr_sim_snow_seat *seat, enum dsmr_sim_snow_kind kind,
                        const struct dsmr_id *block_id, uint64_t value);

/* snow_probe.c */
void dsmr_sim_snow_probe(struct dsmr_sim_snow_seat *seat);
void dsmr_sim_snow_probe_answer(struct dsmr_sim_snow_seat *seat,
                                const struct dsmr_sim_snow_ask *ask, enum dsmr_err err);

#endif
