/* crypto_tasks.c - BLS and hashing on worker threads. A task owns its effect until it is done.
 *
 * A chunk takes two turns: its body among the bulk, its producer's signature among what is urgent,
 * where it is checked together with others (joint_check.h). A small one takes one: a turn costs
 * more than its body. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bitset.h"
#include "driver/driver_state.h"
#include "driver/joint_check.h"
#include "wire/codec.h"

#define SMALL_CHUNK_BYTES (16u << 10) /* its body takes no longer than its signature */

struct crypto_task {
    struct dsmr_joint_task joint; /* its config is constant after start: workers may read it */
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
    const struct dsmr_signer *signer = &t->joint.config->signer;
    t->err = signer->ops == NULL
                 ? DSMR_ERR_UNAVAILABLE
                 : signer->ops->sign_share(signer->self, &t->sig,
                                           &t->joint.config->node.params.domain, &t->fx.u.sign);
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
            txs[i] = dsmr_chunk_tx(chunk, i);
        }
        if (config->app.ops->check(config->app.self, errs, txs, count) != 0)
            err = DSMR_ERR_BAD_TX;
    }
    free(txs);
    free(errs);
    return err;
}

/* The first turn: all but the producer's signature (6.6 before 6.7). */
static void check_body(struct crypto_task *t)
{
    const struct dsmr_params *params = &t->joint.config->node.params;
    struct dsmr_chunk *chunk = NULL;
    enum dsmr_err err = dsmr_chunk_decode(&chunk, params, t->fx.u.verify_chunk.owner,
                                          t->fx.u.verify_chunk.bytes, t->fx.u.verify_chunk.len);
    if (err == DSMR_OK && t->fx.u.verify_chunk.check_txs)
        err = dsmr_chunk_check_txs(chunk, params);
    if (err == DSMR_OK && t->fx.u.verify_chunk.check_txs)
        err = check_app(t->joint.config, chunk);
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
    dsmr_share_signing_bytes(message, &t->joint.config->node.params.domain, &t->fx.u.aggregate.ref);
    t->err = t->joint.config->bls->aggregate(
        &t->sig, &t->signers, &t->bad, t->fx.u.aggregate.set, t->fx.u.aggregate.shares,
        t->fx.u.aggregate.shares_count, message, sizeof message);
}

static void run(struct dsmr_task *task)
{
    struct crypto_task *t = (struct crypto_task *)task;
    if (t->fx.kind == DSMR_FX_SIGN)
        sign(t);
    else
        check_body(t);
}

/* ---- on a worker, perhaps together with others ---- */

static void claim_share(struct crypto_task *t, struct dsmr_joint_check *check,
                        const struct dsmr_validator_set *set, const struct dsmr_bls_sig *sig,
                        const struct dsmr_reference *ref)
{
    dsmr_share_signing_bytes(
        dsmr_joint_check_add(check, set, &t->signers, sig, DSMR_SHARE_SIGNING_BYTES),
        &t->joint.config->node.params.domain, ref);
}

static void claim(struct dsmr_joint_task *joint, struct dsmr_joint_check *check)
{
    struct crypto_task *t = (struct crypto_task *)joint;
    const struct dsmr_effect *fx = &t->fx;
    switch (fx->kind) {
    case DSMR_FX_VERIFY_CHUNK:
        if (t->chunk == NULL)
            check_body(t);
        if (t->chunk == NULL)
            break;
        dsmr_bitset_add(&t->signers, fx->u.verify_chunk.producer);
        claim_share(t, check, fx->u.verify_chunk.set, &fx->u.verify_chunk.producer_sig,
                    &t->chunk->ref);
        break;
    case DSMR_FX_VERIFY_SIG:
        dsmr_bitset_add(&t->signers, fx->u.verify_sig.signer);
        claim_share(t, check, fx->u.verify_sig.set, &fx->u.verify_sig.sig, &fx->u.verify_sig.ref);
        break;
    case DSMR_FX_AGGREGATE:
        t->err = joint->config->bls->sum(&t->sig, &t->signers, &t->bad, fx->u.aggregate.set,
                                         fx->u.aggregate.shares, fx->u.aggregate.shares_count);
        if (t->err == DSMR_OK)
            claim_share(t, check, fx->u.aggregate.set, &t->sig, &fx->u.aggregate.ref);
        break;
    default: /* VERIFY_CERTS */
        for (uint32_t i = 0; i < fx->u.verify_certs.count; i++) {
            const struct dsmr_cert *cert = &fx->u.verify_certs.certs[i];
            dsmr_share_signing_bytes(dsmr_joint_check_add(check, fx->u.verify_certs.sets[i],
                                                          &cert->signers, &cert->sig,
                                                          DSMR_SHARE_SIGNING_BYTES),
                                     &joint->config->node.params.domain, &cert->ref);
        }
        break;
    }
}

