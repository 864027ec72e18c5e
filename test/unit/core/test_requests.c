/* test_requests.c - each answer finds its request once; the limit; slots are used again. */
#include "core/requests.h"
#include "leaf_fixture.h"

#define MAX 5u

static uint64_t begin(struct dsmr_requests *requests, uint64_t number)
{
    struct dsmr_request request = {.kind = DSMR_REQUEST_EXECUTE, .number = number};
    return dsmr_requests_begin(requests, &request);
}

static void test_answers_find_their_request_once(void **state)
{
    (void)state;
    struct dsmr_requests *requests = dsmr_requests_new(MAX);
    struct dsmr_request out;
    assert_non_null(requests);
    assert_false(dsmr_requests_end(requests, &out, 0));
    assert_false(dsmr_requests_end(requests, &out, UINT64_C(1) << 32 | 1)); /* not begun yet */
    uint64_t first = begin(requests, 10), second = begin(requests, 20);
    assert_true(first != 0 && second != 0 && first != second);
    assert_int_equal(dsmr_requests_count(requests), 2);
    assert_false(dsmr_requests_end(requests, &out, UINT64_C(1) << 32 | (MAX + 1)));
    assert_true(dsmr_requests_end(requests, &out, first));
    assert_int_equal(out.number, 10);
    assert_false(dsmr_requests_end(requests, &out, first));
    uint64_t again = begin(requests, 30); /* in the slot of the first one */
    assert_int_equal((uint32_t)again, (uint32_t)first);
    assert_false(dsmr_requests_end(requests, &out, first));
    assert_true(dsmr_requests_end(requests, &out, again));
    assert_int_equal(out.number, 30);
    assert_true(dsmr_requests_end(requests, &out, second));
    assert_int_equal(out.number, 20);
    assert_int_equal(dsmr_requests_count(requests), 0);
    dsmr_requests_free(requests);
}

/* Whatever came and went before, there is room for as many as the limit and no more. */
static void test_limit(void **state)
{
    (void)state;
    for (uint32_t used_before = 0; used_before <= MAX; used_before++) {
        struct dsmr_requests *requests = dsmr_requests_new(MAX);
        struct dsmr_request out;
        uint64_t ids[MAX];
        assert_non_null(requests);
        for (uint32_t i = 0; i < used_before; i++) {
            ids[i] = begin(requests, i);
        }
        for (uint32_t i = 0; i < used_before; i++) {
            assert_true(dsmr_requests_end(requests, &out, ids[i]));
        }
        for (uint32_t i = 0; i < MAX; i++) {
            assert_true(dsmr_requests_has_room(requests, MAX - i));
            assert_false(dsmr_requests_has_room(requests, MAX - i + 1));
            ids[i] = begin(requests, 100 + i);
            assert_true(ids[i] != 0);
            for (uint32_t k = 0; k < i; k++) {
                assert_int_not_equal((uint32_t)ids[k], (uint32_t)ids[i]);
            }
        }
        assert_true(begin(requests, 0) == 0);
        assert_int_equal(dsmr_requests_count(requests), MAX);
        for (uint32_t i = 0; i < MAX; i++) {
            assert_true(dsmr_requests_end(requests, &out, ids[i]));
            assert_int_equal(out.number, 100 + i);
        }
        dsmr_requests_free(requests);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_find_their_request_once),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
