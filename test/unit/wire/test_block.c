/* test_block.c - building and decoding blocks, at every limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/wire/wire_samples.h"

#define FIXED_BYTES 98u /* without past epochs and entries */

static struct dsmr_params params;

static int setup(void **state)
{
    (void)state;
    samples_params(&params);
    return 0;
}

static enum dsmr_err decode(struct dsmr_block **out, const uint8_t *bytes, size_t len)
{
    struct dsmr_buf *buf = dsmr_buf_copy(bytes, len);
    assert_non_null(buf);
    enum dsmr_err err = dsmr_block_decode(out, &params, buf, buf->bytes, len);
    dsmr_buf_unref(buf);
    return err;
}

static void refuse(const uint8_t *bytes, size_t len, enum dsmr_err expected)
{
    struct dsmr_block *none = NULL;
    assert_int_equal(decode(&none, bytes, len), expected);
    assert_null(none);
}

static void expect_equal(const struct dsmr_block *a, const struct dsmr_block *b)
{
    assert_memory_equal(&a->id, &b->id, 32);
    assert_memory_equal(&a->parent_id, &b->parent_id, 32);
    assert_true(a->height == b->height && a->time_ms == b->time_ms && a->epoch == b->epoch);
    assert_int_equal(a->past_epochs_count, b->past_epochs_count);
    for (uint32_t i = 0; i < a->past_epochs_count; i++) {
        assert_true(a->past_epochs[i].epoch == b->past_epochs[i].epoch);
        assert_true(a->past_epochs[i].ended_at_ms == b->past_epochs[i].ended_at_ms);
    }
    assert_int_equal(a->certs_count, b->certs_count);
    for (uint32_t i = 0; i < a->certs_count; i++) {
        assert_true(dsmr_reference_equal(&a->certs[i].ref, &b->certs[i].ref));
        assert_memory_equal(&a->certs[i].signers, &b->certs[i].signers, sizeof(struct dsmr_bitset));
        assert_memory_equal(&a->certs[i].sig, &b->certs[i].sig, 96);
    }
    assert_int_equal(a->bytes->len, b->bytes->len);
    assert_memory_equal(a->bytes->bytes, b->bytes->bytes, a->bytes->len);
}

static void decoded_equals_built(void **state)
{
    (void)state;
    for (uint32_t certs = 0; certs <= 4; certs++) {
        struct dsmr_block *block = samples_block(certs), *again = NULL;
        struct dsmr_id id;
        assert_int_equal(dsmr_block_encoded_size(block), block->bytes->len);
        assert_int_equal(decode(&again, block->bytes->bytes, block->bytes->len), DSMR_OK);
        expect_equal(again, block);
        dsmr_hash(&id, block->bytes->bytes, block->bytes->len);
        assert_memory_equal(&block->id, &id, 32);
        assert_ptr_equal(dsmr_block_ref(again), again);
        dsmr_block_unref(again);
        assert_int_equal(again->refs, 1);
        dsmr_block_unref(again);
        dsmr_block_unref(block);
    }
    dsmr_block_unref(NULL);
    assert_null(dsmr_block_ref(NULL));
}

static void layout(void **state)
{
    (void)state;
    struct dsmr_block *block = samples_block(1);
    const uint8_t *bytes = block->bytes->bytes;
    assert_int_equal(bytes[0], 1);
    assert_int_equal(dsmr_load_be32(bytes + 1), params.domain.network_id);
    assert_memory_equal(bytes + 5, params.domain.chain_id.bytes, 32);
    assert_memory_equal(bytes + 37, block->parent_id.bytes, 32);
    assert_int_equal(dsmr_load_be64(bytes + 69), 42);
    assert_int_equal(dsmr_load_be64(bytes + 77), block->time_ms);
    assert_int_equal(dsmr_load_be64(bytes + 85), 8);
    assert_int_equal(bytes[93], 2);
    assert_int_equal(dsmr_load_be64(bytes + 94), 5);
    assert_int_equal(dsmr_load_be64(bytes + 102), 1000);
    assert_int_equal(dsmr_load_be64(bytes + 110), 7);
    assert_int_equal(dsmr_load_be64(bytes + 118), 2000);
    assert_int_equal(dsmr_load_be32(bytes + 126), 1);
    assert_int_equal(bytes[130], 1); /* kind: certificate */
    assert_memory_equal(bytes + 131, block->certs[0].ref.chunk_id.bytes, 32);
    assert_int_equal(block->bytes->len, FIXED_BYTES + 2 * 16 + 1 + 84 + 2 + 1 + 96);
    dsmr_block_unref(block);
}

