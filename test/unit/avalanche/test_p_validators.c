/* test_p_validators.c - sets of P-Chain heights: fetched once, kept, asked again when there is no
 * answer; keys and weights as AvalancheGo gives them. */
#include "avalanche/p_validators.h"
#include "crypto/bls.h"
#include "crypto/set_builder.h"
#include "unit/avalanche/fake_avalanche.h"
#include "unit/crypto/bls_set.h"

static struct {
    uint32_t count;
    uint64_t epoch;
} told;
void dsmr_driver_set_available(struct dsmr_driver *driver, uint64_t epoch)
{
    (void)driver;
    told.count++;
    told.epoch = epoch;
}

/* The last line that was said. */
static struct {
    uint32_t count;
    enum dsmr_log_level level;
    char text[320];
} said;
static void note_line(void *self, enum dsmr_log_level level, const char *module, const char *text)
{
    (void)self;
    (void)module;
    said.count++;
    said.level = level;
    snprintf(said.text, sizeof said.text, "%s", text);
}
static const struct dsmr_log_ops log_ops = {.line = note_line};

struct rig {
    struct fake *fake;
    struct dsmr_p_validators *validators;
    struct dsmr_validators port;
    struct dsmr_bls_public_key_raw keys[3];
    Dsmr__Pb__Validator members[5], *list[5];
    Dsmr__Pb__GetValidatorSetResponse response;
};

static void open_rig(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    memset(&told, 0, sizeof told);
    memset(&said, 0, sizeof said);
    rig->fake = fake_new();
    struct dsmr_p_validators_config config = {.node = rig->fake->client,
                                              .inbox = fake_inbox(rig->fake),
                                              .work = fake_work(rig->fake),
                                              .log = {NULL, &log_ops}};
    memset(config.subnet_id.bytes, 7, 32);
    rig->validators = dsmr_p_validators_new(&config);
    assert_non_null(rig->validators);
    rig->port = dsmr_p_validators_port(rig->validators);
    dsmr_p_validators_attach(rig->validators, (struct dsmr_driver *)rig); /* any address */
    dsmr__pb__get_validator_set_response__init(&rig->response);
    for (uint8_t i = 0; i < 3; i++) {
        uint8_t entropy[32];
        struct dsmr_bls_secret_key secret;
        struct dsmr_bls_public_key key;
        struct dsmr_bls_point point;
        memset(entropy, i + 1, sizeof entropy);
        dsmr_bls_keygen(&secret, entropy);
        dsmr_bls_public_key(&key, &secret);
        assert_int_equal(dsmr_bls_key_decode(&rig->keys[i], &point, &key), DSMR_OK);
    }
    static struct dsmr_node_id ids[5];
    for (uint8_t i = 0; i < 5; i++) {
        ids[i] = fake_id((uint8_t)(i + 1));
        dsmr__pb__validator__init(&rig->members[i]);
        DSMR_PB_BYTES(&rig->members[i], node_id, ids[i].bytes, 20);
        DSMR_PB_SET(&rig->members[i], weight, 100u);
        if (i < 3)
            DSMR_PB_BYTES(&rig->members[i], public_key, rig->keys[i].bytes, 96);
        rig->list[i] = &rig->members[i];
    }
    rig->response.validators = rig->list;
    rig->response.n_validators = 3;
}

static void close_rig(struct rig *rig)
{
    fake_hang_up(rig->fake);
    dsmr_p_validators_free(rig->validators);
    fake_free(rig->fake);
}

static enum dsmr_err get(struct rig *rig, struct dsmr_validator_set **out, uint64_t epoch)
{
    return rig->port.ops->get(rig->port.self, out, epoch);
}

