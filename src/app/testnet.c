#include "app/testnet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/files.h"
#include "app/node_config.h"
#include "base/bytes.h"
#include "crypto/ed25519.h"
#include "host/os_random.h"
#include "vm/address.h"

#define ACCOUNT_BALANCE UINT64_C(1000000000000)

struct maker {
    const struct dsmr_testnet_config *config;
    char *reason;
    struct dsmr_genesis_member members[DSMR_TESTNET_NODES_MAX];
    struct dsmr_home homes[DSMR_TESTNET_NODES_MAX];
    uint32_t count;
};

void dsmr_testnet_home(char out[PATH_MAX], const struct dsmr_testnet_config *config, uint32_t i)
{
    int len = snprintf(out, PATH_MAX, "%.*s/%.64s%u", PATH_MAX - 128, config->directory,
                       config->node_prefix, i);
    (void)len;
}

static enum dsmr_err fail_io(struct maker *m, enum dsmr_err err, const char *path)
{
    snprintf(m->reason, DSMR_HOME_REASON_BYTES, "%.500s: cannot be written: %s", path,
             strerror(errno));
    return err;
}

static enum dsmr_err make_homes(struct maker *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        char path[PATH_MAX];
        dsmr_testnet_home(path, m->config, i);
        if (dsmr_home_init(&m->homes[i], path) != DSMR_OK) {
            snprintf(m->reason, DSMR_HOME_REASON_BYTES, "%.500s: path is too long", path);
            return DSMR_ERR_CONFIG;
        }
        enum dsmr_err err = dsmr_home_make_keys(&m->members[i], m->reason, &m->homes[i]);
        if (err != DSMR_OK)
            return err;
        snprintf(m->members[i].name, sizeof m->members[i].name, "%.40s%u", m->config->node_prefix,
                 i);
        m->members[i].weight = 1;
    }
    return DSMR_OK;
}

/* ---- accounts ---- */

static enum dsmr_err make_account(struct maker *m, FILE *app, const char *folder, uint32_t i)
{
    struct dsmr_ed25519_secret_key key;
    struct dsmr_ed25519_public_key public_key;
    struct dsmr_address address;
    char path[PATH_MAX], hex[65], secret[65], text[DSMR_ADDRESS_TEXT_LEN + 1], json[512];
    dsmr_os_random(key.bytes, sizeof key.bytes);
    dsmr_ed25519_public(&public_key, &key);
    memcpy(address.bytes, public_key.bytes, sizeof address.bytes);
    dsmr_hex_encode(hex, address.bytes, sizeof address.bytes);
    dsmr_hex_encode(secret, key.bytes, sizeof key.bytes);
    dsmr_address_format(text, &address);
    fprintf(app, "%s{\"address\":\"%s\",\"balance\":\"%" PRIu64 "\"}", i == 0 ? "" : ",", hex,
            ACCOUNT_BALANCE);
    int len = snprintf(json, sizeof json,
                       "{\"name\": \"account-%u\", \"address\": \"%s\", \"address_hex\": \"%s\", "
                       "\"secret_key\": \"%s\"}\n",
                       i, text, hex, secret);
    snprintf(path, sizeof path, "%.*s/account-%u.json", PATH_MAX - 64, folder, i);
    enum dsmr_err err = dsmr_files_write(path, json, (size_t)len, 0600);
    memset(&key, 0, sizeof key);
    memset(secret, 0, sizeof secret);
    memset(json, 0, sizeof json);
    return err == DSMR_OK ? DSMR_OK : fail_io(m, err, path);
}

