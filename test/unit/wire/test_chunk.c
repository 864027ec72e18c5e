/* test_chunk.c - building, decoding and judging chunks, at every limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/wire/wire_samples.h"

static struct dsmr_params params;
static struct dsmr_chunk *sample;

static int setup(void **state)
{
    (void)state;
    samples_params(&params);
    sample = samples_chunk();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dsmr_chunk_unref(sample);
    return 0;
}

/* Decodes a copy of exactly len bytes, so that the sanitizer sees a read beyond. */
static enum dsmr_err decode(struct dsmr_chunk **out, const uint8_t *bytes, size_t len)
{
    struct dsmr_buf *buf = dsmr_buf_copy(bytes, len);
    assert_non_null(buf);
    enum dsmr_err err = dsmr_chunk_decode(out, &params, buf, buf->bytes, len);
    dsmr_buf_unref(buf);
    return err;
}

static void refuse(const uint8_t *bytes, size_t len, enum dsmr_err expected)
{
    struct dsmr_chunk *none = NULL;
    assert_int_equal(decode(&none, bytes, len), expected);
    assert_null(none);
}

static void decoded_equals_built(void **state)
{
    (void)state;
    struct dsmr_chunk *chunk = NULL;
    assert_int_equal(decode(&chunk, sample->bytes, sample->ref.chunk_bytes), DSMR_OK);
    assert_true(dsmr_reference_equal(&chunk->ref, &sample->ref));
    assert_memory_equal(chunk->bytes, sample->bytes, sample->ref.chunk_bytes);
    assert_memory_equal(chunk->tx_ids, sample->tx_ids, WIRE_SAMPLES_TXS * sizeof(struct dsmr_id));
    for (uint32_t i = 0; i < WIRE_SAMPLES_TXS; i++) {
        uint8_t tx[256];
        uint32_t len = samples_tx(tx, i);
        struct dsmr_id id;
        assert_int_equal(dsmr_chunk_tx(chunk, i).len, len);
        assert_int_equal(chunk->tx_offsets[i], sample->tx_offsets[i]);
        assert_memory_equal(dsmr_chunk_tx(chunk, i).bytes, tx, len);
        assert_int_equal(dsmr_chunk_tx_expiry_ms(chunk, i), dsmr_load_be64(tx + 1));
        dsmr_hash(&id, tx, len);
        assert_memory_equal(&chunk->tx_ids[i], &id, 32);
    }
    assert_int_equal(chunk->tx_offsets[WIRE_SAMPLES_TXS],
                     chunk->ref.chunk_bytes + DSMR_CHUNK_TX_PREFIX_BYTES);
    assert_int_equal(chunk->ref.tx_count, WIRE_SAMPLES_TXS);
    assert_memory_equal(&chunk->header.tx_root, &sample->header.tx_root, 32);
    assert_ptr_equal(dsmr_chunk_ref(chunk), chunk);
    dsmr_chunk_unref(chunk);
    assert_int_equal(chunk->refs, 1);
    dsmr_chunk_unref(chunk);
    dsmr_chunk_unref(NULL);
    assert_null(dsmr_chunk_ref(NULL));
}

/* Built and decoded, as near to the chunk's own as it can be and as far. */
static void any_expiry_is_known(void **state)
{
    (void)state;
    const uint64_t from = sample->header.expiry_ms - (UINT64_C(1) << 31);
    const uint64_t expiries_ms[] = {from - 1,
                                    from,
                                    sample->header.expiry_ms,
                                    from + UINT32_MAX - 1,
                                    from + UINT32_MAX,
                                    from + UINT32_MAX + 1,
                                    0,
                                    UINT64_MAX};
    const uint32_t count = sizeof(expiries_ms) / sizeof(expiries_ms[0]);
    uint8_t bytes[8][DSMR_TX_BYTES_MIN] = {{0}};
    struct dsmr_chunk_tx txs[8];
    struct dsmr_chunk *built = NULL, *decoded = NULL;
    for (uint32_t i = 0; i < count; i++) {
        bytes[i][0] = (uint8_t)i;
        dsmr_store_be64(bytes[i] + 1, expiries_ms[i]);
        txs[i] = (struct dsmr_chunk_tx){.bytes = bytes[i], .len = DSMR_TX_BYTES_MIN};
        dsmr_hash(&txs[i].id, bytes[i], DSMR_TX_BYTES_MIN);
    }
    assert_int_equal(dsmr_chunk_build(&built, &params, &sample->header, txs, count), DSMR_OK);
    assert_int_equal(decode(&decoded, built->bytes, built->ref.chunk_bytes), DSMR_OK);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(dsmr_chunk_tx_expiry_ms(built, i), expiries_ms[i]);
        assert_int_equal(dsmr_chunk_tx_expiry_ms(decoded, i), expiries_ms[i]);
        assert_int_equal(dsmr_chunk_tx(built, i).len, DSMR_TX_BYTES_MIN);
    }
    dsmr_chunk_unref(built);
    dsmr_chunk_unref(decoded);
}

