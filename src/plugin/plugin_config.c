#include "plugin/plugin_config.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "host/workers.h"

enum kind { KIND_TEXT, KIND_U32, KIND_U64, KIND_FLAG, KIND_PLANE, KIND_ADDRESS };

struct key {
    const char *name;
    enum kind kind;
    size_t offset;
    size_t size; /* TEXT: of the field */
    uint64_t min, max;
};
#define FIELD(field) offsetof(struct dsmr_plugin_config, field)
#define SIZE(field) sizeof(((struct dsmr_plugin_config *)0)->field)
static const struct key keys[] = {
    {"log_level", KIND_TEXT, FIELD(log_level), SIZE(log_level), 0, 0},
    {"data_plane", KIND_PLANE, FIELD(is_direct), 0, 0, 0},
    {"peer_bytes_per_s", KIND_U64, FIELD(peer_bytes_per_s), 0, 16384, INT64_MAX / 1000000},
    {"peer_burst_bytes", KIND_U64, FIELD(peer_burst_bytes), 0, 16384, INT32_MAX},
    {"direct_listen", KIND_TEXT, FIELD(direct_listen), SIZE(direct_listen), 0, 0},
    {"direct_announce", KIND_TEXT, FIELD(direct_announce), SIZE(direct_announce), 0, 0},
    {"http_listen", KIND_TEXT, FIELD(http_listen), SIZE(http_listen), 0, 0},
    {"submit_listen", KIND_TEXT, FIELD(submit_listen), SIZE(submit_listen), 0, 0},
    {"allow_remote", KIND_FLAG, FIELD(allow_remote), 0, 0, 0},
    {"fee_recipient", KIND_ADDRESS, FIELD(fee_recipient), 0, 0, 0},
    {"workers", KIND_U32, FIELD(workers), 0, 1, DSMR_WORKERS_THREADS_MAX},
    {"mempool_bytes", KIND_U64, FIELD(mempool_bytes), 0, 1u << 20, INT64_MAX},
    {"mempool_txs", KIND_U32, FIELD(mempool_txs), 0, 1024, 1u << 26},
    {"chunk_cache_bytes", KIND_U64, FIELD(chunk_cache_bytes), 0, 1u << 20, INT64_MAX},
    {"store_map_bytes", KIND_U64, FIELD(store_map_bytes), 0, 256u << 20, INT64_MAX},
    {"disk_low_bytes", KIND_U64, FIELD(disk_low_bytes), 0, 0, INT64_MAX},
    {"retry_ms", KIND_U32, FIELD(retry_ms), 0, 50, 60000},
    {"fetch_timeout_ms", KIND_U32, FIELD(fetch_timeout_ms), 0, 50, 60000},
};

static void set_defaults(struct dsmr_plugin_config *config)
{
    memset(config, 0, sizeof *config);
    strcpy(config->log_level, "info");
    config->peer_bytes_per_s = 384u << 10;
    config->peer_burst_bytes = 512u << 10;
    strcpy(config->direct_listen, "127.0.0.1:0");
    strcpy(config->direct_announce, "127.0.0.1");
    config->workers = dsmr_workers_processors();
    config->mempool_bytes = 256u << 20;
    config->mempool_txs = 1u << 20;
    config->chunk_cache_bytes = 64u << 20;
    config->disk_low_bytes = 1u << 30;
    config->retry_ms = 250;
    config->fetch_timeout_ms = 1000;
}

static bool read_number(uint64_t *out, const struct key *key, json_t *value,
                        char reason[DSMR_PLUGIN_CONFIG_REASON_BYTES])
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (uint64_t)number < key->min ||
        (uint64_t)number > key->max) {
        snprintf(reason, DSMR_PLUGIN_CONFIG_REASON_BYTES,
                 "config: %s must be a whole number from %" PRIu64 " to %" PRIu64, key->name,
                 key->min, key->max);
        return false;
    }
    *out = (uint64_t)number;
    return true;
}

static bool read_text(uint8_t *at, const struct key *key, json_t *value,
                      char reason[DSMR_PLUGIN_CONFIG_REASON_BYTES])
{
    const char *text = json_string_value(value);
    const char *what = NULL;
    if (text == NULL)
        what = "a text";
    else if (key->kind == KIND_PLANE && strcmp(text, "direct") != 0 &&
             strcmp(text, "avalanche") != 0)
        what = "\"avalanche\" or \"direct\"";
    else if (key->kind == KIND_ADDRESS &&
             dsmr_hex_decode(at, sizeof(struct dsmr_address), text, strlen(text)) != DSMR_OK)
        what = "the hexadecimal digits of an address";
    else if (key->kind == KIND_TEXT && strlen(text) >= key->size)
        what = "a shorter text";
    if (what != NULL) {
        snprintf(reason, DSMR_PLUGIN_CONFIG_REASON_BYTES, "config: %s must be %s", key->name, what);
        return false;
    }
    if (key->kind == KIND_TEXT)
        strcpy((char *)at, text);
    else if (key->kind == KIND_PLANE)
        *(bool *)at = strcmp(text, "direct") == 0;
    return true;
}

static bool read_key(struct dsmr_plugin_config *out, const struct key *key, json_t *value,
                     char reason[DSMR_PLUGIN_CONFIG_REASON_BYTES])
{
    uint8_t *at = (uint8_t *)out + key->offset;
    uint64_t number = 0;
    switch (key->kind) {
    case KIND_U32:
        if (!read_number(&number, key, value, reason))
            return false;
        *(uint32_t *)(void *)at = (uint32_t)number;
        return true;
    case KIND_U64:
        return read_number((uint64_t *)(void *)at, key, value, reason);
    case KIND_FLAG:
        if (!json_is_boolean(value)) {
            snprintf(reason, DSMR_PLUGIN_CONFIG_REASON_BYTES, "config: %s must be true or false",
                     key->name);
            return false;
        }
        *(bool *)at = json_is_true(value);
        return true;
    default:
        return read_text(at, key, value, reason);
    }
}

/* A reason with a name out of the text stays one line. */
static void flatten(char reason[DSMR_PLUGIN_CONFIG_REASON_BYTES])
{
    for (char *at = reason; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
}

enum dsmr_err dsmr_plugin_config_read(struct dsmr_plugin_config *out,
                                      char reason[DSMR_PLUGIN_CONFIG_REASON_BYTES],
                                      const void *text, size_t len)
{
    json_error_t error;
    const char *name;
    json_t *value;
    set_defaults(out);
    if (len == 0)
        return DSMR_OK;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(root)) {
        snprintf(reason, DSMR_PLUGIN_CONFIG_REASON_BYTES, "config: line %d: %.160s",
                 root == NULL ? error.line : 1, root == NULL ? error.text : "must be an object");
        json_decref(root);
        flatten(reason);
        return DSMR_ERR_CONFIG;
    }
    bool is_good = true;
    json_object_foreach(root, name, value)
    {
        size_t i = 0, count = sizeof keys / sizeof keys[0];
        while (i < count && strcmp(keys[i].name, name) != 0)
            i++;
        if (i == count)
            snprintf(reason, DSMR_PLUGIN_CONFIG_REASON_BYTES, "config: \"%.80s\" is not a key",
                     name);
        is_good = i < count && read_key(out, &keys[i], value, reason);
        if (!is_good)
            break;
    }
    json_decref(root);
    if (!is_good)
        flatten(reason);
    return is_good ? DSMR_OK : DSMR_ERR_CONFIG;
}
