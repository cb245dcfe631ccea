/*
 * reply_class - what kind of failure an answer of the next hop, or the lack of one, is.
 *
 * Input   where the trouble came from, the reply with its enhanced code (RFC 3463) and its words. Codes that
 *         say one thing only come first (5.7.26), then words: many servers say 5.7.1 for everything, and only
 *         the text tells a blocked address from a spam filter. Then the general codes. At most the first
 *         REPLY_CLASS_TEXT octets are looked at; letters of either case are the same.
 * Use     retry and back-off (retry_schedule), bounces and the log: reply_class_text is an interface.
 *         The class never makes a temporary failure a permanent one, or the other way round.
 */
#ifndef FORWARD_REPLY_CLASS_H
#define FORWARD_REPLY_CLASS_H

#include "base/bytes.h"

enum { REPLY_CLASS_TEXT = 1000 };

enum reply_class {
    REPLY_CLASS_OTHER,          /* nothing that is told apart here */
    REPLY_CLASS_DNS,            /* the next hop was not found, or not in time */
    REPLY_CLASS_CONNECTION,     /* it was not reached, or the connection was lost */
    REPLY_CLASS_TLS,            /* no encryption where one side insists on it */
    REPLY_CLASS_GREYLIST,       /* come back in a few minutes */
    REPLY_CLASS_RATE_LIMIT,     /* we send too much, for their taste */
    REPLY_CLASS_MAILBOX_BUSY,   /* this recipient gets too much just now */
    REPLY_CLASS_MAILBOX_FULL,   /* over quota */
    REPLY_CLASS_UNKNOWN_USER,   /* no such mailbox, or it is disabled */
    REPLY_CLASS_AUTHENTICATION, /* SPF, DKIM or DMARC failed there */
    REPLY_CLASS_REPUTATION, /* our server is blocked: a blocklist, an address with a bad name */
    REPLY_CLASS_CONTENT,    /* taken for spam or malware, or ill-formed */
    REPLY_CLASS_TOO_BIG,
    REPLY_CLASS_LOOP,
    REPLY_CLASS_POLICY, /* refused by a rule of theirs */
    REPLY_CLASS_SERVER, /* the next hop has trouble of its own */
};

enum { REPLY_CLASS_COUNT = REPLY_CLASS_SERVER + 1 };

enum reply_origin {
    REPLY_FROM_PEER, /* it said so; code 0: we read it from what it announced */
    REPLY_FROM_DNS,
    REPLY_FROM_CONNECTION, /* code 0, or the reply that ended it: a refused greeting, 421 */
    REPLY_FROM_TLS,
};

struct reply_facts {
    enum reply_origin origin;
    unsigned code;        /* 0: none */
    const char *enhanced; /* "4.7.1"; "x.0.0" says nothing; never NULL */
    struct bytes text;
    bool is_after_content; /* it was said behind the final dot */
};

enum reply_class reply_class_of(const struct reply_facts *facts);
/* "rate-limit" */
const char *reply_class_text(enum reply_class class);
/* A sentence for people who do not read SMTP, without the full stop: "the recipient's mailbox is full". */
const char *reply_class_explanation(enum reply_class class);
/* The next hop turns our server away, whoever the mail is for: its operator has to act. */
bool reply_class_is_block(enum reply_class class);

#endif
