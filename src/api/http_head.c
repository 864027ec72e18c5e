#include "api/http_head.h"

#include <stdlib.h>
#include <string.h>

const char *dsmr_http_head_method(struct lws *wsi)
{
    static const struct {
        enum lws_token_indexes token;
        const char *name;
    } methods[] = {{WSI_TOKEN_GET_URI, "GET"},        {WSI_TOKEN_POST_URI, "POST"},
                   {WSI_TOKEN_HEAD_URI, "HEAD"},      {WSI_TOKEN_PUT_URI, "PUT"},
                   {WSI_TOKEN_PATCH_URI, "PATCH"},    {WSI_TOKEN_DELETE_URI, "DELETE"},
                   {WSI_TOKEN_OPTIONS_URI, "OPTIONS"}};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (lws_hdr_total_length(wsi, methods[i].token) > 0) {
            return methods[i].name;
        }
    }
    return "";
}

bool dsmr_http_head_query(char *out, size_t capacity, struct lws *wsi)
{
    size_t at = 0;
    for (int i = 0;; i++) {
        char part[DSMR_HTTP_HEAD_QUERY_BYTES_MAX];
        int len = lws_hdr_copy_fragment(wsi, part, sizeof(part), WSI_TOKEN_HTTP_URI_ARGS, i);
        if (len < 0) {
            return lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, i) == 0;
        }
        if (at + (size_t)len + 2 > capacity) {
            return false;
        }
        if (i > 0) {
            out[at++] = '&';
        }
        memcpy(out + at, part, (size_t)len);
        at += (size_t)len;
        out[at] = '\0';
    }
}

long long dsmr_http_head_body_len(struct lws *wsi)
{
    char text[24];
    bool is_post = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0) {
        return DSMR_HTTP_HEAD_BAD_LENGTH;
    }
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) == 0) {
        return is_post ? DSMR_HTTP_HEAD_NO_LENGTH : 0;
    }
    int len = lws_hdr_copy(wsi, text, sizeof(text), WSI_TOKEN_HTTP_CONTENT_LENGTH);
    if (len <= 0 || len > 15 || strspn(text, "0123456789") != (size_t)len) {
        return DSMR_HTTP_HEAD_BAD_LENGTH;
    }
    return strtoll(text, NULL, 10);
}