static void genesis_is_the_block_of_height_zero(void **state)
{
    (void)state;
    struct dsmr_block *block = NULL, *again = NULL;
    assert_int_equal(dsmr_block_genesis(&block, &params, 123456), DSMR_OK);
    assert_int_equal(block->height, 0);
    assert_int_equal(block->time_ms, 123456);
    assert_true(block->epoch == DSMR_EPOCH_NONE);
    assert_true(dsmr_id_is_zero(&block->parent_id));
    assert_int_equal(block->certs_count, 0);
    assert_int_equal(block->bytes->len, FIXED_BYTES);
    assert_int_equal(decode(&again, block->bytes->bytes, block->bytes->len), DSMR_OK);
    expect_equal(again, block);
    dsmr_block_unref(again);
    params.domain.chain_id.bytes[0]++; /* another chain has another genesis */
    assert_int_equal(dsmr_block_genesis(&again, &params, 123456), DSMR_OK);
    assert_false(dsmr_id_equal(&again->id, &block->id));
    dsmr_block_unref(again);
    dsmr_block_unref(block);
}

static void whole_buffer_is_shared_and_a_part_is_copied(void **state)
{
    (void)state;
    struct dsmr_block *block = samples_block(2), *again = NULL;
    struct dsmr_buf *whole = block->bytes;
    assert_int_equal(dsmr_block_decode(&again, &params, whole, whole->bytes, whole->len), DSMR_OK);
    assert_ptr_equal(again->bytes, whole);
    dsmr_block_unref(again);
    struct dsmr_buf *message = dsmr_buf_new(whole->len + 9u);
    memset(message->bytes, 0, message->len);
    memcpy(message->bytes + 5, whole->bytes, whole->len);
    assert_int_equal(dsmr_block_decode(&again, &params, message, message->bytes + 5, whole->len),
                     DSMR_OK);
    dsmr_buf_unref(message);
    expect_equal(again, block);
    dsmr_block_unref(again);
    dsmr_block_unref(block);
}

static void every_prefix_and_suffix_is_refused(void **state)
{
    (void)state;
    struct dsmr_block *block = samples_block(3);
    uint8_t longer[2048] = {0};
    for (size_t n = 0; n < block->bytes->len; n++) {
        refuse(block->bytes->bytes, n, DSMR_ERR_MALFORMED);
    }
    memcpy(longer, block->bytes->bytes, block->bytes->len);
    refuse(longer, block->bytes->len + 1u, DSMR_ERR_TRAILING_BYTES);
    dsmr_block_unref(block);
}

/* What still decodes is another block with another id, and encodes to the same bytes again. */
static void every_flipped_bit_is_refused_or_another_block(void **state)
{
    (void)state;
    struct dsmr_block *block = samples_block(2);
    uint8_t bytes[1024];
    size_t len = block->bytes->len;
    memcpy(bytes, block->bytes->bytes, len);
    for (size_t bit = 0; bit < len * 8; bit++) {
        struct dsmr_block *other = NULL, *built = NULL;
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        enum dsmr_err err = decode(&other, bytes, len);
        if (err == DSMR_OK) {
            assert_false(dsmr_id_equal(&other->id, &block->id));
            assert_int_equal(dsmr_block_build(&built, &params, other), DSMR_OK);
            expect_equal(built, other);
            dsmr_block_unref(built);
            dsmr_block_unref(other);
        } else {
            assert_int_equal(dsmr_err_class_of(err), DSMR_ERR_CLASS_PEER);
        }
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    dsmr_block_unref(block);
}

static void each_rule_has_its_error(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t bits;
        enum dsmr_err err;
    } cases[] = {
        {0, 2, DSMR_ERR_VERSION},         {4, 1, DSMR_ERR_WRONG_NETWORK},
        {36, 1, DSMR_ERR_WRONG_CHAIN},    {93, 0x08, DSMR_ERR_BLOCK_LIMIT}, /* 10 past epochs */
        {93, 0xff, DSMR_ERR_BLOCK_LIMIT}, {126, 0x80, DSMR_ERR_BLOCK_LIMIT},
        {129, 0x01, DSMR_ERR_MALFORMED}, /* one entry more than there is */
        {130, 0x03, DSMR_ERR_MALFORMED}, /* entry of another kind */
        {215, 0x80, DSMR_ERR_BITSET},    /* length of the signers */
        {217, 0x09, DSMR_ERR_BITSET},    /* no signer left */
    };
    struct dsmr_block *block = samples_block(2);
    uint8_t bytes[1024];
    size_t len = block->bytes->len;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dsmr_block *none = NULL;
        memcpy(bytes, block->bytes->bytes, len);
        bytes[cases[i].at] ^= cases[i].bits;
        enum dsmr_err err = decode(&none, bytes, len);
        if (err != cases[i].err) {
            print_message("case %zu: got %s\n", i, dsmr_err_name(err));
        }
        assert_int_equal(err, cases[i].err);
    }
    dsmr_block_unref(block);
}

