/* check_certified.c - who calls a chunk certified may do so: more weight than f, this node with it,
 * has the certificate on disk, or a block has it (docs/protocol.md, 5.9); liars may have said that
 * they have. And nothing that was called certified is lost (5.7, 5.8): once the network is well,
 * its chunk is in the chain before it expires, or its transactions come back and run; and what is
 * in the chain runs, if it may. Unless most blocks are full: a chain that is offered more than its
 * blocks take (8.2) leaves out what is on time, and the next chunk with it may come too late as
 * well. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/check_rules.h"
#include "sim/check_table.h"
#include "wire/codec.h"
#include "wire/cursor.h"
#include "wire/message.h"

/* How long a transaction must have left after the healing, so that its chunk may expire, and the
 * next one with it be included. */
#define AGAIN_MS 15000u
#define KEY_BYTES 17u
/* In a record: version, height, id; parent's view and id. Then, with version 2, the certificate
 * that the vote rests on; then the block. */
#define HEAD_BYTES 81u

struct tx {
    uint64_t number; /* of the node that said so */
    uint64_t expiry_ms;
    struct dsmr_id chunk_id;
    uint64_t chunk_expiry_ms, epoch;
    bool is_forgotten; /* by that node: it returns nothing */
};
struct keepers {      /* of a chunk's certificate: who had it on disk once */
    bool is_included; /* a block has it */
    uint8_t nodes[(DSMR_SIM_NODES_MAX + 7) / 8];
};
struct certified {
    struct dsmr_sim_table *kept;            /* chunk id -> struct keepers */
    struct dsmr_sim_table *voted;           /* set of ids: blocks that somebody has voted for */
    struct dsmr_sim_table *txs;             /* id -> struct tx: certified, not executed anywhere */
    struct dsmr_sim_table *ran;             /* set of ids */
    uint64_t height, epoch;                 /* of the highest accepted block */
    uint64_t healed_chain_ms;               /* chain time when the network was healed */
    uint64_t blocks, full_blocks;           /* of the chain since then */
    uint64_t latest_ms[DSMR_SIM_NODES_MAX]; /* that each node's clock has told, so far */
};

static void *make(struct dsmr_sim *sim)
{
    (void)sim;
    struct certified *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    self->kept = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(struct keepers));
    self->voted = dsmr_sim_table_new(sizeof(struct dsmr_id), 0);
    self->txs = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(struct tx));
    self->ran = dsmr_sim_table_new(sizeof(struct dsmr_id), 0);
    return self;
}

static void free_self(void *ctx)
{
    struct certified *self = ctx;
    dsmr_sim_table_free(self->kept);
    dsmr_sim_table_free(self->voted);
    dsmr_sim_table_free(self->txs);
    dsmr_sim_table_free(self->ran);
    free(self);
}

/* ---- who has the certificate ---- */

static struct keepers *keepers_of(struct certified *self, const struct dsmr_id *chunk_id)
{
    bool is_new = false;
    struct keepers *kept = dsmr_sim_table_add(self->kept, chunk_id, &is_new);
    if (is_new) {
        memset(kept, 0, sizeof(*kept));
    }
    return kept;
}

static bool has(const struct keepers *kept, uint32_t node)
{
    return ((uint32_t)kept->nodes[node / 8] >> (node % 8) & 1u) != 0;
}

static void include(struct certified *self, const struct dsmr_block *block)
{
    for (uint32_t i = 0; i < block->certs_count; i++) {
        keepers_of(self, &block->certs[i].ref.chunk_id)->is_included = true;
    }
}

/* A block may be final, and a client be told, before anybody has stored its accept: a NOTARIZE
 * record has it (docs/bft.md, rule 12). */
static void on_record(struct certified *self, const struct dsmr_sim *sim,
                      const struct dsmr_store_write *write)
{
    const struct dsmr_params *params = dsmr_sim_check_params(sim);
    struct dsmr_id id;
    struct dsmr_block *block = NULL;
    bool is_new = false;
    if (write->u.bft.key_len != KEY_BYTES || write->u.bft.key[16] != DSMR_VOTE_NOTARIZE ||
        write->u.bft.value_len <= HEAD_BYTES) {
        return;
    }
    memcpy(id.bytes, write->u.bft.value + 9, sizeof(id.bytes));
    (void)dsmr_sim_table_add(self->voted, &id, &is_new);
    if (!is_new) {
        return;
    }
    struct dsmr_rd rd;
    dsmr_rd_init(&rd, write->u.bft.value + HEAD_BYTES, write->u.bft.value_len - HEAD_BYTES);
    if (write->u.bft.value[0] == 2) {
        struct dsmr_quorum_cert cert;
        dsmr_quorum_cert_decode(&rd, &cert, DSMR_VALIDATORS_MAX);
    }
    size_t left = dsmr_rd_left(&rd);
    struct dsmr_buf *bytes = dsmr_buf_copy(dsmr_rd_view(&rd, left), left);
    DSMR_ASSERT(bytes != NULL && rd.err == DSMR_OK); /* an honest node wrote it */
    if (dsmr_block_decode(&block, params, bytes, bytes->bytes, bytes->len) == DSMR_OK) {
        include(self, block);
        dsmr_block_unref(block);
    }
    dsmr_buf_unref(bytes);
}

