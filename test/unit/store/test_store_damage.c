/* Bodies of chunks that the disk has damaged or lost: noticed, said once by file and offset,
 * counted, and taken as not held. */
#define _GNU_SOURCE
#include "unit/store/store_fixture.h"

#include <fcntl.h>

#include "store/store_damage.h"

#define FIRST_FILE "chunks/0000000000000001.seg"
#define SECOND_FILE "chunks/0000000000000002.seg"
#define LEN 5000u /* of a body: each takes two blocks of 4096 bytes */

/* ---- what the store says ---- */

static struct {
    size_t count;
    char lines[256][400];
} said;

static void on_line(void *self, enum dsmr_log_level level, const char *module, const char *text)
{
    (void)self;
    assert_int_equal(level, DSMR_LOG_WARN);
    assert_string_equal(module, "store");
    assert_true(said.count < 256);
    (void)snprintf(said.lines[said.count++], sizeof said.lines[0], "%s", text);
}

static const struct dsmr_log_ops log_ops = {.line = on_line};

/* How many lines say both. */
static size_t said_both(const char *one, const char *other)
{
    size_t count = 0;

    for (size_t i = 0; i < said.count; i++) {
        count += strstr(said.lines[i], one) != NULL && strstr(said.lines[i], other) != NULL;
    }
    return count;
}

static int setup(void **state)
{
    struct fixture *f;

    (void)fixture_setup(state);
    f = *state;
    f->config.log.ops = &log_ops;
    fixture_reopen(f);
    memset(&said, 0, sizeof said);
    return 0;
}

static uint64_t counted(struct fixture *f)
{
    return dsmr_metrics_get(&f->metrics, DSMR_METRIC_CHUNKS_DAMAGED);
}

/* ---- what the disk does ---- */

static void path_of(char path[600], const struct fixture *f, const char *name)
{
    (void)snprintf(path, 600, "%s/%s", f->path, name);
}

static void flip_byte(const struct fixture *f, const char *name, off_t offset)
{
    char path[600];
    uint8_t byte;

    path_of(path, f, name);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 1u;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    (void)close(fd);
}

static void a_flipped_bit_is_said_once_and_counted(void **state)
{
    struct fixture *f = *state;

    for (uint64_t n = 1; n <= 3; n++) {
        assert_int_equal(put_chunk(f, n, LEN), DSMR_OK);
    }
    flip_byte(f, FIRST_FILE, 8192 + 4999); /* the last byte of the second */
    for (uint64_t i = 1; i <= 5; i++) {
        assert_int_equal(check_body(f, 2, LEN), DSMR_ERR_CORRUPT);
        assert_int_equal(counted(f), i);
    }
    assert_int_equal(said.count, 1);
    assert_int_equal(said_both(FIRST_FILE " at 8192:", "is damaged"), 1);
    assert_int_equal(check_body(f, 1, LEN), DSMR_OK); /* its neighbours are not touched */
    assert_int_equal(check_body(f, 3, LEN), DSMR_OK);
    assert_int_equal(said.count, 1);
    assert_int_equal(counted(f), 5);

    flip_byte(f, FIRST_FILE, 0); /* another place is another line */
    assert_int_equal(check_body(f, 1, LEN), DSMR_ERR_CORRUPT);
    assert_int_equal(said.count, 2);
    assert_int_equal(said_both(FIRST_FILE " at 0:", "is damaged"), 1);
}

static void what_comes_again_replaces_what_is_damaged(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put_chunk(f, 1, LEN), DSMR_OK);
    flip_byte(f, FIRST_FILE, 77);
    assert_int_equal(put_chunk(f, 1, LEN), DSMR_OK); /* fetched from somebody who has it */
    assert_int_equal(said_both(FIRST_FILE " at 0:", "is damaged"), 1);
    assert_int_equal(counted(f), 1);
    assert_int_equal(check_body(f, 1, LEN), DSMR_OK);
    fixture_reopen(f);
    assert_int_equal(check_body(f, 1, LEN), DSMR_OK);
    assert_int_equal(said.count, 1);
    assert_int_equal(counted(f), 1);
}

