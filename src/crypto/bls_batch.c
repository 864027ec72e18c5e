#include "crypto/bls_batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/bitset.h"
#include "crypto/bls_points.h"
#include "crypto/coefficient.h"
#include "crypto/key_sum.h"
#include "crypto/recent_points.h"

/* An item that may be valid, decoded once for every bisection. */
struct entry {
    struct dsmr_bls_batch_item *item;
    size_t group;  /* of the same signers in the same set: neighbours */
    bool is_known; /* the point of its message was */
    blst_p2_affine hash;
    struct dsmr_coefficient coefficient;
    struct dsmr_coefficient_point sig, message;
};

/* Work memory of one call. */
struct batch {
    struct dsmr_bls_batch_item **order;
    struct entry *entries;
    struct dsmr_key_sum_job *jobs; /* of groups */
    blst_p1_affine *sums;          /* of groups: their signers' keys */
    struct dsmr_coefficient_term *terms;
    /* points in the making, and what they become */
    blst_p1 *keys;
    blst_p1_affine *affine_keys;
    blst_p2 *messages; /* one more than items of these and the following */
    blst_p2_affine *affine_messages;
    const blst_p1_affine **ps; /* pairs */
    const blst_p2_affine **qs;
};

static void batch_close(struct batch *batch)
{
    free(batch->order);
    free(batch->entries);
    free(batch->jobs);
    free(batch->sums);
    free(batch->terms);
    free(batch->keys);
    free(batch->affine_keys);
    free(batch->messages);
    free(batch->affine_messages);
    free(batch->ps);
    free(batch->qs);
}

static bool batch_init(struct batch *batch, size_t count)
{
    batch->order = calloc(count, sizeof(struct dsmr_bls_batch_item *));
    batch->entries = calloc(count, sizeof(*batch->entries));
    batch->jobs = calloc(count, sizeof(*batch->jobs));
    batch->sums = calloc(count, sizeof(*batch->sums));
    batch->terms = calloc(count, sizeof(*batch->terms));
    batch->keys = calloc(count, sizeof(*batch->keys));
    batch->affine_keys = calloc(count, sizeof(*batch->affine_keys));
    batch->messages = calloc(count + 1, sizeof(*batch->messages));
    batch->affine_messages = calloc(count + 1, sizeof(*batch->affine_messages));
    batch->ps = calloc(count + 1, sizeof(const blst_p1_affine *));
    batch->qs = calloc(count + 1, sizeof(const blst_p2_affine *));
    return batch->order != NULL && batch->entries != NULL && batch->jobs != NULL &&
           batch->sums != NULL && batch->terms != NULL && batch->keys != NULL &&
           batch->affine_keys != NULL && batch->messages != NULL &&
           batch->affine_messages != NULL && batch->ps != NULL && batch->qs != NULL;
}

static void keys_to_affine(blst_p1_affine *out, const blst_p1 *points, size_t count)
{
    const blst_p1 *const first[2] = {points, NULL};
    blst_p1s_to_affine(out, first, count);
}

static void messages_to_affine(blst_p2_affine *out, const blst_p2 *points, size_t count)
{
    const blst_p2 *const first[2] = {points, NULL};
    blst_p2s_to_affine(out, first, count);
}

/* ---- decoding ---- */

static int compare_signers(const struct dsmr_bls_batch_item *a, const struct dsmr_bls_batch_item *b)
{
    if (a->set != b->set) {
        return (uintptr_t)a->set < (uintptr_t)b->set ? -1 : 1;
    }
    return memcmp(a->signers, b->signers, sizeof(*a->signers));
}

static int compare_places(const void *a, const void *b)
{
    return compare_signers(*(struct dsmr_bls_batch_item *const *)a,
                           *(struct dsmr_bls_batch_item *const *)b);
}

