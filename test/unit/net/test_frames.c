/* Queues by class, frames out, frames in, and the hello: no sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/prng.h"
#include "net/frame_reader.h"
#include "net/frame_writer.h"
#include "net/hello.h"
#include "net/outbox.h"

static struct dsmr_outbox_message *make(size_t head_len, size_t body_len, uint8_t fill)
{
    struct dsmr_buf *head = dsmr_buf_new(head_len);
    struct dsmr_buf *body = body_len > 0 ? dsmr_buf_new(body_len) : NULL;
    memset(head->bytes, fill, head_len);
    for (size_t i = 0; i < body_len; i++)
        body->bytes[i] = (uint8_t)(fill + i * 7);
    struct dsmr_outbox_message *message =
        dsmr_outbox_message_new(head, body, body != NULL ? body->bytes : NULL, (uint32_t)body_len);
    assert_non_null(message);
    dsmr_buf_unref(head);
    dsmr_buf_unref(body);
    return message;
}

static uint8_t take_fill(struct dsmr_outbox *outbox)
{
    struct dsmr_outbox_message *message = dsmr_outbox_take(outbox);
    assert_non_null(message);
    uint8_t fill = message->head->bytes[0];
    dsmr_outbox_message_free(message);
    return fill;
}

static void test_outbox_orders_by_class(void **state)
{
    (void)state;
    struct dsmr_outbox outbox;
    dsmr_outbox_init(&outbox);
    static const enum dsmr_msg_class classes[] = {DSMR_MSG_CLASS_TX,   DSMR_MSG_CLASS_CHUNK,
                                                  DSMR_MSG_CLASS_CERT, DSMR_MSG_CLASS_VOTE,
                                                  DSMR_MSG_CLASS_CERT, DSMR_MSG_CLASS_VOTE};
    for (uint8_t i = 0; i < 6; i++)
        assert_int_equal(dsmr_outbox_add(&outbox, make(1, 0, i), classes[i], 1000), DSMR_OK);
    static const uint8_t order[] = {3, 5, 2, 4, 1, 0};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(take_fill(&outbox), order[i]);
    assert_null(dsmr_outbox_take(&outbox));
}

static void test_outbox_is_bounded_by_class(void **state)
{
    (void)state;
    struct dsmr_outbox outbox;
    dsmr_outbox_init(&outbox);
    size_t max = 2 * (10 + DSMR_OUTBOX_OVERHEAD_BYTES);
    struct dsmr_outbox_message *late = make(1, 0, 9);
    assert_int_equal(dsmr_outbox_add(&outbox, make(4, 6, 1), DSMR_MSG_CLASS_CHUNK, max), DSMR_OK);
    assert_int_equal(dsmr_outbox_add(&outbox, make(4, 6, 2), DSMR_MSG_CLASS_CHUNK, max), DSMR_OK);
    assert_int_equal(dsmr_outbox_add(&outbox, late, DSMR_MSG_CLASS_CHUNK, max), DSMR_ERR_FULL);
    assert_int_equal(dsmr_outbox_add(&outbox, late, DSMR_MSG_CLASS_VOTE, max), DSMR_OK);
    assert_int_equal(take_fill(&outbox), 9);
    assert_int_equal(take_fill(&outbox), 1);
    /* Room for one more of the same size, not for one byte more. */
    struct dsmr_outbox_message *big = make(5, 6, 3);
    assert_int_equal(dsmr_outbox_add(&outbox, big, DSMR_MSG_CLASS_CHUNK, max), DSMR_ERR_FULL);
    assert_int_equal(take_fill(&outbox), 2);
    /* An empty class takes what is larger alone, and then nothing. */
    assert_int_equal(dsmr_outbox_add(&outbox, big, DSMR_MSG_CLASS_CHUNK, 1), DSMR_OK);
    struct dsmr_outbox_message *more = make(1, 0, 4);
    assert_int_equal(dsmr_outbox_add(&outbox, more, DSMR_MSG_CLASS_CHUNK, 1), DSMR_ERR_FULL);
    dsmr_outbox_message_free(more);
    assert_int_equal(dsmr_outbox_clear(&outbox), 1);
    assert_int_equal(dsmr_outbox_clear(&outbox), 0);
}

