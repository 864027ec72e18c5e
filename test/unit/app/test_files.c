/* Folders that programs make for a while. */
#include "app/files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void test_temporary(void **state)
{
    (void)state;
    char one[64], other[64], inner[80];
    struct stat info;
    assert_int_equal(dsmr_files_make_temporary(one, sizeof one, "/tmp", "dsmr-test"), DSMR_OK);
    assert_int_equal(dsmr_files_make_temporary(other, sizeof other, "/tmp", "dsmr-test"), DSMR_OK);
    assert_memory_equal(one, "/tmp/dsmr-test-", 15);
    assert_string_not_equal(one, other);
    assert_true(stat(one, &info) == 0 && S_ISDIR(info.st_mode));
    assert_int_equal(info.st_mode & 0077u, 0);
    char missing[80];
    snprintf(missing, sizeof missing, "%s/inner", one);
    assert_int_equal(dsmr_files_make_temporary(inner, sizeof inner, missing, "x"),
                     DSMR_ERR_IO); /* there is no such folder */
    dsmr_files_remove_folder(one);
    assert_int_not_equal(stat(one, &info), 0);
    assert_int_equal(stat(other, &info), 0);
    dsmr_files_remove_folder(other);
}

/* A path that is cut would be another folder. */
static void test_too_long(void **state)
{
    (void)state;
    char path[sizeof "/tmp/dsmr-test-XXXXXX"];
    assert_int_equal(dsmr_files_make_temporary(path, sizeof path - 1, "/tmp", "dsmr-test"),
                     DSMR_ERR_TOO_LARGE);
    assert_int_equal(dsmr_files_make_temporary(path, sizeof path, "/tmp", "dsmr-test"), DSMR_OK);
    dsmr_files_remove_folder(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_temporary),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
