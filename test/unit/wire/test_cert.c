/* test_cert.c - references, signer bitsets, certificates, evidence, votes and quorum certificates:
 * the parts of fixed form, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unit/wire/wire_samples.h"

static void reference_layout(void **state)
{
    (void)state;
    uint8_t bytes[DSMR_REFERENCE_BYTES];
    struct dsmr_reference ref, again;
    struct dsmr_wr wr;
    struct dsmr_rd rd;
    samples_reference(&ref, 1);
    dsmr_wr_init(&wr, bytes, sizeof(bytes));
    dsmr_reference_encode(&wr, &ref);
    assert_int_equal(wr.err, DSMR_OK);
    assert_int_equal(wr.at, sizeof(bytes));
    assert_memory_equal(bytes, ref.chunk_id.bytes, 32);
    assert_int_equal(dsmr_load_be64(bytes + 32), ref.epoch);
    assert_memory_equal(bytes + 40, ref.producer.bytes, 20);
    assert_int_equal(dsmr_load_be64(bytes + 60), ref.slot);
    assert_int_equal(dsmr_load_be64(bytes + 68), ref.expiry_ms);
    assert_int_equal(dsmr_load_be32(bytes + 76), ref.tx_count);
    assert_int_equal(dsmr_load_be32(bytes + 80), ref.chunk_bytes);
    dsmr_rd_init(&rd, bytes, sizeof(bytes));
    dsmr_reference_decode(&rd, &again);
    assert_int_equal(dsmr_rd_end(&rd), DSMR_OK);
    assert_true(dsmr_reference_equal(&again, &ref));
}

static void signing_bytes_layout(void **state)
{
    (void)state;
    struct dsmr_params params;
    struct dsmr_reference ref;
    struct dsmr_vote_subject vote;
    uint8_t share[DSMR_SHARE_SIGNING_BYTES], signed_vote[DSMR_VOTE_SIGNING_BYTES];
    uint8_t expected[DSMR_REFERENCE_BYTES];
    struct dsmr_wr wr;
    samples_params(&params);
    samples_reference(&ref, 1);
    samples_vote(&vote, DSMR_VOTE_NOTARIZE);
    dsmr_share_signing_bytes(share, &params.domain, &ref);
    dsmr_vote_signing_bytes(signed_vote, &params.domain, &vote);
    assert_memory_equal(share, "\0\0\0\x01\x5b\x38", 6);
    assert_memory_equal(share + 6, params.domain.chain_id.bytes, 32);
    assert_memory_equal(share + 38, "\0\0\0\x5a", 4); /* 6 + 84 */
    assert_memory_equal(share + 42, "DSMR\x01\x01", 6);
    dsmr_wr_init(&wr, expected, sizeof(expected));
    dsmr_reference_encode(&wr, &ref);
    assert_memory_equal(share + 48, expected, sizeof(expected));

    assert_memory_equal(signed_vote, share, 38);
    assert_memory_equal(signed_vote + 38, "\0\0\0\x3f", 4); /* 6 + 57 */
    assert_memory_equal(signed_vote + 42, "DSMR\x02\x01", 6);
    assert_int_equal(signed_vote[48], DSMR_VOTE_NOTARIZE);
    assert_int_equal(dsmr_load_be64(signed_vote + 49), vote.epoch);
    assert_int_equal(dsmr_load_be64(signed_vote + 57), vote.view);
    assert_int_equal(dsmr_load_be64(signed_vote + 65), vote.height);
    assert_memory_equal(signed_vote + 73, vote.block_id.bytes, 32);
}

static enum dsmr_err decode_signers(struct dsmr_bitset *out, const void *bytes, size_t len,
                                    uint32_t bits_max)
{
    struct dsmr_rd rd;
    dsmr_rd_init(&rd, bytes, len);
    dsmr_signers_decode(&rd, out, bits_max);
    return dsmr_rd_end(&rd);
}

