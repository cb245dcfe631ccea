/*
 * hidden_address - texts for strangers, without what an alias leads to.
 *
 * Others  in the words of others the alias is written wherever the hidden address stands (any case);
 *         "<local>" gives it away as well and is replaced too.
 * Ours    our own reasons name domains and hosts last, and in brackets: "connect: refused [mx.example.net
 *         (192.0.2.1:25)]". The log has all of it, strangers the reason.
 */
#ifndef MAIL_HIDDEN_ADDRESS_H
#define MAIL_HIDDEN_ADDRESS_H

#include "base/strbuf.h"

void hidden_address_add(struct strbuf *out, struct bytes text, struct bytes hidden,
                        struct bytes alias);

/* The end of a reason of ours. */
void hidden_names_add(struct strbuf *out, struct bytes names);
/* Are these the words of a server? They begin with its code, ours never do. */
bool hidden_names_is_reply(struct bytes text);
/* What a stranger may read of a reason: all of a server's words, ours without the names. */
struct bytes hidden_names_without(struct bytes text);

#endif
