/* bench_costs - the table of sim/sim_cpu.c, measured here.
 *
 * usage: bench_costs [validators [transactions a second [seconds]]]
 * default: 100, 20 000, 2. Prints nanoseconds of one core. BLS, hashing and sockets by the time of
 * the thread; the logic thread by the clock, in a simulated wide network (sim/sim_probe.h), without
 * what the machine did meanwhile. What the disk takes: `dsmr bench --calibrate`. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bitset.h"
#include "crypto/aggregate.h"
#include "crypto/bls.h"
#include "crypto/hash.h"
#include "sim/sim_probe.h"
#include "sim/sim_scale.h"
#include "wire/message.h"

#define MEASURE_NS 300000000.0
#define BATCH 64u
#define PAIRS 64u

static double thread_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t clock_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void check(bool is_right, const char *what)
{
    if (!is_right) {
        (void)fprintf(stderr, "bench_costs: %s\n", what);
        exit(1);
    }
}

/* Mean of work(ctx), in nanoseconds, after one run that warms up. */
static double measure(void (*work)(void *ctx), void *ctx)
{
    work(ctx);
    double begun = thread_ns(), took = 0;
    uint64_t runs = 0;
    for (; took < MEASURE_NS; runs++, took = thread_ns() - begun) {
        work(ctx);
    }
    return took / (double)runs;
}

static void row(const char *name, double ns)
{
    printf("  %-16s %12.1f\n", name, ns);
}

/* ---- BLS ---- */

struct bls {
    struct dsmr_bls_secret_key key;
    struct dsmr_validator_set *set;
    struct dsmr_share *shares;
    size_t count; /* of shares, or of items */
    struct dsmr_bitset signers, item_signers[BATCH];
    struct dsmr_bls_sig sum, item_sums[BATCH];
    struct dsmr_bls_batch_item items[BATCH];
    uint8_t message[32];
};

static void sign(void *ctx)
{
    struct bls *b = ctx;
    struct dsmr_bls_sig sig;
    dsmr_bls_sign(&sig, &b->key, b->message, sizeof b->message);
}

static void verify(void *ctx)
{
    struct bls *b = ctx;
    dsmr_bls_forget_sigs(); /* a peer's is not known */
    check(dsmr_bls_verify(&b->set->validators[0].point, &b->shares[0].sig, b->message,
                          sizeof b->message) == DSMR_OK,
          "a signature does not verify");
}

static void aggregate(void *ctx)
{
    struct bls *b = ctx;
    struct dsmr_bitset bad;
    memset(&b->signers, 0, sizeof b->signers);
    dsmr_bls_forget_sigs();
    check(dsmr_aggregate_shares(&b->sum, &b->signers, &bad, b->set, b->shares, b->count, b->message,
                                sizeof b->message) == DSMR_OK,
          "shares do not aggregate");
}

static void verify_batch(void *ctx)
{
    struct bls *b = ctx;
    uint8_t random[8 * BATCH];
    for (size_t i = 0; i < sizeof random; i++) {
        random[i] = (uint8_t)(i * 7 + 1);
    }
    dsmr_bls_forget_sigs();
    check(dsmr_bls_verify_batch(b->items, b->count, random) == DSMR_OK, "a batch does not verify");
}

/* Items whose signers are as many neighbours each, from another place on. */
static void make_items(struct bls *b, uint32_t signers)
{
    struct dsmr_bls_sig *sigs = calloc(signers, sizeof *sigs);
    check(sigs != NULL, "out of memory");
    for (uint32_t i = 0; i < BATCH; i++) {
        size_t bad;
        memset(&b->item_signers[i], 0, sizeof b->item_signers[i]);
        for (uint32_t k = 0; k < signers; k++) {
            uint32_t at = (i + k) % b->set->count;
            dsmr_bitset_add(&b->item_signers[i], at);
            sigs[k] = b->shares[at].sig;
        }
        check(dsmr_bls_aggregate(&b->item_sums[i], &bad, sigs, signers) == DSMR_OK,
              "signatures do not add up");
        b->items[i] = (struct dsmr_bls_batch_item){.set = b->set,
                                                   .signers = &b->item_signers[i],
                                                   .sig = &b->item_sums[i],
                                                   .message = b->message,
                                                   .len = sizeof b->message};
    }
    free(sigs);
}

