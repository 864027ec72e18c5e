/* test_msg.c - every message: there and back, cut at every byte, every bit turned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/wire/wire_samples.h"

static struct dsmr_buf *encoded(uint8_t type)
{
    struct dsmr_msg msg;
    samples_message(&msg, type, samples_body, sizeof(samples_body));
    struct dsmr_buf *buf = dsmr_msg_encode(&msg, true);
    assert_non_null(buf);
    return buf;
}

/* From memory of exactly len bytes. */
static enum dsmr_err decode_exactly(struct dsmr_msg *out, const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    enum dsmr_err err = dsmr_msg_decode(out, copy, len);
    free(copy);
    return err;
}

static void names_and_classes(void **state)
{
    (void)state;
    unsigned known = 0;
    for (unsigned type = 0; type < 256; type++) {
        int cls = dsmr_msg_class_of((uint8_t)type);
        bool is_known = strcmp(dsmr_msg_name((uint8_t)type), "unknown") != 0;
        assert_int_equal(cls >= 0, is_known);
        assert_true(cls < DSMR_MSG_CLASS_COUNT);
        known += is_known ? 1 : 0;
        if (!is_known) {
            struct dsmr_msg msg = {.type = 99};
            uint8_t byte = (uint8_t)type;
            assert_int_equal(decode_exactly(&msg, &byte, 1), DSMR_ERR_MALFORMED);
            assert_int_equal(msg.type, 99); /* untouched */
        }
    }
    assert_int_equal(known, SAMPLES_TYPES);
    assert_string_equal(dsmr_msg_name(DSMR_MSG_CHUNK_SIGNATURE), "CHUNK_SIGNATURE");
    assert_int_equal(dsmr_msg_class_of(DSMR_MSG_BFT_VOTE), DSMR_MSG_CLASS_VOTE);
    assert_int_equal(dsmr_msg_class_of(DSMR_MSG_CHUNK), DSMR_MSG_CLASS_CHUNK);
}

static void decoded_encodes_to_the_same_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES_TYPES; i++) {
        struct dsmr_buf *buf = encoded(samples_types[i]), *again;
        struct dsmr_msg msg;
        assert_int_equal(dsmr_msg_decode(&msg, buf->bytes, buf->len), DSMR_OK);
        assert_int_equal(msg.type, samples_types[i]);
        again = dsmr_msg_encode(&msg, true);
        assert_int_equal(again->len, buf->len);
        assert_memory_equal(again->bytes, buf->bytes, buf->len);
        dsmr_buf_unref(again);
        dsmr_buf_unref(buf);
    }
}

static void head_and_body_make_the_whole(void **state)
{
    (void)state;
    unsigned with_body = 0;
    for (size_t i = 0; i < SAMPLES_TYPES; i++) {
        struct dsmr_msg msg;
        samples_message(&msg, samples_types[i], samples_body, sizeof(samples_body));
        struct dsmr_buf *head = dsmr_msg_encode(&msg, false);
        struct dsmr_buf *whole = dsmr_msg_encode(&msg, true);
        assert_true(head->len <= DSMR_MESSAGE_OVERHEAD_MAX);
        assert_memory_equal(head->bytes, whole->bytes, head->len);
        if (whole->len != head->len) {
            assert_int_equal(whole->len - head->len, sizeof(samples_body));
            assert_memory_equal(whole->bytes + head->len, samples_body, sizeof(samples_body));
            with_body++;
        }
        dsmr_buf_unref(head);
        dsmr_buf_unref(whole);
    }
    assert_int_equal(with_body, 5);
}

static void every_prefix_and_suffix_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES_TYPES; i++) {
        struct dsmr_buf *buf = encoded(samples_types[i]);
        struct dsmr_msg msg = {.type = 99};
        for (size_t len = 0; len < buf->len; len++) {
            assert_int_equal(decode_exactly(&msg, buf->bytes, len), DSMR_ERR_MALFORMED);
            assert_int_equal(msg.type, 99);
        }
        uint8_t longer[1024] = {0};
        memcpy(longer, buf->bytes, buf->len);
        assert_int_equal(decode_exactly(&msg, longer, buf->len + 1u), DSMR_ERR_TRAILING_BYTES);
        dsmr_buf_unref(buf);
    }
}

static void every_flipped_bit_is_refused_or_encodes_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES_TYPES; i++) {
        struct dsmr_buf *buf = encoded(samples_types[i]);
        for (size_t bit = 0; bit < (size_t)buf->len * 8; bit++) {
            struct dsmr_msg msg;
            buf->bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            if (dsmr_msg_decode(&msg, buf->bytes, buf->len) == DSMR_OK) {
                struct dsmr_buf *again = dsmr_msg_encode(&msg, true);
                assert_int_equal(again->len, buf->len);
                assert_memory_equal(again->bytes, buf->bytes, buf->len);
                dsmr_buf_unref(again);
            }
            buf->bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        dsmr_buf_unref(buf);
    }
}

