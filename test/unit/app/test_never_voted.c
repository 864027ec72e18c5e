/* The mark of a home whose validator key has never voted: docs/bft.md, rule 17.6. It counts once,
 * for the key and the file that it was made for, and whatever a start dies of between the mark and
 * the journal, no vote is ever cast beside a mark. */
#include "app/never_voted.h"

#include <sys/wait.h>

#include "app/home.h"
#include "bft/bft.h"
#include "unit/store/fault_io.h"
#include "unit/store/store_fixture.h"

#define EPOCH UINT64_C(7)

struct world {
    struct fixture store; /* its path is data/ */
    struct dsmr_bls_public_key key;
    char mark[512];
    char said[DSMR_NEVER_VOTED_REASON_BYTES]; /* the last line of the log */
};

static void line(void *self, enum dsmr_log_level level, const char *module, const char *text)
{
    struct world *w = self;
    assert_int_equal(level, DSMR_LOG_WARN);
    assert_string_equal(module, "bft");
    snprintf(w->said, sizeof w->said, "%s", text);
}

static const struct dsmr_log_ops log_ops = {line};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->store.path = make_tree();
    w->store.inbox = test_inbox_new();
    fixture_config(&w->store);
    w->store.config.log = (struct dsmr_log){.self = w, .ops = &log_ops};
    memset(w->key.bytes, 0xa5, sizeof w->key.bytes);
    snprintf(w->mark, sizeof w->mark, "%s/never-voted", w->store.path);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    dsmr_lmdb_store_close(w->store.store);
    remove_tree(w->store.path);
    free(w->store.path);
    free(w->store.inbox);
    free(w);
    return 0;
}

/* False: this file system does not tell when a file was born, and there is no mark to test. */
static bool make_mark(struct world *w)
{
    assert_int_equal(dsmr_never_voted_write(w->store.path, &w->key), DSMR_OK);
    if (access(w->mark, F_OK) == 0)
        return true;
    print_message("no times of birth on this file system: not tested\n");
    return false;
}

static void check_refused(struct world *w, const char *why)
{
    char reason[DSMR_NEVER_VOTED_REASON_BYTES] = "";
    assert_int_equal(dsmr_never_voted_read(reason, w->store.path, &w->key), DSMR_ERR_CONFIG);
    if (strstr(reason, w->mark) == NULL || strstr(reason, why) == NULL)
        fail_msg("\"%s\" is not of %s: %s", reason, w->mark, why);
}

static enum dsmr_err read_mark(struct world *w)
{
    char reason[DSMR_NEVER_VOTED_REASON_BYTES] = "";
    return dsmr_never_voted_read(reason, w->store.path, &w->key);
}

static size_t load(struct world *w, char text[1024])
{
    FILE *file = fopen(w->mark, "re");
    assert_non_null(file);
    size_t len = fread(text, 1, 1024, file);
    fclose(file);
    return len;
}

