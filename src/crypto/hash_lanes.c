/* hash_lanes.c - FIPS 180-4, one message a lane. Names as there: a to h, W, K. */
#include "crypto/hash_lanes.h"

#include <string.h>

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
    return sum >= most * (DSMR_HASH_LANES / 2u + 1u); /* all lanes run as long as the longest */
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

/* Row i holds block i's words; afterwards row w holds word w of each block. */
INLINE void transpose(__m512i r[16])
{
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
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

/* Hashes count blocks of each lane into its state. */
AVX512 static void compress(uint32_t state[WORDS][DSMR_HASH_LANES],
                            const uint8_t *lanes[DSMR_HASH_LANES], size_t count)
{
    const __m512i big_endian = _mm512_set4_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203);
    __m512i sum[WORDS];
    for (unsigned i = 0; i < WORDS; i++) {
        sum[i] = _mm512_loadu_si512(state[i]);
    }
    for (size_t block = 0; block < count; block++) {
        __m512i w[16], s[WORDS];
        for (unsigned i = 0; i < 16; i++) {
            w[i] = _mm512_loadu_si512(lanes[i] + block * BLOCK_BYTES);
        }
        transpose(w);
        for (unsigned i = 0; i < 16; i++) {
            w[i] = _mm512_shuffle_epi8(w[i], big_endian);
        }
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
        for (unsigned i = 0; i < WORDS; i++) {
            sum[i] = _mm512_add_epi32(sum[i], s[i]);
        }
    }
    for (unsigned i = 0; i < WORDS; i++) {
        _mm512_storeu_si512(state[i], sum[i]);
    }
}

/* What is left of a lane's message: whole blocks where they lie, then the padded end. */
struct lane {
    const uint8_t *bytes;
    size_t blocks;     /* from bytes on */
    size_t end_blocks; /* behind them, in end; 0: bytes is there already */
    uint8_t end[2 * BLOCK_BYTES];
};

static void start(struct lane *lane, const struct dsmr_hash_message *message)
{
    size_t whole = message->len / BLOCK_BYTES, left = message->len % BLOCK_BYTES;
    lane->bytes = message->bytes;
    lane->blocks = whole;
    lane->end_blocks = blocks_of(message) - whole;
    memset(lane->end, 0, sizeof(lane->end));
    if (left > 0) {
        memcpy(lane->end, lane->bytes + whole * BLOCK_BYTES, left);
    }
    lane->end[left] = 0x80;
    dsmr_store_be64(lane->end + lane->end_blocks * BLOCK_BYTES - LENGTH_BYTES,
                    (uint64_t)message->len * 8u);
}

/* False: the message is at its end. */
static bool has_blocks(struct lane *lane)
{
    if (lane->blocks == 0) {
        lane->bytes = lane->end;
        lane->blocks = lane->end_blocks;
        lane->end_blocks = 0;
    }
    return lane->blocks > 0;
}

static void finish(struct dsmr_id *out, uint32_t state[WORDS][DSMR_HASH_LANES], uint32_t lane)
{
    for (unsigned i = 0; i < WORDS; i++) {
        dsmr_store_be32(out->bytes + 4u * i, state[i][lane]);
    }
}

void dsmr_hash_lanes_run(struct dsmr_id *out, const struct dsmr_hash_message *messages,
                         uint32_t count)
{
    uint32_t state[WORDS][DSMR_HASH_LANES];
    struct lane lanes[DSMR_HASH_LANES];
    bool is_done[DSMR_HASH_LANES] = {false};
    uint32_t left = count;
    DSMR_ASSERT(count > 0 && count <= DSMR_HASH_LANES);
    for (unsigned word = 0; word < WORDS; word++) {
        for (uint32_t i = 0; i < DSMR_HASH_LANES; i++) {
            state[word][i] = initial[word];
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        start(&lanes[i], &messages[i]);
    }
    while (left > 0) {
        const uint8_t *bytes[DSMR_HASH_LANES];
        const uint8_t *any = NULL; /* what the lanes read that have nothing left */
        size_t blocks = SIZE_MAX;
        for (uint32_t i = 0; i < count; i++) {
            if (!is_done[i] && !has_blocks(&lanes[i])) {
                finish(&out[i], state, i);
                is_done[i] = true;
                left--;
            } else if (!is_done[i] && lanes[i].blocks < blocks) {
                blocks = lanes[i].blocks;
            }
            any = is_done[i] ? any : lanes[i].bytes;
        }
        for (uint32_t i = 0; i < DSMR_HASH_LANES; i++) {
            bytes[i] = i < count && !is_done[i] ? lanes[i].bytes : any;
        }
        if (left > 0) {
            compress(state, bytes, blocks);
        }
        for (uint32_t i = 0; i < count; i++) {
            if (!is_done[i]) {
                lanes[i].bytes += blocks * BLOCK_BYTES;
                lanes[i].blocks -= blocks;
            }
        }
    }
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

#endif
