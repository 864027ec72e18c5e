/* dsmrd_main.c - the node. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/application.h"
#include "app/cli_options.h"
#include "app/daemon.h"
#include "app/exit_codes.h"
#include "app/files.h"
#include "app/home_check.h"
#include "app/inspect.h"
#include "app/node_config.h"
#include "app/node_settings.h"
#include "app/testnet.h"
#include "base/bytes.h"
#include "host/bus_error.h"
#include "host/file_signer.h"
#include "net/tls_identity.h"

static int open_home(const struct dsmr_cli_values *values, struct dsmr_home *home)
{
    if (dsmr_home_init(home, dsmr_cli_text(values, "home")) != DSMR_OK)
        return dsmr_cli_fail(values, DSMR_EXIT_CONFIG,
                             "home: set --home to a path that is not too long");
    return -1;
}

static int run_start(const struct dsmr_cli_values *values)
{
    /* values borrows from the table; the file's part is merged into a copy. */
    static struct dsmr_cli_values merged;
    static struct dsmr_home home;
    merged = *values;
    int code = open_home(&merged, &home);
    if (code < 0)
        code = dsmr_node_config_merge(&merged, &home);
    return code >= 0 ? code : dsmr_daemon_run(&merged, &home);
}

static int run_init(const struct dsmr_cli_values *values)
{
    struct dsmr_home home;
    struct dsmr_genesis_member member;
    char reason[DSMR_HOME_REASON_BYTES] = "", path[PATH_MAX], node_id[41], key[97], proof[193];
    int code = open_home(values, &home);
    if (code >= 0)
        return code;
    memset(&member, 0, sizeof member);
    enum dsmr_err err = dsmr_home_check_place(reason, &home);
    if (err == DSMR_OK)
        err = dsmr_home_make_keys(&member, reason, &home);
    if (err != DSMR_OK)
        return dsmr_cli_fail(values, err == DSMR_ERR_CONFIG ? DSMR_EXIT_CONFIG : DSMR_EXIT_IO, "%s",
                             reason);
    dsmr_home_path(path, &home, "config/config.yaml");
    FILE *existing = fopen(path, "r");
    if (existing != NULL)
        fclose(existing); /* what the operator wrote stays */
    else if (dsmr_node_config_write(&home, NULL, 0) != DSMR_OK)
        return dsmr_cli_fail(values, DSMR_EXIT_IO, "%s: cannot be written: %s", path,
                             strerror(errno));
    dsmr_hex_encode(node_id, member.node_id.bytes, sizeof member.node_id.bytes);
    dsmr_hex_encode(key, member.key.bytes, sizeof member.key.bytes);
    dsmr_hex_encode(proof, member.proof.bytes, sizeof member.proof.bytes);
    if (dsmr_cli_flag(values, "json")) {
        printf("{\"home\":");
        dsmr_cli_print_json(stdout, home.path);
        printf(",\"node_id\":\"%s\",\"bls_public_key\":\"%s\",\"proof_of_possession\":\"%s\"}\n",
               node_id, key, proof);
    } else
        printf("home                 %s\nnode id              %s\nBLS public key       %s\n"
               "proof of possession  %s\nPut a genesis.json into %s/config, then: dsmrd start "
               "--home %s\n",
               home.path, node_id, key, proof, home.path, home.path);
    return DSMR_EXIT_OK;
}

