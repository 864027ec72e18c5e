/* test_vm_service.c - what peers send is answered at once and takes no more room than it may; what
 * ends a request of ours is never lost. */
#include "avalanche/vm_service.h"
#include "unit/avalanche/fake_avalanche.h"

#define ROOM 1000u

struct seen {
    uint32_t requests, ends, builds, gathered, cancelled;
    uint64_t build, gone; /* serials */
    struct dsmr_grpc_call *waits;
};

static void on_request(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    (void)request;
    assert_null(call);
    ((struct seen *)self)->requests++;
}
static void on_end(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    (void)request;
    assert_null(call);
    ((struct seen *)self)->ends++;
}
static void on_build(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct seen *seen = self;
    (void)request;
    seen->builds++;
    seen->build = dsmr_grpc_server_serial(call);
    seen->waits = call;
}
static void on_gather(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    (void)request;
    ((struct seen *)self)->gathered++;
    dsmr_grpc_server_reply(call, NULL, 0);
}
static void on_cancelled(void *self, uint64_t serial)
{
    struct seen *seen = self;
    seen->cancelled++;
    seen->gone = serial;
}

static const struct dsmr_vm_service_method methods[] = {{"AppRequest", on_request},
                                                        {"AppGossip", on_request},
                                                        {"AppResponse", on_end},
                                                        {"AppRequestFailed", on_end},
                                                        {"BuildBlock", on_build},
                                                        {"Gather", on_gather},
                                                        {NULL, NULL}};

struct rig {
    struct fake *fake; /* its list of tasks is the inbox */
    struct dsmr_metrics metrics;
    struct dsmr_vm_service *service;
    struct dsmr_grpc_client *client;
    struct seen seen;
};

static void open_rig(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    rig->fake = fake_new();
    const struct dsmr_vm_service_config config = {.methods = methods,
                                                  .self = &rig->seen,
                                                  .cancelled = on_cancelled,
                                                  .inbox = fake_inbox(rig->fake),
                                                  .metrics = &rig->metrics,
                                                  .request_bytes_max = 1u << 20,
                                                  .app_bytes_max = ROOM,
                                                  .calls_max = DSMR_VM_SERVICE_SCRAPES_MAX + 1};
    assert_int_equal(dsmr_vm_service_start(&rig->service, &config), DSMR_OK);
    assert_int_equal(
        dsmr_grpc_client_new(&rig->client, dsmr_vm_service_address(rig->service), 1u << 20),
        DSMR_OK);
}

static void close_rig(struct rig *rig)
{
    dsmr_grpc_client_free(rig->client);
    dsmr_vm_service_stop(rig->service);
    (void)fake_run(rig->fake);
    dsmr_vm_service_free(rig->service);
    fake_free(rig->fake);
}

static enum dsmr_err call(struct rig *rig, const char *method, size_t len)
{
    static const uint8_t zeros[ROOM];
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES];
    struct dsmr_buf *answer = NULL;
    enum dsmr_err err =
        dsmr_grpc_client_call(rig->client, &answer, reason, method, zeros, len, 600000);
    dsmr_buf_unref(answer);
    return err;
}

static void ignore(void *ctx, const struct dsmr_grpc_answer *answer)
{
    (void)ctx;
    (void)answer;
}

static uint64_t dropped(const struct rig *rig)
{
    return atomic_load(&rig->metrics.errors[DSMR_ERR_FULL]);
}

static void test_what_peers_send_takes_its_room_and_no_more(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig);
    assert_int_equal(call(&rig, "/vm.VM/AppRequest", ROOM / 2), DSMR_OK);
    assert_int_equal(rig.seen.requests, 0); /* it waits for the logic thread */
    assert_int_equal(call(&rig, "/vm.VM/AppRequest", ROOM / 2), DSMR_OK);
    assert_int_equal(dropped(&rig), 1);
    assert_int_equal(call(&rig, "/vm.VM/AppGossip", ROOM / 2), DSMR_OK);
    assert_int_equal(dropped(&rig), 2);
    assert_int_equal(fake_run(rig.fake), 1);
    assert_int_equal(rig.seen.requests, 1);
    assert_int_equal(call(&rig, "/vm.VM/AppRequest", ROOM / 2), DSMR_OK); /* room again */
    assert_int_equal(dropped(&rig), 2);
    assert_int_equal(fake_run(rig.fake), 1);
    close_rig(&rig);
}

