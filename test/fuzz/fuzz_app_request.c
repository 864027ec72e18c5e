/* fuzz_app_request.c - what a peer may put into an AppRequest: messages, announcements, signature
 * requests, anything. The first byte chooses how the peer stands; AvalancheGo's end is a stub.
 *
 * Checks: each request ends in one answer; messages are those of validators; what is allocated is
 *         at most twice what came, the answer, and the address book where it changes. */
#include <stdlib.h>
#include <string.h>

#include "avalanche/acp118.h"
#include "avalanche/app_net.h"
#include "avalanche/direct_net.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "fuzz/allocated.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANSWER_BYTES = 256, BOOK_BYTES = 20 * DSMR_APP_NET_PEERS_MAX };

/* ---- AvalancheGo ---- */

static uint32_t answers;
void dsmr_grpc_client_start(struct dsmr_grpc_client *client, const char *method,
                            const uint8_t *bytes, size_t len, uint32_t timeout_ms,
                            dsmr_grpc_client_done_fn done, void *ctx)
{
    const struct dsmr_grpc_answer answer = {.err = DSMR_OK, .reason = ""};
    (void)client;
    (void)method;
    (void)bytes;
    (void)len;
    (void)timeout_ms;
    answers++;
    done(ctx, &answer);
}

/* ---- the node ---- */

static size_t messages_bytes;
static void on_message(void *owner, const struct dsmr_node_id *from, struct dsmr_buf *bytes)
{
    (void)owner;
    (void)from;
    DSMR_ASSERT(bytes->len > 0);
    messages_bytes += bytes->len;
}
static void on_peer(void *owner, const struct dsmr_node_id *peer, bool is_up)
{
    (void)owner;
    (void)peer;
    (void)is_up;
}
static const struct dsmr_net_handler handler = {.message = on_message, .peer = on_peer};

bool dsmr_driver_has_shared(const struct dsmr_driver *driver, struct dsmr_bls_sig *share,
                            const struct dsmr_reference *ref)
{
    (void)driver;
    (void)share;
    (void)ref;
    return false;
}

static bool sign(void *ctx, uint8_t out[64], const void *message, size_t len)
{
    (void)ctx;
    (void)message;
    (void)len;
    memset(out, 0, 64);
    return true;
}
static bool set_address(void *ctx, const struct dsmr_node_id *id, const char *host, uint16_t port)
{
    (void)ctx;
    (void)id;
    DSMR_ASSERT(strlen(host) > 0 && strlen(host) <= DSMR_DIRECT_NET_HOST_BYTES_MAX && port != 0);
    return true;
}
static void forget_address(void *ctx, const struct dsmr_node_id *transport_id)
{
    (void)ctx;
    (void)transport_id;
}

static enum dsmr_err transport_send(void *self, const struct dsmr_node_id *to,
                                    enum dsmr_msg_class cls, struct dsmr_buf *head,
                                    struct dsmr_buf *owner, const uint8_t *body, uint32_t body_len)
{
    (void)self;
    (void)to;
    (void)cls;
    (void)head;
    (void)owner;
    (void)body;
    (void)body_len;
    return DSMR_OK;
}
static void transport_set_peers(void *self, const struct dsmr_node_id *peers, uint32_t count)
{
    (void)self;
    (void)peers;
    (void)count;
}
static void transport_drop(void *self, const struct dsmr_node_id *peer, enum dsmr_err why)
{
    (void)self;
    (void)peer;
    (void)why;
}
static const struct dsmr_net_ops transport_ops = {transport_send, transport_set_peers,
                                                  transport_drop};

static struct dsmr_app_net *app_net;
static struct dsmr_direct_net *direct_net;
static struct dsmr_acp118 acp118;
static struct dsmr_metrics metrics;

static void on_other(void *ctx, const struct dsmr_node_id *from, uint32_t request_id,
                     uint64_t number, const uint8_t *bytes, size_t len)
{
    (void)ctx;
    if (number == DSMR_DIRECT_NET_HANDLER)
        dsmr_direct_net_on_request(direct_net, from, request_id, bytes, len);
    else if (number == DSMR_ACP118_HANDLER)
        dsmr_acp118_answer(&acp118, from, request_id, bytes, len);
    else
        dsmr_app_net_refuse(app_net, from, request_id, DSMR_APP_NET_UNREGISTERED, "");
}

static uint64_t now(void *self)
{
    (void)self;
    return 1000;
}
static const struct dsmr_clock_ops clock_ops = {now, now};

static bool offer(void *self, struct dsmr_task *task)
{
    (void)self;
    task->done(task, NULL);
    return true;
}
static void complete(void *self, struct dsmr_task *task)
{
    (void)self;
    task->done(task, NULL);
}
static const struct dsmr_inbox_ops inbox_ops = {offer, complete};

static const struct dsmr_node_id validator = {{7}}, stranger = {{8}};

static void open_all(void)
{
    struct dsmr_app_net_config config;
    dsmr_app_net_config_default(&config);
    config.inbox.ops = &inbox_ops;
    config.clock.ops = &clock_ops;
    config.metrics = &metrics;
    config.handler = &handler;
    config.other = on_other;
    app_net = dsmr_app_net_new(&config);
    const struct dsmr_direct_net_config direct = {.app_net = app_net,
                                                  .handler = &handler,
                                                  .clock.ops = &clock_ops,
                                                  .metrics = &metrics,
                                                  .host = "h",
                                                  .sign = sign,
                                                  .set_address = set_address,
                                                  .forget_address = forget_address};
    direct_net = dsmr_direct_net_new(&direct);
    DSMR_ASSERT(app_net != NULL && direct_net != NULL);
    const struct dsmr_net transport = {NULL, &transport_ops};
    dsmr_direct_net_attach(direct_net, &transport, 1, NULL);
    dsmr_app_net_attach(app_net, NULL);
    acp118.net = app_net;
    struct dsmr_net port = dsmr_direct_net_port(direct_net);
    port.ops->set_peers(port.self, &validator, 1);
    dsmr_app_net_connected(app_net, &validator, true);
    dsmr_app_net_connected(app_net, &stranger, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (app_net == NULL)
        open_all();
    if (size < 1)
        return 0;
    bool is_stranger = (data[0] & 1) != 0;
    messages_bytes = 0;
    answers = 0;
    allocated_begin();
    dsmr_app_net_on_request(app_net, is_stranger ? &stranger : &validator, 3, data + 1, size - 1);
    bool is_announcement = size > 1 && data[1] == DSMR_DIRECT_NET_HANDLER;
    DSMR_ASSERT(allocated_bytes() <=
                2 * size + ANSWER_BYTES + (is_announcement ? (size_t)BOOK_BYTES : 0));
    DSMR_ASSERT(answers == 1); /* each request ends in one answer */
    DSMR_ASSERT(messages_bytes < size);
    DSMR_ASSERT(!is_stranger || messages_bytes == 0);
    return 0;
}
