/* test_grpc_server.c - calls over gRPC's C core: answers, failures, limits, cancelling, the end. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/avalanche/fake_avalanche.h"

static void test_round_trip(void **state)
{
    struct fake *fake = fake_new();
    struct dsmr_buf *out = NULL;
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES];
    (void)state;
    /* Also around AvalancheGo's 2 MiB for a message of peers, and gRPC's own limit of 4 MiB. */
    static const size_t lens[] = {
        0, 1, 400, 19608, 137257, (2u << 20) - 1, 2u << 20, (2u << 20) + 1, (4u << 20) + 1};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        size_t len = lens[i];
        uint8_t *bytes = malloc(len + 1);
        memset(bytes, (int)len, len);
        fake->answer = dsmr_buf_copy(bytes, len);
        assert_int_equal(
            dsmr_grpc_client_call(fake->client, &out, reason, "/a.B/C", bytes, len, 60000),
            DSMR_OK);
        const struct fake_call *call = fake_next_call(fake);
        assert_string_equal(call->method, "/a.B/C");
        assert_int_equal(call->bytes->len, len);
        assert_memory_equal(call->bytes->bytes, bytes, len);
        assert_int_equal(out->len, len);
        assert_memory_equal(out->bytes, bytes, len);
        dsmr_buf_unref(out);
        dsmr_buf_unref(fake->answer);
        fake->answer = NULL;
        free(bytes);
    }
    fake_free(fake);
}

static void test_failure_is_told(void **state)
{
    struct fake *fake = fake_new();
    struct dsmr_buf *out = NULL;
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES];
    (void)state;
    fake->failure = "no such height";
    assert_int_equal(dsmr_grpc_client_call(fake->client, &out, reason, "/a.B/C", NULL, 0, 60000),
                     DSMR_ERR_MALFORMED);
    assert_null(out);
    assert_string_equal(reason, "no such height");
    fake_free(fake);
}

static void test_answer_above_the_limit(void **state)
{
    struct fake *fake = fake_new();
    struct dsmr_grpc_client *small = NULL;
    struct dsmr_buf *out = NULL;
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES];
    (void)state;
    assert_int_equal(dsmr_grpc_client_new(&small, dsmr_grpc_server_address(fake->server), 1000),
                     DSMR_OK);
    fake->answer = dsmr_buf_new(1000);
    memset(fake->answer->bytes, 1, 1000);
    assert_int_equal(dsmr_grpc_client_call(small, &out, reason, "/a.B/C", NULL, 0, 60000), DSMR_OK);
    dsmr_buf_unref(out);
    dsmr_buf_unref(fake->answer);
    fake->answer = dsmr_buf_new(1001);
    memset(fake->answer->bytes, 1, 1001);
    assert_int_not_equal(dsmr_grpc_client_call(small, &out, reason, "/a.B/C", NULL, 0, 60000),
                         DSMR_OK);
    dsmr_grpc_client_free(small);
    fake_free(fake);
}

/* ---- a server that keeps its calls ---- */

struct keeper {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct dsmr_grpc_call *calls[8];
    size_t count;
    uint64_t cancelled[8];
    size_t cancelled_count;
};

static void keep(void *ctx, struct dsmr_grpc_call *call, const char *method, const uint8_t *bytes,
                 size_t len)
{
    struct keeper *keeper = ctx;
    (void)method;
    (void)bytes;
    (void)len;
    pthread_mutex_lock(&keeper->lock);
    keeper->calls[keeper->count++] = call;
    pthread_cond_signal(&keeper->changed);
    pthread_mutex_unlock(&keeper->lock);
}

static void note_cancelled(void *ctx, struct dsmr_grpc_call *call)
{
    struct keeper *keeper = ctx;
    pthread_mutex_lock(&keeper->lock);
    keeper->cancelled[keeper->cancelled_count++] = dsmr_grpc_server_serial(call);
    pthread_cond_signal(&keeper->changed);
    pthread_mutex_unlock(&keeper->lock);
}