static void header_layout(void **state)
{
    (void)state;
    const uint8_t *bytes = sample->bytes;
    struct dsmr_id id;
    assert_int_equal(bytes[0], 1);
    assert_int_equal(dsmr_load_be32(bytes + 1), params.domain.network_id);
    assert_memory_equal(bytes + 5, params.domain.chain_id.bytes, 32);
    assert_int_equal(dsmr_load_be64(bytes + 37), 7);
    assert_memory_equal(bytes + 45, sample->header.producer.bytes, 20);
    assert_int_equal(dsmr_load_be64(bytes + 65), WIRE_SAMPLES_SLOT);
    assert_int_equal(dsmr_load_be64(bytes + 73), WIRE_SAMPLES_SLOT * 100 + 30000);
    assert_memory_equal(bytes + 81, sample->header.fee_recipient.bytes, 32);
    assert_int_equal(dsmr_load_be32(bytes + 113), 3);
    assert_int_equal(dsmr_load_be32(bytes + 117), 3 * 4 + 16 + 26 + 36);
    assert_memory_equal(bytes + 121, sample->header.tx_root.bytes, 32);
    assert_int_equal(dsmr_load_be32(bytes + 153), 16);
    dsmr_hash(&id, bytes, DSMR_CHUNK_HEADER_BYTES);
    assert_memory_equal(&sample->ref.chunk_id, &id, 32);
    dsmr_hash_merkle_root(&id, sample->tx_ids, 3);
    assert_memory_equal(&sample->header.tx_root, &id, 32);
}

static void a_chunk_inside_a_message_shares_its_buffer(void **state)
{
    (void)state;
    uint32_t len = sample->ref.chunk_bytes;
    struct dsmr_buf *buf = dsmr_buf_new(len + 20);
    struct dsmr_chunk *chunk = NULL;
    memset(buf->bytes, 0xee, buf->len);
    memcpy(buf->bytes + 11, sample->bytes, len);
    assert_int_equal(dsmr_chunk_decode(&chunk, &params, buf, buf->bytes + 11, len), DSMR_OK);
    assert_ptr_equal(chunk->bytes, buf->bytes + 11);
    assert_int_equal(buf->refs, 2);
    dsmr_buf_unref(buf); /* the chunk keeps it */
    assert_memory_equal(chunk->bytes, sample->bytes, len);
    dsmr_chunk_unref(chunk);
}

static void every_prefix_and_suffix_is_refused(void **state)
{
    (void)state;
    uint8_t longer[512] = {0};
    uint32_t len = sample->ref.chunk_bytes;
    for (uint32_t n = 0; n < len; n++) {
        refuse(sample->bytes, n, DSMR_ERR_MALFORMED);
    }
    memcpy(longer, sample->bytes, len);
    refuse(longer, len + 1, DSMR_ERR_TRAILING_BYTES);
    refuse(longer, len + 4, DSMR_ERR_TRAILING_BYTES);
}

