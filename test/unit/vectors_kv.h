/* vectors_kv.h - every record of a state store as a vector "PREFIX.KEY": see vectors.h. */
#ifndef DSMR_TEST_UNIT_VECTORS_KV_H
#define DSMR_TEST_UNIT_VECTORS_KV_H

#include "ports/kv.h"
#include "unit/vectors.h"

static VECTORS_UNUSED void vectors_add_kv(const char *prefix, const struct dsmr_kv *kv)
{
    struct dsmr_kv_txn *snapshot = NULL;
    uint8_t from[DSMR_KV_KEY_BYTES_MAX + 1] = {0};
    const uint8_t *key, *value;
    size_t from_len = 1, key_len, value_len;
    assert_int_equal(kv->ops->begin(kv->self, &snapshot, false), DSMR_OK);
    while (from_len <= DSMR_KV_KEY_BYTES_MAX &&
           kv->ops->seek(kv->self, snapshot, from, from_len, false, &key, &key_len, &value,
                         &value_len) == DSMR_OK) {
        char name[64 + 2 * DSMR_KV_KEY_BYTES_MAX + 1];
        int at = snprintf(name, 64, "%s.", prefix);
        assert_in_range(at, 1, 63);
        dsmr_hex_encode(name + at, key, key_len);
        vectors_add(name, value, value_len);
        memcpy(from, key, key_len); /* the next key is at least this with a zero behind */
        from[key_len] = 0;
        from_len = key_len + 1;
    }
    kv->ops->abort(kv->self, snapshot);
}

#endif
