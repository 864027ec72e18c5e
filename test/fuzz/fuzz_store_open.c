/* fuzz_store_open.c - a data folder whose records nobody wrote: what a start, reads and garbage
 * collection make of them.
 *
 * How:    {sizes of two files of bodies, u8 each}, then rows {kind u8, key u8, form u8, argument
 *         u8}: form even: {length u16, bytes} follow and are the record; odd: the record is made of
 *         the argument. Both are sealed with the right checksum, but for form 2 (modulo 4).
 * Checks: the store opens, or says in one line why not; recovery hands over what its records say,
 *         each id, height and key of the space it is of; a body that is given is as long as its
 *         record says; garbage collection and new chunks end, with OK or a reason, and what was
 *         written is there. */
#include <dirent.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/files.h"
#include "base/bytes.h"
#include "store/lmdb_store.h"
#include "store/schema.h"
#include "store/store_janitor.h"
#include "wire/codec.h"
#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS_MAX = 64, IDS = 8, RECORD_MAX = 8192 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* ---- a folder of this process ---- */

static char folder[64];

static void remove_folder(void)
{
    dsmr_files_remove_folder(folder);
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void make_folder(void)
{
    const char *in = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    must(dsmr_files_make_temporary(folder, sizeof folder, in, "dsmr-fuzz") == DSMR_OK &&
         atexit(remove_folder) == 0);
    must(mkdir(path_of("consensus"), 0700) == 0 && mkdir(path_of("chunks"), 0700) == 0);
}

static void remove_bodies(void)
{
    DIR *dir = opendir(path_of("chunks"));
    must(dir != NULL);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        if (entry->d_name[0] != '.')
            must(unlinkat(dirfd(dir), entry->d_name, 0) == 0);
    (void)closedir(dir);
}

/* Bodies: a byte that depends on its place. */
static void make_segment(uint32_t number, size_t len)
{
    static uint8_t bytes[256 * 64];
    char name[40];
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 7 + number);
    snprintf(name, sizeof name, "chunks/%016x.seg", number);
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    (void)close(fd);
}

/* ---- records ---- */

static const char kinds[] = "FGADbiqctwjepvsSR";

static struct dsmr_id id_of(uint8_t n)
{
    struct dsmr_id id = {{(uint8_t)(n % IDS)}};
    return id;
}

static struct dsmr_reference ref_of(uint8_t n)
{
    struct dsmr_reference ref = {.chunk_id = id_of(n), .epoch = 1, .slot = n, .expiry_ms = 100 + n};
    ref.tx_count = 1;
    ref.chunk_bytes = 100;
    return ref;
}

/* The key of a record, by its first byte. n 255: the last that there can be. */
static void make_key(struct dsmr_schema_key *key, enum dsmr_schema_space space, uint8_t n)
{
    const struct dsmr_reference ref = ref_of(n);
    const struct dsmr_id id = id_of(n);
    const struct dsmr_store_journal entry = {
        .slot = n, .chunk_id = id, .epoch = 1, .expiry_ms = 100 + n};
    switch (space) {
    case DSMR_SCHEMA_BLOCK:
    case DSMR_SCHEMA_FINALIZATION:
    case DSMR_SCHEMA_EVIDENCE:
    case DSMR_SCHEMA_SEGMENT:
    case DSMR_SCHEMA_RELEASED:
        dsmr_schema_key_u64(key, space, n == 255 ? UINT64_MAX : n % 8u);
        return;
    case DSMR_SCHEMA_BLOCK_ID:
    case DSMR_SCHEMA_CHUNK:
    case DSMR_SCHEMA_CERT:
        dsmr_schema_key_id(key, space, &id);
        return;
    case DSMR_SCHEMA_WAITING:
        dsmr_schema_key_waiting(key, &ref);
        return;
    case DSMR_SCHEMA_JOURNAL:
        dsmr_schema_key_journal(key, &entry);
        return;
    case DSMR_SCHEMA_EVIDENCE_OF:
        dsmr_schema_key_evidence_of(key, &entry.producer, n);
        return;
    case DSMR_SCHEMA_BFT:
        dsmr_schema_key_bft(key, &n, 1);
        return;
    default:
        dsmr_schema_key(key, space);
        return;
    }
}

