/* store_fixture.h - what the store's tests share: a directory of their own, an inbox to wait at,
 * and values made from a number. */
#ifndef DSMR_TEST_UNIT_STORE_FIXTURE_H
#define DSMR_TEST_UNIT_STORE_FIXTURE_H

#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/metrics.h"
#include "store/lmdb_store.h"
#include "wire/codec.h"

#define UNUSED __attribute__((unused))
#define NEVER UINT64_MAX

/* ---- directories ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static UNUSED void remove_tree(const char *path)
{
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* A new directory; *path is freed by the caller. */
static UNUSED char *make_tree(void)
{
    const char *base = getenv("TMPDIR");
    char path[512];

    (void)snprintf(path, sizeof path, "%s/dsmr-store-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return strdup(path);
}

/* ---- inbox ---- */

struct test_inbox {
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    size_t count;
    struct dsmr_task *order[65536]; /* the first completions, in order */
};

static bool test_inbox_offer(void *self, struct dsmr_task *task)
{
    (void)self;
    (void)task;
    return false;
}

static void test_inbox_complete(void *self, struct dsmr_task *task)
{
    struct test_inbox *inbox = self;

    (void)pthread_mutex_lock(&inbox->mutex);
    if (inbox->count < sizeof inbox->order / sizeof inbox->order[0]) {
        inbox->order[inbox->count] = task;
    }
    inbox->count++;
    (void)pthread_cond_broadcast(&inbox->arrived);
    (void)pthread_mutex_unlock(&inbox->mutex);
}

static const struct dsmr_inbox_ops test_inbox_ops = {test_inbox_offer, test_inbox_complete};

static UNUSED struct test_inbox *test_inbox_new(void)
{
    struct test_inbox *inbox = calloc(1, sizeof *inbox);

    (void)pthread_mutex_init(&inbox->mutex, NULL);
    (void)pthread_cond_init(&inbox->arrived, NULL);
    return inbox;
}

static UNUSED void test_inbox_wait(struct test_inbox *inbox, size_t count)
{
    (void)pthread_mutex_lock(&inbox->mutex);
    while (inbox->count < count) {
        (void)pthread_cond_wait(&inbox->arrived, &inbox->mutex);
    }
    (void)pthread_mutex_unlock(&inbox->mutex);
}

/* ---- the store under test ---- */

struct fixture {
    char *path;
    struct test_inbox *inbox;
    struct dsmr_metrics metrics;
    struct dsmr_lmdb_store_config config;
    struct dsmr_lmdb_store *store;
    struct dsmr_store port;
    struct dsmr_kv kv;
    size_t sent;
};

static UNUSED enum dsmr_err fixture_open(struct fixture *f)
{
    enum dsmr_err err = dsmr_lmdb_store_open(&f->store, &f->config);

    if (err == DSMR_OK) {
        f->port = dsmr_lmdb_store_port(f->store);
        f->kv = dsmr_lmdb_store_kv(f->store);
    }
    return err;
}

static UNUSED void fixture_config(struct fixture *f)
{
    f->config = (struct dsmr_lmdb_store_config){
        .directory = f->path,
        .inbox = {f->inbox, &test_inbox_ops},
        .metrics = &f->metrics,
        .consensus_map_bytes = 1ull << 30,
        .state_map_bytes = 1ull << 30,
        .segment_bytes = 1u << 20,
        .reserve_bytes = 1u << 20,
    };
}

static UNUSED int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    f->path = make_tree();
    f->inbox = test_inbox_new();
    fixture_config(f);
    assert_int_equal(fixture_open(f), DSMR_OK);
    *state = f;
    return 0;
}

static UNUSED int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    dsmr_lmdb_store_close(f->store);
    remove_tree(f->path);
    free(f->path);
    free(f->inbox);
    free(f);
    return 0;
}

static UNUSED void fixture_reopen(struct fixture *f)
{
    dsmr_lmdb_store_close(f->store);
    f->store = NULL;
    assert_int_equal(fixture_open(f), DSMR_OK);
}

/* Of the state store. */
static UNUSED struct dsmr_kv_txn *fixture_begin(struct fixture *f, bool write)
{
    struct dsmr_kv_txn *txn = NULL;

    assert_int_equal(f->kv.ops->begin(f->kv.self, &txn, write), DSMR_OK);
    return txn;
}

