/*
 * bounce_message - the text of a delivery status notification.
 *
 * Shape   multipart/report of three parts: a text for people, message/delivery-status, the
 *         header of the original (text/rfc822-headers). Null envelope sender is the caller's
 *         business.
 * People  read what happened to each address, in a sentence when there is one (`explanation`), the
 *         words of the next hop, and for what expired the history of its attempts.
 * DSN     Original-Envelope-Id and Original-Recipient say what ENVID and ORCPT said. Never more
 *         than the header comes back, also with RET=FULL (RFC 3461 §4.3: what made a message
 *         undeliverable, or its size, may forbid it).
 * Rules   Auto-Submitted: auto-replied; names the alias and never the address it leads to;
 *         peer text is made printable and has the hidden address removed; header lines over
 *         998 octets are cut; at most BOUNCE_HEADER_LIMIT octets of header; 8-bit header:
 *         8bit part.
 * RFC     3464, 6522, 3834 §5, 5321 §4.5.5; 6533 for addresses outside ASCII
 */
#ifndef MAIL_BOUNCE_MESSAGE_H
#define MAIL_BOUNCE_MESSAGE_H

#include "base/strbuf.h"

enum { BOUNCE_HEADER_LIMIT = 16 * 1024 };

/* One of the attempts that failed. */
struct bounce_attempt {
    int64_t at;        /* unix seconds */
    struct bytes host; /* or empty */
    struct bytes
        reply; /* as the next hop said it: made printable, and hidden addresses removed */
};

struct bounce_recipient {
    struct bytes alias;      /* "info@example.org": what the sender wrote to */
    struct bytes hidden;     /* the address it led to: removed from every text */
    const char *status;      /* "5.1.1" */
    struct bytes remote;     /* "mx.example.net" that said it, or empty */
    struct bytes diagnostic; /* "550 5.1.1 no such user", or our own reason */
    bool is_relayed;      /* delivered, beside others that were not; BOUNCE_RELAYED: all are */
    bool is_remote;       /* diagnostic is the remote host's (smtp;), not ours (x-postilion;) */
    int64_t last_attempt; /* unix seconds */
    unsigned attempts;
    const char *explanation;              /* "the recipient's mailbox is full"; NULL: none */
    struct bytes orcpt;                   /* ORCPT as it came ("rfc822;xtext"), or empty */
    const struct bounce_attempt *history; /* oldest first; shown when it expired */
    size_t history_count;
};

enum bounce_kind {
    BOUNCE_FAILED,
    BOUNCE_EXPIRED,
    BOUNCE_DELAYED,
    BOUNCE_RELAYED, /* NOTIFY=SUCCESS: delivered to a server that will say no more about it */
};

struct bounce_facts {
    enum bounce_kind kind;
    struct bytes our_name;     /* host name: Reporting-MTA, From: postmaster@ its domain */
    struct bytes from_address; /* "postmaster@example.org" */
    struct bytes to_address;   /* original envelope sender */
    struct bytes message_id;   /* of the bounce: Message-ID <id@our_name>, MIME boundary */
    struct bytes original_id;  /* our id of the message that failed */
    struct bytes envid;        /* ENVID as it came (xtext), or empty */
    int64_t arrived;           /* unix seconds */
    int64_t now;
    int64_t retry_until; /* BOUNCE_DELAYED: unix seconds, when it is given up */
    const struct bounce_recipient *recipients;
    size_t recipient_count;
    struct bytes original_header; /* as it came in */
};

/* The whole message, CRLF lines, no line over 998 octets. */
void bounce_message_write(struct strbuf *out, const struct bounce_facts *facts);

#endif
