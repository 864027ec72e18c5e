/* What is freed is there for the next, with the pages it has; what the environment says goes first,
 * as glibc reads it: each case is a process of its own. */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/heap.h"

#define BODIES_MAX 3
#define BODY_BYTES ((size_t)8 << 20)
#define ROUNDS 4
#define THREADS 12
#define NO_ANSWER 99

/* A sanitizer has a malloc of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_GLIBC_MALLOC 0
#elif defined(__has_feature)
#define IS_GLIBC_MALLOC !(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define IS_GLIBC_MALLOC 1
#endif

/* ---- in a process of its own: what it finds is its exit code ---- */

static long faults(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

/* So many bodies are there at once, then none. 1: they kept their pages, 0: these were new each
 * time. */
static int bodies(int count)
{
    long before = 0, pages = count * (long)BODY_BYTES / sysconf(_SC_PAGESIZE);
    for (int round = 0; round < ROUNDS; round++) {
        void *volatile all[BODIES_MAX];
        before = round == 2 ? faults() : before; /* after glibc has learned */
        for (int i = 0; i < count; i++) {
            all[i] = malloc(BODY_BYTES);
            if (all[i] == NULL)
                return NO_ANSWER;
            memset(all[i], round, BODY_BYTES);
        }
        for (int i = 0; i < count; i++)
            free(all[i]);
    }
    return faults() - before < pages / 8;
}

static pthread_barrier_t barrier;

static void *allocate(void *unused)
{
    void *volatile block = malloc(1000);
    (void)unused;
    (void)pthread_barrier_wait(&barrier);
    free(block);
    return NULL;
}

/* How many arenas many threads have. */
static int arenas(void)
{
    pthread_t threads[THREADS];
    char *text = NULL;
    size_t len = 0;
    int count = 0;
    (void)pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, allocate, NULL) != 0)
            return NO_ANSWER;
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    FILE *file = open_memstream(&text, &len);
    if (file == NULL || malloc_info(0, file) != 0)
        return NO_ANSWER;
    fclose(file);
    for (const char *at = text; (at = strstr(at, "<heap nr=")) != NULL; at++)
        count++;
    free(text);
    return count;
}

static int answer(const char *question)
{
    if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0) /* a huge page is one fault */
        return NO_ANSWER;
    dsmr_heap_set_up(strncmp(question, "default", 7) != 0);
    return strcmp(question, "arenas") == 0 ? arenas()
                                           : bodies(strcmp(question, "default, one") == 0 ? 1 : 3);
}

/* ---- the tests ---- */

/* setting: the whole environment, or NULL. */
static int ask(char *question, char *setting)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char name[] = "test_heap";
        char *const words[] = {name, question, NULL}, *const environment[] = {setting, NULL};
        (void)execve("/proc/self/exe", words, environment);
        _exit(NO_ANSWER);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), NO_ANSWER);
    return WEXITSTATUS(status);
}

static void test_bodies_keep_their_pages(void **state)
{
    (void)state;
    if (!IS_GLIBC_MALLOC)
        skip();
    assert_int_equal(ask("kept", NULL), 1);
    assert_int_equal(ask("default", NULL), 0); /* else there would be nothing to set up */
    assert_int_equal(ask("default, one", NULL), 1);
}

/* Who says anything of the thresholds has none of ours beside it. */
static void test_thresholds_of_the_environment(void **state)
{
    static char *const settings[] = {
        "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=131072",
        "GLIBC_TUNABLES=glibc.malloc.arena_max=2:glibc.malloc.trim_threshold=131072",
        "GLIBC_TUNABLES=glibc.malloc.top_pad=4096",
        "GLIBC_TUNABLES=glibc.malloc.mmap_max=65000",
        "MALLOC_MMAP_THRESHOLD_=131072",
        "MALLOC_TRIM_THRESHOLD_=131072",
        "MALLOC_TOP_PAD_=4096",
        "MALLOC_MMAP_MAX_=65000",
    };
    (void)state;
    if (!IS_GLIBC_MALLOC)
        skip();
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        assert_int_equal(ask("kept", settings[i]), 0);
    assert_int_equal(ask("kept", "GLIBC_TUNABLES=glibc.malloc.arena_max=2"), 1);
    assert_int_equal(ask("kept", "MALLOC_ARENA_MAX=2"), 1);
}

static void test_a_handful_of_arenas(void **state)
{
    (void)state;
    if (!IS_GLIBC_MALLOC)
        skip();
    assert_int_equal(ask("arenas", NULL), 4);
    assert_int_equal(ask("arenas", "MALLOC_ARENA_MAX=2"), 2);
    assert_int_equal(ask("arenas", "GLIBC_TUNABLES=glibc.malloc.arena_max=3"), 3);
    assert_int_equal(ask("arenas", "MALLOC_TOP_PAD_=4096"), 4);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies_keep_their_pages),
        cmocka_unit_test(test_thresholds_of_the_environment),
        cmocka_unit_test(test_a_handful_of_arenas),
    };
    return argc > 1 ? answer(argv[1]) : cmocka_run_group_tests(tests, NULL, NULL);
}
