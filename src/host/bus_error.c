#define _GNU_SOURCE
#include "host/bus_error.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_BYTES_MAX 4352u /* the numbers of a line, and a path */

static const char *program;
static struct dsmr_bus_error_codes exit_codes;

/* ---- in the handler: only what is safe in a signal handler ---- */

static void say(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

/* A hexadecimal number at *at, which moves behind it. */
static uint64_t take_hex(const char **at)
{
    uint64_t value = 0;
    for (;; ++*at) {
        char c = **at;
        if (c >= '0' && c <= '9') {
            value = value * 16u + (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            value = value * 16u + (uint64_t)(c - 'a') + 10u;
        } else {
            return value;
        }
    }
}

/* "START-END PERMISSIONS OFFSET DEVICE INODE PATH": whether address is in it and it has a path;
 * then *offset is the address's place in that file. */
static bool is_of_file(const char *line, uint64_t address, const char **path, uint64_t *offset)
{
    const char *at = line;
    uint64_t start = take_hex(&at);
    at += *at == '-' ? 1 : 0;
    uint64_t end = take_hex(&at);
    if (address < start || address >= end) {
        return false;
    }
    at = strchr(at + (*at == ' ' ? 1 : 0), ' '); /* behind the permissions */
    if (at == NULL) {
        return false;
    }
    at++;
    *offset = take_hex(&at) + (address - start);
    *path = strchr(at, '/');
    return *path != NULL;
}

/* The file that is mapped at address; *path points into line. False: there is none. */
static bool find_line(char line[LINE_BYTES_MAX], uint64_t address, const char **path,
                      uint64_t *offset)
{
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    char c = 0;
    bool is_found = false;
    while (!is_found && fd >= 0 && read(fd, &c, 1) == 1) { /* slow, and it happens once */
        if (c != '\n') {
            line[len] = c;
            len += len < LINE_BYTES_MAX - 1u ? 1u : 0u;
            continue;
        }
        line[len] = '\0';
        len = 0;
        is_found = is_of_file(line, address, path, offset);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_found;
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    char line[LINE_BYTES_MAX];
    const char *path = NULL;
    uint64_t offset = 0;
    struct stat st;
    (void)context;
    bool is_ours = info->si_code > 0; /* not sent by a process */
    if (!is_ours || !find_line(line, (uint64_t)(uintptr_t)info->si_addr, &path, &offset)) {
        (void)signal(number, SIG_DFL);
        (void)raise(number); /* comes when the handler returns */
        return;
    }
    bool is_cut = stat(path, &st) == 0 && offset >= (uint64_t)st.st_size;
    say(program);
    say(": ");
    say(path);
    say(is_cut ? ": ends before the data that it should hold: it was cut off or is damaged\n"
               : ": cannot be read: input/output error\n");
    _exit(is_cut ? exit_codes.cut : exit_codes.unreadable);
}

/* ---- the owner ---- */

void dsmr_bus_error_catch(const char *name, const struct dsmr_bus_error_codes *codes)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    program = name;
    exit_codes = *codes;
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    (void)sigaction(SIGBUS, &action, NULL);
}
