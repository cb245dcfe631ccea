/*
 * story_report - a story, or a list of messages, as text and as JSON.
 *
 * Text    a terminal 100 columns wide; controls and octets that are no UTF-8 stand there as \xNN.
 * JSON    one object: the story, each step with its sentences and the fields of the line it was told from (a name that
 *         stands there more than once is an array). Lists: one object a line.
 */
#ifndef MAIL_STORY_REPORT_H
#define MAIL_STORY_REPORT_H

#include "base/strbuf.h"
#include "mail/event_story.h"

void story_report_add_text(struct strbuf *out, const struct event_story *story);
/* Without an end of line. */
void story_report_add_json(struct strbuf *out, const struct event_story *story);

/* One message of several, by its newest line. */
void story_report_add_row(struct strbuf *out, const struct event_record *record);
void story_report_add_row_json(struct strbuf *out, const struct event_record *record);

/* A record as the log writes it (logfmt), for evidence. */
void story_report_add_line(struct strbuf *out, const struct event_record *record);

#endif
