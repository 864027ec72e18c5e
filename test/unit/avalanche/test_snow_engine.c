/* test_snow_engine.c - AvalancheGo's calls against a driver that the test plays: each function of
 * ports/engine.h notes what it was asked, and the test answers through the port. */
#include "avalanche/snow_engine.h"
#include "unit/avalanche/fake_avalanche.h"
#include "wire/codec.h"

/* ---- the driver ---- */

enum asked { NOTHING, BUILD, VERIFY, ACCEPT, REJECT, PREFER, BOOTSTRAPPING };
static struct {
    enum asked what;
    uint32_t count;
    uint64_t request_id, context;
    struct dsmr_id id;
    bool flag;
} asked;

static void note(enum asked what, uint64_t request_id, uint64_t context, const struct dsmr_id *id)
{
    asked.what = what;
    asked.count++;
    asked.request_id = request_id;
    asked.context = context;
    if (id != NULL)
        asked.id = *id;
}
void dsmr_driver_build(struct dsmr_driver *driver, uint64_t request_id,
                       const struct dsmr_id *parent_id, uint64_t context)
{
    (void)driver;
    note(BUILD, request_id, context, parent_id);
}
void dsmr_driver_verify(struct dsmr_driver *driver, uint64_t request_id, struct dsmr_block *block,
                        uint64_t context)
{
    (void)driver;
    note(VERIFY, request_id, context, &block->id);
}
void dsmr_driver_accept(struct dsmr_driver *driver, uint64_t request_id,
                        const struct dsmr_id *block_id)
{
    (void)driver;
    note(ACCEPT, request_id, 0, block_id);
}
void dsmr_driver_reject(struct dsmr_driver *driver, const struct dsmr_id *block_id)
{
    (void)driver;
    note(REJECT, 0, 0, block_id);
}
void dsmr_driver_prefer(struct dsmr_driver *driver, const struct dsmr_id *block_id)
{
    (void)driver;
    note(PREFER, 0, 0, block_id);
}
void dsmr_driver_set_bootstrapping(struct dsmr_driver *driver, bool is_bootstrapping)
{
    (void)driver;
    note(BOOTSTRAPPING, 0, 0, NULL);
    asked.flag = is_bootstrapping;
}

/* ---- the rig: AvalancheGo's end is a client of a server whose calls the test hands on ---- */

#define CHAIN_MAX 16
struct rig {
    struct fake *fake; /* its database */
    struct dsmr_grpc_server *server;
    struct dsmr_grpc_client *client;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct dsmr_grpc_call *call; /* the one that came */
    size_t ended;
    enum dsmr_err err;
    struct dsmr_buf *answer;
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES];
    struct dsmr_params params;
    struct dsmr_block *chain[CHAIN_MAX]; /* 0: genesis */
    uint32_t accepted;                   /* of them: what the query port knows */
    struct dsmr_snow_engine *engine;
    struct dsmr_engine port;
};

static void on_call(void *ctx, struct dsmr_grpc_call *call, const char *method,
                    const uint8_t *bytes, size_t len)
{
    struct rig *rig = ctx;
    (void)method;
    (void)bytes;
    (void)len;
    pthread_mutex_lock(&rig->lock);
    rig->call = call;
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->lock);
}

static void on_end(void *ctx, const struct dsmr_grpc_answer *answer)
{
    struct rig *rig = ctx;
    pthread_mutex_lock(&rig->lock);
    rig->ended++;
    rig->err = answer->err;
    snprintf(rig->reason, sizeof rig->reason, "%s", answer->reason);
    dsmr_buf_unref(rig->answer);
    rig->answer = answer->err == DSMR_OK ? dsmr_buf_copy(answer->bytes, answer->len) : NULL;
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->lock);
}

/* A call that waits to be handed to the engine. */
static struct dsmr_grpc_call *begin(struct rig *rig)
{
    pthread_mutex_lock(&rig->lock);
    rig->call = NULL;
    pthread_mutex_unlock(&rig->lock);
    dsmr_grpc_client_start(rig->client, "/x", NULL, 0, 600000, on_end, rig);
    pthread_mutex_lock(&rig->lock);
    while (rig->call == NULL)
        pthread_cond_wait(&rig->changed, &rig->lock);
    struct dsmr_grpc_call *call = rig->call;
    pthread_mutex_unlock(&rig->lock);
    return call;
}

