/* test_wire_memory.c - what decoders allocate, and what happens when they get nothing: the sources
 * are compiled in, over an allocator that counts and fails on demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/wire/wire_samples.h"

static unsigned allocations_left = 1000;
static size_t allocated;

static void *counted_malloc(size_t size)
{
    if (allocations_left == 0) {
        return NULL;
    }
    allocations_left--;
    allocated += size;
    return malloc(size);
}

static void *counted_calloc(size_t count, size_t size)
{
    void *bytes = counted_malloc(count * size);
    return bytes != NULL ? memset(bytes, 0, count * size) : NULL;
}

#define malloc counted_malloc
#define calloc counted_calloc
#include "base/buf.c"

#include "wire/block.c"

#include "wire/chunk.c"

#include "wire/chunk_check.c"
#undef malloc
#undef calloc

static struct dsmr_params params;

static int setup(void **state)
{
    (void)state;
    samples_params(&params);
    allocations_left = 1000;
    allocated = 0;
    return 0;
}

/* A chunk of count transactions of tx_len bytes. */
static struct dsmr_chunk *chunk_of(uint32_t count, uint32_t tx_len)
{
    struct dsmr_chunk_header header;
    struct dsmr_chunk *chunk = NULL;
    struct dsmr_chunk_tx *txs = calloc(count, sizeof(*txs));
    uint8_t *bytes = calloc(count, tx_len);
    assert_non_null(txs);
    assert_non_null(bytes);
    samples_header(&header);
    for (uint32_t i = 0; i < count; i++) {
        txs[i] = (struct dsmr_chunk_tx){.bytes = bytes + (size_t)i * tx_len, .len = tx_len};
        dsmr_store_be64(bytes + (size_t)i * tx_len + 1, WIRE_SAMPLES_SLOT * 100);
        dsmr_store_be32(bytes + (size_t)i * tx_len + DSMR_TX_HEAD_BYTES, i);
        dsmr_hash(&txs[i].id, txs[i].bytes, tx_len);
    }
    assert_int_equal(dsmr_chunk_build(&chunk, &params, &header, txs, count), DSMR_OK);
    free(txs);
    free(bytes);
    return chunk;
}

static size_t decoding_allocates(const struct dsmr_chunk *chunk)
{
    struct dsmr_chunk *again = NULL;
    allocated = 0;
    assert_int_equal(
        dsmr_chunk_decode(&again, &params, chunk->owner, chunk->bytes, chunk->ref.chunk_bytes),
        DSMR_OK);
    dsmr_chunk_unref(again);
    return allocated;
}

/* Whatever the transactions' size and number: nothing is added for the structures themselves. */
static void chunk_decoder_allocates_at_most_twice_the_input(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 1500, 16384};
    static const uint32_t lengths[] = {DSMR_TX_BYTES_MIN, 17, 64, 512};
    params.chunk_bytes_max = DSMR_CHUNK_BYTES_LIMIT + (1u << 20);
    for (size_t i = 0; i < 16; i++) {
        struct dsmr_chunk *chunk = chunk_of(counts[i / 4], lengths[i % 4]);
        size_t count = counts[i / 4];
        assert_true(decoding_allocates(chunk) <= 2 * (size_t)chunk->ref.chunk_bytes);
        assert_int_equal(allocated, sizeof(*chunk) + 4 + count * 40);
        /* the check for duplicates: at most 16 bytes each, given back */
        allocated = 0;
        assert_int_equal(dsmr_chunk_check_txs(chunk, &params), DSMR_OK);
        assert_true(allocated <= 16 * count);
        dsmr_chunk_unref(chunk);
    }
}

static void header_that_lies_costs_nothing(void **state)
{
    (void)state;
    uint8_t bytes[512];
    struct dsmr_chunk *chunk = samples_chunk(), *none = NULL;
    uint32_t len = chunk->ref.chunk_bytes;
    memcpy(bytes, chunk->bytes, len);
    struct dsmr_buf *buf = dsmr_buf_copy(bytes, len);
    allocated = 0;
    static const uint32_t counts[] = {0, 7, 1000, 16384, 65536, UINT32_MAX};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        dsmr_store_be32(buf->bytes + 113, counts[i]);
        assert_true(dsmr_chunk_decode(&none, &params, buf, buf->bytes, len) != DSMR_OK);
        assert_int_equal(allocated, 0);
    }
    dsmr_store_be32(buf->bytes + 113, 5); /* more than the bytes could hold: 90 / 20 = 4 */
    assert_true(dsmr_chunk_decode(&none, &params, buf, buf->bytes, len) != DSMR_OK);
    assert_int_equal(allocated, 0);
    dsmr_buf_unref(buf);
    dsmr_chunk_unref(chunk);
}

