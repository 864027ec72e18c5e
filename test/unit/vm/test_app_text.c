#include "unit/vm/support.h"

#include "vm/app_text.h"

static void test_fits_at_limit(void **state)
{
    (void)state;
    for (size_t capacity = 1; capacity < 12; capacity++) {
        struct dsmr_app_text text;
        char *bytes = malloc(capacity); /* the sanitizer watches its end */
        dsmr_app_text_init(&text, bytes, capacity);
        assert_string_equal(bytes, "");
        dsmr_app_text_add(&text, "abcd");
        dsmr_app_text_add_u64(&text, 42);
        dsmr_app_text_add_hex(&text, "\x0f\xa0", 2);
        bool fits = capacity > 10;
        assert_int_equal(dsmr_app_text_end(&text), fits ? DSMR_OK : DSMR_ERR_LIMIT);
        assert_true(memchr(bytes, 0, capacity) != NULL);
        assert_memory_equal(bytes, "abcd420fa0", strlen(bytes));
        assert_true(!fits || text.len == 10);
        dsmr_app_text_add(&text, "");
        assert_int_equal(dsmr_app_text_end(&text), fits ? DSMR_OK : DSMR_ERR_LIMIT);
        free(bytes);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    char bytes[64];
    struct dsmr_app_text text;
    dsmr_app_text_init(&text, bytes, sizeof bytes);
    dsmr_app_text_add_u64(&text, 0);
    dsmr_app_text_add(&text, " ");
    dsmr_app_text_add_u64(&text, UINT64_MAX);
    assert_int_equal(dsmr_app_text_end(&text), DSMR_OK);
    assert_string_equal(bytes, "0 18446744073709551615");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fits_at_limit),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