static void settle_certs(struct crypto_task *t, enum dsmr_err err, const enum dsmr_err *errs)
{
    uint32_t count = t->fx.u.verify_certs.count;
    t->errs = err == DSMR_OK ? calloc(count, sizeof *t->errs) : NULL;
    t->err = t->errs == NULL ? DSMR_ERR_NO_MEMORY : DSMR_OK;
    if (t->errs != NULL)
        memcpy(t->errs, errs, count * sizeof *t->errs);
}

static void settle(struct dsmr_joint_task *joint, enum dsmr_err err, const enum dsmr_err *errs)
{
    struct crypto_task *t = (struct crypto_task *)joint;
    switch (t->fx.kind) {
    case DSMR_FX_VERIFY_CHUNK:
        if (t->chunk == NULL) { /* its body is bad, or there was no memory to look at it */
            t->err = t->err == DSMR_OK ? err : t->err;
            break;
        }
        t->err = err == DSMR_OK && errs[0] != DSMR_OK ? DSMR_ERR_PRODUCER_KEY : err;
        if (t->err != DSMR_OK) {
            dsmr_chunk_unref(t->chunk);
            t->chunk = NULL;
        }
        break;
    case DSMR_FX_VERIFY_SIG:
        t->err = err == DSMR_OK && errs[0] != DSMR_OK ? DSMR_ERR_BAD_SIGNATURE : err;
        break;
    case DSMR_FX_AGGREGATE: /* 5.5: if the sum is bad, the liars are looked for */
        t->err = t->err == DSMR_OK && err == DSMR_OK ? errs[0] : DSMR_ERR_BAD_SHARE;
        if (t->err != DSMR_OK)
            aggregate(t);
        break;
    default: /* VERIFY_CERTS */
        settle_certs(t, err, errs);
        break;
    }
}

/* ---- back on the logic thread ---- */

/* The second turn of a chunk whose body is good. A closed driver's workers may be gone. */
static bool goes_on(struct dsmr_driver *driver, struct crypto_task *t)
{
    if (t->fx.kind != DSMR_FX_VERIFY_CHUNK || t->chunk == NULL ||
        t->fx.u.verify_chunk.set == NULL || t->joint.task.run_many != NULL ||
        driver->halt != DSMR_OK)
        return false;
    t->joint.task.run = dsmr_joint_check_run;
    t->joint.task.run_many = dsmr_joint_check_run_many;
    driver->config.work.ops->submit(driver->config.work.self, DSMR_WORK_URGENT, &t->joint.task);
    return true;
}

static void done(struct dsmr_task *task, void *owner)
{
    struct crypto_task *t = (struct crypto_task *)task;
    struct dsmr_driver *driver = owner;
    if (goes_on(driver, t))
        return;
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
    bool is_bulk = fx->kind == DSMR_FX_VERIFY_CHUNK &&
                   (fx->u.verify_chunk.set == NULL || fx->u.verify_chunk.len > SMALL_CHUNK_BYTES);
    bool is_plain = fx->kind == DSMR_FX_SIGN || is_bulk;
    t->joint = (struct dsmr_joint_task){
        .task = {.run = is_plain ? run : dsmr_joint_check_run,
                 .run_many = is_plain ? NULL : dsmr_joint_check_run_many,
                 .done = done},
        .config = &driver->config,
        .claims_max = fx->kind == DSMR_FX_VERIFY_CERTS ? fx->u.verify_certs.count : 1,
        .claim = claim,
        .settle = settle,
    };
    t->fx = *fx;
    driver->outstanding++;
    driver->config.work.ops->submit(driver->config.work.self,
                                    is_bulk ? DSMR_WORK_BULK : DSMR_WORK_URGENT, &t->joint.task);
}