/* Waits until count calls have ended. */
static void ended(struct rig *rig, size_t count)
{
    pthread_mutex_lock(&rig->lock);
    while (rig->ended < count)
        pthread_cond_wait(&rig->changed, &rig->lock);
    pthread_mutex_unlock(&rig->lock);
}

typedef void (*engine_fn)(struct dsmr_snow_engine *, struct dsmr_grpc_call *,
                          const struct dsmr_buf *);

static void hand(struct rig *rig, engine_fn fn, const ProtobufCMessage *message)
{
    struct dsmr_grpc_call *call = begin(rig);
    struct dsmr_buf *request = dsmr_pb_bytes(message);
    fn(rig->engine, call, request);
    dsmr_buf_unref(request);
}

/* ---- the query port: accepted blocks of chain ---- */

static enum dsmr_err query_block(void *self, struct dsmr_block **out, uint64_t height)
{
    struct rig *rig = self;
    if (height > rig->accepted)
        return DSMR_ERR_UNKNOWN;
    *out = dsmr_block_ref(rig->chain[height]);
    return DSMR_OK;
}
static enum dsmr_err query_find(void *self, uint64_t *height, const struct dsmr_id *id)
{
    struct rig *rig = self;
    for (uint32_t i = 0; i <= rig->accepted; i++) {
        if (dsmr_id_equal(&rig->chain[i]->id, id)) {
            *height = i;
            return DSMR_OK;
        }
    }
    return DSMR_ERR_UNKNOWN;
}
static const struct dsmr_query_ops query_ops = {.block = query_block, .find_block = query_find};

static struct dsmr_block *make_block(struct rig *rig, const struct dsmr_block *parent,
                                     uint64_t time_ms)
{
    struct dsmr_block fields = {.parent_id = parent->id,
                                .height = parent->height + 1,
                                .time_ms = time_ms,
                                .epoch = DSMR_EPOCH_NONE};
    struct dsmr_block *block = NULL;
    assert_int_equal(dsmr_block_build(&block, &rig->params, &fields), DSMR_OK);
    return block;
}

/* accepted: blocks in the store; tip: where AvalancheGo stands. */
static void open_rig(struct rig *rig, uint32_t accepted, uint32_t tip)
{
    memset(rig, 0, sizeof *rig);
    memset(&asked, 0, sizeof asked);
    pthread_mutex_init(&rig->lock, NULL);
    pthread_cond_init(&rig->changed, NULL);
    rig->fake = fake_new();
    const struct dsmr_grpc_server_config server = {
        .handle = on_call, .ctx = rig, .bytes_max = 16u << 20, .calls_max = 64};
    assert_int_equal(dsmr_grpc_server_start(&rig->server, &server), DSMR_OK);
    assert_int_equal(
        dsmr_grpc_client_new(&rig->client, dsmr_grpc_server_address(rig->server), 16u << 20),
        DSMR_OK);
    dsmr_params_default(&rig->params);
    assert_int_equal(dsmr_block_genesis(&rig->chain[0], &rig->params, 1000000), DSMR_OK);
    for (uint32_t i = 1; i < CHAIN_MAX; i++)
        rig->chain[i] = make_block(rig, rig->chain[i - 1], 1000000 + i * 1001);
    rig->accepted = accepted;
    struct dsmr_snow_engine_config config = {.params = rig->params,
                                             .genesis = rig->chain[0],
                                             .clock = fake_clock(rig->fake),
                                             .db = rig->fake->client};
    rig->engine = dsmr_snow_engine_new(&config);
    assert_non_null(rig->engine);
    rig->port = dsmr_snow_engine_port(rig->engine);
    const struct dsmr_query query = {rig, &query_ops};
    dsmr_snow_engine_attach(rig->engine, NULL, &query, rig->chain[tip]);
}