static void signers_round_trip_at_every_size(void **state)
{
    (void)state;
    for (uint32_t last = 0; last < DSMR_VALIDATORS_MAX; last++) {
        struct dsmr_bitset set = {{0}}, again;
        uint8_t bytes[2 + DSMR_VALIDATORS_MAX / 8];
        struct dsmr_wr wr;
        dsmr_bitset_add(&set, last);
        dsmr_bitset_add(&set, last / 2);
        dsmr_wr_init(&wr, bytes, sizeof(bytes));
        dsmr_signers_encode(&wr, &set);
        assert_int_equal(wr.err, DSMR_OK);
        assert_int_equal(wr.at, 2 + last / 8 + 1);
        assert_int_equal(dsmr_signers_encoded_size(&set), wr.at);
        assert_int_equal(decode_signers(&again, bytes, wr.at, last + 1), DSMR_OK);
        assert_memory_equal(&again, &set, sizeof(set));
        /* one validator fewer in the set, and the highest signer is nobody */
        assert_int_equal(decode_signers(&again, bytes, wr.at, last), DSMR_ERR_BITSET);
        assert_true(dsmr_bitset_is_empty(&again));
    }
}

static void bit_zero_is_the_lowest_of_the_last_byte(void **state)
{
    (void)state;
    struct dsmr_bitset set;
    assert_int_equal(decode_signers(&set, "\0\2\x80\x01", 4, 16), DSMR_OK);
    assert_true(dsmr_bitset_has(&set, 0));
    assert_true(dsmr_bitset_has(&set, 15));
    assert_int_equal(dsmr_bitset_count(&set), 2);
}

static void signers_that_are_not_canonical(void **state)
{
    (void)state;
    struct dsmr_bitset set;
    uint8_t long_set[2 + 129] = {0, 129, 1};
    assert_int_equal(decode_signers(&set, "\0\0", 2, 1024), DSMR_ERR_BITSET);
    assert_int_equal(decode_signers(&set, "\0\1\0", 3, 1024), DSMR_ERR_BITSET);
    assert_int_equal(decode_signers(&set, "\0\2\0\1", 4, 1024), DSMR_ERR_BITSET);
    assert_int_equal(decode_signers(&set, long_set, sizeof(long_set), 1024), DSMR_ERR_BITSET);
    assert_int_equal(decode_signers(&set, "\xff\xff", 2, 1024), DSMR_ERR_BITSET);
    assert_int_equal(decode_signers(&set, "\0\2\1", 3, 1024), DSMR_ERR_MALFORMED);
    assert_int_equal(decode_signers(&set, "\0", 1, 1024), DSMR_ERR_MALFORMED);
    assert_int_equal(decode_signers(&set, "\0\1\1\1", 4, 1024), DSMR_ERR_TRAILING_BYTES);
}

static void certificates_round_trip(void **state)
{
    (void)state;
    static const uint32_t lasts[] = {0, 7, 8, 63, 64, 1023};
    for (size_t i = 0; i < sizeof(lasts) / sizeof(lasts[0]); i++) {
        struct dsmr_cert cert, again;
        uint8_t bytes[DSMR_CERT_BYTES_MAX];
        struct dsmr_wr wr;
        struct dsmr_rd rd;
        struct dsmr_id hash, expected;
        samples_cert(&cert, 9, lasts[i]);
        dsmr_wr_init(&wr, bytes, sizeof(bytes));
        dsmr_cert_encode(&wr, &cert);
        assert_int_equal(wr.err, DSMR_OK);
        assert_int_equal(wr.at, dsmr_cert_encoded_size(&cert));
        for (size_t len = 0; len < wr.at; len++) {
            dsmr_rd_init(&rd, bytes, len);
            dsmr_cert_decode(&rd, &again, DSMR_VALIDATORS_MAX);
            assert_int_equal(dsmr_rd_end(&rd), DSMR_ERR_MALFORMED);
        }
        dsmr_rd_init(&rd, bytes, wr.at);
        dsmr_cert_decode(&rd, &again, lasts[i] + 1);
        assert_int_equal(dsmr_rd_end(&rd), DSMR_OK);
        assert_true(dsmr_reference_equal(&again.ref, &cert.ref));
        assert_memory_equal(&again.signers, &cert.signers, sizeof(cert.signers));
        assert_memory_equal(&again.sig, &cert.sig, sizeof(cert.sig));
        dsmr_cert_hash(&hash, &cert);
        dsmr_hash(&expected, bytes, wr.at);
        assert_memory_equal(&hash, &expected, 32);
    }
}

