#include "core/peer_pace.h"

#include "base/assert.h"
#include "base/order.h"

#define DOUBLINGS_MAX 4u
#define TIMEOUT_MAX_MS 60000u /* RFC 6298, 2.5 */

void dsmr_peer_pace_on_up(struct dsmr_peer_pace *pace, uint64_t mono_ms)
{
    pace->up_mono_ms = mono_ms;
    pace->answered_sent_ms = 0;
    pace->silent_until_ms = 0;
    pace->doublings = 0;
}

void dsmr_peer_pace_on_answer(struct dsmr_peer_pace *pace, uint64_t sent_ms, uint64_t mono_ms)
{
    if (sent_ms > mono_ms) {
        return;
    }
    uint64_t sample_ms = dsmr_smaller(mono_ms - sent_ms, TIMEOUT_MAX_MS);
    if (!pace->has_rtt) {
        pace->has_rtt = true;
        pace->rtt_ms = sample_ms;
        pace->deviation_ms = sample_ms / 2;
    } else {
        uint64_t error_ms =
            sample_ms > pace->rtt_ms ? sample_ms - pace->rtt_ms : pace->rtt_ms - sample_ms;
        pace->deviation_ms = (3 * pace->deviation_ms + error_ms) / 4;
        pace->rtt_ms = (7 * pace->rtt_ms + sample_ms) / 8;
    }
    pace->doublings = 0;
    pace->silent_until_ms = 0;
    pace->answered_sent_ms = dsmr_larger(pace->answered_sent_ms, sent_ms);
}

uint64_t dsmr_peer_pace_timeout_ms(const struct dsmr_peer_pace *pace, uint64_t min_ms)
{
    DSMR_ASSERT(min_ms >= 1);
    uint64_t timeout_ms = dsmr_larger(min_ms, pace->rtt_ms + 4 * pace->deviation_ms);
    return dsmr_larger(min_ms, dsmr_smaller(timeout_ms << pace->doublings, TIMEOUT_MAX_MS));
}

/* Another chunk was sent so much later that its answer cannot have overtaken this one's by chance.
 */
static bool is_overtaken(const struct dsmr_peer_pace *pace, uint64_t sent_ms, uint64_t min_ms)
{
    return pace->answered_sent_ms > sent_ms &&
           pace->answered_sent_ms - sent_ms > dsmr_larger(min_ms, pace->rtt_ms);
}

bool dsmr_peer_pace_take(struct dsmr_peer_pace *pace, uint64_t sent_ms, uint64_t min_ms,
                         uint64_t mono_ms)
{
    if (sent_ms < pace->up_mono_ms || is_overtaken(pace, sent_ms, min_ms)) {
        return true;
    }
    uint64_t waited_ms = mono_ms > sent_ms ? mono_ms - sent_ms : 0;
    if (waited_ms < dsmr_peer_pace_timeout_ms(pace, min_ms) || mono_ms < pace->silent_until_ms) {
        return false;
    }
    if (pace->doublings < DOUBLINGS_MAX) {
        pace->doublings++;
    }
    pace->silent_until_ms = mono_ms + dsmr_peer_pace_timeout_ms(pace, min_ms);
    return true;
}
