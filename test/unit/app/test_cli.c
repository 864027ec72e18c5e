/* The option table: parsing, order of sources, one sentence per mistake, help, man, completion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/cli_options.h"
#include "app/exit_codes.h"

static const struct dsmr_cli_option go_options[] = {
    {"speed", "N", DSMR_CLI_NUMBER, 1, 100, NULL, "10", "how fast"},
    {"far", NULL, DSMR_CLI_FLAG, 0, 0, NULL, "false", "far away"},
    {"near", NULL, DSMR_CLI_FLAG, 0, 0, NULL, "true", "not far"},
    {"wait", "TIME", DSMR_CLI_DURATION, 5, 60000, NULL, "2s", "how long"},
    {"way", "WAY", DSMR_CLI_CHOICE, 0, 0, "left|right|straight", "left", "which way"},
    {"two-words", "TEXT", DSMR_CLI_TEXT, 0, 0, NULL, NULL, "some text"},
    {"any", "N", DSMR_CLI_NUMBER, 0, 0, NULL, NULL, "any number"},
};
static const struct dsmr_cli_option common[] = {
    {"home", "DIR", DSMR_CLI_TEXT, 0, 0, NULL, NULL, "the home"},
    {"homes", NULL, DSMR_CLI_FLAG, 0, 0, NULL, "false", "not a part of it"},
    {"far", "X", DSMR_CLI_TEXT, 0, 0, NULL, NULL, "hidden by the verb's own"},
};
static int run_code;
static int run(const struct dsmr_cli_values *values)
{
    (void)values;
    return run_code;
}
static const struct dsmr_cli_verb verbs[] = {
    {"go", "FROM [TO]", "go somewhere", 1, 2, go_options, 7, run, "home|far"},
    {"keys new", "NAME", "make a key", 1, 1, NULL, 0, run, "homes"},
    {"keys list", NULL, "list keys", 0, 0, NULL, 0, run, NULL},
};
static const struct dsmr_cli_program program = {.name = "prog",
                                                .summary = "does things",
                                                .description = "It's -x and \\y.",
                                                .verbs = verbs,
                                                .verbs_count = 3,
                                                .common = common,
                                                .common_count = 3};
static struct dsmr_cli_values values;
static char said[8192]; /* on stderr, then on stdout */

/* Parses words (NULL at the end) with stderr and stdout caught. */
static int parse(const char *const *words)
{
    char *argv[16] = {(char *)(uintptr_t) "prog"};
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++) {
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    }
    fflush(stdout);
    fflush(stderr);
    FILE *file = tmpfile();
    int out = dup(1);
    int err = dup(2);
    assert_true(dup2(fileno(file), 1) >= 0 && dup2(fileno(file), 2) >= 0);
    int code = dsmr_cli_parse(&values, &program, argc, argv);
    fflush(stdout);
    fflush(stderr);
    (void)dup2(out, 1);
    (void)dup2(err, 2);
    close(out);
    close(err);
    rewind(file);
    size_t len = fread(said, 1, sizeof(said) - 1, file);
    said[len] = '\0';
    (void)fclose(file);
    return code;
}
#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void expect_usage(int code, const char *part)
{
    assert_int_equal(code, DSMR_EXIT_USAGE);
    if (strstr(said, part) == NULL) {
        fail_msg("\"%s\" is not in: %s", part, said);
    }
    assert_true(strncmp(said, "prog: ", 6) == 0);
    assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1); /* one line */
}

