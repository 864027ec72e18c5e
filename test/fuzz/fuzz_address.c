/* Any text as bech32m and as an address: what is read is written back the same. */
#include <stdlib.h>
#include <string.h>

#include "vm/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void must_equal(const char *written, const uint8_t *read, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = (char)read[i];
        if (written[i] != (c >= 'A' && c <= 'Z' ? (char)(c + 32) : c)) {
            abort();
        }
    }
    if (written[len] != 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct dsmr_address_bech32m parts;
    struct dsmr_address address;
    char text[DSMR_BECH32M_TEXT_MAX + 1];
    if (dsmr_address_bech32m_decode(&parts, (const char *)bytes, len) == DSMR_OK) {
        if (dsmr_address_bech32m_encode(text, &parts)) {
            abort();
        }
        must_equal(text, bytes, len);
    }
    if (dsmr_address_parse(&address, (const char *)bytes, len) == DSMR_OK) {
        dsmr_address_format(text, &address);
        if (len == DSMR_ADDRESS_TEXT_LEN) {
            must_equal(text, bytes, len);
        }
    }
    return 0;
}
