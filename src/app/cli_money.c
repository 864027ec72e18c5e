#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/cli_common.h"
#include "app/cli_verbs.h"
#include "app/exit_codes.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "vm/address.h"
#include "vm/transfer_tx.h"

#define ANSWER_MS 5000u /* for an answer of a node whose wait for a result is over */

int dsmr_cli_money_balance(const struct dsmr_cli_values *values)
{
    char path[32 + DSMR_ADDRESS_TEXT_LEN];
    char text[DSMR_ADDRESS_TEXT_LEN + 1];
    struct dsmr_address address;
    int code = dsmr_cli_common_address(values, &address, values->args[0]);
    if (code >= 0) {
        return code;
    }
    dsmr_address_format(text, &address);
    (void)snprintf(path, sizeof(path), "/v1/accounts/%s", text);
    return dsmr_cli_common_show(values, path);
}

/* The chain that the transaction is for, as the node names it. */
static int get_domain(const struct dsmr_cli_values *values, struct dsmr_domain *out)
{
    struct dsmr_http_client client = {.fd = -1};
    struct dsmr_http_reply reply;
    int code = dsmr_cli_common_ask(values, &client, &reply, "GET", "/v1/status", NULL);
    if (code == 0) {
        json_t *status = json_loadb(reply.body, reply.body_len, 0, NULL);
        const json_t *chain = json_object_get(status, "chain_id");
        const json_t *network = json_object_get(status, "network_id");
        const char *app = json_string_value(json_object_get(status, "app"));
        code = -1;
        if (!json_is_string(chain) || !json_is_integer(network) ||
            dsmr_hex_decode(out->chain_id.bytes, sizeof(out->chain_id.bytes),
                            json_string_value(chain), json_string_length(chain)) != DSMR_OK) {
            code = dsmr_cli_fail(values, DSMR_EXIT_UNAVAILABLE,
                                 "the node does not say which chain it is of");
        } else if (app == NULL || strcmp(app, "transfers") != 0) {
            code = dsmr_cli_fail(values, DSMR_EXIT_REFUSED,
                                 "the chain runs \"%s\", which knows no transfers",
                                 app != NULL ? app : "");
        }
        out->network_id = (uint32_t)json_integer_value(network);
        json_decref(status);
    }
    dsmr_http_client_close(&client);
    return code;
}

/* What an answer with an error says of the transaction: a state in which it may still run, or NULL
 * if it does not run. An error of 5xx without an id stands for one that did not come in. */
static const char *open_state(const struct dsmr_http_reply *reply, const json_t *body)
{
    static const char *const on_its_way[] = {"pending", "in_chunk", "certified", "in_block"};
    const char *state = json_string_value(json_object_get(body, "state"));
    for (size_t i = 0; state != NULL && i < sizeof(on_its_way) / sizeof(on_its_way[0]); i++) {
        if (strcmp(state, on_its_way[i]) == 0) {
            return on_its_way[i];
        }
    }
    return reply->status == 504 ? "unknown" : NULL;
}

static uint64_t real_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* The wait is over without a result: the id is what the user needs now. After its expiry only a
 * block that was made before can have it, which the node need not have seen accepted. */
static int undecided(const struct dsmr_cli_values *values, const char *why, const char *state,
                     const struct dsmr_transfer_tx *tx, const struct dsmr_id *id)
{
    bool has_expired = real_ms() > tx->expiry_ms && strcmp(state, "in_block") != 0;
    char hex[65];
    char answer[192];
    dsmr_hex_encode(hex, id->bytes, sizeof(id->bytes));
    int len = snprintf(answer, sizeof(answer), "{\"tx\":\"%s\",\"state\":\"%s\"}", hex, state);
    dsmr_cli_common_print(values, answer, (size_t)len);
    return dsmr_cli_fail(
        values, DSMR_EXIT_UNAVAILABLE, "%s; the transfer %s, ask with: dsmr tx %s --node %s", why,
        has_expired ? "has expired and runs only if a block had it in time" : "may still run", hex,
        dsmr_cli_text(values, "node"));
}

/* A transfer that failed when it ran is no success. For people: a node that was handed one in mode
 * async has not looked at it yet, and so has no state to tell. */
