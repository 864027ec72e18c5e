#include <string.h>

#include "base/bytes.h"
#include "wire/cursor.h"

void dsmr_wr_init(struct dsmr_wr *wr, void *bytes, size_t capacity)
{
    *wr = (struct dsmr_wr){.bytes = bytes, .capacity = capacity};
}

/* The place for len bytes, or NULL. */
static uint8_t *reserve(struct dsmr_wr *wr, size_t len)
{
    if (wr->err != DSMR_OK || wr->capacity - wr->at < len) {
        wr->err = DSMR_ERR_LIMIT;
        return NULL;
    }
    uint8_t *place = wr->bytes + wr->at;
    wr->at += len;
    return place;
}

void dsmr_wr_u8(struct dsmr_wr *wr, uint8_t v)
{
    uint8_t *place = reserve(wr, 1);
    if (place != NULL) {
        place[0] = v;
    }
}

void dsmr_wr_u16(struct dsmr_wr *wr, uint16_t v)
{
    uint8_t *place = reserve(wr, 2);
    if (place != NULL) {
        dsmr_store_be16(place, v);
    }
}

void dsmr_wr_u32(struct dsmr_wr *wr, uint32_t v)
{
    uint8_t *place = reserve(wr, 4);
    if (place != NULL) {
        dsmr_store_be32(place, v);
    }
}

void dsmr_wr_u64(struct dsmr_wr *wr, uint64_t v)
{
    uint8_t *place = reserve(wr, 8);
    if (place != NULL) {
        dsmr_store_be64(place, v);
    }
}

void dsmr_wr_bytes(struct dsmr_wr *wr, const void *bytes, size_t len)
{
    uint8_t *place = reserve(wr, len);
    if (place != NULL && len > 0) {
        memcpy(place, bytes, len);
    }
}

void dsmr_wr_domain(struct dsmr_wr *wr, const struct dsmr_domain *domain)
{
    dsmr_wr_u32(wr, domain->network_id);
    dsmr_wr_bytes(wr, domain->chain_id.bytes, sizeof(domain->chain_id.bytes));
}
