#include "net/hello.h"

#include <string.h>

#include "base/bytes.h"

static const uint8_t tag[4] = {'D', 'S', 'M', 'R'};

void dsmr_hello_encode(uint8_t out[DSMR_HELLO_BYTES], const struct dsmr_domain *domain)
{
    uint8_t *p = out;
    *p++ = 0;
    memcpy(p, tag, sizeof(tag));
    p += sizeof(tag);
    dsmr_store_be16(p, DSMR_HELLO_PROTOCOL_VERSION);
    p += 2;
    dsmr_store_be32(p, domain->network_id);
    p += 4;
    memcpy(p, domain->chain_id.bytes, sizeof(domain->chain_id.bytes));
}

enum dsmr_err dsmr_hello_check(const void *bytes, size_t len, const struct dsmr_domain *domain)
{
    const uint8_t *p = bytes;
    if (len < 1 + sizeof(tag) + 2 || p[0] != 0 || memcmp(p + 1, tag, sizeof(tag)) != 0)
        return DSMR_ERR_MALFORMED;
    p += 1 + sizeof(tag);
    if (dsmr_load_be16(p) != DSMR_HELLO_PROTOCOL_VERSION)
        return DSMR_ERR_VERSION;
    if (len != DSMR_HELLO_BYTES)
        return DSMR_ERR_MALFORMED;
    p += 2;
    if (dsmr_load_be32(p) != domain->network_id)
        return DSMR_ERR_WRONG_NETWORK;
    p += 4;
    if (memcmp(p, domain->chain_id.bytes, sizeof(domain->chain_id.bytes)) != 0)
        return DSMR_ERR_WRONG_CHAIN;
    return DSMR_OK;
}
