#include "core/share_collector.h"

#include <stdlib.h>

#include "base/bitset.h"
#include "core/block_builder.h"
#include "core/cert_intake.h"
#include "core/chunk_builder.h"
#include "core/give_up.h"

#define RETRY_DELAYS 64u /* the longest delay is this many times the first */

static void count_bytes(struct dsmr_node *node, const struct dsmr_own_chunk *own, bool add)
{
    uint64_t *sum = own->has_cert ? &node->own_waiting_bytes : &node->own_uncertified_bytes;
    DSMR_ASSERT(add || *sum >= own->ref.chunk_bytes);
    *sum = add ? *sum + own->ref.chunk_bytes : *sum - own->ref.chunk_bytes;
    if (!own->has_cert) {
        node->own_uncertified = add ? node->own_uncertified + 1 : node->own_uncertified - 1;
    }
}

struct dsmr_own_chunk *dsmr_share_collector_add(struct dsmr_node *node,
                                                const struct dsmr_reference *ref,
                                                struct dsmr_chunk *chunk,
                                                struct dsmr_validator_set *set)
{
    for (uint32_t i = 0; i < DSMR_NODE_OWN_MAX; i++) {
        struct dsmr_own_chunk *own = &node->own[i];
        if (own->state != DSMR_OWN_FREE) {
            continue;
        }
        struct dsmr_share *shares = own->shares;
        uint32_t use = own->use + 1, shares_max = own->shares_max;
        memset(own, 0, sizeof(*own));
        own->shares = shares;
        own->shares_max = shares_max;
        own->use = use;
        own->state = DSMR_OWN_LOADING;
        own->ref = *ref;
        own->chunk = dsmr_chunk_ref(chunk);
        own->set = dsmr_validator_set_ref(set);
        dsmr_retry_init(&own->retry, node->config.retry_ms,
                        (uint64_t)node->config.retry_ms * RETRY_DELAYS);
        node->own_count++;
        count_bytes(node, own, true);
        dsmr_node_common_arm(node, DSMR_TIMER_OWN,
                             dsmr_node_common_mono_at(node, dsmr_give_up_useless_at(node, own)));
        return own;
    }
    return NULL;
}

struct dsmr_own_chunk *dsmr_share_collector_of(struct dsmr_node *node,
                                               const struct dsmr_request *request)
{
    struct dsmr_own_chunk *own = &node->own[request->item];
    return own->state != DSMR_OWN_FREE && own->use == request->item_use ? own : NULL;
}

struct dsmr_own_chunk *dsmr_share_collector_find(const struct dsmr_node *node,
                                                 const struct dsmr_id *chunk_id)
{
    for (uint32_t i = 0, left = node->own_count; left > 0 && i < DSMR_NODE_OWN_MAX; i++) {
        struct dsmr_own_chunk *own = &node->own[i];
        if (own->state == DSMR_OWN_FREE) {
            continue;
        }
        if (dsmr_id_equal(&own->ref.chunk_id, chunk_id)) {
            return own;
        }
        left--;
    }
    return NULL;
}

void dsmr_share_collector_remove(struct dsmr_node *node, struct dsmr_own_chunk *own)
{
    count_bytes(node, own, false);
    dsmr_chunk_unref(own->chunk);
    dsmr_chunk_unref(own->kept);
    dsmr_validator_set_unref(own->set);
    own->chunk = NULL;
    own->kept = NULL;
    own->set = NULL;
    own->state = DSMR_OWN_FREE;
    node->own_count--;
    dsmr_node_common_arm(node, DSMR_TIMER_CHUNK, node->mono_ms); /* there may be room again */
}

/* A step could not be asked for: try again with the next timer. */
static void postpone(struct dsmr_node *node, struct dsmr_own_chunk *own)
{
    if (own->retry.due_mono_ms == UINT64_MAX) {
        dsmr_retry_start(&own->retry, &node->prng, node->mono_ms);
    }
    dsmr_node_common_arm(node, DSMR_TIMER_OWN, own->retry.due_mono_ms);
}

void dsmr_share_collector_sign(struct dsmr_node *node, struct dsmr_own_chunk *own)
{
    uint64_t id = dsmr_node_common_request(node, DSMR_REQUEST_OWN_SIGN, (uint32_t)(own - node->own),
                                           own->use);
    own->state = DSMR_OWN_SIGNING;
    if (id == 0) {
        postpone(node, own);
        return;
    }
    dsmr_retry_stop(&own->retry);
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_SIGN);
    fx->request_id = id;
    fx->u.sign = own->ref;
}

