#include "lib/cluster_seen.h"

#include <string.h>

#include "base/assert.h"

static bool watch(struct cluster *cluster, uint32_t from, uint32_t to, const struct dsmr_msg *msg)
{
    struct cluster_seen *seen = cluster->ctx;
    if (seen != NULL && from == 0 && to == EVIL && msg->type == DSMR_MSG_CHUNK_SIGNATURE) {
        seen->is_same = seen->shares == 0 ||
                        (seen->is_same &&
                         memcmp(&seen->sig, &msg->u.chunk_signature.sig, sizeof(seen->sig)) == 0);
        seen->shares++;
        seen->ref = msg->u.chunk_signature.ref;
        seen->sig = msg->u.chunk_signature.sig;
    }
    if (seen != NULL && from == 0 && to == EVIL && msg->type == DSMR_MSG_CHUNK_REFUSED) {
        seen->refusals++;
        seen->last_refusal = msg->u.chunk_refused.err;
    }
    return true;
}

struct cluster *cluster_watched(struct cluster_seen *seen, uint64_t seed,
                                void (*tune)(struct dsmr_node_config *config, uint32_t number))
{
    struct cluster_config config = {.nodes = 4, .seed = seed, .tune = tune};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    DSMR_ASSERT(cluster->chain_height == 1);
    memset(seen, 0, sizeof(*seen));
    cluster->ctx = seen;
    cluster->passes = watch;
    return cluster;
}

uint64_t cluster_pending_bytes(const struct cluster *cluster, uint32_t node)
{
    struct dsmr_node_status status;
    dsmr_node_status(cluster->nodes[node].node, &status);
    return status.pending_bytes;
}
