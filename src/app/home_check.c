#include "app/home_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/exit_codes.h"
#include "app/inspect.h"
#include "base/bytes.h"
#include "driver/exec_record.h"
#include "store/lmdb_peek.h"
#include "wire/codec.h"

int dsmr_home_check_folder(const struct dsmr_cli_values *values, const struct dsmr_home *home)
{
    static const char *const parts[] = {"config", "keys", "data"};
    char path[PATH_MAX];
    struct stat st;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        dsmr_home_path(path, home, parts[i]);
        if (access(path, F_OK) == 0)
            return -1;
    }
    const char *why = "it has no config, no keys and no data";
    if (stat(home->path, &st) != 0)
        why = strerror(errno);
    else if (!S_ISDIR(st.st_mode))
        why = strerror(ENOTDIR);
    else if (access(home->path, X_OK) != 0)
        why = strerror(errno);
    return dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "%s is no home: %s; make one with: dsmrd init",
                         home->path, why);
}

int dsmr_home_check_lock(const struct dsmr_cli_values *values, const struct dsmr_home *home,
                         struct dsmr_home_lock *lock)
{
    char path[PATH_MAX];
    int64_t holder = 0;
    int code = dsmr_home_check_folder(values, home);
    if (code >= 0)
        return code;
    dsmr_home_path(path, home, "lock");
    enum dsmr_err err = dsmr_home_lock_take(lock, &holder, path);
    if (err == DSMR_ERR_LOCKED)
        return dsmr_cli_fail(values, DSMR_EXIT_CONFIG,
                             "%s is in use by process %" PRId64 ": stop it first", home->path,
                             holder);
    if (err != DSMR_OK)
        return dsmr_cli_fail(values, DSMR_EXIT_IO, "%s: cannot be locked: %s", path,
                             strerror(errno));
    return -1;
}

static bool is_validator(const struct dsmr_genesis *genesis, const struct dsmr_node_id *node_id)
{
    for (uint32_t i = 0; i < genesis->schedule_count; i++)
        if (dsmr_validator_set_find(genesis->schedule[i].set, node_id) >= 0)
            return true;
    return false;
}

static bool is_same(const struct dsmr_node_settings_address *a,
                    const struct dsmr_node_settings_address *b)
{
    return a->port != 0 && a->port == b->port && strcmp(a->host, b->host) == 0;
}

int dsmr_home_check_settings(const struct dsmr_cli_values *values,
                             const struct dsmr_node_settings *settings,
                             const struct dsmr_genesis *genesis)
{
    char id[2 * sizeof(struct dsmr_node_id) + 1];
    const struct {
        const char *name;
        const struct dsmr_node_settings_address *address;
    } doors[] = {{"p2p-address", &settings->p2p},
                 {"http-address", &settings->http},
                 {"submit-address", &settings->submit}};
    for (uint32_t i = 0; i < settings->peers_count; i++) {
        if (is_validator(genesis, &settings->peers[i].node_id))
            continue;
        dsmr_hex_encode(id, settings->peers[i].node_id.bytes, sizeof(struct dsmr_node_id));
        return dsmr_cli_fail(values, DSMR_EXIT_CONFIG,
                             "peers: %s is no validator of genesis: nobody there is dialed", id);
    }
    for (size_t i = 0; i < sizeof doors / sizeof doors[0]; i++)
        for (size_t k = 0; k < i; k++)
            if (is_same(doors[i].address, doors[k].address))
                return dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "%s and %s are both %s:%u",
                                     doors[k].name, doors[i].name, doors[i].address->host,
                                     doors[i].address->port);
    return -1;
}

int dsmr_home_check_keys(const struct dsmr_cli_values *values, const struct dsmr_home *home,
                         const struct dsmr_genesis *genesis, const struct dsmr_node_id *node_id,
                         const struct dsmr_bls_public_key *bls_key, bool *is_named)
{
    struct dsmr_bls_public_key_raw raw;
    struct dsmr_bls_point point;
    *is_named = false;
    if (dsmr_bls_key_decode(&raw, &point, bls_key) != DSMR_OK)
        return dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "%s/keys/bls.key: not a valid key",
                             home->path);
    for (uint32_t i = 0; i < genesis->schedule_count; i++) {
        const struct dsmr_validator_set *set = genesis->schedule[i].set;
        int place = dsmr_validator_set_find(set, node_id);
        if (place < 0)
            continue;
        *is_named = true;
        if (memcmp(&set->validators[place].public_key, &raw, sizeof raw) != 0)
            return dsmr_cli_fail(values, DSMR_EXIT_CONFIG,
                                 "%s/keys: genesis names another BLS key for the node of tls.key: "
                                 "the two files are not of one node",
                                 home->path);
    }
    return -1;
}

