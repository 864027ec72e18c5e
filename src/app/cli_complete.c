#include <string.h>

#include "app/cli_options.h"

/* The first words of all verbs, each once. */
static void first_words(FILE *out, const struct dsmr_cli_program *program)
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

/* Where two words make the verb: the second ones of all that begin like this one, if it is the
 * first of them; else false. */
static bool second_words(FILE *out, const struct dsmr_cli_program *program,
                         const struct dsmr_cli_verb *verb)
{
    size_t len = strcspn(verb->name, " ");
    if (verb->name[len] == '\0') {
        return false;
    }
    for (const struct dsmr_cli_verb *at = program->verbs; at < verb; at++) {
        if (strncmp(at->name, verb->name, len + 1) == 0) {
            return false;
        }
    }
    fprintf(out, "    \"%.*s \"*) words=\"", (int)len, verb->name);
    for (const struct dsmr_cli_verb *at = verb; at < program->verbs + program->verbs_count; at++) {
        if (strncmp(at->name, verb->name, len + 1) == 0) {
            fprintf(out, "%s%s", at == verb ? "" : " ", at->name + len + 1);
        }
    }
    fputs("\" ;;\n", out);
    return true;
}

static void choices(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        fputc(*text == '|' ? ' ' : *text, out);
    }
}

/* One arm of the case over "WORD1 WORD2" that bash and zsh share: the options of the verb; behind
 * an option with a value its choices, or nothing, which leaves it to the names of files. */
static void verb_arm(FILE *out, const struct dsmr_cli_program *program,
                     const struct dsmr_cli_verb *verb)
{
    const struct dsmr_cli_option *option = NULL;
    size_t at = 0;
    unsigned others = 0;
    fprintf(out, "    \"%s%s words=\"", verb->name, strchr(verb->name, ' ') ? "\")" : " \"*)");
    while ((option = dsmr_cli_next_option(program, verb, &at)) != NULL) {
        fprintf(out, "--%s ", option->name);
    }
    fputs("--help\"\n        case \"$prev\" in\n", out);
    at = 0;
    while ((option = dsmr_cli_next_option(program, verb, &at)) != NULL) {
        if (option->type == DSMR_CLI_CHOICE) {
            fprintf(out, "        --%s) words=\"", option->name);
            choices(out, option->choices);
            fputs("\" ;;\n", out);
        }
    }
    at = 0;
    while ((option = dsmr_cli_next_option(program, verb, &at)) != NULL) {
        if (option->type != DSMR_CLI_FLAG && option->type != DSMR_CLI_CHOICE) {
            fprintf(out, "%s--%s", others++ == 0 ? "        " : "|", option->name);
        }
    }
    fputs(others > 0 ? ") words=\"\" ;;\n        esac ;;\n" : "        esac ;;\n", out);
}

/* $first and $second are the words behind the program, $prev the one before the cursor. */
static void arms(FILE *out, const struct dsmr_cli_program *program)
{
    fputs("    case \"$first $second\" in\n", out);
    for (size_t i = 0; i < program->verbs_count; i++) {
        verb_arm(out, program, &program->verbs[i]);
    }
    for (size_t i = 0; i < program->verbs_count; i++) { /* behind the exact ones */
        (void)second_words(out, program, &program->verbs[i]);
    }
    fputs("    \"completion \"*) words=\"bash zsh fish\" ;;\n    esac\n", out);
}

static void bash(FILE *out, const struct dsmr_cli_program *program)
{
    const char *name = program->name;
    fprintf(out,
            "# completion of %s for bash\n_%s() {\n"
            "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
            "    local first=\"${COMP_WORDS[1]}\" second=\"${COMP_WORDS[2]}\" words=\"\"\n",
            name, name);
    arms(out, program);
    fputs("    [ \"$COMP_CWORD\" -gt 1 ] || words=\"", out);
    first_words(out, program);
    fprintf(out,
            " --help --man --version\"\n"
            "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
            "    [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$cur\"))\n}\n"
            "complete -F _%s %s\n",
            name, name);
}

/* Works as a file _NAME in fpath and when it is sourced. */
static void zsh(FILE *out, const struct dsmr_cli_program *program)
{
    const char *name = program->name;
    fprintf(out,
            "#compdef %s\n# completion of %s for zsh\n_%s() {\n"
            "    local prev=\"${words[CURRENT-1]}\" first=\"${words[2]}\" second=\"${words[3]}\"\n"
            "    local -i current=$CURRENT\n    local words=\"\"\n",
            name, name, name);
    arms(out, program);
    fputs("    (( current > 2 )) || words=\"", out);
    first_words(out, program);
    fprintf(out,
            " --help --man --version\"\n"
            "    [ -n \"$words\" ] && compadd -- ${=words} || _files\n}\n"
            "if [ \"$funcstack[1]\" = _%s ]; then\n    _%s \"$@\"\nelse\n    compdef _%s %s\nfi\n",
            name, name, name, name);
}

/* Between single quotes. */
static void fish_text(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\') {
            fputc('\\', out);
        }
        fputc(*text, out);
    }
    fputc('\'', out);
}

static void fish_option(FILE *out, const char *condition, const char *program,
                        const struct dsmr_cli_option *option)
{
    fprintf(out, "complete -c %s -n '%s' -l %s", program, condition, option->name);
    if (option->type == DSMR_CLI_CHOICE) {
        fputs(" -x -a '", out);
        choices(out, option->choices);
        fputc('\'', out);
    } else if (option->type != DSMR_CLI_FLAG) {
        fputs(" -r", out);
    }
    fputs(" -d ", out);
    fish_text(out, option->help);
    fputc('\n', out);
}

static void fish(FILE *out, const struct dsmr_cli_program *program)
{
    fprintf(out, "# completion of %s for fish\ncomplete -c %s -n __fish_use_subcommand -f -a '",
            program->name, program->name);
    first_words(out, program);
    fprintf(out,
            "'\ncomplete -c %s -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh "
            "fish'\n",
            program->name);
    for (size_t i = 0; i < program->verbs_count; i++) {
        const struct dsmr_cli_verb *verb = &program->verbs[i];
        const struct dsmr_cli_option *option = NULL;
        size_t first = strcspn(verb->name, " ");
        const char *second = verb->name[first] == ' ' ? verb->name + first + 1 : NULL;
        char condition[128];
        size_t at = 0;
        if (second != NULL) {
            fprintf(out, "complete -c %s -n '__fish_seen_subcommand_from %.*s' -f -a '%s' -d ",
                    program->name, (int)first, verb->name, second);
            fish_text(out, verb->summary);
            fputc('\n', out);
        }
        (void)snprintf(condition, sizeof(condition),
                       second != NULL ? "__fish_seen_subcommand_from %.*s; and "
                                        "__fish_seen_subcommand_from %s"
                                      : "__fish_seen_subcommand_from %.*s",
                       (int)first, verb->name, second);
        while ((option = dsmr_cli_next_option(program, verb, &at)) != NULL) {
            fish_option(out, condition, program->name, option);
        }
    }
}

bool dsmr_cli_complete(FILE *out, const struct dsmr_cli_program *program, const char *shell)
{
    static const struct {
        const char *shell;
        void (*print)(FILE *out, const struct dsmr_cli_program *program);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
        if (strcmp(shell, shells[i].shell) == 0) {
            shells[i].print(out, program);
            return true;
        }
    }
    return false;
}
