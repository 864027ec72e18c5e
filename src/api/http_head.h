/* http_head.h - what the head of a request says, out of libwebsockets' table of headers.
 *
 * Threads: the server's, while the head is there (LWS_CALLBACK_HTTP). */
#ifndef DSMR_API_HTTP_HEAD_H
#define DSMR_API_HTTP_HEAD_H

#include <libwebsockets.h>
#include <stdbool.h>

#define DSMR_HTTP_HEAD_QUERY_BYTES_MAX 1024
#define DSMR_HTTP_HEAD_BAD_LENGTH (-1) /* the headers make no sense */
#define DSMR_HTTP_HEAD_NO_LENGTH (-2)  /* there is none, but the method needs one */

const char *dsmr_http_head_method(struct lws *wsi); /* static; "" if it is none of ours */
/* The query without its question mark; false if it does not fit. */
bool dsmr_http_head_query(char *out, size_t capacity, struct lws *wsi);
/* Length of the body that is to come, or one of the two above. */
long long dsmr_http_head_body_len(struct lws *wsi);

#endif
