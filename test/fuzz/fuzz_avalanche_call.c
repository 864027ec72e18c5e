/* fuzz_avalanche_call.c - any sequence of AvalancheGo's calls to the plugin, from the name of the
 * method on, against a driver that answers late, in any order, with any verdict.
 *
 * How:    the first byte says whether the chain is initialized; then come rows. {method below 128,
 *         form, ...}: a call, of bytes (form even: length u16, bytes) or of one of a few blocks
 *         (form odd: which). {128 and above, argument}: an answer of the driver, time, an end.
 * Checks: each call is answered once, at the latest when the engine is closed; what peers sent is
 *         answered at once and empty; a reply is the message of its method; blocks that come out
 *         are those that went in, ancestors child by parent; what is accepted was verified. */
#include <stdlib.h>
#include <string.h>

#include "api/routes.h"
#include "base/bytes.h"
#include "fuzz/grpc_door.h"
#include "plugin/plugin_state.h"
#include "wire/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOCKS = 8, CALLS_MAX = 400, ASKED_MAX = 600 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* ---- gRPC: a server that is called by the input, a client that hears nothing but OK ---- */

struct dsmr_grpc_call {
    uint32_t method;
    uint32_t answers;
    bool is_app;
    struct dsmr_buf *request;
    uint64_t serial;
};
static struct dsmr_grpc_call calls[CALLS_MAX];
static uint32_t calls_count;
static struct dsmr_snow_engine *engine;
static struct dsmr_params params;

static void check_reply(const struct dsmr_grpc_call *call, const uint8_t *bytes, size_t len);

void dsmr_grpc_server_reply(struct dsmr_grpc_call *call, const uint8_t *bytes, size_t len)
{
    must(++call->answers == 1);
    check_reply(call, bytes, len);
}
void dsmr_grpc_server_fail(struct dsmr_grpc_call *call, int status, const char *message)
{
    must(++call->answers == 1 && status != 0 && message[0] != '\0' && !call->is_app);
}
uint64_t dsmr_grpc_server_serial(const struct dsmr_grpc_call *call)
{
    return call->serial;
}
void dsmr_grpc_client_start(struct dsmr_grpc_client *client, const char *method,
                            const uint8_t *bytes, size_t len, uint32_t timeout_ms,
                            dsmr_grpc_client_done_fn done, void *ctx)
{
    const struct dsmr_grpc_answer answer = {.err = DSMR_OK, .reason = ""};
    (void)client, (void)method, (void)bytes, (void)len, (void)timeout_ms;
    done(ctx, &answer);
}
enum dsmr_err dsmr_grpc_client_call(struct dsmr_grpc_client *client, struct dsmr_buf **out,
                                    char reason[DSMR_GRPC_CLIENT_REASON_BYTES], const char *method,
                                    const uint8_t *bytes, size_t len, uint32_t timeout_ms)
{
    (void)client, (void)out, (void)reason, (void)method, (void)bytes, (void)len, (void)timeout_ms;
    return DSMR_ERR_UNAVAILABLE;
}

/* ---- the driver: notes what it is asked ---- */

enum kind { BUILD, VERIFY, ACCEPT };
struct asked {
    enum kind kind;
    uint64_t id;
    struct dsmr_id block_id;
};
static struct asked asked[ASKED_MAX];
static uint32_t asked_count;
static struct dsmr_block *pool[BLOCKS];     /* 0: genesis; i: a child of (i - 1) / 2 */
static struct dsmr_block *accepted[BLOCKS]; /* by height */
static uint64_t accepted_height;
static bool was_verified[BLOCKS];

static int find_in_pool(const struct dsmr_id *id)
{
    for (int i = 0; i < BLOCKS; i++)
        if (dsmr_id_equal(&pool[i]->id, id))
            return i;
    return -1;
}

