/* history.h - a history of a chain, told to a checker by hand: four nodes that do nothing, one
 * checker, and blocks, chunks and certificates that fit together until a test spoils them. */
#ifndef DSMR_TEST_UNIT_SIM_HISTORY_H
#define DSMR_TEST_UNIT_SIM_HISTORY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "crypto/hash.h"
#include "sim/check_rules.h"
#include "sim/sim_accounts.h"
#include "sim/sim_bls.h"
#include "sim/sim_state.h"
#include "wire/codec.h"

#define NODES 4u
#define SLOT (DSMR_SIM_START_MS / 100) /* the first slot that begins with the chain */

struct history {
    struct dsmr_sim *sim;
    const struct dsmr_sim_checker_ops *ops;
    void *self;
    struct dsmr_block *tip; /* of the chain that extend() makes */
};

static inline void history_begin_with(struct history *h, const struct dsmr_sim_checker_ops *ops,
                                      const struct dsmr_sim_config *config)
{
    *h = (struct history){.sim = dsmr_sim_new(config), .ops = ops};
    dsmr_sim_check_add(h->sim, ops);
    h->self = h->sim->checkers[0].self;
    h->tip = dsmr_block_ref(h->sim->genesis);
    for (uint32_t i = 0; i < config->nodes; i++) { /* else they make a first block */
        dsmr_sim_pause(h->sim, i, true);
    }
}

static inline void history_begin(struct history *h, const struct dsmr_sim_checker_ops *ops)
{
    struct dsmr_sim_config config = {.seed = 1, .nodes = NODES};
    history_begin_with(h, ops, &config);
}

static inline void history_end(struct history *h)
{
    dsmr_block_unref(h->tip);
    dsmr_sim_free(h->sim);
}

/* Nothing was found; or the first thing that was found is a breach of rule. */
static inline void history_is_right(const struct history *h)
{
    assert_string_equal(dsmr_sim_failure(h->sim), "");
}

static inline void history_breaks(const struct history *h, const char *rule)
{
    size_t len = strlen(rule);
    const char *failure = dsmr_sim_failure(h->sim);
    if (strncmp(failure, rule, len) != 0 || strncmp(failure + len, " at ", 4) != 0) {
        fail_msg("wanted a breach of %s, found '%s'", rule, failure);
    }
}

/* ---- making ---- */

/* Unref it. */
static inline struct dsmr_chunk *chunk_of(struct history *h, uint32_t producer, uint64_t slot,
                                          uint32_t count)
{
    struct dsmr_chunk *chunk = dsmr_sim_byz_chunk(h->sim, producer, 0, slot, count);
    assert_non_null(chunk);
    return chunk;
}

static inline void aggregate(struct dsmr_bls_sig *sig, struct dsmr_bitset *signers,
                             uint32_t signers_mask, const uint8_t *bytes, size_t len)
{
    memset(sig, 0, sizeof(*sig));
    memset(signers, 0, sizeof(*signers));
    for (uint32_t i = 0; i < 32; i++) {
        if ((signers_mask >> i & 1u) != 0) {
            struct dsmr_bls_sig one = dsmr_sim_check_signature(i, bytes, len);
            for (size_t k = 0; k < sizeof(sig->bytes); k++) {
                sig->bytes[k] ^= one.bytes[k];
            }
            signers->words[0] |= UINT64_C(1) << i;
        }
    }
}

static inline struct dsmr_cert cert_of(struct history *h, const struct dsmr_reference *ref,
                                       uint32_t signers_mask)
{
    struct dsmr_cert cert;
    uint8_t bytes[DSMR_SHARE_SIGNING_BYTES];
    memset(&cert, 0, sizeof(cert));
    cert.ref = *ref;
    dsmr_share_signing_bytes(bytes, &h->sim->params.domain, ref);
    aggregate(&cert.sig, &cert.signers, signers_mask, bytes, sizeof(bytes));
    return cert;
}

static inline struct dsmr_quorum_cert
finalization_of(struct history *h, const struct dsmr_block *block, uint32_t signers_mask)
{
    struct dsmr_quorum_cert qc;
    uint8_t bytes[DSMR_VOTE_SIGNING_BYTES];
    memset(&qc, 0, sizeof(qc));
    qc.subject = (struct dsmr_vote_subject){.epoch = block->epoch,
                                            .view = block->height,
                                            .height = block->height,
                                            .block_id = block->id,
                                            .kind = DSMR_VOTE_FINALIZE};
    dsmr_vote_signing_bytes(bytes, &h->sim->params.domain, &qc.subject);
    aggregate(&qc.sig, &qc.signers, signers_mask, bytes, sizeof(bytes));
    return qc;
}

/* The fields of a block on the tip that is right if certs are. */
static inline struct dsmr_block fields_of(const struct history *h, uint64_t time_ms,
                                          struct dsmr_cert *certs, uint32_t count)
{
    return (struct dsmr_block){.parent_id = h->tip->id,
                               .height = h->tip->height + 1,
                               .time_ms = time_ms,
                               .epoch = 0,
                               .certs_count = count,
                               .certs = certs};
}

static inline struct dsmr_block *build(struct history *h, const struct dsmr_block *fields)
{
    struct dsmr_block *block = NULL;
    assert_int_equal(dsmr_block_build(&block, &h->sim->params, fields), DSMR_OK);
    return block;
}

