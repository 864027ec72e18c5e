/* query.c - answers for HTTP and the CLI, from any thread: durable facts from store snapshots,
 * live ones from what the logic thread published. */
#include <stdlib.h>
#include <string.h>

#include "driver/driver_state.h"
#include "driver/exec_record.h"
#include "wire/codec.h"

static void query_status(void *self, struct dsmr_query_status *out)
{
    dsmr_published_read(self, out);
}

static enum dsmr_err query_tx(void *self, struct dsmr_query_tx *out, const struct dsmr_id *tx_id)
{
    const struct dsmr_driver *driver = self;
    const struct dsmr_kv *kv = &driver->config.kv;
    struct dsmr_kv_txn *txn = NULL;
    struct dsmr_query_tx tx;
    memset(&tx, 0, sizeof tx);
    enum dsmr_err err = kv->ops->begin(kv->self, &txn, false);
    if (err != DSMR_OK)
        return err;
    err = dsmr_exec_record_find(&tx.height, &tx.result, kv, txn, tx_id);
    kv->ops->abort(kv->self, txn);
    if (err != DSMR_OK)
        return err;
    tx.state = tx.result.code == 0 ? DSMR_TX_EXECUTED : DSMR_TX_FAILED;
    tx.code_text = driver->config.app.ops->code_text(tx.result.code);
    *out = tx;
    return DSMR_OK;
}

static enum dsmr_err query_block(void *self, struct dsmr_block **out, uint64_t height)
{
    const struct dsmr_driver *driver = self;
    if (height == 0) {
        *out = dsmr_block_ref(driver->config.genesis);
        return DSMR_OK;
    }
    struct dsmr_buf *bytes = NULL;
    bool has_finalization;
    enum dsmr_err err = driver->config.store.ops->load_block(driver->config.store.self, &bytes,
                                                             NULL, &has_finalization, height);
    if (err != DSMR_OK)
        return err;
    err = dsmr_block_decode(out, &driver->config.node.params, bytes, bytes->bytes, bytes->len);
    dsmr_buf_unref(bytes);
    return err == DSMR_OK ? DSMR_OK : DSMR_ERR_CORRUPT;
}

static enum dsmr_err query_find_block(void *self, uint64_t *height, const struct dsmr_id *block_id)
{
    const struct dsmr_driver *driver = self;
    if (memcmp(block_id, &driver->config.genesis->id, sizeof *block_id) == 0) {
        *height = 0;
        return DSMR_OK;
    }
    return driver->config.store.ops->find_block(driver->config.store.self, height, block_id);
}

static enum dsmr_err query_executed(void *self, struct dsmr_executed **out, uint64_t height)
{
    const struct dsmr_driver *driver = self;
    const struct dsmr_kv *kv = &driver->config.kv;
    struct dsmr_kv_txn *txn = NULL;
    enum dsmr_err err = kv->ops->begin(kv->self, &txn, false);
    if (err != DSMR_OK)
        return err;
    err = dsmr_exec_record_get(out, NULL, kv, txn, height);
    kv->ops->abort(kv->self, txn);
    return err;
}

static enum dsmr_err query_chunk(void *self, struct dsmr_chunk **out, struct dsmr_cert *cert,
                                 bool *has_cert, const struct dsmr_id *chunk_id)
{
    const struct dsmr_driver *driver = self;
    const struct dsmr_store *store = &driver->config.store;
    struct dsmr_buf *bytes = NULL;
    enum dsmr_err err = store->ops->load_chunk(store->self, &bytes, chunk_id);
    if (err == DSMR_ERR_CORRUPT)
        return DSMR_ERR_UNKNOWN; /* not held; the store has said and counted what is damaged */
    if (err != DSMR_OK)
        return err;
    err = dsmr_chunk_decode(out, &driver->config.node.params, bytes, bytes->bytes, bytes->len);
    dsmr_buf_unref(bytes);
    if (err != DSMR_OK)
        return DSMR_ERR_CORRUPT;
    *has_cert = store->ops->load_cert(store->self, cert, chunk_id) == DSMR_OK;
    return DSMR_OK;
}

static struct dsmr_validator_set *query_validators(void *self)
{
    const struct dsmr_driver *driver = self;
    struct dsmr_query_status status;
    struct dsmr_validator_set *set = NULL;
    dsmr_published_read(driver, &status);
    if (status.epoch == DSMR_EPOCH_NONE ||
        driver->config.validators.ops->get(driver->config.validators.self, &set, status.epoch) !=
            DSMR_OK)
        return NULL;
    return set;
}

static enum dsmr_err query_next_evidence(void *self, struct dsmr_evidence *out, uint64_t *cursor)
{
    const struct dsmr_driver *driver = self;
    return driver->config.store.ops->next_evidence(driver->config.store.self, out, cursor);
}

static enum dsmr_err query_app(void *self, struct dsmr_app_text *out, const char *path)
{
    const struct dsmr_driver *driver = self;
    const struct dsmr_kv *kv = &driver->config.kv;
    struct dsmr_kv_txn *txn = NULL;
    if (driver->config.app.ops->query == NULL)
        return DSMR_ERR_UNKNOWN;
    enum dsmr_err err = kv->ops->begin(kv->self, &txn, false);
    if (err != DSMR_OK)
        return err;
    err = driver->config.app.ops->query(driver->config.app.self, out, kv, txn, path);
    kv->ops->abort(kv->self, txn);
    return err;
}

static const struct dsmr_metrics *query_metrics(void *self)
{
    const struct dsmr_driver *driver = self;
    return driver->config.metrics;
}

static const struct dsmr_query_ops query_ops = {.status = query_status,
                                                .tx = query_tx,
                                                .block = query_block,
                                                .find_block = query_find_block,
                                                .executed = query_executed,
                                                .chunk = query_chunk,
                                                .validators = query_validators,
                                                .next_evidence = query_next_evidence,
                                                .app = query_app,
                                                .metrics = query_metrics};

struct dsmr_query dsmr_driver_query_port(struct dsmr_driver *driver)
{
    return (struct dsmr_query){.self = driver, .ops = &query_ops};
}
