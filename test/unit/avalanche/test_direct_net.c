/* test_direct_net.c - who is who on the direct data plane: announcements are believed only if
 * AvalancheGo's NodeID and the TLS key vouch for each other. The transport is played by the test.
 */
#include "avalanche/direct_net.h"
#include "crypto/ed25519.h"
#include "crypto/hash.h"
#include "unit/avalanche/fake_avalanche.h"

struct node {
    struct fake *fake;
    struct dsmr_metrics metrics;
    struct dsmr_app_net *app_net;
    struct dsmr_direct_net *direct;
    struct dsmr_net port;
    struct dsmr_ed25519_secret_key key;
    struct dsmr_node_id id, transport_id;
    /* the transport: */
    struct dsmr_node_id book, served[8], sent_to, dropped;
    char host[256];
    uint16_t book_port;
    uint32_t books, forgotten, served_count, sent;
    /* the handler: */
    struct dsmr_node_id from, peer;
    uint32_t messages, ups, downs;
};

static void on_message(void *owner, const struct dsmr_node_id *from, struct dsmr_buf *bytes)
{
    struct node *node = owner;
    (void)bytes;
    node->messages++;
    node->from = *from;
}
static void on_peer(void *owner, const struct dsmr_node_id *peer, bool is_up)
{
    struct node *node = owner;
    node->peer = *peer;
    if (is_up)
        node->ups++;
    else
        node->downs++;
}
static const struct dsmr_net_handler handler = {.message = on_message, .peer = on_peer};

static bool sign(void *ctx, uint8_t out[64], const void *message, size_t len)
{
    struct node *node = ctx;
    struct dsmr_ed25519_sig sig;
    dsmr_ed25519_sign(&sig, &node->key, message, len);
    memcpy(out, sig.bytes, 64);
    return true;
}

static bool set_address(void *ctx, const struct dsmr_node_id *transport_id, const char *host,
                        uint16_t port)
{
    struct node *node = ctx;
    node->book = *transport_id;
    node->book_port = port;
    node->books++;
    snprintf(node->host, sizeof node->host, "%s", host);
    return true;
}

static void forget_address(void *ctx, const struct dsmr_node_id *transport_id)
{
    struct node *node = ctx;
    (void)transport_id;
    node->forgotten++;
}

static enum dsmr_err transport_send(void *self, const struct dsmr_node_id *to,
                                    enum dsmr_msg_class cls, struct dsmr_buf *head,
                                    struct dsmr_buf *owner, const uint8_t *body, uint32_t body_len)
{
    struct node *node = self;
    (void)cls;
    (void)head;
    (void)owner;
    (void)body;
    (void)body_len;
    node->sent++;
    node->sent_to = *to;
    return DSMR_OK;
}
static void transport_set_peers(void *self, const struct dsmr_node_id *peers, uint32_t count)
{
    struct node *node = self;
    assert_true(count <= 8);
    memcpy(node->served, peers, count * sizeof *peers);
    node->served_count = count;
}
static void transport_drop(void *self, const struct dsmr_node_id *peer, enum dsmr_err why)
{
    (void)why;
    ((struct node *)self)->dropped = *peer;
}

static void other(void *ctx, const struct dsmr_node_id *from, uint32_t request_id, uint64_t number,
                  const uint8_t *bytes, size_t len)
{
    struct node *node = ctx;
    assert_int_equal(number, DSMR_DIRECT_NET_HANDLER);
    dsmr_direct_net_on_request(node->direct, from, request_id, bytes, len);
}

static struct dsmr_domain domain_of(uint8_t chain)
{
    struct dsmr_domain domain = {.network_id = 5};
    memset(domain.chain_id.bytes, chain, 32);
    return domain;
}

