/* crc32c.h - CRC-32C (Castagnoli) over what is stored.
 *
 * Why:     to tell a damaged record or chunk body from a good one. Not against an attacker: what a
 *          chunk says is checked by its hashes.
 * Threads: pure; any thread. */
#ifndef DSMR_STORE_CRC32C_H
#define DSMR_STORE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues crc (0 to start) over len bytes. Uses the processor's instruction where it has one. */
uint32_t dsmr_crc32c(uint32_t crc, const void *bytes, size_t len);
/* The same, and copies them: what is long comes from memory once, and goes there around the cache
 * if to is a multiple of 16. to and from do not overlap. */
uint32_t dsmr_crc32c_copy(uint32_t crc, void *to, const void *from, size_t len);
/* dsmr_crc32c without the instruction; for machines without it, and for the test that compares. */
uint32_t dsmr_crc32c_portable(uint32_t crc, const void *bytes, size_t len);

#endif
