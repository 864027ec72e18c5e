/* test_plugin_calls.c - AvalancheGo's calls that are not of the engine: a plugin in a process of
 * its own, started, asked and ended as AvalancheGo does it, whose part the test plays. */
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/exit_codes.h"
#include "plugin/plugin.h"
#include "plugin/plugin_state.h"
#include "unit/avalanche/fake_avalanche.h"
#include "wire/codec.h"

#define CALL_TIMEOUT_MS 600000u
#define PAST_MS "1767225600000"
#define FUTURE_MS "4102444800000" /* the year 2100 */

/* A process that waits for the address of its AvalancheGo. All are made before the first thread. */
static struct child {
    pid_t pid;
    int pipe[2];
    char dir[64], log[80];
} children[6];

static void be_plugin(const struct child *child)
{
    char address[64] = "";
    close(child->pipe[1]);
    if (read(child->pipe[0], address, sizeof address - 1) <= 0)
        _exit(0);
    int log = open(child->log, O_CREAT | O_WRONLY | O_APPEND, 0600);
    dup2(log, 2);
    exit(dsmr_plugin_run(address));
}

static bool make_child(struct child *child)
{
    strcpy(child->dir, "/tmp/dsmr-plugin-XXXXXX");
    if (mkdtemp(child->dir) == NULL || pipe(child->pipe) != 0)
        return false;
    snprintf(child->log, sizeof child->log, "%s/log", child->dir);
    child->pid = fork();
    if (child->pid == 0)
        be_plugin(child);
    close(child->pipe[0]);
    return child->pid > 0;
}

struct rig {
    struct fake *fake;
    struct child *child;
    struct dsmr_grpc_client *client; /* of the plugin */
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES];
};

static void open_rig(struct rig *rig, struct child *child)
{
    memset(rig, 0, sizeof *rig);
    rig->child = child;
    rig->fake = fake_new();
    Dsmr__Pb__GetResponse nothing = DSMR__PB__GET_RESPONSE__INIT;
    DSMR_PB_SET(&nothing, err, DSMR__PB__ERROR__ERROR_NOT_FOUND);
    fake_answer(rig->fake, &nothing.base); /* of the database; others have no such field */
    const char *address = dsmr_grpc_server_address(rig->fake->server);
    assert_int_equal(write(child->pipe[1], address, strlen(address)), strlen(address));
    const struct fake_call *hands = fake_next_call(rig->fake);
    assert_string_equal(hands->method, "/vm.runtime.Runtime/Initialize");
    Dsmr__Pb__RuntimeInitializeRequest *request =
        dsmr__pb__runtime_initialize_request__unpack(NULL, hands->bytes->len, hands->bytes->bytes);
    assert_int_equal(request->protocol_version, DSMR_RPCCHAINVM);
    assert_int_equal(dsmr_grpc_client_new(&rig->client, request->addr, 1u << 20), DSMR_OK);
    dsmr__pb__runtime_initialize_request__free_unpacked(request, NULL);
}

/* The answer is the caller's. */
static enum dsmr_err call(struct rig *rig, struct dsmr_buf **answer, const char *method,
                          const ProtobufCMessage *message)
{
    char path[64];
    struct dsmr_buf *bytes = message != NULL ? dsmr_pb_bytes(message) : NULL, *none = NULL;
    snprintf(path, sizeof path, "/vm.VM/%s", method);
    enum dsmr_err err = dsmr_grpc_client_call(
        rig->client, answer != NULL ? answer : &none, rig->reason, path,
        bytes != NULL ? bytes->bytes : NULL, bytes != NULL ? bytes->len : 0, CALL_TIMEOUT_MS);
    dsmr_buf_unref(bytes);
    dsmr_buf_unref(none);
    return err;
}

static void expect_refused(struct rig *rig, const char *method, const ProtobufCMessage *message,
                           const char *part)
{
    assert_int_equal(call(rig, NULL, method, message), DSMR_ERR_MALFORMED);
    if (strstr(rig->reason, part) == NULL)
        fail_msg("%s: \"%s\"", method, rig->reason);
}

struct ending {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_over;
    enum dsmr_err err;
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES];
};

