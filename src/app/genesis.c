#include "app/genesis.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cli_options.h"
#include "app/files.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "crypto/set_builder.h"
#include "wire/codec.h"

#define FORMAT 1

struct reader {
    char *reason;
    enum dsmr_err err;
    bool is_chain; /* of another engine */
};

__attribute__((format(printf, 2, 3))) static void fail(struct reader *r, const char *format, ...)
{
    if (r->err != DSMR_OK)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(r->reason, DSMR_GENESIS_REASON_BYTES, format, args);
    va_end(args);
    dsmr_cli_one_line(r->reason); /* it may quote a name out of the file */
    r->err = DSMR_ERR_CONFIG;
}

/* ---- parameters: one table for reading and writing ---- */

struct param {
    const char *name;
    size_t offset;
    size_t size;
    uint64_t max;
};
#define PARAM(field, max)                                                                          \
    {                                                                                              \
#field, offsetof(struct dsmr_params, field), sizeof(((struct dsmr_params *)0)->field), max \
    }
static const struct param param_table[] = {
    PARAM(slot_ms, UINT32_MAX),
    PARAM(chunk_bytes_max, UINT32_MAX),
    PARAM(chunk_txs_max, UINT32_MAX),
    PARAM(chunk_lifetime_ms, UINT32_MAX),
    PARAM(validity_window_ms, UINT32_MAX),
    PARAM(clock_skew_ms, UINT32_MAX),
    PARAM(block_bytes_max, UINT32_MAX),
    PARAM(block_certs_max, UINT32_MAX),
    PARAM(block_txs_max, UINT32_MAX),
    PARAM(min_block_gap_ms, UINT32_MAX),
    PARAM(block_payload_bytes_max, INT64_MAX),
    PARAM(pending_bytes_max, INT64_MAX),
    PARAM(backlog_bytes_max, INT64_MAX),
    PARAM(retention_ms, INT64_MAX),
};
#define PARAMS_COUNT (sizeof param_table / sizeof param_table[0])

static void param_set(struct dsmr_params *params, const struct param *param, uint64_t value)
{
    uint8_t *at = (uint8_t *)params + param->offset;
    if (param->size == 4) {
        uint32_t narrow = (uint32_t)value;
        memcpy(at, &narrow, sizeof narrow);
    } else {
        memcpy(at, &value, sizeof value);
    }
}

static uint64_t param_get(const struct dsmr_params *params, const struct param *param)
{
    const uint8_t *at = (const uint8_t *)params + param->offset;
    uint32_t narrow;
    uint64_t wide;
    if (param->size == 4) {
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, at, sizeof wide);
    return wide;
}

static uint64_t read_u64(struct reader *r, json_t *value, const char *where, uint64_t max)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max) {
        fail(r, "%s must be a whole number from 0 to %" PRIu64, where, max);
        return 0;
    }
    return (uint64_t)json_integer_value(value);
}

static void read_params(struct reader *r, struct dsmr_params *params, json_t *object)
{
    const char *name;
    json_t *value;
    char where[96];
    if (!json_is_object(object)) {
        fail(r, "params must be an object");
        return;
    }
    json_object_foreach(object, name, value)
    {
        size_t i = 0;
        while (i < PARAMS_COUNT && strcmp(param_table[i].name, name) != 0)
            i++;
        snprintf(where, sizeof where, "params.%.60s", name);
        if (i == PARAMS_COUNT) {
            fail(r, "%s is not a parameter", where);
            return;
        }
        bool is_forever = strcmp(name, "retention_ms") == 0 && json_is_null(value);
        param_set(params, &param_table[i],
                  is_forever ? UINT64_MAX : read_u64(r, value, where, param_table[i].max));
    }
}

/* ---- validators ---- */

static void read_hex(struct reader *r, void *out, size_t len, json_t *value, const char *where)
{
    const char *text = json_string_value(value);
    if (text == NULL || dsmr_hex_decode(out, len, text, strlen(text)) != DSMR_OK)
        fail(r, "%s must be %zu hexadecimal digits", where, 2 * len);
}

static void check_keys(struct reader *r, json_t *object, const char *where, const char *known)
{
    const char *name;
    json_t *value;
    char padded[96];
    json_object_foreach(object, name, value)
    {
        snprintf(padded, sizeof padded, " %.80s ", name);
        if (strstr(known, padded) == NULL)
            fail(r, "%s has an unknown key \"%.80s\"", where, name);
    }
}

