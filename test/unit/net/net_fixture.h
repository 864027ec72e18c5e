/* net_fixture.h - nodes on 127.0.0.1 for the tests of this folder: an inbox that can be told to be
 * full, a handler that remembers, identities in temporary files, and a raw peer that speaks TLS by
 * hand. Waiting is on the inbox's condition, or on a counter by yielding; never by sleeping. */
#ifndef DSMR_TEST_NET_FIXTURE_H
#define DSMR_TEST_NET_FIXTURE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/metrics.h"
#include "net/frame.h"
#include "net/hello.h"
#include "net/tcp_net.h"
#include "net/tls_session.h"

#define NODES_MAX 4
#define UNUSED __attribute__((unused))

struct node {
    pthread_mutex_t mutex; /* guards the inbox */
    pthread_cond_t filled;
    struct dsmr_task *first, **end;
    bool is_full; /* refuses offers */
    unsigned refused;

    struct dsmr_tls_identity *identity;
    struct dsmr_node_id id;
    struct dsmr_metrics metrics;
    struct dsmr_tcp_net *net;
    struct dsmr_tcp_net_config config;
    unsigned log_lines; /* at warn and error; atomic enough: counted under mutex */

    /* the logic side's */
    size_t messages, bytes;
    struct dsmr_buf *last;
    struct dsmr_node_id last_from;
    int ups, downs;
    bool is_keeping;
    struct dsmr_buf *kept[256];
    size_t kept_count;
};

static bool node_offer(void *self, struct dsmr_task *task)
{
    struct node *node = self;
    pthread_mutex_lock(&node->mutex);
    bool is_taken = !node->is_full;
    if (is_taken) {
        task->next = NULL;
        *node->end = task;
        node->end = &task->next;
    } else {
        node->refused++;
    }
    pthread_cond_signal(&node->filled);
    pthread_mutex_unlock(&node->mutex);
    return is_taken;
}

static void node_complete(void *self, struct dsmr_task *task)
{
    struct node *node = self;
    pthread_mutex_lock(&node->mutex);
    task->next = NULL;
    *node->end = task;
    node->end = &task->next;
    pthread_cond_signal(&node->filled);
    pthread_mutex_unlock(&node->mutex);
}

static void on_message(void *owner, const struct dsmr_node_id *from, struct dsmr_buf *bytes)
{
    struct node *node = owner;
    node->messages++;
    node->bytes += bytes->len;
    dsmr_buf_unref(node->last);
    node->last = dsmr_buf_ref(bytes);
    node->last_from = *from;
    if (node->is_keeping && node->kept_count < 256)
        node->kept[node->kept_count++] = dsmr_buf_ref(bytes);
}

static void on_peer(void *owner, const struct dsmr_node_id *peer, bool is_up)
{
    struct node *node = owner;
    (void)peer;
    if (is_up)
        node->ups++;
    else
        node->downs++;
}

static void on_line(void *self, enum dsmr_log_level level, const char *module, const char *text)
{
    struct node *node = self;
    assert_string_equal(module, "p2p");
    assert_true(strlen(text) > 0);
    if (getenv("DSMR_TEST_LOG") != NULL)
        fprintf(stderr, "%02x: %s\n", node->id.bytes[0], text);
    if (level <= DSMR_LOG_WARN) {
        pthread_mutex_lock(&node->mutex);
        node->log_lines++;
        pthread_mutex_unlock(&node->mutex);
    }
}

static const struct dsmr_net_handler node_handler = {.message = on_message, .peer = on_peer};
static const struct dsmr_inbox_ops node_inbox_ops = {node_offer, node_complete};
static const struct dsmr_log_ops node_log_ops = {on_line};

static struct dsmr_tls_identity *make_identity(void)
{
    char dir[] = "/tmp/dsmr-net-XXXXXX", key[64], certificate[64];
    char reason[DSMR_TLS_IDENTITY_REASON_BYTES];
    assert_non_null(mkdtemp(dir));
    snprintf(key, sizeof(key), "%s/key", dir);
    snprintf(certificate, sizeof(certificate), "%s/cert", dir);
    struct dsmr_node_id id;
    struct dsmr_tls_identity *identity = NULL;
    assert_int_equal(dsmr_tls_identity_generate(&id, reason, key, certificate), DSMR_OK);
    assert_int_equal(dsmr_tls_identity_open(&identity, reason, key, certificate), DSMR_OK);
    assert_memory_equal(&id, &identity->node_id, sizeof(id));
    unlink(key);
    unlink(certificate);
    rmdir(dir);
    return identity;
}

