/* store_script.h - a script of writes of all kinds, and the model of what its first ones leave in
 * the store. */
#ifndef DSMR_TEST_UNIT_STORE_SCRIPT_H
#define DSMR_TEST_UNIT_STORE_SCRIPT_H

#include "base/bytes.h"
#include "unit/store/store_fixture.h"

/* ---- the script ---- */

#define CHUNKS 16 /* numbers 1..15 are used */

enum op_kind {
    OP_CHUNK,  /* n; len bytes */
    OP_CERT,   /* n */
    OP_ACCEPT, /* n: height; names the chunks 2n+1 and 2n+2 */
    OP_PROOF,  /* n: evidence */
    OP_GC,     /* drops the chunks n..n+count-1 and the journals of all below n+count */
    OP_RETAIN, /* n: drops the chunks of blocks up to height n */
    OP_BFT,    /* n: key "k<n>" */
    OP_PRUNE,  /* below key "k<n>" */
    OP_WAIT    /* until all before it are done */
};

struct op {
    enum op_kind kind;
    uint64_t n;
    uint32_t len;
    uint32_t count;
};

/* Between two waits the writes go out together and may share a group. */
static const struct op script[] = {
    {OP_ACCEPT, 0, 0, 0},    {OP_WAIT, 0, 0, 0},      {OP_CHUNK, 1, 5000, 0},
    {OP_WAIT, 0, 0, 0},      {OP_CHUNK, 2, 30000, 0}, {OP_CHUNK, 3, 100, 0},
    {OP_CERT, 1, 0, 0},      {OP_BFT, 1, 0, 0},       {OP_CHUNK, 4, 4096, 0},
    {OP_BFT, 2, 0, 0},       {OP_WAIT, 0, 0, 0},      {OP_CERT, 4, 0, 0},
    {OP_ACCEPT, 1, 0, 0},    {OP_WAIT, 0, 0, 0},      {OP_PROOF, 1, 0, 0},
    {OP_CHUNK, 5, 60000, 0}, {OP_GC, 1, 0, 1},        {OP_CHUNK, 6, 60000, 0},
    {OP_WAIT, 0, 0, 0},      {OP_GC, 2, 0, 3},        {OP_WAIT, 0, 0, 0},
    {OP_CHUNK, 7, 1, 0},     {OP_ACCEPT, 2, 0, 0},    {OP_BFT, 3, 0, 0},
    {OP_PRUNE, 3, 0, 0},     {OP_CHUNK, 8, 60000, 0}, {OP_WAIT, 0, 0, 0},
    {OP_GC, 5, 0, 4},        {OP_WAIT, 0, 0, 0},      {OP_CHUNK, 5, 60000, 0},
    {OP_PROOF, 2, 0, 0},     {OP_CHUNK, 9, 20000, 0}, {OP_CERT, 9, 0, 0},
    {OP_WAIT, 0, 0, 0},      {OP_ACCEPT, 3, 0, 0},    {OP_WAIT, 0, 0, 0},
    {OP_RETAIN, 1, 0, 0},    {OP_WAIT, 0, 0, 0},      {OP_CHUNK, 7, 1, 0},
    {OP_CERT, 7, 0, 0},      {OP_WAIT, 0, 0, 0},      {OP_RETAIN, 3, 0, 0},
    {OP_WAIT, 0, 0, 0},
};
#define OPS (sizeof script / sizeof script[0])

static uint32_t len_of(uint64_t n)
{
    for (size_t i = 0; i < OPS; i++) {
        if (script[i].kind == OP_CHUNK && script[i].n == n) {
            return script[i].len;
        }
    }
    return 0;
}

/* One write with all that it borrows. */
struct script_write {
    struct dsmr_store_write write;
    struct chunk_write *chunk;
    struct dsmr_cert cert;
    struct test_block *block;
    struct dsmr_quorum_cert qc;
    struct dsmr_evidence evidence;
    struct dsmr_id ids[CHUNKS];
    char key[8];
};

static void evidence_init(struct dsmr_evidence *e, uint64_t n)
{
    memset(e, 0, sizeof *e);
    e->refs[0] = meta_of(n, 10).ref;
    e->refs[1] = e->refs[0];
    e->refs[1].chunk_id = id_of(n + 500);
}

