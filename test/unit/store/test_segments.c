/* Bodies in files, below the store: small ones through the page cache, large ones around it. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/segments.h"

#define BODIES 12u
#define BODY_BYTES_MAX (3u << 20)
#define SEGMENT_BYTES (64u << 20)

struct fixture {
    char path[64];
    struct dsmr_store_cause cause;
    struct dsmr_segments segments;
    uint8_t *bytes;
};

static const uint32_t sizes[BODIES] = {1,        (64u << 10) - 1, 64u << 10,       (64u << 10) + 1,
                                       4096,     1u << 20,        (1u << 20) + 1,  100,
                                       3u << 20, (2u << 20) - 7,  (64u << 10) + 5, 4095};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    (void)snprintf(f->path, sizeof f->path, "segments-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    assert_int_equal(dsmr_segments_open(&f->segments, f->path, SEGMENT_BYTES), DSMR_OK);
    f->segments.cause = &f->cause;
    f->bytes = malloc(BODY_BYTES_MAX + BODIES);
    assert_non_null(f->bytes);
    for (size_t i = 0; i < BODY_BYTES_MAX + BODIES; i++) {
        f->bytes[i] = (uint8_t)(i * 2654435761u >> 13u);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    for (uint64_t number = 1; number <= f->segments.last; number++) {
        dsmr_segments_drop(&f->segments, number);
    }
    dsmr_segments_close(&f->segments);
    assert_int_equal(rmdir(f->path), 0);
    free(f->bytes);
    free(f);
    return 0;
}

/* Body i begins at an odd address, as in the message that it came with. */
static const uint8_t *body(const struct fixture *f, uint32_t i)
{
    return f->bytes + i;
}

static void append(struct fixture *f, struct dsmr_schema_place *place, uint32_t i)
{
    assert_int_equal(dsmr_segments_append(&f->segments, place, body(f, i), sizes[i]), DSMR_OK);
    assert_int_equal(place->offset % DSMR_SEGMENTS_ALIGN_BYTES, 0);
    assert_int_equal(place->len, sizes[i]);
}

static void check_all(struct fixture *f, const struct dsmr_schema_place *places)
{
    assert_int_equal(dsmr_segments_sync(&f->segments), DSMR_OK);
    for (uint32_t i = 0; i < BODIES; i++) {
        struct dsmr_buf *buf;
        assert_int_equal(dsmr_segments_read(&f->segments, &buf, &places[i]), DSMR_OK);
        assert_memory_equal(buf->bytes, body(f, i), sizes[i]);
        dsmr_buf_unref(buf);
        assert_true(i == 0 || places[i].offset >= dsmr_segments_place_end(&places[i - 1]));
    }
}

static void append_all(struct fixture *f)
{
    struct dsmr_schema_place places[BODIES];

    for (uint32_t i = 0; i < BODIES; i++) {
        append(f, &places[i], i);
    }
    check_all(f, places);
}

static void bodies_of_all_sizes_are_read_back(void **state)
{
    append_all(*state);
}

/* As on a file system that has nothing but the page cache. */
static void so_they_are_without_direct_writes(void **state)
{
    struct fixture *f = *state;
    struct dsmr_schema_place place;

    append(f, &place, 0); /* opens the segment */
    if (f->segments.direct_fd >= 0) {
        assert_int_equal(close(f->segments.direct_fd), 0);
        f->segments.direct_fd = -1;
    }
    append_all(f);
    assert_null(f->segments.staging);
}

/* A file that ends within a body, wherever: it is said, and the bodies before are as they were. */
static void a_body_that_its_file_does_not_have(void **state)
{
    struct fixture *f = *state;
    struct dsmr_schema_place places[BODIES];
    static const uint32_t cut_bytes[] = {1, 4095, 4096, 5000, 1u << 20, (1u << 20) + 1};

    for (uint32_t i = 0; i < BODIES; i++) {
        append(f, &places[i], i);
    }
    assert_int_equal(dsmr_segments_sync(&f->segments), DSMR_OK);
    for (uint32_t i = BODIES; i-- > 0;) {
        for (uint32_t k = 0; k < sizeof cut_bytes / sizeof cut_bytes[0]; k++) {
            struct dsmr_buf *buf = NULL;
            if (cut_bytes[k] > sizes[i] || places[i].segment != f->segments.number) {
                continue;
            }
            uint64_t end = places[i].offset + sizes[i] - cut_bytes[k];
            assert_int_equal(ftruncate(f->segments.fd, (off_t)end), 0);
            assert_int_equal(dsmr_segments_read(&f->segments, &buf, &places[i]), DSMR_ERR_CORRUPT);
            assert_null(buf);
            assert_true(i == 0 ||
                        dsmr_segments_read(&f->segments, &buf, &places[i - 1]) == DSMR_OK);
            dsmr_buf_unref(buf);
        }
    }
}

