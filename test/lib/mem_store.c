#include "lib/mem_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

#define CHUNKS_MAX 8192u
#define JOURNALS_MAX 8192u
#define CERTS_MAX 8192u
#define BLOCKS_MAX 65536u
#define RECORDS_MAX 4096u
#define EVIDENCE_MAX 256u
#define RETAINED_BLOCKS_MAX 16u /* of one GC */

struct chunk {
    struct dsmr_store_chunk_meta meta;
    struct dsmr_buf *bytes;
};
struct block {
    struct dsmr_buf *bytes;
    struct dsmr_id id;
    struct dsmr_quorum_cert finalization;
    bool has_finalization;
    uint64_t time_ms, wall_ms;
    struct dsmr_id *chunks; /* chunks_count */
    uint32_t chunks_count;
};
struct record {
    uint8_t key[64];
    uint32_t key_len;
    struct dsmr_buf *value;
};
struct dsmr_mem_store {
    struct dsmr_task *first, *last; /* queued writes */
    uint32_t queued;
    void (*on_queued)(void *ctx);
    void *ctx;
    uint64_t floor_ms;
    struct chunk *chunks;
    uint32_t chunks_count;
    struct dsmr_store_journal *journals;
    uint32_t journals_count;
    struct dsmr_cert *certs;
    uint32_t certs_count;
    struct block *blocks; /* by height - 1; grows */
    uint64_t height, blocks_capacity;
    uint64_t retained;      /* blocks below this index have let their chunks go */
    struct record *records; /* sorted */
    uint32_t records_count;
    struct dsmr_evidence evidence[EVIDENCE_MAX];
    uint32_t evidence_count;
};

struct dsmr_mem_store *dsmr_mem_store_new(void)
{
    struct dsmr_mem_store *store = calloc(1, sizeof *store);
    DSMR_ASSERT(store != NULL);
    store->chunks = calloc(CHUNKS_MAX, sizeof *store->chunks);
    store->journals = calloc(JOURNALS_MAX, sizeof *store->journals);
    store->certs = calloc(CERTS_MAX, sizeof *store->certs);
    store->records = calloc(RECORDS_MAX, sizeof *store->records);
    return store;
}

void dsmr_mem_store_free(struct dsmr_mem_store *store)
{
    DSMR_ASSERT(store->queued == 0);
    for (uint32_t i = 0; i < store->chunks_count; i++)
        dsmr_buf_unref(store->chunks[i].bytes);
    for (uint64_t i = 0; i < store->height; i++) {
        dsmr_buf_unref(store->blocks[i].bytes);
        free(store->blocks[i].chunks);
    }
    for (uint32_t i = 0; i < store->records_count; i++)
        dsmr_buf_unref(store->records[i].value);
    free(store->chunks);
    free(store->journals);
    free(store->certs);
    free(store->blocks);
    free(store->records);
    free(store);
}

static struct chunk *find_chunk(struct dsmr_mem_store *store, const struct dsmr_id *id)
{
    for (uint32_t i = 0; i < store->chunks_count; i++)
        if (dsmr_id_equal(&store->chunks[i].meta.ref.chunk_id, id))
            return &store->chunks[i];
    return NULL;
}

/* ---- applying ---- */

