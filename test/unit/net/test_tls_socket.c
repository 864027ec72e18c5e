/* What stands between a TLS session and its socket: bytes leave in order, each once, gathered or
 * not, whatever the socket takes. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/tls_socket.h"

#define RECORD 16406u /* a full one, with header and tag */
#define GATHER DSMR_TLS_SOCKET_GATHER_BYTES

struct line {
    int ours, theirs;
    BIO *bio;
    uint8_t next;     /* to be written: bytes count up */
    uint8_t expected; /* to be read */
    uint8_t gathered[GATHER];
};

static void line_open(struct line *line)
{
    int fds[2];
    int buffer = 100000; /* so that it takes parts of what is gathered, whatever the default is */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)), 0);
    memset(line, 0, sizeof(*line));
    line->ours = fds[0];
    line->theirs = fds[1];
    line->bio = dsmr_tls_socket_new(line->ours);
    assert_non_null(line->bio);
}

static void line_close(struct line *line)
{
    assert_int_equal(BIO_free(line->bio), 1);
    close(line->ours);
    if (line->theirs >= 0)
        close(line->theirs);
}

/* What BIO_write says; the bytes that it took are counted as written. */
static int put(struct line *line, size_t len)
{
    static uint8_t bytes[1u << 20];
    assert_true(len <= sizeof(bytes));
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(line->next + i * 7);
    int n = BIO_write(line->bio, bytes, (int)len);
    if (n > 0)
        line->next = (uint8_t)(line->next + (size_t)n * 7);
    return n;
}

/* Reads up to max of what has arrived, each byte of it the expected one. */
static size_t take(struct line *line, size_t max)
{
    uint8_t bytes[4096];
    size_t sum = 0;
    while (sum < max) {
        ssize_t n = recv(line->theirs, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++) {
            assert_int_equal(bytes[i], line->expected);
            line->expected = (uint8_t)(line->expected + 7);
        }
        sum += (size_t)n;
    }
    return sum;
}

static size_t arrived(struct line *line)
{
    return take(line, SIZE_MAX);
}

static void test_a_record_goes_at_once(void **state)
{
    struct line line;
    (void)state;
    line_open(&line);
    assert_int_equal(put(&line, 100), 100);
    assert_int_equal(arrived(&line), 100);
    assert_int_equal(dsmr_tls_socket_flush(line.bio), DSMR_TLS_SOCKET_DONE); /* of nothing */
    assert_int_equal(put(&line, RECORD), RECORD);
    assert_int_equal(arrived(&line), RECORD);
    line_close(&line);
}

static void test_gathered_go_with_the_flush(void **state)
{
    struct line line;
    (void)state;
    line_open(&line);
    dsmr_tls_socket_gather(line.bio, line.gathered);
    for (int i = 0; i < 3; i++)
        assert_int_equal(put(&line, RECORD), RECORD);
    assert_int_equal(put(&line, 1), 1);
    assert_int_equal(arrived(&line), 0);
    assert_int_equal(dsmr_tls_socket_flush(line.bio), DSMR_TLS_SOCKET_DONE);
    assert_int_equal(arrived(&line), 3 * RECORD + 1);
    memset(line.gathered, 0, sizeof(line.gathered));
    assert_int_equal(put(&line, 10), 10); /* the gathering is over */
    assert_int_equal(arrived(&line), 10);
    line_close(&line);
}

static void test_full_memory_is_written(void **state)
{
    struct line line;
    (void)state;
    line_open(&line);
    dsmr_tls_socket_gather(line.bio, line.gathered);
    for (int i = 0; i < 4; i++) /* all of them fit */
        assert_int_equal(put(&line, RECORD), RECORD);
    assert_int_equal(arrived(&line), 0);
    assert_int_equal(put(&line, RECORD), RECORD);
    assert_int_equal(arrived(&line), 4 * RECORD);         /* and the fifth waits */
    assert_int_equal(put(&line, GATHER + 1), GATHER + 1); /* does not fit at all: goes by itself */
    assert_int_equal(arrived(&line), RECORD + GATHER + 1);
    assert_int_equal(put(&line, 5), 5);
    assert_int_equal(arrived(&line), 0);
    assert_int_equal(dsmr_tls_socket_flush(line.bio), DSMR_TLS_SOCKET_DONE);
    assert_int_equal(arrived(&line), 5);
    line_close(&line);
}

