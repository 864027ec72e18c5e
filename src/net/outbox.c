#include "net/outbox.h"

#include <stdlib.h>

#include "base/assert.h"

struct dsmr_outbox_message *dsmr_outbox_message_new(struct dsmr_buf *head, struct dsmr_buf *owner,
                                                    const uint8_t *body, uint32_t body_len)
{
    DSMR_ASSERT(head != NULL);
    DSMR_ASSERT((body_len == 0) || (body != NULL));
    struct dsmr_outbox_message *message = malloc(sizeof(*message));
    if (message == NULL)
        return NULL;
    *message = (struct dsmr_outbox_message){.head = dsmr_buf_ref(head),
                                            .owner = dsmr_buf_ref(owner),
                                            .body = body,
                                            .body_len = body_len};
    return message;
}

void dsmr_outbox_message_free(struct dsmr_outbox_message *message)
{
    if (message == NULL)
        return;
    dsmr_buf_unref(message->head);
    dsmr_buf_unref(message->owner);
    free(message);
}

size_t dsmr_outbox_message_bytes(const struct dsmr_outbox_message *message)
{
    return (size_t)message->head->len + message->body_len;
}

static size_t charge(const struct dsmr_outbox_message *message)
{
    return dsmr_outbox_message_bytes(message) + DSMR_OUTBOX_OVERHEAD_BYTES;
}

void dsmr_outbox_init(struct dsmr_outbox *outbox)
{
    for (int i = 0; i < DSMR_MSG_CLASS_COUNT; i++)
        outbox->lanes[i] = (struct dsmr_outbox_lane){.end = &outbox->lanes[i].first};
}

enum dsmr_err dsmr_outbox_add(struct dsmr_outbox *outbox, struct dsmr_outbox_message *message,
                              enum dsmr_msg_class cls, size_t bytes_max)
{
    DSMR_ASSERT(cls < DSMR_MSG_CLASS_COUNT);
    struct dsmr_outbox_lane *lane = &outbox->lanes[cls];
    size_t bytes = charge(message);
    if (lane->first != NULL && (lane->bytes > bytes_max || bytes > bytes_max - lane->bytes))
        return DSMR_ERR_FULL;
    message->next = NULL;
    message->cls = cls;
    *lane->end = message;
    lane->end = &message->next;
    lane->bytes += bytes;
    return DSMR_OK;
}

struct dsmr_outbox_message *dsmr_outbox_take(struct dsmr_outbox *outbox, unsigned end)
{
    DSMR_ASSERT(end <= DSMR_MSG_CLASS_COUNT);
    for (unsigned i = 0; i < end; i++) {
        struct dsmr_outbox_lane *lane = &outbox->lanes[i];
        struct dsmr_outbox_message *message = lane->first;
        if (message == NULL)
            continue;
        lane->first = message->next;
        if (lane->first == NULL)
            lane->end = &lane->first;
        message->next = NULL;
        DSMR_ASSERT(lane->bytes >= charge(message));
        lane->bytes -= charge(message);
        return message;
    }
    return NULL;
}

size_t dsmr_outbox_clear(struct dsmr_outbox *outbox)
{
    size_t count = 0;
    struct dsmr_outbox_message *message;
    while ((message = dsmr_outbox_take(outbox, DSMR_MSG_CLASS_COUNT)) != NULL) {
        dsmr_outbox_message_free(message);
        count++;
    }
    return count;
}
