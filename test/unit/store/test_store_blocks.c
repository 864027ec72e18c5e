/* Accepted blocks in the store, and garbage: what it takes, and that the space comes back. */
#define _GNU_SOURCE
#include "unit/store/store_files.h"

#include "base/bytes.h"
#include "store/store_state.h"

/* ---- blocks ---- */

static void check_block(struct fixture *f, uint64_t height, uint64_t salt)
{
    struct test_block *b = block_new(height, 0, 0, salt);
    struct dsmr_buf *buf;
    uint64_t found = 0;
    bool has = true;
    uint8_t *want;

    assert_int_equal(f->port.ops->load_block(f->port.self, &buf, NULL, &has, height), DSMR_OK);
    want = malloc(buf->len);
    fill_body(want, buf->len, height * 1000 + salt);
    assert_memory_equal(buf->bytes, want, buf->len);
    free(want);
    dsmr_buf_unref(buf);
    assert_int_equal(f->port.ops->find_block(f->port.self, &found, &b->block.id), DSMR_OK);
    assert_int_equal(found, height);
    block_free(b);
}

static void accept_marks_chunks_and_moves_the_pointer(void **state)
{
    struct fixture *f = *state;
    struct dsmr_store_chunk_meta meta;
    struct test_block *b = block_new(1, 10, 3, 0);
    struct dsmr_quorum_cert qc = qc_of(1), got;
    struct dsmr_id id, chunk_id = id_of(11);
    struct dsmr_buf *buf;
    uint64_t height = 99;
    bool has = false;

    assert_int_equal(f->port.ops->last_accepted(f->port.self, &height, &id), DSMR_ERR_UNKNOWN);
    assert_int_equal(height, 99);
    assert_int_equal(f->port.ops->load_block(f->port.self, &buf, &got, &has, 1), DSMR_ERR_UNKNOWN);
    assert_int_equal(accept_new(f, 0, 0, 0), DSMR_OK);
    assert_int_equal(put_chunk(f, 10, 100), DSMR_OK);
    assert_int_equal(put_chunk(f, 11, 100), DSMR_OK); /* 12 is not here */
    assert_int_equal(accept_block(f, b, &qc), DSMR_OK);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(f->port.ops->last_accepted(f->port.self, &height, &id), DSMR_OK);
        assert_int_equal(height, 1);
        assert_true(dsmr_id_equal(&id, &b->block.id));
        assert_int_equal(f->port.ops->load_chunk_meta(f->port.self, &meta, &chunk_id), DSMR_OK);
        assert_int_equal(meta.included_height, 1);
        assert_int_equal(meta.included_time_ms, 1000);
        assert_int_equal(meta.accepted_wall_ms, 5001);
        check_block(f, 0, 0);
        check_block(f, 1, 0);
        assert_int_equal(f->port.ops->load_block(f->port.self, &buf, &got, &has, 1), DSMR_OK);
        assert_true(has);
        assert_true(dsmr_vote_subject_equal(&got.subject, &qc.subject));
        assert_memory_equal(&got.sig, &qc.sig, sizeof qc.sig);
        dsmr_buf_unref(buf);
        assert_int_equal(f->port.ops->load_block(f->port.self, &buf, &got, &has, 0), DSMR_OK);
        assert_false(has);
        dsmr_buf_unref(buf);
        /* Again, this time without the finalization: nothing is lost. */
        assert_int_equal(accept_block(f, b, NULL), DSMR_OK);
        fixture_reopen(f);
    }
    block_free(b);
}

static void accept_above_the_next_height_is_refused(void **state)
{
    struct fixture *f = *state;
    struct dsmr_id id;
    uint64_t height = 0;

    assert_int_equal(accept_new(f, 5, 0, 0), DSMR_OK); /* the first one may be anywhere */
    assert_int_equal(accept_new(f, 7, 0, 0), DSMR_ERR_HALTED);
    assert_int_equal(accept_new(f, NEVER, 0, 0), DSMR_ERR_HALTED);
    assert_int_equal(accept_new(f, 6, 0, 0), DSMR_OK);
    assert_int_equal(f->port.ops->last_accepted(f->port.self, &height, &id), DSMR_OK);
    assert_int_equal(height, 6);
}

static void accept_of_an_older_block_again_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct dsmr_id id;
    uint64_t height = 0;

    for (uint64_t h = 0; h < 5; h++) {
        assert_int_equal(accept_new(f, h, h * 4, 2), DSMR_OK);
    }
    assert_int_equal(accept_new(f, 2, 8, 2), DSMR_OK);
    assert_int_equal(f->port.ops->last_accepted(f->port.self, &height, &id), DSMR_OK);
    assert_int_equal(height, 4);
    check_block(f, 4, 0);
}

