#include "avalanche/pb.h"

#include <stdlib.h>
#include <string.h>

struct dsmr_buf *dsmr_pb_bytes(const ProtobufCMessage *message)
{
    struct dsmr_buf *bytes = dsmr_buf_new(protobuf_c_message_get_packed_size(message));
    if (bytes != NULL)
        (void)protobuf_c_message_pack(message, bytes->bytes);
    return bytes;
}

void dsmr_pb_reply(struct dsmr_grpc_call *call, const ProtobufCMessage *message)
{
    struct dsmr_buf *bytes = dsmr_pb_bytes(message);
    if (bytes == NULL) {
        dsmr_grpc_server_fail(call, DSMR_GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    dsmr_grpc_server_reply(call, bytes->bytes, bytes->len);
    dsmr_buf_unref(bytes);
}

void *dsmr_pb_read(struct dsmr_metrics *metrics, struct dsmr_grpc_call *call,
                   const ProtobufCMessageDescriptor *descriptor, const struct dsmr_buf *request)
{
    void *message = protobuf_c_message_unpack(descriptor, NULL, request->len, request->bytes);
    if (message == NULL && metrics != NULL)
        dsmr_metrics_count_error(metrics, DSMR_ERR_MALFORMED);
    if (message == NULL && call != NULL)
        dsmr_grpc_server_fail(call, DSMR_GRPC_INTERNAL, "the request does not parse");
    return message;
}

bool dsmr_pb_id(struct dsmr_id *out, ProtobufCBinaryData bytes)
{
    if (bytes.len != sizeof out->bytes)
        return false;
    memcpy(out->bytes, bytes.data, bytes.len);
    return true;
}

bool dsmr_pb_node_id(struct dsmr_node_id *out, ProtobufCBinaryData bytes)
{
    if (bytes.len != sizeof out->bytes)
        return false;
    memcpy(out->bytes, bytes.data, bytes.len);
    return true;
}

void dsmr_pb_time(Dsmr__Pb__Timestamp *out, uint64_t time_ms)
{
    dsmr__pb__timestamp__init(out);
    DSMR_PB_SET(out, seconds, (int64_t)(time_ms / 1000));
    DSMR_PB_SET(out, nanos, (int32_t)(time_ms % 1000) * 1000000);
}

bool dsmr_pb_varint(struct dsmr_rd *rd, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte = dsmr_rd_u8(rd);
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *out = value;
            return rd->err == DSMR_OK;
        }
    }
    return false;
}

/* Moves rd behind a value; of bytes, *out and *out_len say where they are. False: no such kind. */
static bool skip_value(struct dsmr_rd *rd, unsigned kind, const uint8_t **out, size_t *out_len)
{
    uint64_t number = 0;
    switch (kind) {
    case 0:
        return dsmr_pb_varint(rd, &number);
    case 1:
        (void)dsmr_rd_view(rd, 8);
        return rd->err == DSMR_OK;
    case 2:
        if (!dsmr_pb_varint(rd, &number) || number > dsmr_rd_left(rd))
            return false;
        *out_len = (size_t)number;
        *out = dsmr_rd_view(rd, *out_len);
        return rd->err == DSMR_OK;
    case 5:
        (void)dsmr_rd_view(rd, 4);
        return rd->err == DSMR_OK;
    default: /* groups: nobody writes them any more */
        return false;
    }
}

bool dsmr_pb_find(const uint8_t **out, size_t *out_len, uint32_t field, const uint8_t *bytes,
                  size_t len)
{
    struct dsmr_rd rd;
    dsmr_rd_init(&rd, bytes, len);
    *out = NULL;
    *out_len = 0;
    while (dsmr_rd_left(&rd) > 0) {
        const uint8_t *value = NULL;
        size_t value_len = 0;
        uint64_t tag = 0;
        if (!dsmr_pb_varint(&rd, &tag) || tag < 8 || tag > UINT32_MAX ||
            !skip_value(&rd, (unsigned)(tag & 7u), &value, &value_len))
            return false;
        if (tag >> 3 != field)
            continue;
        if ((tag & 7u) != 2)
            return false;
        *out = value;
        *out_len = value_len;
    }
    return true;
}
