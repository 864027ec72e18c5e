/* embed.c - the smallest program around libdsmr: one node, its genesis block, one step.
 *
 * It shows how events go in and effects come out. A real embedder does the effects in order (store,
 * sign, send, execute) and answers each by an event with the same request id; src/driver is ours.
 *
 * Build: cc embed.c $(pkg-config --cflags --libs dsmr) */
#include <dsmr/dsmr.h>
#include <dsmr/wire/codec.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Steps the node with one event and returns how many effects it asks for. */
static uint32_t step(struct dsmr_node *node, struct dsmr_effects *effects, enum dsmr_ev_kind kind)
{
    struct dsmr_event event;
    memset(&event, 0, sizeof(event));
    event.kind = kind;
    event.wall_ms = 1700000000000; /* the node has no clock of its own */
    event.mono_ms = 1;
    dsmr_node_step(node, effects, &event);
    uint32_t count = effects->count;
    dsmr_effects_clear(effects);
    return count;
}

int main(void)
{
    const char *reason = "";
    struct dsmr_node_config config;
    struct dsmr_effects effects;
    struct dsmr_node *node = NULL;
    int failed = 1;
    memset(&config, 0, sizeof(config));
    memset(&effects, 0, sizeof(effects));

    dsmr_params_default(&config.params);
    config.params.domain.network_id = 1;
    if (dsmr_params_check(&config.params, &reason, 4) != DSMR_OK) {
        fprintf(stderr, "parameters: %s\n", reason);
        goto out;
    }
    if (dsmr_block_genesis(&config.genesis, &config.params, 1700000000000) != DSMR_OK ||
        dsmr_effects_init(&effects) != DSMR_OK) {
        fprintf(stderr, "out of memory\n");
        goto out;
    }
    config.seed = 1;
    config.validators_max = 4;
    config.mempool_txs_max = 1000;
    config.mempool_bytes_max = 1 << 20;
    config.chunk_cache_bytes_max = 1 << 24;
    config.retry_ms = 200;
    config.fetch_timeout_ms = 500;
    config.fetches_max = 8;
    config.can_produce = true;
    node = dsmr_node_new(&config);
    if (node == NULL) {
        fprintf(stderr, "out of memory\n");
        goto out;
    }
    uint32_t effects_count = step(node, &effects, DSMR_EV_START);
    effects_count += step(node, &effects, DSMR_EV_TICK);

    struct dsmr_node_status status;
    dsmr_node_status(node, &status);
    printf("height %" PRIu64 ", %" PRIu32 " effects\n", status.accepted_height, effects_count);
    failed = status.accepted_height != 0;
out:
    dsmr_node_free(node);
    dsmr_effects_close(&effects);
    dsmr_block_unref(config.genesis);
    return failed;
}
