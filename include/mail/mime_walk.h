/*
 * mime_walk - what a message carries: media types, names of attachments and of files in archives.
 *
 * Input   the octets of a message as they stream (CRLF or LF lines), cut anywhere: what is found does
 *         not depend on the cuts.
 * Output  findings in the order they are met, to `found`; their text lives during the call. The same
 *         thing may be found several times, by each reading that some mail client may have.
 * Looks   into nested multiparts and messages, base64, quoted-printable, uuencode (as encoding and in
 *         a body of text), yEnc names; into decoded attachments by mail/archive_scan.
 * Trouble what is too deep, too much or can be read in two ways, see enum mime_trouble. "Too complex"
 *         ends the walk; "ambiguous" is noted and the walk goes on.
 * Limits  MIME_DEPTH levels, MIME_PARTS parts, MIME_TOLD octets of types and names in all their readings;
 *         lines are looked at by their first MIME_LINE octets.
 *         Memory: about 6 KiB, 9 more for each encoding an attachment claims to have (three at most),
 *         and the same again for messages that are encoded themselves, MIME_WALKS in all.
 * Bypass  boundaries are looked for as long as the message lasts, with blanks behind them, after the
 *         closing one, in headers; all fields of a name and all their readings count; a header that
 *         is broken off by another line is header and body at the same time.
 * RFC     2045, 2046 §5.1, 2047, 2183, 2231
 */
#ifndef MAIL_MIME_WALK_H
#define MAIL_MIME_WALK_H

#include "base/bytes.h"

enum {
    MIME_DEPTH = 30,
    MIME_PARTS = 2000,
    MIME_LINE = 1024,
    MIME_WALKS = 3,
    MIME_TOLD = 4 * 1024 * 1024
};

enum mime_finding {
    MIME_FOUND_TYPE,  /* "text/plain", as it is declared */
    MIME_FOUND_KIND,  /* "application/gzip", by its octets: see archive_scan */
    MIME_FOUND_NAME,  /* of an attachment, decoded; may hold any octet */
    MIME_FOUND_ENTRY, /* of a file in an archive */
};

enum mime_trouble {
    MIME_NO_TROUBLE,
    MIME_AMBIGUOUS,   /* clients may find other parts or names in it than we do */
    MIME_TOO_COMPLEX, /* nobody looks on */
};

struct mime_walk;

struct mime_walk *mime_walk_new(void (*found)(void *context, enum mime_finding finding,
                                              struct bytes text),
                                void *context);
void mime_walk_free(struct mime_walk **walk); /* safe on NULL */
void mime_walk_add(struct mime_walk *walk, struct bytes octets);
void mime_walk_end(struct mime_walk *walk); /* the message is whole */
enum mime_trouble mime_walk_trouble(const struct mime_walk *walk);
/* For the log: "boundary" ...; static, NULL without trouble. */
const char *mime_walk_why(const struct mime_walk *walk);
size_t mime_walk_memory(const struct mime_walk *walk); /* octets it holds now */

#endif
