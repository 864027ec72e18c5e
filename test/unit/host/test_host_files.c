/* Key files, the signer over one, the lock of a home, and signals. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/file_signer.h"
#include "host/home_lock.h"
#include "host/key_file.h"
#include "host/signals.h"

struct fixture {
    char dir[64];
    char path[96];
    char reason[DSMR_KEY_FILE_REASON_BYTES];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    strcpy(f->dir, "/tmp/dsmr-host-XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/file", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void write_text(struct fixture *f, const char *text, mode_t mode)
{
    unlink(f->path);
    int fd = open(f->path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void test_key_file_round_trip(void **state)
{
    struct fixture *f = *state;
    uint8_t secret[32], back[32];
    for (int i = 0; i < 32; i++)
        secret[i] = (uint8_t)(i * 7);
    assert_int_equal(dsmr_key_file_write(secret, f->reason, f->path), DSMR_OK);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(dsmr_key_file_read(back, f->reason, f->path), DSMR_OK);
    assert_memory_equal(secret, back, 32);
    assert_int_equal(dsmr_key_file_write(secret, f->reason, f->path), DSMR_ERR_DUPLICATE);
    assert_non_null(strstr(f->reason, f->path));
}

static void test_key_file_refuses(void **state)
{
    struct fixture *f = *state;
    uint8_t out[32];
    char good[66];
    memset(good, 'a', 64);
    memcpy(good + 64, "\n", 2);
    memset(out, 0x11, 32);
    assert_int_equal(dsmr_key_file_read(out, f->reason, f->path), DSMR_ERR_IO); /* absent */
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0601};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        write_text(f, good, modes[i]);
        assert_int_equal(dsmr_key_file_read(out, f->reason, f->path), DSMR_ERR_CONFIG);
        assert_non_null(strstr(f->reason, "chmod 600"));
    }
    static const char *const wrong[] = {
        "",
        "\n",
        "aa\n",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaag\n",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\n"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        write_text(f, wrong[i], 0600);
        assert_int_equal(dsmr_key_file_read(out, f->reason, f->path), DSMR_ERR_CONFIG);
        assert_non_null(strstr(f->reason, "64 hex digits"));
    }
    assert_int_equal(dsmr_key_file_read(out, f->reason, f->dir), DSMR_ERR_CONFIG);
    for (int i = 0; i < 32; i++)
        assert_int_equal(out[i], 0x11); /* untouched by every error */
    write_text(f, good, 0400);
    assert_int_equal(dsmr_key_file_read(out, f->reason, f->path), DSMR_OK);
}

static void test_signer_signs_values(void **state)
{
    struct fixture *f = *state;
    struct dsmr_bls_public_key public_key;
    struct dsmr_bls_sig proof, sig;
    assert_int_equal(dsmr_file_signer_generate(&public_key, &proof, f->reason, f->path), DSMR_OK);
    assert_int_equal(dsmr_bls_check_possession(&public_key, &proof), DSMR_OK);
    assert_int_equal(dsmr_file_signer_generate(&public_key, &proof, f->reason, f->path),
                     DSMR_ERR_DUPLICATE);
    struct dsmr_file_signer *signer;
    assert_int_equal(dsmr_file_signer_open(&signer, f->reason, f->path), DSMR_OK);
    assert_memory_equal(dsmr_file_signer_public_key(signer), &public_key, sizeof(public_key));

    struct dsmr_bls_public_key_raw raw;
    struct dsmr_bls_point point;
    assert_int_equal(dsmr_bls_key_decode(&raw, &point, &public_key), DSMR_OK);
    struct dsmr_domain domain = {.network_id = 5};
    struct dsmr_reference ref = {.epoch = 1, .slot = 2, .expiry_ms = 3};
    struct dsmr_signer port = dsmr_file_signer_port(signer);
    assert_int_equal(port.ops->sign_share(port.self, &sig, &domain, &ref), DSMR_OK);
    uint8_t share_bytes[DSMR_SHARE_SIGNING_BYTES];
    dsmr_share_signing_bytes(share_bytes, &domain, &ref);
    assert_int_equal(dsmr_bls_verify(&point, &sig, share_bytes, sizeof(share_bytes)), DSMR_OK);

    struct dsmr_vote_subject subject = {.epoch = 1, .view = 9, .kind = DSMR_VOTE_NULLIFY};
    assert_int_equal(port.ops->sign_vote(port.self, &sig, &domain, &subject), DSMR_OK);
    uint8_t vote_bytes[DSMR_VOTE_SIGNING_BYTES];
    dsmr_vote_signing_bytes(vote_bytes, &domain, &subject);
    assert_int_equal(dsmr_bls_verify(&point, &sig, vote_bytes, sizeof(vote_bytes)), DSMR_OK);
    dsmr_file_signer_free(signer);
}

static void test_signer_refuses_what_is_no_key(void **state)
{
    struct fixture *f = *state;
    struct dsmr_file_signer *signer = NULL;
    write_text(f, "0000000000000000000000000000000000000000000000000000000000000000\n", 0600);
    assert_int_equal(dsmr_file_signer_open(&signer, f->reason, f->path), DSMR_ERR_CONFIG);
    write_text(f, "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\n", 0600);
    assert_int_equal(dsmr_file_signer_open(&signer, f->reason, f->path), DSMR_ERR_CONFIG);
    assert_non_null(strstr(f->reason, "BLS secret key"));
    write_text(f, "0000000000000000000000000000000000000000000000000000000000000001\n", 0644);
    assert_int_equal(dsmr_file_signer_open(&signer, f->reason, f->path), DSMR_ERR_CONFIG);
    assert_null(signer);
}

static void test_second_process_is_locked_out(void **state)
{
    struct fixture *f = *state;
    struct dsmr_home_lock lock;
    int64_t holder = -1;
    assert_int_equal(dsmr_home_lock_take(&lock, &holder, f->path), DSMR_OK);
    int64_t owner = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        struct dsmr_home_lock other;
        int64_t seen = -1;
        enum dsmr_err err = dsmr_home_lock_take(&other, &seen, f->path);
        _exit(err == DSMR_ERR_LOCKED && seen == owner ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    dsmr_home_lock_drop(&lock);
    dsmr_home_lock_drop(&lock); /* twice is fine */
    assert_int_equal(dsmr_home_lock_take(&lock, &holder, f->path), DSMR_OK);
    dsmr_home_lock_drop(&lock);
    assert_int_equal(dsmr_home_lock_take(&lock, &holder, "/nonexistent/lock"), DSMR_ERR_IO);
}

struct caught {
    sem_t sem;
    _Atomic int number; /* written by the thread that waits for signals */
};

static void on_signal(void *ctx, int number)
{
    struct caught *caught = ctx;
    caught->number = number;
    sem_post(&caught->sem);
}

static void test_signals_become_calls(void **state)
{
    (void)state;
    struct caught caught = {.number = 0};
    sem_init(&caught.sem, 0, 0);
    struct dsmr_signals signals;
    assert_int_equal(dsmr_signals_init(&signals, on_signal, &caught), DSMR_OK);
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(kill(getpid(), numbers[i]), 0);
        while (sem_wait(&caught.sem) != 0) {
        }
        assert_int_equal(caught.number, numbers[i]);
    }
    assert_int_equal(raise(SIGPIPE), 0); /* ignored */
    dsmr_signals_close(&signals);
    sem_destroy(&caught.sem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_key_file_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_file_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_signer_signs_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_signer_refuses_what_is_no_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_second_process_is_locked_out, set_up, tear_down),
        cmocka_unit_test(test_signals_become_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
