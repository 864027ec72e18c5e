/* Lists of answers as tables: which columns, how wide, what is shortened, what is no table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/cli_table.h"

static char hex[193]; /* "a" 192 times */

static const char *printed(const char *name, const char *json)
{
    static char text[16384];
    json_t *list = json_loads(json, JSON_DECODE_ANY, NULL);
    FILE *file = tmpfile();
    assert_true(dsmr_cli_table_fits(list));
    dsmr_cli_table_print(file, name, list);
    rewind(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    (void)fclose(file);
    json_decref(list);
    return text;
}

static void validators_in_columns(void **state)
{
    char json[1024];
    (void)state;
    (void)snprintf(json, sizeof(json),
                   "[{\"index\":0,\"public_key\":\"%s\",\"weight\":\"1\",\"node_ids\":[\"ab\"]},"
                   "{\"index\":10,\"public_key\":\"short\",\"weight\":\"18446744073709551615\","
                   "\"node_ids\":[\"cd\",\"ef\"]}]",
                   hex);
    assert_string_equal(printed("validators", json),
                        "  index                weight  node_ids  public_key\n"
                        "      0                     1  ab        aaaaaaaaaaaaaaaa...\n"
                        "     10  18446744073709551615  cd,ef     short\n");
}

static void certificates_in_columns(void **state)
{
    char json[1024];
    (void)state;
    (void)snprintf(json, sizeof(json),
                   "[{\"chunk\":\"%.64s\",\"epoch\":0,\"producer\":\"%.40s\",\"slot\":7,"
                   "\"expiry_ms\":1,\"tx_count\":12,\"chunk_bytes\":363,\"signers\":[0,2,3],"
                   "\"signature\":\"%s\"}]",
                   hex, hex, hex);
    char expected[512];
    (void)snprintf(expected, sizeof(expected),
                   "  slot  producer         tx_count  chunk_bytes  signers  chunk\n"
                   "     7  aaaaaaaaaaaa...        12          363  0,2,3    %.64s\n",
                   hex);
    assert_string_equal(printed("certs", json), expected);
}

static void transactions_have_what_their_list_has(void **state)
{
    (void)state;
    assert_string_equal(printed("txs", "[{\"tx\":\"ab\",\"code\":0,\"fee\":\"9\"}]"),
                        "  tx  code  fee\n  ab     0    9\n");
    assert_string_equal(printed("txs", "[{\"bytes\":206,\"tx\":\"ab\"}]"),
                        "  tx  bytes\n  ab    206\n");
}

static void an_unknown_list_shows_all_of_its_first_item(void **state)
{
    char json[512];
    (void)state;
    assert_string_equal(printed("frobs", "[{\"b\":null,\"a\":true,\"c\":[]},{\"a\":1.5,\"d\":2}]"),
                        "  b  a     c\n  -  true  none\n  -  1.5   -\n");
    (void)snprintf(json, sizeof(json), "[{\"x\":\"%.64s\"},{\"x\":\"%.65s\"}]", hex, hex);
    assert_non_null(strstr(printed("frobs", json), "  aaaaaaaaaaaaaaaa...\n"));
    assert_non_null(strstr(printed("frobs", json), hex + 192 - 64)); /* a whole id */
}

static void limits_are_kept(void **state)
{
    char json[8192] = "[{";
    char cell[DSMR_CLI_TABLE_CELL_BYTES];
    (void)state;
    for (unsigned i = 0; i < 2 * DSMR_CLI_TABLE_COLUMNS_MAX; i++) {
        (void)snprintf(json + strlen(json), 32, "%s\"k%u\":%u", i > 0 ? "," : "", i, i);
    }
    strcat(json, "}]");
    const char *text = printed("frobs", json);
    assert_non_null(strstr(text, " k11\n"));
    assert_null(strstr(text, "k12"));
    json_t *list = json_array();
    for (int i = 0; i < 2000; i++) {
        json_array_append_new(list, json_integer(1000 + i));
    }
    dsmr_cli_table_cell(cell, list, 0);
    assert_int_equal(strlen(cell), sizeof(cell) - 1);
    dsmr_cli_table_cell(cell, list, 10);
    assert_string_equal(cell, "1000,1001,...");
    json_decref(list);
}

static void nested_items_are_no_rows(void **state)
{
    static const char *const others[] = {"[]",
                                         "{}",
                                         "1",
                                         "[1]",
                                         "[{\"a\":{}}]",
                                         "[{\"a\":[[1]]}]",
                                         "[{\"a\":1},[1]]",
                                         "[{\"a\":[{\"b\":1}]}]"};
    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        json_t *value = json_loads(others[i], JSON_DECODE_ANY, NULL);
        assert_false(dsmr_cli_table_fits(value));
        json_decref(value);
    }
}

/* A terminal obeys them: what a node says must not move it. */
static void control_characters_are_not_printed(void **state)
{
    char cell[DSMR_CLI_TABLE_CELL_BYTES];
    (void)state;
    assert_string_equal(printed("frobs", "[{\"k\\u001b[2J\":\"a\\nb\\u007f\"}]"),
                        "  k?[2J\n  a?b?\n");
    json_t *text = json_loads("\"\\u001b]0;x\\u0007\"", JSON_DECODE_ANY, NULL);
    dsmr_cli_table_cell(cell, text, 0);
    assert_string_equal(cell, "?]0;x?");
    json_decref(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(validators_in_columns),
        cmocka_unit_test(certificates_in_columns),
        cmocka_unit_test(transactions_have_what_their_list_has),
        cmocka_unit_test(an_unknown_list_shows_all_of_its_first_item),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(nested_items_are_no_rows),
        cmocka_unit_test(control_characters_are_not_printed),
    };
    memset(hex, 'a', sizeof(hex) - 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
