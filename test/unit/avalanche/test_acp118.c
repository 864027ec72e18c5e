/* test_acp118.c - standard signature requests: a share that this node has made is given, and
 * nothing else is signed, whatever the request says; and how AvalancheGo makes shares. */
#include <limits.h>
#include <malloc.h>

#include "avalanche/acp118.h"
#include "avalanche/warp_signer.h"
#include "unit/avalanche/fake_avalanche.h"
#include "wire/codec.h"

static struct dsmr_reference shared; /* the one share that this node has made */
static struct dsmr_bls_sig share;
bool dsmr_driver_has_shared(const struct dsmr_driver *driver, struct dsmr_bls_sig *out,
                            const struct dsmr_reference *ref)
{
    (void)driver;
    if (!dsmr_reference_equal(ref, &shared))
        return false;
    *out = share;
    return true;
}

struct rig {
    struct fake *fake;
    struct dsmr_metrics metrics;
    struct dsmr_app_net *net;
    struct dsmr_acp118 acp118;
    struct dsmr_node_id from;
};

static void open_rig(struct rig *rig)
{
    struct dsmr_app_net_config config;
    memset(rig, 0, sizeof *rig);
    rig->fake = fake_new();
    dsmr_app_net_config_default(&config);
    config.node = rig->fake->client;
    config.inbox = fake_inbox(rig->fake);
    config.clock = fake_clock(rig->fake);
    config.metrics = &rig->metrics;
    config.handler = &fake_ignores;
    rig->net = dsmr_app_net_new(&config);
    rig->acp118.net = rig->net;
    rig->acp118.domain.network_id = 88888;
    memset(rig->acp118.domain.chain_id.bytes, 3, 32);
    rig->acp118.metrics = &rig->metrics;
    memset(share.bytes, 0xab, sizeof share.bytes);
    rig->from = fake_id(5);
    memset(&shared, 0, sizeof shared);
    memset(shared.chunk_id.bytes, 1, 32);
    memset(shared.producer.bytes, 2, 20);
    shared.epoch = 4;
    shared.slot = 5;
    shared.expiry_ms = 6;
    shared.tx_count = 7;
    shared.chunk_bytes = 8000;
}

static void close_rig(struct rig *rig)
{
    fake_hang_up(rig->fake);
    dsmr_app_net_free(rig->net);
    fake_free(rig->fake);
}

static void ask(struct rig *rig, const uint8_t *message, size_t len)
{
    Dsmr__Pb__SignatureRequest request = DSMR__PB__SIGNATURE_REQUEST__INIT;
    DSMR_PB_BYTES(&request, message, message, len);
    DSMR_PB_BYTES(&request, justification, "because", 7);
    struct dsmr_buf *bytes = dsmr_pb_bytes(&request.base);
    dsmr_acp118_answer(&rig->acp118, &rig->from, 9, bytes->bytes, bytes->len);
    dsmr_buf_unref(bytes);
}

static void expect_refused(struct rig *rig)
{
    assert_string_equal(fake_next_call(rig->fake)->method, "/appsender.AppSender/SendAppError");
}

/* Asked as often as anybody likes, it is given from memory: AvalancheGo signs nothing for it. */
static void test_a_share_that_was_made(void **state)
{
    struct rig rig;
    uint8_t message[DSMR_SHARE_SIGNING_BYTES];
    (void)state;
    open_rig(&rig);
    dsmr_share_signing_bytes(message, &rig.acp118.domain, &shared);
    for (int i = 0; i < 200; i++) {
        ask(&rig, message, sizeof message);
        const struct fake_call *call = fake_next_call(rig.fake);
        assert_string_equal(call->method, "/appsender.AppSender/SendAppResponse");
        Dsmr__Pb__SendAppResponseMsg *response =
            dsmr__pb__send_app_response_msg__unpack(NULL, call->bytes->len, call->bytes->bytes);
        assert_int_equal(response->request_id, 9);
        Dsmr__Pb__SignatureResponse *signature = dsmr__pb__signature_response__unpack(
            NULL, response->response.len, response->response.data);
        assert_int_equal(signature->signature.len, sizeof share.bytes);
        assert_memory_equal(signature->signature.data, share.bytes, sizeof share.bytes);
        dsmr__pb__signature_response__free_unpacked(signature, NULL);
        dsmr__pb__send_app_response_msg__free_unpacked(response, NULL);
    }
    assert_int_equal(fake_unread(rig.fake), 0);
    close_rig(&rig);
}

