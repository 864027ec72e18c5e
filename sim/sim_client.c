#include "sim/sim_client.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "sim/check_table.h"
#include "sim/sim_accounts.h"
#include "sim/sim_state.h"

#define TXS_MAX (1u << 20)
#define REPLAYED 512u    /* of the last that were made */
#define SHORT_MS_MIN 20u /* lifetimes of those that expire on their way */
#define SHORT_MS_MAX 500u
/* After the healing: so that its chunk may expire, and the next one with it be included. */
#define AGAIN_MS 15000u

struct tx {
    struct dsmr_id id;
    struct dsmr_buf *bytes; /* NULL: made again when they are needed; a signature is dear */
    uint64_t number;
    uint64_t expiry_ms;
    uint64_t chunk_expiry_ms; /* of the latest certificate; 0: none */
    uint32_t node;            /* where it was sent last */
    bool is_admitted, is_executed;
    uint32_t keeper,
        keeper_life; /* who admitted it last, in which of its lives; UINT32_MAX: none */
    uint64_t retry_us;
};

struct dsmr_sim_clients {
    struct dsmr_sim *sim;
    struct dsmr_sim_client_config config;
    struct dsmr_prng prng;
    struct tx *txs;
    uint32_t count, capacity;
    uint32_t first_open;           /* all before are executed or expired */
    struct dsmr_sim_table *places; /* id -> uint64_t index in txs */
    bool is_stopped;
    uint64_t stopped_ms;
    uint64_t height, blocks, full_blocks; /* since then */
    struct dsmr_sim_client_counts counts;
};

/* ---- sending ---- */

/* A reference for the caller. */
static struct dsmr_buf *make_bytes(const struct dsmr_sim_clients *clients, const struct tx *tx)
{
    const struct dsmr_sim *sim = clients->sim;
    uint8_t bytes[DSMR_SIM_TX_BYTES_MAX];
    if (tx->bytes != NULL) {
        return dsmr_buf_ref(tx->bytes);
    }
    uint32_t len =
        sim->config.app == DSMR_SIM_TRANSFERS
            ? dsmr_sim_accounts_transfer(bytes, &sim->params.domain, tx->number, tx->number % 1000,
                                         tx->expiry_ms)
            : dsmr_sim_accounts_opaque(bytes, clients->config.tx_bytes, tx->number, tx->expiry_ms);
    struct dsmr_buf *buf = dsmr_buf_copy(bytes, len);
    DSMR_ASSERT(buf != NULL);
    return buf;
}

static void send_to(struct dsmr_sim_clients *clients, const struct tx *tx, uint32_t number)
{
    uint32_t twin = clients->sim->nodes[number].twin;
    /* They reach one body or the other of a node that has two. */
    struct dsmr_sim_node *node =
        &clients->sim->nodes[twin != 0 && tx->number % 2 == 0 ? twin : number];
    if (node->driver == NULL || node->is_paused) {
        return; /* it is not there */
    }
    struct dsmr_submit_batch *batch = calloc(1, sizeof(*batch) + sizeof(batch->txs[0]));
    DSMR_ASSERT(batch != NULL);
    batch->bytes = make_bytes(clients, tx);
    batch->count = 1;
    batch->txs[0].len = batch->bytes->len;
    struct dsmr_submit submit = dsmr_driver_submit_port(node->driver);
    if (!submit.ops->submit(submit.self, batch)) {
        dsmr_buf_unref(batch->bytes);
        free(batch);
    }
}

static struct tx *add(struct dsmr_sim_clients *clients, uint64_t lifetime_ms)
{
    if (clients->count == clients->capacity) {
        clients->capacity = clients->capacity == 0 ? 1024 : clients->capacity * 2;
        clients->txs = realloc(clients->txs, clients->capacity * sizeof(*clients->txs));
        DSMR_ASSERT(clients->txs != NULL && clients->capacity <= TXS_MAX);
    }
    struct tx *tx = &clients->txs[clients->count];
    *tx = (struct tx){.number = clients->count + 1,
                      .expiry_ms = dsmr_sim_wall_ms(clients->sim) + lifetime_ms,
                      .keeper = UINT32_MAX,
                      .retry_us = UINT64_MAX};
    struct dsmr_buf *bytes = make_bytes(clients, tx);
    dsmr_hash(&tx->id, bytes->bytes, bytes->len);
    if (clients->sim->config.app == DSMR_SIM_TRANSFERS) {
        struct dsmr_tx_view view = {.bytes = bytes->bytes, .len = bytes->len};
        tx->bytes = dsmr_buf_ref(bytes);
        dsmr_sim_verdicts_vouch(clients->sim->verdicts, &view);
    }
    dsmr_buf_unref(bytes);
    bool is_new = false;
    uint64_t *place = dsmr_sim_table_add(clients->places, &tx->id, &is_new);
    DSMR_ASSERT(is_new);
    *place = clients->count++;
    clients->counts.made++;
    if (clients->config.retry_ms > 0) {
        tx->retry_us = clients->sim->now_us + clients->config.retry_ms * UINT64_C(1000);
    }
    return tx;
}