/* A node that is not open yet; the test may change config before node_open. */
static UNUSED struct node *node_new(void)
{
    struct node *node = calloc(1, sizeof(*node));
    pthread_mutex_init(&node->mutex, NULL);
    pthread_cond_init(&node->filled, NULL);
    node->end = &node->first;
    node->identity = make_identity();
    node->id = node->identity->node_id;
    struct dsmr_tcp_net_config *config = &node->config;
    dsmr_tcp_net_limits_default(&config->limits);
    config->limits.message_bytes_max = 1u << 20;
    config->limits.backoff_min_ms = 5;
    config->limits.backoff_max_ms = 40;
    config->limits.dial_delay_ms = 0;
    config->limits.drop_pause_ms = 50;
    config->listen_host = "127.0.0.1";
    config->identity = node->identity;
    config->domain.network_id = 7;
    config->inbox = (struct dsmr_inbox){node, &node_inbox_ops};
    config->handler = &node_handler;
    config->metrics = &node->metrics;
    config->log = (struct dsmr_log){node, &node_log_ops};
    config->seed = node->id.bytes[0];
    return node;
}

static UNUSED void node_open(struct node *node)
{
    char reason[DSMR_TCP_NET_REASON_BYTES];
    assert_int_equal(dsmr_tcp_net_open(&node->net, reason, &node->config), DSMR_OK);
    assert_true(dsmr_tcp_net_listen_port(node->net) != 0);
}

static struct dsmr_task *node_pop(struct node *node, bool can_wait)
{
    pthread_mutex_lock(&node->mutex);
    while (can_wait && node->first == NULL)
        pthread_cond_wait(&node->filled, &node->mutex);
    struct dsmr_task *list = node->first;
    node->first = NULL;
    node->end = &node->first;
    pthread_mutex_unlock(&node->mutex);
    return list;
}

static void node_run(struct node *node, bool can_wait)
{
    struct dsmr_task *task = node_pop(node, can_wait);
    while (task != NULL) {
        struct dsmr_task *next = task->next;
        task->done(task, node);
        task = next;
    }
}

/* Handles node's tasks until condition holds. */
#define NODE_WAIT(node, condition)                                                                 \
    do {                                                                                           \
        while (!(condition))                                                                       \
            node_run((node), true);                                                                \
    } while (0)
/* Waits for what no task tells of. */
#define SPIN(condition)                                                                            \
    do {                                                                                           \
        while (!(condition))                                                                       \
            sched_yield();                                                                         \
    } while (0)

static UNUSED void node_shut(struct node *node)
{
    dsmr_tcp_net_close(node->net);
    node->net = NULL;
    node_run(node, false);
}

static UNUSED void node_free(struct node *node)
{
    node_shut(node);
    for (size_t i = 0; i < node->kept_count; i++)
        dsmr_buf_unref(node->kept[i]);
    dsmr_buf_unref(node->last);
    dsmr_tls_identity_free(node->identity);
    pthread_cond_destroy(&node->filled);
    pthread_mutex_destroy(&node->mutex);
    free(node);
}

static UNUSED void node_set_full(struct node *node, bool is_full)
{
    pthread_mutex_lock(&node->mutex);
    node->is_full = is_full;
    pthread_mutex_unlock(&node->mutex);
    if (!is_full && node->net != NULL)
        dsmr_tcp_net_resume(node->net);
}

static UNUSED unsigned node_refused(struct node *node)
{
    pthread_mutex_lock(&node->mutex);
    unsigned refused = node->refused;
    pthread_mutex_unlock(&node->mutex);
    return refused;
}

static UNUSED uint64_t node_errors(struct node *node, enum dsmr_err err)
{
    return atomic_load(&node->metrics.errors[err]);
}

static UNUSED void node_allow(struct node *node, const struct dsmr_node_id *ids, uint32_t count)
{
    struct dsmr_net port = dsmr_tcp_net_port(node->net);
    port.ops->set_peers(port.self, ids, count);
}

/* from may dial to. */
static UNUSED void node_know(struct node *from, const struct node *to)
{
    struct dsmr_tcp_net_address address = {to->id, "127.0.0.1", dsmr_tcp_net_listen_port(to->net)};
    assert_int_equal(dsmr_tcp_net_set_address(from->net, &address), DSMR_OK);
}

/* Opens count nodes, each of which serves all others, and waits until all are up. Every node knows
 * the addresses of those behind it, so that each pair makes one connection; with is_double it
 * knows all, and both sides dial at once. */
static UNUSED void nodes_connect_how(struct node **nodes, int count, bool is_double)
{
    struct dsmr_node_id ids[NODES_MAX];
    for (int i = 0; i < count; i++) {
        if (nodes[i]->net == NULL)
            node_open(nodes[i]);
        ids[i] = nodes[i]->id;
    }
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < count; k++)
            if (is_double ? k != i : k > i)
                node_know(nodes[i], nodes[k]);
        node_allow(nodes[i], ids, (uint32_t)count);
    }
    for (int i = 0; i < count; i++)
        NODE_WAIT(nodes[i], nodes[i]->ups - nodes[i]->downs == count - 1);
}

static UNUSED void nodes_connect(struct node **nodes, int count)
{
    nodes_connect_how(nodes, count, false);
}

static UNUSED struct dsmr_buf *make_buf(size_t len, uint32_t seed)
{
    struct dsmr_buf *buf = dsmr_buf_new(len);
    for (size_t i = 0; i < len; i++)
        buf->bytes[i] = (uint8_t)(seed + i * 31 + (i >> 8));
    return buf;
}

