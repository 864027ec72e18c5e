/* store_tasks.c - durable writes and reads of the store. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "driver/driver_state.h"
#include "wire/codec.h"

/* ---- writes: the store completes them in order, once durable ---- */

struct core_write {
    struct dsmr_store_write write; /* first: its task is ours */
    struct dsmr_effect fx;
    struct dsmr_store_chunk_meta meta;
    struct dsmr_quorum_cert finalization;
};

/* Said when it is durable, before anything that follows from it. */
static void tell_accepted(struct dsmr_driver *driver, const struct core_write *w)
{
    struct dsmr_notice out = {.kind = DSMR_NOTICE_ACCEPTED, .u.block = w->fx.u.store_accept.block};
    if (driver->config.feed.ops != NULL && driver->halt == DSMR_OK)
        driver->config.feed.ops->publish(driver->config.feed.self, &out);
}

static void core_write_done(struct dsmr_task *task, void *owner)
{
    struct core_write *w = (struct core_write *)task;
    struct dsmr_driver *driver = owner;
    driver->outstanding--;
    if (w->write.err == DSMR_ERR_IO || w->write.err == DSMR_ERR_CORRUPT)
        /* The outcome of a failed sync is unknown: nothing after it can be promised. */
        dsmr_driver_halt_store(driver, DSMR_ERR_IO, "the disk reported an error");
    struct dsmr_event event = {
        .kind = DSMR_EV_STORED, .request_id = w->fx.request_id, .err = w->write.err};
    if (w->write.kind == DSMR_STORE_ACCEPT && w->write.err == DSMR_OK)
        tell_accepted(driver, w);
    if (w->write.kind == DSMR_STORE_GC) {
        event.u.stored_gc.oldest_time_ms = w->write.u.gc.oldest_time_ms;
        event.u.stored_gc.oldest_wall_ms = w->write.u.gc.oldest_wall_ms;
    }
    dsmr_driver_core_event(driver, &event);
    struct dsmr_effects one = {.items = &w->fx, .count = 1};
    dsmr_effects_clear(&one);
    free(w);
}

static void fill_accept(struct dsmr_driver *driver, struct core_write *w)
{
    w->write.u.accept.block = w->fx.u.store_accept.block;
    w->write.u.accept.wall_ms = driver->config.clock.ops->wall_ms(driver->config.clock.self);
    for (uint32_t i = 0; i < DSMR_DRIVER_ACCEPTS_MAX; i++) {
        struct dsmr_driver_accept *slot = &driver->accepts[i];
        if (!slot->is_used || !dsmr_id_equal(&slot->block_id, &w->fx.u.store_accept.block->id))
            continue;
        slot->is_used = false;
        if (slot->has_finalization) {
            w->finalization = slot->finalization;
            w->write.u.accept.finalization = &w->finalization;
        }
        return;
    }
}

static void fill_chunk(struct core_write *w)
{
    struct dsmr_chunk *chunk = w->fx.u.store_chunk.chunk;
    w->meta.ref = chunk->ref;
    w->meta.producer_sig = w->fx.u.store_chunk.producer_sig;
    w->meta.included_height = w->fx.u.store_chunk.included_height;
    w->meta.included_time_ms = w->fx.u.store_chunk.included_time_ms;
    w->meta.is_own = w->fx.u.store_chunk.is_own;
    w->meta.is_signed = w->fx.u.store_chunk.is_signed;
    w->write.u.chunk.meta = &w->meta;
    w->write.u.chunk.owner = chunk->owner;
    w->write.u.chunk.bytes = chunk->bytes;
    w->write.u.chunk.len = chunk->ref.chunk_bytes;
}

