/* app_text.h - writing bounded text: query answers and sentences about a wrong genesis.
 *
 * Why:     this layer has no stdio.
 * Invariants: bytes always ends with a zero byte; what does not fit makes the text failed, and a
 *             failed text is cut, never overrun.
 * Threads: one owner. */
#ifndef DSMR_VM_APP_TEXT_H
#define DSMR_VM_APP_TEXT_H

#include "ports/app.h"

/* capacity >= 1: the zero byte counts. bytes: borrowed as long as the text is used. */
void dsmr_app_text_init(struct dsmr_app_text *text, char *bytes, size_t capacity);
/* Each appends; once something did not fit, nothing more is written. */
void dsmr_app_text_add(struct dsmr_app_text *text, const char *string);
void dsmr_app_text_add_len(struct dsmr_app_text *text, const char *string, size_t len);
void dsmr_app_text_add_u64(struct dsmr_app_text *text, uint64_t value);
void dsmr_app_text_add_hex(struct dsmr_app_text *text, const void *bytes, size_t len);
/* OK, or LIMIT if something did not fit. */
DSMR_MUST_USE enum dsmr_err dsmr_app_text_end(const struct dsmr_app_text *text);

#endif
