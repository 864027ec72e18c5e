#include "avalanche/p_validators.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avalanche/pb.h"
#include "base/assert.h"
#include "crypto/set_builder.h"

#define TIMEOUT_MS 5000u

enum state { STATE_FREE, STATE_FETCHING, STATE_THERE };
struct entry {
    enum state state;
    uint64_t epoch;
    uint64_t used; /* by the clock of uses */
    struct dsmr_validator_set *set;
};

struct dsmr_p_validators {
    struct dsmr_p_validators_config config;
    struct dsmr_driver *driver; /* these three: the logic thread's */
    bool is_looking;
    uint64_t missing;     /* the height of which it was said that there is no set; 0: none */
    pthread_mutex_t lock; /* of all below */
    struct entry entries[DSMR_P_VALIDATORS_SETS_MAX];
    uint64_t uses;
    bool is_any; /* a set has come */
};

/* One fetch: from the answer, over a worker, to the logic thread. */
struct fetch {
    struct dsmr_task task;
    struct dsmr_p_validators *validators;
    uint64_t epoch;
    struct dsmr_buf *answer;
    struct dsmr_validator_set *set;
    bool is_final; /* the problem is one of the set itself: to ask again brings the same */
    char problem[200];
};

/* ---- the table; under the lock ---- */

static struct entry *find(struct dsmr_p_validators *validators, uint64_t epoch)
{
    for (uint32_t i = 0; i < DSMR_P_VALIDATORS_SETS_MAX; i++) {
        struct entry *entry = &validators->entries[i];
        if (entry->state != STATE_FREE && entry->epoch == epoch)
            return entry;
    }
    return NULL;
}

/* A free place, or that of the set which nobody asked for the longest; NULL: all are fetched. */
static struct entry *make_room(struct dsmr_p_validators *validators)
{
    struct entry *oldest = NULL;
    for (uint32_t i = 0; i < DSMR_P_VALIDATORS_SETS_MAX; i++) {
        struct entry *entry = &validators->entries[i];
        if (entry->state == STATE_FREE)
            return entry;
        if (entry->state == STATE_THERE && (oldest == NULL || entry->used < oldest->used))
            oldest = entry;
    }
    if (oldest != NULL)
        dsmr_validator_set_unref(oldest->set);
    return oldest;
}

static void settle(struct dsmr_p_validators *validators, struct fetch *fetch)
{
    pthread_mutex_lock(&validators->lock);
    struct entry *entry = find(validators, fetch->epoch);
    if (entry != NULL && entry->state == STATE_FETCHING) {
        entry->state = fetch->set != NULL ? STATE_THERE : STATE_FREE;
        entry->set = fetch->set;
        fetch->set = NULL;
        if (entry->set != NULL)
            validators->is_any = true;
    }
    pthread_mutex_unlock(&validators->lock);
}

/* ---- a set from the answer, on a worker ---- */

static bool read_member(struct dsmr_set_builder_entry *out, const Dsmr__Pb__Validator *member)
{
    out->weight = member->weight;
    out->has_key = member->public_key.len > 0;
    if (out->has_key && member->public_key.len != sizeof out->key)
        return false;
    if (out->has_key)
        memcpy(&out->key, member->public_key.data, sizeof out->key);
    return dsmr_pb_node_id(&out->node_id, member->node_id);
}

/* Which of the builder's limits it was. */
static void explain_limit(struct fetch *fetch, const struct dsmr_set_builder_entry *entries,
                          size_t count)
{
    uint64_t total = 0;
    bool is_over = false;
    for (size_t i = 0; i < count; i++) {
        is_over = is_over || entries[i].weight > UINT64_MAX - total;
        total += entries[i].weight;
    }
    if (count > DSMR_SET_BUILDER_ENTRIES_MAX)
        snprintf(fetch->problem, sizeof fetch->problem, "it has %zu members, and %u fit", count,
                 DSMR_SET_BUILDER_ENTRIES_MAX);
    else if (is_over)
        snprintf(fetch->problem, sizeof fetch->problem, "its weight is more than 64 bits hold");
    else if (total == 0)
        snprintf(fetch->problem, sizeof fetch->problem, "its members have no weight");
    else
        snprintf(fetch->problem, sizeof fetch->problem,
                 "its members have more than %u different keys", DSMR_VALIDATORS_MAX);
}

