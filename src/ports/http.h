/* http.h - one HTTP request and its answer, without a server.
 *
 * Why:     the same routes answer behind libwebsockets and behind an engine's own HTTP door.
 * Threads: handle() from any thread, must not block; the answer comes once, on any thread, perhaps
 *          before handle() has returned. */
#ifndef DSMR_PORTS_HTTP_H
#define DSMR_PORTS_HTTP_H

#include <stddef.h>
#include <stdint.h>

struct dsmr_http_request { /* borrowed during handle() */
    const char *method;    /* "GET", "HEAD", "POST", ... */
    const char *path;      /* decoded, begins with '/' */
    const char *query;     /* as sent, without '?'; may be NULL */
    const char *body;
    size_t body_len;
};
struct dsmr_http_response { /* borrowed during the answer */
    int status;
    const char *content_type;
    const char *allow;      /* for 405: "GET, HEAD"; else NULL */
    uint32_t retry_after_s; /* 0: none */
    const char *body;
    size_t body_len;
};
typedef void (*dsmr_http_answer_fn)(void *ctx, const struct dsmr_http_response *response);

struct dsmr_http_ops {
    void (*handle)(void *self, const struct dsmr_http_request *request, dsmr_http_answer_fn answer,
                   void *ctx);
};
struct dsmr_http {
    void *self;
    const struct dsmr_http_ops *ops;
};

#endif
