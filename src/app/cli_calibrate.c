#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "app/cli_verbs.h"
#include "app/exit_codes.h"
#include "base/bitset.h"
#include "crypto/bls.h"
#include "crypto/ed25519.h"
#include "crypto/hash.h"
#include "host/os_random.h"
#include "host/workers.h"

#define TX_BYTES 512u
#define BATCH_ED 256u
#define BATCH_BLS 64u
#define NODES 4.0
#define REST_US 0.5 /* framing, index, duplicates: 6 of the design's notes on the limit */
#define MEASURE_US 150000.0
#define TCP_BYTES (256u << 20)
#define TCP_STEP (256u << 10)

/* Microseconds each; negative: could not be measured. */
struct primitives {
    double sha256_tx_us;
    double aes_byte_ns;
    double tcp_byte_ns; /* both ends */
    double append_mib_us, append_256_us;
    double bls_sign_us, bls_verify_us, bls_batch_us;
    double ed25519_sign_us, ed25519_batch_us;
};

static double now_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Mean time of work(ctx) over at least MEASURE_US, after one run that warms up. */
static double measure(void (*work)(void *ctx), void *ctx)
{
    work(ctx);
    uint64_t runs = 0;
    double begin = now_us(CLOCK_MONOTONIC);
    double took = 0;
    while (took < MEASURE_US) {
        work(ctx);
        runs++;
        took = now_us(CLOCK_MONOTONIC) - begin;
    }
    return took / (double)runs;
}

/* ---- hashing and encryption ---- */

static void hash_txs(void *ctx)
{
    uint8_t *bytes = ctx;
    struct dsmr_id id;
    for (uint32_t i = 0; i < 256; i++) {
        dsmr_hash(&id, bytes + i * TX_BYTES, TX_BYTES);
        bytes[i * TX_BYTES] ^= id.bytes[0];
    }
}

static void encrypt(void *ctx)
{
    static const uint8_t key[16];
    static const uint8_t nonce[12];
    static uint8_t out[(128u << 10) + 16];
    int len = 0;
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    if (cipher != NULL && EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), NULL, key, nonce) == 1) {
        (void)EVP_EncryptUpdate(cipher, out, &len, ctx, 128 << 10);
    }
    EVP_CIPHER_CTX_free(cipher);
}

/* ---- signatures ---- */

struct bls {
    struct dsmr_bls_secret_key key;
    struct dsmr_bls_sig sig;
    struct dsmr_bls_sig sigs[BATCH_BLS];
    uint8_t messages[BATCH_BLS][32];
    struct dsmr_validator_set *set; /* all with one key */
    struct dsmr_bitset signers[BATCH_BLS];
    struct dsmr_bls_batch_item items[BATCH_BLS];
    bool is_good;
};

static void bls_sign(void *ctx)
{
    struct bls *b = ctx;
    dsmr_bls_sign(&b->sig, &b->key, b->messages[0], sizeof(b->messages[0]));
}

static void bls_verify(void *ctx)
{
    struct bls *b = ctx;
    b->is_good = dsmr_bls_verify(&b->set->validators[0].point, &b->sigs[0], b->messages[0],
                                 sizeof(b->messages[0])) == DSMR_OK &&
                 b->is_good;
}

static void bls_batch(void *ctx)
{
    struct bls *b = ctx;
    uint8_t random[8 * BATCH_BLS];
    dsmr_os_random(random, sizeof(random));
    b->is_good = dsmr_bls_verify_batch(b->items, BATCH_BLS, random) == DSMR_OK && b->is_good;
}