static void write_chunk(struct dsmr_wr *wr, uint8_t n, uint8_t argument)
{
    struct dsmr_schema_chunk chunk = {.meta.ref = ref_of(n)};
    chunk.meta.included_height = argument % 2 == 0 ? UINT64_MAX : argument % 8u;
    chunk.meta.is_signed = argument & 2;
    chunk.place.segment = argument & 4 ? 1 : 2;
    chunk.place.offset = argument & 8 ? 4096 : 0;
    chunk.place.len = argument & 128 ? UINT32_MAX : (argument & 16 ? 100 : 5000);
    chunk.place.crc = argument;
    dsmr_schema_chunk_encode(wr, &chunk);
}

static void write_released(struct dsmr_wr *wr, uint8_t argument)
{
    uint32_t count = argument % 2 == 0 ? argument : DSMR_STORE_JANITOR_CHUNKS_MAX;
    dsmr_wr_u32(wr, count + (argument & 4 ? argument * 1000u : 0)); /* it may lie */
    for (uint32_t i = 0; i < count; i++) {
        dsmr_wr_u64(wr, 1 + i % 3);
        dsmr_wr_u64(wr, 4096u * i);
        dsmr_wr_u32(wr, argument & 8 ? UINT32_MAX : 4096);
    }
}

static void write_block(struct dsmr_wr *wr, uint8_t n, uint8_t argument)
{
    struct dsmr_id id = id_of(n);
    uint32_t count = argument % 5u;
    dsmr_wr_bytes(wr, id.bytes, 32);
    dsmr_wr_u64(wr, n);
    dsmr_wr_u64(wr, n);
    dsmr_wr_u32(wr, count);
    for (uint32_t i = 0; i < count; i++) {
        id = id_of((uint8_t)(argument / 5u + i));
        dsmr_wr_bytes(wr, id.bytes, 32);
    }
    dsmr_wr_u32(wr, 3);
    dsmr_wr_bytes(wr, "abc", 3);
}

static void write_fields(struct dsmr_wr *wr, enum dsmr_schema_space space, uint8_t n,
                         uint8_t argument)
{
    struct dsmr_cert cert = {.ref = ref_of(n), .signers.words = {7}};
    struct dsmr_quorum_cert qc = {.subject.kind = DSMR_VOTE_FINALIZE, .signers.words = {7}};
    const struct dsmr_store_journal entry = {.chunk_id = id_of(argument), .epoch = argument};
    const struct dsmr_schema_segment segment = {argument % 4u, argument * 64u};
    const struct dsmr_id id = id_of(argument);
    switch (space) {
    case DSMR_SCHEMA_CHUNK:
        write_chunk(wr, n, argument);
        return;
    case DSMR_SCHEMA_CERT:
        dsmr_cert_encode(wr, &cert);
        return;
    case DSMR_SCHEMA_FINALIZATION:
        qc.subject.height = n;
        dsmr_quorum_cert_encode(wr, &qc);
        return;
    case DSMR_SCHEMA_BLOCK:
        write_block(wr, n, argument);
        return;
    case DSMR_SCHEMA_JOURNAL:
        dsmr_schema_journal_encode(wr, &entry);
        return;
    case DSMR_SCHEMA_SEGMENT:
        dsmr_schema_segment_encode(wr, &segment);
        return;
    case DSMR_SCHEMA_RELEASED:
        write_released(wr, argument);
        return;
    case DSMR_SCHEMA_ACCEPTED:
        dsmr_wr_u64(wr, argument % 8u);
        dsmr_wr_bytes(wr, id.bytes, 32);
        return;
    case DSMR_SCHEMA_WAITING:
        return;
    case DSMR_SCHEMA_FORMAT_KEY:
        dsmr_wr_u64(wr, argument % 4u);
        return;
    default:
        dsmr_wr_u64(wr, argument == 255 ? UINT64_MAX : argument);
        return;
    }
}

struct rows {
    const uint8_t *bytes;
    size_t left;
};

static uint8_t take(struct rows *rows)
{
    if (rows->left == 0)
        return 0;
    rows->left--;
    return *rows->bytes++;
}

