/* snow_rig.h - AvalancheGo's calls against a driver that the test plays: each function of
 * ports/engine.h notes what it was asked, and the test answers through the port. Included by one
 * file of a program. */
#ifndef DSMR_TEST_UNIT_AVALANCHE_SNOW_RIG_H
#define DSMR_TEST_UNIT_AVALANCHE_SNOW_RIG_H

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

/* A test that plays the core hears of each call; NULL: asked is enough. */
static void (*overhear)(struct dsmr_block *block);

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
    if (overhear != NULL)
        overhear(NULL);
}
void dsmr_driver_verify(struct dsmr_driver *driver, uint64_t request_id, struct dsmr_block *block,
                        uint64_t context)
{
    (void)driver;
    note(VERIFY, request_id, context, &block->id);
    if (overhear != NULL)
        overhear(block);
}
void dsmr_driver_accept(struct dsmr_driver *driver, uint64_t request_id,
                        const struct dsmr_id *block_id)
{
    (void)driver;
    note(ACCEPT, request_id, 0, block_id);
    if (overhear != NULL)
        overhear(NULL);
}
void dsmr_driver_reject(struct dsmr_driver *driver, const struct dsmr_id *block_id)
{
    (void)driver;
    note(REJECT, 0, 0, block_id);
    if (overhear != NULL)
        overhear(NULL);
}
void dsmr_driver_prefer(struct dsmr_driver *driver, const struct dsmr_id *block_id)
{
    (void)driver;
    note(PREFER, 0, 0, block_id);
    if (overhear != NULL)
        overhear(NULL);
}
void dsmr_driver_set_bootstrapping(struct dsmr_driver *driver, bool is_bootstrapping)
{
    (void)driver;
    note(BOOTSTRAPPING, 0, 0, NULL);
    asked.flag = is_bootstrapping;
}

/* ---- the log: warnings ---- */

static struct {
    uint32_t count;
    char text[256]; /* of the last */
} warned;
static void note_line(void *self, enum dsmr_log_level level, const char *module, const char *text)
{
    (void)self;
    (void)module;
    if (level > DSMR_LOG_WARN)
        return;
    warned.count++;
    snprintf(warned.text, sizeof warned.text, "%s", text);
}
static const struct dsmr_log_ops log_ops = {.line = note_line};

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
    struct dsmr_metrics metrics;
    struct dsmr_block *chain[CHAIN_MAX]; /* 0: genesis */
    uint32_t accepted;                   /* of them: what the query port knows */
    struct dsmr_snow_engine *engine;
    struct dsmr_engine port;
    bool has_no_validators;
    uint32_t begin_asked;
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

static UNUSED uint64_t counted(const struct rig *rig, enum dsmr_err err)
{
    return atomic_load(&rig->metrics.errors[err]);
}

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

static bool may_begin(void *ctx)
{
    struct rig *rig = ctx;
    rig->begin_asked++;
    return !rig->has_no_validators;
}

/* accepted: blocks in the store; tip: where AvalancheGo stands. */
static void open_rig(struct rig *rig, uint32_t accepted, uint32_t tip)
{
    memset(rig, 0, sizeof *rig);
    memset(&asked, 0, sizeof asked);
    memset(&warned, 0, sizeof warned);
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
                                             .log = {NULL, &log_ops},
                                             .metrics = &rig->metrics,
                                             .db = rig->fake->client,
                                             .may_begin = may_begin,
                                             .ctx = rig};
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

static UNUSED void verify(struct rig *rig, const struct dsmr_block *block, uint64_t context)
{
    Dsmr__Pb__BlockVerifyRequest message = DSMR__PB__BLOCK_VERIFY_REQUEST__INIT;
    DSMR_PB_BYTES(&message, bytes, block->bytes->bytes, block->bytes->len);
    if (context != DSMR_EPOCH_NONE)
        DSMR_PB_SET(&message, p_chain_height, context);
    hand(rig, dsmr_snow_engine_verify, &message.base);
}

static UNUSED void accept(struct rig *rig, const struct dsmr_block *block)
{
    Dsmr__Pb__BlockAcceptRequest message = DSMR__PB__BLOCK_ACCEPT_REQUEST__INIT;
    DSMR_PB_BYTES(&message, id, block->id.bytes, 32);
    hand(rig, dsmr_snow_engine_accept, &message.base);
}

static UNUSED bool gets(struct rig *rig, const struct dsmr_id *id)
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

static UNUSED void wait_for_event(struct rig *rig)
{
    dsmr_snow_engine_wait_for_event(rig->engine, begin(rig));
}

static UNUSED void build(struct rig *rig, uint64_t context)
{
    Dsmr__Pb__BuildBlockRequest message = DSMR__PB__BUILD_BLOCK_REQUEST__INIT;
    if (context != DSMR_EPOCH_NONE)
        DSMR_PB_SET(&message, p_chain_height, context);
    hand(rig, dsmr_snow_engine_build, &message.base);
}

#endif
