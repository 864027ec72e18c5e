/* HTTP over real sockets, through the whole API object: the good way, hostile requests, limits. */
#define _POSIX_C_SOURCE 200809L
#include "unit/api/http_world.h"

static void answers_carry_what_they_should(void **state)
{
    struct world *w = *state;
    expect(w, "GET /v1/status HTTP/1.1\r\n" HOST "\r\n", 200, "\"height\":0");
    assert_non_null(strstr(w->answer, "content-type: application/json"));
    assert_non_null(strstr(w->answer, "cache-control: no-store"));
    assert_non_null(strstr(w->answer, "x-content-type-options: nosniff"));
    assert_null(strstr(w->answer, "access-control"));
    assert_null(strstr(w->answer, "libwebsockets"));
    expect(w, "GET /metrics HTTP/1.1\r\n" HOST "\r\n", 200, "dsmr_http_requests_total 2");
    expect(w, "GET /nothing HTTP/1.1\r\n" HOST "\r\n", 404, "no_such_path");
    expect(w, "PUT /v1/status HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 405,
           "method_not_allowed");
    assert_non_null(strstr(w->answer, "allow: GET, HEAD"));
    expect(w, "OPTIONS /v1/status HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n\r\n", 405,
           "method");
    assert_null(strstr(w->answer, "access-control"));
    w->node.status.is_behind = true;
    expect(w, "GET /health HTTP/1.1\r\n" HOST "\r\n", 503, "behind");
    assert_non_null(strstr(w->answer, "retry-after: 1"));
    expect(w, "GET /v1/block/7/txs?limit=5&cursor=x HTTP/1.1\r\n" HOST "\r\n", 400, "cursor");
}

static void head_has_no_body(void **state)
{
    struct world *w = *state;
    static const char request[] = "HEAD /v1/status HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n";
    int fd = raw_connect(w->port);
    assert_true(raw_send(fd, request, sizeof(request) - 1));
    size_t len = raw_drain(fd, w->answer, ANSWER_MAX);
    w->answer[len] = '\0';
    close(fd);
    assert_non_null(strstr(w->answer, "HTTP/1.1 200"));
    assert_string_equal(strstr(w->answer, "\r\n\r\n"), "\r\n\r\n");
}

static void other_names_are_not_served(void **state)
{
    struct world *w = *state;
    expect(w, "GET /v1/status HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403, "host_not_allowed");
    expect(w, "GET /v1/status HTTP/1.1\r\nHost: <script>alert(1)</script>\r\n\r\n", 403,
           "host_not_allowed");
    assert_null(strstr(w->answer, "script"));
    expect(w, "GET /v1/status HTTP/1.1\r\n\r\n", 403, "host_not_allowed");
    expect(w, "GET /v1/status HTTP/1.1\r\nHost: node.example:1\r\n\r\n", 200, "height");
    expect(w, "GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200, "height");
    expect(w, "POST /v1/tx HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 2\r\n\r\n{}", 403,
           "host");
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_UNEXPECTED], 4);
}

static void keep_alive(void **state)
{
    struct world *w = *state;
    static const char one[] = "GET /health HTTP/1.1\r\n" HOST "\r\n";
    static const char post[] = "POST /v1/tx HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}";
    const char *body = NULL;
    int fd = raw_connect(w->port);
    for (int i = 0; i < 20; i++) {
        assert_true(raw_send(fd, one, sizeof(one) - 1));
        assert_int_equal(read_answer(w, fd, &body), 200);
        assert_true(raw_send(fd, post, sizeof(post) - 1));
        assert_int_equal(read_answer(w, fd, &body), 400);
    }
    close(fd);
}

