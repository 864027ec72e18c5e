/* net_log.h - sentences of this folder for the operator, module "p2p".
 *
 * Nothing per message: connections come and go, and each kind of fault of a peer is told once.
 * Threads: any. */
#ifndef DSMR_NET_NET_LOG_H
#define DSMR_NET_NET_LOG_H

#include "dsmr/types.h"
#include "ports/log.h"

#define DSMR_NET_LOG_ID_BYTES 41u /* hex and a zero byte */

void dsmr_net_log_line(const struct dsmr_log *log, enum dsmr_log_level level, const char *format,
                       ...) __attribute__((format(printf, 3, 4)));
/* Writes id in hex and returns out. */
const char *dsmr_net_log_id(char out[DSMR_NET_LOG_ID_BYTES], const struct dsmr_node_id *id);

#endif
