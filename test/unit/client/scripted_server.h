/* scripted_server.h - a server that takes one connection after another and says what it was told,
 * whatever it is asked. */
#ifndef DSMR_TEST_CLIENT_SCRIPTED_SERVER_H
#define DSMR_TEST_CLIENT_SCRIPTED_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct scripted {
    int listener;
    uint16_t port;
    pthread_t thread;
    /* For each connection: */
    struct script {
        size_t read_bytes;  /* read so much first; 0: up to an empty line */
        const void *answer; /* then say this */
        size_t answer_len;
        int repeats; /* and all that so many times more */
        int stays;   /* then wait for the client to go; else close at once */
    } const *scripts;
    size_t scripts_count;
    char heard[1 << 16];
    size_t heard_len;
};

static int scripted_hear(struct scripted *server, int fd, size_t bytes)
{
    size_t from = server->heard_len;
    while (bytes > 0 ? server->heard_len - from < bytes
                     : strstr(server->heard + from, "\r\n\r\n") == NULL) {
        ssize_t n = recv(fd, server->heard + server->heard_len, 1, 0);
        if (n <= 0) {
            return 0;
        }
        server->heard_len++;
        server->heard[server->heard_len] = '\0';
    }
    return 1;
}

static void *scripted_run(void *ctx)
{
    struct scripted *server = ctx;
    for (size_t i = 0; i < server->scripts_count; i++) {
        const struct script *script = &server->scripts[i];
        int fd = accept(server->listener, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        for (int k = 0; k <= script->repeats; k++) {
            if (!scripted_hear(server, fd, script->read_bytes)) {
                break;
            }
            if (script->answer_len > 0) {
                (void)send(fd, script->answer, script->answer_len, MSG_NOSIGNAL);
            }
        }
        char byte;
        while (script->stays && recv(fd, &byte, 1, 0) > 0) {
        }
        close(fd);
    }
    return NULL;
}

static void scripted_start(struct scripted *server, const struct script *scripts, size_t count)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    memset(server, 0, sizeof(*server));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->scripts = scripts;
    server->scripts_count = count;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(server->listener, 8), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &len), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, scripted_run, server), 0);
}

static void scripted_stop(struct scripted *server)
{
    (void)shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
}

#endif