static void on_end(void *ctx, const struct dsmr_grpc_answer *answer)
{
    struct ending *ending = ctx;
    pthread_mutex_lock(&ending->lock);
    ending->is_over = true;
    ending->err = answer->err;
    snprintf(ending->reason, sizeof ending->reason, "%s", answer->reason);
    pthread_cond_signal(&ending->changed);
    pthread_mutex_unlock(&ending->lock);
}

static void await_end(struct ending *ending)
{
    pthread_mutex_lock(&ending->lock);
    while (!ending->is_over)
        pthread_cond_wait(&ending->changed, &ending->lock);
    pthread_mutex_unlock(&ending->lock);
}

static const char *upgrade = ""; /* of the next Initialize */

static struct dsmr_buf *initialize_bytes(struct rig *rig, const char *time_ms, const char *config)
{
    Dsmr__Pb__InitializeRequest request = DSMR__PB__INITIALIZE_REQUEST__INIT;
    static uint8_t id[32] = {7};
    char genesis[200], *address = (char *)(uintptr_t)dsmr_grpc_server_address(rig->fake->server);
    snprintf(genesis, sizeof genesis,
             "{\"format\": 1, \"time_ms\": %s, \"app\": {\"name\": \"opaque\"}}", time_ms);
    DSMR_PB_SET(&request, network_id, 12345);
    DSMR_PB_BYTES(&request, subnet_id, id, 32);
    DSMR_PB_BYTES(&request, chain_id, id, 32);
    DSMR_PB_BYTES(&request, node_id, id, 20);
    DSMR_PB_BYTES(&request, genesis_bytes, genesis, strlen(genesis));
    DSMR_PB_BYTES(&request, upgrade_bytes, upgrade, strlen(upgrade));
    DSMR_PB_BYTES(&request, config_bytes, config, strlen(config));
    request.chain_data_dir = rig->child->dir;
    request.db_server_addr = request.server_addr = address;
    return dsmr_pb_bytes(&request.base);
}

static enum dsmr_err initialize(struct rig *rig, const char *time_ms, const char *config)
{
    struct dsmr_buf *bytes = initialize_bytes(rig, time_ms, config), *none = NULL;
    enum dsmr_err err = dsmr_grpc_client_call(rig->client, &none, rig->reason, "/vm.VM/Initialize",
                                              bytes->bytes, bytes->len, CALL_TIMEOUT_MS);
    dsmr_buf_unref(bytes);
    dsmr_buf_unref(none);
    return err;
}

static void read_log(const struct rig *rig, char *out, size_t size)
{
    FILE *file = fopen(rig->child->log, "r");
    assert_non_null(file);
    out[fread(out, 1, size - 1, file)] = '\0';
    fclose(file);
}

static void close_rig(struct rig *rig, int code)
{
    int status = 0;
    char log[8192];
    dsmr_grpc_client_free(rig->client);
    /* AvalancheGo says Shutdown, and then SIGTERM; whenever it comes it changes nothing. */
    while (waitpid(rig->child->pid, &status, WNOHANG) == 0) {
        (void)kill(rig->child->pid, SIGTERM);
        (void)sched_yield();
    }
    read_log(rig, log, sizeof log);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
        fail_msg("status %x, and its log is:\n%s", (unsigned)status, log);
    fake_free(rig->fake);
}

/* ---- the calls ---- */

/* This chain has no summaries of its state: AvalancheGo asks for none after the first answer, but
 * an answer that it does not expect would end the chain. The bytes are those of vm.proto. */
static void expect_no_state_sync(struct rig *rig)
{
    static const struct {
        const char *method;
        uint8_t bytes[2]; /* field err: ERROR_STATE_SYNC_NOT_IMPLEMENTED */
    } calls[] = {{"GetOngoingSyncStateSummary", {4 << 3, 3}},
                 {"GetLastStateSummary", {4 << 3, 3}},
                 {"ParseStateSummary", {3 << 3, 3}},
                 {"GetStateSummary", {3 << 3, 3}},
                 {"StateSummaryAccept", {2 << 3, 3}}};
    struct dsmr_buf *answer = NULL;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        assert_int_equal(call(rig, &answer, calls[i].method, NULL), DSMR_OK);
        assert_int_equal(answer->len, 2);
        assert_memory_equal(answer->bytes, calls[i].bytes, 2);
        dsmr_buf_unref(answer);
    }
    assert_int_equal(call(rig, &answer, "StateSyncEnabled", NULL), DSMR_OK);
    Dsmr__Pb__StateSyncEnabledResponse *enabled =
        dsmr__pb__state_sync_enabled_response__unpack(NULL, answer->len, answer->bytes);
    assert_false(enabled->enabled);
    assert_false(enabled->has_err); /* one would keep the chain from starting */
    dsmr__pb__state_sync_enabled_response__free_unpacked(enabled, NULL);
    dsmr_buf_unref(answer);
}

