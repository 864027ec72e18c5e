#define _GNU_SOURCE /* MSG_NOSIGNAL */
#include "client/submit_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "client/tcp_dial.h"

#define IN_BYTES (DSMR_SUBMIT_FRAME_HEAD_BYTES + DSMR_SUBMIT_FRAME_BYTES_MAX)
#define FRAME_PAYLOAD_MAX (DSMR_SUBMIT_FRAME_BYTES_MAX - DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES)

struct dsmr_submit_client {
    const struct dsmr_submit_client_ops *ops;
    void *ctx;
    int fd;
    struct dsmr_submit_frame_welcome welcome;
    uint64_t next_seq;
    uint8_t *out; /* DSMR_SUBMIT_CLIENT_OUT_MAX */
    size_t out_at, out_len;
    size_t frame_at; /* of the frame that is being filled */
    uint32_t frame_txs;
    uint8_t *in; /* IN_BYTES */
    size_t in_len;
};

struct dsmr_submit_client *dsmr_submit_client_new(const struct dsmr_submit_client_ops *ops,
                                                  void *ctx)
{
    struct dsmr_submit_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return NULL;
    }
    client->ops = ops;
    client->ctx = ctx;
    client->fd = -1;
    client->out = malloc(DSMR_SUBMIT_CLIENT_OUT_MAX);
    client->in = malloc(IN_BYTES);
    if (client->out == NULL || client->in == NULL) {
        dsmr_submit_client_free(client);
        return NULL;
    }
    return client;
}

void dsmr_submit_client_free(struct dsmr_submit_client *client)
{
    if (client == NULL) {
        return;
    }
    dsmr_submit_client_disconnect(client);
    free(client->out);
    free(client->in);
    free(client);
}

void dsmr_submit_client_disconnect(struct dsmr_submit_client *client)
{
    if (client->fd >= 0) {
        close(client->fd);
        client->fd = -1;
    }
    client->out_at = client->out_len = client->in_len = 0;
    client->frame_txs = 0;
}

bool dsmr_submit_client_is_connected(const struct dsmr_submit_client *client)
{
    return client->fd >= 0;
}

int dsmr_submit_client_fd(const struct dsmr_submit_client *client)
{
    return client->fd;
}

struct dsmr_submit_frame_welcome dsmr_submit_client_welcome(const struct dsmr_submit_client *client)
{
    return client->welcome;
}

/* ---- out ---- */

static void compact(struct dsmr_submit_client *client)
{
    size_t left = client->out_len - client->out_at;
    memmove(client->out, client->out + client->out_at, left);
    client->frame_at -= client->frame_txs > 0 ? client->out_at : 0;
    client->out_len = left;
    client->out_at = 0;
}

void dsmr_submit_client_commit(struct dsmr_submit_client *client)
{
    if (client->frame_txs == 0) {
        return;
    }
    size_t payload = client->out_len - client->frame_at - DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES;
    dsmr_submit_frame_submit_head(client->out + client->frame_at,
                                  client->next_seq - client->frame_txs, client->frame_txs,
                                  (uint32_t)payload);
    client->frame_txs = 0;
}

uint8_t *dsmr_submit_client_add(struct dsmr_submit_client *client, uint64_t *seq, uint32_t len)
{
    if (len < DSMR_TX_BYTES_MIN || len > DSMR_TX_BYTES_MAX) {
        return NULL;
    }
    size_t needed = 4u + (size_t)len;
    size_t filled = client->out_len - client->frame_at;
    if (client->frame_txs > 0 &&
        (client->frame_txs == DSMR_SUBMIT_FRAME_TXS_MAX || filled + needed > FRAME_PAYLOAD_MAX)) {
        dsmr_submit_client_commit(client);
    }
    if (client->out_len + DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES + needed >
        DSMR_SUBMIT_CLIENT_OUT_MAX) {
        compact(client);
    }
    if (client->out_len + DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES + needed >
        DSMR_SUBMIT_CLIENT_OUT_MAX) {
        return NULL;
    }
    if (client->frame_txs == 0) {
        client->frame_at = client->out_len;
        client->out_len += DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES;
    }
    dsmr_store_be32(client->out + client->out_len, len);
    uint8_t *tx = client->out + client->out_len + 4;
    client->out_len += needed;
    client->frame_txs++;
    *seq = client->next_seq++;
    return tx;
}

void dsmr_submit_client_trim(struct dsmr_submit_client *client, uint32_t len, uint32_t used)
{
    DSMR_ASSERT(client->frame_txs > 0 && used <= len && used >= DSMR_TX_BYTES_MIN);
    dsmr_store_be32(client->out + client->out_len - len - 4, used);
    client->out_len -= len - used;
}

size_t dsmr_submit_client_unsent(const struct dsmr_submit_client *client)
{
    return client->out_len - client->out_at;
}

enum dsmr_err dsmr_submit_client_flush(struct dsmr_submit_client *client)
{
    dsmr_submit_client_commit(client);
    while (client->fd >= 0 && client->out_at < client->out_len) {
        ssize_t n = send(client->fd, client->out + client->out_at, client->out_len - client->out_at,
                         MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return DSMR_OK;
        }
        if (n < 0) {
            return DSMR_ERR_CLOSED; /* poll finds out why */
        }
        client->out_at += (size_t)n;
    }
    if (client->out_at == client->out_len) {
        client->out_at = client->out_len = 0;
    }
    return client->fd >= 0 ? DSMR_OK : DSMR_ERR_CLOSED;
}