static void save(struct world *w, const char *text, size_t len)
{
    FILE *file = fopen(w->mark, "we"); /* the same file, with other bytes */
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

/* ---- what counts ---- */

static void a_mark_is_of_one_key(void **state)
{
    struct world *w = *state;
    assert_int_equal(read_mark(w), DSMR_ERR_UNKNOWN);
    if (!make_mark(w))
        return;
    assert_int_equal(read_mark(w), DSMR_OK);
    w->key.bytes[47] ^= 1;
    check_refused(w, "another key");
    assert_int_equal(dsmr_never_voted_write(w->store.path, &w->key), DSMR_OK);
    assert_int_equal(read_mark(w), DSMR_OK); /* the newer one */
}

static void a_copy_does_not_count(void **state)
{
    struct world *w = *state;
    char text[1024], elsewhere[600];
    if (!make_mark(w))
        return;
    size_t len = load(w, text);
    snprintf(elsewhere, sizeof elsewhere, "%s.away", w->store.path);
    assert_int_equal(rename(w->mark, elsewhere), 0); /* the original, kept as a backup */
    save(w, text, len);
    check_refused(w, "a copy");
    assert_int_equal(unlink(w->mark), 0);
    assert_int_equal(symlink(elsewhere, w->mark), 0);
    check_refused(w, "a link");
    assert_int_equal(unlink(w->mark), 0);
    assert_int_equal(rename(elsewhere, w->mark), 0); /* it is where it was */
    assert_int_equal(read_mark(w), DSMR_OK);
}

static void other_bytes_do_not_count(void **state)
{
    struct world *w = *state;
    char text[1024];
    if (!make_mark(w))
        return;
    size_t len = load(w, text);
    for (size_t cut = 0; cut < len; cut++) {
        save(w, text, cut);
        check_refused(w, "");
    }
    for (size_t i = 0; i < len; i++) {
        text[i] ^= 1;
        save(w, text, len);
        check_refused(w, "");
        text[i] ^= 1;
    }
    text[len] = '\n';
    save(w, text, len + 1);
    check_refused(w, "");
    memset(text, 'x', sizeof text);
    save(w, text, sizeof text);
    check_refused(w, "not what dsmrd init writes");
    assert_int_equal(unlink(w->mark), 0);
    assert_int_equal(mkdir(w->mark, 0700), 0);
    check_refused(w, "not what dsmrd init writes");
    assert_int_equal(rmdir(w->mark), 0);
}

/* Only a key that is made has not voted; one that is found may have, whatever data/ holds. */
static void only_a_new_key_gets_a_mark(void **state)
{
    struct world *w = *state;
    struct dsmr_home home;
    struct dsmr_genesis_member member;
    char path[PATH_MAX], reason[DSMR_HOME_REASON_BYTES] = "";
    snprintf(path, sizeof path, "%s/home", w->store.path);
    assert_int_equal(dsmr_home_init(&home, path), DSMR_OK);
    assert_int_equal(dsmr_home_make_keys(&member, reason, &home), DSMR_OK);
    dsmr_home_path(path, &home, "data");
    assert_int_equal(make_mark(w) ? dsmr_never_voted_read(reason, path, &member.key) : DSMR_OK,
                     DSMR_OK);
    remove_tree(path);
    assert_int_equal(dsmr_home_make_keys(&member, reason, &home), DSMR_OK);
    assert_int_equal(dsmr_never_voted_read(reason, path, &member.key), DSMR_ERR_UNKNOWN);
}

/* ---- the first start ---- */

static enum dsmr_err open_store(struct world *w)
{
    struct fixture *f = &w->store;
    enum dsmr_err err = dsmr_never_voted_open_store(&f->store, &f->config, &w->key, EPOCH);
    if (err == DSMR_OK)
        f->port = dsmr_lmdb_store_port(f->store);
    return err;
}

static void close_store(struct world *w)
{
    dsmr_lmdb_store_close(w->store.store);
    w->store.store = NULL;
}

struct found {
    uint32_t records, whole;
};

static enum dsmr_err on_record(void *ctx, const uint8_t *key, uint32_t key_len,
                               const uint8_t *value, uint32_t value_len)
{
    struct found *found = ctx;
    struct dsmr_bft_never_voted record;
    dsmr_bft_never_voted(&record, EPOCH);
    found->records++;
    found->whole += key_len == sizeof record.key && memcmp(key, record.key, key_len) == 0 &&
                            value_len == sizeof record.value &&
                            memcmp(value, record.value, value_len) == 0
                        ? 1
                        : 0;
    return DSMR_OK;
}

/* Records of the engine's journal; the store is open. */
static struct found find(struct world *w)
{
    struct found found = {0};
    struct dsmr_store_visitor visitor = {.ctx = &found, .bft = on_record};
    assert_int_equal(w->store.port.ops->recover(w->store.port.self, &visitor), DSMR_OK);
    return found;
}

static void vote(struct world *w)
{
    static const uint8_t key[17] = {[7] = EPOCH, [15] = 1, [16] = 1};
    struct dsmr_store_write write = {.kind = DSMR_STORE_BFT_PUT};
    write.u.bft.key = key;
    write.u.bft.key_len = sizeof key;
    write.u.bft.value = (const uint8_t *)"vote";
    write.u.bft.value_len = 4;
    assert_int_equal(do_write(&w->store, &write), DSMR_OK);
}

static void lose(struct world *w, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", w->store.path, name);
    remove_tree(path);
}

/* The journal says that it is whole, now and after votes; its loss is seen, even if the mark's
 * place was not lost with it. */
static void check_whole(struct world *w)
{
    assert_int_equal(access(w->mark, F_OK), -1);
    assert_int_equal(find(w).whole, 1);
    assert_int_equal(find(w).records, 1);
    vote(w);
    close_store(w);
    assert_int_equal(open_store(w), DSMR_OK);
    assert_int_equal(find(w).whole, 1);
    assert_int_equal(find(w).records, 2);
    close_store(w);
    lose(w, "consensus");
    assert_int_equal(open_store(w), DSMR_OK);
    assert_int_equal(find(w).records, 0);
    close_store(w);
}

static void a_mark_becomes_the_first_record(void **state)
{
    struct world *w = *state;
    if (!make_mark(w))
        return;
    assert_int_equal(open_store(w), DSMR_OK);
    check_whole(w);
    assert_string_equal(w->said, "");
}

static void a_journal_that_is_there_is_left_alone(void **state)
{
    struct world *w = *state;
    assert_int_equal(open_store(w), DSMR_OK); /* no mark: it may be a disk that was lost */
    assert_int_equal(find(w).records, 0);
    close_store(w);
    if (!make_mark(w))
        return;
    assert_int_equal(open_store(w), DSMR_OK);
    assert_int_equal(find(w).records, 0);
    assert_int_equal(access(w->mark, F_OK), -1);
}

static void what_does_not_count_is_said_and_removed(void **state)
{
    struct world *w = *state;
    if (!make_mark(w))
        return;
    w->key.bytes[0] ^= 1;
    assert_int_equal(open_store(w), DSMR_OK);
    assert_non_null(strstr(w->said, "another key"));
    assert_int_equal(find(w).records, 0);
    assert_int_equal(access(w->mark, F_OK), -1);
}

/* A mark that cannot be removed would stand beside votes: the node must not start. */
static void a_mark_that_stays_ends_the_start(void **state)
{
    struct world *w = *state;
    char reason[1024] = "";
    assert_int_equal(mkdir(w->mark, 0700), 0);
    w->store.config.reason = reason;
    w->store.config.reason_bytes = sizeof reason;
    assert_int_equal(open_store(w), DSMR_ERR_IO);
    assert_null(w->store.store);
    assert_non_null(strstr(reason, w->mark));
    assert_int_equal(rmdir(w->mark), 0);
    assert_int_equal(open_store(w), DSMR_OK);
}

/* ---- and what it may die of ---- */

/* What the child's start came to: an error's number, or -1: it was killed. */
static int start_in_child(struct world *w, enum fault kind, uint64_t at)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        faults_arm(kind, at);
        enum dsmr_err err = open_store(w);
        bool is_end = faults_count() < at;
        if (err == DSMR_OK)
            dsmr_lmdb_store_close(w->store.store);
        _exit(is_end ? 255 : (int)err);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return -1;
    }
    return WEXITSTATUS(status);
}