static void a_file_that_goes_is_said_when_it_is_read(void **state)
{
    struct fixture *f = *state;
    char path[600];

    assert_int_equal(put_chunk(f, 1, LEN), DSMR_OK);
    path_of(path, f, FIRST_FILE);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(check_body(f, 1, LEN), DSMR_ERR_CORRUPT);
    assert_int_equal(said_both(FIRST_FILE " at 0:", "is damaged"), 1);
    assert_int_equal(put_chunk(f, 2, LEN), DSMR_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(check_body(f, 2, LEN), DSMR_ERR_CORRUPT);
    assert_int_equal(said_both(FIRST_FILE " at 8192:", "has lost its file"), 1);
    assert_int_equal(said.count, 2);
    assert_int_equal(counted(f), 2);
}

static void what_was_dropped_is_not_damaged(void **state)
{
    struct fixture *f = *state;
    struct dsmr_id id = id_of(1);

    assert_int_equal(put_chunk(f, 1, LEN), DSMR_OK);
    assert_int_equal(put_chunk(f, 2, LEN), DSMR_OK);
    flip_byte(f, FIRST_FILE, 0);
    assert_int_equal(collect(f, 1, &id, 1, false), DSMR_OK);
    assert_int_equal(check_body(f, 1, LEN), DSMR_ERR_UNKNOWN);
    assert_int_equal(check_body(f, 7, LEN), DSMR_ERR_UNKNOWN); /* was never here */
    assert_int_equal(said.count, 0);
    assert_int_equal(counted(f), 0);
}

static void a_dying_disk_does_not_fill_the_log(void **state)
{
    struct fixture *f = *state;
    const uint64_t count = DSMR_STORE_DAMAGE_LINES_MAX + 10;

    for (uint64_t n = 0; n < count; n++) {
        assert_int_equal(put_chunk(f, n, 100), DSMR_OK);
        flip_byte(f, FIRST_FILE, (off_t)n * 4096);
    }
    for (int round = 0; round < 2; round++) {
        for (uint64_t n = 0; n < count; n++) {
            assert_int_equal(check_body(f, n, 100), DSMR_ERR_CORRUPT);
        }
    }
    assert_int_equal(said.count, DSMR_STORE_DAMAGE_LINES_MAX);
    assert_int_equal(said_both(FIRST_FILE, "further ones are only counted"), 1);
    assert_non_null(strstr(said.lines[said.count - 1], "further ones are only counted"));
    assert_int_equal(counted(f), 2 * count);
}

/* ---- at the start: files that are not what their records say ---- */

/* Three bodies in two files, and where the second file is. */
static void fill_two_files(struct fixture *f)
{
    assert_int_equal(put_chunk(f, 1, LEN), DSMR_OK);
    assert_int_equal(put_chunk(f, 2, LEN), DSMR_OK);
    fixture_reopen(f); /* what comes now is in another file */
    assert_int_equal(put_chunk(f, 3, LEN), DSMR_OK);
    dsmr_lmdb_store_close(f->store);
    f->store = NULL;
    memset(&said, 0, sizeof said);
}

static void a_missing_file_is_named_at_the_start(void **state)
{
    struct fixture *f = *state;
    struct recovered *r;
    char path[600];

    fill_two_files(f);
    path_of(path, f, FIRST_FILE);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fixture_open(f), DSMR_OK);
    r = recover_waiting(f);
    assert_int_equal(said_both(FIRST_FILE " is missing", "up to 2 chunks"), 1);
    assert_int_equal(said_both(SECOND_FILE, ""), 0);
    assert_false(recovered_has(r, 1) || recovered_has(r, 2));
    assert_true(recovered_has(r, 3));
    free(r);
}

static void a_file_that_is_cut_off_is_named_at_the_start(void **state)
{
    struct fixture *f = *state;
    struct recovered *r;
    char path[600];

    fill_two_files(f);
    path_of(path, f, FIRST_FILE);
    assert_int_equal(truncate(path, 8192 + LEN - 1), 0);
    assert_int_equal(fixture_open(f), DSMR_OK);
    r = recover_waiting(f);
    assert_int_equal(said_both(FIRST_FILE " is cut off", "up to 2 chunks"), 1);
    assert_int_equal(said_both(SECOND_FILE, ""), 0);
    assert_true(recovered_has(r, 1) && recovered_has(r, 3)); /* what is whole is served */
    assert_false(recovered_has(r, 2));
    assert_int_equal(check_body(f, 1, LEN), DSMR_OK);
    free(r);
}

static void files_that_are_whole_are_not_named(void **state)
{
    struct fixture *f = *state;
    struct recovered *r;

    fill_two_files(f);
    assert_int_equal(fixture_open(f), DSMR_OK);
    r = recover_waiting(f);
    assert_int_equal(r->chunks_count, 3);
    assert_int_equal(said.count, 0);
    free(r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_flipped_bit_is_said_once_and_counted),
        TEST(what_comes_again_replaces_what_is_damaged),
        TEST(a_file_that_goes_is_said_when_it_is_read),
        TEST(what_was_dropped_is_not_damaged),
        TEST(a_dying_disk_does_not_fill_the_log),
        TEST(a_missing_file_is_named_at_the_start),
        TEST(a_file_that_is_cut_off_is_named_at_the_start),
        TEST(files_that_are_whole_are_not_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
