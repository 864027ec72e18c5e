#define _GNU_SOURCE /* clock_gettime, pthread_setname_np */
#include "api/http_server.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/http_conn.h"
#include "api/http_head.h"
#include "api/http_host.h"
#include "api/listen.h"
#include "base/assert.h"

#define BODY_TIMEOUT_S 30
#define SEND_TIMEOUT_S 30
#define KEEPALIVE_S 30
#define STOP_S 2
#define HOST_BYTES_MAX 300
#define PATH_BYTES_MAX 512
#define WRITE_BYTES_MAX 32768u
#define RESPONSE_HEAD_BYTES 1024u
#define NO_HTTP "no-http"

/* One request. It belongs to the connection, and to the route until that has answered; whoever is
 * last frees it. Fields below the line are shared under the server's lock. */
struct call {
    struct dsmr_http_server *server;
    const char *method;
    char path[PATH_BYTES_MAX];
    char query[DSMR_HTTP_HEAD_QUERY_BYTES_MAX];
    bool is_head;
    bool is_closing; /* the connection ends after this answer: what follows cannot be trusted */
    char *body;
    size_t body_len, body_capacity;
    time_t body_deadline;
    bool is_run;  /* the route has it, or had it */
    bool has_end; /* the end of the body was told, or is not to come */
    bool is_head_sent;
    size_t sent;
    /* ---- */
    struct lws *wsi;    /* NULL: the client has gone */
    bool is_with_route; /* the answer is still to come */
    struct call *next;  /* of answered */
    int status;
    const char *content_type; /* static, as all routes give */
    const char *allow;
    uint32_t retry_after_s;
    char *response; /* LWS_PRE bytes in front */
    size_t response_len;
};

struct session { /* what lws keeps for a connection */
    struct call *call;
};

struct dsmr_http_server {
    struct dsmr_http_server_config config;
    struct lws_context *context;
    struct lws_protocols protocols[3];
    pthread_t thread;
    pthread_t loop_thread; /* the same, as the thread itself knows it */
    bool is_running;
    _Atomic bool stop;
    uint32_t connections;
    uint16_t port;
    pthread_mutex_t lock;
    struct call *answered;
    uint32_t calls;   /* not freed yet */
    uint32_t answers; /* of them: answered, and the client is still there */
    bool is_open;     /* the loop may be woken */
};

static time_t mono_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void call_free(struct call *call) /* with the lock held */
{
    call->server->calls--;
    free(call->body);
    free(call->response);
    free(call);
}

/* Takes the bytes of an answer; the caller has the lock. */
static void keep_response(struct call *call, const struct dsmr_http_response *response)
{
    call->status = response->status;
    call->content_type = response->content_type;
    call->allow = response->allow;
    call->retry_after_s = response->retry_after_s;
    call->response = malloc(LWS_PRE + response->body_len + 1);
    if (call->response == NULL) {
        dsmr_metrics_count_error(call->server->config.metrics, DSMR_ERR_NO_MEMORY);
        call->status = 500;
        return;
    }
    memcpy(call->response + LWS_PRE, response->body, response->body_len);
    call->response_len = response->body_len;
}

static void on_answer(void *ctx, const struct dsmr_http_response *response)
{
    struct call *call = ctx;
    struct dsmr_http_server *server = call->server;
    bool is_own_thread = pthread_equal(pthread_self(), server->loop_thread) != 0;
    pthread_mutex_lock(&server->lock);
    DSMR_ASSERT(call->is_with_route);
    call->is_with_route = false;
    if (call->wsi == NULL) {
        call_free(call);
    } else {
        keep_response(call, response);
        server->answers++;
        if (is_own_thread) {
            lws_callback_on_writable(call->wsi);
        } else {
            call->next = server->answered;
            server->answered = call;
            if (server->is_open) {
                lws_cancel_service(server->context);
            }
        }
    }
    pthread_mutex_unlock(&server->lock);
}

