/* From notices to owners: order, ends, the sweep, lost notices, who frees what. */
#include "unit/api/fake_node.h"

#include "api/tracker.h"

#define TOLD_MAX 8192

struct world {
    struct fake_node node;
    struct dsmr_query query;
    struct dsmr_waits *waits;
    struct dsmr_tracker *tracker;
    struct dsmr_feed feed;
    int wakes, flushes, landed;
    uint64_t expiry_ms; /* of flights that come from batches */
    bool wants_certified, wants_executed;
    size_t told;
    struct {
        char what; /* 'A'dmitted, 'C', 'E', 'X'pired */
        uint64_t seq, height;
        uint32_t code;
    } log[TOLD_MAX];
};

static void tell(struct world *w, char what, uint64_t seq, uint64_t height, uint32_t code)
{
    assert_true(w->told < TOLD_MAX);
    w->log[w->told].what = what;
    w->log[w->told].seq = seq;
    w->log[w->told].height = height;
    w->log[w->told++].code = code;
}

static void on_submitted(void *self, const struct dsmr_submit_batch *batch)
{
    struct world *w = self;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct dsmr_flight flight = {.owner = 77,
                                           .seq = batch->txs[i].tag,
                                           .expiry_ms = w->expiry_ms,
                                           .wants_certified = w->wants_certified,
                                           .wants_executed = w->wants_executed};
        tell(w, 'A', batch->txs[i].tag, 0, batch->txs[i].err);
        if (batch->txs[i].err == DSMR_OK) {
            assert_int_equal(dsmr_tracker_add(w->tracker, &batch->txs[i].id, &flight), DSMR_OK);
        }
    }
}
static void on_certified(void *self, uint64_t owner, uint64_t seq)
{
    assert_int_equal(owner, 77);
    tell(self, 'C', seq, 0, 0);
}
static void on_executed(void *self, uint64_t owner, uint64_t seq, uint64_t height, uint32_t code)
{
    assert_int_equal(owner, 77);
    tell(self, 'E', seq, height, code);
}
static void on_expired(void *self, uint64_t owner, uint64_t seq)
{
    assert_int_equal(owner, 77);
    tell(self, 'X', seq, 0, 0);
}
static void on_landed(void *self, uint64_t owner)
{
    assert_int_equal(owner, 77);
    ((struct world *)self)->landed++;
}
static void on_flush(void *self)
{
    ((struct world *)self)->flushes++;
}
static void on_wake(void *ctx)
{
    ((struct world *)ctx)->wakes++;
}

static struct world *open_world(uint32_t flights_max)
{
    struct world *w = calloc(1, sizeof(*w));
    fake_init(&w->node);
    w->query = fake_query(&w->node);
    w->waits = dsmr_waits_new(8, 1);
    const struct dsmr_tracker_config config = {.flights_max = flights_max,
                                               .others_max = 4,
                                               .seed = 3,
                                               .waits = w->waits,
                                               .clock = fake_clock(&w->node),
                                               .metrics = &w->node.metrics,
                                               .wake = on_wake,
                                               .wake_ctx = w};
    w->tracker = dsmr_tracker_new(&config);
    assert_non_null(w->tracker);
    const struct dsmr_tracker_sink sink = {.self = w,
                                           .submitted = on_submitted,
                                           .certified = on_certified,
                                           .executed = on_executed,
                                           .expired = on_expired,
                                           .landed = on_landed,
                                           .flush = on_flush};
    dsmr_tracker_attach(w->tracker, &w->query, &sink);
    w->feed = dsmr_tracker_feed(w->tracker);
    w->wants_certified = w->wants_executed = true;
    w->expiry_ms = UINT64_MAX;
    return w;
}

static void close_world(struct world *w)
{
    dsmr_tracker_free(w->tracker);
    dsmr_waits_close(w->waits);
    dsmr_waits_free(w->waits);
    fake_close(&w->node);
    free(w);
}

