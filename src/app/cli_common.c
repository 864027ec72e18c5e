#include "app/cli_common.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cli_load_tx.h"
#include "app/cli_table.h"
#include "app/exit_codes.h"
#include "vm/address.h"

#define TIMEOUT_MS 65000u
#define NAME_WIDTH 20

/* Digits, from 1 to max. */
static bool read_number(const char *text, size_t len, unsigned long max, unsigned long *out)
{
    unsigned long value = 0;
    if (len == 0 || len > 9) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)text[i])) {
            return false;
        }
        value = value * 10 + (unsigned long)(text[i] - '0');
    }
    *out = value;
    return value > 0 && value <= max;
}

static bool read_port(const char *text, size_t len, uint16_t *out)
{
    unsigned long value = 0;
    bool is_port = read_number(text, len, UINT16_MAX, &value);
    *out = (uint16_t)value;
    return is_port;
}

/* What stands behind the HTTP port: nothing, or :SUBMIT, or :SUBMIT:PID. */
static bool read_rest(struct dsmr_cli_node *out, const char *rest)
{
    unsigned long pid = 0;
    if (*rest == '\0' || strcmp(rest, "/") == 0) {
        return true;
    }
    size_t len = strcspn(rest + 1, ":");
    if (*rest != ':' || !read_port(rest + 1, len, &out->submit_port)) {
        return false;
    }
    rest += 1 + len;
    if (*rest == '\0') {
        return true;
    }
    bool is_pid = read_number(rest + 1, strlen(rest + 1), INT32_MAX, &pid);
    out->pid = (int)pid;
    return is_pid;
}

bool dsmr_cli_common_node(struct dsmr_cli_node *out, const char *text)
{
    static const char scheme[] = "http://";
    size_t scheme_len = sizeof(scheme) - 1;
    text += strncmp(text, scheme, scheme_len) == 0 ? scheme_len : 0;
    const char *host = text;
    size_t host_len = strcspn(text, ":");
    const char *rest = text + host_len;
    if (text[0] == '[') {
        host = text + 1;
        host_len = strcspn(host, "]");
        rest = host + host_len + (host[host_len] == ']' ? 1 : 0);
    }
    memset(out, 0, sizeof(*out));
    if (host_len == 0 || host_len >= sizeof(out->host) || *rest != ':') {
        return false;
    }
    memcpy(out->host, host, host_len);
    size_t len = strcspn(++rest, ":/");
    if (!read_port(rest, len, &out->http_port)) {
        return false;
    }
    return read_rest(out, rest + len);
}

int dsmr_cli_common_open(const struct dsmr_cli_values *values, struct dsmr_http_client *client)
{
    struct dsmr_cli_node node;
    const char *text = dsmr_cli_text(values, "node");
    memset(client, 0, sizeof(*client));
    client->fd = -1;
    if (!dsmr_cli_common_node(&node, text) || node.pid != 0 ||
        dsmr_http_client_init(client, node.host, node.http_port, TIMEOUT_MS, 0) != DSMR_OK) {
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "--node must be HOST:PORT, not \"%s\"", text);
    }
    return -1;
}

void dsmr_cli_common_why(char out[DSMR_CLI_COMMON_WHY_BYTES], const struct dsmr_http_client *client,
                         enum dsmr_err err, const struct dsmr_http_reply *reply)
{
    const size_t size = DSMR_CLI_COMMON_WHY_BYTES;
    if (err == DSMR_ERR_MALFORMED) {
        (void)snprintf(out, size, "no sensible answer from %s port %u (is it a node's HTTP port?)",
                       client->host, client->port);
        return;
    }
    if (err != DSMR_OK) {
        (void)snprintf(out, size, "no answer from %s port %u: %s", client->host, client->port,
                       err == DSMR_ERR_CONFIG        ? "the host is not known"
                       : err != DSMR_ERR_UNAVAILABLE ? dsmr_err_text(err)
                       : client->was_connected
                           ? "the connection was closed (is it a node's HTTP port?)"
                           : "no connection");
        return;
    }
    json_t *body = json_loadb(reply->body, reply->body_len, 0, NULL);
    const json_t *error = json_object_get(body, "error");
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *message = json_string_value(json_object_get(error, "message"));
    if (code != NULL && message != NULL) {
        (void)snprintf(out, size, "the node says %.64s: %.400s", code, message);
    } else {
        (void)snprintf(out, size, "the node answers with status %d", reply->status);
    }
    json_decref(body);
}

int dsmr_cli_common_ask(const struct dsmr_cli_values *values, struct dsmr_http_client *client,
                        struct dsmr_http_reply *reply, const char *method, const char *path,
                        const char *body)
{
    char why[DSMR_CLI_COMMON_WHY_BYTES];
    int code = dsmr_cli_common_open(values, client);
    if (code >= 0) {
        return code;
    }
    enum dsmr_err err = dsmr_http_client_request(client, reply, method, path, body,
                                                 body != NULL ? strlen(body) : 0);
    if (err == DSMR_OK && reply->status < 400) {
        return 0;
    }
    dsmr_cli_common_why(why, client, err, reply);
    return dsmr_cli_fail(values, err != DSMR_OK ? DSMR_EXIT_UNAVAILABLE : DSMR_EXIT_REFUSED, "%s",
                         why);
}

/* ---- printing ---- */

static void print_value(const char *prefix, const char *name, const json_t *value);

/* What a node says is shown on a terminal, which obeys control characters. */
static void print_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        putchar((unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i]);
    }
}

