#include "bft/engine_state.h"

/* docs/bft.md, rule 3.7: blocks follow each other so that between two passes the time of four
 * checks, as long as they take now. A block costs every validator two signatures and two checks,
 * whatever it holds: where they wait for a processor, more blocks would only make each one later.
 */

#define WEIGHT 8u       /* of what was measured before, against the last one */
#define CHECKS 4u       /* of those that were measured */
#define PART_OF_VIEW 8u /* the longest pause, as a part of the first view timeout */

void dsmr_block_pace_on_checked(struct dsmr_bft *bft, const struct dsmr_bft_op *op)
{
    uint64_t took_ms = bft->now_ms - op->begun_ms;
    took_ms = took_ms < bft->view_timeout_ms ? took_ms : bft->view_timeout_ms;
    bft->checks_ms = bft->checks_ms - bft->checks_ms / WEIGHT + took_ms;
}

uint64_t dsmr_block_pace_due_ms(const struct dsmr_bft *bft)
{
    uint64_t longest_ms = bft->view_timeout_ms / PART_OF_VIEW;
    uint64_t pause_ms = bft->checks_ms * CHECKS / WEIGHT;
    pause_ms = pause_ms < longest_ms ? pause_ms : longest_ms;
    return bft->has_proposed_block ? bft->proposed_block_ms + pause_ms : 0;
}

void dsmr_block_pace_on_block(struct dsmr_bft *bft)
{
    bft->has_proposed_block = true;
    bft->proposed_block_ms = bft->now_ms;
}
