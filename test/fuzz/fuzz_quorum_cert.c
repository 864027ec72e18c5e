/* fuzz_quorum_cert.c - any bytes as a quorum certificate: refused, or encoded to the same again;
 * nothing is allocated. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/allocated.h"
#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct dsmr_quorum_cert qc;
    struct dsmr_rd rd;
    allocated_begin();
    dsmr_rd_init(&rd, bytes, len);
    dsmr_quorum_cert_decode(&rd, &qc, DSMR_VALIDATORS_MAX);
    if (allocated_bytes() != 0) {
        abort();
    }
    if (dsmr_rd_end(&rd) == DSMR_OK) {
        uint8_t again[DSMR_QUORUM_CERT_BYTES_MAX];
        struct dsmr_wr wr;
        dsmr_wr_init(&wr, again, sizeof(again));
        dsmr_quorum_cert_encode(&wr, &qc);
        if (wr.err != DSMR_OK || wr.at != len || memcmp(again, bytes, len) != 0) {
            abort();
        }
    }
    return 0;
}
