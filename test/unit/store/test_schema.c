/* Keys sort as they must, records come back as they went in, and damage never passes. */
#define _GNU_SOURCE
#include "unit/store/store_fixture.h"

#include "base/bytes.h"
#include "store/crc32c.h"
#include "store/schema.h"

static void crc_of_known_values(void **state)
{
    uint8_t bytes[32];

    (void)state;
    /* RFC 3720, B.4. */
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(dsmr_crc32c(0, bytes, sizeof bytes), 0x8a9136aau);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(dsmr_crc32c(0, bytes, sizeof bytes), 0x62a8ab43u);
    for (uint8_t i = 0; i < 32; i++) {
        bytes[i] = i;
    }
    assert_int_equal(dsmr_crc32c(0, bytes, sizeof bytes), 0x46dd794eu);
    assert_int_equal(dsmr_crc32c_portable(0, bytes, sizeof bytes), 0x46dd794eu);
    assert_int_equal(dsmr_crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(dsmr_crc32c(0, NULL, 0), 0);
}

static void crc_of_any_length_in_any_pieces(void **state)
{
    uint8_t bytes[300];

    (void)state;
    fill_body(bytes, sizeof bytes, 5);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        uint32_t whole = dsmr_crc32c(0, bytes, len);
        uint32_t part = dsmr_crc32c(0, bytes, len / 3);
        assert_int_equal(dsmr_crc32c_portable(0, bytes, len), whole);
        assert_int_equal(dsmr_crc32c(part, bytes + len / 3, len - len / 3), whole);
    }
}

/* Long enough for parts that are checked side by side, and ends of all lengths behind them. */
static void crc_of_long_runs(void **state)
{
    static uint8_t bytes[50000];

    (void)state;
    fill_body(bytes, sizeof bytes, 6);
    for (size_t len = 12000; len <= sizeof bytes; len += 3 * 4096 / 24 - 1) {
        uint32_t whole = dsmr_crc32c(0x12345678u, bytes, len);
        assert_int_equal(dsmr_crc32c_portable(0x12345678u, bytes, len), whole);
        bytes[len / 2] ^= 0x10;
        assert_int_not_equal(dsmr_crc32c(0x12345678u, bytes, len), whole);
        bytes[len / 2] ^= 0x10;
    }
}

/* What it copies is what it checks, wherever both lie, with an end of any length behind the parts
 * that go side by side, and a little less than one of them; nothing else is touched. */
static void crc_of_what_is_copied(void **state)
{
    enum { BLOCK = 3 * 4096, BLOCKS = 2, LESS = 8, ENDS = 512, GUARD = 64 };
    static uint8_t from[BLOCKS * BLOCK + ENDS + 8];
    static _Alignas(16) uint8_t to[sizeof from + GUARD];

    (void)state;
    fill_body(from, sizeof from, 7);
    for (size_t blocks = 0; blocks <= BLOCKS; blocks++) {
        size_t first = blocks == 0 ? 0 : blocks * BLOCK - LESS;
        for (size_t len = first; len <= blocks * BLOCK + ENDS; len++) {
            size_t shift = len % 8;
            const uint8_t *at = from + 5 - shift / 2;
            memset(to, 0xa5, sizeof to);
            uint32_t crc = dsmr_crc32c_copy(0x12345678u, to + shift, at, len);
            assert_int_equal(crc, dsmr_crc32c_portable(0x12345678u, at, len));
            assert_memory_equal(to + shift, at, len);
            for (size_t i = 0; i < GUARD; i++) {
                assert_int_equal(to[shift + len + i], 0xa5);
            }
            assert_true(shift == 0 || to[shift - 1] == 0xa5);
        }
    }
}

static int order(const struct dsmr_schema_key *a, const struct dsmr_schema_key *b)
{
    uint32_t len = a->len < b->len ? a->len : b->len;
    int result = memcmp(a->bytes, b->bytes, len);

    return result != 0 ? result : (int)a->len - (int)b->len;
}

static void keys_sort_by_number(void **state)
{
    static const uint64_t numbers[] = {0, 1, 255, 256, 65535, 1ull << 32, UINT64_MAX};
    struct dsmr_schema_key a, b;

    (void)state;
    for (size_t i = 0; i + 1 < sizeof numbers / sizeof numbers[0]; i++) {
        struct dsmr_store_journal low = {.expiry_ms = numbers[i], .slot = UINT64_MAX};
        struct dsmr_store_journal high = {.expiry_ms = numbers[i + 1]};
        dsmr_schema_key_u64(&a, DSMR_SCHEMA_BLOCK, numbers[i]);
        dsmr_schema_key_u64(&b, DSMR_SCHEMA_BLOCK, numbers[i + 1]);
        assert_true(order(&a, &b) < 0);
        memset(low.producer.bytes, 0xff, sizeof low.producer.bytes);
        dsmr_schema_key_journal(&a, &low);
        dsmr_schema_key_journal(&b, &high);
        assert_true(order(&a, &b) < 0);
        /* The bound of "expired before": no entry of that expiry sorts below it. */
        dsmr_schema_key_u64(&a, DSMR_SCHEMA_JOURNAL, numbers[i + 1]);
        assert_true(order(&a, &b) < 0);
    }
}

