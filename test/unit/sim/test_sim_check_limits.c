/* The checker of limits: what stays within them passes, what does not is found, by its rule. */
#include "history.h"

extern const struct dsmr_sim_checker_ops dsmr_sim_check_limits;

#define T(ms) (DSMR_SIM_START_MS + (uint64_t)(ms))

static void tune_small(struct dsmr_driver_config *config)
{
    config->node.params.pending_bytes_max = 65536;
    config->node.params.chunk_bytes_max = 65536;
    config->node.params.retention_ms = 40000;
}

static void begin_limits(struct history *h)
{
    struct dsmr_sim_config config = {.seed = 1, .nodes = NODES, .tune = tune_small};
    history_begin_with(h, &dsmr_sim_check_limits, &config);
}

/* Sixteen chunks of 4 KiB at least are 64 KiB. */
static void test_pending_bytes(void **state)
{
    (void)state;
    for (int what = 0; what < 8; what++) {
        struct history h;
        struct dsmr_cert cert;
        begin_limits(&h);
        for (uint64_t i = 0; i < 16; i++) {
            struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT + i, 1);
            tell_chunk(&h, 1, chunk, true);
            tell_chunk(&h, 1, chunk, true); /* the same one counts once */
            cert = cert_of(&h, &chunk->ref, 7);
            dsmr_chunk_unref(chunk);
        }
        history_is_right(&h);
        if (what == 1) { /* one is included */
            extend(&h, T(1600), &cert, 1);
        } else if (what == 2) { /* the first one expires */
            extend(&h, T(h.sim->params.chunk_lifetime_ms + 1), NULL, 0);
        } else if (what == 3) { /* it does not, yet */
            extend(&h, T(h.sim->params.chunk_lifetime_ms), NULL, 0);
        } else if (what == 6) { /* the disk may have refused a block that frees one */
            dsmr_sim_set_disk(h.sim, 1, DSMR_SIM_DISK_PATCHY);
        } else if (what == 7) { /* this one takes every block */
            dsmr_sim_set_disk(h.sim, 1, DSMR_SIM_DISK_TIGHT);
        }
        struct dsmr_chunk *more = chunk_of(&h, what == 4 ? 2 : 0, SLOT + 16, 1);
        tell_chunk(&h, 1, more, what != 5); /* 4: of another producer; 5: not signed */
        if (what == 0 || what == 3 || what == 7) {
            history_breaks(&h, "6.5");
        } else {
            history_is_right(&h);
        }
        dsmr_chunk_unref(more);
        history_end(&h);
    }
}

static void accept_later(struct history *h, uint64_t time_ms)
{
    dsmr_sim_pass(h->sim, 11 * DSMR_SIM_SECOND_US);
    extend(h, time_ms, NULL, 0);
}

