#include "core/id_pages.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define SLAB_PAGES_MIN 8u
#define SLAB_PAGES_MAX ((64u << 20) / DSMR_ID_PAGES_PAGE_BYTES)

struct free_page {
    struct free_page *next;
};

struct dsmr_id_slab {
    void *block; /* what was allocated */
    struct dsmr_id_page *pages;
    uint32_t count;
    uint32_t begun; /* those behind were never taken */
    uint32_t taken;
    struct free_page *free;
};

static size_t block_bytes(uint32_t count)
{
    return (size_t)count * sizeof(struct dsmr_id_page) + DSMR_ID_PAGES_ALIGNMENT - 1u;
}

static uint32_t pages_of(const struct dsmr_id_pages *pages)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < pages->count; i++) {
        count += pages->slabs[i].count;
    }
    return count;
}

/* *count pages; fewer where there is no memory for so many. */
static char *allocate(uint32_t *count)
{
    char *block = malloc(block_bytes(*count));
    while (block == NULL && *count > SLAB_PAGES_MIN) {
        *count /= 2u;
        block = malloc(block_bytes(*count));
    }
    return block;
}

static struct dsmr_id_slab *add_slab(struct dsmr_id_pages *pages)
{
    if (pages->count == pages->room) {
        uint32_t room = pages->room > 0 ? 2u * pages->room : 4u;
        struct dsmr_id_slab *slabs = realloc(pages->slabs, room * sizeof(*slabs));
        if (slabs == NULL) {
            return NULL;
        }
        pages->slabs = slabs;
        pages->room = room;
    }
    uint32_t count = pages_of(pages);
    count = count < SLAB_PAGES_MIN ? SLAB_PAGES_MIN : count;
    count = count > SLAB_PAGES_MAX ? SLAB_PAGES_MAX : count;
    char *block = allocate(&count);
    if (block == NULL) {
        return NULL;
    }
    size_t beyond = (uintptr_t)block % DSMR_ID_PAGES_ALIGNMENT;
    char *first = block + (beyond > 0 ? DSMR_ID_PAGES_ALIGNMENT - beyond : 0);
    struct dsmr_id_slab *slab = &pages->slabs[pages->count++];
    *slab = (struct dsmr_id_slab){
        .block = block, .pages = (struct dsmr_id_page *)first, .count = count};
    return slab;
}

struct dsmr_id_page *dsmr_id_pages_take(struct dsmr_id_pages *pages)
{
    uint32_t i = 0;
    while (i < pages->count && pages->slabs[i].taken == pages->slabs[i].count) {
        i++;
    }
    struct dsmr_id_slab *slab = i < pages->count ? &pages->slabs[i] : add_slab(pages);
    if (slab == NULL) {
        return NULL;
    }
    slab->taken++;
    struct free_page *page = slab->free;
    if (page == NULL) {
        return &slab->pages[slab->begun++];
    }
    slab->free = page->next;
    return (struct dsmr_id_page *)page;
}

static void remove_slab(struct dsmr_id_pages *pages, uint32_t i)
{
    free(pages->slabs[i].block);
    pages->count--;
    memmove(&pages->slabs[i], &pages->slabs[i + 1], (pages->count - i) * sizeof(*pages->slabs));
}

/* The only slab stays if it is a small one: an idle network's ids come and go in it. */
void dsmr_id_pages_give(struct dsmr_id_pages *pages, struct dsmr_id_page *page)
{
    uint32_t i = 0;
    while (i < pages->count && (page < pages->slabs[i].pages ||
                                page >= pages->slabs[i].pages + pages->slabs[i].count)) {
        i++;
    }
    DSMR_ASSERT(i < pages->count);
    struct dsmr_id_slab *slab = &pages->slabs[i];
    DSMR_ASSERT(slab->taken > 0);
    slab->taken--;
    if (slab->taken == 0 && (pages->count > 1 || slab->count > SLAB_PAGES_MIN)) {
        remove_slab(pages, i);
        return;
    }
    struct free_page *back = (struct free_page *)(void *)page;
    back->next = slab->free;
    slab->free = back;
}

void dsmr_id_pages_free(struct dsmr_id_pages *pages)
{
    DSMR_ASSERT(dsmr_id_pages_taken(pages) == 0);
    while (pages->count > 0) {
        remove_slab(pages, pages->count - 1u);
    }
    free(pages->slabs);
    *pages = (struct dsmr_id_pages){0};
}

uint32_t dsmr_id_pages_taken(const struct dsmr_id_pages *pages)
{
    uint32_t taken = 0;
    for (uint32_t i = 0; i < pages->count; i++) {
        taken += pages->slabs[i].taken;
    }
    return taken;
}

size_t dsmr_id_pages_bytes(const struct dsmr_id_pages *pages)
{
    size_t bytes = pages->room * sizeof(*pages->slabs);
    for (uint32_t i = 0; i < pages->count; i++) {
        bytes += block_bytes(pages->slabs[i].count);
    }
    return bytes;
}

void dsmr_id_pages_check(const struct dsmr_id_pages *pages)
{
    DSMR_ASSERT(pages->count <= pages->room);
    for (uint32_t i = 0; i < pages->count; i++) {
        const struct dsmr_id_slab *slab = &pages->slabs[i];
        uint32_t unused = 0;
        for (const struct free_page *page = slab->free; page != NULL; page = page->next) {
            unused++;
        }
        DSMR_ASSERT(slab->begun <= slab->count && slab->taken + unused == slab->begun);
        DSMR_ASSERT(slab->taken > 0 || (pages->count == 1 && slab->count <= SLAB_PAGES_MIN));
        DSMR_ASSERT((uintptr_t)slab->pages % DSMR_ID_PAGES_ALIGNMENT == 0);
    }
}
