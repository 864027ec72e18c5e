/* test_app_net.c - the data plane through AvalancheGo: batches, window, pace, classes, limits, and
 * what peers may send. The clock is the test's; answers of AppSender come over real gRPC. */
#include "avalanche/app_net.h"
#include "unit/avalanche/fake_avalanche.h"
#include "wire/cursor.h"

struct seen {
    size_t messages, bytes, ups, downs, others;
    uint8_t last[64];
    uint32_t last_len;
    struct dsmr_node_id from, peer;
    uint64_t other_handler;
};

static void on_message(void *owner, const struct dsmr_node_id *from, struct dsmr_buf *bytes)
{
    struct seen *seen = owner;
    seen->messages++;
    seen->bytes += bytes->len;
    seen->from = *from;
    seen->last_len = bytes->len;
    memcpy(seen->last, bytes->bytes, bytes->len < 64 ? bytes->len : 64);
}

static void on_peer(void *owner, const struct dsmr_node_id *peer, bool is_up)
{
    struct seen *seen = owner;
    seen->peer = *peer;
    if (is_up)
        seen->ups++;
    else
        seen->downs++;
}
static const struct dsmr_net_handler handler = {.message = on_message, .peer = on_peer};

static void on_other(void *ctx, const struct dsmr_node_id *from, uint32_t request_id,
                     uint64_t number, const uint8_t *bytes, size_t len)
{
    struct seen *seen = ctx;
    (void)from;
    (void)request_id;
    (void)bytes;
    (void)len;
    seen->others++;
    seen->other_handler = number;
}

struct rig {
    struct fake *fake;
    struct dsmr_metrics metrics;
    struct dsmr_app_net *net;
    struct dsmr_net port;
    struct seen seen;
    struct dsmr_node_id a, b;
};

static void open_rig(struct rig *rig, void (*change)(struct dsmr_app_net_config *config))
{
    struct dsmr_app_net_config config;
    memset(rig, 0, sizeof *rig);
    rig->fake = fake_new();
    dsmr_app_net_config_default(&config);
    config.node = rig->fake->client;
    config.inbox = fake_inbox(rig->fake);
    config.clock = fake_clock(rig->fake);
    config.metrics = &rig->metrics;
    config.handler = &handler;
    config.self_id = fake_id(1);
    config.other = on_other;
    config.ctx = &rig->seen;
    if (change != NULL)
        change(&config);
    rig->net = dsmr_app_net_new(&config);
    assert_non_null(rig->net);
    rig->port = dsmr_app_net_port(rig->net);
    dsmr_app_net_attach(rig->net, &rig->seen);
    rig->a = fake_id(2);
    rig->b = fake_id(3);
    dsmr_app_net_connected(rig->net, &rig->a, true);
    rig->port.ops->set_peers(rig->port.self, (struct dsmr_node_id[]){rig->a, rig->b, fake_id(1)},
                             3);
    (void)fake_run(rig->fake);
}

static void close_rig(struct rig *rig)
{
    fake_hang_up(rig->fake);
    dsmr_app_net_free(rig->net);
    fake_free(rig->fake);
}

/* A message of len bytes: its type, then the number. */
static enum dsmr_err send(struct rig *rig, enum dsmr_msg_class cls, uint8_t number, uint32_t len)
{
    struct dsmr_buf *head = dsmr_buf_new(2), *body = len > 2 ? dsmr_buf_new(len - 2) : NULL;
    head->bytes[0] = 1;
    head->bytes[1] = number;
    if (body != NULL)
        memset(body->bytes, number, body->len);
    enum dsmr_err err =
        rig->port.ops->send(rig->port.self, &rig->a, cls, head, body,
                            body != NULL ? body->bytes : NULL, body != NULL ? body->len : 0);
    dsmr_buf_unref(head);
    dsmr_buf_unref(body);
    return err;
}

/* The next request that left: how many messages, and the numbers of the first ones. */
static size_t read_request(struct rig *rig, uint32_t *request_id, uint8_t numbers[64])
{
    const struct fake_call *call = fake_next_call(rig->fake);
    assert_string_equal(call->method, "/appsender.AppSender/SendAppRequest");
    Dsmr__Pb__SendAppRequestMsg *message =
        dsmr__pb__send_app_request_msg__unpack(NULL, call->bytes->len, call->bytes->bytes);
    assert_non_null(message);
    assert_int_equal(message->n_node_ids, 1);
    assert_memory_equal(message->node_ids[0].data, rig->a.bytes, 20);
    struct dsmr_rd rd;
    size_t count = 0;
    dsmr_rd_init(&rd, message->request.data, message->request.len);
    assert_int_equal(dsmr_rd_u8(&rd), DSMR_APP_NET_HANDLER);
    while (dsmr_rd_left(&rd) > 0) {
        uint32_t len = dsmr_rd_u32(&rd);
        const uint8_t *bytes = dsmr_rd_view(&rd, len);
        assert_non_null(bytes);
        if (count < 64)
            numbers[count] = bytes[1];
        count++;
    }
    *request_id = message->request_id;
    dsmr__pb__send_app_request_msg__free_unpacked(message, NULL);
    return count;
}