static void note(enum kind kind, uint64_t request_id, const struct dsmr_id *id)
{
    if (asked_count < ASKED_MAX)
        asked[asked_count++] = (struct asked){kind, request_id, *id};
}
void dsmr_driver_build(struct dsmr_driver *driver, uint64_t request_id,
                       const struct dsmr_id *parent_id, uint64_t context)
{
    (void)driver, (void)context;
    note(BUILD, request_id, parent_id);
}
void dsmr_driver_verify(struct dsmr_driver *driver, uint64_t request_id, struct dsmr_block *block,
                        uint64_t context)
{
    (void)driver, (void)context;
    note(VERIFY, request_id, &block->id);
}
void dsmr_driver_accept(struct dsmr_driver *driver, uint64_t request_id,
                        const struct dsmr_id *block_id)
{
    int i = find_in_pool(block_id);
    (void)driver;
    must(i < 0 || was_verified[i]);
    note(ACCEPT, request_id, block_id);
}
void dsmr_driver_reject(struct dsmr_driver *driver, const struct dsmr_id *block_id)
{
    (void)driver, (void)block_id;
}
void dsmr_driver_prefer(struct dsmr_driver *driver, const struct dsmr_id *block_id)
{
    (void)driver, (void)block_id;
}
void dsmr_driver_set_bootstrapping(struct dsmr_driver *driver, bool is_bootstrapping)
{
    (void)driver, (void)is_bootstrapping;
}
bool dsmr_driver_has_shared(const struct dsmr_driver *driver, struct dsmr_bls_sig *share,
                            const struct dsmr_reference *ref)
{
    (void)driver, (void)share, (void)ref;
    return false;
}

static enum dsmr_err query_block(void *self, struct dsmr_block **out, uint64_t height)
{
    (void)self;
    if (height > accepted_height)
        return DSMR_ERR_UNKNOWN;
    *out = dsmr_block_ref(accepted[height]);
    return DSMR_OK;
}
static enum dsmr_err query_find(void *self, uint64_t *height, const struct dsmr_id *id)
{
    (void)self;
    for (uint64_t i = 0; i <= accepted_height; i++) {
        if (dsmr_id_equal(&accepted[i]->id, id)) {
            *height = i;
            return DSMR_OK;
        }
    }
    return DSMR_ERR_UNKNOWN;
}
static void query_status(void *self, struct dsmr_query_status *out)
{
    (void)self;
    memset(out, 0, sizeof *out);
}
static const struct dsmr_query_ops query_ops = {
    .block = query_block, .find_block = query_find, .status = query_status};
struct dsmr_query dsmr_driver_query_port(struct dsmr_driver *driver)
{
    (void)driver;
    return (struct dsmr_query){NULL, &query_ops};
}

/* The driver's end of an accept: only a child of the last one. */
static enum dsmr_err try_accept(const struct dsmr_id *id)
{
    int i = find_in_pool(id);
    if (i < 1 || !dsmr_id_equal(&pool[i]->parent_id, &accepted[accepted_height]->id))
        return DSMR_ERR_UNKNOWN;
    accepted[++accepted_height] = pool[i];
    return DSMR_OK;
}

static void answer_one(uint8_t argument)
{
    static const enum dsmr_err errs[] = {DSMR_OK,       DSMR_OK,         DSMR_ERR_NOT_YET,
                                         DSMR_ERR_BUSY, DSMR_ERR_BEHIND, DSMR_ERR_EPOCH_UNKNOWN,
                                         DSMR_ERR_FULL, DSMR_ERR_UNKNOWN};
    struct dsmr_engine port = dsmr_snow_engine_port(engine);
    enum dsmr_err err = errs[argument % 8];
    if (asked_count == 0)
        return;
    uint32_t place = argument / 8u % asked_count;
    struct asked one = asked[place];
    asked[place] = asked[--asked_count];
    int i = find_in_pool(&one.block_id);
    if (one.kind == VERIFY) {
        if (err == DSMR_OK && i >= 0)
            was_verified[i] = true;
        port.ops->verdict(port.self, one.id, err);
    } else if (one.kind == ACCEPT) {
        port.ops->accepted(port.self, one.id, err == DSMR_OK ? try_accept(&one.block_id) : err);
    } else {
        bool is_built = err == DSMR_OK && i >= 0 && 2 * i + 1 < BLOCKS;
        if (is_built)
            was_verified[2 * i + 1] = true; /* own blocks are not verified again */
        port.ops->built(port.self, one.id, is_built ? DSMR_OK : DSMR_ERR_NOTHING_TO_BUILD,
                        is_built ? pool[2 * i + 1] : NULL);
    }
}

