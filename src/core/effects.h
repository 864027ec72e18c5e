/* effects.h - making effects: one function for each kind that needs more than a line.
 *
 * Ownership: each takes its own references on what it is given; arrays are copied or taken as the
 *            comment says.
 * Limits:    an event never makes more than DSMR_EFFECTS_MAX: handlers work in bounded steps. */
#ifndef DSMR_CORE_EFFECTS_H
#define DSMR_CORE_EFFECTS_H

#include "dsmr/effect.h"
#include "wire/message.h"

/* Appends a zeroed effect of this kind; asserts that there is room. */
struct dsmr_effect *dsmr_effects_add(struct dsmr_effects *effects, enum dsmr_fx_kind kind);
uint32_t dsmr_effects_room(const struct dsmr_effects *effects);
/* Sends msg to one peer; body (may be NULL) follows the fixed fields. NO_MEMORY: nothing is sent,
 * as if the network had lost it. */
void dsmr_effects_send(struct dsmr_effects *effects, const struct dsmr_node_id *to,
                       const struct dsmr_msg *msg, struct dsmr_chunk *body);
void dsmr_effects_broadcast(struct dsmr_effects *effects, struct dsmr_validator_set *set,
                            const struct dsmr_msg *msg, struct dsmr_chunk *body);
void dsmr_effects_fault(struct dsmr_effects *effects, const struct dsmr_node_id *peer,
                        enum dsmr_err err);
/* Answers the engine: kind is BUILT, VERDICT or ACCEPTED; block may be NULL. */
void dsmr_effects_answer(struct dsmr_effects *effects, enum dsmr_fx_kind kind, uint64_t request_id,
                         enum dsmr_err err, struct dsmr_block *block);
void dsmr_effects_notice_chunk(struct dsmr_effects *effects, enum dsmr_notice_what what,
                               struct dsmr_chunk *chunk);
void dsmr_effects_trace(struct dsmr_effects *effects, enum dsmr_trace what,
                        const struct dsmr_id *id, uint64_t a, uint64_t b);

#endif
