#include "store/crc32c.h"

#include <pthread.h>
#include <string.h>

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

__attribute__((target("sse4.2"))) static uint32_t run_block(uint32_t state, const uint8_t *p)
{
    uint64_t one = state, two = 0, three = 0;

    for (size_t at = 0; at < PART_BYTES; at += 8) {
        uint64_t word[3];
        memcpy(&word[0], p + at, 8);
        memcpy(&word[1], p + at + PART_BYTES, 8);
        memcpy(&word[2], p + at + 2u * PART_BYTES, 8);
        one = __builtin_ia32_crc32di(one, word[0]);
        two = __builtin_ia32_crc32di(two, word[1]);
        three = __builtin_ia32_crc32di(three, word[2]);
    }
    return after_zeros(after_zeros((uint32_t)one) ^ (uint32_t)two) ^ (uint32_t)three;
}

static uint32_t with_instruction(uint32_t crc, const uint8_t *p, size_t len)
{
    uint32_t state = ~crc;

    if (len >= 3u * PART_BYTES) {
        (void)pthread_once(&zeros_once, make_zeros);
    }
    for (; len >= 3u * PART_BYTES; len -= 3u * PART_BYTES, p += 3u * PART_BYTES) {
        state = run_block(state, p);
    }
    return ~run(state, p, len);
}
#endif

uint32_t dsmr_crc32c(uint32_t crc, const void *bytes, size_t len)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return with_instruction(crc, bytes, len);
    }
#endif
    return dsmr_crc32c_portable(crc, bytes, len);
}
