/* chunk_server.h - serves chunks to validators that lack them. protocol.md, sections 7 and 10.
 *
 * Why:     a share is a promise to serve; but one peer must not use up what belongs to the others.
 * How:     from memory if the body is there, else the driver loads it from disk and answers; a
 *          budget of bytes for each peer.
 * Threads: one owner. */
#ifndef DSMR_CORE_CHUNK_SERVER_H
#define DSMR_CORE_CHUNK_SERVER_H

#include "core/node_state.h"

/* Upon request_chunk(chunk_id) from peer. */
void dsmr_chunk_server_on_request(struct dsmr_node *node, const struct dsmr_node_id *from,
                                  const struct dsmr_id *chunk_id);

#endif
