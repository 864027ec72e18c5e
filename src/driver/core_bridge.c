/* core_bridge.c - does what the core asks for. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "driver/driver_state.h"

static const struct dsmr_engine *engine_of(const struct dsmr_driver *driver)
{
    return &driver->config.engine;
}

static void submitted(struct dsmr_driver *driver, const struct dsmr_effect *fx)
{
    struct dsmr_submit_batch *batch = (struct dsmr_submit_batch *)(uintptr_t)fx->request_id;
    /* The core has counted the errors. It gives no verdicts when it is out of memory. */
    DSMR_ASSERT(fx->u.submitted.count == batch->count || fx->u.submitted.count == 0);
    for (uint32_t i = 0; i < batch->count; i++)
        batch->txs[i].err =
            fx->u.submitted.count == 0 ? DSMR_ERR_NO_MEMORY : fx->u.submitted.errs[i];
    struct dsmr_notice notice = {.kind = DSMR_NOTICE_SUBMITTED, .u.batch = batch};
    driver->config.feed.ops->publish(driver->config.feed.self, &notice);
}

static void notice(struct dsmr_driver *driver, const struct dsmr_effect *fx)
{
    if (driver->config.feed.ops == NULL)
        return;
    struct dsmr_notice out = {.kind = DSMR_NOTICE_BUILT, .u.chunk = fx->u.notice.chunk};
    switch (fx->u.notice.what) {
    case DSMR_NOTICE_OWN_BUILT:
        out.kind = DSMR_NOTICE_BUILT;
        break;
    case DSMR_NOTICE_OWN_CERTIFIED:
        out.kind = DSMR_NOTICE_CERTIFIED;
        break;
    case DSMR_NOTICE_OWN_RETURNED:
        out.kind = DSMR_NOTICE_RETURNED;
        break;
    case DSMR_NOTICE_TXS_EXPIRED:
        out.kind = DSMR_NOTICE_EXPIRED;
        out.u.expired.ids = fx->u.notice.tx_ids;
        out.u.expired.count = fx->u.notice.tx_ids_count;
        break;
    }
    driver->config.feed.ops->publish(driver->config.feed.self, &out);
}

static void send(struct dsmr_driver *driver, const struct dsmr_effect *fx)
{
    const struct dsmr_chunk *body = fx->u.send.body;
    struct dsmr_buf *owner = body == NULL ? NULL : body->owner;
    const uint8_t *bytes = body == NULL ? NULL : body->bytes;
    uint32_t len = body == NULL ? 0 : body->ref.chunk_bytes;
    enum dsmr_msg_class cls = (enum dsmr_msg_class)fx->u.send.cls;
    if (fx->kind == DSMR_FX_SEND)
        dsmr_driver_send(driver, &fx->u.send.to, cls, fx->u.send.head, owner, bytes, len);
    else
        dsmr_driver_broadcast(driver, fx->u.send.set, cls, fx->u.send.head, owner, bytes, len);
}

static void answer(struct dsmr_driver *driver, const struct dsmr_effect *fx)
{
    const struct dsmr_engine *engine = engine_of(driver);
    if (fx->kind == DSMR_FX_BUILT) {
        engine->ops->built(engine->self, fx->request_id, fx->u.answer.err, fx->u.answer.block);
    } else if (fx->kind == DSMR_FX_VERDICT) {
        engine->ops->verdict(engine->self, fx->request_id, fx->u.answer.err);
    } else {
        if (fx->u.answer.err == DSMR_OK)
            dsmr_validator_sets_serve(driver);
        engine->ops->accepted(engine->self, fx->request_id, fx->u.answer.err);
    }
}

bool dsmr_core_bridge_do(struct dsmr_driver *driver, struct dsmr_effect *fx)
{
    const struct dsmr_engine *engine = engine_of(driver);
    switch (fx->kind) {
    case DSMR_FX_SEND:
    case DSMR_FX_BROADCAST:
        send(driver, fx);
        return false;
    case DSMR_FX_STORE_CHUNK:
    case DSMR_FX_STORE_CERT:
    case DSMR_FX_STORE_ACCEPT:
    case DSMR_FX_STORE_EVIDENCE:
    case DSMR_FX_STORE_GC:
        dsmr_store_tasks_core(driver, fx);
        return true;
    case DSMR_FX_SIGN:
    case DSMR_FX_VERIFY_CHUNK:
    case DSMR_FX_VERIFY_SIG:
    case DSMR_FX_AGGREGATE:
    case DSMR_FX_VERIFY_CERTS:
        dsmr_crypto_tasks_core(driver, fx);
        return true;
    case DSMR_FX_LOAD_CHUNK:
    case DSMR_FX_LOAD_BLOCK:
        dsmr_store_tasks_load(driver, fx);
        return true;
    case DSMR_FX_SERVE_CHUNK:
        dsmr_store_tasks_serve_chunk(driver, fx);
        return false;
    case DSMR_FX_EXECUTE:
        dsmr_execute_add(driver, fx->u.execute, fx->request_id);
        return true;
    case DSMR_FX_BLOCK_READY:
        engine->ops->ready(engine->self, fx->u.block_ready);
        return false;
    case DSMR_FX_BUILT:
    case DSMR_FX_VERDICT:
    case DSMR_FX_ACCEPTED:
        answer(driver, fx);
        return false;
    case DSMR_FX_SUBMITTED:
        submitted(driver, fx);
        return false;
    case DSMR_FX_NOTICE:
        notice(driver, fx);
        return false;
    case DSMR_FX_WANT_SET:
        dsmr_validator_sets_want(driver, fx->u.want_set);
        return false;
    case DSMR_FX_FAULT:
        dsmr_driver_fault(driver, &fx->u.fault.peer, fx->u.fault.err);
        return false;
    case DSMR_FX_HALT:
        dsmr_driver_halt(driver, DSMR_ERR_HALTED, fx->u.halt);
        return false;
    case DSMR_FX_TRACE:
        return false;
    }
    DSMR_UNREACHABLE();
}
