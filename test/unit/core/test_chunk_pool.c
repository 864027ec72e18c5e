#include "core/chunk_pool.h"
#include "leaf_fixture.h"

enum { CHUNKS_MAX = 16, PRODUCERS_MAX = 3, PENDING_MAX = 20000, BODIES_MAX = 12000 };

static struct dsmr_chunk_pool *new_pool(void)
{
    const struct dsmr_chunk_pool_config config = {.chunks_max = CHUNKS_MAX,
                                                  .producers_max = PRODUCERS_MAX,
                                                  .body_bytes_max = BODIES_MAX,
                                                  .pending_bytes_max = PENDING_MAX,
                                                  .seed = 1};
    struct dsmr_chunk_pool *pool = dsmr_chunk_pool_new(&config);
    assert_non_null(pool);
    return pool;
}

static struct dsmr_chunk_entry entry_of(uint64_t chunk, uint64_t producer, uint64_t slot)
{
    struct dsmr_chunk_entry entry = {.ref = ref_of(chunk, producer, slot),
                                     .included_height = UINT64_MAX};
    return entry;
}

static struct dsmr_chunk *body_of(const struct dsmr_chunk_entry *entry)
{
    struct dsmr_chunk *body = calloc(1, sizeof(*body));
    assert_non_null(body);
    body->refs = 1;
    body->ref = entry->ref;
    return body;
}

static void add_reserved(struct dsmr_chunk_pool *pool, const struct dsmr_chunk_entry *entry)
{
    assert_int_equal(dsmr_chunk_pool_reserve(pool, &entry->ref.producer, entry->ref.chunk_bytes),
                     DSMR_OK);
    assert_int_equal(dsmr_chunk_pool_add(pool, entry, NULL, true), DSMR_OK);
    dsmr_chunk_pool_check(pool);
}

static void test_quota(void **state)
{
    (void)state;
    struct dsmr_chunk_pool *pool = new_pool();
    struct dsmr_node_id a = node_of(1);
    assert_int_equal(dsmr_chunk_pool_counted_bytes(1), DSMR_QUOTA_CHUNK_BYTES_MIN);
    assert_int_equal(dsmr_chunk_pool_counted_bytes(4096), 4096);
    assert_int_equal(dsmr_chunk_pool_counted_bytes(4097), 4097);
    assert_true(dsmr_chunk_pool_has_quota(pool, &a, PENDING_MAX));
    assert_false(dsmr_chunk_pool_has_quota(pool, &a, PENDING_MAX + 1));
    assert_int_equal(dsmr_chunk_pool_reserve(pool, &a, PENDING_MAX + 1), DSMR_ERR_QUOTA_FULL);
    assert_int_equal(dsmr_chunk_pool_reserve(pool, &a, PENDING_MAX - 4096), DSMR_OK);
    assert_int_equal(dsmr_chunk_pool_reserve(pool, &a, 1), DSMR_OK); /* counts as 4096 */
    assert_int_equal(dsmr_chunk_pool_reserve(pool, &a, 1), DSMR_ERR_QUOTA_FULL);
    assert_int_equal(dsmr_chunk_pool_pending_bytes(pool, &a), PENDING_MAX);
    /* Others have their own, as long as there is room for their names. */
    for (uint64_t i = 2; i <= PRODUCERS_MAX; i++) {
        struct dsmr_node_id other = node_of(i);
        assert_int_equal(dsmr_chunk_pool_reserve(pool, &other, 1), DSMR_OK);
    }
    struct dsmr_node_id more = node_of(99);
    assert_int_equal(dsmr_chunk_pool_reserve(pool, &more, 1), DSMR_ERR_FULL);
    dsmr_chunk_pool_check(pool);
    dsmr_chunk_pool_unreserve(pool, &a, 1);
    assert_int_equal(dsmr_chunk_pool_reserve(pool, &more, 1), DSMR_ERR_FULL);
    dsmr_chunk_pool_unreserve(pool, &a, PENDING_MAX - 4096);
    assert_int_equal(dsmr_chunk_pool_reserve(pool, &more, 1), DSMR_OK); /* a has nothing left */
    assert_int_equal(dsmr_chunk_pool_pending_total(pool), 3 * 4096);
    dsmr_chunk_pool_check(pool);
    dsmr_chunk_pool_free(pool);
}

