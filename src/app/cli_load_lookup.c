#include "app/cli_load_lookup.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "client/http_client.h"
#include "crypto/hash.h"

#define TIMEOUT_MS 2000u
#define FIRST_WAIT_MS 500u
#define WAIT_MAX_MS 4000u /* less than a stopped load waits for news (cli_load.h) */

struct item {
    struct dsmr_cli_load_flight_tx tx;
    uint32_t node;
    uint32_t wait_ms; /* after the next answer that decides nothing */
    uint64_t due_ms;
};

struct dsmr_cli_load_lookup {
    const struct dsmr_cli_load_config *config;
    const struct dsmr_cli_load_tx *maker;
    dsmr_cli_load_lookup_decided decided;
    void *ctx;
    pthread_t thread;
    bool is_running;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool must_end; /* under the lock, as what follows */
    struct item *items;
    size_t count, room;
    /* The thread's: */
    struct dsmr_http_client clients[DSMR_CLI_NODES_MAX];
    bool is_silent[DSMR_CLI_NODES_MAX]; /* has not answered in this round */
    uint8_t *bytes;                     /* a transaction */
};

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* ---- asking ---- */

enum answer { SILENT, UNKNOWN, ON_ITS_WAY, DECIDED };

static enum answer read_answer(const struct dsmr_http_reply *reply,
                               enum dsmr_cli_load_verdict *verdict, uint64_t *height)
{
    static const struct {
        const char *state;
        enum dsmr_cli_load_verdict verdict;
    } last_states[] = {{"executed", DSMR_CLI_LOAD_EXECUTED},
                       {"failed", DSMR_CLI_LOAD_FAILED},
                       {"expired", DSMR_CLI_LOAD_EXPIRED}};
    if (reply->status == 404) {
        return UNKNOWN;
    }
    json_t *body = reply->status == 200 ? json_loadb(reply->body, reply->body_len, 0, NULL) : NULL;
    const char *state = json_string_value(json_object_get(body, "state"));
    const json_t *at = json_object_get(body, "height");
    enum answer answer = state != NULL ? ON_ITS_WAY : SILENT;
    for (size_t i = 0; state != NULL && i < sizeof(last_states) / sizeof(last_states[0]); i++) {
        if (strcmp(state, last_states[i].state) == 0) {
            *verdict = last_states[i].verdict;
            *height = json_is_integer(at) ? (uint64_t)json_integer_value(at) : 0;
            answer = DECIDED;
        }
    }
    json_decref(body);
    return answer;
}

static enum dsmr_cli_load_verdict look(struct dsmr_cli_load_lookup *lookup, const struct item *item,
                                       bool is_last, uint64_t *height)
{
    uint32_t count = lookup->config->nodes_count;
    enum dsmr_cli_load_verdict verdict = DSMR_CLI_LOAD_UNDECIDED;
    bool is_heard = false;
    struct dsmr_id id;
    char hex[65], path[80];
    uint32_t len =
        dsmr_cli_load_tx_make(lookup->maker, lookup->bytes, item->tx.index, item->tx.expiry_ms);
    dsmr_hash(&id, lookup->bytes, len);
    dsmr_hex_encode(hex, id.bytes, sizeof(id.bytes));
    (void)snprintf(path, sizeof(path), "/v1/tx/%s", hex);
    for (uint32_t k = 0; k < count && (is_last || !is_heard); k++) {
        uint32_t i = (item->node + 1 + k) % count; /* the one whose connection ended is the last */
        struct dsmr_http_reply reply;
        enum answer answer = SILENT;
        if (!lookup->is_silent[i] &&
            dsmr_http_client_get(&lookup->clients[i], &reply, path) == DSMR_OK) {
            answer = read_answer(&reply, &verdict, height);
        }
        if (answer >= ON_ITS_WAY) {
            return verdict;
        }
        lookup->is_silent[i] = answer == SILENT;
        is_heard = is_heard || answer == UNKNOWN;
    }
    return is_last && is_heard ? DSMR_CLI_LOAD_LOST : DSMR_CLI_LOAD_UNDECIDED;
}

/* ---- the thread ---- */

/* Asks for an item that is due. true: it is decided, and *verdict and *height say how. */
static bool visit(struct dsmr_cli_load_lookup *lookup, struct item *item,
                  enum dsmr_cli_load_verdict *verdict, uint64_t *height)
{
    uint64_t last_ms = item->tx.expiry_ms + lookup->config->grace_ms;
    uint64_t real_ms = clock_ms(CLOCK_REALTIME);
    *height = 0;
    *verdict = look(lookup, item, real_ms >= last_ms, height);
    uint64_t wait_ms = item->wait_ms;
    if (real_ms < last_ms && last_ms - real_ms < wait_ms) {
        wait_ms = last_ms - real_ms;
    }
    item->due_ms = clock_ms(CLOCK_MONOTONIC) + wait_ms;
    item->wait_ms = 2 * item->wait_ms < WAIT_MAX_MS ? 2 * item->wait_ms : WAIT_MAX_MS;
    return *verdict != DSMR_CLI_LOAD_UNDECIDED;
}

/* Every item that is due, once. The lock is held before and after, and not while a node is asked:
 * others only add behind the last. Returns when to come again. */
