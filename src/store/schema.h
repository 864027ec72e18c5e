/* schema.h - the whole layout of the consensus database: keys and record encodings.
 *
 * Why:      one place says what is on disk; docs/storage.md describes the same field by field.
 * How:      one ordered key space, first byte of a key = kind of record. Every value is
 *           {version u8, fields, CRC-32C u32 over key and value}; all integers big-endian.
 * Not here: no database, no files: bytes only.
 * Limits:   keys up to DSMR_SCHEMA_KEY_BYTES_MAX.
 * Threads:  pure; any thread. */
#ifndef DSMR_STORE_SCHEMA_H
#define DSMR_STORE_SCHEMA_H

#include "dsmr/types.h"
#include "ports/store.h"
#include "wire/cursor.h"

/* Of the whole data directory. Raised when an older program could misread what is written. */
#define DSMR_SCHEMA_FORMAT 2u

#define DSMR_SCHEMA_BFT_KEY_BYTES_MAX 64u
#define DSMR_SCHEMA_KEY_BYTES_MAX (1u + DSMR_SCHEMA_BFT_KEY_BYTES_MAX)

/* First byte of a key, and what follows it. */
enum dsmr_schema_space {
    DSMR_SCHEMA_FORMAT_KEY = 'F',   /* nothing: format version */
    DSMR_SCHEMA_FLOOR = 'G',        /* nothing: highest chain time that GC used */
    DSMR_SCHEMA_ACCEPTED = 'A',     /* nothing: height and id of the last accepted block */
    DSMR_SCHEMA_RETAINED = 'D',     /* nothing: height; blocks below it have let their chunks go */
    DSMR_SCHEMA_BLOCK = 'b',        /* height u64: block */
    DSMR_SCHEMA_BLOCK_ID = 'i',     /* block id: height */
    DSMR_SCHEMA_FINALIZATION = 'q', /* height u64: quorum certificate */
    DSMR_SCHEMA_CHUNK = 'c',        /* chunk id: meta and place of the body */
    DSMR_SCHEMA_CERT = 't',         /* chunk id: certificate */
    DSMR_SCHEMA_WAITING = 'w',      /* expiry u64, chunk id: nothing; a chunk or certificate of it
                                       is here, and no accepted block has it */
    DSMR_SCHEMA_JOURNAL = 'j',      /* expiry u64, producer 20, slot u64: chunk id, epoch */
    DSMR_SCHEMA_EVIDENCE = 'e',     /* sequence u64: evidence */
    DSMR_SCHEMA_EVIDENCE_OF = 'p',  /* producer 20, epoch u64: sequence */
    DSMR_SCHEMA_BFT = 'v',          /* engine's key: engine's value */
    DSMR_SCHEMA_SEGMENT = 's',      /* segment u64: live chunks, end of data */
    DSMR_SCHEMA_SEGMENT_LAST = 'S', /* nothing: highest segment number ever used */
    DSMR_SCHEMA_RELEASED = 'R'      /* sequence u64: body ranges that a GC step let go */
};

struct dsmr_schema_key {
    uint32_t len;
    uint8_t bytes[DSMR_SCHEMA_KEY_BYTES_MAX];
};
void dsmr_schema_key(struct dsmr_schema_key *out, enum dsmr_schema_space space);
void dsmr_schema_key_id(struct dsmr_schema_key *out, enum dsmr_schema_space space,
                        const struct dsmr_id *id);
void dsmr_schema_key_u64(struct dsmr_schema_key *out, enum dsmr_schema_space space, uint64_t v);
void dsmr_schema_key_journal(struct dsmr_schema_key *out, const struct dsmr_store_journal *entry);
void dsmr_schema_key_waiting(struct dsmr_schema_key *out, const struct dsmr_reference *ref);
/* Sets chunk id and expiry. CORRUPT if it has another length. */
DSMR_MUST_USE enum dsmr_err dsmr_schema_waiting_key_decode(struct dsmr_reference *out,
                                                           const void *key, size_t key_len);
void dsmr_schema_key_evidence_of(struct dsmr_schema_key *out, const struct dsmr_node_id *producer,
                                 uint64_t epoch);
/* len 1..DSMR_SCHEMA_BFT_KEY_BYTES_MAX. */
void dsmr_schema_key_bft(struct dsmr_schema_key *out, const uint8_t *key, uint32_t len);

/* ---- records ---- */
#define DSMR_SCHEMA_HEAD_BYTES 1u         /* version */
#define DSMR_SCHEMA_TAIL_BYTES 4u         /* checksum */
#define DSMR_SCHEMA_RECORD_BYTES_MAX 512u /* of all but blocks and BFT records */

/* Starts a record in bytes[size]; then the fields are written to wr; seal ends it. */
void dsmr_schema_begin(struct dsmr_wr *wr, void *bytes, size_t size);
/* Appends the checksum; false if the record did not fit (a bug of the caller). */
bool dsmr_schema_seal(struct dsmr_wr *wr, const void *key, size_t key_len);
/* Checks version and checksum and sets rd to the fields. CORRUPT. */
DSMR_MUST_USE enum dsmr_err dsmr_schema_open(struct dsmr_rd *rd, const void *key, size_t key_len,
                                             const void *value, size_t value_len);
/* The end of reading: CORRUPT for any decode error or trailing bytes. */
DSMR_MUST_USE enum dsmr_err dsmr_schema_end(struct dsmr_rd *rd);

/* Where a chunk's body lies. */
struct dsmr_schema_place {
    uint64_t segment; /* from 1 */
    uint64_t offset;
    uint32_t len;
    uint32_t crc; /* CRC-32C of the body */
};
struct dsmr_schema_chunk {
    struct dsmr_store_chunk_meta meta;
    struct dsmr_schema_place place;
};
void dsmr_schema_chunk_encode(struct dsmr_wr *wr, const struct dsmr_schema_chunk *chunk);
void dsmr_schema_chunk_decode(struct dsmr_rd *rd, struct dsmr_schema_chunk *out);

/* The value of a journal entry; expiry, producer and slot are in its key. */
void dsmr_schema_journal_encode(struct dsmr_wr *wr, const struct dsmr_store_journal *entry);
void dsmr_schema_journal_decode(struct dsmr_rd *rd, struct dsmr_store_journal *out);
/* The key's part. CORRUPT if it has another length. */
DSMR_MUST_USE enum dsmr_err dsmr_schema_journal_key_decode(struct dsmr_store_journal *out,
                                                           const void *key, size_t key_len);

struct dsmr_schema_segment {
    uint64_t live;      /* chunks whose bodies are kept */
    uint64_t end_bytes; /* of the durable data; what follows in the file is garbage */
};
void dsmr_schema_segment_encode(struct dsmr_wr *wr, const struct dsmr_schema_segment *segment);
void dsmr_schema_segment_decode(struct dsmr_rd *rd, struct dsmr_schema_segment *out);

/* What stands before a block's bytes; chunk_ids are views of certs_count ids of 32 bytes. */
struct dsmr_schema_block {
    struct dsmr_id id;
    uint64_t time_ms;
    uint64_t wall_ms; /* local time of accept */
    uint32_t chunks_count;
    const uint8_t *chunk_ids; /* decode only; borrowed */
    const uint8_t *bytes;     /* borrowed */
    uint32_t bytes_len;
};
size_t dsmr_schema_block_size(const struct dsmr_block *block);
void dsmr_schema_block_encode(struct dsmr_wr *wr, const struct dsmr_block *block, uint64_t wall_ms);
void dsmr_schema_block_decode(struct dsmr_rd *rd, struct dsmr_schema_block *out);

#endif