/* What is of a chain is refused before there is one; what peers send is answered and dropped. */
static void expect_no_chain(struct rig *rig)
{
    static const char *const refused[] = {
        "SetState",     "BuildBlock",    "ParseBlock",  "BatchedParseBlock",  "GetBlock",
        "GetAncestors", "SetPreference", "BlockVerify", "GetBlockIDAtHeight", "BlockAccept",
        "WaitForEvent", "BlockReject",   "Health",      "CreateHandlers"};
    static const char *const answered[] = {"AppRequest", "AppResponse",    "AppRequestFailed",
                                           "AppGossip",  "Connected",      "Disconnected",
                                           "Gather",     "NewHTTPHandler", "Version"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        expect_refused(rig, refused[i], NULL, "the chain is not initialized");
    for (size_t i = 0; i < sizeof answered / sizeof answered[0]; i++)
        assert_int_equal(call(rig, NULL, answered[i], NULL), DSMR_OK);
    assert_int_equal(call(rig, NULL, "Nonsense", NULL), DSMR_ERR_MALFORMED);
}

static void expect_healthy(struct rig *rig)
{
    struct dsmr_buf *answer = NULL;
    assert_int_equal(call(rig, &answer, "Health", NULL), DSMR_OK);
    Dsmr__Pb__HealthResponse *health =
        dsmr__pb__health_response__unpack(NULL, answer->len, answer->bytes);
    json_t *details = json_loadb((const char *)health->details.data, health->details.len, 0, NULL);
    json_int_t height = -1, executed = -1, peers = -1, validators = -1;
    int is_low = -1, is_behind = -1, is_not_served = -1;
    assert_non_null(details); /* AvalancheGo takes JSON only */
    assert_int_equal(json_unpack(details, "{s:I, s:I, s:I, s:I, s:b, s:b, s:b !}", "height",
                                 &height, "executed_height", &executed, "peers", &peers,
                                 "validators", &validators, "disk_low", &is_low, "behind",
                                 &is_behind, "not_served", &is_not_served),
                     0);
    assert_int_equal(height, 0);
    assert_int_equal(executed, 0);
    assert_int_equal(peers, 0);
    assert_int_equal(validators, 0);
    assert_int_equal(is_low, 0);
    assert_int_equal(is_not_served, 0);
    json_decref(details);
    dsmr__pb__health_response__free_unpacked(health, NULL);
    dsmr_buf_unref(answer);
}

#define WARNING "warn  plugin: genesis: time_ms is 2100-01-01 00:00:00 UTC, "

/* From the first call to the last; the chain begins in a far year, which is said. */
static void test_a_plugins_life(void **state)
{
    struct rig rig;
    char log[8192];
    Dsmr__Pb__GetBlockRequest garbage = DSMR__PB__GET_BLOCK_REQUEST__INIT;
    uint8_t id[3] = {0xff, 0xff, 0xff};
    (void)state;
    open_rig(&rig, &children[0]);
    expect_no_state_sync(&rig);
    expect_no_chain(&rig);
    DSMR_PB_BYTES(&garbage, id, id, 3); /* field 1 of an Initialize is no bytes */
    assert_int_equal(call(&rig, NULL, "Initialize", &garbage.base), DSMR_ERR_MALFORMED);
    assert_int_equal(initialize(&rig, FUTURE_MS, "{\"disk_low_bytes\": 0}"), DSMR_OK);
    assert_int_not_equal(initialize(&rig, PAST_MS, ""), DSMR_OK);
    assert_string_equal(rig.reason, "it is initialized");
    expect_healthy(&rig); /* the chain is the first one's */
    expect_no_state_sync(&rig);
    assert_int_equal(call(&rig, NULL, "CreateHandlers", NULL), DSMR_OK);
    read_log(&rig, log, sizeof log);
    if (strstr(log, WARNING) == NULL || strstr(log, "no block before then") == NULL)
        fail_msg("the log: %s", log);
    assert_int_equal(call(&rig, NULL, "Shutdown", NULL), DSMR_OK);
    close_rig(&rig, DSMR_EXIT_OK);
}

static void test_a_chain_that_has_begun_is_no_warning(void **state)
{
    struct rig rig;
    char log[8192];
    (void)state;
    open_rig(&rig, &children[1]);
    assert_int_equal(initialize(&rig, PAST_MS, ""), DSMR_OK);
    read_log(&rig, log, sizeof log);
    assert_null(strstr(log, "time_ms"));
    assert_int_equal(call(&rig, NULL, "Shutdown", NULL), DSMR_OK);
    close_rig(&rig, DSMR_EXIT_OK);
}

static void test_an_initialize_that_fails_ends_it(void **state)
{
    struct rig rig;
    char log[8192];
    (void)state;
    open_rig(&rig, &children[2]);
    assert_int_not_equal(initialize(&rig, PAST_MS, "{\"worker\": 2}"), DSMR_OK);
    assert_string_equal(rig.reason, "config: \"worker\" is not a key");
    struct child *child = rig.child;
    close_rig(&rig, DSMR_EXIT_CONFIG);
    rig.child = child;
    read_log(&rig, log, sizeof log);
    assert_non_null(strstr(log, "error plugin: config: \"worker\" is not a key"));
}

/* There are none: to ignore one would be to leave the network of those who do not. */
static void test_an_upgrade_is_refused(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, &children[4]);
    upgrade = "{}";
    assert_int_not_equal(initialize(&rig, PAST_MS, ""), DSMR_OK);
    upgrade = "";
    assert_string_equal(rig.reason, "upgrade.json: this VM has no upgrades, remove the file");
    close_rig(&rig, DSMR_EXIT_CONFIG);
}

