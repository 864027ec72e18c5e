/* stderr_log.h - lines for the operator on standard error: ports/log.h.
 *
 * Formats:    PLAIN    2026-08-12T10:15:30.123Z warn  p2p: text
 *             JSON     {"time":"...","level":"warn","module":"p2p","text":"..."}
 *             JOURNAL  <4>p2p: text, the priority prefix that journald reads; it adds the time.
 * Invariants: one line is one write(2), so lines of several threads never mix; control characters
 *             in text are replaced, so nobody can forge a line.
 * Limits:     a line is cut at DSMR_STDERR_LOG_LINE_BYTES_MAX; DSMR_STDERR_LOG_RULES_MAX rules.
 * Threads:    any, once it is made. */
#ifndef DSMR_HOST_STDERR_LOG_H
#define DSMR_HOST_STDERR_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "dsmr/err.h"
#include "ports/clock.h"
#include "ports/log.h"

#define DSMR_STDERR_LOG_LINE_BYTES_MAX 1024u
#define DSMR_STDERR_LOG_RULES_MAX 16u
#define DSMR_STDERR_LOG_MODULE_BYTES_MAX 15u

enum dsmr_stderr_log_format {
    DSMR_STDERR_LOG_PLAIN,
    DSMR_STDERR_LOG_JSON,
    DSMR_STDERR_LOG_JOURNAL
};

struct dsmr_stderr_log_rule {
    char module[DSMR_STDERR_LOG_MODULE_BYTES_MAX + 1]; /* "*": all others */
    enum dsmr_log_level level;                         /* the least important that is written */
    bool is_silent;
};

/* Plain data: the caller's memory, not changed while it is in use. */
struct dsmr_stderr_log {
    int fd;
    enum dsmr_stderr_log_format format;
    struct dsmr_clock clock;
    size_t rules_count;
    struct dsmr_stderr_log_rule rules[DSMR_STDERR_LOG_RULES_MAX];
};

/* levels: "p2p:warn,*:info" with error, warn, info, debug or none; a level alone stands for "*";
 * modules that no rule names have info. CONFIG if it does not read so; then log is untouched and
 * *reason is a static sentence. fd: usually 2; it stays the caller's. */
DSMR_MUST_USE enum dsmr_err dsmr_stderr_log_init(struct dsmr_stderr_log *log, const char **reason,
                                                 const char *levels,
                                                 enum dsmr_stderr_log_format format, int fd,
                                                 struct dsmr_clock clock);

/* The port; valid as long as log is. */
struct dsmr_log dsmr_stderr_log_port(struct dsmr_stderr_log *log);

/* True if a line of this module and level would be written. */
bool dsmr_stderr_log_is_on(const struct dsmr_stderr_log *log, enum dsmr_log_level level,
                           const char *module);

#endif
