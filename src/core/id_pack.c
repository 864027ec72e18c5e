#include "core/id_pack.h"

#include <stdlib.h>

#include "base/assert.h"

#define ADDRESS_BITS DSMR_ID_CELLS_ADDRESS_BITS
#define SEGMENT_ENTRIES 176u /* expected at most */
#define SEGMENT_ENTRIES_MAX 255u
#define SEGMENT_BITS_MIN 10u /* of the address */
#define SEGMENT_BITS_MAX 18u
#define ENDS_PAGES ((1u << ADDRESS_BITS) / DSMR_ID_PAGES_PAGE_BYTES)
#define WORDS_A_PAGE (DSMR_ID_PAGES_PAGE_BYTES / 8u)
_Static_assert(1u << (ADDRESS_BITS - SEGMENT_BITS_MIN) <= DSMR_ID_PAGES_PAGE_BYTES,
               "the groups of a segment end in one page");

struct dsmr_id_pack {
    uint32_t count;        /* of all prints, once it is whole */
    uint32_t filled;       /* prints */
    uint32_t segments;     /* that are filled */
    uint32_t segment_bits; /* so many low bits of the address name the segment */
    uint32_t *begins;      /* of each segment, and of the one behind: prints before it */
    struct dsmr_id_pages *source;
    uint32_t pages_count;
    uint32_t pages_room;
    struct dsmr_id_page *pages[]; /* ends: a byte a group, where it ends in its segment; words */
};

/* What is left of a print without its address. */
static inline uint64_t word_of(const struct dsmr_id_print *print)
{
    uint64_t above = print->high >> 32 & ((1u << 22) - 1u), below = print->high & ((1u << 24) - 1u);
    return above << 42 | below << 18 | print->low >> (64u - DSMR_ID_PRINT_LOW_BITS);
}
_Static_assert(DSMR_ID_PRINT_LOW_BITS == 18u && ADDRESS_BITS == 18u, "22 + 24 + 18 bits are left");

static inline uint32_t segment_of(const struct dsmr_id_pack *pack, uint32_t address)
{
    return address & ((1u << pack->segment_bits) - 1u);
}

static inline uint32_t group_of(const struct dsmr_id_pack *pack, uint32_t address)
{
    return address >> pack->segment_bits;
}

static inline uint32_t groups(const struct dsmr_id_pack *pack)
{
    return 1u << (ADDRESS_BITS - pack->segment_bits);
}

static inline uint8_t *ends_of(const struct dsmr_id_pack *pack, uint32_t segment)
{
    uint32_t at = segment * groups(pack);
    return &pack->pages[at / DSMR_ID_PAGES_PAGE_BYTES]->bytes[at % DSMR_ID_PAGES_PAGE_BYTES];
}

static inline uint64_t *word_at(const struct dsmr_id_pack *pack, uint32_t i)
{
    return (uint64_t *)pack->pages[ENDS_PAGES + i / WORDS_A_PAGE]->bytes + i % WORDS_A_PAGE;
}

struct dsmr_id_pack *dsmr_id_pack_new(struct dsmr_id_pages *source, uint32_t count)
{
    uint32_t bits = SEGMENT_BITS_MIN;
    while (bits < SEGMENT_BITS_MAX && count >> bits >= SEGMENT_ENTRIES) {
        bits++;
    }
    if (count < DSMR_ID_PACK_COUNT_MIN || count >> bits >= SEGMENT_ENTRIES) {
        return NULL;
    }
    uint32_t room = ENDS_PAGES + (count + WORDS_A_PAGE - 1u) / WORDS_A_PAGE;
    struct dsmr_id_pack *pack = calloc(1, sizeof(*pack) + room * sizeof(struct dsmr_id_page *));
    if (pack == NULL) {
        return NULL;
    }
    *pack = (struct dsmr_id_pack){
        .count = count, .segment_bits = bits, .source = source, .pages_room = room};
    pack->begins = calloc((1u << bits) + 1u, sizeof(*pack->begins));
    if (pack->begins == NULL) {
        free(pack);
        return NULL;
    }
    return pack;
}

void dsmr_id_pack_free(struct dsmr_id_pack *pack)
{
    if (pack == NULL) {
        return;
    }
    for (uint32_t i = 0; i < pack->pages_count; i++) {
        dsmr_id_pages_give(pack->source, pack->pages[i]);
    }
    free(pack->begins);
    free(pack);
}

/* ---- filling ---- */

/* Pages for the ends, and for so many words. */
static bool reserve(struct dsmr_id_pack *pack, uint32_t words)
{
    uint32_t need = ENDS_PAGES + (words + WORDS_A_PAGE - 1u) / WORDS_A_PAGE;
    DSMR_ASSERT(need <= pack->pages_room);
    while (pack->pages_count < need) {
        struct dsmr_id_page *page = dsmr_id_pages_take(pack->source);
        if (page == NULL) {
            return false;
        }
        pack->pages[pack->pages_count++] = page;
    }
    return true;
}

