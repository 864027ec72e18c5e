/* restore.h - from what the disk holds to a running node. protocol.md, section 12.
 *
 * Order:   floor, journal, chunks, blocks, executed ids, certificates, evidence, START
 * (dsmr/event.h). Nothing is signed, built or executed before START. Threads: one owner. */
#ifndef DSMR_CORE_RESTORE_H
#define DSMR_CORE_RESTORE_H

#include "core/node_state.h"

/* One RESTORE event. */
void dsmr_restore_on_event(struct dsmr_node *node, const struct dsmr_event *event);
void dsmr_restore_on_start(struct dsmr_node *node, const struct dsmr_event *event);
/* A validator set has come: own chunks that START had to leave for want of it are taken up. */
void dsmr_restore_on_set(struct dsmr_node *node);

#endif