void dsmr_sim_client_submit(struct dsmr_sim_clients *clients, uint32_t node, uint64_t lifetime_ms)
{
    struct tx *tx = add(clients, lifetime_ms);
    tx->node = node;
    send_to(clients, tx, node);
}

static bool is_one_of_thousand(struct dsmr_sim_clients *clients, uint32_t per_mille)
{
    return dsmr_prng_below(&clients->prng, 1000) < per_mille;
}

/* What has run must not run again, whoever sends it wherever. False: there is none. */
static bool replay(struct dsmr_sim_clients *clients)
{
    uint32_t recent = clients->count < REPLAYED ? clients->count : REPLAYED;
    if (recent == 0) {
        return false;
    }
    uint32_t back = 1 + (uint32_t)dsmr_prng_below(&clients->prng, recent);
    const struct tx *tx = &clients->txs[clients->count - back];
    if (!tx->is_executed || tx->expiry_ms < dsmr_sim_wall_ms(clients->sim)) {
        return false;
    }
    send_to(clients, tx, (uint32_t)dsmr_prng_below(&clients->prng, clients->sim->config.nodes));
    return true;
}

static uint64_t choose_lifetime(struct dsmr_sim_clients *clients)
{
    const struct dsmr_sim_client_config *config = &clients->config;
    uint64_t range_ms = config->lifetime_ms_max - config->lifetime_ms_min + 1;
    return is_one_of_thousand(clients, config->short_per_mille)
               ? SHORT_MS_MIN + dsmr_prng_below(&clients->prng, SHORT_MS_MAX - SHORT_MS_MIN)
               : config->lifetime_ms_min + dsmr_prng_below(&clients->prng, range_ms);
}

static void make_one(struct dsmr_sim_clients *clients)
{
    const struct dsmr_sim_client_config *config = &clients->config;
    if (is_one_of_thousand(clients, config->replay_per_mille) && replay(clients)) {
        return;
    }
    struct tx *tx = add(clients, choose_lifetime(clients));
    uint32_t nodes = clients->sim->config.nodes;
    tx->node = (uint32_t)dsmr_prng_below(&clients->prng, nodes);
    if (is_one_of_thousand(clients, config->everywhere_per_mille)) {
        for (uint32_t i = 0; i < nodes; i++) {
            send_to(clients, tx, i);
        }
    } else {
        send_to(clients, tx, tx->node);
    }
}

static void on_arrival(struct dsmr_sim *sim, void *ctx)
{
    struct dsmr_sim_clients *clients = ctx;
    if (clients->is_stopped) {
        return;
    }
    make_one(clients);
    uint64_t mean_us = DSMR_SIM_SECOND_US / clients->config.txs_per_s;
    dsmr_sim_at(sim, sim->now_us + 1 + dsmr_prng_below(&clients->prng, 2 * mean_us), on_arrival,
                clients);
}

static bool is_over(const struct dsmr_sim_clients *clients, const struct tx *tx)
{
    return tx->is_executed || tx->expiry_ms < dsmr_sim_wall_ms(clients->sim);
}

/* What is over stays over, so each is passed once. */
bool dsmr_sim_client_has_open(struct dsmr_sim_clients *clients)
{
    while (clients->first_open < clients->count &&
           is_over(clients, &clients->txs[clients->first_open])) {
        clients->first_open++;
    }
    return clients->first_open < clients->count;
}

static void on_retry(struct dsmr_sim *sim, void *ctx)
{
    struct dsmr_sim_clients *clients = ctx;
    (void)dsmr_sim_client_has_open(clients);
    for (uint32_t i = clients->first_open; i < clients->count; i++) {
        struct tx *tx = &clients->txs[i];
        if (is_over(clients, tx) || sim->now_us < tx->retry_us) {
            continue;
        }
        tx->retry_us = sim->now_us + clients->config.retry_ms * UINT64_C(1000);
        tx->node = (tx->node + 1) % sim->config.nodes;
        send_to(clients, tx, tx->node);
    }
    dsmr_sim_at(sim, sim->now_us + 250000, on_retry, clients);
}

