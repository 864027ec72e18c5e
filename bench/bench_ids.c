/* bench_ids.c - executed ids at full load: bytes and nanoseconds of each (advance: of each
 * that was added), the slowest steps.
 *
 * usage: bench_ids [TRANSACTIONS_A_SECOND [SECONDS]]
 * A block a tenth of a second, as in a node: ids are added, what has expired goes. Once all expire
 * 40 seconds ahead, as the load generator has it, once anywhere in the window of 60, once at its
 * end. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/prng.h"
#include "core/executed_ids.h"

#define WINDOW_MS 60000u
#define BLOCK_MS 100u
#define AHEAD 8u

static double now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double anonymous_mb(void)
{
    char line[256];
    double kb = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "RssAnon:", 8) == 0) {
            kb = strtod(line + 8, NULL);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kb * 1024 / 1e6;
}

struct tx {
    struct dsmr_id id;
    uint64_t expiry_ms;
};

struct figures {
    double add_ns, add_max_ns, advance_ns, advance_max_ns, look_ns, peak_mb;
    uint64_t added, looked, most;
};

static void fail(const char *what)
{
    (void)fprintf(stderr, "bench_ids: %s\n", what);
    exit(1);
}

/* One block; the time of each group of adds is taken, for the slowest. */
static void add_block(struct dsmr_executed_ids *ids, struct figures *sum, const struct tx *txs,
                      uint32_t count)
{
    for (uint32_t i = 0; i < count; i += AHEAD) {
        double begin_ns = now_ns();
        for (uint32_t j = i; j < i + AHEAD && j < count; j++) {
            if (j + AHEAD < count) {
                dsmr_executed_ids_prefetch(ids, &txs[j + AHEAD].id, txs[j + AHEAD].expiry_ms);
            }
            if (dsmr_executed_ids_add(ids, &txs[j].id, txs[j].expiry_ms) != DSMR_OK) {
                fail("an id was not added");
            }
        }
        double took_ns = now_ns() - begin_ns;
        sum->add_ns += took_ns;
        sum->add_max_ns = took_ns > sum->add_max_ns ? took_ns : sum->add_max_ns;
    }
    sum->added += count;
}

/* Whether each of a block is there: before it is added none is, afterwards all are. */
static void look_up(const struct dsmr_executed_ids *ids, struct figures *sum, const struct tx *txs,
                    uint32_t count, bool are_there)
{
    double begin_ns = now_ns();
    for (uint32_t i = 0; i < count; i++) {
        if (i + AHEAD < count) {
            dsmr_executed_ids_prefetch(ids, &txs[i + AHEAD].id, txs[i + AHEAD].expiry_ms);
        }
        if (dsmr_executed_ids_has(ids, &txs[i].id, txs[i].expiry_ms) != are_there) {
            fail("a look-up was wrong");
        }
    }
    sum->look_ns += now_ns() - begin_ns;
    sum->looked += count;
}

static void measure(const char *name, uint32_t ahead_min_ms, uint32_t ahead_max_ms, uint32_t rate,
                    uint32_t seconds)
{
    uint32_t count = rate / (1000u / BLOCK_MS);
    struct tx *txs = malloc(count * sizeof(*txs));
    const struct dsmr_id secret = {{1}};
    struct dsmr_executed_ids *ids = dsmr_executed_ids_new(WINDOW_MS, &secret);
    struct dsmr_prng prng;
    struct figures sum = {.added = 0};
    dsmr_prng_init(&prng, 1);
    if (txs == NULL || ids == NULL) {
        fail("out of memory");
    }
    memset(txs, 0, count * sizeof(*txs));
    double before_mb = anonymous_mb();
    for (uint64_t now_ms = WINDOW_MS; now_ms < WINDOW_MS + UINT64_C(1000) * seconds;
         now_ms += BLOCK_MS) {
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t w = 0; w < sizeof(struct dsmr_id); w += 8) {
                uint64_t word = dsmr_prng_next(&prng);
                memcpy(txs[i].id.bytes + w, &word, 8);
            }
            txs[i].expiry_ms =
                now_ms + ahead_min_ms + dsmr_prng_below(&prng, ahead_max_ms - ahead_min_ms + 1u);
        }
        look_up(ids, &sum, txs, count, false);
        add_block(ids, &sum, txs, count);
        look_up(ids, &sum, txs, count, true);
        double begin_ns = now_ns();
        dsmr_executed_ids_advance(ids, now_ms);
        double took_ns = now_ns() - begin_ns;
        sum.advance_ns += took_ns;
        sum.advance_max_ns = took_ns > sum.advance_max_ns ? took_ns : sum.advance_max_ns;
        uint64_t held = dsmr_executed_ids_count(ids);
        sum.most = held > sum.most ? held : sum.most;
        double mb = anonymous_mb() - before_mb;
        sum.peak_mb = mb > sum.peak_mb ? mb : sum.peak_mb;
    }
    printf("%-28s %9llu ids at most, %6.1f MB, %5.1f bytes each; add %4.0f ns, look %4.0f ns, "
           "advance %4.0f ns; %u adds at most %5.0f us, advance at most %5.0f us\n",
           name, (unsigned long long)sum.most, sum.peak_mb, sum.peak_mb * 1e6 / (double)sum.most,
           sum.add_ns / (double)sum.added, sum.look_ns / (double)sum.looked,
           sum.advance_ns / (double)sum.added, AHEAD, sum.add_max_ns / 1e3,
           sum.advance_max_ns / 1e3);
    dsmr_executed_ids_free(ids);
    free(txs);
    (void)malloc_trim(0);
}

int main(int argc, char **argv)
{
    uint32_t rate = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 230000u;
    uint32_t seconds = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 75u;
    printf("%u transactions a second for %u s, window of 60 s\n", rate, seconds);
    measure("expire 40 s ahead", 40000, 40000, rate, seconds);
    measure("expire 0 to 60 s ahead", 0, WINDOW_MS, rate, seconds);
    measure("expire 60 s ahead", WINDOW_MS, WINDOW_MS, rate, seconds);
    return 0;
}
