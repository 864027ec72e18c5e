#include "app/node_config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/config_yaml.h"
#include "app/exit_codes.h"
#include "app/files.h"
#include "base/bytes.h"
#include "driver/driver.h"
#include "store/lmdb_store.h"

const struct dsmr_cli_option dsmr_node_config_options[] = {
    {"p2p-address", "HOST:PORT", DSMR_CLI_TEXT, 0, 0, NULL, "127.0.0.1:26656",
     "where validators reach this node"},
    {"http-address", "HOST:PORT", DSMR_CLI_TEXT, 0, 0, NULL, "127.0.0.1:26657",
     "where HTTP is served; port 0 takes a free one"},
    {"submit-address", "HOST:PORT", DSMR_CLI_TEXT, 0, 0, NULL, "127.0.0.1:26658",
     "where the binary submit stream is served"},
    {"allow-remote", NULL, DSMR_CLI_FLAG, 0, 0, NULL, "false",
     "serve HTTP and the submit stream beyond this machine"},
    {"http-hosts", "NAMES", DSMR_CLI_TEXT, 0, 0, NULL, NULL,
     "further names that requests may call this node by, separated by commas"},
    {"peers", "LIST", DSMR_CLI_TEXT, 0, 0, NULL, NULL,
     "the other validators: NODEID@HOST:PORT, separated by commas"},
    {"fee-recipient", "HEX", DSMR_CLI_TEXT, 0, 0, NULL, NULL,
     "address (64 hexadecimal digits) that gets the fees of this node's chunks"},
    {"follow", NULL, DSMR_CLI_FLAG, 0, 0, NULL, "false",
     "never produce chunks, even if this node is a validator"},
    {"workers", "N", DSMR_CLI_NUMBER, 1, 64, NULL, "2", "threads for signatures and hashing"},
    {"mempool-bytes", "BYTES", DSMR_CLI_NUMBER, 65536, UINT64_C(1) << 36, NULL, "67108864",
     "most bytes of transactions that wait for a chunk"},
    {"mempool-txs", "N", DSMR_CLI_NUMBER, 16, 16777216, NULL, "262144",
     "most transactions that wait for a chunk"},
    {"chunk-cache-bytes", "BYTES", DSMR_CLI_NUMBER, 1048576, UINT64_C(1) << 40, NULL, "134217728",
     "chunk bodies kept in memory; of more than an eighth clients' may wait less long"},
    {"disk-low-bytes", "BYTES", DSMR_CLI_NUMBER, 0, UINT64_C(1) << 50, NULL, "268435456",
     "below this much free disk the node neither signs nor builds"},
    {"store-map-bytes", "BYTES", DSMR_CLI_NUMBER, DSMR_LMDB_STORE_MAP_BYTES_MIN, UINT64_C(1) << 44,
     NULL, "274877906944", "address space of each database: the most it can grow to"},
    {"view-timeout", "TIME", DSMR_CLI_DURATION, 50, 600000, NULL, "1s",
     "how long the leader of a view has before it is passed over"},
    {"retry", "TIME", DSMR_CLI_DURATION, 10, 60000, NULL, "250ms",
     "first pause before something unanswered is sent again"},
    {"fetch-timeout", "TIME", DSMR_CLI_DURATION, 10, 60000, NULL, "500ms",
     "how long a signer has to answer a fetch before the next is asked"},
    {"log-level", "RULES", DSMR_CLI_TEXT, 0, 0, NULL, "*:info",
     "levels per module, as in \"p2p:warn,*:info\""},
    {"log-format", "FORMAT", DSMR_CLI_CHOICE, 0, 0, "plain|json|journal", "plain",
     "form of the log on standard error"},
};
const size_t dsmr_node_config_options_count =
    sizeof dsmr_node_config_options / sizeof dsmr_node_config_options[0];

/* ---- config.yaml ---- */

/* Lives until the process ends: values borrow from it. */
static struct dsmr_config_yaml loaded;

static const struct dsmr_cli_option *find_option(const char *name)
{
    for (size_t i = 0; i < dsmr_node_config_options_count; i++)
        if (strcmp(dsmr_node_config_options[i].name, name) == 0)
            return &dsmr_node_config_options[i];
    return NULL;
}