/* A batch of transactions first .. first + count - 1 of make_tx, tagged with their number. */
static struct dsmr_submit_batch *batch_of(struct world *w, uint64_t first, uint32_t count)
{
    struct dsmr_buf *bytes = dsmr_buf_new(32 * (size_t)count);
    for (uint32_t i = 0; i < count; i++) {
        make_tx(bytes->bytes + 32 * i, first + i, 50000);
    }
    struct dsmr_submit_batch *batch = dsmr_tracker_batch_new(bytes, count);
    dsmr_buf_unref(bytes);
    batch->origin = w;
    for (uint32_t i = 0; i < count; i++) {
        batch->txs[i].offset = 32 * i;
        batch->txs[i].len = 32;
        batch->txs[i].tag = first + i;
        dsmr_hash(&batch->txs[i].id, batch->bytes->bytes + 32 * i, 32);
    }
    return batch;
}

static struct dsmr_id id_of(uint64_t number)
{
    uint8_t tx[32];
    struct dsmr_id id;
    make_tx(tx, number, 50000);
    dsmr_hash(&id, tx, 32);
    return id;
}

static enum dsmr_query_tx_state state_of(struct world *w, const struct dsmr_id *id)
{
    struct dsmr_query_tx tx;
    enum dsmr_err err = dsmr_tracker_where(w->tracker, &tx, id);
    assert_int_equal(err, tx.state == DSMR_TX_UNKNOWN ? DSMR_ERR_UNKNOWN : DSMR_OK);
    return tx.state;
}

static void expect(const struct world *w, size_t at, char what, uint64_t seq)
{
    assert_true(at < w->told);
    assert_int_equal(w->log[at].what, what);
    assert_int_equal(w->log[at].seq, seq);
}

static void a_transaction_is_told_each_stage_once(void **state)
{
    struct world *w = open_world(16);
    (void)state;
    struct dsmr_chunk *chunk = make_chunk(1, 2, 50000);
    const struct dsmr_id ids[2] = {id_of(2), id_of(1)};
    publish_batch(&w->feed, batch_of(w, 1, 2), DSMR_OK);
    publish_certified(&w->feed, chunk);
    publish_certified(&w->feed, chunk); /* a heavier certificate of the same chunk */
    publish_executed(&w->feed, 9, 1000, ids, 2);
    assert_int_equal(w->wakes, 1); /* only for the first in an empty queue */
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(w->told, 6);
    expect(w, 0, 'A', 1);
    expect(w, 1, 'A', 2);
    expect(w, 2, 'C', 1);
    expect(w, 3, 'C', 2);
    expect(w, 4, 'E', 2);
    expect(w, 5, 'E', 1);
    assert_int_equal(w->log[4].height, 9);
    assert_int_equal(w->landed, 2);
    assert_int_equal(w->flushes, 1);
    assert_int_equal(dsmr_tracker_flights(w->tracker), 0);
    publish_executed(&w->feed, 10, 1001, ids, 2); /* nobody's any more */
    assert_int_equal(w->wakes, 2);
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(w->told, 6);
    dsmr_chunk_unref(chunk);
    close_world(w);
}

static void notices_that_overtake_their_batch_are_told_after_it(void **state)
{
    struct world *w = open_world(16);
    const struct dsmr_id id = id_of(1);
    (void)state;
    publish_executed(&w->feed, 9, 1000, &id, 1);
    publish_batch(&w->feed, batch_of(w, 1, 1), DSMR_OK);
    dsmr_tracker_drain(w->tracker);
    expect(w, 0, 'A', 1);
    expect(w, 1, 'E', 1);
    close_world(w);
}

static void a_flight_that_wants_only_the_certificate_lands_there(void **state)
{
    struct world *w = open_world(16);
    struct dsmr_chunk *chunk = make_chunk(1, 1, 50000);
    (void)state;
    w->wants_executed = false;
    publish_batch(&w->feed, batch_of(w, 1, 1), DSMR_OK);
    publish_certified(&w->feed, chunk);
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(w->landed, 1);
    assert_int_equal(dsmr_tracker_flights(w->tracker), 0);
    dsmr_chunk_unref(chunk);
    close_world(w);
}

