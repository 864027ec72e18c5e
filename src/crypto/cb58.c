#include "crypto/cb58.h"

#include <string.h>

#include "base/assert.h"
#include "crypto/hash.h"

#define CHECKSUM_BYTES 4u
#define PAYLOAD_MAX (DSMR_CB58_BYTES_MAX + CHECKSUM_BYTES)

static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

static void checksum(uint8_t out[CHECKSUM_BYTES], const void *bytes, size_t len)
{
    struct dsmr_id hash;
    dsmr_hash(&hash, bytes, len);
    memcpy(out, hash.bytes + sizeof(hash.bytes) - CHECKSUM_BYTES, CHECKSUM_BYTES);
}

void dsmr_cb58_encode(char out[DSMR_CB58_TEXT_MAX], const void *bytes, size_t len)
{
    DSMR_ASSERT(len <= DSMR_CB58_BYTES_MAX);
    uint8_t payload[PAYLOAD_MAX];
    if (len > 0) {
        memcpy(payload, bytes, len);
    }
    checksum(payload + len, bytes, len);
    size_t payload_len = len + CHECKSUM_BYTES;

    uint8_t digits[DSMR_CB58_TEXT_MAX]; /* least significant first */
    size_t count = 0;
    size_t zeros = 0;
    while (zeros < payload_len && payload[zeros] == 0) {
        zeros++;
    }
    for (size_t i = zeros; i < payload_len; i++) {
        uint32_t carry = payload[i];
        for (size_t d = 0; d < count; d++) {
            carry += (uint32_t)digits[d] << 8;
            digits[d] = (uint8_t)(carry % 58u);
            carry /= 58u;
        }
        for (; carry > 0; carry /= 58u) {
            DSMR_ASSERT(count < DSMR_CB58_TEXT_MAX);
            digits[count++] = (uint8_t)(carry % 58u);
        }
    }
    DSMR_ASSERT(zeros + count < DSMR_CB58_TEXT_MAX);
    memset(out, alphabet[0], zeros); /* a leading zero byte is one digit */
    for (size_t d = 0; d < count; d++) {
        out[zeros + d] = alphabet[digits[count - 1 - d]];
    }
    out[zeros + count] = '\0';
}

enum dsmr_err dsmr_cb58_decode(void *out, size_t len, const char *text, size_t text_len)
{
    DSMR_ASSERT(len <= DSMR_CB58_BYTES_MAX);
    if (text_len >= DSMR_CB58_TEXT_MAX) {
        return DSMR_ERR_MALFORMED;
    }
    size_t payload_len = len + CHECKSUM_BYTES;
    uint8_t payload[PAYLOAD_MAX] = {0}; /* most significant first, filled from the end */
    size_t used = 0;
    size_t zeros = 0;
    while (zeros < text_len && text[zeros] == alphabet[0]) {
        zeros++;
    }
    for (size_t i = zeros; i < text_len; i++) {
        const char *digit = memchr(alphabet, text[i], 58);
        if (digit == NULL) {
            return DSMR_ERR_MALFORMED;
        }
        uint32_t carry = (uint32_t)(digit - alphabet);
        for (size_t b = 0; b < used || carry > 0; b++) {
            if (b == payload_len) {
                return DSMR_ERR_MALFORMED;
            }
            carry += 58u * payload[payload_len - 1 - b];
            payload[payload_len - 1 - b] = (uint8_t)carry;
            carry >>= 8;
            used = b >= used ? b + 1 : used;
        }
    }
    uint8_t sum[CHECKSUM_BYTES];
    if (used + zeros != payload_len) {
        return DSMR_ERR_MALFORMED;
    }
    checksum(sum, payload, len);
    if (memcmp(sum, payload + len, CHECKSUM_BYTES) != 0) {
        return DSMR_ERR_MALFORMED;
    }
    memcpy(out, payload, len);
    return DSMR_OK;
}

void dsmr_cb58_encode_node_id(char out[DSMR_CB58_TEXT_MAX], const struct dsmr_node_id *id)
{
    char digits[DSMR_CB58_TEXT_MAX];
    size_t prefix = strlen(DSMR_CB58_NODE_ID_PREFIX);
    dsmr_cb58_encode(digits, id->bytes, sizeof(id->bytes));
    size_t count = strlen(digits);
    DSMR_ASSERT(prefix + count < DSMR_CB58_TEXT_MAX);
    memcpy(out, DSMR_CB58_NODE_ID_PREFIX, prefix);
    memcpy(out + prefix, digits, count + 1);
}

enum dsmr_err dsmr_cb58_decode_node_id(struct dsmr_node_id *out, const char *text, size_t text_len)
{
    size_t prefix = strlen(DSMR_CB58_NODE_ID_PREFIX);
    if (text_len < prefix || memcmp(text, DSMR_CB58_NODE_ID_PREFIX, prefix) != 0) {
        return DSMR_ERR_MALFORMED;
    }
    return dsmr_cb58_decode(out->bytes, sizeof(out->bytes), text + prefix, text_len - prefix);
}