static void request_message(struct dsmr_msg *msg, const struct dsmr_own_chunk *own)
{
    memset(msg, 0, sizeof(*msg));
    msg->type = DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE;
    msg->u.request_share.sig = own->sig;
    msg->u.request_share.chunk = own->chunk->bytes;
    msg->u.request_share.chunk_len = own->ref.chunk_bytes;
}

static void add_share(struct dsmr_own_chunk *own, uint32_t signer, const struct dsmr_bls_sig *sig)
{
    DSMR_ASSERT(own->shares_count < own->shares_max);
    own->shares[own->shares_count].signer = signer;
    own->shares[own->shares_count].sig = *sig;
    own->shares_count++;
    own->shares_weight += own->set->validators[signer].weight; /* <= total weight, a u64 */
    dsmr_bitset_add(&own->shared, signer);
    dsmr_bitset_add(&own->settled, signer);
}

static void aggregate(struct dsmr_node *node, struct dsmr_own_chunk *own)
{
    if (!dsmr_is_quorum(own->shares_weight, own->set->total_weight)) {
        return;
    }
    struct dsmr_share *copy = malloc((size_t)own->shares_count * sizeof(*copy));
    uint64_t id = copy == NULL ? 0
                               : dsmr_node_common_request(node, DSMR_REQUEST_OWN_AGGREGATE,
                                                          (uint32_t)(own - node->own), own->use);
    if (id == 0) {
        free(copy);
        postpone(node, own);
        return;
    }
    memcpy(copy, own->shares, (size_t)own->shares_count * sizeof(*copy));
    own->state = DSMR_OWN_AGGREGATING;
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_AGGREGATE);
    fx->request_id = id;
    fx->u.aggregate.ref = own->ref;
    fx->u.aggregate.set = dsmr_validator_set_ref(own->set);
    fx->u.aggregate.shares = copy;
    fx->u.aggregate.shares_count = own->shares_count;
}

void dsmr_share_collector_on_signed(struct dsmr_node *node, const struct dsmr_request *request,
                                    enum dsmr_err err, const struct dsmr_bls_sig *sig)
{
    struct dsmr_own_chunk *own = dsmr_share_collector_of(node, request);
    if (own == NULL) {
        return;
    }
    DSMR_ASSERT(own->state == DSMR_OWN_SIGNING && own->chunk != NULL);
    struct dsmr_chunk_entry *entry = dsmr_chunk_pool_find(node->chunks, &own->ref.chunk_id);
    int self = dsmr_validator_set_find(own->set, &node->config.node_id);
    if (err != DSMR_OK || entry == NULL || self < 0) {
        dsmr_node_common_error(node, err);
        postpone(node, own);
        return;
    }
    DSMR_ASSERT(entry->is_signed); /* INV-01: what is signed and sent now is stored */
    own->sig = *sig;
    entry->share = *sig;
    entry->has_share = true;
    entry->producer_sig = *sig;
    if (entry->state == DSMR_CHUNK_STORED) {
        dsmr_chunk_pool_set_state(node->chunks, &own->ref.chunk_id, DSMR_CHUNK_SHARED, 0);
    }
    own->state = DSMR_OWN_COLLECTING;
    add_share(own, (uint32_t)self, sig);
    struct dsmr_msg msg;
    request_message(&msg, own);
    dsmr_effects_broadcast(node->fx, own->set, &msg, own->chunk);
    own->first_sent_ms = own->last_sent_ms = node->mono_ms;
    dsmr_cert_gather_on_share(node, &own->ref.chunk_id);
    dsmr_retry_start(&own->retry, &node->prng, node->mono_ms);
    dsmr_node_common_arm(node, DSMR_TIMER_OWN, own->retry.due_mono_ms);
    aggregate(node, own);
}

