/* driver_state.h - the inside of the driver, shared by its files only. */
#ifndef DSMR_DRIVER_DRIVER_STATE_H
#define DSMR_DRIVER_DRIVER_STATE_H

#include "driver/driver.h"

#define DSMR_DRIVER_PEERS_SPARE 64u /* places for peers beside those who are served */
#define DSMR_DRIVER_ACCEPTS_MAX 64u
#define DSMR_DRIVER_FAULTS_MAX 16u /* of one peer within FAULT_WINDOW_MS: then it is dropped */
#define DSMR_DRIVER_FAULT_WINDOW_MS 60000u
#define DSMR_DRIVER_EXECUTE_BATCH_MAX 16u /* blocks in one state commit */
#define DSMR_DRIVER_DISK_CHECK_MS 2000u
#define DSMR_DRIVER_REFUSALS_MAX 8u /* of a final block: then it is an alarm */
#define DSMR_DRIVER_HALT_BYTES 640u
#define DSMR_DRIVER_WANTED_MAX 16u /* epochs whose set the port does not have yet */
#define DSMR_DRIVER_SETS_MAX 64u   /* sets that the core knows and whose members are served */

/* One effect of either state machine that waits to be done. */
struct dsmr_driver_item {
    bool is_bft;
    union {
        struct dsmr_effect core;
        struct dsmr_bft_effect bft;
    } fx;
};

struct dsmr_driver_peer { /* value of peers, keyed by node id */
    uint64_t fault_since_ms;
    uint32_t faults;
    bool is_up;
};

/* The finalization that the engine gave with a block, until the core asks to store the block. */
struct dsmr_driver_accept {
    struct dsmr_id block_id;
    bool is_used;
    bool has_finalization;
    struct dsmr_quorum_cert finalization;
};

/* What other threads read; written after each step, by words (a sequence lock). */
#define DSMR_DRIVER_STATUS_WORDS ((sizeof(struct dsmr_query_status) + 7) / 8)
struct dsmr_driver_published {
    _Atomic uint64_t sequence; /* odd while it is written */
    _Atomic uint64_t words[DSMR_DRIVER_STATUS_WORDS];
    uint64_t last[DSMR_DRIVER_STATUS_WORDS]; /* the writer's copy: publishes only what changed */
};

/* Conditions that a person must hear of (alarms.c). */
enum dsmr_alarm {
    DSMR_ALARM_STATE_SYNC,
    DSMR_ALARM_UNSERVED,
    DSMR_ALARM_FINAL_REFUSED,
    DSMR_ALARM_FLOOR,
    DSMR_ALARM_CLOCK,
    DSMR_ALARMS
};

struct dsmr_driver {
    struct dsmr_driver_config config;
    struct dsmr_node *node;
    struct dsmr_bft *bft; /* NULL: another engine */
    struct dsmr_effects core_fx;
    struct dsmr_bft_effects bft_fx;

    struct dsmr_driver_item *queue; /* ring of queue_capacity */
    uint32_t queue_capacity, queue_first, queue_count;

    struct dsmr_map *peers; /* with room for those who are served, made anew with them */
    struct dsmr_driver_accept accepts[DSMR_DRIVER_ACCEPTS_MAX];
    uint32_t accepts_next;

    /* Blocks that wait for the execution thread: one commit takes all that wait. */
    struct dsmr_plan *plans[DSMR_DRIVER_EXECUTE_BATCH_MAX];
    uint64_t plan_requests[DSMR_DRIVER_EXECUTE_BATCH_MAX];
    uint32_t plans_count;
    bool is_executing;

    /* validator_sets.c */
    uint64_t wanted[DSMR_DRIVER_WANTED_MAX];
    uint32_t wanted_count;
    uint64_t want_due_ms, want_wait_ms;
    uint64_t served[DSMR_DRIVER_SETS_MAX]; /* epochs of the sets that the net was last told */
    uint32_t served_count;

    uint32_t outstanding;
    _Atomic uint32_t submits;
    _Atomic uint64_t submit_bytes;
    _Atomic uint64_t room_bytes; /* what the core would admit, without submit_bytes */
    uint64_t disk_checked_ms;
    uint64_t disk_free_bytes;
    bool is_disk_low;
    bool alarms[DSMR_ALARMS];
    bool is_started;
    uint32_t peers_up;
    enum dsmr_driver_part recovered_to; /* what recovery reads */
    const char *recovery_reason;
    enum dsmr_err halt;
    const char *halt_reason;
    char halt_text[DSMR_DRIVER_HALT_BYTES]; /* what halt_reason points to if the disk said more */
    struct dsmr_driver_published published;
};

