/* fuzz_submit_client.c - any bytes as what a node says on the submit stream to its client.
 *
 * How:    a thread accepts on loopback, says the input and ends its half of the connection.
 * Checks: notices name only what was sent; whatever came, the client is disconnected in the end. */
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "client/submit_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { SENT = 5, INPUT_MAX = 1 << 16 };

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static int listener = -1;
static struct {
    pthread_mutex_t lock;
    const uint8_t *bytes;
    size_t len;
} input = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *serve(void *arg)
{
    uint8_t heard[4096];
    (void)arg;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        pthread_mutex_lock(&input.lock);
        (void)!send(fd, input.bytes, input.len, MSG_NOSIGNAL);
        pthread_mutex_unlock(&input.lock);
        (void)shutdown(fd, SHUT_WR);
        while (recv(fd, heard, sizeof(heard), 0) > 0) {
        }
        close(fd);
    }
}

static uint16_t begin(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof(at);
    pthread_t thread;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(listener >= 0 && bind(listener, (struct sockaddr *)&at, size) == 0);
    must(listen(listener, 16) == 0 && getsockname(listener, (struct sockaddr *)&at, &size) == 0);
    must(pthread_create(&thread, NULL, serve, NULL) == 0 && pthread_detach(thread) == 0);
    return ntohs(at.sin_port);
}

static void on_notice(void *ctx, enum dsmr_submit_frame_type type, uint64_t height,
                      const struct dsmr_submit_run *run)
{
    uint64_t first_seq = *(const uint64_t *)ctx;
    (void)height;
    must(type >= DSMR_SUBMIT_FRAME_ACK && type <= DSMR_SUBMIT_FRAME_EXPIRED);
    must(run->count > 0 && run->first_seq + run->count <= first_seq + SENT);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const struct dsmr_submit_client_ops ops = {.notice = on_notice};
    static uint16_t port;
    const struct dsmr_submit_frame_hello hello = {.wants = 3};
    uint64_t seq = 0, first_seq = 0;
    if (port == 0) {
        port = begin();
    }
    if (len > INPUT_MAX) {
        return 0;
    }
    pthread_mutex_lock(&input.lock);
    input.bytes = bytes;
    input.len = len;
    pthread_mutex_unlock(&input.lock);
    struct dsmr_submit_client *client = dsmr_submit_client_new(&ops, &first_seq);
    must(client != NULL);
    enum dsmr_err err = dsmr_submit_client_connect(client, "127.0.0.1", port, &hello, 10000);
    for (uint32_t i = 0; i < SENT && err == DSMR_OK; i++) {
        uint8_t *tx = dsmr_submit_client_add(client, &seq, 32);
        must(tx != NULL);
        memset(tx, 1, 32);
        first_seq = i == 0 ? seq : first_seq;
    }
    while (err == DSMR_OK) {
        (void)dsmr_submit_client_flush(client);
        err = dsmr_submit_client_poll(client);
    }
    must(!dsmr_submit_client_is_connected(client));
    dsmr_submit_client_free(client);
    pthread_mutex_lock(&input.lock); /* the bytes are the caller's again */
    input.len = 0;
    pthread_mutex_unlock(&input.lock);
    return 0;
}