/* ---- replies ---- */

static const ProtobufCMessageDescriptor *response_of(const char *name)
{
    static const struct {
        const char *name;
        const ProtobufCMessageDescriptor *descriptor;
    } table[] = {
        {"Initialize", &dsmr__pb__initialize_response__descriptor},
        {"SetState", &dsmr__pb__set_state_response__descriptor},
        {"CreateHandlers", &dsmr__pb__create_handlers_response__descriptor},
        {"WaitForEvent", &dsmr__pb__wait_for_event_response__descriptor},
        {"BuildBlock", &dsmr__pb__build_block_response__descriptor},
        {"ParseBlock", &dsmr__pb__parse_block_response__descriptor},
        {"GetBlock", &dsmr__pb__get_block_response__descriptor},
        {"Health", &dsmr__pb__health_response__descriptor},
        {"Version", &dsmr__pb__version_response__descriptor},
        {"GetAncestors", &dsmr__pb__get_ancestors_response__descriptor},
        {"BatchedParseBlock", &dsmr__pb__batched_parse_block_response__descriptor},
        {"GetBlockIDAtHeight", &dsmr__pb__get_block_idat_height_response__descriptor},
        {"BlockVerify", &dsmr__pb__block_verify_response__descriptor},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].descriptor;
    return NULL;
}

/* A block that the engine gave away; genesis has an encoding that no decoder takes. */
static struct dsmr_block *decode(ProtobufCBinaryData bytes)
{
    struct dsmr_block *block = NULL;
    if (bytes.len == pool[0]->bytes->len &&
        memcmp(bytes.data, pool[0]->bytes->bytes, bytes.len) == 0)
        return dsmr_block_ref(pool[0]);
    struct dsmr_buf *copy = dsmr_buf_copy(bytes.data, bytes.len);
    must(copy != NULL);
    must(dsmr_block_decode(&block, &params, copy, copy->bytes, copy->len) == DSMR_OK);
    dsmr_buf_unref(copy);
    return block;
}

static void check_parsed(const Dsmr__Pb__ParseBlockResponse *response, ProtobufCBinaryData asked_of)
{
    struct dsmr_block *block = decode(asked_of);
    must(response->id.len == 32 && memcmp(response->id.data, block->id.bytes, 32) == 0);
    must(response->height == block->height && response->timestamp != NULL);
    must((uint64_t)response->timestamp->seconds == block->time_ms / 1000);
    dsmr_block_unref(block);
}

static void check_batch(const struct dsmr_grpc_call *call,
                        const Dsmr__Pb__BatchedParseBlockResponse *response)
{
    Dsmr__Pb__BatchedParseBlockRequest *request = dsmr__pb__batched_parse_block_request__unpack(
        NULL, call->request->len, call->request->bytes);
    must(request != NULL && request->n_request == response->n_response);
    for (size_t i = 0; i < request->n_request; i++)
        check_parsed(response->response[i], request->request[i]);
    dsmr__pb__batched_parse_block_request__free_unpacked(request, NULL);
}

static void check_block(const struct dsmr_grpc_call *call,
                        const Dsmr__Pb__GetBlockResponse *response)
{
    Dsmr__Pb__GetBlockRequest *request =
        dsmr__pb__get_block_request__unpack(NULL, call->request->len, call->request->bytes);
    must(request != NULL && response->timestamp != NULL);
    if (response->err != DSMR__PB__ERROR__ERROR_NOT_FOUND) {
        struct dsmr_block *block = decode(response->bytes);
        must(request->id.len == 32 && memcmp(request->id.data, block->id.bytes, 32) == 0);
        dsmr_block_unref(block);
    }
    dsmr__pb__get_block_request__free_unpacked(request, NULL);
}

