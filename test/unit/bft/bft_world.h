/* bft_world.h - what the engine's tests stand on: fake keys, sets, blocks, a queue in virtual time.
 *
 * Signatures are keyed hashes; nobody can make one for a key but the functions here, so that a
 * Byzantine actor of the tests has exactly the power of its own keys. */
#ifndef TEST_UNIT_BFT_WORLD_H
#define TEST_UNIT_BFT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bitset.h"
#include "base/bytes.h"
#include "base/prng.h"
#include "bft/bft.h"
#include "crypto/hash.h"

#define WORLD_INVALID_MARK 777u /* a block of time % 1000 == this is invalid */

static inline struct dsmr_params world_params(void)
{
    struct dsmr_params params;
    dsmr_params_default(&params);
    params.domain.network_id = 7;
    memset(params.domain.chain_id.bytes, 0x5a, sizeof(params.domain.chain_id.bytes));
    return params;
}

static inline struct dsmr_node_id world_node_id(uint32_t node)
{
    struct dsmr_node_id id = {{0}};
    memset(id.bytes, 0xd0, sizeof(id.bytes));
    dsmr_store_be32(id.bytes, node);
    return id;
}

static inline uint32_t world_node_of(const struct dsmr_node_id *id)
{
    return dsmr_load_be32(id->bytes);
}

/* weights: NULL for 1 each. */
static inline struct dsmr_validator_set *world_set(uint64_t epoch, const uint32_t *nodes,
                                                   const uint64_t *weights, uint32_t count)
{
    struct dsmr_validator_set *set = calloc(1, sizeof(*set) + count * sizeof(set->validators[0]));
    assert_non_null(set);
    atomic_init(&set->refs, 1);
    set->count = count;
    set->epoch = epoch;
    for (uint32_t i = 0; i < count; i++) {
        set->validators[i].weight = weights != NULL ? weights[i] : 1;
        set->validators[i].node_ids_count = 1;
        set->validators[i].node_ids[0] = world_node_id(nodes[i]);
        dsmr_store_be32(set->validators[i].public_key.bytes, nodes[i]);
        set->total_weight += set->validators[i].weight;
    }
    return set;
}

static inline void world_stretch(struct dsmr_bls_sig *out, const struct dsmr_id *hash)
{
    for (size_t i = 0; i < sizeof(out->bytes); i++) {
        out->bytes[i] = hash->bytes[i % sizeof(hash->bytes)];
    }
}

static inline void world_sign(struct dsmr_bls_sig *out, uint32_t node,
                              const struct dsmr_vote_subject *subject)
{
    struct dsmr_params params = world_params();
    uint8_t bytes[5 + DSMR_VOTE_SIGNING_BYTES];
    struct dsmr_id hash;
    bytes[0] = 's';
    dsmr_store_be32(bytes + 1, node);
    dsmr_vote_signing_bytes(bytes + 5, &params.domain, subject);
    dsmr_hash(&hash, bytes, sizeof(bytes));
    world_stretch(out, &hash);
}

static inline void world_seal(struct dsmr_quorum_cert *qc)
{
    struct dsmr_params params = world_params();
    uint8_t bytes[1 + DSMR_VOTE_SIGNING_BYTES + sizeof(qc->signers)];
    struct dsmr_id hash;
    bytes[0] = 'a';
    dsmr_vote_signing_bytes(bytes + 1, &params.domain, &qc->subject);
    memcpy(bytes + 1 + DSMR_VOTE_SIGNING_BYTES, &qc->signers, sizeof(qc->signers));
    dsmr_hash(&hash, bytes, sizeof(bytes));
    world_stretch(&qc->sig, &hash);
}

/* A certificate that the first signers_count entries of the set signed. */
static inline struct dsmr_quorum_cert world_cert(const struct dsmr_vote_subject *subject,
                                                 uint32_t signers_count)
{
    struct dsmr_quorum_cert qc = {.subject = *subject};
    for (uint32_t i = 0; i < signers_count; i++) {
        dsmr_bitset_add(&qc.signers, i);
    }
    world_seal(&qc);
    return qc;
}

static inline bool world_cert_verifies(const struct dsmr_quorum_cert *qc)
{
    struct dsmr_quorum_cert again = *qc;
    world_seal(&again);
    return memcmp(again.sig.bytes, qc->sig.bytes, sizeof(qc->sig.bytes)) == 0;
}