static bool measure_bls(struct primitives *out)
{
    struct dsmr_bls_public_key key;
    uint8_t entropy[32];
    struct bls *b = calloc(1, sizeof(*b));
    if (b == NULL) {
        return false;
    }
    b->set = calloc(1, sizeof(*b->set) + BATCH_BLS * sizeof(b->set->validators[0]));
    bool ok = b->set != NULL;
    if (ok) {
        dsmr_os_random(entropy, sizeof(entropy));
        dsmr_bls_keygen(&b->key, entropy);
        dsmr_bls_public_key(&key, &b->key);
        b->set->refs = 1;
        b->set->count = BATCH_BLS;
        ok = dsmr_bls_key_decode(&b->set->validators[0].public_key, &b->set->validators[0].point,
                                 &key) == DSMR_OK;
        b->is_good = true;
        for (uint32_t i = 0; i < BATCH_BLS; i++) { /* of other signers each: nothing is shared */
            b->set->validators[i] = b->set->validators[0];
            dsmr_bitset_add(&b->signers[i], i);
            dsmr_os_random(b->messages[i], sizeof(b->messages[i]));
            dsmr_bls_sign(&b->sigs[i], &b->key, b->messages[i], sizeof(b->messages[i]));
            b->items[i] = (struct dsmr_bls_batch_item){.set = b->set,
                                                       .signers = &b->signers[i],
                                                       .sig = &b->sigs[i],
                                                       .message = b->messages[i],
                                                       .len = sizeof(b->messages[i])};
        }
    }
    if (ok) {
        out->bls_sign_us = measure(bls_sign, b);
        out->bls_verify_us = measure(bls_verify, b);
        out->bls_batch_us = measure(bls_batch, b) / BATCH_BLS;
        ok = b->is_good;
    }
    dsmr_bls_wipe(&b->key);
    dsmr_validator_set_unref(b->set);
    free(b);
    return ok;
}

struct ed {
    struct dsmr_ed25519_secret_key secret;
    struct dsmr_ed25519_public_key keys[BATCH_ED];
    struct dsmr_ed25519_sig sigs[BATCH_ED];
    uint8_t bytes[BATCH_ED][190];
    const uint8_t *messages[BATCH_ED];
    size_t lens[BATCH_ED];
    bool is_good;
};

static void ed_sign(void *ctx)
{
    struct ed *e = ctx;
    dsmr_ed25519_sign(&e->sigs[0], &e->secret, e->bytes[0], sizeof(e->bytes[0]));
}

static void ed_batch(void *ctx)
{
    struct ed *e = ctx;
    e->is_good =
        dsmr_ed25519_verify_batch(e->keys, e->sigs, e->messages, e->lens, BATCH_ED) == DSMR_OK &&
        e->is_good;
}

static bool measure_ed25519(struct primitives *out)
{
    struct ed *e = calloc(1, sizeof(*e));
    if (e == NULL) {
        return false;
    }
    e->is_good = true;
    for (uint32_t i = BATCH_ED; i-- > 0;) { /* the last secret is that of entry 0 */
        dsmr_os_random(e->secret.bytes, sizeof(e->secret.bytes));
        dsmr_os_random(e->bytes[i], sizeof(e->bytes[i]));
        dsmr_ed25519_public(&e->keys[i], &e->secret);
        dsmr_ed25519_sign(&e->sigs[i], &e->secret, e->bytes[i], sizeof(e->bytes[i]));
        e->messages[i] = e->bytes[i];
        e->lens[i] = sizeof(e->bytes[i]);
    }
    out->ed25519_sign_us = measure(ed_sign, e);
    out->ed25519_batch_us = measure(ed_batch, e) / BATCH_ED;
    bool ok = e->is_good;
    free(e);
    return ok;
}

/* ---- disk ---- */

struct append {
    int fd;
    size_t len;
    const uint8_t *bytes;
    bool is_good;
};

static void append_sync(void *ctx)
{
    struct append *a = ctx;
    a->is_good =
        write(a->fd, a->bytes, a->len) == (ssize_t)a->len && fdatasync(a->fd) == 0 && a->is_good;
}

