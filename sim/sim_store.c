#include "sim/sim_store.h"

#include <stdlib.h>

#include "base/assert.h"
#include "sim/mem_disk.h"

struct dsmr_sim_store {
    struct dsmr_mem_disk *disk; /* first: see dsmr_mem_disk_set_reads */
    struct dsmr_store_ops ops;
    struct dsmr_task *first, **end; /* wait */
    struct dsmr_task *group;        /* is being synced */
    bool (*on_queued)(void *ctx);
    void *ctx;
    enum dsmr_sim_disk state;
    bool is_broken; /* by an error: nothing more is written in this life */
    uint64_t written;
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

/* A full disk refuses; and then also the block after one that it refused. */
static bool is_refused(const struct dsmr_sim_store *store, const struct dsmr_store_write *write)
{
    return (store->state == DSMR_SIM_DISK_FULL && write->kind != DSMR_STORE_GC) ||
           (write->kind == DSMR_STORE_ACCEPT &&
            write->u.accept.block->height > dsmr_mem_disk_height(store->disk) + 1);
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
