/* waits.h - HTTP requests that wait for their transaction to be admitted, certified or executed.
 *
 * Why:        a request waits without a thread of its own; a notice about the id answers it.
 * Invariants: done is called exactly once for each add that returned OK and was not cancelled.
 * Limits:     capacity waits; each has a deadline.
 * Threads:    any; one lock. done is called with the lock held, by whoever brings the news: it must
 *             not call back into waits. */
#ifndef DSMR_API_WAITS_H
#define DSMR_API_WAITS_H

#include "dsmr/types.h"
#include "ports/query.h"
#include "ports/submit.h"

enum dsmr_waits_mode { DSMR_WAITS_ADMITTED, DSMR_WAITS_CERTIFIED, DSMR_WAITS_EXECUTED };

struct dsmr_waits_news {
    struct dsmr_id id;
    enum dsmr_waits_mode mode; /* what was waited for */
    enum dsmr_err err;         /* OK: reached; TIMEOUT, EXPIRED, CLOSED, or why it was refused */
    bool is_counted;           /* err came from the door, which has counted it */
    enum dsmr_query_tx_state state;
    uint64_t height; /* of EXECUTED and FAILED */
    struct dsmr_app_result result;
};
typedef void (*dsmr_waits_done_fn)(void *ctx, const struct dsmr_waits_news *news);

struct dsmr_waits; /* opaque */

/* capacity 1 or more; seed: unpredictable. NULL if out of memory. Caller frees. */
struct dsmr_waits *dsmr_waits_new(uint32_t capacity, uint64_t seed);
/* Every wait must have been answered (asserted): see close. NULL is fine. */
void dsmr_waits_free(struct dsmr_waits *waits);

/* wake is called, without the lock, when a first wait is added: whoever calls tick may sleep while
 * there is none. Before any add. */
void dsmr_waits_set_wake(struct dsmr_waits *waits, void (*wake)(void *ctx), void *ctx);

/* *ticket, never 0, names the wait for submitted and cancel. FULL; CLOSED after close. */
DSMR_MUST_USE enum dsmr_err dsmr_waits_add(struct dsmr_waits *waits, uint64_t *ticket,
                                           const struct dsmr_waits_news *what, uint64_t deadline_ms,
                                           dsmr_waits_done_fn done, void *ctx);
/* Forgets the wait without calling done; a ticket that is gone is fine: false. */
bool dsmr_waits_cancel(struct dsmr_waits *waits, uint64_t ticket);

/* The answer of the door. On DUPLICATE, state says how far the transaction already is. */
void dsmr_waits_submitted(struct dsmr_waits *waits, uint64_t ticket, enum dsmr_err err,
                          const struct dsmr_query_tx *known);
void dsmr_waits_certified(struct dsmr_waits *waits, const struct dsmr_id *ids, uint32_t count);
void dsmr_waits_executed(struct dsmr_waits *waits, const struct dsmr_executed *executed);
void dsmr_waits_expired(struct dsmr_waits *waits, const struct dsmr_id *ids, uint32_t count);
/* Ends with TIMEOUT what waited longer than its deadline. */
void dsmr_waits_tick(struct dsmr_waits *waits, uint64_t mono_ms);
/* Ends all with CLOSED and refuses new ones. */
void dsmr_waits_close(struct dsmr_waits *waits);
uint32_t dsmr_waits_count(const struct dsmr_waits *waits); /* without the lock: approximate */

#endif
