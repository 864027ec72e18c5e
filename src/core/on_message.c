#include "core/on_message.h"

#include "core/cert_intake.h"
#include "core/chunk_fetch.h"
#include "core/chunk_server.h"
#include "core/health.h"
#include "core/share_collector.h"
#include "core/share_policy.h"

void dsmr_on_message(struct dsmr_node *node, const struct dsmr_event *event)
{
    const struct dsmr_node_id *from = &event->u.message.from;
    const struct dsmr_msg *msg = event->u.message.msg;
    if (!node->is_started || node->is_halted || dsmr_node_id_equal(from, &node->config.node_id)) {
        return;
    }
    switch (msg->type) {
    case DSMR_MSG_STATUS:
        dsmr_health_on_status(node, from, msg);
        break;
    case DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE:
        dsmr_share_policy_on_request(node, from, msg, event->u.message.bytes);
        break;
    case DSMR_MSG_CHUNK_SIGNATURE:
        dsmr_share_collector_on_share(node, from, msg);
        break;
    case DSMR_MSG_CHUNK_REFUSED:
        dsmr_share_collector_on_refused(node, from, msg);
        break;
    case DSMR_MSG_CERTIFICATE:
        dsmr_cert_intake_on_message(node, from, &msg->u.certificate);
        break;
    case DSMR_MSG_CERTIFICATE_ANSWER:
        dsmr_share_collector_on_cert_answer(node, from, msg);
        break;
    case DSMR_MSG_REQUEST_CHUNK:
        dsmr_chunk_server_on_request(node, from, &msg->u.request_chunk.chunk_id,
                                     msg->u.request_chunk.height);
        break;
    case DSMR_MSG_CHUNK:
        dsmr_chunk_fetch_on_message(node, from, msg, event->u.message.bytes);
        break;
    default:
        dsmr_node_common_fault(node, from, DSMR_ERR_UNEXPECTED);
        break;
    }
}
