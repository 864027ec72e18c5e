#include "sim/sim_cpu.h"

#include <string.h>

#include "sim/sim_bls.h"
#include "sim/sim_state.h"

/* build/release/bench/bench_costs prints this table; docs/scale.md has the machine. */
const struct dsmr_sim_costs dsmr_sim_cpu_measured = {
    .bls_sign = 345000,
    .bls_verify = 955000,
    .bls_share = 30000,
    .bls_batch = 605000,
    .bls_batch_each = 460000,
    .bls_key = 400,
    .check_tx = 150,
    .check_byte = 580,
    .execute_tx = 280,
    .logic_task = 6300,
    .logic_tick = 8000,
    .logic_message = 3200,
    .logic_send = 300,
    .build_tx = 250,
    .assemble_tx = 300,
    .net_message = 2000,
    .net_byte = 580,
    .sync_us = 160,
    .sync_byte = 620,
};

/* The node whose task runs; the ports below know no other way to tell. One thread. */
static struct dsmr_sim_node *running;
static uint64_t spent_ns;

static const struct dsmr_sim_costs *costs(const struct dsmr_sim_node *node)
{
    return &node->sim->config.costs;
}

static uint64_t weight(const struct dsmr_sim_node *node)
{
    return node->sim->config.tx_weight > 0 ? node->sim->config.tx_weight : 1;
}

/* ---- workers ---- */

void dsmr_sim_cpu_begin(struct dsmr_sim_node *node)
{
    running = node;
    spent_ns = 0;
}

uint64_t dsmr_sim_cpu_end(void)
{
    running = NULL;
    return spent_ns;
}

void dsmr_sim_cpu_check(const struct dsmr_tx_view *txs, uint32_t count)
{
    uint64_t bytes = 0;
    if (running == NULL) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        bytes += txs[i].len;
    }
    spent_ns += count * weight(running) * costs(running)->check_tx +
                bytes * costs(running)->check_byte / 1000u;
}

void dsmr_sim_cpu_execute(uint32_t count)
{
    if (running != NULL) {
        spent_ns += count * weight(running) * costs(running)->execute_tx;
    }
}

/* ---- BLS work ---- */

#define VERDICTS 4096u

/* What a certificate was found to be: hundreds of nodes ask about each. By the hash of all that the
 * verdict depends on; a colliding one replaces it. */
static struct verdict {
    uint64_t key;
    enum dsmr_err err;
} verdicts[VERDICTS];

static uint64_t mix(uint64_t hash, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    uint64_t word = 0;
    while (len > 0) {
        size_t part = len < sizeof(word) ? len : sizeof(word);
        memcpy(&word, at, part);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
        at += part;
        len -= part;
    }
    return hash;
}

static uint64_t key_of(const struct dsmr_bls_batch_entry *entry)
{
    uint64_t key = mix(entry->set->epoch + 1, entry->message, entry->len);
    key = mix(key, entry->sig->bytes, sizeof(entry->sig->bytes));
    key = mix(key, entry->signers->words, sizeof(entry->signers->words));
    return mix(key, &entry->set->validators[0].public_key,
               sizeof(entry->set->validators[0].public_key)) ^
           entry->set->count;
}

static enum dsmr_err bls_verify(const struct dsmr_validator_set *set, uint32_t signer,
                                const struct dsmr_bls_sig *sig, const void *message, size_t len)
{
    spent_ns += running != NULL ? costs(running)->bls_verify : 0;
    return dsmr_sim_bls_ops_in_use()->verify(set, signer, sig, message, len);
}

static enum dsmr_err bls_aggregate(struct dsmr_bls_sig *out, struct dsmr_bitset *signers,
                                   struct dsmr_bitset *bad, const struct dsmr_validator_set *set,
                                   const struct dsmr_share *shares, size_t count,
                                   const void *message, size_t len)
{
    if (running != NULL) {
        spent_ns += costs(running)->bls_verify +
                    count * (costs(running)->bls_share + costs(running)->bls_key);
    }
    return dsmr_sim_bls_ops_in_use()->aggregate(out, signers, bad, set, shares, count, message,
                                                len);
}

static enum dsmr_err bls_sum(struct dsmr_bls_sig *out, struct dsmr_bitset *signers,
                             struct dsmr_bitset *bad, const struct dsmr_validator_set *set,
                             const struct dsmr_share *shares, size_t count)
{
    spent_ns += running != NULL ? count * costs(running)->bls_share : 0;
    return dsmr_sim_bls_ops_in_use()->sum(out, signers, bad, set, shares, count);
}

static uint32_t count_signers(const struct dsmr_bitset *signers)
{
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof(signers->words) / sizeof(signers->words[0]); i++) {
        count += (uint32_t)__builtin_popcountll(signers->words[i]);
    }
    return count;
}

