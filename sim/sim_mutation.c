#define _GNU_SOURCE
#include "sim/sim_mutation.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDER "test/canaries"
#define TOOL "tools/run_canaries.py"
#define SUFFIX ".patch"
#define NOT_THERE 127 /* what a child exits with if its program cannot be run */

enum { EXIT_FOUND = 1, EXIT_USAGE = 64, EXIT_NO_CHECKOUT = 69, EXIT_NOT_BUILT = 70 };

struct mutation { /* the lines before the diff */
    char what[160], rule[32], profile[32], engine[16], liar[16], minutes[16], seeds[16];
};

/* ---- the checkout ---- */

/* The folder at path or above it that has the patches and the tool; path becomes it. */
static bool climb(char *path)
{
    char inside[PATH_MAX + 64];
    while (path[0] != '\0') {
        snprintf(inside, sizeof(inside), "%s/" FOLDER, path);
        bool has_folder = access(inside, R_OK | X_OK) == 0;
        snprintf(inside, sizeof(inside), "%s/" TOOL, path);
        if (has_folder && access(inside, R_OK) == 0) {
            return true;
        }
        *strrchr(path, '/') = '\0';
    }
    return false;
}

/* Around this program, else around the working directory. */
static bool find_checkout(char root[PATH_MAX])
{
    ssize_t len = readlink("/proc/self/exe", root, PATH_MAX - 1);
    if (len > 0) {
        root[len] = '\0';
        if (climb(root)) {
            return true;
        }
    }
    if (getcwd(root, PATH_MAX) != NULL && root[0] == '/' && climb(root)) {
        return true;
    }
    fprintf(stderr, "dsmr-sim: no checkout with " FOLDER " around this program or the working "
                    "directory\n");
    return false;
}

/* ---- patches ---- */

static void take(char *out, size_t capacity, const char *line, const char *name)
{
    size_t len = strlen(name);
    if (strncmp(line, name, len) == 0 && strncmp(line + len, ": ", 2) == 0) {
        snprintf(out, capacity, "%s", line + len + 2);
        out[strcspn(out, "\n")] = '\0';
    }
}

static bool read_patch(struct mutation *out, const char *root, const char *name)
{
    char path[PATH_MAX + NAME_MAX + 64], line[512];
    snprintf(path, sizeof(path), "%s/" FOLDER "/%s" SUFFIX, root, name);
    FILE *file = strchr(name, '/') == NULL ? fopen(path, "r") : NULL;
    memset(out, 0, sizeof(*out));
    strcpy(out->engine, "bft");
    if (file == NULL) {
        return false;
    }
    while (fgets(line, sizeof(line), file) != NULL && strncmp(line, "--- ", 4) != 0) {
        take(out->what, sizeof(out->what), line, "What");
        take(out->rule, sizeof(out->rule), line, "Rule");
        take(out->profile, sizeof(out->profile), line, "Profile");
        take(out->engine, sizeof(out->engine), line, "Engine");
        take(out->liar, sizeof(out->liar), line, "Liar");
        take(out->minutes, sizeof(out->minutes), line, "Minutes");
        take(out->seeds, sizeof(out->seeds), line, "Seeds");
    }
    fclose(file);
    return true;
}

static int is_patch(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name), suffix = strlen(SUFFIX);
    return len > suffix && strcmp(entry->d_name + len - suffix, SUFFIX) == 0;
}

int dsmr_sim_mutation_list(void)
{
    char root[PATH_MAX], folder[PATH_MAX + 64];
    struct dirent **entries = NULL;
    if (!find_checkout(root)) {
        return EXIT_NO_CHECKOUT;
    }
    snprintf(folder, sizeof(folder), "%s/" FOLDER, root);
    int count = scandir(folder, &entries, is_patch, alphasort);
    for (int i = 0; i < count; i++) {
        struct mutation mutation;
        char *name = entries[i]->d_name;
        name[strlen(name) - strlen(SUFFIX)] = '\0';
        if (read_patch(&mutation, root, name)) {
            printf("%-30s %-7s %s\n", name, mutation.rule, mutation.what);
        }
        free(entries[i]);
    }
    free(entries);
    return 0;
}

/* ---- running ---- */

