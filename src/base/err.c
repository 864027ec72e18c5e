#include "dsmr/err.h"

/* Written out, because the preprocessor cannot change case; -Wswitch finds a missing one and the
 * test a misspelt one. */
const char *dsmr_err_name(enum dsmr_err err)
{
    switch (err) {
    case DSMR_ERR_OK:
        return "ok";
    case DSMR_ERR_MALFORMED:
        return "malformed";
    case DSMR_ERR_VERSION:
        return "version";
    case DSMR_ERR_WRONG_NETWORK:
        return "wrong_network";
    case DSMR_ERR_WRONG_CHAIN:
        return "wrong_chain";
    case DSMR_ERR_TOO_LARGE:
        return "too_large";
    case DSMR_ERR_TRAILING_BYTES:
        return "trailing_bytes";
    case DSMR_ERR_NON_CANONICAL:
        return "non_canonical";
    case DSMR_ERR_NOT_VALIDATOR:
        return "not_validator";
    case DSMR_ERR_NOT_PRODUCER:
        return "not_producer";
    case DSMR_ERR_PRODUCER_KEY:
        return "producer_key";
    case DSMR_ERR_EXPIRY_MISMATCH:
        return "expiry_mismatch";
    case DSMR_ERR_BODY_MISMATCH:
        return "body_mismatch";
    case DSMR_ERR_BAD_TX:
        return "bad_tx";
    case DSMR_ERR_TX_EXPIRY:
        return "tx_expiry";
    case DSMR_ERR_TX_TWICE:
        return "tx_twice";
    case DSMR_ERR_BAD_SIGNATURE:
        return "bad_signature";
    case DSMR_ERR_BAD_SHARE:
        return "bad_share";
    case DSMR_ERR_UNDER_QUORUM:
        return "under_quorum";
    case DSMR_ERR_BITSET:
        return "bitset";
    case DSMR_ERR_REFERENCE_MISMATCH:
        return "reference_mismatch";
    case DSMR_ERR_CONFLICT:
        return "conflict";
    case DSMR_ERR_BAD_HEIGHT:
        return "bad_height";
    case DSMR_ERR_BLOCK_TIME:
        return "block_time";
    case DSMR_ERR_BLOCK_EMPTY:
        return "block_empty";
    case DSMR_ERR_BLOCK_LIMIT:
        return "block_limit";
    case DSMR_ERR_CERT_TWICE:
        return "cert_twice";
    case DSMR_ERR_CERT_TIME:
        return "cert_time";
    case DSMR_ERR_EPOCH_NOT_ALLOWED:
        return "epoch_not_allowed";
    case DSMR_ERR_PAST_EPOCHS:
        return "past_epochs";
    case DSMR_ERR_RATE_LIMITED:
        return "rate_limited";
    case DSMR_ERR_UNEXPECTED:
        return "unexpected";
    case DSMR_ERR_HANDSHAKE:
        return "handshake";
    case DSMR_ERR_INVALID_KEY:
        return "invalid_key";
    case DSMR_ERR_BAD_VOTE:
        return "bad_vote";
    case DSMR_ERR_BAD_PROPOSAL:
        return "bad_proposal";
    case DSMR_ERR_TX_MERKLE_PROOF:
        return "tx_merkle_proof";
    case DSMR_ERR_DUPLICATE:
        return "duplicate";
    case DSMR_ERR_EXPIRED:
        return "expired";
    case DSMR_ERR_UNKNOWN:
        return "unknown";
    case DSMR_ERR_PRUNED:
        return "pruned";
    case DSMR_ERR_EPOCH_UNKNOWN:
        return "epoch_unknown";
    case DSMR_ERR_SLOT_AHEAD:
        return "slot_ahead";
    case DSMR_ERR_QUOTA_FULL:
        return "quota_full";
    case DSMR_ERR_BUSY:
        return "busy";
    case DSMR_ERR_NOT_YET:
        return "not_yet";
    case DSMR_ERR_BEHIND:
        return "behind";
    case DSMR_ERR_MEMPOOL_FULL:
        return "mempool_full";
    case DSMR_ERR_NOTHING_TO_BUILD:
        return "nothing_to_build";
    case DSMR_ERR_UNKNOWN_PARENT:
        return "unknown_parent";
    case DSMR_ERR_FULL:
        return "full";
    case DSMR_ERR_TIMEOUT:
        return "timeout";
    case DSMR_ERR_DECIDED:
        return "decided";
    case DSMR_ERR_INSUFFICIENT:
        return "insufficient";
    case DSMR_ERR_FEE_LIMIT:
        return "fee_limit";
    case DSMR_ERR_DISK_LOW:
        return "disk_low";
    case DSMR_ERR_NOT_PRODUCING:
        return "not_producing";
    case DSMR_ERR_NO_MEMORY:
        return "no_memory";
    case DSMR_ERR_DISK_FULL:
        return "disk_full";
    case DSMR_ERR_IO:
        return "io";
    case DSMR_ERR_LIMIT:
        return "limit";
    case DSMR_ERR_CLOSED:
        return "closed";
    case DSMR_ERR_CORRUPT:
        return "corrupt";
    case DSMR_ERR_CONFIG:
        return "config";
    case DSMR_ERR_LOCKED:
        return "locked";
    case DSMR_ERR_HALTED:
        return "halted";
    case DSMR_ERR_NEWER_FORMAT:
        return "newer_format";
    case DSMR_ERR_UNAVAILABLE:
        return "unavailable";
    case DSMR_ERR_APP_FAILED:
        return "app_failed";
    }
    return "unknown_error";
}

const char *dsmr_err_text(enum dsmr_err err)
{
    switch (err) {
#define DSMR_ERR_X(name, number, cls, text)                                                        \
    case DSMR_ERR_##name:                                                                          \
        return text;
        DSMR_ERR_MAP(DSMR_ERR_X)
#undef DSMR_ERR_X
    }
    return "unknown error";
}

enum dsmr_err_class dsmr_err_class_of(enum dsmr_err err)
{
    switch (err) {
#define DSMR_ERR_X(name, number, cls, text)                                                        \
    case DSMR_ERR_##name:                                                                          \
        return DSMR_ERR_CLASS_##cls;
        DSMR_ERR_MAP(DSMR_ERR_X)
#undef DSMR_ERR_X
    }
    return DSMR_ERR_CLASS_PEER; /* the number came from a peer: no error of ours has it */
}
