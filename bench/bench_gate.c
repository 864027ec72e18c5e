/* bench_gate.c - stages of the data path with fixed inputs, to be counted, and to be looked at.
 *
 * usage: bench_gate                times each beside what it cannot be faster than: a primitive
 *        bench_gate STAGE...       runs them; bench_gate --list names them
 * tools/gate.py runs each under callgrind, which counts the instructions of its stage_ function
 * alone, and compares with bench/gate.txt. An instruction is the same on a busy machine; times are
 * processor time with inputs in the cache, medians of RUNS. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bitset.h"
#include "base/bytes.h"
#include "base/map.h"
#include "base/metrics.h"
#include "core/assembler.h"
#include "core/exec_queue.h"
#include "core/executed_ids.h"
#include "core/mempool.h"
#include "core/own_ids.h"
#include "crypto/hash.h"
#include "driver/exec_index.h"
#include "driver/exec_record.h"
#include "store/kv_mem.h"
#include "wire/codec.h"

#define TXS 1000u
#define TX_BYTES 512u
#define CERTS 64u
#define BLOCKS 16u
#define SLOT UINT64_C(17000000000)
#define RUNS 25u

static struct dsmr_params params;
static uint8_t txs_bytes[TXS][TX_BYTES];
static struct dsmr_chunk_tx txs[TXS];
static struct dsmr_chunk_header header;
static struct dsmr_chunk *chunk;
static struct dsmr_buf *chunk_buf;
static struct dsmr_buf *block_buf;
static struct dsmr_block block_fields;
static struct dsmr_cert certs[CERTS];
static struct dsmr_mempool *mempool;
static struct dsmr_mempool_tx taken[TXS];
static struct dsmr_executed_ids *executed_ids;
static struct dsmr_own_ids *own_ids;
static struct dsmr_map *map;
static struct dsmr_kv_mem *memory;
static struct dsmr_kv kv;
static struct dsmr_node *node; /* as much of one as its assembler looks at */
static struct dsmr_executed *executed[BLOCKS];

static void check(enum dsmr_err err, const char *what)
{
    if (err != DSMR_OK) {
        (void)fprintf(stderr, "bench_gate: %s: %s\n", what, dsmr_err_name(err));
        exit(1);
    }
}

static void must(bool holds, const char *what)
{
    check(holds ? DSMR_OK : DSMR_ERR_NO_MEMORY, what);
}

/* ---- what the stages work on ---- */

static void fill(void *out, size_t len, uint8_t first)
{
    uint8_t *bytes = out;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(first + i);
    }
}

static void make_header(void)
{
    dsmr_params_default(&params);
    fill(params.domain.chain_id.bytes, 32, 0x10);
    header.domain = params.domain;
    header.epoch = 7;
    fill(header.producer.bytes, 20, 0x30);
    header.slot = SLOT;
    header.expiry_ms = SLOT * params.slot_ms + params.chunk_lifetime_ms;
}

static void make_certs(void)
{
    for (uint32_t i = 0; i < CERTS; i++) {
        struct dsmr_reference *ref = &certs[i].ref;
        fill(ref->chunk_id.bytes, 32, (uint8_t)i);
        ref->epoch = 7;
        fill(ref->producer.bytes, 20, 0x30);
        ref->slot = SLOT + i;
        ref->expiry_ms = ref->slot * params.slot_ms + params.chunk_lifetime_ms;
        ref->tx_count = 300;
        ref->chunk_bytes = 70000;
        dsmr_bitset_add(&certs[i].signers, 0);
        dsmr_bitset_add(&certs[i].signers, 3);
        fill(certs[i].sig.bytes, 96, 0x80);
    }
}

static struct dsmr_buf *buf_of(const uint8_t *bytes, size_t len)
{
    struct dsmr_buf *buf = dsmr_buf_new(len);
    must(buf != NULL, "buffer");
    memcpy(buf->bytes, bytes, len);
    return buf;
}

static void make_txs(void)
{
    for (uint32_t i = 0; i < TXS; i++) {
        uint8_t *tx = txs_bytes[i];
        fill(tx, TX_BYTES, (uint8_t)i);
        tx[0] = 1;
        dsmr_store_be64(tx + 1, SLOT * 100 + 1000 + i);
        dsmr_store_be32(tx + 16, i);
        txs[i].bytes = tx;
        txs[i].len = TX_BYTES;
        dsmr_hash(&txs[i].id, tx, TX_BYTES);
    }
}