static void apply_chunk(struct dsmr_mem_store *store, const struct dsmr_store_write *write)
{
    const struct dsmr_store_chunk_meta *meta = write->u.chunk.meta;
    struct chunk *chunk = find_chunk(store, &meta->ref.chunk_id);
    if (chunk == NULL) {
        DSMR_ASSERT(store->chunks_count < CHUNKS_MAX);
        chunk = &store->chunks[store->chunks_count++];
        chunk->bytes = dsmr_buf_copy(write->u.chunk.bytes, write->u.chunk.len);
        chunk->meta = *meta;
    } else {
        bool was_signed = chunk->meta.is_signed;
        struct dsmr_bls_sig sig = chunk->meta.producer_sig;
        uint64_t height = chunk->meta.included_height, time_ms = chunk->meta.included_time_ms;
        chunk->meta = *meta;
        chunk->meta.producer_sig = was_signed && !meta->is_signed ? sig : meta->producer_sig;
        chunk->meta.is_signed |= was_signed;
        if (height != UINT64_MAX) {
            chunk->meta.included_height = height;
            chunk->meta.included_time_ms = time_ms;
        }
    }
    if (!meta->is_signed)
        return;
    for (uint32_t i = 0; i < store->journals_count; i++) {
        struct dsmr_store_journal *entry = &store->journals[i];
        if (entry->slot == meta->ref.slot &&
            dsmr_node_id_equal(&entry->producer, &meta->ref.producer)) {
            /* Never two chunks of one slot: the promise that everything rests on. */
            DSMR_ASSERT(dsmr_id_equal(&entry->chunk_id, &meta->ref.chunk_id));
            return;
        }
    }
    DSMR_ASSERT(store->journals_count < JOURNALS_MAX);
    store->journals[store->journals_count++] =
        (struct dsmr_store_journal){.producer = meta->ref.producer,
                                    .slot = meta->ref.slot,
                                    .chunk_id = meta->ref.chunk_id,
                                    .epoch = meta->ref.epoch,
                                    .expiry_ms = meta->ref.expiry_ms};
}

static void apply_cert(struct dsmr_mem_store *store, const struct dsmr_cert *cert)
{
    uint32_t i = 0;
    while (i < store->certs_count &&
           !dsmr_id_equal(&store->certs[i].ref.chunk_id, &cert->ref.chunk_id))
        i++;
    DSMR_ASSERT(i < CERTS_MAX);
    store->certs[i] = *cert;
    store->certs_count = i == store->certs_count ? i + 1 : store->certs_count;
}

static void grow_blocks(struct dsmr_mem_store *store)
{
    uint64_t capacity = store->blocks_capacity == 0 ? 64 : store->blocks_capacity * 2;
    store->blocks = realloc(store->blocks, capacity * sizeof *store->blocks);
    DSMR_ASSERT(store->blocks != NULL && capacity <= BLOCKS_MAX);
    memset(store->blocks + store->blocks_capacity, 0,
           (capacity - store->blocks_capacity) * sizeof *store->blocks);
    store->blocks_capacity = capacity;
}

/* The engine went back and another way: as the real store, chunks of what is left wait again. */
static void drop_blocks(struct dsmr_mem_store *store, uint64_t from_height)
{
    while (store->height >= from_height) {
        struct block *block = &store->blocks[--store->height];
        dsmr_buf_unref(block->bytes);
        free(block->chunks);
        memset(block, 0, sizeof *block);
    }
    store->retained = store->retained < store->height ? store->retained : store->height;
    for (uint32_t i = 0; i < store->chunks_count; i++) {
        if (store->chunks[i].meta.included_height != UINT64_MAX &&
            store->chunks[i].meta.included_height >= from_height)
            store->chunks[i].meta.included_height = UINT64_MAX;
    }
}

static void apply_accept(struct dsmr_mem_store *store, const struct dsmr_store_write *write)
{
    const struct dsmr_block *block = write->u.accept.block;
    DSMR_ASSERT(block->height >= 1 && block->height <= store->height + 1);
    if (block->height > store->blocks_capacity)
        grow_blocks(store);
    struct block *slot = &store->blocks[block->height - 1];
    if (block->height <= store->height && !dsmr_id_equal(&slot->id, &block->id))
        drop_blocks(store, block->height);
    if (block->height == store->height + 1) {
        slot->bytes = dsmr_buf_copy(block->bytes->bytes, block->bytes->len);
        slot->id = block->id;
        slot->time_ms = block->time_ms;
        slot->wall_ms = write->u.accept.wall_ms;
        slot->chunks_count = block->certs_count;
        slot->chunks = calloc(block->certs_count + 1u, sizeof *slot->chunks);
        DSMR_ASSERT(slot->chunks != NULL);
        for (uint32_t i = 0; i < block->certs_count; i++)
            slot->chunks[i] = block->certs[i].ref.chunk_id;
        store->height++;
    }
    DSMR_ASSERT(dsmr_id_equal(&slot->id, &block->id));
    if (write->u.accept.finalization != NULL) {
        slot->finalization = *write->u.accept.finalization;
        slot->has_finalization = true;
    }
    for (uint32_t i = 0; i < block->certs_count; i++) {
        struct chunk *chunk = find_chunk(store, &block->certs[i].ref.chunk_id);
        if (chunk == NULL)
            continue;
        chunk->meta.included_height = block->height;
        chunk->meta.included_time_ms = block->time_ms;
        chunk->meta.accepted_wall_ms = write->u.accept.wall_ms;
    }
}

