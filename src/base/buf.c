#include "dsmr/buf.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct dsmr_buf *dsmr_buf_new(size_t len)
{
    if (len > UINT32_MAX) {
        return NULL;
    }
    struct dsmr_buf *buf = malloc(sizeof(*buf) + len);
    if (buf == NULL) {
        return NULL;
    }
    atomic_init(&buf->refs, 1);
    buf->len = (uint32_t)len;
    return buf;
}

struct dsmr_buf *dsmr_buf_copy(const void *bytes, size_t len)
{
    struct dsmr_buf *buf = dsmr_buf_new(len);
    if (buf != NULL && len > 0) {
        memcpy(buf->bytes, bytes, len);
    }
    return buf;
}

void dsmr_buf_ref_many(struct dsmr_buf *buf, uint32_t count)
{
    uint32_t before = atomic_fetch_add_explicit(&buf->refs, count, memory_order_relaxed);
    DSMR_ASSERT(before > 0 && before <= UINT32_MAX - count);
}

struct dsmr_buf *dsmr_buf_ref(struct dsmr_buf *buf)
{
    if (buf != NULL) {
        dsmr_buf_ref_many(buf, 1);
    }
    return buf;
}

void dsmr_buf_unref_many(struct dsmr_buf *buf, uint32_t count)
{
    uint32_t before = atomic_fetch_sub_explicit(&buf->refs, count, memory_order_acq_rel);
    DSMR_ASSERT(before > 0 && before >= count);
    if (before == count) {
        free(buf);
    }
}

void dsmr_buf_unref(struct dsmr_buf *buf)
{
    if (buf != NULL) {
        dsmr_buf_unref_many(buf, 1);
    }
}
