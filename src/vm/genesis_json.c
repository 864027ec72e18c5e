#include "vm/genesis_json.h"

#include <string.h>

void dsmr_genesis_json_init(struct dsmr_genesis_json *json, const char *text, size_t len)
{
    *json = (struct dsmr_genesis_json){.text = text, .len = len};
}

void dsmr_genesis_json_fail(struct dsmr_genesis_json *json, const char *problem)
{
    if (!json->problem) {
        json->problem = problem;
        json->problem_at = json->at;
    }
}

static void skip_space(struct dsmr_genesis_json *json)
{
    while (json->at < json->len) {
        char c = json->text[json->at];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r') {
            break;
        }
        json->at++;
    }
}

/* The next character that is not white space; 0 at the end or after an error. */
static char peek(struct dsmr_genesis_json *json)
{
    skip_space(json);
    return !json->problem && json->at < json->len ? json->text[json->at] : 0;
}

static bool expect(struct dsmr_genesis_json *json, char c, const char *problem)
{
    if (peek(json) != c) {
        dsmr_genesis_json_fail(json, problem);
        return false;
    }
    json->at++;
    return true;
}

static bool enter(struct dsmr_genesis_json *json, char c, const char *problem)
{
    if (!expect(json, c, problem)) {
        return false;
    }
    if (json->depth == DSMR_GENESIS_JSON_DEPTH_MAX) {
        dsmr_genesis_json_fail(json, "nested too deeply");
        return false;
    }
    json->is_first[json->depth++] = true;
    return true;
}

/* Reads the comma before the next member or element, or the closing character. */
static bool next(struct dsmr_genesis_json *json, char closing)
{
    if (json->problem || json->depth == 0) {
        dsmr_genesis_json_fail(json, "expected an object or an array");
        return false;
    }
    bool is_first = json->is_first[json->depth - 1];
    json->is_first[json->depth - 1] = false;
    if (peek(json) == closing) {
        json->at++;
        json->depth--;
        return false;
    }
    return is_first || expect(json, ',', "expected a comma or the end of the list");
}

bool dsmr_genesis_json_object(struct dsmr_genesis_json *json)
{
    return enter(json, '{', "expected an object");
}

bool dsmr_genesis_json_array(struct dsmr_genesis_json *json)
{
    return enter(json, '[', "expected an array");
}

bool dsmr_genesis_json_member(struct dsmr_genesis_json *json, struct dsmr_genesis_json_string *name)
{
    return next(json, '}') && dsmr_genesis_json_string(json, name) &&
           expect(json, ':', "expected a colon");
}

bool dsmr_genesis_json_element(struct dsmr_genesis_json *json)
{
    return next(json, ']');
}

bool dsmr_genesis_json_string(struct dsmr_genesis_json *json, struct dsmr_genesis_json_string *out)
{
    if (!expect(json, '"', "expected a string")) {
        return false;
    }
    size_t start = json->at;
    while (json->at < json->len && json->text[json->at] != '"') {
        char c = json->text[json->at];
        if (c < 32 || c > 126 || c == '\\') {
            dsmr_genesis_json_fail(json, "strings here have no escapes, only printable ASCII");
            return false;
        }
        json->at++;
    }
    if (json->at == json->len) {
        dsmr_genesis_json_fail(json, "string without an end");
        return false;
    }
    *out = (struct dsmr_genesis_json_string){.bytes = json->text + start, .len = json->at - start};
    json->at++;
    return true;
}

/* Digits from the reader's place on; leaves it behind the last one. */
static bool digits(struct dsmr_genesis_json *json, uint64_t *out)
{
    size_t start = json->at;
    uint64_t value = 0;
    while (json->at < json->len && json->text[json->at] >= '0' && json->text[json->at] <= '9') {
        uint64_t digit = (uint64_t)(json->text[json->at] - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            dsmr_genesis_json_fail(json, "number does not fit into 64 bits");
            return false;
        }
        value = value * 10 + digit;
        json->at++;
    }
    if (json->at == start) {
        dsmr_genesis_json_fail(json, "expected a whole number");
        return false;
    }
    if (json->text[start] == '0' && json->at > start + 1) {
        dsmr_genesis_json_fail(json, "number with a leading zero");
        return false;
    }
    *out = value;
    return true;
}

bool dsmr_genesis_json_u64(struct dsmr_genesis_json *json, uint64_t *out)
{
    uint64_t value;
    bool is_quoted = peek(json) == '"';
    json->at += is_quoted;
    if (json->problem || !digits(json, &value)) {
        return false;
    }
    char after = json->at < json->len ? json->text[json->at] : 0;
    if (is_quoted ? after != '"' : after == '.' || after == 'e' || after == 'E') {
        dsmr_genesis_json_fail(json, "expected a whole number");
        return false;
    }
    json->at += is_quoted;
    *out = value;
    return true;
}

bool dsmr_genesis_json_end(struct dsmr_genesis_json *json)
{
    skip_space(json);
    if (json->at != json->len) {
        dsmr_genesis_json_fail(json, "text after the end of the object");
    }
    return !json->problem;
}

bool dsmr_genesis_json_is(const struct dsmr_genesis_json_string *string, const char *other)
{
    return string->len == strlen(other) && memcmp(string->bytes, other, string->len) == 0;
}
