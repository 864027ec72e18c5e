/* fuzz_bft_journal.c - any records as the engine's journal: taken or refused as damaged, and what
 * was taken lets the engine start.
 *
 * How:    the input is a row of {shape, length, value}. The shape makes a key of small numbers, or
 *         the record is one that an engine would write, with fields of the input's choice.
 * Checks: no assertion fails at the start nor in the ticks after it; nothing is accepted, because
 *         nothing is known to be valid. */
#include <stdlib.h>
#include <string.h>

#include "base/bitset.h"
#include "base/bytes.h"
#include "bft/bft.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { MEMBERS = 4, KEY_BYTES = 17, BOUNDARY = 3, RECORDS_MAX = 64 };

struct record {
    uint8_t key[KEY_BYTES];
    uint8_t value[1024];
    size_t len;
};

static struct dsmr_params params;
static struct dsmr_block *blocks[4]; /* genesis and three on it */
static struct dsmr_bft_schedule_entry schedule[2];

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static struct dsmr_validator_set *make_set(uint64_t epoch)
{
    struct dsmr_validator_set *set =
        calloc(1, sizeof(*set) + MEMBERS * sizeof(struct dsmr_validator));
    must(set != NULL);
    set->refs = 1;
    set->count = MEMBERS;
    set->epoch = epoch;
    set->total_weight = MEMBERS;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        set->validators[i].public_key.bytes[0] = (uint8_t)i;
        set->validators[i].weight = 1;
        set->validators[i].node_ids_count = 1;
        set->validators[i].node_ids[0].bytes[0] = (uint8_t)(i + 1);
    }
    return set;
}

static void begin(void)
{
    dsmr_params_default(&params);
    must(dsmr_block_genesis(&blocks[0], &params, 1000) == DSMR_OK);
    for (uint32_t i = 1; i < 4; i++) {
        const struct dsmr_block *parent = blocks[i == 3 ? 1 : i - 1];
        const struct dsmr_block fields = {.parent_id = parent->id,
                                          .height = parent->height + 1,
                                          .time_ms = 1000 + i,
                                          .epoch = parent->height + 1 < BOUNDARY ? 0 : BOUNDARY};
        must(dsmr_block_build(&blocks[i], &params, &fields) == DSMR_OK);
    }
    schedule[0].set = make_set(0);
    schedule[1] =
        (struct dsmr_bft_schedule_entry){.from_height = BOUNDARY, .set = make_set(BOUNDARY)};
}

static void make_key(uint8_t key[KEY_BYTES], uint64_t epoch, uint64_t view, uint8_t kind)
{
    dsmr_store_be64(key, epoch);
    dsmr_store_be64(key + 8, view);
    key[16] = kind;
}

static size_t make_cert(uint8_t *value, size_t size, const struct dsmr_vote_subject *subject,
                        uint8_t signers)
{
    struct dsmr_quorum_cert qc = {.subject = *subject};
    struct dsmr_wr wr;
    for (uint32_t i = 0; i < 5; i++) {
        if (signers >> i & 1) {
            dsmr_bitset_add(&qc.signers, i);
        }
    }
    dsmr_wr_init(&wr, value, size);
    dsmr_wr_u8(&wr, 1);
    dsmr_quorum_cert_encode(&wr, &qc);
    return wr.err == DSMR_OK ? wr.at : 0;
}

/* The record of an own vote; its length. with_cert: it stands in it, behind the vote itself. */
static size_t make_vote(uint8_t *value, const struct dsmr_vote_subject *subject,
                        const struct dsmr_block *block, uint8_t more, bool with_cert)
{
    size_t len = 1 + 8 + 32;
    memset(value, 0, len);
    value[0] = with_cert ? 2 : 1;
    if (subject->kind != DSMR_VOTE_NULLIFY) {
        dsmr_store_be64(value + 1, block->height);
        memcpy(value + 9, block->id.bytes, 32);
    }
    if (subject->kind == DSMR_VOTE_NOTARIZE) {
        dsmr_store_be64(value + len, more % 4);
        memcpy(value + len + 8, block->parent_id.bytes, 32);
        len += 8 + 32;
    }
    if (with_cert) {
        struct dsmr_vote_subject below = *subject;
        uint8_t cert[1 + DSMR_QUORUM_CERT_BYTES_MAX];
        if (subject->kind != DSMR_VOTE_FINALIZE) {
            below.view--;
            below.kind = 1 + more % 3;
        } else if (more % 8 != 0) {
            below.kind = DSMR_VOTE_NOTARIZE;
        }
        if (below.kind != DSMR_VOTE_NULLIFY) {
            below.height = block->height;
            below.block_id = block->id;
        }
        size_t size = make_cert(cert, sizeof(cert), &below, more % 16 == 0 ? more : 7);
        memcpy(value + len, cert + 1, size - 1);
        len += size - 1;
    }
    if (subject->kind == DSMR_VOTE_NOTARIZE && more < 128) {
        memcpy(value + len, block->bytes->bytes, block->bytes->len);
        len += block->bytes->len;
    }
    return len;
}

