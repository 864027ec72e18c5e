#include "app/cli_load_sender.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "app/cli_load_sender_state.h"
#include "base/bytes.h"
#include "crypto/hash.h"

#define CONNECT_MS 2000u
#define RECONNECT_MS 200u
#define RETRY_US 1000000u
#define TICK_MS 4u
#define DRAIN_MS 60000u
#define EXPIRY_MS 40000u
#define DAY_MS 86400000u

static uint64_t now_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* ---- notices ---- */

static void record(struct dsmr_cli_load_sender_node *node, const struct dsmr_submit_run *run,
                   int which, uint64_t at_us)
{
    const struct dsmr_cli_load_sender *s = node->sender;
    uint64_t warm_us = (uint64_t)s->config->warmup_ms * 1000u;
    uint64_t elapsed_us = at_us - s->start_us;
    for (uint32_t i = 0; i < run->count; i++) {
        const struct dsmr_cli_load_flight_tx *tx =
            dsmr_cli_load_flight_at(&node->flight, run->first_seq + i);
        if (tx == NULL) {
            continue; /* its time is no longer known */
        }
        enum dsmr_cli_load_part part;
        uint64_t begin_us = dsmr_cli_load_shape_meant_us(&s->shape, &part, tx->index);
        uint64_t took_us = elapsed_us > begin_us ? elapsed_us - begin_us : 0;
        dsmr_histogram_add(&node->interval[which], took_us, 1);
        if (begin_us >= warm_us) {
            dsmr_histogram_add(&s->latency[part][which], took_us, 1);
        }
    }
}

/* The answer to a SUBMIT. */
static void acknowledge(struct dsmr_cli_load_sender_node *node, const struct dsmr_submit_run *run)
{
    for (uint32_t i = 0; i < run->count; i++) {
        uint64_t seq = run->first_seq + i;
        const struct dsmr_cli_load_flight_tx *tx = dsmr_cli_load_flight_at(&node->flight, seq);
        if (tx != NULL && tx->state == DSMR_CLI_LOAD_FLIGHT_SENT) {
            node->totals.admitted += run->code == 0 ? 1 : 0;
            node->totals.refused += run->code == 0 ? 0 : 1;
            dsmr_cli_load_flight_set(&node->flight, seq,
                                     run->code == 0 ? DSMR_CLI_LOAD_FLIGHT_ADMITTED
                                                    : DSMR_CLI_LOAD_FLIGHT_CLOSED);
        }
    }
}

static void see_executed(struct dsmr_cli_load_sender_node *node, uint64_t seq)
{
    if (node->seen != NULL && seq < node->ids_count) {
        node->seen[seq] |= DSMR_CLI_LOAD_SENDER_SEEN;
    }
}

/* The last word of each. What fell out of the window is being looked up, and counted there. */
static void finish(struct dsmr_cli_load_sender_node *node, const struct dsmr_submit_run *run,
                   bool is_executed)
{
    struct dsmr_cli_load_sender_totals *totals = &node->totals;
    for (uint32_t i = 0; i < run->count; i++) {
        uint64_t seq = run->first_seq + i;
        const struct dsmr_cli_load_flight_tx *tx = dsmr_cli_load_flight_at(&node->flight, seq);
        if (tx == NULL) {
            continue;
        }
        if (tx->state == DSMR_CLI_LOAD_FLIGHT_CLOSED) {
            totals->twice += is_executed ? 1 : 0;
            continue;
        }
        totals->admitted += tx->state == DSMR_CLI_LOAD_FLIGHT_SENT ? 1 : 0;
        totals->executed += is_executed ? 1 : 0;
        totals->failed += is_executed && run->code != 0 ? 1 : 0;
        totals->expired += is_executed ? 0 : 1;
        if (is_executed) {
            see_executed(node, seq);
        }
        dsmr_cli_load_flight_set(&node->flight, seq, DSMR_CLI_LOAD_FLIGHT_CLOSED);
    }
}

static void reach(struct dsmr_cli_load_sender_totals *totals, uint64_t height)
{
    if (height > totals->executed_height_max) {
        totals->executed_height_max = height;
    }
}

