/* on_message.h - one function for each message that peers send. protocol.md, sections 5 to 10.
 *
 * Why:     this is the list of what a peer can make the core do; each hands over to its flow.
 * Threads: one owner. */
#ifndef DSMR_CORE_ON_MESSAGE_H
#define DSMR_CORE_ON_MESSAGE_H

#include "core/node_state.h"

/* EV_MESSAGE. */
void dsmr_on_message(struct dsmr_node *node, const struct dsmr_event *event);

#endif
