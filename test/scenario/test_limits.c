/* Limits of genesis that are accepted must be kept together: what may be on disk can be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "dsmr/node.h"
#include "lib/world.h"
#include "wire/codec.h"

#define VALIDATORS 4u
#define START_MS UINT64_C(1700000000000)

/* Journal entries of every slot of two lifetimes and a quarter, by every producer: what is on disk
 * when the floor has not been raised since. */
static void read_full_journal(const struct dsmr_params *params)
{
    struct dsmr_node_config config = {.params = *params,
                                      .seed = 1,
                                      .validators_max = VALIDATORS,
                                      .mempool_bytes_max = 65536,
                                      .mempool_txs_max = 16,
                                      .chunk_cache_bytes_max = 65536,
                                      .retry_ms = 100,
                                      .fetch_timeout_ms = 100,
                                      .fetches_max = 4};
    const char *reason = "";
    struct dsmr_effects effects;
    assert_int_equal(dsmr_params_check(params, &reason, VALIDATORS), DSMR_OK);
    assert_int_equal(dsmr_block_genesis(&config.genesis, params, START_MS), DSMR_OK);
    assert_int_equal(dsmr_effects_init(&effects), DSMR_OK);
    struct dsmr_node *node = dsmr_node_new(&config);
    assert_non_null(node);
    uint64_t slots = (uint64_t)params->chunk_lifetime_ms / params->slot_ms * 9 / 4;
    for (uint64_t n = 0; n < slots * VALIDATORS; n++) {
        struct dsmr_event event = {.kind = DSMR_EV_RESTORE_JOURNAL, .wall_ms = START_MS};
        event.u.journal.producer.bytes[0] = (uint8_t)(n % VALIDATORS);
        event.u.journal.slot = START_MS / params->slot_ms + n / VALIDATORS;
        event.u.journal.expiry_ms =
            event.u.journal.slot * params->slot_ms + params->chunk_lifetime_ms;
        dsmr_store_be64(event.u.journal.chunk_id.bytes, n);
        dsmr_node_step(node, &effects, &event);
        for (uint32_t i = 0; i < effects.count; i++)
            assert_int_not_equal(effects.items[i].kind, DSMR_FX_HALT);
        dsmr_effects_clear(&effects);
    }
    dsmr_node_free(node);
    dsmr_effects_close(&effects);
    dsmr_block_unref(config.genesis);
}

static void test_a_journal_that_may_be_on_disk_can_be_read(void **state)
{
    struct dsmr_params params;
    (void)state;
    dsmr_params_default(&params);
    read_full_journal(&params);
    /* A quota of one chunk bounds what is pending, not what was signed. */
    params.chunk_bytes_max = 4096;
    params.pending_bytes_max = 4096;
    read_full_journal(&params);
    /* As many slots as the table of limits lets through. */
    dsmr_params_default(&params);
    params.chunk_lifetime_ms = 120000;
    params.slot_ms = 1;
    read_full_journal(&params);
}

static void tune_small_cache(struct dsmr_driver_config *config)
{
    config->node.chunk_cache_bytes_max = 1; /* less than any chunk: bodies are read from the disk */
}

static bool has_executed(struct dsmr_world *world, void *ctx)
{
    return dsmr_world_executed(world) == *(const uint64_t *)ctx && dsmr_world_is_level(world);
}

static void test_a_cache_smaller_than_a_chunk_only_costs_reads(void **state)
{
    struct dsmr_world_config config = {.nodes = 4, .seed = 71, .tune = tune_small_cache};
    struct dsmr_world *world = dsmr_world_new(&config);
    uint64_t goal = 60;
    (void)state;
    for (uint64_t n = 1; n <= goal; n++)
        (void)dsmr_world_submit(world, (uint32_t)n % 4, n);
    assert_true(dsmr_world_run(world, has_executed, &goal, 60000));
    dsmr_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_journal_that_may_be_on_disk_can_be_read),
        cmocka_unit_test(test_a_cache_smaller_than_a_chunk_only_costs_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
