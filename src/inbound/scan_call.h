/*
 * scan_call - one message shown to one scanner over a connection of its own.
 *
 * Private to room inbound.
 * Use      scan_call_new connects; `done` is called once, never from inside of it, and may free the call. Freed
 *          earlier it is never called. What is known then stands in the call.
 * Pace     as fast as the scanner takes it: no more than STREAM_OUTPUT_HIGH and a piece wait in memory.
 * Limits   SCAN_REPLY_LIMIT octets of answer. Deadlines are the caller's.
 * Failure  `why` says what went wrong; words of the scanner are in `said`.
 */
#ifndef SCAN_CALL_H
#define SCAN_CALL_H

#include "inbound/scan_options.h"
#include "io/content.h"
#include "io/stream.h"
#include "protocol/http_response.h"

enum {
    SCAN_PIECE = 16 * 1024,
    SCAN_REPLY_LIMIT = 512 * 1024,
    SCAN_SAID_LIMIT = 200,
    /* What a call takes beside the content, at most. */
    SCAN_CALL_COST = STREAM_OUTPUT_HIGH + 2 * SCAN_PIECE,
};

enum scanner { SCANNER_CLAMD, SCANNER_RSPAMD };

struct scan_call {
    enum scanner scanner;
    enum scan_state state;
    const char *why;          /* of a failure: static */
    struct bytes said, virus; /* arena */
    struct rspamd_reply spam;
    /* private */
    struct arena *arena; /* *borrowed* */
    struct event_loop *loop;
    struct stream *stream;
    struct content *content; /* held */
    struct strbuf head;      /* of the request, until it is written */
    uint64_t offset;
    bool is_sent;
    struct http_response response;
    void (*done)(void *context, struct scan_call *call);
    void *context;
};

struct scan_request {
    enum scanner scanner;
    const struct scanner_place *place;
    struct content *content;
    const struct rspamd_question *question; /* for rspamd; read at once */
    uint64_t timeout_ms;                    /* for connecting */
    struct arena *arena; /* outlives the call; what was found is kept there */
};

struct scan_call *scan_call_new(struct event_loop *loop, const struct scan_request *request,
                                void (*done)(void *context, struct scan_call *call),
                                void *context);
void scan_call_free(struct scan_call **call); /* safe on NULL */
const char *scanner_text(enum scanner scanner);

#endif
