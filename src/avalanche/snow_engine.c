#include "avalanche/snow_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 3, 4))) void dsmr_snow_say(const struct dsmr_snow_engine *engine,
                                                         enum dsmr_log_level level,
                                                         const char *format, ...)
{
    char text[256];
    va_list args;
    if (engine->config.log.ops == NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    engine->config.log.ops->line(engine->config.log.self, level, "snow", text);
}

/* ---- requests to the driver ---- */

struct dsmr_snow_request *dsmr_snow_take_request(struct dsmr_snow_engine *engine,
                                                 enum dsmr_snow_kind kind,
                                                 struct dsmr_grpc_call *call)
{
    for (uint32_t i = 0; i < DSMR_SNOW_ENGINE_REQUESTS_MAX; i++) {
        struct dsmr_snow_request *request = &engine->requests[i];
        if (request->id == 0) {
            *request = (struct dsmr_snow_request){
                .id = ++engine->last_request, .kind = kind, .call = call};
            return request;
        }
    }
    dsmr_grpc_server_fail(call, DSMR_GRPC_RESOURCE_EXHAUSTED, "too many calls at once");
    return NULL;
}

struct dsmr_snow_request *dsmr_snow_find_request(struct dsmr_snow_engine *engine, uint64_t id)
{
    for (uint32_t i = 0; i < DSMR_SNOW_ENGINE_REQUESTS_MAX; i++)
        if (engine->requests[i].id == id)
            return &engine->requests[i];
    return NULL;
}

void dsmr_snow_end_request(struct dsmr_snow_request *request)
{
    dsmr_block_unref(request->block);
    dsmr_block_unref(request->restored);
    memset(request, 0, sizeof *request);
}

void dsmr_snow_fail(struct dsmr_grpc_call *call, enum dsmr_err err)
{
    dsmr_grpc_server_fail(call, DSMR_GRPC_FAILED_PRECONDITION, dsmr_err_text(err));
}

void dsmr_snow_note_bad_id(const struct dsmr_snow_engine *engine)
{
    if (engine->config.metrics != NULL)
        dsmr_metrics_count_error(engine->config.metrics, DSMR_ERR_MALFORMED);
}

bool dsmr_snow_is_closed(const struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call)
{
    if (engine->closed[0] == '\0')
        return false;
    dsmr_grpc_server_fail(call, DSMR_GRPC_UNAVAILABLE, engine->closed);
    return true;
}

/* ---- states ---- */

void dsmr_snow_engine_answer_initialize(struct dsmr_snow_engine *engine,
                                        struct dsmr_grpc_call *call)
{
    const struct dsmr_block *block = engine->last_accepted;
    Dsmr__Pb__Timestamp time;
    Dsmr__Pb__InitializeResponse response = DSMR__PB__INITIALIZE_RESPONSE__INIT;
    dsmr_pb_time(&time, block->time_ms);
    DSMR_PB_BYTES(&response, last_accepted_id, block->id.bytes, sizeof block->id.bytes);
    DSMR_PB_BYTES(&response, last_accepted_parent_id, block->parent_id.bytes,
                  sizeof block->parent_id.bytes);
    DSMR_PB_SET(&response, height, block->height);
    DSMR_PB_BYTES(&response, bytes, block->bytes->bytes, block->bytes->len);
    response.timestamp = &time;
    dsmr_pb_reply(call, &response.base);
}

void dsmr_snow_engine_set_state(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                                const struct dsmr_buf *request)
{
    if (dsmr_snow_is_closed(engine, call))
        return;
    Dsmr__Pb__SetStateRequest *message = dsmr_pb_read(
        engine->config.metrics, call, &dsmr__pb__set_state_request__descriptor, request);
    if (message == NULL)
        return;
    engine->is_bootstrapping = message->state != DSMR__PB__STATE__STATE_NORMAL_OP;
    protobuf_c_message_free_unpacked(&message->base, NULL);
    dsmr_driver_set_bootstrapping(engine->driver, engine->is_bootstrapping);
    const struct dsmr_block *block = engine->last_accepted;
    Dsmr__Pb__Timestamp time;
    Dsmr__Pb__SetStateResponse response = DSMR__PB__SET_STATE_RESPONSE__INIT;
    dsmr_pb_time(&time, block->time_ms);
    DSMR_PB_BYTES(&response, last_accepted_id, block->id.bytes, sizeof block->id.bytes);
    DSMR_PB_BYTES(&response, last_accepted_parent_id, block->parent_id.bytes,
                  sizeof block->parent_id.bytes);
    DSMR_PB_SET(&response, height, block->height);
    DSMR_PB_BYTES(&response, bytes, block->bytes->bytes, block->bytes->len);
    response.timestamp = &time;
    dsmr_pb_reply(call, &response.base);
}

/* ---- time ---- */

void dsmr_snow_engine_tick(struct dsmr_snow_engine *engine)
{
    uint64_t now = dsmr_snow_now_ms(engine);
    for (uint32_t i = 0; i < DSMR_SNOW_ENGINE_REQUESTS_MAX; i++) {
        struct dsmr_snow_request *request = &engine->requests[i];
        if (request->id != 0 && request->again_ms != 0 && request->again_ms <= now)
            dsmr_snow_advance(engine, request);
    }
    if (engine->closed[0] == '\0')
        dsmr_snow_tell_waiters(engine);
}

uint64_t dsmr_snow_engine_deadline_ms(const struct dsmr_snow_engine *engine)
{
    uint64_t deadline_ms = UINT64_MAX;
    for (uint32_t i = 0; i < DSMR_SNOW_ENGINE_REQUESTS_MAX; i++) {
        const struct dsmr_snow_request *request = &engine->requests[i];
        if (request->id != 0 && request->again_ms != 0 && request->again_ms < deadline_ms)
            deadline_ms = request->again_ms;
    }
    if (engine->is_ready && engine->waiters_count > 0 && engine->held_until_ms < deadline_ms)
        deadline_ms = engine->held_until_ms;
    return deadline_ms;
}

/* ---- the engine ---- */

static const struct dsmr_engine_ops engine_ops = {.built = dsmr_snow_on_built,
                                                  .verdict = dsmr_snow_on_verdict,
                                                  .accepted = dsmr_snow_on_accepted,
                                                  .ready = dsmr_snow_on_ready};

struct dsmr_engine dsmr_snow_engine_port(struct dsmr_snow_engine *engine)
{
    return (struct dsmr_engine){.self = engine, .ops = &engine_ops};
}

struct dsmr_snow_engine *dsmr_snow_engine_new(const struct dsmr_snow_engine_config *config)
{
    struct dsmr_snow_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL)
        return NULL;
    engine->config = *config;
    dsmr_block_ref(engine->config.genesis);
    engine->blocks = dsmr_map_new(sizeof(struct dsmr_id), sizeof(struct dsmr_snow_block),
                                  DSMR_SNOW_ENGINE_BLOCKS_MAX, config->seed);
    if (engine->blocks == NULL) {
        dsmr_snow_engine_free(engine);
        return NULL;
    }
    return engine;
}

