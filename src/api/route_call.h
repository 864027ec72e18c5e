/* route_call.h - one request on its way through a route, and the ways to answer it.
 *
 * Not here: who waits for a transaction (waits.h).
 * Threads:  the caller's of handle(). */
#ifndef DSMR_API_ROUTE_CALL_H
#define DSMR_API_ROUTE_CALL_H

#include <jansson.h>

#include "api/routes.h"

struct dsmr_route_call {
    const struct dsmr_routes_config *config;
    const struct dsmr_http_request *request; /* NULL for one that has waited */
    const char *param; /* what stands for {...} in the pattern; "" if there is none */
    dsmr_http_answer_fn answer;
    void *ctx;
};

/* HTTP status of an error: PEER 400, and the exceptions that docs/api.md lists. */
int dsmr_route_call_status_of(enum dsmr_err err);

/* Each answers the call, once. body: taken over, also if NULL (out of memory: 500). */
void dsmr_route_call_json(const struct dsmr_route_call *call, int status, json_t *body);
/* text: any bytes. */
void dsmr_route_call_text(const struct dsmr_route_call *call, int status, const char *content_type,
                          const char *text, size_t len);

/* Errors: each is counted, once, under the name that docs/api.md gives beside its code. */
void dsmr_route_call_err(const struct dsmr_route_call *call, enum dsmr_err err);
/* The same, with sentence as the message of UNKNOWN. */
void dsmr_route_call_absent(const struct dsmr_route_call *call, enum dsmr_err err,
                            const char *sentence);
/* 400 bad_request with a sentence; counted as MALFORMED. */
void dsmr_route_call_bad(const struct dsmr_route_call *call, const char *message);
/* 404 no_such_path, counted as UNKNOWN; 405 method_not_allowed, counted as UNEXPECTED. */
void dsmr_route_call_no_path(const struct dsmr_route_call *call);
void dsmr_route_call_no_method(const struct dsmr_route_call *call, const char *allow);

/* ---- reading the request ---- */
/* Each parameter of the query is one of known (names, a space between two), has a value, and stands
 * there once. Else answers 400 with the parameter's name, and returns false. */
bool dsmr_route_call_check_query(const struct dsmr_route_call *call, const char *known);
/* Copies the value of name in the query into out; false if it is not there. One that does not fit
 * is no value that anybody takes: out is empty then. */
bool dsmr_route_call_query(const struct dsmr_route_call *call, const char *name, char *out,
                           size_t capacity);
/* cursor and limit of a list; *limit is the default before. Answers 400 and returns false if they
 * make no sense. */
bool dsmr_route_call_page(const struct dsmr_route_call *call, uint64_t *cursor, uint32_t *limit,
                          uint32_t limit_max);
bool dsmr_route_call_u64(const char *text, uint64_t *out);      /* decimal digits only */
bool dsmr_route_call_id(const char *text, struct dsmr_id *out); /* 64 hex digits, 0x allowed */

/* ---- writing JSON ---- */
/* A number up to 2^53, a string above: JSON numbers are doubles for most readers. */
json_t *dsmr_route_call_number(uint64_t value);
json_t *dsmr_route_call_decimal(uint64_t value); /* always a string: weights, fees, amounts */
json_t *dsmr_route_call_hex(const void *bytes, size_t len); /* up to 128 bytes */
json_t *dsmr_route_call_epoch(uint64_t epoch);              /* null for NONE */

/* ---- the routes, by file ---- */
void dsmr_route_tx_post(const struct dsmr_route_call *call);
void dsmr_route_tx_get(const struct dsmr_route_call *call);
void dsmr_route_chain_block(const struct dsmr_route_call *call);
void dsmr_route_chain_block_txs(const struct dsmr_route_call *call);
void dsmr_route_chain_block_results(const struct dsmr_route_call *call);
void dsmr_route_chain_chunk(const struct dsmr_route_call *call);
void dsmr_route_chain_validators(const struct dsmr_route_call *call);
void dsmr_route_chain_evidence(const struct dsmr_route_call *call);
void dsmr_route_node_status(const struct dsmr_route_call *call);
void dsmr_route_node_account(const struct dsmr_route_call *call);
void dsmr_route_node_metrics(const struct dsmr_route_call *call);
void dsmr_route_node_health(const struct dsmr_route_call *call);
void dsmr_route_node_live(const struct dsmr_route_call *call);
void dsmr_route_node_ready(const struct dsmr_route_call *call);

#endif
