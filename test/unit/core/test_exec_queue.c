/* The queue of accepted blocks: how much of it is in memory, in what order, and what it refuses. */
#include "core/exec_queue.h"
#include "leaf_fixture.h"
#include "wire/codec.h"

enum { RING = 4 };

static struct dsmr_params params(void)
{
    struct dsmr_params params;
    dsmr_params_default(&params);
    return params;
}

/* Block height on parent with certs certificates of 5000 bytes each. */
static struct dsmr_block *block_on(const struct dsmr_id *parent_id, uint64_t height, uint32_t certs)
{
    struct dsmr_params chain = params();
    struct dsmr_cert list[3];
    memset(list, 0, sizeof(list));
    for (uint32_t i = 0; i < certs; i++) {
        list[i].ref = ref_of(height * 10 + i, i, height);
        list[i].signers.words[0] = 7;
    }
    struct dsmr_block fields = {.parent_id = *parent_id,
                                .height = height,
                                .time_ms = height * 1000,
                                .certs = list,
                                .certs_count = certs};
    struct dsmr_block *block = NULL;
    assert_int_equal(dsmr_block_build(&block, &chain, &fields), DSMR_OK);
    return block;
}

struct chain { /* blocks 1 .. LENGTH, each with one certificate */
    struct dsmr_block *blocks[21];
};
enum { LENGTH = 20 };

static void make_chain(struct chain *chain)
{
    struct dsmr_id none = {{0}};
    for (uint64_t h = 1; h <= LENGTH; h++) {
        chain->blocks[h] = block_on(h == 1 ? &none : &chain->blocks[h - 1]->id, h, 1);
    }
}

static void free_chain(struct chain *chain)
{
    for (uint64_t h = 1; h <= LENGTH; h++) {
        dsmr_block_unref(chain->blocks[h]);
    }
}

static void push_all(struct dsmr_exec_queue *queue, const struct chain *chain)
{
    for (uint64_t h = 1; h <= LENGTH; h++) {
        struct dsmr_exec_block *item = dsmr_exec_queue_push(queue, chain->blocks[h]);
        assert_true((item != NULL) == (h <= RING));
        dsmr_exec_queue_check(queue);
    }
}

/* Executes the oldest: as the flows do it, without bodies. */
static void execute_one(struct dsmr_exec_queue *queue)
{
    struct dsmr_exec_block *item = dsmr_exec_queue_at(queue, 0);
    while (queue->window_count == 0) {
        assert_int_equal(dsmr_exec_queue_open(queue), DSMR_OK);
    }
    item->state = DSMR_EXEC_ASSEMBLED;
    queue->executing++;
    dsmr_exec_queue_pop(queue);
    dsmr_exec_queue_check(queue);
}

static void load_all(struct dsmr_exec_queue *queue, const struct chain *chain)
{
    dsmr_exec_queue_make_room(queue);
    for (uint32_t i = queue->count; i-- > 0;) { /* the last first: answers come in any order */
        struct dsmr_exec_block *item = dsmr_exec_queue_at(queue, i);
        if (item->state == DSMR_EXEC_UNREAD) {
            item->state = DSMR_EXEC_LOADING;
            assert_int_equal(dsmr_exec_queue_fill(queue, item, chain->blocks[item->height]),
                             DSMR_OK);
            dsmr_exec_queue_check(queue);
        }
    }
}

static void test_only_a_few_are_in_memory(void **state)
{
    (void)state;
    struct chain chain;
    struct dsmr_exec_queue queue;
    make_chain(&chain);
    assert_true(dsmr_exec_queue_init(&queue, RING));
    assert_int_equal(dsmr_exec_queue_length(&queue), 0);
    push_all(&queue, &chain);
    assert_int_equal(dsmr_exec_queue_length(&queue), LENGTH);
    assert_int_equal(queue.count, RING);
    assert_int_equal(queue.backlog_bytes, LENGTH * 5000);
    assert_non_null(dsmr_exec_queue_find(&queue, RING));
    assert_null(dsmr_exec_queue_find(&queue, RING + 1));
    assert_null(dsmr_exec_queue_find(&queue, 0));
    for (uint64_t h = RING + 1; h <= LENGTH; h++) { /* nobody else holds what is not read yet */
        assert_int_equal(atomic_load(&chain.blocks[h]->refs), 1);
    }
    dsmr_exec_queue_close(&queue);
    free_chain(&chain);
}

