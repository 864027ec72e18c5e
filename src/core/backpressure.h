/* backpressure.h - how large this node's next chunk may be.
 *
 * Why:     the builder slows when its own chunks wait for certificates, for inclusion or for
 *          execution: one function of the three backlogs (protocol.md, section 13).
 * How:     for each own chunk certified while no backlog is over its mark it rises by a sixteenth
 *          of the largest chunk, but by no more than a half; halved, at most once per interval_ms,
 *          when one is. Never below a 64th of the largest chunk (or 4 KiB), never above the largest
 *          chunk. Bytes do not tell what a link takes for them, so the wait for a certificate has a
 *          mark of its own, in time; over twice that mark one chunk leaves in a mark's time, so
 *          that a chunk which nobody certifies does not stop the others.
 * Threads: one owner; a plain value. */
#ifndef DSMR_CORE_BACKPRESSURE_H
#define DSMR_CORE_BACKPRESSURE_H

#include "dsmr/types.h"

struct dsmr_backpressure_config {
    uint32_t chunk_bytes_max;
    uint64_t uncertified_bytes_mark; /* own bytes that wait for a certificate: above is too much */
    uint64_t waiting_bytes_mark;     /* own certified bytes that wait for inclusion */
    uint64_t backlog_bytes_mark;     /* accepted bytes that wait for execution */
    uint64_t uncertified_ms_mark;    /* how long the oldest of them has waited for it */
    uint64_t interval_ms;
};
struct dsmr_backpressure {
    struct dsmr_backpressure_config config;
    uint32_t chunk_bytes;  /* allowed now */
    uint64_t cut_mono_ms;  /* when it was last halved; 0: never */
    uint64_t late_mono_ms; /* when a chunk last left although the oldest is late; 0: never */
};
struct dsmr_backlogs {
    uint64_t uncertified_bytes;
    uint64_t waiting_bytes;
    uint64_t backlog_bytes;
    uint64_t uncertified_ms; /* since the oldest own chunk without a certificate was sent */
};

/* Starts at the largest chunk: an idle node's first chunk is not held back. */
void dsmr_backpressure_init(struct dsmr_backpressure *bp,
                            const struct dsmr_backpressure_config *config);
/* Called before a chunk is built: returns the bytes that it may have; 0: none now, because a
 * backlog is over twice its mark. Cuts, but does not raise. */
uint32_t dsmr_backpressure_allow(struct dsmr_backpressure *bp, const struct dsmr_backlogs *backlogs,
                                 uint64_t mono_ms);
/* Called when an own chunk was certified: raises, if no backlog is over its mark. */
void dsmr_backpressure_on_certified(struct dsmr_backpressure *bp,
                                    const struct dsmr_backlogs *backlogs);

#endif
