/* cluster_engine.c - a sequencer in place of consensus: blocks one at a time, the same for all. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "lib/cluster.h"
#include "wire/codec.h"

static void ask_build(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->config.nodes; i++) {
        uint32_t number = (cluster->turn + i) % cluster->config.nodes;
        struct cluster_node *node = &cluster->nodes[number];
        if (node->node == NULL || !node->is_ready || node->fed_height != cluster->chain_height) {
            continue;
        }
        cluster->turn = number + 1;
        cluster->is_building = true;
        struct dsmr_event event = {.kind = DSMR_EV_BUILD, .request_id = 1};
        event.u.engine.block_id = cluster->chain[cluster->chain_height]->id;
        event.u.engine.epoch = cluster->chain_epoch;
        cluster_event(cluster, number, &event);
        return;
    }
}

/* Gives each node the next block of the chain that it lacks. */
static void feed(struct cluster *cluster, uint32_t number)
{
    struct cluster_node *node = &cluster->nodes[number];
    if (node->node == NULL || node->is_feeding || node->is_halted ||
        node->fed_height >= cluster->chain_height) {
        return;
    }
    struct dsmr_block *block = cluster->chain[node->fed_height + 1];
    node->is_feeding = true;
    struct dsmr_event event = {.kind = DSMR_EV_VERIFY_BLOCK, .request_id = 2};
    event.u.engine.block_id = block->id;
    event.u.engine.epoch = block->epoch;
    event.u.engine.block = block;
    cluster_event(cluster, number, &event);
}

void cluster_engine_run(struct cluster *cluster)
{
    if (cluster->config.is_manual || cluster->is_engine_stopped) {
        return;
    }
    for (uint32_t i = 0; i < cluster->config.nodes; i++) {
        feed(cluster, i);
    }
    if (!cluster->is_building && cluster->chain_height + 1 < CLUSTER_BLOCKS_MAX) {
        ask_build(cluster);
    }
}

void cluster_engine_on_built(struct cluster *cluster, uint32_t number, enum dsmr_err err,
                             struct dsmr_block *block)
{
    (void)number;
    cluster->is_building = false;
    /* A builder whose clock is far ahead: a quorum would say "not yet" and pass it over. */
    uint64_t latest_ms = cluster_wall_ms(cluster) + cluster->params.clock_skew_ms;
    if (err == DSMR_OK && block->time_ms <= latest_ms) {
        cluster->chain[++cluster->chain_height] = dsmr_block_ref(block);
    }
    cluster_wake_engine(cluster, 1);
}

void cluster_engine_on_verdict(struct cluster *cluster, uint32_t number, enum dsmr_err err)
{
    struct cluster_node *node = &cluster->nodes[number];
    if (err == DSMR_ERR_NOT_YET || err == DSMR_ERR_BUSY) { /* a clock behind: asks again */
        node->is_feeding = false;
        cluster_wake_engine(cluster, 50);
        return;
    }
    DSMR_ASSERT(err == DSMR_OK); /* what an honest builder built verifies everywhere */
    struct dsmr_event event = {.kind = DSMR_EV_ACCEPT, .request_id = 3};
    event.u.engine.block_id = cluster->chain[node->fed_height + 1]->id;
    cluster_event(cluster, number, &event);
}

void cluster_engine_on_accepted(struct cluster *cluster, uint32_t number, enum dsmr_err err)
{
    struct cluster_node *node = &cluster->nodes[number];
    DSMR_ASSERT(err == DSMR_OK || node->is_halted);
    node->fed_height++;
    node->is_feeding = false;
    if (node->node != NULL) {
        struct dsmr_event event = {.kind = DSMR_EV_PREFER};
        event.u.engine.block_id = cluster->chain[node->fed_height]->id;
        cluster_event(cluster, number, &event);
    }
    cluster_wake_engine(cluster, 1);
}

/* ---- by hand ---- */
enum dsmr_err cluster_build(struct cluster *cluster, uint32_t number, const struct dsmr_id *parent,
                            uint64_t epoch, struct dsmr_block **out)
{
    struct cluster_node *node = &cluster->nodes[number];
    uint32_t before = node->builds;
    struct dsmr_event event = {.kind = DSMR_EV_BUILD, .request_id = 11};
    event.u.engine.block_id = *parent;
    event.u.engine.epoch = epoch;
    cluster_event(cluster, number, &event);
    for (uint32_t i = 0; i < 5000 && node->builds == before; i++) {
        cluster_run(cluster, 1);
    }
    DSMR_ASSERT(node->builds == before + 1);
    if (out != NULL) {
        *out = dsmr_block_ref(node->built);
    }
    return node->last_build;
}

enum dsmr_err cluster_verify(struct cluster *cluster, uint32_t number, struct dsmr_block *block,
                             uint64_t epoch)
{
    struct cluster_node *node = &cluster->nodes[number];
    uint32_t before = node->verdicts;
    struct dsmr_event event = {.kind = DSMR_EV_VERIFY_BLOCK, .request_id = 12};
    event.u.engine.block_id = block->id;
    event.u.engine.epoch = epoch;
    event.u.engine.block = block;
    cluster_event(cluster, number, &event);
    for (uint32_t i = 0; i < 5000 && node->verdicts == before; i++) {
        cluster_run(cluster, 1);
    }
    DSMR_ASSERT(node->verdicts == before + 1);
    return node->last_verdict;
}

enum dsmr_err cluster_accept(struct cluster *cluster, uint32_t number,
                             const struct dsmr_block *block)
{
    struct cluster_node *node = &cluster->nodes[number];
    uint32_t before = node->accepts;
    struct dsmr_event event = {.kind = DSMR_EV_ACCEPT, .request_id = 13};
    event.u.engine.block_id = block->id;
    cluster_event(cluster, number, &event);
    for (uint32_t i = 0; i < 5000 && node->accepts == before; i++) {
        cluster_run(cluster, 1);
    }
    DSMR_ASSERT(node->accepts == before + 1);
    return node->last_accept;
}