/* ---- the engine's votes ---- */

struct vote_task {
    struct dsmr_joint_task joint;
    struct dsmr_bft_effect fx;
    enum dsmr_err err;
    struct dsmr_bls_sig sig;
    struct dsmr_bitset signers, bad;
};

static void aggregate_votes(struct vote_task *t)
{
    uint8_t message[DSMR_VOTE_SIGNING_BYTES];
    dsmr_vote_signing_bytes(message, &t->joint.config->node.params.domain,
                            &t->fx.u.aggregate.subject);
    t->err = t->joint.config->bls->aggregate(&t->sig, &t->signers, &t->bad, t->fx.u.aggregate.set,
                                             t->fx.u.aggregate.votes, t->fx.u.aggregate.votes_count,
                                             message, sizeof message);
}

static void sign_vote(struct dsmr_task *task)
{
    struct vote_task *t = (struct vote_task *)task;
    const struct dsmr_signer *signer = &t->joint.config->signer;
    t->err = signer->ops == NULL
                 ? DSMR_ERR_UNAVAILABLE
                 : signer->ops->sign_vote(signer->self, &t->sig,
                                          &t->joint.config->node.params.domain, &t->fx.u.sign);
}

static void claim_votes(struct dsmr_joint_task *joint, struct dsmr_joint_check *check)
{
    struct vote_task *t = (struct vote_task *)joint;
    const struct dsmr_bft_effect *fx = &t->fx;
    bool is_check = fx->kind == DSMR_BFT_FX_CHECK_QC;
    if (!is_check)
        t->err = joint->config->bls->sum(&t->sig, &t->signers, &t->bad, fx->u.aggregate.set,
                                         fx->u.aggregate.votes, fx->u.aggregate.votes_count);
    if (t->err != DSMR_OK)
        return;
    uint8_t *message = is_check
                           ? dsmr_joint_check_add(check, fx->u.check.set, &fx->u.check.qc.signers,
                                                  &fx->u.check.qc.sig, DSMR_VOTE_SIGNING_BYTES)
                           : dsmr_joint_check_add(check, fx->u.aggregate.set, &t->signers, &t->sig,
                                                  DSMR_VOTE_SIGNING_BYTES);
    dsmr_vote_signing_bytes(message, &joint->config->node.params.domain,
                            is_check ? &fx->u.check.qc.subject : &fx->u.aggregate.subject);
}

static void settle_votes(struct dsmr_joint_task *joint, enum dsmr_err err,
                         const enum dsmr_err *errs)
{
    struct vote_task *t = (struct vote_task *)joint;
    if (t->fx.kind == DSMR_BFT_FX_CHECK_QC) {
        t->err = err == DSMR_OK ? errs[0] : err;
        return;
    }
    t->err = t->err == DSMR_OK && err == DSMR_OK ? errs[0] : DSMR_ERR_BAD_SHARE;
    if (t->err != DSMR_OK)
        aggregate_votes(t); /* the liars are looked for */
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
    bool is_sign = fx->kind == DSMR_BFT_FX_SIGN;
    t->joint = (struct dsmr_joint_task){
        .task = {.run = is_sign ? sign_vote : dsmr_joint_check_run,
                 .run_many = is_sign ? NULL : dsmr_joint_check_run_many,
                 .done = vote_done},
        .config = &driver->config,
        .claims_max = 1,
        .claim = claim_votes,
        .settle = settle_votes,
    };
    t->fx = *fx;
    driver->outstanding++;
    driver->config.work.ops->submit(driver->config.work.self, DSMR_WORK_URGENT, &t->joint.task);
}
