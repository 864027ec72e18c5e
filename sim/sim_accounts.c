#include "sim/sim_accounts.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "vm/address.h"
#include "vm/transfer_tx.h"

#define FEE_LIMIT 100000u

/* Keys are made once: each costs a multiplication on the curve. */
static const struct dsmr_ed25519_signing_key *key_of(uint32_t account)
{
    static struct dsmr_ed25519_signing_key keys[DSMR_SIM_ACCOUNTS];
    static bool is_made[DSMR_SIM_ACCOUNTS];
    DSMR_ASSERT(account < DSMR_SIM_ACCOUNTS);
    if (!is_made[account]) {
        struct dsmr_ed25519_secret_key secret = {{0x51}};
        dsmr_store_be32(secret.bytes + 28, account + 1);
        dsmr_ed25519_expand(&keys[account], &secret);
        is_made[account] = true;
    }
    return &keys[account];
}

struct dsmr_address dsmr_sim_accounts_address(uint32_t account)
{
    struct dsmr_address address;
    memcpy(address.bytes, key_of(account)->public_key.bytes, sizeof(address.bytes));
    return address;
}

void dsmr_sim_accounts_genesis(char *out, size_t capacity, bool is_transfers)
{
    if (!is_transfers) {
        snprintf(out, capacity, "{}");
        return;
    }
    unsigned long long fee = DSMR_SIM_FEE;
    size_t used = (size_t)snprintf(
        out, capacity,
        "{\"fee\":{\"base\":\"%llu\",\"per_byte\":\"%llu\",\"per_signature\":\"%llu\"},"
        "\"accounts\":[",
        fee, fee, fee);
    for (uint32_t i = 0; i < DSMR_SIM_ACCOUNTS; i++) {
        char text[DSMR_ADDRESS_TEXT_LEN + 1];
        struct dsmr_address address = dsmr_sim_accounts_address(i);
        dsmr_address_format(text, &address);
        used += (size_t)snprintf(out + used, capacity - used,
                                 "%s{\"address\":\"%s\",\"balance\":\"%llu\"}", i == 0 ? "" : ",",
                                 text, (unsigned long long)DSMR_SIM_ACCOUNT_BALANCE);
        DSMR_ASSERT(used < capacity);
    }
    snprintf(out + used, capacity - used, "]}");
}

uint32_t dsmr_sim_accounts_transfer(uint8_t out[DSMR_SIM_TX_BYTES_MAX],
                                    const struct dsmr_domain *domain, uint64_t number,
                                    uint64_t amount, uint64_t expiry_ms)
{
    uint32_t from = (uint32_t)(number % DSMR_SIM_ACCOUNTS);
    struct dsmr_transfer_tx tx = {
        .expiry_ms = expiry_ms,
        .to = dsmr_sim_accounts_address((uint32_t)((number * 7 + 3) % DSMR_SIM_ACCOUNTS)),
        .amount = amount,
        .fee_limit = FEE_LIMIT,
        .memo_len = 8};
    dsmr_store_be64(tx.memo, number);
    return (uint32_t)dsmr_transfer_tx_sign_as(out, &tx, domain, key_of(from));
}

uint32_t dsmr_sim_accounts_opaque(uint8_t out[DSMR_SIM_TX_BYTES_MAX], uint32_t len, uint64_t number,
                                  uint64_t expiry_ms)
{
    DSMR_ASSERT(len >= 17);
    DSMR_ASSERT(len <= DSMR_SIM_TX_BYTES_MAX);
    memset(out, (int)(number & 0xff), len);
    out[0] = 1;
    dsmr_store_be64(out + 1, expiry_ms);
    dsmr_store_be64(out + 9, number);
    return len;
}
