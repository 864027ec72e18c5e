#include "app/cli_load_check.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/exit_codes.h"
#include "base/bytes.h"
#include "client/http_client.h"
#include "host/host_clock.h"
#include "wire/results_page.h"

#define TIMEOUT_MS 10000u
#define POLL_MS 50
#define AHEAD 16u /* look-ups that are on their way from memory */

/* ---- before ---- */

int dsmr_cli_load_check_times(const struct dsmr_cli_values *values,
                              struct dsmr_cli_load_config *config)
{
    config->duration_ms = (uint32_t)dsmr_cli_number(values, "duration");
    config->warmup_ms = (uint32_t)dsmr_cli_number(values, "warmup");
    if (config->duration_ms == 0 || config->warmup_ms < config->duration_ms) {
        return -1;
    }
    if (dsmr_cli_source(values, "warmup") != DSMR_CLI_FROM_DEFAULT) {
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE,
                             "--warmup must be shorter than --duration, not %u ms of %u ms",
                             config->warmup_ms, config->duration_ms);
    }
    config->warmup_ms = config->duration_ms / 4;
    return -1;
}

static bool is_load(const struct dsmr_cli_values *values, const char *kind)
{
    return strcmp(dsmr_cli_text(values, "load"), kind) == 0;
}

int dsmr_cli_load_check_options(const struct dsmr_cli_values *values,
                                struct dsmr_cli_load_config *config)
{
    bool is_hotspot = is_load(values, "hotspot");
    config->kind =
        is_hotspot || is_load(values, "transfers") ? DSMR_CLI_LOAD_TRANSFERS : DSMR_CLI_LOAD_OPAQUE;
    config->accounts_max = is_hotspot ? 2 : 0;
    config->to_all = is_load(values, "duplicates");
    config->rate = is_load(values, "none") ? 0 : (uint32_t)dsmr_cli_number(values, "rate");
    config->tx_bytes = (uint32_t)dsmr_cli_number(values, "tx-bytes");
    int code = dsmr_cli_load_check_times(values, config);
    if (code >= 0 || !is_load(values, "idle-then-burst")) {
        return code;
    }
    config->idle_ms = (uint32_t)dsmr_cli_number(values, "idle");
    config->burst_ms = (uint32_t)dsmr_cli_number(values, "burst");
    if (config->duration_ms != 0 && config->duration_ms <= config->idle_ms) {
        return dsmr_cli_fail(
            values, DSMR_EXIT_USAGE,
            "--duration must be longer than --idle, for a burst to come, not %u ms "
            "with %u ms",
            config->duration_ms, config->idle_ms);
    }
    return code;
}

/* ---- roots ---- */

static void sleep_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* The state root after height on one node; false if it does not say. */
static bool root_at(const struct dsmr_cli_node *node, uint64_t height, struct dsmr_id *out)
{
    struct dsmr_http_client client;
    struct dsmr_http_reply reply;
    char path[64];
    bool ok = false;
    (void)snprintf(path, sizeof(path), "/v1/block/%" PRIu64, height);
    if (dsmr_http_client_init(&client, node->host, node->http_port, TIMEOUT_MS, 0) == DSMR_OK &&
        dsmr_http_client_get(&client, &reply, path) == DSMR_OK && reply.status == 200) {
        json_t *block = json_loadb(reply.body, reply.body_len, 0, NULL);
        const json_t *root = json_object_get(json_object_get(block, "executed"), "state_root");
        ok = json_is_string(root) &&
             dsmr_hex_decode(out->bytes, sizeof(out->bytes), json_string_value(root),
                             json_string_length(root)) == DSMR_OK;
        json_decref(block);
    }
    dsmr_http_client_close(&client);
    return ok;
}

enum verdict { UNKNOWN, EQUAL, DIFFERENT };

/* Two nodes that disagree are a fault, whatever one would say that cannot be asked. */
static enum verdict compare_roots(struct dsmr_cli_load_result *result,
                                  const struct dsmr_cli_load_config *config)
{
    uint32_t told = 0;
    for (uint32_t i = 0; i < config->nodes_count; i++) {
        const struct dsmr_cli_sample *sample = &result->last.nodes[i].sample;
        struct dsmr_id root;
        if (!sample->is_reachable) {
            continue;
        }
        if (sample->executed_height == result->height) {
            root = sample->state_root;
        } else if (!root_at(&config->nodes[i], result->height, &root)) {
            continue;
        }
        if (told > 0 && !dsmr_id_equal(&root, &result->state_root)) {
            return DIFFERENT;
        }
        result->state_root = root;
        result->has_state_root = true;
        told++;
    }
    return told == config->nodes_count ? EQUAL : UNKNOWN;
}