static void test_everything_else(void **state)
{
    struct rig rig;
    uint8_t message[DSMR_SHARE_SIGNING_BYTES + 1];
    (void)state;
    open_rig(&rig);
    dsmr_share_signing_bytes(message, &rig.acp118.domain, &shared);
    for (size_t bit = 0; bit < DSMR_SHARE_SIGNING_BYTES * 8u; bit++) {
        message[bit / 8u] ^= (uint8_t)(1u << bit % 8u);
        ask(&rig, message, DSMR_SHARE_SIGNING_BYTES);
        expect_refused(&rig);
        message[bit / 8u] ^= (uint8_t)(1u << bit % 8u);
    }
    for (size_t len = 0; len < DSMR_SHARE_SIGNING_BYTES; len++) {
        ask(&rig, message, len);
        expect_refused(&rig);
    }
    message[DSMR_SHARE_SIGNING_BYTES] = 0;
    ask(&rig, message, sizeof message);
    expect_refused(&rig);
    dsmr_acp118_answer(&rig.acp118, &rig.from, 9, (const uint8_t *)"\x0a\xff", 2);
    expect_refused(&rig);
    dsmr_acp118_answer(&rig.acp118, &rig.from, 9, NULL, 0);
    expect_refused(&rig);
    assert_int_equal(fake_unread(rig.fake), 0);
    close_rig(&rig);
}

static void answer_raw(struct rig *rig, const uint8_t *head, size_t head_len,
                       const uint8_t *message, const char *tail, size_t tail_len)
{
    uint8_t bytes[512];
    memcpy(bytes, head, head_len);
    bytes[head_len] = 0x0a; /* field 1, bytes */
    bytes[head_len + 1] = 0x80 | (DSMR_SHARE_SIGNING_BYTES & 0x7f);
    bytes[head_len + 2] = DSMR_SHARE_SIGNING_BYTES >> 7;
    memcpy(bytes + head_len + 3, message, DSMR_SHARE_SIGNING_BYTES);
    size_t len = head_len + 3 + DSMR_SHARE_SIGNING_BYTES;
    memcpy(bytes + len, tail, tail_len);
    dsmr_acp118_answer(&rig->acp118, &rig->from, 9, bytes, len + tail_len);
}

/* Protobuf's rules: fields that are not known are passed over, of one that comes twice the last
 * counts, and what is no message is refused as a whole. */
static void test_other_fields(void **state)
{
    static const uint8_t head[] = {0x18, 0xff, 0x01,                          /* 3: a number */
                                   0x21, 1,    2,    3,    4,    5, 6,  7, 8, /* 4: 8 bytes */
                                   0x2d, 1,    2,    3,    4,                 /* 5: 4 bytes */
                                   0x32, 2,    9,    9,                       /* 6: bytes */
                                   0x0a, 1,    7,                         /* 1, and not the last */
                                   0xfa, 0xff, 0xff, 0xff, 0x0f, 1, 0x1}; /* the last field */
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"\x08\x01", 2},   {"\x0a\x01", 2}, {"\x1b", 1},
        {"\x00\x00", 2},   {"\x18", 1},     {"\x18\x80\x80", 3},
        {"\x21\1\2\3", 4}, {"\x2d\1", 2},   {"\x0a\x00", 2},
        {"\x32\x7f", 2},   {"\x80\x80", 2}, {"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11}};
    struct rig rig;
    uint8_t message[DSMR_SHARE_SIGNING_BYTES];
    (void)state;
    open_rig(&rig);
    dsmr_share_signing_bytes(message, &rig.acp118.domain, &shared);
    answer_raw(&rig, head, sizeof head, message, "", 0);
    assert_string_equal(fake_next_call(rig.fake)->method, "/appsender.AppSender/SendAppResponse");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        answer_raw(&rig, head, 0, message, bad[i].bytes, bad[i].len);
        expect_refused(&rig);
    }
    assert_int_equal(fake_unread(rig.fake), 0);
    close_rig(&rig);
}