static void test_fetched_once_and_kept(void **state)
{
    struct rig rig;
    struct dsmr_validator_set *set = NULL, *again = NULL;
    (void)state;
    open_rig(&rig);
    fake_answer(rig.fake, &rig.response.base);
    assert_int_equal(get(&rig, &set, 4), DSMR_ERR_EPOCH_UNKNOWN);
    assert_int_equal(get(&rig, &set, 4), DSMR_ERR_EPOCH_UNKNOWN); /* not twice */
    const struct fake_call *call = fake_next_call(rig.fake);
    assert_string_equal(call->method, "/validatorstate.ValidatorState/GetValidatorSet");
    Dsmr__Pb__GetValidatorSetRequest *request =
        dsmr__pb__get_validator_set_request__unpack(NULL, call->bytes->len, call->bytes->bytes);
    assert_int_equal(request->height, 4);
    assert_int_equal(request->subnet_id.data[31], 7);
    dsmr__pb__get_validator_set_request__free_unpacked(request, NULL);
    fake_run_one(rig.fake);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.epoch, 4);
    assert_int_equal(get(&rig, &set, 4), DSMR_OK);
    assert_int_equal(get(&rig, &again, 4), DSMR_OK);
    assert_ptr_equal(set, again);
    assert_int_equal(set->epoch, 4);
    assert_int_equal(set->count, 3);
    assert_int_equal(set->total_weight, 300);
    for (uint32_t i = 1; i < 3; i++)
        assert_true(memcmp(&set->validators[i - 1].public_key, &set->validators[i].public_key, 96) <
                    0);
    assert_int_equal(fake_unread(rig.fake), 0);
    dsmr_validator_set_unref(set);
    dsmr_validator_set_unref(again);
    close_rig(&rig);
}

/* Their weight counts and nobody signs for it. */
static void test_members_without_a_key(void **state)
{
    struct rig rig;
    struct dsmr_validator_set *set = NULL;
    (void)state;
    open_rig(&rig);
    rig.response.n_validators = 5;
    fake_answer(rig.fake, &rig.response.base);
    (void)get(&rig, &set, 4);
    fake_run_one(rig.fake);
    assert_int_equal(get(&rig, &set, 4), DSMR_OK);
    assert_int_equal(set->count, 3);
    assert_int_equal(set->total_weight, 500);
    dsmr_validator_set_unref(set);
    close_rig(&rig);
}

/* Five nodes with the key of one: nobody signs for it, its weight counts, and the set is one. */
static void test_many_nodes_with_one_key(void **state)
{
    struct rig rig;
    struct dsmr_validator_set *set = NULL;
    (void)state;
    open_rig(&rig);
    rig.response.n_validators = 5;
    for (int i = 0; i < 5; i++)
        DSMR_PB_BYTES(&rig.members[i], public_key, rig.keys[0].bytes, 96);
    fake_answer(rig.fake, &rig.response.base);
    (void)get(&rig, &set, 4);
    fake_run_one(rig.fake);
    assert_int_equal(get(&rig, &set, 4), DSMR_OK);
    assert_int_equal(set->count, 1);
    assert_int_equal(set->validators[0].weight, 500);
    assert_int_equal(set->total_weight, 500);
    dsmr_validator_set_unref(set);
    close_rig(&rig);
}

static void expect_none_then_some(struct rig *rig)
{
    struct dsmr_validator_set *set = NULL;
    assert_int_equal(get(rig, &set, 9), DSMR_ERR_EPOCH_UNKNOWN);
    (void)fake_next_call(rig->fake);
    fake_run_one(rig->fake);
    assert_int_equal(told.count, 0);
    rig->fake->failure = NULL;
    rig->response.n_validators = 3;
    DSMR_PB_BYTES(&rig->members[1], public_key, rig->keys[1].bytes, 96);
    DSMR_PB_BYTES(&rig->members[1], node_id, rig->members[1].node_id.data, 20);
    fake_answer(rig->fake, &rig->response.base);
    assert_int_equal(get(rig, &set, 9), DSMR_ERR_EPOCH_UNKNOWN); /* the driver asks again */
    fake_run_one(rig->fake);
    assert_int_equal(told.count, 1);
    assert_int_equal(get(rig, &set, 9), DSMR_OK);
    dsmr_validator_set_unref(set);
    close_rig(rig);
}

static void test_a_height_that_is_not_reached(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig);
    rig.fake->failure = "failed to fetch validator set at unfinalized height";
    expect_none_then_some(&rig);
}

