/* clock.h - the only source of time. */
#ifndef DSMR_PORTS_CLOCK_H
#define DSMR_PORTS_CLOCK_H

#include <stdint.h>

struct dsmr_clock_ops {
    uint64_t (*wall_ms)(void *self); /* Unix milliseconds; may jump */
    uint64_t (*mono_ms)(void *self); /* never goes back; timers only */
};
struct dsmr_clock {
    void *self;
    const struct dsmr_clock_ops *ops;
};

#endif
