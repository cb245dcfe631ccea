/*
 * quoting - comments and quoted strings, as mail headers have them.
 *
 * Rules   a backslash takes the octet behind it along; comments nest. A counter and no recursion: depth costs
 *         nothing.
 * RFC     5322 §3.2.1, §3.2.2, §3.2.4
 */
#ifndef BASE_QUOTING_H
#define BASE_QUOTING_H

#include "base/bytes.h"

/* Octets of the "(...)" at the start of the text; 0: it is never closed. */
size_t quoting_comment_length(struct bytes text);
/* Octets of the quoted string at the start, both quotes included; 0: it is never closed. */
size_t quoting_string_length(struct bytes text);

#endif
