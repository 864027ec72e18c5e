/* gather.h - the node's metrics for AvalancheGo's own /ext/metrics: the same as GET /metrics.
 * Threads: any. */
#ifndef DSMR_AVALANCHE_GATHER_H
#define DSMR_AVALANCHE_GATHER_H

#include "avalanche/grpc_server.h"
#include "base/metrics.h"

/* Answers Gather. */
void dsmr_gather_answer(struct dsmr_grpc_call *call, const struct dsmr_metrics *metrics);

#endif