static void wait_until(struct keeper *keeper, const size_t *value, size_t wanted)
{
    pthread_mutex_lock(&keeper->lock);
    while (*value < wanted)
        pthread_cond_wait(&keeper->changed, &keeper->lock);
    pthread_mutex_unlock(&keeper->lock);
}

struct ends {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t count;
    enum dsmr_err last;
};

static void note_end(void *ctx, const struct dsmr_grpc_answer *answer)
{
    struct ends *ends = ctx;
    pthread_mutex_lock(&ends->lock);
    ends->last = answer->err;
    ends->count++;
    pthread_cond_signal(&ends->changed);
    pthread_mutex_unlock(&ends->lock);
}

static void wait_for_ends(struct ends *ends, size_t wanted)
{
    pthread_mutex_lock(&ends->lock);
    while (ends->count < wanted)
        pthread_cond_wait(&ends->changed, &ends->lock);
    pthread_mutex_unlock(&ends->lock);
}

static void start(struct keeper *keeper, struct dsmr_grpc_server **server,
                  struct dsmr_grpc_client **client, uint32_t calls_max)
{
    memset(keeper, 0, sizeof *keeper);
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_cond_init(&keeper->changed, NULL);
    const struct dsmr_grpc_server_config config = {.handle = keep,
                                                   .cancelled = note_cancelled,
                                                   .ctx = keeper,
                                                   .bytes_max = 1u << 20,
                                                   .calls_max = calls_max};
    assert_int_equal(dsmr_grpc_server_start(server, &config), DSMR_OK);
    assert_int_equal(dsmr_grpc_client_new(client, dsmr_grpc_server_address(*server), 1u << 20),
                     DSMR_OK);
}

static void test_who_gives_up_is_named(void **state)
{
    struct keeper keeper;
    struct dsmr_grpc_server *server;
    struct dsmr_grpc_client *client;
    struct ends ends = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    (void)state;
    start(&keeper, &server, &client, 8);
    dsmr_grpc_client_start(client, "/a.B/C", NULL, 0, 600000, note_end, &ends);
    wait_until(&keeper, &keeper.count, 1);
    uint64_t serial = dsmr_grpc_server_serial(keeper.calls[0]);
    dsmr_grpc_client_free(client);
    assert_int_equal(ends.count, 1);
    assert_int_equal(ends.last, DSMR_ERR_CLOSED);
    wait_until(&keeper, &keeper.cancelled_count, 1);
    assert_int_equal(keeper.cancelled[0], serial);
    dsmr_grpc_server_reply(keeper.calls[0], NULL, 0); /* nobody hears it, and nothing breaks */
    dsmr_grpc_server_free(server);
}

static void test_calls_above_the_limit_are_refused(void **state)
{
    struct keeper keeper;
    struct dsmr_grpc_server *server;
    struct dsmr_grpc_client *client;
    struct ends ends = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    (void)state;
    start(&keeper, &server, &client, 2);
    dsmr_grpc_client_start(client, "/a.B/C", NULL, 0, 600000, note_end, &ends);
    dsmr_grpc_client_start(client, "/a.B/C", NULL, 0, 600000, note_end, &ends);
    wait_until(&keeper, &keeper.count, 2);
    dsmr_grpc_client_start(client, "/a.B/C", NULL, 0, 600000, note_end, &ends);
    wait_for_ends(&ends, 1);
    assert_int_equal(ends.last, DSMR_ERR_MALFORMED);
    dsmr_grpc_server_reply(keeper.calls[0], NULL, 0);
    wait_for_ends(&ends, 2);
    assert_int_equal(ends.last, DSMR_OK);
    dsmr_grpc_client_start(client, "/a.B/C", NULL, 0, 600000, note_end, &ends); /* room again */
    wait_until(&keeper, &keeper.count, 3);
    dsmr_grpc_server_fail(keeper.calls[1], DSMR_GRPC_UNKNOWN, "x");
    dsmr_grpc_server_reply(keeper.calls[2], NULL, 0);
    wait_for_ends(&ends, 4);
    dsmr_grpc_client_free(client);
    dsmr_grpc_server_free(server);
}