static void refused_transactions_do_not_fly(void **state)
{
    struct world *w = open_world(16);
    (void)state;
    publish_batch(&w->feed, batch_of(w, 1, 3), DSMR_ERR_MEMPOOL_FULL);
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(w->told, 3);
    assert_int_equal(w->log[2].code, DSMR_ERR_MEMPOOL_FULL);
    assert_int_equal(dsmr_tracker_flights(w->tracker), 0);
    close_world(w);
}

static void the_table_is_full_at_its_limit(void **state)
{
    struct world *w = open_world(4);
    const struct dsmr_flight flight = {.owner = 77, .seq = 1};
    (void)state;
    for (uint64_t i = 0; i < 4; i++) {
        const struct dsmr_id id = id_of(i);
        assert_int_equal(dsmr_tracker_add(w->tracker, &id, &flight), DSMR_OK);
        assert_int_equal(dsmr_tracker_add(w->tracker, &id, &flight), DSMR_ERR_DUPLICATE);
    }
    const struct dsmr_id fifth = id_of(5);
    assert_int_equal(dsmr_tracker_add(w->tracker, &fifth, &flight), DSMR_ERR_FULL);
    close_world(w);
}

static void expiry_is_told_and_remembered(void **state)
{
    struct world *w = open_world(16);
    const struct dsmr_id ids[2] = {id_of(1), id_of(99)};
    const struct dsmr_id zero = {{0}};
    (void)state;
    publish_batch(&w->feed, batch_of(w, 1, 1), DSMR_OK);
    publish_expired(&w->feed, ids, 2);
    publish_expired(&w->feed, NULL, 0);
    dsmr_tracker_drain(w->tracker);
    expect(w, 1, 'X', 1);
    assert_int_equal(w->told, 2);
    const struct dsmr_id other = id_of(3);
    assert_int_equal(state_of(w, &ids[0]), DSMR_TX_EXPIRED);
    assert_int_equal(state_of(w, &ids[1]), DSMR_TX_EXPIRED);
    assert_int_equal(state_of(w, &other), DSMR_TX_UNKNOWN);
    assert_int_equal(state_of(w, &zero), DSMR_TX_UNKNOWN);
    close_world(w);
}

static void the_sweep_ends_what_can_never_run(void **state)
{
    struct world *w = open_world(64);
    (void)state;
    w->expiry_ms = 2000;
    publish_batch(&w->feed, batch_of(w, 1, 5), DSMR_OK);
    publish_executed(&w->feed, 1, 2000, NULL, 0); /* a block at the expiry could still run it */
    dsmr_tracker_drain(w->tracker);
    dsmr_tracker_sweep(w->tracker);
    assert_int_equal(w->told, 5);
    publish_executed(&w->feed, 2, 2001, NULL, 0);
    publish_executed(&w->feed, 1, 1, NULL, 0); /* time never goes back */
    dsmr_tracker_drain(w->tracker);
    dsmr_tracker_sweep(w->tracker);
    assert_int_equal(w->told, 10);
    assert_int_equal(w->log[9].what, 'X');
    assert_int_equal(dsmr_tracker_flights(w->tracker), 0);
    close_world(w);
}

static void lost_notices_are_counted_and_the_store_is_asked(void **state)
{
    struct world *w = open_world(16);
    const struct dsmr_id id = id_of(1);
    (void)state;
    w->expiry_ms = 2000;
    publish_batch(&w->feed, batch_of(w, 1, 1), DSMR_OK);
    dsmr_tracker_drain(w->tracker);
    for (uint32_t i = 0; i < DSMR_TRACKER_NOTICES_MAX; i++) {
        publish_executed(&w->feed, i + 1, 3000, NULL, 0);
    }
    assert_int_equal(dsmr_tracker_dropped(w->tracker), 0);
    publish_executed(&w->feed, 5000, 3001, &id, 1); /* one too many */
    assert_int_equal(dsmr_tracker_dropped(w->tracker), 1);
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(w->told, 1);
    w->node.tx_err = DSMR_OK;
    w->node.tx = (struct dsmr_query_tx){
        .state = DSMR_TX_FAILED, .height = 5000, .result = {.code = 6, .fee = 1}};
    dsmr_tracker_sweep(w->tracker);
    expect(w, 1, 'E', 1);
    assert_int_equal(w->log[1].code, 6);
    assert_int_equal(w->log[1].height, 5000);
    assert_int_equal(w->landed, 1);
    close_world(w);
}

