/* account_node.h - one node of the account trie as bytes: how it is stored, hashed and proved.
 *
 * The trie: an account's place is path = SHA-256(address), read as 64 nibbles from the highest. A
 * subtree of 1..32 accounts is one bucket that lists them; a larger one is a branch of 16.
 * Why:        so the form of the trie depends only on which accounts exist, never on the order in
 *             which they came; and accounts are read and written in groups, not one by one.
 * Value:      bucket 0x10 | per account, by address ascending: address 32, balance u64 (above 0)
 *             branch 0x11 | kind of each child, 16 bytes | hashes of those that exist, 32 each
 *             kind 0: no child; 1..32: bucket of so many accounts; 255: branch
 *             A node's hash is the SHA-256 of its value.
 * Invariants: a value that decodes is the one encoding of its node.
 * Threads:    any; pure. */
#ifndef DSMR_VM_ACCOUNT_NODE_H
#define DSMR_VM_ACCOUNT_NODE_H

#include "dsmr/types.h"

#define DSMR_ACCOUNT_BUCKET_MAX 32u
#define DSMR_ACCOUNT_ARITY 16u
#define DSMR_ACCOUNT_DEPTH_MAX 64u
#define DSMR_ACCOUNT_KIND_NONE 0u
#define DSMR_ACCOUNT_KIND_BRANCH 255u
#define DSMR_ACCOUNT_ENTRY_BYTES 40u
#define DSMR_ACCOUNT_NODE_BYTES_MAX (1u + DSMR_ACCOUNT_BUCKET_MAX * DSMR_ACCOUNT_ENTRY_BYTES)

struct dsmr_account {
    struct dsmr_address address;
    uint64_t balance;
};
/* An address with its place in the trie, so that it is hashed once. */
struct dsmr_account_key {
    struct dsmr_address address;
    struct dsmr_id path;
};
/* What a parent, or the state header, knows of a node. hash is zero for KIND_NONE. */
struct dsmr_account_link {
    uint8_t kind;
    struct dsmr_id hash;
};
struct dsmr_account_place { /* of a node: the first depth nibbles of path */
    struct dsmr_id path;
    uint32_t depth;
};
struct dsmr_account_branch {
    uint8_t kinds[DSMR_ACCOUNT_ARITY];
    struct dsmr_id hashes[DSMR_ACCOUNT_ARITY]; /* zero where kind is NONE */
};

void dsmr_account_key_init(struct dsmr_account_key *out, const struct dsmr_address *address);
uint32_t dsmr_account_nibble(const struct dsmr_id *path, uint32_t depth); /* depth < 64 */

/* Store key of a node: space, 't', depth, the nibbles above it. out: room for
 * DSMR_ACCOUNT_NODE_KEY_BYTES_MAX. Returns the size. */
#define DSMR_ACCOUNT_NODE_KEY_BYTES_MAX 35u
size_t dsmr_account_node_key(uint8_t *out, const struct dsmr_account_place *place);

/* Both return the size; out: room for DSMR_ACCOUNT_NODE_BYTES_MAX. count: 1..32. */
size_t dsmr_account_bucket_encode(uint8_t *out, const struct dsmr_account *accounts,
                                  uint32_t count);
size_t dsmr_account_branch_encode(uint8_t *out, const struct dsmr_account_branch *branch);
/* The kind that value claims to have, KIND_NONE if it is no node. Reads the first byte and the
 * length only: the decoders check the rest. */
uint8_t dsmr_account_node_kind(const uint8_t *value, size_t len);
/* MALFORMED if value is not the one encoding of such a node. accounts: room for 32. */
DSMR_MUST_USE enum dsmr_err dsmr_account_bucket_decode(struct dsmr_account *accounts,
                                                       uint32_t *count, const uint8_t *value,
                                                       size_t len);
DSMR_MUST_USE enum dsmr_err dsmr_account_branch_decode(struct dsmr_account_branch *out,
                                                       const uint8_t *value, size_t len);
/* Number of accounts below a branch if its children are all buckets; more than
 * DSMR_ACCOUNT_BUCKET_MAX if one is a branch. */
uint32_t dsmr_account_branch_total(const struct dsmr_account_branch *branch);
/* First place of a bucket whose address is not below the given one; *is_found if it is the same. */
uint32_t dsmr_account_search(const struct dsmr_account *accounts, uint32_t count,
                             const struct dsmr_address *address, bool *is_found);

#endif