static void expect_member(struct rig *rig, uint64_t height, uint64_t weight,
                          const struct dsmr_bls_public_key_raw *key)
{
    struct dsmr_validator_set *set = NULL;
    struct dsmr_node_id id = fake_id(1);
    assert_int_equal(get(rig, &set, height), DSMR_OK);
    int place = dsmr_validator_set_find(set, &id);
    assert_int_not_equal(place, -1);
    assert_int_equal(set->validators[place].weight, weight);
    assert_memory_equal(set->validators[place].public_key.bytes, key->bytes, sizeof key->bytes);
    assert_int_equal(set->total_weight, 200 + weight);
    dsmr_validator_set_unref(set);
}

/* One node id with another key and weight at a later height: each height has its own set. */
static void test_a_member_that_changes(void **state)
{
    struct rig rig;
    struct dsmr_bls_secret_key secret;
    struct dsmr_bls_public_key key;
    struct dsmr_bls_point point;
    struct dsmr_validator_set *set = NULL;
    (void)state;
    open_rig(&rig);
    struct dsmr_bls_public_key_raw old = rig.keys[0];
    dsmr_bls_keygen(&secret, (const uint8_t[32]){9});
    dsmr_bls_public_key(&key, &secret);
    for (uint64_t height = 4; height <= 5; height++) {
        fake_answer(rig.fake, &rig.response.base);
        assert_int_equal(get(&rig, &set, height), DSMR_ERR_EPOCH_UNKNOWN);
        (void)fake_next_call(rig.fake);
        fake_run_one(rig.fake);
        assert_int_equal(dsmr_bls_key_decode(&rig.keys[0], &point, &key), DSMR_OK);
        rig.members[0].weight = 7; /* from now on */
    }
    expect_member(&rig, 4, 100, &old);
    expect_member(&rig, 5, 7, &rig.keys[0]);
    assert_memory_not_equal(old.bytes, rig.keys[0].bytes, sizeof old.bytes);
    close_rig(&rig);
}

static void test_nobody_is_no_set(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig);
    rig.response.n_validators = 0;
    fake_answer(rig.fake, &rig.response.base);
    expect_none_then_some(&rig);
}

static void test_keys_that_are_none(void **state)
{
    struct rig rig;
    static uint8_t bad[96];
    (void)state;
    open_rig(&rig);
    DSMR_PB_BYTES(&rig.members[1], public_key, bad, 96);
    fake_answer(rig.fake, &rig.response.base);
    expect_none_then_some(&rig);
    open_rig(&rig);
    DSMR_PB_BYTES(&rig.members[1], public_key, rig.keys[1].bytes, 95);
    fake_answer(rig.fake, &rig.response.base);
    expect_none_then_some(&rig);
    open_rig(&rig);
    DSMR_PB_BYTES(&rig.members[1], node_id, rig.members[1].node_id.data, 19);
    fake_answer(rig.fake, &rig.response.base);
    expect_none_then_some(&rig);
}

/* begin, the height, then end. */
static void expect_said(struct rig *rig, enum dsmr_log_level level, const char *begin,
                        const char *end)
{
    static uint64_t height = 100;
    struct dsmr_validator_set *set = NULL;
    char wanted[640];
    fake_answer(rig->fake, &rig->response.base);
    for (int i = 0; i < 2; i++) { /* of one height it is said once */
        assert_int_equal(get(rig, &set, height), DSMR_ERR_EPOCH_UNKNOWN);
        fake_run_one(rig->fake);
    }
    snprintf(wanted, sizeof wanted, "%s at P-Chain height %u %s", begin, (unsigned)height++, end);
    assert_string_equal(said.text, wanted);
    assert_int_equal(said.level, level);
    assert_int_equal(said.count, 1);
    memset(&said, 0, sizeof said);
}

static void expect_unusable(struct rig *rig, const char *why)
{
    char end[256];
    snprintf(end, sizeof end, "cannot be used: %s", why);
    expect_said(rig, DSMR_LOG_WARN, "the validator set", end);
}

