/* watch_fsync.c - linked into a dsmrd: in which order bytes come, are made durable, and go.
 *
 * Why:     the proof that a chunk is durable before its share leaves must not trust the program's
 *          own word: this stands between it and the libraries of TLS and C. The program is made of
 *          dsmrd's own archives; the linker (--wrap) leads their calls of TLS through here.
 * How:     every event takes a number from one counter: a read after it returned, a write before it
 *          is made, a sync before and after it. Frames (docs/transport.md) are put together per
 *          connection; of each the first bytes are kept. One line an event goes to DSMR_WATCH_LOG:
 *              R NUMBER HEX           share request: the chunk's header
 *              W NUMBER HEX           share: the chunk's id
 *              S NUMBER NUMBER PATH   sync of PATH: begun, ended
 * Modes:   DSMR_WATCH_SYNC=none leaves syncs out: what follows from the log must then fail.
 * Threads: any; one lock around the log and the table of connections. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ssl.h>

#define REQUEST 2u
#define SHARE 3u
#define HEADER_AT (1u + 96u + 4u) /* type, producer's signature, length of the chunk */
#define HEADER_BYTES 153u
#define ID_AT 1u
#define ID_BYTES 32u
#define KEPT (HEADER_AT + HEADER_BYTES)
#define CONNECTIONS 64u

struct direction {
    uint32_t length_bytes; /* of the length that is being read, 0 to 4 */
    uint32_t length;       /* of the frame */
    uint32_t at;           /* bytes of the frame so far */
    uint8_t kept[KEPT];
};

struct connection {
    const SSL *ssl;
    struct direction in, out;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct connection connections[CONNECTIONS];
static _Atomic uint64_t last_number;

static uint64_t next_number(void)
{
    return ++last_number;
}

/* The function of that name that this one hides. */
static void find(void *function, size_t size, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        abort();
    }
    memcpy(function, &found, size);
}

static void log_line(const char *text)
{
    static FILE *out;
    if (out == NULL) {
        const char *path = getenv("DSMR_WATCH_LOG");
        out = fopen(path != NULL ? path : "/dev/null", "we");
        if (out == NULL) {
            abort();
        }
        setvbuf(out, NULL, _IOLBF, 0);
    }
    fprintf(out, "%s\n", text);
}

static void log_bytes(char kind, uint64_t number, const uint8_t *bytes, size_t len)
{
    char text[32 + 2 * KEPT];
    size_t at = (size_t)snprintf(text, sizeof(text), "%c %llu ", kind, (unsigned long long)number);
    for (size_t i = 0; i < len; i++) {
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%02x", bytes[i]);
    }
    log_line(text);
}

/* ---- frames ---- */

static struct connection *connection_of(const SSL *ssl)
{
    struct connection *unused = NULL;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        if (connections[i].ssl == ssl) {
            return &connections[i];
        }
        if (connections[i].ssl == NULL && unused == NULL) {
            unused = &connections[i];
        }
    }
    if (unused == NULL) {
        abort(); /* more connections than any test makes */
    }
    memset(unused, 0, sizeof(*unused));
    unused->ssl = ssl;
    return unused;
}

static void on_frame(const struct direction *d, bool is_out, uint64_t number)
{
    if (!is_out && d->kept[0] == REQUEST && d->length >= KEPT) {
        log_bytes('R', number, d->kept + HEADER_AT, HEADER_BYTES);
    } else if (is_out && d->kept[0] == SHARE && d->length >= ID_AT + ID_BYTES) {
        log_bytes('W', number, d->kept + ID_AT, ID_BYTES);
    }
}

static void on_bytes(struct direction *d, const uint8_t *bytes, size_t len, bool is_out,
                     uint64_t number)
{
    size_t i = 0;
    while (i < len) {
        if (d->length_bytes < 4) {
            d->length = d->length << 8 | bytes[i++];
            d->length_bytes++;
            d->at = 0;
        } else {
            uint32_t n = d->length - d->at;
            n = n < len - i ? n : (uint32_t)(len - i);
            for (uint32_t k = 0; k < n && d->at + k < KEPT; k++) {
                d->kept[d->at + k] = bytes[i + k];
            }
            d->at += n;
            i += n;
        }
        if (d->length_bytes == 4 && d->at == d->length) {
            if (d->length > 0) {
                on_frame(d, is_out, number);
            }
            d->length_bytes = 0;
            d->length = 0;
        }
    }
}

int __real_SSL_read_ex(SSL *ssl, void *bytes, size_t len, size_t *n);
int __real_SSL_write_ex(SSL *ssl, const void *bytes, size_t len, size_t *n);
void __real_SSL_free(SSL *ssl);
int __wrap_SSL_read_ex(SSL *ssl, void *bytes, size_t len, size_t *n);
int __wrap_SSL_write_ex(SSL *ssl, const void *bytes, size_t len, size_t *n);
void __wrap_SSL_free(SSL *ssl);

int __wrap_SSL_read_ex(SSL *ssl, void *bytes, size_t len, size_t *n)
{
    int rc = __real_SSL_read_ex(ssl, bytes, len, n);
    if (rc == 1) {
        uint64_t number = next_number();
        pthread_mutex_lock(&lock);
        on_bytes(&connection_of(ssl)->in, bytes, *n, false, number);
        pthread_mutex_unlock(&lock);
    }
    return rc;
}

int __wrap_SSL_write_ex(SSL *ssl, const void *bytes, size_t len, size_t *n)
{
    uint64_t number = next_number();
    int rc = __real_SSL_write_ex(ssl, bytes, len, n);
    if (rc == 1) {
        pthread_mutex_lock(&lock);
        on_bytes(&connection_of(ssl)->out, bytes, *n, true, number);
        pthread_mutex_unlock(&lock);
    }
    return rc;
}

void __wrap_SSL_free(SSL *ssl)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        if (ssl != NULL && connections[i].ssl == ssl) {
            connections[i].ssl = NULL;
        }
    }
    pthread_mutex_unlock(&lock);
    __real_SSL_free(ssl);
}

/* ---- syncs ---- */

static int sync_file(const char *name, int fd)
{
    int (*real)(int);
    char link[64], path[512], text[640];
    const char *mode = getenv("DSMR_WATCH_SYNC");
    if (mode != NULL && strcmp(mode, "none") == 0) {
        return 0;
    }
    find(&real, sizeof(real), name);
    uint64_t begun = next_number();
    int rc = real(fd);
    uint64_t ended = next_number();
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof(path) - 1);
    path[len > 0 ? len : 0] = '\0';
    if (rc == 0) {
        snprintf(text, sizeof(text), "S %llu %llu %s", (unsigned long long)begun,
                 (unsigned long long)ended, path);
        pthread_mutex_lock(&lock);
        log_line(text);
        pthread_mutex_unlock(&lock);
    }
    return rc;
}

int fdatasync(int fd)
{
    return sync_file("fdatasync", fd);
}

int fsync(int fd)
{
    return sync_file("fsync", fd);
}
