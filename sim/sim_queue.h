/* sim_queue.h - what happens next: a heap of events by time, first come first served at one time.
 */
#ifndef DSMR_SIM_SIM_QUEUE_H
#define DSMR_SIM_SIM_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

enum dsmr_sim_event_kind {
    DSMR_SIM_ARRIVAL, /* item for a node's inbox */
    DSMR_SIM_LOGIC,   /* the logic thread takes the next item */
    DSMR_SIM_TICK,
    DSMR_SIM_WORK,   /* a core is done; a: which */
    DSMR_SIM_SYNC,   /* a group of writes is durable */
    DSMR_SIM_UPLINK, /* a message has left */
    DSMR_SIM_BYZ,    /* a liar's own clock */
    DSMR_SIM_ACT,    /* act(sim, item) */
    DSMR_SIM_PIPE    /* messages have left the uplink of a wan */
};
struct dsmr_sim;
struct dsmr_sim_event {
    uint64_t due_us;
    enum dsmr_sim_event_kind kind;
    uint32_t node, life, a;
    void *item; /* owned by the event */
    void (*act)(struct dsmr_sim *sim, void *ctx);
};
struct dsmr_sim_queue {
    struct dsmr_sim_entry *heap; /* four children each: with their keys they fill a cache line */
    struct dsmr_sim_event *events;
    uint32_t *free; /* places of events that hold none: capacity - count */
    uint32_t count, capacity;
    uint64_t sequence;
};

void dsmr_sim_queue_push(struct dsmr_sim_queue *queue, struct dsmr_sim_event event);
/* When the next one is due; UINT64_MAX: there is none. */
uint64_t dsmr_sim_queue_due_us(const struct dsmr_sim_queue *queue);
bool dsmr_sim_queue_pop(struct dsmr_sim_queue *queue, struct dsmr_sim_event *out);
void dsmr_sim_queue_close(struct dsmr_sim_queue *queue); /* must be empty */

#endif
