/*
 * status_json - the status page as one JSON object, for programs.
 *
 * Members  "health", "flow" (series of numbers), "queue", "failing", "arrival", "forwarding", "tls",
 *          "returns", "refusals", "doctor". Times are UTC text, spans are seconds, sizes octets. Names
 *          are an interface: more may come, none goes.
 */
#ifndef MAIL_STATUS_JSON_H
#define MAIL_STATUS_JSON_H

#include "mail/status_page.h"

void status_json_add(struct strbuf *out, const struct status_page *page);

#endif
