/* The kv port over LMDB: against a plain model, at its limits, with snapshots and readers. */
#define _GNU_SOURCE
#include "unit/store/store_fixture.h"

#include "base/prng.h"
#include "store/lmdb_kv.h"

static enum dsmr_err put(struct fixture *f, struct dsmr_kv_txn *txn, const char *key,
                         const char *value)
{
    return f->kv.ops->put(f->kv.self, txn, key, strlen(key), value, strlen(value));
}

static void expect(struct fixture *f, struct dsmr_kv_txn *txn, const char *key, const char *want)
{
    const uint8_t *value;
    size_t len;
    enum dsmr_err err = f->kv.ops->get(f->kv.self, txn, key, strlen(key), &value, &len);

    if (want == NULL) {
        assert_int_equal(err, DSMR_ERR_UNKNOWN);
        return;
    }
    assert_int_equal(err, DSMR_OK);
    assert_int_equal(len, strlen(want));
    assert_memory_equal(value, want, len);
}

static void expect_seek(struct fixture *f, struct dsmr_kv_txn *txn, const char *key, bool reverse,
                        const char *want)
{
    const uint8_t *found, *value;
    size_t found_len, value_len;
    enum dsmr_err err = f->kv.ops->seek(f->kv.self, txn, key, strlen(key), reverse, &found,
                                        &found_len, &value, &value_len);

    if (want == NULL) {
        assert_int_equal(err, DSMR_ERR_UNKNOWN);
        return;
    }
    assert_int_equal(err, DSMR_OK);
    assert_int_equal(found_len, strlen(want));
    assert_memory_equal(found, want, found_len);
}

static void committed_values_survive_a_restart(void **state)
{
    struct fixture *f = *state;
    struct dsmr_kv_txn *txn = fixture_begin(f, true);

    assert_int_equal(put(f, txn, "a", "1"), DSMR_OK);
    assert_int_equal(put(f, txn, "b", ""), DSMR_OK);
    assert_int_equal(put(f, txn, "a", "2"), DSMR_OK);
    expect(f, txn, "a", "2"); /* it sees its own writes */
    assert_int_equal(f->kv.ops->del(f->kv.self, txn, "none", 4), DSMR_OK);
    assert_int_equal(fixture_commit(f, txn), DSMR_OK);
    fixture_reopen(f);
    txn = fixture_begin(f, false);
    expect(f, txn, "a", "2");
    expect(f, txn, "b", "");
    expect(f, txn, "c", NULL);
    f->kv.ops->abort(f->kv.self, txn);
}

static void aborted_values_are_gone(void **state)
{
    struct fixture *f = *state;
    struct dsmr_kv_txn *txn = fixture_begin(f, true);

    assert_int_equal(put(f, txn, "a", "1"), DSMR_OK);
    expect_seek(f, txn, "a", false, "a");
    f->kv.ops->abort(f->kv.self, txn);
    txn = fixture_begin(f, true);
    expect(f, txn, "a", NULL);
    assert_int_equal(fixture_commit(f, txn), DSMR_OK);
}

static void snapshot_does_not_move(void **state)
{
    struct fixture *f = *state;
    struct dsmr_kv_txn *txn = fixture_begin(f, true);
    struct dsmr_kv_txn *snapshot;

    assert_int_equal(put(f, txn, "a", "1"), DSMR_OK);
    assert_int_equal(fixture_commit(f, txn), DSMR_OK);
    snapshot = fixture_begin(f, false);
    for (int i = 0; i < 50; i++) {
        txn = fixture_begin(f, true);
        assert_int_equal(put(f, txn, "a", "2"), DSMR_OK);
        assert_int_equal(put(f, txn, "b", "2"), DSMR_OK);
        expect(f, snapshot, "a", "1");
        assert_int_equal(fixture_commit(f, txn), DSMR_OK);
    }
    expect(f, snapshot, "a", "1");
    expect(f, snapshot, "b", NULL);
    expect_seek(f, snapshot, "b", false, NULL);
    f->kv.ops->abort(f->kv.self, snapshot);
}