static void refuse(const struct dsmr_msg *msg)
{
    struct dsmr_msg out;
    struct dsmr_buf *buf = dsmr_msg_encode(msg, true);
    assert_int_equal(dsmr_msg_decode(&out, buf->bytes, buf->len), DSMR_ERR_MALFORMED);
    dsmr_buf_unref(buf);
}

static void accept(const struct dsmr_msg *msg)
{
    struct dsmr_msg out;
    struct dsmr_buf *buf = dsmr_msg_encode(msg, true);
    assert_int_equal(dsmr_msg_decode(&out, buf->bytes, buf->len), DSMR_OK);
    dsmr_buf_unref(buf);
}

static void bodies_are_there_exactly_when_they_belong(void **state)
{
    (void)state;
    struct dsmr_msg msg;
    samples_message(&msg, DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE, NULL, 0);
    refuse(&msg);
    samples_message(&msg, DSMR_MSG_BFT_BLOCK, NULL, 0);
    refuse(&msg);
    samples_message(&msg, DSMR_MSG_CHUNK, NULL, 0);
    refuse(&msg); /* neither an error nor a chunk */
    msg.u.chunk.err = DSMR_ERR_PRUNED;
    accept(&msg);
    samples_message(&msg, DSMR_MSG_CHUNK, samples_body, sizeof(samples_body));
    accept(&msg);
    msg.u.chunk.err = DSMR_ERR_UNKNOWN;
    refuse(&msg);
    samples_message(&msg, DSMR_MSG_BFT_PROPOSAL, NULL, 0);
    accept(&msg); /* proposes the parent again */
}

static void error_numbers_stay_within_the_table(void **state)
{
    (void)state;
    struct dsmr_msg msg;
    samples_message(&msg, DSMR_MSG_CHUNK_REFUSED, NULL, 0);
    msg.u.chunk_refused.err = 0;
    accept(&msg);
    msg.u.chunk_refused.err = DSMR_ERR_NUMBER_MAX - 1;
    accept(&msg);
    msg.u.chunk_refused.err = DSMR_ERR_NUMBER_MAX;
    refuse(&msg);
    msg.u.chunk_refused.err = UINT16_MAX;
    refuse(&msg);
    samples_message(&msg, DSMR_MSG_CHUNK, NULL, 0);
    msg.u.chunk.err = DSMR_ERR_NUMBER_MAX;
    refuse(&msg);
}

static void blocks_are_counted(void **state)
{
    (void)state;
    struct dsmr_msg msg;
    samples_message(&msg, DSMR_MSG_BFT_BLOCKS, samples_body, sizeof(samples_body));
    accept(&msg);
    static const uint32_t wrong[] = {0, 1, 3, UINT32_MAX};
    for (size_t i = 0; i < 4; i++) {
        msg.u.blocks.count = wrong[i];
        refuse(&msg);
    }
    msg.u.blocks.count = 2;
    msg.u.blocks.blocks_len--;
    refuse(&msg);
    samples_message(&msg, DSMR_MSG_BFT_BLOCKS, NULL, 0);
    msg.u.blocks.count = 0;
    refuse(&msg);
    static const uint8_t empty_block[] = {0, 0, 0, 0};
    samples_message(&msg, DSMR_MSG_BFT_BLOCKS, empty_block, sizeof(empty_block));
    msg.u.blocks.count = 1;
    refuse(&msg);
}

/* The largest frames fit what parameters say the largest message is. */
static void overhead_is_within_its_limit(void **state)
{
    (void)state;
    struct dsmr_msg msg;
    for (size_t i = 0; i < SAMPLES_TYPES; i++) {
        samples_message(&msg, samples_types[i], samples_body, sizeof(samples_body));
        if (msg.type == DSMR_MSG_CERTIFICATE) {
            dsmr_bitset_add(&msg.u.certificate.signers, DSMR_VALIDATORS_MAX - 1);
        }
        if (msg.type == DSMR_MSG_BFT_BLOCKS) {
            dsmr_bitset_add(&msg.u.blocks.finalization.signers, DSMR_VALIDATORS_MAX - 1);
        }
        struct dsmr_buf *head = dsmr_msg_encode(&msg, false);
        assert_true(head->len + 4u <= DSMR_MESSAGE_OVERHEAD_MAX);
        dsmr_buf_unref(head);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_classes),
        cmocka_unit_test(decoded_encodes_to_the_same_bytes),
        cmocka_unit_test(head_and_body_make_the_whole),
        cmocka_unit_test(every_prefix_and_suffix_is_refused),
        cmocka_unit_test(every_flipped_bit_is_refused_or_encodes_the_same),
        cmocka_unit_test(bodies_are_there_exactly_when_they_belong),
        cmocka_unit_test(error_numbers_stay_within_the_table),
        cmocka_unit_test(blocks_are_counted),
        cmocka_unit_test(overhead_is_within_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
