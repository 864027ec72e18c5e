/* buf.h - a reference-counted, immutable run of bytes.
 *
 * Why:     a payload is received, hashed, stored, forwarded and executed without being copied:
 *          each stage holds a reference.
 * Threads: the count is atomic; the bytes are written only before the buffer is shared. */
#ifndef DSMR_BUF_H
#define DSMR_BUF_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct dsmr_buf {
    _Atomic uint32_t refs;
    uint32_t len;
    uint8_t bytes[];
};

/* A buffer of len bytes, not initialised, one reference; NULL if out of memory. */
struct dsmr_buf *dsmr_buf_new(size_t len);
/* The same with a copy of bytes. */
struct dsmr_buf *dsmr_buf_copy(const void *bytes, size_t len);
/* Takes a reference and returns buf; NULL stays NULL. */
struct dsmr_buf *dsmr_buf_ref(struct dsmr_buf *buf);
/* The same, many at once; not NULL. */
void dsmr_buf_ref_many(struct dsmr_buf *buf, uint32_t count);
void dsmr_buf_unref_many(struct dsmr_buf *buf, uint32_t count);
/* Gives a reference back; frees with the last one. NULL is fine. */
void dsmr_buf_unref(struct dsmr_buf *buf);

#endif
