#include "wire/submit_frame.h"

#include "base/assert.h"
#include "base/bytes.h"

#define HELLO_MAGIC 0x44534d52u /* "DSMR" */

enum dsmr_err dsmr_submit_frame_peek(size_t *frame_len, const uint8_t *bytes, size_t len)
{
    *frame_len = 0;
    if (len < DSMR_SUBMIT_FRAME_HEAD_BYTES) {
        return DSMR_ERR_NOT_YET;
    }
    uint32_t inner = dsmr_load_be32(bytes);
    if (inner == 0) {
        return DSMR_ERR_MALFORMED;
    }
    if (inner > DSMR_SUBMIT_FRAME_BYTES_MAX) {
        return DSMR_ERR_TOO_LARGE;
    }
    *frame_len = DSMR_SUBMIT_FRAME_HEAD_BYTES + (size_t)inner;
    return len < *frame_len ? DSMR_ERR_NOT_YET : DSMR_OK;
}

static void start(struct dsmr_wr *wr, uint8_t *out, size_t capacity, uint8_t type, size_t frame_len)
{
    dsmr_wr_init(wr, out, capacity);
    dsmr_wr_u32(wr, (uint32_t)(frame_len - DSMR_SUBMIT_FRAME_HEAD_BYTES));
    dsmr_wr_u8(wr, type);
}

void dsmr_submit_frame_hello_encode(uint8_t out[DSMR_SUBMIT_FRAME_HELLO_BYTES],
                                    const struct dsmr_submit_frame_hello *hello)
{
    struct dsmr_wr wr;
    start(&wr, out, DSMR_SUBMIT_FRAME_HELLO_BYTES, DSMR_SUBMIT_FRAME_HELLO,
          DSMR_SUBMIT_FRAME_HELLO_BYTES);
    dsmr_wr_u32(&wr, HELLO_MAGIC);
    dsmr_wr_u16(&wr, DSMR_SUBMIT_FRAME_VERSION);
    dsmr_wr_u32(&wr, hello->domain.network_id);
    dsmr_wr_bytes(&wr, hello->domain.chain_id.bytes, sizeof(hello->domain.chain_id.bytes));
    dsmr_wr_u8(&wr, hello->wants);
    DSMR_ASSERT(wr.err == DSMR_OK && wr.at == DSMR_SUBMIT_FRAME_HELLO_BYTES);
}

void dsmr_submit_frame_welcome_encode(uint8_t out[DSMR_SUBMIT_FRAME_WELCOME_BYTES],
                                      const struct dsmr_submit_frame_welcome *welcome)
{
    struct dsmr_wr wr;
    start(&wr, out, DSMR_SUBMIT_FRAME_WELCOME_BYTES, DSMR_SUBMIT_FRAME_WELCOME,
          DSMR_SUBMIT_FRAME_WELCOME_BYTES);
    dsmr_wr_u16(&wr, DSMR_SUBMIT_FRAME_VERSION);
    dsmr_wr_u32(&wr, welcome->frame_bytes_max);
    dsmr_wr_u32(&wr, welcome->frame_txs_max);
    dsmr_wr_u32(&wr, welcome->in_flight_max);
    DSMR_ASSERT(wr.err == DSMR_OK && wr.at == DSMR_SUBMIT_FRAME_WELCOME_BYTES);
}

void dsmr_submit_frame_error_encode(uint8_t out[DSMR_SUBMIT_FRAME_ERROR_BYTES], enum dsmr_err err)
{
    struct dsmr_wr wr;
    start(&wr, out, DSMR_SUBMIT_FRAME_ERROR_BYTES, DSMR_SUBMIT_FRAME_ERROR,
          DSMR_SUBMIT_FRAME_ERROR_BYTES);
    dsmr_wr_u16(&wr, (uint16_t)err);
    DSMR_ASSERT(wr.err == DSMR_OK && wr.at == DSMR_SUBMIT_FRAME_ERROR_BYTES);
}

void dsmr_submit_frame_submit_head(uint8_t out[DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES],
                                   uint64_t first_seq, uint32_t count, uint32_t payload_bytes)
{
    struct dsmr_wr wr;
    start(&wr, out, DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES, DSMR_SUBMIT_FRAME_SUBMIT,
          DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES + (size_t)payload_bytes);
    dsmr_wr_u64(&wr, first_seq);
    dsmr_wr_u32(&wr, count);
    DSMR_ASSERT(wr.err == DSMR_OK && wr.at == DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES);
}

void dsmr_submit_frame_notice_head(uint8_t out[DSMR_SUBMIT_FRAME_NOTICE_HEAD_BYTES],
                                   enum dsmr_submit_frame_type type, uint64_t height,
                                   uint32_t runs_count)
{
    struct dsmr_wr wr;
    start(&wr, out, DSMR_SUBMIT_FRAME_NOTICE_HEAD_BYTES, (uint8_t)type,
          DSMR_SUBMIT_FRAME_NOTICE_HEAD_BYTES + (size_t)runs_count * DSMR_SUBMIT_FRAME_RUN_BYTES);
    dsmr_wr_u64(&wr, height);
    DSMR_ASSERT(wr.err == DSMR_OK && wr.at == DSMR_SUBMIT_FRAME_NOTICE_HEAD_BYTES);
}

