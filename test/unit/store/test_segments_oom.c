/* test_segments_oom.c - what is allocated for a body follows what the file has, not what a record
 * says of it.
 *
 * Linked with malloc, calloc and realloc wrapped (cmake/tests.cmake). */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/counted_malloc.h"
#include "store/crc32c.h"
#include "store/segments.h"

static void a_body_that_the_file_does_not_have_costs_nothing(void **state)
{
    static const uint8_t bytes[5000] = {1, 2, 3};
    static const struct {
        uint64_t offset;
        uint32_t len;
    } beyond[] = {{0, 5001},         {0, UINT32_MAX}, {4999, 2}, {5001, 0},
                  {UINT64_MAX, 100}, {UINT64_MAX, 1}, {5000, 1}, {1ull << 63, UINT32_MAX}};
    char path[] = "segments-XXXXXX";
    struct dsmr_segments segments;
    struct dsmr_schema_place place;
    struct dsmr_buf *buf = NULL;

    (void)state;
    assert_non_null(mkdtemp(path));
    assert_int_equal(dsmr_segments_open(&segments, path, 1u << 20), DSMR_OK);
    assert_int_equal(dsmr_segments_append(&segments, &place, bytes, sizeof bytes), DSMR_OK);
    const struct dsmr_schema_place whole = place;
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        place.offset = beyond[i].offset;
        place.len = beyond[i].len;
        place.crc = dsmr_crc32c(0, bytes, 0);
        allocated = 0;
        assert_int_equal(dsmr_segments_read(&segments, &buf, &place), DSMR_ERR_CORRUPT);
        assert_int_equal(allocated, 0);
    }
    assert_int_equal(dsmr_segments_read(&segments, &buf, &whole), DSMR_OK);
    assert_int_equal(allocated, sizeof *buf + sizeof bytes);
    dsmr_buf_unref(buf);
    dsmr_segments_drop(&segments, 1);
    dsmr_segments_close(&segments);
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_that_the_file_does_not_have_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
