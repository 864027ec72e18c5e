#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "app/cli_options.h"
#include "app/exit_codes.h"
#include "base/assert.h"

#define MESSAGE_BYTES 192u
#define FAIL_BYTES 8192u /* a path and a value */
#define NAME_BYTES_MAX 64u

/* ---- values ---- */

static bool parse_integer(const char *text, uint64_t *out, const char **rest)
{
    uint64_t value = 0;
    bool has_digit = false;
    for (; isdigit((unsigned char)*text) || (*text == '_' && has_digit); text++) {
        if (*text == '_') {
            continue;
        }
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
        has_digit = true;
    }
    *out = value;
    *rest = text;
    return has_digit;
}

static bool parse_duration(const char *text, uint64_t *ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    uint64_t value = 0;
    const char *rest = NULL;
    if (!parse_integer(text, &value, &rest)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(rest, units[i].unit) == 0) {
            if (value > UINT64_MAX / units[i].ms) {
                return false;
            }
            *ms = value * units[i].ms;
            return true;
        }
    }
    return false;
}

static bool parse_flag(const char *text, uint64_t *out)
{
    if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0) {
        *out = 1;
        return true;
    }
    *out = 0;
    return strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
}

static bool parse_choice(const char *choices, const char *text, uint64_t *place)
{
    size_t wanted = strlen(text);
    uint64_t at = 0;
    for (const char *choice = choices; wanted > 0; at++) {
        size_t len = strcspn(choice, "|");
        if (len == wanted && strncmp(choice, text, len) == 0) {
            *place = at;
            return true;
        }
        if (choice[len] == '\0') {
            return false;
        }
        choice += len + 1;
    }
    return false;
}

static void say_range(const struct dsmr_cli_option *option, char *message, size_t size,
                      const char *what, const char *unit)
{
    if (option->max == 0 && option->min == 0) {
        (void)snprintf(message, size, "must be %s", what);
    } else if (option->max == 0) {
        (void)snprintf(message, size, "must be %s, at least %llu%s", what,
                       (unsigned long long)option->min, unit);
    } else {
        (void)snprintf(message, size, "must be %s from %llu%s to %llu%s", what,
                       (unsigned long long)option->min, unit, (unsigned long long)option->max,
                       unit);
    }
}

int dsmr_cli_check(const struct dsmr_cli_option *option, const char *text, uint64_t *number,
                   char *message, size_t message_size)
{
    const char *rest = "";
    bool is_good = false;
    *number = 0;
    switch (option->type) {
    case DSMR_CLI_FLAG:
        is_good = parse_flag(text, number);
        (void)snprintf(message, message_size, "must be true or false");
        break;
    case DSMR_CLI_TEXT:
        is_good = *text != '\0';
        (void)snprintf(message, message_size, "must not be empty");
        break;
    case DSMR_CLI_NUMBER:
        is_good = parse_integer(text, number, &rest) && *rest == '\0' && *number >= option->min &&
                  (option->max == 0 || *number <= option->max);
        say_range(option, message, message_size, "a whole number", "");
        break;
    case DSMR_CLI_DURATION:
        is_good = parse_duration(text, number) && *number >= option->min &&
                  (option->max == 0 || *number <= option->max);
        say_range(option, message, message_size, "a time such as 500ms, 30s or 2m", " ms");
        break;
    case DSMR_CLI_CHOICE:
        is_good = parse_choice(option->choices, text, number);
        (void)snprintf(message, message_size, "must be one of %s", option->choices);
        break;
    default:
        DSMR_UNREACHABLE();
    }
    return is_good ? -1 : DSMR_EXIT_USAGE;
}

void dsmr_cli_one_line(char *text)
{
    for (char *c = text; *c != '\0'; c++) {
        *c = (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c;
    }
}

int dsmr_cli_fail(const struct dsmr_cli_values *values, int code, const char *format, ...)
{
    char text[FAIL_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    dsmr_cli_one_line(text);
    fprintf(stderr, "%s: %s\n", values->program->name, text);
    return code;
}

void dsmr_cli_print_json(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            fprintf(out, "\\%c", *text);
        } else if ((unsigned char)*text < 0x20) {
            fprintf(out, "\\u%04x", (unsigned)*text);
        } else {
            fputc(*text, out);
        }
    }
    fputc('"', out);
}

