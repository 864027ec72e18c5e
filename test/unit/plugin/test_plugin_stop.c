/* test_plugin_stop.c - the end of a plugin while there is work: what is in the inbox is ended, and
 * who still calls AvalancheGo is told that it is over. */
#include "plugin/plugin_state.h"
#include "unit/avalanche/fake_avalanche.h"

#define OFFERS 1000u /* more than the logic thread takes at once */

/* ---- a plugin that has its services and no chain ---- */

static void open_services(struct dsmr_plugin *p)
{
    struct dsmr_host_inbox_config inbox;
    memset(p, 0, sizeof *p);
    dsmr_host_inbox_config_default(&inbox);
    p->inbox = dsmr_host_inbox_new(&inbox);
    assert_non_null(p->inbox);
    const struct dsmr_vm_service_config service = {.methods = dsmr_plugin_methods,
                                                   .self = p,
                                                   .cancelled = dsmr_plugin_on_cancelled,
                                                   .inbox = dsmr_host_inbox_port(p->inbox),
                                                   .metrics = &p->metrics,
                                                   .request_bytes_max = 1u << 20,
                                                   .app_bytes_max = 1u << 20,
                                                   .calls_max = 8};
    assert_int_equal(dsmr_vm_service_start(&p->service, &service), DSMR_OK);
}

static void open_net(struct dsmr_plugin *p, struct fake *fake)
{
    struct dsmr_app_net_config config;
    const char *address = dsmr_grpc_server_address(fake->server);
    struct dsmr_inbox inbox = dsmr_host_inbox_port(p->inbox);
    assert_int_equal(dsmr_grpc_client_new(&p->node, address, 1u << 20), DSMR_OK);
    assert_int_equal(dsmr_grpc_client_new(&p->db, address, 1u << 20), DSMR_OK);
    p->workers = dsmr_workers_new(&inbox, 1);
    dsmr_app_net_config_default(&config);
    config.node = p->node;
    config.inbox = inbox;
    config.clock = fake_clock(fake);
    config.metrics = &p->metrics;
    config.handler = &fake_ignores;
    p->net = dsmr_app_net_new(&config);
    assert_non_null(p->workers);
    assert_non_null(p->net);
}

/* ---- what is in the inbox ---- */

static uint32_t done, listened;

static void count_and_free(struct dsmr_task *task, void *owner)
{
    (void)owner;
    done++;
    free(task);
}

static void listen(void *ctx)
{
    (void)ctx;
    listened++;
}

/* The direct transport may have offered any number of batches that the logic thread had no time
 * for. Who was refused is not called back: the transport is gone. */
static void test_offers_that_wait(void **state)
{
    static struct dsmr_plugin plugin;
    (void)state;
    done = listened = 0;
    open_services(&plugin);
    assert_int_equal(dsmr_host_inbox_add_listener(plugin.inbox, listen, NULL), DSMR_OK);
    struct dsmr_inbox inbox = dsmr_host_inbox_port(plugin.inbox);
    for (uint32_t i = 0; i < OFFERS; i++) {
        struct dsmr_task *task = calloc(1, sizeof *task);
        task->done = count_and_free;
        task->bytes = 1;
        assert_true(inbox.ops->offer(inbox.self, task));
    }
    struct dsmr_task large = {.done = count_and_free, .bytes = SIZE_MAX / 2u};
    assert_false(inbox.ops->offer(inbox.self, &large));
    dsmr_plugin_stop(&plugin);
    assert_int_equal(done, OFFERS);
    assert_int_equal(listened, 0);
}

/* ---- who still calls ---- */

struct caller { /* on a worker, as a signature is made: two calls, and then an answer to a peer */
    struct dsmr_task task;
    struct dsmr_plugin *plugin;
    enum dsmr_err errs[2];
    bool is_done;
};

static void run_calls(struct dsmr_task *task)
{
    struct caller *caller = (struct caller *)task;
    for (int i = 0; i < 2; i++) {
        char reason[DSMR_GRPC_CLIENT_REASON_BYTES];
        struct dsmr_buf *answer = NULL;
        caller->errs[i] = dsmr_grpc_client_call(caller->plugin->node, &answer, reason,
                                                "/warp.Signer/Sign", NULL, 0, 600000);
        dsmr_buf_unref(answer);
    }
}

static void end_calls(struct dsmr_task *task, void *owner)
{
    struct caller *caller = (struct caller *)task;
    struct dsmr_node_id peer = fake_id(5);
    (void)owner;
    caller->is_done = true;
    dsmr_app_net_refuse(caller->plugin->net, &peer, 1, DSMR_APP_NET_UNEXPECTED, "no signature");
    dsmr_app_net_respond(caller->plugin->net, &peer, 2, NULL, 0);
}

/* AvalancheGo does not answer any more, or is gone. */
static void test_calls_on_their_way(void **state)
{
    static struct dsmr_plugin plugin;
    struct caller caller = {.task = {.run = run_calls, .done = end_calls}, .plugin = &plugin};
    struct fake *fake = fake_new();
    (void)state;
    fake->is_silent = true;
    open_services(&plugin);
    open_net(&plugin, fake);
    struct dsmr_work work = dsmr_workers_port(plugin.workers);
    work.ops->submit(work.self, DSMR_WORK_URGENT, &caller.task);
    assert_string_equal(fake_next_call(fake)->method, "/warp.Signer/Sign");
    dsmr_plugin_stop(&plugin);
    assert_true(caller.is_done);
    assert_int_equal(caller.errs[0], DSMR_ERR_CLOSED);
    assert_int_equal(caller.errs[1], DSMR_ERR_CLOSED);
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offers_that_wait),
        cmocka_unit_test(test_calls_on_their_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