static void open_keyed(struct node *node, uint8_t number, uint8_t chain, uint8_t key)
{
    static const struct dsmr_net_ops ops = {
        .send = transport_send, .set_peers = transport_set_peers, .drop = transport_drop};
    memset(node, 0, sizeof *node);
    node->fake = fake_new();
    node->id = fake_id(number);
    memset(node->key.bytes, key, 32);
    struct dsmr_app_net_config beside;
    dsmr_app_net_config_default(&beside);
    beside.node = node->fake->client;
    beside.inbox = fake_inbox(node->fake);
    beside.clock = fake_clock(node->fake);
    beside.metrics = &node->metrics;
    beside.handler = &fake_ignores;
    beside.self_id = node->id;
    beside.other = other;
    beside.ctx = node;
    node->app_net = dsmr_app_net_new(&beside);
    struct dsmr_direct_net_config config = {.app_net = node->app_net,
                                            .handler = &handler,
                                            .clock = fake_clock(node->fake),
                                            .metrics = &node->metrics,
                                            .domain = domain_of(chain),
                                            .self_id = node->id,
                                            .host = "10.1.2.3",
                                            .sign = sign,
                                            .set_address = set_address,
                                            .forget_address = forget_address,
                                            .ctx = node};
    struct dsmr_ed25519_public_key public;
    dsmr_ed25519_public(&public, &node->key);
    memcpy(config.key, public.bytes, 32);
    /* Independent of the code: the id of a key as docs/transport.md says. */
    static const uint8_t head[12] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                     0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    uint8_t spki[44];
    struct dsmr_id hash;
    memcpy(spki, head, 12);
    memcpy(spki + 12, public.bytes, 32);
    dsmr_hash(&hash, spki, sizeof spki);
    memcpy(node->transport_id.bytes, hash.bytes, 20);
    node->direct = dsmr_direct_net_new(&config);
    assert_non_null(node->direct);
    const struct dsmr_net transport = {node, &ops};
    dsmr_direct_net_attach(node->direct, &transport, (uint16_t)(4000 + number), node);
    node->port = dsmr_direct_net_port(node->direct);
}

static void open_node(struct node *node, uint8_t number, uint8_t chain)
{
    open_keyed(node, number, chain, (uint8_t)(number + 100u));
}

static void close_node(struct node *node)
{
    fake_hang_up(node->fake);
    dsmr_direct_net_free(node->direct);
    dsmr_app_net_free(node->app_net);
    fake_free(node->fake);
}

static void serve(struct node *node, const struct node *peer)
{
    node->port.ops->set_peers(node->port.self, &peer->id, 1);
    dsmr_app_net_connected(node->app_net, &peer->id, true);
    (void)fake_run(node->fake);
}

/* The announcement that node sends now. */
static struct dsmr_buf *take_announcement(struct node *node)
{
    dsmr_direct_net_tick(node->direct);
    const struct fake_call *call = fake_next_call(node->fake);
    while (strcmp(call->method, "/appsender.AppSender/SendAppResponse") == 0)
        call = fake_next_call(node->fake); /* to announcements of others */
    assert_string_equal(call->method, "/appsender.AppSender/SendAppRequest");
    Dsmr__Pb__SendAppRequestMsg *message =
        dsmr__pb__send_app_request_msg__unpack(NULL, call->bytes->len, call->bytes->bytes);
    struct dsmr_buf *bytes = dsmr_buf_copy(message->request.data, message->request.len);
    dsmr__pb__send_app_request_msg__free_unpacked(message, NULL);
    return bytes;
}

static void give(struct node *node, const struct dsmr_node_id *from, const struct dsmr_buf *bytes)
{
    dsmr_app_net_on_request(node->app_net, from, 1, bytes->bytes, bytes->len);
}

