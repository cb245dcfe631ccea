/*
 * from_munge - a header whose author is said in our own name.
 *
 * Out      the header as it came but for: From, which becomes  "Name via our-domain" <address>  in its
 *          place; X-Original-From, the old From value, put on top; Reply-To: the author is added to
 *          what is there (in front), or a new field is put on top. Nothing else changes: every other
 *          field keeps its octets and its place.
 * Name     what a reader would see: the display name when there is one (decoded words are kept
 *          encoded and moved as they are; quoting as needed), else the part before the @. Where it
 *          contains an address or an "@", or a control octet, that part goes: the name never passes
 *          somebody's address off as ours. Cut at FROM_NAME_LIMIT octets on a character's boundary.
 * Refusal  false: no From, several From fields, several authors, or one that cannot be read; the
 *          message cannot be munged.
 * UTF-8    stays as it is (the message needs SMTPUTF8 already).
 * RFC      5322 §3.4, §3.6.2; 2047 §5; 6854
 */
#ifndef MAIL_FROM_MUNGE_H
#define MAIL_FROM_MUNGE_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "protocol/smtp_path.h"

enum { FROM_NAME_LIMIT = 128 };

/* The one author of a message: "Display" <mailbox>. */
struct from_author {
    struct bytes name;           /* raw display name phrase; may be empty */
    struct smtp_mailbox mailbox; /* in the arena */
};

/* The author as a whole header says it. */
bool from_munge_read_author(struct bytes header, struct arena *arena,
                            struct from_author *author);
/* Adds the whole munged header. */
void from_munge_write(struct strbuf *out, struct bytes header, const struct from_author *author,
                      const struct smtp_mailbox *address, struct bytes our_domain);

#endif