/* Into loaded. */
static int load(const struct dsmr_cli_values *values, const char *path)
{
    char *text = NULL;
    size_t len = 0;
    if (dsmr_files_read(&text, &len, path, 1u << 20) != DSMR_OK)
        return dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "%s: cannot be read: %s", path,
                             strerror(errno));
    bool is_good = dsmr_config_yaml_parse(&loaded, text, len);
    free(text);
    if (!is_good)
        return dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "%s:%u: %s", path, loaded.problem_line,
                             loaded.problem);
    for (size_t i = 0; i < loaded.count; i++)
        if (find_option(loaded.entries[i].name) == NULL)
            return dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "%s:%u: unknown key \"%s\"", path,
                                 loaded.entries[i].line, loaded.entries[i].name);
    return -1;
}

int dsmr_node_config_merge(struct dsmr_cli_values *values, const struct dsmr_home *home)
{
    char path[PATH_MAX];
    dsmr_home_path(path, home, "config/config.yaml");
    if (access(path, F_OK) != 0)
        return -1;
    int code = load(values, path);
    return code >= 0 ? code : dsmr_cli_merge_file(values, path, dsmr_config_yaml_lookup, &loaded);
}

int dsmr_node_config_read(struct dsmr_node_config_override out[DSMR_NODE_CONFIG_ENTRIES_MAX],
                          size_t *count, const struct dsmr_cli_values *values, const char *path)
{
    int code = load(values, path);
    for (size_t i = 0; code < 0 && i < loaded.count; i++) {
        const struct dsmr_config_yaml_entry *entry = &loaded.entries[i];
        char message[192];
        uint64_t number;
        if (dsmr_cli_check(find_option(entry->name), entry->value, &number, message,
                           sizeof message) >= 0)
            code = dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "%s:%u: %s %s, not \"%s\"", path,
                                 entry->line, entry->name, message, entry->value);
        out[i].name = entry->name;
        out[i].value = entry->value;
    }
    *count = loaded.count;
    return code;
}

/* ---- writing ---- */

enum dsmr_err dsmr_node_config_write(const struct dsmr_home *home,
                                     const struct dsmr_node_config_override *overrides,
                                     size_t count)
{
    char path[PATH_MAX];
    char *text = NULL;
    size_t len = 0;
    dsmr_home_path(path, home, "config/config.yaml");
    FILE *out = open_memstream(&text, &len);
    if (out == NULL)
        return DSMR_ERR_NO_MEMORY;
    fprintf(out, "# Settings of this node. A flag of the same name and the environment (DSMR_ and\n"
                 "# the name in capitals, _ for -) come before what stands here. Commented lines\n"
                 "# show the defaults.\n");
    for (size_t i = 0; i < dsmr_node_config_options_count; i++) {
        const struct dsmr_cli_option *option = &dsmr_node_config_options[i];
        const char *value = NULL;
        for (size_t k = 0; k < count; k++)
            if (strcmp(overrides[k].name, option->name) == 0)
                value = overrides[k].value;
        fprintf(out, "\n# %s", option->help);
        if (option->max != 0)
            fprintf(out, " (%llu to %llu%s)", (unsigned long long)option->min,
                    (unsigned long long)option->max,
                    option->type == DSMR_CLI_DURATION ? " ms" : "");
        if (option->choices != NULL)
            fprintf(out, " (%s)", option->choices);
        if (value != NULL)
            fprintf(out, "\n%s: \"%s\"\n", option->name, value);
        else
            fprintf(out, "\n#%s: \"%s\"\n", option->name,
                    option->fallback == NULL ? "" : option->fallback);
    }
    int failed = ferror(out);
    fclose(out);
    enum dsmr_err err = failed ? DSMR_ERR_NO_MEMORY : dsmr_files_write(path, text, len, 0644);
    free(text);
    return err;
}

int dsmr_node_config_fits(const struct dsmr_cli_values *values, const struct dsmr_params *params)
{
    enum dsmr_cli_source source = dsmr_cli_source(values, "store-map-bytes");
    uint64_t have = dsmr_cli_number(values, "store-map-bytes");
    uint64_t need = dsmr_driver_state_bytes_min(params);
    if (have >= need)
        return -1;
    return dsmr_cli_fail(values,
                         source == DSMR_CLI_FROM_FLAG || source == DSMR_CLI_FROM_ENV
                             ? DSMR_EXIT_USAGE
                             : DSMR_EXIT_CONFIG,
                         "store-map-bytes: %" PRIu64
                         " cannot hold the results of blocks of block_txs_max %u transactions: at "
                         "least %" PRIu64,
                         have, params->block_txs_max, need);
}
