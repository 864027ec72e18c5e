/* warp_signer.h - ports/signer.h by AvalancheGo's own key, which never leaves it.
 *
 * A share is a signature of an Avalanche Warp message: AvalancheGo is given network, chain and
 * payload and makes the same bytes of them as dsmr_share_signing_bytes. Votes it cannot sign: the
 * engine is AvalancheGo.
 * Threads: any; a call waits for AvalancheGo. */
#ifndef DSMR_AVALANCHE_WARP_SIGNER_H
#define DSMR_AVALANCHE_WARP_SIGNER_H

#include "avalanche/grpc_client.h"
#include "ports/signer.h"

struct dsmr_warp_signer { /* the caller's memory */
    struct dsmr_grpc_client *node;
};
/* node: borrowed as long as the port is used. */
struct dsmr_signer dsmr_warp_signer_port(struct dsmr_warp_signer *signer,
                                         struct dsmr_grpc_client *node);

#endif