/* The "app" object of genesis; the caller frees. */
static enum dsmr_err make_app(struct maker *m, char **out)
{
    char folder[PATH_MAX];
    size_t len = 0;
    FILE *app = open_memstream(out, &len);
    if (app == NULL)
        return DSMR_ERR_NO_MEMORY;
    enum dsmr_err err = DSMR_OK;
    if (strcmp(m->config->app, "transfers") == 0) {
        snprintf(folder, sizeof folder, "%.*s/accounts", PATH_MAX - 64, m->config->directory);
        if (dsmr_files_make_folder(folder, 0700) != DSMR_OK)
            err = fail_io(m, DSMR_ERR_IO, folder);
        fprintf(app, "{\"name\":\"transfers\",\"fee\":{\"base\":10,\"per_byte\":1,"
                     "\"per_signature\":20},\"accounts\":[");
        for (uint32_t i = 0; i < m->config->accounts && err == DSMR_OK; i++)
            err = make_account(m, app, folder, i);
        fprintf(app, "]}");
    } else {
        fprintf(app, "{\"name\":\"%s\"}", m->config->app);
    }
    if (fclose(app) != 0 && err == DSMR_OK)
        err = DSMR_ERR_NO_MEMORY;
    return err;
}

/* ---- configuration of each node ---- */

void dsmr_testnet_host(char *out, const struct dsmr_testnet_config *config, uint32_t i, size_t size)
{
    struct in_addr address;
    if (config->hostname_prefix != NULL) {
        snprintf(out, size, "%s%u", config->hostname_prefix, i);
    } else if (config->address != NULL && inet_pton(AF_INET, config->address, &address) == 1) {
        if (!config->is_local)
            address.s_addr = htonl(ntohl(address.s_addr) + i);
        inet_ntop(AF_INET, &address, out, (socklen_t)size);
    } else {
        snprintf(out, size, "127.0.0.1");
    }
}

static char *peers_of(const struct maker *m, uint32_t self)
{
    char *text = NULL, node_id[41], host[256];
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL)
        return NULL;
    for (uint32_t i = 0; i < m->count; i++) {
        if (i == self)
            continue;
        dsmr_hex_encode(node_id, m->members[i].node_id.bytes, 20);
        dsmr_testnet_host(host, m->config, i, sizeof host);
        fprintf(out, "%s%s@%s:%u", ftell(out) > 0 ? "," : "", node_id, host,
                m->config->ports[i][0]);
    }
    fclose(out);
    return text;
}

static enum dsmr_err configure(struct maker *m, uint32_t i)
{
    char p2p[300], http[300], submit[300], host[256], recipient[65], workers[16];
    char *peers = peers_of(m, i);
    if (peers == NULL)
        return DSMR_ERR_NO_MEMORY;
    dsmr_testnet_host(host, m->config, i, sizeof host);
    snprintf(p2p, sizeof p2p, "%s:%u", m->config->is_local ? host : "0.0.0.0",
             m->config->ports[i][0]);
    snprintf(http, sizeof http, "127.0.0.1:%u", m->config->ports[i][1]);
    snprintf(submit, sizeof submit, "127.0.0.1:%u", m->config->ports[i][2]);
    snprintf(workers, sizeof workers, "%u", m->config->workers);
    /* Fees go to an address that nobody has a key for unless the operator sets one. */
    struct dsmr_address address;
    memset(&address, 0, sizeof address);
    memcpy(address.bytes, m->members[i].node_id.bytes, sizeof m->members[i].node_id.bytes);
    dsmr_hex_encode(recipient, address.bytes, sizeof address.bytes);
    const struct dsmr_node_config_override own[] = {
        {"p2p-address", p2p},         {"http-address", http}, {"submit-address", submit},
        {"fee-recipient", recipient}, {"peers", peers},       {"workers", workers}};
    struct dsmr_node_config_override all[DSMR_NODE_CONFIG_ENTRIES_MAX + sizeof own / sizeof own[0]];
    size_t count = m->config->settings_count;
    if (count > 0)
        memcpy(all, m->config->settings, count * sizeof all[0]);
    for (size_t k = 0; k < sizeof own / sizeof own[0]; k++) /* the last of a name counts */
        if ((own[k].value != peers || peers[0] != 0) &&
            (own[k].value != workers || m->config->workers != 0))
            all[count++] = own[k];
    enum dsmr_err err = dsmr_node_config_write(&m->homes[i], all, count);
    free(peers);
    return err == DSMR_OK ? DSMR_OK : fail_io(m, err, m->homes[i].path);
}