static struct dsmr_waits_news heard;
static int heard_times;

static void on_done(void *ctx, const struct dsmr_waits_news *news)
{
    (void)ctx;
    heard = *news;
    heard_times++;
}

static void requests_are_answered_without_an_origin(void **state)
{
    struct world *w = open_world(16);
    uint64_t ticket = 0;
    const struct dsmr_waits_news what = {.id = id_of(1), .mode = DSMR_WAITS_EXECUTED};
    (void)state;
    assert_int_equal(dsmr_waits_add(w->waits, &ticket, &what, 10, on_done, NULL), DSMR_OK);
    struct dsmr_submit_batch *batch = batch_of(w, 1, 1);
    struct dsmr_submit_batch *async = batch_of(w, 2, 1);
    batch->origin = NULL;
    batch->txs[0].tag = ticket;
    async->origin = NULL;
    async->txs[0].tag = 0;
    w->node.tx_err = DSMR_OK;
    w->node.tx = (struct dsmr_query_tx){.state = DSMR_TX_EXECUTED, .height = 8};
    publish_batch(&w->feed, batch, DSMR_ERR_DUPLICATE);
    publish_batch(&w->feed, async, DSMR_ERR_BAD_TX);
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(heard_times, 1);
    assert_int_equal(heard.err, DSMR_OK);
    assert_int_equal(heard.height, 8);
    close_world(w);
}

static uint64_t observed(const struct world *w, enum dsmr_metric_histogram id, uint64_t ms)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < DSMR_METRIC_BUCKETS; i++) {
        count += w->node.metrics.histograms[id].counts[i];
    }
    assert_int_equal(w->node.metrics.histograms[id].sum_ms, ms);
    return count;
}

static void times_count_from_admission_to_the_news(void **state)
{
    struct world *w = open_world(16);
    struct dsmr_chunk *chunk = make_chunk(1, 3, 50000);
    struct dsmr_submit_batch *http = batch_of(w, 2, 1);
    (void)state;
    http->origin = NULL;
    http->txs[0].tag = 0;
    publish_batch(&w->feed, batch_of(w, 1, 1), DSMR_OK);
    w->node.mono_ms += 10;
    publish_batch(&w->feed, http, DSMR_OK);
    w->node.mono_ms += 20;
    publish_certified(&w->feed, chunk);
    dsmr_tracker_drain(w->tracker); /* each time is told with its news, not with the next */
    assert_int_equal(observed(w, DSMR_METRIC_HISTOGRAM_TX_CERTIFIED, 30 + 20), 2);
    w->node.mono_ms += 30;
    publish_certified(&w->feed, chunk); /* a heavier certificate is not counted again */
    w->node.mono_ms += 40;
    publish_executed(&w->feed, 9, 1000, chunk->tx_ids, 3); /* the third came in elsewhere */
    w->node.mono_ms += 1000;
    dsmr_tracker_drain(w->tracker); /* that this thread is late does not matter */
    assert_int_equal(observed(w, DSMR_METRIC_HISTOGRAM_TX_CERTIFIED, 30 + 20), 2);
    assert_int_equal(observed(w, DSMR_METRIC_HISTOGRAM_TX_EXECUTED, 100 + 90), 2);
    dsmr_chunk_unref(chunk);
    close_world(w);
}

static void after_its_certificate_a_flight_is_still_followed(void **state)
{
    struct world *w = open_world(16);
    struct dsmr_chunk *chunk = make_chunk(1, 1, 50000);
    const struct dsmr_id id = id_of(1);
    (void)state;
    w->wants_executed = false;
    publish_batch(&w->feed, batch_of(w, 1, 1), DSMR_OK);
    publish_chunk(&w->feed, DSMR_NOTICE_BUILT, chunk);
    publish_certified(&w->feed, chunk);
    publish_certified(&w->feed, chunk);
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(w->told, 2); /* admitted, certified */
    assert_int_equal(w->landed, 1);
    assert_int_equal(state_of(w, &id), DSMR_TX_CERTIFIED);
    publish_accepted(&w->feed, 4, &chunk, 1);
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(state_of(w, &id), DSMR_TX_IN_BLOCK);
    publish_executed(&w->feed, 4, 1000, &id, 1);
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(state_of(w, &id), DSMR_TX_UNKNOWN); /* the store would know now */
    assert_int_equal(w->told, 2);
    dsmr_chunk_unref(chunk);
    close_world(w);
}

