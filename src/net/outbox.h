/* outbox.h - messages that wait to be sent to one peer, by class.
 *
 * Why:        a slow peer must not hold memory without bound, and its votes must not wait behind
 *             its chunks (adversary 72, slow-peer).
 * Not here:   no sockets and no locks; who drops what is the caller's to count.
 * Invariants: take() returns the oldest message of the first class that has one.
 * Limits:     bytes_max of each class, each message counted with DSMR_OUTBOX_OVERHEAD_BYTES; a
 *             message that is larger alone is taken when its class is empty.
 * Threads:    one at a time: the caller's lock. */
#ifndef DSMR_NET_OUTBOX_H
#define DSMR_NET_OUTBOX_H

#include "dsmr/types.h"
#include "wire/message.h"

#define DSMR_OUTBOX_OVERHEAD_BYTES 64u

struct dsmr_outbox_message {
    struct dsmr_outbox_message *next;
    struct dsmr_buf *head;
    struct dsmr_buf *owner; /* keeps body; NULL if there is none */
    const uint8_t *body;
    uint32_t body_len;
    enum dsmr_msg_class cls; /* set by add */
};

/* Takes references on head and owner. NULL if out of memory. */
struct dsmr_outbox_message *dsmr_outbox_message_new(struct dsmr_buf *head, struct dsmr_buf *owner,
                                                    const uint8_t *body, uint32_t body_len);
void dsmr_outbox_message_free(struct dsmr_outbox_message *message); /* NULL is fine */
/* Length of the message on the wire, without the frame's length field. */
size_t dsmr_outbox_message_bytes(const struct dsmr_outbox_message *message);

struct dsmr_outbox_lane {
    struct dsmr_outbox_message *first;
    struct dsmr_outbox_message **end;
    size_t bytes;
};
struct dsmr_outbox { /* the caller's memory; does not move */
    struct dsmr_outbox_lane lanes[DSMR_MSG_CLASS_COUNT];
};

void dsmr_outbox_init(struct dsmr_outbox *outbox);
/* Takes message, or returns FULL and leaves it to the caller. bytes_max: of the class. */
DSMR_MUST_USE enum dsmr_err dsmr_outbox_add(struct dsmr_outbox *outbox,
                                            struct dsmr_outbox_message *message,
                                            enum dsmr_msg_class cls, size_t bytes_max);
/* The next to send of the classes before end, now the caller's; NULL if they are empty. */
struct dsmr_outbox_message *dsmr_outbox_take(struct dsmr_outbox *outbox, unsigned end);
/* Frees all; returns how many there were. */
size_t dsmr_outbox_clear(struct dsmr_outbox *outbox);

#endif
