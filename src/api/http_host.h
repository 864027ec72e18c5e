/* http_host.h - whether a Host header names this node: the guard against DNS rebinding.
 *
 * A page in a browser can point its own name at 127.0.0.1 and then talk to the node as its own
 * origin; the Host header still carries the page's name. */
#ifndef DSMR_API_HTTP_HOST_H
#define DSMR_API_HTTP_HOST_H

#include <stdbool.h>
#include <stdint.h>

/* host: the header's value. Allowed, with or without a port: "localhost", loopback addresses, any
 * numeric address if allow_remote (no name was resolved to get here), and the names in hosts,
 * compared without case. */
bool dsmr_http_host_is_allowed(const char *host, bool allow_remote, const char *const *hosts,
                               uint32_t hosts_count);

#endif
