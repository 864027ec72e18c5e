/* bench_net - what it costs to move messages between two validators on this machine.
 *
 * Usage: bench_net [SECONDS]   (default 3 a row)
 * Two nets in one process talk over loopback with TLS 1.3; each row says how much a second of
 * wall time moved and how much processor time both ends together used. Beside it stands the bare
 * AES-128-GCM of AWS-LC, once to encrypt and once to decrypt: the limit of any TLS.
 * Quote ratios of one run: absolute figures drift from machine to machine. */
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "app/files.h"
#include "host/host_inbox.h"
#include "net/tcp_net.h"

#define CHUNK_BYTES (512u << 10)
#define VOTE_BYTES 200u

struct end {
    struct dsmr_host_inbox *inbox;
    struct dsmr_tls_identity *identity;
    struct dsmr_tcp_net *net;
    struct dsmr_metrics metrics;
    pthread_t thread;
    _Atomic bool is_stopping;
    _Atomic bool is_up;
    _Atomic uint64_t messages, bytes;
    bool is_echoing;
    struct dsmr_node_id peer;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_net: %s failed\n", what);
    exit(1);
}

static double seconds(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void on_message(void *owner, const struct dsmr_node_id *from, struct dsmr_buf *bytes)
{
    struct end *end = owner;
    if (end->is_echoing && bytes->len == VOTE_BYTES) {
        struct dsmr_net port = dsmr_tcp_net_port(end->net);
        (void)port.ops->send(port.self, from, DSMR_MSG_CLASS_VOTE, bytes, NULL, NULL, 0);
    }
    atomic_fetch_add_explicit(&end->bytes, bytes->len, memory_order_relaxed);
    atomic_fetch_add_explicit(&end->messages, 1, memory_order_release);
}

static void on_peer(void *owner, const struct dsmr_node_id *peer, bool is_up)
{
    struct end *end = owner;
    (void)peer;
    atomic_store(&end->is_up, is_up);
}

static const struct dsmr_net_handler handler = {.message = on_message, .peer = on_peer};

static void *logic_loop(void *arg)
{
    struct end *end = arg;
    while (!atomic_load(&end->is_stopping)) {
        struct dsmr_task *task = dsmr_host_inbox_pop(end->inbox, UINT64_MAX);
        while (task != NULL) {
            struct dsmr_task *next = task->next;
            task->done(task, end);
            task = next;
        }
    }
    return NULL;
}

static struct dsmr_tls_identity *make_identity(void)
{
    char dir[64], key[80], certificate[80];
    char reason[DSMR_TLS_IDENTITY_REASON_BYTES];
    if (dsmr_files_make_temporary(dir, sizeof(dir), "/tmp", "dsmr-bench") != DSMR_OK)
        die("directory");
    (void)snprintf(key, sizeof(key), "%s/key", dir);
    (void)snprintf(certificate, sizeof(certificate), "%s/cert", dir);
    struct dsmr_node_id id;
    struct dsmr_tls_identity *identity = NULL;
    if (dsmr_tls_identity_generate(&id, reason, key, certificate) != DSMR_OK ||
        dsmr_tls_identity_open(&identity, reason, key, certificate) != DSMR_OK)
        die(reason);
    dsmr_files_remove_folder(dir);
    return identity;
}

static void open_end(struct end *end)
{
    struct dsmr_host_inbox_config inbox;
    dsmr_host_inbox_config_default(&inbox);
    end->inbox = dsmr_host_inbox_new(&inbox);
    end->identity = make_identity();
    struct dsmr_tcp_net_config config = {.listen_host = "127.0.0.1",
                                         .identity = end->identity,
                                         .inbox = dsmr_host_inbox_port(end->inbox),
                                         .handler = &handler,
                                         .metrics = &end->metrics};
    dsmr_tcp_net_limits_default(&config.limits);
    config.limits.queue_bytes_max[DSMR_MSG_CLASS_CHUNK] = 8u << 20;
    char reason[DSMR_TCP_NET_REASON_BYTES];
    if (dsmr_tcp_net_open(&end->net, reason, &config) != DSMR_OK)
        die(reason);
    if (dsmr_host_inbox_add_listener(end->inbox, dsmr_tcp_net_resume, end->net) != DSMR_OK)
        die("listener");
}

static void pause_shortly(void)
{
    struct timespec ts = {.tv_nsec = 200000};
    (void)nanosleep(&ts, NULL);
}

/* Sends until the time is over, then waits for the last one to arrive. */
static uint64_t flood(struct end *from, struct end *to, enum dsmr_msg_class cls, size_t len,
                      double duration)
{
    struct dsmr_net port = dsmr_tcp_net_port(from->net);
    struct dsmr_buf *owner = dsmr_buf_new(len);
    struct dsmr_buf *head = dsmr_buf_new(len > 1000 ? 100 : len);
    memset(owner->bytes, 0x5a, len);
    memset(head->bytes, 0x5a, head->len);
    uint32_t body_len = len > 1000 ? (uint32_t)len : 0;
    uint64_t sent = 0, before = atomic_load(&to->messages);
    double until = seconds(CLOCK_MONOTONIC) + duration;
    while (seconds(CLOCK_MONOTONIC) < until) {
        for (int i = 0; i < 32; i++) {
            if (port.ops->send(port.self, &to->identity->node_id, cls, head, owner, owner->bytes,
                               body_len) == DSMR_OK)
                sent++;
            else
                pause_shortly();
        }
    }
    while (atomic_load(&to->messages) - before < sent)
        pause_shortly();
    dsmr_buf_unref(owner);
    dsmr_buf_unref(head);
    return sent;
}

static void row(const char *name, struct end *from, struct end *to, enum dsmr_msg_class cls,
                size_t len, double duration)
{
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t sent = flood(from, to, cls, len, duration);
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    double bytes = (double)sent * (double)len;
    printf("%-28s %9.0f MB/s %11.0f msg/s %8.2f ns/B %9.2f us/msg %8.0f MB/s a core\n", name,
           bytes / wall / 1e6, (double)sent / wall, cpu / bytes * 1e9, cpu / (double)sent * 1e6,
           bytes / cpu / 1e6);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One vote at a time, there and back; if chunk is given the queue of chunks is kept full. */
static void round_trips(const char *name, struct end *a, struct end *b, struct dsmr_buf *chunk,
                        double duration)
{
    static double times[1u << 20];
    b->is_echoing = true;
    struct dsmr_net port = dsmr_tcp_net_port(a->net);
    struct dsmr_buf *vote = dsmr_buf_new(VOTE_BYTES);
    memset(vote->bytes, 1, VOTE_BYTES);
    size_t count = 0;
    uint64_t before = atomic_load(&a->messages);
    double now = seconds(CLOCK_MONOTONIC), until = now + duration;
    while (count < 1u << 20 && now < until) {
        double start = now;
        if (port.ops->send(port.self, &b->identity->node_id, DSMR_MSG_CLASS_VOTE, vote, NULL, NULL,
                           0) != DSMR_OK)
            die("send");
        while (atomic_load_explicit(&a->messages, memory_order_acquire) - before <= count) {
            if (chunk == NULL ||
                port.ops->send(port.self, &b->identity->node_id, DSMR_MSG_CLASS_CHUNK, chunk, NULL,
                               NULL, 0) != DSMR_OK)
                (void)sched_yield();
        }
        now = seconds(CLOCK_MONOTONIC);
        times[count++] = now - start;
    }
    qsort(times, count, sizeof(*times), compare);
    printf("%-28s %9.1f us p50 %9.1f us p99\n", name, times[count / 2] * 1e6,
           times[count - 1 - count / 100] * 1e6);
    b->is_echoing = false;
    dsmr_buf_unref(vote);
}

static void bare_aes(double duration)
{
    static uint8_t in[16384], out[16384 + 16];
    uint8_t key[16] = {1}, iv[12] = {2}, tag[16];
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint64_t bytes = 0;
    int n;
    double start = seconds(CLOCK_MONOTONIC), wall;
    (void)EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, iv);
    do {
        for (int i = 0; i < 100; i++) {
            (void)EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, iv);
            (void)EVP_EncryptUpdate(ctx, out, &n, in, sizeof(in));
            (void)EVP_EncryptFinal_ex(ctx, out + n, &n);
            (void)EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, tag);
            bytes += sizeof(in);
        }
        wall = seconds(CLOCK_MONOTONIC) - start;
    } while (wall < duration);
    EVP_CIPHER_CTX_free(ctx);
    printf("%-28s %9.0f MB/s %35.2f ns/B (both ends)\n", "bare AES-128-GCM, one core",
           (double)bytes / wall / 1e6, 2 * wall / (double)bytes * 1e9);
}

