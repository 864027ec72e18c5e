#include "avalanche/snow_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "wire/codec.h"

#define ANCESTORS_OVERHEAD_BYTES 4u /* of each block in the peers' message */
#define ANCESTORS_MAX 2048u

/* ---- blocks ---- */

struct dsmr_block *dsmr_snow_find_undecided(const struct dsmr_snow_engine *engine,
                                            const struct dsmr_id *id)
{
    const struct dsmr_snow_block *found = dsmr_map_find(engine->blocks, id->bytes);
    return found != NULL ? dsmr_block_ref(found->block) : NULL;
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
    struct dsmr_block *block = dsmr_snow_find_undecided(engine, id);
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

bool dsmr_snow_keep(struct dsmr_snow_engine *engine, struct dsmr_block *block)
{
    bool is_new = false;
    struct dsmr_snow_block *place = dsmr_map_add(engine->blocks, block->id.bytes, &is_new);
    if (place == NULL) {
        dsmr_driver_reject(engine->driver, &block->id);
        return false;
    }
    if (is_new)
        place->block = dsmr_block_ref(block);
    dsmr_snow_hold(engine, &block->id);
    return true;
}

void dsmr_snow_drop(struct dsmr_snow_engine *engine, const struct dsmr_id *id)
{
    struct dsmr_block *block = dsmr_snow_find_undecided(engine, id);
    if (block == NULL)
        return;
    (void)dsmr_snow_let_go(engine, id);
    (void)dsmr_map_remove(engine->blocks, id->bytes);
    dsmr_block_unref(block); /* the map's */
    dsmr_block_unref(block);
}

void dsmr_snow_drop_decided(struct dsmr_snow_engine *engine)
{
    size_t position = 0;
    const void *key;
    void *value;
    while (dsmr_map_next(engine->blocks, &position, &key, &value)) {
        const struct dsmr_block *block = ((struct dsmr_snow_block *)value)->block;
        struct dsmr_id id = block->id;
        if (block->height > engine->last_accepted->height)
            continue;
        dsmr_snow_drop(engine, &id);
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
    if (err != DSMR_OK && engine->config.metrics != NULL)
        dsmr_metrics_count_error(engine->config.metrics, err);
    return err;
}

/* Genesis has an encoding like any block, but a decoder takes it for wrong: height 0. */
enum dsmr_err dsmr_snow_parse(struct dsmr_snow_engine *engine, struct dsmr_block **out,
                              ProtobufCBinaryData bytes)
{
    const struct dsmr_buf *genesis = engine->config.genesis->bytes;
    if (bytes.len == genesis->len && memcmp(bytes.data, genesis->bytes, bytes.len) == 0) {
        *out = dsmr_block_ref(engine->config.genesis);
        return DSMR_OK;
    }
    return decode(engine, out, bytes);
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
    if (dsmr_snow_is_closed(engine, call))
        return;
    Dsmr__Pb__ParseBlockRequest *message = dsmr_pb_read(
        engine->config.metrics, call, &dsmr__pb__parse_block_request__descriptor, request);
    if (message == NULL)
        return;
    struct dsmr_block *block = NULL;
    enum dsmr_err err = dsmr_snow_parse(engine, &block, message->bytes);
    if (err == DSMR_OK) {
        struct parsed parsed;
        describe(&parsed, block);
        dsmr_pb_reply(call, &parsed.response.base);
    } else {
        dsmr_snow_fail(call, err);
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
        err = dsmr_snow_parse(engine, &blocks[i], message->request[i]);
    return err;
}

void dsmr_snow_engine_parse_batch(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                                  const struct dsmr_buf *request)
{
    if (dsmr_snow_is_closed(engine, call))
        return;
    Dsmr__Pb__BatchedParseBlockRequest *message = dsmr_pb_read(
        engine->config.metrics, call, &dsmr__pb__batched_parse_block_request__descriptor, request);
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
        dsmr_snow_fail(call, err);
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
    if (dsmr_snow_is_closed(engine, call))
        return;
    Dsmr__Pb__GetBlockRequest *message = dsmr_pb_read(
        engine->config.metrics, call, &dsmr__pb__get_block_request__descriptor, request);
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
    if (dsmr_snow_is_closed(engine, call))
        return;
    Dsmr__Pb__GetBlockIDAtHeightRequest *message =
        dsmr_pb_read(engine->config.metrics, call,
                     &dsmr__pb__get_block_idat_height_request__descriptor, request);
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

/* From block downwards, within the request's limits, but the first in any case, as AvalancheGo's
 * own loop does: who asks for a block gets no further without it. The references are the caller's.
 */
static size_t ancestors(struct dsmr_snow_engine *engine, struct dsmr_block **out, size_t max,
                        const Dsmr__Pb__GetAncestorsRequest *message, const struct dsmr_id *id)
{
    int64_t left_ns = message->max_blocks_retrival_time;
    uint64_t until_ms =
        dsmr_snow_now_ms(engine) + (left_ns > 0 ? (uint64_t)left_ns / 1000000u : 0u);
    size_t room = message->max_blocks_size > 0 ? (size_t)message->max_blocks_size : 0, count = 0;
    struct dsmr_block *block = find_block(engine, id);
    while (block != NULL && count < max) {
        size_t size = block->bytes->len + ANCESTORS_OVERHEAD_BYTES;
        if (count > 0 && (size > room || dsmr_snow_now_ms(engine) >= until_ms))
            break;
        room -= size < room ? size : room;
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

void dsmr_snow_engine_get_ancestors(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                                    const struct dsmr_buf *request)
{
    struct dsmr_id id;
    if (dsmr_snow_is_closed(engine, call))
        return;
    Dsmr__Pb__GetAncestorsRequest *message = dsmr_pb_read(
        engine->config.metrics, call, &dsmr__pb__get_ancestors_request__descriptor, request);
    if (message == NULL)
        return;
    struct dsmr_block **blocks = calloc(ANCESTORS_MAX, sizeof(struct dsmr_block *));
    ProtobufCBinaryData *list = calloc(ANCESTORS_MAX, sizeof *list);
    size_t count = 0;
    if (blocks != NULL && list != NULL && dsmr_pb_id(&id, message->blk_id) &&
        message->max_blocks_num > 0) {
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
