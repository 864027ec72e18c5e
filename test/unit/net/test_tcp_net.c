/* Nodes that talk to each other over loopback: delivery, order, limits, reconnection. */
#define _GNU_SOURCE
#include <uv.h>

#include "net/net_local.h"
#include "net_fixture.h"

static void make_pair(struct node **nodes)
{
    for (int i = 0; i < 2; i++)
        nodes[i] = node_new();
    nodes_connect(nodes, 2);
}

/* Sends again whenever the queue is full. */
static void send_all(struct node *from, const struct dsmr_node_id *to, enum dsmr_msg_class cls,
                     struct dsmr_buf *head)
{
    enum dsmr_err err;
    while ((err = node_send(from, to, cls, head)) == DSMR_ERR_FULL)
        sched_yield();
    assert_int_equal(err, DSMR_OK);
}

static void test_messages_of_all_sizes(void **state)
{
    (void)state;
    struct node *nodes[2];
    make_pair(nodes);
    uint32_t max = nodes[0]->config.limits.message_bytes_max;
    const size_t sizes[] = {1,     2,     4095,  4096,   16379,   16380, 16381,
                            16384, 65536, 65537, 524288, max - 1, max};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct node *from = nodes[i % 2], *to = nodes[(i + 1) % 2];
        struct dsmr_buf *buf = make_buf(sizes[i], (uint32_t)i);
        size_t before = to->messages;
        assert_int_equal(node_send(from, &to->id, DSMR_MSG_CLASS_CHUNK, buf), DSMR_OK);
        NODE_WAIT(to, to->messages == before + 1);
        assert_int_equal(to->last->len, sizes[i]);
        assert_memory_equal(to->last->bytes, buf->bytes, sizes[i]);
        assert_memory_equal(&to->last_from, &from->id, sizeof(from->id));
        dsmr_buf_unref(buf);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(dsmr_metrics_get(&nodes[i]->metrics, DSMR_METRIC_PEERS), 1);
    for (int i = 0; i < 2; i++)
        node_free(nodes[i]);
}

static void test_head_and_body_are_one_message(void **state)
{
    (void)state;
    struct node *nodes[2];
    make_pair(nodes);
    struct dsmr_buf *head = make_buf(131, 5), *owner = make_buf(300000, 9);
    struct dsmr_net port = dsmr_tcp_net_port(nodes[0]->net);
    static const uint32_t lens[] = {1, 100, 16384, 200000};
    for (size_t i = 0; i < 4; i++) {
        size_t before = nodes[1]->messages;
        assert_int_equal(port.ops->send(port.self, &nodes[1]->id, DSMR_MSG_CLASS_CHUNK, head, owner,
                                        owner->bytes + 1000, lens[i]),
                         DSMR_OK);
        NODE_WAIT(nodes[1], nodes[1]->messages == before + 1);
        assert_int_equal(nodes[1]->last->len, 131 + lens[i]);
        assert_memory_equal(nodes[1]->last->bytes, head->bytes, 131);
        assert_memory_equal(nodes[1]->last->bytes + 131, owner->bytes + 1000, lens[i]);
    }
    dsmr_buf_unref(head);
    dsmr_buf_unref(owner);
    for (int i = 0; i < 2; i++)
        node_free(nodes[i]);
}

static void test_many_small_messages_stay_in_order(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    struct node *nodes[2];
    make_pair(nodes);
    uint32_t sent = 0, got = 0;
    while (got < COUNT) {
        while (sent < COUNT) {
            struct dsmr_buf *buf = dsmr_buf_new(5 + sent % 60);
            memset(buf->bytes, 0x11, buf->len);
            dsmr_store_be32(buf->bytes + 1, sent);
            enum dsmr_err err = node_send(nodes[0], &nodes[1]->id, DSMR_MSG_CLASS_VOTE, buf);
            dsmr_buf_unref(buf);
            if (err == DSMR_ERR_FULL)
                break;
            assert_int_equal(err, DSMR_OK);
            sent++;
        }
        if (nodes[1]->messages == got)
            node_run(nodes[1], sent == COUNT);
        got = (uint32_t)nodes[1]->messages;
        if (got > 0)
            assert_int_equal(dsmr_load_be32(nodes[1]->last->bytes + 1), got - 1);
    }
    assert_int_equal(nodes[1]->downs, 0);
    for (int i = 0; i < 2; i++)
        node_free(nodes[i]);
}

