#include "store/store_queue.h"

#include "base/assert.h"
#include "store/store_apply.h"
#include "store/store_txn.h"

#define GROUP_WRITES_MAX 512u
#define GROUP_PAGES_MIN 32u    /* besides those of the writes: the list of free pages */
#define GROUP_PAGES_MAX 16384u /* room that is asked for at once; a larger write goes alone */

struct group {
    uint32_t count;
    uint64_t pages;
    struct dsmr_store_write *writes[GROUP_WRITES_MAX];
};

void dsmr_store_queue_write(void *self, struct dsmr_store_write *write)
{
    struct dsmr_lmdb_store *store = self;

    write->task.next = NULL;
    (void)pthread_mutex_lock(&store->mutex);
    DSMR_ASSERT(!store->is_closing);
    if (store->last != NULL) {
        store->last->task.next = &write->task;
    } else {
        store->first = write;
    }
    store->last = write;
    (void)pthread_cond_signal(&store->wake);
    (void)pthread_mutex_unlock(&store->mutex);
}

static struct dsmr_store_write *pop(struct dsmr_lmdb_store *store)
{
    struct dsmr_store_write *write = store->first;

    store->first = (struct dsmr_store_write *)(void *)write->task.next; /* task comes first */
    if (store->first == NULL) {
        store->last = NULL;
    }
    return write;
}

/* Waits for writes and takes what fits into one group; a GC is a group of its own.
 * false: closing, and nothing is left. */
static bool take_group(struct dsmr_lmdb_store *store, struct group *group)
{
    uint64_t body_bytes = 0;
    bool is_full = false;

    group->count = 0;
    group->pages = GROUP_PAGES_MIN;
    (void)pthread_mutex_lock(&store->mutex);
    while (store->first == NULL && !store->is_closing) {
        (void)pthread_cond_wait(&store->wake, &store->mutex);
    }
    while (store->first != NULL && group->count < GROUP_WRITES_MAX && !is_full) {
        struct dsmr_store_write *write = store->first;
        uint64_t pages = dsmr_store_apply_pages(write);
        body_bytes += dsmr_store_apply_body_bytes(write);
        is_full = write->kind == DSMR_STORE_GC || body_bytes > store->group_bytes_max ||
                  group->pages + pages > GROUP_PAGES_MAX;
        if (is_full && group->count > 0) {
            break;
        }
        group->pages += pages;
        group->writes[group->count++] = pop(store);
    }
    (void)pthread_mutex_unlock(&store->mutex);
    return group->count > 0;
}

/* Applies and commits the group. The error of the whole; each write has its own in err. */
static enum dsmr_err try_group(struct dsmr_lmdb_store *store, struct group *group)
{
    struct dsmr_segments *segments = &store->segments;
    uint64_t number = segments->number;
    uint64_t end = segments->end;
    struct dsmr_store_txn txn;
    enum dsmr_err err = dsmr_lmdb_env_make_room(&store->consensus, group->pages);

    if (err == DSMR_OK) {
        err = dsmr_store_txn_begin(&txn, store, true);
    }
    if (err != DSMR_OK) {
        return err;
    }
    for (uint32_t i = 0; i < group->count && txn.failed == DSMR_OK; i++) {
        struct dsmr_store_write *write = group->writes[i];
        write->err = dsmr_store_apply(&txn, write);
        if (write->err == DSMR_ERR_IO || write->err == DSMR_ERR_NO_MEMORY) {
            txn.failed = write->err;
        }
        if (write->err == DSMR_ERR_DISK_FULL) {
            store->is_disk_full = true;
        } else if (write->err == DSMR_OK && write->kind == DSMR_STORE_ACCEPT) {
            store->is_disk_full = false; /* no accepted height is missing */
        }
    }
    if (txn.failed == DSMR_OK) {
        txn.failed = dsmr_segments_sync(segments); /* bodies before the records that name them */
    }
    err = dsmr_store_txn_commit(&txn);
    if (err == DSMR_ERR_DISK_FULL || err == DSMR_ERR_NO_MEMORY) {
        dsmr_segments_cut(segments, number, end);
    }
    return err;
}

static bool has_disk_full(const struct group *group, enum dsmr_err err)
{
    bool is_full = err == DSMR_ERR_DISK_FULL;

    for (uint32_t i = 0; err == DSMR_OK && i < group->count; i++) {
        is_full = is_full || group->writes[i]->err == DSMR_ERR_DISK_FULL;
    }
    return is_full;
}

static enum dsmr_err commit_group(struct dsmr_lmdb_store *store, struct group *group)
{
    enum dsmr_err err = try_group(store, group);

    if (has_disk_full(group, err) && dsmr_store_janitor_drain(&store->janitor)) {
        err = try_group(store, group); /* all writes may be done twice */
    }
    return err;
}

/* After an I/O error nobody knows what is durable: nothing is written any more. */
static void stop(struct dsmr_lmdb_store *store)
{
    store->is_stopped = true;
    if (store->log.ops != NULL) {
        store->log.ops->line(store->log.self, DSMR_LOG_ERROR, "store",
                             "input/output error: the store accepts no more writes");
    }
}

static void run_group(struct dsmr_lmdb_store *store, struct group *group)
{
    uint64_t syncs = store->segments.syncs;
    enum dsmr_err err;

    if (store->is_stopped) {
        err = DSMR_ERR_IO;
    } else if (group->writes[0]->kind == DSMR_STORE_GC) {
        err = dsmr_store_gc_run(store, &group->writes[0]->u.gc);
        group->writes[0]->err = err;
    } else {
        err = commit_group(store, group);
    }
    if (err != DSMR_OK && err != DSMR_ERR_DISK_FULL && !store->is_stopped) {
        stop(store);
        err = DSMR_ERR_IO;
    }
    store->is_disk_full = store->is_disk_full || err == DSMR_ERR_DISK_FULL;
    if (store->metrics != NULL) {
        dsmr_metrics_add(store->metrics, DSMR_METRIC_DISK_SYNCS, store->segments.syncs - syncs);
    }
    for (uint32_t i = 0; i < group->count; i++) {
        struct dsmr_store_write *write = group->writes[i];
        if (err != DSMR_OK) {
            write->err = err;
        } else if (write->err == DSMR_OK && store->metrics != NULL) {
            dsmr_metrics_add(store->metrics, DSMR_METRIC_DISK_BYTES,
                             dsmr_store_apply_body_bytes(write));
        }
        store->inbox.ops->complete(store->inbox.self, &write->task);
    }
}

void *dsmr_store_queue_run(void *self)
{
    struct dsmr_lmdb_store *store = self;
    struct group group;

    while (take_group(store, &group)) {
        run_group(store, &group);
    }
    return NULL;
}
