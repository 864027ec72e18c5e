#define _POSIX_C_SOURCE 200809L /* strtok_r */
/* docs/openapi.yaml against the node: every path is routed and the other way round; every answer
 * has the members that its schema requires, of the types it names, and no others.
 *
 * The file keeps a plain form (two blanks a level, one property a line), so that a few lines read
 * it: a YAML library is not among the api layer's. */
#include "unit/api/fake_routes.h"

#include <strings.h>

#define OPENAPI "docs/openapi.yaml"
#define PROPERTIES_MAX 40

static char *spec;

static int read_spec(void **state)
{
    FILE *file = fopen(OPENAPI, "r");
    (void)state;
    assert_non_null(file);
    spec = calloc(1, 1 << 18);
    assert_true(fread(spec, 1, (1 << 18) - 1, file) > 1000);
    (void)fclose(file);
    return 0;
}

static int free_spec(void **state)
{
    (void)state;
    free(spec);
    return 0;
}

/* The next line after at, or NULL. */
static const char *next_line(const char *at)
{
    const char *end = strchr(at, '\n');
    return end != NULL && end[1] != '\0' ? end + 1 : NULL;
}

static size_t indent_of(const char *line)
{
    return strspn(line, " ");
}

/* Whether some path of the file has this method. */
static bool has_operation(const char *path, const char *method)
{
    char head[96], verb[16];
    (void)snprintf(head, sizeof(head), "\n  %s:\n", path);
    (void)snprintf(verb, sizeof(verb), "%s:", method);
    for (char *c = verb; *c != '\0'; c++) {
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    }
    const char *at = strstr(spec, head);
    if (at == NULL) {
        return false;
    }
    at = next_line(at + 1);
    for (; at != NULL && indent_of(at) > 2; at = next_line(at)) {
        if (indent_of(at) == 4 && strncmp(at + 4, verb, strlen(verb)) == 0) {
            return true;
        }
    }
    return false;
}

static void every_route_is_in_the_file(void **state)
{
    const struct dsmr_routes_entry *entries = NULL;
    size_t count = dsmr_routes_list(&entries);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        if (!has_operation(entries[i].pattern, entries[i].method)) {
            fail_msg("%s %s is not in %s", entries[i].method, entries[i].pattern, OPENAPI);
        }
    }
    assert_false(has_operation("/v1/nothing", "GET"));
    assert_false(has_operation("/v1/tx", "GET"));
}

static void every_path_of_the_file_is_routed(void **state)
{
    const struct dsmr_routes_entry *entries = NULL;
    size_t count = dsmr_routes_list(&entries);
    size_t operations = 0;
    char path[96] = "";
    const char *at = strstr(spec, "\npaths:\n") + 1;
    (void)state;
    for (at = next_line(at); at != NULL && indent_of(at) > 0; at = next_line(at)) {
        size_t len = strcspn(at, ":\n");
        if (indent_of(at) == 2) {
            (void)snprintf(path, sizeof(path), "%.*s", (int)(len - 2), at + 2);
        } else if (indent_of(at) == 4) {
            bool found = false;
            for (size_t i = 0; i < count; i++) {
                found = found || (strcmp(entries[i].pattern, path) == 0 &&
                                  strlen(entries[i].method) == len - 4 &&
                                  strncasecmp(entries[i].method, at + 4, len - 4) == 0);
            }
            if (!found) {
                fail_msg("%s %.*s has no route", path, (int)(len - 4), at + 4);
            }
            operations++;
        }
    }
    assert_int_equal(operations, count);
}

/* The names of an operation's query parameters, a space between two. */
static void query_of(char *out, size_t capacity, const struct dsmr_routes_entry *entry)
{
    char head[96], name[40] = "";
    (void)snprintf(head, sizeof(head), "\n  %s:\n", entry->pattern);
    const char *at = strstr(spec, head); /* no path has two methods */
    out[0] = '\0';
    at = next_line(at + 1);
    for (; at != NULL && indent_of(at) > 2; at = next_line(at)) {
        static const char ref[] = "#/components/parameters/";
        const char *component = strstr(at, ref);
        bool is_ref = component != NULL && component < at + strcspn(at, "\n");
        if (strncmp(at, "        - name: ", 16) == 0) {
            (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(at + 16, "\n"), at + 16);
        } else if (is_ref) {
            component += sizeof(ref) - 1;
            (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(component, "\""), component);
            name[0] = (char)(name[0] + ('a' - 'A')); /* as the component's own name is */
        }
        if (is_ref || strncmp(at, "          in: query\n", 20) == 0) {
            size_t len = strlen(out);
            (void)snprintf(out + len, capacity - len, "%s%s", len > 0 ? " " : "", name);
        }
    }
}

