#include "crypto/hash.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "blst.h"
#include "crypto/hash_lanes.h"

#define ARITY DSMR_MERKLE_ARITY
#define LEVELS DSMR_MERKLE_LEVELS_MAX
#define LINE_BYTES 64u

/* ARITY ^ LEVELS leaves: enough for every count of 32 bits. */
_Static_assert(ARITY == 16u && LEVELS == 8u, "a level is four bits of the index");

_Static_assert(ARITY == DSMR_HASH_LANES, "the leaves of a node are hashed at once");

/* Leaves that are hashed together, and then the nodes over them. */
#define STEP (ARITY * ARITY)

/* The children of the node that is being filled, behind the node's tag: hashed where they lie. */
struct level {
    uint32_t children;
    uint8_t bytes[1 + ARITY * sizeof(struct dsmr_id)];
};

void dsmr_hash(struct dsmr_id *out, const void *bytes, size_t len)
{
    blst_sha256(out->bytes, bytes, len);
}

/* The beginnings of the next group, while this one is hashed: later parts are asked for there. */
static void expect(const struct dsmr_hash_message *messages, size_t count)
{
    for (size_t i = 0; i < count && i < DSMR_HASH_LANES; i++) {
        __builtin_prefetch(messages[i].bytes);
        __builtin_prefetch(messages[i].bytes + LINE_BYTES - 1);
    }
}

void dsmr_hash_many(struct dsmr_id *out, const struct dsmr_hash_message *messages, size_t count)
{
    bool has_lanes = count > 1 && dsmr_hash_lanes_exist();
    for (size_t i = 0; i < count; i += DSMR_HASH_LANES) {
        uint32_t group = count - i < DSMR_HASH_LANES ? (uint32_t)(count - i) : DSMR_HASH_LANES;
        if (has_lanes && dsmr_hash_lanes_pay(&messages[i], group)) {
            expect(&messages[i] + group, count - i - group);
            dsmr_hash_lanes_run(&out[i], &messages[i], group);
            continue;
        }
        for (size_t k = i; k < i + group; k++) {
            dsmr_hash(&out[k], messages[k].bytes, messages[k].len);
        }
    }
}

/* The leaves over up to ARITY ids. */
static void hash_leaves(struct dsmr_id *out, const struct dsmr_id *ids, uint32_t count)
{
    uint8_t bytes[ARITY][1 + sizeof(*ids)];
    struct dsmr_hash_message messages[ARITY];
    DSMR_ASSERT(count <= ARITY);
    if (count == DSMR_HASH_LANES && dsmr_hash_lanes_exist()) {
        dsmr_hash_lanes_tagged(out, 0x00, ids);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        bytes[i][0] = 0x00;
        memcpy(bytes[i] + 1, ids[i].bytes, sizeof(*ids));
        messages[i] = (struct dsmr_hash_message){bytes[i], sizeof(bytes[i])};
    }
    dsmr_hash_many(out, messages, count);
}

static void level_add(struct level *level, const struct dsmr_id *child)
{
    DSMR_ASSERT(level->children < ARITY);
    memcpy(level->bytes + 1 + level->children * sizeof(*child), child->bytes, sizeof(*child));
    level->children++;
}

/* Hashes the node and empties it. */
static void level_close(struct dsmr_id *out, struct level *level)
{
    level->bytes[0] = 0x01;
    dsmr_hash(out, level->bytes, 1 + level->children * sizeof(*out));
    level->children = 0;
}

/* The nodes of height 1 over up to STEP ids; how many there are. */
static uint32_t hash_nodes(struct dsmr_id out[ARITY], const struct dsmr_id *ids, uint32_t count)
{
    struct level nodes[ARITY];
    struct dsmr_hash_message messages[ARITY];
    uint32_t used = 0;
    DSMR_ASSERT(count <= STEP);
    for (uint32_t i = 0; i < count; i += ARITY, used++) {
        uint32_t children = count - i < ARITY ? count - i : ARITY;
        struct level *node = &nodes[used];
        node->bytes[0] = 0x01;
        hash_leaves((struct dsmr_id *)(node->bytes + 1), &ids[i], children);
        messages[used] = (struct dsmr_hash_message){node->bytes, 1 + children * sizeof(*ids)};
    }
    dsmr_hash_many(out, messages, used);
    return used;
}