static void read_member(struct reader *r, struct dsmr_set_builder_entry *out, json_t *object,
                        const char *where)
{
    struct dsmr_bls_public_key key;
    struct dsmr_bls_sig proof;
    struct dsmr_bls_point point;
    char field[128];
    check_keys(r, object, where, " name node_id bls_public_key proof_of_possession weight ");
    snprintf(field, sizeof field, "%s.node_id", where);
    read_hex(r, out->node_id.bytes, sizeof out->node_id.bytes, json_object_get(object, "node_id"),
             field);
    snprintf(field, sizeof field, "%s.bls_public_key", where);
    read_hex(r, key.bytes, sizeof key.bytes, json_object_get(object, "bls_public_key"), field);
    snprintf(field, sizeof field, "%s.proof_of_possession", where);
    read_hex(r, proof.bytes, sizeof proof.bytes, json_object_get(object, "proof_of_possession"),
             field);
    snprintf(field, sizeof field, "%s.weight", where);
    out->weight = read_u64(r, json_object_get(object, "weight"), field, INT64_MAX);
    if (r->err == DSMR_OK && out->weight == 0)
        fail(r, "%s must be at least 1", field);
    if (r->err != DSMR_OK)
        return;
    out->has_key = true;
    if (dsmr_bls_key_decode(&out->key, &point, &key) != DSMR_OK)
        fail(r, "%s.bls_public_key is not a valid key", where);
    /* Without it a validator could register a key made from the others' (rogue key). */
    else if (dsmr_bls_check_possession(&key, &proof) != DSMR_OK)
        fail(r, "%s.proof_of_possession does not prove the key", where);
}

static void read_set(struct reader *r, struct dsmr_bft_schedule_entry *out, json_t *object,
                     uint32_t place)
{
    char where[96];
    snprintf(where, sizeof where, "validators[%u]", place);
    check_keys(r, object, where, " from_height set ");
    out->from_height =
        read_u64(r, json_object_get(object, "from_height"), where, (uint64_t)INT64_MAX - 1);
    json_t *set = json_object_get(object, "set");
    size_t count = json_array_size(set);
    if (count == 0 || count > DSMR_VALIDATORS_MAX) {
        fail(r, "%s.set must have 1 to %u validators", where, DSMR_VALIDATORS_MAX);
        return;
    }
    uint64_t total = 0;
    struct dsmr_set_builder_entry *entries = calloc(count, sizeof *entries);
    if (entries == NULL) {
        r->err = DSMR_ERR_NO_MEMORY;
        return;
    }
    for (size_t i = 0; i < count && r->err == DSMR_OK; i++) {
        snprintf(where, sizeof where, "validators[%u].set[%zu]", place, i);
        read_member(r, &entries[i], json_array_get(set, i), where);
        for (size_t j = 0; j < i && r->err == DSMR_OK; j++)
            if (dsmr_node_id_equal(&entries[i].node_id, &entries[j].node_id))
                fail(r, "%s.node_id stands twice", where);
        if (entries[i].weight > UINT64_MAX - total)
            fail(r, "%s.weight: with it the weights of the set are more than %" PRIu64 " together",
                 where, UINT64_MAX);
        total += entries[i].weight;
    }
    size_t bad = 0;
    if (r->err == DSMR_OK) {
        enum dsmr_err err =
            dsmr_set_builder_build(&out->set, &bad, out->from_height, entries, count);
        if (err != DSMR_OK)
            fail(r, "validators[%u].set cannot be used: %s", place, dsmr_err_text(err));
    }
    free(entries);
}

static void read_schedule(struct reader *r, struct dsmr_genesis *out, json_t *array)
{
    size_t count = json_array_size(array);
    if (count == 0 || count > 1024) {
        fail(r, "validators must be a list of 1 to 1024 {from_height, set}");
        return;
    }
    out->schedule = calloc(count, sizeof *out->schedule);
    if (out->schedule == NULL) {
        r->err = DSMR_ERR_NO_MEMORY;
        return;
    }
    for (size_t i = 0; i < count && r->err == DSMR_OK; i++) {
        struct dsmr_bft_schedule_entry *entry = &out->schedule[i];
        read_set(r, entry, json_array_get(array, i), (uint32_t)i);
        out->schedule_count++;
        if (r->err != DSMR_OK)
            return;
        if ((i == 0) != (entry->from_height == 0) ||
            (i > 0 && entry->from_height <= entry[-1].from_height))
            fail(r, "validators[%zu].from_height: the first must be 0, the others ascending", i);
        if (entry->set->count > out->validators_max)
            out->validators_max = entry->set->count;
    }
}

static void read_app(struct reader *r, struct dsmr_genesis *out, json_t *app)
{
    const char *name = json_string_value(json_object_get(app, "name"));
    if (name == NULL || strlen(name) >= sizeof out->app_name) {
        fail(r, "app.name must name an application: \"transfers\" or \"opaque\"");
        return;
    }
    strcpy(out->app_name, name);
    out->app_json = json_dumps(app, JSON_COMPACT);
    if (out->app_json == NULL)
        r->err = DSMR_ERR_NO_MEMORY;
}