static void warp_message_is_signed_bytes_and_signature(void **state)
{
    (void)state;
    struct dsmr_params params;
    struct dsmr_cert cert;
    uint8_t message[DSMR_WARP_MESSAGE_BYTES_MAX], signing[DSMR_SHARE_SIGNING_BYTES];
    samples_params(&params);
    samples_cert(&cert, 1, 9);
    size_t len = dsmr_cert_warp_message(message, &params.domain, &cert);
    dsmr_share_signing_bytes(signing, &params.domain, &cert.ref);
    assert_int_equal(len, DSMR_SHARE_SIGNING_BYTES + 4 + 4 + 2 + 96);
    assert_memory_equal(message, signing, sizeof(signing));
    assert_memory_equal(message + sizeof(signing), "\0\0\0\0\0\0\0\2\x02\x01", 10);
    assert_memory_equal(message + sizeof(signing) + 10, cert.sig.bytes, 96);
    samples_cert(&cert, 1, DSMR_VALIDATORS_MAX - 1);
    assert_int_equal(dsmr_cert_warp_message(message, &params.domain, &cert),
                     DSMR_WARP_MESSAGE_BYTES_MAX);
}

static void evidence_is_of_one_slot_and_two_chunks(void **state)
{
    (void)state;
    struct dsmr_evidence evidence, again;
    uint8_t bytes[DSMR_EVIDENCE_BYTES + 1] = {0};
    samples_evidence(&evidence);
    dsmr_evidence_encode(bytes, &evidence);
    assert_int_equal(dsmr_evidence_decode(&again, bytes, DSMR_EVIDENCE_BYTES), DSMR_OK);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(dsmr_reference_equal(&again.refs[i], &evidence.refs[i]));
        assert_memory_equal(&again.sigs[i], &evidence.sigs[i], 96);
    }
    for (size_t len = 0; len < DSMR_EVIDENCE_BYTES; len++) {
        assert_int_equal(dsmr_evidence_decode(&again, bytes, len), DSMR_ERR_MALFORMED);
    }
    assert_int_equal(dsmr_evidence_decode(&again, bytes, DSMR_EVIDENCE_BYTES + 1),
                     DSMR_ERR_TRAILING_BYTES);
    bytes[0]++;
    assert_int_equal(dsmr_evidence_decode(&again, bytes, DSMR_EVIDENCE_BYTES), DSMR_ERR_VERSION);
    struct dsmr_evidence changed[3] = {evidence, evidence, evidence};
    changed[0].refs[1].chunk_id = evidence.refs[0].chunk_id;
    changed[1].refs[1].slot++;
    changed[2].refs[1].producer.bytes[0]++;
    for (unsigned i = 0; i < 3; i++) {
        dsmr_evidence_encode(bytes, &changed[i]);
        assert_int_equal(dsmr_evidence_decode(&again, bytes, DSMR_EVIDENCE_BYTES),
                         DSMR_ERR_MALFORMED);
    }
}

static enum dsmr_err decode_vote(struct dsmr_vote_subject *out, const uint8_t *bytes, size_t len)
{
    struct dsmr_rd rd;
    dsmr_rd_init(&rd, bytes, len);
    dsmr_vote_subject_decode(&rd, out);
    return dsmr_rd_end(&rd);
}

static void votes_have_one_form(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 256; kind++) {
        struct dsmr_vote_subject vote, again;
        uint8_t bytes[DSMR_VOTE_SUBJECT_BYTES];
        struct dsmr_wr wr;
        samples_vote(&vote, (uint8_t)kind);
        dsmr_wr_init(&wr, bytes, sizeof(bytes));
        dsmr_vote_subject_encode(&wr, &vote);
        assert_int_equal(wr.at, sizeof(bytes));
        if (kind < DSMR_VOTE_NOTARIZE || kind > DSMR_VOTE_FINALIZE) {
            assert_int_equal(decode_vote(&again, bytes, sizeof(bytes)), DSMR_ERR_MALFORMED);
            continue;
        }
        assert_int_equal(decode_vote(&again, bytes, sizeof(bytes)), DSMR_OK);
        assert_true(dsmr_vote_subject_equal(&again, &vote));
        for (size_t len = 0; len < sizeof(bytes); len++) {
            assert_int_equal(decode_vote(&again, bytes, len), DSMR_ERR_MALFORMED);
        }
        if (kind == DSMR_VOTE_NULLIFY) {
            bytes[24] = 1; /* a height */
            assert_int_equal(decode_vote(&again, bytes, sizeof(bytes)), DSMR_ERR_NON_CANONICAL);
            bytes[24] = 0;
            bytes[56] = 1; /* a block */
            assert_int_equal(decode_vote(&again, bytes, sizeof(bytes)), DSMR_ERR_NON_CANONICAL);
        }
    }
}

