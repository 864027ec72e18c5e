/* bench_store - what durable writing costs here: bodies in files or in LMDB, groups, garbage.
 *
 * Usage: bench_store [DIRECTORY [start]]   (default: the current one; its disk is what is measured;
 * start: nothing but start-up)
 * Quote ratios of one run: absolute figures drift from machine to machine. */
#include <fcntl.h>
#include <lmdb.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/files.h"
#include "store/crc32c.h"
#include "store/lmdb_store.h"
#include "store/segments.h"

#define MIB (1u << 20)
#define SAMPLES_MAX 65536u

static uint8_t *noise; /* 16 MiB that do not compress */
static char directory[4096];

static double now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_store: %s failed\n", what);
    exit(1);
}

static const char *fresh(const char *name)
{
    static char path[4200];

    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    dsmr_files_remove_folder(path);
    if (mkdir(path, 0700) != 0) {
        die("mkdir");
    }
    return path;
}

/* ---- bodies: a file or a B-tree ---- */

struct cost {
    double ms;      /* one commit of one group */
    double drop_ms; /* to let all of it go, for each group */
};

/* The primitive: the same bytes appended to a plain file, and fdatasync. */
static double bare_ms(uint32_t len, uint32_t count, uint32_t rounds)
{
    char path[5000];
    (void)snprintf(path, sizeof path, "%s/file", fresh("bare"));
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    double start = now_ms();
    for (uint32_t r = 0; r < rounds; r++) {
        for (uint32_t i = 0; i < count; i++) {
            if (write(fd, noise + (r * 4096u) % MIB, len) != (ssize_t)len) {
                die("write");
            }
        }
        if (fdatasync(fd) != 0) {
            die("fdatasync");
        }
    }
    double ms = (now_ms() - start) / rounds;
    (void)close(fd);
    return ms;
}

/* rounds groups of count bodies of len bytes; a sync for each group. */
static struct cost segment_bodies(uint32_t len, uint32_t count, uint32_t rounds)
{
    struct dsmr_segments segments;
    struct dsmr_schema_place place;
    struct cost cost;
    double start;

    if (dsmr_segments_open(&segments, fresh("segments"), 64 * MIB) != DSMR_OK) {
        die("segments");
    }
    start = now_ms();
    for (uint32_t r = 0; r < rounds; r++) {
        for (uint32_t i = 0; i < count; i++) {
            if (dsmr_segments_append(&segments, &place, noise + (r * 4096u) % MIB, len) !=
                DSMR_OK) {
                die("append");
            }
        }
        if (dsmr_segments_sync(&segments) != DSMR_OK) {
            die("sync");
        }
    }
    cost.ms = (now_ms() - start) / rounds;
    start = now_ms();
    for (uint64_t n = 1; n <= segments.last; n++) {
        dsmr_segments_drop(&segments, n);
    }
    cost.drop_ms = (now_ms() - start) / rounds;
    dsmr_segments_close(&segments);
    return cost;
}

static void put_bodies(MDB_env *env, MDB_dbi dbi, uint64_t first, uint32_t len, uint32_t count)
{
    MDB_txn *txn;

    if (mdb_txn_begin(env, NULL, 0, &txn) != 0) {
        die("begin");
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t id[4] = {(first + i) * 0x9e3779b97f4a7c15ull, 1, 2, 3};
        MDB_val key = {sizeof id, id};
        MDB_val value = {len, noise + ((first + i) * 4096u) % MIB};
        if (mdb_put(txn, dbi, &key, &value, 0) != 0) {
            die("put");
        }
    }
    if (mdb_txn_commit(txn) != 0) {
        die("commit");
    }
}

static void del_bodies(MDB_env *env, MDB_dbi dbi, uint64_t first, uint32_t count)
{
    MDB_txn *txn;

    if (mdb_txn_begin(env, NULL, 0, &txn) != 0) {
        die("begin");
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t id[4] = {(first + i) * 0x9e3779b97f4a7c15ull, 1, 2, 3};
        MDB_val key = {sizeof id, id};
        (void)mdb_del(txn, dbi, &key, NULL);
    }
    if (mdb_txn_commit(txn) != 0) {
        die("commit");
    }
}