static void test_two_nodes_find_each_other(void **state)
{
    struct node a, b;
    (void)state;
    open_node(&a, 2, 9);
    open_node(&b, 3, 9);
    serve(&a, &b);
    serve(&b, &a);
    assert_int_equal(b.served_count, 0);
    struct dsmr_buf *bytes = take_announcement(&a);
    give(&b, &a.id, bytes);
    assert_int_equal(b.books, 1);
    assert_memory_equal(b.book.bytes, a.transport_id.bytes, 20);
    assert_string_equal(b.host, "10.1.2.3");
    assert_int_equal(b.book_port, 4002);
    assert_int_equal(b.served_count, 1);
    assert_memory_equal(b.served[0].bytes, a.transport_id.bytes, 20);
    assert_string_equal(fake_next_call(b.fake)->method, "/appsender.AppSender/SendAppResponse");
    /* The transport speaks of keys; the node hears of NodeIDs. */
    const struct dsmr_net_handler *in = dsmr_direct_net_handler(b.direct);
    struct dsmr_buf *message = dsmr_buf_copy("x", 1);
    in->peer(in->self, &a.transport_id, true);
    in->message(in->self, &a.transport_id, message);
    assert_int_equal(b.ups, 1);
    assert_memory_equal(b.peer.bytes, a.id.bytes, 20);
    assert_int_equal(b.messages, 1);
    assert_memory_equal(b.from.bytes, a.id.bytes, 20);
    in->message(in->self, &b.transport_id, message); /* a key that nobody announced */
    assert_int_equal(b.messages, 1);
    assert_int_equal(
        b.port.ops->send(b.port.self, &a.id, DSMR_MSG_CLASS_VOTE, message, NULL, NULL, 0), DSMR_OK);
    assert_memory_equal(b.sent_to.bytes, a.transport_id.bytes, 20);
    assert_int_equal(
        a.port.ops->send(a.port.self, &b.id, DSMR_MSG_CLASS_VOTE, message, NULL, NULL, 0),
        DSMR_ERR_UNKNOWN); /* it has not heard of b yet */
    b.port.ops->drop(b.port.self, &a.id, DSMR_ERR_MALFORMED);
    assert_memory_equal(b.dropped.bytes, a.transport_id.bytes, 20);
    dsmr_buf_unref(message);
    dsmr_buf_unref(bytes);
    close_node(&a);
    close_node(&b);
}

static void expect_refused(struct node *node, const struct dsmr_node_id *from,
                           const struct dsmr_buf *bytes)
{
    uint32_t books = node->books;
    give(node, from, bytes);
    assert_int_equal(node->books, books);
    assert_string_equal(fake_next_call(node->fake)->method, "/appsender.AppSender/SendAppError");
}

static void test_forged_announcements(void **state)
{
    struct node a, b, c, elsewhere;
    (void)state;
    open_node(&a, 2, 9);
    open_node(&b, 3, 9);
    open_node(&c, 4, 9);
    open_node(&elsewhere, 2, 8); /* the same node on another chain */
    serve(&a, &b);
    serve(&elsewhere, &b);
    struct dsmr_node_id both[2] = {a.id, c.id};
    b.port.ops->set_peers(b.port.self, both, 2);
    struct dsmr_buf *bytes = take_announcement(&a);
    expect_refused(&b, &c.id, bytes); /* c says that a's key is its own */
    struct dsmr_node_id stranger = fake_id(99);
    expect_refused(&b, &stranger, bytes);
    struct dsmr_buf *other_chain = take_announcement(&elsewhere);
    expect_refused(&b, &a.id, other_chain);
    for (size_t bit = 8; bit < (size_t)bytes->len * 8u;
         bit++) { /* the handler's number is not b's */
        struct dsmr_buf *changed = dsmr_buf_copy(bytes->bytes, bytes->len);
        changed->bytes[bit / 8u] ^= (uint8_t)(1u << bit % 8u);
        expect_refused(&b, &a.id, changed);
        dsmr_buf_unref(changed);
    }
    for (size_t len = 1; len < bytes->len; len++) {
        struct dsmr_buf *cut = dsmr_buf_copy(bytes->bytes, len);
        expect_refused(&b, &a.id, cut);
        dsmr_buf_unref(cut);
    }
    assert_int_equal(b.books, 0);
    give(&b, &a.id, bytes);
    assert_int_equal(b.books, 1);
    dsmr_buf_unref(bytes);
    dsmr_buf_unref(other_chain);
    close_node(&a);
    close_node(&b);
    close_node(&c);
    close_node(&elsewhere);
}

