/* The store is killed, cut off from power, filled and broken at every effect of a script; what it
 * then holds must be what a prefix of the script leaves, and never less than was acknowledged. */
#define _GNU_SOURCE
#include "unit/store/fault_io.h"
#include "unit/store/store_script.h"

#include <dirent.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* ---- running it ---- */

/* Runs the script from op first. acked: called for each op that is done, in order. Ends at the
 * first wait with an error, which it answers; *next is then the first op that failed. */
static enum dsmr_err run_script(struct fixture *f, size_t first, size_t *next,
                                void (*acked)(void *ctx, size_t op), void *ctx)
{
    static struct script_write writes[OPS];
    size_t from = first;
    enum dsmr_err err = DSMR_OK;

    for (size_t i = first; i < OPS && err == DSMR_OK; i++) {
        if (script[i].kind != OP_WAIT) {
            write_init(&writes[i], &script[i]);
            send_write(f, &writes[i].write);
            continue;
        }
        wait_all(f);
        for (; from <= i; from++) {
            if (err == DSMR_OK && script[from].kind != OP_WAIT) {
                err = writes[from].write.err;
            }
            if (err == DSMR_OK) {
                *next = from + 1;
                if (acked != NULL) {
                    acked(ctx, from);
                }
            }
            if (script[from].kind != OP_WAIT) {
                write_close(&writes[from]);
            }
        }
    }
    return err;
}

static void tell(void *ctx, size_t op)
{
    uint8_t byte = (uint8_t)op;
    (void)!write(*(int *)ctx, &byte, 1);
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);

    f->path = make_tree();
    f->inbox = test_inbox_new();
    fixture_config(f);
    f->config.segment_bytes = 100000; /* several files in the script */
    return f;
}

static void fixture_delete(struct fixture *f)
{
    dsmr_lmdb_store_close(f->store);
    remove_tree(f->path);
    free(f->path);
    free(f->inbox);
    free(f);
}

/* Runs the script in a child that dies at effect at. *acked: how many ops it was told are done.
 * false: the script came to its end first. */
static bool run_child(struct fixture *f, enum fault kind, uint64_t at, size_t *acked)
{
    int fds[2];
    uint8_t byte;
    int status = 0;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        size_t next = 0;
        (void)close(fds[0]);
        faults_arm(kind, at);
        if (fixture_open(f) != DSMR_OK || run_script(f, 0, &next, tell, &fds[1]) != DSMR_OK) {
            _exit(3);
        }
        dsmr_lmdb_store_close(f->store);
        _exit(0);
    }
    (void)close(fds[1]);
    *acked = 0;
    while (read(fds[0], &byte, 1) == 1) {
        *acked = (size_t)byte + 1;
    }
    (void)close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return true;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    return false;
}

/* After the end everything that is gone has given its space back. */
static void check_space(struct fixture *f)
{
    char path[1024];
    uint64_t bytes = 0;
    struct stat st;
    DIR *dir;

    fixture_reopen(f);
    (void)snprintf(path, sizeof path, "%s/chunks", f->path);
    dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            (void)snprintf(path, sizeof path, "%s/chunks/%s", f->path, e->d_name);
            assert_int_equal(stat(path, &st), 0);
            bytes += (uint64_t)st.st_blocks * 512;
        }
    }
    (void)closedir(dir);
    assert_true(bytes <= 61440 + 20480 + 8192); /* chunks 5 and 9 */
}

static void die_everywhere(enum fault kind, const char *what)
{
    bool died = true;
    uint64_t at = 0;

    while (died) {
        struct fixture *f = fixture_new();
        size_t acked = 0, prefix, next = 0;
        struct model want, seen;

        at++;
        died = run_child(f, kind, at, &acked);
        if (fixture_open(f) != DSMR_OK) {
            print_error("%s at effect %u: does not open\n", what, (unsigned)at);
            fail();
        }
        prefix = find_prefix(f, acked, what, at);
        /* It goes on from there, and nothing of the past shows. */
        assert_int_equal(run_script(f, prefix, &next, NULL, NULL), DSMR_OK);
        fixture_reopen(f);
        model_of(&want, OPS);
        observe(f, &seen);
        assert_true(model_equal(&seen, &want));
        check_space(f);
        fixture_delete(f);
    }
    print_message("[ %s at each of %u effects ]\n", what, (unsigned)at);
    assert_true(at > 40);
}

static void killed_at_every_effect(void **state)
{
    (void)state;
    die_everywhere(FAULT_KILL, "kill");
}