static void bodies_at_their_limits(void **state)
{
    struct world *w = *state;
    char *request = malloc(70000);
    const char *body = "";
    expect(w, "POST /v1/tx HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n", 413, "too_large");
    expect(w, "POST /v1/tx HTTP/1.1\r\n" HOST "Content-Length: 1073741824\r\n\r\n", 413,
           "too_large");
    expect(w, "POST /v1/tx HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", 400, "bad_request");
    expect(w, "POST /v1/tx HTTP/1.1\r\n" HOST "Content-Length: 1e3\r\n\r\n", 400, "bad_request");
    expect(w, "POST /v1/tx HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n", 400,
           "bad_request");
    expect(w, "POST /v1/tx HTTP/1.1\r\n" HOST "\r\n", 411, "length_required");
    uint64_t malformed = w->node.metrics.errors[DSMR_ERR_MALFORMED];
    expect(w, "POST /v1/tx HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 400, "bad_request");
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_MALFORMED], malformed + 1);
    expect(w, "POST /v1/status HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 405,
           "method_not_allowed");
    expect(w,
           "POST /v1/tx HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
           400, "bad_request");
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_TOO_LARGE], 2);
    int head = sprintf(request,
                       "POST /v1/tx?mode=async HTTP/1.1\r\n" HOST "Content-Length: 65536\r\n\r\n");
    memset(request + head, '[', 65536);
    int fd = raw_connect(w->port);
    assert_true(raw_send(fd, request, (size_t)head + 65536));
    assert_int_equal(read_answer(w, fd, &body), 400);
    assert_non_null(strstr(body, "deeper"));
    memset(request + head, '0', 65536);
    memcpy(request + head, "{\"tx\":\"", 7);
    memcpy(request + head + 65533, "\" }", 3);
    for (size_t i = 0; i < (size_t)head + 65536; i += 9000) { /* in pieces, on the same one */
        size_t left = (size_t)head + 65536 - i;
        assert_true(raw_send(fd, request + i, left < 9000 ? left : 9000));
    }
    assert_int_equal(read_answer(w, fd, &body), 202);
    close(fd);
    free(request);
}

static void a_body_that_never_ends_is_forgotten(void **state)
{
    struct world *w = *state;
    static const char request[] =
        "POST /v1/tx HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\n{\"tx\":\"01";
    for (int i = 0; i < 10; i++) {
        int fd = raw_connect(w->port);
        assert_true(raw_send(fd, request, sizeof(request) - 1));
        close(fd);
    }
    expect(w, "GET /health HTTP/1.1\r\n" HOST "\r\n", 200, "ok");
    assert_int_equal(w->node.batches_count, 0);
}

static void requests_that_are_not_http(void **state)
{
    struct world *w = *state;
    static const char *const requests[] = {
        "\r\n\r\n",
        "GET\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 tls\r\n\r\n",
        "GET /v1/status HTTP/9.9\r\n\r\n",
        "DSMR\r\n\r\n",
        "GET /../../etc/passwd HTTP/1.1\r\n" HOST "\r\n",
        "GET /v1/tx/%00%0d%0a HTTP/1.1\r\n" HOST "\r\n"};
    char *huge = malloc(20001);
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        int fd = raw_connect(w->port);
        (void)raw_send(fd, requests[i], strlen(requests[i]));
        (void)shutdown(fd, SHUT_WR);
        size_t len = raw_drain(fd, w->answer, ANSWER_MAX);
        w->answer[len] = '\0';
        assert_null(strstr(w->answer, "HTTP/1.1 200"));
        close(fd);
    }
    memset(huge, 'a', 20000);
    memcpy(huge, "GET /", 5);
    huge[20000] = '\0';
    int fd = raw_connect(w->port);
    (void)raw_send(fd, huge, 20000);
    (void)shutdown(fd, SHUT_WR);
    size_t len = raw_drain(fd, w->answer, ANSWER_MAX);
    w->answer[len] = '\0';
    assert_null(strstr(w->answer, "HTTP/1.1 200"));
    close(fd);
    free(huge);
    expect(w, "GET /health HTTP/1.1\r\n" HOST "\r\n", 200, "ok");
}

static void too_many_connections_are_refused(void **state)
{
    struct world *w = *state;
    int fds[4];
    const char *body = NULL;
    static const char one[] = "GET /health HTTP/1.1\r\n" HOST "\r\n";
    for (int i = 0; i < 4; i++) {
        fds[i] = raw_connect(w->port);
        assert_true(raw_send(fds[i], one, sizeof(one) - 1));
        assert_int_equal(read_answer(w, fds[i], &body), 200);
    }
    for (int i = 0; i < 10; i++) {
        int fd = raw_connect(w->port);
        w->answer[raw_drain(fd, w->answer, ANSWER_MAX)] = '\0';
        assert_non_null(strstr(w->answer, "HTTP/1.1 503 "));
        assert_non_null(strstr(w->answer, "{\"error\":{\"code\":\"full\""));
        close(fd);
    }
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_FULL], 10);
    for (int i = 0; i < 4; i++) { /* those who are in are served, and leave */
        assert_true(raw_send(fds[i], one, sizeof(one) - 1));
        assert_int_equal(read_answer(w, fds[i], &body), 200);
        close(fds[i]);
    }
    for (int i = 0; i < 100; i++) { /* and their places are free again */
        int fd = -1;
        int status = 0;
        while (status == 0) { /* the server may not have seen the last one go yet */
            fd = raw_connect(w->port);
            status = raw_send(fd, one, sizeof(one) - 1) ? read_answer(w, fd, &body) : 0;
            close(fd);
        }
        assert_int_equal(status, 200);
    }
}

