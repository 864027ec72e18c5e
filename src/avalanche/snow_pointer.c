#include "avalanche/snow_state.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

#define POINTER_KEY "dsmr/last_accepted"
#define POINTER_BYTES (8u + 32u)
#define DB_TIMEOUT_MS 10000u
/* An accept that fails has AvalancheGo shut the chain down, so a node that was stopped or starved
 * for a while must not make it fail: like its own writes, this one waits as long as it takes, or
 * until the client is closed. */
#define ACCEPT_TIMEOUT_MS UINT32_MAX

static bool is_put(const uint8_t *bytes, size_t len)
{
    Dsmr__Pb__PutResponse *response = dsmr__pb__put_response__unpack(NULL, len, bytes);
    bool is_written = response != NULL && response->err == 0;
    dsmr__pb__put_response__free_unpacked(response, NULL);
    return is_written;
}

/* On the client's thread. */
static void on_pointer(void *ctx, const struct dsmr_grpc_answer *answer)
{
    struct dsmr_grpc_call *call = ctx;
    if (answer->err == DSMR_OK && is_put(answer->bytes, answer->len))
        dsmr_grpc_server_reply(call, NULL, 0);
    else
        dsmr_grpc_server_fail(call, DSMR_GRPC_INTERNAL,
                              "AvalancheGo's database does not take the last accepted block");
}

/* The request that writes it; NULL if out of memory. */
static struct dsmr_buf *pointer_bytes(uint64_t height, const struct dsmr_id *block_id)
{
    uint8_t value[POINTER_BYTES];
    Dsmr__Pb__PutRequest put = DSMR__PB__PUT_REQUEST__INIT;
    dsmr_store_be64(value, height);
    memcpy(value + 8, block_id->bytes, sizeof block_id->bytes);
    DSMR_PB_BYTES(&put, key, POINTER_KEY, strlen(POINTER_KEY));
    DSMR_PB_BYTES(&put, value, value, sizeof value);
    return dsmr_pb_bytes(&put.base);
}

void dsmr_snow_write_pointer(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                             const struct dsmr_block *block)
{
    struct dsmr_buf *bytes = pointer_bytes(block->height, &block->id);
    if (bytes == NULL) {
        dsmr_snow_fail(call, DSMR_ERR_NO_MEMORY);
        return;
    }
    dsmr_grpc_client_start(engine->config.db, "/rpcdb.Database/Put", bytes->bytes, bytes->len,
                           ACCEPT_TIMEOUT_MS, on_pointer, call);
    dsmr_buf_unref(bytes);
}

enum dsmr_err dsmr_snow_engine_read_tip(struct dsmr_snow_engine *engine,
                                        struct dsmr_engine_tip *out,
                                        char reason[DSMR_GRPC_CLIENT_REASON_BYTES])
{
    Dsmr__Pb__GetRequest get = DSMR__PB__GET_REQUEST__INIT;
    struct dsmr_buf *answer = NULL;
    DSMR_PB_BYTES(&get, key, POINTER_KEY, strlen(POINTER_KEY));
    struct dsmr_buf *bytes = dsmr_pb_bytes(&get.base);
    if (bytes == NULL)
        return DSMR_ERR_NO_MEMORY;
    enum dsmr_err err =
        dsmr_grpc_client_call(engine->config.db, &answer, reason, "/rpcdb.Database/Get",
                              bytes->bytes, bytes->len, DB_TIMEOUT_MS);
    dsmr_buf_unref(bytes);
    if (err != DSMR_OK)
        return err;
    Dsmr__Pb__GetResponse *response =
        dsmr__pb__get_response__unpack(NULL, answer->len, answer->bytes);
    dsmr_buf_unref(answer);
    *out = (struct dsmr_engine_tip){.height = 0, .block_id = engine->config.genesis->id};
    if (response != NULL && response->err == DSMR__PB__ERROR__ERROR_NOT_FOUND) {
        err = DSMR_OK;
    } else if (response != NULL && response->err == 0 && response->value.len == POINTER_BYTES) {
        out->height = dsmr_load_be64(response->value.data);
        memcpy(out->block_id.bytes, response->value.data + 8, sizeof out->block_id.bytes);
    } else {
        snprintf(reason, DSMR_GRPC_CLIENT_REASON_BYTES,
                 "AvalancheGo's database has something else where the last accepted block stands");
        err = DSMR_ERR_CORRUPT;
    }
    dsmr__pb__get_response__free_unpacked(response, NULL);
    return err;
}

enum dsmr_err dsmr_snow_engine_reset_tip(struct dsmr_snow_engine *engine,
                                         struct dsmr_engine_tip *out,
                                         char reason[DSMR_GRPC_CLIENT_REASON_BYTES])
{
    struct dsmr_buf *answer = NULL;
    *out = (struct dsmr_engine_tip){.height = 0, .block_id = engine->config.genesis->id};
    struct dsmr_buf *bytes = pointer_bytes(out->height, &out->block_id);
    if (bytes == NULL)
        return DSMR_ERR_NO_MEMORY;
    enum dsmr_err err =
        dsmr_grpc_client_call(engine->config.db, &answer, reason, "/rpcdb.Database/Put",
                              bytes->bytes, bytes->len, DB_TIMEOUT_MS);
    dsmr_buf_unref(bytes);
    if (err == DSMR_OK && !is_put(answer->bytes, answer->len)) {
        snprintf(reason, DSMR_GRPC_CLIENT_REASON_BYTES, "AvalancheGo's database does not take it");
        err = DSMR_ERR_IO;
    }
    dsmr_buf_unref(answer);
    return err;
}
