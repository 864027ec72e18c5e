#include "sim/sim_store.h"

#include <stdlib.h>

#include "base/assert.h"
#include "sim/mem_disk.h"

#define PATCHY_GROUPS 32u /* of so many one is refused */

struct dsmr_sim_store {
    struct dsmr_mem_disk *disk; /* first: see dsmr_mem_disk_set_reads */
    struct dsmr_store_ops ops;
    struct dsmr_task *first, **end; /* wait */
    struct dsmr_task *group;        /* is being synced */
    bool (*on_queued)(void *ctx);
    void *ctx;
    enum dsmr_sim_disk state;
    bool is_broken;  /* by an error: nothing more is written in this life */
    bool is_refused; /* a write was, and no block accepted since */
    uint64_t written, reads;
    struct dsmr_sim_disk_counts *counts; /* NULL: nobody counts */
    enum dsmr_err (*load_chunk)(void *self, struct dsmr_buf **out, const struct dsmr_id *chunk_id);
};

static uint64_t write_bytes(const struct dsmr_store_write *write)
{
    return write->kind == DSMR_STORE_CHUNK     ? write->u.chunk.len + 256u
           : write->kind == DSMR_STORE_ACCEPT  ? write->u.accept.block->bytes->len + 512u
           : write->kind == DSMR_STORE_BFT_PUT ? write->u.bft.value_len + 64u
                                               : 512u;
}

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

