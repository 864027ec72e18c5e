#define _GNU_SOURCE
#include "host/file_signer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/os_random.h"

struct dsmr_file_signer {
    struct dsmr_bls_secret_key key;
    struct dsmr_bls_public_key public_key;
};

_Static_assert(sizeof(struct dsmr_bls_secret_key) == DSMR_KEY_FILE_SECRET_BYTES,
               "a BLS secret key is one secret of a key file");

enum dsmr_err dsmr_file_signer_open(struct dsmr_file_signer **out,
                                    char reason[DSMR_KEY_FILE_REASON_BYTES], const char *path)
{
    struct dsmr_file_signer *signer = calloc(1, sizeof(*signer));
    if (signer == NULL) {
        snprintf(reason, DSMR_KEY_FILE_REASON_BYTES, "no memory for the key");
        return DSMR_ERR_NO_MEMORY;
    }
    enum dsmr_err err = dsmr_key_file_read(signer->key.bytes, reason, path);
    if (err == DSMR_OK && dsmr_bls_secret_check(&signer->key) != DSMR_OK) {
        snprintf(reason, DSMR_KEY_FILE_REASON_BYTES,
                 "key file %.160s does not hold a BLS secret key", path);
        err = DSMR_ERR_CONFIG;
    }
    if (err != DSMR_OK) {
        dsmr_file_signer_free(signer);
        return err;
    }
    dsmr_bls_public_key(&signer->public_key, &signer->key);
    *out = signer;
    return DSMR_OK;
}

void dsmr_file_signer_free(struct dsmr_file_signer *signer)
{
    if (signer == NULL)
        return;
    dsmr_bls_wipe(&signer->key);
    free(signer);
}

static enum dsmr_err sign_share(void *self, struct dsmr_bls_sig *out,
                                const struct dsmr_domain *domain, const struct dsmr_reference *ref)
{
    const struct dsmr_file_signer *signer = self;
    uint8_t message[DSMR_SHARE_SIGNING_BYTES];
    dsmr_share_signing_bytes(message, domain, ref);
    dsmr_bls_sign(out, &signer->key, message, sizeof(message));
    return DSMR_OK;
}

static enum dsmr_err sign_vote(void *self, struct dsmr_bls_sig *out,
                               const struct dsmr_domain *domain,
                               const struct dsmr_vote_subject *subject)
{
    const struct dsmr_file_signer *signer = self;
    uint8_t message[DSMR_VOTE_SIGNING_BYTES];
    dsmr_vote_signing_bytes(message, domain, subject);
    dsmr_bls_sign(out, &signer->key, message, sizeof(message));
    return DSMR_OK;
}

struct dsmr_signer dsmr_file_signer_port(struct dsmr_file_signer *signer)
{
    static const struct dsmr_signer_ops ops = {sign_share, sign_vote};
    return (struct dsmr_signer){signer, &ops};
}

const struct dsmr_bls_public_key *dsmr_file_signer_public_key(const struct dsmr_file_signer *signer)
{
    return &signer->public_key;
}

enum dsmr_err dsmr_file_signer_generate(struct dsmr_bls_public_key *public_key,
                                        struct dsmr_bls_sig *proof,
                                        char reason[DSMR_KEY_FILE_REASON_BYTES], const char *path)
{
    uint8_t entropy[32];
    struct dsmr_bls_secret_key key;
    dsmr_os_random(entropy, sizeof(entropy));
    dsmr_bls_keygen(&key, entropy);
    explicit_bzero(entropy, sizeof(entropy));
    enum dsmr_err err = dsmr_key_file_write(key.bytes, reason, path);
    if (err == DSMR_OK) {
        dsmr_bls_public_key(public_key, &key);
        dsmr_bls_prove_possession(proof, &key);
    }
    dsmr_bls_wipe(&key);
    return err;
}