/* ---- writer to reader ---- */

struct pipe {
    struct dsmr_outbox outbox;
    struct dsmr_frame_writer writer;
    struct dsmr_frame_reader reader;
    struct dsmr_prng prng;
    size_t pending;
};

static struct dsmr_outbox_message *take(void *ctx)
{
    return dsmr_outbox_take(ctx);
}

static struct pipe *pipe_new(uint32_t message_bytes_max)
{
    struct pipe *p = malloc(sizeof(*p));
    dsmr_outbox_init(&p->outbox);
    dsmr_frame_writer_init(&p->writer);
    dsmr_frame_reader_init(&p->reader, message_bytes_max);
    dsmr_prng_init(&p->prng, 42);
    return p;
}

static void pipe_free(struct pipe *p)
{
    dsmr_frame_writer_close(&p->writer);
    dsmr_frame_reader_close(&p->reader);
    dsmr_outbox_clear(&p->outbox);
    free(p);
}

/* Moves at most step bytes. False: nothing is left to write. */
static bool pipe_step(struct pipe *p, size_t step)
{
    const uint8_t *from;
    uint8_t *to;
    size_t from_len, to_len;
    dsmr_frame_writer_next(&p->writer, &from, &from_len, take, &p->outbox);
    if (from_len == 0)
        return false;
    const uint8_t *again;
    size_t again_len;
    dsmr_frame_writer_next(&p->writer, &again, &again_len, take, &p->outbox);
    assert_ptr_equal(again, from); /* TLS demands the same run until it is done */
    assert_int_equal(again_len, from_len);
    dsmr_frame_reader_space(&p->reader, &to, &to_len);
    assert_true(to_len > 0);
    size_t n = from_len < to_len ? from_len : to_len;
    n = n < step ? n : step;
    memcpy(to, from, n);
    dsmr_frame_reader_fill(&p->reader, n);
    dsmr_frame_writer_done(&p->writer, n);
    return true;
}

static void check_message(const struct dsmr_buf *buf, size_t head_len, size_t body_len,
                          uint8_t fill)
{
    assert_int_equal(buf->len, head_len + body_len);
    for (size_t i = 0; i < head_len; i++)
        assert_int_equal(buf->bytes[i], fill);
    for (size_t i = 0; i < body_len; i++)
        assert_int_equal(buf->bytes[head_len + i], (uint8_t)(fill + i * 7));
}

