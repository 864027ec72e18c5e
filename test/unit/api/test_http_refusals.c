/* What libwebsockets refuses by itself, past the routes: it is counted, and answered where that can
 * be. */
#define _POSIX_C_SOURCE 200809L
#include "unit/api/http_world.h"

static uint64_t errors_of(const struct world *w)
{
    uint64_t sum = 0;
    for (int i = 0; i < DSMR_ERR_NUMBER_MAX; i++) {
        sum += w->node.metrics.errors[i];
    }
    return sum;
}

/* Sends len bytes, ends, and reads to the end. */
static const char *drain(struct world *w, int fd, const char *bytes, size_t len)
{
    (void)raw_send(fd, bytes, len);
    (void)shutdown(fd, SHUT_WR);
    w->answer[raw_drain(fd, w->answer, ANSWER_MAX)] = '\0';
    close(fd);
    return w->answer;
}

/* An answer that came later than the end of another connection: the server is done with that. */
static void settle(struct world *w)
{
    expect(w, "GET /health HTTP/1.1\r\n" HOST "\r\n", 200, "ok");
}

#define BAD "{\"error\":{\"code\":\"bad_request\""
#define NOTHING ""

/* The library itself refuses these. Each is counted once; the answer is JSON where the library lets
 * us. */
static void what_the_library_refuses_is_counted(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *request, *answer; /* a part of the answer, or NOTHING */
        enum dsmr_err counted;
    } cases[] = {
        {"\x16\x03\x01\x02\x01\x01\x01\xfc\x03\x03 tls\r\n\r\n", BAD, DSMR_ERR_MALFORMED},
        {"DSMR\r\n\r\n", BAD, DSMR_ERR_MALFORMED},
        {"GET\r\n\r\n", BAD, DSMR_ERR_MALFORMED},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD, DSMR_ERR_MALFORMED},
        {"TRACE / HTTP/1.1\r\n" HOST "\r\n", BAD, DSMR_ERR_MALFORMED},
        {"CONNECT localhost:80 HTTP/1.1\r\n" HOST "\r\n", BAD, DSMR_ERR_MALFORMED},
        {"GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\n\r\n", BAD, DSMR_ERR_UNEXPECTED},
        {"GET / HTTP/1.1\r\n" HOST "Upgrade: h2c\r\n\r\n", BAD, DSMR_ERR_UNEXPECTED},
        {"GET / HTTP/1.1\r\n" HOST "Upgrade: tea\r\n\r\n", "<html>", DSMR_ERR_UNEXPECTED},
        {"GET /%zz HTTP/1.1\r\n" HOST "\r\n", "<html>", DSMR_ERR_MALFORMED},
        {"GET / HTTP/1.1\r\n" HOST "GET / HTTP/1.1\r\n\r\n", NOTHING, DSMR_ERR_MALFORMED},
        {"GET / HTTP/1.1\r\n" HOST "x: cut off", NOTHING, DSMR_ERR_MALFORMED},
        {"\r\n\r\n", NOTHING, DSMR_ERR_MALFORMED},
        {"POST /v1/tx HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n{\"tx\"", NOTHING,
         DSMR_ERR_MALFORMED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t all = errors_of(w), one = w->node.metrics.errors[cases[i].counted];
        const char *request = cases[i].request;
        const char *answer = drain(w, raw_connect(w->port), request, strlen(request));
        if (strstr(answer, cases[i].answer) == NULL ||
            (cases[i].answer[0] == '\0') != (answer[0] == '\0')) {
            fail_msg("%.40s is answered: %s", request, answer);
        }
        settle(w);
        if (w->node.metrics.errors[cases[i].counted] != one + 1 || errors_of(w) != all + 1) {
            fail_msg("%.40s: %d counted, %d in all", request,
                     (int)(w->node.metrics.errors[cases[i].counted] - one),
                     (int)(errors_of(w) - all));
        }
    }
}

