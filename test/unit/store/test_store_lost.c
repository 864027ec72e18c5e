/* Files that are deleted under a running node: what is written then is durable nowhere, so the
 * store stops before anything is promised on it, and says which file it was. */
#define _GNU_SOURCE
#include "unit/store/store_fixture.h"

#include <dirent.h>

static void delete_file(const struct fixture *f, const char *name)
{
    char path[1024];

    (void)snprintf(path, sizeof path, "%s/%s", f->path, name);
    assert_int_equal(unlink(path), 0);
}

/* All segments; how many. */
static size_t delete_segments(const struct fixture *f)
{
    char path[600];
    size_t count = 0;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/chunks", f->path);
    dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            (void)snprintf(path, sizeof path, "chunks/%s", e->d_name);
            delete_file(f, path);
            count++;
        }
    }
    (void)closedir(dir);
    return count;
}

static void check_stopped(struct fixture *f, const char *file)
{
    check_cause(f, file, "was deleted");
    assert_int_equal(put_bft(f, "x", "vote"), DSMR_ERR_IO);
    assert_int_equal(put_chunk(f, 90, 100), DSMR_ERR_IO);
    assert_int_equal(collect(f, 1, NULL, 0, false), DSMR_ERR_IO);
    check_cause(f, file, "was deleted"); /* the first reason stays */
}

static void a_vote_into_a_deleted_database_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put_bft(f, "a", "vote"), DSMR_OK);
    delete_file(f, "consensus/data.mdb");
    assert_int_equal(put_bft(f, "b", "vote"), DSMR_ERR_IO);
    check_stopped(f, "/consensus/data.mdb");
}

static void a_body_into_a_deleted_segment_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put_chunk(f, 1, 5000), DSMR_OK);
    assert_int_equal(delete_segments(f), 1);
    assert_int_equal(put_chunk(f, 2, 5000), DSMR_ERR_IO);
    check_stopped(f, "/chunks/0000000000000001.seg");
}

static void nothing_is_promised_on_a_deleted_folder(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put_chunk(f, 1, 5000), DSMR_OK);
    remove_tree(f->path);
    assert_int_equal(put_chunk(f, 2, 5000), DSMR_ERR_IO);
    check_stopped(f, "/");
}

static void garbage_collection_sees_it_too(void **state)
{
    struct fixture *f = *state;
    struct dsmr_id id = id_of(1);

    assert_int_equal(put_chunk(f, 1, 5000), DSMR_OK);
    delete_file(f, "consensus/data.mdb");
    assert_int_equal(collect(f, 9, &id, 1, true), DSMR_ERR_IO);
    check_stopped(f, "/consensus/data.mdb");
}

static void a_commit_into_a_deleted_state_is_refused(void **state)
{
    struct fixture *f = *state;
    char text[1024] = "";

    delete_file(f, "state/data.mdb");
    for (int round = 0; round < 2; round++) {
        struct dsmr_kv_txn *txn = NULL;
        enum dsmr_err err = f->kv.ops->begin(f->kv.self, &txn, true);
        if (round == 0) {
            assert_int_equal(err, DSMR_OK);
            assert_int_equal(f->kv.ops->put(f->kv.self, txn, "k", 1, "v", 1), DSMR_OK);
            err = f->kv.ops->commit(f->kv.self, txn);
        }
        assert_int_equal(err, DSMR_ERR_IO);
        f->kv.ops->cause(f->kv.self, text, sizeof text);
        assert_non_null(strstr(text, "/state/data.mdb"));
        assert_non_null(strstr(text, "was deleted"));
    }
    assert_int_equal(put_bft(f, "a", "vote"), DSMR_OK); /* the other database is there */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_vote_into_a_deleted_database_is_refused),
        TEST(a_body_into_a_deleted_segment_is_refused),
        TEST(nothing_is_promised_on_a_deleted_folder),
        TEST(garbage_collection_sees_it_too),
        TEST(a_commit_into_a_deleted_state_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