void dsmr_share_collector_on_loaded(struct dsmr_node *node, const struct dsmr_request *request,
                                    enum dsmr_err err, struct dsmr_chunk *chunk)
{
    struct dsmr_own_chunk *own = dsmr_share_collector_of(node, request);
    if (own == NULL || own->state != DSMR_OWN_LOADING) {
        return;
    }
    if (err == DSMR_OK && !dsmr_reference_equal(&chunk->ref, &own->ref)) {
        err = DSMR_ERR_CORRUPT;
    }
    if (err != DSMR_OK) { /* it cannot be sent again; its slot stays journalled */
        dsmr_node_common_error(node, err);
        dsmr_share_collector_remove(node, own);
        return;
    }
    own->chunk = dsmr_chunk_ref(chunk);
    dsmr_share_collector_sign(node, own);
}

/* A set may be larger than the chain foresaw: under AvalancheGo anybody may join it. */
static bool has_room(struct dsmr_own_chunk *own)
{
    if (own->shares_count < own->shares_max) {
        return true;
    }
    struct dsmr_share *larger = realloc(own->shares, own->set->count * sizeof(*larger));
    if (larger == NULL) {
        return false;
    }
    own->shares = larger;
    own->shares_max = own->set->count; /* each of them has at most one share */
    return true;
}

/* How long the peer took. Of a chunk that was sent twice nobody can tell which was answered. */
static void measure(struct dsmr_node *node, const struct dsmr_own_chunk *own,
                    const struct dsmr_node_id *from, uint32_t signer)
{
    struct dsmr_peer *peer = dsmr_peer_table_find(node->peers, from);
    if (peer != NULL && !dsmr_bitset_has(&own->resent, signer)) {
        dsmr_peer_pace_on_answer(&peer->pace, own->first_sent_ms, node->mono_ms);
    }
}

void dsmr_share_collector_on_share(struct dsmr_node *node, const struct dsmr_node_id *from,
                                   const struct dsmr_msg *msg)
{
    const struct dsmr_reference *ref = &msg->u.chunk_signature.ref;
    struct dsmr_own_chunk *own = dsmr_share_collector_find(node, &ref->chunk_id);
    if (own == NULL) {
        dsmr_node_common_error(node, DSMR_ERR_UNKNOWN); /* included or expired since: normal */
        return;
    }
    int signer = dsmr_validator_set_find(own->set, from);
    if (signer < 0) {
        dsmr_node_common_fault(node, from, DSMR_ERR_NOT_VALIDATOR);
        return;
    }
    if (!dsmr_reference_equal(ref, &own->ref)) {
        dsmr_node_common_fault(node, from, DSMR_ERR_REFERENCE_MISMATCH);
        return;
    }
    if (own->state < DSMR_OWN_COLLECTING) {
        dsmr_node_common_fault(node, from, DSMR_ERR_UNEXPECTED); /* it was not sent yet */
        return;
    }
    if (dsmr_bitset_has(&own->settled, (uint32_t)signer)) {
        dsmr_node_common_error(node, DSMR_ERR_DUPLICATE);
        return;
    }
    if (!has_room(own)) {
        dsmr_node_common_error(node, DSMR_ERR_NO_MEMORY); /* it is asked for again */
        return;
    }
    add_share(own, (uint32_t)signer, &msg->u.chunk_signature.sig);
    measure(node, own, from, (uint32_t)signer);
    dsmr_effects_trace(node->fx, DSMR_TRACE_SHARE_RECEIVED, &ref->chunk_id, (uint64_t)signer, 0);
    dsmr_node_common_count(node, DSMR_METRIC_SHARES_RECEIVED, 1);
    if (own->state == DSMR_OWN_COLLECTING) {
        aggregate(node, own);
    }
}

static bool is_not_yet(uint16_t err)
{
    switch ((enum dsmr_err)err) {
    case DSMR_ERR_EPOCH_UNKNOWN:
    case DSMR_ERR_SLOT_AHEAD:
    case DSMR_ERR_QUOTA_FULL:
    case DSMR_ERR_BUSY:
    case DSMR_ERR_BEHIND:
    case DSMR_ERR_NOT_YET:
    case DSMR_ERR_FULL:
    case DSMR_ERR_RATE_LIMITED:
        return true;
    default:
        return false;
    }
}

