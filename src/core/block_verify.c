#include "core/block_verify.h"

#include <stdlib.h>

#include "core/block_builder.h"
#include "core/block_load.h"
#include "crypto/hash.h"
#include "wire/codec.h"

static void answer(struct dsmr_node *node, uint64_t request_id, enum dsmr_err err)
{
    dsmr_effects_answer(node->fx, DSMR_FX_VERDICT, request_id, err, NULL);
    dsmr_node_common_error(node, err);
}

/* Parent, context, height, time, list. OK: *parent is set. */
static enum dsmr_err check_head(struct dsmr_node *node, const struct dsmr_block *block,
                                uint64_t epoch, const struct dsmr_block **parent)
{
    const struct dsmr_params *params = &node->config.params;
    if (block->height > 1 && epoch == DSMR_EPOCH_NONE) {
        return DSMR_ERR_NOT_YET; /* context missing above block 1 */
    }
    if (block->epoch != epoch) {
        return DSMR_ERR_EPOCH_NOT_ALLOWED;
    }
    *parent = dsmr_block_builder_find(node, &block->parent_id);
    if (*parent == NULL) {
        return block->height <= node->accepted->height ? DSMR_ERR_DECIDED : DSMR_ERR_UNKNOWN_PARENT;
    }
    if (block->height != (*parent)->height + 1) {
        return DSMR_ERR_BAD_HEIGHT;
    }
    if (block->time_ms < dsmr_block_builder_time_min(node, *parent)) {
        return DSMR_ERR_BLOCK_TIME;
    }
    if (block->time_ms > dsmr_node_common_add(node->wall_ms, params->clock_skew_ms)) {
        return DSMR_ERR_NOT_YET;
    }
    struct dsmr_past_epoch list[DSMR_PAST_EPOCHS_MAX];
    uint32_t count =
        dsmr_epochs_list(list, *parent, epoch, block->time_ms, params->chunk_lifetime_ms);
    if (count != block->past_epochs_count) {
        return DSMR_ERR_PAST_EPOCHS;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].epoch != block->past_epochs[i].epoch ||
            list[i].ended_at_ms != block->past_epochs[i].ended_at_ms) {
            return DSMR_ERR_PAST_EPOCHS;
        }
    }
    return DSMR_OK;
}

static enum dsmr_err check_limits(const struct dsmr_node *node, const struct dsmr_block *block,
                                  const struct dsmr_block *parent)
{
    const struct dsmr_params *params = &node->config.params;
    uint64_t txs = 0;
    uint64_t bytes = 0;
    if (block->bytes->len > params->block_bytes_max ||
        block->certs_count > params->block_certs_max) {
        return DSMR_ERR_BLOCK_LIMIT;
    }
    for (uint32_t i = 0; i < block->certs_count; i++) { /* 1024 u32 do not overflow */
        txs += block->certs[i].ref.tx_count;
        bytes += block->certs[i].ref.chunk_bytes;
    }
    if (txs > params->block_txs_max || bytes > params->block_payload_bytes_max) {
        return DSMR_ERR_BLOCK_LIMIT;
    }
    bool may_be_empty = parent->epoch == DSMR_EPOCH_NONE || block->epoch != parent->epoch ||
                        block->time_ms - parent->time_ms >= params->chunk_lifetime_ms;
    return block->certs_count > 0 || may_be_empty ? DSMR_OK : DSMR_ERR_BLOCK_EMPTY;
}

static enum dsmr_err check_cert(struct dsmr_node *node, const struct dsmr_block *block,
                                const struct dsmr_cert *cert, uint64_t time_min_ms)
{
    const struct dsmr_reference *ref = &cert->ref;
    uint64_t weight;
    if (!dsmr_epochs_allows(block->epoch, block->past_epochs, block->past_epochs_count,
                            ref->epoch)) {
        return DSMR_ERR_EPOCH_NOT_ALLOWED;
    }
    const struct dsmr_validator_set *set = dsmr_node_common_set(node, ref->epoch);
    if (set == NULL) {
        return DSMR_ERR_NOT_YET;
    }
    enum dsmr_err err = dsmr_node_common_check_ref(node, ref, set);
    if (err == DSMR_OK) {
        err = dsmr_node_common_check_signers(&cert->signers, &weight, set);
    }
    if (err != DSMR_OK) {
        return err;
    }
    if (dsmr_node_common_slot_start(node, ref->slot) > block->time_ms ||
        block->time_ms > ref->expiry_ms) {
        return DSMR_ERR_CERT_TIME;
    }
    bool is_used = dsmr_block_tree_is_used(node->tree, &block->parent_id, ref, time_min_ms) ||
                   dsmr_accepted_index_is_used(node->index, ref, node->accepted->height);
    return is_used ? DSMR_ERR_CERT_TWICE : DSMR_OK;
}

static bool is_same(const struct dsmr_reference *a, const struct dsmr_reference *b)
{
    return dsmr_id_equal(&a->chunk_id, &b->chunk_id) ||
           (a->slot == b->slot && dsmr_node_id_equal(&a->producer, &b->producer));
}

