#include "plugin/plugin_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/routes.h"
#include "avalanche/gather.h"
#include "host/host_clock.h"

#define PATTERNS_MAX 64u
#define LAST_WORDS_MS 500u /* for the answer to an Initialize that failed */

/* ---- calls of AvalancheGo ---- */

static void on_initialize(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *bytes)
{
    struct dsmr_plugin *p = self;
    if (p->is_initialized || p->reason[0] != '\0') {
        dsmr_grpc_server_fail(call, DSMR_GRPC_FAILED_PRECONDITION, "it is initialized");
        return;
    }
    Dsmr__Pb__InitializeRequest *request =
        dsmr_pb_read(&p->metrics, call, &dsmr__pb__initialize_request__descriptor, bytes);
    if (request == NULL)
        return;
    p->is_initialized = dsmr_plugin_initialize(p, request);
    protobuf_c_message_free_unpacked(&request->base, NULL);
    if (p->is_initialized) {
        dsmr_snow_engine_answer_initialize(p->engine, call);
        return;
    }
    struct dsmr_clock clock = dsmr_host_clock();
    dsmr_plugin_say(p, DSMR_LOG_ERROR, p->reason);
    p->ends_ms = clock.ops->mono_ms(clock.self) + LAST_WORDS_MS;
    dsmr_grpc_server_fail(call, DSMR_GRPC_FAILED_PRECONDITION, p->reason);
}

/* True if there is a chain; else the call is answered. */
static bool has_chain(struct dsmr_plugin *p, struct dsmr_grpc_call *call)
{
    if (p->is_initialized)
        return true;
    dsmr_grpc_server_fail(call, DSMR_GRPC_FAILED_PRECONDITION, "the chain is not initialized");
    return false;
}

#define ENGINE_CALL(name, function)                                                                \
    static void name(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)            \
    {                                                                                              \
        struct dsmr_plugin *p = self;                                                              \
        if (has_chain(p, call))                                                                    \
            function(p->engine, call, request);                                                    \
    }
ENGINE_CALL(on_set_state, dsmr_snow_engine_set_state)
ENGINE_CALL(on_build, dsmr_snow_engine_build)
ENGINE_CALL(on_parse, dsmr_snow_engine_parse)
ENGINE_CALL(on_parse_batch, dsmr_snow_engine_parse_batch)
ENGINE_CALL(on_get_block, dsmr_snow_engine_get_block)
ENGINE_CALL(on_get_ancestors, dsmr_snow_engine_get_ancestors)
ENGINE_CALL(on_get_id_at, dsmr_snow_engine_get_id_at)
ENGINE_CALL(on_prefer, dsmr_snow_engine_prefer)
ENGINE_CALL(on_verify, dsmr_snow_engine_verify)
ENGINE_CALL(on_accept, dsmr_snow_engine_accept)
ENGINE_CALL(on_reject, dsmr_snow_engine_reject)

static void on_wait_for_event(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct dsmr_plugin *p = self;
    (void)request;
    if (has_chain(p, call))
        dsmr_snow_engine_wait_for_event(p->engine, call);
}

void dsmr_plugin_on_cancelled(void *self, uint64_t serial)
{
    struct dsmr_plugin *p = self;
    if (p->is_initialized)
        dsmr_snow_engine_cancelled(p->engine, serial);
}

static void on_version(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    Dsmr__Pb__VersionResponse response = DSMR__PB__VERSION_RESPONSE__INIT;
    (void)self;
    (void)request;
    response.version = "dsmr/" DSMR_VERSION;
    dsmr_pb_reply(call, &response.base);
}

static void on_shutdown(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct dsmr_plugin *p = self;
    (void)request;
    atomic_store(&p->may_end, true);
    atomic_store(&p->is_stopping, true);
    if (p->engine != NULL)
        dsmr_snow_engine_close(p->engine, "the chain is shut down");
    dsmr_grpc_server_reply(call, NULL, 0);
}

static void on_create_handlers(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct dsmr_plugin *p = self;
    const struct dsmr_routes_entry *entries;
    const char *patterns[PATTERNS_MAX];
    size_t count = 0, entries_count = dsmr_routes_list(&entries);
    (void)request;
    if (!has_chain(p, call))
        return;
    for (size_t i = 0; i < entries_count && count < PATTERNS_MAX; i++) {
        size_t k = 0; /* a path may have several methods */
        while (k < count && strcmp(patterns[k], entries[i].pattern) != 0)
            k++;
        if (k == count)
            patterns[count++] = entries[i].pattern;
    }
    dsmr_http_service_answer_handlers(p->http, call, patterns, count);
}

