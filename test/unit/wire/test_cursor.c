/* test_cursor.c - reading and writing at the end of the bytes, and after an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/cursor.h"

static void reads_what_was_written(void **state)
{
    (void)state;
    uint8_t bytes[64], three[3];
    struct dsmr_wr wr;
    struct dsmr_rd rd;
    struct dsmr_domain domain = {.network_id = 5, .chain_id = {{6}}};
    dsmr_wr_init(&wr, bytes, sizeof(bytes));
    dsmr_wr_u8(&wr, 0x01);
    dsmr_wr_u16(&wr, 0x0203);
    dsmr_wr_u32(&wr, 0x04050607);
    dsmr_wr_u64(&wr, UINT64_C(0x08090a0b0c0d0e0f));
    dsmr_wr_bytes(&wr, "xyz", 3);
    dsmr_wr_bytes(&wr, NULL, 0);
    dsmr_wr_domain(&wr, &domain);
    assert_int_equal(wr.err, DSMR_OK);
    assert_int_equal(wr.at, 54);
    for (uint8_t i = 0; i < 15; i++) {
        assert_int_equal(bytes[i], i + 1);
    }
    dsmr_rd_init(&rd, bytes, wr.at);
    assert_int_equal(dsmr_rd_u8(&rd), 0x01);
    assert_int_equal(dsmr_rd_u16(&rd), 0x0203);
    assert_int_equal(dsmr_rd_u32(&rd), 0x04050607);
    assert_true(dsmr_rd_u64(&rd) == UINT64_C(0x08090a0b0c0d0e0f));
    dsmr_rd_bytes(&rd, three, 3);
    assert_memory_equal(three, "xyz", 3);
    assert_int_equal(dsmr_rd_left(&rd), 36);
    dsmr_rd_domain(&rd, &domain);
    assert_int_equal(dsmr_rd_end(&rd), DSMR_OK);
}

static void a_reader_that_ran_out_stays_failed(void **state)
{
    (void)state;
    const uint8_t bytes[7] = {1, 2, 3, 4, 5, 6, 7};
    uint8_t out[4] = {9, 9, 9, 9};
    struct dsmr_rd rd;
    dsmr_rd_init(&rd, bytes, sizeof(bytes));
    assert_int_equal(dsmr_rd_u64(&rd), 0);
    assert_int_equal(dsmr_rd_u8(&rd), 0);
    assert_int_equal(dsmr_rd_u16(&rd), 0);
    assert_int_equal(dsmr_rd_u32(&rd), 0);
    assert_null(dsmr_rd_view(&rd, 0));
    dsmr_rd_bytes(&rd, out, sizeof(out));
    assert_memory_equal(out, "\0\0\0\0", 4);
    assert_int_equal(dsmr_rd_left(&rd), 0);
    assert_int_equal(dsmr_rd_end(&rd), DSMR_ERR_MALFORMED);
    dsmr_rd_init(&rd, bytes, sizeof(bytes));
    assert_null(dsmr_rd_view(&rd, SIZE_MAX)); /* no sum may wrap around */
    dsmr_rd_init(&rd, bytes, sizeof(bytes));
    assert_non_null(dsmr_rd_view(&rd, 7));
    assert_null(dsmr_rd_view(&rd, SIZE_MAX));
}

static void the_first_error_is_kept(void **state)
{
    (void)state;
    const uint8_t bytes[2] = {1, 2};
    struct dsmr_rd rd;
    dsmr_rd_init(&rd, bytes, sizeof(bytes));
    dsmr_rd_fail(&rd, DSMR_ERR_VERSION);
    dsmr_rd_fail(&rd, DSMR_ERR_BITSET);
    assert_int_equal(dsmr_rd_u64(&rd), 0);
    assert_int_equal(dsmr_rd_end(&rd), DSMR_ERR_VERSION);
    dsmr_rd_init(&rd, bytes, sizeof(bytes));
    assert_int_equal(dsmr_rd_u8(&rd), 1);
    assert_int_equal(dsmr_rd_end(&rd), DSMR_ERR_TRAILING_BYTES);
}

static void domains_are_told_apart(void **state)
{
    (void)state;
    struct dsmr_domain domain = {.network_id = 5, .chain_id = {{6}}}, other = domain;
    uint8_t bytes[36];
    struct dsmr_wr wr;
    struct dsmr_rd rd;
    dsmr_wr_init(&wr, bytes, sizeof(bytes));
    dsmr_wr_domain(&wr, &domain);
    other.network_id = 4;
    dsmr_rd_init(&rd, bytes, sizeof(bytes));
    dsmr_rd_domain(&rd, &other);
    assert_int_equal(rd.err, DSMR_ERR_WRONG_NETWORK);
    other = domain;
    other.chain_id.bytes[31] = 1;
    dsmr_rd_init(&rd, bytes, sizeof(bytes));
    dsmr_rd_domain(&rd, &other);
    assert_int_equal(rd.err, DSMR_ERR_WRONG_CHAIN);
    for (size_t len = 0; len < sizeof(bytes); len++) {
        dsmr_rd_init(&rd, bytes, len);
        dsmr_rd_domain(&rd, &domain);
        assert_int_equal(rd.err, DSMR_ERR_MALFORMED);
    }
}

static void a_full_writer_stays_failed(void **state)
{
    (void)state;
    uint8_t bytes[8] = {0};
    struct dsmr_wr wr;
    for (size_t capacity = 0; capacity < 8; capacity++) {
        memset(bytes, 0x55, sizeof(bytes));
        dsmr_wr_init(&wr, bytes, capacity);
        dsmr_wr_u64(&wr, 0);
        assert_int_equal(wr.err, DSMR_ERR_LIMIT);
        dsmr_wr_u8(&wr, 0);
        dsmr_wr_u16(&wr, 0);
        dsmr_wr_u32(&wr, 0);
        dsmr_wr_bytes(&wr, "a", 1);
        assert_int_equal(wr.at, 0);
        for (size_t i = 0; i < 8; i++) {
            assert_int_equal(bytes[i], 0x55);
        }
    }
    dsmr_wr_init(&wr, bytes, 8);
    dsmr_wr_u64(&wr, 1);
    assert_int_equal(wr.err, DSMR_OK);
    dsmr_wr_bytes(&wr, "", 0);
    assert_int_equal(wr.err, DSMR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_was_written),
        cmocka_unit_test(a_reader_that_ran_out_stays_failed),
        cmocka_unit_test(the_first_error_is_kept),
        cmocka_unit_test(domains_are_told_apart),
        cmocka_unit_test(a_full_writer_stays_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