static void test_up_is_connected_and_served(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, NULL);
    assert_int_equal(rig.seen.ups, 1);
    assert_memory_equal(rig.seen.peer.bytes, rig.a.bytes, 20);
    dsmr_app_net_connected(rig.net, &rig.b, true);
    struct dsmr_node_id self = fake_id(1), stranger = fake_id(9);
    dsmr_app_net_connected(rig.net, &self, true); /* AvalancheGo names the node itself, too */
    dsmr_app_net_connected(rig.net, &stranger, true);
    (void)fake_run(rig.fake);
    assert_int_equal(rig.seen.ups, 2);
    assert_false(dsmr_app_net_serves(rig.net, &stranger));
    rig.port.ops->set_peers(rig.port.self, &rig.b, 1);
    (void)fake_run(rig.fake);
    assert_int_equal(rig.seen.downs, 1);
    assert_memory_equal(rig.seen.peer.bytes, rig.a.bytes, 20);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_VOTE, 1, 10), DSMR_ERR_UNKNOWN);
    dsmr_app_net_connected(rig.net, &rig.b, false);
    (void)fake_run(rig.fake);
    assert_int_equal(rig.seen.downs, 2);
    close_rig(&rig);
}

static void small_window(struct dsmr_app_net_config *config)
{
    config->window = 1;
    config->batch_bytes_max = 100;
}

/* What waits behind the window leaves together, higher classes first, as far as a batch reaches. */
static void test_batches_by_class(void **state)
{
    struct rig rig;
    uint32_t id;
    uint8_t numbers[64];
    (void)state;
    open_rig(&rig, small_window);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_TX, 1, 20), DSMR_OK);
    assert_int_equal(read_request(&rig, &id, numbers), 1);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_TX, 2, 20), DSMR_OK);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_CHUNK, 3, 20), DSMR_OK);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_CERT, 4, 20), DSMR_OK);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_VOTE, 5, 20), DSMR_OK);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_VOTE, 6, 20), DSMR_OK);
    assert_int_equal(fake_unread(rig.fake), 0);
    dsmr_app_net_on_end(rig.net, &rig.a, id, true);
    assert_int_equal(read_request(&rig, &id, numbers), 4); /* 24 bytes each, 100 a batch */
    assert_memory_equal(numbers, ((uint8_t[]){5, 6, 4, 3}), 4);
    dsmr_app_net_on_end(rig.net, &rig.a, id + 77, true); /* not one of ours */
    dsmr_app_net_on_end(rig.net, &rig.b, id, true);      /* not from whom it was asked */
    close_rig(&rig);
}

static void test_one_above_the_batch_goes_alone(void **state)
{
    struct rig rig;
    uint32_t id;
    uint8_t numbers[64];
    (void)state;
    open_rig(&rig, small_window);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_CHUNK, 1, 5000), DSMR_OK);
    assert_int_equal(read_request(&rig, &id, numbers), 1);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_CHUNK, 2, DSMR_APP_NET_MESSAGE_BYTES_MAX + 1),
                     DSMR_ERR_FULL);
    assert_int_equal(dsmr_metrics_get(&rig.metrics, DSMR_METRIC_NET_DROPPED), 1);
    close_rig(&rig);
}

/* Small requests gather behind two; a full one does not wait for them. */
static void test_small_requests_gather(void **state)
{
    struct rig rig;
    uint32_t id, first;
    uint8_t numbers[64];
    (void)state;
    open_rig(&rig, NULL);
    for (uint8_t i = 0; i < 5; i++)
        assert_int_equal(send(&rig, DSMR_MSG_CLASS_VOTE, i, 20), DSMR_OK);
    assert_int_equal(read_request(&rig, &first, numbers), 1);
    assert_int_equal(read_request(&rig, &id, numbers), 1);
    assert_int_equal(dsmr_metrics_get(&rig.metrics, DSMR_METRIC_NET_BYTES_SENT), 50);
    dsmr_app_net_on_end(rig.net, &rig.a, first, true);
    assert_int_equal(read_request(&rig, &id, numbers), 3);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_VOTE, 5, 20), DSMR_OK);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_VOTE, 6, 20), DSMR_OK);
    assert_int_equal(dsmr_metrics_get(&rig.metrics, DSMR_METRIC_NET_BYTES_SENT), 50 + 73);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_CHUNK, 7, 300u << 10), DSMR_OK);
    assert_int_equal(read_request(&rig, &id, numbers), 2); /* the chunk does not fit with them */
    assert_int_equal(read_request(&rig, &id, numbers), 1);
    assert_int_equal(numbers[0], 7);
    close_rig(&rig);
}