static void test_four_nodes_all_to_all(void **state)
{
    (void)state;
    struct node *nodes[4];
    for (int i = 0; i < 4; i++)
        nodes[i] = node_new();
    nodes_connect(nodes, 4);
    struct dsmr_buf *buf = make_buf(100000, 1);
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 4; k++)
                if (k != i)
                    send_all(nodes[i], &nodes[k]->id, DSMR_MSG_CLASS_CHUNK, buf);
    for (int i = 0; i < 4; i++)
        NODE_WAIT(nodes[i], nodes[i]->messages == 60);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(nodes[i]->bytes, 60u * 100000u);
        assert_int_equal(dsmr_metrics_get(&nodes[i]->metrics, DSMR_METRIC_PEERS), 3);
    }
    dsmr_buf_unref(buf);
    for (int i = 0; i < 4; i++)
        node_free(nodes[i]);
}

static void test_send_to_a_stranger_is_unknown(void **state)
{
    (void)state;
    struct node *nodes[2];
    make_pair(nodes);
    struct dsmr_node_id nobody = {{1, 2, 3}};
    struct dsmr_buf *buf = make_buf(10, 1);
    assert_int_equal(node_send(nodes[0], &nobody, DSMR_MSG_CLASS_VOTE, buf), DSMR_ERR_UNKNOWN);
    assert_int_equal(node_send(nodes[0], &nodes[0]->id, DSMR_MSG_CLASS_VOTE, buf),
                     DSMR_ERR_UNKNOWN); /* itself */
    node_shut(nodes[1]);
    NODE_WAIT(nodes[0], nodes[0]->downs >= 1);
    assert_int_equal(node_send(nodes[0], &nodes[1]->id, DSMR_MSG_CLASS_VOTE, buf),
                     DSMR_ERR_UNKNOWN);
    assert_int_equal(dsmr_metrics_get(&nodes[0]->metrics, DSMR_METRIC_PEERS), 0);
    dsmr_buf_unref(buf);
    for (int i = 0; i < 2; i++)
        node_free(nodes[i]);
}

/* Adversary 72: the reader does not read; each class fills up by itself, and what got in is
 * delivered afterwards, votes first. */
static void test_slow_peer_fills_bounded_queues(void **state)
{
    (void)state;
    struct node *nodes[2];
    for (int i = 0; i < 2; i++) {
        nodes[i] = node_new();
        nodes[i]->config.limits.queue_bytes_max[DSMR_MSG_CLASS_CHUNK] = 1u << 20;
        nodes[i]->config.limits.queue_bytes_max[DSMR_MSG_CLASS_VOTE] = 10000;
        nodes[i]->config.limits.silence_timeout_ms = 3600000; /* however slow the machine is */
    }
    nodes_connect(nodes, 2);
    node_set_full(nodes[1], true);
    struct dsmr_buf *chunk = make_buf(200000, 1), *vote = make_buf(100, 2);
    chunk->bytes[0] = 'c';
    vote->bytes[0] = 'v';
    size_t chunks = 0, votes = 0;
    enum dsmr_err err;
    unsigned full_in_a_row = 0; /* until nothing moves any more: the sockets are full, too */
    while (full_in_a_row < 20000) {
        err = node_send(nodes[0], &nodes[1]->id, DSMR_MSG_CLASS_CHUNK, chunk);
        full_in_a_row = err == DSMR_ERR_FULL ? full_in_a_row + 1 : 0;
        chunks += err == DSMR_OK;
        sched_yield();
    }
    assert_true(dsmr_metrics_get(&nodes[0]->metrics, DSMR_METRIC_NET_DROPPED) >= 20000);
    while ((err = node_send(nodes[0], &nodes[1]->id, DSMR_MSG_CLASS_VOTE, vote)) == DSMR_OK)
        votes++;
    assert_int_equal(err, DSMR_ERR_FULL);
    assert_true(votes >= 10000 / 164); /* with the overhead of each */
    nodes[1]->is_keeping = true;
    node_set_full(nodes[1], false);
    NODE_WAIT(nodes[1], nodes[1]->messages == chunks + votes);
    /* A megabyte of chunks was waiting: all votes have overtaken most of it. */
    assert_int_equal(nodes[1]->kept_count, chunks + votes);
    for (size_t i = nodes[1]->kept_count - 4; i < nodes[1]->kept_count; i++)
        assert_int_equal(nodes[1]->kept[i]->bytes[0], 'c');
    dsmr_buf_unref(chunk);
    dsmr_buf_unref(vote);
    for (int i = 0; i < 2; i++)
        node_free(nodes[i]);
}