/* ---- looking up ---- */

static struct dsmr_cli_value *find(struct dsmr_cli_values *values, const char *name, size_t len)
{
    for (size_t i = 0; i < values->values_count; i++) {
        const char *known = values->values[i].option->name;
        if (strlen(known) == len && strncmp(known, name, len) == 0) {
            return &values->values[i];
        }
    }
    return NULL;
}

static const struct dsmr_cli_value *get(const struct dsmr_cli_values *values, const char *name)
{
    for (size_t i = 0; i < values->values_count; i++) {
        if (strcmp(values->values[i].option->name, name) == 0) {
            return &values->values[i];
        }
    }
    DSMR_UNREACHABLE();
}

bool dsmr_cli_has(const struct dsmr_cli_values *values, const char *name)
{
    return get(values, name)->source != DSMR_CLI_ABSENT;
}

enum dsmr_cli_source dsmr_cli_source(const struct dsmr_cli_values *values, const char *name)
{
    return get(values, name)->source;
}

bool dsmr_cli_flag(const struct dsmr_cli_values *values, const char *name)
{
    return get(values, name)->number != 0;
}

uint64_t dsmr_cli_number(const struct dsmr_cli_values *values, const char *name)
{
    return get(values, name)->number;
}

const char *dsmr_cli_text(const struct dsmr_cli_values *values, const char *name)
{
    return get(values, name)->text;
}

/* ---- filling ---- */

static void add_options(struct dsmr_cli_values *values)
{
    const struct dsmr_cli_option *option = NULL;
    size_t at = 0;
    while ((option = dsmr_cli_next_option(values->program, values->verb, &at)) != NULL) {
        DSMR_ASSERT(values->values_count < DSMR_CLI_OPTIONS_MAX);
        values->values[values->values_count++] =
            (struct dsmr_cli_value){.option = option, .source = DSMR_CLI_ABSENT};
    }
}

/* where: "--rate", "DSMR_RATE": what the sentence begins with. */
static int set(struct dsmr_cli_values *values, struct dsmr_cli_value *value, const char *text,
               enum dsmr_cli_source source, const char *where)
{
    char message[MESSAGE_BYTES];
    uint64_t number = 0;
    if (dsmr_cli_check(value->option, text, &number, message, sizeof(message)) >= 0) {
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "%s %s, not \"%s\"", where, message, text);
    }
    value->text = text;
    value->number = number;
    value->source = source;
    return -1;
}

static int set_from_environment(struct dsmr_cli_values *values)
{
    for (size_t i = 0; i < values->values_count; i++) {
        struct dsmr_cli_value *value = &values->values[i];
        char name[NAME_BYTES_MAX] = "DSMR_";
        size_t at = strlen(name);
        for (const char *c = value->option->name; *c != '\0' && at + 1 < sizeof(name); c++) {
            name[at++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        }
        name[at] = '\0';
        const char *text = getenv(name);
        if (text != NULL && *text != '\0' && value->source == DSMR_CLI_ABSENT) {
            int code = set(values, value, text, DSMR_CLI_FROM_ENV, name);
            if (code >= 0) {
                return code;
            }
        }
    }
    return -1;
}

static void set_defaults(struct dsmr_cli_values *values)
{
    for (size_t i = 0; i < values->values_count; i++) {
        struct dsmr_cli_value *value = &values->values[i];
        char message[MESSAGE_BYTES];
        if (value->source == DSMR_CLI_ABSENT && value->option->fallback != NULL) {
            int code = dsmr_cli_check(value->option, value->option->fallback, &value->number,
                                      message, sizeof(message));
            DSMR_ASSERT(code < 0);
            value->text = value->option->fallback;
            value->source = DSMR_CLI_FROM_DEFAULT;
        }
    }
}

int dsmr_cli_merge_file(struct dsmr_cli_values *values, const char *file,
                        const char *(*lookup)(void *ctx, const char *name, unsigned *line),
                        void *ctx)
{
    for (size_t i = 0; i < values->values_count; i++) {
        struct dsmr_cli_value *value = &values->values[i];
        char message[MESSAGE_BYTES];
        unsigned line = 0;
        uint64_t number = 0;
        const char *text = lookup(ctx, value->option->name, &line);
        if (text == NULL) {
            continue;
        }
        /* A wrong value is wrong even where a flag hides it. */
        if (dsmr_cli_check(value->option, text, &number, message, sizeof(message)) >= 0) {
            return dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "%s:%u: %s %s, not \"%s\"", file, line,
                                 value->option->name, message, text);
        }
        if (value->source == DSMR_CLI_ABSENT || value->source == DSMR_CLI_FROM_DEFAULT) {
            value->text = text;
            value->number = number;
            value->source = DSMR_CLI_FROM_FILE;
        }
    }
    return -1;
}

