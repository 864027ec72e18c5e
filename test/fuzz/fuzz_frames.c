/* fuzz_frames.c - bytes of a peer's connection after TLS, in cuts that the input chooses: frames,
 * the first of them the hello.
 *
 * Checks: the messages are those that the headers say, derived here again; what is allocated is at
 *         most twice what came, and DSMR_FRAME_READER_FREE_BYTES for each message in the making; a
 *         hello that is accepted is the one that this node would send; and what the writer makes of
 *         messages is read back. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "net/frame_reader.h"
#include "net/frame_writer.h"
#include "net/hello.h"

enum { LIMIT = 200000, INPUT_MAX = 1 << 20, WHOLE = DSMR_MSG_CLASS_COUNT };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* What docs/transport.md, section 5, says of the stream; at is moved behind what was read of it. */
struct expected_lane {
    size_t len, total; /* total 0: no message has begun */
    uint8_t bytes[LIMIT];
};
struct expected {
    const uint8_t *bytes;
    size_t at, left; /* left: bytes of the frame at hand, which are for lane */
    uint32_t lane;
    struct expected_lane lanes[WHOLE + 1];
};

static struct expected expected;

static enum dsmr_err expect_header(struct expected *e)
{
    uint32_t kind = e->bytes[e->at];
    size_t n = dsmr_load_be32(e->bytes + e->at) & 0xffffffu;
    bool is_begin = kind >= 16 && kind < 16 + WHOLE, is_piece = kind >= 32 && kind < 32 + WHOLE;
    e->at += 4;
    if (kind != 0 && !is_begin && !is_piece) {
        return DSMR_ERR_MALFORMED;
    }
    if (n > (is_begin ? LIMIT : 65536)) {
        return DSMR_ERR_TOO_LARGE;
    }
    e->lane = kind == 0 ? WHOLE : kind % 16;
    struct expected_lane *lane = &e->lanes[e->lane];
    if (is_begin) {
        if (lane->total > 0 || n < 65537) {
            return DSMR_ERR_MALFORMED;
        }
        lane->total = n;
        return DSMR_OK;
    }
    if (is_piece && (n == 0 || lane->total == 0 || lane->len + n > lane->total)) {
        return DSMR_ERR_MALFORMED;
    }
    if (kind == 0) {
        lane->total = n;
    }
    e->left = n;
    return DSMR_OK;
}

/* The next message in the first len bytes of the stream: its lane, or NULL. */
static struct expected_lane *expect(struct expected *e, size_t len, enum dsmr_err *err)
{
    *err = DSMR_OK;
    for (;;) {
        struct expected_lane *lane = &e->lanes[e->lane];
        size_t n = len - e->at < e->left ? len - e->at : e->left;
        memcpy(lane->bytes + lane->len, e->bytes + e->at, n);
        lane->len += n;
        e->at += n;
        e->left -= n;
        if (e->left > 0) {
            return NULL;
        }
        if (n > 0 && lane->len == lane->total) {
            return lane;
        }
        if (len - e->at < 4 || *err != DSMR_OK) {
            return NULL;
        }
        *err = expect_header(e);
        if (*err != DSMR_OK) {
            return NULL;
        }
    }
}

static bool is_expecting(const struct expected *e)
{
    for (size_t i = 0; i <= WHOLE; i++) {
        if (e->lanes[i].total > 0) {
            return true;
        }
    }
    return false;
}

static void on_message(const struct dsmr_buf *message)
{
    const struct dsmr_domain domain = {.network_id = 0x01020304};
    uint8_t own[DSMR_HELLO_BYTES];
    dsmr_hello_encode(own, &domain);
    if (dsmr_hello_check(message->bytes, message->len, &domain) == DSMR_OK) {
        must(message->len == sizeof(own) && memcmp(message->bytes, own, sizeof(own)) == 0);
    }
}

/* ---- and back ---- */

static struct dsmr_outbox_message *take(void *ctx, unsigned end)
{
    return dsmr_outbox_take(ctx, end);
}