static void check_ancestors(const struct dsmr_grpc_call *call,
                            const Dsmr__Pb__GetAncestorsResponse *response)
{
    Dsmr__Pb__GetAncestorsRequest *request =
        dsmr__pb__get_ancestors_request__unpack(NULL, call->request->len, call->request->bytes);
    size_t count = response->n_blks_bytes, bytes = 0;
    uint8_t wanted[32];
    must(request != NULL);
    must(count == 0 || (request->blk_id.len == 32 && (int64_t)count <= request->max_blocks_num));
    if (count > 0)
        memcpy(wanted, request->blk_id.data, 32);
    for (size_t i = 0; i < count; i++) {
        struct dsmr_block *block = decode(response->blks_bytes[i]);
        must(memcmp(wanted, block->id.bytes, 32) == 0);
        memcpy(wanted, block->parent_id.bytes, 32);
        bytes += response->blks_bytes[i].len + 4;
        dsmr_block_unref(block);
    }
    must(count <= 1 || (int64_t)bytes <= request->max_blocks_size);
    dsmr__pb__get_ancestors_request__free_unpacked(request, NULL);
}

static void check_reply(const struct dsmr_grpc_call *call, const uint8_t *bytes, size_t len)
{
    const char *name = dsmr_plugin_methods[call->method].name;
    const ProtobufCMessageDescriptor *descriptor = response_of(name);
    must(!call->is_app || len == 0);
    if (descriptor == NULL)
        return;
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, NULL, len, bytes);
    must(message != NULL);
    if (strcmp(name, "ParseBlock") == 0) {
        Dsmr__Pb__ParseBlockRequest *request =
            dsmr__pb__parse_block_request__unpack(NULL, call->request->len, call->request->bytes);
        check_parsed((Dsmr__Pb__ParseBlockResponse *)message, request->bytes);
        dsmr__pb__parse_block_request__free_unpacked(request, NULL);
    } else if (strcmp(name, "BatchedParseBlock") == 0) {
        check_batch(call, (Dsmr__Pb__BatchedParseBlockResponse *)message);
    } else if (strcmp(name, "GetBlock") == 0) {
        check_block(call, (Dsmr__Pb__GetBlockResponse *)message);
    } else if (strcmp(name, "GetAncestors") == 0) {
        check_ancestors(call, (Dsmr__Pb__GetAncestorsResponse *)message);
    }
    protobuf_c_message_free_unpacked(message, NULL);
}

/* ---- the plugin ---- */

static struct dsmr_plugin plugin;
static struct dsmr_vm_service *service;
static uint64_t now_ms;

/* Of the files that are not linked here. */
bool dsmr_plugin_initialize(struct dsmr_plugin *p, const Dsmr__Pb__InitializeRequest *request)
{
    (void)request;
    strcpy(p->reason, "not here");
    return false;
}
size_t dsmr_routes_list(const struct dsmr_routes_entry **out)
{
    static const struct dsmr_routes_entry entries[] = {{.pattern = "/v1/tx"},
                                                       {.pattern = "/v1/tx"}};
    *out = entries;
    return 2;
}
void dsmr_plugin_say(struct dsmr_plugin *p, enum dsmr_log_level level, const char *text)
{
    (void)p, (void)level;
    must(text[0] != '\0');
}

static uint64_t now(void *self)
{
    (void)self;
    return now_ms;
}
static const struct dsmr_clock_ops clock_ops = {now, now};

static void complete(void *self, struct dsmr_task *task)
{
    (void)self;
    task->done(task, NULL);
}
static const struct dsmr_inbox_ops inbox_ops = {.complete = complete};

static void on_message(void *owner, const struct dsmr_node_id *from, struct dsmr_buf *bytes)
{
    (void)owner, (void)from;
    must(bytes->len > 0);
}
static void on_peer(void *owner, const struct dsmr_node_id *peer, bool is_up)
{
    (void)owner, (void)peer, (void)is_up;
}
static const struct dsmr_net_handler handler = {.message = on_message, .peer = on_peer};

static const struct dsmr_node_id validator = {{7}};

static void make_pool(void)
{
    dsmr_params_default(&params);
    must(dsmr_block_genesis(&pool[0], &params, 1000000) == DSMR_OK);
    for (uint64_t i = 1; i < BLOCKS; i++) {
        const struct dsmr_block *parent = pool[(i - 1) / 2];
        struct dsmr_block fields = {.parent_id = parent->id,
                                    .height = parent->height + 1,
                                    .time_ms = parent->time_ms + 1000 + i,
                                    .epoch = i % 2 == 0 ? 5 : DSMR_EPOCH_NONE};
        must(dsmr_block_build(&pool[i], &params, &fields) == DSMR_OK);
    }
    accepted[0] = pool[0];
}

