/* listen.h - which addresses may be bound, and binding them. */
#ifndef DSMR_API_LISTEN_H
#define DSMR_API_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "dsmr/err.h"

/* CONFIG: not a numeric address, or not loopback without allow_remote. *reason: static. */
DSMR_MUST_USE enum dsmr_err dsmr_listen_check(const char **reason, const char *address,
                                              bool allow_remote);
/* A bound, listening, non-blocking socket and its port. As check; UNAVAILABLE if the port is taken
 * or the address is not ours. */
DSMR_MUST_USE enum dsmr_err dsmr_listen_open(int *fd, uint16_t *port, const char **reason,
                                             const char *address, uint16_t wanted_port,
                                             bool allow_remote);
#endif