static void journal_key_round_trip(void **state)
{
    struct dsmr_store_journal entry = {.expiry_ms = 1, .slot = 2, .epoch = 3}, got;
    struct dsmr_schema_key key;

    (void)state;
    memset(entry.producer.bytes, 4, sizeof entry.producer.bytes);
    dsmr_schema_key_journal(&key, &entry);
    assert_int_equal(dsmr_schema_journal_key_decode(&got, key.bytes, key.len), DSMR_OK);
    assert_int_equal(got.expiry_ms, 1);
    assert_int_equal(got.slot, 2);
    assert_true(dsmr_node_id_equal(&got.producer, &entry.producer));
    for (uint32_t len = 0; len < key.len; len++) {
        assert_int_equal(dsmr_schema_journal_key_decode(&got, key.bytes, len), DSMR_ERR_CORRUPT);
    }
    key.bytes[key.len] = 0;
    assert_int_equal(dsmr_schema_journal_key_decode(&got, key.bytes, key.len + 1),
                     DSMR_ERR_CORRUPT);
}

static size_t chunk_record(uint8_t bytes[DSMR_SCHEMA_RECORD_BYTES_MAX], struct dsmr_schema_key *key,
                           struct dsmr_schema_chunk *chunk)
{
    struct dsmr_wr wr;

    memset(chunk, 0, sizeof *chunk);
    chunk->meta = meta_of(6, 777);
    chunk->meta.included_height = 5;
    chunk->meta.included_time_ms = 6;
    chunk->meta.accepted_wall_ms = 7;
    chunk->meta.is_own = true;
    chunk->place = (struct dsmr_schema_place){8, 9, 10, 11};
    dsmr_schema_key_id(key, DSMR_SCHEMA_CHUNK, &chunk->meta.ref.chunk_id);
    dsmr_schema_begin(&wr, bytes, DSMR_SCHEMA_RECORD_BYTES_MAX);
    dsmr_schema_chunk_encode(&wr, chunk);
    assert_true(dsmr_schema_seal(&wr, key->bytes, key->len));
    return wr.at;
}

static void chunk_record_round_trip(void **state)
{
    uint8_t bytes[DSMR_SCHEMA_RECORD_BYTES_MAX];
    struct dsmr_schema_chunk want, got;
    struct dsmr_schema_key key;
    struct dsmr_rd rd;
    size_t len = chunk_record(bytes, &key, &want);

    (void)state;
    assert_int_equal(dsmr_schema_open(&rd, key.bytes, key.len, bytes, len), DSMR_OK);
    dsmr_schema_chunk_decode(&rd, &got);
    assert_int_equal(dsmr_schema_end(&rd), DSMR_OK);
    assert_true(dsmr_reference_equal(&got.meta.ref, &want.meta.ref));
    assert_memory_equal(&got.meta.producer_sig, &want.meta.producer_sig, 96);
    assert_int_equal(got.meta.included_height, 5);
    assert_int_equal(got.meta.included_time_ms, 6);
    assert_int_equal(got.meta.accepted_wall_ms, 7);
    assert_true(got.meta.is_own && got.meta.is_signed);
    assert_memory_equal(&got.place, &want.place, sizeof want.place);
}

static void every_changed_bit_is_noticed(void **state)
{
    uint8_t bytes[DSMR_SCHEMA_RECORD_BYTES_MAX];
    struct dsmr_schema_chunk chunk;
    struct dsmr_schema_key key;
    struct dsmr_rd rd;
    size_t len = chunk_record(bytes, &key, &chunk);

    (void)state;
    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(dsmr_schema_open(&rd, key.bytes, key.len, bytes, len), DSMR_ERR_CORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t bit = 0; bit < key.len * 8; bit++) { /* a record under another key, too */
        key.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(dsmr_schema_open(&rd, key.bytes, key.len, bytes, len), DSMR_ERR_CORRUPT);
        key.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(dsmr_schema_open(&rd, key.bytes, key.len, bytes, cut), DSMR_ERR_CORRUPT);
    }
}

