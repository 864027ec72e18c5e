/* snow_state.h - the inside of the engine for Snowman, shared by its files only.
 *
 * snow_engine.c calls that wait, states, time; snow_blocks.c what blocks there are, and the calls
 * that ask for them; snow_build.c the event, builds and the preference; snow_decide.c verify,
 * accept and reject; snow_room.c which of the blocks the core has, and room for one more;
 * snow_pointer.c the last accepted block in AvalancheGo's database. */
#ifndef DSMR_AVALANCHE_SNOW_STATE_H
#define DSMR_AVALANCHE_SNOW_STATE_H

#include "avalanche/pb.h"
#include "avalanche/snow_engine.h"
#include "base/map.h"

#define DSMR_SNOW_WAITERS_MAX 4u

enum dsmr_snow_kind { DSMR_SNOW_VERIFY, DSMR_SNOW_ACCEPT, DSMR_SNOW_BUILD, DSMR_SNOW_PREFER };

struct dsmr_snow_request { /* a call that waits for the driver; id 0: free */
    uint64_t id;
    enum dsmr_snow_kind kind;
    struct dsmr_grpc_call *call;
    struct dsmr_block *block;    /* of verify and accept */
    struct dsmr_id needs;        /* in the core before the driver is asked for what the call wants:
                                    the parent of verify and build, the block of accept and prefer */
    struct dsmr_block *restored; /* is being verified once more for that; NULL: none */
    uint64_t context;
    uint64_t until_ms; /* no later try of a verification after it */
    uint64_t again_ms; /* due then; 0: the driver has it */
    bool is_said;      /* accept: that it waits */
    uint64_t ahead_ms; /* verify: waits since then because the block's time lies further ahead of
                          our clock than it may; 0: it does not */
};

struct dsmr_snow_block { /* verified or built, and not decided */
    struct dsmr_block *block;
    uint64_t turn;     /* in which the core got it; 0: it has forgotten it */
    uint32_t children; /* of those that the core has */
};

struct dsmr_snow_ahead { /* blocks whose time lies ahead of our clock, one after the other */
    bool is_any, is_said;
    uint64_t since_ms, last_ms, said_ms;
};

struct dsmr_snow_engine {
    struct dsmr_snow_engine_config config;
    struct dsmr_driver *driver;
    struct dsmr_query query;
    struct dsmr_map *blocks; /* id -> struct dsmr_snow_block with a reference */
    uint64_t last_turn;
    uint32_t held_count; /* of blocks: that the core has */
    struct dsmr_block *last_accepted;
    struct dsmr_id preferred;
    struct dsmr_snow_request requests[DSMR_SNOW_ENGINE_REQUESTS_MAX];
    uint64_t last_request;
    struct dsmr_grpc_call *waiters[DSMR_SNOW_WAITERS_MAX];
    uint32_t waiters_count;
    bool is_ready;
    bool is_bootstrapping;
    uint32_t hold_ms; /* 0: no build has failed */
    uint64_t held_until_ms;
    struct dsmr_snow_ahead ahead;
    uint64_t ahead_waited_ms; /* for our clock, since the last accept */
    char closed[160];         /* why; empty: open */
};

static inline uint64_t dsmr_snow_now_ms(const struct dsmr_snow_engine *engine)
{
    return engine->config.clock.ops->mono_ms(engine->config.clock.self);
}

/* ---- snow_engine.c ---- */
__attribute__((format(printf, 3, 4))) void dsmr_snow_say(const struct dsmr_snow_engine *engine,
                                                         enum dsmr_log_level level,
                                                         const char *format, ...);
/* NULL: there are too many, and the call has been answered so. */
struct dsmr_snow_request *dsmr_snow_take_request(struct dsmr_snow_engine *engine,
                                                 enum dsmr_snow_kind kind,
                                                 struct dsmr_grpc_call *call);
/* NULL: it ended when the engine was closed. */
struct dsmr_snow_request *dsmr_snow_find_request(struct dsmr_snow_engine *engine, uint64_t id);
void dsmr_snow_end_request(struct dsmr_snow_request *request);
void dsmr_snow_fail(struct dsmr_grpc_call *call, enum dsmr_err err);
/* An id of AvalancheGo's that is none, in a call that must not fail for it: counted. */
void dsmr_snow_note_bad_id(const struct dsmr_snow_engine *engine);
/* True if the engine is closed and the call has been answered so. */
bool dsmr_snow_is_closed(const struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call);

/* ---- snow_blocks.c ---- */
/* A reference, or NULL. */
struct dsmr_block *dsmr_snow_find_undecided(const struct dsmr_snow_engine *engine,
                                            const struct dsmr_id *id);
/* The core has it. false: the table is full, and the core has it no more. */
bool dsmr_snow_keep(struct dsmr_snow_engine *engine, struct dsmr_block *block);
void dsmr_snow_drop(struct dsmr_snow_engine *engine, const struct dsmr_id *id);
/* Siblings that were never told to be rejected go with the block that is accepted. */
void dsmr_snow_drop_decided(struct dsmr_snow_engine *engine);
/* *out gets a reference. MALFORMED and what dsmr_block_decode says. */
DSMR_MUST_USE enum dsmr_err dsmr_snow_parse(struct dsmr_snow_engine *engine,
                                            struct dsmr_block **out, ProtobufCBinaryData bytes);

/* ---- snow_build.c ---- */
void dsmr_snow_tell_waiters(struct dsmr_snow_engine *engine); /* if there is something to build */
void dsmr_snow_on_ready(void *self, bool is_ready);
void dsmr_snow_on_built(void *self, uint64_t request_id, enum dsmr_err err,
                        struct dsmr_block *block);

/* ---- snow_room.c ---- */
/* Notes that the core has got a block of the table. */
void dsmr_snow_hold(struct dsmr_snow_engine *engine, const struct dsmr_id *id);
/* Notes that it is about to lose it, or has lost it. false: it did not have it. */
bool dsmr_snow_let_go(struct dsmr_snow_engine *engine, const struct dsmr_id *id);
bool dsmr_snow_is_full(const struct dsmr_snow_engine *engine); /* the core */
/* Has a full core forget a block that neither the preference nor a call needs. false: the core is
 * not full, or there is none. */
bool dsmr_snow_make_room(struct dsmr_snow_engine *engine, const struct dsmr_snow_request *request);
bool dsmr_snow_is_forgotten(const struct dsmr_snow_engine *engine, const struct dsmr_id *id);
/* Asks the driver for what the call wants, or first for a block that it needs. */
void dsmr_snow_advance(struct dsmr_snow_engine *engine, struct dsmr_snow_request *request);

/* ---- snow_decide.c ---- */
void dsmr_snow_on_verdict(void *self, uint64_t request_id, enum dsmr_err err);
void dsmr_snow_on_accepted(void *self, uint64_t request_id, enum dsmr_err err);

/* ---- snow_pointer.c ---- */
/* Answers the call when AvalancheGo's database has it. */
void dsmr_snow_write_pointer(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                             const struct dsmr_block *block);

#endif
