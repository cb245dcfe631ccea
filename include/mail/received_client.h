/*
 * received_client - the client a relay of ours or of a partner wrote into its Received field.
 *
 * Only a field the relay wrote itself may be given here. Even in that one the client chose some of the
 * words (its HELO name, what ident said), so an address is taken from where servers put what they
 * know themselves, and from nowhere else:
 *
 *   from HELO (NAME [ADDR]) by ...      Postfix, sendmail, postilion; NAME may be missing (Exim)
 *   from HELO (ADDR) by ...             Exchange
 *   from [ADDR] (helo=HELO) by ...      Exim, when the address has no name
 *
 * RFC     5321 §4.4
 */
#ifndef MAIL_RECEIVED_CLIENT_H
#define MAIL_RECEIVED_CLIENT_H

#include "base/arena.h"
#include "protocol/ip_address.h"

struct received_client {
    struct ip_address address;
    struct bytes helo; /* in the arena; empty: not known */
};

/* `value` is raw, folded lines and all. False: there is no address that can be believed. */
bool received_client_read(struct bytes value, struct arena *arena,
                          struct received_client *client);

#endif
