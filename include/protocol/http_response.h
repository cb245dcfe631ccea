/*
 * http_response - reads one HTTP/1.x response as it comes in.
 *
 * Why      ours and no library's: what libraries offer brings connections of its own, which would know neither the
 *          back-pressure of io/stream nor the simulated world. What is read here is one response on one connection.
 * Input    octets as they arrive, cut anywhere. Nothing of them is kept but what becomes status and body.
 * Output   status, and a body by Content-Length, in chunks, or up to the end of the connection. Interim responses
 *          (1xx) are passed over.
 * Limits   HTTP_RESPONSE_HEAD_LIMIT octets of head, trailer and chunk lines together; a body as init says.
 * Errors   anything that two readers may read in two ways is malformed: both lengths at once, two lengths that differ,
 *          another transfer coding, folded fields, bare CR or LF, NUL.
 * RFC      9112 §2.2, §4, §6, §7.1; 9110 §15.2
 */
#ifndef PROTOCOL_HTTP_RESPONSE_H
#define PROTOCOL_HTTP_RESPONSE_H

#include "base/strbuf.h"

enum { HTTP_RESPONSE_HEAD_LIMIT = 16 * 1024 };

enum http_response_result {
    HTTP_RESPONSE_READY,
    HTTP_RESPONSE_NEED_MORE,
    HTTP_RESPONSE_MALFORMED,
    HTTP_RESPONSE_TOO_LARGE,
};

enum http_response_stage {
    HTTP_STAGE_STATUS,
    HTTP_STAGE_FIELDS,
    HTTP_STAGE_BODY,        /* `left` octets of it */
    HTTP_STAGE_BODY_TO_END, /* of the connection */
    HTTP_STAGE_CHUNK_SIZE,
    HTTP_STAGE_CHUNK, /* `left` octets of it */
    HTTP_STAGE_CHUNK_END,
    HTTP_STAGE_TRAILER,
    HTTP_STAGE_DONE,
};

struct http_response {
    unsigned status;
    struct strbuf body;
    /* private */
    enum http_response_stage stage;
    enum http_response_result result;
    struct strbuf line;
    size_t head_size; /* octets of lines so far */
    uint64_t left;
    bool has_length, is_chunked;
};

void http_response_init(struct http_response *response, size_t body_limit);
void http_response_clear(struct http_response *response);
/* What was said first stays: more input changes nothing. */
enum http_response_result http_response_add(struct http_response *response, struct bytes input);
/* The connection has ended: is it whole? */
enum http_response_result http_response_end(struct http_response *response);

#endif
