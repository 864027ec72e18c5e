/* genesis_json.h - a strict reader of the "app" object of genesis.json.
 *
 * Why:     this layer uses no JSON library; a genesis is objects, arrays, plain strings and whole
 *          numbers, and everything else in it is a mistake worth a sentence.
 * How:     a pull reader: the caller says what it expects next. The first error sticks, with what
 *          was wrong and at which byte; after it every call returns false.
 * Not here: fractions, exponents, negative numbers, escapes in strings, characters beyond ASCII:
 *          each is refused.
 * Limits:  nesting of DSMR_GENESIS_JSON_DEPTH_MAX; no recursion, no allocation.
 * Threads: one owner. */
#ifndef DSMR_VM_GENESIS_JSON_H
#define DSMR_VM_GENESIS_JSON_H

#include "dsmr/types.h"

#define DSMR_GENESIS_JSON_DEPTH_MAX 8u

struct dsmr_genesis_json {
    const char *text;
    size_t len;
    size_t at;
    uint32_t depth;
    bool is_first[DSMR_GENESIS_JSON_DEPTH_MAX]; /* of the object or array at each depth */
    const char *problem;                        /* static sentence part; NULL while all is well */
    size_t problem_at;
};
struct dsmr_genesis_json_string { /* borrowed from the text, without the quotes */
    const char *bytes;
    size_t len;
};

void dsmr_genesis_json_init(struct dsmr_genesis_json *json, const char *text, size_t len);
/* Enters an object or an array; false if there is none here. */
bool dsmr_genesis_json_object(struct dsmr_genesis_json *json);
bool dsmr_genesis_json_array(struct dsmr_genesis_json *json);
/* The next member's name; false at the end of the object, which it then leaves, or after an error.
 */
bool dsmr_genesis_json_member(struct dsmr_genesis_json *json,
                              struct dsmr_genesis_json_string *name);
/* True if another element follows; false at the end of the array, which it then leaves. */
bool dsmr_genesis_json_element(struct dsmr_genesis_json *json);
bool dsmr_genesis_json_string(struct dsmr_genesis_json *json, struct dsmr_genesis_json_string *out);
/* A whole number without sign or leading zeros, up to 2^64 - 1: as a number, or as a string. */
bool dsmr_genesis_json_u64(struct dsmr_genesis_json *json, uint64_t *out);
/* True if nothing but white space is left and no error happened. */
bool dsmr_genesis_json_end(struct dsmr_genesis_json *json);
/* The caller's own error about what was read last. problem: static. Keeps the first. */
void dsmr_genesis_json_fail(struct dsmr_genesis_json *json, const char *problem);
bool dsmr_genesis_json_is(const struct dsmr_genesis_json_string *string, const char *other);

#endif
