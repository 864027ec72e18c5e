/* cluster_seen.h - four nodes with an epoch, and what node 0 says to a Byzantine validator: node
 * EVIL is down, its identity is the test's. */
#ifndef DSMR_TEST_CLUSTER_SEEN_H
#define DSMR_TEST_CLUSTER_SEEN_H

#include "lib/cluster.h"

#define EVIL 3u

struct cluster_seen { /* what node 0 said to EVIL */
    uint32_t shares;
    uint32_t refusals;
    struct dsmr_reference ref; /* of the last share */
    struct dsmr_bls_sig sig;
    bool is_same; /* all shares were equal */
    uint16_t last_refusal;
};

/* Its ctx is seen. */
struct cluster *cluster_watched(struct cluster_seen *seen, uint64_t seed,
                                void (*tune)(struct dsmr_node_config *config, uint32_t number));
uint64_t cluster_pending_bytes(const struct cluster *cluster, uint32_t node);

#endif
