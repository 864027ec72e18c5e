#include "sim/byz_offer.h"

#include <string.h>

#include "base/assert.h"
#include "base/bitset.h"
#include "base/bytes.h"
#include "sim/sim_bls.h"

static void add(struct dsmr_sim_byz_offer *offer, struct dsmr_sim *sim, uint32_t signer)
{
    const struct dsmr_validator_set *set = dsmr_sim_byz_set_of(sim, offer->chunk->ref.epoch);
    struct dsmr_node_id id = dsmr_sim_bls_node_id(signer);
    int index = dsmr_validator_set_find(set, &id);
    if (index < 0 || dsmr_bitset_has(&offer->cert.signers, (uint32_t)index)) {
        return;
    }
    struct dsmr_bls_sig share = dsmr_sim_byz_share(sim, signer, &offer->chunk->ref);
    dsmr_sim_bls_add(&offer->cert.sig, &share);
    dsmr_bitset_add(&offer->cert.signers, (uint32_t)index);
    offer->weight += set->validators[index].weight;
    offer->is_certified = dsmr_is_quorum(offer->weight, set->total_weight);
}

bool dsmr_sim_byz_offer_make(struct dsmr_sim_byz_offer *offer, struct dsmr_sim *sim, uint32_t node,
                             uint64_t epoch, uint64_t slot, uint32_t count)
{
    const struct dsmr_validator_set *set = dsmr_sim_byz_set_of(sim, epoch);
    struct dsmr_node_id id = dsmr_sim_bls_node_id(node);
    dsmr_sim_byz_offer_drop(offer);
    if (set == NULL || dsmr_validator_set_find(set, &id) < 0) {
        return false;
    }
    offer->chunk = dsmr_sim_byz_chunk(sim, node, epoch, slot, count);
    if (offer->chunk == NULL) {
        return false;
    }
    offer->cert.ref = offer->chunk->ref;
    add(offer, sim, node);
    return true;
}

void dsmr_sim_byz_offer_drop(struct dsmr_sim_byz_offer *offer)
{
    dsmr_chunk_unref(offer->chunk);
    memset(offer, 0, sizeof(*offer));
}

void dsmr_sim_byz_offer_show(const struct dsmr_sim_byz_offer *offer, struct dsmr_sim *sim,
                             uint32_t node, uint32_t to)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE};
    msg.u.request_share.sig = dsmr_sim_byz_share(sim, node, &offer->chunk->ref);
    msg.u.request_share.chunk = offer->chunk->bytes;
    msg.u.request_share.chunk_len = offer->chunk->ref.chunk_bytes;
    dsmr_sim_byz_send(sim, node, to, &msg);
}

bool dsmr_sim_byz_offer_take(struct dsmr_sim_byz_offer *offer, struct dsmr_sim *sim, uint32_t from,
                             const struct dsmr_msg *msg)
{
    if (offer->chunk == NULL || msg->type != DSMR_MSG_CHUNK_SIGNATURE ||
        !dsmr_id_equal(&msg->u.chunk_signature.ref.chunk_id, &offer->chunk->ref.chunk_id)) {
        return false;
    }
    struct dsmr_bls_sig right = dsmr_sim_byz_share(sim, from, &offer->chunk->ref);
    if (memcmp(&right, &msg->u.chunk_signature.sig, sizeof(right)) != 0) {
        return false; /* of another liar */
    }
    bool was_certified = offer->is_certified;
    add(offer, sim, from);
    return offer->is_certified && !was_certified;
}

void dsmr_sim_byz_offer_collude(struct dsmr_sim_byz_offer *offer, struct dsmr_sim *sim)
{
    for (uint32_t i = 0; i < dsmr_sim_byz_nodes(sim); i++) {
        if (dsmr_sim_byz_is(sim, i)) {
            add(offer, sim, i);
        }
    }
}

void dsmr_sim_byz_offer_send_cert(const struct dsmr_sim_byz_offer *offer, struct dsmr_sim *sim,
                                  uint32_t node)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE};
    msg.u.certificate = offer->cert;
    dsmr_sim_byz_send_all(sim, node, &msg);
}