/* The inbox refuses again and again: nothing is lost, nothing out of order. */
static void test_full_inbox_pauses_without_loss(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct node *nodes[2];
    make_pair(nodes);
    uint32_t sent = 0;
    unsigned refused = 0;
    for (int round = 0; round < 30; round++) {
        node_set_full(nodes[1], true);
        for (int i = 0; i < COUNT / 30; i++) {
            struct dsmr_buf *buf = dsmr_buf_new(2000);
            memset(buf->bytes, 3, buf->len);
            dsmr_store_be32(buf->bytes, sent++);
            send_all(nodes[0], &nodes[1]->id, DSMR_MSG_CLASS_CERT, buf);
            dsmr_buf_unref(buf);
        }
        SPIN(node_refused(nodes[1]) > refused);
        node_set_full(nodes[1], false);
        while (nodes[1]->messages < sent) {
            node_run(nodes[1], true);
            if (nodes[1]->messages > 0)
                assert_int_equal(dsmr_load_be32(nodes[1]->last->bytes), nodes[1]->messages - 1);
        }
        refused = node_refused(nodes[1]);
    }
    assert_int_equal(nodes[1]->messages, COUNT);
    assert_int_equal(nodes[1]->downs, 0);
    for (int i = 0; i < 2; i++)
        node_free(nodes[i]);
}

/* Nobody tells the net that there is room: it tries by itself. */
static void test_full_inbox_is_tried_again(void **state)
{
    (void)state;
    struct node *nodes[2];
    make_pair(nodes);
    node_set_full(nodes[1], true);
    struct dsmr_buf *buf = make_buf(10, 1);
    assert_int_equal(node_send(nodes[0], &nodes[1]->id, DSMR_MSG_CLASS_CERT, buf), DSMR_OK);
    SPIN(node_refused(nodes[1]) > 0);
    pthread_mutex_lock(&nodes[1]->mutex);
    nodes[1]->is_full = false;
    pthread_mutex_unlock(&nodes[1]->mutex);
    NODE_WAIT(nodes[1], nodes[1]->messages == 1);
    dsmr_buf_unref(buf);
    for (int i = 0; i < 2; i++)
        node_free(nodes[i]);
}

static size_t queued_bytes(struct node *node)
{
    pthread_mutex_lock(&node->mutex);
    size_t bytes = 0;
    for (const struct dsmr_task *task = node->first; task != NULL; task = task->next)
        bytes += task->bytes;
    pthread_mutex_unlock(&node->mutex);
    return bytes;
}

