/* test_sim_disk.c - the simulator's disk does what a disk may do, and no more: groups of which a
 * part is refused, whole groups that are, groups that fail in the middle, bodies that cannot be
 * read for a while or for good, commits of the state that fail done or not, and a disk that is
 * slow. */
#include "history.h"

#include "sim/sim_run.h"

#define CHUNKS 40u

extern const struct dsmr_sim_checker_ops dsmr_sim_check_agreement;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_availability;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_shares;

/* ---- one store, without a network ---- */

struct disk {
    struct dsmr_sim_store *store;
    struct dsmr_store port;
    struct dsmr_prng prng;
    struct dsmr_sim_disk_counts counts;
    struct dsmr_store_chunk_meta metas[CHUNKS];
    struct dsmr_store_write writes[2 * CHUNKS];
    uint32_t count;            /* of writes */
    uint32_t durable;          /* told */
    uint8_t body[CHUNKS], key; /* of the engine's records */
};

static void disk_begin(struct disk *disk, uint64_t seed)
{
    memset(disk, 0, sizeof(*disk));
    disk->store = dsmr_sim_store_new();
    disk->port = dsmr_sim_store_port(disk->store);
    dsmr_sim_store_set_counts(disk->store, &disk->counts);
    dsmr_prng_init(&disk->prng, seed);
    for (uint32_t i = 0; i < CHUNKS; i++) {
        dsmr_store_be32(disk->metas[i].ref.chunk_id.bytes + 28, i);
        disk->metas[i].ref.chunk_id.bytes[0] = (uint8_t)i;
        disk->metas[i].ref.slot = i;
        disk->metas[i].included_height = UINT64_MAX;
        disk->body[i] = (uint8_t)(100 + i);
    }
}

static bool queued(void *ctx)
{
    (void)ctx;
    return true;
}

static struct dsmr_store_write *write_of(struct disk *disk, enum dsmr_store_kind kind)
{
    DSMR_ASSERT(disk->count < 2 * CHUNKS);
    struct dsmr_store_write *write = &disk->writes[disk->count++];
    memset(write, 0, sizeof(*write));
    write->kind = kind;
    return write;
}

static void queue(struct disk *disk, struct dsmr_store_write *write)
{
    disk->port.ops->write(disk->port.self, write);
}

static struct dsmr_store_write *put_chunk(struct disk *disk, uint32_t i)
{
    struct dsmr_store_write *write = write_of(disk, DSMR_STORE_CHUNK);
    write->u.chunk.meta = &disk->metas[i];
    write->u.chunk.bytes = &disk->body[i];
    write->u.chunk.len = 1;
    queue(disk, write);
    return write;
}

static struct dsmr_store_write *put_record(struct disk *disk)
{
    struct dsmr_store_write *write = write_of(disk, DSMR_STORE_BFT_PUT);
    write->u.bft.key = write->u.bft.value = &disk->key;
    write->u.bft.key_len = write->u.bft.value_len = 1;
    queue(disk, write);
    return write;
}

static void on_durable(void *ctx, const struct dsmr_store_write *write)
{
    (void)write;
    ((struct disk *)ctx)->durable++;
}

/* One group: what was queued. */
static void sync(struct disk *disk)
{
    bool has_more = true;
    (void)dsmr_sim_store_begin_sync(disk->store);
    (void)dsmr_sim_store_end_sync(disk->store, &disk->prng, on_durable, disk, &has_more);
    assert_false(has_more);
}

static void forget_writes(struct disk *disk)
{
    disk->count = disk->durable = 0;
}

static bool has(const struct disk *disk, uint32_t i)
{
    return dsmr_sim_store_has_chunk(disk->store, &disk->metas[i].ref.chunk_id);
}