/* Twice the input, the structure itself, and the bytes again if they are a part of a message. */
static void block_decoder_allocates_at_most_twice_the_input(void **state)
{
    (void)state;
    static struct dsmr_cert certs[DSMR_BLOCK_CERTS_LIMIT];
    static const uint32_t counts[] = {0, 1, 2, DSMR_BLOCK_CERTS_LIMIT};
    params.block_certs_max = DSMR_BLOCK_CERTS_LIMIT;
    params.block_bytes_max = DSMR_BLOCK_BYTES_LIMIT;
    for (uint32_t i = 0; i < DSMR_BLOCK_CERTS_LIMIT; i++) {
        samples_cert(&certs[i], (uint8_t)i, 3); /* one byte of signers: the worst relation */
    }
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct dsmr_block fields = {.certs_count = counts[i], .certs = certs};
        struct dsmr_block *block = NULL, *again = NULL;
        assert_int_equal(dsmr_block_build(&block, &params, &fields), DSMR_OK);
        struct dsmr_buf *bytes = block->bytes;
        size_t len = bytes->len;
        allocated = 0;
        assert_int_equal(dsmr_block_decode(&again, &params, bytes, bytes->bytes, len), DSMR_OK);
        assert_true(allocated <= 2 * len + sizeof(*block) && sizeof(*block) <= 256);
        dsmr_block_unref(again);
        struct dsmr_buf *message = dsmr_buf_new(len + 1);
        memcpy(message->bytes + 1, bytes->bytes, len);
        allocated = 0;
        assert_int_equal(dsmr_block_decode(&again, &params, message, message->bytes + 1, len),
                         DSMR_OK);
        assert_true(allocated <= 3 * len + sizeof(*block) + sizeof(*bytes));
        dsmr_block_unref(again);
        dsmr_buf_unref(message);
        dsmr_block_unref(block);
    }
}

/* A count that the bytes cannot hold is refused before anything is allocated. */
static void block_that_lies_costs_nothing(void **state)
{
    (void)state;
    struct dsmr_block *block = samples_block(3), *none = NULL;
    struct dsmr_buf *lie = dsmr_buf_copy(block->bytes->bytes, block->bytes->len - 184u);
    allocated = 0;
    assert_int_equal(dsmr_block_decode(&none, &params, lie, lie->bytes, lie->len),
                     DSMR_ERR_MALFORMED);
    assert_int_equal(allocated, 0);
    dsmr_buf_unref(lie);
    dsmr_block_unref(block);
}

static void without_memory_nothing_is_lost(void **state)
{
    (void)state;
    struct dsmr_chunk *chunk = chunk_of(3, 20), *none = NULL;
    struct dsmr_block *block = samples_block(2), *no_block = NULL;
    struct dsmr_buf *longer = dsmr_buf_new(block->bytes->len + 1u);
    struct dsmr_chunk_header header;
    struct dsmr_chunk_tx tx = {.bytes = chunk->bytes + chunk->tx_offsets[0], .len = 20};
    samples_header(&header);
    memset(longer->bytes, 0, longer->len);
    memcpy(longer->bytes, block->bytes->bytes, block->bytes->len);
    allocations_left = 0;
    assert_int_equal(
        dsmr_chunk_decode(&none, &params, chunk->owner, chunk->bytes, chunk->ref.chunk_bytes),
        DSMR_ERR_NO_MEMORY);
    assert_int_equal(dsmr_chunk_check_txs(chunk, &params), DSMR_ERR_NO_MEMORY);
    assert_int_equal(
        dsmr_block_decode(&no_block, &params, block->bytes, block->bytes->bytes, block->bytes->len),
        DSMR_ERR_NO_MEMORY);
    for (unsigned n = 0; n < 2; n++) {
        allocations_left = n;
        assert_int_equal(dsmr_chunk_build(&none, &params, &header, &tx, 1), DSMR_ERR_NO_MEMORY);
        allocations_left = n;
        assert_int_equal(dsmr_block_build(&no_block, &params, block), DSMR_ERR_NO_MEMORY);
        allocations_left = n;
        assert_int_equal(
            dsmr_block_decode(&no_block, &params, longer, longer->bytes, block->bytes->len),
            DSMR_ERR_NO_MEMORY);
    }
    assert_int_equal(chunk->owner->refs, 1);
    assert_int_equal(block->bytes->refs, 1);
    assert_null(none);
    assert_null(no_block);
    dsmr_buf_unref(longer);
    dsmr_chunk_unref(chunk);
    dsmr_block_unref(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(chunk_decoder_allocates_at_most_twice_the_input, setup),
        cmocka_unit_test_setup(header_that_lies_costs_nothing, setup),
        cmocka_unit_test_setup(block_decoder_allocates_at_most_twice_the_input, setup),
        cmocka_unit_test_setup(block_that_lies_costs_nothing, setup),
        cmocka_unit_test_setup(without_memory_nothing_is_lost, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
