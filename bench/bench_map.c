/* bench_map.c - the hash map: keys of 32 bytes, values of 48, as full as a line says. Nanoseconds
 * of processor time each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/map.h"
#include "base/prng.h"

#define KEY_BYTES 32u
#define VALUE_BYTES 48u
#define LOOKUPS 1000000u
#define WALKS 5u

static double now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void fill(uint8_t key[KEY_BYTES], struct dsmr_prng *prng)
{
    for (uint32_t i = 0; i < KEY_BYTES; i += 8) {
        uint64_t word = dsmr_prng_next(prng);
        memcpy(key + i, &word, 8);
    }
}

/* Each of the oldest goes and a new one comes. */
static double replace_all(struct dsmr_map *map, uint8_t (*keys)[KEY_BYTES], uint32_t count,
                          struct dsmr_prng *prng)
{
    double begin_ns = now_ns();
    for (uint32_t i = 0; i < count; i++) {
        (void)dsmr_map_remove(map, keys[i]);
        fill(keys[i], prng);
        (void)dsmr_map_add(map, keys[i], NULL);
    }
    return now_ns() - begin_ns;
}

static double find_all(const struct dsmr_map *map, uint8_t (*keys)[KEY_BYTES], uint32_t count,
                       struct dsmr_prng *prng)
{
    uint32_t missing = 0;
    double begin_ns = now_ns();
    for (uint32_t i = 0; i < LOOKUPS; i++) {
        missing += dsmr_map_find(map, keys[dsmr_prng_below(prng, count)]) == NULL;
    }
    double took_ns = now_ns() - begin_ns;
    if (missing > 0) {
        (void)fprintf(stderr, "bench_map: %u keys are not found\n", missing);
        exit(1);
    }
    return took_ns;
}

static double find_none(const struct dsmr_map *map)
{
    uint8_t key[KEY_BYTES] = {1};
    uint32_t found = 0;
    double begin_ns = now_ns();
    for (uint32_t i = 0; i < LOOKUPS; i++) {
        memcpy(key, &i, sizeof(i));
        found += dsmr_map_find(map, key) != NULL;
    }
    double took_ns = now_ns() - begin_ns;
    if (found > 0) {
        (void)fprintf(stderr, "bench_map: %u keys are found that are not there\n", found);
        exit(1);
    }
    return took_ns;
}

static double walk(const struct dsmr_map *map, uint64_t *sum)
{
    void *value;
    double begin_ns = now_ns();
    for (uint32_t i = 0; i < WALKS; i++) {
        size_t position = 0;
        while (dsmr_map_next(map, &position, NULL, &value)) {
            *sum += *(const uint64_t *)value;
        }
    }
    return now_ns() - begin_ns;
}

static void measure(size_t capacity, uint32_t count)
{
    struct dsmr_prng prng;
    uint64_t sum = 0;
    dsmr_prng_init(&prng, 1);
    struct dsmr_map *map = dsmr_map_new(KEY_BYTES, VALUE_BYTES, capacity, 1);
    uint8_t(*keys)[KEY_BYTES] = malloc(count * sizeof(*keys));
    if (map == NULL || keys == NULL) {
        (void)fprintf(stderr, "bench_map: out of memory\n");
        exit(1);
    }
    for (uint32_t i = 0; i < count; i++) {
        fill(keys[i], &prng);
    }
    double begin_ns = now_ns();
    for (uint32_t i = 0; i < count; i++) {
        (void)dsmr_map_add(map, keys[i], NULL);
    }
    double add_ns = now_ns() - begin_ns;
    double replace_ns = replace_all(map, keys, count, &prng);
    double hit_ns = find_all(map, keys, count, &prng);
    double miss_ns = find_none(map);
    double walk_ns = walk(map, &sum);
    printf("%8u of %8zu: add %4.0f  replace %4.0f  find %4.0f  not there %4.0f  walk %5.1f ns%s\n",
           count, capacity, add_ns / count, replace_ns / count, hit_ns / LOOKUPS, miss_ns / LOOKUPS,
           walk_ns / count / WALKS, sum == 0 ? "" : " (values are not zero)");
    free(keys);
    dsmr_map_free(map);
}

int main(void)
{
    measure(1024, 500);
    measure(16384, 1000);
    measure(1 << 18, 20000);
    measure(1 << 18, 200000);
    return 0;
}
