/* The stream's client: frames it makes, notices it believes, nodes that lie. */
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "unit/client/scripted_server.h"

#include "base/bytes.h"
#include "client/submit_client.h"
#include "client/tcp_dial.h"

static struct scripted server;
static uint8_t says[4096]; /* welcome, then what the test adds */
static size_t says_len;
static struct {
    enum dsmr_submit_frame_type type;
    uint64_t height;
    struct dsmr_submit_run run;
} heard[16];
static size_t heard_count;

static void on_notice(void *ctx, enum dsmr_submit_frame_type type, uint64_t height,
                      const struct dsmr_submit_run *run)
{
    (void)ctx;
    assert_true(heard_count < 16);
    heard[heard_count].type = type;
    heard[heard_count].height = height;
    heard[heard_count++].run = *run;
}

static const struct dsmr_submit_client_ops ops = {.notice = on_notice};
static const struct dsmr_submit_frame_hello hello = {.wants = 3};

static void welcome(void)
{
    const struct dsmr_submit_frame_welcome frame = {1u << 20, 16384, 1000};
    dsmr_submit_frame_welcome_encode(says, &frame);
    says_len = DSMR_SUBMIT_FRAME_WELCOME_BYTES;
    heard_count = 0;
}

static void add_notice(enum dsmr_submit_frame_type type, uint64_t height, uint64_t first,
                       uint32_t count, uint32_t code)
{
    const struct dsmr_submit_run run = {first, count, code};
    dsmr_submit_frame_notice_head(says + says_len, type, height, 1);
    says_len += DSMR_SUBMIT_FRAME_NOTICE_HEAD_BYTES;
    dsmr_submit_frame_run_encode(says + says_len, &run);
    says_len += DSMR_SUBMIT_FRAME_RUN_BYTES;
}

/* Reads until the stream ends; what it ended with. */
static enum dsmr_err read_all(struct dsmr_submit_client *client)
{
    enum dsmr_err err = DSMR_OK;
    while (err == DSMR_OK) {
        err = dsmr_tcp_dial_wait(dsmr_submit_client_fd(client), 0, 20000);
        err = err == DSMR_OK ? dsmr_submit_client_poll(client) : err;
    }
    assert_false(dsmr_submit_client_is_connected(client));
    assert_int_equal(dsmr_submit_client_fd(client), -1);
    return err;
}

static void frames_hold_what_was_added(void **state)
{
    const struct script scripts[] = {{.read_bytes = DSMR_SUBMIT_FRAME_HELLO_BYTES,
                                      .answer = says,
                                      .answer_len = DSMR_SUBMIT_FRAME_WELCOME_BYTES,
                                      .stays = 0}};
    struct dsmr_submit_client *client = dsmr_submit_client_new(&ops, NULL);
    uint64_t seq = 99;
    (void)state;
    welcome();
    scripted_start(&server, scripts, 1);
    assert_null(dsmr_submit_client_add(client, &seq, DSMR_TX_BYTES_MIN - 1));
    assert_null(dsmr_submit_client_add(client, &seq, DSMR_TX_BYTES_MAX + 1));
    assert_int_equal(dsmr_submit_client_connect(client, "127.0.0.1", server.port, &hello, 20000),
                     DSMR_OK);
    assert_int_equal(dsmr_submit_client_welcome(client).in_flight_max, 1000);
    for (uint64_t i = 0; i < 3; i++) {
        uint8_t *tx = dsmr_submit_client_add(client, &seq, 20);
        assert_non_null(tx);
        assert_int_equal(seq, i);
        memset(tx, (int)i + 1, 20);
    }
    dsmr_submit_client_trim(client, 20, 17);
    dsmr_submit_client_commit(client);
    dsmr_submit_client_commit(client); /* nothing to end */
    assert_int_equal(dsmr_submit_client_unsent(client),
                     DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES + 24 + 24 + 21);
    assert_int_equal(read_all(client), DSMR_ERR_CLOSED);
    dsmr_submit_client_free(client);
    scripted_stop(&server);
}

static void a_full_buffer_says_so(void **state)
{
    struct dsmr_submit_client *client = dsmr_submit_client_new(&ops, NULL);
    uint64_t seq = 0;
    uint64_t count = 0;
    (void)state;
    while (dsmr_submit_client_add(client, &seq, 32) != NULL) {
        assert_int_equal(seq, count++);
    }
    dsmr_submit_client_commit(client);
    size_t unsent = dsmr_submit_client_unsent(client);
    assert_true(unsent <= DSMR_SUBMIT_CLIENT_OUT_MAX && unsent > DSMR_SUBMIT_CLIENT_OUT_MAX - 100);
    assert_int_equal(dsmr_submit_client_flush(client), DSMR_ERR_CLOSED);
    dsmr_submit_client_free(client);
}