void dsmr_share_collector_on_refused(struct dsmr_node *node, const struct dsmr_node_id *from,
                                     const struct dsmr_msg *msg)
{
    struct dsmr_own_chunk *own = dsmr_share_collector_find(node, &msg->u.chunk_refused.chunk_id);
    int signer = own == NULL ? -1 : dsmr_validator_set_find(own->set, from);
    if (signer < 0) {
        return;
    }
    if (is_not_yet(msg->u.chunk_refused.err)) {
        dsmr_bitset_add(&own->asked, (uint32_t)signer);
        return;
    }
    dsmr_bitset_add(&own->settled, (uint32_t)signer);
    if (msg->u.chunk_refused.err == DSMR_ERR_EXPIRED) {
        dsmr_give_up_if_too_late(node, own);
    }
}

/* "Certified" promises a client that its transaction outlives the crash of f validators, this one
 * among them. So it is said when more weight than that has the certificate on disk: who crashes
 * then leaves one who brings it into a block. */
static void tell_certified(struct dsmr_node *node, struct dsmr_own_chunk *own)
{
    uint64_t total = own->set->total_weight;
    if (own->is_told || own->chunk == NULL ||
        dsmr_bitset_weight(&own->keepers, own->set) <= total - dsmr_quorum_weight(total)) {
        return;
    }
    own->is_told = true;
    own->told_ms = node->mono_ms;
    dsmr_effects_notice_chunk(node->fx, DSMR_NOTICE_OWN_CERTIFIED, own->chunk);
}

void dsmr_share_collector_on_cert_answer(struct dsmr_node *node, const struct dsmr_node_id *from,
                                         const struct dsmr_msg *msg)
{
    struct dsmr_own_chunk *own = dsmr_share_collector_find(node, &msg->u.chunk_refused.chunk_id);
    int peer = own == NULL ? -1 : dsmr_validator_set_find(own->set, from);
    if (peer < 0 || is_not_yet(msg->u.chunk_refused.err)) {
        return;
    }
    dsmr_bitset_add(&own->acked, (uint32_t)peer);
    if (msg->u.chunk_refused.err == DSMR_OK) {
        dsmr_bitset_add(&own->keepers, (uint32_t)peer);
        tell_certified(node, own);
    }
}

/* Liars' shares go, and their senders are not asked again. */
static void drop_bad(struct dsmr_node *node, struct dsmr_own_chunk *own,
                     const struct dsmr_bitset *bad)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < own->shares_count; i++) {
        uint32_t signer = own->shares[i].signer;
        if (!dsmr_bitset_has(bad, signer)) {
            own->shares[kept++] = own->shares[i];
            continue;
        }
        own->shares_weight -= own->set->validators[signer].weight;
        dsmr_bitset_remove(&own->shared, signer);
        dsmr_node_common_fault(node, &own->set->validators[signer].node_ids[0], DSMR_ERR_BAD_SHARE);
    }
    own->shares_count = kept;
}

static void store_cert(struct dsmr_node *node, struct dsmr_own_chunk *own)
{
    own->state = DSMR_OWN_CERT_STORING;
    if (!dsmr_cert_intake_add_own(node, own)) { /* no room for now: with the next timer */
        own->state = own->has_cert ? DSMR_OWN_CERTIFIED : DSMR_OWN_COLLECTING;
        postpone(node, own);
    }
}

void dsmr_share_collector_on_aggregated(struct dsmr_node *node, const struct dsmr_request *request,
                                        const struct dsmr_event *event)
{
    struct dsmr_own_chunk *own = dsmr_share_collector_of(node, request);
    if (own == NULL) {
        return;
    }
    DSMR_ASSERT(own->state == DSMR_OWN_AGGREGATING);
    own->state = own->has_cert ? DSMR_OWN_CERTIFIED : DSMR_OWN_COLLECTING;
    if (dsmr_err_class_of(event->err) == DSMR_ERR_CLASS_LOCAL) {
        postpone(node, own);
        return;
    }
    drop_bad(node, own, &event->u.aggregated.bad);
    uint64_t weight = 0;
    if (event->err != DSMR_OK ||
        dsmr_node_common_check_signers(&event->u.aggregated.signers, &weight, own->set) !=
            DSMR_OK ||
        weight <= own->cert_weight) {
        dsmr_node_common_error(node, event->err);
        if (own->state == DSMR_OWN_COLLECTING) {
            aggregate(node, own); /* shares that came meanwhile may fill the gap */
        }
        return;
    }
    own->cert.ref = own->ref;
    own->cert.signers = event->u.aggregated.signers;
    own->cert.sig = event->u.aggregated.sig;
    own->cert_weight = weight;
    store_cert(node, own);
}