static void every_flipped_bit_is_noticed_or_changes_the_id(void **state)
{
    (void)state;
    uint8_t bytes[512];
    uint32_t len = sample->ref.chunk_bytes;
    memcpy(bytes, sample->bytes, len);
    for (size_t bit = 0; bit < (size_t)len * 8; bit++) {
        struct dsmr_chunk *chunk = NULL;
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        enum dsmr_err err = decode(&chunk, bytes, len);
        if (err == DSMR_OK) { /* epoch, producer, fee recipient: another chunk, as valid */
            assert_true(bit / 8 >= 37 && bit / 8 < 113);
            assert_false(dsmr_id_equal(&chunk->ref.chunk_id, &sample->ref.chunk_id));
            dsmr_chunk_unref(chunk);
        } else {
            assert_int_equal(dsmr_err_class_of(err), DSMR_ERR_CLASS_PEER);
        }
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

static void each_header_rule_has_its_error(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t bits;
        enum dsmr_err err;
    } cases[] = {
        {0, 3, DSMR_ERR_VERSION},
        {4, 1, DSMR_ERR_WRONG_NETWORK},
        {36, 1, DSMR_ERR_WRONG_CHAIN},
        {72, 1, DSMR_ERR_EXPIRY_MISMATCH},
        {80, 1, DSMR_ERR_EXPIRY_MISMATCH},
        {65, 0xff, DSMR_ERR_EXPIRY_MISMATCH}, /* overflow */
        {113, 0x80, DSMR_ERR_TOO_LARGE},
        {115, 0x01, DSMR_ERR_MALFORMED}, /* count over bytes */
        {116, 0x03, DSMR_ERR_MALFORMED}, /* count 0 */
        {116, 0x01, DSMR_ERR_BODY_MISMATCH},
        {120, 0x80, DSMR_ERR_MALFORMED},
        {117, 0xff, DSMR_ERR_MALFORMED},
        {152, 1, DSMR_ERR_BODY_MISMATCH},
        {156, 0x1f, DSMR_ERR_BAD_TX}, /* a tx of 15 bytes */
        {153, 0x80, DSMR_ERR_BODY_MISMATCH},
        {160, 1, DSMR_ERR_BODY_MISMATCH},
    };
    uint8_t bytes[512];
    uint32_t len = sample->ref.chunk_bytes;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memcpy(bytes, sample->bytes, len);
        bytes[cases[i].at] ^= cases[i].bits;
        refuse(bytes, len, cases[i].err);
    }
}

static void header_alone_is_judged_alike(void **state)
{
    (void)state;
    struct dsmr_chunk_header header;
    uint8_t bytes[DSMR_CHUNK_HEADER_BYTES];
    uint32_t len = sample->ref.chunk_bytes;
    memcpy(bytes, sample->bytes, sizeof(bytes)); /* the body need not be there */
    assert_int_equal(dsmr_chunk_header_decode(&header, &params, bytes, len), DSMR_OK);
    assert_int_equal(header.tx_bytes, len - DSMR_CHUNK_HEADER_BYTES);
    assert_int_equal(dsmr_chunk_header_decode(&header, &params, bytes, len - 1),
                     DSMR_ERR_MALFORMED);
    assert_int_equal(dsmr_chunk_header_decode(&header, &params, bytes, len + 1),
                     DSMR_ERR_TRAILING_BYTES);
    params.chunk_bytes_max = len;
    assert_int_equal(dsmr_chunk_header_decode(&header, &params, bytes, len), DSMR_OK);
    params.chunk_bytes_max = len - 1;
    assert_int_equal(dsmr_chunk_header_decode(&header, &params, bytes, len), DSMR_ERR_TOO_LARGE);
    params.chunk_bytes_max = len;
    params.chunk_txs_max = 3;
    assert_int_equal(dsmr_chunk_header_decode(&header, &params, bytes, len), DSMR_OK);
    params.chunk_txs_max = 2;
    assert_int_equal(dsmr_chunk_header_decode(&header, &params, bytes, len), DSMR_ERR_TOO_LARGE);
}

static void slots_near_the_end_of_time(void **state)
{
    (void)state;
    uint64_t start, expiry;
    uint64_t last = (UINT64_MAX - params.chunk_lifetime_ms) / params.slot_ms;
    assert_true(dsmr_chunk_header_times(&start, &expiry, last, &params));
    assert_true(start == last * params.slot_ms);
    assert_true(expiry == start + params.chunk_lifetime_ms && expiry > start);
    assert_false(dsmr_chunk_header_times(&start, &expiry, last + 1, &params));
    assert_false(dsmr_chunk_header_times(&start, &expiry, UINT64_MAX, &params));
    assert_true(dsmr_chunk_header_times(&start, &expiry, 0, &params));
    assert_int_equal(expiry, params.chunk_lifetime_ms);
}

/* Builds a chunk of count transactions of len bytes each; i-th with the given expiry or unique. */
struct batch {
    struct dsmr_chunk_tx *txs;
    uint8_t *bytes;
    uint32_t count;
};

static struct batch batch_new(uint32_t count, uint32_t len)
{
    struct batch batch = {calloc(count, sizeof(*batch.txs)), calloc(count, len), count};
    assert_non_null(batch.txs);
    assert_non_null(batch.bytes);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *tx = batch.bytes + (size_t)i * len;
        dsmr_store_be64(tx + 1, WIRE_SAMPLES_SLOT * 100 + i % 1000);
        if (len >= 13) {
            dsmr_store_be32(tx + 9, i);
        }
        batch.txs[i] = (struct dsmr_chunk_tx){.bytes = tx, .len = len};
        dsmr_hash(&batch.txs[i].id, tx, len);
    }
    return batch;
}

