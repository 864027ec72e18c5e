#include <ctype.h>
#include <string.h>

#include "app/cli_options.h"

#define COLUMN 26

/* Whether the verb takes the common option of that name. */
static bool takes(const struct dsmr_cli_verb *verb, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = verb->common; at != NULL; at = strchr(at, '|')) {
        at += *at == '|' ? 1 : 0;
        if (strcspn(at, "|") == len && strncmp(at, name, len) == 0) {
            return true;
        }
    }
    return false;
}

const struct dsmr_cli_option *dsmr_cli_next_option(const struct dsmr_cli_program *program,
                                                   const struct dsmr_cli_verb *verb, size_t *at)
{
    for (; *at < verb->options_count + program->common_count; (*at)++) {
        if (*at < verb->options_count) {
            return &verb->options[(*at)++];
        }
        const struct dsmr_cli_option *common = &program->common[*at - verb->options_count];
        bool is_hidden = !takes(verb, common->name);
        for (size_t i = 0; i < verb->options_count; i++) {
            is_hidden = is_hidden || strcmp(verb->options[i].name, common->name) == 0;
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
    const struct dsmr_cli_option *option = NULL;
    size_t at = 0;
    fputs("\nOptions:\n", out);
    while ((option = dsmr_cli_next_option(program, verb, &at)) != NULL) {
        int width = fprintf(out, "  --%s%s%s", option->name, option->arg != NULL ? " " : "",
                            option->arg != NULL ? option->arg : "");
        fprintf(out, "%*s%s", width < COLUMN ? COLUMN - width : 1, "", option->help);
        print_default(out, option);
        fputc('\n', out);
    }
    fputs("  --help", out);
    fprintf(out, "%*sthis text\n", COLUMN - 8, "");
}

bool dsmr_cli_help_group(FILE *out, const struct dsmr_cli_program *program, const char *word)
{
    size_t len = strlen(word);
    bool has_any = false;
    for (size_t i = 0; i < program->verbs_count; i++) {
        const struct dsmr_cli_verb *verb = &program->verbs[i];
        if (strncmp(verb->name, word, len) == 0 && verb->name[len] == ' ') {
            has_any = true;
            if (out != NULL) {
                fprintf(out, "%s %s%s%s\n    %c%s.\n", program->name, verb->name,
                        verb->args != NULL ? " " : "", verb->args != NULL ? verb->args : "",
                        toupper((unsigned char)verb->summary[0]), verb->summary + 1);
            }
        }
    }
    return has_any;
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
            "\n%s help VERB shows the options of a verb. Each option is also read from the\n"
            "environment: --some-option from DSMR_SOME_OPTION. %s --man prints the manual,\n"
            "%s completion bash|zsh|fish the shell's completion, %s --version the version.\n",
            program->name, program->name, program->name, program->name);
}
