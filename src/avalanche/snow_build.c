#include "avalanche/snow_state.h"

#include <string.h>

#include "base/bytes.h"

/* After a build that failed the event is held back, doubling up to the maximum: AvalancheGo asks
 * again at once, whatever the reason was. */
#define HOLD_MIN_MS 50u
#define HOLD_MAX_MS 1000u

/* ---- something to build ---- */

static void hold(struct dsmr_snow_engine *engine)
{
    uint32_t doubled = engine->hold_ms * 2u < HOLD_MIN_MS ? HOLD_MIN_MS : engine->hold_ms * 2u;
    engine->hold_ms = doubled < HOLD_MAX_MS ? doubled : HOLD_MAX_MS;
    engine->held_until_ms = dsmr_snow_now_ms(engine) + engine->hold_ms;
}

/* False: not yet, and the event is held back. */
static bool may_build(struct dsmr_snow_engine *engine)
{
    const struct dsmr_snow_engine_config *config = &engine->config;
    if (engine->last_accepted->height > 0 || config->may_begin == NULL ||
        config->may_begin(config->ctx))
        return true;
    hold(engine);
    return false;
}

void dsmr_snow_tell_waiters(struct dsmr_snow_engine *engine)
{
    if (!engine->is_ready || engine->waiters_count == 0 ||
        dsmr_snow_now_ms(engine) < engine->held_until_ms || !may_build(engine))
        return;
    Dsmr__Pb__WaitForEventResponse response = DSMR__PB__WAIT_FOR_EVENT_RESPONSE__INIT;
    DSMR_PB_SET(&response, message, DSMR__PB__MESSAGE__MESSAGE_BUILD_BLOCK);
    for (uint32_t i = 0; i < engine->waiters_count; i++)
        dsmr_pb_reply(engine->waiters[i], &response.base);
    engine->waiters_count = 0;
}

void dsmr_snow_on_ready(void *self, bool is_ready)
{
    struct dsmr_snow_engine *engine = self;
    engine->is_ready = is_ready;
    dsmr_snow_tell_waiters(engine);
}

static void hold_no_more(struct dsmr_snow_engine *engine)
{
    engine->hold_ms = 0;
    engine->held_until_ms = 0;
    dsmr_snow_tell_waiters(engine);
}

void dsmr_snow_engine_wait_for_event(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call)
{
    if (dsmr_snow_is_closed(engine, call))
        return;
    if (engine->waiters_count ==
        DSMR_SNOW_WAITERS_MAX) { /* the oldest should have been cancelled */
        dsmr_grpc_server_fail(engine->waiters[0], DSMR_GRPC_RESOURCE_EXHAUSTED, "asked again");
        engine->waiters_count--;
        memmove(&engine->waiters[0], &engine->waiters[1],
                engine->waiters_count * sizeof engine->waiters[0]);
    }
    engine->waiters[engine->waiters_count++] = call;
    dsmr_snow_tell_waiters(engine);
}

void dsmr_snow_engine_cancelled(struct dsmr_snow_engine *engine, uint64_t serial)
{
    for (uint32_t i = 0; i < engine->waiters_count; i++) {
        if (dsmr_grpc_server_serial(engine->waiters[i]) != serial)
            continue;
        dsmr_grpc_server_fail(engine->waiters[i], DSMR_GRPC_UNAVAILABLE, "cancelled");
        engine->waiters_count--;
        memmove(&engine->waiters[i], &engine->waiters[i + 1],
                (engine->waiters_count - i) * sizeof engine->waiters[0]);
        return;
    }
}

/* ---- build ---- */

void dsmr_snow_engine_build(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                            const struct dsmr_buf *request)
{
    if (dsmr_snow_is_closed(engine, call))
        return;
    Dsmr__Pb__BuildBlockRequest *message = dsmr_pb_read(
        engine->config.metrics, call, &dsmr__pb__build_block_request__descriptor, request);
    struct dsmr_snow_request *build =
        message != NULL ? dsmr_snow_take_request(engine, DSMR_SNOW_BUILD, call) : NULL;
    if (build != NULL) {
        build->needs = engine->preferred;
        build->context = message->has_p_chain_height ? message->p_chain_height : DSMR_EPOCH_NONE;
        dsmr_snow_advance(engine, build);
    }
    if (message != NULL)
        protobuf_c_message_free_unpacked(&message->base, NULL);
}

void dsmr_snow_on_built(void *self, uint64_t request_id, enum dsmr_err err,
                        struct dsmr_block *block)
{
    struct dsmr_snow_engine *engine = self;
    struct dsmr_snow_request *request = dsmr_snow_find_request(engine, request_id);
    if (request == NULL)
        return;
    if (err == DSMR_ERR_BUSY && dsmr_snow_make_room(engine, request)) {
        dsmr_snow_advance(engine, request);
        return;
    }
    struct dsmr_grpc_call *call = request->call;
    dsmr_snow_end_request(request);
    if (err == DSMR_OK && !dsmr_snow_keep(engine, block))
        err = DSMR_ERR_FULL;
    if (err != DSMR_OK) {
        hold(engine);
        dsmr_snow_fail(call, err);
        return;
    }
    hold_no_more(engine);
    Dsmr__Pb__Timestamp time;
    Dsmr__Pb__BuildBlockResponse response = DSMR__PB__BUILD_BLOCK_RESPONSE__INIT;
    dsmr_pb_time(&time, block->time_ms);
    DSMR_PB_BYTES(&response, id, block->id.bytes, sizeof block->id.bytes);
    DSMR_PB_BYTES(&response, parent_id, block->parent_id.bytes, sizeof block->parent_id.bytes);
    DSMR_PB_BYTES(&response, bytes, block->bytes->bytes, block->bytes->len);
    DSMR_PB_SET(&response, height, block->height);
    DSMR_PB_SET(&response, verify_with_context, true);
    response.timestamp = &time;
    dsmr_pb_reply(call, &response.base);
}

/* ---- preference ---- */

void dsmr_snow_engine_prefer(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                             const struct dsmr_buf *request)
{
    struct dsmr_id id;
    if (dsmr_snow_is_closed(engine, call))
        return;
    Dsmr__Pb__SetPreferenceRequest *message = dsmr_pb_read(
        engine->config.metrics, call, &dsmr__pb__set_preference_request__descriptor, request);
    if (message == NULL)
        return;
    bool is_id = dsmr_pb_id(&id, message->id);
    protobuf_c_message_free_unpacked(&message->base, NULL);
    if (!is_id)
        dsmr_snow_note_bad_id(engine);
    if (is_id && !dsmr_id_equal(&id, &engine->preferred)) {
        engine->preferred = id;
        dsmr_driver_prefer(engine->driver, &id);
        engine->hold_ms = 0; /* another parent, another answer */
        engine->held_until_ms = 0;
    }
    if (is_id && dsmr_snow_is_forgotten(engine, &id)) {
        struct dsmr_snow_request *prefer = dsmr_snow_take_request(engine, DSMR_SNOW_PREFER, call);
        if (prefer != NULL) {
            prefer->needs = id;
            dsmr_snow_advance(engine, prefer);
        }
        return;
    }
    dsmr_grpc_server_reply(call, NULL, 0);
}