/* Keys of their own, one more than fit. */
static void make_keys(Dsmr__Pb__Validator *members)
{
    static struct dsmr_bls_public_key_raw raw[DSMR_VALIDATORS_MAX + 1];
    for (uint32_t i = 0; i <= DSMR_VALIDATORS_MAX; i++) {
        struct dsmr_bls_secret_key secret;
        struct dsmr_bls_public_key key;
        struct dsmr_bls_point point;
        bls_set_key(&secret, i);
        dsmr_bls_public_key(&key, &secret);
        assert_int_equal(dsmr_bls_key_decode(&raw[i], &point, &key), DSMR_OK);
        DSMR_PB_BYTES(&members[i], public_key, raw[i].bytes, 96);
    }
}

/* However many nodes share one key, they are one entry and take nobody the set. */
static void test_more_nodes_than_keys_fit(void **state)
{
    struct rig rig;
    struct dsmr_validator_set *set = NULL;
    static Dsmr__Pb__Validator *many[DSMR_SET_BUILDER_ENTRIES_MAX];
    (void)state;
    open_rig(&rig);
    for (size_t i = 0; i < DSMR_SET_BUILDER_ENTRIES_MAX; i++)
        many[i] = &rig.members[i == 9 ? 1 : 0];
    rig.response.validators = many;
    for (size_t count = DSMR_VALIDATORS_MAX + 1; count <= DSMR_SET_BUILDER_ENTRIES_MAX;
         count += DSMR_SET_BUILDER_ENTRIES_MAX - DSMR_VALIDATORS_MAX - 1) {
        rig.response.n_validators = count;
        fake_answer(rig.fake, &rig.response.base);
        (void)get(&rig, &set, count);
        fake_run_one(rig.fake);
        assert_int_equal(get(&rig, &set, count), DSMR_OK);
        assert_int_equal(set->count, 2);
        assert_int_equal(set->total_weight, 100 * count);
        const struct dsmr_node_id alone = fake_id(2);
        assert_true(dsmr_validator_set_find(set, &alone) >= 0);
        dsmr_validator_set_unref(set);
    }
    assert_int_equal(said.count, 0);
    close_rig(&rig);
}

/* The chain stands without a set: the operator is told why. */
static void test_why_there_is_no_set(void **state)
{
    struct rig rig;
    static uint8_t bad[96];
    static Dsmr__Pb__Validator members[DSMR_VALIDATORS_MAX + 1];
    static Dsmr__Pb__Validator *many[DSMR_SET_BUILDER_ENTRIES_MAX + 1];
    (void)state;
    open_rig(&rig);
    for (size_t i = 0; i <= DSMR_VALIDATORS_MAX; i++)
        members[i] = rig.members[0];
    make_keys(members);
    for (size_t i = 0; i < DSMR_SET_BUILDER_ENTRIES_MAX + 1; i++)
        many[i] = i <= DSMR_VALIDATORS_MAX ? &members[i] : &rig.members[0];
    rig.response.validators = many;
    rig.response.n_validators = DSMR_VALIDATORS_MAX + 1;
    expect_unusable(&rig, "its members have more than 1024 different keys");
    for (size_t i = 0; i <= DSMR_VALIDATORS_MAX; i++)
        many[i] = &rig.members[0];
    rig.response.n_validators = DSMR_SET_BUILDER_ENTRIES_MAX + 1;
    expect_unusable(&rig, "it has 4097 members, and 4096 fit");
    rig.response.n_validators = 2;
    rig.members[0].weight = UINT64_MAX / 2 + 1;
    expect_unusable(&rig, "its weight is more than 64 bits hold");
    rig.members[0].weight = 0;
    expect_unusable(&rig, "its members have no weight");
    rig.members[0].weight = 1;
    many[1] = &rig.members[1];
    DSMR_PB_BYTES(&rig.members[1], public_key, bad, 96);
    char text[200];
    snprintf(text, sizeof text, "member 1: %s", dsmr_err_text(DSMR_ERR_INVALID_KEY));
    expect_unusable(&rig, text);
    DSMR_PB_BYTES(&rig.members[1], public_key, bad, 95);
    expect_unusable(&rig, "a member's node id or key is not one");
    rig.response.n_validators = 0;
    expect_said(&rig, DSMR_LOG_INFO, "no validator set", "yet: it has no members");
    close_rig(&rig);
}

