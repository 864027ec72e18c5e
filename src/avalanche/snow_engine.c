#include "avalanche/snow_engine.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avalanche/pb.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "base/map.h"
#include "wire/codec.h"

#define POINTER_KEY "dsmr/last_accepted"
#define POINTER_BYTES (8u + 32u)
#define DB_TIMEOUT_MS 10000u
#define WAITERS_MAX 4u
#define RETRY_MS 20u
#define BOOTSTRAP_FACTOR 10u
/* After a build that failed the event is held back, doubling up to the maximum: AvalancheGo asks
 * again at once, whatever the reason was. */
#define HOLD_MIN_MS 50u
#define HOLD_MAX_MS 1000u
#define ANCESTORS_OVERHEAD_BYTES 4u /* of each block in the peers' message */

enum kind { KIND_BUILD, KIND_VERIFY, KIND_ACCEPT };

struct request { /* a call that waits for the driver; id 0: free */
    uint64_t id;
    enum kind kind;
    struct dsmr_grpc_call *call;
    struct dsmr_block *block; /* VERIFY, ACCEPT */
    uint64_t context;
    uint64_t until_ms; /* VERIFY: no later try after it */
    uint64_t again_ms; /* VERIFY: due then; 0: the driver has it */
};

struct dsmr_snow_engine {
    struct dsmr_snow_engine_config config;
    struct dsmr_driver *driver;
    struct dsmr_query query;
    struct dsmr_map *blocks; /* id -> struct dsmr_block * with a reference */
    struct dsmr_block *last_accepted;
    struct dsmr_id preferred;
    struct request requests[DSMR_SNOW_ENGINE_REQUESTS_MAX];
    uint64_t last_request;
    struct dsmr_grpc_call *waiters[WAITERS_MAX];
    uint32_t waiters_count;
    bool is_ready;
    bool is_bootstrapping;
    uint32_t hold_ms; /* 0: no build has failed */
    uint64_t held_until_ms;
    char closed[160]; /* why; empty: open */
};

static uint64_t now_ms(const struct dsmr_snow_engine *engine)
{
    return engine->config.clock.ops->mono_ms(engine->config.clock.self);
}

__attribute__((format(printf, 3, 4))) static void
say(const struct dsmr_snow_engine *engine, enum dsmr_log_level level, const char *format, ...)
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

/* ---- blocks ---- */

/* A reference, or NULL. */
static struct dsmr_block *find_undecided(const struct dsmr_snow_engine *engine,
                                         const struct dsmr_id *id)
{
    struct dsmr_block **found = dsmr_map_find(engine->blocks, id->bytes);
    return found != NULL ? dsmr_block_ref(*found) : NULL;
}

/* Of the chain up to last_accepted; a reference, or NULL. */
static struct dsmr_block *find_accepted(struct dsmr_snow_engine *engine, uint64_t height)
{
    struct dsmr_block *block = NULL;
    if (height > engine->last_accepted->height)
        return NULL;
    if (height == engine->last_accepted->height)
        return dsmr_block_ref(engine->last_accepted);
    if (height == 0)
        return dsmr_block_ref(engine->config.genesis);
    return engine->query.ops->block(engine->query.self, &block, height) == DSMR_OK ? block : NULL;
}

static struct dsmr_block *find_block(struct dsmr_snow_engine *engine, const struct dsmr_id *id)
{
    struct dsmr_block *block = find_undecided(engine, id);
    uint64_t height = 0;
    if (block != NULL)
        return block;
    if (dsmr_id_equal(id, &engine->config.genesis->id))
        return dsmr_block_ref(engine->config.genesis);
    if (dsmr_id_equal(id, &engine->last_accepted->id))
        return dsmr_block_ref(engine->last_accepted);
    if (engine->query.ops->find_block(engine->query.self, &height, id) != DSMR_OK)
        return NULL;
    return find_accepted(engine, height);
}

static bool keep(struct dsmr_snow_engine *engine, struct dsmr_block *block)
{
    bool is_new = false;
    struct dsmr_block **place = dsmr_map_add(engine->blocks, block->id.bytes, &is_new);
    if (place == NULL)
        return false;
    if (is_new)
        *place = dsmr_block_ref(block);
    return true;
}