/* A peer that floods gets its own share of the inbox and no more; another gets through. */
static void test_flood_does_not_take_others_share(void **state)
{
    (void)state;
    struct node *nodes[3];
    for (int i = 0; i < 3; i++) {
        nodes[i] = node_new();
        nodes[i]->config.limits.inbound_bytes_max = 1u << 20;
        nodes[i]->config.limits.queue_bytes_max[DSMR_MSG_CLASS_CHUNK] = 1u << 20;
    }
    nodes_connect(nodes, 3);
    struct dsmr_buf *chunk = make_buf(100000, 1), *vote = make_buf(100, 2);
    size_t chunks = 0;
    unsigned full_in_a_row = 0;
    while (full_in_a_row < 20000) {
        enum dsmr_err err = node_send(nodes[0], &nodes[2]->id, DSMR_MSG_CLASS_CHUNK, chunk);
        full_in_a_row = err == DSMR_ERR_FULL ? full_in_a_row + 1 : 0;
        chunks += err == DSMR_OK;
        sched_yield();
    }
    size_t queued = queued_bytes(nodes[2]);
    assert_true(queued > 1u << 19);
    assert_true(queued < (1u << 20) + (512u << 10)); /* the limit and one batch */
    assert_int_equal(node_send(nodes[1], &nodes[2]->id, DSMR_MSG_CLASS_VOTE, vote), DSMR_OK);
    SPIN(queued_bytes(nodes[2]) > queued);
    NODE_WAIT(nodes[2], nodes[2]->messages == chunks + 1); /* and the flooder is read again */
    dsmr_buf_unref(chunk);
    dsmr_buf_unref(vote);
    for (int i = 0; i < 3; i++)
        node_free(nodes[i]);
}

static void test_peer_comes_back_after_restart(void **state)
{
    (void)state;
    struct node *nodes[2];
    make_pair(nodes);
    struct dsmr_buf *buf = make_buf(10, 1);
    for (int round = 1; round <= 3; round++) {
        uint16_t port = dsmr_tcp_net_listen_port(nodes[1]->net);
        int ups = nodes[0]->ups;
        node_shut(nodes[1]);
        nodes[1]->ups = nodes[1]->downs = 0;
        nodes[1]->config.listen_port = port;
        node_open(nodes[1]); /* has no addresses: node 0 must dial */
        node_allow(nodes[1], &nodes[0]->id, 1);
        NODE_WAIT(nodes[0], nodes[0]->ups > ups && nodes[0]->ups == nodes[0]->downs + 1);
        NODE_WAIT(nodes[1], nodes[1]->ups == nodes[1]->downs + 1);
        size_t before = nodes[1]->messages;
        assert_int_equal(node_send(nodes[0], &nodes[1]->id, DSMR_MSG_CLASS_VOTE, buf), DSMR_OK);
        NODE_WAIT(nodes[1], nodes[1]->messages == before + 1);
    }
    dsmr_buf_unref(buf);
    for (int i = 0; i < 2; i++)
        node_free(nodes[i]);
}

/* What waited for a peer when it went away is dropped and counted, not sent to it later. */
static void test_queues_do_not_outlive_the_connection(void **state)
{
    (void)state;
    struct node *nodes[2];
    make_pair(nodes);
    node_set_full(nodes[1], true);
    struct dsmr_buf *chunk = make_buf(1u << 20, 1), *vote = make_buf(10, 2);
    for (int i = 0; i < 32; i++)
        assert_int_equal(node_send(nodes[0], &nodes[1]->id, DSMR_MSG_CLASS_CHUNK, chunk), DSMR_OK);
    assert_int_equal(dsmr_metrics_get(&nodes[0]->metrics, DSMR_METRIC_NET_DROPPED), 0);
    uint16_t port = dsmr_tcp_net_listen_port(nodes[1]->net);
    node_shut(nodes[1]);
    NODE_WAIT(nodes[0], nodes[0]->downs == 1);
    assert_true(dsmr_metrics_get(&nodes[0]->metrics, DSMR_METRIC_NET_DROPPED) > 16);
    node_set_full(nodes[1], false);
    size_t before = nodes[1]->messages;
    nodes[1]->config.listen_port = port;
    node_open(nodes[1]);
    node_allow(nodes[1], &nodes[0]->id, 1);
    NODE_WAIT(nodes[0], nodes[0]->ups == 2);
    assert_int_equal(node_send(nodes[0], &nodes[1]->id, DSMR_MSG_CLASS_TX, vote), DSMR_OK);
    NODE_WAIT(nodes[1], nodes[1]->messages > before);
    assert_int_equal(nodes[1]->messages, before + 1);
    assert_int_equal(nodes[1]->last->len, 10);
    dsmr_buf_unref(chunk);
    dsmr_buf_unref(vote);
    for (int i = 0; i < 2; i++)
        node_free(nodes[i]);
}

