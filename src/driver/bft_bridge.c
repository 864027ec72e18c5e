/* bft_bridge.c - does what the built-in engine asks for, and is the core's engine in its name. */
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "driver/driver_state.h"

/* The block layer's answers go back to the engine with the request_id that it gave. */
static void built(void *self, uint64_t request_id, enum dsmr_err err, struct dsmr_block *block)
{
    struct dsmr_bft_event event = {.kind = DSMR_BFT_EV_BUILT, .request_id = request_id, .err = err};
    event.u.built = block;
    dsmr_driver_bft_event(self, &event);
}

static void verdict(void *self, uint64_t request_id, enum dsmr_err err)
{
    struct dsmr_bft_event event = {
        .kind = DSMR_BFT_EV_VERDICT, .request_id = request_id, .err = err};
    dsmr_driver_bft_event(self, &event);
    dsmr_alarms_on_verdict(self);
}

static void accepted(void *self, uint64_t request_id, enum dsmr_err err)
{
    (void)request_id;
    /* The engine accepts only what the core has verified, on what it has accepted: a refusal means
     * that their views of the chain have come apart, and going on would only hide it. */
    if (err != DSMR_OK && err != DSMR_ERR_DUPLICATE)
        dsmr_driver_halt_store(self, err, "an accepted block could not be recorded");
}

static void ready(void *self, bool is_ready)
{
    struct dsmr_bft_event event = {.kind = DSMR_BFT_EV_WANTED, .u.wanted = is_ready};
    dsmr_driver_bft_event(self, &event);
}

const struct dsmr_engine_ops dsmr_bft_bridge_engine = {
    .built = built, .verdict = verdict, .accepted = accepted, .ready = ready};

static void send(struct dsmr_driver *driver, const struct dsmr_bft_effect *fx)
{
    struct dsmr_buf *body = fx->u.send.body;
    const uint8_t *bytes = body == NULL ? NULL : body->bytes;
    uint32_t len = body == NULL ? 0 : body->len;
    if (fx->kind == DSMR_BFT_FX_SEND)
        dsmr_driver_send(driver, &fx->u.send.to, fx->u.send.cls, fx->u.send.head, body, bytes, len);
    else
        dsmr_driver_broadcast(driver, fx->u.send.set, fx->u.send.cls, fx->u.send.head, body, bytes,
                              len);
}

/* The core stores the block when it has accepted it; the finalization is kept for that moment. */
static void accept(struct dsmr_driver *driver, const struct dsmr_bft_effect *fx)
{
    struct dsmr_driver_accept *slot = &driver->accepts[driver->accepts_next];
    driver->accepts_next = (driver->accepts_next + 1) % DSMR_DRIVER_ACCEPTS_MAX;
    slot->block_id = fx->u.block.block->id;
    slot->is_used = true;
    slot->has_finalization = fx->u.block.has_finalization;
    slot->finalization = fx->u.block.finalization;
    dsmr_driver_accept(driver, fx->request_id, &fx->u.block.block->id);
}

bool dsmr_bft_bridge_do(struct dsmr_driver *driver, struct dsmr_bft_effect *fx)
{
    switch (fx->kind) {
    case DSMR_BFT_FX_SEND:
    case DSMR_BFT_FX_BROADCAST:
        send(driver, fx);
        return false;
    case DSMR_BFT_FX_SIGN:
    case DSMR_BFT_FX_AGGREGATE:
    case DSMR_BFT_FX_CHECK_QC:
        dsmr_crypto_tasks_bft(driver, fx);
        return true;
    case DSMR_BFT_FX_STORE:
    case DSMR_BFT_FX_PRUNE:
        dsmr_store_tasks_bft(driver, fx);
        return true;
    case DSMR_BFT_FX_BUILD:
        dsmr_driver_build(driver, fx->request_id, &fx->u.block.parent_id, fx->u.block.epoch);
        return false;
    case DSMR_BFT_FX_VERIFY:
        dsmr_driver_verify(driver, fx->request_id, fx->u.block.block, fx->u.block.epoch);
        return false;
    case DSMR_BFT_FX_ACCEPT:
        accept(driver, fx);
        return false;
    case DSMR_BFT_FX_REJECT:
        dsmr_driver_reject(driver, &fx->u.block.block->id);
        return false;
    case DSMR_BFT_FX_PREFER:
        dsmr_driver_prefer(driver, &fx->u.block.parent_id);
        return false;
    case DSMR_BFT_FX_SERVE_BLOCKS:
        dsmr_store_tasks_serve_blocks(driver, &fx->u.serve.peer, fx->u.serve.from_height);
        return false;
    case DSMR_BFT_FX_SERVE_BLOCK:
        dsmr_store_tasks_serve_block(driver, &fx->u.block.peer, &fx->u.block.parent_id);
        return false;
    case DSMR_BFT_FX_FAULT:
        dsmr_metrics_count_error(driver->config.metrics, fx->u.fault.err);
        dsmr_driver_fault(driver, &fx->u.fault.peer, fx->u.fault.err);
        return false;
    case DSMR_BFT_FX_TRACE:
        if (fx->u.trace.what == DSMR_BFT_TRACE_NULLIFIED)
            dsmr_metrics_add(driver->config.metrics, DSMR_METRIC_VIEW_CHANGES, 1);
        else if (fx->u.trace.what == DSMR_BFT_TRACE_TIMEOUT)
            dsmr_metrics_add(driver->config.metrics, DSMR_METRIC_VIEW_TIMEOUTS, 1);
        else if (fx->u.trace.what == DSMR_BFT_TRACE_SKIPPED)
            dsmr_metrics_add(driver->config.metrics, DSMR_METRIC_VIEWS_SKIPPED, 1);
        else if (fx->u.trace.what == DSMR_BFT_TRACE_FINALIZED)
            dsmr_metrics_add(driver->config.metrics, DSMR_METRIC_FINALIZED, 1);
        else if (fx->u.trace.what == DSMR_BFT_TRACE_VOTES_FROM && fx->u.trace.b > 1)
            dsmr_driver_log(driver, DSMR_LOG_WARN, "bft",
                            "the chain is older than this node's journal of votes: it votes again "
                            "when the views are over in which it may have voted");
        return false;
    }
    DSMR_UNREACHABLE();
}