void dsmr_cli_load_check_roots(struct dsmr_cli_load_result *result,
                               const struct dsmr_cli_load_config *config, uint64_t height_min,
                               uint32_t wait_ms)
{
    struct dsmr_clock clock = dsmr_host_clock();
    uint64_t begin_ms = clock.ops->mono_ms(clock.self);
    uint64_t news_ms = begin_ms; /* the slowest node that answers has come nearer */
    uint64_t highest = 0;
    for (;;) {
        uint64_t lowest = UINT64_MAX;
        result->nodes_reachable = 0;
        result->state_roots_equal = false;
        for (uint32_t i = 0; i < config->nodes_count; i++) {
            struct dsmr_cli_sample *sample = &result->last.nodes[i].sample;
            if (dsmr_cli_scrape(sample, &config->nodes[i], true, TIMEOUT_MS) != DSMR_OK) {
                sample->is_reachable = false;
            }
            if (sample->is_reachable && sample->has_status) {
                result->nodes_reachable++;
                lowest = sample->executed_height < lowest ? sample->executed_height : lowest;
            }
        }
        if (result->nodes_reachable == 0) {
            return;
        }
        result->height = lowest;
        enum verdict verdict = lowest >= height_min ? compare_roots(result, config) : UNKNOWN;
        result->state_roots_equal = verdict == EQUAL;
        uint64_t now_ms = clock.ops->mono_ms(clock.self);
        news_ms = lowest > highest && lowest < height_min ? now_ms : news_ms;
        highest = lowest > highest ? lowest : highest;
        if (verdict != UNKNOWN || now_ms - begin_ms >= wait_ms ||
            (dsmr_cli_load_is_stopped(config) && now_ms - news_ms >= config->quiet_ms)) {
            return; /* roots at one height that differ will not become equal */
        }
        sleep_ms(POLL_MS);
    }
}

/* ---- ids ---- */

/* Open addressing over the wanted ids. A slot is an id without its last byte, which stands for the
 * last node that it was found on, so that a look-up touches one place in memory. The home slot
 * depends on the byte that is left out, too. */
struct table {
    uint64_t *slots; /* MARK_EMPTY, MARK_WANTED, or MARK_FOUND + number of the node */
    uint64_t mask;
    size_t count; /* ids, each once */
};
enum { MARK_EMPTY, MARK_WANTED, MARK_FOUND, MARK_MASK = 0xff };
_Static_assert(MARK_FOUND + DSMR_CLI_NODES_MAX <= MARK_MASK, "a node has a mark");

static uint64_t home_of(const struct table *table, uint64_t id)
{
    return (id * UINT64_C(0x9e3779b97f4a7c15) >> 20) & table->mask;
}

static bool is_id(uint64_t slot, uint64_t id)
{
    return ((slot ^ id) & ~(uint64_t)MARK_MASK) == 0;
}

/* What was sent to several nodes stands several times in ids. */
static bool table_init(struct table *table, const uint64_t *ids, size_t count)
{
    uint64_t size = 16;
    while (size < 2 * count) {
        size *= 2;
    }
    table->mask = size - 1;
    table->count = 0;
    table->slots = calloc(size, sizeof(*table->slots));
    for (size_t i = 0; i < count && table->slots != NULL; i++) {
        uint64_t at = home_of(table, ids[i]);
        if (i + AHEAD < count) {
            __builtin_prefetch(&table->slots[home_of(table, ids[i + AHEAD])], 1);
        }
        while (table->slots[at] != MARK_EMPTY && !is_id(table->slots[at], ids[i])) {
            at = (at + 1) & table->mask;
        }
        table->count += table->slots[at] == MARK_EMPTY ? 1 : 0;
        table->slots[at] = (ids[i] & ~(uint64_t)MARK_MASK) | MARK_WANTED;
    }
    return table->slots != NULL;
}

struct reading {
    struct table *table;
    uint64_t mark; /* of the node that is read */
    size_t found;
    uint64_t twice;
};

static void find(struct reading *reading, uint64_t id)
{
    const struct table *table = reading->table;
    for (uint64_t at = home_of(table, id);; at = (at + 1) & table->mask) {
        uint64_t *slot = &table->slots[at];
        if (*slot == MARK_EMPTY) {
            return; /* not one of ours */
        }
        if (is_id(*slot, id)) {
            bool is_new = (*slot & MARK_MASK) != reading->mark;
            *slot = (*slot & ~(uint64_t)MARK_MASK) | reading->mark;
            reading->found += is_new ? 1 : 0;
            reading->twice += is_new ? 0 : 1;
            return;
        }
    }
}

/* What is on its way from memory while the ids before it are looked for. */
static void read_page(struct reading *reading, const struct dsmr_results_page *page)
{
    for (uint32_t i = 0; i < page->count; i++) {
        const uint8_t *tx = page->txs + (size_t)i * DSMR_RESULTS_PAGE_TX_BYTES;
        if (i + AHEAD < page->count) {
            uint64_t next = dsmr_load_be64(tx + AHEAD * DSMR_RESULTS_PAGE_TX_BYTES);
            __builtin_prefetch(&reading->table->slots[home_of(reading->table, next)], 1);
        }
        find(reading, dsmr_load_be64(tx));
    }
}

