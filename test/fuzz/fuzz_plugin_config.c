/* Any bytes as the configuration of a chain under AvalancheGo: accepted with texts that end, or
 * refused with one sentence. */
#include <stdlib.h>
#include <string.h>

#include "plugin/plugin_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
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
