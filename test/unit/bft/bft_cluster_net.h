/* bft_cluster_net.h - the network of a cluster: what is lost and doubled, what liars make of their
 * messages, and blocks for who asks. */
#ifndef TEST_UNIT_BFT_CLUSTER_NET_H
#define TEST_UNIT_BFT_CLUSTER_NET_H

#include "bft_cluster_node.h"

static inline void cluster_deliver(struct cluster *c, uint32_t from, uint32_t to_identity,
                                   struct dsmr_buf *bytes)
{
    if (c->group[from] != c->group[to_identity] || from == to_identity) {
        return;
    }
    for (uint32_t n = 0; n < c->count; n++) { /* twins both hear what is said to their identity */
        uint32_t copies = cluster_chance(c, c->config.loss_permille)  ? 0
                          : cluster_chance(c, c->config.dup_permille) ? 2
                                                                      : 1;
        for (; c->nodes[n].identity == to_identity && copies > 0; copies--) {
            struct world_ev ev = {
                .at_ms = c->now_ms + 1 + dsmr_prng_below(&c->prng, c->config.delay_ms),
                .kind = WORLD_EV_MESSAGE,
                .node = n,
                .generation = c->nodes[n].generation,
                .from = from,
                .bytes = dsmr_buf_ref(bytes),
            };
            world_push(&c->queue, &ev);
        }
    }
}

/* What a liar makes of its own message for one receiver. Caller unrefs. */
static inline struct dsmr_buf *cluster_lie(struct cluster *c, struct cluster_node *node,
                                           struct dsmr_buf *bytes)
{
    struct dsmr_msg msg;
    struct dsmr_block *block = NULL;
    assert_int_equal(dsmr_msg_decode(&msg, bytes->bytes, bytes->len), DSMR_OK);
    uint64_t dice = dsmr_prng_below(&c->prng, 8);
    if (dice < 3) {
        return dsmr_buf_ref(bytes);
    }
    if (msg.type == DSMR_MSG_BFT_POSITION) {
        static const uint64_t lies[] = {0, 1, 2, 7, UINT64_MAX / 2, UINT64_MAX};
        msg.u.position.view = lies[dsmr_prng_below(&c->prng, 6)];
        msg.u.position.height = lies[dsmr_prng_below(&c->prng, 6)];
        msg.u.position.votes_from = lies[dsmr_prng_below(&c->prng, 6)];
        msg.u.position.heard_view = lies[dsmr_prng_below(&c->prng, 6)];
    } else if (msg.type == DSMR_MSG_BFT_VOTE) {
        struct dsmr_vote_subject *subject = &msg.u.vote.subject;
        if (dice == 3) {
            subject->kind = DSMR_VOTE_NULLIFY;
            subject->height = 0;
            memset(&subject->block_id, 0, sizeof(subject->block_id));
        } else if (dice == 4 && subject->kind != DSMR_VOTE_NULLIFY) {
            subject->kind = (uint8_t)(DSMR_VOTE_NOTARIZE + DSMR_VOTE_FINALIZE - subject->kind);
        } else if (dice == 5 && subject->kind != DSMR_VOTE_NULLIFY) {
            subject->block_id.bytes[3] ^= 1;
        } else {
            subject->view += dsmr_prng_below(&c->prng, 40);
        }
        world_sign(&msg.u.vote.sig, node->identity, subject);
        msg.u.vote.sig.bytes[0] ^= dice == 7 ? 1 : 0;
    } else if (msg.type == DSMR_MSG_BFT_PROPOSAL) {
        if (msg.u.proposal.block_len > 0 && dice < 6) {
            struct dsmr_block parent = {.id = msg.u.proposal.parent_id};
            struct dsmr_block *own = NULL;
            struct dsmr_buf *copy = dsmr_buf_copy(msg.u.proposal.block, msg.u.proposal.block_len);
            assert_int_equal(dsmr_block_decode(&own, &c->params, copy, copy->bytes, copy->len),
                             DSMR_OK);
            parent.height = own->height - 1;
            block = world_block(&parent, own->epoch, own->time_ms + 1000 * dice);
            dsmr_block_unref(own);
            dsmr_buf_unref(copy);
            msg.u.proposal.block_id = block->id;
            msg.u.proposal.block = block->bytes->bytes;
            msg.u.proposal.block_len = block->bytes->len;
        } else if (dice == 6 && msg.u.proposal.parent_view > 0) {
            msg.u.proposal.parent_view--;
        } else {
            msg.u.proposal.parent_view = msg.u.proposal.view - 1;
        }
    } else if (msg.type == DSMR_MSG_BFT_QUORUM_CERT) {
        msg.u.quorum_cert.subject.view += dsmr_prng_below(&c->prng, 3);
        msg.u.quorum_cert.signers.words[0] ^= dice < 6 ? 0 : 1;
    }
    struct dsmr_buf *lie = dsmr_msg_encode(&msg, true);
    dsmr_block_unref(block);
    return lie;
}

