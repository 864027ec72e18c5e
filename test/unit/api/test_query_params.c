/* Query parameters: a path takes those of its table, each once and with a value. A misspelt one
 * would be a default that nobody asked for. */
#include "unit/api/fake_routes.h"

static const char chunk[] =
    "/v1/chunk/0000000000000000000000000000000000000000000000000000000000000000";

static void refused(struct world *w, const char *method, const char *target, const char *name,
                    const char *why)
{
    char body[] = "{\"tx\":\"01\"}";
    bool is_post = strcmp(method, "POST") == 0;
    ask(w, method, target, is_post ? body : NULL, is_post ? sizeof(body) - 1 : 0);
    expect_error(w, 400, "bad_request");
    const char *message = text(json_object_get(w->reply.json, "error"), "message");
    if (strstr(message, name) == NULL || strstr(message, why) == NULL) {
        fail_msg("%s: \"%s\" does not say %s %s", target, message, name, why);
    }
}

static void what_a_path_does_not_have_is_refused(void **state)
{
    static const char *const paths[] = {
        "/v1/status",      "/v1/validators",      "/metrics",        "/health",
        "/health/live",    "/health/ready",       "/v1/accounts/aa", "/v1/block/7",
        "/v1/block/7/txs", "/v1/block/7/results", "/v1/evidence",    chunk};
    struct world *w = *state;
    char target[200];
    fill(w);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        (void)snprintf(target, sizeof(target), "%s?verbose=1", paths[i]);
        refused(w, "GET", target, "\"verbose\"", "not known at this path");
        ask(w, "HEAD", target, NULL, 0);
        assert_int_equal(w->reply.status, 400);
    }
    refused(w, "GET", "/v1/block/7?limit=1", "\"limit\"", "not known");
    refused(w, "GET", "/v1/evidence?limits=1", "\"limits\"", "not known");
    refused(w, "GET", "/v1/evidence?limi=1", "\"limi\"", "not known");
    refused(w, "GET", "/v1/evidence?limit=1&Cursor=1", "\"Cursor\"", "not known");
    refused(w, "GET", "/v1/evidence?cursor limit=1", "\"cursor limit\"", "not known");
    refused(w, "GET", "/v1/evidence?=1", "\"\"", "not known");
    refused(w, "POST", "/v1/tx?mode=sync&timeout=1", "\"timeout\"", "not known");
    refused(w, "POST", "/v1/tx?wait", "\"wait\"", "not known");
    (void)get(w, "/v1/nothing?verbose=1", 404); /* the path comes first */
}

static void what_has_no_value_or_stands_twice_is_refused(void **state)
{
    struct world *w = *state;
    fill(w);
    refused(w, "GET", "/v1/evidence?limit", "\"limit\"", "no value");
    refused(w, "GET", "/v1/evidence?limit=", "\"limit\"", "no value");
    refused(w, "GET", "/v1/evidence?cursor=&limit=1", "\"cursor\"", "no value");
    refused(w, "GET", "/v1/evidence?limit=1&limit=1", "\"limit\"", "twice");
    refused(w, "GET", "/v1/evidence?limit=1&cursor=0&limit=2", "\"limit\"", "twice");
    refused(w, "GET", "/v1/evidence?cursor=0&limit=1&cursor=0", "\"cursor\"", "twice");
    refused(w, "POST", "/v1/tx?mode=executed&mode=async", "\"mode\"", "twice");
    refused(w, "POST", "/v1/tx?timeout_ms=1&mode=sync&timeout_ms=1", "\"timeout_ms\"", "twice");
}

static void names_are_shown_short_and_clean(void **state)
{
    struct world *w = *state;
    char target[400] = "/v1/status?";
    char shown[80] = "\"";
    refused(w, "GET", "/v1/status?a\"b\\=1", "\"a\"b\\\"", "not known");
    refused(w, "GET", "/v1/status?\x01\xff\xc3=1", "\"?\?\?\"", "not known");
    memset(target + 11, 'n', 300);
    memset(shown + 1, 'n', 60);
    (void)snprintf(shown + 61, sizeof(shown) - 61, "...\"");
    refused(w, "GET", target, shown, "not known");
}

static void what_a_path_has_is_taken(void **state)
{
    struct world *w = *state;
    fill(w);
    (void)get(w, "/v1/status?", 200);
    (void)get(w, "/v1/status?&", 200); /* nothing between them is no parameter */
    (void)get(w, "/v1/evidence?limit=1&", 200);
    (void)get(w, "/v1/evidence?&&cursor=1&&limit=2", 200);
    (void)get(w, "/v1/block/7/txs?limit=1&cursor=1", 200);
    (void)get(w, "/v1/evidence?limit=1", 200);
    assert_int_equal(json_array_size(json_object_get(w->reply.json, "evidence")), 1);
}

static void a_value_that_is_too_long_is_not_a_default(void **state)
{
    struct world *w = *state;
    char body[] = "{\"tx\":\"01\"}";
    fill(w);
    (void)get(w, "/v1/evidence?cursor=000000000000000000000000000000000000001", 400);
    (void)get(w, "/v1/evidence?limit=000000000000000000000000000000000000001", 400);
    ask(w, "POST", "/v1/tx?mode=syncsyncsyncsyncsyncsyncsync", body, sizeof(body) - 1);
    expect_error(w, 400, "bad_request");
    ask(w, "POST", "/v1/tx?timeout_ms=000000000000000000000000000001", body, sizeof(body) - 1);
    expect_error(w, 400, "bad_request");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_a_path_does_not_have_is_refused),
        TEST(what_has_no_value_or_stands_twice_is_refused),
        TEST(names_are_shown_short_and_clean),
        TEST(what_a_path_has_is_taken),
        TEST(a_value_that_is_too_long_is_not_a_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
