/* hash_lanes.c - FIPS 180-4, one message a lane. Names as there: a to h, W, K. */
#include "crypto/hash_lanes.h"

#include "base/assert.h"
#include "base/bytes.h"

#define BLOCK_BYTES 64u
#define LENGTH_BYTES 8u /* of a message, in bits, at the end of its padding */
#define WORDS 8u        /* of a state */

static size_t blocks_of(const struct dsmr_hash_message *message)
{
    return (message->len + 1 + LENGTH_BYTES + BLOCK_BYTES - 1) / BLOCK_BYTES;
}

bool dsmr_hash_lanes_pay(const struct dsmr_hash_message *messages, uint32_t count)
{
    size_t sum = 0, most = 0;
    for (uint32_t i = 0; i < count; i++) {
        size_t blocks = blocks_of(&messages[i]);
        sum += blocks;
        most = blocks > most ? blocks : most;
    }
    return sum >= most * (DSMR_HASH_LANES / 2u); /* all lanes run as long as the longest */
}

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw")))
#define INLINE AVX512 __attribute__((always_inline)) static inline

static const uint32_t initial[WORDS] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

bool dsmr_hash_lanes_exist(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

/* Four rows of four words in each of four parts: word k of row i and word i of row k change places.
 */
INLINE void turn_words(__m512i *r0, __m512i *r1, __m512i *r2, __m512i *r3)
{
    __m512i a = _mm512_unpacklo_epi32(*r0, *r1), b = _mm512_unpackhi_epi32(*r0, *r1),
            c = _mm512_unpacklo_epi32(*r2, *r3), d = _mm512_unpackhi_epi32(*r2, *r3);
    *r0 = _mm512_unpacklo_epi64(a, c);
    *r1 = _mm512_unpackhi_epi64(a, c);
    *r2 = _mm512_unpacklo_epi64(b, d);
    *r3 = _mm512_unpackhi_epi64(b, d);
}

/* The same with whole parts. */
INLINE void turn_parts(__m512i *r0, __m512i *r1, __m512i *r2, __m512i *r3)
{
    __m512i a = _mm512_shuffle_i32x4(*r0, *r1, 0x88), b = _mm512_shuffle_i32x4(*r0, *r1, 0xdd),
            c = _mm512_shuffle_i32x4(*r2, *r3, 0x88), d = _mm512_shuffle_i32x4(*r2, *r3, 0xdd);
    *r0 = _mm512_shuffle_i32x4(a, c, 0x88);
    *r1 = _mm512_shuffle_i32x4(b, d, 0x88);
    *r2 = _mm512_shuffle_i32x4(a, c, 0xdd);
    *r3 = _mm512_shuffle_i32x4(b, d, 0xdd);
}

INLINE __m512i big_endian(__m512i words)
{
    const __m512i order = _mm512_set4_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203);
    return _mm512_shuffle_epi8(words, order);
}

/* Row i holds lane i's block as it lies in memory; afterwards row w holds word w of each. */
INLINE void turn_block(__m512i r[16])
{
#pragma GCC unroll 4
    for (unsigned i = 0; i < 16; i += 4) {
        turn_words(&r[i], &r[i + 1], &r[i + 2], &r[i + 3]);
    }
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++) {
        turn_parts(&r[i], &r[i + 4], &r[i + 8], &r[i + 12]);
    }
#pragma GCC unroll 16
    for (unsigned i = 0; i < 16; i++) {
        r[i] = big_endian(r[i]);
    }
}

INLINE __m512i xor3(__m512i a, __m512i b, __m512i c)
{
    return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}

INLINE __m512i add4(__m512i a, __m512i b, __m512i c, __m512i d)
{
    return _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d));
}

/* W[i] for i from 16 on, in the place of W[i - 16]. */
INLINE void schedule(__m512i w[16], unsigned i)
{
    __m512i x = w[(i + 1) & 15], y = w[(i + 14) & 15];
    __m512i s0 = xor3(_mm512_ror_epi32(x, 7), _mm512_ror_epi32(x, 18), _mm512_srli_epi32(x, 3));
    __m512i s1 = xor3(_mm512_ror_epi32(y, 17), _mm512_ror_epi32(y, 19), _mm512_srli_epi32(y, 10));
    w[i & 15] = add4(w[i & 15], w[(i + 9) & 15], s0, s1);
}

/* One step; s[i] is the letter that has come to place i after i steps. */
INLINE void step(__m512i s[8], unsigned i, __m512i w, uint32_t k)
{
    __m512i a = s[(0 - i) & 7], b = s[(1 - i) & 7], c = s[(2 - i) & 7], e = s[(4 - i) & 7],
            f = s[(5 - i) & 7], g = s[(6 - i) & 7], h = s[(7 - i) & 7];
    __m512i sum1 = xor3(_mm512_ror_epi32(e, 6), _mm512_ror_epi32(e, 11), _mm512_ror_epi32(e, 25));
    __m512i sum0 = xor3(_mm512_ror_epi32(a, 2), _mm512_ror_epi32(a, 13), _mm512_ror_epi32(a, 22));
    __m512i choice = _mm512_ternarylogic_epi32(e, f, g, 0xca);
    __m512i majority = _mm512_ternarylogic_epi32(a, b, c, 0xe8);
    h = _mm512_add_epi32(h, _mm512_add_epi32(w, _mm512_set1_epi32((int)k)));
    __m512i t1 = _mm512_add_epi32(h, _mm512_add_epi32(sum1, choice));
    s[(3 - i) & 7] = _mm512_add_epi32(s[(3 - i) & 7], t1);
    s[(7 - i) & 7] = _mm512_add_epi32(t1, _mm512_add_epi32(sum0, majority));
}

