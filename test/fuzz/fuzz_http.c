/* fuzz_http.c - any bytes on a connection to the HTTP port: the real server, its thread and the
 * routes behind it, over loopback.
 *
 * Checks: what comes back is HTTP with a status of docs/api.md; a client that says no more is
 *         hung up on (a server that waits for ever shows as a timeout of the fuzzer); no waiting
 *         request is left without its answer.
 * The first byte cuts the input into what is sent at once, and says whether the client then ends
 * its half of the connection. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/http_server.h"
#include "fake_ports.h"

enum { ANSWER_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct dsmr_waits *waits;
static struct dsmr_tracker *tracker;
static struct dsmr_routes routes;
static struct dsmr_http_server *server;

static void begin(void)
{
    static const struct dsmr_query query = {.ops = &query_ops}; /* borrowed */
    const struct dsmr_tracker_sink sink = {0};                  /* nothing comes back */
    const char *reason = "";
    waits = dsmr_waits_new(64, 1);
    const struct dsmr_tracker_config tracker_config = {
        .flights_max = 2, .others_max = 2, .seed = 1, .waits = waits, .wake = wake};
    tracker = dsmr_tracker_new(&tracker_config);
    must(waits != NULL && tracker != NULL);
    dsmr_tracker_attach(tracker, &query, &sink);
    const struct dsmr_routes_config routes_config = {.query = query,
                                                     .submit = {.ops = &submit_ops},
                                                     .waits = waits,
                                                     .tracker = tracker,
                                                     .clock = {.ops = &clock_ops},
                                                     .metrics = &metrics,
                                                     .tx_id = tx_id,
                                                     .wait_ms_max = 1,
                                                     .app_name = "app",
                                                     .version = "0"};
    dsmr_routes_init(&routes, &routes_config);
    const struct dsmr_http_server_config config = {.address = "127.0.0.1",
                                                   .connections_max = 64,
                                                   .body_bytes_max = DSMR_ROUTES_BODY_BYTES_MAX,
                                                   .http = dsmr_routes_http(&routes),
                                                   .metrics = &metrics};
    must(dsmr_http_server_start(&server, &reason, &config) == DSMR_OK);
}

static void end(void)
{
    dsmr_waits_close(waits);
    dsmr_http_server_stop(server);
    dsmr_http_server_free(server);
    dsmr_tracker_free(tracker);
    dsmr_waits_free(waits);
}

/* From one loopback address after the other: so many connections would use up the ports of one. */
static int dial(void)
{
    static uint32_t turn;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(dsmr_http_server_port(server))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    from.sin_addr.s_addr = htonl(0x7f010001u + turn++ % 60000u);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0);
    must(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static void say(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return; /* it has heard enough */
        }
        bytes += n;
        len -= (size_t)n;
    }
}

/* All until the server hangs up. When it says nothing, first whoever waits for a transaction is
 * told that the time is over, then the client says that it has no more to say. */
static size_t hear(int fd, char *answer)
{
    size_t len = 0;
    for (int quiet = 0;;) {
        struct pollfd event = {.fd = fd, .events = POLLIN};
        if (poll(&event, 1, len > 0 ? 2 : 10) == 0) {
            dsmr_waits_tick(waits, UINT64_MAX);
            if (++quiet == 2) {
                (void)shutdown(fd, SHUT_WR);
            }
            continue;
        }
        ssize_t n = recv(fd, answer + len, ANSWER_MAX - len, 0);
        if (n <= 0) {
            answer[len] = '\0';
            return len;
        }
        len += (size_t)n;
        must(len < ANSWER_MAX);
    }
}

static void check(const char *answer, size_t len)
{
    static const int known[] = {200, 202, 400, 403, 404, 405, 408, 409, 410,
                                411, 413, 414, 431, 500, 501, 503, 504, 505};
    int status = 0, minor = 0;
    if (len == 0) {
        return;
    }
    must(sscanf(answer, "HTTP/1.%d %d", &minor, &status) == 2);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i] == status) {
            return;
        }
    }
    must(false);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static char answer[ANSWER_MAX + 1];
    if (server == NULL) {
        begin();
        (void)atexit(end);
    }
    if (len == 0) {
        return 0;
    }
    size_t cut = bytes[0] < 128 ? len - 1 : 1 + (size_t)bytes[0] % 64;
    int fd = dial();
    for (size_t at = 1; at < len; at += cut) {
        say(fd, bytes + at, len - at < cut ? len - at : cut);
    }
    if (bytes[0] % 2 == 1) {
        (void)shutdown(fd, SHUT_WR);
    }
    check(answer, hear(fd, answer));
    close(fd);
    return 0;
}
