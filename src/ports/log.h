/* log.h - lines for the operator. Nothing per message from a peer. Any thread. */
#ifndef DSMR_PORTS_LOG_H
#define DSMR_PORTS_LOG_H

enum dsmr_log_level { DSMR_LOG_ERROR, DSMR_LOG_WARN, DSMR_LOG_INFO, DSMR_LOG_DEBUG };

struct dsmr_log_ops {
    /* module: "p2p", "consensus", "store", "exec", "api", "main". text: one sentence, no newline.
     */
    void (*line)(void *self, enum dsmr_log_level level, const char *module, const char *text);
};
struct dsmr_log {
    void *self;
    const struct dsmr_log_ops *ops; /* NULL: silent */
};

#endif
