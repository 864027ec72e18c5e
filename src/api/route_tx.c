#include <stdlib.h>
#include <string.h>

#include "api/route_call.h"
#include "wire/tx_head.h"

#define EXPIRY_GRACE_MS 2000u /* a block may come a little after the expiry */
#define WAIT_MS_MIN 1u

static const char *state_name(enum dsmr_query_tx_state state)
{
    switch (state) {
    case DSMR_TX_PENDING:
        return "pending";
    case DSMR_TX_IN_CHUNK:
        return "in_chunk";
    case DSMR_TX_CERTIFIED:
        return "certified";
    case DSMR_TX_IN_BLOCK:
        return "in_block";
    case DSMR_TX_EXECUTED:
        return "executed";
    case DSMR_TX_FAILED:
        return "failed";
    case DSMR_TX_EXPIRED:
        return "expired";
    default:
        return "unknown";
    }
}

static const char *mode_name(enum dsmr_waits_mode mode)
{
    static const char *const names[] = {"sync", "certified", "executed"};
    return names[mode];
}

static bool has_run(enum dsmr_query_tx_state state)
{
    return state == DSMR_TX_EXECUTED || state == DSMR_TX_FAILED;
}

/* tx, state, chunk, height, code, reason, fee: null where it is not known yet. */
static json_t *tx_json(const struct dsmr_id *id, const struct dsmr_query_tx *tx)
{
    json_t *out = json_pack("{s:o,s:s}", "tx", dsmr_route_call_hex(id->bytes, sizeof(id->bytes)),
                            "state", state_name(tx->state));
    if (out == NULL) {
        return NULL;
    }
    bool in_block = tx->state == DSMR_TX_IN_BLOCK || has_run(tx->state);
    json_object_set_new(out, "chunk",
                        dsmr_id_is_zero(&tx->chunk_id)
                            ? json_null()
                            : dsmr_route_call_hex(tx->chunk_id.bytes, sizeof(tx->chunk_id.bytes)));
    json_object_set_new(out, "height", in_block ? dsmr_route_call_number(tx->height) : json_null());
    json_object_set_new(out, "code",
                        has_run(tx->state) ? json_integer(tx->result.code) : json_null());
    json_object_set_new(out, "reason",
                        has_run(tx->state) && tx->code_text != NULL ? json_string(tx->code_text)
                                                                    : json_null());
    json_object_set_new(out, "fee",
                        has_run(tx->state) ? dsmr_route_call_decimal(tx->result.fee) : json_null());
    return out;
}

void dsmr_route_tx_get(const struct dsmr_route_call *call)
{
    struct dsmr_id id;
    struct dsmr_query_tx tx = {.state = DSMR_TX_UNKNOWN};
    if (!dsmr_route_call_id(call->param, &id)) {
        dsmr_route_call_bad(call, "a transaction id has 64 hexadecimal digits");
        return;
    }
    enum dsmr_err err = dsmr_tracker_where(call->config->tracker, &tx, &id);
    if (err != DSMR_OK) {
        dsmr_route_call_absent(call, err, "this node knows no transaction with this id");
        return;
    }
    dsmr_route_call_json(call, 200, tx_json(&id, &tx));
}

/* ---- POST ---- */

struct waiting {
    struct dsmr_route_call call; /* without its request */
};

/* An error with the id beside it, so that the client can ask again later. now: the state that is
 * known at this moment, if it is. */
static json_t *refusal_json(const struct dsmr_waits_news *news, enum dsmr_query_tx_state now)
{
    json_t *out = json_pack("{s:{s:s,s:s},s:o}", "error", "code", dsmr_err_name(news->err),
                            "message", dsmr_err_text(news->err), "tx",
                            dsmr_route_call_hex(news->id.bytes, sizeof(news->id.bytes)));
    if (out != NULL) {
        json_object_set_new(out, "state",
                            json_string(state_name(now != DSMR_TX_UNKNOWN ? now : news->state)));
    }
    return out;
}

static void on_news(void *ctx, const struct dsmr_waits_news *news)
{
    struct waiting *waiting = ctx;
    struct dsmr_query_tx now = {.state = DSMR_TX_UNKNOWN};
    if (news->err == DSMR_OK || news->err == DSMR_ERR_TIMEOUT) {
        enum dsmr_err err = dsmr_tracker_where(waiting->call.config->tracker, &now, &news->id);
        now.state = err == DSMR_OK ? now.state : DSMR_TX_UNKNOWN;
    }
    if (news->err != DSMR_OK) {
        if (!news->is_counted) {
            dsmr_metrics_count_error(waiting->call.config->metrics, news->err);
        }
        dsmr_route_call_json(&waiting->call, dsmr_route_call_status_of(news->err),
                             refusal_json(news, now.state));
    } else {
        struct dsmr_query_tx tx = {.state = news->state,
                                   .chunk_id = now.chunk_id,
                                   .height = news->height,
                                   .result = news->result,
                                   .code_text = now.code_text};
        json_t *body = tx_json(&news->id, &tx);
        if (body != NULL) {
            json_object_set_new(body, "mode", json_string(mode_name(news->mode)));
        }
        dsmr_route_call_json(&waiting->call, 200, body);
    }
    free(waiting);
}