static void seek_goes_both_ways(void **state)
{
    struct fixture *f = *state;
    struct dsmr_kv_txn *txn = fixture_begin(f, true);

    expect_seek(f, txn, "a", false, NULL);
    expect_seek(f, txn, "a", true, NULL);
    assert_int_equal(put(f, txn, "b", "1"), DSMR_OK);
    assert_int_equal(put(f, txn, "ba", "2"), DSMR_OK);
    assert_int_equal(put(f, txn, "d", "3"), DSMR_OK);
    for (int round = 0; round < 2; round++) {
        expect_seek(f, txn, "a", false, "b");
        expect_seek(f, txn, "b", false, "b");
        expect_seek(f, txn, "b\1", false, "ba");
        expect_seek(f, txn, "c", false, "d");
        expect_seek(f, txn, "d\1", false, NULL);
        expect_seek(f, txn, "a", true, NULL);
        expect_seek(f, txn, "b", true, "b");
        expect_seek(f, txn, "b\1", true, "b");
        expect_seek(f, txn, "c", true, "ba");
        expect_seek(f, txn, "zz", true, "d");
        if (round == 0) {
            assert_int_equal(fixture_commit(f, txn), DSMR_OK);
            txn = fixture_begin(f, false);
        }
    }
    f->kv.ops->abort(f->kv.self, txn);
}

static void limits_of_keys_and_values(void **state)
{
    struct fixture *f = *state;
    struct dsmr_kv_txn *txn = fixture_begin(f, true);
    uint8_t key[DSMR_KV_KEY_BYTES_MAX + 1];
    uint8_t *big = calloc(1, DSMR_KV_VALUE_BYTES_MAX + 1);
    const uint8_t *value;
    size_t len;

    memset(key, 'k', sizeof key);
    big[DSMR_KV_VALUE_BYTES_MAX - 1] = 7;
    assert_int_equal(f->kv.ops->put(f->kv.self, txn, key, sizeof key, "v", 1), DSMR_ERR_TOO_LARGE);
    assert_int_equal(f->kv.ops->put(f->kv.self, txn, key, 0, "v", 1), DSMR_ERR_TOO_LARGE);
    assert_int_equal(f->kv.ops->get(f->kv.self, txn, key, 0, &value, &len), DSMR_ERR_TOO_LARGE);
    assert_int_equal(f->kv.ops->del(f->kv.self, txn, key, sizeof key), DSMR_ERR_TOO_LARGE);
    assert_int_equal(f->kv.ops->put(f->kv.self, txn, "b", 1, big, DSMR_KV_VALUE_BYTES_MAX + 1),
                     DSMR_ERR_TOO_LARGE);
    assert_int_equal(
        f->kv.ops->put(f->kv.self, txn, key, sizeof key - 1, big, DSMR_KV_VALUE_BYTES_MAX),
        DSMR_OK);
    assert_int_equal(fixture_commit(f, txn), DSMR_OK);
    txn = fixture_begin(f, false);
    assert_int_equal(f->kv.ops->get(f->kv.self, txn, key, sizeof key - 1, &value, &len), DSMR_OK);
    assert_int_equal(len, DSMR_KV_VALUE_BYTES_MAX);
    assert_int_equal(value[len - 1], 7);
    f->kv.ops->abort(f->kv.self, txn);
    free(big);
}

static void empty_commit_writes_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t syncs = dsmr_metrics_get(&f->metrics, DSMR_METRIC_DISK_SYNCS);

    for (int i = 0; i < 5; i++) {
        struct dsmr_kv_txn *txn = fixture_begin(f, true);
        expect(f, txn, "a", NULL);
        assert_int_equal(fixture_commit(f, txn), DSMR_OK);
    }
    assert_int_equal(dsmr_metrics_get(&f->metrics, DSMR_METRIC_DISK_SYNCS), syncs);
}

