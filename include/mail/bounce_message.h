/*
 * bounce_message - the text of a delivery status notification.
 *
 * Shape   multipart/report of three parts: a text for people, message/delivery-status, the
 *         header of the original (text/rfc822-headers). Null envelope sender is the caller's
 *         business.
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

struct bounce_recipient {
    struct bytes alias;      /* "info@example.org": what the sender wrote to */
    struct bytes hidden;     /* the address it led to: removed from every text */
    const char *status;      /* "5.1.1" */
    struct bytes remote;     /* "mx.example.net" that said it, or empty */
    struct bytes diagnostic; /* "550 5.1.1 no such user", or our own reason */
    bool is_remote;       /* diagnostic is the remote host's (smtp;), not ours (x-postilion;) */
    int64_t last_attempt; /* unix seconds */
    unsigned attempts;
};

enum bounce_kind { BOUNCE_FAILED, BOUNCE_EXPIRED, BOUNCE_DELAYED };

struct bounce_facts {
    enum bounce_kind kind;
    struct bytes our_name;     /* host name: Reporting-MTA, From: postmaster@ its domain */
    struct bytes from_address; /* "postmaster@example.org" */
    struct bytes to_address;   /* original envelope sender */
    struct bytes message_id;   /* of the bounce: Message-ID <id@our_name>, MIME boundary */
    struct bytes original_id;  /* our id of the message that failed */
    int64_t arrived;           /* unix seconds */
    int64_t now;
    const struct bounce_recipient *recipients;
    size_t recipient_count;
    struct bytes original_header; /* as it came in */
};

/* The whole message, CRLF lines, no line over 998 octets. */
void bounce_message_write(struct strbuf *out, const struct bounce_facts *facts);

#endif
