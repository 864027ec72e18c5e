/* dsmr-sim: runs seeds, prints a line each, shrinks what fails. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "sim/sim_mutation.h"
#include "sim/sim_run.h"
#include "sim/sim_scale.h"
#include "sim/sim_shrink.h"

#define EXIT_USAGE 64

struct options {
    const char *program, *mutation;
    uint64_t first, last;
    uint32_t validators, jobs;
    double minutes;
    const char *minutes_text;
    const struct dsmr_sim_profile *profile;
    const struct dsmr_sim_byz_ops *liar;
    enum dsmr_sim_engine engine;
    bool is_traced, has_to_minimize, has_to_repeat, has_to_hash, has_to_list, has_seeds, is_range;
    const char *fixed; /* an option that a planted bug does not leave open; NULL: none was given */
    bool has_seed;
};

static void print_help(void)
{
    printf("usage: dsmr-sim [options]\n\n"
           "Runs whole networks in virtual time, from a seed each: faults and liars first, then\n"
           "progress on what has healed. The same seed gives the same run.\n\n"
           "  --seed N           the run of one seed (default 1)\n"
           "  --seeds A..B       one run for each; prints a line each, exits 1 if one fails\n"
           "  --validators N     4 to 300 (default: 4 to 7, by the seed)\n"
           "  --minutes M        how long faults last, in virtual time (default 1)\n"
           "  --profile NAME     what goes wrong:\n");
    for (const struct dsmr_sim_profile *p = dsmr_sim_profiles; p->name != NULL; p++) {
        printf("                       %-9s %s\n", p->name, p->text);
    }
    printf(
        "  --engine NAME      bft: the built-in one (default); snow: one like Avalanche's\n"
        "  --liar NAME        what all liars are (default: by the seed)\n"
        "  --jobs N           runs at a time, with --seeds (default 1)\n"
        "  --trace            all that happens, a line each on standard error\n"
        "  --hash             prints the hash of the run of one seed and nothing else\n"
        "  --repeat           runs twice and compares the hashes of the runs\n"
        "  --minimize         leaves out faults of a failing seed while it breaks the same rule; "
        "with\n"
        "                     --trace: then all that happens with those that are left\n"
        "  --list-mutations   bugs that can be planted: name, rule that each breaks, what it is\n"
        "  --mutation NAME    runs a program with that bug, seed after seed, until one fails;\n"
        "                     then exits 1\n"
        "  --report ...       as the first option: measures a wide network; --report --help\n"
        "  --help\n\nliars:");
    for (uint32_t i = 0; dsmr_sim_byz_kinds[i] != NULL; i++) {
        printf(" %s", dsmr_sim_byz_kinds[i]->name);
    }
    printf("\n");
}

static _Atomic uint64_t *virtual_us; /* of all runs, which add to it; NULL: nobody asks */

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct dsmr_sim_run_config config_of(const struct options *options, uint64_t seed)
{
    return (struct dsmr_sim_run_config){.seed = seed,
                                        .validators = options->validators,
                                        .fault_us = (uint64_t)(options->minutes * 60e6),
                                        .profile = options->profile,
                                        .liar = options->liar,
                                        .engine = options->engine,
                                        .is_traced = options->is_traced};
}

static void print_reproduce(const struct options *options, uint64_t seed)
{
    printf("  again: %s --seed %llu --profile %s --minutes %s", options->program,
           (unsigned long long)seed, options->profile->name, options->minutes_text);
    if (options->validators != 0) {
        printf(" --validators %u", options->validators);
    }
    if (options->engine == DSMR_SIM_SNOW) {
        printf(" --engine snow");
    }
    if (options->liar != NULL) {
        printf(" --liar %s", options->liar->name);
    }
    printf(
        "\n  with --minimize: the fewest faults that it takes; with --trace: all that happens\n");
}

static void print_snow(const struct dsmr_sim_snow_counts *counts)
{
    printf(" lost %llu bad %llu rollbacks %llu caught-up %llu probes %llu sets-late %llu",
           (unsigned long long)counts->lost, (unsigned long long)counts->bad,
           (unsigned long long)counts->rollbacks, (unsigned long long)counts->caught_up,
           (unsigned long long)counts->probes, (unsigned long long)counts->sets_late);
}