static void full_map_is_refused_and_the_store_goes_on(void **state)
{
    struct fixture *f = *state;
    char *value = malloc(100001);
    struct dsmr_kv_txn *txn;
    enum dsmr_err err = DSMR_OK;

    memset(value, 'v', 100000);
    value[100000] = 0;
    dsmr_lmdb_store_close(f->store);
    f->store = NULL;
    f->config.state_map_bytes = 2u << 20;
    assert_int_equal(fixture_open(f), DSMR_OK);
    txn = fixture_begin(f, true);
    assert_int_equal(put(f, txn, "kept", "yes"), DSMR_OK);
    assert_int_equal(fixture_commit(f, txn), DSMR_OK);
    txn = fixture_begin(f, true);
    for (int i = 0; i < 64 && err == DSMR_OK; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%04d", i);
        err = put(f, txn, key, value);
    }
    assert_int_equal(err, DSMR_ERR_DISK_FULL);
    assert_int_equal(put(f, txn, "small", "x"), DSMR_ERR_DISK_FULL); /* the rest is refused, too */
    assert_int_equal(fixture_commit(f, txn), DSMR_ERR_DISK_FULL);
    txn = fixture_begin(f, true);
    expect(f, txn, "0000", NULL);
    expect(f, txn, "kept", "yes");
    assert_int_equal(put(f, txn, "small", "x"), DSMR_OK);
    assert_int_equal(fixture_commit(f, txn), DSMR_OK);
    free(value);
}

static void too_many_readers_are_refused(void **state)
{
    struct fixture *f = *state;
    static struct dsmr_kv_txn *txns[1024];
    struct dsmr_kv_txn *extra = NULL;
    enum dsmr_err err = DSMR_OK;
    size_t count = 0;

    dsmr_lmdb_store_close(f->store);
    f->store = NULL;
    f->config.readers_max = 8; /* the database rounds up to a page of them */
    assert_int_equal(fixture_open(f), DSMR_OK);
    while (count < 1024 && err == DSMR_OK) {
        err = f->kv.ops->begin(f->kv.self, &txns[count], false);
        count += err == DSMR_OK;
    }
    assert_int_equal(err, DSMR_ERR_BUSY);
    assert_true(count >= 8);
    assert_int_equal(f->kv.ops->begin(f->kv.self, &extra, false), DSMR_ERR_BUSY);
    assert_null(extra);
    f->kv.ops->abort(f->kv.self, txns[0]);
    txns[0] = fixture_begin(f, false);
    for (size_t i = 0; i < count; i++) {
        f->kv.ops->abort(f->kv.self, txns[i]);
    }
}

/* ---- against a model ---- */

#define KEYS 200

struct model {
    bool is_there[KEYS];
    uint32_t value[KEYS];
};

/* Keys in the order of their numbers. */
static void key_of(char key[8], unsigned n)
{
    (void)snprintf(key, 8, "a%03u", n % 1000u);
}

static int number_near(const struct model *m, int n, bool reverse)
{
    for (; n >= 0 && n < KEYS; n += reverse ? -1 : 1) {
        if (m->is_there[n]) {
            return n;
        }
    }
    return -1;
}

static void check_seek(struct fixture *f, struct dsmr_kv_txn *txn, const struct model *m, int n,
                       bool reverse)
{
    int want = number_near(m, n, reverse);
    char key[8], want_key[8];

    key_of(key, (unsigned)n);
    if (want >= 0) {
        key_of(want_key, (unsigned)want);
    }
    expect_seek(f, txn, key, reverse, want >= 0 ? want_key : NULL);
}

