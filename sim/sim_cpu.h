/* sim_cpu.h - what the parts of a node cost, and which thread pays.
 *
 * How:     one logic thread, one network thread, config.cores workers, one execution thread, one
 *          disk: each does one thing after the other. What a thing costs is a table of nanoseconds;
 *          dsmr_sim_cpu_measured is what bench/bench_costs.c has measured. A node without costs
 *          (all zero) is as fast as it likes.
 * Weight:  a simulated transaction stands for tx_weight real ones that arrive together: its bytes
 *          are theirs, and what is paid for each transaction is paid tx_weight times.
 * Threads: one. */
#ifndef DSMR_SIM_SIM_CPU_H
#define DSMR_SIM_SIM_CPU_H

#include "ports/bls_ops.h"
#include "ports/signer.h"
#include "ports/submit.h"
#include "sim/sim.h"

struct dsmr_sim_node;
struct dsmr_sim_item;

extern const struct dsmr_sim_costs dsmr_sim_cpu_measured;

/* ---- workers: called while a task runs ---- */
void dsmr_sim_cpu_begin(struct dsmr_sim_node *node); /* a task of node runs from here on */
uint64_t dsmr_sim_cpu_end(void);                     /* what it has cost, in nanoseconds */
void dsmr_sim_cpu_check(const struct dsmr_tx_view *txs, uint32_t count);
void dsmr_sim_cpu_execute(uint32_t count);
/* The simulated BLS work with its costs; a verdict that was found once is not found again. */
extern const struct dsmr_bls_ops dsmr_sim_cpu_bls;
/* The same for the signer port of inner, which must stay valid. */
struct dsmr_signer dsmr_sim_cpu_signer(struct dsmr_signer *inner);

/* ---- the logic thread ---- */
/* Microseconds until it is free. */
uint64_t dsmr_sim_cpu_logic_wait_us(const struct dsmr_sim_node *node);
/* It has handled item (NULL: a tick), and sent so many messages in the course of it. */
void dsmr_sim_cpu_logic(struct dsmr_sim_node *node, const struct dsmr_sim_item *item,
                        uint64_t sends);
/* What it does for each transaction. */
void dsmr_sim_cpu_notice(struct dsmr_sim_node *node, const struct dsmr_notice *notice);

/* ---- network thread and disk ---- */
void dsmr_sim_cpu_net(struct dsmr_sim_node *node, uint32_t len); /* one message is sent */
/* One message that is whole at at_us is received: when the logic thread can have it. */
uint64_t dsmr_sim_cpu_net_receive(struct dsmr_sim_node *node, uint32_t len, uint64_t at_us);
/* Microseconds of a group commit of so many bytes, without its random part. */
uint64_t dsmr_sim_cpu_sync_us(struct dsmr_sim_node *node, uint64_t bytes);

#endif