void dsmr_store_tasks_core(struct dsmr_driver *driver, struct dsmr_effect *fx)
{
    struct core_write *w = calloc(1, sizeof *w);
    if (w == NULL) {
        struct dsmr_effects one = {.items = fx, .count = 1};
        dsmr_effects_clear(&one);
        dsmr_driver_halt(driver, DSMR_ERR_NO_MEMORY, "out of memory for a write");
        return;
    }
    w->write.task.done = core_write_done;
    w->fx = *fx;
    switch (fx->kind) {
    case DSMR_FX_STORE_CHUNK:
        w->write.kind = DSMR_STORE_CHUNK;
        fill_chunk(w);
        break;
    case DSMR_FX_STORE_CERT:
        w->write.kind = DSMR_STORE_CERT;
        w->write.u.cert = w->fx.u.store_cert;
        break;
    case DSMR_FX_STORE_ACCEPT:
        w->write.kind = DSMR_STORE_ACCEPT;
        fill_accept(driver, w);
        break;
    case DSMR_FX_STORE_EVIDENCE:
        w->write.kind = DSMR_STORE_EVIDENCE;
        w->write.u.evidence.pair = w->fx.u.store_evidence.pair;
        w->write.u.evidence.gone =
            w->fx.u.store_evidence.has_gone ? &w->fx.u.store_evidence.gone : NULL;
        break;
    default:
        DSMR_ASSERT(fx->kind == DSMR_FX_STORE_GC);
        w->write.kind = DSMR_STORE_GC;
        w->write.u.gc.floor_ms = fx->u.store_gc.floor_ms;
        w->write.u.gc.chunks = fx->u.store_gc.chunks;
        w->write.u.gc.chunks_count = fx->u.store_gc.chunks_count;
        w->write.u.gc.drop_journals = fx->u.store_gc.drop_journals;
        w->write.u.gc.index_before_height = fx->u.store_gc.index_before_height;
        w->write.u.gc.retained.is_wanted = fx->u.store_gc.retained.is_wanted;
        w->write.u.gc.retained.height_max = fx->u.store_gc.retained.height_max;
        w->write.u.gc.retained.time_max_ms = fx->u.store_gc.retained.time_max_ms;
        w->write.u.gc.retained.wall_max_ms = fx->u.store_gc.retained.wall_max_ms;
        break;
    }
    driver->outstanding++;
    driver->config.store.ops->write(driver->config.store.self, &w->write);
}

struct bft_write {
    struct dsmr_store_write write;
    struct dsmr_bft_effect fx;
};

static void bft_write_done(struct dsmr_task *task, void *owner)
{
    struct bft_write *w = (struct bft_write *)task;
    struct dsmr_driver *driver = owner;
    driver->outstanding--;
    if (w->write.err == DSMR_ERR_IO || w->write.err == DSMR_ERR_CORRUPT)
        dsmr_driver_halt_store(driver, DSMR_ERR_IO, "the disk reported an error");
    if (w->fx.kind == DSMR_BFT_FX_STORE) {
        struct dsmr_bft_event event = {
            .kind = DSMR_BFT_EV_STORED, .request_id = w->fx.request_id, .err = w->write.err};
        dsmr_driver_bft_event(driver, &event);
    }
    struct dsmr_bft_effects one = {.items = &w->fx, .count = 1};
    dsmr_bft_effects_clear(&one);
    free(w);
}

void dsmr_store_tasks_bft(struct dsmr_driver *driver, struct dsmr_bft_effect *fx)
{
    struct bft_write *w = calloc(1, sizeof *w);
    if (w == NULL) {
        struct dsmr_bft_effects one = {.items = fx, .count = 1};
        dsmr_bft_effects_clear(&one);
        dsmr_driver_halt(driver, DSMR_ERR_NO_MEMORY, "out of memory for a write");
        return;
    }
    w->write.task.done = bft_write_done;
    w->write.kind = fx->kind == DSMR_BFT_FX_STORE ? DSMR_STORE_BFT_PUT : DSMR_STORE_BFT_PRUNE;
    w->fx = *fx;
    w->write.u.bft.key = w->fx.u.store.key;
    w->write.u.bft.key_len = w->fx.u.store.key_len;
    if (w->fx.u.store.value != NULL) {
        w->write.u.bft.value = w->fx.u.store.value->bytes;
        w->write.u.bft.value_len = w->fx.u.store.value->len;
    }
    driver->outstanding++;
    driver->config.store.ops->write(driver->config.store.self, &w->write);
}

/* ---- reads: on a worker, so that the logic thread never waits for a disk ---- */

enum read_kind { READ_CHUNK, READ_BLOCK, READ_SERVE_CHUNK, READ_SERVE_BLOCKS, READ_SERVE_BLOCK };

