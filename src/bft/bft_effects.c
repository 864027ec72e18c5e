#include <stdlib.h>

#include "base/assert.h"
#include "bft/bft.h"

enum dsmr_err dsmr_bft_effects_init(struct dsmr_bft_effects *effects)
{
    struct dsmr_bft_effect *items = malloc(DSMR_BFT_EFFECTS_MAX * sizeof(*items));
    if (items == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    effects->items = items;
    effects->count = 0;
    return DSMR_OK;
}

static void clear_one(struct dsmr_bft_effect *effect)
{
    switch (effect->kind) {
    case DSMR_BFT_FX_SEND:
    case DSMR_BFT_FX_BROADCAST:
        dsmr_validator_set_unref(effect->u.send.set);
        dsmr_buf_unref(effect->u.send.head);
        dsmr_buf_unref(effect->u.send.body);
        break;
    case DSMR_BFT_FX_AGGREGATE:
        dsmr_validator_set_unref(effect->u.aggregate.set);
        free(effect->u.aggregate.votes);
        break;
    case DSMR_BFT_FX_CHECK_QC:
        dsmr_validator_set_unref(effect->u.check.set);
        break;
    case DSMR_BFT_FX_STORE:
        dsmr_buf_unref(effect->u.store.value);
        break;
    case DSMR_BFT_FX_BUILD:
    case DSMR_BFT_FX_VERIFY:
    case DSMR_BFT_FX_ACCEPT:
    case DSMR_BFT_FX_REJECT:
    case DSMR_BFT_FX_PREFER:
    case DSMR_BFT_FX_SERVE_BLOCK:
        dsmr_block_unref(effect->u.block.block);
        break;
    case DSMR_BFT_FX_SIGN:
    case DSMR_BFT_FX_PRUNE:
    case DSMR_BFT_FX_SERVE_BLOCKS:
    case DSMR_BFT_FX_FAULT:
    case DSMR_BFT_FX_TRACE:
        break;
    }
}

void dsmr_bft_effects_clear(struct dsmr_bft_effects *effects)
{
    for (uint32_t i = 0; i < effects->count; i++) {
        clear_one(&effects->items[i]);
    }
    effects->count = 0;
}

void dsmr_bft_effects_close(struct dsmr_bft_effects *effects)
{
    if (effects->items != NULL) {
        dsmr_bft_effects_clear(effects);
        free(effects->items);
        effects->items = NULL;
    }
}