static void close_end(struct end *end)
{
    dsmr_host_inbox_close(end->inbox);
    dsmr_tcp_net_close(end->net);
    atomic_store(&end->is_stopping, true);
    dsmr_host_inbox_wake(end->inbox);
    (void)pthread_join(end->thread, NULL);
    struct dsmr_task *task = dsmr_host_inbox_pop(end->inbox, 0);
    while (task != NULL) {
        struct dsmr_task *next = task->next;
        task->done(task, end);
        task = next;
    }
    dsmr_host_inbox_free(end->inbox);
    dsmr_tls_identity_free(end->identity);
}

int main(int argc, char **argv)
{
    double duration = argc > 1 ? atof(argv[1]) : 3;
    static struct end a, b;
    open_end(&a);
    open_end(&b);
    struct dsmr_tcp_net_address address = {b.identity->node_id, "127.0.0.1",
                                           dsmr_tcp_net_listen_port(b.net)};
    if (dsmr_tcp_net_set_address(a.net, &address) != DSMR_OK)
        die("address");
    struct dsmr_net port = dsmr_tcp_net_port(a.net);
    port.ops->set_peers(port.self, &b.identity->node_id, 1);
    port = dsmr_tcp_net_port(b.net);
    port.ops->set_peers(port.self, &a.identity->node_id, 1);
    if (pthread_create(&a.thread, NULL, logic_loop, &a) != 0 ||
        pthread_create(&b.thread, NULL, logic_loop, &b) != 0)
        die("thread");
    while (!atomic_load(&a.is_up) || !atomic_load(&b.is_up))
        pause_shortly();
    bare_aes(duration / 4);
    row("chunks of 512 KiB", &a, &b, DSMR_MSG_CLASS_CHUNK, CHUNK_BYTES, duration);
    row("chunks of 2 MiB", &a, &b, DSMR_MSG_CLASS_CHUNK, 4 * CHUNK_BYTES, duration);
    row("messages of 16 KiB", &a, &b, DSMR_MSG_CLASS_CHUNK, 16384, duration);
    row("votes of 200 bytes", &a, &b, DSMR_MSG_CLASS_VOTE, VOTE_BYTES, duration);
    round_trips("vote, there and back", &a, &b, NULL, duration);
    struct dsmr_buf *chunk = dsmr_buf_new(4 * CHUNK_BYTES);
    memset(chunk->bytes, 0x5a, chunk->len);
    round_trips("the same among chunks, 2 MiB", &a, &b, chunk, duration);
    dsmr_buf_unref(chunk);
    close_end(&a);
    close_end(&b);
    return 0;
}