static void batch_free(struct batch *batch)
{
    free(batch->txs);
    free(batch->bytes);
}

static enum dsmr_err build(struct dsmr_chunk **out, const struct batch *batch)
{
    struct dsmr_chunk_header header;
    samples_header(&header);
    return dsmr_chunk_build(out, &params, &header, batch->txs, batch->count);
}

static void build_refuses_what_does_not_fit(void **state)
{
    (void)state;
    struct dsmr_chunk *chunk = NULL;
    struct batch batch = batch_new(10, 20);
    uint32_t exact = DSMR_CHUNK_HEADER_BYTES + 10 * 24;
    params.chunk_bytes_max = exact;
    params.chunk_txs_max = 10;
    assert_int_equal(build(&chunk, &batch), DSMR_OK);
    assert_int_equal(chunk->ref.chunk_bytes, exact);
    dsmr_chunk_unref(chunk);
    chunk = NULL;
    params.chunk_bytes_max = exact - 1;
    assert_int_equal(build(&chunk, &batch), DSMR_ERR_TOO_LARGE);
    params.chunk_bytes_max = exact;
    params.chunk_txs_max = 9;
    assert_int_equal(build(&chunk, &batch), DSMR_ERR_TOO_LARGE);
    params.chunk_txs_max = 10;
    batch.txs[9].len = DSMR_TX_BYTES_MIN - 1;
    assert_int_equal(build(&chunk, &batch), DSMR_ERR_BAD_TX);
    batch.txs[9].len = DSMR_TX_BYTES_MAX + 1;
    assert_int_equal(build(&chunk, &batch), DSMR_ERR_BAD_TX);
    batch.count = 0;
    assert_int_equal(build(&chunk, &batch), DSMR_ERR_MALFORMED);
    assert_null(chunk);
    batch_free(&batch);
}

static void the_largest_and_the_fullest_chunk(void **state)
{
    (void)state;
    params.chunk_bytes_max = DSMR_CHUNK_BYTES_LIMIT;
    params.chunk_txs_max = DSMR_CHUNK_TXS_LIMIT;
    static const struct {
        uint32_t count, len;
    } shapes[] = {{DSMR_CHUNK_TXS_LIMIT, DSMR_TX_BYTES_MIN}, {127, DSMR_TX_BYTES_MAX}};
    for (unsigned i = 0; i < 2; i++) {
        struct dsmr_chunk *chunk = NULL, *again = NULL;
        struct batch batch = batch_new(shapes[i].count, shapes[i].len);
        assert_int_equal(build(&chunk, &batch), DSMR_OK);
        assert_int_equal(decode(&again, chunk->bytes, chunk->ref.chunk_bytes), DSMR_OK);
        assert_true(dsmr_reference_equal(&again->ref, &chunk->ref));
        assert_int_equal(dsmr_chunk_check_txs(again, &params), DSMR_OK);
        dsmr_chunk_unref(again);
        dsmr_chunk_unref(chunk);
        batch_free(&batch);
    }
}

/* A length prefix of 64 KiB and one byte, with all its bytes there. */
static void a_transaction_over_the_limit_is_refused(void **state)
{
    (void)state;
    size_t len = DSMR_CHUNK_HEADER_BYTES + 4 + DSMR_TX_BYTES_MAX + 1;
    uint8_t *bytes = calloc(1, len);
    struct dsmr_chunk_header header;
    struct dsmr_wr wr;
    assert_non_null(bytes);
    samples_header(&header);
    header.tx_count = 1;
    header.tx_bytes = 4 + DSMR_TX_BYTES_MAX + 1;
    dsmr_wr_init(&wr, bytes, len);
    dsmr_chunk_header_encode(&wr, &header);
    dsmr_wr_u32(&wr, DSMR_TX_BYTES_MAX + 1);
    refuse(bytes, len, DSMR_ERR_BAD_TX);
    free(bytes);
}

/* Bytes behind the last transaction that the header counts in: the root does not cover them. */
static void bytes_that_no_transaction_has_are_refused(void **state)
{
    (void)state;
    uint8_t bytes[512] = {0};
    uint32_t len = sample->ref.chunk_bytes;
    memcpy(bytes, sample->bytes, len);
    for (uint32_t extra = 1; extra < 30; extra++) {
        dsmr_store_be32(bytes + 117, sample->header.tx_bytes + extra);
        refuse(bytes, len + extra, DSMR_ERR_BODY_MISMATCH);
    }
}

