#include "core/block_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/map.h"
#include "core/slot_key.h"

struct node {
    struct dsmr_block *block; /* NULL: free */
    struct dsmr_map *ids;     /* its chunk ids; NULL: it has no certificates */
    struct dsmr_map *keys;    /* its (producer, slot)s */
};

struct dsmr_block_tree {
    uint32_t blocks_max;
    uint32_t count;
    uint64_t seed;
    struct dsmr_map *by_id; /* struct dsmr_id -> uint32_t place in nodes */
    struct node *nodes;
    uint8_t *marks; /* of each node during a prune */
};

enum { MARK_NONE, MARK_KEEP, MARK_DROP };

struct dsmr_block_tree *dsmr_block_tree_new(uint32_t blocks_max, uint64_t seed)
{
    struct dsmr_block_tree *tree = calloc(1, sizeof(*tree));
    if (tree == NULL) {
        return NULL;
    }
    size_t room = blocks_max > 0 ? blocks_max : 1;
    tree->blocks_max = blocks_max;
    tree->seed = seed;
    tree->by_id = dsmr_map_new(sizeof(struct dsmr_id), sizeof(uint32_t), blocks_max, seed);
    tree->nodes = calloc(room, sizeof(*tree->nodes));
    tree->marks = calloc(room, sizeof(*tree->marks));
    if (tree->by_id == NULL || tree->nodes == NULL || tree->marks == NULL) {
        dsmr_block_tree_free(tree);
        return NULL;
    }
    return tree;
}

static void clear_node(struct node *node)
{
    dsmr_map_free(node->ids);
    dsmr_map_free(node->keys);
    memset(node, 0, sizeof(*node));
}

void dsmr_block_tree_free(struct dsmr_block_tree *tree)
{
    if (tree == NULL) {
        return;
    }
    for (uint32_t i = 0; tree->nodes != NULL && i < tree->blocks_max; i++) {
        dsmr_block_unref(tree->nodes[i].block);
        clear_node(&tree->nodes[i]);
    }
    dsmr_map_free(tree->by_id);
    free(tree->nodes);
    free(tree->marks);
    free(tree);
}

static struct node *find(const struct dsmr_block_tree *tree, const struct dsmr_id *block_id)
{
    const uint32_t *place = dsmr_map_find(tree->by_id, block_id);
    return place != NULL ? &tree->nodes[*place] : NULL;
}

static enum dsmr_err fill_node(struct node *node, const struct dsmr_block *block, uint64_t seed)
{
    if (block->certs_count == 0) {
        return DSMR_OK;
    }
    node->ids = dsmr_map_new(sizeof(struct dsmr_id), 0, block->certs_count, seed);
    node->keys = dsmr_map_new(sizeof(struct dsmr_slot_key), 0, block->certs_count, seed);
    if (node->ids == NULL || node->keys == NULL) {
        clear_node(node);
        return DSMR_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < block->certs_count; i++) {
        const struct dsmr_reference *ref = &block->certs[i].ref;
        struct dsmr_slot_key key = dsmr_slot_key(&ref->producer, ref->slot);
        void *id_added = dsmr_map_add(node->ids, &ref->chunk_id, NULL);
        void *key_added = dsmr_map_add(node->keys, &key, NULL);
        DSMR_ASSERT(id_added != NULL && key_added != NULL); /* room for each */
    }
    return DSMR_OK;
}

enum dsmr_err dsmr_block_tree_add(struct dsmr_block_tree *tree, struct dsmr_block *block)
{
    if (find(tree, &block->id) != NULL) {
        return DSMR_ERR_DUPLICATE;
    }
    if (tree->count == tree->blocks_max) {
        return DSMR_ERR_FULL;
    }
    uint32_t place = 0;
    while (tree->nodes[place].block != NULL) {
        place++;
    }
    enum dsmr_err err = fill_node(&tree->nodes[place], block, tree->seed);
    if (err != DSMR_OK) {
        return err;
    }
    uint32_t *value = dsmr_map_add(tree->by_id, &block->id, NULL);
    DSMR_ASSERT(value != NULL);
    *value = place;
    tree->nodes[place].block = dsmr_block_ref(block);
    tree->count++;
    return DSMR_OK;
}

struct dsmr_block *dsmr_block_tree_find(const struct dsmr_block_tree *tree,
                                        const struct dsmr_id *block_id)
{
    const struct node *node = find(tree, block_id);
    return node != NULL ? node->block : NULL;
}

/* Takes the node out and returns its block with the tree's reference. */
static struct dsmr_block *take(struct dsmr_block_tree *tree, struct node *node)
{
    struct dsmr_block *block = node->block;
    bool was_there = dsmr_map_remove(tree->by_id, &block->id);
    DSMR_ASSERT(was_there);
    clear_node(node);
    tree->count--;
    return block;
}

