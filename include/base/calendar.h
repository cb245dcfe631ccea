/*
 * calendar - seconds since 1970 as dates. Pure: the time is an argument, always UTC.
 */
#ifndef BASE_CALENDAR_H
#define BASE_CALENDAR_H

#include "base/strbuf.h"

/* "Sat, 21 Nov 2026 22:06:30 +0000" (RFC 5322 §3.3) */
void calendar_add_mail_date(struct strbuf *out, int64_t unix_seconds);
/* "2026-11-21T22:06:30.123Z" (RFC 3339) */
void calendar_add_timestamp(struct strbuf *out, int64_t unix_ms);
/* The same read: any number of digits behind the second, or none; "Z" or "+01:00". Nothing may follow. False: it is none. */
bool calendar_read_timestamp(struct bytes text, int64_t *unix_ms);
/* A date as mail has it, old forms, comments and a missing zone included; nothing may follow. The zone is
 * in minutes east, 0 when it is unknown. False: it is none. RFC 5322 §3.3, §4.3 */
bool calendar_read_mail_date(struct bytes text, int64_t *unix_seconds, int *zone_minutes);

#endif
