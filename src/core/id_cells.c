#include "core/id_cells.h"

#include <stdlib.h>

#include "base/assert.h"

#define DEPTH_AT_FIRST 4u
#define DEPTH_DENSE 10u
#define DEPTH_MAX 31u
#define RESTS_A_PART 8u
#define TAG_BITS 8u
#define PARTS 21u
#define ENTRIES_DENSE (PARTS * RESTS_A_PART)
#define ENTRIES_SPARSE (ENTRIES_DENSE / 2u)
#define NUMBER_BITS 24u
#define PARTS_A_PAGE 128u
#define PAGES_MAX ((1u << NUMBER_BITS) / PARTS_A_PAGE)
#define LINE_BYTES 64u
#define NO_PART UINT32_MAX

/* Sparse: less deep than DEPTH_DENSE. The bits of an entry's address that do not follow from the
 * place yet are in the second half of tags. */
struct cell {
    uint8_t count;
    uint8_t depth; /* so many low bits of their address all its entries have in common */
    uint8_t tags[ENTRIES_DENSE];
    uint32_t parts[PARTS]; /* as many as count needs: its number, and the lowest bit of each rest */
};
_Static_assert(sizeof(struct cell) % LINE_BYTES == 0, "as few lines of the cache as can be");
_Static_assert(DEPTH_DENSE + TAG_BITS == DSMR_ID_PRINT_LOW_BITS, "and the rest: a whole print");
_Static_assert(DEPTH_DENSE - DEPTH_AT_FIRST <= 8u && ENTRIES_DENSE <= UINT8_MAX, "a byte each");
_Static_assert(NUMBER_BITS + RESTS_A_PART <= 32u, "a bit of each rest beside the number");

union part {
    uint64_t rests[RESTS_A_PART];
    uint32_t next; /* free */
};

#define CELLS_A_PAGE ((uint32_t)(DSMR_ID_PAGES_PAGE_BYTES / sizeof(struct cell)))
_Static_assert(PARTS_A_PAGE * sizeof(union part) == DSMR_ID_PAGES_PAGE_BYTES, "parts fill a page");
_Static_assert(DSMR_ID_PAGES_ALIGNMENT % LINE_BYTES == 0, "cells and parts begin with a line");
_Static_assert(1u << DEPTH_AT_FIRST <= CELLS_A_PAGE && PARTS + 1u <= PARTS_A_PAGE,
               "what is taken at once is in one page");

struct dsmr_id_cells {
    uint32_t count;
    uint32_t depth;      /* of the deepest cell */
    struct cell **cells; /* 2^depth: by the low bits of an address */
    struct dsmr_id_pages *source;
    struct dsmr_id_page **pages; /* of both kinds; part n is in page n / PARTS_A_PAGE */
    uint32_t pages_count;
    uint32_t pages_room;
    struct cell *new_cells; /* never taken */
    uint32_t new_cells_count;
    uint32_t new_parts; /* the number of the first that was never taken */
    uint32_t new_parts_count;
    uint32_t free_parts; /* taken before; NO_PART: none */
    uint32_t free_parts_count;
};

struct entry {
    uint64_t rest;
    uint8_t tag;
    uint8_t extra; /* the address from bit DEPTH_AT_FIRST to bit DEPTH_DENSE */
    uint32_t address;
};

/* The place, and then as many of the rest's high bits as there is room for. */
static inline uint32_t address_of(uint64_t rest, uint32_t place)
{
    return (uint32_t)(rest >> (32u + DEPTH_DENSE)) << DEPTH_DENSE | place;
}

/* The place has the highest bits: they differ best where ids are no hashes. */
static inline struct entry entry_of(const struct dsmr_id_print *print)
{
    uint32_t place = (uint32_t)(print->high >> (64u - DEPTH_DENSE));
    uint64_t rest =
        print->high << DSMR_ID_PRINT_LOW_BITS | print->low >> (64u - DSMR_ID_PRINT_LOW_BITS);
    return (struct entry){.rest = rest,
                          .tag = (uint8_t)(print->high >> (64u - DSMR_ID_PRINT_LOW_BITS)),
                          .extra = (uint8_t)(place >> DEPTH_AT_FIRST),
                          .address = address_of(rest, place)};
}