static enum dsmr_err read_body(struct disk *disk, uint32_t i)
{
    struct dsmr_buf *bytes = NULL;
    enum dsmr_err err =
        disk->port.ops->load_chunk(disk->port.self, &bytes, &disk->metas[i].ref.chunk_id);
    if (err == DSMR_OK) {
        assert_int_equal(bytes->bytes[0], disk->body[i]);
    }
    dsmr_buf_unref(bytes);
    return err;
}

static void next_life(struct disk *disk)
{
    (void)dsmr_sim_store_crash(disk->store, &disk->prng, on_durable, disk);
}

/* Little room: some bodies of the group are refused, and what stands around them is written. */
static void test_a_part_of_a_group_is_refused(void **state)
{
    (void)state;
    struct disk disk;
    uint32_t refused = 0, after = 0; /* durable behind one that was refused */
    disk_begin(&disk, 1);
    dsmr_sim_store_on_queued(disk.store, queued, NULL);
    dsmr_sim_store_set_state(disk.store, DSMR_SIM_DISK_TIGHT);
    for (uint32_t i = 0; i < CHUNKS; i++) {
        put_chunk(&disk, i);
        put_record(&disk);
    }
    sync(&disk);
    for (uint32_t i = 0; i < CHUNKS; i++) {
        enum dsmr_err err = disk.writes[2 * i].err;
        assert_true(err == DSMR_OK || err == DSMR_ERR_DISK_FULL);
        assert_int_equal(has(&disk, i), err == DSMR_OK);
        assert_int_equal(disk.writes[2 * i + 1].err, DSMR_OK);
        refused += err != DSMR_OK;
        after += err == DSMR_OK && refused > 0;
    }
    assert_in_range(refused, 1, CHUNKS - 1);
    assert_true(after > 0);
    assert_int_equal(disk.durable, 2 * CHUNKS - refused);
    assert_int_equal(disk.counts.parted, 1);
    assert_true(disk.port.ops->disk_free_bytes(disk.port.self) > 0); /* nothing warns the node */
    /* What is here needs no room; the others are written once there is some. */
    forget_writes(&disk);
    for (uint32_t i = 0; i < CHUNKS; i++) {
        put_chunk(&disk, i)->err = DSMR_ERR_CLOSED;
    }
    bool was_here[CHUNKS];
    for (uint32_t i = 0; i < CHUNKS; i++) {
        was_here[i] = has(&disk, i);
    }
    sync(&disk);
    for (uint32_t i = 0; i < CHUNKS; i++) {
        assert_true(!was_here[i] || disk.writes[i].err == DSMR_OK);
    }
    dsmr_sim_store_free(disk.store);
}

/* No pages for the records: of such a group nothing is written but the collection, and the next
 * group may be. */
static void test_a_whole_group_is_refused(void **state)
{
    (void)state;
    struct disk disk;
    uint32_t whole = 0, not_whole = 0;
    disk_begin(&disk, 2);
    dsmr_sim_store_on_queued(disk.store, queued, NULL);
    dsmr_sim_store_set_state(disk.store, DSMR_SIM_DISK_PATCHY);
    for (uint32_t i = 0; i < 500; i++) {
        forget_writes(&disk);
        struct dsmr_store_write *first = put_record(&disk);
        struct dsmr_store_write *gc = write_of(&disk, DSMR_STORE_GC);
        queue(&disk, gc);
        struct dsmr_store_write *last = put_record(&disk);
        sync(&disk);
        assert_int_equal(gc->err, DSMR_OK);
        assert_int_equal(first->err, last->err);
        assert_int_equal(disk.durable, first->err == DSMR_OK ? 3 : 1);
        whole += first->err == DSMR_ERR_DISK_FULL;
        not_whole += first->err == DSMR_OK;
    }
    assert_int_equal(whole + not_whole, 500);
    assert_true(whole > 2 && not_whole > 400);
    dsmr_sim_store_free(disk.store);
}