struct read_task {
    struct dsmr_task task;
    enum read_kind kind;
    const struct dsmr_driver_config *config;
    uint64_t request_id;
    struct dsmr_id id;
    struct dsmr_node_id peer;
    uint64_t from_height; /* READ_BLOCK: the height; READ_SERVE_CHUNK: of the block that names it */
    uint64_t horizon_ms;  /* READ_SERVE_CHUNK */
    enum dsmr_err err;
    struct dsmr_chunk *chunk;
    struct dsmr_block *block;
    struct dsmr_buf *bytes; /* what is served */
    struct dsmr_quorum_cert finalization;
    uint32_t blocks_count;
};

static void read_chunk(struct read_task *t)
{
    const struct dsmr_store *store = &t->config->store;
    t->err = store->ops->load_chunk(store->self, &t->bytes, &t->id);
    if (t->err == DSMR_OK && t->kind == READ_CHUNK)
        t->err = dsmr_chunk_decode(&t->chunk, &t->config->node.params, t->bytes, t->bytes->bytes,
                                   t->bytes->len);
}

/* Whether the block that the peer named holds the chunk, and retention is over for it. */
static bool is_pruned(struct read_task *t)
{
    const struct dsmr_store *store = &t->config->store;
    struct dsmr_buf *bytes = NULL;
    struct dsmr_block *block = NULL;
    bool has_finalization = false;
    bool is_named = false;
    if (t->from_height == 0 || store->ops->load_block(store->self, &bytes, NULL, &has_finalization,
                                                      t->from_height) != DSMR_OK)
        return false;
    if (dsmr_block_decode(&block, &t->config->node.params, bytes, bytes->bytes, bytes->len) ==
        DSMR_OK) {
        for (uint32_t i = 0; block->time_ms < t->horizon_ms && i < block->certs_count; i++)
            is_named = is_named || dsmr_id_equal(&block->certs[i].ref.chunk_id, &t->id);
        dsmr_block_unref(block);
    }
    dsmr_buf_unref(bytes);
    return is_named;
}

static void read_served_chunk(struct read_task *t)
{
    read_chunk(t);
    if (t->err != DSMR_OK)
        t->err = is_pruned(t) ? DSMR_ERR_PRUNED : DSMR_ERR_UNKNOWN;
}

static void read_block(struct read_task *t)
{
    const struct dsmr_store *store = &t->config->store;
    bool has_finalization = false;
    t->err =
        store->ops->load_block(store->self, &t->bytes, NULL, &has_finalization, t->from_height);
    if (t->err == DSMR_OK)
        t->err = dsmr_block_decode(&t->block, &t->config->node.params, t->bytes, t->bytes->bytes,
                                   t->bytes->len);
}

static void read_served_block(struct read_task *t)
{
    const struct dsmr_store *store = &t->config->store;
    uint64_t height = 0;
    bool has_finalization = false;
    t->err = store->ops->find_block(store->self, &height, &t->id);
    if (t->err == DSMR_OK)
        t->err = store->ops->load_block(store->self, &t->bytes, NULL, &has_finalization, height);
}

#define BATCH_FIELDS_BYTES 64u
_Static_assert(4u + DSMR_QUORUM_CERT_BYTES_MAX + BATCH_FIELDS_BYTES <= DSMR_MESSAGE_OVERHEAD_MAX,
               "a batch holds the largest block");

struct batch { /* blocks as in a message */
    struct dsmr_buf *out;
    uint32_t len;
};

/* Adds the block of a height. False: there is none, or it does not fit. */
static bool batch_add(struct read_task *t, struct batch *batch, uint64_t height,
                      bool *has_finalization, struct dsmr_quorum_cert *finalization)
{
    const struct dsmr_store *store = &t->config->store;
    struct dsmr_buf *block = NULL;
    if (store->ops->load_block(store->self, &block, finalization, has_finalization, height) !=
        DSMR_OK)
        return false;
    uint32_t len = block->len;
    bool fits = len + 4u <= batch->out->len - batch->len;
    if (fits) {
        dsmr_store_be32(batch->out->bytes + batch->len, len);
        memcpy(batch->out->bytes + batch->len + 4, block->bytes, len);
        batch->len += 4 + len;
    }
    dsmr_buf_unref(block);
    return fits;
}

