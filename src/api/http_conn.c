#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "api/http_conn.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "api/http_server.h"

#define ANSWER_BYTES_MAX 512
#define LINGER_S 2     /* for the client to read why */
#define QUIET_MS 1000u /* no bytes for so long: time ended the connection, not what it said */

struct conn {
    struct dsmr_metrics *metrics;
    enum dsmr_http_conn_state state;
    uint64_t bytes; /* received when the last request was answered */
    time_t since_s; /* when that was */
    bool is_raw;    /* no HTTP: refused, answered, and lingering */
};

static time_t mono_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static struct conn *conn_of(struct lws *wsi)
{
    return lws_get_opaque_user_data(wsi);
}

/* All zero if the kernel does not say. */
static struct tcp_info info_of(struct lws *wsi)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    memset(&info, 0, sizeof(info));
    if (getsockopt(lws_get_socket_fd(wsi), IPPROTO_TCP, TCP_INFO, &info, &len) != 0) {
        memset(&info, 0, sizeof(info));
    }
    return info;
}

bool dsmr_http_conn_open(struct lws *wsi, struct dsmr_metrics *metrics)
{
    struct conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL) {
        dsmr_metrics_count_error(metrics, DSMR_ERR_NO_MEMORY);
        return false;
    }
    conn->metrics = metrics;
    conn->since_s = mono_s();
    lws_set_opaque_user_data(wsi, conn);
    return true;
}

void dsmr_http_conn_set(struct lws *wsi, enum dsmr_http_conn_state state)
{
    conn_of(wsi)->state = state;
}

void dsmr_http_conn_answered(struct lws *wsi)
{
    conn_of(wsi)->bytes = info_of(wsi).tcpi_bytes_received;
}

void dsmr_http_conn_next(struct lws *wsi)
{
    struct conn *conn = conn_of(wsi);
    conn->state = DSMR_HTTP_CONN_HEAD;
    conn->since_s = mono_s();
}

void dsmr_http_conn_end(struct lws *wsi)
{
    struct conn *conn = conn_of(wsi);
    if (conn == NULL || conn->state == DSMR_HTTP_CONN_ANSWER) {
        return;
    }
    struct tcp_info info = info_of(wsi);
    uint64_t bytes =
        info.tcpi_bytes_received > conn->bytes ? info.tcpi_bytes_received - conn->bytes : 0;
    bool is_late = info.tcpi_last_data_recv >= QUIET_MS &&
                   mono_s() - conn->since_s >= (time_t)DSMR_HTTP_SERVER_HEAD_TIMEOUT_S;
    enum dsmr_err err = is_late ? DSMR_ERR_TIMEOUT : DSMR_ERR_MALFORMED;
    if (conn->state == DSMR_HTTP_CONN_HEAD && bytes > DSMR_HTTP_SERVER_HEAD_BYTES_MAX) {
        err = DSMR_ERR_TOO_LARGE;
    }
    if (bytes > 1 || conn->state == DSMR_HTTP_CONN_BODY) {
        dsmr_metrics_count_error(conn->metrics, err);
    }
    conn->state = DSMR_HTTP_CONN_ANSWER;
}

bool dsmr_http_conn_close(struct lws *wsi)
{
    struct conn *conn = conn_of(wsi);
    /* There is no end, and no other word, when the library refuses an upgrade that it does not
     * know on a new connection. */
    if (conn != NULL && conn->state != DSMR_HTTP_CONN_ANSWER) {
        dsmr_metrics_count_error(conn->metrics, DSMR_ERR_UNEXPECTED);
    }
    lws_set_opaque_user_data(wsi, NULL);
    free(conn);
    return conn != NULL;
}

/* ---- answers past the routes, each the last of its connection ---- */

/* Into out, which has room for ANSWER_BYTES_MAX; returns the length. */
static size_t answer_of(char *out, const char *status, const char *code, const char *message)
{
    char body[ANSWER_BYTES_MAX / 2];
    int len = snprintf(body, sizeof(body), "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}", code,
                       message);
    int all =
        snprintf(out, ANSWER_BYTES_MAX,
                 "HTTP/1.1 %s\r\nserver: dsmr\r\ncontent-type: application/json\r\n"
                 "content-length: %d\r\ncache-control: no-store\r\nconnection: close\r\n\r\n%s",
                 status, len, body);
    return (size_t)all;
}

static bool write_bad_request(struct lws *wsi, const char *message, enum lws_write_protocol how)
{
    char out[LWS_PRE + ANSWER_BYTES_MAX];
    size_t len = answer_of(out + LWS_PRE, "400 Bad Request", "bad_request", message);
    return lws_write(wsi, (unsigned char *)out + LWS_PRE, len, how) == (int)len;
}

int dsmr_http_conn_on_upgrade(struct lws *wsi)
{
    struct conn *conn = conn_of(wsi);
    dsmr_metrics_count_error(conn->metrics, DSMR_ERR_UNEXPECTED);
    conn->state = DSMR_HTTP_CONN_ANSWER;
    /* An upgrade that it does not know the library has refused itself, in the middle of a
     * connection that is kept alive: then it has let go of the headers. */
    if (lws_hdr_total_length(wsi, WSI_TOKEN_UPGRADE) > 0) {
        (void)write_bad_request(wsi, "no upgrade is to be had here", LWS_WRITE_HTTP_HEADERS);
    }
    return -1;
}

void dsmr_http_conn_on_full(int fd, struct dsmr_metrics *metrics)
{
    char out[ANSWER_BYTES_MAX];
    size_t len =
        answer_of(out, "503 Service Unavailable\r\nretry-after: 1", "full", "too many connections");
    dsmr_metrics_count_error(metrics, DSMR_ERR_FULL);
    (void)!send(fd, out, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int dsmr_http_conn_raw(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                       size_t len)
{
    struct conn *conn = conn_of(wsi);
    (void)user, (void)in, (void)len;
    if (reason != LWS_CALLBACK_RAW_RX || conn == NULL || conn->is_raw) {
        return 0; /* refused already: thrown away */
    }
    conn->is_raw = true;
    conn->state = DSMR_HTTP_CONN_ANSWER;
    dsmr_metrics_count_error(conn->metrics, DSMR_ERR_MALFORMED);
    lws_set_timeout(wsi, PENDING_TIMEOUT_CLOSE_SEND, LINGER_S);
    if (!write_bad_request(wsi, "this is no HTTP request, or its method is not known here",
                           LWS_WRITE_RAW)) {
        return -1;
    }
    (void)shutdown(lws_get_socket_fd(wsi), SHUT_WR); /* and wait for the client's end */
    return 0;
}