static void on_wake(struct dsmr_http_server *server)
{
    pthread_mutex_lock(&server->lock);
    struct call *call = server->answered;
    server->answered = NULL;
    while (call != NULL) {
        struct call *next = call->next;
        call->next = NULL;
        if (call->wsi != NULL) {
            lws_callback_on_writable(call->wsi);
        } else {
            call_free(call);
        }
        call = next;
    }
    pthread_mutex_unlock(&server->lock);
}

/* The connection is done with its request, answered or not. */
static void detach(struct dsmr_http_server *server, struct session *session)
{
    struct call *call = session->call;
    session->call = NULL;
    if (call == NULL) {
        return;
    }
    pthread_mutex_lock(&server->lock);
    bool is_queued = false;
    for (struct call *at = server->answered; at != NULL; at = at->next) {
        is_queued = is_queued || at == call;
    }
    server->answers -= call->status != 0 ? 1 : 0;
    call->wsi = NULL;
    if (!call->is_with_route && !is_queued) {
        call_free(call);
    }
    pthread_mutex_unlock(&server->lock);
}

/* Answers without a route: what the server itself refuses. The connection ends after it. */
static int refuse(struct call *call, int status, const char *code, const char *message,
                  enum dsmr_err counted)
{
    char body[256];
    int len = lws_snprintf(body, sizeof(body), "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}",
                           code, message);
    const struct dsmr_http_response response = {.status = status,
                                                .content_type = "application/json",
                                                .body = body,
                                                .body_len = (size_t)len};
    dsmr_metrics_count_error(call->server->config.metrics, counted);
    dsmr_http_conn_set(call->wsi, DSMR_HTTP_CONN_ANSWER);
    call->is_closing = true;
    call->is_with_route = true;
    on_answer(call, &response);
    return 0;
}

static int run_route(struct call *call)
{
    const struct dsmr_http *http = &call->server->config.http;
    const struct dsmr_http_request request = {.method = call->method,
                                              .path = call->path,
                                              .query = call->query,
                                              .body = call->body,
                                              .body_len = call->body_len};
    /* While the route works, its own limits count, not the connection's. */
    lws_set_timeout(call->wsi, NO_PENDING_TIMEOUT, 0);
    dsmr_http_conn_set(call->wsi, DSMR_HTTP_CONN_ANSWER);
    call->is_run = true;
    call->is_with_route = true;
    http->ops->handle(http->self, &request, on_answer, call);
    return 0;
}

/* libwebsockets says it again, and again, for bytes that stand behind the body. Where a next
 * request begins is not known then: whoever sends it before this one is answered is hung up on. */
static int on_body_complete(struct call *call)
{
    if (call == NULL || (call->is_closing && !call->is_run)) {
        return 0; /* refused already */
    }
    if (call->is_run && call->has_end) {
        dsmr_metrics_count_error(call->server->config.metrics, DSMR_ERR_TRAILING_BYTES);
        return -1;
    }
    call->has_end = true;
    return call->is_run ? 0 : run_route(call); /* of a body of no bytes it is told, too */
}

/* Whether this client (or, seldom, another) has sent more than the request that is answered now. Of
 * such a second request libwebsockets 4.1 takes the head for the body, and never comes back. */
static bool has_more(struct lws *wsi)
{
    return lws_service_adjust_timeout(lws_get_context(wsi), 1, 0) == 0;
}

/* No answer: the connection ends. */
static int out_of_memory(struct dsmr_http_server *server, struct lws *wsi)
{
    dsmr_metrics_count_error(server->config.metrics, DSMR_ERR_NO_MEMORY);
    dsmr_http_conn_set(wsi, DSMR_HTTP_CONN_ANSWER);
    return -1;
}