static void close_rig(struct rig *rig)
{
    dsmr_snow_engine_close(rig->engine, "the end");
    dsmr_grpc_client_free(rig->client);
    dsmr_grpc_server_stop(rig->server);
    fake_hang_up(rig->fake);
    dsmr_grpc_server_free(rig->server);
    dsmr_snow_engine_free(rig->engine);
    for (uint32_t i = 0; i < CHAIN_MAX; i++)
        dsmr_block_unref(rig->chain[i]);
    dsmr_buf_unref(rig->answer);
    fake_free(rig->fake);
    pthread_cond_destroy(&rig->changed);
    pthread_mutex_destroy(&rig->lock);
}

static void verify(struct rig *rig, const struct dsmr_block *block, uint64_t context)
{
    Dsmr__Pb__BlockVerifyRequest message = DSMR__PB__BLOCK_VERIFY_REQUEST__INIT;
    DSMR_PB_BYTES(&message, bytes, block->bytes->bytes, block->bytes->len);
    if (context != DSMR_EPOCH_NONE)
        DSMR_PB_SET(&message, p_chain_height, context);
    hand(rig, dsmr_snow_engine_verify, &message.base);
}

static void accept(struct rig *rig, const struct dsmr_block *block)
{
    Dsmr__Pb__BlockAcceptRequest message = DSMR__PB__BLOCK_ACCEPT_REQUEST__INIT;
    DSMR_PB_BYTES(&message, id, block->id.bytes, 32);
    hand(rig, dsmr_snow_engine_accept, &message.base);
}

static bool gets(struct rig *rig, const struct dsmr_id *id)
{
    size_t before = rig->ended;
    Dsmr__Pb__GetBlockRequest message = DSMR__PB__GET_BLOCK_REQUEST__INIT;
    DSMR_PB_BYTES(&message, id, id->bytes, 32);
    hand(rig, dsmr_snow_engine_get_block, &message.base);
    ended(rig, before + 1);
    assert_int_equal(rig->err, DSMR_OK);
    Dsmr__Pb__GetBlockResponse *response =
        dsmr__pb__get_block_response__unpack(NULL, rig->answer->len, rig->answer->bytes);
    assert_non_null(response->timestamp); /* AvalancheGo fails without one */
    bool is_there = response->err != DSMR__PB__ERROR__ERROR_NOT_FOUND;
    if (is_there) {
        assert_true(response->verify_with_context);
        struct dsmr_id hash;
        struct dsmr_buf *bytes = dsmr_buf_copy(response->bytes.data, response->bytes.len);
        struct dsmr_block *block = NULL;
        if (dsmr_block_decode(&block, &rig->params, bytes, bytes->bytes, bytes->len) == DSMR_OK) {
            hash = block->id;
            assert_memory_equal(hash.bytes, id->bytes, 32);
        }
        dsmr_block_unref(block);
        dsmr_buf_unref(bytes);
    }
    dsmr__pb__get_block_response__free_unpacked(response, NULL);
    return is_there;
}

/* ---- tests ---- */

static void test_initialize_and_states(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 5, 3); /* the store is ahead */
    dsmr_snow_engine_answer_initialize(rig.engine, begin(&rig));
    ended(&rig, 1);
    Dsmr__Pb__InitializeResponse *response =
        dsmr__pb__initialize_response__unpack(NULL, rig.answer->len, rig.answer->bytes);
    assert_int_equal(response->height, 3);
    assert_memory_equal(response->last_accepted_id.data, rig.chain[3]->id.bytes, 32);
    assert_memory_equal(response->last_accepted_parent_id.data, rig.chain[2]->id.bytes, 32);
    assert_int_equal(response->timestamp->seconds, rig.chain[3]->time_ms / 1000);
    assert_int_equal(response->timestamp->nanos, rig.chain[3]->time_ms % 1000 * 1000000);
    dsmr__pb__initialize_response__free_unpacked(response, NULL);
    Dsmr__Pb__SetStateRequest message = DSMR__PB__SET_STATE_REQUEST__INIT;
    DSMR_PB_SET(&message, state, DSMR__PB__STATE__STATE_BOOTSTRAPPING);
    hand(&rig, dsmr_snow_engine_set_state, &message.base);
    ended(&rig, 2);
    assert_int_equal(asked.what, BOOTSTRAPPING);
    assert_true(asked.flag);
    message.state = DSMR__PB__STATE__STATE_NORMAL_OP;
    hand(&rig, dsmr_snow_engine_set_state, &message.base);
    ended(&rig, 3);
    assert_false(asked.flag);
    close_rig(&rig);
}