/* Both dial at the same moment, many times: in the end one connection, the same on both sides. */
static void test_double_connections_are_resolved(void **state)
{
    (void)state;
    struct dsmr_buf *buf = make_buf(10, 1);
    for (int round = 0; round < 20; round++) {
        struct node *nodes[2];
        for (int i = 0; i < 2; i++)
            nodes[i] = node_new();
        nodes_connect_how(nodes, 2, true);
        /* Messages both ways until one made it each way: the loser may have taken some along. */
        while (nodes[0]->messages == 0 || nodes[1]->messages == 0) {
            for (int i = 0; i < 2; i++) {
                if (nodes[i]->messages == 0)
                    (void)node_send(nodes[1 - i], &nodes[i]->id, DSMR_MSG_CLASS_VOTE, buf);
                node_run(nodes[i], false);
            }
            sched_yield();
        }
        for (int i = 0; i < 2; i++) {
            NODE_WAIT(nodes[i], nodes[i]->ups == nodes[i]->downs + 1);
            assert_int_equal(dsmr_metrics_get(&nodes[i]->metrics, DSMR_METRIC_PEERS), 1);
        }
        for (int i = 0; i < 2; i++)
            node_free(nodes[i]);
    }
    dsmr_buf_unref(buf);
}

static void test_drop_ends_and_pauses(void **state)
{
    (void)state;
    struct node *nodes[2];
    for (int i = 0; i < 2; i++)
        nodes[i] = node_new();
    nodes[0]->config.limits.drop_pause_ms = 200;
    nodes_connect(nodes, 2);
    node_know(nodes[1], nodes[0]); /* so that the dropped one may knock */
    int ups = nodes[0]->ups;
    struct dsmr_net port = dsmr_tcp_net_port(nodes[0]->net);
    struct dsmr_buf *buf = make_buf(10, 1);
    port.ops->drop(port.self, &nodes[1]->id, DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(node_send(nodes[0], &nodes[1]->id, DSMR_MSG_CLASS_VOTE, buf),
                     DSMR_ERR_UNKNOWN); /* at once */
    NODE_WAIT(nodes[0], nodes[0]->downs == ups);
    SPIN(node_errors(nodes[0], DSMR_ERR_RATE_LIMITED) > 0); /* it knocks too early */
    assert_int_equal(nodes[0]->ups, ups);
    NODE_WAIT(nodes[0], nodes[0]->ups > ups); /* and is let in after the pause */
    NODE_WAIT(nodes[0], nodes[0]->ups == nodes[0]->downs + 1);
    dsmr_buf_unref(buf);
    for (int i = 0; i < 2; i++)
        node_free(nodes[i]);
}

static void test_peer_that_leaves_the_set_is_disconnected(void **state)
{
    (void)state;
    struct node *nodes[3];
    for (int i = 0; i < 3; i++)
        nodes[i] = node_new();
    nodes_connect(nodes, 3);
    for (int i = 1; i < 3; i++)
        NODE_WAIT(nodes[i], nodes[i]->ups - nodes[i]->downs == 2);
    node_know(nodes[2], nodes[0]);
    node_allow(nodes[0], &nodes[1]->id, 1);
    NODE_WAIT(nodes[0], nodes[0]->ups - nodes[0]->downs == 1);
    NODE_WAIT(nodes[2], nodes[2]->ups - nodes[2]->downs == 1);
    SPIN(node_errors(nodes[0], DSMR_ERR_NOT_VALIDATOR) > 0); /* it tries again and is refused */
    struct dsmr_buf *buf = make_buf(10, 1);
    assert_int_equal(node_send(nodes[0], &nodes[2]->id, DSMR_MSG_CLASS_VOTE, buf),
                     DSMR_ERR_UNKNOWN);
    assert_int_equal(node_send(nodes[0], &nodes[1]->id, DSMR_MSG_CLASS_VOTE, buf), DSMR_OK);
    NODE_WAIT(nodes[1], nodes[1]->messages == 1);
    node_allow(nodes[0], NULL, 0);
    NODE_WAIT(nodes[0], nodes[0]->ups == nodes[0]->downs);
    dsmr_buf_unref(buf);
    for (int i = 0; i < 3; i++)
        node_free(nodes[i]);
}

static void test_idle_peers_ping_and_stay(void **state)
{
    (void)state;
    struct node *nodes[2];
    for (int i = 0; i < 2; i++) {
        nodes[i] = node_new();
        nodes[i]->config.limits.ping_ms = 20;
        nodes[i]->config.limits.silence_timeout_ms = 2000;
    }
    nodes_connect(nodes, 2);
    uint64_t before = dsmr_metrics_get(&nodes[1]->metrics, DSMR_METRIC_NET_BYTES_RECEIVED);
    int downs = nodes[1]->downs;
    SPIN(dsmr_metrics_get(&nodes[1]->metrics, DSMR_METRIC_NET_BYTES_RECEIVED) >= before + 40);
    node_run(nodes[1], false);
    assert_int_equal(nodes[1]->downs, downs);
    assert_int_equal(nodes[1]->messages, 0);
    for (int i = 0; i < 2; i++)
        node_free(nodes[i]);
}

static void test_names_resolve(void **state)
{
    (void)state;
    struct node *nodes[2];
    for (int i = 0; i < 2; i++) {
        nodes[i] = node_new();
        node_open(nodes[i]);
    }
    struct dsmr_tcp_net_address address = {nodes[1]->id, "localhost",
                                           dsmr_tcp_net_listen_port(nodes[1]->net)};
    assert_int_equal(dsmr_tcp_net_set_address(nodes[0]->net, &address), DSMR_OK);
    node_allow(nodes[1], &nodes[0]->id, 1);
    node_allow(nodes[0], &nodes[1]->id, 1);
    NODE_WAIT(nodes[0], nodes[0]->ups == 1);
    for (int i = 0; i < 2; i++)
        node_free(nodes[i]);
}

/* What is accepted on this machine, or dialed, does not pace, whatever the system's default is;
 * what may come from elsewhere is left alone. */
static void test_local_connections_do_not_pace(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "::1", "0.0.0.0"};
    char before[16], after[16];
    for (size_t i = 0; i < 3; i++) {
        union {
            struct sockaddr any;
            struct sockaddr_in v4;
            struct sockaddr_in6 v6;
        } address;
        if (uv_ip4_addr(hosts[i], 0, &address.v4) != 0)
            assert_int_equal(uv_ip6_addr(hosts[i], 0, &address.v6), 0);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        socklen_t len = sizeof(before);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, before, &len), 0);
        dsmr_net_local_tune(fd, &address.any);
        len = sizeof(after);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, after, &len), 0);
        assert_string_equal(after, i < 2 ? "reno" : before);
        close(fd);
    }
}

