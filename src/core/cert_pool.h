/* cert_pool.h - verified certificates that wait for a block.
 *
 * Why:        blocks are built from these; a certificate is kept until it is included or expired,
 *             even when its chunk has not arrived (protocol.md, section 7).
 * Not here:   verification and storage (before add).
 * Invariants: at most one certificate of a chunk, the heaviest seen; first-seen order survives a
 *             replacement, so a certificate of a rejected block has never left its place.
 * Limits:     certs_max altogether, producer_max of one producer; FULL beyond.
 * Threads:    one owner. */
#ifndef DSMR_CORE_CERT_POOL_H
#define DSMR_CORE_CERT_POOL_H

#include "dsmr/types.h"

struct dsmr_cert_pool; /* opaque */

DSMR_MUST_USE struct dsmr_cert_pool *dsmr_cert_pool_new(uint32_t certs_max, uint32_t producer_max,
                                                        uint64_t seed);
void dsmr_cert_pool_free(struct dsmr_cert_pool *pool); /* NULL is fine */
/* Adds a copy. weight: of the signers. *is_new: false if it replaced a lighter one of the same
 * chunk. OK, DUPLICATE (not heavier than the one it holds), FULL. */
DSMR_MUST_USE enum dsmr_err dsmr_cert_pool_add(struct dsmr_cert_pool *pool, bool *is_new,
                                               const struct dsmr_cert *cert, uint64_t weight);
/* Borrowed until the next change; NULL: not there. */
const struct dsmr_cert *dsmr_cert_pool_find(const struct dsmr_cert_pool *pool,
                                            const struct dsmr_id *chunk_id);
/* Whether adding would be useful: absent, or lighter than weight; and there is room. */
bool dsmr_cert_pool_wants(const struct dsmr_cert_pool *pool, const struct dsmr_reference *ref,
                          uint64_t weight);
/* Whether a certificate of the chunk is on the disk, and that it is; false, and nothing, for one
 * that is not there. */
bool dsmr_cert_pool_is_stored(const struct dsmr_cert_pool *pool, const struct dsmr_id *chunk_id);
void dsmr_cert_pool_set_stored(struct dsmr_cert_pool *pool, const struct dsmr_id *chunk_id);
bool dsmr_cert_pool_remove(struct dsmr_cert_pool *pool, const struct dsmr_id *chunk_id);

struct dsmr_cert_pool_wish { /* what one block can hold */
    uint64_t time_ms;        /* slot start <= time <= expiry */
    uint32_t slot_ms;
    uint32_t certs_max;
    uint32_t txs_max;
    uint64_t payload_bytes_max; /* sum of chunk_bytes */
    uint64_t encoded_bytes_max; /* sum of 1 + DSMR_REFERENCE_BYTES + signers as encoded + 96 */
    uint64_t epochs[DSMR_PAST_EPOCHS_MAX + 1]; /* allowed */
    uint32_t epochs_count;
    bool (*is_used)(void *ctx, const struct dsmr_reference *ref); /* in an ancestor; may be NULL */
    void *ctx;
};
/* Copies certificates for a block to out (room for wish->certs_max): in rounds over the producers,
 * each round in the order of age of what each producer has next, the oldest of each producer first;
 * never a chunk id or (producer, slot) twice; passes over what does not fit or is not valid.
 * Returns how many. */
uint32_t dsmr_cert_pool_select(const struct dsmr_cert_pool *pool, struct dsmr_cert *out,
                               const struct dsmr_cert_pool_wish *wish);
/* Whether select would give at least one. */
bool dsmr_cert_pool_has_fitting(const struct dsmr_cert_pool *pool,
                                const struct dsmr_cert_pool_wish *wish);
/* Removes up to max certificates with expiry below chain_time_ms; writes their chunk ids to out. */
uint32_t dsmr_cert_pool_take_expired(struct dsmr_cert_pool *pool, struct dsmr_id *out, uint32_t max,
                                     uint64_t chain_time_ms);
uint64_t dsmr_cert_pool_expiry_min_ms(const struct dsmr_cert_pool *pool); /* UINT64_MAX if empty */
uint32_t dsmr_cert_pool_count(const struct dsmr_cert_pool *pool);
void dsmr_cert_pool_check(const struct dsmr_cert_pool *pool); /* O(n) */

#endif