static void records_of_other_versions_or_with_unknown_flags_are_refused(void **state)
{
    uint8_t bytes[DSMR_SCHEMA_RECORD_BYTES_MAX];
    struct dsmr_schema_chunk chunk, got;
    struct dsmr_schema_key key;
    struct dsmr_wr wr;
    struct dsmr_rd rd;
    size_t len = chunk_record(bytes, &key, &chunk);

    (void)state;
    dsmr_wr_init(&wr, bytes, sizeof bytes);
    wr.at = len - DSMR_SCHEMA_TAIL_BYTES;
    bytes[0] = 2;
    assert_true(dsmr_schema_seal(&wr, key.bytes, key.len));
    assert_int_equal(dsmr_schema_open(&rd, key.bytes, key.len, bytes, len), DSMR_ERR_CORRUPT);
    bytes[0] = 1;
    bytes[1 + DSMR_REFERENCE_BYTES + 96 + 24] = 4; /* flags */
    wr.at = len - DSMR_SCHEMA_TAIL_BYTES;
    assert_true(dsmr_schema_seal(&wr, key.bytes, key.len));
    assert_int_equal(dsmr_schema_open(&rd, key.bytes, key.len, bytes, len), DSMR_OK);
    dsmr_schema_chunk_decode(&rd, &got);
    assert_int_equal(dsmr_schema_end(&rd), DSMR_ERR_CORRUPT);
}

static void block_record_counts_are_checked(void **state)
{
    struct test_block *b = block_new(3, 1, 2, 0);
    size_t size = dsmr_schema_block_size(&b->block);
    uint8_t *bytes = malloc(size);
    struct dsmr_schema_block got;
    struct dsmr_schema_key key;
    struct dsmr_wr wr;
    struct dsmr_rd rd;

    (void)state;
    dsmr_schema_key_u64(&key, DSMR_SCHEMA_BLOCK, 3);
    dsmr_schema_begin(&wr, bytes, size);
    dsmr_schema_block_encode(&wr, &b->block, 99);
    assert_true(dsmr_schema_seal(&wr, key.bytes, key.len));
    assert_int_equal(wr.at, size);
    assert_int_equal(dsmr_schema_open(&rd, key.bytes, key.len, bytes, size), DSMR_OK);
    dsmr_schema_block_decode(&rd, &got);
    assert_int_equal(dsmr_schema_end(&rd), DSMR_OK);
    assert_true(dsmr_id_equal(&got.id, &b->block.id));
    assert_int_equal(got.wall_ms, 99);
    assert_int_equal(got.chunks_count, 2);
    assert_memory_equal(got.chunk_ids, b->certs[0].ref.chunk_id.bytes, 32);
    assert_memory_equal(got.bytes, b->block.bytes->bytes, b->block.bytes->len);
    /* A count that leads beyond the end, or over the limit. */
    for (uint64_t count = 3; count <= UINT32_MAX; count = count * 16 + 1) {
        dsmr_store_be32(bytes + 1 + 32 + 16, (uint32_t)count);
        dsmr_wr_init(&wr, bytes, size);
        wr.at = size - DSMR_SCHEMA_TAIL_BYTES;
        assert_true(dsmr_schema_seal(&wr, key.bytes, key.len));
        assert_int_equal(dsmr_schema_open(&rd, key.bytes, key.len, bytes, size), DSMR_OK);
        dsmr_schema_block_decode(&rd, &got);
        assert_int_equal(dsmr_schema_end(&rd), DSMR_ERR_CORRUPT);
    }
    free(bytes);
    block_free(b);
}

static void record_that_does_not_fit_is_not_sealed(void **state)
{
    uint8_t bytes[12];
    struct dsmr_wr wr;

    (void)state;
    dsmr_schema_begin(&wr, bytes, sizeof bytes);
    dsmr_wr_u64(&wr, 1);
    assert_false(dsmr_schema_seal(&wr, "k", 1)); /* 1 + 8 + 4 > 12 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc_of_known_values),
        cmocka_unit_test(crc_of_any_length_in_any_pieces),
        cmocka_unit_test(crc_of_long_runs),
        cmocka_unit_test(crc_of_what_is_copied),
        cmocka_unit_test(keys_sort_by_number),
        cmocka_unit_test(journal_key_round_trip),
        cmocka_unit_test(chunk_record_round_trip),
        cmocka_unit_test(every_changed_bit_is_noticed),
        cmocka_unit_test(records_of_other_versions_or_with_unknown_flags_are_refused),
        cmocka_unit_test(block_record_counts_are_checked),
        cmocka_unit_test(record_that_does_not_fit_is_not_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