static void write_init(struct script_write *w, const struct op *op)
{
    memset(w, 0, sizeof *w);
    (void)snprintf(w->key, sizeof w->key, "k%u", (unsigned)op->n % 10u);
    switch (op->kind) {
    case OP_CHUNK:
        w->chunk = chunk_new(op->n, op->len);
        w->write = w->chunk->write;
        break;
    case OP_CERT:
        w->cert = cert_of(op->n, 3);
        w->write.kind = DSMR_STORE_CERT;
        w->write.u.cert = &w->cert;
        break;
    case OP_ACCEPT:
        w->block = block_new(op->n, 2 * op->n + 1, 2, 0);
        w->qc = qc_of(op->n);
        w->write.kind = DSMR_STORE_ACCEPT;
        w->write.u.accept.block = &w->block->block;
        w->write.u.accept.finalization = &w->qc;
        break;
    case OP_PROOF:
        evidence_init(&w->evidence, op->n);
        w->write.kind = DSMR_STORE_EVIDENCE;
        w->write.u.evidence.pair = &w->evidence;
        break;
    case OP_GC:
        for (uint32_t i = 0; i < op->count; i++) {
            w->ids[i] = id_of(op->n + i);
        }
        w->write.kind = DSMR_STORE_GC;
        w->write.u.gc =
            (struct dsmr_store_gc){.floor_ms = meta_of(op->n + op->count, 0).ref.expiry_ms,
                                   .chunks = w->ids,
                                   .chunks_count = op->count,
                                   .drop_journals = true};
        break;
    case OP_RETAIN:
        w->write.kind = DSMR_STORE_GC;
        w->write.u.gc.retained = (struct dsmr_store_retained){
            .is_wanted = true, .height_max = op->n, .time_max_ms = NEVER, .wall_max_ms = NEVER};
        break;
    case OP_BFT:
    case OP_PRUNE:
        w->write.kind = op->kind == OP_BFT ? DSMR_STORE_BFT_PUT : DSMR_STORE_BFT_PRUNE;
        w->write.u.bft.key = (const uint8_t *)w->key;
        w->write.u.bft.key_len = 2;
        w->write.u.bft.value = (const uint8_t *)"vote";
        w->write.u.bft.value_len = 4;
        break;
    case OP_WAIT:
        break;
    }
}

static void write_close(struct script_write *w)
{
    if (w->chunk != NULL) {
        chunk_free(w->chunk);
    }
    if (w->block != NULL) {
        block_free(w->block);
    }
}

/* ---- the model: what the first ops of the script leave ---- */

struct model {
    bool chunk[CHUNKS];
    uint64_t included[CHUNKS];
    bool cert[CHUNKS];
    bool journal[CHUNKS];
    bool key[10];
    uint64_t height; /* NEVER: none */
    uint64_t proofs;
    uint64_t floor_ms;
};

static void model_apply(struct model *m, const struct op *op)
{
    switch (op->kind) {
    case OP_CHUNK:
        m->included[op->n] = m->chunk[op->n] ? m->included[op->n] : NEVER;
        m->chunk[op->n] = true;
        m->journal[op->n] = true;
        break;
    case OP_CERT:
        m->cert[op->n] = true;
        break;
    case OP_ACCEPT:
        m->height = op->n;
        for (uint64_t n = 2 * op->n + 1; n <= 2 * op->n + 2; n++) {
            m->included[n] = m->chunk[n] ? op->n : m->included[n];
        }
        break;
    case OP_PROOF:
        m->proofs++;
        break;
    case OP_GC:
        for (uint64_t n = 0; n < op->n + op->count; n++) {
            m->journal[n] = false;
            m->chunk[n] = n < op->n && m->chunk[n];
            m->cert[n] = n < op->n && m->cert[n];
        }
        m->floor_ms = meta_of(op->n + op->count, 0).ref.expiry_ms;
        break;
    case OP_RETAIN:
        for (uint64_t n = 1; n <= 2 * op->n + 2; n++) {
            m->chunk[n] = false;
            m->cert[n] = false;
        }
        break;
    case OP_BFT:
        m->key[op->n] = true;
        break;
    case OP_PRUNE:
        for (uint64_t n = 0; n < op->n; n++) {
            m->key[n] = false;
        }
        break;
    case OP_WAIT:
        break;
    }
}

