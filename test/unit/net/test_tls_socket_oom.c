/* test_tls_socket_oom.c - memory runs out where a session gets its socket, and where the socket has
 * not taken all that was gathered.
 *
 * Linked with malloc, calloc and realloc wrapped (cmake/tests.cmake). */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/failing_malloc.h"
#include "net/tls_socket.h"

/* The method of all sockets, what is ours of one, the library's part of one; what failed does not
 * stay so. */
static void test_no_memory_for_a_socket(void **state)
{
    static const uint32_t granted[] = {0, 1, 0, 1};

    (void)state;
    for (size_t i = 0; i < sizeof(granted) / sizeof(granted[0]); i++) {
        has_failed = false;
        allocations_left = granted[i];
        assert_null(dsmr_tls_socket_new(-1));
        assert_true(has_failed);
    }
    BIO *bio = dsmr_tls_socket_new(-1);
    assert_non_null(bio);
    assert_int_equal(BIO_free(bio), 1);
}

static void test_no_memory_for_the_rest(void **state)
{
    static uint8_t gathered[DSMR_TLS_SOCKET_GATHER_BYTES], record[16406], bytes[65536];
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    while (send(fds[0], bytes, sizeof(bytes), 0) > 0)
        ;
    BIO *bio = dsmr_tls_socket_new(fds[0]);
    assert_non_null(bio);
    dsmr_tls_socket_gather(bio, gathered);
    assert_int_equal(BIO_write(bio, record, sizeof(record)), sizeof(record));
    has_failed = false;
    allocations_left = 0;
    assert_int_equal(dsmr_tls_socket_flush(bio), DSMR_TLS_SOCKET_FAILED);
    assert_true(has_failed);
    while (recv(fds[1], bytes, sizeof(bytes), 0) > 0)
        ;
    assert_int_equal(BIO_write(bio, record, 10), -1); /* there is room, but a gap before it */
    assert_false(BIO_should_retry(bio));
    assert_int_equal(dsmr_tls_socket_flush(bio), DSMR_TLS_SOCKET_FAILED);
    assert_int_equal(recv(fds[1], bytes, sizeof(bytes), 0), -1);
    assert_int_equal(BIO_free(bio), 1);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_memory_for_a_socket),
        cmocka_unit_test(test_no_memory_for_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