/* Writes message as head and body, small runs at a time, reads it back and compares. */
static void write_again(const uint8_t *bytes, size_t len, size_t step)
{
    static struct dsmr_frame_writer writer;
    static struct dsmr_frame_reader reader;
    struct dsmr_outbox outbox;
    struct dsmr_buf *message = NULL;
    size_t head_len = len < 5 ? len : 5;
    struct dsmr_buf *head = dsmr_buf_copy(bytes, head_len);
    struct dsmr_buf *body = dsmr_buf_copy(bytes + head_len, len - head_len);
    must(head != NULL && body != NULL);
    struct dsmr_outbox_message *item =
        dsmr_outbox_message_new(head, body, body->bytes, (uint32_t)(len - head_len));
    must(item != NULL);
    dsmr_outbox_init(&outbox);
    dsmr_frame_writer_init(&writer);
    dsmr_frame_reader_init(&reader, LIMIT);
    must(dsmr_outbox_add(&outbox, item, DSMR_MSG_CLASS_CHUNK, LIMIT * 2) == DSMR_OK);
    while (message == NULL) {
        const uint8_t *run = NULL;
        uint8_t *space = NULL;
        size_t n = 0, room = 0;
        dsmr_frame_writer_next(&writer, &run, &n, take, &outbox);
        must(n > 0);
        dsmr_frame_reader_space(&reader, &space, &room);
        n = n < step ? n : step;
        n = n < room ? n : room;
        memcpy(space, run, n);
        dsmr_frame_reader_fill(&reader, n);
        dsmr_frame_writer_done(&writer, n);
        must(dsmr_frame_reader_next(&reader, &message) == DSMR_OK);
    }
    must(message->len == len && memcmp(message->bytes, bytes, len) == 0);
    must(dsmr_frame_reader_oldest(&reader) == 0);
    dsmr_frame_writer_close(&writer);
    dsmr_frame_reader_close(&reader);
    dsmr_buf_unref(message);
    dsmr_buf_unref(head);
    dsmr_buf_unref(body);
}

/* False when the connection is of no further use. */
static bool take_all(struct dsmr_frame_reader *reader, struct expected *e, size_t received)
{
    for (;;) {
        struct dsmr_buf *message = NULL;
        enum dsmr_err wanted_err = DSMR_OK;
        struct expected_lane *wanted = expect(e, received, &wanted_err);
        must(dsmr_frame_reader_next(reader, &message) == wanted_err);
        must((message != NULL) == (wanted != NULL));
        if (message == NULL) {
            return wanted_err == DSMR_OK;
        }
        must(message->len == wanted->len &&
             memcmp(message->bytes, wanted->bytes, wanted->len) == 0);
        on_message(message);
        write_again(message->bytes, message->len, 1 + received % 5000);
        wanted->len = wanted->total = 0;
        dsmr_buf_unref(message);
    }
}

static void check_memory(const struct dsmr_frame_reader *reader, size_t received)
{
    size_t sum = 0, allowed = 2 * received;
    for (size_t i = 0; i < DSMR_FRAME_READER_LANES; i++) {
        if (reader->lanes[i].buf != NULL) {
            sum += reader->lanes[i].buf->len;
            allowed += DSMR_FRAME_READER_FREE_BYTES;
        }
    }
    must(sum <= allowed);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct dsmr_frame_reader reader;
    size_t at = 0;
    bool goes_on = len < INPUT_MAX;
    expected.bytes = bytes;
    expected.at = expected.left = 0;
    expected.lane = WHOLE;
    for (size_t i = 0; i <= WHOLE; i++) {
        expected.lanes[i].len = expected.lanes[i].total = 0;
    }
    dsmr_frame_reader_init(&reader, LIMIT);
    while (goes_on && at < len) {
        size_t cut = 1 + (size_t)bytes[at] * (bytes[at] % 8 == 0 ? 97u : 1u);
        uint8_t *space = NULL;
        size_t room = 0;
        dsmr_frame_reader_space(&reader, &space, &room);
        must(room > 0);
        cut = cut < len - at ? cut : len - at;
        cut = cut < room ? cut : room;
        memcpy(space, bytes + at, cut);
        dsmr_frame_reader_fill(&reader, cut);
        at += cut;
        goes_on = take_all(&reader, &expected, at);
        check_memory(&reader, at);
        bool is_half_way = is_expecting(&expected) || expected.at < at;
        must(!goes_on || (dsmr_frame_reader_oldest(&reader) != 0) == is_half_way);
    }
    dsmr_frame_reader_close(&reader);
    return 0;
}
