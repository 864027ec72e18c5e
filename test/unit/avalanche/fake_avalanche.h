/* fake_avalanche.h - what AvalancheGo serves to a plugin, played by the test over real gRPC.
 *
 * Calls are kept in the order in which they came; answers are what the test has put there. The
 * inbox is a list that the test empties by hand: everything of the logic thread runs in the test's.
 * Waiting is on a condition, never by sleeping. */
#ifndef DSMR_TEST_FAKE_AVALANCHE_H
#define DSMR_TEST_FAKE_AVALANCHE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "avalanche/grpc_client.h"
#include "avalanche/grpc_server.h"
#include "avalanche/pb.h"
#include "base/bytes.h"
#include "ports/clock.h"
#include "ports/net.h"
#include "ports/task.h"
#include "ports/work.h"

#define UNUSED __attribute__((unused))
#define FAKE_CALLS_MAX 4096

struct fake_call {
    char method[64];
    struct dsmr_buf *bytes;
};
struct fake {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct dsmr_grpc_server *server;
    struct dsmr_grpc_client *client; /* connected to it */
    struct fake_call calls[FAKE_CALLS_MAX];
    size_t calls_count, calls_read;
    struct dsmr_buf *answer; /* to every call; NULL: empty */
    const char *failure;     /* instead of it */
    bool is_silent;          /* it keeps the next call, until free */
    struct dsmr_grpc_call *kept;
    struct dsmr_task *first, **end;
    uint64_t now_ms;
};

/* Of a net whose messages are of no interest. */
static UNUSED void fake_ignore_message(void *owner, const struct dsmr_node_id *from,
                                       struct dsmr_buf *bytes)
{
    (void)owner;
    (void)from;
    (void)bytes;
}
static UNUSED void fake_ignore_peer(void *owner, const struct dsmr_node_id *peer, bool is_up)
{
    (void)owner;
    (void)peer;
    (void)is_up;
}
static UNUSED const struct dsmr_net_handler fake_ignores = {.message = fake_ignore_message,
                                                            .peer = fake_ignore_peer};

static UNUSED void fake_handle(void *ctx, struct dsmr_grpc_call *call, const char *method,
                               const uint8_t *bytes, size_t len)
{
    struct fake *fake = ctx;
    pthread_mutex_lock(&fake->lock);
    assert_true(fake->calls_count < FAKE_CALLS_MAX);
    struct fake_call *noted = &fake->calls[fake->calls_count++];
    snprintf(noted->method, sizeof noted->method, "%s", method);
    noted->bytes = dsmr_buf_copy(bytes, len);
    struct dsmr_buf *answer = dsmr_buf_ref(fake->answer);
    const char *failure = fake->failure;
    bool is_kept = fake->is_silent && fake->kept == NULL;
    fake->kept = is_kept ? call : fake->kept;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
    if (!is_kept && failure != NULL)
        dsmr_grpc_server_fail(call, DSMR_GRPC_UNKNOWN, failure);
    else if (!is_kept)
        dsmr_grpc_server_reply(call, answer != NULL ? answer->bytes : NULL,
                               answer != NULL ? answer->len : 0);
    dsmr_buf_unref(answer);
}

static UNUSED void fake_put(struct fake *fake, struct dsmr_task *task)
{
    pthread_mutex_lock(&fake->lock);
    task->next = NULL;
    *fake->end = task;
    fake->end = &task->next;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
}

static UNUSED bool fake_offer(void *self, struct dsmr_task *task)
{
    fake_put(self, task);
    return true;
}

static UNUSED void fake_complete(void *self, struct dsmr_task *task)
{
    fake_put(self, task);
}

static UNUSED struct dsmr_inbox fake_inbox(struct fake *fake)
{
    static const struct dsmr_inbox_ops ops = {fake_offer, fake_complete};
    return (struct dsmr_inbox){fake, &ops};
}

/* Work is done at once, on whatever thread asks for it. */
static UNUSED void fake_submit(void *self, enum dsmr_work_lane lane, struct dsmr_task *task)
{
    (void)lane;
    task->run(task);
    fake_put(self, task);
}

static UNUSED struct dsmr_work fake_work(struct fake *fake)
{
    static const struct dsmr_work_ops ops = {.submit = fake_submit};
    return (struct dsmr_work){fake, &ops};
}

static UNUSED uint64_t fake_now(void *self)
{
    return ((struct fake *)self)->now_ms;
}

