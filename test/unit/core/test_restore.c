/* What a node takes from its disk at a start, where the limits of its memory are in the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "core/node_state.h"

#define ENTRIES 4000u
#define VALIDATORS 4u

static struct dsmr_node *make_node(void)
{
    struct dsmr_node_config config = {.seed = 1,
                                      .validators_max = VALIDATORS,
                                      .mempool_bytes_max = 4096,
                                      .mempool_txs_max = 16,
                                      .chunk_cache_bytes_max = 4096,
                                      .retry_ms = 100,
                                      .fetch_timeout_ms = 100,
                                      .fetches_max = 2,
                                      .can_produce = true};
    dsmr_params_default(&config.params);
    config.params.slot_ms = 10000; /* few slots in a lifetime: a small journal */
    assert_int_equal(dsmr_block_genesis(&config.genesis, &config.params, 1), DSMR_OK);
    struct dsmr_node *node = dsmr_node_new(&config);
    assert_non_null(node);
    dsmr_block_unref(config.genesis);
    return node;
}

static struct dsmr_node_id producer_of(uint32_t i)
{
    struct dsmr_node_id id = {{1}};
    dsmr_store_be32(id.bytes + 16, i % VALIDATORS);
    return id;
}

static struct dsmr_event entry_of(uint32_t i)
{
    struct dsmr_event event = {.kind = DSMR_EV_RESTORE_JOURNAL};
    event.u.journal.producer = producer_of(i);
    event.u.journal.slot = i / VALIDATORS;
    event.u.journal.expiry_ms = 100000 + i / VALIDATORS;
    dsmr_store_be32(event.u.journal.chunk_id.bytes, i + 1);
    return event;
}

static void step(struct dsmr_node *node, const struct dsmr_event *event)
{
    struct dsmr_effects effects;
    assert_int_equal(dsmr_effects_init(&effects), DSMR_OK);
    dsmr_node_step(node, &effects, event);
    dsmr_effects_close(&effects);
}

/* Garbage collection comes now and then: the journal on disk holds more than memory does. Whatever
 * has no room lies below the floor, so that no promise is forgotten; and the node starts. */
static void test_journal_larger_than_memory(void **state)
{
    (void)state;
    struct dsmr_node *node = make_node();
    uint32_t kept = 0;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct dsmr_event event = entry_of(i * 2347u % ENTRIES); /* in no order of theirs */
        step(node, &event);
    }
    assert_false(node->is_halted);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct dsmr_event event = entry_of(i);
        const struct dsmr_journal_entry *entry =
            dsmr_journal_find(node->journal, &event.u.journal.producer, event.u.journal.slot);
        if (entry == NULL) {
            assert_true(event.u.journal.expiry_ms <= node->floor_ms);
        } else {
            assert_memory_equal(&entry->chunk_id, &event.u.journal.chunk_id, 32);
            kept++;
        }
    }
    assert_int_equal(kept, dsmr_journal_count(node->journal));
    assert_in_range(kept, 1024, ENTRIES - 1); /* as many as there is room for, but one expiry */
    dsmr_node_check(node);
    dsmr_node_free(node);
}

/* Two chunks of one slot are another matter. */
static void test_journal_with_a_conflict_halts(void **state)
{
    (void)state;
    struct dsmr_node *node = make_node();
    struct dsmr_event event = entry_of(1);
    step(node, &event);
    event.u.journal.chunk_id.bytes[0]++;
    step(node, &event);
    assert_true(node->is_halted);
    dsmr_node_free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal_larger_than_memory),
        cmocka_unit_test(test_journal_with_a_conflict_halts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