static void query_parameters_are_those_of_the_file(void **state)
{
    const struct dsmr_routes_entry *entries = NULL;
    size_t count = dsmr_routes_list(&entries);
    char names[200];
    (void)state;
    for (size_t i = 0; i < count; i++) {
        query_of(names, sizeof(names), &entries[i]);
        if (strcmp(names, entries[i].query) != 0) {
            fail_msg("%s takes \"%s\", the file has \"%s\"", entries[i].pattern, entries[i].query,
                     names);
        }
    }
    assert_non_null(strstr(spec, "\n    Cursor:\n      name: cursor\n      in: query\n"));
    assert_non_null(strstr(spec, "\n    Limit:\n      name: limit\n      in: query\n"));
}

/* ---- schemas ---- */

struct property {
    char name[40];
    char types[80]; /* what stands behind "type: ", or "$ref" */
};
struct schema {
    char required[512]; /* ", " between names */
    struct property properties[PROPERTIES_MAX];
    size_t count;
};

static void read_schema(struct schema *out, const char *name)
{
    char head[64];
    memset(out, 0, sizeof(*out));
    (void)snprintf(head, sizeof(head), "\n    %s:\n", name);
    const char *at = strstr(strstr(spec, "\n  schemas:\n"), head);
    assert_non_null(at);
    at = next_line(at + 1);
    for (; at != NULL && indent_of(at) > 4; at = next_line(at)) {
        int len = (int)strcspn(at, "\n");
        if (strncmp(at, "      required: [", 17) == 0) {
            (void)snprintf(out->required, sizeof(out->required), "%.*s", len - 18, at + 17);
        } else if (indent_of(at) == 8) {
            struct property *property = &out->properties[out->count++];
            assert_true(out->count < PROPERTIES_MAX);
            int name_len = (int)strcspn(at + 8, ":");
            const char *type = strstr(at, "type: ");
            (void)snprintf(property->name, sizeof(property->name), "%.*s", name_len, at + 8);
            (void)snprintf(
                property->types, sizeof(property->types), "%.*s",
                type != NULL && type < at + len
                    ? (int)(type[6] == '[' ? strcspn(type + 6, "]") : strcspn(type + 6, ",}"))
                    : 4,
                type != NULL && type < at + len ? type + 6 : "$ref");
        }
    }
    assert_true(out->count > 0 && out->required[0] != '\0');
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "integer";
    case JSON_TRUE:
    case JSON_FALSE:
        return "boolean";
    case JSON_NULL:
        return "null";
    default:
        return "number";
    }
}

static void conforms(const json_t *value, const char *schema_name)
{
    struct schema schema;
    char required[512];
    char *rest = NULL;
    const char *key = NULL;
    json_t *member = NULL;
    assert_true(json_is_object(value));
    read_schema(&schema, schema_name);
    memcpy(required, schema.required, sizeof(required));
    for (char *name = strtok_r(required, ", ", &rest); name != NULL;
         name = strtok_r(NULL, ", ", &rest)) {
        if (json_object_get(value, name) == NULL) {
            fail_msg("%s requires %s, which is not there", schema_name, name);
        }
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        const struct property *property = NULL;
        for (size_t i = 0; i < schema.count; i++) {
            property =
                strcmp(schema.properties[i].name, key) == 0 ? &schema.properties[i] : property;
        }
        if (property == NULL) {
            fail_msg("%s does not know %s", schema_name, key);
        } else if (strcmp(property->types, "$ref") != 0 &&
                   strstr(property->types, type_name(member)) == NULL) {
            fail_msg("%s.%s is %s, not %s", schema_name, key, type_name(member), property->types);
        }
    }
}

