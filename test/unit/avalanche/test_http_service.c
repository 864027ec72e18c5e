/* test_http_service.c - requests that come through AvalancheGo, and the metrics that it gathers. */
#include <metrics.pb-c.h>

#include "avalanche/gather.h"
#include "avalanche/http_service.h"
#include "unit/avalanche/fake_avalanche.h"

static void expect_split(const char *url, const char *path, const char *query)
{
    char *out = malloc(strlen(url) + 2);
    const char *got_path = NULL, *got_query = NULL;
    assert_true(dsmr_http_service_split(out, &got_path, &got_query, url));
    assert_string_equal(got_path, path);
    if (query == NULL)
        assert_null(got_query);
    else
        assert_string_equal(got_query, query);
    free(out);
}

static void test_urls(void **state)
{
    static const char *const bad[] = {
        "",           "/",           "/ext/bc/",     "/ext/bc",       "/v1/tx",
        "/ext/bc/?a", "/ext/bc/X/%", "/ext/bc/X/%4", "/ext/bc/X/%zz", "/ext/bc/X/%00"};
    (void)state;
    expect_split("/ext/bc/X/v1/tx?mode=sync&a=%20", "/v1/tx", "mode=sync&a=%20");
    expect_split("/ext/bc/2uBVSLhM/v1/tx/abc", "/v1/tx/abc", NULL);
    expect_split("/ext/bc/X", "/", NULL);
    expect_split("/ext/bc/X?", "/", "");
    expect_split("/ext/bc/X/a%2Fb%41", "/a/bA", NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char out[64];
        const char *path, *query;
        assert_false(dsmr_http_service_split(out, &path, &query, bad[i]));
    }
}

struct route {
    struct dsmr_http_response response;
    uint32_t asked;
    char method[16], path[64], body[64];
};

static void route_handle(void *self, const struct dsmr_http_request *request,
                         dsmr_http_answer_fn answer, void *ctx)
{
    struct route *route = self;
    route->asked++;
    snprintf(route->method, sizeof route->method, "%s", request->method);
    snprintf(route->path, sizeof route->path, "%s", request->path);
    snprintf(route->body, sizeof route->body, "%.*s", (int)request->body_len,
             request->body_len > 0 ? request->body : "");
    answer(ctx, &route->response);
}

struct rig {
    struct route route;
    struct dsmr_http_service *service;
    struct dsmr_grpc_client *client;
};

static void open_rig(struct rig *rig)
{
    static const struct dsmr_http_ops ops = {route_handle};
    memset(rig, 0, sizeof *rig);
    rig->route.response = (struct dsmr_http_response){
        .status = 200, .content_type = "application/json", .body = "{}", .body_len = 2};
    const struct dsmr_http_service_config config = {
        .http = {&rig->route, &ops}, .body_bytes_max = 100, .calls_max = 16};
    assert_int_equal(dsmr_http_service_start(&rig->service, &config), DSMR_OK);
    assert_int_equal(
        dsmr_grpc_client_new(&rig->client, dsmr_http_service_address(rig->service), 1u << 20),
        DSMR_OK);
}

static void close_rig(struct rig *rig)
{
    dsmr_grpc_client_free(rig->client);
    dsmr_http_service_free(rig->service);
}

static Dsmr__Pb__HandleSimpleHTTPResponse *ask(struct rig *rig, const char *method, const char *url,
                                               const char *body)
{
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES];
    Dsmr__Pb__HandleSimpleHTTPRequest request = DSMR__PB__HANDLE_SIMPLE_HTTPREQUEST__INIT;
    request.method = (char *)(uintptr_t)method;
    request.url = (char *)(uintptr_t)url;
    DSMR_PB_BYTES(&request, body, body, strlen(body));
    struct dsmr_buf *bytes = dsmr_pb_bytes(&request.base), *answer = NULL;
    assert_int_equal(dsmr_grpc_client_call(rig->client, &answer, reason, "/http.HTTP/HandleSimple",
                                           bytes->bytes, bytes->len, 60000),
                     DSMR_OK);
    Dsmr__Pb__HandleSimpleHTTPResponse *response =
        dsmr__pb__handle_simple_httpresponse__unpack(NULL, answer->len, answer->bytes);
    assert_non_null(response);
    dsmr_buf_unref(bytes);
    dsmr_buf_unref(answer);
    return response;
}

static const char *header(const Dsmr__Pb__HandleSimpleHTTPResponse *response, const char *key)
{
    for (size_t i = 0; i < response->n_headers; i++)
        if (strcmp(response->headers[i]->key, key) == 0)
            return response->headers[i]->values[0];
    return NULL;
}

static void done(Dsmr__Pb__HandleSimpleHTTPResponse *response)
{
    dsmr__pb__handle_simple_httpresponse__free_unpacked(response, NULL);
}

static void test_requests_reach_the_routes(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig);
    Dsmr__Pb__HandleSimpleHTTPResponse *response =
        ask(&rig, "POST", "/ext/bc/X/v1/tx?mode=sync", "{\"tx\":1}");
    assert_int_equal(response->code, 200);
    assert_string_equal(header(response, "Content-Type"), "application/json");
    assert_int_equal(response->body.len, 2);
    assert_string_equal(rig.route.method, "POST");
    assert_string_equal(rig.route.path, "/v1/tx");
    assert_string_equal(rig.route.body, "{\"tx\":1}");
    done(response);
    rig.route.response.status = 405;
    rig.route.response.allow = "GET, HEAD";
    rig.route.response.retry_after_s = 7;
    response = ask(&rig, "PUT", "/ext/bc/X/v1/tx", "");
    assert_int_equal(response->code, 405);
    assert_string_equal(header(response, "Allow"), "GET, HEAD");
    assert_string_equal(header(response, "Retry-After"), "7");
    done(response);
    rig.route.response.status = 500; /* which AvalancheGo takes for a broken plugin */
    response = ask(&rig, "GET", "/ext/bc/X/v1/tx", "");
    assert_int_equal(response->code, 503);
    done(response);
    close_rig(&rig);
}