static UNUSED enum dsmr_err fixture_commit(struct fixture *f, struct dsmr_kv_txn *txn)
{
    return f->kv.ops->commit(f->kv.self, txn);
}

static UNUSED void send_write(struct fixture *f, struct dsmr_store_write *write)
{
    f->sent++;
    f->port.ops->write(f->port.self, write);
}

static UNUSED void wait_all(struct fixture *f)
{
    test_inbox_wait(f->inbox, f->sent);
}

/* Writes and waits for its end. */
static UNUSED enum dsmr_err do_write(struct fixture *f, struct dsmr_store_write *write)
{
    send_write(f, write);
    wait_all(f);
    return write->err;
}

/* What the store says about its last failure: the path of one of its files, and why. */
static UNUSED void check_cause(struct fixture *f, const char *file, const char *why)
{
    char text[1024] = "";

    f->port.ops->cause(f->port.self, text, sizeof text);
    if (strstr(text, f->path) == NULL || strstr(text, file) == NULL || strstr(text, why) == NULL) {
        print_error("the cause is \"%s\", not of %s: %s\n", text, file, why);
        fail();
    }
}

/* ---- values ---- */

static UNUSED struct dsmr_id id_of(uint64_t n)
{
    struct dsmr_id id;

    memset(&id, 0x5a, sizeof id);
    for (size_t i = 0; i < 8; i++) { /* spread, so that ids are not in the order of numbers */
        id.bytes[i] = (uint8_t)((n * 0x9e3779b97f4a7c15ull) >> (8 * i));
        id.bytes[8 + i] = (uint8_t)(n >> (8 * i));
    }
    return id;
}

static UNUSED struct dsmr_store_chunk_meta meta_of(uint64_t n, uint32_t len)
{
    struct dsmr_store_chunk_meta meta;

    memset(&meta, 0, sizeof meta);
    meta.ref.chunk_id = id_of(n);
    meta.ref.epoch = 3;
    memset(meta.ref.producer.bytes, (int)(n % 4), sizeof meta.ref.producer.bytes);
    meta.ref.slot = n;
    meta.ref.expiry_ms = n * 100 + 30000;
    meta.ref.tx_count = 1;
    meta.ref.chunk_bytes = len;
    memset(meta.producer_sig.bytes, (int)(n % 251), sizeof meta.producer_sig.bytes);
    meta.included_height = NEVER;
    meta.is_signed = true;
    return meta;
}

static UNUSED void fill_body(uint8_t *bytes, uint32_t len, uint64_t n)
{
    uint64_t x = n + 1;

    for (uint32_t i = 0; i < len; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        bytes[i] = (uint8_t)(x >> 56);
    }
}

/* A chunk write that owns its parts; the test frees it with chunk_free. */
struct chunk_write {
    struct dsmr_store_write write;
    struct dsmr_store_chunk_meta meta;
    uint8_t *bytes;
};

static UNUSED struct chunk_write *chunk_new(uint64_t n, uint32_t len)
{
    struct chunk_write *chunk = calloc(1, sizeof *chunk);

    chunk->bytes = malloc(len);
    fill_body(chunk->bytes, len, n);
    chunk->meta = meta_of(n, len);
    chunk->write.kind = DSMR_STORE_CHUNK;
    chunk->write.u.chunk.meta = &chunk->meta;
    chunk->write.u.chunk.bytes = chunk->bytes;
    chunk->write.u.chunk.len = len;
    return chunk;
}

static UNUSED void chunk_free(struct chunk_write *chunk)
{
    free(chunk->bytes);
    free(chunk);
}

static UNUSED enum dsmr_err put_chunk(struct fixture *f, uint64_t n, uint32_t len)
{
    struct chunk_write *chunk = chunk_new(n, len);
    enum dsmr_err err = do_write(f, &chunk->write);

    chunk_free(chunk);
    return err;
}

