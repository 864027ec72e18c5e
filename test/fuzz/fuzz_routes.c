/* An HTTP request as the server hands it over: method, target and body from the input, one line
 * each but the body. Every request is answered once, with a status and JSON or text. */
#include <stdlib.h>
#include <string.h>

#include "api/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct dsmr_metrics metrics;
static unsigned answers;

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void status(void *self, struct dsmr_query_status *out)
{
    (void)self;
    memset(out, 0, sizeof(*out));
}
static enum dsmr_err some_tx(void *self, struct dsmr_query_tx *out, const struct dsmr_id *id)
{
    (void)self;
    if (id->bytes[0] % 4 < 2) {
        return id->bytes[0] % 4 == 0 ? DSMR_ERR_UNKNOWN : DSMR_ERR_PRUNED;
    }
    memset(out, 0, sizeof(*out));
    out->state = id->bytes[0] % 4 == 2 ? DSMR_TX_FAILED : DSMR_TX_IN_BLOCK;
    return DSMR_OK;
}
static enum dsmr_err no_block(void *self, struct dsmr_block **out, uint64_t height)
{
    (void)self;
    (void)out;
    return height % 2 == 0 ? DSMR_ERR_UNKNOWN : DSMR_ERR_PRUNED;
}
static enum dsmr_err find_block(void *self, uint64_t *height, const struct dsmr_id *id)
{
    (void)self;
    *height = id->bytes[0];
    return DSMR_OK;
}
static enum dsmr_err some_executed(void *self, struct dsmr_executed **out, uint64_t height)
{
    static struct dsmr_id ids[3];
    static struct dsmr_app_result results[3];
    static struct dsmr_executed executed = {.refs = 1, .count = 3, .ids = ids, .results = results};
    (void)self;
    executed.height = height;
    *out = dsmr_executed_ref(&executed);
    return DSMR_OK;
}
static enum dsmr_err no_chunk(void *self, struct dsmr_chunk **out, struct dsmr_cert *cert,
                              bool *has_cert, const struct dsmr_id *id)
{
    (void)self;
    (void)out;
    (void)cert;
    (void)has_cert;
    (void)id;
    return DSMR_ERR_UNKNOWN;
}
static struct dsmr_validator_set *no_set(void *self)
{
    (void)self;
    return NULL;
}
static enum dsmr_err endless_evidence(void *self, struct dsmr_evidence *out, uint64_t *cursor)
{
    (void)self;
    memset(out, 0, sizeof(*out));
    ++*cursor;
    return DSMR_OK;
}
/* The path that the application gets is plain. */
static enum dsmr_err account(void *self, struct dsmr_app_text *out, const char *path)
{
    (void)self;
    must(strncmp(path, "accounts/", 9) == 0 && strlen(path) <= 9 + 128);
    for (const char *c = path + 9; *c != '\0'; c++) {
        must((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z'));
    }
    memcpy(out->bytes, "{}", 3);
    out->len = 2;
    return DSMR_OK;
}
static const struct dsmr_metrics *get_metrics(void *self)
{
    (void)self;
    return &metrics;
}
static const struct dsmr_query_ops query_ops = {.status = status,
                                                .tx = some_tx,
                                                .block = no_block,
                                                .find_block = find_block,
                                                .executed = some_executed,
                                                .chunk = no_chunk,
                                                .validators = no_set,
                                                .next_evidence = endless_evidence,
                                                .app = account,
                                                .metrics = get_metrics};

/* Takes every other batch; what it takes is freed at once, as if the driver gave it back. */
static bool submit(void *self, struct dsmr_submit_batch *batch)
{
    static unsigned count;
    (void)self;
    must(batch->count == 1 && batch->txs[0].len >= DSMR_TX_BYTES_MIN &&
         batch->txs[0].len <= DSMR_ROUTES_BODY_BYTES_MAX / 2);
    if (++count % 2 == 0) {
        return false;
    }
    dsmr_tracker_batch_free(batch);
    return true;
}
static const struct dsmr_submit_ops submit_ops = {.submit = submit};

static void tx_id(struct dsmr_id *out, const void *bytes, size_t len)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->bytes, bytes, len < sizeof(out->bytes) ? len : sizeof(out->bytes));
}
static uint64_t now(void *self)
{
    (void)self;
    return 1000;
}
static const struct dsmr_clock_ops clock_ops = {.wall_ms = now, .mono_ms = now};

static void answer(void *ctx, const struct dsmr_http_response *response)
{
    (void)ctx;
    answers++;
    must(response->status >= 200 && response->status < 600 && response->body != NULL &&
         response->content_type != NULL);
    must((response->status == 405) == (response->allow != NULL));
}
static void wake(void *ctx)
{
    (void)ctx;
}

static void run(const struct dsmr_http_request *request)
{
    const struct dsmr_query query = {.ops = &query_ops};
    struct dsmr_waits *waits = dsmr_waits_new(2, 1);
    const struct dsmr_tracker_config tracker_config = {
        .flights_max = 2, .others_max = 2, .seed = 1, .waits = waits, .wake = wake};
    const struct dsmr_tracker_sink sink = {0}; /* nothing comes back */
    struct dsmr_tracker *tracker = dsmr_tracker_new(&tracker_config);
    dsmr_tracker_attach(tracker, &query, &sink);
    const struct dsmr_routes_config config = {.query = query,
                                              .submit = {.ops = &submit_ops},
                                              .waits = waits,
                                              .tracker = tracker,
                                              .clock = {.ops = &clock_ops},
                                              .metrics = &metrics,
                                              .tx_id = tx_id,
                                              .wait_ms_max = 1000,
                                              .app_name = "app",
                                              .version = "0"};
    struct dsmr_routes routes;
    dsmr_routes_init(&routes, &config);
    struct dsmr_http http = dsmr_routes_http(&routes);
    answers = 0;
    http.ops->handle(http.self, request, answer, NULL);
    dsmr_waits_close(waits); /* answers who waits */
    must(answers == 1);
    dsmr_tracker_free(tracker);
    dsmr_waits_free(waits);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const char *const methods[] = {"GET", "POST", "HEAD", "PUT", ""};
    char path[600];
    char query[600] = "";
    if (len < 1) {
        return 0;
    }
    const char *target = (const char *)bytes + 1;
    size_t left = len - 1;
    const char *end = memchr(target, '\n', left);
    size_t target_len = end != NULL ? (size_t)(end - target) : left;
    if (target_len >= sizeof(path)) {
        return 0; /* the server refuses such before */
    }
    memcpy(path, target, target_len);
    path[target_len] = '\0';
    char *mark = strchr(path, '?');
    if (mark != NULL) {
        *mark = '\0';
        memcpy(query, mark + 1, strlen(mark + 1) + 1);
    }
    size_t body_at = end != NULL ? target_len + 1 : left;
    char *body = malloc(left - body_at + 1); /* exact, so that reading beyond it is seen */
    if (body == NULL) {
        return 0;
    }
    memcpy(body, target + body_at, left - body_at);
    const struct dsmr_http_request request = {.method = methods[bytes[0] % 5],
                                              .path = path,
                                              .query = query,
                                              .body = body,
                                              .body_len = left - body_at};
    run(&request);
    free(body);
    return 0;
}