static uint64_t visit_all(struct dsmr_cli_load_lookup *lookup)
{
    uint64_t now_ms = clock_ms(CLOCK_MONOTONIC);
    uint64_t next_ms = now_ms + FIRST_WAIT_MS; /* one that is added now is not due before */
    size_t i = 0;
    memset(lookup->is_silent, 0, sizeof(lookup->is_silent));
    while (i < lookup->count && !lookup->must_end) {
        struct item item = lookup->items[i];
        enum dsmr_cli_load_verdict verdict = DSMR_CLI_LOAD_UNDECIDED;
        uint64_t height = 0;
        bool is_decided = false;
        if (item.due_ms <= now_ms) {
            pthread_mutex_unlock(&lookup->lock);
            is_decided = visit(lookup, &item, &verdict, &height);
            if (is_decided) {
                lookup->decided(lookup->ctx, item.node, &item.tx, verdict, height);
            }
            pthread_mutex_lock(&lookup->lock);
        }
        if (is_decided) {
            lookup->items[i] = lookup->items[--lookup->count];
        } else {
            next_ms = item.due_ms < next_ms ? item.due_ms : next_ms;
            lookup->items[i++] = item;
        }
    }
    return next_ms;
}

static void *run(void *self)
{
    struct dsmr_cli_load_lookup *lookup = self;
    pthread_mutex_lock(&lookup->lock);
    while (!lookup->must_end) {
        uint64_t next_ms = visit_all(lookup);
        if (lookup->must_end) {
            break;
        }
        if (lookup->count == 0) {
            pthread_cond_wait(&lookup->changed, &lookup->lock);
        } else {
            const struct timespec until = {.tv_sec = (time_t)(next_ms / 1000u),
                                           .tv_nsec = (long)(next_ms % 1000u * 1000000u)};
            pthread_cond_timedwait(&lookup->changed, &lookup->lock, &until);
        }
    }
    pthread_mutex_unlock(&lookup->lock);
    return NULL;
}

/* ---- the sender's side ---- */

static enum dsmr_err open_all(struct dsmr_cli_load_lookup *lookup)
{
    const struct dsmr_cli_load_config *config = lookup->config;
    enum dsmr_err err = DSMR_OK;
    lookup->bytes = malloc(lookup->maker->tx_bytes);
    for (uint32_t i = 0; i < config->nodes_count && err == DSMR_OK; i++) {
        err = dsmr_http_client_init(&lookup->clients[i], config->nodes[i].host,
                                    config->nodes[i].http_port, TIMEOUT_MS, 0);
    }
    return lookup->bytes != NULL ? err : DSMR_ERR_NO_MEMORY;
}

struct dsmr_cli_load_lookup *dsmr_cli_load_lookup_new(const struct dsmr_cli_load_config *config,
                                                      const struct dsmr_cli_load_tx *maker,
                                                      dsmr_cli_load_lookup_decided decided,
                                                      void *ctx)
{
    struct dsmr_cli_load_lookup *lookup = calloc(1, sizeof(*lookup));
    pthread_condattr_t monotonic;
    if (lookup == NULL) {
        return NULL;
    }
    lookup->config = config;
    lookup->maker = maker;
    lookup->decided = decided;
    lookup->ctx = ctx;
    for (uint32_t i = 0; i < DSMR_CLI_NODES_MAX; i++) {
        lookup->clients[i].fd = -1;
    }
    pthread_mutex_init(&lookup->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&lookup->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    lookup->is_running =
        open_all(lookup) == DSMR_OK && pthread_create(&lookup->thread, NULL, run, lookup) == 0;
    if (!lookup->is_running) {
        dsmr_cli_load_lookup_free(lookup);
        return NULL;
    }
    return lookup;
}

void dsmr_cli_load_lookup_free(struct dsmr_cli_load_lookup *lookup)
{
    if (lookup == NULL) {
        return;
    }
    if (lookup->is_running) {
        pthread_mutex_lock(&lookup->lock);
        lookup->must_end = true;
        pthread_cond_signal(&lookup->changed);
        pthread_mutex_unlock(&lookup->lock);
        pthread_join(lookup->thread, NULL);
    }
    for (uint32_t i = 0; i < DSMR_CLI_NODES_MAX; i++) {
        dsmr_http_client_close(&lookup->clients[i]);
    }
    pthread_cond_destroy(&lookup->changed);
    pthread_mutex_destroy(&lookup->lock);
    free(lookup->items);
    free(lookup->bytes);
    free(lookup);
}

bool dsmr_cli_load_lookup_add(struct dsmr_cli_load_lookup *lookup, uint32_t node,
                              const struct dsmr_cli_load_flight_tx *tx)
{
    bool is_added = false;
    pthread_mutex_lock(&lookup->lock);
    if (lookup->count == lookup->room && lookup->room < DSMR_CLI_LOAD_LOOKUP_MAX) {
        size_t room = lookup->room > 0 ? 2 * lookup->room : 1024;
        struct item *grown = realloc(lookup->items, room * sizeof(*grown));
        lookup->items = grown != NULL ? grown : lookup->items;
        lookup->room = grown != NULL ? room : lookup->room;
    }
    if (lookup->count < lookup->room) {
        lookup->items[lookup->count++] =
            (struct item){.tx = *tx,
                          .node = node,
                          .wait_ms = FIRST_WAIT_MS,
                          .due_ms = clock_ms(CLOCK_MONOTONIC) + FIRST_WAIT_MS};
        is_added = true;
        if (lookup->count == 1) {
            pthread_cond_signal(&lookup->changed);
        }
    }
    pthread_mutex_unlock(&lookup->lock);
    return is_added;
}
