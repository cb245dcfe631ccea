/*
 * evidence_mask - what the log says of a message, for somebody else's eyes.
 *
 * Masked   addresses that mail was forwarded to (whole, their domains, and in words of others their local parts), the servers
 *          it went to there (of a bounce that came back: its client and Message-ID), recipients other than the one it is about, and the hashes of our SRS and reply addresses (with
 *          one of them mail can be sent through us).
 * Stays    the client, and what is the sender's own: its address, domain, HELO name, Message-ID; our own names.
 * Same     the same thing is always written by the same word: target-1@hidden-1.invalid, relay-1.invalid, recipient-1,
 *          hash-1.
 * Forms    letters of either case; octets written as %40, =40, \x40, \@, &#64;, &#x40;; quotes within; and an address whose
 *          "@" is written as one of = % + : (local%domain@gateway, bounces-local=domain@list).
 * Limits   EVIDENCE_SECRETS things to hide; evidence with more is none: see has_overflowed.
 */
#ifndef MAIL_EVIDENCE_MASK_H
#define MAIL_EVIDENCE_MASK_H

#include "base/arena.h"
#include "mail/event_record.h"

enum { EVIDENCE_SECRETS = 1000 };

enum evidence_kind {
    EVIDENCE_TARGET,    /* a whole address */
    EVIDENCE_LOCAL,     /* its local part: in words of others only */
    EVIDENCE_DOMAIN,    /* of a target */
    EVIDENCE_RELAY,     /* a host that such mail went to, or its address */
    EVIDENCE_RECIPIENT, /* somebody else the sender wrote to */
    EVIDENCE_HASH,      /* of an address we signed */
};

struct evidence_secret {
    enum evidence_kind kind;
    struct bytes text; /* in lower case */
    struct bytes mask; /* what is written instead */
};

struct evidence_mask {
    struct evidence_secret *secrets; /* longest first */
    size_t count;
    bool has_overflowed;
    struct bytes about; /* the recipient that is shown; or empty: none is */
};

/* What these lines hold that is nobody else's business; the numbers of masks are given in their order. `id` is the message's, or empty; `asked`
 * is the
 * address somebody asked about, or empty: of several recipients none is shown then. All in the arena. */
void evidence_mask_learn(struct evidence_mask *mask, const struct event_record *records,
                         size_t count, struct bytes id, struct bytes asked,
                         struct arena *arena);

/* Words of others are looked through for local parts as well. */
struct bytes evidence_mask_text(const struct evidence_mask *mask, struct bytes text,
                                bool of_others, struct arena *arena);
/* The words of a reply: without the names that our own reasons end in, its codes as they are. */
struct bytes evidence_mask_words(const struct evidence_mask *mask, struct bytes text,
                                 struct arena *arena);
struct event_record evidence_mask_record(const struct evidence_mask *mask,
                                         const struct event_record *record,
                                         struct arena *arena);
/* How many different things of that kind are hidden. */
size_t evidence_mask_count(const struct evidence_mask *mask, enum evidence_kind kind);

#endif