static void test_an_answer_that_does_not_parse(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig);
    rig.fake->answer = dsmr_buf_copy("\x0a\xff", 2);
    expect_none_then_some(&rig);
}

static void test_the_least_used_gives_way(void **state)
{
    struct rig rig;
    struct dsmr_validator_set *set = NULL;
    (void)state;
    open_rig(&rig);
    fake_answer(rig.fake, &rig.response.base);
    for (uint64_t epoch = 0; epoch < DSMR_P_VALIDATORS_SETS_MAX; epoch++) {
        (void)get(&rig, &set, epoch);
        fake_run_one(rig.fake);
    }
    assert_int_equal(get(&rig, &set, 0), DSMR_OK); /* used, so it stays */
    dsmr_validator_set_unref(set);
    (void)get(&rig, &set, 1000);
    fake_run_one(rig.fake);
    assert_int_equal(get(&rig, &set, 0), DSMR_OK);
    dsmr_validator_set_unref(set);
    assert_int_equal(get(&rig, &set, 1000), DSMR_OK);
    dsmr_validator_set_unref(set);
    assert_int_equal(get(&rig, &set, 1), DSMR_ERR_EPOCH_UNKNOWN);
    fake_run_one(rig.fake);
    close_rig(&rig);
}

/* Before an epoch is known: the set of the height that the first block would get, which is not the
 * P-Chain's own, asked for until it has members. */
static void test_look(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig);
    Dsmr__Pb__GetValidatorSetResponse nobody = DSMR__PB__GET_VALIDATOR_SET_RESPONSE__INIT;
    Dsmr__Pb__HeightResponse height = DSMR__PB__HEIGHT_RESPONSE__INIT;
    const ProtobufCMessage *answers[] = {&nobody.base, &rig.response.base};
    DSMR_PB_SET(&height, height, 12);
    for (size_t i = 0; i < 2; i++) {
        fake_answer(rig.fake, &height.base);
        assert_false(dsmr_p_validators_look(rig.validators));
        assert_false(dsmr_p_validators_look(rig.validators)); /* one question at a time */
        assert_string_equal(fake_next_call(rig.fake)->method,
                            "/validatorstate.ValidatorState/GetMinimumHeight");
        fake_await(rig.fake);
        fake_answer(rig.fake, answers[i]);
        fake_step(rig.fake); /* the set may be there before this returns */
        const struct fake_call *call = fake_next_call(rig.fake);
        assert_string_equal(call->method, "/validatorstate.ValidatorState/GetValidatorSet");
        Dsmr__Pb__GetValidatorSetRequest *request =
            dsmr__pb__get_validator_set_request__unpack(NULL, call->bytes->len, call->bytes->bytes);
        assert_int_equal(request->height, 12);
        dsmr__pb__get_validator_set_request__free_unpacked(request, NULL);
        fake_run_one(rig.fake);
    }
    assert_true(dsmr_p_validators_look(rig.validators));
    assert_int_equal(fake_unread(rig.fake), 0);
    close_rig(&rig);
}

/* No answer at all, and one that is none: it is asked again. */
static void test_look_without_an_answer(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig);
    rig.fake->failure = "later";
    for (int i = 0; i < 2; i++) {
        assert_false(dsmr_p_validators_look(rig.validators));
        (void)fake_next_call(rig.fake);
        fake_run_one(rig.fake);
    }
    assert_int_equal(fake_unread(rig.fake), 0);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fetched_once_and_kept),
        cmocka_unit_test(test_members_without_a_key),
        cmocka_unit_test(test_many_nodes_with_one_key),
        cmocka_unit_test(test_a_height_that_is_not_reached),
        cmocka_unit_test(test_a_member_that_changes),
        cmocka_unit_test(test_nobody_is_no_set),
        cmocka_unit_test(test_keys_that_are_none),
        cmocka_unit_test(test_more_nodes_than_keys_fit),
        cmocka_unit_test(test_why_there_is_no_set),
        cmocka_unit_test(test_an_answer_that_does_not_parse),
        cmocka_unit_test(test_the_least_used_gives_way),
        cmocka_unit_test(test_look),
        cmocka_unit_test(test_look_without_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
