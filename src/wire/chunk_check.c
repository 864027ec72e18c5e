#include <stdlib.h>

#include "base/bytes.h"
#include "wire/codec.h"

/* Two odd multipliers from the root. The root commits to every id of the chunk, so a producer
 * that wants ids to fall into one place must find new ones for each multiplier it tries. */
struct spread {
    uint64_t a, b;
    unsigned shift;
};

static size_t spread_place(const struct spread *spread, const struct dsmr_id *id)
{
    uint64_t mixed = dsmr_load_be64(id->bytes) * spread->a ^ dsmr_load_be64(id->bytes + 8);
    return (size_t)((mixed * spread->b) >> spread->shift);
}

/* A table of places at most half full, by open addressing: linear in the count. */
static enum dsmr_err check_twice(const struct dsmr_chunk *chunk)
{
    unsigned bits = 1;
    while ((UINT32_C(1) << bits) < 2 * chunk->header.tx_count) {
        bits++;
    }
    size_t mask = ((size_t)1 << bits) - 1;
    struct spread spread = {.a = dsmr_load_be64(chunk->header.tx_root.bytes) | 1u,
                            .b = dsmr_load_be64(chunk->header.tx_root.bytes + 8) | 1u,
                            .shift = 64u - bits};
    uint32_t *table = calloc(mask + 1, sizeof(*table)); /* 1 + index; 0: free */
    if (table == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    enum dsmr_err err = DSMR_OK;
    for (uint32_t i = 0; i < chunk->header.tx_count && err == DSMR_OK; i++) {
        size_t place = spread_place(&spread, &chunk->tx_ids[i]);
        while (table[place] != 0 && err == DSMR_OK) {
            if (dsmr_id_equal(&chunk->tx_ids[table[place] - 1], &chunk->tx_ids[i])) {
                err = DSMR_ERR_TX_TWICE;
            }
            place = (place + 1) & mask;
        }
        table[place] = i + 1;
    }
    free(table);
    return err;
}

enum dsmr_err dsmr_chunk_check_txs(const struct dsmr_chunk *chunk, const struct dsmr_params *params)
{
    uint64_t first_ms, expiry_ms;
    if (!dsmr_chunk_header_times(&first_ms, &expiry_ms, chunk->header.slot, params)) {
        return DSMR_ERR_EXPIRY_MISMATCH;
    }
    if (!chunk->is_expiry_good) {
        return DSMR_ERR_TX_EXPIRY;
    }
    return check_twice(chunk);
}
