/* grpc_door.h - a server of gRPC's that listens nowhere: whoever includes it calls server.handle,
 * and writes what becomes of answers. Included by one file of a target. */
#ifndef DSMR_TEST_FUZZ_GRPC_DOOR_H
#define DSMR_TEST_FUZZ_GRPC_DOOR_H

#include "avalanche/grpc_server.h"

static struct dsmr_grpc_server_config server;

enum dsmr_err dsmr_grpc_server_start(struct dsmr_grpc_server **out,
                                     const struct dsmr_grpc_server_config *config)
{
    server = *config;
    *out = NULL;
    return DSMR_OK;
}
const char *dsmr_grpc_server_address(const struct dsmr_grpc_server *self)
{
    (void)self;
    return "127.0.0.1:1";
}
void dsmr_grpc_server_stop(struct dsmr_grpc_server *self)
{
    (void)self;
}
void dsmr_grpc_server_free(struct dsmr_grpc_server *self)
{
    (void)self;
}

#endif
