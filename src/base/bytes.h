/* bytes.h - comparing, hex and integers at any address. */
#ifndef DSMR_BASE_BYTES_H
#define DSMR_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dsmr/types.h"

bool dsmr_id_equal(const struct dsmr_id *a, const struct dsmr_id *b);
bool dsmr_id_is_zero(const struct dsmr_id *id);
bool dsmr_node_id_equal(const struct dsmr_node_id *a, const struct dsmr_node_id *b);
bool dsmr_reference_equal(const struct dsmr_reference *a, const struct dsmr_reference *b);

uint16_t dsmr_load_be16(const uint8_t *p);
uint32_t dsmr_load_be32(const uint8_t *p);
uint64_t dsmr_load_be64(const uint8_t *p);
void dsmr_store_be16(uint8_t *p, uint16_t v);
void dsmr_store_be32(uint8_t *p, uint32_t v);
void dsmr_store_be64(uint8_t *p, uint64_t v);

/* Writes 2 * len lower-case digits and a zero byte. */
void dsmr_hex_encode(char *out, const void *bytes, size_t len);
/* Reads exactly 2 * len digits, either case, no prefix; MALFORMED otherwise, out then untouched. */
DSMR_MUST_USE enum dsmr_err dsmr_hex_decode(void *out, size_t len, const char *text,
                                            size_t text_len);

#endif
