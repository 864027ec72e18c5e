#include "avalanche/acp118.h"

#include <string.h>

#include "avalanche/pb.h"
#include "wire/codec.h"
#include "wire/cursor.h"

#define MESSAGE_FIELD 1u /* of SignatureRequest */

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

/* The share that the request asks for. */
static enum dsmr_err find_share(const struct dsmr_acp118 *acp118, struct dsmr_bls_sig *out,
                                const uint8_t *bytes, size_t len)
{
    struct dsmr_reference ref;
    const uint8_t *message;
    size_t message_len;
    if (!dsmr_pb_find(&message, &message_len, MESSAGE_FIELD, bytes, len))
        return DSMR_ERR_MALFORMED;
    enum dsmr_err err = dsmr_acp118_reference(&ref, &acp118->domain, message, message_len);
    if (err != DSMR_OK)
        return err;
    return dsmr_driver_has_shared(acp118->driver, out, &ref) ? DSMR_OK : DSMR_ERR_UNKNOWN;
}

void dsmr_acp118_answer(struct dsmr_acp118 *acp118, const struct dsmr_node_id *from,
                        uint32_t request_id, const uint8_t *bytes, size_t len)
{
    struct dsmr_bls_sig share;
    Dsmr__Pb__SignatureResponse response = DSMR__PB__SIGNATURE_RESPONSE__INIT;
    enum dsmr_err err = find_share(acp118, &share, bytes, len);
    struct dsmr_buf *answer = NULL;
    if (err == DSMR_OK) {
        DSMR_PB_BYTES(&response, signature, share.bytes, sizeof share.bytes);
        answer = dsmr_pb_bytes(&response.base);
        err = answer != NULL ? DSMR_OK : DSMR_ERR_NO_MEMORY;
    }
    if (err == DSMR_OK) {
        dsmr_app_net_respond(acp118->net, from, request_id, answer->bytes, answer->len);
    } else {
        if (acp118->metrics != NULL)
            dsmr_metrics_count_error(acp118->metrics, err);
        dsmr_app_net_refuse(acp118->net, from, request_id, DSMR_APP_NET_UNEXPECTED,
                            dsmr_err_text(err));
    }
    dsmr_buf_unref(answer);
}