static void defaults_and_flags(void **state)
{
    (void)state;
    assert_int_equal(PARSE("go", "here"), -1);
    assert_int_equal(dsmr_cli_number(&values, "speed"), 10);
    assert_false(dsmr_cli_flag(&values, "far"));
    assert_true(dsmr_cli_flag(&values, "near"));
    assert_int_equal(dsmr_cli_number(&values, "wait"), 2000);
    assert_string_equal(dsmr_cli_text(&values, "way"), "left");
    assert_null(dsmr_cli_text(&values, "two-words"));
    assert_false(dsmr_cli_has(&values, "two-words"));
    assert_true(dsmr_cli_has(&values, "speed"));
    assert_int_equal(PARSE("go", "--speed=7", "a", "--far", "--no-near", "--wait", "500ms", "b",
                           "--way", "straight", "--two-words", "-x", "--home", "/h"),
                     -1);
    assert_int_equal(dsmr_cli_number(&values, "speed"), 7);
    assert_true(dsmr_cli_flag(&values, "far"));
    assert_false(dsmr_cli_flag(&values, "near"));
    assert_int_equal(dsmr_cli_number(&values, "wait"), 500);
    assert_int_equal(dsmr_cli_number(&values, "way"), 2);
    assert_string_equal(dsmr_cli_text(&values, "two-words"), "-x");
    assert_string_equal(dsmr_cli_text(&values, "home"), "/h");
    assert_int_equal(values.args_count, 2);
    assert_string_equal(values.args[1], "b");
    assert_int_equal(PARSE("go", "--", "--speed"), -1);
    assert_string_equal(values.args[0], "--speed");
    assert_int_equal(PARSE("keys", "new", "me"), -1);
    assert_string_equal(values.verb->name, "keys new");
    assert_string_equal(values.args[0], "me");
}

static void mistakes_are_one_sentence(void **state)
{
    (void)state;
    expect_usage(PARSE("fly"), "there is no verb \"fly\"");
    expect_usage(PARSE("keys"), "keys needs a second word");
    expect_usage(PARSE("keys"), "keys needs a second word: new|list");
    expect_usage(PARSE("keys", "old"), "keys has no second word \"old\", only new|list");
    expect_usage(PARSE("--far", "go", "a"), "the verb comes first: prog VERB --far");
    expect_usage(PARSE("help", "fly"), "there is no verb \"fly\"");
    expect_usage(PARSE("go"), "go needs: FROM [TO]");
    expect_usage(PARSE("go", "a", "b", "c"), "go does not take \"c\"");
    expect_usage(PARSE("keys", "list", "x"), "keys list does not take \"x\"");
    expect_usage(PARSE("go", "a", "--sped", "1"), "go has no option --sped");
    expect_usage(PARSE("go", "a", "--sped=1"), "go has no option --sped;");
    expect_usage(PARSE("go", "a", "--speed"), "--speed needs a value: N");
    expect_usage(PARSE("go", "a", "--speed", "0"), "must be a whole number from 1 to 100, not");
    expect_usage(PARSE("go", "a", "--speed", "101"), "not \"101\"");
    expect_usage(PARSE("go", "a", "--speed", "1x"), "whole number");
    expect_usage(PARSE("go", "a", "--speed", "-1"), "whole number");
    expect_usage(PARSE("go", "a", "--speed", ""), "whole number");
    expect_usage(PARSE("go", "a", "--any", "18446744073709551616"), "whole number");
    expect_usage(PARSE("go", "a", "--wait", "4ms"), "from 5 ms to 60000 ms");
    expect_usage(PARSE("go", "a", "--wait", "2m"), "from 5 ms");
    expect_usage(PARSE("go", "a", "--wait", "1d"), "such as 500ms");
    expect_usage(PARSE("go", "a", "--way", "up"), "must be one of left|right|straight");
    expect_usage(PARSE("go", "a", "--way", "lef"), "must be one of");
    expect_usage(PARSE("go", "a", "--way", ""), "must be one of");
    expect_usage(PARSE("go", "a", "--two-words", ""), "must not be empty");
    expect_usage(PARSE("go", "a", "--far=maybe"), "must be true or false");
    expect_usage(PARSE("go", "a", "--no-speed"), "no option --no-speed");
    expect_usage(PARSE("completion", "tcsh"), "bash, zsh or fish");
}