static void test_what_does_not_reach_them(void **state)
{
    struct rig rig;
    char large[102];
    struct dsmr_buf *answer = NULL;
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES];
    (void)state;
    open_rig(&rig);
    memset(large, 'x', 101);
    large[101] = '\0';
    Dsmr__Pb__HandleSimpleHTTPResponse *response = ask(&rig, "POST", "/ext/bc/X/v1/tx", large);
    assert_int_equal(response->code, 413);
    done(response);
    assert_int_equal(rig.route.asked, 0);
    response = ask(&rig, "POST", "/ext/bc/X/v1/tx", large + 1);
    assert_int_equal(response->code, 200);
    done(response);
    response = ask(&rig, "GET", "/elsewhere", "");
    assert_int_equal(response->code, 404);
    done(response);
    assert_int_equal(
        dsmr_grpc_client_call(rig.client, &answer, reason, "/http.HTTP/Handle", NULL, 0, 60000),
        DSMR_ERR_MALFORMED);
    assert_int_equal(dsmr_grpc_client_call(rig.client, &answer, reason, "/http.HTTP/HandleSimple",
                                           (const uint8_t *)"\x0a\xff", 2, 60000),
                     DSMR_ERR_MALFORMED);
    assert_int_equal(rig.route.asked, 1);
    close_rig(&rig);
}

/* ---- Gather ---- */

static void on_gather(void *ctx, struct dsmr_grpc_call *call, const char *method,
                      const uint8_t *bytes, size_t len)
{
    (void)method;
    (void)bytes;
    (void)len;
    dsmr_gather_answer(call, ctx);
}

static const Dsmr__Pb__MetricFamily *family(const Dsmr__Pb__GatherResponse *response,
                                            const char *name)
{
    for (size_t i = 0; i < response->n_metric_families; i++)
        if (strcmp(response->metric_families[i]->name, name) == 0)
            return response->metric_families[i];
    return NULL;
}

static void test_gather(void **state)
{
    static struct dsmr_metrics metrics;
    struct dsmr_grpc_server *server;
    struct dsmr_grpc_client *client;
    struct dsmr_buf *answer = NULL;
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES];
    (void)state;
    dsmr_metrics_set(&metrics, DSMR_METRIC_ACCEPTED_HEIGHT, 12);
    dsmr_metrics_add(&metrics, DSMR_METRIC_TXS_EXECUTED, 34);
    dsmr_metrics_count_error(&metrics, DSMR_ERR_MALFORMED);
    dsmr_metrics_observe(&metrics, DSMR_METRIC_HISTOGRAM_TX_EXECUTED, 40, 1);
    dsmr_metrics_observe(&metrics, DSMR_METRIC_HISTOGRAM_TX_EXECUTED, 4000000, 1);
    const struct dsmr_grpc_server_config config = {
        .handle = on_gather, .ctx = &metrics, .bytes_max = 1000, .calls_max = 4};
    assert_int_equal(dsmr_grpc_server_start(&server, &config), DSMR_OK);
    assert_int_equal(dsmr_grpc_client_new(&client, dsmr_grpc_server_address(server), 1u << 20),
                     DSMR_OK);
    assert_int_equal(
        dsmr_grpc_client_call(client, &answer, reason, "/vm.VM/Gather", NULL, 0, 60000), DSMR_OK);
    Dsmr__Pb__GatherResponse *response =
        dsmr__pb__gather_response__unpack(NULL, answer->len, answer->bytes);
    const Dsmr__Pb__MetricFamily *height = family(response, "dsmr_accepted_height");
    assert_int_equal(height->type, DSMR__PB__METRIC_TYPE__GAUGE);
    assert_true(height->metric[0]->gauge->value == 12.0);
    const Dsmr__Pb__MetricFamily *executed = family(response, "dsmr_txs_executed_total");
    assert_int_equal(executed->type, DSMR__PB__METRIC_TYPE__COUNTER);
    assert_true(executed->metric[0]->counter->value == 34.0);
    const Dsmr__Pb__Histogram *times =
        family(response, "dsmr_tx_executed_seconds")->metric[0]->histogram;
    assert_int_equal(times->sample_count, 2);
    assert_true(times->sample_sum == 4000.04);
    assert_int_equal(times->n_bucket, DSMR_METRIC_BUCKETS - 1);
    assert_int_equal(times->bucket[times->n_bucket - 1]->cumulative_count, 1);
    const Dsmr__Pb__MetricFamily *errors = family(response, "dsmr_errors_total");
    double malformed = -1;
    for (size_t i = 0; i < errors->n_metric; i++) {
        assert_string_equal(errors->metric[i]->label[0]->name, "name");
        if (strcmp(errors->metric[i]->label[0]->value, "malformed") == 0)
            malformed = errors->metric[i]->counter->value;
    }
    assert_true(malformed == 1.0);
    dsmr__pb__gather_response__free_unpacked(response, NULL);
    dsmr_buf_unref(answer);
    dsmr_grpc_client_free(client);
    dsmr_grpc_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_requests_reach_the_routes),
        cmocka_unit_test(test_what_does_not_reach_them),
        cmocka_unit_test(test_gather),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
