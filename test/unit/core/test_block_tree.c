#include "core/block_tree.h"
#include "leaf_fixture.h"

/* A block by number, child of parent, with certs_count certificates numbered from cert on. */
static struct dsmr_block *block_of(uint64_t number, uint64_t parent, uint64_t time_ms,
                                   uint64_t cert, uint32_t certs_count)
{
    /* In one piece with its certificates, as the wire layer makes them. */
    struct dsmr_block *block = calloc(1, sizeof(*block) + certs_count * sizeof(*block->certs));
    assert_non_null(block);
    block->refs = 1;
    block->id = id_of(number);
    block->parent_id = id_of(parent);
    block->time_ms = time_ms;
    block->certs_count = certs_count;
    if (certs_count > 0) {
        block->certs = (struct dsmr_cert *)(block + 1);
        for (uint32_t i = 0; i < certs_count; i++) {
            block->certs[i].ref = ref_of(cert + i, 1, cert + i);
        }
    }
    return block;
}

static void add(struct dsmr_block_tree *tree, uint64_t number, uint64_t parent, uint64_t cert)
{
    struct dsmr_block *block = block_of(number, parent, number, cert, cert > 0 ? 1 : 0);
    assert_int_equal(dsmr_block_tree_add(tree, block), DSMR_OK);
    assert_int_equal(dsmr_block_tree_add(tree, block), DSMR_ERR_DUPLICATE);
    dsmr_block_unref(block);
    dsmr_block_tree_check(tree);
}

static bool is_used(const struct dsmr_block_tree *tree, uint64_t tip, uint64_t chunk, uint64_t slot)
{
    struct dsmr_id id = id_of(tip);
    struct dsmr_reference ref = ref_of(chunk, 1, slot);
    return dsmr_block_tree_is_used(tree, &id, &ref, 0);
}

/*   0 (accepted) -- 1 -- 2 -- 3
 *                   \--- 4        */
static struct dsmr_block_tree *small_tree(void)
{
    struct dsmr_block_tree *tree = dsmr_block_tree_new(8, 1);
    add(tree, 1, 0, 11);
    add(tree, 2, 1, 12);
    add(tree, 3, 2, 13);
    add(tree, 4, 1, 14);
    return tree;
}

static void test_looks_at_ancestors_only(void **state)
{
    (void)state;
    struct dsmr_block_tree *tree = small_tree();
    assert_true(is_used(tree, 3, 11, 11));
    assert_true(is_used(tree, 3, 13, 13));
    assert_true(is_used(tree, 3, 99, 12)); /* the slot alone */
    assert_true(is_used(tree, 3, 12, 99)); /* the id alone */
    assert_false(is_used(tree, 3, 14, 14));
    assert_true(is_used(tree, 4, 14, 14));
    assert_false(is_used(tree, 4, 12, 12));
    assert_false(is_used(tree, 0, 11, 11)); /* a tip outside the tree */
    struct dsmr_id tip = id_of(3);
    struct dsmr_reference ref = ref_of(11, 1, 11);
    assert_true(dsmr_block_tree_is_used(tree, &tip, &ref, 1));
    assert_false(dsmr_block_tree_is_used(tree, &tip, &ref, 2)); /* block 1 has time 1 */
    struct dsmr_id chunk = id_of(14);
    assert_true(dsmr_block_tree_names(tree, &chunk));
    chunk = id_of(15);
    assert_false(dsmr_block_tree_names(tree, &chunk));
    dsmr_block_tree_free(tree);
}

static void test_descends(void **state)
{
    (void)state;
    struct dsmr_block_tree *tree = small_tree();
    struct dsmr_id ids[6];
    for (uint64_t i = 0; i < 6; i++) {
        ids[i] = id_of(i);
    }
    assert_true(dsmr_block_tree_descends(tree, &ids[3], &ids[3]));
    assert_true(dsmr_block_tree_descends(tree, &ids[3], &ids[1]));
    assert_true(dsmr_block_tree_descends(tree, &ids[3], &ids[0])); /* parent of the highest */
    assert_false(dsmr_block_tree_descends(tree, &ids[3], &ids[4]));
    assert_false(dsmr_block_tree_descends(tree, &ids[1], &ids[3]));
    assert_true(dsmr_block_tree_descends(tree, &ids[5], &ids[5])); /* itself, though not there */
    assert_false(dsmr_block_tree_descends(tree, &ids[5], &ids[0]));
    dsmr_block_tree_free(tree);
}

