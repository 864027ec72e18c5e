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
