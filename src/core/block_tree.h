/* block_tree.h - processing blocks: verified, neither accepted nor rejected.
 *
 * Why:        the engine verifies siblings and decides later; each block is judged against its own
 *             ancestors.
 * Not here:   the accepted chain: the tree's roots are children of the last accepted block (or of a
 *             block that was decided since).
 * How:        each block carries a small table of its chunk ids and slots, so that a look at one
 *             ancestor costs one probe. No recursion.
 * Limits:     blocks_max; FULL beyond.
 * Threads:    one owner. */
#ifndef DSMR_CORE_BLOCK_TREE_H
#define DSMR_CORE_BLOCK_TREE_H

#include "dsmr/types.h"

struct dsmr_block_tree; /* opaque */

DSMR_MUST_USE struct dsmr_block_tree *dsmr_block_tree_new(uint32_t blocks_max, uint64_t seed);
void dsmr_block_tree_free(struct dsmr_block_tree *tree); /* NULL is fine */
/* Takes a reference. OK, DUPLICATE, FULL, NO_MEMORY. */
DSMR_MUST_USE enum dsmr_err dsmr_block_tree_add(struct dsmr_block_tree *tree,
                                                struct dsmr_block *block);
/* Borrowed while it is in the tree; NULL: not there. */
struct dsmr_block *dsmr_block_tree_find(const struct dsmr_block_tree *tree,
                                        const struct dsmr_id *block_id);
/* Takes out one block; its children stay. false: not there. */
bool dsmr_block_tree_remove(struct dsmr_block_tree *tree, const struct dsmr_id *block_id);
/* Whether tip_id or one of its ancestors in the tree holds ref's chunk id or (producer, slot). A
 * tip that is not in the tree has none. Ancestors older than time_min_ms are not looked at: they
 * cannot matter. */
bool dsmr_block_tree_is_used(const struct dsmr_block_tree *tree, const struct dsmr_id *tip_id,
                             const struct dsmr_reference *ref, uint64_t time_min_ms);
/* Whether any block of the tree names the chunk. */
bool dsmr_block_tree_names(const struct dsmr_block_tree *tree, const struct dsmr_id *chunk_id);
/* Whether ancestor_id is reached from tip_id by going up through the tree: true for tip_id itself
 * and for the parent of the highest ancestor in the tree. */
bool dsmr_block_tree_descends(const struct dsmr_block_tree *tree, const struct dsmr_id *tip_id,
                              const struct dsmr_id *ancestor_id);
/* After accept: takes out, up to max at a time, blocks that do not descend from accepted_id, and
 * writes them to out with their references (caller unrefs). Returns how many; call until 0. */
uint32_t dsmr_block_tree_prune(struct dsmr_block_tree *tree, struct dsmr_block **out, uint32_t max,
                               const struct dsmr_id *accepted_id);
uint32_t dsmr_block_tree_count(const struct dsmr_block_tree *tree);
void dsmr_block_tree_check(const struct dsmr_block_tree *tree); /* O(n) */

#endif
