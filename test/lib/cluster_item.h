/* cluster_item.h - what is on its way in a cluster; between the files of the cluster. */
#ifndef DSMR_TEST_CLUSTER_ITEM_H
#define DSMR_TEST_CLUSTER_ITEM_H

#include "lib/cluster.h"

struct cluster_item {
    uint64_t at_ms, order;
    enum cluster_item_kind kind;
    uint32_t from, to, life;  /* ENGINE: from is 0 look around, 1 a verdict, 2 an accept */
    struct dsmr_buf *bytes;   /* MESSAGE */
    struct dsmr_event event;  /* ANSWER; what it borrows is owned here: */
    struct dsmr_effect store; /* of a write, to be made when it is answered; kind 0: none */
    bool has_store;
    struct dsmr_plan *plan; /* EXECUTED */
    enum dsmr_err *errs;
};

/* item is copied. */
void cluster_push(struct cluster *cluster, struct cluster_item *item, uint64_t delay_ms);

#endif
