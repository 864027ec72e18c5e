#include "avalanche/http_service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avalanche/pb.h"
#include "base/bytes.h"

#define HEADERS_MAX 4u

struct dsmr_http_service {
    struct dsmr_http_service_config config;
    struct dsmr_grpc_server *server;
};

/* ---- the path ---- */

/* "/ext/bc/CHAIN" and what follows; NULL. */
static const char *skip_base(const char *url)
{
    const char *base = "/ext/bc/";
    if (strncmp(url, base, strlen(base)) != 0)
        return NULL;
    const char *rest = url + strlen(base);
    size_t len = strcspn(rest, "/?");
    return len > 0 ? rest + len : NULL;
}

bool dsmr_http_service_split(char *out, const char **path, const char **query, const char *url)
{
    const char *rest = skip_base(url);
    if (rest == NULL)
        return false;
    char *to = out;
    *path = to;
    if (*rest != '/')
        *to++ = '/';
    for (; *rest != '\0' && *rest != '?'; rest++) {
        uint8_t byte = (uint8_t)*rest;
        if (byte == '%') {
            if (rest[1] == '\0' || rest[2] == '\0' ||
                dsmr_hex_decode(&byte, 1, rest + 1, 2) != DSMR_OK || byte == 0)
                return false;
            rest += 2;
        }
        *to++ = (char)byte;
    }
    *to++ = '\0';
    *query = NULL;
    if (*rest == '?') {
        *query = to;
        strcpy(to, rest + 1);
    }
    return true;
}

/* ---- answers ---- */

struct headers {
    Dsmr__Pb__Element elements[HEADERS_MAX];
    Dsmr__Pb__Element *list[HEADERS_MAX];
    char *values[HEADERS_MAX];
    size_t count;
};

static void add_header(struct headers *headers, const char *key, const char *value)
{
    Dsmr__Pb__Element *element = &headers->elements[headers->count];
    dsmr__pb__element__init(element);
    headers->values[headers->count] = (char *)(uintptr_t)value;
    element->key = (char *)(uintptr_t)key;
    element->n_values = 1;
    element->values = &headers->values[headers->count];
    headers->list[headers->count++] = element;
}

static void answer(void *ctx, const struct dsmr_http_response *response)
{
    struct dsmr_grpc_call *call = ctx;
    struct headers headers = {.count = 0};
    char retry[16];
    if (response->content_type != NULL)
        add_header(&headers, "Content-Type", response->content_type);
    if (response->allow != NULL)
        add_header(&headers, "Allow", response->allow);
    if (response->retry_after_s > 0) {
        snprintf(retry, sizeof retry, "%u", response->retry_after_s);
        add_header(&headers, "Retry-After", retry);
    }
    Dsmr__Pb__HandleSimpleHTTPResponse message = DSMR__PB__HANDLE_SIMPLE_HTTPRESPONSE__INIT;
    /* AvalancheGo takes a 500 for a broken plugin. */
    DSMR_PB_SET(&message, code, response->status == 500 ? 503 : response->status);
    DSMR_PB_BYTES(&message, body, response->body, response->body_len);
    message.n_headers = headers.count;
    message.headers = headers.list;
    dsmr_pb_reply(call, &message.base);
}

static void answer_error(struct dsmr_grpc_call *call, int status, const char *body)
{
    const struct dsmr_http_response response = {.status = status,
                                                .content_type = "application/json",
                                                .body = body,
                                                .body_len = strlen(body)};
    answer(call, &response);
}

/* ---- requests ---- */

