/* Chunks, certificates, evidence and the engine's records in the store: written, read, refused. */
#define _GNU_SOURCE
#include "unit/store/store_files.h"

#include <fcntl.h>

#include "base/bytes.h"

/* ---- chunks ---- */

static void chunk_round_trip(void **state)
{
    struct fixture *f = *state;
    struct dsmr_store_chunk_meta want = meta_of(1, 5000);
    struct dsmr_store_chunk_meta got;
    struct dsmr_id id = id_of(1);
    struct dsmr_id other = id_of(2);
    struct dsmr_buf *buf = NULL;

    assert_int_equal(put_chunk(f, 1, 5000), DSMR_OK);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(check_body(f, 1, 5000), DSMR_OK);
        assert_int_equal(f->port.ops->load_chunk_meta(f->port.self, &got, &id), DSMR_OK);
        assert_true(dsmr_reference_equal(&got.ref, &want.ref));
        assert_memory_equal(&got.producer_sig, &want.producer_sig, sizeof want.producer_sig);
        assert_true(got.included_height == NEVER);
        assert_true(got.is_signed);
        assert_false(got.is_own);
        assert_int_equal(f->port.ops->load_chunk(f->port.self, &buf, &other), DSMR_ERR_UNKNOWN);
        assert_int_equal(f->port.ops->load_chunk_meta(f->port.self, &got, &other),
                         DSMR_ERR_UNKNOWN);
        fixture_reopen(f);
    }
}

static void chunk_sizes_at_the_edges_of_alignment(void **state)
{
    struct fixture *f = *state;
    static const uint32_t lens[] = {1, 4095, 4096, 4097, 8192, (1u << 20) - 1, 1u << 20, 3u << 20};
    const size_t count = sizeof lens / sizeof lens[0];

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(put_chunk(f, i, lens[i]), DSMR_OK);
    }
    fixture_reopen(f);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(check_body(f, i, lens[i]), DSMR_OK);
    }
}

static void same_chunk_again_writes_no_second_body(void **state)
{
    struct fixture *f = *state;
    struct chunk_write *chunk = chunk_new(1, 60000);
    struct dsmr_store_chunk_meta got;
    struct dsmr_id id = id_of(1);
    uint64_t bytes;

    chunk->meta.is_signed = false;
    chunk->meta.is_own = true;
    chunk->meta.included_height = 9;
    assert_int_equal(do_write(f, &chunk->write), DSMR_OK);
    bytes = bodies_on_disk(f);
    chunk->meta = meta_of(1, 60000);
    assert_int_equal(do_write(f, &chunk->write), DSMR_OK);
    assert_int_equal(bodies_on_disk(f), bytes);
    /* What was known before is still known. */
    assert_int_equal(f->port.ops->load_chunk_meta(f->port.self, &got, &id), DSMR_OK);
    assert_true(got.is_own);
    assert_true(got.is_signed);
    assert_int_equal(got.included_height, 9);
    /* Fetched by a block, too: that write does not know the producer's signature. */
    struct dsmr_bls_sig sig = chunk->meta.producer_sig;
    chunk->meta.is_signed = false;
    memset(&chunk->meta.producer_sig, 0, sizeof sig);
    assert_memory_not_equal(&chunk->meta.producer_sig, &sig, sizeof sig);
    assert_int_equal(do_write(f, &chunk->write), DSMR_OK);
    assert_int_equal(f->port.ops->load_chunk_meta(f->port.self, &got, &id), DSMR_OK);
    assert_true(got.is_signed);
    assert_memory_equal(&got.producer_sig, &sig, sizeof sig);
    chunk_free(chunk);
}

static void second_chunk_of_a_slot_is_refused(void **state)
{
    struct fixture *f = *state;
    struct chunk_write *other = chunk_new(2, 100);
    struct dsmr_store_chunk_meta first = meta_of(1, 100);
    struct recovered *r;

    assert_int_equal(put_chunk(f, 1, 100), DSMR_OK);
    other->meta.ref.producer = first.ref.producer;
    other->meta.ref.slot = first.ref.slot;
    other->meta.ref.expiry_ms = first.ref.expiry_ms;
    assert_int_equal(do_write(f, &other->write), DSMR_ERR_CONFLICT);
    fixture_reopen(f);
    assert_int_equal(do_write(f, &other->write), DSMR_ERR_CONFLICT);
    assert_int_equal(check_body(f, 2, 100), DSMR_ERR_UNKNOWN);
    /* Without a promise it may be kept: it was fetched for a block. */
    other->meta.is_signed = false;
    assert_int_equal(do_write(f, &other->write), DSMR_OK);
    fixture_reopen(f);
    r = recover_all(f);
    assert_int_equal(r->journals_count, 1);
    assert_int_equal(r->chunks_count, 2);
    assert_memory_equal(&r->journals[0].chunk_id, &first.ref.chunk_id, 32);
    free(r);
    chunk_free(other);
}

