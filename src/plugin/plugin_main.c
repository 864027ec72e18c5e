#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/exit_codes.h"
#include "plugin/plugin.h"

#define ENGINE_VARIABLE "AVALANCHE_VM_RUNTIME_ENGINE_ADDR"

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("dsmr-avalanche %s, RPCChainVM protocol %d\n", DSMR_VERSION, DSMR_RPCCHAINVM);
        return DSMR_EXIT_OK;
    }
    if (argc > 1) {
        fprintf(stderr, "dsmr-avalanche: takes no arguments but --version: AvalancheGo starts it "
                        "from its plugin directory (docs/avalanche.md)\n");
        return DSMR_EXIT_USAGE;
    }
    const char *engine = getenv(ENGINE_VARIABLE);
    if (engine == NULL || engine[0] == '\0') {
        fprintf(stderr, "dsmr-avalanche: " ENGINE_VARIABLE " is not set: AvalancheGo starts this "
                        "program from its plugin directory (docs/avalanche.md)\n");
        return DSMR_EXIT_USAGE;
    }
    return dsmr_plugin_run(engine);
}