/* The plugin of a node that was killed has not ended yet: the next one waits for the store. */
static void test_a_store_that_is_not_free_yet(void **state)
{
    static struct ending ending = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                   .changed = PTHREAD_COND_INITIALIZER};
    struct rig rig;
    struct child *child = &children[3];
    char path[128], log[8192] = "";
    size_t len = 0;
    (void)state;
    snprintf(path, sizeof path, "%s/data", child->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/data/lock", child->dir);
    int lock = open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    assert_int_equal(mkfifo(child->log, 0600), 0); /* to wait for what it says */
    int said = open(child->log, O_RDWR);
    open_rig(&rig, child);
    struct dsmr_buf *bytes = initialize_bytes(&rig, PAST_MS, "{\"disk_low_bytes\": 0}");
    dsmr_grpc_client_start(rig.client, "/vm.VM/Initialize", bytes->bytes, bytes->len,
                           CALL_TIMEOUT_MS, on_end, &ending);
    while (strstr(log, "another process has the store") == NULL) {
        ssize_t more = read(said, log + len, sizeof log - 1 - len);
        assert_true(more > 0);
        len += (size_t)more;
    }
    assert_false(ending.is_over);
    close(lock);
    await_end(&ending);
    assert_int_equal(ending.err, DSMR_OK);
    assert_int_equal(call(&rig, NULL, "Shutdown", NULL), DSMR_OK);
    unlink(child->log);
    close(open(child->log, O_CREAT | O_WRONLY, 0600));
    close_rig(&rig, DSMR_EXIT_OK);
    close(said);
    dsmr_buf_unref(bytes);
}

/* ---- blocks ---- */

#define SIBLINGS 300

/* A child that needs no context: the first block, empty. */
static struct dsmr_block *first_block(const struct dsmr_id *genesis_id, uint64_t number)
{
    struct dsmr_params params;
    struct dsmr_block *block = NULL;
    struct dsmr_block fields = {.parent_id = *genesis_id,
                                .height = 1,
                                .time_ms = strtoull(PAST_MS, NULL, 10) + 5000 + number,
                                .epoch = DSMR_EPOCH_NONE};
    dsmr_params_default(&params);
    params.domain = (struct dsmr_domain){12345, {{7}}}; /* as initialize says */
    assert_int_equal(dsmr_block_build(&block, &params, &fields), DSMR_OK);
    return block;
}

static void verify_block(struct rig *rig, const struct dsmr_block *block)
{
    Dsmr__Pb__BlockVerifyRequest message = DSMR__PB__BLOCK_VERIFY_REQUEST__INIT;
    DSMR_PB_BYTES(&message, bytes, block->bytes->bytes, block->bytes->len);
    if (call(rig, NULL, "BlockVerify", &message.base) != DSMR_OK)
        fail_msg("%s", rig->reason);
}

