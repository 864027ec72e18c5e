/* Where transactions are: through chunks and blocks, at the limits, with and without an owner. */
#include "unit/api/fake_node.h"

#include "api/places.h"

#define OWNER 7

static struct dsmr_id id_of(uint64_t number)
{
    uint8_t tx[32];
    struct dsmr_id id;
    make_tx(tx, number, 50000);
    dsmr_hash(&id, tx, 32);
    return id;
}

static enum dsmr_err add(struct dsmr_places *places, uint64_t number, uint64_t owner)
{
    const struct dsmr_id id = id_of(number);
    const struct dsmr_place place = {.owner = owner, .seq = number, .wants_executed = true};
    return dsmr_places_add(places, &id, &place);
}

static enum dsmr_query_tx_state where(struct dsmr_places *places, uint64_t number)
{
    const struct dsmr_id id = id_of(number);
    struct dsmr_query_tx tx = {.state = DSMR_TX_UNKNOWN};
    bool is_known = dsmr_places_where(places, &tx, &id);
    assert_int_equal(is_known, tx.state != DSMR_TX_UNKNOWN);
    return tx.state;
}

static struct dsmr_place *place_of(struct dsmr_places *places, uint64_t number)
{
    const struct dsmr_id id = id_of(number);
    struct dsmr_place *place = dsmr_places_find(places, &id);
    assert_non_null(place);
    return place;
}

static void a_chunk_takes_its_transactions_along(void **state)
{
    struct dsmr_places *places = dsmr_places_new(16, 16, 1);
    struct dsmr_chunk *chunk = make_chunk_at(10, 1, 2, 50000);
    struct dsmr_chunk *other = make_chunk_at(11, 3, 1, 50000);
    struct dsmr_query_tx tx;
    (void)state;
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(add(places, i, i == 2 ? OWNER : DSMR_PLACES_NOBODY), DSMR_OK);
        assert_int_equal(where(places, i), DSMR_TX_PENDING);
    }
    assert_int_equal(where(places, 4), DSMR_TX_UNKNOWN);
    dsmr_places_built(places, chunk);
    assert_int_equal(where(places, 1), DSMR_TX_IN_CHUNK);
    assert_int_equal(where(places, 2), DSMR_TX_IN_CHUNK);
    assert_int_equal(where(places, 3), DSMR_TX_PENDING);
    dsmr_places_certified(places, other); /* of which nothing was said */
    assert_int_equal(where(places, 3), DSMR_TX_PENDING);
    dsmr_places_built(places, other);
    dsmr_places_certified(places, chunk);
    assert_int_equal(where(places, 1), DSMR_TX_CERTIFIED);
    assert_int_equal(where(places, 3), DSMR_TX_IN_CHUNK);
    struct dsmr_cert certs[2];
    memset(certs, 0, sizeof(certs));
    certs[0].ref = other->ref; /* a block may be the first to say that it is certified */
    certs[1].ref = chunk->ref;
    certs[1].ref.chunk_id.bytes[0] ^= 1; /* another producer's chunk of the same slot */
    const struct dsmr_block block = {.height = 9, .certs = certs, .certs_count = 2};
    dsmr_places_accepted(places, &block);
    assert_int_equal(where(places, 1), DSMR_TX_CERTIFIED);
    const struct dsmr_id third = id_of(3);
    assert_true(dsmr_places_where(places, &tx, &third));
    assert_int_equal(tx.state, DSMR_TX_IN_BLOCK);
    assert_int_equal(tx.height, 9);
    assert_true(dsmr_id_equal(&tx.chunk_id, &other->ref.chunk_id));
    dsmr_places_returned(places, chunk);
    assert_int_equal(where(places, 1), DSMR_TX_PENDING);
    assert_int_equal(where(places, 2), DSMR_TX_PENDING);
    assert_int_equal(where(places, 3), DSMR_TX_IN_BLOCK);
    dsmr_chunk_unref(chunk);
    dsmr_chunk_unref(other);
    dsmr_places_free(places);
}

static void one_that_is_in_two_chunks_stays_in_the_younger(void **state)
{
    struct dsmr_places *places = dsmr_places_new(16, 16, 1);
    struct dsmr_chunk *first = make_chunk_at(10, 1, 1, 50000);
    struct dsmr_chunk *second = make_chunk_at(11, 1, 1, 50000);
    (void)state;
    assert_int_equal(add(places, 1, DSMR_PLACES_NOBODY), DSMR_OK);
    dsmr_places_built(places, first);
    dsmr_places_built(places, second); /* it was admitted again in between */
    dsmr_places_certified(places, second);
    dsmr_places_returned(places, first);
    assert_int_equal(where(places, 1), DSMR_TX_CERTIFIED);
    dsmr_chunk_unref(first);
    dsmr_chunk_unref(second);
    dsmr_places_free(places);
}

static void an_old_chunk_is_forgotten_but_not_that_it_was_built(void **state)
{
    struct dsmr_places *places = dsmr_places_new(16, 16, 1);
    struct dsmr_chunk *old = make_chunk_at(10, 1, 1, 50000);
    struct dsmr_chunk *young = make_chunk_at(10 + DSMR_PLACES_CHUNKS_MAX, 2, 1, 50000);
    struct dsmr_query_tx tx;
    const struct dsmr_id id = id_of(1);
    (void)state;
    assert_int_equal(add(places, 1, DSMR_PLACES_NOBODY), DSMR_OK);
    assert_int_equal(add(places, 2, DSMR_PLACES_NOBODY), DSMR_OK);
    dsmr_places_built(places, old);
    dsmr_places_certified(places, old);
    dsmr_places_built(places, young);
    assert_true(dsmr_places_where(places, &tx, &id));
    assert_int_equal(tx.state, DSMR_TX_IN_CHUNK);
    assert_true(dsmr_id_is_zero(&tx.chunk_id));
    dsmr_places_returned(places, old); /* and the young one's record stays */
    assert_int_equal(where(places, 1), DSMR_TX_PENDING);
    dsmr_places_certified(places, young);
    assert_int_equal(where(places, 2), DSMR_TX_CERTIFIED);
    dsmr_chunk_unref(old);
    dsmr_chunk_unref(young);
    dsmr_places_free(places);
}

