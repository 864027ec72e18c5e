#include "app/cli_load_sender.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "app/cli_load_tx.h"
#include "base/bytes.h"
#include "client/submit_client.h"
#include "crypto/hash.h"

#define CONNECT_MS 2000u
#define RECONNECT_MS 200u
#define RETRY_US 1000000u
#define TICK_MS 4u
#define DRAIN_MS 60000u
#define EXPIRY_MS 40000u

#define SEEN_EXECUTED 1u

struct node {
    struct dsmr_cli_load_sender *sender;
    const struct dsmr_cli_node *place;
    struct dsmr_submit_client *client;
    bool is_polled; /* in the epoll set */
    uint64_t retry_us;
    struct dsmr_cli_load_sender_totals totals;
    uint64_t *meant_us; /* by sequence number, DSMR_CLI_LOAD_SENDER_WINDOW; 0 is the start */
    uint64_t seq_end;   /* one more than the last */
    uint64_t *ids;      /* with verify: by sequence number, ids_count */
    uint8_t *seen;
    size_t ids_count;
    struct dsmr_histogram interval[2]; /* certified, executed */
};

struct dsmr_cli_load_sender {
    const struct dsmr_cli_load_config *config;
    struct dsmr_domain domain;
    struct dsmr_cli_load_tx maker;
    struct node *nodes;
    struct dsmr_histogram *latency; /* certified, executed */
    int epoll_fd;
    pthread_t thread;
    bool is_running;
    _Atomic bool must_end;
    pthread_mutex_t lock; /* all below, and the nodes, while the thread runs */
    enum dsmr_cli_load_phase phase;
    uint64_t start_us;
    uint64_t end_us; /* of the load */
    uint64_t next_index;
};

static uint64_t now_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* ---- notices ---- */

static void record(struct node *node, const struct dsmr_submit_run *run, int which, uint64_t at_us)
{
    const struct dsmr_cli_load_sender *s = node->sender;
    uint64_t warm_us = (uint64_t)s->config->warmup_ms * 1000u;
    uint64_t elapsed_us = at_us - s->start_us;
    for (uint32_t i = 0; i < run->count; i++) {
        uint64_t seq = run->first_seq + i;
        if (node->seq_end - seq > DSMR_CLI_LOAD_SENDER_WINDOW) {
            continue; /* its time is no longer known */
        }
        uint64_t meant_us = node->meant_us[seq % DSMR_CLI_LOAD_SENDER_WINDOW];
        uint64_t took_us = elapsed_us > meant_us ? elapsed_us - meant_us : 0;
        dsmr_histogram_add(&node->interval[which], took_us, 1);
        if (meant_us >= warm_us) {
            dsmr_histogram_add(&s->latency[which], took_us, 1);
        }
    }
}

static void see_executed(struct node *node, const struct dsmr_submit_run *run)
{
    for (uint32_t i = 0; i < run->count && node->seen != NULL; i++) {
        uint64_t seq = run->first_seq + i;
        if (seq < node->ids_count) {
            node->totals.twice += (node->seen[seq] & SEEN_EXECUTED) != 0 ? 1 : 0;
            node->seen[seq] |= SEEN_EXECUTED;
        }
    }
}

static void on_notice(void *ctx, enum dsmr_submit_frame_type type, uint64_t height,
                      const struct dsmr_submit_run *run)
{
    struct node *node = ctx;
    struct dsmr_cli_load_sender_totals *totals = &node->totals;
    uint64_t at_us = now_us(CLOCK_MONOTONIC);
    switch (type) {
    case DSMR_SUBMIT_FRAME_ACK:
        totals->admitted += run->code == 0 ? run->count : 0;
        totals->refused += run->code == 0 ? 0 : run->count;
        break;
    case DSMR_SUBMIT_FRAME_CERTIFIED:
        totals->certified += run->count;
        totals->window_certified += node->sender->phase == DSMR_CLI_LOAD_MEASURING ? run->count : 0;
        record(node, run, 0, at_us);
        break;
    case DSMR_SUBMIT_FRAME_EXECUTED:
        totals->executed += run->count;
        totals->failed += run->code != 0 ? run->count : 0;
        if (height > totals->executed_height_max) {
            totals->executed_height_max = height;
        }
        see_executed(node, run);
        record(node, run, 1, at_us);
        break;
    default:
        totals->expired += run->count;
        break;
    }
}

