#define _GNU_SOURCE
#include "avalanche/grpc_server.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"

#define METHOD_BYTES_MAX 128u
/* AvalancheGo pings a silent connection every 30 s; nothing that pings within reason is cut off. */
#define PING_INTERVAL_MIN_MS 5000
#define LAST_WORDS_S 1 /* for answers that are on their way when the server stops */

/* What a completion is of. Each is a member of its call, whose address is the tag. */
enum step { STEP_ARRIVED, STEP_RECEIVED, STEP_CLOSED, STEP_SENT };
struct tag {
    enum step step;
    struct dsmr_grpc_call *call;
};

/* Lives until it was answered and both the answer and the peer's end have completed: one reference
 * for each of these three. */
struct dsmr_grpc_call {
    struct dsmr_grpc_server *server;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    grpc_byte_buffer *request;
    struct tag arrived, received, closed, sent;
    _Atomic uint32_t refs;
    atomic_bool is_answered;
    bool is_handled; /* the handler knows it */
    int is_cancelled;
    uint64_t serial;
    grpc_slice message; /* of a failure */
};

struct dsmr_grpc_server {
    struct dsmr_grpc_server_config config;
    grpc_server *server;
    grpc_completion_queue *queue;
    pthread_t thread;
    bool has_thread;
    struct dsmr_grpc_call *next; /* waits for the next request; the thread's */
    _Atomic uint32_t calls;      /* that the handler knows */
    _Atomic uint64_t serial;     /* of the newest call */
    atomic_bool is_stopping;
    pthread_mutex_t lock;  /* of these three: nothing may be started on a closed queue */
    pthread_cond_t silent; /* there are no answers on their way, or the queue is closed */
    bool is_closed;
    uint32_t sending; /* answers on their way */
    struct tag stopped;
    char address[DSMR_GRPC_SERVER_ADDRESS_BYTES];
};

/* ---- one call ---- */

static void call_unref(struct dsmr_grpc_call *call)
{
    if (atomic_fetch_sub(&call->refs, 1) > 1)
        return;
    if (call->call != NULL)
        grpc_call_unref(call->call);
    if (call->request != NULL)
        grpc_byte_buffer_destroy(call->request);
    grpc_call_details_destroy(&call->details);
    grpc_metadata_array_destroy(&call->metadata);
    grpc_slice_unref(call->message);
    free(call);
}

static struct dsmr_grpc_call *call_new(struct dsmr_grpc_server *server)
{
    struct dsmr_grpc_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        return NULL;
    call->server = server;
    grpc_call_details_init(&call->details);
    grpc_metadata_array_init(&call->metadata);
    call->arrived = (struct tag){STEP_ARRIVED, call};
    call->received = (struct tag){STEP_RECEIVED, call};
    call->closed = (struct tag){STEP_CLOSED, call};
    call->sent = (struct tag){STEP_SENT, call};
    call->message = grpc_empty_slice();
    call->serial = atomic_fetch_add(&server->serial, 1) + 1;
    atomic_init(&call->refs, 1);
    return call;
}

static void accept_next(struct dsmr_grpc_server *server)
{
    struct dsmr_grpc_call *call = call_new(server);
    if (call == NULL)
        return; /* the next completion tries again */
    if (grpc_server_request_call(server->server, &call->call, &call->details, &call->metadata,
                                 server->queue, server->queue, &call->arrived) != GRPC_CALL_OK) {
        call_unref(call);
        return;
    }
    server->next = call;
}

static bool start(struct dsmr_grpc_call *call, const grpc_op *ops, size_t count, struct tag *tag)
{
    struct dsmr_grpc_server *server = call->server;
    atomic_fetch_add(&call->refs, 1);
    pthread_mutex_lock(&server->lock);
    bool is_started = !server->is_closed &&
                      grpc_call_start_batch(call->call, ops, count, tag, NULL) == GRPC_CALL_OK;
    server->sending += is_started && tag->step == STEP_SENT ? 1u : 0u;
    pthread_mutex_unlock(&server->lock);
    if (!is_started)
        call_unref(call);
    return is_started;
}

