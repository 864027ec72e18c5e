/* Any text as the "app" object: accepted with a sum that is right, or refused with a sentence. */
#include <stdlib.h>
#include <string.h>

#include "vm/app_text.h"
#include "vm/transfers_genesis.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct sum {
    uint64_t balances;
    uint64_t accounts;
};

static enum dsmr_err add(void *self, const struct dsmr_account *account)
{
    struct sum *sum = self;
    if (account->balance == 0 || sum->balances + account->balance < sum->balances) {
        abort();
    }
    sum->balances += account->balance;
    sum->accounts++;
    return account->address.bytes[0] == 0xdd ? DSMR_ERR_DUPLICATE : DSMR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct dsmr_transfers_state state;
    struct dsmr_genesis_json json;
    struct dsmr_app_text problem;
    struct sum sum = {.balances = 0};
    char sentence[200];
    dsmr_app_text_init(&problem, sentence, sizeof sentence);
    dsmr_genesis_json_init(&json, (const char *)bytes, len);
    enum dsmr_err err = dsmr_transfers_genesis_read(&state, &problem, &json, add, &sum);
    if (err ? err != DSMR_ERR_CONFIG || sentence[0] == 0 || dsmr_app_text_end(&problem)
            : state.supply != sum.balances || state.accounts != sum.accounts) {
        abort();
    }
    return 0;
}