static struct cost lmdb_bodies(uint32_t len, uint32_t count, uint32_t rounds)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    struct cost cost;
    double start;

    if (mdb_env_create(&env) != 0 || mdb_env_set_mapsize(env, 64ull << 30) != 0 ||
        mdb_env_open(env, fresh("lmdb"), MDB_NOTLS | MDB_NORDAHEAD, 0600) != 0 ||
        mdb_txn_begin(env, NULL, 0, &txn) != 0 || mdb_dbi_open(txn, NULL, 0, &dbi) != 0 ||
        mdb_txn_commit(txn) != 0) {
        die("lmdb");
    }
    start = now_ms();
    for (uint32_t r = 0; r < rounds; r++) {
        put_bodies(env, dbi, (uint64_t)r * count, len, count);
    }
    cost.ms = (now_ms() - start) / rounds;
    start = now_ms();
    for (uint32_t r = 0; r < rounds; r++) {
        del_bodies(env, dbi, (uint64_t)r * count, count);
    }
    cost.drop_ms = (now_ms() - start) / rounds;
    mdb_env_close(env);
    return cost;
}

static void better(struct cost *best, struct cost cost)
{
    best->ms = cost.ms < best->ms ? cost.ms : best->ms;
    best->drop_ms = cost.drop_ms < best->drop_ms ? cost.drop_ms : best->drop_ms;
}

static void bench_bodies(void)
{
    static const struct {
        uint32_t len, count, rounds;
    } cases[] = {{512, 1, 200},   {4096, 1, 200}, {4096, 64, 50}, {65536, 1, 100}, {65536, 16, 60},
                 {262144, 4, 60}, {MIB, 1, 100},  {MIB, 4, 30},   {2 * MIB, 2, 30}};

    (void)printf("bodies: one durable group   bare file ms   segments ms   times   LMDB ms   times"
                 "   drop ms: segments   LMDB\n");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cost s = {1e9, 1e9};
        struct cost l = {1e9, 1e9};
        double bare = 1e9;
        for (int turn = 0; turn < 5; turn++) { /* in turns, best of five: disks have moods */
            bare = fmin(bare, bare_ms(cases[i].len, cases[i].count, cases[i].rounds));
            better(&s, segment_bodies(cases[i].len, cases[i].count, cases[i].rounds));
            better(&l, lmdb_bodies(cases[i].len, cases[i].count, cases[i].rounds));
        }
        (void)printf("  %7u B x %2u            %13.3f %13.3f %7.2f %9.3f %7.2f %19.3f %6.3f\n",
                     cases[i].len, cases[i].count, bare, s.ms, s.ms / bare, l.ms, l.ms / bare,
                     s.drop_ms, l.drop_ms);
    }
}

/* ---- the whole store ---- */

struct sink {
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    size_t count;
};

static bool sink_offer(void *self, struct dsmr_task *task)
{
    (void)self;
    (void)task;
    return false;
}

static void sink_complete(void *self, struct dsmr_task *task)
{
    struct sink *sink = self;
    struct dsmr_store_write *write = (struct dsmr_store_write *)(void *)task;

    if (write->err != DSMR_OK) {
        die(dsmr_err_name(write->err));
    }
    (void)pthread_mutex_lock(&sink->mutex);
    sink->count++;
    (void)pthread_cond_signal(&sink->arrived);
    (void)pthread_mutex_unlock(&sink->mutex);
}

static void sink_wait(struct sink *sink, size_t count)
{
    (void)pthread_mutex_lock(&sink->mutex);
    while (sink->count < count) {
        (void)pthread_cond_wait(&sink->arrived, &sink->mutex);
    }
    (void)pthread_mutex_unlock(&sink->mutex);
}

static const struct dsmr_inbox_ops sink_ops = {sink_offer, sink_complete};

struct bench {
    struct sink sink;
    struct dsmr_metrics metrics;
    struct dsmr_lmdb_store *store;
    struct dsmr_store port;
    size_t sent;
};

static void bench_open(struct bench *b)
{
    struct dsmr_lmdb_store_config config;

    memset(b, 0, sizeof *b);
    (void)pthread_mutex_init(&b->sink.mutex, NULL);
    (void)pthread_cond_init(&b->sink.arrived, NULL);
    config = (struct dsmr_lmdb_store_config){
        .directory = fresh("store"), .inbox = {&b->sink, &sink_ops}, .metrics = &b->metrics};
    if (dsmr_lmdb_store_open(&b->store, &config) != DSMR_OK) {
        die("open");
    }
    b->port = dsmr_lmdb_store_port(b->store);
}