/* Homes, and where their nodes will be. */
static void print_testnet(const struct dsmr_cli_values *values,
                          const struct dsmr_testnet_config *config)
{
    bool is_json = dsmr_cli_flag(values, "json");
    char home[PATH_MAX], host[256];
    if (is_json) {
        printf("{\"directory\":");
        dsmr_cli_print_json(stdout, config->directory);
        printf(",\"validators\":%u,\"nodes\":[", config->validators);
    } else
        printf("%u validators in %s; start each with: dsmrd start --home %s/%sN\n",
               config->validators, config->directory, config->directory, config->node_prefix);
    for (uint32_t i = 0; i < config->validators; i++) {
        const uint16_t *ports = config->ports[i];
        dsmr_testnet_home(home, config, i);
        dsmr_testnet_host(host, config, i, sizeof host);
        if (is_json) {
            printf("%s{\"home\":", i == 0 ? "" : ",");
            dsmr_cli_print_json(stdout, home);
            printf(",\"p2p_host\":");
            dsmr_cli_print_json(stdout, host);
            printf(",\"p2p_port\":%u,\"http_port\":%u,\"submit_port\":%u}", ports[0], ports[1],
                   ports[2]);
        } else
            printf("  %s  p2p %s:%u  http://127.0.0.1:%u  submit stream 127.0.0.1:%u\n", home, host,
                   ports[0], ports[1], ports[2]);
    }
    if (is_json)
        printf("]}\n");
}

static int run_testnet(const struct dsmr_cli_values *values)
{
    struct dsmr_testnet_config config;
    char reason[DSMR_HOME_REASON_BYTES] = "";
    struct timespec now;
    memset(&config, 0, sizeof config);
    clock_gettime(CLOCK_REALTIME, &now);
    config.directory = dsmr_cli_text(values, "o");
    config.validators = (uint32_t)dsmr_cli_number(values, "v");
    if (dsmr_cli_number(values, "n") != 0)
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE,
                             "--n: validators serve validators only, so a node that is none could "
                             "not follow them yet; leave it at 0");
    config.node_prefix = dsmr_cli_text(values, "node-dir-prefix");
    config.hostname_prefix = dsmr_cli_text(values, "hostname-prefix");
    config.address = dsmr_cli_text(values, "starting-ip-address");
    struct in_addr address;
    if (config.address != NULL && inet_pton(AF_INET, config.address, &address) != 1)
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE,
                             "--starting-ip-address must be an IPv4 address, not \"%s\"",
                             config.address);
    static struct dsmr_node_config_override settings[DSMR_NODE_CONFIG_ENTRIES_MAX];
    config.settings = settings;
    if (dsmr_cli_text(values, "config") != NULL) {
        int code = dsmr_node_config_read(settings, &config.settings_count, values,
                                         dsmr_cli_text(values, "config"));
        if (code >= 0)
            return code;
    }
    config.is_local = config.hostname_prefix == NULL && config.address == NULL;
    config.app = dsmr_cli_text(values, "app");
    config.accounts = (uint32_t)dsmr_cli_number(values, "accounts");
    config.network_id = (uint32_t)dsmr_cli_number(values, "network-id");
    config.slot_ms = (uint32_t)dsmr_cli_number(values, "slot");
    config.retention_ms = UINT64_MAX;
    config.time_ms = (uint64_t)now.tv_sec * 1000u;
    for (uint32_t i = 0; i < config.validators; i++)
        for (uint32_t k = 0; k < 3; k++)
            config.ports[i][k] =
                (uint16_t)(dsmr_cli_number(values, "port") + k + (config.is_local ? 10u * i : 0u));
    enum dsmr_err err = dsmr_testnet_make(reason, &config);
    if (err != DSMR_OK)
        return dsmr_cli_fail(values, err == DSMR_ERR_CONFIG ? DSMR_EXIT_CONFIG : DSMR_EXIT_IO, "%s",
                             reason);
    print_testnet(values, &config);
    return DSMR_EXIT_OK;
}

static int check_app(const struct dsmr_cli_values *values, const struct dsmr_genesis *genesis,
                     const char *path)
{
    struct dsmr_app app;
    char reason[DSMR_APPLICATION_REASON_BYTES] = "out of memory";
    if (dsmr_application_new(&app, genesis->app_name, &genesis->params.domain) != DSMR_OK)
        return dsmr_cli_fail(values, DSMR_EXIT_DATA, "%s: app.name \"%s\" is not known: %s", path,
                             genesis->app_name, dsmr_application_names());
    enum dsmr_err err = dsmr_application_check(&app, reason, genesis->app_json);
    app.ops->free(app.self);
    return err == DSMR_OK ? -1 : dsmr_cli_fail(values, DSMR_EXIT_DATA, "%s: %s", path, reason);
}

