/* bench_gate.c - stages of the data path with fixed inputs, to be counted and not timed.
 *
 * usage: bench_gate STAGE...       runs them; bench_gate --list names them
 * tools/gate.py runs each under callgrind, which counts the instructions of its stage_ function
 * alone, and compares with bench/gate.txt. An instruction is the same on a busy machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitset.h"
#include "base/bytes.h"
#include "base/map.h"
#include "base/metrics.h"
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
static struct dsmr_kv kv;
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

static void set_up(void)
{
    struct dsmr_block *block = NULL;
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
    struct dsmr_kv_mem *mem = dsmr_kv_mem_new();
    must(mem != NULL, "memory");
    kv = dsmr_kv_mem_port(mem);
    make_blocks();
}

/* ---- stages: not inlined, so that callgrind finds them by name ---- */

#define STAGE __attribute__((noinline)) void

STAGE stage_hash(void);
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
        struct dsmr_mempool_tx tx = {.owner = chunk_buf,
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

static const struct {
    const char *name;
    void (*run)(void);
} stages[] = {{"hash", stage_hash},
              {"chunk_build", stage_chunk_build},
              {"chunk_decode", stage_chunk_decode},
              {"chunk_check", stage_chunk_check},
              {"block_build", stage_block_build},
              {"block_decode", stage_block_decode},
              {"mempool", stage_mempool},
              {"executed_ids", stage_executed_ids},
              {"own_ids", stage_own_ids},
              {"map", stage_map},
              {"exec_index", stage_exec_index}};

int main(int argc, char **argv)
{
    bool is_list = argc == 2 && strcmp(argv[1], "--list") == 0;
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
