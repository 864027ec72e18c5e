/* message.h - what peers say to each other. One type byte, then the fields; docs/wire.md.
 *
 * A message is sent as a head and, for large payloads, a body that follows it byte for byte, so
 * that a chunk is never copied into a message. On receipt it is one buffer. */
#ifndef DSMR_WIRE_MESSAGE_H
#define DSMR_WIRE_MESSAGE_H

#include "dsmr/types.h"
#include "wire/codec.h"

/* X(NAME, number, class): classes are drained in this order: vote, cert, chunk, tx */
#define DSMR_MSG_MAP(X)                                                                            \
    X(STATUS, 1, VOTE)                                                                             \
    X(REQUEST_CHUNK_SIGNATURE_SHARE, 2, CHUNK)                                                     \
    X(CHUNK_SIGNATURE, 3, VOTE)                                                                    \
    X(CHUNK_REFUSED, 4, VOTE)                                                                      \
    X(CERTIFICATE, 5, CERT)                                                                        \
    X(CERTIFICATE_ANSWER, 6, CERT)                                                                 \
    X(REQUEST_CHUNK, 7, CERT)                                                                      \
    X(CHUNK, 8, CHUNK)                                                                             \
    X(BFT_PROPOSAL, 16, VOTE)                                                                      \
    X(BFT_VOTE, 17, VOTE)                                                                          \
    X(BFT_QUORUM_CERT, 18, VOTE)                                                                   \
    X(BFT_REQUEST_BLOCKS, 19, CERT)                                                                \
    X(BFT_BLOCKS, 20, CHUNK)                                                                       \
    X(BFT_REQUEST_VIEW, 21, VOTE)                                                                  \
    X(BFT_REQUEST_BLOCK, 22, VOTE)                                                                 \
    X(BFT_BLOCK, 23, CERT)                                                                         \
    X(BFT_POSITION, 24, VOTE)

enum dsmr_msg_type {
#define DSMR_MSG_X(name, number, cls) DSMR_MSG_##name = number,
    DSMR_MSG_MAP(DSMR_MSG_X)
#undef DSMR_MSG_X
};
#define DSMR_MSG_BFT_FIRST 16 /* numbers from here on belong to the built-in engine */

enum dsmr_msg_class {
    DSMR_MSG_CLASS_VOTE,
    DSMR_MSG_CLASS_CERT,
    DSMR_MSG_CLASS_CHUNK,
    DSMR_MSG_CLASS_TX,
    DSMR_MSG_CLASS_COUNT
};
/* -1 for an unknown type. */
int dsmr_msg_class_of(uint8_t type);
const char *dsmr_msg_name(uint8_t type); /* "unknown" for an unknown one */

enum dsmr_vote_kind { /* of the built-in engine */
                      DSMR_VOTE_NOTARIZE = 1,
                      DSMR_VOTE_NULLIFY = 2,
                      DSMR_VOTE_FINALIZE = 3
};
/* What a vote says and signs. epoch: the validator set's; view: counted within the epoch's
 * instance; block_id is zero and height 0 for NULLIFY. */
struct dsmr_vote_subject {
    uint64_t epoch;
    uint64_t view;
    uint64_t height;
    struct dsmr_id block_id;
    uint8_t kind; /* enum dsmr_vote_kind */
};
#define DSMR_VOTE_SUBJECT_BYTES 57u
#define DSMR_VOTE_SIGNING_BYTES (DSMR_SIGNING_HEAD_BYTES + 6u + DSMR_VOTE_SUBJECT_BYTES)
void dsmr_vote_signing_bytes(uint8_t out[DSMR_VOTE_SIGNING_BYTES], const struct dsmr_domain *domain,
                             const struct dsmr_vote_subject *subject);
void dsmr_vote_subject_encode(struct dsmr_wr *wr, const struct dsmr_vote_subject *subject);
/* MALFORMED for an unknown kind; NON_CANONICAL if a NULLIFY names a height or a block. */
void dsmr_vote_subject_decode(struct dsmr_rd *rd, struct dsmr_vote_subject *out);
bool dsmr_vote_subject_equal(const struct dsmr_vote_subject *a, const struct dsmr_vote_subject *b);

