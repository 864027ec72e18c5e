/* fuzz_crypto.c - any bytes as keys, signatures, proofs and texts: no crash, one form each. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "crypto/bls.h"
#include "crypto/cb58.h"
#include "crypto/ed25519.h"
#include "crypto/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void take(void *out, size_t size, const uint8_t *bytes, size_t len)
{
    memset(out, 0, size);
    memcpy(out, bytes, len < size ? len : size);
}

static void as_bls(const uint8_t *bytes, size_t len)
{
    struct dsmr_bls_public_key key, again;
    struct dsmr_bls_public_key_raw raw;
    struct dsmr_bls_point point;
    struct dsmr_bls_sig sig, sum;
    size_t bad;
    take(&key, sizeof(key), bytes, len);
    take(&raw, sizeof(raw), bytes, len);
    take(&sig, sizeof(sig), bytes, len);
    if (dsmr_bls_key_decode_raw(&point, &raw) == DSMR_OK) {
        (void)!dsmr_bls_verify(&point, &sig, bytes, len);
    }
    if (dsmr_bls_key_decode(&raw, &point, &key) == DSMR_OK) {
        dsmr_bls_key_compress(&again, &point);
        if (memcmp(&again, &key, sizeof(key)) != 0) {
            abort();
        }
    }
    if (dsmr_bls_aggregate(&sum, &bad, &sig, 1) == DSMR_OK && memcmp(&sum, &sig, 96) != 0) {
        abort();
    }
}

/* Single and batch verification must agree on every input. */
static void as_ed25519(const uint8_t *bytes, size_t len)
{
    struct dsmr_ed25519_public_key key;
    struct dsmr_ed25519_sig sig;
    take(&sig, sizeof(sig), bytes, len);
    take(&key, sizeof(key), bytes + (len > 64 ? 64 : len), len > 64 ? len - 64 : 0);
    enum dsmr_err single = dsmr_ed25519_verify(&key, &sig, bytes, len);
    if (single != dsmr_ed25519_verify_batch(&key, &sig, &bytes, &len, 1)) {
        abort();
    }
    (void)dsmr_ed25519_is_canonical(&key, &sig);
}

static void must_equal(const char *written, const uint8_t *read, size_t len)
{
    if (strlen(written) != len || strncasecmp(written, (const char *)read, len) != 0) {
        abort();
    }
}

static void as_node_id_and_hex(const uint8_t *bytes, size_t len)
{
    struct dsmr_node_id id, before = {{1}};
    uint8_t two[2];
    char text[DSMR_CB58_TEXT_MAX];
    id = before;
    if (dsmr_cb58_decode_node_id(&id, (const char *)bytes, len) == DSMR_OK) {
        dsmr_cb58_encode_node_id(text, &id);
        must_equal(text, bytes, len);
    } else if (memcmp(&id, &before, sizeof(id)) != 0) {
        abort();
    }
    if (dsmr_hex_decode(two, sizeof(two), (const char *)bytes, len) == DSMR_OK) {
        dsmr_hex_encode(text, two, sizeof(two));
        must_equal(text, bytes, len);
    }
}

static void as_text_and_proof(const uint8_t *bytes, size_t len)
{
    struct dsmr_id id = {{0}};
    struct dsmr_merkle_proof proof;
    char text[DSMR_CB58_TEXT_MAX];
    take(&proof, sizeof(proof), bytes, len);
    (void)!dsmr_hash_merkle_check(&proof, &id, &id);
    if (dsmr_cb58_decode(id.bytes, 32, (const char *)bytes, len) == DSMR_OK) {
        dsmr_cb58_encode(text, id.bytes, 32);
        if (strlen(text) != len || memcmp(text, bytes, len) != 0) {
            abort();
        }
    }
    as_node_id_and_hex(bytes, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    as_bls(bytes, len);
    as_ed25519(bytes, len);
    as_text_and_proof(bytes, len);
    return 0;
}
