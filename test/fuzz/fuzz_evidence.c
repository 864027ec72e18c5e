/* fuzz_evidence.c - any bytes as evidence: refused, or encoded to the same bytes again;
 * nothing is allocated. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/allocated.h"
#include "wire/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct dsmr_evidence evidence;
    allocated_begin();
    enum dsmr_err err = dsmr_evidence_decode(&evidence, bytes, len);
    if (allocated_bytes() != 0) {
        abort();
    }
    if (err == DSMR_OK) {
        uint8_t again[DSMR_EVIDENCE_BYTES];
        dsmr_evidence_encode(again, &evidence);
        if (len != DSMR_EVIDENCE_BYTES || memcmp(again, bytes, len) != 0) {
            abort();
        }
    }
    return 0;
}