static UNUSED enum dsmr_err node_send(struct node *from, const struct dsmr_node_id *to,
                                      enum dsmr_msg_class cls, struct dsmr_buf *head)
{
    struct dsmr_net port = dsmr_tcp_net_port(from->net);
    return port.ops->send(port.self, to, cls, head, NULL, NULL, 0);
}

/* ---- a peer by hand ---- */

struct raw {
    int fd;
    SSL_CTX *context;
    SSL *ssl;
};

static UNUSED int raw_connect(const struct node *to)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(dsmr_tcp_net_listen_port(to->net)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static UNUSED void raw_open(struct raw *raw, const struct node *to,
                            const struct dsmr_tls_identity *identity)
{
    raw->fd = raw_connect(to);
    raw->context = dsmr_tls_session_context(identity);
    raw->ssl = dsmr_tls_session_new(raw->context, raw->fd, true);
    assert_int_equal(dsmr_tls_session_handshake(raw->ssl), DSMR_TLS_DONE); /* blocks */
}

/* False: the node has ended the connection. */
static UNUSED bool raw_write(struct raw *raw, const void *bytes, size_t len)
{
    size_t n = 0;
    for (size_t at = 0; at < len; at += n)
        if (dsmr_tls_session_write(raw->ssl, (const uint8_t *)bytes + at, len - at, &n) !=
            DSMR_TLS_DONE)
            return false;
    return true;
}

static UNUSED void raw_hello(struct raw *raw, const struct dsmr_domain *domain)
{
    uint8_t frame[4 + DSMR_HELLO_BYTES];
    dsmr_store_be32(frame, DSMR_HELLO_BYTES);
    dsmr_hello_encode(frame + 4, domain);
    raw_write(raw, frame, sizeof(frame));
}

/* Reads until the node ends the connection; returns how many bytes came before. */
static UNUSED size_t raw_read_to_end(struct raw *raw)
{
    uint8_t bytes[4096];
    size_t n = 0, sum = 0;
    while (dsmr_tls_session_read(raw->ssl, bytes, sizeof(bytes), &n) == DSMR_TLS_DONE)
        sum += n;
    return sum;
}

static UNUSED void raw_read_exact(struct raw *raw, uint8_t *out, size_t len)
{
    size_t n = 0;
    for (size_t at = 0; at < len; at += n)
        assert_int_equal(dsmr_tls_session_read(raw->ssl, out + at, len - at, &n), DSMR_TLS_DONE);
}

static UNUSED void raw_close(struct raw *raw)
{
    SSL_free(raw->ssl);
    SSL_CTX_free(raw->context);
    close(raw->fd);
}

/* ---- a node, a peer by hand, and an honest one ---- */

/* A node that serves one validator, played by the test through a raw peer, and an honest one. */
struct scene {
    struct node *node, *honest;
    struct dsmr_tls_identity *validator;
};

static UNUSED void set_scene(struct scene *scene,
                             void (*change)(struct dsmr_tcp_net_limits *limits))
{
    scene->node = node_new();
    scene->honest = node_new();
    scene->validator = make_identity();
    scene->node->config.limits.drop_pause_ms = 0;
    if (change != NULL)
        change(&scene->node->config.limits);
    node_open(scene->node);
    node_open(scene->honest);
    struct dsmr_node_id ids[2] = {scene->validator->node_id, scene->honest->id};
    node_allow(scene->node, ids, 2);
    node_allow(scene->honest, &scene->node->id, 1);
    node_know(scene->honest, scene->node);
    NODE_WAIT(scene->honest, scene->honest->ups == 1);
    NODE_WAIT(scene->node, scene->node->ups == 1);
}

/* The honest peer still gets through, on the connection that it had from the start. */
static UNUSED void end_scene(struct scene *scene)
{
    size_t before = scene->node->messages;
    struct dsmr_buf *buf = make_buf(1000, 1);
    assert_int_equal(node_send(scene->honest, &scene->node->id, DSMR_MSG_CLASS_VOTE, buf), DSMR_OK);
    NODE_WAIT(scene->node, scene->node->messages > before &&
                               dsmr_node_id_equal(&scene->node->last_from, &scene->honest->id));
    node_run(scene->honest, false);
    assert_int_equal(scene->honest->downs, 0);
    dsmr_buf_unref(buf);
    node_free(scene->honest);
    node_free(scene->node);
    dsmr_tls_identity_free(scene->validator);
}

static UNUSED void come_up(struct raw *raw, struct scene *scene)
{
    int ups = scene->node->ups;
    raw_open(raw, scene->node, scene->validator);
    raw_hello(raw, &scene->node->config.domain);
    uint8_t hello[4 + DSMR_HELLO_BYTES];
    raw_read_exact(raw, hello, sizeof(hello));
    NODE_WAIT(scene->node, scene->node->ups > ups);
}

#endif
