#define _GNU_SOURCE /* MAP_ANONYMOUS, madvise */
#include "host/large_bufs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"

/* AddressSanitizer watches malloc's memory only: there malloc serves all. */
#if defined(__SANITIZE_ADDRESS__)
#define IS_WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_WATCHED 1
#endif
#endif
#ifndef IS_WATCHED
#define IS_WATCHED 0
#endif

#define UNIT DSMR_LARGE_BUFS_UNIT_BYTES
#define PROCESS_BYTES_MAX ((size_t)1 << 30) /* several times what a node may keep of bodies */
/* What comes and goes within a moment under load. More is memory that others could use, less makes
 * the kernel clear pages all the time. */
#define PROCESS_SPARE_BYTES_MAX ((size_t)32 << 20)

enum unit_state {
    UNIT_EMPTY, /* free, without memory */
    UNIT_SPARE, /* free, keeps the memory that it got */
    UNIT_TAKEN
};

struct dsmr_large_bufs {
    pthread_mutex_t lock;
    uint8_t *memory;
    uint32_t count;
    uint32_t end; /* from here on all are empty */
    uint32_t taken;
    uint32_t spare;
    uint32_t spare_max;
    uint8_t states[];
};

static uint32_t units_of(size_t len)
{
    return (uint32_t)((len + UNIT - 1u) / UNIT);
}

struct dsmr_large_bufs *dsmr_large_bufs_new(size_t bytes_max, size_t spare_bytes_max)
{
    uint32_t count = (uint32_t)(bytes_max / UNIT);
    struct dsmr_large_bufs *bufs = calloc(1, sizeof(*bufs) + count);
    if (bufs == NULL) {
        return NULL;
    }
    bufs->count = count;
    bufs->spare_max = (uint32_t)(spare_bytes_max / UNIT);
    bufs->memory = mmap(NULL, (size_t)count * UNIT, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bufs->memory == MAP_FAILED) {
        free(bufs);
        return NULL;
    }
    /* Huge pages would be touched by their first unit, and given back in parts. */
    (void)madvise(bufs->memory, (size_t)count * UNIT, MADV_NOHUGEPAGE);
    (void)pthread_mutex_init(&bufs->lock, NULL);
    return bufs;
}

void dsmr_large_bufs_free(struct dsmr_large_bufs *bufs)
{
    if (bufs == NULL) {
        return;
    }
    DSMR_ASSERT(bufs->taken == 0);
    (void)munmap(bufs->memory, (size_t)bufs->count * UNIT);
    (void)pthread_mutex_destroy(&bufs->lock);
    free(bufs);
}

static void set_taken(struct dsmr_large_bufs *bufs, uint32_t from, uint32_t count)
{
    for (uint32_t i = from; i < from + count; i++) {
        bufs->spare -= bufs->states[i] == UNIT_SPARE ? 1u : 0u;
    }
    memset(bufs->states + from, UNIT_TAKEN, count);
    bufs->taken += count;
    bufs->end = from + count > bufs->end ? from + count : bufs->end;
}

static void *take_locked(struct dsmr_large_bufs *bufs, uint32_t count)
{
    uint32_t run = 0;
    for (uint32_t i = 0; i < bufs->count; i++) {
        run = bufs->states[i] == UNIT_TAKEN ? 0 : run + 1u;
        if (run == count) {
            uint32_t from = i + 1u - count;
            set_taken(bufs, from, count);
            return bufs->memory + (size_t)from * UNIT;
        }
    }
    return NULL;
}

void *dsmr_large_bufs_take(struct dsmr_large_bufs *bufs, size_t len)
{
    if (len == 0 || len > (size_t)bufs->count * UNIT) {
        return NULL;
    }
    (void)pthread_mutex_lock(&bufs->lock);
    void *memory = take_locked(bufs, units_of(len));
    (void)pthread_mutex_unlock(&bufs->lock);
    return memory;
}

/* The highest spare units in a row, not more than are too many. They count as taken until the
 * kernel has their memory. */
