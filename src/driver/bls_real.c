#include <stdlib.h>

#include "crypto/aggregate.h"
#include "crypto/bls.h"
#include "driver/driver.h"

static enum dsmr_err verify(const struct dsmr_validator_set *set, uint32_t signer,
                            const struct dsmr_bls_sig *sig, const void *message, size_t len)
{
    if (signer >= set->count)
        return DSMR_ERR_BAD_SIGNATURE;
    return dsmr_bls_verify(&set->validators[signer].point, sig, message, len);
}

static enum dsmr_err verify_batch(enum dsmr_err *errs, const struct dsmr_bls_batch_entry *entries,
                                  size_t count, const uint8_t *random)
{
    struct dsmr_bls_batch_item *items = calloc(count, sizeof *items);
    if (items == NULL)
        return DSMR_ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        items[i].set = entries[i].set;
        items[i].signers = entries[i].signers;
        items[i].sig = entries[i].sig;
        items[i].message = entries[i].message;
        items[i].len = entries[i].len;
        items[i].err = DSMR_ERR_BAD_SIGNATURE;
    }
    enum dsmr_err err = dsmr_bls_verify_batch(items, count, random);
    for (size_t i = 0; i < count; i++)
        errs[i] = items[i].err;
    free(items);
    return err == DSMR_ERR_NO_MEMORY ? err : DSMR_OK;
}

const struct dsmr_bls_ops dsmr_bls_real = {
    .verify = verify,
    .aggregate = dsmr_aggregate_shares,
    .sum = dsmr_aggregate_sum,
    .verify_batch = verify_batch,
};
