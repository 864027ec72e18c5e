#include "sim/sim_verdicts.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "dsmr/buf.h"

#define ASKED_TOGETHER 64u

struct verdict {
    struct dsmr_buf *bytes; /* NULL: free */
    enum dsmr_err err;
};
struct dsmr_sim_verdicts {
    struct verdict places[DSMR_SIM_VERDICTS];
};

struct dsmr_sim_verdicts *dsmr_sim_verdicts_new(void)
{
    struct dsmr_sim_verdicts *verdicts = calloc(1, sizeof(*verdicts));
    DSMR_ASSERT(verdicts != NULL);
    return verdicts;
}

void dsmr_sim_verdicts_free(struct dsmr_sim_verdicts *verdicts)
{
    for (uint32_t i = 0; i < DSMR_SIM_VERDICTS; i++) {
        dsmr_buf_unref(verdicts->places[i].bytes);
    }
    free(verdicts);
}

/* By the middle of the signature at the end, which looks random; if it is not, places are shared
 * and verdicts forgotten sooner. */
static struct verdict *place_of(struct dsmr_sim_verdicts *verdicts, const struct dsmr_tx_view *tx)
{
    uint64_t word = tx->len < 24 ? 0 : dsmr_load_be64(tx->bytes + tx->len - 24);
    return &verdicts->places[word % DSMR_SIM_VERDICTS];
}

static bool is_of(const struct verdict *verdict, const struct dsmr_tx_view *tx)
{
    return verdict->bytes != NULL && verdict->bytes->len == tx->len &&
           memcmp(verdict->bytes->bytes, tx->bytes, tx->len) == 0;
}

static void remember(struct dsmr_sim_verdicts *verdicts, const struct dsmr_tx_view *tx,
                     enum dsmr_err err)
{
    struct verdict *verdict = place_of(verdicts, tx);
    dsmr_buf_unref(verdict->bytes);
    *verdict = (struct verdict){.bytes = dsmr_buf_copy(tx->bytes, tx->len), .err = err};
    DSMR_ASSERT(verdict->bytes != NULL);
}

void dsmr_sim_verdicts_vouch(struct dsmr_sim_verdicts *verdicts, const struct dsmr_tx_view *tx)
{
    remember(verdicts, tx, DSMR_OK);
}

struct unknown { /* what has to be asked for */
    uint32_t count;
    uint32_t indexes[ASKED_TOGETHER];
    struct dsmr_tx_view txs[ASKED_TOGETHER];
};

static void ask(struct dsmr_sim_verdicts *verdicts, const struct dsmr_app *app, enum dsmr_err *errs,
                struct unknown *unknown)
{
    enum dsmr_err answers[ASKED_TOGETHER];
    if (unknown->count == 0) {
        return;
    }
    (void)app->ops->check(app->self, answers, unknown->txs, unknown->count);
    for (uint32_t i = 0; i < unknown->count; i++) {
        errs[unknown->indexes[i]] = answers[i];
        remember(verdicts, &unknown->txs[i], answers[i]);
    }
    unknown->count = 0;
}

uint32_t dsmr_sim_verdicts_check(struct dsmr_sim_verdicts *verdicts, const struct dsmr_app *app,
                                 enum dsmr_err *errs, const struct dsmr_tx_view *txs,
                                 uint32_t count)
{
    struct unknown unknown = {.count = 0};
    uint32_t bad = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct verdict *verdict = place_of(verdicts, &txs[i]);
        if (is_of(verdict, &txs[i])) {
            errs[i] = verdict->err;
            continue;
        }
        unknown.indexes[unknown.count] = i;
        unknown.txs[unknown.count++] = txs[i];
        if (unknown.count == ASKED_TOGETHER) {
            ask(verdicts, app, errs, &unknown);
        }
    }
    ask(verdicts, app, errs, &unknown);
    for (uint32_t i = 0; i < count; i++) {
        bad += errs[i] != DSMR_OK;
    }
    return bad;
}
