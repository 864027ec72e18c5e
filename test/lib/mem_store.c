#include "lib/mem_store.h"

#include <stdlib.h>

#include "base/assert.h"
#include "sim/mem_disk.h"

struct dsmr_mem_store {
    struct dsmr_mem_disk *disk; /* first: see dsmr_mem_disk_set_reads */
    struct dsmr_store_ops ops;
    struct dsmr_task *first, *last; /* queued writes */
    uint32_t queued;
    void (*on_queued)(void *ctx);
    void *ctx;
};

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
    return dsmr_mem_disk_count(store->disk);
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
    if (err == DSMR_OK) {
        enum dsmr_mem_disk_news news = dsmr_mem_disk_apply(store->disk, done);
        /* Never two chunks of one slot: the promise that everything rests on. */
        DSMR_ASSERT(news != DSMR_MEM_DISK_SECOND_OF_SLOT);
    }
    done->err = err;
    return task;
}

void dsmr_mem_store_lose_chunk(struct dsmr_mem_store *store, const struct dsmr_id *chunk_id)
{
    dsmr_mem_disk_lose_chunk(store->disk, chunk_id);
}

void dsmr_mem_store_forget_finalizations(struct dsmr_mem_store *store, uint64_t first,
                                         uint64_t last)
{
    dsmr_mem_disk_forget_finalizations(store->disk, first, last);
}

static uint64_t disk_free_bytes(void *self)
{
    (void)self;
    return UINT64_C(1) << 40;
}

struct dsmr_mem_store *dsmr_mem_store_new(void)
{
    struct dsmr_mem_store *store = calloc(1, sizeof *store);
    DSMR_ASSERT(store != NULL);
    store->disk = dsmr_mem_disk_new();
    dsmr_mem_disk_set_reads(&store->ops);
    store->ops.write = write;
    store->ops.disk_free_bytes = disk_free_bytes;
    return store;
}

void dsmr_mem_store_free(struct dsmr_mem_store *store)
{
    DSMR_ASSERT(store->queued == 0);
    dsmr_mem_disk_free(store->disk);
    free(store);
}

struct dsmr_store dsmr_mem_store_port(struct dsmr_mem_store *store)
{
    return (struct dsmr_store){.self = store, .ops = &store->ops};
}