static int on_headers(struct dsmr_http_server *server, struct session *session, struct lws *wsi,
                      const char *path, size_t path_len)
{
    char host[HOST_BYTES_MAX];
    struct call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return out_of_memory(server, wsi);
    }
    DSMR_ASSERT(session->call == NULL);
    session->call = call;
    call->server = server;
    call->wsi = wsi;
    pthread_mutex_lock(&server->lock);
    server->calls++;
    pthread_mutex_unlock(&server->lock);
    call->method = dsmr_http_head_method(wsi);
    call->is_head = strcmp(call->method, "HEAD") == 0;
    if (path_len >= sizeof(call->path) ||
        !dsmr_http_head_query(call->query, sizeof(call->query), wsi)) {
        return refuse(call, 414, "too_large", "the path or the query is too long",
                      DSMR_ERR_TOO_LARGE);
    }
    memcpy(call->path, path, path_len);
    if (lws_hdr_copy(wsi, host, sizeof(host), WSI_TOKEN_HOST) <= 0 ||
        !dsmr_http_host_is_allowed(host, server->config.allow_remote, server->config.hosts,
                                   server->config.hosts_count)) {
        return refuse(call, 403, "host_not_allowed", "the Host header does not name this node",
                      DSMR_ERR_UNEXPECTED);
    }
    long long len = dsmr_http_head_body_len(wsi);
    if (len == DSMR_HTTP_HEAD_BAD_LENGTH) {
        return refuse(call, 400, "bad_request", "the body's length is not given as a number",
                      DSMR_ERR_MALFORMED);
    }
    if (len == DSMR_HTTP_HEAD_NO_LENGTH) {
        return refuse(call, 411, "length_required", "Content-Length is missing",
                      DSMR_ERR_MALFORMED);
    }
    if (len > (long long)server->config.body_bytes_max) {
        return refuse(call, 413, "too_large", "the body is over 64 KiB", DSMR_ERR_TOO_LARGE);
    }
    if (len > 0) {
        dsmr_http_conn_set(wsi, DSMR_HTTP_CONN_BODY);
        call->body_deadline = mono_s() + BODY_TIMEOUT_S;
        return 0; /* the body follows */
    }
    return run_route(call);
}

static int on_body(struct dsmr_http_server *server, struct session *session, const void *bytes,
                   size_t len)
{
    struct call *call = session->call;
    if (call == NULL || call->is_closing || call->is_run) {
        return 0; /* refused already, or behind the body: thrown away */
    }
    if (call->body_len + len > server->config.body_bytes_max || mono_s() > call->body_deadline) {
        dsmr_metrics_count_error(server->config.metrics,
                                 call->body_len + len > server->config.body_bytes_max
                                     ? DSMR_ERR_TOO_LARGE
                                     : DSMR_ERR_TIMEOUT);
        dsmr_http_conn_set(call->wsi, DSMR_HTTP_CONN_ANSWER);
        return -1;
    }
    if (call->body_len + len > call->body_capacity) {
        size_t larger = (call->body_len + len) * 2;
        char *moved = realloc(call->body, larger);
        if (moved == NULL) {
            return out_of_memory(server, call->wsi);
        }
        call->body = moved;
        call->body_capacity = larger;
    }
    memcpy(call->body + call->body_len, bytes, len);
    call->body_len += len;
    return 0;
}

static bool add_header(struct lws *wsi, const char *name, const char *value, uint8_t **at,
                       uint8_t *end)
{
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name,
                                       (const unsigned char *)value, (int)strlen(value), at,
                                       end) == 0;
}

static bool send_head(struct call *call, struct lws *wsi)
{
    uint8_t head[LWS_PRE + RESPONSE_HEAD_BYTES];
    uint8_t *start = head + LWS_PRE;
    uint8_t *at = start;
    uint8_t *end = head + sizeof(head);
    char seconds[12];
    if (lws_add_http_common_headers(wsi, (unsigned)call->status, call->content_type,
                                    call->response_len, &at, end) != 0 ||
        !add_header(wsi, "cache-control:", "no-store", &at, end) ||
        !add_header(wsi, "x-content-type-options:", "nosniff", &at, end)) {
        return false;
    }
    if (call->allow != NULL && !add_header(wsi, "allow:", call->allow, &at, end)) {
        return false;
    }
    if (call->is_closing && !add_header(wsi, "connection:", "close", &at, end)) {
        return false;
    }
    lws_snprintf(seconds, sizeof(seconds), "%u", call->retry_after_s);
    if (call->retry_after_s > 0 && !add_header(wsi, "retry-after:", seconds, &at, end)) {
        return false;
    }
    return lws_finalize_write_http_header(wsi, start, &at, end) == 0;
}

