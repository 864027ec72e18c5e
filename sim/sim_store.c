#include "sim/sim_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/check_table.h"

#define RETAINED_BLOCKS_MAX 16u /* of one garbage collection */

struct chunk {
    struct dsmr_store_chunk_meta meta;
    struct dsmr_buf *owner; /* of bytes; a copy if the write had none */
    const uint8_t *bytes;
    uint32_t len;
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

/* An array whose entries are found by a key; removing moves the last one into the gap. */
struct table {
    struct dsmr_sim_table *places; /* key -> uint32_t index in entries */
    size_t entry_bytes;
    uint32_t count, capacity;
    uint8_t *entries;
};

struct dsmr_sim_store {
    struct dsmr_task *first, **end; /* wait */
    struct dsmr_task *group;        /* is being synced */
    bool (*on_queued)(void *ctx);
    void *ctx;
    enum dsmr_sim_disk state;
    bool is_broken; /* by an error: nothing more is written in this life */
    uint64_t floor_ms, bytes, written;
    struct table chunks, certs, journals;
    struct block *blocks; /* by height - 1 */
    uint64_t height, blocks_capacity;
    uint64_t retained;      /* blocks that have let their chunks go */
    struct record *records; /* sorted */
    uint32_t records_count, records_capacity;
    struct dsmr_evidence *evidence;
    uint32_t evidence_count;
};

/* ---- tables ---- */

static void table_init(struct table *table, size_t key_bytes, size_t entry_bytes)
{
    table->places = dsmr_sim_table_new(key_bytes, sizeof(uint32_t));
    table->entry_bytes = entry_bytes;
}

static void *table_at(const struct table *table, uint32_t i)
{
    return table->entries + (size_t)i * table->entry_bytes;
}

static void *table_find(const struct table *table, const void *key)
{
    const uint32_t *place = dsmr_sim_table_find(table->places, key);
    return place == NULL ? NULL : table_at(table, *place);
}

static void *table_add(struct table *table, const void *key)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity == 0 ? 64 : table->capacity * 2;
        table->entries = realloc(table->entries, table->capacity * table->entry_bytes);
        DSMR_ASSERT(table->entries != NULL);
    }
    uint32_t i = table->count++;
    *(uint32_t *)dsmr_sim_table_add(table->places, key, NULL) = i;
    memset(table_at(table, i), 0, table->entry_bytes);
    return table_at(table, i);
}

static void table_remove(struct table *table, uint32_t i,
                         const void *(*key_of)(const void *entry, void *space))
{
    struct slot_key space;
    dsmr_sim_table_remove(table->places, key_of(table_at(table, i), &space));
    uint32_t last = --table->count;
    if (i != last) {
        memcpy(table_at(table, i), table_at(table, last), table->entry_bytes);
        *(uint32_t *)dsmr_sim_table_find(table->places, key_of(table_at(table, i), &space)) = i;
    }
}

static void table_close(struct table *table)
{
    dsmr_sim_table_free(table->places);
    free(table->entries);
}

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

static struct chunk *find_chunk(const struct dsmr_sim_store *store, const struct dsmr_id *id)
{
    return table_find(&store->chunks, id);
}

/* ---- making ---- */

struct dsmr_sim_store *dsmr_sim_store_new(void)
{
    struct dsmr_sim_store *store = calloc(1, sizeof(*store));
    DSMR_ASSERT(store != NULL);
    store->end = &store->first;
    table_init(&store->chunks, sizeof(struct dsmr_id), sizeof(struct chunk));
    table_init(&store->certs, sizeof(struct dsmr_id), sizeof(struct dsmr_cert));
    table_init(&store->journals, sizeof(struct slot_key), sizeof(struct dsmr_store_journal));
    return store;
}

