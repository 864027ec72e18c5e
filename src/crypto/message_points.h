/* message_points.h - points of messages that were just hashed to the curve.
 *
 * Why:     a node meets each message several times within a moment: it verifies the producer's
 * share of a reference, signs that, and verifies its certificate; it votes for a subject, and
 *          verifies the certificate of the votes. Hashing to G2 is a fifth of a verification and
 *          half of a signature.
 * Not here: points of proofs of possession, whose suite is another one; signatures, verdicts.
 * Limits:  the newest DSMR_MESSAGE_POINTS_MAX messages of up to DSMR_MESSAGE_POINTS_BYTES_MAX
 * bytes, one table for the process. A message is compared whole, so a wrong point cannot come out.
 * Threads: all. Nobody waits: if another thread is at the table, it is as if nothing were known. */
#ifndef DSMR_CRYPTO_MESSAGE_POINTS_H
#define DSMR_CRYPTO_MESSAGE_POINTS_H

#include <stdbool.h>
#include <stddef.h>

#include "blst.h"

#define DSMR_MESSAGE_POINTS_BYTES_MAX 160u
#define DSMR_MESSAGE_POINTS_MAX 256u

bool dsmr_message_points_find(blst_p2_affine *out, const void *message, size_t len);
/* Nothing happens if message is too long, known, or another thread is at the table. */
void dsmr_message_points_add(const blst_p2_affine *point, const void *message, size_t len);

#endif