static enum dsmr_err bls_verify_batch(enum dsmr_err *errs,
                                      const struct dsmr_bls_batch_entry *entries, size_t count,
                                      const uint8_t *random)
{
    bool is_wide = running != NULL && running->sim->config.wan.up_bytes_per_s > 0;
    spent_ns += running != NULL ? costs(running)->bls_batch : 0;
    for (size_t i = 0; running != NULL && i < count; i++) {
        spent_ns += costs(running)->bls_batch_each +
                    count_signers(entries[i].signers) * costs(running)->bls_key;
    }
    if (!is_wide) { /* as it is: what a batch lets pass is to be found, too */
        return dsmr_sim_bls_ops_in_use()->verify_batch(errs, entries, count, random);
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t key = key_of(&entries[i]);
        struct verdict *known = &verdicts[key % VERDICTS];
        if (known->key != key) {
            known->key = key;
            (void)dsmr_sim_bls_ops_in_use()->verify_batch(&known->err, &entries[i], 1, random);
        }
        errs[i] = known->err;
    }
    return DSMR_OK;
}

const struct dsmr_bls_ops dsmr_sim_cpu_bls = {
    .verify = bls_verify,
    .aggregate = bls_aggregate,
    .sum = bls_sum,
    .verify_batch = bls_verify_batch,
};

static enum dsmr_err sign_share(void *self, struct dsmr_bls_sig *out,
                                const struct dsmr_domain *domain, const struct dsmr_reference *ref)
{
    const struct dsmr_signer *inner = self;
    spent_ns += running != NULL ? costs(running)->bls_sign : 0;
    return inner->ops->sign_share(inner->self, out, domain, ref);
}

static enum dsmr_err sign_vote(void *self, struct dsmr_bls_sig *out,
                               const struct dsmr_domain *domain,
                               const struct dsmr_vote_subject *subject)
{
    const struct dsmr_signer *inner = self;
    spent_ns += running != NULL ? costs(running)->bls_sign : 0;
    return inner->ops->sign_vote(inner->self, out, domain, subject);
}

struct dsmr_signer dsmr_sim_cpu_signer(struct dsmr_signer *inner)
{
    static const struct dsmr_signer_ops ops = {.sign_share = sign_share, .sign_vote = sign_vote};
    return (struct dsmr_signer){.self = inner, .ops = &ops};
}

/* ---- the logic thread ---- */

static uint64_t now_ns(const struct dsmr_sim_node *node)
{
    return node->sim->now_us * 1000u;
}

uint64_t dsmr_sim_cpu_logic_wait_us(const struct dsmr_sim_node *node)
{
    return node->logic_free_ns > now_ns(node) ? (node->logic_free_ns - now_ns(node)) / 1000u : 0;
}

static void spend_logic(struct dsmr_sim_node *node, uint64_t ns)
{
    node->logic_free_ns =
        (node->logic_free_ns > now_ns(node) ? node->logic_free_ns : now_ns(node)) + ns;
    node->usage.logic_ns += ns;
}

void dsmr_sim_cpu_logic(struct dsmr_sim_node *node, const struct dsmr_sim_item *item,
                        uint64_t sends)
{
    const struct dsmr_sim_costs *cost = costs(node);
    uint64_t ns = sends * cost->logic_send;
    if (item == NULL) {
        ns += cost->logic_tick;
    } else {
        ns += item->bytes != NULL ? cost->logic_message : cost->logic_task;
    }
    spend_logic(node, ns);
}

void dsmr_sim_cpu_notice(struct dsmr_sim_node *node, const struct dsmr_notice *notice)
{
    if (notice->kind == DSMR_NOTICE_BUILT) {
        spend_logic(node, notice->u.chunk->ref.tx_count * weight(node) * costs(node)->build_tx);
    } else if (notice->kind == DSMR_NOTICE_EXECUTED) {
        spend_logic(node, notice->u.executed->count * weight(node) * costs(node)->assemble_tx);
    }
}

/* ---- network thread and disk ---- */

static uint64_t net_ns(const struct dsmr_sim_node *node, uint32_t len)
{
    return costs(node)->net_message + len * costs(node)->net_byte / 1000u;
}

static void spend_net(struct dsmr_sim_node *node, uint64_t from_ns, uint64_t ns)
{
    node->net_free_ns = (node->net_free_ns > from_ns ? node->net_free_ns : from_ns) + ns;
    node->usage.net_ns += ns;
}

void dsmr_sim_cpu_net(struct dsmr_sim_node *node, uint32_t len)
{
    spend_net(node, now_ns(node), net_ns(node, len));
}

uint64_t dsmr_sim_cpu_net_receive(struct dsmr_sim_node *node, uint32_t len, uint64_t at_us)
{
    spend_net(node, at_us * 1000u, net_ns(node, len));
    return node->net_free_ns / 1000u;
}

uint64_t dsmr_sim_cpu_sync_us(struct dsmr_sim_node *node, uint64_t bytes)
{
    const struct dsmr_sim_costs *cost = costs(node);
    uint64_t byte_ps = cost->sync_byte > 0 ? cost->sync_byte : 1000; /* else a gigabyte a second */
    return cost->sync_us + bytes * byte_ps / 1000000u;
}