/* driver.c */
void dsmr_driver_core_event(struct dsmr_driver *driver, struct dsmr_event *event);
void dsmr_driver_bft_event(struct dsmr_driver *driver, struct dsmr_bft_event *event);
void dsmr_driver_pump(struct dsmr_driver *driver);
void dsmr_driver_halt(struct dsmr_driver *driver, enum dsmr_err err, const char *reason);
/* The same for what the store or the state's database could not do: with DISK_FULL and IO the
 * sentence says which file and why, any other error is HALTED. */
void dsmr_driver_halt_store(struct dsmr_driver *driver, enum dsmr_err err, const char *reason);
void dsmr_driver_halt_state(struct dsmr_driver *driver, enum dsmr_err err, const char *reason);
void dsmr_driver_log(struct dsmr_driver *driver, enum dsmr_log_level level, const char *module,
                     const char *text);
/* A peer did what no honest one does: drop it if it goes on. The error is counted where it was
 * found: by the core, and by the caller for the engine and for bytes that do not decode. */
void dsmr_driver_fault(struct dsmr_driver *driver, const struct dsmr_node_id *peer,
                       enum dsmr_err err);
void dsmr_driver_send(struct dsmr_driver *driver, const struct dsmr_node_id *to,
                      enum dsmr_msg_class cls, struct dsmr_buf *head, struct dsmr_buf *owner,
                      const uint8_t *body, uint32_t body_len);
void dsmr_driver_broadcast(struct dsmr_driver *driver, const struct dsmr_validator_set *set,
                           enum dsmr_msg_class cls, struct dsmr_buf *head, struct dsmr_buf *owner,
                           const uint8_t *body, uint32_t body_len);

/* validator_sets.c */
/* The core needs the set of epoch. */
void dsmr_validator_sets_want(struct dsmr_driver *driver, uint64_t epoch);
void dsmr_validator_sets_available(struct dsmr_driver *driver, uint64_t epoch);
/* Asks the port again for what it did not have, if it is time. */
void dsmr_validator_sets_tick(struct dsmr_driver *driver);
uint64_t dsmr_validator_sets_deadline_ms(const struct dsmr_driver *driver);
/* Tells the net whom to serve, if that has changed. */
void dsmr_validator_sets_serve(struct dsmr_driver *driver);

/* core_bridge.c, bft_bridge.c: do one effect; true if they took over what it holds */
bool dsmr_core_bridge_do(struct dsmr_driver *driver, struct dsmr_effect *fx);
bool dsmr_bft_bridge_do(struct dsmr_driver *driver, struct dsmr_bft_effect *fx);
extern const struct dsmr_engine_ops dsmr_bft_bridge_engine;

/* crypto_tasks.c: work for the worker threads. They take over the effect. */
void dsmr_crypto_tasks_core(struct dsmr_driver *driver, struct dsmr_effect *fx);
void dsmr_crypto_tasks_bft(struct dsmr_driver *driver, struct dsmr_bft_effect *fx);

/* store_tasks.c: writes and loads. They take over the effect. */
void dsmr_store_tasks_core(struct dsmr_driver *driver, struct dsmr_effect *fx);
void dsmr_store_tasks_bft(struct dsmr_driver *driver, struct dsmr_bft_effect *fx);
void dsmr_store_tasks_load(struct dsmr_driver *driver, struct dsmr_effect *fx);
void dsmr_store_tasks_serve_chunk(struct dsmr_driver *driver, const struct dsmr_effect *fx);
void dsmr_store_tasks_serve_blocks(struct dsmr_driver *driver, const struct dsmr_node_id *peer,
                                   uint64_t from_height);
void dsmr_store_tasks_serve_block(struct dsmr_driver *driver, const struct dsmr_node_id *peer,
                                  const struct dsmr_id *block_id);

/* execute.c */
void dsmr_execute_add(struct dsmr_driver *driver, struct dsmr_plan *plan, uint64_t request_id);
enum dsmr_err dsmr_execute_genesis(struct dsmr_driver *driver);

/* alarms.c */
void dsmr_alarms_update(struct dsmr_driver *driver, const struct dsmr_query_status *status);
/* After each verdict: a final block that the core finds invalid halts the node; one that it cannot
 * take yet, again and again, is an alarm. */
void dsmr_alarms_on_verdict(struct dsmr_driver *driver);

/* published.c */
void dsmr_published_update(struct dsmr_driver *driver);
void dsmr_published_read(const struct dsmr_driver *driver, struct dsmr_query_status *out);

#endif
