/* cli_table.h - a JSON list of objects as a table for people.
 *
 * Why:        an item of a list takes one line, with what is needed to ask on: ids are whole. Keys
 *             and signatures are shortened; --json has all of it.
 * Limits:     DSMR_CLI_TABLE_COLUMNS_MAX columns, cells of 64 characters.
 * Threads:    any; blocks on out. */
#ifndef DSMR_APP_CLI_TABLE_H
#define DSMR_APP_CLI_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#define DSMR_CLI_TABLE_COLUMNS_MAX 12u

/* Whether list has items, all objects, with nothing deeper in them than lists of plain values. */
bool dsmr_cli_table_fits(const json_t *list);
/* A line with the names of the columns, then one for each item. name: the list's in its answer;
 * for some the table knows which columns matter, for others all of the first item are shown. */
void dsmr_cli_table_print(FILE *out, const char *name, const json_t *list);
/* A plain value, or a list of them with commas between; shortened to chars_max and "..." (0: not).
 * null is "-", an empty list "none". */
#define DSMR_CLI_TABLE_CELL_BYTES 1024u
void dsmr_cli_table_cell(char out[DSMR_CLI_TABLE_CELL_BYTES], const json_t *value,
                         size_t chars_max);

#endif
