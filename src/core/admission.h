/* admission.h - how much of clients' transactions this node takes in at once. protocol.md, 13.6.
 *
 * Why:     what is admitted should be executed soon. Queues that are only limited by memory fill
 *          under overload, and then everything waits as long as they are deep.
 * How:     Little's law. What is inside (mempool, own chunks that are not executed) waits for
 *          inside / rate, where rate is what of ours is executed in a second. So while what comes
 *          out has waited too long, inside may be rate * target. Both are measured. A small chunk
 *          that is built when no other is inside waits for no queue, but for the network and the
 *          engine: target is at least twice that. What certificates wait for their block beyond
 *          the usual is the engine's as well, and is added. As long as nothing comes out, or
 *          waits are short, there is no bound. While so much is inside that it is the node's memory
 *          (bulk_bytes), waits are to be shorter where they have lately been short, and what waits
 *          is not let off until it comes out: else all that arrives while a machine stands still
 *          is taken in.
 * After:   "Controlling Queue Delay" (Nichols, Jacobson, 2012): judge by the time that things have
 *          waited, not by the length of the queue; BBR (Cardwell and others, 2016): rate and least
 *          wait, each measured in a window of its own.
 * Limits:  the last DSMR_ADMISSION_CHUNKS_MAX own chunks; older ones count as executed.
 * Threads: one owner; a plain value. */
#ifndef DSMR_CORE_ADMISSION_H
#define DSMR_CORE_ADMISSION_H

#include "dsmr/types.h"

#define DSMR_ADMISSION_CHUNKS_MAX 256u
#define DSMR_ADMISSION_BUCKETS 12u /* of DSMR_ADMISSION_BUCKET_MS: the window of the rate */
#define DSMR_ADMISSION_BUCKET_MS 250u

struct dsmr_admission_chunk {
    struct dsmr_id chunk_id;
    uint32_t bytes;    /* 0: free */
    uint64_t since_ms; /* mono: when its oldest transaction came */
    uint64_t built_ms; /* mono; 0: it is large, or another one was inside */
};
struct dsmr_admission_least { /* of a time and the same time before it; 0: none */
    uint64_t ms[2];
    uint64_t number; /* of that time */
};
struct dsmr_admission {
    uint32_t least_bytes;                                          /* the bound is never below it */
    uint64_t bulk_bytes;                                           /* more inside is memory */
    struct dsmr_admission_chunk chunks[DSMR_ADMISSION_CHUNKS_MAX]; /* built, not executed */
    uint32_t next;                                                 /* where the next one goes */
    uint32_t oldest;                                               /* while built_bytes > 0 */
    uint64_t built_bytes;                                          /* of all in chunks */
    uint64_t done[DSMR_ADMISSION_BUCKETS];                         /* bytes executed */
    uint64_t done_bucket;                                          /* of time: the newest */
    uint64_t busy_ms;    /* mono: since when chunks was never empty for long; 0: always */
    uint64_t emptied_ms; /* mono: when the last chunk left it */
    uint64_t wait_ms;    /* of what was executed last */
    uint64_t engine_ms8; /* eight times what own certificates lately waited for their block */
    struct dsmr_admission_least least; /* wait of what waits for no queue, of half a minute */
    struct dsmr_admission_least quick; /* wait of any, of some seconds */
};

/* least_bytes: the bound is never below it. bulk_bytes: more inside may not wait so long. */
void dsmr_admission_init(struct dsmr_admission *adm, uint32_t least_bytes, uint64_t bulk_bytes);
/* An own chunk was built; since_ms: when the oldest of its transactions came. */
void dsmr_admission_on_built(struct dsmr_admission *adm, const struct dsmr_reference *ref,
                             uint64_t since_ms, uint64_t mono_ms);
/* It comes to nothing: its transactions are in the mempool again, or gone. */
void dsmr_admission_on_returned(struct dsmr_admission *adm, const struct dsmr_id *chunk_id,
                                uint64_t mono_ms);
/* A block with an own chunk was accepted, that long after the chunk was certified. */
void dsmr_admission_on_accepted(struct dsmr_admission *adm, uint64_t waited_ms);
/* A chunk was executed; nothing happens if it is not in here. */
void dsmr_admission_on_executed(struct dsmr_admission *adm, const struct dsmr_id *chunk_id,
                                uint64_t mono_ms);
/* Bytes that may come in beside mempool_bytes; UINT64_MAX: no bound. */
uint64_t dsmr_admission_room(const struct dsmr_admission *adm, uint64_t mempool_bytes,
                             uint64_t mono_ms);

#endif
