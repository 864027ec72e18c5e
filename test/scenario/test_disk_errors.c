/* A disk that fails halts the node with a code and a sentence that name what failed: the program's
 * exit code and last line are made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/world.h"

#define CAUSE "/home/data/state/data.mdb: why it failed"
#define VICTIM 3u

/* ---- a state whose commits fail on demand ---- */

static struct dsmr_kv inner; /* of the victim */
static enum dsmr_err commit_err;
static const char *cause_text;

static enum dsmr_err kv_begin(void *self, struct dsmr_kv_txn **out, bool write)
{
    return inner.ops->begin(self, out, write);
}

static enum dsmr_err kv_commit(void *self, struct dsmr_kv_txn *txn)
{
    if (commit_err == DSMR_OK)
        return inner.ops->commit(self, txn);
    inner.ops->abort(self, txn);
    return commit_err;
}

static void kv_abort(void *self, struct dsmr_kv_txn *txn)
{
    inner.ops->abort(self, txn);
}

static enum dsmr_err kv_get(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                            const uint8_t **value, size_t *value_len)
{
    return inner.ops->get(self, txn, key, key_len, value, value_len);
}

static enum dsmr_err kv_put(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                            const void *value, size_t value_len)
{
    return inner.ops->put(self, txn, key, key_len, value, value_len);
}

static enum dsmr_err kv_del(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len)
{
    return inner.ops->del(self, txn, key, key_len);
}

static enum dsmr_err kv_seek(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                             bool reverse, const uint8_t **found, size_t *found_len,
                             const uint8_t **value, size_t *value_len)
{
    return inner.ops->seek(self, txn, key, key_len, reverse, found, found_len, value, value_len);
}

static void kv_cause(void *self, char *text, size_t size)
{
    (void)self;
    size_t len = strlen(cause_text) < size - 1 ? strlen(cause_text) : size - 1;
    memcpy(text, cause_text, len);
    text[len] = 0;
}

static const struct dsmr_kv_ops failing_ops = {.begin = kv_begin,
                                               .commit = kv_commit,
                                               .abort = kv_abort,
                                               .get = kv_get,
                                               .put = kv_put,
                                               .del = kv_del,
                                               .seek = kv_seek,
                                               .cause = kv_cause};

static void tune(struct dsmr_driver_config *config)
{
    if (config->kv.ops != NULL && config->node.node_id.bytes[19] == VICTIM) {
        inner = config->kv;
        config->kv.ops = &failing_ops;
    }
}

/* ---- what the node said at its end ---- */

static enum dsmr_err halted_err;
static char halted_reason[2048];

static void on_halted(uint32_t node, enum dsmr_err err, const char *reason)
{
    assert_int_equal(node, VICTIM);
    assert_true(strlen(reason) < sizeof halted_reason);
    halted_err = err;
    memcpy(halted_reason, reason, strlen(reason) + 1);
}

static bool is_victim_down(struct dsmr_world *world, void *ctx)
{
    (void)ctx;
    return !dsmr_world_is_up(world, VICTIM);
}

/* Runs until the victim halts; the others go on. */
static void run(enum dsmr_err kv_err, enum dsmr_err store_err)
{
    struct dsmr_world_config config = {.nodes = 4, .seed = 81, .tune = tune, .halted = on_halted};
    commit_err = DSMR_OK;
    struct dsmr_world *world = dsmr_world_new(&config);
    commit_err = kv_err;
    dsmr_world_fail_store(world, VICTIM, store_err);
    halted_err = DSMR_OK;
    (void)dsmr_world_submit(world, 0, 1);
    assert_true(dsmr_world_run(world, is_victim_down, NULL, 60000));
    dsmr_world_free(world);
}

static void test_state_that_cannot_be_committed(void **state)
{
    (void)state;
    cause_text = CAUSE;
    const enum dsmr_err errs[] = {DSMR_ERR_IO, DSMR_ERR_DISK_FULL};
    for (size_t i = 0; i < 2; i++) {
        run(errs[i], DSMR_OK);
        assert_int_equal(halted_err, errs[i]);
        assert_non_null(strstr(halted_reason, "could not be executed"));
        assert_non_null(strstr(halted_reason, CAUSE));
    }
    run(DSMR_ERR_CORRUPT, DSMR_OK); /* not the disk: look before you start it again */
    assert_int_equal(halted_err, DSMR_ERR_HALTED);
    assert_null(strstr(halted_reason, CAUSE));
}

static void test_a_long_cause_is_cut(void **state)
{
    static char longest[2000];
    (void)state;
    memset(longest, 'x', sizeof longest - 1);
    cause_text = longest;
    run(DSMR_ERR_IO, DSMR_OK);
    assert_in_range(strlen(halted_reason), 500, 700);
    cause_text = "";
    run(DSMR_ERR_IO, DSMR_OK);
    assert_non_null(strstr(halted_reason, dsmr_err_text(DSMR_ERR_IO)));
}

static void test_store_that_cannot_write(void **state)
{
    (void)state;
    run(DSMR_OK, DSMR_ERR_IO);
    assert_int_equal(halted_err, DSMR_ERR_IO);
    assert_non_null(strstr(halted_reason, dsmr_err_text(DSMR_ERR_IO)));
    run(DSMR_OK, DSMR_ERR_DISK_FULL); /* shares are only refused; an accepted block must be kept */
    assert_int_equal(halted_err, DSMR_ERR_DISK_FULL);
    assert_non_null(strstr(halted_reason, "accepted block"));
    assert_non_null(strstr(halted_reason, dsmr_err_text(DSMR_ERR_DISK_FULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state_that_cannot_be_committed),
        cmocka_unit_test(test_a_long_cause_is_cut),
        cmocka_unit_test(test_store_that_cannot_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
