/* address.h - the text of an address: bech32m ("dsmr1...", BIP-350) or 64 hex digits.
 *
 * Why:     bech32m finds every slip of up to three characters; hex is what other tools print.
 * Invariants: encode then parse gives the same address.
 * Limits:  text up to DSMR_BECH32M_TEXT_MAX characters.
 * Threads: any; pure. */
#ifndef DSMR_VM_ADDRESS_H
#define DSMR_VM_ADDRESS_H

#include "dsmr/types.h"

#define DSMR_ADDRESS_HRP "dsmr"
#define DSMR_ADDRESS_TEXT_LEN 63u /* "dsmr1", 52 characters of data, 6 of checksum */
#define DSMR_ADDRESS_HEX_LEN 64u

/* Writes the bech32m form and a zero byte. */
void dsmr_address_format(char out[DSMR_ADDRESS_TEXT_LEN + 1], const struct dsmr_address *address);
/* Reads either form; hex in either case, no prefix. MALFORMED; out is then untouched. */
DSMR_MUST_USE enum dsmr_err dsmr_address_parse(struct dsmr_address *out, const char *text,
                                               size_t len);

/* BIP-350 itself, for any human-readable part; values are 5 bits each. */
#define DSMR_BECH32M_TEXT_MAX 90u
#define DSMR_BECH32M_HRP_MAX 83u
#define DSMR_BECH32M_VALUES_MAX 83u
struct dsmr_address_bech32m {
    char hrp[DSMR_BECH32M_HRP_MAX + 1]; /* lower case, with a zero byte */
    size_t values_count;
    uint8_t values[DSMR_BECH32M_VALUES_MAX];
};
/* MALFORMED if the human-readable part or a value is out of range, or the text would be longer
 * than DSMR_BECH32M_TEXT_MAX. out has room for that and a zero byte. */
DSMR_MUST_USE enum dsmr_err dsmr_address_bech32m_encode(char out[DSMR_BECH32M_TEXT_MAX + 1],
                                                        const struct dsmr_address_bech32m *parts);
/* MALFORMED if text breaks a rule of BIP-350: length, mixed case, characters, checksum. */
DSMR_MUST_USE enum dsmr_err dsmr_address_bech32m_decode(struct dsmr_address_bech32m *out,
                                                        const char *text, size_t len);

#endif
