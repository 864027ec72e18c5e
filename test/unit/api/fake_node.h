/* fake_node.h - the ports behind the API, answered from tables, for the tests of this folder. */
#ifndef DSMR_TEST_API_FAKE_NODE_H
#define DSMR_TEST_API_FAKE_NODE_H

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/metrics.h"
#include "crypto/hash.h"
#include "ports/clock.h"
#include "ports/query.h"
#include "ports/submit.h"
#include "wire/codec.h"
#include "wire/tx_head.h"

#define FAKE_UNUSED __attribute__((unused))
#define FAKE_BATCHES_MAX 4096

#ifndef FAKE_WITH_DRIVER
/* The driver has these in the program; the api layer does not link it. */
struct dsmr_executed *dsmr_executed_ref(struct dsmr_executed *executed);
void dsmr_executed_unref(struct dsmr_executed *executed);
struct dsmr_executed *dsmr_executed_ref(struct dsmr_executed *executed)
{
    executed->refs++;
    return executed;
}
void dsmr_executed_unref(struct dsmr_executed *executed)
{
    if (executed != NULL && --executed->refs == 0) {
        free(executed->ids);
        free(executed->results);
        free(executed);
    }
}
#endif

struct fake_node {
    struct dsmr_query_status status;
    struct dsmr_query_tx tx;
    enum dsmr_err tx_err;
    struct dsmr_block *block;
    enum dsmr_err block_err;
    struct dsmr_executed *executed;
    struct dsmr_chunk *chunk;
    struct dsmr_cert cert;
    bool has_cert;
    struct dsmr_validator_set *set;
    struct dsmr_evidence evidence;
    uint64_t evidence_count;
    enum dsmr_err app_err;
    struct dsmr_metrics metrics;
    _Atomic uint64_t mono_ms, wall_ms;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_full;
    struct dsmr_submit_batch *batches[FAKE_BATCHES_MAX]; /* handed over, in order */
    size_t batches_count, batches_taken;
};

/* ---- query ---- */

static void fake_status(void *self, struct dsmr_query_status *out)
{
    *out = ((struct fake_node *)self)->status;
}

static enum dsmr_err fake_tx(void *self, struct dsmr_query_tx *out, const struct dsmr_id *id)
{
    const struct fake_node *node = self;
    (void)id;
    if (node->tx_err == DSMR_OK) {
        *out = node->tx;
    }
    return node->tx_err;
}

static enum dsmr_err fake_block(void *self, struct dsmr_block **out, uint64_t height)
{
    struct fake_node *node = self;
    if (node->block_err != DSMR_OK || node->block == NULL || node->block->height != height) {
        return node->block_err != DSMR_OK ? node->block_err : DSMR_ERR_UNKNOWN;
    }
    *out = dsmr_block_ref(node->block);
    return DSMR_OK;
}

static enum dsmr_err fake_find_block(void *self, uint64_t *height, const struct dsmr_id *id)
{
    const struct fake_node *node = self;
    if (node->block == NULL || !dsmr_id_equal(&node->block->id, id)) {
        return DSMR_ERR_UNKNOWN;
    }
    *height = node->block->height;
    return DSMR_OK;
}

static enum dsmr_err fake_executed(void *self, struct dsmr_executed **out, uint64_t height)
{
    struct fake_node *node = self;
    if (node->executed == NULL || node->executed->height != height) {
        return DSMR_ERR_PRUNED;
    }
    *out = dsmr_executed_ref(node->executed);
    return DSMR_OK;
}

static enum dsmr_err fake_chunk(void *self, struct dsmr_chunk **out, struct dsmr_cert *cert,
                                bool *has_cert, const struct dsmr_id *id)
{
    struct fake_node *node = self;
    if (node->chunk == NULL || !dsmr_id_equal(&node->chunk->ref.chunk_id, id)) {
        return DSMR_ERR_UNKNOWN;
    }
    *out = dsmr_chunk_ref(node->chunk);
    *cert = node->cert;
    *has_cert = node->has_cert;
    return DSMR_OK;
}

static struct dsmr_validator_set *fake_validators(void *self)
{
    return dsmr_validator_set_ref(((struct fake_node *)self)->set);
}

static enum dsmr_err fake_evidence(void *self, struct dsmr_evidence *out, uint64_t *cursor)
{
    const struct fake_node *node = self;
    if (*cursor >= node->evidence_count) {
        return DSMR_ERR_UNKNOWN;
    }
    ++*cursor;
    *out = node->evidence;
    return DSMR_OK;
}

static enum dsmr_err fake_app(void *self, struct dsmr_app_text *out, const char *path)
{
    const struct fake_node *node = self;
    if (node->app_err == DSMR_OK) {
        out->len = (size_t)snprintf(out->bytes, out->capacity, "{\"path\":\"%s\"}", path);
    }
    return node->app_err;
}

