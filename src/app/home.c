#include "app/home.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/files.h"
#include "app/never_voted.h"
#include "crypto/bls.h"
#include "host/file_signer.h"
#include "host/key_file.h"
#include "net/tls_identity.h"

enum dsmr_err dsmr_home_init(struct dsmr_home *home, const char *path)
{
    int len;
    if (path != NULL) {
        len = snprintf(home->path, sizeof home->path, "%s", path);
    } else {
        const char *user = getenv("HOME");
        if (user == NULL || user[0] == 0)
            return DSMR_ERR_CONFIG;
        len = snprintf(home->path, sizeof home->path, "%s/.dsmr", user);
    }
    /* Room for the longest name below it. */
    return len > 0 && len < PATH_MAX - 64 ? DSMR_OK : DSMR_ERR_CONFIG;
}

void dsmr_home_path(char out[PATH_MAX], const struct dsmr_home *home, const char *below)
{
    int len = snprintf(out, PATH_MAX, "%.*s/%s", PATH_MAX - 64, home->path, below);
    (void)len;
}

enum dsmr_err dsmr_home_check_place(char reason[DSMR_HOME_REASON_BYTES],
                                    const struct dsmr_home *home)
{
    /* accounts: the default home is also the client's folder. */
    static const char *const known[] = {"config",   "data",     "keys", "lock",
                                        "accounts", "node.log", NULL};
    char path[PATH_MAX], name[DSMR_FILES_NAME_BYTES];
    dsmr_home_path(path, home, "keys/bls.key");
    if (access(path, F_OK) == 0 || !dsmr_files_holds_other(name, home->path, known))
        return DSMR_OK;
    snprintf(reason, DSMR_HOME_REASON_BYTES,
             "%.300s is not empty (%.100s is in it) and no node's home: choose a new folder",
             home->path, name);
    return DSMR_ERR_CONFIG;
}

/* A key that is made here has never voted, and only of such a one can that be said: one that was
 * there already may have, whatever data/ holds now. */
static enum dsmr_err make_bls_file(struct dsmr_genesis_member *out, char *reason,
                                   const struct dsmr_home *home, const char *path)
{
    char inner[DSMR_KEY_FILE_REASON_BYTES] = "", data[PATH_MAX];
    enum dsmr_err err = dsmr_file_signer_generate(&out->key, &out->proof, inner, path);
    if (err != DSMR_OK) {
        snprintf(reason, DSMR_HOME_REASON_BYTES, "%s", inner);
        return err;
    }
    dsmr_home_path(data, home, "data");
    err = dsmr_never_voted_write(data, &out->key);
    if (err != DSMR_OK)
        snprintf(reason, DSMR_HOME_REASON_BYTES, "%.500s/never-voted: cannot be written: %s", data,
                 strerror(errno));
    return err;
}

static enum dsmr_err read_bls_file(struct dsmr_genesis_member *out, char *reason, const char *path)
{
    struct dsmr_bls_secret_key key;
    char inner[DSMR_KEY_FILE_REASON_BYTES] = "";
    enum dsmr_err err = dsmr_key_file_read(key.bytes, inner, path);
    if (err == DSMR_OK && dsmr_bls_secret_check(&key) != DSMR_OK) {
        snprintf(inner, sizeof inner, "%.200s: not a BLS secret key", path);
        err = DSMR_ERR_CONFIG;
    }
    if (err == DSMR_OK) {
        dsmr_bls_public_key(&out->key, &key);
        dsmr_bls_prove_possession(&out->proof, &key);
        dsmr_bls_wipe(&key);
    }
    if (err != DSMR_OK)
        snprintf(reason, DSMR_HOME_REASON_BYTES, "%s", inner);
    return err;
}

enum dsmr_err dsmr_home_make_keys(struct dsmr_genesis_member *out,
                                  char reason[DSMR_HOME_REASON_BYTES], const struct dsmr_home *home)
{
    static const char *const folders[] = {"config", "data", "keys"};
    char path[PATH_MAX], certificate[PATH_MAX];
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        dsmr_home_path(path, home, folders[i]);
        if (dsmr_files_make_folder(path, i == 2 ? 0700 : 0755) != DSMR_OK) {
            snprintf(reason, DSMR_HOME_REASON_BYTES, "%.500s: cannot be made: %s", path,
                     strerror(errno));
            return DSMR_ERR_IO;
        }
    }
    dsmr_home_path(path, home, "keys/bls.key");
    enum dsmr_err err = access(path, F_OK) != 0 ? make_bls_file(out, reason, home, path)
                                                : read_bls_file(out, reason, path);
    if (err != DSMR_OK)
        return err;
    dsmr_home_path(path, home, "keys/tls.key");
    dsmr_home_path(certificate, home, "keys/tls.crt");
    char inner[DSMR_TLS_IDENTITY_REASON_BYTES] = "";
    struct dsmr_tls_identity *identity = NULL;
    if (access(path, F_OK) != 0)
        err = dsmr_tls_identity_generate(&out->node_id, inner, path, certificate);
    else
        err = dsmr_tls_identity_open(&identity, inner, path, certificate);
    if (identity != NULL)
        out->node_id = identity->node_id;
    dsmr_tls_identity_free(identity);
    if (err != DSMR_OK)
        snprintf(reason, DSMR_HOME_REASON_BYTES, "%s", inner);
    return err;
}