/* ---- data ---- */

static bool is_wrong(enum dsmr_err err)
{
    return err == DSMR_ERR_WRONG_CHAIN || err == DSMR_ERR_WRONG_NETWORK;
}

/* Before block 1 only the state's head tells whose data it is. UNKNOWN: there is none. */
static enum dsmr_err check_state(const struct dsmr_kv *kv, const struct dsmr_genesis *genesis)
{
    struct dsmr_kv_txn *txn = NULL;
    struct dsmr_exec_head head;
    enum dsmr_err err = kv->ops->begin(kv->self, &txn, false);
    if (err != DSMR_OK)
        return err;
    err = dsmr_exec_record_head(&head, kv, txn);
    kv->ops->abort(kv->self, txn);
    if (err == DSMR_OK && head.height == 0 && !dsmr_id_equal(&head.block_id, &genesis->block->id))
        return DSMR_ERR_WRONG_CHAIN;
    return err;
}

/* After it, every block does. UNKNOWN: there is none. */
static enum dsmr_err check_blocks(const struct dsmr_store *store,
                                  const struct dsmr_genesis *genesis)
{
    struct dsmr_buf *bytes = NULL;
    struct dsmr_block *block = NULL;
    struct dsmr_id id;
    uint64_t height = 0;
    bool has_finalization = false;
    enum dsmr_err err = store->ops->last_accepted(store->self, &height, &id);
    if (err == DSMR_OK)
        err = store->ops->load_block(store->self, &bytes, NULL, &has_finalization, height);
    if (err != DSMR_OK)
        return err;
    err = dsmr_block_decode(&block, &genesis->params, bytes, bytes->bytes, bytes->len);
    dsmr_block_unref(block);
    dsmr_buf_unref(bytes);
    return err == DSMR_OK || is_wrong(err) ? err : DSMR_ERR_CORRUPT;
}

/* OK, UNKNOWN: empty; WRONG_CHAIN, WRONG_NETWORK; what else hindered it. */
static enum dsmr_err look(struct dsmr_lmdb_peek *peek, const struct dsmr_genesis *genesis)
{
    struct dsmr_store store;
    struct dsmr_kv kv;
    enum dsmr_err of_blocks = DSMR_ERR_UNKNOWN, of_state = DSMR_ERR_UNKNOWN;
    if (dsmr_lmdb_peek_store(peek, &store))
        of_blocks = check_blocks(&store, genesis);
    if (dsmr_lmdb_peek_kv(peek, &kv))
        of_state = check_state(&kv, genesis);
    if (is_wrong(of_blocks) || of_state == DSMR_ERR_UNKNOWN)
        return of_blocks;
    return of_state != DSMR_OK || of_blocks == DSMR_ERR_UNKNOWN ? of_state : of_blocks;
}

int dsmr_home_check_chain(const struct dsmr_cli_values *values, const struct dsmr_home *home,
                          const struct dsmr_genesis *genesis, struct dsmr_home_check_data *out)
{
    char path[PATH_MAX];
    int64_t holder = 0;
    struct dsmr_lmdb_peek *peek = NULL;
    struct dsmr_lmdb_peek_config config = {.directory = path,
                                           .reason = out->why,
                                           .reason_bytes = sizeof out->why,
                                           .give_up = dsmr_inspect_give_up};
    out->state = DSMR_HOME_CHECK_DATA_NOT_LOOKED_AT;
    out->why[0] = '\0';
    dsmr_home_path(path, home, "lock");
    if (dsmr_home_lock_is_held(&holder, path)) {
        snprintf(out->why, sizeof out->why, "process %" PRId64 " runs on it", holder);
        return -1;
    }
    dsmr_home_path(path, home, "data");
    enum dsmr_err err = dsmr_lmdb_peek_open(&peek, &config);
    if (err == DSMR_OK) {
        err = look(peek, genesis);
        dsmr_lmdb_peek_close(peek);
        snprintf(out->why, sizeof out->why, "%.500s: %s", path, dsmr_err_text(err));
    }
    if (is_wrong(err))
        return dsmr_cli_fail(values, DSMR_EXIT_DATA,
                             "%s/data is of another chain than config/genesis.json beside it",
                             home->path);
    if (err == DSMR_OK)
        out->state = DSMR_HOME_CHECK_DATA_OF_THIS_CHAIN;
    else if (err == DSMR_ERR_UNKNOWN)
        out->state = DSMR_HOME_CHECK_DATA_EMPTY;
    return -1;
}