static void votes_compare_every_field(void **state)
{
    (void)state;
    struct dsmr_vote_subject vote, changed[5];
    samples_vote(&vote, DSMR_VOTE_NOTARIZE);
    for (unsigned i = 0; i < 5; i++) {
        changed[i] = vote;
        assert_true(dsmr_vote_subject_equal(&vote, &changed[i]));
    }
    changed[0].epoch++;
    changed[1].view++;
    changed[2].height++;
    changed[3].block_id.bytes[31]++;
    changed[4].kind = DSMR_VOTE_FINALIZE;
    for (unsigned i = 0; i < 5; i++) {
        assert_false(dsmr_vote_subject_equal(&vote, &changed[i]));
    }
}

static void quorum_certificates_round_trip(void **state)
{
    (void)state;
    struct dsmr_quorum_cert qc, again;
    uint8_t bytes[DSMR_QUORUM_CERT_BYTES_MAX];
    struct dsmr_wr wr;
    struct dsmr_rd rd;
    samples_quorum_cert(&qc, DSMR_VOTE_NOTARIZE);
    dsmr_bitset_add(&qc.signers, DSMR_VALIDATORS_MAX - 1);
    dsmr_wr_init(&wr, bytes, sizeof(bytes));
    dsmr_quorum_cert_encode(&wr, &qc);
    assert_int_equal(wr.err, DSMR_OK);
    assert_int_equal(wr.at, DSMR_QUORUM_CERT_BYTES_MAX);
    dsmr_rd_init(&rd, bytes, sizeof(bytes));
    dsmr_quorum_cert_decode(&rd, &again, DSMR_VALIDATORS_MAX);
    assert_int_equal(dsmr_rd_end(&rd), DSMR_OK);
    assert_true(dsmr_vote_subject_equal(&again.subject, &qc.subject));
    assert_memory_equal(&again.signers, &qc.signers, sizeof(qc.signers));
    assert_memory_equal(&again.sig, &qc.sig, sizeof(qc.sig));
}

static void transaction_heads_at_their_limits(void **state)
{
    (void)state;
    static uint8_t bytes[DSMR_TX_BYTES_MAX + 1];
    struct dsmr_tx_head head = {.version = 7};
    bytes[0] = 0xfe;
    dsmr_store_be64(bytes + 1, UINT64_C(0x0102030405060708));
    for (size_t len = 0; len < DSMR_TX_BYTES_MIN; len++) {
        assert_int_equal(dsmr_tx_head_decode(&head, bytes, len), DSMR_ERR_MALFORMED);
        assert_int_equal(head.version, 7); /* untouched */
    }
    assert_int_equal(dsmr_tx_head_decode(&head, bytes, DSMR_TX_BYTES_MIN), DSMR_OK);
    assert_int_equal(head.version, 0xfe);
    assert_true(head.expiry_ms == UINT64_C(0x0102030405060708));
    assert_int_equal(dsmr_tx_head_decode(&head, bytes, DSMR_TX_BYTES_MAX), DSMR_OK);
    assert_int_equal(dsmr_tx_head_decode(&head, bytes, DSMR_TX_BYTES_MAX + 1), DSMR_ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_layout),
        cmocka_unit_test(signing_bytes_layout),
        cmocka_unit_test(signers_round_trip_at_every_size),
        cmocka_unit_test(bit_zero_is_the_lowest_of_the_last_byte),
        cmocka_unit_test(signers_that_are_not_canonical),
        cmocka_unit_test(certificates_round_trip),
        cmocka_unit_test(warp_message_is_signed_bytes_and_signature),
        cmocka_unit_test(evidence_is_of_one_slot_and_two_chunks),
        cmocka_unit_test(votes_have_one_form),
        cmocka_unit_test(votes_compare_every_field),
        cmocka_unit_test(quorum_certificates_round_trip),
        cmocka_unit_test(transaction_heads_at_their_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
