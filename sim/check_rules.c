#include "sim/check_rules.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

bool dsmr_sim_rules_is_quorum(dsmr_sim_u128 weight, dsmr_sim_u128 total)
{
    return 3 * weight > 2 * total;
}

bool dsmr_sim_rules_is_third(dsmr_sim_u128 weight, dsmr_sim_u128 total)
{
    return 3 * weight >= total;
}

dsmr_sim_u128 dsmr_sim_rules_slot_start(const struct dsmr_params *params, uint64_t slot)
{
    return (dsmr_sim_u128)slot * params->slot_ms;
}

dsmr_sim_u128 dsmr_sim_rules_expiry(const struct dsmr_params *params, uint64_t slot)
{
    return dsmr_sim_rules_slot_start(params, slot) + params->chunk_lifetime_ms;
}

bool dsmr_sim_rules_same(const void *a, const void *b, size_t len)
{
    return memcmp(a, b, len) == 0;
}

const char *dsmr_sim_rules_name(const struct dsmr_id *id)
{
    static char texts[4][9];
    static unsigned next;
    char *text = texts[next++ % 4];
    snprintf(text, sizeof(texts[0]), "%02x%02x%02x%02x", id->bytes[0], id->bytes[1], id->bytes[2],
             id->bytes[3]);
    return text;
}

int dsmr_sim_rules_entry(const struct dsmr_validator_set *set, const struct dsmr_node_id *node)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const struct dsmr_validator *entry = &set->validators[i];
        if (entry->node_ids_count == 1 &&
            dsmr_sim_rules_same(entry->node_ids[0].bytes, node->bytes, sizeof(node->bytes))) {
            return (int)i;
        }
    }
    return -1;
}

const char *dsmr_sim_rules_aggregate(const struct dsmr_validator_set *set,
                                     const struct dsmr_bitset *signers,
                                     const struct dsmr_bls_sig *signature, const void *bytes,
                                     size_t len)
{
    dsmr_sim_u128 weight = 0, total = 0;
    struct dsmr_bls_sig sum;
    memset(&sum, 0, sizeof(sum));
    for (uint32_t i = 0; i < set->count; i++) {
        total += set->validators[i].weight;
    }
    total = total > set->total_weight ? total : set->total_weight; /* some have no key */
    for (uint32_t i = 0; i < DSMR_VALIDATORS_MAX; i++) {
        uint64_t rest = signers->words[i / 64] >> (i % 64);
        if (rest == 0) {
            i |= 63; /* on to the next word */
            continue;
        }
        if ((rest & 1) == 0) {
            continue;
        }
        if (i >= set->count || set->validators[i].node_ids_count != 1) {
            return "a signer that is not one of the epoch's";
        }
        weight += set->validators[i].weight;
        struct dsmr_bls_sig one = dsmr_sim_check_signature(
            dsmr_sim_check_number(&set->validators[i].node_ids[0]), bytes, len);
        dsmr_sim_check_add_signature(&sum, &one);
    }
    if (!dsmr_sim_rules_is_quorum(weight, total)) {
        return "less than a quorum of signers";
    }
    return dsmr_sim_rules_same(&sum, signature, sizeof(sum)) ? NULL : "a wrong aggregate";
}

/* Codec version u16 = 0, network u32, chain 32, payload length u32, "DSMR", type u8, version u8. */
static uint8_t *put_head(uint8_t *out, const struct dsmr_sim *sim, uint8_t type, uint32_t fields)
{
    const struct dsmr_domain *domain = &dsmr_sim_check_params(sim)->domain;
    dsmr_store_be16(out, 0);
    dsmr_store_be32(out + 2, domain->network_id);
    memcpy(out + 6, domain->chain_id.bytes, 32);
    dsmr_store_be32(out + 38, 6 + fields);
    memcpy(out + 42, "DSMR", 4);
    out[46] = type;
    out[47] = 1;
    return out + 48;
}

void dsmr_sim_rules_share_bytes(uint8_t out[DSMR_SIM_RULES_SHARE_BYTES], const struct dsmr_sim *sim,
                                const struct dsmr_reference *ref)
{
    uint8_t *at = put_head(out, sim, 1, 84);
    memcpy(at, ref->chunk_id.bytes, 32);
    dsmr_store_be64(at + 32, ref->epoch);
    memcpy(at + 40, ref->producer.bytes, 20);
    dsmr_store_be64(at + 60, ref->slot);
    dsmr_store_be64(at + 68, ref->expiry_ms);
    dsmr_store_be32(at + 76, ref->tx_count);
    dsmr_store_be32(at + 80, ref->chunk_bytes);
}

void dsmr_sim_rules_vote_bytes(uint8_t out[DSMR_SIM_RULES_VOTE_BYTES], const struct dsmr_sim *sim,
                               const struct dsmr_vote_subject *subject)
{
    uint8_t *at = put_head(out, sim, 2, 57);
    at[0] = subject->kind;
    dsmr_store_be64(at + 1, subject->epoch);
    dsmr_store_be64(at + 9, subject->view);
    dsmr_store_be64(at + 17, subject->height);
    memcpy(at + 25, subject->block_id.bytes, 32);
}

const char *dsmr_sim_rules_cert(const struct dsmr_sim *sim, const struct dsmr_cert *cert)
{
    uint8_t bytes[DSMR_SIM_RULES_SHARE_BYTES];
    const struct dsmr_validator_set *set = dsmr_sim_check_set(sim, cert->ref.epoch);
    if (set == NULL) {
        return "an epoch that there is not";
    }
    dsmr_sim_rules_share_bytes(bytes, sim, &cert->ref);
    return dsmr_sim_rules_aggregate(set, &cert->signers, &cert->sig, bytes, sizeof(bytes));
}

const char *dsmr_sim_rules_quorum_cert(const struct dsmr_sim *sim,
                                       const struct dsmr_quorum_cert *qc)
{
    uint8_t bytes[DSMR_SIM_RULES_VOTE_BYTES];
    const struct dsmr_validator_set *set = dsmr_sim_check_set(sim, qc->subject.epoch);
    if (set == NULL) {
        return "an epoch that there is not";
    }
    dsmr_sim_rules_vote_bytes(bytes, sim, &qc->subject);
    return dsmr_sim_rules_aggregate(set, &qc->signers, &qc->sig, bytes, sizeof(bytes));
}
