/* node_step_world.h - the world around the node of fuzz_node_step.c.
 *
 * Why:  the driver's side of the core's contract: each effect is kept until the input chooses to
 *       answer it, in any order, well or badly; and what the node must never do is checked here. */
#ifndef DSMR_TEST_FUZZ_NODE_STEP_WORLD_H
#define DSMR_TEST_FUZZ_NODE_STEP_WORLD_H

#include <stdint.h>

#include "dsmr/dsmr.h"

enum {
    NODES = 4,
    SLOTS = 64,
    OWED_MAX = 5000,
    OWED_MANY = 200,
    DISK_MAX = 4096,
    EXECUTED_MAX = 16384
};
/* The check of all invariants goes through large tables: with the fuzzer's instrumentation after
 * each step it would take nearly all the time. The corpus runs with all of them. */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#define CHECK_EVERY 4096u
#else
#define CHECK_EVERY 1u
#endif
#define START_MS UINT64_C(1700000000000)
#define REQUIRE(a) ((a) ? (void)0 : world_broken(#a, __LINE__))

struct world {
    const uint8_t *in;
    size_t in_len, in_at;
    struct dsmr_params params;
    struct dsmr_node *node;
    struct dsmr_effects effects;
    struct dsmr_validator_set *sets[2]; /* epochs 0 and 1 */
    struct dsmr_block *genesis;
    uint64_t wall_ms, mono_ms, engine_request;
    bool is_halted;
    uint32_t steps;
    struct dsmr_effect owed[OWED_MAX]; /* effects that wait for an answer, with their references */
    uint32_t owed_count;
    struct on_disk {
        struct dsmr_chunk *chunk;
        struct dsmr_bls_sig producer_sig;
        uint64_t included_height;
        bool is_own, is_signed;
    } disk[DISK_MAX];
    uint32_t disk_count;
    struct dsmr_reference journal[DISK_MAX];
    uint32_t journal_count;
    struct dsmr_cert certs[DISK_MAX];
    uint32_t certs_count;
    struct dsmr_block *accepted[DISK_MAX]; /* durable: of height i + 1 */
    uint64_t accepted_wall_ms[DISK_MAX];
    uint32_t accepted_count;
    uint32_t retained; /* blocks below this index have let their chunks go */
    uint64_t floor_ms;
    struct dsmr_chunk *made[SLOTS]; /* chunks of peers: a ring */
    uint32_t made_count;
    struct dsmr_reference signed_refs[DISK_MAX]; /* ever, across restarts */
    uint32_t signed_count;
    struct verifying {
        uint64_t request_id;
        struct dsmr_block *block;
    } verifying[SLOTS];
    uint32_t verifying_count;
    struct dsmr_block *candidates[SLOTS]; /* built, or made by peers: a ring */
    uint32_t candidates_count;
    struct dsmr_block *processing[SLOTS];
    uint32_t processing_count;
    struct dsmr_block *tip;
    uint64_t executed_height;
    struct dsmr_id executed_ids[EXECUTED_MAX];
    uint64_t executed_expiries_ms[EXECUTED_MAX];
    uint32_t executed_count;
    uint32_t executed_ends[DISK_MAX]; /* executed_count after height i + 1 */
};

void world_broken(const char *what, int line);
/* The next byte of the input; 0 at its end. */
uint8_t world_take_u8(struct world *w);
struct dsmr_node_id world_node_id(uint32_t i);
struct dsmr_bls_sig world_sig(bool is_valid, uint8_t salt);
/* Remembers a block that may be verified; takes a reference. */
void world_add_candidate(struct world *w, struct dsmr_block *block);
/* Gives the node event at the world's time, checks its invariants and takes its effects. */
void world_step(struct world *w, struct dsmr_event *event);
/* Answers an effect that the input chooses, as the input chooses. */
void world_answer_one(struct world *w);
/* Answers the oldest, well, until at most left wait. */
void world_catch_up(struct world *w, uint32_t left);
/* Gives the references of an effect back: the way that the core itself does. */
void world_drop_owed(struct dsmr_effect *fx);

/* ---- node_step_disk.c: what survives a crash ---- */
/* A write became durable; answer gets what only the disk knows. */
void world_disk_write(struct world *w, const struct dsmr_effect *fx, struct dsmr_event *answer);
struct dsmr_chunk *world_disk_find(struct world *w, const struct dsmr_id *chunk_id);
/* Makes the node and gives it what the disk holds. */
void world_start(struct world *w);
/* Crashes at this point, some of the writes under way being done, and starts again. */
void world_restart(struct world *w);
void world_disk_free(struct world *w);

#endif
