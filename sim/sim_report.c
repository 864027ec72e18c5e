#include "sim/sim_report.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "sim/sim_load.h"
#include "sim/sim_state.h"

#define TXS_MAX (1u << 21)    /* built and not executed */
#define CHUNKS_MAX (1u << 19) /* the same */
#define HEIGHTS 4096u         /* accepted and not executed, of a node */

struct samples { /* microseconds */
    uint32_t *us;
    size_t count, capacity;
};
struct tx { /* value of txs */
    uint64_t made_us;
    uint32_t node;
};
struct chunk { /* value of chunks */
    uint64_t built_us, certified_us;
    uint32_t node;
};
struct node {
    struct dsmr_sim_usage before;
    uint64_t executed;     /* in the window */
    uint64_t *accepted_us; /* of the last HEIGHTS */
};
struct dsmr_sim_recorder {
    struct dsmr_sim *sim;
    struct dsmr_map *txs, *chunks;
    struct node *nodes;
    bool is_on;
    uint64_t begun_us, begun_height, begun_view;
    uint64_t admitted, refused, certified, blocks_certs, blocks, built_chunks, built_bytes;
    struct samples built, cert, exec, to_cert, to_accept, to_execute;
};

/* ---- samples ---- */

static void add(const struct dsmr_sim_recorder *r, struct samples *samples, uint64_t from_us)
{
    if (!r->is_on) {
        return;
    }
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity == 0 ? 4096 : samples->capacity * 2;
        samples->us = realloc(samples->us, samples->capacity * sizeof(*samples->us));
        DSMR_ASSERT(samples->us != NULL);
    }
    uint64_t us = r->sim->now_us - from_us;
    samples->us[samples->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int compare(const void *a, const void *b)
{
    uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;
    return (first > second) - (first < second);
}

static double at(const struct samples *samples, size_t per_cent)
{
    return samples->us[(samples->count - 1) * per_cent / 100] / 1000.0;
}

static void spread(struct dsmr_sim_spread *out, struct samples *samples)
{
    uint64_t sum = 0;
    memset(out, 0, sizeof(*out));
    if (samples->count == 0) {
        return;
    }
    qsort(samples->us, samples->count, sizeof(*samples->us), compare);
    for (size_t i = 0; i < samples->count; i++) {
        sum += samples->us[i];
    }
    *out = (struct dsmr_sim_spread){.count = samples->count,
                                    .mean = (double)sum / (double)samples->count / 1000.0,
                                    .p50 = at(samples, 50),
                                    .p95 = at(samples, 95),
                                    .p99 = at(samples, 99)};
}

/* ---- notices ---- */

static uint64_t weight(const struct dsmr_sim_recorder *r)
{
    return r->sim->config.tx_weight > 0 ? r->sim->config.tx_weight : 1;
}

static uint64_t made_us(const struct dsmr_chunk *chunk, uint32_t tx)
{
    return dsmr_sim_load_made_us(chunk->bytes + chunk->tx_offsets[tx]);
}

static void on_built(struct dsmr_sim_recorder *r, uint32_t node, const struct dsmr_chunk *chunk)
{
    struct chunk *place = dsmr_map_add(r->chunks, &chunk->ref.chunk_id, NULL);
    DSMR_ASSERT(place != NULL);
    *place = (struct chunk){.built_us = r->sim->now_us, .node = node};
    for (uint32_t i = 0; i < chunk->ref.tx_count; i++) {
        struct tx *tx = dsmr_map_add(r->txs, &chunk->tx_ids[i], NULL);
        DSMR_ASSERT(tx != NULL);
        *tx = (struct tx){.made_us = made_us(chunk, i), .node = node};
        add(r, &r->built, tx->made_us);
    }
    if (r->is_on) {
        r->built_chunks++;
        r->built_bytes += chunk->ref.chunk_bytes;
    }
}

static void on_certified(struct dsmr_sim_recorder *r, const struct dsmr_chunk *chunk)
{
    struct chunk *place = dsmr_map_find(r->chunks, &chunk->ref.chunk_id);
    if (place == NULL || place->certified_us != 0) {
        return; /* in a block before more than f said that they have it */
    }
    place->certified_us = r->sim->now_us;
    add(r, &r->to_cert, place->built_us);
    for (uint32_t i = 0; i < chunk->ref.tx_count; i++) {
        add(r, &r->cert, made_us(chunk, i));
    }
    r->certified += r->is_on ? chunk->ref.tx_count : 0;
}

static void on_stored(void *self, struct dsmr_sim *sim, uint32_t node,
                      const struct dsmr_store_write *write)
{
    struct dsmr_sim_recorder *r = self;
    (void)sim;
    if (write->kind != DSMR_STORE_ACCEPT) {
        return;
    }
    const struct dsmr_block *block = write->u.accept.block;
    r->nodes[node].accepted_us[block->height % HEIGHTS] = r->sim->now_us;
    if (r->is_on) {
        r->blocks++;
        r->blocks_certs += block->certs_count;
    }
    for (uint32_t i = 0; i < block->certs_count; i++) {
        const struct dsmr_id *id = &block->certs[i].ref.chunk_id;
        const struct chunk *chunk = dsmr_map_find(r->chunks, id);
        if (chunk != NULL && chunk->node == node) {
            add(r, &r->to_accept, chunk->certified_us > 0 ? chunk->certified_us : r->sim->now_us);
            (void)dsmr_map_remove(r->chunks, id);
        }
    }
}

static void on_executed(struct dsmr_sim_recorder *r, uint32_t node,
                        const struct dsmr_executed *executed)
{
    add(r, &r->to_execute, r->nodes[node].accepted_us[executed->height % HEIGHTS]);
    r->nodes[node].executed += r->is_on ? executed->count : 0;
    for (uint32_t i = 0; i < executed->count; i++) {
        const struct tx *tx = dsmr_map_find(r->txs, &executed->ids[i]);
        if (tx != NULL && tx->node == node) {
            add(r, &r->exec, tx->made_us);
            (void)dsmr_map_remove(r->txs, &executed->ids[i]);
        }
    }
}

static void on_notice(void *ctx, uint32_t node, const struct dsmr_notice *notice)
{
    struct dsmr_sim_recorder *r = ctx;
    switch (notice->kind) {
    case DSMR_NOTICE_SUBMITTED:
        for (uint32_t i = 0; i < notice->u.batch->count && r->is_on; i++) {
            bool is_in = notice->u.batch->txs[i].err == DSMR_OK;
            *(is_in ? &r->admitted : &r->refused) += 1;
        }
        break;
    case DSMR_NOTICE_BUILT:
        on_built(r, node, notice->u.chunk);
        break;
    case DSMR_NOTICE_CERTIFIED:
        on_certified(r, notice->u.chunk);
        break;
    case DSMR_NOTICE_EXECUTED:
        on_executed(r, node, notice->u.executed);
        break;
    case DSMR_NOTICE_ACCEPTED:
    case DSMR_NOTICE_RETURNED:
    case DSMR_NOTICE_EXPIRED:
        break;
    }
}

/* ---- the window ---- */

static void *make(struct dsmr_sim *sim)
{
    struct dsmr_sim_recorder *r = calloc(1, sizeof(*r));
    DSMR_ASSERT(r != NULL && sim->on_notice == NULL);
    r->sim = sim;
    r->txs = dsmr_map_new(sizeof(struct dsmr_id), sizeof(struct tx), TXS_MAX, 1);
    r->chunks = dsmr_map_new(sizeof(struct dsmr_id), sizeof(struct chunk), CHUNKS_MAX, 1);
    r->nodes = calloc(sim->config.nodes, sizeof(*r->nodes));
    DSMR_ASSERT(r->txs != NULL && r->chunks != NULL && r->nodes != NULL);
    for (uint32_t i = 0; i < sim->config.nodes; i++) {
        r->nodes[i].accepted_us = calloc(HEIGHTS, sizeof(uint64_t));
        DSMR_ASSERT(r->nodes[i].accepted_us != NULL);
    }
    sim->on_notice = on_notice;
    sim->notice_ctx = r;
    return r;
}

static void recorder_free(void *self)
{
    struct dsmr_sim_recorder *r = self;
    struct samples *all[] = {&r->built,   &r->cert,      &r->exec,
                             &r->to_cert, &r->to_accept, &r->to_execute};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        free(all[i]->us);
    }
    for (uint32_t i = 0; i < r->sim->config.nodes; i++) {
        free(r->nodes[i].accepted_us);
    }
    r->sim->on_notice = NULL;
    dsmr_map_free(r->txs);
    dsmr_map_free(r->chunks);
    free(r->nodes);
    free(r);
}