static const struct dsmr_metrics *fake_metrics(void *self)
{
    return &((struct fake_node *)self)->metrics;
}

static const struct dsmr_query_ops fake_query_ops = {.status = fake_status,
                                                     .tx = fake_tx,
                                                     .block = fake_block,
                                                     .find_block = fake_find_block,
                                                     .executed = fake_executed,
                                                     .chunk = fake_chunk,
                                                     .validators = fake_validators,
                                                     .next_evidence = fake_evidence,
                                                     .app = fake_app,
                                                     .metrics = fake_metrics};

/* ---- submit ---- */

static bool fake_submit(void *self, struct dsmr_submit_batch *batch)
{
    struct fake_node *node = self;
    pthread_mutex_lock(&node->lock);
    bool taken = !node->is_full && node->batches_count < FAKE_BATCHES_MAX;
    if (taken) {
        for (uint32_t i = 0; i < batch->count; i++) {
            dsmr_hash(&batch->txs[i].id, batch->bytes->bytes + batch->txs[i].offset,
                      batch->txs[i].len);
        }
        node->batches[node->batches_count++] = batch;
        pthread_cond_broadcast(&node->changed);
    }
    pthread_mutex_unlock(&node->lock);
    return taken;
}

static const struct dsmr_submit_ops fake_submit_ops = {.submit = fake_submit};

/* Waits for the next batch that was handed over; the caller publishes it. */
FAKE_UNUSED static struct dsmr_submit_batch *fake_take(struct fake_node *node)
{
    pthread_mutex_lock(&node->lock);
    while (node->batches_taken == node->batches_count) {
        pthread_cond_wait(&node->changed, &node->lock);
    }
    struct dsmr_submit_batch *batch = node->batches[node->batches_taken++];
    pthread_mutex_unlock(&node->lock);
    return batch;
}

/* ---- notices ---- */

/* As the driver gives a batch back; fake_refuse also counts err, as the core does. */
FAKE_UNUSED static void publish_batch(const struct dsmr_feed *feed, struct dsmr_submit_batch *batch,
                                      enum dsmr_err err)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        batch->txs[i].expiry_ms = dsmr_tx_expiry_ms(batch->bytes->bytes + batch->txs[i].offset);
        batch->txs[i].err = err;
    }
    const struct dsmr_notice notice = {.kind = DSMR_NOTICE_SUBMITTED, .u.batch = batch};
    feed->ops->publish(feed->self, &notice);
}

FAKE_UNUSED static void fake_refuse(struct fake_node *node, const struct dsmr_feed *feed,
                                    enum dsmr_err err)
{
    struct dsmr_submit_batch *batch = fake_take(node);
    for (uint32_t i = 0; i < batch->count; i++) {
        dsmr_metrics_count_error(&node->metrics, err);
    }
    publish_batch(feed, batch, err);
}

FAKE_UNUSED static struct dsmr_executed *make_executed(uint64_t height, uint64_t time_ms,
                                                       const struct dsmr_id *ids, uint32_t count)
{
    struct dsmr_executed *executed = calloc(1, sizeof(*executed));
    assert_non_null(executed);
    executed->refs = 1;
    executed->height = height;
    executed->time_ms = time_ms;
    executed->count = count;
    executed->ids = calloc(count + 1u, sizeof(*executed->ids));
    executed->results = calloc(count + 1u, sizeof(*executed->results));
    for (uint32_t i = 0; i < count; i++) {
        executed->ids[i] = ids[i];
    }
    return executed;
}

FAKE_UNUSED static void publish_executed(const struct dsmr_feed *feed, uint64_t height,
                                         uint64_t time_ms, const struct dsmr_id *ids,
                                         uint32_t count)
{
    struct dsmr_executed *executed = make_executed(height, time_ms, ids, count);
    const struct dsmr_notice notice = {.kind = DSMR_NOTICE_EXECUTED, .u.executed = executed};
    feed->ops->publish(feed->self, &notice);
    dsmr_executed_unref(executed);
}

FAKE_UNUSED static void publish_expired(const struct dsmr_feed *feed, const struct dsmr_id *ids,
                                        uint32_t count)
{
    struct dsmr_notice notice = {.kind = DSMR_NOTICE_EXPIRED};
    notice.u.expired.ids = ids;
    notice.u.expired.count = count;
    feed->ops->publish(feed->self, &notice);
}

/* A transaction whose id differs by number. */
FAKE_UNUSED static void make_tx(uint8_t out[32], uint64_t number, uint64_t expiry_ms)
{
    memset(out, 0, 32);
    out[0] = 1;
    dsmr_store_be64(out + 1, expiry_ms);
    dsmr_store_be64(out + 9, number);
}

