#include <stdlib.h>
#include <string.h>

#include "api/route_call.h"
#include "app/cli_common.h"
#include "app/cli_verbs.h"
#include "app/exit_codes.h"

#define PATH_BYTES 256
#define LATEST "latest"
#define HEIGHT_CHARS_MAX 20u

/* The argument goes into a path: it is an id or, if others are given, one of them or a height. -1,
 * or an exit code after a sentence; nothing was sent then. */
static int check_arg(const struct dsmr_cli_values *values, const char *arg, const char *other)
{
    struct dsmr_id id;
    size_t len = strlen(arg);
    if (len == 0) {
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "%s needs: %s", values->verb->name,
                             values->verb->args);
    }
    bool is_height = len <= HEIGHT_CHARS_MAX && strspn(arg, "0123456789") == len;
    if (dsmr_route_call_id(arg, &id) || (other != NULL && (is_height || strcmp(arg, other) == 0))) {
        return -1;
    }
    return dsmr_cli_fail(values, DSMR_EXIT_USAGE,
                         "%s does not take \"%.80s\": an id is 64 hex digits%s", values->verb->name,
                         arg, other != NULL ? ", a height is a number" : "");
}

/* A list, or what has one in it: a page of it, by --cursor and --limit. */
static int show_page(const struct dsmr_cli_values *values, const char *path)
{
    char target[PATH_BYTES];
    int len = snprintf(target, sizeof(target), "%s?limit=%s", path, dsmr_cli_text(values, "limit"));
    if (dsmr_cli_has(values, "cursor")) {
        (void)snprintf(target + len, sizeof(target) - (size_t)len, "&cursor=%llu",
                       (unsigned long long)dsmr_cli_number(values, "cursor"));
    }
    return dsmr_cli_common_show(values, target);
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
    int code = check_arg(values, values->args[0], NULL);
    if (code >= 0) {
        return code;
    }
    (void)snprintf(path, sizeof(path), "/v1/tx/%s", values->args[0]);
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
    char path[PATH_BYTES];
    const char *name = values->args_count > 0 ? values->args[0] : LATEST;
    int code = check_arg(values, name, LATEST);
    if (code >= 0) {
        return code;
    }
    bool is_txs = dsmr_cli_flag(values, "txs");
    (void)snprintf(path, sizeof(path), "/v1/block/%s%s", name, is_txs ? "/txs" : "");
    return is_txs ? show_page(values, path) : dsmr_cli_common_show(values, path);
}

int dsmr_cli_chain_chunk(const struct dsmr_cli_values *values)
{
    char path[PATH_BYTES];
    int code = check_arg(values, values->args[0], NULL);
    if (code >= 0) {
        return code;
    }
    (void)snprintf(path, sizeof(path), "/v1/chunk/%s", values->args[0]);
    return show_page(values, path);
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
    return show_page(values, "/v1/evidence");
}
