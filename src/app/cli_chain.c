#include <ctype.h>
#include <string.h>

#include "app/cli_common.h"
#include "app/cli_verbs.h"
#include "app/exit_codes.h"

/* The argument goes into a path: only what an id, a height or an address is made of. */
static int show(const struct dsmr_cli_values *values, const char *prefix, const char *suffix)
{
    char path[256];
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
    (void)snprintf(path, sizeof(path), "%s%s%s", prefix, arg, suffix);
    return dsmr_cli_common_show(values, path);
}

int dsmr_cli_chain_tx(const struct dsmr_cli_values *values)
{
    return show(values, "/v1/tx/", "");
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
