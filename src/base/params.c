#include <string.h>

#include "dsmr/types.h"

#define CHUNK_FRAME_BYTES (DSMR_CHUNK_HEADER_BYTES + DSMR_CHUNK_TX_PREFIX_BYTES)

void dsmr_params_default(struct dsmr_params *params)
{
    memset(params, 0, sizeof(*params));
    params->slot_ms = 100;
    params->chunk_bytes_max = 8u << 20;
    params->chunk_txs_max = 16384;
    params->chunk_lifetime_ms = 30000;
    params->validity_window_ms = 60000;
    params->clock_skew_ms = 1000;
    params->block_bytes_max = 256u << 10;
    params->block_certs_max = 256;
    params->block_txs_max = 262144;
    params->min_block_gap_ms = 0;
    params->block_payload_bytes_max = UINT64_C(64) << 20;
    params->pending_bytes_max = UINT64_C(128) << 20;
    params->backlog_bytes_max = UINT64_C(512) << 20;
    params->retention_ms = UINT64_MAX;
}

static const char *check_times(const struct dsmr_params *p)
{
    if (p->slot_ms == 0) {
        return "slot_ms is zero";
    }
    if (p->chunk_lifetime_ms < p->slot_ms) {
        return "chunk_lifetime_ms is shorter than slot_ms";
    }
    if (p->chunk_lifetime_ms > DSMR_DURATION_MS_MAX ||
        p->validity_window_ms > DSMR_DURATION_MS_MAX) {
        return "chunk_lifetime_ms or validity_window_ms is longer than a day";
    }
    if (p->validity_window_ms < p->slot_ms) {
        return "validity_window_ms is shorter than slot_ms";
    }
    if (p->clock_skew_ms >= p->chunk_lifetime_ms) {
        return "clock_skew_ms is not shorter than chunk_lifetime_ms";
    }
    if (p->min_block_gap_ms >= p->chunk_lifetime_ms) {
        return "min_block_gap_ms is not shorter than chunk_lifetime_ms";
    }
    if (p->retention_ms < p->chunk_lifetime_ms) {
        return "retention_ms is shorter than chunk_lifetime_ms";
    }
    return NULL;
}

static const char *check_chunk(const struct dsmr_params *p)
{
    if (p->chunk_bytes_max < CHUNK_FRAME_BYTES + DSMR_TX_BYTES_MIN) {
        return "chunk_bytes_max does not hold one transaction";
    }
    if (p->chunk_bytes_max > DSMR_CHUNK_BYTES_LIMIT) {
        return "chunk_bytes_max is over the program's limit";
    }
    if (p->chunk_txs_max == 0 || p->chunk_txs_max > DSMR_CHUNK_TXS_LIMIT) {
        return "chunk_txs_max is zero or over the program's limit";
    }
    if (p->pending_bytes_max < p->chunk_bytes_max ||
        p->pending_bytes_max < DSMR_QUOTA_CHUNK_BYTES_MIN) {
        return "pending_bytes_max does not hold one chunk";
    }
    return NULL;
}

static const char *check_block(const struct dsmr_params *p, uint32_t validators_max)
{
    if (validators_max == 0 || validators_max > DSMR_VALIDATORS_MAX) {
        return "number of validators is zero or over the program's limit";
    }
    if (p->block_certs_max == 0 || p->block_certs_max > DSMR_BLOCK_CERTS_LIMIT) {
        return "block_certs_max is zero or over the program's limit";
    }
    uint64_t entry = DSMR_BLOCK_ENTRY_BYTES_MIN + (validators_max + 7u) / 8u;
    if (p->block_bytes_max < DSMR_BLOCK_HEADER_BYTES_MAX + p->block_certs_max * entry) {
        return "block_bytes_max does not hold block_certs_max certificates";
    }
    if (p->block_bytes_max > DSMR_BLOCK_BYTES_LIMIT) {
        return "block_bytes_max is over the program's limit";
    }
    if (p->block_payload_bytes_max < p->chunk_bytes_max) {
        return "block_payload_bytes_max is below chunk_bytes_max";
    }
    if (p->block_txs_max < p->chunk_txs_max) {
        return "block_txs_max is below chunk_txs_max";
    }
    if (p->block_txs_max > DSMR_BLOCK_TXS_LIMIT) {
        return "block_txs_max is over the program's limit: the results of a block are one record";
    }
    if (p->backlog_bytes_max < p->block_payload_bytes_max) {
        return "backlog_bytes_max is below block_payload_bytes_max";
    }
    if (dsmr_params_lifetime_chunks(p, validators_max) > DSMR_LIFETIME_CHUNKS_LIMIT) {
        return "slot_ms is too short for chunk_lifetime_ms and so many validators: their chunks of "
               "one lifetime are over the program's limit";
    }
    return NULL;
}

enum dsmr_err dsmr_params_check(const struct dsmr_params *params, const char **reason,
                                uint32_t validators_max)
{
    const char *wrong = check_times(params);
    if (wrong == NULL) {
        wrong = check_chunk(params);
    }
    if (wrong == NULL) {
        wrong = check_block(params, validators_max);
    }
    if (wrong != NULL) {
        if (reason != NULL) {
            *reason = wrong;
        }
        return DSMR_ERR_LIMIT;
    }
    return DSMR_OK;
}

uint32_t dsmr_params_message_bytes_max(const struct dsmr_params *params)
{
    uint32_t payload = params->chunk_bytes_max > params->block_bytes_max ? params->chunk_bytes_max
                                                                         : params->block_bytes_max;
    return payload + DSMR_MESSAGE_OVERHEAD_MAX;
}

uint64_t dsmr_params_lifetime_chunks(const struct dsmr_params *params, uint32_t validators_max)
{
    uint64_t span_ms = (uint64_t)params->chunk_lifetime_ms + params->clock_skew_ms;
    return (span_ms / params->slot_ms + 2u) * validators_max;
}

uint32_t dsmr_params_tx_bytes_max(const struct dsmr_params *params)
{
    uint32_t room = params->chunk_bytes_max - CHUNK_FRAME_BYTES;
    return room < DSMR_TX_BYTES_MAX ? room : DSMR_TX_BYTES_MAX;
}
