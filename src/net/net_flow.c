#define _GNU_SOURCE
#include "net/net_flow.h"

#include <stdlib.h>

#include "base/assert.h"

struct dsmr_net_flow_gate {
    pthread_mutex_t mutex;
    _Atomic uint32_t refs;
    void (*wake)(void *ctx); /* NULL: closed */
    void *ctx;
};

struct dsmr_net_flow_gate *dsmr_net_flow_gate_new(void (*wake)(void *ctx), void *ctx)
{
    struct dsmr_net_flow_gate *gate = calloc(1, sizeof(*gate));
    if (gate == NULL)
        return NULL;
    if (pthread_mutex_init(&gate->mutex, NULL) != 0) {
        free(gate);
        return NULL;
    }
    atomic_init(&gate->refs, 1);
    gate->wake = wake;
    gate->ctx = ctx;
    return gate;
}

static void gate_unref(struct dsmr_net_flow_gate *gate)
{
    if (atomic_fetch_sub(&gate->refs, 1) > 1)
        return;
    pthread_mutex_destroy(&gate->mutex);
    free(gate);
}

void dsmr_net_flow_gate_close(struct dsmr_net_flow_gate *gate)
{
    if (gate == NULL)
        return;
    pthread_mutex_lock(&gate->mutex);
    gate->wake = NULL;
    pthread_mutex_unlock(&gate->mutex);
    gate_unref(gate);
}

struct dsmr_net_flow *dsmr_net_flow_new(struct dsmr_net_flow_gate *gate, size_t bytes_max)
{
    struct dsmr_net_flow *flow = calloc(1, sizeof(*flow));
    if (flow == NULL)
        return NULL;
    atomic_init(&flow->refs, 1);
    flow->bytes_max = bytes_max;
    flow->gate = gate;
    atomic_fetch_add(&gate->refs, 1);
    return flow;
}

struct dsmr_net_flow *dsmr_net_flow_ref(struct dsmr_net_flow *flow)
{
    atomic_fetch_add(&flow->refs, 1);
    return flow;
}

void dsmr_net_flow_unref(struct dsmr_net_flow *flow)
{
    if (flow == NULL || atomic_fetch_sub(&flow->refs, 1) > 1)
        return;
    gate_unref(flow->gate);
    free(flow);
}

void dsmr_net_flow_add(struct dsmr_net_flow *flow, size_t bytes)
{
    atomic_fetch_add(&flow->bytes, bytes);
}

void dsmr_net_flow_cancel(struct dsmr_net_flow *flow, size_t bytes)
{
    size_t before = atomic_fetch_sub(&flow->bytes, bytes);
    DSMR_ASSERT(before >= bytes);
}

bool dsmr_net_flow_has_room(struct dsmr_net_flow *flow)
{
    return atomic_load(&flow->bytes) <= flow->bytes_max || dsmr_net_flow_is_low(flow);
}

bool dsmr_net_flow_is_low(struct dsmr_net_flow *flow)
{
    /* Say first that we wait, then look: whoever brings it below half either sees the flag or
     * has done so before we looked. */
    atomic_store(&flow->is_waiting, true);
    if (atomic_load(&flow->bytes) > flow->bytes_max / 2)
        return false;
    atomic_store(&flow->is_waiting, false);
    return true;
}

void dsmr_net_flow_remove(struct dsmr_net_flow *flow, size_t bytes)
{
    size_t before = atomic_fetch_sub(&flow->bytes, bytes);
    DSMR_ASSERT(before >= bytes);
    if (before - bytes > flow->bytes_max / 2 || !atomic_exchange(&flow->is_waiting, false))
        return;
    struct dsmr_net_flow_gate *gate = flow->gate;
    pthread_mutex_lock(&gate->mutex);
    if (gate->wake != NULL)
        gate->wake(gate->ctx);
    pthread_mutex_unlock(&gate->mutex);
}