static void drop(struct dsmr_snow_engine *engine, const struct dsmr_id *id)
{
    struct dsmr_block *block = find_undecided(engine, id);
    if (block == NULL)
        return;
    (void)dsmr_map_remove(engine->blocks, id->bytes);
    dsmr_block_unref(block); /* the map's */
    dsmr_block_unref(block);
}

/* Siblings that were never told to be rejected go with the block that is accepted. */
static void drop_decided(struct dsmr_snow_engine *engine)
{
    size_t position = 0;
    const void *key;
    void *value;
    while (dsmr_map_next(engine->blocks, &position, &key, &value)) {
        struct dsmr_id id = (*(struct dsmr_block **)value)->id;
        if ((*(struct dsmr_block **)value)->height > engine->last_accepted->height)
            continue;
        drop(engine, &id);
        position = 0; /* entries have moved */
    }
}

static enum dsmr_err decode(struct dsmr_snow_engine *engine, struct dsmr_block **out,
                            ProtobufCBinaryData bytes)
{
    struct dsmr_buf *copy = dsmr_buf_copy(bytes.data, bytes.len);
    if (copy == NULL)
        return DSMR_ERR_NO_MEMORY;
    enum dsmr_err err =
        dsmr_block_decode(out, &engine->config.params, copy, copy->bytes, copy->len);
    dsmr_buf_unref(copy);
    return err;
}

/* Genesis has an encoding like any block, but a decoder takes it for wrong: height 0. */
static enum dsmr_err parse(struct dsmr_snow_engine *engine, struct dsmr_block **out,
                           ProtobufCBinaryData bytes)
{
    const struct dsmr_buf *genesis = engine->config.genesis->bytes;
    if (bytes.len == genesis->len && memcmp(bytes.data, genesis->bytes, bytes.len) == 0) {
        *out = dsmr_block_ref(engine->config.genesis);
        return DSMR_OK;
    }
    return decode(engine, out, bytes);
}

/* ---- requests to the driver ---- */

static struct request *take_request(struct dsmr_snow_engine *engine, enum kind kind,
                                    struct dsmr_grpc_call *call)
{
    for (uint32_t i = 0; i < DSMR_SNOW_ENGINE_REQUESTS_MAX; i++) {
        struct request *request = &engine->requests[i];
        if (request->id == 0) {
            *request = (struct request){.id = ++engine->last_request, .kind = kind, .call = call};
            return request;
        }
    }
    dsmr_grpc_server_fail(call, DSMR_GRPC_RESOURCE_EXHAUSTED, "too many calls at once");
    return NULL;
}

static struct request *find_request(struct dsmr_snow_engine *engine, uint64_t id)
{
    for (uint32_t i = 0; i < DSMR_SNOW_ENGINE_REQUESTS_MAX; i++)
        if (engine->requests[i].id == id)
            return &engine->requests[i];
    return NULL;
}

static void end_request(struct request *request)
{
    dsmr_block_unref(request->block);
    memset(request, 0, sizeof *request);
}

static void fail(struct dsmr_grpc_call *call, enum dsmr_err err)
{
    dsmr_grpc_server_fail(call, DSMR_GRPC_FAILED_PRECONDITION, dsmr_err_text(err));
}

/* True if the engine is closed and the call has been answered so. */
static bool is_closed(const struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call)
{
    if (engine->closed[0] == '\0')
        return false;
    dsmr_grpc_server_fail(call, DSMR_GRPC_UNAVAILABLE, engine->closed);
    return true;
}

/* ---- something to build ---- */

static void tell_waiters(struct dsmr_snow_engine *engine)
{
    if (!engine->is_ready || now_ms(engine) < engine->held_until_ms)
        return;
    Dsmr__Pb__WaitForEventResponse response = DSMR__PB__WAIT_FOR_EVENT_RESPONSE__INIT;
    DSMR_PB_SET(&response, message, DSMR__PB__MESSAGE__MESSAGE_BUILD_BLOCK);
    for (uint32_t i = 0; i < engine->waiters_count; i++)
        dsmr_pb_reply(engine->waiters[i], &response.base);
    engine->waiters_count = 0;
}