/* Blocks above AvalancheGo's own last accepted one are nobody's, though the store has them. */
static void test_what_avalanchego_has_not_accepted_is_not_there(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 5, 3);
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(gets(&rig, &rig.chain[i]->id), i <= 3);
    for (uint64_t height = 0; height < 7; height++) {
        size_t before = rig.ended;
        Dsmr__Pb__GetBlockIDAtHeightRequest message = DSMR__PB__GET_BLOCK_IDAT_HEIGHT_REQUEST__INIT;
        DSMR_PB_SET(&message, height, height);
        hand(&rig, dsmr_snow_engine_get_id_at, &message.base);
        ended(&rig, before + 1);
        Dsmr__Pb__GetBlockIDAtHeightResponse *response =
            dsmr__pb__get_block_idat_height_response__unpack(NULL, rig.answer->len,
                                                             rig.answer->bytes);
        assert_int_equal(response->err == DSMR__PB__ERROR__ERROR_NOT_FOUND, height > 3);
        if (height <= 3)
            assert_memory_equal(response->blk_id.data, rig.chain[height]->id.bytes, 32);
        dsmr__pb__get_block_idat_height_response__free_unpacked(response, NULL);
    }
    close_rig(&rig);
}

static void test_verify_accept_and_the_pointer(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    verify(&rig, rig.chain[1], 77);
    assert_int_equal(asked.what, VERIFY);
    assert_int_equal(asked.context, 77);
    assert_int_equal(rig.ended, 0); /* the driver thinks */
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_OK);
    ended(&rig, 1);
    assert_int_equal(rig.err, DSMR_OK);
    assert_true(gets(&rig, &rig.chain[1]->id));
    verify(&rig, rig.chain[1], DSMR_EPOCH_NONE); /* once more, with another context */
    assert_int_equal(asked.context, DSMR_EPOCH_NONE);
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_OK);
    ended(&rig, 3);
    accept(&rig, rig.chain[1]);
    assert_int_equal(asked.what, ACCEPT);
    assert_int_equal(fake_unread(rig.fake), 0); /* the pointer waits for the node's own disk */
    rig.port.ops->accepted(rig.port.self, asked.request_id, DSMR_OK);
    const struct fake_call *put = fake_next_call(rig.fake);
    assert_string_equal(put->method, "/rpcdb.Database/Put");
    Dsmr__Pb__PutRequest *message =
        dsmr__pb__put_request__unpack(NULL, put->bytes->len, put->bytes->bytes);
    assert_int_equal(message->value.len, 40);
    assert_int_equal(dsmr_load_be64(message->value.data), 1);
    assert_memory_equal(message->value.data + 8, rig.chain[1]->id.bytes, 32);
    dsmr__pb__put_request__free_unpacked(message, NULL);
    ended(&rig, 4);
    assert_int_equal(rig.err, DSMR_OK);
    assert_true(gets(&rig, &rig.chain[1]->id));
    close_rig(&rig);
}

static void test_a_pointer_that_is_not_written_fails_the_accept(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    verify(&rig, rig.chain[1], 1);
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_OK);
    ended(&rig, 1);
    rig.fake->failure = "closed";
    accept(&rig, rig.chain[1]);
    rig.port.ops->accepted(rig.port.self, asked.request_id, DSMR_OK);
    ended(&rig, 2);
    assert_int_equal(rig.err, DSMR_ERR_MALFORMED);
    close_rig(&rig);
}

static void test_accept_of_what_was_not_verified(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    accept(&rig, rig.chain[1]);
    ended(&rig, 1);
    assert_int_equal(rig.err, DSMR_ERR_MALFORMED);
    assert_int_equal(asked.count, 0);
    verify(&rig, rig.chain[1], 1);
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_ERR_BAD_HEIGHT);
    ended(&rig, 2);
    assert_int_equal(rig.err, DSMR_ERR_MALFORMED);
    assert_false(gets(&rig, &rig.chain[1]->id));
    close_rig(&rig);
}

