/* submit.c - transactions from clients: checked, held against the last executed state and hashed on
 * a worker, then offered to the core's mempool, then sent home with a verdict each. */
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "driver/driver_state.h"
#include "wire/codec.h"

#define HASH_TOGETHER 64u
#define AHEAD 16u /* transactions that memory is asked for, while those before are hashed */

/* ---- on a worker ---- */

static void hash_batch(struct dsmr_submit_batch *batch, const struct dsmr_tx_view *txs)
{
    struct dsmr_hash_message messages[HASH_TOGETHER];
    struct dsmr_id ids[HASH_TOGETHER];
    for (uint32_t i = 0; i < batch->count; i += HASH_TOGETHER) {
        uint32_t count = batch->count - i < HASH_TOGETHER ? batch->count - i : HASH_TOGETHER;
        for (uint32_t k = 0; k < count; k++)
            messages[k] = (struct dsmr_hash_message){txs[i + k].bytes, txs[i + k].len};
        for (uint32_t k = 0; k < AHEAD && i + HASH_TOGETHER + k < batch->count; k++)
            __builtin_prefetch(txs[i + HASH_TOGETHER + k].bytes);
        dsmr_hash_many(ids, messages, count);
        for (uint32_t k = 0; k < count; k++)
            batch->txs[i + k].id = ids[k];
    }
}

static void check_batch(const struct dsmr_driver_config *config, struct dsmr_submit_batch *batch,
                        struct dsmr_tx_view *txs, enum dsmr_err *errs)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        txs[i].bytes = batch->bytes->bytes + batch->txs[i].offset;
        txs[i].len = batch->txs[i].len;
    }
    hash_batch(batch, txs); /* reads ahead, so what comes after finds the bytes in the cache */
    config->app.ops->check(config->app.self, errs, txs, batch->count);
    struct dsmr_kv_txn *snapshot = NULL;
    if (config->app.ops->admit != NULL &&
        config->kv.ops->begin(config->kv.self, &snapshot, false) == DSMR_OK) {
        config->app.ops->admit(config->app.self, errs, &config->kv, snapshot, txs, batch->count);
        config->kv.ops->abort(config->kv.self, snapshot);
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        struct dsmr_tx_head head = {.expiry_ms = 0};
        enum dsmr_err err = dsmr_tx_head_decode(&head, txs[i].bytes, txs[i].len);
        batch->txs[i].expiry_ms = head.expiry_ms;
        batch->txs[i].err = err != DSMR_OK ? err : errs[i];
    }
}

static void run(struct dsmr_task *task)
{
    struct dsmr_submit_batch *batch = (struct dsmr_submit_batch *)task;
    const struct dsmr_driver *driver = batch->driver_ctx;
    struct dsmr_tx_view *txs = malloc((batch->count + 1u) * sizeof *txs);
    enum dsmr_err *errs = malloc((batch->count + 1u) * sizeof *errs);
    if (txs != NULL && errs != NULL) {
        check_batch(&driver->config, batch, txs, errs);
    } else {
        for (uint32_t i = 0; i < batch->count; i++)
            batch->txs[i].err = DSMR_ERR_NO_MEMORY;
    }
    free(txs);
    free(errs);
}

/* ---- on the logic thread ---- */

/* All of it, without the core: so this counts what the core would have counted. */
static void refuse(struct dsmr_driver *driver, struct dsmr_submit_batch *batch, enum dsmr_err err)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        batch->txs[i].err = err;
        dsmr_metrics_count_error(driver->config.metrics, err);
    }
    dsmr_metrics_add(driver->config.metrics, DSMR_METRIC_TXS_REFUSED, batch->count);
    struct dsmr_notice notice = {.kind = DSMR_NOTICE_SUBMITTED, .u.batch = batch};
    driver->config.feed.ops->publish(driver->config.feed.self, &notice);
}

static void done(struct dsmr_task *task, void *owner)
{
    struct dsmr_submit_batch *batch = (struct dsmr_submit_batch *)task;
    struct dsmr_driver *driver = owner;
    atomic_fetch_sub_explicit(&driver->submits, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&driver->submit_bytes, batch->bytes->len, memory_order_relaxed);
    struct dsmr_submit_item *items = calloc(batch->count + 1u, sizeof *items);
    if (items == NULL || driver->halt != DSMR_OK) {
        free(items);
        refuse(driver, batch,
               driver->halt == DSMR_OK           ? DSMR_ERR_NO_MEMORY
               : driver->halt == DSMR_ERR_CLOSED ? DSMR_ERR_CLOSED
                                                 : DSMR_ERR_HALTED);
        return;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        items[i].bytes = batch->bytes->bytes + batch->txs[i].offset;
        items[i].len = batch->txs[i].len;
        items[i].id = batch->txs[i].id;
        items[i].expiry_ms = batch->txs[i].expiry_ms;
        items[i].err = batch->txs[i].err;
    }
    struct dsmr_event event = {.kind = DSMR_EV_SUBMIT, .request_id = (uint64_t)(uintptr_t)batch};
    event.u.submit.owner = batch->bytes;
    event.u.submit.items = items;
    event.u.submit.count = batch->count;
    event.u.submit.since_ms = batch->came_ms;
    dsmr_driver_core_event(driver, &event);
    free(items);
}

/* ---- on the submitter's thread ---- */

static bool submit(void *self, struct dsmr_submit_batch *batch)
{
    struct dsmr_driver *driver = self;
    if (atomic_fetch_add_explicit(&driver->submits, 1, memory_order_relaxed) >=
        driver->config.submits_max) {
        atomic_fetch_sub_explicit(&driver->submits, 1, memory_order_relaxed);
        return false;
    }
    /* What would not be admitted is not checked, nor hashed: checking costs more than all else. */
    uint64_t most = atomic_load_explicit(&driver->room_bytes, memory_order_relaxed);
    most = most < driver->config.submit_bytes_max ? most : driver->config.submit_bytes_max;
    if (atomic_fetch_add_explicit(&driver->submit_bytes, batch->bytes->len, memory_order_relaxed) >=
        most) {
        atomic_fetch_sub_explicit(&driver->submit_bytes, batch->bytes->len, memory_order_relaxed);
        atomic_fetch_sub_explicit(&driver->submits, 1, memory_order_relaxed);
        return false;
    }
    batch->task.run = run;
    batch->task.done = done;
    batch->driver_ctx = driver;
    batch->came_ms = driver->config.clock.ops->mono_ms(driver->config.clock.self);
    driver->config.work.ops->submit(driver->config.work.self, DSMR_WORK_BULK, &batch->task);
    return true;
}

static const struct dsmr_submit_ops submit_ops = {.submit = submit};

struct dsmr_submit dsmr_driver_submit_port(struct dsmr_driver *driver)
{
    return (struct dsmr_submit){.self = driver, .ops = &submit_ops};
}
