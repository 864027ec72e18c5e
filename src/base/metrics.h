/* metrics.h - counters, gauges and histograms of one node.
 *
 * Why:     every error and every stage of the pipeline is counted, nothing is logged per message.
 * Threads: each value has one writing thread or is added to atomically (relaxed); any thread may
 *          read. Names and help texts are here, so that /metrics and docs cannot disagree. */
#ifndef DSMR_BASE_METRICS_H
#define DSMR_BASE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "dsmr/err.h"

/* X(id, type, name, help); every name is printed with the prefix dsmr_ */
#define DSMR_METRIC_MAP(X)                                                                         \
    X(MEMPOOL_TXS, gauge, "mempool_txs", "transactions that wait for a chunk")                     \
    X(MEMPOOL_BYTES, gauge, "mempool_bytes", "bytes that wait for a chunk")                        \
    X(TXS_ADMITTED, counter, "txs_admitted_total", "transactions taken into the mempool")          \
    X(TXS_REFUSED, counter, "txs_refused_total", "transactions refused at the door")               \
    X(CHUNKS_BUILT, counter, "chunks_built_total", "chunks built by this node")                    \
    X(CHUNK_TXS_BUILT, counter, "chunk_txs_built_total", "transactions in them")                   \
    X(CHUNKS_SHARED, counter, "chunks_shared_total", "chunks of others that got our share")        \
    X(CHUNKS_RESENT, counter, "chunks_resent_total", "own chunks sent to a validator again")       \
    X(CHUNKS_REFUSED, counter, "chunks_refused_total", "share requests refused")                   \
    X(SHARES_RECEIVED, counter, "shares_received_total", "shares received for own chunks")         \
    X(CERTS_FORMED, counter, "certs_formed_total", "certificates formed for own chunks")           \
    X(CERTS_ADDED, counter, "certs_added_total", "certificates taken into the pool")               \
    X(CERTS_WAITING, gauge, "certs_waiting", "certificates that wait for a block")                 \
    X(CHUNKS_UNCERTIFIED, gauge, "chunks_uncertified", "own chunks that wait for a certificate")   \
    X(CHUNKS_EXPIRED, counter, "chunks_expired_total", "chunks dropped without inclusion")         \
    X(CHUNKS_FETCHED, counter, "chunks_fetched_total", "chunks fetched from signers")              \
    X(CHUNKS_DAMAGED, counter, "chunks_damaged_total",                                             \
      "reads of a chunk from disk that found it damaged or missing")                               \
    X(FETCH_FAILURES, counter, "fetch_failures_total", "fetch attempts that failed")               \
    X(PENDING_BYTES, gauge, "pending_bytes", "bytes signed for, neither included nor expired")     \
    X(BLOCKS_BUILT, counter, "blocks_built_total", "blocks built by this node")                    \
    X(BLOCKS_VERIFIED, counter, "blocks_verified_total", "blocks found valid")                     \
    X(BLOCKS_ACCEPTED, counter, "blocks_accepted_total", "blocks accepted")                        \
    X(BLOCKS_EXECUTED, counter, "blocks_executed_total", "blocks executed")                        \
    X(ACCEPTED_HEIGHT, gauge, "accepted_height", "height of the last accepted block")              \
    X(EXECUTED_HEIGHT, gauge, "executed_height", "height of the last executed block")              \
    X(BACKLOG_BYTES, gauge, "backlog_bytes", "bytes accepted and not executed")                    \
    X(BACKLOG_BLOCKS, gauge, "backlog_blocks", "blocks accepted and not executed")                 \
    X(BACKLOG_BLOCKS_HELD, gauge, "backlog_blocks_held", "of them, blocks in memory")              \
    X(TXS_EXECUTED, counter, "txs_executed_total", "transactions executed")                        \
    X(TXS_FAILED, counter, "txs_failed_total", "executed transactions that failed")                \
    X(TXS_DUPLICATE, counter, "txs_duplicate_total", "transactions dropped as duplicates")         \
    X(TXS_EXPIRED, counter, "txs_expired_total", "transactions dropped as outside their window")   \
    X(EVIDENCE, counter, "evidence_total", "provable faults recorded")                             \
    X(EVIDENCE_KEPT, gauge, "evidence_kept", "pairs of evidence that are kept")                    \
    X(EVIDENCE_LOST, counter, "evidence_lost_total", "conflicts that found no room for evidence")  \
    X(BUILDER_RATE_BYTES, gauge, "builder_rate_bytes", "chunk bytes that backpressure allows")     \
    X(VIEW, gauge, "bft_view", "view of the built-in engine")                                      \
    X(VIEW_CHANGES, counter, "bft_nullified_views_total", "views that ended without a block")      \
    X(VIEW_TIMEOUTS, counter, "bft_view_timeouts_total", "views whose timer ended at this node")   \
    X(VIEWS_SKIPPED, counter, "bft_skipped_views_total",                                           \
      "views of leaders that are silent or behind, not waited for")                                \
    X(UNDER_FLOOR, gauge, "under_floor", "1 while slots are not over that it may have signed")     \
    X(UNSERVED, gauge, "unserved", "1 while it waits for chunks and nobody may serve it")          \
    X(ABSTAINS, gauge, "bft_abstains", "1 while this validator's earlier votes are unknown")       \
    X(FINALIZED, counter, "bft_finalized_total", "finalizations seen")                             \
    X(FINAL_REFUSED, counter, "bft_final_refused_total", "times a final block was not taken")      \
    X(PEERS, gauge, "peers", "connected validators")                                               \
    X(NET_BYTES_SENT, counter, "net_bytes_sent_total", "bytes sent to peers, frames included")     \
    X(NET_BYTES_RECEIVED, counter, "net_bytes_received_total", "bytes received from peers")        \
    X(NET_DROPPED, counter, "net_dropped_total", "messages dropped because a queue was full")      \
    X(DISK_BYTES, counter, "disk_bytes_written_total", "bytes written to the store")               \
    X(DISK_SYNCS, counter, "disk_syncs_total", "fsync calls")                                      \
    X(INDEX_CHUNKS, gauge, "index_chunks", "chunks that no new block may name again")              \
    X(BEHIND, gauge, "behind", "1 while this node is behind")                                      \
    X(DISK_LOW, gauge, "disk_low", "1 while the disk is too full to sign and build")               \
    X(CLOCK_SKEW_MS, gauge, "clock_skew_ms", "distance of this clock from the validators' median") \
    X(STATE_SYNC_NEEDED, gauge, "state_sync_needed", "1 while nobody keeps a chunk it must run")   \
    X(HTTP_REQUESTS, counter, "http_requests_total", "HTTP requests answered")                     \
    X(SUBMIT_TXS, counter, "submit_txs_total", "transactions offered by clients")

