/*
 * utf8 - characters of UTF-8, and text of strangers made fit to be shown.
 *
 * Rules   no overlong form, no surrogate, nothing beyond U+10FFFF.
 * RFC     3629 §4
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/strbuf.h"

/* Octets of the character at the start of the text, which is not empty; 0: there is none. */
size_t utf8_length(struct bytes text);
bool utf8_is_valid(struct bytes text);
/* A control character: C1 too, which some terminals obey. */
bool utf8_is_control(struct bytes character);
/* U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069, U+061C: they turn what stands around them, so that it
 * shows as other text (Unicode UAX #9). */
bool utf8_turns_direction(struct bytes character);
/* For a terminal: controls, marks that turn direction and what is no character become \xNN. */
void utf8_add_printable(struct strbuf *out, struct bytes text);

#endif
