/* crypto_tasks.c - BLS and hashing on worker threads. A task owns its effect until it is done. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "driver/driver_state.h"
#include "wire/codec.h"

struct crypto_task {
    struct dsmr_task task;
    const struct dsmr_driver_config *config; /* constant after start: workers may read it */
    struct dsmr_effect fx;
    enum dsmr_err err;
    struct dsmr_bls_sig sig;
    struct dsmr_bitset signers, bad;
    struct dsmr_chunk *chunk;
    enum dsmr_err *errs;
};

/* ---- on a worker ---- */

static void sign(struct crypto_task *t)
{
    const struct dsmr_signer *signer = &t->config->signer;
    t->err = signer->ops == NULL
                 ? DSMR_ERR_UNAVAILABLE
                 : signer->ops->sign_share(signer->self, &t->sig, &t->config->node.params.domain,
                                           &t->fx.u.sign);
}

static enum dsmr_err verify_share(const struct dsmr_driver_config *config,
                                  const struct dsmr_validator_set *set, uint32_t signer,
                                  const struct dsmr_bls_sig *sig, const struct dsmr_reference *ref)
{
    uint8_t message[DSMR_SHARE_SIGNING_BYTES];
    dsmr_share_signing_bytes(message, &config->node.params.domain, ref);
    return config->bls->verify(set, signer, sig, message, sizeof message);
}

static enum dsmr_err check_app(const struct dsmr_driver_config *config,
                               const struct dsmr_chunk *chunk)
{
    uint32_t count = chunk->header.tx_count;
    struct dsmr_tx_view *txs = malloc(count * sizeof *txs);
    enum dsmr_err *errs = malloc(count * sizeof *errs);
    enum dsmr_err err = txs == NULL || errs == NULL ? DSMR_ERR_NO_MEMORY : DSMR_OK;
    if (err == DSMR_OK) {
        for (uint32_t i = 0; i < count; i++) {
            txs[i].bytes = chunk->bytes + chunk->tx_offsets[i];
            txs[i].len = chunk->tx_lens[i];
        }
        if (config->app.ops->check(config->app.self, errs, txs, count) != 0)
            err = DSMR_ERR_BAD_TX;
    }
    free(txs);
    free(errs);
    return err;
}

static void verify_chunk(struct crypto_task *t)
{
    const struct dsmr_params *params = &t->config->node.params;
    struct dsmr_chunk *chunk = NULL;
    enum dsmr_err err = dsmr_chunk_decode(&chunk, params, t->fx.u.verify_chunk.owner,
                                          t->fx.u.verify_chunk.bytes, t->fx.u.verify_chunk.len);
    /* Cheap to dear: the producer's one signature pays for the transactions' many. */
    if (err == DSMR_OK && t->fx.u.verify_chunk.check_txs)
        err = dsmr_chunk_check_txs(chunk, params);
    if (err == DSMR_OK && t->fx.u.verify_chunk.set != NULL &&
        verify_share(t->config, t->fx.u.verify_chunk.set, t->fx.u.verify_chunk.producer,
                     &t->fx.u.verify_chunk.producer_sig, &chunk->ref) != DSMR_OK)
        err = DSMR_ERR_PRODUCER_KEY;
    if (err == DSMR_OK && t->fx.u.verify_chunk.check_txs)
        err = check_app(t->config, chunk);
    if (err != DSMR_OK) {
        dsmr_chunk_unref(chunk);
        chunk = NULL;
    }
    t->err = err;
    t->chunk = chunk;
}

static void aggregate(struct crypto_task *t)
{
    uint8_t message[DSMR_SHARE_SIGNING_BYTES];
    dsmr_share_signing_bytes(message, &t->config->node.params.domain, &t->fx.u.aggregate.ref);
    t->err = t->config->bls->aggregate(&t->sig, &t->signers, &t->bad, t->fx.u.aggregate.set,
                                       t->fx.u.aggregate.shares, t->fx.u.aggregate.shares_count,
                                       message, sizeof message);
}

