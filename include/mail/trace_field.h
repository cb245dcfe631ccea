/*
 * trace_field - the fields we put on top: Received and the loop mark.
 *
 * Received   RFC 5321 §4.4; protocol names of RFC 3848 (SMTP, ESMTP, UTF8SMTP ...). Text from
 *            the client is cut to 255 octets and made printable; parentheses and backslashes
 *            in comments are replaced, so that no client can write a field of its own.
 * Loop mark  "X-Postilion-Loop: HOST MARK MARK ..." with one MARK for each alias the copy was
 *            made for: base32 of HMAC-SHA256(secret, alias address), 16 characters. A message
 *            that comes back to the same alias carries a mark we recognise, so a loop stops
 *            at its first return; nobody else can make one, and no address is given away.
 */
#ifndef MAIL_TRACE_FIELD_H
#define MAIL_TRACE_FIELD_H

#include "base/strbuf.h"
#include "protocol/ip_address.h"
#include "protocol/smtp_path.h"

struct received_facts {
    struct bytes helo;        /* as the client said it; may be empty */
    struct bytes client_name; /* forward-confirmed reverse name, or empty: "unknown" */
    struct ip_address client;
    struct bytes our_name;
    struct bytes protocol;                /* "ESMTP" ... */
    struct bytes id;                      /* message id text */
    struct bytes tls_version, tls_cipher; /* as OpenSSL names them; empty: it came in clear */
    struct bytes recipient; /* "local@domain" when there is exactly one, or empty */
    int64_t unix_seconds;
};

enum { LOOP_MARK_LENGTH = 16 };

struct loop_mark {
    char text[LOOP_MARK_LENGTH + 1];
};

/* "Received: ...\r\n" */
void trace_field_add_received(struct strbuf *out, const struct received_facts *facts);
/* The mark of one alias; the domain is compared without case, the local part too. */
struct loop_mark trace_field_loop_mark(struct bytes secret, struct bytes alias_address);
/* "X-Postilion-Loop: ...\r\n" */
void trace_field_add_loop(struct strbuf *out, struct bytes our_name,
                          const struct loop_mark *marks, size_t count);
/* Does the header carry any loop mark, ours or not? Mostly it does not, and that is quickly seen. */
bool trace_field_has_loop_marks(struct bytes header);
/* Does the header carry this mark? */
bool trace_field_has_loop_mark(struct bytes header, const struct loop_mark *mark);

#endif
