/* tcp_dial.h - connecting to a node within a time. */
#ifndef DSMR_CLIENT_TCP_DIAL_H
#define DSMR_CLIENT_TCP_DIAL_H

#include <stdint.h>

#include "dsmr/err.h"

/* A connected, non-blocking socket without Nagle's delay. host: name or address. CONFIG (no such
 * host), UNAVAILABLE (refused, out of descriptors), TIMEOUT. The caller closes *fd. */
DSMR_MUST_USE enum dsmr_err dsmr_tcp_dial(int *fd, const char *host, uint16_t port,
                                          uint32_t timeout_ms);
/* Waits until fd is readable (or writable): OK, TIMEOUT, IO. */
DSMR_MUST_USE enum dsmr_err dsmr_tcp_dial_wait(int fd, int for_writing, uint32_t timeout_ms);

#endif