static inline bool is_dense(const struct cell *cell)
{
    return cell->depth >= DEPTH_DENSE;
}

static inline uint32_t parts_of(uint32_t entries)
{
    return (entries + RESTS_A_PART - 1u) / RESTS_A_PART;
}

static inline union part *part_at(const struct dsmr_id_cells *set, uint32_t number)
{
    union part *parts = (union part *)set->pages[number / PARTS_A_PAGE];
    return &parts[number % PARTS_A_PAGE];
}

static inline uint32_t number_at(const struct cell *cell, uint32_t part)
{
    return cell->parts[part] & ((1u << NUMBER_BITS) - 1u);
}

static inline uint64_t *rest_at(const struct dsmr_id_cells *set, const struct cell *cell,
                                uint32_t i)
{
    return &part_at(set, number_at(cell, i / RESTS_A_PART))->rests[i % RESTS_A_PART];
}

static inline struct cell *cell_of(const struct dsmr_id_cells *set, uint32_t address)
{
    return set->cells[address & ((1u << set->depth) - 1u)];
}

/* Each line once: asking again for one that is on its way takes as long as waiting for it. */
static void prefetch_parts(const struct dsmr_id_cells *set, const struct cell *cell)
{
    for (uint32_t part = 0; part < parts_of(cell->count); part++) {
        __builtin_prefetch(part_at(set, number_at(cell, part)));
    }
}

/* ---- memory ---- */

static struct dsmr_id_page *add_page(struct dsmr_id_cells *set)
{
    if (set->pages_count == PAGES_MAX) {
        return NULL;
    }
    if (set->pages_count == set->pages_room) {
        uint32_t room = set->pages_room > 0 ? 2u * set->pages_room : 4u;
        struct dsmr_id_page **pages = realloc(set->pages, room * sizeof(*pages));
        if (pages == NULL) {
            return NULL;
        }
        set->pages = pages;
        set->pages_room = room;
    }
    struct dsmr_id_page *page = dsmr_id_pages_take(set->source);
    if (page != NULL) {
        set->pages[set->pages_count++] = page;
    }
    return page;
}

static bool reserve_cell(struct dsmr_id_cells *set)
{
    if (set->new_cells_count == 0) {
        struct dsmr_id_page *page = add_page(set);
        if (page == NULL) {
            return false;
        }
        set->new_cells = (struct cell *)page;
        set->new_cells_count = CELLS_A_PAGE;
    }
    return true;
}

static struct cell *take_cell(struct dsmr_id_cells *set, uint32_t depth)
{
    DSMR_ASSERT(set->new_cells_count > 0);
    set->new_cells_count--;
    struct cell *cell = set->new_cells++;
    cell->count = 0;
    cell->depth = (uint8_t)depth;
    return cell;
}

static void give_back(struct dsmr_id_cells *set, uint32_t part)
{
    part_at(set, part)->next = set->free_parts;
    set->free_parts = part;
    set->free_parts_count++;
}

/* So many can be taken then; at most PARTS_A_PAGE. */
static bool reserve_parts(struct dsmr_id_cells *set, uint32_t count)
{
    if (set->free_parts_count + set->new_parts_count >= count) {
        return true;
    }
    if (add_page(set) == NULL) {
        return false;
    }
    for (; set->new_parts_count > 0; set->new_parts_count--) {
        give_back(set, set->new_parts++);
    }
    set->new_parts = (set->pages_count - 1u) * PARTS_A_PAGE;
    set->new_parts_count = PARTS_A_PAGE;
    return true;
}

static uint32_t take_part(struct dsmr_id_cells *set)
{
    uint32_t part = set->free_parts;
    if (part != NO_PART) {
        set->free_parts = part_at(set, part)->next;
        set->free_parts_count--;
        return part;
    }
    DSMR_ASSERT(set->new_parts_count > 0);
    set->new_parts_count--;
    return set->new_parts++;
}

