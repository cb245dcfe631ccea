/*
 * xclient - Postfix's XCLIENT: a trusted relay tells who its client is.
 *
 * Input   the arguments of the command: NAME=VALUE ..., values in xtext (RFC 3461 §4).
 * Output  what was said; strings live in the arena. "[UNAVAILABLE]" and "[TEMPUNAVAIL]" say that
 *         something is not known: the address is IP_NONE then, the HELO name is empty.
 * Errors  an unknown attribute, or a value that does not parse: false.
 * Source  Postfix's XCLIENT_README
 */
#ifndef PROTOCOL_XCLIENT_H
#define PROTOCOL_XCLIENT_H

#include "base/arena.h"
#include "protocol/ip_address.h"

/* Behind "XCLIENT " in the answer to EHLO. */
#define XCLIENT_ATTRIBUTES "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"

struct xclient {
    bool has_address, has_helo, has_protocol;
    struct ip_address address;
    uint16_t port; /* 0: not said */
    struct bytes helo;
    bool is_esmtp; /* PROTO */
};

bool xclient_parse(struct bytes arguments, struct arena *arena, struct xclient *xclient);

#endif