static struct dsmr_store_write *put_block(struct disk *disk, const struct dsmr_block *block)
{
    struct dsmr_store_write *write = write_of(disk, DSMR_STORE_ACCEPT);
    write->u.accept.block = block;
    queue(disk, write);
    return write;
}

/* A block above one that found no room is refused for the same reason; above a gap that the disk
 * knows nothing of, for another one. */
static void test_a_block_above_a_refused_one(void **state)
{
    (void)state;
    struct history h;
    struct dsmr_block *blocks[3];
    struct disk disk;
    history_begin(&h, &dsmr_sim_check_agreement);
    for (uint32_t i = 0; i < 3; i++) {
        struct dsmr_block fields = fields_of(&h, DSMR_SIM_START_MS + 100 * (i + 1), NULL, 0);
        blocks[i] = build(&h, &fields);
        dsmr_block_unref(h.tip);
        h.tip = dsmr_block_ref(blocks[i]);
    }
    disk_begin(&disk, 3);
    dsmr_sim_store_on_queued(disk.store, queued, NULL);
    struct dsmr_store_write *gap = put_block(&disk, blocks[1]);
    sync(&disk);
    assert_int_equal(gap->err, DSMR_ERR_HALTED);
    dsmr_sim_store_set_state(disk.store, DSMR_SIM_DISK_FULL);
    struct dsmr_store_write *refused = put_block(&disk, blocks[0]);
    sync(&disk);
    dsmr_sim_store_set_state(disk.store, DSMR_SIM_DISK_OK);
    struct dsmr_store_write *above = put_block(&disk, blocks[1]);
    sync(&disk);
    assert_int_equal(refused->err, DSMR_ERR_DISK_FULL);
    assert_int_equal(above->err, DSMR_ERR_DISK_FULL);
    struct dsmr_store_write *again = put_block(&disk, blocks[0]);
    gap = put_block(&disk, blocks[2]);
    sync(&disk);
    assert_int_equal(again->err, DSMR_OK);
    assert_int_equal(gap->err, DSMR_ERR_HALTED);
    for (uint32_t i = 0; i < 3; i++) {
        dsmr_block_unref(blocks[i]);
    }
    dsmr_sim_store_free(disk.store);
    history_end(&h);
}

/* An error: the first few of the group may be durable, all are answered with it, and nothing is
 * written any more until the next life. */
static void test_a_group_fails_in_the_middle(void **state)
{
    (void)state;
    uint32_t middles = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct disk disk;
        uint32_t good = 0;
        disk_begin(&disk, seed);
        dsmr_sim_store_on_queued(disk.store, queued, NULL);
        dsmr_sim_store_set_state(disk.store, DSMR_SIM_DISK_EIO);
        for (uint32_t i = 0; i < 8; i++) {
            put_chunk(&disk, i);
        }
        sync(&disk);
        while (good < 8 && has(&disk, good)) {
            good++;
        }
        for (uint32_t i = 0; i < 8; i++) {
            assert_int_equal(disk.writes[i].err, DSMR_ERR_IO);
            assert_int_equal(has(&disk, i), i < good);
        }
        assert_int_equal(disk.durable, good);
        middles += good > 0 && good < 8;
        struct dsmr_store_write *next = put_chunk(&disk, 9);
        sync(&disk);
        assert_int_equal(next->err, DSMR_ERR_IO);
        assert_false(has(&disk, 9));
        next_life(&disk);
        next = put_chunk(&disk, 9);
        sync(&disk);
        assert_int_equal(next->err, DSMR_OK);
        dsmr_sim_store_free(disk.store);
    }
    assert_true(middles > 5);
}

