/* genesis.h - genesis.json: what every node of a chain must agree on.
 *
 * Form:   {"format": 1, "network_id": N, "time_ms": N, "params": {...}, "validators":
 *         [{"from_height": N, "set": [{"name", "node_id", "bls_public_key",
 *         "proof_of_possession", "weight"}]}], "app": {"name": ..., ...}}
 *         The chain id is the SHA-256 of the file's bytes.
 * Errors: one sentence that says what and where; an unknown key is an error.
 * Threads: plain data after loading. */
#ifndef DSMR_APP_GENESIS_H
#define DSMR_APP_GENESIS_H

#include "bft/bft.h"
#include "crypto/bls.h"
#include "dsmr/types.h"
#include "ports/validators.h"

#define DSMR_GENESIS_REASON_BYTES 512u
#define DSMR_GENESIS_BYTES_MAX (64u << 20)

struct dsmr_genesis {
    struct dsmr_params params; /* with the domain */
    struct dsmr_block *block;  /* height 0 */
    struct dsmr_bft_schedule_entry *schedule;
    uint32_t schedule_count;
    uint32_t validators_max; /* largest set */
    char *app_json;          /* the "app" object */
    char app_name[32];
};

/* Reads and checks path: limits fit together, keys valid, a proof of possession for each. CONFIG,
 * IO, NO_MEMORY, NEWER_FORMAT with a sentence in reason. Caller closes. */
DSMR_MUST_USE enum dsmr_err dsmr_genesis_load(struct dsmr_genesis *out,
                                              char reason[DSMR_GENESIS_REASON_BYTES],
                                              const char *path);
/* Genesis of a chain whose engine is not the built-in one, from len bytes: as above, but the
 * network and the validators are the engine's to know, so neither stands there; "validators_max"
 * (256 if it is missing) bounds what the node makes room for. "chunk_bytes_max" is 1 MiB if it is
 * missing. */
DSMR_MUST_USE enum dsmr_err dsmr_genesis_read_chain(struct dsmr_genesis *out,
                                                    char reason[DSMR_GENESIS_REASON_BYTES],
                                                    const void *text, size_t len,
                                                    const struct dsmr_domain *domain);
void dsmr_genesis_close(struct dsmr_genesis *genesis);
/* ports/validators.h over the schedule. */
struct dsmr_validators dsmr_genesis_validators(struct dsmr_genesis *genesis);

struct dsmr_genesis_member {
    char name[64];
    struct dsmr_node_id node_id;
    struct dsmr_bls_public_key key;
    struct dsmr_bls_sig proof;
    uint64_t weight;
};
/* Writes a genesis with one set from height 0. app_json: the "app" object as text. */
DSMR_MUST_USE enum dsmr_err dsmr_genesis_write(char reason[DSMR_GENESIS_REASON_BYTES],
                                               const char *path, const struct dsmr_params *params,
                                               uint64_t time_ms,
                                               const struct dsmr_genesis_member *members,
                                               uint32_t members_count, const char *app_json);
#endif