static void a_verb_takes_the_common_options_that_it_names(void **state)
{
    static const struct {
        const char *verb, *second, *option;
        bool is_taken;
    } table[] = {
        {"go", "there", "--home=/h", true},       {"go", "there", "--homes", false},
        {"keys", "new", "--home=/h", false},      {"keys", "new", "--homes", true},
        {"keys", "new", "--no-homes", true},      {"keys", "list", "--home=/h", false},
        {"keys", "list", "--homes=false", false}, {"keys", "list", "--no-homes", false},
    };
    (void)state;
    setenv("DSMR_HOME", "", 1);
    setenv("DSMR_HOMES", "nonsense", 1); /* of no meaning to those that do not take it */
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const char *name = strcmp(table[i].second, "new") == 0 ? "me" : NULL;
        int code = PARSE(table[i].verb, table[i].second, table[i].option, name);
        if (table[i].is_taken) {
            assert_int_equal(code, -1);
        } else {
            expect_usage(code, " has no option --");
        }
    }
    assert_int_equal(PARSE("keys", "list"), -1);
    expect_usage(PARSE("keys", "new", "me"), "DSMR_HOMES must be true or false");
    unsetenv("DSMR_HOME");
    unsetenv("DSMR_HOMES");
    assert_int_equal(PARSE("keys", "new", "--help"), DSMR_EXIT_OK);
    assert_non_null(strstr(said, "--homes "));
    assert_null(strstr(said, "--home "));
    assert_int_equal(PARSE("--man"), DSMR_EXIT_OK);
    assert_non_null(strstr(said, "Make a key.\n.PP\nCommon options: \\-\\-homes.\n"));
    assert_non_null(strstr(said, "List keys.\n.SS")); /* it takes none */
}

static void numbers_at_their_limits(void **state)
{
    (void)state;
    assert_int_equal(PARSE("go", "a", "--speed", "100", "--any", "18446744073709551615"), -1);
    assert_int_equal(dsmr_cli_number(&values, "speed"), 100);
    assert_true(dsmr_cli_number(&values, "any") == UINT64_MAX);
    assert_int_equal(PARSE("go", "a", "--any", "10_000", "--wait", "60"), -1);
    assert_int_equal(dsmr_cli_number(&values, "any"), 10000);
    assert_int_equal(dsmr_cli_number(&values, "wait"), 60000);
    assert_int_equal(PARSE("go", "a", "--wait", "1m"), -1);
    assert_int_equal(dsmr_cli_number(&values, "wait"), 60000);
    expect_usage(PARSE("go", "a", "--any", "_1"), "whole number");
    expect_usage(PARSE("go", "a", "--wait", "18446744073709551615h"), "such as");
}

static const char *lookup(void *ctx, const char *name, unsigned *line)
{
    const char *const *pairs = ctx;
    for (unsigned i = 0; pairs[2 * i] != NULL; i++) {
        if (strcmp(pairs[2 * i], name) == 0) {
            *line = i + 1;
            return pairs[2 * i + 1];
        }
    }
    return NULL;
}

static void flag_before_environment_before_file_before_default(void **state)
{
    static const char *const file[] = {"speed", "40", "way", "right", "wait", "7s", NULL, NULL};
    (void)state;
    setenv("DSMR_SPEED", "50", 1);
    setenv("DSMR_TWO_WORDS", "from env", 1);
    setenv("DSMR_FAR", "1", 1);
    setenv("DSMR_WAY", "", 1); /* empty: as if it were not there */
    assert_int_equal(PARSE("go", "a", "--speed", "60"), -1);
    assert_int_equal(dsmr_cli_number(&values, "speed"), 60);
    assert_string_equal(dsmr_cli_text(&values, "two-words"), "from env");
    assert_true(dsmr_cli_flag(&values, "far"));
    assert_int_equal(PARSE("go", "a", "--wait", "1s"), -1);
    assert_int_equal(dsmr_cli_merge_file(&values, "f.yaml", lookup, (void *)(uintptr_t)file), -1);
    assert_int_equal(dsmr_cli_number(&values, "speed"), 50);  /* environment */
    assert_int_equal(dsmr_cli_number(&values, "wait"), 1000); /* flag */
    assert_string_equal(dsmr_cli_text(&values, "way"), "right");
    setenv("DSMR_SPEED", "fast", 1);
    expect_usage(PARSE("go", "a"), "DSMR_SPEED must be a whole number");
    assert_int_equal(PARSE("go", "a", "--speed", "1"), -1); /* a flag hides it */
    unsetenv("DSMR_SPEED");
    unsetenv("DSMR_TWO_WORDS");
    unsetenv("DSMR_FAR");
    unsetenv("DSMR_WAY");
}

