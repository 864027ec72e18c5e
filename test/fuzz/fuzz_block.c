/* fuzz_block.c - any bytes as a block: refused, or encoded to the same bytes again; it
 * allocates at most twice what came, and 256 bytes. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/allocated.h"
#include "unit/wire/wire_samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct dsmr_params params;
    struct dsmr_block *block = NULL, *again = NULL;
    struct dsmr_buf *buf = dsmr_buf_copy(bytes, len);
    if (buf == NULL) {
        return 0;
    }
    samples_params(&params);
    allocated_begin();
    enum dsmr_err err = dsmr_block_decode(&block, &params, buf, buf->bytes, len);
    if (allocated_bytes() > 2 * len + 256) {
        abort();
    }
    if (err == DSMR_OK) {
        if (dsmr_block_build(&again, &params, block) != DSMR_OK || again->bytes->len != len ||
            memcmp(again->bytes->bytes, bytes, len) != 0 ||
            !dsmr_id_equal(&again->id, &block->id)) {
            abort();
        }
        dsmr_block_unref(again);
        dsmr_block_unref(block);
    }
    dsmr_buf_unref(buf);
    return 0;
}
