/* fuzz_genesis.c - any text as genesis.json: a chain whose parts fit together, or one sentence. */
#undef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "app/genesis.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check(struct dsmr_genesis *genesis)
{
    struct dsmr_validators validators = dsmr_genesis_validators(genesis);
    const char *reason = "";
    must(genesis->block->height == 0 && genesis->schedule_count >= 1);
    must(dsmr_params_check(&genesis->params, &reason, genesis->validators_max) == DSMR_OK);
    for (uint32_t i = 0; i < genesis->schedule_count; i++) {
        const struct dsmr_bft_schedule_entry *entry = &genesis->schedule[i];
        struct dsmr_validator_set *set = NULL;
        uint64_t next = 0, weight = 0;
        must(i == 0 ? entry->from_height == 0 : entry->from_height > entry[-1].from_height);
        must(entry->set->count >= 1 && entry->set->count <= genesis->validators_max);
        for (uint32_t k = 0; k < entry->set->count; k++) {
            must(entry->set->validators[k].weight > 0);
            weight += entry->set->validators[k].weight;
        }
        must(weight == entry->set->total_weight);
        must(validators.ops->epoch_at(validators.self, entry->from_height, &next) ==
             entry->set->epoch);
        must(next > entry->from_height);
        must(validators.ops->get(validators.self, &set, entry->set->epoch) == DSMR_OK);
        must(set == entry->set);
        dsmr_validator_set_unref(set);
    }
    must(strlen(genesis->app_json) > 0 && strlen(genesis->app_name) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char path[64], reason[DSMR_GENESIS_REASON_BYTES] = "";
    struct dsmr_genesis genesis;
    int fd = memfd_create("genesis", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    enum dsmr_err err = dsmr_genesis_load(&genesis, reason, path);
    if (err == DSMR_OK) {
        check(&genesis);
        dsmr_genesis_close(&genesis);
    } else {
        must(err == DSMR_ERR_CONFIG || err == DSMR_ERR_NEWER_FORMAT || err == DSMR_ERR_LIMIT);
        must(strncmp(reason, path, strlen(path)) == 0 && strchr(reason, '\n') == NULL);
    }
    close(fd);
    return 0;
}
