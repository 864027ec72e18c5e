/* sim_story.h - what each node did last, in words, for whoever reads a failure.
 *
 * How:     a ring of the last deeds of each body, as bytes; sentences are only made when somebody
 *          asks, so that a run that passes pays next to nothing.
 * Limits:  DSMR_SIM_STORY_DEEDS a body; the first bytes of a message.
 * Threads: one. */
#ifndef DSMR_SIM_SIM_STORY_H
#define DSMR_SIM_SIM_STORY_H

#include "ports/store.h"

#define DSMR_SIM_STORY_DEEDS 32u
#define DSMR_SIM_STORY_LINE 256u /* of a sentence, with its zero */

struct dsmr_sim_story; /* opaque */

/* is_traced: each deed is a line on standard error, too, when the next one comes. */
struct dsmr_sim_story *dsmr_sim_story_new(uint32_t bodies, bool is_traced);
void dsmr_sim_story_free(struct dsmr_sim_story *story);

/* ---- what happens; at_us never falls ---- */
/* The same message to several at once is one deed. */
void dsmr_sim_story_sent(struct dsmr_sim_story *story, uint64_t at_us, uint32_t body, uint32_t to,
                         const struct dsmr_buf *bytes);
void dsmr_sim_story_received(struct dsmr_sim_story *story, uint64_t at_us, uint32_t body,
                             uint32_t from, const struct dsmr_buf *bytes);
void dsmr_sim_story_stored(struct dsmr_sim_story *story, uint64_t at_us, uint32_t body,
                           const struct dsmr_store_write *write);
/* what: words that stay, like "accepts block". id may be NULL; height 0: none is told. */
void dsmr_sim_story_did(struct dsmr_sim_story *story, uint64_t at_us, uint32_t body,
                        const char *what, const struct dsmr_id *id, uint64_t height);
void dsmr_sim_story_fault(struct dsmr_sim_story *story, uint64_t at_us, uint32_t body,
                          const char *name); /* begins; the name stays */

/* ---- telling ---- */
/* The last count deeds of the bodies that is_wanted marks, oldest first, a line each. Returns how
 * many there were. */
uint32_t dsmr_sim_story_tell(const struct dsmr_sim_story *story, const bool *is_wanted,
                             uint32_t count, void (*say)(void *ctx, const char *line), void *ctx);

#endif