bool dsmr_block_tree_remove(struct dsmr_block_tree *tree, const struct dsmr_id *block_id)
{
    struct node *node = find(tree, block_id);
    if (node == NULL) {
        return false;
    }
    dsmr_block_unref(take(tree, node));
    return true;
}

bool dsmr_block_tree_is_used(const struct dsmr_block_tree *tree, const struct dsmr_id *tip_id,
                             const struct dsmr_reference *ref, uint64_t time_min_ms)
{
    struct dsmr_slot_key key = dsmr_slot_key(&ref->producer, ref->slot);
    const struct node *node = find(tree, tip_id);
    for (uint32_t steps = 0; node != NULL && steps < tree->count; steps++) {
        if (node->block->time_ms < time_min_ms) {
            return false; /* and so are its ancestors */
        }
        if (node->ids != NULL && (dsmr_map_find(node->ids, &ref->chunk_id) != NULL ||
                                  dsmr_map_find(node->keys, &key) != NULL)) {
            return true;
        }
        node = find(tree, &node->block->parent_id);
    }
    return false;
}

bool dsmr_block_tree_names(const struct dsmr_block_tree *tree, const struct dsmr_id *chunk_id)
{
    for (uint32_t i = 0; i < tree->blocks_max; i++) {
        const struct node *node = &tree->nodes[i];
        if (node->ids != NULL && dsmr_map_find(node->ids, chunk_id) != NULL) {
            return true;
        }
    }
    return false;
}

bool dsmr_block_tree_descends(const struct dsmr_block_tree *tree, const struct dsmr_id *tip_id,
                              const struct dsmr_id *ancestor_id)
{
    const struct dsmr_id *id = tip_id;
    for (uint32_t steps = 0; steps <= tree->count; steps++) {
        if (dsmr_id_equal(id, ancestor_id)) {
            return true;
        }
        const struct node *node = find(tree, id);
        if (node == NULL) {
            return false;
        }
        id = &node->block->parent_id;
    }
    return false;
}

/* Marks node and the unmarked nodes above it, all of which share its fate. */
static void mark(const struct dsmr_block_tree *tree, const struct node *node,
                 const struct dsmr_id *accepted_id)
{
    uint8_t fate = MARK_NONE;
    const struct node *up = node;
    for (uint32_t steps = 0; fate == MARK_NONE && steps <= tree->count; steps++) {
        uint8_t known = tree->marks[up - tree->nodes];
        if (known != MARK_NONE) {
            fate = known;
        } else if (dsmr_id_equal(&up->block->id, accepted_id) ||
                   dsmr_id_equal(&up->block->parent_id, accepted_id)) {
            fate = MARK_KEEP;
        } else {
            up = find(tree, &up->block->parent_id);
            fate = up == NULL ? MARK_DROP : MARK_NONE;
        }
    }
    if (fate == MARK_NONE) {
        fate = MARK_DROP;
    }
    /* A block above the accepted one does not descend from it: stop there. */
    for (up = node; up != NULL && tree->marks[up - tree->nodes] == MARK_NONE;
         up = find(tree, &up->block->parent_id)) {
        tree->marks[up - tree->nodes] = fate;
        if (fate == MARK_KEEP && (dsmr_id_equal(&up->block->id, accepted_id) ||
                                  dsmr_id_equal(&up->block->parent_id, accepted_id))) {
            return;
        }
    }
}

uint32_t dsmr_block_tree_prune(struct dsmr_block_tree *tree, struct dsmr_block **out, uint32_t max,
                               const struct dsmr_id *accepted_id)
{
    uint32_t taken = 0;
    memset(tree->marks, MARK_NONE, tree->blocks_max);
    for (uint32_t i = 0; i < tree->blocks_max; i++) {
        if (tree->nodes[i].block != NULL) {
            mark(tree, &tree->nodes[i], accepted_id);
        }
    }
    for (uint32_t i = 0; i < tree->blocks_max && taken < max; i++) {
        if (tree->marks[i] == MARK_DROP) {
            out[taken++] = take(tree, &tree->nodes[i]);
        }
    }
    return taken;
}

uint32_t dsmr_block_tree_count(const struct dsmr_block_tree *tree)
{
    return tree->count;
}

void dsmr_block_tree_check(const struct dsmr_block_tree *tree)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < tree->blocks_max; i++) {
        const struct node *node = &tree->nodes[i];
        if (node->block == NULL) {
            DSMR_ASSERT(node->ids == NULL && node->keys == NULL);
            continue;
        }
        count++;
        DSMR_ASSERT(find(tree, &node->block->id) == node);
        DSMR_ASSERT((node->ids != NULL) == (node->block->certs_count > 0));
    }
    DSMR_ASSERT(count == tree->count);
    DSMR_ASSERT(dsmr_map_count(tree->by_id) == tree->count);
}
