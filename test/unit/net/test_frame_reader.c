/* The bytes of a connection by hand: what is refused, and how much memory they cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "net/frame_reader.h"

static struct dsmr_frame_reader *reader_new(uint32_t message_bytes_max)
{
    struct dsmr_frame_reader *reader = malloc(sizeof(*reader));
    assert_non_null(reader);
    dsmr_frame_reader_init(reader, message_bytes_max);
    return reader;
}

static void reader_free(struct dsmr_frame_reader *reader)
{
    dsmr_frame_reader_close(reader);
    free(reader);
}

static void feed(struct dsmr_frame_reader *reader, const void *bytes, size_t len)
{
    uint8_t *to;
    size_t room;
    dsmr_frame_reader_space(reader, &to, &room);
    assert_true(len <= room);
    memcpy(to, bytes, len);
    dsmr_frame_reader_fill(reader, len);
}

/* As many zeros as there is room for, at most len. */
static size_t feed_zeros(struct dsmr_frame_reader *reader, size_t len)
{
    uint8_t *to;
    size_t room;
    dsmr_frame_reader_space(reader, &to, &room);
    room = room < len ? room : len;
    memset(to, 0, room);
    dsmr_frame_reader_fill(reader, room);
    return room;
}

static size_t allocated(const struct dsmr_frame_reader *reader, size_t *count)
{
    size_t sum = 0;
    *count = 0;
    for (size_t i = 0; i < DSMR_FRAME_READER_LANES; i++) {
        if (reader->lanes[i].buf != NULL) {
            sum += reader->lanes[i].buf->len;
            ++*count;
        }
    }
    return sum;
}

static void feed_header(struct dsmr_frame_reader *reader, uint32_t kind, uint32_t len)
{
    uint8_t bytes[DSMR_FRAME_HEADER_BYTES];
    dsmr_frame_header_store(bytes, kind, len);
    feed(reader, bytes, sizeof(bytes));
}

static void test_length_over_the_limit_is_refused_unread(void **state)
{
    (void)state;
    enum { LIMIT = 1u << 20 };
    static const struct {
        uint32_t limit, kind, len;
    } wrong[] = {{1000, DSMR_FRAME_WHOLE, 1001},
                 {1000, DSMR_FRAME_WHOLE, 0xffffff},
                 {1000, DSMR_FRAME_BEGIN + 2, 65537},
                 {LIMIT, DSMR_FRAME_WHOLE, DSMR_FRAME_BYTES_MAX + 1},
                 {LIMIT, DSMR_FRAME_BEGIN + 0, LIMIT + 1},
                 {LIMIT, DSMR_FRAME_BEGIN + 3, 0xffffff},
                 {LIMIT, DSMR_FRAME_PIECE + 2, DSMR_FRAME_BYTES_MAX + 1}};
    struct dsmr_buf *buf;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct dsmr_frame_reader *reader = reader_new(wrong[i].limit);
        size_t count;
        feed_header(reader, wrong[i].kind, wrong[i].len);
        assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_ERR_TOO_LARGE);
        assert_null(buf);
        assert_int_equal(allocated(reader, &count), 0);
        reader_free(reader);
    }
    struct dsmr_frame_reader *reader = reader_new(1000);
    feed_header(reader, DSMR_FRAME_WHOLE, 1000);
    assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_OK);
    assert_int_equal(feed_zeros(reader, 1000), 1000);
    assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_OK);
    assert_int_equal(buf->len, 1000);
    dsmr_buf_unref(buf);
    reader_free(reader);
}

