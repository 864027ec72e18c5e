/* test_params.c - which parameters fit together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dsmr/types.h"

static struct dsmr_params params;

static int setup(void **state)
{
    (void)state;
    dsmr_params_default(&params);
    return 0;
}

static void fits(uint32_t validators_max)
{
    const char *reason = NULL;
    assert_int_equal(dsmr_params_check(&params, &reason, validators_max), DSMR_OK);
    assert_null(reason);
}

static void fails(uint32_t validators_max, const char *about)
{
    const char *reason = NULL;
    assert_int_equal(dsmr_params_check(&params, &reason, validators_max), DSMR_ERR_LIMIT);
    assert_non_null(reason);
    assert_non_null(strstr(reason, about));
    dsmr_params_default(&params);
}

static void defaults_fit_every_number_of_validators(void **state)
{
    (void)state;
    assert_int_equal(params.domain.network_id, 0);
    for (uint32_t n = 1; n <= DSMR_VALIDATORS_MAX; n++) {
        fits(n);
    }
    fails(0, "validators");
    fails(DSMR_VALIDATORS_MAX + 1, "validators");
    assert_int_equal(dsmr_params_check(&params, NULL, 0), DSMR_ERR_LIMIT); /* reason not wanted */
}

static void times_at_their_limits(void **state)
{
    (void)state;
    params.slot_ms = 0;
    fails(4, "slot_ms");
    params.chunk_lifetime_ms = params.slot_ms - 1;
    fails(4, "chunk_lifetime_ms");
    params.slot_ms = 1000;
    params.chunk_lifetime_ms = DSMR_DURATION_MS_MAX;
    fits(4);
    params.chunk_lifetime_ms = DSMR_DURATION_MS_MAX + 1;
    fails(4, "day");
    params.validity_window_ms = DSMR_DURATION_MS_MAX + 1;
    fails(4, "day");
    params.validity_window_ms = params.slot_ms;
    fits(4);
    params.validity_window_ms = params.slot_ms - 1;
    fails(4, "validity_window_ms");
    params.clock_skew_ms = params.chunk_lifetime_ms;
    fails(4, "clock_skew_ms");
    params.min_block_gap_ms = params.chunk_lifetime_ms;
    fails(4, "min_block_gap_ms");
    params.min_block_gap_ms = params.chunk_lifetime_ms - 1;
    fits(4);
    params.retention_ms = params.chunk_lifetime_ms;
    fits(4);
    params.retention_ms = params.chunk_lifetime_ms - 1u;
    fails(4, "retention_ms");
}

/* What a lifetime can bring must fit into the journal and the index of accepted chunks. */
static void chunks_of_a_lifetime_at_their_limit(void **state)
{
    (void)state;
    assert_int_equal(dsmr_params_lifetime_chunks(&params, 4), 4 * (31000 / 100 + 2));
    params.slot_ms = 1;
    fits(16);
    params.slot_ms = 1;
    fails(17, "slot_ms");
    params.chunk_lifetime_ms = DSMR_DURATION_MS_MAX;
    fails(4, "slot_ms");
}

static void chunk_sizes_at_their_limits(void **state)
{
    (void)state;
    uint32_t least = DSMR_CHUNK_HEADER_BYTES + DSMR_CHUNK_TX_PREFIX_BYTES + DSMR_TX_BYTES_MIN;
    params.chunk_bytes_max = least;
    fits(4);
    assert_int_equal(dsmr_params_tx_bytes_max(&params), DSMR_TX_BYTES_MIN);
    params.chunk_bytes_max = least - 1;
    fails(4, "chunk_bytes_max");
    params.chunk_bytes_max = DSMR_CHUNK_BYTES_LIMIT;
    fits(4);
    assert_int_equal(dsmr_params_tx_bytes_max(&params), DSMR_TX_BYTES_MAX);
    params.chunk_bytes_max = DSMR_CHUNK_BYTES_LIMIT + 1;
    fails(4, "chunk_bytes_max");
    params.chunk_txs_max = 0;
    fails(4, "chunk_txs_max");
    params.chunk_txs_max = DSMR_CHUNK_TXS_LIMIT;
    fits(4);
    params.chunk_txs_max = DSMR_CHUNK_TXS_LIMIT + 1;
    fails(4, "chunk_txs_max");
    params.pending_bytes_max = params.chunk_bytes_max;
    fits(4);
    params.pending_bytes_max = params.chunk_bytes_max - 1;
    fails(4, "pending_bytes_max");
    params.chunk_bytes_max = least;
    params.pending_bytes_max = DSMR_QUOTA_CHUNK_BYTES_MIN;
    fits(4);
    params.pending_bytes_max = DSMR_QUOTA_CHUNK_BYTES_MIN - 1;
    fails(4, "pending_bytes_max");
}

static void block_sizes_at_their_limits(void **state)
{
    (void)state;
    params.block_certs_max = 0;
    fails(4, "block_certs_max");
    params.block_certs_max = DSMR_BLOCK_CERTS_LIMIT;
    params.block_bytes_max = DSMR_BLOCK_BYTES_LIMIT;
    fits(4);
    params.block_certs_max = DSMR_BLOCK_CERTS_LIMIT + 1;
    fails(4, "block_certs_max");
    params.block_bytes_max = DSMR_BLOCK_BYTES_LIMIT + 1;
    fails(4, "block_bytes_max");
    /* 226 + 256 certificates of 1 + 84 + 2 + 128 + 96 bytes, for 1017 to 1024 validators */
    params.block_bytes_max = 226 + 256 * 311;
    fits(1024);
    params.block_bytes_max--;
    fits(1016);
    fails(1017, "block_bytes_max");
    params.block_payload_bytes_max = params.chunk_bytes_max;
    fits(4);
    params.block_payload_bytes_max--;
    fails(4, "block_payload_bytes_max");
    params.block_txs_max = params.chunk_txs_max;
    fits(4);
    params.block_txs_max--;
    fails(4, "block_txs_max");
    params.block_txs_max = DSMR_BLOCK_TXS_LIMIT;
    fits(4);
    params.block_txs_max++;
    fails(4, "block_txs_max");
    params.backlog_bytes_max = params.block_payload_bytes_max;
    fits(4);
    params.backlog_bytes_max--;
    fails(4, "backlog_bytes_max");
}

static void message_holds_the_larger_of_chunk_and_block(void **state)
{
    (void)state;
    params.chunk_bytes_max = 1000;
    params.block_bytes_max = 2000;
    assert_int_equal(dsmr_params_message_bytes_max(&params), 2000 + DSMR_MESSAGE_OVERHEAD_MAX);
    params.chunk_bytes_max = 3000;
    assert_int_equal(dsmr_params_message_bytes_max(&params), 3000 + DSMR_MESSAGE_OVERHEAD_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults_fit_every_number_of_validators, setup),
        cmocka_unit_test_setup(times_at_their_limits, setup),
        cmocka_unit_test_setup(chunks_of_a_lifetime_at_their_limit, setup),
        cmocka_unit_test_setup(chunk_sizes_at_their_limits, setup),
        cmocka_unit_test_setup(block_sizes_at_their_limits, setup),
        cmocka_unit_test_setup(message_holds_the_larger_of_chunk_and_block, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