static void a_wrong_file_names_line_and_range(void **state)
{
    static const char *const file[] = {"way", "right", "speed", "4\n\x1b[1m0", NULL, NULL};
    int saved = dup(2);
    FILE *caught = tmpfile();
    (void)state;
    assert_int_equal(PARSE("go", "a", "--speed", "5"), -1);
    fflush(stderr);
    assert_true(dup2(fileno(caught), 2) >= 0);
    int code = dsmr_cli_merge_file(&values, "f.yaml", lookup, (void *)(uintptr_t)file);
    fflush(stderr);
    (void)dup2(saved, 2);
    close(saved);
    rewind(caught);
    size_t len = fread(said, 1, sizeof(said) - 1, caught);
    said[len] = '\0';
    (void)fclose(caught);
    assert_int_equal(code, DSMR_EXIT_CONFIG);
    assert_string_equal(
        said, "prog: f.yaml:2: speed must be a whole number from 1 to 100, not \"4??[1m0\"\n");
}

static void help_man_and_completion_name_every_option(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--help"), DSMR_EXIT_OK);
    for (size_t i = 0; i < program.verbs_count; i++) {
        assert_non_null(strstr(said, verbs[i].name));
    }
    assert_int_equal(PARSE("go", "--help"), DSMR_EXIT_OK);
    for (size_t i = 0; i < 7; i++) {
        assert_non_null(strstr(said, go_options[i].name));
        assert_non_null(strstr(said, go_options[i].help));
    }
    assert_non_null(strstr(said, "--home DIR"));
    assert_null(strstr(said, "hidden by"));
    assert_int_equal(PARSE("--man"), DSMR_EXIT_OK);
    assert_non_null(strstr(said, ".TH prog 1"));
    assert_non_null(strstr(said, "\\-\\-two\\-words"));
    assert_non_null(strstr(said, "It's \\-x and \\ey."));
    assert_non_null(strstr(said, ".B 64\n"));
    static const char *const shells[] = {"bash", "zsh", "fish"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(PARSE("completion", shells[i]), DSMR_EXIT_OK);
        assert_non_null(strstr(said, "two-words"));
        assert_non_null(strstr(said, "keys"));
        assert_non_null(strstr(said, "list"));
    }
    assert_int_equal(PARSE("--version"), DSMR_EXIT_OK);
    assert_int_equal(strncmp(said, "prog ", 5), 0);
    const char *const none[] = {NULL};
    assert_int_equal(parse(none), DSMR_EXIT_USAGE);
    assert_non_null(strstr(said, "Usage: prog"));
}

static void help_is_found_where_it_is_looked_for(void **state)
{
    (void)state;
    assert_int_equal(PARSE("go", "--help"), DSMR_EXIT_OK);
    char *of_go = strdup(said);
    assert_int_equal(PARSE("help", "go"), DSMR_EXIT_OK);
    assert_string_equal(said, of_go);
    assert_int_equal(PARSE("--help", "go"), DSMR_EXIT_OK);
    assert_string_equal(said, of_go);
    free(of_go);
    assert_int_equal(PARSE("help", "keys", "new"), DSMR_EXIT_OK);
    assert_non_null(strstr(said, "prog keys new NAME [options]"));
    const char *const groups[][3] = {{"keys", "--help"}, {"keys", "-h"}, {"help", "keys"}};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(PARSE(groups[i][0], groups[i][1]), DSMR_EXIT_OK);
        assert_string_equal(said, "prog keys new NAME\n    Make a key.\n"
                                  "prog keys list\n    List keys.\n");
    }
    assert_int_equal(PARSE("help"), DSMR_EXIT_OK);
    assert_non_null(strstr(said, "Usage: prog"));
}

static void verbs_run(void **state)
{
    char *argv[] = {(char *)(uintptr_t) "prog", (char *)(uintptr_t) "keys",
                    (char *)(uintptr_t) "list", NULL};
    (void)state;
    run_code = 42;
    assert_int_equal(dsmr_cli_main(&program, 3, argv), 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_and_flags),
        cmocka_unit_test(mistakes_are_one_sentence),
        cmocka_unit_test(a_verb_takes_the_common_options_that_it_names),
        cmocka_unit_test(numbers_at_their_limits),
        cmocka_unit_test(flag_before_environment_before_file_before_default),
        cmocka_unit_test(a_wrong_file_names_line_and_range),
        cmocka_unit_test(help_man_and_completion_name_every_option),
        cmocka_unit_test(help_is_found_where_it_is_looked_for),
        cmocka_unit_test(verbs_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
