/* raw_socket.h - a blocking TCP client for bytes that no client library would send. */
#ifndef DSMR_TEST_API_RAW_SOCKET_H
#define DSMR_TEST_API_RAW_SOCKET_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RAW_UNUSED __attribute__((unused))

RAW_UNUSED static int raw_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Sends all; false if the other end has closed. */
RAW_UNUSED static bool raw_send(int fd, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    while (len > 0) {
        ssize_t n = send(fd, from, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        from += n;
        len -= (size_t)n;
    }
    return true;
}

/* Exactly len bytes; false at the end of the stream. */
RAW_UNUSED static bool raw_recv(int fd, void *out, size_t len)
{
    uint8_t *to = out;
    while (len > 0) {
        ssize_t n = recv(fd, to, len, 0);
        if (n <= 0) {
            return false;
        }
        to += n;
        len -= (size_t)n;
    }
    return true;
}

/* Everything until the other end closes; at most capacity. */
RAW_UNUSED static size_t raw_drain(int fd, void *out, size_t capacity)
{
    size_t at = 0;
    for (;;) {
        ssize_t n = recv(fd, (uint8_t *)out + at, capacity - at, 0);
        if (n <= 0) {
            return at;
        }
        at += (size_t)n;
    }
}

#endif
