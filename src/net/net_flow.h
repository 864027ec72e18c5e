/* net_flow.h - how much of one peer's traffic waits in the inbox.
 *
 * Why:     the inbox is shared by all peers. A peer that floods fills its own share and is then not
 *          read from, while the others go on.
 * How:     the loop thread adds what it offers; the logic thread subtracts what it has handled and
 *          wakes the loop when a waiting peer has come down to half of its limit.
 * Threads: flows are reference-counted: a task may outlive its connection and its net. */
#ifndef DSMR_NET_NET_FLOW_H
#define DSMR_NET_NET_FLOW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Wakes the loop as long as there is one. */
struct dsmr_net_flow_gate;

/* wake(ctx): any thread, until dsmr_net_flow_gate_close. NULL if out of memory. */
struct dsmr_net_flow_gate *dsmr_net_flow_gate_new(void (*wake)(void *ctx), void *ctx);
/* wake is not called any more; gives the owner's reference back. NULL is fine. */
void dsmr_net_flow_gate_close(struct dsmr_net_flow_gate *gate);

struct dsmr_net_flow {
    _Atomic uint32_t refs;
    _Atomic size_t bytes; /* offered, not yet handled */
    _Atomic bool is_waiting;
    size_t bytes_max;
    struct dsmr_net_flow_gate *gate;
};

/* NULL if out of memory; one reference. */
struct dsmr_net_flow *dsmr_net_flow_new(struct dsmr_net_flow_gate *gate, size_t bytes_max);
struct dsmr_net_flow *dsmr_net_flow_ref(struct dsmr_net_flow *flow);
void dsmr_net_flow_unref(struct dsmr_net_flow *flow); /* NULL is fine */

/* Loop thread: bytes are about to be offered, and: the offer was refused. */
void dsmr_net_flow_add(struct dsmr_net_flow *flow, size_t bytes);
void dsmr_net_flow_cancel(struct dsmr_net_flow *flow, size_t bytes);
/* Loop thread: may more be read? If not, the wake will come when it is half empty. */
bool dsmr_net_flow_has_room(struct dsmr_net_flow *flow);
/* Loop thread: is it half empty, so that a paused peer is read from again? If not, as above. */
bool dsmr_net_flow_is_low(struct dsmr_net_flow *flow);
/* Logic thread: bytes were handled. */
void dsmr_net_flow_remove(struct dsmr_net_flow *flow, size_t bytes);

#endif
