/*
 * results_text - the verdicts on a message as header fields.
 *
 * Order   iprev, SPF of MAIL FROM, SPF of HELO, DKIM signature by signature from the top (or
 *         dkim=none), DMARC, ARC (with who sealed it). The same verdicts give the same octets.
 * Names   domains as A-labels where they can be; for MAIL FROM <> it is postmaster@HELO that was
 *         judged (RFC 7208 §2.4), and that is what smtp.mailfrom says.
 * RFC     8601 §2.7 (methods and properties), 9989 §13 (polrec), 7208 §9.1 (Received-SPF),
 *          8617 §10.2 (arc)
 */
#ifndef AUTH_RESULTS_TEXT_H
#define AUTH_RESULTS_TEXT_H

#include "auth/message_check.h"
#include "base/strbuf.h"

/* "Authentication-Results: ...\r\n" */
void results_text_add(struct strbuf *out, struct bytes authserv_id,
                      const struct message_verdicts *verdicts,
                      const struct message_check_facts *facts);
/* "Received-SPF: ...\r\n", about MAIL FROM. */
void results_text_add_received_spf(struct strbuf *out, const struct message_verdicts *verdicts,
                                   const struct message_check_facts *facts);

#endif
