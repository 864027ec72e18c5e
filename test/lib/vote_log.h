/* vote_log.h - remembers every vote that any node ever sent, through crashes and lost disks, and
 * asserts that no node says two things in a view that exclude each other. It shares nothing with
 * the engine. */
#ifndef DSMR_TEST_VOTE_LOG_H
#define DSMR_TEST_VOTE_LOG_H

#include "wire/message.h"

struct dsmr_vote_log; /* opaque */

struct dsmr_vote_log *dsmr_vote_log_new(void);
void dsmr_vote_log_free(struct dsmr_vote_log *log);
/* What node sends; anything but a vote is ignored. */
void dsmr_vote_log_add(struct dsmr_vote_log *log, uint32_t node, const struct dsmr_buf *head);
/* Views in which node voted. */
uint64_t dsmr_vote_log_count(const struct dsmr_vote_log *log, uint32_t node);

#endif