/* Half of the bodies, for a while: none is lost. */
static void test_bodies_that_cannot_be_read_for_a_while(void **state)
{
    (void)state;
    struct disk disk;
    uint32_t failed = 0;
    disk_begin(&disk, 4);
    dsmr_sim_store_on_queued(disk.store, queued, NULL);
    for (uint32_t i = 0; i < CHUNKS - 1; i++) {
        put_chunk(&disk, i);
    }
    sync(&disk);
    dsmr_sim_store_set_state(disk.store, DSMR_SIM_DISK_UNREADABLE);
    for (uint32_t i = 0; i < CHUNKS - 1; i++) {
        enum dsmr_err err = read_body(&disk, i);
        assert_true(err == DSMR_OK || err == DSMR_ERR_IO);
        failed += err == DSMR_ERR_IO;
    }
    assert_in_range(failed, 10, CHUNKS - 10);
    assert_int_equal(read_body(&disk, CHUNKS - 1), DSMR_ERR_UNKNOWN); /* never was here */
    assert_int_equal(disk.counts.unread, failed);
    dsmr_sim_store_set_state(disk.store, DSMR_SIM_DISK_OK);
    for (uint32_t i = 0; i < CHUNKS - 1; i++) {
        assert_int_equal(read_body(&disk, i), DSMR_OK);
    }
    dsmr_sim_store_free(disk.store);
}

/* For good: its record stays, a restart does not help, writing it again does. */
static void test_a_damaged_body(void **state)
{
    (void)state;
    struct disk disk;
    const struct dsmr_mem_disk *mem;
    struct dsmr_store_chunk_meta meta;
    disk_begin(&disk, 5);
    dsmr_sim_store_on_queued(disk.store, queued, NULL);
    put_chunk(&disk, 0);
    put_chunk(&disk, 1);
    sync(&disk);
    mem = dsmr_sim_store_disk(disk.store);
    const struct dsmr_id *wrong = &disk.metas[0].ref.chunk_id;
    const struct dsmr_id *unreadable = &disk.metas[1].ref.chunk_id;
    dsmr_sim_store_damage(disk.store, wrong, DSMR_ERR_CORRUPT);
    dsmr_sim_store_damage(disk.store, unreadable, DSMR_ERR_IO);
    assert_int_equal(disk.counts.damaged, 2);
    assert_true(has(&disk, 0));
    assert_false(dsmr_mem_disk_can_read(mem, wrong));
    assert_false(dsmr_mem_disk_was_damaged(mem, wrong)); /* its bytes may be in memory */
    next_life(&disk);
    assert_true(dsmr_mem_disk_was_damaged(mem, wrong));
    assert_int_equal(read_body(&disk, 0), DSMR_ERR_CORRUPT);
    assert_int_equal(read_body(&disk, 1), DSMR_ERR_IO);
    assert_int_equal(disk.port.ops->load_chunk_meta(disk.port.self, &meta, wrong), DSMR_OK);
    put_chunk(&disk, 0);
    sync(&disk);
    assert_int_equal(read_body(&disk, 0), DSMR_OK);
    assert_true(dsmr_mem_disk_can_read(mem, wrong));
    assert_false(dsmr_mem_disk_was_damaged(mem, wrong));
    assert_int_equal(read_body(&disk, 1), DSMR_ERR_IO);
    dsmr_sim_store_free(disk.store);
}

/* ---- the state's database ---- */

static uint64_t count_after_commit(struct dsmr_sim_kv *kv, enum dsmr_err *err, uint8_t key)
{
    struct dsmr_kv port = dsmr_sim_kv_port(kv);
    struct dsmr_kv_txn *txn = NULL;
    const uint8_t *value;
    size_t len;
    uint64_t count = 0;
    *err = port.ops->begin(port.self, &txn, true);
    if (*err == DSMR_OK) {
        assert_int_equal(port.ops->put(port.self, txn, &key, 1, &key, 1), DSMR_OK);
        *err = port.ops->commit(port.self, txn);
    }
    assert_int_equal(port.ops->begin(port.self, &txn, false), DSMR_OK);
    for (uint8_t k = 1; k < 10; k++) {
        count += port.ops->get(port.self, txn, &k, 1, &value, &len) == DSMR_OK;
    }
    port.ops->abort(port.self, txn);
    return count;
}

