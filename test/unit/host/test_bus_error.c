/* A mapped file whose page is not there ends the process with a sentence; other signals do not. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/bus_error.h"

#define PAGE 4096
#define CUT 65
#define UNREADABLE 74

static char said[8192];
static char path[64];

/* Runs act in a child that catches bus errors; its wait status, and what it said in said. */
static int run(void (*act)(void))
{
    int fds[2], status = 0;
    size_t len = 0;
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static const struct dsmr_bus_error_codes codes = {CUT, UNREADABLE};
        (void)dup2(fds[1], STDERR_FILENO);
        (void)signal(SIGBUS, SIG_DFL); /* cmocka's */
        dsmr_bus_error_catch("program", &codes);
        act();
        _exit(0);
    }
    close(fds[1]);
    for (ssize_t n = 1; n > 0 && len<sizeof(said) - 1; len += n> 0 ? (size_t)n : 0) {
        n = read(fds[0], said + len, sizeof(said) - 1 - len);
    }
    said[len] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static const volatile uint8_t *map(void)
{
    int fd = open(path, O_RDWR);
    void *bytes = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
    return bytes == MAP_FAILED ? NULL : bytes;
}

static void read_what_is_there(void)
{
    (void)map()[PAGE - 1];
}

static void read_behind_the_end(void)
{
    (void)map()[PAGE];
}

static void send_the_signal(void)
{
    (void)raise(SIGBUS);
}

static int make_file(void **state)
{
    (void)state;
    strcpy(path, "/tmp/dsmr bus error XXXXXX"); /* blanks in it */
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
    close(fd);
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void what_is_there_is_read(void **state)
{
    (void)state;
    assert_int_equal(run(read_what_is_there), 0);
    assert_string_equal(said, "");
}

static void the_end_of_the_file_is_said(void **state)
{
    char wanted[256];
    (void)state;
    int status = run(read_behind_the_end);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), CUT);
    (void)snprintf(wanted, sizeof(wanted), "program: %s: ends before ", path);
    assert_memory_equal(said, wanted, strlen(wanted));
    assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1); /* one line */
}

static void what_no_file_explains_stays_a_crash(void **state)
{
    (void)state;
    int status = run(send_the_signal);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
    assert_string_equal(said, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_there_is_read, make_file, remove_file),
        cmocka_unit_test_setup_teardown(the_end_of_the_file_is_said, make_file, remove_file),
        cmocka_unit_test_setup_teardown(what_no_file_explains_stays_a_crash, make_file,
                                        remove_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
