#define _GNU_SOURCE
#include "host/stderr_log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

static const char *const level_names[] = {
    [DSMR_LOG_ERROR] = "error",
    [DSMR_LOG_WARN] = "warn",
    [DSMR_LOG_INFO] = "info",
    [DSMR_LOG_DEBUG] = "debug",
};
#define LEVELS_COUNT (sizeof(level_names) / sizeof(level_names[0]))

static bool is_word(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && memcmp(text, word, len) == 0;
}

static bool parse_level(struct dsmr_stderr_log_rule *rule, const char *text, size_t len)
{
    rule->is_silent = is_word(text, len, "none");
    if (rule->is_silent)
        return true;
    for (size_t i = 0; i < LEVELS_COUNT; i++) {
        if (is_word(text, len, level_names[i])) {
            rule->level = (enum dsmr_log_level)i;
            return true;
        }
    }
    return false;
}

/* One "module:level" or "level". Returns NULL or what is wrong. */
static const char *parse_rule(struct dsmr_stderr_log_rule *rule, const char *text, size_t len)
{
    const char *colon = memchr(text, ':', len);
    const char *level = colon == NULL ? text : colon + 1;
    size_t module_len = colon == NULL ? 1 : (size_t)(colon - text);
    if (module_len == 0 || module_len > DSMR_STDERR_LOG_MODULE_BYTES_MAX)
        return "a module of the log levels is empty or too long";
    memset(rule, 0, sizeof(*rule));
    memcpy(rule->module, colon == NULL ? "*" : text, module_len);
    if (!parse_level(rule, level, len - (size_t)(level - text)))
        return "a log level is none of error, warn, info, debug, none";
    return NULL;
}

enum dsmr_err dsmr_stderr_log_init(struct dsmr_stderr_log *log, const char **reason,
                                   const char *levels, enum dsmr_stderr_log_format format, int fd,
                                   struct dsmr_clock clock)
{
    struct dsmr_stderr_log made = {.fd = fd, .format = format, .clock = clock};
    while (*levels != '\0') {
        size_t len = strcspn(levels, ",");
        if (made.rules_count == DSMR_STDERR_LOG_RULES_MAX) {
            *reason = "too many rules in the log levels";
            return DSMR_ERR_CONFIG;
        }
        const char *wrong = parse_rule(&made.rules[made.rules_count], levels, len);
        if (wrong != NULL) {
            *reason = wrong;
            return DSMR_ERR_CONFIG;
        }
        made.rules_count++;
        levels += len;
        if (*levels == ',') {
            levels++;
            if (*levels == '\0') {
                *reason = "the log levels end with a comma";
                return DSMR_ERR_CONFIG;
            }
        }
    }
    *log = made;
    return DSMR_OK;
}

bool dsmr_stderr_log_is_on(const struct dsmr_stderr_log *log, enum dsmr_log_level level,
                           const char *module)
{
    const struct dsmr_stderr_log_rule *found = NULL;
    for (size_t i = 0; i < log->rules_count; i++) {
        const struct dsmr_stderr_log_rule *rule = &log->rules[i];
        bool is_exact = strcmp(rule->module, module) == 0;
        if (is_exact || (found == NULL && strcmp(rule->module, "*") == 0))
            found = rule;
        if (is_exact)
            break;
    }
    if (found == NULL)
        return level <= DSMR_LOG_INFO;
    return !found->is_silent && level <= found->level;
}

struct text {
    char bytes[DSMR_STDERR_LOG_LINE_BYTES_MAX];
    size_t len;
};

/* Leaves room for the closing quote, brace and newline of a JSON line. */
#define TEXT_TAIL_BYTES 3u

static void put(struct text *out, const char *bytes, size_t len)
{
    size_t room = sizeof(out->bytes) - TEXT_TAIL_BYTES - out->len;
    if (len > room)
        len = room;
    memcpy(out->bytes + out->len, bytes, len);
    out->len += len;
}

static void put_word(struct text *out, const char *word)
{
    put(out, word, strlen(word));
}

static void put_plain(struct text *out, const char *text)
{
    for (; *text != '\0'; text++) {
        char c = (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text;
        put(out, &c, 1);
    }
}

static void put_json(struct text *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        char escaped[8];
        int len = 1;
        if (c < 0x20 || c == 0x7f)
            len = snprintf(escaped, sizeof(escaped), "\\u%04x", c);
        else if (c == '"' || c == '\\')
            len = snprintf(escaped, sizeof(escaped), "\\%c", c);
        else
            escaped[0] = (char)c;
        if (out->len + (size_t)len > sizeof(out->bytes) - TEXT_TAIL_BYTES)
            return; /* never half an escape */
        put(out, escaped, (size_t)len);
    }
}

static void put_time(struct text *out, uint64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000u);
    struct tm tm;
    char text[64];
    if (gmtime_r(&seconds, &tm) == NULL)
        return;
    size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    put(out, text, len);
    int more = snprintf(text, sizeof(text), ".%03uZ", (unsigned)(wall_ms % 1000u));
    put(out, text, (size_t)more);
}

static void format_line(const struct dsmr_stderr_log *log, struct text *out,
                        enum dsmr_log_level level, const char *module, const char *text)
{
    static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};
    switch (log->format) {
    case DSMR_STDERR_LOG_JSON:
        put_word(out, "{\"time\":\"");
        put_time(out, log->clock.ops->wall_ms(log->clock.self));
        put_word(out, "\",\"level\":\"");
        put_word(out, level_names[level]);
        put_word(out, "\",\"module\":\"");
        put_json(out, module);
        put_word(out, "\",\"text\":\"");
        put_json(out, text);
        memcpy(out->bytes + out->len, "\"}", 2); /* the tail is kept free */
        out->len += 2;
        break;
    case DSMR_STDERR_LOG_JOURNAL:
        put_word(out, priorities[level]);
        put_plain(out, module);
        put_word(out, ": ");
        put_plain(out, text);
        break;
    case DSMR_STDERR_LOG_PLAIN:
        put_time(out, log->clock.ops->wall_ms(log->clock.self));
        put_word(out, " ");
        put_word(out, level_names[level]);
        put_word(out, strlen(level_names[level]) == 4 ? "  " : " ");
        put_plain(out, module);
        put_word(out, ": ");
        put_plain(out, text);
        break;
    }
    out->bytes[out->len++] = '\n';
}

static void line(void *self, enum dsmr_log_level level, const char *module, const char *text)
{
    const struct dsmr_stderr_log *log = self;
    if (!dsmr_stderr_log_is_on(log, level, module))
        return;
    struct text out = {.len = 0};
    format_line(log, &out, level, module, text);
    size_t at = 0;
    while (at < out.len) {
        ssize_t n = write(log->fd, out.bytes + at, out.len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nobody listens: a log that cannot be written must not stop the node */
        at += (size_t)n;
    }
}

struct dsmr_log dsmr_stderr_log_port(struct dsmr_stderr_log *log)
{
    static const struct dsmr_log_ops ops = {line};
    return (struct dsmr_log){log, &ops};
}
