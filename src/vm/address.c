#include "vm/address.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

#define CHECKSUM_LEN 6u
#define BECH32M_CONSTANT 0x2bc830a3u

static const char charset[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

static uint32_t polymod_step(uint32_t checksum, uint8_t value)
{
    static const uint32_t generator[5] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd,
                                          0x2a1462b3};
    uint32_t top = checksum >> 25;
    checksum = (checksum & 0x1ffffff) << 5 ^ value;
    for (int i = 0; i < 5; i++) {
        if (top >> i & 1) {
            checksum ^= generator[i];
        }
    }
    return checksum;
}

/* Checksum register after the human-readable part, expanded as BIP-173 says. */
static uint32_t polymod_hrp(const char *hrp)
{
    uint32_t checksum = 1;
    for (const char *c = hrp; *c; c++) {
        checksum = polymod_step(checksum, (uint8_t)((uint8_t)*c >> 5));
    }
    checksum = polymod_step(checksum, 0);
    for (const char *c = hrp; *c; c++) {
        checksum = polymod_step(checksum, (uint8_t)*c & 31);
    }
    return checksum;
}

static int value_of(char c)
{
    const char *found = c ? strchr(charset, c) : NULL;
    return found ? (int)(found - charset) : -1;
}

static bool is_hrp_char(char c)
{
    return c >= 33 && c <= 126;
}

enum dsmr_err dsmr_address_bech32m_encode(char out[DSMR_BECH32M_TEXT_MAX + 1],
                                          const struct dsmr_address_bech32m *parts)
{
    const char *end = memchr(parts->hrp, 0, sizeof parts->hrp);
    size_t hrp_len = end ? (size_t)(end - parts->hrp) : 0;
    if (hrp_len < 1 || parts->values_count > DSMR_BECH32M_VALUES_MAX ||
        hrp_len + 1 + parts->values_count + CHECKSUM_LEN > DSMR_BECH32M_TEXT_MAX) {
        return DSMR_ERR_MALFORMED;
    }
    for (size_t i = 0; i < hrp_len; i++) {
        if (!is_hrp_char(parts->hrp[i]) || (parts->hrp[i] >= 'A' && parts->hrp[i] <= 'Z')) {
            return DSMR_ERR_MALFORMED;
        }
    }
    for (size_t i = 0; i < parts->values_count; i++) {
        if (parts->values[i] > 31) {
            return DSMR_ERR_MALFORMED;
        }
    }
    uint32_t checksum = polymod_hrp(parts->hrp);
    memcpy(out, parts->hrp, hrp_len);
    char *at = out + hrp_len;
    *at++ = '1';
    for (size_t i = 0; i < parts->values_count; i++) {
        checksum = polymod_step(checksum, parts->values[i]);
        *at++ = charset[parts->values[i]];
    }
    for (size_t i = 0; i < CHECKSUM_LEN; i++) {
        checksum = polymod_step(checksum, 0);
    }
    checksum ^= BECH32M_CONSTANT;
    for (size_t i = 0; i < CHECKSUM_LEN; i++) {
        *at++ = charset[checksum >> 5 * (CHECKSUM_LEN - 1 - i) & 31];
    }
    *at = 0;
    return DSMR_OK;
}

/* Copies text in lower case; false if it mixes cases or has a character that no part may have. */
static bool to_lower(char *out, const char *text, size_t len)
{
    bool has_lower = false;
    bool has_upper = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (!is_hrp_char(c)) {
            return false;
        }
        has_lower |= c >= 'a' && c <= 'z';
        bool is_upper = c >= 'A' && c <= 'Z';
        has_upper |= is_upper;
        out[i] = is_upper ? (char)(c - 'A' + 'a') : c;
    }
    out[len] = 0;
    return !(has_lower && has_upper);
}

enum dsmr_err dsmr_address_bech32m_decode(struct dsmr_address_bech32m *out, const char *text,
                                          size_t len)
{
    char lower[DSMR_BECH32M_TEXT_MAX + 1];
    if (len > DSMR_BECH32M_TEXT_MAX || !to_lower(lower, text, len)) {
        return DSMR_ERR_MALFORMED;
    }
    const char *separator = strrchr(lower, '1');
    if (!separator || separator == lower || len - (size_t)(separator - lower) - 1 < CHECKSUM_LEN) {
        return DSMR_ERR_MALFORMED;
    }
    struct dsmr_address_bech32m parts = {.values_count = 0};
    size_t hrp_len = (size_t)(separator - lower);
    memcpy(parts.hrp, lower, hrp_len);
    uint32_t checksum = polymod_hrp(parts.hrp);
    for (size_t i = hrp_len + 1; i < len; i++) {
        int value = value_of(lower[i]);
        if (value < 0) {
            return DSMR_ERR_MALFORMED;
        }
        checksum = polymod_step(checksum, (uint8_t)value);
        if (i < len - CHECKSUM_LEN) {
            parts.values[parts.values_count++] = (uint8_t)value;
        }
    }
    if (checksum != BECH32M_CONSTANT) {
        return DSMR_ERR_MALFORMED;
    }
    *out = parts;
    return DSMR_OK;
}

void dsmr_address_format(char out[DSMR_ADDRESS_TEXT_LEN + 1], const struct dsmr_address *address)
{
    struct dsmr_address_bech32m parts = {.hrp = DSMR_ADDRESS_HRP};
    uint32_t bits = 0;
    uint32_t bits_count = 0;
    for (size_t i = 0; i < sizeof address->bytes; i++) {
        bits = (bits << 8 | address->bytes[i]) & 0xfff;
        bits_count += 8;
        while (bits_count >= 5) {
            bits_count -= 5;
            parts.values[parts.values_count++] = bits >> bits_count & 31;
        }
    }
    parts.values[parts.values_count++] = (uint8_t)(bits << (5 - bits_count) & 31);
    char text[DSMR_BECH32M_TEXT_MAX + 1];
    enum dsmr_err err = dsmr_address_bech32m_encode(text, &parts);
    DSMR_ASSERT(err == DSMR_OK);
    memcpy(out, text, DSMR_ADDRESS_TEXT_LEN + 1);
}

/* 52 values are 260 bits: 256 of the address and 4 that must be zero. */
static enum dsmr_err parse_bech32m(struct dsmr_address *out, const char *text, size_t len)
{
    struct dsmr_address_bech32m parts;
    enum dsmr_err err = dsmr_address_bech32m_decode(&parts, text, len);
    if (err || strcmp(parts.hrp, DSMR_ADDRESS_HRP) != 0 || parts.values_count != 52 ||
        (parts.values[51] & 15) != 0) {
        return DSMR_ERR_MALFORMED;
    }
    uint32_t bits = 0;
    uint32_t bits_count = 0;
    size_t at = 0;
    for (size_t i = 0; i < parts.values_count; i++) {
        bits = (bits << 5 | parts.values[i]) & 0xfff;
        bits_count += 5;
        if (bits_count >= 8) {
            bits_count -= 8;
            out->bytes[at++] = (uint8_t)(bits >> bits_count);
        }
    }
    return DSMR_OK;
}

enum dsmr_err dsmr_address_parse(struct dsmr_address *out, const char *text, size_t len)
{
    if (len == DSMR_ADDRESS_HEX_LEN) {
        return dsmr_hex_decode(out->bytes, sizeof out->bytes, text, len);
    }
    return parse_bech32m(out, text, len);
}
