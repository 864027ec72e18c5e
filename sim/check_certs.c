/* check_certs.c - what honest nodes accept, keep or pass on as a certificate is one: signers of its
 * epoch with the weight of a quorum, and the sum of just their signatures (docs/protocol.md, 3.4,
 * 3.7, 4.6, 7.1, 9.6; docs/bft.md, rules 7 and 9). */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/check_rules.h"
#include "sim/check_table.h"

struct certs {
    /* First half of the signature -> the whole that was found right: most are seen often. */
    struct dsmr_sim_table *certs, *quorum_certs;
};
struct sig_key {
    uint8_t bytes[48];
};

static void *make(struct dsmr_sim *sim)
{
    (void)sim;
    struct certs *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    self->certs = dsmr_sim_table_new(sizeof(struct sig_key), sizeof(struct dsmr_cert));
    self->quorum_certs =
        dsmr_sim_table_new(sizeof(struct sig_key), sizeof(struct dsmr_quorum_cert));
    return self;
}

static void free_self(void *ctx)
{
    struct certs *self = ctx;
    dsmr_sim_table_free(self->certs);
    dsmr_sim_table_free(self->quorum_certs);
    free(self);
}

static struct sig_key key_of(const struct dsmr_bls_sig *sig)
{
    struct sig_key key;
    memcpy(key.bytes, sig->bytes, sizeof(key.bytes));
    return key;
}

static void check_cert(struct certs *self, struct dsmr_sim *sim, uint32_t node,
                       const struct dsmr_cert *cert, const char *where)
{
    struct sig_key key = key_of(&cert->sig);
    const struct dsmr_cert *known = dsmr_sim_table_find(self->certs, &key);
    if (known != NULL && dsmr_sim_rules_same(known, cert, sizeof(*cert))) {
        return;
    }
    const char *wrong = dsmr_sim_rules_cert(sim, cert);
    if (wrong != NULL) {
        dsmr_sim_fail(sim, "9.6", "node %u %s a certificate of chunk %s with %s", node, where,
                      dsmr_sim_rules_name(&cert->ref.chunk_id), wrong);
        return;
    }
    memcpy(dsmr_sim_table_add(self->certs, &key, NULL), cert, sizeof(*cert));
}

static void check_quorum_cert(struct certs *self, struct dsmr_sim *sim, uint32_t node,
                              const struct dsmr_quorum_cert *qc, const char *where)
{
    struct sig_key key = key_of(&qc->sig);
    const struct dsmr_quorum_cert *known = dsmr_sim_table_find(self->quorum_certs, &key);
    if (known != NULL && dsmr_sim_rules_same(known, qc, sizeof(*qc))) {
        return;
    }
    const char *wrong = dsmr_sim_rules_quorum_cert(sim, qc);
    if (wrong != NULL) {
        dsmr_sim_fail(sim, "S1", "node %u %s a quorum certificate of view %llu with %s", node,
                      where, (unsigned long long)qc->subject.view, wrong);
        return;
    }
    memcpy(dsmr_sim_table_add(self->quorum_certs, &key, NULL), qc, sizeof(*qc));
}

static void check_block(struct certs *self, struct dsmr_sim *sim, uint32_t node,
                        const struct dsmr_block *block)
{
    for (uint32_t i = 0; i < block->certs_count; i++) {
        check_cert(self, sim, node, &block->certs[i], "accepts a block with");
    }
}

static void accepted(void *ctx, struct dsmr_sim *sim, uint32_t node, const struct dsmr_block *block)
{
    check_block(ctx, sim, node, block);
}

static void stored(void *ctx, struct dsmr_sim *sim, uint32_t node,
                   const struct dsmr_store_write *write)
{
    if (write->kind == DSMR_STORE_CERT) {
        check_cert(ctx, sim, node, write->u.cert, "stores");
    } else if (write->kind == DSMR_STORE_ACCEPT) {
        const struct dsmr_block *block = write->u.accept.block;
        const struct dsmr_quorum_cert *qc = write->u.accept.finalization;
        check_block(ctx, sim, node, block);
        if (qc == NULL) {
            return; /* a descendant has it */
        }
        check_quorum_cert(ctx, sim, node, qc, "accepts by");
        if (qc->subject.kind != DSMR_VOTE_FINALIZE || qc->subject.height != block->height ||
            qc->subject.epoch != block->epoch ||
            !dsmr_id_equal(&qc->subject.block_id, &block->id)) {
            dsmr_sim_fail(sim, "S1", "node %u accepts block %llu by a certificate of another thing",
                          node, (unsigned long long)block->height);
        }
    }
}

static void sent(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                 const struct dsmr_msg *msg)
{
    (void)to;
    if (msg->type == DSMR_MSG_CERTIFICATE) {
        check_cert(ctx, sim, node, &msg->u.certificate, "sends");
    } else if (msg->type == DSMR_MSG_BFT_QUORUM_CERT) {
        check_quorum_cert(ctx, sim, node, &msg->u.quorum_cert, "sends");
    } else if (msg->type == DSMR_MSG_BFT_BLOCKS) {
        check_quorum_cert(ctx, sim, node, &msg->u.blocks.finalization, "sends");
    }
}

const struct dsmr_sim_checker_ops dsmr_sim_check_certs = {.name = "certs",
                                                          .make = make,
                                                          .free = free_self,
                                                          .accepted = accepted,
                                                          .stored = stored,
                                                          .sent = sent};
