/* clock_offset.h - how far this node's wall clock is from the others'.
 *
 * Why:     a clock that is wrong makes a validator useless in silence: its slots are refused, or it
 *          refuses the others' blocks. Reported, never corrected (protocol.md, 1.5).
 * How:     each status tells its sender's clock; what is kept is that time and when it was heard on
 *          the monotonic clock, so that a jump of our own clock shows without another message. The
 *          result is the median by weight over connected validators and, with 0, ourselves: with a
 *          quorum heard, less than a third that lies cannot move it out of what honest ones say.
 * Threads: plain values. */
#ifndef DSMR_CORE_CLOCK_OFFSET_H
#define DSMR_CORE_CLOCK_OFFSET_H

#include "dsmr/types.h"

struct dsmr_clock_sample {
    int64_t offset_ms; /* positive: the other clock is ahead of ours */
    uint64_t weight;
};

/* told_wall_ms was heard at heard_mono_ms; now it is wall_ms and mono_ms here. Saturates at
 * DSMR_CLOCK_OFFSET_MAX_MS: told_wall_ms comes from a peer. */
#define DSMR_CLOCK_OFFSET_MAX_MS INT64_C(1000000000000)
int64_t dsmr_clock_offset_of(uint64_t told_wall_ms, uint64_t heard_mono_ms, uint64_t wall_ms,
                             uint64_t mono_ms);
/* 0 if the samples do not reach a quorum of total_weight. Sorts them. */
int64_t dsmr_clock_offset_median(struct dsmr_clock_sample *samples, uint32_t count,
                                 uint64_t total_weight);

#endif