/* ---- being told ---- */

static struct tx *find(struct dsmr_sim_clients *clients, const struct dsmr_id *id)
{
    const uint64_t *place = dsmr_sim_table_find(clients->places, id);
    return place == NULL ? NULL : &clients->txs[*place];
}

static void on_certified(struct dsmr_sim_clients *clients, const struct dsmr_chunk *chunk)
{
    for (uint32_t i = 0; i < chunk->ref.tx_count; i++) {
        struct tx *tx = find(clients, &chunk->tx_ids[i]);
        if (tx != NULL) {
            clients->counts.certified += tx->chunk_expiry_ms == 0;
            tx->chunk_expiry_ms = chunk->ref.expiry_ms;
        }
    }
}

static void on_executed(struct dsmr_sim_clients *clients, const struct dsmr_executed *executed)
{
    for (uint32_t i = 0; i < executed->count; i++) {
        struct tx *tx = find(clients, &executed->ids[i]);
        if (tx == NULL) {
            continue;
        }
        if (executed->time_ms > tx->expiry_ms) {
            dsmr_sim_fail(clients->sim, "10.4", "transaction %llu ran in block %llu after expiry",
                          (unsigned long long)tx->number, (unsigned long long)executed->height);
        }
        clients->counts.executed += !tx->is_executed;
        tx->is_executed = true;
    }
}

/* Who is offered more than blocks take leaves out what is on time (8.2). */
static void on_accepted(struct dsmr_sim_clients *clients, const struct dsmr_block *block)
{
    const struct dsmr_params *params = &clients->sim->params;
    uint64_t bytes = params->chunk_bytes_max;
    if (!clients->is_stopped || block->height <= clients->height) {
        return;
    }
    for (uint32_t i = 0; i < block->certs_count; i++) {
        bytes += block->certs[i].ref.chunk_bytes;
    }
    clients->height = block->height;
    clients->blocks++;
    clients->full_blocks +=
        block->certs_count == params->block_certs_max || bytes > params->block_payload_bytes_max;
}

static void on_notice(void *ctx, uint32_t node, const struct dsmr_notice *notice)
{
    struct dsmr_sim_clients *clients = ctx;
    if (clients->sim->nodes[node].byz != NULL) {
        return; /* a liar's word is worth nothing */
    }
    if (notice->kind == DSMR_NOTICE_EXECUTED) {
        on_executed(clients, notice->u.executed);
    } else if (notice->kind == DSMR_NOTICE_ACCEPTED) {
        on_accepted(clients, notice->u.block);
    } else if (notice->kind == DSMR_NOTICE_CERTIFIED && !clients->sim->nodes[node].is_dying) {
        on_certified(clients, notice->u.chunk);
    } else if (notice->kind == DSMR_NOTICE_SUBMITTED) {
        for (uint32_t i = 0; i < notice->u.batch->count; i++) {
            struct tx *tx = find(clients, &notice->u.batch->txs[i].id);
            if (tx != NULL && notice->u.batch->txs[i].err == DSMR_OK) {
                clients->counts.admitted += !tx->is_admitted;
                tx->is_admitted = true;
                tx->keeper = node;
                tx->keeper_life = clients->sim->nodes[node].life;
            }
        }
    }
}

/* ---- making and asking ---- */

struct dsmr_sim_clients *dsmr_sim_client_new(struct dsmr_sim *sim,
                                             const struct dsmr_sim_client_config *config)
{
    struct dsmr_sim_clients *clients = calloc(1, sizeof(*clients));
    DSMR_ASSERT(clients != NULL && sim->on_notice == NULL);
    clients->sim = sim;
    clients->config = *config;
    dsmr_prng_init(&clients->prng, config->seed);
    clients->places = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(uint64_t));
    sim->on_notice = on_notice;
    sim->notice_ctx = clients;
    if (config->txs_per_s > 0) {
        dsmr_sim_at(sim, sim->now_us + 1, on_arrival, clients);
    }
    if (config->retry_ms > 0) {
        dsmr_sim_at(sim, sim->now_us + 250000, on_retry, clients);
    }
    return clients;
}

