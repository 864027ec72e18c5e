/* fuzz_cli_reply.c - any bytes as what a node answers to the client: pages of results, JSON that is
 * shown or taken apart, errors. The first byte chooses who reads it.
 *
 * Checks: a page that is taken is written back the same; of the transactions that were sent those
 *         are found that stand in the pages, whatever order they come in; roots are compared only
 * if they were said; what people see has no control characters, and an explanation is one line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cli_common.h"
#include "app/cli_load_check.h"
#include "app/cli_verbs.h"
#include "base/bytes.h"
#include "client/http_client.h"
#include "wire/results_page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REPLIES_MAX = 64, IDS = 4 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* ---- the node ---- */

static const uint8_t *input;
static size_t input_len;
static uint32_t requests;
static bool is_paged;      /* each reply is {length u16, bytes} of the input, else all of it */
static char body[1 << 17]; /* with a zero byte behind it, as the client gives it */

enum dsmr_err dsmr_http_client_init(struct dsmr_http_client *client, const char *host,
                                    uint16_t port, uint32_t timeout_ms, size_t body_max)
{
    (void)host, (void)port, (void)timeout_ms, (void)body_max;
    client->fd = -1;
    strcpy(client->host, "h");
    return DSMR_OK;
}
void dsmr_http_client_close(struct dsmr_http_client *client)
{
    (void)client;
}

static size_t next_reply(void)
{
    size_t len = input_len, skip = 0;
    if (is_paged) {
        skip = input_len < 2 ? input_len : 2;
        len = skip == 2 ? dsmr_load_be16(input) : 0;
        len = len < input_len - skip ? len : input_len - skip;
    }
    len = len < sizeof body ? len : sizeof body - 1;
    if (len > 0)
        memcpy(body, input + skip, len);
    body[len] = '\0';
    if (is_paged) {
        input += skip + len;
        input_len -= skip + len;
    }
    return len;
}

enum dsmr_err dsmr_http_client_request(struct dsmr_http_client *client, struct dsmr_http_reply *out,
                                       const char *method, const char *path, const char *sent,
                                       size_t sent_len)
{
    static const char metrics[] = "dsmr_height 1\n";
    (void)client, (void)sent, (void)sent_len;
    must(strcmp(method, "GET") == 0 && path[0] == '/');
    if (strcmp(path, "/metrics") == 0) {
        *out = (struct dsmr_http_reply){200, metrics, sizeof metrics - 1};
        return DSMR_OK;
    }
    if (++requests > REPLIES_MAX)
        return DSMR_ERR_UNAVAILABLE;
    out->body_len = next_reply();
    out->body = body;
    out->status = 200;
    return DSMR_OK;
}

/* ---- pages of results ---- */

static void as_page(void)
{
    struct dsmr_results_page page;
    uint8_t again[DSMR_RESULTS_PAGE_HEAD_BYTES + DSMR_RESULTS_PAGE_TX_BYTES];
    enum dsmr_err err = dsmr_results_page_decode(&page, input, input_len);
    must(err == DSMR_OK || err == DSMR_ERR_MALFORMED || err == DSMR_ERR_TOO_LARGE);
    if (err != DSMR_OK)
        return;
    must(page.count <= DSMR_RESULTS_PAGE_TXS_MAX && page.first <= page.tx_count);
    must(page.count <= page.tx_count - page.first &&
         (page.count > 0) == (page.first < page.tx_count));
    dsmr_results_page_head_encode(again, &page);
    must(memcmp(again, input, DSMR_RESULTS_PAGE_HEAD_BYTES) == 0);
    for (uint32_t i = 0; i < page.count; i++) {
        struct dsmr_results_page_tx tx;
        dsmr_results_page_tx_decode(&tx, &page, i);
        dsmr_results_page_tx_encode(again, &tx);
        must(memcmp(again,
                    input + DSMR_RESULTS_PAGE_HEAD_BYTES + (size_t)i * DSMR_RESULTS_PAGE_TX_BYTES,
                    DSMR_RESULTS_PAGE_TX_BYTES) == 0);
    }
    must(input_len ==
         DSMR_RESULTS_PAGE_HEAD_BYTES + (size_t)page.count * DSMR_RESULTS_PAGE_TX_BYTES);
}

/* How often the ids stand in pages of height 1 that follow each other; SIZE_MAX: they do not. Of
 * ids that differ in the last of eight bytes only, the client's table may take one for the other.
 */
static size_t count_ids(const uint64_t *ids, uint32_t *distinct, bool *is_near)
{
    bool is_found[IDS] = {false};
    uint64_t first = 0, total = 1;
    size_t count = 0;
    const uint8_t *at = input;
    size_t left = input_len;
    for (uint32_t n = 0; first < total; n++) {
        size_t len = left >= 2 ? dsmr_load_be16(at) : 0;
        len = left >= 2 && len > left - 2 ? left - 2 : len; /* as next_reply cuts it */
        if (n == REPLIES_MAX || left < 2 || len < DSMR_RESULTS_PAGE_HEAD_BYTES)
            return SIZE_MAX;
        const uint8_t *page = at + 2;
        size_t txs = (len - DSMR_RESULTS_PAGE_HEAD_BYTES) / DSMR_RESULTS_PAGE_TX_BYTES;
        total = dsmr_load_be32(page + 40);
        if (dsmr_load_be64(page) != 1 || dsmr_load_be32(page + 44) != first ||
            len != DSMR_RESULTS_PAGE_HEAD_BYTES + txs * DSMR_RESULTS_PAGE_TX_BYTES ||
            first + txs > total || (txs == 0 && first < total))
            return SIZE_MAX;
        for (size_t i = 0; i < txs; i++) {
            uint64_t id = dsmr_load_be64(page + DSMR_RESULTS_PAGE_HEAD_BYTES +
                                         i * DSMR_RESULTS_PAGE_TX_BYTES);
            for (uint32_t k = 0; k < IDS; k++) {
                *is_near = *is_near || (id != ids[k] && id >> 8 == ids[k] >> 8);
                if (id == ids[k]) {
                    *distinct += is_found[k] ? 0 : 1;
                    is_found[k] = true;
                    count++;
                }
            }
        }
        first += txs;
        at += 2 + len;
        left -= 2 + len;
    }
    return count;
}