static void model_of(struct model *m, size_t ops)
{
    memset(m, 0, sizeof *m);
    m->height = NEVER;
    for (size_t i = 0; i < ops; i++) {
        model_apply(m, &script[i]);
    }
}

/* The list of what waits for a block agrees with the records that it points to. */
static void check_waiting(struct fixture *f, const struct model *m)
{
    struct recovered *r = recover_waiting(f);
    bool chunk[CHUNKS] = {false}, cert[CHUNKS] = {false};

    for (size_t i = 0; i < r->chunks_count; i++) {
        chunk[r->chunks[i].ref.slot] = true;
    }
    for (size_t i = 0; i < r->certs_count; i++) {
        cert[r->certs[i].ref.slot] = true;
    }
    for (size_t n = 0; n < CHUNKS; n++) {
        bool is_waiting = m->chunk[n] && m->included[n] == NEVER;
        assert_int_equal(chunk[n], is_waiting);
        assert_int_equal(cert[n], m->cert[n] && is_waiting);
    }
    free(r);
}

/* What the open store holds, in the model's terms; asserts what must hold whatever happened. */
static void observe(struct fixture *f, struct model *m)
{
    struct recovered *r = recover_all(f);
    struct dsmr_evidence evidence;
    struct dsmr_quorum_cert qc;
    struct dsmr_buf *buf;
    struct dsmr_id id;
    uint64_t cursor = 0, height;
    bool has;

    memset(m, 0, sizeof *m);
    m->floor_ms = r->floor_ms;
    for (size_t i = 0; i < r->journals_count; i++) {
        struct dsmr_id want = id_of(r->journals[i].slot);
        assert_true(dsmr_id_equal(&want, &r->journals[i].chunk_id));
        m->journal[r->journals[i].slot] = true;
    }
    for (size_t i = 0; i < r->chunks_count; i++) {
        uint64_t n = r->chunks[i].ref.slot;
        m->chunk[n] = true;
        m->included[n] = r->chunks[i].included_height;
        assert_int_equal(check_body(f, n, len_of(n)), DSMR_OK); /* "have" means "can serve" */
    }
    for (size_t i = 0; i < r->certs_count; i++) {
        m->cert[r->certs[i].ref.slot] = true;
    }
    for (size_t i = 0; i < r->bft_count; i++) {
        assert_string_equal(r->bft[i][1], "vote");
        m->key[r->bft[i][0][1] - '0'] = true;
    }
    free(r);
    check_waiting(f, m);
    m->height = NEVER;
    if (f->port.ops->last_accepted(f->port.self, &height, &id) == DSMR_OK) {
        m->height = height;
        for (uint64_t h = 0; h <= height; h++) { /* no gap below the pointer */
            assert_int_equal(f->port.ops->load_block(f->port.self, &buf, &qc, &has, h), DSMR_OK);
            assert_true(has);
            dsmr_buf_unref(buf);
        }
    }
    while (f->port.ops->next_evidence(f->port.self, &evidence, &cursor) == DSMR_OK) {
        m->proofs++;
    }
}

static bool model_equal(const struct model *a, const struct model *b)
{
    for (size_t n = 0; n < CHUNKS; n++) {
        if (a->chunk[n] != b->chunk[n] || a->cert[n] != b->cert[n] ||
            a->journal[n] != b->journal[n] || (a->chunk[n] && a->included[n] != b->included[n])) {
            return false;
        }
    }
    return memcmp(a->key, b->key, sizeof a->key) == 0 && a->height == b->height &&
           a->proofs == b->proofs && a->floor_ms == b->floor_ms;
}

/* The prefix of the script, at least min ops, that the store holds; fails the test if there is
 * none. */
static size_t find_prefix(struct fixture *f, size_t min, const char *what, uint64_t at)
{
    struct model seen, model;

    observe(f, &seen);
    for (size_t ops = min; ops <= OPS; ops++) {
        model_of(&model, ops);
        if (model_equal(&seen, &model)) {
            return ops;
        }
    }
    print_error("%s at effect %u: not a prefix of at least %u ops\n", what, (unsigned)at,
                (unsigned)min);
    fail();
    return 0;
}

#endif
