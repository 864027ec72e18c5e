#include "app/node_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/exit_codes.h"
#include "base/bytes.h"
#include "host/host_clock.h"

/* The exit code for a wrong value, by where it came from. */
static int wrong(const struct dsmr_cli_values *values, const char *name)
{
    enum dsmr_cli_source source = dsmr_cli_source(values, name);
    bool is_typed = source == DSMR_CLI_FROM_FLAG || source == DSMR_CLI_FROM_ENV;
    return is_typed ? DSMR_EXIT_USAGE : DSMR_EXIT_CONFIG;
}

enum dsmr_err dsmr_node_settings_address(struct dsmr_node_settings_address *out, const char *text)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text)
        return DSMR_ERR_CONFIG;
    const char *host = text;
    size_t host_len = (size_t)(colon - text);
    if (host[0] == '[' && host[host_len - 1] == ']') {
        host++;
        host_len -= 2;
    }
    char *end;
    errno = 0;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (host_len == 0 || host_len >= sizeof out->host || colon[1] < '0' || colon[1] > '9' ||
        *end != 0 || errno != 0 || port > UINT16_MAX)
        return DSMR_ERR_CONFIG;
    memcpy(out->host, host, host_len);
    out->host[host_len] = 0;
    out->port = (uint16_t)port;
    return DSMR_OK;
}

static enum dsmr_err read_peer(struct dsmr_node_settings_peer *out, const char *text, size_t len)
{
    char copy[400];
    struct dsmr_node_settings_address address;
    const size_t id_len = 2 * sizeof out->node_id.bytes;
    if (len >= sizeof copy || len <= id_len + 1 || text[id_len] != '@' ||
        dsmr_hex_decode(out->node_id.bytes, sizeof out->node_id.bytes, text, id_len) != DSMR_OK)
        return DSMR_ERR_CONFIG;
    memcpy(copy, text + id_len + 1, len - id_len - 1);
    copy[len - id_len - 1] = 0;
    enum dsmr_err err = dsmr_node_settings_address(&address, copy);
    if (err != DSMR_OK || address.port == 0)
        return DSMR_ERR_CONFIG;
    memcpy(out->host, address.host, sizeof out->host);
    out->port = address.port;
    return DSMR_OK;
}

/* NODEID@HOST:PORT,... */
static int read_peers(struct dsmr_node_settings *out, const struct dsmr_cli_values *values)
{
    const char *text = dsmr_cli_text(values, "peers");
    while (text != NULL && *text != 0) {
        size_t len = strcspn(text, ",");
        if (out->peers_count == DSMR_NODE_SETTINGS_PEERS_MAX)
            return dsmr_cli_fail(values, wrong(values, "peers"), "--peers: more than %u entries",
                                 DSMR_NODE_SETTINGS_PEERS_MAX);
        if (read_peer(&out->peers[out->peers_count], text, len) != DSMR_OK)
            return dsmr_cli_fail(values, wrong(values, "peers"),
                                 "--peers: entry %u is not NODEID@HOST:PORT", out->peers_count + 1);
        out->peers_count++;
        text += len;
        text += *text == ',';
    }
    return -1;
}

static int read_hosts(struct dsmr_node_settings *out, const struct dsmr_cli_values *values)
{
    const char *text = dsmr_cli_text(values, "http-hosts");
    char *rest = NULL;
    if (text == NULL)
        return -1;
    if (strlen(text) >= sizeof out->host_names)
        return dsmr_cli_fail(values, wrong(values, "http-hosts"),
                             "--http-hosts has more than %zu characters",
                             sizeof out->host_names - 1);
    strcpy(out->host_names, text);
    for (char *name = strtok_r(out->host_names, ",", &rest); name != NULL;
         name = strtok_r(NULL, ",", &rest)) {
        if (out->hosts_count == DSMR_NODE_SETTINGS_HOSTS_MAX)
            return dsmr_cli_fail(values, wrong(values, "http-hosts"),
                                 "--http-hosts: more than %u names", DSMR_NODE_SETTINGS_HOSTS_MAX);
        out->hosts[out->hosts_count++] = name;
    }
    return -1;
}

static int read_addresses(struct dsmr_node_settings *out, const struct dsmr_cli_values *values)
{
    const struct {
        const char *name;
        struct dsmr_node_settings_address *address;
    } table[] = {
        {"p2p-address", &out->p2p}, {"http-address", &out->http}, {"submit-address", &out->submit}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *text = dsmr_cli_text(values, table[i].name);
        if (dsmr_node_settings_address(table[i].address, text) != DSMR_OK)
            return dsmr_cli_fail(values, wrong(values, table[i].name),
                                 "--%s must be HOST:PORT, not \"%s\"", table[i].name, text);
    }
    return -1;
}

static int read_fee_recipient(struct dsmr_node_settings *out, const struct dsmr_cli_values *values)
{
    const char *hex = dsmr_cli_text(values, "fee-recipient");
    if (hex != NULL && dsmr_hex_decode(out->fee_recipient.bytes, sizeof out->fee_recipient.bytes,
                                       hex, strlen(hex)) != DSMR_OK)
        return dsmr_cli_fail(values, wrong(values, "fee-recipient"),
                             "--fee-recipient must be 64 hexadecimal digits");
    return -1;
}

static int read_log(struct dsmr_node_settings *out, const struct dsmr_cli_values *values)
{
    const char *reason = "";
    if (dsmr_stderr_log_init(&out->log, &reason, dsmr_cli_text(values, "log-level"),
                             (enum dsmr_stderr_log_format)dsmr_cli_number(values, "log-format"),
                             STDERR_FILENO, dsmr_host_clock()) != DSMR_OK)
        return dsmr_cli_fail(values, wrong(values, "log-level"), "--log-level: %s", reason);
    return -1;
}

int dsmr_node_settings_read(struct dsmr_node_settings *out, const struct dsmr_cli_values *values)
{
    memset(out, 0, sizeof *out);
    int code = read_log(out, values);
    code = code < 0 ? read_addresses(out, values) : code;
    code = code < 0 ? read_peers(out, values) : code;
    code = code < 0 ? read_hosts(out, values) : code;
    return code < 0 ? read_fee_recipient(out, values) : code;
}