/* Verdicts that wait for something are asked for again; others are final. */
static void test_verdicts_for_later(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    verify(&rig, rig.chain[1], 9);
    uint64_t start_ms = rig.fake->now_ms;
    uint32_t tries = 1;
    while (rig.fake->now_ms < start_ms + DSMR_SNOW_ENGINE_WAIT_MS) {
        rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_ERR_EPOCH_UNKNOWN);
        assert_int_equal(rig.ended, 0);
        uint64_t due_ms = dsmr_snow_engine_deadline_ms(rig.engine);
        assert_true(due_ms > rig.fake->now_ms && due_ms != UINT64_MAX);
        rig.fake->now_ms = due_ms;
        dsmr_snow_engine_tick(rig.engine);
        assert_int_equal(asked.count, ++tries);
    }
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_ERR_EPOCH_UNKNOWN);
    ended(&rig, 1);
    assert_int_equal(rig.err, DSMR_ERR_MALFORMED);
    assert_string_equal(rig.reason, dsmr_err_text(DSMR_ERR_EPOCH_UNKNOWN));
    verify(&rig, rig.chain[1], 9);
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_ERR_NOT_YET);
    rig.fake->now_ms = dsmr_snow_engine_deadline_ms(rig.engine);
    dsmr_snow_engine_tick(rig.engine);
    rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_OK);
    ended(&rig, 2);
    assert_int_equal(rig.err, DSMR_OK);
    close_rig(&rig);
}

static void wait_for_event(struct rig *rig)
{
    dsmr_snow_engine_wait_for_event(rig->engine, begin(rig));
}

static void build(struct rig *rig, uint64_t context)
{
    Dsmr__Pb__BuildBlockRequest message = DSMR__PB__BUILD_BLOCK_REQUEST__INIT;
    if (context != DSMR_EPOCH_NONE)
        DSMR_PB_SET(&message, p_chain_height, context);
    hand(rig, dsmr_snow_engine_build, &message.base);
}

static void test_events_and_builds(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    wait_for_event(&rig);
    assert_int_equal(rig.ended, 0);
    rig.port.ops->ready(rig.port.self, true);
    ended(&rig, 1);
    Dsmr__Pb__WaitForEventResponse *event =
        dsmr__pb__wait_for_event_response__unpack(NULL, rig.answer->len, rig.answer->bytes);
    assert_int_equal(event->message, DSMR__PB__MESSAGE__MESSAGE_BUILD_BLOCK);
    dsmr__pb__wait_for_event_response__free_unpacked(event, NULL);
    build(&rig, 5);
    assert_int_equal(asked.what, BUILD);
    assert_memory_equal(asked.id.bytes, rig.chain[0]->id.bytes, 32);
    assert_int_equal(asked.context, 5);
    rig.port.ops->built(rig.port.self, asked.request_id, DSMR_OK, rig.chain[1]);
    ended(&rig, 2);
    Dsmr__Pb__BuildBlockResponse *built =
        dsmr__pb__build_block_response__unpack(NULL, rig.answer->len, rig.answer->bytes);
    assert_int_equal(built->height, 1);
    assert_true(built->verify_with_context);
    assert_non_null(built->timestamp);
    assert_memory_equal(built->id.data, rig.chain[1]->id.bytes, 32);
    dsmr__pb__build_block_response__free_unpacked(built, NULL);
    assert_true(gets(&rig, &rig.chain[1]->id));
    /* On the new block, once it is preferred. */
    Dsmr__Pb__SetPreferenceRequest prefer = DSMR__PB__SET_PREFERENCE_REQUEST__INIT;
    DSMR_PB_BYTES(&prefer, id, rig.chain[1]->id.bytes, 32);
    hand(&rig, dsmr_snow_engine_prefer, &prefer.base);
    ended(&rig, 4);
    assert_int_equal(asked.what, PREFER);
    build(&rig, DSMR_EPOCH_NONE);
    assert_memory_equal(asked.id.bytes, rig.chain[1]->id.bytes, 32);
    assert_int_equal(asked.context, DSMR_EPOCH_NONE);
    close_rig(&rig);
}