/* Calls that are held while the server ends may be answered afterwards. */
static void test_stop_with_calls_that_wait(void **state)
{
    struct keeper keeper;
    struct dsmr_grpc_server *server;
    struct dsmr_grpc_client *client;
    struct ends ends = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    (void)state;
    start(&keeper, &server, &client, 8);
    for (int i = 0; i < 3; i++)
        dsmr_grpc_client_start(client, "/a.B/C", NULL, 0, 600000, note_end, &ends);
    wait_until(&keeper, &keeper.count, 3);
    dsmr_grpc_server_stop(server);
    wait_for_ends(&ends, 3);
    assert_int_not_equal(ends.last, DSMR_OK);
    assert_int_equal(keeper.cancelled_count, 3);
    dsmr_grpc_server_reply(keeper.calls[0], NULL, 0);
    dsmr_grpc_server_fail(keeper.calls[1], DSMR_GRPC_UNKNOWN, "x");
    dsmr_grpc_server_reply(keeper.calls[2], (const uint8_t *)"y", 1);
    dsmr_grpc_server_free(server);
    dsmr_grpc_client_free(client);
}

/* The last answer, that of Shutdown, is not cut off by the end that follows it at once. */
static void test_what_was_answered_arrives(void **state)
{
    const size_t len = 1u << 20; /* more than a socket takes at once */
    uint8_t *bytes = calloc(1, len);
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct keeper keeper;
        struct dsmr_grpc_server *server;
        struct dsmr_grpc_client *client;
        struct ends ends = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
        start(&keeper, &server, &client, 8);
        dsmr_grpc_client_start(client, "/a.B/C", NULL, 0, 600000, note_end, &ends);
        wait_until(&keeper, &keeper.count, 1);
        dsmr_grpc_server_reply(keeper.calls[0], bytes, round % 2 == 0 ? 0 : len - 64);
        dsmr_grpc_server_stop(server);
        wait_for_ends(&ends, 1);
        assert_int_equal(ends.last, DSMR_OK);
        dsmr_grpc_server_free(server);
        dsmr_grpc_client_free(client);
    }
    free(bytes);
}

static void test_nobody_answers(void **state)
{
    struct dsmr_grpc_client *client;
    struct dsmr_buf *out = NULL;
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES];
    struct ends ends = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    (void)state;
    /* Port 1 of the loopback is nobody's. A call waits for a connection until its time is over. */
    assert_int_equal(dsmr_grpc_client_new(&client, "127.0.0.1:1", 1u << 20), DSMR_OK);
    assert_int_equal(dsmr_grpc_client_call(client, &out, reason, "/a.B/C", NULL, 0, 1),
                     DSMR_ERR_TIMEOUT);
    dsmr_grpc_client_start(client, "/a.B/C", NULL, 0, 600000, note_end, &ends);
    dsmr_grpc_client_free(client);
    assert_int_equal(ends.count, 1);
}

/* Bytes that are no HTTP/2 end their connection and nothing else. */
static void test_garbage_on_the_port(void **state)
{
    struct fake *fake = fake_new();
    struct dsmr_buf *out = NULL;
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES], rest[4096];
    struct sockaddr_in address = {.sin_family = AF_INET};
    (void)state;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port =
        htons((uint16_t)atoi(strchr(dsmr_grpc_server_address(fake->server), ':') + 1));
    for (int round = 0; round < 20; round++) {
        uint8_t bytes[2048];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)((size_t)round * 37u + i * 101u + (i >> 3));
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        (void)!send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        while (recv(fd, rest, sizeof rest, 0) > 0) {
        }
        close(fd);
    }
    assert_int_equal(dsmr_grpc_client_call(fake->client, &out, reason, "/a.B/C", NULL, 0, 60000),
                     DSMR_OK);
    dsmr_buf_unref(out);
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_failure_is_told),
        cmocka_unit_test(test_answer_above_the_limit),
        cmocka_unit_test(test_who_gives_up_is_named),
        cmocka_unit_test(test_calls_above_the_limit_are_refused),
        cmocka_unit_test(test_stop_with_calls_that_wait),
        cmocka_unit_test(test_what_was_answered_arrives),
        cmocka_unit_test(test_nobody_answers),
        cmocka_unit_test(test_garbage_on_the_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