static void as_ids(void)
{
    static const uint64_t ids[IDS] = {0x0000000000000000, 0x0101010101010101, 0x3131313131313131,
                                      UINT64_MAX};
    static struct dsmr_cli_load_result result;
    const struct dsmr_cli_load_config config = {.nodes = {{.host = "h", .http_port = 1}},
                                                .nodes_count = 1};
    uint32_t distinct = 0;
    bool is_near = false;
    size_t count = count_ids(ids, &distinct, &is_near);
    memset(&result, 0, sizeof result);
    result.last.nodes[0].sample.is_reachable = true;
    result.height = 1;
    is_paged = true;
    dsmr_cli_load_check_ids(&result, &config, 0, ids, IDS);
    must(result.is_verified == (count != SIZE_MAX));
    if (result.is_verified && !is_near)
        must(result.missing_txs == IDS - distinct && result.notices_twice == count - distinct);
}

/* ---- JSON ---- */

static void as_roots(void)
{
    static struct dsmr_cli_load_result result;
    const struct dsmr_cli_load_config config = {
        .nodes = {{.host = "h", .http_port = 1}, {.host = "h", .http_port = 2}}, .nodes_count = 2};
    memset(&result, 0, sizeof result);
    is_paged = true;
    dsmr_cli_load_check_roots(&result, &config, 0, 0);
    must(!result.state_roots_equal || (result.nodes_reachable == 2 && result.has_state_root));
    for (uint32_t i = 0; i < 2; i++) {
        const struct dsmr_cli_sample *sample = &result.last.nodes[i].sample;
        must(memchr(sample->app, '\0', sizeof sample->app) != NULL);
        must(sample->is_reachable || !sample->has_status);
    }
}

static const struct dsmr_cli_option options[] = {
    {"node", "HOST:PORT", DSMR_CLI_TEXT, 0, 0, NULL, "h:1", "the node"},
    {"json", NULL, DSMR_CLI_FLAG, 0, 0, NULL, "false", "JSON"},
    {"txs", NULL, DSMR_CLI_FLAG, 0, 0, NULL, "false", "transactions"},
    {"cursor", "N", DSMR_CLI_NUMBER, 0, 0, NULL, NULL, "page"},
    {"limit", "N", DSMR_CLI_NUMBER, 1, 1000, NULL, "100", "page"},
};
static const struct dsmr_cli_verb verbs[] = {
    {"ask", "ID", "asks", 0, 1, options, sizeof options / sizeof options[0], NULL, NULL}};
static const struct dsmr_cli_program program = {.name = "fuzz", .verbs = verbs, .verbs_count = 1};

static void parse(struct dsmr_cli_values *values, const char *argument)
{
    char *argv[] = {"fuzz", "ask", (char *)(uintptr_t)argument, NULL};
    must(dsmr_cli_parse(values, &program, argument != NULL ? 3 : 2, argv) == -1);
}

/* What a verb prints. */
static void as_shown(int (*verb)(const struct dsmr_cli_values *values), const char *argument)
{
    struct dsmr_cli_values values;
    char *printed = NULL;
    size_t printed_len = 0;
    parse(&values, argument);
    FILE *kept = stdout;
    stdout = open_memstream(&printed, &printed_len);
    must(stdout != NULL);
    int code = verb(&values);
    must(fclose(stdout) == 0);
    stdout = kept;
    must(code == 0); /* of an empty object nothing is shown */
    for (size_t i = 0; i < printed_len; i++)
        must(((uint8_t)printed[i] >= 0x20 && printed[i] != 0x7f) || printed[i] == '\n');
    free(printed);
}

static void as_error(void)
{
    char why[DSMR_CLI_COMMON_WHY_BYTES];
    const struct dsmr_http_client client = {.host = "h", .port = 1};
    size_t len = next_reply();
    const struct dsmr_http_reply reply = {.status = 400, .body = body, .body_len = len};
    dsmr_cli_common_why(why, &client, DSMR_OK, &reply);
    must(strncmp(why, "the node ", 9) == 0 && memchr(why, '\0', sizeof why) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char id[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    if (size < 1 || size > sizeof body)
        return 0;
    input = data + 1;
    input_len = size - 1;
    requests = 0;
    is_paged = false;
    switch (data[0] % 8) {
    case 0:
        as_page();
        return 0;
    case 1:
        as_ids();
        return 0;
    case 2:
        as_roots();
        return 0;
    case 3:
        as_shown(dsmr_cli_chain_tx, id);
        return 0;
    case 4:
        as_shown(dsmr_cli_chain_block, "latest");
        return 0;
    case 5:
        as_shown(dsmr_cli_chain_validators, NULL);
        return 0;
    case 6:
        as_shown(dsmr_cli_chain_chunk, id);
        return 0;
    default:
        as_error();
        return 0;
    }
}