/* AvalancheGo asks again at once after a build that failed: the event is held back, longer each
 * time, until another block is preferred or a build succeeds. */
static void test_builds_that_fail_hold_the_event(void **state)
{
    struct rig rig;
    uint64_t pause_ms = 0;
    (void)state;
    open_rig(&rig, 0, 0);
    rig.port.ops->ready(rig.port.self, true);
    size_t done = 0;
    for (int i = 0; i < 8; i++) {
        build(&rig, 1);
        rig.port.ops->built(rig.port.self, asked.request_id, DSMR_ERR_NOT_YET, NULL);
        ended(&rig, ++done);
        wait_for_event(&rig);
        assert_int_equal(rig.ended, done);
        uint64_t due_ms = dsmr_snow_engine_deadline_ms(rig.engine);
        assert_true(due_ms - rig.fake->now_ms >= pause_ms);
        pause_ms = due_ms - rig.fake->now_ms;
        rig.fake->now_ms = due_ms;
        dsmr_snow_engine_tick(rig.engine);
        ended(&rig, ++done);
    }
    assert_int_equal(pause_ms, 1000);
    build(&rig, 1);
    rig.port.ops->built(rig.port.self, asked.request_id, DSMR_OK, rig.chain[1]);
    ended(&rig, ++done);
    wait_for_event(&rig);
    ended(&rig, ++done); /* at once */
    close_rig(&rig);
}

static void test_cancelled_waits(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    struct dsmr_grpc_call *calls[6];
    for (int i = 0; i < 6; i++) { /* more than are kept: the oldest end */
        calls[i] = begin(&rig);
        dsmr_snow_engine_wait_for_event(rig.engine, calls[i]);
    }
    ended(&rig, 2);
    dsmr_snow_engine_cancelled(rig.engine, dsmr_grpc_server_serial(calls[4]));
    ended(&rig, 3);
    dsmr_snow_engine_cancelled(rig.engine, 1u << 30); /* one that has ended meanwhile */
    rig.port.ops->ready(rig.port.self, true);
    ended(&rig, 6);
    close_rig(&rig);
}

static void test_rejected_and_outrun_blocks_go(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    struct dsmr_block *siblings[3];
    size_t done = 0;
    for (int i = 0; i < 3; i++) {
        siblings[i] = make_block(&rig, rig.chain[0], 2000000 + (uint64_t)i);
        verify(&rig, siblings[i], 1);
        rig.port.ops->verdict(rig.port.self, asked.request_id, DSMR_OK);
        ended(&rig, ++done);
    }
    Dsmr__Pb__BlockRejectRequest message = DSMR__PB__BLOCK_REJECT_REQUEST__INIT;
    DSMR_PB_BYTES(&message, id, siblings[0]->id.bytes, 32);
    hand(&rig, dsmr_snow_engine_reject, &message.base);
    ended(&rig, ++done);
    assert_int_equal(asked.what, REJECT);
    assert_false(gets(&rig, &siblings[0]->id));
    assert_true(gets(&rig, &siblings[2]->id));
    done += 2;
    accept(&rig, siblings[1]);
    rig.port.ops->accepted(rig.port.self, asked.request_id, DSMR_OK);
    ended(&rig, ++done);
    assert_false(
        gets(&rig, &siblings[2]->id)); /* nobody said so, but it lies at a decided height */
    assert_true(gets(&rig, &siblings[1]->id));
    for (int i = 0; i < 3; i++)
        dsmr_block_unref(siblings[i]);
    close_rig(&rig);
}

