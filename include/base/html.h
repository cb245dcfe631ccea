/*
 * html - text of strangers made fit for a page, as content and in attributes.
 *
 * Output  of any octets: & < > " ' ` = as references, so that it can neither open a tag nor leave a
 *         quoted attribute; controls and what is no UTF-8 as U+FFFD, as are the marks that turn the
 *         direction of writing (a name could show other words than it has); LF and HTAB stay.
 * Limit   html_add_short ends in an ellipsis after so many characters.
 */
#ifndef BASE_HTML_H
#define BASE_HTML_H

#include "base/strbuf.h"

void html_add(struct strbuf *out, struct bytes text);
void html_add_short(struct strbuf *out, struct bytes text, size_t characters);
/* For a link: whatever is no letter, digit or one of - . _ ~ as %XX. */
void html_add_query_value(struct strbuf *out, struct bytes text);

#endif
