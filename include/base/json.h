/*
 * json - writes JSON into a strbuf, member by member.
 *
 * Use     json_open_object(out, NULL); json_text(out, "name", text); ... json_close_object(out). Commas come by
 *         themselves. `key` is the member's name inside an object (ours, needs no escaping), NULL inside an
 *         array and at the top.
 * Text    octets that are no UTF-8 become U+FFFD; controls are escaped.
 * RFC     8259
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/strbuf.h"

#include <stdint.h>

void json_open_object(struct strbuf *out, const char *key);
void json_close_object(struct strbuf *out);
void json_open_array(struct strbuf *out, const char *key);
void json_close_array(struct strbuf *out);
void json_text(struct strbuf *out, const char *key, struct bytes text);
/* NULL is null. */
void json_words(struct strbuf *out, const char *key, const char *text);
void json_number(struct strbuf *out, const char *key, int64_t number);
void json_bool(struct strbuf *out, const char *key, bool value);
void json_null(struct strbuf *out, const char *key);
/* "2026-11-21T22:06:30.123Z" */
void json_time(struct strbuf *out, const char *key, int64_t unix_ms);

#endif
