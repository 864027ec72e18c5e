/* recovery.c - from what the disk holds to running state machines. protocol.md, Recovery.
 *
 * Order: validator sets, floor, journals, chunks, accepted blocks (far enough back for the
 * duplicate index, and all that are not executed), executed ids of the window, certificates, the
 * engine's journal; then both start. Nothing executes before the duplicate filter is complete.
 * Tip:   another engine says up to where blocks are accepted. What lies above on our disk is not,
 *        until it is accepted again: only that it was executed is remembered (12.2, 12.3). */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "driver/driver_state.h"
#include "driver/exec_record.h"
#include "wire/codec.h"

struct recovery { /* what a visitor of the store needs */
    struct dsmr_driver *driver;
    uint64_t tip_height;      /* the last accepted block's */
    uint64_t executed_height; /* may lie above */
    uint64_t stored_height;   /* the highest block that the store holds */
};

static enum dsmr_err on_floor(void *ctx, uint64_t floor_ms)
{
    const struct recovery *r = ctx;
    struct dsmr_event event = {.kind = DSMR_EV_RESTORE_FLOOR, .u.floor_ms = floor_ms};
    dsmr_driver_core_event(r->driver, &event);
    return DSMR_OK;
}

static enum dsmr_err on_journal(void *ctx, const struct dsmr_store_journal *entry)
{
    const struct recovery *r = ctx;
    struct dsmr_event event = {.kind = DSMR_EV_RESTORE_JOURNAL};
    event.u.journal.producer = entry->producer;
    event.u.journal.slot = entry->slot;
    event.u.journal.chunk_id = entry->chunk_id;
    event.u.journal.epoch = entry->epoch;
    event.u.journal.expiry_ms = entry->expiry_ms;
    dsmr_driver_core_event(r->driver, &event);
    return DSMR_OK;
}

static enum dsmr_err on_chunk(void *ctx, const struct dsmr_store_chunk_meta *meta)
{
    const struct recovery *r = ctx;
    struct dsmr_event event = {.kind = DSMR_EV_RESTORE_CHUNK};
    event.u.restore_chunk.ref = meta->ref;
    event.u.restore_chunk.producer_sig = meta->producer_sig;
    event.u.restore_chunk.is_own = meta->is_own;
    event.u.restore_chunk.is_signed = meta->is_signed;
    dsmr_driver_core_event(r->driver, &event);
    return DSMR_OK;
}

static enum dsmr_err on_cert(void *ctx, const struct dsmr_cert *cert)
{
    const struct recovery *r = ctx;
    struct dsmr_event event = {.kind = DSMR_EV_RESTORE_CERT, .u.cert = cert};
    dsmr_driver_core_event(r->driver, &event);
    return DSMR_OK;
}

static enum dsmr_err on_bft(void *ctx, const uint8_t *key, uint32_t key_len, const uint8_t *value,
                            uint32_t value_len)
{
    struct dsmr_driver *driver = ((const struct recovery *)ctx)->driver;
    return driver->bft == NULL ? DSMR_OK
                               : dsmr_bft_restore(driver->bft, key, key_len, value, value_len);
}

static enum dsmr_err load_block(struct dsmr_driver *driver, struct dsmr_block **out,
                                struct dsmr_quorum_cert *finalization, bool *has_finalization,
                                uint64_t height)
{
    const struct dsmr_store *store = &driver->config.store;
    struct dsmr_buf *bytes = NULL;
    enum dsmr_err err =
        store->ops->load_block(store->self, &bytes, finalization, has_finalization, height);
    if (err != DSMR_OK)
        return err == DSMR_ERR_UNKNOWN ? DSMR_ERR_CORRUPT : err;
    err = dsmr_block_decode(out, &driver->config.node.params, bytes, bytes->bytes, bytes->len);
    dsmr_buf_unref(bytes);
    return err;
}

/* The first accepted block that the core must know: those that a new block's certificates could
 * stand in, and those that still have to run. */
