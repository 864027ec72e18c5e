#include "app/cli_table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app/cli_options.h"

#define CELL_CHARS_MAX 64u
#define LONG_CHARS 16u /* of a text that is longer */
#define KEY_BYTES 32u

struct column {
    char key[KEY_BYTES];
    size_t chars_max;
    size_t width;
    bool is_number;
};

/* Columns of the lists that are known, "key" or "key:characters". */
static const struct {
    const char *list, *columns;
} known[] = {
    {"validators", "index|weight|node_ids|public_key:16"},
    {"certs", "slot|producer:12|tx_count|chunk_bytes|signers|chunk"},
    {"txs", "tx|code|fee|bytes"},
};

static bool is_plain(const json_t *value)
{
    return value != NULL && !json_is_object(value) && !json_is_array(value);
}

static bool is_row(const json_t *item)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_t *object = (json_t *)(uintptr_t)item;
    json_object_foreach(object, key, value)
    {
        for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++) {
            if (!is_plain(json_array_get(value, i))) {
                return false;
            }
        }
        if (json_is_object(value)) {
            return false;
        }
    }
    return json_is_object(item);
}

bool dsmr_cli_table_fits(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!is_row(json_array_get(list, i))) {
            return false;
        }
    }
    return json_array_size(list) > 0;
}

static size_t append(char *out, size_t at, const char *text)
{
    int len = snprintf(out + at, DSMR_CLI_TABLE_CELL_BYTES - at, "%s", text);
    at += len > 0 ? (size_t)len : 0;
    return at < DSMR_CLI_TABLE_CELL_BYTES ? at : DSMR_CLI_TABLE_CELL_BYTES - 1;
}

static size_t append_plain(char *out, size_t at, const json_t *value)
{
    if (value == NULL || json_is_null(value)) {
        return append(out, at, "-");
    }
    if (json_is_string(value)) {
        return append(out, at, json_string_value(value));
    }
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    at = append(out, at, text != NULL ? text : "");
    free(text);
    return at;
}

void dsmr_cli_table_cell(char out[DSMR_CLI_TABLE_CELL_BYTES], const json_t *value, size_t chars_max)
{
    size_t at = 0;
    out[0] = '\0';
    if (!json_is_array(value)) {
        at = append_plain(out, 0, value);
    } else if (json_array_size(value) == 0) {
        at = append(out, 0, "none");
    }
    for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++) {
        at = append(out, at, i > 0 ? "," : "");
        at = append_plain(out, at, json_array_get(value, i));
    }
    if (chars_max > 0 && at > chars_max) {
        memcpy(out + chars_max, "...", 4);
    }
    dsmr_cli_one_line(out);
}

static void cell(char out[DSMR_CLI_TABLE_CELL_BYTES], const struct column *column,
                 const json_t *item)
{
    const json_t *value = json_object_get(item, column->key);
    size_t chars_max = column->chars_max;
    if (chars_max == 0) {
        size_t len = json_is_string(value) ? json_string_length(value) : 0;
        chars_max = len > CELL_CHARS_MAX ? LONG_CHARS : CELL_CHARS_MAX;
    }
    dsmr_cli_table_cell(out, value, chars_max);
}

static size_t add_column(struct column *columns, size_t count, const json_t *list, const char *key,
                         size_t chars_max)
{
    struct column *column = &columns[count];
    if (count == DSMR_CLI_TABLE_COLUMNS_MAX) {
        return count;
    }
    *column = (struct column){.chars_max = chars_max, .is_number = true};
    (void)snprintf(column->key, sizeof(column->key), "%s", key);
    column->width = strlen(column->key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        char text[DSMR_CLI_TABLE_CELL_BYTES];
        cell(text, column, json_array_get(list, i));
        size_t len = strlen(text);
        column->width = len > column->width ? len : column->width;
        column->is_number = column->is_number && strspn(text, "-0123456789") == len && len <= 20;
    }
    return count + 1;
}

/* The columns of a known list that its first item has, else all of the first item. */
static size_t choose(struct column columns[DSMR_CLI_TABLE_COLUMNS_MAX], const char *name,
                     const json_t *list)
{
    json_t *first = json_array_get(list, 0);
    const char *key = NULL;
    json_t *value = NULL;
    size_t count = 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const char *at = strcmp(known[i].list, name) == 0 ? known[i].columns : "";
        while (*at != '\0') {
            char text[KEY_BYTES];
            size_t len = strcspn(at, ":|");
            const char *rest = at + len;
            (void)snprintf(text, sizeof(text), "%.*s", (int)len, at);
            size_t chars_max = *rest == ':' ? strtoul(rest + 1, NULL, 10) : 0;
            at = rest + strcspn(rest, "|");
            at += *at == '|' ? 1 : 0;
            if (json_object_get(first, text) != NULL) {
                count = add_column(columns, count, list, text, chars_max);
            }
        }
    }
    if (count == 0) {
        json_object_foreach(first, key, value)
        {
            count = add_column(columns, count, list, key, 0);
        }
    }
    return count;
}

static void print_cell(FILE *out, const struct column *column, const char *text, bool is_last)
{
    int width = (int)column->width;
    if (column->is_number) {
        fprintf(out, "  %*s", width, text);
    } else {
        fprintf(out, "  %-*s", is_last ? 0 : width, text);
    }
}

void dsmr_cli_table_print(FILE *out, const char *name, const json_t *list)
{
    struct column columns[DSMR_CLI_TABLE_COLUMNS_MAX];
    char text[DSMR_CLI_TABLE_CELL_BYTES];
    size_t count = choose(columns, name, list);
    for (size_t k = 0; k < count; k++) {
        (void)snprintf(text, sizeof(text), "%s", columns[k].key);
        dsmr_cli_one_line(text);
        print_cell(out, &columns[k], text, k + 1 == count);
    }
    fputc('\n', out);
    for (size_t i = 0; i < json_array_size(list); i++) {
        for (size_t k = 0; k < count; k++) {
            cell(text, &columns[k], json_array_get(list, i));
            print_cell(out, &columns[k], text, k + 1 == count);
        }
        fputc('\n', out);
    }
}