void dsmr_mem_store_lose_chunk(struct dsmr_mem_store *store, const struct dsmr_id *chunk_id)
{
    struct chunk *chunk = find_chunk(store, chunk_id);
    if (chunk != NULL) {
        dsmr_buf_unref(chunk->bytes);
        *chunk = store->chunks[--store->chunks_count];
    }
}

void dsmr_mem_store_forget_finalizations(struct dsmr_mem_store *store, uint64_t first,
                                         uint64_t last)
{
    DSMR_ASSERT(first > 0 && last <= store->height);
    for (uint64_t height = first; height <= last; height++)
        store->blocks[height - 1].has_finalization = false;
}

static void drop_chunk(struct dsmr_mem_store *store, const struct dsmr_id *chunk_id)
{
    struct chunk *chunk = find_chunk(store, chunk_id);
    if (chunk != NULL) {
        dsmr_buf_unref(chunk->bytes);
        *chunk = store->chunks[--store->chunks_count];
    }
    for (uint32_t i = 0; i < store->certs_count; i++) {
        if (dsmr_id_equal(&store->certs[i].ref.chunk_id, chunk_id)) {
            store->certs[i] = store->certs[--store->certs_count];
            break;
        }
    }
}

static void drop_retained(struct dsmr_mem_store *store, struct dsmr_store_gc *gc)
{
    const struct dsmr_store_retained *limits = &gc->retained;
    uint32_t left = RETAINED_BLOCKS_MAX;
    for (; store->retained < store->height; store->retained++) {
        const struct block *block = &store->blocks[store->retained];
        if (store->retained + 1 > limits->height_max || block->time_ms > limits->time_max_ms ||
            block->wall_ms > limits->wall_max_ms || left-- == 0)
            break;
        for (uint32_t i = 0; i < block->chunks_count; i++)
            drop_chunk(store, &block->chunks[i]);
    }
    bool is_none = store->retained == store->height;
    gc->oldest_time_ms = is_none ? UINT64_MAX : store->blocks[store->retained].time_ms;
    gc->oldest_wall_ms = is_none ? UINT64_MAX : store->blocks[store->retained].wall_ms;
}

static void apply_gc(struct dsmr_mem_store *store, struct dsmr_store_gc *gc)
{
    store->floor_ms = gc->floor_ms > store->floor_ms ? gc->floor_ms : store->floor_ms;
    for (uint32_t k = 0; k < gc->chunks_count; k++)
        drop_chunk(store, &gc->chunks[k]);
    if (gc->retained.is_wanted)
        drop_retained(store, gc);
    for (uint32_t i = 0; gc->drop_journals && i < store->journals_count;) {
        if (store->journals[i].expiry_ms < gc->floor_ms)
            store->journals[i] = store->journals[--store->journals_count];
        else
            i++;
    }
}

