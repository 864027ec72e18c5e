/* Any bytes as a node of the account trie, and as a proof whose head fits its first node. */
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "vm/account_proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void must(bool good)
{
    if (!good) {
        abort();
    }
}

static void as_node(const uint8_t *bytes, size_t len)
{
    struct dsmr_account accounts[DSMR_ACCOUNT_BUCKET_MAX];
    struct dsmr_account_branch branch;
    uint8_t again[DSMR_ACCOUNT_NODE_BYTES_MAX];
    uint32_t count;
    if (dsmr_account_bucket_decode(accounts, &count, bytes, len) == DSMR_OK) {
        must(dsmr_account_bucket_encode(again, accounts, count) == len);
        must(memcmp(again, bytes, len) == 0);
    }
    if (dsmr_account_branch_decode(&branch, bytes, len) == DSMR_OK) {
        must(dsmr_account_branch_encode(again, &branch) == len);
        must(memcmp(again, bytes, len) == 0);
    }
}

/* The proof's root and topmost hash are made to fit, so that the nodes are reached. */
static void as_proof(const uint8_t *bytes, size_t len)
{
    static uint8_t proof[1 << 16];
    enum { HEAD = 1 + DSMR_TRANSFERS_STATE_HEAD_BYTES };
    struct dsmr_transfers_state state = {.height = 0};
    struct dsmr_address address = {{0}};
    struct dsmr_id root;
    uint64_t balance;
    if (len < HEAD + 3 || len > sizeof proof) {
        return;
    }
    memcpy(proof, bytes, len);
    size_t node_len = (size_t)proof[HEAD + 1] << 8 | proof[HEAD + 2];
    if (node_len <= len - HEAD - 3) {
        proof[HEAD - 33] = dsmr_account_node_kind(proof + HEAD + 3, node_len);
        struct dsmr_id hash;
        dsmr_hash(&hash, proof + HEAD + 3, node_len);
        memcpy(proof + HEAD - 32, hash.bytes, 32);
    }
    struct dsmr_rd rd;
    dsmr_rd_init(&rd, proof + 1, HEAD - 1);
    dsmr_transfers_state_decode_head(&rd, &state);
    if (rd.err == DSMR_OK) {
        dsmr_transfers_state_root(&root, &state);
        enum dsmr_err err = dsmr_account_proof_check(&balance, &root, &address, proof, len);
        must(err == DSMR_OK || dsmr_err_class_of(err) == DSMR_ERR_CLASS_PEER);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    as_node(bytes, len);
    as_proof(bytes, len);
    return 0;
}
