/* store_files.h - the files of a store's home, as its tests look at them. */
#ifndef DSMR_TEST_UNIT_STORE_FILES_H
#define DSMR_TEST_UNIT_STORE_FILES_H

#include <dirent.h>

#include "unit/store/store_fixture.h"

static UNUSED size_t count_files(const struct fixture *f, const char *name)
{
    char path[512];
    size_t count = 0;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/%s", f->path, name);
    dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        count += e->d_name[0] != '.';
    }
    (void)closedir(dir);
    return count;
}

/* Bytes that the bodies' files take on the disk. */
static UNUSED uint64_t bodies_on_disk(const struct fixture *f)
{
    char path[1024];
    uint64_t bytes = 0;
    struct stat st;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/chunks", f->path);
    dir = opendir(path);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            (void)snprintf(path, sizeof path, "%s/chunks/%s", f->path, e->d_name);
            assert_int_equal(stat(path, &st), 0);
            bytes += (uint64_t)st.st_blocks * 512;
        }
    }
    (void)closedir(dir);
    return bytes;
}

static UNUSED char *only_segment(const struct fixture *f)
{
    char path[512];
    char *found = NULL;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/chunks", f->path);
    dir = opendir(path);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            assert_null(found);
            (void)snprintf(path, sizeof path, "%s/chunks/%s", f->path, e->d_name);
            found = strdup(path);
        }
    }
    (void)closedir(dir);
    assert_non_null(found);
    return found;
}

#endif
