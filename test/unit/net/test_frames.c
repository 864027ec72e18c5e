/* Queues by class, frames out, frames in, and the hello: no sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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
    struct dsmr_outbox_message *message = dsmr_outbox_take(outbox, DSMR_MSG_CLASS_COUNT);
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
    assert_null(dsmr_outbox_take(&outbox, DSMR_MSG_CLASS_COUNT));
}

static void test_outbox_gives_what_is_more_urgent(void **state)
{
    (void)state;
    struct dsmr_outbox outbox;
    dsmr_outbox_init(&outbox);
    assert_int_equal(dsmr_outbox_add(&outbox, make(1, 0, 1), DSMR_MSG_CLASS_CERT, 1000), DSMR_OK);
    assert_null(dsmr_outbox_take(&outbox, DSMR_MSG_CLASS_VOTE));
    assert_null(dsmr_outbox_take(&outbox, DSMR_MSG_CLASS_CERT));
    struct dsmr_outbox_message *cert = dsmr_outbox_take(&outbox, DSMR_MSG_CLASS_CHUNK);
    assert_non_null(cert);
    assert_int_equal(cert->cls, DSMR_MSG_CLASS_CERT);
    dsmr_outbox_message_free(cert);
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

static struct dsmr_outbox_message *take(void *ctx, unsigned end)
{
    return dsmr_outbox_take(ctx, end);
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
        {10, 65527}, {40, 100000}, {16384, 16384}, {1, 300000}, {5, 0},     {70000, 0},
        {65536, 1},  {3, 65520},   {9, 262144},    {65535, 1},  {1, 0}};
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
    for (int mode = 0; mode < 6; mode++) {
        struct pipe *p = pipe_new(400000);
        dsmr_frame_writer_set_slow(&p->writer, mode >= 3);
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(dsmr_outbox_add(&p->outbox,
                                             make(sizes[i][0], sizes[i][1], (uint8_t)(i + 1)),
                                             DSMR_MSG_CLASS_CHUNK, SIZE_MAX),
                             DSMR_OK);
        size_t got = 0;
        for (;;) {
            size_t step =
                mode % 3 == 0 ? 1000000 : 1 + dsmr_prng_below(&p->prng, mode % 3 == 1 ? 50 : 9000);
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
        assert_int_equal(dsmr_frame_reader_oldest(&p->reader), 0);
        pipe_free(p);
    }
}

static void queue(struct pipe *p, size_t head_len, size_t body_len, uint8_t fill,
                  enum dsmr_msg_class cls)
{
    assert_int_equal(dsmr_outbox_add(&p->outbox, make(head_len, body_len, fill), cls, SIZE_MAX),
                     DSMR_OK);
}

/* The next message; moves what it takes, and adds up how much that is. */
static struct dsmr_buf *next_message(struct pipe *p, size_t *moved)
{
    struct dsmr_buf *buf;
    for (;;) {
        assert_int_equal(dsmr_frame_reader_next(&p->reader, &buf), DSMR_OK);
        if (buf != NULL)
            return buf;
        uint64_t before = p->reader.received;
        assert_true(pipe_step(p, 100000));
        *moved += p->reader.received - before;
    }
}

static void is_next(struct pipe *p, size_t head_len, size_t body_len, uint8_t fill)
{
    size_t moved = 0;
    struct dsmr_buf *buf = next_message(p, &moved);
    check_message(buf, head_len, body_len, fill);
    dsmr_buf_unref(buf);
}

/* However long the chunk is: a vote waits for the rest of one piece, and they arrive whole. */
static void vote_overtakes(bool is_slow, size_t moved_max)
{
    struct pipe *p = pipe_new(2u << 20);
    dsmr_frame_writer_set_slow(&p->writer, is_slow);
    queue(p, 4, 1u << 20, 1, DSMR_MSG_CLASS_CHUNK);
    queue(p, 4, 1u << 20, 2, DSMR_MSG_CLASS_CHUNK);
    size_t most = 0;
    for (size_t step = 0; step < 24; step++) {
        assert_true(pipe_step(p, 10000));
        struct dsmr_buf *buf;
        assert_int_equal(dsmr_frame_reader_next(&p->reader, &buf), DSMR_OK);
        assert_null(buf);
        if (step % 3 != 1)
            continue;
        size_t moved = 0;
        queue(p, 50, 0, 77, DSMR_MSG_CLASS_VOTE);
        buf = next_message(p, &moved);
        check_message(buf, 50, 0, 77);
        dsmr_buf_unref(buf);
        most = moved > most ? moved : most;
        assert_int_equal(dsmr_frame_reader_next(&p->reader, &buf), DSMR_OK);
        assert_null(buf);
    }
    assert_in_range(most, moved_max / 4, moved_max);
    is_next(p, 4, 1u << 20, 1);
    is_next(p, 4, 1u << 20, 2);
    assert_false(pipe_step(p, 1));
    pipe_free(p);
}