/* Makes a record of what stands at the start of in; returns how much that was. */
static size_t make_record(struct record *out, const uint8_t *in, size_t len)
{
    uint8_t shape = in[0], kind = in[2] % 9, more = in[3];
    const struct dsmr_block *block = blocks[more / 4 % 4];
    uint64_t epoch = shape & 64 ? BOUNDARY : 0, view = in[1] % 12;
    make_key(out->key, epoch, shape & 32 ? UINT64_MAX - view : view, kind);
    if (kind == 7 && shape & 1) {
        make_key(out->key, UINT64_MAX, UINT64_MAX, kind);
        out->value[0] = 1;
        dsmr_store_be64(out->value + 1, epoch);
        dsmr_store_be64(out->value + 9, more % 8);
        out->len = 17;
    } else if (shape & 1 && kind >= 1 && kind <= 3) {
        struct dsmr_vote_subject subject = {.epoch = epoch, .view = view, .kind = kind};
        out->len = make_vote(out->value, &subject, block, more, (shape & 4) != 0);
    } else if (shape & 1 && kind >= 4 && kind <= 6) {
        struct dsmr_vote_subject subject = {.epoch = epoch, .view = view, .kind = kind - 3};
        if (subject.kind != DSMR_VOTE_NULLIFY) {
            subject.height = block->height;
            subject.block_id = block->id;
        }
        out->len = make_cert(out->value, sizeof(out->value), &subject, shape & 2 ? more : 7);
    } else {
        size_t n = len > 4 ? in[4] : 0;
        out->len = n < len - 4 ? n : len - 4;
        memcpy(out->value, in + 4, out->len);
        return 4 + out->len;
    }
    return 4;
}

static int compare(const void *a, const void *b)
{
    return memcmp(((const struct record *)a)->key, ((const struct record *)b)->key, KEY_BYTES);
}

/* As the store does: by key, each once. */
static void restore_all(struct dsmr_bft *bft, const uint8_t *bytes, size_t len)
{
    static struct record records[RECORDS_MAX];
    size_t count = 0;
    for (size_t at = 0; len - at >= 4 && count < RECORDS_MAX;) {
        at += make_record(&records[count++], bytes + at, len - at);
    }
    qsort(records, count, sizeof(records[0]), compare);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && compare(&records[i], &records[i - 1]) == 0) {
            continue;
        }
        enum dsmr_err err = dsmr_bft_restore(bft, records[i].key, KEY_BYTES, records[i].value,
                                             (uint32_t)records[i].len);
        must(err == DSMR_OK || err == DSMR_ERR_CORRUPT);
    }
}

static void step(struct dsmr_bft *bft, struct dsmr_bft_effects *effects, uint64_t now_ms,
                 enum dsmr_bft_event_kind kind)
{
    struct dsmr_bft_event event = {.kind = kind, .mono_ms = now_ms};
    event.u.wanted = true;
    dsmr_bft_step(bft, effects, &event);
    dsmr_bft_check(bft);
    for (uint32_t i = 0; i < effects->count; i++) {
        must(effects->items[i].kind != DSMR_BFT_FX_ACCEPT);
    }
    dsmr_bft_effects_clear(effects);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct dsmr_bft_effects effects;
    if (blocks[0] == NULL) {
        begin();
    }
    const struct dsmr_bft_config config = {.params = params,
                                           .node_id = schedule[0].set->validators[0].node_ids[0],
                                           .schedule = schedule,
                                           .schedule_count = 2,
                                           .view_timeout_ms = 100,
                                           .view_timeout_max_ms = 800,
                                           .retry_ms = 40,
                                           .seed = 9,
                                           .last_accepted = blocks[len % 3]};
    struct dsmr_bft *bft = dsmr_bft_new(&config);
    must(bft != NULL && dsmr_bft_effects_init(&effects) == DSMR_OK);
    restore_all(bft, bytes, len);
    step(bft, &effects, 1000, DSMR_BFT_EV_START);
    step(bft, &effects, 1000, DSMR_BFT_EV_WANTED);
    for (uint64_t i = 1; i < 8; i++) {
        step(bft, &effects, 1000 + 400 * i, DSMR_BFT_EV_TICK);
    }
    dsmr_bft_effects_close(&effects);
    dsmr_bft_free(bft);
    return 0;
}