static void make_set(struct bls *b, uint32_t validators)
{
    b->set = calloc(1, sizeof *b->set + validators * sizeof b->set->validators[0]);
    b->shares = calloc(validators, sizeof *b->shares);
    check(b->set != NULL && b->shares != NULL, "out of memory");
    b->set->refs = 1;
    b->set->count = validators;
    b->set->total_weight = validators;
    for (uint32_t i = 0; i < validators; i++) {
        struct dsmr_bls_public_key key;
        uint8_t entropy[32] = {(uint8_t)i, (uint8_t)(i >> 8), 1};
        dsmr_bls_keygen(&b->key, entropy);
        dsmr_bls_public_key(&key, &b->key);
        check(dsmr_bls_key_decode(&b->set->validators[i].public_key, &b->set->validators[i].point,
                                  &key) == DSMR_OK,
              "a key does not decode");
        b->set->validators[i].weight = 1;
        b->shares[i].signer = i;
        dsmr_bls_sign(&b->shares[i].sig, &b->key, b->message, sizeof b->message);
    }
}

static void measure_bls(uint32_t validators)
{
    struct bls *b = calloc(1, sizeof *b);
    check(b != NULL, "out of memory");
    make_set(b, validators);
    uint32_t quorum = (uint32_t)dsmr_quorum_weight(validators);
    double verify_ns = measure(verify, b);
    b->count = 1;
    double one_share = measure(aggregate, b);
    make_items(b, 1);
    double one_key = measure(verify_batch, b);
    b->count = quorum;
    double many_shares = measure(aggregate, b);
    make_items(b, quorum);
    b->count = 1;
    double many_keys = measure(verify_batch, b);
    b->count = BATCH;
    double batch = measure(verify_batch, b) / BATCH;
    double key = (many_keys - one_key) / (quorum - 1);
    double each = (batch * BATCH - many_keys) / (BATCH - 1);
    row("bls_sign", measure(sign, b));
    row("bls_verify", verify_ns);
    row("bls_share", (many_shares - one_share) / (quorum - 1) - key);
    row("bls_key", key);
    row("bls_batch", many_keys - each);
    row("bls_batch_each", each - key * quorum);
    dsmr_validator_set_unref(b->set);
    free(b->shares);
    free(b);
}

/* ---- hashing ---- */

static void hash_many(void *ctx)
{
    struct dsmr_id id;
    for (uint32_t i = 0; i < 1024; i++) {
        dsmr_hash(&id, (uint8_t *)ctx + i * 512u, 512);
        *(uint8_t *)ctx ^= id.bytes[0];
    }
}

static void hash_long(void *ctx)
{
    struct dsmr_id id;
    dsmr_hash(&id, ctx, 1u << 20);
    *(uint8_t *)ctx ^= id.bytes[0];
}

static void measure_hash(void)
{
    uint8_t *bytes = calloc(1, 1u << 20);
    check(bytes != NULL, "out of memory");
    double byte = measure(hash_long, bytes) / (1u << 20);
    row("check_byte/1000", byte);
    row("check_tx", measure(hash_many, bytes) / 1024 - 512 * byte);
    free(bytes);
}

/* ---- short messages over many connections ---- */

struct fan {
    int epoll, ends[PAIRS][2];
    EVP_CIPHER_CTX *cipher;
};

static void seal(struct fan *fan, const uint8_t *in, uint8_t *out)
{
    uint8_t iv[12] = {1}, tag[16];
    int len = 0;
    (void)EVP_EncryptInit_ex(fan->cipher, NULL, NULL, NULL, iv);
    (void)EVP_EncryptUpdate(fan->cipher, out, &len, in, 200);
    (void)EVP_EncryptFinal_ex(fan->cipher, out + len, &len);
    (void)EVP_CIPHER_CTX_ctrl(fan->cipher, EVP_CTRL_AEAD_GET_TAG, sizeof tag, tag);
}

/* A record to each of PAIRS peers; each is waited for, read and deciphered. */
static void fan_out(void *ctx)
{
    struct fan *fan = ctx;
    uint8_t in[256] = {0}, out[256];
    for (uint32_t i = 0; i < PAIRS; i++) {
        seal(fan, in, out);
        check(send(fan->ends[i][0], out, 222, MSG_NOSIGNAL) == 222, "send");
    }
    for (uint32_t left = PAIRS; left > 0;) {
        struct epoll_event events[PAIRS];
        int count = epoll_wait(fan->epoll, events, PAIRS, 1000);
        check(count > 0, "epoll_wait");
        for (int i = 0; i < count; i++, left--) {
            check(recv(events[i].data.fd, in, sizeof in, 0) == 222, "recv");
            seal(fan, in, out);
        }
    }
}