/* Own chunk of a slot with count transactions of make_tx, from number first on. */
FAKE_UNUSED static struct dsmr_chunk *make_chunk_at(uint64_t slot, uint64_t first, uint32_t count,
                                                    uint64_t expiry_ms)
{
    struct dsmr_params params;
    struct dsmr_chunk_header header;
    struct dsmr_chunk *chunk = NULL;
    uint8_t(*txs)[32] = calloc(count, 32);
    struct dsmr_chunk_tx *list = calloc(count, sizeof(*list));
    dsmr_params_default(&params);
    memset(&header, 0, sizeof(header));
    header.slot = slot;
    header.expiry_ms = slot * params.slot_ms + params.chunk_lifetime_ms;
    for (uint32_t i = 0; i < count; i++) {
        make_tx(txs[i], first + i, expiry_ms);
        list[i] = (struct dsmr_chunk_tx){.bytes = txs[i], .len = 32};
        dsmr_hash(&list[i].id, txs[i], 32);
    }
    assert_int_equal(dsmr_chunk_build(&chunk, &params, &header, list, count), DSMR_OK);
    free(list);
    free(txs);
    return chunk;
}
FAKE_UNUSED static struct dsmr_chunk *make_chunk(uint64_t first, uint32_t count, uint64_t expiry_ms)
{
    return make_chunk_at(10, first, count, expiry_ms);
}

FAKE_UNUSED static void publish_chunk(const struct dsmr_feed *feed, enum dsmr_notice_kind kind,
                                      struct dsmr_chunk *chunk)
{
    const struct dsmr_notice notice = {.kind = kind, .u.chunk = chunk};
    feed->ops->publish(feed->self, &notice);
}
FAKE_UNUSED static void publish_certified(const struct dsmr_feed *feed, struct dsmr_chunk *chunk)
{
    publish_chunk(feed, DSMR_NOTICE_CERTIFIED, chunk);
}

/* A block at height with the certificates of these chunks was accepted. */
FAKE_UNUSED static void publish_accepted(const struct dsmr_feed *feed, uint64_t height,
                                         struct dsmr_chunk *const *chunks, uint32_t count)
{
    struct dsmr_params params;
    struct dsmr_block fields, *block = NULL;
    struct dsmr_cert certs[4];
    dsmr_params_default(&params);
    memset(&fields, 0, sizeof(fields));
    memset(certs, 0, sizeof(certs));
    assert_true(count <= 4);
    for (uint32_t i = 0; i < count; i++) {
        certs[i].ref = chunks[i]->ref;
        certs[i].signers.words[0] = 7;
    }
    fields.height = height;
    fields.time_ms = 123456;
    fields.epoch = 4;
    fields.certs_count = count;
    fields.certs = certs;
    assert_int_equal(dsmr_block_build(&block, &params, &fields), DSMR_OK);
    const struct dsmr_notice notice = {.kind = DSMR_NOTICE_ACCEPTED, .u.block = block};
    feed->ops->publish(feed->self, &notice);
    dsmr_block_unref(block);
}

/* ---- clock ---- */

static uint64_t fake_wall(void *self)
{
    return ((struct fake_node *)self)->wall_ms;
}
static uint64_t fake_mono(void *self)
{
    return ((struct fake_node *)self)->mono_ms;
}
static const struct dsmr_clock_ops fake_clock_ops = {.wall_ms = fake_wall, .mono_ms = fake_mono};

/* ---- whole ---- */

FAKE_UNUSED static void fake_init(struct fake_node *node)
{
    memset(node, 0, sizeof(*node));
    pthread_mutex_init(&node->lock, NULL);
    pthread_cond_init(&node->changed, NULL);
    node->wall_ms = 1000000;
    node->mono_ms = 5000;
    node->tx_err = DSMR_ERR_UNKNOWN;
    node->app_err = DSMR_ERR_UNKNOWN;
    node->status.is_ready = node->status.is_started = node->status.has_peers = true;
}

FAKE_UNUSED static void fake_close(struct fake_node *node)
{
    dsmr_block_unref(node->block);
    dsmr_executed_unref(node->executed);
    dsmr_chunk_unref(node->chunk);
    dsmr_validator_set_unref(node->set);
    pthread_mutex_destroy(&node->lock);
    pthread_cond_destroy(&node->changed);
}

FAKE_UNUSED static struct dsmr_query fake_query(struct fake_node *node)
{
    return (struct dsmr_query){.self = node, .ops = &fake_query_ops};
}
FAKE_UNUSED static struct dsmr_submit fake_submit_port(struct fake_node *node)
{
    return (struct dsmr_submit){.self = node, .ops = &fake_submit_ops};
}
FAKE_UNUSED static struct dsmr_clock fake_clock(struct fake_node *node)
{
    return (struct dsmr_clock){.self = node, .ops = &fake_clock_ops};
}
FAKE_UNUSED static void fake_tx_id(struct dsmr_id *out, const void *bytes, size_t len)
{
    dsmr_hash(out, bytes, len);
}

#endif