/* Headers, each followed by as many bytes as it says; the last is what is wrong. */
static void test_pieces_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    enum { BEGIN = DSMR_FRAME_BEGIN, PIECE = DSMR_FRAME_PIECE, FULL = DSMR_FRAME_BYTES_MAX };
    static const struct {
        uint32_t kind[4], len[4];
    } wrong[] = {
        {{PIECE + 2}, {100}},                                     /* never begun */
        {{BEGIN + 2, PIECE + 1}, {70000, 100}},                   /* of another class */
        {{BEGIN + 2, BEGIN + 2}, {70000, 70000}},                 /* begun twice */
        {{BEGIN + 2, PIECE + 2, BEGIN + 2}, {70000, 9, 80000}},   /* and in the middle */
        {{BEGIN + 2, PIECE + 2, PIECE + 2}, {70000, FULL, 4465}}, /* more than it has */
        {{BEGIN + 2, PIECE + 2, PIECE + 2, PIECE + 2}, {70000, FULL, 4464, 1}}, /* after its end */
        {{BEGIN + 2, PIECE + 2}, {70000, 0}},                                   /* without bytes */
        {{BEGIN + 0}, {0}},
        {{BEGIN + 0}, {FULL}}, /* it fits into a frame */
        {{BEGIN + DSMR_MSG_CLASS_COUNT}, {70000}},
        {{PIECE + DSMR_MSG_CLASS_COUNT}, {100}},
        {{1}, {100}},
        {{BEGIN - 1}, {70000}},
        {{128}, {0}},
        {{255}, {0xffffff}},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct dsmr_frame_reader *reader = reader_new(1u << 20);
        struct dsmr_buf *buf = NULL;
        size_t last = 3;
        while (wrong[i].kind[last] == 0)
            last--;
        for (size_t k = 0; k <= last; k++) {
            feed_header(reader, wrong[i].kind[k], wrong[i].len[k]);
            enum dsmr_err err = dsmr_frame_reader_next(reader, &buf);
            assert_int_equal(err, k == last ? DSMR_ERR_MALFORMED : DSMR_OK);
            size_t left = k < last && wrong[i].kind[k] >= PIECE ? wrong[i].len[k] : 0;
            while (left > 0) {
                left -= feed_zeros(reader, left);
                assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_OK);
                dsmr_buf_unref(buf);
            }
        }
        reader_free(reader);
    }
}

static void test_pings_are_skipped(void **state)
{
    (void)state;
    struct dsmr_frame_reader *reader = reader_new(1000);
    static const uint8_t bytes[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0};
    feed(reader, bytes, sizeof(bytes));
    struct dsmr_buf *buf;
    assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_OK);
    assert_int_equal(buf->len, 2);
    assert_int_equal(buf->bytes[1], 8);
    dsmr_buf_unref(buf);
    assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_OK);
    assert_null(buf);
    assert_int_equal(dsmr_frame_reader_oldest(reader), 2); /* one byte of a header */
    reader_free(reader);
}

/* Adversary 70: what is allocated never exceeds twice what was sent, or the first 64 KiB. */
static void test_allocation_follows_what_was_sent(void **state)
{
    (void)state;
    enum { LIMIT = 8u << 20 };
    struct dsmr_frame_reader *reader = reader_new(LIMIT);
    struct dsmr_buf *buf = NULL;
    size_t sent = 4, left = LIMIT, count;
    feed_header(reader, DSMR_FRAME_BEGIN + 2, LIMIT);
    assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_OK);
    while (buf == NULL) {
        size_t piece = left < 5000 ? left : 5000;
        feed_header(reader, DSMR_FRAME_PIECE + 2, (uint32_t)piece);
        sent += 4 + piece;
        left -= piece;
        assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_OK);
        while (piece > 0) {
            piece -= feed_zeros(reader, piece);
            assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_OK);
        }
        size_t allowed =
            sent * 2 > DSMR_FRAME_READER_FREE_BYTES ? sent * 2 : DSMR_FRAME_READER_FREE_BYTES;
        assert_true(allocated(reader, &count) <= allowed);
    }
    assert_int_equal(buf->len, LIMIT);
    assert_int_equal(left, 0);
    dsmr_buf_unref(buf);
    /* Whoever has sent that much gets the next one's room at once. */
    feed_header(reader, DSMR_FRAME_BEGIN + 2, LIMIT);
    assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_OK);
    assert_int_equal(allocated(reader, &count), LIMIT);
    reader_free(reader);
}

