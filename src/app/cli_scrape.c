#include "app/cli_scrape.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "client/http_client.h"

#define ANSWER_BYTES_MAX (1u << 20)

static const char *const metric_names[DSMR_METRIC_COUNT] = {
#define CLI_SCRAPE_X(id, type, name, help) "dsmr_" name,
    DSMR_METRIC_MAP(CLI_SCRAPE_X)
#undef CLI_SCRAPE_X
};
static const char *const histogram_names[DSMR_METRIC_HISTOGRAM_COUNT] = {
#define CLI_SCRAPE_X(id, name, help) "dsmr_" name,
    DSMR_METRIC_HISTOGRAM_MAP(CLI_SCRAPE_X)
#undef CLI_SCRAPE_X
};

/* Place of the name at the start of line, or -1. */
static int metric_of(const char *line, size_t name_len)
{
    for (int i = 0; i < DSMR_METRIC_COUNT; i++) {
        if (strlen(metric_names[i]) == name_len && strncmp(metric_names[i], line, name_len) == 0) {
            return i;
        }
    }
    return -1;
}

/* The bucket with this bound, in seconds; DSMR_METRIC_BUCKETS: none of ours. */
static unsigned bucket_of(const char *bound)
{
    double ms = strtod(bound, NULL) * 1000.0;
    for (unsigned i = 0; i < DSMR_METRIC_BUCKETS - 1; i++) {
        double own_ms = (double)dsmr_metrics_bucket_ms(i);
        if (ms > own_ms - 0.5 && ms < own_ms + 0.5) {
            return i;
        }
    }
    return strncmp(bound, "+Inf", 4) == 0 ? DSMR_METRIC_BUCKETS - 1 : DSMR_METRIC_BUCKETS;
}

/* "70.052" seconds. */
static uint64_t read_ms(const char *seconds)
{
    char *end = NULL;
    uint64_t ms = strtoull(seconds, &end, 10) * 1000u;
    if (*end == '.') {
        for (uint64_t worth = 100; worth > 0 && isdigit((unsigned char)*++end); worth /= 10) {
            ms += worth * (uint64_t)(*end - '0');
        }
    }
    return ms;
}

/* NAME_bucket{le="BOUND"} COUNT and NAME_sum SECONDS; value is what follows the space. */
static void read_times(struct dsmr_cli_sample *out, const char *line, const char *value)
{
    static const char bucket[] = "_bucket{le=\"";
    static const char sum[] = "_sum ";
    for (size_t i = 0; i < DSMR_METRIC_HISTOGRAM_COUNT; i++) {
        size_t len = strlen(histogram_names[i]);
        const char *rest = line + len;
        if (strncmp(line, histogram_names[i], len) != 0) {
            continue;
        }
        if (strncmp(rest, sum, sizeof(sum) - 1) == 0) {
            out->times[i].sum_ms = read_ms(value);
        } else if (strncmp(rest, bucket, sizeof(bucket) - 1) == 0) {
            unsigned at = bucket_of(rest + sizeof(bucket) - 1);
            if (at < DSMR_METRIC_BUCKETS) {
                out->times[i].counts[at] = strtoull(value, NULL, 10);
            }
        }
    }
}

enum dsmr_err dsmr_cli_scrape_parse(struct dsmr_cli_sample *out, const char *text)
{
    static const char errors[] = "dsmr_errors_total";
    uint32_t known = 0;
    out->errors_total = 0;
    memset(out->metrics, 0, sizeof(out->metrics));
    memset(out->times, 0, sizeof(out->times));
    for (const char *line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        size_t name_len = strcspn(line, " {\n");
        const char *value = memchr(line, ' ', len);
        if (*line != '#' && value != NULL && isdigit((unsigned char)value[1])) {
            uint64_t number = strtoull(value + 1, NULL, 10);
            int metric = metric_of(line, name_len);
            if (metric >= 0) {
                out->metrics[metric] = number;
                known++;
            } else if (name_len == sizeof(errors) - 1 && strncmp(line, errors, name_len) == 0) {
                out->errors_total += number;
            } else {
                read_times(out, line, value + 1);
            }
        }
        line += len + (line[len] == '\n' ? 1 : 0);
    }
    return known > 0 ? DSMR_OK : DSMR_ERR_MALFORMED;
}

