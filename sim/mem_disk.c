#include "sim/mem_disk.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/mem_table.h"

#define RETAINED_BLOCKS_MAX 16u /* of one garbage collection */

struct chunk {
    struct dsmr_store_chunk_meta meta;
    struct dsmr_buf *owner; /* of bytes; a copy if the write had none */
    const uint8_t *bytes;
    uint32_t len;
    enum dsmr_err damage; /* OK: none */
    uint32_t damaged_life;
};
struct block {
    struct dsmr_block *block;
    uint64_t wall_ms; /* of its accept */
    struct dsmr_quorum_cert finalization;
    bool has_finalization;
};
struct record {
    uint8_t key[64];
    uint32_t key_len;
    struct dsmr_buf *value;
};
struct slot_key {
    struct dsmr_node_id producer;
    uint8_t slot[8];
};

struct dsmr_mem_disk {
    uint64_t floor_ms, bytes;
    struct dsmr_mem_table chunks, certs, journals;
    struct block *blocks; /* by height - 1 */
    uint64_t height, blocks_capacity;
    uint64_t retained;      /* blocks that have let their chunks go */
    struct record *records; /* sorted */
    uint32_t records_count, records_capacity;
    struct dsmr_evidence *evidence;
    uint32_t evidence_count;
    uint32_t life; /* of whoever has the disk */
};

/* ---- tables ---- */

static const void *chunk_key(const void *entry, void *space)
{
    (void)space;
    return &((const struct chunk *)entry)->meta.ref.chunk_id;
}

static const void *cert_key(const void *entry, void *space)
{
    (void)space;
    return &((const struct dsmr_cert *)entry)->ref.chunk_id;
}

static const void *journal_key(const void *entry, void *space)
{
    const struct dsmr_store_journal *journal = entry;
    struct slot_key *key = space;
    key->producer = journal->producer;
    dsmr_store_be64(key->slot, journal->slot);
    return key;
}

static struct chunk *find_chunk(const struct dsmr_mem_disk *disk, const struct dsmr_id *id)
{
    return dsmr_mem_table_find(&disk->chunks, id);
}

/* ---- making ---- */

struct dsmr_mem_disk *dsmr_mem_disk_new(void)
{
    struct dsmr_mem_disk *disk = calloc(1, sizeof(*disk));
    DSMR_ASSERT(disk != NULL);
    dsmr_mem_table_init(&disk->chunks, sizeof(struct dsmr_id), sizeof(struct chunk), chunk_key);
    dsmr_mem_table_init(&disk->certs, sizeof(struct dsmr_id), sizeof(struct dsmr_cert), cert_key);
    dsmr_mem_table_init(&disk->journals, sizeof(struct slot_key), sizeof(struct dsmr_store_journal),
                        journal_key);
    return disk;
}

void dsmr_mem_disk_free(struct dsmr_mem_disk *disk)
{
    for (uint32_t i = 0; i < disk->chunks.count; i++) {
        dsmr_buf_unref(((struct chunk *)dsmr_mem_table_at(&disk->chunks, i))->owner);
    }
    for (uint64_t i = 0; i < disk->height; i++) {
        dsmr_block_unref(disk->blocks[i].block);
    }
    for (uint32_t i = 0; i < disk->records_count; i++) {
        dsmr_buf_unref(disk->records[i].value);
    }
    dsmr_mem_table_close(&disk->chunks);
    dsmr_mem_table_close(&disk->certs);
    dsmr_mem_table_close(&disk->journals);
    free(disk->blocks);
    free(disk->records);
    free(disk->evidence);
    free(disk);
}

/* ---- applying ---- */