static void open_plugin(bool is_initialized)
{
    memset(&plugin, 0, sizeof plugin);
    now_ms = 1000000;
    const struct dsmr_snow_engine_config snow = {
        .params = params, .genesis = pool[0], .clock.ops = &clock_ops, .seed = 1};
    struct dsmr_app_net_config net;
    const struct dsmr_query query = {NULL, &query_ops};
    dsmr_app_net_config_default(&net);
    net.inbox.ops = &inbox_ops;
    net.clock.ops = &clock_ops;
    net.metrics = &plugin.metrics;
    net.handler = &handler;
    net.other = dsmr_plugin_on_other_request;
    net.ctx = &plugin;
    plugin.is_initialized = is_initialized;
    plugin.engine = engine = dsmr_snow_engine_new(&snow);
    plugin.net = dsmr_app_net_new(&net);
    must(engine != NULL && plugin.net != NULL);
    plugin.acp118.net = plugin.net;
    dsmr_snow_engine_attach(engine, NULL, &query, pool[0]);
    dsmr_app_net_attach(plugin.net, NULL);
    struct dsmr_net port = dsmr_app_net_port(plugin.net);
    port.ops->set_peers(port.self, &validator, 1);
    const struct dsmr_vm_service_config config = {.methods = dsmr_plugin_methods,
                                                  .self = &plugin,
                                                  .cancelled = dsmr_plugin_on_cancelled,
                                                  .inbox.ops = &inbox_ops,
                                                  .metrics = &plugin.metrics,
                                                  .request_bytes_max = 1u << 20,
                                                  .app_bytes_max = 1u << 20,
                                                  .calls_max = CALLS_MAX};
    const struct dsmr_http_service_config http = {.calls_max = 1};
    must(dsmr_http_service_start(&plugin.http, &http) == DSMR_OK);
    must(dsmr_vm_service_start(&service, &config) == DSMR_OK); /* the server that is called */
}

static void close_plugin(void)
{
    dsmr_snow_engine_close(engine, "the end");
    while (asked_count > 0) /* what nobody waits for any more */
        answer_one(0);
    for (uint32_t i = 0; i < calls_count; i++) {
        must(calls[i].answers == 1);
        dsmr_buf_unref(calls[i].request);
    }
    dsmr_vm_service_free(service);
    dsmr_http_service_free(plugin.http);
    dsmr_app_net_free(plugin.net);
    dsmr_snow_engine_free(engine);
}

/* ---- rows ---- */

struct rows {
    const uint8_t *bytes;
    size_t left;
};

static uint8_t take(struct rows *rows)
{
    if (rows->left == 0)
        return 0;
    rows->left--;
    return *rows->bytes++;
}

static struct dsmr_buf *take_bytes(struct rows *rows)
{
    size_t len = (size_t)take(rows) << 8;
    len |= take(rows);
    len = len < rows->left ? len : rows->left;
    struct dsmr_buf *buf = dsmr_buf_copy(rows->bytes, len);
    rows->bytes += len;
    rows->left -= len;
    return buf;
}

