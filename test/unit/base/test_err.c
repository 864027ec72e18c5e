/* test_err.c - names, numbers and classes of errors. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dsmr/err.h"

static const struct {
    const char *name;
    int number;
    enum dsmr_err_class cls;
    const char *text;
} errors[] = {
#define DSMR_ERR_X(name, number, cls, text) {#name, number, DSMR_ERR_CLASS_##cls, text},
    DSMR_ERR_MAP(DSMR_ERR_X)
#undef DSMR_ERR_X
};
#define COUNT (sizeof(errors) / sizeof(errors[0]))

static void names_are_the_lower_case_of_the_constants(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        char lower[64] = {0};
        assert_true(strlen(errors[i].name) < sizeof(lower));
        for (size_t c = 0; errors[i].name[c] != '\0'; c++) {
            lower[c] = (char)tolower((unsigned char)errors[i].name[c]);
        }
        assert_string_equal(dsmr_err_name((enum dsmr_err)errors[i].number), lower);
        assert_string_equal(dsmr_err_text((enum dsmr_err)errors[i].number), errors[i].text);
        assert_int_equal(dsmr_err_class_of((enum dsmr_err)errors[i].number), errors[i].cls);
    }
}

static void numbers_are_distinct_and_fit_the_counter_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        assert_in_range(errors[i].number, 0, DSMR_ERR_NUMBER_MAX - 1);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(errors[i].number, errors[j].number);
        }
    }
}

static void ranges_of_numbers_are_the_classes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        enum dsmr_err_class expected = errors[i].number == 0   ? DSMR_ERR_CLASS_STATE
                                       : errors[i].number < 64 ? DSMR_ERR_CLASS_PEER
                                       : errors[i].number < 96 ? DSMR_ERR_CLASS_STATE
                                                               : DSMR_ERR_CLASS_LOCAL;
        assert_int_equal(errors[i].cls, expected);
    }
}

static void unknown_numbers_are_the_peers_fault(void **state)
{
    (void)state;
    assert_string_equal(dsmr_err_name((enum dsmr_err)127), "unknown_error");
    assert_string_equal(dsmr_err_text((enum dsmr_err)127), "unknown error");
    assert_int_equal(dsmr_err_class_of((enum dsmr_err)127), DSMR_ERR_CLASS_PEER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_the_lower_case_of_the_constants),
        cmocka_unit_test(numbers_are_distinct_and_fit_the_counter_table),
        cmocka_unit_test(ranges_of_numbers_are_the_classes),
        cmocka_unit_test(unknown_numbers_are_the_peers_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
