#include "vm/transfers_genesis.h"

#include "vm/address.h"
#include "vm/app_text.h"

/* Where the reader is, for the sentence about an error. */
struct reader {
    struct dsmr_genesis_json *json;
    struct dsmr_transfers_state *state;
    dsmr_transfers_genesis_add add;
    void *add_self;
    enum dsmr_err add_err;
    const char *field; /* static */
    bool is_in_accounts;
    uint64_t account; /* index, if so */
};

/* Notes in *seen that a member was read; a second time is an error. */
static void once(struct reader *reader, uint32_t *seen, uint32_t bit)
{
    if (*seen & bit) {
        dsmr_genesis_json_fail(reader->json, "stands there twice");
    }
    *seen |= bit;
}

static void require(struct reader *reader, uint32_t seen, uint32_t bit, const char *field)
{
    if (!reader->json->problem && !(seen & bit)) {
        reader->field = field;
        dsmr_genesis_json_fail(reader->json, "is missing");
    }
}

static void read_fee(struct reader *reader)
{
    enum { BASE = 1, PER_BYTE = 2, PER_SIGNATURE = 4 };
    struct dsmr_genesis_json *json = reader->json;
    struct dsmr_transfer_tx_fees fees = {.base = 0};
    struct dsmr_genesis_json_string name;
    uint32_t seen = 0;
    reader->field = "fee";
    if (!dsmr_genesis_json_object(json)) {
        return;
    }
    while (dsmr_genesis_json_member(json, &name)) {
        if (dsmr_genesis_json_is(&name, "base")) {
            reader->field = "fee.base";
            once(reader, &seen, BASE);
            dsmr_genesis_json_u64(json, &fees.base);
        } else if (dsmr_genesis_json_is(&name, "per_byte")) {
            reader->field = "fee.per_byte";
            once(reader, &seen, PER_BYTE);
            dsmr_genesis_json_u64(json, &fees.per_byte);
        } else if (dsmr_genesis_json_is(&name, "per_signature")) {
            reader->field = "fee.per_signature";
            once(reader, &seen, PER_SIGNATURE);
            dsmr_genesis_json_u64(json, &fees.per_signature);
        } else {
            dsmr_genesis_json_fail(json, "has a member that is not known");
        }
    }
    require(reader, seen, BASE, "fee.base");
    require(reader, seen, PER_BYTE, "fee.per_byte");
    require(reader, seen, PER_SIGNATURE, "fee.per_signature");
    if (!json->problem && dsmr_transfer_tx_fees_check(&fees)) {
        reader->field = "fee";
        dsmr_genesis_json_fail(json, "of the largest transaction does not fit into 64 bits");
    }
    reader->state->fees = fees;
}

static void read_address(struct reader *reader, struct dsmr_address *out)
{
    struct dsmr_genesis_json_string text;
    if (dsmr_genesis_json_string(reader->json, &text) &&
        dsmr_address_parse(out, text.bytes, text.len)) {
        dsmr_genesis_json_fail(reader->json, "is neither dsmr1... (bech32m) nor 64 hex digits");
    }
}

static void take_account(struct reader *reader, const struct dsmr_account *account)
{
    if (account->balance == 0) {
        reader->field = "balance";
        dsmr_genesis_json_fail(reader->json, "must be above zero");
    } else if (account->balance > UINT64_MAX - reader->state->supply) {
        reader->field = "balance";
        dsmr_genesis_json_fail(reader->json, "makes the sum of all balances exceed 64 bits");
    }
    if (reader->json->problem) {
        return;
    }
    reader->state->supply += account->balance;
    reader->state->accounts++;
    enum dsmr_err err = reader->add(reader->add_self, account);
    if (err == DSMR_ERR_DUPLICATE) {
        reader->field = "address";
        dsmr_genesis_json_fail(reader->json, "stands there twice");
    } else if (err) {
        reader->add_err = err;
        dsmr_genesis_json_fail(reader->json, "could not be stored");
    }
}

