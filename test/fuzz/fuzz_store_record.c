/* fuzz_store_record.c - any bytes as a record of the consensus database, and as a key.
 *
 * How:    no checksum can be guessed, so the bytes are also sealed as a record of each kind.
 * Checks: without its checksum a record is refused; what decodes is written back the same; views
 *         lie within the record. */
#include <stdlib.h>
#include <string.h>

#include "store/crc32c.h"
#include "store/schema.h"
#include "wire/codec.h"
#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { BODY_MAX = 4096 };

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* What rd holds decodes as a record of that kind: it is encoded again into wr. */
static bool decode(struct dsmr_wr *wr, struct dsmr_rd *rd, const uint8_t *body, size_t len,
                   enum dsmr_schema_space space)
{
    struct dsmr_schema_chunk chunk;
    struct dsmr_store_journal entry;
    struct dsmr_schema_segment segment;
    struct dsmr_schema_block block;
    struct dsmr_cert cert;
    struct dsmr_quorum_cert qc;
    switch (space) {
    case DSMR_SCHEMA_CHUNK:
        dsmr_schema_chunk_decode(rd, &chunk);
        if (dsmr_schema_end(rd) != DSMR_OK) {
            return false;
        }
        dsmr_schema_chunk_encode(wr, &chunk);
        return true;
    case DSMR_SCHEMA_JOURNAL:
        memset(&entry, 0, sizeof entry);
        dsmr_schema_journal_decode(rd, &entry);
        if (dsmr_schema_end(rd) != DSMR_OK) {
            return false;
        }
        dsmr_schema_journal_encode(wr, &entry);
        return true;
    case DSMR_SCHEMA_SEGMENT:
        dsmr_schema_segment_decode(rd, &segment);
        if (dsmr_schema_end(rd) != DSMR_OK) {
            return false;
        }
        dsmr_schema_segment_encode(wr, &segment);
        return true;
    case DSMR_SCHEMA_CERT:
        memset(&cert, 0, sizeof cert);
        dsmr_cert_decode(rd, &cert, DSMR_VALIDATORS_MAX);
        if (dsmr_schema_end(rd) != DSMR_OK) {
            return false;
        }
        dsmr_cert_encode(wr, &cert);
        return true;
    case DSMR_SCHEMA_FINALIZATION:
        memset(&qc, 0, sizeof qc);
        dsmr_quorum_cert_decode(rd, &qc, DSMR_VALIDATORS_MAX);
        if (dsmr_schema_end(rd) != DSMR_OK) {
            return false;
        }
        dsmr_quorum_cert_encode(wr, &qc);
        return true;
    default:
        memset(&block, 0, sizeof block);
        dsmr_schema_block_decode(rd, &block);
        if (dsmr_schema_end(rd) != DSMR_OK) {
            return false;
        }
        must(block.chunk_ids >= body && block.bytes >= block.chunk_ids + 32u * block.chunks_count);
        must(block.bytes + block.bytes_len == body + len);
        dsmr_wr_bytes(wr, body, len); /* the views say all */
        return true;
    }
}

static void as_record(enum dsmr_schema_space space, const uint8_t *body, size_t len)
{
    static uint8_t sealed[BODY_MAX + 16], again[BODY_MAX + 16];
    const struct dsmr_id id = {{7}};
    struct dsmr_schema_key key;
    struct dsmr_wr wr;
    struct dsmr_rd rd;
    dsmr_schema_key_id(&key, space, &id);
    dsmr_schema_begin(&wr, sealed, sizeof sealed);
    dsmr_wr_bytes(&wr, body, len);
    must(dsmr_schema_seal(&wr, key.bytes, key.len));
    must(dsmr_schema_open(&rd, key.bytes, key.len, sealed, wr.at) == DSMR_OK);
    size_t sealed_len = wr.at;
    dsmr_schema_begin(&wr, again, sizeof again);
    if (decode(&wr, &rd, sealed + DSMR_SCHEMA_HEAD_BYTES, len, space)) {
        must(dsmr_schema_seal(&wr, key.bytes, key.len));
        must(wr.at == sealed_len && memcmp(again, sealed, sealed_len) == 0);
    }
    key.bytes[1] ^= 1; /* of another chunk */
    must(dsmr_schema_open(&rd, key.bytes, key.len, sealed, sealed_len) == DSMR_ERR_CORRUPT);
}

static void as_raw(const uint8_t *bytes, size_t len)
{
    static const uint8_t key[] = {'A'};
    struct dsmr_rd rd;
    uint32_t crc = dsmr_crc32c(0, key, sizeof key);
    if (dsmr_schema_open(&rd, key, sizeof key, bytes, len) == DSMR_OK) {
        crc = dsmr_crc32c(crc, bytes, len - 4);
        must(bytes[len - 4] == crc >> 24 && bytes[len - 1] == (crc & 0xff));
    }
}

static void as_key(const uint8_t *bytes, size_t len)
{
    struct dsmr_store_journal entry = {.epoch = 0};
    struct dsmr_reference ref = {.slot = 0};
    struct dsmr_schema_key key;
    if (dsmr_schema_journal_key_decode(&entry, bytes, len) == DSMR_OK) {
        dsmr_schema_key_journal(&key, &entry);
        must(key.len == len && memcmp(key.bytes, bytes, len) == 0);
    }
    if (dsmr_schema_waiting_key_decode(&ref, bytes, len) == DSMR_OK) {
        dsmr_schema_key_waiting(&key, &ref);
        must(key.len == len && memcmp(key.bytes, bytes, len) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const enum dsmr_schema_space spaces[] = {DSMR_SCHEMA_CHUNK,        DSMR_SCHEMA_JOURNAL,
                                                    DSMR_SCHEMA_SEGMENT,      DSMR_SCHEMA_CERT,
                                                    DSMR_SCHEMA_FINALIZATION, DSMR_SCHEMA_BLOCK};
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0] && len <= BODY_MAX; i++) {
        as_record(spaces[i], bytes, len);
    }
    as_raw(bytes, len);
    as_key(bytes, len);
    return 0;
}
