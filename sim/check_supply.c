/* check_supply.c - the transfers application kept by hand (docs/transfers.md): results and fees of
 * every transaction, the sum of all balances, and the state root that follows from them. A root
 * that is right leaves no room for a balance that is wrong. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "sim/check_model.h"
#include "sim/check_rules.h"
#include "sim/sim_accounts.h"

#define BUCKET_MAX 32u
#define NIBBLES 64u
#define IS_BRANCH 255u

enum { DONE, MALFORMED, WRONG_DOMAIN, OVER_LIMIT, CANNOT_PAY, INSUFFICIENT };

struct account {
    struct dsmr_address address;
    struct dsmr_id path; /* SHA-256 of it */
    uint64_t balance;
};
struct result { /* what a block comes to */
    struct dsmr_id root;
    struct dsmr_app_result *results;
    uint32_t count;
};
struct supply {
    struct dsmr_sim_model *model; /* NULL: another application */
    struct account *accounts;     /* by path, as the tree has them */
    uint32_t count, capacity;
    uint64_t supply;
    struct result *blocks; /* of heights 1 .. blocks_count */
    uint64_t blocks_count, blocks_capacity;
};

/* ---- accounts ---- */

static struct account *find(struct supply *self, const struct dsmr_address *address)
{
    struct dsmr_id path;
    uint32_t at = 0;
    dsmr_hash(&path, address->bytes, sizeof(address->bytes));
    while (at < self->count && memcmp(self->accounts[at].path.bytes, path.bytes, 32) < 0) {
        at++;
    }
    if (at < self->count && dsmr_id_equal(&self->accounts[at].path, &path)) {
        return &self->accounts[at];
    }
    if (self->count == self->capacity) {
        self->capacity = self->capacity == 0 ? 128 : self->capacity * 2;
        self->accounts = realloc(self->accounts, self->capacity * sizeof(*self->accounts));
        DSMR_ASSERT(self->accounts != NULL);
    }
    memmove(&self->accounts[at + 1], &self->accounts[at],
            (self->count - at) * sizeof(*self->accounts));
    self->accounts[at] = (struct account){.address = *address, .path = path};
    self->count++;
    return &self->accounts[at];
}

static void *make(struct dsmr_sim *sim)
{
    struct supply *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    if (!dsmr_sim_check_is_transfers(sim)) {
        return self;
    }
    self->model = dsmr_sim_model_new(sim);
    for (uint32_t i = 0; i < DSMR_SIM_ACCOUNTS; i++) {
        struct dsmr_address address = dsmr_sim_accounts_address(i);
        find(self, &address)->balance = DSMR_SIM_ACCOUNT_BALANCE;
        self->supply += DSMR_SIM_ACCOUNT_BALANCE;
    }
    return self;
}

static void free_self(void *ctx)
{
    struct supply *self = ctx;
    for (uint64_t i = 0; i < self->blocks_count; i++) {
        free(self->blocks[i].results);
    }
    if (self->model != NULL) {
        dsmr_sim_model_free(self->model);
    }
    free(self->accounts);
    free(self->blocks);
    free(self);
}

/* ---- the state root: T15 to T18 ---- */

static uint32_t nibble(const struct dsmr_id *path, uint32_t depth)
{
    return depth % 2 == 0 ? path->bytes[depth / 2] >> 4u : path->bytes[depth / 2] & 15u;
}

static int by_address(const void *a, const void *b)
{
    return memcmp(((const struct account *)a)->address.bytes,
                  ((const struct account *)b)->address.bytes, sizeof(struct dsmr_address));
}

static void bucket_hash(struct dsmr_id *hash, const struct account *accounts, uint32_t count)
{
    struct account sorted[BUCKET_MAX];
    uint8_t bytes[1 + BUCKET_MAX * 40u];
    memcpy(sorted, accounts, count * sizeof(sorted[0]));
    qsort(sorted, count, sizeof(sorted[0]), by_address);
    bytes[0] = 0x10;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(bytes + 1 + (size_t)i * 40, sorted[i].address.bytes, 32);
        dsmr_store_be64(bytes + 1 + (size_t)i * 40 + 32, sorted[i].balance);
    }
    dsmr_hash(hash, bytes, 1 + (size_t)count * 40);
}