/* Those that are there: a genesis can be checked before the node has its keys. */
static int check_keys(const struct dsmr_cli_values *values, const struct dsmr_home *home,
                      const struct dsmr_genesis *genesis)
{
    char bls[PATH_MAX], tls[PATH_MAX], certificate[PATH_MAX];
    char reason[DSMR_KEY_FILE_REASON_BYTES] = "", tls_reason[DSMR_TLS_IDENTITY_REASON_BYTES] = "";
    struct dsmr_file_signer *signer = NULL;
    struct dsmr_tls_identity *identity = NULL;
    bool is_named = false;
    dsmr_home_path(bls, home, "keys/bls.key");
    dsmr_home_path(tls, home, "keys/tls.key");
    dsmr_home_path(certificate, home, "keys/tls.crt");
    if (access(bls, F_OK) != 0 && access(tls, F_OK) != 0)
        return -1;
    int code = -1;
    if (dsmr_file_signer_open(&signer, reason, bls) != DSMR_OK)
        code = dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "%s", reason);
    else if (dsmr_tls_identity_open(&identity, tls_reason, tls, certificate) != DSMR_OK)
        code = dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "%s", tls_reason);
    else
        code = dsmr_home_check_keys(values, home, genesis, &identity->node_id,
                                    dsmr_file_signer_public_key(signer), &is_named);
    dsmr_file_signer_free(signer);
    dsmr_tls_identity_free(identity);
    return code;
}

static void print_check(const struct dsmr_cli_values *values, const struct dsmr_genesis *genesis,
                        const struct dsmr_home_check_data *data)
{
    static const char *const names[] = {"empty", "of_this_chain", "not_looked_at"};
    static const char *const texts[] = {"is empty", "is of this chain", "was not looked at: "};
    char chain_id[65];
    dsmr_hex_encode(chain_id, genesis->params.domain.chain_id.bytes, 32);
    if (!dsmr_cli_flag(values, "json")) {
        printf("config and genesis are good: chain %s, network %u, %u validator set(s), app %s\n"
               "data/ %s%s\n",
               chain_id, genesis->params.domain.network_id, genesis->schedule_count,
               genesis->app_name, texts[data->state],
               data->state == DSMR_HOME_CHECK_DATA_NOT_LOOKED_AT ? data->why : "");
        return;
    }
    printf("{\"ok\":true,\"chain_id\":\"%s\",\"network_id\":%u,\"validator_sets\":%u,"
           "\"app\":\"%s\",\"data\":\"%s\",\"data_reason\":",
           chain_id, genesis->params.domain.network_id, genesis->schedule_count, genesis->app_name,
           names[data->state]);
    if (data->state == DSMR_HOME_CHECK_DATA_NOT_LOOKED_AT)
        dsmr_cli_print_json(stdout, data->why);
    else
        printf("null");
    printf("}\n");
}

static int run_config_check(const struct dsmr_cli_values *values)
{
    static struct dsmr_cli_values merged;
    static struct dsmr_home home;
    static struct dsmr_node_settings settings;
    static struct dsmr_home_check_data data;
    struct dsmr_genesis genesis;
    char path[PATH_MAX], reason[DSMR_GENESIS_REASON_BYTES] = "out of memory";
    merged = *values;
    int code = open_home(&merged, &home);
    if (code < 0)
        code = dsmr_home_check_folder(&merged, &home);
    if (code < 0)
        code = dsmr_node_config_merge(&merged, &home);
    if (code < 0)
        code = dsmr_node_settings_read(&settings, &merged);
    if (code >= 0)
        return code;
    dsmr_home_path(path, &home, "config/genesis.json");
    if (dsmr_genesis_load(&genesis, reason, path) != DSMR_OK)
        return dsmr_cli_fail(values, DSMR_EXIT_DATA, "%s", reason);
    code = check_app(values, &genesis, path);
    if (code >= 0) {
        dsmr_genesis_close(&genesis);
        return code;
    }
    code = dsmr_node_config_fits(&merged, &genesis.params);
    if (code < 0)
        code = dsmr_home_check_settings(&merged, &settings, &genesis);
    if (code < 0)
        code = check_keys(&merged, &home, &genesis);
    if (code < 0)
        code = dsmr_home_check_chain(&merged, &home, &genesis, &data);
    if (code < 0) {
        print_check(values, &genesis, &data);
        code = DSMR_EXIT_OK;
    }
    dsmr_genesis_close(&genesis);
    return code;
}

