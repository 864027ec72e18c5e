#include "avalanche/grpc_client.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct call {
    struct call *prev, *next; /* of those on their way */
    grpc_call *call;
    grpc_byte_buffer *answer;
    grpc_metadata_array initial, trailing;
    grpc_status_code status;
    grpc_slice details;
    dsmr_grpc_client_done_fn done;
    void *ctx;
};

struct dsmr_grpc_client {
    grpc_channel *channel;
    grpc_completion_queue *queue;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* of the two below */
    bool is_closing;      /* set by the owner only */
    struct call *calls;
};

/* ---- the end of a call ---- */

static enum dsmr_err err_of(const struct dsmr_grpc_client *client, grpc_status_code status)
{
    switch (status) {
    case GRPC_STATUS_OK:
        return DSMR_OK;
    case GRPC_STATUS_DEADLINE_EXCEEDED:
        return DSMR_ERR_TIMEOUT;
    case GRPC_STATUS_UNAVAILABLE:
        return DSMR_ERR_UNAVAILABLE;
    case GRPC_STATUS_CANCELLED:
        return client->is_closing ? DSMR_ERR_CLOSED : DSMR_ERR_MALFORMED;
    default:
        return DSMR_ERR_MALFORMED;
    }
}

static void tell(struct call *call, enum dsmr_err err)
{
    struct dsmr_grpc_answer answer = {.err = err, .reason = ""};
    char *reason = grpc_slice_to_c_string(call->details);
    grpc_byte_buffer_reader reader;
    grpc_slice slice = grpc_empty_slice();
    answer.reason = reason;
    if (err == DSMR_OK && call->answer != NULL &&
        grpc_byte_buffer_reader_init(&reader, call->answer)) {
        slice = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
        answer.bytes = GRPC_SLICE_START_PTR(slice);
        answer.len = GRPC_SLICE_LENGTH(slice);
    } else if (err == DSMR_OK) {
        answer.err = DSMR_ERR_MALFORMED;
        answer.reason = "the answer has no message";
    }
    call->done(call->ctx, &answer);
    grpc_slice_unref(slice);
    gpr_free(reason);
}

static void finish(struct dsmr_grpc_client *client, struct call *call)
{
    pthread_mutex_lock(&client->lock);
    enum dsmr_err err = err_of(client, call->status);
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        client->calls = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    pthread_mutex_unlock(&client->lock);
    tell(call, err);
    if (call->answer != NULL)
        grpc_byte_buffer_destroy(call->answer);
    grpc_metadata_array_destroy(&call->initial);
    grpc_metadata_array_destroy(&call->trailing);
    grpc_slice_unref(call->details);
    grpc_call_unref(call->call);
    free(call);
}

static void *run(void *ctx)
{
    struct dsmr_grpc_client *client = ctx;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(client->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (event.type == GRPC_OP_COMPLETE)
            finish(client, event.tag);
    }
}

/* ---- a call ---- */

static void start_batch(struct call *call, const uint8_t *bytes, size_t len)
{
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes, len);
    grpc_byte_buffer *body = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    grpc_op ops[6];
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = body;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &call->initial;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &call->answer;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &call->trailing;
    ops[5].data.recv_status_on_client.status = &call->status;
    ops[5].data.recv_status_on_client.status_details = &call->details;
    grpc_call_error error = grpc_call_start_batch(call->call, ops, 6, call, NULL);
    DSMR_ASSERT(error == GRPC_CALL_OK); /* the batch is the same each time */
    grpc_byte_buffer_destroy(body);
}

static void link_call(struct dsmr_grpc_client *client, struct call *call)
{
    call->next = client->calls;
    if (call->next != NULL)
        call->next->prev = call;
    client->calls = call;
}

