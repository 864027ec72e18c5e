/* sim_kv.h - the state's database with a disk that fails: commits that are refused, and commits of
 * which nobody knows whether they were done.
 *
 * Not here: reads. The real one maps its file: a page that cannot be read kills the process, and
 *           that is a crash.
 * Threads:  one. */
#ifndef DSMR_SIM_SIM_KV_H
#define DSMR_SIM_SIM_KV_H

#include "base/prng.h"
#include "ports/kv.h"
#include "sim/sim.h"

struct dsmr_sim_kv {
    struct dsmr_kv inner;
    struct dsmr_prng *prng;   /* borrowed */
    enum dsmr_sim_disk state; /* OK, EIO: of the next commit; FULL */
    bool is_stopped;          /* by an error, until the next life: no write transaction begins */
};

struct dsmr_kv dsmr_sim_kv_port(struct dsmr_sim_kv *kv); /* kv must stay where it is */
void dsmr_sim_kv_restarted(struct dsmr_sim_kv *kv);
bool dsmr_sim_kv_is_bad(const struct dsmr_sim_kv *kv); /* a commit fails, or has failed */

#endif