static void limits_of_bytes_and_certificates(void **state)
{
    (void)state;
    struct dsmr_block *block = samples_block(4), *again = NULL;
    size_t len = block->bytes->len;
    params.block_bytes_max = (uint32_t)len;
    params.block_certs_max = 4;
    assert_int_equal(decode(&again, block->bytes->bytes, len), DSMR_OK);
    dsmr_block_unref(again);
    assert_int_equal(dsmr_block_build(&again, &params, block), DSMR_OK);
    dsmr_block_unref(again);
    params.block_certs_max = 3;
    refuse(block->bytes->bytes, len, DSMR_ERR_BLOCK_LIMIT);
    params.block_certs_max = 4;
    params.block_bytes_max--;
    refuse(block->bytes->bytes, len, DSMR_ERR_TOO_LARGE);
    assert_int_equal(dsmr_block_build(&again, &params, block), DSMR_ERR_TOO_LARGE);
    dsmr_block_unref(block);
}

/* The largest block that dsmr_params_check promises room for. */
static void the_fullest_block(void **state)
{
    (void)state;
    static struct dsmr_cert certs[DSMR_BLOCK_CERTS_LIMIT];
    struct dsmr_block fields = {.past_epochs_count = DSMR_PAST_EPOCHS_MAX,
                                .certs_count = DSMR_BLOCK_CERTS_LIMIT,
                                .certs = certs};
    for (uint32_t i = 0; i < DSMR_BLOCK_CERTS_LIMIT; i++) {
        samples_cert(&certs[i], (uint8_t)i, DSMR_VALIDATORS_MAX - 1);
    }
    params.block_certs_max = DSMR_BLOCK_CERTS_LIMIT;
    params.block_bytes_max = (uint32_t)dsmr_block_encoded_size(&fields);
    const char *reason = NULL;
    assert_int_equal(dsmr_params_check(&params, &reason, DSMR_VALIDATORS_MAX), DSMR_OK);
    struct dsmr_block *block = NULL, *again = NULL;
    assert_int_equal(dsmr_block_build(&block, &params, &fields), DSMR_OK);
    assert_int_equal(decode(&again, block->bytes->bytes, block->bytes->len), DSMR_OK);
    expect_equal(again, block);
    dsmr_block_unref(again);
    dsmr_block_unref(block);
    params.block_bytes_max--;
    assert_int_equal(dsmr_params_check(&params, &reason, DSMR_VALIDATORS_MAX), DSMR_ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(decoded_equals_built, setup),
        cmocka_unit_test_setup(layout, setup),
        cmocka_unit_test_setup(genesis_is_the_block_of_height_zero, setup),
        cmocka_unit_test_setup(whole_buffer_is_shared_and_a_part_is_copied, setup),
        cmocka_unit_test_setup(every_prefix_and_suffix_is_refused, setup),
        cmocka_unit_test_setup(every_flipped_bit_is_refused_or_another_block, setup),
        cmocka_unit_test_setup(each_rule_has_its_error, setup),
        cmocka_unit_test_setup(limits_of_bytes_and_certificates, setup),
        cmocka_unit_test_setup(the_fullest_block, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
