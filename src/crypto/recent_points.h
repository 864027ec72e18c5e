/* recent_points.h - points that were just made, by the bytes that they belong to.
 *
 * Why:     a node meets each message several times within a moment: it verifies the producer's
 *          share of a reference, signs that, and verifies its certificate; it votes for a subject,
 *          and verifies the certificate of the votes. Hashing to G2 is a fifth of a verification
 *          and half of a signature. And it decodes what it has just encoded: its own share, to add
 *          it up, and the sum, to check it. Each time that is a square root in Fp2.
 * Not here: points of proofs of possession, whose suite is another one; signatures as they come
 *          from others; verdicts: what is known here is on the curve, and nothing more.
 * Limits:  of each kind the newest DSMR_RECENT_POINTS_MAX, of up to DSMR_RECENT_POINTS_BYTES_MAX
 *          bytes, for the process. Bytes are compared whole, so a wrong point cannot come out.
 * Threads: all. Neither find nor add waits: if another thread is at the table, it is as if nothing
 *          were known. forget does. */
#ifndef DSMR_CRYPTO_RECENT_POINTS_H
#define DSMR_CRYPTO_RECENT_POINTS_H

#include <stdbool.h>
#include <stddef.h>

#include "blst.h"

#define DSMR_RECENT_POINTS_BYTES_MAX 160u
#define DSMR_RECENT_POINTS_MAX 256u

enum dsmr_recent_points {
    DSMR_RECENT_POINTS_MESSAGES, /* messages that were hashed to the curve */
    DSMR_RECENT_POINTS_SIGS,     /* canonical encodings that were made here, never the identity's */
    DSMR_RECENT_POINTS_KINDS
};

bool dsmr_recent_points_find(enum dsmr_recent_points kind, blst_p2_affine *out, const void *bytes,
                             size_t len);
/* Nothing happens if bytes are too many, known, or another thread is at the table. */
void dsmr_recent_points_add(enum dsmr_recent_points kind, const blst_p2_affine *point,
                            const void *bytes, size_t len);
/* All of a kind, for measurements of what takes longer where nothing is known. */
void dsmr_recent_points_forget(enum dsmr_recent_points kind);

#endif