/* Kind and hash of the subtree with these accounts, which share the first depth nibbles. */
static uint8_t tree_hash(struct dsmr_id *hash, const struct account *accounts, uint32_t count,
                         uint32_t depth)
{
    uint8_t bytes[1 + 16 + 16 * 32];
    size_t len = 17;
    memset(hash, 0, sizeof(*hash));
    if (count <= BUCKET_MAX) {
        if (count > 0) {
            bucket_hash(hash, accounts, count);
        }
        return (uint8_t)count;
    }
    DSMR_ASSERT(depth < NIBBLES);
    bytes[0] = 0x11;
    for (uint32_t child = 0, from = 0; child < 16; child++) {
        uint32_t end = from;
        struct dsmr_id part;
        while (end < count && nibble(&accounts[end].path, depth) == child) {
            end++;
        }
        bytes[1 + child] = tree_hash(&part, accounts + from, end - from, depth + 1);
        if (end > from) {
            memcpy(bytes + len, part.bytes, 32);
            len += 32;
        }
        from = end;
    }
    dsmr_hash(hash, bytes, len);
    return IS_BRANCH;
}

static void state_root(struct dsmr_id *root, const struct supply *self)
{
    uint8_t bytes[1 + 5 * 8 + 1 + 32];
    struct account *alive = calloc(self->count + 1u, sizeof(*alive));
    uint32_t count = 0;
    DSMR_ASSERT(alive != NULL);
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->accounts[i].balance > 0) { /* T2 */
            alive[count++] = self->accounts[i];
        }
    }
    struct dsmr_id top;
    bytes[0] = 0x12;
    dsmr_store_be64(bytes + 1, count);
    dsmr_store_be64(bytes + 9, self->supply);
    dsmr_store_be64(bytes + 17, DSMR_SIM_FEE);
    dsmr_store_be64(bytes + 25, DSMR_SIM_FEE);
    dsmr_store_be64(bytes + 33, DSMR_SIM_FEE);
    bytes[41] = tree_hash(&top, alive, count, 0);
    memcpy(bytes + 42, top.bytes, 32);
    dsmr_hash(root, bytes, sizeof(bytes));
    free(alive);
}

/* ---- running: T4, T9 to T14 ---- */

static struct dsmr_app_result run(struct supply *self, const struct dsmr_params *params,
                                  const struct dsmr_sim_model_run *run)
{
    const uint8_t *tx = run->tx->bytes;
    uint32_t len = run->tx->len;
    struct dsmr_app_result result = {.code = MALFORMED, .fee = 0};
    struct dsmr_address from, to;
    if (len < 190 || tx[0] != 1 || tx[125] > 128 || len != 190u + tx[125]) {
        return result;
    }
    if (dsmr_load_be32(tx + 9) != params->domain.network_id ||
        !dsmr_sim_rules_same(tx + 13, params->domain.chain_id.bytes, 32)) {
        result.code = WRONG_DOMAIN;
        return result;
    }
    memcpy(from.bytes, tx + 45, 32);
    memcpy(to.bytes, tx + 77, 32);
    uint64_t amount = dsmr_load_be64(tx + 109), limit = dsmr_load_be64(tx + 117);
    uint64_t fee = DSMR_SIM_FEE + DSMR_SIM_FEE * len + DSMR_SIM_FEE;
    uint64_t balance = find(self, &from)->balance;
    if (fee > limit || fee > balance) {
        result.code = fee > limit ? OVER_LIMIT : CANNOT_PAY;
        return result;
    }
    result.fee = fee;
    result.code = amount > balance - fee ? INSUFFICIENT : DONE;
    amount = result.code == DONE ? amount : 0;
    find(self, &from)->balance -= amount + fee;
    find(self, &to)->balance += amount;
    find(self, &run->chunk->fee_recipient)->balance += fee;
    return result;
}

static void check_sum(const struct supply *self, struct dsmr_sim *sim, uint64_t height)
{
    dsmr_sim_u128 sum = 0;
    for (uint32_t i = 0; i < self->count; i++) {
        sum += self->accounts[i].balance;
    }
    if (sum != self->supply) {
        dsmr_sim_fail(sim, "T3", "the balances after block %llu do not add up to the supply",
                      (unsigned long long)height);
    }
}