static const struct dsmr_submit_client_ops client_ops = {.notice = on_notice};

/* ---- nodes ---- */

static void connect_node(struct dsmr_cli_load_sender *s, struct node *node, uint32_t timeout_ms)
{
    const struct dsmr_submit_frame_hello hello = {.domain = s->domain,
                                                  .wants = DSMR_SUBMIT_FRAME_WANT_CERTIFIED |
                                                           DSMR_SUBMIT_FRAME_WANT_EXECUTED};
    node->retry_us = now_us(CLOCK_MONOTONIC) + RETRY_US;
    if (dsmr_submit_client_connect(node->client, node->place->host, node->place->submit_port,
                                   &hello, timeout_ms) != DSMR_OK) {
        return;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = node};
    (void)epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, dsmr_submit_client_fd(node->client), &event);
}

static void send_one(struct dsmr_cli_load_sender *s, uint64_t meant_us, uint64_t expiry_ms)
{
    struct node *node = &s->nodes[s->next_index % s->config->nodes_count];
    uint64_t index = s->next_index++;
    uint64_t seq = 0;
    uint8_t *tx = NULL;
    node->totals.sent++;
    node->totals.measured_sent += meant_us >= (uint64_t)s->config->warmup_ms * 1000u ? 1 : 0;
    if (dsmr_submit_client_is_connected(node->client)) {
        tx = dsmr_submit_client_add(node->client, &seq, s->maker.tx_bytes);
    }
    if (tx == NULL) {
        node->totals.refused++;
        return;
    }
    uint32_t len = dsmr_cli_load_tx_make(&s->maker, tx, index, expiry_ms);
    dsmr_submit_client_trim(node->client, s->maker.tx_bytes, len);
    node->meant_us[seq % DSMR_CLI_LOAD_SENDER_WINDOW] = meant_us;
    node->seq_end = seq + 1;
    if (seq < node->ids_count) {
        struct dsmr_id id;
        dsmr_hash(&id, tx, len);
        node->ids[seq] = dsmr_load_be64(id.bytes);
    }
}

/* A connection that fails here is seen and made again by reconnect. */
static void flush(struct dsmr_submit_client *client)
{
    enum dsmr_err err = dsmr_submit_client_flush(client);
    (void)err;
}

/* What is due by now; at most a quarter of a second at once, so that notices are heard. */
static void send_due(struct dsmr_cli_load_sender *s, uint64_t at_us)
{
    uint64_t rate = s->config->rate;
    uint64_t until_us = (at_us < s->end_us ? at_us : s->end_us) - s->start_us;
    /* Transaction i is meant for i / rate: the first one at once. */
    uint64_t due = until_us / 1000000u * rate + until_us % 1000000u * rate / 1000000u;
    due += at_us < s->end_us;
    uint64_t most = s->next_index + rate / 4 + 1;
    uint32_t expiry = s->config->expiry_ms != 0 ? s->config->expiry_ms : EXPIRY_MS;
    uint64_t expiry_ms = now_us(CLOCK_REALTIME) / 1000u + expiry;
    while (s->next_index < due && s->next_index < most) {
        uint64_t index = s->next_index;
        send_one(s, index / rate * 1000000u + index % rate * 1000000u / rate, expiry_ms);
    }
    for (uint32_t i = 0; i < s->config->nodes_count; i++) {
        flush(s->nodes[i].client);
    }
}