static void build_set(struct fetch *fetch, const Dsmr__Pb__GetValidatorSetResponse *response)
{
    size_t bad = 0, count = response->n_validators;
    struct dsmr_set_builder_entry *entries = calloc(count + 1u, sizeof *entries);
    enum dsmr_err err = entries != NULL ? DSMR_OK : DSMR_ERR_NO_MEMORY;
    for (size_t i = 0; err == DSMR_OK && i < count; i++)
        if (!read_member(&entries[i], response->validators[i]))
            err = DSMR_ERR_MALFORMED;
    if (err == DSMR_OK && count > 0)
        err = dsmr_set_builder_build(&fetch->set, &bad, fetch->epoch, entries, count);
    fetch->is_final =
        err == DSMR_ERR_MALFORMED || err == DSMR_ERR_INVALID_KEY || err == DSMR_ERR_LIMIT;
    if (err == DSMR_ERR_MALFORMED)
        snprintf(fetch->problem, sizeof fetch->problem, "a member's node id or key is not one");
    else if (err == DSMR_ERR_INVALID_KEY)
        snprintf(fetch->problem, sizeof fetch->problem, "member %zu: %s", bad, dsmr_err_text(err));
    else if (err == DSMR_ERR_LIMIT)
        explain_limit(fetch, entries, count);
    else if (err != DSMR_OK)
        snprintf(fetch->problem, sizeof fetch->problem, "%s", dsmr_err_text(err));
    else if (count == 0)
        snprintf(fetch->problem, sizeof fetch->problem, "it has no members");
    free(entries);
}

static void run_fetch(struct dsmr_task *task)
{
    struct fetch *fetch = (struct fetch *)task;
    Dsmr__Pb__GetValidatorSetResponse *response = dsmr__pb__get_validator_set_response__unpack(
        NULL, fetch->answer->len, fetch->answer->bytes);
    if (response != NULL)
        build_set(fetch, response);
    else
        snprintf(fetch->problem, sizeof fetch->problem, "the answer does not parse");
    dsmr__pb__get_validator_set_response__free_unpacked(response, NULL);
}

static void end_fetch(struct dsmr_task *task, void *owner)
{
    struct fetch *fetch = (struct fetch *)task;
    struct dsmr_p_validators *validators = fetch->validators;
    const struct dsmr_log *log = &validators->config.log;
    bool is_there = fetch->set != NULL;
    char text[320];
    (void)owner;
    settle(validators, fetch);
    if (!is_there && validators->missing != fetch->epoch && log->ops != NULL) {
        validators->missing = fetch->epoch;
        snprintf(text, sizeof text,
                 fetch->is_final ? "the validator set at P-Chain height %" PRIu64
                                   " cannot be used: %s"
                                 : "no validator set at P-Chain height %" PRIu64 " yet: %s",
                 fetch->epoch, fetch->problem);
        log->ops->line(log->self, fetch->is_final ? DSMR_LOG_WARN : DSMR_LOG_INFO, "validators",
                       text);
    }
    if (is_there && validators->driver != NULL)
        dsmr_driver_set_available(validators->driver, fetch->epoch);
    dsmr_buf_unref(fetch->answer);
    free(fetch);
}

/* On the client's thread. */
static void on_answer(void *ctx, const struct dsmr_grpc_answer *answer)
{
    struct fetch *fetch = ctx;
    const struct dsmr_p_validators_config *config = &fetch->validators->config;
    if (answer->err == DSMR_OK)
        fetch->answer = dsmr_buf_copy(answer->bytes, answer->len);
    if (fetch->answer != NULL) {
        config->work.ops->submit(config->work.self, DSMR_WORK_URGENT, &fetch->task);
        return;
    }
    snprintf(fetch->problem, sizeof fetch->problem, "%s", answer->reason);
    config->inbox.ops->complete(config->inbox.self, &fetch->task);
}

static void start_fetch(struct dsmr_p_validators *validators, uint64_t epoch)
{
    const struct dsmr_p_validators_config *config = &validators->config;
    Dsmr__Pb__GetValidatorSetRequest request = DSMR__PB__GET_VALIDATOR_SET_REQUEST__INIT;
    struct fetch *fetch = calloc(1, sizeof *fetch);
    DSMR_PB_SET(&request, height, epoch);
    DSMR_PB_BYTES(&request, subnet_id, config->subnet_id.bytes, sizeof config->subnet_id.bytes);
    struct dsmr_buf *bytes = fetch != NULL ? dsmr_pb_bytes(&request.base) : NULL;
    if (bytes == NULL) {
        struct fetch none = {.epoch = epoch};
        settle(validators, &none);
        free(fetch);
        return;
    }
    fetch->task.run = run_fetch;
    fetch->task.done = end_fetch;
    fetch->validators = validators;
    fetch->epoch = epoch;
    dsmr_grpc_client_start(config->node, "/validatorstate.ValidatorState/GetValidatorSet",
                           bytes->bytes, bytes->len, TIMEOUT_MS, on_answer, fetch);
    dsmr_buf_unref(bytes);
}

