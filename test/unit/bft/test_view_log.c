/* test_view_log.c - what a cleared view log forgets: everything, however far apart its views were.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "bft/engine_state.h"

static void add(struct dsmr_bft *bft, uint64_t view, enum dsmr_vote_kind kind)
{
    struct dsmr_quorum_cert qc;
    memset(&qc, 0, sizeof(qc));
    qc.subject.kind = (uint8_t)kind;
    qc.subject.view = view;
    qc.subject.height = view;
    assert_true(dsmr_view_log_add(bft, &qc));
    assert_true(dsmr_view_log_knows(bft, &qc.subject));
}

static void assert_empty(const struct dsmr_bft *bft)
{
    assert_true(bft->tip_view == 0);
    for (uint32_t i = 0; i < DSMR_BFT_VIEW_LOG; i++) {
        assert_true(bft->view_log[i].view == 0);
    }
}

static void test_clear_forgets_all(void **state)
{
    (void)state;
    static const uint64_t spans[] = {1,
                                     2,
                                     10,
                                     DSMR_BFT_VIEW_LOG - 1,
                                     DSMR_BFT_VIEW_LOG,
                                     DSMR_BFT_VIEW_LOG + 1,
                                     UINT64_MAX - 100};
    struct dsmr_bft *bft = calloc(1, sizeof(*bft));
    struct dsmr_prng prng;
    assert_non_null(bft);
    dsmr_prng_init(&prng, 1);
    bft->view_log = calloc(DSMR_BFT_VIEW_LOG, sizeof(*bft->view_log));
    assert_non_null(bft->view_log);
    dsmr_view_log_clear(bft);
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        uint64_t first = 1 + dsmr_prng_below(&prng, 50), last = first + spans[i] - 1;
        add(bft, last, DSMR_VOTE_NOTARIZE); /* the newest comes first, too */
        assert_true(bft->tip_view == last);
        for (uint64_t view = first; view < last && view < first + 3; view++) {
            if (view % DSMR_BFT_VIEW_LOG != last % DSMR_BFT_VIEW_LOG) {
                add(bft, view, DSMR_VOTE_NULLIFY);
            }
        }
        dsmr_view_log_clear(bft);
        assert_empty(bft);
        assert_null(dsmr_view_log_find(bft, last));
    }
    free(bft->view_log);
    free(bft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clear_forgets_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
