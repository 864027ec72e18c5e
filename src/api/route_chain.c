#include <stdlib.h>
#include <string.h>

#include "api/route_call.h"
#include "base/bytes.h"
#include "wire/codec.h"
#include "wire/results_page.h"

#define HEX(field) dsmr_route_call_hex((field).bytes, sizeof((field).bytes))
#define NUMBER(value) dsmr_route_call_number(value)
#define UNSTORED_MAX 64u /* accepted blocks that are not stored yet, at most */

static json_t *reference_json(const struct dsmr_reference *ref)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:I,s:I}", "chunk", HEX(ref->chunk_id), "epoch",
                     dsmr_route_call_epoch(ref->epoch), "producer", HEX(ref->producer), "slot",
                     NUMBER(ref->slot), "expiry_ms", NUMBER(ref->expiry_ms), "tx_count",
                     (json_int_t)ref->tx_count, "chunk_bytes", (json_int_t)ref->chunk_bytes);
}

/* The reference's members, and signers as places in the validator set, and the signature. */
static json_t *cert_json(const struct dsmr_cert *cert)
{
    json_t *out = reference_json(&cert->ref);
    json_t *signers = json_array();
    for (uint32_t i = 0; i < DSMR_VALIDATORS_MAX; i++) {
        if ((cert->signers.words[i / 64] >> (i % 64) & 1) != 0) {
            json_array_append_new(signers, json_integer((json_int_t)i));
        }
    }
    json_object_set_new(out, "signers", signers);
    json_object_set_new(out, "signature", HEX(cert->sig));
    return out;
}

/* The last accepted block that is stored: the last few may still be on their way to the disk. */
static uint64_t latest_height(const struct dsmr_query *query, uint64_t accepted)
{
    for (uint64_t height = accepted; height > 0 && accepted - height < UNSTORED_MAX; height--) {
        struct dsmr_block *block = NULL;
        enum dsmr_err err = query->ops->block(query->self, &block, height);
        if (err != DSMR_ERR_UNKNOWN) {
            if (err == DSMR_OK) {
                dsmr_block_unref(block);
            }
            return height;
        }
    }
    return accepted;
}

/* {id} of a block: a height, an id, or "latest", which is the last accepted one or the last
 * executed one. False after an answer. */
static bool read_height(const struct dsmr_route_call *call, uint64_t *height, bool is_executed)
{
    const struct dsmr_query *query = &call->config->query;
    struct dsmr_id id;
    if (strcmp(call->param, "latest") == 0) {
        struct dsmr_query_status status;
        query->ops->status(query->self, &status);
        *height = is_executed ? status.executed_height : latest_height(query, status.height);
        return true;
    }
    if (dsmr_route_call_id(call->param, &id)) {
        enum dsmr_err err = query->ops->find_block(query->self, height, &id);
        if (err != DSMR_OK) {
            dsmr_route_call_absent(call, err, "this node has no such block");
        }
        return err == DSMR_OK;
    }
    if (dsmr_route_call_u64(call->param, height)) {
        return true;
    }
    dsmr_route_call_bad(call, "a block is named by its height, its id of 64 hexadecimal digits, "
                              "or latest");
    return false;
}

static json_t *past_epochs_json(const struct dsmr_block *block)
{
    json_t *out = json_array();
    for (uint32_t i = 0; i < block->past_epochs_count; i++) {
        json_array_append_new(
            out, json_pack("{s:o,s:o}", "epoch", dsmr_route_call_epoch(block->past_epochs[i].epoch),
                           "ended_at_ms", NUMBER(block->past_epochs[i].ended_at_ms)));
    }
    return out;
}

static json_t *block_json(const struct dsmr_block *block)
{
    json_t *certs = json_array();
    for (uint32_t i = 0; i < block->certs_count; i++) {
        json_array_append_new(certs, cert_json(&block->certs[i]));
    }
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "id", HEX(block->id), "parent_id",
                     HEX(block->parent_id), "height", NUMBER(block->height), "time_ms",
                     NUMBER(block->time_ms), "epoch", dsmr_route_call_epoch(block->epoch),
                     "past_epochs", past_epochs_json(block), "certs", certs);
}

/* What running it gave; null before that, or when the results are no longer kept. */
static json_t *executed_json(const struct dsmr_route_call *call, uint64_t height)
{
    struct dsmr_executed *executed = NULL;
    const struct dsmr_query *query = &call->config->query;
    if (query->ops->executed(query->self, &executed, height) != DSMR_OK) {
        return json_null();
    }
    json_t *out = json_pack("{s:o,s:I}", "state_root", HEX(executed->state_root), "tx_count",
                            (json_int_t)executed->count);
    dsmr_executed_unref(executed);
    return out;
}

void dsmr_route_chain_block(const struct dsmr_route_call *call)
{
    uint64_t height = 0;
    struct dsmr_block *block = NULL;
    if (!read_height(call, &height, false)) {
        return;
    }
    const struct dsmr_query *query = &call->config->query;
    enum dsmr_err err = query->ops->block(query->self, &block, height);
    if (err != DSMR_OK) {
        dsmr_route_call_absent(call, err, "this node has no such block");
        return;
    }
    json_t *body = block_json(block);
    dsmr_block_unref(block);
    if (body != NULL) {
        json_object_set_new(body, "executed", executed_json(call, height));
    }
    dsmr_route_call_json(call, 200, body);
}