static void test_what_is_durable_comes_back_in_order(void **state)
{
    (void)state;
    struct chain chain;
    struct dsmr_exec_queue queue;
    make_chain(&chain);
    assert_true(dsmr_exec_queue_init(&queue, RING));
    push_all(&queue, &chain);
    queue.durable_height = 9;
    for (uint64_t h = 1; h <= 9; h++) {
        load_all(&queue, &chain);
        assert_int_equal(dsmr_exec_queue_at(&queue, 0)->height, h);
        execute_one(&queue);
    }
    dsmr_exec_queue_make_room(&queue); /* the next one could not be read yet */
    assert_int_equal(queue.count, 0);
    assert_int_equal(dsmr_exec_queue_length(&queue), LENGTH - 9);
    assert_null(dsmr_exec_queue_next(&queue));
    queue.durable_height = LENGTH;
    while (dsmr_exec_queue_length(&queue) > 0) {
        load_all(&queue, &chain);
        execute_one(&queue);
    }
    assert_int_equal(queue.backlog_bytes, 0);
    dsmr_exec_queue_close(&queue);
    free_chain(&chain);
}

static void test_a_block_behind_unread_ones_waits_on_disk_too(void **state)
{
    (void)state;
    struct chain chain;
    struct dsmr_exec_queue queue;
    make_chain(&chain);
    assert_true(dsmr_exec_queue_init(&queue, RING));
    for (uint64_t h = 1; h <= RING + 1; h++) {
        (void)dsmr_exec_queue_push(&queue, chain.blocks[h]);
    }
    execute_one(&queue);
    assert_null(dsmr_exec_queue_push(&queue, chain.blocks[RING + 2])); /* there is room, but 5 */
    dsmr_exec_queue_check(&queue);
    dsmr_exec_queue_close(&queue);
    free_chain(&chain);
}

static void test_another_block_is_not_taken(void **state)
{
    (void)state;
    struct chain chain;
    struct dsmr_exec_queue queue;
    make_chain(&chain);
    assert_true(dsmr_exec_queue_init(&queue, 1));
    for (uint64_t h = 1; h <= 3; h++) {
        (void)dsmr_exec_queue_push(&queue, chain.blocks[h]);
    }
    queue.durable_height = 3;
    execute_one(&queue);
    dsmr_exec_queue_make_room(&queue);
    struct dsmr_exec_block *item = dsmr_exec_queue_at(&queue, 0);
    item->state = DSMR_EXEC_LOADING;
    /* Another height. More bytes than all that is unread. The right height on another parent. */
    assert_int_equal(dsmr_exec_queue_fill(&queue, item, chain.blocks[3]), DSMR_ERR_CORRUPT);
    struct dsmr_block *large = block_on(&chain.blocks[1]->id, 2, 3);
    assert_int_equal(dsmr_exec_queue_fill(&queue, item, large), DSMR_ERR_CORRUPT);
    struct dsmr_block *other = block_on(&chain.blocks[3]->id, 2, 1);
    assert_int_equal(dsmr_exec_queue_fill(&queue, item, other), DSMR_OK);
    assert_int_equal(dsmr_exec_queue_open(&queue), DSMR_ERR_CORRUPT);
    assert_int_equal(queue.window_count, 0);
    dsmr_block_unref(large);
    dsmr_block_unref(other);
    dsmr_exec_queue_close(&queue);
    free_chain(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_a_few_are_in_memory),
        cmocka_unit_test(test_what_is_durable_comes_back_in_order),
        cmocka_unit_test(test_a_block_behind_unread_ones_waits_on_disk_too),
        cmocka_unit_test(test_another_block_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
