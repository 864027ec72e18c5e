/* What is freed is there for the next, with the pages it has; who says otherwise goes first. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/heap.h"

#define BODIES 3
#define BODY_BYTES ((size_t)8 << 20)
#define PAGES_OF_BODIES (BODIES * BODY_BYTES / 4096)

/* A sanitizer has a malloc of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_GLIBC_MALLOC 0
#elif defined(__has_feature)
#define IS_GLIBC_MALLOC !(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define IS_GLIBC_MALLOC 1
#endif

static long faults(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

/* Bodies are all there at once, then none; the faults of a few such rounds after the first. */
static long faults_of_rounds(void)
{
    long before = 0;
    for (int round = 0; round < 4; round++) {
        void *volatile bodies[BODIES];
        before = round == 1 ? faults() : before;
        for (int i = 0; i < BODIES; i++) {
            bodies[i] = malloc(BODY_BYTES);
            if (bodies[i] == NULL)
                return -1;
            memset(bodies[i], round, BODY_BYTES);
        }
        for (int i = 0; i < BODIES; i++)
            free(bodies[i]);
    }
    return faults() - before;
}

/* In a child, whose malloc is its own: whether bodies kept their pages. */
static bool keeps_pages(const char *variable, const char *value)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)unsetenv("GLIBC_TUNABLES");
        if (variable != NULL)
            (void)setenv(variable, value, 1);
        dsmr_heap_set_up();
        long count = faults_of_rounds();
        _exit(count < 0 ? 2 : count < (long)PAGES_OF_BODIES / 8);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_in_range(WEXITSTATUS(status), 0, 1);
    return WEXITSTATUS(status) == 1;
}

static void test_bodies_keep_their_pages(void **state)
{
    (void)state;
    if (!IS_GLIBC_MALLOC)
        skip();
    assert_true(keeps_pages(NULL, NULL));
}

/* Without the threshold bodies are mapped one by one, and go back one by one. */
static void test_environment_goes_first(void **state)
{
    (void)state;
    if (!IS_GLIBC_MALLOC)
        skip();
    assert_false(keeps_pages("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072"));
    assert_false(keeps_pages("MALLOC_MMAP_THRESHOLD_", "131072"));
    assert_false(keeps_pages("MALLOC_TRIM_THRESHOLD_", "131072"));
    assert_true(keeps_pages("GLIBC_TUNABLES", "glibc.malloc.arena_max=2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies_keep_their_pages),
        cmocka_unit_test(test_environment_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
