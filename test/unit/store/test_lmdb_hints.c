/* Hints to the state store about what the operating system keeps in memory: they move a value's
 * pages, and change nothing. */
#define _GNU_SOURCE
#include "unit/store/store_fixture.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "store/lmdb_kv.h"

#define LARGE_BYTES (1u << 20)

/* Of the value's pages, those that the page cache holds; and how many there are. */
static size_t resident(const uint8_t *value, size_t len, size_t *of)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)value / page * page;
    unsigned char there[LARGE_BYTES / 4096 + 2];
    size_t count = 0;

    *of = ((uintptr_t)value + len - begin + page - 1) / page;
    assert_true(*of <= sizeof there);
    assert_int_equal(mincore((void *)begin, *of * page, there), 0);
    for (size_t i = 0; i < *of; i++) {
        count += there[i] & 1u;
    }
    return count;
}

static void put_large(struct fixture *f, const char *key, uint8_t fill)
{
    static uint8_t value[LARGE_BYTES];
    struct dsmr_kv_txn *txn = fixture_begin(f, true);

    memset(value, fill, sizeof value);
    assert_int_equal(f->kv.ops->put(f->kv.self, txn, key, strlen(key), value, sizeof value),
                     DSMR_OK);
    assert_int_equal(fixture_commit(f, txn), DSMR_OK);
}

static size_t resident_of(struct fixture *f, const char *key, uint8_t fill, bool reads)
{
    struct dsmr_kv_txn *txn = fixture_begin(f, false);
    const uint8_t *value;
    size_t len, of;

    assert_int_equal(f->kv.ops->get(f->kv.self, txn, key, strlen(key), &value, &len), DSMR_OK);
    assert_int_equal(len, LARGE_BYTES);
    size_t count = resident(value, len, &of);
    for (size_t i = 0; reads && i < len; i++) {
        assert_int_equal(value[i], fill);
    }
    f->kv.ops->abort(f->kv.self, txn);
    return count * 100u / of;
}

/* Whether files of this directory have a page cache that a program may empty: not those in memory.
 */
static bool takes_hints(const char *directory)
{
    static uint8_t bytes[LARGE_BYTES];
    char path[512];
    size_t of;

    (void)snprintf(path, sizeof path, "%s/scratch", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes);
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    void *map = mmap(NULL, sizeof bytes, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    size_t count = resident(map, sizeof bytes, &of);
    (void)munmap(map, sizeof bytes);
    (void)close(fd);
    (void)unlink(path);
    return count <= of / 4;
}

static void hints_move_a_value_and_nothing_else(void **state)
{
    struct fixture *f = *state;

    put_large(f, "other", 3);
    put_large(f, "large", 7);
    put_large(f, "another", 9);
    (void)resident_of(f, "large", 7, true); /* mapped */
    f->kv.ops->advise(f->kv.self, "large", 5, false);
    if (!takes_hints(f->path)) {
        skip();
    }
    assert_in_range(resident_of(f, "large", 7, false), 0, 25);
    assert_in_range(resident_of(f, "other", 3, false), 90, 100);
    assert_in_range(resident_of(f, "another", 9, false), 90, 100);
    (void)resident_of(f, "large", 7, true); /* read from the disk again */
    f->kv.ops->advise(f->kv.self, "large", 5, false);
    f->kv.ops->advise(f->kv.self, "large", 5, true);
    assert_in_range(resident_of(f, "large", 7, true), 0, 100);
}

static void hints_about_other_values_do_nothing(void **state)
{
    struct fixture *f = *state;
    static const char longest[DSMR_KV_KEY_BYTES_MAX + 1] = {1};
    const uint8_t *value;
    size_t len;

    struct dsmr_kv_txn *txn = fixture_begin(f, true);
    assert_int_equal(f->kv.ops->put(f->kv.self, txn, "small", 5, "value", 5), DSMR_OK);
    assert_int_equal(fixture_commit(f, txn), DSMR_OK);
    for (int is_needed = 0; is_needed < 2; is_needed++) {
        f->kv.ops->advise(f->kv.self, "small", 5, is_needed);
        f->kv.ops->advise(f->kv.self, "absent", 6, is_needed);
        f->kv.ops->advise(f->kv.self, "", 0, is_needed);
        f->kv.ops->advise(f->kv.self, longest, sizeof longest, is_needed);
    }
    txn = fixture_begin(f, false);
    assert_int_equal(f->kv.ops->get(f->kv.self, txn, "small", 5, &value, &len), DSMR_OK);
    assert_int_equal(len, 5);
    assert_memory_equal(value, "value", 5);
    f->kv.ops->abort(f->kv.self, txn);
}

/* Where the map of the database ends. */
static uint8_t *end_of_map(const uint8_t *within)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1024];
    uintptr_t from, to = 0;

    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        assert_int_equal(sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to), 2);
        if ((uintptr_t)within >= from && (uintptr_t)within < to) {
            break;
        }
    }
    (void)fclose(maps);
    return (uint8_t *)to;
}

/* In the leaves of the file, that of a key of five bytes whose value has pages of its own. */
static void set_length(struct fixture *f, const char *key, uint32_t len)
{
    static const uint8_t flags_and_key_len[4] = {1, 0, 5, 0};
    char *path;
    struct stat st;

    assert_true(asprintf(&path, "%s/state/data.mdb", f->path) > 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    free(path);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    const uint8_t *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    uint32_t found = 0;
    for (off_t at = 4; at + 9 < st.st_size; at++) {
        if (memcmp(bytes + at, flags_and_key_len, 4) == 0 && memcmp(bytes + at + 4, key, 5) == 0) {
            assert_int_equal(pwrite(fd, &len, sizeof len, at - 4), sizeof len);
            found++;
        }
    }
    (void)munmap((void *)bytes, (size_t)st.st_size);
    (void)close(fd);
    assert_true(found > 0);
}

/* What lies behind the map would be empty. That is ours to look at: the kernel puts a map below the
 * last one, but in a hole if one is large enough. */
static void a_damaged_length_reaches_nothing_else(void **state)
{
    struct fixture *f = *state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), ours_bytes = (size_t)4 << 30;
    const uint8_t *value;
    size_t len;

    dsmr_lmdb_store_close(f->store);
    uint8_t *ours =
        mmap(NULL, ours_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(ours, MAP_FAILED);
    f->config.state_map_bytes = (uint64_t)3 << 30; /* the hole of the maps before has two */
    assert_int_equal(fixture_open(f), DSMR_OK);
    put_large(f, "large", 7);
    struct dsmr_kv_txn *txn = fixture_begin(f, false);
    assert_int_equal(f->kv.ops->get(f->kv.self, txn, "large", 5, &value, &len), DSMR_OK);
    f->kv.ops->abort(f->kv.self, txn);
    if (end_of_map(value) != ours) { /* perhaps the program itself is there */
        (void)munmap(ours, ours_bytes);
        skip();
    }
    assert_int_equal(mprotect(ours, page, PROT_READ | PROT_WRITE), 0);
    memset(ours, 0xaa, page);
    set_length(f, "large", (uint32_t)((size_t)(ours - value) + page - 16));
    for (int is_needed = 0; is_needed < 2; is_needed++) {
        f->kv.ops->advise(f->kv.self, "large", 5, is_needed);
    }
    assert_int_equal(ours[0], 0xaa);
    (void)munmap(ours, ours_bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hints_move_a_value_and_nothing_else),
        TEST(hints_about_other_values_do_nothing),
        TEST(a_damaged_length_reaches_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