/* A node that comes back with another key: the old one names nobody any more. */
static void test_a_new_key_replaces_the_old_one(void **state)
{
    struct node a, b, again;
    (void)state;
    open_node(&a, 2, 9);
    open_node(&b, 3, 9);
    open_keyed(&again, 2, 9, 55);
    serve(&a, &b);
    serve(&again, &b);
    serve(&b, &a);
    struct dsmr_buf *bytes = take_announcement(&a), *message = dsmr_buf_copy("x", 1);
    const struct dsmr_net_handler *in = dsmr_direct_net_handler(b.direct);
    give(&b, &a.id, bytes);
    in->message(in->self, &a.transport_id, message);
    assert_int_equal(b.messages, 1);
    dsmr_buf_unref(bytes);
    bytes = take_announcement(&again);
    assert_int_equal(b.forgotten, 0);
    give(&b, &a.id, bytes);
    assert_int_equal(b.forgotten, 1); /* or its places in the book would fill it */
    assert_memory_equal(b.book.bytes, again.transport_id.bytes, 20);
    assert_int_equal(b.served_count, 1);
    assert_memory_equal(b.served[0].bytes, again.transport_id.bytes, 20);
    in->message(in->self, &a.transport_id, message);
    assert_int_equal(b.messages, 1);
    in->message(in->self, &again.transport_id, message);
    assert_int_equal(b.messages, 2);
    assert_memory_equal(b.from.bytes, a.id.bytes, 20);
    b.port.ops->set_peers(b.port.self, &b.id, 1); /* it has left */
    assert_int_equal(b.forgotten, 2);
    dsmr_buf_unref(bytes);
    dsmr_buf_unref(message);
    close_node(&a);
    close_node(&b);
    close_node(&again);
}

/* It comes back with another key before the end of its old connection was seen. */
static void test_a_new_key_ends_the_old_connection(void **state)
{
    struct node a, b, again;
    (void)state;
    open_node(&a, 2, 9);
    open_node(&b, 3, 9);
    open_keyed(&again, 2, 9, 55);
    serve(&a, &b);
    serve(&again, &b);
    serve(&b, &a);
    struct dsmr_buf *old = take_announcement(&a), *new = take_announcement(&again);
    const struct dsmr_net_handler *in = dsmr_direct_net_handler(b.direct);
    give(&b, &a.id, old);
    dsmr_buf_unref(take_announcement(&b));
    in->peer(in->self, &a.transport_id, true);
    assert_int_equal(dsmr_direct_net_deadline_ms(b.direct), UINT64_MAX);
    give(&b, &a.id, new);
    assert_int_equal(b.downs, 1);
    assert_int_equal(dsmr_direct_net_deadline_ms(b.direct), b.fake->now_ms); /* it is told of us */
    in->peer(in->self, &a.transport_id, false); /* the transport has seen it, too */
    assert_int_equal(b.downs, 1);
    in->peer(in->self, &again.transport_id, true);
    assert_int_equal(b.ups, 2);
    dsmr_buf_unref(old);
    dsmr_buf_unref(new);
    close_node(&a);
    close_node(&b);
    close_node(&again);
}

/* One TLS key for two NodeIDs, one after the other: it and its connection are the last one's. */
static void test_a_key_that_moves(void **state)
{
    struct node a, b, c;
    (void)state;
    open_node(&a, 2, 9);
    open_node(&b, 3, 9);
    open_keyed(&c, 4, 9, 102); /* a's key */
    serve(&a, &b);
    serve(&c, &b);
    struct dsmr_node_id both[2] = {a.id, c.id};
    b.port.ops->set_peers(b.port.self, both, 2);
    struct dsmr_buf *of_a = take_announcement(&a), *of_c = take_announcement(&c);
    struct dsmr_buf *message = dsmr_buf_copy("x", 1);
    const struct dsmr_net_handler *in = dsmr_direct_net_handler(b.direct);
    give(&b, &a.id, of_a);
    in->peer(in->self, &a.transport_id, true);
    give(&b, &c.id, of_c);
    assert_int_equal(b.downs, 1);
    assert_int_equal(b.ups, 2);
    assert_memory_equal(b.peer.bytes, c.id.bytes, 20);
    in->message(in->self, &a.transport_id, message);
    assert_memory_equal(b.from.bytes, c.id.bytes, 20);
    b.port.ops->set_peers(b.port.self, &c.id, 1); /* a leaves, and the key is not its own */
    assert_int_equal(b.forgotten, 0);
    in->message(in->self, &a.transport_id, message);
    assert_int_equal(b.messages, 2);
    dsmr_buf_unref(of_a);
    dsmr_buf_unref(of_c);
    dsmr_buf_unref(message);
    close_node(&a);
    close_node(&b);
    close_node(&c);
}

