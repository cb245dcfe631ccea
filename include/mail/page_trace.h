/*
 * page_trace - what a search for a message has found, as a page and as JSON.
 *
 * Input   the question, and a story or a list (mail/event_story, mail/event_trace). Everything a peer said is
 *         escaped.
 * JSON    {"query":...,"result":"one"|"several"|"nothing"|"failed"|"off","story":{...}} or "messages":[...]
 */
#ifndef MAIL_PAGE_TRACE_H
#define MAIL_PAGE_TRACE_H

#include "base/strbuf.h"
#include "mail/event_story.h"

enum page_trace_result {
    PAGE_TRACE_EMPTY, /* nothing was asked */
    PAGE_TRACE_NOTHING,
    PAGE_TRACE_ONE,
    PAGE_TRACE_SEVERAL,
    PAGE_TRACE_FAILED,
    PAGE_TRACE_OFF, /* no history is kept */
};

struct page_trace {
    struct bytes hostname;
    int64_t now_ms;
    struct bytes query;
    enum page_trace_result result;
    const struct event_story *story; /* ONE */
    const struct event_record *rows; /* SEVERAL: a line of each, oldest first */
    size_t count;
    bool has_more;
    struct bytes why; /* FAILED */
};

void page_trace_add(struct strbuf *out, const struct page_trace *trace);
void page_trace_add_json(struct strbuf *out, const struct page_trace *trace);

#endif
