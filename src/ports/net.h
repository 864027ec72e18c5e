/* net.h - messages between validators.
 *
 * A peer's identity is what the transport proved (TLS key, NodeID), never a field of a message.
 * Threads: send, set_peers and drop from the logic thread; events come as tasks through the inbox
 *          and call the handler on the logic thread. */
#ifndef DSMR_PORTS_NET_H
#define DSMR_PORTS_NET_H

#include "dsmr/types.h"
#include "ports/task.h"
#include "wire/message.h"

struct dsmr_net_handler { /* called on the logic thread */
    /* Given as owner; NULL: whoever owns the inbox, which is the driver. */
    void *self;
    /* bytes: one message, type byte first; the handler takes its own reference if it keeps it. */
    void (*message)(void *owner, const struct dsmr_node_id *from, struct dsmr_buf *bytes);
    void (*peer)(void *owner, const struct dsmr_node_id *peer, bool is_up);
};

struct dsmr_net_ops {
    /* Queues head and then body (owner keeps body alive; both NULL if none) as one message. Takes
     * references. Never blocks: UNKNOWN if not connected, FULL if the queue of its class is at its
     * limit (the message is dropped and counted). */
    enum dsmr_err (*send)(void *self, const struct dsmr_node_id *to, enum dsmr_msg_class cls,
                          struct dsmr_buf *head, struct dsmr_buf *owner, const uint8_t *body,
                          uint32_t body_len);
    /* Who gets service: the validators of the current and listed epochs, and of later ones that are
     * known. Others are disconnected. peers: borrowed, may name one twice. */
    void (*set_peers)(void *self, const struct dsmr_node_id *peers, uint32_t count);
    /* Ends the connection because of what the peer did; it may come back after a pause. */
    void (*drop)(void *self, const struct dsmr_node_id *peer, enum dsmr_err why);
};
struct dsmr_net {
    void *self;
    const struct dsmr_net_ops *ops;
};

#endif