static void test_reservation_passes_to_the_entry(void **state)
{
    (void)state;
    struct dsmr_chunk_pool *pool = new_pool();
    struct dsmr_chunk_entry entry = entry_of(1, 1, 10);
    add_reserved(pool, &entry);
    assert_int_equal(dsmr_chunk_pool_find(pool, &entry.ref.chunk_id)->pending_bytes, 5000);
    /* A duplicate leaves the caller's reservation alone. */
    assert_int_equal(dsmr_chunk_pool_reserve(pool, &entry.ref.producer, 5000), DSMR_OK);
    assert_int_equal(dsmr_chunk_pool_add(pool, &entry, NULL, true), DSMR_ERR_DUPLICATE);
    assert_int_equal(dsmr_chunk_pool_pending_bytes(pool, &entry.ref.producer), 10000);
    dsmr_chunk_pool_unreserve(pool, &entry.ref.producer, 5000);
    /* An included one holds nothing. */
    struct dsmr_chunk_entry included = entry_of(2, 1, 11);
    included.included_height = 7;
    add_reserved(pool, &included);
    const struct dsmr_chunk_entry *held = dsmr_chunk_pool_find(pool, &included.ref.chunk_id);
    assert_int_equal(held->state, DSMR_CHUNK_INCLUDED);
    assert_int_equal(held->pending_bytes, 0);
    assert_int_equal(dsmr_chunk_pool_pending_total(pool), 5000);
    /* Without a reservation (fetched): nothing pending. */
    struct dsmr_chunk_entry fetched = entry_of(3, 2, 11);
    assert_int_equal(dsmr_chunk_pool_add(pool, &fetched, NULL, false), DSMR_OK);
    assert_int_equal(dsmr_chunk_pool_pending_total(pool), 5000);
    assert_true(dsmr_chunk_pool_remove(pool, &entry.ref.chunk_id));
    assert_false(dsmr_chunk_pool_remove(pool, &entry.ref.chunk_id));
    assert_int_equal(dsmr_chunk_pool_pending_total(pool), 0);
    dsmr_chunk_pool_check(pool);
    dsmr_chunk_pool_free(pool);
}

static void test_states_release_pending_bytes(void **state)
{
    (void)state;
    struct dsmr_chunk_pool *pool = new_pool();
    struct dsmr_chunk_entry a = entry_of(1, 1, 10);
    struct dsmr_chunk_entry b = entry_of(2, 1, 11);
    add_reserved(pool, &a);
    add_reserved(pool, &b);
    dsmr_chunk_pool_set_state(pool, &a.ref.chunk_id, DSMR_CHUNK_SHARED, 0);
    dsmr_chunk_pool_set_state(pool, &a.ref.chunk_id, DSMR_CHUNK_CERTIFIED, 0);
    dsmr_chunk_pool_set_state(pool, &a.ref.chunk_id, DSMR_CHUNK_CERTIFIED, 0);
    assert_int_equal(dsmr_chunk_pool_pending_total(pool), 10000);
    dsmr_chunk_pool_set_state(pool, &a.ref.chunk_id, DSMR_CHUNK_INCLUDED, 42);
    assert_int_equal(dsmr_chunk_pool_find(pool, &a.ref.chunk_id)->included_height, 42);
    assert_int_equal(dsmr_chunk_pool_pending_total(pool), 5000);
    dsmr_chunk_pool_check(pool);
    dsmr_chunk_pool_set_state(pool, &b.ref.chunk_id, DSMR_CHUNK_EXPIRED, 0);
    assert_int_equal(dsmr_chunk_pool_pending_total(pool), 0);
    dsmr_chunk_pool_check(pool);
    dsmr_chunk_pool_free(pool);
}

