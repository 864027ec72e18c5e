#include "api/http_host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#define HOST_CHARS_MAX 255u

static bool is_port(const char *text)
{
    size_t len = strspn(text, "0123456789");
    return len >= 1 && len <= 5 && text[len] == '\0';
}

/* The name without port and brackets; false if the header makes no sense. */
static bool split(const char *host, char name[HOST_CHARS_MAX + 1], bool *is_v6)
{
    size_t len = 0;
    const char *rest = NULL;
    *is_v6 = host[0] == '[';
    if (*is_v6) {
        host++;
        len = strcspn(host, "]");
        if (host[len] != ']') {
            return false;
        }
        rest = host + len + 1;
    } else {
        len = strcspn(host, ":");
        rest = host + len;
    }
    if (len == 0 || len > HOST_CHARS_MAX || (*rest == ':' ? !is_port(rest + 1) : *rest != '\0')) {
        return false;
    }
    memcpy(name, host, len);
    name[len] = '\0';
    return true;
}

static bool is_address(const char *name, bool is_v6, bool *is_loopback)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (is_v6) {
        bool ok = inet_pton(AF_INET6, name, &v6) == 1;
        *is_loopback = ok && IN6_IS_ADDR_LOOPBACK(&v6);
        return ok;
    }
    bool ok = inet_pton(AF_INET, name, &v4) == 1;
    *is_loopback = ok && ntohl(v4.s_addr) >> 24 == 127;
    return ok;
}

bool dsmr_http_host_is_allowed(const char *host, bool allow_remote, const char *const *hosts,
                               uint32_t hosts_count)
{
    char name[HOST_CHARS_MAX + 1];
    bool is_v6 = false;
    bool is_loopback = false;
    if (!split(host, name, &is_v6)) {
        return false;
    }
    if (is_address(name, is_v6, &is_loopback)) {
        return is_loopback || allow_remote;
    }
    if (!is_v6 && strcasecmp(name, "localhost") == 0) {
        return true;
    }
    for (uint32_t i = 0; i < hosts_count && !is_v6; i++) {
        if (strcasecmp(name, hosts[i]) == 0) {
            return true;
        }
    }
    return false;
}