static void test_the_state_cannot_be_committed(void **state)
{
    (void)state;
    uint32_t done = 0;
    enum dsmr_err err;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct dsmr_prng prng;
        struct dsmr_kv_mem *mem = dsmr_kv_mem_new();
        struct dsmr_sim_kv kv = {.inner = dsmr_kv_mem_port(mem), .prng = &prng};
        dsmr_prng_init(&prng, seed);
        assert_int_equal(count_after_commit(&kv, &err, 1), 1);
        assert_int_equal(err, DSMR_OK);
        kv.state = DSMR_SIM_DISK_FULL; /* not done, and may be tried again */
        assert_int_equal(count_after_commit(&kv, &err, 2), 1);
        assert_int_equal(err, DSMR_ERR_DISK_FULL);
        kv.state = DSMR_SIM_DISK_EIO; /* done or not; then nothing is begun */
        uint64_t count = count_after_commit(&kv, &err, 2);
        assert_int_equal(err, DSMR_ERR_IO);
        assert_in_range(count, 1, 2);
        done += count == 2;
        assert_true(dsmr_sim_kv_is_bad(&kv));
        assert_int_equal(count_after_commit(&kv, &err, 3), count);
        assert_int_equal(err, DSMR_ERR_IO);
        dsmr_sim_kv_restarted(&kv);
        assert_int_equal(count_after_commit(&kv, &err, 3), count + 1);
        assert_int_equal(err, DSMR_OK);
        dsmr_kv_mem_free(mem);
    }
    assert_in_range(done, 3, 17);
}

/* ---- a network ---- */

static void to_all(struct history *h, const struct dsmr_chunk *chunk, uint32_t nodes)
{
    for (uint32_t i = 0; i < nodes; i++) {
        hold(h, i, chunk, true);
    }
}

static uint32_t count_servers(const struct history *h, const struct dsmr_chunk *chunk)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        count += dsmr_sim_check_can_serve(h->sim, i, &chunk->ref.chunk_id);
    }
    return count;
}

/* However often bodies are damaged, honest nodes of more than a third can serve each without the
 * one that may lose its disk; and what only so many have is left alone. */
static void test_damage_spares_what_others_need(void **state)
{
    (void)state;
    struct history h;
    history_begin(&h, &dsmr_sim_check_availability);
    struct dsmr_chunk *wide = chunk_of(&h, 0, SLOT, 1);
    struct dsmr_chunk *narrow = chunk_of(&h, 0, SLOT + 1, 2);
    to_all(&h, wide, 4);
    to_all(&h, narrow, 3);
    for (uint32_t i = 0; i < 400; i++) {
        (void)dsmr_sim_damage(h.sim, i % NODES, 0, 100);
    }
    /* Of four, two besides node 0; and of the narrow one nodes 1 and 2 are all there are. */
    assert_false(dsmr_sim_check_can_serve(h.sim, 0, &wide->ref.chunk_id));
    assert_int_equal(count_servers(&h, wide), 2);
    assert_true(dsmr_sim_check_can_serve(h.sim, 1, &narrow->ref.chunk_id));
    assert_true(dsmr_sim_check_can_serve(h.sim, 2, &narrow->ref.chunk_id));
    dsmr_chunk_unref(wide);
    dsmr_chunk_unref(narrow);
    history_end(&h);
}

/* What cannot be served counts as lost; a share for it, in a life that has never had it in memory,
 * is a breach. */