/* Decodes; says no to what cannot be valid whatever the pairing says. */
static bool entry_init(struct entry *entry, struct dsmr_bls_batch_item *item)
{
    blst_p2_affine sig;
    if (!dsmr_bls_sig_decode(&sig, item->sig) || !dsmr_bls_sig_in_group(&sig)) {
        item->err = DSMR_ERR_BAD_SIGNATURE;
        return false;
    }
    entry->item = item;
    dsmr_coefficient_prepare(&entry->sig, &sig);
    return true;
}

/* Those whose signers are entries of their sets, sorted so that the same signers are neighbours. */
static size_t sort_items(struct batch *batch, struct dsmr_bls_batch_item *items, size_t count)
{
    size_t sorted = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t end = dsmr_bitset_end(items[i].signers);
        items[i].err = end == 0 || end > items[i].set->count ? DSMR_ERR_BITSET : DSMR_OK;
        if (items[i].err == DSMR_OK) {
            batch->order[sorted++] = &items[i];
        }
    }
    qsort(batch->order, sorted, sizeof(batch->order[0]), compare_places);
    return sorted;
}

/* Drops the entries whose keys add up to the identity: any signature would be one of nobody. */
static size_t drop_identities(struct batch *batch, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = &batch->entries[i];
        if (blst_p1_affine_is_inf(&batch->sums[entry->group])) {
            entry->item->err = DSMR_ERR_BAD_SIGNATURE;
            continue;
        }
        if (kept != i) {
            batch->entries[kept] = *entry;
        }
        kept++;
    }
    return kept;
}

static void find_messages(struct batch *batch, size_t count)
{
    size_t hashed = 0, placed = 0;
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = &batch->entries[i];
        const struct dsmr_bls_batch_item *item = entry->item;
        entry->is_known = dsmr_recent_points_find(DSMR_RECENT_POINTS_MESSAGES, &entry->hash,
                                                  item->message, item->len);
        if (!entry->is_known) {
            dsmr_bls_hash_message(&batch->messages[hashed++], item->message, item->len);
        }
    }
    messages_to_affine(batch->affine_messages, batch->messages, hashed);
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = &batch->entries[i];
        if (!entry->is_known) {
            entry->hash = batch->affine_messages[placed++];
            dsmr_recent_points_add(DSMR_RECENT_POINTS_MESSAGES, &entry->hash, entry->item->message,
                                   entry->item->len);
        }
        dsmr_coefficient_prepare(&entry->message, &entry->hash);
    }
}

/* Makes the entries; *count: how many. NO_MEMORY. */
static enum dsmr_err batch_fill(struct batch *batch, size_t *count,
                                struct dsmr_bls_batch_item *items, size_t items_count,
                                const uint8_t *random)
{
    size_t sorted = sort_items(batch, items, items_count), entries = 0, groups = 0;
    for (size_t i = 0; i < sorted; i++) {
        struct entry *entry = &batch->entries[entries];
        if (!entry_init(entry, batch->order[i])) {
            continue;
        }
        if (entries == 0) { /* what is wrong with it alone is wrong with any; else others decide */
            dsmr_coefficient_one(&entry->coefficient);
        } else {
            dsmr_coefficient_from(&entry->coefficient, random + entries * DSMR_COEFFICIENT_BYTES);
        }
        if (entries == 0 || compare_signers(entry->item, entry[-1].item) != 0) {
            batch->jobs[groups++] =
                (struct dsmr_key_sum_job){entry->item->set, entry->item->signers};
        }
        entry->group = groups - 1;
        entries++;
    }
    if (groups > 0 && dsmr_key_sum_many(batch->sums, batch->jobs, groups) != DSMR_OK) {
        return DSMR_ERR_NO_MEMORY;
    }
    *count = drop_identities(batch, entries);
    find_messages(batch, *count);
    return DSMR_OK;
}

/* ---- the check ---- */

static void sum_sigs(struct batch *batch, blst_p2 *out, size_t from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct entry *entry = &batch->entries[from + i];
        batch->terms[i] = (struct dsmr_coefficient_term){&entry->coefficient, &entry->sig};
    }
    dsmr_coefficient_sum(out, batch->terms, count);
}