static void answer_empty(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    (void)self;
    (void)request;
    dsmr_grpc_server_reply(call, NULL, 0);
}

static void on_gather(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct dsmr_plugin *p = self;
    (void)request;
    dsmr_gather_answer(call, &p->metrics);
}

static void on_state_sync_enabled(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    Dsmr__Pb__StateSyncEnabledResponse response = DSMR__PB__STATE_SYNC_ENABLED_RESPONSE__INIT;
    (void)self;
    (void)request;
    DSMR_PB_SET(&response, enabled, false);
    dsmr_pb_reply(call, &response.base);
}

static void no_summary(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    Dsmr__Pb__StateSummaryResponse response = DSMR__PB__STATE_SUMMARY_RESPONSE__INIT;
    (void)self;
    (void)request;
    DSMR_PB_SET(&response, err, DSMR__PB__ERROR__ERROR_STATE_SYNC_NOT_IMPLEMENTED);
    dsmr_pb_reply(call, &response.base);
}

static void no_parsed_summary(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    Dsmr__Pb__ParseStateSummaryResponse response = DSMR__PB__PARSE_STATE_SUMMARY_RESPONSE__INIT;
    (void)self;
    (void)request;
    DSMR_PB_SET(&response, err, DSMR__PB__ERROR__ERROR_STATE_SYNC_NOT_IMPLEMENTED);
    dsmr_pb_reply(call, &response.base);
}

static void no_summary_at(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    Dsmr__Pb__GetStateSummaryResponse response = DSMR__PB__GET_STATE_SUMMARY_RESPONSE__INIT;
    (void)self;
    (void)request;
    DSMR_PB_SET(&response, err, DSMR__PB__ERROR__ERROR_STATE_SYNC_NOT_IMPLEMENTED);
    dsmr_pb_reply(call, &response.base);
}

static void no_summary_accept(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    Dsmr__Pb__StateSummaryAcceptResponse response = DSMR__PB__STATE_SUMMARY_ACCEPT_RESPONSE__INIT;
    (void)self;
    (void)request;
    DSMR_PB_SET(&response, err, DSMR__PB__ERROR__ERROR_STATE_SYNC_NOT_IMPLEMENTED);
    dsmr_pb_reply(call, &response.base);
}

static void on_health(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct dsmr_plugin *p = self;
    char text[512];
    struct dsmr_query_status status;
    (void)request;
    if (!has_chain(p, call))
        return;
    if (p->is_halted) {
        dsmr_grpc_server_fail(call, DSMR_GRPC_UNKNOWN, p->reason);
        return;
    }
    struct dsmr_query query = dsmr_driver_query_port(p->driver);
    query.ops->status(query.self, &status);
    snprintf(text, sizeof text,
             "{\"height\":%" PRIu64 ",\"executed_height\":%" PRIu64
             ",\"peers\":%u,\"validators\":%u,\"disk_low\":%s,\"behind\":%s,\"not_served\":%s}",
             status.height, status.executed_height, status.peers_connected, status.validators,
             status.is_disk_low ? "true" : "false", status.is_behind ? "true" : "false",
             status.is_unserved ? "true" : "false");
    Dsmr__Pb__HealthResponse response = DSMR__PB__HEALTH_RESPONSE__INIT;
    DSMR_PB_BYTES(&response, details, text, strlen(text));
    dsmr_pb_reply(call, &response.base);
}

/* ---- what peers send; these calls are answered ---- */

void dsmr_plugin_on_other_request(void *ctx, const struct dsmr_node_id *from, uint32_t request_id,
                                  uint64_t handler, const uint8_t *bytes, size_t len)
{
    struct dsmr_plugin *p = ctx;
    if (handler == DSMR_ACP118_HANDLER)
        dsmr_acp118_answer(&p->acp118, from, request_id, bytes, len);
    else if (handler == DSMR_DIRECT_NET_HANDLER && p->direct != NULL)
        dsmr_direct_net_on_request(p->direct, from, request_id, bytes, len);
    else {
        dsmr_metrics_count_error(&p->metrics, DSMR_ERR_UNEXPECTED);
        dsmr_app_net_refuse(p->net, from, request_id, DSMR_APP_NET_UNREGISTERED,
                            "unregistered handler");
    }
}

/* A request of AvalancheGo's about a peer; NULL: it does not parse, and is counted. */
static void *read_of_peer(struct dsmr_plugin *p, const ProtobufCMessageDescriptor *descriptor,
                          const struct dsmr_buf *request)
{
    return dsmr_pb_read(&p->metrics, NULL, descriptor, request);
}