/* As many consecutive blocks as fit, cut at the last one that has a finalization. */
static void read_batch(struct read_task *t, struct batch *batch)
{
    uint32_t good_len = 0;
    for (uint32_t count = 1; count <= DSMR_BFT_BATCH_BLOCKS_MAX; count++) {
        struct dsmr_quorum_cert finalization;
        bool has_finalization = false;
        if (!batch_add(t, batch, t->from_height + count - 1, &has_finalization, &finalization))
            break;
        if (has_finalization) {
            good_len = batch->len;
            t->blocks_count = count;
            t->finalization = finalization;
        }
    }
    batch->len = good_len;
}

/* The blocks up to the first one that has a finalization do not fit: the last ones that do. Whoever
 * asked gets the others by id. */
static void read_end_of_gap(struct read_task *t, struct batch *batch)
{
    const struct dsmr_store *store = &t->config->store;
    uint32_t lens[DSMR_BFT_GAP_MAX], end = 0;
    bool has_finalization = false;
    while (end < DSMR_BFT_GAP_MAX && !has_finalization) {
        struct dsmr_buf *block = NULL;
        if (store->ops->load_block(store->self, &block, &t->finalization, &has_finalization,
                                   t->from_height + end) != DSMR_OK)
            return; /* nothing above is final here */
        lens[end++] = block->len + 4u;
        dsmr_buf_unref(block);
    }
    if (!has_finalization)
        return;
    uint32_t first = end, len = 0;
    while (first > 0 && lens[first - 1] <= batch->out->len - len)
        len += lens[--first];
    for (uint32_t i = first; i < end; i++) {
        struct dsmr_quorum_cert finalization;
        if (!batch_add(t, batch, t->from_height + i, &has_finalization, &finalization))
            return;
    }
    t->blocks_count = end - first;
}

static void read_blocks(struct read_task *t)
{
    struct batch batch = {.out =
                              dsmr_buf_new(dsmr_params_message_bytes_max(&t->config->node.params) -
                                           DSMR_QUORUM_CERT_BYTES_MAX - BATCH_FIELDS_BYTES)};
    t->err = batch.out == NULL ? DSMR_ERR_NO_MEMORY : DSMR_OK;
    if (t->err == DSMR_OK)
        read_batch(t, &batch);
    if (t->err == DSMR_OK && t->blocks_count == 0)
        read_end_of_gap(t, &batch);
    if (t->err == DSMR_OK && t->blocks_count == 0)
        t->err = DSMR_ERR_UNKNOWN;
    if (t->err == DSMR_OK) {
        t->bytes = dsmr_buf_copy(batch.out->bytes, batch.len);
        t->err = t->bytes == NULL ? DSMR_ERR_NO_MEMORY : DSMR_OK;
    }
    dsmr_buf_unref(batch.out);
}

static void run_read(struct dsmr_task *task)
{
    struct read_task *t = (struct read_task *)task;
    if (t->kind == READ_SERVE_BLOCKS)
        read_blocks(t);
    else if (t->kind == READ_SERVE_BLOCK)
        read_served_block(t);
    else if (t->kind == READ_BLOCK)
        read_block(t);
    else if (t->kind == READ_SERVE_CHUNK)
        read_served_chunk(t);
    else
        read_chunk(t);
}

/* Sends what was read; the body is never copied. */
static void serve(struct dsmr_driver *driver, struct read_task *t)
{
    struct dsmr_msg msg;
    memset(&msg, 0, sizeof msg);
    enum dsmr_msg_class cls = DSMR_MSG_CLASS_CHUNK;
    if (t->kind == READ_SERVE_CHUNK) {
        msg.type = DSMR_MSG_CHUNK;
        msg.u.chunk.chunk_id = t->id;
        msg.u.chunk.err = (uint16_t)t->err; /* OK, PRUNED, UNKNOWN */
        if (t->err != DSMR_OK)
            dsmr_metrics_count_error(driver->config.metrics, t->err);
        msg.u.chunk.chunk = t->err == DSMR_OK ? t->bytes->bytes : NULL;
        msg.u.chunk.chunk_len = t->err == DSMR_OK ? t->bytes->len : 0;
    } else if (t->err != DSMR_OK) {
        return; /* the peer asks the next one */
    } else if (t->kind == READ_SERVE_BLOCKS) {
        msg.type = DSMR_MSG_BFT_BLOCKS;
        msg.u.blocks.count = t->blocks_count;
        msg.u.blocks.finalization = t->finalization;
        msg.u.blocks.blocks = t->bytes->bytes;
        msg.u.blocks.blocks_len = t->bytes->len;
    } else {
        msg.type = DSMR_MSG_BFT_BLOCK;
        msg.u.block.block = t->bytes->bytes;
        msg.u.block.block_len = t->bytes->len;
        cls = DSMR_MSG_CLASS_CERT;
    }
    struct dsmr_buf *head = dsmr_msg_encode(&msg, false);
    struct dsmr_buf *body = t->err == DSMR_OK ? t->bytes : NULL;
    dsmr_driver_send(driver, &t->peer, cls, head, body, body == NULL ? NULL : body->bytes,
                     body == NULL ? 0 : body->len);
    dsmr_buf_unref(head);
}

