/* sim_state.h - the inside of the simulator, for its own files. */
#ifndef DSMR_SIM_SIM_STATE_H
#define DSMR_SIM_SIM_STATE_H

#include "base/assert.h"
#include "base/prng.h"
#include "sim/byz.h"
#include "sim/check.h"
#include "sim/engine_snow.h"
#include "sim/sim.h"
#include "sim/sim_cpu.h"
#include "sim/sim_kv.h"
#include "sim/sim_pipe.h"
#include "sim/sim_probe.h"
#include "sim/sim_queue.h"
#include "sim/sim_store.h"
#include "sim/sim_story.h"
#include "sim/sim_verdicts.h"
#include "sim/sim_wan.h"
#include "store/kv_mem.h"

#define DSMR_SIM_CHECKERS_MAX 16u
#define DSMR_SIM_TWINS_MAX 8u

struct dsmr_sim_item { /* what waits for a node's logic thread */
    struct dsmr_sim_item *next;
    struct dsmr_task *task; /* NULL: a message or a peer */
    struct dsmr_buf *bytes;
    uint32_t from;
    bool is_up;
    uint8_t cls;
    bool is_held;       /* by the downlink, before */
    uint64_t span_us;   /* first to last byte */
    uint64_t queued_us; /* for the logic thread */
};

struct dsmr_sim_out { /* a message that waits for the uplink */
    struct dsmr_sim_out *next;
    struct dsmr_buf *bytes;
    uint32_t to;
};

struct dsmr_sim_node {
    struct dsmr_sim *sim;
    uint32_t number;            /* its place in nodes */
    uint32_t identity;          /* whose key and node id it has: number, but for a twin */
    uint32_t life;              /* events of an earlier life are not this one's */
    struct dsmr_driver *driver; /* NULL: down */
    bool is_paused;
    bool is_dying; /* crashed within a step: no port call has an effect any more */
    uint64_t port_calls, crash_at;
    int64_t skew_ms;
    int32_t drift_ppm; /* since then: */
    uint64_t drift_from_us;
    int64_t mono_ahead_us;    /* of earlier drifts: the monotonic clock keeps them */
    uint64_t latest_ms;       /* the latest time that its clock has told it */
    uint64_t steady_since_us; /* up and not paused */
    uint64_t mempool_bytes_max, mempool_txs_max;
    uint64_t tick_us; /* the next tick in the queue; UINT64_MAX: none */

    struct dsmr_sim_item *inbox, **inbox_end;
    bool is_logic_busy;
    /* Work: tasks that wait for a core, by lane; the execution lane has a thread of its own. */
    struct dsmr_task *work[DSMR_WORK_LANES], **work_end[DSMR_WORK_LANES];
    uint32_t cores_busy;
    bool is_executing;
    struct dsmr_task *running[DSMR_SIM_CORES_MAX + 1u];

    struct dsmr_sim_store *store;
    enum dsmr_sim_disk store_state;
    struct dsmr_sim_disk_counts disk_counts;
    bool has_bad_disk; /* in this life */
    struct dsmr_kv_mem *kv;
    struct dsmr_sim_kv sim_kv; /* over it */
    struct dsmr_app app, app_wrapped;
    struct dsmr_metrics metrics;

    struct dsmr_sim_out *out[DSMR_MSG_CLASS_COUNT], **out_end[DSMR_MSG_CLASS_COUNT];
    uint64_t out_bytes[DSMR_MSG_CLASS_COUNT];
    bool is_sending;
    uint64_t uplink_bytes_per_s;
    struct {
        struct dsmr_sim_pipe *pipe; /* NULL: no wan */
        uint64_t due_us;            /* of the event that looks after it; UINT64_MAX: none */
        uint64_t down_free_ns;
        uint32_t held; /* messages on the downlink */
    } wan;
    uint64_t logic_free_ns, net_free_ns;
    struct { /* of the last message that was sent: a broadcast has the same bytes for all */
        struct dsmr_buf *head, *owner, *bytes;
        const uint8_t *body;
    } joined;
    uint64_t sends; /* of this life and earlier ones */
    struct dsmr_signer signer;

    const struct dsmr_sim_byz_ops *byz; /* NULL: honest */
    void *byz_self;
    uint32_t twin;      /* number of the second body with this key; 0: none */
    uint64_t twin_mask; /* bit i: node i sees the second body */
    struct dsmr_sim_usage usage;
};

struct dsmr_sim_path { /* one direction of a pair */
    struct dsmr_sim_link link;
    uint64_t last_us; /* arrival of the latest message: order is kept */
    bool is_cut;
    bool is_known; /* the receiver believes that the sender is connected */
};