void dsmr_submit_frame_run_encode(uint8_t out[DSMR_SUBMIT_FRAME_RUN_BYTES],
                                  const struct dsmr_submit_run *run)
{
    dsmr_store_be64(out, run->first_seq);
    dsmr_store_be32(out + 8, run->count);
    dsmr_store_be32(out + 12, run->code);
}

enum dsmr_err dsmr_submit_frame_hello_decode(struct dsmr_submit_frame_hello *out,
                                             const uint8_t *payload, size_t len)
{
    struct dsmr_rd rd;
    struct dsmr_submit_frame_hello hello;
    dsmr_rd_init(&rd, payload, len);
    if (dsmr_rd_u32(&rd) != HELLO_MAGIC) {
        dsmr_rd_fail(&rd, DSMR_ERR_MALFORMED);
    }
    if (dsmr_rd_u16(&rd) != DSMR_SUBMIT_FRAME_VERSION) {
        dsmr_rd_fail(&rd, DSMR_ERR_VERSION);
    }
    hello.domain.network_id = dsmr_rd_u32(&rd);
    dsmr_rd_bytes(&rd, hello.domain.chain_id.bytes, sizeof(hello.domain.chain_id.bytes));
    hello.wants = dsmr_rd_u8(&rd);
    if ((hello.wants & ~(DSMR_SUBMIT_FRAME_WANT_CERTIFIED | DSMR_SUBMIT_FRAME_WANT_EXECUTED)) !=
        0) {
        dsmr_rd_fail(&rd, DSMR_ERR_NON_CANONICAL);
    }
    enum dsmr_err err = dsmr_rd_end(&rd);
    if (err == DSMR_OK) {
        *out = hello;
    }
    return err;
}

enum dsmr_err dsmr_submit_frame_welcome_decode(struct dsmr_submit_frame_welcome *out,
                                               const uint8_t *payload, size_t len)
{
    struct dsmr_rd rd;
    struct dsmr_submit_frame_welcome welcome;
    dsmr_rd_init(&rd, payload, len);
    if (dsmr_rd_u16(&rd) != DSMR_SUBMIT_FRAME_VERSION) {
        dsmr_rd_fail(&rd, DSMR_ERR_VERSION);
    }
    welcome.frame_bytes_max = dsmr_rd_u32(&rd);
    welcome.frame_txs_max = dsmr_rd_u32(&rd);
    welcome.in_flight_max = dsmr_rd_u32(&rd);
    enum dsmr_err err = dsmr_rd_end(&rd);
    if (err == DSMR_OK) {
        *out = welcome;
    }
    return err;
}

enum dsmr_err dsmr_submit_frame_error_decode(enum dsmr_err *out, const uint8_t *payload, size_t len)
{
    struct dsmr_rd rd;
    dsmr_rd_init(&rd, payload, len);
    uint16_t code = dsmr_rd_u16(&rd);
    enum dsmr_err err = dsmr_rd_end(&rd);
    if (err == DSMR_OK) {
        *out = (enum dsmr_err)code;
    }
    return err;
}

enum dsmr_err dsmr_submit_frame_submit_decode(uint64_t *first_seq, uint32_t *count,
                                              const uint8_t *payload, size_t len)
{
    struct dsmr_rd rd;
    dsmr_rd_init(&rd, payload, len);
    uint64_t seq = dsmr_rd_u64(&rd);
    uint32_t n = dsmr_rd_u32(&rd);
    if (n == 0 || seq > UINT64_MAX - n) {
        dsmr_rd_fail(&rd, DSMR_ERR_MALFORMED);
    } else if (n > DSMR_SUBMIT_FRAME_TXS_MAX) {
        dsmr_rd_fail(&rd, DSMR_ERR_TOO_LARGE);
    }
    for (uint32_t i = 0; i < n && rd.err == DSMR_OK; i++) {
        uint32_t tx_len = dsmr_rd_u32(&rd);
        if (tx_len < DSMR_TX_BYTES_MIN) {
            dsmr_rd_fail(&rd, DSMR_ERR_MALFORMED);
        } else if (tx_len > DSMR_TX_BYTES_MAX) {
            dsmr_rd_fail(&rd, DSMR_ERR_TOO_LARGE);
        } else {
            (void)dsmr_rd_view(&rd, tx_len);
        }
    }
    enum dsmr_err err = dsmr_rd_end(&rd);
    if (err == DSMR_OK) {
        *first_seq = seq;
        *count = n;
    }
    return err;
}

enum dsmr_err dsmr_submit_frame_notice_decode(uint64_t *height, uint32_t *runs_count,
                                              const uint8_t *payload, size_t len)
{
    if (len < 8 || (len - 8) % DSMR_SUBMIT_FRAME_RUN_BYTES != 0) {
        return DSMR_ERR_MALFORMED;
    }
    *height = dsmr_load_be64(payload);
    *runs_count = (uint32_t)((len - 8) / DSMR_SUBMIT_FRAME_RUN_BYTES);
    return DSMR_OK;
}

void dsmr_submit_frame_run_decode(struct dsmr_submit_run *out, const uint8_t *bytes)
{
    out->first_seq = dsmr_load_be64(bytes);
    out->count = dsmr_load_be32(bytes + 8);
    out->code = dsmr_load_be32(bytes + 12);
}
