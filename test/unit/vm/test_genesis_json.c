#include "unit/vm/support.h"

#include "vm/genesis_json.h"

static struct dsmr_genesis_json reader(const char *text)
{
    struct dsmr_genesis_json json;
    dsmr_genesis_json_init(&json, text, strlen(text));
    return json;
}

static void test_walk(void **state)
{
    (void)state;
    struct dsmr_genesis_json json = reader(" { \"a\" : [ 1 , \"2\" ] , \"b\" : { } } ");
    struct dsmr_genesis_json_string name;
    uint64_t value;
    assert_true(dsmr_genesis_json_object(&json));
    assert_true(dsmr_genesis_json_member(&json, &name));
    assert_true(dsmr_genesis_json_is(&name, "a"));
    assert_false(dsmr_genesis_json_is(&name, "ab"));
    assert_false(dsmr_genesis_json_is(&name, ""));
    assert_true(dsmr_genesis_json_array(&json));
    assert_true(dsmr_genesis_json_element(&json));
    assert_true(dsmr_genesis_json_u64(&json, &value));
    assert_int_equal(value, 1);
    assert_true(dsmr_genesis_json_element(&json));
    assert_true(dsmr_genesis_json_u64(&json, &value));
    assert_int_equal(value, 2);
    assert_false(dsmr_genesis_json_element(&json));
    assert_true(dsmr_genesis_json_member(&json, &name));
    assert_true(dsmr_genesis_json_object(&json));
    assert_false(dsmr_genesis_json_member(&json, &name));
    assert_false(dsmr_genesis_json_member(&json, &name));
    assert_true(dsmr_genesis_json_end(&json));
    assert_int_equal(json.depth, 0);
}

static void test_depth_limit(void **state)
{
    (void)state;
    struct dsmr_genesis_json json = reader("[[[[[[[[[");
    for (uint32_t i = 0; i < DSMR_GENESIS_JSON_DEPTH_MAX; i++) {
        assert_true(dsmr_genesis_json_array(&json));
        assert_true(dsmr_genesis_json_element(&json));
    }
    assert_false(dsmr_genesis_json_array(&json));
    assert_string_equal(json.problem, "nested too deeply");
}

/* After the first error nothing succeeds, and the error stays the first. */
static void test_errors_stick(void **state)
{
    (void)state;
    struct dsmr_genesis_json json = reader("{\"a\":x}");
    struct dsmr_genesis_json_string string;
    uint64_t value = 7;
    assert_true(dsmr_genesis_json_object(&json));
    assert_true(dsmr_genesis_json_member(&json, &string));
    assert_false(dsmr_genesis_json_u64(&json, &value));
    assert_int_equal(json.problem_at, 5);
    const char *problem = json.problem;
    assert_false(dsmr_genesis_json_object(&json));
    assert_false(dsmr_genesis_json_array(&json));
    assert_false(dsmr_genesis_json_element(&json));
    assert_false(dsmr_genesis_json_member(&json, &string));
    assert_false(dsmr_genesis_json_string(&json, &string));
    assert_false(dsmr_genesis_json_end(&json));
    dsmr_genesis_json_fail(&json, "another");
    assert_ptr_equal(json.problem, problem);
    assert_int_equal(value, 7);
}

static void test_numbers_at_limits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_good;
        uint64_t value;
    } cases[] = {
        {"0", true, 0},
        {"\"0\"", true, 0},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"00", false, 0},
        {"+1", false, 0},
        {"1.", false, 0},
        {"1E1", false, 0},
        {"\"1", false, 0},
        {"\"", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dsmr_genesis_json json = reader(cases[i].text);
        uint64_t value = 1;
        assert_int_equal(dsmr_genesis_json_u64(&json, &value), cases[i].is_good);
        assert_true(!cases[i].is_good || value == cases[i].value);
        assert_int_equal(dsmr_genesis_json_end(&json), cases[i].is_good);
    }
}

static void test_members_outside_an_object(void **state)
{
    (void)state;
    struct dsmr_genesis_json json = reader("\"a\":1");
    struct dsmr_genesis_json_string name;
    assert_false(dsmr_genesis_json_member(&json, &name));
    assert_false(dsmr_genesis_json_end(&json));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_depth_limit),
        cmocka_unit_test(test_errors_stick),
        cmocka_unit_test(test_numbers_at_limits),
        cmocka_unit_test(test_members_outside_an_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
