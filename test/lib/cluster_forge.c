/* cluster_forge.c - what a Byzantine validator, or the test, would make by hand. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "lib/cluster.h"
#include "sim/sim_bls.h"
#include "wire/codec.h"

struct dsmr_node_id cluster_node_id(uint32_t number)
{
    return dsmr_sim_bls_node_id(number);
}

struct dsmr_validator_set *cluster_set(struct cluster *cluster, uint64_t epoch)
{
    for (uint32_t i = 0; i < cluster->sets_count; i++) {
        if (cluster->sets[i]->epoch == epoch) {
            return cluster->sets[i];
        }
    }
    return NULL;
}

struct dsmr_validator_set *cluster_add_set(struct cluster *cluster, uint64_t epoch, uint32_t first,
                                           uint32_t count, const uint64_t *weights)
{
    struct dsmr_validator_set *set = dsmr_sim_bls_set(epoch, first, count, NULL, 0);
    DSMR_ASSERT(set != NULL && cluster->sets_count < CLUSTER_SETS_MAX);
    for (uint32_t i = 0; weights != NULL && i < count; i++) {
        set->total_weight += weights[i] - set->validators[i].weight;
        set->validators[i].weight = weights[i];
    }
    cluster->sets[cluster->sets_count++] = set;
    return set;
}

uint64_t cluster_slot(const struct cluster *cluster)
{
    return cluster_wall_ms(cluster) / cluster->params.slot_ms;
}

struct dsmr_chunk *cluster_forge_chunk_of(struct cluster *cluster,
                                          const struct dsmr_chunk_header *header,
                                          struct dsmr_buf **txs, uint32_t txs_count)
{
    struct dsmr_chunk *chunk = NULL;
    struct dsmr_chunk_tx *list = calloc(txs_count, sizeof(*list));
    DSMR_ASSERT(list != NULL);
    for (uint32_t i = 0; i < txs_count; i++) {
        list[i].bytes = txs[i]->bytes;
        list[i].len = txs[i]->len;
        dsmr_hash(&list[i].id, txs[i]->bytes, txs[i]->len);
    }
    enum dsmr_err err = dsmr_chunk_build(&chunk, &cluster->params, header, list, txs_count);
    DSMR_ASSERT(err == DSMR_OK);
    free(list);
    return chunk;
}

struct dsmr_chunk *cluster_forge_chunk(struct cluster *cluster, uint32_t producer, uint64_t slot,
                                       uint64_t epoch, uint32_t txs_count)
{
    struct dsmr_buf *txs[256];
    struct dsmr_chunk_header header = {.domain = cluster->params.domain,
                                       .epoch = epoch,
                                       .producer = cluster_node_id(producer),
                                       .slot = slot};
    header.expiry_ms = slot * cluster->params.slot_ms + cluster->params.chunk_lifetime_ms;
    DSMR_ASSERT(txs_count <= 256);
    for (uint32_t i = 0; i < txs_count; i++) {
        txs[i] = cluster_tx(cluster, 100, slot * cluster->params.slot_ms + 40000);
    }
    struct dsmr_chunk *chunk = cluster_forge_chunk_of(cluster, &header, txs, txs_count);
    for (uint32_t i = 0; i < txs_count; i++) {
        dsmr_buf_unref(txs[i]);
    }
    return chunk;
}

struct dsmr_bls_sig cluster_share(struct cluster *cluster, uint32_t signer,
                                  const struct dsmr_reference *ref)
{
    uint8_t bytes[DSMR_SHARE_SIGNING_BYTES];
    struct dsmr_bls_sig sig;
    dsmr_share_signing_bytes(bytes, &cluster->params.domain, ref);
    dsmr_sim_bls_sign(&sig, signer, bytes, sizeof(bytes));
    return sig;
}

struct dsmr_cert cluster_forge_cert(struct cluster *cluster, const struct dsmr_reference *ref,
                                    const uint32_t *signers, uint32_t count)
{
    uint8_t bytes[DSMR_SHARE_SIGNING_BYTES];
    struct dsmr_share shares[CLUSTER_NODES_MAX];
    struct dsmr_bitset bad;
    struct dsmr_cert cert = {.ref = *ref};
    struct dsmr_validator_set *set = cluster_set(cluster, ref->epoch);
    DSMR_ASSERT(set != NULL && count <= CLUSTER_NODES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct dsmr_node_id id = cluster_node_id(signers[i]);
        int index = dsmr_validator_set_find(set, &id);
        DSMR_ASSERT(index >= 0);
        shares[i].signer = (uint32_t)index;
        shares[i].sig = cluster_share(cluster, signers[i], ref);
    }
    dsmr_share_signing_bytes(bytes, &cluster->params.domain, ref);
    enum dsmr_err err = dsmr_sim_bls_ops_in_use()->aggregate(&cert.sig, &cert.signers, &bad, set,
                                                             shares, count, bytes, sizeof(bytes));
    DSMR_ASSERT(err == DSMR_OK);
    return cert;
}

void cluster_send_chunk_request(struct cluster *cluster, uint32_t from, uint32_t to,
                                const struct dsmr_chunk *chunk, const struct dsmr_bls_sig *sig)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE};
    msg.u.request_share.chunk = chunk->bytes;
    msg.u.request_share.chunk_len = chunk->ref.chunk_bytes;
    msg.u.request_share.sig = sig != NULL ? *sig : cluster_share(cluster, from, &chunk->ref);
    cluster_send(cluster, from, to, &msg);
}

struct dsmr_block *cluster_forge_block(struct cluster *cluster, const struct dsmr_block *parent,
                                       uint64_t epoch, uint64_t time_ms,
                                       const struct dsmr_cert *certs, uint32_t count)
{
    struct dsmr_block fields;
    struct dsmr_block *block = NULL;
    memset(&fields, 0, sizeof(fields));
    if (time_ms == 0) {
        time_ms = cluster_wall_ms(cluster);
        time_ms = time_ms > parent->time_ms ? time_ms : parent->time_ms + 1;
    }
    fields.parent_id = parent->id;
    fields.height = parent->height + 1;
    fields.time_ms = time_ms;
    fields.epoch = epoch;
    /* The list of past epochs, derived again and not by the code under test. */
    struct dsmr_past_epoch list[DSMR_PAST_EPOCHS_MAX + 1];
    uint32_t n = 0;
    for (uint32_t i = 0; i < parent->past_epochs_count; i++) {
        list[n++] = parent->past_epochs[i];
    }
    if (parent->epoch != epoch && parent->epoch != DSMR_EPOCH_NONE) {
        list[n++] = (struct dsmr_past_epoch){parent->epoch, time_ms};
    }
    for (uint32_t i = 0; i < n; i++) {
        bool is_old = list[i].ended_at_ms + cluster->params.chunk_lifetime_ms < time_ms;
        if (!is_old && n - i <= DSMR_PAST_EPOCHS_MAX) {
            fields.past_epochs[fields.past_epochs_count++] = list[i];
        }
    }
    struct dsmr_cert *copy = calloc(count + 1u, sizeof(*copy));
    DSMR_ASSERT(copy != NULL);
    if (count > 0) {
        memcpy(copy, certs, count * sizeof(*copy));
    }
    fields.certs = copy;
    fields.certs_count = count;
    enum dsmr_err err = dsmr_block_build(&block, &cluster->params, &fields);
    DSMR_ASSERT(err == DSMR_OK);
    free(copy);
    return block;
}
