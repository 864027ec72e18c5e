#include "driver/exec_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "driver/exec_table.h"
#include "wire/cursor.h"

#define VERSION 2u /* 1: longer entries */
#define FAN_BITS DSMR_EXEC_TABLE_FAN_BITS
#define FAN (1u << FAN_BITS)
#define LEVELS_MAX DSMR_EXEC_TABLE_LEVELS_MAX /* 16^10 blocks */
#define HEIGHT_BITS 40u
#define INDEX_BITS DSMR_EXEC_TABLE_INDEX_BITS
#define PART_BYTES (8u * 4096u - 16u) /* and LMDB's header: eight whole pages */
#define STEP_ENTRIES 16384u
#define STEP_ENTRIES_MIN 2048u
#define STEP_COST 512u /* of a step besides its entries: finding 16 inputs */
#define CLEAN_COST 64u
#define DROPS_MAX 64u
#define RUN_KEY_BYTES (2u + 1u + 8u + 8u)
#define STATE_BYTES_MAX (1u + 2u + 1u + LEVELS_MAX * 8u)

_Static_assert(DSMR_BLOCK_TXS_LIMIT <= 1u << INDEX_BITS, "a place names any transaction");
_Static_assert((uint64_t)DSMR_BLOCK_TXS_LIMIT *DSMR_EXEC_INDEX_TX_BYTES <= DSMR_KV_VALUE_BYTES_MAX,
               "the table of a block fits into one value");

struct index {
    const struct dsmr_kv *kv;
    struct dsmr_kv_txn *txn;
    uint16_t dirty; /* bit: runs of this level may be left that a complete one replaces */
    uint64_t done[LEVELS_MAX + 1]; /* complete runs by level; of level 0, blocks */
};

/* ---- keys and values ---- */

static size_t make_key(uint8_t key[RUN_KEY_BYTES], uint32_t level, uint64_t number, uint64_t prefix)
{
    key[0] = DSMR_KV_SPACE_EXEC;
    if (level == 0) {
        key[1] = 'p';
        dsmr_store_be64(key + 2, number);
        return 10;
    }
    key[1] = 'm';
    key[2] = (uint8_t)level;
    dsmr_store_be64(key + 3, number);
    dsmr_store_be64(key + 11, prefix);
    return RUN_KEY_BYTES;
}

/* The table at or beside the key, if it is one of this level. Which number it has is the caller's
 * question. UNKNOWN: none. */
static enum dsmr_err seek_table(const struct index *x, struct dsmr_exec_table *out, uint32_t level,
                                uint64_t number, uint64_t prefix, bool reverse)
{
    uint8_t key[RUN_KEY_BYTES];
    const uint8_t *found, *value;
    size_t found_len, len, key_len = make_key(key, level, number, prefix);
    enum dsmr_err err = x->kv->ops->seek(x->kv->self, x->txn, key, key_len, reverse, &found,
                                         &found_len, &value, &len);
    if (err != DSMR_OK)
        return err;
    if (found_len != key_len || found[0] != key[0] || found[1] != key[1] ||
        (level > 0 && found[2] != key[2]))
        return DSMR_ERR_UNKNOWN;
    return dsmr_exec_table_open(out, level, dsmr_load_be64(found + (level == 0 ? 2 : 3)), value,
                                len);
}

/* The same of one run. */
static enum dsmr_err seek_run(const struct index *x, struct dsmr_exec_table *out, uint32_t level,
                              uint64_t number, uint64_t prefix, bool reverse)
{
    enum dsmr_err err = seek_table(x, out, level, number, prefix, reverse);
    return err == DSMR_OK && out->number != number ? DSMR_ERR_UNKNOWN : err;
}

static enum dsmr_err del_table(const struct index *x, const struct dsmr_exec_table *table)
{
    uint8_t key[RUN_KEY_BYTES];
    size_t key_len =
        make_key(key, table->level, table->number, dsmr_exec_table_at(table, 0).prefix);
    return x->kv->ops->del(x->kv->self, x->txn, key, key_len);
}

/* ---- how far the runs are ---- */

static size_t make_state_key(uint8_t key[2])
{
    key[0] = DSMR_KV_SPACE_EXEC;
    key[1] = 'i';
    return 2;
}