/* A chunk id or (producer, slot) twice in the block. Both are looked at by sorting indexes: chunk
 * ids first, then slots. */
static int by_chunk(const void *a, const void *b)
{
    const struct dsmr_reference *x = *(const struct dsmr_reference *const *)a;
    const struct dsmr_reference *y = *(const struct dsmr_reference *const *)b;
    return memcmp(x->chunk_id.bytes, y->chunk_id.bytes, sizeof(x->chunk_id.bytes));
}

static int by_slot(const void *a, const void *b)
{
    const struct dsmr_reference *x = *(const struct dsmr_reference *const *)a;
    const struct dsmr_reference *y = *(const struct dsmr_reference *const *)b;
    if (x->slot != y->slot) {
        return x->slot < y->slot ? -1 : 1;
    }
    return memcmp(x->producer.bytes, y->producer.bytes, sizeof(x->producer.bytes));
}

static enum dsmr_err check_twice(const struct dsmr_reference **order,
                                 const struct dsmr_block *block)
{
    for (uint32_t i = 0; i < block->certs_count; i++) {
        order[i] = &block->certs[i].ref;
    }
    for (int pass = 0; pass < 2; pass++) {
        qsort(order, block->certs_count, sizeof(order[0]), pass == 0 ? by_chunk : by_slot);
        for (uint32_t i = 1; i < block->certs_count; i++) {
            if (is_same(order[i - 1], order[i])) {
                return DSMR_ERR_CERT_TWICE;
            }
        }
    }
    return DSMR_OK;
}

static enum dsmr_err check_all(struct dsmr_node *node, const struct dsmr_block *block,
                               uint64_t epoch)
{
    const struct dsmr_block *parent = NULL;
    uint64_t lifetime_ms = node->config.params.chunk_lifetime_ms;
    uint64_t time_min_ms = block->time_ms > lifetime_ms ? block->time_ms - lifetime_ms : 0;
    enum dsmr_err err = check_head(node, block, epoch, &parent);
    if (err == DSMR_OK) {
        err = check_limits(node, block, parent);
    }
    if (err == DSMR_OK && epoch != DSMR_EPOCH_NONE && dsmr_node_common_set(node, epoch) == NULL) {
        err = DSMR_ERR_NOT_YET;
    }
    if (err == DSMR_OK) {
        err = check_twice(node->cert_order, block);
    }
    for (uint32_t i = 0; err == DSMR_OK && i < block->certs_count; i++) {
        err = check_cert(node, block, &block->certs[i], time_min_ms);
    }
    return err;
}

static void enter_tree(struct dsmr_node *node, struct dsmr_block *block, enum dsmr_err *err)
{
    if (*err == DSMR_OK) {
        *err = dsmr_block_tree_add(node->tree, block);
        *err = *err == DSMR_ERR_DUPLICATE ? DSMR_OK : *err;
        *err = *err == DSMR_ERR_FULL ? DSMR_ERR_BUSY : *err;
    }
    if (*err == DSMR_OK) {
        dsmr_node_common_count(node, DSMR_METRIC_BLOCKS_VERIFIED, 1);
    }
    dsmr_effects_trace(node->fx, DSMR_TRACE_BLOCK_VERIFIED, &block->id, block->height,
                       (uint64_t)*err);
}

static struct dsmr_verification *find_verification(struct dsmr_node *node,
                                                   const struct dsmr_id *block_id)
{
    struct dsmr_verification *free_one = NULL;
    for (uint32_t i = 0; i < DSMR_NODE_VERIFICATIONS_MAX; i++) {
        struct dsmr_verification *v = &node->verifications[i];
        if (v->block == NULL) {
            free_one = free_one == NULL ? v : free_one;
        } else if (dsmr_id_equal(&v->block->id, block_id)) {
            return v;
        }
    }
    return free_one;
}

/* Fills v->unknown with certificates whose verdict is not cached; BAD_SIGNATURE if one is bad. */
static enum dsmr_err look_up(struct dsmr_node *node, struct dsmr_verification *v,
                             const struct dsmr_block *block)
{
    v->unknown_count = 0;
    for (uint32_t i = 0; i < block->certs_count; i++) {
        struct dsmr_id hash;
        enum dsmr_err verdict;
        dsmr_cert_hash(&hash, &block->certs[i]);
        if (!dsmr_verdict_cache_find(node->verdicts, &verdict, &hash)) {
            v->unknown[v->unknown_count++] = i;
        } else if (verdict != DSMR_OK) {
            return verdict;
        }
    }
    return DSMR_OK;
}

