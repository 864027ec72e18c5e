#define _GNU_SOURCE
#include "host/host_clock.h"

#include <stddef.h>
#include <time.h>

#include "base/assert.h"

static uint64_t read_ms(clockid_t id)
{
    struct timespec ts;
    int rc = clock_gettime(id, &ts);
    DSMR_ASSERT(rc == 0);
    return ts.tv_sec < 0 ? 0 : (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

static uint64_t wall_ms(void *self)
{
    (void)self;
    return read_ms(CLOCK_REALTIME);
}

static uint64_t mono_ms(void *self)
{
    (void)self;
    return read_ms(CLOCK_MONOTONIC);
}

struct dsmr_clock dsmr_host_clock(void)
{
    static const struct dsmr_clock_ops ops = {wall_ms, mono_ms};
    return (struct dsmr_clock){NULL, &ops};
}