/* The schema's line "enum: [a, b, c]" has value. */
static void is_enumerated(const char *schema_name, const char *value)
{
    char head[64], list[256], word[40];
    (void)snprintf(head, sizeof(head), "\n    %s:\n", schema_name);
    const char *at = strstr(strstr(spec, "\n  schemas:\n"), head);
    at = at != NULL ? strstr(at, "enum: [") : NULL;
    assert_non_null(at);
    at += strlen("enum: [");
    (void)snprintf(list, sizeof(list), ", %.*s,", (int)strcspn(at, "]"), at);
    (void)snprintf(word, sizeof(word), ", %s,", value);
    if (strstr(list, word) == NULL) {
        fail_msg("%s does not know \"%s\"", schema_name, value);
    }
}

static void error_conforms(struct world *w)
{
    conforms(w->reply.json, "Error");
    conforms(json_object_get(w->reply.json, "error"), "ErrorBody");
}

static void answers_conform(void **state)
{
    struct world *w = *state;
    char path[160];
    (void)get(w, "/v1/validators", 503);
    error_conforms(w);
    (void)get(w, "/v1/block/7", 404);
    error_conforms(w);
    (void)get(w, "/v1/nothing", 404);
    error_conforms(w);
    conforms(get(w, "/v1/status", 200), "Status");
    fill(w);
    conforms(get(w, "/v1/status", 200), "Status");
    hex_path(path, "/v1/tx/", &w->node.chunk->tx_ids[0], "");
    conforms(get(w, path, 200), "Tx");
    for (int i = DSMR_TX_PENDING; i <= DSMR_TX_EXPIRED; i++) {
        w->node.tx.state = (enum dsmr_query_tx_state)i;
        const json_t *tx = get(w, path, 200);
        conforms(tx, "Tx");
        is_enumerated("TxState", text(tx, "state"));
    }
    const json_t *block = get(w, "/v1/block/7", 200);
    conforms(block, "Block");
    conforms(json_array_get(json_object_get(block, "certs"), 0), "Cert");
    const json_t *txs = get(w, "/v1/block/7/txs", 200);
    conforms(txs, "BlockTxs");
    conforms(json_array_get(json_object_get(txs, "txs"), 0), "BlockTx");
    hex_path(path, "/v1/chunk/", &w->node.chunk->ref.chunk_id, "");
    const json_t *chunk = get(w, path, 200);
    conforms(chunk, "Chunk");
    conforms(json_object_get(chunk, "cert"), "Cert");
    const json_t *set = get(w, "/v1/validators", 200);
    conforms(set, "Validators");
    conforms(json_array_get(json_object_get(set, "validators"), 0), "Validator");
    const json_t *evidence = get(w, "/v1/evidence", 200);
    conforms(evidence, "EvidencePage");
    conforms(json_array_get(json_object_get(evidence, "evidence"), 0), "Evidence");
    w->node.status.is_behind = true;
    const json_t *health = get(w, "/health", 503);
    conforms(health, "Health");
    conforms(json_array_get(json_object_get(health, "reasons"), 0), "ErrorBody");
}

static void submissions_conform(void **state)
{
    struct world *w = *state;
    static const char body[] = "{\"tx\":\"010000000000100000aabbccddeeff00\"}";
    ask(w, "POST", "/v1/tx?mode=async", body, strlen(body));
    assert_int_equal(w->reply.status, 202);
    conforms(w->reply.json, "TxHandedOver");
    dsmr_tracker_batch_free(fake_take(&w->node));
    ask(w, "POST", "/v1/tx", body, strlen(body));
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(w->reply.status, 200);
    conforms(w->reply.json, "TxAnswer");
    ask(w, "POST", "/v1/tx", body, strlen(body));
    assert_int_equal(w->reply.status, 409);
    conforms(w->reply.json, "TxError");
    is_enumerated("TxState", text(w->reply.json, "state"));
    ask(w, "POST", "/v1/tx", "", 0);
    assert_int_equal(w->reply.status, 400);
    error_conforms(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_in_the_file),
        cmocka_unit_test(every_path_of_the_file_is_routed),
        cmocka_unit_test(query_parameters_are_those_of_the_file),
        cmocka_unit_test_setup_teardown(answers_conform, open_world, close_world),
        cmocka_unit_test_setup_teardown(submissions_conform, open_world, close_world),
    };
    return cmocka_run_group_tests(tests, read_spec, free_spec);
}