static void test_limit_of_entries(void **state)
{
    (void)state;
    struct dsmr_chunk_pool *pool = new_pool();
    for (uint64_t i = 0; i < CHUNKS_MAX; i++) {
        struct dsmr_chunk_entry entry = entry_of(i, 1, i);
        assert_true(dsmr_chunk_pool_has_room(pool));
        assert_int_equal(dsmr_chunk_pool_add(pool, &entry, NULL, false), DSMR_OK);
    }
    struct dsmr_chunk_entry more = entry_of(100, 1, 100);
    assert_false(dsmr_chunk_pool_has_room(pool));
    assert_int_equal(dsmr_chunk_pool_add(pool, &more, NULL, false), DSMR_ERR_FULL);
    assert_int_equal(dsmr_chunk_pool_count(pool), CHUNKS_MAX);
    uint32_t seen = 0;
    size_t position = 0;
    while (dsmr_chunk_pool_next(pool, &position) != NULL) {
        seen++;
    }
    assert_int_equal(seen, CHUNKS_MAX);
    dsmr_chunk_pool_check(pool);
    dsmr_chunk_pool_free(pool);
}

/* A reservation has its place: others find the pool full before. */
static void test_reservations_have_places(void **state)
{
    (void)state;
    struct dsmr_chunk_pool *pool = new_pool();
    struct dsmr_chunk_entry last = entry_of(100, 2, 100), more = entry_of(101, 3, 100);
    for (uint64_t i = 0; i < CHUNKS_MAX - 1; i++) {
        struct dsmr_chunk_entry entry = entry_of(i, 1, i);
        assert_int_equal(dsmr_chunk_pool_add(pool, &entry, NULL, false), DSMR_OK);
    }
    assert_int_equal(dsmr_chunk_pool_reserve(pool, &last.ref.producer, 5000), DSMR_OK);
    assert_false(dsmr_chunk_pool_has_room(pool));
    assert_int_equal(dsmr_chunk_pool_reserve(pool, &more.ref.producer, 5000), DSMR_ERR_FULL);
    assert_int_equal(dsmr_chunk_pool_add(pool, &more, NULL, false), DSMR_ERR_FULL);
    assert_int_equal(dsmr_chunk_pool_restore(pool, &more), DSMR_ERR_FULL);
    dsmr_chunk_pool_unreserve(pool, &last.ref.producer, 5000);
    assert_true(dsmr_chunk_pool_has_room(pool));
    add_reserved(pool, &last);
    assert_false(dsmr_chunk_pool_has_room(pool));
    assert_true(dsmr_chunk_pool_remove(pool, &last.ref.chunk_id));
    last.included_height = 7; /* included while it was stored */
    add_reserved(pool, &last);
    assert_true(dsmr_chunk_pool_remove(pool, &last.ref.chunk_id));
    assert_int_equal(dsmr_chunk_pool_add(pool, &more, NULL, false), DSMR_OK);
    dsmr_chunk_pool_check(pool);
    dsmr_chunk_pool_free(pool);
}

static void test_restore_goes_over_the_quota(void **state)
{
    (void)state;
    struct dsmr_chunk_pool *pool = new_pool();
    for (uint64_t i = 0; i < 6; i++) {
        struct dsmr_chunk_entry entry = entry_of(i, 1, i);
        assert_int_equal(dsmr_chunk_pool_restore(pool, &entry), DSMR_OK);
        assert_int_equal(dsmr_chunk_pool_restore(pool, &entry), DSMR_ERR_DUPLICATE);
    }
    struct dsmr_node_id producer = node_of(1);
    assert_int_equal(dsmr_chunk_pool_pending_bytes(pool, &producer), 30000);
    assert_false(dsmr_chunk_pool_has_quota(pool, &producer, 0));
    struct dsmr_chunk_entry included = entry_of(50, 2, 50);
    included.included_height = 3;
    assert_int_equal(dsmr_chunk_pool_restore(pool, &included), DSMR_OK);
    assert_int_equal(dsmr_chunk_pool_pending_total(pool), 30000);
    for (uint64_t i = 2; i <= PRODUCERS_MAX; i++) {
        struct dsmr_chunk_entry entry = entry_of(60 + i, i, 60);
        assert_int_equal(dsmr_chunk_pool_restore(pool, &entry), DSMR_OK);
    }
    struct dsmr_chunk_entry nameless = entry_of(70, 99, 70);
    assert_int_equal(dsmr_chunk_pool_restore(pool, &nameless), DSMR_ERR_FULL);
    dsmr_chunk_pool_check(pool);
    dsmr_chunk_pool_free(pool);
}