static enum dsmr_mem_disk_news apply_journal(struct dsmr_mem_disk *disk,
                                             const struct dsmr_store_chunk_meta *meta)
{
    struct dsmr_store_journal entry = {.producer = meta->ref.producer,
                                       .slot = meta->ref.slot,
                                       .chunk_id = meta->ref.chunk_id,
                                       .epoch = meta->ref.epoch,
                                       .expiry_ms = meta->ref.expiry_ms};
    struct slot_key space;
    const void *key = journal_key(&entry, &space);
    struct dsmr_store_journal *slot = dsmr_mem_table_find(&disk->journals, key);
    if (slot == NULL) {
        slot = dsmr_mem_table_add(&disk->journals, key);
        *slot = entry;
    }
    return dsmr_id_equal(&slot->chunk_id, &entry.chunk_id) ? DSMR_MEM_DISK_NO_NEWS
                                                           : DSMR_MEM_DISK_SECOND_OF_SLOT;
}

/* The bytes are immutable and owned: kept, not copied. */
static void put_body(struct chunk *chunk, const struct dsmr_store_write *write)
{
    struct dsmr_buf *old = chunk->owner;
    bool has_owner = write->u.chunk.owner != NULL;
    chunk->owner = has_owner ? dsmr_buf_ref(write->u.chunk.owner)
                             : dsmr_buf_copy(write->u.chunk.bytes, write->u.chunk.len);
    chunk->bytes = has_owner ? write->u.chunk.bytes : chunk->owner->bytes;
    chunk->len = write->u.chunk.len;
    chunk->damage = DSMR_OK;
    dsmr_buf_unref(old);
}

static enum dsmr_mem_disk_news apply_chunk(struct dsmr_mem_disk *disk,
                                           const struct dsmr_store_write *write)
{
    const struct dsmr_store_chunk_meta *meta = write->u.chunk.meta;
    struct chunk *chunk = find_chunk(disk, &meta->ref.chunk_id);
    if (chunk == NULL) {
        chunk = dsmr_mem_table_add(&disk->chunks, &meta->ref.chunk_id);
        put_body(chunk, write);
        chunk->meta = *meta;
        disk->bytes += write->u.chunk.len;
    } else {
        struct dsmr_store_chunk_meta old = chunk->meta;
        chunk->meta = *meta;
        chunk->meta.producer_sig =
            old.is_signed && !meta->is_signed ? old.producer_sig : meta->producer_sig;
        chunk->meta.is_own |= old.is_own;
        chunk->meta.is_signed |= old.is_signed;
        if (meta->included_height == UINT64_MAX) { /* what this write does not know */
            chunk->meta.included_height = old.included_height;
            chunk->meta.included_time_ms = old.included_time_ms;
            chunk->meta.accepted_wall_ms = old.accepted_wall_ms;
        }
        if (chunk->damage != DSMR_OK) {
            put_body(chunk, write);
        }
    }
    return meta->is_signed ? apply_journal(disk, meta) : DSMR_MEM_DISK_NO_NEWS;
}

static void apply_cert(struct dsmr_mem_disk *disk, const struct dsmr_cert *cert)
{
    struct dsmr_cert *entry = dsmr_mem_table_find(&disk->certs, &cert->ref.chunk_id);
    if (entry == NULL) {
        entry = dsmr_mem_table_add(&disk->certs, &cert->ref.chunk_id);
    }
    *entry = *cert;
}

/* The engine went back and another way: as in the real store, chunks of what is left wait again. */
static void drop_blocks(struct dsmr_mem_disk *disk, uint64_t from_height)
{
    while (disk->height >= from_height) {
        dsmr_block_unref(disk->blocks[--disk->height].block);
    }
    disk->retained = disk->retained < disk->height ? disk->retained : disk->height;
    for (uint32_t i = 0; i < disk->chunks.count; i++) {
        struct chunk *chunk = dsmr_mem_table_at(&disk->chunks, i);
        if (chunk->meta.included_height != UINT64_MAX &&
            chunk->meta.included_height >= from_height) {
            chunk->meta.included_height = UINT64_MAX;
        }
    }
}

