#include "core/submission.h"

#include <stdlib.h>

#include "core/chunk_builder.h"
#include "wire/codec.h"

#define LOOK_AHEAD 8u /* transactions: as much work as a fetch from memory takes */

struct door { /* the same for all items of an event */
    enum dsmr_err err;
    uint64_t not_before_ms;
    uint64_t room_bytes; /* becomes less with each that is admitted */
    uint64_t since_ms;   /* mono: when they came */
};

static enum dsmr_err admit(struct dsmr_node *node, struct door *door, struct dsmr_buf *owner,
                           const struct dsmr_submit_item *item)
{
    uint64_t latest_ms =
        dsmr_node_common_add(node->wall_ms, node->config.params.validity_window_ms);
    if (item->err != DSMR_OK) {
        return item->err;
    }
    if (item->len < DSMR_TX_BYTES_MIN) {
        return DSMR_ERR_MALFORMED;
    }
    if (item->len > dsmr_params_tx_bytes_max(&node->config.params)) {
        return DSMR_ERR_TOO_LARGE;
    }
    if (item->expiry_ms < node->wall_ms) {
        return DSMR_ERR_EXPIRED;
    }
    if (item->expiry_ms > latest_ms) {
        return DSMR_ERR_TX_EXPIRY;
    }
    if (dsmr_own_ids_has(node->own_ids, &item->id) ||
        dsmr_executed_ids_has(node->executed_ids, &item->id, item->expiry_ms)) {
        return DSMR_ERR_DUPLICATE;
    }
    if (door->err != DSMR_OK || item->expiry_ms < door->not_before_ms) { /* it would only expire */
        enum dsmr_err err = door->err != DSMR_OK ? door->err : DSMR_ERR_NOT_YET;
        return dsmr_mempool_has(node->mempool, &item->id) ? DSMR_ERR_DUPLICATE : err;
    }
    if (item->len > door->room_bytes) {
        return dsmr_mempool_has(node->mempool, &item->id) ? DSMR_ERR_DUPLICATE
                                                          : DSMR_ERR_MEMPOOL_FULL;
    }
    struct dsmr_mempool_tx tx = {.owner = owner,
                                 .bytes = item->bytes,
                                 .len = item->len,
                                 .expiry_ms = item->expiry_ms,
                                 .since_ms = door->since_ms,
                                 .id = item->id};
    enum dsmr_err err = dsmr_mempool_add(node->mempool, &tx);
    door->room_bytes -= err == DSMR_OK && door->room_bytes != UINT64_MAX ? item->len : 0;
    return err;
}

/* Each id is looked for in three tables that are larger than any cache. */
static void look_ahead(const struct dsmr_node *node, const struct dsmr_event *event, uint32_t i)
{
    const struct dsmr_submit_item *items = event->u.submit.items;
    if (i + LOOK_AHEAD < event->u.submit.count) {
        const struct dsmr_submit_item *item = &items[i + LOOK_AHEAD];
        dsmr_own_ids_prefetch(node->own_ids, &item->id);
        dsmr_mempool_prefetch(node->mempool, &item->id);
        dsmr_executed_ids_prefetch(node->executed_ids, &item->id, item->expiry_ms);
    }
}

void dsmr_submission_on_items(struct dsmr_node *node, const struct dsmr_event *event)
{
    uint32_t count = event->u.submit.count;
    uint32_t admitted = 0;
    enum dsmr_err *errs = calloc((size_t)count + 1u, sizeof(*errs));
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_SUBMITTED);
    fx->request_id = event->request_id;
    if (errs == NULL) { /* count 0 tells the driver that none was admitted */
        dsmr_node_common_error(node, DSMR_ERR_NO_MEMORY);
        dsmr_node_common_count(node, DSMR_METRIC_TXS_REFUSED, count);
        return;
    }
    fx->u.submitted.errs = errs;
    fx->u.submitted.count = count;
    struct door door = {.err = dsmr_chunk_builder_obstacle(node),
                        .not_before_ms = dsmr_chunk_builder_not_before(node),
                        .room_bytes = dsmr_admission_room(
                            &node->admission, dsmr_mempool_bytes(node->mempool), node->mono_ms),
                        .since_ms = event->u.submit.since_ms};
    if (door.since_ms == 0 || door.since_ms > node->mono_ms) {
        door.since_ms = node->mono_ms;
    }
    dsmr_buf_ref_many(event->u.submit.owner, count); /* those of the admitted are the mempool's */
    for (uint32_t i = 0; i < count; i++) {
        look_ahead(node, event, i);
        errs[i] = admit(node, &door, event->u.submit.owner, &event->u.submit.items[i]);
        admitted += errs[i] == DSMR_OK;
        dsmr_node_common_error(node, errs[i]);
    }
    dsmr_buf_unref_many(event->u.submit.owner, count - admitted);
    dsmr_node_common_count(node, DSMR_METRIC_TXS_ADMITTED, admitted);
    dsmr_node_common_count(node, DSMR_METRIC_TXS_REFUSED, count - admitted);
    if (admitted > 0) {
        dsmr_node_common_arm(node, DSMR_TIMER_CHUNK, node->mono_ms);
        dsmr_node_common_arm(
            node, DSMR_TIMER_MEMPOOL,
            dsmr_node_common_add(node->mono_ms, node->config.params.validity_window_ms / 8u + 1u));
    }
}