static void accept_of_another_block_takes_back_what_is_above(void **state)
{
    struct fixture *f = *state;
    struct test_block *other = block_new(2, 30, 1, 1);
    struct test_block *old = block_new(3, 0, 0, 0);
    struct dsmr_store_chunk_meta meta;
    struct dsmr_id id, in_3 = id_of(12), in_2 = id_of(30);
    struct dsmr_buf *buf;
    uint64_t height = 0;
    bool has;

    assert_int_equal(put_chunk(f, 12, 100), DSMR_OK);
    assert_int_equal(put_chunk(f, 30, 100), DSMR_OK);
    for (uint64_t h = 0; h < 5; h++) {
        assert_int_equal(accept_new(f, h, h * 4, 2), DSMR_OK);
    }
    assert_int_equal(f->port.ops->load_chunk_meta(f->port.self, &meta, &in_3), DSMR_OK);
    assert_int_equal(meta.included_height, 3);
    assert_int_equal(accept_block(f, other, NULL), DSMR_OK);
    assert_int_equal(f->port.ops->last_accepted(f->port.self, &height, &id), DSMR_OK);
    assert_int_equal(height, 2);
    assert_true(dsmr_id_equal(&id, &other->block.id));
    check_block(f, 2, 1);
    assert_int_equal(f->port.ops->load_block(f->port.self, &buf, NULL, &has, 3), DSMR_ERR_UNKNOWN);
    assert_int_equal(f->port.ops->find_block(f->port.self, &height, &old->block.id),
                     DSMR_ERR_UNKNOWN);
    assert_int_equal(f->port.ops->load_chunk_meta(f->port.self, &meta, &in_3), DSMR_OK);
    assert_true(meta.included_height == NEVER);
    assert_int_equal(f->port.ops->load_chunk_meta(f->port.self, &meta, &in_2), DSMR_OK);
    assert_int_equal(meta.included_height, 2);
    block_free(other);
    block_free(old);
}

static void largest_block_fits(void **state)
{
    struct fixture *f = *state;
    struct test_block *b = block_new(0, 0, 0, 0);
    struct dsmr_buf *buf;
    bool has;

    b->block.certs = calloc(DSMR_BLOCK_CERTS_LIMIT, sizeof *b->block.certs);
    b->block.certs_count = DSMR_BLOCK_CERTS_LIMIT;
    for (uint32_t i = 0; i < DSMR_BLOCK_CERTS_LIMIT; i++) {
        b->block.certs[i] = cert_of(i, 1024);
    }
    dsmr_buf_unref(b->block.bytes);
    b->block.bytes = dsmr_buf_new(DSMR_BLOCK_CERTS_LIMIT * DSMR_CERT_BYTES_MAX);
    fill_body(b->block.bytes->bytes, b->block.bytes->len, 0);
    assert_int_equal(accept_block(f, b, NULL), DSMR_OK);
    assert_int_equal(f->port.ops->load_block(f->port.self, &buf, NULL, &has, 0), DSMR_OK);
    assert_int_equal(buf->len, b->block.bytes->len);
    assert_memory_equal(buf->bytes, b->block.bytes->bytes, buf->len);
    dsmr_buf_unref(buf);
    free(b->block.certs);
    block_free(b);
}

/* ---- garbage ---- */

static void gc_drops_bodies_metas_certs_and_journals(void **state)
{
    struct fixture *f = *state;
    struct dsmr_id ids[100];
    struct recovered *r;

    for (uint64_t n = 0; n < 120; n++) {
        assert_int_equal(put_chunk(f, n, 20000), DSMR_OK);
        assert_int_equal(put_cert(f, n, 3), DSMR_OK);
    }
    for (uint64_t n = 0; n < 100; n++) {
        ids[n] = id_of(n);
    }
    assert_true(bodies_on_disk(f) >= 120 * 20000);
    /* Expiry of chunk n is 30000 + 100n: the floor spares the entries from 60 on. */
    assert_int_equal(collect(f, 36000, ids, 100, true), DSMR_OK);
    assert_int_equal(check_body(f, 99, 20000), DSMR_ERR_UNKNOWN);
    fixture_reopen(f); /* space is given back by a thread of its own: done when it is closed */
    assert_true(bodies_on_disk(f) <= 20 * 20480 + 65536);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(check_body(f, 99, 20000), DSMR_ERR_UNKNOWN);
        assert_int_equal(check_body(f, 100, 20000), DSMR_OK);
        r = recover_all(f);
        assert_int_equal(r->floor_ms, 36000);
        assert_int_equal(r->journals_count, 60);
        assert_int_equal(r->chunks_count, 20);
        assert_int_equal(r->certs_count, 20);
        for (size_t i = 0; i < r->journals_count; i++) {
            assert_true(r->journals[i].expiry_ms >= 36000);
        }
        free(r);
        fixture_reopen(f);
    }
}

