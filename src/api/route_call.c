#include "api/route_call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

#define NUMBER_MAX (UINT64_C(1) << 53)
#define HEX_BYTES_MAX 128u
#define PARAM_SHOWN_MAX 60u

int dsmr_route_call_status_of(enum dsmr_err err)
{
    switch (err) {
    case DSMR_OK:
        return 200;
    case DSMR_ERR_TOO_LARGE:
        return 413;
    case DSMR_ERR_DUPLICATE:
    case DSMR_ERR_INSUFFICIENT:
    case DSMR_ERR_FEE_LIMIT:
        return 409;
    case DSMR_ERR_UNKNOWN:
        return 404;
    case DSMR_ERR_EXPIRED:
    case DSMR_ERR_PRUNED:
        return 410;
    case DSMR_ERR_TIMEOUT:
        return 504;
    case DSMR_ERR_HALTED:
    case DSMR_ERR_CLOSED:
    case DSMR_ERR_UNAVAILABLE:
        return 503;
    default:
        break;
    }
    switch (dsmr_err_class_of(err)) {
    case DSMR_ERR_CLASS_PEER:
        return 400;
    case DSMR_ERR_CLASS_STATE:
        return 503;
    default:
        return 500;
    }
}

static void send_json(const struct dsmr_route_call *call, int status, const char *allow,
                      json_t *body)
{
    static const char no_memory[] =
        "{\"error\":{\"code\":\"no_memory\",\"message\":\"out of memory\"}}";
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    struct dsmr_http_response response = {.status = text != NULL ? status : 500,
                                          .content_type = "application/json",
                                          .allow = allow,
                                          .retry_after_s = status == 503 ? 1 : 0,
                                          .body = text != NULL ? text : no_memory};
    if (text == NULL) {
        dsmr_metrics_count_error(call->config->metrics, DSMR_ERR_NO_MEMORY);
    }
    response.body_len = strlen(response.body);
    call->answer(call->ctx, &response);
    free(text);
    json_decref(body);
}

void dsmr_route_call_json(const struct dsmr_route_call *call, int status, json_t *body)
{
    send_json(call, status, NULL, body);
}

void dsmr_route_call_text(const struct dsmr_route_call *call, int status, const char *content_type,
                          const char *text, size_t len)
{
    const struct dsmr_http_response response = {
        .status = status, .content_type = content_type, .body = text, .body_len = len};
    call->answer(call->ctx, &response);
}

static json_t *error_json(const char *code, const char *message)
{
    return json_pack("{s:{s:s,s:s}}", "error", "code", code, "message", message);
}

void dsmr_route_call_err(const struct dsmr_route_call *call, enum dsmr_err err)
{
    dsmr_metrics_count_error(call->config->metrics, err);
    send_json(call, dsmr_route_call_status_of(err), NULL,
              error_json(dsmr_err_name(err), dsmr_err_text(err)));
}

void dsmr_route_call_absent(const struct dsmr_route_call *call, enum dsmr_err err,
                            const char *sentence)
{
    if (err != DSMR_ERR_UNKNOWN) {
        dsmr_route_call_err(call, err);
        return;
    }
    dsmr_metrics_count_error(call->config->metrics, err);
    send_json(call, 404, NULL, error_json(dsmr_err_name(err), sentence));
}

void dsmr_route_call_bad(const struct dsmr_route_call *call, const char *message)
{
    dsmr_metrics_count_error(call->config->metrics, DSMR_ERR_MALFORMED);
    send_json(call, 400, NULL, error_json("bad_request", message));
}

void dsmr_route_call_no_path(const struct dsmr_route_call *call)
{
    dsmr_metrics_count_error(call->config->metrics, DSMR_ERR_UNKNOWN);
    send_json(call, 404, NULL, error_json("no_such_path", "nothing is at this path"));
}

void dsmr_route_call_no_method(const struct dsmr_route_call *call, const char *allow)
{
    dsmr_metrics_count_error(call->config->metrics, DSMR_ERR_UNEXPECTED);
    send_json(call, 405, allow,
              error_json("method_not_allowed", "the path does not have this method"));
}

