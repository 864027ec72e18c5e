/* Every write and read of the store port, recovery, limits and refusals. */
#define _GNU_SOURCE
#include "unit/store/store_fixture.h"

#include <dirent.h>
#include <fcntl.h>

#include "base/bytes.h"
#include "store/lmdb_env.h"
#include "store/schema.h"
#include "store/store_state.h"

static size_t count_files(const struct fixture *f, const char *name)
{
    char path[512];
    size_t count = 0;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/%s", f->path, name);
    dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        count += e->d_name[0] != '.';
    }
    (void)closedir(dir);
    return count;
}

/* Bytes that the bodies' files take on the disk. */
static uint64_t bodies_on_disk(const struct fixture *f)
{
    char path[1024];
    uint64_t bytes = 0;
    struct stat st;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/chunks", f->path);
    dir = opendir(path);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            (void)snprintf(path, sizeof path, "%s/chunks/%s", f->path, e->d_name);
            assert_int_equal(stat(path, &st), 0);
            bytes += (uint64_t)st.st_blocks * 512;
        }
    }
    (void)closedir(dir);
    return bytes;
}

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

static char *only_segment(const struct fixture *f)
{
    char path[512];
    char *found = NULL;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/chunks", f->path);
    dir = opendir(path);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            assert_null(found);
            (void)snprintf(path, sizeof path, "%s/chunks/%s", f->path, e->d_name);
            found = strdup(path);
        }
    }
    (void)closedir(dir);
    assert_non_null(found);
    return found;
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

static void missing_or_short_bodies_are_not_recovered(void **state)
{
    struct fixture *f = *state;
    struct recovered *r;
    char *path;

    assert_int_equal(put_chunk(f, 1, 5000), DSMR_OK);
    assert_int_equal(put_chunk(f, 2, 5000), DSMR_OK);
    path = only_segment(f);
    assert_int_equal(truncate(path, 8192 + 4999), 0);
    fixture_reopen(f);
    r = recover_all(f);
    assert_true(recovered_has(r, 1));
    assert_false(recovered_has(r, 2));
    assert_int_equal(r->journals_count, 2); /* the promise stays */
    free(r);
    assert_int_equal(check_body(f, 2, 5000), DSMR_ERR_CORRUPT);
    assert_int_equal(unlink(path), 0);
    fixture_reopen(f);
    r = recover_all(f);
    assert_int_equal(r->chunks_count, 0);
    free(r);
    assert_int_equal(check_body(f, 1, 5000), DSMR_ERR_CORRUPT);
    free(path);
}

static void torn_tail_is_cut_at_open(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char *path;
    int fd;

    assert_int_equal(put_chunk(f, 1, 5000), DSMR_OK);
    path = only_segment(f);
    fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "torn", 4, 100000), 4);
    (void)close(fd);
    fixture_reopen(f);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 5000);
    assert_int_equal(check_body(f, 1, 5000), DSMR_OK);
    assert_int_equal(put_chunk(f, 2, 5000), DSMR_OK); /* in a new file */
    assert_int_equal(count_files(f, "chunks"), 2);
    free(path);
}

