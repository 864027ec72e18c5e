/* Reading a store's databases without opening the store: what is there is read, nothing is changed,
 * and a store that is open is left alone. */
#define _GNU_SOURCE
#include "unit/store/store_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/bytes.h"
#include "store/lmdb_peek.h"
#include "store/schema.h"

static char reason[1024];

static enum dsmr_err peek(struct dsmr_lmdb_peek **out, const struct fixture *f)
{
    struct dsmr_lmdb_peek_config config = {
        .directory = f->path, .reason = reason, .reason_bytes = sizeof reason};

    reason[0] = 0;
    *out = NULL;
    return dsmr_lmdb_peek_open(out, &config);
}

static void close_store(struct fixture *f)
{
    dsmr_lmdb_store_close(f->store);
    f->store = NULL;
}

static void put_state(struct fixture *f)
{
    struct dsmr_kv_txn *txn = NULL;

    assert_int_equal(f->kv.ops->begin(f->kv.self, &txn, true), DSMR_OK);
    assert_int_equal(f->kv.ops->put(f->kv.self, txn, "key", 3, "value", 5), DSMR_OK);
    assert_int_equal(f->kv.ops->commit(f->kv.self, txn), DSMR_OK);
}

/* A sum over all bytes of the databases, and how many files there are. */
static uint64_t sum_of(const struct fixture *f, uint32_t *files)
{
    static const char *const folders[] = {"", "consensus", "state", "chunks"};
    uint64_t sum = 0;

    *files = 0;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char path[900];
        (void)snprintf(path, sizeof path, "%s/%s", f->path, folders[i]);
        DIR *dir = opendir(path);
        for (struct dirent *e = dir == NULL ? NULL : readdir(dir); e != NULL; e = readdir(dir)) {
            uint8_t bytes[4096];
            *files += 1;
            if (strcmp(e->d_name, "data.mdb") != 0) {
                continue;
            }
            (void)snprintf(path, sizeof path, "%s/%s/data.mdb", f->path, folders[i]);
            int fd = open(path, O_RDONLY);
            assert_true(fd >= 0);
            for (ssize_t n; (n = read(fd, bytes, sizeof bytes)) > 0;) {
                for (ssize_t k = 0; k < n; k++) {
                    sum = sum * 31 + bytes[k];
                }
            }
            (void)close(fd);
        }
        if (dir != NULL) {
            (void)closedir(dir);
        }
    }
    return sum;
}

static void what_is_there_is_read_and_not_changed(void **state)
{
    struct fixture *f = *state;
    struct dsmr_lmdb_peek *p;
    struct dsmr_store store;
    struct dsmr_kv kv;
    struct dsmr_kv_txn *txn = NULL;
    struct dsmr_buf *bytes = NULL;
    struct dsmr_id id;
    const uint8_t *value;
    size_t value_len;
    uint64_t height = 0;
    uint32_t files, files_after;
    bool has_finalization;

    assert_int_equal(put_chunk(f, 1, 100), DSMR_OK);
    assert_int_equal(accept_new(f, 1, 1, 1), DSMR_OK);
    put_state(f);
    close_store(f);
    uint64_t sum = sum_of(f, &files);
    assert_int_equal(peek(&p, f), DSMR_OK);
    assert_true(dsmr_lmdb_peek_store(p, &store) && dsmr_lmdb_peek_kv(p, &kv));
    assert_int_equal(store.ops->last_accepted(store.self, &height, &id), DSMR_OK);
    assert_int_equal(height, 1);
    assert_int_equal(store.ops->load_block(store.self, &bytes, NULL, &has_finalization, 1),
                     DSMR_OK);
    dsmr_buf_unref(bytes);
    assert_int_equal(kv.ops->begin(kv.self, &txn, false), DSMR_OK);
    assert_int_equal(kv.ops->get(kv.self, txn, "key", 3, &value, &value_len), DSMR_OK);
    assert_int_equal(value_len, 5);
    kv.ops->abort(kv.self, txn);

    char path[600]; /* it keeps nobody away */
    (void)snprintf(path, sizeof path, "%s/lock", f->path);
    int fd = open(path, O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    (void)close(fd);
    dsmr_lmdb_peek_close(p);
    assert_true(sum_of(f, &files_after) == sum);
    assert_int_equal(files_after, files);
}

static void a_store_that_is_open_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct dsmr_lmdb_peek *p;

    assert_int_equal(peek(&p, f), DSMR_ERR_LOCKED);
    assert_null(p);
    assert_non_null(strstr(reason, f->path));
    close_store(f);
    assert_int_equal(peek(&p, f), DSMR_OK);
    dsmr_lmdb_peek_close(p);
}

