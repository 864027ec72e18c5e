#include "avalanche/acp118.h"

#include <stdlib.h>
#include <string.h>

#include "avalanche/pb.h"
#include "base/bytes.h"
#include "wire/codec.h"
#include "wire/cursor.h"

#define MESSAGE_FIELD 1u /* of SignatureRequest */

struct sign_task {
    struct dsmr_task task;
    struct dsmr_acp118 *acp118;
    struct dsmr_node_id from;
    uint32_t request_id;
    struct dsmr_reference ref;
    struct dsmr_bls_sig sig;
    enum dsmr_err err;
};

enum dsmr_err dsmr_acp118_reference(struct dsmr_reference *out, const struct dsmr_domain *domain,
                                    const uint8_t *message, size_t len)
{
    struct dsmr_rd rd;
    struct dsmr_reference ref;
    uint8_t again[DSMR_SHARE_SIGNING_BYTES];
    if (len != sizeof again)
        return DSMR_ERR_MALFORMED;
    dsmr_rd_init(&rd, message, len);
    (void)dsmr_rd_u16(&rd);
    dsmr_rd_domain(&rd, domain);
    (void)dsmr_rd_view(&rd, 4u + 6u); /* payload's length, tag, type and version */
    dsmr_reference_decode(&rd, &ref);
    enum dsmr_err err = dsmr_rd_end(&rd);
    if (err != DSMR_OK)
        return err;
    dsmr_share_signing_bytes(again, domain, &ref);
    if (memcmp(again, message, len) != 0)
        return DSMR_ERR_MALFORMED;
    *out = ref;
    return DSMR_OK;
}

static void run_sign(struct dsmr_task *task)
{
    struct sign_task *sign = (struct sign_task *)task;
    const struct dsmr_signer *signer = &sign->acp118->signer;
    sign->err =
        signer->ops->sign_share(signer->self, &sign->sig, &sign->acp118->domain, &sign->ref);
}

static void end_sign(struct dsmr_task *task, void *owner)
{
    struct sign_task *sign = (struct sign_task *)task;
    (void)owner;
    sign->acp118->waiting--;
    Dsmr__Pb__SignatureResponse response = DSMR__PB__SIGNATURE_RESPONSE__INIT;
    DSMR_PB_BYTES(&response, signature, sign->sig.bytes, sizeof sign->sig.bytes);
    struct dsmr_buf *bytes = sign->err == DSMR_OK ? dsmr_pb_bytes(&response.base) : NULL;
    if (bytes != NULL)
        dsmr_app_net_respond(sign->acp118->net, &sign->from, sign->request_id, bytes->bytes,
                             bytes->len);
    else
        dsmr_app_net_refuse(sign->acp118->net, &sign->from, sign->request_id,
                            DSMR_APP_NET_UNEXPECTED, "no signature");
    dsmr_buf_unref(bytes);
    free(sign);
}

void dsmr_acp118_answer(struct dsmr_acp118 *acp118, const struct dsmr_node_id *from,
                        uint32_t request_id, const uint8_t *bytes, size_t len)
{
    struct dsmr_reference ref;
    const uint8_t *message;
    size_t message_len;
    enum dsmr_err err = DSMR_ERR_MALFORMED;
    if (dsmr_pb_find(&message, &message_len, MESSAGE_FIELD, bytes, len))
        err = dsmr_acp118_reference(&ref, &acp118->domain, message, message_len);
    if (err == DSMR_OK && !dsmr_driver_has_shared(acp118->driver, &ref))
        err = DSMR_ERR_UNKNOWN;
    if (err == DSMR_OK && acp118->waiting >= DSMR_ACP118_WAITING_MAX)
        err = DSMR_ERR_BUSY;
    struct sign_task *sign = err == DSMR_OK ? calloc(1, sizeof *sign) : NULL;
    if (sign == NULL) {
        err = err == DSMR_OK ? DSMR_ERR_NO_MEMORY : err;
        if (acp118->metrics != NULL)
            dsmr_metrics_count_error(acp118->metrics, err);
        dsmr_app_net_refuse(acp118->net, from, request_id,
                            err == DSMR_ERR_BUSY ? DSMR_APP_NET_THROTTLED : DSMR_APP_NET_UNEXPECTED,
                            dsmr_err_text(err));
        return;
    }
    *sign = (struct sign_task){.task.run = run_sign,
                               .task.done = end_sign,
                               .acp118 = acp118,
                               .from = *from,
                               .request_id = request_id,
                               .ref = ref};
    acp118->waiting++;
    acp118->work.ops->submit(acp118->work.self, DSMR_WORK_URGENT, &sign->task);
}