static void gc_of_everything_leaves_no_file(void **state)
{
    struct fixture *f = *state;
    struct dsmr_id ids[200];

    for (uint64_t n = 0; n < 200; n++) {
        assert_int_equal(put_chunk(f, n, 30000), DSMR_OK);
        ids[n] = id_of(n);
    }
    assert_true(count_files(f, "chunks") > 1);
    assert_int_equal(collect(f, 1, ids, 200, false), DSMR_OK);
    fixture_reopen(f);
    assert_int_equal(count_files(f, "chunks"), 0);
    assert_int_equal(put_chunk(f, 1, 30000), DSMR_OK); /* and it goes on */
    assert_int_equal(check_body(f, 1, 30000), DSMR_OK);
    fixture_reopen(f);
    assert_int_equal(check_body(f, 1, 30000), DSMR_OK);
}

static void gc_floor_never_falls(void **state)
{
    struct fixture *f = *state;
    struct recovered *r;

    assert_int_equal(collect(f, 500, NULL, 0, false), DSMR_OK);
    assert_int_equal(collect(f, 400, NULL, 0, true), DSMR_OK);
    r = recover_all(f);
    assert_int_equal(r->floor_ms, 500);
    free(r);
}

static void gc_without_effect_writes_nothing(void **state)
{
    struct fixture *f = *state;
    struct dsmr_id none = id_of(5);
    uint64_t syncs;

    assert_int_equal(collect(f, 500, NULL, 0, true), DSMR_OK);
    syncs = dsmr_metrics_get(&f->metrics, DSMR_METRIC_DISK_SYNCS);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(collect(f, 500, &none, 1, true), DSMR_OK);
    }
    assert_int_equal(dsmr_metrics_get(&f->metrics, DSMR_METRIC_DISK_SYNCS), syncs);
}

static void chunk_comes_back_after_gc(void **state)
{
    struct fixture *f = *state;
    struct dsmr_id id = id_of(1);

    assert_int_equal(put_chunk(f, 1, 5000), DSMR_OK);
    assert_int_equal(put_chunk(f, 2, 5000), DSMR_OK);
    assert_int_equal(collect(f, 1, &id, 1, false), DSMR_OK);
    assert_int_equal(check_body(f, 1, 5000), DSMR_ERR_UNKNOWN);
    assert_int_equal(put_chunk(f, 1, 5000), DSMR_OK);
    fixture_reopen(f); /* gives the old place back once more */
    assert_int_equal(check_body(f, 1, 5000), DSMR_OK);
    assert_int_equal(check_body(f, 2, 5000), DSMR_OK);
}

static void disk_stays_bounded_over_many_rounds(void **state)
{
    struct fixture *f = *state;
    char path[512];
    struct stat st;
    uint64_t early = 0;

    (void)snprintf(path, sizeof path, "%s/consensus/data.mdb", f->path);
    for (uint64_t round = 0; round < 120; round++) {
        struct dsmr_id ids[16];
        for (uint64_t i = 0; i < 16; i++) {
            assert_int_equal(put_chunk(f, round * 16 + i, 3000), DSMR_OK);
            ids[i] = id_of(round * 16 + i);
        }
        assert_int_equal(collect(f, (round * 16 + 16) * 100 + 30000, ids, 16, true), DSMR_OK);
        /* While the janitor is behind, up to 16 of its jobs have records, and the file is some
         * pages larger, once: on a busy machine that may come late. */
        (void)dsmr_store_janitor_drain(&f->store->janitor);
        assert_int_equal(stat(path, &st), 0);
        early = round == 20 ? (uint64_t)st.st_size : early;
    }
    fixture_reopen(f);
    assert_int_equal(bodies_on_disk(f), 0);
    /* With a body that stays in the file, the others leave holes. */
    for (uint64_t n = 0; n < 100; n++) {
        struct dsmr_id id = id_of(10000 + n);
        assert_int_equal(put_chunk(f, 10000 + n, 5000), DSMR_OK);
        if (n > 0) {
            assert_int_equal(collect(f, 1, &id, 1, false), DSMR_OK);
        }
    }
    fixture_reopen(f);
    assert_true(bodies_on_disk(f) <= 2 * 8192);
    assert_int_equal(check_body(f, 10000, 5000), DSMR_OK);
    assert_true((uint64_t)st.st_size <= early);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(accept_marks_chunks_and_moves_the_pointer),
        TEST(accept_above_the_next_height_is_refused),
        TEST(accept_of_an_older_block_again_changes_nothing),
        TEST(accept_of_another_block_takes_back_what_is_above),
        TEST(largest_block_fits),
        TEST(gc_drops_bodies_metas_certs_and_journals),
        TEST(gc_of_everything_leaves_no_file),
        TEST(gc_floor_never_falls),
        TEST(gc_without_effect_writes_nothing),
        TEST(chunk_comes_back_after_gc),
        TEST(disk_stays_bounded_over_many_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
