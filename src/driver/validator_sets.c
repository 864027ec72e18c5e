/* validator_sets.c - sets on their way to the core, and whom the net serves because of them.
 *
 * A set that the port does not have yet is asked for again when the adapter says that it is there,
 * and by and by without that: an adapter whose look-up failed has nothing to say. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/map.h"
#include "driver/driver_state.h"

#define AGAIN_FIRST_MS 1000u
#define AGAIN_MAX_MS 4000u /* asking is cheap, and a chain may stand for want of a set */

static uint32_t add_peers(struct dsmr_node_id *peers, uint32_t count,
                          const struct dsmr_validator_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        for (uint32_t k = 0; k < set->validators[i].node_ids_count; k++)
            peers[count++] = set->validators[i].node_ids[k];
    return count;
}

/* Keeps what is known of those who are served from now on, and of those who are connected still;
 * the others were validators once. False: out of memory, and nothing has changed. */
static bool keep_peers(struct dsmr_driver *driver, const struct dsmr_node_id *peers, uint32_t count)
{
    size_t position = 0;
    const void *id;
    void *known;
    struct dsmr_map *kept =
        dsmr_map_new(sizeof peers[0], sizeof(struct dsmr_driver_peer),
                     count + driver->peers_up + DSMR_DRIVER_PEERS_SPARE, driver->config.node.seed);
    if (kept == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        (void)dsmr_map_add(kept, &peers[i], NULL);
    while (dsmr_map_next(driver->peers, &position, &id, &known)) {
        const struct dsmr_driver_peer *peer = known;
        struct dsmr_driver_peer *entry =
            peer->is_up ? dsmr_map_add(kept, id, NULL) : dsmr_map_find(kept, id);
        DSMR_ASSERT(entry != NULL || !peer->is_up);
        if (entry != NULL)
            *entry = *peer;
    }
    dsmr_map_free(driver->peers);
    driver->peers = kept;
    return true;
}

/* True if the net was told. */
static bool tell_net(struct dsmr_driver *driver, struct dsmr_validator_set *const *sets,
                     uint32_t sets_count)
{
    const struct dsmr_bft_config *bft = &driver->config.bft;
    uint32_t capacity = 0, count = 0;
    for (uint32_t i = 0; i < sets_count; i++)
        capacity += sets[i]->count * DSMR_NODE_IDS_PER_KEY_MAX;
    for (uint32_t i = 0; i < bft->schedule_count; i++)
        capacity += bft->schedule[i].set->count * DSMR_NODE_IDS_PER_KEY_MAX;
    struct dsmr_node_id *peers = calloc(capacity + 1u, sizeof *peers);
    if (peers == NULL)
        return false;
    for (uint32_t i = 0; i < sets_count; i++)
        count = add_peers(peers, count, sets[i]);
    /* The built-in engine's schedule as a whole, so that the next set can connect before its turn
     * (decision 004). */
    for (uint32_t i = 0; i < bft->schedule_count; i++)
        count = add_peers(peers, count, bft->schedule[i].set);
    bool is_kept = keep_peers(driver, peers, count);
    if (is_kept)
        driver->config.net.ops->set_peers(driver->config.net.self, peers, count);
    free(peers);
    return is_kept;
}

void dsmr_validator_sets_serve(struct dsmr_driver *driver)
{
    struct dsmr_validator_set *sets[DSMR_DRIVER_SETS_MAX];
    uint64_t epochs[DSMR_DRIVER_SETS_MAX];
    uint32_t count = dsmr_node_served_sets(driver->node, sets, DSMR_DRIVER_SETS_MAX);
    for (uint32_t i = 0; i < count; i++)
        epochs[i] = sets[i]->epoch;
    bool is_told = count == driver->served_count &&
                   memcmp(epochs, driver->served, count * sizeof epochs[0]) == 0;
    if (driver->config.net.ops == NULL || count == 0 || is_told)
        return;
    if (tell_net(driver, sets, count)) { /* else the next block or set tries again */
        driver->served_count = count;
        memcpy(driver->served, epochs, count * sizeof epochs[0]);
    }
}

static uint64_t now_ms(const struct dsmr_driver *driver)
{
    return driver->config.clock.ops->mono_ms(driver->config.clock.self);
}

static void forget(struct dsmr_driver *driver, uint64_t epoch)
{
    for (uint32_t i = 0; i < driver->wanted_count; i++) {
        if (driver->wanted[i] == epoch) {
            driver->wanted_count--;
            memmove(&driver->wanted[i], &driver->wanted[i + 1],
                    (driver->wanted_count - i) * sizeof driver->wanted[0]);
            return;
        }
    }
}

/* Asks the port. False: it does not have the set yet. */
static bool bring(struct dsmr_driver *driver, uint64_t epoch)
{
    const struct dsmr_validators *port = &driver->config.validators;
    struct dsmr_validator_set *set = NULL;
    if (port->ops->get(port->self, &set, epoch) != DSMR_OK)
        return false;
    DSMR_ASSERT(set->epoch == epoch);
    forget(driver, epoch);
    struct dsmr_event event = {.kind = DSMR_EV_SET};
    event.u.set = set;
    dsmr_driver_core_event(driver, &event);
    dsmr_validator_set_unref(set);
    dsmr_validator_sets_serve(driver);
    return true;
}

void dsmr_validator_sets_want(struct dsmr_driver *driver, uint64_t epoch)
{
    if (bring(driver, epoch))
        return;
    forget(driver, epoch);
    if (driver->wanted_count == DSMR_DRIVER_WANTED_MAX) { /* the oldest wish gives way */
        memmove(&driver->wanted[0], &driver->wanted[1],
                (DSMR_DRIVER_WANTED_MAX - 1u) * sizeof driver->wanted[0]);
        driver->wanted_count--;
    }
    driver->wanted[driver->wanted_count++] = epoch;
    driver->want_wait_ms = AGAIN_FIRST_MS;
    driver->want_due_ms = now_ms(driver) + AGAIN_FIRST_MS;
}

void dsmr_validator_sets_available(struct dsmr_driver *driver, uint64_t epoch)
{
    (void)bring(driver, epoch); /* if it is not there after all: the next time */
}

void dsmr_validator_sets_tick(struct dsmr_driver *driver)
{
    uint64_t wanted[DSMR_DRIVER_WANTED_MAX];
    uint32_t count = driver->wanted_count;
    if (count == 0 || now_ms(driver) < driver->want_due_ms)
        return;
    memcpy(wanted, driver->wanted, sizeof wanted);
    for (uint32_t i = 0; i < count; i++)
        (void)bring(driver, wanted[i]);
    driver->want_wait_ms =
        driver->want_wait_ms < AGAIN_MAX_MS / 2u ? driver->want_wait_ms * 2u : AGAIN_MAX_MS;
    driver->want_due_ms = now_ms(driver) + driver->want_wait_ms;
}

uint64_t dsmr_validator_sets_deadline_ms(const struct dsmr_driver *driver)
{
    return driver->wanted_count > 0 ? driver->want_due_ms : UINT64_MAX;
}