static UNUSED struct dsmr_clock fake_clock(struct fake *fake)
{
    static const struct dsmr_clock_ops ops = {fake_now, fake_now};
    return (struct dsmr_clock){fake, &ops};
}

/* Runs the tasks that are there; returns how many. */
static UNUSED size_t fake_run(struct fake *fake)
{
    size_t count = 0;
    for (;;) {
        pthread_mutex_lock(&fake->lock);
        struct dsmr_task *task = fake->first;
        if (task != NULL) {
            fake->first = task->next;
            if (fake->first == NULL)
                fake->end = &fake->first;
        }
        pthread_mutex_unlock(&fake->lock);
        if (task == NULL)
            return count;
        task->done(task, NULL);
        count++;
    }
}

/* Waits for at least one task. */
static UNUSED void fake_await(struct fake *fake)
{
    pthread_mutex_lock(&fake->lock);
    while (fake->first == NULL)
        pthread_cond_wait(&fake->changed, &fake->lock);
    pthread_mutex_unlock(&fake->lock);
}

/* Waits for a task and runs that one only: what it asks for may be answered before it returns. */
static UNUSED void fake_step(struct fake *fake)
{
    fake_await(fake);
    pthread_mutex_lock(&fake->lock);
    struct dsmr_task *task = fake->first;
    fake->first = task->next;
    if (fake->first == NULL)
        fake->end = &fake->first;
    pthread_mutex_unlock(&fake->lock);
    task->done(task, NULL);
}

/* Waits for at least one task and runs what is there. */
static UNUSED void fake_run_one(struct fake *fake)
{
    fake_await(fake);
    (void)fake_run(fake);
}

/* The next call that the test has not read; waits for it. Valid until free. */
static UNUSED const struct fake_call *fake_next_call(struct fake *fake)
{
    pthread_mutex_lock(&fake->lock);
    while (fake->calls_read == fake->calls_count)
        pthread_cond_wait(&fake->changed, &fake->lock);
    const struct fake_call *call = &fake->calls[fake->calls_read++];
    pthread_mutex_unlock(&fake->lock);
    return call;
}

static UNUSED size_t fake_unread(struct fake *fake)
{
    pthread_mutex_lock(&fake->lock);
    size_t unread = fake->calls_count - fake->calls_read;
    pthread_mutex_unlock(&fake->lock);
    return unread;
}

static UNUSED void fake_answer(struct fake *fake, const ProtobufCMessage *message)
{
    pthread_mutex_lock(&fake->lock);
    dsmr_buf_unref(fake->answer);
    fake->answer = message != NULL ? dsmr_pb_bytes(message) : NULL;
    pthread_mutex_unlock(&fake->lock);
}

static UNUSED struct fake *fake_new(void)
{
    struct fake *fake = calloc(1, sizeof *fake);
    assert_non_null(fake);
    pthread_mutex_init(&fake->lock, NULL);
    pthread_cond_init(&fake->changed, NULL);
    fake->end = &fake->first;
    fake->now_ms = 1000000;
    const struct dsmr_grpc_server_config config = {
        .handle = fake_handle, .ctx = fake, .bytes_max = 16u << 20, .calls_max = 1024};
    assert_int_equal(dsmr_grpc_server_start(&fake->server, &config), DSMR_OK);
    assert_int_equal(
        dsmr_grpc_client_new(&fake->client, dsmr_grpc_server_address(fake->server), 16u << 20),
        DSMR_OK);
    return fake;
}

/* Closes the client, so that nothing comes any more; before what its answers are for is freed. What
 * hears here that a call is lost may still start another one, so the client itself is freed last.
 */
static UNUSED void fake_hang_up(struct fake *fake)
{
    dsmr_grpc_client_close(fake->client);
    (void)fake_run(fake);
}

static UNUSED void fake_free(struct fake *fake)
{
    fake_hang_up(fake);
    if (fake->kept != NULL)
        dsmr_grpc_server_reply(fake->kept, NULL, 0);
    dsmr_grpc_client_free(fake->client);
    dsmr_grpc_server_free(fake->server);
    for (size_t i = 0; i < fake->calls_count; i++)
        dsmr_buf_unref(fake->calls[i].bytes);
    dsmr_buf_unref(fake->answer);
    pthread_cond_destroy(&fake->changed);
    pthread_mutex_destroy(&fake->lock);
    free(fake);
}

static UNUSED struct dsmr_node_id fake_id(uint8_t number)
{
    struct dsmr_node_id id;
    memset(id.bytes, number, sizeof id.bytes);
    return id;
}

#endif
