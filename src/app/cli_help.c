#include <ctype.h>
#include <string.h>

#include "app/cli_options.h"
#include "app/exit_codes.h"

#define COLUMN 26

/* X(code, meaning): what the man page says of exit codes. */
static const struct {
    int code;
    const char *meaning;
} exit_codes[] = {
    {DSMR_EXIT_OK, "done"},
    {DSMR_EXIT_REFUSED, "the request was understood and refused"},
    {DSMR_EXIT_HALTED, "halted for safety; do not restart before looking"},
    {DSMR_EXIT_DISK_LOW, "no space left on the disk"},
    {DSMR_EXIT_USAGE, "unknown verb or option, or a bad value"},
    {DSMR_EXIT_DATA, "bad genesis or data, or data of a newer version"},
    {DSMR_EXIT_UNAVAILABLE, "node, peer or engine cannot be reached, or a port is in use"},
    {DSMR_EXIT_INTERNAL, "a bug in the program"},
    {DSMR_EXIT_IO, "input or output error"},
    {DSMR_EXIT_CONFIG, "the configuration is wrong, or the home is in use"},
};

struct options {
    const struct dsmr_cli_option *items[2];
    size_t counts[2];
};

static struct options options_of(const struct dsmr_cli_program *program,
                                 const struct dsmr_cli_verb *verb)
{
    struct options all = {{verb->options, program->common},
                          {verb->options_count, program->common_count}};
    return all;
}

/* The next option, the verb's before the common ones; NULL at the end. A common one that the verb
 * has too is left out. */
static const struct dsmr_cli_option *next_option(const struct options *all, size_t *at)
{
    for (; *at < all->counts[0] + all->counts[1]; (*at)++) {
        if (*at < all->counts[0]) {
            return &all->items[0][(*at)++];
        }
        const struct dsmr_cli_option *common = &all->items[1][*at - all->counts[0]];
        bool is_hidden = false;
        for (size_t i = 0; i < all->counts[0]; i++) {
            is_hidden = is_hidden || strcmp(all->items[0][i].name, common->name) == 0;
        }
        if (!is_hidden) {
            (*at)++;
            return common;
        }
    }
    return NULL;
}

static void print_default(FILE *out, const struct dsmr_cli_option *option)
{
    if (option->type == DSMR_CLI_CHOICE) {
        fprintf(out, " (%s)", option->choices);
    }
    if (option->fallback != NULL && option->type != DSMR_CLI_FLAG) {
        fprintf(out, " [%s]", option->fallback);
    }
}

static void print_options(FILE *out, const struct dsmr_cli_program *program,
                          const struct dsmr_cli_verb *verb)
{
    const struct options all = options_of(program, verb);
    const struct dsmr_cli_option *option = NULL;
    size_t at = 0;
    fputs("\nOptions:\n", out);
    while ((option = next_option(&all, &at)) != NULL) {
        int width = fprintf(out, "  --%s%s%s", option->name, option->arg != NULL ? " " : "",
                            option->arg != NULL ? option->arg : "");
        fprintf(out, "%*s%s", width < COLUMN ? COLUMN - width : 1, "", option->help);
        print_default(out, option);
        fputc('\n', out);
    }
    fputs("  --help", out);
    fprintf(out, "%*sthis text\n", COLUMN - 8, "");
}

void dsmr_cli_help_print(FILE *out, const struct dsmr_cli_program *program,
                         const struct dsmr_cli_verb *verb)
{
    if (verb != NULL) {
        fprintf(out, "%s %s%s%s [options]\n%c%s.\n", program->name, verb->name,
                verb->args != NULL ? " " : "", verb->args != NULL ? verb->args : "",
                toupper((unsigned char)verb->summary[0]), verb->summary + 1);
        print_options(out, program, verb);
        return;
    }
    fprintf(out, "%s - %s\n\nUsage: %s VERB [options]\n\nVerbs:\n", program->name, program->summary,
            program->name);
    for (size_t i = 0; i < program->verbs_count; i++) {
        fprintf(out, "  %-20s %s\n", program->verbs[i].name, program->verbs[i].summary);
    }
    fprintf(out,
            "\n%s VERB --help shows the options of a verb. Each option is also read from the\n"
            "environment: --some-option from DSMR_SOME_OPTION. %s --man prints the manual,\n"
            "%s completion bash|zsh|fish the shell's completion, %s --version the version.\n",
            program->name, program->name, program->name, program->name);
}