static void become_certified(struct dsmr_node *node, struct dsmr_own_chunk *own)
{
    if (!own->has_cert) {
        count_bytes(node, own, false);
        own->has_cert = true;
        count_bytes(node, own, true);
    }
    own->state = DSMR_OWN_CERTIFIED;
    memset(&own->acked, 0, sizeof(own->acked));
    int self = dsmr_validator_set_find(own->set, &node->config.node_id);
    if (self >= 0) {
        dsmr_bitset_add(&own->acked, (uint32_t)self);
        dsmr_bitset_add(&own->keepers, (uint32_t)self);
    }
    dsmr_retry_start(&own->retry, &node->prng, node->mono_ms);
    dsmr_node_common_arm(node, DSMR_TIMER_OWN, own->retry.due_mono_ms);
}

void dsmr_share_collector_on_cert_stored(struct dsmr_node *node, struct dsmr_own_chunk *own,
                                         enum dsmr_err err)
{
    DSMR_ASSERT(own->state == DSMR_OWN_CERT_STORING);
    if (err != DSMR_OK) { /* a certificate leaves only stored */
        own->state = DSMR_OWN_COLLECTING;
        own->cert_weight = 0;
        postpone(node, own);
        return;
    }
    bool is_first = !own->has_cert;
    become_certified(node, own);
    struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE};
    msg.u.certificate = own->cert;
    dsmr_effects_broadcast(node->fx, own->set, &msg, NULL);
    if (is_first) {
        struct dsmr_backlogs backlogs;
        dsmr_chunk_builder_backlogs(node, &backlogs);
        dsmr_backpressure_on_certified(&node->backpressure, &backlogs);
        tell_certified(node, own);
        dsmr_effects_trace(node->fx, DSMR_TRACE_CERT_FORMED, &own->ref.chunk_id,
                           dsmr_bitset_count(&own->cert.signers), 0);
        dsmr_node_common_count(node, DSMR_METRIC_CERTS_FORMED, 1);
        dsmr_node_common_arm(node, DSMR_TIMER_CHUNK, node->mono_ms);
    }
}

void dsmr_share_collector_restore_cert(struct dsmr_node *node, struct dsmr_own_chunk *own,
                                       const struct dsmr_cert *cert, uint64_t weight)
{
    own->cert = *cert;
    own->cert_weight = weight;
    own->is_reaggregated = true; /* the shares are gone with the last run */
    own->settled = cert->signers;
    become_certified(node, own);
}

/* Next validator from *position on that bits do not name and that may be connected; -1: none. When
 * one comes up, everything is due. */
static int next_missing(struct dsmr_node *node, uint32_t *position,
                        const struct dsmr_own_chunk *own, const struct dsmr_bitset *bits)
{
    for (; *position < own->set->count; ++*position) {
        const struct dsmr_validator *validator = &own->set->validators[*position];
        if (dsmr_bitset_has(bits, *position) || validator->node_ids_count != 1 ||
            dsmr_node_id_equal(&validator->node_ids[0], &node->config.node_id)) {
            continue;
        }
        const struct dsmr_peer *peer = dsmr_peer_table_find(node->peers, &validator->node_ids[0]);
        if (peer == NULL || peer->is_up) {
            return (int)(*position)++;
        }
    }
    return -1;
}

struct dsmr_resend {
    uint32_t open; /* connected validators that owe an answer */
    uint32_t sent;
};

static void resend_cert(struct dsmr_node *node, const struct dsmr_own_chunk *own,
                        struct dsmr_resend *count)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE};
    msg.u.certificate = own->cert;
    uint32_t position = 0;
    for (int i; (i = next_missing(node, &position, own, &own->acked)) >= 0; count->sent++) {
        dsmr_effects_send(node->fx, &own->set->validators[i].node_ids[0], &msg, NULL);
        count->open++;
    }
}