static void unknown_segment_file_is_removed_at_open(void **state)
{
    struct fixture *f = *state;
    char path[512];

    (void)snprintf(path, sizeof path, "%s/chunks/%016x.seg", f->path, 77u);
    (void)close(open(path, O_RDWR | O_CREAT, 0600));
    (void)snprintf(path, sizeof path, "%s/chunks/notes.txt", f->path);
    (void)close(open(path, O_RDWR | O_CREAT, 0600));
    fixture_reopen(f);
    assert_int_equal(count_files(f, "chunks"), 1); /* not ours: left alone */
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

/* ---- recovery, order, groups ---- */

static void recovery_keeps_its_order_and_stops_at_an_error(void **state)
{
    struct fixture *f = *state;
    struct recovered *r;

    assert_int_equal(put_bft(f, "k", "v"), DSMR_OK);
    assert_int_equal(put_cert(f, 1, 3), DSMR_OK);
    assert_int_equal(put_chunk(f, 1, 100), DSMR_OK);
    assert_int_equal(put_chunk(f, 2, 100), DSMR_OK);
    assert_int_equal(collect(f, 10, NULL, 0, false), DSMR_OK);
    fixture_reopen(f);
    r = recover_all(f);
    assert_string_equal(r->order, "FJJCCTB");
    free(r);
    struct dsmr_store_visitor none = {0};
    assert_int_equal(f->port.ops->recover(f->port.self, &none), DSMR_OK);
}

static enum dsmr_err refuse(void *ctx, const struct dsmr_store_chunk_meta *meta)
{
    (void)meta;
    ++*(int *)ctx;
    return DSMR_ERR_FULL;
}

static void visitor_error_ends_the_walk(void **state)
{
    struct fixture *f = *state;
    int calls = 0;
    struct dsmr_store_visitor visitor = {.ctx = &calls, .chunk = refuse};

    assert_int_equal(put_chunk(f, 1, 100), DSMR_OK);
    assert_int_equal(put_chunk(f, 2, 100), DSMR_OK);
    assert_int_equal(f->port.ops->recover(f->port.self, &visitor), DSMR_ERR_FULL);
    assert_int_equal(calls, 1);
}

static void many_writes_share_few_syncs_and_complete_in_order(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 2000 };
    struct chunk_write **chunks = calloc(COUNT, sizeof(struct chunk_write *));
    uint64_t syncs = dsmr_metrics_get(&f->metrics, DSMR_METRIC_DISK_SYNCS);

    for (uint64_t i = 0; i < COUNT; i++) {
        chunks[i] = chunk_new(i, 200);
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        send_write(f, &chunks[i]->write);
    }
    wait_all(f);
    syncs = dsmr_metrics_get(&f->metrics, DSMR_METRIC_DISK_SYNCS) - syncs;
    assert_true(syncs >= 3);
    assert_true(syncs < COUNT / 4);
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(chunks[i]->write.err, DSMR_OK);
        assert_ptr_equal(f->inbox->order[i], &chunks[i]->write.task);
        chunk_free(chunks[i]);
    }
    free(chunks);
}

static void close_finishes_what_was_queued(void **state)
{
    struct fixture *f = *state;
    struct chunk_write *chunks[300];

    for (uint64_t i = 0; i < 300; i++) {
        chunks[i] = chunk_new(i, 3000);
        send_write(f, &chunks[i]->write);
    }
    fixture_reopen(f);
    assert_int_equal(f->inbox->count, 300);
    for (uint64_t i = 0; i < 300; i++) {
        assert_int_equal(chunks[i]->write.err, DSMR_OK);
        assert_int_equal(check_body(f, i, 3000), DSMR_OK);
        chunk_free(chunks[i]);
    }
}

/* ---- opening ---- */

static void second_open_is_locked(void **state)
{
    struct fixture *f = *state;
    struct dsmr_lmdb_store *second = NULL;

    assert_int_equal(dsmr_lmdb_store_open(&second, &f->config), DSMR_ERR_LOCKED);
    assert_null(second);
    assert_int_equal(put_chunk(f, 1, 100), DSMR_OK);
    assert_int_equal(check_body(f, 1, 100), DSMR_OK);
}

