/* test_buf.c - reference counting of buffers; leaks and use after free are the sanitizer's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dsmr/buf.h"

static void copy_holds_its_own_bytes(void **state)
{
    (void)state;
    char text[] = "payload";
    struct dsmr_buf *buf = dsmr_buf_copy(text, sizeof(text));
    assert_non_null(buf);
    text[0] = 'X';
    assert_int_equal(buf->len, sizeof(text));
    assert_string_equal((const char *)buf->bytes, "payload");
    dsmr_buf_unref(buf);
}

static void last_reference_frees(void **state)
{
    (void)state;
    struct dsmr_buf *buf = dsmr_buf_new(3);
    assert_non_null(buf);
    assert_ptr_equal(dsmr_buf_ref(buf), buf);
    assert_int_equal(buf->refs, 2);
    dsmr_buf_unref(buf);
    assert_int_equal(buf->refs, 1); /* still there */
    dsmr_buf_unref(buf);
}

static void many_references_are_as_many(void **state)
{
    (void)state;
    struct dsmr_buf *buf = dsmr_buf_new(3);
    assert_non_null(buf);
    dsmr_buf_ref_many(buf, 5);
    dsmr_buf_ref_many(buf, 0);
    assert_int_equal(buf->refs, 6);
    dsmr_buf_unref_many(buf, 2);
    dsmr_buf_unref_many(buf, 0);
    assert_int_equal(buf->refs, 4);
    dsmr_buf_unref_many(buf, 4);
}

static void null_and_empty_are_fine(void **state)
{
    (void)state;
    assert_null(dsmr_buf_ref(NULL));
    dsmr_buf_unref(NULL);
    struct dsmr_buf *buf = dsmr_buf_copy(NULL, 0);
    assert_non_null(buf);
    assert_int_equal(buf->len, 0);
    dsmr_buf_unref(buf);
}

static void length_beyond_32_bits_is_refused(void **state)
{
    (void)state;
    assert_null(dsmr_buf_new((size_t)UINT32_MAX + 1));
    assert_null(dsmr_buf_new(SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_holds_its_own_bytes),
        cmocka_unit_test(last_reference_frees),
        cmocka_unit_test(many_references_are_as_many),
        cmocka_unit_test(null_and_empty_are_fine),
        cmocka_unit_test(length_beyond_32_bits_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
