/* fake_routes.h - routes over a fake node, asked directly: no server, no thread. */
#ifndef DSMR_TEST_API_FAKE_ROUTES_H
#define DSMR_TEST_API_FAKE_ROUTES_H

#include "unit/api/fake_node.h"

#include <jansson.h>

#include "api/routes.h"

struct reply {
    int times;
    int status;
    char content_type[64];
    char allow[32];
    uint32_t retry_after_s;
    char *body;
    size_t body_len;
    json_t *json;
};

struct world {
    struct fake_node node;
    struct dsmr_query query;
    struct dsmr_waits *waits;
    struct dsmr_tracker *tracker;
    struct dsmr_feed feed;
    struct dsmr_routes routes;
    struct dsmr_http http;
    struct reply reply;
    uint64_t errors[DSMR_ERR_NUMBER_MAX]; /* counted when the request came */
};

static void on_answer(void *ctx, const struct dsmr_http_response *response)
{
    struct reply *reply = ctx;
    json_decref(reply->json); /* of a request that was given up by the test */
    free(reply->body);
    reply->times++;
    reply->status = response->status;
    (void)snprintf(reply->content_type, sizeof(reply->content_type), "%s", response->content_type);
    (void)snprintf(reply->allow, sizeof(reply->allow), "%s",
                   response->allow != NULL ? response->allow : "");
    reply->retry_after_s = response->retry_after_s;
    reply->body = calloc(1, response->body_len + 1);
    memcpy(reply->body, response->body, response->body_len);
    reply->body_len = response->body_len;
    reply->json = json_loads(reply->body, 0, NULL);
}

static void reply_clear(struct reply *reply)
{
    json_decref(reply->json);
    free(reply->body);
    memset(reply, 0, sizeof(*reply));
}

static void no_submitted(void *self, const struct dsmr_submit_batch *batch)
{
    (void)self;
    (void)batch;
}
static void no_seq(void *self, uint64_t owner, uint64_t seq)
{
    (void)self;
    (void)owner;
    (void)seq;
}
static void no_executed(void *self, uint64_t owner, uint64_t seq, uint64_t height, uint32_t code)
{
    (void)height;
    (void)code;
    no_seq(self, owner, seq);
}
static void no_owner(void *self, uint64_t owner)
{
    no_seq(self, owner, 0);
}
static void no_call(void *self)
{
    (void)self;
}

FAKE_UNUSED static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    fake_init(&w->node);
    w->query = fake_query(&w->node);
    w->waits = dsmr_waits_new(4, 1);
    const struct dsmr_tracker_config tracker = {.flights_max = 16,
                                                .others_max = 4,
                                                .seed = 3,
                                                .waits = w->waits,
                                                .clock = fake_clock(&w->node),
                                                .metrics = &w->node.metrics,
                                                .wake = no_call};
    const struct dsmr_tracker_sink sink = {.submitted = no_submitted,
                                           .certified = no_seq,
                                           .executed = no_executed,
                                           .expired = no_seq,
                                           .landed = no_owner,
                                           .flush = no_call};
    w->tracker = dsmr_tracker_new(&tracker);
    dsmr_tracker_attach(w->tracker, &w->query, &sink);
    w->feed = dsmr_tracker_feed(w->tracker);
    const struct dsmr_routes_config config = {.query = w->query,
                                              .submit = fake_submit_port(&w->node),
                                              .waits = w->waits,
                                              .tracker = w->tracker,
                                              .clock = fake_clock(&w->node),
                                              .metrics = &w->node.metrics,
                                              .tx_id = fake_tx_id,
                                              .wait_ms_max = 30000,
                                              .app_name = "transfers",
                                              .engine_name = "bft",
                                              .version = "1.2.3"};
    dsmr_routes_init(&w->routes, &config);
    w->http = dsmr_routes_http(&w->routes);
    *state = w;
    return 0;
}

FAKE_UNUSED static int close_world(void **state)
{
    struct world *w = *state;
    dsmr_waits_close(w->waits);
    reply_clear(&w->reply);
    dsmr_tracker_free(w->tracker);
    dsmr_waits_free(w->waits);
    while (w->node.batches_taken < w->node.batches_count) {
        dsmr_tracker_batch_free(w->node.batches[w->node.batches_taken++]);
    }
    fake_close(&w->node);
    free(w);
    return 0;
}

/* Asks; target may have a query. The reply may still be to come. */
FAKE_UNUSED static void ask(struct world *w, const char *method, const char *target,
                            const char *body, size_t body_len)
{
    char path[512];
    const char *query = strchr(target, '?');
    size_t len = query != NULL ? (size_t)(query - target) : strlen(target);
    reply_clear(&w->reply);
    for (int i = 0; i < DSMR_ERR_NUMBER_MAX; i++) {
        w->errors[i] = w->node.metrics.errors[i];
    }
    memcpy(path, target, len);
    path[len] = '\0';
    const struct dsmr_http_request request = {.method = method,
                                              .path = path,
                                              .query = query != NULL ? query + 1 : NULL,
                                              .body = body,
                                              .body_len = body_len};
    w->http.ops->handle(w->http.self, &request, on_answer, &w->reply);
}