static enum dsmr_err load_state(struct index *x, const struct dsmr_kv *kv, struct dsmr_kv_txn *txn)
{
    uint8_t key[2];
    const uint8_t *value;
    size_t len;
    memset(x, 0, sizeof *x);
    x->kv = kv;
    x->txn = txn;
    enum dsmr_err err = kv->ops->get(kv->self, txn, key, make_state_key(key), &value, &len);
    if (err != DSMR_OK)
        return err == DSMR_ERR_UNKNOWN ? DSMR_OK : err;
    struct dsmr_rd rd;
    dsmr_rd_init(&rd, value, len);
    uint8_t version = dsmr_rd_u8(&rd);
    if (rd.err == DSMR_OK && version != VERSION)
        return version > VERSION ? DSMR_ERR_NEWER_FORMAT : DSMR_ERR_VERSION;
    x->dirty = dsmr_rd_u16(&rd);
    uint32_t levels = dsmr_rd_u8(&rd);
    if (levels > LEVELS_MAX)
        return DSMR_ERR_CORRUPT;
    for (uint32_t level = 1; level <= levels; level++)
        x->done[level] = dsmr_rd_u64(&rd);
    if (dsmr_rd_end(&rd) != DSMR_OK)
        return DSMR_ERR_CORRUPT;
    for (uint32_t level = 1; level <= LEVELS_MAX; level++) {
        if (x->done[level] > UINT64_C(1) << (HEIGHT_BITS - FAN_BITS * level) ||
            (level > 1 && x->done[level] << FAN_BITS > x->done[level - 1]))
            return DSMR_ERR_CORRUPT;
    }
    return DSMR_OK;
}

static enum dsmr_err save_state(const struct index *x)
{
    uint8_t key[2], bytes[STATE_BYTES_MAX];
    struct dsmr_wr wr;
    uint32_t levels = 0;
    while (levels < LEVELS_MAX && x->done[levels + 1] > 0)
        levels++;
    dsmr_wr_init(&wr, bytes, sizeof bytes);
    dsmr_wr_u8(&wr, VERSION);
    dsmr_wr_u16(&wr, x->dirty);
    dsmr_wr_u8(&wr, (uint8_t)levels);
    for (uint32_t level = 1; level <= levels; level++)
        dsmr_wr_u64(&wr, x->done[level]);
    if (wr.err != DSMR_OK)
        return wr.err;
    return x->kv->ops->put(x->kv->self, x->txn, key, make_state_key(key), bytes, wr.at);
}

/* First number of a level that no complete run of the next one has. */
static uint64_t first_number(const struct index *x, uint32_t level)
{
    return level == LEVELS_MAX ? 0 : x->done[level + 1] << FAN_BITS;
}

/* ---- merging ---- */

struct input {
    struct dsmr_exec_table table;
    uint32_t at;
    bool is_over;
};

struct merge {
    struct index *x;
    uint32_t level;  /* of the inputs */
    uint64_t number; /* of the output */
    uint64_t low;    /* all prefixes below have been taken */
    struct input inputs[FAN];
    uint64_t *keys, *places; /* by position */
    uint32_t count, room;
};

/* Goes on to the next part where one ends. */
static enum dsmr_err settle(const struct index *x, struct input *input)
{
    const struct dsmr_exec_table *table = &input->table;
    if (input->at == table->count && table->level > 0) {
        uint64_t last = dsmr_exec_table_at(table, table->count - 1).prefix;
        struct dsmr_exec_table part;
        enum dsmr_err err = seek_run(x, &part, table->level, table->number, last + 1, false);
        if (err == DSMR_OK) {
            input->table = part;
            input->at = 0;
        } else if (err != DSMR_ERR_UNKNOWN) {
            return err;
        }
    }
    input->is_over = input->at == table->count;
    return DSMR_OK;
}

/* Opens the run at its first entry that has not been taken. */
static enum dsmr_err open_input(struct merge *m, struct input *input, uint64_t number)
{
    enum dsmr_err err = DSMR_ERR_UNKNOWN;
    input->is_over = true;
    if (m->low > 0) /* the part in which it would be */
        err = seek_run(m->x, &input->table, m->level, number, m->low, true);
    if (err == DSMR_ERR_UNKNOWN)
        err = seek_run(m->x, &input->table, m->level, number, 0, false);
    if (err != DSMR_OK) /* nothing was executed there, or it was dropped */
        return err == DSMR_ERR_UNKNOWN ? DSMR_OK : err;
    input->at = dsmr_exec_table_lower_bound(&input->table, m->low);
    return settle(m->x, input);
}

/* Where the output ends so far. */
static enum dsmr_err find_end(struct merge *m)
{
    struct dsmr_exec_table last;
    enum dsmr_err err = seek_run(m->x, &last, m->level + 1, m->number, UINT64_MAX, true);
    if (err == DSMR_OK)
        m->low = dsmr_exec_table_at(&last, last.count - 1).prefix + 1;
    return err == DSMR_ERR_UNKNOWN ? DSMR_OK : err;
}