static void print_result(const struct options *options, uint64_t seed,
                         const struct dsmr_sim_run_result *r, double real_s)
{
    printf("seed %llu %s hash %016llx validators %u blocks %llu txs %llu executed %llu expired "
           "%llu messages %llu faults",
           (unsigned long long)seed, r->failure[0] == '\0' ? "ok" : "FAILED",
           (unsigned long long)r->hash, r->validators, (unsigned long long)r->blocks,
           (unsigned long long)r->txs.made, (unsigned long long)r->txs.executed,
           (unsigned long long)r->txs.expired, (unsigned long long)r->messages);
    const char *separator = " ";
    for (int i = 0; i < DSMR_SIM_FAULT_KINDS; i++) {
        if (r->faults[i] > 0) {
            printf("%s%s:%u", separator, dsmr_sim_fault_names[i], r->faults[i]);
            separator = ",";
        }
    }
    printf("%s", separator[0] == ' ' ? " none" : "");
    if (r->disks.parted + r->disks.unread + r->disks.damaged > 0) {
        printf(" disks groups-parted %llu reads-failed %llu bodies-damaged %llu",
               (unsigned long long)r->disks.parted, (unsigned long long)r->disks.unread,
               (unsigned long long)r->disks.damaged);
    }
    if (options->engine == DSMR_SIM_SNOW) {
        print_snow(&r->snow);
    }
    if (r->left > 0) {
        printf(" left out %u", r->left);
    }
    printf(" liars %s virtual %.1f s real %.1f s\n", r->liars > 0 ? r->liar_names : "none",
           (double)r->virtual_us / 1e6, real_s);
    if (r->failure[0] != '\0') {
        printf("  %s\n%s", r->failure, r->postmortem);
        print_reproduce(options, seed);
    }
    fflush(stdout);
}

static bool run_seed(const struct options *options, uint64_t seed)
{
    struct dsmr_sim_run_config config = config_of(options, seed);
    struct dsmr_sim_run_result result, again;
    double begin_s = now_s();
    dsmr_sim_run_one(&config, &result);
    print_result(options, seed, &result, now_s() - begin_s);
    if (virtual_us != NULL) {
        atomic_fetch_add(virtual_us, result.virtual_us * (options->has_to_repeat ? 2 : 1));
    }
    if (options->has_to_repeat) {
        dsmr_sim_run_one(&config, &again);
        if (again.hash != result.hash) {
            printf("  the same seed gave another run: hash %016llx\n",
                   (unsigned long long)again.hash);
            return false;
        }
    }
    return result.failure[0] == '\0';
}

static int print_hash(const struct options *options)
{
    struct dsmr_sim_run_config config = config_of(options, options->first);
    struct dsmr_sim_run_result result;
    dsmr_sim_run_one(&config, &result);
    printf("%016llx\n", (unsigned long long)result.hash);
    if (result.failure[0] != '\0') {
        fprintf(stderr, "dsmr-sim: the run fails: %s\n", result.failure);
    }
    return result.failure[0] == '\0' ? 0 : 1;
}

/* ---- many seeds: a process each, so that an assertion ends one run only ---- */

static bool wait_for_one(const struct options *options, pid_t *pids, uint64_t *seeds)
{
    int status = 0;
    pid_t pid = wait(&status);
    if (pid < 0) {
        perror("dsmr-sim: wait");
        exit(70);
    }
    for (uint32_t i = 0; i < options->jobs; i++) {
        if (pids[i] == pid) {
            pids[i] = 0;
            if (WIFSIGNALED(status)) {
                printf("seed %llu FAILED by signal %d\n", (unsigned long long)seeds[i],
                       WTERMSIG(status));
                print_reproduce(options, seeds[i]);
            }
        }
    }
    return status == 0;
}

static uint32_t free_place(const struct options *options, const pid_t *pids)
{
    uint32_t place = 0;
    while (place < options->jobs && pids[place] != 0) {
        place++;
    }
    return place;
}