static void put_row(struct rows *rows, MDB_txn *txn, MDB_dbi dbi)
{
    static uint8_t record[RECORD_MAX];
    struct dsmr_schema_key key;
    struct dsmr_wr wr;
    enum dsmr_schema_space space = (enum dsmr_schema_space)kinds[take(rows) % (sizeof kinds - 1)];
    uint8_t n = take(rows), form = take(rows);
    make_key(&key, space, n);
    dsmr_schema_begin(&wr, record, sizeof record);
    if (form % 2 == 0) {
        size_t len = (size_t)take(rows) << 8;
        len |= take(rows);
        len = len < rows->left ? len : rows->left;
        len = len < RECORD_MAX - 16 ? len : RECORD_MAX - 16;
        dsmr_wr_bytes(&wr, rows->bytes, len);
        rows->bytes += len;
        rows->left -= len;
    } else {
        write_fields(&wr, space, n, take(rows));
    }
    must(dsmr_schema_seal(&wr, key.bytes, key.len));
    if (form % 4 == 2)
        record[wr.at - 1] ^= 1;
    MDB_val k = {key.len, key.bytes}, v = {wr.at, record};
    must(mdb_put(txn, dbi, &k, &v, 0) == 0);
}

/* A database of the format's own record and the rows, in place of the last input's. */
static void make_database(struct rows *rows)
{
    static const uint8_t format[] = {1, 0, 0, 0, 0, 0, 0, 0, DSMR_SCHEMA_FORMAT, 0, 0, 0, 0};
    uint8_t record[sizeof format];
    struct dsmr_schema_key key;
    struct dsmr_wr wr;
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi dbi = 0;
    must(mdb_env_create(&env) == 0 && mdb_env_set_mapsize(env, 16u << 20) == 0);
    must(mdb_env_open(env, path_of("consensus"), MDB_NOSYNC, 0600) == 0);
    must(mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
    must(mdb_drop(txn, dbi, 0) == 0);
    dsmr_schema_key(&key, DSMR_SCHEMA_FORMAT_KEY);
    dsmr_schema_begin(&wr, record, sizeof record);
    dsmr_wr_bytes(&wr, format + 1, 8);
    must(dsmr_schema_seal(&wr, key.bytes, key.len));
    MDB_val k = {key.len, key.bytes}, v = {wr.at, record};
    must(mdb_put(txn, dbi, &k, &v, 0) == 0);
    for (int i = 0; i < ROWS_MAX && rows->left > 0; i++)
        put_row(rows, txn, dbi);
    must(mdb_txn_commit(txn) == 0);
    mdb_env_close(env);
}

/* ---- the inbox ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint32_t completed;

static bool offer(void *self, struct dsmr_task *task)
{
    (void)self, (void)task;
    return false;
}
static void complete(void *self, struct dsmr_task *task)
{
    (void)self, (void)task;
    pthread_mutex_lock(&lock);
    completed++;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}
static const struct dsmr_inbox_ops inbox_ops = {offer, complete};

static enum dsmr_err do_write(const struct dsmr_store *port, struct dsmr_store_write *write)
{
    completed = 0;
    port->ops->write(port->self, write);
    pthread_mutex_lock(&lock);
    while (completed == 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return write->err;
}

static void line(void *self, enum dsmr_log_level level, const char *module, const char *text)
{
    (void)self, (void)level, (void)module;
    must(text[0] != '\0' && strchr(text, '\n') == NULL);
}
static const struct dsmr_log_ops log_ops = {line};

/* ---- what recovery hands over ---- */

static enum dsmr_err on_floor(void *ctx, uint64_t floor_ms)
{
    (void)ctx, (void)floor_ms;
    return DSMR_OK;
}
static enum dsmr_err on_journal(void *ctx, const struct dsmr_store_journal *entry)
{
    (void)ctx;
    must(entry->expiry_ms == 100 + entry->slot && entry->slot < 256);
    return DSMR_OK;
}
static enum dsmr_err on_chunk(void *ctx, const struct dsmr_store_chunk_meta *meta)
{
    (void)ctx, (void)meta;
    return DSMR_OK;
}
static enum dsmr_err on_cert(void *ctx, const struct dsmr_cert *cert)
{
    (void)ctx, (void)cert;
    return DSMR_OK;
}
static enum dsmr_err on_bft(void *ctx, const uint8_t *key, uint32_t key_len, const uint8_t *value,
                            uint32_t value_len)
{
    (void)ctx, (void)key;
    must(key_len == 1 && (value_len == 0 || value != NULL));
    return DSMR_OK;
}

static bool is_known(enum dsmr_err err)
{
    return err == DSMR_OK || err == DSMR_ERR_UNKNOWN || err == DSMR_ERR_CORRUPT;
}

static void read_all(struct dsmr_store *port)
{
    struct dsmr_store_visitor visitor = {port,     false,   on_floor, on_journal,
                                         on_chunk, on_cert, on_bft};
    struct dsmr_evidence evidence;
    struct dsmr_id id;
    uint64_t height = 0, cursor = 0, before = 0;
    for (int i = 0; i < 2; i++, visitor.with_history = true)
        must(is_known(port->ops->recover(port->self, &visitor)));
    for (uint8_t n = 0; n < IDS; n++) {
        struct dsmr_buf *buf = NULL;
        struct dsmr_cert cert;
        struct dsmr_quorum_cert qc;
        bool has = false;
        id = id_of(n);
        must(is_known(port->ops->load_chunk(port->self, &buf, &id)));
        dsmr_buf_unref(buf);
        buf = NULL;
        must(is_known(port->ops->load_cert(port->self, &cert, &id)));
        must(is_known(port->ops->find_block(port->self, &height, &id)));
        must(is_known(port->ops->load_block(port->self, &buf, &qc, &has, n)));
        dsmr_buf_unref(buf);
    }
    must(is_known(port->ops->last_accepted(port->self, &height, &id)));
    while (port->ops->next_evidence(port->self, &evidence, &cursor) == DSMR_OK) {
        must(cursor > before);
        before = cursor;
    }
}

/* ---- what is written then ---- */

static void write_all(const struct dsmr_store *port)
{
    static const uint8_t body[5000] = {1, 2, 3};
    struct dsmr_id ids[2] = {id_of(0), id_of(1)};
    struct dsmr_store_write gc = {.kind = DSMR_STORE_GC};
    gc.u.gc = (struct dsmr_store_gc){.floor_ms = 104,
                                     .chunks = ids,
                                     .chunks_count = 2,
                                     .drop_journals = true,
                                     .retained = {true, 6, 6, 6}};
    must(do_write(port, &gc) == DSMR_OK);
    const struct dsmr_store_chunk_meta meta = {
        .ref = ref_of(7), .included_height = UINT64_MAX, .is_signed = true};
    struct dsmr_store_write chunk = {.kind = DSMR_STORE_CHUNK};
    chunk.u.chunk.meta = &meta;
    chunk.u.chunk.bytes = body;
    chunk.u.chunk.len = sizeof body;
    enum dsmr_err err = do_write(port, &chunk);
    must(err == DSMR_OK || err == DSMR_ERR_CONFLICT || err == DSMR_ERR_IO);
    struct dsmr_buf *buf = NULL;
    if (err == DSMR_OK) {
        must(port->ops->load_chunk(port->self, &buf, &meta.ref.chunk_id) == DSMR_OK);
        dsmr_buf_unref(buf);
    }
    const struct dsmr_cert cert = {.ref = ref_of(6), .signers.words = {7}};
    struct dsmr_store_write put = {.kind = DSMR_STORE_CERT, .u.cert = &cert};
    must(do_write(port, &put) == DSMR_OK || err == DSMR_ERR_IO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rows rows = {data, size};
    struct dsmr_lmdb_store *store = NULL;
    char reason[300] = "";
    if (folder[0] == '\0')
        make_folder();
    remove_bodies();
    make_segment(1, (size_t)take(&rows) * 64);
    make_segment(2, (size_t)take(&rows) * 64);
    make_database(&rows);
    const struct dsmr_lmdb_store_config config = {.directory = folder,
                                                  .inbox.ops = &inbox_ops,
                                                  .log.ops = &log_ops,
                                                  .consensus_map_bytes = 16u << 20,
                                                  .state_map_bytes = 1u << 20,
                                                  .segment_bytes = 1u << 16,
                                                  .reserve_bytes = 1u << 16,
                                                  .readers_max = 8,
                                                  .reason = reason,
                                                  .reason_bytes = sizeof reason};
    enum dsmr_err err = dsmr_lmdb_store_open(&store, &config);
    if (err != DSMR_OK) {
        must(err == DSMR_ERR_CORRUPT || err == DSMR_ERR_NEWER_FORMAT);
        must(reason[0] != '\0' && strchr(reason, '\n') == NULL);
        return 0;
    }
    struct dsmr_store port = dsmr_lmdb_store_port(store);
    read_all(&port);
    write_all(&port);
    dsmr_lmdb_store_close(store);
    return 0;
}