static uint32_t claim_highest(struct dsmr_large_bufs *bufs, uint32_t *from)
{
    uint32_t end = bufs->end, most = bufs->spare - bufs->spare_max;
    while (bufs->states[end - 1u] != UNIT_SPARE) {
        end--;
    }
    uint32_t begin = end;
    while (begin > 0 && end - begin < most && bufs->states[begin - 1u] == UNIT_SPARE) {
        begin--;
    }
    set_taken(bufs, begin, end - begin);
    *from = begin;
    return end - begin;
}

static void set_empty(struct dsmr_large_bufs *bufs, uint32_t from, uint32_t count)
{
    memset(bufs->states + from, UNIT_EMPTY, count);
    bufs->taken -= count;
    while (bufs->end > 0 && bufs->states[bufs->end - 1u] == UNIT_EMPTY) {
        bufs->end--;
    }
}

bool dsmr_large_bufs_give(struct dsmr_large_bufs *bufs, void *memory, size_t len)
{
    uintptr_t at = (uintptr_t)memory - (uintptr_t)bufs->memory; /* below it: huge */
    if (at >= (size_t)bufs->count * UNIT) {
        return false;
    }
    DSMR_ASSERT(at % UNIT == 0 && len > 0 && len <= (size_t)bufs->count * UNIT - at);
    uint32_t from = (uint32_t)(at / UNIT), count = units_of(len);
    (void)pthread_mutex_lock(&bufs->lock);
    for (uint32_t i = from; i < from + count; i++) {
        DSMR_ASSERT(bufs->states[i] == UNIT_TAKEN);
        bufs->states[i] = UNIT_SPARE;
    }
    bufs->taken -= count;
    bufs->spare += count;
    while (bufs->spare > bufs->spare_max) {
        count = claim_highest(bufs, &from);
        (void)pthread_mutex_unlock(&bufs->lock);
        (void)madvise(bufs->memory + (size_t)from * UNIT, (size_t)count * UNIT, MADV_DONTNEED);
        (void)pthread_mutex_lock(&bufs->lock);
        set_empty(bufs, from, count);
    }
    (void)pthread_mutex_unlock(&bufs->lock);
    return true;
}

void dsmr_large_bufs_sizes(struct dsmr_large_bufs *bufs, size_t *taken, size_t *spare)
{
    (void)pthread_mutex_lock(&bufs->lock);
    *taken = (size_t)bufs->taken * UNIT;
    *spare = (size_t)bufs->spare * UNIT;
    (void)pthread_mutex_unlock(&bufs->lock);
}

void dsmr_large_bufs_check(struct dsmr_large_bufs *bufs)
{
    uint32_t counts[3] = {0};
    (void)pthread_mutex_lock(&bufs->lock);
    for (uint32_t i = 0; i < bufs->count; i++) {
        DSMR_ASSERT(bufs->states[i] <= UNIT_TAKEN);
        DSMR_ASSERT(i < bufs->end || bufs->states[i] == UNIT_EMPTY);
        counts[bufs->states[i]]++;
    }
    DSMR_ASSERT(bufs->taken == counts[UNIT_TAKEN] && bufs->spare == counts[UNIT_SPARE]);
    DSMR_ASSERT(bufs->end == 0 || bufs->states[bufs->end - 1u] != UNIT_EMPTY);
    (void)pthread_mutex_unlock(&bufs->lock);
}

/* ---- of the process ---- */

static void *take(void *self, size_t len)
{
    return dsmr_large_bufs_take(self, len);
}

static bool give(void *self, void *memory, size_t len)
{
    return dsmr_large_bufs_give(self, memory, len);
}

void dsmr_large_bufs_use(void)
{
    static struct dsmr_buf_memory memory;
    if (IS_WATCHED) {
        return;
    }
    DSMR_ASSERT(memory.self == NULL);
    memory = (struct dsmr_buf_memory){
        .self = dsmr_large_bufs_new(PROCESS_BYTES_MAX, PROCESS_SPARE_BYTES_MAX),
        .len_min = DSMR_LARGE_BUFS_LEN_MIN,
        .take = take,
        .give = give};
    if (memory.self != NULL) {
        dsmr_buf_use_memory(&memory);
    }
}