static enum dsmr_err copy_genesis(struct maker *m, const char *genesis)
{
    char *text = NULL, path[PATH_MAX];
    size_t len = 0;
    enum dsmr_err err = dsmr_files_read(&text, &len, genesis, DSMR_GENESIS_BYTES_MAX);
    if (err != DSMR_OK)
        return fail_io(m, err, genesis);
    for (uint32_t i = 0; i < m->count && err == DSMR_OK; i++) {
        dsmr_home_path(path, &m->homes[i], "config/genesis.json");
        err = dsmr_files_write(path, text, len, 0644);
        if (err != DSMR_OK)
            err = fail_io(m, err, path);
        if (err == DSMR_OK)
            err = configure(m, i);
    }
    free(text);
    return err;
}

static enum dsmr_err make_all(struct maker *m, const char *genesis)
{
    const struct dsmr_testnet_config *config = m->config;
    char inner[DSMR_GENESIS_REASON_BYTES] = "out of memory";
    char *app = NULL;
    struct dsmr_params params;
    enum dsmr_err err = make_homes(m);
    if (err == DSMR_OK)
        err = make_app(m, &app);
    if (err == DSMR_OK) {
        dsmr_params_default(&params);
        params.domain.network_id = config->network_id;
        params.slot_ms = config->slot_ms;
        params.retention_ms = config->retention_ms;
        err = dsmr_genesis_write(inner, genesis, &params, config->time_ms, m->members,
                                 config->validators, app);
        if (err != DSMR_OK)
            snprintf(m->reason, DSMR_HOME_REASON_BYTES, "%s", inner);
    }
    free(app);
    return err == DSMR_OK ? copy_genesis(m, genesis) : err;
}

/* A network is written into a folder of its own: what lies there already would be mixed with it, or
 * be the home of a node or of another network, whose genesis must not be overwritten. */
static enum dsmr_err check_place(const struct maker *m, const char *genesis)
{
    static const char *const nothing[] = {NULL};
    const char *directory = m->config->directory;
    char path[PATH_MAX], name[DSMR_FILES_NAME_BYTES];
    snprintf(path, sizeof path, "%.*s/keys/bls.key", PATH_MAX - 64, directory);
    if (access(path, F_OK) == 0)
        snprintf(m->reason, DSMR_HOME_REASON_BYTES,
                 "%.500s is a node's own home: choose another folder for a network", directory);
    else if (access(genesis, F_OK) == 0)
        snprintf(m->reason, DSMR_HOME_REASON_BYTES, "%.500s: exists already", genesis);
    else if (dsmr_files_holds_other(name, directory, nothing))
        snprintf(m->reason, DSMR_HOME_REASON_BYTES,
                 "%.300s is not empty (%.100s is in it): choose a new folder for a network",
                 directory, name);
    else
        return DSMR_OK;
    return DSMR_ERR_CONFIG;
}

enum dsmr_err dsmr_testnet_make(char reason[DSMR_HOME_REASON_BYTES],
                                const struct dsmr_testnet_config *config)
{
    char genesis[PATH_MAX];
    struct maker *m = calloc(1, sizeof *m);
    if (m == NULL)
        return DSMR_ERR_NO_MEMORY;
    snprintf(reason, DSMR_HOME_REASON_BYTES, "out of memory");
    m->config = config;
    m->reason = reason;
    m->count = config->validators;
    snprintf(genesis, sizeof genesis, "%.*s/genesis.json", PATH_MAX - 64, config->directory);
    enum dsmr_err err = check_place(m, genesis);
    if (err == DSMR_OK && dsmr_files_make_folder(config->directory, 0755) != DSMR_OK)
        err = fail_io(m, DSMR_ERR_IO, config->directory);
    if (err == DSMR_OK)
        err = make_all(m, genesis);
    free(m);
    return err;
}