struct dsmr_quorum_cert {
    struct dsmr_vote_subject subject;
    struct dsmr_bitset signers;
    struct dsmr_bls_sig sig;
};
#define DSMR_QUORUM_CERT_BYTES_MAX (DSMR_VOTE_SUBJECT_BYTES + 2u + DSMR_VALIDATORS_MAX / 8u + 96u)
void dsmr_quorum_cert_encode(struct dsmr_wr *wr, const struct dsmr_quorum_cert *qc);
void dsmr_quorum_cert_decode(struct dsmr_rd *rd, struct dsmr_quorum_cert *out, uint32_t bits_max);

/* One decoded message. Views are borrowed from the buffer that was decoded. */
struct dsmr_msg {
    uint8_t type; /* enum dsmr_msg_type */
    union {
        struct {
            uint64_t accepted_height;
            uint64_t executed_height;
            uint64_t wall_ms; /* the sender's clock */
        } status;
        struct {
            struct dsmr_bls_sig sig; /* the producer's share */
            const uint8_t *chunk;
            uint32_t chunk_len;
        } request_share;
        struct {
            struct dsmr_reference ref;
            struct dsmr_bls_sig sig;
        } chunk_signature;
        struct {
            struct dsmr_id chunk_id;
            uint16_t err;
        } chunk_refused; /* also CERTIFICATE_ANSWER: err 0 acknowledges */
        struct dsmr_cert certificate;
        struct {
            struct dsmr_id chunk_id;
            uint64_t height; /* of the accepted block that names it */
        } request_chunk;
        struct {
            struct dsmr_id chunk_id;
            uint16_t err; /* 0: chunk follows; UNKNOWN, PRUNED, BUSY: none */
            const uint8_t *chunk;
            uint32_t chunk_len;
        } chunk;
        struct {
            uint64_t epoch, view, parent_view;
            struct dsmr_id parent_id;
            struct dsmr_id block_id;
            const uint8_t *block; /* block_len 0: proposes the parent again */
            uint32_t block_len;
        } proposal;
        struct {
            struct dsmr_vote_subject subject;
            struct dsmr_bls_sig sig;
        } vote;
        struct dsmr_quorum_cert quorum_cert;
        struct {
            uint64_t from_height; /* first wanted */
        } request_blocks;
        struct {
            uint32_t count; /* blocks, consecutive, each u32 length and bytes */
            const uint8_t *blocks;
            uint32_t blocks_len;
            struct dsmr_quorum_cert finalization; /* of the last one */
        } blocks;
        struct {
            uint64_t epoch, from_view, to_view; /* to_view 0: only the position */
        } request_view;
        struct {
            struct dsmr_id block_id;
        } request_block;
        struct {
            const uint8_t *block;
            uint32_t block_len;
        } block;
        struct {
            uint64_t epoch, view;
            uint64_t height;     /* of the highest block that the sender knows notarized or final */
            uint64_t votes_from; /* first view of its votes; 0: all; UINT64_MAX: not known yet */
            uint64_t heard_view; /* highest one of which it holds a vote of the receiver; 0: none */
            uint64_t question;   /* from_view of the request that it answers; 0: none */
        } position;
    } u;
};

/* Decodes bytes (type byte first). A certificate's and a quorum certificate's bitset is checked
 * against DSMR_VALIDATORS_MAX only: the receiver checks it against the set. Allocates nothing. */
DSMR_MUST_USE enum dsmr_err dsmr_msg_decode(struct dsmr_msg *out, const void *bytes, size_t len);
/* The first length of a message without its body: encodes all fixed fields of msg into a new
 * buffer. A body (chunk, block, blocks) is included only if with_body; else it must follow.
 * For BFT_BLOCKS the finalization precedes the blocks. NULL if out of memory. */
struct dsmr_buf *dsmr_msg_encode(const struct dsmr_msg *msg, bool with_body);

#endif
