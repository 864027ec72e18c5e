#include "sim/sim_bls_real.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/bls.h"
#include "sim/sim.h"

#define SIGN_BIT 0x20u /* of a compressed point's first byte: which of the two roots y is */

struct key {
    bool is_made;
    struct dsmr_bls_secret_key secret;
    struct dsmr_bls_public_key_raw raw;
    struct dsmr_bls_point point;
};

static const struct key *key_of(uint32_t number)
{
    static struct key keys[DSMR_SIM_NODES_MAX];
    DSMR_ASSERT(number < DSMR_SIM_NODES_MAX);
    struct key *key = &keys[number];
    if (!key->is_made) {
        struct dsmr_bls_public_key public_key;
        uint8_t entropy[32] = "a validator of the simulator";
        dsmr_store_be32(entropy + 28, number);
        dsmr_bls_keygen(&key->secret, entropy);
        dsmr_bls_public_key(&public_key, &key->secret);
        enum dsmr_err err = dsmr_bls_key_decode(&key->raw, &key->point, &public_key);
        DSMR_ASSERT(err == DSMR_OK);
        key->is_made = true;
    }
    return key;
}

void dsmr_sim_bls_real_key(struct dsmr_validator *out, uint32_t number)
{
    const struct key *key = key_of(number);
    out->public_key = key->raw;
    out->point = key->point;
}

void dsmr_sim_bls_real_sign(struct dsmr_bls_sig *out, uint32_t number, const void *message,
                            size_t len)
{
    dsmr_bls_sign(out, &key_of(number)->secret, message, len);
}

void dsmr_sim_bls_real_add(struct dsmr_bls_sig *sum, const struct dsmr_bls_sig *sig)
{
    static const struct dsmr_bls_sig none;
    struct dsmr_bls_sig both[2] = {*sum, *sig};
    size_t bad;
    bool is_first = memcmp(sum, &none, sizeof(none)) == 0;
    enum dsmr_err err = dsmr_bls_aggregate(sum, &bad, both + is_first, is_first ? 1 : 2);
    DSMR_ASSERT(err == DSMR_OK);
}

struct dsmr_bls_sig dsmr_sim_bls_real_negative(const struct dsmr_bls_sig *sig)
{
    struct dsmr_bls_sig negative = *sig;
    negative.bytes[0] ^= SIGN_BIT;
    return negative;
}