/* The executed block that the path names, and which of its transactions are asked for; *limit is
 * the default before. NULL: what is wrong has been answered. Caller unrefs. */
static struct dsmr_executed *executed_page(const struct dsmr_route_call *call, uint64_t *cursor,
                                           uint32_t *limit, uint32_t limit_max)
{
    const struct dsmr_query *query = &call->config->query;
    struct dsmr_executed *executed = NULL;
    uint64_t height = 0;
    if (!read_height(call, &height, true) ||
        !dsmr_route_call_page(call, cursor, limit, limit_max)) {
        return NULL;
    }
    enum dsmr_err err = query->ops->executed(query->self, &executed, height);
    if (err != DSMR_OK) {
        dsmr_route_call_absent(call, err, "this node has not executed such a block");
        return NULL;
    }
    return executed;
}

void dsmr_route_chain_block_txs(const struct dsmr_route_call *call)
{
    uint64_t cursor = 0;
    uint32_t limit = DSMR_ROUTES_PAGE_DEFAULT;
    struct dsmr_executed *executed = executed_page(call, &cursor, &limit, DSMR_ROUTES_PAGE_MAX);
    if (executed == NULL) {
        return;
    }
    json_t *txs = json_array();
    uint64_t at = cursor;
    for (; at < executed->count && at - cursor < limit; at++) {
        json_array_append_new(txs, json_pack("{s:o,s:I,s:o}", "tx", HEX(executed->ids[at]), "code",
                                             (json_int_t)executed->results[at].code, "fee",
                                             dsmr_route_call_decimal(executed->results[at].fee)));
    }
    json_t *body =
        json_pack("{s:o,s:o,s:o,s:I,s:o,s:o}", "height", NUMBER(executed->height), "block_id",
                  HEX(executed->block_id), "state_root", HEX(executed->state_root), "tx_count",
                  (json_int_t)executed->count, "next_cursor",
                  at < executed->count ? dsmr_route_call_decimal(at) : json_null(), "txs", txs);
    dsmr_executed_unref(executed);
    dsmr_route_call_json(call, 200, body);
}

/* The page from cursor on, of at most limit transactions; NULL: out of memory. Caller frees. */
static uint8_t *results_bytes(size_t *len, const struct dsmr_executed *executed, uint64_t cursor,
                              uint32_t limit)
{
    uint32_t first = cursor < executed->count ? (uint32_t)cursor : executed->count;
    uint32_t count = executed->count - first < limit ? executed->count - first : limit;
    const struct dsmr_results_page page = {.height = executed->height,
                                           .state_root = executed->state_root,
                                           .tx_count = executed->count,
                                           .first = first};
    *len = DSMR_RESULTS_PAGE_HEAD_BYTES + (size_t)count * DSMR_RESULTS_PAGE_TX_BYTES;
    uint8_t *bytes = malloc(*len);
    if (bytes == NULL) {
        return NULL;
    }
    dsmr_results_page_head_encode(bytes, &page);
    uint8_t *at = bytes + DSMR_RESULTS_PAGE_HEAD_BYTES;
    for (uint32_t i = first; i < first + count; i++, at += DSMR_RESULTS_PAGE_TX_BYTES) {
        const struct dsmr_results_page_tx tx = {.id = executed->ids[i],
                                                .code = executed->results[i].code,
                                                .fee = executed->results[i].fee};
        dsmr_results_page_tx_encode(at, &tx);
    }
    return bytes;
}

void dsmr_route_chain_block_results(const struct dsmr_route_call *call)
{
    uint64_t cursor = 0;
    uint32_t limit = DSMR_RESULTS_PAGE_TXS_MAX;
    size_t len = 0;
    struct dsmr_executed *executed =
        executed_page(call, &cursor, &limit, DSMR_RESULTS_PAGE_TXS_MAX);
    if (executed == NULL) {
        return;
    }
    uint8_t *bytes = results_bytes(&len, executed, cursor, limit);
    dsmr_executed_unref(executed);
    if (bytes == NULL) {
        dsmr_route_call_err(call, DSMR_ERR_NO_MEMORY);
        return;
    }
    dsmr_route_call_text(call, 200, "application/octet-stream", (const char *)bytes, len);
    free(bytes);
}

