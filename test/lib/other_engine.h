/* other_engine.h - whole nodes of a world under an engine that the test plays by hand.
 *
 * Why:     the engine port is made for AvalancheGo too, and nothing but the built-in engine calls
 *          it. This one behaves as AvalancheGo does: block 1 has no context, the context of later
 *          blocks is the height of a chain elsewhere and names the epoch; siblings are verified and
 *          rejected; a block may be verified again with another context; validator sets have to be
 *          fetched and come late; and it holds a pointer of its own from which it starts again.
 * Peers:   a message passes only between nodes that both serve each other, as told by set_peers.
 * Threads: one; one engine at a time. */
#ifndef DSMR_TEST_OTHER_ENGINE_H
#define DSMR_TEST_OTHER_ENGINE_H

#include "lib/world.h"

#define OTHER_ENGINE_EPOCHS_MAX 8u

struct other_engine; /* opaque */

/* Nodes start at genesis; nobody knows a validator set. sets of the config are not used. */
struct other_engine *other_engine_new(const struct dsmr_world_config *config);
void other_engine_free(struct other_engine *engine);
struct dsmr_world *other_engine_world(struct other_engine *engine);
struct dsmr_block *other_engine_genesis(struct other_engine *engine); /* borrowed */

/* ---- validator sets ---- */
/* The set of epoch is nodes first..first+count-1. No node has it yet. */
void other_engine_add_epoch(struct other_engine *engine, uint64_t epoch, uint32_t first,
                            uint32_t count);
/* From now on node's adapter has it; its driver is told, or has to find out. */
void other_engine_bring(struct other_engine *engine, uint32_t node, uint64_t epoch, bool is_told);
void other_engine_bring_all(struct other_engine *engine, uint64_t epoch);
void other_engine_take(struct other_engine *engine, uint32_t node, uint64_t epoch); /* forgets it */
bool other_engine_serves(const struct other_engine *engine, uint32_t node, uint32_t peer);

/* ---- what an engine asks; each waits for its answer, at most a minute ---- */
enum dsmr_err other_engine_build(struct other_engine *engine, uint32_t node,
                                 const struct dsmr_block *parent, uint64_t context,
                                 struct dsmr_block **out); /* caller unrefs */
enum dsmr_err other_engine_verify(struct other_engine *engine, uint32_t node,
                                  struct dsmr_block *block, uint64_t context);
/* OK: the engine's pointer is at the block from then on. */
enum dsmr_err other_engine_accept(struct other_engine *engine, uint32_t node,
                                  const struct dsmr_block *block);
void other_engine_reject(struct other_engine *engine, uint32_t node,
                         const struct dsmr_block *block);
void other_engine_prefer(struct other_engine *engine, uint32_t node,
                         const struct dsmr_block *block);
void other_engine_set_bootstrapping(struct other_engine *engine, uint32_t node, bool is_on);
bool other_engine_is_ready(const struct other_engine *engine, uint32_t node); /* as it last said */
/* How often it has said whether it is, and answered a call. */
uint64_t other_engine_readies(const struct other_engine *engine, uint32_t node);
uint64_t other_engine_answers(const struct other_engine *engine, uint32_t node);
/* A build, a verify and an accept, without waiting for their answers. */
void other_engine_ask_all(struct other_engine *engine, uint32_t node, struct dsmr_block *parent,
                          struct dsmr_block *block);

/* Verified, accepted and preferred by one node, or by all that are up. */
void other_engine_feed(struct other_engine *engine, uint32_t node, struct dsmr_block *block);
void other_engine_feed_all(struct other_engine *engine, struct dsmr_block *block);

/* ---- crash and restart ---- */
void other_engine_crash(struct other_engine *engine, uint32_t node);
/* What the engine has on its own disk. */
void other_engine_set_tip(struct other_engine *engine, uint32_t node, uint64_t height,
                          const struct dsmr_id *block_id);
void other_engine_restart(struct other_engine *engine, uint32_t node);
/* Whether a node that is down could start from that tip; it stays down. */
enum dsmr_err other_engine_try_recover(struct other_engine *engine, uint32_t node);

#endif