static enum dsmr_err first_block(struct dsmr_driver *driver, uint64_t *first, uint64_t last_height,
                                 uint64_t executed_height)
{
    const struct dsmr_params *params = &driver->config.node.params;
    uint64_t last_ms = 0;
    *first = last_height;
    for (uint64_t height = last_height; height >= 1; height--) {
        struct dsmr_block *block = NULL;
        bool has_finalization;
        enum dsmr_err err = load_block(driver, &block, NULL, &has_finalization, height);
        if (err != DSMR_OK)
            return err;
        last_ms = height == last_height ? block->time_ms : last_ms;
        bool is_needed =
            height > executed_height || last_ms - block->time_ms <= params->chunk_lifetime_ms;
        dsmr_block_unref(block);
        if (!is_needed)
            break;
        *first = height;
    }
    return DSMR_OK;
}

static enum dsmr_err restore_block(const struct recovery *r, uint64_t height)
{
    struct dsmr_block *block = NULL;
    bool has_finalization;
    enum dsmr_err err = load_block(r->driver, &block, NULL, &has_finalization, height);
    if (err != DSMR_OK)
        return err;
    struct dsmr_event event = {.kind = DSMR_EV_RESTORE_BLOCK};
    event.u.restore_block.block = block;
    event.u.restore_block.is_executed = height <= r->executed_height;
    event.u.restore_block.is_above_pointer = height > r->tip_height;
    dsmr_driver_core_event(r->driver, &event);
    dsmr_block_unref(block);
    return DSMR_OK;
}

/* A block that has to be accepted again, and to run, or that another one replaces: for the store
 * its chunks and certificates are a block's, but for the core they wait like any others. */
static enum dsmr_err restore_waiting(struct recovery *r, bool is_certs)
{
    const struct dsmr_store *store = &r->driver->config.store;
    uint64_t height = r->tip_height > r->executed_height ? r->tip_height : r->executed_height;
    enum dsmr_err err = DSMR_OK;
    while (err == DSMR_OK && ++height <= r->stored_height) {
        struct dsmr_block *block = NULL;
        bool has_finalization;
        err = load_block(r->driver, &block, NULL, &has_finalization, height);
        for (uint32_t i = 0; err == DSMR_OK && i < block->certs_count; i++) {
            struct dsmr_store_chunk_meta meta;
            if (is_certs)
                err = on_cert(r, &block->certs[i]);
            else if (store->ops->load_chunk_meta(store->self, &meta,
                                                 &block->certs[i].ref.chunk_id) == DSMR_OK)
                err = on_chunk(r, &meta); /* else it was never here */
        }
        dsmr_block_unref(block);
    }
    return err;
}

/* Up to the tip; above it what has been executed. */
static enum dsmr_err restore_blocks(const struct recovery *r)
{
    uint64_t first = 1;
    uint64_t last = r->executed_height > r->tip_height ? r->executed_height : r->tip_height;
    enum dsmr_err err = DSMR_OK;
    if (r->tip_height > 0)
        err = first_block(r->driver, &first, r->tip_height, r->executed_height);
    for (uint64_t height = first; err == DSMR_OK && height <= last; height++)
        err = restore_block(r, height);
    return err;
}