static int compare_keys(const uint8_t *a, uint32_t a_len, const uint8_t *b, uint32_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static void apply_record(struct dsmr_mem_store *store, const struct dsmr_store_write *write)
{
    uint32_t i = 0;
    int order = 1;
    while (i < store->records_count &&
           (order = compare_keys(store->records[i].key, store->records[i].key_len, write->u.bft.key,
                                 write->u.bft.key_len)) < 0)
        i++;
    struct record *record = &store->records[i];
    if (i == store->records_count || order != 0) {
        DSMR_ASSERT(store->records_count < RECORDS_MAX);
        memmove(record + 1, record, (store->records_count - i) * sizeof *record);
        store->records_count++;
        record->key_len = write->u.bft.key_len;
        memcpy(record->key, write->u.bft.key, record->key_len);
    } else {
        dsmr_buf_unref(record->value);
    }
    record->value = dsmr_buf_copy(write->u.bft.value, write->u.bft.value_len);
}

static void apply_prune(struct dsmr_mem_store *store, const struct dsmr_store_write *write)
{
    uint32_t gone = 0;
    while (gone < store->records_count &&
           compare_keys(store->records[gone].key, store->records[gone].key_len, write->u.bft.key,
                        write->u.bft.key_len) < 0)
        dsmr_buf_unref(store->records[gone++].value);
    memmove(store->records, store->records + gone,
            (store->records_count - gone) * sizeof *store->records);
    store->records_count -= gone;
}

static void apply(struct dsmr_mem_store *store, struct dsmr_store_write *write)
{
    switch (write->kind) {
    case DSMR_STORE_CHUNK:
        apply_chunk(store, write);
        break;
    case DSMR_STORE_CERT:
        apply_cert(store, write->u.cert);
        break;
    case DSMR_STORE_ACCEPT:
        apply_accept(store, write);
        break;
    case DSMR_STORE_EVIDENCE:
        DSMR_ASSERT(store->evidence_count < EVIDENCE_MAX && write->u.evidence.gone == NULL);
        store->evidence[store->evidence_count++] = *write->u.evidence.pair;
        break;
    case DSMR_STORE_GC:
        apply_gc(store, &write->u.gc);
        break;
    case DSMR_STORE_BFT_PUT:
        apply_record(store, write);
        break;
    case DSMR_STORE_BFT_PRUNE:
        apply_prune(store, write);
        break;
    }
}

/* ---- the queue ---- */

static void write(void *self, struct dsmr_store_write *write)
{
    struct dsmr_mem_store *store = self;
    write->task.next = NULL;
    if (store->last == NULL)
        store->first = &write->task;
    else
        store->last->next = &write->task;
    store->last = &write->task;
    store->queued++;
    if (store->on_queued != NULL)
        store->on_queued(store->ctx);
}

void dsmr_mem_store_on_queued(struct dsmr_mem_store *store, void (*queued)(void *ctx), void *ctx)
{
    store->on_queued = queued;
    store->ctx = ctx;
}

uint32_t dsmr_mem_store_count(const struct dsmr_mem_store *store)
{
    return store->chunks_count + store->certs_count + store->journals_count;
}

uint32_t dsmr_mem_store_queued(const struct dsmr_mem_store *store)
{
    return store->queued;
}

struct dsmr_task *dsmr_mem_store_forget(struct dsmr_mem_store *store)
{
    struct dsmr_task *task = store->first;
    if (task == NULL)
        return NULL;
    store->first = task->next;
    store->last = store->first == NULL ? NULL : store->last;
    store->queued--;
    task->next = NULL;
    ((struct dsmr_store_write *)task)->err = DSMR_ERR_CLOSED;
    return task;
}

struct dsmr_task *dsmr_mem_store_finish(struct dsmr_mem_store *store, enum dsmr_err err)
{
    struct dsmr_task *task = dsmr_mem_store_forget(store);
    if (task == NULL)
        return NULL;
    struct dsmr_store_write *done = (struct dsmr_store_write *)task;
    if (err == DSMR_OK)
        apply(store, done);
    done->err = err;
    return task;
}

/* ---- reads ---- */

static enum dsmr_err load_chunk(void *self, struct dsmr_buf **out, const struct dsmr_id *chunk_id)
{
    struct chunk *chunk = find_chunk(self, chunk_id);
    if (chunk == NULL)
        return DSMR_ERR_UNKNOWN;
    *out = dsmr_buf_ref(chunk->bytes);
    return DSMR_OK;
}

static enum dsmr_err load_chunk_meta(void *self, struct dsmr_store_chunk_meta *out,
                                     const struct dsmr_id *chunk_id)
{
    struct chunk *chunk = find_chunk(self, chunk_id);
    if (chunk == NULL)
        return DSMR_ERR_UNKNOWN;
    *out = chunk->meta;
    return DSMR_OK;
}

static enum dsmr_err load_cert(void *self, struct dsmr_cert *out, const struct dsmr_id *chunk_id)
{
    struct dsmr_mem_store *store = self;
    for (uint32_t i = 0; i < store->certs_count; i++) {
        if (dsmr_id_equal(&store->certs[i].ref.chunk_id, chunk_id)) {
            *out = store->certs[i];
            return DSMR_OK;
        }
    }
    return DSMR_ERR_UNKNOWN;
}

static enum dsmr_err load_block(void *self, struct dsmr_buf **out,
                                struct dsmr_quorum_cert *finalization, bool *has_finalization,
                                uint64_t height)
{
    struct dsmr_mem_store *store = self;
    if (height == 0 || height > store->height)
        return DSMR_ERR_UNKNOWN;
    const struct block *block = &store->blocks[height - 1];
    *out = dsmr_buf_ref(block->bytes);
    *has_finalization = block->has_finalization;
    if (finalization != NULL && block->has_finalization)
        *finalization = block->finalization;
    return DSMR_OK;
}

static enum dsmr_err find_block(void *self, uint64_t *height, const struct dsmr_id *block_id)
{
    struct dsmr_mem_store *store = self;
    for (uint64_t i = store->height; i > 0; i--) {
        if (dsmr_id_equal(&store->blocks[i - 1].id, block_id)) {
            *height = i;
            return DSMR_OK;
        }
    }
    return DSMR_ERR_UNKNOWN;
}

static enum dsmr_err last_accepted(void *self, uint64_t *height, struct dsmr_id *block_id)
{
    struct dsmr_mem_store *store = self;
    if (store->height == 0)
        return DSMR_ERR_UNKNOWN;
    *height = store->height;
    *block_id = store->blocks[store->height - 1].id;
    return DSMR_OK;
}

static enum dsmr_err next_evidence(void *self, struct dsmr_evidence *out, uint64_t *cursor)
{
    struct dsmr_mem_store *store = self;
    if (*cursor >= store->evidence_count)
        return DSMR_ERR_UNKNOWN;
    *out = store->evidence[(*cursor)++];
    return DSMR_OK;
}

static enum dsmr_err recover(void *self, const struct dsmr_store_visitor *visitor)
{
    struct dsmr_mem_store *store = self;
    enum dsmr_err err = DSMR_OK;
    if (visitor->floor != NULL && store->floor_ms > 0)
        err = visitor->floor(visitor->ctx, store->floor_ms);
    for (uint32_t i = 0; visitor->journal != NULL && err == DSMR_OK && i < store->journals_count;
         i++)
        err = visitor->journal(visitor->ctx, &store->journals[i]);
    for (uint32_t i = 0; visitor->chunk != NULL && err == DSMR_OK && i < store->chunks_count; i++)
        if (visitor->with_history || store->chunks[i].meta.included_height == UINT64_MAX)
            err = visitor->chunk(visitor->ctx, &store->chunks[i].meta);
    for (uint32_t i = 0; visitor->cert != NULL && err == DSMR_OK && i < store->certs_count; i++) {
        const struct dsmr_cert *cert = &store->certs[i];
        const struct chunk *chunk = find_chunk(store, &cert->ref.chunk_id);
        if (visitor->with_history || chunk == NULL || chunk->meta.included_height == UINT64_MAX)
            err = visitor->cert(visitor->ctx, cert);
    }
    for (uint32_t i = 0; visitor->bft != NULL && err == DSMR_OK && i < store->records_count; i++) {
        const struct record *record = &store->records[i];
        err = visitor->bft(visitor->ctx, record->key, record->key_len, record->value->bytes,
                           record->value->len);
    }
    return err;
}

static uint64_t disk_free_bytes(void *self)
{
    (void)self;
    return UINT64_C(1) << 40;
}

static const struct dsmr_store_ops ops = {.write = write,
                                          .load_chunk = load_chunk,
                                          .load_chunk_meta = load_chunk_meta,
                                          .load_cert = load_cert,
                                          .load_block = load_block,
                                          .find_block = find_block,
                                          .last_accepted = last_accepted,
                                          .next_evidence = next_evidence,
                                          .recover = recover,
                                          .disk_free_bytes = disk_free_bytes};

struct dsmr_store dsmr_mem_store_port(struct dsmr_mem_store *store)
{
    return (struct dsmr_store){.self = store, .ops = &ops};
}