static void issued(void *ctx, struct dsmr_sim *sim, uint32_t node, const struct dsmr_block *block,
                   bool is_built)
{
    (void)sim, (void)node, (void)is_built;
    include(ctx, block);
}

static void check_keepers(struct certified *self, struct dsmr_sim *sim, uint32_t node,
                          const struct dsmr_reference *ref)
{
    const struct keepers *kept = keepers_of(self, &ref->chunk_id);
    const struct dsmr_validator_set *set = dsmr_sim_check_set(sim, ref->epoch);
    dsmr_sim_u128 weight = 0, total = 0;
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        uint32_t number = dsmr_sim_check_number(&set->validators[i].node_ids[0]);
        bool may_have = !dsmr_sim_check_is_honest(sim, number) || has(kept, number);
        weight += may_have ? set->validators[i].weight : 0;
        total += set->validators[i].weight;
    }
    if (!kept->is_included && (!has(kept, node) || !dsmr_sim_rules_is_third(weight, total))) {
        dsmr_sim_fail(sim, "5.9",
                      "node %u calls chunk %s certified while its certificate is with %llu of %llu",
                      node, dsmr_sim_rules_name(&ref->chunk_id), (unsigned long long)weight,
                      (unsigned long long)total);
    }
}

/* ---- what becomes of it ---- */

static void certified(void *ctx, struct dsmr_sim *sim, uint32_t node,
                      const struct dsmr_chunk *chunk)
{
    struct certified *self = ctx;
    check_keepers(self, sim, node, &chunk->ref);
    for (uint32_t i = 0; i < chunk->ref.tx_count; i++) {
        if (dsmr_sim_table_find(self->ran, &chunk->tx_ids[i]) != NULL) {
            continue;
        }
        struct tx *tx = dsmr_sim_table_add(self->txs, &chunk->tx_ids[i], NULL);
        *tx = (struct tx){.number = node,
                          .expiry_ms = dsmr_load_be64(chunk->bytes + chunk->tx_offsets[i] + 1),
                          .chunk_id = chunk->ref.chunk_id,
                          .chunk_expiry_ms = chunk->ref.expiry_ms,
                          .epoch = chunk->ref.epoch};
    }
}

static void executed(void *ctx, struct dsmr_sim *sim, uint32_t node,
                     const struct dsmr_executed *executed)
{
    struct certified *self = ctx;
    (void)sim, (void)node;
    for (uint32_t i = 0; i < executed->count; i++) {
        (void)dsmr_sim_table_add(self->ran, &executed->ids[i], NULL);
        dsmr_sim_table_remove(self->txs, &executed->ids[i]);
    }
}

/* It has as many certificates as it may, or no room for another large chunk. */
static bool is_full(const struct dsmr_sim *sim, const struct dsmr_block *block)
{
    const struct dsmr_params *params = dsmr_sim_check_params(sim);
    uint64_t bytes = params->chunk_bytes_max;
    for (uint32_t i = 0; i < block->certs_count; i++) {
        bytes += block->certs[i].ref.chunk_bytes;
    }
    return block->certs_count == params->block_certs_max || bytes > params->block_payload_bytes_max;
}

static void stored(void *ctx, struct dsmr_sim *sim, uint32_t node,
                   const struct dsmr_store_write *write)
{
    struct certified *self = ctx;
    if (write->kind == DSMR_STORE_CERT) {
        struct keepers *kept = keepers_of(self, &write->u.cert->ref.chunk_id);
        kept->nodes[node / 8] |= (uint8_t)(1u << (node % 8));
    }
    if (write->kind == DSMR_STORE_BFT_PUT) {
        on_record(self, sim, write);
    }
    if (write->kind != DSMR_STORE_ACCEPT) {
        return;
    }
    const struct dsmr_block *block = write->u.accept.block;
    include(self, block);
    if (block->height < self->height) {
        return;
    }
    if (dsmr_sim_check_healed_ms(sim) == UINT64_MAX) {
        self->healed_chain_ms = block->time_ms;
    } else if (block->height > self->height) {
        self->blocks++;
        self->full_blocks += is_full(sim, block);
    }
    self->height = block->height;
    self->epoch = block->epoch;
}