/* X(id, name, help): times in seconds, counted once for each transaction */
#define DSMR_METRIC_HISTOGRAM_MAP(X)                                                               \
    X(TX_CERTIFIED, "tx_certified_seconds",                                                        \
      "time from a transaction's admission at this node to its chunk's certificate")               \
    X(TX_CERTIFIED_ACCEPTED, "tx_certified_accepted_seconds",                                      \
      "time from the certificate of an own chunk to the acceptance of its block")                  \
    X(TX_ACCEPTED_EXECUTED, "tx_accepted_executed_seconds",                                        \
      "time from a block's acceptance at this node to its durable results")                        \
    X(TX_EXECUTED, "tx_executed_seconds",                                                          \
      "time from a transaction's admission at this node to its durable result")

enum dsmr_metric {
#define DSMR_METRIC_X(id, type, name, help) DSMR_METRIC_##id,
    DSMR_METRIC_MAP(DSMR_METRIC_X)
#undef DSMR_METRIC_X
        DSMR_METRIC_COUNT
};

enum dsmr_metric_histogram {
#define DSMR_METRIC_X(id, name, help) DSMR_METRIC_HISTOGRAM_##id,
    DSMR_METRIC_HISTOGRAM_MAP(DSMR_METRIC_X)
#undef DSMR_METRIC_X
        DSMR_METRIC_HISTOGRAM_COUNT
};
#define DSMR_METRIC_BUCKETS 20 /* with the last one, which has no upper bound */

struct dsmr_metrics {
    _Atomic uint64_t values[DSMR_METRIC_COUNT];
    struct {
        _Atomic uint64_t counts[DSMR_METRIC_BUCKETS]; /* of each bucket alone */
        _Atomic uint64_t sum_ms;
    } histograms[DSMR_METRIC_HISTOGRAM_COUNT];
    _Atomic uint64_t errors[DSMR_ERR_NUMBER_MAX]; /* by enum dsmr_err: PEER and STATE classes */
};

void dsmr_metrics_add(struct dsmr_metrics *metrics, enum dsmr_metric id, uint64_t n);
void dsmr_metrics_set(struct dsmr_metrics *metrics, enum dsmr_metric id, uint64_t value);
uint64_t dsmr_metrics_get(const struct dsmr_metrics *metrics, enum dsmr_metric id);
void dsmr_metrics_count_error(struct dsmr_metrics *metrics, enum dsmr_err err);
/* count events that took ms each. */
void dsmr_metrics_observe(struct dsmr_metrics *metrics, enum dsmr_metric_histogram id, uint64_t ms,
                          uint64_t count);
/* Upper bound of a bucket, included in it; UINT64_MAX for the last. */
uint64_t dsmr_metrics_bucket_ms(unsigned bucket);

#endif
