#include <ctype.h>
#include <string.h>

#include "app/cli_options.h"
#include "app/exit_codes.h"

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
    {DSMR_EXIT_UNAVAILABLE,
     "node, peer or engine cannot be reached or has not answered in time, or a port is in use"},
    {DSMR_EXIT_INTERNAL, "a bug in the program"},
    {DSMR_EXIT_IO, "input or output error"},
    {DSMR_EXIT_CONFIG,
     "the configuration is wrong, or the home is in use or is a folder of something else"},
};

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

/* A heading in bold with what follows it on the next lines. */
static void item(FILE *out, const char *before, const char *name)
{
    fputs(".TP\n.B ", out);
    roff(out, before);
    roff(out, name);
}

static void range(FILE *out, const struct dsmr_cli_option *option)
{
    const char *unit = option->type == DSMR_CLI_DURATION ? " ms" : "";
    if (option->max != 0) {
        fprintf(out, "; %llu to %llu%s", (unsigned long long)option->min,
                (unsigned long long)option->max, unit);
    } else if (option->min != 0) {
        fprintf(out, "; at least %llu%s", (unsigned long long)option->min, unit);
    }
}

static void man_option(FILE *out, const struct dsmr_cli_option *option)
{
    item(out, "--", option->name);
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
    range(out, option);
    if (option->fallback != NULL && option->type != DSMR_CLI_FLAG) {
        fputs(" (default ", out);
        roff(out, option->fallback);
        fputc(')', out);
    }
    fputs(".\n", out);
}

static void man_takes(FILE *out, const struct dsmr_cli_program *program,
                      const struct dsmr_cli_verb *verb)
{
    const struct dsmr_cli_option *option = NULL;
    size_t at = verb->options_count;
    unsigned count = 0;
    while ((option = dsmr_cli_next_option(program, verb, &at)) != NULL) {
        fputs(count++ == 0 ? ".PP\nCommon options: " : ", ", out);
        roff(out, "--");
        roff(out, option->name);
    }
    fputs(count > 0 ? ".\n" : "", out);
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
    man_takes(out, program, verb);
}

static void man_common(FILE *out, const struct dsmr_cli_program *program)
{
    fputs(".SH COMMON OPTIONS\nSeveral verbs share these; each names those that it takes. "
          "\\-\\-NAME=VALUE is the\nsame as \\-\\-NAME VALUE, \\-\\-no\\-NAME turns an option "
          "without a value off, and \\-\\- ends\nthe options.\n",
          out);
    for (size_t i = 0; i < program->common_count; i++) {
        man_option(out, &program->common[i]);
    }
    item(out, "", "--help");
    fputs("\nthe options of a verb, or the verbs.\n", out);
    item(out, "", "--version");
    fputs("\nthe version; without a verb.\n", out);
    item(out, "", "--man");
    fputs("\nthis manual as roff; without a verb.\n", out);
}

static void man_environment(FILE *out)
{
    fputs(".SH ENVIRONMENT\n", out);
    item(out, "", "DSMR_*");
    fputs("\nevery option: \\-\\-some\\-option is read from DSMR_SOME_OPTION. A flag goes before "
          "the\nenvironment, that before the configuration file, that before the default.\n",
          out);
    item(out, "", "HOME");
    fputs("\nwhere the folder .dsmr is looked for.\n", out);
}

void dsmr_cli_man(FILE *out, const struct dsmr_cli_program *program)
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
    fputs(".SS completion bash|zsh|fish\nPrint the completion of that shell.\n", out);
    man_common(out, program);
    man_environment(out);
    fputs(".SH FILES\n", out);
    for (size_t i = 0; i < program->files_count; i++) {
        item(out, "", program->files[i].path);
        fputc('\n', out);
        roff(out, program->files[i].meaning);
        fputs(".\n", out);
    }
    fputs(".SH EXIT STATUS\n", out);
    for (size_t i = 0; i < sizeof(exit_codes) / sizeof(exit_codes[0]); i++) {
        fprintf(out, ".TP\n.B %d\n", exit_codes[i].code);
        roff(out, exit_codes[i].meaning);
        fputs(".\n", out);
    }
    if (program->see_also != NULL) {
        fprintf(out, ".SH SEE ALSO\n.BR %s (1)\n", program->see_also);
    }
}