static void delete_file(const struct fixture *f, const char *name)
{
    char path[600];

    (void)snprintf(path, sizeof path, "%s/%s", f->path, name);
    assert_int_equal(unlink(path), 0);
}

static void what_is_not_there_is_not_made(void **state)
{
    struct fixture *f = *state;
    struct dsmr_lmdb_peek *p;
    struct dsmr_store store;
    struct dsmr_kv kv;
    uint32_t files, files_after;

    close_store(f);
    delete_file(f, "state/data.mdb");
    delete_file(f,
                "consensus/lock.mdb"); /* LMDB would make it, and it would belong to the reader */
    delete_file(f, "lock");
    (void)sum_of(f, &files);
    assert_int_equal(peek(&p, f), DSMR_OK);
    assert_true(dsmr_lmdb_peek_store(p, &store));
    assert_false(dsmr_lmdb_peek_kv(p, &kv));
    dsmr_lmdb_peek_close(p);
    delete_file(f, "consensus/data.mdb");
    assert_int_equal(peek(&p, f), DSMR_ERR_UNKNOWN);
    (void)sum_of(f, &files_after);
    assert_int_equal(files_after, files - 1);
    remove_tree(f->path);
    assert_int_equal(peek(&p, f), DSMR_ERR_UNKNOWN);
    assert_int_equal(access(f->path, F_OK), -1);
}

/* Writes over every place where the format's record stands. */
static void raise_format(const struct fixture *f)
{
    char path[600];
    static uint8_t bytes[4u << 20];
    uint8_t records[2][64];
    size_t lens[2], found = 0;

    for (int i = 0; i < 2; i++) {
        struct dsmr_schema_key key;
        struct dsmr_wr wr;
        dsmr_schema_key(&key, DSMR_SCHEMA_FORMAT_KEY);
        dsmr_schema_begin(&wr, records[i], sizeof records[i]);
        dsmr_wr_u64(&wr, DSMR_SCHEMA_FORMAT + (uint64_t)i);
        assert_true(dsmr_schema_seal(&wr, key.bytes, key.len));
        lens[i] = 1 + 8 + 4;
    }
    (void)snprintf(path, sizeof path, "%s/consensus/data.mdb", f->path);
    int fd = open(path, O_RDWR);
    ssize_t len = pread(fd, bytes, sizeof bytes, 0);
    assert_true(len > 0);
    for (size_t at = 0; at + lens[0] <= (size_t)len; at++) {
        if (memcmp(bytes + at, records[0], lens[0]) == 0) {
            assert_int_equal(pwrite(fd, records[1], lens[1], (off_t)at), lens[1]);
            found++;
        }
    }
    (void)close(fd);
    assert_true(found > 0);
}

static void what_cannot_be_read_is_said(void **state)
{
    struct fixture *f = *state;
    struct dsmr_lmdb_peek *p;
    char path[600];

    close_store(f);
    raise_format(f);
    assert_int_equal(peek(&p, f), DSMR_ERR_NEWER_FORMAT);
    (void)snprintf(path, sizeof path, "%s/state/data.mdb", f->path);
    int fd = open(path, O_RDWR | O_TRUNC);
    assert_int_equal(write(fd, path, 100), 100);
    (void)close(fd);
    delete_file(f, "consensus/data.mdb");
    enum dsmr_err err = peek(&p, f);
    assert_true(err == DSMR_ERR_CORRUPT || err == DSMR_ERR_IO);
    assert_non_null(strstr(reason, "state/data.mdb"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_there_is_read_and_not_changed),
        TEST(a_store_that_is_open_is_left_alone),
        TEST(what_is_not_there_is_not_made),
        TEST(what_cannot_be_read_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
