/* vectors.h - the files of test/vectors: names and bytes in hexadecimal.
 *
 * Why: bytes that others must be able to read, or that were stored or signed by an older version,
 *      change only on purpose. A program makes its vectors again and compares them with the file;
 *      with UPDATE=1 in the environment it rewrites the file, and CHANGELOG.md gets a line. The
 *      check_*.py beside the files derive the same bytes from the documents. */
#ifndef DSMR_TEST_UNIT_VECTORS_H
#define DSMR_TEST_UNIT_VECTORS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/bytes.h"

#define VECTORS_UNUSED __attribute__((unused))

static json_t *vectors_made;

/* Each name once. */
static VECTORS_UNUSED void vectors_add(const char *name, const void *bytes, size_t len)
{
    char *text = malloc(2 * len + 1);
    assert_non_null(text);
    dsmr_hex_encode(text, bytes, len);
    if (vectors_made == NULL) {
        vectors_made = json_object();
    }
    assert_null(json_object_get(vectors_made, name));
    assert_int_equal(json_object_set_new(vectors_made, name, json_string(text)), 0);
    free(text);
}

/* Caller decrefs. */
static VECTORS_UNUSED json_t *vectors_load(const char *file)
{
    json_t *kept = json_load_file(file, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(kept);
    return kept;
}

/* The bytes of a vector; returns their number. */
static VECTORS_UNUSED size_t vectors_bytes(void *out, size_t max, const json_t *kept,
                                           const char *name)
{
    const char *text = json_string_value(json_object_get(kept, name));
    assert_non_null(text);
    size_t len = strlen(text) / 2;
    assert_true(len <= max);
    assert_int_equal(dsmr_hex_decode(out, len, text, strlen(text)), DSMR_OK);
    return len;
}

/* The same names, the same bytes. */
static VECTORS_UNUSED void vectors_compare(const char *file)
{
    json_t *kept = vectors_load(file);
    const char *name;
    json_t *value;
    json_object_foreach(vectors_made, name, value)
    {
        const char *expected = json_string_value(json_object_get(kept, name));
        if (expected == NULL || strcmp(json_string_value(value), expected) != 0) {
            print_error("%s differs from %s\n", name, file);
        }
        assert_non_null(expected);
        assert_string_equal(json_string_value(value), expected);
    }
    assert_int_equal(json_object_size(kept), json_object_size(vectors_made));
    json_decref(kept);
}

/* Exit code of the program. */
static VECTORS_UNUSED int vectors_save(const char *file)
{
    return json_dump_file(vectors_made, file, JSON_INDENT(1) | JSON_SORT_KEYS) != 0;
}

static VECTORS_UNUSED void vectors_forget(void)
{
    json_decref(vectors_made);
    vectors_made = NULL;
}

#endif