static void verify_certs(struct crypto_task *t)
{
    uint32_t count = t->fx.u.verify_certs.count;
    struct dsmr_bls_batch_entry *entries = calloc(count, sizeof *entries);
    uint8_t(*messages)[DSMR_SHARE_SIGNING_BYTES] = malloc(count * sizeof *messages);
    uint8_t *random = malloc(count * 8u);
    t->errs = calloc(count, sizeof *t->errs);
    t->err = DSMR_ERR_NO_MEMORY;
    if (entries != NULL && messages != NULL && random != NULL && t->errs != NULL) {
        for (uint32_t i = 0; i < count; i++) {
            const struct dsmr_cert *cert = &t->fx.u.verify_certs.certs[i];
            dsmr_share_signing_bytes(messages[i], &t->config->node.params.domain, &cert->ref);
            entries[i].set = t->fx.u.verify_certs.sets[i];
            entries[i].signers = &cert->signers;
            entries[i].sig = &cert->sig;
            entries[i].message = messages[i];
            entries[i].len = sizeof messages[i];
        }
        t->config->work.ops->random(t->config->work.self, random, count * 8u);
        t->err = t->config->bls->verify_batch(t->errs, entries, count, random);
    }
    free(entries);
    free(messages);
    free(random);
}

static void run(struct dsmr_task *task)
{
    struct crypto_task *t = (struct crypto_task *)task;
    switch (t->fx.kind) {
    case DSMR_FX_SIGN:
        sign(t);
        break;
    case DSMR_FX_VERIFY_CHUNK:
        verify_chunk(t);
        break;
    case DSMR_FX_VERIFY_SIG:
        t->err = verify_share(t->config, t->fx.u.verify_sig.set, t->fx.u.verify_sig.signer,
                              &t->fx.u.verify_sig.sig, &t->fx.u.verify_sig.ref);
        break;
    case DSMR_FX_AGGREGATE:
        aggregate(t);
        break;
    case DSMR_FX_VERIFY_CERTS:
        verify_certs(t);
        break;
    default:
        DSMR_UNREACHABLE();
    }
}

/* ---- back on the logic thread ---- */

static void done(struct dsmr_task *task, void *owner)
{
    struct crypto_task *t = (struct crypto_task *)task;
    struct dsmr_driver *driver = owner;
    struct dsmr_event event = {.request_id = t->fx.request_id, .err = t->err};
    switch (t->fx.kind) {
    case DSMR_FX_SIGN:
        event.kind = DSMR_EV_SIGNED;
        event.u.sig = t->sig;
        break;
    case DSMR_FX_VERIFY_CHUNK:
        event.kind = DSMR_EV_CHUNK_VERIFIED;
        event.u.chunk = t->chunk;
        break;
    case DSMR_FX_AGGREGATE:
        event.kind = DSMR_EV_AGGREGATED;
        event.u.aggregated.sig = t->sig;
        event.u.aggregated.signers = t->signers;
        event.u.aggregated.bad = t->bad;
        break;
    case DSMR_FX_VERIFY_CERTS:
        event.kind = DSMR_EV_VERIFIED;
        event.u.verified.errs = t->errs;
        event.u.verified.count = t->err == DSMR_OK ? t->fx.u.verify_certs.count : 0;
        break;
    default: /* VERIFY_SIG */
        event.kind = DSMR_EV_VERIFIED;
        event.u.verified.errs = &t->err;
        event.u.verified.count = 1;
        break;
    }
    driver->outstanding--;
    dsmr_driver_core_event(driver, &event);
    struct dsmr_effects one = {.items = &t->fx, .count = 1};
    dsmr_effects_clear(&one);
    dsmr_chunk_unref(t->chunk);
    free(t->errs);
    free(t);
}

void dsmr_crypto_tasks_core(struct dsmr_driver *driver, struct dsmr_effect *fx)
{
    struct crypto_task *t = calloc(1, sizeof *t);
    if (t == NULL) {
        struct dsmr_effects one = {.items = fx, .count = 1};
        dsmr_effects_clear(&one);
        dsmr_driver_halt(driver, DSMR_ERR_NO_MEMORY, "out of memory for a worker's task");
        return;
    }
    t->task.run = run;
    t->task.done = done;
    t->config = &driver->config;
    t->fx = *fx;
    driver->outstanding++;
    driver->config.work.ops->submit(
        driver->config.work.self,
        fx->kind == DSMR_FX_VERIFY_CHUNK ? DSMR_WORK_BULK : DSMR_WORK_URGENT, &t->task);
}