/* Waits for the result of transaction number of make_tx. */
static void post_request(char out[256], uint64_t number)
{
    char hex[65];
    uint8_t tx[32];
    make_tx(tx, number, 1050000);
    dsmr_hex_encode(hex, tx, 32);
    (void)snprintf(out, 256,
                   "POST /v1/tx?mode=executed HTTP/1.1\r\n" HOST
                   "Content-Length: 73\r\n\r\n{\"tx\":\"%s\"}",
                   hex);
}

static void waiting_answers_come_from_the_stream_thread(void **state)
{
    struct world *w = *state;
    char request[256];
    const char *body = NULL;
    int fd = raw_connect(w->port);
    for (uint64_t i = 0; i < 20; i++) {
        post_request(request, i);
        assert_true(raw_send(fd, request, strlen(request)));
        struct dsmr_submit_batch *batch = fake_take(&w->node);
        const struct dsmr_id id = batch->txs[0].id;
        publish_batch(&w->feed, batch, DSMR_OK);
        publish_executed(&w->feed, 5, 1000, &id, 1);
        assert_int_equal(read_answer(w, fd, &body), 200);
        assert_non_null(strstr(body, "\"state\":\"executed\""));
    }
    post_request(request, 20);
    assert_true(raw_send(fd, request, strlen(request)));
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    w->node.mono_ms += 30001;
    assert_int_equal(read_answer(w, fd, &body), 504);
    close(fd);
}

/* More than Content-Length says. Found by fuzz_http: each time that libwebsockets came upon these
 * bytes the route ran again. */
static void bytes_behind_a_body_run_nothing(void **state)
{
    struct world *w = *state;
    char request[256 + 40];
    for (uint64_t i = 0; i < 3; i++) {
        static const char *const behind[] = {"x", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "\r\nGET"};
        int fd = raw_connect(w->port);
        post_request(request, i);
        strcat(request, behind[i]);
        assert_true(raw_send(fd, request, strlen(request)));
        assert_int_equal(raw_drain(fd, w->answer, ANSWER_MAX), 0);
        struct dsmr_submit_batch *batch = fake_take(&w->node);
        const struct dsmr_id id = batch->txs[0].id;
        assert_int_equal(w->node.batches_count, w->node.batches_taken);
        publish_batch(&w->feed, batch, DSMR_OK);
        publish_executed(&w->feed, 5, 1000, &id, 1);
        close(fd);
    }
    assert_int_equal(w->node.batches_count, 3);
    expect(w, "GET /health HTTP/1.1\r\n" HOST "\r\n", 200, "ok");
}

/* Also found by fuzz_http: of a request with a body that came in one breath with the one before
 * it, libwebsockets took the head for the body and never came back: nobody was served again. */
static void one_request_in_a_breath(void **state)
{
    struct world *w = *state;
    static const char one[] = "GET /health HTTP/1.1\r\n" HOST "\r\n";
    static const char *const behind[] = {
        "GET /health HTTP/1.1\r\n" HOST "\r\n",
        "POST /v1/tx HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}",
        "POST /v1/tx HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}and so on",
        "GET /health HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n12345",
        "GET /health\r\nContent-Length: 5\r\n\r\n12345",
        "POST /v1/tx HTTP/1.1\r\n" HOST "Content-Le"};
    const char *body = NULL;
    for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
        char both[512];
        int fd = raw_connect(w->port);
        int len = snprintf(both, sizeof(both), "%s%s", one, behind[i]);
        assert_true(raw_send(fd, both, (size_t)len));
        assert_int_equal(read_answer(w, fd, &body), 200);
        assert_non_null(strstr(w->answer, "connection: close"));
        assert_int_equal(raw_drain(fd, w->answer, ANSWER_MAX), 0);
        close(fd);
        expect(w, one, 200, "ok");
    }
    assert_int_equal(w->node.batches_count, 0);
}

