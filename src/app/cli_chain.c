#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "app/cli_common.h"
#include "app/cli_verbs.h"
#include "app/exit_codes.h"

#define PATH_BYTES 256

/* The argument goes into a path: only what an id, a height or an address is made of. -1, or an exit
 * code after a sentence. */
static int make_path(const struct dsmr_cli_values *values, char path[PATH_BYTES],
                     const char *prefix, const char *suffix)
{
    const char *arg = values->args_count > 0 ? values->args[0] : "";
    for (const char *c = arg; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c)) {
            return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "%s does not take \"%s\"",
                                 values->verb->name, arg);
        }
    }
    if (strlen(arg) > 128) {
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "%s: the argument is too long",
                             values->verb->name);
    }
    (void)snprintf(path, PATH_BYTES, "%s%s%s", prefix, arg, suffix);
    return -1;
}

static int show(const struct dsmr_cli_values *values, const char *prefix, const char *suffix)
{
    char path[PATH_BYTES];
    int code = make_path(values, path, prefix, suffix);
    return code >= 0 ? code : dsmr_cli_common_show(values, path);
}

/* For people: the state with its meaning behind it. Borrowed text of a JSON object in, the caller
 * frees what comes out; NULL leaves the text as it is. */
static char *explain_state(const char *text, size_t len)
{
    static const struct {
        const char *state, *meaning;
    } table[] = {
        {"pending", "in the mempool of this node"},
        {"in_chunk", "in a chunk of this node that waits for signature shares"},
        {"certified", "a quorum has signed its chunk; it waits for a block"},
        {"in_block", "its block is accepted and has not run yet"},
        {"executed", "it ran and succeeded"},
        {"failed", "it ran and failed"},
        {"expired", "it can never run"},
    };
    char line[128];
    json_t *body = json_loadb(text, len, 0, NULL);
    const char *state = json_string_value(json_object_get(body, "state"));
    for (size_t i = 0; state != NULL && i < sizeof(table) / sizeof(table[0]); i++) {
        if (strcmp(state, table[i].state) == 0) {
            (void)snprintf(line, sizeof(line), "%s: %s", state, table[i].meaning);
            json_object_set_new(body, "state", json_string(line));
            break;
        }
    }
    char *out = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return out;
}

int dsmr_cli_chain_tx(const struct dsmr_cli_values *values)
{
    char path[PATH_BYTES];
    struct dsmr_http_client client = {.fd = -1};
    struct dsmr_http_reply reply;
    int code = make_path(values, path, "/v1/tx/", "");
    if (code >= 0) {
        return code;
    }
    code = dsmr_cli_common_ask(values, &client, &reply, "GET", path, NULL);
    if (code == 0) {
        bool is_json = dsmr_cli_flag(values, "json");
        char *text = is_json ? NULL : explain_state(reply.body, reply.body_len);
        dsmr_cli_common_print(values, text != NULL ? text : reply.body,
                              text != NULL ? strlen(text) : reply.body_len);
        free(text);
    }
    dsmr_http_client_close(&client);
    return code;
}

int dsmr_cli_chain_block(const struct dsmr_cli_values *values)
{
    if (values->args_count == 0) {
        return dsmr_cli_common_show(values, "/v1/block/latest");
    }
    return show(values, "/v1/block/", dsmr_cli_flag(values, "txs") ? "/txs" : "");
}

int dsmr_cli_chain_chunk(const struct dsmr_cli_values *values)
{
    return show(values, "/v1/chunk/", "");
}

int dsmr_cli_chain_validators(const struct dsmr_cli_values *values)
{
    return dsmr_cli_common_show(values, "/v1/validators");
}

int dsmr_cli_chain_status(const struct dsmr_cli_values *values)
{
    return dsmr_cli_common_show(values, "/v1/status");
}

int dsmr_cli_chain_evidence(const struct dsmr_cli_values *values)
{
    return dsmr_cli_common_show(values, "/v1/evidence");
}
