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
#include "crypto/hash_lanes.h"
#include "host/os_random.h"
#include "host/workers.h"

#define TX_BYTES 512u
#define TRANSFER_BYTES 206.0
#define BATCH_ED 256u
#define BATCH_BLS 64u
#define NODES 4.0
#define REST_US 0.5 /* framing, index, duplicates: 6 of the design's notes on the limit */
#define MEASURE_US 150000.0
#define DISK_ROUNDS 5u /* between the other measurements */
#define DISK_MIB_US 50000.0
#define DISK_256_US 20000.0
#define DISK_ROUND_MAX 100u /* appends of one size */
#define MIB (1u << 20)
#define TCP_BYTES (256u << 20)
#define TCP_STEP (256u << 10)

struct spread {
    double median_us, min_us, max_us;
};

struct primitives {
    double sha256_tx_us;      /* one after the other */
    double sha256_many_tx_us; /* as many at once as the machine can */
    double aes_byte_ns;
    double tcp_byte_ns; /* both ends */
    struct spread append_mib, append_256;
    double bls_sign_us, bls_verify_us, bls_batch_us;
    double ed25519_sign_us, ed25519_batch_us;
};

static double now_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Mean processor time of work(ctx) over at least MEASURE_US, after one run that warms up. */
static double measure(void (*work)(void *ctx), void *ctx)
{
    work(ctx);
    uint64_t runs = 0;
    double begin = now_us(CLOCK_THREAD_CPUTIME_ID);
    double took = 0;
    while (took < MEASURE_US) {
        work(ctx);
        runs++;
        took = now_us(CLOCK_THREAD_CPUTIME_ID) - begin;
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

/* What the nodes do with a chunk (src/crypto/hash_lanes.h). */
static void hash_many_txs(void *ctx)
{
    uint8_t *bytes = ctx;
    struct dsmr_id ids[256];
    struct dsmr_hash_message messages[256];
    for (uint32_t i = 0; i < 256; i++) {
        messages[i] = (struct dsmr_hash_message){.bytes = bytes + i * TX_BYTES, .len = TX_BYTES};
    }
    dsmr_hash_many(ids, messages, 256);
    for (uint32_t i = 0; i < 256; i++) {
        bytes[i * TX_BYTES] ^= ids[i].bytes[0];
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
    dsmr_bls_forget_sigs(); /* a peer's is not known */
    b->is_good = dsmr_bls_verify(&b->set->validators[0].point, &b->sigs[0], b->messages[0],
                                 sizeof(b->messages[0])) == DSMR_OK &&
                 b->is_good;
}

static void bls_batch(void *ctx)
{
    struct bls *b = ctx;
    uint8_t random[8 * BATCH_BLS];
    dsmr_os_random(random, sizeof(random));
    dsmr_bls_forget_sigs();
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

/* A disk is now quick, now slow, for a second at a time: samples are taken in rounds over all of
 * the calibration, and the median counts. */
struct samples {
    double us[DISK_ROUNDS * DISK_ROUND_MAX];
    size_t count;
};

struct disk {
    int fd; /* of a file that has no name any more */
    bool is_good;
    uint8_t bytes[MIB];
    struct samples mib, small;
};

static struct disk *disk_open(const char *folder)
{
    char path[4096];
    struct disk *disk = calloc(1, sizeof(*disk));
    if (disk == NULL) {
        return NULL;
    }
    (void)snprintf(path, sizeof(path), "%s/dsmr-calibrate-XXXXXX", folder);
    disk->fd = mkstemp(path);
    if (disk->fd < 0) {
        free(disk);
        return NULL;
    }
    (void)unlink(path);
    memset(disk->bytes, 0x5a, sizeof(disk->bytes));
    disk->is_good = true;
    return disk;
}

static void disk_close(struct disk *disk)
{
    close(disk->fd);
    free(disk);
}

static void append(struct disk *disk, struct samples *samples, size_t len, double at_least_us)
{
    double begin = now_us(CLOCK_MONOTONIC), now = begin;
    for (uint32_t i = 0; i < DISK_ROUND_MAX && now - begin < at_least_us && disk->is_good; i++) {
        double before = now;
        disk->is_good =
            write(disk->fd, disk->bytes, len) == (ssize_t)len && fdatasync(disk->fd) == 0;
        now = now_us(CLOCK_MONOTONIC);
        samples->us[samples->count++] = now - before;
    }
}

static void disk_round(struct disk *disk)
{
    append(disk, &disk->mib, MIB, DISK_MIB_US);
    append(disk, &disk->small, 256, DISK_256_US);
}

static int compare_us(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static struct spread spread_of(struct samples *samples)
{
    qsort(samples->us, samples->count, sizeof(samples->us[0]), compare_us);
    return (struct spread){.median_us = samples->us[samples->count / 2],
                           .min_us = samples->us[0],
                           .max_us = samples->us[samples->count - 1]};
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
        for (uint64_t sent = 0;
             sent < TCP_BYTES && ok;) { /* a part, if we were stopped meanwhile */
            ssize_t len = send(pair[0], bytes, TCP_STEP, MSG_NOSIGNAL);
            ok = len > 0;
            sent += ok ? (uint64_t)len : 0;
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

/* Processor time of all four nodes and the client for a transaction; for writing, what the disk
 * takes. */
struct limit {
    double hash_us, tcp_us, tls_us, disk_us; /* opaque */
    double opaque_us, transfer_us;
    uint32_t cores;
};

/* Hashed once on each node; client and three copies over TCP; three copies encrypted and decrypted;
 * written on each node; the rest. For transfers a signature check on each node as well. */
static struct limit limit_of(const struct primitives *p)
{
    double hash = p->sha256_many_tx_us < p->sha256_tx_us ? p->sha256_many_tx_us : p->sha256_tx_us;
    struct limit limit = {.hash_us = NODES * hash,
                          .tcp_us = NODES * TX_BYTES * p->tcp_byte_ns / 1000.0,
                          .tls_us = 2.0 * (NODES - 1.0) * TX_BYTES * p->aes_byte_ns / 1000.0,
                          .disk_us = NODES * TX_BYTES * p->append_mib.median_us / MIB,
                          .cores = dsmr_workers_processors()};
    limit.opaque_us = limit.hash_us + limit.tcp_us + limit.tls_us + limit.disk_us + REST_US;
    limit.transfer_us = limit.opaque_us * TRANSFER_BYTES / TX_BYTES + NODES * p->ed25519_batch_us;
    return limit;
}

static double tx_per_s(const struct limit *limit, double us)
{
    return limit->cores * 1e6 / us;
}

static void print_json(const struct primitives *p, const struct limit *limit)
{
    printf("{\"event\":\"calibration\",\"sha256_512_us\":%.3f,\"sha256_512_many_us\":%.3f,"
           "\"aes_128_gcm_ns_per_byte\":%.3f,\"tcp_loopback_ns_per_byte\":%.3f,"
           "\"append_sync_1mib_us\":%.1f,\"append_sync_1mib_min_us\":%.1f,"
           "\"append_sync_1mib_max_us\":%.1f,\"append_sync_256_us\":%.1f,"
           "\"append_sync_256_min_us\":%.1f,\"append_sync_256_max_us\":%.1f,",
           p->sha256_tx_us, p->sha256_many_tx_us, p->aes_byte_ns, p->tcp_byte_ns,
           p->append_mib.median_us, p->append_mib.min_us, p->append_mib.max_us,
           p->append_256.median_us, p->append_256.min_us, p->append_256.max_us);
    printf("\"bls_sign_us\":%.1f,\"bls_verify_us\":%.1f,\"bls_batch_64_us\":%.1f,"
           "\"ed25519_sign_us\":%.2f,\"ed25519_batch_256_us\":%.2f,\"cores\":%u,",
           p->bls_sign_us, p->bls_verify_us, p->bls_batch_us, p->ed25519_sign_us,
           p->ed25519_batch_us, limit->cores);
    printf("\"limit_opaque_parts_us\":{\"hash\":%.2f,\"tcp\":%.2f,\"tls\":%.2f,\"disk\":%.2f,"
           "\"rest\":%.2f},\"limit_opaque_us_per_tx\":%.2f,\"limit_opaque_tx_per_s\":%.0f,"
           "\"limit_transfers_us_per_tx\":%.2f,\"limit_transfers_tx_per_s\":%.0f}\n",
           limit->hash_us, limit->tcp_us, limit->tls_us, limit->disk_us, REST_US, limit->opaque_us,
           tx_per_s(limit, limit->opaque_us), limit->transfer_us,
           tx_per_s(limit, limit->transfer_us));
}

static void print_append(const char *size, const struct spread *append)
{
    printf("  append and fdatasync of %-5s   %8.0f us  (median; %.0f to %.0f)\n", size,
           append->median_us, append->min_us, append->max_us);
}

static void print_primitives(const struct primitives *p)
{
    printf("primitives of this machine, one core each\n");
    printf("  SHA-256 of 512 bytes            %8.2f us  (%.2f GB/s)\n", p->sha256_tx_us,
           TX_BYTES / p->sha256_tx_us / 1000.0);
    printf("    many at once, each            %8.2f us  (%s)\n", p->sha256_many_tx_us,
           dsmr_hash_lanes_exist() ? "sixteen, AVX-512" : "no AVX-512: as above");
    printf("  AES-128-GCM                     %8.2f ns a byte\n", p->aes_byte_ns);
    printf("  TCP over loopback, both ends    %8.2f ns a byte\n", p->tcp_byte_ns);
    print_append("1 MiB", &p->append_mib);
    print_append("256 B", &p->append_256);
    printf("  BLS sign                        %8.0f us\n", p->bls_sign_us);
    printf("  BLS verify                      %8.0f us\n", p->bls_verify_us);
    printf("  BLS batch of 64, each           %8.0f us\n", p->bls_batch_us);
    printf("  Ed25519 sign                    %8.1f us\n", p->ed25519_sign_us);
    printf("  Ed25519 batch of 256, each      %8.1f us\n", p->ed25519_batch_us);
}

static void print_limit(const struct primitives *p, const struct limit *limit)
{
    printf("implied limit for 4 validators and their load on %u cores\n", limit->cores);
    printf("  opaque, 512 bytes   %8.2f us a transaction: %.0f tx/s\n", limit->opaque_us,
           tx_per_s(limit, limit->opaque_us));
    printf("    hashed by each node           %8.2f us\n", limit->hash_us);
    printf("    client and three copies, TCP  %8.2f us\n", limit->tcp_us);
    printf("    three copies, AES both ends   %8.2f us\n", limit->tls_us);
    printf("    durable on each node          %8.2f us  (time of the disk)\n", limit->disk_us);
    printf("    the rest, put down            %8.2f us\n", REST_US);
    printf("  signed transfers    %8.2f us a transaction: %.0f tx/s\n", limit->transfer_us,
           tx_per_s(limit, limit->transfer_us));
    printf("    Ed25519 on each node, batches %8.2f us\n", NODES * p->ed25519_batch_us);
    printf("    %3.0f bytes as above           %8.2f us\n", TRANSFER_BYTES,
           limit->opaque_us * TRANSFER_BYTES / TX_BYTES);
}

/* ---- all of it ---- */

/* A round of the disk before and after each. An exit code; *what: a sentence if it is not OK. */
static int measure_all(struct primitives *p, const char **what, struct disk *disk, uint8_t *bytes)
{
    disk_round(disk);
    p->sha256_tx_us = measure(hash_txs, bytes) / 256.0;
    p->sha256_many_tx_us = measure(hash_many_txs, bytes) / 256.0;
    p->aes_byte_ns = measure(encrypt, bytes) * 1000.0 / (128u << 10);
    disk_round(disk);
    *what = "a signature did not verify";
    if (!measure_bls(p)) {
        return DSMR_EXIT_INTERNAL;
    }
    disk_round(disk);
    if (!measure_ed25519(p)) {
        return DSMR_EXIT_INTERNAL;
    }
    disk_round(disk);
    *what = "no TCP over loopback";
    if (!measure_tcp(p)) {
        return DSMR_EXIT_UNAVAILABLE;
    }
    disk_round(disk);
    *what = "a file cannot be written";
    if (!disk->is_good) {
        return DSMR_EXIT_IO;
    }
    p->append_mib = spread_of(&disk->mib);
    p->append_256 = spread_of(&disk->small);
    return DSMR_EXIT_OK;
}

int dsmr_cli_calibrate_run(const struct dsmr_cli_values *values)
{
    struct primitives p = {0};
    const char *what = "";
    const char *folder = dsmr_cli_text(values, "dir");
    folder = folder != NULL ? folder : getenv("TMPDIR");
    folder = folder != NULL && *folder != '\0' ? folder : "/tmp";
    struct disk *disk = disk_open(folder);
    uint8_t *bytes = calloc(256, TX_BYTES);
    int code = DSMR_EXIT_IO;
    if (disk == NULL) {
        code = dsmr_cli_fail(values, code, "%s: cannot be written", folder);
    } else if (bytes == NULL) {
        code = dsmr_cli_fail(values, DSMR_EXIT_INTERNAL, "out of memory");
    } else {
        code = measure_all(&p, &what, disk, bytes);
        if (code != DSMR_EXIT_OK) {
            code = dsmr_cli_fail(values, code, "calibration in %s: %s", folder, what);
        }
    }
    if (disk != NULL) {
        disk_close(disk);
    }
    free(bytes);
    if (code != DSMR_EXIT_OK) {
        return code;
    }
    const struct limit limit = limit_of(&p);
    if (dsmr_cli_flag(values, "json")) {
        print_json(&p, &limit);
    } else {
        print_primitives(&p);
        print_limit(&p, &limit);
    }
    return DSMR_EXIT_OK;
}