static void test_every_size_arrives_whole(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {
        {1, 0},      {3, 0},       {100, 0},       {100, 1},    {16379, 0}, {16380, 0},
        {16381, 0},  {10, 16384},  {10, 16385},    {10, 4095},  {10, 4096}, {10, 65526},
        {10, 65527}, {40, 100000}, {16384, 16384}, {1, 300000}, {5, 0}};
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
    for (int mode = 0; mode < 3; mode++) {
        struct pipe *p = pipe_new(400000);
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(dsmr_outbox_add(&p->outbox,
                                             make(sizes[i][0], sizes[i][1], (uint8_t)(i + 1)),
                                             DSMR_MSG_CLASS_CHUNK, SIZE_MAX),
                             DSMR_OK);
        size_t got = 0;
        for (;;) {
            size_t step =
                mode == 0 ? 1000000 : 1 + dsmr_prng_below(&p->prng, mode == 1 ? 50 : 9000);
            bool has_moved = pipe_step(p, step);
            struct dsmr_buf *buf;
            do {
                assert_int_equal(dsmr_frame_reader_next(&p->reader, &buf), DSMR_OK);
                if (buf != NULL) {
                    check_message(buf, sizes[got][0], sizes[got][1], (uint8_t)(got + 1));
                    got++;
                    dsmr_buf_unref(buf);
                }
            } while (buf != NULL);
            if (!has_moved)
                break;
        }
        assert_int_equal(got, COUNT);
        assert_false(dsmr_frame_reader_is_partial(&p->reader));
        pipe_free(p);
    }
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

static void test_length_over_the_limit_is_refused_unread(void **state)
{
    (void)state;
    static const uint32_t wrong[] = {1001, 0x80000000u, 0xffffffffu};
    for (size_t i = 0; i < 3; i++) {
        struct pipe *p = pipe_new(1000);
        uint8_t bytes[4];
        dsmr_store_be32(bytes, wrong[i]);
        feed(&p->reader, bytes, 4);
        struct dsmr_buf *buf;
        assert_int_equal(dsmr_frame_reader_next(&p->reader, &buf), DSMR_ERR_TOO_LARGE);
        assert_null(buf);
        assert_null(p->reader.buf); /* nothing was allocated for it */
        pipe_free(p);
    }
    struct pipe *p = pipe_new(1000);
    assert_int_equal(dsmr_outbox_add(&p->outbox, make(1000, 0, 1), DSMR_MSG_CLASS_TX, 1), DSMR_OK);
    while (pipe_step(p, 100000)) {
    }
    struct dsmr_buf *buf;
    assert_int_equal(dsmr_frame_reader_next(&p->reader, &buf), DSMR_OK);
    assert_int_equal(buf->len, 1000);
    dsmr_buf_unref(buf);
    pipe_free(p);
}

static void test_pings_are_skipped(void **state)
{
    (void)state;
    struct pipe *p = pipe_new(1000);
    static const uint8_t bytes[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0};
    feed(&p->reader, bytes, sizeof(bytes));
    struct dsmr_buf *buf;
    assert_int_equal(dsmr_frame_reader_next(&p->reader, &buf), DSMR_OK);
    assert_int_equal(buf->len, 2);
    assert_int_equal(buf->bytes[1], 8);
    dsmr_buf_unref(buf);
    assert_int_equal(dsmr_frame_reader_next(&p->reader, &buf), DSMR_OK);
    assert_null(buf);
    assert_true(dsmr_frame_reader_is_partial(&p->reader)); /* one byte of a length */
    pipe_free(p);
}

/* Adversary 70: what is allocated never exceeds twice what was sent, or the first 64 KiB. */
static void test_allocation_follows_what_was_sent(void **state)
{
    (void)state;
    struct pipe *p = pipe_new(8u << 20);
    uint8_t bytes[4];
    dsmr_store_be32(bytes, 8u << 20);
    feed(&p->reader, bytes, 4);
    struct dsmr_buf *buf;
    uint64_t sent = 4;
    for (;;) {
        assert_int_equal(dsmr_frame_reader_next(&p->reader, &buf), DSMR_OK);
        if (buf != NULL)
            break;
        uint64_t allowed =
            sent * 2 > DSMR_FRAME_READER_FREE_BYTES ? sent * 2 : DSMR_FRAME_READER_FREE_BYTES;
        assert_true(p->reader.buf->len <= allowed);
        uint8_t *to;
        size_t room;
        dsmr_frame_reader_space(&p->reader, &to, &room);
        size_t left = 4 + (8u << 20) - (size_t)sent;
        size_t n = room < 5000 ? room : 5000;
        n = n < left ? n : left;
        memset(to, 1, n);
        dsmr_frame_reader_fill(&p->reader, n);
        sent += n;
    }
    assert_int_equal(buf->len, 8u << 20);
    dsmr_buf_unref(buf);
    /* Whoever has sent that much gets the next one's room at once. */
    feed(&p->reader, bytes, 4);
    assert_int_equal(dsmr_frame_reader_next(&p->reader, &buf), DSMR_OK);
    assert_int_equal(p->reader.buf->len, 8u << 20);
    pipe_free(p);
}

static void test_a_vote_waits_for_one_frame_only(void **state)
{
    (void)state;
    struct pipe *p = pipe_new(1u << 20);
    for (uint8_t i = 0; i < 3; i++)
        assert_int_equal(
            dsmr_outbox_add(&p->outbox, make(4, 100000, i), DSMR_MSG_CLASS_CHUNK, SIZE_MAX),
            DSMR_OK);
    assert_true(pipe_step(p, 1000)); /* the first chunk is on its way */
    assert_int_equal(dsmr_outbox_add(&p->outbox, make(50, 0, 77), DSMR_MSG_CLASS_VOTE, 1000),
                     DSMR_OK);
    uint8_t order[4];
    size_t got = 0;
    while (got < 4) {
        struct dsmr_buf *buf;
        assert_int_equal(dsmr_frame_reader_next(&p->reader, &buf), DSMR_OK);
        if (buf != NULL) {
            order[got++] = buf->bytes[0];
            dsmr_buf_unref(buf);
        } else {
            assert_true(pipe_step(p, 100000));
        }
    }
    static const uint8_t expected[] = {0, 77, 1, 2};
    assert_memory_equal(order, expected, 4);
    pipe_free(p);
}

static void test_small_messages_share_a_run(void **state)
{
    (void)state;
    struct pipe *p = pipe_new(1000);
    for (int i = 0; i < 100; i++)
        assert_int_equal(dsmr_outbox_add(&p->outbox, make(96, 0, 1), DSMR_MSG_CLASS_VOTE, SIZE_MAX),
                         DSMR_OK);
    const uint8_t *run;
    size_t len;
    dsmr_frame_writer_next(&p->writer, &run, &len, take, &p->outbox);
    assert_int_equal(len, 100 * 100);
    assert_false(dsmr_frame_writer_add(&p->writer, "x", 1)); /* a run is out: no ping is needed */
    dsmr_frame_writer_done(&p->writer, len);
    assert_true(dsmr_frame_writer_add(&p->writer, "x", 1));
    dsmr_frame_writer_next(&p->writer, &run, &len, take, &p->outbox);
    assert_int_equal(len, 5);
    assert_memory_equal(run, "\0\0\0\1x", 5);
    pipe_free(p);
}

static void test_hello(void **state)
{
    (void)state;
    struct dsmr_domain domain = {.network_id = 0x01020304};
    memset(domain.chain_id.bytes, 0xab, 32);
    uint8_t hello[DSMR_HELLO_BYTES];
    dsmr_hello_encode(hello, &domain);
    static const uint8_t start[] = {0, 'D', 'S', 'M', 'R', 0, 1, 1, 2, 3, 4, 0xab};
    assert_memory_equal(hello, start, sizeof(start));
    assert_int_equal(dsmr_hello_check(hello, sizeof(hello), &domain), DSMR_OK);
    static const struct {
        size_t at;
        enum dsmr_err err;
    } cases[] = {
        {0, DSMR_ERR_MALFORMED},      {1, DSMR_ERR_MALFORMED},    {4, DSMR_ERR_MALFORMED},
        {5, DSMR_ERR_VERSION},        {6, DSMR_ERR_VERSION},      {7, DSMR_ERR_WRONG_NETWORK},
        {10, DSMR_ERR_WRONG_NETWORK}, {11, DSMR_ERR_WRONG_CHAIN}, {42, DSMR_ERR_WRONG_CHAIN}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        hello[cases[i].at] ^= 0x40;
        assert_int_equal(dsmr_hello_check(hello, sizeof(hello), &domain), cases[i].err);
        hello[cases[i].at] ^= 0x40;
    }
    for (size_t len = 0; len < sizeof(hello); len++)
        assert_int_equal(dsmr_hello_check(hello, len, &domain), DSMR_ERR_MALFORMED);
    uint8_t longer[DSMR_HELLO_BYTES + 1] = {0};
    memcpy(longer, hello, sizeof(hello));
    assert_int_equal(dsmr_hello_check(longer, sizeof(longer), &domain), DSMR_ERR_MALFORMED);
    longer[6] = 2; /* a later version may be longer: the version is what is wrong */
    assert_int_equal(dsmr_hello_check(longer, sizeof(longer), &domain), DSMR_ERR_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outbox_orders_by_class),
        cmocka_unit_test(test_outbox_is_bounded_by_class),
        cmocka_unit_test(test_every_size_arrives_whole),
        cmocka_unit_test(test_length_over_the_limit_is_refused_unread),
        cmocka_unit_test(test_pings_are_skipped),
        cmocka_unit_test(test_allocation_follows_what_was_sent),
        cmocka_unit_test(test_a_vote_waits_for_one_frame_only),
        cmocka_unit_test(test_small_messages_share_a_run),
        cmocka_unit_test(test_hello),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