static void notices_come_in_any_cut(void **state)
{
    struct dsmr_submit_client *client = dsmr_submit_client_new(&ops, NULL);
    uint64_t seq = 0;
    (void)state;
    welcome();
    add_notice(DSMR_SUBMIT_FRAME_ACK, 0, 0, 5, 0);
    add_notice(DSMR_SUBMIT_FRAME_CERTIFIED, 0, 0, 5, 0);
    add_notice(DSMR_SUBMIT_FRAME_EXECUTED, 77, 1, 2, 3);
    add_notice(DSMR_SUBMIT_FRAME_EXPIRED, 0, 4, 1, 0);
    const struct script scripts[] = {
        {.read_bytes = DSMR_SUBMIT_FRAME_HELLO_BYTES, .answer = says, .answer_len = says_len}};
    for (int i = 0; i < 5; i++) {
        assert_non_null(dsmr_submit_client_add(client, &seq, DSMR_TX_BYTES_MIN));
    }
    scripted_start(&server, scripts, 1);
    enum dsmr_err err = dsmr_submit_client_connect(client, "127.0.0.1", server.port, &hello, 20000);
    if (err == DSMR_OK) {
        err = read_all(client);
    }
    assert_int_equal(err, DSMR_ERR_CLOSED);
    assert_int_equal(heard_count, 4);
    assert_int_equal(heard[2].type, DSMR_SUBMIT_FRAME_EXECUTED);
    assert_int_equal(heard[2].height, 77);
    assert_int_equal(heard[2].run.count, 2);
    assert_int_equal(heard[2].run.code, 3);
    assert_int_equal(heard[3].run.first_seq, 4);
    dsmr_submit_client_free(client);
    scripted_stop(&server);
}

/* What the client says of a node that sends this after its welcome; five were sent. */
static enum dsmr_err after(const void *bytes, size_t len)
{
    struct dsmr_submit_client *client = dsmr_submit_client_new(&ops, NULL);
    uint64_t seq = 0;
    for (int i = 0; i < 5; i++) {
        assert_non_null(dsmr_submit_client_add(client, &seq, DSMR_TX_BYTES_MIN));
    }
    memcpy(says + says_len, bytes, len);
    const struct script scripts[] = {{.read_bytes = DSMR_SUBMIT_FRAME_HELLO_BYTES,
                                      .answer = says,
                                      .answer_len = says_len + len}};
    scripted_start(&server, scripts, 1);
    enum dsmr_err err = dsmr_submit_client_connect(client, "127.0.0.1", server.port, &hello, 20000);
    if (err == DSMR_OK) {
        err = read_all(client);
    }
    assert_false(dsmr_submit_client_is_connected(client));
    dsmr_submit_client_free(client);
    scripted_stop(&server);
    return err;
}

static void nodes_that_lie_are_left(void **state)
{
    (void)state;
    static const struct {
        uint64_t first;
        uint32_t count;
    } runs[] = {{5, 1}, {4, 2}, {0, 0}, {0, 6}, {UINT64_MAX, 1}, {1, UINT32_MAX}};
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        welcome();
        add_notice(DSMR_SUBMIT_FRAME_EXECUTED, 1, runs[i].first, runs[i].count, 0);
        assert_int_equal(after("", 0), DSMR_ERR_MALFORMED);
        assert_int_equal(heard_count, 0);
    }
    welcome();
    assert_int_equal(after("\0\0\0\0", 4), DSMR_ERR_MALFORMED);
    assert_int_equal(after("\xff\0\0\0", 4), DSMR_ERR_TOO_LARGE);
    assert_int_equal(after("\0\0\0\1\x63", 5), DSMR_ERR_UNEXPECTED);
    assert_int_equal(after("\0\0\0\2\4\0", 6), DSMR_ERR_MALFORMED);
    assert_int_equal(after("\0\0\0\3\10\0\4", 7), DSMR_ERR_WRONG_CHAIN);
    assert_int_equal(after("\0\0\0\3\10\0\0", 7), DSMR_ERR_MALFORMED);
    assert_int_equal(after("\0\0\0\1", 4), DSMR_ERR_CLOSED);
    says_len = 0; /* no welcome, only a refusal */
    assert_int_equal(after("\0\0\0\3\10\0\115", 7), DSMR_ERR_FULL);
    assert_int_equal(after("", 0), DSMR_ERR_CLOSED);
}

static void nobody_there(void **state)
{
    struct dsmr_submit_client *client = dsmr_submit_client_new(&ops, NULL);
    const struct script scripts[] = {{.read_bytes = DSMR_SUBMIT_FRAME_HELLO_BYTES, .stays = 1}};
    (void)state;
    scripted_start(&server, scripts, 1);
    assert_int_equal(dsmr_submit_client_connect(client, "127.0.0.1", server.port, &hello, 20),
                     DSMR_ERR_TIMEOUT);
    uint16_t port = server.port;
    scripted_stop(&server);
    assert_int_equal(dsmr_submit_client_connect(client, "127.0.0.1", port, &hello, 20000),
                     DSMR_ERR_UNAVAILABLE);
    assert_int_equal(dsmr_submit_client_poll(client), DSMR_ERR_CLOSED);
    dsmr_submit_client_free(client);
    dsmr_submit_client_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_hold_what_was_added),
        cmocka_unit_test(a_full_buffer_says_so),
        cmocka_unit_test(notices_come_in_any_cut),
        cmocka_unit_test(nodes_that_lie_are_left),
        cmocka_unit_test(nobody_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
