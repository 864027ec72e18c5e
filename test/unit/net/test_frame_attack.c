/* Frames that are too long, do not fit together or never end: the connection ends, it is counted,
 * and the node goes on. */
#define _GNU_SOURCE
#include "net_fixture.h"

static void test_oversized_length(void **state)
{
    (void)state;
    static const struct {
        uint32_t kind, len;
    } frames_of[] = {{DSMR_FRAME_WHOLE, DSMR_FRAME_BYTES_MAX + 1},
                     {DSMR_FRAME_BEGIN + DSMR_MSG_CLASS_CHUNK, (1u << 20) + 1},
                     {DSMR_FRAME_BEGIN + DSMR_MSG_CLASS_VOTE, 0xffffffu}};
    struct scene scene;
    set_scene(&scene, NULL);
    for (int i = 0; i < 3; i++) {
        struct raw raw;
        come_up(&raw, &scene);
        uint8_t frames[11] = {0, 0, 0, 3, 1, 2, 3};
        dsmr_frame_header_store(frames + 7, frames_of[i].kind, frames_of[i].len);
        size_t before = scene.node->messages;
        raw_write(&raw, frames, sizeof(frames));
        raw_read_to_end(&raw);
        assert_int_equal(node_errors(scene.node, DSMR_ERR_TOO_LARGE), (uint64_t)i + 1);
        /* What came before it was a message and is delivered. */
        NODE_WAIT(scene.node, scene.node->messages == before + 1);
        NODE_WAIT(scene.node, scene.node->downs == i + 1);
        raw_close(&raw);
    }
    end_scene(&scene);
}

/* Pieces that do not fit together: the connection ends, it is counted, and what was whole before
 * them is delivered. That each wrong order is refused is in test_frame_reader. */
static void test_broken_pieces(void **state)
{
    (void)state;
    static const struct {
        uint32_t kind, len;
    } last[] = {{DSMR_FRAME_PIECE + DSMR_MSG_CLASS_CERT, 3},
                {DSMR_FRAME_BEGIN + DSMR_MSG_CLASS_CHUNK, 70000},
                {DSMR_FRAME_BEGIN + DSMR_MSG_CLASS_COUNT, 70000}};
    struct scene scene;
    set_scene(&scene, NULL);
    for (int i = 0; i < 3; i++) {
        struct raw raw;
        come_up(&raw, &scene);
        uint8_t frames[26] = {0};
        dsmr_frame_header_store(frames, DSMR_FRAME_BEGIN + DSMR_MSG_CLASS_CHUNK, 70000);
        dsmr_frame_header_store(frames + 4, DSMR_FRAME_PIECE + DSMR_MSG_CLASS_CHUNK, 7);
        dsmr_frame_header_store(frames + 15, DSMR_FRAME_WHOLE, 3);
        dsmr_frame_header_store(frames + 22, last[i].kind, last[i].len);
        size_t before = scene.node->messages;
        raw_write(&raw, frames, sizeof(frames));
        raw_read_to_end(&raw);
        assert_int_equal(node_errors(scene.node, DSMR_ERR_MALFORMED), (uint64_t)i + 1);
        NODE_WAIT(scene.node, scene.node->messages == before + 1);
        NODE_WAIT(scene.node, scene.node->downs == i + 1);
        raw_close(&raw);
    }
    end_scene(&scene);
}

static void test_garbage_inside_tls_and_cut_connections(void **state)
{
    (void)state;
    struct scene scene;
    set_scene(&scene, NULL);
    for (int kind = 0; kind < 3; kind++) {
        struct raw raw;
        come_up(&raw, &scene);
        int downs = scene.node->downs;
        uint8_t bytes[600];
        memset(bytes, 0x17, sizeof(bytes));
        if (kind == 0) { /* bytes that are no TLS record, on the socket itself */
            assert_int_equal(send(raw.fd, bytes, sizeof(bytes), MSG_NOSIGNAL), sizeof(bytes));
        } else { /* half a frame, then the end: with a goodbye, and without */
            dsmr_store_be32(bytes, 5000);
            raw_write(&raw, bytes, sizeof(bytes));
            if (kind == 1)
                SSL_shutdown(raw.ssl);
            shutdown(raw.fd, SHUT_RDWR);
        }
        NODE_WAIT(scene.node, scene.node->downs == downs + 1);
        raw_close(&raw);
    }
    assert_int_equal(scene.node->messages, 0);
    end_scene(&scene);
}

static void short_frames(struct dsmr_tcp_net_limits *limits)
{
    limits->frame_timeout_ms = 40;
}

/* A byte now and then keeps a connection busy, but not a frame alive. */
static void test_slow_loris(void **state)
{
    (void)state;
    struct scene scene;
    set_scene(&scene, short_frames);
    struct raw raw;
    come_up(&raw, &scene);
    uint8_t frames[8];
    dsmr_frame_header_store(frames, DSMR_FRAME_BEGIN + DSMR_MSG_CLASS_CHUNK, 500000);
    dsmr_frame_header_store(frames + 4, DSMR_FRAME_PIECE + DSMR_MSG_CLASS_CHUNK, 60000);
    raw_write(&raw, frames, sizeof(frames));
    while (raw_write(&raw, "x", 1))
        sched_yield();
    assert_int_equal(node_errors(scene.node, DSMR_ERR_TIMEOUT), 1);
    NODE_WAIT(scene.node, scene.node->downs == 1);
    raw_close(&raw);
    end_scene(&scene);
}

/* Nor do whole messages between its pieces. */
static void test_slow_pieces(void **state)
{
    (void)state;
    struct scene scene;
    set_scene(&scene, short_frames);
    struct raw raw;
    come_up(&raw, &scene);
    uint8_t frames[10] = {0};
    dsmr_frame_header_store(frames, DSMR_FRAME_BEGIN + DSMR_MSG_CLASS_CHUNK, 500000);
    raw_write(&raw, frames, 4);
    dsmr_frame_header_store(frames, DSMR_FRAME_PIECE + DSMR_MSG_CLASS_CHUNK, 1);
    dsmr_frame_header_store(frames + 5, DSMR_FRAME_WHOLE, 1);
    while (raw_write(&raw, frames, sizeof(frames))) {
        node_run(scene.node, false);
        sched_yield();
    }
    assert_int_equal(node_errors(scene.node, DSMR_ERR_TIMEOUT), 1);
    NODE_WAIT(scene.node, scene.node->downs == 1);
    raw_close(&raw);
    end_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oversized_length),
        cmocka_unit_test(test_broken_pieces),
        cmocka_unit_test(test_garbage_inside_tls_and_cut_connections),
        cmocka_unit_test(test_slow_loris),
        cmocka_unit_test(test_slow_pieces),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
