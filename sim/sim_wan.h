/* sim_wan.h - a wide network: validators in five regions, each behind a link of a given rate.
 *
 * Why:     with many validators the links and the processors decide, not the delays alone.
 * How:     a message waits for its sender's uplink (sim_pipe.h), travels for half a round trip of
 *          the published table (docs/scale.md) and a little jitter, and waits for its receiver's
 *          downlink. A downlink passes on at most its rate; bytes that came while it was idle are
 *          not counted twice (a message that took long to leave took as long to arrive). Each
 *          message costs the bytes of frame, TLS record, TCP, IP and Ethernet besides its own.
 * Not here: loss, congestion control, acknowledgements.
 * Threads: one. */
#ifndef DSMR_SIM_SIM_WAN_H
#define DSMR_SIM_SIM_WAN_H

#include "sim/sim.h"

#define DSMR_SIM_WAN_REGIONS 5u

struct dsmr_sim_node;
struct dsmr_sim_item;
struct dsmr_sim_event;

extern const char *const dsmr_sim_wan_region_names[DSMR_SIM_WAN_REGIONS];
/* Validators are dealt out to the regions in turn. */
uint32_t dsmr_sim_wan_region(uint32_t node);
/* Between two nodes: half a round trip, and up to a hundredth more. For dsmr_sim_config. */
void dsmr_sim_wan_link(uint32_t from, uint32_t to, struct dsmr_sim_link *link);
/* Links of that rate, four workers a node, the measured costs. */
void dsmr_sim_wan_configure(struct dsmr_sim_config *config, uint64_t bits_per_s);
/* What a message of len bytes puts on the wire. */
uint32_t dsmr_sim_wan_bytes(uint32_t len);

/* ---- for the simulator's own files ---- */
bool dsmr_sim_wan_is_on(const struct dsmr_sim *sim);
void dsmr_sim_wan_init(struct dsmr_sim_node *node);
void dsmr_sim_wan_close(struct dsmr_sim_node *node);
void dsmr_sim_wan_stopped(struct dsmr_sim_node *node); /* a crash: what has not left is gone */
void dsmr_sim_wan_set_rate(struct dsmr_sim_node *node, uint64_t bytes_per_s);
/* FULL: the queue to that peer is. */
enum dsmr_err dsmr_sim_wan_send(struct dsmr_sim_node *node, uint32_t to, enum dsmr_msg_class cls,
                                struct dsmr_buf *bytes);
void dsmr_sim_wan_on_pipe(struct dsmr_sim_node *node, uint64_t due_us);
/* True: the message that arrives waits for the downlink; it will arrive again. */
bool dsmr_sim_wan_holds(struct dsmr_sim_node *node, const struct dsmr_sim_event *arrival);

#endif
