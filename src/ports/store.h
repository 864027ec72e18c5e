/* store.h - what the node must not forget: chunks, journals, certificates, blocks, votes.
 *
 * Why:     a share or a vote leaves only after what it promises is durable (protocol.md, Signing,
 *          rule 8). Writes are asynchronous and complete when durable; the adapter syncs once for
 *          all that waits (group commit).
 * Order:   writes become durable in the order in which they were given.
 * Threads: write() from the logic thread; completions come through the inbox; reads are
 *          synchronous and may come from any thread. */
#ifndef DSMR_PORTS_STORE_H
#define DSMR_PORTS_STORE_H

#include "dsmr/types.h"
#include "ports/task.h"
#include "wire/message.h"

/* Where the chunk stands, as recovery must know it. */
struct dsmr_store_chunk_meta {
    struct dsmr_reference ref;
    struct dsmr_bls_sig producer_sig; /* the producer's share */
    uint64_t included_height;         /* UINT64_MAX: not included */
    uint64_t included_time_ms;        /* of the block */
    uint64_t accepted_wall_ms;        /* local time of accept, for retention */
    bool is_own;
    bool is_signed; /* a journal entry exists: our share was or will be given */
};

struct dsmr_store_journal { /* (producer, slot) -> the one chunk that has our share */
    struct dsmr_node_id producer;
    uint64_t slot;
    struct dsmr_id chunk_id;
    uint64_t epoch;
    uint64_t expiry_ms;
};

enum dsmr_store_kind {
    DSMR_STORE_CHUNK,    /* body + meta (+ journal entry if meta.is_signed), one atom */
    DSMR_STORE_CERT,     /* adds or replaces by chunk id */
    DSMR_STORE_ACCEPT,   /* block + finalization, index entries and included_height of its chunks'
                            metas, last accepted pointer; one atom; idempotent */
    DSMR_STORE_EVIDENCE, /* one pair; key (producer, epoch) */
    DSMR_STORE_GC,       /* floor and deletions, one atom; needs no free space */
    DSMR_STORE_BFT_PUT,  /* one record of the engine's journal: key, value */
    DSMR_STORE_BFT_PRUNE /* removes all records of the journal whose key sorts below key */
};

/* Which accepted blocks may let their chunks go (protocol.md, 11.3): a block must be within all
 * three. */
struct dsmr_store_retained {
    bool is_wanted;
    uint64_t height_max;
    uint64_t time_max_ms; /* the block's own time */
    uint64_t wall_max_ms; /* local time of its accept */
};

struct dsmr_store_gc {
    uint64_t floor_ms;            /* highest chain time that garbage collection used */
    const struct dsmr_id *chunks; /* bodies, metas and certificates to drop */
    uint32_t chunks_count;
    bool drop_journals;           /* removes journal entries with expiry < floor_ms */
    uint64_t index_before_height; /* accepted-index data may go below it; 0: none */
    /* Bodies, metas and certificates of chunks of accepted blocks, the oldest first, of so many
     * blocks as one write may take. The store remembers how far it is. */
    struct dsmr_store_retained retained;
    /* out, with OK and is_wanted: the oldest block that has not let its chunks go; UINT64_MAX both:
     * there is none. If it is within the limits above, there is more to do. */
    uint64_t oldest_time_ms;
    uint64_t oldest_wall_ms;
};

struct dsmr_store_write {
    struct dsmr_task task; /* done() is called once, after err is set */
    enum dsmr_store_kind kind;
    enum dsmr_err err; /* out: OK, DISK_FULL, IO. After IO the outcome is unknown: fail-stop */
    union {            /* all borrowed until done() */
        struct {
            const struct dsmr_store_chunk_meta *meta;
            struct dsmr_buf *owner; /* keeps bytes */
            const uint8_t *bytes;
            uint32_t len;
        } chunk;
        const struct dsmr_cert *cert;
        struct {
            const struct dsmr_block *block;
            const struct dsmr_quorum_cert *finalization; /* NULL: a descendant has it */
            uint64_t wall_ms;
        } accept;
        struct {
            const struct dsmr_evidence *pair;
            const struct dsmr_evidence_key *gone; /* that pair is removed; NULL: none */
        } evidence;
        struct dsmr_store_gc gc;
        struct {
            const uint8_t *key;
            uint32_t key_len; /* 1..64; keys sort as bytes */
            const uint8_t *value;
            uint32_t value_len;
        } bft;
    } u;
};

/* Everything that recovery hands over, in this order of kinds; borrowed during the call. A
 * visitor that returns an error ends the walk with it. NULL members are skipped. Chunks and
 * certificates are those that no accepted block has, so that the walk does not grow with history.
 */
struct dsmr_store_visitor {
    void *ctx;
    bool with_history; /* every chunk and certificate that is kept: for tools */
    enum dsmr_err (*floor)(void *ctx, uint64_t floor_ms);
    enum dsmr_err (*journal)(void *ctx, const struct dsmr_store_journal *entry);
    enum dsmr_err (*chunk)(void *ctx, const struct dsmr_store_chunk_meta *meta);
    enum dsmr_err (*cert)(void *ctx, const struct dsmr_cert *cert);
    enum dsmr_err (*bft)(void *ctx, const uint8_t *key, uint32_t key_len, const uint8_t *value,
                         uint32_t value_len); /* ascending */
};

struct dsmr_store_ops {
    /* Queues write; never blocks. The driver bounds what is outstanding. */
    void (*write)(void *self, struct dsmr_store_write *write);

    /* Reads. UNKNOWN if absent; CORRUPT if a checksum or a decode fails; IO. Caller unrefs. */
    enum dsmr_err (*load_chunk)(void *self, struct dsmr_buf **out, const struct dsmr_id *chunk_id);
    enum dsmr_err (*load_chunk_meta)(void *self, struct dsmr_store_chunk_meta *out,
                                     const struct dsmr_id *chunk_id);
    enum dsmr_err (*load_cert)(void *self, struct dsmr_cert *out, const struct dsmr_id *chunk_id);
    /* Encoded block. finalization may be NULL; *has_finalization tells whether one is stored. */
    enum dsmr_err (*load_block)(void *self, struct dsmr_buf **out,
                                struct dsmr_quorum_cert *finalization, bool *has_finalization,
                                uint64_t height);
    enum dsmr_err (*find_block)(void *self, uint64_t *height, const struct dsmr_id *block_id);
    /* UNKNOWN: nothing accepted yet. */
    enum dsmr_err (*last_accepted)(void *self, uint64_t *height, struct dsmr_id *block_id);
    /* Next evidence after *cursor (start with 0); advances it. UNKNOWN at the end. */
    enum dsmr_err (*next_evidence)(void *self, struct dsmr_evidence *out, uint64_t *cursor);
    /* Before the first write, single-threaded. */
    enum dsmr_err (*recover)(void *self, const struct dsmr_store_visitor *visitor);
    uint64_t (*disk_free_bytes)(void *self);
    /* Which file and why, of the last write that failed; empty if none has. Any thread. NULL:
     * nothing of the kind is known. size 1 or more. */
    void (*cause)(void *self, char *text, size_t size);
};
struct dsmr_store {
    void *self;
    const struct dsmr_store_ops *ops;
};

#endif
