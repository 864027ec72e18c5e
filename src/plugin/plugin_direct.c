#include "plugin/plugin_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/node_settings.h"
#include "host/host_clock.h"
#include "host/os_random.h"

static bool open_identity(struct dsmr_plugin *p)
{
    char key[PATH_MAX + 32], certificate[PATH_MAX + 32], reason[DSMR_TLS_IDENTITY_REASON_BYTES];
    struct dsmr_node_id made;
    snprintf(key, sizeof key, "%s/direct.key", p->data_dir);
    snprintf(certificate, sizeof certificate, "%s/direct.crt", p->data_dir);
    if (access(key, F_OK) != 0 && errno == ENOENT &&
        dsmr_tls_identity_generate(&made, reason, key, certificate) != DSMR_OK)
        return dsmr_plugin_refuse(p, "%s", reason);
    if (dsmr_tls_identity_open(&p->identity, reason, key, certificate) != DSMR_OK)
        return dsmr_plugin_refuse(p, "%s", reason);
    return true;
}

static bool sign_announcement(void *ctx, uint8_t out[64], const void *message, size_t len)
{
    struct dsmr_plugin *p = ctx;
    return dsmr_tls_identity_sign(out, p->identity, message, len) == DSMR_OK;
}

static bool set_address(void *ctx, const struct dsmr_node_id *transport_id, const char *host,
                        uint16_t port)
{
    struct dsmr_plugin *p = ctx;
    const struct dsmr_tcp_net_address address = {
        .node_id = *transport_id, .host = host, .port = port};
    return dsmr_tcp_net_set_address(p->transport, &address) == DSMR_OK;
}

static void forget_address(void *ctx, const struct dsmr_node_id *transport_id)
{
    struct dsmr_plugin *p = ctx;
    dsmr_tcp_net_forget_address(p->transport, transport_id);
}

static bool open_transport(struct dsmr_plugin *p, const struct dsmr_node_settings_address *listen)
{
    struct dsmr_tcp_net_config config;
    char reason[DSMR_TCP_NET_REASON_BYTES] = "";
    memset(&config, 0, sizeof config);
    dsmr_tcp_net_limits_default(&config.limits);
    config.limits.message_bytes_max = dsmr_params_message_bytes_max(&p->genesis.params);
    config.listen_host = listen->host;
    config.listen_port = listen->port;
    config.addresses_max = DSMR_APP_NET_PEERS_MAX; /* all of them come as announcements */
    config.identity = p->identity;
    config.domain = p->genesis.params.domain;
    config.inbox = dsmr_host_inbox_port(p->inbox);
    config.handler = dsmr_direct_net_handler(p->direct);
    config.metrics = &p->metrics;
    config.log = dsmr_plugin_log(p);
    dsmr_os_random((uint8_t *)&config.seed, sizeof config.seed);
    if (dsmr_tcp_net_open(&p->transport, reason, &config) != DSMR_OK)
        return dsmr_plugin_refuse(p, "config: direct_listen: %s", reason);
    if (dsmr_host_inbox_add_listener(p->inbox, dsmr_tcp_net_resume, p->transport) != DSMR_OK)
        return dsmr_plugin_refuse(p, "too many listeners");
    return true;
}

bool dsmr_plugin_open_direct(struct dsmr_plugin *p)
{
    struct dsmr_node_settings_address listen;
    struct dsmr_direct_net_config config;
    memset(&config, 0, sizeof config);
    if (dsmr_node_settings_address(&listen, p->config.direct_listen) != DSMR_OK)
        return dsmr_plugin_refuse(p, "config: direct_listen must be HOST:PORT");
    size_t host_len = strlen(p->config.direct_announce);
    if (host_len == 0 || host_len >= sizeof p->announced_host)
        return dsmr_plugin_refuse(p, "config: direct_announce must be a host of 1 to %u characters",
                                  DSMR_DIRECT_NET_HOST_BYTES_MAX);
    strcpy(p->announced_host, p->config.direct_announce);
    if (!open_identity(p))
        return false;
    if (dsmr_tls_identity_public(config.key, p->identity) != DSMR_OK)
        return dsmr_plugin_refuse(p, "%s/direct.key is not an Ed25519 key", p->data_dir);
    config.app_net = p->net;
    config.handler = dsmr_driver_net_handler();
    config.clock = dsmr_host_clock();
    config.metrics = &p->metrics;
    config.domain = p->genesis.params.domain;
    config.self_id = p->node_id;
    config.host = p->announced_host;
    config.sign = sign_announcement;
    config.set_address = set_address;
    config.forget_address = forget_address;
    config.ctx = p;
    dsmr_os_random((uint8_t *)&config.seed, sizeof config.seed);
    p->direct = dsmr_direct_net_new(&config);
    if (p->direct == NULL)
        return dsmr_plugin_refuse(p, "out of memory");
    return open_transport(p, &listen);
}
