/* pb.h - protobuf messages into answers of gRPC calls, and out of requests.
 *
 * Why:     the one place that knows protobuf-c's allocator; the messages are those of proto/.
 * Limits:  a request costs its fields once more; it comes from the local AvalancheGo. What peers
 *          have written is not unpacked: dsmr_pb_find.
 * Threads: any. */
#ifndef DSMR_AVALANCHE_PB_H
#define DSMR_AVALANCHE_PB_H

#include <node.pb-c.h>
#include <vm.pb-c.h>

#include "avalanche/grpc_client.h"
#include "avalanche/grpc_server.h"
#include "base/metrics.h"
#include "dsmr/types.h"
#include "wire/cursor.h"

/* Answers call with message. */
void dsmr_pb_reply(struct dsmr_grpc_call *call, const ProtobufCMessage *message);
/* The message, or NULL after it was counted as MALFORMED and the call was failed. call: NULL if it
 * is answered already. metrics: may be NULL. Caller frees with
 * protobuf_c_message_free_unpacked(message, NULL). */
void *dsmr_pb_read(struct dsmr_metrics *metrics, struct dsmr_grpc_call *call,
                   const ProtobufCMessageDescriptor *descriptor, const struct dsmr_buf *request);
/* Bytes of message; NULL if out of memory. Caller unrefs. */
struct dsmr_buf *dsmr_pb_bytes(const ProtobufCMessage *message);
/* Sets field and its presence to bytes, borrowed. */
#define DSMR_PB_BYTES(message, field, pointer, length)                                             \
    ((message)->has_##field = true, (message)->field.data = (uint8_t *)(uintptr_t)(pointer),       \
     (message)->field.len = (length))
#define DSMR_PB_SET(message, field, value)                                                         \
    ((message)->has_##field = true, (message)->field = (value))

/* A uvarint (LEB128) of at most 64 bits. False: it is longer, or cut off. */
bool dsmr_pb_varint(struct dsmr_rd *rd, uint64_t *out);
/* The last value of a field of bytes where it stands; *out_len 0 if there is none. For what peers
 * have written: nothing is allocated, while unpacking makes a record of each field that it does
 * not know, 88 MiB for 2. False: bytes are no message, or the field is of another kind. */
DSMR_MUST_USE bool dsmr_pb_find(const uint8_t **out, size_t *out_len, uint32_t field,
                                const uint8_t *bytes, size_t len);

/* Copies an id of exactly 32 bytes, a node id of exactly 20; false otherwise. */
bool dsmr_pb_id(struct dsmr_id *out, ProtobufCBinaryData bytes);
bool dsmr_pb_node_id(struct dsmr_node_id *out, ProtobufCBinaryData bytes);
void dsmr_pb_time(Dsmr__Pb__Timestamp *out, uint64_t time_ms);

#endif