/* What the block comes to; NULL: not known. */
static const struct result *result_of(struct supply *self, struct dsmr_sim *sim, uint64_t height)
{
    while (self->blocks_count < height) {
        const struct dsmr_sim_model_plan *plan =
            dsmr_sim_model_plan(self->model, self->blocks_count + 1);
        if (plan == NULL) {
            return NULL;
        }
        if (self->blocks_count == self->blocks_capacity) {
            self->blocks_capacity = self->blocks_capacity == 0 ? 64 : self->blocks_capacity * 2;
            self->blocks = realloc(self->blocks, self->blocks_capacity * sizeof(*self->blocks));
            DSMR_ASSERT(self->blocks != NULL);
        }
        struct result *result = &self->blocks[self->blocks_count++];
        result->count = plan->count;
        result->results = calloc(plan->count + 1u, sizeof(*result->results));
        DSMR_ASSERT(result->results != NULL);
        for (uint32_t i = 0; i < plan->count; i++) {
            result->results[i] = run(self, dsmr_sim_check_params(sim), &plan->runs[i]);
        }
        state_root(&result->root, self);
        check_sum(self, sim, self->blocks_count);
    }
    return &self->blocks[height - 1];
}

static void stored(void *ctx, struct dsmr_sim *sim, uint32_t node,
                   const struct dsmr_store_write *write)
{
    struct supply *self = ctx;
    (void)sim, (void)node;
    if (self->model == NULL) {
        return;
    }
    if (write->kind == DSMR_STORE_CHUNK) { /* a wrong one is check_transactions.c's matter */
        (void)dsmr_sim_model_add_chunk(self->model, &write->u.chunk.meta->ref.chunk_id,
                                       write->u.chunk.bytes, write->u.chunk.len);
    } else if (write->kind == DSMR_STORE_ACCEPT) {
        dsmr_sim_model_add_block(self->model, write->u.accept.block);
    }
}

static void check_results(struct dsmr_sim *sim, uint32_t node, const struct result *want,
                          const struct dsmr_executed *executed)
{
    for (uint32_t i = 0; i < executed->count && i < want->count; i++) {
        if (executed->results[i].code != want->results[i].code ||
            executed->results[i].fee != want->results[i].fee) {
            dsmr_sim_fail(
                sim, "T14",
                "node %u: transaction %s of block %llu comes to code %u, fee %llu instead "
                "of code %u, fee %llu",
                node, dsmr_sim_rules_name(&executed->ids[i]), (unsigned long long)executed->height,
                executed->results[i].code, (unsigned long long)executed->results[i].fee,
                want->results[i].code, (unsigned long long)want->results[i].fee);
            return;
        }
    }
    if (executed->count == want->count && !dsmr_id_equal(&executed->state_root, &want->root)) {
        dsmr_sim_fail(sim, "T3",
                      "node %u: the balances after block %llu are not what its "
                      "transactions leave",
                      node, (unsigned long long)executed->height);
    }
}

static void check_opaque(struct dsmr_sim *sim, uint32_t node, const struct dsmr_executed *executed)
{
    for (uint32_t i = 0; i < executed->count; i++) {
        if (executed->results[i].code != 0 || executed->results[i].fee != 0) {
            dsmr_sim_fail(sim, "10.6", "node %u: an opaque transaction of block %llu failed", node,
                          (unsigned long long)executed->height);
        }
    }
}

static void executed(void *ctx, struct dsmr_sim *sim, uint32_t node,
                     const struct dsmr_executed *executed)
{
    struct supply *self = ctx;
    if (self->model == NULL) {
        check_opaque(sim, node, executed);
        return;
    }
    const struct result *want = result_of(self, sim, executed->height);
    if (want != NULL) { /* else check_transactions.c has said so */
        check_results(sim, node, want, executed);
    }
}

const struct dsmr_sim_checker_ops dsmr_sim_check_supply = {
    .name = "supply", .make = make, .free = free_self, .stored = stored, .executed = executed};
