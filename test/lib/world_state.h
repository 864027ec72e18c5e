/* world_state.h - the inside of a world, for world.c, world_events.c and world_ports.c only. */
#ifndef DSMR_TEST_WORLD_STATE_H
#define DSMR_TEST_WORLD_STATE_H

#include "base/map.h"
#include "base/prng.h"
#include "lib/mem_store.h"
#include "lib/vote_log.h"
#include "lib/world.h"
#include "store/kv_mem.h"

#define WORLD_START_MS UINT64_C(1700000000000)
#define WORLD_EVENTS_MAX 65536u
#define WORLD_HEIGHTS_MAX 65536u

enum world_event_kind { EVENT_WORK, EVENT_STORE, EVENT_MESSAGE, EVENT_PEER };

struct world_event {
    uint64_t due_ms, sequence;
    enum world_event_kind kind;
    uint32_t node;
    uint32_t life;          /* of the node: events of an earlier one are not its own */
    struct dsmr_task *task; /* WORK */
    bool is_execution;      /* WORK */
    uint32_t from;          /* MESSAGE, PEER */
    bool is_up;             /* PEER */
    struct dsmr_buf *bytes; /* MESSAGE */
};

struct world_node {
    struct dsmr_world *world;
    uint32_t number;
    struct dsmr_driver *driver; /* NULL: down */
    uint32_t life;
    uint64_t events, crash_at, drops;
    uint64_t told_height; /* it has said that it accepted blocks up to here */
    int64_t skew_ms;
    struct dsmr_mem_store *store;
    enum dsmr_err store_err; /* of its writes */
    struct dsmr_kv_mem *kv;
    struct dsmr_app app;
    struct dsmr_app_ops app_ops; /* the opaque application's, but for check */
    struct dsmr_metrics metrics;
    uint64_t work_due_ms[DSMR_WORK_LANES], store_due_ms;
    uint32_t log_lines[DSMR_LOG_DEBUG + 1];
    const char *log_last; /* at least a warning */
    bool is_execution_held, is_store_held, may_halt;
    uint32_t held_writes;
    /* Its task waits for execution to go on; the driver gives one at a time. */
    struct world_event held;
};

struct dsmr_world {
    struct dsmr_world_config config;
    struct dsmr_prng prng;
    uint64_t now_ms, sequence, messages, admitted;
    struct world_event *heap;
    uint32_t heap_count;
    struct world_node nodes[DSMR_WORLD_NODES_MAX];
    bool links[DSMR_WORLD_NODES_MAX][DSMR_WORLD_NODES_MAX];
    uint64_t link_due_ms[DSMR_WORLD_NODES_MAX][DSMR_WORLD_NODES_MAX];
    struct dsmr_params params;
    struct dsmr_block *genesis;
    struct dsmr_bft_schedule_entry schedule[4];
    uint32_t schedule_count;
    struct dsmr_map *executed; /* tx id -> height */
    struct dsmr_vote_log *votes;
    struct world_height {
        struct dsmr_id block_id, root;
        bool is_known;
    } * heights;
};

/* ---- world_events.c ---- */
void dsmr_world_push(struct dsmr_world *world, struct world_event event);
struct world_event dsmr_world_pop(struct dsmr_world *world);
/* Takes node's own work out of the heap and gives it back undone; messages to it are lost. */
void dsmr_world_drop_events(struct dsmr_world *world, struct world_node *node);

/* ---- world_ports.c ---- */
/* All ports of node but its application. */
void dsmr_world_set_ports(struct dsmr_driver_config *config, struct world_node *node);
void dsmr_world_store_queued(void *self); /* a write of this node waits for the disk */

#endif