/* With the core itself: one proposer makes more first blocks than it keeps, and the one that it has
 * forgotten first is accepted. */
static void test_more_siblings_than_the_core_keeps(void **state)
{
    struct rig rig;
    struct dsmr_block *siblings[SIBLINGS];
    struct dsmr_id genesis_id;
    struct dsmr_buf *answer = NULL;
    Dsmr__Pb__GetBlockIDAtHeightRequest at = DSMR__PB__GET_BLOCK_IDAT_HEIGHT_REQUEST__INIT;
    Dsmr__Pb__SetPreferenceRequest prefer = DSMR__PB__SET_PREFERENCE_REQUEST__INIT;
    Dsmr__Pb__BlockAcceptRequest accept = DSMR__PB__BLOCK_ACCEPT_REQUEST__INIT;
    Dsmr__Pb__BlockRejectRequest reject = DSMR__PB__BLOCK_REJECT_REQUEST__INIT;
    Dsmr__Pb__PutResponse put = DSMR__PB__PUT_RESPONSE__INIT;
    (void)state;
    open_rig(&rig, &children[5]);
    assert_int_equal(initialize(&rig, PAST_MS, "{\"disk_low_bytes\": 0}"), DSMR_OK);
    assert_int_equal(call(&rig, &answer, "GetBlockIDAtHeight", &at.base), DSMR_OK);
    Dsmr__Pb__GetBlockIDAtHeightResponse *genesis =
        dsmr__pb__get_block_idat_height_response__unpack(NULL, answer->len, answer->bytes);
    assert_int_equal(genesis->blk_id.len, 32);
    memcpy(genesis_id.bytes, genesis->blk_id.data, 32);
    dsmr__pb__get_block_idat_height_response__free_unpacked(genesis, NULL);
    dsmr_buf_unref(answer);
    for (uint32_t i = 0; i < SIBLINGS; i++) {
        siblings[i] = first_block(&genesis_id, i);
        verify_block(&rig, siblings[i]);
    }
    DSMR_PB_BYTES(&prefer, id, siblings[1]->id.bytes, 32);
    assert_int_equal(call(&rig, NULL, "SetPreference", &prefer.base), DSMR_OK);
    fake_answer(rig.fake, &put.base);
    DSMR_PB_BYTES(&accept, id, siblings[0]->id.bytes, 32);
    if (call(&rig, NULL, "BlockAccept", &accept.base) != DSMR_OK)
        fail_msg("%s", rig.reason);
    for (uint32_t i = 1; i < SIBLINGS; i++) {
        DSMR_PB_BYTES(&reject, id, siblings[i]->id.bytes, 32);
        assert_int_equal(call(&rig, NULL, "BlockReject", &reject.base), DSMR_OK);
    }
    DSMR_PB_SET(&at, height, 1);
    assert_int_equal(call(&rig, &answer, "GetBlockIDAtHeight", &at.base), DSMR_OK);
    Dsmr__Pb__GetBlockIDAtHeightResponse *first =
        dsmr__pb__get_block_idat_height_response__unpack(NULL, answer->len, answer->bytes);
    assert_int_equal(first->blk_id.len, 32);
    assert_memory_equal(first->blk_id.data, siblings[0]->id.bytes, 32);
    dsmr__pb__get_block_idat_height_response__free_unpacked(first, NULL);
    dsmr_buf_unref(answer);
    for (uint32_t i = 0; i < SIBLINGS; i++)
        dsmr_block_unref(siblings[i]);
    assert_int_equal(call(&rig, NULL, "Shutdown", NULL), DSMR_OK);
    close_rig(&rig, DSMR_EXIT_OK);
}

/* ---- a plugin that the test has made by hand ---- */

struct by_hand {
    struct dsmr_plugin *plugin;
    struct fake *fake; /* its inbox */
    struct dsmr_vm_service *service;
    struct dsmr_grpc_client *client;
};

