/* byz_canceller.c - keeps the certificates of its chunks back until it has some, then sends them in
 * pairs, each wrong, whose errors cancel for whoever adds the two up. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/byz.h"
#include "sim/sim_bls.h"

#define PAIRS 4u     /* at once: the first are likely to be verified one by one */
#define KEPT 64u     /* chunks that are not kept back again */
#define ERROR_LEN 8u /* bytes that are signed for an error */

struct canceller {
    struct dsmr_cert certs[2 * PAIRS];
    uint32_t count;
    struct dsmr_id seen[KEPT];
    uint32_t next;
};

static void *make(struct dsmr_sim *sim, uint32_t node)
{
    (void)sim, (void)node;
    struct canceller *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    return self;
}

static bool is_seen(const struct canceller *self, const struct dsmr_id *chunk_id)
{
    for (uint32_t i = 0; i < KEPT; i++) {
        if (dsmr_id_equal(&self->seen[i], chunk_id)) {
            return true;
        }
    }
    return false;
}

static void send_pairs(struct canceller *self, struct dsmr_sim *sim, uint32_t node)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE};
    struct dsmr_bls_sig error;
    uint8_t what[ERROR_LEN];
    for (uint32_t i = 0; i + 1 < self->count; i += 2) {
        for (size_t k = 0; k < sizeof(what); k++) {
            what[k] = (uint8_t)dsmr_sim_byz_random(sim, 256);
        }
        dsmr_sim_bls_sign(&error, node, what, sizeof(what));
        dsmr_sim_bls_cancel(&self->certs[i].sig, &self->certs[i + 1].sig, &error);
    }
    for (uint32_t i = 0; i < self->count; i++) {
        msg.u.certificate = self->certs[i];
        dsmr_sim_byz_send_all(sim, node, &msg);
    }
    self->count = 0;
}

static bool sends(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                  const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct canceller *self = ctx;
    const struct dsmr_reference *ref = &msg->u.certificate.ref;
    (void)to, (void)bytes;
    if (msg->type != DSMR_MSG_CERTIFICATE || dsmr_sim_byz_number(&ref->producer) != node) {
        return true;
    }
    if (!is_seen(self, &ref->chunk_id)) {
        self->seen[self->next++ % KEPT] = ref->chunk_id;
        self->certs[self->count++] = msg->u.certificate;
        if (self->count == 2 * PAIRS) {
            send_pairs(self, sim, node);
        }
    }
    return false;
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_canceller = {
    .name = "canceller", .make = make, .free = free, .sends = sends};