/* What the method takes, of block i. Fields that it does not know are skipped by its decoder. */
static struct dsmr_buf *make_request(const char *name, uint8_t choice)
{
    struct dsmr_block *block = pool[choice % BLOCKS];
    const ProtobufCBinaryData bytes = {block->bytes->len, block->bytes->bytes};
    ProtobufCBinaryData list[2] = {bytes, {pool[0]->bytes->len, pool[0]->bytes->bytes}};
    Dsmr__Pb__BlockVerifyRequest verify = DSMR__PB__BLOCK_VERIFY_REQUEST__INIT;
    Dsmr__Pb__BatchedParseBlockRequest batch = DSMR__PB__BATCHED_PARSE_BLOCK_REQUEST__INIT;
    Dsmr__Pb__GetAncestorsRequest ancestors = DSMR__PB__GET_ANCESTORS_REQUEST__INIT;
    Dsmr__Pb__GetBlockIDAtHeightRequest at = DSMR__PB__GET_BLOCK_IDAT_HEIGHT_REQUEST__INIT;
    Dsmr__Pb__ConnectedRequest peer = DSMR__PB__CONNECTED_REQUEST__INIT;
    if (strcmp(name, "BlockVerify") == 0 || strcmp(name, "ParseBlock") == 0) {
        verify.has_bytes = true;
        verify.bytes = bytes;
        if (choice >= 128)
            DSMR_PB_SET(&verify, p_chain_height, 5);
        return dsmr_pb_bytes(&verify.base);
    }
    if (strcmp(name, "BatchedParseBlock") == 0) {
        batch.n_request = choice < 128 ? 1 : 2;
        batch.request = list;
        return dsmr_pb_bytes(&batch.base);
    }
    if (strcmp(name, "GetBlockIDAtHeight") == 0 || strcmp(name, "BuildBlock") == 0 ||
        strcmp(name, "SetState") == 0) { /* field 1 is a number in all of them */
        DSMR_PB_SET(&at, height, choice % 6);
        return dsmr_pb_bytes(&at.base);
    }
    if (strstr(name, "onnected") != NULL) {
        DSMR_PB_BYTES(&peer, node_id, validator.bytes, sizeof validator.bytes);
        return dsmr_pb_bytes(&peer.base);
    }
    DSMR_PB_BYTES(&ancestors, blk_id, block->id.bytes, 32); /* field 1, as all ids are */
    if (strcmp(name, "GetAncestors") == 0) {
        DSMR_PB_SET(&ancestors, max_blocks_num, choice / 8);
        DSMR_PB_SET(&ancestors, max_blocks_size, choice >= 128 ? 1 << 20 : 400);
        DSMR_PB_SET(&ancestors, max_blocks_retrival_time, 1000000000);
    }
    return dsmr_pb_bytes(&ancestors.base);
}

static void do_call(struct rows *rows, uint8_t choice)
{
    uint32_t methods = 0;
    char name[64] = "/vm.VM/";
    while (dsmr_plugin_methods[methods].name != NULL)
        methods++;
    struct dsmr_grpc_call *call = &calls[calls_count++];
    *call = (struct dsmr_grpc_call){.method = choice % methods, .serial = calls_count};
    const char *method = dsmr_plugin_methods[call->method].name;
    bool is_method = choice % 64 != 63;
    call->is_app = is_method && strncmp(method, "App", 3) == 0;
    uint8_t form = take(rows);
    call->request = form % 2 == 0 ? take_bytes(rows) : make_request(method, take(rows));
    must(call->request != NULL);
    strcat(name, is_method ? method : "NoSuchMethod");
    server.handle(server.ctx, call, name, call->request->bytes, call->request->len);
    must(!call->is_app || call->answers == 1);
}

static void do_event(uint8_t kind, uint8_t argument)
{
    struct dsmr_engine port = dsmr_snow_engine_port(engine);
    switch (kind % 4) {
    case 0:
        now_ms += (uint64_t)argument * 40;
        dsmr_snow_engine_tick(engine);
        dsmr_app_net_tick(plugin.net);
        return;
    case 1:
        answer_one(argument);
        return;
    case 2:
        port.ops->ready(port.self, argument % 2 == 0);
        return;
    default:
        if (calls_count > 0 && calls[argument % calls_count].answers == 0)
            server.cancelled(server.ctx, &calls[argument % calls_count]);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rows rows = {data, size};
    if (pool[0] == NULL)
        make_pool();
    calls_count = asked_count = 0;
    accepted_height = 0;
    memset(was_verified, 0, sizeof was_verified);
    open_plugin(take(&rows) % 8 != 7);
    while (rows.left > 0 && calls_count < CALLS_MAX && asked_count < ASKED_MAX - 300) {
        uint8_t choice = take(&rows);
        if (choice < 128)
            do_call(&rows, choice);
        else
            do_event(choice, take(&rows));
        must(dsmr_snow_engine_deadline_ms(engine) - 1 >= 999999); /* 0 is at once */
    }
    close_plugin();
    return 0;
}
