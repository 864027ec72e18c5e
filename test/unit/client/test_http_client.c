/* The HTTP client against a server that says anything. */
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "unit/client/scripted_server.h"

#include "client/http_client.h"

#define SAYS(text)                                                                                 \
    {                                                                                              \
        .answer = (text), .answer_len = sizeof(text) - 1                                           \
    }

static struct scripted server;
static struct dsmr_http_client client;

static void begin(const struct script *scripts, size_t count, size_t body_max)
{
    scripted_start(&server, scripts, count);
    assert_int_equal(dsmr_http_client_init(&client, "127.0.0.1", server.port, 20000, body_max),
                     DSMR_OK);
}

static void end(void)
{
    dsmr_http_client_close(&client);
    dsmr_http_client_close(&client);
    scripted_stop(&server);
}

static void a_connection_is_kept(void **state)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\nX: y\r\n\r\nhello";
    const struct script scripts[] = {
        {.answer = answer, .answer_len = sizeof(answer) - 1, .repeats = 2, .stays = 1}};
    struct dsmr_http_reply reply;
    (void)state;
    begin(scripts, 1, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(dsmr_http_client_get(&client, &reply, "/path?a=b"), DSMR_OK);
        assert_int_equal(reply.status, 200);
        assert_int_equal(reply.body_len, 5);
        assert_string_equal(reply.body, "hello");
    }
    assert_non_null(strstr(server.heard, "GET /path?a=b HTTP/1.1\r\nHost: 127.0.0.1:"));
    end();
}

static void a_kept_connection_that_was_closed_is_tried_again(void **state)
{
    const struct script scripts[] = {SAYS("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
                                     SAYS("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")};
    struct dsmr_http_reply reply;
    (void)state;
    begin(scripts, 2, 0);
    assert_int_equal(dsmr_http_client_get(&client, &reply, "/"), DSMR_OK);
    assert_int_equal(reply.status, 404);
    assert_int_equal(reply.body_len, 0);
    assert_int_equal(dsmr_http_client_get(&client, &reply, "/"), DSMR_OK);
    assert_string_equal(reply.body, "ok");
    end();
}

static void a_post_carries_its_body(void **state)
{
    static const char answer[] =
        "HTTP/1.1 202 Accepted\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
    struct dsmr_http_reply reply;
    (void)state;
    const struct script with_body[] = {
        {.read_bytes = 140, .answer = answer, .answer_len = sizeof(answer) - 1}};
    begin(with_body, 1, 0);
    char body[300];
    memset(body, 'b', sizeof(body));
    assert_int_equal(
        dsmr_http_client_request(&client, &reply, "POST", "/v1/tx", body, sizeof(body)), DSMR_OK);
    assert_int_equal(reply.status, 202);
    assert_int_equal(client.fd, -1); /* the server wanted to close */
    assert_non_null(strstr(server.heard, "Content-Length: 300\r\n"));
    end();
}

static void nonsense_is_malformed(void **state)
{
    static const struct script scripts[] = {
        SAYS("HTTP/1.1 200 OK\r\n\r\n"), /* no length */
        SAYS("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
        SAYS("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        SAYS("HTTP/1.1 200 OK\r\nContent-Length: 1 2\r\n\r\nx"),
        SAYS("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
        SAYS("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"), /* cut short */
        SAYS("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nmore"), /* too much */
        SAYS("HTTP/1.1 99 No\r\nContent-Length: 0\r\n\r\n"),
        SAYS("HTTP/2 200\r\nContent-Length: 0\r\n\r\n"),
        SAYS("SSH-2.0-OpenSSH\r\n\r\n"),
        {.answer = "SSH-2.0-OpenSSH\r\n", .answer_len = 17, .stays = 1}, /* and waits */
    };
    struct dsmr_http_reply reply;
    (void)state;
    begin(scripts, sizeof(scripts) / sizeof(scripts[0]), 0);
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        enum dsmr_err err = dsmr_http_client_get(&client, &reply, "/");
        if (err != DSMR_ERR_MALFORMED) {
            fail_msg("%s gives %s", (const char *)scripts[i].answer, dsmr_err_name(err));
        }
        assert_int_equal(client.fd, -1);
    }
    end();
}

static void limits_hold(void **state)
{
    static char head[9000];
    memset(head, 'h', sizeof(head));
    memcpy(head, "HTTP/1.1 200 OK\r\nX: ", 20);
    const struct script scripts[] = {
        SAYS("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"),
        SAYS("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n0123456789a"),
        {.answer = head, .answer_len = sizeof(head)}};
    struct dsmr_http_reply reply;
    (void)state;
    begin(scripts, 3, 10);
    assert_int_equal(dsmr_http_client_get(&client, &reply, "/"), DSMR_OK);
    dsmr_http_client_close(&client);
    assert_int_equal(dsmr_http_client_get(&client, &reply, "/"), DSMR_ERR_TOO_LARGE);
    assert_int_equal(dsmr_http_client_get(&client, &reply, "/"), DSMR_ERR_TOO_LARGE);
    char path[2000];
    memset(path, '/', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(dsmr_http_client_get(&client, &reply, path), DSMR_ERR_TOO_LARGE);
    end();
    char host[300];
    memset(host, 'h', sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    assert_int_equal(dsmr_http_client_init(&client, host, 1, 1, 0), DSMR_ERR_CONFIG);
}

static void nobody_there_and_no_answer(void **state)
{
    const struct script scripts[] = {{.stays = 1}, {.stays = 0}};
    struct dsmr_http_reply reply;
    (void)state;
    begin(scripts, 2, 0);
    client.timeout_ms = 20;
    assert_int_equal(dsmr_http_client_get(&client, &reply, "/"), DSMR_ERR_TIMEOUT);
    client.timeout_ms = 20000;
    assert_int_equal(dsmr_http_client_get(&client, &reply, "/"), DSMR_ERR_UNAVAILABLE);
    assert_true(client.was_connected);
    uint16_t port = server.port;
    end();
    assert_int_equal(dsmr_http_client_init(&client, "127.0.0.1", port, 20000, 0), DSMR_OK);
    assert_int_equal(dsmr_http_client_get(&client, &reply, "/"), DSMR_ERR_UNAVAILABLE);
    assert_false(client.was_connected);
    dsmr_http_client_close(&client);
    assert_int_equal(dsmr_http_client_init(&client, "no such host.invalid", 1, 20000, 0), DSMR_OK);
    assert_int_equal(dsmr_http_client_get(&client, &reply, "/"), DSMR_ERR_CONFIG);
    dsmr_http_client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_kept),
        cmocka_unit_test(a_kept_connection_that_was_closed_is_tried_again),
        cmocka_unit_test(a_post_carries_its_body),
        cmocka_unit_test(nonsense_is_malformed),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(nobody_there_and_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
