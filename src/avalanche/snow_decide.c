#include "avalanche/snow_state.h"

#include <inttypes.h>

#define RETRY_MS 20u
#define BOOTSTRAP_FACTOR 10u
#define AHEAD_TOLD_MS 5000u   /* blocks lie ahead of our clock for so long: that is worth a line */
#define AHEAD_AGAIN_MS 60000u /* and one more after that; a pause of that length is an end */

/* ---- verify ---- */

void dsmr_snow_engine_verify(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                             const struct dsmr_buf *request)
{
    if (dsmr_snow_is_closed(engine, call))
        return;
    Dsmr__Pb__BlockVerifyRequest *message = dsmr_pb_read(
        engine->config.metrics, call, &dsmr__pb__block_verify_request__descriptor, request);
    if (message == NULL)
        return;
    struct dsmr_block *block = NULL;
    enum dsmr_err err = dsmr_snow_parse(engine, &block, message->bytes);
    struct dsmr_snow_request *verify =
        err == DSMR_OK ? dsmr_snow_take_request(engine, DSMR_SNOW_VERIFY, call) : NULL;
    if (verify != NULL) {
        uint32_t wait_ms =
            DSMR_SNOW_ENGINE_WAIT_MS * (engine->is_bootstrapping ? BOOTSTRAP_FACTOR : 1u);
        verify->block = block;
        verify->needs = block->parent_id;
        verify->context = message->has_p_chain_height ? message->p_chain_height : DSMR_EPOCH_NONE;
        verify->until_ms = dsmr_snow_now_ms(engine) + wait_ms;
        dsmr_snow_advance(engine, verify);
    } else {
        dsmr_block_unref(block);
        if (err != DSMR_OK)
            dsmr_snow_fail(call, err);
    }
    protobuf_c_message_free_unpacked(&message->base, NULL);
}

static uint64_t ahead_ms(const struct dsmr_snow_engine *engine, const struct dsmr_block *block)
{
    uint64_t wall_ms = engine->config.clock.ops->wall_ms(engine->config.clock.self);
    return block->time_ms > wall_ms ? block->time_ms - wall_ms : 0;
}

static uint64_t ahead_waits_ms(const struct dsmr_snow_engine *engine,
                               const struct dsmr_snow_request *request)
{
    return request->ahead_ms != 0 ? dsmr_snow_now_ms(engine) - request->ahead_ms : 0;
}

/* How long blocks may still wait for our clock before there is another last accepted one. */
static uint64_t ahead_left_ms(const struct dsmr_snow_engine *engine,
                              const struct dsmr_snow_request *request)
{
    uint64_t waited_ms = engine->ahead_waited_ms + ahead_waits_ms(engine, request);
    if (engine->is_bootstrapping)
        return UINT32_MAX;
    return waited_ms < DSMR_SNOW_ENGINE_WAIT_MS ? DSMR_SNOW_ENGINE_WAIT_MS - waited_ms : 0;
}

/* AvalancheGo's consensus stands still while it waits for a verdict, so we wait for nothing that
 * cannot come in time: a call never gets a context, and a proposer may have set any time. */
static bool is_hopeless(const struct dsmr_snow_engine *engine,
                        const struct dsmr_snow_request *request, uint64_t left_ms)
{
    const struct dsmr_block *block = request->block;
    uint64_t clock_ms = ahead_left_ms(engine, request);
    clock_ms = clock_ms < left_ms ? clock_ms : left_ms;
    return (request->context == DSMR_EPOCH_NONE && block->height > 1) ||
           ahead_ms(engine, block) > engine->config.params.clock_skew_ms + clock_ms;
}

/* A proposer may set a wrong time. But if all do it for seconds, it is this node's clock that is
 * wrong; its operator sees nothing else than a chain that is late or stands. */
