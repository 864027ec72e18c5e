/* leaf_fixture.h - ids, references and blocks by number, for the tests of the leaf structures. */
#ifndef DSMR_TEST_UNIT_CORE_LEAF_FIXTURE_H
#define DSMR_TEST_UNIT_CORE_LEAF_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/prng.h"
#include "dsmr/types.h"

#define FIXTURE_SLOT_MS 100u
#define FIXTURE_LIFETIME_MS 30000u

static inline struct dsmr_id id_of(uint64_t n)
{
    struct dsmr_id id = {{0}};
    dsmr_store_be64(id.bytes, n);
    id.bytes[31] = 0xa5;
    return id;
}

static inline struct dsmr_node_id node_of(uint64_t n)
{
    struct dsmr_node_id id = {{0}};
    dsmr_store_be64(id.bytes + 12, n);
    return id;
}

/* Chunk number chunk of producer number producer: one transaction, 5000 bytes, epoch 0. */
static inline struct dsmr_reference ref_of(uint64_t chunk, uint64_t producer, uint64_t slot)
{
    struct dsmr_reference ref = {.chunk_id = id_of(chunk),
                                 .epoch = 0,
                                 .producer = node_of(producer),
                                 .slot = slot,
                                 .expiry_ms = slot * FIXTURE_SLOT_MS + FIXTURE_LIFETIME_MS,
                                 .tx_count = 1,
                                 .chunk_bytes = 5000};
    return ref;
}

static inline void assert_id_equal(const struct dsmr_id *a, const struct dsmr_id *b)
{
    assert_memory_equal(a->bytes, b->bytes, sizeof(a->bytes));
}

#endif