static void test_prune_takes_what_lost(void **state)
{
    (void)state;
    struct dsmr_block_tree *tree = small_tree();
    add(tree, 5, 4, 15); /* on the branch that loses */
    add(tree, 6, 3, 0);
    struct dsmr_id accepted = id_of(1);
    struct dsmr_block *out[8];
    assert_true(dsmr_block_tree_remove(tree, &accepted));
    assert_false(dsmr_block_tree_remove(tree, &accepted));
    assert_int_equal(dsmr_block_tree_prune(tree, out, 8, &accepted), 0);
    accepted = id_of(2);
    assert_true(dsmr_block_tree_remove(tree, &accepted));
    /* One at a time: the root of the lost branch may go before its child. */
    uint32_t taken = 0;
    while (dsmr_block_tree_prune(tree, out, 1, &accepted) == 1) {
        assert_true(dsmr_load_be64(out[0]->id.bytes) == 4 || dsmr_load_be64(out[0]->id.bytes) == 5);
        assert_int_equal(out[0]->refs, 1);
        dsmr_block_unref(out[0]);
        taken++;
        dsmr_block_tree_check(tree);
    }
    assert_int_equal(taken, 2);
    assert_int_equal(dsmr_block_tree_count(tree), 2);
    struct dsmr_id kept = id_of(6);
    assert_non_null(dsmr_block_tree_find(tree, &kept));
    dsmr_block_tree_free(tree);
}

static void test_prune_with_the_accepted_block_still_inside(void **state)
{
    (void)state;
    struct dsmr_block_tree *tree = small_tree();
    struct dsmr_id accepted = id_of(2);
    struct dsmr_block *out[8];
    uint32_t taken = dsmr_block_tree_prune(tree, out, 8, &accepted);
    assert_int_equal(taken, 2); /* 1, above it, and 4, beside it */
    for (uint32_t i = 0; i < taken; i++) {
        uint64_t number = dsmr_load_be64(out[i]->id.bytes);
        assert_true(number == 1 || number == 4);
        dsmr_block_unref(out[i]);
    }
    dsmr_block_tree_check(tree);
    dsmr_block_tree_free(tree);
}

static void test_limit_and_references(void **state)
{
    (void)state;
    struct dsmr_block_tree *tree = dsmr_block_tree_new(2, 1);
    struct dsmr_block *a = block_of(1, 0, 1, 100, 50);
    struct dsmr_block *b = block_of(2, 1, 1, 0, 0);
    struct dsmr_block *c = block_of(3, 2, 1, 0, 0);
    assert_int_equal(dsmr_block_tree_add(tree, a), DSMR_OK);
    assert_int_equal(dsmr_block_tree_add(tree, b), DSMR_OK);
    assert_int_equal(dsmr_block_tree_add(tree, c), DSMR_ERR_FULL);
    assert_int_equal(a->refs, 2);
    assert_int_equal(c->refs, 1);
    assert_ptr_equal(dsmr_block_tree_find(tree, &a->id), a);
    for (uint64_t i = 100; i < 150; i++) {
        assert_true(is_used(tree, 2, i, i));
    }
    assert_true(dsmr_block_tree_remove(tree, &a->id));
    assert_int_equal(a->refs, 1);
    assert_int_equal(dsmr_block_tree_add(tree, c), DSMR_OK);
    dsmr_block_tree_free(tree);
    dsmr_block_tree_free(NULL);
    dsmr_block_unref(a);
    dsmr_block_unref(b);
    dsmr_block_unref(c);
}

/* Ids that form a circle cannot come from hashes; the walks end all the same. */
static void test_walks_end_in_a_circle(void **state)
{
    (void)state;
    struct dsmr_block_tree *tree = dsmr_block_tree_new(4, 1);
    add(tree, 1, 2, 11);
    add(tree, 2, 1, 12);
    struct dsmr_id tip = id_of(1);
    struct dsmr_id other = id_of(9);
    assert_false(is_used(tree, 1, 13, 13));
    assert_false(dsmr_block_tree_descends(tree, &tip, &other));
    struct dsmr_block *out[4];
    assert_int_equal(dsmr_block_tree_prune(tree, out, 4, &other), 2);
    dsmr_block_unref(out[0]);
    dsmr_block_unref(out[1]);
    dsmr_block_tree_free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_looks_at_ancestors_only),
        cmocka_unit_test(test_descends),
        cmocka_unit_test(test_prune_takes_what_lost),
        cmocka_unit_test(test_prune_with_the_accepted_block_still_inside),
        cmocka_unit_test(test_limit_and_references),
        cmocka_unit_test(test_walks_end_in_a_circle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
