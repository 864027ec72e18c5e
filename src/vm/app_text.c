#include "vm/app_text.h"

#include <string.h>

#include "base/assert.h"

/* A text that failed has len == capacity: one more than any that fits can have. */
void dsmr_app_text_init(struct dsmr_app_text *text, char *bytes, size_t capacity)
{
    DSMR_ASSERT(capacity >= 1);
    *text = (struct dsmr_app_text){.bytes = bytes, .capacity = capacity};
    bytes[0] = 0;
}

void dsmr_app_text_add_len(struct dsmr_app_text *text, const char *string, size_t len)
{
    if (text->len >= text->capacity || len > text->capacity - text->len - 1) {
        text->len = text->capacity;
        return;
    }
    memcpy(text->bytes + text->len, string, len);
    text->len += len;
    text->bytes[text->len] = 0;
}

void dsmr_app_text_add(struct dsmr_app_text *text, const char *string)
{
    dsmr_app_text_add_len(text, string, strlen(string));
}

void dsmr_app_text_add_u64(struct dsmr_app_text *text, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    dsmr_app_text_add_len(text, digits + at, sizeof digits - at);
}

void dsmr_app_text_add_hex(struct dsmr_app_text *text, const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = bytes;
    for (size_t i = 0; i < len; i++) {
        char pair[2] = {digits[p[i] >> 4], digits[p[i] & 15]};
        dsmr_app_text_add_len(text, pair, 2);
    }
}

enum dsmr_err dsmr_app_text_end(const struct dsmr_app_text *text)
{
    return text->len < text->capacity ? DSMR_OK : DSMR_ERR_LIMIT;
}