static void expiry_of_each_transaction_is_in_the_window(void **state)
{
    (void)state;
    uint64_t start = WIRE_SAMPLES_SLOT * 100;
    const struct {
        uint64_t expiry;
        enum dsmr_err err;
    } cases[] = {{start - 1, DSMR_ERR_TX_EXPIRY},
                 {start, DSMR_OK},
                 {start + params.validity_window_ms, DSMR_OK},
                 {start + params.validity_window_ms + 1, DSMR_ERR_TX_EXPIRY},
                 {0, DSMR_ERR_TX_EXPIRY},
                 {UINT64_MAX, DSMR_ERR_TX_EXPIRY}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (uint32_t place = 0; place < 3; place++) {
            struct dsmr_chunk *chunk = NULL;
            struct batch batch = batch_new(3, 20);
            dsmr_store_be64(batch.bytes + 20 * place + 1, cases[i].expiry);
            dsmr_hash(&batch.txs[place].id, batch.txs[place].bytes, 20);
            assert_int_equal(build(&chunk, &batch), DSMR_OK);
            assert_int_equal(dsmr_chunk_check_txs(chunk, &params), cases[i].err);
            struct dsmr_chunk *again = NULL;
            assert_int_equal(decode(&again, chunk->bytes, chunk->ref.chunk_bytes), DSMR_OK);
            assert_int_equal(dsmr_chunk_check_txs(again, &params), cases[i].err);
            dsmr_chunk_unref(again);
            dsmr_chunk_unref(chunk);
            batch_free(&batch);
        }
    }
}

static void a_transaction_twice_is_found_wherever_it_stands(void **state)
{
    (void)state;
    static const uint32_t counts[] = {2, 3, 17, 500};
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        for (uint32_t a = 0; a < counts[c]; a += counts[c] / 7 + 1) {
            for (uint32_t b = a + 1; b < counts[c]; b += counts[c] / 9 + 1) {
                struct dsmr_chunk *chunk = NULL;
                struct batch batch = batch_new(counts[c], 20);
                assert_int_equal(build(&chunk, &batch), DSMR_OK);
                assert_int_equal(dsmr_chunk_check_txs(chunk, &params), DSMR_OK);
                dsmr_chunk_unref(chunk);
                batch.txs[b] = batch.txs[a];
                assert_int_equal(build(&chunk, &batch), DSMR_OK);
                assert_int_equal(dsmr_chunk_check_txs(chunk, &params), DSMR_ERR_TX_TWICE);
                dsmr_chunk_unref(chunk);
                batch_free(&batch);
            }
        }
    }
}

/* Ids that differ only where the table does not look: slow then, but never wrong. */
static void ids_with_a_common_beginning_are_told_apart(void **state)
{
    (void)state;
    struct dsmr_chunk *chunk = NULL;
    struct batch batch = batch_new(300, 20);
    for (uint32_t i = 0; i < 300; i++) { /* trusted by build, not by decode */
        memset(batch.txs[i].id.bytes, 0x5a, 32);
        dsmr_store_be32(batch.txs[i].id.bytes + 28, i);
    }
    assert_int_equal(build(&chunk, &batch), DSMR_OK);
    assert_int_equal(dsmr_chunk_check_txs(chunk, &params), DSMR_OK);
    dsmr_chunk_unref(chunk);
    batch.txs[299].id = batch.txs[0].id;
    assert_int_equal(build(&chunk, &batch), DSMR_OK);
    assert_int_equal(dsmr_chunk_check_txs(chunk, &params), DSMR_ERR_TX_TWICE);
    dsmr_chunk_unref(chunk);
    batch_free(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(decoded_equals_built, setup, teardown),
        cmocka_unit_test_setup_teardown(any_expiry_is_known, setup, teardown),
        cmocka_unit_test_setup_teardown(header_layout, setup, teardown),
        cmocka_unit_test_setup_teardown(a_chunk_inside_a_message_shares_its_buffer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(every_prefix_and_suffix_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(every_flipped_bit_is_noticed_or_changes_the_id, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(each_header_rule_has_its_error, setup, teardown),
        cmocka_unit_test_setup_teardown(header_alone_is_judged_alike, setup, teardown),
        cmocka_unit_test_setup_teardown(slots_near_the_end_of_time, setup, teardown),
        cmocka_unit_test_setup_teardown(build_refuses_what_does_not_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(the_largest_and_the_fullest_chunk, setup, teardown),
        cmocka_unit_test_setup_teardown(a_transaction_over_the_limit_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_that_no_transaction_has_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(expiry_of_each_transaction_is_in_the_window, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_transaction_twice_is_found_wherever_it_stands, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(ids_with_a_common_beginning_are_told_apart, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
