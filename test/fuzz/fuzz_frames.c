/* fuzz_frames.c - bytes of a peer's connection after TLS, in cuts that the input chooses: frames,
 * the first of them the hello.
 *
 * Checks: the messages are those that the lengths say, derived here again; what is allocated is at
 *         most twice what came, or DSMR_FRAME_READER_FREE_BYTES; a hello that is accepted is the
 *         one that this node would send; and what the writer makes of messages is read back. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "net/frame_reader.h"
#include "net/frame_writer.h"
#include "net/hello.h"

enum { LIMIT = 200000, INPUT_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* What the lengths in the stream say; at is moved behind the next message. */
struct expected {
    const uint8_t *bytes;
    size_t len, at;
};

static const uint8_t *expect(struct expected *e, uint32_t *message_len, bool *is_too_large)
{
    *is_too_large = false;
    while (e->len - e->at >= 4) {
        uint32_t n = dsmr_load_be32(e->bytes + e->at);
        if (n > LIMIT) {
            *is_too_large = true;
            return NULL;
        }
        if (n > e->len - e->at - 4) {
            return NULL;
        }
        const uint8_t *message = e->bytes + e->at + 4;
        e->at += 4 + (size_t)n;
        if (n > 0) {
            *message_len = n;
            return message;
        }
    }
    return NULL;
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

static struct dsmr_outbox_message *take(void *ctx)
{
    return dsmr_outbox_take(ctx);
}

/* Writes message as head and body, small runs at a time, and compares. */
static void write_again(const struct dsmr_buf *message, size_t step)
{
    struct dsmr_outbox outbox;
    struct dsmr_frame_writer writer;
    size_t head_len = message->len < 5 ? message->len : 5, at = 0;
    uint8_t length[4];
    struct dsmr_buf *head = dsmr_buf_copy(message->bytes, head_len);
    struct dsmr_buf *body = dsmr_buf_copy(message->bytes + head_len, message->len - head_len);
    must(head != NULL && body != NULL);
    struct dsmr_outbox_message *item =
        dsmr_outbox_message_new(head, body, body->bytes, message->len - (uint32_t)head_len);
    must(item != NULL);
    dsmr_outbox_init(&outbox);
    dsmr_frame_writer_init(&writer);
    must(dsmr_outbox_add(&outbox, item, DSMR_MSG_CLASS_CHUNK, LIMIT * 2) == DSMR_OK);
    dsmr_store_be32(length, message->len);
    for (;;) {
        const uint8_t *run = NULL;
        size_t n = 0;
        dsmr_frame_writer_next(&writer, &run, &n, take, &outbox);
        n = n < step ? n : step;
        if (n == 0) {
            break;
        }
        for (size_t i = 0; i < n; i++, at++) {
            must(run[i] == (at < 4 ? length[at] : message->bytes[at - 4]));
        }
        dsmr_frame_writer_done(&writer, n);
    }
    must(at == 4 + (size_t)message->len);
    dsmr_frame_writer_close(&writer);
    dsmr_buf_unref(head);
    dsmr_buf_unref(body);
}

/* False when the connection is of no further use. */
static bool take_all(struct dsmr_frame_reader *reader, struct expected *e, size_t received)
{
    for (;;) {
        struct dsmr_buf *message = NULL;
        bool is_too_large = false;
        uint32_t len = 0;
        struct expected so_far = {.bytes = e->bytes, .len = received, .at = e->at};
        const uint8_t *wanted = expect(&so_far, &len, &is_too_large);
        enum dsmr_err err = dsmr_frame_reader_next(reader, &message);
        must(err == (is_too_large ? DSMR_ERR_TOO_LARGE : DSMR_OK));
        must((message != NULL) == (wanted != NULL));
        e->at = so_far.at;
        if (message == NULL) {
            return err == DSMR_OK;
        }
        must(message->len == len && memcmp(message->bytes, wanted, len) == 0);
        on_message(message);
        write_again(message, 1 + received % 5000);
        dsmr_buf_unref(message);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct dsmr_frame_reader reader;
    struct expected expected = {.bytes = bytes, .len = len};
    size_t at = 0;
    bool goes_on = len < INPUT_MAX;
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
        must(reader.buf == NULL || reader.buf->len <= DSMR_FRAME_READER_FREE_BYTES ||
             reader.buf->len <= 2 * at);
        must(!goes_on || dsmr_frame_reader_is_partial(&reader) == (expected.at < at));
    }
    dsmr_frame_reader_close(&reader);
    return 0;
}