/* 400 with a sentence about one parameter. */
static void refuse_param(const struct dsmr_route_call *call, const char *name, size_t len,
                         const char *what)
{
    char message[128 + PARAM_SHOWN_MAX];
    char shown[PARAM_SHOWN_MAX + 1];
    size_t shown_len = len < PARAM_SHOWN_MAX ? len : PARAM_SHOWN_MAX;
    for (size_t i = 0; i < shown_len; i++) { /* JSON takes no bytes that are no text */
        shown[i] = '?';
        if (name[i] >= ' ' && name[i] <= '~') {
            shown[i] = name[i];
        }
    }
    shown[shown_len] = '\0';
    (void)snprintf(message, sizeof(message), "query parameter \"%s%s\" %s", shown,
                   len > shown_len ? "..." : "", what);
    dsmr_route_call_bad(call, message);
}

static bool is_listed(const char *known, const char *name, size_t len)
{
    while (*known != '\0') {
        size_t known_len = strcspn(known, " ");
        if (known_len == len && memcmp(known, name, len) == 0) {
            return true;
        }
        known += known_len + strspn(known + known_len, " ");
    }
    return false;
}

/* Whether a parameter of this name stands in the query before at. */
static bool was_before(const char *query, const char *at, size_t name_len)
{
    while (query < at) {
        if (strncmp(query, at, name_len) == 0 && query[name_len] == '=') {
            return true;
        }
        query += strcspn(query, "&");
        query += *query == '&' ? 1 : 0;
    }
    return false;
}

bool dsmr_route_call_check_query(const struct dsmr_route_call *call, const char *known)
{
    const char *query = call->request->query;
    for (const char *at = query; at != NULL && *at != '\0';) {
        size_t len = strcspn(at, "&");
        size_t name_len = strcspn(at, "=&");
        const char *wrong = NULL;
        if (len > 0 && !is_listed(known, at, name_len)) {
            wrong = "is not known at this path";
        } else if (len > 0 && len <= name_len + 1) {
            wrong = "has no value";
        } else if (len > 0 && was_before(query, at, name_len)) {
            wrong = "stands there twice";
        }
        if (wrong != NULL) {
            refuse_param(call, at, name_len, wrong);
            return false;
        }
        at += len + (at[len] == '&' ? 1 : 0);
    }
    return true;
}

bool dsmr_route_call_query(const struct dsmr_route_call *call, const char *name, char *out,
                           size_t capacity)
{
    size_t name_len = strlen(name);
    for (const char *at = call->request->query; at != NULL && *at != '\0';) {
        size_t len = strcspn(at, "&");
        if (len > name_len && at[name_len] == '=' && strncmp(at, name, name_len) == 0) {
            size_t value_len = len - name_len - 1;
            if (value_len >= capacity) {
                value_len = 0;
            }
            memcpy(out, at + name_len + 1, value_len);
            out[value_len] = '\0';
            return true;
        }
        at += len + (at[len] == '&' ? 1 : 0);
    }
    return false;
}

bool dsmr_route_call_u64(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

bool dsmr_route_call_id(const char *text, struct dsmr_id *out)
{
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        text += 2;
    }
    return dsmr_hex_decode(out->bytes, sizeof(out->bytes), text, strlen(text)) == DSMR_OK;
}

bool dsmr_route_call_page(const struct dsmr_route_call *call, uint64_t *cursor, uint32_t *limit,
                          uint32_t limit_max)
{
    char text[24], message[64];
    uint64_t wanted = *limit;
    *cursor = 0;
    if (dsmr_route_call_query(call, "cursor", text, sizeof(text)) &&
        !dsmr_route_call_u64(text, cursor)) {
        dsmr_route_call_bad(call, "cursor must be what the last page gave");
        return false;
    }
    if (dsmr_route_call_query(call, "limit", text, sizeof(text)) &&
        (!dsmr_route_call_u64(text, &wanted) || wanted < 1 || wanted > limit_max)) {
        (void)snprintf(message, sizeof(message), "limit must be a number from 1 to %" PRIu32,
                       limit_max);
        dsmr_route_call_bad(call, message);
        return false;
    }
    *limit = (uint32_t)wanted;
    return true;
}

json_t *dsmr_route_call_number(uint64_t value)
{
    return value <= NUMBER_MAX ? json_integer((json_int_t)value) : dsmr_route_call_decimal(value);
}

json_t *dsmr_route_call_decimal(uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    return json_string(text);
}

json_t *dsmr_route_call_hex(const void *bytes, size_t len)
{
    char text[2 * HEX_BYTES_MAX + 1];
    DSMR_ASSERT(len <= HEX_BYTES_MAX);
    dsmr_hex_encode(text, bytes, len);
    return json_string(text);
}

json_t *dsmr_route_call_epoch(uint64_t epoch)
{
    return epoch == DSMR_EPOCH_NONE ? json_null() : dsmr_route_call_number(epoch);
}
