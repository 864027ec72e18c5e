/* test_snow_blocks.c - which blocks AvalancheGo sees, and their bytes. */
#include "unit/avalanche/snow_rig.h"

/* Blocks above AvalancheGo's own last accepted one are nobody's, though the store has them. */
static void test_what_avalanchego_has_not_accepted_is_not_there(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 5, 3);
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(gets(&rig, &rig.chain[i]->id), i <= 3);
    for (uint64_t height = 0; height < 7; height++) {
        size_t before = rig.ended;
        Dsmr__Pb__GetBlockIDAtHeightRequest message = DSMR__PB__GET_BLOCK_IDAT_HEIGHT_REQUEST__INIT;
        DSMR_PB_SET(&message, height, height);
        hand(&rig, dsmr_snow_engine_get_id_at, &message.base);
        ended(&rig, before + 1);
        Dsmr__Pb__GetBlockIDAtHeightResponse *response =
            dsmr__pb__get_block_idat_height_response__unpack(NULL, rig.answer->len,
                                                             rig.answer->bytes);
        assert_int_equal(response->err == DSMR__PB__ERROR__ERROR_NOT_FOUND, height > 3);
        if (height <= 3)
            assert_memory_equal(response->blk_id.data, rig.chain[height]->id.bytes, 32);
        dsmr__pb__get_block_idat_height_response__free_unpacked(response, NULL);
    }
    close_rig(&rig);
}

static void test_parse(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0, 0);
    Dsmr__Pb__ParseBlockRequest message = DSMR__PB__PARSE_BLOCK_REQUEST__INIT;
    for (uint32_t i = 0; i < 3; i++) {
        DSMR_PB_BYTES(&message, bytes, rig.chain[i]->bytes->bytes, rig.chain[i]->bytes->len);
        hand(&rig, dsmr_snow_engine_parse, &message.base);
        ended(&rig, i + 1);
        assert_int_equal(rig.err, DSMR_OK);
        Dsmr__Pb__ParseBlockResponse *response =
            dsmr__pb__parse_block_response__unpack(NULL, rig.answer->len, rig.answer->bytes);
        assert_int_equal(response->height, i);
        assert_memory_equal(response->id.data, rig.chain[i]->id.bytes, 32);
        assert_int_equal(response->parent_id.len, 32);
        dsmr__pb__parse_block_response__free_unpacked(response, NULL);
    }
    DSMR_PB_BYTES(&message, bytes, rig.chain[1]->bytes->bytes, rig.chain[1]->bytes->len - 1);
    hand(&rig, dsmr_snow_engine_parse, &message.base);
    ended(&rig, 4);
    assert_int_equal(rig.err, DSMR_ERR_MALFORMED);
    ProtobufCBinaryData list[3];
    for (uint32_t i = 0; i < 3; i++)
        list[i] =
            (ProtobufCBinaryData){rig.chain[i + 1]->bytes->len, rig.chain[i + 1]->bytes->bytes};
    Dsmr__Pb__BatchedParseBlockRequest batch = DSMR__PB__BATCHED_PARSE_BLOCK_REQUEST__INIT;
    batch.n_request = 3;
    batch.request = list;
    hand(&rig, dsmr_snow_engine_parse_batch, &batch.base);
    ended(&rig, 5);
    Dsmr__Pb__BatchedParseBlockResponse *response =
        dsmr__pb__batched_parse_block_response__unpack(NULL, rig.answer->len, rig.answer->bytes);
    assert_int_equal(response->n_response, 3);
    assert_int_equal(response->response[2]->height, 3);
    dsmr__pb__batched_parse_block_response__free_unpacked(response, NULL);
    list[1].len--;
    hand(&rig, dsmr_snow_engine_parse_batch, &batch.base);
    ended(&rig, 6);
    assert_int_equal(rig.err, DSMR_ERR_MALFORMED);
    assert_int_equal(counted(&rig, DSMR_ERR_MALFORMED), 2); /* the two that do not decode */
    close_rig(&rig);
}

static size_t ancestors(struct rig *rig, const struct dsmr_block *from, int32_t count,
                        int32_t bytes, int64_t ns)
{
    size_t before = rig->ended;
    Dsmr__Pb__GetAncestorsRequest message = DSMR__PB__GET_ANCESTORS_REQUEST__INIT;
    DSMR_PB_BYTES(&message, blk_id, from->id.bytes, 32);
    DSMR_PB_SET(&message, max_blocks_num, count);
    DSMR_PB_SET(&message, max_blocks_size, bytes);
    DSMR_PB_SET(&message, max_blocks_retrival_time, ns);
    hand(rig, dsmr_snow_engine_get_ancestors, &message.base);
    ended(rig, before + 1);
    assert_int_equal(rig->err, DSMR_OK);
    Dsmr__Pb__GetAncestorsResponse *response =
        dsmr__pb__get_ancestors_response__unpack(NULL, rig->answer->len, rig->answer->bytes);
    size_t given = response->n_blks_bytes;
    for (size_t i = 0; i < given; i++)
        assert_memory_equal(response->blks_bytes[i].data,
                            rig->chain[from->height - i]->bytes->bytes,
                            response->blks_bytes[i].len);
    dsmr__pb__get_ancestors_response__free_unpacked(response, NULL);
    return given;
}

static void test_ancestors(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 10, 10);
    int32_t each = (int32_t)rig.chain[5]->bytes->len + 4;
    assert_int_equal(ancestors(&rig, rig.chain[8], 100, 1 << 20, 50000000), 9);
    assert_int_equal(ancestors(&rig, rig.chain[8], 3, 1 << 20, 50000000), 3);
    assert_int_equal(ancestors(&rig, rig.chain[8], 100, each * 4, 50000000), 4);
    assert_int_equal(ancestors(&rig, rig.chain[8], 100, each * 4 - 1, 50000000), 3);
    assert_int_equal(ancestors(&rig, rig.chain[12], 100, 1 << 20, 50000000), 0); /* not there */
    assert_int_equal(ancestors(&rig, rig.chain[8], -1, 1 << 20, 50000000), 0);
    close_rig(&rig);
}

/* However little room or time there is, the block that was asked for comes, and it alone. */
static void test_the_first_ancestor_is_always_given(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 10, 10);
    int32_t each = (int32_t)rig.chain[8]->bytes->len + 4;
    const int32_t small[] = {each, each - 1, 1, 0, -1, INT32_MIN};
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
        assert_int_equal(ancestors(&rig, rig.chain[8], 100, small[i], 50000000), 1);
    const int64_t soon[] = {999999, 0, -1, INT64_MIN};
    for (size_t i = 0; i < sizeof soon / sizeof soon[0]; i++)
        assert_int_equal(ancestors(&rig, rig.chain[8], 100, 1 << 20, soon[i]), 1);
    assert_int_equal(ancestors(&rig, rig.chain[12], 100, 1, 50000000), 0); /* not there */
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_avalanchego_has_not_accepted_is_not_there),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_ancestors),
        cmocka_unit_test(test_the_first_ancestor_is_always_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
