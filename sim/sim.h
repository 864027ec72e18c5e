/* sim.h - a whole network in one process and in virtual time, from one seed.
 *
 * Why:     what delays, crashes, lies and full disks do to the sum of the parts is only seen in the
 *          sum, and only believed if it can be seen again.
 * How:     the real driver, core, engine and application; fakes of clock, network, disk, workers
 * and BLS. One queue of events in microseconds; one thread. The same seed gives the same run to the
 * byte: dsmr_sim_hash tells. Not here: what is right (check.h), who lies (byz.h), what happens when
 * (plan.h). Threads: one. */
#ifndef DSMR_SIM_SIM_H
#define DSMR_SIM_SIM_H

#include "driver/driver.h"

#define DSMR_SIM_NODES_MAX 512u
#define DSMR_SIM_CORES_MAX 16u
#define DSMR_SIM_SETS_MAX 24u
#define DSMR_SIM_START_MS UINT64_C(1700000000000)
#define DSMR_SIM_SECOND_US UINT64_C(1000000)

struct dsmr_sim; /* opaque */
struct dsmr_sim_snow;

struct dsmr_sim_link {              /* one direction */
    uint64_t latency_us, jitter_us; /* uniform in latency .. latency + jitter */
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm;
    /* So many take longer: two to four times as long, half of them twice that, and so on. */
    uint32_t tail_ppm;
};

/* What things take, in nanoseconds, and in thousandths of one for a byte (sim_cpu.h). All zero:
 * every task takes up to 2 ms, at random, on as many cores as there are tasks. */
struct dsmr_sim_costs {
    uint64_t bls_sign, bls_verify;      /* one signature; an aggregate is verified so, and */
    uint64_t bls_share, bls_key;        /* for each share, each key in it */
    uint64_t bls_batch, bls_batch_each; /* a batch of aggregates; each of them; keys */
    uint64_t check_tx, check_byte;      /* hashing and checking on a worker */
    uint64_t execute_tx;                /* on the execution thread */
    uint64_t logic_task, logic_tick, logic_send; /* on the logic thread: a result, time, sending */
    uint64_t logic_message;                      /* one received */
    uint64_t build_tx, assemble_tx;              /* the same, for each transaction */
    uint64_t net_message, net_byte;              /* on the network thread, sent or received */
    uint64_t sync_us, sync_byte;                 /* a group commit; microseconds */
};

struct dsmr_sim_set { /* a validator set of the schedule: nodes first .. first + count - 1 */
    uint64_t from_height;
    uint32_t first, count;
    uint64_t weights[16]; /* of the first 16; 0: 1 */
};

enum dsmr_sim_app { DSMR_SIM_OPAQUE, DSMR_SIM_TRANSFERS };
enum dsmr_sim_engine {
    DSMR_SIM_BFT, /* the built-in one */
    DSMR_SIM_SNOW /* engine_snow.h */
};

struct dsmr_sim_config {
    uint64_t seed;
    uint32_t nodes;
    struct dsmr_sim_set sets[DSMR_SIM_SETS_MAX]; /* none: one set of all nodes */
    uint32_t sets_count;
    enum dsmr_sim_app app;
    /* Signatures are BLS's and Ed25519's, verified by each node; false: a keyed hash for BLS, and
     * what a client has signed with Ed25519 is known to be good. All networks that live at one time
     * agree about it. */
    bool has_real_crypto;
    enum dsmr_sim_engine engine;
    struct dsmr_sim_link link; /* of every pair; zero: 0 to 5 ms, nothing is lost */
    /* Changes link for a pair; NULL: it holds for all. */
    void (*link_of)(uint32_t from, uint32_t to, struct dsmr_sim_link *link);
    uint64_t uplink_bytes_per_s; /* of each node; 0: no limit */
    struct {                     /* instead of uplink_bytes_per_s: sim_wan.h; 0: none */
        uint64_t up_bytes_per_s, down_bytes_per_s;
    } wan;
    uint32_t cores; /* of each node, with costs */
    struct dsmr_sim_costs costs;
    uint32_t tx_weight;                /* real transactions that a simulated one stands for; 0: 1 */
    uint64_t sync_us_min, sync_us_max; /* of one group commit; zero: 0 to 3 ms */
    uint64_t execute_us_max; /* of a batch, until a quorum is healed; zero: 2 ms. Without costs */
    void (*tune)(struct dsmr_driver_config *config); /* last word; also on the chain's parameters */
    bool is_traced;                                  /* a line an event on stderr */
    bool is_unchecked; /* the nodes do not look at their own invariants now and then */
};

/* Asserts that there is memory. All nodes are started. */
struct dsmr_sim *dsmr_sim_new(const struct dsmr_sim_config *config);
void dsmr_sim_free(struct dsmr_sim *sim);

/* ---- time ---- */
/* Runs until holds(sim, ctx), at most us. False: it did not come to hold, or a check failed. */
bool dsmr_sim_run(struct dsmr_sim *sim, bool (*holds)(struct dsmr_sim *, void *), void *ctx,
                  uint64_t us);
void dsmr_sim_pass(struct dsmr_sim *sim, uint64_t us);
uint64_t dsmr_sim_now_us(const struct dsmr_sim *sim);
uint64_t dsmr_sim_wall_ms(const struct dsmr_sim *sim); /* without skew */
/* Calls act(sim, ctx) at that time. */
void dsmr_sim_at(struct dsmr_sim *sim, uint64_t at_us, void (*act)(struct dsmr_sim *, void *),
                 void *ctx);