static int show(const struct dsmr_cli_values *values, const struct dsmr_http_reply *reply)
{
    json_t *answer = json_loadb(reply->body, reply->body_len, 0, NULL);
    const char *state = json_string_value(json_object_get(answer, "state"));
    int code = state != NULL && strcmp(state, "failed") == 0 ? DSMR_EXIT_REFUSED : DSMR_EXIT_OK;
    char *text = NULL;
    if (state != NULL && strcmp(state, "unknown") == 0 && !dsmr_cli_flag(values, "json")) {
        json_object_set_new(answer, "state",
                            json_string("handed over to the node, which has promised nothing: "
                                        "whether it takes it, dsmr tx tells"));
        text = json_dumps(answer, JSON_COMPACT);
    }
    dsmr_cli_common_print(values, text != NULL ? text : reply->body,
                          text != NULL ? strlen(text) : reply->body_len);
    free(text);
    json_decref(answer);
    return code;
}

static int post(const struct dsmr_cli_values *values, const struct dsmr_transfer_tx *what,
                const uint8_t *tx, size_t len)
{
    char body[2 * DSMR_TRANSFER_TX_BYTES_MAX + 16] = "{\"tx\":\"";
    char path[80];
    char why[DSMR_CLI_COMMON_WHY_BYTES];
    struct dsmr_http_client client;
    struct dsmr_http_reply reply = {0};
    struct dsmr_id id;
    size_t at = strlen(body);
    dsmr_hash(&id, tx, len);
    dsmr_hex_encode(body + at, tx, len);
    memcpy(body + at + 2 * len, "\"}", 3);
    (void)snprintf(path, sizeof(path), "/v1/tx?mode=%s&timeout_ms=%llu",
                   dsmr_cli_text(values, "mode"),
                   (unsigned long long)dsmr_cli_number(values, "timeout"));
    int code = dsmr_cli_common_open(values, &client);
    client.timeout_ms = (uint32_t)dsmr_cli_number(values, "timeout") + ANSWER_MS;
    if (code < 0) {
        enum dsmr_err err =
            dsmr_http_client_request(&client, &reply, "POST", path, body, strlen(body));
        if (err == DSMR_OK && reply.status < 400) {
            code = show(values, &reply);
        } else {
            json_t *answer =
                json_loadb(reply.body != NULL ? reply.body : "", reply.body_len, 0, NULL);
            const char *state = err != DSMR_OK ? "unknown" : open_state(&reply, answer);
            dsmr_cli_common_why(why, &client, err, &reply);
            code = state != NULL ? undecided(values, why, state, what, &id)
                                 : dsmr_cli_fail(values, DSMR_EXIT_REFUSED, "%s", why);
            json_decref(answer);
        }
    }
    dsmr_http_client_close(&client);
    return code;
}

static int read_amount(const struct dsmr_cli_values *values, uint64_t *out)
{
    const struct dsmr_cli_option amount = {.name = "amount", .type = DSMR_CLI_NUMBER, .min = 1};
    char message[128];
    if (dsmr_cli_check(&amount, values->args[1], out, message, sizeof(message)) >= 0) {
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "the amount %s, not \"%s\"", message,
                             values->args[1]);
    }
    return -1;
}

int dsmr_cli_money_send(const struct dsmr_cli_values *values)
{
    uint8_t bytes[DSMR_TRANSFER_TX_BYTES_MAX];
    struct dsmr_ed25519_secret_key key;
    struct dsmr_transfer_tx tx;
    struct dsmr_domain domain;
    const char *memo = dsmr_cli_text(values, "memo");
    memset(&tx, 0, sizeof(tx));
    if (dsmr_cli_text(values, "from") == NULL) {
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "send needs --from NAME: the key that pays");
    }
    if (memo != NULL && strlen(memo) > DSMR_TRANSFER_TX_MEMO_MAX) {
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE, "--memo must have at most %u bytes",
                             DSMR_TRANSFER_TX_MEMO_MAX);
    }
    int code = dsmr_cli_common_address(values, &tx.to, values->args[0]);
    if (code < 0) {
        code = read_amount(values, &tx.amount);
    }
    if (code < 0) {
        code = dsmr_cli_common_key(values, &key, dsmr_cli_text(values, "from"));
    }
    if (code < 0) {
        code = get_domain(values, &domain);
    }
    if (code < 0) {
        tx.expiry_ms = real_ms() + dsmr_cli_number(values, "expiry");
        tx.fee_limit = dsmr_cli_number(values, "fee-limit");
        tx.memo_len = (uint8_t)(memo != NULL ? strlen(memo) : 0);
        memcpy(tx.memo, memo != NULL ? memo : "", tx.memo_len);
        code = post(values, &tx, bytes, dsmr_transfer_tx_sign(bytes, &tx, &domain, &key));
    }
    explicit_bzero(&key, sizeof(key));
    return code;
}
