/* net_io.h - bytes in and out of connections whose TLS session stands.
 *
 * Threads: the loop thread. */
#ifndef DSMR_NET_NET_IO_H
#define DSMR_NET_NET_IO_H

#include "net/net_state.h"

/* Reads and delivers until there is no more, the inbox refuses, or others must have their turn;
 * may close the connection. */
void dsmr_net_io_read(struct dsmr_net_conn *conn);
/* Writes what is queued until the socket takes no more; may close the connection. */
void dsmr_net_io_write(struct dsmr_net_conn *conn);
/* Sends a frame in front of all others if none is half sent (else there is no need for a ping). */
void dsmr_net_io_send_now(struct dsmr_net_conn *conn, const void *message, size_t len);
/* Tries every paused connection again. */
void dsmr_net_io_resume(struct dsmr_tcp_net *net);
/* Drops what conn holds for the inbox. */
void dsmr_net_io_forget(struct dsmr_net_conn *conn);

#endif