/* What the heap has taken from the system, and not given back as this test says. Sanitizers do not
 * tell, and have a fuzzer for it. */
static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.arena + info.hblkhd;
}

/* A record of each of the peer's fields would be forty times what it sent. */
static void test_a_request_is_not_unpacked(void **state)
{
    enum { LEN = 1 << 20 };
    struct rig rig;
    uint8_t *bytes = malloc(LEN);
    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < LEN; i += 2)
        memcpy(bytes + i, "\x18\x00", 2);
    open_rig(&rig);
    (void)mallopt(M_TRIM_THRESHOLD, INT_MAX);
    size_t before = heap_bytes();
    dsmr_acp118_answer(&rig.acp118, &rig.from, 9, bytes, LEN);
    expect_refused(&rig);
    assert_true(heap_bytes() - before <= LEN);
    close_rig(&rig);
    free(bytes);
}

/* ---- the signer: how AvalancheGo's key makes the shares ---- */

static void test_avalanchego_signs(void **state)
{
    struct rig rig;
    struct dsmr_warp_signer warp;
    struct dsmr_bls_sig sig;
    struct dsmr_vote_subject subject = {.kind = DSMR_VOTE_NULLIFY};
    uint8_t message[DSMR_SHARE_SIGNING_BYTES], again[DSMR_SHARE_SIGNING_BYTES] = {0, 0};
    Dsmr__Pb__SignResponse signed_by_node = DSMR__PB__SIGN_RESPONSE__INIT;
    (void)state;
    open_rig(&rig);
    const struct dsmr_domain *domain = &rig.acp118.domain;
    struct dsmr_signer signer = dsmr_warp_signer_port(&warp, rig.fake->client);
    DSMR_PB_BYTES(&signed_by_node, signature, share.bytes, sizeof share.bytes);
    fake_answer(rig.fake, &signed_by_node.base);
    assert_int_equal(signer.ops->sign_share(signer.self, &sig, domain, &shared), DSMR_OK);
    assert_memory_equal(sig.bytes, share.bytes, sizeof sig.bytes);
    /* AvalancheGo is given the parts of which it makes the very bytes that a share signs. */
    const struct fake_call *call = fake_next_call(rig.fake);
    assert_string_equal(call->method, "/warp.Signer/Sign");
    Dsmr__Pb__SignRequest *sign =
        dsmr__pb__sign_request__unpack(NULL, call->bytes->len, call->bytes->bytes);
    dsmr_share_signing_bytes(message, domain, &shared);
    dsmr_store_be32(again + 2, sign->network_id);
    memcpy(again + 6, sign->source_chain_id.data, 32);
    dsmr_store_be32(again + 38, (uint32_t)sign->payload.len);
    assert_int_equal(42 + sign->payload.len, sizeof message);
    memcpy(again + 42, sign->payload.data, sign->payload.len);
    assert_memory_equal(again, message, sizeof message);
    dsmr__pb__sign_request__free_unpacked(sign, NULL);
    fake_answer(rig.fake, NULL); /* an empty answer is no signature */
    assert_int_equal(signer.ops->sign_share(signer.self, &sig, domain, &shared),
                     DSMR_ERR_UNAVAILABLE);
    rig.fake->failure = "no key";
    assert_int_not_equal(signer.ops->sign_share(signer.self, &sig, domain, &shared), DSMR_OK);
    assert_int_equal(signer.ops->sign_vote(signer.self, &sig, domain, &subject),
                     DSMR_ERR_UNAVAILABLE);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_share_that_was_made),
        cmocka_unit_test(test_everything_else),
        cmocka_unit_test(test_other_fields),
        cmocka_unit_test(test_a_request_is_not_unpacked),
        cmocka_unit_test(test_avalanchego_signs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
