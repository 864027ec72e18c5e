#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/cli_common.h"
#include "app/cli_verbs.h"
#include "app/exit_codes.h"
#include "base/bytes.h"
#include "vm/address.h"
#include "vm/transfer_tx.h"

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

static int post(const struct dsmr_cli_values *values, const uint8_t *tx, size_t len)
{
    char body[2 * DSMR_TRANSFER_TX_BYTES_MAX + 16] = "{\"tx\":\"";
    char path[48];
    struct dsmr_http_client client = {.fd = -1};
    struct dsmr_http_reply reply;
    size_t at = strlen(body);
    dsmr_hex_encode(body + at, tx, len);
    memcpy(body + at + 2 * len, "\"}", 3);
    (void)snprintf(path, sizeof(path), "/v1/tx?mode=%s", dsmr_cli_text(values, "mode"));
    int code = dsmr_cli_common_ask(values, &client, &reply, "POST", path, body);
    if (code == 0) {
        json_t *answer = json_loadb(reply.body, reply.body_len, 0, NULL);
        const char *state = json_string_value(json_object_get(answer, "state"));
        dsmr_cli_common_print(values, reply.body, reply.body_len);
        code = state != NULL && strcmp(state, "failed") == 0 ? DSMR_EXIT_REFUSED : DSMR_EXIT_OK;
        json_decref(answer);
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
    struct timespec now;
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
        clock_gettime(CLOCK_REALTIME, &now);
        tx.expiry_ms = (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u +
                       dsmr_cli_number(values, "expiry");
        tx.fee_limit = dsmr_cli_number(values, "fee-limit");
        tx.memo_len = (uint8_t)(memo != NULL ? strlen(memo) : 0);
        memcpy(tx.memo, memo != NULL ? memo : "", tx.memo_len);
        code = post(values, bytes, dsmr_transfer_tx_sign(bytes, &tx, &domain, &key));
    }
    explicit_bzero(&key, sizeof(key));
    return code;
}