/* What may go has twenty seconds of an undisturbed node for it. */
static void test_garbage_stays(void **state)
{
    (void)state;
    for (int what = 0; what < 6; what++) {
        struct history h;
        struct told told;
        begin_limits(&h);
        h.sim->nodes[1].is_paused = what == 3; /* the node does nothing anyway */
        struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT, 1);
        struct dsmr_cert cert = cert_of(&h, &chunk->ref, 7);
        tell_chunk(&h, 1, chunk, true);
        bool is_included = what == 1 || what >= 4;
        extend(&h, T(100), &cert, is_included ? 1 : 0);
        tell_of(&told, h.tip, chunk);
        if (what == 1 || what == 5) {
            h.ops->executed(h.self, h.sim, 1, &told.executed);
        }
        if (what != 5) { /* so long that its clock passes the retention, too */
            dsmr_sim_pass(h.sim, 30 * DSMR_SIM_SECOND_US);
        }
        accept_later(&h, T(80000));
        if (what == 2) {
            tell_gc(&h, 1, T(80000), &chunk->ref.chunk_id);
        }
        accept_later(&h, T(80100));
        accept_later(&h, T(80200));
        history_is_right(&h); /* the second look */
        accept_later(&h, T(80300));
        if (what < 2) { /* expired; included, executed, and retained for long enough */
            history_breaks(&h, "11.4");
        } else { /* it went; the node stood still; not executed; not by its own clock */
            history_is_right(&h);
        }
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

/* Two lifetimes and twenty seconds of chain time, by the look before. */
static void test_journal_entries_stay(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct history h;
        begin_limits(&h);
        uint64_t lifetime_ms = h.sim->params.chunk_lifetime_ms;
        for (uint32_t i = 0; i < NODES; i++) {
            h.sim->nodes[i].is_paused = false; /* but they are not told to go on */
        }
        struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT, 1);
        tell_chunk(&h, 1, chunk, true);
        uint64_t end_ms = chunk->ref.expiry_ms + 2 * lifetime_ms + 20000;
        accept_later(&h, T(100));
        accept_later(&h, what == 1 ? end_ms : end_ms + 1);
        struct dsmr_store_write write = {.kind = DSMR_STORE_GC,
                                         .u.gc.floor_ms = h.tip->time_ms,
                                         .u.gc.chunks = &chunk->ref.chunk_id,
                                         .u.gc.chunks_count = 1,
                                         .u.gc.drop_journals = what == 2};
        h.ops->stored(h.self, h.sim, 1, &write);
        history_is_right(&h);
        accept_later(&h, end_ms + 100);
        if (what == 0) {
            history_breaks(&h, "11.4");
        } else {
            history_is_right(&h);
        }
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

static void test_queues(void **state)
{
    (void)state;
    for (int what = 0; what < 4; what++) {
        struct history h;
        begin_limits(&h);
        const struct dsmr_params *params = &h.sim->params;
        uint64_t slots =
            (params->chunk_lifetime_ms + (uint64_t)params->clock_skew_ms) / params->slot_ms + 2;
        dsmr_metrics_set(&h.sim->nodes[2].metrics, DSMR_METRIC_BACKLOG_BLOCKS_HELD,
                         what == 1 ? 129 : 128);
        dsmr_metrics_set(&h.sim->nodes[2].metrics, DSMR_METRIC_INDEX_CHUNKS,
                         NODES * slots + (what == 3));
        struct dsmr_msg msg = {.type = DSMR_MSG_CHUNK};
        msg.u.chunk.chunk_len = h.sim->params.block_bytes_max + (what == 2 ? 513 : 512);
        h.ops->sent(h.self, h.sim, 0, 1, &msg);
        for (uint32_t i = 0; i < 10; i++) {
            h.ops->tick(h.self, h.sim);
        }
        h.ops->end(h.self, h.sim);
        if (what == 0) {
            history_is_right(&h);
        } else {
            history_breaks(&h, what == 2 ? "2.2" : "13.4");
        }
        history_end(&h);
    }
}

/* 6.5: nothing is signed after the backlog has been over its limit for a while. */
static void test_backlog(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) { /* too late; at once; something has run */
        struct history h;
        struct dsmr_executed executed = {.height = 1};
        begin_limits(&h);
        dsmr_metrics_set(&h.sim->nodes[1].metrics, DSMR_METRIC_BACKLOG_BYTES,
                         h.sim->params.backlog_bytes_max + 1);
        h.sim->now_us = 1000000;
        h.ops->tick(h.self, h.sim);
        h.sim->now_us += what == 1 ? 1000000 : 4000000;
        if (what == 2) {
            h.ops->executed(h.self, h.sim, 1, &executed);
            h.ops->tick(h.self, h.sim);
        }
        struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT, 1);
        tell_chunk(&h, 1, chunk, true);
        if (what == 0) {
            history_breaks(&h, "6.5");
        } else {
            history_is_right(&h);
        }
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

static void test_records_of_the_engine(void **state)
{
    (void)state;
    for (int is_pruned = 0; is_pruned < 2; is_pruned++) {
        struct history h;
        uint8_t key[17] = {0}, value[41] = {1};
        struct dsmr_store_write write = {.kind = DSMR_STORE_BFT_PUT,
                                         .u.bft.key = key,
                                         .u.bft.key_len = sizeof(key),
                                         .u.bft.value = value,
                                         .u.bft.value_len = sizeof(value)};
        begin_limits(&h);
        key[16] = 1;
        for (uint64_t view = 1; view <= 4097; view++) {
            dsmr_store_be64(key + 8, view);
            h.ops->stored(h.self, h.sim, 0, &write);
            h.ops->stored(h.self, h.sim, 0, &write);
        }
        if (is_pruned) {
            dsmr_store_be64(key + 8, 2);
            key[16] = 0;
            write.kind = DSMR_STORE_BFT_PRUNE;
            h.ops->stored(h.self, h.sim, 0, &write);
        }
        h.ops->end(h.self, h.sim);
        if (is_pruned) {
            history_is_right(&h);
        } else {
            history_breaks(&h, "bft 12");
        }
        history_end(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pending_bytes),
        cmocka_unit_test(test_garbage_stays),
        cmocka_unit_test(test_journal_entries_stay),
        cmocka_unit_test(test_queues),
        cmocka_unit_test(test_backlog),
        cmocka_unit_test(test_records_of_the_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
