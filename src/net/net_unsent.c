#include "net/net_unsent.h"

/* Not netinet/tcp.h: its struct tcp_info ends before the rate. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

uint32_t dsmr_net_unsent_bytes(uint64_t bytes_per_s, uint32_t bytes_max)
{
    if (bytes_per_s / 1000 >= bytes_max / DSMR_NET_UNSENT_MS)
        return bytes_max;
    uint64_t bytes = bytes_per_s * DSMR_NET_UNSENT_MS / 1000;
    uint64_t enough =
        bytes > DSMR_NET_UNSENT_BYTES_MIN ? bytes : (uint64_t)DSMR_NET_UNSENT_BYTES_MIN;
    return enough < bytes_max ? (uint32_t)enough : bytes_max;
}

uint32_t dsmr_net_unsent_fit(int fd, uint32_t bytes_max)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offsetof(struct tcp_info, tcpi_delivery_rate) + sizeof(info.tcpi_delivery_rate) ||
        info.tcpi_delivery_rate == 0)
        return 0;
    unsigned bytes = dsmr_net_unsent_bytes(info.tcpi_delivery_rate, bytes_max);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes));
    return bytes;
}