static void on_ready(void *self, bool is_ready)
{
    struct dsmr_snow_engine *engine = self;
    engine->is_ready = is_ready;
    tell_waiters(engine);
}

static void hold(struct dsmr_snow_engine *engine)
{
    uint32_t doubled = engine->hold_ms * 2u < HOLD_MIN_MS ? HOLD_MIN_MS : engine->hold_ms * 2u;
    engine->hold_ms = doubled < HOLD_MAX_MS ? doubled : HOLD_MAX_MS;
    engine->held_until_ms = now_ms(engine) + engine->hold_ms;
}

static void hold_no_more(struct dsmr_snow_engine *engine)
{
    engine->hold_ms = 0;
    engine->held_until_ms = 0;
    tell_waiters(engine);
}

void dsmr_snow_engine_wait_for_event(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call)
{
    if (is_closed(engine, call))
        return;
    if (engine->waiters_count == WAITERS_MAX) { /* the oldest was cancelled, or should have been */
        dsmr_grpc_server_fail(engine->waiters[0], DSMR_GRPC_RESOURCE_EXHAUSTED, "asked again");
        engine->waiters_count--;
        memmove(&engine->waiters[0], &engine->waiters[1],
                engine->waiters_count * sizeof engine->waiters[0]);
    }
    engine->waiters[engine->waiters_count++] = call;
    tell_waiters(engine);
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
    if (is_closed(engine, call))
        return;
    Dsmr__Pb__BuildBlockRequest *message =
        dsmr_pb_read(call, &dsmr__pb__build_block_request__descriptor, request);
    struct request *build = message != NULL ? take_request(engine, KIND_BUILD, call) : NULL;
    if (build != NULL)
        dsmr_driver_build(engine->driver, build->id, &engine->preferred,
                          message->has_p_chain_height ? message->p_chain_height : DSMR_EPOCH_NONE);
    if (message != NULL)
        protobuf_c_message_free_unpacked(&message->base, NULL);
}

