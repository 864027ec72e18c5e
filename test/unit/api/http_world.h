/* http_world.h - the whole API object over a fake node, asked through real sockets. */
#ifndef DSMR_TEST_API_HTTP_WORLD_H
#define DSMR_TEST_API_HTTP_WORLD_H

#include "unit/api/fake_node.h"
#include "unit/api/raw_socket.h"

#include "api/api.h"
#include "api/routes.h"

#define ANSWER_MAX (1u << 20)
#define HOST "Host: localhost\r\n"

struct world {
    struct fake_node node;
    struct dsmr_api *api;
    struct dsmr_feed feed;
    struct dsmr_query query;
    struct dsmr_submit submit;
    uint16_t port;
    char *answer;
};

FAKE_UNUSED static int open_api(void **state, uint32_t connections_max)
{
    struct world *w = calloc(1, sizeof(*w));
    static const char *const hosts[] = {"node.example"};
    struct dsmr_api_config config;
    const char *reason = "";
    fake_init(&w->node);
    dsmr_api_config_default(&config);
    config.hosts = hosts;
    config.hosts_count = 1;
    config.http_connections_max = connections_max;
    config.tx_id = fake_tx_id;
    config.clock = fake_clock(&w->node);
    config.metrics = &w->node.metrics;
    w->api = dsmr_api_new(&config);
    assert_non_null(w->api);
    w->feed = dsmr_api_feed(w->api);
    w->query = fake_query(&w->node);
    w->submit = fake_submit_port(&w->node);
    assert_int_equal(dsmr_api_start(w->api, &reason, &w->query, &w->submit), DSMR_OK);
    w->port = dsmr_api_http_port(w->api);
    assert_true(w->port != 0 && dsmr_api_submit_port(w->api) != 0);
    w->answer = calloc(1, ANSWER_MAX + 1);
    *state = w;
    return 0;
}

FAKE_UNUSED static int open_world(void **state)
{
    return open_api(state, 64);
}

FAKE_UNUSED static int open_small(void **state)
{
    return open_api(state, 4);
}

FAKE_UNUSED static int close_world(void **state)
{
    struct world *w = *state;
    dsmr_api_stop(w->api);
    dsmr_api_stop(w->api);
    while (w->node.batches_taken < w->node.batches_count) { /* as the driver does at its end */
        publish_batch(&w->feed, w->node.batches[w->node.batches_taken++], DSMR_ERR_CLOSED);
    }
    dsmr_api_free(w->api);
    fake_close(&w->node);
    free(w->answer);
    free(w);
    return 0;
}

/* Reads one answer with Content-Length; 0 if the connection ended first. Body with a zero byte. */
FAKE_UNUSED static int read_answer(struct world *w, int fd, const char **body)
{
    size_t len = 0;
    char *end = NULL;
    int status = 0;
    while (end == NULL) {
        if (len == ANSWER_MAX || !raw_recv(fd, w->answer + len, 1)) {
            return 0;
        }
        w->answer[++len] = '\0';
        end = strstr(w->answer, "\r\n\r\n");
    }
    const char *length = strstr(w->answer, "content-length:");
    assert_non_null(length);
    size_t body_len = (size_t)strtoul(length + 15, NULL, 10);
    assert_true(len + body_len <= ANSWER_MAX);
    assert_true(raw_recv(fd, w->answer + len, body_len));
    w->answer[len + body_len] = '\0';
    assert_int_equal(sscanf(w->answer, "HTTP/1.1 %d", &status), 1);
    *body = w->answer + len;
    return status;
}

/* One request on a connection of its own. */
FAKE_UNUSED static int ask(struct world *w, const char *request, const char **body)
{
    int fd = raw_connect(w->port);
    (void)raw_send(fd, request, strlen(request));
    int status = read_answer(w, fd, body);
    close(fd);
    return status;
}

FAKE_UNUSED static void expect(struct world *w, const char *request, int status,
                               const char *in_body)
{
    const char *body = "";
    int got = ask(w, request, &body);
    if (got != status || strstr(body, in_body) == NULL) {
        fail_msg("%.60s: %d %s", request, got, body);
    }
}

#endif