/* ---- the command line ---- */

/* The verb that argv[1..] names, of one word or two; *words of argv are it. */
static const struct dsmr_cli_verb *find_verb(const struct dsmr_cli_program *program, int argc,
                                             char **argv, int *words)
{
    for (size_t i = 0; i < program->verbs_count; i++) {
        const char *name = program->verbs[i].name;
        const char *space = strchr(name, ' ');
        size_t first = space != NULL ? (size_t)(space - name) : strlen(name);
        if (argc < 2 || strlen(argv[1]) != first || strncmp(argv[1], name, first) != 0) {
            continue;
        }
        if (space == NULL) {
            *words = 1;
            return &program->verbs[i];
        }
        if (argc >= 3 && strcmp(argv[2], space + 1) == 0) {
            *words = 2;
            return &program->verbs[i];
        }
    }
    return NULL;
}

/* The second words behind this one, as "new|list". */
static void second_words(const struct dsmr_cli_program *program, const char *first, char *out,
                         size_t size)
{
    size_t len = strlen(first);
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < program->verbs_count; i++) {
        const char *name = program->verbs[i].name;
        if (strncmp(name, first, len) == 0 && name[len] == ' ' && at + 1 < size) {
            at += (size_t)snprintf(out + at, size - at, "%s%s", at > 0 ? "|" : "", name + len + 1);
        }
    }
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int no_verb(struct dsmr_cli_values *values, int argc, char **argv)
{
    const struct dsmr_cli_program *program = values->program;
    char words[MESSAGE_BYTES];
    if (argc < 2) {
        dsmr_cli_help_print(stderr, program, NULL);
        return DSMR_EXIT_USAGE;
    }
    if (dsmr_cli_help_group(NULL, program, argv[1])) {
        if (argc > 2 && asks_for_help(argv[2])) {
            (void)dsmr_cli_help_group(stdout, program, argv[1]);
            return DSMR_EXIT_OK;
        }
        second_words(program, argv[1], words, sizeof(words));
        if (argc < 3) {
            return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "%s needs a second word: %s", argv[1],
                                 words);
        }
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "%s has no second word \"%s\", only %s",
                             argv[1], argv[2], words);
    }
    if (argv[1][0] == '-') {
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "the verb comes first: %s VERB %s",
                             program->name, argv[1]);
    }
    return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "there is no verb \"%s\"; see %s --help", argv[1],
                         program->name);
}

/* "help" with or without a verb, which is argv[1..] of what is left. */
static int help(struct dsmr_cli_values *values, int argc, char **argv)
{
    int words = 0;
    const struct dsmr_cli_verb *verb = find_verb(values->program, argc, argv, &words);
    if (argc > 1 && verb == NULL) {
        if (dsmr_cli_help_group(stdout, values->program, argv[1])) {
            return DSMR_EXIT_OK;
        }
        return no_verb(values, argc, argv);
    }
    dsmr_cli_help_print(stdout, values->program, verb);
    return DSMR_EXIT_OK;
}