static enum dsmr_err make_room(struct merge *m, uint32_t more)
{
    if (more <= m->room - m->count)
        return DSMR_OK;
    uint64_t room = (uint64_t)m->count + more;
    if (room > 1u << DSMR_EXEC_TABLE_POSITION_BITS) /* so many ids do not begin alike */
        return DSMR_ERR_CORRUPT;
    room = room > 2 * (uint64_t)m->room ? room : 2 * (uint64_t)m->room;
    uint64_t *keys = realloc(m->keys, room * sizeof *keys);
    m->keys = keys != NULL ? keys : m->keys;
    uint64_t *places = realloc(m->places, room * sizeof *places);
    m->places = places != NULL ? places : m->places;
    if (keys == NULL || places == NULL)
        return DSMR_ERR_NO_MEMORY;
    m->room = (uint32_t)room;
    return DSMR_OK;
}

/* Takes what an input has up to bound. CORRUPT if it is not sorted. */
static enum dsmr_err take_up_to(struct merge *m, struct input *input, uint64_t bound)
{
    const uint64_t first = (uint64_t)(input - m->inputs) << dsmr_exec_table_place_bits(m->level);
    uint64_t low = m->low;
    enum dsmr_err err = DSMR_OK;
    while (err == DSMR_OK && !input->is_over) {
        const struct dsmr_exec_table *table = &input->table;
        uint32_t end = dsmr_exec_table_lower_bound(table, bound + 1);
        err = make_room(m, end > input->at ? end - input->at : 0);
        for (; err == DSMR_OK && input->at < end; input->at++) {
            struct dsmr_exec_entry entry = dsmr_exec_table_at(table, input->at);
            if (entry.prefix < low || entry.place >> dsmr_exec_table_place_bits(m->level) != 0)
                return DSMR_ERR_CORRUPT;
            low = entry.prefix;
            m->keys[m->count] = dsmr_exec_table_key(entry.prefix, m->count);
            m->places[m->count] = first | entry.place;
            m->count++;
        }
        if (err != DSMR_OK || end < table->count)
            return err;
        err = settle(m->x, input);
        low++; /* parts end between different prefixes */
    }
    return err;
}

/* Takes the smallest entries of all inputs: max / FAN of one of them, if it has so many, and no
 * more of the others but those of equal prefixes, which are never parted. */
static enum dsmr_err take(struct merge *m, bool *is_complete, uint32_t max)
{
    enum dsmr_err err = DSMR_OK;
    uint64_t bound = DSMR_EXEC_TABLE_PREFIX_MAX;
    uint32_t before = m->count;
    bool was_over = true;
    for (uint32_t i = 0; i < FAN; i++) {
        const struct input *input = &m->inputs[i];
        if (input->is_over)
            continue;
        was_over = false;
        uint32_t left = input->table.count - input->at;
        uint32_t last = input->at + (left < max / FAN ? left : max / FAN) - 1;
        uint64_t prefix = dsmr_exec_table_at(&input->table, last).prefix;
        bound = prefix < bound ? prefix : bound;
    }
    *is_complete = true;
    for (uint32_t i = 0; i < FAN && err == DSMR_OK; i++) {
        err = take_up_to(m, &m->inputs[i], bound);
        *is_complete = *is_complete && m->inputs[i].is_over;
    }
    if (err == DSMR_OK && !was_over && m->count == before)
        return DSMR_ERR_CORRUPT; /* an input is not sorted */
    m->low = bound + 1;
    return err;
}

/* Writes what was taken, in parts that end between different prefixes. */
static enum dsmr_err put_parts(struct merge *m)
{
    const uint32_t entry_bytes = dsmr_exec_table_entry_bytes(m->level + 1);
    const uint32_t part = PART_BYTES / entry_bytes;
    uint8_t key[RUN_KEY_BYTES];
    uint8_t *bytes = malloc((size_t)m->count * entry_bytes);
    uint64_t *scratch = malloc(m->count * sizeof *scratch);
    enum dsmr_err err = bytes == NULL || scratch == NULL ? DSMR_ERR_NO_MEMORY : DSMR_OK;
    if (err == DSMR_OK)
        dsmr_exec_table_sort(m->keys, scratch, m->count);
    for (uint32_t from = 0; err == DSMR_OK && from < m->count;) {
        uint32_t end = m->count - from > part ? from + part : m->count;
        while (end < m->count && dsmr_exec_table_key_prefix(m->keys[end]) ==
                                     dsmr_exec_table_key_prefix(m->keys[end - 1]))
            end++;
        dsmr_exec_table_write(bytes, m->keys + from, m->places, m->level + 1, end - from);
        size_t key_len =
            make_key(key, m->level + 1, m->number, dsmr_exec_table_key_prefix(m->keys[from]));
        err = m->x->kv->ops->put(m->x->kv->self, m->x->txn, key, key_len, bytes,
                                 (size_t)(end - from) * entry_bytes);
        from = end;
    }
    free(bytes);
    free(scratch);
    return err;
}

