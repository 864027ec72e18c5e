/* fuzz_msg.c - any bytes as a message: refused, or encoded to the same bytes again; nothing is
 * allocated. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/allocated.h"
#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct dsmr_msg msg;
    allocated_begin();
    enum dsmr_err err = dsmr_msg_decode(&msg, bytes, len);
    if (allocated_bytes() != 0) {
        abort();
    }
    if (err != DSMR_OK) {
        return 0;
    }
    struct dsmr_buf *again = dsmr_msg_encode(&msg, true);
    if (again == NULL || again->len != len || memcmp(again->bytes, bytes, len) != 0 ||
        dsmr_msg_class_of(msg.type) < 0) {
        abort();
    }
    dsmr_buf_unref(again);
    return 0;
}