static void on_notice(void *ctx, enum dsmr_submit_frame_type type, uint64_t height,
                      const struct dsmr_submit_run *run)
{
    struct dsmr_cli_load_sender_node *node = ctx;
    struct dsmr_cli_load_sender_totals *totals = &node->totals;
    uint64_t at_us = now_us(CLOCK_MONOTONIC);
    node->sender->news_us = at_us;
    switch (type) {
    case DSMR_SUBMIT_FRAME_ACK:
        acknowledge(node, run);
        break;
    case DSMR_SUBMIT_FRAME_CERTIFIED:
        totals->certified += run->count;
        totals->window_certified += node->sender->phase == DSMR_CLI_LOAD_MEASURING ? run->count : 0;
        record(node, run, 0, at_us);
        break;
    case DSMR_SUBMIT_FRAME_EXECUTED:
        reach(totals, height);
        record(node, run, 1, at_us);
        finish(node, run, true);
        break;
    default:
        finish(node, run, false);
        break;
    }
}

static const struct dsmr_submit_client_ops client_ops = {.notice = on_notice};

/* ---- what the own node says nothing more of ---- */

/* Of the lookup's thread. One that was not acknowledged and that no node knows never came in. */
static void on_decided(void *ctx, uint32_t i, const struct dsmr_cli_load_flight_tx *tx,
                       enum dsmr_cli_load_verdict verdict, uint64_t height)
{
    struct dsmr_cli_load_sender *s = ctx;
    struct dsmr_cli_load_sender_node *node = &s->nodes[i];
    struct dsmr_cli_load_sender_totals *totals = &node->totals;
    bool is_admitted = tx->state == DSMR_CLI_LOAD_FLIGHT_ADMITTED;
    bool is_lost = verdict == DSMR_CLI_LOAD_LOST;
    bool is_executed = verdict == DSMR_CLI_LOAD_EXECUTED || verdict == DSMR_CLI_LOAD_FAILED;
    pthread_mutex_lock(&s->lock);
    if (s->phase != DSMR_CLI_LOAD_DONE) {
        s->news_us = now_us(CLOCK_MONOTONIC);
        node->looked_up--;
        totals->admitted += !is_admitted && !is_lost ? 1 : 0;
        totals->refused += !is_admitted && is_lost ? 1 : 0;
        totals->lost += is_admitted && is_lost ? 1 : 0;
        totals->expired += verdict == DSMR_CLI_LOAD_EXPIRED ? 1 : 0;
        totals->executed += is_executed ? 1 : 0;
        totals->failed += verdict == DSMR_CLI_LOAD_FAILED ? 1 : 0;
        reach(totals, height);
        if (is_executed) {
            see_executed(node, tx->seq);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

static void look_up(void *ctx, const struct dsmr_cli_load_flight_tx *tx)
{
    struct dsmr_cli_load_sender_node *node = ctx;
    uint32_t i = (uint32_t)(node - node->sender->nodes);
    bool is_admitted = tx->state == DSMR_CLI_LOAD_FLIGHT_ADMITTED;
    if (dsmr_cli_load_lookup_add(node->sender->lookup, i, tx)) {
        node->looked_up++;
    } else {
        node->totals.lost += is_admitted ? 1 : 0;
        node->totals.refused += is_admitted ? 0 : 1;
    }
}

/* A node that lives would have named each by the end of its expiry: this one hangs. */
static void hang_up_silent(struct dsmr_cli_load_sender *s)
{
    uint64_t real_ms = now_us(CLOCK_REALTIME) / 1000u;
    for (uint32_t i = 0; i < s->config->nodes_count; i++) {
        struct dsmr_cli_load_sender_node *node = &s->nodes[i];
        if (node->flight.open > 0 && real_ms >= node->expiry_ms + s->config->grace_ms) {
            dsmr_submit_client_disconnect(node->client);
        }
    }
}

static void look_up_ended(struct dsmr_cli_load_sender *s)
{
    for (uint32_t i = 0; i < s->config->nodes_count; i++) {
        struct dsmr_cli_load_sender_node *node = &s->nodes[i];
        if (node->flight.open > 0 && !dsmr_submit_client_is_connected(node->client)) {
            dsmr_cli_load_flight_take_all(&node->flight, look_up, node);
        }
    }
}

/* ---- nodes ---- */

static void connect_node(struct dsmr_cli_load_sender *s, struct dsmr_cli_load_sender_node *node,
                         uint32_t timeout_ms)
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

/* What the check at the end needs. An opaque transaction is quickly made again, and its id costs as
 * much as everything else here: its index and expiry are kept instead (cli_load_sender_read.c). */
static void note_id(const struct dsmr_cli_load_sender *s, uint64_t *out, const uint8_t *tx,
                    uint32_t len, const struct dsmr_cli_load_flight_tx *what)
{
    if (s->config->kind == DSMR_CLI_LOAD_OPAQUE) {
        *out = what->index << 32 | (uint32_t)(what->expiry_ms - s->expiry_base_ms);
    } else {
        struct dsmr_id id;
        dsmr_hash(&id, tx, len);
        *out = dsmr_load_be64(id.bytes);
    }
}

static void send_to(struct dsmr_cli_load_sender *s, struct dsmr_cli_load_sender_node *node,
                    uint64_t index, uint64_t expiry_ms)
{
    struct dsmr_cli_load_flight_tx fallen_out;
    uint64_t seq = 0;
    uint8_t *tx = NULL;
    node->totals.sent++;
    if (dsmr_submit_client_is_connected(node->client)) {
        tx = dsmr_submit_client_add(node->client, &seq, s->maker.tx_bytes);
    }
    if (tx == NULL) {
        node->totals.refused++;
        return;
    }
    uint32_t len = dsmr_cli_load_tx_make(&s->maker, tx, index, expiry_ms);
    dsmr_submit_client_trim(node->client, s->maker.tx_bytes, len);
    node->expiry_ms = expiry_ms;
    if (dsmr_cli_load_flight_add(&node->flight, &fallen_out, seq, index, expiry_ms)) {
        look_up(node, &fallen_out);
    }
    if (seq < node->ids_count) {
        note_id(s, &node->ids[seq], tx, len, dsmr_cli_load_flight_at(&node->flight, seq));
    }
}

static void send_one(struct dsmr_cli_load_sender *s, uint64_t expiry_ms)
{
    uint32_t count = s->config->nodes_count;
    uint64_t index = s->next_index++;
    enum dsmr_cli_load_part part;
    uint64_t meant_us = dsmr_cli_load_shape_meant_us(&s->shape, &part, index);
    struct dsmr_cli_load_sender_node *first = &s->nodes[index % count];
    first->totals.measured_sent += meant_us >= (uint64_t)s->config->warmup_ms * 1000u ? 1 : 0;
    for (uint32_t i = 0; i < (s->config->to_all ? count : 1u); i++) {
        send_to(s, &s->nodes[(index + i) % count], index, expiry_ms);
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
    /* One that is meant for this moment is due, but none at the end. */
    uint64_t until_us = (at_us < s->end_us ? at_us + 1 : s->end_us) - s->start_us;
    uint64_t due = dsmr_cli_load_shape_due(&s->shape, until_us);
    uint64_t most = s->next_index + s->config->rate / 4 + 1;
    uint32_t expiry = s->config->expiry_ms != 0 ? s->config->expiry_ms : EXPIRY_MS;
    uint64_t expiry_ms = now_us(CLOCK_REALTIME) / 1000u + expiry;
    while (s->next_index < due && s->next_index < most) {
        send_one(s, expiry_ms);
    }
    for (uint32_t i = 0; i < s->config->nodes_count; i++) {
        flush(s->nodes[i].client);
    }
}

static void reconnect(struct dsmr_cli_load_sender *s, uint64_t at_us)
{
    for (uint32_t i = 0; i < s->config->nodes_count; i++) {
        struct dsmr_cli_load_sender_node *node = &s->nodes[i];
        if (!dsmr_submit_client_is_connected(node->client) && at_us >= node->retry_us) {
            connect_node(s, node, RECONNECT_MS);
        }
    }
}

/* ---- the thread ---- */

static bool has_landed(const struct dsmr_cli_load_sender *s)
{
    for (uint32_t i = 0; i < s->config->nodes_count; i++) {
        const struct dsmr_cli_load_sender_node *node = &s->nodes[i];
        if (node->flight.open > 0 || node->looked_up > 0) {
            return false;
        }
    }
    return true;
}

/* Whoever stopped the load does not wait until what a dead node had taken has expired. */
static bool is_drain_over(const struct dsmr_cli_load_sender *s, uint64_t at_us, bool is_stopped)
{
    const struct dsmr_cli_load_config *config = s->config;
    uint64_t drain_ms = config->drain_ms != 0 ? config->drain_ms : DRAIN_MS;
    uint64_t news_us = s->news_us > s->end_us ? s->news_us : s->end_us;
    return has_landed(s) || at_us >= s->end_us + drain_ms * 1000u ||
           (is_stopped && at_us >= news_us + config->quiet_ms * UINT64_C(1000));
}

static void move_phase(struct dsmr_cli_load_sender *s, uint64_t at_us)
{
    const struct dsmr_cli_load_config *config = s->config;
    bool is_stopped = dsmr_cli_load_is_stopped(config);
    if (is_stopped && s->phase < DSMR_CLI_LOAD_DRAINING) {
        s->end_us = at_us;
    }
    if (s->phase == DSMR_CLI_LOAD_WARMUP &&
        at_us >= s->start_us + (uint64_t)config->warmup_ms * 1000u) {
        s->phase = DSMR_CLI_LOAD_MEASURING;
    }
    if (s->phase < DSMR_CLI_LOAD_DRAINING && at_us >= s->end_us) {
        uint64_t due = dsmr_cli_load_shape_due(&s->shape, s->end_us - s->start_us);
        if (is_stopped || s->next_index >= due) {
            s->phase = DSMR_CLI_LOAD_DRAINING;
        }
    }
    if (s->phase == DSMR_CLI_LOAD_DRAINING && is_drain_over(s, at_us, is_stopped)) {
        s->phase = DSMR_CLI_LOAD_DONE;
    }
}

static void tick(struct dsmr_cli_load_sender *s, uint64_t at_us)
{
    look_up_ended(s); /* before they are connected again */
    if (s->phase < DSMR_CLI_LOAD_DRAINING) {
        reconnect(s, at_us);
        send_due(s, at_us);
    } else {
        for (uint32_t i = 0; i < s->config->nodes_count; i++) {
            flush(s->nodes[i].client);
        }
        hang_up_silent(s);
    }
    move_phase(s, at_us);
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
            struct dsmr_cli_load_sender_node *node = events[i].data.ptr;
            if (dsmr_submit_client_poll(node->client) != DSMR_OK) {
                continue; /* the connection is gone: reconnect sees it */
            }
        }
        at_us = now_us(CLOCK_MONOTONIC);
        if (at_us >= next_us) {
            next_us = at_us + tick_us - (at_us - next_us) % tick_us;
            tick(s, at_us);
        }
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

/* ---- the monitor's side ---- */

static enum dsmr_err open_node(struct dsmr_cli_load_sender *s,
                               struct dsmr_cli_load_sender_node *node, uint32_t i)
{
    const struct dsmr_cli_load_config *config = s->config;
    node->sender = s;
    node->place = &config->nodes[i];
    node->client = dsmr_submit_client_new(&client_ops, node);
    if (dsmr_cli_load_flight_init(&node->flight) != DSMR_OK) {
        return DSMR_ERR_NO_MEMORY;
    }
    if (config->verify && config->duration_ms != 0) {
        uint64_t all = dsmr_cli_load_shape_due(&s->shape, (uint64_t)config->duration_ms * 1000u);
        all = all < UINT32_MAX ? all : UINT32_MAX; /* see note_id */
        node->ids_count = (size_t)(all / (config->to_all ? 1u : config->nodes_count) + 2);
        node->ids = calloc(node->ids_count, sizeof(*node->ids));
        node->seen = calloc(node->ids_count, sizeof(*node->seen));
        if (node->ids == NULL || node->seen == NULL) {
            return DSMR_ERR_NO_MEMORY;
        }
    }
    return node->client != NULL ? DSMR_OK : DSMR_ERR_NO_MEMORY;
}

static enum dsmr_err open_all(struct dsmr_cli_load_sender *s, const char **reason)
{
    uint32_t connected = 0;
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->nodes = calloc(s->config->nodes_count, sizeof(*s->nodes));
    s->latency = calloc(DSMR_CLI_LOAD_PARTS, sizeof(*s->latency));
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
    s->shape = (struct dsmr_cli_load_shape){.rate = config->rate,
                                            .idle_us = config->idle_ms * UINT64_C(1000),
                                            .burst_us = config->burst_ms * UINT64_C(1000),
                                            .lonely_us = config->lonely_ms * UINT64_C(1000)};
    s->domain = *domain;
    s->epoll_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    enum dsmr_err err = dsmr_cli_load_tx_init(&s->maker, reason, config, domain);
    if (err == DSMR_OK) {
        err = open_all(s, reason);
    }
    if (err == DSMR_OK) {
        s->lookup = dsmr_cli_load_lookup_new(config, &s->maker, on_decided, s);
        err = s->lookup != NULL ? DSMR_OK : DSMR_ERR_NO_MEMORY;
        *reason = err != DSMR_OK ? "out of memory for the load" : *reason;
    }
    if (err == DSMR_OK) {
        s->start_us = now_us(CLOCK_MONOTONIC);
        s->expiry_base_ms = now_us(CLOCK_REALTIME) / 1000u - DAY_MS; /* should it be set back */
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
    dsmr_cli_load_lookup_free(s->lookup);
    for (uint32_t i = 0; s->nodes != NULL && i < s->config->nodes_count; i++) {
        dsmr_submit_client_free(s->nodes[i].client);
        dsmr_cli_load_flight_close(&s->nodes[i].flight);
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
