/* check_model.h - what checkers know of a chain: its blocks, its chunks, and which transactions
 * have to run in which order (docs/protocol.md, 4.2, 4.3, 10.3 to 10.5), derived once more.
 *
 * Rule:    ids that ran are never forgotten here: what a shorter memory may let pass, shows.
 * Threads: one. */
#ifndef DSMR_SIM_CHECK_MODEL_H
#define DSMR_SIM_CHECK_MODEL_H

#include "sim/check.h"

struct dsmr_sim_model; /* opaque */

struct dsmr_sim_model_tx {
    struct dsmr_id id;
    uint64_t expiry_ms;
    const uint8_t *bytes;
    uint32_t len;
};
struct dsmr_sim_model_chunk {
    struct dsmr_reference ref;
    struct dsmr_address fee_recipient;
    struct dsmr_buf *bytes;
    struct dsmr_sim_model_tx *txs; /* ref.tx_count */
};
struct dsmr_sim_model_run { /* one transaction that has to run */
    const struct dsmr_sim_model_chunk *chunk;
    const struct dsmr_sim_model_tx *tx;
};
struct dsmr_sim_model_plan { /* of one block */
    const struct dsmr_block *block;
    struct dsmr_sim_model_run *runs;
    uint32_t count;
};

struct dsmr_sim_model *dsmr_sim_model_new(const struct dsmr_sim *sim); /* borrowed for ever */
void dsmr_sim_model_free(struct dsmr_sim_model *model);
/* NULL, or why the bytes are no chunk of this chain. Known ones are not looked at again. */
const char *dsmr_sim_model_add_chunk(struct dsmr_sim_model *model, const struct dsmr_id *id,
                                     const uint8_t *bytes, size_t len);
const struct dsmr_sim_model_chunk *dsmr_sim_model_chunk(const struct dsmr_sim_model *model,
                                                        const struct dsmr_id *id);
/* The first block of a height stays. Takes a reference. */
void dsmr_sim_model_add_block(struct dsmr_sim_model *model, const struct dsmr_block *block);
/* NULL: a block up to height, or a chunk of one, is not known. */
const struct dsmr_sim_model_plan *dsmr_sim_model_plan(struct dsmr_sim_model *model,
                                                      uint64_t height);

#endif