static void make_blocks(void)
{
    for (uint32_t b = 0; b < BLOCKS; b++) {
        executed[b] = dsmr_exec_record_new(TXS);
        must(executed[b] != NULL, "block");
        executed[b]->height = b + 1;
        for (uint32_t i = 0; i < TXS; i++) {
            uint8_t bytes[8];
            dsmr_store_be64(bytes, (uint64_t)b * TXS + i);
            dsmr_hash(&executed[b]->ids[i], bytes, sizeof bytes);
        }
    }
}

/* One accepted block with one certificate, whose chunk is there. */
static void make_node(void)
{
    struct dsmr_cert cert = {.ref = chunk->ref};
    const struct dsmr_block fields = {
        .height = 1, .time_ms = SLOT * 100 + 500, .epoch = 8, .certs_count = 1, .certs = &cert};
    struct dsmr_block *block = NULL;
    check(dsmr_block_build(&block, &params, &fields), "block");
    node = calloc(1, sizeof *node);
    must(node != NULL, "node");
    node->fx = calloc(1, sizeof *node->fx);
    must(node->fx != NULL, "effects");
    check(dsmr_effects_init(node->fx), "effects");
    node->config.params = params;
    node->executed_ids = executed_ids;
    node->requests = dsmr_requests_new(8);
    must(node->requests != NULL && dsmr_exec_queue_init(&node->queue, 1), "queue");
    struct dsmr_exec_block *item = dsmr_exec_queue_push(&node->queue, block);
    dsmr_block_unref(block);
    check(dsmr_exec_queue_open(&node->queue), "window");
    item->bodies[0].state = DSMR_BODY_HELD;
    item->bodies[0].chunk = dsmr_chunk_ref(chunk);
    item->missing = item->todo = 0;
    node->queue.durable_height = 1;
}

static void set_up(void)
{
    struct dsmr_block *block = NULL;
    memset(certs, 0, sizeof certs);
    make_header();
    make_txs();
    check(dsmr_chunk_build(&chunk, &params, &header, txs, TXS), "chunk");
    chunk_buf = buf_of(chunk->bytes, chunk->ref.chunk_bytes);
    make_certs();
    block_fields = (struct dsmr_block){.height = 42,
                                       .time_ms = SLOT * 100 + 500,
                                       .epoch = 8,
                                       .certs_count = CERTS,
                                       .certs = certs};
    check(dsmr_block_build(&block, &params, &block_fields), "block");
    block_buf = buf_of(block->bytes->bytes, block->bytes->len);
    dsmr_block_unref(block);
    mempool = dsmr_mempool_new(4 * TXS, UINT64_MAX / 2, 1);
    executed_ids = dsmr_executed_ids_new(params.validity_window_ms, &(struct dsmr_id){{1}});
    own_ids = dsmr_own_ids_new(4 * TXS, 1);
    map = dsmr_map_new(sizeof(struct dsmr_id), sizeof(uint32_t), 4 * TXS, 1);
    must(mempool != NULL && executed_ids != NULL && own_ids != NULL && map != NULL, "tables");
    memory = dsmr_kv_mem_new();
    must(memory != NULL, "memory");
    kv = dsmr_kv_mem_port(memory);
    make_blocks();
    make_node();
}

static void tear_down(void)
{
    dsmr_effects_clear(node->fx);
    dsmr_effects_close(node->fx);
    dsmr_exec_queue_close(&node->queue);
    dsmr_requests_free(node->requests);
    free(node->fx);
    free(node);
    for (uint32_t b = 0; b < BLOCKS; b++) {
        dsmr_executed_unref(executed[b]);
    }
    dsmr_kv_mem_free(memory);
    dsmr_map_free(map);
    dsmr_own_ids_free(own_ids);
    dsmr_executed_ids_free(executed_ids);
    dsmr_mempool_free(mempool);
    dsmr_buf_unref(block_buf);
    dsmr_buf_unref(chunk_buf);
    dsmr_chunk_unref(chunk);
}

/* ---- stages: not inlined, so that callgrind finds them by name ---- */

#define STAGE __attribute__((noinline)) void

STAGE stage_hash(void);
STAGE stage_tx_root(void);
STAGE stage_assemble(void);
STAGE stage_chunk_build(void);
STAGE stage_chunk_decode(void);
STAGE stage_chunk_check(void);
STAGE stage_block_build(void);
STAGE stage_block_decode(void);
STAGE stage_mempool(void);
STAGE stage_executed_ids(void);
STAGE stage_own_ids(void);
STAGE stage_map(void);
STAGE stage_exec_index(void);

STAGE stage_hash(void) /* TXS ids */
{
    struct dsmr_id id;
    for (uint32_t i = 0; i < TXS; i++) {
        dsmr_hash(&id, txs[i].bytes, txs[i].len);
    }
}

