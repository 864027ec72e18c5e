/* fuzz_avalanche_answer.c - any bytes as what AvalancheGo answers to calls of ours: validator sets,
 * heights, signatures, its database. The first byte chooses the call.
 *
 * Checks: what is taken stands in the answer; a set is sorted, its weights are those of the members
 *         and its keys are theirs; whatever else came is an error, said in one sentence, and a call
 *         that waited for it is answered once. */
#undef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#include <stdlib.h>
#include <string.h>

#include "avalanche/p_validators.h"
#include "avalanche/snow_state.h"
#include "avalanche/warp_signer.h"
#include "base/bytes.h"
#include "wire/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* ---- AvalancheGo: every answer is the input ---- */

static const uint8_t *input;
static size_t input_len;
static uint32_t calls, replies, failures;

void dsmr_grpc_client_start(struct dsmr_grpc_client *client, const char *method,
                            const uint8_t *bytes, size_t len, uint32_t timeout_ms,
                            dsmr_grpc_client_done_fn done, void *ctx)
{
    const struct dsmr_grpc_answer answer = {
        .err = DSMR_OK, .bytes = input, .len = input_len, .reason = ""};
    (void)client, (void)method, (void)bytes, (void)len, (void)timeout_ms;
    calls++;
    done(ctx, &answer);
}

enum dsmr_err dsmr_grpc_client_call(struct dsmr_grpc_client *client, struct dsmr_buf **out,
                                    char reason[DSMR_GRPC_CLIENT_REASON_BYTES], const char *method,
                                    const uint8_t *bytes, size_t len, uint32_t timeout_ms)
{
    (void)client, (void)method, (void)bytes, (void)len, (void)timeout_ms;
    calls++;
    reason[0] = '\0';
    *out = dsmr_buf_copy(input, input_len);
    must(*out != NULL);
    return DSMR_OK;
}

void dsmr_grpc_server_reply(struct dsmr_grpc_call *call, const uint8_t *bytes, size_t len)
{
    (void)call, (void)bytes;
    must(len == 0);
    replies++;
}

void dsmr_grpc_server_fail(struct dsmr_grpc_call *call, int status, const char *message)
{
    (void)call;
    must(status != 0 && message[0] != '\0');
    failures++;
}

static bool has(const void *bytes, size_t len)
{
    return memmem(input, input_len, bytes, len) != NULL;
}

/* ---- ports ---- */

static bool offer(void *self, struct dsmr_task *task)
{
    (void)self;
    task->done(task, NULL);
    return true;
}
static void complete(void *self, struct dsmr_task *task)
{
    (void)self;
    task->done(task, NULL);
}
static const struct dsmr_inbox_ops inbox_ops = {offer, complete};

static void submit(void *self, enum dsmr_work_lane lane, struct dsmr_task *task)
{
    (void)self, (void)lane;
    task->run(task);
    task->done(task, NULL);
}
static const struct dsmr_work_ops work_ops = {.submit = submit};

static char said[512];
static void line(void *self, enum dsmr_log_level level, const char *module, const char *text)
{
    (void)self, (void)level, (void)module;
    must(text[0] != '\0' && strchr(text, '\n') == NULL && strlen(text) < sizeof said);
    strcpy(said, text);
}
static const struct dsmr_log_ops log_ops = {line};

static uint64_t available;
void dsmr_driver_set_available(struct dsmr_driver *driver, uint64_t epoch)
{
    (void)driver;
    available = epoch;
}

/* ---- validator sets ---- */

static void check_set(const struct dsmr_validator_set *set, uint64_t epoch)
{
    uint64_t weight = 0;
    must(set->epoch == epoch && set->count <= DSMR_VALIDATORS_MAX && set->total_weight > 0);
    for (uint32_t i = 0; i < set->count; i++) {
        const struct dsmr_validator *validator = &set->validators[i];
        must(has(validator->public_key.bytes, sizeof validator->public_key.bytes));
        must(i == 0 || memcmp(set->validators[i - 1].public_key.bytes, validator->public_key.bytes,
                              sizeof validator->public_key.bytes) < 0);
        must(validator->weight <= set->total_weight - weight);
        must(validator->node_ids_count >= 1 &&
             validator->node_ids_count <= DSMR_NODE_IDS_PER_KEY_MAX);
        for (uint32_t k = 0; k < validator->node_ids_count; k++)
            must(has(validator->node_ids[k].bytes, sizeof validator->node_ids[k].bytes));
        weight += validator->weight;
    }
}

static struct dsmr_p_validators *open_validators(void)
{
    const struct dsmr_p_validators_config config = {
        .inbox.ops = &inbox_ops, .work.ops = &work_ops, .log.ops = &log_ops};
    struct dsmr_p_validators *validators = dsmr_p_validators_new(&config);
    must(validators != NULL);
    dsmr_p_validators_attach(validators, (struct dsmr_driver *)validators); /* any address */
    return validators;
}

