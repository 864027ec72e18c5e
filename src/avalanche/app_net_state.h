/* app_net_state.h - the inside of app_net, shared by its files only.
 *
 * app_net.c calls of AppSender, sending, receiving, time; app_net_peers.c who there is, and their
 * queues. */
#ifndef DSMR_AVALANCHE_APP_NET_STATE_H
#define DSMR_AVALANCHE_APP_NET_STATE_H

#include "avalanche/app_net.h"
#include "base/bytes.h"
#include "base/map.h"

struct dsmr_app_net_message {
    struct dsmr_app_net_message *next;
    struct dsmr_buf *head, *owner;
    const uint8_t *body;
    uint32_t body_len;
};
struct dsmr_app_net_queue {
    struct dsmr_app_net_message *first, **last;
    size_t bytes;
};

struct dsmr_app_net_peer {
    struct dsmr_node_id id;
    bool is_connected, is_served;
    bool is_up; /* as the handler was told */
    uint64_t dropped_until_ms;
    struct dsmr_app_net_queue queues[DSMR_MSG_CLASS_COUNT];
    uint32_t on_way;       /* requests without an answer */
    uint32_t small_on_way; /* of them those that were no full batch */
    uint32_t window;       /* how many may be on their way: one up to config.window */
    uint32_t answers;      /* since the window last changed */
    uint64_t cut_serial;   /* the last request that left before the window was cut */
    int64_t budget;        /* bytes; below zero: wait */
    uint64_t paid_ms;      /* the budget counts up to here */
};

struct dsmr_app_net_flight { /* one request on its way */
    uint64_t serial;         /* as request ids, but never again the same */
    bool is_paced, is_small;
};

struct dsmr_app_net {
    struct dsmr_app_net_config config;
    void *owner;
    struct dsmr_map *places; /* node id -> u32, place in peers */
    struct dsmr_app_net_peer **peers;
    uint32_t peers_count;
    struct dsmr_map *flights; /* request id -> struct dsmr_app_net_flight */
    uint32_t last_request;
    uint64_t last_serial;
    bool is_telling; /* a task that tells peers up and down is on its way */
};

static inline uint64_t dsmr_app_net_now_ms(const struct dsmr_app_net *net)
{
    return net->config.clock.ops->mono_ms(net->config.clock.self);
}

static inline size_t dsmr_app_net_message_bytes(const struct dsmr_app_net_message *message)
{
    return message->head->len + message->body_len;
}

/* ---- app_net_peers.c ---- */
struct dsmr_app_net_peer *dsmr_app_net_find(const struct dsmr_app_net *net,
                                            const struct dsmr_node_id *id); /* or NULL */
/* The first of a queue that is not empty; to be freed. */
struct dsmr_app_net_message *dsmr_app_net_take(struct dsmr_app_net_queue *queue);
void dsmr_app_net_free_message(struct dsmr_app_net_message *message);
void dsmr_app_net_empty_queues(struct dsmr_app_net_peer *peer);
/* The handler hears who went up or down, by a task. */
void dsmr_app_net_tell_soon(struct dsmr_app_net *net);
void dsmr_app_net_set_peers(void *self, const struct dsmr_node_id *ids, uint32_t count);
void dsmr_app_net_drop_peer(void *self, const struct dsmr_node_id *id, enum dsmr_err why);

#endif