static bool read_block(struct reading *reading, struct dsmr_http_client *client, uint64_t height)
{
    struct dsmr_results_page page = {.tx_count = 1};
    for (uint64_t cursor = 0; cursor < page.tx_count; cursor += page.count) {
        struct dsmr_http_reply reply;
        char path[96];
        (void)snprintf(path, sizeof(path), "/v1/block/%" PRIu64 "/results?cursor=%" PRIu64, height,
                       cursor);
        if (dsmr_http_client_get(client, &reply, path) != DSMR_OK || reply.status != 200 ||
            dsmr_results_page_decode(&page, (const uint8_t *)reply.body, reply.body_len) !=
                DSMR_OK ||
            page.height != height || page.first != cursor) {
            return false;
        }
        read_page(reading, &page);
    }
    return true;
}

static bool read_node(struct reading *reading, const struct dsmr_cli_node *node,
                      uint64_t from_height, uint64_t to_height)
{
    struct dsmr_http_client client;
    bool ok = dsmr_http_client_init(&client, node->host, node->http_port, TIMEOUT_MS, 0) == DSMR_OK;
    for (uint64_t height = from_height + 1; ok && height <= to_height; height++) {
        ok = read_block(reading, &client, height);
    }
    dsmr_http_client_close(&client);
    return ok;
}

void dsmr_cli_load_check_ids(struct dsmr_cli_load_result *result,
                             const struct dsmr_cli_load_config *config, uint64_t from_height,
                             const uint64_t *ids, size_t ids_count)
{
    struct table table;
    bool ok = table_init(&table, ids, ids_count);
    result->missing_txs = 0;
    for (uint32_t i = 0; ok && i < config->nodes_count; i++) {
        struct reading reading = {.table = &table, .mark = MARK_FOUND + i};
        if (!result->last.nodes[i].sample.is_reachable) {
            continue;
        }
        ok = read_node(&reading, &config->nodes[i], from_height, result->height);
        result->missing_txs += table.count - reading.found;
        result->notices_twice += reading.twice;
    }
    result->is_verified = ok;
    free(table.slots);
}

/* ---- judgement ---- */

int dsmr_cli_load_check_disks(const struct dsmr_cli_values *values,
                              const struct dsmr_cli_load_result *r,
                              const struct dsmr_cli_load_config *config)
{
    uint32_t low = 0, first = 0;
    for (uint32_t i = config->nodes_count; i-- > 0;) {
        const struct dsmr_cli_sample *sample = &r->last.nodes[i].sample;
        bool is_low = sample->is_reachable && sample->metrics[DSMR_METRIC_DISK_LOW] != 0;
        first = is_low ? i : first;
        low += is_low ? 1u : 0u;
    }
    if (low == 0) {
        return DSMR_EXIT_OK;
    }
    return dsmr_cli_fail(values, DSMR_EXIT_DISK_LOW,
                         "the disk of node %u is nearly full (%u of %u nodes): it builds no chunks "
                         "and takes no transactions; free some space, or lower disk-low-bytes",
                         first, low, config->nodes_count);
}

int dsmr_cli_load_check_judge(const struct dsmr_cli_values *values,
                              const struct dsmr_cli_load_result *r,
                              const struct dsmr_cli_load_config *config)
{
    int code = dsmr_cli_load_check_disks(values, r, config);
    if (code != DSMR_EXIT_OK) {
        return code;
    }
    if (r->executed_txs == 0) {
        return dsmr_cli_fail(values, DSMR_EXIT_REFUSED,
                             "nothing was executed: of %" PRIu64 " transactions %" PRIu64
                             " were admitted and %" PRIu64 " refused",
                             r->sent, r->admitted, r->refused);
    }
    if (r->executed_txs * 100u < r->admitted * 99u) {
        return dsmr_cli_fail(values, DSMR_EXIT_REFUSED,
                             "only %" PRIu64 " of %" PRIu64 " admitted transactions were executed, "
                             "%" PRIu64 " expired, %" PRIu64 " were lost with a node, "
                             "%" PRIu64 " are not known",
                             r->executed_txs, r->admitted, r->expired_txs, r->lost_txs,
                             r->admitted - r->executed_txs - r->expired_txs - r->lost_txs);
    }
    if (r->nodes_reachable != config->nodes_count) {
        return dsmr_cli_fail(values, DSMR_EXIT_UNAVAILABLE,
                             "only %u of %u nodes answered at the end", r->nodes_reachable,
                             config->nodes_count);
    }
    if (!r->state_roots_equal) {
        return dsmr_cli_fail(values, DSMR_EXIT_HALTED,
                             "the state roots at height %" PRIu64 " differ or could not be read",
                             r->height);
    }
    if (config->verify && !r->is_verified) {
        return dsmr_cli_fail(values, DSMR_EXIT_UNAVAILABLE,
                             "the blocks of every node could not be read to find the transactions");
    }
    if (config->verify && (r->missing_txs > 0 || r->notices_twice > 0)) {
        return dsmr_cli_fail(values, DSMR_EXIT_HALTED,
                             "%" PRIu64 " executed transactions were not found on every node, "
                             "%" PRIu64 " were executed twice",
                             r->missing_txs, r->notices_twice);
    }
    return DSMR_EXIT_OK;
}