/* A request of ours that has no end would stand in its peer's window for ever. */
static void test_the_ends_of_our_requests_are_not_lost(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig);
    assert_int_equal(call(&rig, "/vm.VM/AppRequest", ROOM / 2), DSMR_OK);
    assert_int_equal(call(&rig, "/vm.VM/AppRequest", ROOM / 2), DSMR_OK);
    assert_int_equal(dropped(&rig), 1);
    assert_int_equal(call(&rig, "/vm.VM/AppResponse", ROOM / 2), DSMR_OK);
    assert_int_equal(call(&rig, "/vm.VM/AppRequestFailed", ROOM / 2), DSMR_OK);
    assert_int_equal(dropped(&rig), 1);
    assert_int_equal(fake_run(rig.fake), 3);
    assert_int_equal(rig.seen.ends, 2);
    close_rig(&rig);
}

static void await_tasks(struct fake *fake, uint32_t wanted)
{
    uint32_t count = 0;
    pthread_mutex_lock(&fake->lock);
    for (;;) {
        count = 0;
        for (const struct dsmr_task *task = fake->first; task != NULL; task = task->next)
            count++;
        if (count >= wanted)
            break;
        pthread_cond_wait(&fake->changed, &fake->lock);
    }
    pthread_mutex_unlock(&fake->lock);
}

/* However many look at the metrics at once, what the chain lives by has its place. */
static void test_metrics_leave_room(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < DSMR_VM_SERVICE_SCRAPES_MAX; i++) {
            dsmr_grpc_client_start(rig.client, "/vm.VM/Gather", NULL, 0, 600000, ignore, NULL);
        }
        await_tasks(rig.fake, DSMR_VM_SERVICE_SCRAPES_MAX);
        assert_int_equal(call(&rig, "/vm.VM/Gather", 0), DSMR_ERR_MALFORMED);
        assert_int_equal(call(&rig, "/vm.VM/AppRequest", 1), DSMR_OK);
        assert_int_equal(fake_run(rig.fake), DSMR_VM_SERVICE_SCRAPES_MAX + 1);
        assert_int_equal(rig.seen.gathered, (round + 1) * (int)DSMR_VM_SERVICE_SCRAPES_MAX);
    }
    close_rig(&rig);
}

static void test_other_methods_and_who_gives_up(void **state)
{
    struct rig rig;
    struct dsmr_grpc_client *other = NULL;
    static const char *const none[] = {"/vm.VM/Nothing", "/vm.VM/", "/vm.VM/BuildBlock2",
                                       "/vm.WM/BuildBlock", "/x"};
    (void)state;
    open_rig(&rig);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_int_equal(call(&rig, none[i], 0), DSMR_ERR_MALFORMED);
    assert_int_equal(dsmr_grpc_client_new(&other, dsmr_vm_service_address(rig.service), 1u << 20),
                     DSMR_OK);
    dsmr_grpc_client_start(other, "/vm.VM/BuildBlock", NULL, 0, 600000, ignore, NULL);
    fake_step(rig.fake);
    dsmr_grpc_client_free(other);
    fake_step(rig.fake);
    assert_int_equal(rig.seen.cancelled, 1);
    assert_int_equal(rig.seen.builds, 1);
    assert_int_equal(rig.seen.gone, rig.seen.build);
    dsmr_grpc_server_reply(rig.seen.waits, NULL, 0);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_peers_send_takes_its_room_and_no_more),
        cmocka_unit_test(test_the_ends_of_our_requests_are_not_lost),
        cmocka_unit_test(test_metrics_leave_room),
        cmocka_unit_test(test_other_methods_and_who_gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