static json_t *chunk_json(const struct dsmr_chunk *chunk, const struct dsmr_cert *cert,
                          uint64_t cursor, uint32_t limit)
{
    json_t *txs = json_array();
    uint64_t at = cursor;
    for (; at < chunk->header.tx_count && at - cursor < limit; at++) {
        json_array_append_new(txs, json_pack("{s:o,s:I}", "tx", HEX(chunk->tx_ids[at]), "bytes",
                                             (json_int_t)dsmr_chunk_tx(chunk, (uint32_t)at).len));
    }
    json_t *out = reference_json(&chunk->ref);
    json_object_set_new(out, "fee_recipient", HEX(chunk->header.fee_recipient));
    json_object_set_new(out, "tx_root", HEX(chunk->header.tx_root));
    json_object_set_new(out, "cert", cert != NULL ? cert_json(cert) : json_null());
    json_object_set_new(out, "next_cursor",
                        at < chunk->header.tx_count ? dsmr_route_call_decimal(at) : json_null());
    json_object_set_new(out, "txs", txs);
    return out;
}

void dsmr_route_chain_chunk(const struct dsmr_route_call *call)
{
    struct dsmr_id id;
    struct dsmr_chunk *chunk = NULL;
    struct dsmr_cert cert;
    bool has_cert = false;
    uint64_t cursor = 0;
    uint32_t limit = DSMR_ROUTES_PAGE_DEFAULT;
    if (!dsmr_route_call_id(call->param, &id)) {
        dsmr_route_call_bad(call, "a chunk id has 64 hexadecimal digits");
        return;
    }
    if (!dsmr_route_call_page(call, &cursor, &limit, DSMR_ROUTES_PAGE_MAX)) {
        return;
    }
    const struct dsmr_query *query = &call->config->query;
    enum dsmr_err err = query->ops->chunk(query->self, &chunk, &cert, &has_cert, &id);
    if (err != DSMR_OK) {
        dsmr_route_call_absent(call, err, "this node holds no such chunk");
        return;
    }
    json_t *body = chunk_json(chunk, has_cert ? &cert : NULL, cursor, limit);
    dsmr_chunk_unref(chunk);
    dsmr_route_call_json(call, 200, body);
}

static json_t *validator_json(const struct dsmr_validator *validator, uint32_t index)
{
    json_t *node_ids = json_array();
    for (uint32_t i = 0; i < validator->node_ids_count; i++) {
        json_array_append_new(node_ids, HEX(validator->node_ids[i]));
    }
    return json_pack("{s:I,s:o,s:o,s:o}", "index", (json_int_t)index, "public_key",
                     HEX(validator->public_key), "weight",
                     dsmr_route_call_decimal(validator->weight), "node_ids", node_ids);
}

void dsmr_route_chain_validators(const struct dsmr_route_call *call)
{
    const struct dsmr_query *query = &call->config->query;
    struct dsmr_validator_set *set = query->ops->validators(query->self);
    if (set == NULL) {
        dsmr_route_call_err(call, DSMR_ERR_EPOCH_UNKNOWN);
        return;
    }
    json_t *validators = json_array();
    for (uint32_t i = 0; i < set->count; i++) {
        json_array_append_new(validators, validator_json(&set->validators[i], i));
    }
    json_t *body = json_pack(
        "{s:o,s:o,s:o,s:o}", "epoch", dsmr_route_call_epoch(set->epoch), "total_weight",
        dsmr_route_call_decimal(set->total_weight), "quorum_weight",
        dsmr_route_call_decimal(dsmr_quorum_weight(set->total_weight)), "validators", validators);
    dsmr_validator_set_unref(set);
    dsmr_route_call_json(call, 200, body);
}

static json_t *evidence_json(const struct dsmr_evidence *evidence)
{
    json_t *out = json_pack("{s:o,s:o,s:o}", "producer", HEX(evidence->refs[0].producer), "epoch",
                            dsmr_route_call_epoch(evidence->refs[0].epoch), "slot",
                            NUMBER(evidence->refs[0].slot));
    json_t *chunks = json_array();
    for (int i = 0; i < 2; i++) {
        json_t *signed_ref = reference_json(&evidence->refs[i]);
        json_object_set_new(signed_ref, "signature", HEX(evidence->sigs[i]));
        json_array_append_new(chunks, signed_ref);
    }
    json_object_set_new(out, "chunks", chunks);
    return out;
}

void dsmr_route_chain_evidence(const struct dsmr_route_call *call)
{
    uint64_t cursor = 0;
    uint32_t limit = DSMR_ROUTES_PAGE_DEFAULT;
    struct dsmr_evidence evidence;
    enum dsmr_err err = DSMR_OK;
    if (!dsmr_route_call_page(call, &cursor, &limit, DSMR_ROUTES_PAGE_MAX)) {
        return;
    }
    const struct dsmr_query *query = &call->config->query;
    json_t *list = json_array();
    while (err == DSMR_OK && json_array_size(list) < limit) {
        err = query->ops->next_evidence(query->self, &evidence, &cursor);
        if (err == DSMR_OK) {
            json_array_append_new(list, evidence_json(&evidence));
        }
    }
    if (err != DSMR_OK && err != DSMR_ERR_UNKNOWN) {
        json_decref(list);
        dsmr_route_call_err(call, err);
        return;
    }
    dsmr_route_call_json(call, 200,
                         json_pack("{s:o,s:o}", "next_cursor",
                                   err == DSMR_OK ? dsmr_route_call_decimal(cursor) : json_null(),
                                   "evidence", list));
}