STAGE stage_tx_root(void)
{
    struct dsmr_id root;
    dsmr_hash_merkle_root(&root, chunk->tx_ids, TXS);
}

STAGE stage_chunk_build(void)
{
    struct dsmr_chunk *built = NULL;
    check(dsmr_chunk_build(&built, &params, &header, txs, TXS), "build");
    dsmr_chunk_unref(built);
}

STAGE stage_chunk_decode(void)
{
    struct dsmr_chunk *decoded = NULL;
    check(dsmr_chunk_decode(&decoded, &params, chunk_buf, chunk_buf->bytes, chunk_buf->len),
          "decode");
    dsmr_chunk_unref(decoded);
}

STAGE stage_chunk_check(void)
{
    check(dsmr_chunk_check_txs(chunk, &params), "check");
}

STAGE stage_block_build(void)
{
    struct dsmr_block *block = NULL;
    check(dsmr_block_build(&block, &params, &block_fields), "build");
    dsmr_block_unref(block);
}

STAGE stage_block_decode(void)
{
    struct dsmr_block *block = NULL;
    check(dsmr_block_decode(&block, &params, block_buf, block_buf->bytes, block_buf->len),
          "decode");
    dsmr_block_unref(block);
}

STAGE stage_mempool(void) /* TXS in and out */
{
    for (uint32_t i = 0; i < TXS; i++) {
        struct dsmr_mempool_tx tx = {.owner = dsmr_buf_ref(chunk_buf),
                                     .bytes = txs[i].bytes,
                                     .len = TX_BYTES,
                                     .expiry_ms = 1000,
                                     .id = txs[i].id};
        check(dsmr_mempool_add(mempool, &tx), "admit");
    }
    struct dsmr_mempool_wish wish = {
        .txs_max = TXS, .bytes_max = UINT32_MAX, .expiry_max_ms = 2000};
    uint32_t count = dsmr_mempool_take(mempool, taken, &wish);
    for (uint32_t i = 0; i < count; i++) {
        dsmr_buf_unref(taken[i].owner);
    }
}

STAGE stage_executed_ids(void) /* TXS new ones, and a look for each */
{
    uint64_t expiry_ms = SLOT * 100;
    for (uint32_t i = 0; i < TXS; i++) {
        dsmr_executed_ids_prefetch(executed_ids, &txs[i].id, expiry_ms);
        check(dsmr_executed_ids_add(executed_ids, &txs[i].id, expiry_ms), "add");
    }
    for (uint32_t i = 0; i < TXS; i++) {
        must(dsmr_executed_ids_has(executed_ids, &txs[i].id, expiry_ms), "has");
    }
}

STAGE stage_assemble(void) /* order, windows, duplicates: a block of TXS becomes a plan */
{
    dsmr_assembler_run(node);
    must(node->queue.executing == 1 && node->queue.items[0].plan->txs_count == TXS, "assemble");
}

STAGE stage_own_ids(void)
{
    dsmr_own_ids_add(own_ids, chunk);
    for (uint32_t i = 0; i < TXS; i++) {
        must(dsmr_own_ids_has(own_ids, &txs[i].id), "has");
    }
    dsmr_own_ids_remove(own_ids, chunk);
}

STAGE stage_map(void) /* TXS in, found, out */
{
    for (uint32_t i = 0; i < TXS; i++) {
        must(dsmr_map_add(map, &txs[i].id, NULL) != NULL, "add");
    }
    for (uint32_t i = 0; i < TXS; i++) {
        must(dsmr_map_find(map, &txs[i].id) != NULL, "find");
    }
    for (uint32_t i = 0; i < TXS; i++) {
        must(dsmr_map_remove(map, &txs[i].id), "remove");
    }
}

STAGE stage_exec_index(void) /* BLOCKS of TXS, merged once */
{
    for (uint32_t b = 0; b < BLOCKS; b++) {
        struct dsmr_kv_txn *txn = NULL;
        check(kv.ops->begin(kv.self, &txn, true), "begin");
        check(dsmr_exec_index_add(&kv, txn, executed[b]), "index");
        check(kv.ops->commit(kv.self, txn), "commit");
    }
}

/* ---- what a stage cannot be faster than ---- */

static uint8_t sink[TXS * 4][48]; /* as many places as a table of TXS has, or more */

static void primitive_hash_many(void)
{
    static struct dsmr_id ids[TXS];
    struct dsmr_hash_message messages[TXS];
    for (uint32_t i = 0; i < TXS; i++) {
        messages[i] = (struct dsmr_hash_message){.bytes = txs_bytes[i], .len = TX_BYTES};
    }
    dsmr_hash_many(ids, messages, TXS);
}