/* The counter of an error answer, as docs/api.md has it. */
static enum dsmr_err counter_of(const char *code)
{
    static const struct {
        const char *code;
        enum dsmr_err err;
    } names[] = {{"bad_request", DSMR_ERR_MALFORMED},
                 {"no_such_path", DSMR_ERR_UNKNOWN},
                 {"method_not_allowed", DSMR_ERR_UNEXPECTED},
#define FAKE_ROUTES_X(name, number, cls, text) {NULL, DSMR_ERR_##name},
                 DSMR_ERR_MAP(FAKE_ROUTES_X)
#undef FAKE_ROUTES_X
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *name = names[i].code != NULL ? names[i].code : dsmr_err_name(names[i].err);
        if (strcmp(name, code) == 0) {
            return names[i].err;
        }
    }
    fail_msg("%s is no error's name", code);
    return DSMR_OK;
}

/* The last request was refused with code, and counted once. */
FAKE_UNUSED static void expect_error(struct world *w, int status, const char *code)
{
    enum dsmr_err counter = counter_of(code);
    if (w->node.metrics.errors[counter] != w->errors[counter] + 1) {
        fail_msg("%d %s was counted %d times", status, code,
                 (int)(w->node.metrics.errors[counter] - w->errors[counter]));
    }
    assert_int_equal(w->reply.times, 1);
    assert_int_equal(w->reply.status, status);
    const json_t *error = json_object_get(w->reply.json, "error");
    assert_non_null(error);
    assert_string_equal(json_string_value(json_object_get(error, "code")), code);
    assert_true(strlen(json_string_value(json_object_get(error, "message"))) > 0);
}

FAKE_UNUSED static const json_t *get(struct world *w, const char *target, int status)
{
    ask(w, "GET", target, NULL, 0);
    assert_int_equal(w->reply.times, 1);
    if (w->reply.status != status) {
        print_error("%s: %d %s\n", target, w->reply.status, w->reply.body);
    }
    assert_int_equal(w->reply.status, status);
    const json_t *error = json_object_get(w->reply.json, "error");
    if (error != NULL) {
        expect_error(w, status, json_string_value(json_object_get(error, "code")));
    }
    return w->reply.json;
}

FAKE_UNUSED static const char *text(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    assert_non_null(value);
    return value;
}

FAKE_UNUSED static long long number(const json_t *object, const char *name)
{
    assert_true(json_is_integer(json_object_get(object, name)));
    return json_integer_value(json_object_get(object, name));
}

FAKE_UNUSED static bool is_null(const json_t *object, const char *name)
{
    return json_is_null(json_object_get(object, name));
}

FAKE_UNUSED static void hex_path(char out[160], const char *prefix, const struct dsmr_id *id,
                                 const char *suffix)
{
    char hex[65];
    dsmr_hex_encode(hex, id->bytes, 32);
    (void)snprintf(out, 160, "%s%s%s", prefix, hex, suffix);
}

/* A chain of one block at height 7 with a certificate, three executed transactions, a chunk with
 * three, a set of two validators, and evidence. */
FAKE_UNUSED static void fill(struct world *w)
{
    struct fake_node *node = &w->node;
    struct dsmr_params params;
    struct dsmr_block fields;
    dsmr_params_default(&params);
    node->chunk = make_chunk(1, 3, 50000);
    node->has_cert = true;
    memset(&node->cert, 0, sizeof(node->cert));
    node->cert.ref = node->chunk->ref;
    node->cert.signers.words[0] = 5;
    memset(&fields, 0, sizeof(fields));
    fields.height = 7;
    fields.time_ms = 123456;
    fields.past_epochs_count = 1;
    fields.past_epochs[0] = (struct dsmr_past_epoch){.epoch = 3, .ended_at_ms = 123000};
    fields.epoch = 4;
    fields.certs_count = 1;
    fields.certs = &node->cert;
    assert_int_equal(dsmr_block_build(&node->block, &params, &fields), DSMR_OK);
    node->executed = make_executed(7, 123456, node->chunk->tx_ids, 3);
    node->executed->results[1] = (struct dsmr_app_result){.code = 2, .fee = UINT64_MAX};
    memset(node->executed->state_root.bytes, 0xab, 32);
    node->set = calloc(1, sizeof(*node->set) + 2 * sizeof(node->set->validators[0]));
    node->set->refs = 1;
    node->set->count = 2;
    node->set->epoch = 4;
    node->set->total_weight = UINT64_MAX;
    node->set->validators[0].weight = UINT64_MAX - 1;
    node->set->validators[1].weight = 1;
    node->set->validators[0].node_ids_count = 1;
    node->set->validators[1].node_ids_count = 2;
    node->evidence_count = 3;
    node->evidence.refs[0] = node->evidence.refs[1] = node->chunk->ref;
    node->status.height = 7;
    node->status.executed_height = 7;
    node->status.epoch = 4;
    node->tx_err = DSMR_OK;
    node->tx = (struct dsmr_query_tx){.state = DSMR_TX_FAILED,
                                      .chunk_id = node->chunk->ref.chunk_id,
                                      .height = 7,
                                      .result = {.code = 2, .fee = 220},
                                      .code_text = "balance is too low"};
    node->app_err = DSMR_OK;
}

#endif
