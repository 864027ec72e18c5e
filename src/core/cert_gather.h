/* cert_gather.h - certificates that are about to come, for which a block may wait a moment.
 *
 * Why:     chunks that leave when a slot starts are certified within some milliseconds of each
 *          other, and a block costs the same votes whatever it holds: one that takes the first
 *          certificate only makes the others wait for the next block.
 * How:     chunks that were signed here within a slot and have no certificate yet are expected.
 *          Half a slot is the most that a block waits for them, a liar's chunk included.
 * Not here: whether there is something to build (block_builder).
 * Threads: one owner. */
#ifndef DSMR_CORE_CERT_GATHER_H
#define DSMR_CORE_CERT_GATHER_H

#include "dsmr/types.h"

#define DSMR_CERT_GATHER_CHUNKS 32u /* the last ones; of more the oldest are forgotten */

struct dsmr_node;

struct dsmr_cert_gather {
    struct dsmr_id chunks[DSMR_CERT_GATHER_CHUNKS]; /* ring */
    uint64_t signed_ms[DSMR_CERT_GATHER_CHUNKS];    /* mono; 0: none */
    uint32_t next;
    uint64_t since_ms; /* mono: when something to build was first seen; 0: nothing is */
};

/* We have signed this chunk: its certificate is expected. */
void dsmr_cert_gather_on_share(struct dsmr_node *node, const struct dsmr_id *chunk_id);
/* The longest wait: a part of a slot, bounded where slots are long. */
uint32_t dsmr_cert_gather_wait_ms(const struct dsmr_node *node, uint32_t part_of_slot,
                                  uint32_t longest_ms);
/* Whether the certificate of another's chunk is expected that has not come (has_come says no). */
bool dsmr_cert_gather_expects(const struct dsmr_node *node,
                              bool (*has_come)(const struct dsmr_node *node,
                                               const struct dsmr_id *chunk_id));
/* Nothing is there to build: whatever comes next begins a new wait. */
void dsmr_cert_gather_reset(struct dsmr_node *node);
/* There is something to build: the time (mono) up to which more is worth waiting for; 0: build. */
uint64_t dsmr_cert_gather_until(struct dsmr_node *node);

#endif