static enum dsmr_err restore_executed(struct dsmr_driver *driver, struct dsmr_kv_txn *txn,
                                      const struct dsmr_exec_head *head)
{
    const struct dsmr_params *params = &driver->config.node.params;
    uint64_t first = head->height + 1;
    enum dsmr_err err = DSMR_OK;
    /* An id matters while its expiry has not been passed by an executed block: expiries are at
     * most a window after the block's time. */
    for (uint64_t height = head->height; height >= 1; height--) {
        struct dsmr_executed *executed = NULL;
        dsmr_exec_record_advise(&driver->config.kv, height - 1, true);
        err = dsmr_exec_record_get(&executed, NULL, &driver->config.kv, txn, height);
        if (err == DSMR_ERR_UNKNOWN && height < head->height && params->retention_ms != UINT64_MAX)
            break; /* dropped: what is older than the retention time is older than the window */
        if (err != DSMR_OK)
            return err == DSMR_ERR_UNKNOWN ? DSMR_ERR_CORRUPT : err;
        bool is_needed = head->time_ms - executed->time_ms <= params->validity_window_ms;
        dsmr_executed_unref(executed);
        if (!is_needed)
            break;
        first = height;
    }
    for (uint64_t height = first; height <= head->height; height++) {
        struct dsmr_executed *executed = NULL;
        uint64_t *expiries_ms = NULL;
        err = dsmr_exec_record_get(&executed, &expiries_ms, &driver->config.kv, txn, height);
        if (err != DSMR_OK)
            return err;
        struct dsmr_event event = {.kind = DSMR_EV_RESTORE_EXECUTED};
        event.u.restore_executed.height = height;
        event.u.restore_executed.time_ms = executed->time_ms;
        event.u.restore_executed.ids = executed->ids;
        event.u.restore_executed.expiries_ms = expiries_ms;
        event.u.restore_executed.count = executed->count;
        event.u.restore_executed.state_root = executed->state_root;
        dsmr_driver_core_event(driver, &event);
        dsmr_executed_unref(executed);
        free(expiries_ms);
    }
    return DSMR_OK;
}

static enum dsmr_err new_engine(struct dsmr_driver *driver, uint64_t last_height)
{
    if (driver->config.bft.schedule == NULL)
        return DSMR_OK;
    struct dsmr_block *last = NULL;
    struct dsmr_quorum_cert finalization;
    bool has_finalization = false;
    enum dsmr_err err = DSMR_OK;
    if (last_height == 0)
        last = dsmr_block_ref(driver->config.genesis);
    else
        err = load_block(driver, &last, &finalization, &has_finalization, last_height);
    if (err != DSMR_OK)
        return err;
    driver->config.bft.last_accepted = last;
    driver->config.bft.finalization = has_finalization ? &finalization : NULL;
    driver->bft = dsmr_bft_new(&driver->config.bft);
    driver->config.bft.last_accepted = NULL;
    driver->config.bft.finalization = NULL;
    dsmr_block_unref(last);
    driver->config.engine = (struct dsmr_engine){.self = driver, .ops = &dsmr_bft_bridge_engine};
    return driver->bft == NULL ? DSMR_ERR_NO_MEMORY : DSMR_OK;
}

static void restore_sets(struct dsmr_driver *driver)
{
    for (uint32_t i = 0; i < driver->config.bft.schedule_count; i++) {
        struct dsmr_event event = {.kind = DSMR_EV_SET};
        event.u.set = driver->config.bft.schedule[i].set;
        dsmr_driver_core_event(driver, &event);
    }
}

static enum dsmr_err restore_evidence(struct dsmr_driver *driver)
{
    const struct dsmr_store *store = &driver->config.store;
    struct dsmr_evidence evidence;
    uint64_t cursor = 0;
    enum dsmr_err err;
    while ((err = store->ops->next_evidence(store->self, &evidence, &cursor)) == DSMR_OK) {
        struct dsmr_event event = {.kind = DSMR_EV_RESTORE_EVIDENCE, .u.evidence = &evidence};
        dsmr_driver_core_event(driver, &event);
    }
    if (err == DSMR_ERR_CORRUPT) /* no promise of ours: not worth a validator's standing still */
        dsmr_driver_log(driver, DSMR_LOG_WARN, "store",
                        "a record of evidence is damaged: it and those behind it are not served");
    return err == DSMR_ERR_UNKNOWN || err == DSMR_ERR_CORRUPT ? DSMR_OK : err;
}

enum dsmr_driver_part dsmr_driver_recovered_to(const struct dsmr_driver *driver,
                                               const char **reason)
{
    *reason = driver->recovery_reason;
    return driver->recovered_to;
}