/* A connection that has had one answer. */
static int kept_alive(struct world *w)
{
    static const char one[] = "GET /health HTTP/1.1\r\n" HOST "\r\n";
    const char *body = NULL;
    int fd = raw_connect(w->port);
    assert_true(raw_send(fd, one, sizeof(one) - 1));
    assert_int_equal(read_answer(w, fd, &body), 200);
    return fd;
}

/* The same as second requests of their connections. */
static void what_the_library_refuses_later_is_counted(void **state)
{
    struct world *w = *state;
    static const char tea[] = "GET / HTTP/1.1\r\n" HOST "Upgrade: tea\r\n\r\n";
    static const char *const malformed[] = {"DSMR\r\n\r\n", "GET /%zz HTTP/1.1\r\n\r\n", "GET /"};
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        (void)drain(w, kept_alive(w), malformed[i], strlen(malformed[i]));
        settle(w);
        assert_int_equal(w->node.metrics.errors[DSMR_ERR_MALFORMED], i + 1);
    }
    const char *answer = drain(w, kept_alive(w), tea, sizeof(tea) - 1);
    assert_non_null(strstr(answer, "<html>"));
    assert_null(strstr(answer, "bad_request")); /* one answer, not two */
    settle(w);
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_UNEXPECTED], 1);
    assert_int_equal(errors_of(w), 4);
}

static void a_head_over_8_kib_is_counted(void **state)
{
    struct world *w = *state;
    char *huge = malloc(20000);
    memset(huge, 'a', 20000);
    memcpy(huge, "GET /health HTTP/1.1\r\n" HOST "x: ", 41);
    (void)drain(w, raw_connect(w->port), huge, 20000);
    settle(w);
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_TOO_LARGE], 1);
    (void)drain(w, kept_alive(w), huge, 20000);
    settle(w);
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_TOO_LARGE], 2);
    assert_int_equal(errors_of(w), 2);
    free(huge);
}

/* Who comes and asks for nothing, or has all its answers, is nobody's error. */
static void an_end_without_a_request_is_not_counted(void **state)
{
    struct world *w = *state;
    static const char last[] = "GET /health HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n";
    for (int i = 0; i < 3; i++) {
        (void)drain(w, raw_connect(w->port), "", 0);
        assert_non_null(
            strstr(drain(w, raw_connect(w->port), last, sizeof(last) - 1), "HTTP/1.1 200"));
        int fd = raw_connect(w->port);
        const char *body = NULL;
        assert_true(raw_send(fd, last, sizeof(last) - 1));
        assert_int_equal(read_answer(w, fd, &body), 200);
        close(fd);
        settle(w);
    }
    assert_int_equal(errors_of(w), 0);
}

/* Connections that the library takes away from HTTP give their places back as well. */
static void tunnels_and_upgrades_hold_no_place(void **state)
{
    struct world *w = *state;
    static const char *const requests[] = {
        "CONNECT localhost:80 HTTP/1.1\r\n" HOST "\r\n",
        "GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST "Upgrade: h2c\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST "Upgrade: tea\r\n\r\n",
        "no HTTP\r\n\r\n",
    };
    for (size_t i = 0; i < 10 * sizeof(requests) / sizeof(requests[0]); i++) {
        const char *request = requests[i % (sizeof(requests) / sizeof(requests[0]))];
        (void)drain(w, raw_connect(w->port), request, strlen(request));
        assert_non_null(strstr(w->answer, "HTTP/1.")); /* refused, but not for want of room */
        assert_null(strstr(w->answer, " 503 "));
        settle(w);
    }
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_FULL], 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(what_the_library_refuses_is_counted),
        TEST(what_the_library_refuses_later_is_counted),
        TEST(a_head_over_8_kib_is_counted),
        TEST(an_end_without_a_request_is_not_counted),
        cmocka_unit_test_setup_teardown(tunnels_and_upgrades_hold_no_place, open_small,
                                        close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