void dsmr_sim_store_free(struct dsmr_sim_store *store)
{
    DSMR_ASSERT(store->first == NULL && store->group == NULL);
    for (uint32_t i = 0; i < store->chunks.count; i++) {
        dsmr_buf_unref(((struct chunk *)table_at(&store->chunks, i))->owner);
    }
    for (uint64_t i = 0; i < store->height; i++) {
        dsmr_block_unref(store->blocks[i].block);
    }
    for (uint32_t i = 0; i < store->records_count; i++) {
        dsmr_buf_unref(store->records[i].value);
    }
    table_close(&store->chunks);
    table_close(&store->certs);
    table_close(&store->journals);
    free(store->blocks);
    free(store->records);
    free(store->evidence);
    free(store);
}

/* ---- applying ---- */

static void apply_journal(struct dsmr_sim_store *store, const struct dsmr_store_chunk_meta *meta)
{
    struct dsmr_store_journal entry = {.producer = meta->ref.producer,
                                       .slot = meta->ref.slot,
                                       .chunk_id = meta->ref.chunk_id,
                                       .epoch = meta->ref.epoch,
                                       .expiry_ms = meta->ref.expiry_ms};
    struct slot_key space;
    const void *key = journal_key(&entry, &space);
    if (table_find(&store->journals, key) == NULL) { /* a second one is for a checker to find */
        struct slot_key copy = *(const struct slot_key *)key;
        struct dsmr_store_journal *slot = table_add(&store->journals, &copy);
        *slot = entry;
    }
}

static void apply_chunk(struct dsmr_sim_store *store, const struct dsmr_store_write *write)
{
    const struct dsmr_store_chunk_meta *meta = write->u.chunk.meta;
    struct chunk *chunk = find_chunk(store, &meta->ref.chunk_id);
    if (chunk == NULL) {
        chunk = table_add(&store->chunks, &meta->ref.chunk_id);
        /* The bytes are immutable and owned: kept, not copied. */
        chunk->owner = write->u.chunk.owner != NULL
                           ? dsmr_buf_ref(write->u.chunk.owner)
                           : dsmr_buf_copy(write->u.chunk.bytes, write->u.chunk.len);
        chunk->bytes = write->u.chunk.owner != NULL ? write->u.chunk.bytes : chunk->owner->bytes;
        chunk->len = write->u.chunk.len;
        chunk->meta = *meta;
        store->bytes += write->u.chunk.len;
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
    }
    if (meta->is_signed) {
        apply_journal(store, meta);
    }
}

static void apply_cert(struct dsmr_sim_store *store, const struct dsmr_cert *cert)
{
    struct dsmr_cert *entry = table_find(&store->certs, &cert->ref.chunk_id);
    if (entry == NULL) {
        entry = table_add(&store->certs, &cert->ref.chunk_id);
    }
    *entry = *cert;
}

static void apply_accept(struct dsmr_sim_store *store, const struct dsmr_store_write *write)
{
    struct dsmr_block *block = (struct dsmr_block *)write->u.accept.block; /* counted */
    DSMR_ASSERT(block->height >= 1 && block->height <= store->height + 1);
    if (block->height > store->blocks_capacity) {
        store->blocks_capacity = store->blocks_capacity == 0 ? 256 : store->blocks_capacity * 2;
        store->blocks = realloc(store->blocks, store->blocks_capacity * sizeof(*store->blocks));
        DSMR_ASSERT(store->blocks != NULL);
    }
    struct block *slot = &store->blocks[block->height - 1];
    if (block->height == store->height + 1) {
        *slot = (struct block){.block = dsmr_block_ref(block), .wall_ms = write->u.accept.wall_ms};
        store->height++;
    }
    DSMR_ASSERT(dsmr_id_equal(&slot->block->id, &block->id));
    if (write->u.accept.finalization != NULL) {
        slot->finalization = *write->u.accept.finalization;
        slot->has_finalization = true;
    }
    for (uint32_t i = 0; i < block->certs_count; i++) {
        struct chunk *chunk = find_chunk(store, &block->certs[i].ref.chunk_id);
        if (chunk != NULL) {
            chunk->meta.included_height = block->height;
            chunk->meta.included_time_ms = block->time_ms;
            chunk->meta.accepted_wall_ms = write->u.accept.wall_ms;
        }
    }
}