struct dsmr_sim_recorder *dsmr_sim_recorder_new(struct dsmr_sim *sim)
{
    static const struct dsmr_sim_checker_ops ops = {
        .name = "report", .make = make, .free = recorder_free, .stored = on_stored};
    dsmr_sim_check_add(sim, &ops);
    return sim->checkers[sim->checkers_count - 1].self;
}

/* The highest of the nodes. */
static void look(const struct dsmr_sim_recorder *r, uint64_t *height, uint64_t *view)
{
    *height = *view = 0;
    for (uint32_t i = 0; i < r->sim->config.nodes; i++) {
        struct dsmr_query_status status;
        if (dsmr_sim_is_up(r->sim, i)) {
            dsmr_sim_status(r->sim, i, &status);
            *height = status.height > *height ? status.height : *height;
            *view = status.view > *view ? status.view : *view;
        }
    }
}

void dsmr_sim_recorder_begin(struct dsmr_sim_recorder *r)
{
    r->is_on = true;
    r->begun_us = r->sim->now_us;
    look(r, &r->begun_height, &r->begun_view);
    for (uint32_t i = 0; i < r->sim->config.nodes; i++) {
        dsmr_sim_usage(r->sim, i, &r->nodes[i].before);
    }
}

/* ---- what the nodes have used ---- */

