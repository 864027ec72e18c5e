/* sim_disk.c - what goes wrong with the disk of a node. */
#include "sim/sim_state.h"

#define SLOW_US (3 * DSMR_SIM_SECOND_US)
#define TIGHT_US (DSMR_SIM_SECOND_US / 10) /* it looks for room, and groups gather */

bool dsmr_sim_disk_may_halt(enum dsmr_sim_disk state)
{
    return state == DSMR_SIM_DISK_EIO || state == DSMR_SIM_DISK_FULL ||
           state == DSMR_SIM_DISK_PATCHY;
}

void dsmr_sim_set_disk(struct dsmr_sim *sim, uint32_t number, enum dsmr_sim_disk state)
{
    struct dsmr_sim_node *node = &sim->nodes[number];
    node->store_state = state;
    node->has_bad_disk = node->has_bad_disk || dsmr_sim_disk_may_halt(state);
    dsmr_sim_store_set_state(node->store, state);
}

void dsmr_sim_set_state_disk(struct dsmr_sim *sim, uint32_t number, enum dsmr_sim_disk state)
{
    struct dsmr_sim_node *node = &sim->nodes[number];
    node->sim_kv.state = state;
    node->has_bad_disk = node->has_bad_disk || state != DSMR_SIM_DISK_OK;
}

uint64_t dsmr_sim_disk_extra_us(const struct dsmr_sim_node *node)
{
    uint64_t us_max = node->store_state == DSMR_SIM_DISK_SLOW     ? SLOW_US
                      : node->store_state == DSMR_SIM_DISK_TIGHT  ? TIGHT_US
                      : node->store_state == DSMR_SIM_DISK_PATCHY ? TIGHT_US
                                                                  : 0;
    return us_max > 0 ? dsmr_prng_below(&node->sim->disk_prng, us_max) : 0;
}

/* Honest nodes of more than a third of the weight can serve it without these two. */
static bool can_spare(const struct dsmr_sim *sim, const struct dsmr_reference *ref, uint32_t node,
                      uint32_t spare)
{
    const struct dsmr_validator_set *set = dsmr_sim_byz_set_of(sim, ref->epoch);
    uint64_t total = 0, holders = 0;
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        uint32_t number = dsmr_sim_net_number(&set->validators[i].node_ids[0]);
        const struct dsmr_sim_node *holder = &sim->nodes[number];
        bool can_serve = number != node && number != spare && holder->byz == NULL &&
                         dsmr_mem_disk_can_read(dsmr_sim_store_disk(holder->store), &ref->chunk_id);
        total += set->validators[i].weight;
        holders += can_serve ? set->validators[i].weight : 0;
    }
    return 3 * holders > total;
}

uint32_t dsmr_sim_damage(struct dsmr_sim *sim, uint32_t number, uint32_t spare, uint32_t max)
{
    struct dsmr_sim_node *node = &sim->nodes[number];
    const struct dsmr_mem_disk *disk = dsmr_sim_store_disk(node->store);
    const struct dsmr_reference *ref;
    uint32_t count = 0, done = 0;
    while (dsmr_mem_disk_chunk_at(disk, count) != NULL) {
        count++;
    }
    while (count > 0 && done < max && (ref = dsmr_mem_disk_chunk_at(disk, --count)) != NULL) {
        bool is_chosen = dsmr_prng_below(&sim->disk_prng, 2) == 0;
        bool is_wrong = dsmr_prng_below(&sim->disk_prng, 2) == 0;
        if (is_chosen && can_spare(sim, ref, number, spare)) {
            dsmr_sim_store_damage(node->store, &ref->chunk_id,
                                  is_wrong ? DSMR_ERR_CORRUPT : DSMR_ERR_IO);
            done++;
        }
    }
    return done;
}

void dsmr_sim_disk_counts(const struct dsmr_sim *sim, struct dsmr_sim_disk_counts *out)
{
    *out = (struct dsmr_sim_disk_counts){.parted = 0};
    for (uint32_t i = 0; i < sim->bodies; i++) {
        out->parted += sim->nodes[i].disk_counts.parted;
        out->unread += sim->nodes[i].disk_counts.unread;
        out->damaged += sim->nodes[i].disk_counts.damaged;
    }
}