/* ---- telling ---- */

static inline void tell_accept(struct history *h, uint32_t node, const struct dsmr_block *block,
                               const struct dsmr_quorum_cert *finalization)
{
    uint64_t wall_ms = dsmr_sim_check_wall_ms(h->sim, node);
    struct dsmr_store_write write = {.kind = DSMR_STORE_ACCEPT,
                                     .u.accept.block = block,
                                     .u.accept.finalization = finalization,
                                     .u.accept.wall_ms =
                                         wall_ms > block->time_ms ? wall_ms : block->time_ms};
    h->ops->stored(h->self, h->sim, node, &write);
}

static inline void tell_chunk(struct history *h, uint32_t node, const struct dsmr_chunk *chunk,
                              bool is_signed)
{
    struct dsmr_store_chunk_meta meta = {
        .ref = chunk->ref, .included_height = UINT64_MAX, .is_signed = is_signed};
    struct dsmr_store_write write = {.kind = DSMR_STORE_CHUNK,
                                     .u.chunk.meta = &meta,
                                     .u.chunk.bytes = chunk->bytes,
                                     .u.chunk.len = chunk->ref.chunk_bytes};
    h->ops->stored(h->self, h->sim, node, &write);
}

static inline void tell_gc(struct history *h, uint32_t node, uint64_t floor_ms,
                           const struct dsmr_id *chunk_id)
{
    struct dsmr_store_write write = {.kind = DSMR_STORE_GC,
                                     .u.gc.floor_ms = floor_ms,
                                     .u.gc.chunks = chunk_id,
                                     .u.gc.chunks_count = chunk_id == NULL ? 0 : 1};
    h->ops->stored(h->self, h->sim, node, &write);
}

/* A block on the tip, stored by all; the tip from now on. */
static inline void extend(struct history *h, uint64_t time_ms, struct dsmr_cert *certs,
                          uint32_t count)
{
    struct dsmr_block fields = fields_of(h, time_ms, certs, count);
    dsmr_block_unref(h->tip);
    h->tip = build(h, &fields);
    for (uint32_t i = 0; i < NODES && h->ops->stored != NULL; i++) {
        tell_accept(h, i, h->tip, NULL);
    }
}

static inline void free_write(struct dsmr_task *task, void *owner)
{
    (void)owner;
    free(task);
}

/* Gives a write to the node's own disk. */
static inline void write_to(struct history *h, uint32_t node, struct dsmr_store_write *fields)
{
    struct dsmr_store_write *write = malloc(sizeof(*write));
    struct dsmr_store store = dsmr_sim_store_port(h->sim->nodes[node].store);
    assert_non_null(write);
    *write = *fields;
    write->task.done = free_write; /* the paused node takes it when it dies */
    store.ops->write(store.self, write);
    dsmr_sim_pass(h->sim, 100000);
}

/* Puts the chunk onto the node's disk; checkers hear of it. */
static inline void hold(struct history *h, uint32_t node, const struct dsmr_chunk *chunk,
                        bool is_signed)
{
    struct dsmr_store_chunk_meta meta = {
        .ref = chunk->ref, .included_height = UINT64_MAX, .is_signed = is_signed};
    struct dsmr_store_write write = {.kind = DSMR_STORE_CHUNK,
                                     .u.chunk.meta = &meta,
                                     .u.chunk.bytes = chunk->bytes,
                                     .u.chunk.len = chunk->ref.chunk_bytes};
    write_to(h, node, &write);
    assert_true(dsmr_sim_check_has_chunk(h->sim, node, &chunk->ref.chunk_id) ||
                dsmr_sim_has_failed(h->sim));
}

/* Takes it off again, as a collection would; checkers hear of it. */
static inline void let_go(struct history *h, uint32_t node, const struct dsmr_chunk *chunk,
                          uint64_t floor_ms)
{
    struct dsmr_store_write write = {.kind = DSMR_STORE_GC,
                                     .u.gc.floor_ms = floor_ms,
                                     .u.gc.chunks = &chunk->ref.chunk_id,
                                     .u.gc.chunks_count = 1};
    write_to(h, node, &write);
}

static inline void restart(struct history *h, uint32_t node, bool is_wiped)
{
    dsmr_sim_crash(h->sim, node);
    if (is_wiped) {
        dsmr_sim_wipe(h->sim, node);
    }
    dsmr_sim_restart(h->sim, node);
    dsmr_sim_pause(h->sim, node, true);
}

/* ids and results of the whole of one chunk, as an application that never fails has them. */
struct told {
    struct dsmr_id ids[16];
    struct dsmr_app_result results[16];
    struct dsmr_executed executed;
};

static inline void tell_of(struct told *told, const struct dsmr_block *block,
                           const struct dsmr_chunk *chunk)
{
    memset(told, 0, sizeof(*told));
    told->executed = (struct dsmr_executed){.height = block->height,
                                            .time_ms = block->time_ms,
                                            .block_id = block->id,
                                            .ids = told->ids,
                                            .results = told->results};
    for (uint32_t i = 0; chunk != NULL && i < chunk->ref.tx_count; i++) {
        told->ids[told->executed.count++] = chunk->tx_ids[i];
    }
}

#endif
