/* cli_load_shape.h - which transaction of a run is meant for which moment.
 *
 * Why:        latency is measured from that moment, so it must not depend on when anything was
 * sent. How:        evenly, rate a second; or in periods: idle_us in which there is one transaction
 * every lonely_us, then burst_us at the rate. The first lonely one comes lonely_us after the burst
 * before, and the last before the burst, so that a burst meets an idle network. Invariants: moments
 * do not decrease with the index; due(meant(i)) <= i < due(meant(i) + 1). Limits:     rate at least
 * 1; with idle_us > 0 also burst_us and lonely_us. Threads:    any. Knows no clock. */
#ifndef DSMR_APP_CLI_LOAD_SHAPE_H
#define DSMR_APP_CLI_LOAD_SHAPE_H

#include <stdint.h>

#define DSMR_CLI_LOAD_SHAPE_FIRST_US 100000u

enum dsmr_cli_load_part {
    DSMR_CLI_LOAD_PART_EVEN,  /* of a load without bursts */
    DSMR_CLI_LOAD_PART_IDLE,  /* a lonely one */
    DSMR_CLI_LOAD_PART_FIRST, /* of the first DSMR_CLI_LOAD_SHAPE_FIRST_US of a burst */
    DSMR_CLI_LOAD_PART_REST,  /* of a burst, later */
    DSMR_CLI_LOAD_PARTS
};

struct dsmr_cli_load_shape {
    uint64_t rate;    /* transactions a second: in a burst, or all the time */
    uint64_t idle_us; /* 0: even */
    uint64_t burst_us;
    uint64_t lonely_us;
};

/* How many transactions are meant for before until_us from the start. */
uint64_t dsmr_cli_load_shape_due(const struct dsmr_cli_load_shape *shape, uint64_t until_us);
/* When transaction index is meant to be sent, from the start; *part: where that is. */
uint64_t dsmr_cli_load_shape_meant_us(const struct dsmr_cli_load_shape *shape,
                                      enum dsmr_cli_load_part *part, uint64_t index);
#endif
