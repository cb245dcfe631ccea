/*
 * reply_text - our words to a client about what strangers said.
 *
 * Rules   what is not printable ASCII becomes "?", and so does what `without` names: the quotes of a text that
 *         stands in quotes, for instance. Longer than `limit` octets is cut.
 * Memory  the arena's.
 */
#ifndef FORWARD_REPLY_TEXT_H
#define FORWARD_REPLY_TEXT_H

#include "base/arena.h"
#include "base/strbuf.h"

enum { REPLY_TEXT_LIMIT = 460 }; /* of one line, code and all within 512 */

void reply_text_add(struct strbuf *out, struct bytes foreign, size_t limit,
                    const char *without);
struct bytes reply_text_clean(struct arena *arena, struct bytes foreign, size_t limit,
                              const char *without);
/* "%" in the pattern stands for what is said, which is printable already. */
struct bytes reply_text_make(struct arena *arena, const char *pattern, struct bytes what);

#endif
