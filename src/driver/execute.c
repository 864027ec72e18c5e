/* execute.c - runs blocks through the application on the execution thread.
 *
 * State, height, results and executed ids of a block are one commit (protocol.md, Execution). All
 * blocks that wait when the thread becomes free share a commit: its fsync is paid once. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "driver/driver_state.h"
#include "driver/exec_record.h"
#include "wire/codec.h"

#define RECORDS_IN_MEMORY 16u

struct execute_task {
    struct dsmr_task task;
    const struct dsmr_driver_config *config;
    uint32_t count;
    struct dsmr_plan *plans[DSMR_DRIVER_EXECUTE_BATCH_MAX];
    uint64_t requests[DSMR_DRIVER_EXECUTE_BATCH_MAX];
    struct dsmr_executed *executed[DSMR_DRIVER_EXECUTE_BATCH_MAX];
    enum dsmr_err err;
};

/* ---- on the execution thread ---- */

/* What the application and the record need of each transaction, in execution order. */
static void view_txs(struct dsmr_app_tx *txs, struct dsmr_id *ids, uint64_t *expiries_ms,
                     const struct dsmr_plan *plan)
{
    for (uint32_t i = 0; i < plan->txs_count; i++) {
        const struct dsmr_chunk *chunk = plan->chunks[plan->txs[i].chunk];
        uint32_t tx = plan->txs[i].tx;
        txs[i] = (struct dsmr_app_tx){.tx = dsmr_chunk_tx(chunk, tx),
                                      .fee_recipient = chunk->header.fee_recipient};
        ids[i] = chunk->tx_ids[tx];
        expiries_ms[i] = plan->txs[i].expiry_ms;
    }
}

static enum dsmr_err execute_plan(struct execute_task *t, uint32_t i, struct dsmr_kv_txn *txn)
{
    const struct dsmr_driver_config *config = t->config;
    const struct dsmr_plan *plan = t->plans[i];
    struct dsmr_executed *executed = dsmr_exec_record_new(plan->txs_count);
    struct dsmr_app_tx *txs = malloc((plan->txs_count + 1u) * sizeof *txs);
    uint64_t *expiries_ms = malloc((plan->txs_count + 1u) * sizeof *expiries_ms);
    enum dsmr_err err = DSMR_ERR_NO_MEMORY;
    if (executed == NULL || txs == NULL || expiries_ms == NULL)
        goto out;
    executed->height = plan->block->height;
    executed->time_ms = plan->block->time_ms;
    executed->block_id = plan->block->id;
    view_txs(txs, executed->ids, expiries_ms, plan);
    struct dsmr_app_block block = {.height = plan->block->height,
                                   .time_ms = plan->block->time_ms,
                                   .id = plan->block->id,
                                   .txs = txs,
                                   .ids = executed->ids,
                                   .txs_count = plan->txs_count};
    err = config->app.ops->execute(config->app.self, &executed->state_root, executed->results,
                                   &config->kv, txn, &block);
    if (err != DSMR_OK)
        goto out;
    struct dsmr_exec_head head = {.height = executed->height,
                                  .time_ms = executed->time_ms,
                                  .state_root = executed->state_root,
                                  .block_id = executed->block_id};
    err = dsmr_exec_record_put(&config->kv, txn, &head, executed, expiries_ms);
out:
    free(txs);
    free(expiries_ms);
    if (err == DSMR_OK)
        t->executed[i] = executed;
    else
        dsmr_executed_unref(executed);
    return err;
}

/* Results are kept for the retention time, and as long as the duplicate filter may need them. */
static enum dsmr_err drop_old(const struct dsmr_driver_config *config, struct dsmr_kv_txn *txn,
                              uint64_t time_ms)
{
    const struct dsmr_params *params = &config->node.params;
    uint64_t keep_ms = params->retention_ms;
    if (keep_ms == UINT64_MAX)
        return DSMR_OK;
    uint64_t window_ms = 2u * (uint64_t)params->validity_window_ms + params->chunk_lifetime_ms;
    keep_ms = keep_ms < window_ms ? window_ms : keep_ms;
    return time_ms > keep_ms ? dsmr_exec_record_drop(&config->kv, txn, time_ms - keep_ms) : DSMR_OK;
}