static void note_time(struct dsmr_snow_engine *engine, struct dsmr_snow_request *request,
                      enum dsmr_err err)
{
    struct dsmr_snow_ahead *ahead = &engine->ahead;
    uint64_t now_ms = dsmr_snow_now_ms(engine), by_ms = ahead_ms(engine, request->block);
    if (err == DSMR_OK && request->ahead_ms == 0 && by_ms == 0)
        ahead->is_any = false;
    if (err != DSMR_ERR_NOT_YET || by_ms <= engine->config.params.clock_skew_ms)
        return;
    request->ahead_ms = request->ahead_ms != 0 ? request->ahead_ms : now_ms;
    if (!ahead->is_any || now_ms - ahead->last_ms >= AHEAD_AGAIN_MS)
        ahead->since_ms = now_ms;
    ahead->is_any = true;
    ahead->last_ms = now_ms;
    if (now_ms - ahead->since_ms < AHEAD_TOLD_MS ||
        (ahead->is_said && now_ms - ahead->said_ms < AHEAD_AGAIN_MS))
        return;
    ahead->is_said = true;
    ahead->said_ms = now_ms;
    dsmr_snow_say(engine, DSMR_LOG_WARN,
                  "for %" PRIu64 " s now the blocks of others lie ahead of this node's clock, the "
                  "last one by %" PRIu64 " ms, and %u are allowed: they wait or are refused. Is "
                  "the clock behind?",
                  (now_ms - ahead->since_ms) / 1000u, by_ms, engine->config.params.clock_skew_ms);
}

/* Where no block may go, room for one more comes with the next accept, and none comes while we
 * wait. */
static bool may_change(const struct dsmr_snow_engine *engine, enum dsmr_err err)
{
    return err == DSMR_ERR_NOT_YET || (err == DSMR_ERR_BUSY && !dsmr_snow_is_full(engine)) ||
           err == DSMR_ERR_EPOCH_UNKNOWN || err == DSMR_ERR_BEHIND;
}

static bool is_for_later(const struct dsmr_snow_engine *engine,
                         const struct dsmr_snow_request *request, enum dsmr_err err)
{
    uint64_t now_ms = dsmr_snow_now_ms(engine);
    return may_change(engine, err) && now_ms < request->until_ms &&
           !is_hopeless(engine, request, request->until_ms - now_ms);
}

static void refuse(struct dsmr_snow_engine *engine, struct dsmr_snow_request *request,
                   enum dsmr_err err)
{
    dsmr_snow_say(engine, DSMR_LOG_DEBUG, "block at height %" PRIu64 " is refused: %s",
                  request->block->height, dsmr_err_text(err));
    dsmr_snow_fail(request->call, err);
    dsmr_snow_end_request(request);
}

/* A block that a call needs could not be verified once more. */
static void give_up(struct dsmr_snow_engine *engine, struct dsmr_snow_request *request,
                    enum dsmr_err err)
{
    switch (request->kind) {
    case DSMR_SNOW_VERIFY:
        refuse(engine, request, err);
        return;
    case DSMR_SNOW_ACCEPT:
        dsmr_snow_on_accepted(engine, request->id, err);
        return;
    case DSMR_SNOW_BUILD:
        dsmr_snow_on_built(engine, request->id, err, NULL);
        return;
    case DSMR_SNOW_PREFER: /* an error would end the chain; a build on it tries again */
        dsmr_grpc_server_reply(request->call, NULL, 0);
        dsmr_snow_end_request(request);
        return;
    }
}

static void on_restored(struct dsmr_snow_engine *engine, struct dsmr_snow_request *request,
                        enum dsmr_err err)
{
    struct dsmr_block *block = request->restored;
    bool is_accept = request->kind == DSMR_SNOW_ACCEPT;
    request->restored = NULL;
    if (err == DSMR_OK)
        dsmr_snow_hold(engine, &block->id);
    if (err == DSMR_OK || (err == DSMR_ERR_BUSY && dsmr_snow_make_room(engine, request))) {
        dsmr_snow_advance(engine, request);
    } else if ((may_change(engine, err) || (is_accept && err == DSMR_ERR_BUSY)) &&
               dsmr_snow_now_ms(engine) < request->until_ms) {
        request->again_ms = dsmr_snow_now_ms(engine) + RETRY_MS;
        if (is_accept && !request->is_said)
            dsmr_snow_say(engine, DSMR_LOG_WARN,
                          "block at height %" PRIu64 " is accepted, but has to be verified once "
                          "more, and that waits: %s",
                          block->height, dsmr_err_text(err));
        request->is_said = true;
    } else {
        give_up(engine, request, err);
    }
    dsmr_block_unref(block);
}