static void test_lists_expired_and_defers(void **state)
{
    (void)state;
    struct dsmr_chunk_pool *pool = new_pool();
    struct dsmr_id out[CHUNKS_MAX];
    assert_true(dsmr_chunk_pool_expiry_min_ms(pool) == UINT64_MAX);
    for (uint64_t i = 5; i > 0; i--) {
        struct dsmr_chunk_entry entry = entry_of(i, 1, i);
        assert_int_equal(dsmr_chunk_pool_add(pool, &entry, NULL, false), DSMR_OK);
    }
    uint64_t first = ref_of(1, 1, 1).expiry_ms;
    assert_int_equal(dsmr_chunk_pool_expiry_min_ms(pool), first + 1);
    assert_int_equal(dsmr_chunk_pool_list_expired(pool, out, CHUNKS_MAX, first), 0);
    assert_int_equal(dsmr_chunk_pool_list_expired(pool, out, CHUNKS_MAX, first + 101), 2);
    struct dsmr_id one = id_of(1);
    struct dsmr_id two = id_of(2);
    assert_id_equal(&out[0], &one);
    assert_id_equal(&out[1], &two);
    assert_int_equal(dsmr_chunk_pool_list_expired(pool, out, 1, UINT64_MAX), 1);
    dsmr_chunk_pool_defer(pool, &one, first + 5000);
    dsmr_chunk_pool_defer(pool, &two, 0); /* never before its expiry */
    dsmr_chunk_pool_check(pool);
    assert_int_equal(dsmr_chunk_pool_list_expired(pool, out, CHUNKS_MAX, first + 101), 1);
    assert_id_equal(&out[0], &two);
    assert_int_equal(dsmr_chunk_pool_list_expired(pool, out, CHUNKS_MAX, first + 5000), 5);
    assert_id_equal(&out[4], &one);
    assert_int_equal(dsmr_chunk_pool_count(pool), 5); /* nothing was removed */
    dsmr_chunk_pool_free(pool);
}

