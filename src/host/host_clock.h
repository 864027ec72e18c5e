/* host_clock.h - the operating system's clocks behind ports/clock.h.
 *
 * Why:     the only place of the node that asks for the time of day.
 * Threads: any. */
#ifndef DSMR_HOST_HOST_CLOCK_H
#define DSMR_HOST_HOST_CLOCK_H

#include "ports/clock.h"

/* CLOCK_REALTIME and CLOCK_MONOTONIC. Nothing to free. */
struct dsmr_clock dsmr_host_clock(void);

#endif
