#include "core/id_cells.h"

#include <stdlib.h>

#include "base/assert.h"

#define DEPTH_AT_FIRST 4u /* bits of an entry that only its cell's place has */
#define DEPTH_MAX 31u
#define PARTS 7u
#define RESTS_A_PART 20u
#define ENTRIES_A_CELL (PARTS * RESTS_A_PART)
#define REST_BYTES 10u
#define BLOCKS_A_PAGE 64u
#define LINE_BYTES 64u

struct part {
    uint8_t rests[RESTS_A_PART][REST_BYTES];
};

struct cell {
    struct part *parts[PARTS]; /* as many as count needs */
    uint8_t count;
    uint8_t depth; /* so many low bits of their address all its entries have in common */
    uint8_t tags[ENTRIES_A_CELL];
};

union block {
    union block *next; /* free */
    struct cell cell;
    struct part part;
};

struct page {
    struct page *next;
    union block blocks[BLOCKS_A_PAGE];
};

struct dsmr_id_cells {
    uint32_t count;
    uint32_t depth;      /* of the deepest cell */
    struct cell **cells; /* 2^depth: by the low bits of an address */
    struct page *pages;  /* of the first, blocks from used on were never taken */
    union block *free;   /* taken before */
    uint32_t used;
    uint32_t free_count; /* both kinds */
    uint32_t pages_count;
};

struct entry {
    uint64_t eight; /* bytes of the rest: the address without its lowest bits comes first */
    uint16_t two;
    uint8_t tag;
    uint32_t address;
};

static inline struct entry entry_of(const struct dsmr_id_print *print)
{
    return (struct entry){.eight = print->high,
                          .two = (uint16_t)(print->low >> 48),
                          .tag = (uint8_t)(print->low >> 40),
                          .address =
                              (uint32_t)(print->high << DEPTH_AT_FIRST | (print->low >> 36 & 15u))};
}

static inline uint8_t *rest_at(const struct cell *cell, uint32_t i)
{
    return cell->parts[i / RESTS_A_PART]->rests[i % RESTS_A_PART];
}

/* Without its lowest bits. */
static uint32_t address_at(const struct cell *cell, uint32_t i)
{
    uint64_t eight;
    memcpy(&eight, rest_at(cell, i), sizeof(eight));
    return (uint32_t)(eight << DEPTH_AT_FIRST);
}

static struct cell *cell_of(const struct dsmr_id_cells *set, uint32_t address)
{
    return set->cells[address & ((1u << set->depth) - 1u)];
}

/* ---- memory ---- */

/* So many blocks can be taken then; at most BLOCKS_A_PAGE. */
static bool reserve(struct dsmr_id_cells *set, uint32_t blocks)
{
    if (set->free_count >= blocks) {
        return true;
    }
    struct page *page = malloc(sizeof(*page));
    if (page == NULL) {
        return false;
    }
    for (; set->pages != NULL && set->used < BLOCKS_A_PAGE; set->used++) {
        set->pages->blocks[set->used].next = set->free;
        set->free = &set->pages->blocks[set->used];
    }
    page->next = set->pages;
    set->pages = page;
    set->pages_count++;
    set->used = 0;
    set->free_count += BLOCKS_A_PAGE;
    return true;
}

static union block *take(struct dsmr_id_cells *set)
{
    DSMR_ASSERT(set->free_count > 0);
    set->free_count--;
    union block *block = set->free;
    if (block == NULL) {
        return &set->pages->blocks[set->used++];
    }
    set->free = block->next;
    return block;
}

static void give_back(struct dsmr_id_cells *set, struct part *part)
{
    union block *block = (union block *)part;
    block->next = set->free;
    set->free = block;
    set->free_count++;
}

static struct cell *take_cell(struct dsmr_id_cells *set, uint32_t depth)
{
    struct cell *cell = &take(set)->cell;
    cell->count = 0;
    cell->depth = (uint8_t)depth;
    return cell;
}