static void read_account(struct reader *reader)
{
    enum { ADDRESS = 1, BALANCE = 2 };
    struct dsmr_account account = {.balance = 0};
    struct dsmr_genesis_json_string name;
    uint32_t seen = 0;
    reader->field = NULL;
    if (!dsmr_genesis_json_object(reader->json)) {
        return;
    }
    while (dsmr_genesis_json_member(reader->json, &name)) {
        if (dsmr_genesis_json_is(&name, "address")) {
            reader->field = "address";
            once(reader, &seen, ADDRESS);
            read_address(reader, &account.address);
        } else if (dsmr_genesis_json_is(&name, "balance")) {
            reader->field = "balance";
            once(reader, &seen, BALANCE);
            dsmr_genesis_json_u64(reader->json, &account.balance);
        } else {
            reader->field = NULL;
            dsmr_genesis_json_fail(reader->json, "has a member that is not known");
        }
    }
    require(reader, seen, ADDRESS, "address");
    require(reader, seen, BALANCE, "balance");
    if (!reader->json->problem) {
        take_account(reader, &account);
    }
}

static void read_accounts(struct reader *reader)
{
    reader->field = "accounts";
    if (!dsmr_genesis_json_array(reader->json)) {
        return;
    }
    while (dsmr_genesis_json_element(reader->json)) {
        reader->is_in_accounts = true;
        read_account(reader);
        if (reader->json->problem) {
            return;
        }
        reader->account++;
    }
    reader->is_in_accounts = false;
    reader->field = "accounts";
}

static void read_name(struct reader *reader)
{
    struct dsmr_genesis_json_string name;
    reader->field = "name";
    if (dsmr_genesis_json_string(reader->json, &name) &&
        !dsmr_genesis_json_is(&name, "transfers")) {
        dsmr_genesis_json_fail(reader->json, "is not \"transfers\"");
    }
}

static void read_all(struct reader *reader)
{
    enum { NAME = 1, FEE = 2, ACCOUNTS = 4 };
    struct dsmr_genesis_json_string name;
    uint32_t seen = 0;
    if (!dsmr_genesis_json_object(reader->json)) {
        return;
    }
    while (dsmr_genesis_json_member(reader->json, &name)) {
        if (dsmr_genesis_json_is(&name, "name")) {
            reader->field = "name";
            once(reader, &seen, NAME);
            read_name(reader);
        } else if (dsmr_genesis_json_is(&name, "fee")) {
            reader->field = "fee";
            once(reader, &seen, FEE);
            read_fee(reader);
        } else if (dsmr_genesis_json_is(&name, "accounts")) {
            reader->field = "accounts";
            once(reader, &seen, ACCOUNTS);
            read_accounts(reader);
        } else {
            reader->field = NULL;
            dsmr_genesis_json_fail(reader->json, "has a member that is not known");
        }
    }
    reader->field = reader->json->problem ? reader->field : NULL;
    require(reader, seen, FEE, "fee");
    require(reader, seen, ACCOUNTS, "accounts");
    (void)dsmr_genesis_json_end(reader->json);
}

/* "app.accounts[3].balance: must be above zero (byte 812)" */
static void describe(const struct reader *reader, struct dsmr_app_text *problem)
{
    dsmr_app_text_add(problem, "app");
    if (reader->is_in_accounts) {
        dsmr_app_text_add(problem, ".accounts[");
        dsmr_app_text_add_u64(problem, reader->account);
        dsmr_app_text_add(problem, "]");
    }
    if (reader->field) {
        dsmr_app_text_add(problem, ".");
        dsmr_app_text_add(problem, reader->field);
    }
    dsmr_app_text_add(problem, ": ");
    dsmr_app_text_add(problem, reader->json->problem);
    dsmr_app_text_add(problem, " (byte ");
    dsmr_app_text_add_u64(problem, reader->json->problem_at);
    dsmr_app_text_add(problem, ")");
}

enum dsmr_err dsmr_transfers_genesis_read(struct dsmr_transfers_state *state,
                                          struct dsmr_app_text *problem,
                                          struct dsmr_genesis_json *genesis,
                                          dsmr_transfers_genesis_add add, void *add_self)
{
    struct reader reader = {
        .json = genesis, .state = state, .add = add, .add_self = add_self, .add_err = DSMR_OK};
    *state = (struct dsmr_transfers_state){.height = 0};
    read_all(&reader);
    if (!genesis->problem) {
        return DSMR_OK;
    }
    describe(&reader, problem);
    return reader.add_err ? reader.add_err : DSMR_ERR_CONFIG;
}
