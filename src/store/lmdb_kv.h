/* lmdb_kv.h - the kv port over one LMDB environment (state/).
 *
 * Limits:  keys as ports/kv.h; and values as ports/kv.h.
 * Threads: as ports/kv.h. A write transaction ends on the thread that began it. */
#ifndef DSMR_STORE_LMDB_KV_H
#define DSMR_STORE_LMDB_KV_H

#include "base/metrics.h"
#include "ports/kv.h"
#include "store/lmdb_env.h"

struct dsmr_lmdb_kv {
    struct dsmr_lmdb_env env;     /* its cause: where the reason of a failure goes */
    struct dsmr_metrics *metrics; /* NULL: none */
    _Atomic bool is_stopped;      /* after an IO error: no write transaction begins */
};

/* The port; self is kv, which must stay where it is. */
struct dsmr_kv dsmr_lmdb_kv_port(struct dsmr_lmdb_kv *kv);

#endif
