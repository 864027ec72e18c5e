/* A page of results: round trip, every length, counts that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "wire/results_page.h"

#define HEAD DSMR_RESULTS_PAGE_HEAD_BYTES
#define TX DSMR_RESULTS_PAGE_TX_BYTES

/* count transactions from first on, of tx_count. */
static void make(uint8_t *out, uint32_t tx_count, uint32_t first, uint32_t count)
{
    struct dsmr_results_page page = {.height = 7, .tx_count = tx_count, .first = first};
    memset(page.state_root.bytes, 9, sizeof(page.state_root.bytes));
    dsmr_results_page_head_encode(out, &page);
    for (uint32_t i = 0; i < count; i++) {
        struct dsmr_results_page_tx tx = {.code = i, .fee = UINT64_MAX - i};
        memset(tx.id.bytes, (int)i + 1, sizeof(tx.id.bytes));
        dsmr_results_page_tx_encode(out + HEAD + (size_t)i * TX, &tx);
    }
}

static void what_is_written_is_read(void **state)
{
    uint8_t bytes[HEAD + 3 * TX];
    struct dsmr_results_page page;
    (void)state;
    make(bytes, 8, 5, 3);
    assert_int_equal(dsmr_results_page_decode(&page, bytes, sizeof(bytes)), DSMR_OK);
    assert_int_equal(page.height, 7);
    assert_int_equal(page.tx_count, 8);
    assert_int_equal(page.first, 5);
    assert_int_equal(page.count, 3);
    assert_int_equal(page.state_root.bytes[31], 9);
    for (uint32_t i = 0; i < 3; i++) {
        struct dsmr_results_page_tx tx;
        dsmr_results_page_tx_decode(&tx, &page, i);
        assert_int_equal(tx.id.bytes[0], i + 1);
        assert_int_equal(tx.id.bytes[31], i + 1);
        assert_int_equal(tx.code, i);
        assert_true(tx.fee == UINT64_MAX - i);
    }
    static const uint8_t head[] = {0, 0, 0, 0, 0, 0, 0, 7, 9};
    assert_memory_equal(bytes, head, sizeof(head)); /* as docs/api.md has it */
    assert_int_equal(dsmr_load_be32(bytes + 40), 8);
    assert_int_equal(dsmr_load_be32(bytes + 44), 5);
}

static void every_other_length_is_refused(void **state)
{
    uint8_t bytes[HEAD + 3 * TX + 1] = {0};
    struct dsmr_results_page page;
    (void)state;
    make(bytes, 3, 0, 3);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        bool is_whole = len >= HEAD + TX && (len - HEAD) % TX == 0;
        assert_int_equal(dsmr_results_page_decode(&page, bytes, len),
                         is_whole ? DSMR_OK : DSMR_ERR_MALFORMED);
    }
}

static void counts_that_lie_are_refused(void **state)
{
    uint8_t bytes[HEAD + 2 * TX];
    struct dsmr_results_page page;
    static const struct {
        uint32_t tx_count, first, count;
        enum dsmr_err err;
    } table[] = {{2, 0, 2, DSMR_OK},
                 {2, 1, 2, DSMR_ERR_MALFORMED},
                 {2, 2, 0, DSMR_OK}, /* behind the last one */
                 {2, 3, 0, DSMR_ERR_MALFORMED},
                 {2, 1, 0, DSMR_ERR_MALFORMED}, /* who reads on would never come to an end */
                 {0, 0, 0, DSMR_OK},
                 {1, UINT32_MAX, 2, DSMR_ERR_MALFORMED},
                 {UINT32_MAX, UINT32_MAX - 1, 2, DSMR_ERR_MALFORMED}};
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        make(bytes, table[i].tx_count, table[i].first, table[i].count);
        assert_int_equal(dsmr_results_page_decode(&page, bytes, HEAD + table[i].count * TX),
                         table[i].err);
    }
}

static void a_page_has_a_largest_size(void **state)
{
    size_t len = HEAD + (DSMR_RESULTS_PAGE_TXS_MAX + 1u) * TX;
    uint8_t *bytes = calloc(1, len);
    struct dsmr_results_page page;
    (void)state;
    make(bytes, DSMR_RESULTS_PAGE_TXS_MAX + 1, 0, 0);
    assert_int_equal(dsmr_results_page_decode(&page, bytes, len), DSMR_ERR_TOO_LARGE);
    assert_int_equal(dsmr_results_page_decode(&page, bytes, len - TX), DSMR_OK);
    assert_int_equal(page.count, DSMR_RESULTS_PAGE_TXS_MAX);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(every_other_length_is_refused),
        cmocka_unit_test(counts_that_lie_are_refused),
        cmocka_unit_test(a_page_has_a_largest_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