static void primitive_hash_ids(void)
{
    struct dsmr_id id;
    dsmr_hash(&id, chunk->tx_ids, TXS * sizeof *chunk->tx_ids);
}

static void primitive_hash_block(void)
{
    struct dsmr_id id;
    dsmr_hash(&id, block_buf->bytes, block_buf->len);
}

static void primitive_copy(void)
{
    static uint8_t bytes[TXS * TX_BYTES];
    memcpy(bytes, txs_bytes, sizeof bytes);
    sink[0][0] ^= bytes[TXS];
}

static uint32_t numbers[2048]; /* twice TXS, or a little more */

static void primitive_number(void) /* of each, to a place that follows from its id */
{
    for (uint32_t i = 0; i < TXS; i++) {
        numbers[dsmr_load_be32(txs[i].id.bytes) % 2048u] = i;
    }
    sink[0][0] ^= (uint8_t)numbers[TXS];
}

static void primitive_place(void) /* each id to a place that follows from it */
{
    for (uint32_t i = 0; i < TXS; i++) {
        memcpy(sink[dsmr_load_be32(txs[i].id.bytes) % (TXS * 4)], txs[i].id.bytes, 32);
    }
}

static void primitive_index(void)
{
    for (uint32_t b = 0; b < BLOCKS; b++) {
        memcpy(sink, executed[b]->ids, TXS * sizeof executed[b]->ids[0]);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
    uint32_t count;       /* of what a run is about */
    const char *of, *why; /* what that is; the primitive */
    void (*primitive)(void);
} stages[] = {
    {"hash", stage_hash, TXS, "tx", "many at once", primitive_hash_many},
    {"tx_root", stage_tx_root, TXS, "tx", "SHA-256 of all ids in a row", primitive_hash_ids},
    {"chunk_build", stage_chunk_build, TXS, "tx", "copy", primitive_copy},
    {"chunk_decode", stage_chunk_decode, TXS, "tx", "hash, many at once", primitive_hash_many},
    {"chunk_check", stage_chunk_check, TXS, "tx", "number to its place", primitive_number},
    {"block_build", stage_block_build, CERTS, "cert", "SHA-256 of it", primitive_hash_block},
    {"block_decode", stage_block_decode, CERTS, "cert", "SHA-256 of it", primitive_hash_block},
    {"mempool", stage_mempool, TXS, "tx", "id to its place", primitive_place},
    {"executed_ids", stage_executed_ids, TXS, "tx", "id to its place", primitive_place},
    {"assemble", stage_assemble, TXS, "tx", "id to its place", primitive_place},
    {"own_ids", stage_own_ids, TXS, "tx", "id to its place", primitive_place},
    {"map", stage_map, TXS, "tx", "id to its place", primitive_place},
    {"exec_index", stage_exec_index, BLOCKS *TXS, "tx", "copy of the ids", primitive_index},
};

/* ---- times ---- */

static double thread_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare_ns(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Each run works on new inputs: a stage may use them up. */
static double median_ns(void (*run)(void))
{
    double took[RUNS];
    for (uint32_t i = 0; i < RUNS; i++) {
        set_up();
        double begun = thread_ns();
        run();
        took[i] = thread_ns() - begun;
        tear_down();
    }
    qsort(took, RUNS, sizeof took[0], compare_ns);
    return took[RUNS / 2];
}

static void time_all(void)
{
    printf("%-14s %10s %10s %7s  primitive\n", "stage", "ns each", "primitive", "times");
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        double stage = median_ns(stages[i].run) / stages[i].count;
        double primitive = median_ns(stages[i].primitive) / stages[i].count;
        printf("%-14s %10.1f %10.1f %7.1f  %s, a %s\n", stages[i].name, stage, primitive,
               stage / primitive, stages[i].why, stages[i].of);
    }
}

int main(int argc, char **argv)
{
    bool is_list = argc == 2 && strcmp(argv[1], "--list") == 0;
    if (argc == 1) {
        time_all();
        return 0;
    }
    if (!is_list) {
        set_up();
    }
    for (int a = 1; a < argc; a++) {
        bool is_known = false;
        for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
            if (is_list) {
                (void)puts(stages[i].name);
            } else if (strcmp(argv[a], stages[i].name) == 0) {
                stages[i].run();
                is_known = true;
            }
        }
        if (!is_known && !is_list) {
            (void)fprintf(stderr, "bench_gate: no stage %s\n", argv[a]);
            return 64;
        }
    }
    return 0;
}
