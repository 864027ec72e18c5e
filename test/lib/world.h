/* world.h - whole nodes (the real driver, core, engine and application) in one process and in
 * virtual time: fakes of clock, network, disk and workers, one seed.
 *
 * Why:        what crashes, delays and partitions do to the sum of the parts is only seen in the
 *             sum. The same seed gives the same run.
 * Checks:     after every event the driver's own invariants; after every executed block, by code
 *             that shares nothing with what it checks: equal block id and state root at equal
 *             height on all nodes, heights without gaps, no transaction executed twice; and no node
 *             ever sends votes that contradict each other (vote_log.h).
 * Application: opaque, but transactions of another version than 1 are refused.
 * Threads:    one. */
#ifndef DSMR_TEST_WORLD_H
#define DSMR_TEST_WORLD_H

#include "driver/driver.h"

#define DSMR_WORLD_NODES_MAX 16u

struct dsmr_world_config {
    uint32_t nodes; /* numbers 0..nodes-1; all are validators unless sets say otherwise */
    struct {
        uint64_t from_height;
        uint32_t first, count;
    } sets[4]; /* schedule; none: one set of all nodes */
    uint32_t sets_count;
    uint64_t seed;
    uint32_t delay_ms_max;   /* of a message; 0: 5 */
    uint32_t loss_per_mille; /* of messages */
    uint32_t check_every; /* events of a node from one check of its invariants to the next; 0: 1 */
    void (*tune)(struct dsmr_driver_config *config); /* last word on each node's config */
    /* A node has halted, and counts as crashed from here on. NULL: that fails the test. */
    void (*halted)(uint32_t node, enum dsmr_err err, const char *reason);
};

struct dsmr_world; /* opaque */

struct dsmr_world *dsmr_world_new(const struct dsmr_world_config *config);
void dsmr_world_free(struct dsmr_world *world);

/* Runs until holds(world, ctx), at most virtual ms. False: it did not come to hold. */
bool dsmr_world_run(struct dsmr_world *world, bool (*holds)(struct dsmr_world *, void *), void *ctx,
                    uint64_t ms);
void dsmr_world_pass(struct dsmr_world *world, uint64_t ms); /* runs that long */
uint64_t dsmr_world_now_ms(const struct dsmr_world *world);  /* wall clock without skew */
uint64_t dsmr_world_events(const struct dsmr_world *world, uint32_t node); /* handled so far */

/* From now on the node may halt; a halted one does nothing more. Else a halt fails the test. */
void dsmr_world_may_halt(struct dsmr_world *world, uint32_t node);

/* Hands a transaction of the opaque application to node: payload is made unique by number. */
struct dsmr_id dsmr_world_submit(struct dsmr_world *world, uint32_t node, uint64_t number);
uint64_t dsmr_world_admitted(const struct dsmr_world *world);

void dsmr_world_crash(struct dsmr_world *world, uint32_t node);
void dsmr_world_restart(struct dsmr_world *world, uint32_t node); /* asserts that it recovers */
/* A node that is down loses its disk; its key is elsewhere. */
void dsmr_world_wipe(struct dsmr_world *world, uint32_t node);
/* Crashes node when it has handled that many events (of all its lives). */
void dsmr_world_crash_at(struct dsmr_world *world, uint32_t node, uint64_t events);
/* Every write of the node's store from now on ends with err; OK: they work again. */
void dsmr_world_fail_store(struct dsmr_world *world, uint32_t node, enum dsmr_err err);
bool dsmr_world_is_up(const struct dsmr_world *world, uint32_t node);
/* Bytes as if from another node; they arrive like its other messages. */
void dsmr_world_send(struct dsmr_world *world, uint32_t from, uint32_t to,
                     const struct dsmr_msg *msg);
/* node's disk loses a chunk. */
void dsmr_world_lose_chunk(struct dsmr_world *world, uint32_t node, const struct dsmr_id *chunk_id);
/* Blocks of these heights became final at node by that of a later one: their own finalization is
 * not there. */
void dsmr_world_forget_finalizations(struct dsmr_world *world, uint32_t node, uint64_t first,
                                     uint64_t last);
/* Whether messages get from one to the other. */
void dsmr_world_link(struct dsmr_world *world, uint32_t from, uint32_t to, bool is_up);
/* Execution stands still, or goes on; a crash lets it go on too. */
void dsmr_world_hold_execution(struct dsmr_world *world, uint32_t node, bool is_held);
/* The disk stands still, or goes on: reads are answered, writes are not. */
void dsmr_world_hold_store(struct dsmr_world *world, uint32_t node, bool is_held);
void dsmr_world_set_skew(struct dsmr_world *world, uint32_t node, int64_t ms);

void dsmr_world_status(struct dsmr_world *world, uint32_t node, struct dsmr_query_status *out);
/* Distinct transactions that have been executed anywhere. */
uint64_t dsmr_world_executed(const struct dsmr_world *world);
/* All running nodes have executed the highest accepted height, and the same one. */
bool dsmr_world_is_level(struct dsmr_world *world);
struct dsmr_metrics *dsmr_world_metrics(struct dsmr_world *world, uint32_t node);
/* Lines of at least this weight that node has logged, of all its lives; the last one (never NULL).
 */
uint32_t dsmr_world_log_lines(const struct dsmr_world *world, uint32_t node,
                              enum dsmr_log_level level);
const char *dsmr_world_log_last(const struct dsmr_world *world, uint32_t node);
/* How much is on the node's disk: records of the store, keys of the state. */
uint64_t dsmr_world_records(const struct dsmr_world *world, uint32_t node);
uint64_t dsmr_world_keys(const struct dsmr_world *world, uint32_t node);
struct dsmr_driver *dsmr_world_driver(struct dsmr_world *world, uint32_t node);
uint64_t dsmr_world_votes(const struct dsmr_world *world, uint32_t node); /* views it voted in */
uint64_t dsmr_world_messages(const struct dsmr_world *world);             /* sent so far */

/* ---- a Byzantine validator: the test speaks for number from, which had better be down ---- */
const struct dsmr_params *dsmr_world_params(const struct dsmr_world *world);
/* Any bytes, as one message. */
void dsmr_world_say(struct dsmr_world *world, uint32_t from, uint32_t to, const void *bytes,
                    size_t len);
/* How often node asked its transport to drop a peer. */
uint64_t dsmr_world_drops(const struct dsmr_world *world, uint32_t node);

#endif