static void answer(struct dsmr_grpc_call *call, const uint8_t *bytes, size_t len, int status,
                   const char *message)
{
    DSMR_ASSERT(!atomic_exchange(&call->is_answered, true));
    grpc_op ops[3];
    size_t count = 0;
    memset(ops, 0, sizeof ops);
    ops[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
    grpc_byte_buffer *body = NULL;
    if (status == GRPC_STATUS_OK) {
        grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes, len);
        body = grpc_raw_byte_buffer_create(&slice, 1);
        grpc_slice_unref(slice);
        ops[count].op = GRPC_OP_SEND_MESSAGE;
        ops[count++].data.send_message.send_message = body;
    } else {
        call->message = grpc_slice_from_copied_string(message);
        ops[count].data.send_status_from_server.status_details = &call->message;
    }
    ops[count].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[count++].data.send_status_from_server.status = (grpc_status_code)status;
    (void)start(call, ops, count, &call->sent); /* fails only after the server has ended */
    if (body != NULL)
        grpc_byte_buffer_destroy(body);
    if (call->is_handled)
        atomic_fetch_sub(&call->server->calls, 1);
    call_unref(call);
}

void dsmr_grpc_server_reply(struct dsmr_grpc_call *call, const uint8_t *bytes, size_t len)
{
    answer(call, bytes, len, GRPC_STATUS_OK, NULL);
}

void dsmr_grpc_server_fail(struct dsmr_grpc_call *call, int status, const char *message)
{
    DSMR_ASSERT(status != GRPC_STATUS_OK);
    answer(call, NULL, 0, status, message);
}

uint64_t dsmr_grpc_server_serial(const struct dsmr_grpc_call *call)
{
    return call->serial;
}

/* ---- the thread ---- */

/* Its reference is the one that the answer gives back. */
static void on_arrived(struct dsmr_grpc_call *call)
{
    grpc_op op;
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    op.data.recv_close_on_server.cancelled = &call->is_cancelled;
    (void)start(call, &op, 1, &call->closed);
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_RECV_MESSAGE;
    op.data.recv_message.recv_message = &call->request;
    if (!start(call, &op, 1, &call->received))
        answer(call, NULL, 0, DSMR_GRPC_INTERNAL, "the request cannot be read");
}

static void handle(struct dsmr_grpc_call *call, const uint8_t *bytes, size_t len)
{
    struct dsmr_grpc_server *server = call->server;
    char method[METHOD_BYTES_MAX];
    size_t method_len = GRPC_SLICE_LENGTH(call->details.method);
    if (method_len >= sizeof method) {
        answer(call, NULL, 0, DSMR_GRPC_UNIMPLEMENTED, "there is no such method");
        return;
    }
    memcpy(method, GRPC_SLICE_START_PTR(call->details.method), method_len);
    method[method_len] = '\0';
    if (atomic_load(&server->calls) >= server->config.calls_max) {
        answer(call, NULL, 0, DSMR_GRPC_RESOURCE_EXHAUSTED, "too many calls at once");
        return;
    }
    atomic_fetch_add(&server->calls, 1);
    call->is_handled = true;
    server->config.handle(server->config.ctx, call, method, bytes, len);
}

static void on_received(struct dsmr_grpc_call *call)
{
    grpc_byte_buffer_reader reader;
    if (call->request == NULL || !grpc_byte_buffer_reader_init(&reader, call->request)) {
        answer(call, NULL, 0, DSMR_GRPC_INTERNAL, "there is no request");
        return;
    }
    grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);
    handle(call, GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice));
    grpc_slice_unref(slice);
    grpc_byte_buffer_reader_destroy(&reader);
}

static void on_closed(struct dsmr_grpc_call *call)
{
    const struct dsmr_grpc_server_config *config = &call->server->config;
    if (call->is_cancelled && call->is_handled && !atomic_load(&call->is_answered) &&
        config->cancelled != NULL)
        config->cancelled(config->ctx, call);
}

static void on_sent(struct dsmr_grpc_server *server)
{
    pthread_mutex_lock(&server->lock);
    if (--server->sending == 0)
        pthread_cond_signal(&server->silent);
    pthread_mutex_unlock(&server->lock);
}

static void on_event(struct dsmr_grpc_server *server, const struct tag *tag, bool is_ok)
{
    struct dsmr_grpc_call *call = tag->call;
    switch (tag->step) {
    case STEP_ARRIVED:
        if (server->next == call)
            server->next = NULL;
        if (is_ok)
            on_arrived(call);
        else /* the server ends */
            call_unref(call);
        return;
    case STEP_RECEIVED:
        on_received(call);
        break;
    case STEP_CLOSED:
        on_closed(call);
        break;
    case STEP_SENT:
        on_sent(server);
        break;
    }
    call_unref(call);
}