/* OK if the body of chunk n is there and is the right one. */
static UNUSED enum dsmr_err check_body(struct fixture *f, uint64_t n, uint32_t len)
{
    struct dsmr_id id = id_of(n);
    struct dsmr_buf *buf = NULL;
    uint8_t *want;
    enum dsmr_err err = f->port.ops->load_chunk(f->port.self, &buf, &id);

    if (err != DSMR_OK) {
        assert_null(buf);
        return err;
    }
    want = malloc(len);
    fill_body(want, len, n);
    assert_int_equal(buf->len, len);
    assert_memory_equal(buf->bytes, want, len);
    free(want);
    dsmr_buf_unref(buf);
    return DSMR_OK;
}

static UNUSED struct dsmr_cert cert_of(uint64_t n, uint32_t signers)
{
    struct dsmr_cert cert;

    memset(&cert, 0, sizeof cert);
    cert.ref = meta_of(n, 100).ref;
    for (uint32_t i = 0; i < signers; i++) {
        cert.signers.words[i / 64] |= 1ull << (i % 64);
    }
    memset(cert.sig.bytes, (int)(n % 200) + 1, sizeof cert.sig.bytes);
    return cert;
}

/* Block of height with certificates of chunks first..first+count-1; salt tells blocks of one
 * height apart. Not a valid block: the store does not look inside. */
struct test_block {
    struct dsmr_block block;
    struct dsmr_cert certs[16];
};

static UNUSED struct test_block *block_new(uint64_t height, uint64_t first, uint32_t count,
                                           uint64_t salt)
{
    struct test_block *b = calloc(1, sizeof *b);

    assert_true(count <= 16);
    b->block.refs = 1;
    b->block.id = id_of(1000000 + height * 1000 + salt);
    b->block.height = height;
    b->block.time_ms = height * 1000;
    b->block.certs_count = count;
    b->block.certs = b->certs;
    for (uint32_t i = 0; i < count; i++) {
        b->certs[i] = cert_of(first + i, 3);
    }
    b->block.bytes = dsmr_buf_new(200 + (size_t)count * 100);
    fill_body(b->block.bytes->bytes, b->block.bytes->len, height * 1000 + salt);
    return b;
}

static UNUSED void block_free(struct test_block *b)
{
    dsmr_buf_unref(b->block.bytes);
    free(b);
}

static UNUSED struct dsmr_quorum_cert qc_of(uint64_t height)
{
    struct dsmr_quorum_cert qc;

    memset(&qc, 0, sizeof qc);
    qc.subject.height = height;
    qc.subject.view = height + 7;
    qc.subject.block_id = id_of(height);
    qc.subject.kind = DSMR_VOTE_FINALIZE;
    qc.signers.words[0] = 7;
    memset(qc.sig.bytes, 9, sizeof qc.sig.bytes);
    return qc;
}

static UNUSED enum dsmr_err accept_block(struct fixture *f, const struct test_block *b,
                                         const struct dsmr_quorum_cert *qc)
{
    struct dsmr_store_write write = {.kind = DSMR_STORE_ACCEPT};

    write.u.accept.block = &b->block;
    write.u.accept.finalization = qc;
    write.u.accept.wall_ms = 5000 + b->block.height;
    return do_write(f, &write);
}

static UNUSED enum dsmr_err accept_new(struct fixture *f, uint64_t height, uint64_t first,
                                       uint32_t count)
{
    struct test_block *b = block_new(height, first, count, 0);
    enum dsmr_err err = accept_block(f, b, NULL);

    block_free(b);
    return err;
}

static UNUSED enum dsmr_err put_cert(struct fixture *f, uint64_t n, uint32_t signers)
{
    struct dsmr_cert cert = cert_of(n, signers);
    struct dsmr_store_write write = {.kind = DSMR_STORE_CERT, .u.cert = &cert};

    return do_write(f, &write);
}

static UNUSED enum dsmr_err collect(struct fixture *f, uint64_t floor_ms, const struct dsmr_id *ids,
                                    uint32_t count, bool drop_journals)
{
    struct dsmr_store_write write = {.kind = DSMR_STORE_GC};

    write.u.gc = (struct dsmr_store_gc){
        .floor_ms = floor_ms, .chunks = ids, .chunks_count = count, .drop_journals = drop_journals};
    return do_write(f, &write);
}