static void a_client_that_gives_up_waiting_is_forgotten(void **state)
{
    struct world *w = *state;
    char request[256];
    char hex[65];
    uint8_t tx[32];
    struct dsmr_id ids[8];
    for (uint64_t i = 0; i < 8; i++) {
        make_tx(tx, i, 1050000);
        dsmr_hash(&ids[i], tx, 32);
        dsmr_hex_encode(hex, tx, 32);
        int len = snprintf(request, sizeof(request),
                           "POST /v1/tx?mode=executed HTTP/1.1\r\n" HOST
                           "Content-Length: 73\r\n\r\n{\"tx\":\"%s\"}",
                           hex);
        int fd = raw_connect(w->port);
        assert_true(raw_send(fd, request, (size_t)len));
        publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
        close(fd);
    }
    publish_executed(&w->feed, 5, 1000, ids, 4); /* half is answered into the void */
    expect(w, "GET /health HTTP/1.1\r\n" HOST "\r\n", 200, "ok");
} /* the other half at stop; the sanitizer watches */

static void stop_answers_who_waits(void **state)
{
    struct world *w = *state;
    static const char request[] =
        "POST /v1/tx?mode=certified HTTP/1.1\r\n" HOST
        "Content-Length: 41\r\n\r\n{\"tx\":\"010000000000100000aabbccddeeff00\"}";
    int fd = raw_connect(w->port);
    assert_true(raw_send(fd, request, sizeof(request) - 1));
    struct dsmr_submit_batch *batch = fake_take(&w->node);
    dsmr_api_stop(w->api);
    size_t len = raw_drain(fd, w->answer, ANSWER_MAX); /* 503 closed, or just the end */
    w->answer[len] = '\0';
    assert_true(len == 0 || strstr(w->answer, "\"closed\"") != NULL);
    close(fd);
    publish_batch(&w->feed, batch, DSMR_OK);
}

static void a_port_in_use_is_said(void **state)
{
    struct world *w = *state;
    struct dsmr_api_config config;
    const char *reason = NULL;
    dsmr_api_config_default(&config);
    config.http_port = w->port;
    config.tx_id = fake_tx_id;
    config.clock = fake_clock(&w->node);
    config.metrics = &w->node.metrics;
    struct dsmr_api *second = dsmr_api_new(&config);
    assert_int_equal(dsmr_api_start(second, &reason, &w->query, &w->submit), DSMR_ERR_UNAVAILABLE);
    assert_non_null(strstr(reason, "the port is in use"));
    assert_int_equal(dsmr_api_http_port(second), 0);
    dsmr_api_free(second);
    config.http_address = "0.0.0.0";
    config.http_port = 0;
    second = dsmr_api_new(&config);
    assert_int_equal(dsmr_api_start(second, &reason, &w->query, &w->submit), DSMR_ERR_CONFIG);
    dsmr_api_free(second);
    config.http_address = NULL;
    config.submit_address = NULL; /* no doors at all: the feed still works */
    second = dsmr_api_new(&config);
    assert_int_equal(dsmr_api_start(second, &reason, &w->query, &w->submit), DSMR_OK);
    assert_int_equal(dsmr_api_http_port(second) + dsmr_api_submit_port(second), 0);
    dsmr_api_free(second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(answers_carry_what_they_should),
        TEST(head_has_no_body),
        TEST(other_names_are_not_served),
        TEST(keep_alive),
        TEST(bodies_at_their_limits),
        TEST(a_body_that_never_ends_is_forgotten),
        TEST(requests_that_are_not_http),
        cmocka_unit_test_setup_teardown(too_many_connections_are_refused, open_small, close_world),
        TEST(waiting_answers_come_from_the_stream_thread),
        TEST(bytes_behind_a_body_run_nothing),
        TEST(one_request_in_a_breath),
        TEST(a_client_that_gives_up_waiting_is_forgotten),
        TEST(stop_answers_who_waits),
        TEST(a_port_in_use_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