static int on_writable(struct dsmr_http_server *server, struct session *session, struct lws *wsi)
{
    struct call *call = session->call;
    if (call == NULL) {
        return 0;
    }
    pthread_mutex_lock(&server->lock);
    bool is_answered = !call->is_with_route && call->status != 0;
    pthread_mutex_unlock(&server->lock);
    if (!is_answered) {
        return 0;
    }
    lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, SEND_TIMEOUT_S);
    if (!call->is_head_sent) {
        call->is_head_sent = true;
        dsmr_http_conn_answered(wsi); /* before anything that comes in reply is looked for */
        call->is_closing = call->is_closing || has_more(wsi);
        if (!send_head(call, wsi)) {
            return -1;
        }
        if (!call->is_head && call->response_len > 0) {
            lws_callback_on_writable(wsi);
            return 0;
        }
    }
    if (!call->is_head && call->sent < call->response_len) {
        size_t left = call->response_len - call->sent;
        size_t n = left < WRITE_BYTES_MAX ? left : WRITE_BYTES_MAX;
        uint8_t *from = (uint8_t *)call->response + LWS_PRE + call->sent;
        if (lws_write(wsi, from, n, n == left ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < (int)n) {
            return -1;
        }
        call->sent += n;
        if (call->sent < call->response_len) {
            lws_callback_on_writable(wsi);
            return 0;
        }
    }
    bool is_closing = call->is_closing;
    detach(server, session);
    if (!is_closing) {
        dsmr_http_conn_next(wsi);
    }
    return is_closing || lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct dsmr_http_server *server = lws_context_user(lws_get_context(wsi));
    struct session *session = user;
    switch (reason) {
    case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
        if (server->connections >= server->config.connections_max) {
            dsmr_http_conn_on_full((int)(intptr_t)in, server->config.metrics);
            return -1;
        }
        return 0;
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        if (!dsmr_http_conn_open(wsi, server->config.metrics)) {
            return -1;
        }
        server->connections++;
        return 0;
    case LWS_CALLBACK_WSI_DESTROY: /* in all cases, as CLOSED_HTTP is not */
        server->connections -= dsmr_http_conn_close(wsi) ? 1 : 0;
        return 0;
    case LWS_CALLBACK_HTTP:
        return on_headers(server, session, wsi, in, len);
    case LWS_CALLBACK_HTTP_BODY:
        return on_body(server, session, in, len);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return on_body_complete(session->call);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return on_writable(server, session, wsi);
    case LWS_CALLBACK_CLOSED_HTTP:
        dsmr_http_conn_end(wsi);
        if (session != NULL) {
            detach(server, session);
        }
        return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        on_wake(server);
        return 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return dsmr_http_conn_on_upgrade(wsi); /* no websockets, no HTTP/2 */
    default:
        return 0;
    }
}

/* Whether an answer that was given is not sent yet. */
static bool has_answers(struct dsmr_http_server *server)
{
    pthread_mutex_lock(&server->lock);
    bool has = server->answers > 0;
    pthread_mutex_unlock(&server->lock);
    return has;
}

static void *run(void *self)
{
    struct dsmr_http_server *server = self;
    server->loop_thread = pthread_self();
    while (!server->stop && lws_service(server->context, 0) >= 0) {
    }
    /* Who was answered at the last moment should still hear it. */
    for (time_t until = mono_s() + STOP_S; has_answers(server) && mono_s() < until;) {
        (void)lws_service(server->context, 0);
    }
    return NULL;
}