static void die_at_each_effect(struct world *w, enum fault kind)
{
    uint64_t at = 1;
    for (;; at++) {
        lose(w, "consensus");
        lose(w, "state");
        lose(w, "chunks");
        if (!make_mark(w))
            return;
        int result = start_in_child(w, kind, at);
        if (result == 255)
            break;
        /* Where a start succeeds a vote may follow. */
        assert_true(result != DSMR_OK || access(w->mark, F_OK) != 0);
        assert_int_equal(open_store(w), DSMR_OK);
        check_whole(w);
    }
    assert_true(at > 10);
}

static void a_start_is_killed_at_each_effect(void **state)
{
    die_at_each_effect(*state, FAULT_KILL);
}

static void the_power_goes_at_each_effect(void **state)
{
    die_at_each_effect(*state, FAULT_POWER_CUT);
}

static void each_effect_fails(void **state)
{
    die_at_each_effect(*state, FAULT_ERROR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_mark_is_of_one_key),
        TEST(a_copy_does_not_count),
        TEST(other_bytes_do_not_count),
        TEST(only_a_new_key_gets_a_mark),
        TEST(a_mark_becomes_the_first_record),
        TEST(a_journal_that_is_there_is_left_alone),
        TEST(what_does_not_count_is_said_and_removed),
        TEST(a_mark_that_stays_ends_the_start),
        TEST(a_start_is_killed_at_each_effect),
        TEST(the_power_goes_at_each_effect),
        TEST(each_effect_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