/* ---- in ---- */

static enum dsmr_err on_notice(struct dsmr_submit_client *client, uint8_t type,
                               const uint8_t *payload, size_t len)
{
    uint64_t height = 0;
    uint32_t runs = 0;
    enum dsmr_err err = dsmr_submit_frame_notice_decode(&height, &runs, payload, len);
    for (uint32_t i = 0; i < runs && err == DSMR_OK; i++) {
        struct dsmr_submit_run run;
        dsmr_submit_frame_run_decode(&run, payload + 8 + i * DSMR_SUBMIT_FRAME_RUN_BYTES);
        /* Only what was sent can come back. */
        if (run.count == 0 || run.first_seq >= client->next_seq ||
            run.count > client->next_seq - run.first_seq) {
            return DSMR_ERR_MALFORMED;
        }
        client->ops->notice(client->ctx, (enum dsmr_submit_frame_type)type, height, &run);
    }
    return err;
}

static enum dsmr_err on_frame(struct dsmr_submit_client *client, uint8_t type,
                              const uint8_t *payload, size_t len)
{
    enum dsmr_err said = DSMR_ERR_MALFORMED;
    switch (type) {
    case DSMR_SUBMIT_FRAME_WELCOME:
        return dsmr_submit_frame_welcome_decode(&client->welcome, payload, len);
    case DSMR_SUBMIT_FRAME_ACK:
    case DSMR_SUBMIT_FRAME_CERTIFIED:
    case DSMR_SUBMIT_FRAME_EXECUTED:
    case DSMR_SUBMIT_FRAME_EXPIRED:
        return on_notice(client, type, payload, len);
    case DSMR_SUBMIT_FRAME_ERROR:
        if (dsmr_submit_frame_error_decode(&said, payload, len) != DSMR_OK || said == DSMR_OK) {
            said = DSMR_ERR_MALFORMED;
        }
        return said;
    default:
        return DSMR_ERR_UNEXPECTED;
    }
}

static enum dsmr_err on_frames(struct dsmr_submit_client *client)
{
    size_t at = 0;
    enum dsmr_err err = DSMR_OK;
    while (err == DSMR_OK) {
        size_t frame_len = 0;
        err = dsmr_submit_frame_peek(&frame_len, client->in + at, client->in_len - at);
        if (err == DSMR_OK) {
            const uint8_t *frame = client->in + at;
            err = on_frame(client, frame[4], frame + 5, frame_len - 5);
            at += frame_len;
        }
    }
    memmove(client->in, client->in + at, client->in_len - at);
    client->in_len -= at;
    return err == DSMR_ERR_NOT_YET ? DSMR_OK : err;
}

enum dsmr_err dsmr_submit_client_poll(struct dsmr_submit_client *client)
{
    enum dsmr_err err = client->fd >= 0 ? DSMR_OK : DSMR_ERR_CLOSED;
    while (err == DSMR_OK) {
        size_t room = IN_BYTES - client->in_len;
        ssize_t n = recv(client->fd, client->in + client->in_len, room, 0);
        if (n > 0) {
            client->in_len += (size_t)n;
            err = on_frames(client);
            if (err == DSMR_OK && (size_t)n < room) {
                return DSMR_OK; /* the rest comes with the next event */
            }
        } else if (n < 0 && errno == EAGAIN) {
            return DSMR_OK;
        } else if (n == 0 || errno != EINTR) {
            err = DSMR_ERR_CLOSED;
        }
    }
    dsmr_submit_client_disconnect(client);
    return err;
}

static uint64_t mono_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

enum dsmr_err dsmr_submit_client_connect(struct dsmr_submit_client *client, const char *host,
                                         uint16_t port, const struct dsmr_submit_frame_hello *hello,
                                         uint32_t timeout_ms)
{
    uint64_t deadline_ms = mono_ms() + timeout_ms;
    dsmr_submit_client_disconnect(client);
    memset(&client->welcome, 0, sizeof(client->welcome));
    enum dsmr_err err = dsmr_tcp_dial(&client->fd, host, port, timeout_ms);
    if (err != DSMR_OK) {
        client->fd = -1;
        return err;
    }
    dsmr_submit_frame_hello_encode(client->out, hello);
    client->out_len = DSMR_SUBMIT_FRAME_HELLO_BYTES;
    client->frame_txs = 0;
    err = dsmr_submit_client_flush(client);
    while (err == DSMR_OK && client->welcome.in_flight_max == 0) {
        uint64_t now = mono_ms();
        err = now < deadline_ms ? dsmr_tcp_dial_wait(client->fd, 0, (uint32_t)(deadline_ms - now))
                                : DSMR_ERR_TIMEOUT;
        if (err == DSMR_OK) {
            err = dsmr_submit_client_poll(client);
        }
    }
    if (err != DSMR_OK) {
        dsmr_submit_client_disconnect(client);
    }
    return err;
}