static void power_cut_at_every_effect(void **state)
{
    (void)state;
    die_everywhere(FAULT_POWER_CUT, "power cut");
}

/* ---- a full disk, an error, a short write ---- */

static void full_disk_at_every_effect(void **state)
{
    uint64_t total, refused = 0;

    (void)state;
    for (uint64_t at = 1;; at++) {
        struct fixture *f = fixture_new();
        size_t next = 0;
        struct model want, seen;
        enum dsmr_err err;

        assert_int_equal(fixture_open(f), DSMR_OK);
        faults_arm(FAULT_NO_SPACE, at);
        err = run_script(f, 0, &next, NULL, NULL);
        total = faults_count();
        if (err != DSMR_OK) {
            struct dsmr_id none = id_of(99);
            assert_int_equal(err, DSMR_ERR_DISK_FULL);
            check_cause(f, "/", "No space left on device");
            refused++;
            /* Garbage collection works on the full disk; so does reading. */
            assert_int_equal(collect(f, 1, &none, 1, true), DSMR_OK);
        }
        faults_arm(FAULT_NONE, 0);
        /* Once there is space, all goes on: what was refused can be written again. */
        assert_int_equal(run_script(f, next, &next, NULL, NULL), DSMR_OK);
        fixture_reopen(f);
        model_of(&want, OPS);
        observe(f, &seen);
        want.floor_ms = seen.floor_ms;
        assert_true(model_equal(&seen, &want));
        fixture_delete(f);
        if (total < at) {
            break;
        }
    }
    assert_true(refused > 10);
}

static void error_at_every_effect_stops_the_store(void **state)
{
    uint64_t total, stopped = 0;

    (void)state;
    for (uint64_t at = 1;; at++) {
        struct fixture *f = fixture_new();
        size_t next = 0;
        enum dsmr_err err;

        assert_int_equal(fixture_open(f), DSMR_OK);
        faults_arm(FAULT_ERROR, at);
        err = run_script(f, 0, &next, NULL, NULL);
        total = faults_count();
        faults_arm(FAULT_NONE, 0);
        if (err != DSMR_OK) {
            assert_int_equal(err, DSMR_ERR_IO);
            check_cause(f, "/", "Input/output error");
            stopped++;
            assert_int_equal(put_chunk(f, 1, 5000), DSMR_ERR_IO); /* and it stays so */
            assert_int_equal(collect(f, 1, NULL, 0, false), DSMR_ERR_IO);
        }
        fixture_reopen(f);
        (void)find_prefix(f, next, "error", at);
        fixture_delete(f);
        if (total < at) {
            break;
        }
    }
    assert_true(stopped > 10);
}

static void short_writes_of_bodies_are_continued(void **state)
{
    uint64_t total;

    (void)state;
    for (uint64_t at = 1;; at++) {
        struct fixture *f = fixture_new();
        size_t next = 0;

        assert_int_equal(fixture_open(f), DSMR_OK);
        faults_arm(FAULT_SHORT, at);
        assert_int_equal(run_script(f, 0, &next, NULL, NULL), DSMR_OK);
        total = faults_count();
        faults_arm(FAULT_NONE, 0);
        fixture_reopen(f);
        assert_int_equal(find_prefix(f, OPS, "short write", at), OPS);
        fixture_delete(f);
        if (total < at) {
            break;
        }
    }
}

static void accept_after_a_full_disk_leaves_no_gap(void **state)
{
    struct fixture *f = fixture_new();
    struct script_write writes[3];
    static char value[60000];
    enum dsmr_err err = DSMR_OK;
    static const struct op ops[3] = {
        {OP_ACCEPT, 0, 0, 0}, {OP_ACCEPT, 1, 0, 0}, {OP_ACCEPT, 2, 0, 0}};

    (void)state;
    assert_int_equal(fixture_open(f), DSMR_OK);
    for (size_t i = 0; i < 3; i++) {
        write_init(&writes[i], &ops[i]);
    }
    assert_int_equal(do_write(f, &writes[0].write), DSMR_OK);
    /* The disk fills up; the first accept finds no room, the second comes when there is some. */
    faults_arm(FAULT_NO_SPACE, 1);
    memset(value, 'v', sizeof value - 1);
    for (int i = 0; i < 1000 && err == DSMR_OK; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%08d", i);
        err = put_bft(f, key, value);
    }
    assert_int_equal(err, DSMR_ERR_DISK_FULL);
    assert_int_equal(do_write(f, &writes[1].write), DSMR_ERR_DISK_FULL);
    faults_arm(FAULT_NONE, 0);
    assert_int_equal(do_write(f, &writes[2].write), DSMR_ERR_DISK_FULL);
    assert_int_equal(do_write(f, &writes[1].write), DSMR_OK);
    assert_int_equal(do_write(f, &writes[2].write), DSMR_OK);
    for (size_t i = 0; i < 3; i++) {
        write_close(&writes[i]);
    }
    fixture_delete(f);
}

