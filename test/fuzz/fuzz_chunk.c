/* fuzz_chunk.c - any bytes as a chunk, and any bytes as the transactions of one: no root can be
 * guessed, so the second way builds the chunk and expects it back. Decoding allocates at most twice
 * the chunk, checking the transactions 16 bytes for each. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/allocated.h"
#include "unit/wire/wire_samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define TXS_MAX 64u

static void decode_raw(const struct dsmr_params *params, const uint8_t *bytes, size_t len)
{
    struct dsmr_chunk *chunk = NULL;
    struct dsmr_buf *buf = dsmr_buf_copy(bytes, len);
    if (buf == NULL) {
        return;
    }
    allocated_begin();
    enum dsmr_err err = dsmr_chunk_decode(&chunk, params, buf, buf->bytes, len);
    if (allocated_bytes() > 2 * len) {
        abort();
    }
    if (err == DSMR_OK) {
        (void)!dsmr_chunk_check_txs(chunk, params);
        dsmr_chunk_unref(chunk);
    }
    dsmr_buf_unref(buf);
}

/* One byte of length before each transaction. */
static uint32_t split(struct dsmr_chunk_tx txs[TXS_MAX], const uint8_t *bytes, size_t len)
{
    uint32_t count = 0;
    for (size_t at = 0; at < len && count < TXS_MAX; count++) {
        size_t tx_len = bytes[at++];
        tx_len = tx_len < len - at ? tx_len : len - at;
        txs[count] = (struct dsmr_chunk_tx){.bytes = bytes + at, .len = (uint32_t)tx_len};
        dsmr_hash(&txs[count].id, bytes + at, tx_len);
        at += tx_len;
    }
    return count;
}

static void build_and_decode(const struct dsmr_params *params, const uint8_t *bytes, size_t len)
{
    struct dsmr_chunk_tx txs[TXS_MAX];
    struct dsmr_chunk_header header;
    struct dsmr_chunk *chunk = NULL, *again = NULL;
    samples_header(&header);
    uint32_t count = split(txs, bytes, len);
    if (dsmr_chunk_build(&chunk, params, &header, txs, count) != DSMR_OK) {
        return;
    }
    bool twice = false;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            twice = twice || dsmr_id_equal(&txs[i].id, &txs[j].id);
        }
    }
    allocated_begin();
    enum dsmr_err err =
        dsmr_chunk_decode(&again, params, chunk->owner, chunk->bytes, chunk->ref.chunk_bytes);
    if (err != DSMR_OK || allocated_bytes() > 2 * (size_t)chunk->ref.chunk_bytes ||
        !dsmr_reference_equal(&again->ref, &chunk->ref) ||
        memcmp(again->tx_ids, chunk->tx_ids, count * sizeof(*again->tx_ids)) != 0) {
        abort();
    }
    allocated_begin();
    err = dsmr_chunk_check_txs(again, params);
    if (allocated_bytes() > 16 * (size_t)count) {
        abort();
    }
    if ((err == DSMR_OK && twice) || (err == DSMR_ERR_TX_TWICE && !twice)) {
        abort();
    }
    dsmr_chunk_unref(again);
    dsmr_chunk_unref(chunk);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct dsmr_params params;
    samples_params(&params);
    decode_raw(&params, bytes, len);
    build_and_decode(&params, bytes, len);
    return 0;
}