static uint32_t place_of(const struct table *table, const void *entry)
{
    return (uint32_t)((size_t)((const uint8_t *)entry - table->entries) / table->entry_bytes);
}

static void drop_chunk(struct dsmr_sim_store *store, const struct dsmr_id *chunk_id)
{
    struct chunk *chunk = find_chunk(store, chunk_id);
    if (chunk != NULL) {
        store->bytes -= chunk->len;
        dsmr_buf_unref(chunk->owner);
        table_remove(&store->chunks, place_of(&store->chunks, chunk), chunk_key);
    }
    struct dsmr_cert *cert = table_find(&store->certs, chunk_id);
    if (cert != NULL) {
        table_remove(&store->certs, place_of(&store->certs, cert), cert_key);
    }
}

static void drop_retained(struct dsmr_sim_store *store, struct dsmr_store_gc *gc)
{
    const struct dsmr_store_retained *limits = &gc->retained;
    for (uint32_t left = RETAINED_BLOCKS_MAX; store->retained < store->height && left > 0; left--) {
        const struct block *at = &store->blocks[store->retained];
        if (at->block->height > limits->height_max || at->block->time_ms > limits->time_max_ms ||
            at->wall_ms > limits->wall_max_ms) {
            break;
        }
        for (uint32_t i = 0; i < at->block->certs_count; i++) {
            drop_chunk(store, &at->block->certs[i].ref.chunk_id);
        }
        store->retained++;
    }
    bool is_none = store->retained == store->height;
    gc->oldest_time_ms = is_none ? UINT64_MAX : store->blocks[store->retained].block->time_ms;
    gc->oldest_wall_ms = is_none ? UINT64_MAX : store->blocks[store->retained].wall_ms;
}