/* The exit code of a program in folder root; what it prints goes to *output, if there is one. */
static int run(const char *root, char *const *arguments, FILE **output, pid_t *pid)
{
    int ends[2] = {-1, -1};
    fflush(stdout);
    if (output != NULL && pipe2(ends, O_CLOEXEC) != 0) {
        return NOT_THERE;
    }
    *pid = fork();
    if (*pid == 0) {
        if ((output == NULL || dup2(ends[1], STDOUT_FILENO) >= 0) && chdir(root) == 0) {
            execvp(arguments[0], arguments);
        }
        _exit(NOT_THERE);
    }
    if (output != NULL) {
        close(ends[1]);
        *output = fdopen(ends[0], "r");
    }
    return *pid > 0 && (output == NULL || *output != NULL) ? 0 : NOT_THERE;
}

static bool build(const char *root, const char *name)
{
    char *arguments[] = {"python3", TOOL, "--build", (char *)name, NULL};
    pid_t pid = -1;
    int status = 1;
    if (run(root, arguments, NULL, &pid) != 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "dsmr-sim: %s could not be built by " TOOL " --build %s\n", name, name);
        return false;
    }
    return true;
}

/* "  RULE at TIME s: ..." is the line of a failure. */
static bool read_rule(char rule[32], const char *line)
{
    const char *at = strstr(line, " at ");
    if (strncmp(line, "  ", 2) != 0 || line[2] == ' ' || at == NULL || at - line - 2 >= 32) {
        return false;
    }
    size_t len = (size_t)(at - line) - 2;
    memcpy(rule, line + 2, len);
    rule[len] = '\0';
    return true;
}

/* Whether the program fails with this seed; passes on what it prints. -1: it cannot be run. */
static int fails(const char *root, const struct mutation *mutation, char *program, uint64_t seed,
                 char rule[32])
{
    char number[32], line[1024];
    char *arguments[] = {program,
                         "--seed",
                         number,
                         "--profile",
                         (char *)mutation->profile,
                         "--engine",
                         (char *)mutation->engine,
                         "--minutes",
                         (char *)mutation->minutes,
                         mutation->liar[0] != '\0' ? "--liar" : NULL,
                         (char *)mutation->liar,
                         NULL};
    FILE *output = NULL;
    pid_t pid = -1;
    int status = 0;
    snprintf(number, sizeof(number), "%llu", (unsigned long long)seed);
    snprintf(rule, 32, "?");
    if (run(root, arguments, &output, &pid) != 0) {
        return -1;
    }
    for (bool has_rule = false; fgets(line, sizeof(line), output) != NULL;) {
        fputs(line, stdout);
        has_rule = has_rule || read_rule(rule, line);
    }
    fclose(output);
    if (waitpid(pid, &status, 0) != pid ||
        (WIFEXITED(status) && WEXITSTATUS(status) == NOT_THERE)) {
        return -1;
    }
    return status != 0;
}

static int hunt(const char *root, const char *name, const struct mutation *mutation, uint64_t first,
                uint64_t last)
{
    char program[PATH_MAX + NAME_MAX + 64], rule[32];
    snprintf(program, sizeof(program), "%s/build/canaries/bin/%s", root, name);
    for (uint64_t seed = first; seed <= last; seed++) {
        int result = fails(root, mutation, program, seed, rule);
        if (result < 0) {
            fprintf(stderr, "dsmr-sim: %s cannot be run\n", program);
            return EXIT_NOT_BUILT;
        }
        if (result > 0) {
            printf("%s: found by seed %llu, rule %s\n", name, (unsigned long long)seed, rule);
            return EXIT_FOUND;
        }
    }
    printf("%s: not found by seeds %llu..%llu\n", name, (unsigned long long)first,
           (unsigned long long)last);
    return 0;
}

int dsmr_sim_mutation_run(const char *name, const uint64_t *first, uint64_t last)
{
    char root[PATH_MAX];
    struct mutation mutation;
    if (!find_checkout(root)) {
        return EXIT_NO_CHECKOUT;
    }
    if (!read_patch(&mutation, root, name)) {
        fprintf(stderr, "dsmr-sim: --mutation: '%s' is none; see --list-mutations\n", name);
        return EXIT_USAGE;
    }
    printf("%s: %s (rule %s)\n", name, mutation.what, mutation.rule);
    if (!build(root, name)) {
        return EXIT_NOT_BUILT;
    }
    last = first == NULL ? strtoull(mutation.seeds, NULL, 10) : last;
    return hunt(root, name, &mutation, first == NULL ? 1 : *first, last);
}