static void conflict_within_one_group_is_refused(void **state)
{
    struct fixture *f = *state;
    struct chunk_write *chunks[64];

    for (uint64_t i = 0; i < 64; i++) {
        chunks[i] = chunk_new(i, 300);
        chunks[i]->meta.ref.slot = 5;
        chunks[i]->meta.ref.expiry_ms = 7;
        chunks[i]->meta.ref.producer = meta_of(0, 300).ref.producer;
        send_write(f, &chunks[i]->write);
    }
    wait_all(f);
    for (uint64_t i = 0; i < 64; i++) {
        assert_int_equal(chunks[i]->write.err, i == 0 ? DSMR_OK : DSMR_ERR_CONFLICT);
        chunk_free(chunks[i]);
    }
}

static void damaged_body_is_found_and_can_be_replaced(void **state)
{
    struct fixture *f = *state;
    char *path;
    int fd;

    assert_int_equal(put_chunk(f, 1, 5000), DSMR_OK);
    assert_int_equal(put_chunk(f, 2, 5000), DSMR_OK);
    path = only_segment(f);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "x", 1, 4999), 1);
    (void)close(fd);
    assert_int_equal(check_body(f, 1, 5000), DSMR_ERR_CORRUPT);
    assert_int_equal(check_body(f, 2, 5000), DSMR_OK);
    assert_int_equal(put_chunk(f, 1, 5000), DSMR_OK); /* fetched again */
    assert_int_equal(check_body(f, 1, 5000), DSMR_OK);
    fixture_reopen(f);
    assert_int_equal(check_body(f, 1, 5000), DSMR_OK);
    free(path);
}

/* ---- certificates, evidence, engine ---- */

static void cert_is_replaced_by_a_heavier_one(void **state)
{
    struct fixture *f = *state;
    struct dsmr_id id = id_of(7);
    struct dsmr_id other = id_of(8);
    struct dsmr_cert got, want = cert_of(7, 1024);

    assert_int_equal(put_cert(f, 7, 3), DSMR_OK);
    assert_int_equal(put_cert(f, 7, 1024), DSMR_OK);
    fixture_reopen(f);
    assert_int_equal(f->port.ops->load_cert(f->port.self, &got, &id), DSMR_OK);
    assert_memory_equal(&got.signers, &want.signers, sizeof want.signers);
    assert_memory_equal(&got.sig, &want.sig, sizeof want.sig);
    assert_true(dsmr_reference_equal(&got.ref, &want.ref));
    assert_int_equal(f->port.ops->load_cert(f->port.self, &got, &other), DSMR_ERR_UNKNOWN);
}

static struct dsmr_evidence evidence_of(uint64_t n)
{
    struct dsmr_evidence e;

    memset(&e, 0, sizeof e);
    e.refs[0] = meta_of(4 * n, 10).ref; /* 4n: one producer */
    e.refs[0].epoch = n;
    e.refs[1] = e.refs[0];
    e.refs[1].chunk_id = id_of(n + 1000000);
    memset(e.sigs[0].bytes, 1, sizeof e.sigs[0].bytes);
    memset(e.sigs[1].bytes, 2, sizeof e.sigs[1].bytes);
    return e;
}

static void evidence_is_kept_once_per_producer_and_epoch(void **state)
{
    struct fixture *f = *state;
    struct dsmr_store_write write = {.kind = DSMR_STORE_EVIDENCE};
    struct dsmr_evidence e, got;
    uint64_t cursor = 0;

    assert_int_equal(f->port.ops->next_evidence(f->port.self, &got, &cursor), DSMR_ERR_UNKNOWN);
    for (uint64_t i = 0; i < 10; i++) {
        e = evidence_of(i % 3);
        write.u.evidence.pair = &e;
        assert_int_equal(do_write(f, &write), DSMR_OK);
        if (i == 4) {
            fixture_reopen(f);
        }
    }
    for (uint64_t i = 0; i < 3; i++) {
        e = evidence_of(i);
        assert_int_equal(f->port.ops->next_evidence(f->port.self, &got, &cursor), DSMR_OK);
        assert_true(dsmr_reference_equal(&got.refs[0], &e.refs[0]));
        assert_true(dsmr_reference_equal(&got.refs[1], &e.refs[1]));
        assert_memory_equal(&got.sigs, &e.sigs, sizeof e.sigs);
    }
    assert_int_equal(f->port.ops->next_evidence(f->port.self, &got, &cursor), DSMR_ERR_UNKNOWN);
    assert_int_equal(cursor, 3);
}