/* One step of the merge of level's next 16 runs. *cost: what it was worth. */
static enum dsmr_err merge_step(struct index *x, uint32_t *cost, uint32_t level, uint32_t max)
{
    struct merge m = {.x = x, .level = level, .number = x->done[level + 1]};
    bool is_complete = false;
    enum dsmr_err err = find_end(&m);
    for (uint32_t i = 0; i < FAN && err == DSMR_OK; i++)
        err = open_input(&m, &m.inputs[i], (m.number << FAN_BITS) + i);
    while (err == DSMR_OK && !is_complete && m.count < max / 2)
        err = take(&m, &is_complete, max);
    if (err == DSMR_OK && m.count > 0)
        err = put_parts(&m);
    *cost = STEP_COST + m.count;
    free(m.keys);
    free(m.places);
    if (err != DSMR_OK || !is_complete)
        return err;
    x->done[level + 1]++;
    x->dirty |= (uint16_t)(1u << level);
    return save_state(x);
}

/* Removes one value that a complete run has replaced. *is_clean: there was none. */
static enum dsmr_err clean_step(struct index *x, bool *is_clean, uint32_t level)
{
    struct dsmr_exec_table table;
    enum dsmr_err err = seek_table(x, &table, level, 0, 0, false);
    *is_clean =
        err == DSMR_ERR_UNKNOWN || (err == DSMR_OK && table.number >= first_number(x, level));
    if (!*is_clean)
        return err == DSMR_OK ? del_table(x, &table) : err;
    x->dirty &= (uint16_t) ~(1u << level);
    return save_state(x);
}

/* Low levels first: they are what a lookup meets most of. A transaction is merged once for each
 * level that is in use, so that much and a little more with each block keeps up. */
static enum dsmr_err work(struct index *x, uint64_t budget)
{
    enum dsmr_err err = DSMR_OK;
    for (uint32_t level = 0; level < LEVELS_MAX && err == DSMR_OK; level++) {
        while (err == DSMR_OK && budget > 0 && x->done[level] >> FAN_BITS > x->done[level + 1]) {
            uint32_t cost = 0;
            uint64_t max = budget < STEP_ENTRIES ? budget : STEP_ENTRIES;
            err = merge_step(x, &cost, level,
                             max < STEP_ENTRIES_MIN ? STEP_ENTRIES_MIN : (uint32_t)max);
            budget = budget > cost ? budget - cost : 0;
        }
        while (err == DSMR_OK && budget > 0 && ((uint32_t)x->dirty >> level & 1u) != 0) {
            bool is_clean = false;
            err = clean_step(x, &is_clean, level);
            budget = budget > CLEAN_COST ? budget - CLEAN_COST : 0;
        }
    }
    return err;
}

/* ---- what others see ---- */

static enum dsmr_err put_block(const struct index *x, const struct dsmr_executed *executed)
{
    uint8_t key[RUN_KEY_BYTES];
    size_t len = (size_t)executed->count * DSMR_EXEC_INDEX_TX_BYTES;
    uint8_t *bytes = malloc(len);
    uint64_t *keys = malloc(2 * (size_t)executed->count * sizeof *keys);
    enum dsmr_err err = bytes == NULL || keys == NULL ? DSMR_ERR_NO_MEMORY : DSMR_OK;
    if (err == DSMR_OK) {
        for (uint32_t i = 0; i < executed->count; i++)
            keys[i] = dsmr_exec_table_key(dsmr_exec_table_prefix(&executed->ids[i]), i);
        dsmr_exec_table_sort(keys, keys + executed->count, executed->count);
        dsmr_exec_table_write(bytes, keys, NULL, 0, executed->count);
        size_t key_len = make_key(key, 0, executed->height, 0);
        err = x->kv->ops->put(x->kv->self, x->txn, key, key_len, bytes, len);
    }
    free(bytes);
    free(keys);
    return err;
}