static void on_built(void *self, uint64_t request_id, enum dsmr_err err, struct dsmr_block *block)
{
    struct dsmr_snow_engine *engine = self;
    struct request *request = find_request(engine, request_id);
    if (request == NULL)
        return;
    struct dsmr_grpc_call *call = request->call;
    end_request(request);
    if (err == DSMR_OK && !keep(engine, block))
        err = DSMR_ERR_FULL;
    if (err != DSMR_OK) {
        hold(engine);
        fail(call, err);
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

/* ---- parse ---- */

struct parsed {
    Dsmr__Pb__ParseBlockResponse response;
    Dsmr__Pb__Timestamp time;
};

static void describe(struct parsed *out, const struct dsmr_block *block)
{
    dsmr__pb__parse_block_response__init(&out->response);
    dsmr_pb_time(&out->time, block->time_ms);
    DSMR_PB_BYTES(&out->response, id, block->id.bytes, sizeof block->id.bytes);
    DSMR_PB_BYTES(&out->response, parent_id, block->parent_id.bytes, sizeof block->parent_id.bytes);
    DSMR_PB_SET(&out->response, height, block->height);
    DSMR_PB_SET(&out->response, verify_with_context, true);
    out->response.timestamp = &out->time;
}

void dsmr_snow_engine_parse(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                            const struct dsmr_buf *request)
{
    if (is_closed(engine, call))
        return;
    Dsmr__Pb__ParseBlockRequest *message =
        dsmr_pb_read(call, &dsmr__pb__parse_block_request__descriptor, request);
    if (message == NULL)
        return;
    struct dsmr_block *block = NULL;
    enum dsmr_err err = parse(engine, &block, message->bytes);
    if (err == DSMR_OK) {
        struct parsed parsed;
        describe(&parsed, block);
        dsmr_pb_reply(call, &parsed.response.base);
    } else {
        fail(call, err);
    }
    dsmr_block_unref(block);
    protobuf_c_message_free_unpacked(&message->base, NULL);
}

/* One that does not parse fails them all, as AvalancheGo's own loop over ParseBlock does. */
static enum dsmr_err parse_all(struct dsmr_snow_engine *engine, struct dsmr_block **blocks,
                               const Dsmr__Pb__BatchedParseBlockRequest *message)
{
    enum dsmr_err err = DSMR_OK;
    for (size_t i = 0; i < message->n_request && err == DSMR_OK; i++)
        err = parse(engine, &blocks[i], message->request[i]);
    return err;
}

void dsmr_snow_engine_parse_batch(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                                  const struct dsmr_buf *request)
{
    if (is_closed(engine, call))
        return;
    Dsmr__Pb__BatchedParseBlockRequest *message =
        dsmr_pb_read(call, &dsmr__pb__batched_parse_block_request__descriptor, request);
    if (message == NULL)
        return;
    size_t count = message->n_request;
    struct dsmr_block **blocks = calloc(count + 1u, sizeof(struct dsmr_block *));
    struct parsed *parsed = calloc(count + 1u, sizeof *parsed);
    Dsmr__Pb__ParseBlockResponse **list = calloc(count + 1u, sizeof(void *));
    enum dsmr_err err = DSMR_ERR_NO_MEMORY;
    if (blocks != NULL && parsed != NULL && list != NULL)
        err = parse_all(engine, blocks, message);
    if (err == DSMR_OK) {
        for (size_t i = 0; i < count; i++) {
            describe(&parsed[i], blocks[i]);
            list[i] = &parsed[i].response;
        }
        Dsmr__Pb__BatchedParseBlockResponse response = DSMR__PB__BATCHED_PARSE_BLOCK_RESPONSE__INIT;
        response.n_response = count;
        response.response = list;
        dsmr_pb_reply(call, &response.base);
    } else {
        fail(call, err);
    }
    for (size_t i = 0; blocks != NULL && i < count; i++)
        dsmr_block_unref(blocks[i]);
    free(blocks);
    free(parsed);
    free(list);
    protobuf_c_message_free_unpacked(&message->base, NULL);
}

/* ---- get ---- */

void dsmr_snow_engine_get_block(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                                const struct dsmr_buf *request)
{
    struct dsmr_id id;
    if (is_closed(engine, call))
        return;
    Dsmr__Pb__GetBlockRequest *message =
        dsmr_pb_read(call, &dsmr__pb__get_block_request__descriptor, request);
    if (message == NULL)
        return;
    struct dsmr_block *block = dsmr_pb_id(&id, message->id) ? find_block(engine, &id) : NULL;
    protobuf_c_message_free_unpacked(&message->base, NULL);
    Dsmr__Pb__Timestamp time;
    Dsmr__Pb__GetBlockResponse response = DSMR__PB__GET_BLOCK_RESPONSE__INIT;
    dsmr_pb_time(&time, block != NULL ? block->time_ms : 0);
    response.timestamp = &time;
    if (block != NULL) {
        DSMR_PB_BYTES(&response, parent_id, block->parent_id.bytes, sizeof block->parent_id.bytes);
        DSMR_PB_BYTES(&response, bytes, block->bytes->bytes, block->bytes->len);
        DSMR_PB_SET(&response, height, block->height);
        DSMR_PB_SET(&response, verify_with_context, true);
    } else {
        DSMR_PB_SET(&response, err, DSMR__PB__ERROR__ERROR_NOT_FOUND);
    }
    dsmr_pb_reply(call, &response.base);
    dsmr_block_unref(block);
}

void dsmr_snow_engine_get_id_at(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                                const struct dsmr_buf *request)
{
    if (is_closed(engine, call))
        return;
    Dsmr__Pb__GetBlockIDAtHeightRequest *message =
        dsmr_pb_read(call, &dsmr__pb__get_block_idat_height_request__descriptor, request);
    if (message == NULL)
        return;
    struct dsmr_block *block = find_accepted(engine, message->height);
    protobuf_c_message_free_unpacked(&message->base, NULL);
    Dsmr__Pb__GetBlockIDAtHeightResponse response = DSMR__PB__GET_BLOCK_IDAT_HEIGHT_RESPONSE__INIT;
    if (block != NULL)
        DSMR_PB_BYTES(&response, blk_id, block->id.bytes, sizeof block->id.bytes);
    else
        DSMR_PB_SET(&response, err, DSMR__PB__ERROR__ERROR_NOT_FOUND);
    dsmr_pb_reply(call, &response.base);
    dsmr_block_unref(block);
}

/* From block downwards, within the request's limits; the blocks' references are the caller's. */
static size_t ancestors(struct dsmr_snow_engine *engine, struct dsmr_block **out, size_t max,
                        const Dsmr__Pb__GetAncestorsRequest *message, const struct dsmr_id *id)
{
    uint64_t until_ms = now_ms(engine) + (uint64_t)message->max_blocks_retrival_time / 1000000u;
    size_t room = (size_t)message->max_blocks_size, count = 0;
    struct dsmr_block *block = find_block(engine, id);
    while (block != NULL && count < max) {
        size_t size = block->bytes->len + ANCESTORS_OVERHEAD_BYTES;
        if (size > room || (count > 0 && now_ms(engine) > until_ms))
            break;
        room -= size;
        out[count++] = block;
        block = block->height > 0 ? find_block(engine, &block->parent_id) : NULL;
        if (count == max) {
            dsmr_block_unref(block);
            return count;
        }
    }
    dsmr_block_unref(block);
    return count;
}

#define ANCESTORS_MAX 2048u

void dsmr_snow_engine_get_ancestors(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                                    const struct dsmr_buf *request)
{
    struct dsmr_id id;
    if (is_closed(engine, call))
        return;
    Dsmr__Pb__GetAncestorsRequest *message =
        dsmr_pb_read(call, &dsmr__pb__get_ancestors_request__descriptor, request);
    if (message == NULL)
        return;
    struct dsmr_block **blocks = calloc(ANCESTORS_MAX, sizeof(struct dsmr_block *));
    ProtobufCBinaryData *list = calloc(ANCESTORS_MAX, sizeof *list);
    size_t count = 0;
    if (blocks != NULL && list != NULL && dsmr_pb_id(&id, message->blk_id) &&
        message->max_blocks_num > 0 && message->max_blocks_size > 0 &&
        message->max_blocks_retrival_time >= 0) {
        size_t max = (size_t)message->max_blocks_num;
        count = ancestors(engine, blocks, max < ANCESTORS_MAX ? max : ANCESTORS_MAX, message, &id);
    }
    Dsmr__Pb__GetAncestorsResponse response = DSMR__PB__GET_ANCESTORS_RESPONSE__INIT;
    for (size_t i = 0; i < count; i++) {
        list[i].data = blocks[i]->bytes->bytes;
        list[i].len = blocks[i]->bytes->len;
    }
    response.n_blks_bytes = count;
    response.blks_bytes = list;
    dsmr_pb_reply(call, &response.base);
    for (size_t i = 0; i < count; i++)
        dsmr_block_unref(blocks[i]);
    free(blocks);
    free(list);
    protobuf_c_message_free_unpacked(&message->base, NULL);
}

/* ---- preference ---- */

void dsmr_snow_engine_prefer(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                             const struct dsmr_buf *request)
{
    struct dsmr_id id;
    if (is_closed(engine, call))
        return;
    Dsmr__Pb__SetPreferenceRequest *message =
        dsmr_pb_read(call, &dsmr__pb__set_preference_request__descriptor, request);
    if (message == NULL)
        return;
    bool is_id = dsmr_pb_id(&id, message->id);
    protobuf_c_message_free_unpacked(&message->base, NULL);
    if (is_id && !dsmr_id_equal(&id, &engine->preferred)) {
        engine->preferred = id;
        dsmr_driver_prefer(engine->driver, &id);
        engine->hold_ms = 0; /* another parent, another answer */
        engine->held_until_ms = 0;
    }
    dsmr_grpc_server_reply(call, NULL, 0);
}

/* ---- verify ---- */

static void start_verify(struct dsmr_snow_engine *engine, struct request *request)
{
    request->again_ms = 0;
    dsmr_driver_verify(engine->driver, request->id, request->block, request->context);
}

void dsmr_snow_engine_verify(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                             const struct dsmr_buf *request)
{
    if (is_closed(engine, call))
        return;
    Dsmr__Pb__BlockVerifyRequest *message =
        dsmr_pb_read(call, &dsmr__pb__block_verify_request__descriptor, request);
    if (message == NULL)
        return;
    struct dsmr_block *block = NULL;
    enum dsmr_err err = parse(engine, &block, message->bytes);
    struct request *verify = err == DSMR_OK ? take_request(engine, KIND_VERIFY, call) : NULL;
    if (verify != NULL) {
        uint32_t wait_ms =
            DSMR_SNOW_ENGINE_WAIT_MS * (engine->is_bootstrapping ? BOOTSTRAP_FACTOR : 1u);
        verify->block = block;
        verify->context = message->has_p_chain_height ? message->p_chain_height : DSMR_EPOCH_NONE;
        verify->until_ms = now_ms(engine) + wait_ms;
        start_verify(engine, verify);
    } else {
        dsmr_block_unref(block);
        if (err != DSMR_OK)
            fail(call, err);
    }
    protobuf_c_message_free_unpacked(&message->base, NULL);
}

static bool is_for_later(enum dsmr_err err)
{
    return err == DSMR_ERR_NOT_YET || err == DSMR_ERR_BUSY || err == DSMR_ERR_EPOCH_UNKNOWN ||
           err == DSMR_ERR_BEHIND;
}

static void on_verdict(void *self, uint64_t request_id, enum dsmr_err err)
{
    struct dsmr_snow_engine *engine = self;
    struct request *request = find_request(engine, request_id);
    if (request == NULL)
        return;
    if (is_for_later(err) && now_ms(engine) < request->until_ms) {
        request->again_ms = now_ms(engine) + RETRY_MS;
        return;
    }
    if (err == DSMR_OK && !keep(engine, request->block))
        err = DSMR_ERR_FULL;
    if (err == DSMR_OK) {
        Dsmr__Pb__Timestamp time;
        Dsmr__Pb__BlockVerifyResponse response = DSMR__PB__BLOCK_VERIFY_RESPONSE__INIT;
        dsmr_pb_time(&time, request->block->time_ms);
        response.timestamp = &time;
        dsmr_pb_reply(request->call, &response.base);
    } else {
        say(engine, DSMR_LOG_DEBUG, "block at height %" PRIu64 " is refused: %s",
            request->block->height, dsmr_err_text(err));
        fail(request->call, err);
    }
    end_request(request);
}

/* ---- accept, reject ---- */

void dsmr_snow_engine_accept(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                             const struct dsmr_buf *request)
{
    struct dsmr_id id;
    if (is_closed(engine, call))
        return;
    Dsmr__Pb__BlockAcceptRequest *message =
        dsmr_pb_read(call, &dsmr__pb__block_accept_request__descriptor, request);
    if (message == NULL)
        return;
    struct dsmr_block *block = dsmr_pb_id(&id, message->id) ? find_undecided(engine, &id) : NULL;
    protobuf_c_message_free_unpacked(&message->base, NULL);
    if (block == NULL) {
        dsmr_grpc_server_fail(call, DSMR_GRPC_FAILED_PRECONDITION,
                              "a block is accepted that was not verified");
        return;
    }
    struct request *accept = take_request(engine, KIND_ACCEPT, call);
    if (accept == NULL) {
        dsmr_block_unref(block);
        return;
    }
    accept->block = block;
    dsmr_driver_accept(engine->driver, accept->id, &id);
}

static bool is_put(const uint8_t *bytes, size_t len)
{
    Dsmr__Pb__PutResponse *response = dsmr__pb__put_response__unpack(NULL, len, bytes);
    bool is_written = response != NULL && response->err == 0;
    dsmr__pb__put_response__free_unpacked(response, NULL);
    return is_written;
}

/* On the client's thread. */
static void on_pointer(void *ctx, const struct dsmr_grpc_answer *answer)
{
    struct dsmr_grpc_call *call = ctx;
    if (answer->err == DSMR_OK && is_put(answer->bytes, answer->len))
        dsmr_grpc_server_reply(call, NULL, 0);
    else
        dsmr_grpc_server_fail(call, DSMR_GRPC_INTERNAL,
                              "AvalancheGo's database does not take the last accepted block");
}

/* The request that writes it; NULL if out of memory. */
static struct dsmr_buf *pointer_bytes(uint64_t height, const struct dsmr_id *block_id)
{
    uint8_t value[POINTER_BYTES];
    Dsmr__Pb__PutRequest put = DSMR__PB__PUT_REQUEST__INIT;
    dsmr_store_be64(value, height);
    memcpy(value + 8, block_id->bytes, sizeof block_id->bytes);
    DSMR_PB_BYTES(&put, key, POINTER_KEY, strlen(POINTER_KEY));
    DSMR_PB_BYTES(&put, value, value, sizeof value);
    return dsmr_pb_bytes(&put.base);
}

static void write_pointer(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                          const struct dsmr_block *block)
{
    struct dsmr_buf *bytes = pointer_bytes(block->height, &block->id);
    if (bytes == NULL) {
        fail(call, DSMR_ERR_NO_MEMORY);
        return;
    }
    dsmr_grpc_client_start(engine->config.db, "/rpcdb.Database/Put", bytes->bytes, bytes->len,
                           DB_TIMEOUT_MS, on_pointer, call);
    dsmr_buf_unref(bytes);
}

static void on_accepted(void *self, uint64_t request_id, enum dsmr_err err)
{
    struct dsmr_snow_engine *engine = self;
    struct request *request = find_request(engine, request_id);
    if (request == NULL)
        return;
    if (err == DSMR_OK) {
        dsmr_block_unref(engine->last_accepted);
        engine->last_accepted = dsmr_block_ref(request->block);
        drop_decided(engine);
        write_pointer(engine, request->call, request->block);
    } else {
        say(engine, DSMR_LOG_ERROR, "block at height %" PRIu64 " cannot be accepted: %s",
            request->block->height, dsmr_err_text(err));
        fail(request->call, err);
    }
    end_request(request);
}

void dsmr_snow_engine_reject(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                             const struct dsmr_buf *request)
{
    struct dsmr_id id;
    if (is_closed(engine, call))
        return;
    Dsmr__Pb__BlockRejectRequest *message =
        dsmr_pb_read(call, &dsmr__pb__block_reject_request__descriptor, request);
    if (message == NULL)
        return;
    if (dsmr_pb_id(&id, message->id)) {
        drop(engine, &id);
        dsmr_driver_reject(engine->driver, &id);
    }
    protobuf_c_message_free_unpacked(&message->base, NULL);
    dsmr_grpc_server_reply(call, NULL, 0);
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
    if (is_closed(engine, call))
        return;
    Dsmr__Pb__SetStateRequest *message =
        dsmr_pb_read(call, &dsmr__pb__set_state_request__descriptor, request);
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
    uint64_t now = now_ms(engine);
    for (uint32_t i = 0; i < DSMR_SNOW_ENGINE_REQUESTS_MAX; i++) {
        struct request *request = &engine->requests[i];
        if (request->id != 0 && request->again_ms != 0 && request->again_ms <= now)
            start_verify(engine, request);
    }
    if (engine->closed[0] == '\0')
        tell_waiters(engine);
}

uint64_t dsmr_snow_engine_deadline_ms(const struct dsmr_snow_engine *engine)
{
    uint64_t deadline_ms = UINT64_MAX;
    for (uint32_t i = 0; i < DSMR_SNOW_ENGINE_REQUESTS_MAX; i++) {
        const struct request *request = &engine->requests[i];
        if (request->id != 0 && request->again_ms != 0 && request->again_ms < deadline_ms)
            deadline_ms = request->again_ms;
    }
    if (engine->is_ready && engine->waiters_count > 0 && engine->held_until_ms < deadline_ms)
        deadline_ms = engine->held_until_ms;
    return deadline_ms;
}

/* ---- the engine ---- */

static const struct dsmr_engine_ops engine_ops = {
    .built = on_built, .verdict = on_verdict, .accepted = on_accepted, .ready = on_ready};

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
    engine->blocks = dsmr_map_new(sizeof(struct dsmr_id), sizeof(struct dsmr_block *),
                                  DSMR_SNOW_ENGINE_BLOCKS_MAX, config->seed);
    if (engine->blocks == NULL) {
        dsmr_snow_engine_free(engine);
        return NULL;
    }
    return engine;
}

enum dsmr_err dsmr_snow_engine_read_tip(struct dsmr_snow_engine *engine,
                                        struct dsmr_engine_tip *out,
                                        char reason[DSMR_GRPC_CLIENT_REASON_BYTES])
{
    Dsmr__Pb__GetRequest get = DSMR__PB__GET_REQUEST__INIT;
    struct dsmr_buf *answer = NULL;
    DSMR_PB_BYTES(&get, key, POINTER_KEY, strlen(POINTER_KEY));
    struct dsmr_buf *bytes = dsmr_pb_bytes(&get.base);
    if (bytes == NULL)
        return DSMR_ERR_NO_MEMORY;
    enum dsmr_err err =
        dsmr_grpc_client_call(engine->config.db, &answer, reason, "/rpcdb.Database/Get",
                              bytes->bytes, bytes->len, DB_TIMEOUT_MS);
    dsmr_buf_unref(bytes);
    if (err != DSMR_OK)
        return err;
    Dsmr__Pb__GetResponse *response =
        dsmr__pb__get_response__unpack(NULL, answer->len, answer->bytes);
    dsmr_buf_unref(answer);
    *out = (struct dsmr_engine_tip){.height = 0, .block_id = engine->config.genesis->id};
    if (response != NULL && response->err == DSMR__PB__ERROR__ERROR_NOT_FOUND) {
        err = DSMR_OK;
    } else if (response != NULL && response->err == 0 && response->value.len == POINTER_BYTES) {
        out->height = dsmr_load_be64(response->value.data);
        memcpy(out->block_id.bytes, response->value.data + 8, sizeof out->block_id.bytes);
    } else {
        snprintf(reason, DSMR_GRPC_CLIENT_REASON_BYTES,
                 "AvalancheGo's database has something else where the last accepted block stands");
        err = DSMR_ERR_CORRUPT;
    }
    dsmr__pb__get_response__free_unpacked(response, NULL);
    return err;
}

enum dsmr_err dsmr_snow_engine_reset_tip(struct dsmr_snow_engine *engine,
                                         struct dsmr_engine_tip *out,
                                         char reason[DSMR_GRPC_CLIENT_REASON_BYTES])
{
    struct dsmr_buf *answer = NULL;
    *out = (struct dsmr_engine_tip){.height = 0, .block_id = engine->config.genesis->id};
    struct dsmr_buf *bytes = pointer_bytes(out->height, &out->block_id);
    if (bytes == NULL)
        return DSMR_ERR_NO_MEMORY;
    enum dsmr_err err =
        dsmr_grpc_client_call(engine->config.db, &answer, reason, "/rpcdb.Database/Put",
                              bytes->bytes, bytes->len, DB_TIMEOUT_MS);
    dsmr_buf_unref(bytes);
    if (err == DSMR_OK && !is_put(answer->bytes, answer->len)) {
        snprintf(reason, DSMR_GRPC_CLIENT_REASON_BYTES, "AvalancheGo's database does not take it");
        err = DSMR_ERR_IO;
    }
    dsmr_buf_unref(answer);
    return err;
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
        struct request *request = &engine->requests[i];
        if (request->id == 0)
            continue;
        dsmr_grpc_server_fail(request->call, DSMR_GRPC_UNAVAILABLE, engine->closed);
        end_request(request);
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
        dsmr_block_unref(*(struct dsmr_block **)value);
    dsmr_map_free(engine->blocks);
    dsmr_block_unref(engine->last_accepted);
    dsmr_block_unref(engine->config.genesis);
    free(engine);
}