static void meta_init(struct dsmr_store_chunk_meta *meta, uint64_t n, uint32_t len)
{
    uint64_t mixed = (n + 1) * 0x9e3779b97f4a7c15ull;

    memset(meta, 0, sizeof *meta);
    memcpy(meta->ref.chunk_id.bytes, &mixed, sizeof mixed);
    meta->ref.slot = n;
    meta->ref.expiry_ms = n;
    meta->ref.chunk_bytes = len;
    meta->included_height = UINT64_MAX;
    meta->is_signed = true;
}

struct chunk {
    struct dsmr_store_write write;
    struct dsmr_store_chunk_meta meta;
};

static void chunk_init(struct chunk *chunk, uint64_t n, uint32_t len)
{
    memset(chunk, 0, sizeof *chunk);
    meta_init(&chunk->meta, n, len);
    chunk->write.kind = DSMR_STORE_CHUNK;
    chunk->write.u.chunk.meta = &chunk->meta;
    chunk->write.u.chunk.bytes = noise + (n * 4096u) % MIB;
    chunk->write.u.chunk.len = len;
}

static void send_write(struct bench *b, struct dsmr_store_write *write)
{
    b->sent++;
    b->port.ops->write(b->port.self, write);
}

/* count chunks with at most window of them under way. */
static void bench_chunks(uint32_t len, uint32_t window, uint32_t count)
{
    struct chunk *chunks = malloc(count * sizeof *chunks);
    struct bench b;
    double ms;

    bench_open(&b);
    ms = now_ms();
    for (uint32_t i = 0; i < count; i++) {
        chunk_init(&chunks[i], i, len);
        if (i >= window) {
            sink_wait(&b.sink, i - window + 1);
        }
        send_write(&b, &chunks[i].write);
    }
    sink_wait(&b.sink, count);
    ms = now_ms() - ms;
    (void)printf("  %7u B, %4u under way    %9.0f chunks/s %8.1f MB/s %8.3f ms each %7.2f syncs "
                 "each\n",
                 len, window, count / ms * 1e3, (double)count * len / ms / 1e3, ms / count,
                 (double)dsmr_metrics_get(&b.metrics, DSMR_METRIC_DISK_SYNCS) / count);
    dsmr_lmdb_store_close(b.store);
    free(chunks);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print_percentiles(const char *what, double *samples, size_t count)
{
    qsort(samples, count, sizeof samples[0], by_value);
    (void)printf("  %-44s p50 %7.3f ms   p99 %7.3f ms   max %7.3f ms\n", what, samples[count / 2],
                 samples[count * 99 / 100], samples[count - 1]);
}

/* A vote's latency, alone (bodies 0) or while bodies of len bytes keep coming. */
static void bench_votes(const char *what, uint32_t len, bool with_gc)
{
    enum { VOTES = 300, BODIES = 3 };
    static struct chunk chunks[VOTES * BODIES];
    static struct dsmr_store_write gcs[VOTES];
    static struct dsmr_id ids[VOTES * BODIES];
    double samples[VOTES];
    struct bench b;
    uint64_t n = 0;

    bench_open(&b);
    for (uint32_t i = 0; i < VOTES; i++) {
        uint8_t key[8] = {0};
        struct dsmr_store_write vote = {.kind = DSMR_STORE_BFT_PUT};
        for (uint32_t j = 0; len != 0 && j < BODIES; j++, n++) {
            chunk_init(&chunks[n], n, len);
            ids[n] = chunks[n].meta.ref.chunk_id;
            send_write(&b, &chunks[n].write);
        }
        if (with_gc && i >= 16) {
            memset(&gcs[i], 0, sizeof gcs[i]);
            gcs[i].kind = DSMR_STORE_GC;
            gcs[i].u.gc = (struct dsmr_store_gc){.floor_ms = i,
                                                 .chunks = &ids[(i - 16) * BODIES],
                                                 .chunks_count = BODIES,
                                                 .drop_journals = true};
            send_write(&b, &gcs[i]);
        }
        memcpy(key, &i, sizeof i);
        vote.u.bft.key = key;
        vote.u.bft.key_len = sizeof key;
        vote.u.bft.value = noise;
        vote.u.bft.value_len = 150;
        samples[i] = now_ms();
        send_write(&b, &vote);
        sink_wait(&b.sink, b.sent);
        samples[i] = now_ms() - samples[i];
    }
    print_percentiles(what, samples, VOTES);
    dsmr_lmdb_store_close(b.store);
}

/* What GC costs the store thread: 32 chunks of len bytes, of which every second stays or none. */
static void bench_gc(const char *what, uint32_t len, uint32_t stride)
{
    enum { STEPS = 12, STEP = 32 }; /* fewer jobs than the janitor queues */
    static struct chunk chunks[STEPS * STEP * 2];
    static struct dsmr_id ids[STEPS * STEP];
    double samples[STEPS];
    struct bench b;

    bench_open(&b);
    for (uint32_t i = 0; i < STEPS * STEP * stride; i++) {
        chunk_init(&chunks[i], i, len);
        if (i % stride == 0) {
            ids[i / stride] = chunks[i].meta.ref.chunk_id;
        }
        send_write(&b, &chunks[i].write);
        if (i % 32 == 31) {
            sink_wait(&b.sink, b.sent);
        }
    }
    sink_wait(&b.sink, b.sent);
    for (uint32_t s = 0; s < STEPS; s++) {
        struct dsmr_store_write gc = {.kind = DSMR_STORE_GC};
        gc.u.gc = (struct dsmr_store_gc){
            .floor_ms = s, .chunks = &ids[s * STEP], .chunks_count = STEP, .drop_journals = true};
        samples[s] = now_ms();
        send_write(&b, &gc);
        sink_wait(&b.sink, b.sent);
        samples[s] = now_ms() - samples[s];
    }
    print_percentiles(what, samples, STEPS);
    dsmr_lmdb_store_close(b.store);
}

static void bench_loads(void)
{
    enum { COUNT = 256 };
    static struct chunk chunks[COUNT];
    struct bench b;
    double ms;

    bench_open(&b);
    for (uint32_t i = 0; i < COUNT; i++) {
        chunk_init(&chunks[i], i, MIB);
        send_write(&b, &chunks[i].write);
    }
    sink_wait(&b.sink, COUNT);
    ms = now_ms();
    for (uint32_t i = 0; i < COUNT; i++) {
        struct dsmr_buf *buf;
        if (b.port.ops->load_chunk(b.port.self, &buf, &chunks[i].meta.ref.chunk_id) != DSMR_OK) {
            die("load");
        }
        dsmr_buf_unref(buf);
    }
    ms = now_ms() - ms;
    (void)printf("  load of 1 MiB (cached by the kernel)         %.3f ms\n", ms / COUNT);
    dsmr_lmdb_store_close(b.store);
}

/* ---- start-up ---- */

static enum dsmr_err count_chunk(void *ctx, const struct dsmr_store_chunk_meta *meta)
{
    (void)meta;
    ++*(uint64_t *)ctx;
    return DSMR_OK;
}

static enum dsmr_err count_cert(void *ctx, const struct dsmr_cert *cert)
{
    (void)cert;
    ++*(uint64_t *)ctx;
    return DSMR_OK;
}

static void bench_reopen(struct bench *b)
{
    char path[4200];
    struct dsmr_lmdb_store_config config = {
        .directory = path, .inbox = {&b->sink, &sink_ops}, .metrics = &b->metrics};

    (void)snprintf(path, sizeof path, "%s/store", directory);
    dsmr_lmdb_store_close(b->store);
    if (dsmr_lmdb_store_open(&b->store, &config) != DSMR_OK) {
        die("open again");
    }
    b->port = dsmr_lmdb_store_port(b->store);
}

/* What a start reads when count chunks with certificates are kept, all but 1000 in blocks. */
static void bench_start(uint32_t count)
{
    enum { WINDOW = 256, WAITING = 1000 };
    static struct chunk chunks[WINDOW];
    static struct dsmr_cert certs[WINDOW];
    static struct dsmr_store_write writes[WINDOW];
    uint64_t found = 0;
    struct dsmr_store_visitor visitor = {.ctx = &found, .chunk = count_chunk, .cert = count_cert};
    struct bench b;
    double open_ms, ms;

    bench_open(&b);
    for (uint32_t n = 0; n < count; n++) {
        uint32_t i = n % WINDOW;
        if (i == 0) {
            sink_wait(&b.sink, b.sent);
        }
        chunk_init(&chunks[i], n, 512);
        if (n < count - WAITING) {
            chunks[i].meta.included_height = n / 40;
        }
        chunks[i].meta.is_signed = n >= count - WAITING; /* older journals are gone */
        memset(&certs[i], 0, sizeof certs[i]);
        certs[i].ref = chunks[i].meta.ref;
        certs[i].signers.words[0] = 7;
        writes[i] = (struct dsmr_store_write){.kind = DSMR_STORE_CERT, .u.cert = &certs[i]};
        send_write(&b, &chunks[i].write);
        send_write(&b, &writes[i]);
    }
    sink_wait(&b.sink, b.sent);
    open_ms = now_ms();
    bench_reopen(&b);
    ms = now_ms();
    if (b.port.ops->recover(b.port.self, &visitor) != DSMR_OK) {
        die("recover");
    }
    (void)printf("  %u chunks kept, %u waiting: open %.1f ms, recover %.1f ms, %u records\n", count,
                 WAITING, ms - open_ms, now_ms() - ms, (unsigned)found);
    dsmr_lmdb_store_close(b.store);
}

static void bench_crc(void)
{
    uint32_t crc = 0;
    double ms = now_ms();
    double copy_ms, portable_ms;
    static uint8_t staging[2u * MIB];

    for (int i = 0; i < 64; i++) {
        crc = dsmr_crc32c(crc, noise, 16 * MIB);
    }
    ms = now_ms() - ms;
    copy_ms = now_ms();
    for (uint32_t i = 0; i < 512; i++) {
        crc = dsmr_crc32c_copy(crc, staging, noise + i % 8 * 2u * MIB, 2u * MIB);
    }
    copy_ms = now_ms() - copy_ms;
    portable_ms = now_ms();
    for (int i = 0; i < 8; i++) {
        crc = dsmr_crc32c_portable(crc, noise, 16 * MIB);
    }
    portable_ms = now_ms() - portable_ms;
    (void)printf("CRC-32C: %.1f GB/s, with a copy %.1f GB/s, portable %.1f GB/s (%08x)\n",
                 64 * 16.777216 / ms, 64 * 16.777216 / copy_ms, 8 * 16.777216 / portable_ms, crc);
}

int main(int argc, char **argv)
{
    uint64_t x = 1;
    bool is_start_only = argc > 2 && strcmp(argv[2], "start") == 0;

    noise = malloc(17 * MIB);
    if (noise == NULL ||
        dsmr_files_make_temporary(directory, sizeof directory, argc > 1 ? argv[1] : ".",
                                  "bench_store") != DSMR_OK) {
        die("set-up");
    }
    for (size_t i = 0; i < 17 * MIB / 8; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        memcpy(noise + i * 8, &x, sizeof x);
    }
    (void)printf("store: start-up\n");
    bench_start(200000);
    if (is_start_only) {
        goto out;
    }
    bench_crc();
    bench_bodies();
    (void)printf("store: chunks through the group commit\n");
    bench_chunks(512, 1, 500);
    bench_chunks(512, 64, 5000);
    bench_chunks(65536, 1, 300);
    bench_chunks(65536, 64, 3000);
    bench_chunks(MIB, 1, 150);
    bench_chunks(MIB, 4, 300);
    bench_chunks(MIB, 16, 300);
    (void)printf("store: latency of a vote\n");
    bench_votes("alone", 0, false);
    bench_votes("behind 3 bodies of 64 KiB", 65536, false);
    bench_votes("behind 3 bodies of 1 MiB", MIB, false);
    bench_votes("behind 3 bodies of 1 MiB and their GC", MIB, true);
    (void)printf("store: one GC step of 32 chunks\n");
    bench_gc("64 KiB, whole files go", 65536, 1);
    bench_gc("64 KiB, every second stays (holes)", 65536, 2);
    bench_gc("1 MiB, whole files go", MIB, 1);
    (void)printf("store: reading\n");
    bench_loads();
out:
    dsmr_files_remove_folder(directory);
    free(noise);
    return 0;
}
