#include "app/cli_load_flight.h"

#include <stdlib.h>

#include "base/assert.h"

#define WINDOW DSMR_CLI_LOAD_FLIGHT_WINDOW

static struct dsmr_cli_load_flight_tx *place(const struct dsmr_cli_load_flight *flight,
                                             uint64_t seq)
{
    return &flight->ring[seq % WINDOW];
}

enum dsmr_err dsmr_cli_load_flight_init(struct dsmr_cli_load_flight *flight)
{
    flight->ring = calloc(WINDOW, sizeof(*flight->ring));
    flight->seq_end = flight->open = 0;
    return flight->ring != NULL ? DSMR_OK : DSMR_ERR_NO_MEMORY;
}

void dsmr_cli_load_flight_close(struct dsmr_cli_load_flight *flight)
{
    free(flight->ring);
    flight->ring = NULL;
}

bool dsmr_cli_load_flight_add(struct dsmr_cli_load_flight *flight,
                              struct dsmr_cli_load_flight_tx *out, uint64_t seq, uint64_t index,
                              uint64_t expiry_ms)
{
    DSMR_ASSERT(seq == flight->seq_end);
    struct dsmr_cli_load_flight_tx *tx = place(flight, seq);
    bool has_fallen_out = tx->state != DSMR_CLI_LOAD_FLIGHT_CLOSED;
    *out = *tx;
    *tx = (struct dsmr_cli_load_flight_tx){
        .seq = seq, .index = index, .expiry_ms = expiry_ms, .state = DSMR_CLI_LOAD_FLIGHT_SENT};
    flight->seq_end = seq + 1;
    flight->open += has_fallen_out ? 0 : 1;
    return has_fallen_out;
}

const struct dsmr_cli_load_flight_tx *
dsmr_cli_load_flight_at(const struct dsmr_cli_load_flight *flight, uint64_t seq)
{
    bool is_known = seq < flight->seq_end && flight->seq_end - seq <= WINDOW;
    return is_known ? place(flight, seq) : NULL;
}

void dsmr_cli_load_flight_set(struct dsmr_cli_load_flight *flight, uint64_t seq,
                              enum dsmr_cli_load_flight_state state)
{
    struct dsmr_cli_load_flight_tx *tx = place(flight, seq);
    DSMR_ASSERT(tx->seq == seq);
    flight->open -= tx->state != DSMR_CLI_LOAD_FLIGHT_CLOSED ? 1 : 0;
    flight->open += state != DSMR_CLI_LOAD_FLIGHT_CLOSED ? 1 : 0;
    tx->state = state;
}

void dsmr_cli_load_flight_take_all(struct dsmr_cli_load_flight *flight,
                                   void (*take)(void *ctx,
                                                const struct dsmr_cli_load_flight_tx *tx),
                                   void *ctx)
{
    uint64_t seq = flight->seq_end > WINDOW ? flight->seq_end - WINDOW : 0;
    for (; flight->open > 0; seq++) {
        struct dsmr_cli_load_flight_tx tx = *place(flight, seq);
        if (tx.state != DSMR_CLI_LOAD_FLIGHT_CLOSED) {
            dsmr_cli_load_flight_set(flight, seq, DSMR_CLI_LOAD_FLIGHT_CLOSED);
            take(ctx, &tx);
        }
    }
}