static void read_done(struct dsmr_task *task, void *owner)
{
    struct read_task *t = (struct read_task *)task;
    struct dsmr_driver *driver = owner;
    driver->outstanding--;
    if (t->kind == READ_CHUNK) {
        struct dsmr_event event = {
            .kind = DSMR_EV_CHUNK_LOADED, .request_id = t->request_id, .err = t->err};
        event.u.chunk = t->err == DSMR_OK ? t->chunk : NULL;
        dsmr_driver_core_event(driver, &event);
    } else if (t->kind == READ_BLOCK) {
        struct dsmr_event event = {
            .kind = DSMR_EV_BLOCK_LOADED, .request_id = t->request_id, .err = t->err};
        event.u.block = t->err == DSMR_OK ? t->block : NULL;
        dsmr_driver_core_event(driver, &event);
    } else {
        serve(driver, t);
    }
    dsmr_chunk_unref(t->chunk);
    dsmr_block_unref(t->block);
    dsmr_buf_unref(t->bytes);
    free(t);
}

static struct read_task *read_new(struct dsmr_driver *driver, enum read_kind kind)
{
    struct read_task *t = calloc(1, sizeof *t);
    if (t == NULL) {
        dsmr_driver_halt(driver, DSMR_ERR_NO_MEMORY, "out of memory for a read");
        return NULL;
    }
    t->task.run = run_read;
    t->task.done = read_done;
    t->kind = kind;
    t->err = DSMR_ERR_CLOSED; /* until it has run: at the end it may come back undone */
    t->config = &driver->config;
    return t;
}

static void read_submit(struct dsmr_driver *driver, struct read_task *t)
{
    driver->outstanding++;
    driver->config.work.ops->submit(driver->config.work.self, DSMR_WORK_BULK, &t->task);
}

void dsmr_store_tasks_load(struct dsmr_driver *driver, struct dsmr_effect *fx)
{
    bool is_block = fx->kind == DSMR_FX_LOAD_BLOCK;
    struct read_task *t = read_new(driver, is_block ? READ_BLOCK : READ_CHUNK);
    if (t == NULL)
        return;
    t->request_id = fx->request_id;
    if (is_block)
        t->from_height = fx->u.load_block;
    else
        t->id = fx->u.load_chunk;
    read_submit(driver, t);
}

void dsmr_store_tasks_serve_chunk(struct dsmr_driver *driver, const struct dsmr_effect *fx)
{
    struct read_task *t = read_new(driver, READ_SERVE_CHUNK);
    if (t == NULL)
        return;
    t->id = fx->u.serve_chunk.chunk_id;
    t->peer = fx->u.serve_chunk.to;
    t->from_height = fx->u.serve_chunk.height;
    t->horizon_ms = fx->u.serve_chunk.horizon_ms;
    read_submit(driver, t);
}

void dsmr_store_tasks_serve_blocks(struct dsmr_driver *driver, const struct dsmr_node_id *peer,
                                   uint64_t from_height)
{
    struct read_task *t = read_new(driver, READ_SERVE_BLOCKS);
    if (t == NULL)
        return;
    t->peer = *peer;
    t->from_height = from_height;
    read_submit(driver, t);
}

void dsmr_store_tasks_serve_block(struct dsmr_driver *driver, const struct dsmr_node_id *peer,
                                  const struct dsmr_id *block_id)
{
    struct read_task *t = read_new(driver, READ_SERVE_BLOCK);
    if (t == NULL)
        return;
    t->peer = *peer;
    t->id = *block_id;
    read_submit(driver, t);
}
