/*
 * from_munge - a header whose author is said in our own name.
 *
 * Out      the header as it came but for: From, which becomes  "Name via our-domain" <address>  in
 *          its place; X-Original-From, the old From value, put on top (folded once more only where
 *          its line would pass 998 octets); Reply-To: the author is added to what is there (in
 *          front; not when it is the author alone already; of several fields to the first), or a
 *          new field is put on top. Nothing else changes: every other field keeps its octets and
 *          its place.
 * Name     what a reader would see: the display name when there is one (encoded words are kept
 *          encoded and moved as they are; all else becomes a quoted string), else a comment
 *          "(Name)", else the part before the @. Words with an "@" (full width and small ones,
 *          too) or a control octet go: the name never passes somebody's address off as ours.
 *          Encoded words are decoded to look; when one hides such a thing, or is in a character
 *          set not known here (see encoded_word), or when there is an "=?" that is no encoded
 *          word, or octets that are no UTF-8, the whole name goes and the local part is taken.
 *          Nothing left: "via our-domain". Cut at FROM_NAME_LIMIT octets, counted as shown, on a
 *          character's boundary; encoded words are never split.
 * Lines    of the new From are folded between words at 78 octets where that is possible.
 * Refusal  false: no From, several From fields, several authors, a group, or one that cannot be
 *          read (no whole address, open quotes, bare CR or LF, over 512 octets of address or 900
 *          without a place to fold); the message cannot be munged.
 * UTF-8    stays as it is (the message needs SMTPUTF8 already).
 * RFC      5322 §3.4, §3.6.2, §4.4; 2047 §5; 6854
 */
#ifndef MAIL_FROM_MUNGE_H
#define MAIL_FROM_MUNGE_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "protocol/smtp_path.h"

enum { FROM_NAME_LIMIT = 128 };

/* The one author of a message. */
struct from_author {
    struct bytes name; /* raw display name phrase, or a comment; a view, may be empty */
    struct smtp_mailbox mailbox; /* in the arena */
};

/* The author as a whole header says it. */
bool from_munge_read_author(struct bytes header, struct arena *arena,
                            struct from_author *author);
/* Adds the whole munged header: at most as long as it was, the old From value once more, and 16
 * KiB. */
void from_munge_write(struct strbuf *out, struct bytes header, const struct from_author *author,
                      const struct smtp_mailbox *address, struct bytes our_domain);

#endif