/* The node of the given height (0: a leaf) over 1 to ARITY ^ height ids. */
static void hash_subtree(struct dsmr_id *out, const struct dsmr_id *ids, uint32_t count,
                         uint32_t height)
{
    DSMR_ASSERT(count > 0 && height <= LEVELS);
    if (height == 0) {
        hash_leaves(out, ids, 1);
        return;
    }
    struct level levels[LEVELS]; /* levels[l] fills a node of height l + 1; the first is not used */
    for (uint32_t l = 0; l < height; l++) {
        levels[l].children = 0;
    }
    struct dsmr_id nodes[ARITY];
    struct dsmr_id hash;
    for (uint32_t i = 0; i < count; i += STEP) {
        uint32_t used = hash_nodes(nodes, &ids[i], count - i < STEP ? count - i : STEP);
        for (uint32_t n = 0; n < used && height > 1; n++) {
            level_add(&levels[1], &nodes[n]);
            for (uint32_t l = 1; l + 1 < height && levels[l].children == ARITY; l++) {
                level_close(&hash, &levels[l]);
                level_add(&levels[l + 1], &hash);
            }
        }
    }
    if (height == 1) {
        *out = nodes[0];
        return;
    }
    for (uint32_t l = 1; l + 1 < height; l++) {
        if (levels[l].children > 0) {
            level_close(&hash, &levels[l]);
            level_add(&levels[l + 1], &hash);
        }
    }
    level_close(out, &levels[height - 1]);
}

/* Nodes on a level: a 16th of those below, rounded up. */
static uint32_t parents_of(uint32_t nodes)
{
    return nodes / ARITY + (nodes % ARITY != 0 ? 1u : 0u);
}

static uint32_t tree_height(uint32_t count)
{
    uint32_t height = 0;
    for (uint32_t nodes = count; nodes > 1; nodes = parents_of(nodes)) {
        height++;
    }
    return height;
}

static void hash_root(struct dsmr_id *out, uint32_t count, const struct dsmr_id *top)
{
    uint8_t bytes[1 + 4 + sizeof(*top)] = {0x02};
    dsmr_store_be32(bytes + 1, count);
    memcpy(bytes + 5, top->bytes, sizeof(*top));
    dsmr_hash(out, bytes, sizeof(bytes));
}

void dsmr_hash_merkle_root(struct dsmr_id *out, const struct dsmr_id *ids, uint32_t count)
{
    struct dsmr_id top = {{0}};
    if (count > 0) {
        hash_subtree(&top, ids, count, tree_height(count));
    }
    hash_root(out, count, &top);
}

void dsmr_hash_merkle_prove(struct dsmr_merkle_proof *out, const struct dsmr_id *ids,
                            uint32_t count, uint32_t index)
{
    DSMR_ASSERT(index < count);
    memset(out, 0, sizeof(*out));
    out->index = index;
    out->count = count;
    uint32_t nodes = count;
    for (uint32_t height = 0; nodes > 1; height++, nodes = parents_of(nodes)) {
        uint32_t own = (uint32_t)((uint64_t)index >> (4u * height));
        uint32_t first = own - own % ARITY;
        for (uint32_t n = first; n < nodes && n - first < ARITY; n++) {
            if (n != own) {
                uint64_t from = (uint64_t)n << (4u * height);
                uint64_t leaves = UINT64_C(1) << (4u * height);
                uint64_t left = count - from;
                hash_subtree(&out->hashes[out->hashes_count++], ids + from,
                             (uint32_t)(leaves < left ? leaves : left), height);
            }
        }
    }
}

enum dsmr_err dsmr_hash_merkle_check(const struct dsmr_merkle_proof *proof,
                                     const struct dsmr_id *root, const struct dsmr_id *id)
{
    if (proof->index >= proof->count || proof->hashes_count > LEVELS * (ARITY - 1)) {
        return DSMR_ERR_TX_MERKLE_PROOF;
    }
    struct dsmr_id hash;
    hash_leaves(&hash, id, 1);
    uint32_t used = 0;
    uint32_t own = proof->index;
    for (uint32_t nodes = proof->count; nodes > 1; nodes = parents_of(nodes), own /= ARITY) {
        uint32_t first = own - own % ARITY;
        uint32_t group = nodes - first < ARITY ? nodes - first : ARITY;
        if (proof->hashes_count - used < group - 1) {
            return DSMR_ERR_TX_MERKLE_PROOF;
        }
        struct level level = {.children = 0};
        for (uint32_t n = first; n < first + group; n++) {
            level_add(&level, n == own ? &hash : &proof->hashes[used++]);
        }
        level_close(&hash, &level);
    }
    struct dsmr_id computed;
    hash_root(&computed, proof->count, &hash);
    bool fits = used == proof->hashes_count && dsmr_id_equal(&computed, root);
    return fits ? DSMR_OK : DSMR_ERR_TX_MERKLE_PROOF;
}