static void serve(struct dsmr_http_service *service, struct dsmr_grpc_call *call,
                  const Dsmr__Pb__HandleSimpleHTTPRequest *message)
{
    const char *url = message->url != NULL ? message->url : "";
    struct dsmr_http_request request = {.method = message->method != NULL ? message->method : "",
                                        .body = (const char *)message->body.data,
                                        .body_len = message->body.len};
    if (message->body.len > service->config.body_bytes_max) {
        answer_error(call, 413,
                     "{\"error\":{\"code\":\"too_large\",\"message\":\"the body is too large\"}}");
        return;
    }
    char *room = malloc(strlen(url) + 2u);
    if (room == NULL)
        dsmr_grpc_server_fail(call, DSMR_GRPC_RESOURCE_EXHAUSTED, "out of memory");
    else if (!dsmr_http_service_split(room, &request.path, &request.query, url))
        answer_error(call, 404,
                     "{\"error\":{\"code\":\"no_such_path\",\"message\":\"no such path\"}}");
    else
        service->config.http.ops->handle(service->config.http.self, &request, answer, call);
    free(room);
}

static void handle(void *ctx, struct dsmr_grpc_call *call, const char *method, const uint8_t *bytes,
                   size_t len)
{
    struct dsmr_http_service *service = ctx;
    if (strcmp(method, "/http.HTTP/HandleSimple") != 0) {
        dsmr_grpc_server_fail(call, DSMR_GRPC_UNIMPLEMENTED, "plain HTTP/1.1 requests only");
        return;
    }
    Dsmr__Pb__HandleSimpleHTTPRequest *message =
        dsmr__pb__handle_simple_httprequest__unpack(NULL, len, bytes);
    if (message == NULL) {
        dsmr_grpc_server_fail(call, DSMR_GRPC_INTERNAL, "the request does not parse");
        return;
    }
    serve(service, call, message);
    dsmr__pb__handle_simple_httprequest__free_unpacked(message, NULL);
}

void dsmr_http_service_answer_handlers(const struct dsmr_http_service *service,
                                       struct dsmr_grpc_call *call, const char *const *patterns,
                                       size_t count)
{
    Dsmr__Pb__Handler *handlers = calloc(count + 1u, sizeof *handlers);
    Dsmr__Pb__Handler **list = calloc(count + 1u, sizeof(void *));
    Dsmr__Pb__CreateHandlersResponse response = DSMR__PB__CREATE_HANDLERS_RESPONSE__INIT;
    if (handlers == NULL || list == NULL) {
        dsmr_grpc_server_fail(call, DSMR_GRPC_RESOURCE_EXHAUSTED, "out of memory");
    } else {
        for (size_t i = 0; i < count; i++) {
            dsmr__pb__handler__init(&handlers[i]);
            handlers[i].prefix = (char *)(uintptr_t)patterns[i];
            handlers[i].server_addr = (char *)(uintptr_t)dsmr_http_service_address(service);
            list[i] = &handlers[i];
        }
        response.n_handlers = count;
        response.handlers = list;
        dsmr_pb_reply(call, &response.base);
    }
    free(handlers);
    free(list);
}

/* ---- start and stop ---- */

enum dsmr_err dsmr_http_service_start(struct dsmr_http_service **out,
                                      const struct dsmr_http_service_config *config)
{
    struct dsmr_http_service *service = calloc(1, sizeof *service);
    if (service == NULL)
        return DSMR_ERR_NO_MEMORY;
    service->config = *config;
    /* Beyond the body there are a URL and headers, which AvalancheGo has bounded. */
    const struct dsmr_grpc_server_config server = {.handle = handle,
                                                   .ctx = service,
                                                   .bytes_max = config->body_bytes_max + (4u << 20),
                                                   .calls_max = config->calls_max};
    enum dsmr_err err = dsmr_grpc_server_start(&service->server, &server);
    if (err != DSMR_OK) {
        free(service);
        return err;
    }
    *out = service;
    return DSMR_OK;
}

const char *dsmr_http_service_address(const struct dsmr_http_service *service)
{
    return dsmr_grpc_server_address(service->server);
}

void dsmr_http_service_stop(struct dsmr_http_service *service)
{
    dsmr_grpc_server_stop(service->server);
}

void dsmr_http_service_free(struct dsmr_http_service *service)
{
    if (service == NULL)
        return;
    dsmr_grpc_server_free(service->server);
    free(service);
}
