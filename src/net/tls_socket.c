#include "net/tls_socket.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct way {
    int fd;
    uint8_t *gathered; /* borrowed; NULL: not gathering */
    size_t gathered_len;
    uint8_t *rest; /* ours: what the socket has not taken */
    size_t rest_at, rest_len;
    bool is_broken; /* something was lost: nothing may follow it */
};

static bool is_blocked(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

/* Writes until the socket takes no more; *n: how much it took. */
static enum dsmr_tls_socket_result send_all(int fd, const uint8_t *bytes, size_t len, size_t *n)
{
    *n = 0;
    while (*n < len) {
        ssize_t sent = send(fd, bytes + *n, len - *n, MSG_NOSIGNAL);
        if (sent >= 0)
            *n += (size_t)sent;
        else if (errno != EINTR)
            return is_blocked() ? DSMR_TLS_SOCKET_BLOCKED : DSMR_TLS_SOCKET_FAILED;
    }
    return DSMR_TLS_SOCKET_DONE;
}

static enum dsmr_tls_socket_result send_rest(struct way *way)
{
    size_t n;
    enum dsmr_tls_socket_result result =
        send_all(way->fd, way->rest + way->rest_at, way->rest_len - way->rest_at, &n);
    way->rest_at += n;
    if (result == DSMR_TLS_SOCKET_DONE) {
        free(way->rest);
        way->rest = NULL;
        way->rest_at = way->rest_len = 0;
    }
    return result;
}

/* Nothing is kept. */
static enum dsmr_tls_socket_result send_gathered(struct way *way)
{
    size_t n, len = way->gathered_len;
    enum dsmr_tls_socket_result result = send_all(way->fd, way->gathered, len, &n);
    way->gathered_len = 0;
    if (result != DSMR_TLS_SOCKET_BLOCKED)
        return result;
    way->rest = malloc(len - n);
    if (way->rest == NULL)
        return DSMR_TLS_SOCKET_FAILED;
    way->rest_len = len - n;
    memcpy(way->rest, way->gathered + n, way->rest_len);
    return DSMR_TLS_SOCKET_BLOCKED;
}

static enum dsmr_tls_socket_result send_waiting(struct way *way)
{
    enum dsmr_tls_socket_result result = DSMR_TLS_SOCKET_DONE;
    if (way->is_broken)
        return DSMR_TLS_SOCKET_FAILED;
    if (way->rest != NULL)
        result = send_rest(way);
    if (result == DSMR_TLS_SOCKET_DONE && way->gathered_len > 0)
        result = send_gathered(way);
    way->is_broken = result == DSMR_TLS_SOCKET_FAILED;
    return result;
}

static int result_of(BIO *bio, enum dsmr_tls_socket_result result, size_t n)
{
    if (n > 0)
        return (int)n;
    if (result == DSMR_TLS_SOCKET_BLOCKED)
        BIO_set_retry_write(bio);
    return -1;
}

static bool gather(struct way *way, const char *bytes, size_t len)
{
    if (way->gathered == NULL || way->rest != NULL ||
        len > DSMR_TLS_SOCKET_GATHER_BYTES - way->gathered_len)
        return false;
    memcpy(way->gathered + way->gathered_len, bytes, len);
    way->gathered_len += len;
    return true;
}

/* What is not taken comes again: nothing of it may have been kept then. */
static int on_write(BIO *bio, const char *bytes, int len)
{
    struct way *way = BIO_get_data(bio);
    size_t n = 0;
    BIO_clear_retry_flags(bio);
    if (len <= 0 || gather(way, bytes, (size_t)len))
        return len;
    enum dsmr_tls_socket_result result = send_waiting(way);
    if (result == DSMR_TLS_SOCKET_DONE && gather(way, bytes, (size_t)len))
        return len;
    if (result == DSMR_TLS_SOCKET_DONE)
        result = send_all(way->fd, (const uint8_t *)bytes, (size_t)len, &n);
    return result_of(bio, result, n);
}

static int on_read(BIO *bio, char *bytes, int len)
{
    const struct way *way = BIO_get_data(bio);
    ssize_t n;
    BIO_clear_retry_flags(bio);
    do
        n = recv(way->fd, bytes, len > 0 ? (size_t)len : 0, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && is_blocked())
        BIO_set_retry_read(bio);
    return (int)n;
}

/* A flush of the session's own, in a handshake: nothing is gathered there. */
static long on_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int on_destroy(BIO *bio)
{
    struct way *way = BIO_get_data(bio);
    free(way->rest);
    free(way);
    return 1;
}

static BIO_METHOD *make_method(void)
{
    BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "dsmr");
    if (made == NULL)
        return NULL;
    if (BIO_meth_set_write(made, on_write) == 1 && BIO_meth_set_read(made, on_read) == 1 &&
        BIO_meth_set_ctrl(made, on_ctrl) == 1 && BIO_meth_set_destroy(made, on_destroy) == 1)
        return made;
    BIO_meth_free(made);
    return NULL;
}

/* One for the process, for ever. NULL if out of memory: the next call tries again. */
static const BIO_METHOD *the_method(void)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static BIO_METHOD *method;
    pthread_mutex_lock(&mutex);
    if (method == NULL)
        method = make_method();
    const BIO_METHOD *found = method;
    pthread_mutex_unlock(&mutex);
    return found;
}

BIO *dsmr_tls_socket_new(int fd)
{
    const BIO_METHOD *method = the_method();
    struct way *way = method != NULL ? calloc(1, sizeof(*way)) : NULL;
    BIO *bio = way != NULL ? BIO_new(method) : NULL;
    if (bio == NULL) {
        free(way);
        return NULL;
    }
    way->fd = fd;
    BIO_set_data(bio, way);
    BIO_set_init(bio, 1);
    return bio;
}

void dsmr_tls_socket_gather(BIO *bio, uint8_t *bytes)
{
    struct way *way = BIO_get_data(bio);
    way->gathered = bytes;
}

enum dsmr_tls_socket_result dsmr_tls_socket_flush(BIO *bio)
{
    struct way *way = BIO_get_data(bio);
    enum dsmr_tls_socket_result result = send_waiting(way);
    way->gathered = NULL; /* empty: while something is kept nothing is gathered */
    return result;
}
