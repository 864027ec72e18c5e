/* fake_chain.h - the real API over one node that admits, certifies and executes at once. */
#ifndef DSMR_TEST_FAKE_CHAIN_H
#define DSMR_TEST_FAKE_CHAIN_H

#define FAKE_WITH_DRIVER
#include "unit/api/fake_node.h"

#include <unistd.h>

#include "api/api.h"
#include "app/cli_load.h"

/* One node: whatever comes is executed in a block of its own. */
struct chain {
    struct fake_node node;
    struct dsmr_api *api;
    struct dsmr_feed feed;
    struct dsmr_query query;
    struct dsmr_submit submit;
    pthread_t thread;
    _Atomic bool stop;
    bool is_api_stopped;
    _Atomic bool is_mute; /* admits, and runs nothing */
    _Atomic bool is_deaf; /* does not even admit, until the end */
    _Atomic uint64_t admitted;
    pthread_mutex_t lock;
    struct dsmr_executed *blocks[FAKE_BATCHES_MAX]; /* by height */
    uint64_t height;
    uint64_t hide_every; /* leaves every n-th out of what it shows */
    uint64_t twice_every;
    struct dsmr_query_ops ops;
};

static void chain_status(void *self, struct dsmr_query_status *out)
{
    struct chain *chain = self;
    memset(out, 0, sizeof(*out));
    pthread_mutex_lock(&chain->lock);
    out->height = out->executed_height = chain->height;
    out->validators = 4;
    memset(out->state_root.bytes, chain->hide_every != 0 ? 1 : 0, 32);
    pthread_mutex_unlock(&chain->lock);
}

static enum dsmr_err chain_executed(void *self, struct dsmr_executed **out, uint64_t height)
{
    struct chain *chain = self;
    enum dsmr_err err = DSMR_ERR_UNKNOWN;
    pthread_mutex_lock(&chain->lock);
    if (height > 0 && height <= chain->height) {
        *out = dsmr_executed_ref(chain->blocks[height]);
        err = DSMR_OK;
    }
    pthread_mutex_unlock(&chain->lock);
    return err;
}

static const struct dsmr_metrics *chain_metrics(void *self)
{
    return &((struct chain *)self)->node.metrics;
}

static struct dsmr_executed *shown(const struct chain *chain, const struct dsmr_executed *all)
{
    struct dsmr_executed *block = make_executed(all->height, all->time_ms, all->ids, all->count);
    uint32_t count = 0;
    for (uint32_t i = 0; i < all->count; i++) {
        if (chain->hide_every == 0 || i % chain->hide_every != 0) {
            block->ids[count++] = all->ids[i];
        }
        if (chain->twice_every != 0 && i % chain->twice_every == 1) {
            block->ids[count - 1] = all->ids[i - 1]; /* in place of another */
        }
    }
    block->count = count;
    return block;
}

static void run_batch(struct chain *chain, struct dsmr_submit_batch *batch)
{
    struct dsmr_id *ids = calloc(batch->count, sizeof(*ids));
    for (uint32_t i = 0; i < batch->count; i++) {
        ids[i] = batch->txs[i].id;
    }
    struct dsmr_executed *block = make_executed(chain->height + 1, 1, ids, batch->count);
    uint32_t count = batch->count;
    publish_batch(&chain->feed, batch, DSMR_OK);
    chain->admitted += count;
    if (chain->is_mute) {
        dsmr_executed_unref(block);
        free(ids);
        return;
    }
    pthread_mutex_lock(&chain->lock);
    chain->blocks[++chain->height] = shown(chain, block);
    pthread_mutex_unlock(&chain->lock);
    dsmr_metrics_add(&chain->node.metrics, DSMR_METRIC_TXS_EXECUTED, block->count);
    const struct dsmr_notice notice = {.kind = DSMR_NOTICE_EXECUTED, .u.executed = block};
    chain->feed.ops->publish(chain->feed.self, &notice);
    dsmr_executed_unref(block);
    free(ids);
}

static void *chain_run(void *self)
{
    struct chain *chain = self;
    struct fake_node *node = &chain->node;
    for (;;) {
        pthread_mutex_lock(&node->lock);
        while ((node->batches_taken == node->batches_count || chain->is_deaf) && !chain->stop) {
            pthread_cond_wait(&node->changed, &node->lock);
        }
        bool is_over = node->batches_taken == node->batches_count;
        struct dsmr_submit_batch *batch = is_over ? NULL : node->batches[node->batches_taken++];
        pthread_mutex_unlock(&node->lock);
        if (is_over) {
            return NULL;
        }
        run_batch(chain, batch);
    }
}

static struct chain *chain_open_app(const char *app)
{
    struct chain *chain = calloc(1, sizeof(*chain));
    struct dsmr_api_config config;
    const char *reason = "";
    fake_init(&chain->node);
    pthread_mutex_init(&chain->lock, NULL);
    chain->ops = fake_query_ops;
    chain->ops.status = chain_status;
    chain->ops.executed = chain_executed;
    chain->ops.metrics = chain_metrics;
    chain->query = (struct dsmr_query){.self = chain, .ops = &chain->ops};
    chain->submit = fake_submit_port(&chain->node);
    dsmr_api_config_default(&config);
    config.app_name = app;
    config.engine_name = "test";
    config.tx_id = fake_tx_id;
    config.clock = fake_clock(&chain->node);
    config.metrics = &chain->node.metrics;
    chain->api = dsmr_api_new(&config);
    chain->feed = dsmr_api_feed(chain->api);
    assert_int_equal(dsmr_api_start(chain->api, &reason, &chain->query, &chain->submit), DSMR_OK);
    assert_int_equal(pthread_create(&chain->thread, NULL, chain_run, chain), 0);
    return chain;
}

FAKE_UNUSED static struct chain *chain_open(void)
{
    return chain_open_app("");
}

/* As a node that dies: its connections end. */
static void chain_stop_api(struct chain *chain)
{
    if (!chain->is_api_stopped) {
        dsmr_api_stop(chain->api);
        chain->is_api_stopped = true;
    }
}

static void chain_close(struct chain *chain)
{
    chain_stop_api(chain);
    pthread_mutex_lock(&chain->node.lock);
    chain->stop = true;
    pthread_cond_broadcast(&chain->node.changed);
    pthread_mutex_unlock(&chain->node.lock);
    pthread_join(chain->thread, NULL);
    dsmr_api_free(chain->api);
    for (uint64_t i = 1; i <= chain->height; i++) {
        dsmr_executed_unref(chain->blocks[i]);
    }
    pthread_mutex_destroy(&chain->lock);
    fake_close(&chain->node);
    free(chain);
}

static struct dsmr_cli_load_config config_for(struct chain *chain)
{
    struct dsmr_cli_load_config config;
    dsmr_cli_load_config_default(&config);
    config.nodes_count = 1;
    (void)snprintf(config.nodes[0].host, sizeof(config.nodes[0].host), "127.0.0.1");
    config.nodes[0].http_port = dsmr_api_http_port(chain->api);
    config.nodes[0].submit_port = dsmr_api_submit_port(chain->api);
    config.nodes[0].pid = getpid();
    config.rate = 2000;
    config.tx_bytes = 100;
    config.duration_ms = 300;
    config.warmup_ms = 100;
    config.progress_ms = 20;
    config.verify = true;
    return config;
}

#endif