static bool measure_disk(struct primitives *out, const char *folder)
{
    char path[4096];
    uint8_t *bytes = malloc(1u << 20);
    (void)snprintf(path, sizeof(path), "%s/dsmr-calibrate-XXXXXX", folder);
    struct append a = {.fd = bytes != NULL ? mkstemp(path) : -1, .bytes = bytes, .is_good = true};
    if (a.fd < 0) {
        free(bytes);
        return false;
    }
    (void)unlink(path);
    memset(bytes, 0x5a, 1u << 20);
    a.len = 1u << 20;
    out->append_mib_us = measure(append_sync, &a);
    a.len = 256;
    out->append_256_us = measure(append_sync, &a);
    close(a.fd);
    free(bytes);
    return a.is_good;
}

/* ---- loopback ---- */

static void *drain(void *ctx)
{
    const int *fd = ctx;
    uint8_t *bytes = malloc(TCP_STEP);
    while (bytes != NULL && recv(*fd, bytes, TCP_STEP, 0) > 0) {
    }
    free(bytes);
    return NULL;
}

/* A connected pair of TCP sockets over loopback. */
static bool connect_pair(int pair[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pair[0] = pair[1] = -1;
    if (listener >= 0 && bind(listener, (struct sockaddr *)&address, len) == 0 &&
        listen(listener, 1) == 0 && getsockname(listener, (struct sockaddr *)&address, &len) == 0) {
        pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (pair[0] >= 0 && connect(pair[0], (struct sockaddr *)&address, len) == 0) {
            pair[1] = accept(listener, NULL, NULL);
        }
    }
    if (listener >= 0) {
        close(listener);
    }
    return pair[1] >= 0;
}

static bool measure_tcp(struct primitives *out)
{
    int pair[2];
    pthread_t thread;
    uint8_t *bytes = calloc(1, TCP_STEP);
    bool ok = connect_pair(pair) && bytes != NULL;
    if (ok && pthread_create(&thread, NULL, drain, &pair[1]) == 0) {
        double begin = now_us(CLOCK_PROCESS_CPUTIME_ID);
        for (uint32_t sent = 0; sent < TCP_BYTES && ok; sent += TCP_STEP) {
            ok = send(pair[0], bytes, TCP_STEP, MSG_NOSIGNAL) == (ssize_t)TCP_STEP;
        }
        (void)shutdown(pair[0], SHUT_WR);
        pthread_join(thread, NULL);
        out->tcp_byte_ns = (now_us(CLOCK_PROCESS_CPUTIME_ID) - begin) * 1000.0 / TCP_BYTES;
    }
    for (int i = 0; i < 2; i++) {
        if (pair[i] >= 0) {
            close(pair[i]);
        }
    }
    free(bytes);
    return ok;
}

/* ---- the limit ---- */

struct limit {
    double opaque_us, transfer_us; /* CPU of all four nodes and the client, a transaction */
    uint32_t cores;
};

/* Hash once on each node; client and three copies over TCP; three copies encrypted and decrypted;
 * written on each node; the rest. For transfers a signature check on each node as well. */
static struct limit limit_of(const struct primitives *p)
{
    double hash = NODES * p->sha256_tx_us;
    double tcp = NODES * TX_BYTES * p->tcp_byte_ns / 1000.0;
    double tls = 2.0 * (NODES - 1.0) * TX_BYTES * p->aes_byte_ns / 1000.0;
    double disk = NODES * TX_BYTES * p->append_mib_us / (double)(1u << 20);
    struct limit limit = {.opaque_us = hash + tcp + tls + disk + REST_US,
                          .cores = dsmr_workers_processors()};
    limit.transfer_us = limit.opaque_us * 206.0 / TX_BYTES + NODES * p->ed25519_batch_us;
    return limit;
}

static void print(const struct dsmr_cli_values *values, const struct primitives *p)
{
    const struct limit limit = limit_of(p);
    double opaque = limit.cores * 1e6 / limit.opaque_us;
    double transfers = limit.cores * 1e6 / limit.transfer_us;
    if (dsmr_cli_flag(values, "json")) {
        printf("{\"event\":\"calibration\",\"sha256_512_us\":%.3f,\"aes_128_gcm_ns_per_byte\":%.3f,"
               "\"tcp_loopback_ns_per_byte\":%.3f,\"append_sync_1mib_us\":%.1f,"
               "\"append_sync_256_us\":%.1f,\"bls_sign_us\":%.1f,\"bls_verify_us\":%.1f,"
               "\"bls_batch_64_us\":%.1f,\"ed25519_sign_us\":%.2f,\"ed25519_batch_256_us\":%.2f,"
               "\"cores\":%u,\"limit_opaque_us_per_tx\":%.2f,\"limit_opaque_tx_per_s\":%.0f,"
               "\"limit_transfers_us_per_tx\":%.2f,\"limit_transfers_tx_per_s\":%.0f}\n",
               p->sha256_tx_us, p->aes_byte_ns, p->tcp_byte_ns, p->append_mib_us, p->append_256_us,
               p->bls_sign_us, p->bls_verify_us, p->bls_batch_us, p->ed25519_sign_us,
               p->ed25519_batch_us, limit.cores, limit.opaque_us, opaque, limit.transfer_us,
               transfers);
        return;
    }
    printf("primitives of this machine, one core each\n");
    printf("  SHA-256 of 512 bytes            %8.2f us  (%.2f GB/s)\n", p->sha256_tx_us,
           TX_BYTES / p->sha256_tx_us / 1000.0);
    printf("  AES-128-GCM                     %8.2f ns a byte\n", p->aes_byte_ns);
    printf("  TCP over loopback, both ends    %8.2f ns a byte\n", p->tcp_byte_ns);
    printf("  append and fdatasync of 1 MiB   %8.0f us\n", p->append_mib_us);
    printf("  append and fdatasync of 256 B   %8.0f us\n", p->append_256_us);
    printf("  BLS sign                        %8.0f us\n", p->bls_sign_us);
    printf("  BLS verify                      %8.0f us\n", p->bls_verify_us);
    printf("  BLS batch of 64, each           %8.0f us\n", p->bls_batch_us);
    printf("  Ed25519 sign                    %8.1f us\n", p->ed25519_sign_us);
    printf("  Ed25519 batch of 256, each      %8.1f us\n", p->ed25519_batch_us);
    printf("implied limit for 4 validators and their load on %u cores\n", limit.cores);
    printf("  opaque, 512 bytes   %6.1f us a transaction: %.0f tx/s\n", limit.opaque_us, opaque);
    printf("  signed transfers    %6.1f us a transaction: %.0f tx/s\n", limit.transfer_us,
           transfers);
}

int dsmr_cli_calibrate_run(const struct dsmr_cli_values *values)
{
    struct primitives p;
    const char *folder = getenv("TMPDIR");
    uint8_t *bytes = calloc(256, TX_BYTES);
    memset(&p, 0, sizeof(p));
    if (bytes == NULL) {
        return dsmr_cli_fail(values, DSMR_EXIT_INTERNAL, "out of memory");
    }
    if (dsmr_cli_text(values, "dir") != NULL) {
        folder = dsmr_cli_text(values, "dir");
    }
    p.sha256_tx_us = measure(hash_txs, bytes) / 256.0;
    p.aes_byte_ns = measure(encrypt, bytes) * 1000.0 / (128u << 10);
    free(bytes);
    if (!measure_bls(&p) || !measure_ed25519(&p)) {
        return dsmr_cli_fail(values, DSMR_EXIT_INTERNAL, "a signature did not verify");
    }
    if (!measure_disk(&p, folder != NULL && *folder != '\0' ? folder : "/tmp")) {
        return dsmr_cli_fail(values, DSMR_EXIT_IO, "%s: cannot be written",
                             folder != NULL && *folder != '\0' ? folder : "/tmp");
    }
    if (!measure_tcp(&p)) {
        return dsmr_cli_fail(values, DSMR_EXIT_UNAVAILABLE, "no TCP over loopback");
    }
    print(values, &p);
    return DSMR_EXIT_OK;
}
