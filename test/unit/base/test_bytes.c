/* test_bytes.c - integers at any address, comparing, hex. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

static void integers_are_big_endian_at_any_address(void **state)
{
    (void)state;
    uint8_t bytes[16] = {0};
    dsmr_store_be16(bytes + 1, 0xa1b2);
    assert_memory_equal(bytes + 1, "\xa1\xb2", 2);
    assert_int_equal(dsmr_load_be16(bytes + 1), 0xa1b2);
    dsmr_store_be32(bytes + 3, 0x81020304u);
    assert_memory_equal(bytes + 3, "\x81\x02\x03\x04", 4);
    assert_int_equal(dsmr_load_be32(bytes + 3), 0x81020304u);
    dsmr_store_be64(bytes + 7, UINT64_C(0xf102030405060708));
    assert_memory_equal(bytes + 7, "\xf1\x02\x03\x04\x05\x06\x07\x08", 8);
    assert_true(dsmr_load_be64(bytes + 7) == UINT64_C(0xf102030405060708));
}

static void hex_round_trip(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0x00, 0x0f, 0xf0, 0xff, 0x5a};
    char text[11];
    uint8_t again[5];
    dsmr_hex_encode(text, bytes, sizeof(bytes));
    assert_string_equal(text, "000ff0ff5a");
    assert_int_equal(dsmr_hex_decode(again, 5, text, 10), DSMR_OK);
    assert_memory_equal(again, bytes, 5);
    assert_int_equal(dsmr_hex_decode(again, 5, "000FF0FF5A", 10), DSMR_OK);
    assert_memory_equal(again, bytes, 5);
    dsmr_hex_encode(text, bytes, 0);
    assert_string_equal(text, "");
    assert_int_equal(dsmr_hex_decode(again, 0, "", 0), DSMR_OK);
}

static void hex_refuses_and_leaves_the_output(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {{"0", 1},    {"000", 3},  {"00000", 5}, {"000g", 4}, {"g000", 4}, {"0x00", 4},
               {" 000", 4}, {"00 0", 4}, {"000/", 4},  {"000:", 4}, {"000@", 4}, {"000`", 4}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t out[2] = {0x77, 0x88};
        assert_int_equal(dsmr_hex_decode(out, 2, bad[i].text, bad[i].len), DSMR_ERR_MALFORMED);
        assert_memory_equal(out, "\x77\x88", 2);
    }
}

static void ids_compare_every_byte(void **state)
{
    (void)state;
    struct dsmr_id a = {{0}}, b = {{0}};
    struct dsmr_node_id m = {{0}}, n = {{0}};
    assert_true(dsmr_id_is_zero(&a));
    assert_true(dsmr_id_equal(&a, &b));
    assert_true(dsmr_node_id_equal(&m, &n));
    for (size_t i = 0; i < 32; i++) {
        b.bytes[i] = 1;
        assert_false(dsmr_id_equal(&a, &b));
        assert_false(dsmr_id_is_zero(&b));
        b.bytes[i] = 0;
    }
    for (size_t i = 0; i < 20; i++) {
        n.bytes[i] = 1;
        assert_false(dsmr_node_id_equal(&m, &n));
        n.bytes[i] = 0;
    }
}

static void references_compare_every_field(void **state)
{
    (void)state;
    const struct dsmr_reference a = {.epoch = 1};
    struct dsmr_reference changed[7];
    for (size_t i = 0; i < 7; i++) {
        changed[i] = a;
        assert_true(dsmr_reference_equal(&a, &changed[i]));
    }
    changed[0].chunk_id.bytes[31] = 1;
    changed[1].epoch = 2;
    changed[2].producer.bytes[0] = 1;
    changed[3].slot = 1;
    changed[4].expiry_ms = 1;
    changed[5].tx_count = 1;
    changed[6].chunk_bytes = 1;
    for (size_t i = 0; i < 7; i++) {
        assert_false(dsmr_reference_equal(&a, &changed[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_big_endian_at_any_address),
        cmocka_unit_test(hex_round_trip),
        cmocka_unit_test(hex_refuses_and_leaves_the_output),
        cmocka_unit_test(ids_compare_every_byte),
        cmocka_unit_test(references_compare_every_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
