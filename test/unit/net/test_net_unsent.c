/* How much the kernel may hold unsent, at a rate and on a socket. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/net_unsent.h"

#define MAX (256u << 10)

static void test_five_milliseconds(void **state)
{
    (void)state;
    assert_int_equal(dsmr_net_unsent_bytes(0, MAX), DSMR_NET_UNSENT_BYTES_MIN);
    assert_int_equal(dsmr_net_unsent_bytes(1000000, MAX), DSMR_NET_UNSENT_BYTES_MIN);
    assert_int_equal(dsmr_net_unsent_bytes(12500000, MAX), 62500); /* 100 Mbit/s */
    assert_int_equal(dsmr_net_unsent_bytes(52400000, MAX), 262000);
    assert_int_equal(dsmr_net_unsent_bytes(52500000, MAX), MAX);
    assert_int_equal(dsmr_net_unsent_bytes(UINT64_MAX, MAX), MAX);
    assert_int_equal(dsmr_net_unsent_bytes(0, 1000), 1000);
    assert_int_equal(dsmr_net_unsent_bytes(UINT64_MAX, UINT32_MAX), UINT32_MAX);
}

static unsigned lowat(int fd)
{
    unsigned bytes = 0;
    socklen_t len = sizeof(bytes);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, &len), 0);
    return bytes;
}

/* Before anything was sent nothing is known, afterwards the rate is. */
static void test_a_socket_is_measured(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, len), 0);
    int peer = accept(listener, NULL, NULL);
    unsigned before = 77777;
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &before, sizeof(before)), 0);
    assert_int_equal(dsmr_net_unsent_fit(fd, MAX), 0);
    assert_int_equal(lowat(fd), before);
    static uint8_t bytes[60000];
    for (int i = 0; i < 50; i++) { /* each fits into the socket's buffers */
        assert_int_equal(send(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
        assert_int_equal(recv(peer, bytes, sizeof(bytes), MSG_WAITALL), sizeof(bytes));
    }
    uint32_t measured = dsmr_net_unsent_fit(fd, MAX);
    assert_int_equal(lowat(fd), measured);
    assert_int_not_equal(lowat(fd), before);
    assert_in_range(lowat(fd), DSMR_NET_UNSENT_BYTES_MIN, MAX);
    dsmr_net_unsent_fit(fd, 20000);
    assert_in_range(lowat(fd), DSMR_NET_UNSENT_BYTES_MIN, 20000);
    assert_int_equal(dsmr_net_unsent_fit(listener, MAX), 0); /* has no rate */
    assert_int_equal(dsmr_net_unsent_fit(-1, MAX), 0);
    close(peer);
    close(fd);
    close(listener);
}

/* Not measured: while the socket takes all. Measured: whether it is full or not just now. */
static void test_when_to_gather(void **state)
{
    (void)state;
    assert_true(dsmr_net_unsent_may_gather(0, false, 1000));
    assert_false(dsmr_net_unsent_may_gather(0, true, 1000));
    for (int is_slow = 0; is_slow < 2; is_slow++) {
        assert_false(dsmr_net_unsent_may_gather(1999, is_slow == 1, 1000));
        assert_true(dsmr_net_unsent_may_gather(2000, is_slow == 1, 1000));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_five_milliseconds),
        cmocka_unit_test(test_a_socket_is_measured),
        cmocka_unit_test(test_when_to_gather),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