#define CHAIN_VALIDATORS_DEFAULT 256
#define CHAIN_CHUNK_BYTES_DEFAULT (1u << 20) /* fits into a message of AvalancheGo */

/* Who validates, and on which network. */
static void read_engine(struct reader *r, struct dsmr_genesis *out, json_t *root)
{
    json_t *max = json_object_get(root, "validators_max");
    if (!r->is_chain) {
        read_schedule(r, out, json_object_get(root, "validators"));
        return;
    }
    out->validators_max = CHAIN_VALIDATORS_DEFAULT;
    if (max != NULL)
        out->validators_max =
            (uint32_t)read_u64(r, max, "validators_max", (uint64_t)DSMR_VALIDATORS_MAX);
    if (r->err == DSMR_OK && out->validators_max == 0)
        fail(r, "validators_max must be at least 1");
}

static void read_all(struct reader *r, struct dsmr_genesis *out, json_t *root)
{
    if (!json_is_object(root)) {
        fail(r, "genesis must be a JSON object");
        return;
    }
    check_keys(r, root, "genesis",
               r->is_chain ? " format time_ms params validators_max app "
                           : " format network_id time_ms params validators app ");
    uint64_t format = read_u64(r, json_object_get(root, "format"), "format", INT64_MAX);
    if (r->err == DSMR_OK && format != FORMAT)
        fail(r, "format %" PRIu64 " is not known: this program reads %d", format, FORMAT);
    if (!r->is_chain)
        out->params.domain.network_id =
            (uint32_t)read_u64(r, json_object_get(root, "network_id"), "network_id", UINT32_MAX);
    uint64_t time_ms = read_u64(r, json_object_get(root, "time_ms"), "time_ms", INT64_MAX);
    json_t *params = json_object_get(root, "params");
    if (params != NULL || !r->is_chain)
        read_params(r, &out->params, params);
    if (r->err == DSMR_OK)
        read_engine(r, out, root);
    if (r->err == DSMR_OK)
        read_app(r, out, json_object_get(root, "app"));
    const char *why = "";
    if (r->err == DSMR_OK && dsmr_params_check(&out->params, &why, out->validators_max) != DSMR_OK)
        fail(r, "params do not fit together: %s", why);
    if (r->err == DSMR_OK)
        r->err = dsmr_block_genesis(&out->block, &out->params, time_ms);
}

static void read_text(struct reader *r, struct dsmr_genesis *out, const void *text, size_t len)
{
    json_error_t error;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        fail(r, "line %d: %.200s", error.line, error.text);
    else
        read_all(r, out, root);
    json_decref(root);
}

enum dsmr_err dsmr_genesis_read_chain(struct dsmr_genesis *out,
                                      char reason[DSMR_GENESIS_REASON_BYTES], const void *text,
                                      size_t len, const struct dsmr_domain *domain)
{
    char inner[DSMR_GENESIS_REASON_BYTES] = "out of memory";
    struct reader r = {.reason = inner, .err = DSMR_OK, .is_chain = true};
    struct dsmr_genesis genesis;
    memset(&genesis, 0, sizeof genesis);
    dsmr_params_default(&genesis.params);
    genesis.params.chunk_bytes_max = CHAIN_CHUNK_BYTES_DEFAULT;
    genesis.params.domain = *domain;
    read_text(&r, &genesis, text, len);
    if (r.err == DSMR_OK && genesis.block->time_ms % 1000 != 0)
        fail(&r, "time_ms must be whole seconds"); /* AvalancheGo's own blocks have no others */
    if (r.err != DSMR_OK) {
        snprintf(reason, DSMR_GENESIS_REASON_BYTES, "genesis: %.400s", inner);
        dsmr_genesis_close(&genesis);
        return r.err;
    }
    *out = genesis;
    return DSMR_OK;
}