/* A node that starts again is told of us when it announces itself, not half a minute later. */
static void test_who_starts_again_is_told_soon(void **state)
{
    struct node a, b;
    (void)state;
    open_node(&a, 2, 9);
    open_node(&b, 3, 9);
    serve(&a, &b);
    serve(&b, &a);
    struct dsmr_buf *bytes = take_announcement(&b);
    give(&a, &b.id, bytes);
    const struct dsmr_net_handler *in = dsmr_direct_net_handler(a.direct);
    in->peer(in->self, &b.transport_id, true);
    in->peer(in->self, &b.transport_id, false); /* b is down, and a's announcements reach nobody */
    for (int i = 0; i < 8; i++) {
        a.fake->now_ms = dsmr_direct_net_deadline_ms(a.direct);
        dsmr_buf_unref(take_announcement(&a));
    }
    a.fake->now_ms += 10000;
    assert_true(dsmr_direct_net_deadline_ms(a.direct) > a.fake->now_ms + 5000);
    give(&a, &b.id, bytes);
    assert_int_equal(dsmr_direct_net_deadline_ms(a.direct), a.fake->now_ms);
    dsmr_buf_unref(take_announcement(&a));
    give(&a, &b.id, bytes); /* two that cannot connect do not answer each other's answers */
    assert_int_equal(dsmr_direct_net_deadline_ms(a.direct), a.fake->now_ms + 5000);
    in->peer(in->self, &b.transport_id, true);
    give(&a, &b.id, bytes);
    assert_int_equal(dsmr_direct_net_deadline_ms(a.direct), UINT64_MAX);
    dsmr_buf_unref(bytes);
    close_node(&a);
    close_node(&b);
}

/* Announced again, less and less often, until the connection stands; and when it ends. */
static void test_announced_until_up(void **state)
{
    struct node a, b;
    (void)state;
    open_node(&a, 2, 9);
    open_node(&b, 3, 9);
    serve(&a, &b);
    serve(&b, &a);
    uint64_t last_ms = 0, pause_ms = 0;
    for (int i = 0; i < 10; i++) {
        uint64_t due_ms = dsmr_direct_net_deadline_ms(a.direct);
        assert_true(due_ms != UINT64_MAX);
        if (i > 1) {
            assert_true(due_ms - last_ms >= pause_ms);
            assert_true(due_ms - last_ms <= 30000);
            pause_ms = due_ms - last_ms;
        }
        last_ms = due_ms;
        a.fake->now_ms = due_ms;
        dsmr_buf_unref(take_announcement(&a));
    }
    assert_int_equal(pause_ms, 30000);
    struct dsmr_buf *bytes = take_announcement(&b);
    give(&a, &b.id, bytes); /* who is new to us is told at once */
    assert_int_equal(dsmr_direct_net_deadline_ms(a.direct), a.fake->now_ms);
    const struct dsmr_net_handler *in = dsmr_direct_net_handler(a.direct);
    in->peer(in->self, &b.transport_id, true);
    assert_int_equal(dsmr_direct_net_deadline_ms(a.direct), UINT64_MAX);
    in->peer(in->self, &b.transport_id, false);
    assert_int_equal(a.downs, 1);
    assert_int_equal(dsmr_direct_net_deadline_ms(a.direct), a.fake->now_ms + 500);
    a.port.ops->set_peers(a.port.self, &a.id, 1); /* b has left */
    assert_int_equal(dsmr_direct_net_deadline_ms(a.direct), UINT64_MAX);
    assert_int_equal(a.served_count, 0);
    dsmr_buf_unref(bytes);
    close_node(&a);
    close_node(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_nodes_find_each_other),
        cmocka_unit_test(test_forged_announcements),
        cmocka_unit_test(test_a_new_key_replaces_the_old_one),
        cmocka_unit_test(test_a_new_key_ends_the_old_connection),
        cmocka_unit_test(test_a_key_that_moves),
        cmocka_unit_test(test_who_starts_again_is_told_soon),
        cmocka_unit_test(test_announced_until_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
