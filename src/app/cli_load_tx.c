#include "app/cli_load_tx.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/files.h"
#include "base/bytes.h"
#include "base/prng.h"
#include "vm/transfer_tx.h"

#define ACCOUNT_FILE_BYTES_MAX 65536u
#define MEMO_BYTES 16u /* seed and index: what makes each one distinct */

enum dsmr_err dsmr_cli_load_tx_account(struct dsmr_ed25519_secret_key *out, const char *path)
{
    char *text = NULL;
    size_t len = 0;
    enum dsmr_err err = dsmr_files_read(&text, &len, path, ACCOUNT_FILE_BYTES_MAX);
    if (err != DSMR_OK) {
        return err;
    }
    json_t *account = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *secret = json_object_get(account, "secret_key");
    err = json_is_string(secret) &&
                  dsmr_hex_decode(out->bytes, sizeof(out->bytes), json_string_value(secret),
                                  json_string_length(secret)) == DSMR_OK
              ? DSMR_OK
              : DSMR_ERR_CONFIG;
    json_decref(account);
    explicit_bzero(text, len);
    free(text);
    return err;
}

static bool is_account_file(const char *name)
{
    size_t len = strlen(name);
    return len > 5 && strcmp(name + len - 5, ".json") == 0;
}

static _Thread_local char bad_account[512];

/* Twice as much room when it is full: the keys that are moved are wiped in the old place. */
static enum dsmr_err add_account(struct dsmr_cli_load_tx *maker,
                                 const struct dsmr_ed25519_secret_key *key)
{
    uint32_t count = maker->accounts_count;
    if (count == maker->accounts_room) {
        uint32_t room = count > 0 ? 2 * count : 64;
        struct dsmr_ed25519_signing_key *grown =
            aligned_alloc(_Alignof(struct dsmr_ed25519_signing_key), room * sizeof(*grown));
        if (grown == NULL) {
            return DSMR_ERR_NO_MEMORY;
        }
        if (count > 0) {
            memcpy(grown, maker->accounts, count * sizeof(*grown));
            explicit_bzero(maker->accounts, count * sizeof(*grown));
        }
        free(maker->accounts);
        maker->accounts = grown;
        maker->accounts_room = room;
    }
    dsmr_ed25519_expand(&maker->accounts[maker->accounts_count++], key);
    return DSMR_OK;
}

static enum dsmr_err read_accounts(struct dsmr_cli_load_tx *maker, const char **reason,
                                   const char *folder)
{
    char path[PATH_MAX];
    struct dsmr_ed25519_secret_key key;
    struct dirent *entry = NULL;
    enum dsmr_err err = DSMR_OK;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        (void)snprintf(bad_account, sizeof(bad_account),
                       "the folder of accounts %.300s cannot be read: %s", folder, strerror(errno));
        *reason = bad_account;
        return DSMR_ERR_CONFIG;
    }
    while (err == DSMR_OK && (entry = readdir(dir)) != NULL &&
           maker->accounts_count < DSMR_CLI_LOAD_TX_ACCOUNTS_MAX) {
        if (!is_account_file(entry->d_name)) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%.2048s/%.255s", folder, entry->d_name);
        err = dsmr_cli_load_tx_account(&key, path);
        if (err == DSMR_OK) {
            err = add_account(maker, &key);
        } else {
            (void)snprintf(bad_account, sizeof(bad_account), "%.400s is not an account", path);
            *reason = bad_account;
            err = DSMR_ERR_CONFIG;
        }
    }
    (void)closedir(dir);
    explicit_bzero(&key, sizeof(key));
    if (err == DSMR_OK && maker->accounts_count < 2) {
        (void)snprintf(bad_account, sizeof(bad_account),
                       "transfers need at least two accounts, and %.300s has %u", folder,
                       maker->accounts_count);
        *reason = bad_account;
        err = DSMR_ERR_CONFIG;
    }
    return err;
}