static void test_wrong_address_is_told(void **state)
{
    (void)state;
    struct node *node = node_new();
    node_open(node);
    char reason[DSMR_TCP_NET_REASON_BYTES];
    struct dsmr_tcp_net *second = NULL;
    struct dsmr_tcp_net_config config = node->config;
    config.listen_port = dsmr_tcp_net_listen_port(node->net);
    assert_int_equal(dsmr_tcp_net_open(&second, reason, &config), DSMR_ERR_UNAVAILABLE);
    assert_non_null(strstr(reason, "in use"));
    config.listen_host = "256.1.1.1";
    assert_int_equal(dsmr_tcp_net_open(&second, reason, &config), DSMR_ERR_CONFIG);
    assert_null(second);
    char host[DSMR_TCP_NET_HOST_BYTES_MAX + 2];
    memset(host, 'a', sizeof(host));
    host[sizeof(host) - 1] = '\0';
    struct dsmr_tcp_net_address address = {node->id, host, 1};
    assert_int_equal(dsmr_tcp_net_set_address(node->net, &address), DSMR_ERR_CONFIG);
    node_free(node);
    dsmr_tcp_net_close(NULL);
}

/* Who learns its addresses one by one says how many there may be, and gives places back. */
static void test_the_address_book(void **state)
{
    (void)state;
    const uint32_t places = 300;
    struct node *node = node_new();
    node->config.addresses_max = places;
    node_open(node);
    for (uint32_t i = 0; i <= places; i++) {
        struct dsmr_tcp_net_address address = {.host = "127.0.0.1", .port = 1};
        memcpy(address.node_id.bytes, &i, sizeof i);
        assert_int_equal(dsmr_tcp_net_set_address(node->net, &address),
                         i < places ? DSMR_OK : DSMR_ERR_FULL);
    }
    struct dsmr_tcp_net_address address = {.host = "127.0.0.1", .port = 1};
    memset(address.node_id.bytes, 0xff, sizeof address.node_id.bytes);
    dsmr_tcp_net_forget_address(node->net, &address.node_id); /* it is not there */
    assert_int_equal(dsmr_tcp_net_set_address(node->net, &address), DSMR_ERR_FULL);
    uint32_t one = 7;
    struct dsmr_node_id gone = {{0}};
    memcpy(gone.bytes, &one, sizeof one);
    dsmr_tcp_net_forget_address(node->net, &gone);
    assert_int_equal(dsmr_tcp_net_set_address(node->net, &address), DSMR_OK);
    node_free(node);
}

