#include "net/net_log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/bytes.h"

void dsmr_net_log_line(const struct dsmr_log *log, enum dsmr_log_level level, const char *format,
                       ...)
{
    if (log->ops == NULL)
        return;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    log->ops->line(log->self, level, "p2p", text);
}

const char *dsmr_net_log_id(char out[DSMR_NET_LOG_ID_BYTES], const struct dsmr_node_id *id)
{
    dsmr_hex_encode(out, id->bytes, sizeof(id->bytes));
    return out;
}