static inline void cluster_check_sent(struct cluster *c, struct cluster_node *node,
                                      const struct dsmr_buf *bytes)
{
    struct dsmr_msg msg;
    assert_int_equal(dsmr_msg_decode(&msg, bytes->bytes, bytes->len), DSMR_OK);
    c->sent++;
    c->proposals += msg.type == DSMR_MSG_BFT_PROPOSAL ? 1 : 0;
    c->block_requests += msg.type == DSMR_MSG_BFT_REQUEST_BLOCK ? 1 : 0;
    if (msg.type == DSMR_MSG_BFT_VOTE) {
        checker_on_vote(c->checker, node->identity, &msg.u.vote.subject);
        if (!cluster_is_journaled(node, &msg.u.vote.subject)) {
            checker_fail(c->checker, "a vote left before its record was durable");
        }
    }
}

static inline void cluster_send(struct cluster *c, uint32_t n, const struct dsmr_bft_effect *effect)
{
    struct cluster_node *node = &c->nodes[n];
    struct dsmr_buf *bytes = world_bytes_of(effect);
    if (node->actor == CLUSTER_HONEST) {
        cluster_check_sent(c, node, bytes);
    }
    const struct dsmr_validator_set *set = effect->u.send.set;
    uint32_t count = effect->kind == DSMR_BFT_FX_SEND ? 1 : set->count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t to =
            world_node_of(effect->kind == DSMR_BFT_FX_SEND ? &effect->u.send.to
                                                           : &set->validators[i].node_ids[0]);
        struct dsmr_buf *said =
            node->actor == CLUSTER_LIAR ? cluster_lie(c, node, bytes) : dsmr_buf_ref(bytes);
        cluster_deliver(c, node->identity, to, said);
        dsmr_buf_unref(said);
    }
    dsmr_buf_unref(bytes);
}

static inline void cluster_serve_blocks(struct cluster *c, uint32_t n, uint32_t to, uint64_t from)
{
    struct cluster_node *node = &c->nodes[n];
    uint32_t fit = c->config.batch_blocks_max > 0 ? c->config.batch_blocks_max
                                                  : DSMR_BFT_BATCH_BLOCKS_MAX / 4; /* several */
    uint64_t end = from + fit, last = 0;
    size_t len = 0, at = 0;
    for (uint64_t h = from; h < node->chain_count && h < end; h++) {
        last = node->chain[h].has_finalization ? h : last;
    }
    if (last < from) { /* the last ones of the gap */
        for (last = end; last < node->chain_count && !node->chain[last].has_finalization;) {
            last++;
        }
        if (last >= node->chain_count) {
            return;
        }
        from = last + 1 - fit;
    }
    for (uint64_t h = from; h <= last; h++) {
        len += 4u + node->chain[h].block->bytes->len;
    }
    uint8_t *blocks = malloc(len);
    assert_non_null(blocks);
    for (uint64_t h = from; h <= last; h++) {
        const struct dsmr_buf *block = node->chain[h].block->bytes;
        dsmr_store_be32(blocks + at, block->len);
        memcpy(blocks + at + 4, block->bytes, block->len);
        at += 4u + block->len;
    }
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_BLOCKS};
    msg.u.blocks.count = (uint32_t)(last - from + 1);
    msg.u.blocks.blocks = blocks;
    msg.u.blocks.blocks_len = (uint32_t)len;
    msg.u.blocks.finalization = node->chain[last].finalization;
    struct dsmr_buf *bytes = dsmr_msg_encode(&msg, true);
    cluster_deliver(c, node->identity, to, bytes);
    dsmr_buf_unref(bytes);
    free(blocks);
}

static inline void cluster_serve_block(struct cluster *c, uint32_t n,
                                       const struct dsmr_bft_effect *effect)
{
    struct cluster_node *node = &c->nodes[n];
    for (uint32_t h = 0; h < node->chain_count; h++) {
        const struct dsmr_block *block = node->chain[h].block;
        if (dsmr_id_equal(&block->id, &effect->u.block.parent_id)) {
            struct dsmr_msg msg = {.type = DSMR_MSG_BFT_BLOCK};
            msg.u.block.block = block->bytes->bytes;
            msg.u.block.block_len = block->bytes->len;
            struct dsmr_buf *bytes = dsmr_msg_encode(&msg, true);
            cluster_deliver(c, node->identity, world_node_of(&effect->u.block.peer), bytes);
            dsmr_buf_unref(bytes);
            return;
        }
    }
}

#endif