static enum dsmr_err send_batch(struct dsmr_node *node, struct dsmr_verification *v,
                                struct dsmr_block *block)
{
    struct dsmr_cert *certs = calloc(v->unknown_count, sizeof(*certs));
    struct dsmr_validator_set **sets =
        calloc(v->unknown_count, sizeof(struct dsmr_validator_set *));
    uint64_t id = 0;
    if (certs != NULL && sets != NULL) {
        id = dsmr_node_common_request(node, DSMR_REQUEST_BLOCK_VERIFY,
                                      (uint32_t)(v - node->verifications), v->use + 1);
    }
    if (id == 0) {
        free(certs);
        free(sets);
        return DSMR_ERR_BUSY;
    }
    for (uint32_t i = 0; i < v->unknown_count; i++) {
        certs[i] = block->certs[v->unknown[i]];
        struct dsmr_validator_set *set = dsmr_node_common_set(node, certs[i].ref.epoch);
        DSMR_ASSERT(set != NULL); /* check_cert has just seen it */
        sets[i] = dsmr_validator_set_ref(set);
    }
    v->use++;
    v->block = dsmr_block_ref(block);
    v->waiters_count = 0;
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_VERIFY_CERTS);
    fx->request_id = id;
    fx->u.verify_certs.certs = certs;
    fx->u.verify_certs.sets = sets;
    fx->u.verify_certs.count = v->unknown_count;
    return DSMR_OK;
}

void dsmr_block_verify_on_block(struct dsmr_node *node, uint64_t request_id,
                                struct dsmr_block *block, uint64_t epoch)
{
    const struct dsmr_block *known = dsmr_block_builder_find(node, &block->id);
    if (known != NULL) { /* verified before; another context does not make it forgotten */
        enum dsmr_err again = known->epoch == epoch ? DSMR_OK : DSMR_ERR_EPOCH_NOT_ALLOWED;
        if (epoch == DSMR_EPOCH_NONE && known->height > 1) {
            again = DSMR_ERR_NOT_YET;
        }
        answer(node, request_id, again);
        return;
    }
    enum dsmr_err err =
        dsmr_block_load_is_disk_late(node) ? DSMR_ERR_BUSY : check_all(node, block, epoch);
    struct dsmr_verification *v = err == DSMR_OK ? find_verification(node, &block->id) : NULL;
    if (err == DSMR_OK && v == NULL) {
        err = DSMR_ERR_BUSY;
    }
    if (err == DSMR_OK && v->block == NULL) {
        err = look_up(node, v, block);
        if (err == DSMR_OK && v->unknown_count == 0) {
            enter_tree(node, block, &err);
            answer(node, request_id, err);
            dsmr_block_builder_update(node);
            return;
        }
        if (err == DSMR_OK) {
            err = send_batch(node, v, block);
        }
    }
    if (err == DSMR_OK && v->waiters_count == DSMR_NODE_VERIFY_WAITERS_MAX) {
        err = DSMR_ERR_BUSY;
    }
    if (err != DSMR_OK) {
        dsmr_effects_trace(node->fx, DSMR_TRACE_BLOCK_VERIFIED, &block->id, block->height,
                           (uint64_t)err);
        answer(node, request_id, err);
        return;
    }
    v->waiters[v->waiters_count++] = request_id;
}

static enum dsmr_err take_verdicts(struct dsmr_node *node, const struct dsmr_verification *v,
                                   const struct dsmr_event *event)
{
    enum dsmr_err err = event->err;
    if (err == DSMR_OK && event->u.verified.count != v->unknown_count) {
        err = DSMR_ERR_UNAVAILABLE;
    }
    for (uint32_t i = 0;
         event->err == DSMR_OK && i < v->unknown_count && i < event->u.verified.count; i++) {
        enum dsmr_err verdict = event->u.verified.errs[i];
        if (verdict == DSMR_OK || verdict == DSMR_ERR_BAD_SIGNATURE) {
            struct dsmr_id hash;
            dsmr_cert_hash(&hash, &v->block->certs[v->unknown[i]]);
            dsmr_verdict_cache_add(node->verdicts, &hash, verdict);
        }
        if (verdict != DSMR_OK && err == DSMR_OK) {
            err = verdict;
        }
    }
    return err;
}

void dsmr_block_verify_on_verified(struct dsmr_node *node, const struct dsmr_request *request,
                                   const struct dsmr_event *event)
{
    struct dsmr_verification *v = &node->verifications[request->item];
    if (v->block == NULL || v->use != request->item_use) {
        return;
    }
    enum dsmr_err err = take_verdicts(node, v, event);
    if (err == DSMR_OK) { /* the chain may have moved on meanwhile */
        err = check_all(node, v->block, v->block->epoch);
    }
    if (err == DSMR_OK || dsmr_block_builder_find(node, &v->block->id) == NULL) {
        enter_tree(node, v->block, &err);
    } else {
        err = DSMR_OK; /* verified by another way */
    }
    for (uint32_t i = 0; i < v->waiters_count; i++) {
        answer(node, v->waiters[i], err);
    }
    dsmr_block_unref(v->block);
    v->block = NULL;
    v->waiters_count = 0;
    dsmr_block_builder_update(node);
}

void dsmr_block_verify_free(struct dsmr_node *node)
{
    for (uint32_t i = 0; node->verifications != NULL && i < DSMR_NODE_VERIFICATIONS_MAX; i++) {
        dsmr_block_unref(node->verifications[i].block);
        free(node->verifications[i].unknown);
    }
}