/* ---- nodes ---- */
void dsmr_sim_crash(struct dsmr_sim *sim, uint32_t node);
void dsmr_sim_restart(struct dsmr_sim *sim, uint32_t node);
void dsmr_sim_wipe(struct dsmr_sim *sim, uint32_t node); /* its disk; must be down */
/* Crashes node in the middle of what follows from an event: after so many more port calls. */
void dsmr_sim_crash_after(struct dsmr_sim *sim, uint32_t node, uint64_t port_calls);
bool dsmr_sim_is_up(const struct dsmr_sim *sim, uint32_t node);
/* The process stands still (SIGSTOP) and goes on. */
void dsmr_sim_pause(struct dsmr_sim *sim, uint32_t node, bool is_paused);
struct dsmr_driver *dsmr_sim_driver(struct dsmr_sim *sim, uint32_t node); /* NULL: down */
struct dsmr_metrics *dsmr_sim_metrics(struct dsmr_sim *sim, uint32_t node);
void dsmr_sim_status(struct dsmr_sim *sim, uint32_t node, struct dsmr_query_status *out);
uint64_t dsmr_sim_port_calls(const struct dsmr_sim *sim, uint32_t node);

/* ---- clocks ---- */
/* The wall clock is off by that much from now on, and both clocks of node run so much too fast. */
void dsmr_sim_set_clock(struct dsmr_sim *sim, uint32_t node, int64_t skew_ms, int32_t drift_ppm);

/* ---- network ---- */
/* A message from one to the other arrives no more. is_seen: both notice, as when TCP resets;
 * otherwise the link is half open. */
void dsmr_sim_cut(struct dsmr_sim *sim, uint32_t from, uint32_t to, bool is_cut, bool is_seen);
void dsmr_sim_set_link(struct dsmr_sim *sim, uint32_t from, uint32_t to,
                       const struct dsmr_sim_link *link);
/* 0: as it was at first. */
void dsmr_sim_set_uplink(struct dsmr_sim *sim, uint32_t node, uint64_t bytes_per_s);

/* ---- disks ---- */
enum dsmr_sim_disk {
    DSMR_SIM_DISK_OK,
    DSMR_SIM_DISK_EIO,  /* the next write fails; a part of its group may be durable */
    DSMR_SIM_DISK_FULL, /* writes fail until OK again, but garbage collection */
    /* Room for records and for some bodies: a group is written without those that are refused. */
    DSMR_SIM_DISK_TIGHT,
    DSMR_SIM_DISK_PATCHY,     /* the same; and now and then a whole group is refused */
    DSMR_SIM_DISK_UNREADABLE, /* half of the bodies cannot be read: IO */
    DSMR_SIM_DISK_SLOW        /* a group, and a read of a body, takes up to three seconds more */
};
/* A node may halt once a write that must not fail did (EIO, FULL, PATCHY); then it counts as
 * crashed. */
void dsmr_sim_set_disk(struct dsmr_sim *sim, uint32_t node, enum dsmr_sim_disk state);
/* The disk of the state: OK; EIO: the next commit fails, done or not; FULL: every commit is
 * refused. The node halts. */
void dsmr_sim_set_state_disk(struct dsmr_sim *sim, uint32_t node, enum dsmr_sim_disk state);
/* Damages some of the latest bodies that node has on its disk, at most max: from now on they are
 * unreadable or wrong. But none that others than spare must be able to serve: honest nodes of more
 * than a third of the weight can still. Returns how many. */
uint32_t dsmr_sim_damage(struct dsmr_sim *sim, uint32_t node, uint32_t spare, uint32_t max);
struct dsmr_sim_disk_counts {
    uint64_t parted;  /* groups of which a part was refused */
    uint64_t unread;  /* reads of a body that failed */
    uint64_t damaged; /* bodies, for good */
};
/* What has happened on all disks. */
void dsmr_sim_disk_counts(const struct dsmr_sim *sim, struct dsmr_sim_disk_counts *out);

/* ---- results ---- */
/* The first broken promise ends the run: rule is the checker's name. */
void dsmr_sim_fail(struct dsmr_sim *sim, const char *rule, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool dsmr_sim_has_failed(const struct dsmr_sim *sim);
const char *dsmr_sim_failure(const struct dsmr_sim *sim); /* "" if none */
uint64_t dsmr_sim_hash(const struct dsmr_sim *sim);       /* of everything that happened */
uint64_t dsmr_sim_messages(const struct dsmr_sim *sim);
uint64_t dsmr_sim_events(const struct dsmr_sim *sim);
struct dsmr_sim_snow *dsmr_sim_engine(const struct dsmr_sim *sim); /* NULL: the built-in one */
struct dsmr_sim_usage {         /* of one node since it was made */
    uint64_t busy_ns, logic_ns; /* busy: of the workers */
    uint64_t bytes_sent, bytes_received, bytes_stored;
    uint64_t execute_ns, net_ns, disk_us;
    uint64_t logic_wait_us, logic_items; /* how long what was handled had waited for the thread */
    /* With a wan, on the wire, by class: */
    uint64_t up_bytes[4], up_messages[4];
    uint64_t up_wait_us[4]; /* from the queue to the last byte's leaving */
    uint64_t up_busy_us, refused;
    uint64_t proposals, proposal_bytes, proposal_us; /* the same, of the engine's proposals */
    uint64_t down_bytes, down_messages, down_wait_us;
};
void dsmr_sim_usage(const struct dsmr_sim *sim, uint32_t node, struct dsmr_sim_usage *out);

#endif
