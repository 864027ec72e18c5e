/* check.h - what must hold whatever happens. Each promise is a file check_<what>.c.
 *
 * Rule:    a checker derives the promise again from what it sees; it calls nothing of what it
 *          checks but decoders. It looks at honest nodes only.
 * Threads: one. */
#ifndef DSMR_SIM_CHECK_H
#define DSMR_SIM_CHECK_H

#include "sim/sim.h"
#include "wire/message.h"

struct dsmr_sim_checker_ops {
    const char *name;
    void *(*make)(struct dsmr_sim *sim);
    void (*free)(void *self);
    /* Each may be NULL. */
    void (*accepted)(void *self, struct dsmr_sim *sim, uint32_t node,
                     const struct dsmr_block *block);
    void (*executed)(void *self, struct dsmr_sim *sim, uint32_t node,
                     const struct dsmr_executed *executed);
    void (*sent)(void *self, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                 const struct dsmr_msg *msg);
    void (*certified)(void *self, struct dsmr_sim *sim, uint32_t node,
                      const struct dsmr_chunk *chunk);
    void (*stored)(void *self, struct dsmr_sim *sim, uint32_t node,
                   const struct dsmr_store_write *write); /* is durable */
    void (*started)(void *self, struct dsmr_sim *sim, uint32_t node,
                    uint64_t executed_height); /* came back with that state */
    void (*wiped)(void *self, struct dsmr_sim *sim, uint32_t node);
    /* Under engine_snow.h: a block; is_built: as node, which is honest, has just built it. */
    void (*issued)(void *self, struct dsmr_sim *sim, uint32_t node, const struct dsmr_block *block,
                   bool is_built);
    void (*tick)(void *self, struct dsmr_sim *sim); /* every 100 ms */
    void (*end)(void *self, struct dsmr_sim *sim);  /* the network was healed and drained */
};
struct dsmr_sim_checker {
    const struct dsmr_sim_checker_ops *ops;
    void *self;
};

/* Every checker there is, ended by NULL. */
extern const struct dsmr_sim_checker_ops *const dsmr_sim_check_all[];
void dsmr_sim_check_add(struct dsmr_sim *sim, const struct dsmr_sim_checker_ops *ops);
void dsmr_sim_check_end(struct dsmr_sim *sim);

/* ---- what checkers may look at ---- */
bool dsmr_sim_check_is_honest(const struct dsmr_sim *sim, uint32_t node);
uint32_t dsmr_sim_check_nodes(const struct dsmr_sim *sim);
bool dsmr_sim_check_is_transfers(const struct dsmr_sim *sim); /* which application */
const struct dsmr_block *dsmr_sim_check_genesis(const struct dsmr_sim *sim);
/* The set of an epoch as genesis' schedule has it; NULL: none. Borrowed. */
const struct dsmr_validator_set *dsmr_sim_check_set(const struct dsmr_sim *sim, uint64_t epoch);
/* The engine says each block's epoch, not the schedule; then it said this one of block. NONE for a
 * block that it did not decide. */
bool dsmr_sim_check_has_contexts(const struct dsmr_sim *sim);
uint64_t dsmr_sim_check_context(const struct dsmr_sim *sim, const struct dsmr_block *block);
const struct dsmr_params *dsmr_sim_check_params(const struct dsmr_sim *sim);
/* With the sets of the epochs as the engine schedules them. Borrowed. */
const struct dsmr_sim_config *dsmr_sim_check_config(const struct dsmr_sim *sim);
/* Whether the chunk is in node's store, durable (up or down). */
bool dsmr_sim_check_has_chunk(const struct dsmr_sim *sim, uint32_t node,
                              const struct dsmr_id *chunk_id);
/* And its body is not damaged. */
bool dsmr_sim_check_can_serve(const struct dsmr_sim *sim, uint32_t node,
                              const struct dsmr_id *chunk_id);
/* It is, and was before this life of the node. */
bool dsmr_sim_check_was_damaged(const struct dsmr_sim *sim, uint32_t node,
                                const struct dsmr_id *chunk_id);
/* The signature that validator number makes over bytes: what a right one is compared with. */
struct dsmr_bls_sig dsmr_sim_check_signature(uint32_t number, const void *bytes, size_t len);
/* Aggregates: sum is all zero at first. */
void dsmr_sim_check_add_signature(struct dsmr_bls_sig *sum, const struct dsmr_bls_sig *sig);
uint32_t dsmr_sim_check_number(const struct dsmr_node_id *id); /* of a node */
uint64_t dsmr_sim_check_stored_bytes(const struct dsmr_sim *sim, uint32_t node);
/* What node's clock says, and the latest that it ever told the node. */
uint64_t dsmr_sim_check_wall_ms(const struct dsmr_sim *sim, uint32_t node);
uint64_t dsmr_sim_check_latest_ms(const struct dsmr_sim *sim, uint32_t node);
/* For how long it has been up and not paused; 0: it is not. */
uint64_t dsmr_sim_check_steady_us(const struct dsmr_sim *sim, uint32_t node);
/* Writes of this life may have failed: it knows more than its disk. */
bool dsmr_sim_check_has_bad_disk(const struct dsmr_sim *sim, uint32_t node);
uint64_t dsmr_sim_check_healed_ms(const struct dsmr_sim *sim); /* UINT64_MAX: not yet */
void dsmr_sim_check_mempool(const struct dsmr_sim *sim, uint32_t node, uint64_t *bytes_max,
                            uint64_t *txs_max);

#endif