static void test_parse(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    Dsmr__Pb__ParseBlockRequest message = DSMR__PB__PARSE_BLOCK_REQUEST__INIT;
    for (uint32_t i = 0; i < 3; i++) {
        DSMR_PB_BYTES(&message, bytes, rig.chain[i]->bytes->bytes, rig.chain[i]->bytes->len);
        hand(&rig, dsmr_snow_engine_parse, &message.base);
        ended(&rig, i + 1);
        assert_int_equal(rig.err, DSMR_OK);
        Dsmr__Pb__ParseBlockResponse *response =
            dsmr__pb__parse_block_response__unpack(NULL, rig.answer->len, rig.answer->bytes);
        assert_int_equal(response->height, i);
        assert_memory_equal(response->id.data, rig.chain[i]->id.bytes, 32);
        assert_int_equal(response->parent_id.len, 32);
        dsmr__pb__parse_block_response__free_unpacked(response, NULL);
    }
    DSMR_PB_BYTES(&message, bytes, rig.chain[1]->bytes->bytes, rig.chain[1]->bytes->len - 1);
    hand(&rig, dsmr_snow_engine_parse, &message.base);
    ended(&rig, 4);
    assert_int_equal(rig.err, DSMR_ERR_MALFORMED);
    ProtobufCBinaryData list[3];
    for (uint32_t i = 0; i < 3; i++)
        list[i] =
            (ProtobufCBinaryData){rig.chain[i + 1]->bytes->len, rig.chain[i + 1]->bytes->bytes};
    Dsmr__Pb__BatchedParseBlockRequest batch = DSMR__PB__BATCHED_PARSE_BLOCK_REQUEST__INIT;
    batch.n_request = 3;
    batch.request = list;
    hand(&rig, dsmr_snow_engine_parse_batch, &batch.base);
    ended(&rig, 5);
    Dsmr__Pb__BatchedParseBlockResponse *response =
        dsmr__pb__batched_parse_block_response__unpack(NULL, rig.answer->len, rig.answer->bytes);
    assert_int_equal(response->n_response, 3);
    assert_int_equal(response->response[2]->height, 3);
    dsmr__pb__batched_parse_block_response__free_unpacked(response, NULL);
    list[1].len--;
    hand(&rig, dsmr_snow_engine_parse_batch, &batch.base);
    ended(&rig, 6);
    assert_int_equal(rig.err, DSMR_ERR_MALFORMED);
    close_rig(&rig);
}

static size_t ancestors(struct rig *rig, const struct dsmr_block *from, int32_t count,
                        int32_t bytes, int64_t ns)
{
    size_t before = rig->ended;
    Dsmr__Pb__GetAncestorsRequest message = DSMR__PB__GET_ANCESTORS_REQUEST__INIT;
    DSMR_PB_BYTES(&message, blk_id, from->id.bytes, 32);
    DSMR_PB_SET(&message, max_blocks_num, count);
    DSMR_PB_SET(&message, max_blocks_size, bytes);
    DSMR_PB_SET(&message, max_blocks_retrival_time, ns);
    hand(rig, dsmr_snow_engine_get_ancestors, &message.base);
    ended(rig, before + 1);
    assert_int_equal(rig->err, DSMR_OK);
    Dsmr__Pb__GetAncestorsResponse *response =
        dsmr__pb__get_ancestors_response__unpack(NULL, rig->answer->len, rig->answer->bytes);
    size_t given = response->n_blks_bytes;
    for (size_t i = 0; i < given; i++)
        assert_memory_equal(response->blks_bytes[i].data,
                            rig->chain[from->height - i]->bytes->bytes,
                            response->blks_bytes[i].len);
    dsmr__pb__get_ancestors_response__free_unpacked(response, NULL);
    return given;
}

static void test_ancestors(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 10, 10);
    int32_t each = (int32_t)rig.chain[5]->bytes->len + 4;
    assert_int_equal(ancestors(&rig, rig.chain[8], 100, 1 << 20, 50000000), 9);
    assert_int_equal(ancestors(&rig, rig.chain[8], 3, 1 << 20, 50000000), 3);
    assert_int_equal(ancestors(&rig, rig.chain[8], 100, each * 4, 50000000), 4);
    assert_int_equal(ancestors(&rig, rig.chain[8], 100, each * 4 - 1, 50000000), 3);
    assert_int_equal(ancestors(&rig, rig.chain[12], 100, 1 << 20, 50000000), 0); /* not there */
    assert_int_equal(ancestors(&rig, rig.chain[8], -1, 1 << 20, 50000000), 0);
    assert_int_equal(ancestors(&rig, rig.chain[8], 100, -1, 50000000), 0);
    assert_int_equal(ancestors(&rig, rig.chain[8], 100, 1 << 20, -1), 0);
    close_rig(&rig);
}