static void reconnect(struct dsmr_cli_load_sender *s, uint64_t at_us)
{
    for (uint32_t i = 0; i < s->config->nodes_count; i++) {
        struct node *node = &s->nodes[i];
        if (!dsmr_submit_client_is_connected(node->client) && at_us >= node->retry_us) {
            connect_node(s, node, RECONNECT_MS);
        }
    }
}

/* ---- the thread ---- */

static bool has_landed(const struct dsmr_cli_load_sender *s)
{
    for (uint32_t i = 0; i < s->config->nodes_count; i++) {
        const struct node *node = &s->nodes[i];
        const struct dsmr_cli_load_sender_totals *t = &node->totals;
        if (dsmr_submit_client_is_connected(node->client) &&
            (dsmr_submit_client_unsent(node->client) > 0 || t->admitted + t->refused < t->sent ||
             t->executed + t->expired < t->admitted)) {
            return false;
        }
    }
    return true;
}

static void move_phase(struct dsmr_cli_load_sender *s, uint64_t at_us)
{
    const struct dsmr_cli_load_config *config = s->config;
    uint64_t drain_ms = config->drain_ms != 0 ? config->drain_ms : DRAIN_MS;
    bool is_stopped = config->stop != NULL && atomic_load(config->stop) != 0;
    if (is_stopped && s->phase < DSMR_CLI_LOAD_DRAINING) {
        s->end_us = at_us;
    }
    if (s->phase == DSMR_CLI_LOAD_WARMUP &&
        at_us >= s->start_us + (uint64_t)config->warmup_ms * 1000u) {
        s->phase = DSMR_CLI_LOAD_MEASURING;
    }
    if (s->phase < DSMR_CLI_LOAD_DRAINING && at_us >= s->end_us) {
        uint64_t length_us = s->end_us - s->start_us;
        uint64_t due =
            length_us / 1000000u * config->rate + length_us % 1000000u * config->rate / 1000000u;
        if (is_stopped || s->next_index >= due) {
            s->phase = DSMR_CLI_LOAD_DRAINING;
        }
    }
    if (s->phase == DSMR_CLI_LOAD_DRAINING &&
        (has_landed(s) || at_us >= s->end_us + drain_ms * 1000u)) {
        s->phase = DSMR_CLI_LOAD_DONE;
    }
}

