/*
 * clamd_reply - asking clamd about a message by INSTREAM, and what it answers.
 *
 * Asked   CLAMD_COMMAND, then pieces of any size: CLAMD_HEAD_SIZE octets that say how many follow, and these; a head
 *         that says 0 ends it.
 * Answer  one text that ends in NUL (because the command began with "z"). What stands behind it means nothing.
 *         It may come before all has been sent: only to say that there is too much, or an error.
 * Output  points into the input.
 * Limit   CLAMD_REPLY_LIMIT octets; signature names are far shorter.
 * See     clamd(8)
 */
#ifndef PROTOCOL_CLAMD_REPLY_H
#define PROTOCOL_CLAMD_REPLY_H

#include "base/bytes.h"

enum { CLAMD_REPLY_LIMIT = 2048, CLAMD_HEAD_SIZE = 4 };

#define CLAMD_COMMAND ((struct bytes){"zINSTREAM", sizeof "zINSTREAM"}) /* with its NUL */

enum clamd_result {
    CLAMD_CLEAN,
    CLAMD_FOUND, /* what: the signature's name */
    CLAMD_NEED_MORE,
    CLAMD_TOO_LARGE, /* more than its StreamMaxLength */
    CLAMD_ERROR,     /* what: what it says */
    CLAMD_MALFORMED,
};

enum clamd_result clamd_reply_read(struct bytes input, struct bytes *what);
void clamd_piece_head(uint32_t size, char head[CLAMD_HEAD_SIZE]);

#endif
