/* driver.h - turns effects into port calls, and their results into events.
 *
 * Why:     core and engine are pure; ports are the world. The driver is the only code that knows
 *          both, and the simulator runs exactly this one.
 * Not here: no OS header, no thread: whoever owns the loop pops tasks from the inbox, hands them
 *          to dsmr_driver_task, and sleeps until dsmr_driver_deadline_ms.
 * Threads: everything on the logic thread but the submit and query ports, whose functions may be
 *          called from any thread. */
#ifndef DSMR_DRIVER_DRIVER_H
#define DSMR_DRIVER_DRIVER_H

#include "base/metrics.h"
#include "bft/bft.h"
#include "dsmr/node.h"
#include "ports/app.h"
#include "ports/bls_ops.h"
#include "ports/clock.h"
#include "ports/engine.h"
#include "ports/kv.h"
#include "ports/log.h"
#include "ports/net.h"
#include "ports/query.h"
#include "ports/signer.h"
#include "ports/store.h"
#include "ports/submit.h"
#include "ports/validators.h"
#include "ports/work.h"

struct dsmr_driver; /* opaque */

struct dsmr_driver_config {
    struct dsmr_node_config node; /* genesis and metrics are set by the driver */
    /* Built-in engine; last_accepted and finalization are set by the driver. NULL schedule: the
     * engine is the one in `engine`. */
    struct dsmr_bft_config bft;
    struct dsmr_engine engine;
    /* Of another engine: where it stands. Blocks above that are accepted again before they run, and
     * not run again if they have (protocol.md, 12.2). False: it stands where the store does. */
    bool has_engine_tip;
    struct dsmr_engine_tip engine_tip;
    struct dsmr_block *genesis; /* referenced */
    const char *app_genesis;    /* JSON text for app->genesis; borrowed for ever */
    size_t app_genesis_len;
    uint64_t disk_low_bytes;   /* below it: neither sign nor build */
    uint32_t submits_max;      /* batches on their way at once */
    uint64_t submit_bytes_max; /* bytes of them */

    struct dsmr_store store;
    struct dsmr_kv kv;
    struct dsmr_net net; /* ops may be NULL until dsmr_driver_set_net */
    struct dsmr_work work;
    struct dsmr_clock clock;
    struct dsmr_validators validators;
    struct dsmr_signer signer; /* ops NULL: a follower */
    struct dsmr_app app;
    struct dsmr_feed feed; /* ops may be NULL until dsmr_driver_set_feed */
    struct dsmr_log log;
    const struct dsmr_bls_ops *bls;
    struct dsmr_metrics *metrics; /* outlives the driver */
};

/* NO_MEMORY, CONFIG (with a logged sentence). The config is copied; ports outlive the driver. */
DSMR_MUST_USE enum dsmr_err dsmr_driver_new(struct dsmr_driver **out,
                                            const struct dsmr_driver_config *config);
/* What one commit of the state may write besides the application's own: its database must be able
 * to hold that. */
uint64_t dsmr_driver_state_bytes_min(const struct dsmr_params *params);
/* Only when no task is outstanding: the owner has stopped the workers and drained the inbox. */
void dsmr_driver_free(struct dsmr_driver *driver);
void dsmr_driver_set_net(struct dsmr_driver *driver, const struct dsmr_net *net);
void dsmr_driver_set_feed(struct dsmr_driver *driver, const struct dsmr_feed *feed);

/* Reads what the store holds into core and engine and starts both. Synchronous; before the loop.
 * CORRUPT, IO, NEWER_FORMAT, CONFIG (application genesis), HALTED: each with a logged sentence. */
DSMR_MUST_USE enum dsmr_err dsmr_driver_recover(struct dsmr_driver *driver);
/* After it has failed: what was read at that moment, and a sentence about it, or NULL. Static. */
enum dsmr_driver_part { DSMR_DRIVER_PART_STATE, DSMR_DRIVER_PART_CONSENSUS };
enum dsmr_driver_part dsmr_driver_recovered_to(const struct dsmr_driver *driver,
                                               const char **reason);

/* Takes one task from the inbox; frees it. */
void dsmr_driver_task(struct dsmr_driver *driver, struct dsmr_task *task);
/* Time has passed. */
void dsmr_driver_tick(struct dsmr_driver *driver);
/* mono_ms at which it wants a tick; UINT64_MAX: none. */
uint64_t dsmr_driver_deadline_ms(const struct dsmr_driver *driver);
/* OK while it runs; else why it has halted: HALTED, IO, DISK_FULL. The owner leaves the loop. */
enum dsmr_err dsmr_driver_halted(const struct dsmr_driver *driver, const char **reason);
/* No effect is done from here on; results of what is on its way are still taken. For shutdown. */
void dsmr_driver_close(struct dsmr_driver *driver);
/* Tasks given to workers and the store that have not come back. */
uint32_t dsmr_driver_outstanding(const struct dsmr_driver *driver);
void dsmr_driver_check(const struct dsmr_driver *driver);

/* For the net adapter: its messages and peers. */
const struct dsmr_net_handler *dsmr_driver_net_handler(void);
/* Ports that the driver serves; valid as long as it. */
struct dsmr_submit dsmr_driver_submit_port(struct dsmr_driver *driver);
struct dsmr_query dsmr_driver_query_port(struct dsmr_driver *driver);

/* The BLS work by src/crypto. */
extern const struct dsmr_bls_ops dsmr_bls_real;

#endif
