#include "sim/sim_kv.h"

static struct dsmr_sim_kv *of(void *self)
{
    return self;
}

static enum dsmr_err begin(void *self, struct dsmr_kv_txn **out, bool is_write)
{
    const struct dsmr_kv *inner = &of(self)->inner;
    return is_write && of(self)->is_stopped ? DSMR_ERR_IO
                                            : inner->ops->begin(inner->self, out, is_write);
}

static enum dsmr_err commit(void *self, struct dsmr_kv_txn *txn)
{
    struct dsmr_sim_kv *kv = self;
    const struct dsmr_kv *inner = &kv->inner;
    if (kv->state == DSMR_SIM_DISK_OK) {
        return inner->ops->commit(inner->self, txn);
    }
    if (kv->state == DSMR_SIM_DISK_FULL) {
        inner->ops->abort(inner->self, txn);
        return DSMR_ERR_DISK_FULL;
    }
    kv->state = DSMR_SIM_DISK_OK;
    kv->is_stopped = true;
    if (dsmr_prng_below(kv->prng, 2) == 0) {
        (void)inner->ops->commit(inner->self, txn);
    } else {
        inner->ops->abort(inner->self, txn);
    }
    return DSMR_ERR_IO;
}

static void abort_txn(void *self, struct dsmr_kv_txn *txn)
{
    of(self)->inner.ops->abort(of(self)->inner.self, txn);
}

static enum dsmr_err get(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                         const uint8_t **value, size_t *value_len)
{
    return of(self)->inner.ops->get(of(self)->inner.self, txn, key, key_len, value, value_len);
}

static enum dsmr_err put(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                         const void *value, size_t value_len)
{
    return of(self)->inner.ops->put(of(self)->inner.self, txn, key, key_len, value, value_len);
}

static enum dsmr_err del(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len)
{
    return of(self)->inner.ops->del(of(self)->inner.self, txn, key, key_len);
}

static enum dsmr_err seek(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                          bool reverse, const uint8_t **found, size_t *found_len,
                          const uint8_t **value, size_t *value_len)
{
    return of(self)->inner.ops->seek(of(self)->inner.self, txn, key, key_len, reverse, found,
                                     found_len, value, value_len);
}

struct dsmr_kv dsmr_sim_kv_port(struct dsmr_sim_kv *kv)
{
    static const struct dsmr_kv_ops ops = {.begin = begin,
                                           .commit = commit,
                                           .abort = abort_txn,
                                           .get = get,
                                           .put = put,
                                           .del = del,
                                           .seek = seek};
    return (struct dsmr_kv){.self = kv, .ops = &ops};
}

void dsmr_sim_kv_restarted(struct dsmr_sim_kv *kv)
{
    kv->is_stopped = false;
}

bool dsmr_sim_kv_is_bad(const struct dsmr_sim_kv *kv)
{
    return kv->is_stopped || kv->state != DSMR_SIM_DISK_OK;
}