/* Who asks for results asks soon: those of the last blocks stay in memory. */
static void let_go(const struct execute_task *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        uint64_t height = t->plans[i]->block->height;
        if (height > RECORDS_IN_MEMORY)
            dsmr_exec_record_advise(&t->config->kv, height - RECORDS_IN_MEMORY, false);
    }
}

static void run(struct dsmr_task *task)
{
    struct execute_task *t = (struct execute_task *)task;
    const struct dsmr_kv *kv = &t->config->kv;
    struct dsmr_kv_txn *txn = NULL;
    struct dsmr_exec_head head;
    t->err = kv->ops->begin(kv->self, &txn, true);
    if (t->err != DSMR_OK)
        return;
    t->err = dsmr_exec_record_head(&head, kv, txn);
    if (t->err == DSMR_OK && head.height + 1 != t->plans[0]->block->height)
        t->err = DSMR_ERR_CORRUPT;
    for (uint32_t i = 0; i < t->count && t->err == DSMR_OK; i++)
        t->err = execute_plan(t, i, txn);
    if (t->err == DSMR_OK)
        t->err = drop_old(t->config, txn, t->plans[t->count - 1]->block->time_ms);
    if (t->err == DSMR_OK)
        t->err = kv->ops->commit(kv->self, txn);
    else
        kv->ops->abort(kv->self, txn);
    if (t->err == DSMR_OK)
        let_go(t);
}

uint64_t dsmr_driver_state_bytes_min(const struct dsmr_params *params)
{
    return DSMR_DRIVER_EXECUTE_BATCH_MAX * dsmr_exec_record_bytes_max(params->block_txs_max);
}

/* ---- on the logic thread ---- */

static void submit_batch(struct dsmr_driver *driver);

/* What was dropped before it could run, the core has counted. */
static void count_results(struct dsmr_driver *driver, const struct dsmr_executed *executed)
{
    struct dsmr_metrics *metrics = driver->config.metrics;
    uint64_t failed = 0;
    for (uint32_t i = 0; i < executed->count; i++)
        failed += executed->results[i].code != 0;
    dsmr_metrics_add(metrics, DSMR_METRIC_TXS_EXECUTED, executed->count);
    dsmr_metrics_add(metrics, DSMR_METRIC_TXS_FAILED, failed);
}

static void done(struct dsmr_task *task, void *owner)
{
    struct execute_task *t = (struct execute_task *)task;
    struct dsmr_driver *driver = owner;
    driver->outstanding--;
    driver->is_executing = false;
    if (t->err != DSMR_OK)
        dsmr_driver_halt_state(driver, t->err,
                               "a block could not be executed or its state not be committed");
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->err == DSMR_OK && driver->halt == DSMR_OK) {
            count_results(driver, t->executed[i]);
            struct dsmr_event event = {.kind = DSMR_EV_EXECUTED, .request_id = t->requests[i]};
            event.u.executed.height = t->executed[i]->height;
            event.u.executed.state_root = t->executed[i]->state_root;
            dsmr_driver_core_event(driver, &event);
            if (driver->config.feed.ops != NULL) {
                struct dsmr_notice notice = {.kind = DSMR_NOTICE_EXECUTED,
                                             .u.executed = t->executed[i]};
                driver->config.feed.ops->publish(driver->config.feed.self, &notice);
            }
        }
        dsmr_executed_unref(t->executed[i]);
        dsmr_plan_unref(t->plans[i]);
    }
    free(t);
    if (driver->plans_count > 0 && driver->halt == DSMR_OK)
        submit_batch(driver);
}