static enum dsmr_mem_disk_news apply_accept(struct dsmr_mem_disk *disk,
                                            const struct dsmr_store_write *write)
{
    struct dsmr_block *block = (struct dsmr_block *)write->u.accept.block; /* counted */
    DSMR_ASSERT(block->height >= 1 && block->height <= disk->height + 1);
    if (block->height > disk->blocks_capacity) {
        disk->blocks_capacity = disk->blocks_capacity == 0 ? 256 : disk->blocks_capacity * 2;
        disk->blocks = realloc(disk->blocks, disk->blocks_capacity * sizeof(*disk->blocks));
        DSMR_ASSERT(disk->blocks != NULL);
    }
    struct block *slot = &disk->blocks[block->height - 1];
    bool is_other = block->height <= disk->height && !dsmr_id_equal(&slot->block->id, &block->id);
    if (is_other) {
        drop_blocks(disk, block->height);
    }
    if (block->height == disk->height + 1) {
        *slot = (struct block){.block = dsmr_block_ref(block), .wall_ms = write->u.accept.wall_ms};
        disk->height++;
    }
    DSMR_ASSERT(dsmr_id_equal(&slot->block->id, &block->id));
    if (write->u.accept.finalization != NULL) {
        slot->finalization = *write->u.accept.finalization;
        slot->has_finalization = true;
    }
    for (uint32_t i = 0; i < block->certs_count; i++) {
        struct chunk *chunk = find_chunk(disk, &block->certs[i].ref.chunk_id);
        if (chunk != NULL) {
            chunk->meta.included_height = block->height;
            chunk->meta.included_time_ms = block->time_ms;
            chunk->meta.accepted_wall_ms = write->u.accept.wall_ms;
        }
    }
    return is_other ? DSMR_MEM_DISK_OTHER_BLOCK : DSMR_MEM_DISK_NO_NEWS;
}

static void remove_chunk(struct dsmr_mem_disk *disk, struct chunk *chunk)
{
    if (chunk != NULL) {
        disk->bytes -= chunk->len;
        dsmr_buf_unref(chunk->owner);
        dsmr_mem_table_remove(&disk->chunks, chunk);
    }
}

static void drop_chunk(struct dsmr_mem_disk *disk, const struct dsmr_id *chunk_id)
{
    remove_chunk(disk, find_chunk(disk, chunk_id));
    struct dsmr_cert *cert = dsmr_mem_table_find(&disk->certs, chunk_id);
    if (cert != NULL) {
        dsmr_mem_table_remove(&disk->certs, cert);
    }
}

static void drop_retained(struct dsmr_mem_disk *disk, struct dsmr_store_gc *gc)
{
    const struct dsmr_store_retained *limits = &gc->retained;
    for (uint32_t left = RETAINED_BLOCKS_MAX; disk->retained < disk->height && left > 0; left--) {
        const struct block *at = &disk->blocks[disk->retained];
        if (at->block->height > limits->height_max || at->block->time_ms > limits->time_max_ms ||
            at->wall_ms > limits->wall_max_ms) {
            break;
        }
        for (uint32_t i = 0; i < at->block->certs_count; i++) {
            drop_chunk(disk, &at->block->certs[i].ref.chunk_id);
        }
        disk->retained++;
    }
    bool is_none = disk->retained == disk->height;
    gc->oldest_time_ms = is_none ? UINT64_MAX : disk->blocks[disk->retained].block->time_ms;
    gc->oldest_wall_ms = is_none ? UINT64_MAX : disk->blocks[disk->retained].wall_ms;
}

static void apply_gc(struct dsmr_mem_disk *disk, struct dsmr_store_gc *gc)
{
    disk->floor_ms = gc->floor_ms > disk->floor_ms ? gc->floor_ms : disk->floor_ms;
    for (uint32_t k = 0; k < gc->chunks_count; k++) {
        drop_chunk(disk, &gc->chunks[k]);
    }
    if (gc->retained.is_wanted) {
        drop_retained(disk, gc);
    }
    for (uint32_t i = 0; gc->drop_journals && i < disk->journals.count;) {
        struct dsmr_store_journal *entry = dsmr_mem_table_at(&disk->journals, i);
        if (entry->expiry_ms < gc->floor_ms) {
            dsmr_mem_table_remove(&disk->journals, entry);
        } else {
            i++;
        }
    }
}

