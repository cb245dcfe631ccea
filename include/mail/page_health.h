/*
 * page_health - how the daemon is, in a strip of short words, and what of it wants somebody.
 *
 * Input  facts (mail/status_page). What is good and what is not is decided here: a certificate
 *        is a warning 21 days and bad 7 days before its end, free disk space twice the floor and
 *        at the floor, a queue whose oldest message is a day old is a warning.
 */
#ifndef MAIL_PAGE_HEALTH_H
#define MAIL_PAGE_HEALTH_H

#include "mail/status_page.h"

void page_health_add_strip(struct strbuf *out, const struct page_health *health);
/* Nothing when nothing is wrong. */
void page_health_add_notices(struct strbuf *out, const struct page_health *health,
                             const struct page_finding *findings, size_t count);

enum page_mood page_health_certificate(const struct page_health *health);
enum page_mood page_health_disk(const struct page_health *health);
enum page_mood page_health_queue(const struct page_health *health);

/* "3 d 4 h", "12 min", "40 s" */
void page_health_add_span(struct strbuf *out, int64_t seconds);
/* "1.4 GB" */
void page_health_add_octets(struct strbuf *out, uint64_t octets);
/* "m-good" ... */
const char *page_mood_class(enum page_mood mood);

#endif