enum dsmr_err dsmr_genesis_load(struct dsmr_genesis *out, char reason[DSMR_GENESIS_REASON_BYTES],
                                const char *path)
{
    char inner[DSMR_GENESIS_REASON_BYTES] = "out of memory";
    struct reader r = {.reason = inner, .err = DSMR_OK};
    struct dsmr_genesis genesis;
    memset(&genesis, 0, sizeof genesis);
    dsmr_params_default(&genesis.params);
    char *text = NULL;
    size_t len = 0;
    enum dsmr_err err = dsmr_files_read(&text, &len, path, DSMR_GENESIS_BYTES_MAX);
    if (err != DSMR_OK) {
        snprintf(reason, DSMR_GENESIS_REASON_BYTES, "%.300s: cannot be read: %s", path,
                 err == DSMR_ERR_TOO_LARGE ? "too large" : strerror(errno));
        return err == DSMR_ERR_TOO_LARGE ? DSMR_ERR_CONFIG : err;
    }
    dsmr_hash(&genesis.params.domain.chain_id, text, len);
    read_text(&r, &genesis, text, len);
    free(text);
    if (r.err != DSMR_OK) {
        snprintf(reason, DSMR_GENESIS_REASON_BYTES, "%.200s: %.300s", path, inner);
        dsmr_genesis_close(&genesis);
        return r.err;
    }
    *out = genesis;
    return DSMR_OK;
}

void dsmr_genesis_close(struct dsmr_genesis *genesis)
{
    for (uint32_t i = 0; i < genesis->schedule_count; i++)
        dsmr_validator_set_unref(genesis->schedule[i].set);
    free(genesis->schedule);
    free(genesis->app_json);
    dsmr_block_unref(genesis->block);
    memset(genesis, 0, sizeof *genesis);
}

/* ---- ports/validators.h ---- */

static enum dsmr_err get(void *self, struct dsmr_validator_set **out, uint64_t epoch)
{
    const struct dsmr_genesis *genesis = self;
    for (uint32_t i = 0; i < genesis->schedule_count; i++) {
        if (genesis->schedule[i].from_height == epoch) {
            *out = dsmr_validator_set_ref(genesis->schedule[i].set);
            return DSMR_OK;
        }
    }
    return DSMR_ERR_EPOCH_UNKNOWN;
}

static uint64_t epoch_at(void *self, uint64_t height, uint64_t *next_from_height)
{
    const struct dsmr_genesis *genesis = self;
    uint32_t i = genesis->schedule_count - 1;
    while (i > 0 && genesis->schedule[i].from_height > height)
        i--;
    *next_from_height =
        i + 1 < genesis->schedule_count ? genesis->schedule[i + 1].from_height : UINT64_MAX;
    return genesis->schedule[i].from_height;
}

static const struct dsmr_validators_ops validators_ops = {.get = get, .epoch_at = epoch_at};

struct dsmr_validators dsmr_genesis_validators(struct dsmr_genesis *genesis)
{
    return (struct dsmr_validators){.self = genesis, .ops = &validators_ops};
}

/* ---- writing ---- */

static json_t *hex_json(const void *bytes, size_t len)
{
    char text[2 * 96 + 1];
    dsmr_hex_encode(text, bytes, len);
    return json_string(text);
}

static json_t *member_json(const struct dsmr_genesis_member *member)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:I}", "name", member->name, "node_id",
                     hex_json(member->node_id.bytes, sizeof member->node_id.bytes),
                     "bls_public_key", hex_json(member->key.bytes, sizeof member->key.bytes),
                     "proof_of_possession",
                     hex_json(member->proof.bytes, sizeof member->proof.bytes), "weight",
                     (json_int_t)member->weight);
}

enum dsmr_err dsmr_genesis_write(char reason[DSMR_GENESIS_REASON_BYTES], const char *path,
                                 const struct dsmr_params *params, uint64_t time_ms,
                                 const struct dsmr_genesis_member *members, uint32_t members_count,
                                 const char *app_json)
{
    json_t *table = json_object(), *set = json_array();
    for (size_t i = 0; i < PARAMS_COUNT; i++) {
        uint64_t value = param_get(params, &param_table[i]);
        json_object_set_new(table, param_table[i].name,
                            value == UINT64_MAX ? json_null() : json_integer((json_int_t)value));
    }
    for (uint32_t i = 0; i < members_count; i++)
        json_array_append_new(set, member_json(&members[i]));
    json_error_t error;
    json_t *app = json_loads(app_json, 0, &error);
    json_t *root =
        json_pack("{s:i, s:I, s:I, s:o, s:[{s:i, s:o}], s:o}", "format", FORMAT, "network_id",
                  (json_int_t)params->domain.network_id, "time_ms", (json_int_t)time_ms, "params",
                  table, "validators", "from_height", 0, "set", set, "app", app);
    char *text = root == NULL ? NULL : json_dumps(root, JSON_INDENT(2));
    enum dsmr_err err =
        text == NULL ? DSMR_ERR_NO_MEMORY : dsmr_files_write(path, text, strlen(text), 0644);
    if (err != DSMR_OK)
        snprintf(reason, DSMR_GENESIS_REASON_BYTES, "%.300s: cannot be written: %s", path,
                 text == NULL ? "out of memory" : strerror(errno));
    free(text);
    json_decref(root);
    return err;
}
