#include <string.h>

#include "base/bytes.h"
#include "wire/cursor.h"

void dsmr_rd_init(struct dsmr_rd *rd, const void *bytes, size_t len)
{
    *rd = (struct dsmr_rd){.bytes = bytes, .len = len};
}

void dsmr_rd_fail(struct dsmr_rd *rd, enum dsmr_err err)
{
    if (rd->err == DSMR_OK) {
        rd->err = err;
    }
}

size_t dsmr_rd_left(const struct dsmr_rd *rd)
{
    return rd->err == DSMR_OK ? rd->len - rd->at : 0;
}

const uint8_t *dsmr_rd_view(struct dsmr_rd *rd, size_t len)
{
    if (dsmr_rd_left(rd) < len) {
        dsmr_rd_fail(rd, DSMR_ERR_MALFORMED);
    }
    if (rd->err != DSMR_OK) {
        return NULL;
    }
    const uint8_t *view = rd->bytes + rd->at;
    rd->at += len;
    return view;
}

void dsmr_rd_bytes(struct dsmr_rd *rd, void *out, size_t len)
{
    const uint8_t *view = dsmr_rd_view(rd, len);
    if (len == 0) {
        return;
    }
    if (view != NULL) {
        memcpy(out, view, len);
    } else {
        memset(out, 0, len);
    }
}

uint8_t dsmr_rd_u8(struct dsmr_rd *rd)
{
    const uint8_t *view = dsmr_rd_view(rd, 1);
    return view != NULL ? view[0] : 0;
}

uint16_t dsmr_rd_u16(struct dsmr_rd *rd)
{
    const uint8_t *view = dsmr_rd_view(rd, 2);
    return view != NULL ? dsmr_load_be16(view) : 0;
}

uint32_t dsmr_rd_u32(struct dsmr_rd *rd)
{
    const uint8_t *view = dsmr_rd_view(rd, 4);
    return view != NULL ? dsmr_load_be32(view) : 0;
}

uint64_t dsmr_rd_u64(struct dsmr_rd *rd)
{
    const uint8_t *view = dsmr_rd_view(rd, 8);
    return view != NULL ? dsmr_load_be64(view) : 0;
}

void dsmr_rd_domain(struct dsmr_rd *rd, const struct dsmr_domain *expected)
{
    struct dsmr_id chain_id;
    uint32_t network_id = dsmr_rd_u32(rd);
    dsmr_rd_bytes(rd, chain_id.bytes, sizeof(chain_id.bytes));
    if (network_id != expected->network_id) {
        dsmr_rd_fail(rd, DSMR_ERR_WRONG_NETWORK);
    }
    if (!dsmr_id_equal(&chain_id, &expected->chain_id)) {
        dsmr_rd_fail(rd, DSMR_ERR_WRONG_CHAIN);
    }
}

enum dsmr_err dsmr_rd_end(struct dsmr_rd *rd)
{
    if (dsmr_rd_left(rd) > 0) {
        dsmr_rd_fail(rd, DSMR_ERR_TRAILING_BYTES);
    }
    return rd->err;
}