/* A file system that takes O_DIRECT at open and refuses the write: the rest goes the usual way. */
static void so_they_are_if_a_direct_write_is_refused(void **state)
{
    struct fixture *f = *state;
    struct dsmr_schema_place places[BODIES];

    uint8_t *larger = aligned_alloc(DSMR_SEGMENTS_ALIGN_BYTES, 2u << 20);
    assert_non_null(larger);
    for (uint32_t i = 0; i < BODIES; i++) {
        if (i == 6) {
            free(f->segments.staging);
            f->segments.staging = larger + 1; /* not aligned: EINVAL */
        }
        append(f, &places[i], i);
        if (i == 6) {
            f->segments.staging = NULL;
        }
    }
    free(larger);
    check_all(f, places);
}

static void a_large_body_that_finds_no_room_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct dsmr_schema_place places[2];
    struct dsmr_schema_place refused;
    struct dsmr_buf *buf;
    struct rlimit old;

    append(f, &places[0], 2);
    uint64_t end = f->segments.end;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit low = {.rlim_cur = 2u << 20, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    enum dsmr_err err = dsmr_segments_append(&f->segments, &refused, body(f, 8), sizes[8]);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(err, DSMR_ERR_DISK_FULL);
    assert_int_equal(f->segments.end, end);
    assert_int_equal(dsmr_segments_file_bytes(&f->segments, 1), end);

    append(f, &places[1], 3); /* in the place of the refused one */
    assert_int_equal(places[1].offset, end);
    assert_int_equal(dsmr_segments_sync(&f->segments), DSMR_OK);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(dsmr_segments_read(&f->segments, &buf, &places[i]), DSMR_OK);
        assert_memory_equal(buf->bytes, body(f, 2 + i), sizes[2 + i]);
        dsmr_buf_unref(buf);
    }
}

/* What is cut off was written around the cache, and what takes its place goes through it. */
static void a_cut_off_body_makes_room_for_another(void **state)
{
    struct fixture *f = *state;
    struct dsmr_schema_place places[BODIES];

    append(f, &places[0], 0);
    uint64_t end = f->segments.end;
    append(f, &places[8], 8);
    dsmr_segments_cut(&f->segments, 1, end);
    for (uint32_t i = 1; i < BODIES; i++) {
        append(f, &places[i], i);
    }
    assert_int_equal(places[1].offset, end);
    check_all(f, places);
}

static enum dsmr_err not_in_use(void *ctx, uint64_t *end_bytes, uint64_t number)
{
    uint64_t *seen = ctx;
    *seen = number;
    *end_bytes = 0;
    return DSMR_OK;
}

/* After the last number there is none: what claims to have it is not ours, and nothing is written
 * behind a record that says so. */
static void the_last_number_is_never_used(void **state)
{
    struct fixture *f = *state;
    struct dsmr_schema_place place;
    uint64_t seen = 0;
    char path[128];

    (void)snprintf(path, sizeof path, "%s/ffffffffffffffff.seg", f->path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(dsmr_segments_tidy(&f->segments, not_in_use, &seen), DSMR_OK);
    assert_int_equal(seen, 0);
    append(f, &place, 0);
    assert_int_equal(place.segment, 1);
    dsmr_segments_leave(&f->segments, 1);
    f->segments.last = UINT64_MAX;
    enum dsmr_err err = dsmr_segments_append(&f->segments, &place, body(f, 0), 1);
    f->segments.last = 1;
    assert_int_equal(err, DSMR_ERR_IO);
    assert_int_equal(remove(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bodies_of_all_sizes_are_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(so_they_are_without_direct_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_body_that_its_file_does_not_have, setup, teardown),
        cmocka_unit_test_setup_teardown(so_they_are_if_a_direct_write_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_body_that_finds_no_room_leaves_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_cut_off_body_makes_room_for_another, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_number_is_never_used, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
