/* The tables of docs/api.md, Errors, against the code: each name is an error's, with the status
 * that it is answered with, and what the doors answer is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/route_call.h"

#define PAGE "docs/api.md"
#define PAGE_BYTES_MAX (1 << 16)
#define CODES_MAX 64

static struct {
    char code[32];
    int statuses[2];
} listed[CODES_MAX];
static size_t listed_count;

static void list(const char *code, size_t len, const int statuses[2])
{
    assert_true(listed_count < CODES_MAX && len < sizeof(listed[0].code));
    memcpy(listed[listed_count].code, code, len);
    memcpy(listed[listed_count].statuses, statuses, sizeof(listed[0].statuses));
    listed_count++;
}

/* Names of a cell stand in ` `; what has other letters than a name's is something else. */
static void read_codes(const char *from, const char *end, const int statuses[2])
{
    for (const char *at = memchr(from, '`', (size_t)(end - from)); at != NULL && at < end;) {
        size_t len = strspn(at + 1, "abcdefghijklmnopqrstuvwxyz_");
        const char *close = strchr(at + 1, '`');
        if (at + 1 + len == close && len > 0) {
            list(at + 1, len, statuses);
        }
        at = memchr(close + 1, '`', (size_t)(end - close - 1));
    }
}

static int read_page(void **state)
{
    char *page = calloc(1, PAGE_BYTES_MAX);
    FILE *file = fopen(PAGE, "r");
    bool is_503 = false;
    (void)state;
    assert_non_null(page);
    assert_non_null(file);
    assert_in_range(fread(page, 1, PAGE_BYTES_MAX - 1, file), 1000, PAGE_BYTES_MAX - 2);
    (void)fclose(file);
    const char *at = strstr(page, "\n## Errors\n"), *end = strstr(page, "\nNames are those of");
    assert_true(at != NULL && end != NULL && at < end);
    for (at = strchr(at + 1, '\n') + 1; at < end; at = strchr(at, '\n') + 1) {
        int statuses[2] = {503, 503};
        const char *cell_end = strchr(at, '\n');
        is_503 = is_503 || strncmp(at, "| 503 | means |", 15) == 0;
        if (is_503 && strncmp(at, "| `", 3) == 0) {
            read_codes(at, strchr(at + 2, '|'), statuses);
        } else if (!is_503 && sscanf(at, "| %d, %d |", &statuses[0], &statuses[1]) >= 1) {
            statuses[1] = statuses[1] == 503 ? statuses[0] : statuses[1];
            read_codes(at, cell_end, statuses);
        }
    }
    free(page);
    return 0;
}

static int status_of(const char *code)
{
    static const struct {
        const char *code;
        int status;
    } others[] = {{"bad_request", 400},
                  {"host_not_allowed", 403},
                  {"no_such_path", 404},
                  {"method_not_allowed", 405},
                  {"length_required", 411}};
    static const enum dsmr_err errs[] = {
#define TEST_X(name, number, cls, text) DSMR_ERR_##name,
        DSMR_ERR_MAP(TEST_X)
#undef TEST_X
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(others[i].code, code) == 0) {
            return others[i].status;
        }
    }
    for (size_t i = 0; i < sizeof(errs) / sizeof(errs[0]); i++) {
        if (strcmp(dsmr_err_name(errs[i]), code) == 0) {
            return dsmr_route_call_status_of(errs[i]);
        }
    }
    fail_msg("%s is no error's name", code);
    return 0;
}

static void each_code_has_the_status_of_its_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < listed_count; i++) {
        int status = status_of(listed[i].code);
        if (status != listed[i].statuses[0] && status != listed[i].statuses[1]) {
            fail_msg("%s is answered with %d, not %d", listed[i].code, status,
                     listed[i].statuses[0]);
        }
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(listed[i].code, listed[j].code); /* one place each */
        }
    }
}

static void what_the_doors_answer_is_listed(void **state)
{
    static const enum dsmr_err answers[] = {
        DSMR_ERR_MEMPOOL_FULL,  DSMR_ERR_BEHIND,    DSMR_ERR_DISK_LOW,
        DSMR_ERR_NOT_PRODUCING, DSMR_ERR_NOT_YET,   DSMR_ERR_HALTED,
        DSMR_ERR_BUSY,          DSMR_ERR_FULL,      DSMR_ERR_EPOCH_UNKNOWN,
        DSMR_ERR_CLOSED,        DSMR_ERR_TIMEOUT,   DSMR_ERR_DUPLICATE,
        DSMR_ERR_INSUFFICIENT,  DSMR_ERR_FEE_LIMIT, DSMR_ERR_EXPIRED,
        DSMR_ERR_PRUNED,        DSMR_ERR_UNKNOWN,   DSMR_ERR_TOO_LARGE,
        DSMR_ERR_BAD_TX,        DSMR_ERR_TX_EXPIRY, DSMR_ERR_IO,
        DSMR_ERR_BAD_SIGNATURE};
    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        bool found = false;
        for (size_t j = 0; j < listed_count; j++) {
            found = found || strcmp(listed[j].code, dsmr_err_name(answers[i])) == 0;
        }
        if (!found) {
            fail_msg("%s is not in %s", dsmr_err_name(answers[i]), PAGE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_code_has_the_status_of_its_row),
        cmocka_unit_test(what_the_doors_answer_is_listed),
    };
    return cmocka_run_group_tests(tests, read_page, NULL);
}
