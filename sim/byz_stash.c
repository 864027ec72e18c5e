#include "sim/byz_stash.h"

#define AHEAD_MS 700u /* of a block's time: still within the skew that others allow */
#define SLOTS 8u

void dsmr_sim_byz_stash_close(struct dsmr_sim_byz_stash *stash)
{
    for (uint32_t i = 0; i < DSMR_SIM_BYZ_STASH_OFFERS; i++) {
        dsmr_sim_byz_offer_drop(&stash->offers[i]);
    }
}

void dsmr_sim_byz_stash_grow(struct dsmr_sim_byz_stash *stash, struct dsmr_sim *sim, uint32_t node)
{
    struct dsmr_sim_byz_offer *offer = &stash->offers[stash->next++ % DSMR_SIM_BYZ_STASH_OFFERS];
    uint64_t slot = dsmr_sim_byz_slot(sim) + dsmr_sim_byz_random(sim, SLOTS);
    uint64_t epoch = dsmr_sim_byz_epoch(sim, node);
    if (!dsmr_sim_byz_offer_make(offer, sim, node, epoch, slot, 1)) {
        return;
    }
    for (uint32_t to = 0; to < dsmr_sim_byz_nodes(sim); to++) {
        if (to != node) {
            dsmr_sim_byz_offer_show(offer, sim, node, to);
        }
    }
}

void dsmr_sim_byz_stash_take(struct dsmr_sim_byz_stash *stash, struct dsmr_sim *sim, uint32_t from,
                             const struct dsmr_msg *msg)
{
    for (uint32_t i = 0; i < DSMR_SIM_BYZ_STASH_OFFERS; i++) {
        (void)dsmr_sim_byz_offer_take(&stash->offers[i], sim, from, msg);
    }
}

static bool is_listed(const struct dsmr_block *fields, uint64_t epoch)
{
    for (uint32_t i = 0; i < fields->past_epochs_count; i++) {
        if (fields->past_epochs[i].epoch == epoch) {
            return true;
        }
    }
    return epoch == fields->epoch;
}

static bool is_in_time(const struct dsmr_sim *sim, const struct dsmr_block *fields,
                       const struct dsmr_reference *ref)
{
    return ref->slot <= fields->time_ms / dsmr_sim_byz_params(sim)->slot_ms &&
           fields->time_ms <= ref->expiry_ms;
}

/* A millisecond after one of the stash has expired; the others have not. */
static bool expire(const struct dsmr_sim_byz_stash *stash, struct dsmr_block *fields)
{
    for (uint32_t i = 0; i < DSMR_SIM_BYZ_STASH_OFFERS; i++) {
        const struct dsmr_sim_byz_offer *offer = &stash->offers[i];
        uint64_t time_ms = offer->cert.ref.expiry_ms + 1;
        if (!offer->is_certified || !is_listed(fields, offer->cert.ref.epoch) ||
            time_ms < fields->time_ms || time_ms > fields->time_ms + AHEAD_MS) {
            continue;
        }
        uint32_t count = 0;
        for (uint32_t k = 0; k < fields->certs_count; k++) {
            if (fields->certs[k].ref.expiry_ms >= time_ms) {
                fields->certs[count++] = fields->certs[k];
            }
        }
        count -= count > 0; /* no more than there were */
        fields->certs[count++] = offer->cert;
        fields->certs_count = count;
        fields->time_ms = time_ms;
        return true;
    }
    return false;
}

/* One more than a block may have. */
static bool overfill(const struct dsmr_sim_byz_stash *stash, const struct dsmr_sim *sim,
                     struct dsmr_block *fields, uint32_t certs_max)
{
    uint32_t wanted = dsmr_sim_byz_params(sim)->block_certs_max + 1, count = fields->certs_count;
    for (uint32_t i = 0; i < DSMR_SIM_BYZ_STASH_OFFERS && count < certs_max && count < wanted;
         i++) {
        const struct dsmr_sim_byz_offer *offer = &stash->offers[i];
        if (offer->is_certified && is_listed(fields, offer->cert.ref.epoch) &&
            is_in_time(sim, fields, &offer->cert.ref)) {
            fields->certs[count++] = offer->cert;
        }
    }
    bool is_over = count == wanted;
    fields->certs_count = is_over ? count : fields->certs_count;
    return is_over;
}

/* One of an epoch that the block does not list. */
static bool outlast(const struct dsmr_sim_byz_stash *stash, const struct dsmr_sim *sim,
                    struct dsmr_block *fields)
{
    for (uint32_t i = 0; i < DSMR_SIM_BYZ_STASH_OFFERS && fields->certs_count > 0; i++) {
        const struct dsmr_sim_byz_offer *offer = &stash->offers[i];
        if (offer->is_certified && !is_listed(fields, offer->cert.ref.epoch) &&
            is_in_time(sim, fields, &offer->cert.ref)) {
            fields->certs[0] = offer->cert;
            return true;
        }
    }
    return false;
}

bool dsmr_sim_byz_stash_break(struct dsmr_sim_byz_stash *stash, struct dsmr_sim *sim,
                              struct dsmr_block *fields, uint32_t certs_max)
{
    uint64_t first = dsmr_sim_byz_random(sim, 3);
    for (uint64_t i = first; i < first + 3; i++) {
        if (i % 3 == 0   ? outlast(stash, sim, fields)
            : i % 3 == 1 ? expire(stash, fields)
                         : overfill(stash, sim, fields, certs_max)) {
            return true;
        }
    }
    return false;
}
