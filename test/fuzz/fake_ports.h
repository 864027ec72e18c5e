/* fake_ports.h - a node's ports for the fuzzers of its doors: a little of every answer. */
#ifndef DSMR_TEST_FUZZ_FAKE_PORTS_H
#define DSMR_TEST_FUZZ_FAKE_PORTS_H

#include <stdlib.h>
#include <string.h>

#include "api/routes.h"

static struct dsmr_metrics metrics;

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void status(void *self, struct dsmr_query_status *out)
{
    (void)self;
    memset(out, 0, sizeof(*out));
}
static enum dsmr_err some_tx(void *self, struct dsmr_query_tx *out, const struct dsmr_id *id)
{
    (void)self;
    if (id->bytes[0] % 4 < 2) {
        return id->bytes[0] % 4 == 0 ? DSMR_ERR_UNKNOWN : DSMR_ERR_PRUNED;
    }
    memset(out, 0, sizeof(*out));
    out->state = id->bytes[0] % 4 == 2 ? DSMR_TX_FAILED : DSMR_TX_IN_BLOCK;
    return DSMR_OK;
}
static enum dsmr_err no_block(void *self, struct dsmr_block **out, uint64_t height)
{
    (void)self;
    (void)out;
    return height % 2 == 0 ? DSMR_ERR_UNKNOWN : DSMR_ERR_PRUNED;
}
static enum dsmr_err find_block(void *self, uint64_t *height, const struct dsmr_id *id)
{
    (void)self;
    *height = id->bytes[0];
    return DSMR_OK;
}
static enum dsmr_err some_executed(void *self, struct dsmr_executed **out, uint64_t height)
{
    static struct dsmr_id ids[3];
    static struct dsmr_app_result results[3];
    static struct dsmr_executed executed = {.refs = 1, .count = 3, .ids = ids, .results = results};
    (void)self;
    executed.height = height;
    *out = dsmr_executed_ref(&executed);
    return DSMR_OK;
}
static enum dsmr_err no_chunk(void *self, struct dsmr_chunk **out, struct dsmr_cert *cert,
                              bool *has_cert, const struct dsmr_id *id)
{
    (void)self;
    (void)out;
    (void)cert;
    (void)has_cert;
    (void)id;
    return DSMR_ERR_UNKNOWN;
}
static struct dsmr_validator_set *no_set(void *self)
{
    (void)self;
    return NULL;
}
static enum dsmr_err endless_evidence(void *self, struct dsmr_evidence *out, uint64_t *cursor)
{
    (void)self;
    memset(out, 0, sizeof(*out));
    ++*cursor;
    return DSMR_OK;
}
/* The path that the application gets is plain. */
static enum dsmr_err account(void *self, struct dsmr_app_text *out, const char *path)
{
    (void)self;
    must(strncmp(path, "accounts/", 9) == 0 && strlen(path) <= 9 + 128);
    for (const char *c = path + 9; *c != '\0'; c++) {
        must((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z'));
    }
    memcpy(out->bytes, "{}", 3);
    out->len = 2;
    return DSMR_OK;
}
static const struct dsmr_metrics *get_metrics(void *self)
{
    (void)self;
    return &metrics;
}
static const struct dsmr_query_ops query_ops = {.status = status,
                                                .tx = some_tx,
                                                .block = no_block,
                                                .find_block = find_block,
                                                .executed = some_executed,
                                                .chunk = no_chunk,
                                                .validators = no_set,
                                                .next_evidence = endless_evidence,
                                                .app = account,
                                                .metrics = get_metrics};

/* Takes every other batch; what it takes is freed at once, as if the driver gave it back. */
static bool submit(void *self, struct dsmr_submit_batch *batch)
{
    static unsigned count;
    (void)self;
    must(batch->count == 1 && batch->txs[0].len >= DSMR_TX_BYTES_MIN &&
         batch->txs[0].len <= DSMR_ROUTES_BODY_BYTES_MAX / 2);
    if (++count % 2 == 0) {
        return false;
    }
    dsmr_tracker_batch_free(batch);
    return true;
}
static const struct dsmr_submit_ops submit_ops = {.submit = submit};

static void tx_id(struct dsmr_id *out, const void *bytes, size_t len)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->bytes, bytes, len < sizeof(out->bytes) ? len : sizeof(out->bytes));
}
static uint64_t now(void *self)
{
    (void)self;
    return 1000;
}
static const struct dsmr_clock_ops clock_ops = {.wall_ms = now, .mono_ms = now};

static void wake(void *ctx)
{
    (void)ctx;
}

#endif
