/* fuzz_http_reply.c - any bytes as a server's answers to the HTTP client.
 *
 * Checks: an answer is whole or an error; a body is as long as it says and ends in a zero byte; a
 *         connection whose answer was wrong is not used again. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/http_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { BODY_MAX = 2048, INPUT_MAX = 1 << 16 };

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* What the server will say is there before it is asked, and nothing comes after it. */
static void answer_from(struct dsmr_http_client *client, const uint8_t *bytes, size_t len)
{
    struct dsmr_http_reply reply;
    int fds[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    must(send(fds[1], bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len);
    must(shutdown(fds[1], SHUT_WR) == 0);
    client->fd = fds[0];
    for (int i = 0; i < 2 && client->fd >= 0; i++) { /* the second on the kept connection */
        enum dsmr_err err = dsmr_http_client_request(client, &reply, "POST", "/v1/tx", "{}", 2);
        if (err == DSMR_OK) {
            must(reply.status >= 100 && reply.status <= 999);
            must(reply.body_len <= BODY_MAX && reply.body[reply.body_len] == '\0');
        } else {
            must(client->fd < 0);
        }
    }
    close(fds[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct dsmr_http_client client;
    must(dsmr_http_client_init(&client, "127.0.0.1", 1, 1000, BODY_MAX) == DSMR_OK);
    if (len <= INPUT_MAX) {
        answer_from(&client, bytes, len);
    }
    dsmr_http_client_close(&client);
    return 0;
}