static int compare_keys(const uint8_t *a, uint32_t a_len, const uint8_t *b, uint32_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static void apply_record(struct dsmr_mem_disk *disk, const struct dsmr_store_write *write)
{
    if (disk->records_count == disk->records_capacity) {
        disk->records_capacity = disk->records_capacity == 0 ? 64 : disk->records_capacity * 2;
        disk->records = realloc(disk->records, disk->records_capacity * sizeof(struct record));
        DSMR_ASSERT(disk->records != NULL);
    }
    uint32_t i = disk->records_count; /* new keys sort last, mostly */
    int order = 1;
    while (i > 0 && (order = compare_keys(disk->records[i - 1].key, disk->records[i - 1].key_len,
                                          write->u.bft.key, write->u.bft.key_len)) > 0) {
        i--;
    }
    struct record *record = &disk->records[i];
    if (i > 0 && order == 0) {
        record = &disk->records[i - 1];
        dsmr_buf_unref(record->value);
    } else {
        memmove(record + 1, record, (disk->records_count - i) * sizeof(*record));
        disk->records_count++;
        record->key_len = write->u.bft.key_len;
        memcpy(record->key, write->u.bft.key, record->key_len);
    }
    record->value = dsmr_buf_copy(write->u.bft.value, write->u.bft.value_len);
}

static void apply_prune(struct dsmr_mem_disk *disk, const struct dsmr_store_write *write)
{
    uint32_t gone = 0;
    while (gone < disk->records_count &&
           compare_keys(disk->records[gone].key, disk->records[gone].key_len, write->u.bft.key,
                        write->u.bft.key_len) < 0) {
        dsmr_buf_unref(disk->records[gone++].value);
    }
    memmove(disk->records, disk->records + gone,
            (disk->records_count - gone) * sizeof(*disk->records));
    disk->records_count -= gone;
}

static void drop_evidence(struct dsmr_mem_disk *disk, const struct dsmr_evidence_key *gone)
{
    for (uint32_t i = 0; i < disk->evidence_count; i++) {
        const struct dsmr_reference *ref = &disk->evidence[i].refs[0];
        if (ref->epoch == gone->epoch && dsmr_node_id_equal(&ref->producer, &gone->producer)) {
            disk->evidence[i] = disk->evidence[--disk->evidence_count];
            return;
        }
    }
}

static void put_evidence(struct dsmr_mem_disk *disk, const struct dsmr_evidence *evidence)
{
    for (uint32_t i = 0; i < disk->evidence_count; i++) { /* the first of its key stays */
        const struct dsmr_reference *ref = &disk->evidence[i].refs[0];
        if (ref->epoch == evidence->refs[0].epoch &&
            dsmr_node_id_equal(&ref->producer, &evidence->refs[0].producer)) {
            return;
        }
    }
    disk->evidence = realloc(disk->evidence, (disk->evidence_count + 1) * sizeof(*disk->evidence));
    DSMR_ASSERT(disk->evidence != NULL);
    disk->evidence[disk->evidence_count++] = *evidence;
}

enum dsmr_mem_disk_news dsmr_mem_disk_apply(struct dsmr_mem_disk *disk,
                                            struct dsmr_store_write *write)
{
    switch (write->kind) {
    case DSMR_STORE_CHUNK:
        return apply_chunk(disk, write);
    case DSMR_STORE_CERT:
        apply_cert(disk, write->u.cert);
        break;
    case DSMR_STORE_ACCEPT:
        return apply_accept(disk, write);
    case DSMR_STORE_EVIDENCE:
        put_evidence(disk, write->u.evidence.pair);
        if (write->u.evidence.gone != NULL) {
            drop_evidence(disk, write->u.evidence.gone);
        }
        break;
    case DSMR_STORE_GC:
        apply_gc(disk, &write->u.gc);
        break;
    case DSMR_STORE_BFT_PUT:
        apply_record(disk, write);
        break;
    case DSMR_STORE_BFT_PRUNE:
        apply_prune(disk, write);
        break;
    }
    return DSMR_MEM_DISK_NO_NEWS;
}

/* ---- for whoever has the disk ---- */

bool dsmr_mem_disk_has_chunk(const struct dsmr_mem_disk *disk, const struct dsmr_id *chunk_id)
{
    return find_chunk(disk, chunk_id) != NULL;
}

uint64_t dsmr_mem_disk_bytes(const struct dsmr_mem_disk *disk)
{
    return disk->bytes;
}

uint64_t dsmr_mem_disk_height(const struct dsmr_mem_disk *disk)
{
    return disk->height;
}

uint32_t dsmr_mem_disk_count(const struct dsmr_mem_disk *disk)
{
    return disk->chunks.count + disk->certs.count + disk->journals.count;
}

void dsmr_mem_disk_lose_chunk(struct dsmr_mem_disk *disk, const struct dsmr_id *chunk_id)
{
    remove_chunk(disk, find_chunk(disk, chunk_id));
}

void dsmr_mem_disk_damage(struct dsmr_mem_disk *disk, const struct dsmr_id *chunk_id,
                          enum dsmr_err err)
{
    struct chunk *chunk = find_chunk(disk, chunk_id);
    DSMR_ASSERT(chunk != NULL && err != DSMR_OK);
    chunk->damage = err;
    chunk->damaged_life = disk->life;
}

bool dsmr_mem_disk_can_read(const struct dsmr_mem_disk *disk, const struct dsmr_id *chunk_id)
{
    const struct chunk *chunk = find_chunk(disk, chunk_id);
    return chunk != NULL && chunk->damage == DSMR_OK;
}

void dsmr_mem_disk_restarted(struct dsmr_mem_disk *disk)
{
    disk->life++;
}

bool dsmr_mem_disk_was_damaged(const struct dsmr_mem_disk *disk, const struct dsmr_id *chunk_id)
{
    const struct chunk *chunk = find_chunk(disk, chunk_id);
    return chunk != NULL && chunk->damage != DSMR_OK && chunk->damaged_life != disk->life;
}

const struct dsmr_reference *dsmr_mem_disk_chunk_at(const struct dsmr_mem_disk *disk, uint32_t i)
{
    const struct chunk *chunk = i < disk->chunks.count ? dsmr_mem_table_at(&disk->chunks, i) : NULL;
    return chunk == NULL ? NULL : &chunk->meta.ref;
}

void dsmr_mem_disk_forget_finalizations(struct dsmr_mem_disk *disk, uint64_t first, uint64_t last)
{
    DSMR_ASSERT(first > 0 && last <= disk->height);
    for (uint64_t height = first; height <= last; height++) {
        disk->blocks[height - 1].has_finalization = false;
    }
}

/* ---- reads ---- */

static struct dsmr_mem_disk *disk_of(void *self)
{
    return *(struct dsmr_mem_disk **)self;
}

static enum dsmr_err load_chunk(void *self, struct dsmr_buf **out, const struct dsmr_id *chunk_id)
{
    struct chunk *chunk = find_chunk(disk_of(self), chunk_id);
    if (chunk == NULL) {
        return DSMR_ERR_UNKNOWN;
    }
    if (chunk->damage != DSMR_OK) {
        return chunk->damage;
    }
    bool is_whole = chunk->owner->bytes == chunk->bytes && chunk->owner->len == chunk->len;
    *out = is_whole ? dsmr_buf_ref(chunk->owner) : dsmr_buf_copy(chunk->bytes, chunk->len);
    return *out == NULL ? DSMR_ERR_NO_MEMORY : DSMR_OK;
}

static enum dsmr_err load_chunk_meta(void *self, struct dsmr_store_chunk_meta *out,
                                     const struct dsmr_id *chunk_id)
{
    struct chunk *chunk = find_chunk(disk_of(self), chunk_id);
    if (chunk == NULL) {
        return DSMR_ERR_UNKNOWN;
    }
    *out = chunk->meta;
    return DSMR_OK;
}

static enum dsmr_err load_cert(void *self, struct dsmr_cert *out, const struct dsmr_id *chunk_id)
{
    struct dsmr_mem_disk *disk = disk_of(self);
    struct dsmr_cert *cert = dsmr_mem_table_find(&disk->certs, chunk_id);
    if (cert == NULL) {
        return DSMR_ERR_UNKNOWN;
    }
    *out = *cert;
    return DSMR_OK;
}

static enum dsmr_err load_block(void *self, struct dsmr_buf **out,
                                struct dsmr_quorum_cert *finalization, bool *has_finalization,
                                uint64_t height)
{
    struct dsmr_mem_disk *disk = disk_of(self);
    if (height == 0 || height > disk->height) {
        return DSMR_ERR_UNKNOWN;
    }
    const struct block *block = &disk->blocks[height - 1];
    *out = dsmr_buf_ref(block->block->bytes);
    *has_finalization = block->has_finalization;
    if (finalization != NULL && block->has_finalization) {
        *finalization = block->finalization;
    }
    return DSMR_OK;
}

static enum dsmr_err find_block(void *self, uint64_t *height, const struct dsmr_id *block_id)
{
    struct dsmr_mem_disk *disk = disk_of(self);
    for (uint64_t i = disk->height; i > 0; i--) {
        if (dsmr_id_equal(&disk->blocks[i - 1].block->id, block_id)) {
            *height = i;
            return DSMR_OK;
        }
    }
    return DSMR_ERR_UNKNOWN;
}

static enum dsmr_err last_accepted(void *self, uint64_t *height, struct dsmr_id *block_id)
{
    struct dsmr_mem_disk *disk = disk_of(self);
    if (disk->height == 0) {
        return DSMR_ERR_UNKNOWN;
    }
    *height = disk->height;
    *block_id = disk->blocks[disk->height - 1].block->id;
    return DSMR_OK;
}

static enum dsmr_err next_evidence(void *self, struct dsmr_evidence *out, uint64_t *cursor)
{
    struct dsmr_mem_disk *disk = disk_of(self);
    if (*cursor >= disk->evidence_count) {
        return DSMR_ERR_UNKNOWN;
    }
    *out = disk->evidence[(*cursor)++];
    return DSMR_OK;
}

static enum dsmr_err recover(void *self, const struct dsmr_store_visitor *visitor)
{
    struct dsmr_mem_disk *disk = disk_of(self);
    void *ctx = visitor->ctx;
    enum dsmr_err err = DSMR_OK;
    if (visitor->floor != NULL && disk->floor_ms > 0) {
        err = visitor->floor(ctx, disk->floor_ms);
    }
    for (uint32_t i = 0; visitor->journal != NULL && err == DSMR_OK && i < disk->journals.count;
         i++) {
        err = visitor->journal(ctx, dsmr_mem_table_at(&disk->journals, i));
    }
    for (uint32_t i = 0; visitor->chunk != NULL && err == DSMR_OK && i < disk->chunks.count; i++) {
        const struct chunk *chunk = dsmr_mem_table_at(&disk->chunks, i);
        if (visitor->with_history || chunk->meta.included_height == UINT64_MAX) {
            err = visitor->chunk(ctx, &chunk->meta);
        }
    }
    for (uint32_t i = 0; visitor->cert != NULL && err == DSMR_OK && i < disk->certs.count; i++) {
        const struct dsmr_cert *cert = dsmr_mem_table_at(&disk->certs, i);
        const struct chunk *chunk = find_chunk(disk, &cert->ref.chunk_id);
        if (visitor->with_history || chunk == NULL || chunk->meta.included_height == UINT64_MAX) {
            err = visitor->cert(ctx, cert);
        }
    }
    for (uint32_t i = 0; visitor->bft != NULL && err == DSMR_OK && i < disk->records_count; i++) {
        const struct record *record = &disk->records[i];
        err = visitor->bft(ctx, record->key, record->key_len, record->value->bytes,
                           record->value->len);
    }
    return err;
}

void dsmr_mem_disk_set_reads(struct dsmr_store_ops *ops)
{
    ops->load_chunk = load_chunk;
    ops->load_chunk_meta = load_chunk_meta;
    ops->load_cert = load_cert;
    ops->load_block = load_block;
    ops->find_block = find_block;
    ops->last_accepted = last_accepted;
    ops->next_evidence = next_evidence;
    ops->recover = recover;
}