void dsmr_sim_client_free(struct dsmr_sim_clients *clients)
{
    clients->sim->on_notice = NULL;
    dsmr_sim_table_free(clients->places);
    for (uint32_t i = 0; i < clients->count; i++) {
        dsmr_buf_unref(clients->txs[i].bytes);
    }
    free(clients->txs);
    free(clients);
}

void dsmr_sim_client_forgive(struct dsmr_sim_clients *clients, uint32_t node)
{
    for (uint32_t i = 0; i < clients->count; i++) {
        struct tx *tx = &clients->txs[i];
        tx->keeper = tx->keeper == node ? UINT32_MAX : tx->keeper;
    }
}

/* Chain time is ahead of the healed clocks if too many of them were: nothing is signed until then.
 */
static uint64_t chain_time_ms(struct dsmr_sim *sim)
{
    uint64_t latest_ms = 0;
    for (uint32_t i = 0; i < sim->config.nodes; i++) {
        struct dsmr_query_status status;
        if (dsmr_sim_is_up(sim, i) && sim->nodes[i].byz == NULL) {
            dsmr_sim_status(sim, i, &status);
            latest_ms = status.chain_time_ms > latest_ms ? status.chain_time_ms : latest_ms;
        }
    }
    return latest_ms;
}

void dsmr_sim_client_stop(struct dsmr_sim_clients *clients)
{
    struct dsmr_sim *sim = clients->sim;
    uint64_t now_ms = dsmr_sim_wall_ms(sim), chain_ms = chain_time_ms(sim);
    clients->is_stopped = true;
    clients->stopped_ms = chain_ms > now_ms ? chain_ms : now_ms;
    for (uint32_t i = 0; i < sim->config.nodes; i++) {
        if (sim->nodes[i].latest_ms > now_ms + sim->params.clock_skew_ms) {
            dsmr_sim_client_forgive(clients, i); /* its chunks may be of later slots */
        }
    }
}

void dsmr_sim_client_counts(struct dsmr_sim_clients *clients, struct dsmr_sim_client_counts *out)
{
    clients->counts.open = clients->counts.expired = 0;
    for (uint32_t i = 0; i < clients->count; i++) {
        const struct tx *tx = &clients->txs[i];
        bool is_open = !is_over(clients, tx);
        clients->counts.open += is_open;
        clients->counts.expired += !is_open && !tx->is_executed;
    }
    *out = clients->counts;
}

/* It was a validator all the time, and has what it has to run. */
static bool is_steady(struct dsmr_sim *sim, uint32_t node)
{
    struct dsmr_query_status status;
    for (uint32_t i = 0; i < sim->config.sets_count; i++) {
        const struct dsmr_sim_set *set = &sim->config.sets[i];
        if (node < set->first || node >= set->first + set->count) {
            return false;
        }
    }
    dsmr_sim_status(sim, node, &status);
    return !status.needs_state_sync;
}

/* 13.3, 5.8: it stays in the mempool or in a chunk on its way, and comes back when that expires. */
static bool has_to_run(const struct dsmr_sim_clients *clients, const struct tx *tx)
{
    struct dsmr_sim *sim = clients->sim;
    return !tx->is_executed && tx->keeper != UINT32_MAX &&
           2 * clients->full_blocks <= clients->blocks &&
           sim->nodes[tx->keeper].life == tx->keeper_life &&
           tx->expiry_ms >= clients->stopped_ms + sim->params.chunk_lifetime_ms + AGAIN_MS &&
           is_steady(sim, tx->keeper);
}

void dsmr_sim_client_check(struct dsmr_sim_clients *clients)
{
    uint64_t now_ms = dsmr_sim_wall_ms(clients->sim);
    for (uint32_t i = 0; i < clients->count; i++) {
        const struct tx *tx = &clients->txs[i];
        if (!tx->is_executed && tx->chunk_expiry_ms > now_ms && tx->expiry_ms > now_ms) {
            dsmr_sim_fail(clients->sim, "5.9", "transaction %llu was certified and is not executed",
                          (unsigned long long)tx->number);
        }
        if (has_to_run(clients, tx)) {
            dsmr_sim_fail(
                clients->sim, "L1",
                "transaction %llu, which node %u admitted and has lived on since, did not "
                "run until %llu; healed at %llu",
                (unsigned long long)tx->number, tx->keeper, (unsigned long long)tx->expiry_ms,
                (unsigned long long)clients->stopped_ms);
        }
    }
}
