/* Which of two connections of one pair stays: the test plays the peer and makes both by hand, so
 * that the order is certain. docs/transport.md, 4. */
#define _GNU_SOURCE
#include "net_fixture.h"

struct scene {
    struct node *node;
    struct dsmr_tls_identity *peer;
    int listen_fd;
};

/* is_smaller: the node's id is the smaller one. */
static void set_scene(struct scene *scene, bool is_smaller)
{
    scene->node = node_new();
    scene->peer = make_identity();
    while ((memcmp(scene->node->id.bytes, scene->peer->node_id.bytes, 20) < 0) != is_smaller) {
        dsmr_tls_identity_free(scene->peer);
        scene->peer = make_identity();
    }
    scene->node->config.limits.backoff_min_ms = 60000; /* it dials when it is told to, once */
    scene->node->config.limits.backoff_max_ms = 60000;
    scene->listen_fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(scene->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(scene->listen_fd, 8), 0);
    node_open(scene->node);
    node_allow(scene->node, &scene->peer->node_id, 1);
}

static void end_scene(struct scene *scene)
{
    close(scene->listen_fd);
    node_free(scene->node);
    dsmr_tls_identity_free(scene->peer);
}

static void read_hello(struct raw *raw)
{
    uint8_t hello[4 + DSMR_HELLO_BYTES];
    raw_read_exact(raw, hello, sizeof(hello));
}

/* Lets the node dial and takes the connection, up to the hello that came with it. */
static void take_dial(struct raw *raw, struct scene *scene)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    assert_int_equal(getsockname(scene->listen_fd, (struct sockaddr *)&address, &len), 0);
    struct dsmr_tcp_net_address place = {scene->peer->node_id, "127.0.0.1",
                                         ntohs(address.sin_port)};
    assert_int_equal(dsmr_tcp_net_set_address(scene->node->net, &place), DSMR_OK);
    raw->fd = accept(scene->listen_fd, NULL, NULL);
    raw->context = dsmr_tls_session_context(scene->peer);
    raw->ssl = dsmr_tls_session_new(raw->context, raw->fd, false);
    assert_int_equal(dsmr_tls_session_handshake(raw->ssl), DSMR_TLS_DONE);
    read_hello(raw);
}

static void dial(struct raw *raw, struct scene *scene)
{
    raw_open(raw, scene->node, scene->peer);
    raw_hello(raw, &scene->node->config.domain);
}

/* A message each way over raw. */
static void check_alive(struct raw *raw, struct scene *scene)
{
    struct node *node = scene->node;
    size_t before = node->messages;
    raw_write(raw, "\0\0\0\3abc", 7);
    NODE_WAIT(node, node->messages == before + 1);
    struct dsmr_buf *buf = make_buf(5, 1);
    assert_int_equal(node_send(node, &scene->peer->node_id, DSMR_MSG_CLASS_VOTE, buf), DSMR_OK);
    uint8_t frame[9];
    raw_read_exact(raw, frame, sizeof(frame));
    assert_memory_equal(frame + 4, buf->bytes, 5);
    dsmr_buf_unref(buf);
}

/* Both are made; kept is the one that must be alive, and the other one is ended by the node. */
static void check_end(struct scene *scene, struct raw *kept, struct raw *lost, int ups)
{
    raw_read_to_end(lost);
    check_alive(kept, scene);
    assert_int_equal(scene->node->ups, ups);
    assert_int_equal(scene->node->downs, ups - 1);
    raw_close(kept);
    raw_close(lost);
    end_scene(scene);
}

/* The node's own dial is up. Then the peer dials. */
static void test_dialed_first(void **state)
{
    (void)state;
    for (int is_smaller = 0; is_smaller < 2; is_smaller++) {
        struct scene scene;
        struct raw ours, theirs;
        set_scene(&scene, is_smaller);
        take_dial(&ours, &scene);
        raw_hello(&ours, &scene.node->config.domain);
        NODE_WAIT(scene.node, scene.node->ups == 1);
        check_alive(&ours, &scene);
        dial(&theirs, &scene);
        if (is_smaller) {
            assert_int_equal(raw_read_to_end(&theirs), 0); /* refused before a hello */
            check_end(&scene, &ours, &theirs, 1);
        } else {
            read_hello(&theirs);
            NODE_WAIT(scene.node, scene.node->ups == 2);
            check_end(&scene, &theirs, &ours, 2);
        }
    }
}

/* The node has dialed, the hello is on its way; the peer's own dial comes up before it. */
static void test_accepted_first(void **state)
{
    (void)state;
    for (int is_smaller = 0; is_smaller < 2; is_smaller++) {
        struct scene scene;
        struct raw ours, theirs;
        set_scene(&scene, is_smaller);
        take_dial(&ours, &scene);
        dial(&theirs, &scene);
        read_hello(&theirs);
        NODE_WAIT(scene.node, scene.node->ups == 1);
        check_alive(&theirs, &scene);
        raw_hello(&ours, &scene.node->config.domain);
        if (is_smaller) {
            NODE_WAIT(scene.node, scene.node->ups == 2);
            check_end(&scene, &ours, &theirs, 2);
        } else {
            check_end(&scene, &theirs, &ours, 1);
        }
    }
}

/* The peer has lost its connection without the node's knowing, and dials again. */
static void test_newer_of_one_side_stays(void **state)
{
    (void)state;
    for (int is_smaller = 0; is_smaller < 2; is_smaller++) {
        struct scene scene;
        struct raw older, newer;
        set_scene(&scene, is_smaller);
        dial(&older, &scene);
        read_hello(&older);
        NODE_WAIT(scene.node, scene.node->ups == 1);
        dial(&newer, &scene);
        read_hello(&newer);
        NODE_WAIT(scene.node, scene.node->ups == 2);
        check_end(&scene, &newer, &older, 2);
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