static int run_keys(const struct dsmr_cli_values *values)
{
    struct dsmr_home home;
    struct dsmr_genesis_member member;
    char reason[DSMR_HOME_REASON_BYTES] = "", path[PATH_MAX], node_id[41], key[97], proof[193];
    int code = open_home(values, &home);
    if (code >= 0)
        return code;
    dsmr_home_path(path, &home, "keys/bls.key");
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "%s: %s; make it with: dsmrd init", path,
                             strerror(errno));
    fclose(file);
    memset(&member, 0, sizeof member);
    if (dsmr_home_make_keys(&member, reason, &home) != DSMR_OK)
        return dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "%s", reason);
    dsmr_hex_encode(node_id, member.node_id.bytes, sizeof member.node_id.bytes);
    dsmr_hex_encode(key, member.key.bytes, sizeof member.key.bytes);
    dsmr_hex_encode(proof, member.proof.bytes, sizeof member.proof.bytes);
    if (dsmr_cli_flag(values, "json"))
        printf("{\"node_id\":\"%s\",\"bls_public_key\":\"%s\",\"proof_of_possession\":\"%s\"}\n",
               node_id, key, proof);
    else
        printf("node id              %s\nBLS public key       %s\nproof of possession  %s\n",
               node_id, key, proof);
    return DSMR_EXIT_OK;
}

static int run_inspect(const struct dsmr_cli_values *values)
{
    struct dsmr_home home;
    int code = open_home(values, &home);
    return code >= 0 ? code : dsmr_inspect_run(values, &home);
}

static int run_version(const struct dsmr_cli_values *values)
{
    if (dsmr_cli_flag(values, "json"))
        printf("{\"program\":\"dsmrd\",\"version\":\"%s\"}\n", DSMR_VERSION);
    else
        printf("dsmrd %s\n", DSMR_VERSION);
    return DSMR_EXIT_OK;
}

static const struct dsmr_cli_option common_options[] = {
    {"home", "DIR", DSMR_CLI_TEXT, 0, 0, NULL, NULL,
     "the node's folder (default: .dsmr in the user's home)"},
    {"json", NULL, DSMR_CLI_FLAG, 0, 0, NULL, "false", "print facts as JSON"},
};