/* A number, or a string of digits where it is beyond 2^53. */
static bool read_number(const json_t *object, const char *name, uint64_t *out)
{
    const json_t *member = json_object_get(object, name);
    if (json_is_integer(member) && json_integer_value(member) >= 0) {
        *out = (uint64_t)json_integer_value(member);
        return true;
    }
    if (json_is_string(member) && isdigit((unsigned char)json_string_value(member)[0])) {
        *out = strtoull(json_string_value(member), NULL, 10);
        return true;
    }
    return false;
}

static bool read_id(const json_t *object, const char *name, struct dsmr_id *out)
{
    const json_t *member = json_object_get(object, name);
    return json_is_string(member) &&
           dsmr_hex_decode(out->bytes, sizeof(out->bytes), json_string_value(member),
                           json_string_length(member)) == DSMR_OK;
}

static void read_name(const json_t *object, const char *name, char out[DSMR_CLI_NAME_BYTES])
{
    const char *text = json_string_value(json_object_get(object, name));
    size_t len = text != NULL ? strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") : 0;
    bool is_name = len > 0 && text[len] == '\0' && len < DSMR_CLI_NAME_BYTES;
    (void)snprintf(out, DSMR_CLI_NAME_BYTES, "%s", is_name ? text : "");
}

static enum dsmr_err parse_status(struct dsmr_cli_sample *out, const char *text, size_t len)
{
    uint64_t network_id = 0;
    json_t *status = json_loadb(text, len, 0, NULL);
    bool ok = read_number(status, "height", &out->height) &&
              read_number(status, "executed_height", &out->executed_height) &&
              read_number(status, "network_id", &network_id) &&
              read_id(status, "state_root", &out->state_root) &&
              read_id(status, "chain_id", &out->domain.chain_id) && network_id <= UINT32_MAX;
    uint64_t validators = 0;
    out->validators = read_number(status, "validators", &validators) && validators <= UINT32_MAX
                          ? (uint32_t)validators
                          : 0;
    read_name(status, "app", out->app);
    read_name(status, "engine", out->engine);
    json_decref(status);
    out->domain.network_id = (uint32_t)network_id;
    out->has_status = ok;
    return ok ? DSMR_OK : DSMR_ERR_MALFORMED;
}

void dsmr_cli_scrape_process(struct dsmr_cli_sample *out, int pid)
{
    char path[64];
    char line[1024];
    out->has_process = false;
    out->cpu_us = 0;
    out->rss_anon_bytes = 0;
    if (pid <= 0) {
        return;
    }
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        /* utime and stime are fields 14 and 15; the name in brackets may hold spaces. */
        size_t len = fread(line, 1, sizeof(line) - 1, file);
        line[len] = '\0';
        const char *rest = strrchr(line, ')');
        out->has_process = rest != NULL && strncmp(rest, ") Z", 3) != 0; /* one that ended */
        for (int skipped = 0; rest != NULL && skipped < 12; skipped++) {
            rest = strchr(rest + 1, ' ');
        }
        if (rest != NULL) {
            char *end = NULL;
            uint64_t user = strtoull(rest, &end, 10);
            uint64_t system = strtoull(end, NULL, 10);
            out->cpu_us = (user + system) * (1000000u / (uint64_t)sysconf(_SC_CLK_TCK));
        }
        (void)fclose(file);
    }
    (void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
    file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "RssAnon:", 8) == 0) {
            out->rss_anon_bytes = strtoull(line + 8, NULL, 10) * 1024u;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

enum dsmr_err dsmr_cli_scrape(struct dsmr_cli_sample *out, const struct dsmr_cli_node *node,
                              bool with_status, uint32_t timeout_ms)
{
    struct dsmr_http_client client;
    struct dsmr_http_reply reply;
    memset(out, 0, sizeof(*out));
    enum dsmr_err err =
        dsmr_http_client_init(&client, node->host, node->http_port, timeout_ms, ANSWER_BYTES_MAX);
    if (err == DSMR_OK) {
        err = dsmr_http_client_get(&client, &reply, "/metrics");
    }
    if (err == DSMR_OK) {
        err = reply.status == 200 ? dsmr_cli_scrape_parse(out, reply.body) : DSMR_ERR_MALFORMED;
        out->is_reachable = err == DSMR_OK;
    }
    if (err == DSMR_OK && with_status) {
        err = dsmr_http_client_get(&client, &reply, "/v1/status");
        if (err == DSMR_OK) {
            err = reply.status == 200 ? parse_status(out, reply.body, reply.body_len)
                                      : DSMR_ERR_MALFORMED;
        }
    }
    dsmr_http_client_close(&client);
    dsmr_cli_scrape_process(out, node->pid);
    return err;
}
