/* cli_load_flight.h - the transactions of one connection that no final word has come of.
 *
 * Why:        a connection that ends takes its notices with it; what was in flight on it has to be
 *             asked for elsewhere (cli_load_lookup.h), and it takes little to make it again.
 * Limits:     the last DSMR_CLI_LOAD_FLIGHT_WINDOW transactions are known; one that is open beyond
 *             falls out when its place is needed, and its notices then count no more.
 * Threads:    one owner. */
#ifndef DSMR_APP_CLI_LOAD_FLIGHT_H
#define DSMR_APP_CLI_LOAD_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "dsmr/err.h"

#define DSMR_CLI_LOAD_FLIGHT_WINDOW (1u << 19)

enum dsmr_cli_load_flight_state {
    DSMR_CLI_LOAD_FLIGHT_CLOSED, /* refused, executed, expired, or taken out */
    DSMR_CLI_LOAD_FLIGHT_SENT,   /* not acknowledged */
    DSMR_CLI_LOAD_FLIGHT_ADMITTED
};

struct dsmr_cli_load_flight_tx {
    uint64_t seq;   /* in its connection */
    uint64_t index; /* in the run */
    uint64_t expiry_ms;
    enum dsmr_cli_load_flight_state state;
};

struct dsmr_cli_load_flight {
    struct dsmr_cli_load_flight_tx *ring;
    uint64_t seq_end; /* one more than the last */
    uint64_t open;    /* SENT and ADMITTED ones */
};

/* NO_MEMORY. */
DSMR_MUST_USE enum dsmr_err dsmr_cli_load_flight_init(struct dsmr_cli_load_flight *flight);
void dsmr_cli_load_flight_close(struct dsmr_cli_load_flight *flight);
/* The next one, SENT; seq is seq_end. true if *out is an open one that fell out for it. */
bool dsmr_cli_load_flight_add(struct dsmr_cli_load_flight *flight,
                              struct dsmr_cli_load_flight_tx *out, uint64_t seq, uint64_t index,
                              uint64_t expiry_ms);
/* NULL: not in the window. Its state is changed with set only. */
const struct dsmr_cli_load_flight_tx *
dsmr_cli_load_flight_at(const struct dsmr_cli_load_flight *flight, uint64_t seq);
void dsmr_cli_load_flight_set(struct dsmr_cli_load_flight *flight, uint64_t seq,
                              enum dsmr_cli_load_flight_state state);
/* Closes every open one, oldest first, and calls take with it as it was. */
void dsmr_cli_load_flight_take_all(struct dsmr_cli_load_flight *flight,
                                   void (*take)(void *ctx,
                                                const struct dsmr_cli_load_flight_tx *tx),
                                   void *ctx);

#endif