/* Answers AGGREGATE as a worker would. */
static inline void world_aggregate(struct dsmr_bft_event *answer,
                                   const struct dsmr_bft_effect *effect)
{
    struct dsmr_quorum_cert qc = {.subject = effect->u.aggregate.subject};
    for (uint32_t i = 0; i < effect->u.aggregate.votes_count; i++) {
        const struct dsmr_share *vote = &effect->u.aggregate.votes[i];
        const struct dsmr_validator *validator = &effect->u.aggregate.set->validators[vote->signer];
        struct dsmr_bls_sig sig;
        world_sign(&sig, world_node_of(&validator->node_ids[0]), &qc.subject);
        if (memcmp(sig.bytes, vote->sig.bytes, sizeof(sig.bytes)) == 0) {
            dsmr_bitset_add(&qc.signers, vote->signer);
        } else {
            dsmr_bitset_add(&answer->u.aggregated.bad, vote->signer);
        }
    }
    world_seal(&qc);
    answer->kind = DSMR_BFT_EV_AGGREGATED;
    answer->u.aggregated.sig = qc.sig;
    answer->u.aggregated.signers = qc.signers;
}

static inline struct dsmr_block *world_block(const struct dsmr_block *parent, uint64_t epoch,
                                             uint64_t time_ms)
{
    struct dsmr_params params = world_params();
    struct dsmr_block fields = {
        .parent_id = parent->id,
        .height = parent->height + 1,
        .time_ms = time_ms,
        .epoch = epoch,
    };
    struct dsmr_block *block = NULL;
    assert_int_equal(dsmr_block_build(&block, &params, &fields), DSMR_OK);
    return block;
}

static inline struct dsmr_block *world_genesis(void)
{
    struct dsmr_params params = world_params();
    struct dsmr_block *block = NULL;
    assert_int_equal(dsmr_block_genesis(&block, &params, 1000), DSMR_OK);
    return block;
}

/* Head and body of an effect as one buffer, as the network delivers them. */
static inline struct dsmr_buf *world_bytes_of(const struct dsmr_bft_effect *effect)
{
    const struct dsmr_buf *head = effect->u.send.head;
    const struct dsmr_buf *body = effect->u.send.body;
    struct dsmr_buf *all = dsmr_buf_new((size_t)head->len + (body != NULL ? body->len : 0u));
    assert_non_null(all);
    memcpy(all->bytes, head->bytes, head->len);
    if (body != NULL) {
        memcpy(all->bytes + head->len, body->bytes, body->len);
    }
    return all;
}

/* ---- queue of events in virtual time ---- */
enum world_ev_kind {
    WORLD_EV_MESSAGE,
    WORLD_EV_ANSWER,
    WORLD_EV_WRITTEN,
    WORLD_EV_RESTART,
    WORLD_EV_GONE /* the connection to from has ended */
};

struct world_ev {
    uint64_t at_ms, order;
    enum world_ev_kind kind;
    uint32_t node;
    uint32_t generation; /* of the node's process: an answer to a dead one is lost */
    uint32_t from;
    struct dsmr_buf *bytes;
    struct dsmr_block *block; /* BUILT */
    struct dsmr_bft_event answer;
};

struct world_queue {
    struct world_ev **items;
    uint32_t count, capacity;
    uint64_t order;
};

static inline bool world_before(const struct world_ev *a, const struct world_ev *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static inline void world_push(struct world_queue *queue, const struct world_ev *ev)
{
    if (queue->count == queue->capacity) {
        queue->capacity = queue->capacity > 0 ? 2 * queue->capacity : 256;
        queue->items = realloc(queue->items, queue->capacity * sizeof(*queue->items));
        assert_non_null(queue->items);
    }
    struct world_ev *item = malloc(sizeof(*item));
    assert_non_null(item);
    *item = *ev;
    item->order = queue->order++;
    uint32_t at = queue->count++;
    while (at > 0 && world_before(item, queue->items[(at - 1) / 2])) {
        queue->items[at] = queue->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    queue->items[at] = item;
}

/* Caller frees with world_ev_free. */
static inline struct world_ev *world_pop(struct world_queue *queue)
{
    struct world_ev *top = queue->items[0];
    struct world_ev *last = queue->items[--queue->count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= queue->count) {
            break;
        }
        if (child + 1 < queue->count &&
            world_before(queue->items[child + 1], queue->items[child])) {
            child++;
        }
        if (!world_before(queue->items[child], last)) {
            break;
        }
        queue->items[at] = queue->items[child];
        at = child;
    }
    if (queue->count > 0) {
        queue->items[at] = last;
    }
    return top;
}

static inline void world_ev_free(struct world_ev *ev)
{
    dsmr_buf_unref(ev->bytes);
    dsmr_block_unref(ev->block);
    free(ev);
}

#endif