static void connect_pair(struct fan *fan, int listener, uint32_t i)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int one = 1;
    check(getsockname(listener, (struct sockaddr *)&address, &len) == 0, "getsockname");
    fan->ends[i][0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(connect(fan->ends[i][0], (struct sockaddr *)&address, len) == 0, "connect");
    fan->ends[i][1] = accept(listener, NULL, NULL);
    check(fan->ends[i][1] >= 0, "accept");
    (void)setsockopt(fan->ends[i][0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fan->ends[i][1]};
    check(epoll_ctl(fan->epoll, EPOLL_CTL_ADD, fan->ends[i][1], &event) == 0, "epoll_ctl");
}

static void measure_sockets(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    uint8_t key[16] = {1}, iv[12] = {1};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct fan fan = {.epoll = epoll_create1(EPOLL_CLOEXEC), .cipher = EVP_CIPHER_CTX_new()};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(fan.cipher != NULL &&
              EVP_EncryptInit_ex(fan.cipher, EVP_aes_128_gcm(), NULL, key, iv) == 1,
          "AES");
    check(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
              listen(listener, PAIRS) == 0,
          "listen");
    for (uint32_t i = 0; i < PAIRS; i++) {
        connect_pair(&fan, listener, i);
    }
    row("net_message", measure(fan_out, &fan) / PAIRS / 2);
    for (uint32_t i = 0; i < PAIRS; i++) {
        close(fan.ends[i][0]);
        close(fan.ends[i][1]);
    }
    close(listener);
    close(fan.epoll);
    EVP_CIPHER_CTX_free(fan.cipher);
}

/* ---- the logic thread ---- */

static void print_kind(uint32_t kind, uint64_t all)
{
    uint64_t count = dsmr_sim_probe.kinds[kind].count, ns = dsmr_sim_probe.kinds[kind].ns;
    if (count > 0) {
        const char *name = kind == DSMR_SIM_PROBE_TASK   ? "logic_task"
                           : kind == DSMR_SIM_PROBE_TICK ? "logic_tick"
                                                         : dsmr_msg_name((uint8_t)kind);
        printf("  %-32s %10llu times %8.0f ns %5.1f%%\n", name, (unsigned long long)count,
               (double)ns / (double)count, 100.0 * (double)ns / (double)all);
    }
}

static void measure_logic(uint32_t validators, uint64_t rate, double seconds)
{
    struct dsmr_sim_scale_config config;
    struct dsmr_sim_scale_result result;
    uint64_t all = 0, messages = 0, count = 0;
    dsmr_sim_scale_default(&config);
    config.validators = validators;
    config.txs_per_s = rate;
    config.tx_weight = 1;
    config.warm_us = 1000000;
    config.measured_us = (uint64_t)(seconds * 1e6);
    dsmr_sim_probe.now_ns = clock_ns;
    dsmr_sim_scale_run(&config, &result);
    dsmr_sim_probe.now_ns = NULL;
    for (uint32_t kind = 0; kind < DSMR_SIM_PROBE_KINDS; kind++) {
        all += dsmr_sim_probe.kinds[kind].ns;
        if (kind < DSMR_SIM_PROBE_TASK) {
            messages += dsmr_sim_probe.kinds[kind].ns;
            count += dsmr_sim_probe.kinds[kind].count;
        }
    }
    printf("logic thread, %u validators, %llu tx/s: %.0f executed a second\n", validators,
           (unsigned long long)rate, result.report.executed_per_s);
    for (uint32_t kind = 0; kind < DSMR_SIM_PROBE_KINDS; kind++) {
        print_kind(kind, all);
    }
    row("logic_message", count == 0 ? 0 : (double)messages / (double)count);
    printf("  all: %.2f us a transaction and node\n",
           (double)all / 1000.0 / (result.report.executed_per_s * seconds) / validators);
}

int main(int argc, char **argv)
{
    uint32_t validators = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100;
    uint64_t rate = argc > 2 ? strtoull(argv[2], NULL, 10) : 20000;
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 2;
    check(validators >= 4 && validators <= 512 && rate > 0 && seconds >= 0.5,
          "usage: bench_costs [validators 4..512 [transactions a second [seconds]]]");
    printf("nanoseconds of one core, %u validators\n", validators);
    measure_bls(validators);
    measure_hash();
    measure_sockets();
    measure_logic(validators, rate, seconds);
    return 0;
}