static void sum_messages(struct batch *batch, blst_p2 *out, size_t from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct entry *entry = &batch->entries[from + i];
        batch->terms[i] = (struct dsmr_coefficient_term){&entry->coefficient, &entry->message};
    }
    dsmr_coefficient_sum(out, batch->terms, count);
}

/* How many entries from the first on, at most count, are of its group. */
static size_t run_of_group(const struct entry *first, size_t count)
{
    size_t run = 1;
    while (run < count && first[run].group == first->group) {
        run++;
    }
    return run;
}

/* The pairs whose product is one if all signatures are right, with coefficients c: (-G1, sum of
 * c * sig), and for each group (c * key, message) or, of several entries, (key, sum of
 * c * message). */
static size_t make_pairs(struct batch *batch, size_t from, size_t count)
{
    size_t pairs = 0, keys = 0, messages = 0;
    sum_sigs(batch, &batch->messages[messages], from, count);
    batch->ps[pairs] = &BLS12_381_NEG_G1;
    batch->qs[pairs++] = &batch->affine_messages[messages++];
    for (size_t i = from, run; i < from + count; i += run) {
        const struct entry *entry = &batch->entries[i];
        const blst_p1_affine *key = &batch->sums[entry->group];
        run = run_of_group(entry, from + count - i);
        if (run == 1) {
            dsmr_coefficient_mult(&batch->keys[keys], &entry->coefficient, key);
            batch->ps[pairs] = &batch->affine_keys[keys++];
            batch->qs[pairs++] = &entry->hash;
        } else {
            sum_messages(batch, &batch->messages[messages], i, run);
            batch->ps[pairs] = key;
            batch->qs[pairs++] = &batch->affine_messages[messages++];
        }
    }
    keys_to_affine(batch->affine_keys, batch->keys, keys);
    messages_to_affine(batch->affine_messages, batch->messages, messages);
    return pairs;
}

static bool batch_holds(struct batch *batch, size_t from, size_t count)
{
    size_t pairs = make_pairs(batch, from, count), kept = 0;
    for (size_t i = 0; i < pairs; i++) {
        if (!blst_p2_affine_is_inf(batch->qs[i])) { /* else it is 1: nothing to multiply by */
            batch->ps[kept] = batch->ps[i];
            batch->qs[kept++] = batch->qs[i];
        }
    }
    if (kept == 0) {
        return true;
    }
    blst_fp12 product;
    blst_miller_loop_n(&product, batch->qs, batch->ps, kept);
    blst_final_exp(&product, &product);
    return blst_fp12_is_one(&product);
}

/* Sets the items' errors; depth is the logarithm of count. */
static bool batch_bisect(struct batch *batch, size_t from, size_t count)
{
    if (batch_holds(batch, from, count)) {
        return true;
    }
    if (count == 1) {
        batch->entries[from].item->err = DSMR_ERR_BAD_SIGNATURE;
        return false;
    }
    size_t half = count / 2;
    (void)batch_bisect(batch, from, half);
    (void)batch_bisect(batch, from + half, count - half);
    return false;
}

enum dsmr_err dsmr_bls_batch_verify(struct dsmr_bls_batch_item *items, size_t count,
                                    const uint8_t *random)
{
    struct batch batch = {0};
    size_t entries = 0;
    enum dsmr_err result = DSMR_ERR_NO_MEMORY;
    if (batch_init(&batch, count)) {
        result = batch_fill(&batch, &entries, items, count, random);
    }
    if (result == DSMR_OK && entries < count) {
        result = DSMR_ERR_BAD_SIGNATURE;
    }
    if (entries > 0 && !batch_bisect(&batch, 0, entries)) {
        result = DSMR_ERR_BAD_SIGNATURE;
    }
    batch_close(&batch);
    return result;
}