/* Lets the chunks of blocks up to all three limits go. */
static UNUSED enum dsmr_err retain(struct fixture *f, struct dsmr_store_write *write,
                                   uint64_t height_max, uint64_t time_max_ms, uint64_t wall_max_ms)
{
    *write = (struct dsmr_store_write){.kind = DSMR_STORE_GC};
    write->u.gc.retained = (struct dsmr_store_retained){.is_wanted = true,
                                                        .height_max = height_max,
                                                        .time_max_ms = time_max_ms,
                                                        .wall_max_ms = wall_max_ms};
    return do_write(f, write);
}

static UNUSED enum dsmr_err put_bft(struct fixture *f, const char *key, const char *value)
{
    struct dsmr_store_write write = {.kind = DSMR_STORE_BFT_PUT};

    write.u.bft.key = (const uint8_t *)key;
    write.u.bft.key_len = (uint32_t)strlen(key);
    write.u.bft.value = (const uint8_t *)value;
    write.u.bft.value_len = (uint32_t)strlen(value);
    return do_write(f, &write);
}

/* ---- what recovery hands over ---- */

struct recovered {
    char order[8192]; /* one letter for each call: F J C T B */
    size_t calls;
    uint64_t floor_ms;
    size_t journals_count, chunks_count, certs_count, bft_count;
    struct dsmr_store_journal journals[2048];
    struct dsmr_store_chunk_meta chunks[2048];
    struct dsmr_cert certs[2048];
    char bft[64][2][128]; /* key, value */
};

static UNUSED void note(struct recovered *r, char c)
{
    assert_true(r->calls < sizeof r->order - 1);
    r->order[r->calls++] = c;
}

static UNUSED enum dsmr_err on_floor(void *ctx, uint64_t floor_ms)
{
    struct recovered *r = ctx;
    note(r, 'F');
    r->floor_ms = floor_ms;
    return DSMR_OK;
}

static UNUSED enum dsmr_err on_journal(void *ctx, const struct dsmr_store_journal *entry)
{
    struct recovered *r = ctx;
    note(r, 'J');
    r->journals[r->journals_count++] = *entry;
    return DSMR_OK;
}

static UNUSED enum dsmr_err on_chunk(void *ctx, const struct dsmr_store_chunk_meta *meta)
{
    struct recovered *r = ctx;
    note(r, 'C');
    r->chunks[r->chunks_count++] = *meta;
    return DSMR_OK;
}

static UNUSED enum dsmr_err on_cert(void *ctx, const struct dsmr_cert *cert)
{
    struct recovered *r = ctx;
    note(r, 'T');
    r->certs[r->certs_count++] = *cert;
    return DSMR_OK;
}

static UNUSED enum dsmr_err on_bft(void *ctx, const uint8_t *key, uint32_t key_len,
                                   const uint8_t *value, uint32_t value_len)
{
    struct recovered *r = ctx;
    note(r, 'B');
    assert_true(r->bft_count < 64 && key_len < 128 && value_len < 128);
    memcpy(r->bft[r->bft_count][0], key, key_len);
    memcpy(r->bft[r->bft_count][1], value, value_len);
    r->bft_count++;
    return DSMR_OK;
}

static UNUSED struct recovered *recover(struct fixture *f, bool with_history)
{
    struct recovered *r = calloc(1, sizeof *r);
    struct dsmr_store_visitor visitor = {r,        with_history, on_floor, on_journal,
                                         on_chunk, on_cert,      on_bft};

    assert_int_equal(f->port.ops->recover(f->port.self, &visitor), DSMR_OK);
    return r;
}

static UNUSED struct recovered *recover_all(struct fixture *f)
{
    return recover(f, true);
}

/* What a node reads at its start. */
static UNUSED struct recovered *recover_waiting(struct fixture *f)
{
    return recover(f, false);
}

static UNUSED bool recovered_has(const struct recovered *r, uint64_t n)
{
    struct dsmr_id id = id_of(n);

    for (size_t i = 0; i < r->chunks_count; i++) {
        if (memcmp(&r->chunks[i].ref.chunk_id, &id, sizeof id) == 0) {
            return true;
        }
    }
    return false;
}

#endif