INLINE void begin(__m512i sum[WORDS])
{
    for (unsigned i = 0; i < WORDS; i++) {
        sum[i] = _mm512_set1_epi32((int)initial[i]);
    }
}

/* Hashes a block of each lane, word by word in w, into the states. */
INLINE void compress(__m512i sum[WORDS], __m512i w[16])
{
    __m512i s[WORDS];
#pragma GCC unroll 8
    for (unsigned i = 0; i < WORDS; i++) {
        s[i] = sum[i];
    }
#pragma GCC unroll 16
    for (unsigned i = 0; i < 16; i++) {
        step(s, i, w[i], constants[i]);
    }
    for (unsigned round = 16; round < 64; round += 16) {
#pragma GCC unroll 16
        for (unsigned i = 0; i < 16; i++) {
            schedule(w, i);
            step(s, i, w[i], constants[round + i]);
        }
    }
#pragma GCC unroll 8
    for (unsigned i = 0; i < WORDS; i++) {
        sum[i] = _mm512_add_epi32(sum[i], s[i]);
    }
}

/* The states of the lanes whose bits are set, to their places in out. */
INLINE void store(struct dsmr_id *out, const __m512i sum[WORDS], uint32_t lanes)
{
    __m512i r[WORDS];
#pragma GCC unroll 8
    for (unsigned i = 0; i < WORDS; i++) {
        r[i] = big_endian(sum[i]);
    }
    turn_words(&r[0], &r[1], &r[2], &r[3]);
    turn_words(&r[4], &r[5], &r[6], &r[7]);
    /* r[i] and r[i + 4]: the two halves of lanes i, i + 4, i + 8 and i + 12 */
    turn_parts(&r[0], &r[4], &r[1], &r[5]);
    turn_parts(&r[2], &r[6], &r[3], &r[7]);
    /* two whole lanes each; in this order 0 and 1, 4 and 5, ... 12 and 13, 2 and 3, and so on */
    static const uint8_t pairs[WORDS] = {0, 4, 1, 5, 2, 6, 3, 7};
#pragma GCC unroll 8
    for (unsigned i = 0; i < WORDS; i++) {
        unsigned lane = i % 4 * 4 + i / 4 * 2;
        unsigned quarters =
            ((lanes >> lane & 1) != 0 ? 0x0fu : 0) | ((lanes >> lane & 2) != 0 ? 0xf0u : 0);
        _mm512_mask_storeu_epi64((uint8_t *)out + lane * sizeof(*out), (__mmask8)quarters,
                                 r[pairs[i]]);
    }
}

/* A message for each lane; those beyond the count are the first once more. */
struct lanes {
    const uint8_t *bytes[DSMR_HASH_LANES];
    size_t len[DSMR_HASH_LANES];
    uint32_t high[DSMR_HASH_LANES], low[DSMR_HASH_LANES]; /* of the length in bits */
    size_t whole; /* so many bytes all of them have, in whole blocks */
    size_t end;   /* of the longest one's padding */
};

/* Bytes of a message and its padding. */
INLINE size_t padded(size_t len)
{
    return (len + LENGTH_BYTES) / BLOCK_BYTES * BLOCK_BYTES + BLOCK_BYTES;
}

AVX512 static void start(struct lanes *lanes, const struct dsmr_hash_message *messages,
                         uint32_t count)
{
    size_t most = 0, least = SIZE_MAX;
    for (uint32_t i = 0; i < DSMR_HASH_LANES; i++) {
        const struct dsmr_hash_message *message = &messages[i < count ? i : 0];
        lanes->bytes[i] = message->bytes;
        lanes->len[i] = message->len;
        lanes->high[i] = (uint32_t)((uint64_t)message->len >> 29);
        lanes->low[i] = (uint32_t)((uint64_t)message->len << 3);
        most = message->len > most ? message->len : most;
        least = message->len < least ? message->len : least;
    }
    lanes->whole = least / BLOCK_BYTES * BLOCK_BYTES;
    lanes->end = padded(most);
}

/* The block at that place of each lane. What comes next may come from memory meanwhile. */
INLINE void load(__m512i r[16], const struct lanes *lanes, size_t at)
{
#pragma GCC unroll 16
    for (unsigned i = 0; i < 16; i++) {
        r[i] = _mm512_loadu_si512(lanes->bytes[i] + at);
    }
    if (at + BLOCK_BYTES < lanes->whole) {
#pragma GCC unroll 16
        for (unsigned i = 0; i < 16; i++) { /* its last byte: it need not begin with a line */
            __builtin_prefetch(lanes->bytes[i] + at + 2 * BLOCK_BYTES - 1);
        }
    }
}

