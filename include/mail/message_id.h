/*
 * message_id - the id of a message: one 64-bit number, written as 13 characters.
 *
 * Shape   milliseconds since 1970 (42 bits), worker loop (6 bits), counter (16 bits): ids of
 *         one loop only grow, so rows are appended in order. Text: Crockford base32 in lower
 *         case.
 * Use     the number is the key in the spool; the text stands in the 250 line, every log
 *         line, the Received field and the queue tool.
 */
#ifndef MAIL_MESSAGE_ID_H
#define MAIL_MESSAGE_ID_H

#include "base/bytes.h"

enum { MESSAGE_ID_LENGTH = 13 };

struct message_id_text {
    char text[MESSAGE_ID_LENGTH + 1];
};

struct message_id_source {
    uint64_t last;
    unsigned loop; /* 0..63, different for each source of a process */
};

/* Never the same twice from one source, even when the clock stands still or goes back. */
uint64_t message_id_next(struct message_id_source *source, int64_t unix_ms);
struct message_id_text message_id_text(uint64_t id);
bool message_id_parse(struct bytes text, uint64_t *id); /* either case; i l o as 1 1 0 */

#endif