/* Not to those who only take their time: peer_pace. */
static void resend_chunk(struct dsmr_node *node, struct dsmr_own_chunk *own,
                         struct dsmr_resend *count)
{
    struct dsmr_msg msg;
    request_message(&msg, own);
    uint32_t position = 0, sent = 0;
    for (int i; (i = next_missing(node, &position, own, &own->settled)) >= 0;) {
        const struct dsmr_node_id *to = &own->set->validators[i].node_ids[0];
        struct dsmr_peer *peer = dsmr_peer_table_find(node->peers, to);
        count->open++;
        if (peer != NULL && !dsmr_bitset_has(&own->asked, (uint32_t)i) &&
            !dsmr_peer_pace_take(&peer->pace, own->last_sent_ms, node->config.retry_ms,
                                 node->mono_ms)) {
            continue;
        }
        dsmr_bitset_remove(&own->asked, (uint32_t)i);
        dsmr_bitset_add(&own->resent, (uint32_t)i);
        dsmr_effects_send(node->fx, to, &msg, own->chunk);
        dsmr_node_common_count(node, DSMR_METRIC_CHUNKS_RESENT, 1);
        sent++;
    }
    if (sent > 0) {
        own->last_sent_ms = node->mono_ms;
    }
    count->sent += sent;
}

/* Every validator verifies the heavier one again, and under load that makes blocks late: only for
 * one that is long without a block. */
static bool is_heavier_due(const struct dsmr_node *node, const struct dsmr_own_chunk *own)
{
    return own->shares_weight > own->cert_weight && !own->is_reaggregated &&
           node->mono_ms >= own->first_sent_ms + node->config.params.chunk_lifetime_ms / 4u;
}

static uint32_t resend(struct dsmr_node *node, struct dsmr_own_chunk *own)
{
    struct dsmr_resend count = {0, 0};
    switch (own->state) {
    case DSMR_OWN_SIGNING:
        dsmr_retry_again(&own->retry, &node->prng, node->mono_ms);
        dsmr_share_collector_sign(node, own);
        return 0;
    case DSMR_OWN_COLLECTING:
        aggregate(node, own);
        break;
    case DSMR_OWN_CERTIFIED:
        if (is_heavier_due(node, own)) {
            own->is_reaggregated = true;
            aggregate(node, own);
        }
        resend_cert(node, own, &count);
        break;
    default:
        break;
    }
    if (own->chunk != NULL && own->state >= DSMR_OWN_COLLECTING) {
        resend_chunk(node, own, &count);
    }
    if (count.open == 0 && own->state == DSMR_OWN_CERTIFIED) {
        dsmr_retry_stop(&own->retry); /* all who are connected have answered */
    } else if (count.sent > 0) {
        dsmr_retry_again(&own->retry, &node->prng, node->mono_ms);
    } else {
        dsmr_retry_wait(&own->retry, &node->prng, node->mono_ms);
    }
    return count.sent;
}

void dsmr_share_collector_on_timer(struct dsmr_node *node)
{
    uint32_t sent = 0;
    for (uint32_t i = 0, left = node->own_count; left > 0 && i < DSMR_NODE_OWN_MAX; i++) {
        struct dsmr_own_chunk *own = &node->own[i];
        if (own->state == DSMR_OWN_FREE) {
            continue;
        }
        left--;
        if (dsmr_give_up_if_useless(node, own)) {
            continue;
        }
        if (dsmr_retry_is_due(&own->retry, node->mono_ms)) {
            if (sent >= DSMR_NODE_SENDS_MAX ||
                dsmr_effects_room(node->fx) < 2u * own->set->count + 64u) {
                dsmr_node_common_arm(node, DSMR_TIMER_OWN, node->mono_ms + 1);
                return;
            }
            sent += resend(node, own);
        }
        dsmr_node_common_arm(node, DSMR_TIMER_OWN, own->retry.due_mono_ms);
        if (own->chunk != NULL && node->wall_ms < dsmr_give_up_useless_at(node, own)) {
            uint64_t at_ms = dsmr_node_common_mono_at(node, dsmr_give_up_useless_at(node, own));
            dsmr_node_common_arm(node, DSMR_TIMER_OWN, at_ms);
        }
    }
    dsmr_give_up_look_again(node);
}

void dsmr_share_collector_on_peer_up(struct dsmr_node *node)
{
    for (uint32_t i = 0; i < DSMR_NODE_OWN_MAX; i++) {
        struct dsmr_own_chunk *own = &node->own[i];
        if (own->state >= DSMR_OWN_COLLECTING) {
            dsmr_retry_start(&own->retry, &node->prng, node->mono_ms);
            dsmr_node_common_arm(node, DSMR_TIMER_OWN, own->retry.due_mono_ms);
        }
    }
}
