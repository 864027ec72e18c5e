/* cluster_story.c - the trace of a run beside the one that a person has read and found right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cluster.h"

#define STORY_BYTES_MAX ((size_t)1 << 20)

void cluster_story_begin(struct cluster *cluster)
{
    cluster->is_told = true;
    cluster->story = calloc(1, STORY_BYTES_MAX);
    assert_non_null(cluster->story);
}

void cluster_story_add(struct cluster *cluster, const char *line)
{
    size_t len = strlen(line);
    assert_true(cluster->story_len + len < STORY_BYTES_MAX);
    memcpy(cluster->story + cluster->story_len, line, len);
    cluster->story_len += len;
}

static void write_story(const struct cluster *cluster, const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(cluster->story, 1, cluster->story_len, file), cluster->story_len);
    assert_int_equal(fclose(file), 0);
}

/* Points at the first line that differs. */
static void show_difference(const char *path, const char *told, const char *was)
{
    size_t line = 1, start = 0;
    for (size_t i = 0; told[i] == was[i] && told[i] != '\0'; i++) {
        if (told[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    print_error("%s:%zu\n  told: %.*s\n  was:  %.*s\n", path, line,
                (int)strcspn(told + start, "\n"), told + start, (int)strcspn(was + start, "\n"),
                was + start);
}

void cluster_story_check(struct cluster *cluster, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "test/scenario/stories/%s.txt", name);
    if (getenv("UPDATE") != NULL) {
        write_story(cluster, path);
        return;
    }
    char *told = calloc(1, STORY_BYTES_MAX + 1);
    FILE *file = fopen(path, "r");
    assert_non_null(told);
    assert_non_null(file);
    size_t len = fread(told, 1, STORY_BYTES_MAX, file);
    fclose(file);
    bool is_same = len == cluster->story_len && memcmp(told, cluster->story, len) == 0;
    if (!is_same) {
        show_difference(path, told, cluster->story);
    }
    free(told);
    assert_true(is_same);
}
