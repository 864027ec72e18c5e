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

/* One place of its own, and what was asked. */
struct place {
    _Alignas(max_align_t) uint8_t bytes[4096];
    bool is_taken;
    uint32_t asked;
    uint32_t given;
    size_t len;
};

static void *take_place(void *self, size_t len)
{
    struct place *place = self;
    place->asked++;
    if (place->is_taken || len > sizeof(place->bytes)) {
        return NULL;
    }
    place->is_taken = true;
    place->len = len;
    return place->bytes;
}

static bool give_place(void *self, void *memory, size_t len)
{
    struct place *place = self;
    place->given++;
    if (memory != place->bytes) {
        return false;
    }
    assert_true(place->is_taken);
    assert_int_equal(len, place->len);
    place->is_taken = false;
    return true;
}

static void large_ones_have_their_own_memory(void **state)
{
    (void)state;
    static struct place place;
    static const uint8_t bytes[1000] = {1, 2, 3};
    const struct dsmr_buf_memory memory = {
        .self = &place, .len_min = 1000, .take = take_place, .give = give_place};
    dsmr_buf_use_memory(&memory);
    struct dsmr_buf *small = dsmr_buf_new(999);
    assert_non_null(small);
    assert_int_equal(place.asked, 0);
    struct dsmr_buf *large = dsmr_buf_copy(bytes, 1000);
    assert_ptr_equal(large, place.bytes);
    assert_memory_equal(large->bytes, bytes, 1000);
    assert_int_equal(place.len, sizeof(struct dsmr_buf) + 1000);
    struct dsmr_buf *second = dsmr_buf_new(1000); /* no place: malloc's */
    assert_non_null(second);
    assert_ptr_not_equal(second, large);
    assert_int_equal(place.asked, 2);
    memset(second->bytes, 7, second->len);
    dsmr_buf_unref(small);
    assert_int_equal(place.given, 0);
    dsmr_buf_unref(dsmr_buf_ref(large));
    assert_true(place.is_taken);
    dsmr_buf_unref(large);
    assert_false(place.is_taken);
    dsmr_buf_unref(second);
    assert_int_equal(place.given, 2);
    dsmr_buf_use_memory(NULL);
    small = dsmr_buf_new(1000);
    assert_int_equal(place.asked, 2);
    dsmr_buf_unref(small);
    assert_int_equal(place.given, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_holds_its_own_bytes),
        cmocka_unit_test(last_reference_frees),
        cmocka_unit_test(many_references_are_as_many),
        cmocka_unit_test(null_and_empty_are_fine),
        cmocka_unit_test(length_beyond_32_bits_is_refused),
        cmocka_unit_test(large_ones_have_their_own_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