static void each_kind_has_a_limit_of_its_own(void **state)
{
    struct dsmr_places *places = dsmr_places_new(3, 2, 1);
    (void)state;
    assert_true(dsmr_places_is_empty(places));
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(add(places, i, DSMR_PLACES_NOBODY), DSMR_OK);
        assert_int_equal(add(places, i, DSMR_PLACES_NOBODY), DSMR_ERR_DUPLICATE);
    }
    assert_int_equal(add(places, 2, DSMR_PLACES_NOBODY), DSMR_ERR_FULL);
    for (uint64_t i = 10; i < 13; i++) {
        assert_int_equal(add(places, i, OWNER), DSMR_OK);
        assert_int_equal(add(places, i, OWNER + 1), DSMR_ERR_DUPLICATE);
    }
    assert_int_equal(add(places, 13, OWNER), DSMR_ERR_FULL);
    assert_int_equal(dsmr_places_flights(places), 3);
    dsmr_places_disown(places, place_of(places, 10)); /* no room for one more without an owner */
    assert_int_equal(where(places, 10), DSMR_TX_UNKNOWN);
    assert_int_equal(dsmr_places_flights(places), 2);
    dsmr_places_remove(places, place_of(places, 0));
    dsmr_places_disown(places, place_of(places, 11));
    dsmr_places_disown(places, place_of(places, 11));
    assert_int_equal(where(places, 11), DSMR_TX_PENDING);
    assert_int_equal(dsmr_places_flights(places), 1);
    assert_int_equal(add(places, 0, DSMR_PLACES_NOBODY), DSMR_ERR_FULL);
    assert_int_equal(add(places, 14, OWNER), DSMR_OK);
    dsmr_places_free(places);
}

static void one_without_an_owner_finds_one(void **state)
{
    struct dsmr_places *places = dsmr_places_new(1, 1, 1);
    struct dsmr_chunk *chunk = make_chunk_at(10, 1, 1, 50000);
    const struct dsmr_id id = id_of(1);
    (void)state;
    assert_int_equal(add(places, 1, DSMR_PLACES_NOBODY), DSMR_OK);
    dsmr_places_built(places, chunk);
    assert_int_equal(add(places, 1, OWNER), DSMR_OK);
    dsmr_places_lock(places);
    const struct dsmr_place *place = dsmr_places_find(places, &id);
    assert_int_equal(place->owner, OWNER);
    assert_true(place->wants_executed);
    dsmr_places_unlock(places);
    assert_int_equal(where(places, 1), DSMR_TX_IN_CHUNK); /* it stays where it is */
    assert_int_equal(dsmr_places_flights(places), 1);
    assert_int_equal(add(places, 2, DSMR_PLACES_NOBODY), DSMR_OK); /* its room is free */
    assert_int_equal(add(places, 2, OWNER), DSMR_ERR_FULL);
    dsmr_chunk_unref(chunk);
    dsmr_places_free(places);
}

static void add_expiring(struct dsmr_places *places, uint64_t number, uint64_t expiry_ms)
{
    const struct dsmr_id id = id_of(number);
    const struct dsmr_place place = {.owner = OWNER, .expiry_ms = expiry_ms};
    assert_int_equal(dsmr_places_add(places, &id, &place), DSMR_OK);
}

static void it_is_known_whether_one_can_have_expired(void **state)
{
    struct dsmr_places *places = dsmr_places_new(16, 16, 1);
    const uint64_t now_ms = 1700000000000;
    (void)state;
    assert_false(dsmr_places_may_expire(places, now_ms));
    add_expiring(places, 1, now_ms + 2500);
    assert_false(dsmr_places_may_expire(places, now_ms));
    assert_false(dsmr_places_may_expire(places, now_ms + 1999));
    assert_true(dsmr_places_may_expire(places, now_ms + 2501));
    assert_true(dsmr_places_may_expire(places, now_ms + 900000));
    assert_true(dsmr_places_may_expire(places, UINT64_MAX));
    dsmr_places_remove(places, place_of(places, 1));
    assert_false(dsmr_places_may_expire(places, now_ms + 9000));
    add_expiring(places, 2, now_ms + 8000); /* earlier than what was asked for already */
    assert_true(dsmr_places_may_expire(places, now_ms + 9000));
    add_expiring(places, 3, UINT64_MAX);
    dsmr_places_remove(places, place_of(places, 2));
    assert_false(dsmr_places_may_expire(places, now_ms + 9000));
    add_expiring(places, 4, 0);
    assert_true(dsmr_places_may_expire(places, now_ms + 9000));
    dsmr_places_free(places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chunk_takes_its_transactions_along),
        cmocka_unit_test(one_that_is_in_two_chunks_stays_in_the_younger),
        cmocka_unit_test(an_old_chunk_is_forgotten_but_not_that_it_was_built),
        cmocka_unit_test(each_kind_has_a_limit_of_its_own),
        cmocka_unit_test(one_without_an_owner_finds_one),
        cmocka_unit_test(it_is_known_whether_one_can_have_expired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