static void test_bytes_that_are_no_requests(void **state)
{
    struct rig rig;
    static const engine_fn fns[] = {
        dsmr_snow_engine_set_state,   dsmr_snow_engine_build,         dsmr_snow_engine_parse,
        dsmr_snow_engine_parse_batch, dsmr_snow_engine_get_block,     dsmr_snow_engine_get_id_at,
        dsmr_snow_engine_prefer,      dsmr_snow_engine_get_ancestors, dsmr_snow_engine_verify,
        dsmr_snow_engine_accept,      dsmr_snow_engine_reject};
    (void)state;
    open_rig(&rig, 0, 0);
    struct dsmr_buf *garbage = dsmr_buf_copy("\x0a\xff\xff\xff\xff\x7f", 6);
    for (size_t i = 0; i < sizeof fns / sizeof fns[0]; i++) {
        fns[i](rig.engine, begin(&rig), garbage);
        ended(&rig, i + 1);
        assert_int_equal(rig.err, DSMR_ERR_MALFORMED);
    }
    assert_int_equal(asked.count, 0);
    dsmr_buf_unref(garbage);
    close_rig(&rig);
}

static void test_closed(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    verify(&rig, rig.chain[1], 1);
    uint64_t request_id = asked.request_id;
    wait_for_event(&rig);
    dsmr_snow_engine_close(rig.engine, "halted: the disk");
    ended(&rig, 2);
    assert_int_equal(rig.err, DSMR_ERR_UNAVAILABLE);
    assert_string_equal(rig.reason, "halted: the disk");
    rig.port.ops->verdict(rig.port.self, request_id, DSMR_OK); /* comes too late */
    build(&rig, 1);
    ended(&rig, 3);
    assert_int_equal(rig.err, DSMR_ERR_UNAVAILABLE);
    close_rig(&rig);
}

static void test_the_pointer_is_read(void **state)
{
    struct rig rig;
    struct dsmr_engine_tip tip;
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES];
    Dsmr__Pb__GetResponse response = DSMR__PB__GET_RESPONSE__INIT;
    uint8_t value[40] = {0, 0, 0, 0, 0, 0, 0, 6, 1, 2, 3};
    (void)state;
    open_rig(&rig, 0, 0);
    DSMR_PB_SET(&response, err, DSMR__PB__ERROR__ERROR_NOT_FOUND);
    fake_answer(rig.fake, &response.base);
    assert_int_equal(dsmr_snow_engine_read_tip(rig.engine, &tip, reason), DSMR_OK);
    assert_int_equal(tip.height, 0);
    assert_memory_equal(tip.block_id.bytes, rig.chain[0]->id.bytes, 32);
    response.err = 0;
    DSMR_PB_BYTES(&response, value, value, sizeof value);
    fake_answer(rig.fake, &response.base);
    assert_int_equal(dsmr_snow_engine_read_tip(rig.engine, &tip, reason), DSMR_OK);
    assert_int_equal(tip.height, 6);
    assert_memory_equal(tip.block_id.bytes, value + 8, 32);
    DSMR_PB_BYTES(&response, value, value, 39);
    fake_answer(rig.fake, &response.base);
    assert_int_equal(dsmr_snow_engine_read_tip(rig.engine, &tip, reason), DSMR_ERR_CORRUPT);
    rig.fake->failure = "closed";
    assert_int_not_equal(dsmr_snow_engine_read_tip(rig.engine, &tip, reason), DSMR_OK);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_initialize_and_states),
        cmocka_unit_test(test_what_avalanchego_has_not_accepted_is_not_there),
        cmocka_unit_test(test_verify_accept_and_the_pointer),
        cmocka_unit_test(test_a_pointer_that_is_not_written_fails_the_accept),
        cmocka_unit_test(test_accept_of_what_was_not_verified),
        cmocka_unit_test(test_verdicts_for_later),
        cmocka_unit_test(test_events_and_builds),
        cmocka_unit_test(test_builds_that_fail_hold_the_event),
        cmocka_unit_test(test_cancelled_waits),
        cmocka_unit_test(test_rejected_and_outrun_blocks_go),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_ancestors),
        cmocka_unit_test(test_bytes_that_are_no_requests),
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_the_pointer_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