static void print_speed(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_CHILDREN, &usage) != 0) {
        return;
    }
    double cpu_s = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
                   (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
    double virtual_s = (double)atomic_load(virtual_us) / 1e6;
    printf("virtual %.0f s, processor %.1f s: %.0f virtual seconds a second\n", virtual_s, cpu_s,
           cpu_s > 0 ? virtual_s / cpu_s : 0);
}

static uint64_t run_seeds(const struct options *options)
{
    pid_t pids[64] = {0};
    uint64_t seeds[64] = {0}, failed = 0, running = 0;
    void *shared =
        mmap(NULL, sizeof(*virtual_us), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    virtual_us = shared == MAP_FAILED ? NULL : shared;
    for (uint64_t seed = options->first; seed <= options->last; seed++) {
        uint32_t place = free_place(options, pids);
        if (place == options->jobs) {
            failed += !wait_for_one(options, pids, seeds);
            running--;
            place = free_place(options, pids);
        }
        fflush(stdout);
        pid_t pid = fork();
        if (pid < 0) {
            perror("dsmr-sim: fork");
            exit(70);
        }
        if (pid == 0) {
            _exit(run_seed(options, seed) ? 0 : 1);
        }
        pids[place] = pid;
        seeds[place] = seed;
        running++;
    }
    for (; running > 0; running--) {
        failed += !wait_for_one(options, pids, seeds);
    }
    if (virtual_us != NULL) {
        print_speed();
    }
    return failed;
}

/* ---- shrinking ---- */

#define FAILURE_BYTES sizeof(((struct dsmr_sim_run_result *)0)->failure)

/* In a process of its own: a run that aborts fails, too, and then says nothing. said is shared. */
static bool fails(const struct dsmr_sim_run_config *config, char *said)
{
    fflush(stdout);
    said[0] = '\0';
    pid_t pid = fork();
    if (pid == 0) {
        struct dsmr_sim_run_result result;
        if (freopen("/dev/null", "w", stderr) == NULL ||
            freopen("/dev/null", "w", stdout) == NULL) {
            _exit(1);
        }
        dsmr_sim_run_one(config, &result);
        memcpy(said, result.failure, FAILURE_BYTES);
        _exit(result.failure[0] == '\0' ? 0 : 1);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        perror("dsmr-sim: a run in a process of its own");
        exit(70);
    }
    return status != 0;
}

/* Both begin with the rule: fewer faults may break another one, which is another bug. */
static bool is_same_rule(const char *a, const char *b)
{
    const char *a_end = strstr(a, " at "), *b_end = strstr(b, " at ");
    return a_end == NULL || b_end == NULL
               ? a_end == b_end
               : a_end - a == b_end - b && memcmp(a, b, (size_t)(a_end - a)) == 0;
}

struct shrinking {
    struct dsmr_sim_run_config *config;
    const char *first; /* what it failed by */
    char *said;
};

static bool still_fails(void *ctx, const bool *tried)
{
    const struct shrinking *self = ctx;
    self->config->is_left_out = tried;
    return fails(self->config, self->said) && is_same_rule(self->first, self->said);
}

static int minimize(const struct options *options)
{
    static bool is_left_out[DSMR_SIM_FAULTS_MAX];
    char first[FAILURE_BYTES];
    struct dsmr_sim_run_result result;
    struct dsmr_sim_run_config config = config_of(options, options->first);
    char *said =
        mmap(NULL, FAILURE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    DSMR_ASSERT(said != MAP_FAILED);
    config.is_traced = false;
    if (!fails(&config, said)) {
        printf("seed %llu does not fail\n", (unsigned long long)options->first);
        return 1;
    }
    memcpy(first, said, sizeof(first));
    struct shrinking shrinking = {.config = &config, .first = first, .said = said};
    dsmr_sim_shrink(is_left_out, dsmr_sim_run_faults(&config), still_fails, &shrinking);
    config.is_left_out = is_left_out;
    printf("seed %llu still fails with these faults only:\n", (unsigned long long)options->first);
    dsmr_sim_run_print_plan(&config);
    fflush(stdout);
    config.is_traced = options->is_traced; /* of what is left */
    dsmr_sim_run_one(&config, &result);    /* aborts if it did, and says why */
    printf("  %s\n%s", result.failure, result.postmortem);
    return 0;
}

/* ---- options ---- */

static int wrong(const char *option, const char *value)
{
    fprintf(stderr, "dsmr-sim: --%s: '%s' is not a value for it; see --help\n", option, value);
    return EXIT_USAGE;
}

/* word: the last one that getopt has read; with letters in one word it is the one before. */
static int wrong_option(const char *word, int what)
{
    const char letter[] = {'-', (char)optopt, '\0'};
    bool is_letter = what == '?' && optopt != 0 && strncmp(word, "--", 2) != 0;
    fprintf(stderr, "dsmr-sim: '%s' %s; see --help\n", is_letter ? letter : word,
            what == ':' ? "needs a value" : "is no option");
    return EXIT_USAGE;
}

static bool read_number(const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < low ||
        value > high) {
        return false;
    }
    *out = value;
    return true;
}

static bool read_range(const char *text, struct options *options)
{
    char first[32];
    const char *dots = strstr(text, "..");
    if (dots == NULL || (size_t)(dots - text) >= sizeof(first)) {
        return false;
    }
    memcpy(first, text, (size_t)(dots - text));
    first[dots - text] = '\0';
    return read_number(first, 0, UINT64_MAX, &options->first) &&
           read_number(dots + 2, options->first, UINT64_MAX - 1, &options->last);
}

/* 0, or the exit code: options that say two things, or would be ignored. */
static int check_together(const struct options *options)
{
    const char *wrong = NULL;
    if (options->has_seed && options->is_range) {
        wrong = "--seed and --seeds say two things";
    } else if (options->has_to_hash + options->has_to_minimize + options->has_to_repeat > 1) {
        wrong = "of --hash, --minimize and --repeat only one goes";
    } else if (options->has_to_list && options->mutation != NULL) {
        wrong = "--list-mutations and --mutation say two things";
    } else if (options->jobs > 1 && !options->is_range && options->mutation == NULL) {
        wrong = "--jobs is for --seeds";
    } else if (options->liar != NULL && !options->profile->has_byz) {
        wrong = "--liar is for a --profile with liars: default, byz, storm or bls";
    }
    if (wrong != NULL) {
        fprintf(stderr, "dsmr-sim: %s\n", wrong);
        return EXIT_USAGE;
    }
    if (options->fixed != NULL && (options->mutation != NULL || options->has_to_list)) {
        fprintf(stderr, "dsmr-sim: --%s is not for planted bugs: their patches say how they run\n",
                options->fixed);
        return EXIT_USAGE;
    }
    return 0;
}

static int read_option(struct options *options, int what, const char *value)
{
    uint64_t number = 0;
    char *end = NULL;
    switch (what) {
    case 's':
        if (!read_number(value, 0, UINT64_MAX - 1, &options->first)) {
            return wrong("seed", value);
        }
        options->last = options->first;
        options->has_seeds = options->has_seed = true;
        return 0;
    case 'S':
        options->has_seeds = options->is_range = true;
        return read_range(value, options) ? 0 : wrong("seeds", value);
    case 'v':
        if (!read_number(value, 4, 300, &number)) {
            return wrong("validators", value);
        }
        options->validators = (uint32_t)number;
        return 0;
    case 'm':
        options->minutes = strtod(value, &end);
        options->minutes_text = value;
        return end == value || *end != '\0' || !(options->minutes > 0 && options->minutes <= 600)
                   ? wrong("minutes", value)
                   : 0;
    case 'p':
        options->profile = dsmr_sim_profile_find(value);
        return options->profile == NULL ? wrong("profile", value) : 0;
    case 'e':
        options->engine = strcmp(value, "snow") == 0 ? DSMR_SIM_SNOW : DSMR_SIM_BFT;
        return options->engine == DSMR_SIM_BFT && strcmp(value, "bft") != 0 ? wrong("engine", value)
                                                                            : 0;
    case 'l':
        options->liar = dsmr_sim_byz_find(value);
        return options->liar == NULL ? wrong("liar", value) : 0;
    case 'j':
        if (!read_number(value, 1, 64, &number)) {
            return wrong("jobs", value);
        }
        options->jobs = (uint32_t)number;
        return 0;
    case 'M':
        options->mutation = value;
        return 0;
    case 't':
        options->is_traced = true;
        return 0;
    case 'r':
        options->has_to_repeat = true;
        return 0;
    case 'H':
        options->has_to_hash = true;
        return 0;
    case 'z':
        options->has_to_minimize = true;
        return 0;
    case 'L':
        options->has_to_list = true;
        return 0;
    default:
        DSMR_UNREACHABLE();
    }
}

/* 0, or the exit code of what is wrong; -1: help was asked for. */
static int read_options(struct options *options, int argc, char **argv)
{
    /* A node that starts again gets tables full of zeros from the kernel and touches a few pages of
     * them; from the heap they would have to be cleared. */
    (void)mallopt(M_MMAP_THRESHOLD, 128 << 10);
    static const struct option names[] = {{"seed", required_argument, NULL, 's'},
                                          {"seeds", required_argument, NULL, 'S'},
                                          {"validators", required_argument, NULL, 'v'},
                                          {"minutes", required_argument, NULL, 'm'},
                                          {"profile", required_argument, NULL, 'p'},
                                          {"engine", required_argument, NULL, 'e'},
                                          {"liar", required_argument, NULL, 'l'},
                                          {"jobs", required_argument, NULL, 'j'},
                                          {"trace", no_argument, NULL, 't'},
                                          {"hash", no_argument, NULL, 'H'},
                                          {"repeat", no_argument, NULL, 'r'},
                                          {"minimize", no_argument, NULL, 'z'},
                                          {"list-mutations", no_argument, NULL, 'L'},
                                          {"mutation", required_argument, NULL, 'M'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int what, code = 0;
    opterr = 0;
    while (code == 0 && (what = getopt_long(argc, argv, ":", names, NULL)) != -1) {
        if (what == 'h') {
            return -1;
        }
        if (what == ':' || what == '?') {
            return wrong_option(argv[optind - 1], what);
        }
        code = read_option(options, what, optarg);
        for (const struct option *name = names; name->name != NULL; name++) {
            bool is_open = strchr("sSML", name->val) != NULL;
            options->fixed = name->val == what && !is_open ? name->name : options->fixed;
        }
    }
    code = code == 0 ? check_together(options) : code;
    if (code == 0 && optind < argc) {
        fprintf(stderr, "dsmr-sim: '%s' is no option; see --help\n", argv[optind]);
        return EXIT_USAGE;
    }
    bool has_range = options->first != options->last && options->mutation == NULL;
    if (code == 0 && has_range && (options->has_to_hash || options->has_to_minimize)) {
        fprintf(stderr, "dsmr-sim: --hash and --minimize are for the run of one --seed\n");
        return EXIT_USAGE;
    }
    return code;
}

int main(int argc, char **argv)
{
    struct options options = {.program = argv[0],
                              .jobs = 1,
                              .minutes = 1,
                              .minutes_text = "1",
                              .profile = &dsmr_sim_profiles[0]};
    /* It may be inherited ignored, and then nobody could be told how a run ended. */
    (void)signal(SIGCHLD, SIG_DFL);
    if (argc > 1 && strcmp(argv[1], "--report") == 0) {
        return dsmr_sim_scale_main(argc - 1, argv + 1);
    }
    int code = read_options(&options, argc, argv);
    if (code != 0) {
        if (code < 0) {
            print_help();
        }
        return code < 0 ? 0 : code;
    }
    if (options.has_to_list) {
        return dsmr_sim_mutation_list();
    }
    if (options.mutation != NULL) {
        return dsmr_sim_mutation_run(options.mutation, options.has_seeds ? &options.first : NULL,
                                     options.last);
    }
    if (!options.has_seeds) {
        options.first = options.last = 1;
    }
    if (options.has_to_minimize) {
        return minimize(&options);
    }
    if (options.has_to_hash) {
        return print_hash(&options);
    }
    if (!options.is_range) {
        return run_seed(&options, options.first) ? 0 : 1;
    }
    uint64_t failed = run_seeds(&options);
    printf("%llu passed, %llu failed\n",
           (unsigned long long)(options.last - options.first + 1 - failed),
           (unsigned long long)failed);
    return failed == 0 ? 0 : 1;
}