static void big_only(struct dsmr_app_net_config *config)
{
    config->window = 8;
    config->batch_bytes_max = 1;
}

/* Reads the ids of count requests; no more than all so far left. */
static void read_ids(struct rig *rig, uint32_t ids[], uint32_t count, uint32_t all)
{
    uint8_t numbers[64];
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(read_request(rig, &ids[i], numbers), 1);
    assert_int_equal(dsmr_metrics_get(&rig->metrics, DSMR_METRIC_NET_BYTES_SENT), all * 25u);
}

/* A failure halves the window; those that left before it do not count again; answers raise it. */
static void test_window_follows_failures(void **state)
{
    struct rig rig;
    uint32_t ids[16];
    (void)state;
    open_rig(&rig, big_only);
    for (uint8_t i = 0; i < 60; i++)
        assert_int_equal(send(&rig, DSMR_MSG_CLASS_CHUNK, i, 20), DSMR_OK);
    read_ids(&rig, ids, 8, 8);
    for (int i = 0; i < 8; i++)
        dsmr_app_net_on_end(rig.net, &rig.a, ids[i], false);
    read_ids(&rig, ids, 4, 12);
    assert_int_equal(rig.metrics.errors[DSMR_ERR_TIMEOUT], 8);
    dsmr_app_net_on_end(rig.net, &rig.a, ids[0], false);
    read_ids(&rig, ids, 0, 12); /* two may be on their way, and three are */
    dsmr_app_net_on_end(rig.net, &rig.a, ids[1], true);
    dsmr_app_net_on_end(rig.net, &rig.a, ids[2], true);
    read_ids(&rig, ids, 2, 14); /* two answers: three may be */
    dsmr_app_net_on_end(rig.net, &rig.a, ids[3], true);
    dsmr_app_net_on_end(rig.net, &rig.a, ids[0], true);
    dsmr_app_net_on_end(rig.net, &rig.a, ids[1], true);
    read_ids(&rig, ids, 4, 18);
    close_rig(&rig);
}

static void slow(struct dsmr_app_net_config *config)
{
    config->peer_bytes_per_s = 1000;
    config->peer_burst_bytes = 2000;
    config->batch_bytes_max = 1;
}

/* The budget is spent and earned again; who waits is named by the deadline. */
static void test_pace(void **state)
{
    struct rig rig;
    uint32_t id;
    uint8_t numbers[64];
    (void)state;
    open_rig(&rig, slow);
    for (uint8_t i = 0; i < 5; i++)
        assert_int_equal(send(&rig, DSMR_MSG_CLASS_CHUNK, i, 995),
                         DSMR_OK); /* 1000 with its head */
    for (uint8_t i = 0; i < 2; i++) {
        assert_int_equal(read_request(&rig, &id, numbers), 1);
        dsmr_app_net_on_end(rig.net, &rig.a, id, true);
    }
    assert_int_equal(fake_unread(rig.fake), 0);
    uint64_t due_ms = dsmr_app_net_deadline_ms(rig.net);
    assert_in_range(due_ms, rig.fake->now_ms + 1, rig.fake->now_ms + 10);
    rig.fake->now_ms = due_ms;
    dsmr_app_net_tick(rig.net);
    assert_int_equal(read_request(&rig, &id, numbers), 1); /* and is 1000 bytes in debt */
    dsmr_app_net_on_end(rig.net, &rig.a, id, true);
    due_ms = dsmr_app_net_deadline_ms(rig.net);
    assert_in_range(due_ms, rig.fake->now_ms + 900, rig.fake->now_ms + 1100);
    rig.fake->now_ms = due_ms - 2;
    dsmr_app_net_tick(rig.net);
    assert_int_equal(fake_unread(rig.fake), 0);
    rig.fake->now_ms = due_ms + 1;
    dsmr_app_net_tick(rig.net);
    assert_int_equal(read_request(&rig, &id, numbers), 1);
    rig.fake->now_ms += 3600000; /* a budget has its limit */
    for (uint8_t i = 0; i < 5; i++)
        assert_int_equal(send(&rig, DSMR_MSG_CLASS_CHUNK, i, 995), DSMR_OK);
    for (int i = 0; i < 2; i++)
        (void)read_request(&rig, &id, numbers);
    assert_int_equal(fake_unread(rig.fake), 0);
    close_rig(&rig);
}