/* Closing while connections are being made, held up and used. */
static void test_close_at_any_moment(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct node *nodes[2];
        for (int i = 0; i < 2; i++) {
            nodes[i] = node_new();
            node_open(nodes[i]);
        }
        node_know(nodes[0], nodes[1]);
        node_allow(nodes[0], &nodes[1]->id, 1);
        node_allow(nodes[1], &nodes[0]->id, 1);
        struct dsmr_tcp_net_address address = {{{9}}, "no-such-host.invalid", 1};
        assert_int_equal(dsmr_tcp_net_set_address(nodes[1]->net, &address), DSMR_OK);
        if (round % 2 == 1) {
            NODE_WAIT(nodes[0], nodes[0]->ups == 1);
            struct dsmr_buf *buf = make_buf(1u << 20, 1);
            for (int i = 0; i < 8; i++)
                (void)node_send(nodes[0], &nodes[1]->id, DSMR_MSG_CLASS_CHUNK, buf);
            dsmr_buf_unref(buf);
        }
        for (int i = 0; i < 2; i++)
            node_free(nodes[(i + round) % 2]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_of_all_sizes),
        cmocka_unit_test(test_head_and_body_are_one_message),
        cmocka_unit_test(test_many_small_messages_stay_in_order),
        cmocka_unit_test(test_four_nodes_all_to_all),
        cmocka_unit_test(test_send_to_a_stranger_is_unknown),
        cmocka_unit_test(test_slow_peer_fills_bounded_queues),
        cmocka_unit_test(test_full_inbox_pauses_without_loss),
        cmocka_unit_test(test_full_inbox_is_tried_again),
        cmocka_unit_test(test_flood_does_not_take_others_share),
        cmocka_unit_test(test_peer_comes_back_after_restart),
        cmocka_unit_test(test_queues_do_not_outlive_the_connection),
        cmocka_unit_test(test_double_connections_are_resolved),
        cmocka_unit_test(test_drop_ends_and_pauses),
        cmocka_unit_test(test_peer_that_leaves_the_set_is_disconnected),
        cmocka_unit_test(test_idle_peers_ping_and_stay),
        cmocka_unit_test(test_names_resolve),
        cmocka_unit_test(test_local_connections_do_not_pace),
        cmocka_unit_test(test_wrong_address_is_told),
        cmocka_unit_test(test_the_address_book),
        cmocka_unit_test(test_close_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