/* The socket takes a part of what was gathered, and then of the rest: that is kept, nothing passes
 * it, and the record that found it so was not taken. */
static void test_what_is_not_taken_is_kept(void **state)
{
    struct line line;
    (void)state;
    line_open(&line);
    size_t written = 0, read = 0;
    for (unsigned turn = 0; turn < 400; turn++) {
        dsmr_tls_socket_gather(line.bio, line.gathered);
        int n;
        while ((n = put(&line, RECORD - turn)) > 0)
            written += (size_t)n;
        assert_int_equal(n, -1);
        assert_true(BIO_should_retry(line.bio) && BIO_should_write(line.bio));
        assert_int_equal(dsmr_tls_socket_flush(line.bio), DSMR_TLS_SOCKET_BLOCKED);
        memset(line.gathered, 0xee, sizeof(line.gathered)); /* it was copied */
        read += take(&line, 4096 * (turn % 48)); /* room for none, for some, for all of the rest */
        if (turn % 3 != 0)
            continue; /* what is kept goes with the next record */
        enum dsmr_tls_socket_result result;
        while ((result = dsmr_tls_socket_flush(line.bio)) == DSMR_TLS_SOCKET_BLOCKED)
            read += take(&line, 4096);
        assert_int_equal(result, DSMR_TLS_SOCKET_DONE);
        read += arrived(&line);
        assert_int_equal(read, written);
    }
    line_close(&line);
}

/* Not gathering: what the socket takes of a large write is told. */
static void test_a_part_of_a_write(void **state)
{
    struct line line;
    (void)state;
    line_open(&line);
    size_t left = 1u << 20;
    while (left > 0) {
        int n = put(&line, left);
        if (n < 0) {
            assert_true(BIO_should_retry(line.bio));
            assert_true(arrived(&line) > 0);
        } else {
            left -= (size_t)n;
        }
    }
    (void)arrived(&line);
    assert_int_equal(line.expected, line.next);
    line_close(&line);
}

/* No signal, no second try. Who frees what still keeps something loses that. */
static void test_a_broken_connection(void **state)
{
    struct line line;
    (void)state;
    line_open(&line);
    dsmr_tls_socket_gather(line.bio, line.gathered);
    while (put(&line, RECORD) > 0)
        ;
    assert_int_equal(dsmr_tls_socket_flush(line.bio), DSMR_TLS_SOCKET_BLOCKED);
    close(line.theirs);
    line.theirs = -1;
    assert_int_equal(dsmr_tls_socket_flush(line.bio), DSMR_TLS_SOCKET_FAILED);
    assert_int_equal(put(&line, 10), -1);
    assert_false(BIO_should_retry(line.bio));
    line_close(&line);

    line_open(&line);
    dsmr_tls_socket_gather(line.bio, line.gathered);
    assert_int_equal(put(&line, RECORD), RECORD);
    close(line.theirs);
    line.theirs = -1;
    assert_int_equal(dsmr_tls_socket_flush(line.bio), DSMR_TLS_SOCKET_FAILED);
    line_close(&line);
}

static void test_reading(void **state)
{
    struct line line;
    uint8_t bytes[16];
    (void)state;
    line_open(&line);
    assert_int_equal(BIO_read(line.bio, bytes, sizeof(bytes)), -1);
    assert_true(BIO_should_retry(line.bio) && BIO_should_read(line.bio));
    assert_int_equal(send(line.theirs, "abc", 3, 0), 3);
    assert_int_equal(BIO_read(line.bio, bytes, sizeof(bytes)), 3);
    assert_memory_equal(bytes, "abc", 3);
    close(line.theirs);
    line.theirs = -1;
    assert_int_equal(BIO_read(line.bio, bytes, sizeof(bytes)), 0);
    assert_false(BIO_should_retry(line.bio));
    assert_int_equal(BIO_flush(line.bio), 1);
    assert_int_equal(BIO_ctrl(line.bio, BIO_CTRL_PENDING, 0, NULL), 0);
    line_close(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_goes_at_once),
        cmocka_unit_test(test_gathered_go_with_the_flush),
        cmocka_unit_test(test_full_memory_is_written),
        cmocka_unit_test(test_what_is_not_taken_is_kept),
        cmocka_unit_test(test_a_part_of_a_write),
        cmocka_unit_test(test_a_broken_connection),
        cmocka_unit_test(test_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
