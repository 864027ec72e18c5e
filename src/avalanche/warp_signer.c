#include "avalanche/warp_signer.h"

#include <string.h>

#include "avalanche/pb.h"
#include "wire/codec.h"

#define TIMEOUT_MS 5000u

static enum dsmr_err read_signature(struct dsmr_bls_sig *out, const struct dsmr_buf *answer)
{
    Dsmr__Pb__SignResponse *response =
        dsmr__pb__sign_response__unpack(NULL, answer->len, answer->bytes);
    bool fits = response != NULL && response->signature.len == sizeof out->bytes;
    if (fits)
        memcpy(out->bytes, response->signature.data, sizeof out->bytes);
    dsmr__pb__sign_response__free_unpacked(response, NULL);
    return fits ? DSMR_OK : DSMR_ERR_UNAVAILABLE;
}

static enum dsmr_err sign_share(void *self, struct dsmr_bls_sig *out,
                                const struct dsmr_domain *domain, const struct dsmr_reference *ref)
{
    const struct dsmr_warp_signer *signer = self;
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES];
    uint8_t message[DSMR_SHARE_SIGNING_BYTES];
    Dsmr__Pb__SignRequest request = DSMR__PB__SIGN_REQUEST__INIT;
    dsmr_share_signing_bytes(message, domain, ref);
    DSMR_PB_SET(&request, network_id, domain->network_id);
    DSMR_PB_BYTES(&request, source_chain_id, domain->chain_id.bytes, sizeof domain->chain_id.bytes);
    DSMR_PB_BYTES(&request, payload, message + DSMR_SIGNING_HEAD_BYTES,
                  sizeof message - DSMR_SIGNING_HEAD_BYTES);
    struct dsmr_buf *bytes = dsmr_pb_bytes(&request.base), *answer = NULL;
    if (bytes == NULL)
        return DSMR_ERR_NO_MEMORY;
    enum dsmr_err err = dsmr_grpc_client_call(signer->node, &answer, reason, "/warp.Signer/Sign",
                                              bytes->bytes, bytes->len, TIMEOUT_MS);
    if (err == DSMR_OK)
        err = read_signature(out, answer);
    dsmr_buf_unref(answer);
    dsmr_buf_unref(bytes);
    return err;
}

static enum dsmr_err sign_vote(void *self, struct dsmr_bls_sig *out,
                               const struct dsmr_domain *domain,
                               const struct dsmr_vote_subject *subject)
{
    (void)self;
    (void)out;
    (void)domain;
    (void)subject;
    return DSMR_ERR_UNAVAILABLE;
}

struct dsmr_signer dsmr_warp_signer_port(struct dsmr_warp_signer *signer,
                                         struct dsmr_grpc_client *node)
{
    static const struct dsmr_signer_ops ops = {sign_share, sign_vote};
    signer->node = node;
    return (struct dsmr_signer){signer, &ops};
}