/* What returns to the mempool of one that is no validator any more stays there. */
static bool is_producer(const struct certified *self, const struct dsmr_sim *sim, uint64_t node)
{
    const struct dsmr_validator_set *set = dsmr_sim_check_set(sim, self->epoch);
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        if (dsmr_sim_check_number(&set->validators[i].node_ids[0]) == node) {
            return true;
        }
    }
    return false;
}

/* The certificates of what node said so far are with others, who include the chunks in time; but
 * nobody else returns their transactions afterwards. */
static void forgive(struct certified *self, uint32_t node)
{
    size_t position = 0;
    void *value;
    while (dsmr_sim_table_next(self->txs, &position, NULL, &value)) {
        struct tx *tx = value;
        tx->is_forgotten |= tx->number == node;
    }
}

/* It lost its disk. */
static void wiped(void *ctx, struct dsmr_sim *sim, uint32_t node)
{
    (void)sim;
    forgive(ctx, node);
}

/* By a clock that is ahead its transactions have expired. */
static void tick(void *ctx, struct dsmr_sim *sim)
{
    struct certified *self = ctx;
    uint64_t right_ms = dsmr_sim_wall_ms(sim) + dsmr_sim_check_params(sim)->clock_skew_ms;
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim); i++) {
        uint64_t latest_ms = dsmr_sim_check_latest_ms(sim, i);
        if (latest_ms != self->latest_ms[i] && latest_ms > right_ms) {
            forgive(self, i);
        }
        self->latest_ms[i] = latest_ms;
    }
}

/* Whether there was time enough after from_ms. */
static bool has_to_run(const struct certified *self, const struct dsmr_sim *sim,
                       const struct tx *tx, uint64_t from_ms)
{
    const struct dsmr_params *params = dsmr_sim_check_params(sim);
    /* Chain time may be ahead. */
    bool was_alive = tx->chunk_expiry_ms > (dsmr_sim_u128)from_ms + params->clock_skew_ms;
    if (tx->is_forgotten) { /* of its own epoch: who has the certificate still builds blocks; and of
                               a slot that has begun */
        return tx->chunk_expiry_ms <= (dsmr_sim_u128)from_ms + params->chunk_lifetime_ms &&
               tx->chunk_expiry_ms >= (dsmr_sim_u128)from_ms + AGAIN_MS &&
               tx->expiry_ms >= (dsmr_sim_u128)from_ms + AGAIN_MS && tx->epoch == self->epoch;
    }
    return was_alive && is_producer(self, sim, tx->number) &&
           tx->expiry_ms >= (dsmr_sim_u128)from_ms + params->chunk_lifetime_ms + AGAIN_MS;
}

static void end(void *ctx, struct dsmr_sim *sim)
{
    struct certified *self = ctx;
    size_t position = 0;
    const void *id;
    void *value;
    uint64_t healed_ms = dsmr_sim_check_healed_ms(sim);
    uint64_t from_ms = healed_ms > self->healed_chain_ms ? healed_ms : self->healed_chain_ms;
    bool has_room = 2 * self->full_blocks <= self->blocks;
    while (has_room && dsmr_sim_table_next(self->txs, &position, &id, &value)) {
        const struct tx *tx = value;
        if (has_to_run(self, sim, tx, from_ms)) {
            dsmr_sim_fail(sim, "5.9",
                          "transaction %s, which node %llu said was certified in chunk %s, did not "
                          "run until %llu, healed at %llu, chunk expiry %llu",
                          dsmr_sim_rules_name(id), (unsigned long long)tx->number,
                          dsmr_sim_rules_name(&tx->chunk_id), (unsigned long long)tx->expiry_ms,
                          (unsigned long long)healed_ms, (unsigned long long)tx->chunk_expiry_ms);
        }
    }
}

const struct dsmr_sim_checker_ops dsmr_sim_check_certified = {.name = "certified",
                                                              .make = make,
                                                              .free = free_self,
                                                              .executed = executed,
                                                              .certified = certified,
                                                              .stored = stored,
                                                              .wiped = wiped,
                                                              .issued = issued,
                                                              .tick = tick,
                                                              .end = end};
