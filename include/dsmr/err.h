/* err.h - every error of the program, in one list.
 *
 * Why:     one name per failure: the same word in code, metrics, logs, API answers and docs.
 * Classes: PEER  the bytes or the sender are at fault: count it, maybe drop the peer.
 *          STATE not now: a normal answer (duplicate, expired, unknown, busy).
 *          LOCAL this machine: memory, disk, limits, configuration.
 *          A bug of ours is none of these: it is an assertion.
 * Numbers are never reused: they travel in refusals and stand in metrics. */
#ifndef DSMR_ERR_H
#define DSMR_ERR_H

#define DSMR_MUST_USE __attribute__((warn_unused_result))

/* X(name, number, class, text) */
#define DSMR_ERR_MAP(X)                                                                            \
    X(OK, 0, STATE, "ok")                                                                          \
    X(MALFORMED, 1, PEER, "malformed bytes")                                                       \
    X(VERSION, 2, PEER, "unknown version")                                                         \
    X(WRONG_NETWORK, 3, PEER, "another network")                                                   \
    X(WRONG_CHAIN, 4, PEER, "another chain")                                                       \
    X(TOO_LARGE, 5, PEER, "over the size limit")                                                   \
    X(TRAILING_BYTES, 6, PEER, "bytes after the end of the message")                               \
    X(NON_CANONICAL, 7, PEER, "not the canonical encoding")                                        \
    X(NOT_VALIDATOR, 8, PEER, "sender is not a validator of the epoch")                            \
    X(NOT_PRODUCER, 9, PEER, "sender is not the producer of the chunk")                            \
    X(PRODUCER_KEY, 10, PEER, "the producer's signature does not verify")                          \
    X(EXPIRY_MISMATCH, 11, PEER, "expiry is not slot start plus lifetime")                         \
    X(BODY_MISMATCH, 12, PEER, "the chunk's body does not match its header")                       \
    X(BAD_TX, 13, PEER, "a transaction does not parse or is not authentic")                        \
    X(TX_EXPIRY, 14, PEER, "a transaction's expiry is outside the validity window")                \
    X(TX_TWICE, 15, PEER, "a transaction stands twice in the chunk")                               \
    X(BAD_SIGNATURE, 16, PEER, "signature does not verify")                                        \
    X(BAD_SHARE, 17, PEER, "signature share does not verify")                                      \
    X(UNDER_QUORUM, 18, PEER, "signers' weight is below the quorum")                               \
    X(BITSET, 19, PEER, "signer bitset is not canonical or names nobody")                          \
    X(REFERENCE_MISMATCH, 20, PEER, "reference does not describe the chunk")                       \
    X(CONFLICT, 21, PEER, "another chunk holds this slot of the producer")                         \
    X(BAD_HEIGHT, 22, PEER, "height is not the parent's plus one")                                 \
    X(BLOCK_TIME, 23, PEER, "block time is not after its parent's")                                \
    X(BLOCK_EMPTY, 24, PEER, "an empty block is not allowed here")                                 \
    X(BLOCK_LIMIT, 25, PEER, "block is over a limit")                                              \
    X(CERT_TWICE, 26, PEER, "chunk or slot is already in the block or its ancestors")              \
    X(CERT_TIME, 27, PEER, "block time is outside slot start and expiry of a chunk")               \
    X(EPOCH_NOT_ALLOWED, 28, PEER, "certificate's epoch is not the block's nor in its list")       \
    X(PAST_EPOCHS, 29, PEER, "block's list of past epochs is not the computed one")                \
    X(RATE_LIMITED, 30, PEER, "too many requests")                                                 \
    X(UNEXPECTED, 31, PEER, "message was not asked for or not from who may send it")               \
    X(HANDSHAKE, 32, PEER, "handshake failed")                                                     \
    X(INVALID_KEY, 33, PEER, "public key is not a valid point or has no proof of possession")      \
    X(BAD_VOTE, 34, PEER, "vote or quorum certificate does not verify")                            \
    X(BAD_PROPOSAL, 35, PEER, "proposal breaks a rule of the engine")                              \
    X(TX_MERKLE_PROOF, 36, PEER, "proof does not lead to the root")                                \
    X(DUPLICATE, 64, STATE, "already known")                                                       \
    X(EXPIRED, 65, STATE, "expired")                                                               \
    X(UNKNOWN, 66, STATE, "unknown")                                                               \
    X(PRUNED, 67, STATE, "no longer kept")                                                         \
    X(EPOCH_UNKNOWN, 68, STATE, "epoch not known yet")                                             \
    X(SLOT_AHEAD, 69, STATE, "slot is ahead of the clock")                                         \
    X(QUOTA_FULL, 70, STATE, "the producer's pending bytes are at their limit")                    \
    X(BUSY, 71, STATE, "busy")                                                                     \
    X(NOT_YET, 72, STATE, "not yet")                                                               \
    X(BEHIND, 73, STATE, "this node is behind")                                                    \
    X(MEMPOOL_FULL, 74, STATE, "mempool is full")                                                  \
    X(NOTHING_TO_BUILD, 75, STATE, "nothing to build")                                             \
    X(UNKNOWN_PARENT, 76, STATE, "parent block is not known")                                      \
    X(FULL, 77, STATE, "at its limit")                                                             \
    X(TIMEOUT, 78, STATE, "timed out")                                                             \
    X(DECIDED, 79, STATE, "block lies below the last accepted one")                                \
    X(INSUFFICIENT, 80, STATE, "the sender's balance does not cover amount and fee")               \
    X(FEE_LIMIT, 81, STATE, "the fee is above the sender's limit")                                 \
    X(DISK_LOW, 82, STATE, "this node's disk is nearly full")                                      \
    X(NOT_PRODUCING, 83, STATE, "this node follows, or is no validator of the epoch")              \
    X(NO_MEMORY, 96, LOCAL, "out of memory")                                                       \
    X(DISK_FULL, 97, LOCAL, "no space left on disk")                                               \
    X(IO, 98, LOCAL, "input/output error")                                                         \
    X(LIMIT, 99, LOCAL, "limits do not fit together")                                              \
    X(CLOSED, 100, LOCAL, "closed")                                                                \
    X(CORRUPT, 101, LOCAL, "stored data is damaged")                                               \
    X(CONFIG, 102, LOCAL, "configuration is wrong")                                                \
    X(LOCKED, 103, LOCAL, "home is in use by another process")                                     \
    X(HALTED, 104, LOCAL, "halted for safety")                                                     \
    X(NEWER_FORMAT, 105, LOCAL, "data was written by a newer version")                             \
    X(UNAVAILABLE, 106, LOCAL, "peer or engine is not available")                                  \
    X(APP_FAILED, 107, LOCAL, "the application failed")

enum dsmr_err {
#define DSMR_ERR_X(name, number, cls, text) DSMR_ERR_##name = number,
    DSMR_ERR_MAP(DSMR_ERR_X)
#undef DSMR_ERR_X
};
#define DSMR_OK DSMR_ERR_OK
#define DSMR_ERR_NUMBER_MAX 128 /* one more than the largest number: sizes counter tables */

enum dsmr_err_class { DSMR_ERR_CLASS_PEER, DSMR_ERR_CLASS_STATE, DSMR_ERR_CLASS_LOCAL };

/* Static strings, never NULL; an unknown number gives "unknown_error". Thread-safe. */
const char *dsmr_err_name(enum dsmr_err err); /* lower case: "mempool_full" */
const char *dsmr_err_text(enum dsmr_err err);
enum dsmr_err_class dsmr_err_class_of(enum dsmr_err err);

#endif
