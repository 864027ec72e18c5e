/* home.h - one node's folder: config/ data/ keys/.
 *
 *   config/config.yaml    what the operator chose (node_config.h)
 *   config/genesis.json   the chain
 *   keys/bls.key          0600; signs shares and votes
 *   keys/tls.key, tls.crt 0600; the node's identity towards peers
 *   data/                 the store
 *   lock                  held by the running daemon */
#ifndef DSMR_APP_HOME_H
#define DSMR_APP_HOME_H

#include <limits.h>

#include "app/genesis.h"
#include "dsmr/types.h"

#define DSMR_HOME_REASON_BYTES 640u

struct dsmr_home {
    char path[PATH_MAX];
};

/* path NULL: $HOME/.dsmr. CONFIG if there is no HOME or the path is too long. */
DSMR_MUST_USE enum dsmr_err dsmr_home_init(struct dsmr_home *home, const char *path);
/* home's path with below appended; out has PATH_MAX bytes. */
void dsmr_home_path(char out[PATH_MAX], const struct dsmr_home *home, const char *below);
/* Whether a home may be made there, or is there: the folder is missing, empty, has a node's key, or
 * nothing but what belongs into a home. CONFIG with a sentence in reason. */
DSMR_MUST_USE enum dsmr_err dsmr_home_check_place(char reason[DSMR_HOME_REASON_BYTES],
                                                  const struct dsmr_home *home);
/* Makes the folders and both keys where they are missing, and gives what genesis lists of them.
 * Never overwrites a key. */
DSMR_MUST_USE enum dsmr_err dsmr_home_make_keys(struct dsmr_genesis_member *out,
                                                char reason[DSMR_HOME_REASON_BYTES],
                                                const struct dsmr_home *home);

#endif
