/* test_cb58.c - text of ids; AvalancheGo's own are in test_avalanche_vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/cb58.h"

static void round_trip_of_every_length(void **state)
{
    (void)state;
    static const uint8_t fills[] = {0x00, 0x01, 0x7f, 0xff};
    for (size_t f = 0; f < sizeof(fills); f++) {
        for (size_t len = 0; len <= DSMR_CB58_BYTES_MAX; len++) {
            uint8_t bytes[DSMR_CB58_BYTES_MAX], again[DSMR_CB58_BYTES_MAX];
            char text[DSMR_CB58_TEXT_MAX];
            memset(bytes, fills[f], sizeof(bytes));
            dsmr_cb58_encode(text, bytes, len);
            assert_int_equal(dsmr_cb58_decode(again, len, text, strlen(text)), DSMR_OK);
            assert_memory_equal(again, bytes, len);
            if (len > 0) {
                assert_int_equal(dsmr_cb58_decode(again, len - 1, text, strlen(text)),
                                 DSMR_ERR_MALFORMED);
            }
            if (len < DSMR_CB58_BYTES_MAX) {
                assert_int_equal(dsmr_cb58_decode(again, len + 1, text, strlen(text)),
                                 DSMR_ERR_MALFORMED);
            }
        }
    }
}

static void every_changed_character_is_noticed(void **state)
{
    (void)state;
    struct dsmr_node_id id = {{0, 0, 9, 8, 7}}, again;
    char text[DSMR_CB58_TEXT_MAX];
    dsmr_cb58_encode_node_id(text, &id);
    size_t len = strlen(text);
    assert_int_equal(dsmr_cb58_decode_node_id(&again, text, len), DSMR_OK);
    assert_memory_equal(&again, &id, sizeof(id));
    static const char others[] = {'1', 'z', '0', 'O', 'I', 'l', ' ', '\0', '-', (char)0xff};
    for (size_t i = 0; i < len; i++) {
        for (size_t o = 0; o < sizeof(others); o++) {
            char kept = text[i];
            if (kept == others[o]) {
                continue;
            }
            text[i] = others[o];
            struct dsmr_node_id untouched = id;
            assert_int_equal(dsmr_cb58_decode_node_id(&untouched, text, len), DSMR_ERR_MALFORMED);
            assert_memory_equal(&untouched, &id, sizeof(id));
            text[i] = kept;
        }
        assert_int_equal(dsmr_cb58_decode_node_id(&again, text, i), DSMR_ERR_MALFORMED);
    }
}

static void long_text_is_refused(void **state)
{
    (void)state;
    char text[300];
    uint8_t out[32];
    memset(text, '1', sizeof(text));
    for (size_t len = 0; len < sizeof(text); len++) {
        assert_int_equal(dsmr_cb58_decode(out, 32, text, len), DSMR_ERR_MALFORMED);
    }
    memset(text, 'z', sizeof(text));
    for (size_t len = 0; len < sizeof(text); len++) {
        assert_int_equal(dsmr_cb58_decode(out, 32, text, len), DSMR_ERR_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip_of_every_length),
        cmocka_unit_test(every_changed_character_is_noticed),
        cmocka_unit_test(long_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
