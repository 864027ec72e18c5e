/* net_unsent.h - how much a socket may hold that is not on its way yet.
 *
 * Why:     a vote cannot overtake what the kernel has taken. A limit in bytes is too much for a
 *          slow line, of which many connections each have a part, and too little for a fast one.
 * How:     the kernel measures how fast what was sent has arrived; what it may hold is what leaves
 *          in DSMR_NET_UNSENT_MS at that rate. It does not count times in which the sender had
 *          nothing to send, so a small limit does not make itself smaller.
 * Threads: any. */
#ifndef DSMR_NET_NET_UNSENT_H
#define DSMR_NET_NET_UNSENT_H

#include <stdbool.h>
#include <stdint.h>

#define DSMR_NET_UNSENT_MS 5u
#define DSMR_NET_UNSENT_BYTES_MIN 16384u /* a TLS record */

/* What may be unsent at this rate, at most bytes_max. */
uint32_t dsmr_net_unsent_bytes(uint64_t bytes_per_s, uint32_t bytes_max);
/* Measures and sets it, and tells what it is; a wish: if nothing is known, nothing changes, and it
 * is 0. */
uint32_t dsmr_net_unsent_fit(int fd, uint32_t bytes_max);

/* Whether a writer may gather that many bytes, which nothing can overtake if the socket does not
 * take them: where it was measured (unsent_bytes, not 0), if they are half of what the kernel may
 * hold or less; before that, while the socket takes all. */
static inline bool dsmr_net_unsent_may_gather(uint32_t unsent_bytes, bool is_slow, uint32_t bytes)
{
    return unsent_bytes == 0 ? !is_slow : bytes <= unsent_bytes / 2;
}

#endif
