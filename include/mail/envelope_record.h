/*
 * envelope_record - what the spool keeps of a message beside its content, as octets.
 *
 * Shape   a version octet, then fields of (tag, length, value), then a crc32c. Unknown tags
 *         are skipped (a newer version may have written them); a known one twice, a length
 *         beyond the end, a bad checksum or line breaks in an address make the record
 *         unreadable.
 */
#ifndef MAIL_ENVELOPE_RECORD_H
#define MAIL_ENVELOPE_RECORD_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "protocol/dsn_parameter.h"

enum envelope_kind {
    ENVELOPE_FORWARD = 1, /* mail for an alias */
    ENVELOPE_RETURN = 2,  /* mail for an SRS address, going back */
    ENVELOPE_BOUNCE = 3,  /* written by us */
};

struct envelope {
    enum envelope_kind kind;
    struct bytes sender; /* as received, "local@domain" quoted as needed; empty: null sender */
    bool is_8bit;        /* BODY=8BITMIME was said */
    bool is_utf8;        /* SMTPUTF8 was said */
    bool is_utf8_header; /* ... and the header needs it */
    bool requires_tls;   /* REQUIRETLS was said (RFC 8689) */
    bool is_auto_submitted; /* Auto-Submitted other than "no": no warnings, no second bounce */
    bool is_proven;         /* the sender proved to be that sender (SPF, or aligned DKIM) */
    bool is_own_sender;     /* the sender is in a domain served here */
    struct bytes client_ip; /* text; empty for bounces */
    struct bytes client_helo;
    struct bytes session;   /* session id, for the log */
    struct bytes bounce_of; /* id of the message a bounce is about */
    enum dsn_return ret;    /* how much of it a bounce is to hold */
    struct bytes envid;     /* xtext as the sender wrote it, or empty */
};

void envelope_record_write(struct strbuf *out, const struct envelope *envelope);
/* False: unreadable, nothing is set. Views into `record`. */
bool envelope_record_read(struct bytes record, struct envelope *envelope);

#endif
