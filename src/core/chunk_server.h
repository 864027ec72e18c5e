/* chunk_server.h - serves chunks to validators that lack them. protocol.md, sections 7 and 10.
 *
 * Why:     a share is a promise to serve; but one peer must not use up what belongs to the others.
 * How:     from memory if the body is there, else the driver loads it from disk and answers; a
 *          budget of bytes for each peer. Whoever asks says which block names the chunk: so a chunk
 *          that retention has removed is told from one that was never here by the block, which
 *          stays, and nothing need be remembered of the chunk.
 * Threads: one owner. */
#ifndef DSMR_CORE_CHUNK_SERVER_H
#define DSMR_CORE_CHUNK_SERVER_H

#include "core/node_state.h"

/* Upon request_chunk(chunk_id, height) from peer. */
void dsmr_chunk_server_on_request(struct dsmr_node *node, const struct dsmr_node_id *from,
                                  const struct dsmr_id *chunk_id, uint64_t height);

#endif