/* One goes with the write of another: from the list and from the index; the list has a gap then,
 * its numbers are not used again, and it can be written anew. */
static void evidence_gives_way(void **state)
{
    struct fixture *f = *state;
    struct dsmr_store_write write = {.kind = DSMR_STORE_EVIDENCE};
    const uint64_t order[] = {0, 1, 2, 3, 1}, goes[] = {9, 9, 9, 1, 3}; /* 9: is not there */
    const uint64_t left[] = {0, 2, 1};
    struct dsmr_evidence got;
    uint64_t cursor = 0;

    for (size_t i = 0; i < 5; i++) {
        struct dsmr_evidence e = evidence_of(order[i]), old = evidence_of(goes[i]);
        struct dsmr_evidence_key gone = {old.refs[0].producer, old.refs[0].epoch};
        write.u.evidence.pair = &e;
        write.u.evidence.gone = i == 0 ? NULL : &gone;
        assert_int_equal(do_write(f, &write), DSMR_OK);
    }
    for (int round = 0; round < 2; round++) {
        cursor = 0;
        for (size_t i = 0; i < 3; i++) {
            struct dsmr_evidence e = evidence_of(left[i]);
            assert_int_equal(f->port.ops->next_evidence(f->port.self, &got, &cursor), DSMR_OK);
            assert_true(dsmr_reference_equal(&got.refs[0], &e.refs[0]));
        }
        assert_int_equal(cursor, 5);
        assert_int_equal(f->port.ops->next_evidence(f->port.self, &got, &cursor), DSMR_ERR_UNKNOWN);
        cursor = UINT64_MAX;
        assert_int_equal(f->port.ops->next_evidence(f->port.self, &got, &cursor), DSMR_ERR_UNKNOWN);
        fixture_reopen(f);
    }
}

static void bft_records_are_ordered_and_pruned(void **state)
{
    struct fixture *f = *state;
    struct dsmr_store_write prune = {.kind = DSMR_STORE_BFT_PRUNE};
    struct dsmr_store_write longest = {.kind = DSMR_STORE_BFT_PUT};
    uint8_t key[64];
    struct recovered *r;

    assert_int_equal(put_bft(f, "b", "2"), DSMR_OK);
    assert_int_equal(put_bft(f, "a", "1"), DSMR_OK);
    assert_int_equal(put_bft(f, "ab", "15"), DSMR_OK);
    assert_int_equal(put_bft(f, "b", "3"), DSMR_OK);
    memset(key, 'z', sizeof key);
    longest.u.bft.key = key;
    longest.u.bft.key_len = sizeof key;
    assert_int_equal(do_write(f, &longest), DSMR_OK); /* longest key, empty value */
    fixture_reopen(f);
    r = recover_all(f);
    assert_int_equal(r->bft_count, 4);
    assert_string_equal(r->bft[0][0], "a");
    assert_string_equal(r->bft[1][0], "ab");
    assert_string_equal(r->bft[1][1], "15");
    assert_string_equal(r->bft[2][0], "b");
    assert_string_equal(r->bft[2][1], "3");
    assert_string_equal(r->bft[3][1], "");
    free(r);
    prune.u.bft.key = (const uint8_t *)"b";
    prune.u.bft.key_len = 1;
    assert_int_equal(do_write(f, &prune), DSMR_OK);
    r = recover_all(f);
    assert_int_equal(r->bft_count, 2);
    assert_string_equal(r->bft[0][0], "b");
    free(r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(chunk_round_trip),
        TEST(chunk_sizes_at_the_edges_of_alignment),
        TEST(same_chunk_again_writes_no_second_body),
        TEST(second_chunk_of_a_slot_is_refused),
        TEST(conflict_within_one_group_is_refused),
        TEST(damaged_body_is_found_and_can_be_replaced),
        TEST(cert_is_replaced_by_a_heavier_one),
        TEST(evidence_is_kept_once_per_producer_and_epoch),
        TEST(evidence_gives_way),
        TEST(bft_records_are_ordered_and_pruned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