static void beyond_its_limit_a_transaction_is_not_followed(void **state)
{
    struct world *w = open_world(16); /* and four without an owner */
    struct dsmr_submit_batch *http = batch_of(w, 1, 5);
    (void)state;
    http->origin = NULL;
    for (uint32_t i = 0; i < 5; i++) {
        http->txs[i].tag = 0;
    }
    publish_batch(&w->feed, http, DSMR_OK);
    dsmr_tracker_drain(w->tracker);
    for (uint64_t i = 1; i <= 5; i++) {
        const struct dsmr_id id = id_of(i);
        assert_int_equal(state_of(w, &id), i < 5 ? DSMR_TX_PENDING : DSMR_TX_UNKNOWN);
    }
    close_world(w);
}

static void nobodys_transactions_end_by_the_sweep_too(void **state)
{
    struct world *w = open_world(16);
    struct dsmr_submit_batch *http = batch_of(w, 1, 1); /* its expiry is 50000 */
    const struct dsmr_id id = id_of(1);
    (void)state;
    http->origin = NULL;
    publish_batch(&w->feed, http, DSMR_OK);
    publish_executed(&w->feed, 1, 50000, NULL, 0); /* a block at the expiry could still run it */
    dsmr_tracker_drain(w->tracker);
    dsmr_tracker_sweep(w->tracker);
    assert_int_equal(state_of(w, &id), DSMR_TX_PENDING);
    publish_executed(&w->feed, 1, 50001, NULL, 0);
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(state_of(w, &id), DSMR_TX_PENDING);
    dsmr_tracker_sweep(w->tracker);
    assert_int_equal(state_of(w, &id), DSMR_TX_EXPIRED);
    assert_int_equal(w->told + (size_t)w->landed, 0);
    close_world(w);
}

static void what_is_still_queued_is_freed(void **state)
{
    struct world *w = open_world(16);
    struct dsmr_chunk *chunk = make_chunk(1, 1, 50000);
    const struct dsmr_id id = id_of(1);
    (void)state;
    publish_batch(&w->feed, batch_of(w, 1, 1), DSMR_OK);
    publish_batch(&w->feed, batch_of(w, 2, 1), DSMR_OK);
    publish_certified(&w->feed, chunk);
    publish_executed(&w->feed, 1, 1, &id, 1);
    publish_expired(&w->feed, &id, 1);
    publish_chunk(&w->feed, DSMR_NOTICE_BUILT, chunk);
    publish_chunk(&w->feed, DSMR_NOTICE_RETURNED, chunk);
    publish_accepted(&w->feed, 1, &chunk, 1);
    dsmr_chunk_unref(chunk);
    close_world(w); /* the address sanitizer watches */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_is_told_each_stage_once),
        cmocka_unit_test(notices_that_overtake_their_batch_are_told_after_it),
        cmocka_unit_test(a_flight_that_wants_only_the_certificate_lands_there),
        cmocka_unit_test(refused_transactions_do_not_fly),
        cmocka_unit_test(the_table_is_full_at_its_limit),
        cmocka_unit_test(expiry_is_told_and_remembered),
        cmocka_unit_test(the_sweep_ends_what_can_never_run),
        cmocka_unit_test(lost_notices_are_counted_and_the_store_is_asked),
        cmocka_unit_test(requests_are_answered_without_an_origin),
        cmocka_unit_test(times_count_from_admission_to_the_news),
        cmocka_unit_test(after_its_certificate_a_flight_is_still_followed),
        cmocka_unit_test(beyond_its_limit_a_transaction_is_not_followed),
        cmocka_unit_test(nobodys_transactions_end_by_the_sweep_too),
        cmocka_unit_test(what_is_still_queued_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