/* The same where messages end or have ended: what is there of each, and its padding but the length.
 * Returns the lanes of which it is the last block, a bit each. */
AVX512 static uint32_t load_end(__m512i r[16], const struct lanes *lanes, size_t at)
{
    const __m512i mark = _mm512_set1_epi8((char)0x80);
    uint32_t last = 0;
    for (unsigned i = 0; i < 16; i++) {
        size_t len = lanes->len[i];
        size_t left = len > at ? len - at : 0;
        bool is_whole = left >= BLOCK_BYTES;
        __mmask64 there = is_whole ? UINT64_MAX : (UINT64_C(1) << left) - 1;
        __mmask64 behind = is_whole || len < at ? 0 : UINT64_C(1) << left;
        __m512i bytes = _mm512_maskz_loadu_epi8(there, lanes->bytes[i] + (left > 0 ? at : 0));
        r[i] = _mm512_mask_mov_epi8(bytes, behind, mark);
        last |= (padded(len) == at + BLOCK_BYTES ? UINT32_C(1) : 0) << i;
    }
    return last;
}

AVX512 void dsmr_hash_lanes_run(struct dsmr_id *out, const struct dsmr_hash_message *messages,
                                uint32_t count)
{
    struct lanes lanes;
    __m512i sum[WORDS];
    DSMR_ASSERT(count > 0 && count <= DSMR_HASH_LANES);
    start(&lanes, messages, count);
    begin(sum);
    for (size_t at = 0; at < lanes.end; at += BLOCK_BYTES) {
        __m512i w[16];
        uint32_t last = 0;
        if (at < lanes.whole) {
            load(w, &lanes, at);
        } else {
            last = load_end(w, &lanes, at);
        }
        turn_block(w);
        w[14] = _mm512_or_si512(w[14], _mm512_maskz_loadu_epi32((__mmask16)last, lanes.high));
        w[15] = _mm512_or_si512(w[15], _mm512_maskz_loadu_epi32((__mmask16)last, lanes.low));
        compress(sum, w);
        last &= (UINT32_C(1) << count) - 1;
        if (last != 0) {
            store(out, sum, last);
        }
    }
}

/* Word by word, the ids of sixteen. */
INLINE void load_ids(__m512i w[WORDS], const struct dsmr_id *ids)
{
    __m512i r[WORDS];
#pragma GCC unroll 8
    for (unsigned i = 0; i < WORDS; i++) { /* two each, so that the parts come in order */
        const struct dsmr_id *id = &ids[i % 4 + i / 4 * 8];
        __m256i low = _mm256_loadu_si256((const void *)id[0].bytes);
        __m256i high = _mm256_loadu_si256((const void *)id[4].bytes);
        r[i] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
    turn_words(&r[0], &r[1], &r[2], &r[3]);
    turn_words(&r[4], &r[5], &r[6], &r[7]);
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++) {
        w[i] = big_endian(_mm512_shuffle_i32x4(r[i], r[i + 4], 0x88));
        w[i + 4] = big_endian(_mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd));
    }
}

AVX512 void dsmr_hash_lanes_tagged(struct dsmr_id out[DSMR_HASH_LANES], uint8_t tag,
                                   const struct dsmr_id ids[DSMR_HASH_LANES])
{
    __m512i sum[WORDS], w[16], id[WORDS];
    __m512i before = _mm512_set1_epi32(tag);
    load_ids(id, ids);
#pragma GCC unroll 8
    for (unsigned i = 0; i < WORDS; i++) { /* all words are a byte later */
        w[i] = _mm512_or_si512(_mm512_slli_epi32(before, 24), _mm512_srli_epi32(id[i], 8));
        before = id[i];
    }
    w[8] = _mm512_or_si512(_mm512_slli_epi32(before, 24), _mm512_set1_epi32(0x800000));
#pragma GCC unroll 8
    for (unsigned i = 9; i < 15; i++) {
        w[i] = _mm512_setzero_si512();
    }
    w[15] = _mm512_set1_epi32(8 * (1 + sizeof(*ids)));
    begin(sum);
    compress(sum, w);
    store(out, sum, 0xffff);
}

#else

bool dsmr_hash_lanes_exist(void)
{
    return false;
}

void dsmr_hash_lanes_run(struct dsmr_id *out, const struct dsmr_hash_message *messages,
                         uint32_t count)
{
    (void)out;
    (void)messages;
    (void)count;
    DSMR_UNREACHABLE();
}

void dsmr_hash_lanes_tagged(struct dsmr_id out[DSMR_HASH_LANES], uint8_t tag,
                            const struct dsmr_id ids[DSMR_HASH_LANES])
{
    (void)out;
    (void)tag;
    (void)ids;
    DSMR_UNREACHABLE();
}

#endif