/* The same with a message of each class in the making, in pieces of any size and order. */
static void test_allocation_is_bounded_over_all_classes(void **state)
{
    (void)state;
    enum { LIMIT = 400000, PIECES = 3000 };
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct dsmr_frame_reader *reader = reader_new(LIMIT);
        size_t left[DSMR_MSG_CLASS_COUNT] = {0}, sent = 0, count;
        struct dsmr_prng prng;
        dsmr_prng_init(&prng, seed);
        for (int i = 0; i < PIECES; i++) {
            uint32_t cls = (uint32_t)dsmr_prng_below(&prng, DSMR_MSG_CLASS_COUNT);
            struct dsmr_buf *buf = NULL;
            size_t piece = 0;
            if (left[cls] == 0) {
                left[cls] = 65537 + dsmr_prng_below(&prng, LIMIT - 65536);
                feed_header(reader, DSMR_FRAME_BEGIN + cls, (uint32_t)left[cls]);
            } else {
                piece = 1 + dsmr_prng_below(&prng, i % 2 == 0 ? 100 : DSMR_FRAME_BYTES_MAX);
                piece = piece < left[cls] ? piece : left[cls];
                feed_header(reader, DSMR_FRAME_PIECE + cls, (uint32_t)piece);
                left[cls] -= piece;
            }
            sent += DSMR_FRAME_HEADER_BYTES;
            for (;;) {
                assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_OK);
                dsmr_buf_unref(buf);
                size_t sum = allocated(reader, &count);
                assert_true(sum <= 2 * sent + count * DSMR_FRAME_READER_FREE_BYTES);
                if (piece == 0)
                    break;
                size_t n = feed_zeros(reader, piece);
                piece -= n;
                sent += n;
            }
        }
        reader_free(reader);
    }
}

/* Room ahead is not taken from the bytes that an older message will need to double. */
static void test_allocation_leaves_room_to_double(void **state)
{
    (void)state;
    enum { LIMIT = 8u << 20, FULL = 1u << 20 };
    struct dsmr_frame_reader *reader = reader_new(LIMIT);
    const struct dsmr_frame_reader_lane *lane = &reader->lanes[2];
    struct dsmr_buf *buf;
    size_t count;
    feed_header(reader, DSMR_FRAME_BEGIN + 2, LIMIT);
    for (size_t left = FULL - 1; left > 0;) { /* one byte below what it has allocated then */
        size_t piece = left < 50000 ? left : 50000;
        left -= piece;
        assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_OK);
        feed_header(reader, DSMR_FRAME_PIECE + 2, (uint32_t)piece);
        while (piece > 0) {
            assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_OK);
            piece -= feed_zeros(reader, piece);
        }
    }
    assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_OK);
    size_t rest = lane->buf->len - lane->filled + 1;
    assert_in_range(rest, 2, 70000);
    feed_header(reader, DSMR_FRAME_BEGIN + 1, LIMIT);
    assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_OK);
    while (rest > 0) {
        size_t piece = rest < 50000 ? rest : 50000;
        rest -= piece;
        feed_header(reader, DSMR_FRAME_PIECE + 2, (uint32_t)piece);
        do {
            assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_OK);
            piece -= feed_zeros(reader, piece);
        } while (piece > 0);
        assert_int_equal(dsmr_frame_reader_next(reader, &buf), DSMR_OK);
    }
    size_t allowed = 2 * reader->received + 2 * DSMR_FRAME_READER_FREE_BYTES;
    assert_true(allocated(reader, &count) <= allowed);
    reader_free(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_length_over_the_limit_is_refused_unread),
        cmocka_unit_test(test_pieces_that_do_not_fit_are_refused),
        cmocka_unit_test(test_pings_are_skipped),
        cmocka_unit_test(test_allocation_follows_what_was_sent),
        cmocka_unit_test(test_allocation_is_bounded_over_all_classes),
        cmocka_unit_test(test_allocation_leaves_room_to_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
