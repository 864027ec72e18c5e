/* Any bytes as the configuration of a chain under AvalancheGo, and as the call that begins one:
 * accepted with texts that end, or refused with one sentence. */
#include <stdlib.h>
#include <string.h>

#include "plugin/plugin_open.c" /* what it does before it opens anything */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void as_request(const uint8_t *bytes, size_t len)
{
    static struct dsmr_plugin plugin;
    Dsmr__Pb__InitializeRequest *request = dsmr__pb__initialize_request__unpack(NULL, len, bytes);
    memset(&plugin, 0, sizeof(plugin));
    if (request != NULL) {
        bool is_read = read_request(&plugin, request);
        must(is_read == (plugin.reason[0] == '\0') && strchr(plugin.reason, '\n') == NULL);
        must(!is_read || strcmp(plugin.data_dir, request->chain_data_dir) == 0);
        must(!is_read || dsmr_params_check(&plugin.genesis.params, &(const char *){NULL},
                                           plugin.genesis.validators_max) == DSMR_OK);
        if (plugin.has_genesis) {
            (void)check_time(&plugin, request->network_upgrades);
            dsmr_genesis_close(&plugin.genesis);
        }
    }
    dsmr__pb__initialize_request__free_unpacked(request, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    as_request(bytes, len);
    struct dsmr_plugin_config config;
    char reason[DSMR_PLUGIN_CONFIG_REASON_BYTES];
    memset(&config, 0xff, sizeof(config));
    memset(reason, 0, sizeof(reason));
    enum dsmr_err err = dsmr_plugin_config_read(&config, reason, bytes, len);
    if (err != DSMR_OK) {
        must(err == DSMR_ERR_CONFIG || err == DSMR_ERR_NO_MEMORY);
        must(memchr(reason, '\0', sizeof(reason)) != NULL && reason[0] != '\0');
        must(strchr(reason, '\n') == NULL);
        return 0;
    }
    must(memchr(config.log_level, '\0', sizeof(config.log_level)) != NULL);
    must(memchr(config.direct_listen, '\0', sizeof(config.direct_listen)) != NULL);
    must(memchr(config.direct_announce, '\0', sizeof(config.direct_announce)) != NULL);
    must(memchr(config.http_listen, '\0', sizeof(config.http_listen)) != NULL);
    must(memchr(config.submit_listen, '\0', sizeof(config.submit_listen)) != NULL);
    must(config.workers > 0 && config.mempool_txs > 0 && config.mempool_bytes > 0);
    return 0;
}
