/*
 * page_frame - what every page of the daemon has around its content: head, stylesheet, name, search.
 *
 * Policy  page_frame_policy is what Content-Security-Policy has to allow for it: this stylesheet, by its
 *         hash, and the search form to where the page came from. No script, no picture, no font.
 */
#ifndef MAIL_PAGE_FRAME_H
#define MAIL_PAGE_FRAME_H

#include "base/strbuf.h"

struct page_frame {
    struct bytes hostname;
    const char *title;  /* NULL: the first page */
    struct bytes query; /* what stands in the search field */
    bool has_trace;     /* there is something to search */
    int64_t now_ms;
    const char *again; /* where a new look leads: "/", "/trace" */
};

void page_frame_open(struct strbuf *out, const struct page_frame *frame);
void page_frame_close(struct strbuf *out);
void page_frame_policy(struct strbuf *out);

#endif
