/* net_state.h - the structs that the files of this folder share, and who may touch what.
 *
 * Threads: fields marked (mutex) under net->mutex by the loop and the logic thread; fields marked
 *          (fixed) do not change after open; all others are the loop thread's alone. The table of
 *          peers is changed by the loop thread under the mutex: it may read without. */
#ifndef DSMR_NET_NET_STATE_H
#define DSMR_NET_NET_STATE_H

#include <pthread.h>
#include <uv.h>

#include "base/map.h"
#include "base/prng.h"
#include "net/frame_reader.h"
#include "net/frame_writer.h"
#include "net/net_flow.h"
#include "net/outbox.h"
#include "net/tcp_net.h"
#include "net/tls_session.h"

/* A connection's life. Any state may go to CLOSED; memory is freed when libuv has let go of it.
 *
 *   RESOLVING --> CONNECTING --> TLS --> HELLO --> UP --> CLOSED
 *   (dialed)      (dialed)        ^ (accepted ones begin here) */
enum dsmr_net_conn_state {
    DSMR_NET_CONN_RESOLVING,
    DSMR_NET_CONN_CONNECTING,
    DSMR_NET_CONN_TLS,
    DSMR_NET_CONN_HELLO,
    DSMR_NET_CONN_UP,
    DSMR_NET_CONN_CLOSED
};

struct dsmr_net_batch; /* received messages on their way to the inbox; net_io.c */
struct dsmr_net_event; /* peer up or down on its way to the inbox; net_peer.c */
struct dsmr_net_peer;

struct dsmr_net_conn {
    struct dsmr_tcp_net *net;
    struct dsmr_net_conn *next, **link; /* of net->conns */
    struct dsmr_net_conn *next_again;   /* of net->again, if is_again */
    struct dsmr_net_peer *peer;         /* accepted ones: NULL until TLS has named it */
    enum dsmr_net_conn_state state;
    bool is_dialed;
    bool is_again;  /* stopped reading only to let others have their turn */
    bool is_paused; /* the inbox or the peer's share of it is full */
    bool is_write_blocked;
    int fd;
    int events;       /* what poll watches */
    unsigned handles; /* libuv handles and requests that still point here */
    uv_poll_t poll;
    uv_getaddrinfo_t resolve;
    SSL *ssl;
    uint64_t setup_until_ms; /* for the states before UP */
    uint64_t up_since_ms;
    uint64_t received_ms, sent_ms; /* last time */
    uint64_t measured_ms;          /* how fast it is, last time */
    uint32_t unsent_bytes;         /* that much leaves in DSMR_NET_UNSENT_MS; 0: not known */
    uint64_t message_watched;      /* the oldest message that is half received; 0: none */
    uint64_t message_until_ms;     /* and by when it must be whole; 0: none */
    struct dsmr_net_flow *flow;
    struct dsmr_net_batch *batch; /* being gathered, or refused by the inbox */
    struct dsmr_net_event *down;  /* made when it came up, so that "down" cannot fail */
    struct dsmr_frame_reader reader;
    struct dsmr_frame_writer writer;
};

struct dsmr_net_peer {
    struct dsmr_node_id id;           /* (fixed) */
    struct dsmr_outbox outbox;        /* (mutex) */
    bool is_up;                       /* (mutex) */
    bool is_dirty;                    /* (mutex) is in net->dirty */
    bool is_drop_wanted;              /* (mutex) */
    enum dsmr_err drop_why;           /* (mutex) */
    struct dsmr_net_peer *next_dirty; /* (mutex) */
    bool is_allowed;                  /* scratch of set_peers */
    struct dsmr_net_conn *conn;       /* the one that is up */
    struct dsmr_net_conn *dialing;    /* on the way up, dialed by us */
    uint64_t dial_at_ms;
    uint64_t paused_until_ms; /* dropped: no dial, no accept before */
    uint64_t backoff_ms;
    uint64_t logged[DSMR_ERR_NUMBER_MAX / 64]; /* errors that were logged once */
};

struct dsmr_net_place { /* value of net->places */
    char host[DSMR_TCP_NET_HOST_BYTES_MAX + 1];
    uint16_t port;
};

struct dsmr_tcp_net {
    /* (fixed) */
    struct dsmr_tcp_net_limits limits;
    const struct dsmr_tls_identity *identity;
    struct dsmr_domain domain;
    struct dsmr_inbox inbox;
    const struct dsmr_net_handler *handler;
    struct dsmr_metrics *metrics;
    struct dsmr_log log;
    SSL_CTX *tls;
    struct dsmr_net_flow_gate *gate;
    int listen_fd;
    uint16_t listen_port;
    pthread_t thread;

    pthread_mutex_t mutex;
    struct dsmr_map *peers;      /* (mutex) node id -> struct dsmr_net_peer * */
    struct dsmr_map *places;     /* (mutex) node id -> struct dsmr_net_place */
    struct dsmr_net_peer *dirty; /* (mutex) with something to send or to drop */
    struct dsmr_node_id *wanted; /* (mutex) set_peers' list, until the loop has taken it */
    uint32_t wanted_count;
    bool has_wanted;
    bool is_place_new;
    bool is_closing;
    _Atomic bool is_resume_wanted;

    /* the loop thread's */
    uv_loop_t loop;
    uv_async_t async;
    uv_timer_t timer;
    uv_idle_t idle;
    uv_poll_t listen_poll;
    uint64_t timer_at_ms;
    bool is_listening;     /* listen_poll watches */
    bool is_going_away;    /* handles are being closed */
    uint32_t resume_first; /* rotates who is tried first */
    struct dsmr_net_conn *conns;
    struct dsmr_net_conn *again;
    uint32_t unauthenticated;
    uint64_t accept_tokens; /* thousandths of a connection */
    uint64_t accept_tokens_ms;
    uint32_t peers_up;
    struct dsmr_prng prng;
};

/* Monotonic milliseconds as of this turn of the loop. */
static inline uint64_t net_now(const struct dsmr_tcp_net *net)
{
    return uv_now(&net->loop);
}

/* Defined in tcp_net.c: the timer fires at at_ms or earlier. Loop thread. */
void dsmr_tcp_net_arm(struct dsmr_tcp_net *net, uint64_t at_ms);

#endif