struct dsmr_sim {
    struct dsmr_sim_config config;
    struct dsmr_sim_queue queue;
    uint64_t now_us;
    /* A stream for each purpose, so that one more draw of one does not change the others. */
    struct dsmr_prng net_prng, disk_prng, work_prng, seed_prng, byz_prng;
    struct dsmr_params params;
    struct dsmr_block *genesis;
    struct dsmr_sim_verdicts *verdicts;
    char app_genesis[65536];
    struct dsmr_bft_schedule_entry schedule[DSMR_SIM_SETS_MAX];
    uint32_t schedule_count;
    struct dsmr_sim_snow *snow;  /* NULL: the built-in engine */
    struct dsmr_sim_node *nodes; /* config.nodes, and twins behind them */
    uint32_t bodies;             /* of both */
    struct dsmr_sim_path *paths; /* from, to; DSMR_SIM_TWINS_MAX more than nodes each */
    struct dsmr_sim_checker checkers[DSMR_SIM_CHECKERS_MAX];
    uint32_t checkers_count;
    void (*on_notice)(void *ctx, uint32_t node, const struct dsmr_notice *notice);
    void *notice_ctx;
    char failure[512];
    struct dsmr_sim_story *story;
    uint32_t busy;         /* the body whose event is handled; UINT32_MAX: none */
    uint64_t healed_us;    /* UINT64_MAX: there may be faults */
    bool is_quorum_healed; /* there are none among those that are not left out */
    uint64_t hash, messages, events;
};

/* sim_node.c */
void dsmr_sim_node_init(struct dsmr_sim *sim, uint32_t number, uint32_t identity);
void dsmr_sim_node_close(struct dsmr_sim *sim, uint32_t number);
/* Gives item to the logic thread of node. */
void dsmr_sim_node_push(struct dsmr_sim_node *node, struct dsmr_sim_item *item);
void dsmr_sim_node_push_task(struct dsmr_sim_node *node, struct dsmr_task *task);
void dsmr_sim_node_logic(struct dsmr_sim_node *node); /* handles one item */
void dsmr_sim_node_tick(struct dsmr_sim_node *node);
void dsmr_sim_node_synced(struct dsmr_sim_node *node); /* its disk has done a group */
/* The link of that path without faults. */
struct dsmr_sim_link dsmr_sim_node_link(const struct dsmr_sim *sim, uint32_t from, uint32_t to);
/* Counts a call of a port. False: the node is dead already, nothing may happen. */
bool dsmr_sim_node_port_call(struct dsmr_sim_node *node);
uint64_t dsmr_sim_node_mono_us(const struct dsmr_sim_node *node);
uint64_t dsmr_sim_node_wall_ms(const struct dsmr_sim_node *node);

/* sim_net.c */
struct dsmr_net dsmr_sim_net_port(struct dsmr_sim_node *node);
struct dsmr_sim_path *dsmr_sim_net_path(const struct dsmr_sim *sim, uint32_t from, uint32_t to);
void dsmr_sim_net_uplink_free(struct dsmr_sim_node *node); /* the last message has left */
/* Tells who can see whom after a start; after a crash. */
void dsmr_sim_net_started(struct dsmr_sim *sim, uint32_t node);
void dsmr_sim_net_stopped(struct dsmr_sim *sim, uint32_t node);
/* The last byte leaves now, span_us after the first. */
void dsmr_sim_net_travel(struct dsmr_sim *sim, uint32_t from, uint32_t to, struct dsmr_buf *bytes,
                         uint64_t span_us);
/* Forgets the last message. */
void dsmr_sim_net_forget(struct dsmr_sim_node *node);
/* Sends as from, past its own code. */
void dsmr_sim_net_send(struct dsmr_sim *sim, uint32_t from, uint32_t to, struct dsmr_buf *bytes);
uint32_t dsmr_sim_net_number(const struct dsmr_node_id *id);
/* The body of node number that body sees. */
uint32_t dsmr_sim_net_body(const struct dsmr_sim *sim, uint32_t body, uint32_t number);
/* Tells all bodies whom they see of a node with twins, after its mask has changed. */
void dsmr_sim_net_regroup(struct dsmr_sim *sim, uint32_t number);

/* sim_disk.c */
bool dsmr_sim_disk_may_halt(enum dsmr_sim_disk state); /* a write that must not fail may */
/* How much longer a slow disk takes; 0: it is not. */
uint64_t dsmr_sim_disk_extra_us(const struct dsmr_sim_node *node);

/* sim_work.c */
struct dsmr_work dsmr_sim_work_port(struct dsmr_sim_node *node);
void dsmr_sim_work_start(struct dsmr_sim_node *node); /* free cores take what waits */
void dsmr_sim_work_done(struct dsmr_sim_node *node, uint32_t core);
void dsmr_sim_work_drop_all(struct dsmr_sim_node *node); /* a crash: gives every task back undone */
/* The application with its costs. */
void dsmr_sim_work_wrap_app(struct dsmr_sim_node *node);

/* byz.c */
void dsmr_sim_byz_tick(struct dsmr_sim *sim, uint32_t node);

/* sim.c */
void dsmr_sim_notice(struct dsmr_sim *sim, uint32_t node, const struct dsmr_notice *notice);
void dsmr_sim_mix(struct dsmr_sim *sim, uint64_t word); /* into the hash of the run */
void dsmr_sim_mix_bytes(struct dsmr_sim *sim, const uint8_t *bytes, size_t len);
void dsmr_sim_trace(const struct dsmr_sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* What a node has counted, for whoever looks into a failure. */
void dsmr_sim_trace_metrics(const struct dsmr_sim *sim, uint32_t number);

#endif