static void close_queue(struct dsmr_grpc_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->is_closed = true;
    pthread_cond_signal(&server->silent);
    pthread_mutex_unlock(&server->lock);
    grpc_completion_queue_shutdown(server->queue);
}

static void *run(void *ctx)
{
    struct dsmr_grpc_server *server = ctx;
    for (;;) {
        if (server->next == NULL && !atomic_load(&server->is_stopping))
            accept_next(server);
        grpc_event event =
            grpc_completion_queue_next(server->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (event.tag == &server->stopped)
            close_queue(server);
        else if (event.type == GRPC_OP_COMPLETE)
            on_event(server, event.tag, event.success != 0);
    }
}

/* ---- start and stop ---- */

static bool listen_on(struct dsmr_grpc_server *server)
{
    grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
         .value.integer = (int)server->config.bytes_max},
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
         .value.integer = PING_INTERVAL_MIN_MS},
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS,
         .value.integer = 1},
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_HTTP2_MAX_PING_STRIKES,
         .value.integer = 0},
    };
    const grpc_channel_args channel_args = {sizeof args / sizeof args[0], args};
    server->server = grpc_server_create(&channel_args, NULL);
    server->queue = grpc_completion_queue_create_for_next(NULL);
    if (server->server == NULL || server->queue == NULL)
        return false;
    grpc_server_register_completion_queue(server->server, server->queue, NULL);
    grpc_server_credentials *plain = grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(server->server, "127.0.0.1:0", plain);
    grpc_server_credentials_release(plain);
    snprintf(server->address, sizeof server->address, "127.0.0.1:%d", port);
    if (port == 0)
        return false;
    grpc_server_start(server->server);
    return true;
}

enum dsmr_err dsmr_grpc_server_start(struct dsmr_grpc_server **out,
                                     const struct dsmr_grpc_server_config *config)
{
    struct dsmr_grpc_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return DSMR_ERR_NO_MEMORY;
    grpc_init();
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&server->silent, &attr);
    pthread_condattr_destroy(&attr);
    server->config = *config;
    server->stopped = (struct tag){STEP_SENT, NULL};
    bool is_open = listen_on(server);
    server->has_thread = is_open && pthread_create(&server->thread, NULL, run, server) == 0;
    if (!server->has_thread) {
        dsmr_grpc_server_free(server);
        return is_open ? DSMR_ERR_NO_MEMORY : DSMR_ERR_UNAVAILABLE;
    }
    *out = server;
    return DSMR_OK;
}

const char *dsmr_grpc_server_address(const struct dsmr_grpc_server *server)
{
    return server->address;
}

/* An answer that was given last shall not be lost; who does not take it does not hold us. To cancel
 * all calls, as one has to that are held, is to close the connections: a socket that is closed with
 * something unread resets, and what it had sent may be gone. So with none held, they end first. */
static void wait_for_silence(struct dsmr_grpc_server *server)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LAST_WORDS_S;
    pthread_mutex_lock(&server->lock);
    while ((server->sending > 0 || (!server->is_closed && atomic_load(&server->calls) == 0)) &&
           rc == 0)
        rc = pthread_cond_timedwait(&server->silent, &server->lock, &until);
    pthread_mutex_unlock(&server->lock);
}

void dsmr_grpc_server_stop(struct dsmr_grpc_server *server)
{
    if (!server->has_thread)
        return;
    atomic_store(&server->is_stopping, true);
    grpc_server_shutdown_and_notify(server->server, server->queue, &server->stopped);
    wait_for_silence(server);
    grpc_server_cancel_all_calls(server->server);
    pthread_join(server->thread, NULL);
    server->has_thread = false;
}

void dsmr_grpc_server_free(struct dsmr_grpc_server *server)
{
    if (server == NULL)
        return;
    dsmr_grpc_server_stop(server);
    DSMR_ASSERT(atomic_load(&server->calls) == 0);
    if (server->server != NULL)
        grpc_server_destroy(server->server);
    if (server->queue != NULL)
        grpc_completion_queue_destroy(server->queue);
    pthread_cond_destroy(&server->silent);
    pthread_mutex_destroy(&server->lock);
    free(server);
    grpc_shutdown();
}