static void test_a_vote_overtakes_a_chunk_in_flight(void **state)
{
    (void)state;
    vote_overtakes(false, DSMR_FRAME_BYTES_MAX + DSMR_FRAME_RUN_BYTES_MAX);
    vote_overtakes(true, (size_t)2 * DSMR_FRAME_RUN_BYTES_MAX);
}

/* A large message of each class, each queued when the less urgent one is half sent. */
static void test_pieces_of_all_classes_come_together(void **state)
{
    (void)state;
    struct pipe *p = pipe_new(1u << 20);
    for (int cls = DSMR_MSG_CLASS_COUNT - 1; cls >= 0; cls--) {
        queue(p, 4, 300000, (uint8_t)cls, (enum dsmr_msg_class)cls);
        for (size_t before = p->reader.received; p->reader.received < before + 150000;) {
            struct dsmr_buf *buf;
            assert_true(pipe_step(p, 5000));
            assert_int_equal(dsmr_frame_reader_next(&p->reader, &buf), DSMR_OK);
            assert_null(buf);
        }
    }
    for (int cls = 0; cls < DSMR_MSG_CLASS_COUNT; cls++)
        assert_true(p->reader.lanes[cls].wanted > 0);
    assert_int_equal(dsmr_frame_reader_oldest(&p->reader), 1);
    queue(p, 4, 300000, 9, DSMR_MSG_CLASS_VOTE);
    is_next(p, 4, 300000, 0);
    is_next(p, 4, 300000, 9);
    is_next(p, 4, 300000, 1);
    queue(p, 20, 0, 10, DSMR_MSG_CLASS_TX); /* not more urgent than what has begun of its class */
    is_next(p, 4, 300000, 2);
    is_next(p, 4, 300000, 3);
    is_next(p, 20, 0, 10);
    assert_false(pipe_step(p, 1)); /* nothing is left */
    assert_int_equal(dsmr_frame_reader_oldest(&p->reader), 0);
    pipe_free(p);
}

/* Both ends let go of what is half sent. */
static void test_what_is_half_sent_is_freed(void **state)
{
    (void)state;
    struct pipe *p = pipe_new(1u << 20);
    struct dsmr_buf *buf;
    queue(p, 4, 300000, 1, DSMR_MSG_CLASS_TX);
    for (int i = 0; i < 12; i++) {
        assert_true(pipe_step(p, 16384));
        assert_int_equal(dsmr_frame_reader_next(&p->reader, &buf), DSMR_OK);
        if (i == 5)
            queue(p, 4, 300000, 2, DSMR_MSG_CLASS_CERT);
    }
    assert_false(dsmr_frame_writer_add(&p->writer, "x", 1)); /* no ping is needed */
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
    static const uint8_t start[] = {0, 'D', 'S', 'M', 'R', 0, 2, 1, 2, 3, 4, 0xab};
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
    longer[6] = 3; /* a later version may be longer: the version is what is wrong */
    assert_int_equal(dsmr_hello_check(longer, sizeof(longer), &domain), DSMR_ERR_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outbox_orders_by_class),
        cmocka_unit_test(test_outbox_gives_what_is_more_urgent),
        cmocka_unit_test(test_outbox_is_bounded_by_class),
        cmocka_unit_test(test_every_size_arrives_whole),
        cmocka_unit_test(test_a_vote_overtakes_a_chunk_in_flight),
        cmocka_unit_test(test_pieces_of_all_classes_come_together),
        cmocka_unit_test(test_what_is_half_sent_is_freed),
        cmocka_unit_test(test_small_messages_share_a_run),
        cmocka_unit_test(test_hello),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