void dsmr_grpc_client_start(struct dsmr_grpc_client *client, const char *method,
                            const uint8_t *bytes, size_t len, uint32_t timeout_ms,
                            dsmr_grpc_client_done_fn done, void *ctx)
{
    struct dsmr_grpc_answer none = {.err = DSMR_ERR_NO_MEMORY, .reason = "out of memory"};
    struct call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        done(ctx, &none);
        return;
    }
    call->done = done;
    call->ctx = ctx;
    call->details = grpc_empty_slice();
    grpc_metadata_array_init(&call->initial);
    grpc_metadata_array_init(&call->trailing);
    gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
    pthread_mutex_lock(&client->lock);
    bool is_closing = client->is_closing;
    if (!is_closing) {
        grpc_slice name = grpc_slice_from_copied_string(method);
        call->call = grpc_channel_create_call(client->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                              client->queue, name, NULL, deadline, NULL);
        grpc_slice_unref(name);
        link_call(client, call);
        start_batch(call, bytes, len);
    }
    pthread_mutex_unlock(&client->lock);
    if (is_closing) {
        free(call);
        none.err = DSMR_ERR_CLOSED;
        none.reason = "closed";
        done(ctx, &none);
    }
}

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_done;
    enum dsmr_err err;
    struct dsmr_buf *answer;
    char *reason;
};

static void on_done(void *ctx, const struct dsmr_grpc_answer *answer)
{
    struct waiting *waiting = ctx;
    pthread_mutex_lock(&waiting->lock);
    waiting->err = answer->err;
    snprintf(waiting->reason, DSMR_GRPC_CLIENT_REASON_BYTES, "%s", answer->reason);
    if (answer->err == DSMR_OK) {
        waiting->answer = dsmr_buf_new(answer->len);
        if (waiting->answer == NULL)
            waiting->err = DSMR_ERR_NO_MEMORY;
        else if (answer->len > 0)
            memcpy(waiting->answer->bytes, answer->bytes, answer->len);
    }
    waiting->is_done = true;
    pthread_cond_signal(&waiting->changed);
    pthread_mutex_unlock(&waiting->lock);
}

enum dsmr_err dsmr_grpc_client_call(struct dsmr_grpc_client *client, struct dsmr_buf **out,
                                    char reason[DSMR_GRPC_CLIENT_REASON_BYTES], const char *method,
                                    const uint8_t *bytes, size_t len, uint32_t timeout_ms)
{
    struct waiting waiting = {
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .reason = reason};
    dsmr_grpc_client_start(client, method, bytes, len, timeout_ms, on_done, &waiting);
    pthread_mutex_lock(&waiting.lock);
    while (!waiting.is_done)
        pthread_cond_wait(&waiting.changed, &waiting.lock);
    pthread_mutex_unlock(&waiting.lock);
    pthread_cond_destroy(&waiting.changed);
    pthread_mutex_destroy(&waiting.lock);
    *out = waiting.answer;
    return waiting.err;
}

/* ---- the client ---- */

enum dsmr_err dsmr_grpc_client_new(struct dsmr_grpc_client **out, const char *address,
                                   size_t bytes_max)
{
    struct dsmr_grpc_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return DSMR_ERR_NO_MEMORY;
    grpc_init();
    pthread_mutex_init(&client->lock, NULL);
    grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
         .value.integer = (int)bytes_max},
        {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ENABLE_HTTP_PROXY, .value.integer = 0},
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
         .value.integer = 1},
    };
    const grpc_channel_args channel_args = {sizeof args / sizeof args[0], args};
    grpc_channel_credentials *plain = grpc_insecure_credentials_create();
    client->channel = grpc_channel_create(address, plain, &channel_args);
    grpc_channel_credentials_release(plain);
    client->queue = grpc_completion_queue_create_for_next(NULL);
    client->has_thread = pthread_create(&client->thread, NULL, run, client) == 0;
    if (!client->has_thread) {
        dsmr_grpc_client_free(client);
        return DSMR_ERR_NO_MEMORY;
    }
    *out = client;
    return DSMR_OK;
}

void dsmr_grpc_client_close(struct dsmr_grpc_client *client)
{
    if (client == NULL || client->is_closing)
        return;
    pthread_mutex_lock(&client->lock);
    client->is_closing = true;
    for (struct call *call = client->calls; call != NULL; call = call->next)
        (void)grpc_call_cancel(call->call, NULL);
    pthread_mutex_unlock(&client->lock);
    grpc_completion_queue_shutdown(client->queue); /* ends when all calls have */
    if (client->has_thread)
        pthread_join(client->thread, NULL);
}

void dsmr_grpc_client_free(struct dsmr_grpc_client *client)
{
    if (client == NULL)
        return;
    dsmr_grpc_client_close(client);
    grpc_channel_destroy(client->channel);
    grpc_completion_queue_destroy(client->queue);
    pthread_mutex_destroy(&client->lock);
    free(client);
    grpc_shutdown();
}