/* ---- the port ---- */

static enum dsmr_err get(void *self, struct dsmr_validator_set **out, uint64_t epoch)
{
    struct dsmr_p_validators *validators = self;
    bool starts = false;
    enum dsmr_err err = DSMR_ERR_EPOCH_UNKNOWN;
    pthread_mutex_lock(&validators->lock);
    struct entry *entry = find(validators, epoch);
    if (entry != NULL && entry->state == STATE_THERE) {
        entry->used = ++validators->uses;
        *out = dsmr_validator_set_ref(entry->set);
        err = DSMR_OK;
    } else if (entry == NULL && (entry = make_room(validators)) != NULL) {
        *entry =
            (struct entry){.state = STATE_FETCHING, .epoch = epoch, .used = ++validators->uses};
        starts = true;
    }
    pthread_mutex_unlock(&validators->lock);
    if (starts)
        start_fetch(validators, epoch);
    return err;
}

/* ---- whether there are any, before an epoch is known ---- */

struct look {
    struct dsmr_task task;
    struct dsmr_p_validators *validators;
    Dsmr__Pb__HeightResponse *answer; /* NULL: none came */
};

static void end_look(struct dsmr_task *task, void *owner)
{
    struct look *look = (struct look *)task;
    struct dsmr_validator_set *set = NULL;
    (void)owner;
    look->validators->is_looking = false;
    if (look->answer != NULL && get(look->validators, &set, look->answer->height) == DSMR_OK)
        dsmr_validator_set_unref(set);
    dsmr__pb__height_response__free_unpacked(look->answer, NULL);
    free(look);
}

/* On the client's thread. */
static void on_height(void *ctx, const struct dsmr_grpc_answer *answer)
{
    struct look *look = ctx;
    const struct dsmr_inbox *inbox = &look->validators->config.inbox;
    if (answer->err == DSMR_OK)
        look->answer = dsmr__pb__height_response__unpack(NULL, answer->len, answer->bytes);
    inbox->ops->complete(inbox->self, &look->task);
}

bool dsmr_p_validators_look(struct dsmr_p_validators *validators)
{
    pthread_mutex_lock(&validators->lock);
    bool is_any = validators->is_any;
    pthread_mutex_unlock(&validators->lock);
    struct look *look = is_any || validators->is_looking ? NULL : calloc(1, sizeof *look);
    if (look == NULL)
        return is_any;
    look->task.done = end_look;
    look->validators = validators;
    validators->is_looking = true;
    dsmr_grpc_client_start(validators->config.node,
                           "/validatorstate.ValidatorState/GetMinimumHeight", NULL, 0, TIMEOUT_MS,
                           on_height, look);
    return false;
}

struct dsmr_validators dsmr_p_validators_port(struct dsmr_p_validators *validators)
{
    static const struct dsmr_validators_ops ops = {.get = get};
    return (struct dsmr_validators){.self = validators, .ops = &ops};
}

void dsmr_p_validators_attach(struct dsmr_p_validators *validators, struct dsmr_driver *driver)
{
    validators->driver = driver;
}

struct dsmr_p_validators *dsmr_p_validators_new(const struct dsmr_p_validators_config *config)
{
    struct dsmr_p_validators *validators = calloc(1, sizeof *validators);
    if (validators == NULL)
        return NULL;
    validators->config = *config;
    pthread_mutex_init(&validators->lock, NULL);
    return validators;
}

void dsmr_p_validators_free(struct dsmr_p_validators *validators)
{
    if (validators == NULL)
        return;
    for (uint32_t i = 0; i < DSMR_P_VALIDATORS_SETS_MAX; i++)
        if (validators->entries[i].state == STATE_THERE)
            dsmr_validator_set_unref(validators->entries[i].set);
    pthread_mutex_destroy(&validators->lock);
    free(validators);
}