static void submit_batch(struct dsmr_driver *driver)
{
    struct execute_task *t = calloc(1, sizeof *t);
    if (t == NULL) {
        dsmr_driver_halt(driver, DSMR_ERR_NO_MEMORY, "out of memory for execution");
        return;
    }
    t->task.run = run;
    t->task.done = done;
    t->config = &driver->config;
    t->count = driver->plans_count;
    memcpy(t->plans, driver->plans, t->count * sizeof *t->plans);
    memcpy(t->requests, driver->plan_requests, t->count * sizeof *t->requests);
    driver->plans_count = 0;
    driver->is_executing = true;
    driver->outstanding++;
    driver->config.work.ops->submit(driver->config.work.self, DSMR_WORK_EXECUTE, &t->task);
}

void dsmr_execute_add(struct dsmr_driver *driver, struct dsmr_plan *plan, uint64_t request_id)
{
    /* The core keeps fewer blocks in execution than fit here. */
    DSMR_ASSERT(driver->plans_count < DSMR_DRIVER_EXECUTE_BATCH_MAX);
    driver->plans[driver->plans_count] = plan;
    driver->plan_requests[driver->plans_count] = request_id;
    driver->plans_count++;
    if (!driver->is_executing)
        submit_batch(driver);
}

/* The state before block 1, in txn. */
static enum dsmr_err make_genesis(struct dsmr_driver *driver, struct dsmr_kv_txn *txn)
{
    const struct dsmr_driver_config *config = &driver->config;
    const char *reason = "the application refused its part of genesis";
    struct dsmr_exec_head head = {
        .height = 0, .time_ms = config->genesis->time_ms, .block_id = config->genesis->id};
    enum dsmr_err err =
        config->app.ops->genesis(config->app.self, &head.state_root, &reason, &config->kv, txn,
                                 config->app_genesis, config->app_genesis_len);
    if (err == DSMR_ERR_CONFIG) /* else the state took nothing, and its file is to blame */
        dsmr_driver_log(driver, DSMR_LOG_ERROR, "exec", reason);
    return err == DSMR_OK ? dsmr_exec_record_put(&config->kv, txn, &head, NULL, NULL) : err;
}

enum dsmr_err dsmr_execute_genesis(struct dsmr_driver *driver)
{
    const struct dsmr_kv *kv = &driver->config.kv;
    const uint8_t first[1] = {0}, *key, *value;
    size_t key_len, value_len;
    struct dsmr_kv_txn *txn = NULL;
    struct dsmr_exec_head head;
    enum dsmr_err err = kv->ops->begin(kv->self, &txn, true);
    if (err != DSMR_OK)
        return err;
    err = dsmr_exec_record_head(&head, kv, txn);
    if (err != DSMR_ERR_UNKNOWN) {
        kv->ops->abort(kv->self, txn);
        if (err == DSMR_ERR_VERSION) {
            driver->recovery_reason =
                "an older version of this program wrote it; without it, the "
                "state is computed again from the blocks whose chunks are kept";
            return DSMR_ERR_CORRUPT;
        }
        /* The state exists. Before block 1 nothing but this tells whose it is: later a stored block
         * does. */
        bool is_other = err == DSMR_OK && head.height == 0 &&
                        !dsmr_id_equal(&head.block_id, &driver->config.genesis->id);
        return is_other ? DSMR_ERR_WRONG_CHAIN : err;
    }
    err = kv->ops->seek(kv->self, txn, first, sizeof first, false, &key, &key_len, &value,
                        &value_len);
    if (err == DSMR_OK) { /* all that it holds comes with the head */
        driver->recovery_reason = "it holds records, but not the one that says of which block";
        err = DSMR_ERR_CORRUPT;
    } else if (err == DSMR_ERR_UNKNOWN) {
        err = make_genesis(driver, txn);
    }
    if (err == DSMR_OK)
        return kv->ops->commit(kv->self, txn);
    kv->ops->abort(kv->self, txn);
    return err;
}
