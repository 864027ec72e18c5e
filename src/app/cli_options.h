/* cli_options.h - one table of verbs and options drives parsing, --help, man page and completion.
 *
 * Why:        what is documented is what is parsed. dsmr and dsmrd both use it.
 * Order:      flag, then environment DSMR_NAME (upper case, - becomes _), then the caller's file,
 *             then the table's default.
 * Errors:     a wrong verb, option or value is one sentence on stderr and DSMR_EXIT_USAGE.
 * Limits:     DSMR_CLI_OPTIONS_MAX options a verb, DSMR_CLI_ARGS_MAX positional arguments.
 * Threads:    one owner; reads the environment.
 * Files:      cli.c parses; cli_help.c, cli_man.c and cli_complete.c print. */
#ifndef DSMR_APP_CLI_OPTIONS_H
#define DSMR_APP_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DSMR_CLI_OPTIONS_MAX 48u
#define DSMR_CLI_ARGS_MAX 8u

enum dsmr_cli_type {
    DSMR_CLI_FLAG,     /* no argument; --no-NAME turns it off; in env and file: true, false, 1, 0 */
    DSMR_CLI_TEXT,     /* any text, not empty */
    DSMR_CLI_NUMBER,   /* integer in [min, max]; 10_000 is fine */
    DSMR_CLI_DURATION, /* number with ms, s, m or h; a bare number is seconds; min, max in ms */
    DSMR_CLI_CHOICE    /* one of choices, separated by | */
};

struct dsmr_cli_option {
    const char *name; /* without dashes */
    const char *arg;  /* placeholder in help: "N", "DIR"; NULL for FLAG */
    enum dsmr_cli_type type;
    uint64_t min, max; /* NUMBER, DURATION; max 0: no limit */
    const char *choices;
    const char *fallback; /* default as text; NULL: none, the option is then absent */
    const char *help;     /* one sentence, lower case, no full stop */
};

struct dsmr_cli_values;

struct dsmr_cli_verb {
    const char *name;    /* may have a space: "keys new" */
    const char *args;    /* "ADDRESS AMOUNT" for help; NULL: none */
    const char *summary; /* one sentence */
    uint32_t args_min, args_max;
    const struct dsmr_cli_option *options;
    size_t options_count;
    /* Returns an exit code. NULL: the caller looks at values->verb itself. */
    int (*run)(const struct dsmr_cli_values *values);
    const char *common; /* which of the program's common options it takes: "node|json" */
};

struct dsmr_cli_program {
    const char *name; /* "dsmr" */
    const char *summary;
    const char *description; /* paragraph for the man page */
    const struct dsmr_cli_verb *verbs;
    size_t verbs_count;
    const struct dsmr_cli_option *common; /* options that several verbs share */
    size_t common_count;
    const struct dsmr_cli_file { /* for the man page */
        const char *path, *meaning;
    } * files;
    size_t files_count;
    const char *see_also; /* another program's man page, or NULL */
};

enum dsmr_cli_source {
    DSMR_CLI_ABSENT,
    DSMR_CLI_FROM_DEFAULT,
    DSMR_CLI_FROM_FILE,
    DSMR_CLI_FROM_ENV,
    DSMR_CLI_FROM_FLAG
};

struct dsmr_cli_values {
    const struct dsmr_cli_program *program;
    const struct dsmr_cli_verb *verb;
    struct dsmr_cli_value {
        const struct dsmr_cli_option *option;
        enum dsmr_cli_source source;
        const char *text; /* borrowed from argv, environment, file or table; NULL if absent */
        uint64_t number;  /* FLAG 0 or 1, NUMBER, DURATION in ms, CHOICE its place */
    } values[DSMR_CLI_OPTIONS_MAX];
    size_t values_count;
    const char *args[DSMR_CLI_ARGS_MAX];
    uint32_t args_count;
};

/* Parses argv[1..] into values: verb, options, arguments. --help, help, --man, --version and
 * "completion bash|zsh|fish" are answered here on stdout. Returns -1 to go on, otherwise the exit
 * code to end with. Strings stay borrowed from argv and the environment. */
int dsmr_cli_parse(struct dsmr_cli_values *values, const struct dsmr_cli_program *program, int argc,
                   char **argv);
/* The same, then runs the verb; IO if what it printed could not be written. */
int dsmr_cli_main(const struct dsmr_cli_program *program, int argc, char **argv);

/* Fills what is absent or from the default with the file's values: lookup returns the text of
 * the option of that name or NULL; *line is set to where it stands. file: for the message. Returns
 * -1, or DSMR_EXIT_CONFIG after one sentence that names file, line and range. */
int dsmr_cli_merge_file(struct dsmr_cli_values *values, const char *file,
                        const char *(*lookup)(void *ctx, const char *name, unsigned *line),
                        void *ctx);

/* By name; the option must be in the table (asserted). */
bool dsmr_cli_has(const struct dsmr_cli_values *values, const char *name);
enum dsmr_cli_source dsmr_cli_source(const struct dsmr_cli_values *values, const char *name);
bool dsmr_cli_flag(const struct dsmr_cli_values *values, const char *name);
uint64_t dsmr_cli_number(const struct dsmr_cli_values *values, const char *name);  /* also ms */
const char *dsmr_cli_text(const struct dsmr_cli_values *values, const char *name); /* or NULL */

/* Checks one text against an option: -1, or fills message with "must be ...". */
int dsmr_cli_check(const struct dsmr_cli_option *option, const char *text, uint64_t *number,
                   char *message, size_t message_size);

/* ---- what is printed from the table ---- */
/* The next option of verb, its own before the common ones that it takes; NULL at the end. Start
 * with *at 0. A common one that the verb has too is left out. */
const struct dsmr_cli_option *dsmr_cli_next_option(const struct dsmr_cli_program *program,
                                                   const struct dsmr_cli_verb *verb, size_t *at);
void dsmr_cli_help_print(FILE *out, const struct dsmr_cli_program *program,
                         const struct dsmr_cli_verb *verb); /* verb NULL: the overview */
/* The verbs of two words that begin with this one; false if there is none. out may be NULL. */
bool dsmr_cli_help_group(FILE *out, const struct dsmr_cli_program *program, const char *word);
void dsmr_cli_man(FILE *out, const struct dsmr_cli_program *program); /* roff, section 1 */
/* shell: bash, zsh, fish. false if it is another. */
bool dsmr_cli_complete(FILE *out, const struct dsmr_cli_program *program, const char *shell);

/* Prints text as a JSON string, quotes included. */
void dsmr_cli_print_json(FILE *out, const char *text);
/* Control characters become question marks: a value may hold anything, a sentence is one line. */
void dsmr_cli_one_line(char *text);
/* One sentence to stderr, "PROGRAM: ...", and the code back: return dsmr_cli_fail(...). */
int dsmr_cli_fail(const struct dsmr_cli_values *values, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