static enum dsmr_err make_context(struct dsmr_http_server *server, const char **reason)
{
    const struct dsmr_http_server_config *config = &server->config;
    int fd = -1;
    uint16_t port = 0;
    /* libwebsockets only says that it failed: try the port to learn why. */
    enum dsmr_err err =
        dsmr_listen_open(&fd, &port, reason, config->address, config->port, config->allow_remote);
    if (err != DSMR_OK) {
        return err;
    }
    close(fd);
    struct lws_context_creation_info info;
    memset(&info, 0, sizeof(info));
    server->protocols[0] = (struct lws_protocols){
        .name = "http", .callback = on_event, .per_session_data_size = sizeof(struct session)};
    server->protocols[1] = (struct lws_protocols){.name = NO_HTTP, .callback = dsmr_http_conn_raw};
    info.listen_accept_role = "raw-skt"; /* of what is no HTTP */
    info.listen_accept_protocol = NO_HTTP;
    info.port = config->port;
    info.iface = config->address;
    info.protocols = server->protocols;
    info.gid = -1;
    info.uid = -1;
    info.user = server;
    info.server_string = "dsmr";
    info.timeout_secs = DSMR_HTTP_SERVER_HEAD_TIMEOUT_S;
    info.timeout_secs_ah_idle = DSMR_HTTP_SERVER_HEAD_TIMEOUT_S;
    info.keepalive_timeout = KEEPALIVE_S;
    info.max_http_header_data2 = DSMR_HTTP_SERVER_HEAD_BYTES_MAX;
    info.max_http_header_pool2 = config->connections_max;
    info.fd_limit_per_thread = config->connections_max + 32;
    info.pt_serv_buf_size = WRITE_BYTES_MAX + 4096;
    info.options = LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND |
                   LWS_SERVER_OPTION_FALLBACK_TO_APPLY_LISTEN_ACCEPT_CONFIG |
                   LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME |
                   (strchr(config->address, ':') == NULL ? LWS_SERVER_OPTION_DISABLE_IPV6 : 0);
    lws_set_log_level(0, NULL);
    server->context = lws_create_context(&info);
    if (server->context == NULL) {
        *reason = "the HTTP server could not be set up";
        return DSMR_ERR_UNAVAILABLE;
    }
    struct lws_vhost *vhost = lws_get_vhost_by_name(server->context, "default");
    server->port = vhost != NULL ? (uint16_t)lws_get_vhost_listen_port(vhost) : config->port;
    return DSMR_OK;
}

enum dsmr_err dsmr_http_server_start(struct dsmr_http_server **out, const char **reason,
                                     const struct dsmr_http_server_config *config)
{
    struct dsmr_http_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        *reason = "out of memory for the HTTP server";
        return DSMR_ERR_NO_MEMORY;
    }
    server->config = *config;
    pthread_mutex_init(&server->lock, NULL);
    enum dsmr_err err = make_context(server, reason);
    server->is_open = err == DSMR_OK;
    if (err == DSMR_OK && pthread_create(&server->thread, NULL, run, server) != 0) {
        *reason = "no thread is to be had for the HTTP server";
        err = DSMR_ERR_NO_MEMORY;
    }
    server->is_running = err == DSMR_OK;
    if (err != DSMR_OK) {
        dsmr_http_server_free(server);
        return err;
    }
    (void)pthread_setname_np(server->thread, "dsmr-http");
    *out = server;
    return DSMR_OK;
}

uint16_t dsmr_http_server_port(const struct dsmr_http_server *server)
{
    return server->port;
}

void dsmr_http_server_stop(struct dsmr_http_server *server)
{
    if (!server->is_running) {
        return;
    }
    server->stop = true;
    lws_cancel_service(server->context);
    pthread_join(server->thread, NULL);
    server->is_running = false;
    pthread_mutex_lock(&server->lock);
    server->is_open = false;
    pthread_mutex_unlock(&server->lock);
    lws_context_destroy(server->context);
    server->context = NULL;
}

void dsmr_http_server_free(struct dsmr_http_server *server)
{
    if (server == NULL) {
        return;
    }
    dsmr_http_server_stop(server);
    if (server->context != NULL) {
        lws_context_destroy(server->context);
    }
    on_wake(server);
    DSMR_ASSERT(server->calls == 0);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
