/* limits.h - fixed limits of the program. What the chain may choose is in struct dsmr_params. */
#ifndef DSMR_LIMITS_H
#define DSMR_LIMITS_H

#define DSMR_VALIDATORS_MAX                                                                        \
    1024u /* entries of one validator set; signer bitsets have this size                           \
           */
#define DSMR_NODE_IDS_PER_KEY_MAX 4u
#define DSMR_PAST_EPOCHS_MAX 8u
#define DSMR_BLOCK_CERTS_LIMIT 1024u          /* block_certs_max may not exceed it */
#define DSMR_CHUNK_BYTES_LIMIT (8u << 20)     /* chunk_bytes_max may not exceed it */
#define DSMR_CHUNK_TXS_LIMIT (1u << 16)       /* chunk_txs_max may not exceed it */
#define DSMR_TX_BYTES_MAX (64u << 10)         /* one encoded transaction */
#define DSMR_TX_HEAD_BYTES 9u                 /* version u8, expiry u64 */
#define DSMR_TX_BYTES_MIN 16u                 /* decisions/008-shortest-transaction.md */
#define DSMR_MESSAGE_OVERHEAD_MAX 512u        /* frame and fields around the largest payload */
#define DSMR_QUOTA_CHUNK_BYTES_MIN 4096u      /* a pending chunk counts as at least this */
#define DSMR_BEHIND_BLOCKS 16u                /* more than this above ours: we may be behind */
#define DSMR_PROCESSING_BLOCKS_MAX 256u       /* verified, neither accepted nor rejected */
#define DSMR_BLOCK_BYTES_LIMIT (1u << 20)     /* block_bytes_max may not exceed it */
#define DSMR_BLOCK_TXS_LIMIT (1u << 20)       /* block_txs_max may not exceed it */
#define DSMR_LIFETIME_CHUNKS_LIMIT (1u << 19) /* chunks of all validators in one lifetime */
#define DSMR_DURATION_MS_MAX 86400000u        /* lifetime and validity window: at most a day */
#define DSMR_EPOCH_NONE UINT64_MAX            /* a block without context */

/* Encoded sizes that other limits are derived from; src/wire asserts each where it encodes. */
#define DSMR_REFERENCE_BYTES 84u
#define DSMR_CHUNK_HEADER_BYTES 153u
#define DSMR_CHUNK_TX_PREFIX_BYTES 4u
#define DSMR_BLOCK_HEADER_BYTES_MAX 226u /* with DSMR_PAST_EPOCHS_MAX past epochs */
#define DSMR_BLOCK_ENTRY_BYTES_MIN (1u + DSMR_REFERENCE_BYTES + 2u + 96u) /* without the bitset */

#endif