struct dsmr_id_cells *dsmr_id_cells_new(struct dsmr_id_pages *source)
{
    struct dsmr_id_cells *set = calloc(1, sizeof(*set));
    if (set == NULL) {
        return NULL;
    }
    set->source = source;
    set->depth = DEPTH_AT_FIRST;
    set->free_parts = NO_PART;
    set->cells = malloc(sizeof(struct cell *) << DEPTH_AT_FIRST);
    if (set->cells == NULL || !reserve_cell(set)) {
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
    for (uint32_t i = 0; i < set->pages_count; i++) {
        dsmr_id_pages_give(set->source, set->pages[i]);
    }
    free(set->pages);
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

/* There is room, and a part for it. */
static inline void append(struct dsmr_id_cells *set, struct cell *cell, uint64_t rest, uint8_t tag,
                          uint8_t extra)
{
    uint32_t i = cell->count++, at = i % RESTS_A_PART;
    uint32_t *part = &cell->parts[i / RESTS_A_PART];
    if (at == 0) {
        *part = take_part(set);
    }
    *part |= (uint32_t)(rest & 1u) << (NUMBER_BITS + at);
    *rest_at(set, cell, i) = rest;
    cell->tags[i] = tag;
    if (!is_dense(cell)) {
        cell->tags[ENTRIES_SPARSE + i] = extra;
    }
}

static inline uint8_t extra_at(const struct cell *cell, uint32_t i)
{
    return is_dense(cell) ? 0 : cell->tags[ENTRIES_SPARSE + i];
}

/* Entries of from go to one of two cells by a bit of their address. All parts are fetched at once,
 * and no branch waits for one. */
static void deal(struct dsmr_id_cells *set, const struct cell *from, struct cell *const to[2],
                 uint32_t bit)
{
    prefetch_parts(set, from);
    const uint64_t *rests = NULL;
    for (uint32_t i = 0; i < from->count; i++, rests++) {
        if (i % RESTS_A_PART == 0) {
            rests = part_at(set, number_at(from, i / RESTS_A_PART))->rests;
        }
        uint8_t extra = extra_at(from, i);
        uint32_t side = (address_of(*rests, (uint32_t)extra << DEPTH_AT_FIRST) & bit) != 0;
        append(set, to[side], *rests, from->tags[i], extra);
    }
    for (uint32_t part = 0; part < parts_of(from->count); part++) {
        give_back(set, number_at(from, part));
    }
}

/* Entries of the full cell whose address has the next bit go to a new one. False: no memory,
 * nothing changed. */
static bool split(struct dsmr_id_cells *set, struct cell *cell, uint32_t address)
{
    if (!reserve_cell(set) || !reserve_parts(set, PARTS + 1u) ||
        (cell->depth == set->depth && !deepen(set))) {
        return false;
    }
    struct cell was = *cell;
    uint32_t bit = 1u << was.depth;
    cell->count = 0;
    cell->depth++;
    struct cell *to[2] = {cell, take_cell(set, cell->depth)};
    deal(set, &was, to, bit);
    uint64_t end = UINT64_C(1) << set->depth;
    for (uint64_t i = (address & (bit - 1u)) | bit; i < end; i += UINT64_C(2) * bit) {
        set->cells[i] = to[1];
    }
    return true;
}

/* ---- entries ---- */

static inline bool is_full(const struct cell *cell)
{
    return cell->count == (is_dense(cell) ? ENTRIES_DENSE : ENTRIES_SPARSE);
}

/* Of those whose tag is the same by chance only every other one is fetched. */
static inline bool is_at(const struct dsmr_id_cells *set, const struct cell *cell, uint32_t i,
                         const struct entry *entry)
{
    uint32_t bits = cell->parts[i / RESTS_A_PART] >> NUMBER_BITS >> i % RESTS_A_PART;
    return ((bits ^ entry->rest) & 1u) == 0 && *rest_at(set, cell, i) == entry->rest &&
           (is_dense(cell) || cell->tags[ENTRIES_SPARSE + i] == entry->extra);
}

static inline bool cell_has(const struct dsmr_id_cells *set, const struct cell *cell,
                            const struct entry *entry)
{
    const uint8_t *from = cell->tags, *end = cell->tags + cell->count;
    while ((from = memchr(from, entry->tag, (size_t)(end - from))) != NULL) {
        if (is_at(set, cell, (uint32_t)(from - cell->tags), entry)) {
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
    if (cell_has(set, cell, &entry)) {
        return DSMR_ERR_DUPLICATE;
    }
    while (is_full(cell)) {
        if (!split(set, cell, entry.address)) {
            return DSMR_ERR_NO_MEMORY;
        }
        cell = cell_of(set, entry.address);
    }
    if (cell->count % RESTS_A_PART == 0 && !reserve_parts(set, 1)) {
        return DSMR_ERR_NO_MEMORY;
    }
    append(set, cell, entry.rest, entry.tag, entry.extra);
    set->count++;
    return DSMR_OK;
}

bool dsmr_id_cells_has(const struct dsmr_id_cells *set, const struct dsmr_id_print *print)
{
    struct entry entry = entry_of(print);
    return cell_has(set, cell_of(set, entry.address), &entry);
}

void dsmr_id_cells_prefetch(const struct dsmr_id_cells *set, const struct dsmr_id_print *print)
{
    const uint8_t *cell = (const uint8_t *)cell_of(set, entry_of(print).address);
    for (size_t at = 0; at < sizeof(struct cell); at += LINE_BYTES) {
        __builtin_prefetch(cell + at, 1);
    }
}

/* ---- lists ---- */

/* What entry_of made the entry of. */
static inline struct dsmr_id_print print_of(uint64_t rest, uint8_t tag, uint32_t place)
{
    return (struct dsmr_id_print){.high = (uint64_t)place << (64u - DEPTH_DENSE) |
                                          (uint64_t)tag << (64u - DSMR_ID_PRINT_LOW_BITS) |
                                          rest >> DSMR_ID_PRINT_LOW_BITS,
                                  .low = rest << (64u - DSMR_ID_PRINT_LOW_BITS)};
}

struct list {
    struct dsmr_id_print *out;
    uint32_t max;
    uint32_t count;
    uint32_t low;
    uint32_t mask;
};

/* at: a place in the table that leads to the cell. */
static void list_cell(const struct dsmr_id_cells *set, struct list *list, const struct cell *cell,
                      uint32_t at)
{
    uint32_t from_at = (1u << (is_dense(cell) ? DEPTH_DENSE : DEPTH_AT_FIRST)) - 1u;
    const uint64_t *rests = NULL;
    for (uint32_t i = 0; i < cell->count; i++, rests++) {
        if (i % RESTS_A_PART == 0) {
            rests = part_at(set, number_at(cell, i / RESTS_A_PART))->rests;
        }
        uint32_t place = (at & from_at) | (uint32_t)extra_at(cell, i) << DEPTH_AT_FIRST;
        if ((address_of(*rests, place) & list->mask) == list->low) {
            if (list->count < list->max) {
                list->out[list->count] = print_of(*rests, cell->tags[i], place);
            }
            list->count++;
        }
    }
}

/* Lists are asked for one after the other: the cell of the one behind the next, and the entries of
 * the next one, whose cell came the last time. */
static void prefetch_lists(const struct dsmr_id_cells *set, uint32_t low, uint32_t bits)
{
    uint32_t mask = (1u << (bits < set->depth ? bits : set->depth)) - 1u;
    const uint8_t *cell = (const uint8_t *)set->cells[(low + 2u) & mask];
    for (size_t at = 0; at < sizeof(struct cell); at += LINE_BYTES) {
        __builtin_prefetch(cell + at);
    }
    prefetch_parts(set, set->cells[(low + 1u) & mask]);
}

uint32_t dsmr_id_cells_list(const struct dsmr_id_cells *set, struct dsmr_id_print *out,
                            uint32_t max, uint32_t low, uint32_t bits)
{
    DSMR_ASSERT(bits <= DSMR_ID_CELLS_ADDRESS_BITS && low < 1u << bits);
    prefetch_lists(set, low, bits);
    struct list list = {.out = out, .max = max, .low = low, .mask = (1u << bits) - 1u};
    uint64_t end = UINT64_C(1) << set->depth, step = UINT64_C(1) << bits;
    for (uint64_t at = low & (end - 1u); at < end; at += step) {
        const struct cell *cell = set->cells[at];
        if (cell->depth <= bits || at < UINT64_C(1) << cell->depth) { /* the first way to it */
            list_cell(set, &list, cell, (uint32_t)at);
        }
        if (cell->depth <= bits) {
            break; /* all others lead to it, too */
        }
    }
    return list.count;
}

uint32_t dsmr_id_cells_count(const struct dsmr_id_cells *set)
{
    return set->count;
}

size_t dsmr_id_cells_bytes(const struct dsmr_id_cells *set)
{
    return sizeof(*set) + (sizeof(struct cell *) << set->depth) +
           set->pages_room * sizeof(*set->pages) + set->pages_count * sizeof(struct dsmr_id_page);
}

/* ---- check ---- */

static void check_cell(const struct dsmr_id_cells *set, const struct cell *cell, uint32_t low)
{
    DSMR_ASSERT(cell->depth >= DEPTH_AT_FIRST && cell->depth <= set->depth);
    DSMR_ASSERT(cell->count <= (is_dense(cell) ? ENTRIES_DENSE : ENTRIES_SPARSE));
    DSMR_ASSERT((uintptr_t)cell % LINE_BYTES == 0);
    for (uint32_t part = 0; part < parts_of(cell->count); part++) {
        DSMR_ASSERT(number_at(cell, part) / PARTS_A_PAGE < set->pages_count);
    }
    uint32_t from_place = (1u << (is_dense(cell) ? DEPTH_DENSE : DEPTH_AT_FIRST)) - 1u;
    for (uint32_t i = 0; i < cell->count; i++) {
        uint32_t extra = (uint32_t)extra_at(cell, i) << DEPTH_AT_FIRST;
        uint32_t address = address_of(*rest_at(set, cell, i), extra | (low & from_place));
        DSMR_ASSERT(cell_of(set, address) == cell);
    }
}

/* Each cell and part was never taken, is free or is in use; in whole pages. */
static void check_memory(const struct dsmr_id_cells *set, uint32_t cells, uint32_t parts)
{
    uint32_t free_parts = 0;
    for (uint32_t part = set->free_parts; part != NO_PART; part = part_at(set, part)->next) {
        free_parts++;
    }
    DSMR_ASSERT(free_parts == set->free_parts_count);
    cells += set->new_cells_count;
    parts += set->new_parts_count + free_parts;
    DSMR_ASSERT(cells % CELLS_A_PAGE == 0 && parts % PARTS_A_PAGE == 0);
    DSMR_ASSERT(cells / CELLS_A_PAGE + parts / PARTS_A_PAGE == set->pages_count);
    DSMR_ASSERT(set->pages_count <= set->pages_room);
}

void dsmr_id_cells_check(const struct dsmr_id_cells *set)
{
    uint32_t count = 0, cells = 0, parts = 0;
    for (uint64_t place = 0; place < UINT64_C(1) << set->depth; place++) {
        const struct cell *cell = set->cells[place];
        uint32_t low = (uint32_t)place & ((1u << cell->depth) - 1u);
        DSMR_ASSERT(cell == set->cells[low]);
        if (low != place) {
            continue; /* looked at before */
        }
        check_cell(set, cell, low);
        count += cell->count;
        cells++;
        parts += parts_of(cell->count);
    }
    DSMR_ASSERT(count == set->count);
    check_memory(set, cells, parts);
}