static void put_raw(struct fixture *f, const void *key, size_t key_len, const void *value,
                    size_t value_len)
{
    struct dsmr_lmdb_env env;
    uint8_t k[128];
    uint8_t v[1024];
    MDB_val mk = {key_len, k}, mv = {value_len, v};
    MDB_txn *txn;
    char path[512];

    memcpy(k, key, key_len);
    memcpy(v, value, value_len);
    (void)snprintf(path, sizeof path, "%s/consensus", f->path);
    assert_int_equal(dsmr_lmdb_env_open(&env, path, 1u << 30, 0, 8, NULL), DSMR_OK);
    assert_int_equal(mdb_txn_begin(env.env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_put(txn, env.dbi, &mk, &mv, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    dsmr_lmdb_env_close(&env);
}

static void put_format(struct fixture *f, uint64_t format)
{
    struct dsmr_schema_key key;
    struct dsmr_wr wr;
    uint8_t bytes[64];

    dsmr_schema_key(&key, DSMR_SCHEMA_FORMAT_KEY);
    dsmr_schema_begin(&wr, bytes, sizeof bytes);
    dsmr_wr_u64(&wr, format);
    assert_true(dsmr_schema_seal(&wr, key.bytes, key.len));
    put_raw(f, key.bytes, key.len, bytes, wr.at);
}

static void newer_format_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put_chunk(f, 1, 100), DSMR_OK);
    dsmr_lmdb_store_close(f->store);
    f->store = NULL;
    put_format(f, DSMR_SCHEMA_FORMAT + 1);
    assert_int_equal(fixture_open(f), DSMR_ERR_NEWER_FORMAT);
    put_format(f, 0);
    assert_int_equal(fixture_open(f), DSMR_ERR_CORRUPT);
    put_raw(f, "F", 1, "garbage", 7);
    assert_int_equal(fixture_open(f), DSMR_ERR_CORRUPT);
    put_format(f, DSMR_SCHEMA_FORMAT);
    assert_int_equal(fixture_open(f), DSMR_OK);
    assert_int_equal(check_body(f, 1, 100), DSMR_OK);
}

static void damaged_records_are_reported(void **state)
{
    struct fixture *f = *state;
    struct dsmr_store_visitor visitor = {.ctx = NULL, .journal = on_journal};
    struct dsmr_schema_key key;
    struct dsmr_store_journal entry = {.slot = 4, .expiry_ms = 9};
    struct dsmr_store_chunk_meta meta;
    struct dsmr_cert cert;
    struct dsmr_id id = id_of(1);
    struct recovered *r;

    assert_int_equal(put_chunk(f, 2, 100), DSMR_OK);
    dsmr_lmdb_store_close(f->store);
    f->store = NULL;
    dsmr_schema_key_id(&key, DSMR_SCHEMA_CHUNK, &id);
    put_raw(f, key.bytes, key.len, "\1damaged", 8);
    dsmr_schema_key_id(&key, DSMR_SCHEMA_CERT, &id);
    put_raw(f, key.bytes, key.len, "", 0);
    assert_int_equal(fixture_open(f), DSMR_OK);
    assert_int_equal(f->port.ops->load_chunk_meta(f->port.self, &meta, &id), DSMR_ERR_CORRUPT);
    assert_int_equal(f->port.ops->load_cert(f->port.self, &cert, &id), DSMR_ERR_CORRUPT);
    assert_int_equal(check_body(f, 1, 100), DSMR_ERR_CORRUPT);
    r = recover_all(f);
    assert_int_equal(r->chunks_count, 1);
    assert_int_equal(r->certs_count, 0);
    free(r);
    assert_int_equal(put_chunk(f, 1, 100), DSMR_OK); /* written anew */
    assert_int_equal(check_body(f, 1, 100), DSMR_OK);
    dsmr_lmdb_store_close(f->store);
    f->store = NULL;
    /* A promise that cannot be read stops the start. */
    dsmr_schema_key_journal(&key, &entry);
    put_raw(f, key.bytes, key.len, "\1damaged", 8);
    assert_int_equal(fixture_open(f), DSMR_OK);
    assert_int_equal(f->port.ops->recover(f->port.self, &visitor), DSMR_ERR_CORRUPT);
}

static void unusable_directory_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct dsmr_lmdb_store_config config = f->config;
    struct dsmr_lmdb_store *store = NULL;

    config.directory = "/proc/no-such-directory/x";
    assert_int_equal(dsmr_lmdb_store_open(&store, &config), DSMR_ERR_IO);
    assert_null(store);
    assert_true(f->port.ops->disk_free_bytes(f->port.self) > 0);
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
        TEST(missing_or_short_bodies_are_not_recovered),
        TEST(torn_tail_is_cut_at_open),
        TEST(unknown_segment_file_is_removed_at_open),
        TEST(cert_is_replaced_by_a_heavier_one),
        TEST(evidence_is_kept_once_per_producer_and_epoch),
        TEST(evidence_gives_way),
        TEST(bft_records_are_ordered_and_pruned),
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
        TEST(recovery_keeps_its_order_and_stops_at_an_error),
        TEST(visitor_error_ends_the_walk),
        TEST(many_writes_share_few_syncs_and_complete_in_order),
        TEST(close_finishes_what_was_queued),
        TEST(second_open_is_locked),
        TEST(newer_format_is_refused_and_left_alone),
        TEST(damaged_records_are_reported),
        TEST(unusable_directory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
