/* requests.h - what the core has asked for and not been told yet.
 *
 * Why:     SIGN, VERIFY, STORE and the like are answered by an event with the same request id; this
 *          is where the answer finds what it belongs to.
 * How:     a slot number and a count of its uses make the id, so that an answer that comes twice,
 *          or for something that is over, finds nothing.
 * Limits:  requests_max; begin says 0 beyond, and the caller is busy.
 * Threads: one owner. */
#ifndef DSMR_CORE_REQUESTS_H
#define DSMR_CORE_REQUESTS_H

#include "dsmr/types.h"

enum dsmr_request_kind {
    DSMR_REQUEST_NONE,
    DSMR_REQUEST_SHARE_VERIFY, /* item: share job */
    DSMR_REQUEST_SHARE_LOAD,   /* item: share job */
    DSMR_REQUEST_SHARE_STORE,  /* item: share job */
    DSMR_REQUEST_SHARE_SIGN,   /* item: share job */
    DSMR_REQUEST_OWN_STORE,    /* item: own chunk */
    DSMR_REQUEST_OWN_LOAD,     /* item: own chunk */
    DSMR_REQUEST_OWN_SIGN,     /* item: own chunk */
    DSMR_REQUEST_OWN_AGGREGATE,
    DSMR_REQUEST_CERT_VERIFY,     /* item: batch number */
    DSMR_REQUEST_CERT_STORE,      /* item: certificate job */
    DSMR_REQUEST_BLOCK_VERIFY,    /* item: verification */
    DSMR_REQUEST_ACCEPT_STORE,    /* number: height; engine_id */
    DSMR_REQUEST_FETCH_VERIFY,    /* item: fetch */
    DSMR_REQUEST_FETCH_STORE,     /* item: fetch */
    DSMR_REQUEST_BODY_LOAD,       /* id: chunk; number: height of the block that needs it */
    DSMR_REQUEST_BLOCK_LOAD,      /* number: height */
    DSMR_REQUEST_EXECUTE,         /* number: height */
    DSMR_REQUEST_EVIDENCE_VERIFY, /* item: evidence job */
    DSMR_REQUEST_EVIDENCE_STORE,  /* item: evidence job */
    DSMR_REQUEST_GC               /* number: the floor without which the node cannot go on, or 0 */
};

struct dsmr_request {
    enum dsmr_request_kind kind;
    uint32_t item;      /* index in the table of its kind */
    uint32_t item_use;  /* that table's count of uses of the index */
    uint64_t number;    /* as the kind says */
    uint64_t engine_id; /* request id of the engine that is to be answered */
    struct dsmr_id id;
};

struct dsmr_requests; /* opaque */

DSMR_MUST_USE struct dsmr_requests *dsmr_requests_new(uint32_t requests_max);
void dsmr_requests_free(struct dsmr_requests *requests); /* NULL is fine */
/* Remembers a copy; the request id, never 0 but at the limit. */
uint64_t dsmr_requests_begin(struct dsmr_requests *requests, const struct dsmr_request *request);
/* Ends it: false if there is no such request (any more). */
bool dsmr_requests_end(struct dsmr_requests *requests, struct dsmr_request *out, uint64_t id);
/* Whether at least count more can begin. */
bool dsmr_requests_has_room(const struct dsmr_requests *requests, uint32_t count);
uint32_t dsmr_requests_count(const struct dsmr_requests *requests);

#endif
