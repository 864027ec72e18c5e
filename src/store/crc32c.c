#include "store/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#define POLYNOMIAL 0x82f63b78u /* reflected */

static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
        }
        tables[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (size_t t = 1; t < 8; t++) {
            tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xff];
        }
    }
}

uint32_t dsmr_crc32c_portable(uint32_t crc, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    (void)pthread_once(&tables_once, make_tables);
    crc = ~crc;
    for (; len >= 8; len -= 8, p += 8) { /* eight bytes a step, one table for each */
        uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                              (uint32_t)p[3] << 24);
        crc = tables[7][low & 0xff] ^ tables[6][(low >> 8) & 0xff] ^ tables[5][(low >> 16) & 0xff] ^
              tables[4][low >> 24] ^ tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^
              tables[0][p[7]];
    }
    for (; len > 0; len--, p++) {
        crc = (crc >> 8) ^ tables[0][(crc ^ *p) & 0xff];
    }
    return ~crc;
}

#if defined(__x86_64__)
/* The instruction gives its result after three cycles and may begin one in each, so three parts of
 * a block go side by side. Their registers are put together by what PART_BYTES zeros do to the one
 * before: that is linear, so a table for each byte of it is enough. */
#define PART_BYTES 4096u
#define BLOCK_BYTES (3u * PART_BYTES)
#define LINE_BYTES 64u

static uint32_t zeros[4][256];
static pthread_once_t zeros_once = PTHREAD_ONCE_INIT;

__attribute__((target("sse4.2"))) static uint32_t run(uint32_t state, const uint8_t *p, size_t len)
{
    uint64_t wide = state;

    for (; len >= 8; len -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    state = (uint32_t)wide;
    for (; len > 0; len--, p++) {
        state = __builtin_ia32_crc32qi(state, *p);
    }
    return state;
}

static void make_zeros(void)
{
    static const uint8_t part[PART_BYTES];

    for (unsigned bit = 0; bit < 32; bit++) {
        uint32_t after = run(UINT32_C(1) << bit, part, sizeof part);
        for (unsigned byte = 0; byte < 256; byte++) {
            zeros[bit / 8][byte] ^= (byte >> bit % 8 & 1u) != 0 ? after : 0;
        }
    }
}

static uint32_t after_zeros(uint32_t state)
{
    return zeros[0][state & 0xff] ^ zeros[1][(state >> 8) & 0xff] ^ zeros[2][(state >> 16) & 0xff] ^
           zeros[3][state >> 24];
}

/* Of the three parts of the block; meanwhile the one at next comes into the cache: the processor
 * looks ahead by itself only to the end of a page. */
__attribute__((target("sse4.2"))) static uint32_t run_block(uint32_t state, const uint8_t *p,
                                                            const uint8_t *next)
{
    uint64_t one = state, two = 0, three = 0;

    for (size_t line = 0; line < PART_BYTES; line += LINE_BYTES) {
        __builtin_prefetch(next + line);
        __builtin_prefetch(next + line + PART_BYTES);
        __builtin_prefetch(next + line + 2u * PART_BYTES);
        for (size_t at = line; at < line + LINE_BYTES; at += 8) {
            uint64_t word[3];
            memcpy(&word[0], p + at, 8);
            memcpy(&word[1], p + at + PART_BYTES, 8);
            memcpy(&word[2], p + at + 2u * PART_BYTES, 8);
            one = __builtin_ia32_crc32di(one, word[0]);
            two = __builtin_ia32_crc32di(two, word[1]);
            three = __builtin_ia32_crc32di(three, word[2]);
        }
    }
    return after_zeros(after_zeros((uint32_t)one) ^ (uint32_t)two) ^ (uint32_t)three;
}

/* Around the cache, if to is aligned: the disk reads the copy, and nobody else does. */
static void copy_block(uint8_t *to, const uint8_t *from)
{
    if ((uintptr_t)to % sizeof(__m128i) != 0) {
        memcpy(to, from, BLOCK_BYTES);
        return;
    }
    for (size_t at = 0; at < BLOCK_BYTES; at += LINE_BYTES) {
        const __m128i *line = (const __m128i *)(const void *)(from + at);
        __m128i *out = (__m128i *)(void *)(to + at);
        __m128i a = _mm_loadu_si128(line), b = _mm_loadu_si128(line + 1);
        __m128i c = _mm_loadu_si128(line + 2), d = _mm_loadu_si128(line + 3);
        _mm_stream_si128(out, a);
        _mm_stream_si128(out + 1, b);
        _mm_stream_si128(out + 2, c);
        _mm_stream_si128(out + 3, d);
    }
}

/* A block is copied after it was checked: then it is in the first cache. to NULL: no copy. */
static uint32_t with_instruction(uint32_t crc, uint8_t *to, const uint8_t *p, size_t len)
{
    uint32_t state = ~crc;
    size_t at = 0;

    if (len >= BLOCK_BYTES) {
        (void)pthread_once(&zeros_once, make_zeros);
    }
    for (; len - at >= BLOCK_BYTES; at += BLOCK_BYTES) {
        bool is_last = len - at < 2u * BLOCK_BYTES;
        state = run_block(state, p + at, is_last ? p + at : p + at + BLOCK_BYTES);
        if (to != NULL) {
            copy_block(to + at, p + at);
        }
    }
    if (to != NULL) {
        _mm_sfence(); /* what went around the cache is seen by whom we give it to */
        memcpy(to + at, p + at, len - at);
    }
    return ~run(state, p + at, len - at);
}
#endif

uint32_t dsmr_crc32c(uint32_t crc, const void *bytes, size_t len)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return with_instruction(crc, NULL, bytes, len);
    }
#endif
    return dsmr_crc32c_portable(crc, bytes, len);
}

uint32_t dsmr_crc32c_copy(uint32_t crc, void *to, const void *from, size_t len)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return with_instruction(crc, to, from, len);
    }
#endif
    memcpy(to, from, len);
    return dsmr_crc32c_portable(crc, to, len);
}