struct dsmr_id_cells *dsmr_id_cells_new(void)
{
    struct dsmr_id_cells *set = calloc(1, sizeof(*set));
    if (set == NULL) {
        return NULL;
    }
    set->depth = DEPTH_AT_FIRST;
    set->cells = malloc(sizeof(struct cell *) << DEPTH_AT_FIRST);
    if (set->cells == NULL || !reserve(set, 1u << DEPTH_AT_FIRST)) {
        dsmr_id_cells_free(set);
        return NULL;
    }
    for (uint32_t i = 0; i < 1u << DEPTH_AT_FIRST; i++) {
        set->cells[i] = take_cell(set, DEPTH_AT_FIRST);
    }
    return set;
}

void dsmr_id_cells_free(struct dsmr_id_cells *set)
{
    if (set == NULL) {
        return;
    }
    while (set->pages != NULL) {
        struct page *next = set->pages->next;
        free(set->pages);
        set->pages = next;
    }
    free(set->cells);
    free(set);
}

/* ---- growth ---- */

/* Never more pointers than twice the entries, whatever falls together. */
static bool deepen(struct dsmr_id_cells *set)
{
    size_t bytes = sizeof(struct cell *) << set->depth;
    bool may_grow = set->depth < DEPTH_MAX && 1u << set->depth <= set->count;
    struct cell **cells = may_grow ? realloc(set->cells, 2u * bytes) : NULL;
    if (cells == NULL) {
        return false;
    }
    memcpy(cells + ((size_t)1 << set->depth), cells, bytes);
    set->cells = cells;
    set->depth++;
    return true;
}

/* Where the rest of one more entry goes; NULL: no memory, nothing changed. */
static inline uint8_t *append(struct dsmr_id_cells *set, struct cell *cell, uint8_t tag)
{
    uint32_t i = cell->count, part = i / RESTS_A_PART, at = i - part * RESTS_A_PART;
    if (at == 0) {
        if (!reserve(set, 1)) {
            return NULL;
        }
        cell->parts[part] = &take(set)->part;
    }
    cell->tags[i] = tag;
    cell->count++;
    return cell->parts[part]->rests[at];
}

/* The entries of a full cell by a bit of their address: [0] those without it, [1] the others; each
 * in its order. All parts are fetched at once, and no branch waits for one. */
static uint32_t sort_by_bit(uint8_t order[2][ENTRIES_A_CELL], const struct cell *cell, uint32_t bit)
{
    uint32_t counts[2] = {0, 0};
    for (uint32_t part = 0; part < PARTS; part++) {
        const uint8_t *bytes = (const uint8_t *)cell->parts[part];
        for (size_t at = 0; at < sizeof(struct part); at += LINE_BYTES) {
            __builtin_prefetch(bytes + at, 1);
        }
    }
    for (uint32_t i = 0; i < ENTRIES_A_CELL; i++) {
        uint32_t side = (address_at(cell, i) & bit) != 0;
        order[side][counts[side]] = (uint8_t)i;
        counts[side]++;
    }
    return counts[0];
}

/* Entries of the full cell whose address has the next bit go to a new one. False: no memory,
 * nothing changed. */
static bool split(struct dsmr_id_cells *set, struct cell *cell, uint32_t address)
{
    uint8_t order[2][ENTRIES_A_CELL];
    if (!reserve(set, 1u + PARTS) || (cell->depth == set->depth && !deepen(set))) {
        return false;
    }
    uint32_t bit = 1u << cell->depth, stay = sort_by_bit(order, cell, bit);
    struct cell *new = take_cell(set, ++cell->depth);
    for (uint32_t i = 0; i < ENTRIES_A_CELL - stay; i++) {
        uint32_t from = order[1][i];
        memcpy(append(set, new, cell->tags[from]), rest_at(cell, from), REST_BYTES);
    }
    for (uint32_t i = 0; i < stay; i++) { /* never behind where it was */
        uint32_t from = order[0][i];
        cell->tags[i] = cell->tags[from];
        memmove(rest_at(cell, i), rest_at(cell, from), REST_BYTES);
    }
    cell->count = (uint8_t)stay;
    for (uint32_t part = (cell->count + RESTS_A_PART - 1u) / RESTS_A_PART; part < PARTS; part++) {
        give_back(set, cell->parts[part]);
    }
    uint64_t end = UINT64_C(1) << set->depth;
    for (uint64_t i = (address & (bit - 1u)) | bit; i < end; i += UINT64_C(2) * bit) {
        set->cells[i] = new;
    }
    return true;
}