static void *run(void *self)
{
    struct dsmr_cli_load_sender *s = self;
    const uint64_t tick_us = (s->config->tick_ms != 0 ? s->config->tick_ms : TICK_MS) * 1000u;
    uint64_t next_us = s->start_us;
    while (!s->must_end) {
        struct epoll_event events[DSMR_CLI_NODES_MAX];
        uint64_t at_us = now_us(CLOCK_MONOTONIC);
        int wait_ms = at_us < next_us ? (int)((next_us - at_us + 999u) / 1000u) : 0;
        int n = epoll_wait(s->epoll_fd, events, DSMR_CLI_NODES_MAX, wait_ms);
        pthread_mutex_lock(&s->lock);
        for (int i = 0; i < n; i++) {
            struct node *node = events[i].data.ptr;
            if (dsmr_submit_client_poll(node->client) != DSMR_OK) {
                continue; /* the connection is gone: reconnect sees it */
            }
        }
        at_us = now_us(CLOCK_MONOTONIC);
        if (at_us >= next_us) {
            next_us = at_us + tick_us - (at_us - next_us) % tick_us;
            if (s->phase < DSMR_CLI_LOAD_DRAINING) {
                reconnect(s, at_us);
            }
            if (s->phase < DSMR_CLI_LOAD_DRAINING) {
                send_due(s, at_us);
            } else {
                for (uint32_t i = 0; i < s->config->nodes_count; i++) {
                    flush(s->nodes[i].client);
                }
            }
            move_phase(s, at_us);
        }
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

/* ---- the monitor's side ---- */

static enum dsmr_err open_node(struct dsmr_cli_load_sender *s, struct node *node, uint32_t i)
{
    const struct dsmr_cli_load_config *config = s->config;
    node->sender = s;
    node->place = &config->nodes[i];
    node->client = dsmr_submit_client_new(&client_ops, node);
    node->meant_us = calloc(DSMR_CLI_LOAD_SENDER_WINDOW, sizeof(*node->meant_us));
    if (config->verify && config->duration_ms != 0) {
        uint64_t all = ((uint64_t)config->duration_ms + 1000u) * config->rate / 1000u;
        node->ids_count = (size_t)(all / config->nodes_count + 2);
        node->ids = calloc(node->ids_count, sizeof(*node->ids));
        node->seen = calloc(node->ids_count, sizeof(*node->seen));
        if (node->ids == NULL || node->seen == NULL) {
            return DSMR_ERR_NO_MEMORY;
        }
    }
    return node->client != NULL && node->meant_us != NULL ? DSMR_OK : DSMR_ERR_NO_MEMORY;
}

static enum dsmr_err open_all(struct dsmr_cli_load_sender *s, const char **reason)
{
    uint32_t connected = 0;
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->nodes = calloc(s->config->nodes_count, sizeof(*s->nodes));
    s->latency = calloc(2, sizeof(*s->latency));
    *reason = "out of memory for the load";
    if (s->epoll_fd < 0 || s->nodes == NULL || s->latency == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < s->config->nodes_count; i++) {
        enum dsmr_err err = open_node(s, &s->nodes[i], i);
        if (err != DSMR_OK) {
            return err;
        }
        connect_node(s, &s->nodes[i], CONNECT_MS);
        connected += dsmr_submit_client_is_connected(s->nodes[i].client) ? 1 : 0;
    }
    *reason = "no node takes the submit stream";
    return connected > 0 ? DSMR_OK : DSMR_ERR_UNAVAILABLE;
}

enum dsmr_err dsmr_cli_load_sender_start(struct dsmr_cli_load_sender **out, const char **reason,
                                         const struct dsmr_cli_load_config *config,
                                         const struct dsmr_domain *domain)
{
    struct dsmr_cli_load_sender *s = calloc(1, sizeof(*s));
    *reason = "out of memory for the load";
    if (s == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    s->config = config;
    s->domain = *domain;
    s->epoll_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    enum dsmr_err err = dsmr_cli_load_tx_init(&s->maker, reason, config, domain);
    if (err == DSMR_OK) {
        err = open_all(s, reason);
    }
    if (err == DSMR_OK) {
        s->start_us = now_us(CLOCK_MONOTONIC);
        s->end_us = config->duration_ms != 0 ? s->start_us + (uint64_t)config->duration_ms * 1000u
                                             : UINT64_MAX / 2;
        s->is_running = pthread_create(&s->thread, NULL, run, s) == 0;
        err = s->is_running ? DSMR_OK : DSMR_ERR_NO_MEMORY;
    }
    if (err != DSMR_OK) {
        dsmr_cli_load_sender_free(s);
        return err;
    }
    *out = s;
    return DSMR_OK;
}

void dsmr_cli_load_sender_free(struct dsmr_cli_load_sender *s)
{
    if (s == NULL) {
        return;
    }
    if (s->is_running) {
        s->must_end = true;
        pthread_join(s->thread, NULL);
    }
    for (uint32_t i = 0; s->nodes != NULL && i < s->config->nodes_count; i++) {
        dsmr_submit_client_free(s->nodes[i].client);
        free(s->nodes[i].meant_us);
        free(s->nodes[i].ids);
        free(s->nodes[i].seen);
    }
    dsmr_cli_load_tx_close(&s->maker);
    free(s->nodes);
    free(s->latency);
    if (s->epoll_fd >= 0) {
        close(s->epoll_fd);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

enum dsmr_cli_load_phase dsmr_cli_load_sender_phase(struct dsmr_cli_load_sender *s)
{
    pthread_mutex_lock(&s->lock);
    enum dsmr_cli_load_phase phase = s->phase;
    pthread_mutex_unlock(&s->lock);
    return phase;
}

uint64_t dsmr_cli_load_sender_elapsed_ms(struct dsmr_cli_load_sender *s)
{
    return (now_us(CLOCK_MONOTONIC) - s->start_us) / 1000u;
}

void dsmr_cli_load_sender_snapshot(struct dsmr_cli_load_sender *s,
                                   struct dsmr_cli_load_snapshot *out)
{
    pthread_mutex_lock(&s->lock);
    out->elapsed_ms = (now_us(CLOCK_MONOTONIC) - s->start_us) / 1000u;
    out->is_draining = s->phase >= DSMR_CLI_LOAD_DRAINING;
    out->nodes_count = s->config->nodes_count;
    for (uint32_t i = 0; i < out->nodes_count; i++) {
        struct node *node = &s->nodes[i];
        struct dsmr_cli_load_node *to = &out->nodes[i];
        to->is_connected = dsmr_submit_client_is_connected(node->client);
        to->sent = node->totals.sent;
        to->admitted = node->totals.admitted;
        to->refused = node->totals.refused;
        to->certified = node->totals.certified;
        to->executed = node->totals.executed;
        to->failed = node->totals.failed;
        to->expired = node->totals.expired;
        to->certified_p50_us = (uint32_t)dsmr_histogram_percentile(&node->interval[0], 0.5);
        to->executed_p50_us = (uint32_t)dsmr_histogram_percentile(&node->interval[1], 0.5);
        dsmr_histogram_clear(&node->interval[0]);
        dsmr_histogram_clear(&node->interval[1]);
    }
    pthread_mutex_unlock(&s->lock);
}

void dsmr_cli_load_sender_totals(struct dsmr_cli_load_sender *s,
                                 struct dsmr_cli_load_sender_totals *out)
{
    memset(out, 0, sizeof(*out));
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->config->nodes_count; i++) {
        const struct dsmr_cli_load_sender_totals *t = &s->nodes[i].totals;
        out->sent += t->sent;
        out->admitted += t->admitted;
        out->refused += t->refused;
        out->certified += t->certified;
        out->executed += t->executed;
        out->failed += t->failed;
        out->expired += t->expired;
        out->twice += t->twice;
        out->measured_sent += t->measured_sent;
        out->window_certified += t->window_certified;
        if (t->executed_height_max > out->executed_height_max) {
            out->executed_height_max = t->executed_height_max;
        }
    }
    pthread_mutex_unlock(&s->lock);
}

void dsmr_cli_load_sender_latency(struct dsmr_cli_load_sender *s, struct dsmr_histogram *certified,
                                  struct dsmr_histogram *executed)
{
    pthread_mutex_lock(&s->lock);
    *certified = s->latency[0];
    *executed = s->latency[1];
    pthread_mutex_unlock(&s->lock);
}

enum dsmr_err dsmr_cli_load_sender_executed(struct dsmr_cli_load_sender *s, uint64_t **out,
                                            size_t *count)
{
    size_t n = 0;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->config->nodes_count; i++) {
        n += (size_t)s->nodes[i].totals.executed;
    }
    uint64_t *ids = malloc((n + 1) * sizeof(*ids));
    size_t at = 0;
    for (uint32_t i = 0; i < s->config->nodes_count && ids != NULL; i++) {
        const struct node *node = &s->nodes[i];
        for (size_t seq = 0; seq < node->ids_count && at < n; seq++) {
            if ((node->seen[seq] & SEEN_EXECUTED) != 0) {
                ids[at++] = node->ids[seq];
            }
        }
    }
    pthread_mutex_unlock(&s->lock);
    *out = ids;
    *count = at;
    return ids != NULL ? DSMR_OK : DSMR_ERR_NO_MEMORY;
}
