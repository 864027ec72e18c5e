#include "sim/sim_load.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "sim/sim_state.h"

#define NUMBER_AT 9u /* behind version and expiry */
#define MADE_AT 17u
#define LIFETIME_MS 55000u /* the window allows 60 s; nothing of a short run expires */

struct client { /* beside one node */
    struct dsmr_sim_load *load;
    uint32_t node;
};
struct dsmr_sim_load {
    struct dsmr_sim *sim;
    struct dsmr_sim_load_config config;
    struct dsmr_prng prng;
    uint64_t made;
    uint64_t gap_us; /* mean, at one node */
    uint32_t bytes;  /* of a simulated one */
    struct client *clients;
};

static void submit(struct dsmr_sim_load *load, struct dsmr_sim_node *node)
{
    struct dsmr_submit_batch *batch = calloc(1, sizeof(*batch) + sizeof(batch->txs[0]));
    struct dsmr_buf *bytes = dsmr_buf_new(load->bytes);
    DSMR_ASSERT(batch != NULL && bytes != NULL);
    memset(bytes->bytes, 0, load->bytes);
    bytes->bytes[0] = 1;
    dsmr_store_be64(bytes->bytes + 1, dsmr_sim_wall_ms(load->sim) + LIFETIME_MS);
    dsmr_store_be64(bytes->bytes + NUMBER_AT, load->made);
    dsmr_store_be64(bytes->bytes + MADE_AT, load->sim->now_us);
    batch->bytes = bytes;
    batch->count = 1;
    batch->txs[0].len = load->bytes;
    struct dsmr_submit port = dsmr_driver_submit_port(node->driver);
    if (!port.ops->submit(port.self, batch)) {
        dsmr_buf_unref(bytes);
        free(batch);
    }
}

static void on_arrival(struct dsmr_sim *sim, void *ctx)
{
    const struct client *client = ctx;
    struct dsmr_sim_load *load = client->load;
    struct dsmr_sim_node *node = &sim->nodes[client->node];
    if (node->driver != NULL && !node->is_paused) {
        load->made++;
        submit(load, node);
    }
    dsmr_sim_at(sim, sim->now_us + 1 + dsmr_prng_below(&load->prng, 2 * load->gap_us), on_arrival,
                ctx);
}

struct dsmr_sim_load *dsmr_sim_load_new(struct dsmr_sim *sim,
                                        const struct dsmr_sim_load_config *config)
{
    struct dsmr_sim_load *load = calloc(1, sizeof(*load));
    uint32_t nodes = sim->config.nodes, weight = sim->config.tx_weight;
    DSMR_ASSERT(load != NULL && config->txs_per_s > 0);
    weight = weight > 0 ? weight : 1;
    load->sim = sim;
    load->config = *config;
    dsmr_prng_init(&load->prng, config->seed);
    load->gap_us = DSMR_SIM_SECOND_US * nodes * weight / config->txs_per_s;
    load->bytes = weight * (config->tx_bytes + DSMR_CHUNK_TX_PREFIX_BYTES) -
                  DSMR_CHUNK_TX_PREFIX_BYTES; /* in a chunk each has its prefix */
    DSMR_ASSERT(load->bytes >= MADE_AT + 8u && load->bytes <= DSMR_TX_BYTES_MAX);
    load->clients = calloc(nodes, sizeof(*load->clients));
    DSMR_ASSERT(load->clients != NULL);
    for (uint32_t i = 0; i < nodes; i++) {
        load->clients[i] = (struct client){.load = load, .node = i};
        dsmr_sim_at(sim, config->from_us + dsmr_prng_below(&load->prng, 2 * load->gap_us + 1),
                    on_arrival, &load->clients[i]);
    }
    return load;
}

void dsmr_sim_load_free(struct dsmr_sim_load *load)
{
    free(load->clients);
    free(load);
}

uint64_t dsmr_sim_load_made(const struct dsmr_sim_load *load)
{
    return load->made;
}

uint64_t dsmr_sim_load_made_us(const uint8_t *tx)
{
    return dsmr_load_be64(tx + MADE_AT);
}