static void test_checkers_know_of_damage(void **state)
{
    (void)state;
    struct history h;
    history_begin(&h, &dsmr_sim_check_shares);
    extend(&h, DSMR_SIM_START_MS + 1, NULL, 0);
    for (uint32_t i = 0; i < NODES; i++) {
        h.sim->nodes[i].latest_ms = DSMR_SIM_START_MS + 1000000;
    }
    struct dsmr_chunk *chunk = chunk_of(&h, 1, SLOT + 1, 1);
    struct dsmr_msg msg = {.type = DSMR_MSG_CHUNK_SIGNATURE, .u.chunk_signature.ref = chunk->ref};
    to_all(&h, chunk, 4);
    for (uint32_t i = 0; i < 40; i++) { /* each body by the toss of a coin */
        (void)dsmr_sim_damage(h.sim, 0, UINT32_MAX, 1);
    }
    assert_int_equal(count_servers(&h, chunk), 3);
    h.ops->sent(h.self, h.sim, 0, 1, &msg);
    history_is_right(&h);
    restart(&h, 0, false);
    h.ops->sent(h.self, h.sim, 0, 1, &msg);
    history_breaks(&h, "6.8");
    dsmr_chunk_unref(chunk);
    history_end(&h);
}

static uint64_t disk_us_of(enum dsmr_sim_disk state)
{
    struct dsmr_sim_config config = {.seed = 3, .nodes = NODES};
    struct dsmr_sim *sim = dsmr_sim_new(&config);
    struct dsmr_sim_usage usage;
    dsmr_sim_set_disk(sim, 0, state);
    dsmr_sim_pass(sim, 10 * DSMR_SIM_SECOND_US);
    assert_string_equal(dsmr_sim_failure(sim), "");
    dsmr_sim_usage(sim, 0, &usage);
    dsmr_sim_free(sim);
    return usage.disk_us;
}

static void test_a_slow_disk(void **state)
{
    (void)state;
    assert_true(disk_us_of(DSMR_SIM_DISK_SLOW) > 3 * disk_us_of(DSMR_SIM_DISK_OK));
}

/* A run has all of them, is the same twice, and says what it had. */
static void test_a_run_has_them_all(void **state)
{
    (void)state;
    struct dsmr_sim_run_config config = {.fault_us = 30 * DSMR_SIM_SECOND_US,
                                         .profile = dsmr_sim_profile_find("disk")};
    struct dsmr_sim_run_result *first = malloc(sizeof(*first)), *second = malloc(sizeof(*second));
    uint32_t counts[DSMR_SIM_FAULT_KINDS] = {0};
    struct dsmr_sim_disk_counts sum = {.parted = 0};
    assert_true(first != NULL && second != NULL);
    for (config.seed = 1; config.seed <= 4; config.seed++) {
        dsmr_sim_run_one(&config, first);
        assert_string_equal(first->failure, "");
        for (int i = 0; i < DSMR_SIM_FAULT_KINDS; i++) {
            counts[i] += first->faults[i];
        }
        sum.parted += first->disks.parted;
        sum.unread += first->disks.unread;
        sum.damaged += first->disks.damaged;
    }
    for (int i = DSMR_SIM_FAULT_MORE; i <= DSMR_SIM_FAULT_STATE_FULL; i++) {
        assert_true(counts[i] > 0);
    }
    assert_true(sum.parted > 0 && sum.unread > 0 && sum.damaged > 0);
    config.seed--;
    dsmr_sim_run_one(&config, second);
    assert_int_equal(first->hash, second->hash);
    free(first);
    free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_part_of_a_group_is_refused),
        cmocka_unit_test(test_a_whole_group_is_refused),
        cmocka_unit_test(test_a_block_above_a_refused_one),
        cmocka_unit_test(test_a_group_fails_in_the_middle),
        cmocka_unit_test(test_bodies_that_cannot_be_read_for_a_while),
        cmocka_unit_test(test_a_damaged_body),
        cmocka_unit_test(test_the_state_cannot_be_committed),
        cmocka_unit_test(test_damage_spares_what_others_need),
        cmocka_unit_test(test_checkers_know_of_damage),
        cmocka_unit_test(test_a_slow_disk),
        cmocka_unit_test(test_a_run_has_them_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
