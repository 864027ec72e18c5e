#include "vm/transfer_tx.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "wire/cursor.h"

#define SIG_BYTES 64u
#define TAG_BYTES 16u
#define NETWORK_AT 9u
#define CHAIN_AT 13u
#define MEMO_LEN_AT 125u /* every field before it is fixed */

_Static_assert(MEMO_LEN_AT + 1 + SIG_BYTES == DSMR_TRANSFER_TX_BYTES_MIN, "layout");
_Static_assert(DSMR_TRANSFER_TX_BYTES_MAX <= DSMR_TX_BYTES_MAX, "fits the core's limit");

static const char signing_tag[TAG_BYTES + 1] = "DSMR/transfers/1";

/* The canonical encodings of the eight points whose order divides 8. */
static const uint8_t small_order[8][32] = {
    {0x01},
    {0x00},
    {[31] = 0x80},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
     0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
     0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
     0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
     0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0xfa},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
     0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
     0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
     0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
     0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x85},
};

size_t dsmr_transfer_tx_bytes(uint8_t memo_len)
{
    return DSMR_TRANSFER_TX_BYTES_MIN + (size_t)memo_len;
}

uint64_t dsmr_transfer_tx_fee(const struct dsmr_transfer_tx_fees *fees, size_t tx_bytes)
{
    return fees->base + fees->per_byte * (uint64_t)tx_bytes + fees->per_signature;
}

enum dsmr_err dsmr_transfer_tx_fees_check(const struct dsmr_transfer_tx_fees *fees)
{
    if (fees->per_byte > UINT64_MAX / DSMR_TRANSFER_TX_BYTES_MAX) {
        return DSMR_ERR_LIMIT;
    }
    uint64_t left = UINT64_MAX - fees->per_byte * DSMR_TRANSFER_TX_BYTES_MAX;
    if (fees->base > left || fees->per_signature > left - fees->base) {
        return DSMR_ERR_LIMIT;
    }
    return DSMR_OK;
}

size_t dsmr_transfer_tx_sign(uint8_t *out, struct dsmr_transfer_tx *tx,
                             const struct dsmr_domain *domain,
                             const struct dsmr_ed25519_secret_key *key)
{
    struct dsmr_ed25519_signing_key expanded;
    dsmr_ed25519_expand(&expanded, key);
    size_t len = dsmr_transfer_tx_sign_as(out, tx, domain, &expanded);
    dsmr_ed25519_wipe(&expanded);
    return len;
}

size_t dsmr_transfer_tx_sign_as(uint8_t *out, struct dsmr_transfer_tx *tx,
                                const struct dsmr_domain *domain,
                                const struct dsmr_ed25519_signing_key *key)
{
    DSMR_ASSERT(tx->memo_len <= DSMR_TRANSFER_TX_MEMO_MAX);
    struct dsmr_wr wr;
    tx->from = key->public_key;
    dsmr_wr_init(&wr, out, DSMR_TRANSFER_TX_BYTES_MAX);
    dsmr_wr_u8(&wr, DSMR_TRANSFER_TX_VERSION);
    dsmr_wr_u64(&wr, tx->expiry_ms);
    dsmr_wr_u32(&wr, domain->network_id);
    dsmr_wr_bytes(&wr, domain->chain_id.bytes, sizeof domain->chain_id.bytes);
    dsmr_wr_bytes(&wr, tx->from.bytes, sizeof tx->from.bytes);
    dsmr_wr_bytes(&wr, tx->to.bytes, sizeof tx->to.bytes);
    dsmr_wr_u64(&wr, tx->amount);
    dsmr_wr_u64(&wr, tx->fee_limit);
    dsmr_wr_u8(&wr, tx->memo_len);
    dsmr_wr_bytes(&wr, tx->memo, tx->memo_len);
    DSMR_ASSERT(wr.err == DSMR_OK);
    uint8_t message[DSMR_TRANSFER_TX_SIGNING_BYTES_MAX];
    size_t message_len = dsmr_transfer_tx_signing_bytes(message, out, wr.at + SIG_BYTES);
    dsmr_ed25519_sign_expanded(&tx->sig, key, message, message_len);
    dsmr_wr_bytes(&wr, tx->sig.bytes, sizeof tx->sig.bytes);
    DSMR_ASSERT(wr.err == DSMR_OK);
    return wr.at;
}