static void open_by_hand(struct by_hand *hand, struct dsmr_plugin *plugin)
{
    hand->plugin = plugin;
    hand->fake = fake_new();
    const struct dsmr_vm_service_config config = {.methods = dsmr_plugin_methods,
                                                  .self = plugin,
                                                  .cancelled = dsmr_plugin_on_cancelled,
                                                  .inbox = fake_inbox(hand->fake),
                                                  .metrics = &plugin->metrics,
                                                  .request_bytes_max = 1u << 20,
                                                  .app_bytes_max = 1u << 20,
                                                  .calls_max = 8};
    assert_int_equal(dsmr_vm_service_start(&hand->service, &config), DSMR_OK);
    assert_int_equal(
        dsmr_grpc_client_new(&hand->client, dsmr_vm_service_address(hand->service), 1u << 20),
        DSMR_OK);
}

static void close_by_hand(struct by_hand *hand)
{
    dsmr_grpc_client_free(hand->client);
    dsmr_vm_service_stop(hand->service);
    (void)fake_run(hand->fake);
    dsmr_vm_service_free(hand->service);
    fake_free(hand->fake);
}

static void call_by_hand(struct by_hand *hand, struct ending *ending, const char *method,
                         const void *bytes, size_t len)
{
    char path[64];
    pthread_mutex_init(&ending->lock, NULL);
    pthread_cond_init(&ending->changed, NULL);
    ending->is_over = false;
    snprintf(path, sizeof path, "/vm.VM/%s", method);
    dsmr_grpc_client_start(hand->client, path, bytes, len, CALL_TIMEOUT_MS, on_end, ending);
    fake_run_one(hand->fake);
    await_end(ending);
}

/* A chain that has halted is unhealthy, and AvalancheGo's operator reads why. */
static void test_a_halt_is_the_health(void **state)
{
    static struct dsmr_plugin plugin = {
        .is_initialized = true, .is_halted = true, .reason = "halted: the disk"};
    static struct ending ending;
    struct by_hand hand;
    (void)state;
    open_by_hand(&hand, &plugin);
    call_by_hand(&hand, &ending, "Health", NULL, 0);
    assert_int_equal(ending.err, DSMR_ERR_MALFORMED);
    assert_string_equal(ending.reason, "halted: the disk");
    close_by_hand(&hand);
}

/* Calls about peers must not fail, whatever AvalancheGo says in them: each is counted. */
static void test_calls_about_peers_that_do_not_parse(void **state)
{
    static const char *const methods[] = {"AppRequest", "AppResponse", "AppRequestFailed",
                                          "Connected", "Disconnected"};
    static const uint8_t no_message[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f};
    static const uint8_t no_node_id[] = {0x0a, 3, 1, 2, 3}; /* field 1: three bytes */
    static struct dsmr_plugin plugin = {.is_initialized = true};
    static struct ending ending;
    struct by_hand hand;
    uint64_t counted = 0;
    (void)state;
    open_by_hand(&hand, &plugin);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        call_by_hand(&hand, &ending, methods[i], no_message, sizeof no_message);
        assert_int_equal(ending.err, DSMR_OK);
        assert_int_equal(atomic_load(&plugin.metrics.errors[DSMR_ERR_MALFORMED]), ++counted);
        call_by_hand(&hand, &ending, methods[i], no_node_id, sizeof no_node_id);
        assert_int_equal(ending.err, DSMR_OK);
        assert_int_equal(atomic_load(&plugin.metrics.errors[DSMR_ERR_MALFORMED]), ++counted);
    }
    close_by_hand(&hand);
}

static int remove_dirs(void **state)
{
    char command[128];
    (void)state;
    for (size_t i = 0; i < sizeof children / sizeof children[0]; i++) {
        close(children[i].pipe[1]);
        snprintf(command, sizeof command, "rm -rf %s", children[i].dir);
        if (system(command) != 0)
            return -1;
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plugins_life),
        cmocka_unit_test(test_a_chain_that_has_begun_is_no_warning),
        cmocka_unit_test(test_an_initialize_that_fails_ends_it),
        cmocka_unit_test(test_an_upgrade_is_refused),
        cmocka_unit_test(test_a_store_that_is_not_free_yet),
        cmocka_unit_test(test_more_siblings_than_the_core_keeps),
        cmocka_unit_test(test_a_halt_is_the_health),
        cmocka_unit_test(test_calls_about_peers_that_do_not_parse),
    };
    for (size_t i = 0; i < sizeof children / sizeof children[0]; i++)
        if (!make_child(&children[i]))
            return 1;
    return cmocka_run_group_tests(tests, NULL, remove_dirs);
}
