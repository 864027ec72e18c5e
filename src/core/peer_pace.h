/* peer_pace.h - when a chunk that a peer has not answered is worth sending again.
 *
 * Why:     a peer that is slow has the chunk in a queue: to send it again makes it slower, and a
 *          network that does so collapses under its own repetitions. A peer that has lost it must
 *          get it soon.
 * How:     the time to wait follows the peer's own answers (Jacobson's estimator with Karn's rule
 * and a doubling timeout: RFC 6298, sections 2, 3 and 5). A chunk counts as lost, at once, if the
 * peer has answered another that was sent clearly later (RFC 8985, section 6.2), or if the
 * connection came up since it was sent. Limits:  one chunk for each timeout of a peer that answers
 * nothing. Threads: one owner; a plain value. All times are monotonic milliseconds; no sum
 * overflows. */
#ifndef DSMR_CORE_PEER_PACE_H
#define DSMR_CORE_PEER_PACE_H

#include "dsmr/types.h"

struct dsmr_peer_pace {
    bool has_rtt;
    uint64_t rtt_ms, deviation_ms; /* smoothed: from the first sending of a chunk to its answer */
    uint32_t doublings;            /* of the timeout, since the last answer that tells a time */
    uint64_t up_mono_ms;           /* what was sent before is lost */
    uint64_t answered_sent_ms;     /* the latest sending among the answered */
    uint64_t silent_until_ms;      /* nothing is sent again for a timeout before this */
};

/* The connection is new; what was learnt of the peer stays. */
void dsmr_peer_pace_on_up(struct dsmr_peer_pace *pace, uint64_t mono_ms);
/* The peer answered a chunk that was sent to it once, at sent_ms. */
void dsmr_peer_pace_on_answer(struct dsmr_peer_pace *pace, uint64_t sent_ms, uint64_t mono_ms);
/* How long an answer may take; at least min_ms (>= 1). */
uint64_t dsmr_peer_pace_timeout_ms(const struct dsmr_peer_pace *pace, uint64_t min_ms);
/* Whether a chunk that was last sent at sent_ms is due again. If so it counts as sent: when the
 * reason is a timeout, the next one is twice as long. */
bool dsmr_peer_pace_take(struct dsmr_peer_pace *pace, uint64_t sent_ms, uint64_t min_ms,
                         uint64_t mono_ms);

#endif