static void tiny_queue(struct dsmr_app_net_config *config)
{
    config->window = 0;
    config->queue_bytes_max[DSMR_MSG_CLASS_VOTE] = 30;
}

static void test_queues_are_bounded(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, tiny_queue);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_VOTE, 1, 15), DSMR_OK);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_VOTE, 2, 15), DSMR_OK);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_VOTE, 3, 2), DSMR_ERR_FULL);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_CERT, 3, 2), DSMR_OK);
    close_rig(&rig);
}

/* A request that AvalancheGo does not take has no other end: the window opens again. */
static void test_refused_by_the_sender(void **state)
{
    struct rig rig;
    uint32_t id;
    uint8_t numbers[64];
    (void)state;
    open_rig(&rig, small_window);
    rig.fake->failure = "no";
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_VOTE, 1, 10), DSMR_OK);
    assert_int_equal(read_request(&rig, &id, numbers), 1);
    assert_int_equal(send(&rig, DSMR_MSG_CLASS_VOTE, 2, 10), DSMR_OK);
    fake_run_one(rig.fake);
    assert_int_equal(read_request(&rig, &id, numbers), 1);
    assert_int_equal(numbers[0], 2);
    close_rig(&rig);
}

/* ---- receiving ---- */

static void give(struct rig *rig, const struct dsmr_node_id *from, const void *bytes, size_t len)
{
    dsmr_app_net_on_request(rig->net, from, 7, bytes, len);
}

static void expect_call(struct rig *rig, const char *method)
{
    assert_string_equal(fake_next_call(rig->fake)->method, method);
}

static void test_messages_come_in_order_and_are_answered(void **state)
{
    struct rig rig;
    static const uint8_t bytes[] = {DSMR_APP_NET_HANDLER, 0, 0, 0, 1, 9, 0, 0, 0, 3, 4, 5, 6};
    (void)state;
    open_rig(&rig, NULL);
    give(&rig, &rig.a, bytes, sizeof bytes);
    assert_int_equal(rig.seen.messages, 2);
    assert_int_equal(rig.seen.bytes, 4);
    assert_memory_equal(rig.seen.last, ((uint8_t[]){4, 5, 6}), 3);
    assert_memory_equal(rig.seen.from.bytes, rig.a.bytes, 20);
    expect_call(&rig, "/appsender.AppSender/SendAppResponse");
    close_rig(&rig);
}

static void test_strangers_get_nothing(void **state)
{
    struct rig rig;
    static const uint8_t bytes[] = {DSMR_APP_NET_HANDLER, 0, 0, 0, 1, 9};
    struct dsmr_node_id stranger = fake_id(9);
    (void)state;
    open_rig(&rig, NULL);
    dsmr_app_net_connected(rig.net, &stranger, true);
    give(&rig, &stranger, bytes, sizeof bytes);
    assert_int_equal(rig.seen.messages, 0);
    expect_call(&rig, "/appsender.AppSender/SendAppError");
    assert_int_equal(rig.metrics.errors[DSMR_ERR_NOT_VALIDATOR], 1);
    rig.port.ops->drop(rig.port.self, &rig.a, DSMR_ERR_MALFORMED); /* nor who is dropped */
    (void)fake_run(rig.fake);
    assert_int_equal(rig.seen.downs, 1);
    give(&rig, &rig.a, bytes, sizeof bytes);
    assert_int_equal(rig.seen.messages, 0);
    expect_call(&rig, "/appsender.AppSender/SendAppError");
    rig.fake->now_ms = dsmr_app_net_deadline_ms(rig.net);
    dsmr_app_net_tick(rig.net);
    (void)fake_run(rig.fake);
    assert_int_equal(rig.seen.ups, 2);
    give(&rig, &rig.a, bytes, sizeof bytes);
    assert_int_equal(rig.seen.messages, 1);
    close_rig(&rig);
}

