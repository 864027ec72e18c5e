/* fuzz_avalanche_http.c - what a client of AvalancheGo's HTTP door makes it say to the plugin.
 *
 * How:    even first byte: any bytes as the message that carries a request; odd: a well-formed
 *         message of {method, length of the URL u8, URL, body}. Routes are played: they answer with
 *         what the first byte chooses.
 * Checks: one answer, which AvalancheGo can read and whose code is never 500; a request reaches the
 *         routes just if its URL is one of a chain, with the path and query that the URL says,
 *         derived here again, and no more of a body than there may be. */
#include <stdlib.h>
#include <string.h>

#include "avalanche/http_service.h"
#include "avalanche/pb.h"
#include "fuzz/grpc_door.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX = 300, URL_MAX = 1 << 16 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* ---- gRPC ---- */

static uint32_t replies, failures;
static int code;

void dsmr_grpc_server_reply(struct dsmr_grpc_call *call, const uint8_t *bytes, size_t len)
{
    Dsmr__Pb__HandleSimpleHTTPResponse *response =
        dsmr__pb__handle_simple_httpresponse__unpack(NULL, len, bytes);
    (void)call;
    replies++;
    must(response != NULL && response->has_code);
    code = response->code;
    for (size_t i = 0; i < response->n_headers; i++)
        must(response->headers[i]->key[0] != '\0' && response->headers[i]->n_values == 1);
    dsmr__pb__handle_simple_httpresponse__free_unpacked(response, NULL);
}
void dsmr_grpc_server_fail(struct dsmr_grpc_call *call, int status, const char *message)
{
    (void)call;
    failures++;
    must(status != 0 && message[0] != '\0');
}

/* ---- the routes ---- */

static char expected_path[URL_MAX], *expected_query; /* NULL path in is_expected's sense: none */
static bool is_expected;
static uint32_t handled;
static uint8_t choice;

static void handle(void *self, const struct dsmr_http_request *request,
                   void (*answer)(void *ctx, const struct dsmr_http_response *response), void *ctx)
{
    static const int statuses[] = {200, 202, 400, 404, 405, 429, 500, 503};
    const struct dsmr_http_response response = {.status = statuses[choice / 2 % 8],
                                                .content_type = choice & 16 ? "text/plain" : NULL,
                                                .allow = choice & 32 ? "GET" : NULL,
                                                .retry_after_s = choice & 64,
                                                .body = "x",
                                                .body_len = choice >> 7};
    (void)self;
    handled++;
    must(is_expected && strcmp(request->path, expected_path) == 0);
    must((request->query == NULL) == (expected_query == NULL));
    must(request->query == NULL || strcmp(request->query, expected_query) == 0);
    must(request->method != NULL && request->body_len <= BODY_MAX);
    answer(ctx, &response);
}
static const struct dsmr_http_ops http_ops = {.handle = handle};

/* ---- what a URL means: /ext/bc/ALIAS[/path][?query] ---- */

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

static void expect(const char *url)
{
    static char query[URL_MAX];
    size_t n = 0;
    const char *slash = NULL;
    is_expected = false;
    expected_query = NULL;
    if (strncmp(url, "/ext/bc/", 8) != 0 || url[8] == '\0' || url[8] == '/' || url[8] == '?')
        return;
    const char *mark = strchr(url + 8, '?');
    const char *end = mark != NULL ? mark : url + strlen(url);
    slash = memchr(url + 8, '/', (size_t)(end - url - 8));
    if (slash == NULL)
        expected_path[n++] = '/';
    for (const char *at = slash != NULL ? slash : end; at < end; at++) {
        int byte = (uint8_t)*at;
        if (*at == '%') {
            if (end - at < 3 || digit(at[1]) < 0 || digit(at[2]) < 0)
                return;
            byte = digit(at[1]) * 16 + digit(at[2]);
            at += 2;
        }
        if (byte == 0)
            return;
        expected_path[n++] = (char)byte;
    }
    expected_path[n] = '\0';
    if (mark != NULL)
        expected_query = strcpy(query, mark + 1);
    is_expected = true;
}

/* ---- messages ---- */

static struct dsmr_buf *make_message(const uint8_t *bytes, size_t len)
{
    static char *const methods[] = {"GET", "POST", "HEAD", ""};
    char url[300] = "/ext/bc/c";
    Dsmr__Pb__HandleSimpleHTTPRequest message = DSMR__PB__HANDLE_SIMPLE_HTTPREQUEST__INIT;
    if (len < 2)
        return dsmr_pb_bytes(&message.base);
    size_t begin = bytes[0] & 4 ? 0 : strlen(url), url_len = bytes[1];
    message.method = methods[bytes[0] % 4];
    url_len = url_len < len - 2 ? url_len : len - 2;
    for (size_t i = 0; i < url_len; i++) /* a string has no zero byte */
        url[begin++] = (char)(bytes[2 + i] != 0 ? bytes[2 + i] : '0');
    url[begin] = '\0';
    message.url = url;
    DSMR_PB_BYTES(&message, body, bytes + 2 + url_len, len - 2 - url_len);
    return dsmr_pb_bytes(&message.base);
}

static void check_answer(const struct dsmr_buf *message)
{
    Dsmr__Pb__HandleSimpleHTTPRequest *request =
        dsmr__pb__handle_simple_httprequest__unpack(NULL, message->len, message->bytes);
    must(replies + failures == 1 && (replies == 1) == (request != NULL));
    must(replies == 0 || (code >= 200 && code <= 503 && code != 500));
    bool is_large = request != NULL && request->body.len > BODY_MAX;
    must((handled == 1) == (request != NULL && is_expected && !is_large));
    must(!is_large || code == 413);
    must(request == NULL || handled == 1 || is_large || code == 404);
    dsmr__pb__handle_simple_httprequest__free_unpacked(request, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dsmr_http_service *service;
    if (size < 1 || size >= URL_MAX)
        return 0;
    if (service == NULL) {
        const struct dsmr_http_service_config config = {
            .http.ops = &http_ops, .body_bytes_max = BODY_MAX, .calls_max = 4};
        must(dsmr_http_service_start(&service, &config) == DSMR_OK);
    }
    choice = data[0];
    replies = failures = handled = 0;
    struct dsmr_buf *message =
        choice % 2 == 0 ? dsmr_buf_copy(data + 1, size - 1) : make_message(data + 1, size - 1);
    must(message != NULL);
    Dsmr__Pb__HandleSimpleHTTPRequest *request =
        dsmr__pb__handle_simple_httprequest__unpack(NULL, message->len, message->bytes);
    expect(request != NULL && request->url != NULL ? request->url : "");
    dsmr__pb__handle_simple_httprequest__free_unpacked(request, NULL);
    server.handle(server.ctx, NULL, "/http.HTTP/HandleSimple", message->bytes, message->len);
    check_answer(message);
    dsmr_buf_unref(message);
    return 0;
}
