/* submit_client.h - the client's end of the submit stream, for an event loop of the caller's.
 *
 * Why:        the load generator and embedders write the same frames and read the same notices.
 * How:        begin, add transactions, commit makes a SUBMIT frame in the send buffer; flush writes
 *             what the socket takes; poll reads and calls notice for each run.
 * Limits:     the send buffer holds DSMR_SUBMIT_CLIENT_OUT_MAX; beyond it add says FULL and the
 *             caller drops or waits.
 * Threads:    one owner. */
#ifndef DSMR_CLIENT_SUBMIT_CLIENT_H
#define DSMR_CLIENT_SUBMIT_CLIENT_H

#include "dsmr/types.h"
#include "wire/submit_frame.h"

#define DSMR_SUBMIT_CLIENT_OUT_MAX (8u << 20)

struct dsmr_submit_client; /* opaque */

struct dsmr_submit_client_ops {
    /* type: ACK, CERTIFIED, EXECUTED, EXPIRED. height: of EXECUTED. */
    void (*notice)(void *ctx, enum dsmr_submit_frame_type type, uint64_t height,
                   const struct dsmr_submit_run *run);
};

/* Not connected yet. NULL if out of memory. Caller frees. ops, ctx: borrowed until free. */
struct dsmr_submit_client *dsmr_submit_client_new(const struct dsmr_submit_client_ops *ops,
                                                  void *ctx);
void dsmr_submit_client_free(struct dsmr_submit_client *client); /* NULL is fine */

/* Connects, says hello and waits for the welcome, at most timeout_ms. UNAVAILABLE, TIMEOUT,
 * MALFORMED, or what the node refused with (WRONG_CHAIN, FULL, ...). */
DSMR_MUST_USE enum dsmr_err dsmr_submit_client_connect(struct dsmr_submit_client *client,
                                                       const char *host, uint16_t port,
                                                       const struct dsmr_submit_frame_hello *hello,
                                                       uint32_t timeout_ms);
void dsmr_submit_client_disconnect(struct dsmr_submit_client *client);
bool dsmr_submit_client_is_connected(const struct dsmr_submit_client *client);
int dsmr_submit_client_fd(const struct dsmr_submit_client *client); /* -1: not connected */
struct dsmr_submit_frame_welcome
dsmr_submit_client_welcome(const struct dsmr_submit_client *client);

/* Room for one transaction of len bytes in the current frame, to be filled by the caller before
 * the next call; its sequence number is *seq, one more than the last. A full frame is committed on
 * the way. NULL: the send buffer is full, or len is no transaction's. */
uint8_t *dsmr_submit_client_add(struct dsmr_submit_client *client, uint64_t *seq, uint32_t len);
/* Takes back the last add if it was not committed: it turned out shorter. */
void dsmr_submit_client_trim(struct dsmr_submit_client *client, uint32_t len, uint32_t used);
/* Ends the current frame. */
void dsmr_submit_client_commit(struct dsmr_submit_client *client);
/* Sends what the socket takes now. OK also if something is left (unsent). CLOSED. */
enum dsmr_err dsmr_submit_client_flush(struct dsmr_submit_client *client);
size_t dsmr_submit_client_unsent(const struct dsmr_submit_client *client);
/* Reads what is there and calls notice. OK; CLOSED at the end of the stream, MALFORMED, or what the
 * node said before it closed; then the client is disconnected. */
enum dsmr_err dsmr_submit_client_poll(struct dsmr_submit_client *client);

#endif
