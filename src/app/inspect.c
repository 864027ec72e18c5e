#include "app/inspect.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/exit_codes.h"
#include "app/home_check.h"
#include "base/bytes.h"
#include "driver/exec_record.h"
#include "host/host_inbox.h"
#include "store/lmdb_store.h"

struct counts {
    uint64_t floor_ms;
    uint64_t journals, chunks, included, own, certs, votes, evidence;
};

static enum dsmr_err on_floor(void *ctx, uint64_t floor_ms)
{
    ((struct counts *)ctx)->floor_ms = floor_ms;
    return DSMR_OK;
}

static enum dsmr_err on_journal(void *ctx, const struct dsmr_store_journal *entry)
{
    (void)entry;
    ((struct counts *)ctx)->journals++;
    return DSMR_OK;
}

static enum dsmr_err on_chunk(void *ctx, const struct dsmr_store_chunk_meta *meta)
{
    struct counts *counts = ctx;
    counts->chunks++;
    counts->included += meta->included_height != UINT64_MAX;
    counts->own += meta->is_own;
    return DSMR_OK;
}

static enum dsmr_err on_cert(void *ctx, const struct dsmr_cert *cert)
{
    (void)cert;
    ((struct counts *)ctx)->certs++;
    return DSMR_OK;
}

static enum dsmr_err on_bft(void *ctx, const uint8_t *key, uint32_t key_len, const uint8_t *value,
                            uint32_t value_len)
{
    (void)key, (void)key_len, (void)value, (void)value_len;
    ((struct counts *)ctx)->votes++;
    return DSMR_OK;
}

static void print(bool is_json, const struct counts *counts, uint64_t height,
                  const struct dsmr_id *block_id, const struct dsmr_exec_head *head)
{
    char id[65], root[65];
    dsmr_hex_encode(id, block_id->bytes, sizeof block_id->bytes);
    dsmr_hex_encode(root, head->state_root.bytes, sizeof head->state_root.bytes);
    const char *format =
        is_json
            ? "{\"accepted_height\":%" PRIu64 ",\"accepted_id\":\"%s\",\"executed_height\":%" PRIu64
              ",\"state_root\":\"%s\",\"floor_ms\":%" PRIu64 ",\"journal_entries\":%" PRIu64
              ",\"chunks\":%" PRIu64 ",\"chunks_included\":%" PRIu64 ",\"chunks_own\":%" PRIu64
              ",\"certificates\":%" PRIu64 ",\"vote_records\":%" PRIu64 ",\"evidence\":%" PRIu64
              "}\n"
            : "accepted height   %" PRIu64 "\naccepted block    %s\nexecuted height   %" PRIu64
              "\nstate root        %s\nfloor             %" PRIu64 " ms\njournal entries   %" PRIu64
              "\nchunks            %" PRIu64 "\n  included        %" PRIu64
              "\n  own             %" PRIu64 "\ncertificates      %" PRIu64
              "\nvote records      %" PRIu64 "\nevidence          %" PRIu64 "\n";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    printf(format, height, id, head->height, root, counts->floor_ms, counts->journals,
           counts->chunks, counts->included, counts->own, counts->certs, counts->votes,
           counts->evidence);
#pragma GCC diagnostic pop
}

void dsmr_inspect_give_up(const char *path, const char *what)
{
    fprintf(stderr, "dsmrd: %s: is damaged (%s)\n", path, what);
    _exit(DSMR_EXIT_DATA);
}

static enum dsmr_err gather(struct dsmr_lmdb_store *store, struct counts *counts, uint64_t *height,
                            struct dsmr_id *block_id, struct dsmr_exec_head *head, bool *is_state)
{
    struct dsmr_store port = dsmr_lmdb_store_port(store);
    struct dsmr_kv kv = dsmr_lmdb_store_kv(store);
    struct dsmr_store_visitor visitor = {.ctx = counts,
                                         .with_history = true,
                                         .floor = on_floor,
                                         .journal = on_journal,
                                         .chunk = on_chunk,
                                         .cert = on_cert,
                                         .bft = on_bft};
    struct dsmr_evidence evidence;
    struct dsmr_kv_txn *txn = NULL;
    uint64_t cursor = 0;
    enum dsmr_err err = port.ops->recover(port.self, &visitor);
    while (err == DSMR_OK && port.ops->next_evidence(port.self, &evidence, &cursor) == DSMR_OK)
        counts->evidence++;
    if (err == DSMR_OK)
        err = port.ops->last_accepted(port.self, height, block_id);
    err = err == DSMR_ERR_UNKNOWN ? DSMR_OK : err;
    *is_state = err == DSMR_OK;
    if (err == DSMR_OK)
        err = kv.ops->begin(kv.self, &txn, false);
    if (err == DSMR_OK) {
        err = dsmr_exec_record_head(head, &kv, txn);
        kv.ops->abort(kv.self, txn);
    }
    return err == DSMR_ERR_UNKNOWN ? DSMR_OK : err;
}

int dsmr_inspect_run(const struct dsmr_cli_values *values, const struct dsmr_home *home)
{
    char path[PATH_MAX], reason[PATH_MAX] = "";
    struct dsmr_home_lock lock;
    int code = dsmr_home_check_lock(values, home, &lock);
    if (code >= 0)
        return code;
    struct dsmr_host_inbox_config inbox_config;
    dsmr_host_inbox_config_default(&inbox_config);
    struct dsmr_host_inbox *inbox = dsmr_host_inbox_new(&inbox_config);
    struct dsmr_lmdb_store *store = NULL;
    struct counts counts;
    struct dsmr_exec_head head;
    struct dsmr_id block_id;
    uint64_t height = 0;
    memset(&counts, 0, sizeof counts);
    memset(&head, 0, sizeof head);
    memset(&block_id, 0, sizeof block_id);
    dsmr_home_path(path, home, "data");
    enum dsmr_err err = inbox == NULL ? DSMR_ERR_NO_MEMORY : DSMR_OK;
    if (err == DSMR_OK) {
        struct dsmr_lmdb_store_config config = {.directory = path,
                                                .inbox = dsmr_host_inbox_port(inbox),
                                                .reason = reason,
                                                .reason_bytes = sizeof reason,
                                                .give_up = dsmr_inspect_give_up};
        err = dsmr_lmdb_store_open(&store, &config);
    }
    if (err == DSMR_OK) {
        bool is_state = false;
        err = gather(store, &counts, &height, &block_id, &head, &is_state);
        dsmr_home_path(path, home, is_state ? "data/state/data.mdb" : "data/consensus/data.mdb");
    }
    dsmr_lmdb_store_close(store);
    dsmr_host_inbox_free(inbox);
    dsmr_home_lock_drop(&lock);
    if (err != DSMR_OK)
        return dsmr_cli_fail(values, DSMR_EXIT_DATA, "%s (%s)", reason[0] != '\0' ? reason : path,
                             dsmr_err_text(err));
    print(dsmr_cli_flag(values, "json"), &counts, height, &block_id, &head);
    return DSMR_EXIT_OK;
}