static const struct dsmr_cli_option testnet_options[] = {
    {"v", "N", DSMR_CLI_NUMBER, 1, DSMR_TESTNET_NODES_MAX, NULL, "4", "validators"},
    {"n", "N", DSMR_CLI_NUMBER, 0, DSMR_TESTNET_NODES_MAX, NULL, "0",
     "nodes that are not validators: none yet"},
    {"o", "DIR", DSMR_CLI_TEXT, 0, 0, NULL, "./testnet",
     "where everything is written: a new or an empty folder"},
    {"node-dir-prefix", "NAME", DSMR_CLI_TEXT, 0, 0, NULL, "node", "names of the homes"},
    {"hostname-prefix", "NAME", DSMR_CLI_TEXT, 0, 0, NULL, NULL,
     "peers are reached as NAME0, NAME1, ... instead of by address"},
    {"starting-ip-address", "IP", DSMR_CLI_TEXT, 0, 0, NULL, NULL,
     "address of the first node, the next one higher each (default: all on 127.0.0.1, with ports "
     "of their own)"},
    {"config", "FILE", DSMR_CLI_TEXT, 0, 0, NULL, NULL,
     "settings for every node, in the form of config.yaml; addresses, peers and fee recipients are "
     "set anyhow"},
    {"port", "N", DSMR_CLI_NUMBER, 1024, 64000, NULL, "26656",
     "first port: p2p, then HTTP, then the submit stream; where all are on 127.0.0.1 each node's "
     "are 10 above those of the one before"},
    {"app", "NAME", DSMR_CLI_CHOICE, 0, 0, "transfers|opaque", "transfers", "the application"},
    {"accounts", "N", DSMR_CLI_NUMBER, 1, 100000, NULL, "16", "funded accounts"},
    {"network-id", "N", DSMR_CLI_NUMBER, 0, UINT32_MAX, NULL, "1337", "number of the network"},
    {"slot", "TIME", DSMR_CLI_DURATION, 10, 60000, NULL, "100ms",
     "a validator makes at most one chunk per slot"},
};

int main(int argc, char **argv)
{
    static const struct dsmr_bus_error_codes bus_error_codes = {.cut = DSMR_EXIT_DATA,
                                                                .unreadable = DSMR_EXIT_IO};
    dsmr_bus_error_catch("dsmrd", &bus_error_codes);
    const struct dsmr_cli_verb verbs[] = {
        {"init", NULL, "make a home with fresh keys", 0, 0, NULL, 0, run_init, "home|json"},
        {"start", NULL, "run the node of a home", 0, 0, dsmr_node_config_options,
         dsmr_node_config_options_count, run_start, "home|json"},
        {"testnet", NULL, "write homes, genesis and funded accounts for a network", 0, 0,
         testnet_options, sizeof testnet_options / sizeof testnet_options[0], run_testnet, "json"},
        {"keys", NULL, "show the node id, the BLS key and its proof of possession", 0, 0, NULL, 0,
         run_keys, "home|json"},
        {"inspect", NULL, "read what a stopped node has stored", 0, 0, NULL, 0, run_inspect,
         "home|json"},
        {"config check", NULL,
         "check config.yaml, genesis.json and whose data are there, without starting", 0, 0,
         dsmr_node_config_options, dsmr_node_config_options_count, run_config_check, "home|json"},
        {"version", NULL, "print the version", 0, 0, NULL, 0, run_version, "json"},
    };
    static const struct dsmr_cli_file files[] = {
        {"~/.dsmr", "the node's folder, if neither --home nor DSMR_HOME names another; below it:"},
        {"config/config.yaml",
         "settings, one NAME: VALUE a line, with the names of start's options"},
        {"config/genesis.json", "the chain: the same file on all its nodes"},
        {"keys/bls.key", "signs shares and votes; readable by its owner only"},
        {"keys/tls.key, keys/tls.crt", "the node's identity towards peers"},
        {"data/", "blocks, chunks, state, and what this node has signed: never to be copied to "
                  "a second running node, and not to be deleted from a validator"},
        {"data/never-voted", "until the first start: the key was made with this folder and has "
                             "never voted; a copy of it does not count"},
        {"lock", "held while the node runs"},
    };
    const struct dsmr_cli_program program = {
        .name = "dsmrd",
        .summary = "a DSMR node with a built-in BFT engine",
        .description =
            "dsmrd packs transactions into chunks, has them signed by a quorum of validators, "
            "orders certificates of chunks in blocks by a built-in BFT engine, and executes what "
            "was ordered.",
        .verbs = verbs,
        .verbs_count = sizeof verbs / sizeof verbs[0],
        .common = common_options,
        .common_count = sizeof common_options / sizeof common_options[0],
        .files = files,
        .files_count = sizeof files / sizeof files[0],
        .see_also = "dsmr"};
    return dsmr_cli_main(&program, argc, argv);
}