static void apply_gc(struct dsmr_sim_store *store, struct dsmr_store_gc *gc)
{
    store->floor_ms = gc->floor_ms > store->floor_ms ? gc->floor_ms : store->floor_ms;
    for (uint32_t k = 0; k < gc->chunks_count; k++) {
        drop_chunk(store, &gc->chunks[k]);
    }
    if (gc->retained.is_wanted) {
        drop_retained(store, gc);
    }
    for (uint32_t i = 0; gc->drop_journals && i < store->journals.count;) {
        struct dsmr_store_journal *entry = table_at(&store->journals, i);
        if (entry->expiry_ms < gc->floor_ms) {
            table_remove(&store->journals, i, journal_key);
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

static void apply_record(struct dsmr_sim_store *store, const struct dsmr_store_write *write)
{
    if (store->records_count == store->records_capacity) {
        store->records_capacity = store->records_capacity == 0 ? 64 : store->records_capacity * 2;
        store->records = realloc(store->records, store->records_capacity * sizeof(struct record));
        DSMR_ASSERT(store->records != NULL);
    }
    uint32_t i = store->records_count; /* new keys sort last, mostly */
    int order = 1;
    while (i > 0 && (order = compare_keys(store->records[i - 1].key, store->records[i - 1].key_len,
                                          write->u.bft.key, write->u.bft.key_len)) > 0) {
        i--;
    }
    struct record *record = &store->records[i];
    if (i > 0 && order == 0) {
        record = &store->records[i - 1];
        dsmr_buf_unref(record->value);
    } else {
        memmove(record + 1, record, (store->records_count - i) * sizeof(*record));
        store->records_count++;
        record->key_len = write->u.bft.key_len;
        memcpy(record->key, write->u.bft.key, record->key_len);
    }
    record->value = dsmr_buf_copy(write->u.bft.value, write->u.bft.value_len);
}

static void apply_prune(struct dsmr_sim_store *store, const struct dsmr_store_write *write)
{
    uint32_t gone = 0;
    while (gone < store->records_count &&
           compare_keys(store->records[gone].key, store->records[gone].key_len, write->u.bft.key,
                        write->u.bft.key_len) < 0) {
        dsmr_buf_unref(store->records[gone++].value);
    }
    memmove(store->records, store->records + gone,
            (store->records_count - gone) * sizeof(*store->records));
    store->records_count -= gone;
}

static void drop_evidence(struct dsmr_sim_store *store, const struct dsmr_evidence_key *gone)
{
    for (uint32_t i = 0; i < store->evidence_count; i++) {
        const struct dsmr_reference *ref = &store->evidence[i].refs[0];
        if (ref->epoch == gone->epoch && dsmr_node_id_equal(&ref->producer, &gone->producer)) {
            store->evidence[i] = store->evidence[--store->evidence_count];
            return;
        }
    }
}

static void put_evidence(struct dsmr_sim_store *store, const struct dsmr_evidence *evidence)
{
    for (uint32_t i = 0; i < store->evidence_count; i++) { /* the first of its key stays */
        const struct dsmr_reference *ref = &store->evidence[i].refs[0];
        if (ref->epoch == evidence->refs[0].epoch &&
            dsmr_node_id_equal(&ref->producer, &evidence->refs[0].producer)) {
            return;
        }
    }
    store->evidence =
        realloc(store->evidence, (store->evidence_count + 1) * sizeof(*store->evidence));
    DSMR_ASSERT(store->evidence != NULL);
    store->evidence[store->evidence_count++] = *evidence;
}

static uint64_t write_bytes(const struct dsmr_store_write *write)
{
    return write->kind == DSMR_STORE_CHUNK     ? write->u.chunk.len + 256u
           : write->kind == DSMR_STORE_ACCEPT  ? write->u.accept.block->bytes->len + 512u
           : write->kind == DSMR_STORE_BFT_PUT ? write->u.bft.value_len + 64u
                                               : 512u;
}

static void apply(struct dsmr_sim_store *store, struct dsmr_store_write *write)
{
    store->written += write_bytes(write);
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
        put_evidence(store, write->u.evidence.pair);
        if (write->u.evidence.gone != NULL) {
            drop_evidence(store, write->u.evidence.gone);
        }
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
    struct dsmr_sim_store *store = self;
    write->task.next = NULL;
    *store->end = &write->task;
    store->end = &write->task.next;
    if (store->group == NULL) {
        (void)store->on_queued(store->ctx);
    }
}

void dsmr_sim_store_on_queued(struct dsmr_sim_store *store, bool (*queued)(void *ctx), void *ctx)
{
    store->on_queued = queued;
    store->ctx = ctx;
}

void dsmr_sim_store_set_state(struct dsmr_sim_store *store, enum dsmr_sim_disk state)
{
    store->state = state;
}

uint64_t dsmr_sim_store_begin_sync(struct dsmr_sim_store *store)
{
    uint64_t bytes = 0;
    DSMR_ASSERT(store->group == NULL);
    store->group = store->first;
    store->first = NULL;
    store->end = &store->first;
    for (struct dsmr_task *task = store->group; task != NULL; task = task->next) {
        bytes += write_bytes((const struct dsmr_store_write *)task);
    }
    return bytes;
}

/* A full disk refuses; and then also the block after one that it refused. */
static bool is_refused(const struct dsmr_sim_store *store, const struct dsmr_store_write *write)
{
    return (store->state == DSMR_SIM_DISK_FULL && write->kind != DSMR_STORE_GC) ||
           (write->kind == DSMR_STORE_ACCEPT && write->u.accept.block->height > store->height + 1);
}

static uint32_t count_tasks(const struct dsmr_task *task)
{
    uint32_t count = 0;
    for (; task != NULL; task = task->next) {
        count++;
    }
    return count;
}

struct dsmr_task *dsmr_sim_store_end_sync(struct dsmr_sim_store *store, struct dsmr_prng *prng,
                                          void (*durable)(void *ctx,
                                                          const struct dsmr_store_write *write),
                                          void *ctx, bool *has_more)
{
    struct dsmr_task *group = store->group;
    /* After an error nobody knows how much of the group there is. */
    bool is_error = store->state == DSMR_SIM_DISK_EIO || store->is_broken;
    uint64_t good = store->is_broken ? 0
                    : is_error       ? dsmr_prng_below(prng, count_tasks(group) + 1u)
                                     : UINT64_MAX;
    for (struct dsmr_task *task = group; task != NULL; task = task->next) {
        struct dsmr_store_write *write = (struct dsmr_store_write *)task;
        bool is_full = is_refused(store, write);
        write->err = is_error ? DSMR_ERR_IO : is_full ? DSMR_ERR_DISK_FULL : DSMR_OK;
        if (good > 0 && !is_full) {
            good -= good == UINT64_MAX ? 0 : 1;
            apply(store, write);
            durable(ctx, write);
        }
    }
    if (store->state == DSMR_SIM_DISK_EIO) {
        store->state = DSMR_SIM_DISK_OK;
        store->is_broken = true;
    }
    store->group = NULL;
    *has_more = store->first != NULL;
    return group;
}

struct dsmr_task *
dsmr_sim_store_crash(struct dsmr_sim_store *store, struct dsmr_prng *prng,
                     void (*durable)(void *ctx, const struct dsmr_store_write *write), void *ctx)
{
    uint64_t good = store->group == NULL ? 0 : dsmr_prng_below(prng, count_tasks(store->group) + 1);
    struct dsmr_task *all = store->group, **end = &all;
    for (; *end != NULL; end = &(*end)->next) {
        struct dsmr_store_write *write = (struct dsmr_store_write *)*end;
        if (good > 0 && !store->is_broken && !is_refused(store, write)) {
            apply(store, write);
            durable(ctx, write);
        }
        good -= good > 0 ? 1 : 0;
    }
    *end = store->first;
    for (struct dsmr_task *task = all; task != NULL; task = task->next) {
        ((struct dsmr_store_write *)task)->err = DSMR_ERR_CLOSED;
    }
    store->group = NULL;
    store->first = NULL;
    store->end = &store->first;
    store->is_broken = false;
    return all;
}

bool dsmr_sim_store_has_chunk(struct dsmr_sim_store *store, const struct dsmr_id *chunk_id)
{
    return find_chunk(store, chunk_id) != NULL;
}

uint64_t dsmr_sim_store_bytes(const struct dsmr_sim_store *store)
{
    return store->bytes;
}

uint64_t dsmr_sim_store_written(const struct dsmr_sim_store *store)
{
    return store->written;
}

/* ---- reads ---- */

static enum dsmr_err load_chunk(void *self, struct dsmr_buf **out, const struct dsmr_id *chunk_id)
{
    struct chunk *chunk = find_chunk(self, chunk_id);
    if (chunk == NULL) {
        return DSMR_ERR_UNKNOWN;
    }
    bool is_whole = chunk->owner->bytes == chunk->bytes && chunk->owner->len == chunk->len;
    *out = is_whole ? dsmr_buf_ref(chunk->owner) : dsmr_buf_copy(chunk->bytes, chunk->len);
    return *out == NULL ? DSMR_ERR_NO_MEMORY : DSMR_OK;
}

static enum dsmr_err load_chunk_meta(void *self, struct dsmr_store_chunk_meta *out,
                                     const struct dsmr_id *chunk_id)
{
    struct chunk *chunk = find_chunk(self, chunk_id);
    if (chunk == NULL) {
        return DSMR_ERR_UNKNOWN;
    }
    *out = chunk->meta;
    return DSMR_OK;
}

static enum dsmr_err load_cert(void *self, struct dsmr_cert *out, const struct dsmr_id *chunk_id)
{
    struct dsmr_sim_store *store = self;
    struct dsmr_cert *cert = table_find(&store->certs, chunk_id);
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
    struct dsmr_sim_store *store = self;
    if (height == 0 || height > store->height) {
        return DSMR_ERR_UNKNOWN;
    }
    const struct block *block = &store->blocks[height - 1];
    *out = dsmr_buf_ref(block->block->bytes);
    *has_finalization = block->has_finalization;
    if (finalization != NULL && block->has_finalization) {
        *finalization = block->finalization;
    }
    return DSMR_OK;
}

static enum dsmr_err find_block(void *self, uint64_t *height, const struct dsmr_id *block_id)
{
    struct dsmr_sim_store *store = self;
    for (uint64_t i = store->height; i > 0; i--) {
        if (dsmr_id_equal(&store->blocks[i - 1].block->id, block_id)) {
            *height = i;
            return DSMR_OK;
        }
    }
    return DSMR_ERR_UNKNOWN;
}

static enum dsmr_err last_accepted(void *self, uint64_t *height, struct dsmr_id *block_id)
{
    struct dsmr_sim_store *store = self;
    if (store->height == 0) {
        return DSMR_ERR_UNKNOWN;
    }
    *height = store->height;
    *block_id = store->blocks[store->height - 1].block->id;
    return DSMR_OK;
}

static enum dsmr_err next_evidence(void *self, struct dsmr_evidence *out, uint64_t *cursor)
{
    struct dsmr_sim_store *store = self;
    if (*cursor >= store->evidence_count) {
        return DSMR_ERR_UNKNOWN;
    }
    *out = store->evidence[(*cursor)++];
    return DSMR_OK;
}

static enum dsmr_err recover(void *self, const struct dsmr_store_visitor *visitor)
{
    struct dsmr_sim_store *store = self;
    void *ctx = visitor->ctx;
    enum dsmr_err err = DSMR_OK;
    if (visitor->floor != NULL && store->floor_ms > 0) {
        err = visitor->floor(ctx, store->floor_ms);
    }
    for (uint32_t i = 0; visitor->journal != NULL && err == DSMR_OK && i < store->journals.count;
         i++) {
        err = visitor->journal(ctx, table_at(&store->journals, i));
    }
    for (uint32_t i = 0; visitor->chunk != NULL && err == DSMR_OK && i < store->chunks.count; i++) {
        const struct chunk *chunk = table_at(&store->chunks, i);
        if (visitor->with_history || chunk->meta.included_height == UINT64_MAX) {
            err = visitor->chunk(ctx, &chunk->meta);
        }
    }
    for (uint32_t i = 0; visitor->cert != NULL && err == DSMR_OK && i < store->certs.count; i++) {
        const struct dsmr_cert *cert = table_at(&store->certs, i);
        const struct chunk *chunk = find_chunk(store, &cert->ref.chunk_id);
        if (visitor->with_history || chunk == NULL || chunk->meta.included_height == UINT64_MAX) {
            err = visitor->cert(ctx, cert);
        }
    }
    for (uint32_t i = 0; visitor->bft != NULL && err == DSMR_OK && i < store->records_count; i++) {
        const struct record *record = &store->records[i];
        err = visitor->bft(ctx, record->key, record->key_len, record->value->bytes,
                           record->value->len);
    }
    return err;
}

static uint64_t disk_free_bytes(void *self)
{
    return ((struct dsmr_sim_store *)self)->state == DSMR_SIM_DISK_FULL ? 0 : UINT64_C(1) << 40;
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

struct dsmr_store dsmr_sim_store_port(struct dsmr_sim_store *store)
{
    return (struct dsmr_store){.self = store, .ops = &ops};
}
