/*
 * sent_form - a message of a file as it would have come over SMTP: lines end in CRLF, the "From " line
 * of a mailbox is left out.
 */
#ifndef MAIL_SENT_FORM_H
#define MAIL_SENT_FORM_H

#include "base/strbuf.h"

void sent_form_add(struct strbuf *out, struct bytes text);

#endif