void dsmr_sim_store_put(struct dsmr_sim_store *store, struct dsmr_store_write *write)
{
    enum dsmr_mem_disk_news news = dsmr_mem_disk_apply(store->disk, write);
    DSMR_ASSERT(news == DSMR_MEM_DISK_NO_NEWS);
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

/* No pages for the records of a group: then nothing of it is done but a collection, which needs
 * none. */
static bool is_group_refused(const struct dsmr_sim_store *store, struct dsmr_prng *prng)
{
    return store->state == DSMR_SIM_DISK_FULL ||
           (store->state == DSMR_SIM_DISK_PATCHY && dsmr_prng_below(prng, PATCHY_GROUPS) == 0);
}

/* A body that is here is not written again. */
static bool has_no_room(const struct dsmr_sim_store *store, struct dsmr_prng *prng,
                        const struct dsmr_store_write *write)
{
    return (store->state == DSMR_SIM_DISK_TIGHT || store->state == DSMR_SIM_DISK_PATCHY) &&
           write->kind == DSMR_STORE_CHUNK &&
           !dsmr_mem_disk_can_read(store->disk, &write->u.chunk.meta->ref.chunk_id) &&
           dsmr_prng_below(prng, 2) == 0;
}

/* What the real store says of one write of a group: OK, DISK_FULL; HALTED: a gap that it cannot
 * explain. */
static enum dsmr_err judge(struct dsmr_sim_store *store, struct dsmr_prng *prng,
                           const struct dsmr_store_write *write, bool is_whole_refused)
{
    bool is_gap = write->kind == DSMR_STORE_ACCEPT &&
                  write->u.accept.block->height > dsmr_mem_disk_height(store->disk) + 1;
    if ((is_whole_refused && write->kind != DSMR_STORE_GC) || has_no_room(store, prng, write)) {
        store->is_refused = true;
        return DSMR_ERR_DISK_FULL;
    }
    if (is_gap) {
        return store->is_refused ? DSMR_ERR_DISK_FULL : DSMR_ERR_HALTED;
    }
    store->is_refused = store->is_refused && write->kind != DSMR_STORE_ACCEPT;
    return DSMR_OK;
}

static uint32_t count_tasks(const struct dsmr_task *task)
{
    uint32_t count = 0;
    for (; task != NULL; task = task->next) {
        count++;
    }
    return count;
}

static void apply(struct dsmr_sim_store *store, struct dsmr_store_write *write)
{
    store->written += write_bytes(write);
    enum dsmr_mem_disk_news news = dsmr_mem_disk_apply(store->disk, write);
    DSMR_ASSERT(news != DSMR_MEM_DISK_OTHER_BLOCK); /* a second chunk is for a checker to find */
}

static void count_group(struct dsmr_sim_store *store, uint64_t applied, uint64_t refused)
{
    if (store->counts != NULL) {
        store->counts->parted += applied > 0 && refused > 0;
    }
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
    bool is_whole_refused = is_group_refused(store, prng);
    uint64_t applied = 0, refused = 0;
    for (struct dsmr_task *task = group; task != NULL; task = task->next) {
        struct dsmr_store_write *write = (struct dsmr_store_write *)task;
        enum dsmr_err err = judge(store, prng, write, is_whole_refused);
        write->err = is_error ? DSMR_ERR_IO : err;
        refused += err != DSMR_OK;
        if (good > 0 && err == DSMR_OK) {
            good -= good == UINT64_MAX ? 0 : 1;
            apply(store, write);
            durable(ctx, write);
            applied++;
        }
    }
    count_group(store, applied, refused);
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
    bool is_whole_refused = is_group_refused(store, prng);
    for (; *end != NULL; end = &(*end)->next) {
        struct dsmr_store_write *write = (struct dsmr_store_write *)*end;
        if (good > 0 && !store->is_broken &&
            judge(store, prng, write, is_whole_refused) == DSMR_OK) {
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
    store->is_broken = store->is_refused = false;
    dsmr_mem_disk_restarted(store->disk);
    return all;
}

bool dsmr_sim_store_has_chunk(struct dsmr_sim_store *store, const struct dsmr_id *chunk_id)
{
    return dsmr_mem_disk_has_chunk(store->disk, chunk_id);
}

uint64_t dsmr_sim_store_bytes(const struct dsmr_sim_store *store)
{
    return dsmr_mem_disk_bytes(store->disk);
}

uint64_t dsmr_sim_store_written(const struct dsmr_sim_store *store)
{
    return store->written;
}

uint64_t dsmr_sim_store_reads(const struct dsmr_sim_store *store)
{
    return store->reads;
}

const struct dsmr_mem_disk *dsmr_sim_store_disk(const struct dsmr_sim_store *store)
{
    return store->disk;
}

void dsmr_sim_store_set_counts(struct dsmr_sim_store *store, struct dsmr_sim_disk_counts *counts)
{
    store->counts = counts;
}

void dsmr_sim_store_damage(struct dsmr_sim_store *store, const struct dsmr_id *chunk_id,
                           enum dsmr_err err)
{
    dsmr_mem_disk_damage(store->disk, chunk_id, err);
    if (store->counts != NULL) {
        store->counts->damaged++;
    }
}

static enum dsmr_err load_chunk(void *self, struct dsmr_buf **out, const struct dsmr_id *chunk_id)
{
    struct dsmr_sim_store *store = self;
    bool is_bad = store->state == DSMR_SIM_DISK_UNREADABLE && chunk_id->bytes[0] % 2 == 0 &&
                  dsmr_mem_disk_has_chunk(store->disk, chunk_id);
    enum dsmr_err err = is_bad ? DSMR_ERR_IO : store->load_chunk(self, out, chunk_id);
    store->reads++;
    if (store->counts != NULL) {
        store->counts->unread += err == DSMR_ERR_IO || err == DSMR_ERR_CORRUPT;
    }
    return err;
}

static uint64_t disk_free_bytes(void *self)
{
    return ((struct dsmr_sim_store *)self)->state == DSMR_SIM_DISK_FULL ? 0 : UINT64_C(1) << 40;
}

struct dsmr_sim_store *dsmr_sim_store_new(void)
{
    struct dsmr_sim_store *store = calloc(1, sizeof(*store));
    DSMR_ASSERT(store != NULL);
    store->disk = dsmr_mem_disk_new();
    dsmr_mem_disk_set_reads(&store->ops);
    store->load_chunk = store->ops.load_chunk;
    store->ops.load_chunk = load_chunk;
    store->ops.write = write;
    store->ops.disk_free_bytes = disk_free_bytes;
    store->end = &store->first;
    return store;
}

void dsmr_sim_store_free(struct dsmr_sim_store *store)
{
    DSMR_ASSERT(store->first == NULL && store->group == NULL);
    dsmr_mem_disk_free(store->disk);
    free(store);
}

struct dsmr_store dsmr_sim_store_port(struct dsmr_sim_store *store)
{
    return (struct dsmr_store){.self = store, .ops = &store->ops};
}