/* Questions about the program itself. -1: it was not one. */
static int answer(struct dsmr_cli_values *values, int argc, char **argv)
{
    const struct dsmr_cli_program *program = values->program;
    const char *first = argc > 1 ? argv[1] : "";
    if (asks_for_help(first) || strcmp(first, "help") == 0) {
        return help(values, argc - 1, argv + 1);
    }
    if (strcmp(first, "--man") == 0) {
        dsmr_cli_man(stdout, program);
        return DSMR_EXIT_OK;
    }
    if (strcmp(first, "--version") == 0) {
        printf("%s %s\n", program->name, DSMR_VERSION);
        return DSMR_EXIT_OK;
    }
    if (strcmp(first, "completion") == 0) {
        if (argc == 3 && dsmr_cli_complete(stdout, program, argv[2])) {
            return DSMR_EXIT_OK;
        }
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "completion is for bash, zsh or fish");
    }
    return -1;
}

/* argv[at] is an option; *at moves behind it. */
static int parse_option(struct dsmr_cli_values *values, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    const char *name = word + strspn(word, "-");
    size_t len = strcspn(name, "=");
    const char *text = name[len] == '=' ? name + len + 1 : NULL;
    char where[NAME_BYTES_MAX];
    struct dsmr_cli_value *value = find(values, name, len);
    (*at)++;
    if (value == NULL && strncmp(name, "no-", 3) == 0 && text == NULL) {
        value = find(values, name + 3, len - 3);
        text = "false";
        if (value != NULL && value->option->type != DSMR_CLI_FLAG) {
            value = NULL;
        }
    }
    if (value == NULL) {
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "%s has no option %.*s; see %s %s --help",
                             values->verb->name, (int)strcspn(word, "="), word,
                             values->program->name, values->verb->name);
    }
    (void)snprintf(where, sizeof(where), "--%s", value->option->name);
    if (value->option->type == DSMR_CLI_FLAG) {
        return set(values, value, text != NULL ? text : "true", DSMR_CLI_FROM_FLAG, where);
    }
    if (text == NULL) {
        if (*at >= argc) {
            return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "%s needs a value: %s", where,
                                 value->option->arg);
        }
        text = argv[(*at)++];
    }
    return set(values, value, text, DSMR_CLI_FROM_FLAG, where);
}

static int parse_words(struct dsmr_cli_values *values, int argc, char **argv, int at)
{
    const struct dsmr_cli_verb *verb = values->verb;
    bool is_options = true;
    while (at < argc) {
        const char *word = argv[at];
        if (is_options && strcmp(word, "--") == 0) {
            is_options = false;
            at++;
        } else if (is_options && asks_for_help(word)) {
            dsmr_cli_help_print(stdout, values->program, verb);
            return DSMR_EXIT_OK;
        } else if (is_options && word[0] == '-' && word[1] != '\0') {
            int code = parse_option(values, argc, argv, &at);
            if (code >= 0) {
                return code;
            }
        } else if (values->args_count < verb->args_max && values->args_count < DSMR_CLI_ARGS_MAX) {
            values->args[values->args_count++] = argv[at++];
        } else {
            return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "%s does not take \"%s\"", verb->name,
                                 word);
        }
    }
    if (values->args_count < verb->args_min) {
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "%s needs: %s", verb->name, verb->args);
    }
    return -1;
}

int dsmr_cli_parse(struct dsmr_cli_values *values, const struct dsmr_cli_program *program, int argc,
                   char **argv)
{
    int words = 0;
    memset(values, 0, sizeof(*values));
    values->program = program;
    values->verb = find_verb(program, argc, argv, &words);
    if (values->verb == NULL) {
        int code = answer(values, argc, argv);
        return code >= 0 ? code : no_verb(values, argc, argv);
    }
    add_options(values);
    int code = parse_words(values, argc, argv, 1 + words);
    if (code < 0) {
        code = set_from_environment(values);
    }
    if (code < 0) {
        set_defaults(values);
    }
    return code;
}

int dsmr_cli_main(const struct dsmr_cli_program *program, int argc, char **argv)
{
    static struct dsmr_cli_values values;
    int code = dsmr_cli_parse(&values, program, argc, argv);
    if (code < 0) {
        DSMR_ASSERT(values.verb->run != NULL);
        code = values.verb->run(&values);
    }
    if ((fflush(stdout) != 0 || ferror(stdout) != 0) && code == DSMR_EXIT_OK) {
        code = dsmr_cli_fail(&values, DSMR_EXIT_IO, "standard output: %s", strerror(errno));
    }
    return code;
}