static const char form[] = "the body must be {\"tx\":\"HEX\"} and nothing else";

/* What would cost the parser much is refused before it runs; NULL if there is nothing. It recurses
 * at each level of nesting, and a list of {} takes 75 times its bytes. */
static const char *what_is_dear(const char *text, size_t len)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > DSMR_ROUTES_DEPTH_MAX) {
                return "the body is nested deeper than 8";
            }
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        } else if (c == ',') {
            return form;
        }
    }
    return NULL;
}

/* The transaction's bytes from {"tx":"hex"}; NULL after an answer. */
static struct dsmr_buf *read_tx(const struct dsmr_route_call *call)
{
    const struct dsmr_http_request *request = call->request;
    struct dsmr_buf *bytes = NULL;
    json_t *body = NULL;
    const char *wrong = what_is_dear(request->body, request->body_len);
    if (wrong != NULL) {
        goto out;
    }
    body = json_loadb(request->body, request->body_len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *tx = json_object_get(body, "tx");
    if (!json_is_string(tx) || json_object_size(body) != 1) {
        wrong = form;
        goto out;
    }
    const char *hex = json_string_value(tx);
    size_t hex_len = json_string_length(tx);
    if (hex_len >= 2 && hex[0] == '0' && hex[1] == 'x') {
        hex += 2;
        hex_len -= 2;
    }
    if (hex_len / 2 < DSMR_TX_BYTES_MIN || hex_len % 2 != 0) {
        wrong = "a transaction has at least 16 bytes, two hexadecimal digits each";
        goto out;
    }
    bytes = dsmr_buf_new(hex_len / 2);
    if (bytes == NULL) {
        dsmr_route_call_err(call, DSMR_ERR_NO_MEMORY);
    } else if (dsmr_hex_decode(bytes->bytes, hex_len / 2, hex, hex_len) != DSMR_OK) {
        wrong = "tx has characters that are not hexadecimal digits";
        dsmr_buf_unref(bytes);
        bytes = NULL;
    }
out:
    if (wrong != NULL) {
        dsmr_route_call_bad(call, wrong);
    }
    json_decref(body);
    return bytes;
}

/* mode and timeout_ms of the query; false after an answer. */
static bool read_mode(const struct dsmr_route_call *call, bool *is_async,
                      enum dsmr_waits_mode *mode, uint64_t *timeout_ms)
{
    char text[24] = "sync";
    bool is_known = true;
    (void)dsmr_route_call_query(call, "mode", text, sizeof(text));
    *is_async = false;
    *mode = DSMR_WAITS_ADMITTED;
    if (strcmp(text, "async") == 0) {
        *is_async = true;
    } else if (strcmp(text, "certified") == 0) {
        *mode = DSMR_WAITS_CERTIFIED;
    } else if (strcmp(text, "executed") == 0) {
        *mode = DSMR_WAITS_EXECUTED;
    } else {
        is_known = strcmp(text, "sync") == 0;
    }
    if (!is_known) {
        dsmr_route_call_bad(call, "mode must be async, sync, certified or executed");
        return false;
    }
    *timeout_ms = call->config->wait_ms_max;
    if (dsmr_route_call_query(call, "timeout_ms", text, sizeof(text)) &&
        (!dsmr_route_call_u64(text, timeout_ms) || *timeout_ms < WAIT_MS_MIN)) {
        dsmr_route_call_bad(call, "timeout_ms must be a number of milliseconds, at least 1");
        return false;
    }
    if (*timeout_ms > call->config->wait_ms_max) {
        *timeout_ms = call->config->wait_ms_max;
    }
    return true;
}

/* Waiting longer than the transaction can still run would be in vain. */
static uint64_t deadline_of(const struct dsmr_routes_config *config, const struct dsmr_buf *tx,
                            uint64_t timeout_ms)
{
    const struct dsmr_clock *clock = &config->clock;
    uint64_t expiry_ms = dsmr_tx_expiry_ms(tx->bytes);
    uint64_t wall_ms = clock->ops->wall_ms(clock->self);
    uint64_t left_ms = expiry_ms > wall_ms ? expiry_ms - wall_ms : 0;
    if (left_ms < UINT64_MAX - EXPIRY_GRACE_MS && left_ms + EXPIRY_GRACE_MS < timeout_ms) {
        timeout_ms = left_ms + EXPIRY_GRACE_MS;
    }
    return clock->ops->mono_ms(clock->self) + timeout_ms;
}

static enum dsmr_err hand_over(const struct dsmr_route_call *call, struct dsmr_buf *tx,
                               uint64_t ticket)
{
    const struct dsmr_submit *submit = &call->config->submit;
    struct dsmr_submit_batch *batch = dsmr_tracker_batch_new(tx, 1);
    if (batch == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    batch->txs[0].offset = 0;
    batch->txs[0].len = tx->len;
    batch->txs[0].tag = ticket;
    dsmr_metrics_add(call->config->metrics, DSMR_METRIC_SUBMIT_TXS, 1);
    if (!submit->ops->submit(submit->self, batch)) {
        dsmr_tracker_batch_free(batch);
        dsmr_metrics_add(call->config->metrics, DSMR_METRIC_TXS_REFUSED, 1);
        return DSMR_ERR_MEMPOOL_FULL;
    }
    return DSMR_OK;
}

/* Whether it came in before and is on its way or has run: then it need not come in again. The core
 * would not know one that is in a chunk, and put it into another. */
static bool is_known(const struct dsmr_route_call *call, struct dsmr_query_tx *known,
                     const struct dsmr_id *id)
{
    bool is_so = dsmr_tracker_where(call->config->tracker, known, id) == DSMR_OK &&
                 known->state != DSMR_TX_EXPIRED;
    if (is_so) { /* as the core counts what it knows */
        dsmr_metrics_add(call->config->metrics, DSMR_METRIC_SUBMIT_TXS, 1);
        dsmr_metrics_add(call->config->metrics, DSMR_METRIC_TXS_REFUSED, 1);
        dsmr_metrics_count_error(call->config->metrics, DSMR_ERR_DUPLICATE);
    }
    return is_so;
}

static void submit_async(const struct dsmr_route_call *call, struct dsmr_buf *tx,
                         const struct dsmr_id *id)
{
    struct dsmr_query_tx known = {.state = DSMR_TX_UNKNOWN};
    enum dsmr_err err = is_known(call, &known, id) ? DSMR_OK : hand_over(call, tx, 0);
    if (err != DSMR_OK) {
        dsmr_route_call_err(call, err);
        return;
    }
    dsmr_route_call_json(call, 202,
                         json_pack("{s:o,s:s,s:s}", "tx",
                                   dsmr_route_call_hex(id->bytes, sizeof(id->bytes)), "state",
                                   state_name(known.state), "mode", "async"));
}

static void submit_and_wait(const struct dsmr_route_call *call, struct dsmr_buf *tx,
                            const struct dsmr_waits_news *what, uint64_t timeout_ms)
{
    uint64_t ticket = 0;
    struct waiting *waiting = malloc(sizeof(*waiting));
    if (waiting == NULL) {
        dsmr_route_call_err(call, DSMR_ERR_NO_MEMORY);
        return;
    }
    waiting->call = (struct dsmr_route_call){
        .config = call->config, .param = "", .answer = call->answer, .ctx = call->ctx};
    enum dsmr_err err = dsmr_waits_add(call->config->waits, &ticket, what,
                                       deadline_of(call->config, tx, timeout_ms), on_news, waiting);
    if (err != DSMR_OK) {
        free(waiting);
        dsmr_route_call_err(call, err == DSMR_ERR_FULL ? DSMR_ERR_BUSY : err);
        return;
    }
    struct dsmr_query_tx known = {.state = DSMR_TX_UNKNOWN};
    /* The wait is there before this look, so no news can fall between them. */
    if (is_known(call, &known, &what->id)) {
        dsmr_waits_submitted(call->config->waits, ticket, DSMR_ERR_DUPLICATE, &known);
        return;
    }
    err = hand_over(call, tx, ticket);
    /* If the wait is gone, close or a deadline has answered in the meantime. */
    if (err != DSMR_OK && dsmr_waits_cancel(call->config->waits, ticket)) {
        free(waiting);
        dsmr_route_call_err(call, err);
    }
}

void dsmr_route_tx_post(const struct dsmr_route_call *call)
{
    bool is_async = false;
    uint64_t timeout_ms = 0;
    struct dsmr_waits_news what = {.state = DSMR_TX_UNKNOWN};
    if (!read_mode(call, &is_async, &what.mode, &timeout_ms)) {
        return;
    }
    struct dsmr_buf *tx = read_tx(call);
    if (tx == NULL) {
        return;
    }
    call->config->tx_id(&what.id, tx->bytes, tx->len);
    if (is_async) {
        submit_async(call, tx, &what.id);
    } else {
        submit_and_wait(call, tx, &what, timeout_ms);
    }
    dsmr_buf_unref(tx);
}