/* False if there is no chain yet, or if it is no node id, which is counted. */
static bool is_of_peer(struct dsmr_plugin *p, struct dsmr_node_id *out, ProtobufCBinaryData id)
{
    if (!p->is_initialized)
        return false;
    if (dsmr_pb_node_id(out, id))
        return true;
    dsmr_metrics_count_error(&p->metrics, DSMR_ERR_MALFORMED);
    return false;
}

static void on_app_request(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct dsmr_plugin *p = self;
    struct dsmr_node_id from;
    (void)call;
    Dsmr__Pb__AppRequestMsg *message =
        read_of_peer(p, &dsmr__pb__app_request_msg__descriptor, request);
    if (message != NULL && is_of_peer(p, &from, message->node_id))
        dsmr_app_net_on_request(p->net, &from, message->request_id, message->request.data,
                                message->request.len);
    dsmr__pb__app_request_msg__free_unpacked(message, NULL);
}

static void on_app_response(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct dsmr_plugin *p = self;
    struct dsmr_node_id from;
    (void)call;
    Dsmr__Pb__AppResponseMsg *message =
        read_of_peer(p, &dsmr__pb__app_response_msg__descriptor, request);
    if (message != NULL && is_of_peer(p, &from, message->node_id))
        dsmr_app_net_on_end(p->net, &from, message->request_id, true);
    dsmr__pb__app_response_msg__free_unpacked(message, NULL);
}

static void on_app_failed(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct dsmr_plugin *p = self;
    struct dsmr_node_id from;
    (void)call;
    Dsmr__Pb__AppRequestFailedMsg *message =
        read_of_peer(p, &dsmr__pb__app_request_failed_msg__descriptor, request);
    if (message != NULL && is_of_peer(p, &from, message->node_id))
        dsmr_app_net_on_end(p->net, &from, message->request_id, false);
    dsmr__pb__app_request_failed_msg__free_unpacked(message, NULL);
}

/* Nothing that we need comes so. */
static void on_app_gossip(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct dsmr_plugin *p = self;
    (void)call;
    (void)request;
    dsmr_metrics_count_error(&p->metrics, DSMR_ERR_UNEXPECTED);
}

static void on_connected(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct dsmr_plugin *p = self;
    struct dsmr_node_id peer;
    Dsmr__Pb__ConnectedRequest *message =
        read_of_peer(p, &dsmr__pb__connected_request__descriptor, request);
    if (message != NULL && is_of_peer(p, &peer, message->node_id))
        dsmr_app_net_connected(p->net, &peer, true);
    dsmr__pb__connected_request__free_unpacked(message, NULL);
    dsmr_grpc_server_reply(call, NULL, 0);
}

static void on_disconnected(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct dsmr_plugin *p = self;
    struct dsmr_node_id peer;
    Dsmr__Pb__DisconnectedRequest *message =
        read_of_peer(p, &dsmr__pb__disconnected_request__descriptor, request);
    if (message != NULL && is_of_peer(p, &peer, message->node_id))
        dsmr_app_net_connected(p->net, &peer, false);
    dsmr__pb__disconnected_request__free_unpacked(message, NULL);
    dsmr_grpc_server_reply(call, NULL, 0);
}

const struct dsmr_vm_service_method dsmr_plugin_methods[] = {
    {"Initialize", on_initialize},
    {"SetState", on_set_state},
    {"Shutdown", on_shutdown},
    {"CreateHandlers", on_create_handlers},
    {"NewHTTPHandler", answer_empty},
    {"WaitForEvent", on_wait_for_event},
    {"Connected", on_connected},
    {"Disconnected", on_disconnected},
    {"BuildBlock", on_build},
    {"ParseBlock", on_parse},
    {"GetBlock", on_get_block},
    {"SetPreference", on_prefer},
    {"Health", on_health},
    {"Version", on_version},
    {"AppRequest", on_app_request},
    {"AppRequestFailed", on_app_failed},
    {"AppResponse", on_app_response},
    {"AppGossip", on_app_gossip},
    {"Gather", on_gather},
    {"GetAncestors", on_get_ancestors},
    {"BatchedParseBlock", on_parse_batch},
    {"GetBlockIDAtHeight", on_get_id_at},
    {"StateSyncEnabled", on_state_sync_enabled},
    {"GetOngoingSyncStateSummary", no_summary},
    {"GetLastStateSummary", no_summary},
    {"ParseStateSummary", no_parsed_summary},
    {"GetStateSummary", no_summary_at},
    {"BlockVerify", on_verify},
    {"BlockAccept", on_accept},
    {"BlockReject", on_reject},
    {"StateSummaryAccept", no_summary_accept},
    {NULL, NULL},
};