static void test_malformed_requests(void **state)
{
    struct rig rig;
    static const uint8_t cut[] = {DSMR_APP_NET_HANDLER, 0, 0, 0, 1, 9, 0, 0, 0, 3, 4, 5};
    static const uint8_t empty[] = {DSMR_APP_NET_HANDLER, 0, 0, 0, 0};
    static const uint8_t huge[] = {DSMR_APP_NET_HANDLER, 0xff, 0xff, 0xff, 0xff, 1};
    uint8_t endless[16];
    (void)state;
    open_rig(&rig, NULL);
    give(&rig, &rig.a, cut, sizeof cut);
    assert_int_equal(rig.seen.messages, 1); /* what stands before the fault is good */
    give(&rig, &rig.a, empty, sizeof empty);
    give(&rig, &rig.a, huge, sizeof huge);
    assert_int_equal(rig.seen.messages, 1);
    assert_int_equal(rig.metrics.errors[DSMR_ERR_MALFORMED], 3);
    memset(endless, 0xff, sizeof endless); /* a handler's number without an end */
    give(&rig, &rig.a, endless, sizeof endless);
    give(&rig, &rig.a, NULL, 0);
    assert_int_equal(rig.metrics.errors[DSMR_ERR_MALFORMED], 5);
    assert_int_equal(rig.seen.others, 0);
    static const uint8_t other[] = {0xac, 0x02, 1, 2}; /* 300, as AvalancheGo writes it */
    give(&rig, &rig.a, other, sizeof other);
    assert_int_equal(rig.seen.others, 1);
    assert_int_equal(rig.seen.other_handler, 300);
    close_rig(&rig);
}

/* As many as there is room for; those that leave make room. */
static void test_peers_above_the_limit(void **state)
{
    struct rig rig;
    struct dsmr_node_id id = fake_id(0);
    (void)state;
    open_rig(&rig, NULL);
    for (uint32_t i = 0; i < DSMR_APP_NET_PEERS_MAX + 100u; i++) {
        dsmr_store_be32(id.bytes, i + 1000u);
        dsmr_app_net_connected(rig.net, &id, true);
    }
    assert_false(dsmr_app_net_is_connected(rig.net, &id));
    struct dsmr_node_id both[2] = {rig.a, fake_id(77)};
    rig.port.ops->set_peers(rig.port.self, both, 2); /* a validator among the strangers */
    assert_true(dsmr_app_net_serves(rig.net, &both[1]));
    assert_true(dsmr_app_net_is_connected(rig.net, &rig.a));
    for (uint32_t i = 0; i < DSMR_APP_NET_PEERS_MAX + 100u; i++) {
        dsmr_store_be32(id.bytes, i + 1000u);
        dsmr_app_net_connected(rig.net, &id, false);
    }
    (void)fake_run(rig.fake);
    dsmr_app_net_connected(rig.net, &id, true);
    assert_true(dsmr_app_net_is_connected(rig.net, &id));
    assert_true(dsmr_app_net_is_connected(rig.net, &rig.a));
    close_rig(&rig);
}

/* The end of AvalancheGo: a request that is lost there makes room for the next one, which is told
 * at once that it is over, and so on, until nothing waits. */
static void test_the_end_loses_what_waits(void **state)
{
    struct rig rig;
    uint32_t id;
    uint8_t numbers[64];
    (void)state;
    open_rig(&rig, small_window);
    rig.fake->is_silent = true;
    for (uint8_t i = 0; i < 20; i++)
        assert_int_equal(send(&rig, DSMR_MSG_CLASS_CHUNK, i, 100), DSMR_OK);
    assert_int_equal(read_request(&rig, &id, numbers), 1);
    assert_int_equal(dsmr_metrics_get(&rig.metrics, DSMR_METRIC_NET_BYTES_SENT), 105);
    fake_hang_up(rig.fake);
    assert_int_equal(rig.metrics.errors[DSMR_ERR_TIMEOUT], 20);
    assert_int_equal(dsmr_metrics_get(&rig.metrics, DSMR_METRIC_NET_BYTES_SENT), 20 * 105);
    assert_int_equal(fake_unread(rig.fake), 0); /* none of them reached it */
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up_is_connected_and_served),
        cmocka_unit_test(test_batches_by_class),
        cmocka_unit_test(test_one_above_the_batch_goes_alone),
        cmocka_unit_test(test_small_requests_gather),
        cmocka_unit_test(test_window_follows_failures),
        cmocka_unit_test(test_pace),
        cmocka_unit_test(test_queues_are_bounded),
        cmocka_unit_test(test_refused_by_the_sender),
        cmocka_unit_test(test_messages_come_in_order_and_are_answered),
        cmocka_unit_test(test_strangers_get_nothing),
        cmocka_unit_test(test_malformed_requests),
        cmocka_unit_test(test_peers_above_the_limit),
        cmocka_unit_test(test_the_end_loses_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