enum dsmr_err dsmr_transfer_tx_parse(struct dsmr_transfer_tx *out, const struct dsmr_domain *domain,
                                     const uint8_t *bytes, size_t len)
{
    if (len < DSMR_TRANSFER_TX_BYTES_MIN || len > DSMR_TRANSFER_TX_BYTES_MAX) {
        return DSMR_ERR_BAD_TX;
    }
    if (bytes[0] != DSMR_TRANSFER_TX_VERSION) {
        return DSMR_ERR_VERSION;
    }
    if (bytes[MEMO_LEN_AT] != len - DSMR_TRANSFER_TX_BYTES_MIN) {
        return DSMR_ERR_BAD_TX;
    }
    if (dsmr_load_be32(bytes + NETWORK_AT) != domain->network_id) {
        return DSMR_ERR_WRONG_NETWORK;
    }
    if (memcmp(bytes + CHAIN_AT, domain->chain_id.bytes, sizeof domain->chain_id.bytes) != 0) {
        return DSMR_ERR_WRONG_CHAIN;
    }
    struct dsmr_rd rd;
    dsmr_rd_init(&rd, bytes, len);
    (void)dsmr_rd_u8(&rd);
    out->expiry_ms = dsmr_rd_u64(&rd);
    (void)dsmr_rd_view(&rd, sizeof(uint32_t) + sizeof domain->chain_id.bytes);
    dsmr_rd_bytes(&rd, out->from.bytes, sizeof out->from.bytes);
    dsmr_rd_bytes(&rd, out->to.bytes, sizeof out->to.bytes);
    out->amount = dsmr_rd_u64(&rd);
    out->fee_limit = dsmr_rd_u64(&rd);
    out->memo_len = dsmr_rd_u8(&rd);
    dsmr_rd_bytes(&rd, out->memo, out->memo_len);
    dsmr_rd_bytes(&rd, out->sig.bytes, sizeof out->sig.bytes);
    /* The lengths were compared above, so the cursor cannot have run over. */
    DSMR_ASSERT(dsmr_rd_end(&rd) == DSMR_OK);
    return DSMR_OK;
}

enum dsmr_err dsmr_transfer_tx_check_points(const struct dsmr_ed25519_public_key *from,
                                            const struct dsmr_ed25519_sig *sig)
{
    if (!dsmr_ed25519_is_canonical(from, sig)) {
        return DSMR_ERR_NON_CANONICAL;
    }
    for (size_t i = 0; i < 8; i++) {
        if (memcmp(from->bytes, small_order[i], sizeof from->bytes) == 0) {
            return DSMR_ERR_BAD_SIGNATURE;
        }
    }
    return DSMR_OK;
}

size_t dsmr_transfer_tx_signing_bytes(uint8_t out[DSMR_TRANSFER_TX_SIGNING_BYTES_MAX],
                                      const uint8_t *bytes, size_t len)
{
    DSMR_ASSERT(len >= DSMR_TRANSFER_TX_BYTES_MIN);
    DSMR_ASSERT(len <= DSMR_TRANSFER_TX_BYTES_MAX);
    memcpy(out, signing_tag, TAG_BYTES);
    memcpy(out + TAG_BYTES, bytes, len - SIG_BYTES);
    return TAG_BYTES + len - SIG_BYTES;
}

enum dsmr_err dsmr_transfer_tx_verify(const struct dsmr_domain *domain, const uint8_t *bytes,
                                      size_t len)
{
    struct dsmr_transfer_tx tx;
    enum dsmr_err err = dsmr_transfer_tx_parse(&tx, domain, bytes, len);
    if (!err) {
        err = dsmr_transfer_tx_check_points(&tx.from, &tx.sig);
    }
    if (!err) {
        uint8_t message[DSMR_TRANSFER_TX_SIGNING_BYTES_MAX];
        size_t message_len = dsmr_transfer_tx_signing_bytes(message, bytes, len);
        err = dsmr_ed25519_verify(&tx.from, &tx.sig, message, message_len);
    }
    return err;
}