static void random_work_equals_the_model(void **state)
{
    struct fixture *f = *state;
    struct model durable = {0};
    struct dsmr_prng prng;

    dsmr_prng_init(&prng, 1);
    for (int round = 0; round < 200; round++) {
        struct model m = durable;
        struct dsmr_kv_txn *txn = fixture_begin(f, true);
        for (uint64_t i = dsmr_prng_below(&prng, 60); i > 0; i--) {
            int n = (int)dsmr_prng_below(&prng, KEYS);
            char key[8];
            key_of(key, (unsigned)n);
            switch (dsmr_prng_below(&prng, 4)) {
            case 0:
                assert_int_equal(f->kv.ops->del(f->kv.self, txn, key, 4), DSMR_OK);
                m.is_there[n] = false;
                break;
            case 1:
                check_seek(f, txn, &m, n, dsmr_prng_below(&prng, 2) == 0);
                break;
            default:
                m.is_there[n] = true;
                m.value[n] = (uint32_t)dsmr_prng_next(&prng);
                assert_int_equal(
                    f->kv.ops->put(f->kv.self, txn, key, 4, &m.value[n], sizeof m.value[n]),
                    DSMR_OK);
            }
        }
        if (dsmr_prng_below(&prng, 3) == 0) {
            f->kv.ops->abort(f->kv.self, txn);
        } else {
            assert_int_equal(fixture_commit(f, txn), DSMR_OK);
            durable = m;
        }
        if (round % 50 == 49) {
            fixture_reopen(f);
        }
        txn = fixture_begin(f, false);
        for (int n = 0; n < KEYS; n++) {
            check_seek(f, txn, &durable, n, false);
            check_seek(f, txn, &durable, n, true);
        }
        f->kv.ops->abort(f->kv.self, txn);
    }
}

/* ---- many threads ---- */

struct reader {
    struct fixture *f;
    _Atomic bool *is_over;
    uint64_t rounds;
};

/* Both halves of a commit, or none; bodies that are complete, or gone. */
static void *read_all_the_time(void *arg)
{
    struct reader *reader = arg;
    struct fixture *f = reader->f;

    while (!atomic_load(reader->is_over) || reader->rounds == 0) {
        struct dsmr_kv_txn *txn = fixture_begin(f, false);
        const uint8_t *a, *b;
        size_t a_len, b_len;
        enum dsmr_err a_err = f->kv.ops->get(f->kv.self, txn, "a", 1, &a, &a_len);
        enum dsmr_err b_err = f->kv.ops->get(f->kv.self, txn, "b", 1, &b, &b_len);
        assert_int_equal(a_err, b_err);
        if (a_err == DSMR_OK) {
            assert_int_equal(a_len, b_len);
            assert_memory_equal(a, b, a_len);
        }
        f->kv.ops->abort(f->kv.self, txn);
        for (uint64_t n = 0; n < 40; n += 7) {
            enum dsmr_err err = check_body(f, n, 3000);
            assert_true(err == DSMR_OK || err == DSMR_ERR_UNKNOWN);
        }
        reader->rounds++;
    }
    return NULL;
}

static void readers_run_beside_the_writers(void **state)
{
    struct fixture *f = *state;
    _Atomic bool is_over = false;
    struct reader readers[3];
    pthread_t threads[3];

    for (size_t i = 0; i < 3; i++) {
        readers[i] = (struct reader){.f = f, .is_over = &is_over};
        assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, &readers[i]), 0);
    }
    for (uint64_t round = 0; round < 10; round++) {
        struct dsmr_id ids[40];
        char value[32];
        for (uint64_t n = 0; n < 40; n++) {
            struct dsmr_kv_txn *txn = fixture_begin(f, true);
            (void)snprintf(value, sizeof value, "%u", (unsigned)(round * 1000 + n));
            assert_int_equal(put(f, txn, "a", value), DSMR_OK);
            assert_int_equal(put_chunk(f, n, 3000), DSMR_OK);
            assert_int_equal(put(f, txn, "b", value), DSMR_OK);
            assert_int_equal(fixture_commit(f, txn), DSMR_OK);
            ids[n] = id_of(n);
        }
        assert_int_equal(collect(f, round, ids, 40, false), DSMR_OK);
    }
    atomic_store(&is_over, true);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(readers[i].rounds > 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(committed_values_survive_a_restart),
        TEST(aborted_values_are_gone),
        TEST(snapshot_does_not_move),
        TEST(seek_goes_both_ways),
        TEST(limits_of_keys_and_values),
        TEST(empty_commit_writes_nothing),
        TEST(full_map_is_refused_and_the_store_goes_on),
        TEST(too_many_readers_are_refused),
        TEST(random_work_equals_the_model),
        TEST(readers_run_beside_the_writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
