/*
 * hidden_address - other people's text without the address an alias leads to.
 *
 * Rules   wherever the hidden address stands (any case), the alias is written; "<local>" gives it away
 *         as well and is replaced too.
 */
#ifndef MAIL_HIDDEN_ADDRESS_H
#define MAIL_HIDDEN_ADDRESS_H

#include "base/strbuf.h"

void hidden_address_add(struct strbuf *out, struct bytes text, struct bytes hidden,
                        struct bytes alias);

#endif