/* ---- the engine's votes ---- */

struct vote_task {
    struct dsmr_task task;
    const struct dsmr_driver_config *config;
    struct dsmr_bft_effect fx;
    enum dsmr_err err;
    struct dsmr_bls_sig sig;
    struct dsmr_bitset signers, bad;
};

static void check_qc(struct vote_task *t, const uint8_t *message, size_t len)
{
    const struct dsmr_quorum_cert *qc = &t->fx.u.check.qc;
    struct dsmr_bls_batch_entry entry = {.set = t->fx.u.check.set,
                                         .signers = &qc->signers,
                                         .sig = &qc->sig,
                                         .message = message,
                                         .len = len};
    uint8_t random[8];
    enum dsmr_err verdict = DSMR_ERR_BAD_SIGNATURE;
    t->config->work.ops->random(t->config->work.self, random, sizeof random);
    t->err = t->config->bls->verify_batch(&verdict, &entry, 1, random);
    if (t->err == DSMR_OK)
        t->err = verdict;
}

static void run_vote(struct dsmr_task *task)
{
    struct vote_task *t = (struct vote_task *)task;
    const struct dsmr_domain *domain = &t->config->node.params.domain;
    const struct dsmr_signer *signer = &t->config->signer;
    uint8_t message[DSMR_VOTE_SIGNING_BYTES];
    switch (t->fx.kind) {
    case DSMR_BFT_FX_SIGN:
        t->err = signer->ops == NULL
                     ? DSMR_ERR_UNAVAILABLE
                     : signer->ops->sign_vote(signer->self, &t->sig, domain, &t->fx.u.sign);
        break;
    case DSMR_BFT_FX_AGGREGATE:
        dsmr_vote_signing_bytes(message, domain, &t->fx.u.aggregate.subject);
        t->err = t->config->bls->aggregate(&t->sig, &t->signers, &t->bad, t->fx.u.aggregate.set,
                                           t->fx.u.aggregate.votes, t->fx.u.aggregate.votes_count,
                                           message, sizeof message);
        break;
    case DSMR_BFT_FX_CHECK_QC:
        dsmr_vote_signing_bytes(message, domain, &t->fx.u.check.qc.subject);
        check_qc(t, message, sizeof message);
        break;
    default:
        DSMR_UNREACHABLE();
    }
}

static void vote_done(struct dsmr_task *task, void *owner)
{
    struct vote_task *t = (struct vote_task *)task;
    struct dsmr_driver *driver = owner;
    struct dsmr_bft_event event = {.request_id = t->fx.request_id, .err = t->err};
    if (t->fx.kind == DSMR_BFT_FX_SIGN) {
        event.kind = DSMR_BFT_EV_SIGNED;
        event.u.sig = t->sig;
    } else if (t->fx.kind == DSMR_BFT_FX_AGGREGATE) {
        event.kind = DSMR_BFT_EV_AGGREGATED;
        event.u.aggregated.sig = t->sig;
        event.u.aggregated.signers = t->signers;
        event.u.aggregated.bad = t->bad;
    } else {
        event.kind = DSMR_BFT_EV_CHECKED;
    }
    driver->outstanding--;
    dsmr_driver_bft_event(driver, &event);
    struct dsmr_bft_effects one = {.items = &t->fx, .count = 1};
    dsmr_bft_effects_clear(&one);
    free(t);
}

void dsmr_crypto_tasks_bft(struct dsmr_driver *driver, struct dsmr_bft_effect *fx)
{
    struct vote_task *t = calloc(1, sizeof *t);
    if (t == NULL) {
        struct dsmr_bft_effects one = {.items = fx, .count = 1};
        dsmr_bft_effects_clear(&one);
        dsmr_driver_halt(driver, DSMR_ERR_NO_MEMORY, "out of memory for a worker's task");
        return;
    }
    t->task.run = run_vote;
    t->task.done = vote_done;
    t->config = &driver->config;
    t->fx = *fx;
    driver->outstanding++;
    driver->config.work.ops->submit(driver->config.work.self, DSMR_WORK_URGENT, &t->task);
}
