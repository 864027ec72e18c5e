/* Which of two connections of one pair stays: the test plays the peer and makes both by hand, so
 * that the order is certain. docs/transport.md, 4. */
#define _GNU_SOURCE
#include "net_fixture.h"

struct meeting {
    struct node *node;
    struct dsmr_tls_identity *peer;
    int listen_fd;
};

/* is_smaller: the node's id is the smaller one. */
static void set_meeting(struct meeting *meeting, bool is_smaller)
{
    meeting->node = node_new();
    meeting->peer = make_identity();
    while ((memcmp(meeting->node->id.bytes, meeting->peer->node_id.bytes, 20) < 0) != is_smaller) {
        dsmr_tls_identity_free(meeting->peer);
        meeting->peer = make_identity();
    }
    meeting->node->config.limits.backoff_min_ms = 60000; /* it dials when it is told to, once */
    meeting->node->config.limits.backoff_max_ms = 60000;
    meeting->listen_fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(meeting->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(meeting->listen_fd, 8), 0);
    node_open(meeting->node);
    node_allow(meeting->node, &meeting->peer->node_id, 1);
}

static void end_meeting(struct meeting *meeting)
{
    close(meeting->listen_fd);
    node_free(meeting->node);
    dsmr_tls_identity_free(meeting->peer);
}

static void read_hello(struct raw *raw)
{
    uint8_t hello[4 + DSMR_HELLO_BYTES];
    raw_read_exact(raw, hello, sizeof(hello));
}

/* Lets the node dial and takes the connection, up to the hello that came with it. */
static void take_dial(struct raw *raw, struct meeting *meeting)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    assert_int_equal(getsockname(meeting->listen_fd, (struct sockaddr *)&address, &len), 0);
    struct dsmr_tcp_net_address place = {meeting->peer->node_id, "127.0.0.1",
                                         ntohs(address.sin_port)};
    assert_int_equal(dsmr_tcp_net_set_address(meeting->node->net, &place), DSMR_OK);
    raw->fd = accept(meeting->listen_fd, NULL, NULL);
    raw->context = dsmr_tls_session_context(meeting->peer);
    raw->ssl = dsmr_tls_session_new(raw->context, raw->fd, false);
    assert_int_equal(dsmr_tls_session_handshake(raw->ssl), DSMR_TLS_DONE);
    read_hello(raw);
}

static void dial(struct raw *raw, struct meeting *meeting)
{
    raw_open(raw, meeting->node, meeting->peer);
    raw_hello(raw, &meeting->node->config.domain);
}

/* A message each way over raw. */
static void check_alive(struct raw *raw, struct meeting *meeting)
{
    struct node *node = meeting->node;
    size_t before = node->messages;
    raw_write(raw, "\0\0\0\3abc", 7);
    NODE_WAIT(node, node->messages == before + 1);
    struct dsmr_buf *buf = make_buf(5, 1);
    assert_int_equal(node_send(node, &meeting->peer->node_id, DSMR_MSG_CLASS_VOTE, buf), DSMR_OK);
    uint8_t frame[9];
    raw_read_exact(raw, frame, sizeof(frame));
    assert_memory_equal(frame + 4, buf->bytes, 5);
    dsmr_buf_unref(buf);
}

/* Both are made; kept is the one that must be alive, and the other one is ended by the node. */
static void check_end(struct meeting *meeting, struct raw *kept, struct raw *lost, int ups)
{
    raw_read_to_end(lost);
    check_alive(kept, meeting);
    assert_int_equal(meeting->node->ups, ups);
    assert_int_equal(meeting->node->downs, ups - 1);
    raw_close(kept);
    raw_close(lost);
    end_meeting(meeting);
}

/* The node's own dial is up. Then the peer dials. */
static void test_dialed_first(void **state)
{
    (void)state;
    for (int is_smaller = 0; is_smaller < 2; is_smaller++) {
        struct meeting meeting;
        struct raw ours, theirs;
        set_meeting(&meeting, is_smaller);
        take_dial(&ours, &meeting);
        raw_hello(&ours, &meeting.node->config.domain);
        NODE_WAIT(meeting.node, meeting.node->ups == 1);
        check_alive(&ours, &meeting);
        dial(&theirs, &meeting);
        if (is_smaller) {
            assert_int_equal(raw_read_to_end(&theirs), 0); /* refused before a hello */
            check_end(&meeting, &ours, &theirs, 1);
        } else {
            read_hello(&theirs);
            NODE_WAIT(meeting.node, meeting.node->ups == 2);
            check_end(&meeting, &theirs, &ours, 2);
        }
    }
}

/* The node has dialed, the hello is on its way; the peer's own dial comes up before it. */
static void test_accepted_first(void **state)
{
    (void)state;
    for (int is_smaller = 0; is_smaller < 2; is_smaller++) {
        struct meeting meeting;
        struct raw ours, theirs;
        set_meeting(&meeting, is_smaller);
        take_dial(&ours, &meeting);
        dial(&theirs, &meeting);
        read_hello(&theirs);
        NODE_WAIT(meeting.node, meeting.node->ups == 1);
        check_alive(&theirs, &meeting);
        raw_hello(&ours, &meeting.node->config.domain);
        if (is_smaller) {
            NODE_WAIT(meeting.node, meeting.node->ups == 2);
            check_end(&meeting, &ours, &theirs, 2);
        } else {
            check_end(&meeting, &theirs, &ours, 1);
        }
    }
}

/* The peer has lost its connection without the node's knowing, and dials again. */
static void test_newer_of_one_side_stays(void **state)
{
    (void)state;
    for (int is_smaller = 0; is_smaller < 2; is_smaller++) {
        struct meeting meeting;
        struct raw older, newer;
        set_meeting(&meeting, is_smaller);
        dial(&older, &meeting);
        read_hello(&older);
        NODE_WAIT(meeting.node, meeting.node->ups == 1);
        dial(&newer, &meeting);
        read_hello(&newer);
        NODE_WAIT(meeting.node, meeting.node->ups == 2);
        check_end(&meeting, &newer, &older, 2);
    }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* the raw peers write to ended connections */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialed_first),
        cmocka_unit_test(test_accepted_first),
        cmocka_unit_test(test_newer_of_one_side_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