enum dsmr_err dsmr_exec_index_add(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                  const struct dsmr_executed *executed)
{
    struct index x;
    if (executed->height >> HEIGHT_BITS != 0 || executed->count > 1u << INDEX_BITS)
        return DSMR_ERR_LIMIT;
    enum dsmr_err err = load_state(&x, kv, txn);
    if (err == DSMR_OK && executed->count > 0)
        err = put_block(&x, executed);
    if (err != DSMR_OK)
        return err;
    x.done[0] = executed->height + 1;
    uint64_t levels = 1;
    while (levels < LEVELS_MAX && x.done[levels] > 0)
        levels++;
    return work(&x, (levels + 1) * executed->count + 2 * STEP_COST + STEP_ENTRIES_MIN);
}

static enum dsmr_err find_in(const struct dsmr_exec_table *table, uint64_t prefix,
                             dsmr_exec_index_visit visit, void *ctx)
{
    const uint64_t first = table->number << (FAN_BITS * table->level);
    enum dsmr_err err = DSMR_ERR_UNKNOWN;
    for (uint32_t i = dsmr_exec_table_lower_bound(table, prefix);
         i < table->count && err == DSMR_ERR_UNKNOWN; i++) {
        struct dsmr_exec_entry entry = dsmr_exec_table_at(table, i);
        if (entry.prefix != prefix)
            break;
        err = visit(ctx, first + (entry.place >> INDEX_BITS),
                    (uint32_t)(entry.place & ((UINT64_C(1) << INDEX_BITS) - 1)));
    }
    return err;
}

/* In the blocks that no run has; one without transactions has no table. */
static enum dsmr_err find_in_blocks(const struct index *x, uint64_t prefix,
                                    dsmr_exec_index_visit visit, void *ctx)
{
    uint64_t height = UINT64_MAX;
    for (;;) {
        struct dsmr_exec_table table;
        enum dsmr_err err = seek_table(x, &table, 0, height, 0, true);
        if (err != DSMR_OK || table.number < first_number(x, 0))
            return err == DSMR_OK ? DSMR_ERR_UNKNOWN : err;
        err = find_in(&table, prefix, visit, ctx);
        if (err != DSMR_ERR_UNKNOWN || table.number == 0)
            return err;
        height = table.number - 1;
    }
}

/* In the runs of one level that no complete run of the next one has. */
static enum dsmr_err find_in_runs(const struct index *x, uint32_t level, uint64_t prefix,
                                  dsmr_exec_index_visit visit, void *ctx)
{
    enum dsmr_err err = DSMR_ERR_UNKNOWN;
    uint64_t first = first_number(x, level);
    for (uint64_t end = x->done[level]; end > first && err == DSMR_ERR_UNKNOWN;) {
        struct dsmr_exec_table table;
        err = seek_table(x, &table, level, end - 1, prefix, true);
        if (err != DSMR_OK)
            return err;
        if (table.number == end - 1) {
            err = find_in(&table, prefix, visit, ctx);
            end--;
        } else { /* past runs that are not there, however many the state says there are */
            err = DSMR_ERR_UNKNOWN;
            end = table.number + 1;
        }
    }
    return err;
}

enum dsmr_err dsmr_exec_index_find(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                   const struct dsmr_id *tx_id, dsmr_exec_index_visit visit,
                                   void *ctx)
{
    struct index x;
    enum dsmr_err err = load_state(&x, kv, txn);
    if (err != DSMR_OK)
        return err;
    uint64_t prefix = dsmr_exec_table_prefix(tx_id);
    err = find_in_blocks(&x, prefix, visit, ctx);
    for (uint32_t level = 1; level <= LEVELS_MAX && err == DSMR_ERR_UNKNOWN; level++)
        err = find_in_runs(&x, level, prefix, visit, ctx);
    return err;
}

enum dsmr_err dsmr_exec_index_drop(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                   uint64_t height)
{
    struct index x;
    enum dsmr_err err = load_state(&x, kv, txn);
    for (uint32_t level = 1; err == DSMR_OK && level <= LEVELS_MAX && x.done[level] > 0; level++) {
        for (uint32_t i = 0; err == DSMR_OK && i < DROPS_MAX; i++) {
            struct dsmr_exec_table table;
            err = seek_table(&x, &table, level, 0, 0, false);
            if (err == DSMR_ERR_UNKNOWN ||
                (err == DSMR_OK && (table.number + 1) << (FAN_BITS * level) > height)) {
                err = DSMR_OK;
                break;
            }
            if (err == DSMR_OK)
                err = del_table(&x, &table);
        }
    }
    return err;
}

enum dsmr_err dsmr_exec_index_drop_block(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                         uint64_t height)
{
    uint8_t key[RUN_KEY_BYTES];
    return kv->ops->del(kv->self, txn, key, make_key(key, 0, height, 0));
}