/* ---- roff ---- */

/* Text that roff must not read: no leading dot, no bare backslash or hyphen. */
static void roff(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'') {
        fputs("\\&", out);
    }
    for (; *text != '\0'; text++) {
        if (*text == '\\') {
            fputs("\\e", out);
        } else if (*text == '-') {
            fputs("\\-", out);
        } else {
            fputc(*text, out);
        }
    }
}

static void man_option(FILE *out, const struct dsmr_cli_option *option)
{
    fputs(".TP\n.B \\-\\-", out);
    roff(out, option->name);
    if (option->arg != NULL) {
        fputs(" \\fI", out);
        roff(out, option->arg);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    roff(out, option->help);
    if (option->type == DSMR_CLI_CHOICE) {
        fputs(": ", out);
        roff(out, option->choices);
    }
    if (option->fallback != NULL && option->type != DSMR_CLI_FLAG) {
        fputs(" (default ", out);
        roff(out, option->fallback);
        fputc(')', out);
    }
    fputs(".\n", out);
}

static void man_verb(FILE *out, const struct dsmr_cli_program *program,
                     const struct dsmr_cli_verb *verb)
{
    fputs(".SS ", out);
    roff(out, verb->name);
    if (verb->args != NULL) {
        fputc(' ', out);
        roff(out, verb->args);
    }
    fputc('\n', out);
    fputc(toupper((unsigned char)verb->summary[0]), out);
    roff(out, verb->summary + 1);
    fputs(".\n", out);
    for (size_t i = 0; i < verb->options_count; i++) {
        man_option(out, &verb->options[i]);
    }
    (void)program;
}

void dsmr_cli_help_man(FILE *out, const struct dsmr_cli_program *program)
{
    fprintf(out, ".TH %s 1 \"\" \"dsmr %s\" \"User Commands\"\n.SH NAME\n%s \\- ", program->name,
            DSMR_VERSION, program->name);
    roff(out, program->summary);
    fprintf(out, "\n.SH SYNOPSIS\n.B %s\n.I VERB\n[options]\n.SH DESCRIPTION\n", program->name);
    roff(out, program->description != NULL ? program->description : program->summary);
    fputs("\n.SH VERBS\n", out);
    for (size_t i = 0; i < program->verbs_count; i++) {
        man_verb(out, program, &program->verbs[i]);
    }
    fputs(".SH COMMON OPTIONS\n", out);
    for (size_t i = 0; i < program->common_count; i++) {
        man_option(out, &program->common[i]);
    }
    fputs(".SH ENVIRONMENT\nEach option is also read from the environment: \\-\\-some\\-option "
          "from\n.B DSMR_SOME_OPTION .\nA flag goes before the environment, that before the "
          "configuration file.\n.SH EXIT STATUS\n",
          out);
    for (size_t i = 0; i < sizeof(exit_codes) / sizeof(exit_codes[0]); i++) {
        fprintf(out, ".TP\n.B %d\n", exit_codes[i].code);
        roff(out, exit_codes[i].meaning);
        fputs(".\n", out);
    }
}

/* ---- completion ---- */

static void print_flags(FILE *out, const struct dsmr_cli_program *program,
                        const struct dsmr_cli_verb *verb)
{
    const struct options all = options_of(program, verb);
    const struct dsmr_cli_option *option = NULL;
    size_t at = 0;
    while ((option = next_option(&all, &at)) != NULL) {
        fprintf(out, "--%s ", option->name);
    }
    fputs("--help", out);
}

/* The first words of all verbs, each once. */
static void print_first_words(FILE *out, const struct dsmr_cli_program *program)
{
    for (size_t i = 0; i < program->verbs_count; i++) {
        const char *name = program->verbs[i].name;
        size_t len = strcspn(name, " ");
        bool is_new = true;
        for (size_t k = 0; k < i; k++) {
            const char *before = program->verbs[k].name;
            is_new = is_new && !(strcspn(before, " ") == len && strncmp(before, name, len) == 0);
        }
        if (is_new) {
            fprintf(out, "%.*s ", (int)len, name);
        }
    }
    fputs("completion", out);
}

static void print_second_words(FILE *out, const struct dsmr_cli_program *program, const char *first)
{
    size_t len = strlen(first);
    for (size_t i = 0; i < program->verbs_count; i++) {
        const char *name = program->verbs[i].name;
        if (strncmp(name, first, len) == 0 && name[len] == ' ') {
            fprintf(out, "%s ", name + len + 1);
        }
    }
}

/* bash and zsh (through bashcompinit) share one function. */
static void bash(FILE *out, const struct dsmr_cli_program *program)
{
    const char *name = program->name;
    fprintf(out,
            "_%s() {\n    local cur=\"${COMP_WORDS[COMP_CWORD]}\" words=\"\"\n"
            "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words=\"",
            name);
    print_first_words(out, program);
    fputs(" --help --man --version\"\n    else\n        case \"${COMP_WORDS[1]} "
          "${COMP_WORDS[2]}\" in\n",
          out);
    for (size_t i = 0; i < program->verbs_count; i++) {
        const struct dsmr_cli_verb *verb = &program->verbs[i];
        fprintf(out, "        \"%s\"%s) words=\"", verb->name,
                strchr(verb->name, ' ') != NULL ? "" : "\\ *");
        print_flags(out, program, verb);
        fputs("\" ;;\n", out);
        if (strchr(verb->name, ' ') != NULL) {
            char first[32];
            (void)snprintf(first, sizeof(first), "%.*s", (int)strcspn(verb->name, " "), verb->name);
            bool is_last = i + 1 == program->verbs_count ||
                           strncmp(program->verbs[i + 1].name, first, strlen(first)) != 0;
            if (is_last) {
                fprintf(out, "        \"%s\"\\ *) words=\"", first);
                print_second_words(out, program, first);
                fputs("\" ;;\n", out);
            }
        }
    }
    fputs("        \"completion\"\\ *) words=\"bash zsh fish\" ;;\n        esac\n    fi\n"
          "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
          "    [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$cur\"))\n}\n",
          out);
    fprintf(out, "complete -F _%s %s\n", name, name);
}

static void fish(FILE *out, const struct dsmr_cli_program *program)
{
    fprintf(out, "complete -c %s -n __fish_use_subcommand -f -a '", program->name);
    print_first_words(out, program);
    fputs("'\n", out);
    for (size_t i = 0; i < program->verbs_count; i++) {
        const struct dsmr_cli_verb *verb = &program->verbs[i];
        const struct options all = options_of(program, verb);
        const struct dsmr_cli_option *option = NULL;
        int first = (int)strcspn(verb->name, " ");
        size_t at = 0;
        if (strchr(verb->name, ' ') != NULL) {
            fprintf(out, "complete -c %s -n '__fish_seen_subcommand_from %.*s' -f -a '%s'\n",
                    program->name, first, verb->name, verb->name + first + 1);
        }
        while ((option = next_option(&all, &at)) != NULL) {
            fprintf(out, "complete -c %s -n '__fish_seen_subcommand_from %s' -l %s%s -d \"%s\"\n",
                    program->name, verb->name + (verb->name[first] == ' ' ? first + 1 : 0),
                    option->name, option->type == DSMR_CLI_FLAG ? "" : " -r", option->help);
        }
    }
}

bool dsmr_cli_help_completion(FILE *out, const struct dsmr_cli_program *program, const char *shell)
{
    if (strcmp(shell, "zsh") == 0) {
        fprintf(out, "#compdef %s\nautoload -U +X bashcompinit && bashcompinit\n", program->name);
        bash(out, program);
        return true;
    }
    if (strcmp(shell, "bash") == 0) {
        bash(out, program);
        return true;
    }
    if (strcmp(shell, "fish") == 0) {
        fish(out, program);
        return true;
    }
    return false;
}