static void add_share(struct dsmr_sim_share *share, double busy, uint32_t up)
{
    share->mean += busy / up;
    share->max = busy > share->max ? busy : share->max;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static void add_network(struct dsmr_sim_report *out, const struct dsmr_sim_usage *now,
                        const struct dsmr_sim_usage *before)
{
    double bytes = 0, s = out->seconds, up = out->up;
    for (int cls = 0; cls < DSMR_MSG_CLASS_COUNT; cls++) {
        uint64_t messages = now->up_messages[cls] - before->up_messages[cls];
        double of_class = (double)(now->up_bytes[cls] - before->up_bytes[cls]) / s;
        uint64_t wait_us = now->up_wait_us[cls] - before->up_wait_us[cls];
        bytes += of_class;
        out->up_class_per_s[cls] += of_class / up;
        out->messages_per_s += (double)messages / s / up;
        out->up_wait_ms[cls] += messages == 0 ? 0 : (double)wait_us / (double)messages / 1000 / up;
    }
    uint64_t received = now->down_messages - before->down_messages;
    uint64_t waited_us = now->down_wait_us - before->down_wait_us;
    double down = (double)(now->down_bytes - before->down_bytes) / s;
    out->up_bytes_per_s += bytes / up;
    out->up_bytes_max = larger(out->up_bytes_max, bytes);
    out->down_bytes_per_s += down / up;
    out->down_bytes_max = larger(out->down_bytes_max, down);
    out->down_wait_ms += received == 0 ? 0 : (double)waited_us / (double)received / 1000 / up;
    out->refused_sends += now->refused - before->refused;
}

static void add_usage(const struct dsmr_sim_recorder *r, struct dsmr_sim_report *out, uint32_t node)
{
    const struct dsmr_sim_config *config = &r->sim->config;
    const struct dsmr_sim_usage *before = &r->nodes[node].before;
    struct dsmr_sim_usage now;
    dsmr_sim_usage(r->sim, node, &now);
    double us = out->seconds * 1e6, ns = us * 1000;
    double down_rate = (double)config->wan.down_bytes_per_s * out->seconds;
    add_network(out, &now, before);
    add_share(&out->uplink, (double)(now.up_busy_us - before->up_busy_us) / us, out->up);
    add_share(&out->downlink, (double)(now.down_bytes - before->down_bytes) / down_rate, out->up);
    add_share(&out->logic, (double)(now.logic_ns - before->logic_ns) / ns, out->up);
    add_share(&out->net, (double)(now.net_ns - before->net_ns) / ns, out->up);
    add_share(&out->workers, (double)(now.busy_ns - before->busy_ns) / ns / config->cores, out->up);
    add_share(&out->execution, (double)(now.execute_ns - before->execute_ns) / ns, out->up);
    add_share(&out->disk, (double)(now.disk_us - before->disk_us) / us, out->up);
    out->stored_bytes_per_s +=
        (double)(now.bytes_stored - before->bytes_stored) / out->seconds / out->up;
    uint64_t items = now.logic_items - before->logic_items;
    uint64_t waited_us = now.logic_wait_us - before->logic_wait_us;
    out->logic_wait_ms +=
        items == 0 ? 0 : (double)waited_us / (double)items / 1000 / (double)out->up;
}

static void add_proposals(const struct dsmr_sim_recorder *r, struct dsmr_sim_report *out)
{
    uint64_t proposals = 0, bytes = 0, us = 0;
    for (uint32_t i = 0; i < r->sim->config.nodes; i++) {
        const struct dsmr_sim_usage *now = &r->sim->nodes[i].usage, *before = &r->nodes[i].before;
        proposals += now->proposals - before->proposals;
        bytes += now->proposal_bytes - before->proposal_bytes;
        us += now->proposal_us - before->proposal_us;
    }
    out->proposal_bytes = proposals == 0 ? 0 : (double)bytes / (double)proposals;
    out->proposal_ms = proposals == 0 ? 0 : (double)us / (double)proposals / 1000;
}

static void count(struct dsmr_sim_recorder *r, struct dsmr_sim_report *out)
{
    double per_s = (double)weight(r) / out->seconds;
    uint64_t least = UINT64_MAX, sum = 0, height, view;
    for (uint32_t i = 0; i < r->sim->config.nodes; i++) {
        if (dsmr_sim_is_up(r->sim, i)) {
            uint64_t executed = r->nodes[i].executed;
            least = executed < least ? executed : least;
            sum += executed;
        }
    }
    look(r, &height, &view);
    out->admitted_per_s = (double)r->admitted * per_s;
    out->refused_per_s = (double)r->refused * per_s;
    out->certified_per_s = (double)r->certified * per_s;
    out->executed_per_s = (double)sum * per_s / out->up;
    out->executed_min_per_s = (double)least * per_s;
    out->blocks_per_s = (double)(height - r->begun_height) / out->seconds;
    out->views_per_s = (double)(view - r->begun_view) / out->seconds;
    out->certs_per_block = r->blocks == 0 ? 0 : (double)r->blocks_certs / (double)r->blocks;
    out->chunks_per_s = (double)r->built_chunks / out->seconds;
    out->chunk_bytes = r->built_chunks == 0 ? 0 : (double)r->built_bytes / (double)r->built_chunks;
}

void dsmr_sim_recorder_end(struct dsmr_sim_recorder *r, struct dsmr_sim_report *out)
{
    memset(out, 0, sizeof(*out));
    r->is_on = false;
    out->seconds = (double)(r->sim->now_us - r->begun_us) / 1e6;
    for (uint32_t i = 0; i < r->sim->config.nodes; i++) {
        out->up += dsmr_sim_is_up(r->sim, i);
    }
    for (uint32_t i = 0; i < r->sim->config.nodes; i++) {
        if (dsmr_sim_is_up(r->sim, i)) {
            add_usage(r, out, i);
        }
    }
    add_proposals(r, out);
    count(r, out);
    spread(&out->built, &r->built);
    spread(&out->certified, &r->cert);
    spread(&out->executed, &r->exec);
    spread(&out->to_cert, &r->to_cert);
    spread(&out->to_accept, &r->to_accept);
    spread(&out->to_execute, &r->to_execute);
    double busy = out->logic.mean + out->net.mean + out->workers.mean * r->sim->config.cores +
                  out->execution.mean;
    out->cpu_us_per_tx = out->executed_per_s > 0 ? busy * out->up * 1e6 / out->executed_per_s : 0;
}

const char *dsmr_sim_report_limit(const struct dsmr_sim_report *report)
{
    const struct {
        const char *name;
        double busy;
    } parts[] = {{"uplink", report->uplink.max},      {"downlink", report->downlink.max},
                 {"logic thread", report->logic.max}, {"network thread", report->net.max},
                 {"workers", report->workers.max},    {"execution", report->execution.max},
                 {"disk", report->disk.max}};
    size_t most = 0;
    for (size_t i = 1; i < sizeof(parts) / sizeof(parts[0]); i++) {
        most = parts[i].busy > parts[most].busy ? i : most;
    }
    return parts[most].busy > 0.9 ? parts[most].name : "latency";
}