static void test_oldest_bodies_leave_memory(void **state)
{
    (void)state;
    struct dsmr_chunk_pool *pool = new_pool();
    struct dsmr_chunk_entry entries[3];
    struct dsmr_chunk *bodies[3];
    for (uint64_t i = 0; i < 3; i++) {
        entries[i] = entry_of(i, 1, i);
        bodies[i] = body_of(&entries[i]);
    }
    dsmr_chunk_pool_put_body(pool, bodies[0]); /* no entry: nothing happens */
    assert_int_equal(bodies[0]->refs, 1);
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(dsmr_chunk_pool_add(pool, &entries[i], bodies[i], false), DSMR_OK);
        dsmr_chunk_pool_put_body(pool, bodies[i]); /* a second time: once is enough */
        assert_int_equal(bodies[i]->refs, 2);
    }
    assert_int_equal(dsmr_chunk_pool_body_bytes(pool), 10000);
    assert_int_equal(dsmr_chunk_pool_add(pool, &entries[2], bodies[2], false), DSMR_OK);
    assert_null(dsmr_chunk_pool_body(pool, &entries[0].ref.chunk_id)); /* 15000 > 12000 */
    assert_int_equal(bodies[0]->refs, 1);
    assert_ptr_equal(dsmr_chunk_pool_body(pool, &entries[2].ref.chunk_id), bodies[2]);
    dsmr_chunk_pool_check(pool);
    dsmr_chunk_pool_drop_body(pool, &entries[1].ref.chunk_id);
    assert_int_equal(bodies[1]->refs, 1);
    assert_int_equal(dsmr_chunk_pool_body_bytes(pool), 5000);
    dsmr_chunk_pool_put_body(pool, bodies[0]);
    assert_true(dsmr_chunk_pool_remove(pool, &entries[2].ref.chunk_id));
    assert_int_equal(bodies[2]->refs, 1);
    dsmr_chunk_pool_check(pool);
    /* One that is larger than the whole cache is not kept. */
    struct dsmr_chunk_entry large = entry_of(9, 1, 9);
    large.ref.chunk_bytes = BODIES_MAX + 1;
    struct dsmr_chunk *large_body = body_of(&large);
    assert_int_equal(dsmr_chunk_pool_add(pool, &large, large_body, false), DSMR_OK);
    assert_null(dsmr_chunk_pool_body(pool, &large.ref.chunk_id));
    assert_non_null(dsmr_chunk_pool_body(pool, &entries[0].ref.chunk_id));
    dsmr_chunk_pool_free(pool);
    dsmr_chunk_unref(large_body);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(bodies[i]->refs, 1);
        dsmr_chunk_unref(bodies[i]);
    }
    dsmr_chunk_pool_free(NULL);
}

/* Every order of operations keeps the invariants, and at the end nothing is pending. */
static void test_random_operations(void **state)
{
    (void)state;
    struct dsmr_chunk_pool *pool = new_pool();
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 3);
    for (unsigned step = 0; step < 4000; step++) {
        uint64_t n = dsmr_prng_below(&prng, 24);
        struct dsmr_chunk_entry entry = entry_of(n, n % 5, n);
        entry.is_signed = true;
        struct dsmr_chunk_entry *held = dsmr_chunk_pool_find(pool, &entry.ref.chunk_id);
        if (held == NULL) {
            bool reserved = dsmr_chunk_pool_reserve(pool, &entry.ref.producer,
                                                    entry.ref.chunk_bytes) == DSMR_OK;
            struct dsmr_chunk *body = body_of(&entry);
            if (dsmr_chunk_pool_add(pool, &entry, body, reserved) != DSMR_OK && reserved) {
                dsmr_chunk_pool_unreserve(pool, &entry.ref.producer, entry.ref.chunk_bytes);
            }
            dsmr_chunk_unref(body);
        } else if (dsmr_prng_below(&prng, 3) == 0) {
            assert_true(dsmr_chunk_pool_remove(pool, &entry.ref.chunk_id));
        } else if (held->state < DSMR_CHUNK_INCLUDED) {
            dsmr_chunk_pool_set_state(pool, &entry.ref.chunk_id, held->state + 1, step);
        }
        dsmr_chunk_pool_check(pool);
    }
    for (uint64_t n = 0; n < 24; n++) {
        struct dsmr_id id = id_of(n);
        (void)dsmr_chunk_pool_remove(pool, &id);
    }
    assert_int_equal(dsmr_chunk_pool_pending_total(pool), 0);
    assert_int_equal(dsmr_chunk_pool_body_bytes(pool), 0);
    assert_int_equal(dsmr_chunk_pool_count(pool), 0);
    dsmr_chunk_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_reservation_passes_to_the_entry),
        cmocka_unit_test(test_states_release_pending_bytes),
        cmocka_unit_test(test_limit_of_entries),
        cmocka_unit_test(test_reservations_have_places),
        cmocka_unit_test(test_restore_goes_over_the_quota),
        cmocka_unit_test(test_lists_expired_and_defers),
        cmocka_unit_test(test_oldest_bodies_leave_memory),
        cmocka_unit_test(test_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