void dsmr_snow_engine_attach(struct dsmr_snow_engine *engine, struct dsmr_driver *driver,
                             const struct dsmr_query *query, struct dsmr_block *last_accepted)
{
    engine->driver = driver;
    engine->query = *query;
    engine->last_accepted = dsmr_block_ref(last_accepted);
    engine->preferred = last_accepted->id;
}

void dsmr_snow_engine_close(struct dsmr_snow_engine *engine, const char *reason)
{
    if (engine->closed[0] != '\0')
        return;
    snprintf(engine->closed, sizeof engine->closed, "%s", reason[0] != '\0' ? reason : "closed");
    for (uint32_t i = 0; i < DSMR_SNOW_ENGINE_REQUESTS_MAX; i++) {
        struct dsmr_snow_request *request = &engine->requests[i];
        if (request->id == 0)
            continue;
        dsmr_grpc_server_fail(request->call, DSMR_GRPC_UNAVAILABLE, engine->closed);
        dsmr_snow_end_request(request);
    }
    for (uint32_t i = 0; i < engine->waiters_count; i++)
        dsmr_grpc_server_fail(engine->waiters[i], DSMR_GRPC_UNAVAILABLE, engine->closed);
    engine->waiters_count = 0;
}

void dsmr_snow_engine_free(struct dsmr_snow_engine *engine)
{
    if (engine == NULL)
        return;
    size_t position = 0;
    const void *key;
    void *value;
    while (engine->blocks != NULL && dsmr_map_next(engine->blocks, &position, &key, &value))
        dsmr_block_unref(((struct dsmr_snow_block *)value)->block);
    dsmr_map_free(engine->blocks);
    dsmr_block_unref(engine->last_accepted);
    dsmr_block_unref(engine->config.genesis);
    free(engine);
}