/* Items that are no rows of a table: each member on a line of its own. */
static void print_items(const char *full, const json_t *list)
{
    char place[24];
    for (size_t i = 0; i < json_array_size(list); i++) {
        (void)snprintf(place, sizeof(place), "%zu", i);
        print_value(full, place, json_array_get(list, i));
    }
}

static void print_value(const char *prefix, const char *name, const json_t *value)
{
    char full[256];
    char text[DSMR_CLI_TABLE_CELL_BYTES];
    (void)snprintf(full, sizeof(full), "%s%s%s", prefix, *prefix != '\0' ? "." : "", name);
    dsmr_cli_one_line(full);
    if (json_is_object(value)) {
        const char *key = NULL;
        json_t *member = NULL;
        json_t *object = (json_t *)(uintptr_t)value;
        json_object_foreach(object, key, member)
        {
            print_value(full, key, member);
        }
    } else if (dsmr_cli_table_fits(value)) {
        printf("%s\n", full);
        dsmr_cli_table_print(stdout, name, value);
    } else if (json_is_object(json_array_get(value, 0))) {
        print_items(full, value);
    } else if (json_is_string(value)) {
        printf("%-*s ", NAME_WIDTH, full);
        print_plain(json_string_value(value), json_string_length(value));
        putchar('\n');
    } else {
        dsmr_cli_table_cell(text, value, 0);
        printf("%-*s %s\n", NAME_WIDTH, full, text);
    }
}

void dsmr_cli_common_print(const struct dsmr_cli_values *values, const char *text, size_t len)
{
    const char *key = NULL;
    json_t *member = NULL;
    json_t *body = dsmr_cli_flag(values, "json") ? NULL : json_loadb(text, len, 0, NULL);
    if (dsmr_cli_flag(values, "json")) {
        printf("%.*s\n", (int)len, text);
    } else if (!json_is_object(body)) {
        print_plain(text, len);
        putchar('\n');
    } else {
        json_object_foreach(body, key, member)
        {
            print_value("", key, member);
        }
    }
    json_decref(body);
}

int dsmr_cli_common_show(const struct dsmr_cli_values *values, const char *path)
{
    struct dsmr_http_client client = {.fd = -1};
    struct dsmr_http_reply reply;
    int code = dsmr_cli_common_ask(values, &client, &reply, "GET", path, NULL);
    if (code == 0) {
        dsmr_cli_common_print(values, reply.body, reply.body_len);
    }
    dsmr_http_client_close(&client);
    return code;
}

/* ---- keys ---- */

bool dsmr_cli_common_is_name(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && strchr("-_.", text[i]) == NULL) {
            return false;
        }
    }
    return len > 0 && len <= 64 && text[0] != '.' && text[0] != '-';
}

bool dsmr_cli_common_keys_dir(const struct dsmr_cli_values *values, char out[PATH_MAX])
{
    const char *given = dsmr_cli_text(values, "keys");
    const char *home = getenv("HOME");
    int len = 0;
    if (given != NULL) {
        len = snprintf(out, PATH_MAX, "%s", given);
    } else if (home != NULL && *home != '\0') {
        len = snprintf(out, PATH_MAX, "%s/.dsmr/accounts", home);
    }
    return len > 0 && len < PATH_MAX - 128;
}

int dsmr_cli_common_key(const struct dsmr_cli_values *values, struct dsmr_ed25519_secret_key *out,
                        const char *name)
{
    char folder[PATH_MAX];
    char path[PATH_MAX + 128];
    if (strchr(name, '/') != NULL) {
        (void)snprintf(path, sizeof(path), "%s", name);
    } else if (!dsmr_cli_common_is_name(name)) {
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "\"%s\" is not the name of a key", name);
    } else if (!dsmr_cli_common_keys_dir(values, folder)) {
        return dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "no folder of keys: give --keys DIR");
    } else {
        (void)snprintf(path, sizeof(path), "%s/%s.json", folder, name);
    }
    enum dsmr_err err = dsmr_cli_load_tx_account(out, path);
    if (err == DSMR_ERR_IO && errno == ENOENT && strchr(name, '/') == NULL) {
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "there is no key \"%s\" in %s", name, folder);
    }
    if (err == DSMR_ERR_CONFIG) {
        return dsmr_cli_fail(values, DSMR_EXIT_DATA, "%s: not a key", path);
    }
    if (err != DSMR_OK) {
        return dsmr_cli_fail(values, DSMR_EXIT_IO, "%s: cannot be read: %s", path, strerror(errno));
    }
    return -1;
}

int dsmr_cli_common_address(const struct dsmr_cli_values *values, struct dsmr_address *out,
                            const char *text)
{
    struct dsmr_ed25519_secret_key key;
    struct dsmr_ed25519_public_key public_key;
    char folder[PATH_MAX];
    char path[PATH_MAX + 128];
    if (dsmr_address_parse(out, text, strlen(text)) == DSMR_OK) {
        return -1;
    }
    bool has_folder = dsmr_cli_common_keys_dir(values, folder);
    (void)snprintf(path, sizeof(path), "%s/%s.json", has_folder ? folder : "", text);
    if (!dsmr_cli_common_is_name(text) || !has_folder || access(path, F_OK) != 0) {
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE,
                             "\"%s\" is neither an address nor the name of a key", text);
    }
    int code = dsmr_cli_common_key(values, &key, text);
    if (code < 0) {
        dsmr_ed25519_public(&public_key, &key);
        memcpy(out->bytes, public_key.bytes, sizeof(out->bytes));
    }
    explicit_bzero(&key, sizeof(key));
    return code;
}
