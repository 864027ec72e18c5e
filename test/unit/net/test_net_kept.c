/* What a socket does not take of several records written together (tls_socket.h), in a node. */
#define _GNU_SOURCE
#include "net_fixture.h"

/* The last message finds the socket full and is kept whole: it follows when the peer reads, though
 * nothing else comes that would send it. */
static void test_what_is_kept_follows(void **state)
{
    (void)state;
    enum { MESSAGE = 60000, YIELDS = 3000 };
    static uint8_t read[4 + MESSAGE];
    const struct timeval patience = {.tv_sec = 60}; /* then it fails, and does not hang */
    const int small = 32768;
    struct scene scene;
    struct raw raw;
    set_scene(&scene, NULL);
    come_up(&raw, &scene);
    assert_int_equal(setsockopt(raw.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(setsockopt(raw.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    struct dsmr_buf *message = make_buf(MESSAGE, 1);
    for (unsigned round = 1; round <= 24; round++) {
        for (unsigned i = 0; i < round; i++) {
            const struct dsmr_metrics *metrics = &scene.node->metrics;
            uint64_t sent = dsmr_metrics_get(metrics, DSMR_METRIC_NET_BYTES_SENT);
            raw_write(&raw, "\0\0\0\0", 4); /* a ping: who is silent is disconnected */
            assert_int_equal(
                node_send(scene.node, &scene.validator->node_id, DSMR_MSG_CLASS_CHUNK, message),
                DSMR_OK);
            /* A turn for each, as long as they are taken: some round's last one is kept. */
            for (int n = 0;
                 n < YIELDS && dsmr_metrics_get(metrics, DSMR_METRIC_NET_BYTES_SENT) == sent; n++)
                sched_yield();
        }
        for (unsigned i = 0; i < round; i++) {
            raw_read_exact(&raw, read, sizeof(read));
            assert_memory_equal(read + 4, message->bytes, MESSAGE);
        }
    }
    dsmr_buf_unref(message);
    raw_close(&raw);
    end_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_kept_follows),
    };
    signal(SIGPIPE, SIG_IGN); /* the raw peer may write to an ended connection */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