static void as_set(void)
{
    enum { EPOCH = 7 };
    struct dsmr_p_validators *validators = open_validators();
    struct dsmr_validators port = dsmr_p_validators_port(validators);
    struct dsmr_validator_set *set = NULL;
    must(port.ops->get(port.self, &set, EPOCH) == DSMR_ERR_EPOCH_UNKNOWN);
    bool is_there = available == EPOCH;
    must(is_there == (said[0] == '\0')); /* it came, or it was said why not */
    if (is_there) {
        must(port.ops->get(port.self, &set, EPOCH) == DSMR_OK && calls == 1);
        check_set(set, EPOCH);
        dsmr_validator_set_unref(set);
    } else {
        must(port.ops->get(port.self, &set, EPOCH) == DSMR_ERR_EPOCH_UNKNOWN && calls == 2);
    }
    dsmr_p_validators_free(validators);
}

/* The same bytes are the height, and then the set of it: what is both has members without a
 * height, or a height without members. */
static void as_height(void)
{
    struct dsmr_p_validators *validators = open_validators();
    must(!dsmr_p_validators_look(validators));
    must(calls == 1 || calls == 2);
    bool is_any = dsmr_p_validators_look(validators);
    must(is_any == (available != UINT64_MAX) && (!is_any || calls == 2));
    dsmr_p_validators_free(validators);
}

/* ---- signatures ---- */

static void as_signature(void)
{
    static const struct dsmr_domain domain = {.network_id = 1};
    static const struct dsmr_reference ref = {.slot = 5};
    struct dsmr_warp_signer own;
    struct dsmr_signer signer = dsmr_warp_signer_port(&own, NULL);
    struct dsmr_bls_sig sig, before;
    memset(&sig, 0xee, sizeof sig);
    before = sig;
    enum dsmr_err err = signer.ops->sign_share(signer.self, &sig, &domain, &ref);
    must(calls == 1);
    if (err == DSMR_OK)
        must(has(sig.bytes, sizeof sig.bytes));
    else
        must(err == DSMR_ERR_UNAVAILABLE && memcmp(&sig, &before, sizeof sig) == 0);
}

/* ---- the pointer in AvalancheGo's database ---- */

/* Of snow_engine.c, which would bring the driver along. */
void dsmr_snow_fail(struct dsmr_grpc_call *call, enum dsmr_err err)
{
    dsmr_grpc_server_fail(call, DSMR_GRPC_FAILED_PRECONDITION, dsmr_err_text(err));
}

static struct dsmr_snow_engine engine; /* of it only the configuration is asked */

static void open_engine(void)
{
    struct dsmr_params params;
    dsmr_params_default(&params);
    must(dsmr_block_genesis(&engine.config.genesis, &params, 1000000) == DSMR_OK);
}

static void check_reason(enum dsmr_err err, const char *reason)
{
    must((err != DSMR_OK) == (reason[0] != '\0') && strchr(reason, '\n') == NULL);
}

static void as_tip(void)
{
    const struct dsmr_block *genesis = engine.config.genesis;
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES] = "";
    struct dsmr_engine_tip tip;
    uint8_t value[8 + 32];
    enum dsmr_err err = dsmr_snow_engine_read_tip(&engine, &tip, reason);
    must(err == DSMR_OK || err == DSMR_ERR_CORRUPT);
    check_reason(err, reason);
    dsmr_store_be64(value, tip.height);
    memcpy(value + 8, tip.block_id.bytes, 32);
    bool is_genesis = tip.height == 0 && dsmr_id_equal(&tip.block_id, &genesis->id);
    must(err != DSMR_OK || is_genesis || has(value, sizeof value));
}

static void as_put(void)
{
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES] = "";
    struct dsmr_engine_tip tip;
    enum dsmr_err err = dsmr_snow_engine_reset_tip(&engine, &tip, reason);
    must(err == DSMR_OK || err == DSMR_ERR_IO);
    check_reason(err, reason);
    must(tip.height == 0 && dsmr_id_equal(&tip.block_id, &engine.config.genesis->id));
    dsmr_snow_write_pointer(&engine, NULL, engine.config.genesis);
    must(replies + failures == 1 && (replies == 1) == (err == DSMR_OK)); /* the same answer */
    must(input_len > 0 || err == DSMR_OK); /* AvalancheGo says OK by saying nothing */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (engine.config.genesis == NULL)
        open_engine();
    input = data + 1;
    input_len = size - 1;
    calls = replies = failures = 0;
    available = UINT64_MAX;
    said[0] = '\0';
    switch (data[0] % 5) {
    case 0:
        as_set();
        return 0;
    case 1:
        as_height();
        return 0;
    case 2:
        as_signature();
        return 0;
    case 3:
        as_tip();
        return 0;
    default:
        as_put();
        return 0;
    }
}