/* ---- entries ---- */

static inline bool is_at(const struct cell *cell, uint32_t i, const struct entry *entry)
{
    uint64_t eight;
    uint16_t two;
    const uint8_t *rest = rest_at(cell, i);
    memcpy(&eight, rest, sizeof(eight));
    memcpy(&two, rest + sizeof(eight), sizeof(two));
    return eight == entry->eight && two == entry->two;
}

static inline bool cell_has(const struct cell *cell, const struct entry *entry)
{
    const uint8_t *from = cell->tags, *end = cell->tags + cell->count;
    while ((from = memchr(from, entry->tag, (size_t)(end - from))) != NULL) {
        if (is_at(cell, (uint32_t)(from - cell->tags), entry)) {
            return true;
        }
        from++;
    }
    return false;
}

enum dsmr_err dsmr_id_cells_add(struct dsmr_id_cells *set, const struct dsmr_id_print *print)
{
    struct entry entry = entry_of(print);
    struct cell *cell = cell_of(set, entry.address);
    if (cell_has(cell, &entry)) {
        return DSMR_ERR_DUPLICATE;
    }
    while (cell->count == ENTRIES_A_CELL) {
        if (!split(set, cell, entry.address)) {
            return DSMR_ERR_NO_MEMORY;
        }
        cell = cell_of(set, entry.address);
    }
    uint8_t *rest = set->count == UINT32_MAX ? NULL : append(set, cell, entry.tag);
    if (rest == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    memcpy(rest, &entry.eight, sizeof(entry.eight));
    memcpy(rest + sizeof(entry.eight), &entry.two, sizeof(entry.two));
    set->count++;
    return DSMR_OK;
}

bool dsmr_id_cells_has(const struct dsmr_id_cells *set, const struct dsmr_id_print *print)
{
    struct entry entry = entry_of(print);
    return cell_has(cell_of(set, entry.address), &entry);
}

void dsmr_id_cells_prefetch(const struct dsmr_id_cells *set, const struct dsmr_id_print *print)
{
    const uint8_t *cell = (const uint8_t *)cell_of(set, entry_of(print).address);
    for (size_t at = 0; at < sizeof(struct cell); at += LINE_BYTES) {
        __builtin_prefetch(cell + at, 1);
    }
}

uint32_t dsmr_id_cells_count(const struct dsmr_id_cells *set)
{
    return set->count;
}

size_t dsmr_id_cells_bytes(const struct dsmr_id_cells *set)
{
    return sizeof(*set) + set->pages_count * sizeof(struct page) +
           (sizeof(struct cell *) << set->depth);
}

void dsmr_id_cells_check(const struct dsmr_id_cells *set)
{
    uint32_t count = 0, blocks = 0;
    for (uint64_t place = 0; place < UINT64_C(1) << set->depth; place++) {
        const struct cell *cell = set->cells[place];
        uint32_t low = (uint32_t)place & ((1u << cell->depth) - 1u);
        DSMR_ASSERT(cell->depth >= DEPTH_AT_FIRST && cell->depth <= set->depth);
        DSMR_ASSERT(cell == set->cells[low]);
        if (low != place) {
            continue; /* looked at before */
        }
        DSMR_ASSERT(cell->count <= ENTRIES_A_CELL);
        for (uint32_t i = 0; i < cell->count; i++) {
            DSMR_ASSERT(cell_of(set, address_at(cell, i) | (low & ((1u << DEPTH_AT_FIRST) - 1u))) ==
                        cell);
        }
        count += cell->count;
        blocks += 1u + (cell->count + RESTS_A_PART - 1u) / RESTS_A_PART;
    }
    DSMR_ASSERT(count == set->count);
    DSMR_ASSERT(blocks + set->free_count == set->pages_count * BLOCKS_A_PAGE);
}