static enum dsmr_err make_filler(struct dsmr_cli_load_tx *maker)
{
    struct dsmr_prng prng;
    maker->filler = malloc(maker->tx_bytes);
    if (maker->filler == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    dsmr_prng_init(&prng, maker->seed);
    for (uint32_t i = 0; i < maker->tx_bytes; i++) {
        maker->filler[i] = (uint8_t)dsmr_prng_next(&prng);
    }
    maker->filler[0] = 1; /* version */
    dsmr_store_be64(maker->filler + DSMR_TX_HEAD_BYTES, maker->seed);
    return DSMR_OK;
}

enum dsmr_err dsmr_cli_load_tx_init(struct dsmr_cli_load_tx *maker, const char **reason,
                                    const struct dsmr_cli_load_config *config,
                                    const struct dsmr_domain *domain)
{
    memset(maker, 0, sizeof(*maker));
    maker->kind = config->kind;
    maker->seed = config->seed;
    maker->amount = config->amount != 0 ? config->amount : 1;
    maker->domain = *domain;
    if (config->kind == DSMR_CLI_LOAD_OPAQUE) {
        maker->tx_bytes = config->tx_bytes;
        if (config->tx_bytes < DSMR_CLI_LOAD_TX_OPAQUE_MIN ||
            config->tx_bytes > DSMR_TX_BYTES_MAX) {
            *reason = "the size of a transaction is from 25 bytes to 64 KiB";
            return DSMR_ERR_CONFIG;
        }
        *reason = "out of memory for the load";
        return make_filler(maker);
    }
    maker->tx_bytes = (uint32_t)dsmr_transfer_tx_bytes(MEMO_BYTES);
    if (config->accounts_dir == NULL) {
        *reason = "transfers need a folder of accounts: --keys DIR";
        return DSMR_ERR_CONFIG;
    }
    enum dsmr_err err = read_accounts(maker, reason, config->accounts_dir);
    if (err != DSMR_OK) {
        dsmr_cli_load_tx_close(maker);
    }
    bool is_limited = config->accounts_max != 0 && config->accounts_max < maker->accounts_count;
    maker->accounts_used = is_limited ? config->accounts_max : maker->accounts_count;
    return err;
}

void dsmr_cli_load_tx_close(struct dsmr_cli_load_tx *maker)
{
    if (maker->accounts != NULL) {
        explicit_bzero(maker->accounts, maker->accounts_count * sizeof(*maker->accounts));
    }
    free(maker->accounts);
    free(maker->filler);
    maker->filler = NULL;
    maker->accounts = NULL;
    maker->accounts_count = maker->accounts_room = 0;
}

static void make_opaque(const struct dsmr_cli_load_tx *maker, uint8_t *out, uint64_t index,
                        uint64_t expiry_ms)
{
    memcpy(out, maker->filler, maker->tx_bytes);
    dsmr_store_be64(out + 1, expiry_ms);
    dsmr_store_be64(out + DSMR_TX_HEAD_BYTES + 8, index);
}

static uint32_t make_transfer(const struct dsmr_cli_load_tx *maker, uint8_t *out, uint64_t index,
                              uint64_t expiry_ms)
{
    const struct dsmr_ed25519_signing_key *from = &maker->accounts[index % maker->accounts_used];
    const struct dsmr_ed25519_signing_key *to =
        &maker->accounts[(index + 1) % maker->accounts_used];
    struct dsmr_transfer_tx tx;
    memset(&tx, 0, sizeof(tx));
    tx.expiry_ms = expiry_ms;
    memcpy(tx.to.bytes, to->public_key.bytes, sizeof(tx.to.bytes));
    tx.amount = maker->amount;
    tx.fee_limit = UINT64_MAX;
    tx.memo_len = MEMO_BYTES;
    dsmr_store_be64(tx.memo, maker->seed);
    dsmr_store_be64(tx.memo + 8, index);
    return (uint32_t)dsmr_transfer_tx_sign_as(out, &tx, &maker->domain, from);
}

uint32_t dsmr_cli_load_tx_make(const struct dsmr_cli_load_tx *maker, uint8_t *out, uint64_t index,
                               uint64_t expiry_ms)
{
    if (maker->kind == DSMR_CLI_LOAD_TRANSFERS) {
        return make_transfer(maker, out, index, expiry_ms);
    }
    make_opaque(maker, out, index, expiry_ms);
    return maker->tx_bytes;
}