/* Sorts by group, by counting. */
static void add_segment(struct dsmr_id_pack *pack, const struct dsmr_id_print *prints,
                        uint32_t count)
{
    uint8_t *ends = ends_of(pack, pack->segments);
    uint8_t next[1u << (ADDRESS_BITS - SEGMENT_BITS_MIN)] = {0};
    uint8_t group[SEGMENT_ENTRIES_MAX];
    for (uint32_t i = 0; i < count; i++) {
        group[i] = (uint8_t)group_of(pack, dsmr_id_cells_address(&prints[i]));
        next[group[i]]++;
    }
    uint8_t before = 0;
    for (uint32_t g = 0; g < groups(pack); g++) {
        uint8_t end = (uint8_t)(before + next[g]);
        next[g] = before;
        ends[g] = before = end;
    }
    for (uint32_t i = 0; i < count; i++) {
        *word_at(pack, pack->filled + next[group[i]]++) = word_of(&prints[i]);
    }
    pack->filled += count;
    pack->segments++;
    pack->begins[pack->segments] = pack->filled;
}

enum dsmr_err dsmr_id_pack_fill(struct dsmr_id_pack *pack, uint32_t *out,
                                const struct dsmr_id_cells *cells, uint32_t about)
{
    struct dsmr_id_print prints[SEGMENT_ENTRIES_MAX];
    uint32_t before = pack->filled;
    while (!dsmr_id_pack_is_whole(pack) && pack->filled - before < about) {
        uint32_t count = dsmr_id_cells_list(cells, prints, SEGMENT_ENTRIES_MAX, pack->segments,
                                            pack->segment_bits);
        if (count > SEGMENT_ENTRIES_MAX) {
            return DSMR_ERR_FULL;
        }
        if (!reserve(pack, pack->filled + count)) {
            return DSMR_ERR_NO_MEMORY;
        }
        add_segment(pack, prints, count);
    }
    *out = pack->filled - before;
    return DSMR_OK;
}

bool dsmr_id_pack_is_whole(const struct dsmr_id_pack *pack)
{
    return pack->segments == 1u << pack->segment_bits;
}

/* ---- looking ---- */

bool dsmr_id_pack_has(const struct dsmr_id_pack *pack, const struct dsmr_id_print *print)
{
    DSMR_ASSERT(dsmr_id_pack_is_whole(pack));
    uint32_t address = dsmr_id_cells_address(print), segment = segment_of(pack, address);
    uint32_t group = group_of(pack, address);
    const uint8_t *ends = ends_of(pack, segment);
    uint64_t word = word_of(print);
    for (uint32_t i = group > 0 ? ends[group - 1u] : 0; i < ends[group]; i++) {
        if (*word_at(pack, pack->begins[segment] + i) == word) {
            return true;
        }
    }
    return false;
}

void dsmr_id_pack_prefetch(const struct dsmr_id_pack *pack, const struct dsmr_id_print *print)
{
    uint32_t address = dsmr_id_cells_address(print), segment = segment_of(pack, address);
    uint32_t entries = pack->begins[segment + 1u] - pack->begins[segment];
    __builtin_prefetch(ends_of(pack, segment) + group_of(pack, address));
    if (entries > 0) { /* where the group may be expected */
        uint32_t about = entries * group_of(pack, address) / groups(pack);
        __builtin_prefetch(word_at(pack, pack->begins[segment] + about));
    }
}

uint32_t dsmr_id_pack_count(const struct dsmr_id_pack *pack)
{
    return pack->filled;
}

size_t dsmr_id_pack_bytes(const struct dsmr_id_pack *pack)
{
    return sizeof(*pack) + pack->pages_room * sizeof(*pack->pages) +
           pack->pages_count * sizeof(struct dsmr_id_page) +
           ((1u << pack->segment_bits) + 1u) * sizeof(*pack->begins);
}

void dsmr_id_pack_check(const struct dsmr_id_pack *pack)
{
    DSMR_ASSERT(pack->filled <= pack->count && pack->segments <= 1u << pack->segment_bits);
    DSMR_ASSERT(pack->begins[0] == 0 && pack->begins[pack->segments] == pack->filled);
    DSMR_ASSERT(!dsmr_id_pack_is_whole(pack) || pack->filled == pack->count);
    DSMR_ASSERT(pack->pages_count <= pack->pages_room);
    for (uint32_t segment = 0; segment < pack->segments; segment++) {
        const uint8_t *ends = ends_of(pack, segment);
        for (uint32_t group = 1; group < groups(pack); group++) {
            DSMR_ASSERT(ends[group - 1u] <= ends[group]);
        }
        DSMR_ASSERT(pack->begins[segment] + ends[groups(pack) - 1u] == pack->begins[segment + 1u]);
    }
}