static enum dsmr_err restore_all(struct recovery *r, struct dsmr_kv_txn *txn,
                                 const struct dsmr_exec_head *head)
{
    struct dsmr_driver *driver = r->driver;
    const struct dsmr_store *store = &driver->config.store;
    struct dsmr_store_visitor promises = {
        .ctx = r, .floor = on_floor, .journal = on_journal, .chunk = on_chunk};
    struct dsmr_store_visitor rest = {.ctx = r, .cert = on_cert, .bft = on_bft};
    restore_sets(driver);
    enum dsmr_err err = store->ops->recover(store->self, &promises);
    if (err == DSMR_OK)
        err = restore_waiting(r, false);
    if (err == DSMR_OK)
        err = restore_blocks(r);
    if (err == DSMR_OK) {
        driver->recovered_to = DSMR_DRIVER_PART_STATE;
        err = restore_executed(driver, txn, head);
    }
    if (err == DSMR_OK) {
        driver->recovered_to = DSMR_DRIVER_PART_CONSENSUS;
        err = new_engine(driver, r->tip_height);
    }
    if (err == DSMR_OK)
        err = store->ops->recover(store->self, &rest);
    if (err == DSMR_OK)
        err = restore_waiting(r, true);
    return err == DSMR_OK ? restore_evidence(driver) : err;
}

static enum dsmr_err refuse(struct dsmr_driver *driver, const char *reason)
{
    driver->recovery_reason = reason;
    return DSMR_ERR_CORRUPT;
}

/* Up to where blocks are accepted: the engine's word, if our disk has that block. */
static enum dsmr_err find_tip(struct recovery *r)
{
    struct dsmr_driver *driver = r->driver;
    const struct dsmr_store *store = &driver->config.store;
    const struct dsmr_engine_tip *tip = &driver->config.engine_tip;
    struct dsmr_id id;
    uint64_t height = 0;
    enum dsmr_err err = store->ops->last_accepted(store->self, &r->stored_height, &id);
    if (err != DSMR_OK && err != DSMR_ERR_UNKNOWN)
        return err;
    r->tip_height = r->stored_height;
    if (r->executed_height > r->stored_height)
        return refuse(driver, "the state is ahead of the last accepted block: data/consensus and "
                              "data/state do not belong together");
    if (!driver->config.has_engine_tip)
        return DSMR_OK;
    err = dsmr_id_equal(&tip->block_id, &driver->config.genesis->id)
              ? DSMR_OK
              : store->ops->find_block(store->self, &height, &tip->block_id);
    if (err == DSMR_ERR_UNKNOWN || (err == DSMR_OK && height != tip->height))
        return refuse(driver, "the block at which the engine stands is not in data/consensus: they "
                              "do not belong together");
    r->tip_height = height;
    return err;
}

enum dsmr_err dsmr_driver_recover(struct dsmr_driver *driver)
{
    const struct dsmr_kv *kv = &driver->config.kv;
    struct recovery r = {.driver = driver};
    struct dsmr_exec_head head;
    struct dsmr_kv_txn *txn = NULL;
    driver->recovered_to = DSMR_DRIVER_PART_STATE;
    enum dsmr_err err = dsmr_execute_genesis(driver);
    if (err == DSMR_OK)
        err = kv->ops->begin(kv->self, &txn, false);
    if (err == DSMR_OK)
        err = dsmr_exec_record_head(&head, kv, txn);
    if (err == DSMR_OK) {
        r.executed_height = head.height;
        driver->recovered_to = DSMR_DRIVER_PART_CONSENSUS;
        err = find_tip(&r);
    }
    if (err == DSMR_OK)
        err = restore_all(&r, txn, &head);
    if (txn != NULL)
        kv->ops->abort(kv->self, txn);
    if (err != DSMR_OK) {
        const char *reason = driver->recovery_reason;
        dsmr_driver_log(driver, DSMR_LOG_ERROR, "store",
                        reason != NULL ? reason : dsmr_err_text(err));
        return err;
    }
    driver->is_started = true;
    dsmr_validator_sets_serve(driver);
    struct dsmr_event event = {.kind = DSMR_EV_START};
    event.u.start.state_root = head.state_root;
    event.u.start.executed_height = head.height;
    event.u.start.has_blocks = r.stored_height > 0;
    dsmr_driver_core_event(driver, &event);
    struct dsmr_bft_event bft_event = {.kind = DSMR_BFT_EV_START};
    dsmr_driver_bft_event(driver, &bft_event);
    dsmr_driver_pump(driver);
    return DSMR_OK;
}