/* ---- a real small disk ---- */

static void fill(const char *directory)
{
    static uint8_t zeros[4096];
    char path[512];
    int fd;

    (void)snprintf(path, sizeof path, "%s/filler", directory);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    while (write(fd, zeros, sizeof zeros) == (ssize_t)sizeof zeros) {
    }
    (void)close(fd);
}

static void small_file_system_fills_and_recovers(void **state)
{
    struct fixture *f = fixture_new();
    struct dsmr_id ids[512];
    char path[600];
    uint64_t count = 0;
    enum dsmr_err err = DSMR_OK;

    (void)state;
    if (mount("tmpfs", f->path, "tmpfs", 0, "size=12m") != 0) {
        print_message("SKIPPED: no small file system: mounting needs root (%s)\n", strerror(errno));
        fixture_delete(f);
        skip();
    }
    (void)snprintf(path, sizeof path, "%s/store", f->path);
    f->config.directory = path;
    f->config.reserve_bytes = 2u << 20;
    assert_int_equal(fixture_open(f), DSMR_OK);
    while (err == DSMR_OK && count < 512) {
        ids[count] = id_of(count);
        err = put_chunk(f, count, 40000);
        count += err == DSMR_OK;
    }
    assert_int_equal(err, DSMR_ERR_DISK_FULL);
    assert_true(count > 50);
    fill(f->path); /* and what the store could not use */
    assert_int_equal(f->port.ops->disk_free_bytes(f->port.self), 0);
    assert_int_equal(put_chunk(f, 1000, 40000), DSMR_ERR_DISK_FULL);
    fixture_reopen(f); /* it opens on a full disk */
    for (uint64_t n = 0; n < count; n++) {
        assert_int_equal(check_body(f, n, 40000), DSMR_OK);
    }
    assert_int_equal(collect(f, 7, ids, (uint32_t)count, true), DSMR_OK);
    fixture_reopen(f);
    for (uint64_t n = 0; n < count; n++) {
        assert_int_equal(check_body(f, n, 40000), DSMR_ERR_UNKNOWN);
    }
    for (uint64_t n = 0; n < count / 2; n++) {
        assert_int_equal(put_chunk(f, 2000 + n, 40000), DSMR_OK);
    }
    dsmr_lmdb_store_close(f->store);
    f->store = NULL;
    assert_int_equal(umount(f->path), 0);
    fixture_delete(f);
}

/* A database that may not grow: the map instead of the disk is full. */
static void full_map_is_a_full_disk(void **state)
{
    struct fixture *f = fixture_new();
    struct dsmr_id ids[4000];
    uint64_t count = 0;
    enum dsmr_err err = DSMR_OK;

    (void)state;
    f->config.consensus_map_bytes = 2u << 20;
    f->config.reserve_bytes = 1u << 20;
    assert_int_equal(fixture_open(f), DSMR_OK);
    while (err == DSMR_OK && count < 4000) {
        ids[count] = id_of(count);
        err = put_cert(f, count, 3);
        count += err == DSMR_OK;
    }
    assert_int_equal(err, DSMR_ERR_DISK_FULL);
    check_cause(f, "/consensus/data.mdb", "store-map-bytes");
    assert_true(count > 500);
    fixture_reopen(f);
    assert_int_equal(put_cert(f, 5000, 3), DSMR_ERR_DISK_FULL);
    assert_int_equal(collect(f, 7, ids, (uint32_t)count, true), DSMR_OK);
    assert_int_equal(put_cert(f, 5000, 3), DSMR_OK);
    for (uint64_t n = 0; n < count / 2; n++) {
        assert_int_equal(put_cert(f, n, 3), DSMR_OK);
    }
    fixture_delete(f);
}

/* A test that failed leaves no plan behind for the next. */
static int disarm(void **state)
{
    (void)state;
    faults_arm(FAULT_NONE, 0);
    return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, disarm)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(killed_at_every_effect),
        TEST(power_cut_at_every_effect),
        TEST(full_disk_at_every_effect),
        TEST(error_at_every_effect_stops_the_store),
        TEST(short_writes_of_bodies_are_continued),
        TEST(accept_after_a_full_disk_leaves_no_gap),
        TEST(small_file_system_fills_and_recovers),
        TEST(full_map_is_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
