/* cli_common.h - what the verbs of dsmr share: the node to ask, keys, printing.
 *
 * Threads: main only. */
#ifndef DSMR_APP_CLI_COMMON_H
#define DSMR_APP_CLI_COMMON_H

#include <jansson.h>
#include <limits.h>

#include "app/cli_options.h"
#include "app/cli_scrape.h"
#include "client/http_client.h"
#include "crypto/ed25519.h"
#include "dsmr/types.h"

/* Splits HOST:HTTP[:SUBMIT[:PID]], with or without http:// before and / behind; an IPv6 host stands
 * in brackets. false if it makes no sense. */
bool dsmr_cli_common_node(struct dsmr_cli_node *out, const char *text);

/* Asks the node of --node. On success 0 and *reply (borrowed until close); otherwise one sentence
 * was printed and the exit code is returned: UNAVAILABLE, or REFUSED for an answer of 4xx or 5xx.
 */
int dsmr_cli_common_ask(const struct dsmr_cli_values *values, struct dsmr_http_client *client,
                        struct dsmr_http_reply *reply, const char *method, const char *path,
                        const char *body);
/* The steps of ask, for who has more to say of a failure. open: -1, or a sentence and an exit code;
 * the caller closes in any case. why: what is wrong with an answer or the want of one (err). */
int dsmr_cli_common_open(const struct dsmr_cli_values *values, struct dsmr_http_client *client);
#define DSMR_CLI_COMMON_WHY_BYTES 512u
void dsmr_cli_common_why(char out[DSMR_CLI_COMMON_WHY_BYTES], const struct dsmr_http_client *client,
                         enum dsmr_err err, const struct dsmr_http_reply *reply);
/* Asks and prints the answer: JSON as it came with --json, else lines of name and value. */
int dsmr_cli_common_show(const struct dsmr_cli_values *values, const char *path);
/* Prints a JSON text in one of both ways. */
void dsmr_cli_common_print(const struct dsmr_cli_values *values, const char *text, size_t len);

/* Folder of account keys: --keys, else $HOME/.dsmr/accounts. false if there is no HOME. */
bool dsmr_cli_common_keys_dir(const struct dsmr_cli_values *values, char out[PATH_MAX]);
/* A key by name in the folder, or by path of its file. A sentence and an exit code, or -1. */
int dsmr_cli_common_key(const struct dsmr_cli_values *values, struct dsmr_ed25519_secret_key *out,
                        const char *name);
/* An address from its text, or from the name of a key. A sentence and an exit code, or -1. */
int dsmr_cli_common_address(const struct dsmr_cli_values *values, struct dsmr_address *out,
                            const char *text);
/* Only letters, digits, '-', '_' and '.', not beginning with a dot: safe as a file name. */
bool dsmr_cli_common_is_name(const char *text);

#endif
