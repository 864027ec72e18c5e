#include "dsmr/buf.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static const struct dsmr_buf_memory *large; /* NULL: malloc serves all */

void dsmr_buf_use_memory(const struct dsmr_buf_memory *memory)
{
    large = memory;
}

static bool is_large(size_t len)
{
    return large != NULL && len >= large->len_min;
}

struct dsmr_buf *dsmr_buf_new(size_t len)
{
    if (len > UINT32_MAX) {
        return NULL;
    }
    struct dsmr_buf *buf = is_large(len) ? large->take(large->self, sizeof(*buf) + len) : NULL;
    if (buf == NULL) {
        buf = malloc(sizeof(*buf) + len);
    }
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
    if (before == count &&
        !(is_large(buf->len) && large->give(large->self, buf, sizeof(*buf) + buf->len))) {
        free(buf);
    }
}

void dsmr_buf_unref(struct dsmr_buf *buf)
{
    if (buf != NULL) {
        dsmr_buf_unref_many(buf, 1);
    }
}
