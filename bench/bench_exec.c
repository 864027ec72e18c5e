/* bench_exec.c - what finding a transaction costs, and what execution pays for it.
 *
 * usage: bench_exec [directory] [blocks] [transactions per block]
 * default: 100 000 blocks of 40 in the current directory, which should be on the disk to be
 * measured; eight blocks share a durable commit, as they do under load. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/files.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "driver/exec_record.h"
#include "store/lmdb_kv.h"

#define BATCH 8u
#define LOOKUPS 2000u
#define MAP_BYTES (64ull << 30)

static char directory[512];

static double now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void check(enum dsmr_err err, const char *what)
{
    if (err != DSMR_OK) {
        (void)fprintf(stderr, "bench_exec: %s: %s\n", what, dsmr_err_name(err));
        exit(1);
    }
}

static void id_of(struct dsmr_id *id, uint64_t n)
{
    uint8_t bytes[8];
    dsmr_store_be64(bytes, n);
    dsmr_hash(id, bytes, sizeof bytes);
}

/* Ids are made before the clock runs. */
static struct dsmr_executed *block_new(uint64_t height, uint32_t txs)
{
    struct dsmr_executed *executed = dsmr_exec_record_new(txs);
    if (executed == NULL)
        check(DSMR_ERR_NO_MEMORY, "block");
    executed->height = height;
    executed->time_ms = height * 100;
    for (uint32_t i = 0; i < txs; i++)
        id_of(&executed->ids[i], height * txs + i);
    return executed;
}

static void look_up(const struct dsmr_kv *kv, uint64_t blocks, uint32_t txs, bool is_known)
{
    struct dsmr_kv_txn *txn = NULL;
    double us = 0, max = 0;
    for (uint32_t i = 0; i < LOOKUPS && us < 2e7; i++) {
        struct dsmr_app_result result;
        struct dsmr_id id;
        uint64_t height = 0, n = (uint64_t)i * 7919u % (blocks * txs);
        id_of(&id, is_known ? n + txs : UINT64_MAX - n);
        double begin = now_us();
        check(kv->ops->begin(kv->self, &txn, false), "snapshot");
        enum dsmr_err err = dsmr_exec_record_find(&height, &result, kv, txn, &id);
        kv->ops->abort(kv->self, txn);
        double one = now_us() - begin;
        us += one;
        max = one > max ? one : max;
        if (err != (is_known ? DSMR_OK : DSMR_ERR_UNKNOWN))
            check(err == DSMR_OK ? DSMR_ERR_CORRUPT : err, "find");
        if (i + 1 == LOOKUPS || us >= 2e7)
            (void)printf("  a%s transaction         %10.1f us   max %10.1f us\n",
                         is_known ? " known " : "n unknown", us / (i + 1), max);
    }
}

int main(int argc, char **argv)
{
    const char *where = argc > 1 ? argv[1] : ".";
    uint64_t blocks = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000;
    uint32_t txs = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 40;
    static struct dsmr_lmdb_kv store;
    uint64_t *expiries_ms = calloc(txs + 1u, sizeof *expiries_ms);
    double put_us = 0, commit_us = 0, max_us = 0;
    for (uint32_t i = 0; expiries_ms != NULL && i < txs; i++)
        expiries_ms[i] = 1700000000000 + i % 1000;
    check(dsmr_files_make_temporary(directory, sizeof directory, where, "bench_exec"), where);
    check(expiries_ms != NULL ? DSMR_OK : DSMR_ERR_NO_MEMORY, "set-up");
    check(dsmr_lmdb_env_open(&store.env, directory, MAP_BYTES, 0, 8, NULL), "open");
    struct dsmr_kv kv = dsmr_lmdb_kv_port(&store);
    for (uint64_t height = 1; height <= blocks;) {
        struct dsmr_executed *executed[BATCH];
        struct dsmr_kv_txn *txn = NULL;
        uint32_t count = 0;
        for (; count < BATCH && height <= blocks; count++, height++)
            executed[count] = block_new(height, txs);
        check(kv.ops->begin(kv.self, &txn, true), "begin");
        double begin = now_us();
        for (uint32_t i = 0; i < count; i++) {
            struct dsmr_exec_head head = {.height = executed[i]->height,
                                          .time_ms = executed[i]->time_ms};
            double one = now_us();
            check(dsmr_exec_record_put(&kv, txn, &head, executed[i], expiries_ms), "put");
            one = now_us() - one;
            max_us = one > max_us ? one : max_us;
            dsmr_executed_unref(executed[i]);
        }
        double middle = now_us();
        put_us += middle - begin;
        check(kv.ops->commit(kv.self, txn), "commit");
        commit_us += now_us() - middle;
    }
    (void)printf("%llu blocks of %u transactions, %u a commit\n", (unsigned long long)blocks, txs,
                 BATCH);
    (void)printf("  records, a block             %10.1f us   max %10.1f us\n",
                 put_us / (double)blocks, max_us);
    (void)printf("  commit, a block              %10.1f us\n", commit_us / (double)blocks);
    look_up(&kv, blocks, txs, true);
    look_up(&kv, blocks, txs, false);
    MDB_envinfo info;
    (void)mdb_env_info(store.env.env, &info);
    (void)printf("  on disk, a transaction       %10.1f bytes\n",
                 (double)info.me_last_pgno * store.env.page_bytes / (double)(blocks * txs));
    dsmr_lmdb_env_close(&store.env);
    dsmr_files_remove_folder(directory);
    free(expiries_ms);
    return 0;
}