void dsmr_snow_on_verdict(void *self, uint64_t request_id, enum dsmr_err err)
{
    struct dsmr_snow_engine *engine = self;
    struct dsmr_snow_request *request = dsmr_snow_find_request(engine, request_id);
    if (request == NULL)
        return;
    if (request->restored != NULL) {
        on_restored(engine, request, err);
        return;
    }
    note_time(engine, request, err);
    if (err == DSMR_ERR_BUSY && dsmr_snow_make_room(engine, request)) {
        dsmr_snow_advance(engine, request);
        return;
    }
    if (is_for_later(engine, request, err)) {
        request->again_ms = dsmr_snow_now_ms(engine) + RETRY_MS;
        return;
    }
    engine->ahead_waited_ms += ahead_waits_ms(engine, request);
    if (err == DSMR_OK && !dsmr_snow_keep(engine, request->block))
        err = DSMR_ERR_FULL;
    if (err != DSMR_OK) {
        refuse(engine, request, err);
        return;
    }
    Dsmr__Pb__Timestamp time;
    Dsmr__Pb__BlockVerifyResponse response = DSMR__PB__BLOCK_VERIFY_RESPONSE__INIT;
    dsmr_pb_time(&time, request->block->time_ms);
    response.timestamp = &time;
    dsmr_pb_reply(request->call, &response.base);
    dsmr_snow_end_request(request);
}

/* ---- accept, reject ---- */

void dsmr_snow_engine_accept(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                             const struct dsmr_buf *request)
{
    struct dsmr_id id;
    if (dsmr_snow_is_closed(engine, call))
        return;
    Dsmr__Pb__BlockAcceptRequest *message = dsmr_pb_read(
        engine->config.metrics, call, &dsmr__pb__block_accept_request__descriptor, request);
    if (message == NULL)
        return;
    struct dsmr_block *block =
        dsmr_pb_id(&id, message->id) ? dsmr_snow_find_undecided(engine, &id) : NULL;
    protobuf_c_message_free_unpacked(&message->base, NULL);
    if (block == NULL) {
        dsmr_grpc_server_fail(call, DSMR_GRPC_FAILED_PRECONDITION,
                              "a block is accepted that was not verified");
        return;
    }
    struct dsmr_snow_request *accept = dsmr_snow_take_request(engine, DSMR_SNOW_ACCEPT, call);
    if (accept == NULL) {
        dsmr_block_unref(block);
        return;
    }
    accept->block = block;
    accept->needs = id;
    accept->until_ms = UINT64_MAX; /* one that fails has AvalancheGo shut the chain down */
    dsmr_snow_advance(engine, accept);
}

void dsmr_snow_on_accepted(void *self, uint64_t request_id, enum dsmr_err err)
{
    struct dsmr_snow_engine *engine = self;
    struct dsmr_snow_request *request = dsmr_snow_find_request(engine, request_id);
    if (request == NULL)
        return;
    if (err == DSMR_OK) {
        dsmr_block_unref(engine->last_accepted);
        engine->last_accepted = dsmr_block_ref(request->block);
        engine->ahead_waited_ms = 0;
        dsmr_snow_drop_decided(engine);
        dsmr_snow_write_pointer(engine, request->call, request->block);
    } else {
        dsmr_snow_say(engine, DSMR_LOG_ERROR, "block at height %" PRIu64 " cannot be accepted: %s",
                      request->block->height, dsmr_err_text(err));
        dsmr_snow_fail(request->call, err);
    }
    dsmr_snow_end_request(request);
}

void dsmr_snow_engine_reject(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                             const struct dsmr_buf *request)
{
    struct dsmr_id id;
    if (dsmr_snow_is_closed(engine, call))
        return;
    Dsmr__Pb__BlockRejectRequest *message = dsmr_pb_read(
        engine->config.metrics, call, &dsmr__pb__block_reject_request__descriptor, request);
    if (message == NULL)
        return;
    if (dsmr_pb_id(&id, message->id)) {
        if (dsmr_snow_let_go(engine, &id))
            dsmr_driver_reject(engine->driver, &id);
        dsmr_snow_drop(engine, &id);
    } else {
        dsmr_snow_note_bad_id(engine);
    }
    protobuf_c_message_free_unpacked(&message->base, NULL);
    dsmr_grpc_server_reply(call, NULL, 0);
}
