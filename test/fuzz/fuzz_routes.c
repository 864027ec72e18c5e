/* An HTTP request as the server hands it over: method, target and body from the input, one line
 * each but the body. Every request is answered once, with a status and JSON or text. */
#include <stdlib.h>
#include <string.h>

#include "api/routes.h"
#include "fake_ports.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static unsigned answers;

static void answer(void *ctx, const struct dsmr_http_response *response)
{
    (void)ctx;
    answers++;
    must(response->status >= 200 && response->status < 600 && response->body != NULL &&
         response->content_type != NULL);
    must((response->status == 405) == (response->allow != NULL));
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
